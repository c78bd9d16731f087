//! An event inside another JSON document: the same object as on its line, its keys sorted.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};
use serde_json::Value;

use super::decode::event_from_line;
use super::encode::event_to_line;
use super::event::Event;

impl Serialize for Event {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut line = Vec::new();
        event_to_line(self, &mut line).map_err(ser::Error::custom)?;
        // Sorted here, because the order inside `Value` depends on a feature that any crate of a build may set.
        let fields: BTreeMap<String, Value> = serde_json::from_slice(&line).map_err(ser::Error::custom)?;
        fields.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Event {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let fields = BTreeMap::<String, Value>::deserialize(deserializer)?;
        let line = serde_json::to_vec(&fields).map_err(de::Error::custom)?;
        event_from_line(&line).map_err(de::Error::custom)
    }
}

impl JsonSchema for Event {
    fn schema_name() -> Cow<'static, str> {
        "Event".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "An event as in docs/history-format.md.",
            "type": "object",
            "required": ["t", "e"],
            "properties": {
                "t": { "description": "Nanoseconds since the run began.", "type": "integer", "minimum": 0 },
                "e": { "description": "Kind of event.", "type": "string" }
            }
        })
    }
}
