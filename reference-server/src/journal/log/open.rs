//! Opening a log: which files there are, and what of them is not in the store yet.

use std::io;
use std::mem::take;
use std::sync::Arc;

use super::block::{Segment, SegmentError, SegmentHeader, read_segment};
use super::{LOG_NAMES, Log, LogOptions, Position, file_of};
use crate::disk::{Directory, SECTOR_BYTES, Volume};
use crate::journal::JournalError;
use crate::journal::batch::Batch;
use crate::journal::overlay::Overlay;
use crate::journal::rows::Stamp;

/// Bytes of a log file that are read at most.
const FILE_BYTES_MAX: u64 = 1 << 30;

/// The files of a log, before anything but their first sectors was read.
#[derive(Debug)]
pub(in crate::journal) struct Segments {
    files: [File; 2],
}

#[derive(Debug)]
struct File {
    volume: Arc<dyn Volume>,
    header: SegmentHeader,
}

/// A log that can be written to, and what is in it but not in the store.
#[derive(Debug)]
pub(in crate::journal) struct Replayed {
    pub(in crate::journal) log: Log,
    /// The generation that ended already, if the store lacks it.
    pub(in crate::journal) frozen: Option<Overlay>,
    /// The one that goes on.
    pub(in crate::journal) active: Overlay,
}

impl Segments {
    /// `None` if there is no log: not even a first start came to its end here.
    pub(in crate::journal) fn find(directory: &dyn Directory) -> Result<Option<Self>, JournalError> {
        let [first, second] = LOG_NAMES.map(|name| File::open(directory, name));
        match (first?, second?) {
            (Some(first), Some(second)) => Ok(Some(Self { files: [first, second] })),
            (None, None) => Ok(None),
            (None, Some(second)) if second.header.generation == 0 => Ok(None),
            (None, Some(_)) => Err(JournalError::Corrupt(format!("{} is missing", LOG_NAMES[0]))),
            (Some(_), None) => Err(JournalError::Corrupt(format!("{} is missing", LOG_NAMES[1]))),
        }
    }

    /// Which journal this is.
    pub(in crate::journal) fn journal(&self) -> u64 {
        self.files[0].header.journal
    }

    /// Whether an earlier life left word that the store's file cannot be trusted.
    pub(in crate::journal) fn is_store_suspect(&self) -> bool {
        self.files.iter().any(|file| file.header.is_store_suspect)
    }

    /// Leaves such word, or takes it back. Not synced: it is true for as long as the operating system's wrong idea of the
    /// store's file lives, and both end with a loss of power.
    pub(in crate::journal) fn note_suspect_store(&mut self, is_suspect: bool) -> io::Result<()> {
        for file in self.files.iter_mut().filter(|file| file.header.is_store_suspect != is_suspect) {
            file.header.is_store_suspect = is_suspect;
            file.volume.write(0, &file.header.encode())?;
        }
        Ok(())
    }

    /// Reads what the store, with this stamp, does not have. Afterwards every block that was read is durable.
    pub(in crate::journal) fn replay(
        self,
        options: LogOptions,
        store: Option<Stamp>,
    ) -> Result<Replayed, JournalError> {
        let journal = self.files[0].header.journal;
        self.check_belonging(store)?;
        let mut position = store.map(|store| store.position).unwrap_or_default();
        let mut unstored: Vec<_> =
            self.files.iter().filter(|file| file.header.generation > position.generation).collect();
        unstored.sort_by_key(|file| file.header.generation);
        let mut overlays = Vec::new();
        let mut ends = Vec::new();
        for file in unstored {
            file.check_follows(position)?;
            let bytes = file.contents()?;
            let segment =
                read_segment(&bytes, options.defects).map_err(|error| refused(file.name(), error))?;
            let overlay = overlay_of(&segment, file.name())?;
            file.make_sure(&bytes, &segment)?;
            position = overlay.position;
            overlays.push(overlay);
            ends.push((segment.header, bytes.len() as u64, segment.end as u64));
        }
        let volumes = self.files.each_ref().map(|file| Arc::clone(&file.volume));
        let mut log = Log::after(volumes, journal, options, position);
        match ends.pop() {
            Some((header, allocated, end)) => log.go_on(header, allocated, end),
            None => log.turn()?,
        }
        log.header_before = ends.pop().map(|(header, ..)| header).or(log.header_before);
        let active = overlays.pop().unwrap_or_default();
        Ok(Replayed { log, frozen: overlays.pop(), active })
    }

