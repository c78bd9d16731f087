//! The binary: readiness, exit codes, signals, and what survives `kill -9`.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use avouch_engine::client::Observation;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::device::{Device, SECRET, accepted};
use crate::journal_files::Scratch;

pub(crate) fn command(directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_avouch-server"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("AVOUCH_SERVER_")) {
        command.env_remove(name);
    }
    command.args(["--listen", "127.0.0.1:0", "--data"]).arg(directory.join("data"));
    command.env("AVOUCH_SERVER_SECRET", std::str::from_utf8(SECRET).unwrap());
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

pub(crate) async fn start(command: &mut Command) -> (Child, serde_json::Value) {
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = timeout(Duration::from_secs(20), lines.next_line()).await.unwrap().unwrap().unwrap();
    (child, serde_json::from_str(&line).unwrap())
}

pub(crate) fn address(ready: &serde_json::Value) -> SocketAddr {
    ready["address"].as_str().unwrap().parse().unwrap()
}

/// Runs a command that must end by itself: its exit code, stdout and stderr.
async fn ended(command: &mut Command) -> (i32, String, String) {
    let output = timeout(Duration::from_secs(20), command.output()).await.unwrap().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

pub(crate) async fn check(command: &mut Command, expected_code: i32, expected: &[&str]) {
    let (code, _, stderr) = ended(command).await;
    assert_eq!(code, expected_code, "{stderr}");
    for expected in expected {
        assert!(stderr.contains(expected), "{expected:?} is not in {stderr}");
    }
}

#[tokio::test]
async fn kill_9_loses_nothing_acknowledged() {
    let scratch = Scratch::new("kill");
    let (mut child, ready) = start(&mut command(&scratch.0)).await;
    let mut alice = Device::new(address(&ready), 1, 1);
    alice.invite(1, 7, &[1, 2]);
    alice.until_accepted(1).await;
    for round in 0..3_u64 {
        let first = 2 + round * 100;
        for id in first..first + 100 {
            alice.send(id, 7, format!("message {id}"));
        }
        // Somewhere in the middle of the work.
        alice.until_accepted(first + 37).await;
        child.kill().await.unwrap();
        let ready;
        (child, ready) = start(&mut command(&scratch.0)).await;
        alice.moves_to(address(&ready));
        let all = |seen: &[Observation]| (first..first + 100).all(|id| accepted(seen, id).is_some());
        alice.until("the rest of the round", all).await;
    }
    let mut bob = Device::new(alice.address(), 2, 1);
    bob.until_delivered(b"message 301").await;
    let log: Vec<_> = bob
        .seen
        .iter()
        .filter_map(|seen| match seen {
            Observation::Delivered { entry, .. } => Some((entry.id.0, entry.seq)),
            _ => None,
        })
        .collect();
    let promised: Vec<_> = (1..=301).map(|id| (id, accepted(&alice.seen, id).unwrap())).collect();
    assert_eq!(log, promised);
    child.kill().await.unwrap();
}

#[cfg(unix)]
#[tokio::test]
async fn sigterm_stops_it_gracefully() {
    let scratch = Scratch::new("sigterm");
    let (mut child, ready) = start(command(&scratch.0).args(["--metrics-listen", "127.0.0.1:0"])).await;
    assert!(ready["metrics"].is_string(), "{ready}");
    assert_eq!(ready["pid"].as_u64().unwrap(), u64::from(child.id().unwrap()));
    let mut alice = Device::new(address(&ready), 1, 1);
    alice.invite(1, 7, &[1]);
    alice.until_accepted(1).await;
    let pid = child.id().unwrap().to_string();
    assert!(Command::new("kill").arg(pid).status().await.unwrap().success());
    let status = alice.beside(timeout(Duration::from_secs(20), child.wait())).await.unwrap().unwrap();
    assert_eq!(status.code(), Some(0));
    alice.until("the goodbye", |seen| seen.contains(&Observation::SessionEnded { why: "shutdown" })).await;
}

#[tokio::test]
async fn what_is_taken_is_refused() {
    let scratch = Scratch::new("taken");
    let (mut child, ready) = start(&mut command(&scratch.0)).await;
    check(&mut command(&scratch.0), 4, &["in use by another process"]).await;
    let address = address(&ready).to_string();
    let mut other = Command::new(env!("CARGO_BIN_EXE_avouch-server"));
    other
        .args(["--secret", "a secret of the tests", "--listen", &address, "--data"])
        .arg(scratch.0.join("other"));
    check(&mut other, 4, &["cannot listen", &address]).await;
    child.kill().await.unwrap();
}

#[tokio::test]
async fn wrong_settings_are_told() {
    let scratch = Scratch::new("settings");
    let file = scratch.0.join("server.toml");
    let mut with_file = command(&scratch.0);
    let with_file = with_file.arg("--config").arg(&file);

    fs::write(&file, "windw_entries = 3\n").unwrap();
    check(with_file, 2, &["server.toml", "unknown field `windw_entries`", "window_entries"]).await;
    fs::write(&file, "window_entries = 0\n").unwrap();
    check(with_file, 2, &["window_entries: is 0, but must be from 1 to 65536"]).await;
    fs::write(&file, "window_entries = \"many\"\n").unwrap();
    check(with_file, 2, &["server.toml", "invalid type"]).await;
    fs::write(&file, b"\xff\xfe\x00").unwrap();
    check(with_file, 2, &["server.toml"]).await;
    fs::remove_file(&file).unwrap();
    check(with_file, 2, &["server.toml"]).await;
    check(
        command(&scratch.0).env("AVOUCH_SERVER_LISTN", "x"),
        2,
        &["AVOUCH_SERVER_LISTN", "AVOUCH_SERVER_LISTEN"],
    )
    .await;
    check(command(&scratch.0).env("AVOUCH_SERVER_SECRET", "short"), 2, &["secret", "at least 16"]).await;
    check(command(&scratch.0).env_remove("AVOUCH_SERVER_SECRET"), 2, &["secret_file"]).await;
    check(command(&scratch.0).args(["--log", "=,=bad"]), 2, &["log"]).await;
    check(command(&scratch.0).args(["--tls-key", "x"]), 2, &["tls_certificates"]).await;
}

#[tokio::test]
async fn flags_win_over_environment_over_file() {
    let scratch = Scratch::new("precedence");
    let file = scratch.0.join("server.toml");
    fs::write(&file, "window_entries = 1\nheartbeat_ms = 1001\nsilent_ms = 9001\n").unwrap();
    let mut command = command(&scratch.0);
    command.arg("--print-config").arg("--config").arg(&file).args(["--window-entries", "3"]);
    command.env("AVOUCH_SERVER_WINDOW_ENTRIES", "2").env("AVOUCH_SERVER_HEARTBEAT_MS", "1002");
    let (code, stdout, stderr) = ended(&mut command).await;
    assert_eq!(code, 0, "{stderr}");
    for expected in
        ["window_entries = 3\n", "heartbeat_ms = 1002\n", "silent_ms = 9001\n", "secret = \"(not shown)\"\n"]
    {
        assert!(stdout.contains(expected), "{expected:?} is not in {stdout}");
    }
    assert!(!stdout.contains("a secret of the tests"));
}
