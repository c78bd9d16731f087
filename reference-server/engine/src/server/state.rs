//! What the server keeps in memory. Sizes grow with conversations, members, devices and connections,
//! never with the length of a log.
//!
//! Users, devices and conversations get dense numbers in the order in which they appear; hash maps are
//! for lookup only, so nothing depends on their order.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::{Bytes, BytesMut};
use rustc_hash::FxHashMap;

use super::accept::Held;
use super::dedup::Dedup;
use super::{Config, ConnectionId, Effect, LoadId, Stats};
use crate::ids::{Chain, ConversationId, DeviceKey, MessageId, Seq, Time, UserId};
use crate::journal::{Entry, Record};
use crate::random::Random;

/// Dense number of a user.
pub(super) type UserIx = usize;
/// Dense number of a device.
pub(super) type DeviceIx = usize;
/// Dense number of a conversation.
pub(super) type ConversationIx = usize;

/// The engine. One instance serves one journal.
#[derive(Clone, Debug)]
pub struct Server {
    pub(super) config: Config,
    pub(super) random: Random,
    pub(super) now: Time,
    pub(super) wall_ms: u64,
    pub(super) stats: Stats,
    pub(super) effects: VecDeque<Effect>,
    pub(super) scratch: BytesMut,
    /// For frames that stay in a hot tail: those that only pass would have to stay with them.
    pub(super) tail_scratch: BytesMut,
    pub(super) users: Vec<User>,
    pub(super) user_index: FxHashMap<UserId, UserIx>,
    pub(super) devices: Vec<Device>,
    pub(super) device_index: FxHashMap<DeviceKey, DeviceIx>,
    pub(super) conversations: Vec<Conversation>,
    pub(super) conversation_index: FxHashMap<ConversationId, ConversationIx>,
    /// Slots of conversations whose creation was refused.
    pub(super) conversations_free: Vec<ConversationIx>,
    pub(super) connections: FxHashMap<ConnectionId, Connection>,
    /// What was proposed and not yet committed, oldest first.
    pub(super) proposals: VecDeque<Proposal>,
    /// See [`Server::with_proposals_kept`].
    pub(super) keeps_proposals: bool,
    /// How many of those are entries.
    pub(super) entries_pending: usize,
    pub(super) loads: BTreeMap<LoadId, super::sync::PendingLoad>,
    pub(super) load_next: u64,
    pub(super) timers: BTreeSet<(Time, Timer)>,
    /// Progress that moved since the last flush.
    pub(super) cursors_dirty: Vec<(ConversationIx, DeviceIx)>,
    /// Devices that may be owed receipts since the last flush.
    pub(super) receipts_dirty: Vec<(ConversationIx, DeviceIx)>,
}

/// What a timer is for. Each owner has at most one in the set; it looks at what is due when it fires.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Timer {
    /// Login limit, heartbeat and silence of a connection.
    Connection(ConnectionId),
    /// Redelivery and sweep of an online device.
    Device(DeviceIx),
}

/// What is to be done when a proposal commits.
#[derive(Clone, Debug)]
pub(super) struct Proposal {
    pub(super) device: DeviceIx,
    pub(super) conversation: ConversationIx,
    pub(super) record: Record,
}

#[derive(Clone, Debug)]
pub(super) struct User {
    pub(super) devices: Vec<DeviceIx>,
    /// Conversations of which some entry is or was visible to the user, in order of joining.
    pub(super) conversations: Vec<ConversationIx>,
}

