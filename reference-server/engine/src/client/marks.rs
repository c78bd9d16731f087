//! Acks and read marks on their way to the server, receipts on their way from it.

use super::Observation;
use super::state::{Client, Timer};
use crate::codec::{Frame, ReceiptItem};
use crate::ids::{ConversationId, Seq};

impl Client {
    /// An entry was delivered: the ack follows when the application has consumed it.
    pub(super) fn delivered(&mut self, conversation: ConversationId, seq: Seq) {
        if self.config.consume_window.is_some() {
            self.unconsumed.push_back((conversation, seq));
            self.unsettled.insert(conversation);
        } else {
            self.consume(conversation, seq);
        }
    }

    pub(super) fn consumed(&mut self, deliveries: usize) {
        for _ in 0..deliveries {
            let Some((conversation, seq)) = self.unconsumed.pop_front() else {
                break;
            };
            self.consume(conversation, seq);
        }
        self.catch_up();
    }

    fn consume(&mut self, conversation: ConversationId, seq: Seq) {
        if let Some(state) = self.conversations.get_mut(&conversation) {
            state.acked = state.acked.max(seq);
            // A read mark may have been confirmed first; it settles the entries before it, too.
            if state.acked <= state.confirmed {
                return;
            }
            self.unsettled.insert(conversation);
        }
        self.ack_soon(conversation);
    }

    /// An ack is owed, also for a copy: the first one may have been lost.
    pub(super) fn ack_soon(&mut self, conversation: ConversationId) {
        let Some(state) = self.conversations.get_mut(&conversation) else {
            return;
        };
        if state.acked > 0 && !state.ack_due {
            state.ack_due = true;
            self.acks.push(conversation);
        }
    }

    pub(super) fn flush_acks(&mut self) {
        if self.acks.is_empty() || !self.is_logged_in() {
            return;
        }
        let mut acks = std::mem::take(&mut self.acks);
        for conversation in acks.drain(..) {
            if let Some(state) = self.conversations.get_mut(&conversation) {
                state.ack_due = false;
                state.marks_attempts = 0;
            }
            self.transmit_ack(conversation);
            self.set_marks_timer(conversation);
        }
        acks.append(&mut self.acks); // what became due meanwhile; mostly only the room is given back
        self.acks = acks;
    }

    fn transmit_ack(&mut self, conversation: ConversationId) {
        let Some(up_to) = self.conversations.get(&conversation).map(|state| state.acked) else {
            return;
        };
        self.transmit(&Frame::Ack { conversation, up_to });
        self.observe(Observation::Acknowledged { conversation, up_to });
    }

    pub(super) fn mark_read(&mut self, conversation: ConversationId, up_to: Seq) {
        let Some(state) = self.conversations.get_mut(&conversation) else {
            return;
        };
        let up_to = up_to.min(state.cursor);
        if up_to <= state.read_wanted {
            return;
        }
        state.read_wanted = up_to;
        state.marks_attempts = 0;
        self.unsettled.insert(conversation);
        if self.is_logged_in() {
            self.transmit(&Frame::Read { conversation, up_to });
            self.set_marks_timer(conversation);
        }
    }

    pub(super) fn on_cursor_confirmed(&mut self, conversation: ConversationId, delivered: Seq, read: Seq) {
        let Some(state) = self.conversations.get_mut(&conversation) else {
            return;
        };
        // A server that lost what it confirmed must not be believed about more than we said.
        state.confirmed = state.confirmed.max(delivered.min(state.cursor));
        let news = read.min(state.read_wanted) > state.read_confirmed;
        state.read_confirmed = state.read_confirmed.max(read.min(state.read_wanted));
        let up_to = state.read_confirmed;
        if state.confirmed >= state.cursor && state.read_confirmed >= state.read_wanted {
            self.unsettled.remove(&conversation);
            let old = state.marks_retry_at.take();
            self.set_timer(Timer::Marks(conversation), old, None);
        }
        if news {
            self.observe(Observation::ReadConfirmed { conversation, up_to });
        }
    }

    fn set_marks_timer(&mut self, conversation: ConversationId) {
        let Some(state) = self.conversations.get_mut(&conversation) else {
            return;
        };
        let at = self.config.retry.at(self.now, state.marks_attempts, &mut self.random);
        let old = state.marks_retry_at.replace(at);
        self.set_timer(Timer::Marks(conversation), old, Some(at));
    }

    pub(super) fn on_marks_timer(&mut self, conversation: ConversationId) {
        let Some(state) = self.conversations.get_mut(&conversation) else {
            return;
        };
        state.marks_retry_at = None;
        if !self.is_logged_in() {
            return;
        }
        let Some(state) = self.conversations.get_mut(&conversation) else {
            return;
        };
        let (ack, read) = (state.acked > state.confirmed, state.read_wanted > state.read_confirmed);
        let up_to = state.read_wanted;
        if !ack && !read {
            return;
        }
        state.marks_attempts = state.marks_attempts.saturating_add(1);
        self.stats.marks_retried += 1;
        if ack {
            self.transmit_ack(conversation);
        }
        if read {
            self.transmit(&Frame::Read { conversation, up_to });
        }
        self.set_marks_timer(conversation);
    }

    pub(super) fn suspend_marks(&mut self) {
        for conversation in self.unsettled.clone() {
            if let Some(state) = self.conversations.get_mut(&conversation) {
                let old = state.marks_retry_at.take();
                self.set_timer(Timer::Marks(conversation), old, None);
            }
        }
    }

    /// After login: what is not confirmed is said again.
    pub(super) fn resume_marks(&mut self) {
        for conversation in self.unsettled.clone() {
            if let Some(state) = self.conversations.get_mut(&conversation) {
                state.marks_attempts = 0;
            }
            self.on_marks_timer(conversation);
        }
    }

    pub(super) fn on_receipts(
        &mut self,
        conversation: ConversationId,
        (from, to): (u64, u64),
        items: &[ReceiptItem],
    ) {
        let state = self.conversations.entry(conversation).or_default();
        let is_next = from == state.receipts_version && to > from;
        if is_next {
            state.receipts_version = to;
        }
        let version = state.receipts_version;
        self.transmit(&Frame::ReceiptAck { conversation, version });
        for ReceiptItem { by, delivered, read } in items.iter().filter(|_| is_next) {
            let Some(state) = self.conversations.get_mut(&conversation) else { return };
            let known = state.receipts.entry(*by).or_default();
            let (delivered, read) = (known.0.max(*delivered), known.1.max(*read));
            if (delivered, read) != *known {
                *known = (delivered, read);
                self.observe(Observation::Receipt { conversation, by: *by, delivered, read });
            }
        }
    }
}
