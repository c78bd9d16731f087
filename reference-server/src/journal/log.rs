//! The write-ahead log: where a batch becomes durable, with one write and one sync.
//!
//! Two files, used in turn. While one takes batches, what the other holds is brought into the store; then they change
//! places. A use of a file is a *generation*: its first sector says which one, its blocks follow (see [`block`]).
//! Space is given out ahead of use and filled with zeros, so that the sync of a batch has nothing to make durable but
//! the batch. This module knows blocks and files; what records mean, and when the files change places, is decided above.

pub mod block;
mod open;
mod record;

pub(super) use open::{Replayed, Segments};
pub(in crate::journal) use record::ENTRY_AT;
pub use record::{decode_record, encode_record, encoded_bytes};

use std::io;
use std::mem::take;
use std::sync::Arc;
use std::time::Duration;

use avouch_engine::defects::{Defect, Defects};

use super::FORMAT_VERSION;
use crate::disk::{Directory, SECTOR_BYTES, Volume};
use block::{Link, SegmentHeader};

/// Names of the two files.
pub const LOG_NAMES: [&str; 2] = ["log-a", "log-b"];
/// Length of a new file in bytes.
const FIRST_BYTES: u64 = 16 << 10;
/// A file doubles until it grows by this many bytes at once.
const GROWTH_BYTES_MAX: u64 = 1 << 20;

/// A place in the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Position {
    /// The generation; the first is 1.
    pub(super) generation: u64,
    /// Blocks up to here, of all generations.
    pub(super) next_block: u64,
    /// Checksum of the last of them.
    pub(super) checksum: u32,
}

/// The end of the log.
#[derive(Debug)]
pub(super) struct Log {
    volumes: [Arc<dyn Volume>; 2],
    /// Makes salts.
    seed: u64,
    segment_bytes: u64,
    defects: Defects,
    /// The generation that takes batches, and the one before.
    header: SegmentHeader,
    header_before: Option<SegmentHeader>,
    /// Whether the file begins with `header` already.
    is_header_written: bool,
    /// Length of its file, and where the next block goes.
    allocated: u64,
    end: u64,
    position: Position,
    /// The block that is prepared, under way, or settled last.
    block: Vec<u8>,
    /// Checksum of the block that is written but not known to be synced.
    in_flight: Option<u32>,
}

/// What a log is opened with.
#[derive(Clone, Copy, Debug)]
pub(super) struct LogOptions {
    pub(super) seed: u64,
    pub(super) segment_bytes: u64,
    pub(super) defects: Defects,
}

impl Log {
    /// The log of a new journal. The file that comes second is made first: a log without its first file is none.
    pub(super) fn create(directory: &dyn Directory, options: LogOptions) -> io::Result<Self> {
        let journal = mix(options.seed, 0);
        let make = |generation: u64, bytes: u64| {
            let position = Position { generation, ..Position::default() };
            let header = header_after(journal, options.seed, position);
            let name = LOG_NAMES[file_of(generation)];
            // An earlier first start may have come so far.
            let volume = directory.open(name)?.map_or_else(|| directory.create(name), Ok)?;
            volume.allocate(bytes)?;
            volume.write(0, &header.encode())?;
            volume.sync()?;
            volume.publish()?;
            io::Result::Ok((volume, header))
        };
        let (second, _) = make(0, SECTOR_BYTES as u64)?;
        let (first, header) = make(1, FIRST_BYTES)?;
        let mut log = Self::after([first, second], journal, options, Position::default());
        log.go_on(header, FIRST_BYTES, SECTOR_BYTES as u64);
        log.position.generation = header.generation;
        Ok(log)
    }

    /// A log whose last generation is complete; [`Self::turn`] makes it usable.
    fn after(volumes: [Arc<dyn Volume>; 2], journal: u64, options: LogOptions, position: Position) -> Self {
        let header = header_after(journal, options.seed, position);
        Self {
            volumes,
            seed: options.seed,
            segment_bytes: options.segment_bytes,
            defects: options.defects,
            header,
            header_before: None,
            is_header_written: true,
            allocated: 0,
            end: SECTOR_BYTES as u64,
            position,
            block: Vec::new(),
            in_flight: None,
        }
    }

    pub(super) fn journal(&self) -> u64 {
        self.header.journal
    }

    /// Where it ends, without what is under way.
    pub(super) fn position(&self) -> Position {
        self.position
    }

    /// The same as a number of bytes in its file.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// Whether a block of about that size still belongs into this generation. Into an empty one, any does.
    pub(super) fn has_room(&self, bytes: u64) -> bool {
        self.end == SECTOR_BYTES as u64 || self.end + bytes <= self.segment_bytes
    }

    /// Takes a generation up where it ended.
    fn go_on(&mut self, header: SegmentHeader, allocated: u64, end: u64) {
        self.header = header;
        self.is_header_written = true;
        self.allocated = allocated;
        self.end = end;
    }

