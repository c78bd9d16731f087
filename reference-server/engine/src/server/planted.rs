//! What planted defects need beyond the line at their site (see [`crate::defects`]). Without the feature nothing
//! here does anything.

use super::Server;
use super::accept::Operation;
use super::dedup::Known;
use super::state::{ConversationIx, DeviceIx, UserIx};
use super::sync::Wanted;
use crate::codec::{Cause, Purpose, encode_deliver};
use crate::defects::Defect;
use crate::ids::{ConversationId, MessageId, Seq};
use crate::journal::{Body, Entry};

/// What is left of the dedup window: small, so that short runs fill it.
const SMALL_WINDOW_IDS: usize = 4;
/// What is left of a backlog.
const SMALL_BACKLOG_ENTRIES: Seq = 16;

impl Server {
    /// Where a message goes: where it was sent to.
    pub(super) fn routed(&self, device: DeviceIx, id: MessageId, to: ConversationId) -> ConversationId {
        let first = self.users[self.devices[device].user].conversations.first();
        let strays = self.config.defects.has(Defect::WrongConversation) && id.0.is_multiple_of(8);
        first.filter(|_| strays).map_or(to, |first| self.conversations[*first].id)
    }

    /// What is known of an operation.
    pub(super) fn look(
        &self,
        device: DeviceIx,
        id: MessageId,
        (conversation, fingerprint): (ConversationId, u64),
    ) -> Known {
        let (defects, owner) = (self.config.defects, &self.devices[device]);
        let known = owner.dedup.look(id, conversation, fingerprint);
        if defects.has(Defect::DedupByLastIdOnly) && owner.dedup.newest() != Some(id) {
            return Known::New;
        }
        if defects.has(Defect::DedupByUser) && known == Known::New {
            let siblings = self.users[owner.user].devices.iter().filter(|other| **other != device);
            let mut taken = siblings.filter_map(|other| self.devices[*other].dedup.seq_of(id));
            return taken.next().map_or(known, Known::Accepted);
        }
        known
    }

    /// An operation was refused for good: that was all.
    pub(super) fn refused(&mut self, device: DeviceIx, operation: Operation, content: &[u8; 32]) {
        let Some(conversation) = self.conversation_index.get(&operation.conversation).copied() else {
            return;
        };
        if self.config.defects.has(Defect::SeqGapAfterReject) {
            self.conversations[conversation].tentative_head += 1;
        }
        if self.config.defects.has(Defect::RefusalTakesEffect)
            && matches!(operation.body, Body::Message { .. })
        {
            self.propose_entry(device, operation, content);
        }
    }

    /// Pushes an entry to all who are online, whatever becomes of its proposal.
    pub(super) fn push_uncommitted(&mut self, conversation: ConversationIx, entry: &Entry) {
        let state = &self.conversations[conversation];
        let how = (entry.seq - 1, false, Cause::First);
        let frame = encode_deliver(state.id, how, entry, &mut self.scratch);
        let online = state.online.iter().filter_map(|device| self.devices[*device].connection);
        for connection in online.collect::<Vec<_>>() {
            self.transmit_bytes(connection, frame.clone());
        }
    }

    /// A device's dedup window is as large as it should be.
    pub(super) fn shrink_window(&mut self, device: DeviceIx) {
        let defects = self.config.defects;
        let newest = defects.has(Defect::DedupEvictsNewest);
        let dedup = &mut self.devices[device].dedup;
        if (newest || defects.has(Defect::DedupWindowTooSmall)) && dedup.committed() > SMALL_WINDOW_IDS {
            dedup.forget_one(newest);
        }
    }

    /// The position that a page begins behind: the one that was asked for.
    pub(super) fn page_after(&self, known: Option<ConversationIx>, user: UserIx, wanted: Wanted) -> Seq {
        let (defects, after) = (self.config.defects, wanted.after);
        let head = known.map_or(0, |ix| self.conversations[ix].last_visible(user));
        match wanted.purpose {
            Purpose::CatchUp if defects.has(Defect::BacklogCut) => {
                after.max(head.saturating_sub(SMALL_BACKLOG_ENTRIES))
            }
            Purpose::History if after > 0 && defects.has(Defect::PageSkipsOne) => after + 1,
            Purpose::History if after > 0 && defects.has(Defect::PageShowsOneTwice) => after - 1,
            Purpose::History if after > 0 && defects.has(Defect::PageShiftedByArrival) => {
                let known = known.map(|ix| &self.conversations[ix]);
                after - u64::from(known.is_some_and(|known| known.tentative_head > known.head))
            }
            _ => after,
        }
    }

    /// The store's answer, as it was.
    pub(super) fn blank(&self, entries: &mut [Entry]) {
        for entry in entries.iter_mut().filter(|_| self.config.defects.has(Defect::PageBlank)) {
            if let Body::Message { payload, .. } = &mut entry.body {
                *payload = vec![0; payload.len()].into();
            }
        }
    }

    /// Takes everything that was sent to a device for acknowledged.
    pub(super) fn take_sent_for_acked(&mut self, device: DeviceIx) {
        for conversation in &self.users[self.devices[device].user].conversations {
            if let Some(progress) = self.conversations[*conversation].progress.get_mut(&device) {
                progress.acked = progress.acked.max(progress.transmitted);
            }
        }
    }
}
