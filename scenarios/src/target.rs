//! A target: a server that can be put to the test, how it is started and reached, and what it claims, mode by mode.
//!
//! A claim is somebody's promise with its source. What no source promises is observed and shown, never punished; where a
//! source says that it does *not* promise something, a disclaimer keeps that sentence beside what was observed.
//!
//! Not here: what a protocol's options mean (its adapter says), and how a server is kept (the live world does).

mod filled;
mod sense;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::diagnostic::Refused;
use crate::guarantees::GuaranteeId;
use crate::parse;
use crate::plan::{Fault, NodeVerb, Plan};
use crate::scenario::{Setting, is_default};
use crate::units::Time;

pub use filled::{Places as FilledPlaces, Unfilled, fill, port_names};

/// A server that can be put to the test.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// Version of the format; this page describes 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// What it is, in one sentence.
    pub about: String,
    /// The adapter that speaks its protocol: "mqtt".
    pub protocol: String,
    /// How it is started. Default: it runs already, and `avouch` is told its address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<Start>,
    /// The program that is its client, for the protocol `exec`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<Client>,
    /// What it promises in every mode.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub claim: Vec<Claim>,
    /// What a source says that it does not promise, in every mode.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub disclaimer: Vec<Disclaimer>,
    /// Ways to run and to use it that differ in what they promise. Default: one, without options.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mode: Vec<Mode>,
}

/// How a target is started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Start {
    /// The server that is part of this tool.
    Part(Part),
    /// A program.
    Program(Box<Program>),
}

/// The server that is part of this tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// The reference server.
    BuiltIn,
}

/// A program that is a server. In its command, files, environment and values, `{port}` stands for a free port of
/// 127.0.0.1, `{port_NAME}` for another one, `{data}` for an empty folder, `{files}` for the folder with the generated files, and
/// `{NAME}` for a value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Program {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// Files that are made before the first start, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, String>,
    /// What `{NAME}` stands for, unless a mode says otherwise.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub values: BTreeMap<String, String>,
    /// What is added to the environment.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, String>,
    /// How it shows that it is ready. Default: its port accepts connections.
    #[serde(default, skip_serializing_if = "is_default")]
    pub ready: Ready,
    /// It must be ready within this.
    #[serde(default = "twenty_seconds")]
    pub ready_within: Time,
    /// The signal that asks it to stop.
    #[serde(default, skip_serializing_if = "is_default")]
    pub stop: StopSignal,
    /// It must have stopped within this; then it is killed, and that is told.
    #[serde(default = "twenty_seconds")]
    pub stop_within: Time,
}

/// A program that is a device's client: one process per device, which speaks newline JSON (docs/exec.md). In its command and
/// environment, `{here}` stands for the folder of the target file, and `{NAME}` for a value; where it has to connect to, it is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Client {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// What is added to the environment.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, String>,
    /// Options of the protocol in every mode, unless a mode says otherwise.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, Setting>,
}

/// How a server shows that it is ready: its port accepts connections, and (where it says so) a line of its log has these words.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Ready {
    /// Words of a line of its standard output or error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
}

/// The signal that asks a server to stop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StopSignal {
    /// SIGTERM.
    #[default]
    Term,
    /// SIGINT.
    Int,
    /// SIGQUIT.
    Quit,
    /// SIGUSR2.
    Usr2,
}

/// One way to run and to use a target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mode {
    /// Its name on a command line: "durable-qos1".
    pub name: String,
    /// What is special about it, in one sentence.
    pub about: String,
    /// Options of the protocol, as its adapter has them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, Setting>,
    /// What `{NAME}` stands for in this mode.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub values: BTreeMap<String, String>,
    /// What is promised in this mode, beside what the target promises in every mode.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub claim: Vec<Claim>,
    /// What a source says that is not promised in this mode.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub disclaimer: Vec<Disclaimer>,
}

/// One promise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// Which guarantee.
    pub guarantee: GuaranteeId,
    /// Where it is promised: document and section, in one line.
    pub source: String,
    /// It is promised while nothing worse happens than this. Default: whatever happens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub under: Option<Vec<FaultModel>>,
}

/// What a source says that is not promised.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Disclaimer {
    /// Which guarantee.
    pub guarantee: GuaranteeId,
    /// Where that is said: document and section, in one line.
    pub source: String,
}

/// What can happen to a server, as documentation speaks of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FaultModel {
    /// Connections end, are slow or silent.
    Disconnect,
    /// The process stands still for a while.
    Pause,
    /// It is asked to stop, and started again.
    Restart,
    /// It is killed, and started again.
    Kill,
    /// Its machine loses power.
    PowerLoss,
    /// Its disk or clock misbehaves.
    Machine,
}

