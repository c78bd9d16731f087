//! What a history is made of. Only types: how they are written is in `encode`, how they are read in `decode`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A recipient or sender: one client of a user.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, JsonSchema,
)]
pub struct Device(pub u32);
/// A person.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, JsonSchema,
)]
pub struct User(pub u32);
/// An ordered stream with members.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, JsonSchema,
)]
pub struct Conversation(pub u32);
/// The tool's own id of one send operation, carried in the payload; unique in a run, never reused.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, JsonSchema,
)]
pub struct Message(pub u64);

/// One line.
#[derive(Clone, Debug, PartialEq, Hash)]
pub struct Event {
    /// Nanoseconds since the run began, on one monotonic clock; never falls from line to line.
    pub at_ns: u64,
    /// What happened.
    pub what: What,
}

/// How a session began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SessionKind {
    /// The server says that it kept nothing of this device.
    New,
    /// The server says that it continues where the device was.
    Resumed,
}

/// Ack ladder: how far a message is known to have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rung {
    /// 0: bytes were handed to the socket.
    Written,
    /// 1: the server received it.
    Received,
    /// 2: the server took responsibility.
    Accepted,
    /// 3: stored.
    Stored,
    /// 4: replicated.
    Replicated,
    /// 5: handed to a recipient device.
    Handed,
    /// 6: acknowledged by a recipient device.
    Acknowledged,
    /// 7: read.
    Read,
}

/// One message as a page of history shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PageItem {
    /// The server's position, where the protocol has one.
    pub seq: Option<u64>,
    /// Which send this is; `None` when the payload names none.
    pub message: Option<Message>,
    /// Digest of the payload as received.
    pub digest: u64,
}

/// What can happen. All ids are declared before use.
#[derive(Clone, Debug, PartialEq, Hash)]
pub enum What {
    /// Declares a device.
    Device {
        /// Which device.
        device: Device,
        /// Whose it is.
        user: User,
        /// As people call it.
        name: String,
    },
    /// Declares a conversation with its members at the start (those whose membership the server confirmed).
    Conversation {
        /// Which conversation.
        conversation: Conversation,
        /// As people call it.
        name: String,
        /// Members at the start.
        members: Vec<User>,
    },
    /// The run enters a phase.
    Phase {
        /// Which.
        phase: Phase,
    },

    /// A session was established (after login).
    Session {
        /// Which device.
        device: Device,
        /// How it began.
        session: SessionKind,
    },
    /// The connection of a device ended; `why` in words ("reset", "takeover", "asked to").
    Disconnected {
        /// Which device.
        device: Device,
        /// In words.
        why: String,
    },

    /// A device lost its local state: what it had received counts as not received by the new installation.
    Reinstalled {
        /// Which device.
        device: Device,
    },

    /// Invocation: a device wants a message sent. `intended_ns` is the planned time (open loop).
    Send {
        /// Which device.
        device: Device,
        /// Which conversation.
        conversation: Conversation,
        /// Which operation.
        message: Message,
        /// Planned time, on the clock of `at_ns`.
        intended_ns: u64,
        /// Size of the payload.
        bytes: u32,
        /// Digest of the payload; only ever compared for equality.
        digest: u64,
        /// The message that it answers.
        reply_to: Option<Message>,
    },
    /// The client sent it again (same operation).
    Retry {
        /// Which device.
        device: Device,
        /// Which operation.
        message: Message,
    },
    /// Outcome `ok`: acknowledged at a rung.
    Accepted {
        /// Which device.
        device: Device,
        /// Which operation.
        message: Message,
        /// The server's position, where the protocol has one.
        seq: Option<u64>,
        /// How far it has come.
        rung: Rung,
    },
    /// Outcome `fail`: a definite refusal.
    Rejected {
        /// Which device.
        device: Device,
        /// Which operation.
        message: Message,
        /// The server's word for the refusal.
        code: String,
    },
    /// Outcome `info`: given up, may have happened.
    Unknown {
        /// Which device.
        device: Device,
        /// Which operation.
        message: Message,
        /// In words.
        why: String,
    },

