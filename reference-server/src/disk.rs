//! The disk seam: what the journal's store runs on.
//!
//! A [`Disk`] can be attached by one owner at a time and then gives a [`Volume`]: bytes that can be read, written and
//! synced. There are two: [`FileDisk`] (a directory of the operating system) and [`SimDisk`] (memory, with power
//! loss, torn sectors, failing and slow syncs, and a full disk). The store above is the very same code on both.
//! This module deliberately knows nothing of records or transactions.

mod backend;
mod file;
mod sim;

pub(crate) use backend::Backend;
pub use file::FileDisk;
pub use sim::{SimDisk, SimDiskCounters};

use std::fmt::Debug;
use std::io;
use std::time::Duration;

/// Bytes of unsynced writes that are kept in memory so that they can be written again after a failed sync.
pub const UNSYNCED_BYTES_MAX: usize = 64 << 20;

/// Free space, in bytes, below which commits are refused before the store is touched.
pub const FREE_BYTES_MIN: u64 = 16 << 20;

/// Something that can be attached by one owner at a time.
pub trait Disk: Debug + Send + Sync + 'static {
    /// Takes hold of the disk. The hold ends when the volume is dropped (or its process dies).
    ///
    /// # Errors
    /// [`io::ErrorKind::ResourceBusy`] when somebody else holds it; otherwise what the system says.
    fn attach(&self) -> io::Result<Box<dyn Volume>>;
}

/// One growable run of bytes, held exclusively.
pub trait Volume: Debug + Send + Sync + 'static {
    /// Its length in bytes.
    fn len(&self) -> io::Result<u64>;
    /// Whether it has no bytes.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
    /// Fills `out` from `offset`; an error if the volume ends before.
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()>;
    /// Writes within the length. Not durable before the next [`Volume::sync`] has returned.
    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()>;
    /// Changes the length; new bytes are zero and their space is reserved.
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// Makes everything written so far durable. After an error nothing is known about what was not.
    fn sync(&self) -> io::Result<()>;
    /// Whether [`Volume::publish`] was called in this or an earlier life. What was not published was never in use.
    fn is_published(&self) -> io::Result<bool>;
    /// Declares, durably and atomically, that the contents are complete and in use.
    fn publish(&self) -> io::Result<()>;
    /// Bytes that the system can still give, if it says so.
    fn free_bytes(&self) -> io::Result<Option<u64>>;
    /// Simulated disks only: from now on a sync merely begins, and everything is durable at [`Volume::settle`].
    /// Returns how long the syncs should take. A real disk answers `None` and syncs when asked.
    fn defer_syncs(&self) -> Option<Duration> {
        None
    }
    /// Ends what [`Volume::defer_syncs`] began.
    fn settle(&self) -> io::Result<()> {
        Ok(())
    }
}
