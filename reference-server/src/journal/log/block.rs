//! The bytes of the log: pure functions, without a disk.
//!
//! ```text
//! segment  =  header sector · block · block · …             each begins at a sector; what is behind the last is not read
//! header   =  magic 8 · format version 4 · flags 4 · journal 8 · generation 8 · salt 8 · first block 8 ·
//!             checksum before 4 · zeros · checksum 4                                    one sector
//! block    =  magic 4 · checksum 4 · salt 8 · number 8 · checksum before 4 · records 4 · length 4 · records
//! ```
//!
//! All integers little endian; checksums are CRC-32 of everything behind them (header: before it). Every block names the
//! checksum of the block before it, and the salt of its segment, which no segment has twice: so what an earlier use of
//! the file left behind, and what somebody made a payload look like, is never taken for a block. No sector that holds
//! a part of a synced block is ever written again, so a write that is torn can only tear the last block.
//!
//! Changing anything here changes [`super::FORMAT_VERSION`].

use avouch_engine::defects::{Defect, Defects};
use thiserror::Error;

use crate::disk::SECTOR_BYTES;
use crate::journal::FORMAT_VERSION;

const SEGMENT_MAGIC: [u8; 8] = *b"avouchlg";
const BLOCK_MAGIC: [u8; 4] = *b"avbl";
/// Bytes of a block before its records.
pub const BLOCK_HEADER_BYTES: usize = 36;
/// Where a block's checksum begins to count.
const CHECKED_FROM: usize = 8;
const STORE_IS_SUSPECT: u32 = 1;

/// What a segment says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentHeader {
    /// Which journal it belongs to.
    pub journal: u64,
    /// Rises by one with every use of a segment, from 1.
    pub generation: u64,
    /// In every block of this use.
    pub salt: u64,
    /// Number of its first block; blocks are counted through all generations.
    pub first_block: u64,
    /// Checksum of the block before its first, 0 if there never was one.
    pub checksum_before: u32,
    /// A sync of the store failed while this segment's records were brought there.
    pub is_store_suspect: bool,
}

/// One block whose checksum is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block<'a> {
    /// Its position in the journal.
    pub number: u64,
    /// How many records it has.
    pub records: u32,
    /// The records.
    pub payload: &'a [u8],
    /// Its own checksum.
    pub checksum: u32,
    salt: u64,
    checksum_before: u32,
}

/// A segment as it was read.
#[derive(Debug, PartialEq, Eq)]
pub struct Segment<'a> {
    /// What it says of itself.
    pub header: SegmentHeader,
    /// Its blocks, in order.
    pub blocks: Vec<Block<'a>>,
    /// Where the next block goes, in bytes.
    pub end: usize,
}

/// Why bytes are not a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SegmentError {
    /// Somebody else's.
    #[error("not a log")]
    Foreign,
    /// From a version that this code does not know.
    #[error("a log of format version {0}")]
    Version(u32),
    /// The header is damaged.
    #[error("the header of a segment of the log is damaged")]
    Header,
    /// A block is damaged, and it is not the last: no crash does that.
    #[error("the log is damaged at byte {at}, and goes on at byte {later}: block {number} is lost")]
    Block {
        /// Where the block should begin.
        at: usize,
        /// Where a later one begins.
        later: usize,
        /// Which one is lost.
        number: u64,
    },
}

impl SegmentHeader {
    /// As one sector.
    pub fn encode(&self) -> [u8; SECTOR_BYTES] {
        let mut sector = [0; SECTOR_BYTES];
        let flags = if self.is_store_suspect { STORE_IS_SUSPECT } else { 0 };
        let mut at = 0;
        for part in [
            &SEGMENT_MAGIC[..],
            &FORMAT_VERSION.to_le_bytes(),
            &flags.to_le_bytes(),
            &self.journal.to_le_bytes(),
            &self.generation.to_le_bytes(),
            &self.salt.to_le_bytes(),
            &self.first_block.to_le_bytes(),
            &self.checksum_before.to_le_bytes(),
        ] {
            sector[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        }
        let checksum = crc32fast::hash(&sector[..SECTOR_BYTES - 4]);
        sector[SECTOR_BYTES - 4..].copy_from_slice(&checksum.to_le_bytes());
        sector
    }

    /// Reads it back from the beginning of a segment.
    ///
    /// # Errors
    /// Another version is told even if the rest of the sector makes no sense to this one.
    pub fn decode(bytes: &[u8]) -> Result<Self, SegmentError> {
        let mut rest = Reader(bytes);
        if rest.take() != Some(SEGMENT_MAGIC) {
            return Err(SegmentError::Foreign);
        }
        let version = rest.u32().ok_or(SegmentError::Header)?;
        if version != FORMAT_VERSION {
            return Err(SegmentError::Version(version));
        }
        let (sector, _) = bytes.split_first_chunk::<SECTOR_BYTES>().ok_or(SegmentError::Header)?;
        let (checked, checksum) = sector.split_at(SECTOR_BYTES - 4);
        if crc32fast::hash(checked).to_le_bytes() != checksum {
            return Err(SegmentError::Header);
        }
        let mut read = || {
            Some(Self {
                is_store_suspect: rest.u32()? & STORE_IS_SUSPECT != 0,
                journal: rest.u64()?,
                generation: rest.u64()?,
                salt: rest.u64()?,
                first_block: rest.u64()?,
                checksum_before: rest.u32()?,
            })
        };
        read().ok_or(SegmentError::Header)
    }
}

/// Where a block stands in the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// The segment's.
    pub salt: u64,
    /// Of this block.
    pub number: u64,
    /// Of the block before.
    pub checksum_before: u32,
}

