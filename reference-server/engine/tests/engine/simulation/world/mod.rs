//! One run on an event heap. What it simulates is beside this file: `people` (devices and who uses them), `network`
//! (links), `node` (the server's process and disk), `witness` (what must be true, and what was reached).

mod network;
mod node;
mod people;
mod witness;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use avouch_engine::client::{self, Command};
use avouch_engine::ids::{ConversationId, DeviceId, DeviceKey, Seq, UserId};
use avouch_engine::journal::{self, Memory};
use avouch_engine::server::{self, ConnectionId, LoadFailed, LoadId, Server};
use bytes::Bytes;
use sha2::Digest as _;
use sha2::Sha256;

use super::options::{Options, Rng};
use super::oracle::Oracle;
use network::Conn;
use people::Node;

const MS: u64 = 1_000_000;
const DRAIN_MS: u64 = 300_000;
const STEPS_MAX: u64 = 500_000;

enum Event {
    Up(ConnectionId, Bytes),
    Down(ConnectionId, Bytes),
    UpEnd(ConnectionId),
    DownEnd(ConnectionId),
    Connect(usize, u64),
    Commit(u64),
    Loaded(u64, LoadId, journal::Query),
    Restart,
    Consume(usize, u64),
    /// The transport of a connection takes frames again.
    Flow(ConnectionId),
    Act(Act),
}

#[derive(Clone, Copy)]
enum Act {
    Send,
    Change,
    Cut,
    Takeover,
    Crash,
    Reinstall,
    ReadHistory,
    Stranger,
    Stall,
    Repeat,
}

struct Queued(u64, u64, Event);
impl PartialEq for Queued {
    fn eq(&self, other: &Self) -> bool {
        (self.0, self.1) == (other.0, other.1)
    }
}
impl Eq for Queued {}
impl PartialOrd for Queued {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Queued {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.0, self.1).cmp(&(other.0, other.1))
    }
}

pub(crate) struct World {
    options: Options,
    rng: Rng,
    now: u64,
    order: u64,
    steps: u64,
    heap: BinaryHeap<Reverse<Queued>>,
    server: Option<Server>,
    epoch: u64,
    journal: Memory,
    nodes: Vec<Node>,
    conns: BTreeMap<ConnectionId, Conn>,
    conn_next: u64,
    id_next: u64,
    oracle: Oracle,
    healed: bool,
    /// Transmitted in this server process: (device, installation), conversation, position.
    transmitted: BTreeSet<((DeviceKey, u64), ConversationId, Seq)>,
    trace: Sha256,
    stats: Vec<server::Stats>,
    client_stats: Vec<client::Stats>,
    pages: u64,
    stale: u64,
}

impl World {
    pub(crate) fn new(options: Options) -> Self {
        let mut world = Self {
            rng: Rng(options.seed),
            now: 0,
            order: 0,
            steps: 0,
            heap: BinaryHeap::new(),
            server: Some(Server::new(options.server.clone(), journal::Recovered::default(), options.seed)),
            epoch: 0,
            journal: Memory::default(),
            nodes: Vec::new(),
            conns: BTreeMap::new(),
            conn_next: 0,
            id_next: 0,
            oracle: Oracle::default(),
            healed: false,
            transmitted: BTreeSet::new(),
            trace: Sha256::new(),
            stats: Vec::new(),
            client_stats: Vec::new(),
            pages: 0,
            stale: 0,
            options,
        };
        for number in 0..world.options.devices {
            let key = DeviceKey {
                user: UserId(number % world.options.users + 1),
                device: DeviceId((number / world.options.users) as u32),
            };
            let client = world.new_client(key);
            world.nodes.push(Node {
                key,
                client,
                connection: None,
                installation: 1,
                attempt: 0,
                closed: false,
                delivered: BTreeMap::new(),
                receipts: BTreeMap::new(),
                read: BTreeMap::new(),
                read_confirmed: BTreeMap::new(),
                suppressed_unflagged: 0,
            });
            world.drain_client(number as usize);
        }
        for conversation in 1..=world.options.conversations {
            let users: Vec<UserId> = (1..=world.options.users).map(UserId).collect();
            let id = world.next_id();
            let change = Command::ChangeMembers {
                id,
                conversation: ConversationId(conversation),
                added: users,
                removed: vec![],
            };
            world.command(0, change);
        }
        world
    }

