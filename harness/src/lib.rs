//! Carries plans out and judges them.
//!
//! Start reading at [`conductor::conduct`]: the whole run in one function. Then one checker, then
//! [`link`], the meaning of every network fault.

pub mod adapter;
pub mod audit;
pub mod check;
pub mod cli;
pub mod client;
pub mod conductor;
pub mod device;
pub mod handle;
pub mod interrupt;
pub mod link;
pub mod load;
pub mod panics;
pub mod payload;
pub mod perform;
pub mod proxy;
pub mod recorder;
pub mod session;
pub mod subject;
pub mod sweep;
pub mod toxics;
pub mod world;
