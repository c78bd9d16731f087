//! A simulated disk: memory that outlives the simulated process, with the faults of real disks.
//!
//! The model of bytes and names is in [`platter`]. Here is who holds it, and what its operator can do to it. A kill
//! changes nothing but who holds the disk. All randomness comes from the seeds given.

mod image;
mod platter;

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{Directory, Disk, FREE_BYTES_MIN, Volume};
use platter::{Platter, SimFile};

/// What a simulated disk did; evidence that a fault took effect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SimDiskCounters {
    /// Syncs that completed.
    pub syncs: u64,
    /// Syncs that failed.
    pub syncs_failed: u64,
    /// Writes of any size.
    pub writes: u64,
    /// Losses of power.
    pub power_losses: u64,
    /// Unsynced writes that a loss of power took away as a whole.
    pub writes_lost: u64,
    /// Sectors that a loss of power took out of writes that survived in part.
    pub sectors_torn: u64,
    /// New files whose name a loss of power took away.
    pub names_lost: u64,
    /// Kills.
    pub kills: u64,
    /// Times that there was no space (answers to a question about it, and refused growth).
    pub full_answers: u64,
}

/// A handle on a simulated disk; clones share it.
#[derive(Clone, Debug, Default)]
pub struct SimDisk {
    shared: Arc<Mutex<Platter>>,
}

impl SimDisk {
    /// An empty disk.
    pub fn new() -> Self {
        Self::default()
    }

    /// The process died; the operating system did not. What was written stays, synced or not.
    pub fn kill(&self) {
        let mut platter = self.lock();
        platter.counters.kills += 1;
        platter.forget_order();
        platter.next_life();
    }

    /// The power went. A subset of what was not synced survives, chosen by `seed`.
    pub fn power_loss(&self, seed: u64) {
        let mut platter = self.lock();
        platter.lose_power(seed);
        platter.next_life();
    }

    /// While on, every sync fails and forgets what it should have made durable.
    pub fn fail_syncs(&self, on: bool) {
        self.lock().faults.fail_syncs = on;
    }

    /// How long a sync takes, for shells that wait for it on their own clock.
    pub fn slow_sync(&self, delay: Duration) {
        self.lock().faults.sync_delay = delay;
    }

    /// While on, no space is left.
    pub fn full(&self, on: bool) {
        self.lock().faults.full = on;
    }

    /// While on, the disk does not say how much space is left: a full disk is found out by failing growth only.
    pub fn hide_free_space(&self, on: bool) {
        self.lock().faults.hides_free_space = on;
    }

    /// Stops answering after that many more writes, syncs, resizes and changes of names, until the next kill or loss
    /// of power.
    pub fn die_after(&self, operations: u64) {
        self.lock().faults.dies_after = Some(operations);
    }

    /// What happened so far.
    pub fn counters(&self) -> SimDiskCounters {
        self.lock().counters
    }

    /// What a loss of power could not take away of a file now, if its name cannot be taken away: for tests that
    /// damage it.
    pub fn durable_bytes(&self, name: &str) -> Option<Vec<u8>> {
        let platter = self.lock();
        platter.files.iter().find(|file| file.name == name && file.is_durably_named()).map(SimFile::durable)
    }

    /// Replaces a file, durably, as if it had been restored from somewhere. Cuts the owner off.
    pub fn restore(&self, name: &'static str, bytes: Vec<u8>) {
        let mut platter = self.lock();
        platter.files.retain(|file| file.name != name);
        platter.files.push(SimFile::restored(name, bytes));
        platter.next_life();
    }

    fn lock(&self) -> MutexGuard<'_, Platter> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Disk for SimDisk {
    fn attach(&self) -> io::Result<Arc<dyn Directory>> {
        let mut platter = self.lock();
        if platter.attached {
            return Err(io::Error::new(
                io::ErrorKind::ResourceBusy,
                "another process uses the simulated disk",
            ));
        }
        platter.sync_names()?;
        platter.attached = true;
        let hold = Hold { disk: self.clone(), life: platter.life };
        Ok(Arc::new(SimDirectory { hold: Arc::new(hold) }))
    }
}

