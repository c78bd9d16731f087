//! Data on standard output, talk on standard error; pipes that close; colour and progress only where somebody watches.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;
use std::thread;

use avouch_scenarios::catalog::CATALOG;
use nix::pty::openpty;

use crate::tool::{Ended, SHORT, Scratch};

#[test]
fn the_catalog_is_there_without_a_checkout_and_a_checkout_wins() {
    let scratch = Scratch::new("catalog");
    let ended = scratch.run(&["list", "scenarios"]);
    assert_eq!(
        (ended.code, &*ended.stderr),
        (0, &*format!("{} scenarios from the built-in catalog\n", CATALOG.len()))
    );
    assert!(ended.stdout.contains("`crash/kill`\n    "), "{}", ended.stdout);
    let ended = scratch.run(&["run", "smoke/steady", "--print-plan"]);
    assert_eq!((ended.code, &*ended.stderr), (0, "1 scenario from the built-in catalog\n"));
    assert!(ended.stdout.contains("\"scenario\": \"smoke/steady\""));

    scratch.write("scenarios/catalog/smoke/steady.toml", SHORT);
    let ended = scratch.run(&["list", "scenarios"]);
    assert_eq!(ended.stderr, "1 scenario from the catalog in scenarios/catalog\n");
    assert_eq!(ended.stdout, "`smoke/steady`\n    Nothing happens.\n");
    for name in ["smoke/steady", "smoke", "smoke/"] {
        let ended = scratch.run(&["run", name, "--out", "out"]);
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        assert!(ended.stderr.starts_with("1 scenario from the catalog in scenarios/catalog\n"));
        assert!(
            ended
                .stdout
                .contains("repeat: avouch run scenarios/catalog/smoke/steady.toml --world sim --seed 1")
        );
    }
}

#[test]
fn quiet_leaves_results_only() {
    let scratch = Scratch::new("quiet");
    scratch.write("x.toml", SHORT);
    let loud = scratch.run(&["run", "x.toml"]);
    assert_eq!(loud.stderr, "[  1/1] passed        x (seed 1)\n");
    let quiet = scratch.run(&["--quiet", "run", "x.toml"]);
    assert_eq!((quiet.code, &*quiet.stderr, &quiet.stdout), (0, "", &loud.stdout));
    assert!(!loud.stdout.contains('\x1b'), "no colour where nobody watches");
}

#[test]
fn a_closed_pipe_is_no_error() {
    let scratch = Scratch::new("pipe");
    scratch.write("x.toml", SHORT);
    for arguments in [&["list", "guarantees"][..], &["--help"], &["run", "x.toml"], &["schema"]] {
        let mut child =
            scratch.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // Nobody reads either of them.
        drop(child.stdout.take());
        drop(child.stderr.take());
        assert_eq!(child.wait().unwrap().code(), Some(0), "{arguments:?}");
    }
}

#[test]
fn a_full_disk_behind_standard_output_is_told() {
    let Ok(full) = OpenOptions::new().write(true).open("/dev/full") else { return };
    let scratch = Scratch::new("full");
    let ended = Ended::from(scratch.command(&["list", "guarantees"]).stdout(full).output().unwrap());
    assert_eq!(ended.code, 2);
    assert_eq!(ended.stderr, "error: cannot print: No space left on device (os error 28)\n");
}

/// Runs with standard error at a terminal: what came there, and standard output.
fn at_a_terminal(scratch: &Scratch, arguments: &[&str], variables: &[(&str, &str)]) -> (String, String) {
    let terminal = openpty(None, None).unwrap();
    let mut command = scratch.command(arguments);
    command.env("TERM", "xterm").envs(variables.iter().copied());
    let mut child = command.stderr(terminal.slave).stdout(Stdio::piped()).spawn().unwrap();
    // The command holds the other end as long as it lives in this variable.
    drop(command);
    let reader = thread::spawn(move || {
        let mut shown = Vec::new();
        // At the end a terminal whose other side is gone answers with an error.
        let _ = File::from(terminal.master).read_to_end(&mut shown);
        String::from_utf8(shown).unwrap()
    });
    let mut stdout = String::new();
    child.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
    child.wait().unwrap();
    (reader.join().unwrap(), stdout)
}

