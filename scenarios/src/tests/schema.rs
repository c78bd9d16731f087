//! The JSON Schema that editors use: it is the one of the types, takes what we take, and refuses what we refuse.
//!
//! Judged by a validator of its own, which shares nothing with the reader of shapes: the keywords that editors
//! understand, and none of our extensions.

use serde_json::{Value, json};

use crate::catalog::CATALOG;
use crate::{schema, schema_text};

/// Set this variable to write the schema anew, after the types have changed.
const WRITE: &str = "AVOUCH_WRITE_SCHEMA";

#[test]
fn the_schema_that_is_checked_in_is_the_one_of_the_types() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/scenario.schema.json");
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(path, schema_text()).unwrap();
    }
    let checked_in = std::fs::read_to_string(path).unwrap();
    assert!(
        checked_in == schema_text(),
        "scenario.schema.json is out of date: run the tests once with {WRITE}=1"
    );
}

#[test]
fn every_file_of_the_catalog_is_valid() {
    let schema = schema();
    for entry in CATALOG {
        let file: Value = toml::from_str(entry.text).unwrap();
        assert_eq!(judge(&schema, &schema, &file), Ok(()), "{}", entry.name);
    }
}

#[test]
fn what_we_refuse_by_its_shape_is_not_valid() {
    let schema = schema();
    let good = json!({ "about": "x", "workload": { "duration": "10s", "rate": "5/s" } });
    assert_eq!(judge(&schema, &schema, &good), Ok(()));
    for (path, value) in [
        ("/workload/duration", json!(10)),
        ("/workload/duration", json!("10")),
        ("/workload/rate", json!("5")),
        ("/workload/members", json!(0)),
        ("/workload/membres", json!(1)),
        ("/workload/replies", json!("30")),
        ("/workload/arrivals", json!("posson")),
        ("/fault", json!({})),
        ("/fault", json!([{ "kil": {} }])),
        ("/fault", json!([{ "cut": { "link": "u" } }])),
        ("/fault", json!([{ "slice": {} }])),
        ("/expect", json!({ "latency": { "accepted_p": "1s" } })),
        ("/network", json!({ "profile": "6g" })),
    ] {
        let mut file = good.clone();
        let (around, key) = path.rsplit_once('/').unwrap();
        file.pointer_mut(around).unwrap()[key] = value;
        assert!(judge(&schema, &schema, &file).is_err(), "{file}");
    }
}

/// Keywords that need no judging, or are judged together with another one.
const KEYWORDS: [&str; 23] = [
    "$schema",
    "$defs",
    "$ref",
    "title",
    "description",
    "default",
    "format",
    "x-unit",
    "x-key-unit",
    "type",
    "properties",
    "required",
    "additionalProperties",
    "patternProperties",
    "items",
    "minItems",
    "enum",
    "const",
    "oneOf",
    "anyOf",
    "pattern",
    "minimum",
    "maximum",
];

fn judge(root: &Value, schema: &Value, value: &Value) -> Result<(), String> {
    if let Some(all) = schema.as_bool() {
        return if all { Ok(()) } else { Err(format!("{value} is not wanted")) };
    }
    let wrong = |what: &str| Err(format!("{value}: {what} of {schema}"));
    for keyword in schema.as_object().unwrap().keys() {
        assert!(KEYWORDS.contains(&keyword.as_str()), "the keyword {keyword} is not judged");
    }
    if let Some(name) = schema.get("$ref").and_then(Value::as_str) {
        judge(root, root.pointer(name.trim_start_matches('#')).unwrap(), value)?;
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    if !types.is_empty() && !types.iter().any(|wanted| is_of(wanted, value)) {
        return wrong("type");
    }
    let any = |name: &str| schema.get(name).and_then(Value::as_array).map(|list| (name == "oneOf", list));
    for (exactly_one, list) in [any("anyOf"), any("oneOf")].into_iter().flatten() {
        let fitting = list.iter().filter(|one| judge(root, one, value).is_ok()).count();
        if fitting == 0 || (exactly_one && fitting > 1) {
            return wrong("alternatives");
        }
    }
    if schema.get("const").is_some_and(|wanted| wanted != value)
        || schema.get("enum").and_then(Value::as_array).is_some_and(|words| !words.contains(value))
    {
        return wrong("words");
    }
    if let (Some(pattern), Some(text)) = (schema.get("pattern").and_then(Value::as_str), value.as_str())
        && !regex::Regex::new(pattern).unwrap().is_match(text)
    {
        return wrong("pattern");
    }
    if let Some(number) = value.as_f64() {
        let bound =
            |name: &str, otherwise: f64| schema.get(name).and_then(Value::as_f64).unwrap_or(otherwise);
        if number < bound("minimum", f64::MIN) || number > bound("maximum", f64::MAX) {
            return wrong("range");
        }
    }
    judge_parts(root, schema, value)
}

fn judge_parts(root: &Value, schema: &Value, value: &Value) -> Result<(), String> {
    if let Some(items) = value.as_array() {
        if (items.len() as u64) < schema.get("minItems").and_then(Value::as_u64).unwrap_or(0) {
            return Err("too few items".to_owned());
        }
        if let Some(item) = schema.get("items") {
            items.iter().try_for_each(|value| judge(root, item, value))?;
        }
    }
    let Some(table) = value.as_object() else { return Ok(()) };
    for name in schema.get("required").and_then(Value::as_array).into_iter().flatten() {
        if !table.contains_key(name.as_str().unwrap()) {
            return Err(format!("{name} is missing"));
        }
    }
    for (key, value) in table {
        let by_name = schema.get("properties").and_then(|properties| properties.get(key));
        let patterns = schema.get("patternProperties").and_then(Value::as_object);
        let by_pattern = patterns
            .into_iter()
            .flatten()
            .find(|(pattern, _)| regex::Regex::new(pattern).unwrap().is_match(key));
        let other = schema.get("additionalProperties");
        if let Some(schema) = by_name.or(by_pattern.map(|(_, schema)| schema)).or(other) {
            judge(root, schema, value)?;
        }
    }
    Ok(())
}

fn is_of(wanted: &str, value: &Value) -> bool {
    match wanted {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("the type {other} is not judged"),
    }
}
