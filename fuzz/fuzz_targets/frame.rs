//! The codec: any bytes are a frame or an error, and a value has one encoding.
#![no_main]

use avouch_engine::codec::{Frame, HEADER_BYTES, VERSION, decode, encode};
use bytes::{Bytes, BytesMut};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    check(Bytes::copy_from_slice(input));
    check(with_checksum(input));
});

fn check(bytes: Bytes) {
    match decode(&bytes) {
        // Of a hello of another version, only the version is read, so that it can be answered.
        Ok(Frame::Hello(hello)) if hello.version != VERSION => {}
        Ok(frame) => {
            assert_eq!(encode(&frame, &mut BytesMut::new()), bytes, "one encoding per value: {frame:?}");
        }
        Err(_) => {}
    }
}

/// The same as a frame whose checksum fits: otherwise next to nothing gets past it.
fn with_checksum(input: &[u8]) -> Bytes {
    let mut frame = input.to_vec();
    frame.resize(frame.len().max(HEADER_BYTES), 0);
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&frame[..1]);
    hasher.update(&frame[HEADER_BYTES..]);
    frame[1..HEADER_BYTES].copy_from_slice(&hasher.finalize().to_le_bytes());
    frame.into()
}
