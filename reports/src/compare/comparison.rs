//! The record of a comparison of load tests: what stands on each side, what follows, and what is drawn.

use std::fmt;

use super::{Change, Compared, Overlay};
use crate::load::LoadRecord;

/// Everything that a report tells of two sets of load tests.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// What follows of the second side.
    pub change: Change,
    /// Why the sides are not held against each other; then nothing is compared, and what is drawn is only drawn.
    pub obstacle: Option<Obstacle>,
    /// The first side and the second.
    pub sides: [Side; 2],
    /// Percentile by percentile, stage by stage.
    pub compared: Vec<Compared>,
    /// Both sides over each other, per stage.
    pub overlays: Vec<Overlay>,
}

/// One side.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Side {
    /// What the user called it: a folder.
    pub name: String,
    /// Its load tests.
    pub runs: Vec<SideRun>,
}

/// One load test of a side.
#[derive(Clone, Debug, PartialEq)]
pub struct SideRun {
    /// Its run folder.
    pub folder: String,
    /// Its record.
    pub record: LoadRecord,
    /// On what it ran: kernel, processors.
    pub machine: [Option<String>; 2],
}

/// What makes a comparison meaningless. The target may be another one: that is what is compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// One side has no load tests.
    NoRuns,
    /// A generator did not keep its schedule.
    Generator {
        /// In which run folder.
        folder: String,
        /// What it said.
        words: String,
    },
    /// The set-ups differ in an aspect.
    SetUp {
        /// In which.
        aspect: Aspect,
        /// A run folder, and what it is there.
        here: (String, String),
        /// Another, and what it is there.
        there: (String, String),
    },
    /// Two run folders have other faults.
    Faults(String, String),
    /// Two run folders come from different machines.
    Machines(String, String),
}

/// What has to be the same on both sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aspect {
    /// When messages are sent.
    Arrivals,
    /// How long they are.
    Payload,
    /// Who sends to whom.
    Conversations,
}

impl Aspect {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Arrivals => "arrivals",
            Self::Payload => "payload",
            Self::Conversations => "conversations",
        }
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRuns => f.write_str("one side has no load tests"),
            Self::Generator { folder, words } => write!(f, "{folder}: {words}"),
            Self::SetUp { aspect, here, there } => {
                let (aspect, (here, what), (there, other)) = (aspect.words(), here, there);
                write!(f, "the set-ups differ: {aspect} are {what} in {here} and {other} in {there}")
            }
            Self::Faults(here, there) => {
                write!(f, "the set-ups differ: {here} and {there} have other faults")
            }
            Self::Machines(here, there) => write!(f, "{here} and {there} were run on different machines"),
        }
    }
}

impl Comparison {
    /// What keeps these sides from being held against each other.
    pub fn obstacle_of(sides: &[Side; 2]) -> Option<Obstacle> {
        if sides.iter().any(|side| side.runs.is_empty()) {
            return Some(Obstacle::NoRuns);
        }
        let first = &sides[0].runs[0];
        sides.iter().flat_map(|side| &side.runs).find_map(|run| obstacle(run, first))
    }

    /// How many percentiles are slower and how many faster, where there are both: then the worst counts.
    pub fn contrary(&self) -> Option<(u64, u64)> {
        let of = |change| self.compared.iter().filter(|it| it.change == change).count() as u64;
        let (slower, faster) = (of(Change::Slower), of(Change::Faster));
        (slower > 0 && faster > 0).then_some((slower, faster))
    }

    /// What follows of all percentiles together: the worst of them, but a difference outranks that there is none.
    pub fn change_of(compared: &[Compared]) -> Change {
        let told = compared.iter().filter(|it| it.ratio.is_some() || it.change == Change::Slower);
        let changes: Vec<Change> = told.map(|it| it.change).collect();
        match changes.iter().max() {
            Some(Change::NoDifferenceShown) if changes.contains(&Change::Faster) => Change::Faster,
            Some(worst) => *worst,
            None => Change::CannotBeCompared,
        }
    }
}

impl Side {
    /// Deliveries that are missing in its runs.
    pub fn missing(&self) -> u64 {
        self.runs.iter().map(|run| run.record.totals.missing).sum()
    }
}

fn obstacle(run: &SideRun, first: &SideRun) -> Option<Obstacle> {
    let (mine, theirs) = (&run.record, &first.record);
    if !mine.generator.kept_schedule {
        return Some(Obstacle::Generator { folder: run.folder.clone(), words: mine.generator.words.clone() });
    }
    let aspects = [
        (Aspect::Arrivals, &mine.arrival.words, &theirs.arrival.words),
        (Aspect::Payload, &mine.payload.words, &theirs.payload.words),
        (Aspect::Conversations, &mine.shape.words, &theirs.shape.words),
    ];
    if let Some((aspect, here, there)) = aspects.into_iter().find(|(_, here, there)| here != there) {
        return Some(Obstacle::SetUp {
            aspect,
            here: (run.folder.clone(), here.clone()),
            there: (first.folder.clone(), there.clone()),
        });
    }
    let faults = |record: &LoadRecord| record.faults.iter().map(|it| it.words.clone()).collect::<Vec<_>>();
    let both = || (run.folder.clone(), first.folder.clone());
    if faults(mine) != faults(theirs) {
        return Some(Obstacle::Faults(both().0, both().1));
    }
    (run.machine != first.machine).then(|| Obstacle::Machines(both().0, both().1))
}
