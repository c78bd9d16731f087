//! The adapter between a [`Volume`] and redb: it can be cut off, and remembers a failed sync.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use redb::StorageBackend;

use crate::disk::Volume;

/// A hold on the store's volume: one copy is inside redb, one with whoever may have to cut that off.
#[derive(Clone, Debug)]
pub(super) struct Backend {
    volume: Arc<dyn Volume>,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    is_fenced: AtomicBool,
    has_failed_sync: AtomicBool,
}

impl Backend {
    pub(super) fn new(volume: Arc<dyn Volume>) -> Self {
        Self { volume, state: Arc::default() }
    }

    /// From now on nothing goes through: an abandoned store must not write on its way out.
    pub(super) fn fence(&self) {
        self.state.is_fenced.store(true, Ordering::Release);
    }

    pub(super) fn has_failed_sync(&self) -> bool {
        self.state.has_failed_sync.load(Ordering::Acquire)
    }

    fn volume(&self) -> io::Result<&dyn Volume> {
        if self.state.is_fenced.load(Ordering::Acquire) {
            return Err(io::Error::other("the store was abandoned"));
        }
        Ok(&*self.volume)
    }
}

impl StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        self.volume()?.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.volume()?.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.volume()?.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        let outcome = self.volume()?.sync();
        if outcome.is_err() {
            self.state.has_failed_sync.store(true, Ordering::Release);
        }
        outcome
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.volume()?.write(offset, data)
    }
}
