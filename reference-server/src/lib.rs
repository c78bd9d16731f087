//! The reference server: shell, journal, store.

pub mod disk;
pub mod journal;
