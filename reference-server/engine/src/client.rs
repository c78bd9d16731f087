//! The device's side of the protocol.

use bytes::Bytes;

use crate::ids::{ConversationId, DeviceKey, MessageId, Seq, Time, UserId};
use crate::journal::Entry;

/// What the application wants.
#[derive(Clone, Debug)]
pub enum Command {
    /// Send a message. `id` must rise per device. Retried until answered or cancelled.
    Send { id: MessageId, conversation: ConversationId, reply_to: Option<Seq>, payload: Bytes },
    /// Change members (the first such operation on an unknown conversation makes it). Retried like a send.
    ChangeMembers { id: MessageId, conversation: ConversationId, added: Vec<UserId>, removed: Vec<UserId> },
    /// Stop retrying an operation (its outcome is then unknown).
    Cancel { id: MessageId },
    /// The user read everything up to `up_to`. Retried until confirmed.
    MarkRead { conversation: ConversationId, up_to: Seq },
    /// The application is done with that many more deliveries (see `Config::consume_window`).
    Consumed { deliveries: usize },
    /// Read history after a position, one page.
    ReadPage { request: u64, conversation: ConversationId, after: Seq },
    /// Say goodbye and close.
    Close,
}

/// What happened outside.
#[derive(Clone, Debug)]
pub enum Input {
    /// The transport is connected (after [`Effect::Connect`]).
    Connected,
    /// One whole frame arrived.
    Received(Bytes),
    /// The connection ended, or could not be made.
    Disconnected,
    /// The application wants something.
    Command(Command),
    /// The time that [`Client::next_timeout`] named has come.
    Timeout,
}

/// What is to be done outside.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Make a connection (answered by `Connected` or `Disconnected`).
    Connect,
    /// Hand one whole frame to the connection.
    Transmit(Bytes),
    /// End the connection.
    Disconnect,
    /// Tell the application.
    Observe(Observation),
}

/// What a device learns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observation {
    /// Logged in. `resumed`: the server continues this installation's cursors.
    Session { resumed: bool },
    /// The session ended, and why in one word (`reset`, `silent`, `takeover`, `refused`, `closed`, `shutdown`, `protocol`).
    SessionEnded { why: &'static str },
    /// An operation was sent again.
    Retried { id: MessageId, attempt: u32 },
    /// Committed.
    Accepted { id: MessageId, conversation: ConversationId, seq: Seq },
    /// Definitely refused.
    Rejected { id: MessageId, code: &'static str },
    /// An entry reached the application: each once, in order, per conversation.
    Delivered { conversation: ConversationId, entry: Entry, redelivered: bool },
    /// A copy of an entry that the application has.
    Suppressed { conversation: ConversationId, entry: Entry, redelivered: bool },
    /// Cumulative ack sent.
    Acknowledged { conversation: ConversationId, up_to: Seq },
    /// Entries are missing between two positions; the client is fetching them.
    Gap { conversation: ConversationId, after: Seq, before: Seq },
    /// The chain does not fit.
    ChainBroken { conversation: ConversationId, seq: Seq },
    /// The read mark is durable.
    ReadConfirmed { conversation: ConversationId, up_to: Seq },
    /// Another device's progress (new values only, never falling).
    Receipt { conversation: ConversationId, by: DeviceKey, delivered: Seq, read: Seq },
    /// A page for the application.
    Page { request: u64, conversation: ConversationId, entries: Vec<Entry>, complete: bool },
}

/// Settings; every field has a default and a unit.
#[derive(Clone, Debug, Default)]
pub struct Config {}

/// The engine of one device installation.
#[derive(Debug)]
pub struct Client {}

impl Client {
    /// A new installation. `seed` feeds jitter and the installation number only.
    pub fn new(_config: Config, _key: DeviceKey, _token: Bytes, _seed: u64) -> Self {
        Self {}
    }
    /// Takes one input.
    pub fn handle(&mut self, _now: Time, _input: Input) {}
    /// The next thing to do outside, until `None`.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        None
    }
    /// When [`Input::Timeout`] is wanted next.
    pub fn next_timeout(&self) -> Option<Time> {
        None
    }
    /// Whether nothing is outstanding: connected, every operation answered, every receipt and read mark confirmed, no known gap.
    pub fn is_idle(&self) -> bool {
        true
    }
    /// Everything up to here reached the application.
    pub fn cursor(&self, _conversation: ConversationId) -> Seq {
        0
    }
}
