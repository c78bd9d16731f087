//! Hand-made histories with latencies that are known.

use hdrhistogram::serialization::Deserializer;
use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

use super::*;
use crate::history::{Conversation, Device, Event, Message, ReceiptKind, Rung, User, What};
use crate::verdict::Verdict;

const MS: u64 = 1_000_000;
const C: Conversation = Conversation(0);

fn at(at_ns: u64, what: What) -> Event {
    Event { at_ns, what }
}

/// A sender (device 0) and two recipients, of three users, in one conversation.
fn recorder() -> LatencyRecorder {
    let mut recorder = LatencyRecorder::default();
    for index in 0..3 {
        let what = What::Device { device: Device(index), user: User(index), name: format!("d{index}") };
        recorder.observe(&at(0, what));
    }
    let members = (0..3).map(User).collect();
    recorder.observe(&at(0, What::Conversation { conversation: C, name: "c".to_owned(), members }));
    recorder
}

fn send(at_ns: u64, intended_ns: u64, message: u64) -> Event {
    let (device, message) = (Device(0), Message(message));
    at(
        at_ns,
        What::Send { device, conversation: C, message, intended_ns, bytes: 1, digest: 0, reply_to: None },
    )
}

fn accepted(at_ns: u64, message: u64) -> Event {
    let (device, message, seq) = (Device(0), Message(message), Some(message));
    at(at_ns, What::Accepted { device, message, seq, rung: Rung::Stored })
}

fn delivered(at_ns: u64, device: u32, message: u64) -> Event {
    let (device, seq, message) = (Device(device), Some(message), Some(Message(message)));
    at(at_ns, What::Delivered { device, conversation: C, message, seq, digest: 0, redelivered: false })
}

fn receipt(at_ns: u64, by: u32, up_to: u64) -> Event {
    let (device, by, kind) = (Device(0), Device(by), ReceiptKind::Delivered);
    at(at_ns, What::Receipt { device, conversation: C, by, kind, up_to })
}

/// Feeds the events and tells each row as `tag count+never p50 max`.
fn check(events: &[Event], expected: &[&str]) -> LatencyRecorder {
    let mut recorder = recorder();
    for event in events {
        recorder.observe(event);
    }
    let show = |value: Option<u64>| value.map_or("never".to_owned(), |value| value.to_string());
    let rows = recorder.summary().rows;
    let rows = rows.iter().map(|row| {
        let (p50, max) = (show(row.p50_us), show(row.max_us));
        format!("{} {}+{} {p50} {max}", row.series().tag(), row.count, row.never)
    });
    assert_eq!(rows.collect::<Vec<_>>(), expected);
    recorder
}

#[test]
fn each_stage_is_measured_from_the_intended_and_from_the_actual_send() {
    let events = [
        send(10 * MS, 9 * MS, 1),
        delivered(11 * MS, 0, 1),
        delivered(11 * MS, 1, 1),
        accepted(12 * MS, 1),
        delivered(13 * MS, 2, 1),
        receipt(14 * MS, 1, 1),
        receipt(15 * MS, 2, 1),
    ];
    let recorder = check(
        &events,
        &[
            "accepted-intended-outside 1+0 3000 3000",
            "accepted-sent-outside 1+0 2000 2000",
            "delivered-intended-outside 2+0 2000 4000",
            "delivered-sent-outside 2+0 1000 3000",
            "receipt-intended-outside 2+0 5000 6000",
            "receipt-sent-outside 2+0 4000 5000",
        ],
    );
    assert_eq!(recorder.tracked(), 0, "a message that nobody waits for is let go");
}

#[test]
fn what_never_arrives_is_infinite() {
    let events = [
        send(10 * MS, 10 * MS, 1),
        accepted(12 * MS, 1),
        delivered(13 * MS, 1, 1),
        send(14 * MS, 14 * MS, 2),
    ];
    check(
        &events,
        &[
            "accepted-intended-outside 1+1 2000 never",
            "accepted-sent-outside 1+1 2000 never",
            "delivered-intended-outside 1+1 3000 never",
            "delivered-sent-outside 1+1 3000 never",
        ],
    );
}

#[test]
fn a_refused_message_is_owed_to_nobody() {
    let rejected = What::Rejected { device: Device(0), message: Message(1), code: "full".to_owned() };
    let recorder = check(&[send(10 * MS, 10 * MS, 1), at(11 * MS, rejected)], &[]);
    assert_eq!(recorder.tracked(), 0);
}