    /// Begins the next generation, in the other file, whose contents are not needed any more. Its header is written with
    /// its first block: until then the disk says that the generation before goes on, and that is so.
    pub(super) fn turn(&mut self) -> io::Result<()> {
        let position = Position { generation: self.position.generation + 1, ..self.position };
        let allocated = self.volumes[file_of(position.generation)].len()?;
        self.header_before = Some(self.header);
        self.header = header_after(self.header.journal, self.seed, position);
        self.is_header_written = false;
        self.allocated = allocated;
        self.end = SECTOR_BYTES as u64;
        self.position = position;
        Ok(())
    }

    /// Takes a block whose header is missing, and makes room for it. An error here is without effect.
    pub(super) fn prepare(&mut self, block: Vec<u8>) -> io::Result<()> {
        self.block = block;
        let end = self.end + (self.block.len() as u64).next_multiple_of(SECTOR_BYTES as u64);
        if end > self.allocated {
            let ahead = self.allocated + self.allocated.clamp(FIRST_BYTES, GROWTH_BYTES_MAX);
            let allocated = end.max(ahead.min(self.segment_bytes));
            self.volume().allocate(allocated)?;
            self.allocated = allocated;
        }
        Ok(())
    }

    /// Writes the block that was prepared and begins (or does) its sync; see [`Volume::defer_syncs`].
    pub(super) fn write(&mut self, records: u32) -> io::Result<Option<Duration>> {
        let link = Link {
            salt: self.header.salt,
            number: self.position.next_block,
            checksum_before: self.position.checksum,
        };
        self.in_flight = Some(block::finish_block(&mut self.block, link, records));
        let volume = Arc::clone(self.volume());
        let delay = volume.defer_syncs();
        if !self.is_header_written {
            volume.write(0, &self.header.encode())?;
        }
        volume.write(self.end, &self.block)?;
        volume.sync()?;
        Ok(delay)
    }

    /// Afterwards the block is durable and the log goes on behind it; see [`Self::take_block`].
    pub(super) fn settle(&mut self) -> io::Result<()> {
        self.volume()
            .settle()
            .or_else(|error| if self.defects.has(Defect::SyncErrorIgnored) { Ok(()) } else { Err(error) })?;
        if let Some(checksum) = self.in_flight.take() {
            self.is_header_written = true;
            self.end += self.block.len() as u64;
            self.position.next_block += 1;
            self.position.checksum = checksum;
        }
        Ok(())
    }

    /// The block that was settled last.
    pub(super) fn take_block(&mut self) -> Vec<u8> {
        take(&mut self.block)
    }

    /// After a failure: writes everything again that may not have reached the disk, and syncs it. An operating system
    /// may call what it could not write clean, and the next sync good; reading it back proves nothing either.
    pub(super) fn write_again(&mut self) -> io::Result<()> {
        let volume = Arc::clone(self.volume());
        // What a failed sync left open is in doubt, not deferred.
        let _ = volume.settle();
        if self.in_flight.is_none() {
            return Ok(());
        }
        volume.set_len(self.allocated)?;
        volume.write(0, &self.header.encode())?;
        volume.write(self.end, &self.block)?;
        volume.sync()?;
        self.settle()
    }

    /// See [`Segments::note_suspect_store`]. Not between a write and its settling.
    pub(super) fn note_suspect_store(&mut self, is_suspect: bool) {
        for (header, is_written) in
            [(Some(&mut self.header), self.is_header_written), (self.header_before.as_mut(), true)]
        {
            if let Some(header) = header.filter(|header| header.is_store_suspect != is_suspect) {
                header.is_store_suspect = is_suspect;
                if is_written {
                    // A disk that takes no word either has worse to tell soon.
                    let _ = self.volumes[file_of(header.generation)].write(0, &header.encode());
                }
            }
        }
    }

    fn volume(&self) -> &Arc<dyn Volume> {
        &self.volumes[file_of(self.header.generation)]
    }
}

/// The header of the generation that a position names, for blocks from that position on.
fn header_after(journal: u64, seed: u64, position: Position) -> SegmentHeader {
    SegmentHeader {
        journal,
        generation: position.generation,
        salt: mix(seed, position.generation ^ (u64::from(position.checksum) << 32)),
        first_block: position.next_block,
        checksum_before: position.checksum,
        is_store_suspect: false,
    }
}

/// Which of the two files a generation is in.
fn file_of(generation: u64) -> usize {
    (generation.wrapping_sub(1) % 2) as usize
}

/// A number that nobody guesses who does not know the seed, and that is another for each input (the finaliser of
/// `SplitMix64` is a bijection).
fn mix(seed: u64, input: u64) -> u64 {
    let mut mixed = seed ^ input.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}
