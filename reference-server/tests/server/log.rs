//! The bytes of the log: what was written is read, and whatever happens to it, nothing else is.

use avouch_engine::defects::Defects;
use avouch_engine::journal::Record;
use avouch_server::disk::SECTOR_BYTES;
use avouch_server::journal::log::block::{
    Link, SegmentError, SegmentHeader, begin_block, finish_block, read_segment,
};
use avouch_server::journal::log::{decode_record, encode_record, encoded_bytes};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::model::Source;

const HEADER: SegmentHeader = SegmentHeader {
    journal: 3,
    generation: 5,
    salt: 0x1234_5678_9abc_def0,
    first_block: 40,
    checksum_before: 77,
    is_store_suspect: false,
};

/// A segment as a log writes it, and where its blocks end.
#[derive(Clone, Debug)]
struct Written {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    batches: Vec<Vec<Record>>,
}

impl Written {
    fn new(header: SegmentHeader, batches: Vec<Vec<Record>>) -> Self {
        let mut written =
            Self { bytes: header.encode().to_vec(), ends: vec![SECTOR_BYTES], batches: Vec::new() };
        let mut link =
            Link { salt: header.salt, number: header.first_block, checksum_before: header.checksum_before };
        let mut block = Vec::new();
        for batch in &batches {
            begin_block(&mut block);
            for record in batch {
                let end = block.len() + encoded_bytes(record);
                encode_record(record, &mut block);
                assert_eq!(block.len(), end);
            }
            link.checksum_before = finish_block(&mut block, link, batch.len() as u32);
            link.number += 1;
            written.bytes.extend_from_slice(&block);
            written.ends.push(written.bytes.len());
        }
        written.batches = batches;
        written
    }

    /// Without its last block, which is not synced yet.
    fn synced(&self) -> usize {
        self.ends[self.ends.len().saturating_sub(2)]
    }
}

fn a_log() -> impl Strategy<Value = Written> {
    vec(vec(any::<u64>(), 1..8), 1..7).prop_map(|choices| {
        let mut source = Source::default();
        let batches = choices.iter().map(|batch| batch.iter().map(|choice| source.record(*choice)).collect());
        Written::new(HEADER, batches.collect())
    })
}

/// The batches that bytes hold, if they are a segment.
fn read(bytes: &[u8]) -> Result<Vec<Vec<Record>>, SegmentError> {
    let segment = read_segment(bytes, Defects::NONE)?;
    let batch = |mut payload: &[u8]| {
        let mut batch = Vec::new();
        while !payload.is_empty() {
            batch.push(decode_record(&mut payload).expect("a block with the right checksum has a meaning"));
        }
        batch
    };
    Ok(segment.blocks.iter().map(|block| batch(block.payload)).collect())
}

