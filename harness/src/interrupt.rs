//! A wish from outside that a run should end early. A signal's thread sets it; the conductor of each run looks at it.
//!
//! It is not part of a plan: a run that nobody interrupts does not depend on it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether somebody wants no more: an interrupt, or a time that is up. Asked again and again, from any thread.
pub type Stop<'a> = &'a (dyn Fn() -> bool + Sync);

/// Set at most once, shared between threads.
#[derive(Clone, Debug, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Asks every run that shares this to end.
    pub fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether somebody asked.
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
