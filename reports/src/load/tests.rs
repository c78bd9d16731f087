use super::*;

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
            sessions: 16,
            idle_sessions: 0,
            words: "8 pairs".to_owned(),
        },
        totals: Totals { intended: 10_000, sent: 10_000, accepted: 10_000, ..Totals::default() },
        latency: Vec::new(),
        connections: None,
        seconds: vec![SecondRow { second: 0, accepted_p50_us: Some(90), ..SecondRow::default() }],
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
