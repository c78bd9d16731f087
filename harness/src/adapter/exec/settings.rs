//! What a target file says of a client program: what it can do, and how the promises behind it are to be read.

use std::sync::Arc;

use avouch_scenarios::scenario::Setting;

use crate::adapter::protocol::{self, Dialect, ProtocolOptions};
use crate::check::{CatchUp, Fifo, Redelivery};

/// Names of the options, with what each may be.
const OPTIONS: [(&str, &str); 11] = [
    ("framing", "\"raw\", or a protocol whose frames travel there"),
    ("history", "true or false"),
    ("membership", "true or false"),
    ("read_marks", "true or false"),
    ("manual_acks", "true or false"),
    ("catch_up", "\"session\", \"subscription\" or \"log\""),
    ("redelivery", "\"allowed\", \"flagged\" or \"never\""),
    ("order", "\"acknowledged\" or \"invoked\""),
    ("idempotent", "true or false"),
    ("own_echo", "true or false"),
    ("contiguous", "true or false"),
];

/// How a program is spoken to, and what its server promises.
#[derive(Clone)]
pub struct Settings {
    /// The protocol between program and server, for faults on its frames. Option `framing`, default: only bytes.
    pub framing: Option<Arc<dyn Dialect>>,
    /// It answers `page`. Option, default no.
    pub history: bool,
    /// It answers `members`. Option, default no.
    pub membership: bool,
    /// It answers `read`. Option, default no.
    pub read_marks: bool,
    /// It acknowledges to the server only what `consumed` counted. Option, default no.
    pub manual_acks: bool,
    /// What a device is owed when it comes back. Option, default what was sent since its session began.
    pub catch_up: CatchUp,
    /// How often a message may come. Option, default again as long as it was not acknowledged.
    pub redelivery: Redelivery,
    /// Which sends are ordered. Option, default what was acknowledged before the next was invoked.
    pub order: Fifo,
    /// A send that the program sends again takes effect once. Option, default no.
    pub idempotent: bool,
    /// The sender gets its own message, too. Option, default no.
    pub own_echo: bool,
    /// Positions have no holes. Option, default no.
    pub contiguous: bool,
}

impl Settings {
    /// Reads the options of a client and a mode.
    pub fn read(options: &ProtocolOptions) -> Result<Self, String> {
        if let Some(unknown) = options.keys().find(|key| !OPTIONS.iter().any(|(name, _)| name == key)) {
            let known = OPTIONS.map(|(name, _)| name).join(", ");
            return Err(format!("there is no option `{unknown}` of exec\nhint: there is {known}"));
        }
        let switch = |name: &str| match options.get(name) {
            None => Ok(false),
            Some(Setting::Switch(is_on)) => Ok(*is_on),
            Some(_) => Err(wrong(name)),
        };
        let word = |name: &str| match options.get(name) {
            None => Ok(None),
            Some(Setting::Text(text)) => Ok(Some(text.as_str())),
            Some(_) => Err(wrong(name)),
        };
        Ok(Self {
            framing: framing(word("framing")?)?,
            history: switch("history")?,
            membership: switch("membership")?,
            read_marks: switch("read_marks")?,
            manual_acks: switch("manual_acks")?,
            catch_up: match word("catch_up")? {
                None | Some("session") => CatchUp::Session,
                Some("subscription") => CatchUp::Subscription,
                Some("log") => CatchUp::Log,
                Some(_) => return Err(wrong("catch_up")),
            },
            redelivery: match word("redelivery")? {
                None | Some("allowed") => Redelivery::UntilAcknowledged { flagged: false },
                Some("flagged") => Redelivery::UntilAcknowledged { flagged: true },
                Some("never") => Redelivery::Never,
                Some(_) => return Err(wrong("redelivery")),
            },
            order: match word("order")? {
                None | Some("acknowledged") => Fifo::Acknowledged,
                Some("invoked") => Fifo::Invoked,
                Some(_) => return Err(wrong("order")),
            },
            idempotent: switch("idempotent")?,
            own_echo: switch("own_echo")?,
            contiguous: switch("contiguous")?,
        })
    }
}

/// The dialect that knows the frames of a protocol.
fn framing(name: Option<&str>) -> Result<Option<Arc<dyn Dialect>>, String> {
    let Some(name) = name.filter(|name| *name != "raw") else { return Ok(None) };
    let of_frames = |protocol: &&protocol::Protocol| protocol.name != super::NAME;
    let found = protocol::PROTOCOLS.iter().filter(of_frames).find(|protocol| protocol.name == name);
    let found = found.ok_or_else(|| {
        let known = protocol::PROTOCOLS.iter().filter(of_frames).map(|protocol| protocol.name);
        let known = ["raw"].into_iter().chain(known).collect::<Vec<_>>().join(", ");
        format!("option `framing`: there is no protocol `{name}`\nhint: there is {known}")
    })?;
    (found.configure)(&ProtocolOptions::new()).map(Some)
}

fn wrong(name: &str) -> String {
    let may_be = OPTIONS.iter().find(|(known, _)| *known == name).map_or("", |(_, may_be)| may_be);
    format!("option `{name}` is not what it may be\nhint: write {may_be}")
}
