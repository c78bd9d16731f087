//! Judges a history: which promises held, which were broken, and by which events.
//!
//! One pass: every event is applied to one shared index (`index`), and what is new about it is handed to the
//! checkers that care, one file per family of guarantees. State per message is bounded (about 92 bytes, plus one
//! bit per device that has it), so 10 million messages fit a small machine. A second pass ([`explain`]) over the
//! stored history collects the evidence of the few findings that are kept.
//!
//! What this is not: a search. Every check is linear in the events; what it cannot see for that reason stands in
//! its header. Where a history cannot show a guarantee, the verdict says so instead of `pass`.

mod duplicates;
mod eligible;
mod explain;
mod findings;
mod index;
mod integrity;
mod liveness;
mod loss;
mod membership;
mod order;
mod reads;
mod receipts;
mod registry;
mod sequence;
mod total_order;

use std::collections::BTreeSet;

use avouch_reports::history::Event;
use avouch_reports::verdict::{Judgement, Verdict};

pub use self::explain::{TIMELINE_EVENTS_MAX, explain};
use self::findings::{Outcome, Ruling};
use self::index::{Index, Seen};
pub use self::registry::{GUARANTEES, Guarantee, find};
pub use avouch_reports::history::{CatchUp, Fifo, JoinerSees, Reading as Options, Redelivery};

/// One family of guarantees.
trait Checker: Send {
    /// Kinds of news that it wants, of [`interest`].
    fn interest(&self) -> u16;
    /// Takes one event, already applied to the index.
    fn observe(&mut self, event: &Event, seen: &Seen, index: &Index);
    /// Concludes.
    fn finish(self: Box<Self>, index: &Index) -> Vec<Ruling>;
}

/// Kinds of [`Seen`].
mod interest {
    use super::Seen;

    pub(super) const SENT: u16 = 1;
    pub(super) const ACKED: u16 = 1 << 1;
    pub(super) const REFUSED: u16 = 1 << 2;
    pub(super) const GIVEN_UP: u16 = 1 << 3;
    pub(super) const RECEIVED: u16 = 1 << 4;
    pub(super) const AT: u16 = 1 << 5;
    pub(super) const BEGAN: u16 = 1 << 6;
    pub(super) const ENDED: u16 = 1 << 7;
    /// How many there are.
    pub(super) const KINDS: usize = 8;

    /// The bit of a piece of news, as its place; `None` = nobody wants it.
    pub(super) fn place(seen: &Seen) -> Option<usize> {
        Some(match seen {
            Seen::Plain => return None,
            Seen::Sent { .. } => 0,
            Seen::Acked { .. } => 1,
            Seen::Refused { .. } => 2,
            Seen::GivenUp { .. } => 3,
            Seen::Received(_) => 4,
            Seen::At { .. } => 5,
            Seen::Began { .. } => 6,
            Seen::Ended => 7,
        })
    }
}

/// Judges one history. Events go in with [`Judge::observe`], in the order of the history.
pub struct Judge {
    claims: BTreeSet<String>,
    expected: BTreeSet<String>,
    index: Index,
    checkers: Vec<Box<dyn Checker>>,
    /// By kind of news: which checkers want it.
    wanted: [Vec<usize>; interest::KINDS],
}

impl std::fmt::Debug for Judge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Judge")
            .field("claims", &self.claims)
            .field("expected", &self.expected)
            .finish_non_exhaustive()
    }
}

impl Judge {
    /// `claims`: what the target promises; `expected`: what the scenario demands beyond or among that (ids of [`GUARANTEES`]).
    pub fn new(claims: &[String], expected: &[String], options: Options) -> Self {
        let checkers = registry::checkers();
        let mut wanted: [Vec<usize>; interest::KINDS] = Default::default();
        for (at, checker) in checkers.iter().enumerate() {
            let interest = checker.interest();
            (0..interest::KINDS)
                .filter(|kind| interest & (1 << kind) != 0)
                .for_each(|kind| wanted[kind].push(at));
        }
        let claimed = claims.iter().chain(expected).cloned().collect();
        Self {
            claims: claims.iter().cloned().collect(),
            expected: expected.iter().cloned().collect(),
            index: Index::new(options, claimed),
            checkers,
            wanted,
        }
    }

    /// Takes the next event.
    pub fn observe(&mut self, event: &Event) {
        let seen = self.index.apply(event);
        let Some(kind) = interest::place(&seen) else { return };
        for &at in &self.wanted[kind] {
            self.checkers[at].observe(event, &seen, &self.index);
        }
    }

    /// Planned faults of which nothing shows so far that they took effect.
    pub fn unfired(&self) -> Vec<u32> {
        self.index.run.unfired(&self.index.options)
    }

    /// Concludes: one judgement per guarantee, in the order of the registry. The timelines of the findings hold at most
    /// the event that showed them, until [`explain`] is called.
    pub fn finish(mut self) -> Vec<Judgement> {
        self.index.close();
        let invalid = self.index.run.invalid(&self.index.options);
        let mut rulings: Vec<Ruling> = Vec::new();
        for checker in self.checkers {
            rulings.extend(checker.finish(&self.index));
        }
        let mut judgements: Vec<Judgement> = Vec::new();
        for guarantee in GUARANTEES {
            let Some(at) = rulings.iter().position(|r| r.guarantee == guarantee.id) else { continue };
            let ruling = rulings.swap_remove(at);
            let expected = self.expected.contains(guarantee.id);
            judgements.push(judgement(
                ruling,
                expected || self.claims.contains(guarantee.id),
                expected,
                &invalid,
            ));
        }
        for unknown in self.expected.iter().filter(|id| find(id).is_none()) {
            judgements.push(Judgement {
                guarantee: unknown.clone(),
                claimed: true,
                verdict: Verdict::Inconclusive,
                observed: "no checker has this name".to_owned(),
                findings_total: 0,
                findings: Vec::new(),
            });
        }
        judgements
    }
}

fn judgement(ruling: Ruling, claimed: bool, expected: bool, invalid: &[String]) -> Judgement {
    let total = ruling.findings.total;
    let (verdict, observed) = match ruling.outcome {
        outcome if total > 0 => (Verdict::Violated, broken(&ruling.findings.kept, total, outcome)),
        Outcome::Held(observed) | Outcome::Counted(observed) if invalid.is_empty() => {
            (Verdict::Pass, observed)
        }
        Outcome::Held(observed) | Outcome::Counted(observed) => {
            (Verdict::Inconclusive, format!("{} ({observed})", invalid.join("; ")))
        }
        Outcome::Blind(why) if expected => (Verdict::Inconclusive, why),
        Outcome::Idle(why) if expected => {
            (Verdict::Inconclusive, format!("nothing put it to the test: {why}"))
        }
        Outcome::Blind(why) | Outcome::Idle(why) => (Verdict::Skipped, why),
        Outcome::Undecided(why) => (Verdict::Inconclusive, why),
    };
    Judgement {
        guarantee: ruling.guarantee.to_owned(),
        claimed,
        verdict,
        observed,
        findings_total: total,
        findings: ruling.findings.kept,
    }
}

fn broken(kept: &[avouch_reports::verdict::Finding], total: u64, outcome: Outcome) -> String {
    let mut anomalies: Vec<&str> = kept.iter().map(|f| f.anomaly.as_str()).collect();
    anomalies.sort_unstable();
    anomalies.dedup();
    let rest = match outcome {
        // What held would be said in one breath with what did not.
        Outcome::Counted(rest) => format!(" ({rest})"),
        _ => String::new(),
    };
    format!("{total} × {}{rest}", anomalies.join(", "))
}

#[cfg(test)]
mod tests;
