//! Every toxic with times and bytes as arguments: nothing waits, nothing sleeps.

use proptest::prelude::*;

use super::*;

const MS: u64 = 1_000_000;

fn toxic(name: &str, kind: Kind) -> Toxic {
    Toxic { name: name.to_owned(), way: Way::Up, toxicity: 1.0, kind }
}

fn with(kinds: &[Kind]) -> Toxics {
    let named: Vec<Toxic> =
        kinds.iter().enumerate().map(|(number, kind)| toxic(&format!("t{number}"), *kind)).collect();
    Toxics::new(1, 1, &named, 0)
}

fn send(toxics: &mut Toxics, at_ms: u64, text: &'static str) {
    toxics.receive(at_ms * MS, Way::Up, Passed::Bytes(Bytes::from_static(text.as_bytes()), false));
}

fn end(toxics: &mut Toxics, at_ms: u64) {
    toxics.receive(at_ms * MS, Way::Up, Passed::End);
}

fn words(passed: &Passed) -> String {
    match passed {
        Passed::Bytes(bytes, is_slice) => {
            format!("{}{}", String::from_utf8_lossy(bytes), if *is_slice { "|" } else { "" })
        }
        other => format!("{other:?}"),
    }
}

/// What passes by a time.
fn by(toxics: &mut Toxics, at_ms: u64) -> Vec<String> {
    let poll = std::iter::from_fn(|| toxics.poll(at_ms * MS));
    poll.map(|(way, passed)| {
        assert_eq!(way, Way::Up);
        words(&passed)
    })
    .collect()
}

/// When things leave that are waited for to the end: (µs, what).
fn schedule(toxics: &mut Toxics) -> Vec<(u64, String)> {
    let mut left = Vec::new();
    while let Some(at_ns) = toxics.next_timeout() {
        assert!(left.len() < 10_000, "this has no end");
        while let Some((_, passed)) = toxics.poll(at_ns) {
            left.push((at_ns / 1_000, words(&passed)));
        }
    }
    left
}

fn ended(toxics: &mut Toxics) -> Vec<(String, bool)> {
    std::iter::from_fn(|| toxics.poll_event())
        .filter_map(|event| match event {
            Event::Ended { toxic, is_reset } => Some((toxic, is_reset)),
            Event::Decided { .. } => None,
        })
        .collect()
}

#[test]
fn without_toxics_everything_passes_at_once() {
    for kinds in [&[][..], &[Kind::Noop][..]] {
        let mut toxics = with(kinds);
        send(&mut toxics, 5, "a");
        end(&mut toxics, 5);
        assert_eq!(by(&mut toxics, 5), ["a", "End"]);
        assert_eq!((toxics.next_timeout(), toxics.is_empty()), (None, true));
    }
}

#[test]
fn latency_delays_and_keeps_the_order() {
    let mut toxics = with(&[Kind::Latency { latency_ms: 100, jitter_ms: 40 }]);
    for at_ms in 0..50 {
        send(&mut toxics, at_ms, "x");
    }
    end(&mut toxics, 50);
    let left = schedule(&mut toxics);
    assert_eq!(left.last().map(|(_, what)| what.as_str()), Some("End"));
    assert!(left.is_sorted_by_key(|(at_us, _)| *at_us));
    let delays: Vec<u64> =
        left[..50].iter().zip(0_u64..).map(|((at_us, _), sent)| at_us / 1_000 - sent).collect();
    assert!(delays.iter().all(|ms| (60..=140).contains(ms)), "{delays:?}");
    assert!(delays.iter().max() > delays.iter().min(), "there is no jitter");
}

#[test]
fn two_latencies_add_up_and_a_late_poll_adds_nothing() {
    let mut toxics = with(&[
        Kind::Latency { latency_ms: 100, jitter_ms: 0 },
        Kind::Latency { latency_ms: 50, jitter_ms: 0 },
    ]);
    send(&mut toxics, 0, "a");
    assert_eq!(by(&mut toxics, 120), [] as [&str; 0]);
    assert_eq!(toxics.next_timeout(), Some(150 * MS));
    assert_eq!(by(&mut toxics, 150), ["a"]);
}

#[test]
fn bandwidth_lets_so_many_bytes_pass_and_no_more() {
    let mut toxics = with(&[Kind::Bandwidth { rate_kb_per_s: 1 }]);
    toxics.receive(0, Way::Up, Passed::Bytes(Bytes::from(vec![b'x'; 1_000]), false));
    end(&mut toxics, 0);
    let left = schedule(&mut toxics);
    assert_eq!(
        left.iter().map(|(at_us, _)| *at_us).collect::<Vec<_>>(),
        [
            100_000, 200_000, 300_000, 400_000, 500_000, 600_000, 700_000, 800_000, 900_000, 1_000_000,
            1_000_000
        ]
    );
}

