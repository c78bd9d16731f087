//! NATS' operations on a byte stream, found by their lines and never changed. What cannot be NATS passes as raw bytes and is
//! counted.

use bytes::BytesMut;

use super::splitter::{Framing, Splitter, push_rest};
use crate::adapter::nats::codec::head;
use crate::adapter::nats::kind;
use crate::link::{Class, Piece};

/// Largest operation that is taken as a whole; a longer one passes in parts, untouched.
pub const NATS_FRAME_BYTES_MAX: usize = 4 * 1024 * 1024;

/// How NATS' operations are found, in both directions alike.
pub const NATS_FRAMING: Framing = Framing::Own(|| [Box::new(Nats::default()), Box::new(Nats::default())]);

/// Splits one direction.
#[derive(Debug, Default)]
pub(super) struct Nats {
    /// Bytes of an oversized operation that are still to come.
    oversized_bytes_left: usize,
    is_raw: bool,
    unparsed_bytes: u64,
}

impl Nats {
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
        match head(input) {
            Err(_malformed) => self.is_raw = true,
            Ok(None) => return false,
            Ok(Some(head)) if head.frame_bytes() > NATS_FRAME_BYTES_MAX => {
                self.oversized_bytes_left = head.frame_bytes();
            }
            Ok(Some(head)) if input.len() < head.frame_bytes() => return false,
            Ok(Some(head)) => {
                let bytes = input.split_to(head.frame_bytes()).freeze();
                let kind = Some(kind(&head, &bytes));
                pieces.push(Piece { bytes, class: Class::Data, kind, head_bytes: head.line_bytes });
            }
        }
        true
    }
}

impl Splitter for Nats {
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
        let (mut splitter, mut input, mut pieces) = (Nats::default(), BytesMut::new(), Vec::new());
        for part in stream.chunks(chunk) {
            input.extend_from_slice(part);
            splitter.split(&mut input, &mut pieces);
        }
        splitter.finish(&mut input, &mut pieces);
        (pieces, splitter.unparsed_bytes())
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
        let mut splitter = Nats::default();
        let mut input = BytesMut::from(&b"PUB a 99999999\r\nx"[..]);
        let mut pieces = Vec::new();
        splitter.split(&mut input, &mut pieces);
        assert!(input.is_empty(), "its bytes go on at once");
        assert_eq!((pieces.len(), splitter.unparsed_bytes()), (1, 17));
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
