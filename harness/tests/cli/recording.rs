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

/// A queue that lives as long as its session owes nothing from before; a log does.
#[test]
fn a_history_says_itself_how_it_is_to_be_read() {
    let scratch = Scratch::new("reading");
    let events = [
        r#"{"t":0,"e":"device","d":0,"u":0,"n":"a"}"#,
        r#"{"t":0,"e":"device","d":1,"u":1,"n":"b"}"#,
        r#"{"t":0,"e":"conversation","c":0,"n":"general","us":[0,1]}"#,
        r#"{"t":1,"e":"phase","k":"chaos"}"#,
        r#"{"t":2,"e":"session","d":0,"k":"new"}"#,
        r#"{"t":3,"e":"send","d":0,"c":0,"m":1,"it":3,"b":64,"h":"00c0ffee00c0ffee"}"#,
        r#"{"t":4,"e":"accepted","d":0,"m":1,"s":1,"r":3}"#,
        r#"{"t":9000000000,"e":"session","d":1,"k":"new"}"#,
        r#"{"t":10000000000,"e":"phase","k":"heal"}"#,
        r#"{"t":11000000000,"e":"phase","k":"drain"}"#,
        r#"{"t":60000000000,"e":"quiet","d":1}"#,
        r#"{"t":60000000000,"e":"drained","ok":true,"missing":""}"#,
    ];
    let check = |reading: &str, code: i32| {
        let header = format!(r#"{{"avouch_history":1,"run":{{"claims":["no-loss"]{reading}}}}}"#);
        scratch.write("history.jsonl", format!("{header}\n{}\n", events.join("\n")));
        let ended = scratch.run(&["check", "history.jsonl"]);
        assert_eq!(ended.code, code, "{}{}", ended.stdout, ended.stderr);
    };
    check("", 1);
    check(r#","reading":{"catch_up":"log"}"#, 1);
    check(r#","reading":{"catch_up":"session"}"#, 0);
    check(r#","reading":{"catch_up":"queue"}"#, 2);
}
