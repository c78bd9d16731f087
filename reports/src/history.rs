//! A history: every event that clients saw, and every fault that was applied, in time order.
//!
//! On disk: JSON Lines. The first line is a [`Header`], each further line one [`Event`].

/// A recipient or sender: one client of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Device(pub u32);
/// A person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct User(pub u32);
/// An ordered stream with members.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Conversation(pub u32);
/// The tool's own id of one send operation, carried in the payload; unique in a run, never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Message(pub u64);

/// One line.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Nanoseconds since the run began, on one monotonic clock; never falls from line to line.
    pub at_ns: u64,
    /// What happened.
    pub what: What,
}

/// How a session began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionKind {
    /// The server says that it kept nothing of this device.
    New,
    /// The server says that it continues where the device was.
    Resumed,
}

/// Ack ladder: how far a message is known to have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageItem {
    /// The server's position, where the protocol has one.
    pub seq: Option<u64>,
    /// Which send this is; `None` when the payload names none.
    pub message: Option<Message>,
    /// Digest of the payload as received.
    pub digest: u64,
}

/// What can happen. All ids are declared before use.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// Declares a device.
    Device { device: Device, user: User, name: String },
    /// Declares a conversation with its members at the start (those whose membership the server confirmed).
    Conversation { conversation: Conversation, name: String, members: Vec<User> },
    /// The run enters a phase.
    Phase { phase: Phase },

    /// A session was established (after login).
    Session { device: Device, session: SessionKind },
    /// The connection of a device ended; `why` in words ("reset", "takeover", "asked to").
    Disconnected { device: Device, why: String },

    /// A device lost its local state: what it had received counts as not received by the new installation.
    Reinstalled {
        device: Device,
    },

    /// Invocation: a device wants a message sent. `intended_ns` is the planned time (open loop).
    Send {
        device: Device,
        conversation: Conversation,
        message: Message,
        intended_ns: u64,
        bytes: u32,
        digest: u64,
        reply_to: Option<Message>,
    },
    /// The client sent it again (same operation).
    Retry { device: Device, message: Message },
    /// Outcome `ok`: acknowledged at a rung.
    Accepted { device: Device, message: Message, seq: Option<u64>, rung: Rung },
    /// Outcome `fail`: a definite refusal.
    Rejected { device: Device, message: Message, code: String },
    /// Outcome `info`: given up, may have happened.
    Unknown { device: Device, message: Message, why: String },

    /// A message reached the application on a device. `message` is `None` when the payload names no send.
    Delivered {
        device: Device,
        conversation: Conversation,
        message: Option<Message>,
        seq: Option<u64>,
        digest: u64,
        redelivered: bool,
    },
    /// The client recognised a copy of what it had and did not hand it to the application.
    Suppressed {
        device: Device,
        conversation: Conversation,
        message: Option<Message>,
        seq: Option<u64>,
        redelivered: bool,
    },
    /// A device acknowledged delivery of everything up to `seq`, or of one message.
    Acknowledged { device: Device, conversation: Conversation, up_to: Option<u64>, message: Option<Message> },
    /// The user read everything up to `seq` (invocation; see `ReadConfirmed`).
    Read { device: Device, conversation: Conversation, up_to: u64 },
    /// The server confirmed a read mark.
    ReadConfirmed { device: Device, conversation: Conversation, up_to: u64 },
    /// `device` learnt that `by` has everything up to `up_to` (delivered, read).
    Receipt { device: Device, conversation: Conversation, by: Device, kind: ReceiptKind, up_to: u64 },
    /// The client noticed that it misses positions `after+1 .. before-1`.
    Gap { device: Device, conversation: Conversation, after: u64, before: u64 },
    /// The client verified the hash chain and it does not hold at this position.
    ChainBroken { device: Device, conversation: Conversation, seq: u64 },
    /// A client asks for history (invocation): entries after `after`.
    PageRequested { device: Device, conversation: Conversation, request: u64, after: u64 },
    /// A page of history. `complete`: nothing follows, as of the server's answer.
    Page { device: Device, conversation: Conversation, request: u64, items: Vec<PageItem>, complete: bool },
    /// Invocation of a membership change. `message` identifies the operation, like a send.
    MembersChange {
        device: Device,
        conversation: Conversation,
        message: Message,
        added: Vec<User>,
        removed: Vec<User>,
    },
    /// A device saw a membership change in the conversation's order.
    MembersChanged {
        device: Device,
        conversation: Conversation,
        seq: Option<u64>,
        added: Vec<User>,
        removed: Vec<User>,
    },

    /// A fault begins (or, for a momentary one, happens). `id` is the planned fault's.
    FaultStarted { id: u32, kind: String, target: String },
    /// A planned link fault decided a frame's fate. `device` is the client end of the link.
    FaultFired { id: u32, kind: String, device: Device, frame: u64, detail: String },
    /// A fault ends: healed. `evidence` says what shows that it took effect; empty = nothing does.
    FaultEnded { id: u32, evidence: String },
    /// A fault could not be applied in this world, and why.
    FaultSkipped { id: u32, kind: String, why: String },
    /// State of a server node: `started`, `ready`, `killed`, `paused`, `resumed`, `stopped`, `power lost`, `died`.
    Node { node: String, state: String },

    /// This device is drained: connected, nothing outstanding.
    Quiet { device: Device },
    /// End of the drain. `converged`: every eligible device caught up within the limit; else what is missing, in words.
    Drained { converged: bool, missing: String },
    /// Free words of the tool about the run (never judged).
    Note { text: String },
}

/// What a receipt tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ReceiptKind {
    /// It is on the device.
    Delivered,
    /// It was read.
    Read,
}

/// Where a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
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
