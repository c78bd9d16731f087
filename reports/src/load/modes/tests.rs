//! Histograms with and without something in them. Drawn from one seed, so that no test fails by chance.

use super::*;
use crate::history::{Device, Event, Message, Phase, Rung, User, What};
use crate::latency::{LATENCY_US_MAX, LATENCY_US_MIN, SIGNIFICANT_DIGITS};

/// Uniform in (0, 1), by `SplitMix64`.
struct Draws(u64);

impl Draws {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64 + 1e-17
    }

    fn normal(&mut self) -> f64 {
        (-2.0 * self.uniform().ln()).sqrt() * (std::f64::consts::TAU * self.uniform()).cos()
    }

    fn log_normal(&mut self, median_us: f64, deviation: f64) -> f64 {
        median_us * (deviation * self.normal()).exp()
    }
}

fn histogram(values_us: impl IntoIterator<Item = f64>) -> Histogram<u64> {
    let mut histogram = Histogram::new_with_bounds(LATENCY_US_MIN, LATENCY_US_MAX, SIGNIFICANT_DIGITS)
        .expect("they are allowed");
    values_us.into_iter().for_each(|value_us| histogram.saturating_record((value_us as u64).max(1)));
    histogram
}

fn told(values_us: impl IntoIterator<Item = f64>, gap: Option<Gap>) -> Vec<String> {
    of_stage("accepted", &histogram(values_us), gap)
}

#[track_caller]
fn check(told: &[String], expected: &[&str]) {
    assert_eq!(told.len(), expected.len(), "{told:#?}");
    for (told, expected) in told.iter().zip(expected) {
        assert!(told.contains(expected), "{told}");
    }
}

#[test]
fn a_smooth_log_normal_has_nothing_in_it_wherever_it_lies() {
    let gap = Some(Gap { mean_us: 16_000.0, is_equal: true });
    for median_us in [90.0, 300.0, 800.0, 1_020.0, 4_100.0, 10_300.0, 16_000.0, 41_000.0, 205_000.0] {
        for deviation in [0.25, 0.5, 1.0, 1.5] {
            for samples in [150, 1_000, 20_000, 80_000] {
                let mut draws = Draws(samples);
                let values = (0..samples).map(|_| draws.log_normal(median_us, deviation));
                let told = told(values, gap);
                assert!(told.is_empty(), "{median_us} {deviation} {samples}: {told:#?}");
            }
        }
    }
}

#[test]
fn a_few_late_acknowledgements_beside_many_early_ones_are_named() {
    let mut draws = Draws(1);
    let mut values: Vec<f64> = (0..5_000).map(|_| draws.log_normal(400.0, 0.4)).collect();
    values.extend((0..60).map(|_| 40_600.0 + draws.uniform() * 3_000.0));
    check(&told(values.clone(), None), &["accepted: 60 of 5060 latencies gather around 42."]);
    assert!(told(values, None)[0].contains("Nagle's algorithm waiting for a delayed acknowledgement"));
}

/// What the answer takes comes on top of 40 ms and of what is left of a tick of 4 ms: the slower it is otherwise, the wider the peak.
#[test]
fn a_delayed_acknowledgement_is_known_by_its_steep_begin_however_wide_the_rest() {
    for (number, (median_us, deviation, share)) in [
        (300.0, 0.4, 0.01),
        (1_500.0, 0.5, 0.1),
        (3_000.0, 0.8, 0.2),
        (6_000.0, 0.6, 0.2),
        (8_000.0, 0.9, 0.3),
    ]
    .into_iter()
    .enumerate()
    {
        let mut draws = Draws(100 + number as u64);
        let values: Vec<f64> = (0..20_000)
            .map(|_| {
                let waits = if draws.uniform() < share { 40_000.0 + 4_000.0 * draws.uniform() } else { 0.0 };
                waits + draws.log_normal(median_us, deviation)
            })
            .collect();
        let told = told(values, None);
        // And the others, wide as they are, are no group apart.
        check(&told, &["Nagle's algorithm waiting for a delayed acknowledgement"]);
    }
}

