//! The reference messaging protocol as pure state machines: time, bytes and randomness are
//! arguments, effects are answers; nothing here can reach a clock, a socket or a disk.
pub mod client;
pub mod ids;
pub mod journal;
pub mod limits;
pub mod server;
