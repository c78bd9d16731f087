//! WebSocket frames (RFC 6455 §5.2), found and named but never changed.
//!
//! The upgrade passes as one piece. Whole unfragmented messages are data; control frames, fragments, compressed
//! and oversized frames pass untouched (losing a compressed one would break the dictionary of all that follow).
//! What cannot be a WebSocket stream passes as raw bytes and is counted.

use bytes::BytesMut;

use super::splitter::{Classify, Splitter, push_rest};
use crate::link::{Class, Piece};

/// Largest frame that is taken as a whole; a longer one passes in parts, untouched.
pub const FRAME_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Longest upgrade request or response.
pub const HANDSHAKE_BYTES_MAX: usize = 16 * 1024;
/// So much of the payload a classifier sees.
pub const KIND_BYTES_MAX: usize = 64;

/// Splits one direction.
#[derive(Debug)]
pub struct WebSocket {
    classify: Classify,
    state: State,
    unparsed_bytes: u64,
}

#[derive(Debug)]
enum State {
    /// Before the empty line that ends the upgrade; so much of it was searched.
    Upgrade { searched: usize },
    /// At the beginning of a frame.
    Frame,
    /// Inside a frame that passes in parts.
    Oversized { bytes_left: u64 },
    /// Not a WebSocket stream.
    Raw,
}

/// A frame's first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Head {
    is_final: bool,
    has_extension_bits: bool,
    opcode: u8,
    mask: Option<[u8; 4]>,
    bytes: usize,
    payload_bytes: u64,
}

impl WebSocket {
    /// At the beginning of a connection, before the upgrade.
    pub fn new(classify: Classify) -> Self {
        Self { classify, state: State::Upgrade { searched: 0 }, unparsed_bytes: 0 }
    }

    /// Takes the next piece; `false` if there is no whole one.
    fn next(&mut self, input: &mut BytesMut, pieces: &mut Vec<Piece>) -> bool {
        match &mut self.state {
            _ if input.is_empty() => false,
            State::Upgrade { searched } => match find_upgrade_end(input, searched) {
                Ok(None) => false,
                Ok(Some(end)) => {
                    let bytes = input.split_to(end).freeze();
                    // A server that declines goes on in plain HTTP.
                    let declines = bytes.starts_with(b"HTTP/") && !is_switching(&bytes);
                    self.state = if declines { State::Raw } else { State::Frame };
                    pieces.push(Piece { bytes, class: Class::Control, kind: None, head_bytes: 0 });
                    true
                }
                Err(NotWebSocket) => self.give_up(),
            },
            State::Frame => match Head::read(input) {
                Ok(None) => false,
                Ok(Some(head)) => self.take_frame(head, input, pieces),
                Err(NotWebSocket) => self.give_up(),
            },
            State::Oversized { bytes_left } => {
                let bytes = (input.len() as u64).min(*bytes_left);
                *bytes_left -= bytes;
                self.unparsed_bytes += bytes;
                if *bytes_left == 0 {
                    self.state = State::Frame;
                }
                push_rest(&mut input.split_to(bytes as usize), Class::Control, pieces);
                true
            }
            State::Raw => {
                self.unparsed_bytes += input.len() as u64;
                push_rest(input, Class::Raw, pieces);
                false
            }
        }
    }

    fn take_frame(&mut self, head: Head, input: &mut BytesMut, pieces: &mut Vec<Piece>) -> bool {
        let bytes = head.payload_bytes.saturating_add(head.bytes as u64);
        if bytes > FRAME_BYTES_MAX as u64 {
            self.state = State::Oversized { bytes_left: bytes };
            return true;
        }
        if (input.len() as u64) < bytes {
            return false;
        }
        let bytes = input.split_to(bytes as usize).freeze();
        let (class, kind) = match head.opcode {
            _ if head.has_extension_bits => (Class::Control, None),
            0x1 | 0x2 => {
                let class = if head.is_final { Class::Data } else { Class::Control };
                (class, kind(self.classify, &head, &bytes))
            }
            0x8 => (Class::Control, Some("ws-close")),
            0x9 => (Class::Control, Some("ws-ping")),
            0xA => (Class::Control, Some("ws-pong")),
            _ => (Class::Control, None),
        };
        pieces.push(Piece { bytes, class, kind, head_bytes: head.bytes });
        true
    }

