//! What a client has on the way to the server: in the order of sending, with JetStream at most a window of it in flight.

use std::collections::VecDeque;

use avouch_reports::history::{Device, Message, Rung, What};
use bytes::Bytes;

use super::codec::{self, Operation};
use super::headers::header;
use super::jetstream::PubAck;
use super::settings::Storage;

/// A message that is not answered within this is published again, with the same id. Nanoseconds.
const RETRY_NS: u64 = 2_000_000_000;
/// Errors of the server itself: it may do the same later.
const SERVER_ERRORS_FROM: u16 = 500;

/// A message that waits for its turn.
#[derive(Clone, Debug)]
struct Waiting {
    subject: Bytes,
    message: Message,
    payload: Bytes,
}

/// A message in flight.
#[derive(Clone, Debug)]
struct Flight {
    what: Waiting,
    sent_ns: u64,
}

/// How messages are published.
#[derive(Clone, Debug)]
pub(super) struct Manner {
    /// Whose.
    pub(super) device: Device,
    /// Marks the ids of this run's messages.
    pub(super) run: u64,
    /// Where JetStream keeps them, and how many are in flight at most; `None` = nobody answers.
    pub(super) answered: Option<(Storage, usize)>,
}

/// Everything on the way to the server.
#[derive(Debug)]
pub(super) struct Publishing {
    manner: Manner,
    /// Largest message that the server takes, with its headers. Bytes.
    pub(super) payload_bytes_max: usize,
    waiting: VecDeque<Waiting>,
    flights: VecDeque<Flight>,
}

/// Frames to send and what the device learnt.
pub(super) type Told = (Vec<Bytes>, Vec<What>);

impl Publishing {
    pub(super) fn new(manner: Manner) -> Self {
        let payload_bytes_max = codec::PAYLOAD_BYTES_MAX;
        Self { manner, payload_bytes_max, waiting: VecDeque::new(), flights: VecDeque::new() }
    }

    /// One more.
    pub(super) fn queue(&mut self, subject: Bytes, message: Message, payload: Bytes) {
        self.waiting.push_back(Waiting { subject, message, payload });
    }

    /// Nobody waits for its outcome any more: it is not sent again, and an answer means nothing.
    pub(super) fn give_up(&mut self, message: Message) {
        self.waiting.retain(|waiting| waiting.message != message);
        self.flights.retain(|flight| flight.what.message != message);
    }

    /// The next one to send, if the window has room. `inbox`: where answers of this connection go.
    pub(super) fn next(&mut self, now_ns: u64, inbox: &str) -> Option<Told> {
        let window = self.manner.answered.map(|(_, window)| window);
        if window.is_some_and(|window| self.flights.len() >= window) {
            return None;
        }
        let what = self.waiting.pop_front()?;
        let (device, message) = (self.manner.device, what.message);
        let (frame, body_bytes) = self.frame(&what, inbox);
        if body_bytes > self.payload_bytes_max {
            // The server would end the connection, again and again.
            let code = format!("larger than the server's max_payload of {} bytes", self.payload_bytes_max);
            return Some((Vec::new(), vec![What::Rejected { device, message, code }]));
        }
        if window.is_none() {
            let written = What::Accepted { device, message, seq: None, rung: Rung::Written };
            return Some((vec![frame], vec![written]));
        }
        self.flights.push_back(Flight { what, sent_ns: now_ns });
        Some((vec![frame], Vec::new()))
    }

    /// The server answered the message of this number.
    pub(super) fn answered(&mut self, message: u64, payload: &[u8]) -> Result<Vec<What>, String> {
        let Some(at) = self.flights.iter().position(|flight| flight.what.message.0 == message) else {
            return Ok(Vec::new());
        };
        let (device, message) = (self.manner.device, self.flights[at].what.message);
        let ack: PubAck = serde_json::from_slice(payload)
            .map_err(|_| "the server answered a message with what is no JSON".to_owned())?;
        let what = match ack.error {
            // It stays in flight, and its time comes again.
            Some(error) if error.code >= SERVER_ERRORS_FROM => {
                return Err(format!(
                    "the server could not store a message: {} ({})",
                    error.description, error.err_code
                ));
            }
            Some(error) => {
                What::Rejected { device, message, code: format!("{} {}", error.err_code, error.description) }
            }
            None if ack.seq == 0 => return Err("the server stored a message at no position".to_owned()),
            None => {
                let is_file = matches!(self.manner.answered, Some((Storage::File, _)));
                let rung = if is_file { Rung::Stored } else { Rung::Accepted };
                What::Accepted { device, message, seq: Some(ack.seq), rung }
            }
        };
        self.flights.remove(at);
        Ok(vec![what])
    }

    /// A connection was made again: everything in flight is published again, in its order.
    pub(super) fn again(&mut self, now_ns: u64, inbox: &str) -> Told {
        self.repeat(now_ns, inbox, |_| true)
    }

    /// What is not answered in time is published again.
    pub(super) fn overdue(&mut self, now_ns: u64, inbox: &str) -> Told {
        self.repeat(now_ns, inbox, |flight| flight.sent_ns + RETRY_NS <= now_ns)
    }

    fn repeat(&mut self, now_ns: u64, inbox: &str, is_due: impl Fn(&Flight) -> bool) -> Told {
        let (mut frames, mut told) = (Vec::new(), Vec::new());
        let mut flights = std::mem::take(&mut self.flights);
        for flight in flights.iter_mut().filter(|flight| is_due(flight)) {
            flight.sent_ns = now_ns;
            frames.push(self.frame(&flight.what, inbox).0);
            told.push(What::Retry { device: self.manner.device, message: flight.what.message });
        }
        self.flights = flights;
        (frames, told)
    }

    /// When something is overdue.
    pub(super) fn next_timeout_ns(&self) -> Option<u64> {
        self.flights.iter().map(|flight| flight.sent_ns + RETRY_NS).min()
    }

    pub(super) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.flights.is_empty()
    }

    /// A message as it travels, and the bytes of its headers and payload.
    fn frame(&self, what: &Waiting, inbox: &str) -> (Bytes, usize) {
        let Waiting { subject, message, payload } = what.clone();
        let is_answered = self.manner.answered.is_some();
        let headers =
            is_answered.then(|| header("Nats-Msg-Id", &format!("{:016x}-{}", self.manner.run, message.0)));
        let reply = is_answered.then(|| format!("{inbox}.p.{}", message.0).into());
        let body_bytes = headers.as_ref().map_or(0, Bytes::len) + payload.len();
        let message = codec::Message { subject, reply, headers, payload };
        (codec::encode(&Operation::Publish(message)), body_bytes)
    }
}
