//! What one row of the store holds of a long list: a run of entries, or a run of ids. A row for each entry would cost a
//! checkpoint several times what it costs to write the log.
//!
//! ```text
//! run of entries  =  count 4 · (length 4 · entry) …      rising, without a gap; see `rows` for an entry
//! run of ids      =  (id 8 · conversation 8 · seq 8 · fingerprint 8) …      rising
//! ```
//!
//! All integers little endian. Changing anything here changes [`super::FORMAT_VERSION`].

use avouch_engine::ids::{Chain, ConversationId, MessageId, Seq};
use avouch_engine::journal::{Entry, RecentId};

use super::rows::{body_bytes_of, chain_of, decode_entry, take_u32};

/// Bytes of a run of entries, unless it has only one: together with its key it fills four pages of the store.
const ENTRY_RUN_BYTES_MAX: usize = 16_256;
/// Ids in a run.
pub(super) const IDS_PER_RUN: usize = 64;
const ID_BYTES: usize = 32;

/// A run of entries in the making.
#[derive(Debug, Default)]
pub(super) struct EntryRun {
    bytes: Vec<u8>,
    count: u32,
}

impl EntryRun {
    /// Whether an encoded entry would be too much.
    pub(super) fn is_full_for(&self, entry: &[u8]) -> bool {
        self.count > 0 && self.bytes.len() + body_bytes_of(entry) + ENTRY_BYTES > ENTRY_RUN_BYTES_MAX
    }

    /// Appends an encoded entry.
    pub(super) fn push(&mut self, entry: &[u8]) {
        if self.count == 0 {
            self.bytes.extend_from_slice(&[0; 4]);
        }
        self.bytes.extend_from_slice(&(entry.len() as u32).to_le_bytes());
        self.bytes.extend_from_slice(entry);
        self.count += 1;
    }

    /// The row, if there is anything in it.
    pub(super) fn row(&mut self) -> Option<&[u8]> {
        self.bytes.first_chunk_mut::<4>()?.copy_from_slice(&self.count.to_le_bytes());
        Some(&self.bytes)
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.count = 0;
    }
}

/// Bytes of an entry in a run besides its payload, at most.
const ENTRY_BYTES: usize = 96;

/// The entries of a row from a position on; an item is `None` if the bytes do not make sense.
pub(super) fn entries(last: Seq, row: &[u8], from: Seq) -> impl Iterator<Item = Option<Entry>> {
    let mut parts = Parts::new(last, row);
    let is_sound = parts.is_some();
    let damaged = (!is_sound).then_some(None);
    let good = std::iter::from_fn(move || {
        let parts = parts.as_mut()?;
        loop {
            match parts.next()? {
                Some((seq, _)) if seq < from => {}
                part => return Some(part.and_then(|(seq, bytes)| decode_entry(seq, bytes))),
            }
        }
    });
    damaged.into_iter().chain(good)
}

/// The chain after the last entry of a row; `None` if the bytes do not make sense.
pub(super) fn last_chain(last: Seq, row: &[u8]) -> Option<Chain> {
    let mut end = None;
    for part in Parts::new(last, row)? {
        end = Some(part?);
    }
    chain_of(end?.1)
}

/// The encoded entries of a row, each with its position. Ends after the first that is `None`.
struct Parts<'a> {
    rest: &'a [u8],
    next: Seq,
    left: u32,
}

impl<'a> Parts<'a> {
    fn new(last: Seq, row: &'a [u8]) -> Option<Self> {
        let mut rest = row;
        let left = take_u32(&mut rest).filter(|count| *count > 0)?;
        let next = last.checked_sub(u64::from(left) - 1).filter(|first| *first > 0)?;
        Some(Self { rest, next, left })
    }

    fn part(&mut self) -> Option<(Seq, &'a [u8])> {
        let length = take_u32(&mut self.rest)? as usize;
        let (bytes, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        let seq = self.next;
        self.next = seq.wrapping_add(1);
        (self.left > 1 || rest.is_empty()).then_some((seq, bytes))
    }
}

impl<'a> Iterator for Parts<'a> {
    type Item = Option<(Seq, &'a [u8])>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            return None;
        }
        let part = self.part();
        self.left = if part.is_some() { self.left - 1 } else { 0 };
        Some(part)
    }
}

/// A run of ids as a row.
pub(super) fn encode_ids(ids: &[RecentId]) -> Vec<u8> {
    let mut row = Vec::with_capacity(ids.len() * ID_BYTES);
    for recent in ids {
        for value in [recent.id.0, recent.conversation.0, recent.seq, recent.fingerprint] {
            row.extend_from_slice(&value.to_le_bytes());
        }
    }
    row
}

