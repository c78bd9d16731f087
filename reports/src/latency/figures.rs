//! Second by second in short: how many latencies ended in it, and how long they were, from the intended send.

use hdrhistogram::Histogram;

use super::Stage;
use super::recorder::histogram;
use super::summary::percentile_us;

/// Intervals that are kept in short: more than a day. Later ones are left out; totals are not affected.
pub const INTERVALS_MAX: usize = 100_000;

/// What ended in one interval, inside and outside of fault windows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IntervalFigures {
    /// Its number since the run began.
    pub number: u64,
    /// Per stage, in the order of [`Stage::ALL`].
    pub stages: [Figures; Stage::ALL.len()],
}

/// Some latencies in a few numbers. `None` = there was none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// How many.
    pub count: u64,
    /// Median, in microseconds.
    pub p50_us: Option<u64>,
    /// 99th percentile, in microseconds.
    pub p99_us: Option<u64>,
    /// The longest, in microseconds.
    pub max_us: Option<u64>,
}

impl IntervalFigures {
    pub(super) fn new<'a, I>(number: u64, stages: [I; Stage::ALL.len()]) -> Self
    where
        I: Iterator<Item = &'a Histogram<u64>>,
    {
        Self { number, stages: stages.map(Figures::of_all) }
    }

    /// Those of a stage.
    pub fn stage(&self, stage: Stage) -> Figures {
        self.stages[stage as usize]
    }
}

impl Figures {
    /// Of histograms together.
    pub(super) fn of_all<'a>(histograms: impl Iterator<Item = &'a Histogram<u64>>) -> Self {
        let mut filled = histograms.filter(|histogram| !histogram.is_empty());
        match (filled.next(), filled.next()) {
            (None, _) => Self::default(),
            (Some(only), None) => Self::of(only),
            (Some(first), Some(second)) => {
                let mut sum = histogram();
                for part in [first, second].into_iter().chain(filled) {
                    sum.add(part).expect("all latency histograms have the same bounds");
                }
                Self::of(&sum)
            }
        }
    }

    /// Of one histogram.
    pub(super) fn of(histogram: &Histogram<u64>) -> Self {
        if histogram.is_empty() {
            return Self::default();
        }
        let at = |milli| percentile_us(histogram, 0, milli);
        Self { count: histogram.len(), p50_us: at(50_000), p99_us: at(99_000), max_us: at(100_000) }
    }
}
