//! Compares a parsed TOML document with the JSON Schema of the types, and reports every difference at its place.
//!
//! One source of truth: the schema is generated from the types that serde then fills, and editors use the same one.
//! Not a general JSON Schema validator: it understands the keywords that our types produce.

use std::borrow::Cow;

use serde_json::Value;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::diagnostic::Findings;
use crate::names::nearest;
use crate::units::{
    ByteRate, Complaint, ConversationName, DelaySpec, NodeName, NodeNames, Parties, PerSecond, Share,
    SignedTime, Sizes, Time, Unit, UserName,
};

/// Compares a whole document.
pub(crate) fn compare(schema: &Value, document: &Spanned<DeTable<'_>>, findings: &mut Findings<'_>) {
    let shapes = Shapes { root: schema };
    let whole = 0..0;
    shapes.table(schema, document.get_ref(), whole, findings);
}

struct Shapes<'s> {
    root: &'s Value,
}

impl<'s> Shapes<'s> {
    fn value(&self, schema: &'s Value, value: &Spanned<DeValue<'_>>, findings: &mut Findings<'_>) {
        let schema = self.resolve(schema);
        let span = value.span();
        if let Some(unit) = schema.get("x-unit").and_then(Value::as_str) {
            if let Err(complaint) = check_unit(unit, value.get_ref()) {
                findings.add(span, complaint.message, complaint.hint);
            }
            return;
        }
        if let Some(choices) = choices(schema) {
            return choice(&choices, value, findings);
        }
        if let Some(any) = schema.get("anyOf").and_then(Value::as_array) {
            let of_kind =
                |one: &&Value| kind(self.resolve(one)).is_some_and(|k| has_kind(k, value.get_ref()));
            let fitting: Vec<&Value> = any.iter().filter(of_kind).collect();
            match fitting[..] {
                [] => {
                    let kinds: Vec<&str> = any.iter().filter_map(|one| kind(self.resolve(one))).collect();
                    wrong_kind(&kinds.join(" or "), value, findings);
                }
                // Only one alternative can be meant: what is wrong with it can be said at its place.
                [one] => self.value(one, value, findings),
                _ => {}
            }
            return;
        }
        let Some(kind) = kind(schema) else { return };
        if !has_kind(kind, value.get_ref()) {
            return wrong_kind(kind, value, findings);
        }
        match value.get_ref() {
            DeValue::Table(table) => self.table(schema, table, span, findings),
            DeValue::Array(items) => {
                if let Some(item) = schema.get("items") {
                    items.iter().for_each(|value| self.value(item, value, findings));
                }
            }
            DeValue::Integer(number) => range(schema, number.as_str(), value, findings),
            _ => {}
        }
    }

    fn table(
        &self,
        schema: &'s Value,
        table: &DeTable<'_>,
        span: std::ops::Range<usize>,
        findings: &mut Findings<'_>,
    ) {
        let empty = serde_json::Map::new();
        let properties = schema.get("properties").and_then(Value::as_object).unwrap_or(&empty);
        let others = free_values(schema);
        for (key, value) in table {
            if let Some(schema) = properties.get(key.get_ref().as_ref()) {
                self.value(schema, value, findings);
            } else if let Some(others) = others {
                if let Some(Err(complaint)) =
                    schema.get("x-key-unit").map(|unit| check_key(unit, key.get_ref()))
                {
                    findings.add(key.span(), complaint.message, complaint.hint);
                }
                self.value(others, value, findings);
            } else {
                let hint = self.unknown_key_hint(key.get_ref(), properties, table);
                findings.add(key.span(), format!("unknown key `{}`", key.get_ref()), hint);
            }
        }
        let required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
        for name in required.filter_map(Value::as_str).filter(|name| !table.contains_key(*name)) {
            let about = properties.get(name).map(description).unwrap_or_default();
            findings.add(span.clone(), format!("`{name}` is missing"), about);
        }
    }

