//! Proxies and toxics as Toxiproxy's API has them in JSON.
//!
//! Lenient as the original: fields that nobody knows are passed over. Strict where the original breaks: a negative time, or a
//! slice of no bytes.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::api::Refusal;
use crate::link::Way;
use crate::toxics::{Kind, Toxic};

/// Longest name of a proxy or a toxic, in bytes.
const NAME_BYTES_MAX: usize = 256;

/// A proxy that is asked for. What is not said is taken from elsewhere.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ProxyInput {
    pub(super) name: Option<String>,
    pub(super) listen: Option<String>,
    pub(super) upstream: Option<String>,
    pub(super) enabled: Option<bool>,
}

impl ProxyInput {
    /// What a new proxy has to say: its name and where it leads. `place` tells it from others in a list.
    pub(super) fn required(&self, place: &str) -> Result<(&str, &str), Refusal> {
        let field = |value: &'_ Option<String>| value.clone().filter(|value| !value.is_empty());
        let missing = |what: &str| Refusal::missing(&format!("{what}{place}"));
        field(&self.name).ok_or_else(|| missing("name"))?;
        field(&self.upstream).ok_or_else(|| missing("upstream"))?;
        let (name, upstream) =
            (self.name.as_deref().unwrap_or_default(), self.upstream.as_deref().unwrap_or_default());
        check_name(name)?;
        Ok((name, upstream))
    }
}

