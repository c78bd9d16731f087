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
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::{Disk, FREE_BYTES_MIN, Volume};

const LOCK_NAME: &str = "lock";
const JOURNAL_NAME: &str = "journal.redb";
const UNPUBLISHED_NAME: &str = "journal.new";
const RESERVE_NAME: &str = "reserve";
/// Written at once when the reserve is made.
const RESERVE_CHUNK_BYTES: usize = 1 << 20;
/// How many times the reserve must be free before it is taken.
const RESERVE_FACTOR: u64 = 2;
/// How long a full disk is left alone before the reserve is tried again.
const RESERVE_PAUSE: Duration = Duration::from_secs(1);

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
            reserve: Mutex::new(Reserve::LostAt(None)),
            _lock: lock,
        };
        volume.win_reserve();
        Ok(Box::new(volume))
    }
}

/// The space that is kept for opening and reading on a full disk.
#[derive(Debug)]
enum Reserve {
    Held,
    /// When it was given up, or could last not be won back; `None` = not tried yet.
    LostAt(Option<Instant>),
}

impl Reserve {
    fn is_held(&self) -> bool {
        matches!(self, Self::Held)
    }
}

#[derive(Debug)]
struct FileVolume {
    directory: PathBuf,
    file: File,
    published: AtomicBool,
    reserve: Mutex<Reserve>,
    /// Released when dropped, and by the system when the process dies.
    _lock: File,
}

impl FileVolume {
    /// Takes hold of the reserved space; whether it is there.
    fn win_reserve(&self) -> bool {
        let mut reserve = self.reserve.lock().unwrap_or_else(PoisonError::into_inner);
        if let Reserve::LostAt(lost) = *reserve
            && lost.is_none_or(|lost| lost.elapsed() >= RESERVE_PAUSE)
        {
            let path = self.directory.join(RESERVE_NAME);
            let is_there = fs::metadata(&path).is_ok_and(|file| file.len() == FREE_BYTES_MIN);
            *reserve =
                if is_there || fill(&path).is_ok() { Reserve::Held } else { Reserve::LostAt(Some(now())) };
            if !reserve.is_held() {
                let _ = fs::remove_file(&path);
            }
        }
        reserve.is_held()
    }

    /// Gives the reserved space up if that is what is needed now.
    fn noting_full<T>(&self, outcome: io::Result<T>) -> io::Result<T> {
        if let Err(error) = &outcome
            && matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
        {
            *self.reserve.lock().unwrap_or_else(PoisonError::into_inner) = Reserve::LostAt(Some(now()));
            let _ = fs::remove_file(self.directory.join(RESERVE_NAME));
        }
        outcome
    }
}

/// Fills the reserve, if there is some room besides: else the next batch would take it away again.
fn fill(path: &Path) -> io::Result<()> {
    let mut file = File::create(path)?;
    let chunk = vec![0; RESERVE_CHUNK_BYTES];
    for _ in 0..RESERVE_FACTOR * FREE_BYTES_MIN / RESERVE_CHUNK_BYTES as u64 {
        file.write_all(&chunk)?;
    }
    file.sync_all()?;
    file.set_len(FREE_BYTES_MIN)?;
    file.sync_all()
}

#[allow(clippy::disallowed_methods, reason = "a real disk is tried again in real time")]
fn now() -> Instant {
    Instant::now()
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
