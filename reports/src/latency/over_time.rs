//! What a run's interval log says, made small enough for a page: a bounded number of columns over time, and totals.
//!
//! A long run has wider columns, never more of them; counts are added up without loss, so the percentiles of a column
//! are those of its samples.

use std::collections::BTreeMap;
use std::io::BufRead;

use super::{From, INTERVAL_NS, IntervalError, IntervalReader, Series, Sparse, Stage};

/// Most columns.
pub const COLUMNS_MAX: u64 = 240;
/// Shortest column that a log can ask for.
const COLUMN_NS_MIN: u64 = 1_000_000;

/// A stretch of time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Column {
    /// What ended in it, by stage, from the intended send, inside and outside of fault windows.
    pub stages: [Sparse; Stage::ALL.len()],
}

/// A run over time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OverTime {
    /// How long a column is, in nanoseconds.
    pub column_ns: u64,
    /// Columns in which anything was recorded, by number from the begin of the run.
    pub columns: BTreeMap<u64, Column>,
    /// The whole run, by [`Series::all`].
    pub totals: Vec<(Series, Sparse)>,
    /// Lines whose tag is none of this tool's.
    pub others: u64,
}

impl Default for OverTime {
    fn default() -> Self {
        let totals = Series::all().map(|series| (series, Sparse::default())).collect();
        Self { column_ns: INTERVAL_NS, columns: BTreeMap::new(), totals, others: 0 }
    }
}

impl OverTime {
    /// Reads an interval log to its end.
    pub fn read(input: impl BufRead) -> Result<Self, IntervalError> {
        let mut over_time = Self::default();
        for interval in IntervalReader::new(input) {
            let interval = interval?;
            // Shorter ones are as fine as a column can be.
            if over_time.columns.is_empty() && (COLUMN_NS_MIN..INTERVAL_NS).contains(&interval.length_ns) {
                over_time.column_ns = interval.length_ns;
            }
            match Series::from_tag(&interval.tag) {
                Some(series) => over_time.add(series, interval.from_ns, &interval.counts),
                None => over_time.others += 1,
            }
        }
        over_time.settle();
        Ok(over_time)
    }

    /// Everything of a series.
    pub fn total(&self, series: Series) -> Option<&Sparse> {
        self.totals.iter().find(|(known, _)| *known == series).map(|(_, counts)| counts)
    }

    /// When the last column ends, in nanoseconds since the run began.
    pub fn end_ns(&self) -> u64 {
        self.columns.last_key_value().map_or(0, |(number, _)| (number + 1) * self.column_ns)
    }

    fn add(&mut self, series: Series, from_ns: u64, counts: &Sparse) {
        if let Some((_, total)) = self.totals.iter_mut().find(|(known, _)| *known == series) {
            total.merge(counts);
        }
        if series.from != From::Intended {
            return;
        }
        while from_ns / self.column_ns >= COLUMNS_MAX {
            self.widen();
        }
        let column = self.columns.entry(from_ns / self.column_ns).or_default();
        column.stages[series.stage as usize].merge(counts);
    }

    /// Makes two columns one.
    fn widen(&mut self) {
        self.column_ns *= 2;
        for (number, column) in std::mem::take(&mut self.columns) {
            let wider = self.columns.entry(number / 2).or_default();
            for (wide, narrow) in wider.stages.iter_mut().zip(&column.stages) {
                wide.merge(narrow);
            }
        }
    }

    fn settle(&mut self) {
        self.totals.iter_mut().for_each(|(_, total)| total.settle());
        self.columns.values_mut().flat_map(|column| &mut column.stages).for_each(Sparse::settle);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::latency::Window;

    fn series(window: Window) -> Series {
        Series { stage: Stage::Accepted, from: From::Intended, window }
    }

    #[test]
    fn a_long_run_has_wider_columns_and_loses_no_sample() {
        let mut over_time = OverTime::default();
        let mut counts = Sparse::default();
        counts.add(10, 2);
        counts.settle();
        for second in 0..1_000 {
            let window = if second % 2 == 0 { Window::Inside } else { Window::Outside };
            over_time.add(series(window), second * INTERVAL_NS, &counts);
        }
        over_time.settle();
        assert_eq!(over_time.column_ns, 8 * INTERVAL_NS);
        assert_eq!(over_time.columns.len(), 125);
        let samples: u64 = over_time.columns.values().map(|column| column.stages[0].count()).sum();
        assert_eq!(samples, 2_000);
        assert_eq!(over_time.total(series(Window::Inside)).map(Sparse::count), Some(1_000));
        assert_eq!(over_time.end_ns(), 1_000 * INTERVAL_NS);
    }
}
