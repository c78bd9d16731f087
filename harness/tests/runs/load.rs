//! Load tests against real processes of our own binary.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;

use avouch::perform::World;
use avouch_reports::history::{HistoryReader, ReadOptions, What};
use avouch_reports::latency::{From, OverTime, Series, Sparse, Stage, Window};
use avouch_reports::load::{LoadRecord, SizeLatency, StageLatency};
use avouch_reports::run::Outcome;

use crate::{folder, plan};

/// The folder of a test that has run.
fn folder_of(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_avouch"));
    command.arg("load").args(arguments).args(["--format", "json", "--out"]).arg(folder);
    command
}

fn load(name: &str, arguments: &[&str]) -> (Output, LoadRecord) {
    let folder = folder(name);
    let ran = command(&folder, arguments).output().expect("our own binary can be started");
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

/// A server that stands still for one second of ten: what a closed loop would not see is what a tenth of the users wait for.
#[test]
fn a_stall_is_in_the_percentiles_and_in_the_fault_window() {
    let arguments = [
        "reference",
        "--rate",
        "1000/s",
        "--arrivals",
        "constant",
        "--duration",
        "10s",
        "--fault",
        "pause at 4s for 1s",
    ];
    let (_, record) = load("load-stall", &arguments);
    assert_eq!(record.totals.sent, 10_000, "an open loop sends whatever the server does");
    assert_eq!((record.totals.accepted, record.totals.missing), (10_000, 0), "{:?}", record.reasons);
    for stage in [Stage::Accepted, Stage::Delivered] {
        let row = row(&record, stage, From::Intended);
        assert!(row.p99_us.unwrap() >= 850_000, "{row:?}");
    }
    let [window] = &record.faults[..] else { panic!("{:?}", record.faults) };
    assert!(window.during.accepted_p50_us.unwrap() >= 300_000, "{window:?}");
    assert!(window.before.accepted_p50_us < window.during.accepted_p50_us, "{window:?}");
    assert!(record.noise_floor.is_some_and(|floor| floor.ping_pong.samples > 0));
    assert_eq!(record.seconds.iter().map(|row| row.sent).sum::<u64>(), 10_000);
    let log =
        std::fs::read(folder_of("load-stall").join("latency.hlog")).expect("the run folder has its log");
    let over_time = OverTime::read(log.as_slice()).expect("what was written can be read");
    assert_eq!(over_time.column_ns, 250_000_000, "ten seconds have forty columns");
    let columns = record.columns.expect("ten seconds and a drain are short enough for them");
    assert_eq!(columns.length_ns, over_time.column_ns);
    assert_eq!(columns.rows.iter().map(|column| column.sent).sum::<u64>(), 10_000);
}

/// The same stall on a simulated clock, where nothing but the stall takes longer than a few milliseconds.
#[test]
fn a_stall_on_a_simulated_clock_is_what_one_percent_of_the_messages_feel() {
    let text = r#"
about = "A server stands still for one second of ten."
[workload]
conversations = 1
members = 2
rate = "1000/s"
arrivals = "constant"
duration = "10s"
[[fault]]
pause = {}
at = "4s"
for = "1s"
"#;
    let folder = folder("load-stall-simulated");
    let run = crate::perform(plan("stall", text, 1), World::Explore, folder.clone());
    assert_eq!(run.outcome, Outcome::Passed, "{:?}", run.reasons);
    let log = std::fs::read(folder.join("latency.hlog")).expect("the run folder has its log");
    let over_time = OverTime::read(log.as_slice()).expect("what was written can be read");
    let mut accepted = Sparse::default();
    for window in [Window::Inside, Window::Outside] {
        let series = Series { stage: Stage::Accepted, from: From::Intended, window };
        accepted.merge(over_time.total(series).expect("every series has a total"));
    }
    accepted.settle();
    // The last is due at the very end.
    assert!(accepted.count() >= 9_999, "{}", accepted.count());
    let p99_us = accepted.percentile_us(99_000, 0).expect("everything arrived");
    assert!((850_000..=1_100_000).contains(&p99_us), "{p99_us} µs");
    assert!(accepted.percentile_us(50_000, 0).expect("everything arrived") < 50_000);
}

#[test]
fn a_closed_loop_is_labelled_and_sends_by_answers() {
    let arguments = ["reference", "--closed", "2", "--conversations", "2", "--duration", "1s"];
    let (_, record) = load("load-closed", &arguments);
    assert!(record.arrival.closed_loop && record.totals.accepted > 0);
    assert_eq!(record.totals.missing, 0, "{:?}", record.reasons);
    assert!(record.remarks.iter().any(|words| words.contains("closed loop")), "{:?}", record.remarks);
}

/// They come at once in the middle, and have seconds until the end, in which next to nothing else is to be done: also a machine that
/// is taken by others makes three sessions in that.
#[test]
fn a_storm_is_counted_and_measured() {
    let arguments =
        ["reference", "--rate", "2/s", "--conversations", "1", "--duration", "8s", "--storm", "3"];
    let (_, record) = load("load-storm", &arguments);
    let connections = record.connections.expect("three sessions were to be made");
    assert_eq!((connections.intended, connections.made), (3, 3));
    assert!(connections.p50_us.is_some() && connections.p50_us <= connections.max_us, "{connections:?}");
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

/// It greets, takes subscriptions, and says nothing to a message.
fn silent_broker() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it listens");
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            thread::spawn(move || {
                let mut head = [0; 2];
                while stream.read_exact(&mut head).is_ok() {
                    // Nothing here is longer than two bytes can say.
                    let mut length = usize::from(head[1] & 0x7f);
                    if head[1] & 0x80 != 0 {
                        let mut more = [0; 1];
                        stream.read_exact(&mut more)?;
                        length |= usize::from(more[0]) << 7;
                    }
                    let mut body = vec![0; length];
                    stream.read_exact(&mut body)?;
                    match head[0] >> 4 {
                        1 => stream.write_all(&[0x20, 2, 0, 0])?,
                        8 => stream.write_all(&[0x90, 3, body[0], body[1], 1])?,
                        12 => stream.write_all(&[0xd0, 0])?,
                        _ => {}
                    }
                }
                std::io::Result::Ok(())
            });
        }
    });
    format!("mqtt://{address}")
}

