//! What happens when proposals become durable, or are refused.

use super::accept::body_bytes;
use super::state::{ConversationIx, DeviceIx, Proposal, Server, TailEntry};
use crate::codec::{Cause, Frame, encode_deliver};
use crate::defects::Defect;
use crate::ids::{DeviceKey, Seq, UserId};
use crate::journal::{Body, Entry, Record};

impl Server {
    pub(super) fn on_committed(&mut self, count: usize) {
        for _ in 0..count {
            let Some(proposal) = self.proposals.pop_front() else {
                return;
            };
            self.apply(proposal);
        }
    }

    /// Nothing that was proposed took effect: back to the committed state, newest first.
    pub(super) fn on_refused(&mut self) {
        let mut askers = Vec::new();
        while let Some(proposal) = self.proposals.pop_back() {
            self.stats.proposals_refused += 1;
            if let Some(asker) = self.withdraw(proposal) {
                askers.push(asker);
            }
        }
        for (device, id) in askers.into_iter().rev() {
            self.retry_later(device, id);
        }
    }

    fn apply(&mut self, proposal: Proposal) {
        let Proposal { device, conversation, record } = proposal;
        match record {
            Record::Entry { entry, .. } => self.apply_entry(device, conversation, &entry),
            Record::Cursor { delivered, read, version, .. } => {
                self.apply_cursor(device, conversation, (delivered, read, version));
            }
            Record::ReceiptsConfirmed { version, .. } => {
                if let Some(progress) = self.conversations[conversation].progress.get_mut(&device) {
                    progress.receipts_confirmed = progress.receipts_confirmed.max(version);
                    progress.receipts_pending = false;
                    if progress.receipts_acked > progress.receipts_confirmed {
                        self.mark_receipts(conversation, device);
                    }
                }
            }
            Record::Device { installation, .. } => self.apply_installation(device, installation),
        }
    }

    fn withdraw(&mut self, proposal: Proposal) -> Option<(DeviceIx, crate::ids::MessageId)> {
        let Proposal { device, conversation, record } = proposal;
        match record {
            Record::Entry { entry, .. } => {
                self.withdraw_members(conversation, &entry.body);
                let state = &mut self.conversations[conversation];
                state.tentative_head = state.head;
                state.tentative_chain = state.chain;
                if state.head == 0 && self.conversation_index.remove(&state.id).is_some() {
                    self.conversations_free.push(conversation);
                }
                self.entries_pending -= 1;
                let author = &mut self.devices[device];
                author.pending -= 1;
                if !self.config.defects.has(Defect::RefusedIdStaysTaken) {
                    author.dedup.roll_back(entry.id);
                }
                if self.config.defects.has(Defect::AckAfterRefusal) {
                    let (id, conversation, seq) = (entry.id, self.conversations[conversation].id, entry.seq);
                    self.tell(device, &Frame::Accepted { id, conversation, seq });
                    return None;
                }
                return Some((device, entry.id));
            }
            // The sweep proposes these again.
            Record::Cursor { .. } => {
                if let Some(progress) = self.conversations[conversation].progress.get_mut(&device) {
                    progress.cursor_pending = false;
                }
            }
            Record::ReceiptsConfirmed { .. } => {
                if let Some(progress) = self.conversations[conversation].progress.get_mut(&device) {
                    progress.receipts_pending = false;
                }
            }
            Record::Device { .. } => self.withdraw_installation(device),
        }
        None
    }

    fn apply_entry(&mut self, device: DeviceIx, conversation: ConversationIx, entry: &Entry) {
        self.stats.entries_committed += 1;
        self.entries_pending -= 1;
        let author = &mut self.devices[device];
        author.pending -= 1;
        author.dedup.commit(entry.id);
        self.shrink_window(device);
        let (id, seq) = (entry.id, entry.seq);
        let change = match &entry.body {
            Body::Members { added, removed } => Some((added, removed)),
            Body::Message { .. } => None,
        };
        let state = &mut self.conversations[conversation];
        let answer = Frame::Accepted { id, conversation: state.id, seq };
        state.head = seq;
        state.chain = entry.chain;
        self.remember(conversation, entry);
        self.tell(device, &answer);
        if let Some((added, _)) = change {
            self.apply_joins(conversation, added);
        }
        self.fan_out(conversation);
        if let Some((added, removed)) = change {
            let state = &mut self.conversations[conversation];
            state.members_count = state.members_count + added.len() - removed.len();
            self.apply_leaves(conversation, removed);
        }
    }

    /// Puts an entry into the hot tail, with its ready-made frame.
    fn remember(&mut self, conversation: ConversationIx, entry: &Entry) {
        let state = &mut self.conversations[conversation];
        let how = (entry.seq - 1, false, Cause::First);
        let frame = encode_deliver(state.id, how, entry, &mut self.tail_scratch);
        state.tail_bytes += frame.len();
        state.tail.push_back(TailEntry { seq: entry.seq, body_bytes: body_bytes(&entry.body), frame });
        while state.tail.len() > self.config.tail_entries || state.tail_bytes > self.config.tail_bytes {
            let Some(oldest) = state.tail.pop_front() else {
                break;
            };
            state.tail_bytes -= oldest.frame.len();
        }
    }

    fn apply_joins(&mut self, conversation: ConversationIx, added: &[UserId]) {
        for id in added {
            let user = self.user(*id);
            if self.conversations[conversation].is_first_stay(user) {
                self.users[user].conversations.push(conversation);
            }
            for device in &self.users[user].devices {
                let skipped = self.config.defects.has(Defect::FanOutSkipsJoining);
                if self.devices[*device].connection.is_some() && !skipped {
                    self.conversations[conversation].online.insert(*device);
                }
            }
        }
    }

    fn apply_leaves(&mut self, conversation: ConversationIx, removed: &[UserId]) {
        for id in removed {
            let user = self.user(*id);
            for device in &self.users[user].devices {
                self.conversations[conversation].online.remove(device);
            }
        }
    }
}

/// The record of a device's progress.
pub(super) fn cursor_record(
    conversation: crate::ids::ConversationId,
    device: DeviceKey,
    (delivered, read, version): (Seq, Seq, u64),
) -> Record {
    Record::Cursor { conversation, device, delivered, read, version }
}
