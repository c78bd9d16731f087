//! Holds the architecture and the house rules that no compiler lint can hold: the import direction, the form of
//! manifests, bans with a named replacement, file lengths that only shrink, links that lead somewhere, words that are there in both languages.
//!
//! It reads text, not syntax trees: comments and literals are blanked first ([`source`]), test code is told from the
//! rest by its place. What clippy can say (unwraps, prints, long functions) is left to clippy. One test per rule, and
//! each says what to do instead.

mod bans;
mod layout;
mod manifests;
mod source;
mod translations;

use source::Tree;

/// Fails with all findings at once: whoever broke one rule wants to know of the others too.
fn expect_none(rule: &str, findings: &[String]) {
    assert!(findings.is_empty(), "{rule}\n  {}\n", findings.join("\n  "));
}

#[test]
fn the_tree_was_found() {
    let tree = Tree::read();
    for path in [
        "Cargo.toml",
        "harness/src/lib.rs",
        "reference-server/engine/src/lib.rs",
        "harness/tests/tidy/main.rs",
    ] {
        assert!(tree.get(path).is_some(), "{path} is not in the tree: every other test here would be blind");
    }
}
