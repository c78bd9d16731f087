//! Frames: `kind (1 byte) || CRC-32 of kind and body (4 bytes) || body`, all integers little endian,
//! every length stated before its bytes, one encoding per value.
//!
//! A wrong checksum means that the frame was damaged on its way; it is ignored like a lost one. A
//! right checksum over a body that does not parse means a broken peer. This module knows shapes and
//! sizes only; what a frame means is the engines' business.

mod checksum;
mod codes;
mod decode;
mod encode;

use bytes::Bytes;

use crate::ids::{ConversationId, DeviceKey, MessageId, Seq, UserId};
use crate::journal::Entry;

pub use codes::{Cause, ErrorCode, GoodbyeCode, Purpose, RejectCode};
pub(crate) use decode::entry_of;
pub use decode::{CodecError, decode};
pub use encode::{encode, encode_deliver, encode_operation};

/// The protocol version that this crate speaks.
pub const VERSION: u16 = 1;
/// Bytes before the body.
pub const HEADER_BYTES: usize = 5;

/// Which way a kind of frame goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Client to server.
    Up,
    /// Server to client.
    Down,
}

/// Every kind of frame, by its name and direction, in the order of the kind bytes.
pub const FRAME_KINDS: [(&str, Direction); 23] = [
    ("hello", Direction::Up),
    ("send", Direction::Up),
    ("members", Direction::Up),
    ("ack", Direction::Up),
    ("read", Direction::Up),
    ("receipt-ack", Direction::Up),
    ("sync", Direction::Up),
    ("ping", Direction::Up),
    ("alive", Direction::Up),
    ("bye", Direction::Up),
    ("welcome", Direction::Down),
    ("heads", Direction::Down),
    ("accepted", Direction::Down),
    ("rejected", Direction::Down),
    ("retry-later", Direction::Down),
    ("deliver", Direction::Down),
    ("receipts", Direction::Down),
    ("cursor-confirmed", Direction::Down),
    ("page", Direction::Down),
    ("pong", Direction::Down),
    ("probe", Direction::Down),
    ("goodbye", Direction::Down),
    ("error", Direction::Down),
];

/// The kind of an encoded frame, from its first byte only; `None` when it is no kind at all.
pub fn kind_name_of(frame: &[u8]) -> Option<&'static str> {
    let first = usize::from(*frame.first()?).checked_sub(1)?;
    FRAME_KINDS.get(first).map(|(name, _)| *name)
}

/// One frame, parsed. The kind byte is the position in this list, from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// Login; repeated until answered.
    Hello(Hello),
    /// A message.
    Send {
        /// The device's id for it.
        id: MessageId,
        /// The device's newest unanswered operation before it in this conversation; 0 = none.
        after: MessageId,
        /// Where to.
        conversation: ConversationId,
        /// What it answers.
        reply_to: Option<Seq>,
        /// Opaque.
        payload: Bytes,
    },
    /// A change of members.
    Members {
        /// The device's id for it (the same numbers as messages).
        id: MessageId,
        /// As in `Send`.
        after: MessageId,
        /// Where.
        conversation: ConversationId,
        /// Who joins.
        added: Vec<UserId>,
        /// Who leaves.
        removed: Vec<UserId>,
    },
    /// Everything up to here is on the device.
    Ack {
        /// Where.
        conversation: ConversationId,
        /// Cumulative.
        up_to: Seq,
    },
    /// Everything up to here was read.
    Read {
        /// Where.
        conversation: ConversationId,
        /// Cumulative.
        up_to: Seq,
    },
    /// Every receipt up to this version is on the device.
    ReceiptAck {
        /// Where.
        conversation: ConversationId,
        /// Cumulative.
        version: u64,
    },
    /// Asks for a page of entries.
    Sync {
        /// Chosen by the client, echoed in the page.
        request: u64,
        /// Where.
        conversation: ConversationId,
        /// Entries after this one.
        after: Seq,
        /// At most this many.
        limit: u16,
        /// What for.
        purpose: Purpose,
    },
    /// Are you there?
    Ping {
        /// Echoed.
        nonce: u64,
    },
    /// Answer to `Probe`.
    Alive {
        /// From the probe.
        nonce: u64,
    },
    /// The device leaves.
    Bye,
    /// Logged in.
    Welcome(Welcome),
    /// Conversations where the device is too far behind to be pushed at.
    Heads(Vec<Head>),
    /// Committed.
    Accepted {
        /// Which operation.
        id: MessageId,
        /// Where.
        conversation: ConversationId,
        /// Its position.
        seq: Seq,
    },
    /// Refused.
    Rejected {
        /// Which operation.
        id: MessageId,
        /// Why.
        code: RejectCode,
    },
    /// Not now, and without effect so far.
    RetryLater {
        /// Which operation.
        id: MessageId,
        /// Try again after this.
        after_ms: u32,
    },
    /// One entry.
    Deliver {
        /// Where.
        conversation: ConversationId,
        /// The entry before it that this member may see; 0 = none.
        prev: Seq,
        /// Whether this server process transmitted it to this installation before.
        redelivered: bool,
        /// Which mechanism sent it.
        cause: Cause,
        /// The entry.
        entry: Entry,
    },
    /// Progress of other devices.
    Receipts {
        /// Where.
        conversation: ConversationId,
        /// The version that the receiver must have.
        from: u64,
        /// The version that it then has.
        to: u64,
        /// Whose progress.
        items: Vec<ReceiptItem>,
    },
    /// The device's own progress is durable.
    CursorConfirmed {
        /// Where.
        conversation: ConversationId,
        /// Durable.
        delivered: Seq,
        /// Durable.
        read: Seq,
    },
    /// A page of entries.
    Page(Page),
    /// Answer to `Ping`.
    Pong {
        /// From the ping.
        nonce: u64,
    },
    /// Are you there?
    Probe {
        /// Echoed.
        nonce: u64,
    },
    /// The server ends the connection, in good order.
    Goodbye {
        /// Why.
        code: GoodbyeCode,
    },
    /// The server ends the connection: something is wrong with the peer.
    Error {
        /// What.
        code: ErrorCode,
    },
}

