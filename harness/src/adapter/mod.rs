//! The seam to a protocol: what a device does becomes frames, what arrives becomes events.
//!
//! An adapter is sans-IO: it is handed time, bytes and wishes, and answers with effects. It never
//! judges and never hides: whatever the protocol tells the device is an event of the history.

pub mod exec;
pub mod mqtt;
pub mod nats;
mod options;
pub mod protocol;
pub mod reference;

use avouch_reports::history::{Message, What};
use bytes::Bytes;

/// A message on its way out.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// Conversation number.
    pub conversation: u32,
    /// The tool's id, which the payload carries too.
    pub message: Message,
    /// What to send.
    pub payload: Bytes,
    /// The position that it answers, where the protocol can say so.
    pub reply_to_seq: Option<u64>,
}

/// A membership change on its way out.
#[derive(Clone, Debug)]
pub struct Change {
    /// Conversation number.
    pub conversation: u32,
    /// The tool's id of the operation.
    pub message: Message,
    /// User numbers to add.
    pub added: Vec<u32>,
    /// User numbers to remove.
    pub removed: Vec<u32>,
}

/// What a device wants of its protocol.
#[derive(Clone, Debug)]
pub enum Wish {
    /// Be connected.
    Connect,
    /// Leave politely and stay away.
    Disconnect,
    /// Send a message; retry as the protocol provides.
    Send(Outgoing),
    /// Change members.
    ChangeMembers(Change),
    /// Stop trying an operation; its outcome is unknown.
    GiveUp(Message),
    /// Everything up to `up_to` was read by the user.
    MarkRead {
        /// Conversation number.
        conversation: u32,
        /// Cumulative.
        up_to: u64,
    },
    /// The application took that many deliveries (only asked of adapters that were told to wait for it).
    Consumed(usize),
    /// One page of history.
    Page {
        /// Conversation number.
        conversation: u32,
        /// Names the answer.
        request: u64,
        /// After this position.
        after: u64,
    },
}

/// What happened outside.
#[derive(Clone, Debug)]
pub enum Input {
    /// The transport is connected.
    Connected,
    /// A message-oriented transport: one whole frame. A byte stream: some bytes.
    Received(Bytes),
    /// The transport ended, or could not be made.
    Disconnected,
    /// The device wants something.
    Wish(Wish),
    /// The time that was asked for has come.
    Timeout,
}

/// What is to be done outside.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Make a connection.
    Connect,
    /// Send this.
    Transmit(Bytes),
    /// End the connection.
    Disconnect,
    /// The device learnt this.
    Saw(What),
    /// What is at the other end is of no use, and that is nothing about the server that is put to the test: the run cannot go on.
    /// In words.
    Fail(String),
}

/// One device's protocol state.
pub trait Adapter {
    /// Takes one input.
    fn handle(&mut self, now_ns: u64, input: Input);
    /// The next thing to do outside, until `None`.
    fn poll(&mut self) -> Option<Effect>;
    /// When [`Input::Timeout`] is wanted.
    fn next_timeout_ns(&self) -> Option<u64>;
    /// Whether this device is connected and nothing is outstanding on either side that it knows of. A device that has to
    /// subscribe first is not idle before the server confirmed that: the chaos begins only when all devices are.
    fn is_idle(&self) -> bool;
    /// Whether there is history to ask for. Nobody asks for a page where there is none.
    fn has_history(&self) -> bool {
        true
    }
}
