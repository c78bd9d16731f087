//! Every rule of PROTOCOL.md and every limit of the engine is held by a test that names it.
//!
//! A test names rules in the comment above it (`/// AV-4-3: …`); what stands elsewhere does not count. It names limits
//! by using their constants. The tests of the server around the engine count, too: some rules only a shell can hold.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Limits that no test reaches through the engine's interface, and the test that holds each instead.
const HELD_ELSEWHERE: [(&str, &str); 1] =
    [("CONVERSATIONS_MAX", "server::accept::tests::conversations_of_a_server_are_limited")];

/// Numbers of the rules as the document states them: `**[AV-4-3]**`.
fn stated(text: &str) -> BTreeSet<String> {
    let rules = text.split("**[").skip(1).filter_map(|rest| rest.split_once("]**"));
    rules.map(|(rule, _)| rule.to_owned()).collect()
}

/// Rules in the comment above each test, with the tests' names.
fn named(text: &str) -> BTreeMap<String, Vec<String>> {
    let mut named: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let (mut comment, mut is_test) = (Vec::new(), false);
    for line in text.lines().map(str::trim) {
        if let Some(words) = line.strip_prefix("///") {
            comment.extend(rules_in(words));
        } else if line.starts_with("#[") {
            is_test |= line == "#[test]" || line.starts_with("#[tokio::test");
        } else {
            if let (true, Some((_, name))) = (is_test, line.split_once("fn ")) {
                let name = name.split('(').next().unwrap_or(name);
                for rule in std::mem::take(&mut comment) {
                    named.entry(rule).or_default().push(name.to_owned());
                }
            }
            comment.clear();
            is_test = false;
        }
    }
    named
}

fn rules_in(words: &str) -> Vec<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '-';
    words.split(|c| !is_part(c)).filter(|word| word.starts_with("AV-")).map(str::to_owned).collect()
}

/// The texts of all Rust files below some folders, by path.
fn sources(folders: &[&str]) -> Vec<String> {
    let mut open: Vec<_> =
        folders.iter().map(|folder| Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).collect();
    let mut files = Vec::new();
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = entry.expect("a listed entry can be read").path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    files.iter().map(|path| fs::read_to_string(path).expect("a source is text")).collect()
}

#[test]
fn every_rule_has_a_test() {
    let protocol = Path::new(env!("CARGO_MANIFEST_DIR")).join("../PROTOCOL.md");
    let stated = stated(&fs::read_to_string(protocol).expect("the protocol is a text"));
    assert!(stated.len() > 35, "{stated:?}");
    let all: Vec<_> =
        sources(&["src", "tests", "../src", "../tests"]).iter().map(|text| named(text)).collect();
    let named: BTreeSet<String> = all.iter().flat_map(|file| file.keys().cloned()).collect();
    let untested: Vec<_> = stated.difference(&named).collect();
    let unknown: Vec<_> = named.difference(&stated).collect();
    assert!(untested.is_empty(), "rules that no test names: {untested:?}");
    assert!(unknown.is_empty(), "tests name rules that PROTOCOL.md does not have: {unknown:?}");
}

#[test]
fn every_limit_has_a_test() {
    let limits = include_str!("../../src/limits.rs");
    let names = limits.lines().filter_map(|line| line.strip_prefix("pub const ")?.split(':').next());
    let tests = sources(&["tests"]);
    let elsewhere: BTreeMap<_, _> = HELD_ELSEWHERE.into_iter().collect();
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let used = |name: &str| tests.iter().any(|text| text.split(|c| !is_word(c)).any(|word| word == name));
    // This file names those that are held elsewhere.
    let untested: Vec<_> = names.filter(|name| !elsewhere.contains_key(name) && !used(name)).collect();
    assert!(untested.is_empty(), "limits that no test uses: {untested:?}");
}

#[test]
fn names_are_found_above_tests_only() {
    let text = "/// AV-1-1: text, AV-1-2\n#[test]\nfn one() {}\n/// AV-1-3\nfn two() {}\n// AV-1-4\n#[test]\nfn three() {}";
    let found = named(text);
    assert_eq!(found.into_keys().collect::<Vec<_>>(), ["AV-1-1", "AV-1-2"]);
    assert_eq!(stated("- **[AV-9-9]** x **bold** AV-1-1").into_iter().collect::<Vec<_>>(), ["AV-9-9"]);
}
