//! An edit to one part of a scenario leaves the choices of the others alone.

use std::collections::BTreeMap;

use proptest::prelude::*;

use crate::parse_scenario;
use crate::plan::{Do, Fault, Plan, PlannedFault};

fn plan(workload: &str, rest: &str, seed: u64) -> Plan {
    let text = format!("about = \"x\"\n[workload]\n{workload}\n{rest}");
    parse_scenario("x", &text).unwrap_or_else(|refused| panic!("{refused}")).plan("x", seed).unwrap()
}

/// What is drawn about each message, in order of time: when, where, who, how large, whether a reply.
fn sends(plan: &Plan) -> Vec<(u64, u32, String, u32, bool)> {
    let send = |action: &crate::plan::Action| match action.what {
        Do::Send { conversation, bytes, reply, .. } => Some((
            action.at_ns,
            conversation,
            plan.devices[action.device as usize].name.clone(),
            bytes,
            reply,
        )),
        _ => None,
    };
    plan.actions.iter().filter_map(send).collect()
}

fn by_key(plan: &Plan) -> BTreeMap<u64, PlannedFault> {
    plan.faults.iter().map(|fault| (fault.key, PlannedFault { id: 0, ..fault.clone() })).collect()
}

const FAULTS: &str = "[[fault]]\nkill = {}\nevery = \"2s\"\n[[fault]]\nstall = { link = \"40%\" }\nevery = \"1s\"\nfor = \"100ms\"\n";

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn one_more_user_takes_over_its_own_messages_and_no_other_choice(seed: u64, users in 2_u32..30) {
        let of = |users: u32| {
            plan(&format!("members = {users}\nrate = \"50/s\"\nduration = \"6s\"\nreplies = \"30%\""), FAULTS, seed)
        };
        let (before, after) = (of(users), of(users + 1));
        let newcomer = format!("u{users}.d1");
        let (sent, resent) = (sends(&before), sends(&after));
        prop_assert_eq!(sent.len(), resent.len());
        let mut taken = 0;
        for (one, other) in sent.iter().zip(&resent) {
            prop_assert_eq!((one.0, one.1, one.3, one.4), (other.0, other.1, other.3, other.4));
            prop_assert!(one.2 == other.2 || other.2 == newcomer, "{one:?} {other:?}");
            taken += usize::from(other.2 == newcomer);
        }
        // About its fair share: six deviations of a binomial at most.
        let share = 1.0 / f64::from(users + 1);
        let (expected, count) = (sent.len() as f64 * share, sent.len() as f64);
        prop_assert!((taken as f64 - expected).abs() < 6.0 * (count * share * (1.0 - share)).sqrt() + 1.0);
        // Times and keys of the faults stay.
        let times = |plan: &Plan| plan.faults.iter().map(|fault| (fault.key, fault.when.clone())).collect::<Vec<_>>();
        prop_assert_eq!(times(&before), times(&after));
    }

    #[test]
    fn a_share_of_the_links_keeps_its_links_when_a_user_comes(seed: u64, users in 4_u32..30) {
        let of = |users: u32| plan(&format!("members = {users}\nrate = \"5/s\"\nduration = \"6s\""), FAULTS, seed);
        let chosen = |plan: &Plan| {
            let link = plan.faults.iter().find_map(|fault| match &fault.fault {
                Fault::Link(link) => Some(link.devices.clone()),
                _ => None,
            });
            link.unwrap()
        };
        let (before, after) = (chosen(&of(users)), chosen(&of(users + 1)));
        prop_assert!(!before.is_empty());
        if before.len() > 1 {
            let kept: Vec<u32> = after.into_iter().filter(|device| *device < users).collect();
            prop_assert_eq!(before, kept);
        }
    }

    #[test]
    fn another_fault_moves_no_message_and_no_other_fault(seed: u64, first: bool) {
        const WORKLOAD: &str = "conversations = 3\nmembers = 4\nrate = \"50/s\"\nduration = \"6s\"";
        const MORE: &str = "[[fault]]\npause = {}\nevery = \"1500ms\"\nfor = \"100ms\"\n";
        let before = plan(WORKLOAD, FAULTS, seed);
        let both = if first { format!("{MORE}{FAULTS}") } else { format!("{FAULTS}{MORE}") };
        let after = plan(WORKLOAD, &both, seed);
        prop_assert_eq!(sends(&before), sends(&after));
        let (before, after) = (by_key(&before), by_key(&after));
        prop_assert!(after.len() > before.len());
        for (key, fault) in before {
            prop_assert_eq!(after.get(&key), Some(&fault));
        }
    }

    #[test]
    fn a_longer_run_begins_like_a_shorter_one(seed: u64) {
        let of = |duration: &str| plan(&format!("members = 4\nrate = \"50/s\"\nduration = \"{duration}\""), "", seed);
        let (short, long) = (sends(&of("3s")), sends(&of("6s")));
        prop_assert_eq!(&short[..], &long[..short.len()]);
    }

    #[test]
    fn times_are_within_the_run_and_numbers_are_unique(seed: u64) {
        let plan = plan(
            "conversations = 4\nmembers = 3\nusers = 9\nrate = \"100/s\"\nduration = \"4s\"\nmembership_changes = \"9/s\"\nhistory_reads = \"3/s\"",
            FAULTS,
            seed,
        );
        let mut next = 1;
        let mut last = 0;
        for action in &plan.actions {
            prop_assert!(action.at_ns >= last && action.at_ns < plan.phases.chaos_ns);
            last = action.at_ns;
            if let Do::Send { message, .. } | Do::ChangeMembers { message, .. } = action.what {
                prop_assert_eq!(message, next);
                next += 1;
            }
        }
        for fault in &plan.faults {
            let crate::plan::When::At { ns } = fault.when else { continue };
            prop_assert!(ns < plan.phases.chaos_ns);
        }
    }
}

