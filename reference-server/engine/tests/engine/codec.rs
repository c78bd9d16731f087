//! Property tests of the codec: what is encoded decodes to the same; nothing makes it panic; damage is noticed.

use avouch_engine::codec::{
    Cause, CodecError, ErrorCode, FRAME_KINDS, Frame, GoodbyeCode, HEADER_BYTES, Head, Hello, Page, Position,
    Purpose, ReceiptItem, RejectCode, VERSION, Welcome, decode, encode, kind_name_of,
};
use avouch_engine::ids::{ConversationId, DeviceId, DeviceKey, MessageId, UserId};
use avouch_engine::journal::{Body, Entry};
use bytes::{Bytes, BytesMut};
use proptest::prelude::*;

fn encoded(frame: &Frame) -> Bytes {
    encode(frame, &mut BytesMut::new())
}

fn payload() -> impl Strategy<Value = Bytes> {
    prop::collection::vec(any::<u8>(), 0..100).prop_map(Bytes::from)
}

fn users() -> impl Strategy<Value = Vec<UserId>> {
    prop::collection::vec(any::<u64>().prop_map(UserId), 0..8)
}

fn device() -> impl Strategy<Value = DeviceKey> {
    (any::<u64>(), any::<u32>())
        .prop_map(|(user, device)| DeviceKey { user: UserId(user), device: DeviceId(device) })
}

fn entry() -> impl Strategy<Value = Entry> {
    let message =
        (any::<Option<u64>>(), payload()).prop_map(|(reply_to, payload)| Body::Message { reply_to, payload });
    let members = (users(), users()).prop_map(|(added, removed)| Body::Members { added, removed });
    let body = prop_oneof![message, members];
    (any::<u64>(), device(), any::<u64>(), any::<u64>(), any::<[u8; 32]>(), body).prop_map(
        |(seq, author, id, at_ms, chain, body)| Entry { seq, author, id: MessageId(id), at_ms, chain, body },
    )
}

fn numbers() -> impl Strategy<Value = [u64; 4]> {
    any::<[u64; 4]>()
}

fn up() -> impl Strategy<Value = Frame> {
    let hello = (device(), any::<u64>(), any::<bool>(), payload(), prop::collection::vec(numbers(), 0..5));
    prop_oneof![
        hello.prop_map(|(key, installation, resume, token, positions)| {
            let position =
                |n: &[u64; 4]| Position { conversation: ConversationId(n[0]), acked: n[1], received: n[2] };
            let positions = positions.iter().map(position).collect();
            Frame::Hello(Hello { version: VERSION, key, installation, resume, token, positions })
        }),
        (numbers(), any::<Option<u64>>(), payload()).prop_map(|(n, reply_to, payload)| Frame::Send {
            id: MessageId(n[0]),
            after: MessageId(n[1]),
            conversation: ConversationId(n[2]),
            reply_to,
            payload
        }),
        (numbers(), users(), users()).prop_map(|(n, added, removed)| Frame::Members {
            id: MessageId(n[0]),
            after: MessageId(n[1]),
            conversation: ConversationId(n[2]),
            added,
            removed
        }),
        numbers().prop_map(|n| Frame::Ack { conversation: ConversationId(n[0]), up_to: n[1] }),
        numbers().prop_map(|n| Frame::Read { conversation: ConversationId(n[0]), up_to: n[1] }),
        numbers().prop_map(|n| Frame::ReceiptAck { conversation: ConversationId(n[0]), version: n[1] }),
        (numbers(), prop::sample::select(Purpose::ALL)).prop_map(|(n, purpose)| Frame::Sync {
            request: n[0],
            conversation: ConversationId(n[1]),
            after: n[2],
            limit: n[3] as u16,
            purpose
        }),
        any::<u64>().prop_map(|nonce| Frame::Ping { nonce }),
        any::<u64>().prop_map(|nonce| Frame::Alive { nonce }),
        Just(Frame::Bye),
    ]
}

