//! What a durable pull consumer gets from the server: asked for ahead, taken by the application in order, acknowledged when it was.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use avouch_reports::history::{Conversation, Device, Message, What};
use bytes::Bytes;

use super::codec::{self, Operation};
use super::jetstream::{ASKED_NS, next};
use super::publishing::Told;
use super::settings::JetStream;
use crate::payload;

/// Deliveries that are neither taken nor acknowledged, at most: no consumer that keeps to its `max_ack_pending` gets there.
const OPEN_MAX: usize = 65_536;
/// Messages whose deliveries are counted, at most; the oldest beyond are forgotten, which only excuses.
const COUNTED_MAX: usize = 65_536;
/// Requests that nobody answered, in whatever way, have lapsed this long after they should have. Nanoseconds.
const LAPSED_NS: u64 = 1_000_000_000;
/// After a request was refused, nothing is asked for this long. Nanoseconds.
const REFUSED_NS: u64 = 200_000_000;

/// Conversation and position.
type Place = (u32, u64);

/// A delivery.
#[derive(Clone, Debug)]
pub(super) struct Arrival {
    pub(super) conversation: u32,
    pub(super) seq: u64,
    /// How often the server says that it sent it.
    pub(super) count: u64,
    /// Where its acknowledgement goes.
    pub(super) reply: Bytes,
    pub(super) payload: Bytes,
}

/// What the application has not taken yet.
#[derive(Clone, Debug)]
struct Untaken {
    place: Place,
    reply: Bytes,
    message: Option<Message>,
    /// Of which consumer, by number: what an earlier one delivered is none of a later one's business.
    consumer: u64,
}

/// What was delivered and is not finished.
#[derive(Clone, Debug)]
struct Open {
    reply: Bytes,
    message: Option<Message>,
    is_taken: bool,
}

/// One conversation.
#[derive(Clone, Debug, Default)]
struct Lane {
    /// Unanswered requests.
    requests: u32,
    /// Deliveries that the application has not taken.
    untaken: u32,
    /// Every position up to here was delivered at some time.
    whole_up_to: u64,
    /// And these beyond: what is missing between was sent to a connection that is over, and comes again.
    beyond: BTreeSet<u64>,
}

impl Lane {
    fn has(&mut self, seq: u64) {
        if seq <= self.whole_up_to {
            return;
        }
        self.beyond.insert(seq);
        if self.beyond.len() > COUNTED_MAX {
            self.whole_up_to = self.beyond.pop_first().unwrap_or(0);
        }
        while self.beyond.first() == Some(&(self.whole_up_to + 1)) {
            self.whole_up_to += 1;
            self.beyond.pop_first();
        }
    }
}

/// Everything that comes from the server.
#[derive(Debug)]
pub(super) struct Deliveries {
    device: Device,
    salt: u32,
    manner: JetStream,
    durable: String,
    streams: BTreeMap<u32, String>,
    lanes: BTreeMap<u32, Lane>,
    /// When the server last had to do with a request. Nanoseconds.
    heard_ns: u64,
    /// Nothing is asked before. Nanoseconds.
    refused_until_ns: u64,
    untaken: VecDeque<Untaken>,
    open: BTreeMap<Place, Open>,
    counted: BTreeMap<Place, u64>,
    consumer: u64,
    /// Until then it is waited for what has to come again or to be confirmed. Nanoseconds.
    patient_until_ns: u64,
}

impl Deliveries {
    /// `streams`: of the conversations that the device belongs to.
    pub(super) fn new(
        (device, salt): (Device, u32),
        manner: JetStream,
        durable: String,
        streams: BTreeMap<u32, String>,
    ) -> Self {
        Self {
            device,
            salt,
            manner,
            durable,
            lanes: streams.keys().map(|conversation| (*conversation, Lane::default())).collect(),
            streams,
            heard_ns: 0,
            refused_until_ns: 0,
            untaken: VecDeque::new(),
            open: BTreeMap::new(),
            counted: BTreeMap::new(),
            consumer: 0,
            patient_until_ns: 0,
        }
    }

    /// Requests, as far as the windows have room.
    pub(super) fn ask(&mut self, now_ns: u64, inbox: &str) -> Vec<Bytes> {
        if now_ns < self.refused_until_ns {
            return Vec::new();
        }
        let mut frames = Vec::new();
        for (conversation, lane) in &mut self.lanes {
            let Some(stream) = self.streams.get(conversation) else { continue };
            while lane.requests + lane.untaken < self.manner.window {
                lane.requests += 1;
                self.heard_ns = now_ns;
                let (subject, body) = next(stream, &self.durable);
                frames.push(request(subject, Some(format!("{inbox}.m.{conversation}")), body));
            }
        }
        frames
    }

    /// A message came: what to answer at once, and what the device saw.
    pub(super) fn arrived(&mut self, now_ns: u64, inbox: &str, arrival: Arrival) -> Told {
        let Arrival { conversation, seq, count, reply, payload } = arrival;
        let place = (conversation, seq);
        let (device, message) = (self.device, payload::read(self.salt, &payload));
        self.heard_ns = now_ns;
        self.patient_until_ns = now_ns + self.manner.patience_ns();
        let redelivered = self.is_redelivery(place, count);
        let lane = self.lanes.entry(conversation).or_default();
        lane.requests = lane.requests.saturating_sub(1);
        lane.has(seq);
        let conversation = Conversation(conversation);
        if let Some(open) = self.open.get_mut(&place).filter(|_| self.manner.is_confirmed) {
            open.reply = reply;
            let what = What::Suppressed { device, conversation, message, seq: Some(seq), redelivered };
            let again = if open.is_taken { self.acknowledge(place, inbox) } else { Told::default() };
            return (again.0, std::iter::once(what).chain(again.1).collect());
        }
        lane.untaken += 1;
        self.open.insert(place, Open { reply: reply.clone(), message, is_taken: false });
        self.untaken.push_back(Untaken { place, reply, message, consumer: self.consumer });
        let digest = payload::digest(&payload);
        let what = What::Delivered { device, conversation, message, seq: Some(seq), digest, redelivered };
        (Vec::new(), vec![what])
    }

