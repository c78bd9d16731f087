//! The reference server: a tokio shell around `avouch_engine`, with a durable journal.
//!
//! Start at [`mod@serve`] (the whole server around the engine), then [`journal`] and [`disk`] (what an ack rests on), then
//! [`mod@run`] (the process). Generic over [`listener::Listener`] and [`disk::Disk`], so that the very same server runs on
//! real and on simulated networks, clocks and disks.

pub mod admin;
pub mod config;
pub mod disk;
pub mod journal;
pub mod listener;
pub mod metrics;
pub mod pause;
pub mod run;
pub mod serve;
pub mod tls;

pub use config::ServerArgs;
pub use run::{Exit, run};
