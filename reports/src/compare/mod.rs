//! Whether one set of runs was slower than another, and how sure that is.
//!
//! For each stage and percentile: the ratio of the two, with an interval. The spread comes from the runs themselves (`bootstrap`):
//! from their stretches of time, which are made long enough to be independent of each other, or from whole runs where there
//! are several on each side. A difference is told only when the whole interval lies beyond a tolerance: a change that nobody
//! would care about is none. Equal code must hardly ever be called slower, which a simulation in the tests counts.
//!
//! What it cannot know: what else the machine did during one run and not during the other. Several runs by turns show that;
//! one run on each side does not.

mod bootstrap;
mod comparison;
mod overlay;
#[cfg(test)]
mod tests;

use crate::latency::{Sparse, Stage};

pub use bootstrap::BLOCKS_MIN;
use bootstrap::Spread;
pub use comparison::{Aspect, Comparison, Obstacle, Side, SideRun};
pub use overlay::{Bound, Curve, Overlay, overlay};

/// A change of less than this is none, as a share.
pub const TOLERANCE: f64 = 0.05;
/// Percentiles that are compared, in thousandths.
pub const COMPARED_MILLI: [u32; 4] = [50_000, 90_000, 99_000, 99_900];
/// A percentile is compared when so many samples lie beyond it on each side.
const SAMPLES_BEYOND_MIN: u64 = 50;

/// What ended in one second of a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct IntervalCounts {
    /// When it began, in nanoseconds since the workload began.
    pub from_ns: u64,
    /// The latencies, settled.
    pub counts: Sparse,
}

impl IntervalCounts {
    fn pairs(&self) -> &[(u64, u64)] {
        self.counts.pairs()
    }
}

/// The latencies of a run, of one stage, from the intended send: interval by interval.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunIntervals {
    /// One per second in which something ended.
    pub intervals: Vec<IntervalCounts>,
    /// Owed, and never arrived.
    pub never: u64,
}

/// What a comparison says of the second side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// It was faster.
    Faster,
    /// Nothing shows that they differ.
    NoDifferenceShown,
    /// There is too little to say anything.
    CannotBeCompared,
    /// It was slower.
    Slower,
}

impl Change {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Faster => "faster",
            Self::NoDifferenceShown => "no difference shown",
            Self::CannotBeCompared => "cannot be compared",
            Self::Slower => "slower",
        }
    }
}

/// One percentile of one stage on both sides.
#[derive(Clone, Debug, PartialEq)]
pub struct Compared {
    /// Of which stage.
    pub stage: Stage,
    /// In thousandths.
    pub percentile_milli: u32,
    /// On the first side and on the second; `None` = it never arrived there.
    pub us: [Option<u64>; 2],
    /// The second over the first, with its interval; `None` = it cannot be told.
    pub ratio: Option<(f64, f64, f64)>,
    /// What follows.
    pub change: Change,
    /// Why nothing follows; empty if something does.
    pub why: String,
}

/// Compares a stage percentile by percentile. `floor_us`: by how much the machine itself differed; a shift below it is none.
pub fn compare(stage: Stage, sides: [&[RunIntervals]; 2], floor_us: u64, seed: u64) -> Vec<Compared> {
    let spreads = sides.map(|runs| bootstrap::spreads(runs, &COMPARED_MILLI, seed));
    let of = |place: usize| spreads.each_ref().map(|side| side.as_ref().map(|side| side[place]));
    (0..).zip(COMPARED_MILLI).map(|(place, milli)| one((stage, milli), sides, of(place), floor_us)).collect()
}

fn one(
    (stage, milli): (Stage, u32),
    sides: [&[RunIntervals]; 2],
    spreads: [Option<Spread>; 2],
    floor_us: u64,
) -> Compared {
    let us = sides.map(|runs| pooled(runs, milli));
    let told = |ratio, change, why: &str| Compared {
        stage,
        percentile_milli: milli,
        us,
        ratio,
        change,
        why: why.to_owned(),
    };
    let needed = samples_needed(milli);
    let samples = sides.map(|runs| runs.iter().map(samples).sum::<u64>());
    if let Some(few) = samples.into_iter().find(|samples| *samples < needed) {
        let why = format!("{few} samples, it needs {needed}");
        return told(None, Change::CannotBeCompared, &why);
    }
    let (Some(first), Some(second)) = (us[0], us[1]) else {
        let change = match us {
            [Some(_), None] => Change::Slower,
            [None, Some(_)] => Change::Faster,
            _ => Change::CannotBeCompared,
        };
        return told(None, change, "so many messages never arrived on one side at least");
    };
    let [Some(one), Some(other)] = spreads else {
        let why = format!(
            "it needs {BLOCKS_MIN} independent stretches of time on each side; run longer, or more often"
        );
        return told(None, Change::CannotBeCompared, &why);
    };
    let ratio = second as f64 / first as f64;
    let half = bootstrap::half_width(one, other);
    let (low, high) = (ratio * (-half).exp(), ratio * half.exp());
    let is_shift = first.abs_diff(second) > floor_us;
    let change = if low > 1.0 + TOLERANCE && is_shift {
        Change::Slower
    } else if high < 1.0 / (1.0 + TOLERANCE) && is_shift {
        Change::Faster
    } else {
        Change::NoDifferenceShown
    };
    let hidden = !is_shift && (low > 1.0 + TOLERANCE || high < 1.0 / (1.0 + TOLERANCE));
    let why = if hidden { "the machine itself differed by as much" } else { "" };
    told(Some((ratio, low, high)), change, why)
}

/// So many samples, and enough lie beyond a percentile.
fn samples_needed(milli: u32) -> u64 {
    SAMPLES_BEYOND_MIN * 100_000 / (100_000 - u64::from(milli)).max(1)
}

fn samples(run: &RunIntervals) -> u64 {
    run.intervals.iter().map(|interval| interval.counts.count()).sum::<u64>() + run.never
}

/// A percentile over all runs; `None` = it falls among what never arrived.
fn pooled(runs: &[RunIntervals], milli: u32) -> Option<u64> {
    let mut all: Vec<(u64, u64)> = runs
        .iter()
        .flat_map(|run| &run.intervals)
        .flat_map(|interval| interval.pairs().iter().copied())
        .collect();
    all.sort_unstable();
    let never = runs.iter().map(|run| run.never).sum();
    bootstrap::percentile(&all, never, milli)
}