/// Near 40 ms, and begun long before, or long after what a delay adds up to.
#[test]
fn what_lies_about_40_ms_and_does_not_begin_there_is_no_delayed_acknowledgement() {
    type Group = fn(&mut Draws) -> f64;
    let groups: [(&str, Group); 6] = [
        ("a hump", |draws| draws.log_normal(41_250.0, 0.2)),
        ("a wide hump", |draws| draws.log_normal(42_000.0, 0.4)),
        ("from 30 to 60 ms", |draws| 30_000.0 + 30_000.0 * draws.uniform()),
        ("before it", |draws| 35_000.0 + 1_000.0 * draws.uniform()),
        ("behind it", |draws| 48_000.0 + 1_500.0 * draws.uniform()),
        ("a tail from 33 ms", |draws| 33_000.0 - 8_000.0 * draws.uniform().ln()),
    ];
    for (name, group) in groups {
        for share in [0.05, 0.2] {
            let mut draws = Draws(7);
            let values: Vec<f64> =
                (0..20_000)
                    .map(|_| {
                        if draws.uniform() < share { group(&mut draws) } else { draws.log_normal(400.0, 0.4) }
                    })
                    .collect();
            let told = told(values, None);
            assert!(told.iter().all(|words| !words.contains("Nagle")), "{name}: {told:#?}");
        }
    }
}

#[test]
fn a_group_of_no_known_length_is_told_without_a_cause() {
    let mut draws = Draws(2);
    let mut values: Vec<f64> = (0..20_000).map(|_| draws.log_normal(700.0, 0.4)).collect();
    values.extend((0..800).map(|_| draws.log_normal(70_000.0, 0.08)));
    check(&told(values, None), &["apart from the rest; no cause is known"]);
}

#[test]
fn what_takes_as_long_as_a_gap_waits_for_the_next_message() {
    let mut draws = Draws(3);
    let values: Vec<f64> = (0..4_000).map(|_| 16_100.0 + draws.uniform() * 500.0).collect();
    let gap = |is_equal| Some(Gap { mean_us: 16_000.0, is_equal });
    check(
        &told(values.clone(), gap(true)),
        &["waits for its sender's next message, which comes after 16.00 ms"],
    );
    check(&told(values.clone(), gap(false)), &[]);
    check(&told(values, Some(Gap { mean_us: 20_000.0, is_equal: true })), &[]);
    // Two causes are as long: neither is left out.
    let values: Vec<f64> = (0..4_000).map(|_| 40_100.0 + draws.uniform() * 500.0).collect();
    let both = told(values, Some(Gap { mean_us: 40_000.0, is_equal: true }));
    check(&both, &["next message, which comes after 40.00 ms, or Nagle's algorithm"]);
}

#[test]
fn gaps_of_chance_are_known_by_the_median_and_by_deliveries_that_do_not_wait() {
    let mut draws = Draws(4);
    let gap = Gap { mean_us: 16_000.0, is_equal: false };
    let waiting = histogram((0..5_000).map(|_| 200.0 - 16_000.0 * draws.uniform().ln()));
    let fast = histogram((0..5_000).map(|_| draws.log_normal(300.0, 0.4)));
    let slow = histogram((0..5_000).map(|_| draws.log_normal(10_500.0, 0.4)));
    let words = waits_for_the_next(&waiting, &fast, gap).expect("it waits");
    assert!(words.contains("which comes after 16.00 ms on average"), "{words}");
    assert_eq!(waits_for_the_next(&waiting, &slow, gap), None, "everything is slow");
    assert_eq!(waits_for_the_next(&fast, &fast, gap), None, "nobody waits");
    assert_eq!(waits_for_the_next(&waiting, &fast, Gap { mean_us: 30_000.0, ..gap }), None);
}

