//! Ctrl-C, SIGTERM, both, and SIGKILL: what was seen is judged, and no server is left behind.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use avouch_reports::run::{End, Run};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::time::{sleep, timeout};

use crate::tool::{LONG, SHORT, Scratch};

/// How long anything is waited for.
const PATIENCE: Duration = Duration::from_secs(120);
/// How often something is looked at that cannot be waited for.
const LOOK_EVERY: Duration = Duration::from_millis(5);

async fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let looked = timeout(PATIENCE, async {
        loop {
            if let Some(found) = look() {
                return found;
            }
            sleep(LOOK_EVERY).await;
        }
    });
    looked.await.unwrap_or_else(|_| panic!("{what} did not come"))
}

fn send(child: &Child, signal: Signal) {
    kill(Pid::from_raw(child.id() as i32), signal).unwrap();
}

fn record(folder: &Path) -> Run {
    Run::from_json(&fs::read(folder.join("run.json")).unwrap()).unwrap()
}

async fn the_first_ends_and_judges(signal: Signal) {
    let scratch = Scratch::new(&format!("first-{signal}"));
    scratch.write("s/1.toml", SHORT);
    scratch.write("s/2.toml", LONG);
    scratch.write("s/3.toml", SHORT);
    let mut command = scratch.command(&["run", "s", "--jobs", "1", "--out", "out"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let second = scratch.path("out/2-sim-1/history.jsonl");
    until("the second run", || second.exists().then_some(())).await;
    send(&child, signal);
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    let output = child.wait_with_output().unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(3), "{stdout}{stderr}");
    assert_eq!(
        stderr.lines().collect::<Vec<_>>(),
        [
            "[  1/3] passed        1 (seed 1)",
            "interrupted: what goes on is ended and judged; once more to stop at once",
            "[  2/3] inconclusive  2 (seed 1)",
            "interrupted: 1 of 3 runs were not begun",
        ]
    );
    assert!(stdout.starts_with("INCONCLUSIVE: 2 runs (1 inconclusive, 1 passed)\n"), "{stdout}");
    assert!(stdout.contains("  - the run was interrupted\n"), "{stdout}");
    assert_eq!(record(&scratch.path("out/1-sim-1")).end, End::Complete);
    let interrupted = record(&scratch.path("out/2-sim-1"));
    assert_eq!(interrupted.end, End::Interrupted);
    assert!(!interrupted.judgements.is_empty());
    assert!(!scratch.path("out/3-sim-1").exists());
    let summary = fs::read_to_string(scratch.path("out/junit.xml")).unwrap();
    assert!(summary.contains("the run was interrupted"), "{summary}");
    // The history is whole, and gives the same verdict.
    let judged = scratch.run(&["check", "out/2-sim-1"]);
    assert_eq!((judged.code, &*judged.stderr), (3, ""), "{}", judged.stdout);
}

#[tokio::test]
async fn an_interrupt_ends_and_judges_what_goes_on() {
    the_first_ends_and_judges(Signal::SIGINT).await;
}

#[tokio::test]
async fn a_request_to_terminate_ends_and_judges_what_goes_on() {
    the_first_ends_and_judges(Signal::SIGTERM).await;
}

/// Ten hours of heartbeats, a hundred a second: one run takes longer than anybody waits.
const ENDLESS: &str = r#"
about = "A test."
[cluster]
settings = { heartbeat_ms = 10, silent_ms = 1000 }
[workload]
users = 2
duration = "10h"
[[conversation]]
members = ["u0", "u1"]
[[step]]
at = "1ms"
device = "u0.d1"
send = { conversation = "c0" }
"#;

#[tokio::test]
async fn an_interrupted_exploration_ends_within_a_run_and_says_so() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let scratch = Scratch::new(&format!("explore-{signal}"));
        scratch.write("endless.toml", ENDLESS);
        let asked =
            ["explore", "endless.toml", "--runs", "2", "--jobs", "1", "--format", "json", "--out", "out"];
        let child = scratch.command(&asked).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let status = format!("/proc/{}/status", child.id());
        let is_caught = || {
            let status = fs::read_to_string(&status).ok()?;
            let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"))?;
            let caught = u64::from_str_radix(caught.trim(), 16).ok()?;
            (caught & 1 << (signal as u64 - 1) != 0).then_some(())
        };
        until("the handler", is_caught).await;
        send(&child, signal);
        let output = child.wait_with_output().unwrap();
        let record: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(3), "{record}");
        assert_eq!((&record["runs"], &record["interrupted"]), (&0.into(), &true.into()), "{record}");
    }
}

/// A live run with its server, which is up.
async fn live(scratch: &Scratch) -> (Child, SocketAddr) {
    live_of(scratch, LONG).await
}

