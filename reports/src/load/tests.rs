use super::*;
use crate::history::{Conversation, Device, Event, Message, Phase, Rung, User, What};
use crate::latency::{From, LatencyGate, LatencyRecorder, Stage};
use crate::verdict::Verdict;

fn record() -> LoadRecord {
    LoadRecord {
        avouch_load: LOAD_VERSION,
        target: "mosquitto/qos1".to_owned(),
        protocol: "MQTT 3.1.1".to_owned(),
        outcome: Outcome::Passed,
        verdict: "held".to_owned(),
        reasons: Vec::new(),
        repeat: "avouch load mosquitto".to_owned(),
        seed: 1,
        shard: Some(Shard { number: 1, of: 2, start_unix_ms: 5 }),
        merged_from: 1,
        arrival: Arrival {
            kind: ArrivalKind::Poisson,
            closed_loop: false,
            rates_per_s: vec![1_000.0],
            burst_messages: 0,
            burst_every_ns: 0,
            window: 0,
            words: "Poisson, 1,000 messages/s".to_owned(),
        },
        begun_ns: 1_000_000_000,
        duration_ns: 10_000_000_000,
        payload: Payload { words: "128 B".to_owned(), bytes_min: 128, bytes_mean: 128.0, bytes_max: 128 },
        shape: Shape {
            kind: ShapeKind::OneToOne,
            conversations: 8,
            members: 2,
            sizes: Vec::new(),
            sessions: 16,
            idle_sessions: 0,
            words: "8 pairs".to_owned(),
        },
        totals: Totals { intended: 10_000, sent: 10_000, accepted: 10_000, ..Totals::default() },
        latency: Vec::new(),
        by_size: Vec::new(),
        bars: Vec::new(),
        connections: None,
        seconds: vec![SecondRow { second: 0, accepted_p50_us: Some(90), ..SecondRow::default() }],
        columns: None,
        faults: Vec::new(),
        generator: Generator::default(),
        noise_floor: Some(NoiseFloor::default()),
        objectives: Vec::new(),
        knee_steps: vec![KneeStep { offered_per_s: 500.0, ..KneeStep::default() }],
        knee: None,
        modes_seen: Vec::new(),
        remarks: Vec::new(),
    }
}

#[test]
fn a_record_comes_back_as_it_was_written() {
    let text = serde_json::to_string(&record()).unwrap();
    assert_eq!(LoadRecord::from_json(text.as_bytes()).unwrap(), record());
}

