//! The reader of the server's log: any bytes are a segment or an error, and what is read from a segment that was written
//! and then damaged is a beginning of what was written.
#![no_main]

use arbitrary::Arbitrary;
use avouch_engine::defects::Defects;
use avouch_server::disk::SECTOR_BYTES;
use avouch_server::journal::log::block::{Link, SegmentHeader, begin_block, finish_block, read_segment};
use avouch_server::journal::log::{decode_record, encode_record};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    header: [u64; 4],
    blocks: Vec<&'a [u8]>,
    damage: Vec<(u16, u8)>,
    cut: u16,
    raw: &'a [u8],
}

fuzz_target!(|input: Input| {
    let _ = read_segment(input.raw, Defects::NONE);
    records(input.raw);
    let [journal, generation, salt, first_block] = input.header;
    let header = SegmentHeader {
        journal,
        generation,
        salt,
        first_block: first_block >> 1,
        checksum_before: 0,
        is_store_suspect: false,
    };
    let mut bytes = header.encode().to_vec();
    let mut link = Link { salt, number: header.first_block, checksum_before: 0 };
    let mut block = Vec::new();
    for payload in &input.blocks {
        begin_block(&mut block);
        block.extend_from_slice(payload);
        link.checksum_before = finish_block(&mut block, link, 0);
        link.number += 1;
        bytes.extend_from_slice(&block);
    }
    let whole = read_segment(&bytes, Defects::NONE).expect("what was written is read");
    assert_eq!(whole.blocks.len(), input.blocks.len());
    assert_eq!(whole.end, bytes.len());

    for (at, flip) in &input.damage {
        let at = usize::from(*at) % bytes.len();
        bytes[at] ^= flip;
    }
    bytes.truncate(bytes.len() - usize::from(input.cut) % (bytes.len() + 1));
    if let Ok(segment) = read_segment(&bytes, Defects::NONE) {
        assert!(segment.blocks.len() <= input.blocks.len() && segment.end >= SECTOR_BYTES);
        for (block, payload) in segment.blocks.iter().zip(&input.blocks) {
            records(block.payload);
            // Damage may hit the checksum's one chance in four thousand million; a cut may not.
            assert!(!input.damage.is_empty() || block.payload == *payload);
        }
    }
});

/// A record that can be read has one encoding.
fn records(mut bytes: &[u8]) {
    let mut again = Vec::new();
    loop {
        let before = bytes;
        let Some(record) = decode_record(&mut bytes) else { return };
        again.clear();
        encode_record(&record, &mut again);
        assert_eq!(again, before[..before.len() - bytes.len()]);
    }
}
