//! The durable journal: the engine's records in a write-ahead log and a store, on any [`Disk`].
//!
//! ```text
//!            commit: one write, one sync                    checkpoint: one transaction per generation
//! records ─────────────▶ log (log-a, log-b in turn) ─ ─ ─ ─ ▶ store (store.redb)
//!                        └▶ overlay in memory ──────────────▶ ┘
//! pages ◀── store, then the overlay of the generation that is on its way there, then that of the one that takes batches
//! ```
//!
//! One call of [`Journal::commit`] is one block of the log with one sync, however many records it has: callers get group
//! commit by handing over everything that gathered during the last one. When a generation of the log is complete, the
//! next begins in the other file, and a [`Checkpoint`] brings the complete one into the store. It is a piece of work that
//! the caller does where it likes, on another thread or in between: there is no thread and no runtime in here. Commits
//! go on meanwhile, until the second generation is complete, too. A start replays what the store lacks.
//!
//! In memory: two generations at most (see [`OVERLAY_BYTES_MAX`]), the store's cache, and one counter per device that
//! sends. This module decides nothing about the protocol; it keeps what the engine proposes and gives it back.

mod apply;
mod batch;
mod checkpoint;
mod error;
pub mod log;
mod overlay;
mod recover;
mod rows;
mod runs;
mod store;

pub use batch::Batch;
pub use checkpoint::{Checkpoint, Checkpointed, Retired};
pub use error::{CommitError, JournalError};
pub(crate) use rows::approximate_bytes;
pub use store::STORE_NAME;

use std::mem::take;
use std::sync::Arc;
use std::time::Duration;

use avouch_engine::defects::Defects;
use avouch_engine::journal::{Entry, Query, Recovered};
use redb::{Database, ReadableDatabase};

use crate::disk::{Directory, Disk, FREE_BYTES_MIN};
use error::from_store;
use log::{Log, LogOptions, Segments};
use overlay::{Overlay, Page};
use recover::State;
use store::{Readable, Store, guarded};

/// The version of log and store that this code writes, and the only one that it reads.
pub const FORMAT_VERSION: u32 = 3;

/// The one file of version 1: not read, but not passed over either.
const FIRST_VERSION_NAME: &str = "journal.redb";

/// Default size of the store's page cache, in bytes.
pub const CACHE_BYTES_DEFAULT: usize = 64 << 20;

/// Default size of a generation of the log, in bytes.
pub const SEGMENT_BYTES_DEFAULT: u64 = 16 << 20;

/// Memory of one generation's records, in bytes, after which it is complete whatever the log says. There are two
/// generations, and each may exceed this by one batch.
pub const OVERLAY_BYTES_MAX: usize = 48 << 20;

/// Records in one batch at most; callers keep the rest for the next.
pub const BATCH_RECORDS_MAX: usize = 8_192;

/// Payload bytes in one batch, after which callers keep the rest for the next.
pub const BATCH_BYTES_MAX: usize = 8 << 20;

/// How many times the bytes of a batch must be free: in the log, and later in the store, whose pages are copied.
const FREE_SPACE_FACTOR: u64 = 8;

/// Parts of a generation that go by before a failed checkpoint is tried again.
const RETRIES_PER_GENERATION: u64 = 16;

/// Settings.
#[derive(Clone, Copy, Debug)]
pub struct JournalOptions {
    /// Size of the store's page cache in bytes.
    pub cache_bytes: usize,
    /// A generation of the log is complete when it has this many bytes.
    pub segment_bytes: u64,
    /// What makes a log's blocks its own: another number at every start, or blocks that an earlier life began and that a
    /// start did not count may be taken for this life's. A real server takes one that nobody can guess.
    pub seed: u64,
    /// Planted defects; only a build with the feature `defects` can have any.
    pub defects: Defects,
}

