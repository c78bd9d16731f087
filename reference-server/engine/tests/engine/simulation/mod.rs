//! The engines against each other on an event heap: lossy links, crashes, takeovers, membership changes.
//!
//! Each seed draws its own mix of faults and limits (swarm testing), runs it, heals everything, and
//! demands that all that is owed arrives. `AVOUCH_SEEDS=from..to` runs other seeds than the default.

mod options;
mod oracle;
mod world;

use options::Options;
use world::World;

fn run(options: Options) -> World {
    let mut world = World::new(options);
    world.chaos();
    world.heal_and_drain();
    world
}

#[test]
fn seeds() {
    let range = std::env::var("AVOUCH_SEEDS").unwrap_or_else(|_| "0..150".to_owned());
    let (from, to) = range.split_once("..").expect("AVOUCH_SEEDS is from..to");
    for seed in from.parse().expect("a number")..to.parse().expect("a number") {
        let options = Options::of(seed);
        let outcome = std::panic::catch_unwind(|| drop(run(options.clone())));
        assert!(outcome.is_ok(), "seed {seed} failed; options: {options:#?}");
    }
}

#[test]
fn a_clean_run_needs_no_recovery() {
    let world = run(Options::clean(1));
    let stats = world.server_stats();
    assert!(stats.entries_committed > 100, "{stats:?}");
    assert_eq!((stats.delivered_retry, stats.delivered_sweep, stats.dedup_hits), (0, 0, 0), "{stats:?}");
    assert_eq!((stats.receipts_retried, stats.checksum_failures, stats.held), (0, 0, 0), "{stats:?}");
}

#[test]
fn every_mechanism_is_reached() {
    let mut sum = Vec::<u64>::new();
    let mut names = Vec::new();
    for seed in 1_000..1_060 {
        let world = run(Options::of(seed));
        let reached = world.mechanisms();
        names = reached.iter().map(|(name, _)| *name).collect();
        sum.resize(reached.len(), 0);
        sum.iter_mut().zip(&reached).for_each(|(total, (_, count))| *total += count);
    }
    let missing: Vec<_> = names.iter().zip(&sum).filter(|(_, total)| **total == 0).collect();
    assert!(missing.is_empty(), "never reached: {missing:?}");
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for seed in [3, 77] {
        let (one, two) = (run(Options::of(seed)), run(Options::of(seed)));
        assert_eq!(one.trace_digest(), two.trace_digest(), "seed {seed}");
    }
}
