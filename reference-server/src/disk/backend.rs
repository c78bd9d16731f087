//! The adapter between a [`Volume`] and redb, and the cure for failed syncs.
//!
//! After a failed sync the operating system may keep what was written in its cache and call it clean, though it never
//! reached the disk ("fsyncgate"). Reading it back proves nothing and syncing again does nothing. So every write since
//! the last good sync is remembered here, and written again before the store is used again.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use redb::StorageBackend;

use super::{UNSYNCED_BYTES_MAX, Volume};

/// A shared hold on a volume: one copy is inside redb, one with the journal, which outlives redb's.
#[derive(Clone, Debug)]
pub(crate) struct Backend {
    shared: Arc<Shared>,
    /// This copy may use the volume only while its number is the current one.
    incarnation: u64,
}

#[derive(Debug)]
struct Shared {
    volume: Box<dyn Volume>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    incarnation: u64,
    /// In order, since the last good sync.
    unsynced: Vec<(u64, Vec<u8>)>,
    unsynced_bytes: usize,
    sync_failed: bool,
    /// Syncs merely begin until the journal settles them.
    deferring: bool,
}

impl Backend {
    pub(crate) fn new(volume: Box<dyn Volume>) -> Self {
        Self { shared: Arc::new(Shared { volume, state: Mutex::default() }), incarnation: 0 }
    }

    pub(crate) fn volume(&self) -> &dyn Volume {
        &*self.shared.volume
    }

    /// Fences every earlier copy off (an abandoned store must not write on its way out) and gives a new one.
    pub(crate) fn renewed(&self) -> Self {
        let mut state = self.state();
        state.incarnation += 1;
        Self { shared: Arc::clone(&self.shared), incarnation: state.incarnation }
    }

    /// Whether a sync failed and what it should have synced was not written again yet.
    pub(crate) fn sync_failed(&self) -> bool {
        self.state().sync_failed
    }

    /// After a failed sync: writes everything again that was not synced, and syncs it.
    pub(crate) fn rewrite_unsynced(&self) -> io::Result<()> {
        let mut state = self.state();
        if !state.sync_failed {
            return Ok(());
        }
        if state.unsynced_bytes > UNSYNCED_BYTES_MAX {
            return Err(io::Error::other(
                "more was unsynced than could be kept; the last commit cannot be repaired",
            ));
        }
        let len = self.shared.volume.len()?;
        self.shared.volume.set_len(len)?;
        for (offset, data) in &state.unsynced {
            if offset + data.len() as u64 <= len {
                self.shared.volume.write(*offset, data)?;
            }
        }
        self.shared.volume.sync()?;
        state.synced();
        Ok(())
    }

    /// See [`Volume::defer_syncs`].
    pub(crate) fn defer_syncs(&self) -> Option<Duration> {
        let delay = self.shared.volume.defer_syncs();
        self.state().deferring = delay.is_some();
        delay
    }

    /// See [`Volume::settle`].
    pub(crate) fn settle(&self) -> io::Result<()> {
        let mut state = self.state();
        if !std::mem::take(&mut state.deferring) {
            return Ok(());
        }
        let outcome = self.shared.volume.settle();
        state.note_sync(&outcome);
        outcome
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn guarded(&self) -> io::Result<std::sync::MutexGuard<'_, State>> {
        let state = self.state();
        if state.incarnation == self.incarnation {
            Ok(state)
        } else {
            Err(io::Error::other("the store was abandoned"))
        }
    }
}

impl State {
    fn note_sync(&mut self, outcome: &io::Result<()>) {
        match outcome {
            Ok(()) if !self.sync_failed && !self.deferring => self.synced(),
            Ok(()) => {}
            Err(_) => self.sync_failed = true,
        }
    }

    fn synced(&mut self) {
        self.unsynced.clear();
        self.unsynced_bytes = 0;
        self.sync_failed = false;
    }
}

impl StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        let _state = self.guarded()?;
        self.shared.volume.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        drop(self.guarded()?);
        self.shared.volume.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let _state = self.guarded()?;
        self.shared.volume.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        // The lock is not held while the disk works: readers go on. redb has one writer.
        drop(self.guarded()?);
        let outcome = self.shared.volume.sync();
        self.state().note_sync(&outcome);
        outcome
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.guarded()?;
        self.shared.volume.write(offset, data)?;
        state.unsynced_bytes += data.len();
        if state.unsynced_bytes <= UNSYNCED_BYTES_MAX {
            state.unsynced.push((offset, data.to_vec()));
        } else {
            state.unsynced.clear();
        }
        Ok(())
    }
}
