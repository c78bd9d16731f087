//! Where plans are carried out.

pub mod process;
pub mod proxy;
