//! The server's side of the protocol.
//!
//! The caller hands in what happened ([`Input`]) and carries out what is asked ([`Effect`]), in order.
//! Everything durable goes through [`Effect::Propose`] and is applied at [`Input::Committed`]; nothing
//! that depends on it leaves before. Where to look: `login` (hello, takeover), `accept` (operations,
//! dedup), `commit` (applying), `deliver` (window, outbox, fan-out), `cursors`, `receipts`, `sync`
//! (pages), `timers` (retries, sweep, silence), `recover`.

mod accept;
mod commit;
mod cursors;
mod dedup;
mod deliver;
mod login;
mod members;
mod planted;
mod receipts;
mod recover;
mod state;
mod stats;
mod sync;
mod timers;
#[cfg(test)]
mod view;

use bytes::Bytes;

use crate::backoff::Backoff;
use crate::codec::{CodecError, ErrorCode, Frame, GoodbyeCode};
use crate::defects::{Defect, Defects};
use crate::ids::Time;
use crate::journal::{Entry, Query, Record, Recovered};

pub use state::Server;
pub use stats::Stats;

/// One connection, named by the caller: names rise in the order in which connections are accepted, and are never reused within
/// a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// What happened outside.
#[derive(Clone, Debug)]
pub enum Input {
    /// A connection was accepted.
    Connected(ConnectionId),
    /// One whole frame arrived.
    Received(ConnectionId, Bytes),
    /// The transport took that many more frames off our hands (backpressure: the engine stops at its limit of untaken frames per connection).
    Taken(ConnectionId, usize),
    /// A connection ended.
    Disconnected(ConnectionId),
    /// The oldest that many proposals are durable.
    Committed(usize),
    /// A commit failed, definitely without effect (a full disk): every outstanding proposal is refused,
    /// whatever the number says. The caller must not commit or report any of them afterwards.
    Refused(usize),
    /// A read was answered; `Err` = it could not be read.
    Loaded(LoadId, Result<Vec<Entry>, LoadFailed>),
    /// The time that [`Server::next_timeout`] named has come (early or late is harmless).
    Timeout,
    /// The process is going to stop: every client is told and every connection closed.
    Stop,
}

/// Names one read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LoadId(pub u64);

/// The store could not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadFailed;

/// What is to be done outside.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Hand one whole frame to a connection.
    Transmit(ConnectionId, Bytes),
    /// End a connection, after what was transmitted so far.
    Close(ConnectionId),
    /// Make this durable. Answered in order by [`Input::Committed`] or [`Input::Refused`].
    Propose(Record),
    /// Read from the log. Answered by [`Input::Loaded`].
    Load(LoadId, Query),
}

/// Settings; every field has a default and a unit.
#[derive(Clone, Debug)]
pub struct Config {
    /// What tokens are signed with (see [`crate::auth`]).
    pub secret: Bytes,
    /// A connection that has not logged in after this is closed, milliseconds.
    pub login_ms: u64,
    /// Clients ping when they sent nothing for this long, and the server probes, milliseconds.
    pub heartbeat_ms: u32,
    /// A peer that is silent for this long is dead, milliseconds.
    pub silent_ms: u32,
    /// When unacknowledged entries and receipts are sent again.
    pub redelivery: Backoff,
    /// How often each online device is swept for what it still lacks, milliseconds.
    pub sweep_ms: u64,
    /// What a client that is turned away for now is told to wait, milliseconds.
    pub retry_later_ms: u32,
    /// Entries in flight per device, all conversations together.
    pub window_entries: usize,
    /// Bytes in flight per device; one larger entry may be in flight alone.
    pub window_bytes: usize,
    /// Entries in one page, from 1 to [`crate::limits::PAGE_ENTRIES_MAX`].
    pub page_entries: usize,
    /// Newest entries kept in memory per conversation.
    pub tail_entries: usize,
    /// Bytes of such entries per conversation.
    pub tail_bytes: usize,
    /// Frames handed to a connection and not taken: above this, entries are no longer pushed.
    pub untaken_frames: usize,
    /// Bytes of such frames.
    pub untaken_bytes: usize,
    /// Frames not taken: above this the connection is closed.
    pub untaken_frames_max: usize,
    /// Bytes of such frames.
    pub untaken_bytes_max: usize,
    /// Entry proposals that may wait for their commit; more are told to retry later.
    pub pending_max: usize,
    /// Operations per device and second (a burst of the same size is allowed); `None` = unlimited.
    pub operations_per_s: Option<u32>,
    /// Bytes of one payload, at most [`crate::limits::PAYLOAD_BYTES_MAX`].
    pub payload_bytes_max: usize,
    /// Planted defects: none, in every server that is meant to serve.
    pub defects: Defects,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            secret: Bytes::new(),
            login_ms: 10_000,
            heartbeat_ms: 5_000,
            silent_ms: 15_000,
            redelivery: Backoff { first_ms: 500, cap_ms: 10_000 },
            sweep_ms: 3_000,
            retry_later_ms: 200,
            window_entries: 256,
            window_bytes: 1 << 20,
            page_entries: crate::limits::PAGE_ENTRIES_MAX,
            tail_entries: 512,
            tail_bytes: 1 << 20,
            untaken_frames: 1_024,
            untaken_bytes: 2 << 20,
            untaken_frames_max: 16_384,
            untaken_bytes_max: 16 << 20,
            pending_max: 65_536,
            operations_per_s: None,
            payload_bytes_max: crate::limits::PAYLOAD_BYTES_MAX,
            defects: Defects::default(),
        }
    }
}

