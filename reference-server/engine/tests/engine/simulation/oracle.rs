//! What must be true, computed from the committed logs alone.

use std::collections::{BTreeMap, BTreeSet};

use avouch_engine::ids::{ConversationId, DeviceKey, MessageId, Seq, UserId};
use avouch_engine::journal::{Body, Entry, Memory};
use avouch_engine::{chain, limits};

/// Positions of a log that a user may see.
pub(crate) fn visible(log: &[Entry], user: UserId) -> Vec<Seq> {
    let mut member = false;
    let mut seen = Vec::new();
    for entry in log {
        let leaves = matches!(&entry.body, Body::Members { removed, .. } if removed.contains(&user));
        let joins = matches!(&entry.body, Body::Members { added, .. } if added.contains(&user));
        if member || joins {
            seen.push(entry.seq);
        }
        member = (member || joins) && !leaves;
    }
    seen
}

pub(crate) fn is_member(log: &[Entry], user: UserId) -> bool {
    log.iter().fold(false, |member, entry| match &entry.body {
        Body::Members { added, removed } => (member || added.contains(&user)) && !removed.contains(&user),
        Body::Message { .. } => member,
    })
}

/// What clients were told, and checks of it.
#[derive(Default)]
pub(crate) struct Oracle {
    accepted: BTreeMap<(DeviceKey, MessageId), (ConversationId, Seq)>,
    rejected: BTreeSet<(DeviceKey, MessageId)>,
}

impl Oracle {
    pub(crate) fn accepted(
        &mut self,
        journal: &Memory,
        key: DeviceKey,
        id: MessageId,
        at: (ConversationId, Seq),
    ) {
        let (conversation, seq) = at;
        let entry = journal.log(conversation).get(seq as usize - 1);
        let entry = entry.unwrap_or_else(|| panic!("{id:?} was accepted at {at:?} before it was durable"));
        assert_eq!((entry.author, entry.id), (key, id), "accepted at somebody else's position");
        if let Some(before) = self.accepted.insert((key, id), at) {
            assert_eq!(before, at, "one id, two positions");
        }
    }

    /// The device's oldest accepted ids, at most `count`.
    pub(crate) fn oldest(&self, key: DeviceKey, count: usize) -> Vec<(MessageId, ConversationId, Seq)> {
        let of_device = self.accepted.range((key, MessageId(0))..=(key, MessageId(u64::MAX)));
        of_device.take(count).map(|((_, id), (conversation, seq))| (*id, *conversation, *seq)).collect()
    }

    /// An id may be called stale only when the whole window is above it.
    pub(crate) fn stale(journal: &Memory, conversations: u64, key: DeviceKey, id: MessageId) {
        let all = (1..=conversations).flat_map(|conversation| journal.log(ConversationId(conversation)));
        let above = all.filter(|entry| entry.author == key && entry.id > id).count();
        assert!(above >= limits::DEDUP_IDS_PER_DEVICE, "{id:?} of {key:?} is stale below {above} ids");
    }

    pub(crate) fn rejected(&mut self, key: DeviceKey, id: MessageId) {
        self.rejected.insert((key, id));
    }

    pub(crate) fn check_logs(&self, journal: &Memory, conversations: u64) {
        let mut ids = BTreeSet::new();
        for conversation in (1..=conversations).map(ConversationId) {
            let mut before = chain::CHAIN_START;
            let mut newest: BTreeMap<DeviceKey, MessageId> = BTreeMap::new();
            let log = journal.log(conversation);
            for entry in log {
                before = chain::next(&before, conversation, entry);
                assert_eq!(before, entry.chain, "the log's own chain");
                assert!(ids.insert((entry.author, entry.id)), "{:?} {:?} twice", entry.author, entry.id);
                let last = newest.insert(entry.author, entry.id);
                assert!(last.is_none_or(|last| last < entry.id), "order of one sender: {last:?} {entry:?}");
                assert!(!self.rejected.contains(&(entry.author, entry.id)), "refused, and took effect");
                let upto = &log[..entry.seq as usize - 1];
                let creates = entry.seq == 1;
                assert!(creates || is_member(upto, entry.author.user), "author is no member: {entry:?}");
            }
        }
        for ((key, id), (conversation, seq)) in &self.accepted {
            let entry = journal.log(*conversation).get(*seq as usize - 1);
            assert!(entry.is_some_and(|entry| (entry.author, entry.id) == (*key, *id)), "{id:?} was lost");
        }
    }
}