    pub(crate) fn chaos(&mut self) {
        let o = self.options.clone();
        let kinds = [
            (Act::Send, o.actions),
            (Act::Change, o.member_changes),
            (Act::Cut, o.cuts),
            (Act::Takeover, o.takeovers),
            (Act::Crash, o.crashes),
            (Act::Reinstall, o.reinstalls),
            (Act::ReadHistory, o.actions / 20),
            (Act::Stranger, o.strangers),
            (Act::Stall, o.stalls),
            (Act::Repeat, o.repeats),
        ];
        for (act, count) in kinds {
            for _ in 0..count {
                let at = self.rng.below(o.chaos_ms) * MS;
                self.push(at, Event::Act(act));
            }
        }
        self.run_until(o.chaos_ms * MS);
    }

    /// Nothing is disturbed any more; a connection that is half-open stays so, and heartbeats have to find it.
    pub(crate) fn heal_and_drain(&mut self) {
        self.healed = true;
        if self.server.is_none() {
            self.restart();
        }
        for node in 0..self.nodes.len() {
            if self.nodes[node].closed {
                self.nodes[node].closed = false;
                self.command(node, Command::Reconnect);
            }
        }
        let end = self.now + DRAIN_MS * MS;
        while self.now < end {
            let step = self.now + 200 * MS;
            self.run_until(step);
            if self.missing().is_none() {
                break;
            }
        }
        if let Some(missing) = self.missing() {
            panic!("does not quiesce: {missing}\n{:#?}", self.server_stats());
        }
        self.oracle.check_logs(&self.journal, self.options.conversations);
        let strict = self.options.fifo && self.options.duplicate == 0;
        for node in &self.nodes {
            assert!(!strict || node.suppressed_unflagged == 0, "{:?} got unflagged copies", node.key);
        }
        let last = *self.server.as_ref().expect("running").stats();
        self.stats.push(last);
        let clients: Vec<_> = self.nodes.iter().map(|node| *node.client.stats()).collect();
        self.client_stats.extend(clients);
    }

    fn push(&mut self, at: u64, event: Event) {
        self.order += 1;
        self.heap.push(Reverse(Queued(at.max(self.now), self.order, event)));
    }

    fn run_until(&mut self, end: u64) {
        loop {
            let event = self.heap.peek().map_or(u64::MAX, |Reverse(event)| event.0);
            let server = self.server.as_ref().and_then(Server::next_timeout).map_or(u64::MAX, |at| at.0);
            let (client, node) = (self.nodes.iter().enumerate())
                .map(|(ix, node)| (node.client.next_timeout().map_or(u64::MAX, |at| at.0), ix))
                .min()
                .expect("there are nodes");
            let next = event.min(server).min(client);
            if next > end {
                self.now = end;
                return;
            }
            self.now = self.now.max(next);
            self.steps += 1;
            assert!(self.steps < STEPS_MAX, "busy without end at {} ms: {:?}", self.now / MS, self.missing());
            if event == next {
                let Reverse(Queued(_, _, event)) = self.heap.pop().expect("peeked");
                self.step(event);
            } else if server == next {
                self.server_input(server::Input::Timeout);
            } else {
                self.client_input(node, client::Input::Timeout);
            }
        }
    }

    fn step(&mut self, event: Event) {
        match event {
            Event::Up(connection, bytes) => {
                if self.conns.contains_key(&connection) {
                    self.server_input(server::Input::Received(connection, bytes));
                }
            }
            Event::Down(connection, bytes) => {
                if let Some(node) = self.node_of(connection) {
                    self.client_input(node, client::Input::Received(bytes));
                }
            }
            Event::UpEnd(connection) => {
                self.conns.remove(&connection);
                self.server_input(server::Input::Disconnected(connection));
            }
            Event::DownEnd(connection) => {
                if let Some(node) = self.node_of(connection) {
                    self.nodes[node].connection = None;
                    self.client_input(node, client::Input::Disconnected);
                }
                self.conns.remove(&connection);
            }
            Event::Connect(node, attempt) => self.connect(node, attempt),
            Event::Commit(epoch) => self.commit(epoch),
            Event::Loaded(epoch, load, query) => {
                if epoch == self.epoch {
                    let fails = !self.healed && self.rng.chance(self.options.load_fails);
                    let result = if fails { Err(LoadFailed) } else { Ok(self.journal.query(&query)) };
                    self.server_input(server::Input::Loaded(load, result));
                }
            }
            Event::Restart => {
                if self.server.is_none() {
                    self.restart();
                }
            }
            Event::Consume(node, installation) => {
                if self.nodes[node].installation == installation {
                    self.command(node, Command::Consumed { deliveries: 1 });
                }
            }
            Event::Flow(connection) => self.flow(connection),
            Event::Act(act) => self.act(act),
        }
    }
}
