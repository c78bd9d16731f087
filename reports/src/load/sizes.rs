//! Latency by how many take part in a conversation: what a large group waits for is not what two people wait for.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::StageLatency;
use crate::latency::{From, LatencyRecorder, OfSize, Stage};

/// Conversations of one size.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SizeLatency {
    /// How many take part in each, senders included; `None` = all sizes beyond those that are told apart.
    pub members: Option<u32>,
    /// Messages that were sent there.
    pub sent: u64,
    /// Over the whole run, per stage that has samples, from the intended send. The counts of all sizes add up to those of the whole.
    pub latency: Vec<StageLatency>,
    /// From the intended send until the last of all recipients had it: one sample per message.
    pub to_last: Option<StageLatency>,
}

impl SizeLatency {
    /// Every size, the smallest first; empty where all conversations are of one.
    pub fn all(latency: &LatencyRecorder) -> Vec<Self> {
        let of = |size: OfSize| Self {
            members: size.members,
            sent: size.sent,
            latency: Stage::ALL
                .into_iter()
                .filter_map(|stage| {
                    let whole = size.whole(stage, From::Intended);
                    StageLatency::of_whole(whole, stage, From::Intended)
                })
                .collect(),
            to_last: StageLatency::of_whole(&size.to_last, Stage::Delivered, From::Intended),
        };
        latency.by_size().into_iter().map(of).collect()
    }

    /// Latency of a stage.
    pub fn stage(&self, stage: Stage) -> Option<&StageLatency> {
        self.latency.iter().find(|row| row.stage == stage)
    }

    /// `16`, or `others`.
    pub fn name(&self) -> String {
        self.members.map_or_else(|| "others".to_owned(), |members| members.to_string())
    }
}
