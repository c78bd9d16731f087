//! A target: a server that can be put to the test, how it is reached, and what it claims.
//!
//! A claim is somebody's promise with its source. What no source promises is observed and shown, never punished.

use std::sync::LazyLock;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::diagnostic::{Findings, Refused};
use crate::guarantees::GuaranteeId;
use crate::parse;
use crate::places::Part::{Item, Key};
use crate::places::Places;

/// A server that can be put to the test.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// Version of the format; this page describes 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// What it is, in one sentence.
    pub about: String,
    /// The adapter that speaks its protocol.
    pub protocol: String,
    /// How it is started. Default: it runs already, and `avouch` is told its address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<Start>,
    /// What it promises.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub claim: Vec<Claim>,
}

/// How a target is started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Start {
    /// Our own server, which is part of this tool.
    BuiltIn,
    /// A program with its arguments; `{port}` and `{data}` stand for a free port and an empty folder.
    Command(Vec<String>),
}

/// One promise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// Which guarantee.
    pub guarantee: GuaranteeId,
    /// Where it is promised: document and section, in one line.
    pub source: String,
}

/// One target that comes with the tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TargetEntry {
    /// Its name: "reference".
    pub name: &'static str,
    /// Its file's text.
    pub text: &'static str,
}

/// Every target that comes with the tool, by name.
pub const TARGETS: &[TargetEntry] =
    &[TargetEntry { name: "reference", text: include_str!("../targets/reference.toml") }];

/// The JSON Schema of target files, for editors.
pub fn target_schema() -> Value {
    // Refuses nothing: a schema is a JSON object by construction.
    serde_json::to_value(schemars::schema_for!(Target)).unwrap_or_default()
}

static SCHEMA: LazyLock<Value> = LazyLock::new(target_schema);

/// Reads a target. `file` is how errors call it. Never panics, whatever the text is.
pub fn parse_target(file: &str, text: &str) -> Result<Target, Refused> {
    parse::parse(file, text, &SCHEMA, check)
}

fn check(target: &Target, places: &Places<'_, '_>, findings: &mut Findings<'_>) {
    if matches!(&target.start, Some(Start::Command(words)) if words.is_empty()) {
        findings.add(
            places.of(&[Key("start")]),
            "no program is named",
            "write command = [\"program\", \"argument\"]",
        );
    }
    for (index, claim) in target.claim.iter().enumerate() {
        let place = |key| places.of(&[Key("claim"), Item(index), Key(key)]);
        if claim.source.trim().is_empty() {
            findings.add(place("source"), "a claim without a source", "say where it is promised");
        }
        if target.claim[..index].iter().any(|earlier| earlier.guarantee == claim.guarantee) {
            findings.add(
                place("guarantee"),
                format!("`{}` is claimed twice", claim.guarantee),
                "keep one of the two",
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_server_claims_every_guarantee() {
        for entry in TARGETS {
            let target = parse_target(entry.name, entry.text).unwrap_or_else(|refused| panic!("{refused}"));
            assert_eq!(parse_target("x", &toml::to_string(&target).unwrap()), Ok(target.clone()));
            if entry.name == "reference" {
                let mut claimed: Vec<&str> = target.claim.iter().map(|claim| claim.guarantee.0).collect();
                claimed.sort_unstable();
                let mut all: Vec<&str> = crate::guarantees::GUARANTEES.iter().map(|(id, _)| *id).collect();
                all.sort_unstable();
                assert_eq!(claimed, all);
            }
        }
    }

    #[test]
    fn a_claim_needs_a_source_and_a_known_guarantee() {
        let head = "about = \"x\"\nprotocol = \"y\"\n";
        for (claim, message) in [
            ("[[claim]]\nguarantee = \"no-loss\"\nsource = \" \"", "a claim without a source"),
            ("[[claim]]\nguarantee = \"no-loss\"", "`source` is missing"),
            ("[[claim]]\nguarantee = \"no-lose\"\nsource = \"z\"", "`no-lose` is not a guarantee"),
            (
                "[[claim]]\nguarantee = \"intact\"\nsource = \"z\"\n[[claim]]\nguarantee = \"intact\"\nsource = \"z\"",
                "twice",
            ),
            ("[start]\ncommand = []", "no program is named"),
            ("start = \"builtin\"", "unknown variant"),
        ] {
            let refused = parse_target("x", &format!("{head}{claim}")).unwrap_err().to_string();
            assert!(refused.contains(message), "{refused}");
        }
    }
}
