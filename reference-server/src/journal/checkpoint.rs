//! Bringing a complete generation of the log into the store, wherever the caller likes.

use std::sync::Arc;

use super::JournalError;
use super::overlay::Overlay;
use super::store::Store;

/// A piece of work: one generation, and the store that it goes into. The journal goes on meanwhile. Dropped undone, the
/// work is lost to this journal, which takes batches until its log is full.
#[derive(Debug)]
pub struct Checkpoint {
    store: Store,
    frozen: Arc<Overlay>,
}

/// What became of it; to be given back to the journal.
#[derive(Debug)]
#[must_use = "the journal waits for it"]
pub struct Checkpointed {
    store: Store,
    outcome: Result<(), JournalError>,
}

/// A generation that the store has. To free it takes long, so whoever is in a hurry drops it elsewhere.
#[derive(Debug)]
pub struct Retired(#[expect(dead_code, reason = "only to be dropped")] Option<Arc<Overlay>>);

impl Checkpoint {
    pub(super) fn new(store: Store, frozen: Arc<Overlay>) -> Self {
        Self { store, frozen }
    }

    /// Does the work: one transaction, with its syncs. For a full generation that takes long.
    pub fn run(mut self) -> Checkpointed {
        let outcome = self.store.take_in(&self.frozen);
        Checkpointed { store: self.store, outcome }
    }
}

impl Retired {
    pub(super) fn new(frozen: Option<Arc<Overlay>>) -> Self {
        Self(frozen)
    }
}

impl Checkpointed {
    pub(super) fn into_parts(self) -> (Store, Result<(), JournalError>) {
        (self.store, self.outcome)
    }
}
