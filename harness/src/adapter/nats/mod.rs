//! NATS over TCP: core, and JetStream with durable pull consumers.
//!
//! Words, core: conversation = subject; a device = a connection that subscribes to the subjects of its conversations (there are no
//! membership changes later); delivery = MSG. There is no session, so each connection begins anew; there is no answer to a
//! message, so it is accepted when its bytes are written (rung `written`), and nothing is ever sent or delivered again.
//!
//! Words, JetStream: conversation = a stream with one subject, so that positions in a stream are positions in a conversation; a
//! device = a durable pull consumer of each of its streams, from the beginning of the stream on. A session is resumed if all its
//! consumers are still there, whoever the connection belongs to. Ack of a send = the publish ack (rung `stored` where the stream is kept
//! in files: "persisted", as NATS says, which is not "synced"; else `accepted`), with the position. A message without one is
//! published again after two seconds and in each new connection, with the same `Nats-Msg-Id`, which the server is to recognise.
//! The tool's id of a message is in its payload, so that nothing depends on that header.
//!
//! Delivery = MSG or HMSG whose reply subject is an acknowledgement's. The application takes a message, then it is acknowledged, and
//! only then is the next one asked for. Messages are asked for ahead, each by a request of its own. Redelivered = the count in the reply
//! subject says so, and says no less than the device has seen: a second copy that is counted as the first is a delivery without its
//! mark. What is not acknowledged comes again after `ack_wait_ms`, on whichever connection asks.
//! Confirmed acks (NATS: double acks): the server answers an acknowledgement, and until it did, the device knows copies of the message
//! by their position (`Suppressed`) and acknowledges them again; after that, "you will never receive that message again".
//!
//! Receipts and history are not in this protocol as it is used here. Not used: push and ordered consumers, wildcards, queue groups,
//! negative acks, replicas, TLS.

pub mod codec;
mod deliveries;
mod dialect;
mod headers;
mod identity;
mod incoming;
mod jetstream;
mod kinds;
mod publishing;
mod session;
mod settings;
mod streams;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

use avouch_reports::history::{Device, Message, Rung, What};
use bytes::{Bytes, BytesMut};

use super::{Adapter, Effect, Input, Wish};
use codec::Operation;
use deliveries::Deliveries;
use publishing::{Manner, Publishing};
use session::Chores;

pub use dialect::{PROTOCOL, Spoken};
pub use identity::Identity;
pub use kinds::{kind, kinds};
pub use settings::{JetStream, Settings, Storage};
pub use streams::Streams;

/// An answer that has to come at once (INFO, PONG, an answer of JetStream) and does not within this ends the connection. Nanoseconds.
const ANSWER_NS_MAX: u64 = 2_000_000_000;
/// How often it is looked whether another device has made a stream. Nanoseconds.
const LOOK_NS: u64 = 10_000_000;
/// Different notes about the server in one history.
const NOTES_MAX: usize = 64;
/// Of what a server says, so much is told. Letters.
const WORDS_MAX: usize = 200;

/// One device's side.
pub struct Nats {
    settings: Settings,
    identity: Identity,
    streams: Rc<Streams>,
    /// By subject, or by stream.
    conversations: BTreeMap<String, u32>,
    /// Somebody wants it to be connected.
    is_wanted: bool,
    /// Nothing of this installation has been at the server yet.
    is_fresh: bool,
    stage: Stage,
    now_ns: u64,
    /// An answer is due, or a connection is to be tried again.
    due_ns: Option<u64>,
    attempts: u64,
    /// When to ask whether the server is there.
    ping_ns: u64,
    is_pinged: bool,
    /// Connections so far.
    connection: u64,
    /// Where answers of this connection go.
    inbox: String,
    /// Requests to JetStream so far.
    requests: u64,
    input: BytesMut,
    publishing: Publishing,
    /// Of JetStream; core NATS has nothing to remember.
    deliveries: Option<Deliveries>,
    /// Conversations that somebody wants to be there.
    changes: VecDeque<(u32, Message)>,
    effects: VecDeque<Effect>,
    told: BTreeSet<String>,
}

/// How far a connection is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Stage {
    /// There is none.
    Down,
    /// One is being made.
    Dialling,
    /// INFO is due.
    Greeting,
    /// PONG is due.
    Subscribing,
    /// Streams and consumers are being made or found.
    Preparing(Chores),
    /// Messages flow.
    Up,
}

