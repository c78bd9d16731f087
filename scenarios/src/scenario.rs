//! A scenario file as a person writes it: these types are its schema, its defaults and its documentation.
//!
//! Not what a world carries out: that is the [`crate::plan::Plan`] that [`Scenario::plan`] makes of it and a seed.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::fault::FaultEntry;
use crate::units::{ByteRate, ConversationName, DelaySpec, Parties, PerSecond, Share, Sizes, Time, UserName};

/// Newest version of the scenario format that this build reads.
pub const VERSION: u32 = 1;

/// One scenario: what clients do, what goes wrong meanwhile, and what must hold all the same.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Version of the format; this page describes 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// One sentence: what this scenario proves.
    pub about: String,
    /// What every random choice is made from, unless the command says otherwise. Default: 1. A scenario that shows what
    /// one schedule found names its seed here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 9_007_199_254_740_991_u64))]
    pub seed: Option<u64>,
    /// The servers.
    #[serde(default, skip_serializing_if = "is_default")]
    pub cluster: ClusterSection,
    /// What the clients do.
    pub workload: Workload,
    /// What every link is like when nothing is wrong.
    #[serde(default, skip_serializing_if = "is_default")]
    pub network: NetworkSection,
    /// Conversations whose first members are chosen by hand: the first entry is c0, the second c1, …
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conversation: Vec<ConversationEntry>,
    /// Devices that differ from the others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub device: Vec<DeviceEntry>,
    /// What goes wrong.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fault: Vec<FaultEntry>,
    /// Single actions at chosen times, beside the workload.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub step: Vec<Step>,
    /// What is demanded.
    #[serde(default, skip_serializing_if = "is_default")]
    pub expect: ExpectSection,
    /// Limits of the phases.
    #[serde(default, skip_serializing_if = "is_default")]
    pub phases: PhasesSection,
}

/// The servers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ClusterSection {
    /// How many nodes; they are called n1, n2, …
    #[schemars(range(min = 1, max = 63))]
    pub nodes: u32,
    /// Settings of the reference server by name, as its configuration file has them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: BTreeMap<String, Setting>,
}

impl Default for ClusterSection {
    fn default() -> Self {
        Self { nodes: 1, settings: BTreeMap::new() }
    }
}

/// One setting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Setting {
    /// On or off.
    Switch(bool),
    /// A count.
    Count(i64),
    /// Anything else, in the server's own notation.
    Text(String),
}

/// What the clients do: an open loop, so that a slow server does not slow the senders down.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Workload {
    /// How many conversations; they are called c0, c1, …
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 10_000))]
    pub conversations: u32,
    /// Users in each conversation.
    #[serde(default = "two")]
    #[schemars(range(min = 1, max = 10_000))]
    pub members: u32,
    /// Users in all; they are called u0, u1, … Default: as many as one conversation has, twice as many if there are
    /// several conversations. Who is in which conversation is drawn from the seed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 20_000))]
    pub users: Option<u32>,
    /// Devices of each user; those of u0 are called u0.d1, u0.d2, …
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 16))]
    pub devices: u32,
    /// Only these send. Default: everybody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub senders: Option<Parties>,
    /// Messages per second, of all senders together. Default: none but those of the steps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<PerSecond>,
    /// How sends are spread over time.
    #[serde(default, skip_serializing_if = "is_default")]
    pub arrivals: Arrivals,
    /// How long messages are sent; faults happen within this time.
    pub duration: Time,
    /// Size of the payloads, uniform within the range.
    #[serde(default = "default_payload")]
    pub payload: Sizes,
    /// Share of messages that answer the newest one which the sender has seen there (makes causality visible).
    #[serde(default, skip_serializing_if = "is_default")]
    pub replies: Share,
    /// Every device marks what it receives as read, this long after. Default: nobody reads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_marks: Option<Time>,
    /// How often some device reads a conversation's history from the beginning to the end, page by page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history_reads: Option<PerSecond>,
    /// How often somebody joins or leaves some conversation. Who made a conversation never leaves it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub membership_changes: Option<PerSecond>,
}

/// How sends are spread over time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Arrivals {
    /// Independent of each other (exponential gaps), as many people's messages are.
    #[default]
    Poisson,
    /// Evenly.
    Constant,
}

