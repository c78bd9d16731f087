//! The rule from verdicts to an outcome, and the record's JSON.

use super::*;
use crate::history::{Device, Event, Message, Phase, Rung, What};

fn facts(events: &[What], planned: &[u32]) -> RunFacts {
    let fault = |id: &u32| PlannedFault { id: *id, kind: "kill".to_owned(), target: "n1".to_owned() };
    let mut facts = RunFacts::new(planned.iter().map(fault));
    for (index, what) in events.iter().enumerate() {
        facts.observe(&Event { at_ns: index as u64 * 10, what: what.clone() });
    }
    facts
}

fn good() -> Vec<What> {
    let (device, message) = (Device(0), Message(1));
    let conversation = crate::history::Conversation(0);
    vec![
        What::Phase { phase: Phase::Chaos },
        What::Send { device, conversation, message, intended_ns: 0, bytes: 1, digest: 0, reply_to: None },
        What::FaultStarted { id: 0, kind: "kill".to_owned(), target: "n1".to_owned() },
        What::FaultEnded { id: 0, evidence: "pid 7 is gone".to_owned() },
        What::Accepted { device, message, seq: Some(1), rung: Rung::Stored },
        What::Phase { phase: Phase::Drain },
        What::Drained { converged: true, missing: String::new() },
    ]
}

fn judged(verdict: Verdict, claimed: bool) -> Judgement {
    Judgement {
        guarantee: "no-loss".to_owned(),
        claimed,
        verdict,
        observed: "seen".to_owned(),
        findings_total: 0,
        findings: Vec::new(),
    }
}

fn run(events: &[What]) -> Run {
    let mut run = Run::new(Header::default(), facts(events, &[0]));
    run.judgements.push(judged(Verdict::Pass, true));
    run
}

/// The exit code of a good run after one change, and the first reason.
fn check(change: impl FnOnce(&mut Run), expected: u8, reason: &str) {
    let mut run = run(&good());
    change(&mut run);
    run.conclude();
    let first = run.reasons.first().map_or("", String::as_str);
    assert_eq!((run.exit_code(), first), (expected, reason));
}

#[test]
fn the_worst_decides() {
    check(|_| {}, 0, "");
    check(|run| run.judgements.push(judged(Verdict::Violated, true)), 1, "no-loss is violated: seen");
    check(|run| run.judgements.push(judged(Verdict::Violated, false)), 0, "");
    check(|run| run.judgements.push(judged(Verdict::Inconclusive, true)), 3, "no-loss is inconclusive: seen");
    check(|run| run.judgements.push(judged(Verdict::Inconclusive, false)), 0, "");
    check(|run| run.judgements.push(judged(Verdict::Skipped, true)), 0, "");
    let nothing = "nothing that is promised under these faults was put to the test";
    check(|run| run.judgements = vec![judged(Verdict::Skipped, true)], 3, nothing);
    check(|run| run.judgements.clear(), 3, nothing);
    check(|run| run.end = End::Interrupted, 3, "the run was interrupted");
    check(|run| run.end = End::ToolFailed { why: "bug".to_owned() }, 3, "the tool itself failed: bug");
    let died = || End::TargetFailed { why: "exit 2".to_owned() };
    check(|run| run.end = died(), 4, "the target failed: exit 2");
    let mut useless = Run::new(Header::default(), facts(&[], &[]));
    useless.end = died();
    assert_eq!(useless.reasons(), ["the target failed: exit 2"], "one sentence: the rest follows from it");
    let both = |run: &mut Run| {
        run.end = died();
        run.judgements.push(judged(Verdict::Violated, true));
    };
    check(both, 1, "no-loss is violated: seen");
    check(|run| run.counts.sends_accepted = 0, 3, "no send succeeded");
    check(|run| run.drain = None, 3, "the run has no drain");
    let lost = Drain { converged: false, missing: "u1.d0 at 3 of 9".to_owned() };
    check(|run| run.drain = Some(lost), 3, "the drain did not converge: u1.d0 at 3 of 9");
    check(|run| run.faults[0].operations = 0, 3, "no operation was in flight during any fault");
    check(|run| run.faults[0].state = FaultState::Skipped, 3, "every planned fault was skipped");
}

/// The state of the one planned fault after these events.
fn check_fault(events: &[What], expected: FaultState) {
    let run = Run::new(Header::default(), facts(events, &[0]));
    assert_eq!((run.faults.len(), run.faults[0].state), (1, expected), "{events:?}");
}

