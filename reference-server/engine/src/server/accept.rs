//! Operations (messages and membership changes): dedup, order per device, admission, proposal.

use super::Effect;
use super::dedup::Known;
use super::state::{ConversationIx, DeviceIx, Proposal, Server};
use crate::chain;
use crate::codec::{Frame, RejectCode};
use crate::defects::Defect;
use crate::ids::{ConversationId, MessageId, Time};
use crate::journal::{Body, Entry, RecentId, Record};
use crate::limits;

/// Millionths, the unit of the rate limit's bucket.
const MILLION: u64 = 1_000_000;

/// An operation as it arrived.
#[derive(Clone, Debug)]
pub(super) struct Operation {
    id: MessageId,
    after: MessageId,
    pub(super) conversation: ConversationId,
    pub(super) body: Body,
}

/// An operation that arrived before its predecessor.
#[derive(Clone, Debug)]
pub(super) struct Held(Operation);

/// Why an operation is not taken.
enum Refusal {
    ForGood(RejectCode),
    ForNow,
}

impl Server {
    pub(super) fn on_operation_frame(&mut self, device: DeviceIx, frame: Frame) {
        let operation = match frame {
            Frame::Send { id, after, conversation, reply_to, payload } => {
                let conversation = self.routed(device, id, conversation);
                let cut = self.config.defects.has(Defect::PayloadCut);
                let payload = if cut { payload.slice(..payload.len().min(256)) } else { payload };
                Operation { id, after, conversation, body: Body::Message { reply_to, payload } }
            }
            Frame::Members { id, after, conversation, added, removed } => {
                Operation { id, after, conversation, body: Body::Members { added, removed } }
            }
            _ => return,
        };
        if self.on_operation(device, operation) {
            while let Some(next) = self.take_follower(device) {
                self.on_operation(device, next);
            }
        }
    }

    /// Judges one operation; answers whether what waited for it may go on: it was proposed, or refused for good.
    fn on_operation(&mut self, device: DeviceIx, operation: Operation) -> bool {
        let (id, conversation) = (operation.id, operation.conversation);
        if id == MessageId(0) {
            self.tell(device, &Frame::Rejected { id, code: RejectCode::Forbidden });
            return false;
        }
        let content = chain::content(conversation, &operation.body);
        let fingerprint = chain::fingerprint(&content);
        self.drop_held(device, id);
        match self.look(device, id, (conversation, fingerprint)) {
            Known::New => {}
            Known::Pending if self.config.defects.has(Defect::RejectOfCommitted) => {
                self.tell(device, &Frame::Rejected { id, code: RejectCode::Superseded });
                return false;
            }
            Known::Accepted(_) if self.config.defects.has(Defect::RetryUnanswered) => return false,
            Known::Pending => {
                self.stats.dedup_hits += 1;
                return false;
            }
            Known::Accepted(seq) => {
                self.stats.dedup_hits += 1;
                self.tell(device, &Frame::Accepted { id, conversation, seq });
                return false;
            }
            Known::Refused(code) => {
                self.refuse(device, (id, fingerprint), (code, operation.after));
                return true;
            }
        }
        if !self.devices[device].dedup.is_settled(operation.after) {
            self.hold(device, operation);
            return false;
        }
        match self.admit(device, &operation) {
            Ok(()) => {
                self.propose_entry(device, operation, &content);
                true
            }
            Err(Refusal::ForGood(code)) => {
                self.refuse(device, (id, fingerprint), (code, operation.after));
                self.refused(device, operation, &content);
                true
            }
            Err(Refusal::ForNow) => {
                self.retry_later(device, id);
                false
            }
        }
    }

    /// Refuses for good: also what the refusal depends on may be taken back by the journal, and the answer must stay.
    fn refuse(
        &mut self,
        device: DeviceIx,
        (id, fingerprint): (MessageId, u64),
        (code, after): (RejectCode, MessageId),
    ) {
        self.stats.rejected += 1;
        if code != RejectCode::StaleId {
            self.devices[device].dedup.refuse((id, fingerprint), code, after);
        }
        self.tell(device, &Frame::Rejected { id, code });
    }

    pub(super) fn retry_later(&mut self, device: DeviceIx, id: MessageId) {
        self.stats.retry_later += 1;
        let after_ms = self.config.retry_later_ms;
        self.tell(device, &Frame::RetryLater { id, after_ms });
    }

    fn admit(&mut self, device: DeviceIx, operation: &Operation) -> Result<(), Refusal> {
        let known = self.conversation_index.get(&operation.conversation).copied();
        self.check_operation(device, known, &operation.body).map_err(Refusal::ForGood)?;
        let pending = self.devices[device].pending;
        if self.entries_pending >= self.config.pending_max || pending >= limits::PENDING_PER_DEVICE {
            return Err(Refusal::ForNow);
        }
        if self.take_from_bucket(device) { Ok(()) } else { Err(Refusal::ForNow) }
    }

