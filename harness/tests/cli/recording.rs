//! A disk that takes no more while a run is recorded, as a limit on the size of files shows it to any user.

use std::fs;
use std::process::Command;

use crate::tool::{Ended, Scratch, clean};

/// More than a plan and a record, less than the history: in blocks of 512 or 1,024 bytes, as the shell has it.
const BLOCKS: &str = "1000";

const SCENARIO: &str = "about = \"Much is recorded.\"\n[workload]\nconversations = 4\nmembers = 4\ndevices = 2\nrate = \"100/s\"\nduration = \"5s\"\n";

#[test]
fn a_history_that_cannot_be_written_on_ends_the_run_and_its_beginning_can_be_judged() {
    let scratch = Scratch::new("full-disk");
    scratch.write("x.toml", SCENARIO);
    let mut command = Command::new("/bin/sh");
    let script = format!("ulimit -f {BLOCKS}; exec \"$@\"");
    command.args(["-c", &script, "sh", env!("CARGO_BIN_EXE_avouch"), "run", "x.toml"]);
    let ended = Ended::from(clean(&mut command, &scratch.0).output().unwrap());
    assert_eq!(ended.code, 3, "{ended:?}");
    assert!(ended.stderr.starts_with("[  1/1] failed        x (seed 1)\n"), "{}", ended.stderr);
    let why = "  - the tool itself failed: cannot write the history behind event ";
    let hint = "File too large (os error 27)";
    assert!(ended.stdout.contains(why) && ended.stdout.contains(hint), "{}", ended.stdout);

    let history = fs::read(scratch.path("avouch-out/x-sim-1/history.jsonl")).unwrap();
    let whole_lines = String::from_utf8_lossy(&history).matches('\n').count();
    assert!(whole_lines > 100 && history.len() > 400_000, "{whole_lines} lines");
    let judged = scratch.run(&["check", "avouch-out/x-sim-1"]);
    assert_eq!(judged.code, 3, "{judged:?}");
    assert!(judged.stdout.starts_with("INCONCLUSIVE: x (reference, sim, seed 1)\n"), "{}", judged.stdout);
    assert!(judged.stdout.contains("  no-loss "), "{}", judged.stdout);
    if !history.ends_with(b"\n") {
        let note = format!("note: the last line ({}) is torn after ", whole_lines + 1);
        assert!(judged.stderr.starts_with(&note), "{}", judged.stderr);
    }
}
