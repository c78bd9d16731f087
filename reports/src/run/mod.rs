//! The record of one run (`run.json`): what was run, what was seen, what follows from it, and the exit code.
//!
//! It holds no judgement of its own beyond the rule that turns many verdicts into one outcome: a violation outranks
//! all else; a run that shows nothing is inconclusive, never passed.

pub(crate) mod doubt;
mod facts;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use facts::{Counts, Drain, FaultRecord, FaultState, PhaseSpan, PlannedFault, RunFacts};

use crate::history::{Header, Names};
use crate::latency::{GateResult, LatencySummary};
use crate::verdict::{Judgement, Verdict};
use doubt::observed_in_doubt;

/// Version of the record that this tool writes, and the newest that it reads.
pub const RUN_VERSION: u64 = 1;
/// How the reason begins that tells of a target which is of no use; the end of its log may follow.
pub(crate) const TARGET_FAILED: &str = "the target failed: ";
/// How the reason begins that tells of a failure of this tool; a hint may follow.
pub(crate) const TOOL_FAILED: &str = "the tool itself failed: ";
/// The doubt about a run under whose faults nothing is promised, or nothing of what is.
const NOTHING_PROMISED: &str = "nothing that is promised under these faults was put to the test";
/// How the doubt about a run begins whose devices did not get what they wait for.
const NOT_CONVERGED: &str = "the drain did not converge: ";
/// Inconclusive guarantees that are named among a run's reasons: most often they all have one cause, which stands above.
const INCONCLUSIVE_NAMED_MAX: usize = 3;
/// Largest `run.json` that is read, in bytes.
pub const RUN_BYTES_MAX: usize = 64 * 1_024 * 1_024;

/// Everything that a report tells of one run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// Version of this record, [`RUN_VERSION`].
    pub avouch_run: u64,
    /// The outcome, as [`Run::outcome`] has it; written for readers of the file, recomputed when read.
    pub outcome: Outcome,
    /// Why it is not `passed`, in words; recomputed like the outcome.
    pub reasons: Vec<String>,
    /// What was run.
    pub header: Header,
    /// SHA-256 of the history's event lines.
    pub history_hash: Option<String>,
    /// How the run came to its end.
    pub end: End,
    /// When which phase began and ended.
    pub phases: Vec<PhaseSpan>,
    /// Where it ran: kernel, processors, versions, by name.
    pub environment: BTreeMap<String, String>,
    /// How much happened.
    pub counts: Counts,
    /// Every planned fault and what became of it.
    pub faults: Vec<FaultRecord>,
    /// How the drain ended; `None` = there was none.
    pub drain: Option<Drain>,
    /// What the tool doubts of its own part, in words: nothing follows from the run then, unless it was violated.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub own_doubts: Vec<String>,
    /// What the checkers say, in the registry's order.
    pub judgements: Vec<Judgement>,
    /// Latency per stage.
    pub latency: LatencySummary,
    /// What became of the latency gates.
    pub gates: Vec<GateResult>,
    /// Names of the devices and conversations that findings mention.
    pub names: Names,
}

/// How a run came to its end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, tag = "how")]
pub enum End {
    /// All phases were gone through.
    #[default]
    Complete,
    /// Somebody stopped it.
    Interrupted,
    /// The target could not be started, or died on its own.
    TargetFailed {
        /// In words.
        why: String,
    },
    /// The tool itself failed; nothing can be said.
    ToolFailed {
        /// In words.
        why: String,
    },
}

/// What a run comes to. Ordered by rank: the worst of several is the greatest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Everything that was claimed or expected held, and enough was seen to say so.
    Passed,
    /// Too little was seen to say.
    Inconclusive,
    /// The target could not be started, or died on its own. It outranks `inconclusive`, which it always brings along.
    TargetFailed,
    /// A promise or a gate was broken.
    Violated,
}

impl Outcome {
    /// The process's exit code.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Passed => 0,
            Self::Violated => 1,
            Self::Inconclusive => 3,
            Self::TargetFailed => 4,
        }
    }

    /// As it stands in every report.
    pub fn name(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Inconclusive => "inconclusive",
            Self::TargetFailed => "target failed",
            Self::Violated => "violated",
        }
    }

    /// The outcome of several runs: the worst. No run at all shows nothing.
    pub fn of_all(runs: &[Run]) -> Self {
        runs.iter().map(Run::outcome).max().unwrap_or(Self::Inconclusive)
    }
}

