//! What a load test measured, of the target and of itself.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::latency::{From, Stage};
use crate::verdict::Verdict;

/// Sums over a run. They balance: sent = accepted + refused + unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Totals {
    /// Sends that the schedule had.
    pub intended: u64,
    /// Sends that were made.
    pub sent: u64,
    /// Acknowledged to their sender.
    pub accepted: u64,
    /// Definitely refused.
    pub refused: u64,
    /// Without an answer when the run ended, or when their sender gave up.
    pub unknown: u64,
    /// Messages that reached an application, per recipient.
    pub delivered: u64,
    /// Of those accepted: deliveries that never came, per recipient.
    pub missing: u64,
    /// Deliveries of what the recipient had, or may have had, already: copies that were recognised or marked.
    pub repeated: u64,
    /// Bytes of payload that were sent.
    pub payload_bytes: u64,
    /// Connections that ended without being asked to.
    pub disconnects: u64,
}

/// Latency of a stage over the whole run. `None` = infinite: so many never arrived that the percentile falls among them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StageLatency {
    /// Where the latency ends.
    pub stage: Stage,
    /// Where it starts: the intended send, or the send (then it is the service time).
    pub from: From,
    /// Samples that arrived.
    pub count: u64,
    /// Owed, and never arrived in this run.
    pub never: u64,
    /// The shortest.
    pub min_us: Option<u64>,
    /// Median.
    pub p50_us: Option<u64>,
    /// 90th percentile.
    pub p90_us: Option<u64>,
    /// 99th percentile.
    pub p99_us: Option<u64>,
    /// 99.9th percentile.
    pub p999_us: Option<u64>,
    /// 99.99th percentile.
    pub p9999_us: Option<u64>,
    /// The longest.
    pub max_us: Option<u64>,
    /// Percentiles (in thousandths) that these few samples say nothing about.
    pub too_few_for: Vec<u32>,
}

/// So many latencies, from this one up to the next bar's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Bar {
    /// The shortest that counts.
    pub from_us: u64,
    /// How many.
    pub count: u64,
}

/// Sessions that connected while the workload went on, each measured from the time when it was to begin to connect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Connections {
    /// Sessions that were to be made.
    pub intended: u64,
    /// Of these: made by the end of the workload.
    pub made: u64,
    /// Median.
    pub p50_us: Option<u64>,
    /// 99th percentile.
    pub p99_us: Option<u64>,
    /// The longest.
    pub max_us: Option<u64>,
}

/// One second. Sends count in the second for which they were intended, the rest in that in which it happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SecondRow {
    /// Seconds since the run began.
    pub second: u64,
    /// Sends that the schedule had.
    pub intended: u64,
    /// Sends that were made.
    pub sent: u64,
    /// Acknowledgements that came.
    pub accepted: u64,
    /// Deliveries that came, over all recipients.
    pub delivered: u64,
    /// Refusals that came.
    pub refused: u64,
    /// Sent and neither accepted nor refused at the end of the second.
    pub outstanding: u64,
    /// Median of the latencies that ended in this second, send to acceptance; `None` = none did.
    pub accepted_p50_us: Option<u64>,
    /// 99th percentile of the same.
    pub accepted_p99_us: Option<u64>,
    /// The longest of the same.
    pub accepted_max_us: Option<u64>,
    /// Median of the latencies that ended in this second, send to delivery.
    pub delivered_p50_us: Option<u64>,
    /// 99th percentile of the same.
    pub delivered_p99_us: Option<u64>,
    /// The longest of the same.
    pub delivered_max_us: Option<u64>,
    /// Sends of this second that began more than [`LATE_US`] after their intended time.
    pub late_starts: u64,
}

/// Rates in columns shorter than a second: a short test has more to show than a few seconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RateColumns {
    /// How long each is, in nanoseconds: as long as an interval of `latency.hlog`, where acceptances and deliveries are.
    pub length_ns: u64,
    /// From the workload's first on, without gaps.
    pub rows: Vec<RateColumn>,
}

/// One column. Sends count where they were intended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RateColumn {
    /// Sends that the schedule had.
    pub intended: u64,
    /// Sends that were made.
    pub sent: u64,
    /// Sent and neither accepted nor refused at its end.
    pub outstanding: u64,
}

/// A send that begins later than this after its intended time is a late start. Microseconds.
pub const LATE_US: u64 = 1_000;