/// Leaves room for the header of a block; the records are appended behind it.
pub fn begin_block(block: &mut Vec<u8>) {
    block.clear();
    block.resize(BLOCK_HEADER_BYTES, 0);
}

/// Fills in the header and pads to whole sectors; answers the checksum.
pub fn finish_block(block: &mut Vec<u8>, link: Link, records: u32) -> u32 {
    let length = (block.len() - BLOCK_HEADER_BYTES) as u32;
    block[..4].copy_from_slice(&BLOCK_MAGIC);
    block[8..16].copy_from_slice(&link.salt.to_le_bytes());
    block[16..24].copy_from_slice(&link.number.to_le_bytes());
    block[24..28].copy_from_slice(&link.checksum_before.to_le_bytes());
    block[28..32].copy_from_slice(&records.to_le_bytes());
    block[32..36].copy_from_slice(&length.to_le_bytes());
    let checksum = crc32fast::hash(&block[CHECKED_FROM..]);
    block[4..8].copy_from_slice(&checksum.to_le_bytes());
    block.resize(block.len().next_multiple_of(SECTOR_BYTES), 0);
    checksum
}

/// Reads a segment: every block up to the first that is not whole, or not the next in the chain.
///
/// # Errors
/// [`SegmentError::Block`] when a block of the same use follows behind that place: then it is no torn end.
pub fn read_segment(bytes: &[u8], defects: Defects) -> Result<Segment<'_>, SegmentError> {
    let header = SegmentHeader::decode(bytes)?;
    let mut segment = Segment { header, blocks: Vec::new(), end: SECTOR_BYTES };
    let mut next =
        Link { salt: header.salt, number: header.first_block, checksum_before: header.checksum_before };
    while let Some(block) =
        block_at(bytes, segment.end, header.salt, defects).filter(|block| block.link() == next)
    {
        next.number = next.number.saturating_add(1);
        next.checksum_before = block.checksum;
        segment.end += block.len_on_disk();
        segment.blocks.push(block);
    }
    let mut later = segment.end;
    while later < bytes.len() {
        if block_at(bytes, later, header.salt, defects).is_some() {
            return Err(SegmentError::Block { at: segment.end, later, number: next.number });
        }
        later += SECTOR_BYTES;
    }
    Ok(segment)
}

/// The salt is looked at first: else somebody could fill payloads with what takes long to check.
fn block_at(bytes: &[u8], at: usize, salt: u64, defects: Defects) -> Option<Block<'_>> {
    let block = bytes.get(at..)?;
    let mut rest = Reader(block);
    if rest.take() != Some(BLOCK_MAGIC) {
        return None;
    }
    let checksum = rest.u32()?;
    if rest.u64()? != salt {
        return None;
    }
    let (number, checksum_before) = (rest.u64()?, rest.u32()?);
    let (records, length) = (rest.u32()?, rest.u32()? as usize);
    let payload = rest.0.get(..length)?;
    let is_whole = crc32fast::hash(&block[CHECKED_FROM..BLOCK_HEADER_BYTES + length]) == checksum;
    if !is_whole && !defects.has(Defect::TornTailAccepted) {
        return None;
    }
    Some(Block { number, records, payload, checksum, salt, checksum_before })
}

impl Block<'_> {
    fn link(&self) -> Link {
        Link { salt: self.salt, number: self.number, checksum_before: self.checksum_before }
    }

    /// With header and padding, in bytes.
    pub fn len_on_disk(&self) -> usize {
        (BLOCK_HEADER_BYTES + self.payload.len()).next_multiple_of(SECTOR_BYTES)
    }
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, tail) = self.0.split_first_chunk::<N>()?;
        self.0 = tail;
        Some(*head)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }
}