#[test]
fn a_fault_between_start_and_end_puts_a_latency_inside() {
    let start = What::FaultStarted { id: 4, kind: "kill".to_owned(), target: "n1".to_owned() };
    let end = What::FaultEnded { id: 4, evidence: "restarted".to_owned() };
    let events = [
        send(10 * MS, 10 * MS, 1),
        accepted(11 * MS, 1),
        send(12 * MS, 12 * MS, 2),
        at(13 * MS, start),
        at(14 * MS, end),
        accepted(16 * MS, 2),
        send(17 * MS, 14 * MS, 3),
        accepted(18 * MS, 3),
        send(20 * MS, 20 * MS, 4),
        accepted(25 * MS, 4),
    ];
    let recorder = check(
        &events[..],
        &[
            "accepted-intended-outside 2+0 1000 5000",
            "accepted-intended-inside 2+0 4000 4000",
            "accepted-sent-outside 3+0 1000 5000",
            "accepted-sent-inside 1+0 4000 4000",
            "delivered-intended-outside 0+2 never never",
            "delivered-intended-inside 0+6 never never",
            "delivered-sent-outside 0+4 never never",
            "delivered-sent-inside 0+4 never never",
        ],
    );
    assert_eq!(recorder.tracked(), 4);
}

#[test]
fn receipts_are_cumulative_and_may_come_before_the_acceptance() {
    let mut events: Vec<_> = (1..=3).map(|message| send(message * MS, message * MS, message)).collect();
    events.extend([accepted(10 * MS, 1), accepted(10 * MS, 2)]);
    events.extend([
        receipt(11 * MS, 1, 3),
        receipt(11 * MS, 1, 2),
        receipt(12 * MS, 2, 3),
        accepted(13 * MS, 3),
    ]);
    let mut recorder = recorder();
    for event in &events {
        recorder.observe(event);
    }
    let series = Series { stage: Stage::Receipt, from: From::Sent, window: Window::Outside };
    assert_eq!(recorder.total(series).len(), 6);
    assert_eq!(recorder.total(series).min(), 9_000);
}

#[test]
fn gates_need_samples_and_count_losses() {
    let check = |messages: u64, lost: u64, limit_us: u64, milli: u32, expected: (Verdict, &str)| {
        let mut recorder = recorder();
        for message in 0..messages {
            recorder.observe(&send(message * MS, message * MS, message));
            if message >= lost {
                recorder.observe(&accepted(message * MS + 500_000, message));
            }
        }
        let result = recorder.judge(LatencyGate {
            stage: Stage::Accepted,
            percentile_milli: milli,
            at_most_us: limit_us,
        });
        assert_eq!((result.verdict, result.observed.as_str()), expected);
    };
    check(1_000, 0, 500, 99_000, (Verdict::Pass, "p99 500 µs (limit 500 µs) of 1000 samples"));
    check(1_000, 0, 499, 99_000, (Verdict::Violated, "p99 500 µs (limit 499 µs) of 1000 samples"));
    check(999, 0, 500, 99_000, (Verdict::Inconclusive, "999 samples outside fault windows; p99 needs 1000"));
    check(1_000, 10, 2_000, 99_000, (Verdict::Pass, "p99 500 µs (limit 2.00 ms) of 1000 samples"));
    check(
        1_000,
        11,
        2_000,
        99_000,
        (Verdict::Violated, "p99 never (limit 2.00 ms): 11 of 1000 never arrived"),
    );
    check(0, 0, 2_000, 100_000, (Verdict::Inconclusive, "0 samples outside fault windows; max needs 1"));
    check(10, 0, 2_000, 100_000, (Verdict::Pass, "max 500 µs (limit 2.00 ms) of 10 samples"));
}

#[test]
fn few_samples_are_marked() {
    let check = |milli: u32, expected: u64| assert_eq!(samples_needed(milli), expected);
    check(50_000, 20);
    check(90_000, 100);
    check(99_000, 1_000);
    check(99_900, 10_000);
    check(100_000, 1);
}

#[test]
fn the_interval_log_can_be_read_back() {
    let mut recorder = recorder();
    for (message, start_ns) in [(1, 0), (2, 700 * MS), (3, 2_100 * MS)] {
        recorder.observe(&send(start_ns, start_ns, message));
        recorder.observe(&accepted(start_ns + 400 * MS, message));
    }
    let mut text = Vec::new();
    recorder.write_hlog(&mut text).unwrap();
    let mut found = Vec::new();
    let mut deserializer = Deserializer::new();
    for entry in IntervalLogIterator::new(&text) {
        let LogEntry::Interval(interval) = entry.unwrap() else { continue };
        let bytes = unbase64(interval.encoded_histogram());
        let histogram: hdrhistogram::Histogram<u64> =
            deserializer.deserialize(&mut bytes.as_slice()).unwrap();
        let (tag, start) = (interval.tag().unwrap().as_str(), interval.start_timestamp().as_secs());
        found.push(format!("{start} {tag} {} {}", histogram.len(), histogram.max() / 1_000));
    }
    let tags = ["accepted-intended-outside", "accepted-sent-outside"];
    let expected = [0, 1, 2].into_iter().flat_map(|start| tags.map(|tag| format!("{start} {tag} 1 400")));
    assert_eq!(found, expected.collect::<Vec<_>>());
}