impl Nats {
    /// A fresh installation.
    pub fn new(settings: Settings, identity: Identity, streams: Rc<Streams>) -> Self {
        let device = Device(identity.device);
        let jetstream = settings.jetstream.clone();
        let name = |number| match jetstream {
            Some(_) => identity.stream(number),
            None => identity.subject(number),
        };
        let answered = jetstream.as_ref().map(|it| (it.storage, usize::from(it.inflight)));
        let mine = identity.subscribed.iter().map(|number| (*number, identity.stream(*number))).collect();
        Self {
            conversations: (0..identity.conversations).map(|number| (name(number), number)).collect(),
            publishing: Publishing::new(Manner { device, run: identity.run, answered }),
            deliveries: jetstream
                .map(|manner| Deliveries::new((device, identity.salt), manner, identity.durable(), mine)),
            settings,
            identity,
            streams,
            is_wanted: false,
            is_fresh: true,
            stage: Stage::Down,
            now_ns: 0,
            due_ns: None,
            attempts: 0,
            ping_ns: 0,
            is_pinged: false,
            connection: 0,
            inbox: String::new(),
            requests: 0,
            input: BytesMut::new(),
            changes: VecDeque::new(),
            effects: VecDeque::new(),
            told: BTreeSet::new(),
        }
    }

    fn device(&self) -> Device {
        Device(self.identity.device)
    }

    fn saw(&mut self, what: What) {
        self.effects.push_back(Effect::Saw(what));
    }

    fn saw_all(&mut self, events: impl IntoIterator<Item = What>) {
        self.effects.extend(events.into_iter().map(Effect::Saw));
    }

    fn send(&mut self, frame: Bytes) {
        self.effects.push_back(Effect::Transmit(frame));
    }

    fn send_all(&mut self, frames: impl IntoIterator<Item = Bytes>) {
        self.effects.extend(frames.into_iter().map(Effect::Transmit));
    }

    /// The server is there: it is asked again after a silence of its own. What is sent to it, again and again perhaps, is no sign of it.
    fn heard(&mut self, now_ns: u64) {
        self.ping_ns = now_ns + u64::from(self.settings.keep_alive_s) * 1_000_000_000;
    }

    /// Asks whether the server is there, and has read everything before.
    fn ping(&mut self, now_ns: u64) {
        self.send(codec::encode(&Operation::Ping));
        if !self.is_pinged {
            self.is_pinged = true;
            self.due_ns = Some(now_ns + ANSWER_NS_MAX);
        }
    }

    /// Tells something about the server that is worth one line in a history, once.
    fn note(&mut self, text: String) {
        if self.told.len() < NOTES_MAX && self.told.insert(text.clone()) {
            self.saw(What::Note { text });
        }
    }

    fn dial(&mut self) {
        self.stage = Stage::Dialling;
        self.due_ns = None;
        self.input.clear();
        self.effects.push_back(Effect::Connect);
    }

    fn wish(&mut self, now_ns: u64, wish: Wish) {
        match wish {
            Wish::Connect => {
                self.is_wanted = true;
                if self.stage == Stage::Down {
                    self.attempts = 0;
                    self.dial();
                }
            }
            Wish::Disconnect => {
                self.is_wanted = false;
                self.due_ns = None;
                if self.stage != Stage::Down {
                    self.effects.push_back(Effect::Disconnect);
                    self.down("asked to");
                }
            }
            Wish::Send(outgoing) => {
                let subject = self.identity.subject(outgoing.conversation).into();
                self.publishing.queue(subject, outgoing.message, outgoing.payload);
                self.go_on(now_ns);
            }
            Wish::ChangeMembers(change) => {
                self.changes.push_back((change.conversation, change.message));
                self.changed();
            }
            Wish::GiveUp(message) => self.publishing.give_up(message),
            Wish::Consumed(count) => self.consumed(now_ns, count),
            Wish::MarkRead { .. } | Wish::Page { .. } => {}
        }
    }

    /// A subject needs not be made; a stream is made by whoever belongs to it first, this device or another one.
    fn changed(&mut self) {
        while let Some(&(conversation, message)) = self.changes.front()
            && (self.deliveries.is_none() || self.streams.is_made(conversation))
        {
            self.changes.pop_front();
            let device = self.device();
            self.saw(What::Accepted { device, message, seq: None, rung: Rung::Accepted });
        }
    }

    fn consumed(&mut self, now_ns: u64, count: usize) {
        let is_up = self.stage == Stage::Up;
        for _ in 0..count {
            let Some(deliveries) = &mut self.deliveries else { return };
            let Some((frames, what)) = deliveries.consumed(is_up, &self.inbox) else { break };
            self.send_all(frames);
            self.saw_all(what);
        }
        self.go_on(now_ns);
    }

