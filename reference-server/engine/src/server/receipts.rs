//! Receipts: what other devices have and have read, told to every device of a member, in batches that
//! are stamped with cursor versions and repeated until the receiver's confirmation is durable.

use super::state::{ConversationIx, DeviceIx, Server};
use crate::codec::{Frame, ReceiptItem};
use crate::defects::Defect;
use crate::ids::ConversationId;
use crate::journal::Record;
use crate::limits;

impl Server {
    /// A device's cursor moved: the others want to know.
    pub(super) fn announce_receipts(&mut self, conversation: ConversationIx, by: DeviceIx) {
        let state = &mut self.conversations[conversation];
        if state.members_count > limits::RECEIPT_MEMBERS_MAX {
            return;
        }
        for device in &state.online {
            let progress = state.progress.entry(*device).or_default();
            if *device != by && progress.receipts_in_flight == 0 && !progress.receipts_dirty {
                progress.receipts_dirty = true;
                self.receipts_dirty.push((conversation, *device));
            }
        }
    }

    pub(super) fn mark_receipts(&mut self, conversation: ConversationIx, device: DeviceIx) {
        let progress = self.conversations[conversation].progress.entry(device).or_default();
        if !progress.receipts_dirty {
            progress.receipts_dirty = true;
            self.receipts_dirty.push((conversation, device));
        }
    }

    pub(super) fn flush_receipts(&mut self) {
        let mut dirty = std::mem::take(&mut self.receipts_dirty);
        for (conversation, device) in dirty.drain(..) {
            if let Some(progress) = self.conversations[conversation].progress.get_mut(&device) {
                progress.receipts_dirty = false;
            }
            self.confirm_receipts(conversation, device);
            self.send_receipts(conversation, device, false);
        }
        dirty.append(&mut self.receipts_dirty); // what was marked meanwhile; mostly only the room is given back
        self.receipts_dirty = dirty;
    }

    /// Makes the receiver's confirmation durable, one proposal at a time.
    fn confirm_receipts(&mut self, conversation: ConversationIx, device: DeviceIx) {
        let state = &mut self.conversations[conversation];
        let Some(progress) = state.progress.get_mut(&device) else {
            return;
        };
        let settled = progress.receipts_acked <= progress.receipts_confirmed;
        if settled || progress.receipts_pending || self.devices[device].resetting {
            return;
        }
        progress.receipts_pending = true;
        let record = Record::ReceiptsConfirmed {
            conversation: state.id,
            device: self.devices[device].key,
            version: progress.receipts_acked,
        };
        self.propose(device, conversation, record);
    }

    /// Sends the next batch, or the one in flight again. Answers whether there was anything to send.
    pub(super) fn send_receipts(
        &mut self,
        conversation: ConversationIx,
        device: DeviceIx,
        again: bool,
    ) -> bool {
        let state = &mut self.conversations[conversation];
        let recipient = &mut self.devices[device];
        let too_large = state.members_count > limits::RECEIPT_MEMBERS_MAX;
        if recipient.connection.is_none() || too_large || !state.is_member(recipient.user) {
            return false;
        }
        let acked = state.progress.get(&device).map_or(0, |progress| progress.receipts_acked);
        let in_flight = state.progress.get(&device).is_some_and(|progress| progress.receipts_in_flight > 0);
        if in_flight && !again {
            return false;
        }
        let others = state.by_version.range(acked + 1..).filter(|(_, by)| **by != device);
        let mut items: Vec<(u64, ReceiptItem)> = Vec::new();
        for (version, by) in others.take(limits::RECEIPT_ITEMS_PER_FRAME + 1) {
            if let Some(theirs) = state.progress.get(by) {
                let (mut delivered, mut read) = (theirs.delivered, theirs.read);
                if self.config.defects.has(Defect::ReceiptBeforeDelivery) {
                    delivered = delivered.max(theirs.transmitted);
                }
                if self.config.defects.has(Defect::ReadReceiptOfWrongMessage) && read > 0 {
                    read = delivered;
                }
                items.push((*version, ReceiptItem { by: self.devices[*by].key, delivered, read }));
            }
        }
        let Some((last, _)) = items.last() else {
            return false;
        };
        let whole = items.len() <= limits::RECEIPT_ITEMS_PER_FRAME;
        let to = if whole { state.version.max(*last) } else { items[limits::RECEIPT_ITEMS_PER_FRAME - 1].0 };
        items.truncate(limits::RECEIPT_ITEMS_PER_FRAME);
        let items = items.into_iter().map(|(_, item)| item).collect();
        let frame = Frame::Receipts { conversation: state.id, from: acked, to, items };
        let progress = state.progress.entry(device).or_default();
        progress.receipts_attempts = if again { progress.receipts_attempts + 1 } else { 0 };
        progress.receipts_in_flight = to;
        let due = self.config.redelivery.at(self.now, progress.receipts_attempts, &mut self.random);
        progress.receipts_retry_at = due;
        self.devices[device].active.insert(conversation);
        self.stats.receipts += 1;
        self.stats.receipts_retried += u64::from(again);
        self.tell(device, &frame);
        self.arm_device(device, due);
        true
    }

    pub(super) fn on_receipt_ack(&mut self, device: DeviceIx, conversation: ConversationId, version: u64) {
        let Some(conversation) = self.conversation_index.get(&conversation).copied() else {
            return;
        };
        let state = &mut self.conversations[conversation];
        let Some(progress) = state.progress.get_mut(&device).filter(|_| version <= state.version) else {
            return;
        };
        if version <= progress.receipts_acked {
            return;
        }
        progress.receipts_acked = version;
        self.end_receipts(conversation, device);
        self.mark_receipts(conversation, device);
    }

    /// No batch is in flight any more: it was acknowledged, or nothing is owed now (the member left).
    pub(super) fn end_receipts(&mut self, conversation: ConversationIx, device: DeviceIx) {
        if let Some(progress) = self.conversations[conversation].progress.get_mut(&device) {
            progress.receipts_in_flight = 0;
            if progress.in_flight.is_empty() {
                self.devices[device].active.remove(&conversation);
            }
        }
    }
}
