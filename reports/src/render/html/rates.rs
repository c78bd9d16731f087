//! The rates of a load test over time, as a chart draws them: by columns shorter than a second where the record has them, by seconds
//! otherwise, and by more than one where there would be too many.

use super::chart::Columns;
use crate::latency::{OverTime, Stage};
use crate::load::{LoadRecord, RateColumn, RateColumns};

/// Most columns of a chart over time.
const COLUMNS_MAX: usize = 240;

/// What is drawn.
#[derive(Clone, Debug)]
pub(super) struct Rates {
    /// Where the columns are.
    pub(super) at: Columns,
    /// Intended, sent, accepted, delivered: per second.
    pub(super) per_s: [Vec<f64>; 4],
    /// The most that was outstanding.
    pub(super) outstanding: Vec<f64>,
}

/// One column: intended, sent, accepted, delivered, outstanding.
type Counts = [u64; 5];

impl Rates {
    /// Of a record, and of its interval log; `None` = nothing happened.
    pub(super) fn of(load: &LoadRecord, over_time: &OverTime) -> Option<Self> {
        let Some(columns) = load.columns.as_ref().filter(|columns| fits(columns, over_time)) else {
            let counts = load
                .seconds
                .iter()
                .map(|row| [row.intended, row.sent, row.accepted, row.delivered, row.outstanding]);
            return Self::drawn(load.seconds.first()?.second as f64, 1.0, &counts.collect::<Vec<_>>());
        };
        let first = load.begun_ns / columns.length_ns;
        let ended = |number: u64, stage: Stage| {
            over_time.columns.get(&number).map_or(0, |column| column.stages[stage as usize].count())
        };
        // The last deliveries may come after everything that the record counts.
        let last = over_time.columns.last_key_value().map_or(0, |(last, _)| *last);
        let until = (first + columns.rows.len() as u64).max(last + 1);
        let left = columns.rows.last().map_or(0, |row| row.outstanding);
        let counts = (first..until).map(|number| {
            let [accepted, delivered] = [Stage::Accepted, Stage::Delivered].map(|it| ended(number, it));
            let row = columns.rows.get((number - first) as usize).copied();
            let row = row.unwrap_or(RateColumn { outstanding: left, ..RateColumn::default() });
            [row.intended, row.sent, accepted, delivered, row.outstanding]
        });
        let length_s = columns.length_ns as f64 / 1e9;
        Self::drawn(first as f64 * length_s, length_s, &counts.collect::<Vec<_>>())
    }

    fn drawn(from_s: f64, length_s: f64, counts: &[Counts]) -> Option<Self> {
        let together = counts.len().div_ceil(COLUMNS_MAX).max(1);
        let length_s = length_s * together as f64;
        let mean = |which: usize| {
            let sum = |chunk: &[Counts]| chunk.iter().map(|counts| counts[which]).sum::<u64>() as f64;
            counts.chunks(together).map(|chunk| sum(chunk) / length_s).collect()
        };
        let most = |chunk: &[Counts]| chunk.iter().map(|counts| counts[4]).max().unwrap_or(0) as f64;
        (!counts.is_empty()).then(|| Self {
            at: Columns { from_s, length_s },
            per_s: [0, 1, 2, 3].map(mean),
            outstanding: counts.chunks(together).map(most).collect(),
        })
    }
}

/// Whether both are told by the same columns: a page that has the record alone, or a log that had to be made wider, has none.
fn fits(columns: &RateColumns, over_time: &OverTime) -> bool {
    !columns.rows.is_empty() && columns.length_ns > 0 && columns.length_ns == over_time.column_ns
}
