//! The chaos proxy as a program of its own: named proxies with rules and toxics, changed while they run by Toxiproxy's HTTP API.
//!
//! It moves bytes with the very pump of the live world ([`crate::world::proxy`]). What is different here is who decides what goes
//! wrong: not a conductor with a plan, but rules from the command line and toxics from outside. And every *connection* has a
//! [`crate::link::Link`] of its own, known by its ordinal in its proxy: so what happens to a connection is a function of
//! (seed, proxy, ordinal, what passes), however many others there are and in whatever order they are served.
//!
//! ```text
//! http ── api ── Collection ── NamedProxy ──┬─ accept ── Line ── pump        one Line per connection: its Link and its toxics
//!               (populate, reset)           └─ accept ── Line ── pump
//!                                               │
//!                                            Journal: what was decided, one JSON line each
//! ```
//!
//! Connections are dealt out to a few threads, each with an event loop of its own; a connection stays where it is. That decides
//! nothing: no connection knows of another.
//!
//! Not for the open internet: whoever reaches the API can send this machine's connections anywhere.

pub mod api;
mod collection;
pub mod http;
mod journal;
mod metrics;
mod named;
pub mod rules;
#[cfg(test)]
mod tests;
mod wire;
mod workers;

use std::sync::Arc;

use avouch_scenarios::keyed::{Purpose, draw};

pub use collection::Collection;
pub use journal::Journal;
pub use workers::Workers;

use crate::toxics::hash;
use crate::world::proxy::{Clock, Framing};
use rules::Rules;

/// What all proxies of a process have in common.
#[derive(Clone)]
pub struct Common {
    /// What every decision is made from.
    pub seed: u64,
    /// How the protocol's frames are found.
    pub framing: Framing,
    /// What goes wrong on every connection.
    pub rules: Arc<Rules>,
    /// Nanoseconds since the process began.
    pub clock: Clock,
    /// Gets every decision.
    pub journal: Arc<Journal>,
    /// Who carries connections.
    pub workers: Arc<Workers>,
}

impl Common {
    /// What decisions about one proxy are made from.
    fn seed_of(&self, proxy: &str) -> u64 {
        const PROXY: Purpose = Purpose::named("proxy");
        draw(self.seed, PROXY, &[hash(proxy)])
    }
}
