//! The shell around the engine: one task owns it, and carries its effects to sockets and journal.
//!
//! ```text
//! connection tasks ── frames ──▶ ┌──────────┐ ── proposals, reads ──▶ journal (inline, or a thread of its own)
//!                  ◀─ frames ─── │ this task│ ◀─ commits, pages ─────
//!                                └──────────┘
//! ```
//!
//! All proposals that gather while a batch is being committed make up the next batch (group commit). Nothing here
//! decides about the protocol; that is the engine; and what is decided about batches is in [`core`]. Works the same on a real and on a simulated network and clock.

mod connection;
pub mod core;
mod frames;
mod socket;
mod store;
mod turn;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use avouch_engine::server::{Config, Stats};
use thiserror::Error;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;

use crate::journal::{BATCH_RECORDS_MAX, Journal, JournalCounters, JournalError};
use crate::listener::Listener;
use crate::metrics::MetricsSource;
use crate::pause::Gate;

/// Events of all connections that wait for the engine's task.
pub const INPUTS_MAX: usize = 1_024;
/// Events that the engine takes before its effects are carried out.
pub const INPUTS_PER_TURN: usize = 256;
/// From accept to the end of the WebSocket handshake (TLS included).
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// What a closed connection has to take its last frames and to close its side.
pub const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// What all connections together have when the server stops.
pub const STOP_TIMEOUT: Duration = Duration::from_secs(5);
/// After an accept failed (no file descriptors, say).
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How often a poisoned journal is opened again before the server gives up,
pub const REOPEN_ATTEMPTS: usize = 60;
/// and how long it waits in between.
pub const REOPEN_PAUSE: Duration = Duration::from_millis(500);
/// Default limit of connections, handshakes included.
pub const CONNECTIONS_MAX_DEFAULT: usize = 10_000;

/// Where the journal's work is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum JournalMode {
    /// In the engine's task. A simulated sync takes simulated time; a real one stops the world.
    Inline,
    /// On a thread of its own.
    #[default]
    Thread,
}

/// Runs a task. A simulation chooses one whose tasks end in a fixed order when their host dies: tokio's own spawn
/// sorts them by a number that counts over the whole process.
pub type Spawn = fn(Pin<Box<dyn Future<Output = ()> + Send>>);

/// What a server is made of.
pub struct ServeOptions {
    /// The engine's settings.
    pub config: Config,
    /// An open journal.
    pub journal: Journal,
    /// Where it works.
    pub mode: JournalMode,
    /// The wall clock, milliseconds since the Unix epoch.
    pub wall_ms: Box<dyn Fn() -> u64 + Send>,
    /// Feeds the engine's jitter.
    pub seed: u64,
    /// Connections at one time, handshakes included; more are dropped at once.
    pub connections_max: usize,
    /// Records in one batch of the journal at most, from 1 to [`BATCH_RECORDS_MAX`].
    pub batch_records_max: usize,
    /// TLS for all connections.
    pub tls: Option<TlsAcceptor>,
    /// Answers questions about what the server does.
    pub metrics: Option<MetricsSource>,
    /// Runs the tasks of connections.
    pub spawn: Spawn,
    /// Lets the server stand still (simulations).
    pub gate: Option<Arc<Gate>>,
}

impl ServeOptions {
    /// Defaults around an engine configuration and a journal; the clock stands still at 0.
    pub fn new(config: Config, journal: Journal) -> Self {
        Self {
            config,
            journal,
            mode: JournalMode::default(),
            wall_ms: Box::new(|| 0),
            seed: 0,
            connections_max: CONNECTIONS_MAX_DEFAULT,
            batch_records_max: BATCH_RECORDS_MAX,
            tls: None,
            metrics: None,
            spawn: |task| drop(tokio::spawn(task)),
            gate: None,
        }
    }
}

/// What a server did until it stopped.
#[derive(Clone, Copy, Debug)]
pub struct Stopped {
    /// The engine's view, since the journal was last opened.
    pub stats: Stats,
    /// The journal's view.
    pub journal: JournalCounters,
    /// How often the journal had to be opened again.
    pub reopened: u64,
}

/// Why a server gave up.
#[derive(Debug, Error)]
pub enum ServeError {
    /// What the journal holds could not be read.
    #[error("the journal cannot be used: {0}")]
    Journal(#[from] JournalError),
    /// The outcome of a commit was unknown and the journal could not be opened again.
    #[error("the journal failed and could not be opened again in {REOPEN_ATTEMPTS} attempts: {0}")]
    NotReopened(JournalError),
    /// The thread of the journal could not be started, or ended: a bug.
    #[error("the journal's thread is gone")]
    JournalThread,
}

/// Serves until `shutdown` completes: then every client is told, what was proposed is committed, and the journal closed.
pub async fn serve<L: Listener>(
    listener: L,
    options: ServeOptions,
    shutdown: impl Future<Output = ()>,
) -> Result<Stopped, ServeError> {
    let (inputs_sender, inputs) = mpsc::channel(INPUTS_MAX);
    let mut server = turn::Shell::new(options, inputs_sender)?;
    let outcome = server.run(listener, inputs, shutdown).await;
    match outcome {
        Ok(()) => server.finish().await,
        Err(error) => Err(error),
    }
}
