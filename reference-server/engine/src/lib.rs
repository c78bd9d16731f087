//! The reference messaging protocol as pure state machines: time, bytes and randomness are
//! arguments, effects are answers; nothing here can reach a clock, a socket or a disk.
//!
//! Reading order: [`ids`], [`journal`] (what is durable), [`codec`] (what is said), [`server`] and
//! [`client`] (what is done), [`limits`] (how much of it). The rules in prose: `PROTOCOL.md`.
pub mod auth;
pub mod backoff;
pub mod chain;
pub mod client;
pub mod codec;
pub mod defects;
#[cfg(test)]
mod exhaustive;
pub mod ids;
pub mod journal;
pub mod limits;
mod random;
pub mod server;
