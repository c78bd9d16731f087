//! How files look and where they lie: headers, lengths, spaces, links, the catalog.

use std::collections::BTreeMap;

use crate::expect_none;
use crate::source::{File, Tree};

/// Longest file, in lines outside tests.
const LINES_MAX: usize = 400;
/// Longest test file, in lines.
const TEST_LINES_MAX: usize = 1_000;

/// Files that are longer, and how long they may be: the numbers only go down, and a new line here needs its reason.
const LONG_FILES: &[(&str, usize)] = &[
    ("scenarios/src/plan.rs", 448), // The whole vocabulary at one place: types and their meaning, no code.
    ("reports/src/history/event.rs", 408), // The same for histories.
];

#[test]
fn files_stay_short() {
    let tree = Tree::read();
    let long: BTreeMap<&str, usize> = LONG_FILES.iter().copied().collect();
    let mut findings = Vec::new();
    for file in tree.rust() {
        let (lines, usual) = if file.is_test() {
            (file.text.lines().count(), TEST_LINES_MAX)
        } else {
            (file.lines_outside_tests(), LINES_MAX)
        };
        let listed = long.get(file.path.as_str()).copied();
        if lines > listed.unwrap_or(usual) {
            findings.push(format!(
                "{}: {lines} lines, at most {}: split it",
                file.path,
                listed.unwrap_or(usual)
            ));
        } else if listed.is_some() && lines <= usual {
            findings.push(format!("{}: {lines} lines are short enough: take it off the list", file.path));
        }
    }
    let gone = LONG_FILES.iter().filter(|(path, _)| tree.get(path).is_none());
    findings.extend(gone.map(|(path, _)| format!("{path}: is no more: take it off the list")));
    expect_none("file lengths (without tests):", &findings);
}

#[test]
fn every_file_says_what_it_is() {
    let mut findings = Vec::new();
    for file in Tree::read().rust().filter(|file| !file.is_test() || file.path.ends_with("/main.rs")) {
        if !file
            .text
            .lines()
            .find(|line| !line.starts_with("#!["))
            .is_some_and(|line| line.starts_with("//! "))
        {
            findings.push(file.path.clone());
        }
    }
    expect_none("a file begins with `//!`: what it is, what it is not, and why:", &findings);
}

#[test]
fn no_stray_blanks() {
    let mut findings = Vec::new();
    for file in Tree::read().files.iter().filter(|file| !file.path.ends_with("Cargo.lock")) {
        for (number, line) in (1..).zip(file.text.split('\n')) {
            if line.ends_with([' ', '\t', '\r']) {
                findings.push(format!("{}:{number}: blanks at the end", file.path));
            }
        }
        if !file.text.is_empty() && !file.text.ends_with('\n') {
            findings.push(format!("{}: no line feed at the end", file.path));
        }
    }
    expect_none("stray blanks:", &findings);
}

/// Documents that a reader looks for by name.
const DOCUMENTS: [&str; 7] = [
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "README.zh-CN.md",
];

#[test]
fn links_lead_somewhere() {
    let tree = Tree::read();
    let missing = DOCUMENTS.iter().filter(|path| tree.get(path).is_none());
    let mut findings: Vec<String> = missing.map(|path| format!("{path} is missing")).collect();
    for file in tree.with_ending("md") {
        for link in links(&file.text) {
            let folder = file.path.rsplit_once('/').map_or("", |(folder, _)| folder);
            if !tree.root.join(folder).join(link).exists() {
                findings.push(format!("{}: `{link}` does not exist", file.path));
            }
        }
    }
    expect_none("links in documents:", &findings);
}

/// Targets of Markdown links that are files of the repository.
fn links(text: &str) -> Vec<&str> {
    let mut is_code = false;
    let mut found = Vec::new();
    for line in text.lines() {
        is_code ^= line.trim_start().starts_with("```");
        if is_code {
            continue;
        }
        for (at, open) in line.match_indices("](") {
            let target = line[at + open.len()..].split([')', ' ', '#']).next().unwrap_or_default();
            if !target.is_empty() && !target.contains(':') {
                found.push(target);
            }
        }
    }
    found
}

#[test]
fn only_links_to_files_are_followed() {
    let check = |text: &str, expected: &[&str]| assert_eq!(links(text), expected, "{text}");
    check("[a](b.md) and ![c](d/e.png \"title\")", &["b.md", "d/e.png"]);
    check("[a](b.md#part) [c](#part) [d](https://example.org) [e](mailto:f)", &["b.md"]);
    check("```\n[a](b.md)\n```\n[c](d.md)", &["d.md"]);
}

#[test]
fn scenarios_have_names_and_places() {
    let tree = Tree::read();
    let mut findings = Vec::new();
    let mut names: BTreeMap<&str, &str> = BTreeMap::new();
    for file in &tree.files {
        let Some(place) = file.path.strip_prefix("scenarios/catalog/") else { continue };
        let Some((folder, name)) = place.split_once('/') else {
            findings.push(format!("{}: belongs into a folder that says what it is about", file.path));
            continue;
        };
        let Some(stem) = name.strip_suffix(".toml") else { continue };
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if !stem.chars().all(is_plain) || !folder.chars().all(is_plain) {
            findings.push(format!("{}: names are lower case with hyphens, one folder deep", file.path));
        }
        if let Some(other) = names.insert(stem, &file.path) {
            findings.push(format!("{}: `{stem}` is the name of {other} too", file.path));
        }
    }
    expect_none("scenarios of the catalog:", &findings);
}

#[test]
fn modules_are_named_for_what_they_are() {
    const SAY_NOTHING: [&str; 6] = ["common", "helper", "helpers", "manager", "util", "utils"];
    let says_nothing =
        |file: &&File| file.path.trim_end_matches(".rs").split('/').any(|part| SAY_NOTHING.contains(&part));
    let findings: Vec<String> =
        Tree::read().rust().filter(says_nothing).map(|file| file.path.clone()).collect();
    expect_none("names that say nothing:", &findings);
}