proptest! {
    #[test]
    fn what_was_written_is_read(log in a_log(), zeros in 0_usize..2_000) {
        let mut bytes = log.bytes.clone();
        bytes.resize(bytes.len() + zeros, 0);
        prop_assert_eq!(read(&bytes), Ok(log.batches.clone()));
        prop_assert_eq!(read_segment(&bytes, Defects::NONE).map(|segment| segment.end), Ok(log.bytes.len()));
    }

    #[test]
    fn a_truncated_log_is_its_beginning(log in a_log(), part in any::<prop::sample::Index>()) {
        let cut = part.index(log.bytes.len());
        match read(&log.bytes[..cut]) {
            Ok(batches) => {
                let whole = log.ends.iter().filter(|end| **end <= cut).count() - 1;
                // The zeros behind the last records may be missing.
                prop_assert!(batches.len() == whole || batches.len() == whole + 1);
                prop_assert_eq!(&batches[..], &log.batches[..batches.len()]);
            }
            Err(error) => prop_assert!(cut < SECTOR_BYTES, "cut at {cut}: {error}"),
        }
    }

    #[test]
    fn a_flipped_byte_is_told_or_tears_the_end(
        log in a_log(),
        place in any::<prop::sample::Index>(),
        flip in 1_u8..,
    ) {
        let at = place.index(log.bytes.len());
        let mut bytes = log.bytes.clone();
        bytes[at] ^= flip;
        match read(&bytes) {
            Ok(batches) if batches == log.batches => {}
            Ok(batches) => {
                prop_assert!(at >= log.synced(), "byte {at} is in a block that has a successor");
                prop_assert_eq!(&batches[..], &log.batches[..log.batches.len() - 1]);
            }
            Err(SegmentError::Block { at: told, later, .. }) => {
                prop_assert!(told <= at && at < later && log.ends.contains(&told));
            }
            Err(_) => prop_assert!(at < SECTOR_BYTES),
        }
    }

    /// A crash keeps any subset of the sectors of what was not synced: of the last block.
    #[test]
    fn a_torn_block_is_no_block(
        log in a_log(),
        kept in vec(any::<bool>(), 200),
        old_batches in vec(vec(any::<u64>(), 1..8), 0..9),
    ) {
        // Below lies what an earlier use of the file left.
        let old = SegmentHeader { generation: 3, salt: 99, ..HEADER };
        let mut source = Source::default();
        let old_batches: Vec<_> = old_batches
            .iter()
            .map(|batch| batch.iter().map(|choice| source.record(*choice)).collect())
            .collect();
        let mut disk = Written::new(old, old_batches).bytes;
        disk.resize(disk.len().max(log.bytes.len()), 0);
        let synced = log.synced();
        disk[..synced].copy_from_slice(&log.bytes[..synced]);
        let torn = log.bytes[synced..].chunks(SECTOR_BYTES);
        for (index, sector) in torn.enumerate().filter(|(index, _)| kept[index % kept.len()]) {
            let at = synced + index * SECTOR_BYTES;
            disk[at..at + SECTOR_BYTES].copy_from_slice(sector);
        }
        let batches = read(&disk);
        let all = log.batches.len();
        prop_assert!(
            batches == Ok(log.batches.clone()) || batches == Ok(log.batches[..all - 1].to_vec()),
            "{batches:?}"
        );
    }

    /// Sectors of blocks that were synced do not vanish by a crash, so that is told.
    #[test]
    fn a_lost_sector_is_told(log in a_log(), place in any::<prop::sample::Index>()) {
        let sector = place.index(log.bytes.len() / SECTOR_BYTES);
        let at = sector * SECTOR_BYTES;
        let mut bytes = log.bytes.clone();
        bytes[at..at + SECTOR_BYTES].fill(0);
        match read(&bytes) {
            // It held zeros: a payload of them.
            Ok(batches) if bytes == log.bytes => prop_assert_eq!(batches, log.batches),
            Ok(batches) => prop_assert!(at >= log.synced() && batches == log.batches[..batches.len()]),
            Err(SegmentError::Block { at: told, later, .. }) => {
                prop_assert!(told <= at && at < later && log.ends.contains(&told));
            }
            Err(_) => prop_assert!(at == 0),
        }
    }

    #[test]
    fn any_bytes_are_a_log_or_not(bytes in vec(any::<u8>(), 0..3_000), with_header in any::<bool>()) {
        let mut log = if with_header { HEADER.encode().to_vec() } else { Vec::new() };
        log.extend_from_slice(&bytes);
        let _ = read_segment(&log, Defects::NONE);
        let mut rest = &bytes[..];
        while let Some(record) = decode_record(&mut rest) {
            let mut again = Vec::new();
            encode_record(&record, &mut again);
            prop_assert_eq!(again.len(), encoded_bytes(&record));
            prop_assert_eq!(decode_record(&mut &again[..]), Some(record));
        }
    }
}

#[test]
fn a_payload_that_looks_like_a_block_is_none() {
    // Somebody knows the format, but not the salt.
    let guess = SegmentHeader { salt: 1, ..HEADER };
    let mut source = Source::default();
    let forged = Written::new(guess, vec![vec![source.record(5)], vec![source.record(5)]]);
    let mut bytes = HEADER.encode().to_vec();
    bytes.extend_from_slice(&forged.bytes[SECTOR_BYTES..]);
    assert_eq!(read(&bytes), Ok(Vec::new()));
}

#[test]
fn headers_are_read_back() {
    for is_store_suspect in [false, true] {
        let header = SegmentHeader { is_store_suspect, ..HEADER };
        assert_eq!(SegmentHeader::decode(&header.encode()), Ok(header));
    }
    let mut newer = HEADER.encode();
    newer[8] = 200;
    assert_eq!(SegmentHeader::decode(&newer), Err(SegmentError::Version(200)));
    assert_eq!(SegmentHeader::decode(b"avouchlg"), Err(SegmentError::Header));
    assert_eq!(SegmentHeader::decode(b""), Err(SegmentError::Foreign));
}
