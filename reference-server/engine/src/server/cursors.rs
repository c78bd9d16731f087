//! Acks and read marks: what devices say, made durable, and confirmed.

use super::commit::cursor_record;
use super::state::{ConversationIx, DeviceIx, Server};
use crate::codec::{Cause, Frame};
use crate::defects::Defect;
use crate::ids::{ConversationId, Seq};

impl Server {
    pub(super) fn on_ack(&mut self, device: DeviceIx, conversation: ConversationId, up_to: Seq) {
        let Some(conversation) = self.known_position(device, conversation, up_to) else {
            return;
        };
        self.take_ack(device, conversation, up_to);
        self.pump(device, Cause::First);
    }

    pub(super) fn on_read(&mut self, device: DeviceIx, conversation: ConversationId, up_to: Seq) {
        let Some(conversation) = self.known_position(device, conversation, up_to) else {
            return;
        };
        let progress = self.conversations[conversation].progress.entry(device).or_default();
        // What was read is on the device; the ack that says so may still be on its way.
        progress.read_wanted = progress.read_wanted.max(up_to);
        self.take_ack(device, conversation, up_to);
        self.pump(device, Cause::First);
    }

    /// Moves a device's cursor in memory, and asks for it to be made durable.
    pub(super) fn take_ack(&mut self, device: DeviceIx, conversation: ConversationIx, up_to: Seq) {
        let progress = self.conversations[conversation].progress.entry(device).or_default();
        progress.acked = progress.acked.max(up_to);
        progress.transmitted = progress.transmitted.max(up_to);
        if self.config.defects.has(Defect::CursorRegresses) {
            (progress.acked, progress.transmitted) = (up_to, up_to);
        }
        let settled = progress.acked <= progress.delivered && progress.read_wanted <= progress.read;
        if settled {
            // The device asks again: its confirmation was lost.
            self.confirm_cursor(device, conversation);
        } else {
            self.mark_cursor(conversation, device);
        }
        self.settle_in_flight(conversation, device, up_to);
        self.end_pull(conversation, device);
    }

    pub(super) fn mark_cursor(&mut self, conversation: ConversationIx, device: DeviceIx) {
        let Some(progress) = self.conversations[conversation].progress.get_mut(&device) else {
            return;
        };
        if !progress.cursor_dirty && !progress.cursor_pending {
            progress.cursor_dirty = true;
            self.cursors_dirty.push((conversation, device));
        }
    }

    pub(super) fn flush_cursors(&mut self) {
        let mut dirty = std::mem::take(&mut self.cursors_dirty);
        for (conversation, device) in dirty.drain(..) {
            let state = &mut self.conversations[conversation];
            let Some(progress) = state.progress.get_mut(&device) else {
                continue;
            };
            progress.cursor_dirty = false;
            let settled = progress.acked <= progress.delivered && progress.read_wanted <= progress.read;
            if settled || progress.cursor_pending || self.devices[device].resetting {
                continue;
            }
            progress.cursor_pending = true;
            state.version_next += 1;
            let values = (progress.acked, progress.read_wanted.min(progress.acked), state.version_next);
            let record = cursor_record(state.id, self.devices[device].key, values);
            self.propose(device, conversation, record);
        }
        dirty.append(&mut self.cursors_dirty); // what was marked meanwhile; mostly only the room is given back
        self.cursors_dirty = dirty;
    }

    pub(super) fn apply_cursor(
        &mut self,
        device: DeviceIx,
        conversation: ConversationIx,
        (delivered, read, version): (Seq, Seq, u64),
    ) {
        let state = &mut self.conversations[conversation];
        state.version = version;
        let progress = state.progress.entry(device).or_default();
        state.by_version.remove(&progress.version);
        state.by_version.insert(version, device);
        progress.version = version;
        progress.delivered = delivered;
        progress.read = read;
        progress.cursor_pending = false;
        let more = progress.acked > delivered || progress.read_wanted > read;
        self.confirm_cursor(device, conversation);
        if more {
            self.mark_cursor(conversation, device);
        }
        self.announce_receipts(conversation, device);
    }

    fn confirm_cursor(&mut self, device: DeviceIx, conversation: ConversationIx) {
        let state = &self.conversations[conversation];
        let Some(progress) = state.progress.get(&device) else {
            return;
        };
        let (delivered, read) = (progress.delivered, progress.read);
        let frame = Frame::CursorConfirmed { conversation: state.id, delivered, read };
        self.tell(device, &frame);
    }

    /// The conversation, if the position is one that the device can have got.
    pub(super) fn known_position(
        &mut self,
        device: DeviceIx,
        conversation: ConversationId,
        up_to: Seq,
    ) -> Option<ConversationIx> {
        let user = self.devices[device].user;
        let known = self.conversation_index.get(&conversation).copied();
        let fits = known.filter(|ix| up_to > 0 && up_to <= self.conversations[*ix].last_visible(user));
        if fits.is_none() {
            self.stats.acks_beyond_head += 1;
        }
        fits
    }
}
