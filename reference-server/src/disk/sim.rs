//! A simulated disk: memory that outlives the simulated process, with the faults of real disks.
//!
//! The model. What a process reads is the *view* (the page cache). What survives a loss of power is *durable*. Between
//! them lies the ordered list of what was not synced. A sync moves the list to durable when it completes. A loss of
//! power keeps a random subset of the list, each write whole, not at all, or torn at 512-byte sectors; where syncs were
//! under way (see [`Volume::defer_syncs`]) it respects their order. A failing sync forgets the list but leaves the view
//! as it is, as Linux does. A kill changes nothing but who holds the disk. All randomness comes from the seeds given.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{Disk, FREE_BYTES_MIN, Volume};

/// What a disk writes atomically, in bytes.
const SECTOR_BYTES: usize = 512;

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

#[derive(Debug, Default)]
struct Platter {
    view: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<Pending>,
    published: bool,
    /// Rises with every kill and loss of power; older volumes are cut off.
    life: u64,
    attached: bool,
    deferred: bool,
    faults: Faults,
    counters: SimDiskCounters,
}

#[derive(Debug, Default)]
struct Faults {
    fail_syncs: bool,
    sync_delay: Duration,
    full: bool,
    hides_free_space: bool,
    /// Operations until the disk stops answering.
    dies_after: Option<u64>,
}

#[derive(Debug)]
enum Pending {
    Write {
        offset: u64,
        data: Vec<u8>,
    },
    Resize(u64),
    /// A deferred sync: what stands before it reaches the disk before anything after it.
    Barrier,
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
        platter.pending.retain(|pending| !matches!(pending, Pending::Barrier));
        platter.next_life();
    }

    /// The power went. A subset of what was not synced survives, chosen by `seed`.
    pub fn power_loss(&self, seed: u64) {
        let mut platter = self.lock();
        platter.lose_power(&mut SplitMix(seed));
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

    /// Stops answering after that many more writes, syncs and resizes, until the next kill or loss of power.
    pub fn die_after(&self, operations: u64) {
        self.lock().faults.dies_after = Some(operations);
    }

    /// What happened so far.
    pub fn counters(&self) -> SimDiskCounters {
        self.lock().counters
    }

    /// What a loss of power could not take away now: for tests that damage it.
    pub fn durable_bytes(&self) -> Vec<u8> {
        self.lock().durable.clone()
    }

    /// Replaces all contents, durably, as if the disk had been restored from somewhere. Cuts the owner off.
    pub fn restore(&self, bytes: Vec<u8>) {
        let mut platter = self.lock();
        platter.view.clone_from(&bytes);
        platter.durable = bytes;
        platter.pending.clear();
        platter.published = true;
        platter.next_life();
    }

    fn lock(&self) -> MutexGuard<'_, Platter> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Disk for SimDisk {
    fn attach(&self) -> io::Result<Box<dyn Volume>> {
        let mut platter = self.lock();
        if platter.attached {
            return Err(io::Error::new(
                io::ErrorKind::ResourceBusy,
                "another process uses the simulated disk",
            ));
        }
        platter.attached = true;
        Ok(Box::new(SimVolume { disk: self.clone(), life: platter.life }))
    }
}

impl Platter {
    fn next_life(&mut self) {
        self.life += 1;
        self.attached = false;
        self.deferred = false;
        self.faults.dies_after = None;
    }

    fn complete_sync(&mut self) -> io::Result<()> {
        if self.faults.fail_syncs {
            self.counters.syncs_failed += 1;
            self.pending.clear();
            return Err(io::Error::other("simulated: the sync failed"));
        }
        self.counters.syncs += 1;
        for pending in std::mem::take(&mut self.pending) {
            apply(&mut self.durable, &pending);
        }
        Ok(())
    }

    fn lose_power(&mut self, random: &mut SplitMix) {
        self.counters.power_losses += 1;
        let barriers = self.pending.iter().filter(|pending| matches!(pending, Pending::Barrier)).count();
        let completed = random.below(barriers as u64 + 1);
        let mut passed = 0;
        for mut pending in std::mem::take(&mut self.pending) {
            if matches!(pending, Pending::Barrier) {
                passed += 1;
            } else if passed < completed || (passed == completed && self.survives(&mut pending, random)) {
                apply(&mut self.durable, &pending);
            } else {
                self.counters.writes_lost += 1;
            }
        }
        self.view.clone_from(&self.durable);
    }