    fn check_operation(
        &self,
        device: DeviceIx,
        known: Option<ConversationIx>,
        body: &Body,
    ) -> Result<(), RejectCode> {
        let author = &self.devices[device];
        let belongs = known.is_some_and(|ix| self.conversations[ix].is_member_tentatively(author.user));
        match body {
            Body::Message { payload, .. } if payload.len() > self.config.payload_bytes_max => {
                Err(RejectCode::TooLarge)
            }
            Body::Message { .. } if known.is_none() => Err(RejectCode::UnknownConversation),
            _ if known.is_some() && !belongs => Err(RejectCode::NotMember),
            Body::Message { reply_to, .. } => {
                let last = known.map_or(0, |ix| self.conversations[ix].tentative_head);
                let fits = reply_to.is_none_or(|seq| seq > 0 && seq <= last);
                if fits { Ok(()) } else { Err(RejectCode::BadReply) }
            }
            Body::Members { .. }
                if known.is_none() && self.conversation_index.len() >= limits::CONVERSATIONS_MAX =>
            {
                Err(RejectCode::Forbidden)
            }
            Body::Members { added, removed } => self.check_members(known, author.key.user, added, removed),
        }
    }

    fn take_from_bucket(&mut self, device: DeviceIx) -> bool {
        let Some(per_s) = self.config.operations_per_s.map(u64::from) else {
            return true;
        };
        let now = self.now;
        let (since, level) = &mut self.devices[device].bucket;
        let gained = u128::from(now.0 - since.0) * u128::from(per_s) / 1_000;
        let full = per_s * MILLION;
        let fresh = *since == Time(0);
        let filled =
            if fresh { full } else { full.min(level.saturating_add(gained.min(u128::from(full)) as u64)) };
        let enough = filled >= MILLION;
        (*since, *level) = (now, if enough { filled - MILLION } else { filled });
        enough
    }

    pub(super) fn propose_entry(&mut self, device: DeviceIx, operation: Operation, content: &[u8; 32]) {
        let conversation = self.conversation(operation.conversation);
        let state = &mut self.conversations[conversation];
        let mut entry = Entry {
            seq: state.tentative_head + 1,
            author: self.devices[device].key,
            id: operation.id,
            at_ms: self.wall_ms,
            chain: chain::CHAIN_START,
            body: operation.body,
        };
        entry.chain = chain::link(&state.tentative_chain, &entry, content);
        state.tentative_head = entry.seq;
        state.tentative_chain = entry.chain;
        self.enter_members(conversation, entry.seq, &entry.body);
        let fingerprint = chain::fingerprint(content);
        let author = &mut self.devices[device];
        author.pending += 1;
        author.dedup.propose(RecentId {
            id: operation.id,
            conversation: operation.conversation,
            seq: entry.seq,
            fingerprint,
        });
        self.entries_pending += 1;
        if self.config.defects.has(Defect::AckBeforeCommit) {
            let (id, conversation, seq) = (entry.id, operation.conversation, entry.seq);
            self.tell(device, &Frame::Accepted { id, conversation, seq });
        }
        if self.config.defects.has(Defect::DeliverBeforeCommit) {
            self.push_uncommitted(conversation, &entry);
        }
        let record = Record::Entry { conversation: operation.conversation, fingerprint, entry };
        self.propose(device, conversation, record);
    }

    pub(super) fn propose(&mut self, device: DeviceIx, conversation: ConversationIx, record: Record) {
        if !self.keeps_proposals {
            self.effects.push_back(Effect::Propose(record.clone()));
        }
        self.proposals.push_back(Proposal { device, conversation, record });
    }

    fn hold(&mut self, device: DeviceIx, operation: Operation) {
        let bytes = body_bytes(&operation.body);
        let author = &mut self.devices[device];
        let fits = author.held.len() < limits::HELD_OPERATIONS_PER_DEVICE
            && author.held_bytes + bytes <= limits::HELD_OPERATION_BYTES_PER_DEVICE;
        if fits {
            author.held_bytes += bytes;
            author.held.insert(operation.id, Held(operation));
            self.stats.held += 1;
        } else {
            self.stats.held_overflow += 1;
        }
    }

    fn drop_held(&mut self, device: DeviceIx, id: MessageId) -> Option<Operation> {
        let author = &mut self.devices[device];
        if author.held.is_empty() {
            return None;
        }
        let Held(operation) = author.held.remove(&id)?;
        author.held_bytes -= body_bytes(&operation.body);
        Some(operation)
    }

    /// The oldest operation that waits for nothing any more.
    fn take_follower(&mut self, device: DeviceIx) -> Option<Operation> {
        let author = &self.devices[device];
        let mut held = author.held.iter();
        let follower = *held.find(|(_, Held(operation))| author.dedup.is_settled(operation.after))?.0;
        self.drop_held(device, follower)
    }
}

/// Payload bytes of an entry's body, for windows and pages.
pub(super) fn body_bytes(body: &Body) -> usize {
    match body {
        Body::Message { payload, .. } => payload.len(),
        Body::Members { added, removed } => (added.len() + removed.len()) * 8,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{DeviceId, DeviceKey, UserId};
    use crate::server::Config;

    /// A million conversations through the front door would take too long: here they are only names.
    #[test]
    fn conversations_of_a_server_are_limited() {
        let mut server = Server::empty(Config::default(), 0);
        let device = server.device(DeviceKey { user: UserId(1), device: DeviceId(0) });
        let make = Body::Members { added: vec![UserId(1)], removed: Vec::new() };
        server.conversation_index =
            (1..limits::CONVERSATIONS_MAX as u64).map(|id| (ConversationId(id), 0)).collect();
        assert_eq!(server.check_operation(device, None, &make), Ok(()));
        server.conversation_index.insert(ConversationId(0), 0);
        assert_eq!(server.check_operation(device, None, &make), Err(RejectCode::Forbidden));
    }
}
