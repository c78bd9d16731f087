//! The reference server: shell, journal, store.
