//! Every guarantee with accepting and rejecting histories; the traps; random histories with named corruptions.

mod history;
mod model;

mod claims;
mod delivery;
mod members;
mod order;
mod random;
mod traps;

use std::collections::BTreeMap;

use avouch_reports::verdict::{Judgement, Verdict};

use self::history::History;
use super::{GUARANTEES, Judge, TIMELINE_EVENTS_MAX, explain};

/// Judges a history, all guarantees claimed, and explains it.
fn judged(history: &History) -> BTreeMap<String, Judgement> {
    let claims: Vec<String> = GUARANTEES.iter().map(|g| g.id.to_owned()).collect();
    let mut judge = Judge::new(&claims, &[], history.options.clone());
    history.events.iter().for_each(|e| judge.observe(e));
    let mut judgements = judge.finish();
    explain(&mut judgements, &mut history.events.iter().cloned());
    assert_eq!(judgements.len(), GUARANTEES.len(), "each guarantee is judged once");
    for finding in judgements.iter().flat_map(|j| &j.findings) {
        assert!((1..=TIMELINE_EVENTS_MAX).contains(&finding.timeline.len()), "{finding:?}");
        assert!(finding.timeline.is_sorted_by_key(|e| e.at_ns), "{finding:?}");
    }
    judgements.into_iter().map(|j| (j.guarantee.clone(), j)).collect()
}

/// Exactly these guarantees are violated.
#[track_caller]
fn check(history: &History, violated: &[&str]) {
    let judged = judged(history);
    let found: Vec<&str> =
        judged.values().filter(|j| j.verdict == Verdict::Violated).map(|j| j.guarantee.as_str()).collect();
    let mut violated = violated.to_vec();
    violated.sort_unstable();
    let why: Vec<_> = judged.values().flat_map(|j| &j.findings).map(|f| (&f.expected, &f.actual)).collect();
    assert_eq!(found, violated, "{why:#?}");
}

/// Nothing is violated, and these guarantees pass.
#[track_caller]
fn passes(history: &History, guarantees: &[&str]) {
    check(history, &[]);
    let judged = judged(history);
    for id in guarantees {
        assert_eq!(judged[*id].verdict, Verdict::Pass, "{id}: {}", judged[*id].observed);
    }
}

/// One guarantee has this verdict.
#[track_caller]
fn verdict(history: &History, guarantee: &str, verdict: Verdict) {
    let judgement = &judged(history)[guarantee];
    assert_eq!(judgement.verdict, verdict, "{guarantee}: {}", judgement.observed);
}
