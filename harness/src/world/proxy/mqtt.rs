//! MQTT packets on a byte stream, found by their fixed header and never changed. What cannot be MQTT passes as raw bytes
//! and is counted.

use bytes::BytesMut;

use super::splitter::{Framing, Splitter, push_rest};
use crate::adapter::mqtt::{kind_name, packet_bytes};
use crate::link::{Class, Piece};

/// Largest packet that is taken as a whole; a longer one passes in parts, untouched.
pub const MQTT_PACKET_BYTES_MAX: usize = 4 * 1024 * 1024;

/// How MQTT's packets are found, in both directions alike.
pub const MQTT_FRAMING: Framing = Framing::Own(|| [Box::new(Mqtt::default()), Box::new(Mqtt::default())]);

/// Splits one direction.
#[derive(Debug, Default)]
pub(super) struct Mqtt {
    /// Bytes of an oversized packet that are still to come.
    oversized_bytes_left: usize,
    is_raw: bool,
    unparsed_bytes: u64,
}

impl Mqtt {
    /// Takes the next piece; `false` if there is no whole one.
    fn next(&mut self, input: &mut BytesMut, pieces: &mut Vec<Piece>) -> bool {
        if input.is_empty() {
            return false;
        }
        if self.is_raw {
            self.unparsed_bytes += input.len() as u64;
            push_rest(input, Class::Raw, pieces);
            return false;
        }
        if self.oversized_bytes_left > 0 {
            let bytes = input.len().min(self.oversized_bytes_left);
            self.oversized_bytes_left -= bytes;
            self.unparsed_bytes += bytes as u64;
            push_rest(&mut input.split_to(bytes), Class::Control, pieces);
            return true;
        }
        match packet_bytes(input) {
            Err(_malformed) => self.is_raw = true,
            Ok(None) => return false,
            Ok(Some(bytes)) if bytes > MQTT_PACKET_BYTES_MAX => self.oversized_bytes_left = bytes,
            Ok(Some(bytes)) if input.len() < bytes => return false,
            Ok(Some(bytes)) => {
                let kind = kind_name(input[0]);
                let head_bytes = 1 + input[1..].iter().take_while(|byte| **byte & 0x80 != 0).count() + 1;
                let bytes = input.split_to(bytes).freeze();
                pieces.push(Piece { bytes, class: Class::Data, kind, head_bytes });
            }
        }
        true
    }
}

impl Splitter for Mqtt {
    fn split(&mut self, input: &mut BytesMut, pieces: &mut Vec<Piece>) {
        while self.next(input, pieces) {}
    }

    fn unparsed_bytes(&self) -> u64 {
        self.unparsed_bytes
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pieces(stream: &[u8], chunk: usize) -> (Vec<Piece>, u64) {
        let (mut splitter, mut input, mut pieces) = (Mqtt::default(), BytesMut::new(), Vec::new());
        for part in stream.chunks(chunk) {
            input.extend_from_slice(part);
            splitter.split(&mut input, &mut pieces);
        }
        splitter.finish(&mut input, &mut pieces);
        (pieces, splitter.unparsed_bytes())
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
        let mut splitter = Mqtt::default();
        let mut input = BytesMut::from(&[0x30, 0xff, 0xff, 0xff, 0x7f, b'x'][..]);
        let mut pieces = Vec::new();
        splitter.split(&mut input, &mut pieces);
        assert!(input.is_empty(), "its bytes go on at once");
        assert_eq!((pieces.len(), splitter.unparsed_bytes()), (1, 6));
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
