//! The disk seam: what the journal's files are on.
//!
//! A [`Disk`] can be attached by one owner at a time and then gives a [`Directory`] of named files. A file is made
//! without a name and *published* when its contents are complete, so that no crash leaves half of a new one. An open
//! file is a [`Volume`]: bytes that can be read, written and synced. There are two disks: [`FileDisk`] (a directory of
//! the operating system) and [`SimDisk`] (memory, with power loss, torn sectors, lost names, failing and slow syncs,
//! and a full disk). The journal above is the very same code on both. This module deliberately knows nothing of
//! records or transactions, nor which files there are.

mod file;
mod sim;

pub use file::FileDisk;
pub use sim::{SimDisk, SimDiskCounters};

use std::fmt::Debug;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// What a disk writes as a whole or not at all, in bytes. What is smaller than that in hardware is grouped to it by
/// every file system; what is larger is torn at multiples of it.
pub const SECTOR_BYTES: usize = 512;

/// Free space, in bytes, below which commits are refused before anything is written.
pub const FREE_BYTES_MIN: u64 = 16 << 20;

/// Something that can be attached by one owner at a time.
pub trait Disk: Debug + Send + Sync + 'static {
    /// Takes hold of the disk. The hold ends when the directory and all of its volumes are dropped (or their process
    /// dies). Every name that can be seen is durable then.
    ///
    /// # Errors
    /// [`io::ErrorKind::ResourceBusy`] when somebody else holds it; otherwise what the system says.
    fn attach(&self) -> io::Result<Arc<dyn Directory>>;
}

/// Named files, held exclusively.
pub trait Directory: Debug + Send + Sync + 'static {
    /// The file that was published under this name, if there is one. The name is durable then.
    fn open(&self, name: &'static str) -> io::Result<Option<Arc<dyn Volume>>>;
    /// A new, empty file. Until it is published, the name stays free, and whoever opens the disk next finds nothing.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] when the name is taken; otherwise what the system says.
    fn create(&self, name: &'static str) -> io::Result<Arc<dyn Volume>>;
    /// Bytes that the system can still give, if it says so.
    fn free_bytes(&self) -> io::Result<Option<u64>>;
}

/// One growable run of bytes.
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
    /// Changes the length; new bytes are zero, and their space may be missing when they are written.
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// Grows to a length; new bytes are zero and have their space, so that writing them changes nothing but them. An
    /// error leaves the length as it was.
    fn allocate(&self, len: u64) -> io::Result<()>;
    /// Makes everything written so far durable. After an error nothing is known about what was not.
    fn sync(&self) -> io::Result<()>;
    /// Makes contents and name durable, and the name visible: all at once. Does nothing if that has been done.
    fn publish(&self) -> io::Result<()>;
    /// Simulated disks only: from now on a sync of this volume merely begins, and everything is durable at
    /// [`Volume::settle`]. Returns how long the syncs should take. A real disk answers `None` and syncs when asked.
    fn defer_syncs(&self) -> Option<Duration> {
        None
    }
    /// Ends what [`Volume::defer_syncs`] began.
    fn settle(&self) -> io::Result<()> {
        Ok(())
    }
}
