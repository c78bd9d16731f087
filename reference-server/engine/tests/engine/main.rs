//! The engine's tests: the codec, every mechanism by hand, every rule of PROTOCOL.md by its number, every limit, and
//! server and clients against each other on an event heap.
#![allow(missing_docs, reason = "a test binary has no readers of its documentation")]

mod codec;
mod delivery;
mod frames;
mod limits;
mod login;
mod members;
mod operations;
mod receipts;
mod retries;
mod rig;
mod rules;
mod simulation;
