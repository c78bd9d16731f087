//! How many fault schedules, and how many messages, a CPU-second carries in the world `explore`, judged in memory.
//!
//! `cargo bench -p avouch --bench explore [-- [small|long] [ROUNDS [SCHEDULES]]]` (default: both, 3 rounds, the best of
//! which is told, and 300 schedules in a round). The small scenario is the one that exploration is made of: 3 devices, 100 messages, 5
//! faults (one each of drop, duplicate, reorder, cut and power loss), every checker on, another seed for each schedule.
//! The long one is four senders with a steady load and no fault. CPU time is that of this thread
//! (`/proc/thread-self/schedstat`), Linux only.
#![allow(clippy::print_stdout, reason = "its output is its purpose")]
#![allow(clippy::unwrap_used, reason = "a benchmark may stop anywhere")]
#![allow(missing_docs, reason = "a benchmark has no interface")]

use std::rc::Rc;

use avouch::conductor::{Ended, conduct};
use avouch::payload::Nonce;
use avouch::perform;
use avouch::recorder::Recorder;
use avouch::world::explore::{Counts, ExploreOptions, explore, explore_run};
use avouch_scenarios::parse_scenario;
use avouch_scenarios::plan::Plan;

const SMALL: &str = r#"
about = "Small."
[workload]
conversations = 1
members = 3
users = 3
rate = "100/s"
duration = "1s"
payload = "64..256 B"
[[fault]]
drop = { probability = "2%" }
[[fault]]
duplicate = { probability = "2%" }
[[fault]]
reorder = { probability = "5%" }
[[fault]]
cut = { link = "50%" }
at = "300ms"
[[fault]]
power_loss = { node = "leader", restart_after = "200ms" }
at = "600ms"
"#;

const LONG: &str = r#"
about = "Long."
[workload]
conversations = 2
members = 2
users = 4
rate = "10000/s"
duration = "10s"
payload = "100 B"
"#;

fn main() {
    let arguments: Vec<u64> = std::env::args().filter_map(|arg| arg.parse().ok()).collect();
    let rounds = arguments.first().copied().unwrap_or(3);
    let schedules = arguments.get(1).copied().unwrap_or(300);
    let asked = |part: &str| std::env::args().any(|argument| argument == part);
    if !asked("long") {
        small(rounds, schedules);
    }
    if !asked("small") {
        long(rounds);
    }
}

fn small(rounds: u64, schedules: u64) {
    let plans: Vec<Rc<Plan>> = (1..=schedules).map(|seed| plan(SMALL, seed)).collect();
    let mut best_ns = u64::MAX;
    let (mut counts, mut void, mut bad) = (Counts::default(), 0, 0);
    let mut histories = 0;
    for _ in 0..rounds {
        (counts, void, bad) = (Counts::default(), 0, 0);
        histories = 0;
        let from_ns = cpu_now_ns();
        for plan in &plans {
            let outcome = explore_run(plan, ExploreOptions::default());
            assert_eq!(outcome.ended, Ended::Whole);
            void += u64::from(!outcome.unfired.is_empty());
            bad += u64::from(outcome.is_violated());
            histories = u64::rotate_left(histories, 1) ^ outcome.hash;
            counts.events += outcome.counts.events;
            counts.accepted += outcome.counts.accepted;
            counts.delivered += outcome.counts.delivered;
            counts.simulated_ns += outcome.counts.simulated_ns;
        }
        best_ns = best_ns.min(cpu_now_ns() - from_ns);
    }
    let planning_ns = timed(|| (1..=schedules).for_each(|seed| drop(plan(SMALL, seed)))).1;
    println!(
        "small: {:.0} schedules per CPU-second ({schedules}; per schedule: {:.2} ms of CPU, {} events, {} messages acked, \
         {} deliveries, {:.1} simulated seconds; {void} with a fault that did not fire, {bad} violated; fingerprint of all \
         histories {histories:016x}); reading and planning one costs {:.2} ms more",
        schedules as f64 * 1e9 / best_ns as f64,
        best_ns as f64 / 1e6 / schedules as f64,
        counts.events / schedules,
        counts.accepted / schedules,
        counts.delivered / schedules,
        counts.simulated_ns as f64 / 1e9 / schedules as f64,
        planning_ns as f64 / 1e6 / schedules as f64,
    );
}

fn long(rounds: u64) {
    let plan = plan(LONG, 1);
    let whole =
        (0..rounds).map(|_| timed(|| explore_run(&plan, ExploreOptions::default()))).min_by_key(|run| run.1);
    let (outcome, ns) = whole.unwrap();
    assert!(!outcome.is_violated() && outcome.ended == Ended::Whole);
    assert_eq!((outcome.counts.rejected, outcome.counts.unknown), (0, 0));
    tell("judged", &outcome.counts, ns);
    println!("long: fingerprint of its history {:016x}", outcome.hash);
    let bare = (0..rounds).map(|_| timed(|| unjudged(&plan))).min_by_key(|run| run.1);
    let (counts, ns) = bare.unwrap();
    tell("without checkers", &counts, ns);
}

fn tell(what: &str, counts: &Counts, ns: u64) {
    println!(
        "long, {what}: {:.0} messages acked and delivered per CPU-second ({} messages, {} deliveries, {:.2} CPU-seconds)",
        counts.accepted as f64 * 1e9 / ns as f64,
        counts.accepted,
        counts.delivered,
        ns as f64 / 1e9
    );
}

/// The world and its devices alone: what they see is thrown away.
fn unjudged(plan: &Rc<Plan>) -> Counts {
    let recorder = Recorder::new(Box::new(|_| Ok(())));
    let (of_conductor, conducted) = (recorder.clone(), plan.clone());
    let ended = explore(plan, &recorder, move |world| {
        let installer = perform::installer(conducted.clone(), Nonce::NONE);
        conduct(conducted, world, installer, of_conductor, None)
    });
    assert_eq!(ended, Ok(Ended::Whole));
    let progress = recorder.progress();
    Counts { accepted: progress.outcomes[1], delivered: progress.delivered, ..Counts::default() }
}

fn plan(text: &str, seed: u64) -> Rc<Plan> {
    let plan = parse_scenario("bench.toml", text).unwrap().plan("bench", seed).unwrap();
    perform::check_plan(&plan).unwrap();
    Rc::new(plan)
}

fn timed<T>(call: impl FnOnce() -> T) -> (T, u64) {
    let from_ns = cpu_now_ns();
    let answer = call();
    (answer, cpu_now_ns() - from_ns)
}

fn cpu_now_ns() -> u64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    stat.split_whitespace().next().unwrap().parse().unwrap()
}
