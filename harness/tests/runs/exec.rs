//! Client programs: a toy server and its client, scripts that break every rule of `docs/exec.md`, and none of them left behind.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use avouch_reports::run::{Outcome, Run};

use crate::folder;

const TALK: &str = r#"
about = "A short talk outlives two cuts."

[workload]
conversations = 2
members = 3
rate = "40/s"
duration = "3s"

[phases]
drain = "3s"

[expect]
guarantees = ["no-loss", "no-phantoms", "intact"]
"#;

const CUTS: &str = r#"
[[fault]]
cut = { link = "u1" }
at = "1s"

[[fault]]
cut = { link = "clients" }
at = "2s"
"#;

/// What the tests run beside the tool: examples are built with tests.
fn toy() -> PathBuf {
    let toy = Path::new(env!("CARGO_BIN_EXE_avouch")).with_file_name("examples").join("exec_toy");
    assert!(toy.exists(), "build it first: cargo build -p avouch --examples");
    toy
}

/// A target file in a folder of its own: the toy server, and a client.
pub(crate) fn target(folder: &Path, client: &str) -> PathBuf {
    let path = folder.join("toy.toml");
    let toy = toy().to_string_lossy().into_owned();
    let text = format!(
        "about = \"A toy.\"\nprotocol = \"exec\"\n[start]\ncommand = [{toy:?}, \"serve\", \"{{port}}\"]\n\
        [client]\ncommand = [{toy:?}, \"client\", {client:?}]\noptions = {{ idempotent = true, redelivery = \"never\" }}\n"
    );
    std::fs::write(&path, text).expect("the folder can be written");
    path
}

fn avouch(folder: &Path, target: &str, faults: &str) -> Output {
    let scenario = folder.join("talk.toml");
    std::fs::write(&scenario, format!("{TALK}{faults}")).expect("the folder can be written");
    Command::new(env!("CARGO_BIN_EXE_avouch"))
        .args(["run", "--seed", "5", "--format", "json", "--target", target, "--out"])
        .arg(folder.join("out"))
        .arg(&scenario)
        .output()
        .expect("our own binary can be started")
}

fn own_folder(name: &str) -> PathBuf {
    let folder = folder(name);
    std::fs::create_dir_all(&folder).expect("the folder can be made");
    folder
}

pub(crate) fn run_of(output: &Output) -> Run {
    let said = String::from_utf8_lossy(&output.stderr);
    Run::from_json(&output.stdout).unwrap_or_else(|error| panic!("{error}\n{said}"))
}

#[test]
fn a_good_client_program_passes() {
    let folder = own_folder("exec-good");
    let output = avouch(&folder, &target(&folder, "good").to_string_lossy(), CUTS);
    let run = run_of(&output);
    assert_eq!((run.outcome, output.status.code()), (Outcome::Passed, Some(0)), "{:?}", run.reasons);
    assert!(run.counts.sends_accepted > 50 && run.counts.deliveries > run.counts.sends_accepted);
    assert!(run.counts.sessions > 6, "cut devices came back: {:?}", run.counts);
    // What the client's options say of its server is in the history's header.
    let checked = Command::new(env!("CARGO_BIN_EXE_avouch"))
        .args(["check", "--format", "json"])
        .arg(folder.join("out/talk-live-5"))
        .output()
        .expect("our own binary can be started");
    assert_eq!(
        run_of(&checked).judgements,
        run.judgements,
        "whoever judges its history judges as the run did"
    );
}

#[test]
fn a_client_program_that_loses_what_was_acknowledged_is_accused_with_its_server() {
    let folder = own_folder("exec-lose");
    let output = avouch(&folder, &target(&folder, "lose").to_string_lossy(), CUTS);
    let run = run_of(&output);
    assert_eq!((run.outcome, output.status.code()), (Outcome::Violated, Some(1)), "{:?}", run.reasons);
    assert!(run.reasons.iter().any(|reason| reason.starts_with("no-loss is violated")), "{:?}", run.reasons);
}

#[test]
fn a_client_program_that_dies_accuses_nobody() {
    let folder = own_folder("exec-die");
    let output = avouch(&folder, &target(&folder, "die").to_string_lossy(), CUTS);
    let run = run_of(&output);
    assert_eq!((run.outcome, output.status.code()), (Outcome::TargetFailed, Some(4)), "{:?}", run.reasons);
    let words = run.reasons.join("\n");
    assert!(words.contains("it ended by itself (exit status: 1)"), "{words}");
    assert!(words.contains("the licence has expired"), "{words}");
}

/// The run ends with exit code 4 and these words; the script, which wrote its process id down, is gone.
fn check(name: &str, script: &str, expected: &str) {
    let folder = own_folder(&format!("exec-{name}"));
    let pids = folder.join("pids");
    let script = format!("echo $$ >> {}; {script}", pids.display());
    let output = avouch(&folder, &format!("exec:/bin/sh -c '{script}'"), "");
    let run = run_of(&output);
    let words = run.reasons.join("\n");
    assert_eq!((run.outcome, output.status.code()), (Outcome::TargetFailed, Some(4)), "{words}");
    assert!(words.contains(expected), "{words}");
    let pids = std::fs::read_to_string(&pids).expect("the scripts wrote it");
    assert!(pids.lines().count() >= 1);
    for pid in pids.lines() {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        assert!(stat.is_empty() || stat.contains(") Z "), "process {pid} is still there");
    }
}

const HELLO: &str = r#"read -r _; echo "{\"type\":\"init_ok\",\"in_reply_to\":1,\"version\":1}""#;

#[test]
fn programs_that_break_the_rules_are_told_apart_and_none_is_left() {
    check("exit", "echo no licence >&2; exit 7", "it ended by itself (exit status: 7)");
    check("tail", "echo no licence >&2; exit 7", "no licence");
    check("close", "exec 1>&-; exec sleep 60", "closed its standard output");
    check("words", "echo hello; exec sleep 60", "no JSON");
    check("long", "head -c 100000000 /dev/zero; exec sleep 60", "a line of more than 4194304 bytes");
    check("early", r#"echo "{\"type\":\"session\"}"; exec sleep 60"#, "has to answer `init`");
    let lie = |line: &str| format!("{HELLO}; echo \"{line}\"; exec sleep 60");
    check("unasked", &lie(r#"{\"type\":\"ack\",\"in_reply_to\":4711}"#), "4711: that was never asked");
    check(
        "foreign",
        &lie(r#"{\"type\":\"gap\",\"conversation\":\"x\",\"after\":1,\"before\":3}"#),
        "`init` named no conversation",
    );
}

#[test]
fn a_program_that_there_is_not_is_named() {
    let folder = own_folder("exec-nowhere");
    let output = avouch(&folder, "exec:no-such-program --at all", "");
    let run = run_of(&output);
    assert_eq!(output.status.code(), Some(4));
    let words = run.reasons.join("\n");
    assert!(words.contains("`no-such-program --at all` could not be started: No such file"), "{words}");
}