#[test]
fn a_fault_counts_when_something_shows_it() {
    let kind = || "kill".to_owned();
    let started = || What::FaultStarted { id: 0, kind: kind(), target: "n1".to_owned() };
    let ended = |evidence: &str| What::FaultEnded { id: 0, evidence: evidence.to_owned() };
    let fired =
        || What::FaultFired { id: 0, kind: kind(), device: Device(0), frame: 3, detail: String::new() };
    check_fault(&[], FaultState::NeverFired);
    check_fault(&[ended("")], FaultState::NeverFired);
    check_fault(&[started()], FaultState::Fired);
    check_fault(&[started(), ended("")], FaultState::NoEffectSeen);
    check_fault(&[started(), ended("9 connections gone")], FaultState::Fired);
    check_fault(&[started(), fired(), ended("")], FaultState::Fired);
    check_fault(&[fired()], FaultState::Fired);
    check_fault(&[What::FaultSkipped { id: 0, kind: kind(), why: "no".to_owned() }], FaultState::Skipped);
}

#[test]
fn a_membership_change_is_no_send() {
    let (device, message, conversation) = (Device(0), Message(1), crate::history::Conversation(0));
    let change =
        What::MembersChange { device, conversation, message, added: Vec::new(), removed: Vec::new() };
    let accepted = What::Accepted { device, message, seq: Some(1), rung: Rung::Stored };
    let facts = facts(&[change, accepted], &[]);
    let counts = facts.counts();
    assert_eq!((counts.sends, counts.sends_accepted, counts.member_changes), (0, 0, 1));
}

#[test]
fn the_record_survives_its_json() {
    let mut run = run(&good());
    run.judgements[0].findings.push(crate::verdict::Finding {
        anomaly: "lost".to_owned(),
        expected: "a".to_owned(),
        actual: "b \u{1b}[1m".to_owned(),
        conversation: None,
        device: Some(Device(0)),
        message: Some(Message(u64::MAX)),
        timeline: good().into_iter().map(|what| Event { at_ns: 3, what }).collect(),
    });
    run.conclude();
    let json = serde_json::to_vec(&run).unwrap();
    assert_eq!(Run::from_json(&json).unwrap(), run);
    let mut lie = run.clone();
    lie.outcome = Outcome::Violated;
    assert_eq!(
        Run::from_json(&serde_json::to_vec(&lie).unwrap()).unwrap(),
        run,
        "a stored outcome is not believed"
    );
}

#[test]
fn bad_records_have_an_error() {
    let check = |json: &str, expected: &str| {
        let error = Run::from_json(json.as_bytes()).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    };
    check("", "not a run record: EOF");
    check("{}", "not a run record: missing field `avouch_run`");
    check(r#"{"avouch_run":2,"x":1}"#, "run record version 2 is newer than this tool, which knows 1\nhint: ");
    check(r#"{"avouch_run":1,"x\u001b":1}"#, "not a run record: unknown field `x\\u{1b}`");
}

#[test]
fn the_schema_in_the_repository_is_the_codes() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/run.schema.json");
    if std::env::var_os("AVOUCH_BLESS").is_some() {
        std::fs::write(path, Run::schema()).unwrap();
    }
    let stored = std::fs::read_to_string(path).unwrap_or_default();
    // As values: the order of keys depends on a feature that any crate of a build may set.
    let parse = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap_or_default();
    let fresh = parse(&stored) == parse(&Run::schema());
    assert!(fresh, "run.schema.json is out of date; AVOUCH_BLESS=1 cargo test writes it anew");
}

#[test]
fn what_nobody_promises_is_told_from_what_shows_nothing() {
    let check = |change: &dyn Fn(&mut Run), expected: bool| {
        let mut run = run(&good());
        change(&mut run);
        assert_eq!(run.shows_only_what_nobody_promises(), expected, "{:?}", run.reasons());
    };
    check(&|_| {}, false);
    check(&|run| run.judgements = vec![judged(Verdict::Pass, false)], true);
    check(&|run| run.judgements = vec![judged(Verdict::Violated, false)], true);
    check(&|run| run.judgements = vec![judged(Verdict::Skipped, false)], false);
    let undrained = |run: &mut Run| {
        run.judgements = vec![judged(Verdict::Pass, false)];
        run.drain = None;
    };
    check(&undrained, false);
    // Whoever promises nothing owes nothing: that something never came is no gap.
    let never_came = |verdict: Verdict, claimed: bool| {
        move |run: &mut Run| {
            run.judgements = vec![judged(verdict, claimed)];
            run.drain = Some(Drain { converged: false, missing: "all of it".to_owned() });
        }
    };
    check(&never_came(Verdict::Inconclusive, false), true);
    check(&never_came(Verdict::Inconclusive, true), false);
}
