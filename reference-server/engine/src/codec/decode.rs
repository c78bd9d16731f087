//! Bytes to frames. Payloads are slices of the frame, not copies. No input makes it panic or allocate
//! more than a small multiple of the frame's own size.

use bytes::Bytes;

use super::checksum::checksum;
use super::{
    Cause, DELIVER, ErrorCode, Frame, GoodbyeCode, HEADER_BYTES, Head, Hello, Page, Position, Purpose,
    ReceiptItem, RejectCode, Welcome,
};
use crate::ids::{ConversationId, DeviceId, DeviceKey, MessageId, Seq, UserId};
use crate::journal::{Body, Entry};
use crate::limits;

/// Why bytes are no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// Damaged on its way, or cut short: treat it as lost.
    #[error("checksum does not fit")]
    Checksum,
    /// Larger than any frame may be.
    #[error("frame has {0} bytes, more than {max}", max = limits::FRAME_BYTES_MAX)]
    TooLarge(usize),
    /// No such kind.
    #[error("unknown frame kind {0}")]
    UnknownKind(u8),
    /// The body does not parse.
    #[error("malformed {0}")]
    Malformed(&'static str),
}

/// Parses one whole frame.
pub fn decode(frame: &Bytes) -> Result<Frame, CodecError> {
    if frame.len() > limits::FRAME_BYTES_MAX {
        return Err(CodecError::TooLarge(frame.len()));
    }
    let Some((header, body)) = frame.split_first_chunk::<HEADER_BYTES>() else {
        return Err(CodecError::Checksum);
    };
    let [kind, crc @ ..] = *header;
    if checksum(kind, body) != u32::from_le_bytes(crc) {
        return Err(CodecError::Checksum);
    }
    let mut input = Reader { frame, rest: body };
    let parsed = if kind <= 10 { up(kind, &mut input) } else { down(kind, &mut input) };
    let name = super::kind_name_of(frame).ok_or(CodecError::UnknownKind(kind))?;
    match parsed {
        Some(parsed) if input.rest.is_empty() => Ok(parsed),
        _ => Err(CodecError::Malformed(name)),
    }
}

/// The entry in an encoded `Deliver` that never left this process: its checksum is not looked at.
pub(crate) fn entry_of(deliver: &Bytes) -> Option<Entry> {
    Reader { frame: deliver, rest: deliver.get(DELIVERED_FROM..)? }.entry()
}

/// Where the entry in a `Deliver` begins: behind conversation, predecessor, flag and cause.
const DELIVERED_FROM: usize = HEADER_BYTES + 8 + 8 + 1 + 1;

fn up(kind: u8, input: &mut Reader<'_>) -> Option<Frame> {
    Some(match kind {
        1 => Frame::Hello(input.hello()?),
        2 => {
            let (id, after, conversation) = (input.id()?, input.id()?, input.conversation()?);
            let (reply_to, payload) = input.message()?;
            Frame::Send { id, after, conversation, reply_to, payload }
        }
        3 => Frame::Members {
            id: input.id()?,
            after: input.id()?,
            conversation: input.conversation()?,
            added: input.users()?,
            removed: input.users()?,
        },
        4 => Frame::Ack { conversation: input.conversation()?, up_to: input.u64()? },
        5 => Frame::Read { conversation: input.conversation()?, up_to: input.u64()? },
        6 => Frame::ReceiptAck { conversation: input.conversation()?, version: input.u64()? },
        7 => Frame::Sync {
            request: input.u64()?,
            conversation: input.conversation()?,
            after: input.u64()?,
            limit: u16::from_le_bytes(input.array()?),
            purpose: Purpose::from_byte(input.u8()?)?,
        },
        8 => Frame::Ping { nonce: input.u64()? },
        9 => Frame::Alive { nonce: input.u64()? },
        10 => Frame::Bye,
        _ => return None,
    })
}

