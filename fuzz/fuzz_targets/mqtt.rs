//! MQTT's packets: any bytes in any chunks are the same packets and the same error, a message that was read can be written and read
//! again, and the proxy's splitters lose and change nothing.
#![no_main]

use avouch::adapter::mqtt::codec::{Malformed, Packet, Version, publish_packet, take};
use avouch::world::proxy::MQTT_FRAMING;
use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, bool, &[u8])| {
    let (chunk_bytes, is_v5, bytes) = (usize::from(input.0).max(1), input.1, input.2);
    let version = if is_v5 { Version::V5 } else { Version::V311 };
    let whole = read(bytes, usize::MAX, version);
    assert_eq!(whole, read(bytes, chunk_bytes, version), "chunks do not matter");
    for packet in whole.0 {
        let Packet::Publish(publish) = packet else { continue };
        let again = take(&mut BytesMut::from(&publish_packet(version, &publish)[..]), version);
        assert_eq!(again, Ok(Some(Packet::Publish(publish))), "what was written can be read");
    }
    for mut splitter in MQTT_FRAMING.splitters() {
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

/// Packets up to the end or to what is none, and what is wrong with that.
fn read(bytes: &[u8], chunk_bytes: usize, version: Version) -> (Vec<Packet>, Option<Malformed>) {
    let (mut waiting, mut packets) = (BytesMut::new(), Vec::new());
    for chunk in bytes.chunks(chunk_bytes) {
        waiting.extend_from_slice(chunk);
        loop {
            match take(&mut waiting, version) {
                Ok(Some(packet)) => packets.push(packet),
                Ok(None) => break,
                Err(malformed) => return (packets, Some(malformed)),
            }
        }
    }
    (packets, None)
}
