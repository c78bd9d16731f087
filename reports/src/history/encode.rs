//! From an event to its line. Written by hand: the bytes are deterministic, and it costs a fraction of what a
//! general serialiser does.

use super::error::Problem;
use super::event::{Conversation, Device, Event, Message, PageItem, User, What};
use super::keys::Key;
use super::limits::{NAME_BYTES_MAX, PAGE_ITEMS_MAX, TEXT_BYTES_MAX, USERS_PER_LIST_MAX};
use crate::escape::{is_hostile, shortened};

/// Appends the event's line, without a line feed, to `line`. Texts over their limit are shortened, with an
/// ellipsis; lists over their limit are an error, and `line` is as it was.
pub fn event_to_line(event: &Event, line: &mut Vec<u8>) -> Result<(), Problem> {
    check_lists(&event.what)?;
    let mut line = Line { out: line };
    line.begin(event.at_ns, event.what.kind());
    fields(&event.what, &mut line);
    line.out.push(b'}');
    Ok(())
}

fn check_lists(what: &What) -> Result<(), Problem> {
    let check = |key: Key, length: usize, max: usize| {
        if length > max { Err(Problem::TooMuch { key: key.name(), max }) } else { Ok(()) }
    };
    match what {
        What::Conversation { members, .. } => check(Key::Members, members.len(), USERS_PER_LIST_MAX),
        What::MembersChange { added, removed, .. } | What::MembersChanged { added, removed, .. } => {
            check(Key::Added, added.len(), USERS_PER_LIST_MAX)?;
            check(Key::Removed, removed.len(), USERS_PER_LIST_MAX)
        }
        What::Page { items, .. } => check(Key::Items, items.len(), PAGE_ITEMS_MAX),
        _ => Ok(()),
    }
}

#[allow(clippy::too_many_lines, reason = "one flat table; the compiler sees that no kind is missing")]
fn fields(what: &What, line: &mut Line<'_>) {
    match what {
        What::Device { device, user, name } => {
            line.device(*device).number(Key::User, u64::from(user.0)).name(Key::Name, name);
        }
        What::Conversation { conversation, name, members } => {
            line.conversation(*conversation).name(Key::Name, name).users(Key::Members, members);
        }
        What::Phase { phase } => line.word(phase.name()),
        What::Session { device, session } => line.device(*device).word(session.name()),
        What::Disconnected { device, why } => line.device(*device).text(Key::Why, why),
        What::Send { device, conversation, message, intended_ns, bytes, digest, reply_to } => {
            line.device(*device).conversation(*conversation).message(*message);
            line.number(Key::Intended, *intended_ns).number(Key::Bytes, u64::from(*bytes)).digest(*digest);
            line.optional(Key::ReplyTo, reply_to.map(|message| message.0));
        }
        What::Retry { device, message } => {
            line.device(*device).message(*message);
        }
        What::Accepted { device, message, seq, rung } => {
            line.device(*device).message(*message).optional(Key::Seq, *seq).number(Key::Rung, *rung as u64);
        }
        What::Rejected { device, message, code } => {
            line.device(*device).message(*message).name(Key::Code, code);
        }
        What::Unknown { device, message, why } => line.device(*device).message(*message).text(Key::Why, why),
        What::Delivered { device, conversation, message, seq, digest, redelivered } => {
            line.device(*device).conversation(*conversation).optional(Key::Message, message.map(|m| m.0));
            line.optional(Key::Seq, *seq).digest(*digest).flag(Key::Redelivered, *redelivered);
        }
        What::Suppressed { device, conversation, message, seq, redelivered } => {
            line.device(*device).conversation(*conversation).optional(Key::Message, message.map(|m| m.0));
            line.optional(Key::Seq, *seq).flag(Key::Redelivered, *redelivered);
        }
        What::Acknowledged { device, conversation, up_to, message } => {
            line.device(*device).conversation(*conversation).optional(Key::UpTo, *up_to);
            line.optional(Key::Message, message.map(|message| message.0));
        }
        What::Read { device, conversation, up_to } | What::ReadConfirmed { device, conversation, up_to } => {
            line.device(*device).conversation(*conversation).number(Key::UpTo, *up_to);
        }
        What::Receipt { device, conversation, by, kind, up_to } => {
            line.device(*device).conversation(*conversation).number(Key::By, u64::from(by.0));
            line.number(Key::UpTo, *up_to).word(kind.name());
        }
        What::Gap { device, conversation, after, before } => {
            line.device(*device).conversation(*conversation);
            line.number(Key::After, *after).number(Key::Before, *before);
        }
        What::ChainBroken { device, conversation, seq } => {
            line.device(*device).conversation(*conversation).number(Key::Seq, *seq);
        }
        What::PageRequested { device, conversation, request, after } => {
            line.device(*device).conversation(*conversation);
            line.number(Key::Request, *request).number(Key::After, *after);
        }
        What::Page { device, conversation, request, items, complete } => {
            line.device(*device).conversation(*conversation).number(Key::Request, *request).items(items);
            line.stated(Key::Complete, *complete);
        }
        What::MembersChange { device, conversation, message, added, removed } => {
            line.device(*device).conversation(*conversation).message(*message);
            line.users(Key::Added, added);
            line.users(Key::Removed, removed);
        }
        What::MembersChanged { device, conversation, seq, added, removed } => {
            line.device(*device).conversation(*conversation).optional(Key::Seq, *seq);
            line.users(Key::Added, added);
            line.users(Key::Removed, removed);
        }
        What::FaultStarted { id, kind, target } => {
            line.number(Key::Fault, u64::from(*id)).name(Key::Word, kind).text(Key::Target, target);
        }
        What::FaultFired { id, kind, device, frame, detail } => {
            line.number(Key::Fault, u64::from(*id)).name(Key::Word, kind).device(*device);
            line.number(Key::Frame, *frame).text(Key::Detail, detail);
        }
        What::FaultEnded { id, evidence } => {
            line.number(Key::Fault, u64::from(*id)).text(Key::Evidence, evidence);
        }
        What::FaultSkipped { id, kind, why } => {
            line.number(Key::Fault, u64::from(*id)).name(Key::Word, kind).text(Key::Why, why);
        }
        What::Node { node, state } => {
            line.name(Key::Name, node).name(Key::State, state);
        }
        What::Quiet { device } | What::Reinstalled { device } => {
            line.device(*device);
        }
        What::Drained { converged, missing } => {
            line.stated(Key::Converged, *converged).text(Key::Missing, missing);
        }
        What::Note { text } => line.text(Key::Text, text),
    }
}

