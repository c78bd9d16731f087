//! Text → [`Scenario`]: syntax, then shape, then sense; within each step, every error at once.

use std::sync::LazyLock;

use serde::de::DeserializeOwned;
use serde_json::Value;
use toml::de::DeTable;

use crate::diagnostic::{Findings, Refused};
use crate::places::Places;
use crate::scenario::{Scenario, VERSION};
use crate::{sense, shape};

/// Largest scenario file that is read, in bytes.
pub const SCENARIO_BYTES_MAX: usize = 256 * 1024;

/// The JSON Schema of scenario files (draft 2020-12), for editors.
pub fn schema() -> Value {
    // Refuses nothing: a schema is a JSON object by construction.
    let mut schema = serde_json::to_value(schemars::schema_for!(Scenario)).unwrap_or_default();
    if let Some(root) = schema.as_object_mut() {
        root.insert("title".to_owned(), "Avouch scenario".into());
    }
    schema
}

static SCHEMA: LazyLock<Value> = LazyLock::new(schema);

/// The JSON Schema as it is checked in: `scenarios/scenario.schema.json`.
pub fn schema_text() -> String {
    // A JSON value always has a text.
    serde_json::to_string_pretty(&schema()).unwrap_or_default() + "\n"
}

/// Reads a scenario. `file` is how errors call it. Never panics, whatever the text is.
pub fn parse_scenario(file: &str, text: &str) -> Result<Scenario, Refused> {
    parse(file, text, &SCHEMA, sense::check)
}

/// Reads a document of any of our types: syntax, the version, the shape by the type's schema, then its own sense.
pub(crate) fn parse<T: DeserializeOwned>(
    file: &str,
    text: &str,
    schema: &Value,
    sense: impl FnOnce(&T, &Places<'_, '_>, &mut Findings<'_>),
) -> Result<T, Refused> {
    let mut findings = Findings::new(file, text);
    if text.len() > SCENARIO_BYTES_MAX {
        let hint = format!("at most {SCENARIO_BYTES_MAX} bytes are read");
        findings.add(0..0, "the file is too large", hint);
        return Err(findings.refused());
    }
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        findings.add(error.span().unwrap_or(0..0), error.message(), "");
    }
    if findings.is_empty() {
        newer_version(document.get_ref(), &mut findings);
    }
    if findings.is_empty() {
        shape::compare(schema, &document, &mut findings);
    }
    if !findings.is_empty() {
        return Err(findings.refused());
    }
    match toml::from_str::<T>(text) {
        Ok(value) => {
            sense(&value, &Places::new(document.get_ref()), &mut findings);
            if findings.is_empty() { Ok(value) } else { Err(findings.refused()) }
        }
        Err(error) => {
            // The shape was right and serde still refuses: say what it says.
            findings.add(error.span().unwrap_or(0..0), error.message(), "");
            Err(findings.refused())
        }
    }
}

/// A file from the future may differ in everything else: only its version is reported.
fn newer_version(document: &DeTable<'_>, findings: &mut Findings<'_>) {
    let Some(version) = document.get("version") else { return };
    let number = version.get_ref().as_integer().and_then(|number| number.as_str().parse::<u64>().ok());
    if number == Some(u64::from(VERSION)) {
        return;
    }
    let message = match number {
        Some(number) if number > u64::from(VERSION) => {
            format!("this file is of version {number}, which this build does not know")
        }
        _ => "this is not a version".to_owned(),
    };
    findings.add(
        version.span(),
        message,
        format!("this build reads version {VERSION}; a newer one may read more"),
    );
}