async fn live_of(scratch: &Scratch, scenario: &str) -> (Child, SocketAddr) {
    scratch.write("long.toml", scenario);
    let mut command = scratch.command(&["run", "long.toml", "--world", "live", "--out", "out"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let log = scratch.path("out/long-live-1/n1/log.txt");
    let address = until("the server", || {
        let log = fs::read_to_string(&log).ok()?;
        let line = log.lines().find(|line| line.starts_with("{\"ready\":true"))?;
        let ready: serde_json::Value = serde_json::from_str(line).ok()?;
        ready["address"].as_str()?.parse().ok()
    });
    let address = address.await;
    assert!(TcpStream::connect(address).is_ok(), "the server is there");
    (child, address)
}

async fn nobody_is_left(address: SocketAddr) {
    until("the end of the server", || TcpStream::connect(address).is_err().then_some(())).await;
}

#[tokio::test]
async fn an_interrupted_live_run_is_judged_and_its_server_is_gone() {
    let scratch = Scratch::new("live");
    let (child, address) = live(&scratch).await;
    send(&child, Signal::SIGINT);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(record(&scratch.path("out/long-live-1")).end, End::Interrupted);
    nobody_is_left(address).await;
}

#[tokio::test]
async fn a_second_interrupt_ends_at_once_and_leaves_no_server() {
    let scratch = Scratch::new("second");
    let (child, address) = live(&scratch).await;
    // Both wait until it goes on, so that it hears of the second while it still deals with the first.
    for signal in [Signal::SIGSTOP, Signal::SIGINT, Signal::SIGTERM, Signal::SIGCONT] {
        send(&child, signal);
    }
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), output.stdout.len()), (Some(130), 0), "{stderr}");
    let last = "error: interrupted twice: the runs in progress were given up without a verdict";
    assert_eq!(stderr.lines().last(), Some(last));
    nobody_is_left(address).await;
    // What was recorded is there, without a record of the run; the next run keeps it.
    assert!(scratch.path("out/long-live-1/history.jsonl").exists());
    assert!(!scratch.path("out/long-live-1/run.json").exists());
}

#[tokio::test]
async fn a_killed_tool_leaves_no_server() {
    let scratch = Scratch::new("killed");
    let (mut child, address) = live(&scratch).await;
    send(&child, Signal::SIGKILL);
    child.wait().unwrap();
    nobody_is_left(address).await;
}

#[tokio::test]
async fn a_paused_server_does_not_outlive_a_killed_tool() {
    let scratch = Scratch::new("paused");
    let (mut child, address) = live(&scratch).await;
    let log = fs::read_to_string(scratch.path("out/long-live-1/n1/log.txt")).unwrap();
    let ready = BufReader::new(log.as_bytes()).lines().map_while(Result::ok);
    let ready = ready.into_iter().find(|line| line.starts_with("{\"ready\"")).unwrap();
    let ready: serde_json::Value = serde_json::from_str(&ready).unwrap();
    kill(Pid::from_raw(ready["pid"].as_i64().unwrap() as i32), Signal::SIGSTOP).unwrap();
    send(&child, Signal::SIGKILL);
    child.wait().unwrap();
    nobody_is_left(address).await;
}

/// Images of disks that are still mounted for runs in a folder.
fn disks(scratch: &Scratch) -> usize {
    let devices = fs::read_dir("/sys/block").into_iter().flatten().flatten();
    let images = devices.filter_map(|it| fs::read_to_string(it.path().join("loop/backing_file")).ok());
    images.filter(|image| image.contains(&*scratch.0.to_string_lossy())).count()
}

/// A live run whose server has a disk that can lose its power, ended by a signal.
async fn no_disk_is_left_by(signal: Signal) {
    let scratch = Scratch::new(&format!("disk-{signal}"));
    let loses = "[[fault]]\npower_loss = { restart_after = \"200ms\" }\nat = \"1s\"\n";
    let (mut child, address) = live_of(&scratch, &format!("{LONG}{loses}")).await;
    let expected = usize::from(avouch::world::process::disk::why_not().is_none());
    assert_eq!(disks(&scratch), expected, "where there can be a disk, there is one");
    let history = scratch.path("out/long-live-1/history.jsonl");
    let word = if expected == 1 { "power lost" } else { "fault-skipped" };
    until("a loss of power", || fs::read_to_string(&history).ok()?.contains(word).then_some(())).await;
    send(&child, signal);
    child.wait().unwrap();
    nobody_is_left(address).await;
    until("the end of the disk", || (disks(&scratch) == 0).then_some(())).await;
    let entries = fs::read_dir(scratch.path("out/long-live-1/n1")).unwrap().flatten();
    let mut left: Vec<_> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    left.sort();
    assert!(left.iter().all(|name| !name.contains(".img")), "{left:?}");
}

#[tokio::test]
async fn a_killed_tool_leaves_no_disk() {
    no_disk_is_left_by(Signal::SIGKILL).await;
}

#[tokio::test]
async fn an_interrupted_tool_leaves_no_disk() {
    no_disk_is_left_by(Signal::SIGINT).await;
}

/// A run with client programs that do nothing, ended by a signal.
async fn no_program_is_left_by(signal: Signal) {
    let scratch = Scratch::new(&format!("program-{signal}"));
    scratch.write("long.toml", LONG);
    let pids = scratch.path("pids");
    // A child of its own, which does not see its input close.
    let client = format!("exec:/bin/sh -c 'sleep 600 & echo $$ $! >> {}; wait'", pids.display());
    let mut command = scratch.command(&["run", "long.toml", "--target", &client, "--out", "out"]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let is_there = |pid: &str| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        !stat.is_empty() && !stat.contains(") Z ")
    };
    let written = || Some(fs::read_to_string(&pids).ok()?).filter(|text| text.ends_with('\n'));
    let first = until("the first program", written).await;
    assert!(first.split_whitespace().all(is_there), "{first}");
    send(&child, signal);
    child.wait().unwrap();
    let all = fs::read_to_string(&pids).unwrap();
    until("the end of the programs", || (!all.split_whitespace().any(is_there)).then_some(())).await;
}

#[tokio::test]
async fn a_killed_tool_leaves_no_client_program() {
    no_program_is_left_by(Signal::SIGKILL).await;
}

#[tokio::test]
async fn an_interrupted_tool_leaves_no_client_program() {
    no_program_is_left_by(Signal::SIGINT).await;
}
