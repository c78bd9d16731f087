//! The server's side of the protocol.

use bytes::Bytes;

use crate::ids::Time;
use crate::journal::{Entry, Query, Record, Recovered};

/// One connection, named by the caller; never reused within a process.
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
    /// The oldest that many proposals were refused, definitely without effect (a full disk). All later outstanding ones are refused too.
    Refused(usize),
    /// A read was answered; `Err` = it could not be read.
    Loaded(LoadId, Result<Vec<Entry>, LoadFailed>),
    /// The time that [`Server::next_timeout`] named has come (early or late is harmless).
    Timeout,
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

/// The engine. One instance serves one journal.
#[derive(Debug)]
pub struct Server {}

/// Settings; every field has a default and a unit.
#[derive(Clone, Debug, Default)]
pub struct Config {}

impl Server {
    /// Starts from what the journal holds. `seed` feeds jitter only.
    pub fn new(_config: Config, _recovered: Recovered, _seed: u64) -> Self {
        Self {}
    }
    /// Takes one input. `wall_ms` is the wall clock, for entries' informative time stamps only.
    pub fn handle(&mut self, _now: Time, _wall_ms: u64, _input: Input) {}
    /// The next thing to do outside, until `None`.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        None
    }
    /// When [`Input::Timeout`] is wanted next.
    pub fn next_timeout(&self) -> Option<Time> {
        None
    }
}
