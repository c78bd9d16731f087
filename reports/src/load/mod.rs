//! The record of a load test (`load.json`), beside `run.json` and `latency.hlog` in the run folder.
//!
//! `run.json` says whether the promises held and how long things took over the whole run; this record adds what only a load test
//! has: the arrivals that were planned, second by second what came of them, how well the generator kept its own schedule, the
//! machine's noise floor, what each fault did to latency, and the rate at which it breaks. The heat map's histograms stand in
//! `latency.hlog`.
//!
//! Times are in nanoseconds since the run began, as in `run.json` and the history (`latency.hlog`: in seconds); latencies are in
//! microseconds. The workload begins at a whole second of the run, so that seconds here and intervals there are the same. No
//! number is ever "not a number": what was not measured is `null`.

mod measured;
mod modes;
mod planned;
mod sizes;
mod tally;
#[cfg(test)]
mod tests;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use measured::{
    Bar, Connections, FaultWindow, Floor, Generator, KneeStep, LATE_US, NoiseFloor, Objective, RateColumn,
    RateColumns, SecondRow, StageLatency, Totals, WindowLatency,
};
pub use modes::{Gap, modes_seen};
pub use planned::{Arrival, ArrivalKind, Payload, PlannedSize, Shape, ShapeKind, Shard};
pub use sizes::SizeLatency;
pub use tally::{SECONDS_MAX, Tally};

use crate::run::Outcome;

/// Version of the record that this tool writes, and the newest that it reads.
pub const LOAD_VERSION: u64 = 1;
/// Largest `load.json` that is read, in bytes.
pub const LOAD_BYTES_MAX: usize = 64 * 1_024 * 1_024;

/// Everything that a report tells of a load test beyond its run record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LoadRecord {
    /// Version of this record, [`LOAD_VERSION`].
    pub avouch_load: u64,
    /// What was loaded: the target's name, and its mode where it has several.
    pub target: String,
    /// How it was spoken, in a few words.
    pub protocol: String,
    /// The worst of guarantees, objectives and the generator's own doubts.
    pub outcome: Outcome,
    /// The result in one sentence, with numbers.
    pub verdict: String,
    /// Why it is not `passed`, in words, the worst first.
    pub reasons: Vec<String>,
    /// The command that repeats it.
    pub repeat: String,
    /// What the plan was drawn from.
    pub seed: u64,
    /// Which part of a test that is spread over several processes this is; `None` = the whole, or already merged.
    pub shard: Option<Shard>,
    /// Parts that were merged into this record; 1 = none were.
    pub merged_from: u64,
    /// When messages were to be sent.
    pub arrival: Arrival,
    /// When the workload began: a whole second of the run.
    pub begun_ns: u64,
    /// Length of the workload as planned.
    pub duration_ns: u64,
    /// Sizes of payloads.
    pub payload: Payload,
    /// Who sends to whom.
    pub shape: Shape,
    /// Sums over the whole run.
    pub totals: Totals,
    /// Latency over the whole run, inside and outside of fault windows: per stage from the intended send, then from the send.
    pub latency: Vec<StageLatency>,
    /// The same by how many take part in a conversation; empty where all are of one size.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub by_size: Vec<SizeLatency>,
    /// How latencies of the whole run are spread: of deliveries, or of acceptances where nothing is delivered, from the
    /// intended send. Each bar is twice as wide as the one before it.
    pub bars: Vec<Bar>,
    /// How long sessions took; `None` = nothing but the set-up connected.
    pub connections: Option<Connections>,
    /// One per second of the run from the workload's first on, without gaps, to the last in which something happened.
    pub seconds: Vec<SecondRow>,
    /// The same in shorter columns; `None` = the test was too long for them.
    #[serde(default)]
    pub columns: Option<RateColumns>,
    /// What went wrong on purpose, and what it did.
    pub faults: Vec<FaultWindow>,
    /// How well this tool kept its own schedule.
    pub generator: Generator,
    /// What the machine itself takes; `None` = it was not measured.
    pub noise_floor: Option<NoiseFloor>,
    /// Objectives, and what became of them.
    pub objectives: Vec<Objective>,
    /// Steps of a search for the highest rate that holds; empty = none was made.
    pub knee_steps: Vec<KneeStep>,
    /// What the search found, in words; `None` = none was made.
    pub knee: Option<String>,
    /// What stands out in the latencies, in words: timers, delayed acknowledgements, gaps between sends.
    pub modes_seen: Vec<String>,
    /// Peculiarities of the run that a reader has to know, in words: clock jumps, seconds without any answer.
    pub remarks: Vec<String>,
}

/// A load record could not be read.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A newer tool wrote it.
    #[error(
        "load record version {found} is newer than this tool, which knows {LOAD_VERSION}\n\
         hint: read it with the version of avouch that wrote it, or a newer one"
    )]
    Future {
        /// Version in the record.
        found: u64,
    },
    /// Over [`LOAD_BYTES_MAX`].
    #[error("load record is longer than {LOAD_BYTES_MAX} bytes")]
    TooLong,
    /// Not a load record.
    #[error("not a load record: {0}\nhint: `load.json` of a run folder of `avouch load` is one")]
    Malformed(String),
}

impl LoadRecord {
    /// Reads a record.
    pub fn from_json(bytes: &[u8]) -> Result<Self, LoadError> {
        #[derive(Deserialize)]
        struct AnyVersion {
            avouch_load: u64,
        }
        if bytes.len() > LOAD_BYTES_MAX {
            return Err(LoadError::TooLong);
        }
        let malformed =
            |error: serde_json::Error| LoadError::Malformed(crate::escape::visible(&error.to_string()));
        let any: AnyVersion = serde_json::from_slice(bytes).map_err(malformed)?;
        if any.avouch_load > LOAD_VERSION {
            return Err(LoadError::Future { found: any.avouch_load });
        }
        serde_json::from_slice(bytes).map_err(malformed)
    }

    /// The JSON Schema of the record, for other tools.
    pub fn schema() -> String {
        let schema = schemars::schema_for!(Self);
        serde_json::to_string_pretty(&schema).expect("a schema is plain JSON") + "\n"
    }
}