impl Default for JournalOptions {
    fn default() -> Self {
        Self {
            cache_bytes: CACHE_BYTES_DEFAULT,
            segment_bytes: SEGMENT_BYTES_DEFAULT,
            seed: 0,
            defects: Defects::NONE,
        }
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
    /// Generations of the log that were brought into the store.
    pub checkpoints: u64,
    /// Attempts at that which failed.
    pub checkpoints_failed: u64,
}

/// The journal of one server.
#[derive(Debug)]
pub struct Journal {
    directory: Arc<dyn Directory>,
    log: Log,
    /// The generation that takes batches.
    active: Overlay,
    /// The one before, until the store has it.
    frozen: Option<Arc<Overlay>>,
    /// A batch that is written and not settled. The log has its block.
    in_flight: Option<Batch>,
    /// From the moment that the outcome of a commit became unknown until [`Self::reopen`].
    is_poisoned: bool,
    /// The store; `None` while a checkpoint has it.
    store: Option<Store>,
    /// Whether there is a store to read from, and that store while it works.
    has_store: bool,
    readable: Option<Readable>,
    /// After a failed checkpoint: where the log's end has to be before the next attempt.
    retry_at: u64,
    segment_bytes: u64,
    counters: JournalCounters,
}

impl Journal {
    /// Attaches the disk and opens its journal; an empty disk gets a new one. Everything that is found is durable then.
    pub fn open(disk: &dyn Disk, options: JournalOptions) -> Result<Self, JournalError> {
        let directory = disk.attach()?;
        let JournalOptions { seed, segment_bytes, defects, .. } = options;
        let log_options = LogOptions { seed, segment_bytes, defects };
        let Some(mut segments) = Segments::find(&*directory)? else {
            if directory.open(STORE_NAME)?.is_some() {
                return Err(JournalError::Corrupt("there is a store, but the log is missing".into()));
            }
            if directory.open(FIRST_VERSION_NAME)?.is_some() {
                let why = format!("{FIRST_VERSION_NAME} has format version 1, which was never released");
                return Err(JournalError::Foreign(why));
            }
            let log = Log::create(&*directory, log_options)?;
            let store = Store::new(Arc::clone(&directory), options.cache_bytes, log.journal(), false);
            let replayed = log::Replayed { log, frozen: None, active: Overlay::default() };
            return Ok(Self::with(directory, replayed, store, options));
        };
        let is_suspect = segments.is_store_suspect();
        let mut store =
            Store::new(Arc::clone(&directory), options.cache_bytes, segments.journal(), is_suspect);
        let stamp = guarded(|| store.open_if_there()).inspect_err(|_| {
            if store.is_suspect() {
                let _ = segments.note_suspect_store(true);
            }
        })?;
        segments.note_suspect_store(false)?;
        let replayed = segments.replay(log_options, stamp)?;
        Ok(Self::with(directory, replayed, store, options))
    }

    fn with(
        directory: Arc<dyn Directory>,
        replayed: log::Replayed,
        store: Store,
        options: JournalOptions,
    ) -> Self {
        let log::Replayed { log, frozen, active } = replayed;
        let readable = store.database();
        Self {
            directory,
            log,
            active,
            frozen: frozen.map(Arc::new),
            in_flight: None,
            is_poisoned: false,
            has_store: readable.is_some(),
            readable,
            store: Some(store),
            retry_at: 0,
            segment_bytes: options.segment_bytes,
            counters: JournalCounters::default(),
        }
    }

    /// Makes a journal usable again after a commit whose outcome is unknown, on the same hold of the disk: what may not
    /// have reached the disk is written again and synced. The batch in doubt counts as committed then.
    pub fn reopen(&mut self) -> Result<(), JournalError> {
        self.log.write_again()?;
        self.take_in_flight();
        self.is_poisoned = false;
        self.reopen_store()
    }

    /// Everything that the engine keeps in memory.
    pub fn recover(&mut self) -> Result<Recovered, JournalError> {
        self.reopen_store()?;
        guarded(|| {
            let mut state = match self.readable()? {
                Some(database) => State::read(&database.begin_read().map_err(from_store)?)?,
                None => State::default(),
            };
            for overlay in self.overlays() {
                state.apply(overlay)?;
            }
            state.finish()
        })
    }

    /// Makes a batch durable: one write, one sync.
    pub fn commit(&mut self, batch: impl Into<Batch>) -> Result<(), CommitError> {
        self.begin(batch)?;
        self.settle().map(drop)
    }

    /// The first half of [`Self::commit`]: afterwards the batch is written, but not durable before
    /// [`Self::settle`]. Returns how long a simulated disk wants the caller to wait in between; on a real disk the
    /// wait is over. Until then, [`Self::entries`] answers from before the batch.
    ///
    /// If the batch begins a generation and no checkpoint has made room for it, that is done first, here.
    pub fn begin(&mut self, batch: impl Into<Batch>) -> Result<Duration, CommitError> {
        let mut batch = batch.into();
        if self.is_poisoned {
            return Err(CommitError::Poisoned("the journal was not reopened".into()));
        }
        if let Err(why) = self.make_room(&mut batch) {
            self.counters.refused += 1;
            return Err(CommitError::Refused(why));
        }
        let records = batch.len() as u32;
        self.in_flight = Some(batch);
        match self.log.write(records) {
            Ok(delay) => Ok(delay.unwrap_or_default()),
            Err(error) => Err(self.poison(&error)),
        }
    }

    /// The second half of [`Self::commit`]; how many records are durable now.
    pub fn settle(&mut self) -> Result<usize, CommitError> {
        if let Err(error) = self.log.settle() {
            return Err(self.poison(&error));
        }
        self.counters.commits += 1;
        let records = self.in_flight.as_ref().map_or(0, Batch::len);
        self.counters.records += records as u64;
        self.take_in_flight();
        Ok(records)
    }