/// A proxy as it is shown.
#[derive(Clone, Debug, Serialize)]
pub(super) struct ProxyOutput {
    pub(super) name: String,
    pub(super) listen: String,
    pub(super) upstream: String,
    pub(super) enabled: bool,
    pub(super) toxics: Vec<Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ToxicInput {
    name: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    stream: Option<String>,
    toxicity: Option<f32>,
    attributes: Option<Map<String, Value>>,
}

/// A new toxic.
pub(super) fn new_toxic(body: &[u8]) -> Result<Toxic, Refusal> {
    let input: ToxicInput = serde_json::from_slice(body).map_err(Refusal::body)?;
    let stream = input.stream.as_deref().unwrap_or("downstream");
    let way = match stream.to_ascii_lowercase().as_str() {
        "upstream" => Way::Up,
        "downstream" => Way::Down,
        _ => return Err(Refusal::STREAM),
    };
    let type_name = input.kind.unwrap_or_default();
    let attributes = input.attributes.unwrap_or_default();
    let plain = plain(&type_name).ok_or(Refusal::TYPE)?;
    let toxic = Toxic {
        name: input.name.filter(|name| !name.is_empty()).unwrap_or_else(|| format!("{type_name}_{stream}")),
        way,
        toxicity: toxicity(input.toxicity.unwrap_or(1.0))?,
        kind: with(plain, &attributes)?,
    };
    check_name(&toxic.name)?;
    Ok(toxic)
}

/// A toxic of which something is changed: its toxicity and its attributes, those that are named.
pub(super) fn changed_toxic(toxic: &Toxic, body: &[u8]) -> Result<Toxic, Refusal> {
    let input: ToxicInput = serde_json::from_slice(body).map_err(Refusal::body)?;
    Ok(Toxic {
        toxicity: toxicity(input.toxicity.unwrap_or(toxic.toxicity))?,
        kind: with(toxic.kind, &input.attributes.unwrap_or_default())?,
        ..toxic.clone()
    })
}

/// A toxic as it is shown.
pub(super) fn shown(toxic: &Toxic) -> Value {
    let (type_name, attributes) = match toxic.kind {
        Kind::Noop => ("noop", json!({})),
        Kind::Latency { latency_ms, jitter_ms } => {
            ("latency", json!({ "latency": latency_ms, "jitter": jitter_ms }))
        }
        Kind::Bandwidth { rate_kb_per_s } => ("bandwidth", json!({ "rate": rate_kb_per_s })),
        Kind::SlowClose { delay_ms } => ("slow_close", json!({ "delay": delay_ms })),
        Kind::Timeout { timeout_ms } => ("timeout", json!({ "timeout": timeout_ms })),
        Kind::ResetPeer { timeout_ms } => ("reset_peer", json!({ "timeout": timeout_ms })),
        Kind::Slicer { average_bytes, variation_bytes, delay_us } => (
            "slicer",
            json!({ "average_size": average_bytes, "size_variation": variation_bytes, "delay": delay_us }),
        ),
        Kind::LimitData { limit_bytes } => ("limit_data", json!({ "bytes": limit_bytes })),
    };
    let stream = match toxic.way {
        Way::Up => "upstream",
        Way::Down => "downstream",
    };
    json!({
        "attributes": attributes, "name": toxic.name, "type": type_name, "stream": stream, "toxicity": toxic.toxicity,
    })
}

/// A toxic of a type, with nothing said about it.
fn plain(type_name: &str) -> Option<Kind> {
    Some(match type_name {
        "noop" => Kind::Noop,
        "latency" => Kind::Latency { latency_ms: 0, jitter_ms: 0 },
        "bandwidth" => Kind::Bandwidth { rate_kb_per_s: 0 },
        "slow_close" => Kind::SlowClose { delay_ms: 0 },
        "timeout" => Kind::Timeout { timeout_ms: 0 },
        "reset_peer" => Kind::ResetPeer { timeout_ms: 0 },
        "slicer" => Kind::Slicer { average_bytes: 0, variation_bytes: 0, delay_us: 0 },
        "limit_data" => Kind::LimitData { limit_bytes: 0 },
        _ => return None,
    })
}

/// The same with what the attributes say.
fn with(kind: Kind, attributes: &Map<String, Value>) -> Result<Kind, Refusal> {
    let amount = |name: &str, before: u64| match attributes.get(name) {
        None | Some(Value::Null) => Ok(before),
        Some(value) => value.as_u64().ok_or_else(|| {
            let why = format!("attribute `{name}` is {value}, and has to be a whole number from 0 upwards");
            Refusal::body(why)
        }),
    };
    let bytes = |name: &str, before: u32| {
        let bytes = amount(name, u64::from(before))?;
        u32::try_from(bytes).map_err(|_| Refusal::body(format!("attribute `{name}` is too large")))
    };
    Ok(match kind {
        Kind::Noop => Kind::Noop,
        Kind::Latency { latency_ms, jitter_ms } => Kind::Latency {
            latency_ms: amount("latency", latency_ms)?,
            jitter_ms: amount("jitter", jitter_ms)?,
        },
        Kind::Bandwidth { rate_kb_per_s } => {
            Kind::Bandwidth { rate_kb_per_s: amount("rate", rate_kb_per_s)? }
        }
        Kind::SlowClose { delay_ms } => Kind::SlowClose { delay_ms: amount("delay", delay_ms)? },
        Kind::Timeout { timeout_ms } => Kind::Timeout { timeout_ms: amount("timeout", timeout_ms)? },
        Kind::ResetPeer { timeout_ms } => Kind::ResetPeer { timeout_ms: amount("timeout", timeout_ms)? },
        Kind::Slicer { average_bytes, variation_bytes, delay_us } => {
            let average_bytes = bytes("average_size", average_bytes)?;
            let variation_bytes = bytes("size_variation", variation_bytes)?;
            if average_bytes == 0 || variation_bytes >= average_bytes.max(1) {
                let why = "`average_size` has to be at least 1, and `size_variation` smaller than it";
                return Err(Refusal::body(why));
            }
            Kind::Slicer { average_bytes, variation_bytes, delay_us: amount("delay", delay_us)? }
        }
        Kind::LimitData { limit_bytes } => Kind::LimitData { limit_bytes: amount("bytes", limit_bytes)? },
    })
}

fn toxicity(value: f32) -> Result<f32, Refusal> {
    if (0.0..=1.0).contains(&value) {
        Ok(value)
    } else {
        Err(Refusal::body(format!("toxicity is {value}, and has to be from 0 to 1")))
    }
}

fn check_name(name: &str) -> Result<(), Refusal> {
    if name.len() > NAME_BYTES_MAX {
        return Err(Refusal::body(format!("a name has at most {NAME_BYTES_MAX} bytes")));
    }
    Ok(())
}
