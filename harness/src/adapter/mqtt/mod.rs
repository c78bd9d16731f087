//! MQTT 3.1.1 and 5.0, over a byte stream.
//!
//! Words: conversation = topic; a device = a client id; to be a member = to subscribe, which every device does for
//! itself before the run begins (there are no membership changes later). The tool's id of a message is in its payload,
//! so that nothing depends on packet ids. Delivery = a PUBLISH with a new packet id; a PUBLISH with the packet id of an
//! open handshake of `QoS` 2 is a copy that was recognised (`Suppressed`). Redelivered = DUP. The application takes a message, then
//! it is acknowledged (PUBACK; PUBREC): a slow application holds the server's window. Ack of a send: `QoS` 0 when the bytes are written
//! (rung `written`), `QoS` 1 at PUBACK and `QoS` 2 at PUBCOMP (rung `accepted`: MQTT says that the server owns the message,
//! not that it is stored). Session present = resumed.
//!
//! What is in flight is sent again when a connection is made again, and only then (MQTT 4.4). Where the server says that it kept no
//! session, `QoS` 1 is published again as a new message, as an application would, and `QoS` 2 is unknown: publishing it again could
//! make it two.
//!
//! Positions, receipts and history are not in this protocol. Not used: retained messages, wills, shared subscriptions, topic aliases.

pub mod codec;
mod delivery;
mod dialect;
mod publishing;
mod session;
mod settings;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use avouch_reports::history::{Conversation, Device, Rung, What};
use bytes::{Bytes, BytesMut};

use super::{Adapter, Effect, Input, Wish};
use codec::{AckKind, Packet, Qos};
use delivery::Deliveries;
use publishing::Publishing;

pub use codec::{KINDS, kind_name, packet_bytes};
pub use dialect::{PROTOCOL, Spoken};
pub use settings::Settings;

/// An answer that has to come at once (CONNACK, SUBACK, PINGRESP) and does not within this ends the connection. Nanoseconds.
const ANSWER_NS_MAX: u64 = 2_000_000_000;
/// Different notes about the server in one history.
const NOTES_MAX: usize = 64;

/// Everything that an adapter needs to know of its device.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Device number.
    pub device: u32,
    /// Its name to the server.
    pub client_id: String,
    /// Salt of the run's payloads.
    pub salt: u32,
    /// Feeds jitter.
    pub seed: u64,
    /// The topic of each conversation.
    pub topics: Vec<String>,
    /// Conversations that it subscribes to.
    pub subscribed: Vec<u32>,
}

/// One device's side.
pub struct Mqtt {
    settings: Settings,
    identity: Identity,
    conversations: BTreeMap<Bytes, u32>,
    /// Somebody wants it to be connected.
    is_wanted: bool,
    /// Nothing of this installation has been at the server yet: what an earlier run left there is to go first.
    is_fresh: bool,
    /// A connection of this installation, after the one that wiped, was welcomed.
    was_welcomed: bool,
    /// Its subscriptions were confirmed once, so that a session that is resumed has them.
    has_subscribed: bool,
    stage: Stage,
    /// An answer is due, or a connection is to be tried again.
    due_ns: Option<u64>,
    attempts: u64,
    /// When to ask whether the server is there.
    ping_ns: u64,
    is_pinged: bool,
    input: BytesMut,
    publishing: Publishing,
    deliveries: Deliveries,
    effects: VecDeque<Effect>,
    told: BTreeSet<String>,
}

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// There is none.
    Down,
    /// One is being made.
    Dialling,
    /// CONNECT is unanswered.
    Greeting {
        /// It only wipes what an earlier run left.
        wipes: bool,
    },
    /// So many SUBSCRIBE are unanswered.
    Subscribing {
        /// How many.
        unanswered: usize,
    },
    /// Messages flow.
    Up,
}