/// A record could not be read.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A newer tool wrote it.
    #[error(
        "run record version {found} is newer than this tool, which knows {RUN_VERSION}\n\
         hint: read it with the version of avouch that wrote it, or a newer one"
    )]
    Future {
        /// Version in the record.
        found: u64,
    },
    /// Over [`RUN_BYTES_MAX`].
    #[error("run record is longer than {RUN_BYTES_MAX} bytes")]
    TooLong,
    /// Not a run record.
    #[error("not a run record: {0}\nhint: `run.json` of a run folder is one; its schema is run.schema.json")]
    Malformed(String),
}

impl Run {
    /// A record of what the facts say, with nothing judged yet.
    pub fn new(header: Header, facts: RunFacts) -> Self {
        let (phases, counts, faults, drain, names) = facts.into_parts();
        Self {
            avouch_run: RUN_VERSION,
            outcome: Outcome::Inconclusive,
            reasons: Vec::new(),
            header,
            history_hash: None,
            end: End::Complete,
            phases,
            environment: BTreeMap::new(),
            counts,
            faults,
            drain,
            own_doubts: Vec::new(),
            judgements: Vec::new(),
            latency: LatencySummary::default(),
            gates: Vec::new(),
            names,
        }
    }

    /// Computes outcome and reasons, and drops the names that no finding needs. Call it once all is filled in.
    pub fn conclude(&mut self) {
        self.outcome = self.outcome();
        self.reasons = self.reasons();
        let (mut devices, mut conversations) = (BTreeSet::new(), BTreeSet::new());
        for finding in self.judgements.iter().flat_map(|judgement| &judgement.findings) {
            devices.extend(finding.device);
            conversations.extend(finding.conversation);
            for event in &finding.timeline {
                devices.extend(event.what.device());
                conversations.extend(event.what.conversation());
                if let crate::history::What::Receipt { by, .. } = event.what {
                    devices.insert(by);
                }
            }
        }
        self.names = self.names.only(&devices, &conversations);
    }

    /// What the run comes to.
    pub fn outcome(&self) -> Outcome {
        let gates = self.gates.iter().map(|gate| gate.verdict);
        let worst = self.judgements.iter().filter(|it| it.claimed).map(|it| it.verdict).chain(gates).max();
        if worst == Some(Verdict::Violated) {
            Outcome::Violated
        } else if matches!(self.end, End::TargetFailed { .. }) {
            Outcome::TargetFailed
        } else if worst == Some(Verdict::Inconclusive) || !self.doubts().is_empty() {
            Outcome::Inconclusive
        } else {
            Outcome::Passed
        }
    }

    /// The process's exit code for this run alone.
    pub fn exit_code(&self) -> u8 {
        self.outcome().exit_code()
    }

    /// Why the run is not passed, in words, the worst first.
    pub fn reasons(&self) -> Vec<String> {
        let of = |verdict| self.judgements.iter().filter(move |it| it.claimed && it.verdict == verdict);
        let mut reasons: Vec<String> = of(Verdict::Violated)
            .map(|it| format!("{} is violated: {}", it.guarantee, it.observed))
            .collect();
        let gates = |verdict| self.gates.iter().filter(move |gate| gate.verdict == verdict);
        reasons.extend(
            gates(Verdict::Violated)
                .map(|gate| format!("gate {} is violated: {}", gate.name(), gate.observed)),
        );
        if let End::TargetFailed { why } = &self.end {
            // All other doubts come from this one.
            reasons.push(format!("{TARGET_FAILED}{why}"));
            return reasons;
        }
        reasons.extend(self.doubts());
        let shared = self.shared_doubt();
        let inconclusive = || of(Verdict::Inconclusive).filter(|it| observed_in_doubt(it, shared).is_none());
        let in_doubt = of(Verdict::Inconclusive).count() - inconclusive().count();
        if let (Some(doubt), 1..) = (shared, in_doubt) {
            let guarantees = if in_doubt == 1 { "guarantee is" } else { "guarantees are" };
            // Where the doubt is the whole run's, it was told before.
            let why =
                if self.doubts().is_empty() { format!(": {doubt}") } else { " because of that".to_owned() };
            reasons.push(format!("{in_doubt} {guarantees} inconclusive{why}"));
        }
        let named = inconclusive().take(INCONCLUSIVE_NAMED_MAX);
        reasons.extend(named.map(|it| format!("{} is inconclusive: {}", it.guarantee, it.observed)));
        let others = inconclusive().count().saturating_sub(INCONCLUSIVE_NAMED_MAX);
        if others > 0 {
            let guarantees = if others == 1 { "guarantee is" } else { "guarantees are" };
            reasons.push(format!("{others} more {guarantees} inconclusive"));
        }
        reasons.extend(
            gates(Verdict::Inconclusive)
                .map(|gate| format!("gate {} is inconclusive: {}", gate.name(), gate.observed)),
        );
        reasons
    }

