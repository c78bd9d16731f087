//! The dedup window of one device: what became of its newest ids.

use std::collections::{BTreeMap, VecDeque};

use crate::codec::RejectCode;
use crate::ids::{ConversationId, MessageId, Seq};
use crate::journal::RecentId;
use crate::limits;

/// Ids of one device that were proposed, committed, or refused for good.
#[derive(Clone, Debug, Default)]
pub(super) struct Dedup {
    /// Proposed and committed, by rising id.
    taken: VecDeque<Taken>,
    committed: usize,
    /// Refused for good, with the fingerprint of what was refused; so that no late copy takes effect. Dies with the
    /// process, as all copies do.
    refused: BTreeMap<(MessageId, u64), Refusal>,
}

#[derive(Clone, Copy, Debug)]
struct Refusal {
    code: RejectCode,
    /// What the operation waited for itself; 0 = nothing.
    after: MessageId,
}

#[derive(Clone, Copy, Debug, Hash)]
struct Taken {
    recent: RecentId,
    committed: bool,
}

/// What an id means at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    New,
    /// Proposed; it is answered at the commit.
    Pending,
    Accepted(Seq),
    Refused(RejectCode),
}

impl Dedup {
    pub(super) fn recovered(recent: &[RecentId]) -> Self {
        let taken: VecDeque<_> =
            recent.iter().map(|recent| Taken { recent: *recent, committed: true }).collect();
        Self { committed: taken.len(), taken, refused: BTreeMap::new() }
    }

    /// What is known of an operation.
    pub(super) fn look(&self, id: MessageId, conversation: ConversationId, fingerprint: u64) -> Known {
        let newest = self.taken.back().map_or(MessageId(0), |taken| taken.recent.id);
        if id > newest && self.refused.is_empty() {
            return Known::New;
        }
        if let Ok(at) = self.find(id) {
            let Taken { recent, committed } = self.taken[at];
            return match committed {
                _ if recent.fingerprint != fingerprint || recent.conversation != conversation => {
                    Known::Refused(RejectCode::IdConflict)
                }
                true => Known::Accepted(recent.seq),
                false => Known::Pending,
            };
        }
        if let Some(code) = self.refusal(id, fingerprint) {
            return Known::Refused(code);
        }
        if self.is_below_window(id) {
            return Known::Refused(RejectCode::StaleId);
        }
        let after = self.taken.partition_point(|taken| taken.recent.id < id);
        if self.taken.range(after..).any(|taken| taken.recent.conversation == conversation) {
            return Known::Refused(RejectCode::Superseded);
        }
        Known::New
    }

    /// Whether an operation that must come first has had its turn: it is in, or was refused for good after what it waited
    /// for itself, which must be in still: the journal may have taken it back.
    pub(super) fn is_settled(&self, id: MessageId) -> bool {
        let id = self.awaited(id);
        id == MessageId(0) || self.has(id)
    }

    /// Whether it is in: taken, or so old that it has left the window.
    fn has(&self, id: MessageId) -> bool {
        self.newest() == Some(id) || self.find(id).is_ok() || self.is_below_window(id)
    }

    /// What somebody who waits for `id` waits for: where that was refused for good, what it waited for itself.
    fn awaited(&self, mut id: MessageId) -> MessageId {
        while let Some(before) = self.refused_after(id).filter(|before| *before < id) {
            id = before;
        }
        id
    }

    fn refused_after(&self, id: MessageId) -> Option<MessageId> {
        let mut of_id = self.refused.range((id, 0)..=(id, u64::MAX)).map(|(_, refusal)| refusal);
        of_id.find(|refusal| refusal.code != RejectCode::IdConflict).map(|refusal| refusal.after)
    }

    pub(super) fn propose(&mut self, recent: RecentId) {
        let taken = Taken { recent, committed: false };
        if self.newest().is_none_or(|newest| newest < recent.id) {
            return self.taken.push_back(taken);
        }
        let at = self.taken.partition_point(|taken| taken.recent.id < recent.id);
        self.taken.insert(at, taken);
    }

    /// The id is durable: now, and not earlier, the oldest may leave.
    pub(super) fn commit(&mut self, id: MessageId) {
        // Ids are mostly proposed and committed as they rise: then the committed ones come first.
        let next = self.taken.get(self.committed).filter(|taken| taken.recent.id == id);
        if let Ok(at) = next.map_or_else(|| self.find(id), |_| Ok(self.committed)) {
            self.taken[at].committed = true;
            self.committed += 1;
        }
        while self.committed > limits::DEDUP_IDS_PER_DEVICE {
            let oldest = self.taken.iter().position(|taken| taken.committed);
            self.taken.remove(oldest.unwrap_or(0));
            self.committed -= 1;
        }
    }

    /// The newest id, whatever became of it.
    pub(super) fn newest(&self) -> Option<MessageId> {
        self.taken.back().map(|taken| taken.recent.id)
    }

    /// Where an accepted id went.
    pub(super) fn seq_of(&self, id: MessageId) -> Option<Seq> {
        self.find(id).ok().map(|at| self.taken[at].recent.seq)
    }

    /// Forgets the newest or the oldest committed id. The window itself never does the one, nor the other before it is full.
    pub(super) fn forget_one(&mut self, newest: bool) {
        let mut committed = (0..self.taken.len()).filter(|at| self.taken[*at].committed);
        if let Some(at) = if newest { committed.next_back() } else { committed.next() } {
            self.taken.remove(at);
            self.committed -= 1;
        }
    }

    /// How many ids are committed.
    pub(super) fn committed(&self) -> usize {
        self.committed
    }

    pub(super) fn roll_back(&mut self, id: MessageId) {
        if let Ok(at) = self.find(id) {
            self.taken.remove(at);
        }
    }

    pub(super) fn refuse(&mut self, id: (MessageId, u64), code: RejectCode, after: MessageId) {
        // A chain of refusals is kept short: whoever asks later has one step to go.
        let after = self.awaited(after);
        self.refused.insert(id, Refusal { code, after });
        if self.refused.len() > limits::REFUSED_IDS_PER_DEVICE {
            self.refused.pop_first();
        }
    }

    /// A conflict concerns that content only; every other refusal concerns the id.
    fn refusal(&self, id: MessageId, fingerprint: u64) -> Option<RejectCode> {
        let of_id = self.refused.range((id, 0)..=(id, u64::MAX));
        of_id
            .filter(|((_, refused), it)| it.code != RejectCode::IdConflict || *refused == fingerprint)
            .map(|(_, it)| it.code)
            .next()
    }

    /// What decides how it goes on (see the server's view).
    #[cfg(test)]
    pub(super) fn view(&self, into: &mut impl std::hash::Hasher) {
        use std::hash::Hash;
        (&self.taken, self.committed).hash(into);
        self.refused.iter().for_each(|(id, refusal)| (id, refusal.code as u8, refusal.after).hash(into));
    }

    fn find(&self, id: MessageId) -> Result<usize, usize> {
        self.taken.binary_search_by_key(&id, |taken| taken.recent.id)
    }

    /// The window is full and the id is older than all in it. Depends on committed ids only, so it is
    /// the same before and after a restart.
    fn is_below_window(&self, id: MessageId) -> bool {
        self.committed >= limits::DEDUP_IDS_PER_DEVICE
            && self.taken.iter().find(|taken| taken.committed).is_some_and(|taken| id < taken.recent.id)
    }
}