    fn give_up(&mut self) -> bool {
        self.state = State::Raw;
        true
    }
}

impl Splitter for WebSocket {
    fn split(&mut self, input: &mut BytesMut, pieces: &mut Vec<Piece>) {
        while self.next(input, pieces) {}
    }

    fn unparsed_bytes(&self) -> u64 {
        self.unparsed_bytes
    }
}

/// These bytes cannot be what they should be.
struct NotWebSocket;

/// Where the upgrade ends, if it ends in these bytes.
fn find_upgrade_end(input: &[u8], searched: &mut usize) -> Result<Option<usize>, NotWebSocket> {
    let begins = |word: &[u8]| input.iter().zip(word).all(|(a, b)| a == b);
    if !begins(b"GET ") && !begins(b"HTTP/1.1 ") {
        return Err(NotWebSocket);
    }
    let from = searched.saturating_sub(3);
    let end = input[from..].windows(4).position(|window| window == b"\r\n\r\n").map(|at| from + at + 4);
    *searched = input.len();
    if end.unwrap_or(input.len()) > HANDSHAKE_BYTES_MAX { Err(NotWebSocket) } else { Ok(end) }
}

fn is_switching(response: &[u8]) -> bool {
    response.split(|&byte| byte == b' ').nth(1) == Some(b"101")
}

impl Head {
    /// Reads a frame's head, if it is there.
    fn read(input: &[u8]) -> Result<Option<Self>, NotWebSocket> {
        let &[first, second, ..] = input else { return Ok(None) };
        let (payload_bytes, length_end) = match second & 0x7F {
            126 => match input.get(2..4) {
                Some(length) => (be(length), 4),
                None => return Ok(None),
            },
            127 => match input.get(2..10) {
                Some(length) => (be(length), 10),
                None => return Ok(None),
            },
            short => (u64::from(short), 2),
        };
        if payload_bytes > i64::MAX as u64 {
            return Err(NotWebSocket);
        }
        let is_masked = second & 0x80 != 0;
        let mask = input.get(length_end..length_end + 4).and_then(|mask| mask.try_into().ok());
        if is_masked && mask.is_none() {
            return Ok(None);
        }
        Ok(Some(Self {
            is_final: first & 0x80 != 0,
            has_extension_bits: first & 0x70 != 0,
            opcode: first & 0x0F,
            mask: if is_masked { mask } else { None },
            bytes: if is_masked { length_end + 4 } else { length_end },
            payload_bytes,
        }))
    }
}

fn be(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |value, &byte| value << 8 | u64::from(byte))
}