    /// Sends what waits and asks for more, as far as the windows allow.
    fn go_on(&mut self, now_ns: u64) {
        if self.stage != Stage::Up {
            return;
        }
        if let Some(deliveries) = &mut self.deliveries {
            let frames = deliveries.ask(now_ns, &self.inbox);
            self.send_all(frames);
        }
        while let Some((frames, what)) = self.publishing.next(now_ns, &self.inbox) {
            self.send_all(frames);
            self.saw_all(what);
        }
    }

    fn received(&mut self, now_ns: u64, bytes: &Bytes) {
        if matches!(self.stage, Stage::Down | Stage::Dialling) {
            return; // the last words of a connection that is over
        }
        self.input.extend_from_slice(bytes);
        loop {
            match codec::take(&mut self.input) {
                Ok(Some(operation)) => self.operation(now_ns, operation),
                Ok(None) => break,
                Err(malformed) => {
                    self.note(format!("the server sent what is not NATS: {malformed}"));
                    return self.fail(now_ns, "the server sent what is not NATS");
                }
            }
            if matches!(self.stage, Stage::Down | Stage::Dialling) {
                return;
            }
        }
        self.go_on(now_ns);
    }

    fn timeout(&mut self, now_ns: u64) {
        if self.due_ns.is_some_and(|due_ns| due_ns <= now_ns) {
            self.due_ns = None;
            match self.stage.clone() {
                Stage::Down if self.is_wanted => self.dial(),
                Stage::Greeting => self.fail(now_ns, "the server did not say who it is"),
                Stage::Subscribing | Stage::Up => self.fail(now_ns, "PING was not answered in time"),
                Stage::Preparing(chores) => {
                    if !self.look_again(now_ns, chores) {
                        self.fail(now_ns, "a request of JetStream was not answered in time");
                    }
                }
                Stage::Down | Stage::Dialling => {}
            }
        }
        self.changed();
        if self.stage != Stage::Up {
            return;
        }
        if self.ping_ns <= now_ns {
            self.heard(now_ns);
            self.ping(now_ns);
        }
        if let Some(deliveries) = &mut self.deliveries {
            deliveries.timeout(now_ns);
        }
        let (frames, what) = self.publishing.overdue(now_ns, &self.inbox);
        self.saw_all(what);
        self.send_all(frames);
        self.go_on(now_ns);
    }
}

impl Stage {
    fn word(&self) -> &'static str {
        match self {
            Self::Down => "rest",
            Self::Dialling => "dialling",
            Self::Greeting => "greeting",
            Self::Subscribing => "subscribing",
            Self::Preparing(_) => "preparing",
            Self::Up => "work",
        }
    }
}

impl Adapter for Nats {
    fn handle(&mut self, now_ns: u64, input: Input) {
        self.now_ns = now_ns;
        match input {
            Input::Connected => {
                if self.stage == Stage::Dialling {
                    self.stage = Stage::Greeting;
                    self.due_ns = Some(now_ns + ANSWER_NS_MAX);
                }
            }
            Input::Received(bytes) => {
                self.heard(now_ns);
                self.received(now_ns, &bytes);
                if !self.is_pinged && self.stage == Stage::Up {
                    self.due_ns = None;
                }
            }
            Input::Disconnected => {
                if self.stage != Stage::Down {
                    self.down("the connection ended");
                    self.retry(now_ns);
                }
            }
            Input::Wish(wish) => self.wish(now_ns, wish),
            Input::Timeout => self.timeout(now_ns),
        }
    }

    fn poll(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    fn next_timeout_ns(&self) -> Option<u64> {
        let is_up = self.stage == Stage::Up;
        let up = |at_ns: Option<u64>| at_ns.filter(|_| is_up);
        let deliveries = self.deliveries.as_ref().and_then(|it| it.next_timeout_ns(self.now_ns));
        let look_ns = (!self.changes.is_empty()).then_some(self.now_ns + LOOK_NS);
        let mine = [self.due_ns, up(Some(self.ping_ns)), look_ns];
        let theirs = [up(deliveries), up(self.publishing.next_timeout_ns())];
        mine.into_iter().chain(theirs).flatten().min()
    }

    fn is_idle(&self) -> bool {
        self.stage == Stage::Up
            && !self.is_pinged
            && self.effects.is_empty()
            && self.changes.is_empty()
            && self.publishing.is_idle()
            && self.deliveries.as_ref().is_none_or(|deliveries| deliveries.is_idle(self.now_ns))
    }

    fn has_history(&self) -> bool {
        false
    }
}

/// What a server said, fit to be told: bounded, without control characters.
fn clean(words: &str) -> String {
    words.chars().take(WORDS_MAX).map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}
