//! One scenario against real processes of our own binary: started, killed and started again behind the chaos proxy.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use avouch::world::process::disk;
use avouch_reports::run::{End, Outcome, Run};
use avouch_reports::verdict::Verdict;

use crate::exec::run_of;
use crate::folder;

/// Short, with a crash and a cut in it: every part of the live world has its turn.
const SCENARIO: &str = r#"
about = "A short talk outlives a killed server and a cut connection."

[workload]
conversations = 2
members = 3
rate = "40/s"
duration = "4s"

[[fault]]
kill = { restart_after = "300ms" }
at = "500ms"

# Long after the crash: whoever still waits for the next try to connect has nothing to be cut.
[[fault]]
cut = { link = "u1" }
at = "3s"

[expect]
guarantees = ["no-loss", "no-duplicates", "durable-ack", "seq-sane"]
"#;

/// A talk with one fault: at which rate, for how long, and which.
fn talk(rate: &str, duration: &str, fault: &str) -> String {
    format!(
        "about = \"A talk with one fault.\"\n[workload]\nconversations = 2\nmembers = 3\nrate = \"{rate}\"\n\
         duration = \"{duration}\"\n[[fault]]\n{fault}\n"
    )
}

/// What carries a scenario out on real processes.
fn command(folder: &Path, scenario: &str) -> Command {
    std::fs::create_dir_all(folder).expect("the folder can be made");
    let path = folder.join("short-talk.toml");
    std::fs::write(&path, scenario).expect("the folder can be written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_avouch"));
    command
        .args(["run", "--world", "live", "--seed", "5", "--format", "json", "--out"])
        .arg(folder.join("out"))
        .arg(&path);
    command
}

/// Carries a scenario out on real processes.
fn live(folder: &Path, scenario: &str) -> (Output, String) {
    let ran = command(folder, scenario).output().expect("our own binary can be started");
    let said = String::from_utf8_lossy(&ran.stderr).into_owned();
    (ran, said)
}

#[test]
fn what_was_acknowledged_is_on_the_disk_when_the_power_fails() {
    let (ran, said) = live(
        &folder("power"),
        &talk(
            "100/s",
            "4s",
            "power_loss = { restart_after = \"100ms\" }\nevery = \"1500ms\"\n[expect]\nguarantees = [\"durable-ack-power\", \"no-loss\"]",
        ),
    );
    if let Some(why) = disk::why_not() {
        assert!(said.contains(&format!("skipped: short-talk (seed 5): {why}")), "{said}");
        assert_eq!(ran.status.code(), Some(3), "nothing was tried, so nothing passed: {said}");
        return;
    }
    let run = Run::from_json(&ran.stdout).unwrap_or_else(|error| panic!("{error}\n{said}"));
    assert_eq!((run.outcome, &run.end), (Outcome::Passed, &End::Complete), "{:?}\n{said}", run.reasons);
    let judged = run.judgements.iter().find(|judgement| judgement.guarantee == "durable-ack-power");
    assert_eq!(judged.expect("it is judged").verdict, Verdict::Pass);
    let lost = run.faults.iter().filter(|fault| fault.evidence.contains("n1 lost power with")).count();
    assert!(lost >= 1, "{:?}", run.faults);
}

#[test]
fn a_live_run_is_whole_and_judged() {
    let folder = folder("live");
    let (ran, said) = live(&folder, SCENARIO);
    let run = Run::from_json(&ran.stdout).unwrap_or_else(|error| panic!("{error}\n{said}"));
    assert_eq!((run.outcome, &run.end), (Outcome::Passed, &End::Complete), "{:?}\n{said}", run.reasons);
    assert_eq!(ran.status.code(), Some(0), "{said}");
    assert!(
        run.counts.sends_accepted > 0 && run.counts.deliveries > run.counts.sends_accepted,
        "{:?}",
        run.counts
    );
    assert!(run.counts.sessions > 6, "everybody came back after the crash: {:?}", run.counts);
    assert_eq!(run.faults.len(), 2);
    assert!(run.drain.is_some_and(|drain| drain.converged));
    for file in ["history.jsonl", "run.json", "junit.xml", "summary.md", "latency.hlog", "plan.json"] {
        let path = folder.join("out/short-talk-live-5").join(file);
        assert!(path.metadata().is_ok_and(|meta| meta.len() > 0), "{} is missing or empty", path.display());
    }
}

/// Asks again and again, for ten seconds at most.
async fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    for _ in 0..1_000 {
        if let Some(answer) = ask() {
            return answer;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("not within ten seconds: {what}");
}

/// Begins a scenario on real processes; the address of its server, once that says it.
async fn begun(folder: &Path, scenario: &str) -> (Child, SocketAddr) {
    let mut command = command(folder, scenario);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let child = child.expect("our own binary can be started");
    let log = folder.join("out/short-talk-live-5/n1/log.txt");
    let address = until("the server says where it listens", || {
        let log = std::fs::read_to_string(&log).ok()?;
        let line = log.lines().find(|line| line.contains(r#""ready":true"#))?;
        let said: serde_json::Value = serde_json::from_str(line).ok()?;
        said["address"].as_str()?.parse().ok()
    });
    (child, address.await)
}

/// It was another run's proxy once, and what the clients saw at that run's server was held against their own.
#[tokio::test]
async fn whoever_takes_the_port_of_a_server_that_is_down_never_meets_its_clients() {
    let kill = "kill = { restart_after = \"2s\" }\nat = \"300ms\"";
    let (child, address) = begun(&folder("port-taken"), &talk("40/s", "4s", kill)).await;
    let taken = until("the server is down", || TcpListener::bind(address).ok()).await;
    let run = run_of(&child.wait_with_output().expect("it ends"));
    assert_eq!(run.outcome, Outcome::TargetFailed, "{:?}", run.reasons);
    assert!(run.counts.sends_accepted > 0, "somebody was there before: {:?}", run.counts);
    taken.set_nonblocking(true).expect("it is ours");
    let visitor = taken.accept().map_err(|error| error.kind());
    assert!(matches!(visitor, Err(ErrorKind::WouldBlock)), "{visitor:?}");
}

/// What was running on was once taken for a server that could not be started again, and so for the death of the target; and then
/// for evidence that the power had gone.
#[tokio::test]
async fn a_server_whose_power_never_went_goes_on_and_is_held_against_nobody() {
    if disk::why_not().is_some() {
        return; // then there is no power to be lost, and another test sees to it that this is told
    }
    let folder = folder("no-copy");
    let power_loss = "power_loss = { restart_after = \"100ms\" }\nat = \"2s\"";
    let (child, _) = begun(&folder, &talk("20/s", "4s", power_loss)).await;
    // The names that copies of the disk would have for a moment are taken.
    for number in 0..100 {
        let name = format!(".avouch-disk-{}-{number}.img", child.id());
        std::fs::create_dir(folder.join("out/short-talk-live-5/n1").join(name))
            .expect("no copy is there yet");
    }
    let run = run_of(&child.wait_with_output().expect("it ends"));
    assert_eq!((run.outcome, &run.end), (Outcome::Inconclusive, &End::Complete), "{:?}", run.reasons);
    assert!(run.reasons.iter().any(|reason| reason.contains("power_loss on n1")), "{:?}", run.reasons);
    assert!(run.counts.sends_accepted > 0 && run.drain.is_some_and(|drain| drain.converged));
}
