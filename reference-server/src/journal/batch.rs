//! Records that become durable together, as the bytes of a block of the log.
//!
//! Whoever has the records at hand encodes them here, once. The journal writes the block, keeps it as it is until the store
//! has its records, answers reads from it, and copies entries from it into the store.

use avouch_engine::ids::{ConversationId, Seq};
use avouch_engine::journal::Record;

use super::approximate_bytes;
use super::log::block::{BLOCK_HEADER_BYTES, begin_block};
use super::log::{ENTRY_AT, decode_record, encode_record, encoded_bytes};
use crate::disk::SECTOR_BYTES;

/// Where one batch is appended to another, more will follow: it gets at least this much room, in bytes.
const APPEND_BYTES: usize = 32 << 10;

/// A batch for [`super::Journal::commit`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// A block of the log, whose header is filled in when it is written.
    pub(super) block: Vec<u8>,
    /// What the block has of entries,
    pub(super) entries: Vec<Placed>,
    /// and everything else; both in order.
    pub(super) rest: Vec<Record>,
    /// Where in the block each record ends.
    ends: Vec<u32>,
    approximate_bytes: u64,
}

/// Where in its block an entry stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Placed {
    pub(super) conversation: ConversationId,
    pub(super) seq: Seq,
    pub(super) fingerprint: u64,
    pub(super) from: u32,
    pub(super) to: u32,
}

impl Batch {
    /// Of these records, in this order.
    pub fn of<'a>(records: impl Iterator<Item = &'a Record> + Clone) -> Self {
        let (mut entries, mut count, mut bytes) = (0, 0, 0);
        for record in records.clone() {
            entries += usize::from(matches!(record, Record::Entry { .. }));
            count += 1;
            bytes += encoded_bytes(record);
        }
        let mut batch = Self::with_room(entries, count - entries, bytes);
        for record in records {
            encode_record(record, &mut batch.block);
            batch.note(record, batch.block.len());
        }
        batch
    }

    /// Of records as they stand in a block that was read; `None` if they have no meaning.
    pub(super) fn read(records: &[u8]) -> Option<Self> {
        let mut batch = Self::with_room(0, 0, records.len());
        batch.block.extend_from_slice(records);
        let mut rest = records;
        while !rest.is_empty() {
            let record = decode_record(&mut rest)?;
            batch.note(&record, batch.block.len() - rest.len());
        }
        Some(batch)
    }

    /// The block stays in memory for a while: it gets the room that it needs, padding and all, and no more.
    fn with_room(entries: usize, rest: usize, bytes: usize) -> Self {
        let mut block = Vec::with_capacity((BLOCK_HEADER_BYTES + bytes).next_multiple_of(SECTOR_BYTES));
        begin_block(&mut block);
        Self {
            block,
            entries: Vec::with_capacity(entries),
            rest: Vec::with_capacity(rest),
            ends: Vec::with_capacity(entries + rest),
            approximate_bytes: 0,
        }
    }

    /// A record stands in the block, behind those before it, up to here.
    fn note(&mut self, record: &Record, end: usize) {
        let begin = self.ends.last().map_or(BLOCK_HEADER_BYTES, |end| *end as usize);
        self.approximate_bytes += approximate_bytes(record) as u64;
        match record {
            Record::Entry { conversation, fingerprint, entry } => self.entries.push(Placed {
                conversation: *conversation,
                seq: entry.seq,
                fingerprint: *fingerprint,
                from: (begin + ENTRY_AT) as u32,
                to: end as u32,
            }),
            other => self.rest.push(other.clone()),
        }
        self.ends.push(end as u32);
    }

    /// Goes on with what another has.
    pub(crate) fn append(&mut self, other: Self) {
        let shift = (self.block.len() - BLOCK_HEADER_BYTES) as u32;
        let records = &other.block[BLOCK_HEADER_BYTES..];
        if self.block.capacity() - self.block.len() < records.len() {
            self.block.reserve(records.len().max(APPEND_BYTES));
        }
        self.block.extend_from_slice(records);
        let moved = |placed: Placed| Placed { from: placed.from + shift, to: placed.to + shift, ..placed };
        self.entries.extend(other.entries.into_iter().map(moved));
        self.rest.extend(other.rest);
        self.ends.extend(other.ends.into_iter().map(|end| end + shift));
        self.approximate_bytes += other.approximate_bytes;
    }

    /// Cuts it behind so many records; answers the others.
    pub(crate) fn split_off(&mut self, count: usize) -> Self {
        let all_bytes = (self.block.len() - BLOCK_HEADER_BYTES).max(1) as u64;
        let cut = count.checked_sub(1).map_or(BLOCK_HEADER_BYTES as u32, |last| self.ends[last]);
        let shift = cut - BLOCK_HEADER_BYTES as u32;
        let others = self.block.split_off(cut as usize);
        let mut block =
            Vec::with_capacity((BLOCK_HEADER_BYTES + others.len()).next_multiple_of(SECTOR_BYTES));
        begin_block(&mut block);
        block.extend_from_slice(&others);
        let ends = self.ends.split_off(count).into_iter().map(|end| end - shift).collect();
        let entries = self.entries.split_off(self.entries.partition_point(|placed| placed.to <= cut));
        let moved = |placed: Placed| Placed { from: placed.from - shift, to: placed.to - shift, ..placed };
        let rest = self.rest.split_off(count - self.entries.len());
        let approximate_bytes = self.approximate_bytes * others.len() as u64 / all_bytes;
        self.approximate_bytes -= approximate_bytes;
        Self { block, entries: entries.into_iter().map(moved).collect(), rest, ends, approximate_bytes }
    }

    /// Gives room back that it does not need.
    pub(crate) fn shrink(&mut self) {
        self.block.shrink_to(self.block.len().next_multiple_of(SECTOR_BYTES));
    }

    /// How many records it has.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What it adds to the log, about.
    pub(crate) fn approximate_bytes(&self) -> u64 {
        self.approximate_bytes
    }
}