#[test]
fn a_bandwidth_of_nothing_holds_and_loses_nothing() {
    let mut toxics = with(&[Kind::Bandwidth { rate_kb_per_s: 0 }]);
    send(&mut toxics, 0, "held");
    end(&mut toxics, 1);
    assert_eq!((toxics.next_timeout(), toxics.is_empty()), (None, false));
    toxics.remove("t0", 9 * MS);
    assert_eq!(by(&mut toxics, 9), ["held", "End"]);
    assert_eq!(ended(&mut toxics), []);
}

#[test]
fn slow_close_delays_the_end_alone() {
    let mut toxics = with(&[Kind::SlowClose { delay_ms: 500 }]);
    send(&mut toxics, 0, "a");
    end(&mut toxics, 1);
    assert_eq!(schedule(&mut toxics), [(0, "a".to_owned()), (501_000, "End".to_owned())]);
}

#[test]
fn timeout_swallows_and_then_closes() {
    let mut toxics = with(&[Kind::Timeout { timeout_ms: 300 }]);
    send(&mut toxics, 0, "a");
    send(&mut toxics, 299, "b");
    assert_eq!(schedule(&mut toxics), [(300_000, "Close".to_owned())]);
    assert_eq!(ended(&mut toxics), [("t0".to_owned(), false)]);
    send(&mut toxics, 301, "c");
    assert_eq!(by(&mut toxics, 400), [] as [&str; 0]);
}

#[test]
fn a_timeout_without_time_goes_on_until_it_is_removed() {
    let mut toxics = with(&[Kind::Timeout { timeout_ms: 0 }]);
    assert_eq!(toxics.next_timeout(), None);
    toxics.remove("t0", 5 * MS);
    send(&mut toxics, 6, "nothing was lost");
    assert_eq!(by(&mut toxics, 6), ["nothing was lost"]);

    let mut toxics = with(&[Kind::Timeout { timeout_ms: 0 }]);
    send(&mut toxics, 0, "lost");
    toxics.remove("t0", 5 * MS);
    assert_eq!(by(&mut toxics, 5), ["Close"]);
    assert_eq!(ended(&mut toxics), [("t0".to_owned(), false)]);
}

#[test]
fn reset_peer_waits_for_the_first_bytes_and_then_for_its_time() {
    let mut toxics = with(&[Kind::ResetPeer { timeout_ms: 200 }]);
    assert_eq!(toxics.next_timeout(), None);
    send(&mut toxics, 50, "a");
    send(&mut toxics, 60, "b");
    assert_eq!(schedule(&mut toxics), [(250_000, "Reset".to_owned())]);
    assert_eq!(ended(&mut toxics), [("t0".to_owned(), true)]);

    let mut toxics = with(&[Kind::ResetPeer { timeout_ms: 0 }]);
    end(&mut toxics, 7);
    assert_eq!(by(&mut toxics, 7), ["Reset"]);
}

#[test]
fn slices_have_their_size_and_their_distance() {
    let mut toxics = with(&[Kind::Slicer { average_bytes: 10, variation_bytes: 4, delay_us: 500 }]);
    toxics.receive(0, Way::Up, Passed::Bytes(Bytes::from(vec![b'x'; 1_000]), false));
    let left = schedule(&mut toxics);
    let sizes: Vec<usize> = left.iter().map(|(_, what)| what.trim_end_matches('|').len()).collect();
    assert_eq!(sizes.iter().sum::<usize>(), 1_000);
    assert!(sizes[..sizes.len() - 1].iter().all(|size| (6..=14).contains(size)), "{sizes:?}");
    assert!(sizes.contains(&6) && sizes.contains(&14), "{sizes:?}");
    assert!(
        left.iter().zip(0_u64..).all(|((at_us, what), number)| *at_us == number * 500 && what.ends_with('|'))
    );
}

#[test]
fn limit_data_passes_its_bytes_and_closes() {
    let mut toxics = with(&[Kind::LimitData { limit_bytes: 5 }]);
    send(&mut toxics, 0, "abc");
    assert_eq!(by(&mut toxics, 0), ["abc"]);
    send(&mut toxics, 1, "defg");
    assert_eq!(by(&mut toxics, 1), ["de", "Close"]);
    assert_eq!(ended(&mut toxics), [("t0".to_owned(), false)]);

    let mut toxics = with(&[Kind::LimitData { limit_bytes: 0 }]);
    send(&mut toxics, 0, "a");
    assert_eq!(by(&mut toxics, 0), ["Close"]);
}

#[test]
fn exactly_as_many_bytes_as_the_limit_end_the_connection() {
    let mut toxics = with(&[Kind::LimitData { limit_bytes: 3 }]);
    send(&mut toxics, 0, "abc");
    assert_eq!(by(&mut toxics, 0), ["abc", "Close"]);
}

