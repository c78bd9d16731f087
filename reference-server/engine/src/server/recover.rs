//! From what the journal holds to hot state.

use super::dedup::Dedup;
use super::state::{Progress, Server, Stay};
use crate::chain::CHAIN_START;
use crate::defects::Defect;
use crate::journal::{Recovered, RecoveredConversation, RecoveredDevice};

impl Server {
    pub(super) fn recover(&mut self, recovered: Recovered) {
        for device in recovered.devices {
            self.recover_device(&device);
        }
        for conversation in recovered.conversations {
            self.recover_conversation(&conversation);
        }
    }

    fn recover_device(&mut self, recovered: &RecoveredDevice) {
        let device = self.device(recovered.key);
        let state = &mut self.devices[device];
        state.installation = Some(recovered.installation);
        if !self.config.defects.has(Defect::IdsForgottenAtRestart) {
            state.dedup = Dedup::recovered(&recovered.recent);
        }
    }

    fn recover_conversation(&mut self, recovered: &RecoveredConversation) {
        let conversation = self.conversation(recovered.id);
        for membership in &recovered.members {
            let user = self.user(membership.user);
            let stays = self.conversations[conversation].members.entry(user).or_default();
            if stays.is_empty() {
                self.users[user].conversations.push(conversation);
            }
            stays.push(Stay { from: membership.from, until: membership.until });
        }
        for cursor in &recovered.cursors {
            let device = self.device(cursor.device);
            let lost = self.config.defects.has(Defect::ResumedThoughLost);
            let acked = if lost { recovered.head } else { cursor.delivered };
            let progress = Progress {
                delivered: cursor.delivered,
                acked,
                transmitted: acked,
                read: cursor.read,
                read_wanted: cursor.read,
                version: cursor.version,
                receipts_confirmed: cursor.receipts_confirmed,
                receipts_acked: cursor.receipts_confirmed,
                ..Progress::default()
            };
            let state = &mut self.conversations[conversation];
            if cursor.version > 0 {
                state.by_version.insert(cursor.version, device);
            }
            state.progress.insert(device, progress);
        }
        let state = &mut self.conversations[conversation];
        let reuse = u64::from(recovered.head > 1 && self.config.defects.has(Defect::SeqReusedAfterCrash));
        let broken = self.config.defects.has(Defect::ChainBrokenAtRestart);
        state.head = recovered.head - reuse;
        state.chain = if broken { CHAIN_START } else { recovered.chain };
        state.tentative_head = state.head;
        state.tentative_chain = state.chain;
        state.version = recovered.version;
        state.version_next = recovered.version;
        let belongs = |stays: &&Vec<Stay>| stays.last().is_some_and(|stay| stay.until.is_none());
        state.members_count = state.members.values().filter(belongs).count();
        state.members_tentative = state.members_count;
    }
}