#[test]
fn ticks_are_seen_one_by_one_and_as_a_comb() {
    let mut draws = Draws(5);
    let once: Vec<f64> = (0..3_000).map(|_| 10_050.0 + draws.uniform() * 300.0).collect();
    check(&told(once, None), &["gather around 10.20 ms: this looks like ticks of 10.00 ms"]);
    for tick_us in [1_000.0, 4_000.0, 10_000.0] {
        let values: Vec<f64> = (0..6_000)
            .map(|_| tick_us * (draws.uniform() * 5.0).ceil() + tick_us * 0.05 * draws.uniform())
            .collect();
        let told = told(values, None);
        let tick = show_us(tick_us as u64);
        check(&told, &[&format!("gather at multiples of {tick}: this looks like ticks of {tick}")]);
    }
    // Two ticks are not a third cause.
    let mut twice: Vec<f64> = (0..40_000).map(|_| 600.0 + draws.uniform() * 600.0).collect();
    twice.extend((0..4_000).map(|number| 4_010.0 * f64::from(1 + number % 2) + draws.uniform() * 100.0));
    check(&told(twice, None), &["gather around 4.06 ms: this looks like ticks of 4.00 ms"]);
    let even: Vec<f64> = (0..6_000).map(|_| 1_000.0 + draws.uniform() * 40_000.0).collect();
    check(&told(even, None), &[]);
}

#[test]
fn what_is_sent_again_takes_200_ms() {
    let mut draws = Draws(6);
    let mut values: Vec<f64> = (0..20_000).map(|_| draws.log_normal(300.0, 0.5)).collect();
    values.extend((0..100).map(|_| 203_000.0 + draws.uniform() * 4_000.0));
    check(&told(values, None), &["something that was lost and sent again"]);
}

fn at(at_ns: u64, what: What) -> Event {
    Event { at_ns, what }
}

/// A message every millisecond for five seconds; the server stands still from the second on, as long as it is told.
fn stalled(length_ns: u64) -> LatencyRecorder {
    let conversation = crate::history::Conversation(0);
    let mut latency = LatencyRecorder::default();
    let mut events = vec![
        at(0, What::Device { device: Device(0), user: User(0), name: "a".to_owned() }),
        at(0, What::Conversation { conversation, name: "c".to_owned(), members: vec![User(1)] }),
        at(0, What::Phase { phase: Phase::Chaos }),
        at(1_000_000_000, What::FaultStarted { id: 0, kind: "pause".to_owned(), target: "n1".to_owned() }),
        at(1_000_000_000 + length_ns, What::FaultEnded { id: 0, evidence: String::new() }),
    ];
    for number in 0..5_000 {
        let sent_ns = number * 1_000_000 + 7;
        let stands = (1_000_000_000..1_000_000_000 + length_ns).contains(&sent_ns);
        let done_ns = if stands { 1_000_000_000 + length_ns } else { sent_ns } + 200_000;
        let (message, device) = (Message(number + 1), Device(0));
        let (intended_ns, bytes, digest, reply_to) = (sent_ns, 9, 0, None);
        events.push(at(
            sent_ns,
            What::Send { device, conversation, message, intended_ns, bytes, digest, reply_to },
        ));
        events.push(at(done_ns, What::Accepted { device, message, seq: None, rung: Rung::Accepted }));
    }
    events.sort_by_key(|event| event.at_ns);
    for event in &events {
        latency.observe(event);
    }
    latency.close_interval();
    latency
}

#[test]
fn whoever_waited_for_the_end_of_a_fault_took_as_long_as_it() {
    let window = |to_ns| {
        let figures = stalled(800_000_000).faults();
        let window = FaultWindow::new(0, "pause at 1s for 800ms".to_owned(), figures.first());
        FaultWindow { to_ns: Some(to_ns), ..window }
    };
    let words = modes_seen(&stalled(800_000_000), None, &[window(1_800_000_000)]);
    check(&words, &["is about as long as the fault `pause at 1s for 800ms` (800.00 ms)"]);
    // It lasted twice as long, and nobody waited so long.
    check(&modes_seen(&stalled(800_000_000), None, &[window(2_600_000_000)]), &[]);
    check(&modes_seen(&LatencyRecorder::default(), None, &[window(1_800_000_000)]), &[]);
}
