//! What the server sends: operations, answers to what was asked, deliveries.

use avouch_reports::history::{Conversation, What};

use super::codec::{self, Operation};
use super::deliveries::Arrival;
use super::headers;
use super::jetstream::{self, ApiError, Delivery, NO_RESPONDERS};
use super::{Nats, Stage, clean};
use crate::payload;

/// A status that only says that a request's time is over.
const REQUEST_TIMEOUT: u16 = 408;

impl Nats {
    pub(super) fn operation(&mut self, now_ns: u64, operation: Operation) {
        match (operation, &self.stage) {
            (Operation::Info(text), _) => self.introduced(now_ns, &text),
            (Operation::Ping, _) => self.send(codec::encode(&Operation::Pong)),
            (Operation::Pong, Stage::Subscribing) => self.subscribed(now_ns),
            (Operation::Pong, _) => self.is_pinged = false,
            (Operation::Message { message, .. }, Stage::Subscribing | Stage::Preparing(_) | Stage::Up) => {
                self.message(now_ns, message);
            }
            (Operation::Ok, _) => {}
            (Operation::Err(text), _) => {
                let text = clean(&String::from_utf8_lossy(&text));
                self.note(format!("the server said -ERR {text}"));
            }
            (operation, stage) => {
                let note = format!("the server sent what was not asked for, at {}", stage.word());
                drop(operation);
                self.note(note);
            }
        }
    }

    fn message(&mut self, now_ns: u64, message: codec::Message) {
        let subject = String::from_utf8_lossy(&message.subject).into_owned();
        let answer = subject.strip_prefix(&self.inbox).and_then(|rest| rest.strip_prefix('.'));
        match answer.filter(|_| self.deliveries.is_some()) {
            Some(answer) => self.answered(now_ns, answer, &message),
            None => self.delivered(now_ns, &subject, message),
        }
    }

    /// Something came to one of the subjects that answers go to.
    fn answered(&mut self, now_ns: u64, answer: &str, message: &codec::Message) {
        let status = message.headers.as_deref().and_then(headers::status);
        let mut parts = answer.split('.');
        let kind = parts.next().unwrap_or_default();
        let numbers: Vec<u64> = parts.map_while(|part| part.parse().ok()).take(3).collect();
        match (kind, &numbers[..]) {
            ("r", [request]) => {
                let answer = match status {
                    Some(code) => Err(ApiError { code, ..ApiError::default() }),
                    None => jetstream::answer(&message.payload),
                };
                self.api_answered(now_ns, *request, answer);
                self.changed();
            }
            // Nobody stores that subject now: it is sent again in its time.
            ("p", [_]) if status.is_some() => {
                self.note("nobody answered for a stream".to_owned());
            }
            ("p", [number]) => match self.publishing.answered(*number, &message.payload) {
                Ok(what) => self.saw_all(what),
                Err(words) => self.note(clean(&words)),
            },
            ("m", [conversation]) => {
                let words = message.headers.as_deref().map(headers::status_words).unwrap_or_default();
                self.asked_in_vain(now_ns, *conversation as u32, (status, words));
            }
            ("a", [conversation, seq]) => {
                if let Some(deliveries) = self.deliveries.as_mut().filter(|_| status.is_none()) {
                    deliveries.confirmed((*conversation as u32, *seq));
                }
            }
            _ => self.note("the server answered what was not asked".to_owned()),
        }
    }

    /// A request for a message was answered by a status.
    fn asked_in_vain(&mut self, now_ns: u64, conversation: u32, (status, words): (Option<u16>, String)) {
        if status == Some(NO_RESPONDERS) {
            self.note("the server knows nothing of a consumer any more".to_owned());
            return self.fail(now_ns, "the server knows nothing of a consumer any more");
        }
        let is_refused = status != Some(REQUEST_TIMEOUT);
        if is_refused {
            self.note(format!("the server refused a request for a message: {words}"));
        }
        if let Some(deliveries) = &mut self.deliveries {
            deliveries.lapsed(now_ns, conversation, is_refused);
        }
    }

    fn delivered(&mut self, now_ns: u64, subject: &str, message: codec::Message) {
        let reply = message.reply.as_ref().map(|reply| String::from_utf8_lossy(reply).into_owned());
        let delivery = reply.as_deref().and_then(Delivery::read);
        let key = match (&self.deliveries, delivery) {
            (None, _) => subject,
            (Some(_), Some(delivery)) => delivery.stream,
            (Some(_), None) => {
                return self.note("the server sent a message that nobody asked for".to_owned());
            }
        };
        let Some(conversation) = self.conversations.get(key).copied() else {
            return self.note("the server sent a message that nobody subscribed to".to_owned());
        };
        let payload = message.payload;
        if let (Some(deliveries), Some(delivery)) = (&mut self.deliveries, delivery) {
            let (seq, count) = (delivery.seq, delivery.count);
            let reply = message.reply.unwrap_or_default();
            let arrival = Arrival { conversation, seq, count, reply, payload };
            let (frames, what) = deliveries.arrived(now_ns, &self.inbox, arrival);
            let is_overrun = deliveries.is_overrun();
            self.send_all(frames);
            self.saw_all(what);
            if is_overrun {
                self.note("the server sends on without an acknowledgement".to_owned());
                self.fail(now_ns, "the server sends on without an acknowledgement");
            }
            return;
        }
        let digest = payload::digest(&payload);
        let message = payload::read(self.identity.salt, &payload);
        let (device, conversation) = (self.device(), Conversation(conversation));
        self.saw(What::Delivered { device, conversation, message, seq: None, digest, redelivered: false });
    }
}