#[test]
fn repeated_faults_never_overlap() {
    for seed in 0..200 {
        let plan = plan(
            "rate = \"5/s\"\nduration = \"20s\"",
            "[[fault]]\npause = {}\nevery = \"1s\"\nfor = \"900ms\"\n",
            seed,
        );
        let times: Vec<u64> = plan
            .faults
            .iter()
            .filter_map(|fault| match fault.when {
                crate::plan::When::At { ns } => Some(ns),
                crate::plan::When::OnFrame(_) => None,
            })
            .collect();
        assert_eq!(times.len(), 19);
        assert!(times.windows(2).all(|pair| pair[1] - pair[0] >= 900_000_000), "seed {seed}: {times:?}");
    }
}

#[test]
fn different_seeds_differ() {
    let of = |seed| sends(&plan("members = 4\nrate = \"50/s\"\nduration = \"3s\"", "", seed));
    assert_ne!(of(1), of(2));
}

#[test]
fn the_rate_is_met() {
    for arrivals in ["poisson", "constant"] {
        let workload =
            format!("members = 4\nrate = \"200/s\"\nduration = \"60s\"\narrivals = \"{arrivals}\"");
        let count = sends(&plan(&workload, "", 3)).len();
        // 12,000 expected, deviation 110.
        assert!((11_600..12_400).contains(&count), "{arrivals}: {count}");
    }
}

#[test]
fn who_leaves_or_joins_is_in_the_state_to_do_so() {
    let plan = plan(
        "conversations = 3\nmembers = 4\nusers = 8\nrate = \"200/s\"\nduration = \"20s\"\nmembership_changes = \"5/s\"",
        "",
        11,
    );
    let mut members: Vec<std::collections::BTreeSet<u32>> =
        plan.conversations.iter().map(|one| one.members.iter().copied().collect()).collect();
    let mut changes = 0;
    for action in &plan.actions {
        let user = plan.devices[action.device as usize].user;
        match &action.what {
            Do::ChangeMembers { conversation, added, removed, .. } => {
                changes += 1;
                let present = &mut members[*conversation as usize];
                assert!(present.contains(&user) && !removed.contains(&user));
                assert!(added.iter().all(|user| present.insert(*user)));
                assert!(removed.iter().all(|user| present.remove(user)));
            }
            Do::Send { conversation, .. } => assert!(members[*conversation as usize].contains(&user)),
            _ => {}
        }
    }
    assert!((60..140).contains(&changes), "{changes}");
}
