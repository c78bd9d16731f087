//! Which operation made which membership change.
//!
//! A history tells a change in up to two ways: devices see it at a position, and whoever asked for it is told so. Two
//! operations can ask for the same thing (remove, add, remove again), so what a change does says nothing of whose it is;
//! only the ack names the position. Until then the change counts with the earliest time at which it can have been asked for.

use std::collections::BTreeMap;

use avouch_reports::history::User;

use super::Index;
use super::state::{CHANGE_SLOT, NEVER, flag};

/// What a membership operation asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) added: Vec<User>,
    pub(super) removed: Vec<User>,
}

/// Memory: one entry per operation without an ack, and one per position that no ack named.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// Operations of which no effect is known, by slot.
    open: BTreeMap<u32, Asked>,
    /// Changes that somebody saw, by conversation and position, with the time at which it was known first.
    seen: BTreeMap<(u32, u64), (u64, Asked)>,
}

impl Changes {
    /// A new operation.
    pub(super) fn ask(&mut self, slot: u32, asked: Asked) {
        self.open.insert(slot, asked);
    }

    /// Whether one of the changes that were seen can be an operation's: the newest such one is its, then.
    fn claim(&mut self, conversation: u32, asked_at_ns: u64, asked: &Asked) -> bool {
        let mut there = self.seen.range((conversation, 0)..=(conversation, u64::MAX)).rev();
        let its = there.find(|(_, (known_at_ns, change))| *known_at_ns >= asked_at_ns && change == asked);
        let Some(at) = its.map(|(at, _)| *at) else { return false };
        self.seen.remove(&at).is_some()
    }
}

impl Index {
    /// A change that some device saw: applied once.
    pub(super) fn changed(&mut self, at_ns: u64, conversation: u32, seq: Option<u64>, change: &Asked) {
        let alike = self.changes.open.iter().filter(|(slot, asked)| {
            *asked == change && self.lanes[self.messages[**slot].lane as usize].conversation == conversation
        });
        let earliest = alike.map(|(slot, _)| *slot).next();
        let asked_at_ns = earliest.map_or(0, |slot| self.messages[slot].sent_at_ns);
        let state = &mut self.conversations[conversation as usize];
        match (seq, earliest) {
            (Some(seq), _) if state.positions.get(seq).is_some() => return,
            (Some(seq), _) => {
                state.positions.set(seq, CHANGE_SLOT);
                state.head = state.head.max(seq);
                self.changes.seen.insert((conversation, seq), (at_ns, change.clone()));
            }
            (None, Some(slot)) => {
                self.changes.open.remove(&slot);
            }
            // Without positions, a change that was applied already cannot be told from a second one.
            (None, None) => return,
        }
        state.members.change((&change.added, &change.removed), seq, asked_at_ns, at_ns);
    }

    /// An operation took effect, at a position if the protocol has them.
    pub(super) fn change_accepted(&mut self, at_ns: u64, slot: u32, seq: Option<u64>) {
        let Some(asked) = self.changes.open.remove(&slot) else { return };
        let (lane, asked_at_ns) = (self.messages[slot].lane as usize, self.messages[slot].sent_at_ns);
        let conversation = self.lanes[lane].conversation;
        let seen = match seq {
            Some(seq) => self.changes.seen.remove(&(conversation, seq)).is_some(),
            None => self.changes.claim(conversation, asked_at_ns, &asked),
        };
        if !seen {
            let members = &mut self.conversations[conversation as usize].members;
            members.change((&asked.added, &asked.removed), seq, asked_at_ns, at_ns);
        }
    }

    /// Ends the history: operations of which nothing became known, and which made none of the changes that were seen,
    /// stay uncertain for ever.
    pub(crate) fn close(&mut self) {
        // The latest first: of several that are alike the earliest stays open, and an earlier doubt excuses more.
        while let Some((slot, asked)) = self.changes.open.pop_last() {
            let (lane, asked_at_ns) = (self.messages[slot].lane as usize, self.messages[slot].sent_at_ns);
            let conversation = self.lanes[lane].conversation;
            if self.messages[slot].is(flag::REJECTED) || self.changes.claim(conversation, asked_at_ns, &asked)
            {
                continue;
            }
            let members = &mut self.conversations[conversation as usize].members;
            members.change((&asked.added, &asked.removed), None, asked_at_ns, NEVER);
        }
    }
}