    /// Whether the only thing to say against the run is that nothing is promised under its faults; what was judged stands. That
    /// what is missing never came is no gap then: a server that may forget everything owes nothing.
    pub fn shows_only_what_nobody_promises(&self) -> bool {
        let doubts = self.doubts();
        let is_missing = doubts.iter().any(|doubt| doubt.starts_with(NOT_CONVERGED));
        let is_of_it = |doubt: &String| doubt == NOTHING_PROMISED || doubt.starts_with(NOT_CONVERGED);
        self.reasons() == doubts
            && doubts.iter().any(|doubt| doubt == NOTHING_PROMISED)
            && doubts.iter().all(is_of_it)
            && (is_missing || self.judges_anything())
    }

    /// Whether any guarantee was seen to hold or to be broken, promised or not.
    pub fn judges_anything(&self) -> bool {
        self.judgements.iter().any(|it| matches!(it.verdict, Verdict::Pass | Verdict::Violated))
    }

    /// Whether the run went through and shows nothing all the same, though something is promised under its faults.
    pub fn shows_nothing(&self) -> bool {
        self.end == End::Complete
            && self.outcome() == Outcome::Inconclusive
            && !self.shows_only_what_nobody_promises()
    }

    /// Why nothing follows from the run even where every checker is content.
    pub(crate) fn doubts(&self) -> Vec<String> {
        let mut doubts = Vec::new();
        match &self.end {
            End::Interrupted => doubts.push("the run was interrupted".to_owned()),
            End::ToolFailed { why } => doubts.push(format!("{TOOL_FAILED}{why}")),
            End::Complete | End::TargetFailed { .. } => {}
        }
        doubts.extend(self.own_doubts.iter().cloned());
        let judged = |it: &Judgement| it.claimed && it.verdict != Verdict::Skipped;
        if !self.judgements.iter().any(judged) && self.gates.is_empty() {
            doubts.push(NOTHING_PROMISED.to_owned());
        }
        if self.counts.sends_accepted == 0 {
            doubts.push("no send succeeded".to_owned());
        }
        for fault in &self.faults {
            match fault.state {
                FaultState::NeverFired => doubts.push(format!("{} never fired", fault.label())),
                FaultState::NoEffectSeen => {
                    doubts.push(format!("nothing shows that {} took effect", fault.label()));
                }
                FaultState::Fired | FaultState::Skipped => {}
            }
        }
        let fired = || self.faults.iter().filter(|fault| fault.state == FaultState::Fired);
        if !self.faults.is_empty() && self.faults.iter().all(|fault| fault.state == FaultState::Skipped) {
            doubts.push("every planned fault was skipped".to_owned());
        } else if fired().count() > 0 && fired().all(|fault| fault.operations == 0) {
            doubts.push("no operation was in flight during any fault".to_owned());
        }
        match &self.drain {
            Some(drain) if !drain.converged => {
                doubts.push(format!("{NOT_CONVERGED}{}", drain.missing));
            }
            None if self.end == End::Complete => doubts.push("the run has no drain".to_owned()),
            _ => {}
        }
        doubts
    }

    /// Reads a record. Outcome and reasons are recomputed, never believed.
    pub fn from_json(bytes: &[u8]) -> Result<Self, RunError> {
        #[derive(Deserialize)]
        struct AnyVersion {
            avouch_run: u64,
        }
        if bytes.len() > RUN_BYTES_MAX {
            return Err(RunError::TooLong);
        }
        let malformed =
            |error: serde_json::Error| RunError::Malformed(crate::escape::visible(&error.to_string()));
        let any: AnyVersion = serde_json::from_slice(bytes).map_err(malformed)?;
        if any.avouch_run > RUN_VERSION {
            return Err(RunError::Future { found: any.avouch_run });
        }
        let mut run: Self = serde_json::from_slice(bytes).map_err(malformed)?;
        run.outcome = run.outcome();
        run.reasons = run.reasons();
        Ok(run)
    }

    /// The JSON Schema of the record, for other tools.
    pub fn schema() -> String {
        let schema = schemars::schema_for!(Self);
        let text = serde_json::to_string_pretty(&schema).expect("a schema is plain JSON");
        text + "\n"
    }
}
