//! Targets that are of no use: one clear sentence with the end of the log, the exit code that says so, and what was recorded is kept.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use avouch_reports::run::{End, Outcome, Run};

use crate::folder;

const TALK: &str = r#"
about = "A short talk."

[workload]
members = 3
rate = "40/s"
duration = "2s"

[phases]
setup = "4s"
drain = "2s"
"#;

/// What the tests run beside the tool: examples are built with tests.
fn example(name: &str) -> String {
    let path = Path::new(env!("CARGO_BIN_EXE_avouch")).with_file_name("examples").join(name);
    assert!(path.exists(), "build it first: cargo build -p avouch --examples");
    path.to_string_lossy().into_owned()
}

/// A folder with a target file and a scenario.
fn prepared(name: &str, target: &str, faults: &str) -> PathBuf {
    let folder = folder(&format!("bad-{}", name.replace(' ', "-")));
    std::fs::create_dir_all(&folder).expect("the folder can be made");
    std::fs::write(folder.join("target.toml"), target).expect("the folder can be written");
    std::fs::write(folder.join("talk.toml"), format!("{TALK}{faults}")).expect("the folder can be written");
    folder
}

fn avouch(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_avouch"));
    let ran = command.args(arguments).args(["--format", "json", "--out", "out"]).current_dir(folder).output();
    ran.expect("our own binary can be started")
}

fn run_of(folder: &Path) -> Run {
    let output = avouch(folder, &["run", "talk.toml", "--target", "target.toml"]);
    let said = String::from_utf8_lossy(&output.stderr);
    let run = Run::from_json(&output.stdout).unwrap_or_else(|error| panic!("{error}\n{said}"));
    assert_eq!((run.outcome, output.status.code()), (Outcome::TargetFailed, Some(4)), "{:?}", run.reasons);
    // What was recorded can be judged again.
    let history = folder.join("out/talk-live-1/history.jsonl");
    let again = Command::new(env!("CARGO_BIN_EXE_avouch")).arg("check").arg(&history).output();
    assert_ne!(again.expect("our own binary can be started").status.code(), Some(2), "{}", history.display());
    run
}

/// One sentence, and the end of the log.
fn check(how: &str, expected: &str) {
    let server = example("bad_server");
    let target = format!(
        "about = \"A bad one.\"\nprotocol = \"mqtt\"\n[start]\ncommand = [{server:?}, {how:?}, \"{{port}}\"]\nready_within = \"2s\"\n"
    );
    let run = run_of(&prepared(how, &target, ""));
    let [reason] = &run.reasons[..] else { panic!("{how}: one sentence, not {:?}", run.reasons) };
    assert!(reason.contains(expected), "{how}: {reason}");
    assert!(reason.contains(&format!("a bad server that {how}")), "{how}: the end of the log: {reason}");
}

#[test]
fn a_server_that_does_not_come_up_is_told() {
    check("exits", "the server died on its own (exit status: 3); the end of its log:");
    check("hangs", "the server was not ready within 2s; the end of its log:");
}

#[test]
fn a_server_that_dies_is_told() {
    check("dies", "the server died on its own (exit status: 139); the end of its log:");
}

#[test]
fn a_server_that_says_nothing_of_use_is_told() {
    check("is silent", "have no session (u0.d1: no session came about: CONNECT was not answered in time)");
    check("closes", "have no session (u0.d1: the server ended the connection)");
}

#[test]
fn a_server_of_another_protocol_is_told() {
    let words = "what answers does not speak MQTT, it begins with \"HTTP/1.1 400 Bad Request";
    check("speaks another protocol", words);
    check("sends garbage", "the server sent what is not MQTT");
    check("sends too much", "the server sent what is not MQTT: a packet that is larger than what is read");
}

#[test]
fn a_server_that_refuses_is_told() {
    check("refuses logins", "the server refused the connection, code 4: bad user name or password");
    check("refuses subscriptions", "the server refused a subscription, code 0x80");
}

#[test]
fn an_audit_of_a_server_that_is_of_no_use_ends_soon() {
    let server = example("bad_server");
    let target = format!(
        "about = \"A bad one.\"\nprotocol = \"mqtt\"\n[start]\ncommand = [{server:?}, \"exits\", \"{{port}}\"]\n"
    );
    let folder = prepared("audit", &target, "");
    let output = avouch(&folder, &["audit", "target.toml", "--jobs", "1"]);
    assert_eq!(output.status.code(), Some(4));
    let text = std::fs::read_to_string(folder.join("out/audit.txt")).expect("the audit is written");
    assert!(
        text.contains("showed nothing: steady\n      the server died on its own (exit status: 3)"),
        "{text}"
    );
    assert!(text.contains("the server was of no use before it had taken a single message"), "{text}");
}

/// The toy server of `docs/exec.md`, behind a shell that has its own ideas.
fn toy(script: &str) -> String {
    let toy = example("exec_toy");
    format!(
        "about = \"A toy.\"\nprotocol = \"exec\"\n[start]\ncommand = [\"/bin/sh\", \"-c\", {script:?}, {toy:?}, \"{{port}}\", \"{{data}}/once\"]\n\
        [client]\ncommand = [{toy:?}, \"client\", \"good\"]\noptions = {{ idempotent = true, redelivery = \"never\" }}\n"
    )
}

#[test]
fn a_server_that_dies_under_load_loses_nothing_of_what_was_recorded() {
    let target = toy("\"$0\" serve \"$1\" & sleep 1.5; echo no more memory >&2; exit 7");
    let run = run_of(&prepared("under-load", &target, ""));
    let words = run.reasons.join("\n");
    assert!(words.contains("n1: the server died on its own (exit status: 7)"), "{words}");
    assert!(words.contains("no more memory"), "{words}");
    assert!(run.counts.sends_accepted > 0 && run.counts.deliveries > 0, "{:?}", run.counts);
}

#[test]
fn a_server_that_cannot_be_started_again_is_told() {
    let target = toy(
        "if test -e \"$2\"; then echo it was not closed properly >&2; exit 9; fi; touch \"$2\"; exec \"$0\" serve \"$1\"",
    );
    let fault = "\n[[fault]]\nkill = { restart_after = \"100ms\" }\nat = \"800ms\"\n";
    let run = run_of(&prepared("again", &target, fault));
    let words = run.reasons.join("\n");
    let expected = "n1 could not be started again: the server died on its own (exit status: 9)";
    assert!(words.contains(expected) && words.contains("it was not closed properly"), "{words}");
    assert!(matches!(run.end, End::TargetFailed { .. }) && run.counts.sends_accepted > 0);
}
