//! Which frame is it? Counted per device and direction over the whole run, so that a reconnect restarts nothing.

use super::{Class, Piece, Way};

/// Bytes without frames are counted in blocks of this size, so that decisions do not depend on how a socket cut its reads.
const RAW_BLOCK_BYTES: u64 = 1_460;

/// A frame's place in the run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    /// Which way it goes.
    pub(super) way: Way,
    /// What it is.
    pub(super) class: Class,
    /// Which one of its class and way in the run, from 1 (raw bytes: which block).
    pub(super) serial: u64,
    /// The same since the chaos began: how faults name it.
    pub(super) ordinal: u64,
    /// Which one of its kind and way since the chaos began, from 1; 0 when no fault asks for its kind.
    pub(super) kind_ordinal: u64,
    /// Its kind.
    pub(super) kind: Option<&'static str>,
}

impl Frame {
    /// The ordinal by which a rule names it that is about one kind, or about all.
    pub(super) fn named_by(&self, names_kind: bool) -> u64 {
        if names_kind { self.kind_ordinal } else { self.ordinal }
    }

    /// The same from 0, as keys have it.
    pub(super) fn place(&self, names_kind: bool) -> u64 {
        self.named_by(names_kind).saturating_sub(1)
    }
}

/// The counters of a device.
#[derive(Debug)]
pub(super) struct Ordinals {
    data: [u64; 2],
    control: [u64; 2],
    raw_bytes: [u64; 2],
    kinds: Vec<(String, [u64; 2])>,
    before_chaos: [[u64; 3]; 2],
}

impl Ordinals {
    /// Counts these kinds apart.
    pub(super) fn new(kinds: Vec<String>) -> Self {
        let kinds = kinds.into_iter().map(|kind| (kind, [0; 2])).collect();
        Self { data: [0; 2], control: [0; 2], raw_bytes: [0; 2], kinds, before_chaos: [[0; 3]; 2] }
    }

    /// The chaos begins: faults count from here, because what a set-up costs in frames is nobody's plan.
    pub(super) fn arm(&mut self) {
        for way in super::WAYS {
            let at = way.index();
            let blocks = self.raw_bytes[at].div_ceil(RAW_BLOCK_BYTES);
            self.before_chaos[at] = [self.data[at], self.control[at], blocks];
        }
        self.kinds.iter_mut().for_each(|(_, counts)| *counts = [0; 2]);
    }

    /// Counts a piece.
    pub(super) fn count(&mut self, way: Way, piece: &Piece) -> Frame {
        let at = way.index();
        let serial = match piece.class {
            Class::Data => next(&mut self.data[at]),
            Class::Control => next(&mut self.control[at]),
            Class::Raw => {
                let block = self.raw_bytes[at] / RAW_BLOCK_BYTES;
                self.raw_bytes[at] += piece.bytes.len() as u64;
                block + 1
            }
        };
        let counter =
            piece.kind.and_then(|kind| self.kinds.iter_mut().find(|(counted, _)| counted.as_str() == kind));
        let kind_ordinal = counter.map_or(0, |(_, counts)| next(&mut counts[at]));
        let ordinal = serial.saturating_sub(self.before_chaos[at][piece.class as usize]);
        Frame { way, class: piece.class, serial, ordinal, kind_ordinal, kind: piece.kind }
    }
}

fn next(counter: &mut u64) -> u64 {
    *counter += 1;
    *counter
}
