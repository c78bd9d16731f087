//! The server's integration tests: one binary, one module per subject.

#![allow(clippy::unwrap_used, reason = "a test that cannot set its stage fails")]

mod device;
mod journal;
mod journal_files;
mod log;
mod model;
mod process;
mod serving;
mod tls;
