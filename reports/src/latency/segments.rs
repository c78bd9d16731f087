//! Latency before, during and after each fault, by the time for which a message was intended.
//!
//! A segment begins with each fault and with each end of one. When a latency is recorded, every fault that had begun by the
//! intended time is known, so its segment is known for good. A fault that is only an instant ends where it begins.
//!
//! Back to normal: from the end of a fault on, tenths of a second are counted, and of each how many messages took longer than
//! the slowest percent before the fault. It was back at the beginning of the first run of tenths in which the median did not.

use hdrhistogram::Histogram;

use super::figures::Figures;
use super::recorder::histogram;
use super::summary::percentile_us;
use super::{From, Stage};

/// Segments of one run; later faults are counted to the last one.
pub const SEGMENTS_MAX: usize = 129;
/// What is counted at a time when a return to normal is looked for. Nanoseconds.
const SLICE_NS: u64 = 100_000_000;
/// Slices after a fault: a minute.
const SLICES_MAX: usize = 600;
/// So many slices in a row must be normal.
const NORMAL_SLICES: usize = 5;
/// A baseline of fewer messages is none.
const BASELINE_MIN: u64 = 100;

/// Latency of what was intended in a stretch of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SegmentFigures {
    /// Send to acceptance.
    pub accepted: Figures,
    /// Send to delivery.
    pub delivered: Figures,
}

/// What a fault did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultFigures {
    /// Its number in the plan.
    pub id: u32,
    /// When it began.
    pub from_ns: u64,
    /// When it was undone.
    pub to_ns: Option<u64>,
    /// Intended since the fault before it.
    pub before: SegmentFigures,
    /// Intended while it lasted.
    pub during: SegmentFigures,
    /// Intended after it, until the next one.
    pub after: SegmentFigures,
    /// From its end until latency was as before.
    pub recovered_after_ns: Option<u64>,
    /// Why there is no such time; empty if there is.
    pub unknown: &'static str,
}

#[derive(Debug)]
struct Segment {
    from_ns: u64,
    accepted: Histogram<u64>,
    delivered: Histogram<u64>,
    /// Of messages intended since it began: how many, and how many that took longer than usual.
    slices: Vec<(u32, u32)>,
    /// The longest that is usual; `None` = nobody knows.
    usual_us: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
struct Fault {
    id: u32,
    first: usize,
    /// The segment after it.
    after: Option<usize>,
    to_ns: Option<u64>,
}

/// All segments of a run.
#[derive(Debug)]
pub(super) struct Segments {
    segments: Vec<Segment>,
    faults: Vec<Fault>,
}

impl Segment {
    fn new(from_ns: u64) -> Self {
        let (accepted, delivered) = (histogram(), histogram());
        Self { from_ns, accepted, delivered, slices: Vec::new(), usual_us: None }
    }

    fn figures(&self) -> SegmentFigures {
        SegmentFigures { accepted: Figures::of(&self.accepted), delivered: Figures::of(&self.delivered) }
    }

    fn slowest_percent_us(&self) -> Option<u64> {
        let histogram = if self.delivered.is_empty() { &self.accepted } else { &self.delivered };
        (histogram.len() >= BASELINE_MIN).then(|| percentile_us(histogram, 0, 99_000)).flatten()
    }
}

impl Default for Segments {
    fn default() -> Self {
        Self { segments: vec![Segment::new(0)], faults: Vec::new() }
    }
}

impl Segments {
    /// A fault began.
    pub(super) fn began(&mut self, id: u32, at_ns: u64) {
        if self.faults.iter().any(|fault| fault.id == id) {
            return;
        }
        let first = self.open(at_ns);
        self.faults.push(Fault { id, first, after: None, to_ns: None });
    }

    /// A fault was undone.
    pub(super) fn ended(&mut self, id: u32, at_ns: u64) {
        let Some(at) = self.faults.iter().position(|fault| fault.id == id && fault.to_ns.is_none()) else {
            return;
        };
        let after = self.open(at_ns);
        self.faults[at].to_ns = Some(at_ns);
        self.faults[at].after = Some(after);
        let before = self.before(self.faults[at]);
        self.segments[after].usual_us = self.segments[before].slowest_percent_us();
    }

    fn open(&mut self, at_ns: u64) -> usize {
        if self.segments.len() < SEGMENTS_MAX {
            self.segments.push(Segment::new(at_ns));
        }
        self.segments.len() - 1
    }

    /// The last segment before a fault in which there was none.
    fn before(&self, fault: Fault) -> usize {
        let is_quiet = |segment: &usize| {
            let among = |other: &Fault| (other.first..other.after.unwrap_or(usize::MAX)).contains(segment);
            !self.faults.iter().any(among)
        };
        (0..fault.first).rev().find(is_quiet).unwrap_or(0)
    }

    pub(super) fn record(&mut self, (stage, from): (Stage, From), intended_ns: u64, latency_us: u64) {
        if from != From::Intended || stage == Stage::Receipt {
            return;
        }
        let at = self.segments.partition_point(|segment| segment.from_ns <= intended_ns);
        let segment = &mut self.segments[at.saturating_sub(1)];
        let histogram = if stage == Stage::Accepted { &mut segment.accepted } else { &mut segment.delivered };
        histogram.saturating_record(latency_us);
        if let Some(usual_us) = segment.usual_us {
            let slice = ((intended_ns - segment.from_ns) / SLICE_NS) as usize;
            if slice < SLICES_MAX {
                if segment.slices.len() <= slice {
                    segment.slices.resize(slice + 1, (0, 0));
                }
                segment.slices[slice].0 += 1;
                segment.slices[slice].1 += u32::from(latency_us > usual_us);
            }
        }
    }

    /// What each fault did, in the order of their beginnings.
    pub(super) fn figures(&self) -> Vec<FaultFigures> {
        self.faults.iter().map(|fault| self.of_fault(*fault)).collect()
    }

    fn of_fault(&self, fault: Fault) -> FaultFigures {
        let during = &self.segments[fault.first];
        let after = fault.after.map(|after| &self.segments[after]);
        let (recovered_after_ns, unknown) = match after {
            None => (None, "it was not undone in this run"),
            Some(after) if after.usual_us.is_none() => (None, "too few messages before it to compare with"),
            Some(after) if after.slices.is_empty() => (None, "nothing was sent after it"),
            Some(after) => match back(&after.slices) {
                Some(slice) => (Some(slice as u64 * SLICE_NS), ""),
                None => (None, "latency was not back to what it was before"),
            },
        };
        FaultFigures {
            id: fault.id,
            from_ns: during.from_ns,
            to_ns: fault.to_ns,
            before: self.segments[self.before(fault)].figures(),
            during: during.figures(),
            after: after.map(Segment::figures).unwrap_or_default(),
            recovered_after_ns,
            unknown,
        }
    }
}

/// The first slice from which on so many are normal, or all that there are.
fn back(slices: &[(u32, u32)]) -> Option<usize> {
    let is_normal = |(all, slow): &(u32, u32)| slow * 2 <= *all;
    (0..slices.len()).find(|from| {
        let rest = &slices[*from..];
        rest[0].0 > 0 && rest[..rest.len().min(NORMAL_SLICES)].iter().all(is_normal)
    })
}