/// A line that is being written. Methods that end a chain return nothing.
struct Line<'a> {
    out: &'a mut Vec<u8>,
}

impl Line<'_> {
    fn begin(&mut self, at_ns: u64, kind: &str) {
        self.out.extend_from_slice(b"{\"t\":");
        self.digits(at_ns);
        self.out.extend_from_slice(b",\"e\":\"");
        self.out.extend_from_slice(kind.as_bytes());
        self.out.push(b'"');
    }

    fn key(&mut self, key: Key) {
        self.out.extend_from_slice(b",\"");
        self.out.extend_from_slice(key.name().as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    fn number(&mut self, key: Key, value: u64) -> &mut Self {
        self.key(key);
        self.digits(value);
        self
    }

    fn optional(&mut self, key: Key, value: Option<u64>) -> &mut Self {
        match value {
            Some(value) => self.number(key, value),
            None => self,
        }
    }

    fn device(&mut self, device: Device) -> &mut Self {
        self.number(Key::Device, u64::from(device.0))
    }

    fn conversation(&mut self, conversation: Conversation) -> &mut Self {
        self.number(Key::Conversation, u64::from(conversation.0))
    }

    fn message(&mut self, message: Message) -> &mut Self {
        self.number(Key::Message, message.0)
    }

    fn digest(&mut self, digest: u64) -> &mut Self {
        self.key(Key::Digest);
        self.hex(digest);
        self
    }

    /// Only written when set.
    fn flag(&mut self, key: Key, value: bool) {
        if value {
            self.stated(key, true);
        }
    }

    fn stated(&mut self, key: Key, value: bool) -> &mut Self {
        self.key(key);
        self.out.extend_from_slice(if value { b"true" } else { b"false" });
        self
    }

    /// A word of the format.
    fn word(&mut self, word: &'static str) {
        self.key(Key::Word);
        self.string(word);
    }

    fn name(&mut self, key: Key, name: &str) -> &mut Self {
        self.key(key);
        self.string(&shortened(name, NAME_BYTES_MAX));
        self
    }

    fn text(&mut self, key: Key, text: &str) {
        self.key(key);
        self.string(&shortened(text, TEXT_BYTES_MAX));
    }

    fn users(&mut self, key: Key, users: &[User]) {
        self.key(key);
        self.array(users, |line, user| line.digits(u64::from(user.0)));
    }

    fn items(&mut self, items: &[PageItem]) {
        self.key(Key::Items);
        self.array(items, |line, item| {
            line.out.push(b'[');
            line.digits_or_null(item.seq);
            line.out.push(b',');
            line.digits_or_null(item.message.map(|message| message.0));
            line.out.push(b',');
            line.hex(item.digest);
            line.out.push(b']');
        });
    }

    fn array<T>(&mut self, elements: &[T], write: impl Fn(&mut Self, &T)) {
        self.out.push(b'[');
        for (index, element) in elements.iter().enumerate() {
            if index > 0 {
                self.out.push(b',');
            }
            write(self, element);
        }
        self.out.push(b']');
    }

    fn digits_or_null(&mut self, value: Option<u64>) {
        match value {
            Some(value) => self.digits(value),
            None => self.out.extend_from_slice(b"null"),
        }
    }

    fn digits(&mut self, mut value: u64) {
        const DIGITS_MAX: usize = 20;
        let mut digits = [0; DIGITS_MAX];
        let mut at = DIGITS_MAX;
        loop {
            at -= 1;
            digits[at] = b'0' + (value % 10) as u8;
            value /= 10;
            if value == 0 {
                break;
            }
        }
        self.out.extend_from_slice(&digits[at..]);
    }

    fn hex(&mut self, value: u64) {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut quoted = [b'"'; 18];
        for (index, digit) in quoted[1..17].iter_mut().enumerate() {
            *digit = DIGITS[(value >> (60 - 4 * index) & 0xf) as usize];
        }
        self.out.extend_from_slice(&quoted);
    }

    /// A JSON string. Hostile characters are escaped too, so that a history can be looked at in a terminal.
    fn string(&mut self, text: &str) {
        self.out.push(b'"');
        if text.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\') {
            self.out.extend_from_slice(text.as_bytes());
        } else {
            text.chars().for_each(|character| self.character(character));
        }
        self.out.push(b'"');
    }

    fn character(&mut self, character: char) {
        let mut units = [0; 2];
        if character == '"' || character == '\\' {
            self.out.extend_from_slice(&[b'\\', character as u8]);
        } else if is_hostile(character) {
            for unit in character.encode_utf16(&mut units) {
                self.out.extend_from_slice(format!("\\u{unit:04x}").as_bytes());
            }
        } else {
            self.out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }
}
