//! What the frames of NATS are called in faults: by their operation, and where JetStream gives an operation a meaning, by that.

use super::codec::{Head, VERBS, Verb};
use super::headers::status;
use super::jetstream::{ACK_PREFIX, API_PREFIX, NEXT_PREFIX};

/// Where answers go, in every client library that was not told otherwise.
const INBOX_PREFIX: &[u8] = b"_INBOX.";

/// JetStream's meanings, with what they are.
const MEANINGS: [&str; 11] = [
    // Client → server.
    "next",
    "ack",
    "nak",
    "term",
    "in_progress",
    "api",
    // Server → client.
    "pub_ack",
    "deliver",
    "ack_confirm",
    "status",
    "api_reply",
];

/// All kinds: operations first.
pub fn kinds() -> Vec<&'static str> {
    VERBS.iter().map(|(name, _)| *name).chain(MEANINGS).collect()
}

/// The kind of a whole frame.
pub fn kind(head: &Head, frame: &[u8]) -> &'static str {
    let subject = frame.get(head.subject.clone()).unwrap_or_default();
    let body = frame.get(head.line_bytes..).unwrap_or_default();
    let payload = body.get(head.header_bytes..head.body_bytes.unwrap_or(0)).unwrap_or_default();
    let meaning = match head.verb {
        Verb::Pub | Verb::Hpub => wanted(subject, payload),
        Verb::Msg | Verb::Hmsg => {
            let headers = body.get(..head.header_bytes).unwrap_or_default();
            let reply = head.reply.as_ref().and_then(|reply| frame.get(reply.clone()));
            told(subject, reply, headers, payload)
        }
        _ => None,
    };
    meaning.unwrap_or(head.verb.name())
}

/// What a client publishes to the server itself.
fn wanted(subject: &[u8], payload: &[u8]) -> Option<&'static str> {
    if subject.starts_with(NEXT_PREFIX.as_bytes()) {
        return Some("next");
    }
    if subject.starts_with(API_PREFIX.as_bytes()) {
        return Some("api");
    }
    subject.starts_with(ACK_PREFIX.as_bytes()).then(|| match payload {
        payload if payload.starts_with(b"-NAK") => "nak",
        payload if payload.starts_with(b"+TERM") => "term",
        payload if payload.starts_with(b"+WPI") => "in_progress",
        _ => "ack",
    })
}

/// What the server says itself, and what it delivers from a stream.
fn told(subject: &[u8], reply: Option<&[u8]>, headers: &[u8], payload: &[u8]) -> Option<&'static str> {
    if reply.is_some_and(|reply| reply.starts_with(ACK_PREFIX.as_bytes())) {
        return Some("deliver");
    }
    if status(headers).is_some() {
        return Some("status");
    }
    if !subject.starts_with(INBOX_PREFIX) || reply.is_some() {
        return None;
    }
    match payload {
        [] if headers.is_empty() => Some("ack_confirm"),
        payload if payload.starts_with(b"{\"type\":") => Some("api_reply"),
        payload if payload.starts_with(b"{\"stream\":") || payload.starts_with(b"{\"error\":") => {
            Some("pub_ack")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::codec::head;
    use super::*;

    #[test]
    fn frames_are_called_by_what_they_mean() {
        let check = |frame: &str, expected: &str| {
            let head = head(frame.as_bytes()).unwrap().unwrap();
            assert_eq!(kind(&head, frame.as_bytes()), expected, "{frame:?}");
            assert!(kinds().contains(&expected));
        };
        check("INFO {}\r\n", "INFO");
        check("+OK\r\n", "+OK");
        check("PUB orders 2\r\nhi\r\n", "PUB");
        check("HPUB orders _INBOX.a.1 12 14\r\nNATS/1.0\r\n\r\nhi\r\n", "HPUB");
        check("PUB $JS.API.CONSUMER.MSG.NEXT.S.C _INBOX.a.m 1\r\n1\r\n", "next");
        check("PUB $JS.API.STREAM.CREATE.S _INBOX.a.r 2\r\n{}\r\n", "api");
        check("PUB $JS.ACK.S.C.1.2.3.4.0 0\r\n\r\n", "ack");
        check("PUB $JS.ACK.S.C.1.2.3.4.0 _INBOX.a.1 4\r\n+ACK\r\n", "ack");
        check("PUB $JS.ACK.S.C.1.2.3.4.0 4\r\n-NAK\r\n", "nak");
        check("PUB $JS.ACK.S.C.1.2.3.4.0 4\r\n+WPI\r\n", "in_progress");
        check("PUB $JS.ACK.S.C.1.2.3.4.0 5\r\n+TERM\r\n", "term");
        check("MSG orders 1 2\r\nhi\r\n", "MSG");
        check("MSG orders 1 $JS.ACK.S.C.1.2.3.4.0 2\r\nhi\r\n", "deliver");
        check("MSG _INBOX.a.1 1 24\r\n{\"stream\":\"S\", \"seq\":12}\r\n", "pub_ack");
        check("MSG _INBOX.a.1 1 19\r\n{\"type\":\"io.nats.x\"}\r\n", "api_reply");
        check("MSG _INBOX.a.1 1 0\r\n\r\n", "ack_confirm");
        check("HMSG _INBOX.a.m 1 16 16\r\nNATS/1.0 408\r\n\r\n\r\n", "status");
        // An application's own: it may look as it likes.
        check("MSG orders 1 12\r\n{\"stream\":1}\r\n", "MSG");
        check("MSG _INBOX.a.1 1 2\r\nhi\r\n", "MSG");
    }
}
