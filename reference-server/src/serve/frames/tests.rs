//! The library that does the handshake is the other end here, and the judge of what a frame may be.

use std::collections::VecDeque;
use std::io::{self, Read, Write};

use proptest::collection::vec;
use proptest::prelude::*;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Control, Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{Frame, FrameHeader};
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};
use tokio_tungstenite::tungstenite::{Error, Message};

use super::*;

/// Reads what has come in pieces of these sizes, in turn.
fn read(bytes: &[u8], pieces: &[usize]) -> (Vec<Incoming>, Result<(), Violation>) {
    let (mut reader, mut incoming) = (Reader::default(), Vec::new());
    let mut sizes = pieces.iter().cycle();
    let mut rest = bytes;
    loop {
        match reader.next() {
            Err(why) => return (incoming, Err(why)),
            Ok(Some(Incoming::Close(code))) => {
                incoming.push(Incoming::Close(code));
                return (incoming, Ok(()));
            }
            Ok(Some(next)) => incoming.push(next),
            Ok(None) if rest.is_empty() => return (incoming, Ok(())),
            Ok(None) => {
                let (piece, behind) = rest.split_at((*sizes.next().unwrap()).min(rest.len()));
                reader.room().extend_from_slice(piece);
                rest = behind;
            }
        }
    }
}

/// The same by the library.
fn read_by_library(bytes: &[u8]) -> (Vec<Incoming>, Result<(), Error>) {
    let limit = Some(FRAME_BYTES_MAX);
    let config = WebSocketConfig::default().max_message_size(limit).max_frame_size(limit);
    let mut library = WebSocketContext::new(Role::Server, Some(config));
    let (mut stream, mut incoming) = (Stream(bytes.iter().copied().collect()), Vec::new());
    loop {
        incoming.push(match library.read(&mut stream) {
            Ok(Message::Binary(bytes)) => Incoming::Message(bytes),
            Ok(Message::Ping(bytes)) => Incoming::Ping(bytes),
            Ok(Message::Pong(_)) => Incoming::Pong,
            Ok(Message::Close(close)) => {
                incoming.push(Incoming::Close(close.map(|close| close.code.into())));
                return (incoming, Ok(()));
            }
            Ok(other) => panic!("{other:?}"),
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => return (incoming, Ok(())),
            Err(error) => return (incoming, Err(error)),
        });
    }
}

struct Stream(VecDeque<u8>);