#[test]
fn what_is_no_load_record_of_this_version_is_refused_in_words() {
    let refused = |text: &str| LoadRecord::from_json(text.as_bytes()).unwrap_err().to_string();
    assert!(refused("{}").starts_with("not a load record: missing field `avouch_load`"));
    assert!(refused(r#"{"avouch_load": 2}"#).starts_with("load record version 2 is newer"));
    let with_more = serde_json::to_string(&record()).unwrap().replacen("\"seed\"", "\"\\u001bseed\"", 1);
    let words = refused(&with_more);
    assert!(words.starts_with("not a load record: unknown field") && !words.contains('\u{1b}'), "{words}");
}

const MS: u64 = 1_000_000;

fn at(at_ns: u64, what: What) -> Event {
    Event { at_ns, what }
}

/// Ten seconds of 1,000 messages a second, evenly, from second 1 on; the server takes 200 µs, and stands still from 5 s to 6 s.
fn stalled() -> (LatencyRecorder, Tally) {
    let (sender, recipient, conversation) = (Device(0), Device(1), Conversation(0));
    let mut events = vec![
        at(0, What::Device { device: sender, user: User(0), name: "a".to_owned() }),
        at(0, What::Device { device: recipient, user: User(1), name: "b".to_owned() }),
        at(0, What::Conversation { conversation, name: "c".to_owned(), members: vec![User(1)] }),
        at(1_000 * MS, What::Phase { phase: Phase::Chaos }),
        at(5_000 * MS, What::FaultStarted { id: 0, kind: "pause".to_owned(), target: "n1".to_owned() }),
        at(6_000 * MS, What::FaultEnded { id: 0, evidence: "it stood still".to_owned() }),
        at(11_000 * MS, What::Phase { phase: Phase::Heal }),
    ];
    for number in 0..10_000 {
        let sent_ns = 1_000 * MS + number * MS + MS / 2;
        let stands_still = (5_000 * MS..6_000 * MS).contains(&(sent_ns + MS / 5));
        let done_ns = if stands_still { 6_000 * MS } else { sent_ns + MS / 5 };
        let message = Message(number + 1);
        let (intended_ns, bytes, digest) = (sent_ns, 128, 0);
        events.push(at(
            sent_ns,
            What::Send { device: sender, conversation, message, intended_ns, bytes, digest, reply_to: None },
        ));
        events.push(at(done_ns, What::Accepted { device: sender, message, seq: None, rung: Rung::Accepted }));
        let (message, seq, redelivered) = (Some(message), None, false);
        events.push(at(
            done_ns,
            What::Delivered { device: recipient, conversation, message, seq, digest, redelivered },
        ));
    }
    events.sort_by_key(|event| event.at_ns);
    let (mut latency, mut tally) = (LatencyRecorder::default(), Tally::default().by_columns_of(250 * MS));
    for event in &events {
        latency.observe(event);
        tally.observe(event);
    }
    latency.close_interval();
    (latency, tally)
}

#[test]
fn a_stall_of_a_second_in_ten_is_what_one_percent_of_the_messages_feel() {
    let (latency, tally) = stalled();
    let rows = StageLatency::all(&latency);
    let accepted =
        rows.iter().find(|row| row.stage == Stage::Accepted && row.from == From::Intended).unwrap();
    assert_eq!((accepted.count, accepted.never), (10_000, 0));
    assert!(accepted.p99_us.unwrap() >= 850_000, "{accepted:?}");
    assert!(accepted.p50_us.unwrap() <= 200, "{accepted:?}");
    assert_eq!(accepted.too_few_for, [99_990]);
    let totals = tally.totals_with(&latency);
    let expected = (10_000, 10_000, 10_000, 0, 0);
    assert_eq!((totals.sent, totals.accepted, totals.delivered, totals.missing, totals.unknown), expected);
    let seconds = tally.seconds(&latency);
    assert_eq!(seconds.len(), 11);
    let outline: Vec<(u64, u64, u64)> =
        seconds.iter().map(|row| (row.second, row.sent, row.accepted)).collect();
    assert_eq!(outline[3..6], [(4, 1_000, 1_000), (5, 1_000, 0), (6, 1_000, 2_000)]);
    assert_eq!(tally.lateness().late_starts, 0);
    let columns = tally.columns().unwrap();
    let outline: Vec<(u64, u64)> =
        columns.rows[15..22].iter().map(|column| (column.sent, column.outstanding)).collect();
    // From the second on the server stands still; it answers everything at its end.
    let stands_still = [(250, 0), (250, 250), (250, 500), (250, 750), (250, 1_000), (250, 0), (250, 0)];
    assert_eq!((columns.length_ns, outline), (250 * MS, stands_still.to_vec()));
}

#[test]
fn columns_are_shorter_than_seconds_or_there_are_none() {
    let columns = |length_ns, at_ns| {
        let mut tally = Tally::default().by_columns_of(length_ns);
        tally.observe(&at(0, What::Phase { phase: Phase::Chaos }));
        let (device, message) = (Device(0), Message(1));
        tally.observe(&at(at_ns, What::Unknown { device, message, why: String::new() }));
        tally.columns().map(|columns| columns.rows.len())
    };
    assert_eq!(columns(100 * MS, 2_050 * MS), Some(21));
    assert_eq!(columns(100 * MS, 3_600_000 * MS), None, "the drain of a short test took an hour");
    assert_eq!((columns(0, 5), columns(1_000 * MS, 5)), (None, None));
}

#[test]
fn a_fault_is_told_with_what_was_before_it_and_when_it_was_over() {
    let (latency, _) = stalled();
    let figures = latency.faults();
    let window = FaultWindow::new(0, "pause for 1 s".to_owned(), figures.first());
    assert_eq!((window.from_ns, window.to_ns), (Some(5_000 * MS), Some(6_000 * MS)));
    assert!(window.before.accepted_p99_us.unwrap() <= 200);
    assert_eq!(window.during.accepted, 1_000);
    assert!(window.during.delivered_p50_us.unwrap() >= 490_000);
    assert_eq!(window.after.accepted, 5_000);
    assert_eq!(
        (window.recovered_after_ns, window.recovery.as_str()),
        (Some(0), "latency was as before at once")
    );
    let never = FaultWindow::new(1, "kill".to_owned(), None);
    assert_eq!((never.from_ns, never.recovery.as_str()), (None, "it never began"));
}

#[test]
fn an_objective_of_the_whole_run_needs_its_samples() {
    let (latency, _) = stalled();
    let whole = latency.whole(Stage::Delivered, From::Intended);
    let judge = |percentile_milli, at_most_us| {
        let gate = LatencyGate { stage: Stage::Delivered, percentile_milli, at_most_us };
        (whole.judge(gate).verdict, whole.judge(gate).observed)
    };
    assert_eq!(judge(50_000, 1_000).0, Verdict::Pass);
    assert_eq!(judge(99_000, 1_000).0, Verdict::Violated);
    let (verdict, words) = judge(99_990, 1_000);
    assert_eq!((verdict, words.as_str()), (Verdict::Inconclusive, "10000 samples; p99.99 needs 100000"));
}

#[test]
fn an_acceptance_that_nobody_gave_is_told_from_one() {
    let (device, message) = (Device(0), Message(1));
    let only_written = |rungs: &[Rung]| {
        let mut tally = Tally::default();
        for rung in rungs {
            tally.observe(&at(1, What::Accepted { device, message, seq: None, rung: *rung }));
        }
        tally.only_written()
    };
    assert!(only_written(&[Rung::Written, Rung::Written]));
    assert!(!only_written(&[Rung::Written, Rung::Accepted]) && !only_written(&[]));
}

#[test]
fn sizes_of_conversations_take_one_line_each_of_a_screen() {
    use crate::history::Header;
    use crate::run::{Run, RunFacts};
    let row = |stage| StageLatency {
        stage,
        from: From::Intended,
        count: 20_000,
        never: 1,
        min_us: Some(80),
        p50_us: Some(250),
        p90_us: Some(900),
        p99_us: Some(12_340),
        p999_us: None,
        p9999_us: None,
        max_us: None,
        too_few_for: vec![99_000],
    };
    let size = |members, latency| SizeLatency { members, sent: 20_000, latency, to_last: None };
    let by_size =
        vec![size(Some(2), vec![row(Stage::Accepted), row(Stage::Delivered)]), size(None, Vec::new())];
    let text = |record: &LoadRecord| {
        let mut bytes = Vec::new();
        let run = Run::new(Header::default(), RunFacts::default());
        crate::render::write_load_text(record, &run, &mut bytes).unwrap();
        String::from_utf8(bytes).unwrap()
    };
    let told = text(&LoadRecord { by_size, ..record() });
    let lines: Vec<&str> = told.lines().skip_while(|line| !line.starts_with("  members")).collect();
    assert_eq!(
        lines[1].split_whitespace().collect::<Vec<_>>().join(" "),
        "2 20000 250 µs/12.34 ms? 250 µs/12.34 ms? – –"
    );
    assert!(lines[2].starts_with("  others       20000"), "{told}");
    assert!(lines.iter().all(|line| line.chars().count() <= 110), "{told}");
    assert!(!text(&record()).contains("members"), "one size is the whole");
}
