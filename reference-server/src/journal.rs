//! The durable journal: the engine's records in a redb store, on any [`Disk`].
//!
//! One call of [`Journal::commit`] is one transaction with one sync, however many records it has: callers get group
//! commit by handing over everything that gathered during the last one. The store is copy-on-write, so a crash at any
//! moment leaves the last committed state. In memory: a cache of a fixed size and one counter per device that sends.
//! This module decides nothing about the protocol; it keeps what the engine proposes and gives it back.

mod apply;
mod recover;
mod rows;

pub(crate) use rows::approximate_bytes;

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use avouch_engine::journal::{Entry, Query, Record, Recovered};
use redb::{Database, ReadTransaction, ReadableDatabase};
use thiserror::Error;

use crate::disk::{Backend, Disk, FREE_BYTES_MIN};

/// The version of the store's layout that this code writes, and the only one that it reads.
pub const FORMAT_VERSION: u32 = 1;

/// Default size of the store's page cache, in bytes.
pub const CACHE_BYTES_DEFAULT: usize = 64 << 20;

/// Records in one transaction at most; callers keep the rest for the next.
pub const BATCH_RECORDS_MAX: usize = 8_192;

/// Payload bytes in one transaction, after which callers keep the rest for the next.
pub const BATCH_BYTES_MAX: usize = 16 << 20;

/// How many times the bytes of a batch must be free: pages are copied, not changed.
const FREE_SPACE_FACTOR: u64 = 8;

/// Why a journal could not be opened or read.
#[derive(Debug, Error)]
pub enum JournalError {
    /// Somebody else has it.
    #[error("the data directory is in use by another process")]
    InUse,
    /// Written by a newer version of this software.
    #[error(
        "the journal has format version {found}, and this program reads version {FORMAT_VERSION}: it was written by a newer release"
    )]
    Future {
        /// What the journal says.
        found: u32,
    },
    /// Not a journal of ours.
    #[error("the data directory holds something that is not an avouch journal: {0}")]
    Foreign(String),
    /// A journal of ours that is damaged beyond what a crash does.
    #[error("the journal is damaged: {0}")]
    Corrupt(String),
    /// The disk said no.
    #[error("the disk failed: {0}")]
    Io(#[source] io::Error),
}

/// Why a batch was not committed.
#[derive(Debug, Error)]
pub enum CommitError {
    /// Definitely without effect: there was no room. The journal goes on.
    #[error("no room for the batch: {0}")]
    Refused(String),
    /// Whether it took effect is not known. Nothing may be acknowledged; the journal must be reopened.
    #[error("the outcome of the commit is unknown: {0}")]
    Poisoned(String),
}

/// Settings.
#[derive(Clone, Copy, Debug)]
pub struct JournalOptions {
    /// Size of the page cache in bytes.
    pub cache_bytes: usize,
}

impl Default for JournalOptions {
    fn default() -> Self {
        Self { cache_bytes: CACHE_BYTES_DEFAULT }
    }
}

/// What the journal did so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JournalCounters {
    /// Batches that are durable.
    pub commits: u64,
    /// Records in them.
    pub records: u64,
    /// Batches refused.
    pub refused: u64,
    /// Times that the outcome was unknown.
    pub poisoned: u64,
}

/// The journal of one server.
#[derive(Debug)]
pub struct Journal {
    backend: Backend,
    options: JournalOptions,
    /// `None` from the moment that the outcome of a commit became unknown until it is opened again.
    store: Option<Store>,
    counters: JournalCounters,
    in_flight_records: u64,
}

struct Store {
    database: Database,
    /// What readers see while a commit is not settled yet.
    settled: Option<ReadTransaction>,
    recent: apply::RecentRows,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Store").finish_non_exhaustive()
    }
}

impl Journal {
    /// Attaches the disk and opens its journal; an empty disk gets a new one.
    pub fn open(disk: &dyn Disk, options: JournalOptions) -> Result<Self, JournalError> {
        let volume = disk.attach().map_err(|error| match error.kind() {
            io::ErrorKind::ResourceBusy => JournalError::InUse,
            _ => JournalError::Io(error),
        })?;
        let backend = Backend::new(volume);
        if !backend.volume().is_published()? {
            // A first start that never came to its end left nothing that anybody relied on.
            backend.volume().set_len(0)?;
            let database = open_database(backend.clone(), options)?;
            rows::stamp(&database)?;
            database.close().map_err(from_store)?;
            backend.volume().publish()?;
        }
        let mut journal = Self {
            backend,
            options,
            store: None,
            counters: JournalCounters::default(),
            in_flight_records: 0,
        };
        journal.reopen()?;
        Ok(journal)
    }

    /// Opens the store again, on the same hold of the disk. What a failed sync left open is written again and synced first.
    pub fn reopen(&mut self) -> Result<(), JournalError> {
        let backend = self.abandon();
        if backend.sync_failed() {
            backend.rewrite_unsynced()?;
        }
        let database = open_database(backend, self.options)?;
        rows::check_stamp(&database)?;
        self.store = Some(Store { database, settled: None, recent: apply::RecentRows::default() });
        Ok(())
    }

    /// Everything that the engine keeps in memory.
    pub fn recover(&self) -> Result<Recovered, JournalError> {
        let transaction = self.snapshot()?;
        guarded(|| recover::recover(&transaction))
    }

    /// Makes a batch durable: one transaction, one sync.
    pub fn commit(&mut self, records: &[Record]) -> Result<(), CommitError> {
        self.begin(records)?;
        self.settle()
    }

