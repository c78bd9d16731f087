//! Frames to bytes.

use bytes::{BufMut, Bytes, BytesMut};

use super::checksum::checksum;
use super::{Cause, DELIVER, Frame, HEADER_BYTES, Hello, MEMBERS, Page, SEND, Welcome};
use crate::ids::{ConversationId, DeviceKey, MessageId, Seq, UserId};
use crate::journal::{Body, Entry};

/// Capacity that the scratch buffer grows by, so that small frames share one allocation.
const CHUNK_BYTES: usize = 4 << 10;

/// Appends a frame to `scratch` and splits it off as its own bytes.
pub fn encode(frame: &Frame, scratch: &mut BytesMut) -> Bytes {
    let mut out = Writer::begin(scratch, frame.kind());
    body(frame, &mut out);
    out.finish()
}

/// [`encode`] of a `Deliver` whose entry stays where it is.
pub fn encode_deliver(
    conversation: ConversationId,
    (prev, redelivered, cause): (Seq, bool, Cause),
    entry: &Entry,
    scratch: &mut BytesMut,
) -> Bytes {
    let mut out = Writer::begin(scratch, DELIVER);
    out.deliver(conversation, (prev, redelivered, cause), entry);
    out.finish()
}

/// A `send`, or a `members` frame, for an operation that its sender keeps. Same use of `scratch`.
pub fn encode_operation(
    (id, after): (MessageId, MessageId),
    conversation: ConversationId,
    body: &Body,
    scratch: &mut BytesMut,
) -> Bytes {
    let kind = if matches!(body, Body::Message { .. }) { SEND } else { MEMBERS };
    let mut out = Writer::begin(scratch, kind);
    out.u64s(&[id.0, after.0, conversation.0]);
    match body {
        Body::Message { reply_to, payload } => out.message(*reply_to, payload),
        Body::Members { added, removed } => {
            out.users(added);
            out.users(removed);
        }
    }
    out.finish()
}

fn body(frame: &Frame, out: &mut Writer<'_>) {
    match frame {
        Frame::Hello(hello) => out.hello(hello),
        Frame::Send { id, after, conversation, reply_to, payload } => {
            out.u64s(&[id.0, after.0, conversation.0]);
            out.message(*reply_to, payload);
        }
        Frame::Members { id, after, conversation, added, removed } => {
            out.u64s(&[id.0, after.0, conversation.0]);
            out.users(added);
            out.users(removed);
        }
        Frame::Ack { conversation, up_to } | Frame::Read { conversation, up_to } => {
            out.u64s(&[conversation.0, *up_to]);
        }
        Frame::ReceiptAck { conversation, version } => out.u64s(&[conversation.0, *version]),
        Frame::Sync { request, conversation, after, limit, purpose } => {
            out.u64s(&[*request, conversation.0, *after]);
            out.0.put_u16_le(*limit);
            out.0.put_u8(purpose.to_byte());
        }
        Frame::Ping { nonce } | Frame::Alive { nonce } | Frame::Pong { nonce } | Frame::Probe { nonce } => {
            out.u64s(&[*nonce]);
        }
        Frame::Bye => {}
        Frame::Welcome(welcome) => out.welcome(welcome),
        Frame::Heads(heads) => {
            out.count(heads.len());
            for item in heads {
                out.u64s(&[item.conversation.0, item.first, item.head]);
            }
        }
        Frame::Accepted { id, conversation, seq } => out.u64s(&[id.0, conversation.0, *seq]),
        Frame::Rejected { id, code } => {
            out.u64s(&[id.0]);
            out.0.put_u8(code.to_byte());
        }
        Frame::RetryLater { id, after_ms } => {
            out.u64s(&[id.0]);
            out.0.put_u32_le(*after_ms);
        }
        Frame::Deliver { conversation, prev, redelivered, cause, entry } => {
            out.deliver(*conversation, (*prev, *redelivered, *cause), entry);
        }
        Frame::Receipts { conversation, from, to, items } => {
            out.u64s(&[conversation.0, *from, *to]);
            out.count(items.len());
            for item in items {
                out.device(item.by);
                out.u64s(&[item.delivered, item.read]);
            }
        }
        Frame::CursorConfirmed { conversation, delivered, read } => {
            out.u64s(&[conversation.0, *delivered, *read]);
        }
        Frame::Page(page) => out.page(page),
        Frame::Goodbye { code } => out.0.put_u8(code.to_byte()),
        Frame::Error { code } => out.0.put_u8(code.to_byte()),
    }
}

