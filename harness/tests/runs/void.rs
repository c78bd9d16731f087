//! Runs that look fine and show nothing: they must come out as inconclusive, never as passed.

use avouch_reports::run::{Outcome, Run};

use crate::{folder, plan, simulate};

const STEADY: &str = r#"
about = "Three people talk for a second."

[workload]
conversations = 1
members = 3
rate = "50/s"
duration = "1s"
"#;

fn run(name: &str, fault: &str) -> Run {
    simulate(plan(name, &format!("{STEADY}\n{fault}"), 3), folder(name))
}

#[track_caller]
fn check(run: &Run, reason: &str) {
    assert!(run.counts.sends_accepted > 0, "the run itself works");
    assert_eq!(run.outcome, Outcome::Inconclusive);
    assert!(run.reasons.iter().any(|it| it.contains(reason)), "{:?}", run.reasons);
}

#[test]
fn without_a_fault_it_passes() {
    let run = run("void-steady", "");
    assert_eq!((run.outcome, run.reasons.len()), (Outcome::Passed, 0), "{:?}", run.reasons);
}

#[test]
fn a_fault_whose_frame_never_came_shows_nothing() {
    let run = run("void-frame", "[[fault]]\ncut = { before = \"accepted\", nth = 1000000 }\n");
    check(&run, "never fired");
}

#[test]
fn a_fault_that_took_no_effect_shows_nothing() {
    let run = run("void-effect", "[[fault]]\ndrop = { on = \"rejected\", probability = 1.0 }\n");
    check(&run, "took effect");
}
