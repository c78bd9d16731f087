//! What a client keeps in memory.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::{Bytes, BytesMut};

use super::{Config, Effect, Observation};
use crate::codec::{Frame, encode};
use crate::ids::{Chain, ConversationId, DeviceKey, MessageId, Seq, Time};
use crate::journal::{Body, Entry};
use crate::random::Random;

/// The engine of one device installation.
#[derive(Clone, Debug)]
pub struct Client {
    pub(super) config: Config,
    pub(super) key: DeviceKey,
    pub(super) token: Bytes,
    pub(super) installation: u64,
    pub(super) random: Random,
    pub(super) now: Time,
    pub(super) stats: Stats,
    pub(super) effects: VecDeque<Effect>,
    pub(super) scratch: BytesMut,
    pub(super) timers: BTreeSet<(Time, Timer)>,
    pub(super) link: Link,
    /// Whether this installation was ever logged in.
    pub(super) was_welcome: bool,
    pub(super) connect_attempts: u32,
    pub(super) hello_attempts: u32,
    /// The server's heartbeat settings, milliseconds.
    pub(super) heartbeat_ms: u64,
    pub(super) silent_ms: u64,
    pub(super) heard: Time,
    pub(super) spoke: Time,
    pub(super) pinged: Time,
    /// Unanswered operations.
    pub(super) operations: BTreeMap<MessageId, Operation>,
    /// Those that were transmitted, by the order of their first transmission.
    pub(super) started: VecDeque<u64>,
    /// Those that were not: they wait for room.
    pub(super) waiting: BTreeSet<MessageId>,
    /// Ordinal of the next operation to start.
    pub(super) ordinal_next: u64,
    pub(super) conversations: BTreeMap<ConversationId, Conversation>,
    /// Acks to be sent at the next poll.
    pub(super) acks: Vec<ConversationId>,
    /// Conversations whose ack or read mark is not confirmed.
    pub(super) unsettled: BTreeSet<ConversationId>,
    /// Conversations that lack entries, and no catch-up is under way.
    pub(super) behind: BTreeSet<ConversationId>,
    /// Catch-ups under way.
    pub(super) syncs: BTreeMap<ConversationId, Asked>,
    /// The application's page requests.
    pub(super) page_requests: BTreeMap<u64, Asked>,
    pub(super) request_next: u64,
    /// Entries asked for at a time: fewer than wanted after a connection was lost while a page was awaited.
    pub(super) page_limit: u16,
    pub(super) held_entries: usize,
    pub(super) held_bytes: usize,
    /// Delivered and not consumed.
    pub(super) unconsumed: VecDeque<(ConversationId, Seq)>,
}

/// Counters of one client; the unit is occurrences.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Logins.
    pub sessions: u64,
    /// Connections given up because the server was silent (half-open, found by heartbeat).
    pub silent: u64,
    /// Frames ignored because their checksum did not fit.
    pub checksum_failures: u64,
    /// Frames ignored because they came before the welcome.
    pub frames_before_login: u64,
    /// Operations sent again (timed retry, or a new connection).
    pub operations_retried: u64,
    /// Acks and read marks sent again.
    pub marks_retried: u64,
    /// Entries handed to the application.
    pub delivered: u64,
    /// Copies recognised.
    pub suppressed: u64,
    /// Gaps noticed.
    pub gaps: u64,
    /// Catch-up pages asked for.
    pub pulls: u64,
    /// Entries that waited because the application had its hands full.
    pub deferred: u64,
    /// Entries that there was no room to hold; they are asked for again.
    pub overflowed: u64,
    /// Entries whose predecessor does not fit the cursor, ignored.
    pub misfits: u64,
    /// Chain mismatches.
    pub chain_broken: u64,
}

/// What a timer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Timer {
    /// Tells an engine that is new what time it is.
    Begin,
    Connect,
    Hello,
    Heartbeat,
    Operation(MessageId),
    Marks(ConversationId),
    Sync(ConversationId),
    Page(u64),
}

