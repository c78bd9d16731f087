//! The device's side of the protocol.
//!
//! One [`Client`] is one installation of one device. It keeps trying until what was asked is answered:
//! sends, acks, read marks, page requests and the connection itself. Where to look: `session`
//! (connecting, login, heartbeat), `outbox` (operations), `inbox` (entries, gaps, pages), `marks` (acks,
//! read marks, receipts), `state`.

mod inbox;
mod marks;
mod outbox;
mod session;
mod state;
#[cfg(test)]
mod view;

use bytes::Bytes;

use crate::backoff::Backoff;
use crate::codec::{CodecError, Frame};
use crate::defects::Defects;
use crate::ids::{ConversationId, DeviceKey, MessageId, Seq, Time, UserId};
use crate::journal::Entry;

pub use state::{Client, Stats};

/// What the application wants.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "the sentence above each variant names its fields")]
pub enum Command {
    /// Send a message. `id` must rise per device, from 1, also across installations. Retried until answered or cancelled.
    Send { id: MessageId, conversation: ConversationId, reply_to: Option<Seq>, payload: Bytes },
    /// Change members (the first such operation on an unknown conversation makes it). Retried like a send.
    ChangeMembers { id: MessageId, conversation: ConversationId, added: Vec<UserId>, removed: Vec<UserId> },
    /// Stop retrying an operation (its outcome is then unknown).
    Cancel { id: MessageId },
    /// The user read everything up to `up_to` (at most the cursor). Retried until confirmed.
    MarkRead { conversation: ConversationId, up_to: Seq },
    /// The application is done with that many more deliveries (see `Config::consume_window`).
    Consumed { deliveries: usize },
    /// Read history after a position, one page.
    ReadPage { request: u64, conversation: ConversationId, after: Seq },
    /// Say goodbye and close; stay closed.
    Close,
    /// Connect again after `Close`, a takeover or a refusal; ends the present connection if there is one.
    Reconnect,
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
    /// End the connection, after what was transmitted so far. Nothing of it may reach the engine
    /// afterwards; `Disconnected` is not expected.
    Disconnect,
    /// Tell the application.
    Observe(Observation),
}

/// What a device learns.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the sentence above each variant names its fields")]
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
    /// Not retried any more, and nobody knows whether it took effect (`stale-id`: older than the dedup window).
    Indefinite { id: MessageId, code: &'static str },
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
#[derive(Clone, Debug)]
pub struct Config {
    /// When to connect again after the connection ended or could not be made.
    pub reconnect: Backoff,
    /// A connection that is not established after this is given up, milliseconds.
    pub connect_ms: u64,
    /// When to send an unanswered hello, operation, ack, read mark or page request again.
    pub retry: Backoff,
    /// Most deliveries that the application may have and not yet have reported as
    /// [`Command::Consumed`]; only those are acknowledged. `None` = a delivery is consumed at once.
    pub consume_window: Option<usize>,
    /// Entries asked for at a time.
    pub page_entries: u16,
    /// Planted defects: none, in every client that is meant to be used.
    pub defects: Defects,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            reconnect: Backoff { first_ms: 100, cap_ms: 10_000 },
            connect_ms: 10_000,
            retry: Backoff { first_ms: 500, cap_ms: 10_000 },
            consume_window: None,
            page_entries: 128,
            defects: Defects::default(),
        }
    }
}

impl Client {
    /// A new installation. `seed` feeds jitter and the installation number only.
    pub fn new(config: Config, key: DeviceKey, token: Bytes, seed: u64) -> Self {
        Self::start(config, key, token, seed)
    }

    /// Takes one input.
    pub fn handle(&mut self, now: Time, input: Input) {
        self.now = self.now.max(now);
        match input {
            Input::Connected => self.on_connected(),
            Input::Received(bytes) => self.on_received(&bytes),
            Input::Disconnected => self.on_disconnected(),
            Input::Command(command) => self.on_command(command),
            Input::Timeout => self.on_timeout(),
        }
    }

    /// The next thing to do outside, until `None`. Acks are gathered here, so that a caller who hands
    /// in several frames before it asks sends one cumulative ack for all of them.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        if self.effects.is_empty() {
            self.flush_acks();
        }
        self.effects.pop_front()
    }

    /// When [`Input::Timeout`] is wanted next.
    pub fn next_timeout(&self) -> Option<Time> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// Whether nothing is outstanding: connected, every operation answered, every ack and read mark confirmed, no known gap.
    pub fn is_idle(&self) -> bool {
        self.is_logged_in()
            && self.operations.is_empty()
            && self.unsettled.is_empty()
            && self.behind.is_empty()
            && self.syncs.is_empty()
            && self.page_requests.is_empty()
    }

    /// Everything up to here reached the application.
    pub fn cursor(&self, conversation: ConversationId) -> Seq {
        self.conversations.get(&conversation).map_or(0, |state| state.cursor)
    }

    /// What happened so far, in numbers.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    fn on_command(&mut self, command: Command) {
        match command {
            Command::Send { id, conversation, reply_to, payload } => {
                self.queue(id, conversation, crate::journal::Body::Message { reply_to, payload });
            }
            Command::ChangeMembers { id, conversation, added, removed } => {
                self.queue(id, conversation, crate::journal::Body::Members { added, removed });
            }
            Command::Cancel { id } => self.cancel(id),
            Command::MarkRead { conversation, up_to } => self.mark_read(conversation, up_to),
            Command::Consumed { deliveries } => self.consumed(deliveries),
            Command::ReadPage { request, conversation, after } => {
                self.read_page(request, conversation, after);
            }
            Command::Close => self.leave(),
            Command::Reconnect => self.reconnect(),
        }
    }

    fn on_received(&mut self, bytes: &Bytes) {
        if !self.is_connected() {
            return;
        }
        self.heard_now();
        match crate::codec::decode(bytes) {
            Ok(frame) => self.on_frame(frame),
            Err(CodecError::Checksum) => self.stats.checksum_failures += 1,
            Err(_) => self.end("protocol", true),
        }
    }

    fn on_frame(&mut self, frame: Frame) {
        match frame {
            Frame::Welcome(welcome) => self.on_welcome(welcome),
            Frame::Goodbye { code } => self.on_goodbye(code),
            Frame::Error { code } => self.on_error(code),
            Frame::Pong { .. } => {}
            Frame::Probe { nonce } => self.transmit(&Frame::Alive { nonce }),
            // A later frame may have overtaken the welcome; what it says is said again.
            _ if !self.is_logged_in() => self.stats.frames_before_login += 1,
            Frame::Heads(heads) => self.on_heads(&heads),
            Frame::Accepted { id, conversation, seq } => self.on_accepted(id, conversation, seq),
            Frame::Rejected { id, code } => self.on_rejected(id, code),
            Frame::RetryLater { id, after_ms } => self.on_retry_later(id, after_ms),
            Frame::Deliver { conversation, prev, redelivered, entry, .. } => {
                self.on_deliver(conversation, state::Offered { prev, entry, redelivered });
            }
            Frame::Page(page) => self.on_page(page),
            Frame::Receipts { conversation, from, to, items } => {
                self.on_receipts(conversation, (from, to), &items);
            }
            Frame::CursorConfirmed { conversation, delivered, read } => {
                self.on_cursor_confirmed(conversation, delivered, read);
            }
            _ => self.end("protocol", true),
        }
    }
}
