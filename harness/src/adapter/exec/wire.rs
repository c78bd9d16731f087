//! The lines of the protocol, both ways, as `docs/exec.md` has them. Only their shape: what may be said when is the adapter's.

use std::net::SocketAddr;

use bytes::Bytes;
use data_encoding::BASE64;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Version of the protocol.
pub const VERSION: u32 = 1;
/// Longest line of a program. Bytes, without the line feed.
pub const LINE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What the tool says. Every line has an `id` beside this.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Request<'a> {
    /// Who the program is.
    Init(Init<'a>),
    /// Be connected.
    Connect,
    /// Leave politely and stay away.
    Disconnect,
    /// Send a message.
    Send {
        /// Its name.
        conversation: &'a str,
        /// Base64.
        payload: String,
        /// The position that it answers.
        #[serde(skip_serializing_if = "Option::is_none")]
        reply_to_seq: Option<u64>,
    },
    /// Make a conversation, or change who belongs to it.
    Members {
        /// Its name.
        conversation: &'a str,
        /// Names of users.
        added: Vec<&'a str>,
        /// Names of users.
        removed: Vec<&'a str>,
    },
    /// Everything up to a position was read.
    Read {
        /// Its name.
        conversation: &'a str,
        /// Cumulative.
        up_to: u64,
    },
    /// One page of history.
    Page {
        /// Its name.
        conversation: &'a str,
        /// After this position.
        after: u64,
    },
    /// The application took that many deliveries, in their order: they may be acknowledged.
    Consumed {
        /// How many.
        count: usize,
    },
    /// Is the program there?
    Ping,
}

/// The first line.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Init<'a> {
    pub(super) version: u32,
    pub(super) device: &'a str,
    pub(super) user: &'a str,
    pub(super) installation: u32,
    pub(super) run: &'a str,
    pub(super) address: Option<SocketAddr>,
    pub(super) host: Option<String>,
    pub(super) port: Option<u16>,
    pub(super) conversations: Vec<InitConversation<'a>>,
    pub(super) history: bool,
    pub(super) membership: bool,
    pub(super) read_marks: bool,
    pub(super) manual_acks: bool,
}

/// A conversation, as the first line names it.
#[derive(Clone, Debug, Serialize)]
pub(super) struct InitConversation<'a> {
    pub(super) name: &'a str,
    pub(super) members: Vec<&'a str>,
    pub(super) member: bool,
}

#[derive(Serialize)]
struct Numbered<'a> {
    id: u64,
    #[serde(flatten)]
    request: Request<'a>,
}

/// A line, with its line feed.
pub(super) fn line(id: u64, request: Request<'_>) -> Bytes {
    let mut line = serde_json::to_vec(&Numbered { id, request }).expect("there are no map keys but texts");
    line.push(b'\n');
    line.into()
}

/// Bytes as a text of JSON.
pub(super) fn encoded(payload: &[u8]) -> String {
    BASE64.encode(payload)
}

/// What a program says.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Said {
    InitOk {
        version: u32,
        #[serde(default)]
        reconnects: bool,
    },
    Session {
        #[serde(default)]
        resumed: bool,
    },
    Disconnected {
        why: Option<String>,
    },
    Ack {
        rung: Option<u8>,
        seq: Option<u64>,
    },
    Retry {},
    Error {
        code: i64,
        text: Option<String>,
        definite: Option<bool>,
    },
    ReadOk {},
    PageOk {
        items: Vec<SaidItem>,
        complete: bool,
    },
    Pong {},
    Delivered {
        conversation: String,
        payload: String,
        seq: Option<u64>,
        #[serde(default)]
        redelivered: bool,
    },
    Suppressed {
        conversation: String,
        payload: String,
        seq: Option<u64>,
        #[serde(default)]
        redelivered: bool,
    },
    Acked {
        conversation: String,
        up_to: Option<u64>,
        payload: Option<String>,
    },
    Receipt {
        conversation: String,
        by: String,
        kind: SaidReceipt,
        up_to: u64,
    },
    MembersChanged {
        conversation: String,
        seq: Option<u64>,
        #[serde(default)]
        added: Vec<String>,
        #[serde(default)]
        removed: Vec<String>,
    },
    Gap {
        conversation: String,
        after: u64,
        before: u64,
    },
    Log {
        text: String,
    },
}

/// One message of a page.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SaidItem {
    pub(super) seq: Option<u64>,
    pub(super) payload: String,
}

/// What a receipt tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum SaidReceipt {
    Delivered,
    Read,
}

/// Reads a line: what it answers, and what it says. An error says what is wrong with it.
pub(super) fn parse(line: &[u8]) -> Result<(Option<u64>, Said), String> {
    let mut value: Value = serde_json::from_slice(line).map_err(|error| format!("no JSON: {error}"))?;
    let object = value.as_object_mut().ok_or("JSON, but no object")?;
    object.remove("id"); // a program may number its lines; nobody asks
    let in_reply_to = match object.remove("in_reply_to") {
        None | Some(Value::Null) => None,
        Some(id) => Some(id.as_u64().ok_or("`in_reply_to` is not the `id` of anything")?),
    };
    let said = Said::deserialize(value).map_err(|error| error.to_string())?;
    Ok((in_reply_to, said))
}

/// A payload as it came out of the base64 of a line.
pub(super) fn decoded(payload: &str) -> Result<Vec<u8>, String> {
    let wrong = |error| format!("`payload` is not base64 ({error}); it is told as `send` had it");
    BASE64.decode(payload.as_bytes()).map_err(wrong)
}

/// Maelstrom's error codes, and whether each is definite.
const CODES: [(i64, &str, bool); 11] = [
    (0, "timeout", false),
    (1, "node-not-found", true),
    (10, "not-supported", true),
    (11, "temporarily-unavailable", true),
    (12, "malformed-request", true),
    (13, "crash", false),
    (14, "abort", true),
    (20, "key-does-not-exist", true),
    (21, "key-already-exists", true),
    (22, "precondition-failed", true),
    (30, "txn-conflict", true),
];

/// An error of a program: whether it is definite (what is not known to be, is not), and in one line.
pub(super) fn error(code: i64, text: Option<&str>, definite: Option<bool>) -> (bool, String) {
    let known = CODES.iter().find(|(known, ..)| *known == code);
    let is_definite = definite.unwrap_or(known.is_some_and(|(.., definite)| *definite));
    let name = known.map_or("", |(_, name, _)| name);
    let words = [name, text.unwrap_or_default()];
    let words: Vec<&str> = words.into_iter().filter(|words| !words.is_empty()).collect();
    (is_definite, format!("{code} {}", words.join(": ")).trim_end().to_owned())
}
