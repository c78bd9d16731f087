//! JetStream's words: the subjects and the JSON of its requests and answers, as far as a durable pull consumer meets them.
//! Sources: docs.nats.io, "JetStream wire API Reference"; ADR-13 (pull requests), ADR-15 (subjects of acknowledgements).

use serde::Deserialize;
use serde_json::json;

use super::settings::Storage;

/// Requests to JetStream itself.
pub(super) const API_PREFIX: &str = "$JS.API.";
/// Requests for messages.
pub(super) const NEXT_PREFIX: &str = "$JS.API.CONSUMER.MSG.NEXT.";
/// Acknowledgements; a delivery's reply subject is one.
pub(super) const ACK_PREFIX: &str = "$JS.ACK.";

/// There is no such stream.
pub(super) const STREAM_NOT_FOUND: u32 = 10_059;
/// There is no such consumer.
pub(super) const CONSUMER_NOT_FOUND: u32 = 10_014;
/// A status: nobody answers to that subject.
pub(super) const NO_RESPONDERS: u16 = 503;

/// Messages of a stream, and consumers that nobody uses, go after this: what a run leaves on a server that goes on running. Nanoseconds.
const KEPT_NS: u64 = 3_600 * 1_000_000_000;
/// A request for a message lapses after this. Nanoseconds.
pub(super) const ASKED_NS: u64 = 5_000_000_000;

/// A consumer of a stream, as a device makes it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Consumer<'a> {
    /// Of which stream.
    pub(super) stream: &'a str,
    /// Its name.
    pub(super) durable: &'a str,
    /// What is not acknowledged comes again after this. Nanoseconds.
    pub(super) ack_wait_ns: u64,
    /// Messages without an acknowledgement at most.
    pub(super) max_ack_pending: u32,
}

/// Subject and body of a request.
pub(super) type Request = (String, String);

/// Make a stream with one subject.
pub(super) fn make_stream(stream: &str, subject: &str, storage: Storage) -> Request {
    let body = json!({
        "name": stream, "subjects": [subject], "retention": "limits", "discard": "old",
        "storage": storage.name(), "num_replicas": 1, "max_age": KEPT_NS,
        "max_consumers": -1, "max_msgs": -1, "max_bytes": -1,
    });
    (format!("{API_PREFIX}STREAM.CREATE.{stream}"), body.to_string())
}

/// Delete a stream, whatever is in it.
pub(super) fn delete_stream(stream: &str) -> Request {
    (format!("{API_PREFIX}STREAM.DELETE.{stream}"), String::new())
}

/// Make a durable pull consumer from the beginning of its stream.
pub(super) fn make_consumer(consumer: &Consumer<'_>) -> Request {
    let Consumer { stream, durable, ack_wait_ns, max_ack_pending } = *consumer;
    let body = json!({
        "stream_name": stream,
        "config": {
            "durable_name": durable, "deliver_policy": "all", "ack_policy": "explicit", "replay_policy": "instant",
            "ack_wait": ack_wait_ns, "max_deliver": -1, "max_ack_pending": max_ack_pending,
            "inactive_threshold": KEPT_NS,
        },
    });
    (format!("{API_PREFIX}CONSUMER.DURABLE.CREATE.{stream}.{durable}"), body.to_string())
}

/// Ask whether there is a consumer.
pub(super) fn find_consumer(stream: &str, durable: &str) -> Request {
    (format!("{API_PREFIX}CONSUMER.INFO.{stream}.{durable}"), String::new())
}

/// Ask for the next message.
pub(super) fn next(stream: &str, durable: &str) -> Request {
    (format!("{NEXT_PREFIX}{stream}.{durable}"), format!("{{\"batch\":1,\"expires\":{ASKED_NS}}}"))
}

/// What a server says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct ServerInfo {
    /// Largest message that it takes. Bytes.
    pub(super) max_payload: u64,
    /// It knows headers.
    pub(super) headers: bool,
    /// It has JetStream.
    pub(super) jetstream: bool,
    /// It talks on only after a TLS handshake.
    pub(super) tls_required: bool,
}

/// Why JetStream does not do what it was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct ApiError {
    /// As in HTTP.
    pub(super) code: u16,
    /// Which error exactly.
    pub(super) err_code: u32,
    /// In words.
    pub(super) description: String,
}

/// The answer to a published message.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct PubAck {
    /// Its position.
    pub(super) seq: u64,
    /// Why it was not stored.
    pub(super) error: Option<ApiError>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Answer {
    error: Option<ApiError>,
}

/// What came of a request.
pub(super) fn answer(payload: &[u8]) -> Result<(), ApiError> {
    let answer: Answer = serde_json::from_slice(payload).map_err(|_| ApiError {
        description: "an answer that is no JSON".to_owned(),
        ..ApiError::default()
    })?;
    answer.error.map_or(Ok(()), Err)
}

/// What the reply subject of a delivery says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Delivery<'a> {
    /// From which stream.
    pub(super) stream: &'a str,
    /// How often the message was sent to this consumer, this time included.
    pub(super) count: u64,
    /// The message's position in the stream.
    pub(super) seq: u64,
}

impl<'a> Delivery<'a> {
    /// `$JS.ACK.<stream>.<consumer>.<count>.<position>.…`, in newer servers with domain and account before the stream.
    pub(super) fn read(reply: &'a str) -> Option<Self> {
        let tokens: Vec<&str> = reply.strip_prefix(ACK_PREFIX)?.split('.').take(16).collect();
        let from = if tokens.len() > 7 { 2 } else { 0 };
        let [stream, _consumer, count, seq, ..] = tokens.get(from..)? else { return None };
        let (count, seq) = (count.parse().ok()?, seq.parse().ok()?);
        (count > 0 && seq > 0).then_some(Delivery { stream, count, seq })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delivery_is_read_from_its_reply_subject() {
        let check = |reply: &str, expected: Option<(&str, u64, u64)>| {
            let read = Delivery::read(reply).map(|it| (it.stream, it.count, it.seq));
            assert_eq!(read, expected, "{reply}");
        };
        check("$JS.ACK.S.C.2.41.42.1626818873482533000.7", Some(("S", 2, 41)));
        check("$JS.ACK.hub.ABCD.S.C.2.41.42.1626818873482533000.7", Some(("S", 2, 41)));
        check("$JS.ACK._.ABCD.S.C.2.41.42.1626818873482533000.7.x9", Some(("S", 2, 41)));
        check("$JS.ACK.S.C.0.41.42.1.7", None);
        check("$JS.ACK.S.C.x.41.42.1.7", None);
        check("$JS.ACK.S", None);
        check("_INBOX.S.C.2.41.42.1.7", None);
    }

    #[test]
    fn answers_are_read_with_or_without_what_is_not_needed() {
        assert_eq!(answer(b"{\"type\":\"io.nats.x\",\"did_create\":true}"), Ok(()));
        let error =
            answer(b"{\"error\":{\"code\":404,\"err_code\":10059,\"description\":\"stream not found\"}}");
        assert_eq!(error.unwrap_err().err_code, STREAM_NOT_FOUND);
        assert!(answer(b"nonsense").is_err());
        let ack: PubAck =
            serde_json::from_slice(b"{\"stream\":\"S\", \"seq\":12,\"duplicate\": true}").unwrap();
        assert_eq!((ack.seq, ack.error), (12, None));
    }
}
