//! Histories that want to do something to whoever reads them.

use std::fs::{File, OpenOptions};
use std::io::Write;

use crate::tool::Scratch;

/// What a terminal, a browser, a CI server or a reader may be deceived with. In a history they stand escaped as JSON has it
/// and, where JSON allows it, raw.
const TEXTS: [&str; 9] = [
    "\u{1b}[2J\u{1b}]0;owned\u{7}",
    "\u{9b}31m\u{90}q\u{9c}",
    "\u{202e}drowssap\u{2066}",
    "</system-out></testcase><failure message=\"x\">]]>",
    "| a | b |\n|---|---|\n# head",
    "</pre></details><script>alert(1)</script>",
    "\r\n[  1/1] passed        everything\r",
    "\u{feff}\u{2028}\u{85}\u{7f}\0",
    "@everyone https://evil.example ![x](y)",
];

/// A history of another tool with one violated promise, so that names, faults and notes stand in a timeline.
fn history(text: &str) -> String {
    let json = serde_json::to_string(text).unwrap();
    let keys = ["tool", "scenario", "world", "target", "repeat"];
    let head: String = keys.iter().flat_map(|key| ["\"", key, "\":", &json, ","]).collect();
    format!(
        "{{\"avouch_history\":1,\"run\":{{{head}\"claims\":[\"no-phantoms\",{json}],\"notes\":[{json}]}}}}\n\
         {{\"t\":0,\"e\":\"device\",\"d\":0,\"u\":0,\"n\":{json}}}\n\
         {{\"t\":0,\"e\":\"conversation\",\"c\":0,\"n\":{json},\"us\":[0]}}\n\
         {{\"t\":1,\"e\":\"phase\",\"k\":\"chaos\"}}\n\
         {{\"t\":2,\"e\":\"fault-started\",\"f\":0,\"k\":{json},\"target\":{json}}}\n\
         {{\"t\":3,\"e\":\"note\",\"text\":{json}}}\n\
         {{\"t\":4,\"e\":\"delivered\",\"d\":0,\"c\":0,\"m\":7,\"h\":\"00c0ffee00c0ffee\"}}\n\
         {{\"t\":5,\"e\":\"fault-ended\",\"f\":0,\"evidence\":{json}}}\n"
    )
}

/// Controls, separators and marks that turn the reading direction, but for the line feeds of the report itself.
fn is_hostile(character: char) -> bool {
    (character.is_control() && character != '\n')
        || matches!(character, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[test]
fn no_format_lets_a_hostile_history_through() {
    let scratch = Scratch::new("hostile");
    for format in ["text", "markdown", "junit", "json", "html"] {
        let show = |text: &str| {
            scratch.write("h.jsonl", history(text));
            let ended = scratch.run(&["check", "h.jsonl", "--format", format]);
            assert_eq!((ended.code, &*ended.stderr), (1, ""), "{text:?}: {}", ended.stdout);
            ended.stdout
        };
        let harmless = show("plain");
        for text in TEXTS {
            let shown = show(text);
            assert!(!shown.contains(is_hostile), "{text:?} as {format}: {shown}");
            assert_eq!(shown.lines().count(), harmless.lines().count(), "{text:?} as {format}: {shown}");
            let markup = |shown: &str| shown.matches(['<', '>']).count();
            if format == "junit" || format == "markdown" {
                assert_eq!(markup(&shown), markup(&harmless), "{text:?} as {format}: {shown}");
            }
        }
    }
}

#[test]
fn errors_show_nothing_hostile() {
    let scratch = Scratch::new("hostile-errors");
    let head = "{\"avouch_history\":1,\"run\":{}}\n";
    for text in TEXTS {
        let json = serde_json::to_string(text).unwrap();
        for bad in [
            format!("{{\"avouch_history\":1,\"run\":{{{json}:1}}}}\n"),
            format!("{head}{{\"t\":1,\"e\":{json}}}\n"),
            format!("{head}{{\"t\":1,\"e\":\"phase\",{json}:1}}\n"),
            format!("{head}{text}\n"),
            format!("{text}\n"),
        ] {
            scratch.write("h.jsonl", &bad);
            let ended = scratch.run(&["check", "h.jsonl"]);
            assert_eq!((ended.code, &*ended.stdout), (2, ""), "{bad:?}");
            assert!(!ended.stderr.contains(is_hostile), "{bad:?}: {:?}", ended.stderr);
        }
        scratch.write("s.toml", format!("about = 1\n{json} = 2\n"));
        let ended = scratch.run(&["run", "s.toml"]);
        assert_eq!(ended.code, 2);
        assert!(!ended.stderr.contains(is_hostile), "{:?}", ended.stderr);
    }
}

#[test]
fn what_is_too_long_or_cut_off_is_one_error() {
    let scratch = Scratch::new("hostile-size");
    let path = scratch.path("h.jsonl");
    let mut file = File::create(&path).unwrap();
    file.write_all(b"{\"avouch_history\":1,\"run\":{}}\n").unwrap();
    // One line of 100 MB that takes no room on the disk.
    file.set_len(100 << 20).unwrap();
    let ended = scratch.run(&["check", "h.jsonl"]);
    let words = "error: h.jsonl: history line 2: longer than 4194304 bytes\n\
                 hint: the limits of the format are listed in docs/history-format.md\n";
    assert_eq!((ended.code, &*ended.stderr), (2, words));

    let mut file = OpenOptions::new().write(true).truncate(true).open(&path).unwrap();
    file.write_all(b"{\"avouch_history\":1,\"run\":{}}\n{\"t\":1,\"e\":\"note\",\"text\":\"\xe4\xb8\"}\n")
        .unwrap();
    let ended = scratch.run(&["check", "h.jsonl"]);
    assert_eq!(ended.code, 2);
    assert!(ended.stderr.contains("history line 2: not valid UTF-8 at byte "), "{}", ended.stderr);
    assert!(ended.stderr.ends_with("hint: each line must be one JSON object in UTF-8\n"), "{}", ended.stderr);
}

#[cfg(unix)]
#[test]
fn a_pipe_is_no_history() {
    let scratch = Scratch::new("pipe-history");
    let mut command = scratch.command(&["check", "/dev/stdin"]);
    let mut child =
        command.stdin(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    drop(child.stdin.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let words = "error: /dev/stdin: this is no file: a history is read more than once\nhint: write it to a file first\n";
    assert_eq!(String::from_utf8(output.stderr).unwrap(), words);
}