    /// The first half of [`Self::commit`]: afterwards the batch is written, but not durable before
    /// [`Self::settle`]. Returns how long a simulated disk wants the caller to wait in between; on a real disk the
    /// wait is over. Until then, [`Self::entries`] answers from before the batch.
    pub fn begin(&mut self, records: &[Record]) -> Result<Duration, CommitError> {
        if let Err(why) = self.check_room(records) {
            self.counters.refused += 1;
            return Err(CommitError::Refused(why));
        }
        let Some(store) = &mut self.store else {
            return Err(CommitError::Poisoned("the journal was not reopened".into()));
        };
        let delay = self.backend.defer_syncs();
        if delay.is_some() {
            match store.database.begin_read() {
                Ok(transaction) => store.settled = Some(transaction),
                Err(error) => return Err(self.poison(error.to_string())),
            }
        }
        match apply::commit(&store.database, &mut store.recent, records) {
            Ok(()) => {
                self.in_flight_records = records.len() as u64;
                Ok(delay.unwrap_or_default())
            }
            Err(apply::Failure::AtCommit(error)) => Err(self.poison(error)),
            Err(apply::Failure::Before(error)) if self.backend.sync_failed() => Err(self.poison(error)),
            Err(apply::Failure::Before(error)) => match self.reopen() {
                Ok(()) => {
                    self.counters.refused += 1;
                    Err(CommitError::Refused(error))
                }
                Err(worse) => Err(self.poison(format!("{error}; then {worse}"))),
            },
        }
    }

    /// The second half of [`Self::commit`].
    pub fn settle(&mut self) -> Result<(), CommitError> {
        if let Err(error) = self.backend.settle() {
            return Err(self.poison(error.to_string()));
        }
        if let Some(store) = &mut self.store {
            store.settled = None;
        }
        self.counters.commits += 1;
        self.counters.records += std::mem::take(&mut self.in_flight_records);
        Ok(())
    }

    /// Reads from the log: durable entries only.
    pub fn entries(&self, query: &Query) -> Result<Vec<Entry>, JournalError> {
        if let Some(Store { settled: Some(transaction), .. }) = &self.store {
            return recover::entries(transaction, query);
        }
        recover::entries(&self.snapshot()?, query)
    }

    /// What it did so far.
    pub fn counters(&self) -> JournalCounters {
        self.counters
    }

    /// Closes the store properly, so that the next start need not check it.
    pub fn close(mut self) -> Result<(), JournalError> {
        match self.store.take() {
            Some(store) => {
                drop(store.settled);
                store.database.close().map_err(from_store)
            }
            None => Ok(()),
        }
    }

    fn snapshot(&self) -> Result<ReadTransaction, JournalError> {
        let store = self.store.as_ref().ok_or_else(|| io::Error::other("the journal is not open"))?;
        store.database.begin_read().map_err(from_store)
    }

    /// Drops the store without letting it write, and gives the backend for the next one.
    fn abandon(&mut self) -> Backend {
        let _ = self.backend.settle();
        self.backend = self.backend.renewed();
        self.in_flight_records = 0;
        self.store = None;
        self.backend.clone()
    }

    fn poison(&mut self, why: String) -> CommitError {
        self.counters.poisoned += 1;
        self.abandon();
        CommitError::Poisoned(why)
    }

    fn check_room(&self, records: &[Record]) -> Result<(), String> {
        let batch_bytes: u64 = records.iter().map(|record| rows::approximate_bytes(record) as u64).sum();
        let wanted = FREE_BYTES_MIN + FREE_SPACE_FACTOR * batch_bytes;
        match self.backend.volume().free_bytes() {
            Ok(Some(free)) if free < wanted => Err(format!("{free} bytes are free, {wanted} are wanted")),
            _ => Ok(()),
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        // An orderly drop of a healthy store closes it properly; see `close` for the errors of that.
        if let Some(store) = &mut self.store {
            store.settled = None;
        }
    }
}

impl From<io::Error> for JournalError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

fn open_database(backend: Backend, options: JournalOptions) -> Result<Database, JournalError> {
    guarded(|| {
        Database::builder()
            .set_cache_size(options.cache_bytes)
            .create_with_backend(backend)
            .map_err(from_store)
    })
}

/// The store panics on some damage that no crash of ours can cause (a file edited or cut by hand). Here that is an error.
fn guarded<T>(read: impl FnOnce() -> Result<T, JournalError>) -> Result<T, JournalError> {
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|panic| {
        let message = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("the store gave up");
        Err(JournalError::Corrupt(message.to_owned()))
    })
}

fn from_store(error: impl Into<redb::Error>) -> JournalError {
    use redb::Error::{
        Corrupted, DatabaseAlreadyOpen, Io, RepairAborted, TableDoesNotExist, TableTypeMismatch,
        TypeDefinitionChanged, UpgradeRequired,
    };
    match error.into() {
        DatabaseAlreadyOpen => JournalError::InUse,
        // What the store says of a file without its magic number.
        Io(error) if error.kind() == io::ErrorKind::InvalidData => JournalError::Foreign(error.to_string()),
        Io(error) => JournalError::Io(error),
        Corrupted(what) => JournalError::Corrupt(what),
        error @ (RepairAborted | UpgradeRequired(_)) => JournalError::Corrupt(error.to_string()),
        error @ (TableDoesNotExist(_) | TableTypeMismatch { .. } | TypeDefinitionChanged { .. }) => {
            JournalError::Foreign(error.to_string())
        }
        other => JournalError::Io(io::Error::other(other.to_string())),
    }
}