#[test]
fn a_target_that_answers_nothing_is_called_silent() {
    let target = silent_broker();
    let arguments = [
        &*target,
        "--duration",
        "1s",
        "--rate",
        "50/s",
        "--conversations",
        "1",
        "--slo",
        "accepted p50 < 1s",
    ];
    let (ran, record) = load("load-silent", &arguments);
    let totals = record.totals;
    assert_eq!(
        (totals.accepted, totals.delivered, totals.unknown),
        (0, 0, totals.sent),
        "{:?}",
        record.reasons
    );
    assert!(totals.sent > 20);
    assert!(
        record.remarks.iter().any(|words| words == "the target answered nothing"),
        "{:?}",
        record.remarks
    );
    let row = row(&record, Stage::Accepted, From::Intended);
    assert_eq!((row.count, row.never, row.p50_us), (0, totals.sent, None));
    assert_eq!(record.objectives[0].measured_us, None);
    assert_eq!(
        ran.status.code(),
        Some(1),
        "an objective is broken by what never comes: {:?}",
        record.reasons
    );
}

/// One message: nothing is divided by nothing, and nothing is said of a percentile.
#[test]
fn one_sample_is_shown_and_nothing_is_said_of_it() {
    let arguments = ["reference", "--rate", "1/s", "--arrivals", "constant", "--duration", "1s"];
    let (ran, record) = load("load-one", &[&arguments[..], &["--slo", "delivered p99 < 5s"]].concat());
    assert_eq!((record.totals.sent, record.totals.delivered), (1, 1), "{:?}", record.reasons);
    let row = row(&record, Stage::Delivered, From::Intended);
    assert_eq!(row.too_few_for, [50_000, 90_000, 99_000, 99_900, 99_990]);
    assert!(row.p50_us.is_some() && row.p50_us == row.max_us, "{row:?}");
    assert_eq!(record.objectives[0].observed, "1 samples; p99 needs 1000");
    assert_eq!(ran.status.code(), Some(3), "{:?}", record.reasons);
    let text = report(&[&folder_of("load-one")]).1;
    assert!(text.contains('?') && !text.contains("NaN") && !text.contains("inf"), "{text}");
}

fn report(folders: &[&Path]) -> (i32, String, String) {
    let told = Command::new(env!("CARGO_BIN_EXE_avouch")).arg("report").args(folders).output();
    let told = told.expect("our own binary can be started");
    let text = |bytes| String::from_utf8(bytes).expect("it prints text");
    (told.status.code().unwrap_or(-1), text(told.stdout), text(told.stderr))
}

