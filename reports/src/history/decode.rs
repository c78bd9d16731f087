//! From the fields of a line to an event. The table below is the format, kind by kind.

use super::error::Problem;
use super::event::{Conversation, Device, Event, Message, Phase, ReceiptKind, Rung, SessionKind, User, What};
use super::keys::Key;
use super::limits::{NAME_BYTES_MAX, TEXT_BYTES_MAX};
use super::scan::{Fields, View};

/// Reads one event line (without its line feed). Checks the line alone, not its place in a history.
pub fn event_from_line(line: &[u8]) -> Result<Event, Problem> {
    decode(&mut Fields::default(), line)
}

/// As [`event_from_line`], with room that is reused from line to line.
pub(super) fn decode(fields: &mut Fields, line: &[u8]) -> Result<Event, Problem> {
    let mut view = fields.scan(line)?;
    let kind = view.word(Key::Kind)?;
    let at_ns = view.number(Key::Time)?;
    let (name, take) = KINDS
        .iter()
        .find(|(name, _)| name.as_bytes() == kind)
        .ok_or_else(|| Problem::UnknownKind(Problem::quote(kind)))?;
    let what = take(&mut view)?;
    match view.left() {
        None => Ok(Event { at_ns, what }),
        Some(key) => Err(Problem::Extra { kind: name, key: key.name() }),
    }
}