/// Login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// [`VERSION`].
    pub version: u16,
    /// Whose device this is.
    pub key: DeviceKey,
    /// Chosen at random once per installation.
    pub installation: u64,
    /// Whether this installation was ever logged in.
    pub resume: bool,
    /// See [`crate::auth`].
    pub token: Bytes,
    /// Conversations where the device is ahead of what the server confirmed.
    pub positions: Vec<Position>,
}

/// How far a device is in one conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Where.
    pub conversation: ConversationId,
    /// Acknowledged (see `Ack`).
    pub acked: Seq,
    /// Received; acknowledged or not.
    pub received: Seq,
}

/// Login succeeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Welcome {
    /// From the hello.
    pub installation: u64,
    /// Whether the server continues this installation's cursors.
    pub resumed: bool,
    /// The client pings when it sent nothing for this long.
    pub heartbeat_ms: u32,
    /// A peer that is silent for this long is dead.
    pub silent_ms: u32,
}

/// One conversation in `Heads`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Where.
    pub conversation: ConversationId,
    /// The first entry that the device lacks, as far as the server knows.
    pub first: Seq,
    /// The last entry that the device may see.
    pub head: Seq,
}

/// One device in `Receipts`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceiptItem {
    /// Whose progress.
    pub by: DeviceKey,
    /// Cumulative.
    pub delivered: Seq,
    /// Cumulative.
    pub read: Seq,
}

/// A page of entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// From the sync.
    pub request: u64,
    /// Where.
    pub conversation: ConversationId,
    /// Whether nothing that this member may see follows, as of this answer.
    pub complete: bool,
    /// The last entry that this member may see, as of this answer.
    pub head: Seq,
    /// Entries up to here were transmitted to this installation before.
    pub redelivered_up_to: Seq,
    /// The entries with their predecessors (as in `Deliver`), rising.
    pub entries: Vec<(Seq, Entry)>,
}

impl Frame {
    /// The kind's name, as in [`FRAME_KINDS`].
    pub fn kind_name(&self) -> &'static str {
        FRAME_KINDS[usize::from(self.kind()) - 1].0
    }

    /// The kind byte.
    pub fn kind(&self) -> u8 {
        match self {
            Self::Hello(_) => 1,
            Self::Send { .. } => SEND,
            Self::Members { .. } => MEMBERS,
            Self::Ack { .. } => 4,
            Self::Read { .. } => 5,
            Self::ReceiptAck { .. } => 6,
            Self::Sync { .. } => 7,
            Self::Ping { .. } => 8,
            Self::Alive { .. } => 9,
            Self::Bye => 10,
            Self::Welcome(_) => 11,
            Self::Heads(_) => 12,
            Self::Accepted { .. } => 13,
            Self::Rejected { .. } => 14,
            Self::RetryLater { .. } => 15,
            Self::Deliver { .. } => DELIVER,
            Self::Receipts { .. } => 17,
            Self::CursorConfirmed { .. } => 18,
            Self::Page(_) => 19,
            Self::Pong { .. } => 20,
            Self::Probe { .. } => 21,
            Self::Goodbye { .. } => 22,
            Self::Error { .. } => 23,
        }
    }
}

const SEND: u8 = 2;
const MEMBERS: u8 = 3;
const DELIVER: u8 = 16;
