//! What the checkers say.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::history::{Conversation, Device, Event, Message};

/// Per guarantee. Ordered by severity: the worst of several is the greatest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It does not apply, and the reason is stated.
    Skipped,
    /// It held.
    Pass,
    /// Too little was seen to say.
    Inconclusive,
    /// It was broken, and the evidence is attached.
    Violated,
}

/// What one checker says of one guarantee.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Judgement {
    /// Id of the guarantee, as in the registry ("no-loss").
    pub guarantee: String,
    /// Whether the target claims it, or the scenario expects it. Broken promises that nobody made are shown, not punished.
    pub claimed: bool,
    /// The verdict.
    pub verdict: Verdict,
    /// In one line: what was observed, with numbers ("4,120 acked, all delivered to 3 devices each"), or why skipped / inconclusive.
    pub observed: String,
    /// How many findings there were in all.
    pub findings_total: u64,
    /// The first few of them (bounded by [`FINDINGS_KEPT`]).
    pub findings: Vec<Finding>,
}

/// How many findings of one guarantee are kept whole.
pub const FINDINGS_KEPT: usize = 8;

/// One broken promise with the fewest events that show it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Finding {
    /// The field's name: lost, duplicate, phantom, aborted, reordered, gap, unseen, stale, misdelivered, corrupted, divergent.
    pub anomaly: String,
    /// What the guarantee demands here, in words.
    pub expected: String,
    /// What happened, in words.
    pub actual: String,
    /// Where, if it concerns one conversation.
    pub conversation: Option<Conversation>,
    /// Who, if it concerns one device.
    pub device: Option<Device>,
    /// Which message, if it concerns one.
    pub message: Option<Message>,
    /// The evidence, in time order, with the faults that were active around it.
    pub timeline: Vec<Event>,
}

impl Verdict {
    /// As it stands in every report.
    pub fn name(self) -> &'static str {
        match self {
            Self::Skipped => "skipped",
            Self::Pass => "pass",
            Self::Inconclusive => "inconclusive",
            Self::Violated => "violated",
        }
    }
}