type Take = fn(&mut View<'_>) -> Result<What, Problem>;

/// Every kind of event, the frequent ones first.
pub(super) const KINDS: [(&str, Take); 31] = [
    ("delivered", |f| {
        Ok(What::Delivered {
            device: device(f)?,
            conversation: conversation(f)?,
            message: message_if_any(f),
            seq: f.optional(Key::Seq),
            digest: f.number(Key::Digest)?,
            redelivered: f.flag(Key::Redelivered),
        })
    }),
    ("acknowledged", |f| {
        let (device, conversation) = (device(f)?, conversation(f)?);
        Ok(What::Acknowledged {
            device,
            conversation,
            up_to: f.optional(Key::UpTo),
            message: message_if_any(f),
        })
    }),
    ("receipt", |f| {
        Ok(What::Receipt {
            device: device(f)?,
            conversation: conversation(f)?,
            by: Device(f.narrow(Key::By)?),
            kind: receipt_kind(f)?,
            up_to: f.number(Key::UpTo)?,
        })
    }),
    ("send", |f| {
        Ok(What::Send {
            device: device(f)?,
            conversation: conversation(f)?,
            message: message(f)?,
            intended_ns: f.number(Key::Intended)?,
            bytes: f.narrow(Key::Bytes)?,
            digest: f.number(Key::Digest)?,
            reply_to: f.optional(Key::ReplyTo).map(Message),
        })
    }),
    ("accepted", |f| {
        let (device, message) = (device(f)?, message(f)?);
        Ok(What::Accepted { device, message, seq: f.optional(Key::Seq), rung: rung(f)? })
    }),
    ("suppressed", |f| {
        Ok(What::Suppressed {
            device: device(f)?,
            conversation: conversation(f)?,
            message: message_if_any(f),
            seq: f.optional(Key::Seq),
            redelivered: f.flag(Key::Redelivered),
        })
    }),
    ("retry", |f| Ok(What::Retry { device: device(f)?, message: message(f)? })),
    ("read", |f| {
        let (device, conversation) = (device(f)?, conversation(f)?);
        Ok(What::Read { device, conversation, up_to: f.number(Key::UpTo)? })
    }),
    ("read-confirmed", |f| {
        let (device, conversation) = (device(f)?, conversation(f)?);
        Ok(What::ReadConfirmed { device, conversation, up_to: f.number(Key::UpTo)? })
    }),
    ("fault-fired", |f| {
        Ok(What::FaultFired {
            id: f.narrow(Key::Fault)?,
            kind: f.text(Key::Word, NAME_BYTES_MAX)?,
            device: device(f)?,
            frame: f.number(Key::Frame)?,
            detail: f.text(Key::Detail, TEXT_BYTES_MAX)?,
        })
    }),
    ("rejected", |f| {
        let (device, message) = (device(f)?, message(f)?);
        Ok(What::Rejected { device, message, code: f.text(Key::Code, NAME_BYTES_MAX)? })
    }),
    ("unknown", |f| {
        let (device, message) = (device(f)?, message(f)?);
        Ok(What::Unknown { device, message, why: f.text(Key::Why, TEXT_BYTES_MAX)? })
    }),
    ("session", |f| Ok(What::Session { device: device(f)?, session: session_kind(f)? })),
    ("disconnected", |f| {
        Ok(What::Disconnected { device: device(f)?, why: f.text(Key::Why, TEXT_BYTES_MAX)? })
    }),
    ("reinstalled", |f| Ok(What::Reinstalled { device: device(f)? })),
    ("gap", |f| {
        let (device, conversation) = (device(f)?, conversation(f)?);
        Ok(What::Gap { device, conversation, after: f.number(Key::After)?, before: f.number(Key::Before)? })
    }),
    ("page-requested", |f| {
        let (device, conversation) = (device(f)?, conversation(f)?);
        let (request, after) = (f.number(Key::Request)?, f.number(Key::After)?);
        Ok(What::PageRequested { device, conversation, request, after })
    }),
    ("page", |f| {
        let (device, conversation) = (device(f)?, conversation(f)?);
        let (request, items) = (f.number(Key::Request)?, f.items()?);
        Ok(What::Page { device, conversation, request, items, complete: f.flag_stated(Key::Complete)? })
    }),
    ("members-change", |f| {
        Ok(What::MembersChange {
            device: device(f)?,
            conversation: conversation(f)?,
            message: message(f)?,
            added: f.users(Key::Added),
            removed: f.users(Key::Removed),
        })
    }),
    ("members-changed", |f| {
        Ok(What::MembersChanged {
            device: device(f)?,
            conversation: conversation(f)?,
            seq: f.optional(Key::Seq),
            added: f.users(Key::Added),
            removed: f.users(Key::Removed),
        })
    }),
    ("chain-broken", |f| {
        let (device, conversation) = (device(f)?, conversation(f)?);
        Ok(What::ChainBroken { device, conversation, seq: f.number(Key::Seq)? })
    }),
    ("device", |f| {
        let (device, user) = (device(f)?, User(f.narrow(Key::User)?));
        Ok(What::Device { device, user, name: f.text(Key::Name, NAME_BYTES_MAX)? })
    }),
    ("conversation", |f| {
        let (conversation, name) = (conversation(f)?, f.text(Key::Name, NAME_BYTES_MAX)?);
        Ok(What::Conversation { conversation, name, members: f.users_stated(Key::Members)? })
    }),
    ("phase", |f| Ok(What::Phase { phase: phase(f)? })),
    ("fault-started", |f| {
        Ok(What::FaultStarted {
            id: f.narrow(Key::Fault)?,
            kind: f.text(Key::Word, NAME_BYTES_MAX)?,
            target: f.text(Key::Target, TEXT_BYTES_MAX)?,
        })
    }),
    ("fault-ended", |f| {
        Ok(What::FaultEnded { id: f.narrow(Key::Fault)?, evidence: f.text(Key::Evidence, TEXT_BYTES_MAX)? })
    }),
    ("fault-skipped", |f| {
        Ok(What::FaultSkipped {
            id: f.narrow(Key::Fault)?,
            kind: f.text(Key::Word, NAME_BYTES_MAX)?,
            why: f.text(Key::Why, TEXT_BYTES_MAX)?,
        })
    }),
    ("node", |f| {
        Ok(What::Node {
            node: f.text(Key::Name, NAME_BYTES_MAX)?,
            state: f.text(Key::State, NAME_BYTES_MAX)?,
        })
    }),
    ("quiet", |f| Ok(What::Quiet { device: device(f)? })),
    ("drained", |f| {
        let converged = f.flag_stated(Key::Converged)?;
        Ok(What::Drained { converged, missing: f.text(Key::Missing, TEXT_BYTES_MAX)? })
    }),
    ("note", |f| Ok(What::Note { text: f.text(Key::Text, TEXT_BYTES_MAX)? })),
];

fn device(f: &mut View<'_>) -> Result<Device, Problem> {
    f.narrow(Key::Device).map(Device)
}

fn conversation(f: &mut View<'_>) -> Result<Conversation, Problem> {
    f.narrow(Key::Conversation).map(Conversation)
}

fn message(f: &mut View<'_>) -> Result<Message, Problem> {
    f.number(Key::Message).map(Message)
}

fn message_if_any(f: &mut View<'_>) -> Option<Message> {
    f.optional(Key::Message).map(Message)
}

fn rung(f: &mut View<'_>) -> Result<Rung, Problem> {
    let number = f.number(Key::Rung)? as usize;
    Rung::ALL
        .get(number)
        .copied()
        .ok_or(Problem::Value { key: Key::Rung.name(), wanted: "a rung from 0 to 7" })
}

fn receipt_kind(f: &mut View<'_>) -> Result<ReceiptKind, Problem> {
    match f.word(Key::Word)? {
        b"delivered" => Ok(ReceiptKind::Delivered),
        b"read" => Ok(ReceiptKind::Read),
        _ => Err(Problem::Value { key: Key::Word.name(), wanted: "\"delivered\" or \"read\"" }),
    }
}

fn session_kind(f: &mut View<'_>) -> Result<SessionKind, Problem> {
    match f.word(Key::Word)? {
        b"new" => Ok(SessionKind::New),
        b"resumed" => Ok(SessionKind::Resumed),
        _ => Err(Problem::Value { key: Key::Word.name(), wanted: "\"new\" or \"resumed\"" }),
    }
}

fn phase(f: &mut View<'_>) -> Result<Phase, Problem> {
    let word = f.word(Key::Word)?;
    let found = Phase::ALL.into_iter().find(|phase| phase.name().as_bytes() == word);
    let wanted = "\"set-up\", \"chaos\", \"heal\", \"drain\" or \"judge\"";
    found.ok_or(Problem::Value { key: Key::Word.name(), wanted })
}