/// The kind of a frame, by the first bytes of its payload in clear.
fn kind(classify: Classify, head: &Head, frame: &[u8]) -> Option<&'static str> {
    let payload = &frame[head.bytes..];
    let payload = &payload[..payload.len().min(KIND_BYTES_MAX)];
    let Some(mask) = head.mask else { return classify(payload) };
    let mut clear = [0; KIND_BYTES_MAX];
    let masked = clear.iter_mut().zip(payload).zip(mask.iter().cycle());
    masked.for_each(|((clear, byte), mask)| *clear = byte ^ mask);
    classify(&clear[..payload.len()])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n";

    fn first_byte(payload: &[u8]) -> Option<&'static str> {
        match payload.first() {
            Some(b'a') => Some("accepted"),
            Some(b'd') => Some("deliver"),
            _ => None,
        }
    }

    /// A frame with this first byte.
    fn frame(first: u8, masked: bool, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![first];
        let masked_bit = if masked { 0x80 } else { 0 };
        match payload.len() {
            short @ 0..=125 => bytes.push(masked_bit | short as u8),
            middle @ 126..=0xFFFF => {
                bytes.push(masked_bit | 0x7E);
                bytes.extend((middle as u16).to_be_bytes());
            }
            long => {
                bytes.push(masked_bit | 0x7F);
                bytes.extend((long as u64).to_be_bytes());
            }
        }
        let mask = if masked { [7, 77, 177, 217] } else { [0; 4] };
        if masked {
            bytes.extend(mask);
        }
        bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        bytes
    }

    /// Splits in chunks; the pieces in short, and that no byte was changed.
    fn check(stream: &[u8], chunk: usize, expected: &[(Class, Option<&'static str>, usize)]) -> u64 {
        let mut splitter = WebSocket::new(first_byte);
        let (mut input, mut pieces) = (BytesMut::new(), Vec::new());
        for part in stream.chunks(chunk) {
            input.extend_from_slice(part);
            splitter.split(&mut input, &mut pieces);
        }
        splitter.finish(&mut input, &mut pieces);
        let joined: Vec<u8> = pieces.iter().flat_map(|piece| piece.bytes.to_vec()).collect();
        assert_eq!(joined, stream, "no byte is changed, lost or moved");
        let short: Vec<_> = pieces
            .iter()
            .map(|piece| (piece.class, piece.kind, piece.bytes.len() - piece.head_bytes))
            .collect();
        assert_eq!(short, expected);
        splitter.unparsed_bytes()
    }

    #[test]
    fn a_stream_is_split_alike_however_it_arrives() {
        let mut stream = REQUEST.to_vec();
        let mut expected = vec![(Class::Control, None, REQUEST.len())];
        let long = vec![b'd'; 70_000];
        for (first, payload, class, kind) in [
            (0x82, &b"accept"[..], Class::Data, Some("accepted")),
            (0x81, &b"?"[..], Class::Data, None),
            (0x89, &b"beat"[..], Class::Control, Some("ws-ping")),
            (0x02, &b"deliver, first part"[..], Class::Control, Some("deliver")),
            (0x80, &b"deliver, last part"[..], Class::Control, None),
            (0xC2, &b"deflated"[..], Class::Control, None),
            (0x82, &long[..300], Class::Data, Some("deliver")),
            (0x82, &long[..], Class::Data, Some("deliver")),
            (0x82, &b""[..], Class::Data, None),
            (0x88, &b""[..], Class::Control, Some("ws-close")),
        ] {
            stream.extend(frame(first, true, payload));
            expected.push((class, kind, payload.len()));
        }
        for chunk in [1, 2, 3, 5, 7, 64, 4_096, usize::MAX] {
            assert_eq!(check(&stream, chunk, &expected), 0);
        }
    }

    #[test]
    fn what_is_not_websocket_passes_raw_and_is_counted() {
        assert_eq!(check(b"\x16\x03\x01 a TLS hello", 4_096, &[(Class::Raw, None, 15)]), 15);
        let mut answer = b"HTTP/1.1 503 Busy\r\n\r\n".to_vec();
        answer.extend(b"later");
        assert_eq!(check(&answer, 4_096, &[(Class::Control, None, 21), (Class::Raw, None, 5)]), 5);
        let endless = [b"GET /".to_vec(), vec![b'x'; 2 * HANDSHAKE_BYTES_MAX]].concat();
        assert_eq!(check(&endless, usize::MAX, &[(Class::Raw, None, endless.len())]), endless.len() as u64);
        let impossible = [REQUEST, &[0x82, 127], &[0xFF; 8]].concat();
        assert_eq!(check(&impossible, 7, &[(Class::Control, None, 38), (Class::Raw, None, 10)]), 10);
    }

    #[test]
    fn an_oversized_frame_is_not_gathered() {
        let mut splitter = WebSocket::new(first_byte);
        let mut input = BytesMut::from(REQUEST);
        input.extend_from_slice(&[0x82, 127, 0, 0, 0, 1, 0, 0, 0, 0, b'd', b'd']);
        let mut pieces = Vec::new();
        splitter.split(&mut input, &mut pieces);
        assert!(input.is_empty(), "its bytes go on at once");
        assert_eq!((pieces.len(), pieces[1].class, splitter.unparsed_bytes()), (2, Class::Control, 12));
    }

    proptest! {
        #[test]
        fn any_bytes_pass_unchanged_in_any_chunks(
            noise in proptest::collection::vec(any::<u8>(), 0..400), upgraded: bool, chunk in 1_usize..60,
        ) {
            let stream = if upgraded { [REQUEST, &noise].concat() } else { noise };
            let mut splitter = WebSocket::new(first_byte);
            let (mut input, mut pieces) = (BytesMut::new(), Vec::new());
            for part in stream.chunks(chunk) {
                input.extend_from_slice(part);
                splitter.split(&mut input, &mut pieces);
            }
            splitter.finish(&mut input, &mut pieces);
            let joined: Vec<u8> = pieces.iter().flat_map(|piece| piece.bytes.to_vec()).collect();
            prop_assert_eq!(joined, stream);
        }
    }
}
