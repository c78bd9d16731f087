//! Latency gates: a limit for one percentile of one stage, outside fault windows, from the intended send.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::summary::percentile_us;
use super::{From, LatencyRecorder, Series, Stage, Window, samples_needed};
use crate::verdict::Verdict;

/// One limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LatencyGate {
    /// Of which stage.
    pub stage: Stage,
    /// Percentile in thousandths: 50,000 = p50, 99,900 = p99.9, 100,000 = max.
    pub percentile_milli: u32,
    /// The limit; a value equal to it passes.
    pub at_most_us: u64,
}

/// What became of a gate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GateResult {
    /// Of which stage.
    pub stage: Stage,
    /// Percentile in thousandths.
    pub percentile_milli: u32,
    /// The limit, in microseconds.
    pub at_most_us: u64,
    /// The measured value; `None` = infinite, or nothing was measured.
    pub measured_us: Option<u64>,
    /// How many samples there were, those that never arrived included.
    pub samples: u64,
    /// The verdict.
    pub verdict: Verdict,
    /// In words, with numbers.
    pub observed: String,
}

impl GateResult {
    /// `accepted_p99`, as scenarios write it.
    pub fn name(&self) -> String {
        format!("{}_{}", self.stage.name(), percentile_name(self.percentile_milli).replace('.', ""))
    }
}

/// `p99.9`, `max`.
pub(crate) fn percentile_name(percentile_milli: u32) -> String {
    match (percentile_milli, percentile_milli % 1_000) {
        (100_000, _) => "max".to_owned(),
        (milli, 0) => format!("p{}", milli / 1_000),
        (milli, rest) => format!("p{}.{}", milli / 1_000, format!("{rest:03}").trim_end_matches('0')),
    }
}

impl LatencyRecorder {
    /// Judges a gate. For the end of a run: what never arrived is infinite.
    pub fn judge(&self, gate: LatencyGate) -> GateResult {
        let series = Series { stage: gate.stage, from: From::Intended, window: Window::Outside };
        let never = self.summary().row(series).map_or(0, |row| row.never);
        let histogram = self.total(series);
        let samples = histogram.len() + never;
        let measured_us = percentile_us(histogram, never, gate.percentile_milli);
        let (verdict, observed) = words(gate, measured_us, (samples, never), " outside fault windows");
        GateResult {
            stage: gate.stage,
            percentile_milli: gate.percentile_milli,
            at_most_us: gate.at_most_us,
            measured_us,
            samples,
            verdict,
            observed,
        }
    }
}

/// A verdict, and why: of so many samples, of which some never arrived, and which are those `of_what`.
pub(super) fn words(
    gate: LatencyGate,
    measured_us: Option<u64>,
    (samples, never): (u64, u64),
    of_what: &str,
) -> (Verdict, String) {
    let needed = samples_needed(gate.percentile_milli);
    let name = percentile_name(gate.percentile_milli);
    let limit = super::show_us(gate.at_most_us);
    match measured_us {
        _ if samples < needed => {
            (Verdict::Inconclusive, format!("{samples} samples{of_what}; {name} needs {needed}"))
        }
        Some(value) => {
            let held = value <= gate.at_most_us;
            let verdict = if held { Verdict::Pass } else { Verdict::Violated };
            (verdict, format!("{name} {} (limit {limit}) of {samples} samples", super::show_us(value)))
        }
        None => {
            (Verdict::Violated, format!("{name} never (limit {limit}): {never} of {samples} never arrived"))
        }
    }
}
