//! A scenario as a person would write it: defaults left out, each action and each fault in few lines.
//!
//! Not serde's own notation, in which every small table becomes a section of its own. What is written here reads back as
//! the same scenario; a property test holds that.

use std::fmt::Write as _;

use toml::{Table, Value};

use crate::Scenario;
use crate::scenario::Workload;
use crate::units::Time;

/// Keys in the order in which a person looks for them; others follow by name.
const ORDER: [&str; 27] = [
    "version",
    "about",
    "seed",
    "nodes",
    "conversations",
    "members",
    "users",
    "devices",
    "senders",
    "rate",
    "which",
    "at",
    "every",
    "for",
    "device",
    "conversation",
    "count",
    "client",
    "link",
    "node",
    "before",
    "after",
    "on",
    "nth",
    "direction",
    "probability",
    "restart_after",
];

/// Sections after the head, in order.
const SECTIONS: [&str; 9] =
    ["cluster", "workload", "network", "conversation", "device", "step", "fault", "expect", "phases"];

impl Scenario {
    /// As a scenario file that says the same.
    pub fn to_toml(&self) -> String {
        let mut document =
            Table::try_from(self).expect("a scenario has string keys and numbers that TOML can hold");
        if let Some(Value::Table(workload)) = document.get_mut("workload") {
            leave_defaults_out(workload, self.workload.duration);
        }
        let mut text = String::new();
        for (key, value) in sorted(&document).into_iter().filter(|(key, _)| !SECTIONS.contains(key)) {
            line(&mut text, key, value);
        }
        for name in SECTIONS {
            match document.get(name) {
                Some(Value::Table(section)) => table(&mut text, &format!("[{name}]"), section),
                Some(Value::Array(entries)) => {
                    let entries = entries.iter().filter_map(Value::as_table);
                    entries.for_each(|entry| table(&mut text, &format!("[[{name}]]"), entry));
                }
                _ => {}
            }
        }
        text
    }
}

fn leave_defaults_out(workload: &mut Table, duration: Time) {
    let least = Table::from_iter([("duration".to_owned(), Value::String(duration.to_string()))]);
    let default: Workload = least.try_into().expect("a workload needs no more than a duration");
    let default = Table::try_from(&default).expect("as every scenario");
    workload.retain(|key, value| key == "duration" || default.get(key) != Some(value));
}

fn table(text: &mut String, head: &str, section: &Table) {
    let _ = write!(text, "\n{head}\n");
    for (key, value) in sorted(section) {
        line(text, key, value);
    }
}

fn line(text: &mut String, key: &str, value: &Value) {
    let _ = writeln!(text, "{} = {}", written_key(key), written(value));
}

/// One value on one line.
fn written(value: &Value) -> String {
    match value {
        Value::Table(fields) if fields.is_empty() => "{}".to_owned(),
        Value::Table(fields) => {
            let fields = sorted(fields);
            let fields: Vec<String> = fields
                .iter()
                .map(|(key, value)| format!("{} = {}", written_key(key), written(value)))
                .collect();
            format!("{{ {} }}", fields.join(", "))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(written).collect::<Vec<_>>().join(", ")),
        plain => plain.to_string(),
    }
}

fn written_key(key: &str) -> String {
    let is_bare =
        !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if is_bare { key.to_owned() } else { Value::String(key.to_owned()).to_string() }
}

fn sorted(table: &Table) -> Vec<(&str, &Value)> {
    let place = |key: &str| ORDER.iter().position(|known| *known == key).unwrap_or(ORDER.len());
    let mut fields: Vec<(&str, &Value)> = table.iter().map(|(key, value)| (key.as_str(), value)).collect();
    fields.sort_by_key(|(key, _)| (place(key), *key));
    fields
}

#[cfg(test)]
mod tests {
    use crate::parse_scenario;

    #[test]
    fn is_written_as_a_person_would() {
        let text = r#"about = "a kill between commit and ack"
seed = 7

[workload]
conversations = 1
users = 2
duration = "500ms"

[[conversation]]
members = ["u0", "u1"]

[[step]]
at = "0s"
device = "u0.d1"
send = { conversation = "c0" }

[[fault]]
kill = { link = "u0.d1", before = "accepted", nth = 1, restart_after = "200ms" }

[[fault]]
at = "100ms"
for = "2s"
stall = { link = "u1", direction = "down" }
"#;
        let scenario = parse_scenario("x", text).unwrap_or_else(|refused| panic!("{refused}"));
        assert_eq!(scenario.to_toml(), text.replace("conversations = 1\n", ""));
    }
}
