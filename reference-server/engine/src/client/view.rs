//! What decides how a client goes on: all of its state but time, jitter, counters and buffers (see the server's view).

use std::hash::{Hash, Hasher};

use super::Client;
use super::state::Conversation;

impl Client {
    /// Feeds the view to a hasher.
    pub(crate) fn view(&self, into: &mut impl Hasher) {
        assert!(self.effects.is_empty(), "a client is looked at when it waits for input");
        (self.link, self.was_welcome, self.ordinal_next, self.request_next, self.page_limit).hash(into);
        for (id, operation) in &self.operations {
            (id, operation.conversation, operation.ordinal).hash(into);
            operation.retry_at.is_some().hash(into);
        }
        for (id, conversation) in &self.conversations {
            id.hash(into);
            conversation.view(into);
        }
        (&self.acks, &self.unsettled, &self.behind, &self.unconsumed).hash(into);
        for asked in self.syncs.values().chain(self.page_requests.values()) {
            (asked.request, asked.conversation, asked.after, asked.retry_at.is_some()).hash(into);
        }
    }
}

impl Conversation {
    fn view(&self, into: &mut impl Hasher) {
        (self.cursor, self.chain, self.acked, self.confirmed, self.ack_due).hash(into);
        (self.read_wanted, self.read_confirmed, self.marks_retry_at.is_some(), self.head).hash(into);
        (self.gap, self.receipts_version, &self.receipts).hash(into);
        for (seq, held) in &self.held {
            (seq, held.prev, held.redelivered).hash(into);
        }
    }
}