impl<T: AsRef<[Record]>> From<T> for Batch {
    fn from(records: T) -> Self {
        Self::of(records.as_ref().iter())
    }
}

#[cfg(test)]
mod tests {
    use avouch_engine::chain;
    use avouch_engine::ids::{DeviceId, DeviceKey, MessageId, UserId};
    use avouch_engine::journal::{Body, Entry};
    use bytes::Bytes;

    use super::*;

    fn record(number: u64) -> Record {
        let (conversation, device) = (ConversationId(1), DeviceKey { user: UserId(2), device: DeviceId(3) });
        if number.is_multiple_of(3) {
            return Record::Cursor { conversation, device, delivered: number, read: 0, version: number };
        }
        let body = Body::Message { reply_to: None, payload: Bytes::from(vec![7; number as usize]) };
        let entry =
            Entry { seq: number, author: device, id: MessageId(number), at_ms: 5, chain: [9; 32], body };
        Record::Entry { conversation, fingerprint: number, entry }
    }

    #[test]
    fn a_batch_that_is_cut_and_put_together_is_the_same() {
        let records: Vec<_> = (1..10).map(record).collect();
        for count in 0..=records.len() {
            let mut first = Batch::from(&records);
            let others = first.split_off(count);
            for (part, records) in [(&first, &records[..count]), (&others, &records[count..])] {
                let whole = Batch::from(records);
                assert_eq!((&part.block, &part.entries), (&whole.block, &whole.entries), "{count}");
                assert_eq!((&part.rest, &part.ends), (&whole.rest, &whole.ends), "{count}");
            }
            first.append(others);
            first.shrink();
            assert_eq!(first, Batch::from(&records));
        }
    }

    #[test]
    fn a_batch_that_is_read_back_is_the_same() {
        let records: Vec<_> = (1..10)
            .map(|number| match record(number) {
                Record::Entry { conversation, entry, .. } => {
                    let fingerprint = chain::fingerprint(&chain::content(conversation, &entry.body));
                    Record::Entry { conversation, fingerprint, entry }
                }
                other => other,
            })
            .collect();
        let batch = Batch::from(&records);
        let written = &batch.block[BLOCK_HEADER_BYTES..];
        assert_eq!(Batch::read(written).as_ref(), Some(&batch));
        assert_eq!(Batch::read(&written[..written.len() - 1]), None);
    }
}