    /// A message reached the application on a device. `message` is `None` when the payload names no send.
    Delivered {
        /// Which device.
        device: Device,
        /// Which conversation.
        conversation: Conversation,
        /// Which operation.
        message: Option<Message>,
        /// The server's position, where the protocol has one.
        seq: Option<u64>,
        /// Digest of the payload; only ever compared for equality.
        digest: u64,
        /// Whether the server flagged it as sent before.
        redelivered: bool,
    },
    /// The client recognised a copy of what it had and did not hand it to the application.
    Suppressed {
        /// Which device.
        device: Device,
        /// Which conversation.
        conversation: Conversation,
        /// Which operation.
        message: Option<Message>,
        /// The server's position, where the protocol has one.
        seq: Option<u64>,
        /// Whether the server flagged it as sent before.
        redelivered: bool,
    },
    /// A device acknowledged delivery of everything up to `seq`, or of one message.
    Acknowledged {
        /// Which device.
        device: Device,
        /// Which conversation.
        conversation: Conversation,
        /// Everything up to here.
        up_to: Option<u64>,
        /// Which operation.
        message: Option<Message>,
    },
    /// The user read everything up to `seq` (invocation; see `ReadConfirmed`).
    Read {
        /// Which device.
        device: Device,
        /// Which conversation.
        conversation: Conversation,
        /// Everything up to here.
        up_to: u64,
    },
    /// The server confirmed a read mark.
    ReadConfirmed {
        /// Which device.
        device: Device,
        /// Which conversation.
        conversation: Conversation,
        /// Everything up to here.
        up_to: u64,
    },
    /// `device` learnt that `by` has everything up to `up_to` (delivered, read).
    Receipt {
        /// Which device.
        device: Device,
        /// Which conversation.
        conversation: Conversation,
        /// Whose progress.
        by: Device,
        /// What kind.
        kind: ReceiptKind,
        /// Everything up to here.
        up_to: u64,
    },
    /// The client noticed that it misses positions `after+1 .. before-1`.
    Gap {
        /// Which device.
        device: Device,
        /// Which conversation.
        conversation: Conversation,
        /// Last position before.
        after: u64,
        /// First position behind the gap.
        before: u64,
    },
    /// The client verified the hash chain and it does not hold at this position.
    ChainBroken {
        /// Which device.
        device: Device,
        /// Which conversation.
        conversation: Conversation,
        /// The server's position, where the protocol has one.
        seq: u64,
    },
    /// A client asks for history (invocation): entries after `after`.
    PageRequested {
        /// Which device.
        device: Device,
        /// Which conversation.
        conversation: Conversation,
        /// Pairs request and page; chosen by the device.
        request: u64,
        /// Last position before.
        after: u64,
    },
    /// A page of history. `complete`: nothing follows, as of the server's answer.
    Page {
        /// Which device.
        device: Device,
        /// Which conversation.
        conversation: Conversation,
        /// Pairs request and page; chosen by the device.
        request: u64,
        /// The entries, in the order of the page.
        items: Vec<PageItem>,
        /// Nothing follows.
        complete: bool,
    },
    /// Invocation of a membership change. `message` identifies the operation, like a send.
    MembersChange {
        /// Which device.
        device: Device,
        /// Which conversation.
        conversation: Conversation,
        /// Which operation.
        message: Message,
        /// Who joined.
        added: Vec<User>,
        /// Who left.
        removed: Vec<User>,
    },
    /// A device saw a membership change in the conversation's order.
    MembersChanged {
        /// Which device.
        device: Device,
        /// Which conversation.
        conversation: Conversation,
        /// The server's position, where the protocol has one.
        seq: Option<u64>,
        /// Who joined.
        added: Vec<User>,
        /// Who left.
        removed: Vec<User>,
    },

    /// A fault begins (or, for a momentary one, happens). `id` is the planned fault's.
    FaultStarted {
        /// The planned fault's id.
        id: u32,
        /// What kind.
        kind: String,
        /// What it hits, in words.
        target: String,
    },
    /// A planned link fault decided a frame's fate. `device` is the client end of the link.
    FaultFired {
        /// The planned fault's id.
        id: u32,
        /// What kind.
        kind: String,
        /// Which device.
        device: Device,
        /// Ordinal of the frame on this link.
        frame: u64,
        /// What was done to it, in words.
        detail: String,
    },
    /// A fault ends: healed. `evidence` says what shows that it took effect; empty = nothing does.
    FaultEnded {
        /// The planned fault's id.
        id: u32,
        /// What shows that it took effect.
        evidence: String,
    },
    /// A fault could not be applied in this world, and why.
    FaultSkipped {
        /// The planned fault's id.
        id: u32,
        /// What kind.
        kind: String,
        /// In words.
        why: String,
    },
    /// State of a server node: `started`, `ready`, `killed`, `paused`, `resumed`, `stopped`, `power lost`, `died`.
    Node {
        /// Name of the node.
        node: String,
        /// What it is now.
        state: String,
    },

    /// This device is drained: connected, nothing outstanding.
    Quiet {
        /// Which device.
        device: Device,
    },
    /// End of the drain. `converged`: every eligible device caught up within the limit; else what is missing, in words.
    Drained {
        /// Whether everybody caught up.
        converged: bool,
        /// What is missing, in words.
        missing: String,
    },
    /// Free words of the tool about the run (never judged).
    Note {
        /// The words.
        text: String,
    },
}

/// What a receipt tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReceiptKind {
    /// It is on the device.
    Delivered,
    /// It was read.
    Read,
}

/// Where a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Logins, conversations; no faults.
    SetUp,
    /// Workload and faults.
    Chaos,
    /// All faults are undone.
    Heal,
    /// Everything owed must arrive.
    Drain,
    /// Final reads; then the checkers.
    Judge,
}
