//! The operations of NATS' client protocol, of both directions: bytes in, operations out, and back.
//!
//! Its own page of code and no crate: of those that are kept well, one brings a whole client with its runtime, and the other,
//! which has no runtime, reads only what a server sends (the proxy has to read both directions), takes messages of 128 MiB, and
//! brings the Unicode tables of an address parser. This never panics and holds no more than [`LINE_BYTES_MAX`] and [`PAYLOAD_BYTES_MAX`].
//!
//! Source: docs.nats.io, "Client Protocol"; headers: ADR-4. An operation is a line, and behind some lines comes a body of a
//! stated size. Names of operations are not case sensitive, what stands between arguments is any number of blanks or tabs.

use std::ops::Range;

use bytes::{BufMut, Bytes, BytesMut};

/// Longest line that is read: a server's INFO can list a whole cluster.
pub const LINE_BYTES_MAX: usize = 64 * 1024;
/// Largest body (headers and payload) that is read. Servers allow 1 MiB unless they are told otherwise.
pub const PAYLOAD_BYTES_MAX: usize = 8 * 1024 * 1024;
/// No name of an operation is longer.
const VERB_BYTES_MAX: usize = 7;
/// Arguments of one line, at most: subject, subscription, reply, headers' size, size.
const ARGUMENTS_MAX: usize = 5;
/// Digits of a size, at most.
const DIGITS_MAX: usize = 10;

/// What an operation is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Server: who it is.
    Info,
    /// Client: who it is.
    Connect,
    /// Client: a message.
    Pub,
    /// Client: a message with headers.
    Hpub,
    /// Client: wants messages.
    Sub,
    /// Client: wants no more of them.
    Unsub,
    /// Server: a message.
    Msg,
    /// Server: a message with headers.
    Hmsg,
    /// Either: is anybody there?
    Ping,
    /// Either: yes.
    Pong,
    /// Server: an operation was fine.
    Ok,
    /// Server: an operation was not.
    Err,
}

/// All of them, by their names.
pub const VERBS: [(&str, Verb); 12] = [
    ("INFO", Verb::Info),
    ("CONNECT", Verb::Connect),
    ("PUB", Verb::Pub),
    ("HPUB", Verb::Hpub),
    ("SUB", Verb::Sub),
    ("UNSUB", Verb::Unsub),
    ("MSG", Verb::Msg),
    ("HMSG", Verb::Hmsg),
    ("PING", Verb::Ping),
    ("PONG", Verb::Pong),
    ("+OK", Verb::Ok),
    ("-ERR", Verb::Err),
];

impl Verb {
    /// Its name.
    pub fn name(self) -> &'static str {
        VERBS.iter().find(|(_, verb)| *verb == self).map_or("", |(name, _)| name)
    }
}

/// Bytes that are no operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub &'static str);

/// Where an operation begins and ends, and where in its line the arguments are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Which operation.
    pub verb: Verb,
    /// The line with its end. Bytes.
    pub line_bytes: usize,
    /// Of the body, what is headers. Bytes.
    pub header_bytes: usize,
    /// Headers and payload, for operations that have a body. Bytes.
    pub body_bytes: Option<usize>,
    /// Of a message: where it goes.
    pub subject: Range<usize>,
    /// Of a message: where an answer goes.
    pub reply: Option<Range<usize>>,
    /// Of a subscription and what comes by it: its name.
    sid: Range<usize>,
    /// Of a subscription: its group; of its end: after how many; otherwise what stands behind the name.
    rest: Range<usize>,
}

impl Head {
    /// The whole operation. Bytes.
    pub fn frame_bytes(&self) -> usize {
        self.line_bytes + self.body_bytes.map_or(0, |bytes| bytes + 2)
    }
}

/// An operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// JSON.
    Info(Bytes),
    /// JSON.
    Connect(Bytes),
    /// A message to the server.
    Publish(Message),
    /// A message from the server.
    Message {
        /// By which subscription.
        sid: Bytes,
        /// What.
        message: Message,
    },
    /// What a client wants.
    Subscribe {
        /// Which subjects.
        subject: Bytes,
        /// Only one of a group gets each.
        group: Option<Bytes>,
        /// How the client calls it.
        sid: Bytes,
    },
    /// What it wants no more.
    Unsubscribe {
        /// How the client called it.
        sid: Bytes,
        /// After so many messages.
        after: Option<u64>,
    },
    /// Is anybody there?
    Ping,
    /// Yes.
    Pong,
    /// An operation was fine.
    Ok,
    /// An operation was not, in words.
    Err(Bytes),
}

