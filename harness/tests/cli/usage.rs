//! Wrong usages: what a user reads, and the exit code.

use std::fs;
use std::net::TcpListener;

use crate::tool::{SHORT, Scratch};

const SECRET: &str = "0123456789abcdef";

/// Runs a wrong command; checks the exit code and the whole text on standard error. Nothing may be on standard output.
#[track_caller]
fn check(scratch: &Scratch, arguments: &[&str], code: i32, stderr: &str) {
    let ended = scratch.run(arguments);
    assert_eq!((ended.code, ended.stderr.trim_end()), (code, stderr), "{arguments:?}");
    assert_eq!(ended.stdout, "", "{arguments:?}");
}

#[test]
fn words_that_there_are_not() {
    let scratch = Scratch::new("words");
    let check = |arguments: &[&str], stderr: &str| check(&scratch, arguments, 2, stderr);
    check(
        &["rnu"],
        "error: unrecognized subcommand 'rnu'\n\n\
         Usage: avouch [OPTIONS] <COMMAND>\n\nFor more information, try '--help'.",
    );
    check(
        &["run", "crash/kil"],
        "error: there is no scenario file, folder or name crash/kil\nhint: did you mean `crash/kill`?",
    );
    check(
        &["run", "kill"],
        "error: there is no scenario file, folder or name kill\nhint: did you mean `crash/kill`?",
    );
    check(
        &["run", "my/own.toml"],
        "error: there is no scenario file, folder or name my/own.toml\n\
         hint: `avouch list scenarios` shows the catalog; a file of your own is named by its path",
    );
    check(
        &["run", "--target", "rabbit"],
        "error: there is no target `rabbit`\nhint: there is mosquitto, mqtt, nats, nats-synced, reference, rumqttd; `avouch list targets` tells more",
    );
    check(
        &["audit", "reference", "--case", "stedy"],
        "error: no case has such a name\nhint: a run without --case tells the names, as it goes on",
    );
    check(
        &["check", "x", "--expect", "no-lose"],
        "error: there is no guarantee `no-lose`\nhint: did you mean `no-loss`?",
    );
    check(
        &["check", "x", "--expect", "everything"],
        "error: there is no guarantee `everything`\nhint: `avouch list guarantees` shows all",
    );
    check(
        &["list", "scenario"],
        "error: invalid value 'scenario' for '<SUBJECT>'\n  \
         [possible values: guarantees, faults, scenarios, targets, profiles, states, defects, exit-codes]\n\n  \
         tip: a similar value exists: 'scenarios'\n\nFor more information, try '--help'.",
    );
    check(
        &["run", "--world", "real"],
        "error: invalid value 'real' for '--world <WORLD>'\n  [possible values: sim, explore, live]\n\n\
         For more information, try '--help'.",
    );
}

#[test]
fn numbers_that_are_none() {
    let scratch = Scratch::new("numbers");
    let seed = |given: &str| {
        let stderr = format!(
            "error: invalid value '{given}' for '--seed <NUMBER>': a seed is a whole number from 0 to \
             18446744073709551615\n\nFor more information, try '--help'."
        );
        check(&scratch, &["run", "--seed", given], 2, &stderr);
    };
    seed("abc");
    seed("-1");
    seed("18446744073709551616");
    check(
        &scratch,
        &["run", "--quiet", "--seed", "18446744073709551615", "--seeds", "2"],
        2,
        "error: there are no 2 seeds from 18446744073709551615 upwards",
    );
    check(
        &scratch,
        &["run", "--jobs", "0"],
        2,
        "error: invalid value '0' for '--jobs <COUNT>': 0 is not in 1..=65535\n\nFor more information, try '--help'.",
    );
}

#[test]
fn scenario_files_that_are_none() {
    let scratch = Scratch::new("scenarios");
    scratch.write("newer.toml", format!("version = 9\n{SHORT}"));
    scratch.write("binary.toml", b"\xff\xfe");
    scratch.write("empty.toml", "");
    scratch.write("large.toml", vec![b'#'; 300 * 1024]);
    scratch.write("nodes.toml", format!("{SHORT}[cluster]\nnodes = 3\n"));
    fs::create_dir(scratch.path("folder")).unwrap();
    let check = |file: &str, stderr: &str| check(&scratch, &["run", file], 2, stderr);
    check(
        "newer.toml",
        "error: this file is of version 9, which this build does not know\n --> newer.toml:1:11\n  |\n\
         1 | version = 9\n  |           ^\nhint: this build reads version 1; a newer one may read more",
    );
    check("binary.toml", "error: binary.toml: not valid UTF-8: this is no text file");
    check("large.toml", "error: large.toml: longer than 262144 bytes");
    check(
        "empty.toml",
        "error: `about` is missing\n --> empty.toml:1:1\n  |\n1 |\n  | ^\nhint: one sentence: what this scenario proves\n\n\
         error: `workload` is missing\n --> empty.toml:1:1\n  |\n1 |\n  | ^\nhint: what the clients do",
    );
    check(
        "nodes.toml",
        "error: nodes.toml: the scenario asks for 3 nodes\nhint: the reference server runs as one node; set nodes = 1",
    );
    check(
        "folder",
        "error: no scenario file is in folder\n\
         hint: scenario files end in .toml; `avouch list scenarios` shows those of the catalog",
    );
}