/// How many ids a row has.
pub(super) fn ids_in(row: &[u8]) -> usize {
    row.len() / ID_BYTES
}

/// Reads a run of ids back; `None` if the bytes are not one.
pub(super) fn decode_ids(row: &[u8]) -> Option<Vec<RecentId>> {
    let (ids, odd) = row.as_chunks::<ID_BYTES>();
    let read = |bytes: &[u8; ID_BYTES]| {
        let value = |at: usize| {
            let mut value = [0; 8];
            value.copy_from_slice(&bytes[at..at + 8]);
            u64::from_le_bytes(value)
        };
        RecentId {
            id: MessageId(value(0)),
            conversation: ConversationId(value(8)),
            seq: value(16),
            fingerprint: value(24),
        }
    };
    odd.is_empty().then(|| ids.iter().map(read).collect())
}

#[cfg(test)]
mod tests {
    use avouch_engine::ids::{DeviceId, DeviceKey, UserId};
    use avouch_engine::journal::Body;
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::super::rows::encode_entry;
    use super::*;

    fn encoded(entry: &Entry) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode_entry(entry, &mut bytes);
        bytes
    }

    fn entry(seq: Seq, payload_bytes: usize) -> Entry {
        Entry {
            seq,
            author: DeviceKey { user: UserId(1), device: DeviceId(2) },
            id: MessageId(seq + 10),
            at_ms: 5,
            chain: [seq as u8; 32],
            body: Body::Message { reply_to: None, payload: Bytes::from(vec![3; payload_bytes]) },
        }
    }

    fn run(entries: &[Entry]) -> Vec<u8> {
        let mut run = EntryRun::default();
        for entry in entries {
            run.push(&encoded(entry));
        }
        run.row().unwrap().to_vec()
    }

    #[test]
    fn a_run_gives_its_entries_back_from_any_position_on() {
        let all: Vec<_> = (4..9).map(|seq| entry(seq, seq as usize)).collect();
        let row = run(&all);
        for from in 0..10 {
            let expected: Vec<_> = all.iter().filter(|entry| entry.seq >= from).cloned().map(Some).collect();
            assert_eq!(entries(8, &row, from).collect::<Vec<_>>(), expected, "from {from}");
        }
        assert_eq!(last_chain(8, &row), Some([8; 32]));
        assert!(EntryRun::default().row().is_none());
    }

    #[test]
    fn a_run_fills_its_pages_and_takes_one_entry_of_any_size() {
        let mut run = EntryRun::default();
        assert!(!run.is_full_for(&encoded(&entry(1, 1 << 20))));
        while !run.is_full_for(&encoded(&entry(1, 100))) {
            run.push(&encoded(&entry(1, 100)));
        }
        let bytes = run.row().unwrap().len();
        assert!((ENTRY_RUN_BYTES_MAX - 300..=ENTRY_RUN_BYTES_MAX).contains(&bytes), "{bytes}");
    }

    #[test]
    fn a_run_that_is_cut_or_goes_on_is_damaged() {
        let row = run(&[entry(1, 3), entry(2, 4)]);
        for end in 0..row.len() {
            assert!(entries(2, &row[..end], 1).any(|entry| entry.is_none()), "cut at {end}");
            assert_eq!(last_chain(2, &row[..end]), None, "cut at {end}");
        }
        let longer = [&row[..], &[0]].concat();
        assert!(entries(2, &longer, 1).any(|entry| entry.is_none()));
        // Two entries cannot end with the first of a conversation.
        assert_eq!(entries(1, &row, 0).collect::<Vec<_>>(), [None]);
    }

    #[test]
    fn ids_come_back() {
        let ids: Vec<_> = (1..70)
            .map(|id| RecentId {
                id: MessageId(id),
                conversation: ConversationId(2),
                seq: id + 7,
                fingerprint: id << 40,
            })
            .collect();
        let row = encode_ids(&ids);
        assert_eq!(ids_in(&row), ids.len());
        assert_eq!(decode_ids(&row), Some(ids));
        assert_eq!(decode_ids(&row[1..]), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_or_go_on_for_ever(row: Vec<u8>, last: u64, from: u64) {
            prop_assert!(entries(last, &row, from).count() <= row.len() + 1);
            let _ = (last_chain(last, &row), decode_ids(&row));
        }
    }
}
