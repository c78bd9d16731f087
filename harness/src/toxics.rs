//! Toxiproxy's toxics: what each does to the bytes of one connection. Pure, like [`crate::link`]: bytes and times in, bytes
//! and due times out.
//!
//! The meanings are those of Shopify's Toxiproxy 2 (its README, section "Toxics"), because client libraries rely on them. They
//! are a second vocabulary beside the faults of scenarios, for [`crate::proxy`] alone; no world has them. They know nothing of
//! frames, and stand behind the link:
//!
//! ```text
//! client ── link ── toxic ── toxic ── … ── server        up; down has a chain of its own, in the order in which they were added
//! ```
//!
//! What is different from the original, each for a reason:
//!
//! - Whether a toxic concerns a connection is a function of (seed, proxy, ordinal of the connection, name of the toxic) and holds
//!   for the connection's whole life; the original draws again whenever any toxic changes.
//! - A `timeout` that is removed lets a connection that lost nothing go on. One that lost bytes is closed, as in the original:
//!   no network resumes a stream with a hole in it.
//! - `timeout` counts from when the toxic came, as documented, and not from the last bytes.
//! - `reset_peer` resets connections that were there before it, too.
//! - An end of stream passes like bytes and ends one direction only.

mod chain;
mod stage;
#[cfg(test)]
mod tests;

use bytes::Bytes;

pub(crate) use chain::hash;
pub use chain::{TOXIC_BYTES_MAX, Toxics};

use crate::link::Way;

/// One toxic, as it was asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Toxic {
    /// Its name, one of its own in a proxy.
    pub name: String,
    /// Which direction it acts on.
    pub way: Way,
    /// Share of the connections that it concerns, from 0 to 1.
    pub toxicity: f32,
    /// What it does.
    pub kind: Kind,
}

/// What a toxic does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nothing.
    Noop,
    /// Bytes come later, in order.
    Latency {
        /// By this much,
        latency_ms: u64,
        /// give or take this much.
        jitter_ms: u64,
    },
    /// Bytes come at a limited rate.
    Bandwidth {
        /// In units of 1,000 bytes. 0: nothing passes while it lasts, and nothing is lost.
        rate_kb_per_s: u64,
    },
    /// The end of the stream comes later.
    SlowClose {
        /// By this much.
        delay_ms: u64,
    },
    /// Bytes are swallowed, and then the connection is closed.
    Timeout {
        /// After this; 0: never.
        timeout_ms: u64,
    },
    /// From the first bytes (or end) on, everything is swallowed, and then the connection is reset.
    ResetPeer {
        /// After this.
        timeout_ms: u64,
    },
    /// Bytes come in small pieces.
    Slicer {
        /// Of this many bytes,
        average_bytes: u32,
        /// give or take this many.
        variation_bytes: u32,
        /// So long after each other.
        delay_us: u64,
    },
    /// The connection is closed after a number of bytes.
    LimitData {
        /// How many.
        limit_bytes: u64,
    },
}

/// What passes a toxic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Passed {
    /// Bytes; and whether they are a slice, which is to be written by itself.
    Bytes(Bytes, bool),
    /// The sender will send no more.
    End,
    /// Both ends are closed, politely, after what has passed.
    Close,
    /// Both ends are reset at once.
    Reset,
}

/// What a toxic has to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Whether it concerns this connection, as its toxicity decided.
    Decided {
        /// Its name.
        toxic: String,
        /// The decision.
        applies: bool,
    },
    /// It ended the connection.
    Ended {
        /// Its name.
        toxic: String,
        /// With a reset; else politely.
        is_reset: bool,
    },
}
