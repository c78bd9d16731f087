//! How long messages took: from the send to its acceptance, to each delivery, to each receipt.
//!
//! Two starts are measured side by side: the *intended* send of the open-loop schedule (what a user feels) and the
//! *actual* send (what the server can do about it); a gate always takes the intended one. A message that never
//! arrives counts as an infinite latency: leaving it out would make a lossy server look fast. What happens while
//! a fault is active is kept apart from what happens outside.

mod by_size;
mod figures;
mod gate;
mod hgrm;
mod hlog;
mod intervals;
mod over_time;
mod recorder;
mod segments;
mod sparse;
mod summary;
#[cfg(test)]
mod tests;
mod whole;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use by_size::{OfSize, SIZES_MAX};
pub use figures::{Figures, INTERVALS_MAX, IntervalFigures};
pub(crate) use gate::percentile_name;
pub use gate::{GateResult, LatencyGate};
pub use hgrm::write_hgrm;
pub(crate) use hlog::base64;
pub use hlog::{HLOG_BYTES_MAX, INTERVAL_NS};
pub use intervals::{Interval, IntervalError, IntervalReader};
pub use over_time::{COLUMNS_MAX, Column, OverTime};
pub use recorder::{LatencyRecorder, MESSAGES_TRACKED_MAX, RECEIPT_CURSORS_MAX, RecorderOptions};
pub use segments::{FaultFigures, SEGMENTS_MAX, SegmentFigures};
pub use sparse::Sparse;
pub use summary::{LatencyRow, LatencySummary, PERCENTILES_MILLI, samples_needed};
pub use whole::{Whole, name_of_percentile};

/// Shortest latency that is told apart, in microseconds.
pub const LATENCY_US_MIN: u64 = 1;
/// Longest latency that is told apart: one hour, in microseconds. Longer ones count as this.
pub const LATENCY_US_MAX: u64 = 3_600_000_000;
/// Significant decimal digits of every recorded value.
pub const SIGNIFICANT_DIGITS: u8 = 3;

/// Which way a latency ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// The sender learnt that the server accepted it. One per message.
    Accepted,
    /// It reached the application of another device. One per message and device.
    Delivered,
    /// The sender learnt that a device has it. One per message and device.
    Receipt,
}

/// Where a latency starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum From {
    /// At the time that the schedule had for the send.
    Intended,
    /// At the time of the send.
    Sent,
}

/// Whether a fault was active between start and end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Window {
    /// None was.
    Outside,
    /// One was, at least for a moment.
    Inside,
}

impl Stage {
    /// Every stage, in a message's order.
    pub const ALL: [Self; 3] = [Self::Accepted, Self::Delivered, Self::Receipt];

    /// As it stands in scenarios, tags and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Delivered => "delivered",
            Self::Receipt => "receipt",
        }
    }

    /// The stage of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| stage.name() == name)
    }
}

impl From {
    /// Both, the one that counts first.
    pub const ALL: [Self; 2] = [Self::Intended, Self::Sent];

    /// As it stands in tags and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Intended => "intended",
            Self::Sent => "sent",
        }
    }
}

impl Window {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Outside, Self::Inside];

    /// As it stands in tags and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Outside => "outside",
            Self::Inside => "inside",
        }
    }
}

/// One of the kinds of latency that are kept apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Series {
    /// Where it ends.
    pub stage: Stage,
    /// Where it starts.
    pub from: From,
    /// What went on meanwhile.
    pub window: Window,
}

impl Series {
    /// How many there are.
    pub const COUNT: usize = Stage::ALL.len() * From::ALL.len() * Window::ALL.len();

    /// All of them, in a fixed order.
    pub fn all() -> impl Iterator<Item = Self> {
        let pairs =
            From::ALL.into_iter().flat_map(|from| Window::ALL.into_iter().map(move |window| (from, window)));
        let pairs: Vec<_> = pairs.collect();
        Stage::ALL.into_iter().flat_map(move |stage| {
            pairs.clone().into_iter().map(move |(from, window)| Self { stage, from, window })
        })
    }

    /// `delivered-intended-outside`: the tag in interval logs.
    pub fn tag(self) -> String {
        format!("{}-{}-{}", self.stage.name(), self.from.name(), self.window.name())
    }

    /// The series of a tag.
    pub fn from_tag(tag: &str) -> Option<Self> {
        Self::all().find(|series| series.tag() == tag)
    }

    fn index(self) -> usize {
        (self.stage as usize * From::ALL.len() + self.from as usize) * Window::ALL.len()
            + self.window as usize
    }
}

/// A time in the unit that a person would take: `250 µs`, `1.25 ms`, `3.00 s`.
pub fn show_us(time_us: u64) -> String {
    match time_us {
        0..1_000 => format!("{time_us} µs"),
        1_000..1_000_000 => format!("{:.2} ms", time_us as f64 / 1e3),
        _ => format!("{:.2} s", time_us as f64 / 1e6),
    }
}