impl Read for Stream {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.0.is_empty() { Err(io::ErrorKind::WouldBlock.into()) } else { self.0.read(out) }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn append(out: &mut Vec<u8>, opcode: OpCode, is_final: bool, mask: Option<[u8; 4]>, payload: &[u8]) {
    let header = FrameHeader { is_final, opcode, mask, ..FrameHeader::default() };
    Frame::from_payload(header, Bytes::copy_from_slice(payload)).format(out).unwrap();
}

fn masked(opcode: OpCode, is_final: bool, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    append(&mut out, opcode, is_final, Some([0x12, 0x34, 0x56, 0x78]), payload);
    out
}

/// Sizes around which something changes: no payload, a shared one, one, two and eight bytes of length, many reads.
fn payload() -> impl Strategy<Value = Vec<u8>> {
    let bytes = prop_oneof![
        8 => 0usize..300,
        1 => prop_oneof![Just(125), Just(126), Just(256), Just(257), Just(65_535), Just(65_536)],
        1 => 0usize..20_000,
    ];
    (bytes, any::<u8>())
        .prop_map(|(bytes, first)| (0..bytes).map(|at| first.wrapping_add(at as u8)).collect())
}

proptest! {
    #[test]
    fn messages_arrive_as_they_were_sent(
        messages in vec((vec(payload(), 1..4), any::<[u8; 4]>(), any::<bool>()), 0..20),
        pieces in vec(1usize..5_000, 1..8),
    ) {
        let (mut bytes, mut expected) = (Vec::new(), Vec::new());
        for (parts, key, has_ping) in &messages {
            for (number, part) in parts.iter().enumerate() {
                let data = if number == 0 { Data::Binary } else { Data::Continue };
                append(&mut bytes, OpCode::Data(data), number + 1 == parts.len(), Some(*key), part);
                // Control frames may come between the fragments of a message.
                if *has_ping && number == 0 {
                    append(&mut bytes, OpCode::Control(Control::Ping), true, Some(*key), key);
                    expected.push(Incoming::Ping(Bytes::copy_from_slice(key)));
                }
            }
            let message = Incoming::Message(parts.concat().into());
            expected.push(message);
            if *has_ping && parts.len() == 1 {
                let last = expected.len() - 1;
                expected.swap(last - 1, last);
            }
        }
        prop_assert_eq!(read(&bytes, &pieces), (expected, Ok(())));
    }

    /// Heads of every kind, right and wrong, before payloads that are whole or not.
    #[test]
    fn what_is_refused_is_what_the_library_refuses(
        frames in vec((any::<(u8, bool, bool)>(), 0u8..12, 0usize..140, any::<[u8; 4]>()), 0..8),
        cut in 0usize..40,
        pieces in vec(1usize..200, 1..4),
    ) {
        let mut bytes = Vec::new();
        for ((rare, is_final, is_long), opcode, length, key) in frames {
            let reserved = if rare < 8 { 0x40 } else { 0 };
            let mask = if rare > 248 { 0 } else { IS_MASKED };
            // What a library makes of text is no matter: here it is refused.
            let opcode = if opcode == 1 { 2 } else { opcode };
            bytes.push(u8::from(is_final) << 7 | reserved | opcode);
            if is_long || length > 125 {
                bytes.extend([mask | TWO_LENGTH_BYTES, 0, length as u8]);
            } else {
                bytes.push(mask | length as u8);
            }
            bytes.extend(key);
            bytes.extend((0..length).map(|at| at as u8 ^ key[at % 4]));
        }
        bytes.truncate(bytes.len().saturating_sub(cut));
        let (incoming, outcome) = read(&bytes, &pieces);
        let (expected, judged) = read_by_library(&bytes);
        prop_assert_eq!(&incoming[..], &expected[..], "{:?}, {:?}", outcome, judged);
        // The library waits for the rest of a frame whose head is wrong.
        prop_assert!(outcome.is_err() || judged.is_ok(), "{judged:?}");
    }

    #[test]
    fn the_library_reads_what_is_written(payloads in vec(payload(), 0..12)) {
        let mut bytes = Vec::new();
        for payload in &payloads {
            write(&mut bytes, Opcode::Binary, payload);
        }
        let mut library = WebSocketContext::new(Role::Client, None);
        let mut stream = Stream(bytes.into());
        for payload in payloads {
            prop_assert_eq!(library.read(&mut stream).unwrap(), Message::binary(payload));
        }
        prop_assert!(stream.0.is_empty());
    }
}

#[test]
fn a_length_is_refused_before_its_bytes_have_come() {
    let claim = |length: u64| {
        let head = [IS_FINAL | 2, IS_MASKED | EIGHT_LENGTH_BYTES];
        read(&[&head[..], &length.to_be_bytes(), &[0; 4]].concat(), &[1]).1
    };
    assert_eq!(claim(FRAME_BYTES_MAX as u64), Ok(()));
    assert_eq!(claim(FRAME_BYTES_MAX as u64 + 1), Err("a large message"));
    assert_eq!(claim(u64::MAX), Err("a large message"));
}

#[test]
fn fragments_together_are_limited() {
    let half = vec![7; FRAME_BYTES_MAX / 2];
    let begin = masked(OpCode::Data(Data::Binary), false, &half);
    let end = |bytes: &[u8]| masked(OpCode::Data(Data::Continue), true, bytes);
    let (whole, outcome) = read(&[&begin[..], &end(&half)].concat(), &[10_000]);
    assert_eq!((whole, outcome), (vec![Incoming::Message(vec![7; FRAME_BYTES_MAX].into())], Ok(())));
    let (nothing, outcome) = read(&[&begin[..], &end(&[&half[..], &[7]].concat())].concat(), &[10_000]);
    assert_eq!((nothing, outcome), (Vec::new(), Err("a large message")));
}

#[test]
fn a_claim_takes_no_memory() {
    let mut reader = Reader::default();
    let mut head = vec![IS_FINAL | 2, IS_MASKED | EIGHT_LENGTH_BYTES];
    head.extend_from_slice(&(FRAME_BYTES_MAX as u64).to_be_bytes());
    head.extend_from_slice(&[0; 4]);
    reader.room().extend_from_slice(&head);
    assert_eq!(reader.next(), Ok(None));
    assert!(reader.room().capacity() <= READ_BYTES);
    // What a large message needed is given back after it.
    for part in vec![0; FRAME_BYTES_MAX].chunks(1_000) {
        reader.room().extend_from_slice(part);
    }
    assert!(matches!(reader.next(), Ok(Some(Incoming::Message(bytes))) if bytes.len() == FRAME_BYTES_MAX));
    assert!(reader.room().capacity() <= READ_BYTES);
}

#[test]
fn goodbyes() {
    let outcome = |payload: &[u8]| read(&masked(OpCode::Control(Control::Close), true, payload), &[3]);
    let answered = |code| (vec![Incoming::Close(code)], Ok(()));
    assert_eq!(outcome(&[]), answered(None));
    assert_eq!(outcome(&[0x03, 0xE8, b'o', b'k']), answered(Some(1000)));
    for nobodys in [0u16, 999, 1004, 1005, 1006, 1015, 2999, 5000] {
        assert_eq!(outcome(&nobodys.to_be_bytes()), answered(Some(CLOSE_PROTOCOL_ERROR)), "{nobodys}");
    }
    assert_eq!(outcome(&[3]).1, Err("half a code in a goodbye"));
    assert_eq!(outcome(&[0x03, 0xE8, 0xFF]).1, Err("a goodbye whose reason is no text"));
}
