//! Where plans are carried out.

pub mod proxy;