impl FaultModel {
    /// As it stands in target files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Disconnect => "disconnect",
            Self::Pause => "pause",
            Self::Restart => "restart",
            Self::Kill => "kill",
            Self::PowerLoss => "power-loss",
            Self::Machine => "machine",
        }
    }

    /// What a planned fault is.
    pub fn of(fault: &Fault) -> Self {
        match fault {
            Fault::Link(_) | Fault::Client(_) => Self::Disconnect,
            Fault::Node(node) => match node.verb {
                NodeVerb::Kill { .. } => Self::Kill,
                NodeVerb::Pause => Self::Pause,
                NodeVerb::Restart { .. } => Self::Restart,
                NodeVerb::PowerLoss { .. } => Self::PowerLoss,
                NodeVerb::Isolate { .. } => Self::Disconnect,
                NodeVerb::SlowSync { .. }
                | NodeVerb::FailSync
                | NodeVerb::DiskFull
                | NodeVerb::ClockSkew { .. } => Self::Machine,
            },
        }
    }
}

impl Claim {
    /// Whether it is made for a run in which these faults happen.
    pub fn holds_in(&self, plan: &Plan) -> bool {
        let Some(under) = &self.under else { return true };
        plan.faults.iter().all(|planned| under.contains(&FaultModel::of(&planned.fault)))
    }
}

impl Target {
    /// A mode by its name; without a name, the first. A target without modes has one that is called `default`.
    pub fn mode(&self, name: Option<&str>) -> Option<Mode> {
        if self.mode.is_empty() {
            let only = Mode {
                name: "default".to_owned(),
                about: self.about.clone(),
                options: BTreeMap::new(),
                values: BTreeMap::new(),
                claim: Vec::new(),
                disclaimer: Vec::new(),
            };
            return name.is_none_or(|name| name == only.name).then_some(only);
        }
        self.mode.iter().find(|mode| name.is_none_or(|name| mode.name == name)).cloned()
    }

    /// Names of its modes.
    pub fn mode_names(&self) -> Vec<String> {
        if self.mode.is_empty() {
            return vec!["default".to_owned()];
        }
        self.mode.iter().map(|mode| mode.name.clone()).collect()
    }

    /// Options of the protocol in a mode: its own, and those of the client program.
    pub fn options(&self, mode: &Mode) -> BTreeMap<String, Setting> {
        let mut options = self.client.as_ref().map_or_else(BTreeMap::new, |client| client.options.clone());
        options.extend(mode.options.clone());
        options
    }

    /// Everything that is promised in a mode: its own claims, then those that hold in every mode and that it does not
    /// make otherwise itself.
    pub fn claims(&self, mode: &Mode) -> Vec<Claim> {
        let own = |claim: &&Claim| !mode.claim.iter().any(|other| other.guarantee == claim.guarantee);
        mode.claim.iter().chain(self.claim.iter().filter(own)).cloned().collect()
    }

    /// Everything that is said not to be promised in a mode.
    pub fn disclaimers(&self, mode: &Mode) -> Vec<Disclaimer> {
        mode.disclaimer.iter().chain(&self.disclaimer).cloned().collect()
    }
}

fn twenty_seconds() -> Time {
    Time::s(20)
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
pub const TARGETS: &[TargetEntry] = &[
    TargetEntry { name: "mosquitto", text: include_str!("../targets/mosquitto.toml") },
    TargetEntry { name: "mqtt", text: include_str!("../targets/mqtt.toml") },
    TargetEntry { name: "nats", text: include_str!("../targets/nats.toml") },
    TargetEntry { name: "nats-synced", text: include_str!("../targets/nats-synced.toml") },
    TargetEntry { name: "reference", text: include_str!("../targets/reference.toml") },
    TargetEntry { name: "rumqttd", text: include_str!("../targets/rumqttd.toml") },
];

/// What a client program promises by what it says, where no target file says more: the target of `exec:PROGRAM`.
pub const EXEC: TargetEntry = TargetEntry { name: "exec", text: include_str!("../targets/exec.toml") };

/// The JSON Schema of target files, for editors.
pub fn target_schema() -> Value {
    // Refuses nothing: a schema is a JSON object by construction.
    serde_json::to_value(schemars::schema_for!(Target)).unwrap_or_default()
}

static SCHEMA: LazyLock<Value> = LazyLock::new(target_schema);

/// Reads a target. `file` is how errors call it. Never panics, whatever the text is.
pub fn parse_target(file: &str, text: &str) -> Result<Target, Refused> {
    parse::parse(file, text, &SCHEMA, sense::check)
}