/// One process's hold on the disk.
#[derive(Debug)]
struct Hold {
    disk: SimDisk,
    life: u64,
}

impl Hold {
    fn platter(&self) -> io::Result<MutexGuard<'_, Platter>> {
        let platter = self.disk.lock();
        if platter.life == self.life {
            Ok(platter)
        } else {
            Err(io::Error::other("simulated: the process that held the disk is gone"))
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if let Ok(mut platter) = self.platter() {
            platter.attached = false;
        }
    }
}

#[derive(Debug)]
struct SimDirectory {
    hold: Arc<Hold>,
}

impl SimDirectory {
    fn volume(&self, index: usize) -> Arc<dyn Volume> {
        Arc::new(SimVolume { hold: Arc::clone(&self.hold), index })
    }
}

impl Directory for SimDirectory {
    fn open(&self, name: &'static str) -> io::Result<Option<Arc<dyn Volume>>> {
        let mut platter = self.hold.platter()?;
        platter.sync_names()?;
        let index = platter.files.iter().position(|file| file.name == name && file.is_named());
        Ok(index.map(|index| self.volume(index)))
    }

    fn create(&self, name: &'static str) -> io::Result<Arc<dyn Volume>> {
        let mut platter = self.hold.platter()?;
        platter.tick()?;
        if platter.files.iter().any(|file| file.name == name && file.is_named()) {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, format!("simulated: {name} exists")));
        }
        let index = platter.files.iter().position(|file| file.name == name).unwrap_or(platter.files.len());
        if index < platter.files.len() {
            platter.files[index] = SimFile::new(name);
        } else {
            platter.files.push(SimFile::new(name));
        }
        Ok(self.volume(index))
    }

    fn free_bytes(&self) -> io::Result<Option<u64>> {
        let mut platter = self.hold.platter()?;
        if platter.faults.hides_free_space {
            return Ok(None);
        }
        if platter.faults.full {
            platter.counters.full_answers += 1;
            return Ok(Some(0));
        }
        Ok(Some(FREE_BYTES_MIN * 1024))
    }
}

#[derive(Debug)]
struct SimVolume {
    hold: Arc<Hold>,
    /// Files keep their places for as long as a life lasts.
    index: usize,
}

impl Volume for SimVolume {
    fn len(&self) -> io::Result<u64> {
        Ok(self.hold.platter()?.files[self.index].view().len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let platter = self.hold.platter()?;
        platter.files[self.index].view().read(offset, out)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut platter = self.hold.platter()?;
        platter.tick()?;
        platter.counters.writes += 1;
        let end = offset + data.len() as u64;
        if end > platter.files[self.index].view().len() {
            platter.resize(self.index, end)?;
        }
        platter.files[self.index].write(offset, data);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut platter = self.hold.platter()?;
        platter.tick()?;
        platter.resize(self.index, len)
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        self.set_len(len)
    }

    fn sync(&self) -> io::Result<()> {
        let mut platter = self.hold.platter()?;
        platter.tick()?;
        platter.sync(self.index)
    }

    fn publish(&self) -> io::Result<()> {
        let mut platter = self.hold.platter()?;
        if platter.files[self.index].is_durably_named() {
            return Ok(());
        }
        platter.tick()?;
        platter.sync(self.index)?;
        platter.tick()?;
        platter.files[self.index].name_it();
        platter.tick()?;
        platter.sync_names()
    }

    fn defer_syncs(&self) -> Option<Duration> {
        let mut platter = self.hold.platter().ok()?;
        platter.files[self.index].defer();
        Some(platter.faults.sync_delay)
    }

    fn settle(&self) -> io::Result<()> {
        let mut platter = self.hold.platter()?;
        if !platter.files[self.index].undefer() {
            return Ok(());
        }
        platter.tick()?;
        platter.sync(self.index)
    }
}
