use std::rc::Rc;

use avouch_reports::history::{Device, Phase, What};
use avouch_scenarios::parse_scenario;
use avouch_scenarios::plan::Plan;

use super::{ExploreError, ExploreOptions, ExploreWorld, Outcome, explore, explore_run, explore_until};
use crate::conductor::Ended;
use crate::recorder::Recorder;
use crate::world::World;

fn plan(faults: &str, seed: u64) -> Rc<Plan> {
    let text = format!(
        "about = \"A test.\"\n[workload]\nconversations = 2\nmembers = 3\nusers = 3\nrate = \"50/s\"\nduration = \"2s\"\n{faults}"
    );
    let scenario = parse_scenario("test.toml", &text).expect("the test's scenario is sound");
    Rc::new(scenario.plan("test", seed).expect("the test's scenario has a plan"))
}

fn explored(faults: &str, seed: u64) -> Outcome {
    explore_run(&plan(faults, seed), ExploreOptions::default())
}

/// The run went through, nothing is wrong, and every fault took effect.
fn expect_sound(faults: &str, seed: u64) -> Outcome {
    let outcome = explored(faults, seed);
    assert_eq!(outcome.ended, Ended::Whole, "{:?}", outcome.panic);
    assert!(!outcome.is_violated(), "{:#?}", outcome.violated().collect::<Vec<_>>());
    assert_eq!(outcome.unfired, Vec::<u32>::new());
    assert!(outcome.counts.accepted > 0 && outcome.counts.delivered > outcome.counts.accepted);
    outcome
}

const EVERYTHING: &str = r#"
[[fault]]
drop = { probability = "3%" }
[[fault]]
duplicate = { probability = "3%" }
[[fault]]
reorder = { probability = "5%" }
[[fault]]
cut = { link = "50%" }
at = "700ms"
[[fault]]
power_loss = { node = "leader", restart_after = "300ms" }
at = "1s"
"#;

#[test]
fn without_faults_everything_arrives() {
    let outcome = expect_sound("", 1);
    assert_eq!(outcome.counts.unknown, 0);
}

#[test]
fn with_faults_everything_arrives() {
    (1..=5).for_each(|seed| drop(expect_sound(EVERYTHING, seed)));
}

#[test]
fn the_same_plan_gives_the_same_outcome_however_often() {
    let first = explored(EVERYTHING, 7);
    explored("", 3);
    let again = explored(EVERYTHING, 7);
    assert_eq!((first.hash, first.counts), (again.hash, again.counts));
    let elsewhere = std::thread::spawn(|| explored(EVERYTHING, 7)).join().expect("it does not panic");
    assert_eq!((first.hash, first.counts), (elsewhere.hash, elsewhere.counts));
    assert_ne!(first.hash, explored(EVERYTHING, 8).hash);
}

#[test]
fn a_run_in_which_somebody_repeats_himself_at_once_is_ended() {
    let busy = async |world: Rc<ExploreWorld>| {
        loop {
            world.sleep_ns(1_000).await;
        }
    };
    let recorder = Recorder::new(Box::new(|_| Ok(())));
    let ended: Result<(), _> = explore(&plan("", 1), &recorder, busy);
    let error = ended.expect_err("nobody else ends it");
    assert!(matches!(error, ExploreError::Livelock { since_ns: 0, now_ns, .. } if now_ns < 1_000_000_000));
    assert!(matches!(error.into_ended(), Ended::Livelock(_)));
}

#[test]
fn who_wants_no_more_is_heard_within_a_run() {
    let for_ever = async |world: Rc<ExploreWorld>| {
        loop {
            world.sleep_ns(1_000_000).await;
        }
    };
    let recorder = Recorder::new(Box::new(|_| Ok(())));
    let ended: Result<(), _> = explore_until(&plan("", 1), &recorder, &|| true, for_ever);
    assert_eq!(ended, Err(ExploreError::Interrupted));
    assert_eq!(ExploreError::Interrupted.into_ended(), Ended::Interrupted);
}

/// One message is longer than the server waits for a word on such a network: its sender logs in again and again, for ever.
#[test]
fn a_drain_in_which_nobody_gains_anything_ends() {
    let text = r#"
        about = "A test."
        [cluster]
        settings = { heartbeat_ms = 500, silent_ms = 2000 }
        [workload]
        users = 3
        duration = "1s"
        [network]
        profile = "edge"
        [[conversation]]
        members = ["u0", "u1", "u2"]
        [[step]]
        at = "0s"
        device = "u0.d1"
        send = { conversation = "c0", payload = "65536 B" }
        [phases]
        abandoned = "u2.d1"
    "#;
    let scenario = parse_scenario("test.toml", text).expect("the test's scenario is sound");
    let plan = Rc::new(scenario.plan("test", 1).expect("the test's scenario has a plan"));
    let outcome = explore_run(&plan, ExploreOptions::default());
    assert_eq!((outcome.ended.clone(), outcome.is_violated()), (Ended::Whole, false));
    assert!(outcome.undrained.is_some_and(|missing| missing.contains("u0.d1")));
    let limit_ns = plan.phases.setup_ns_max + plan.phases.chaos_ns + 3 * plan.phases.drain_ns_max;
    assert!(outcome.counts.simulated_ns < limit_ns, "{} ns", outcome.counts.simulated_ns);
}

#[test]
fn who_is_never_healed_is_owed_nothing_and_the_others_everything() {
    for seed in 1..=5 {
        let mut plan = (*plan(EVERYTHING, seed)).clone();
        plan.abandoned = vec![1];
        let outcome = explore_run(&Rc::new(plan), ExploreOptions { explained: true, stop: None });
        assert_eq!(outcome.ended, Ended::Whole);
        assert!(!outcome.is_violated(), "{:#?}", outcome.violated().collect::<Vec<_>>());
        let drained = outcome.events.iter().find_map(|event| match &event.what {
            What::Drained { converged, missing } => Some((*converged, missing.clone())),
            _ => None,
        });
        assert_eq!(drained, Some((true, String::new())));
        let healed_ns = outcome.events.iter().find(|event| event.what == What::Phase { phase: Phase::Heal });
        let healed_ns = healed_ns.expect("every run has a heal").at_ns;
        let reached = outcome.events.iter().filter(|event| {
            event.at_ns > healed_ns && matches!(event.what, What::Delivered { device: Device(1), .. })
        });
        assert_eq!(reached.count(), 0);
    }
}

#[test]
fn explaining_changes_nothing_of_the_run() {
    let plan = plan(EVERYTHING, 9);
    let plain = explore_run(&plan, ExploreOptions::default());
    let explained = explore_run(&plan, ExploreOptions { explained: true, stop: None });
    assert_eq!((plain.hash, plain.counts), (explained.hash, explained.counts));
    assert_eq!(explained.events.len() as u64, explained.counts.events);
}
