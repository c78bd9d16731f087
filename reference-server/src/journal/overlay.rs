//! Records of one generation of the log, in memory until the store has them: what reads look into after the store, and
//! what a checkpoint brings there.

use std::collections::BTreeMap;
use std::mem::size_of;

use avouch_engine::ids::ConversationId;
use avouch_engine::journal::{Body, Entry, Query, Record};

use super::log::Position;

/// What a generation holds.
#[derive(Debug, Default)]
pub(super) struct Overlay {
    /// The entries of each conversation, in order and without a gap.
    logs: BTreeMap<ConversationId, Vec<Logged>>,
    /// Everything else, in order. No record of the one kind says anything about one of the other.
    rest: Vec<Record>,
    bytes: usize,
    /// Where the log was after the last of them.
    pub(super) position: Position,
}

/// An entry, and the fingerprint of its body.
#[derive(Debug)]
pub(super) struct Logged {
    pub(super) fingerprint: u64,
    pub(super) entry: Entry,
}

impl Overlay {
    pub(super) fn at(position: Position) -> Self {
        Self { position, ..Self::default() }
    }

    pub(super) fn add(&mut self, records: impl IntoIterator<Item = Record>, position: Position) {
        for record in records {
            self.bytes += size_of::<Record>();
            match record {
                Record::Entry { conversation, fingerprint, entry } => {
                    self.bytes += body_bytes(&entry.body);
                    self.logs.entry(conversation).or_default().push(Logged { fingerprint, entry });
                }
                other => self.rest.push(other),
            }
        }
        self.position = position;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.logs.is_empty() && self.rest.is_empty()
    }

    /// About what it takes of memory.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The entries of each conversation in order, by rising conversation.
    pub(super) fn logs(&self) -> impl Iterator<Item = (ConversationId, &[Logged])> {
        self.logs.iter().map(|(conversation, entries)| (*conversation, &entries[..]))
    }

    /// By rising conversation, then by position.
    pub(super) fn entries(&self) -> impl Iterator<Item = (ConversationId, &Logged)> {
        self.logs
            .iter()
            .flat_map(|(conversation, entries)| entries.iter().map(move |entry| (*conversation, entry)))
    }

    pub(super) fn rest(&self) -> &[Record] {
        &self.rest
    }

    /// The entries from a position on, if that position is here.
    fn tail(&self, conversation: ConversationId, seq: u64) -> Option<&[Logged]> {
        let log = self.logs.get(&conversation)?;
        let index = usize::try_from(seq.checked_sub(log.first()?.entry.seq)?).ok()?;
        log.get(index..).filter(|tail| !tail.is_empty())
    }

    /// Whether the entry at a position is here.
    pub(super) fn holds(&self, conversation: ConversationId, seq: u64) -> bool {
        self.tail(conversation, seq).is_some()
    }
}

/// A page in the making.
#[derive(Debug)]
pub(super) struct Page {
    conversation: ConversationId,
    entries_max: usize,
    payload_bytes_max: usize,
    /// The position of the entry that is wanted next; `None` at the end of all numbers.
    next: Option<u64>,
    payload_bytes: usize,
    is_full: bool,
    entries: Vec<Entry>,
}

impl Page {
    pub(super) fn new(query: &Query) -> Self {
        Self {
            conversation: query.conversation,
            entries_max: query.entries_max,
            payload_bytes_max: query.payload_bytes_max,
            next: query.after.checked_add(1),
            payload_bytes: 0,
            is_full: query.entries_max == 0,
            entries: Vec::new(),
        }
    }

    pub(super) fn conversation(&self) -> ConversationId {
        self.conversation
    }

    /// What is wanted, if anything is.
    pub(super) fn next(&self) -> Option<u64> {
        self.next.filter(|_| !self.is_full)
    }

    /// Takes the next entry, if there is room for it; at least one goes in.
    pub(super) fn push(&mut self, entry: Entry) {
        self.payload_bytes += body_bytes(&entry.body);
        if self.payload_bytes > self.payload_bytes_max && !self.entries.is_empty() {
            self.is_full = true;
            return;
        }
        self.next = entry.seq.checked_add(1);
        self.entries.push(entry);
        self.is_full = self.entries.len() >= self.entries_max;
    }

    /// Goes on with what a generation has.
    pub(super) fn fill(&mut self, overlay: &Overlay) {
        let Some(next) = self.next() else { return };
        for logged in overlay.tail(self.conversation, next).into_iter().flatten() {
            self.push(logged.entry.clone());
            if self.is_full {
                return;
            }
        }
    }

    pub(super) fn into_entries(self) -> Vec<Entry> {
        self.entries
    }
}

pub(super) fn body_bytes(body: &Body) -> usize {
    match body {
        Body::Message { payload, .. } => payload.len(),
        Body::Members { added, removed } => 8 * (added.len() + removed.len()),
    }
}
