//! The store: where the journal's records stay. A redb database with one transaction per checkpoint.
//!
//! It is made by the first checkpoint, not before. It is copy-on-write, so a crash at any moment leaves the state of the
//! last checkpoint; the log has the rest.

mod backend;

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use redb::Database;

use super::overlay::Overlay;
use super::rows::Stamp;
use super::{JournalError, apply, from_store};
use crate::disk::{Directory, Volume};
use backend::Backend;

/// The name of its file.
pub const STORE_NAME: &str = "store.redb";
/// What is copied at once when the whole file is written again.
const COPY_BYTES: usize = 1 << 20;
/// The part of the file that decides which state is valid.
const ROOT_BYTES: u64 = 4 << 10;

/// The store, held by whoever may write to it.
#[derive(Debug)]
pub(super) struct Store {
    directory: Arc<dyn Directory>,
    cache_bytes: usize,
    journal: u64,
    /// `None` before the first checkpoint, and after a failure until the next attempt.
    open: Option<Open>,
    /// A sync of its file failed since it was last written as a whole.
    is_suspect: bool,
    recent: apply::RecentIds,
}

struct Open {
    database: Arc<Database>,
    backend: Backend,
    volume: Arc<dyn Volume>,
    is_published: bool,
}

impl std::fmt::Debug for Open {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Open").field("volume", &self.volume).finish_non_exhaustive()
    }
}

/// The store as readers see it.
pub(super) struct Readable(pub(super) Arc<Database>);

impl std::fmt::Debug for Readable {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Readable").finish_non_exhaustive()
    }
}

impl Store {
    /// Opens nothing yet.
    pub(super) fn new(
        directory: Arc<dyn Directory>,
        cache_bytes: usize,
        journal: u64,
        is_suspect: bool,
    ) -> Self {
        Self { directory, cache_bytes, journal, open: None, is_suspect, recent: apply::RecentIds::default() }
    }

    /// Opens the store if there is one; its stamp.
    pub(super) fn open_if_there(&mut self) -> Result<Option<Stamp>, JournalError> {
        if let Some(open) = &self.open {
            return if open.is_published { Stamp::read(&open.database).map(Some) } else { Ok(None) };
        }
        let Some(volume) = self.directory.open(STORE_NAME)? else { return Ok(None) };
        if volume.is_empty()? {
            return Err(JournalError::Foreign(format!("{STORE_NAME} is empty")));
        }
        if self.is_suspect {
            write_again(&*volume)?;
        } else {
            // Whoever died here may have written more than it synced, and the log forgets what the store has.
            volume.sync().inspect_err(|_| self.is_suspect = true)?;
        }
        let open = self.open_database(volume, true)?;
        let stamp = Stamp::read(&open.database)?;
        self.is_suspect = false;
        self.open = Some(open);
        Ok(Some(stamp))
    }

    /// What readers may look into.
    pub(super) fn database(&self) -> Option<Readable> {
        self.open.as_ref().filter(|open| open.is_published).map(|open| Readable(Arc::clone(&open.database)))
    }

    /// Brings a generation into the store, durably. After an error nothing of it counts, and it can be tried again.
    pub(super) fn take_in(&mut self, overlay: &Overlay) -> Result<(), JournalError> {
        let outcome = guarded(|| self.try_take_in(overlay));
        if outcome.is_err() {
            self.abandon();
            // For the readers; if that fails, the next attempt does it again.
            let _ = guarded(|| self.open_if_there());
        }
        outcome
    }

    pub(super) fn is_suspect(&self) -> bool {
        self.is_suspect
    }

    /// Closes it properly, so that the next start need not check it. Readers must be gone.
    pub(super) fn close(&mut self) -> Result<(), JournalError> {
        let Some(Open { database, backend, .. }) = self.open.take() else { return Ok(()) };
        let Ok(database) = Arc::try_unwrap(database) else { return Ok(()) };
        let outcome = database.close().map_err(from_store);
        self.is_suspect |= backend.has_failed_sync();
        outcome
    }

    fn try_take_in(&mut self, overlay: &Overlay) -> Result<(), JournalError> {
        let stamp = self.open_if_there()?;
        // An earlier attempt may have come so far before it failed.
        if stamp.is_some_and(|stamp| stamp.position.generation >= overlay.position.generation) {
            return Ok(());
        }
        if self.open.is_none() {
            let volume = self.directory.create(STORE_NAME)?;
            self.open = Some(self.open_database(volume, false)?);
        }
        let Some(open) = &mut self.open else { return Ok(()) };
        let mut transaction = open.database.begin_write().map_err(from_store)?;
        // The next start after a crash must not take the longer the more there is.
        transaction.set_quick_repair(true);
        apply::apply(&transaction, &mut self.recent, overlay).map_err(from_store)?;
        let stamp = Stamp { journal: self.journal, position: overlay.position };
        stamp.write(&transaction).map_err(from_store)?;
        transaction.commit().map_err(from_store)?;
        open.volume.publish()?;
        open.is_published = true;
        Ok(())
    }

    fn open_database(&mut self, volume: Arc<dyn Volume>, is_published: bool) -> Result<Open, JournalError> {
        let backend = Backend::new(Arc::clone(&volume));
        let database = guarded(|| {
            Database::builder()
                .set_cache_size(self.cache_bytes)
                .set_check_integrity_on_open(self.is_suspect)
                .create_with_backend(backend.clone())
                .map_err(from_store)
        });
        let database = database.inspect_err(|_| self.is_suspect |= backend.has_failed_sync())?;
        Ok(Open { database: Arc::new(database), backend, volume, is_published })
    }

    /// Lets go without another byte written.
    fn abandon(&mut self) {
        if let Some(open) = self.open.take() {
            open.backend.fence();
            self.is_suspect |= open.backend.has_failed_sync();
        }
        self.recent = apply::RecentIds::default();
    }
}

/// The cure for a failed sync: the operating system may keep what never reached the disk and call it clean, so all of it is
/// written again. What decides which state is valid goes last, when what it points to is durable. (What the system did
/// not keep either is found by the check at the next opening, which goes back to the checkpoint before; the log still
/// has what came after that.)
fn write_again(volume: &dyn Volume) -> io::Result<()> {
    let len = volume.len()?;
    volume.set_len(len)?;
    let mut chunk = vec![0; COPY_BYTES];
    let mut copy = |from: u64, to: u64| {
        let mut at = from;
        while at < to {
            let part = &mut chunk[..COPY_BYTES.min((to - at) as usize)];
            volume.read(at, part)?;
            volume.write(at, part)?;
            at += part.len() as u64;
        }
        volume.sync()
    };
    copy(ROOT_BYTES.min(len), len)?;
    copy(0, ROOT_BYTES.min(len))
}

/// The store panics on some damage that no crash of ours can cause (a file edited or cut by hand). Here that is an error.
pub(super) fn guarded<T>(read: impl FnOnce() -> Result<T, JournalError>) -> Result<T, JournalError> {
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|panic| {
        let message = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("the store gave up");
        Err(JournalError::Corrupt(message.to_owned()))
    })
}
