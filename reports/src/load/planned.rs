//! What a load test was to be: its arrivals, its payloads, its conversations, its share of a larger test.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One of several processes that share a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Shard {
    /// From 1.
    pub number: u32,
    /// How many there are.
    pub of: u32,
    /// The common beginning of the workload. Milliseconds since the Unix epoch.
    pub start_unix_ms: u64,
}

/// How messages arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ArrivalKind {
    /// Open loop, with equal gaps.
    Constant,
    /// Open loop, at random and independent of each other.
    Poisson,
    /// Open loop, the rate rising or falling steadily from the first to the last of the rates.
    Ramp,
    /// Open loop, each of the rates for an equal part of the time.
    Steps,
    /// Open loop, at the first of the rates, with a burst of messages at once now and then.
    Burst,
    /// Closed loop: every sender sends when its last message was accepted. Its latencies leave out what users wait for while
    /// the server stands still.
    Closed,
    /// Sessions that connect, all at once or at a rate; no messages.
    Connect,
    /// Sessions that only stay connected.
    Idle,
}

/// The arrival model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Arrival {
    /// Which.
    pub kind: ArrivalKind,
    /// Whether it is a closed loop: then no statement about users' latency follows.
    pub closed_loop: bool,
    /// Messages per second, over all senders: one for a constant rate, two for a ramp, one per step. Empty for a closed loop.
    pub rates_per_s: Vec<f64>,
    /// Messages of one burst; 0 = there are none.
    pub burst_messages: u64,
    /// Time between bursts; 0 = there are none.
    pub burst_every_ns: u64,
    /// Messages that each sender of a closed loop has under way; 0 = it is open.
    pub window: u32,
    /// As a person would say it: "Poisson, 1,000 messages/s".
    pub words: String,
}

/// Payload sizes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Payload {
    /// As it was asked for: "64..512 B", "128 B 90%, 4 KiB 10%".
    pub words: String,
    /// The smallest that was planned. Bytes.
    pub bytes_min: u64,
    /// The mean of those that were planned. Bytes.
    pub bytes_mean: f64,
    /// The largest that was planned. Bytes.
    pub bytes_max: u64,
}

/// Who sends to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ShapeKind {
    /// Pairs: one sends, the other receives.
    OneToOne,
    /// Groups, in which everybody sends.
    Groups,
    /// Many senders, one recipient per conversation.
    FanIn,
    /// Pairs and groups of several sizes.
    Mixed,
    /// Sessions connect, and are measured in that.
    ConnectionStorm,
    /// Most sessions stay silent while few send.
    IdleCrowd,
}

/// Conversations of one size among several.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlannedSize {
    /// Members of each: of two, one sends; in a group everybody does.
    pub members: u32,
    /// How many there are.
    pub conversations: u32,
    /// Of all messages, in millionths.
    pub share_ppm: u32,
}

/// The conversations of a test.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Shape {
    /// Which.
    pub kind: ShapeKind,
    /// Conversations.
    pub conversations: u64,
    /// Members of each; of several sizes those of the largest.
    pub members: u64,
    /// Where there are several sizes: each, as it was asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sizes: Vec<PlannedSize>,
    /// Sessions in all.
    pub sessions: u64,
    /// Of these, sessions that only stay connected.
    pub idle_sessions: u64,
    /// As a person would say it: "20 groups of 8".
    pub words: String,
}
