//! What the engine asks to be made durable, and what it gets back after a restart.
//!
//! The engine *proposes* records ([`crate::server::Effect::Propose`]) and applies each only when it is
//! told that the record is *committed*. One node: committed = written and synced. Cluster: committed =
//! decided by a quorum. Commits arrive in the order of the proposals; when one fails, all proposals
//! outstanding at that moment fail too. Nothing that depends on a record leaves the engine before its commit.

mod memory;

use bytes::Bytes;

use crate::ids::{Chain, ConversationId, DeviceKey, MessageId, Seq, UserId};

pub use memory::Memory;

/// One atomic change of durable state.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Record {
    /// The conversation's log grows by one entry. It also enters the author's dedup window.
    Entry {
        /// Where.
        conversation: ConversationId,
        /// The entry's [`crate::chain::fingerprint`], so that nobody need hash its body again.
        fingerprint: u64,
        /// What.
        entry: Entry,
    },
    /// A device's progress in a conversation moved (both values are cumulative and never fall).
    Cursor {
        /// Where.
        conversation: ConversationId,
        /// Whose progress.
        device: DeviceKey,
        /// Everything up to here is on the device.
        delivered: Seq,
        /// Everything up to here was read there.
        read: Seq,
        /// Rises with every cursor change in this conversation; orders receipts.
        version: u64,
    },
    /// A device confirmed every receipt of a conversation up to a cursor version.
    ReceiptsConfirmed {
        /// Where.
        conversation: ConversationId,
        /// Who confirmed.
        device: DeviceKey,
        /// Highest cursor version confirmed.
        version: u64,
    },
    /// A device was seen with a new installation (first login, or its local state was lost): its
    /// `delivered`, `read` and `receipts_confirmed` go back to 0 in every conversation; its cursor
    /// versions and its recent ids stay.
    Device {
        /// Which device.
        device: DeviceKey,
        /// Chosen by the installation; a change means that the device forgot its cursors.
        installation: u64,
    },
}

/// One position of a conversation's log.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Entry {
    /// Its position.
    pub seq: Seq,
    /// The device that sent it.
    pub author: DeviceKey,
    /// The author's id for it.
    pub id: MessageId,
    /// Server wall clock at acceptance, milliseconds since the Unix epoch; informative only.
    pub at_ms: u64,
    /// The chain after this entry.
    pub chain: Chain,
    /// What it is.
    pub body: Body,
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Body {
    /// A message.
    Message {
        /// The entry that it answers, if any.
        reply_to: Option<Seq>,
        /// Opaque to the server.
        payload: Bytes,
    },
    /// Who belongs to the conversation changed, from this entry on. The first entry of a
    /// conversation is always one of these. Added members see the log from this entry on; removed
    /// members see this entry last.
    Members {
        /// Who joined.
        added: Vec<UserId>,
        /// Who left.
        removed: Vec<UserId>,
    },
}

/// Everything that the engine keeps in memory, as read back after a restart.
///
/// Its size grows with conversations, members and devices, and never with the length of the logs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// All conversations, by rising id.
    pub conversations: Vec<RecoveredConversation>,
    /// All devices, by rising key.
    pub devices: Vec<RecoveredDevice>,
}

/// A conversation's hot state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecoveredConversation {
    /// Its name.
    pub id: ConversationId,
    /// Its last committed position.
    pub head: Seq,
    /// The chain at `head`.
    pub chain: Chain,
    /// Highest cursor version ever given out here.
    pub version: u64,
    /// Every membership interval, by user, then by start.
    pub members: Vec<Membership>,
    /// Progress of every device here, by rising device.
    pub cursors: Vec<RecoveredCursor>,
}

/// One uninterrupted stay of a user in a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Membership {
    /// Who.
    pub user: UserId,
    /// The entry that added them: the first that they see.
    pub from: Seq,
    /// The entry that removed them: the last that they see. `None` while they belong.
    pub until: Option<Seq>,
}

/// A device's progress in one conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecoveredCursor {
    /// Which device.
    pub device: DeviceKey,
    /// Cumulative.
    pub delivered: Seq,
    /// Cumulative.
    pub read: Seq,
    /// Version of the last change.
    pub version: u64,
    /// Highest receipt version that this device confirmed here.
    pub receipts_confirmed: u64,
}

/// A device's hot state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecoveredDevice {
    /// Which device.
    pub key: DeviceKey,
    /// Its last known installation.
    pub installation: u64,
    /// The newest ids of this device, rising, at most [`crate::limits::DEDUP_IDS_PER_DEVICE`].
    pub recent: Vec<RecentId>,
}

/// One line of the dedup window: what became of an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RecentId {
    /// The author's id.
    pub id: MessageId,
    /// Where it went.
    pub conversation: ConversationId,
    /// Its position there.
    pub seq: Seq,
    /// See [`crate::chain::fingerprint`]: tells a retry from a reused id.
    pub fingerprint: u64,
}

/// What the engine wants to read from the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Query {
    /// Where.
    pub conversation: ConversationId,
    /// Entries after this position,
    pub after: Seq,
    /// at most this many,
    pub entries_max: usize,
    /// and at most this many payload bytes, but always at least one entry if there is one.
    pub payload_bytes_max: usize,
}
