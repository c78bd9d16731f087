//! Collects what one checker found: counts everything, keeps the first few.

use avouch_reports::history::{Conversation, Device, Event, Message};
use avouch_reports::verdict::{FINDINGS_KEPT, Finding};

/// What a checker concludes of one guarantee, before the run as a whole is looked at.
#[derive(Clone, Debug)]
pub(crate) struct Ruling {
    /// Id of the guarantee.
    pub(crate) guarantee: &'static str,
    /// The conclusion, unless there are findings: then it is violated.
    pub(crate) outcome: Outcome,
    /// What was found.
    pub(crate) findings: Findings,
}

/// A conclusion without findings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It held: what was observed, with numbers.
    Held(String),
    /// It held, and how much was looked at; true as well where something was found.
    Counted(String),
    /// The history cannot show it, and why.
    Blind(String),
    /// The run gave no occasion to break it, and which one is missing.
    Idle(String),
    /// Too little was seen, and what.
    Undecided(String),
}

impl Outcome {
    /// The same, whose words are counts of what was looked at.
    pub(crate) fn counted(self) -> Self {
        match self {
            Self::Held(counts) => Self::Counted(counts),
            other => other,
        }
    }
}

/// Findings of one guarantee. Memory: [`FINDINGS_KEPT`] findings.
#[derive(Clone, Debug, Default)]
pub(crate) struct Findings {
    /// All of them.
    pub(crate) total: u64,
    /// The first few.
    pub(crate) kept: Vec<Finding>,
}

/// Where something happened.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Place {
    pub(crate) conversation: Option<Conversation>,
    pub(crate) device: Option<Device>,
    pub(crate) message: Option<Message>,
}

impl Findings {
    /// Counts a finding, and makes it whole when it is one of the first. `trigger` is the event that shows it, if one does.
    pub(crate) fn add(
        &mut self,
        anomaly: &str,
        place: Place,
        trigger: Option<&Event>,
        words: impl FnOnce() -> (String, String),
    ) {
        self.total += 1;
        if self.kept.len() >= FINDINGS_KEPT {
            return;
        }
        let (expected, actual) = words();
        self.kept.push(Finding {
            anomaly: anomaly.to_owned(),
            expected,
            actual,
            conversation: place.conversation,
            device: place.device,
            message: place.message,
            timeline: trigger.cloned().into_iter().collect(),
        });
    }

    /// A ruling of these findings.
    pub(crate) fn rule(self, guarantee: &'static str, outcome: Outcome) -> Ruling {
        Ruling { guarantee, outcome, findings: self }
    }
}