#[test]
fn a_changed_toxic_acts_on_what_already_waits() {
    let mut toxics = with(&[Kind::Latency { latency_ms: 60_000, jitter_ms: 0 }]);
    send(&mut toxics, 0, "a");
    toxics.change(&toxic("t0", Kind::Latency { latency_ms: 100, jitter_ms: 0 }));
    assert_eq!(toxics.next_timeout(), Some(100 * MS));
    toxics.change(&Toxic { toxicity: 0.0, ..toxic("t0", Kind::Latency { latency_ms: 100, jitter_ms: 0 }) });
    assert_eq!(by(&mut toxics, 1), ["a"]);
}

#[test]
fn a_removed_toxic_holds_nothing_back_and_the_next_one_still_acts() {
    let mut toxics = with(&[
        Kind::Latency { latency_ms: 60_000, jitter_ms: 0 },
        Kind::Latency { latency_ms: 10, jitter_ms: 0 },
    ]);
    send(&mut toxics, 0, "a");
    toxics.remove("t0", 5 * MS);
    assert_eq!(schedule(&mut toxics), [(15_000, "a".to_owned())]);
}

#[test]
fn a_full_chain_is_not_read() {
    let mut toxics = with(&[Kind::Bandwidth { rate_kb_per_s: 0 }]);
    let block = Bytes::from(vec![0; TOXIC_BYTES_MAX / 2]);
    toxics.receive(0, Way::Up, Passed::Bytes(block.clone(), false));
    assert!(toxics.is_reading(Way::Up));
    toxics.receive(0, Way::Up, Passed::Bytes(block, false));
    assert!(!toxics.is_reading(Way::Up) && toxics.is_reading(Way::Down));
}

/// Whether a toxic of that toxicity concerns each of a thousand connections.
fn concerned(seed: u64, toxicity: f32) -> Vec<bool> {
    let one = |connection| {
        let asked = Toxic { toxicity, ..toxic("half", Kind::Noop) };
        let mut toxics = Toxics::new(seed, connection, &[asked], 0);
        toxics.poll_event() == Some(Event::Decided { toxic: "half".to_owned(), applies: true })
    };
    (1..=1_000).map(one).collect()
}

#[test]
fn toxicity_is_decided_per_connection_by_the_seed() {
    let half = concerned(7, 0.5);
    assert_eq!(half, concerned(7, 0.5), "the same seed decides alike");
    assert_ne!(half, concerned(8, 0.5), "another seed decides otherwise");
    // 3 standard deviations of a thousand fair coins are 47.
    let hit = half.iter().filter(|hit| **hit).count();
    assert!((453..=547).contains(&hit), "{hit} of 1,000");
    assert!(concerned(7, 0.0).iter().all(|hit| !hit) && concerned(7, 1.0).iter().all(|hit| *hit));
    let more = concerned(7, 0.7);
    assert!(half.iter().zip(&more).all(|(half, more)| !half || *more), "more toxicity spares nobody");
}

fn any_kind() -> impl Strategy<Value = Kind> {
    prop_oneof![
        Just(Kind::Noop),
        (0_u64..50, 0_u64..60).prop_map(|(latency_ms, jitter_ms)| Kind::Latency { latency_ms, jitter_ms }),
        (1_u64..50).prop_map(|rate_kb_per_s| Kind::Bandwidth { rate_kb_per_s }),
        (0_u64..50).prop_map(|delay_ms| Kind::SlowClose { delay_ms }),
        (1_u32..50, 0_u64..500).prop_map(|(average_bytes, delay_us)| Kind::Slicer {
            average_bytes,
            variation_bytes: average_bytes / 2,
            delay_us
        }),
    ]
}

proptest! {
    #[test]
    fn what_does_not_lose_bytes_changes_none_and_ends_last(
        kinds in proptest::collection::vec(any_kind(), 0..4),
        chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..80), 0..20),
    ) {
        let mut toxics = with(&kinds);
        let mut got = Vec::new();
        let mut take = |passed: Option<(Way, Passed)>| match passed {
            Some((_, Passed::Bytes(bytes, _))) => { got.extend_from_slice(&bytes); true }
            Some((_, Passed::End)) => true,
            other => { assert_eq!(other, None); false }
        };
        for (at_ms, chunk) in (0..).zip(&chunks) {
            toxics.receive(at_ms * MS, Way::Up, Passed::Bytes(chunk.clone().into(), false));
            while take(toxics.poll(at_ms * MS)) {}
        }
        toxics.receive(20 * MS, Way::Up, Passed::End);
        while let Some(at_ns) = toxics.next_timeout() {
            while take(toxics.poll(at_ns.max(20 * MS))) {}
        }
        prop_assert!(toxics.is_empty());
        prop_assert_eq!(got, chunks.concat());
    }
}