    fn unknown_key_hint(
        &self,
        key: &str,
        properties: &'s serde_json::Map<String, Value>,
        table: &DeTable<'_>,
    ) -> String {
        // Perhaps it belongs one level deeper: `probability` beside `cut` instead of in it.
        for (name, schema) in properties {
            let inner = self.resolve(schema).get("properties").and_then(|inner| inner.get(key));
            if inner.is_some() && table.contains_key(name.as_str()) {
                return format!("it belongs inside `{name}`: {name} = {{ {key} = … }}");
            }
        }
        if let Some(near) = nearest(key, properties.keys().map(String::as_str)) {
            return format!("did you mean `{near}`?");
        }
        for (name, schema) in properties {
            let inner = self.resolve(schema);
            let inner = inner.get("items").map_or(inner, |items| self.resolve(items));
            if inner.get("properties").and_then(|inner| inner.get(key)).is_some() {
                return format!("there is `{key}` in `{name}`");
            }
        }
        let known: Vec<&str> = properties.keys().map(String::as_str).collect();
        format!("known keys here: {}", known.join(", "))
    }

    /// Follows references, and takes the one real type out of "this or null".
    fn resolve(&self, schema: &'s Value) -> &'s Value {
        let mut schema = schema;
        // References of our own types are never deeper than a handful; a cycle would be a bug in them.
        for _ in 0..16 {
            if let Some(name) = schema.get("$ref").and_then(Value::as_str) {
                let name = name.rsplit('/').next().unwrap_or(name);
                schema = self.root.get("$defs").and_then(|defs| defs.get(name)).unwrap_or(&Value::Null);
                continue;
            }
            let Some([one, other]) = schema.get("anyOf").and_then(Value::as_array).map(Vec::as_slice) else {
                break;
            };
            match (is_null(one), is_null(other)) {
                (false, true) => schema = one,
                (true, false) => schema = other,
                _ => break,
            }
        }
        schema
    }
}

fn is_null(schema: &Value) -> bool {
    schema.get("type").and_then(Value::as_str) == Some("null")
}

/// The type a schema asks for, "or null" taken away.
fn kind(schema: &Value) -> Option<&str> {
    if choices(schema).is_some() {
        return Some("string");
    }
    match schema.get("type")? {
        Value::String(kind) => Some(kind),
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null"),
        _ => None,
    }
}

/// What free keys of a table hold, where it has free keys.
fn free_values(schema: &Value) -> Option<&Value> {
    let additional = schema.get("additionalProperties").filter(|value| value.is_object());
    additional.or_else(|| schema.get("patternProperties")?.as_object()?.values().next())
}

/// The words of an enumeration with their descriptions.
fn choices(schema: &Value) -> Option<Vec<&str>> {
    if let Some(words) = schema.get("enum").and_then(Value::as_array) {
        return Some(words.iter().filter_map(Value::as_str).collect());
    }
    schema.get("oneOf")?.as_array()?.iter().map(|one| one.get("const").and_then(Value::as_str)).collect()
}

fn choice(choices: &[&str], value: &Spanned<DeValue<'_>>, findings: &mut Findings<'_>) {
    let all = format!("write one of {}", choices.join(", "));
    match value.get_ref().as_str() {
        Some(text) if choices.contains(&text) => {}
        Some(text) => {
            let hint = crate::names::nearest_hint(text, choices.iter().copied(), &all);
            findings.add(value.span(), format!("`{text}` is not known here"), hint);
        }
        None => {
            findings.add(value.span(), format!("{} stands where a word is wanted", a(value.get_ref())), all);
        }
    }
}

fn has_kind(kind: &str, value: &DeValue<'_>) -> bool {
    match kind {
        "string" => value.is_str(),
        "integer" => value.is_integer(),
        "number" => value.is_integer() || value.is_float(),
        "boolean" => value.is_bool(),
        "array" => value.is_array(),
        "object" => value.is_table(),
        _ => true,
    }
}

fn wrong_kind(kind: &str, value: &Spanned<DeValue<'_>>, findings: &mut Findings<'_>) {
    let in_words = |kind: &str| match kind {
        "object" => "a table",
        "string" => "a text",
        "boolean" => "true or false",
        "integer" => "a whole number",
        "array" => "a list",
        _ => "a number",
    };
    let wanted = kind.split(" or ").map(in_words).collect::<Vec<_>>().join(" or ");
    let hint = match (kind, value.get_ref()) {
        ("array", DeValue::Table(_)) => "write it with two brackets: [[…]]".to_owned(),
        ("object", DeValue::Array(_)) => "write it with one bracket: […]".to_owned(),
        ("integer", DeValue::String(text)) if text.parse::<i64>().is_ok() => {
            format!("write {text} without quotes")
        }
        ("boolean", DeValue::String(text)) if matches!(text.as_ref(), "true" | "false") => {
            format!("write {text} without quotes")
        }
        _ => String::new(),
    };
    findings.add(value.span(), format!("{} stands where {wanted} is wanted", a(value.get_ref())), hint);
}

/// A value's type in words.
fn a(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

fn range(schema: &Value, number: &str, value: &Spanned<DeValue<'_>>, findings: &mut Findings<'_>) {
    let bound = |name: &str| schema.get(name).and_then(Value::as_i64);
    let (least, most) = (bound("minimum").unwrap_or(i64::MIN), bound("maximum").unwrap_or(i64::MAX));
    let unsigned = schema.get("format").and_then(Value::as_str).is_some_and(|format| format.starts_with('u'));
    let least = if unsigned { least.max(0) } else { least };
    let most = if schema.get("format").and_then(Value::as_str) == Some("uint32") {
        most.min(i64::from(u32::MAX))
    } else {
        most
    };
    let written = number;
    let number = match value.get_ref() {
        DeValue::Integer(integer) => i64::from_str_radix(&number.replace('_', ""), integer.radix()).ok(),
        _ => None,
    };
    if number.is_some_and(|number| (least..=most).contains(&number)) {
        return;
    }
    let hint = match (least > i64::MIN, most < i64::MAX) {
        (true, true) => format!("it lies between {least} and {most}"),
        (true, false) => format!("it is at least {least}"),
        _ => String::new(),
    };
    findings.add(value.span(), format!("{written} is out of range"), hint);
}

fn description(schema: &Value) -> String {
    let text = schema.get("description").and_then(Value::as_str).unwrap_or_default();
    let first = text.split(". ").next().unwrap_or_default().trim_end_matches('.').replace('\n', " ");
    let mut letters = first.chars();
    letters.next().map(|letter| letter.to_lowercase().chain(letters).collect()).unwrap_or_default()
}

fn check_key(unit: &Value, key: &str) -> Result<(), Complaint> {
    check_unit(unit.as_str().unwrap_or_default(), &DeValue::String(Cow::Borrowed(key)))
}

/// Reads a value by the unit that the schema names.
fn check_unit(unit: &str, value: &DeValue<'_>) -> Result<(), Complaint> {
    match unit {
        Time::NAME => read::<Time>(value),
        SignedTime::NAME => read::<SignedTime>(value),
        DelaySpec::NAME => read::<DelaySpec>(value),
        PerSecond::NAME => read::<PerSecond>(value),
        Sizes::NAME => read::<Sizes>(value),
        ByteRate::NAME => read::<ByteRate>(value),
        Share::NAME => read::<Share>(value),
        Parties::NAME => read::<Parties>(value),
        NodeName::NAME => read::<NodeName>(value),
        NodeNames::NAME => read::<NodeNames>(value),
        UserName::NAME => read::<UserName>(value),
        ConversationName::NAME => read::<ConversationName>(value),
        crate::guarantees::GuaranteeId::NAME => read::<crate::guarantees::GuaranteeId>(value),
        crate::gates::Gate::NAME => read::<crate::gates::Gate>(value),
        crate::profiles::ProfileName::NAME => read::<crate::profiles::ProfileName>(value),
        // A unit that is not listed here is found by the test that reads every unit of the schema.
        other => Err(Complaint::new(format!("the unit `{other}` is not known"), "")),
    }
}

fn read<U: Unit>(value: &DeValue<'_>) -> Result<(), Complaint> {
    let write = || format!("write {}", U::EXAMPLES);
    match value {
        DeValue::String(text) => U::from_text(text).map(drop),
        DeValue::Integer(number) => {
            let number = i64::from_str_radix(&number.as_str().replace('_', ""), number.radix());
            let number = number.map_err(|_| Complaint::new("the number is out of range", write()))?;
            U::from_number(number as f64).map(drop)
        }
        DeValue::Float(number) => {
            let number = number.as_str().replace('_', "").parse().unwrap_or(f64::NAN);
            U::from_number(number).map(drop)
        }
        DeValue::Array(items) if U::LISTS => {
            let texts: Option<Vec<Cow<'_, str>>> =
                items.iter().map(|item| item.get_ref().as_str().map(Cow::Borrowed)).collect();
            let texts =
                texts.ok_or_else(|| Complaint::new("the list holds something else than texts", write()))?;
            U::from_list(&texts).map(drop)
        }
        other => Err(Complaint::new(format!("{} cannot stand here", a(other)), write())),
    }
}
