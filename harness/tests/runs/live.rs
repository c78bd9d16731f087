//! One scenario against real processes of our own binary: started, killed and started again behind the chaos proxy.

use std::process::Command;

use avouch_reports::run::{End, Outcome, Run};

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

#[test]
fn a_live_run_is_whole_and_judged() {
    let folder = folder("live");
    std::fs::create_dir_all(&folder).expect("the folder can be made");
    let scenario = folder.join("short-talk.toml");
    std::fs::write(&scenario, SCENARIO).expect("the folder can be written");
    let ran = Command::new(env!("CARGO_BIN_EXE_avouch"))
        .args(["run", "--world", "live", "--seed", "5", "--format", "json", "--out"])
        .arg(folder.join("out"))
        .arg(&scenario)
        .output()
        .expect("our own binary can be started");
    let said = String::from_utf8_lossy(&ran.stderr);
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
