//! NATS' operations, found by their lines.

use super::splitter::Framing;
use super::stream::{Head, NoFrame, Stream};
use crate::adapter::nats::codec::{self, head};
use crate::adapter::nats::kind;

/// How NATS' operations are found, in both directions alike.
pub const NATS_FRAMING: Framing =
    Framing::Own(|| [Box::new(Stream::<codec::Head>::default()), Box::new(Stream::<codec::Head>::default())]);

impl Head for codec::Head {
    fn read(bytes: &[u8]) -> Result<Option<Self>, NoFrame> {
        head(bytes).map_err(|_malformed| NoFrame)
    }

    fn frame_bytes(&self) -> usize {
        Self::frame_bytes(self)
    }

    fn head_bytes(&self) -> usize {
        self.line_bytes
    }

    fn kind(&self, frame: &[u8]) -> Option<&'static str> {
        Some(kind(self, frame))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::stream::{check_not_gathered, split_in_chunks};
    use super::*;
    use crate::link::{Class, Piece};

    fn pieces(stream: &[u8], chunk: usize) -> (Vec<Piece>, u64) {
        split_in_chunks::<codec::Head>(stream, chunk)
    }

    #[test]
    fn operations_are_found_and_named_however_they_are_cut() {
        let stream = b"INFO {\"max_payload\":1}\r\nPONG\r\n\
            MSG _INBOX.a.p.1 1 24\r\n{\"stream\":\"S\", \"seq\":12}\r\n\
            HMSG s.c0 1 $JS.ACK.S.C.1.2.3.4.0 12 18\r\nNATS/1.0\r\n\r\n\r\nPING\r\n\
            +OK\r\n";
        for chunk in 1..=stream.len() {
            let (pieces, unparsed_bytes) = pieces(stream, chunk);
            let kinds: Vec<_> = pieces.iter().map(|piece| (piece.kind.unwrap(), piece.head_bytes)).collect();
            let expected = [("INFO", 24), ("PONG", 6), ("pub_ack", 23), ("deliver", 41), ("+OK", 5)];
            assert_eq!(kinds, expected, "a payload that looks like an operation is none; chunk {chunk}");
            assert_eq!(unparsed_bytes, 0);
        }
    }

    #[test]
    fn what_is_not_nats_passes_and_is_counted() {
        let (pieces, unparsed_bytes) = pieces(b"PING\r\nGET / HTTP/1.1\r\n", 3);
        assert_eq!(pieces[0].kind, Some("PING"));
        assert!(pieces[1..].iter().all(|piece| piece.class == Class::Raw));
        assert_eq!(unparsed_bytes, 16);
    }

    #[test]
    fn an_oversized_operation_is_not_gathered() {
        check_not_gathered::<codec::Head>(b"PUB a 99999999\r\nx");
    }

    proptest! {
        #[test]
        fn any_bytes_pass_unchanged_in_any_chunks(
            noise in proptest::collection::vec(any::<u8>(), 0..200), chunk in 1_usize..60, size in 0_usize..60,
        ) {
            let stream = [b"PING\r\n", format!("PUB a {size}\r\n").as_bytes(), &noise].concat();
            let (pieces, _) = pieces(&stream, chunk);
            let joined: Vec<u8> = pieces.iter().flat_map(|piece| piece.bytes.to_vec()).collect();
            prop_assert_eq!(joined, stream);
        }
    }
}
