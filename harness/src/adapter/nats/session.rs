//! From a connection to a session: INFO, CONNECT, SUB, PING, PONG, and with JetStream the streams and consumers; and back, when a
//! connection ends or is of no use.

use std::collections::VecDeque;

use avouch_reports::history::{SessionKind, What};
use avouch_scenarios::keyed::{Purpose, below, draw};
use bytes::Bytes;
use serde_json::json;

use super::codec::{self, Operation};
use super::deliveries::request;
use super::jetstream::{
    self, ApiError, CONSUMER_NOT_FOUND, Consumer, NO_RESPONDERS, STREAM_NOT_FOUND, ServerInfo,
};
use super::streams::Claim;
use super::{ANSWER_NS_MAX, LOOK_NS, Nats, Stage, clean};
use crate::adapter::Effect;

/// First pause before a connection is tried again; doubled each time. Nanoseconds.
const RETRY_NS_MIN: u64 = 20_000_000;
/// Longest such pause. Nanoseconds.
const RETRY_NS_MAX: u64 = 500_000_000;
/// Requests about one conversation while a session is made, at most: more is a server that contradicts itself.
const CHORES_MAX: u32 = 8;
/// The subscription to everything that answers this client.
const INBOX_SID: &str = "1";
const JITTER: Purpose = Purpose::named("nats-retry");

/// What is left to do before a session begins, conversation by conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Chores {
    left: VecDeque<u32>,
    chore: Chore,
    /// So many were done for the first of what is left.
    done: u32,
    /// Every consumer was there.
    found_all: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Chore {
    /// Nothing is known yet.
    Begin,
    /// Another device makes the stream.
    Wait,
    /// Is the consumer still there?
    Find,
    /// Delete what an earlier run left.
    Wipe,
    MakeStream,
    MakeConsumer,
}

impl Nats {
    /// The server said who it is.
    pub(super) fn introduced(&mut self, now_ns: u64, text: &[u8]) {
        let Ok(info) = serde_json::from_slice::<ServerInfo>(text) else {
            self.note("the server's INFO is no JSON".to_owned());
            return self.fail(now_ns, "the server's INFO is no JSON");
        };
        let payload_bytes_max = usize::try_from(info.max_payload).unwrap_or(usize::MAX);
        self.publishing.payload_bytes_max = payload_bytes_max.min(codec::PAYLOAD_BYTES_MAX);
        if self.stage != Stage::Greeting {
            return; // the cluster changed: nothing of that matters to one connection
        }
        if info.tls_required {
            self.note("the server wants TLS, which this adapter does not speak".to_owned());
            return self.fail(now_ns, "the server wants TLS");
        }
        if self.deliveries.is_some() && !(info.jetstream && info.headers) {
            self.note("the server has no JetStream: start it with -js, or choose the mode core".to_owned());
            return self.fail(now_ns, "the server has no JetStream");
        }
        self.connection += 1;
        self.inbox = format!("_INBOX.{}.{}", self.identity.name, self.connection);
        let frames = self.greeting();
        self.stage = Stage::Subscribing;
        self.due_ns = Some(now_ns + ANSWER_NS_MAX);
        self.send_all(frames);
    }

    /// CONNECT and all subscriptions; the PONG to the PING behind them says that the server has read them.
    fn greeting(&self) -> Vec<Bytes> {
        let (user, password) = self.settings.login.clone().unzip();
        let mut connect = json!({
            "verbose": false, "pedantic": false, "tls_required": false, "lang": "rust",
            "name": self.identity.name, "version": env!("CARGO_PKG_VERSION"), "protocol": 1, "echo": true,
            "headers": self.deliveries.is_some(), "no_responders": self.deliveries.is_some(),
        });
        for (name, value) in [("user", user), ("pass", password), ("auth_token", self.settings.token.clone())]
        {
            if let Some(value) = value {
                connect[name] = value.into();
            }
        }
        let subscribe = |subject: String, sid: String| {
            let (subject, sid) = (subject.into(), sid.into());
            codec::encode(&Operation::Subscribe { subject, group: None, sid })
        };
        let mut frames = vec![codec::encode(&Operation::Connect(connect.to_string().into()))];
        if self.deliveries.is_some() {
            frames.push(subscribe(format!("{}.>", self.inbox), INBOX_SID.to_owned()));
        } else {
            let subscribed = self.identity.subscribed.iter();
            frames.extend(subscribed.map(|conversation| {
                subscribe(self.identity.subject(*conversation), (conversation + 2).to_string())
            }));
        }
        frames.push(codec::encode(&Operation::Ping));
        frames
    }

    /// The server has read the subscriptions.
    pub(super) fn subscribed(&mut self, now_ns: u64) {
        if self.deliveries.is_none() {
            return self.established(now_ns, SessionKind::New);
        }
        let left = self.identity.subscribed.iter().copied().collect();
        let chores = Chores { left, chore: Chore::Begin, done: 0, found_all: !self.is_fresh };
        self.next_chore(now_ns, chores);
    }

