//! The import direction and the form of every manifest.

use std::collections::{BTreeMap, BTreeSet};

use toml::{Table, Value};

use crate::expect_none;
use crate::source::Tree;

/// Which sibling may import which. Everything else follows one way: harness, then what it stands on.
const SIBLINGS: [(&str, &[&str]); 5] = [
    ("avouch", &["avouch-engine", "avouch-reports", "avouch-scenarios", "avouch-server"]),
    ("avouch-server", &["avouch-engine"]),
    ("avouch-engine", &[]),
    ("avouch-reports", &[]),
    ("avouch-scenarios", &[]),
];

/// Crates that are pure: data in, data out.
const PURE: [&str; 3] = ["avouch-engine", "avouch-reports", "avouch-scenarios"];

/// Beginnings of names of crates that bring a runtime, a socket, a clock or entropy.
const IMPURE: [&str; 24] = [
    "async-",
    "chrono",
    "clock",
    "coarsetime",
    "embassy",
    "fastrand",
    "futures",
    "getrandom",
    "glommio",
    "humantime",
    "hyper",
    "instant",
    "jiff",
    "madsim",
    "mio",
    "monoio",
    "quanta",
    "rand",
    "redb",
    "smol",
    "socket2",
    "time",
    "tokio",
    "turmoil",
];

/// A member of the workspace.
struct Manifest {
    path: String,
    table: Table,
}

impl Manifest {
    fn name(&self) -> &str {
        self.table["package"]["name"].as_str().expect("a package has a name")
    }

    /// Dependencies of all kinds (normal, dev, build, per target), by table and name.
    fn dependencies(&self) -> Vec<(String, &String, &Value)> {
        let targets = self.table.get("target").and_then(Value::as_table).into_iter().flatten();
        let targets =
            targets.filter_map(|(name, value)| Some((format!("target.{name}."), value.as_table()?)));
        let mut found = Vec::new();
        for (prefix, table) in std::iter::once((String::new(), &self.table)).chain(targets) {
            for kind in ["dependencies", "dev-dependencies", "build-dependencies"] {
                let entries = table.get(kind).and_then(Value::as_table).into_iter().flatten();
                found.extend(entries.map(|(name, value)| (format!("{prefix}{kind}"), name, value)));
            }
        }
        found
    }
}

fn members(tree: &Tree) -> Vec<Manifest> {
    let root = parse(tree, "Cargo.toml");
    let members = root["workspace"]["members"].as_array().expect("the workspace has members");
    let paths =
        members.iter().map(|member| format!("{}/Cargo.toml", member.as_str().expect("a member is a path")));
    paths.map(|path| Manifest { table: parse(tree, &path), path }).collect()
}

fn parse(tree: &Tree, path: &str) -> Table {
    let file = tree.get(path).unwrap_or_else(|| panic!("{path} is missing"));
    file.text.parse().unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn imports_run_one_way() {
    let allowed: BTreeMap<_, _> = SIBLINGS.into_iter().collect();
    let mut findings = Vec::new();
    let members = members(&Tree::read());
    for manifest in &members {
        let Some(siblings) = allowed.get(manifest.name()) else {
            findings.push(format!(
                "{}: `{}` has no place in the import order",
                manifest.path,
                manifest.name()
            ));
            continue;
        };
        for (kind, name, _) in manifest.dependencies() {
            if allowed.contains_key(name.as_str()) && !siblings.contains(&name.as_str()) {
                findings.push(format!(
                    "{} [{kind}]: `{}` may not import `{name}`",
                    manifest.path,
                    manifest.name()
                ));
            }
        }
    }
    let names: BTreeSet<_> = members.iter().map(Manifest::name).collect();
    assert_eq!(names, allowed.into_keys().collect(), "the import order names exactly the workspace's crates");
    expect_none("imports run harness -> scenarios, reports, engine, server; server -> engine:", &findings);
}

#[test]
fn the_core_is_pure() {
    let mut findings = Vec::new();
    for manifest in members(&Tree::read()).iter().filter(|manifest| PURE.contains(&manifest.name())) {
        for (kind, name, _) in manifest.dependencies() {
            if IMPURE.iter().any(|impure| name.starts_with(impure)) {
                findings.push(format!("{} [{kind}]: `{name}`", manifest.path));
            }
        }
    }
    expect_none(
        "no runtime, socket, clock or entropy source in these crates; take it as an argument:",
        &findings,
    );
}

#[test]
fn the_core_does_not_reach_outside() {
    const FOLDERS: [&str; 3] = ["reference-server/engine/src/", "scenarios/src/", "reports/src/"];
    const OUTSIDE: [&str; 3] = ["std::net", "std::process", "std::thread"];
    let tree = Tree::read();
    let mut findings = Vec::new();
    for file in tree.rust().filter(|file| FOLDERS.iter().any(|folder| file.path.starts_with(folder))) {
        let code = file.code_outside_tests();
        let engine_only =
            ["std::fs", "std::io", "std::env"].into_iter().filter(|_| file.path.contains("engine/"));
        for word in OUTSIDE.into_iter().chain(engine_only).filter(|word| code.contains(word)) {
            findings.push(format!("{}: `{word}`", file.path));
        }
    }
    expect_none("the core has no sockets, processes or threads, and the engine no files either:", &findings);
}

#[test]
fn what_is_common_is_said_once() {
    let mut findings = Vec::new();
    for manifest in members(&Tree::read()) {
        let path = &manifest.path;
        if manifest.table.get("lints").and_then(|lints| lints.get("workspace")) != Some(&Value::Boolean(true))
        {
            findings.push(format!("{path}: no `[lints] workspace = true`"));
        }
        let package = &manifest.table["package"];
        for field in ["version", "edition", "rust-version", "license", "repository"] {
            if package.get(field).and_then(|field| field.get("workspace")) != Some(&Value::Boolean(true)) {
                findings.push(format!("{path}: no `{field}.workspace = true`"));
            }
        }
        if package.get("description").and_then(Value::as_str).is_none_or(str::is_empty) {
            findings.push(format!("{path}: no description"));
        }
        for (kind, name, value) in manifest.dependencies() {
            if value.get("workspace") != Some(&Value::Boolean(true)) {
                findings.push(format!(
                    "{path} [{kind}]: `{name}` states its own version instead of the workspace's"
                ));
            }
        }
    }
    expect_none("manifests inherit what is common:", &findings);
}

#[test]
fn licences_are_there() {
    let tree = Tree::read();
    let root = parse(&tree, "Cargo.toml");
    assert_eq!(root["workspace"]["package"]["license"].as_str(), Some("MIT OR Apache-2.0"));
    for (path, words) in [("LICENSE-MIT", "MIT License"), ("LICENSE-APACHE", "Version 2.0, January 2004")] {
        assert!(tree.get(path).is_some_and(|file| file.text.contains(words)), "{path} is not that licence");
    }
}

#[test]
fn safety_is_not_negotiable() {
    let root = parse(&Tree::read(), "Cargo.toml");
    let lints = &root["workspace"]["lints"];
    assert_eq!(lints["rust"]["unsafe_code"].as_str(), Some("forbid"));
    for lint in ["unwrap_used", "todo", "print_stdout", "allow_attributes_without_reason"] {
        assert_eq!(
            lints["clippy"][lint].as_str(),
            Some("warn"),
            "{lint} went missing from the workspace's lints"
        );
    }
}
