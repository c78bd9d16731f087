//! Operations on their way to the server: in order, a bounded number at a time, until answered.

use super::Observation;
use super::state::{Client, Operation, Timer};
use crate::backoff::after_ms;
use crate::codec::{RejectCode, encode_operation};
use crate::defects::Defect;
use crate::ids::{ConversationId, MessageId, Seq, Time};
use crate::journal::Body;
use crate::limits;

/// Marks the ids of [`Defect::RetryWithNewId`]: above all that an application gives.
const RENAMED: u64 = 1 << 62;

impl Client {
    pub(super) fn queue(&mut self, id: MessageId, conversation: ConversationId, body: Body) {
        if self.operations.len() >= limits::OPERATIONS_QUEUED_MAX {
            self.observe(Observation::Rejected { id, code: "queue-full" });
            return;
        }
        let fresh = Operation { conversation, body, ordinal: None, attempts: 0, retry_at: None };
        if let std::collections::btree_map::Entry::Vacant(slot) = self.operations.entry(id) {
            slot.insert(fresh);
            self.waiting.insert(id);
            self.start_operations();
        }
    }

    pub(super) fn cancel(&mut self, id: MessageId) {
        self.settle(id);
    }

    /// Starts what may be started, lowest ids first.
    fn start_operations(&mut self) {
        while self.is_logged_in() && self.has_room() {
            let Some(id) = self.waiting.pop_first() else {
                return;
            };
            if let Some(operation) = self.operations.get_mut(&id) {
                operation.ordinal = Some(self.ordinal_next);
                self.started.push_back(self.ordinal_next);
                self.ordinal_next += 1;
            }
            self.transmit_operation(id);
        }
    }

    /// Counted from the oldest unanswered one: what was answered after it counts, too.
    fn has_room(&self) -> bool {
        let oldest = self.started.front().copied().unwrap_or(self.ordinal_next);
        self.ordinal_next - oldest < limits::OPERATIONS_IN_FLIGHT
    }

    fn transmit_operation(&mut self, id: MessageId) {
        let mut up_to_it = self.operations.range(..=id).rev();
        let Some((_, operation)) = up_to_it.next().filter(|(last, _)| **last == id) else {
            return;
        };
        let (conversation, attempts) = (operation.conversation, operation.attempts);
        let after = up_to_it.find(|(_, other)| other.conversation == conversation && other.ordinal.is_some());
        let after = after.map_or(MessageId(0), |(id, _)| *id);
        let renamed = self.config.defects.has(Defect::RetryWithNewId) && attempts > 0;
        let name = if renamed { MessageId(id.0 | RENAMED) } else { id };
        let frame = encode_operation((name, after), conversation, &operation.body, &mut self.scratch);
        self.transmit_bytes(frame);
        if attempts > 0 {
            self.stats.operations_retried += 1;
            self.observe(Observation::Retried { id, attempt: attempts });
        }
        let at = self.config.retry.at(self.now, attempts, &mut self.random);
        let overflows = self.config.defects.has(Defect::BackoffOverflows) && attempts >= 2;
        let at = (!overflows).then_some(at);
        if let Some(operation) = self.operations.get_mut(&id) {
            operation.attempts += 1;
            let old = std::mem::replace(&mut operation.retry_at, at);
            self.set_timer(Timer::Operation(id), old, at);
        }
    }

    fn set_operation_timer(&mut self, id: MessageId, at: Option<Time>) {
        if let Some(operation) = self.operations.get_mut(&id) {
            let old = std::mem::replace(&mut operation.retry_at, at);
            self.set_timer(Timer::Operation(id), old, at);
        }
    }

    pub(super) fn on_operation_timer(&mut self, id: MessageId) {
        if let Some(operation) = self.operations.get_mut(&id) {
            operation.retry_at = None;
            if self.is_logged_in() {
                self.transmit_operation(id);
            }
        }
    }

    pub(super) fn suspend_operations(&mut self) {
        let timed = self.operations.iter().filter(|(_, operation)| operation.retry_at.is_some());
        let ids: Vec<MessageId> = timed.map(|(id, _)| *id).collect();
        for id in ids {
            self.set_operation_timer(id, None);
        }
    }

    /// After login: what was under way goes out again, oldest first; then what waits.
    pub(super) fn resume_operations(&mut self) {
        let started = self.operations.iter().filter(|(_, operation)| operation.ordinal.is_some());
        let ids: Vec<MessageId> = started.map(|(id, _)| *id).collect();
        for id in ids {
            self.transmit_operation(id);
        }
        self.start_operations();
    }

    pub(super) fn on_accepted(&mut self, id: MessageId, conversation: ConversationId, seq: Seq) {
        let renamed = self.config.defects.has(Defect::RetryWithNewId);
        let id = if renamed { MessageId(id.0 & !RENAMED) } else { id };
        if self.settle(id).is_some() {
            self.observe(Observation::Accepted { id, conversation, seq });
        }
    }

    pub(super) fn on_rejected(&mut self, id: MessageId, code: RejectCode) {
        let Some(operation) = self.settle(id) else {
            return;
        };
        let word = code.as_str();
        self.observe(match code {
            RejectCode::StaleId => Observation::Indefinite { id, code: word },
            _ => Observation::Rejected { id, code: word },
        });
        // Its successor waits at the server for a predecessor that will never be: say so.
        let mut later = self.operations.range(id..);
        let next =
            later.find(|(_, other)| other.conversation == operation.conversation && other.ordinal.is_some());
        if let Some((next, _)) = next {
            let next = *next;
            self.transmit_operation(next);
        }
    }

    pub(super) fn on_retry_later(&mut self, id: MessageId, wait_ms: u32) {
        let wait = u64::from(wait_ms);
        let jitter_ms = self.random.below(wait / 2 + 1);
        let at = after_ms(self.now, wait + jitter_ms);
        self.set_operation_timer(id, Some(at));
    }

    /// An operation is over.
    fn settle(&mut self, id: MessageId) -> Option<Operation> {
        let operation = self.operations.remove(&id)?;
        self.set_timer(Timer::Operation(id), operation.retry_at, None);
        match operation.ordinal {
            Some(ordinal) => {
                let at = self.started.binary_search(&ordinal);
                at.ok().and_then(|at| self.started.remove(at)).is_some()
            }
            None => self.waiting.remove(&id),
        };
        self.start_operations();
        Some(operation)
    }
}
