//! Load tests against real processes of our own binary.

use std::net::TcpListener;
use std::process::{Command, Output};

use avouch_reports::latency::{From, Stage};
use avouch_reports::load::{LoadRecord, StageLatency};

use crate::folder;

fn load(name: &str, arguments: &[&str]) -> (Output, LoadRecord) {
    let folder = folder(name);
    let ran = Command::new(env!("CARGO_BIN_EXE_avouch"))
        .arg("load")
        .args(arguments)
        .args(["--format", "json", "--out"])
        .arg(&folder)
        .output()
        .expect("our own binary can be started");
    let said = String::from_utf8_lossy(&ran.stderr).into_owned();
    let record = LoadRecord::from_json(&ran.stdout).unwrap_or_else(|error| panic!("{error}\n{said}"));
    let kept = std::fs::read(folder.join("load.json")).expect("the run folder has the record");
    assert_eq!(LoadRecord::from_json(&kept).expect("a record"), record);
    (ran, record)
}

fn row(record: &LoadRecord, stage: Stage, from: From) -> &StageLatency {
    let found = record.latency.iter().find(|row| row.stage == stage && row.from == from);
    found.unwrap_or_else(|| panic!("{stage:?} was not measured: {:?}", record.latency))
}

/// A server that stands still for one second of five: what a closed loop would not see is what a fifth of the users wait for.
#[test]
fn a_stall_is_in_the_percentiles_and_in_the_fault_window() {
    let arguments = [
        "reference",
        "--rate",
        "100/s",
        "--arrivals",
        "constant",
        "--duration",
        "5s",
        "--fault",
        "pause at 2s for 1s",
    ];
    let (_, record) = load("load-stall", &arguments);
    assert_eq!(record.totals.sent, 500, "an open loop sends whatever the server does");
    assert_eq!((record.totals.accepted, record.totals.missing), (500, 0), "{:?}", record.reasons);
    for stage in [Stage::Accepted, Stage::Delivered] {
        let row = row(&record, stage, From::Intended);
        assert!(row.p90_us.unwrap() >= 400_000 && row.max_us.unwrap() >= 900_000, "{row:?}");
    }
    let [window] = &record.faults[..] else { panic!("{:?}", record.faults) };
    assert!(window.during.accepted_p50_us.unwrap() >= 300_000, "{window:?}");
    assert!(window.before.accepted_p50_us < window.during.accepted_p50_us, "{window:?}");
    assert!(record.noise_floor.is_some_and(|floor| floor.ping_pong.samples > 0));
    assert_eq!(record.seconds.iter().map(|row| row.sent).sum::<u64>(), 500);
}

#[test]
fn a_closed_loop_is_labelled_and_sends_by_answers() {
    let arguments =
        ["reference", "--closed", "2", "--conversations", "2", "--duration", "1s", "--storm", "3"];
    let (_, record) = load("load-closed", &arguments);
    assert!(record.arrival.closed_loop && record.totals.accepted > 0);
    assert_eq!(record.totals.missing, 0, "{:?}", record.reasons);
    assert!(record.remarks.iter().any(|words| words.contains("closed loop")), "{:?}", record.remarks);
    let connections = record.connections.expect("three sessions were to be made");
    assert_eq!((connections.intended, connections.made), (3, 3));
}

/// Nobody listens there.
#[test]
fn a_target_that_is_not_there_is_named_and_nothing_is_divided_by_nothing() {
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (ran, record) =
        load("load-gone", &[&format!("mqtt://{gone}"), "--duration", "1s", "--slo", "accepted p99 < 1s"]);
    assert_eq!(ran.status.code(), Some(4), "{:?}", record.reasons);
    assert_eq!((record.totals.sent, record.latency.len()), (0, 0));
    assert!(record.reasons.iter().any(|words| words.contains("nobody answers at")), "{:?}", record.reasons);
    assert_eq!(record.objectives[0].observed, "0 samples; p99 needs 1000");
}
