//! What the README shows happens: its scenario passes, and a slip in it is answered as it says.

use crate::tool::Scratch;

const README: &str = include_str!("../../../README.md");
const CHINESE: &str = include_str!("../../../README.zh-CN.md");

/// The scenario that a document shows.
fn scenario(document: &str) -> &str {
    let begin = document.split("```toml\n").nth(1).unwrap();
    begin.split("```").next().unwrap()
}

/// Settings without comments, which are in the reader's language.
fn settings(scenario: &str) -> Vec<&str> {
    scenario.lines().map(|line| line.split(" #").next().unwrap_or_default().trim_end()).collect()
}

#[test]
fn its_scenario_passes() {
    let scratch = Scratch::new("readme");
    scratch.write("my.toml", scenario(README));
    let ended = scratch.run(&["run", "my.toml"]);
    assert_eq!(ended.code, 0, "{}{}", ended.stdout, ended.stderr);
    let (ours, theirs) = (settings(scenario(README)), settings(scenario(CHINESE)));
    assert_eq!(ours[1..], theirs[1..], "both languages show one scenario");
}

#[test]
fn a_slip_is_answered_as_it_says() {
    let scratch = Scratch::new("readme-slip");
    scratch.write("my.toml", scenario(README).replace("probability", "probabilty"));
    let ended = scratch.run(&["run", "my.toml"]);
    assert_eq!(ended.code, 2);
    let shown = format!("$ avouch run my.toml\n{}```", ended.stderr);
    assert!(README.contains(&shown) && CHINESE.contains(&shown), "{shown}");
}
