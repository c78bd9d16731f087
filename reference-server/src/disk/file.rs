//! A directory of the operating system as a disk.
//!
//! Besides the files of its user there are: `lock` (held exclusively for as long as anything here lives), `NAME.new` (a
//! file that is still being made, renamed when it is complete), and `reserve`: space that is given up when the disk is
//! full, so that what is there can still be opened and read, and that has to be won back before anything more is
//! committed.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::{Directory, Disk, FREE_BYTES_MIN, Volume};

const LOCK_NAME: &str = "lock";
const RESERVE_NAME: &str = "reserve";
/// Zeros that are written at once.
const ZERO_CHUNK_BYTES: usize = 1 << 20;
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

    fn hold(&self) -> io::Result<Held> {
        fs::create_dir_all(&self.directory)?;
        let lock = File::create(self.directory.join(LOCK_NAME))?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => {
                io::Error::new(io::ErrorKind::ResourceBusy, "another process uses the data directory")
            }
            TryLockError::Error(error) => error,
        })?;
        let held = Held {
            directory: self.directory.clone(),
            reserve: Mutex::new(Reserve::LostAt(None)),
            // Whoever was here before may have died between giving a name and making it durable.
            has_new_names: AtomicBool::new(true),
            lock,
        };
        held.sync_names()?;
        held.win_reserve();
        Ok(held)
    }
}

impl Disk for FileDisk {
    fn attach(&self) -> io::Result<Arc<dyn Directory>> {
        Ok(Arc::new(FileDirectory { held: Arc::new(self.hold()?) }))
    }
}

#[derive(Debug)]
struct FileDirectory {
    held: Arc<Held>,
}

/// The hold on the directory, shared by all of its files.
#[derive(Debug)]
struct Held {
    directory: PathBuf,
    reserve: Mutex<Reserve>,
    /// Whether a name was given since the directory was last synced.
    has_new_names: AtomicBool,
    /// Released when dropped, and by the system when the process dies.
    lock: File,
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

impl Drop for Held {
    /// To close the file is not enough: a child that another thread is about to start has a copy of it until its first
    /// instruction, and for that long the lock would live on.
    fn drop(&mut self) {
        // What cannot be unlocked is unlocked with the last copy.
        let _closing = self.lock.unlock();
    }
}

impl Held {
    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    fn unpublished(&self, name: &str) -> PathBuf {
        self.directory.join(format!("{name}.new"))
    }

    fn sync_names(&self) -> io::Result<()> {
        if self.has_new_names.load(Ordering::Acquire) {
            File::open(&self.directory)?.sync_all()?;
            self.has_new_names.store(false, Ordering::Release);
        }
        Ok(())
    }

    /// Takes hold of the reserved space; whether it is there.
    fn win_reserve(&self) -> bool {
        let mut reserve = self.reserve.lock().unwrap_or_else(PoisonError::into_inner);
        if let Reserve::LostAt(lost) = *reserve
            && lost.is_none_or(|lost| lost.elapsed() >= RESERVE_PAUSE)
        {
            let path = self.path(RESERVE_NAME);
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
            let _ = fs::remove_file(self.path(RESERVE_NAME));
        }
        outcome
    }

    fn volume(self: &Arc<Self>, name: &'static str, file: File, is_published: bool) -> Arc<dyn Volume> {
        Arc::new(FileVolume {
            held: Arc::clone(self),
            name,
            file,
            is_published: AtomicBool::new(is_published),
        })
    }
}

impl Directory for FileDirectory {
    fn open(&self, name: &'static str) -> io::Result<Option<Arc<dyn Volume>>> {
        self.held.sync_names()?;
        match OpenOptions::new().read(true).write(true).open(self.held.path(name)) {
            Ok(file) => Ok(Some(self.held.volume(name, file, true))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn create(&self, name: &'static str) -> io::Result<Arc<dyn Volume>> {
        if self.held.path(name).try_exists()? {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, format!("{name} exists")));
        }
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true);
        let file = self.held.noting_full(options.open(self.held.unpublished(name)))?;
        Ok(self.held.volume(name, file, false))
    }

    fn free_bytes(&self) -> io::Result<Option<u64>> {
        // The standard library does not tell how much is free; that nothing is, shows.
        Ok(if self.held.win_reserve() { None } else { Some(0) })
    }
}

/// Fills the reserve, if there is some room besides: else the next batch would take it away again.
fn fill(path: &Path) -> io::Result<()> {
    let mut file = File::create(path)?;
    let chunk = vec![0; ZERO_CHUNK_BYTES];
    for _ in 0..RESERVE_FACTOR * FREE_BYTES_MIN / ZERO_CHUNK_BYTES as u64 {
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

#[derive(Debug)]
struct FileVolume {
    held: Arc<Held>,
    name: &'static str,
    file: File,
    is_published: AtomicBool,
}

impl FileVolume {
    /// Zeros that are written have their space; a length that is merely set has none.
    fn fill_with_zeros(&self, from: u64, to: u64) -> io::Result<()> {
        let chunk = vec![0; ZERO_CHUNK_BYTES.min((to - from) as usize)];
        let mut at = from;
        while at < to {
            let count = chunk.len().min((to - at) as usize);
            self.file.write_all_at(&chunk[..count], at)?;
            at += count as u64;
        }
        Ok(())
    }
}

impl Volume for FileVolume {
    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(out, offset)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.held.noting_full(self.file.write_all_at(data, offset))
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.held.noting_full(self.file.set_len(len))
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        let from = self.len()?;
        if from >= len {
            return Ok(());
        }
        self.fill_with_zeros(from, len).or_else(|error| {
            let _ = self.file.set_len(from);
            self.held.noting_full(Err(error))
        })
    }

    fn sync(&self) -> io::Result<()> {
        self.held.noting_full(self.file.sync_data())
    }

    fn publish(&self) -> io::Result<()> {
        if self.is_published.load(Ordering::Acquire) {
            return Ok(());
        }
        self.held.noting_full(self.file.sync_all())?;
        let (unpublished, path) = (self.held.unpublished(self.name), self.held.path(self.name));
        // An earlier attempt may have failed after this.
        if unpublished.try_exists()? {
            fs::rename(unpublished, path)?;
            self.held.has_new_names.store(true, Ordering::Release);
        }
        self.held.sync_names()?;
        self.is_published.store(true, Ordering::Release);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_of_the_lock_in_a_child_that_is_being_made_keeps_nobody_out() {
        let directory = std::env::temp_dir().join(format!("avouch-file-disk-{}", std::process::id()));
        let held = FileDisk::new(&directory).hold().unwrap();
        let copy = held.lock.try_clone().unwrap();
        let refused = FileDisk::new(&directory).attach().unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ResourceBusy);
        drop(held);
        FileDisk::new(&directory).attach().unwrap();
        drop(copy);
        fs::remove_dir_all(&directory).unwrap();
    }
}