fn down(kind: u8, input: &mut Reader<'_>) -> Option<Frame> {
    Some(match kind {
        11 => Frame::Welcome(Welcome {
            installation: input.u64()?,
            resumed: input.bool()?,
            heartbeat_ms: input.u32()?,
            silent_ms: input.u32()?,
        }),
        12 => Frame::Heads(input.list(24, |input| {
            Some(Head { conversation: input.conversation()?, first: input.u64()?, head: input.u64()? })
        })?),
        13 => Frame::Accepted { id: input.id()?, conversation: input.conversation()?, seq: input.u64()? },
        14 => Frame::Rejected { id: input.id()?, code: RejectCode::from_byte(input.u8()?)? },
        15 => Frame::RetryLater { id: input.id()?, after_ms: input.u32()? },
        DELIVER => Frame::Deliver {
            conversation: input.conversation()?,
            prev: input.u64()?,
            redelivered: input.bool()?,
            cause: Cause::from_byte(input.u8()?)?,
            entry: input.entry()?,
        },
        17 => Frame::Receipts {
            conversation: input.conversation()?,
            from: input.u64()?,
            to: input.u64()?,
            items: input.list(28, |input| {
                Some(ReceiptItem { by: input.device()?, delivered: input.u64()?, read: input.u64()? })
            })?,
        },
        18 => Frame::CursorConfirmed {
            conversation: input.conversation()?,
            delivered: input.u64()?,
            read: input.u64()?,
        },
        19 => Frame::Page(Page {
            request: input.u64()?,
            conversation: input.conversation()?,
            complete: input.bool()?,
            head: input.u64()?,
            redelivered_up_to: input.u64()?,
            entries: input
                .list(8 + limits::ENTRY_HEADER_BYTES, |input| Some((input.u64()?, input.entry()?)))?,
        }),
        20 => Frame::Pong { nonce: input.u64()? },
        21 => Frame::Probe { nonce: input.u64()? },
        22 => Frame::Goodbye { code: GoodbyeCode::from_byte(input.u8()?)? },
        23 => Frame::Error { code: ErrorCode::from_byte(input.u8()?)? },
        _ => return None,
    })
}

struct Reader<'a> {
    frame: &'a Bytes,
    rest: &'a [u8],
}

impl Reader<'_> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.rest.split_first_chunk::<N>()?;
        self.rest = rest;
        Some(*head)
    }

    fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn bool(&mut self) -> Option<bool> {
        match self.u8()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    fn id(&mut self) -> Option<MessageId> {
        self.u64().map(MessageId)
    }

    fn conversation(&mut self) -> Option<ConversationId> {
        self.u64().map(ConversationId)
    }

    fn device(&mut self) -> Option<DeviceKey> {
        Some(DeviceKey { user: UserId(self.u64()?), device: DeviceId(self.u32()?) })
    }

    fn bytes(&mut self) -> Option<Bytes> {
        let length = self.u32()? as usize;
        let (head, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(self.frame.slice_ref(head))
    }

    /// A counted list. `item_bytes_min` bounds what a hostile count can make us allocate.
    fn list<T>(
        &mut self,
        item_bytes_min: usize,
        mut item: impl FnMut(&mut Self) -> Option<T>,
    ) -> Option<Vec<T>> {
        let count = self.u32()? as usize;
        if count > self.rest.len() / item_bytes_min {
            return None;
        }
        let mut items = Vec::with_capacity(count);
        for _ in 0..count {
            items.push(item(self)?);
        }
        Some(items)
    }

    fn users(&mut self) -> Option<Vec<UserId>> {
        self.list(8, |input| input.u64().map(UserId))
    }

    fn message(&mut self) -> Option<(Option<Seq>, Bytes)> {
        let (present, seq) = (self.bool()?, self.u64()?);
        let reply_to = match (present, seq) {
            (true, seq) => Some(seq),
            (false, 0) => None,
            (false, _) => return None,
        };
        Some((reply_to, self.bytes()?))
    }

    fn hello(&mut self) -> Option<Hello> {
        let version = u16::from_le_bytes(self.array()?);
        if version != super::VERSION {
            // Another version's hello may look different from here on; its number is all that matters.
            self.rest = &[];
            let (key, token) = (DeviceKey::default(), Bytes::new());
            return Some(Hello {
                version,
                key,
                installation: 0,
                resume: false,
                token,
                positions: Vec::new(),
            });
        }
        let (key, installation, resume) = (self.device()?, self.u64()?, self.bool()?);
        let token = self.bytes().filter(|token| token.len() <= limits::TOKEN_BYTES_MAX)?;
        let positions = self.list(24, |input| {
            let conversation = input.conversation()?;
            Some(Position { conversation, acked: input.u64()?, received: input.u64()? })
        })?;
        (positions.len() <= limits::HELLO_POSITIONS_MAX).then_some(Hello {
            version,
            key,
            installation,
            resume,
            token,
            positions,
        })
    }

    fn entry(&mut self) -> Option<Entry> {
        let (seq, author) = (self.u64()?, self.device()?);
        let (id, at_ms, chain) = (self.id()?, self.u64()?, self.array()?);
        let body = match self.u8()? {
            1 => {
                let (reply_to, payload) = self.message()?;
                Body::Message { reply_to, payload }
            }
            2 => Body::Members { added: self.users()?, removed: self.users()? },
            _ => return None,
        };
        Some(Entry { seq, author, id, at_ms, chain, body })
    }
}
