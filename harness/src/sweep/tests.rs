//! A sweep does not depend on its threads, and the healthy server survives random schedules.

use std::collections::BTreeSet;

use avouch_scenarios::catalog::CATALOG;
use avouch_scenarios::parse_scenario;
use avouch_scenarios::schedule::{MOMENT_FRAMES, schedule, seed_of};
use avouch_scenarios::shrink::Tried;
use proptest::prelude::*;

use super::{Options, found, sweep, trial};
use crate::adapter::reference::frame_kinds;

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

#[test]
fn a_sweep_that_is_stopped_counts_what_is_done() {
    let done = std::sync::atomic::AtomicU64::new(0);
    let stop = || done.fetch_add(1, std::sync::atomic::Ordering::Relaxed) >= 5;
    let swept = sweep(&options(1_000, 1), &stop, &|_| {});
    assert_eq!(swept.runs, 5);
}