#[derive(Clone, Debug)]
pub(super) struct Device {
    pub(super) key: DeviceKey,
    pub(super) user: UserIx,
    /// The committed installation.
    pub(super) installation: Option<u64>,
    /// Whether a new installation is being committed: its cursors are about to be forgotten.
    pub(super) resetting: bool,
    pub(super) dedup: Dedup,
    pub(super) pending: usize,
    /// Operations that wait for their predecessor, by own id.
    pub(super) held: BTreeMap<MessageId, Held>,
    pub(super) held_bytes: usize,
    /// Rate limit: when the bucket was last counted, and what was in it (millionths of an operation).
    pub(super) bucket: (Time, u64),
    pub(super) connection: Option<ConnectionId>,
    /// The newest connection on which the device logged in, or began to: what is older is not its any more.
    pub(super) newest: Option<ConnectionId>,
    /// Conversations with something to push, each once.
    pub(super) outbox: VecDeque<ConversationIx>,
    /// Conversations with entries or receipts in flight.
    pub(super) active: BTreeSet<ConversationIx>,
    pub(super) in_flight_entries: usize,
    pub(super) in_flight_bytes: usize,
    pub(super) sweep_at: Time,
    pub(super) timer_at: Option<Time>,
}

#[derive(Clone, Debug)]
pub(super) struct Connection {
    pub(super) login: Login,
    pub(super) opened: Time,
    pub(super) heard: Time,
    pub(super) probed: Time,
    pub(super) timer_at: Option<Time>,
    /// Sizes of the frames that the transport has not taken.
    pub(super) untaken: VecDeque<u32>,
    pub(super) untaken_bytes: usize,
    pub(super) loads: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Login {
    Waiting,
    /// A new installation waits for its commit.
    Committing {
        device: DeviceIx,
        installation: u64,
    },
    Done(DeviceIx),
}

#[derive(Clone, Debug)]
pub(super) struct Conversation {
    pub(super) id: ConversationId,
    /// Last committed position, and the chain there.
    pub(super) head: Seq,
    pub(super) chain: Chain,
    /// The same, counting what is proposed.
    pub(super) tentative_head: Seq,
    pub(super) tentative_chain: Chain,
    /// Highest cursor version given out, and the highest committed.
    pub(super) version_next: u64,
    pub(super) version: u64,
    /// Stays by user. Positions tell what is only proposed: `from` or `until` beyond `head`.
    pub(super) members: FxHashMap<UserIx, Vec<Stay>>,
    /// Members as of `head`, and as of `tentative_head`.
    pub(super) members_count: usize,
    pub(super) members_tentative: usize,
    pub(super) progress: FxHashMap<DeviceIx, Progress>,
    /// Devices by the version of their last committed cursor change.
    pub(super) by_version: BTreeMap<u64, DeviceIx>,
    /// Online devices of current members.
    pub(super) online: BTreeSet<DeviceIx>,
    pub(super) tail: VecDeque<TailEntry>,
    pub(super) tail_bytes: usize,
}

/// One stay of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Stay {
    pub(super) from: Seq,
    pub(super) until: Option<Seq>,
}

/// A recent entry as its ready-made first `Deliver` (for those who saw the entry before it).
#[derive(Clone, Debug)]
pub(super) struct TailEntry {
    pub(super) seq: Seq,
    pub(super) body_bytes: usize,
    pub(super) frame: Bytes,
}

impl TailEntry {
    /// Taken from the frame: few need it, and what holds nothing else of an entry lets go of what it arrived in.
    pub(super) fn entry(&self) -> Entry {
        crate::codec::entry_of(&self.frame).expect("a frame that was encoded here has an entry")
    }
}

/// A device in a conversation.
#[derive(Clone, Debug, Default)]
pub(super) struct Progress {
    /// Durable.
    pub(super) delivered: Seq,
    pub(super) read: Seq,
    pub(super) version: u64,
    pub(super) receipts_confirmed: u64,
    /// What the device told us; durable soon.
    pub(super) acked: Seq,
    pub(super) read_wanted: Seq,
    pub(super) receipts_acked: u64,
    /// A proposal is under way.
    pub(super) cursor_pending: bool,
    pub(super) receipts_pending: bool,
    pub(super) cursor_dirty: bool,
    pub(super) receipts_dirty: bool,
    /// Highest position transmitted to this installation, as far as this process knows.
    pub(super) transmitted: Seq,
    /// The rest belongs to the present connection. Highest position pushed or paged.
    pub(super) pushed: Seq,
    pub(super) in_flight: VecDeque<(Seq, u32)>,
    pub(super) attempts: u32,
    pub(super) retry_at: Time,
    pub(super) queued: bool,
    /// The device is to pull: what it lacks is not in memory, or too much.
    pub(super) pulling: bool,
    /// The head that the device was told to pull up to.
    pub(super) told: Seq,
    /// Highest version of the receipts batch in flight; 0 = none.
    pub(super) receipts_in_flight: u64,
    pub(super) receipts_attempts: u32,
    pub(super) receipts_retry_at: Time,
}

