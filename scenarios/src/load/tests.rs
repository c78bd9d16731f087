use super::*;

const SECOND: u64 = 1_000_000_000;

fn times(arrivals: &Arrivals, seed: u64) -> Vec<u64> {
    arrivals.times(seed).collect()
}

fn arrivals(spread: Spread, stretches: &[(u64, f64, f64)]) -> Arrivals {
    let stretch = |(lasts_ns, from_per_s, to_per_s): &(u64, f64, f64)| Stretch {
        lasts_ns: *lasts_ns,
        from_per_s: *from_per_s,
        to_per_s: *to_per_s,
    };
    Arrivals { spread, stretches: stretches.iter().map(stretch).collect(), burst: None }
}

#[test]
fn a_constant_rate_has_equal_gaps_and_does_not_drift() {
    let times = times(&Arrivals::constant(Spread::Constant, 1_000.0, 10 * SECOND), 1);
    assert_eq!(times.len(), 10_000);
    for (index, at_ns) in times.iter().enumerate() {
        assert!(at_ns.abs_diff(index as u64 * 1_000_000 + 500_000) <= 1, "{index}: {at_ns}");
    }
}

#[test]
fn random_arrivals_have_the_rate_and_the_gaps_of_a_poisson_process() {
    let times = times(&Arrivals::constant(Spread::Poisson, 1_000.0, 100 * SECOND), 3);
    // The deviation of the count is its root: 316.
    assert!(times.len().abs_diff(100_000) < 1_000, "{}", times.len());
    let gaps: Vec<f64> = times.windows(2).map(|pair| (pair[1] - pair[0]) as f64).collect();
    let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
    let beyond = gaps.iter().filter(|gap| **gap > 3.0 * mean).count() as f64 / gaps.len() as f64;
    // e^-3 of exponential gaps are longer than three means.
    assert!((beyond - 0.0498).abs() < 0.004, "{beyond}");
}

#[test]
fn a_ramp_rises_and_a_step_jumps() {
    let count = |times: &[u64], from_s: u64, to_s: u64| {
        times.iter().filter(|at| (from_s * SECOND..to_s * SECOND).contains(at)).count()
    };
    let ramp = times(&arrivals(Spread::Constant, &[(10 * SECOND, 0.0, 1_000.0)]), 1);
    assert_eq!(ramp.len(), 5_000);
    assert_eq!((count(&ramp, 0, 5), count(&ramp, 5, 10)), (1_250, 3_750));
    let steps = times(&arrivals(Spread::Constant, &[(SECOND, 100.0, 100.0), (SECOND, 500.0, 500.0)]), 1);
    assert_eq!((count(&steps, 0, 1), count(&steps, 1, 2)), (100, 500));
}

#[test]
fn bursts_come_beside_the_rate_and_times_never_fall() {
    let mut arrivals = Arrivals::constant(Spread::Poisson, 50.0, 10 * SECOND);
    arrivals.burst = Some(Burst { messages: 30, every_ns: 3 * SECOND });
    let times = times(&arrivals, 5);
    assert!(times.is_sorted());
    for at_s in [3, 6, 9] {
        assert_eq!(times.iter().filter(|at| **at == at_s * SECOND).count(), 30);
    }
    assert!(arrivals.expected() > 589.9 && arrivals.expected() < 590.1);
    assert!(times.iter().all(|at| *at < 10 * SECOND));
}

#[test]
fn a_rate_of_nothing_sends_nothing_and_ends() {
    for stretches in [&[(SECOND, 0.0, 0.0)][..], &[], &[(0, 5.0, 5.0)]] {
        for spread in [Spread::Poisson, Spread::Constant] {
            assert!(times(&arrivals(spread, stretches), 1).is_empty(), "{stretches:?}");
        }
    }
}

fn schedule(shard: (u64, u64)) -> Schedule {
    Schedule {
        seed: 9,
        arrivals: Arrivals::constant(Spread::Poisson, 500.0, SECOND),
        senders: (0..4).map(|device| Sender { device, conversation: device / 2 }).collect(),
        shares: Vec::new(),
        sizes: SizeMix::from_text("64 B 50%, 1..2 kB 50%").unwrap(),
        shard,
    }
}

#[test]
fn the_same_seed_gives_the_same_messages_and_shards_share_no_ids() {
    let ids = |shard| schedule(shard).sends().map(|send| send.message).collect::<Vec<_>>();
    assert_eq!(schedule((0, 1)).sends().collect::<Vec<_>>(), schedule((0, 1)).sends().collect::<Vec<_>>());
    assert_eq!(ids((0, 1))[..3], [1, 2, 3]);
    assert_eq!((ids((0, 2))[..3].to_vec(), ids((1, 2))[..3].to_vec()), (vec![1, 3, 5], vec![2, 4, 6]));
    let when = |shard| schedule(shard).sends().map(|send| send.at_ns).next();
    assert_ne!(when((0, 2)), when((1, 2)), "shards do not send in step");
}

#[test]
fn sizes_follow_their_shares() {
    let mix = SizeMix::from_text("64 B 90%, 1..2 kB 10%").unwrap();
    let sizes: Vec<u32> = (0..10_000).map(|message| mix.of(1, message)).collect();
    let large = sizes.iter().filter(|size| (1_000..=2_000).contains(*size)).count();
    assert!(large.abs_diff(1_000) < 100, "{large}");
    assert_eq!(sizes.iter().filter(|size| **size == 64).count(), 10_000 - large);
    assert_eq!(
        (mix.to_string(), mix.extent().0, mix.extent().2),
        ("64 B 90%, 1000..2000 B 10%".to_owned(), 64, 2_000)
    );
    assert_eq!(SizeMix::from_text("64..512 B").unwrap().to_string(), "64..512 B");
    for (text, words) in [
        ("64 B 90%", "add up to 90 %"),
        ("64 B 50%, 1 kB", "`1 kB` has no share"),
        ("0 B", "0 B is too small"),
        ("", "has no unit"),
    ] {
        let complaint = SizeMix::from_text(text).unwrap_err().to_string();
        assert!(complaint.contains(words), "{text}: {complaint}");
    }
}

/// Two pairs say nine tenths, a group of three the rest: also where messages come at equal gaps.
#[test]
fn senders_follow_their_shares_and_among_them_all_say_as_much() {
    let senders: Vec<Sender> = (0..5).map(|device| Sender { device, conversation: device.min(2) }).collect();
    let shares = vec![SenderShare { senders: 2, ppm: 900_000 }, SenderShare { senders: 3, ppm: 100_000 }];
    for spread in [Spread::Poisson, Spread::Constant] {
        let arrivals = Arrivals::constant(spread, 10_000.0, 3 * SECOND);
        let (senders, shares) = (senders.clone(), shares.clone());
        let schedule = Schedule { arrivals, senders, shares, ..schedule((0, 1)) };
        let mut counts = [0_u64; 5];
        schedule.sends().for_each(|send| counts[send.sender.device as usize] += 1);
        let all: u64 = counts.iter().sum();
        for (count, tenths) in counts.into_iter().zip([4.5, 4.5, 1.0 / 3.0, 1.0 / 3.0, 1.0 / 3.0]) {
            let expected = all as f64 * tenths / 10.0;
            assert!((count as f64 - expected).abs() < 5.0 * expected.sqrt(), "{spread:?}: {counts:?}");
        }
    }
}
