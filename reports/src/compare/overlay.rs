//! Both sides of a comparison drawn over each other: by percentile with how sure that is, and over time. It judges nothing.

use std::collections::BTreeMap;

use super::{RunIntervals, bootstrap, pooled, samples, samples_needed};
use crate::latency::{COLUMNS_MAX, INTERVAL_NS, LATENCY_US_MAX, Sparse, Stage};

/// Places of the bands: percentiles at equal distances on an axis on which every nine has the same width.
const PLACES: u32 = 48;
/// The last of them, in nines: percentiles are told apart down to a thousandth of a per cent.
const NINES_MAX: f64 = 5.0;

/// One stage of both sides.
#[derive(Clone, Debug, PartialEq)]
pub struct Overlay {
    /// Which.
    pub stage: Stage,
    /// How long a column over time is, in nanoseconds.
    pub column_ns: u64,
    /// The first side and the second.
    pub sides: [Curve; 2],
}

/// The latencies of a side: of all its runs together, from the intended send.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Curve {
    /// All of them, settled.
    pub counts: Sparse,
    /// Owed, and never arrived.
    pub never: u64,
    /// Between what each percentile lies, by rising percentile; empty where the runs are too short to say, and never beyond
    /// the percentiles that enough samples lie beyond.
    pub band: Vec<Bound>,
    /// What ended in each column of time since the workloads began, by number.
    pub columns: BTreeMap<u64, Sparse>,
}

/// The interval of a percentile: 99 %, as that of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    /// In thousandths.
    pub percentile_milli: u32,
    /// Its lower end, in microseconds.
    pub low_us: u64,
    /// Its upper end, in microseconds.
    pub high_us: u64,
}

/// Lays both sides over each other; `None` = there are no samples on either.
pub fn overlay(stage: Stage, sides: [&[RunIntervals]; 2], seed: u64) -> Option<Overlay> {
    let last = sides.into_iter().flatten().flat_map(|run| &run.intervals).map(|it| it.from_ns).max()?;
    let mut column_ns = INTERVAL_NS;
    while last / column_ns >= COLUMNS_MAX {
        column_ns *= 2;
    }
    Some(Overlay { stage, column_ns, sides: sides.map(|runs| curve(runs, column_ns, seed)) })
}

fn curve(runs: &[RunIntervals], column_ns: u64, seed: u64) -> Curve {
    let mut curve =
        Curve { never: runs.iter().map(|run| run.never).sum(), band: band(runs, seed), ..Curve::default() };
    for interval in runs.iter().flat_map(|run| &run.intervals) {
        curve.counts.merge(&interval.counts);
        curve.columns.entry(interval.from_ns / column_ns).or_default().merge(&interval.counts);
    }
    curve.counts.settle();
    curve.columns.values_mut().for_each(Sparse::settle);
    curve
}

fn band(runs: &[RunIntervals], seed: u64) -> Vec<Bound> {
    let all: u64 = runs.iter().map(samples).sum();
    let milli = |place: u32| {
        let nines = f64::from(place) / f64::from(PLACES) * NINES_MAX;
        ((1.0 - 10_f64.powf(-nines)) * 1e5).round() as u32
    };
    let mut millis: Vec<u32> = (0..PLACES).map(milli).filter(|milli| samples_needed(*milli) <= all).collect();
    millis.dedup();
    let Some(spreads) = bootstrap::spreads(runs, &millis, seed) else { return Vec::new() };
    let bound = |(milli, spread)| {
        let us = pooled(runs, milli)? as f64;
        let reach = bootstrap::reach(spread).exp();
        // A percentile that never arrives in many draws has no upper end; then none is shown.
        let (low, high) = (us / reach, us * reach);
        (high < LATENCY_US_MAX as f64).then(|| Bound {
            percentile_milli: milli,
            low_us: low.floor().max(1.0) as u64,
            high_us: high.ceil() as u64,
        })
    };
    millis.into_iter().zip(spreads).map_while(bound).collect()
}
