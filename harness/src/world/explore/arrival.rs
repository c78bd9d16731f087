//! What an end of a connection hears from its line.

use bytes::Bytes;

use crate::link::{ConnectionId, Way};

/// What an end hears.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Arrival {
    pub(super) wire: ConnectionId,
    /// What the server's process calls it; 0 = it does not know it yet.
    pub(super) peer: u64,
    /// At which end the way arrives.
    pub(super) way: Way,
    pub(super) news: News,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum News {
    /// The other end's part of the handshake.
    Shaken,
    /// One whole frame.
    Frame(Bytes),
    /// The other end sends no more.
    End,
    /// The connection is gone.
    Reset,
    /// The handshake took too long.
    Late,
    /// The socket took that many frames more off the hands of the end where the way begins.
    Taken(usize),
}

impl Arrival {
    pub(super) fn of(wire: ConnectionId, peer: u64, way: Way, news: News) -> Self {
        Self { wire, peer, way, news }
    }
}