    fn check_belonging(&self, store: Option<Stamp>) -> Result<(), JournalError> {
        let journal = self.files[0].header.journal;
        let foreign =
            self.files[1].header.journal != journal || store.is_some_and(|store| store.journal != journal);
        if foreign {
            return Err(JournalError::Corrupt("its files are of different journals".into()));
        }
        let misplaced =
            self.files.iter().enumerate().any(|(index, file)| file_of(file.header.generation) != index);
        if misplaced {
            return Err(JournalError::Corrupt("the files of the log have changed places".into()));
        }
        Ok(())
    }
}

impl File {
    fn open(directory: &dyn Directory, name: &'static str) -> Result<Option<Self>, JournalError> {
        let Some(volume) = directory.open(name)? else { return Ok(None) };
        let mut sector = vec![0; (SECTOR_BYTES as u64).min(volume.len()?) as usize];
        volume.read(0, &mut sector)?;
        let header = SegmentHeader::decode(&sector).map_err(|error| refused(name, error))?;
        Ok(Some(Self { volume, header }))
    }

    fn name(&self) -> &'static str {
        LOG_NAMES[file_of(self.header.generation)]
    }

    fn check_follows(&self, position: Position) -> Result<(), JournalError> {
        let SegmentHeader { generation, first_block, checksum_before, .. } = self.header;
        if generation == position.generation + 1
            && first_block == position.next_block
            && checksum_before == position.checksum
        {
            return Ok(());
        }
        Err(JournalError::Corrupt(format!(
            "{} goes on at block {first_block}, what was read before it ends at block {}: something is lost between",
            self.name(),
            position.next_block
        )))
    }

    fn contents(&self) -> Result<Vec<u8>, JournalError> {
        let len = self.volume.len()?;
        if len > FILE_BYTES_MAX {
            return Err(JournalError::Corrupt(format!("{} has {len} bytes", self.name())));
        }
        let mut bytes = vec![0; len as usize];
        self.volume.read(0, &mut bytes)?;
        Ok(bytes)
    }

    /// A process that died may have left a block that it never synced, or whose sync failed. It counts as committed from
    /// now on, so it is written again and synced. All earlier blocks were synced before it was written.
    fn make_sure(&self, bytes: &[u8], segment: &Segment<'_>) -> Result<(), JournalError> {
        self.volume.set_len(bytes.len() as u64)?;
        self.volume.write(0, &segment.header.encode())?;
        if let Some(block) = segment.blocks.last() {
            let at = segment.end - block.len_on_disk();
            // The file may end with the block's records, without the zeros behind them.
            let end = segment.end.min(bytes.len());
            self.volume.write(at as u64, &bytes[at..end])?;
        }
        // What is not whole now must never become whole: the sectors that it lacks may be just what a later block, or the
        // zeros of a longer file, leave there. A block without its first sector is none.
        let first_sector = segment.end.min(bytes.len())..(segment.end + SECTOR_BYTES).min(bytes.len());
        if bytes[first_sector.clone()].iter().any(|byte| *byte != 0) {
            self.volume.write(segment.end as u64, &vec![0; first_sector.len()])?;
        }
        Ok(self.volume.sync()?)
    }
}

fn overlay_of(segment: &Segment<'_>, name: &str) -> Result<Overlay, JournalError> {
    let SegmentHeader { generation, first_block, checksum_before, .. } = segment.header;
    let mut position = Position { generation, next_block: first_block, checksum: checksum_before };
    let mut overlay = Overlay::at(position);
    for block in &segment.blocks {
        let mut batch = Batch::read(block.payload).ok_or_else(|| {
            JournalError::Corrupt(format!("block {} of {name} has no meaning", block.number))
        })?;
        if batch.len() != block.records as usize {
            return Err(JournalError::Corrupt(format!("block {} of {name} lacks records", block.number)));
        }
        position.next_block += 1;
        position.checksum = block.checksum;
        let block = take(&mut batch.block);
        overlay.add(batch, block, position);
    }
    Ok(overlay)
}

fn refused(name: &str, error: SegmentError) -> JournalError {
    match error {
        SegmentError::Foreign => JournalError::Foreign(format!("{name} is not a log")),
        SegmentError::Version(found) if found > super::FORMAT_VERSION => {
            JournalError::Future { found: u64::from(found) }
        }
        SegmentError::Version(found) => {
            JournalError::Foreign(format!("{name}: format version {found} was never released"))
        }
        SegmentError::Header | SegmentError::Block { .. } => {
            JournalError::Corrupt(format!("{name}: {error}"))
        }
    }
}
