//! What a simulated disk holds, and what of it survives.
//!
//! What a process reads is the *view* (the page cache). What survives a loss of power is *durable*. Between them lies,
//! for each file, the ordered list of what was not synced. A sync moves the list to durable when it completes. A loss of
//! power keeps a random subset of the list, each write whole, not at all, or torn at sectors; where syncs were under way
//! (see [`super::Volume::defer_syncs`]) it respects their order. A failing sync forgets the list but leaves the view as
//! it is, as Linux does. A new file's name is durable when the directory was synced; before that, a loss of power takes
//! the whole file or leaves it.

use std::io;
use std::time::Duration;

use bytes::Bytes;

use super::SimDiskCounters;
use super::image::Image;
use crate::disk::SECTOR_BYTES;

#[derive(Debug, Default)]
pub(super) struct Platter {
    /// In the order of their making; those without a name are gone in the next life.
    pub(super) files: Vec<SimFile>,
    /// Rises with every kill and loss of power; older holds are cut off.
    pub(super) life: u64,
    pub(super) attached: bool,
    pub(super) faults: Faults,
    pub(super) counters: SimDiskCounters,
}

#[derive(Debug, Default)]
pub(super) struct Faults {
    pub(super) fail_syncs: bool,
    pub(super) sync_delay: Duration,
    pub(super) full: bool,
    pub(super) hides_free_space: bool,
    /// Operations until the disk stops answering.
    pub(super) dies_after: Option<u64>,
}

#[derive(Debug)]
pub(super) struct SimFile {
    pub(super) name: &'static str,
    named: Named,
    view: Image,
    durable: Image,
    pending: Vec<Pending>,
    deferred: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Named {
    No,
    /// Visible, but the directory was not synced since.
    InView,
    Durably,
}

#[derive(Debug)]
enum Pending {
    Write {
        offset: u64,
        data: Bytes,
    },
    Resize(u64),
    /// A deferred sync: what stands before it reaches the disk before anything after it.
    Barrier,
}

impl Platter {
    pub(super) fn next_life(&mut self) {
        self.life += 1;
        self.attached = false;
        self.faults.dies_after = None;
        self.files.retain(SimFile::is_named);
        for file in &mut self.files {
            file.deferred = false;
        }
    }

    /// A killed process waits for no sync any more.
    pub(super) fn forget_order(&mut self) {
        for file in &mut self.files {
            file.pending.retain(|pending| !matches!(pending, Pending::Barrier));
        }
    }