impl Mqtt {
    /// A fresh installation.
    pub fn new(settings: Settings, identity: Identity) -> Self {
        let topics = identity.topics.iter().enumerate();
        let conversations =
            topics.map(|(number, topic)| (Bytes::copy_from_slice(topic.as_bytes()), number as u32)).collect();
        Self {
            publishing: Publishing::new(settings.version, settings.qos, Device(identity.device)),
            deliveries: Deliveries::new(Device(identity.device), identity.salt),
            settings,
            identity,
            conversations,
            is_wanted: false,
            is_fresh: true,
            was_welcomed: false,
            has_subscribed: false,
            stage: Stage::Down,
            due_ns: None,
            attempts: 0,
            ping_ns: 0,
            is_pinged: false,
            input: BytesMut::new(),
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

    fn send(&mut self, now_ns: u64, packet: Bytes) {
        self.ping_ns = now_ns + u64::from(self.settings.keep_alive_s) * 1_000_000_000;
        self.effects.push_back(Effect::Transmit(packet));
    }

    fn send_all(&mut self, now_ns: u64, packets: impl IntoIterator<Item = Bytes>) {
        for packet in packets {
            self.send(now_ns, packet);
        }
    }

    fn saw_all(&mut self, events: impl IntoIterator<Item = What>) {
        self.effects.extend(events.into_iter().map(Effect::Saw));
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
                    if self.stage != Stage::Dialling {
                        self.send(now_ns, codec::DISCONNECT);
                    }
                    self.effects.push_back(Effect::Disconnect);
                    self.down("asked to");
                }
            }
            Wish::Send(outgoing) => {
                let topic = self.identity.topics.get(outgoing.conversation as usize).cloned();
                self.publishing.queue(topic.unwrap_or_default().into(), outgoing.message, outgoing.payload);
                self.publish(now_ns);
            }
            Wish::ChangeMembers(change) => {
                // Topics need not be made, and every device subscribes for itself.
                let (device, message) = (self.device(), change.message);
                self.saw(What::Accepted { device, message, seq: None, rung: Rung::Accepted });
            }
            Wish::GiveUp(message) => self.publishing.give_up(message),
            Wish::Consumed(count) => {
                let is_up = self.is_connected();
                for _ in 0..count {
                    let Some((acks, what)) = self.deliveries.consumed(is_up) else { break };
                    self.send_all(now_ns, acks);
                    self.saw_all(what);
                }
            }
            Wish::MarkRead { .. } | Wish::Page { .. } => {}
        }
    }

    fn is_connected(&self) -> bool {
        matches!(self.stage, Stage::Subscribing { .. } | Stage::Up)
    }

    fn received(&mut self, now_ns: u64, bytes: &Bytes) {
        if matches!(self.stage, Stage::Down | Stage::Dialling) {
            return; // the last words of a connection that is over
        }
        self.input.extend_from_slice(bytes);
        if self.is_foreign() {
            return self.fail(now_ns, "the server does not speak MQTT");
        }
        loop {
            match codec::take(&mut self.input, self.settings.version) {
                Ok(Some(packet)) => self.packet(now_ns, packet),
                Ok(None) => return,
                Err(malformed) => {
                    self.note(format!("the server sent what is not MQTT: {malformed}"));
                    return self.fail(now_ns, "the server sent what is not MQTT");
                }
            }
            if matches!(self.stage, Stage::Down | Stage::Dialling) {
                return;
            }
        }
    }

    fn packet(&mut self, now_ns: u64, packet: Packet) {
        match (packet, self.stage) {
            (
                Packet::ConnAck { session_present, code, receive_maximum, keep_alive_s },
                Stage::Greeting { wipes },
            ) => {
                if let Some(keep_alive_s) = keep_alive_s.filter(|seconds| *seconds > 0) {
                    self.settings.keep_alive_s = keep_alive_s;
                }
                self.publishing.window = usize::from(receive_maximum.min(self.settings.inflight));
                self.greeted(now_ns, (session_present, code), wipes);
            }
            (Packet::SubAck { codes, .. }, Stage::Subscribing { unanswered }) => {
                self.subscribed(now_ns, &codes, unanswered);
            }
            (Packet::Publish(publish), Stage::Subscribing { .. } | Stage::Up) => {
                self.delivered(now_ns, publish);
            }
            (Packet::Ack { kind: AckKind::PubRel, id, .. }, Stage::Subscribing { .. } | Stage::Up) => {
                self.deliveries.released(id);
                self.send(now_ns, codec::ack(AckKind::PubComp, id));
            }
            (Packet::Ack { kind, id, code }, Stage::Subscribing { .. } | Stage::Up) => {
                let (packets, what) = self.publishing.acked(kind, id, code);
                self.send_all(now_ns, packets);
                self.saw_all(what);
                self.publish(now_ns);
            }
            (Packet::PingResp, _) => self.is_pinged = false,
            (Packet::Disconnect { code }, _) => {
                let why = format!("the server said DISCONNECT, reason 0x{code:02x}");
                self.fail(now_ns, &why);
            }
            (Packet::Other(first), _) => {
                self.note(format!("the server sent a {}", codec::kind_name(first).unwrap_or("packet")));
            }
            (_, stage) => self.note(format!("the server answered what was not asked, at {stage:?}")),
        }
    }

    /// Sends what waits, as far as the window allows.
    fn publish(&mut self, now_ns: u64) {
        while self.stage == Stage::Up
            && let Some((packet, what)) = self.publishing.next()
        {
            self.send(now_ns, packet);
            self.saw_all(what);
        }
    }

    fn delivered(&mut self, now_ns: u64, publish: codec::Publish) {
        let Some(conversation) = self.conversations.get(&publish.topic).copied() else {
            return self.note("the server sent a message of a topic that was not subscribed to".to_owned());
        };
        let (answer, what) = self.deliveries.arrived(Conversation(conversation), publish);
        self.send_all(now_ns, answer);
        self.saw_all(what);
    }

    fn timeout(&mut self, now_ns: u64) {
        if self.due_ns.is_some_and(|due_ns| due_ns <= now_ns) {
            self.due_ns = None;
            match self.stage {
                Stage::Down if self.is_wanted => self.dial(),
                Stage::Greeting { .. } => self.fail(now_ns, "CONNECT was not answered in time"),
                Stage::Subscribing { .. } => self.fail(now_ns, "SUBSCRIBE was not answered in time"),
                Stage::Up => self.fail(now_ns, "PINGREQ was not answered in time"),
                Stage::Down | Stage::Dialling => {}
            }
        }
        if self.stage == Stage::Up && self.ping_ns <= now_ns {
            self.send(now_ns, codec::PINGREQ);
            if !self.is_pinged {
                self.is_pinged = true;
                self.due_ns = Some(now_ns + ANSWER_NS_MAX);
            }
        }
    }
}

impl Adapter for Mqtt {
    fn handle(&mut self, now_ns: u64, input: Input) {
        match input {
            Input::Connected => {
                if self.stage == Stage::Dialling {
                    self.connected(now_ns);
                }
            }
            Input::Received(bytes) => {
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
        let ping_ns = (self.stage == Stage::Up).then_some(self.ping_ns);
        [self.due_ns, ping_ns].into_iter().flatten().min()
    }

    fn is_idle(&self) -> bool {
        self.stage == Stage::Up
            && self.effects.is_empty()
            && self.publishing.is_idle()
            && self.deliveries.is_idle()
    }

    fn has_history(&self) -> bool {
        false
    }
}

/// Whether a message of this quality can be acknowledged at all.
fn is_acknowledged(qos: Qos) -> bool {
    qos != Qos::Zero
}