impl Server {
    /// Starts from what the journal holds. `seed` feeds jitter only.
    pub fn new(config: Config, recovered: Recovered, seed: u64) -> Self {
        let mut server = Self::empty(config, seed);
        server.recover(recovered);
        server
    }

    /// The same, for a caller that makes its batches from [`Self::proposals`]: there is no [`Effect::Propose`] then, and no
    /// record is copied for it.
    #[must_use]
    pub fn with_proposals_kept(mut self) -> Self {
        self.keeps_proposals = true;
        self
    }

    /// What was proposed and not answered yet, without the oldest so many.
    pub fn proposals(&self, after: usize) -> impl ExactSizeIterator<Item = &Record> + Clone {
        self.proposals.range(after.min(self.proposals.len())..).map(|proposal| &proposal.record)
    }

    /// Takes one input. `wall_ms` is the wall clock, for entries' informative time stamps and tokens' expiry only.
    pub fn handle(&mut self, now: Time, wall_ms: u64, input: Input) {
        self.now = self.now.max(now);
        self.wall_ms = wall_ms;
        match input {
            Input::Connected(connection) => self.on_connected(connection),
            Input::Received(connection, bytes) => self.on_received(connection, &bytes),
            Input::Taken(connection, frames) => self.on_taken(connection, frames),
            Input::Disconnected(connection) => self.forget_connection(connection),
            Input::Committed(count) => self.on_committed(count),
            Input::Refused(_) => self.on_refused(),
            Input::Loaded(load, result) => self.on_loaded(load, result),
            Input::Timeout => self.on_timeout(),
            Input::Stop => self.on_stop(),
        }
    }

    /// The next thing to do outside, until `None`. Cursor and receipt work is gathered here, so that a
    /// caller who hands in several inputs before it asks gets one record or frame for all of them.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        if self.effects.is_empty() {
            self.flush_cursors();
            self.flush_receipts();
        }
        self.effects.pop_front()
    }

    /// When [`Input::Timeout`] is wanted next.
    pub fn next_timeout(&self) -> Option<Time> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// What happened so far, in numbers.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    fn on_received(&mut self, connection: ConnectionId, bytes: &Bytes) {
        let now = self.now;
        let Some(state) = self.connections.get_mut(&connection) else {
            return;
        };
        let counts = !self.config.defects.has(Defect::HeartbeatKillsBusy)
            || crate::codec::kind_name_of(bytes) == Some("ping");
        state.heard = if counts { now } else { state.heard };
        self.stats.frames_received += 1;
        match crate::codec::decode(bytes) {
            Ok(frame) => self.on_frame(connection, frame),
            Err(CodecError::Checksum) => self.stats.checksum_failures += 1,
            Err(CodecError::TooLarge(_)) => self.fail(connection, ErrorCode::TooLarge),
            Err(CodecError::UnknownKind(_) | CodecError::Malformed(_)) => {
                self.fail(connection, ErrorCode::Malformed);
            }
        }
    }

    fn on_frame(&mut self, connection: ConnectionId, frame: Frame) {
        let frame = match frame {
            Frame::Hello(hello) => return self.on_hello(connection, &hello),
            Frame::Bye => return self.close(connection, GoodbyeCode::Closed),
            other => other,
        };
        let device = match self.connections.get(&connection).map(|state| state.login) {
            Some(state::Login::Done(device)) => device,
            // The hello may have been overtaken or lost on a lossy link: what needs it is repeated.
            Some(state::Login::Waiting | state::Login::Committing { .. }) => {
                self.stats.frames_before_login += 1;
                return;
            }
            None => return,
        };
        match frame {
            Frame::Send { .. } | Frame::Members { .. } => self.on_operation_frame(device, frame),
            Frame::Ack { conversation, up_to } => self.on_ack(device, conversation, up_to),
            Frame::Read { conversation, up_to } => self.on_read(device, conversation, up_to),
            Frame::ReceiptAck { conversation, version } => {
                self.on_receipt_ack(device, conversation, version);
            }
            Frame::Sync { request, conversation, after, limit, purpose } => {
                let wanted = sync::Wanted { request, after, limit, purpose };
                self.on_sync((connection, device), conversation, wanted);
            }
            Frame::Ping { nonce } => self.transmit(connection, &Frame::Pong { nonce }),
            Frame::Alive { .. } => {}
            _ => self.fail(connection, ErrorCode::Unexpected),
        }
    }
}
