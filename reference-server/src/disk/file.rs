//! A directory of the operating system as a disk.
//!
//! Three names: `lock` (held exclusively for as long as the volume lives), `journal.redb`, and `journal.new` (a journal
//! that is still being made, renamed when it is complete, so that a crash never leaves half of one).

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use super::{Disk, Volume};

const LOCK_NAME: &str = "lock";
const JOURNAL_NAME: &str = "journal.redb";
const UNPUBLISHED_NAME: &str = "journal.new";

/// A data directory.
#[derive(Clone, Debug)]
pub struct FileDisk {
    directory: PathBuf,
}

impl FileDisk {
    /// Names the directory; it is made when the disk is attached.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into() }
    }

    /// The directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }
}

impl Disk for FileDisk {
    fn attach(&self) -> io::Result<Box<dyn Volume>> {
        fs::create_dir_all(&self.directory)?;
        let lock = File::create(self.directory.join(LOCK_NAME))?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => {
                io::Error::new(io::ErrorKind::ResourceBusy, "another process uses the data directory")
            }
            TryLockError::Error(error) => error,
        })?;
        let mut options = OpenOptions::new();
        options.read(true).write(true);
        let (file, published) = match options.open(self.directory.join(JOURNAL_NAME)) {
            Ok(file) => (file, true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                options.create(true).truncate(true);
                (options.open(self.directory.join(UNPUBLISHED_NAME))?, false)
            }
            Err(error) => return Err(error),
        };
        Ok(Box::new(FileVolume {
            directory: self.directory.clone(),
            file,
            published: AtomicBool::new(published),
            _lock: lock,
        }))
    }
}

#[derive(Debug)]
struct FileVolume {
    directory: PathBuf,
    file: File,
    published: AtomicBool,
    /// Released when dropped, and by the system when the process dies.
    _lock: File,
}

impl Volume for FileVolume {
    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(out, offset)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.file.write_all_at(data, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn is_published(&self) -> io::Result<bool> {
        Ok(self.published.load(Ordering::Acquire))
    }

    fn publish(&self) -> io::Result<()> {
        if self.published.load(Ordering::Acquire) {
            return Ok(());
        }
        self.file.sync_all()?;
        fs::rename(self.directory.join(UNPUBLISHED_NAME), self.directory.join(JOURNAL_NAME))?;
        File::open(&self.directory)?.sync_all()?;
        self.published.store(true, Ordering::Release);
        Ok(())
    }

    fn free_bytes(&self) -> io::Result<Option<u64>> {
        Ok(None)
    }
}