/// A message, either way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// Where it goes.
    pub subject: Bytes,
    /// Where an answer goes.
    pub reply: Option<Bytes>,
    /// The block of headers, with its version line and its empty line.
    pub headers: Option<Bytes>,
    /// What.
    pub payload: Bytes,
}

/// Finds the first operation; `None` if its line is not whole yet. What cannot become one is refused as soon as that is sure.
pub fn head(bytes: &[u8]) -> Result<Option<Head>, Malformed> {
    let Some((verb, name_bytes)) = verb(bytes)? else { return Ok(None) };
    let scanned = &bytes[..bytes.len().min(LINE_BYTES_MAX)];
    let Some(end) = scanned.iter().position(|byte| *byte == b'\n') else {
        if bytes.len() >= LINE_BYTES_MAX {
            return Err(Malformed("a line that is longer than what is read"));
        }
        return Ok(None);
    };
    let line_end = if bytes[..end].ends_with(b"\r") { end - 1 } else { end };
    let mut head = Head {
        verb,
        line_bytes: end + 1,
        header_bytes: 0,
        body_bytes: None,
        subject: 0..0,
        reply: None,
        sid: 0..0,
        rest: trimmed(bytes, name_bytes.min(line_end)..line_end),
    };
    if matches!(verb, Verb::Pub | Verb::Hpub | Verb::Sub | Verb::Unsub | Verb::Msg | Verb::Hmsg) {
        arguments(bytes, &mut head)?;
    }
    Ok(Some(head))
}

/// The name of the first operation and its length; `None` if it is not whole yet.
fn verb(bytes: &[u8]) -> Result<Option<(Verb, usize)>, Malformed> {
    let is_end = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
    let start = &bytes[..bytes.len().min(VERB_BYTES_MAX + 1)];
    let whole = start.iter().position(is_end);
    let name = &start[..whole.unwrap_or(start.len())];
    let begins = |(known, _): &&(&str, Verb)| {
        known.len() >= name.len() && known.as_bytes()[..name.len()].eq_ignore_ascii_case(name)
    };
    let mut fitting = VERBS.iter().filter(begins);
    let found = match whole {
        Some(_) => fitting.find(|(known, _)| known.len() == name.len()),
        None => {
            return match fitting.next() {
                Some(_) => Ok(None),
                None => Err(Malformed("an operation that there is not")),
            };
        }
    };
    match found {
        Some((_, verb)) => Ok(Some((*verb, name.len()))),
        None => Err(Malformed("an operation that there is not")),
    }
}