fn down() -> impl Strategy<Value = Frame> {
    let deliver = (numbers(), any::<bool>(), prop::sample::select(Cause::ALL), entry());
    let page = (numbers(), any::<bool>(), prop::collection::vec((any::<u64>(), entry()), 0..4));
    let receipts = (numbers(), prop::collection::vec((device(), numbers()), 0..4));
    prop_oneof![
        (numbers(), any::<bool>()).prop_map(|(n, resumed)| Frame::Welcome(Welcome {
            installation: n[0],
            resumed,
            heartbeat_ms: n[1] as u32,
            silent_ms: n[2] as u32
        })),
        prop::collection::vec(numbers(), 0..5).prop_map(|all| {
            let head = |n: &[u64; 4]| Head { conversation: ConversationId(n[0]), first: n[1], head: n[2] };
            Frame::Heads(all.iter().map(head).collect())
        }),
        numbers().prop_map(|n| Frame::Accepted {
            id: MessageId(n[0]),
            conversation: ConversationId(n[1]),
            seq: n[2]
        }),
        (any::<u64>(), prop::sample::select(RejectCode::ALL))
            .prop_map(|(id, code)| Frame::Rejected { id: MessageId(id), code }),
        numbers().prop_map(|n| Frame::RetryLater { id: MessageId(n[0]), after_ms: n[1] as u32 }),
        deliver.prop_map(|(n, redelivered, cause, entry)| Frame::Deliver {
            conversation: ConversationId(n[0]),
            prev: n[1],
            redelivered,
            cause,
            entry
        }),
        receipts.prop_map(|(n, items)| Frame::Receipts {
            conversation: ConversationId(n[0]),
            from: n[1],
            to: n[2],
            items: items.into_iter().map(|(by, n)| ReceiptItem { by, delivered: n[0], read: n[1] }).collect(),
        }),
        numbers().prop_map(|n| Frame::CursorConfirmed {
            conversation: ConversationId(n[0]),
            delivered: n[1],
            read: n[2]
        }),
        page.prop_map(|(n, complete, entries)| Frame::Page(Page {
            request: n[0],
            conversation: ConversationId(n[1]),
            complete,
            head: n[2],
            redelivered_up_to: n[3],
            entries
        })),
        any::<u64>().prop_map(|nonce| Frame::Pong { nonce }),
        any::<u64>().prop_map(|nonce| Frame::Probe { nonce }),
        prop::sample::select(GoodbyeCode::ALL).prop_map(|code| Frame::Goodbye { code }),
        prop::sample::select(ErrorCode::ALL).prop_map(|code| Frame::Error { code }),
    ]
}

pub(crate) fn with_checksum(mut bytes: Vec<u8>) -> Bytes {
    if bytes.len() >= HEADER_BYTES {
        let mut crc = crc32fast::Hasher::new();
        crc.update(&bytes[..1]);
        crc.update(&bytes[HEADER_BYTES..]);
        bytes[1..HEADER_BYTES].copy_from_slice(&crc.finalize().to_le_bytes());
    }
    bytes.into()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    /// AV-2-6: one encoding per value, and no bytes that make the codec panic (here and below).
    #[test]
    fn roundtrip(frame in prop_oneof![up(), down()]) {
        let bytes = encoded(&frame);
        prop_assert_eq!(kind_name_of(&bytes), Some(frame.kind_name()));
        prop_assert!(FRAME_KINDS.iter().any(|(name, _)| *name == frame.kind_name()));
        prop_assert_eq!(decode(&bytes), Ok(frame));
    }

    /// AV-2-6
    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode(&Bytes::from(bytes.clone()));
        // Also past the checksum; and what is accepted has one encoding only.
        let bytes = with_checksum(bytes);
        if let Ok(frame) = decode(&bytes) {
            let hello_from_another_version = matches!(&frame, Frame::Hello(hello) if hello.version != VERSION);
            if !hello_from_another_version {
                prop_assert_eq!(encoded(&frame), bytes);
            }
        }
    }

    /// AV-2-6
    #[test]
    fn damaged_bodies_never_panic(frame in prop_oneof![up(), down()], at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = encoded(&frame).to_vec();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = decode(&with_checksum(bytes));
    }

    /// AV-2-1
    #[test]
    fn every_flipped_bit_is_noticed(frame in prop_oneof![up(), down()], at in any::<prop::sample::Index>()) {
        let mut bytes = encoded(&frame).to_vec();
        let bit = at.index(bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        prop_assert_eq!(decode(&Bytes::from(bytes)), Err(CodecError::Checksum));
    }

    /// AV-2-1
    #[test]
    fn truncated_frames_are_refused(frame in prop_oneof![up(), down()], at in any::<prop::sample::Index>()) {
        let bytes = encoded(&frame);
        let cut = bytes.slice(..at.index(bytes.len()));
        prop_assert_eq!(decode(&cut), Err(CodecError::Checksum));
        let parsed = decode(&with_checksum(cut.to_vec()));
        prop_assert!(parsed.is_err(), "{:?}", parsed);
    }
}
