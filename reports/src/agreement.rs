//! Whether two runs of one scenario come to the same verdicts, guarantee by guarantee: the same plan means the same in each
//! world.
//!
//! The worlds have other clocks and other sockets, so in one of them a promise may not be put to the test that was tested in
//! the other: then one is skipped, with its reason, where the other passes. That is no disagreement. What is accused in
//! one world and not in the other is.

use std::fmt;

use crate::run::Run;
use crate::verdict::{Judgement, Verdict};

/// How two verdicts on one guarantee compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Agreement {
    /// They are the same, and say something.
    Same,
    /// Nothing was put to the test in at least one of the runs, and neither accuses.
    Untested,
    /// One of them could not decide, and neither accuses.
    Undecided,
    /// One accuses, the other does not.
    Contrary,
}

/// Two verdicts on one guarantee.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// Its name.
    pub guarantee: String,
    /// What both runs say: the verdict, and what was observed.
    pub said: [(Verdict, String); 2],
}

impl Pair {
    /// How they compare.
    pub fn agreement(&self) -> Agreement {
        match (self.said[0].0, self.said[1].0) {
            (Verdict::Violated, Verdict::Violated) | (Verdict::Pass, Verdict::Pass) => Agreement::Same,
            (Verdict::Violated, _) | (_, Verdict::Violated) => Agreement::Contrary,
            (Verdict::Inconclusive, _) | (_, Verdict::Inconclusive) => Agreement::Undecided,
            (Verdict::Skipped, _) | (_, Verdict::Skipped) => Agreement::Untested,
        }
    }
}

impl fmt::Display for Pair {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [(one, of_one), (other, of_other)] = &self.said;
        write!(formatter, "{}: {} ({of_one}), but {} ({of_other})", self.guarantee, one.name(), other.name())
    }
}

/// Every guarantee that both runs judged.
pub fn pairs(one: &Run, other: &Run) -> Vec<Pair> {
    let said = |judgement: &Judgement| (judgement.verdict, judgement.observed.clone());
    let pair = |mine: &Judgement| {
        let theirs = other.judgements.iter().find(|theirs| theirs.guarantee == mine.guarantee)?;
        Some(Pair { guarantee: mine.guarantee.clone(), said: [said(mine), said(theirs)] })
    };
    one.judgements.iter().filter_map(pair).collect()
}

/// A guarantee that one run of a scenario breaks, and the other does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contrary {
    /// The scenario.
    pub scenario: String,
    /// Its seed, where it had one.
    pub seed: Option<u64>,
    /// Where each of the runs took place.
    pub worlds: [String; 2],
    /// What both say.
    pub pair: Pair,
}

impl fmt::Display for Contrary {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seed = self.seed.map_or_else(|| "no seed".to_owned(), |seed| format!("seed {seed}"));
        let [here, there] = &self.worlds;
        write!(formatter, "{} ({seed}), {here} and {there}: {}", self.scenario, self.pair)
    }
}

/// What two sets of runs have in common.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Agreements {
    /// What the sets are called.
    pub names: [String; 2],
    /// Runs that both have.
    pub runs: u64,
    /// Runs that only one of them has.
    pub alone: u64,
    /// Verdicts that are the same.
    pub same: u64,
    /// Not put to the test on one side at least.
    pub untested: u64,
    /// Not decided on one side at least.
    pub undecided: u64,
    /// Where one side accuses and the other does not.
    pub contrary: Vec<Contrary>,
}

impl Agreements {
    /// Takes two runs of one scenario with one seed.
    pub fn add(&mut self, one: &Run, other: &Run) {
        self.runs += 1;
        for pair in pairs(one, other) {
            match pair.agreement() {
                Agreement::Same => self.same += 1,
                Agreement::Untested => self.untested += 1,
                Agreement::Undecided => self.undecided += 1,
                Agreement::Contrary => self.contrary.push(Contrary {
                    scenario: one.header.scenario.clone(),
                    seed: one.header.seed,
                    worlds: [one.header.world.clone(), other.header.world.clone()],
                    pair,
                }),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(one: Verdict, other: Verdict, expected: Agreement) {
        let said = [(one, "a".to_owned()), (other, "b".to_owned())];
        let pair = Pair { guarantee: "no-loss".into(), said };
        assert_eq!(pair.agreement(), expected, "{pair}");
        let turned = Pair { said: [pair.said[1].clone(), pair.said[0].clone()], ..pair };
        assert_eq!(turned.agreement(), expected, "{turned}");
    }

    #[test]
    fn an_accusation_of_one_world_alone_is_contrary_and_what_was_not_tested_is_not() {
        use Verdict::{Inconclusive, Pass, Skipped, Violated};
        check(Pass, Pass, Agreement::Same);
        check(Violated, Violated, Agreement::Same);
        check(Pass, Skipped, Agreement::Untested);
        check(Skipped, Skipped, Agreement::Untested);
        check(Pass, Inconclusive, Agreement::Undecided);
        check(Skipped, Inconclusive, Agreement::Undecided);
        for other in [Pass, Skipped, Inconclusive] {
            check(Violated, other, Agreement::Contrary);
        }
    }
}