fn arguments(bytes: &[u8], head: &mut Head) -> Result<(), Malformed> {
    let mut spans: [Range<usize>; ARGUMENTS_MAX] = Default::default();
    let mut count = 0;
    let mut at = head.rest.start;
    while at < head.rest.end {
        let length = bytes[at..head.rest.end].iter().take_while(|byte| !is_blank(**byte)).count();
        let slot = spans.get_mut(count).ok_or(Malformed("too many arguments"))?;
        *slot = at..at + length;
        count += 1;
        at += length;
        at += bytes[at..head.rest.end].iter().take_while(|byte| is_blank(**byte)).count();
    }
    let spans = &spans[..count];
    let few = Malformed("too few arguments");
    let many = Malformed("too many arguments");
    match (head.verb, spans) {
        (Verb::Unsub, [sid]) => (head.sid, head.rest) = (sid.clone(), 0..0),
        (Verb::Unsub, [sid, after]) => {
            size(&bytes[after.clone()])?;
            (head.sid, head.rest) = (sid.clone(), after.clone());
        }
        (Verb::Sub, [subject, sid]) => {
            (head.subject, head.sid, head.rest) = (subject.clone(), sid.clone(), 0..0);
        }
        (Verb::Sub, [subject, group, sid]) => {
            (head.subject, head.sid, head.rest) = (subject.clone(), sid.clone(), group.clone());
        }
        (Verb::Unsub | Verb::Sub, spans) => return Err(if spans.len() < 2 { few } else { many }),
        (verb, spans) => {
            let has_headers = matches!(verb, Verb::Hpub | Verb::Hmsg);
            let has_sid = matches!(verb, Verb::Msg | Verb::Hmsg);
            let named = 1 + usize::from(has_sid);
            let sizes = 1 + usize::from(has_headers);
            let has_reply = match spans.len() {
                length if length == named + sizes => false,
                length if length == named + sizes + 1 => true,
                length => return Err(if length < named + sizes { few } else { many }),
            };
            head.subject = spans[0].clone();
            if has_sid {
                head.sid = spans[1].clone();
            }
            head.reply = has_reply.then(|| spans[named].clone());
            let body_bytes = size(&bytes[spans[spans.len() - 1].clone()])?;
            if has_headers {
                head.header_bytes = size(&bytes[spans[spans.len() - 2].clone()])?;
            }
            if head.header_bytes > body_bytes {
                return Err(Malformed("headers that are longer than their message"));
            }
            (head.body_bytes, head.rest) = (Some(body_bytes), 0..0);
        }
    }
    Ok(())
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

fn trimmed(bytes: &[u8], range: Range<usize>) -> Range<usize> {
    let inner = &bytes[range.clone()];
    let front = inner.iter().take_while(|byte| is_blank(**byte)).count();
    let back = inner[front..].iter().rev().take_while(|byte| is_blank(**byte)).count();
    range.start + front..range.end - back
}

/// A size, or a count.
fn size(digits: &[u8]) -> Result<usize, Malformed> {
    let is_number = (1..=DIGITS_MAX).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
    if !is_number {
        return Err(Malformed("a size that is no number"));
    }
    let value = digits.iter().fold(0_u64, |value, digit| value * 10 + u64::from(digit - b'0'));
    usize::try_from(value).map_err(|_| Malformed("a size that is no number"))
}

/// Takes the next whole operation from the front.
pub fn take(input: &mut BytesMut) -> Result<Option<Operation>, Malformed> {
    let Some(head) = head(input)? else { return Ok(None) };
    if head.body_bytes.is_some_and(|bytes| bytes > PAYLOAD_BYTES_MAX) {
        return Err(Malformed("a message that is larger than what is read"));
    }
    if input.len() < head.frame_bytes() {
        return Ok(None);
    }
    let frame = input.split_to(head.frame_bytes()).freeze();
    if head.body_bytes.is_some() && !frame.ends_with(b"\r\n") {
        return Err(Malformed("a message that does not end where it should"));
    }
    let part = |range: &Range<usize>| frame.slice(range.clone());
    let message = |body_bytes: usize| {
        let payload_at = head.line_bytes + head.header_bytes;
        let has_headers = matches!(head.verb, Verb::Hpub | Verb::Hmsg);
        Message {
            subject: part(&head.subject),
            reply: head.reply.as_ref().map(part),
            headers: has_headers.then(|| frame.slice(head.line_bytes..payload_at)),
            payload: frame.slice(payload_at..head.line_bytes + body_bytes),
        }
    };
    let optional = |range: &Range<usize>| (!range.is_empty()).then(|| part(range));
    Ok(Some(match (head.verb, head.body_bytes) {
        (Verb::Info, _) => Operation::Info(part(&head.rest)),
        (Verb::Connect, _) => Operation::Connect(part(&head.rest)),
        (Verb::Err, _) => Operation::Err(part(&head.rest)),
        (Verb::Pub | Verb::Hpub, Some(bytes)) => Operation::Publish(message(bytes)),
        (Verb::Msg | Verb::Hmsg, Some(bytes)) => {
            Operation::Message { sid: part(&head.sid), message: message(bytes) }
        }
        (Verb::Sub, _) => Operation::Subscribe {
            subject: part(&head.subject),
            group: optional(&head.rest),
            sid: part(&head.sid),
        },
        (Verb::Unsub, _) => {
            let after = optional(&head.rest).map(|digits| size(&digits)).transpose()?;
            Operation::Unsubscribe { sid: part(&head.sid), after: after.map(|count| count as u64) }
        }
        (Verb::Ping, _) => Operation::Ping,
        (Verb::Pong, _) => Operation::Pong,
        (Verb::Ok, _) => Operation::Ok,
        (Verb::Pub | Verb::Hpub | Verb::Msg | Verb::Hmsg, None) => {
            return Err(Malformed("a message without a size"));
        }
    }))
}

/// An operation as bytes. Subjects and names of subscriptions hold no blanks; whoever makes them sees to that.
pub fn encode(operation: &Operation) -> Bytes {
    let mut out = BytesMut::with_capacity(64);
    match operation {
        Operation::Info(text) => line(&mut out, Verb::Info, &[text]),
        Operation::Connect(text) => line(&mut out, Verb::Connect, &[text]),
        Operation::Err(text) => line(&mut out, Verb::Err, &[text]),
        Operation::Ping => line(&mut out, Verb::Ping, &[]),
        Operation::Pong => line(&mut out, Verb::Pong, &[]),
        Operation::Ok => line(&mut out, Verb::Ok, &[]),
        Operation::Subscribe { subject, group: Some(group), sid } => {
            line(&mut out, Verb::Sub, &[subject, group, sid]);
        }
        Operation::Subscribe { subject, group: None, sid } => line(&mut out, Verb::Sub, &[subject, sid]),
        Operation::Unsubscribe { sid, after: Some(after) } => {
            line(&mut out, Verb::Unsub, &[sid, after.to_string().as_bytes()]);
        }
        Operation::Unsubscribe { sid, after: None } => line(&mut out, Verb::Unsub, &[sid]),
        Operation::Publish(message) => put_message(&mut out, (Verb::Pub, Verb::Hpub), None, message),
        Operation::Message { sid, message } => {
            put_message(&mut out, (Verb::Msg, Verb::Hmsg), Some(sid), message);
        }
    }
    out.freeze()
}

fn line(out: &mut BytesMut, verb: Verb, arguments: &[&[u8]]) {
    out.extend_from_slice(verb.name().as_bytes());
    for argument in arguments {
        out.put_u8(b' ');
        out.extend_from_slice(argument);
    }
    out.extend_from_slice(b"\r\n");
}

fn put_message(out: &mut BytesMut, (plain, headed): (Verb, Verb), sid: Option<&Bytes>, message: &Message) {
    let Message { subject, reply, headers, payload } = message;
    let header_bytes = headers.as_ref().map_or(0, Bytes::len);
    let sizes = [header_bytes.to_string(), (header_bytes + payload.len()).to_string()];
    let sizes = if headers.is_some() { &sizes[..] } else { &sizes[1..] };
    let named = [Some(subject), sid, reply.as_ref()].into_iter().flatten().map(|part| &part[..]);
    let arguments: Vec<&[u8]> = named.chain(sizes.iter().map(String::as_bytes)).collect();
    out.reserve(subject.len() + header_bytes + payload.len() + 64);
    line(out, if headers.is_some() { headed } else { plain }, &arguments);
    out.extend_from_slice(headers.as_deref().unwrap_or_default());
    out.extend_from_slice(payload);
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::headers::header;
    use super::*;

    /// Reads everything, cut into chunks.
    fn read(bytes: &[u8], chunk: usize) -> Result<Vec<Operation>, Malformed> {
        let (mut input, mut operations) = (BytesMut::new(), Vec::new());
        for part in bytes.chunks(chunk) {
            input.extend_from_slice(part);
            while let Some(operation) = take(&mut input)? {
                operations.push(operation);
            }
        }
        Ok(operations)
    }

    fn message(subject: &str, reply: Option<&str>, headers: Option<&str>, payload: &str) -> Message {
        let bytes = |text: &str| Bytes::copy_from_slice(text.as_bytes());
        Message {
            subject: bytes(subject),
            reply: reply.map(bytes),
            headers: headers.map(bytes),
            payload: bytes(payload),
        }
    }

    #[test]
    fn operations_are_as_the_documentation_prints_them() {
        let check = |operation: Operation, bytes: &str| {
            assert_eq!(encode(&operation), bytes.as_bytes(), "{operation:?}");
            for chunk in 1..=bytes.len() {
                let read = read(bytes.as_bytes(), chunk).unwrap();
                assert_eq!(read, std::slice::from_ref(&operation), "{bytes:?}");
            }
        };
        let sid = || Bytes::from_static(b"90");
        check(Operation::Publish(message("FOO", None, None, "Hello NATS!")), "PUB FOO 11\r\nHello NATS!\r\n");
        check(Operation::Publish(message("NOTIFY", None, None, "")), "PUB NOTIFY 0\r\n\r\n");
        check(
            Operation::Publish(message(
                "FRONT.DOOR",
                Some("JOKE.22"),
                Some("NATS/1.0\r\nBREAKFAST: donut\r\n\r\n"),
                "Yum!",
            )),
            "HPUB FRONT.DOOR JOKE.22 30 34\r\nNATS/1.0\r\nBREAKFAST: donut\r\n\r\nYum!\r\n",
        );
        check(
            Operation::Message { sid: sid(), message: message("FOO", Some("R.1"), None, "12") },
            "MSG FOO 90 R.1 2\r\n12\r\n",
        );
        check(
            Operation::Message {
                sid: sid(),
                message: message("R.1", None, Some("NATS/1.0 503\r\n\r\n"), ""),
            },
            "HMSG R.1 90 16 16\r\nNATS/1.0 503\r\n\r\n\r\n",
        );
        let subject = Bytes::from_static(b"a.>");
        check(Operation::Subscribe { subject: subject.clone(), group: None, sid: sid() }, "SUB a.> 90\r\n");
        let group = Some(Bytes::from_static(b"G"));
        check(Operation::Subscribe { subject, group, sid: sid() }, "SUB a.> G 90\r\n");
        check(Operation::Unsubscribe { sid: sid(), after: Some(5) }, "UNSUB 90 5\r\n");
        check(Operation::Info(Bytes::from_static(b"{\"a\":1}")), "INFO {\"a\":1}\r\n");
        check(Operation::Err(Bytes::from_static(b"'Stale Connection'")), "-ERR 'Stale Connection'\r\n");
        for (operation, bytes) in
            [(Operation::Ping, "PING"), (Operation::Pong, "PONG"), (Operation::Ok, "+OK")]
        {
            check(operation, &format!("{bytes}\r\n"));
        }
    }

    #[test]
    fn names_and_blanks_may_be_written_otherwise() {
        let operations = read(b"ping\npub \t FOO\t2 \r\nhi\r\n+ok\r\n", 3).unwrap();
        let publish = Operation::Publish(message("FOO", None, None, "hi"));
        assert_eq!(operations, [Operation::Ping, publish, Operation::Ok]);
    }

    #[test]
    fn what_is_no_operation_is_an_error_in_words() {
        let long = [b"INFO ".to_vec(), vec![b'x'; LINE_BYTES_MAX]].concat();
        for (bytes, words) in [
            (&b"HELLO\r\n"[..], "operation that there is not"),
            (b"GET / HTTP/1.1\r\n", "operation that there is not"),
            (b"\x10\x0d", "operation that there is not"),
            (b"\r\n", "operation that there is not"),
            (b"PUB FOO\r\n", "too few arguments"),
            (b"MSG a 1 2 3 4\r\n", "too many arguments"),
            (b"MSG a 1 2 3 4 5\r\n", "too many arguments"),
            (b"SUB a\r\n", "too few arguments"),
            (b"PUB FOO x\r\n", "size that is no number"),
            (b"PUB FOO -1\r\n", "size that is no number"),
            (b"PUB FOO 99999999999\r\n", "size that is no number"),
            (b"PUB FOO 100000000\r\n", "larger than what is read"),
            (b"PUB FOO 2\r\nhiya", "does not end where it should"),
            (b"HMSG a 1 9 3\r\n", "headers that are longer"),
            (&long, "longer than what is read"),
        ] {
            for chunk in [1, 5, bytes.len()] {
                if bytes.len() > 1_000 && chunk == 1 {
                    continue;
                }
                let error = read(bytes, chunk).unwrap_err();
                assert!(error.to_string().contains(words), "{error}: {:?}", &bytes[..bytes.len().min(40)]);
            }
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..300), chunk in 1_usize..40, verb in 0_usize..12,
        ) {
            let _ = read(&bytes, chunk);
            let named = [VERBS[verb].0.as_bytes(), b" ", &bytes].concat();
            let _ = read(&named, chunk);
        }

        #[test]
        fn what_is_written_is_read_alike(
            payload in proptest::collection::vec(any::<u8>(), 0..20_000), subject in "[a-z.>*]{1,80}",
            reply in proptest::option::of("[A-Za-z0-9._$]{1,80}"), id in proptest::option::of("[a-z0-9-]{0,30}"),
            is_up: bool, chunk in 1_usize..5_000,
        ) {
            let message = Message {
                subject: subject.into(),
                reply: reply.map(Into::into),
                headers: id.map(|id| header("Nats-Msg-Id", &id)),
                payload: payload.into(),
            };
            let operation = if is_up {
                Operation::Publish(message)
            } else {
                Operation::Message { sid: Bytes::from_static(b"1"), message }
            };
            let operations = read(&encode(&operation), chunk).unwrap();
            prop_assert_eq!(operations, [operation]);
        }
    }
}