fn unbase64(text: &str) -> Vec<u8> {
    let digit = |byte: u8| match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let bits = text.trim_end_matches('=').bytes().map(digit).collect::<Vec<_>>();
    let groups = bits.chunks(4).flat_map(|group| {
        let value = group.iter().fold(0_u32, |value, digit| value << 6 | u32::from(*digit))
            << (6 * (4 - group.len()));
        value.to_be_bytes()[1..group.len()].to_vec()
    });
    groups.collect()
}

#[test]
fn a_distribution_is_written_as_plotters_read_it() {
    let mut recorder = recorder();
    for message in 0..4 {
        recorder.observe(&send(message * MS, message * MS, message));
        recorder.observe(&accepted(message * MS + (message + 1) * 100_000, message));
    }
    let series = Series { stage: Stage::Accepted, from: From::Sent, window: Window::Outside };
    let mut text = Vec::new();
    write_hgrm(recorder.total(series), &mut text).unwrap();
    let text = String::from_utf8(text).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines[0], "       Value     Percentile TotalCount 1/(1-Percentile)");
    assert_eq!(lines[2], "       0.100 0.000000000000          1           1.00");
    assert_eq!(
        &lines[lines.len() - 4..],
        [
            "       0.400 1.000000000000          4            inf",
            "#[Mean    =        0.250, StdDeviation   =        0.112]",
            "#[Max     =        0.400, Total count    =            4]",
            "#[Buckets =           22, SubBuckets     =         2048]",
        ]
    );
}

/// At 75 % of 2,532 samples stands the 1,899th, not the one after it: a quantile that is met exactly is met.
#[test]
fn a_distribution_does_not_skip_the_sample_that_meets_a_quantile() {
    let mut histogram = super::recorder::histogram();
    (1..=2_532).for_each(|value| histogram.record(value).unwrap());
    let mut text = Vec::new();
    write_hgrm(&histogram, &mut text).unwrap();
    let text = String::from_utf8(text).unwrap();
    let check = |quantile: &str, up_to: &str| {
        let line = text.lines().find(|line| line.split_whitespace().nth(1) == Some(quantile)).unwrap();
        assert_eq!(line.split_whitespace().nth(2), Some(up_to), "{line}");
    };
    check("0.000000000000", "1");
    check("0.500000000000", "1266");
    check("0.750000000000", "1899");
    check("1.000000000000", "2532");
    assert!(text.lines().filter(|line| line.split_whitespace().nth(2) == Some("2532")).count() <= 2);
}

#[test]
fn memory_is_bounded_when_nobody_answers() {
    let mut recorder = recorder();
    for message in 0..MESSAGES_TRACKED_MAX as u64 + 100 {
        recorder.observe(&send(message, message, message));
    }
    assert_eq!(recorder.tracked(), MESSAGES_TRACKED_MAX);
    assert_eq!(recorder.summary().forgotten, 100);
}

#[test]
fn an_interval_log_that_is_read_again_gives_the_recorders_figures() {
    let mut recorder = recorder();
    for message in 1..=50 {
        let now = message * 37 * MS;
        recorder.observe(&send(now, now - message % 3 * MS, message));
        recorder.observe(&accepted(now + message * 1_000, message));
        recorder.observe(&delivered(now + message * 2_000, 1, message));
        if message % 5 > 0 {
            recorder.observe(&delivered(now + MS, 2, message));
        }
    }
    let mut log = Vec::new();
    recorder.write_hlog(&mut log).unwrap();
    let over_time = OverTime::read(log.as_slice()).unwrap();
    let summary = recorder.summary();
    for (series, total) in &over_time.totals {
        assert_eq!(total.count(), recorder.total(*series).len(), "{}", series.tag());
        let Some(row) = summary.row(*series) else { continue };
        for (milli, expected) in PERCENTILES_MILLI.into_iter().zip(row.percentiles_us()) {
            assert_eq!(total.percentile_us(milli, row.never), expected, "{} {milli}", series.tag());
        }
    }
    let columns: u64 = over_time.columns.values().flat_map(|column| &column.stages).map(Sparse::count).sum();
    assert_eq!(columns, 50 + 50 + 40);
    assert_eq!((over_time.others, over_time.end_ns()), (0, 2 * INTERVAL_NS));
}
