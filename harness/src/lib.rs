//! Carries plans out and judges them.

pub mod check;
pub mod link;
pub mod world;
