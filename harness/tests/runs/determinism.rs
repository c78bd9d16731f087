//! The same scenario and seed give the same history, byte for byte, also in one process: nothing that a thread, a
//! library or the process remembers of an earlier run may leak into the next. (`.ci/run` says the same of processes.)

use std::io::BufRead;
use std::path::Path;

use crate::{catalog, folder, plan, simulate};

const SEED: u64 = 7;

#[test]
fn faults_on_links_repeat_byte_for_byte() {
    check("links/everything-at-once");
}

#[test]
fn losses_of_power_repeat_byte_for_byte() {
    check("crash/power-loss");
}

/// Twice, each in a fresh thread, and both at once.
fn check(scenario: &str) {
    let folder = folder(&scenario.replace('/', "-"));
    let text = catalog(scenario);
    let run = |name: &str| {
        let (plan, folder) = (plan(scenario, &text, SEED), folder.join(name));
        std::thread::spawn(move || simulate(plan, folder))
    };
    let (first, second) = (run("first"), run("second"));
    let [first, second] = [first, second].map(|run| run.join().expect("a run is judged, whatever it shows"));
    assert!(first.counts.sends_accepted > 0, "a run in which nothing happened shows nothing");
    assert_eq!(
        first.faults.iter().filter(|fault| fault.frames + fault.operations > 0).count(),
        first.faults.len()
    );
    assert!(first.history_hash.is_some());
    let are_equal = first.history_hash == second.history_hash;
    assert!(are_equal, "{}", first_difference(&folder.join("first"), &folder.join("second")));
    assert_eq!(first.counts, second.counts);
}

/// The first line that is not the same in both, for whoever has to find out why.
fn first_difference(one: &Path, other: &Path) -> String {
    let [one, other] = [one, other].map(|folder| events(&folder.join("history.jsonl")));
    let longest = one.len().max(other.len());
    let at = (0..longest).find(|&at| one.get(at) != other.get(at));
    let Some(at) = at else { return "the hashes differ, the lines do not".to_owned() };
    let line = |lines: &[String]| lines.get(at).cloned().unwrap_or_else(|| "(nothing more)".to_owned());
    let before = at.checked_sub(1).map(|before| one[before].clone()).unwrap_or_default();
    format!("event {} differs\n  after  {before}\n  first  {}\n  second {}", at + 1, line(&one), line(&other))
}

/// The lines of a history after its header, which says when it was made.
fn events(path: &Path) -> Vec<String> {
    let file = std::fs::File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let lines = std::io::BufReader::new(file).lines().skip(1);
    lines.map(|line| line.expect("a history is text")).collect()
}

#[test]
fn the_first_difference_is_told() {
    let folder = folder("first-difference");
    let write = |name: &str, text: &str| {
        let folder = folder.join(name);
        std::fs::create_dir_all(&folder).expect("the folder can be made");
        std::fs::write(folder.join("history.jsonl"), text).expect("the folder can be written");
        folder
    };
    let one = write("one", "{\"header\":1}\na\nb\nc\n");
    let check = |other: &str, expected: &str| {
        assert_eq!(first_difference(&one, &write("other", other)), expected);
    };
    check("{\"header\":2}\na\nx\nc\n", "event 2 differs\n  after  a\n  first  b\n  second x");
    check("{\"header\":1}\na\nb\n", "event 3 differs\n  after  b\n  first  c\n  second (nothing more)");
    check("{\"header\":2}\na\nb\nc\n", "the hashes differ, the lines do not");
}
