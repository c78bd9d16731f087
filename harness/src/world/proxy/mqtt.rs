//! MQTT's packets, found by their fixed header.

use super::splitter::Framing;
use super::stream::{Head, NoFrame, Stream};
use crate::adapter::mqtt::{kind_name, packet_bytes};

/// How MQTT's packets are found, in both directions alike.
pub const MQTT_FRAMING: Framing =
    Framing::Own(|| [Box::new(Stream::<FixedHeader>::default()), Box::new(Stream::<FixedHeader>::default())]);

/// MQTT 3.1.1, 2.2: the kind and the remaining length.
struct FixedHeader {
    kind: Option<&'static str>,
    packet_bytes: usize,
    head_bytes: usize,
}

impl Head for FixedHeader {
    fn read(bytes: &[u8]) -> Result<Option<Self>, NoFrame> {
        let Some(packet_bytes) = packet_bytes(bytes).map_err(|_malformed| NoFrame)? else { return Ok(None) };
        let head_bytes = 1 + bytes[1..].iter().take_while(|byte| **byte & 0x80 != 0).count() + 1;
        Ok(Some(Self { kind: kind_name(bytes[0]), packet_bytes, head_bytes }))
    }

    fn frame_bytes(&self) -> usize {
        self.packet_bytes
    }

    fn head_bytes(&self) -> usize {
        self.head_bytes
    }

    fn kind(&self, _frame: &[u8]) -> Option<&'static str> {
        self.kind
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::stream::{check_not_gathered, split_in_chunks};
    use super::*;
    use crate::link::{Class, Piece};

    fn pieces(stream: &[u8], chunk: usize) -> (Vec<Piece>, u64) {
        split_in_chunks::<FixedHeader>(stream, chunk)
    }

    #[test]
    fn packets_are_found_and_named_however_they_are_cut() {
        let long = [&[0x32, 0x85, 0x02][..], &[b'x'; 261]].concat();
        let stream = [&[0x20, 2, 0, 0][..], &long, &[0x40, 2, 0, 1, 0xd0, 0]].concat();
        for chunk in 1..=stream.len() {
            let (pieces, unparsed_bytes) = pieces(&stream, chunk);
            let kinds: Vec<_> = pieces.iter().map(|piece| (piece.kind.unwrap(), piece.head_bytes)).collect();
            assert_eq!(kinds, [("CONNACK", 2), ("PUBLISH", 3), ("PUBACK", 2), ("PINGRESP", 2)]);
            assert_eq!(unparsed_bytes, 0);
        }
    }

    #[test]
    fn what_is_not_mqtt_passes_and_is_counted() {
        let (pieces, unparsed_bytes) = pieces(b"\xd0\0\x05GET / HTTP/1.1\r\n", 3);
        assert_eq!(pieces[0].kind, Some("PINGRESP"));
        assert!(pieces[1..].iter().all(|piece| piece.class == Class::Raw));
        assert_eq!(unparsed_bytes, 17);
    }

    #[test]
    fn an_oversized_packet_is_not_gathered() {
        check_not_gathered::<FixedHeader>(&[0x30, 0xff, 0xff, 0xff, 0x7f, b'x']);
    }

    proptest! {
        #[test]
        fn any_bytes_pass_unchanged_in_any_chunks(
            stream in proptest::collection::vec(any::<u8>(), 0..400), chunk in 1_usize..60,
        ) {
            let (pieces, _) = pieces(&stream, chunk);
            let joined: Vec<u8> = pieces.iter().flat_map(|piece| piece.bytes.to_vec()).collect();
            prop_assert_eq!(joined, stream);
        }
    }
}