impl Server {
    pub(super) fn empty(mut config: Config, seed: u64) -> Self {
        config.payload_bytes_max = config.payload_bytes_max.min(crate::limits::PAYLOAD_BYTES_MAX);
        Self {
            config,
            random: Random::new(seed),
            now: Time(0),
            wall_ms: 0,
            stats: Stats::default(),
            effects: VecDeque::new(),
            scratch: BytesMut::new(),
            tail_scratch: BytesMut::new(),
            users: Vec::new(),
            user_index: FxHashMap::default(),
            devices: Vec::new(),
            device_index: FxHashMap::default(),
            conversations: Vec::new(),
            conversation_index: FxHashMap::default(),
            conversations_free: Vec::new(),
            connections: FxHashMap::default(),
            proposals: VecDeque::new(),
            keeps_proposals: false,
            entries_pending: 0,
            loads: BTreeMap::new(),
            load_next: 0,
            timers: BTreeSet::new(),
            cursors_dirty: Vec::new(),
            receipts_dirty: Vec::new(),
        }
    }

    pub(super) fn user(&mut self, id: UserId) -> UserIx {
        let users = &mut self.users;
        *self.user_index.entry(id).or_insert_with(|| {
            users.push(User { devices: Vec::new(), conversations: Vec::new() });
            users.len() - 1
        })
    }

    pub(super) fn device(&mut self, key: DeviceKey) -> DeviceIx {
        if let Some(device) = self.device_index.get(&key) {
            return *device;
        }
        let user = self.user(key.user);
        let device = self.devices.len();
        self.devices.push(Device::new(key, user));
        self.device_index.insert(key, device);
        self.users[user].devices.push(device);
        device
    }

    pub(super) fn conversation(&mut self, id: ConversationId) -> ConversationIx {
        if let Some(conversation) = self.conversation_index.get(&id) {
            return *conversation;
        }
        let fresh = Conversation::new(id);
        let conversation = if let Some(slot) = self.conversations_free.pop() {
            self.conversations[slot] = fresh;
            slot
        } else {
            self.conversations.push(fresh);
            self.conversations.len() - 1
        };
        self.conversation_index.insert(id, conversation);
        conversation
    }
}

impl Device {
    fn new(key: DeviceKey, user: UserIx) -> Self {
        Self {
            key,
            user,
            installation: None,
            resetting: false,
            dedup: Dedup::default(),
            pending: 0,
            held: BTreeMap::new(),
            held_bytes: 0,
            bucket: (Time(0), 0),
            connection: None,
            newest: None,
            outbox: VecDeque::new(),
            active: BTreeSet::new(),
            in_flight_entries: 0,
            in_flight_bytes: 0,
            sweep_at: Time(0),
            timer_at: None,
        }
    }
}

impl Conversation {
    fn new(id: ConversationId) -> Self {
        Self {
            id,
            head: 0,
            chain: crate::chain::CHAIN_START,
            tentative_head: 0,
            tentative_chain: crate::chain::CHAIN_START,
            version_next: 0,
            version: 0,
            members: FxHashMap::default(),
            members_count: 0,
            members_tentative: 0,
            progress: FxHashMap::default(),
            by_version: BTreeMap::new(),
            online: BTreeSet::new(),
            tail: VecDeque::new(),
            tail_bytes: 0,
        }
    }
}