/// One fault.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FaultWindow {
    /// Its number in the plan, as in `run.json` and the history.
    pub id: u32,
    /// What it is, as the user wrote it: "pause for 1 s".
    pub words: String,
    /// When it began; `None` = it never did.
    pub from_ns: Option<u64>,
    /// When it was undone.
    pub to_ns: Option<u64>,
    /// Latency of messages intended before it, since the fault before.
    pub before: WindowLatency,
    /// Latency of messages intended while it lasted.
    pub during: WindowLatency,
    /// Latency of messages intended after it and before the next.
    pub after: WindowLatency,
    /// From the fault's end until latency was back for good: until the first tenth of a second of which (and of the next four)
    /// at least half of the messages took no longer than the slowest percent before the fault. `None` = it never was, or
    /// nothing shows it.
    pub recovered_after_ns: Option<u64>,
    /// The same in words, with the reason where there is no number.
    pub recovery: String,
}

/// Latency of what was intended in a stretch of time. `None` = nothing was measured, or it never arrived.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct WindowLatency {
    /// Messages whose acceptance was measured.
    pub accepted: u64,
    /// Median, send to acceptance.
    pub accepted_p50_us: Option<u64>,
    /// 99th percentile of the same.
    pub accepted_p99_us: Option<u64>,
    /// The longest of the same.
    pub accepted_max_us: Option<u64>,
    /// Deliveries that were measured.
    pub delivered: u64,
    /// Median, send to delivery.
    pub delivered_p50_us: Option<u64>,
    /// 99th percentile of the same.
    pub delivered_p99_us: Option<u64>,
    /// The longest of the same.
    pub delivered_max_us: Option<u64>,
}

/// How well this tool kept its own schedule.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Generator {
    /// Threads that carried sessions.
    pub threads: u32,
    /// Processor time of the whole tool, with checkers and recording, over the workload. Seconds.
    pub cpu_s: f64,
    /// Messages that were sent and accepted, and deliveries, per second of that processor time; `None` = it was too short.
    pub messages_per_cpu_s: Option<f64>,
    /// Share of its own time that the busiest thread was running or ready to run; 1 = it had no rest.
    pub busy_share: Option<f64>,
    /// How long the generator's threads were ready to run and did not, as the kernel counts it. Microseconds in all.
    pub run_delay_us: Option<u64>,
    /// Sends that began more than [`LATE_US`] after their intended time.
    pub late_starts: u64,
    /// How late sends began, whatever the target did: median.
    pub lateness_p50_us: Option<u64>,
    /// 99th percentile of the same.
    pub lateness_p99_us: Option<u64>,
    /// 99.9th percentile of the same.
    pub lateness_p999_us: Option<u64>,
    /// The longest of the same.
    pub lateness_max_us: Option<u64>,
    /// Whether it kept its schedule; if not, nothing follows from the latencies.
    pub kept_schedule: bool,
    /// The same in words, with numbers.
    pub words: String,
}

/// What the machine itself takes, measured before the run. No latency below it says anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NoiseFloor {
    /// 128 bytes there and back over the loopback, one at a time.
    pub ping_pong: Floor,
    /// 128 bytes appended to a file of the run folder, and fdatasync.
    pub fdatasync: Floor,
    /// How much later than asked for a timer of 1 ms fires.
    pub timer: Floor,
}

/// One floor. `None` = it could not be measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Floor {
    /// How often it was measured.
    pub samples: u64,
    /// Median.
    pub p50_us: Option<u64>,
    /// 99th percentile.
    pub p99_us: Option<u64>,
    /// The longest.
    pub max_us: Option<u64>,
}

/// An objective, and what became of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Objective {
    /// As it was asked for: "accepted p99 < 50ms".
    pub words: String,
    /// Of which stage.
    pub stage: Stage,
    /// In conversations of how many members only; `None` = in all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub members: Option<u32>,
    /// Percentile in thousandths: 99,900 = p99.9, 100,000 = max.
    pub percentile_milli: u32,
    /// The limit.
    pub at_most_us: u64,
    /// What was measured, inside and outside of fault windows; `None` = it never arrived, or nothing was measured.
    pub measured_us: Option<u64>,
    /// How many samples there were, those that never arrived included.
    pub samples: u64,
    /// How many that percentile needs.
    pub samples_needed: u64,
    /// The verdict.
    pub verdict: Verdict,
    /// In words, with numbers.
    pub observed: String,
}

/// One rate that was tried.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct KneeStep {
    /// Messages per second that the schedule had.
    pub offered_per_s: f64,
    /// Messages per second that were accepted.
    pub achieved_per_s: f64,
    /// Median of the stage that the objective is about (send to delivery without an objective).
    pub p50_us: Option<u64>,
    /// 99th percentile of the same.
    pub p99_us: Option<u64>,
    /// 99.9th percentile of the same.
    pub p999_us: Option<u64>,
    /// Accepted and not delivered to somebody, when the step had been given time to drain.
    pub lost: u64,
    /// Whether the generator kept its schedule; if not, the step says nothing of the target.
    pub kept_schedule: bool,
    /// Whether everything held at this rate.
    pub held: bool,
    /// In words: what held or what broke.
    pub why: String,
}