#[test]
fn a_terminal_is_shown_a_line_that_changes_and_data_stays_clean() {
    let scratch = Scratch::new("terminal");
    scratch.write("x.toml", SHORT);
    let arguments = ["run", "x.toml", "--seeds", "3", "--jobs", "1"];
    let (shown, stdout) = at_a_terminal(&scratch, &arguments, &[]);
    assert!(shown.contains("\r\x1b[2K[0/3] x\r\x1b[2K"), "{shown:?}");
    assert!(shown.contains("\r\x1b[2K[2/3] about ") && shown.contains(" s left: x\r"), "{shown:?}");
    assert!(shown.ends_with("\r\x1b[2K") || shown.ends_with("passed\r\n"), "{shown:?}");
    assert!(!stdout.contains('\x1b') && stdout.starts_with("PASSED: 3 runs"), "{stdout}");
    for quiet in [at_a_terminal(&scratch, &arguments, &[("TERM", "dumb")]).0, {
        at_a_terminal(&scratch, &[&["--quiet"], &arguments[..]].concat(), &[]).0
    }] {
        assert!(!quiet.contains('\x1b'), "{quiet:?}");
    }
}

#[test]
fn no_color_is_heeded() {
    let scratch = Scratch::new("colour");
    let (coloured, _) = at_a_terminal(&scratch, &["check", "nothing"], &[]);
    assert_eq!(coloured, "\x1b[1;31merror\x1b[0m: nothing: there is no such file\r\n");
    let (plain, _) = at_a_terminal(&scratch, &["check", "nothing"], &[("NO_COLOR", "1")]);
    assert_eq!(plain, "error: nothing: there is no such file\r\n");
}

#[test]
fn every_command_has_help_and_every_exit_code_is_in_it() {
    let scratch = Scratch::new("help");
    let help = scratch.run(&["--help"]).stdout;
    let commands =
        help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let commands: Vec<&str> = commands.filter_map(|line| line.split_whitespace().next()).collect();
    assert!(commands.contains(&"run") && commands.contains(&"serve"), "{help}");
    for command in commands {
        let ended = scratch.run(&["help", command]);
        assert_eq!((ended.code, &*ended.stderr), (0, ""), "{command}");
        assert!(ended.stdout.contains("Usage: avouch"), "{}", ended.stdout);
    }
    for code in ["0 ", "1 ", "2 ", "3 ", "4 ", "130 "] {
        assert!(help.contains(&format!("\n  {code}")), "{code} is not in {help}");
    }
}

#[test]
fn an_earlier_run_is_replaced_or_kept_and_the_user_is_told() {
    let scratch = Scratch::new("earlier");
    scratch.write("x.toml", SHORT);
    let first = scratch.run(&["run", "x.toml"]);
    let again = scratch.run(&["run", "x.toml"]);
    assert_eq!(again.stdout, first.stdout);
    assert!(
        again.stderr.ends_with("\nreplaced in avouch-out: 1 earlier run that had passed\n"),
        "{}",
        again.stderr
    );
    // As if that had been ended before it was judged.
    fs::remove_file(scratch.path("avouch-out/x-sim-1/run.json")).unwrap();
    let third = scratch.run(&["run", "x.toml"]);
    let kept = "\nkept: the earlier run, which had not passed, is in avouch-out/x-sim-1.1 now\n";
    assert!(third.stderr.ends_with(kept), "{}", third.stderr);
    let lines = |path: &str| BufReader::new(File::open(scratch.path(path)).unwrap()).lines().count();
    assert_eq!(lines("avouch-out/x-sim-1.1/history.jsonl"), lines("avouch-out/x-sim-1/history.jsonl"));
}