/// What every link is like when nothing is wrong.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NetworkSection {
    /// A profile by name (`avouch list profiles`). Default: lan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<crate::profiles::ProfileName>,
    /// Device to server, in place of the profile's.
    #[serde(skip_serializing_if = "is_default")]
    pub up: LinkSection,
    /// Server to device, in place of the profile's.
    #[serde(skip_serializing_if = "is_default")]
    pub down: LinkSection,
}

/// One direction of a link.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LinkSection {
    /// One-way delay of every frame.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delay: Option<DelaySpec>,
    /// Bandwidth.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<ByteRate>,
}

/// A conversation whose first members are chosen by hand instead of being drawn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConversationEntry {
    /// Users who belong to it when it is made; the one with the lowest number makes it.
    pub members: Vec<UserName>,
}

/// Devices that differ from the others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeviceEntry {
    /// Which: "u1", "u1.d2", "30%", or a list.
    pub which: Parties,
    /// It connects for the first time only then (a new phone). Default: before the workload begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connects_at: Option<Time>,
    /// How long its application takes to consume one delivery (a slow reader).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consume: Option<Time>,
    /// It marks what it receives as read, this long after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_marks: Option<Time>,
}

/// One action at a chosen time: exactly one of `send`, `read_history`, `members`, `does`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// When.
    pub at: Time,
    /// Who: one device, as "u0.d1" ("u0" if the user has one), or several, of which each does it.
    pub device: Parties,
    /// Sends messages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub send: Option<StepSend>,
    /// Reads a conversation's history from the beginning to the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_history: Option<ConversationName>,
    /// Changes who belongs to a conversation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub members: Option<StepMembers>,
    /// Something without further words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub does: Option<StepDoes>,
}

/// Messages of one step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StepSend {
    /// Where.
    pub conversation: ConversationName,
    /// How many, all at the same time.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    #[schemars(range(min = 1, max = 100_000))]
    pub count: u32,
    /// Size of each. Default: as the workload's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<Sizes>,
    /// Each answers the newest message which the sender has seen there.
    #[serde(default, skip_serializing_if = "is_default")]
    pub reply: bool,
}

/// A membership change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StepMembers {
    /// Where.
    pub conversation: ConversationName,
    /// Users who join.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub add: Vec<UserName>,
    /// Users who leave.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remove: Vec<UserName>,
}

/// Actions without further words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StepDoes {
    /// Closes politely and stays away.
    Disconnect,
    /// Comes back.
    Connect,
    /// Loses its local state (reinstalled) and connects as a new installation.
    Reinstall,
}

/// What is demanded.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ExpectSection {
    /// Guarantees that must hold (`avouch list guarantees`). Default: everything that the target claims.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub guarantees: Vec<crate::guarantees::GuaranteeId>,
    /// After the heal, everything owed must have arrived within this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recovers_within: Option<Time>,
    /// Limits of latency outside fault windows, from the intended send: `accepted_p99 = "250ms"`. Stages are accepted,
    /// delivered, receipt; percentiles p50, p90, p99, `p99_9`, …, max.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("x-key-unit" = "gate"))]
    pub latency: BTreeMap<crate::gates::Gate, Time>,
}

/// Limits of the phases.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PhasesSection {
    /// Set-up must be done within this.
    pub setup: Time,
    /// Everything owed must arrive within this after the heal.
    pub drain: Time,
    /// A send that is not answered for this long ends as unknown. Default: it is retried to the end of the drain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub give_up: Option<Time>,
    /// Clients whom nobody heals: when the chaos ends, nothing passes their links any more, and the others are to go on
    /// without them. Default: nobody.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub abandoned: Option<Parties>,
}

impl Default for PhasesSection {
    fn default() -> Self {
        Self { setup: Time::s(30), drain: Time::s(60), give_up: None, abandoned: None }
    }
}

impl Workload {
    /// How many users there are, the default applied.
    pub fn users_total(&self) -> u32 {
        let several = if self.conversations > 1 { 2 } else { 1 };
        self.users.unwrap_or(self.members.saturating_mul(several))
    }

    /// Messages of the open loop to be expected.
    pub fn messages_expected(&self) -> f64 {
        self.rate.map_or(0.0, |rate| rate.expected_in(self.duration.0))
    }
}

pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

fn one() -> u32 {
    1
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_one(count: &u32) -> bool {
    *count == 1
}

fn two() -> u32 {
    2
}

fn default_payload() -> Sizes {
    Sizes { min: 64, max: 256 }
}
