//! Pages speak Chinese too. Their own words are pairs; what checkers say is translated by its form, and here is seen that every
//! form is known. A new sentence of a checker is a new line in that list.

use crate::expect_none;
use crate::source::{File, Tree};

/// The lists of forms.
const FORMS: &str = "reports/src/render/html/told/";
/// Where verdicts are put into words, by the beginnings of paths.
const SAID_IN: [&str; 3] =
    ["harness/src/check/", "harness/src/conductor/drain.rs", "reports/src/latency/segments.rs"];
/// Promises have their translations in another list, by the guarantee's id; `pages_have_the_words_of_every_guarantee` holds it.
const ELSEWHERE: [&str; 1] = ["harness/src/check/registry.rs"];

/// A text with every place alike, and without what joins it to others.
fn key(text: &str) -> String {
    let mut key = String::new();
    let mut depth = 0_usize;
    for character in text.chars() {
        match character {
            '{' => depth += 1,
            '}' => {
                depth = depth.saturating_sub(1);
                key.push('*');
            }
            '#' | '@' => key.push('*'),
            other if depth == 0 => key.push(other),
            _ => {}
        }
    }
    key.trim_matches(|c: char| matches!(c, '*' | ' ' | ';' | ',' | '(' | ')')).to_owned()
}

/// Words for a reader, not a name or a pattern.
fn is_said(key: &str) -> bool {
    key.contains(' ') && key.chars().filter(char::is_ascii_alphabetic).count() > 3
}

#[test]
fn whatever_a_checker_says_has_a_translation() {
    let tree = Tree::read();
    let lists = tree.rust().filter(|file| file.path.starts_with(FORMS));
    let forms: Vec<String> = lists.flat_map(File::literals).map(|form| key(&form)).collect();
    let (mut findings, mut known) = (Vec::new(), 0);
    let files = tree.rust().filter(|file| SAID_IN.iter().any(|path| file.path.starts_with(path)));
    for file in files.filter(|file| !file.is_test() && !ELSEWHERE.contains(&&*file.path)) {
        for literal in file.literals() {
            let key = key(&literal);
            if !is_said(&key) {
                continue;
            }
            if forms.iter().any(|form| form.contains(&key)) {
                known += 1;
            } else {
                findings.push(format!("{}: \"{literal}\"", file.path));
            }
        }
    }
    expect_none(
        &format!("without a translation; add a form and its Chinese to a list in {FORMS}:"),
        &findings,
    );
    assert!(known > 100, "only {known} sentences were found: this test is blind");
}

#[test]
fn places_of_every_kind_are_alike() {
    let check = |text: &str, expected: &str| assert_eq!(key(text), expected, "{text}");
    check("m{} reached d{id} again: {why:?}", "m* reached d* again:");
    check("m# reached d# again: @", "m* reached d* again:");
    check("; {} gone", "gone");
    assert!(!is_said(&key("{} ({observed})")) && !is_said(&key("m{} {how}")));
}