/// Where the connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Link {
    /// Closed until told to reconnect.
    Closed,
    /// Waiting to connect.
    Waiting,
    Connecting,
    /// Connected, hello sent.
    Greeting,
    LoggedIn,
}

#[derive(Clone, Debug)]
pub(super) struct Operation {
    pub(super) conversation: ConversationId,
    pub(super) body: Body,
    /// Set when first transmitted.
    pub(super) ordinal: Option<u64>,
    pub(super) attempts: u32,
    pub(super) retry_at: Option<Time>,
}

/// A request for a page.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) request: u64,
    pub(super) conversation: ConversationId,
    pub(super) after: Seq,
    pub(super) attempts: u32,
    pub(super) retry_at: Option<Time>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Conversation {
    /// The application has everything up to here.
    pub(super) cursor: Seq,
    /// The chain at the cursor.
    pub(super) chain: Chain,
    /// Consumed up to here: what is acknowledged.
    pub(super) acked: Seq,
    /// Durable at the server.
    pub(super) confirmed: Seq,
    pub(super) ack_due: bool,
    pub(super) read_wanted: Seq,
    pub(super) read_confirmed: Seq,
    pub(super) marks_attempts: u32,
    pub(super) marks_retry_at: Option<Time>,
    /// The last entry known to exist.
    pub(super) head: Seq,
    /// Arrived before its predecessor.
    pub(super) held: BTreeMap<Seq, Offered>,
    /// A gap was reported and is not closed.
    pub(super) gap: bool,
    pub(super) receipts_version: u64,
    pub(super) receipts: BTreeMap<DeviceKey, (Seq, Seq)>,
}

/// An entry as it came, with the entry before it that this member may see.
#[derive(Clone, Debug)]
pub(super) struct Offered {
    pub(super) prev: Seq,
    pub(super) entry: Entry,
    pub(super) redelivered: bool,
}

impl Client {
    pub(super) fn start(config: Config, key: DeviceKey, token: Bytes, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let installation = random.next_u64() | 1;
        Self {
            page_limit: config.page_entries,
            config,
            key,
            token,
            installation,
            random,
            now: Time(0),
            stats: Stats::default(),
            effects: VecDeque::from([Effect::Connect]),
            scratch: BytesMut::new(),
            timers: BTreeSet::from([(Time(0), Timer::Begin)]),
            link: Link::Connecting,
            was_welcome: false,
            connect_attempts: 0,
            hello_attempts: 0,
            heartbeat_ms: 5_000,
            silent_ms: 15_000,
            heard: Time(0),
            spoke: Time(0),
            pinged: Time(0),
            operations: BTreeMap::new(),
            started: VecDeque::new(),
            waiting: BTreeSet::new(),
            ordinal_next: 0,
            conversations: BTreeMap::new(),
            acks: Vec::new(),
            unsettled: BTreeSet::new(),
            behind: BTreeSet::new(),
            syncs: BTreeMap::new(),
            page_requests: BTreeMap::new(),
            request_next: 0,
            held_entries: 0,
            held_bytes: 0,
            unconsumed: VecDeque::new(),
        }
    }

    pub(super) fn observe(&mut self, observation: Observation) {
        self.effects.push_back(Effect::Observe(observation));
    }

    pub(super) fn transmit(&mut self, frame: &Frame) {
        let bytes = encode(frame, &mut self.scratch);
        self.transmit_bytes(bytes);
    }

    pub(super) fn transmit_bytes(&mut self, frame: Bytes) {
        self.spoke = self.now;
        self.effects.push_back(Effect::Transmit(frame));
    }

    /// Replaces one timer: `old` is what its owner remembers.
    pub(super) fn set_timer(&mut self, timer: Timer, old: Option<Time>, new: Option<Time>) {
        if let Some(at) = old {
            self.timers.remove(&(at, timer));
        }
        if let Some(at) = new {
            self.timers.insert((at, timer));
        }
    }

    /// Removes a timer that has no owner to remember it (there are at most three of them).
    pub(super) fn clear_timer(&mut self, timer: Timer) {
        self.timers.retain(|(_, other)| *other != timer);
    }
}
