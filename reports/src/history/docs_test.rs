//! Holds `docs/history-format.md` against the code: its examples are a valid history with every kind of event, written
//! as the writer writes them, and its limits are the limits.

use std::collections::BTreeSet;

use super::decode::KINDS;
use super::keys::Key;
use super::limits;
use super::{HistoryReader, ReadOptions, Reading, event_from_line, event_to_line};

const DOCUMENT: &str = include_str!("../../../docs/history-format.md");

fn examples() -> Vec<&'static str> {
    DOCUMENT.lines().filter(|line| line.starts_with("{\"")).collect()
}

#[test]
fn the_examples_are_one_valid_history() {
    // Sorted by time, because the document groups what belongs together.
    let mut lines = examples();
    let time = |line: &&str| event_from_line(line.as_bytes()).map_or(0, |event| event.at_ns);
    lines[1..].sort_by_key(time);
    let text = lines.join("\n") + "\n";
    let reader = HistoryReader::open(text.as_bytes(), ReadOptions::default()).unwrap();
    assert_eq!(reader.header().claims, ["no-loss", "no-duplicates"]);
    let kinds: BTreeSet<&str> = reader.map(|event| event.unwrap().what.kind()).collect();
    assert_eq!(kinds, KINDS.iter().map(|(kind, _)| *kind).collect());
}

#[test]
fn the_examples_are_what_the_writer_writes() {
    for example in &examples()[1..] {
        let mut line = Vec::new();
        event_to_line(&event_from_line(example.as_bytes()).unwrap(), &mut line).unwrap();
        assert_eq!(std::str::from_utf8(&line).unwrap(), *example);
    }
}

#[test]
fn every_kind_and_key_is_described() {
    for (kind, _) in KINDS {
        assert!(DOCUMENT.contains(&format!("`{kind}`:")), "{kind} has no description");
    }
    for key in Key::ALL {
        let name = key.name();
        let shown = examples().iter().any(|line| line.contains(&format!("\"{name}\":")));
        assert!(shown, "no example shows {name}");
    }
}

#[test]
fn the_reading_is_described_with_its_defaults() {
    let serde_json::Value::Object(fields) = serde_json::to_value(Reading::default()).unwrap() else {
        panic!("it has fields")
    };
    assert!(fields.len() > 15);
    for (field, default) in fields {
        let row = DOCUMENT.lines().find(|line| line.starts_with(&format!("| `{field}` |")));
        let row = row.unwrap_or_else(|| panic!("no row for {field}"));
        assert!(row.ends_with(&format!("| `{default}` |")), "{row}, and not {default}");
    }
}

#[test]
fn the_limits_are_the_codes() {
    let check = |what: &str, limit: usize| {
        let digits = limit.to_string();
        let groups: Vec<_> =
            digits.as_bytes().rchunks(3).rev().map(|group| std::str::from_utf8(group).unwrap()).collect();
        let row = format!("| {what} | {}", groups.join(","));
        assert!(DOCUMENT.lines().any(|line| line.starts_with(&row)), "no row {row}");
    };
    check("a line", limits::LINE_BYTES_MAX);
    check("a name, a code, a state, a fault's kind", limits::NAME_BYTES_MAX);
    check("any other text", limits::TEXT_BYTES_MAX);
    check("devices", limits::DEVICES_MAX);
    check("conversations", limits::CONVERSATIONS_MAX);
    check("users in one list", limits::USERS_PER_LIST_MAX);
    check("items in one page", limits::PAGE_ITEMS_MAX);
    check("entries in one list of the header", limits::HEADER_LIST_MAX);
}