    /// Whether a batch would have to wait for the checkpoint that is under way: [`Self::begin`] would refuse it.
    pub fn is_waiting(&self, batch: &Batch) -> bool {
        self.store.is_none() && self.completes_generation(batch)
    }

    /// Work for the caller, if there is some: see [`Checkpoint`]. Not between a begin and its settling.
    pub fn checkpoint(&mut self) -> Option<Checkpoint> {
        if self.log.end() < self.retry_at {
            return None;
        }
        let frozen = Arc::clone(self.frozen.as_ref()?);
        self.store.take().map(|store| Checkpoint::new(store, frozen))
    }

    /// Gives the result of that work back. After an error, it is offered again in a while.
    pub fn checkpointed(&mut self, done: Checkpointed) -> Result<Retired, JournalError> {
        let (store, outcome) = done.into_parts();
        self.readable = store.database();
        self.has_store |= self.readable.is_some();
        self.log.note_suspect_store(store.is_suspect());
        self.store = Some(store);
        match outcome {
            Ok(()) => {
                self.retry_at = 0;
                self.counters.checkpoints += 1;
                Ok(Retired::new(self.frozen.take()))
            }
            Err(error) => {
                self.retry_at = self.log.end() + self.segment_bytes / RETRIES_PER_GENERATION;
                self.counters.checkpoints_failed += 1;
                Err(error)
            }
        }
    }

    /// Reads from the log: durable entries only.
    pub fn entries(&mut self, query: &Query) -> Result<Vec<Entry>, JournalError> {
        let mut page = Page::new(query);
        let Some(first) = page.next() else { return Ok(Vec::new()) };
        if !self.overlays().any(|overlay| overlay.holds(query.conversation, first)) {
            self.reopen_store()?;
            if let Some(database) = self.readable()? {
                guarded(|| recover::fill(&mut page, &database.begin_read().map_err(from_store)?))?;
            }
        }
        for overlay in self.overlays() {
            page.fill(overlay);
        }
        Ok(page.into_entries())
    }

    /// What it did so far.
    pub fn counters(&self) -> JournalCounters {
        self.counters
    }

    /// Closes the store properly, so that the next start need not check it. What the log has stays there.
    pub fn close(mut self) -> Result<(), JournalError> {
        self.readable = None;
        let Some(mut store) = self.store.take() else { return Ok(()) };
        let outcome = store.close();
        if store.is_suspect() {
            self.log.note_suspect_store(true);
        }
        outcome
    }

    /// From the older to the newer.
    fn overlays(&self) -> impl Iterator<Item = &Overlay> {
        self.frozen.as_deref().into_iter().chain([&self.active])
    }

    fn readable(&self) -> Result<Option<&Database>, JournalError> {
        match &self.readable {
            Some(readable) => Ok(Some(&readable.0)),
            None if self.has_store => Err(JournalError::Io(std::io::Error::other("the store is not open"))),
            None => Ok(None),
        }
    }

    /// If a failed checkpoint left the store closed.
    fn reopen_store(&mut self) -> Result<(), JournalError> {
        if let (true, None, Some(store)) = (self.has_store, &self.readable, &mut self.store) {
            guarded(|| store.open_if_there())?;
            self.readable = store.database();
        }
        Ok(())
    }

    fn take_in_flight(&mut self) {
        if let Some(batch) = self.in_flight.take() {
            self.active.add(batch, self.log.take_block(), self.log.position());
        }
    }

    fn poison(&mut self, why: &std::io::Error) -> CommitError {
        self.counters.poisoned += 1;
        self.is_poisoned = true;
        CommitError::Poisoned(why.to_string())
    }

    fn completes_generation(&self, batch: &Batch) -> bool {
        let is_full =
            self.active.bytes() >= OVERLAY_BYTES_MAX || !self.log.has_room(batch.approximate_bytes());
        is_full && !self.active.is_empty()
    }

    /// Everything before the batch is written; nothing of it has an effect.
    fn make_room(&mut self, batch: &mut Batch) -> Result<(), String> {
        let wanted = FREE_BYTES_MIN + FREE_SPACE_FACTOR * batch.approximate_bytes();
        if let Ok(Some(free)) = self.directory.free_bytes()
            && free < wanted
        {
            return Err(format!("{free} bytes are free, {wanted} are wanted"));
        }
        if self.completes_generation(batch) {
            self.free_other_segment()?;
            self.log.turn().map_err(|error| error.to_string())?;
            self.frozen = Some(Arc::new(take(&mut self.active)));
        }
        self.log.prepare(take(&mut batch.block)).map_err(|error| error.to_string())
    }

    fn free_other_segment(&mut self) -> Result<(), String> {
        let Some(frozen) = self.frozen.clone() else { return Ok(()) };
        let Some(store) = self.store.take() else { return Err("a checkpoint is under way".into()) };
        self.checkpointed(Checkpoint::new(store, frozen).run())
            .map(drop)
            .map_err(|error| format!("the store takes nothing in: {error}"))
    }
}
