//! Percentiles per series, with lost messages as infinite latencies, and marks where there is too little to say.

use hdrhistogram::Histogram;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{From, Series, Stage, Window};

/// The percentiles of every report, in thousandths: p50, p90, p99, p99.9.
pub const PERCENTILES_MILLI: [u32; 4] = [50_000, 90_000, 99_000, 99_900];
/// 100 %, in thousandths: the maximum.
const ALL_MILLI: u64 = 100_000;
/// A percentile says something when at least so many samples lie beyond it.
const SAMPLES_BEYOND_MIN: u64 = 10;

/// How many samples a percentile (in thousandths) needs: so many that 10 lie beyond it. The maximum needs one.
pub fn samples_needed(percentile_milli: u32) -> u64 {
    match ALL_MILLI.saturating_sub(u64::from(percentile_milli)) {
        0 => 1,
        beyond => (SAMPLES_BEYOND_MIN * ALL_MILLI).div_ceil(beyond),
    }
}

/// Latency of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LatencySummary {
    /// One per series that has samples or losses.
    pub rows: Vec<LatencyRow>,
    /// Messages that were given up because too many were waited for; they are in no row.
    pub forgotten: u64,
}

/// One series. Times in microseconds; `None` = infinite: so many never arrived that the percentile falls among them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LatencyRow {
    /// Where the latency ends.
    pub stage: Stage,
    /// Where it starts.
    pub from: From,
    /// Inside or outside of fault windows.
    pub window: Window,
    /// Samples that arrived.
    pub count: u64,
    /// Owed, and never arrived in this run.
    pub never: u64,
    /// Median.
    pub p50_us: Option<u64>,
    /// 90th percentile.
    pub p90_us: Option<u64>,
    /// 99th percentile.
    pub p99_us: Option<u64>,
    /// 99.9th percentile.
    pub p999_us: Option<u64>,
    /// The longest.
    pub max_us: Option<u64>,
    /// Percentiles (in thousandths) that these few samples say nothing about.
    pub too_few_for: Vec<u32>,
}

impl LatencySummary {
    pub(super) fn new(totals: &[Histogram<u64>], never: &[u64], forgotten: u64) -> Self {
        let rows = Series::all().filter_map(|series| {
            let (histogram, never) = (&totals[series.index()], never[series.index()]);
            (histogram.len() + never > 0).then(|| LatencyRow::new(series, histogram, never))
        });
        Self { rows: rows.collect(), forgotten }
    }

    /// The row of a series, if it has one.
    pub fn row(&self, series: Series) -> Option<&LatencyRow> {
        self.rows.iter().find(|row| row.series() == series)
    }
}

impl LatencyRow {
    fn new(series: Series, histogram: &Histogram<u64>, never: u64) -> Self {
        let at = |milli| percentile_us(histogram, never, milli);
        let samples = histogram.len() + never;
        Self {
            stage: series.stage,
            from: series.from,
            window: series.window,
            count: histogram.len(),
            never,
            p50_us: at(PERCENTILES_MILLI[0]),
            p90_us: at(PERCENTILES_MILLI[1]),
            p99_us: at(PERCENTILES_MILLI[2]),
            p999_us: at(PERCENTILES_MILLI[3]),
            max_us: at(100_000),
            too_few_for: PERCENTILES_MILLI
                .into_iter()
                .filter(|milli| samples < samples_needed(*milli))
                .collect(),
        }
    }

    /// Which series it is.
    pub fn series(&self) -> Series {
        Series { stage: self.stage, from: self.from, window: self.window }
    }

    /// The percentiles of [`PERCENTILES_MILLI`] in that order.
    pub fn percentiles_us(&self) -> [Option<u64>; 4] {
        [self.p50_us, self.p90_us, self.p99_us, self.p999_us]
    }
}

/// The smallest value that so many of all samples do not exceed; `None` if that sample never arrived.
pub(super) fn percentile_us(histogram: &Histogram<u64>, never: u64, percentile_milli: u32) -> Option<u64> {
    let arrived = histogram.len();
    let rank = rank(arrived + never, percentile_milli);
    if rank > arrived {
        return None;
    }
    // Aimed at the middle of the rank: a quotient that rounds up would name the next sample.
    let value = histogram.value_at_quantile((rank as f64 - 0.5) / arrived as f64);
    // The lower edge of its bucket (0.1 % wide at most): a gate must never be accused of what rounding did.
    Some(histogram.lowest_equivalent(value))
}

/// Which of so many samples, in rising order and from 1, a percentile (in thousandths) is.
pub(super) fn rank(samples: u64, percentile_milli: u32) -> u64 {
    (u128::from(samples) * u128::from(percentile_milli)).div_ceil(u128::from(ALL_MILLI)).max(1) as u64
}
