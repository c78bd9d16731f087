//! Who belonged to a conversation, at a position where positions are known, else at a time.
//!
//! By time there is always a stretch in which a change may or may not have taken effect; there the answer is
//! [`Belongs::Unsure`], and a checker must neither demand nor forbid.

use std::collections::BTreeMap;

use avouch_reports::history::User;

use super::state::{MessageState, NEVER};

/// Whether a user belonged to a conversation when a message was committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Belongs {
    /// Surely.
    Yes,
    /// Surely not: not yet.
    NotYet,
    /// Surely not: no longer.
    NoLonger,
    /// It cannot be told.
    Unsure,
}

/// One change of one user.
#[derive(Clone, Copy, Debug)]
struct Change {
    /// Position; 0 for a member from the start, [`NEVER`] when not known.
    seq: u64,
    /// It cannot have taken effect before this.
    asked_at_ns: u64,
    /// It had taken effect by then; [`NEVER`] for an operation of which nothing more is known.
    known_at_ns: u64,
    joined: bool,
}

/// Memory: 32 bytes per member and change.
#[derive(Clone, Debug, Default)]
pub(crate) struct Members {
    /// Changes of each user, by position (then by time).
    of: BTreeMap<User, Vec<Change>>,
    /// Rises with every change.
    pub(crate) version: u32,
    /// Whether anything changed after the start.
    pub(crate) changed: bool,
    /// Members now, as far as known.
    pub(crate) now: u32,
}

impl Members {
    /// Members from the start.
    pub(crate) fn start(&mut self, users: &[User]) {
        for &user in users {
            self.put(user, Change { seq: 0, asked_at_ns: 0, known_at_ns: 0, joined: true });
        }
        self.version += 1;
    }

    /// A change that took effect (or may have: `known_at_ns` is [`NEVER`]).
    pub(crate) fn change(
        &mut self,
        who: (&[User], &[User]),
        seq: Option<u64>,
        asked_at_ns: u64,
        known_at_ns: u64,
    ) {
        let seq = seq.unwrap_or(NEVER);
        for (users, joined) in [(who.0, true), (who.1, false)] {
            for &user in users {
                self.put(user, Change { seq, asked_at_ns, known_at_ns, joined });
            }
        }
        self.version += 1;
        self.changed = true;
    }

    fn put(&mut self, user: User, change: Change) {
        let changes = self.of.entry(user).or_default();
        let was = changes.last().is_some_and(|c| c.joined);
        let at = changes.partition_point(|c| (c.seq, c.known_at_ns) <= (change.seq, change.known_at_ns));
        changes.insert(at, change);
        let is = changes.last().is_some_and(|c| c.joined);
        self.now = (self.now + u32::from(is && !was)).saturating_sub(u32::from(was && !is));
    }

    /// Everybody who ever belonged.
    pub(crate) fn ever(&self) -> impl Iterator<Item = User> {
        self.of.keys().copied()
    }

    /// Whether a user ever belonged, or may have.
    pub(crate) fn was_member(&self, user: User) -> bool {
        self.of.contains_key(&user)
    }

    /// Whether a user belongs, as far as known, at the end, with no change of which nothing is known.
    pub(crate) fn is_member_now(&self, user: User) -> bool {
        self.of.get(&user).is_some_and(|changes| {
            changes.last().is_some_and(|c| c.joined) && changes.iter().all(|c| c.known_at_ns != NEVER)
        })
    }

    /// Whether a user belonged from the start and without interruption, surely.
    pub(crate) fn always(&self, user: User) -> bool {
        self.of.get(&user).is_some_and(|changes| changes.iter().all(|c| c.joined) && changes[0].seq == 0)
    }

    /// Whether a user belonged when a message was committed.
    pub(crate) fn at(&self, user: User, message: &MessageState) -> Belongs {
        let Some(changes) = self.of.get(&user) else { return Belongs::NotYet };
        if !self.changed {
            return Belongs::Yes;
        }
        let unknown = changes.iter().any(|c| c.known_at_ns == NEVER && message.acked_at_ns >= c.asked_at_ns);
        let mut certain = changes.iter().filter(|c| c.known_at_ns != NEVER);
        if unknown {
            return Belongs::Unsure;
        }
        if message.seq != 0 && certain.clone().all(|c| c.seq != NEVER) {
            return match certain.rfind(|c| c.seq <= message.seq) {
                None => Belongs::NotYet,
                Some(last) if last.joined => Belongs::Yes,
                Some(_) => Belongs::NoLonger,
            };
        }
        Self::by_time(certain, message)
    }

    /// Whether a user belonged at a position.
    pub(crate) fn at_position(&self, user: User, seq: u64) -> Belongs {
        let Some(changes) = self.of.get(&user) else { return Belongs::NotYet };
        if changes.iter().any(|c| c.known_at_ns == NEVER || c.seq == NEVER) {
            return Belongs::Unsure;
        }
        match changes.iter().rfind(|c| c.seq <= seq) {
            None => Belongs::NotYet,
            Some(last) if last.joined => Belongs::Yes,
            Some(_) => Belongs::NoLonger,
        }
    }

    fn by_time<'a>(changes: impl Iterator<Item = &'a Change>, message: &MessageState) -> Belongs {
        // Every change must surely lie before the message or surely after it.
        let mut state = Belongs::NotYet;
        for change in changes {
            let before = change.seq == 0 || change.known_at_ns < message.sent_at_ns;
            let after = message.acked_at_ns != NEVER && message.acked_at_ns < change.asked_at_ns;
            match (before, after) {
                (true, _) if change.joined => state = Belongs::Yes,
                (true, _) => state = Belongs::NoLonger,
                (_, true) => {}
                _ => return Belongs::Unsure,
            }
        }
        state
    }
}
