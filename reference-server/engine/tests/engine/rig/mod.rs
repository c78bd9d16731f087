//! One side alone, or both, with the test as network, clock, disk and application.

mod both;
mod client;
mod server;

use avouch_engine::auth;
use avouch_engine::codec::{Frame, Hello, Position, Purpose, VERSION, encode};
use avouch_engine::ids::{ConversationId, DeviceId, DeviceKey, MessageId, Seq, UserId};
use avouch_engine::journal::Body;
use bytes::{Bytes, BytesMut};

pub(crate) use both::Both;
pub(crate) use client::{ClientRig, entries, entry, entry_of, welcome};
pub(crate) use server::{ServerRig, accepts};

/// Nanoseconds per millisecond.
pub(crate) const MS: u64 = 1_000_000;
pub(crate) const SECRET: &[u8] = b"the tests' secret";

/// The installation of every device that does not say otherwise.
pub(crate) const INSTALLATION: u64 = 77;

pub(crate) const A: DeviceKey = key(1, 0);
pub(crate) const B: DeviceKey = key(2, 0);
pub(crate) const C: DeviceKey = key(3, 0);
/// The conversation that tests use if one is enough.
pub(crate) const ROOM: ConversationId = ConversationId(7);

pub(crate) const fn key(user: u64, device: u32) -> DeviceKey {
    DeviceKey { user: UserId(user), device: DeviceId(device) }
}

pub(crate) fn users(all: impl IntoIterator<Item = u64>) -> Vec<UserId> {
    all.into_iter().map(UserId).collect()
}

pub(crate) fn encoded(frame: &Frame) -> Bytes {
    encode(frame, &mut BytesMut::new())
}

pub(crate) fn token(key: DeviceKey) -> Bytes {
    auth::token(SECRET, key, u64::MAX)
}

/// The names of frames, in order.
pub(crate) fn kinds(frames: &[Frame]) -> Vec<&'static str> {
    frames.iter().map(Frame::kind_name).collect()
}

pub(crate) fn hello(key: DeviceKey, installation: u64, positions: &[(ConversationId, Seq, Seq)]) -> Frame {
    let position = |(conversation, acked, received): &(ConversationId, Seq, Seq)| Position {
        conversation: *conversation,
        acked: *acked,
        received: *received,
    };
    let positions = positions.iter().map(position).collect();
    let token = token(key);
    Frame::Hello(Hello { version: VERSION, key, installation, resume: false, token, positions })
}

/// A message to a conversation, without a predecessor.
pub(crate) fn send_to(conversation: ConversationId, id: u64, payload: impl Into<Bytes>) -> Frame {
    Frame::Send {
        id: MessageId(id),
        after: MessageId(0),
        conversation,
        reply_to: None,
        payload: payload.into(),
    }
}

/// A message to [`ROOM`].
pub(crate) fn send(id: u64, payload: &'static str) -> Frame {
    send_to(ROOM, id, payload)
}

/// A message to [`ROOM`] with a predecessor.
pub(crate) fn send_after(id: u64, after: u64) -> Frame {
    let Frame::Send { id, conversation, reply_to, payload, .. } = send(id, "next") else { unreachable!() };
    Frame::Send { id, after: MessageId(after), conversation, reply_to, payload }
}

pub(crate) fn change(
    id: u64,
    conversation: ConversationId,
    added: Vec<UserId>,
    removed: Vec<UserId>,
) -> Frame {
    Frame::Members { id: MessageId(id), after: MessageId(0), conversation, added, removed }
}

pub(crate) fn message(payload: &'static str) -> Body {
    Body::Message { reply_to: None, payload: Bytes::from_static(payload.as_bytes()) }
}

/// Asks for entries of [`ROOM`] after a position, as a client does that closes a gap.
pub(crate) fn catch_up(request: u64, after: Seq) -> Frame {
    sync(request, after, 100, Purpose::CatchUp)
}

pub(crate) fn sync(request: u64, after: Seq, limit: u16, purpose: Purpose) -> Frame {
    Frame::Sync { request, conversation: ROOM, after, limit, purpose }
}
