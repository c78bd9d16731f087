use avouch_engine::chain::{self, CHAIN_START};
use avouch_engine::client::{Client, Command, Config, Effect, Input, Observation};
use avouch_engine::codec::{Cause, Frame, Welcome, decode};
use avouch_engine::ids::{Chain, ConversationId, DeviceKey, MessageId, Seq, Time};
use avouch_engine::journal::{Body, Entry};
use bytes::Bytes;

use super::{A, B, MS, ROOM, encoded, message, token};

/// A client whose server and application are the test.
pub(crate) struct ClientRig {
    pub(crate) client: Client,
    pub(crate) now_ms: u64,
    pub(crate) connects: usize,
    pub(crate) disconnects: usize,
    said: Vec<Bytes>,
    seen: Vec<Observation>,
}

impl ClientRig {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut Config)) -> Self {
        Self::seeded(1, change)
    }

    /// Another seed is another jitter.
    pub(crate) fn seeded(seed: u64, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::default();
        change(&mut config);
        let client = Client::new(config, A, token(A), seed);
        let mut rig =
            Self { client, now_ms: 1_000, connects: 0, disconnects: 0, said: Vec::new(), seen: Vec::new() };
        rig.input(Input::Timeout);
        rig
    }

    /// A client that is logged in, and said nothing else.
    pub(crate) fn logged_in() -> Self {
        let mut rig = Self::new();
        rig.log_in();
        rig
    }

    /// Connects and answers the hello.
    pub(crate) fn log_in(&mut self) -> Vec<Frame> {
        self.said.clear();
        self.input(Input::Connected);
        let said = self.said();
        let Some(Frame::Hello(hello)) = said.first() else { panic!("{said:?} does not begin with hello") };
        let installation = hello.installation;
        self.hear(&welcome(installation));
        said
    }

    pub(crate) fn hear(&mut self, frame: &Frame) {
        self.hear_bytes(encoded(frame));
    }

    pub(crate) fn hear_bytes(&mut self, bytes: Bytes) {
        self.input(Input::Received(bytes));
    }

    /// Frames said since the last question.
    pub(crate) fn said(&mut self) -> Vec<Frame> {
        let decoded = |bytes: &Bytes| decode(bytes).expect("the client's own frame");
        self.said_bytes().iter().map(decoded).collect()
    }

    pub(crate) fn said_bytes(&mut self) -> Vec<Bytes> {
        std::mem::take(&mut self.said)
    }

    /// Observations since the last question.
    pub(crate) fn seen(&mut self) -> Vec<Observation> {
        std::mem::take(&mut self.seen)
    }

    /// Positions that the application got since the last question.
    pub(crate) fn delivered(&mut self) -> Vec<Seq> {
        let position = |seen: &Observation| match seen {
            Observation::Delivered { entry, .. } => Some(entry.seq),
            _ => None,
        };
        self.seen().iter().filter_map(position).collect()
    }

    pub(crate) fn command(&mut self, command: Command) {
        self.input(Input::Command(command));
    }

    pub(crate) fn send(&mut self, id: u64) {
        let payload = Bytes::from_static(b"hello");
        self.command(Command::Send { id: MessageId(id), conversation: ROOM, reply_to: None, payload });
    }

    pub(crate) fn deliver(&mut self, entry: &Entry, prev: Seq, redelivered: bool) {
        let entry = entry.clone();
        self.hear(&Frame::Deliver { conversation: ROOM, prev, redelivered, cause: Cause::First, entry });
    }

    pub(crate) fn pass(&mut self, ms: u64) {
        let end = self.now_ms + ms;
        while let Some(Time(at)) = self.client.next_timeout().filter(|at| at.0 <= end * MS) {
            self.now_ms = self.now_ms.max(at.div_ceil(MS));
            self.input(Input::Timeout);
        }
        self.now_ms = end;
    }

    /// Times (from now, milliseconds) at which the client says frames that fit.
    pub(crate) fn times(&mut self, ms: u64, fits: impl Fn(&Frame) -> bool) -> Vec<u64> {
        let (begin, end) = (self.now_ms, self.now_ms + ms);
        let mut times = Vec::new();
        while let Some(Time(at)) = self.client.next_timeout().filter(|at| at.0 <= end * MS) {
            self.now_ms = self.now_ms.max(at.div_ceil(MS));
            self.input(Input::Timeout);
            let count = self.said().iter().filter(|frame| fits(frame)).count();
            times.extend(std::iter::repeat_n(self.now_ms - begin, count));
        }
        self.now_ms = end;
        times
    }

    pub(crate) fn input(&mut self, input: Input) {
        self.client.handle(Time(self.now_ms * MS), input);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(effect) = self.client.poll_effect() {
            match effect {
                Effect::Connect => self.connects += 1,
                Effect::Disconnect => self.disconnects += 1,
                Effect::Transmit(bytes) => self.said.push(bytes),
                Effect::Observe(seen) => self.seen.push(seen),
            }
        }
    }
}

pub(crate) fn welcome(installation: u64) -> Frame {
    // So silent that no heartbeat disturbs.
    let (heartbeat_ms, silent_ms) = (1_000_000, 3_000_000);
    Frame::Welcome(Welcome { installation, resumed: false, heartbeat_ms, silent_ms })
}

/// The first `count` entries of [`ROOM`]: a membership change, then messages.
pub(crate) fn entries(count: u64) -> Vec<Entry> {
    let mut before = CHAIN_START;
    (1..=count)
        .map(|seq| {
            let created = Body::Members { added: vec![A.user, B.user], removed: vec![] };
            let next = entry(seq, &before, B, if seq == 1 { created } else { message("text") });
            before = next.chain;
            next
        })
        .collect()
}

/// An entry of [`ROOM`] after another.
pub(crate) fn entry(seq: Seq, before: &Chain, author: DeviceKey, body: Body) -> Entry {
    entry_of(ROOM, seq, before, (author, body))
}

pub(crate) fn entry_of(
    conversation: ConversationId,
    seq: Seq,
    before: &Chain,
    (author, body): (DeviceKey, Body),
) -> Entry {
    let mut entry = Entry { seq, author, id: MessageId(seq), at_ms: 5, chain: CHAIN_START, body };
    entry.chain = chain::next(before, conversation, &entry);
    entry
}
