//! Records of one generation of the log, in memory until the store has them: what reads look into after the store, and
//! what a checkpoint brings there. Entries stay in the blocks that they were written in.

use std::collections::BTreeMap;
use std::mem::size_of;

use avouch_engine::ids::{ConversationId, Seq};
use avouch_engine::journal::{Body, Entry, Query, Record};

use super::batch::Batch;
use super::log::Position;
use super::rows::decode_entry;

/// What a generation holds.
#[derive(Debug, Default)]
pub(super) struct Overlay {
    blocks: Vec<Vec<u8>>,
    logs: BTreeMap<ConversationId, Log>,
    /// Everything else, in order. No record of the one kind says anything about one of the other.
    rest: Vec<Record>,
    bytes: usize,
    /// Where the log was after the last of them.
    pub(super) position: Position,
}

/// The entries of one conversation, in order and without a gap.
#[derive(Debug)]
struct Log {
    first: Seq,
    entries: Vec<Place>,
}

/// Where an entry is.
#[derive(Clone, Copy, Debug)]
struct Place {
    fingerprint: u64,
    block: u32,
    from: u32,
    to: u32,
}

/// An encoded entry (see `rows`), and the fingerprint of its body.
#[derive(Clone, Copy, Debug)]
pub(super) struct Logged<'a> {
    pub(super) seq: Seq,
    pub(super) fingerprint: u64,
    pub(super) bytes: &'a [u8],
}

impl Logged<'_> {
    pub(super) fn decode(&self) -> Entry {
        decode_entry(self.seq, self.bytes).expect("what a batch encoded can be decoded")
    }
}

impl Overlay {
    pub(super) fn at(position: Position) -> Self {
        Self { position, ..Self::default() }
    }

    /// Takes a batch in, with the block that it was written as.
    pub(super) fn add(&mut self, batch: Batch, block: Vec<u8>, position: Position) {
        let index = self.blocks.len() as u32;
        self.bytes += block.capacity()
            + batch.entries.len() * size_of::<Place>()
            + batch.rest.len() * size_of::<Record>();
        for placed in batch.entries {
            let log = self
                .logs
                .entry(placed.conversation)
                .or_insert_with(|| Log { first: placed.seq, entries: Vec::new() });
            let (fingerprint, from, to) = (placed.fingerprint, placed.from, placed.to);
            log.entries.push(Place { fingerprint, block: index, from, to });
        }
        self.rest.extend(batch.rest);
        self.blocks.push(block);
        self.position = position;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.logs.is_empty() && self.rest.is_empty()
    }

    /// About what it takes of memory.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The entries of a conversation in order, from a position on, if that position is here.
    pub(super) fn entries_from(
        &self,
        conversation: ConversationId,
        seq: Seq,
    ) -> impl Iterator<Item = Logged<'_>> {
        let from = self
            .logs
            .get(&conversation)
            .and_then(|log| log.entries.get(usize::try_from(seq.checked_sub(log.first)?).ok()?..));
        from.into_iter().flat_map(move |places| {
            (seq..).zip(places).map(|(seq, place)| {
                let bytes = &self.blocks[place.block as usize][place.from as usize..place.to as usize];
                Logged { seq, fingerprint: place.fingerprint, bytes }
            })
        })
    }

    /// All entries of each conversation in order, by rising conversation.
    pub(super) fn logs(&self) -> impl Iterator<Item = (ConversationId, impl Iterator<Item = Logged<'_>>)> {
        self.logs
            .iter()
            .map(|(conversation, log)| (*conversation, self.entries_from(*conversation, log.first)))
    }

    pub(super) fn rest(&self) -> &[Record] {
        &self.rest
    }

    /// Whether the entry at a position is here.
    pub(super) fn holds(&self, conversation: ConversationId, seq: u64) -> bool {
        self.entries_from(conversation, seq).next().is_some()
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
        for logged in overlay.entries_from(self.conversation, next) {
            self.push(logged.decode());
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
