//! A simulated server, so that how often a comparison is wrong can be counted.

use super::*;
use crate::latency::INTERVAL_NS;

/// Seconds of a run.
const SECONDS: u64 = 60;
/// Messages of a second.
const PER_SECOND: usize = 200;

struct Server {
    state: u64,
    /// What this second is like against others, as a logarithm; it moves slowly.
    mood: f64,
    slowed_by: f64,
}

impl Server {
    fn new(seed: u64, slowed_by: f64) -> Self {
        Self { state: seed.wrapping_mul(0x5851_f42d_4c95_7f2d), mood: 0.0, slowed_by }
    }

    fn uniform(&mut self) -> f64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Box and Muller.
    fn normal(&mut self) -> f64 {
        let (one, other) = (1.0 - self.uniform(), self.uniform());
        (-2.0 * one.ln()).sqrt() * (std::f64::consts::TAU * other).cos()
    }

    /// A second that is like the one before it: correlation 0.7, deviation 4 % of the median.
    fn second(&mut self) -> Sparse {
        self.mood = 0.7 * self.mood + 0.04 * (1.0_f64 - 0.49).sqrt() * self.normal();
        let mut counts = Sparse::default();
        for _ in 0..PER_SECOND {
            let us = 1_000.0 * self.slowed_by * (self.mood + 0.4 * self.normal()).exp();
            counts.add(us as u64, 1);
        }
        counts.settle();
        counts
    }

    fn run(mut self) -> RunIntervals {
        let one = |second| IntervalCounts { from_ns: second * INTERVAL_NS, counts: self.second() };
        RunIntervals { intervals: (0..SECONDS).map(one).collect(), never: 0 }
    }
}

/// How the second of two servers comes out, over so many pairs of runs: the worst of all percentiles.
fn counted(pairs: u64, slowed_by: f64) -> [usize; 4] {
    let mut counts = [0; 4];
    for pair in 0..pairs {
        let (one, other) = (Server::new(2 * pair, 1.0).run(), Server::new(2 * pair + 1, slowed_by).run());
        let compared = compare(Stage::Delivered, [&[one], &[other]], 0, pair);
        let told = compared.iter().filter(|it| it.ratio.is_some());
        let worst = told.map(|it| it.change).max().unwrap_or(Change::CannotBeCompared);
        counts[worst as usize] += 1;
    }
    counts
}

#[test]
fn the_same_code_is_hardly_ever_called_slower() {
    let counts = counted(100, 1.0);
    assert!(counts[Change::Slower as usize] <= 2, "{counts:?}");
    assert_eq!(counts[Change::CannotBeCompared as usize], 0, "{counts:?}");
}

#[test]
fn a_server_that_is_a_fifth_slower_is_told() {
    let counts = counted(100, 1.2);
    assert!(counts[Change::Slower as usize] >= 95, "{counts:?}");
}

#[test]
fn a_faster_server_is_told_and_a_tiny_change_is_not() {
    let counts = counted(10, 0.8);
    assert!(counts[Change::Slower as usize] == 0, "{counts:?}");
    let counts = counted(10, 1.02);
    assert!(counts[Change::Slower as usize] == 0, "{counts:?}");
}

#[test]
fn too_little_is_said_and_nothing_is_divided_by_nothing() {
    let check = |runs: [&[RunIntervals]; 2], words: &str| {
        for compared in compare(Stage::Accepted, runs, 0, 1) {
            assert_eq!(compared.change, Change::CannotBeCompared);
            assert!(compared.why.contains(words), "{}", compared.why);
        }
    };
    let nothing = RunIntervals::default();
    check([&[], &[]], "0 samples");
    check([std::slice::from_ref(&nothing), std::slice::from_ref(&nothing)], "0 samples");
    let mut short = Server::new(1, 1.0).run();
    short.intervals.truncate(3);
    for interval in short.intervals.iter_mut().map(|interval| &mut interval.counts) {
        let more: Vec<(u64, u64)> = interval.pairs().to_vec();
        for (us, count) in more {
            interval.add(us, count * 100);
        }
        interval.settle();
    }
    check([std::slice::from_ref(&short), std::slice::from_ref(&short)], "independent stretches");
    let mut lost = Server::new(1, 1.0).run();
    lost.never = 12_000 * 3;
    let whole = Server::new(1, 1.0).run();
    let compared = compare(Stage::Accepted, [&[whole], &[lost]], 0, 1);
    assert_eq!(compared[0].change, Change::Slower, "half of them never arrived");
}

/// Half of the messages are faster and the slowest are slower: the worst counts, whichever side comes first, and it is said.
#[test]
fn percentiles_that_contradict_each_other_are_slower_and_say_so() {
    let one = |milli, change| Compared {
        stage: Stage::Delivered,
        percentile_milli: milli,
        us: [Some(100), Some(100)],
        ratio: Some((1.0, 1.0, 1.0)),
        change,
        why: String::new(),
    };
    let told = |changes: &[Change]| {
        let compared: Vec<Compared> =
            COMPARED_MILLI.into_iter().zip(changes).map(|(milli, change)| one(milli, *change)).collect();
        let change = Comparison::change_of(&compared);
        let sides = [Side::default(), Side::default()];
        let comparison = Comparison { change, obstacle: None, sides, compared, overlays: Vec::new() };
        let mut text = Vec::new();
        crate::render::write_comparison_text(&comparison, &mut text).unwrap();
        (change, comparison.contrary(), String::from_utf8(text).unwrap())
    };
    let (change, contrary, text) =
        told(&[Change::Faster, Change::Faster, Change::Slower, Change::CannotBeCompared]);
    assert_eq!((change, contrary), (Change::Slower, Some((1, 2))));
    assert!(
        text.contains("contrary: 1 percentile is slower and 2 percentiles are faster; the worst counts"),
        "{text}"
    );
    let (change, contrary, text) = told(&[Change::Slower, Change::NoDifferenceShown]);
    assert_eq!((change, contrary), (Change::Slower, None));
    assert!(!text.contains("contrary"), "{text}");
}