    /// Whether anything of an unsynced operation is left; a torn write has its lost sectors filled from below.
    fn survives(&mut self, pending: &mut Pending, random: &mut SplitMix) -> bool {
        match random.below(3) {
            0 => true,
            1 => false,
            _ => {
                let Pending::Write { offset, data } = pending else { return false };
                for (index, sector) in data.chunks_mut(SECTOR_BYTES).enumerate() {
                    if random.below(2) == 0 {
                        self.counters.sectors_torn += 1;
                        let start = *offset as usize + index * SECTOR_BYTES;
                        for (position, byte) in sector.iter_mut().enumerate() {
                            *byte = self.durable.get(start + position).copied().unwrap_or(0);
                        }
                    }
                }
                true
            }
        }
    }

    fn tick(&mut self) -> io::Result<()> {
        match &mut self.faults.dies_after {
            Some(0) => Err(io::Error::other("simulated: the disk does not answer")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn no_space(&mut self) -> io::Error {
        self.counters.full_answers += 1;
        io::Error::new(io::ErrorKind::StorageFull, "simulated: no space left")
    }
}

/// Writes beyond the length are not visible, as with a file whose new length was lost.
fn apply(bytes: &mut Vec<u8>, pending: &Pending) {
    match pending {
        Pending::Write { offset, data } => {
            let start = (*offset as usize).min(bytes.len());
            let end = (start + data.len()).min(bytes.len());
            bytes[start..end].copy_from_slice(&data[..end - start]);
        }
        Pending::Resize(len) => bytes.resize(*len as usize, 0),
        Pending::Barrier => {}
    }
}

#[derive(Debug)]
struct SimVolume {
    disk: SimDisk,
    life: u64,
}

impl SimVolume {
    fn platter(&self) -> io::Result<MutexGuard<'_, Platter>> {
        let platter = self.disk.lock();
        if platter.life == self.life {
            Ok(platter)
        } else {
            Err(io::Error::other("simulated: the process that held the disk is gone"))
        }
    }
}

impl Drop for SimVolume {
    fn drop(&mut self) {
        if let Ok(mut platter) = self.platter() {
            platter.attached = false;
        }
    }
}

impl Volume for SimVolume {
    fn len(&self) -> io::Result<u64> {
        Ok(self.platter()?.view.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let platter = self.platter()?;
        let bytes = usize::try_from(offset)
            .ok()
            .and_then(|start| platter.view.get(start..start.checked_add(out.len())?))
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(bytes);
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut platter = self.platter()?;
        platter.tick()?;
        platter.counters.writes += 1;
        let end = offset + data.len() as u64;
        if end > platter.view.len() as u64 {
            if platter.faults.full {
                return Err(platter.no_space());
            }
            platter.view.resize(end as usize, 0);
            platter.pending.push(Pending::Resize(end));
        }
        let pending = Pending::Write { offset, data: data.to_vec() };
        apply(&mut platter.view, &pending);
        platter.pending.push(pending);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut platter = self.platter()?;
        platter.tick()?;
        if platter.faults.full && len > platter.view.len() as u64 {
            return Err(platter.no_space());
        }
        platter.view.resize(len as usize, 0);
        platter.pending.push(Pending::Resize(len));
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut platter = self.platter()?;
        platter.tick()?;
        if platter.deferred {
            platter.pending.push(Pending::Barrier);
            return Ok(());
        }
        platter.complete_sync()
    }

    fn is_published(&self) -> io::Result<bool> {
        Ok(self.platter()?.published)
    }

    fn publish(&self) -> io::Result<()> {
        let mut platter = self.platter()?;
        platter.tick()?;
        platter.complete_sync()?;
        platter.published = true;
        Ok(())
    }

    fn free_bytes(&self) -> io::Result<Option<u64>> {
        let mut platter = self.platter()?;
        if platter.faults.hides_free_space {
            return Ok(None);
        }
        if platter.faults.full {
            platter.counters.full_answers += 1;
            return Ok(Some(0));
        }
        Ok(Some(FREE_BYTES_MIN * 1024))
    }

    fn defer_syncs(&self) -> Option<Duration> {
        let mut platter = self.platter().ok()?;
        platter.deferred = true;
        Some(platter.faults.sync_delay)
    }

    fn settle(&self) -> io::Result<()> {
        let mut platter = self.platter()?;
        if !std::mem::take(&mut platter.deferred) {
            return Ok(());
        }
        platter.tick()?;
        platter.complete_sync()
    }
}

/// A small seeded generator (Steele, Lea and Flood: "Fast splittable pseudorandom number generators", 2014).
#[derive(Debug)]
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}