#[test]
fn folders_that_cannot_be_used() {
    let scratch = Scratch::new("folders");
    scratch.write("file", "");
    scratch.write("a/x.toml", SHORT);
    scratch.write("b/x.toml", SHORT);
    let check = |arguments: &[&str], stderr: &str| check(&scratch, arguments, 2, stderr);
    check(
        &["run", "a", "--out", "file"],
        "error: run folders cannot be made in file: it is no folder\nhint: choose another folder with --out",
    );
    check(
        &["run", "a", "--out", "file/below"],
        "error: run folders cannot be made in file/below: it is no folder\nhint: choose another folder with --out",
    );
    check(
        &["run", "a", "b", "--out", "out"],
        "error: a/x.toml and b/x.toml would have one run folder, out/x-sim-1\n\
         hint: run them one after the other, each with its own --out",
    );
    check(&["report", "a"], "error: a/run.json: there is no such file\nhint: `avouch run` makes run folders");
    check(&["check", "a"], "error: a: there is no history.jsonl in this folder");
    check(&["check", "nothing"], "error: nothing: there is no such file");
}

#[test]
fn histories_that_are_none() {
    let scratch = Scratch::new("histories");
    let head = "{\"avouch_history\":1,\"run\":{\"tool\":\"other 1\"}}\n";
    let check = |history: &[u8], stderr: &str| {
        scratch.write("h.jsonl", history);
        check(&scratch, &["check", "h.jsonl"], 2, stderr);
    };
    let header = "hint: a history begins with a line like {\"avouch_history\":1,\"run\":{…}}; see docs/history-format.md";
    check(b"", &format!("error: h.jsonl: history line 1: it is empty\n{header}"));
    check(
        b"hello\n",
        &format!(
            "error: h.jsonl: history line 1: this is not a history: the first line is no header\n{header}"
        ),
    );
    check(
        b"{\"avouch_history\":2,\"run\":{}}\n",
        "error: h.jsonl: history line 1: format version 2 is newer than this tool, which knows 1\n\
         hint: read it with the version of avouch that wrote it, or a newer one",
    );
    check(
        format!("{head}{{\"t\":1,\"e\":\"phase\",\"k\":\"chaos\"}}\n{{\"t\":2,\"e\":\"delivered\",\"d\":3,\"c\":0,\"m\":1,\"h\":\"00\"}}\n").as_bytes(),
        "error: h.jsonl: history line 3: field \"h\" must be a string of 16 hexadecimal digits\n\
         hint: see this event in docs/history-format.md",
    );
    check(
        format!("{head}{{\"t\":1,\"e\":\"session\",\"d\":3,\"k\":\"new\"}}\n").as_bytes(),
        "error: h.jsonl: history line 2: device 3 is not declared\n\
         hint: a `device` or `conversation` line must stand above its first use",
    );
}

#[test]
fn servers_that_cannot_start() {
    let scratch = Scratch::new("serve");
    scratch.write("file", "");
    scratch.write("server.toml", "windw_entries = 3\n");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let check = |arguments: &[&str], code: i32, stderr: &str| {
        check(&scratch, &[&["serve", "--listen", "127.0.0.1:0"], arguments].concat(), code, stderr);
    };
    check(&[], 2, "error: secret: is missing: set secret or secret_file");
    check(&["--secret", "short"], 2, "error: secret: has 5 bytes, at least 16 are needed");
    check(&["--config", "nothing.toml"], 2, "error: nothing.toml: No such file or directory (os error 2)");
    let ended = scratch.run(&["serve", "--config", "server.toml"]);
    assert_eq!(ended.code, 2);
    assert!(ended.stderr.contains("unknown field `windw_entries`"), "{}", ended.stderr);
    check(
        &["--secret", SECRET, "--tls-certificates", "file", "--tls-key", "file"],
        2,
        "error: file: there is no certificate in it; PEM is expected",
    );
    check(&["--secret", SECRET, "--tls-key", "file"], 2, "error: tls_key: needs tls_certificates too");
    let ended = scratch.run(&["serve", "--secret", SECRET, "--listen", &address, "--data", "data"]);
    let words = format!("error: cannot listen on {address}: Address already in use (os error 98)\n");
    assert_eq!((ended.code, ended.stderr), (4, words));
    let ended = scratch.run(&["serve", "--secret", SECRET, "--listen", "127.0.0.1:0", "--data", "file"]);
    assert_eq!(ended.code, 4, "{}", ended.stderr);
    assert!(ended.stderr.starts_with("error: file: "), "{}", ended.stderr);
}
