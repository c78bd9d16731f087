//! A directory of the operating system as a disk.
//!
//! Four names: `lock` (held exclusively for as long as the volume lives), `journal.redb`, `journal.new` (a journal
//! that is still being made, renamed when it is complete, so that a crash never leaves half of one), and `reserve`:
//! space that is given up when the disk is full, so that the store can still be opened and read, and that has to be
//! won back before anything more is committed.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use super::{Disk, FREE_BYTES_MIN, Volume};

const LOCK_NAME: &str = "lock";
const JOURNAL_NAME: &str = "journal.redb";
const UNPUBLISHED_NAME: &str = "journal.new";
const RESERVE_NAME: &str = "reserve";
/// Written at once when the reserve is made.
const RESERVE_CHUNK_BYTES: usize = 1 << 20;

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
        let volume = FileVolume {
            directory: self.directory.clone(),
            file,
            published: AtomicBool::new(published),
            has_reserve: AtomicBool::new(false),
            _lock: lock,
        };
        volume.win_reserve();
        Ok(Box::new(volume))
    }
}

#[derive(Debug)]
struct FileVolume {
    directory: PathBuf,
    file: File,
    published: AtomicBool,
    has_reserve: AtomicBool,
    /// Released when dropped, and by the system when the process dies.
    _lock: File,
}

impl FileVolume {
    /// Takes hold of the reserved space; whether it is there.
    fn win_reserve(&self) -> bool {
        if self.has_reserve.load(Ordering::Acquire) {
            return true;
        }
        let path = self.directory.join(RESERVE_NAME);
        let is_there = fs::metadata(&path).is_ok_and(|reserve| reserve.len() == FREE_BYTES_MIN);
        let won = is_there || fill(&path).is_ok();
        if !won {
            let _ = fs::remove_file(&path);
        }
        self.has_reserve.store(won, Ordering::Release);
        won
    }

    /// Gives the reserved space up if that is what is needed now.
    fn noting_full<T>(&self, outcome: io::Result<T>) -> io::Result<T> {
        if let Err(error) = &outcome
            && matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
        {
            self.has_reserve.store(false, Ordering::Release);
            let _ = fs::remove_file(self.directory.join(RESERVE_NAME));
        }
        outcome
    }
}

fn fill(path: &Path) -> io::Result<()> {
    let mut file = File::create(path)?;
    let chunk = vec![0; RESERVE_CHUNK_BYTES];
    for _ in 0..FREE_BYTES_MIN / RESERVE_CHUNK_BYTES as u64 {
        file.write_all(&chunk)?;
    }
    file.sync_all()
}

impl Volume for FileVolume {
    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(out, offset)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.noting_full(self.file.write_all_at(data, offset))
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.noting_full(self.file.set_len(len))
    }

    fn sync(&self) -> io::Result<()> {
        self.noting_full(self.file.sync_data())
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
        // The standard library does not tell how much is free; that nothing is, shows.
        Ok(if self.win_reserve() { None } else { Some(0) })
    }
}