/// Our own server, as somebody else runs it. Dropping it ends it.
struct Server(Child, String);

impl Server {
    fn start(folder: &Path, secret: &str) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_avouch"));
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--secret", secret, "--data"])
            .arg(folder.join("data"));
        let mut process = command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("our own binary can be started");
        let mut line = String::new();
        let out = process.stdout.take().expect("it is piped");
        BufReader::new(out).read_line(&mut line).expect("it says where it listens");
        let ready: serde_json::Value = serde_json::from_str(&line).expect("it says so in JSON");
        let address = ready["address"].as_str().expect("it says where");
        let url = format!("avouch://{address}");
        Self(process, url)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already; then there is nothing to end.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

const SECRET: &str = "a secret of this test";

/// Two processes against one server that runs already; then everything that could be mixed up with them.
#[test]
fn a_test_that_two_processes_share_is_merged_exactly() {
    let top = folder("load-shards");
    std::fs::create_dir_all(&top).expect("the folder can be made");
    let server = Server::start(&top, SECRET);
    // Long ago: everybody begins at once.
    let part = |number: u32, seed: &str| {
        let shard = format!("{number}/2");
        let arguments = [
            &*server.1,
            "--rate",
            "200/s",
            "--duration",
            "2s",
            "--sizes",
            "2x2 70%, 1x4 30%",
            "--shard",
            &shard,
        ];
        let folder = top.join(format!("{number}-{seed}"));
        let arguments = [&arguments[..], &["--start-at", "1000", "--seed", seed]].concat();
        let mut command = command(&folder, &arguments);
        let running =
            command.env("AVOUCH_SERVER_SECRET", SECRET).stdout(Stdio::piped()).stderr(Stdio::piped());
        (folder, running.spawn().expect("our own binary can be started"))
    };
    let parts: Vec<(PathBuf, LoadRecord)> = [part(1, "1"), part(2, "1"), part(2, "9")]
        .into_iter()
        .map(|(folder, running)| {
            let ran = running.wait_with_output().expect("it ends");
            let said = String::from_utf8_lossy(&ran.stderr).into_owned();
            (folder, LoadRecord::from_json(&ran.stdout).unwrap_or_else(|error| panic!("{error}\n{said}")))
        })
        .collect();
    let [(first, one), (second, other), (foreign, _)] = &parts[..] else { panic!("three were started") };
    for (folder, record) in &parts {
        assert!(
            record.totals.accepted > 300 && record.totals.missing == 0,
            "{}: {record:?}",
            folder.display()
        );
    }
    let merged = avouch::load::merge(&[second.clone(), first.clone()]).expect("both are parts of one test");
    let (run, record) = merged;
    assert_eq!(record.merged_from, 2);
    assert_eq!(record.totals.sent, one.totals.sent + other.totals.sent);
    for stage in [Stage::Accepted, Stage::Delivered] {
        let of = |record: &LoadRecord| row(record, stage, From::Intended).clone();
        assert_eq!(of(&record).count, of(one).count + of(other).count, "no sample is lost");
        assert_eq!(of(&record).max_us, of(one).max_us.max(of(other).max_us));
        assert_eq!(of(&record).min_us, of(one).min_us.min(of(other).min_us));
    }
    by_size_adds_up(&record, [one, other]);
    assert!(
        run.judgements.iter().all(|it| it.verdict != avouch_reports::verdict::Verdict::Violated),
        "{run:?}"
    );
    phantom(first, second);

    let refused = |folders: &[&Path], words: &str| {
        let (code, _, stderr) = report(folders);
        assert!(code == 2 && stderr.contains(words), "{code}: {stderr}");
    };
    refused(&[first, foreign], "are parts of different tests");
    refused(&[first, first], "part 1 of 2 is there twice");
    let (code, text, _) = report(&[first, second]);
    assert!(
        text.contains("2 parts of pairs and groups 2x2 70%, 1x4 30%") && matches!(code, 0 | 3),
        "{code}: {text}"
    );
}

/// What each size says adds up to the whole, and the sizes of all parts to those of the whole test.
fn by_size_adds_up(merged: &LoadRecord, parts: [&LoadRecord; 2]) {
    for record in [merged, parts[0], parts[1]] {
        let members: Vec<Option<u32>> = record.by_size.iter().map(|size| size.members).collect();
        assert_eq!(members, [Some(2), Some(4)]);
        assert_eq!(record.by_size.iter().map(|size| size.sent).sum::<u64>(), record.totals.sent);
        for stage in [Stage::Accepted, Stage::Delivered] {
            let count = |size: &SizeLatency| size.stage(stage).map_or(0, |row| row.count);
            let sum: u64 = record.by_size.iter().map(count).sum();
            assert_eq!(sum, row(record, stage, From::Intended).count, "{stage:?}");
        }
    }
    for (place, whole) in merged.by_size.iter().enumerate() {
        let [one, other] = parts.map(|part| &part.by_size[place]);
        assert_eq!(whole.sent, one.sent + other.sent);
        for (stage, in_whole) in whole.latency.iter().map(|row| (row.stage, row)) {
            let [one, other] = [one, other].map(|size| size.stage(stage).expect("both parts measured it"));
            assert_eq!(in_whole.count, one.count + other.count, "no sample is lost");
            assert_eq!(in_whole.max_us, one.max_us.max(other.max_us));
        }
        let to_last = |size: &SizeLatency| size.to_last.as_ref().map_or(0, |row| row.count);
        assert_eq!(to_last(whole), to_last(one) + to_last(other));
    }
}

/// A message of one part that surfaces in another is found by the whole and by neither part.
fn phantom(first: &Path, second: &Path) {
    let path = second.join("history.jsonl");
    let text = std::fs::read_to_string(&path).expect("the run folder has its history");
    let of_first = std::fs::read(first.join("history.jsonl")).expect("the run folder has its history");
    let mut reader =
        HistoryReader::open(of_first.as_slice(), ReadOptions::default()).expect("it is a history");
    let mut foreign = None;
    while let Some(event) = reader.next_event().expect("it can be read") {
        if let (What::Send { message, digest, .. }, None) = (event.what, foreign) {
            foreign = Some((message, digest));
        }
    }
    let (message, digest) = foreign.expect("something was sent");
    // The last delivery in the second part brings what only the first part sent.
    let is_delivery = |line: &str| line.contains("\"e\":\"delivered\"");
    let deliveries = text.lines().enumerate().filter(|(_, line)| is_delivery(line));
    let (last, _) = deliveries.last().expect("something was delivered");
    let lines = text.lines().enumerate().map(|(number, line)| {
        if number != last {
            return line.to_owned();
        }
        let with = |line: &str, key: &str, value: &str, end: char| {
            let (before, after) = line.split_once(key).expect("a delivery has it");
            let (_, rest) = after.split_once(end).expect("something follows");
            format!("{before}{key}{value}{end}{rest}")
        };
        let line = with(line, "\"m\":", &message.0.to_string(), ',');
        with(&line, "\"h\":\"", &format!("{digest:016x}"), '"')
    });
    let changed: Vec<String> = lines.collect();
    std::fs::write(&path, changed.join("\n") + "\n").expect("the folder can be written");
    let (run, _) =
        avouch::load::merge(&[first.to_owned(), second.to_owned()]).expect("both are parts of one test");
    let isolation = run.judgements.iter().find(|it| it.guarantee == "isolation").expect("it is judged");
    assert_eq!(isolation.verdict, avouch_reports::verdict::Verdict::Violated, "{}", isolation.observed);
    std::fs::write(&path, text).expect("the folder can be written");
}

#[test]
fn a_server_that_runs_is_loaded_again_and_again_and_nobody_meets_who_was_there() {
    let top = folder("load-running");
    std::fs::create_dir_all(&top).expect("the folder can be made");
    let server = Server::start(&top, SECRET);
    let run = |name: &str, secret: &str| {
        let arguments = [&*server.1, "--rate", "100/s", "--duration", "1s", "--conversations", "2"];
        let ran = command(&top.join(name), &arguments).env("AVOUCH_SERVER_SECRET", secret).output();
        let ran = ran.expect("our own binary can be started");
        let said = String::from_utf8_lossy(&ran.stderr).into_owned();
        LoadRecord::from_json(&ran.stdout).unwrap_or_else(|error| panic!("{error}\n{said}"))
    };
    for name in ["one", "two"] {
        let record = run(name, SECRET);
        let totals = record.totals;
        assert!(totals.sent > 50 && totals.delivered == totals.sent, "{name}: {:?}", record.reasons);
        assert!(!matches!(record.outcome, Outcome::Violated | Outcome::TargetFailed), "{:?}", record.reasons);
    }
}

/// Client programs, one per session.
#[test]
fn client_programs_are_loaded_as_any_target_is() {
    let top = folder("load-exec");
    std::fs::create_dir_all(&top).expect("the folder can be made");
    let target = crate::exec::target(&top, "good");
    let folder = top.join("out");
    let arguments = [&*target.to_string_lossy(), "--rate", "100/s", "--duration", "1s", "--shape", "fan-in"];
    let ran = command(&folder, &[&arguments[..], &["--conversations", "3"]].concat()).output();
    let ran = ran.expect("our own binary can be started");
    let said = String::from_utf8_lossy(&ran.stderr).into_owned();
    let record = LoadRecord::from_json(&ran.stdout).unwrap_or_else(|error| panic!("{error}\n{said}"));
    assert!(record.totals.sent > 50, "{:?}", record.reasons);
    assert_eq!(
        (record.totals.delivered, record.totals.missing),
        (record.totals.sent, 0),
        "{:?}",
        record.reasons
    );
    assert_eq!((record.shape.sessions, record.shape.words.as_str()), (4, "3 senders to one recipient"));
}

/// A disk that takes no more, as a limit on the size of files shows it to any user: nobody hangs, and what was kept can be judged.
#[test]
fn a_test_that_cannot_be_recorded_on_says_so_and_keeps_its_beginning() {
    let top = folder("load-full-disk");
    std::fs::create_dir_all(&top).expect("the folder can be made");
    let target = crate::exec::target(&top, "good");
    let folder = top.join("out");
    // More than a plan and a record, less than the history: in blocks of 512 or 1,024 bytes, as the shell has it.
    let script = "ulimit -f 600; exec \"$@\"";
    let ran = Command::new("/bin/sh")
        .args(["-c", script, "sh", env!("CARGO_BIN_EXE_avouch"), "load"])
        .arg(&target)
        .args(["--rate", "600/s", "--duration", "60s", "--conversations", "2", "--out"])
        .arg(&folder)
        .output()
        .expect("there is a shell");
    let text = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert_eq!(ran.status.code(), Some(3), "{text}{}", String::from_utf8_lossy(&ran.stderr));
    assert!(text.starts_with("INCONCLUSIVE: "), "{text}");
    let why = "because the tool itself failed: cannot write the history behind event ";
    assert!(text.contains(why) && text.contains("File too large (os error 27)"), "{text}");
    let record = avouch::load::read_record(&folder).expect("the record is small");
    let totals = record.totals;
    assert!(totals.accepted > 100 && totals.sent < 30_000, "it ends when that is known: {totals:?}");
    let history = std::fs::read(folder.join("history.jsonl")).expect("the run folder has its history");
    let mut reader =
        HistoryReader::open(history.as_slice(), ReadOptions { accept_torn: true }).expect("it begins well");
    let mut events = 0;
    while reader.next_event().expect("up to its torn end").is_some() {
        events += 1;
    }
    assert!(events > 1_000, "{events}");
}

/// Too short to say anything of, and drawn all the same; every page follows from its folder.
#[test]
fn two_tests_are_drawn_over_each_other_and_shown_again() {
    let arguments = ["reference", "--rate", "200/s", "--duration", "1s"];
    let folders = ["load-one", "load-other"];
    for name in folders {
        load(name, &arguments);
    }
    let [one, other] = folders.map(|name| Path::new(env!("CARGO_TARGET_TMPDIR")).join(name));
    let avouch = |arguments: &[&OsStr]| {
        let ran = Command::new(env!("CARGO_BIN_EXE_avouch")).args(arguments).output();
        ran.expect("our own binary can be started")
    };
    let page = one.join("compared.html");
    let ran = avouch(&["compare".as_ref(), one.as_ref(), other.as_ref(), "--html".as_ref(), page.as_ref()]);
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert_eq!(ran.status.code(), Some(3), "{said}");
    // Too few samples; on a busy machine a generator that was late.
    assert!(said.starts_with("CANNOT BE COMPARED: "), "{said}");
    let drawn = std::fs::read_to_string(&page).expect("the page is written");
    assert!(
        drawn.contains("class=\"line c1\"") && drawn.contains("class=\"line c2\""),
        "both sides are drawn"
    );

    let page = one.join("report.html");
    let written = std::fs::read(&page).expect("a load test has a page");
    std::fs::remove_file(&page).expect("it can be removed");
    let ran = avouch(&["report".as_ref(), one.as_ref(), "--html".as_ref()]);
    assert!(std::fs::read(&page).is_ok_and(|again| again == written), "{ran:?}");
}
