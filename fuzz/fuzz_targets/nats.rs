//! NATS' operations: any bytes in any chunks are the same operations and the same error, an operation that was read can be written
//! and read again, and the proxy's splitters lose and change nothing.
#![no_main]

use avouch::adapter::nats::codec::{Malformed, Operation, encode, take};
use avouch::world::proxy::NATS_FRAMING;
use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, &[u8])| {
    let (chunk_bytes, bytes) = (usize::from(input.0).max(1), input.1);
    let whole = read(bytes, usize::MAX);
    assert_eq!(whole, read(bytes, chunk_bytes), "chunks do not matter");
    for operation in whole.0 {
        let again = take(&mut BytesMut::from(&encode(&operation)[..]));
        assert_eq!(again, Ok(Some(operation)), "what was written can be read");
    }
    for mut splitter in NATS_FRAMING.splitters() {
        let (mut waiting, mut pieces) = (BytesMut::new(), Vec::new());
        for chunk in bytes.chunks(chunk_bytes) {
            waiting.extend_from_slice(chunk);
            splitter.split(&mut waiting, &mut pieces);
        }
        splitter.finish(&mut waiting, &mut pieces);
        let passed: Vec<u8> = pieces.iter().flat_map(|piece| piece.bytes.to_vec()).collect();
        assert_eq!(passed, bytes, "nothing is lost or changed");
    }
});

/// Operations up to the end or to what is none, and what is wrong with that.
fn read(bytes: &[u8], chunk_bytes: usize) -> (Vec<Operation>, Option<Malformed>) {
    let (mut waiting, mut operations) = (BytesMut::new(), Vec::new());
    for chunk in bytes.chunks(chunk_bytes) {
        waiting.extend_from_slice(chunk);
        loop {
            match take(&mut waiting) {
                Ok(Some(operation)) => operations.push(operation),
                Ok(None) => break,
                Err(malformed) => return (operations, Some(malformed)),
            }
        }
    }
    (operations, None)
}
