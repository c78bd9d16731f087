//! A stage over the whole run, inside and outside of fault windows: what an objective of a load test is about.

use hdrhistogram::Histogram;

use super::gate::{percentile_name, words};
use super::recorder::histogram;
use super::summary::percentile_us;
use super::{From, GateResult, LatencyGate, LatencyRecorder, Series, Stage, Window};

/// All latencies of one stage, from one start.
#[derive(Clone, Debug)]
pub struct Whole {
    /// Those that arrived, in microseconds.
    pub arrived: Histogram<u64>,
    /// Owed, and never arrived.
    pub never: u64,
}

impl Whole {
    /// A percentile in thousandths; `None` = that sample never arrived, or there is none.
    pub fn percentile_us(&self, percentile_milli: u32) -> Option<u64> {
        percentile_us(&self.arrived, self.never, percentile_milli)
    }

    /// How many there are, those that never arrived included.
    pub fn samples(&self) -> u64 {
        self.arrived.len() + self.never
    }

    /// Judges a gate by it.
    pub fn judge(&self, gate: LatencyGate) -> GateResult {
        let measured_us = self.percentile_us(gate.percentile_milli);
        let (verdict, observed) = words(gate, measured_us, (self.samples(), self.never), "");
        GateResult {
            stage: gate.stage,
            percentile_milli: gate.percentile_milli,
            at_most_us: gate.at_most_us,
            measured_us,
            samples: self.samples(),
            verdict,
            observed,
        }
    }
}

/// `p99.9`, `max`: a percentile in thousandths by its name.
pub fn name_of_percentile(percentile_milli: u32) -> String {
    percentile_name(percentile_milli)
}

impl LatencyRecorder {
    /// A stage over the whole run. For the end of a run: what never arrived is infinite.
    pub fn whole(&self, stage: Stage, from: From) -> Whole {
        let (mut arrived, never) = (histogram(), self.never());
        let mut whole_never = 0;
        for window in Window::ALL {
            let series = Series { stage, from, window };
            arrived.add(self.total(series)).expect("all latency histograms have the same bounds");
            whole_never += never[series.index()];
        }
        Whole { arrived, never: whole_never }
    }
}
