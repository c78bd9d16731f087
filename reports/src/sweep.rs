//! The record of a sweep: many drawn schedules, what was found among them, and which rare states were reached.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Version of the record.
pub const SWEEP_VERSION: u64 = 1;

/// A sweep.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sweep {
    /// Version of this record, [`SWEEP_VERSION`].
    pub avouch_sweep: u64,
    /// What the schedules were drawn from.
    pub seed: u64,
    /// Scenarios whose faults were drawn anew; empty = everything was drawn.
    pub bases: Vec<String>,
    /// Planted defects.
    pub defects: Vec<String>,
    /// Schedules that were asked for.
    pub runs_asked: u64,
    /// Schedules that were carried out.
    pub runs: u64,
    /// Of these: everything held, and every fault took effect.
    pub passed: u64,
    /// Of these: nothing was broken, but too little was seen; by the reason.
    pub inconclusive: BTreeMap<String, u64>,
    /// Of these: something was broken.
    pub broken: u64,
    /// Processor time of all runs, without shrinking. Seconds.
    pub cpu_s: f64,
    /// Somebody ended it before its end.
    pub interrupted: bool,
    /// What was found: one entry per guarantee and anomaly, by rising number of the run.
    pub finds: Vec<Find>,
    /// How often each rare state was reached.
    pub states: Vec<StateHits>,
    /// Whether every rare state has to be reached: the sweep was long enough for that.
    pub states_demanded: bool,
}

/// Something that was found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Find {
    /// Which guarantee is broken; `panic`, `target died` and `livelock` stand for themselves.
    pub guarantee: String,
    /// How.
    pub anomaly: String,
    /// Number of the first run that showed it, from 0.
    pub run: u64,
    /// The seed of that schedule.
    pub seed: u64,
    /// How many runs showed it.
    pub runs: u64,
    /// What is demanded, in words.
    pub expected: String,
    /// What happened, in words.
    pub actual: String,
    /// The schedule as it was drawn.
    pub before: Size,
    /// The least one that shows the same; `None` = it was not shrunk.
    pub after: Option<Size>,
    /// Candidates that were tried.
    pub tried: u64,
    /// Why it is not shrunk, or not to the end, or anything else that a reader has to know. Sentences.
    pub remarks: Vec<String>,
    /// The scenario file.
    pub file: String,
    /// The command that repeats it.
    pub repeat: String,
    /// Whether the world `sim` shows the same; `None` = it was not tried.
    pub in_sim: Option<bool>,
}

/// How large a schedule is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Size {
    /// Devices.
    pub clients: u64,
    /// Messages.
    pub messages: u64,
    /// Faults.
    pub faults: u64,
}

/// How often a rare state was reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StateHits {
    /// Its name.
    pub state: String,
    /// Runs that reached it.
    pub runs: u64,
}

/// What a sweep comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SweepOutcome {
    /// Nothing was broken, and enough was seen.
    Passed,
    /// Nothing was broken, but too little was seen to say.
    Inconclusive,
    /// Something was broken.
    Violated,
}

impl Sweep {
    /// What it comes to.
    pub fn outcome(&self) -> SweepOutcome {
        if self.broken > 0 {
            SweepOutcome::Violated
        } else if self.reasons().is_empty() {
            SweepOutcome::Passed
        } else {
            SweepOutcome::Inconclusive
        }
    }

    /// Why a sweep that found nothing still shows nothing. Words.
    pub fn reasons(&self) -> Vec<String> {
        let mut reasons = Vec::new();
        if self.interrupted {
            reasons.push(format!("it was interrupted after {} of {} runs", self.runs, self.runs_asked));
        }
        if self.passed == 0 {
            reasons.push("no run was conclusive".to_owned());
        }
        let missed: Vec<&str> = self.missed().collect();
        if self.states_demanded && !missed.is_empty() {
            reasons.push(format!("never reached: {}", missed.join("; ")));
        }
        reasons
    }

    /// Rare states that no run reached.
    pub fn missed(&self) -> impl Iterator<Item = &str> {
        self.states.iter().filter(|hits| hits.runs == 0).map(|hits| hits.state.as_str())
    }
}

impl SweepOutcome {
    /// The process's exit code.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Passed => 0,
            Self::Violated => 1,
            Self::Inconclusive => 3,
        }
    }

    /// As it stands in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Violated => "violated",
            Self::Inconclusive => "inconclusive",
        }
    }
}

/// The scoreboard: which planted defects are found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scoreboard {
    /// Version of this record, [`SWEEP_VERSION`].
    pub avouch_scoreboard: u64,
    /// The first seed; the others follow it.
    pub seed: u64,
    /// How many seeds each defect had.
    pub seeds: u64,
    /// Schedules that each seed had at most.
    pub runs_max: u64,
    /// Processor time that each seed had, about. Seconds; `None` = any.
    pub cpu_s_max: Option<f64>,
    /// One line per defect, in the registry's order.
    pub lines: Vec<ScoreLine>,
    /// Somebody ended it before its end.
    pub interrupted: bool,
}

/// One defect's.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScoreLine {
    /// Its name.
    pub defect: String,
    /// The guarantee that it is registered to break; `latency` stands for the gates.
    pub breaks: String,
    /// The world in which it was looked for.
    pub world: String,
    /// With how many of the seeds it was found.
    pub found: u64,
    /// Which guarantees gave it away, with how many seeds each.
    pub by: BTreeMap<String, u64>,
    /// Runs until it was found, the median over the seeds.
    pub runs: Option<u64>,
    /// Processor seconds until it was found, the median over the seeds.
    pub cpu_s: Option<f64>,
    /// The schedule that showed it first, as drawn.
    pub before: Option<Size>,
    /// The same, shrunk.
    pub after: Option<Size>,
}

impl Scoreboard {
    /// Defects that at least one seed did not find.
    pub fn missed(&self) -> impl Iterator<Item = &ScoreLine> {
        self.lines.iter().filter(|line| line.found < self.seeds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sweep() -> Sweep {
        let states = vec![StateHits { state: "a".into(), runs: 3 }, StateHits { state: "b".into(), runs: 0 }];
        Sweep { runs: 10, runs_asked: 10, passed: 9, states, ..Sweep::default() }
    }

    #[test]
    fn a_state_that_is_never_reached_fails_a_long_sweep_and_is_named() {
        let mut sweep = sweep();
        assert_eq!(sweep.outcome(), SweepOutcome::Passed);
        sweep.states_demanded = true;
        assert_eq!(sweep.outcome(), SweepOutcome::Inconclusive);
        assert_eq!(sweep.reasons(), ["never reached: b"]);
    }

    #[test]
    fn what_is_broken_outranks_what_was_not_seen() {
        let mut sweep = sweep();
        (sweep.interrupted, sweep.passed) = (true, 0);
        assert_eq!(sweep.outcome(), SweepOutcome::Inconclusive);
        assert_eq!(sweep.reasons().len(), 2);
        sweep.broken = 1;
        assert_eq!(sweep.outcome().exit_code(), 1);
    }
}