    /// The next thing to ask of JetStream; when there is none, the session begins.
    fn next_chore(&mut self, now_ns: u64, mut chores: Chores) {
        let Some(jetstream) = self.settings.jetstream.clone() else { return };
        let Some(&conversation) = chores.left.front() else {
            let session = if chores.found_all { SessionKind::Resumed } else { SessionKind::New };
            return self.established(now_ns, session);
        };
        if matches!(chores.chore, Chore::Begin | Chore::Wait) {
            chores.chore = match self.streams.claim(conversation, self.identity.device) {
                Claim::Mine => Chore::Wipe,
                Claim::Others => Chore::Wait,
                Claim::Made if self.is_fresh => Chore::MakeConsumer,
                Claim::Made => Chore::Find,
            };
        }
        let (stream, durable) = (self.identity.stream(conversation), self.identity.durable());
        let (subject, body) = match chores.chore {
            Chore::Begin | Chore::Wait => {
                self.stage = Stage::Preparing(chores);
                self.due_ns = Some(now_ns + LOOK_NS);
                return;
            }
            Chore::Find => jetstream::find_consumer(&stream, &durable),
            Chore::Wipe => jetstream::delete_stream(&stream),
            Chore::MakeStream => {
                jetstream::make_stream(&stream, &self.identity.subject(conversation), jetstream.storage)
            }
            Chore::MakeConsumer => jetstream::make_consumer(&Consumer {
                stream: &stream,
                durable: &durable,
                ack_wait_ns: jetstream.ack_wait_ns,
                max_ack_pending: jetstream.max_ack_pending,
            }),
        };
        chores.done += 1;
        if chores.done > CHORES_MAX {
            self.note("the server contradicts itself about a stream".to_owned());
            return self.fail(now_ns, "the server contradicts itself about a stream");
        }
        self.requests += 1;
        let reply = format!("{}.r.{}", self.inbox, self.requests);
        self.stage = Stage::Preparing(chores);
        self.due_ns = Some(now_ns + ANSWER_NS_MAX);
        self.send(request(subject, Some(reply), body));
    }

    /// It is looked again whether another device has made a stream; `false` if an answer was due instead.
    pub(super) fn look_again(&mut self, now_ns: u64, chores: Chores) -> bool {
        let waits = chores.chore == Chore::Wait;
        if waits {
            self.next_chore(now_ns, chores);
        }
        waits
    }

    /// JetStream answered a request.
    pub(super) fn api_answered(&mut self, now_ns: u64, request: u64, answer: Result<(), ApiError>) {
        let Stage::Preparing(mut chores) = self.stage.clone() else { return };
        if request != self.requests {
            return;
        }
        let Some(&conversation) = chores.left.front() else { return };
        let code = answer.as_ref().err().map(|error| error.err_code);
        let next = match (chores.chore, code) {
            (Chore::Wipe, Some(STREAM_NOT_FOUND) | None)
            | (Chore::Find | Chore::MakeConsumer, Some(STREAM_NOT_FOUND)) => Some(Chore::MakeStream),
            (Chore::MakeStream, None) => {
                self.streams.made(conversation);
                Some(Chore::MakeConsumer)
            }
            (Chore::Find | Chore::MakeConsumer, None) => None,
            (Chore::Find, Some(CONSUMER_NOT_FOUND)) => Some(Chore::MakeConsumer),
            (chore, _) => {
                let error = answer.err().unwrap_or_default();
                let what = if error.code == NO_RESPONDERS && error.err_code == 0 {
                    "nobody answers for JetStream".to_owned()
                } else {
                    format!("{} ({} {})", clean(&error.description), error.code, error.err_code)
                };
                self.note(format!("the server refused a request of JetStream ({chore:?}): {what}"));
                return self.fail(now_ns, "the server refused a request of JetStream");
            }
        };
        chores.found_all &= chores.chore == Chore::Find && code.is_none();
        if let Some(chore) = next {
            chores.chore = chore;
        } else {
            chores.left.pop_front();
            (chores.chore, chores.done) = (Chore::Begin, 0);
        }
        self.next_chore(now_ns, chores);
    }

    fn established(&mut self, now_ns: u64, session: SessionKind) {
        self.stage = Stage::Up;
        self.due_ns = None;
        self.attempts = 0;
        self.is_fresh = false;
        self.saw(What::Session { device: self.device(), session });
        if let Some(deliveries) = &mut self.deliveries {
            let (frames, what) = deliveries.established(now_ns, &self.inbox, session == SessionKind::New);
            self.send_all(frames);
            self.saw_all(what);
        }
        let (frames, what) = self.publishing.again(now_ns, &self.inbox);
        self.saw_all(what);
        self.send_all(frames);
        self.go_on(now_ns);
        if self.deliveries.is_some() {
            // Only then has the server read what it was asked for.
            self.ping(now_ns);
        }
    }

    /// The connection is over, or useless.
    pub(super) fn down(&mut self, why: &str) {
        if self.stage == Stage::Up {
            self.saw(What::Disconnected { device: self.device(), why: why.to_owned() });
        }
        self.stage = Stage::Down;
        self.is_pinged = false;
        self.input.clear();
        self.streams.release(self.identity.device);
        if let Some(deliveries) = &mut self.deliveries {
            deliveries.connection_ended();
        }
    }

    /// Ends a connection that is of no use, and makes another one after a while.
    pub(super) fn fail(&mut self, now_ns: u64, why: &str) {
        self.effects.push_back(Effect::Disconnect);
        self.down(why);
        self.retry(now_ns);
    }

    pub(super) fn retry(&mut self, now_ns: u64) {
        if !self.is_wanted {
            return;
        }
        let pause = RETRY_NS_MIN.saturating_mul(1 << self.attempts.min(10)).min(RETRY_NS_MAX);
        let jitter = below(draw(self.identity.seed, JITTER, &[self.attempts]), pause / 2 + 1);
        self.attempts += 1;
        self.due_ns = Some(now_ns + pause / 2 + jitter);
    }
}