    pub(super) fn tick(&mut self) -> io::Result<()> {
        match &mut self.faults.dies_after {
            Some(0) => Err(io::Error::other("simulated: the disk does not answer")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    pub(super) fn resize(&mut self, index: usize, len: u64) -> io::Result<()> {
        let file = &mut self.files[index];
        if self.faults.full && len > file.view.len() {
            self.counters.full_answers += 1;
            return Err(io::Error::new(io::ErrorKind::StorageFull, "simulated: no space left"));
        }
        file.view.resize(len);
        file.pending.push(Pending::Resize(len));
        Ok(())
    }

    /// Completes a sync of one file, or begins it if its syncs are deferred.
    pub(super) fn sync(&mut self, index: usize) -> io::Result<()> {
        let file = &mut self.files[index];
        if file.deferred {
            file.pending.push(Pending::Barrier);
            return Ok(());
        }
        let outcome = self.counters.note_sync(self.faults.fail_syncs);
        for pending in file.pending.drain(..) {
            if outcome.is_ok() {
                apply(&mut file.durable, &pending);
            }
        }
        outcome
    }

    /// The directory's own sync.
    pub(super) fn sync_names(&mut self) -> io::Result<()> {
        if self.files.iter().all(|file| file.named != Named::InView) {
            return Ok(());
        }
        self.counters.note_sync(self.faults.fail_syncs)?;
        for file in &mut self.files {
            if file.named == Named::InView {
                file.named = Named::Durably;
            }
        }
        Ok(())
    }

    pub(super) fn lose_power(&mut self, seed: u64) {
        let mut random = SplitMix(seed);
        self.counters.power_losses += 1;
        for file in &mut self.files {
            file.lose_power(&mut self.counters, &mut random);
        }
    }
}

impl SimDiskCounters {
    fn note_sync(&mut self, fails: bool) -> io::Result<()> {
        if fails {
            self.syncs_failed += 1;
            return Err(io::Error::other("simulated: the sync failed"));
        }
        self.syncs += 1;
        Ok(())
    }
}

impl SimFile {
    pub(super) fn new(name: &'static str) -> Self {
        Self {
            name,
            named: Named::No,
            view: Image::default(),
            durable: Image::default(),
            pending: Vec::new(),
            deferred: false,
        }
    }

    pub(super) fn restored(name: &'static str, bytes: Vec<u8>) -> Self {
        let image = Image::from(bytes);
        Self { named: Named::Durably, view: image.clone(), durable: image, ..Self::new(name) }
    }

    pub(super) fn is_named(&self) -> bool {
        self.named != Named::No
    }

    pub(super) fn is_durably_named(&self) -> bool {
        self.named == Named::Durably
    }

    pub(super) fn name_it(&mut self) {
        self.named = Named::InView;
    }

    pub(super) fn view(&self) -> &Image {
        &self.view
    }

    pub(super) fn durable(&self) -> Vec<u8> {
        self.durable.to_vec()
    }

    pub(super) fn write(&mut self, offset: u64, data: &[u8]) {
        let pending = Pending::Write { offset, data: Bytes::copy_from_slice(data) };
        apply(&mut self.view, &pending);
        self.pending.push(pending);
    }

    pub(super) fn defer(&mut self) {
        self.deferred = true;
    }

    /// Whether it was deferred.
    pub(super) fn undefer(&mut self) -> bool {
        std::mem::take(&mut self.deferred)
    }

    fn lose_power(&mut self, counters: &mut SimDiskCounters, random: &mut SplitMix) {
        if self.named == Named::InView {
            self.named = if random.below(2) == 0 { Named::Durably } else { Named::No };
            counters.names_lost += u64::from(self.named == Named::No);
        }
        let barriers = self.pending.iter().filter(|pending| matches!(pending, Pending::Barrier)).count();
        let completed = random.below(barriers as u64 + 1);
        let mut passed = 0;
        for mut pending in std::mem::take(&mut self.pending) {
            if matches!(pending, Pending::Barrier) {
                passed += 1;
            } else if passed < completed
                || (passed == completed && self.survives(&mut pending, counters, random))
            {
                apply(&mut self.durable, &pending);
            } else {
                counters.writes_lost += 1;
            }
        }
        self.view.clone_from(&self.durable);
    }

    /// Whether anything of an unsynced operation is left; a torn write has its lost sectors filled from below.
    fn survives(&self, pending: &mut Pending, counters: &mut SimDiskCounters, random: &mut SplitMix) -> bool {
        match random.below(3) {
            0 => true,
            1 => false,
            _ => {
                let Pending::Write { offset, data } = pending else { return false };
                let mut at = *offset as usize;
                let mut torn = data.to_vec();
                let mut rest = torn.as_mut_slice();
                while !rest.is_empty() {
                    let in_sector = (SECTOR_BYTES - at % SECTOR_BYTES).min(rest.len());
                    let (sector, later) = rest.split_at_mut(in_sector);
                    if random.below(2) == 0 {
                        counters.sectors_torn += 1;
                        for (position, byte) in sector.iter_mut().enumerate() {
                            *byte = self.durable.byte(at + position);
                        }
                    }
                    at += in_sector;
                    rest = later;
                }
                *data = torn.into();
                true
            }
        }
    }
}

fn apply(image: &mut Image, pending: &Pending) {
    match pending {
        Pending::Write { offset, data } => image.write(*offset, data),
        Pending::Resize(len) => image.resize(*len),
        Pending::Barrier => {}
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