    /// Whether the server's count says that the message was sent before: at least as often as the device has it.
    fn is_redelivery(&mut self, place: Place, count: u64) -> bool {
        let seen = self.counted.entry(place).or_default();
        let is_redelivery = count > (*seen).max(1);
        *seen += 1;
        if self.counted.len() > COUNTED_MAX {
            self.counted.pop_first();
        }
        is_redelivery
    }

    /// The application took the oldest message.
    pub(super) fn consumed(&mut self, is_up: bool, inbox: &str) -> Option<Told> {
        let Untaken { place, reply, message, consumer } = self.untaken.pop_front()?;
        if let Some(lane) = self.lanes.get_mut(&place.0) {
            lane.untaken = lane.untaken.saturating_sub(1);
        }
        if consumer != self.consumer {
            return Some(Told::default());
        }
        if let Some(open) = self.open.get_mut(&place) {
            open.is_taken = true;
        } else {
            // A copy of what was acknowledged meanwhile, which wants its own.
            self.open.insert(place, Open { reply, message, is_taken: true });
        }
        if is_up { Some(self.acknowledge(place, inbox)) } else { Some(Told::default()) }
    }

    /// Acknowledges what was taken; without a confirmation it is finished with that.
    fn acknowledge(&mut self, place: Place, inbox: &str) -> Told {
        let Some(open) = self.open.get(&place) else { return Told::default() };
        let (conversation, seq) = place;
        let reply = self.manner.is_confirmed.then(|| format!("{inbox}.a.{conversation}.{seq}"));
        let message = open.message;
        let subject = String::from_utf8_lossy(&open.reply).into_owned();
        let frame = request(subject, reply, "+ACK".to_owned());
        if !self.manner.is_confirmed {
            self.open.remove(&place);
        }
        let (device, conversation) = (self.device, Conversation(conversation));
        let acknowledged = What::Acknowledged { device, conversation, up_to: None, message };
        (vec![frame], message.map(|_| acknowledged).into_iter().collect())
    }

    /// The server knows of an acknowledgement.
    pub(super) fn confirmed(&mut self, place: Place) {
        if self.open.get(&place).is_some_and(|open| open.is_taken) {
            self.open.remove(&place);
        }
    }

    /// A request came to nothing; refused = not because its time was over.
    pub(super) fn lapsed(&mut self, now_ns: u64, conversation: u32, is_refused: bool) {
        self.heard_ns = now_ns;
        if let Some(lane) = self.lanes.get_mut(&conversation) {
            lane.requests = lane.requests.saturating_sub(1);
        }
        if is_refused {
            self.refused_until_ns = now_ns + REFUSED_NS;
        }
    }

    /// Nothing that was asked for comes any more.
    pub(super) fn connection_ended(&mut self) {
        self.lanes.values_mut().for_each(|lane| lane.requests = 0);
    }

    /// There is a session: whatever was taken and not confirmed is acknowledged again. `is_new`: its consumers know of nothing.
    pub(super) fn established(&mut self, now_ns: u64, inbox: &str, is_new: bool) -> Told {
        self.patient_until_ns = now_ns + self.manner.patience_ns();
        self.refused_until_ns = 0;
        if is_new {
            self.open.clear();
            self.counted.clear();
            self.consumer += 1;
            return Told::default();
        }
        if !self.manner.is_confirmed {
            return Told::default();
        }
        let taken = self.open.iter().filter(|(_, open)| open.is_taken).map(|(place, _)| *place);
        let taken: Vec<Place> = taken.collect();
        let mut told = Told::default();
        for place in taken {
            let (frames, what) = self.acknowledge(place, inbox);
            told.0.extend(frames);
            told.1.extend(what);
        }
        told
    }

    /// Requests that were never answered are as good as lapsed.
    pub(super) fn timeout(&mut self, now_ns: u64) {
        if self.lapse_ns().is_some_and(|lapse_ns| lapse_ns <= now_ns) {
            self.connection_ended();
            self.heard_ns = now_ns;
        }
    }

    pub(super) fn next_timeout_ns(&self, now_ns: u64) -> Option<u64> {
        let refused_ns = Some(self.refused_until_ns).filter(|until_ns| *until_ns > now_ns);
        [refused_ns, self.lapse_ns()].into_iter().flatten().min()
    }

    fn lapse_ns(&self) -> Option<u64> {
        let is_asked = self.lanes.values().any(|lane| lane.requests > 0);
        is_asked.then_some(self.heard_ns + ASKED_NS + LAPSED_NS)
    }

    /// More is open than any consumer may have.
    pub(super) fn is_overrun(&self) -> bool {
        self.open.len() > OPEN_MAX || self.untaken.len() > OPEN_MAX
    }

    pub(super) fn is_idle(&self, now_ns: u64) -> bool {
        let is_complete = || self.open.is_empty() && self.lanes.values().all(|lane| lane.beyond.is_empty());
        self.untaken.is_empty() && (now_ns >= self.patient_until_ns || is_complete())
    }
}

/// A message to the server itself.
pub(super) fn request(subject: String, reply: Option<String>, body: String) -> Bytes {
    let (subject, reply, payload) = (subject.into(), reply.map(Into::into), body.into());
    codec::encode(&Operation::Publish(codec::Message { subject, reply, headers: None, payload }))
}
