//! A sweep does not depend on its threads, and the healthy server survives random schedules.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};

use avouch_reports::run::End;
use avouch_scenarios::Scenario;
use avouch_scenarios::catalog::CATALOG;
use avouch_scenarios::parse_scenario;
use avouch_scenarios::schedule::{MOMENT_FRAMES, schedule, seed_of};
use avouch_scenarios::shrink::Tried;
use proptest::prelude::*;

use super::found::{Budget, Place};
use super::{Find, Options, found, sweep, trial};
use crate::adapter::reference::frame_kinds;
use crate::perform::{Task, World};
use crate::subject::Subject;

fn options(runs: u64, jobs: usize) -> Options {
    Options {
        seed: 11,
        runs,
        keep_going: true,
        jobs,
        cpu_ns_max: None,
        defects: Vec::new(),
        bases: Vec::new(),
    }
}

#[test]
fn moments_name_frames_of_the_reference_protocol() {
    let known: BTreeSet<&str> = frame_kinds().collect();
    for frame in MOMENT_FRAMES {
        assert!(known.contains(frame), "{frame}");
    }
}

#[test]
fn every_schedule_is_one_that_the_reference_server_can_be_asked_for() {
    for run in 0..300 {
        let scenario = schedule(seed_of(2, run)).scenario;
        trial::plan_of(&scenario, &[])
            .unwrap_or_else(|why| panic!("run {run}: {why}\n{}", scenario.to_toml()));
    }
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let of = |jobs| {
        let swept = sweep(&options(40, jobs), &|| false, &|_| {});
        let finds: Vec<_> = swept.finds.values().map(|find| (find.run, find.broken.clone())).collect();
        (swept.runs, swept.passed, swept.inconclusive, swept.states, finds)
    };
    assert_eq!(of(1), of(3));
}

proptest! {
    // Other schedules each time: sweeps of many more show nothing, so a failure is news, and its scenario is in the message.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(100) })]

    /// What fails here is a scenario; shrunk, it belongs below `scenarios/catalog/regression/`.
    #[test]
    fn the_healthy_server_survives_random_schedules(seed in 0_u64..1 << 52) {
        let scenario = schedule(seed).scenario;
        if let Some(broken) = trial::try_scenario(&scenario, &[]).broken.into_iter().next() {
            let mut tries = 0;
            let least = avouch_scenarios::shrink::shrink(&scenario, |candidate| {
                tries += 1;
                match found::shows(candidate, &broken.signature, &[]) {
                    _ if tries > 500 => Tried::Enough,
                    true => Tried::Same,
                    false => Tried::Other,
                }
            });
            prop_assert!(false, "{:?}\n{}", broken, least.scenario.to_toml());
        }
    }
}

/// Every regression is a scenario that once showed a bug, with its own seed: nothing is broken, and every fault fires.
#[test]
fn regressions_stay_fixed() {
    let mut count = 0;
    for entry in CATALOG.iter().filter(|entry| entry.name.starts_with("regression/")) {
        let scenario = parse_scenario(entry.name, entry.text).unwrap_or_else(|refused| panic!("{refused}"));
        let trial = trial::try_scenario(&scenario, &[]);
        assert_eq!((trial.broken, trial.doubt), (Vec::new(), None), "{}", entry.name);
        count += 1;
    }
    assert!(count >= 3, "{count}");
}

/// Hours of heartbeats, a hundred a second.
fn hours_long() -> Scenario {
    let text = r#"
        about = "A test."
        [cluster]
        settings = { heartbeat_ms = 10, silent_ms = 1000 }
        [workload]
        users = 2
        duration = "10h"
        [[conversation]]
        members = ["u0", "u1"]
        [[step]]
        at = "1ms"
        device = "u0.d1"
        send = { conversation = "c0" }
    "#;
    parse_scenario("test.toml", text).unwrap_or_else(|refused| panic!("{refused}"))
}

/// Whether it was asked so often before.
fn from_question(first: u64) -> impl Fn() -> bool + Sync {
    let asked = AtomicU64::new(0);
    move || asked.fetch_add(1, Ordering::Relaxed) >= first
}

#[test]
fn an_interrupt_ends_a_run_and_the_sweep_that_it_belongs_to() {
    let one_long = Options { bases: vec![hours_long()], ..options(10, 1) };
    let swept = sweep(&one_long, &from_question(1), &|_| {});
    assert_eq!((swept.runs, swept.finds.len()), (0, 0), "it says nothing");
}

#[test]
fn an_interrupt_ends_shrinking_within_a_candidate() {
    let signature = trial::Signature { guarantee: "no-loss".to_owned(), anomaly: "lost".to_owned() };
    let budget = Budget { runs: 100, stop: &from_question(1), stop_all: &|| false };
    let why = found::shrunk(&hours_long(), &signature, &[], budget).expect_err("there was no time");
    assert!(why.starts_with("It was not shrunk: somebody wanted no more"), "{why}");
}

#[test]
fn an_interrupt_ends_the_repetition_of_a_find() {
    for (name, world) in [("explore", World::Explore), ("sim", World::Sim)] {
        let folder = std::env::temp_dir().join(format!("avouch-sweep-{}-{name}", std::process::id()));
        let plan = trial::plan_of(&hours_long(), &[]).expect("it has a plan");
        let subject = Subject::reference();
        let task = Task { plan, world, folder: folder.clone(), repeat: String::new(), subject };
        let run = found::perform_until(task, &|| true);
        assert_eq!(run.end, End::Interrupted, "{name}");
        std::fs::remove_dir_all(folder).expect("the run made it");
    }
}

#[test]
fn what_was_found_is_kept_when_nothing_more_is_wanted() {
    let out = std::env::temp_dir().join(format!("avouch-sweep-{}-kept", std::process::id()));
    let signature = trial::Signature { guarantee: "no-loss".to_owned(), anomaly: "lost".to_owned() };
    let (expected, actual) = ("it".to_owned(), "not it".to_owned());
    let find = Find { run: 7, runs: 1, broken: trial::Broken { signature, expected, actual } };
    let place = Place { out: &out, defects: &[], command: "avouch explore --seed 1" };
    let scenario = schedule(seed_of(1, 7)).scenario;
    let budget = Budget { runs: 100, stop: &|| true, stop_all: &|| true };
    let record = found::settle(&scenario, &find, place, budget).expect("the folder can be written");
    assert_eq!((record.after, record.in_sim, record.tried), (None, None, 0));
    let text = std::fs::read_to_string(&record.file).expect("it was written");
    assert!(text.contains("Not shrunk."), "{text}");
    assert_eq!(parse_scenario("kept", &text).map(|it| it.step), Ok(scenario.step));
    assert!(!out.join("runs").exists(), "nothing was repeated");
    std::fs::remove_dir_all(out).expect("it was made");
}

/// What one message cannot pass is no loss, and nothing that a run can say anything about.
#[test]
fn a_drain_that_does_not_converge_is_a_doubt() {
    let mut scenario = schedule(seed_of(1, 0)).scenario;
    scenario.phases.drain = avouch_scenarios::units::Time::ms(1);
    let trial = trial::try_scenario(&scenario, &[]);
    assert_eq!((trial.broken, trial.doubt.as_deref()), (Vec::new(), Some("the drain did not converge")));
}

#[test]
fn a_sweep_that_is_stopped_counts_what_is_done() {
    let swept = sweep(&options(1_000, 1), &from_question(5), &|_| {});
    assert_eq!(swept.runs, 5);
}
