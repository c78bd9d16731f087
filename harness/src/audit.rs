//! The audit: everything that fits a target, mode by mode, and what follows from it against what is claimed.
//!
//! The battery is made from the protocol's handshakes and from what the server's place allows; each case is a scenario
//! file like any other, so that every run can be repeated by itself. Judging is the checkers' affair, and adding up the
//! record's ([`avouch_reports::audit`]).

pub mod battery;

use avouch_reports::audit::{AUDIT_VERSION, Audit, AuditRow, Audited, ClaimWords, ModeAudit, VoidRun};
use avouch_reports::run::{Outcome, Run};
use avouch_scenarios::plan::{Fault, Plan};
use avouch_scenarios::target::FaultModel;

use crate::check::GUARANTEES;
use crate::subject::Subject;

/// One run of an audit, carried out.
#[derive(Clone, Debug)]
pub struct Done {
    /// Which mode of the audit, by its place.
    pub mode: usize,
    /// Which case.
    pub case: String,
    /// The worst fault in it, in a word.
    pub fault: &'static str,
    /// Its run folder.
    pub folder: String,
    /// What came of it.
    pub run: Run,
}

/// What an audit is about.
#[derive(Clone, Debug)]
pub struct Brief {
    /// The target's name.
    pub target: String,
    /// What it is.
    pub about: String,
    /// Seeds of the runs.
    pub seeds: Vec<u64>,
    /// The command that repeats it.
    pub repeat: String,
}

/// The worst fault of a plan, in a word: what claims are made under, and what results are ordered by.
pub fn worst_fault(plan: &Plan) -> &'static str {
    let worst = plan.faults.iter().map(|planned| FaultModel::of(&planned.fault)).max();
    worst.map_or("nothing", FaultModel::name)
}

/// Whether a plan does something to a node.
pub fn touches_node(plan: &Plan) -> bool {
    plan.faults.iter().any(|planned| matches!(planned.fault, Fault::Node(_)))
}

/// Adds all runs up.
pub fn conclude(brief: Brief, subjects: &[Subject], skipped: &[(usize, VoidRun)], done: &[Done]) -> Audit {
    let mut modes: Vec<ModeAudit> = subjects.iter().map(empty).collect();
    for (mode, case) in skipped {
        modes[*mode].skipped.push(case.clone());
    }
    for it in done {
        let audited = Audited { case: &it.case, fault: it.fault, folder: &it.folder, run: &it.run };
        modes[it.mode].add(&audited);
    }
    modes.iter_mut().for_each(ModeAudit::conclude);
    let outcome = |run: &Run| {
        if run.shows_only_what_nobody_promises() { Outcome::Passed } else { run.outcome() }
    };
    let outcome = done.iter().map(|it| outcome(&it.run)).max().unwrap_or(Outcome::Inconclusive);
    Audit {
        avouch_audit: AUDIT_VERSION,
        target: brief.target,
        about: brief.about,
        seeds: brief.seeds,
        outcome,
        modes,
        repeat: brief.repeat,
    }
}

/// A mode before its first run: what is claimed, and what is not.
fn empty(subject: &Subject) -> ModeAudit {
    let row = |guarantee: &str| {
        let claim = subject.claims.iter().find(|claim| claim.guarantee.0 == guarantee);
        let disclaimer = subject.disclaimers.iter().find(|it| it.guarantee.0 == guarantee);
        AuditRow {
            guarantee: guarantee.to_owned(),
            claim: claim.map(|claim| ClaimWords {
                source: claim.source.clone(),
                under: claim.under.iter().flatten().map(|fault| fault.name().to_owned()).collect(),
            }),
            disclaimer: disclaimer.map(|it| it.source.clone()),
            seen: Vec::new(),
        }
    };
    ModeAudit {
        mode: subject.mode.name.clone(),
        words: subject.dialect.words(),
        runs: 0,
        rows: GUARANTEES.iter().map(|guarantee| row(guarantee.id)).collect(),
        void: Vec::new(),
        skipped: Vec::new(),
    }
}