struct Writer<'a>(&'a mut BytesMut);

impl<'a> Writer<'a> {
    fn begin(scratch: &'a mut BytesMut, kind: u8) -> Self {
        scratch.clear();
        if scratch.capacity() < 256 {
            scratch.reserve(CHUNK_BYTES);
        }
        scratch.put_u8(kind);
        scratch.put_u32_le(0);
        Self(scratch)
    }

    fn finish(self) -> Bytes {
        let crc = checksum(self.0[0], &self.0[HEADER_BYTES..]);
        self.0[1..HEADER_BYTES].copy_from_slice(&crc.to_le_bytes());
        self.0.split().freeze()
    }

    fn u64s<const N: usize>(&mut self, values: &[u64; N]) {
        self.0.put_slice(values.map(u64::to_le_bytes).as_flattened());
    }

    fn count(&mut self, count: usize) {
        self.0.put_u32_le(u32::try_from(count).expect("lists are far below 2^32 items"));
    }

    fn device(&mut self, key: DeviceKey) {
        self.0.put_u64_le(key.user.0);
        self.0.put_u32_le(key.device.0);
    }

    fn users(&mut self, users: &[UserId]) {
        self.count(users.len());
        for user in users {
            self.0.put_u64_le(user.0);
        }
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.0.put_slice(bytes);
    }

    fn message(&mut self, reply_to: Option<Seq>, payload: &[u8]) {
        self.0.put_u8(u8::from(reply_to.is_some()));
        self.0.put_u64_le(reply_to.unwrap_or(0));
        self.bytes(payload);
    }

    fn hello(&mut self, hello: &Hello) {
        self.0.put_u16_le(hello.version);
        self.device(hello.key);
        self.0.put_u64_le(hello.installation);
        self.0.put_u8(u8::from(hello.resume));
        self.bytes(&hello.token);
        self.count(hello.positions.len());
        for position in &hello.positions {
            self.u64s(&[position.conversation.0, position.acked, position.received]);
        }
    }

    fn welcome(&mut self, welcome: &Welcome) {
        self.0.put_u64_le(welcome.installation);
        self.0.put_u8(u8::from(welcome.resumed));
        self.0.put_u32_le(welcome.heartbeat_ms);
        self.0.put_u32_le(welcome.silent_ms);
    }

    fn deliver(&mut self, conversation: ConversationId, how: (Seq, bool, Cause), entry: &Entry) {
        let (prev, redelivered, cause) = how;
        self.u64s(&[conversation.0, prev]);
        self.0.put_u8(u8::from(redelivered));
        self.0.put_u8(cause.to_byte());
        self.entry(entry);
    }

    fn entry(&mut self, entry: &Entry) {
        self.0.put_u64_le(entry.seq);
        self.device(entry.author);
        self.u64s(&[entry.id.0, entry.at_ms]);
        self.0.put_slice(&entry.chain);
        match &entry.body {
            Body::Message { reply_to, payload } => {
                self.0.put_u8(1);
                self.message(*reply_to, payload);
            }
            Body::Members { added, removed } => {
                self.0.put_u8(2);
                self.users(added);
                self.users(removed);
            }
        }
    }

    fn page(&mut self, page: &Page) {
        self.u64s(&[page.request, page.conversation.0]);
        self.0.put_u8(u8::from(page.complete));
        self.u64s(&[page.head, page.redelivered_up_to]);
        self.count(page.entries.len());
        for (prev, entry) in &page.entries {
            self.0.put_u64_le(*prev);
            self.entry(entry);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_has_the_bytes_of_its_frame() {
        let (id, after, conversation) = (MessageId(9), MessageId(7), ConversationId(5));
        let (payload, users) = (Bytes::from_static(b"payload"), vec![UserId(1), UserId(2)]);
        let (added, removed) = (users.clone(), users[1..].to_vec());
        for (body, frame) in [
            (
                Body::Message { reply_to: Some(3), payload: payload.clone() },
                Frame::Send { id, after, conversation, reply_to: Some(3), payload },
            ),
            (
                Body::Members { added: added.clone(), removed: removed.clone() },
                Frame::Members { id, after, conversation, added, removed },
            ),
        ] {
            let mut scratch = BytesMut::new();
            let encoded = encode_operation((id, after), conversation, &body, &mut scratch);
            assert_eq!(encoded, encode(&frame, &mut scratch), "{frame:?}");
        }
    }
}
