//! One run: a server, its journal, clients, and links that do what the options say.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};

use avouch_engine::client::{self, Client, Command, Observation};
use avouch_engine::codec::{self, Frame};
use avouch_engine::ids::{ConversationId, DeviceId, DeviceKey, MessageId, Seq, Time, UserId};
use avouch_engine::journal::{Body, Memory};
use avouch_engine::server::{self, ConnectionId, LoadFailed, LoadId, Server};
use avouch_engine::{auth, journal};
use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::options::{Options, Rng};
use crate::oracle::{Oracle, is_member, visible};

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

struct Node {
    key: DeviceKey,
    client: Client,
    connection: Option<ConnectionId>,
    /// Rises with every installation; events of an older one are stale.
    installation: u64,
    attempt: u64,
    closed: bool,
    delivered: BTreeMap<ConversationId, Vec<Seq>>,
    receipts: BTreeMap<(ConversationId, DeviceKey), (Seq, Seq)>,
    read: BTreeMap<ConversationId, Seq>,
    read_confirmed: BTreeMap<ConversationId, Seq>,
    suppressed_unflagged: u64,
}

struct Conn {
    node: usize,
    blackhole: bool,
    last: [u64; 2],
    key: Option<(DeviceKey, u64)>,
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
    commits: VecDeque<usize>,
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
            commits: VecDeque::new(),
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

    fn new_client(&mut self, key: DeviceKey) -> Client {
        let token = auth::token(&self.options.server.secret, key, u64::MAX);
        let mut config = self.options.client.clone();
        config.consume_window = self.options.consume_window;
        Client::new(config, key, token, self.rng.next())
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
        ];
        for (act, count) in kinds {
            for _ in 0..count {
                let at = self.rng.below(o.chaos_ms) * MS;
                self.push(at, Event::Act(act));
            }
        }
        self.run_until(o.chaos_ms * MS);
    }

    pub(crate) fn heal_and_drain(&mut self) {
        self.healed = true;
        if self.server.is_none() {
            self.restart();
        }
        for node in 0..self.nodes.len() {
            if let Some(connection) = self.nodes[node].connection
                && self.conns.get(&connection).is_some_and(|conn| conn.blackhole)
            {
                // The dead connection stays dead: heartbeats have to find it.
            }
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

    pub(crate) fn server_stats(&self) -> server::Stats {
        *self.server.as_ref().expect("running").stats()
    }

    pub(crate) fn trace_digest(&self) -> String {
        format!("{:x?}", self.trace.clone().finalize())
    }

    pub(crate) fn mechanisms(&self) -> Vec<(&'static str, u64)> {
        let s = |field: fn(&server::Stats) -> u64| self.stats.iter().map(field).sum::<u64>();
        let c = |field: fn(&client::Stats) -> u64| self.client_stats.iter().map(field).sum::<u64>();
        vec![
            ("retry", s(|s| s.delivered_retry)),
            ("sweep", s(|s| s.delivered_sweep)),
            ("pull", s(|s| s.delivered_pull)),
            ("dedup", s(|s| s.dedup_hits)),
            ("takeover", s(|s| s.takeovers)),
            ("silent", s(|s| s.silent_closed)),
            ("client silent", c(|c| c.silent)),
            ("held", s(|s| s.held)),
            ("retry later", s(|s| s.retry_later)),
            ("rejected", s(|s| s.rejected)),
            ("refused", s(|s| s.proposals_refused)),
            ("new installation", s(|s| s.new_installations)),
            ("receipts retried", s(|s| s.receipts_retried)),
            ("checksum", s(|s| s.checksum_failures)),
            ("client checksum", c(|c| c.checksum_failures)),
            ("operations retried", c(|c| c.operations_retried)),
            ("marks retried", c(|c| c.marks_retried)),
            ("gaps", c(|c| c.gaps)),
            ("deferred", c(|c| c.deferred)),
            ("suppressed", c(|c| c.suppressed)),
            ("load failed", s(|s| s.pages_refused)),
            ("history pages", self.pages),
        ]
    }

    /// What is still owed, in words.
    fn missing(&self) -> Option<String> {
        for node in &self.nodes {
            if !node.client.is_idle() {
                return Some(format!("{:?} is not idle: {:?}", node.key, node.client));
            }
            for conversation in (1..=self.options.conversations).map(ConversationId) {
                let log = self.journal.log(conversation);
                let owed = visible(log, node.key.user);
                let got = node.delivered.get(&conversation).cloned().unwrap_or_default();
                if owed != got {
                    return Some(format!("{:?} {conversation:?}: owed {owed:?}, got {got:?}", node.key));
                }
                if !is_member(log, node.key.user) {
                    continue;
                }
                for other in &self.nodes {
                    let has = other.client.cursor(conversation);
                    let read = other.read_confirmed.get(&conversation).copied().unwrap_or(0);
                    let told = node.receipts.get(&(conversation, other.key)).copied().unwrap_or((0, 0));
                    if other.key != node.key && (told.0 < has || told.1 < read) {
                        return Some(format!(
                            "{:?} {conversation:?}: of {:?} knows {told:?}, not {:?}",
                            node.key,
                            other.key,
                            (has, read)
                        ));
                    }
                }
            }
        }
        None
    }

    fn next_id(&mut self) -> MessageId {
        self.id_next += 1;
        MessageId(self.id_next)
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
            Event::Act(act) => self.act(act),
        }
    }

    fn node_of(&self, connection: ConnectionId) -> Option<usize> {
        let node = self.conns.get(&connection)?.node;
        (self.nodes[node].connection == Some(connection)).then_some(node)
    }

    fn act(&mut self, act: Act) {
        let node = self.rng.below(self.nodes.len() as u64) as usize;
        let conversation = ConversationId(1 + self.rng.below(self.options.conversations));
        match act {
            Act::Send => {
                let id = self.next_id();
                let payload = Bytes::from(vec![id.0 as u8; self.rng.below(200) as usize]);
                let seen = self.nodes[node].client.cursor(conversation);
                let reply_to = (seen > 0 && self.rng.chance(300_000)).then_some(seen);
                self.command(node, Command::Send { id, conversation, reply_to, payload });
                let up_to = self.rng.below(seen + 1);
                let mark = self.nodes[node].read.entry(conversation).or_default();
                *mark = (*mark).max(up_to);
                self.command(node, Command::MarkRead { conversation, up_to });
                if self.rng.chance(5_000) {
                    self.command(node, Command::Cancel { id });
                }
            }
            Act::Change => {
                let id = self.next_id();
                let user = UserId(1 + self.rng.below(self.options.users));
                let belongs = is_member(self.journal.log(conversation), user);
                let (added, removed) = if belongs { (vec![], vec![user]) } else { (vec![user], vec![]) };
                self.command(node, Command::ChangeMembers { id, conversation, added, removed });
            }
            Act::Cut => {
                if let Some(connection) = self.nodes[node].connection {
                    self.cut(connection);
                }
            }
            Act::Takeover => {
                // The old connection lives on at the server; the device connects again.
                if self.nodes[node].connection.take().is_some() {
                    self.client_input(node, client::Input::Disconnected);
                }
            }
            Act::Crash => self.crash(),
            Act::Reinstall => self.reinstall(node),
            Act::ReadHistory => {
                let request = self.rng.next() >> 1;
                self.command(node, Command::ReadPage { request, conversation, after: 0 });
            }
        }
    }

    fn reinstall(&mut self, node: usize) {
        let key = self.nodes[node].key;
        if let Some(connection) = self.nodes[node].connection.take() {
            self.push(self.now, Event::UpEnd(connection));
        }
        let old = *self.nodes[node].client.stats();
        self.client_stats.push(old);
        self.nodes[node].client = self.new_client(key);
        let fresh = &mut self.nodes[node];
        fresh.installation += 1;
        fresh.attempt += 1;
        fresh.closed = false;
        fresh.delivered.clear();
        fresh.receipts.clear();
        fresh.read.clear();
        fresh.read_confirmed.clear();
        self.drain_client(node);
    }

    fn crash(&mut self) {
        let Some(server) = self.server.take() else {
            return;
        };
        self.stats.push(*server.stats());
        // What was written may have become durable without anybody being told.
        let survives = self.rng.below(self.journal.pending() as u64 + 1) as usize;
        self.journal.commit(survives);
        self.journal.lose_tail();
        self.commits.clear();
        self.epoch += 1;
        self.transmitted.clear();
        let connections: Vec<ConnectionId> = self.conns.keys().copied().collect();
        for connection in connections {
            if self.conns[&connection].blackhole {
                self.conns.remove(&connection);
            } else {
                self.push(self.now, Event::DownEnd(connection));
            }
        }
        let after = self.rng.below(1_000) * MS;
        self.push(self.now + after, Event::Restart);
    }

    fn restart(&mut self) {
        let seed = self.rng.next();
        self.server = Some(Server::new(self.options.server.clone(), self.journal.recovered(), seed));
        self.conns.clear();
        for node in 0..self.nodes.len() {
            if self.nodes[node].connection.take().is_some() {
                self.client_input(node, client::Input::Disconnected);
            }
        }
    }

    fn cut(&mut self, connection: ConnectionId) {
        if self.conns.contains_key(&connection) {
            let node = self.node_of(connection);
            self.conns.remove(&connection);
            self.server_input(server::Input::Disconnected(connection));
            if let Some(node) = node {
                self.nodes[node].connection = None;
                self.client_input(node, client::Input::Disconnected);
            }
        }
    }

    fn connect(&mut self, node: usize, attempt: u64) {
        if self.nodes[node].attempt != attempt {
            return;
        }
        if self.server.is_none() {
            self.client_input(node, client::Input::Disconnected);
            return;
        }
        self.conn_next += 1;
        let connection = ConnectionId(self.conn_next);
        let conn = Conn { node, blackhole: false, last: [0, 0], key: None };
        self.conns.insert(connection, conn);
        self.nodes[node].connection = Some(connection);
        self.server_input(server::Input::Connected(connection));
        self.client_input(node, client::Input::Connected);
    }

    fn commit(&mut self, epoch: u64) {
        if epoch != self.epoch {
            return;
        }
        let count = self.journal.pending();
        if count == 0 {
            return;
        }
        if !self.healed && self.rng.chance(self.options.refuse) {
            self.journal.lose_tail();
            self.server_input(server::Input::Refused(count));
            return;
        }
        let count = 1 + self.rng.below(count as u64) as usize;
        self.journal.commit(count);
        self.server_input(server::Input::Committed(count));
        if self.journal.pending() > 0 {
            self.push(self.now + self.options.commit_ms * MS, Event::Commit(self.epoch));
        }
    }

    fn command(&mut self, node: usize, command: Command) {
        self.client_input(node, client::Input::Command(command));
    }

    fn client_input(&mut self, node: usize, input: client::Input) {
        self.nodes[node].client.handle(Time(self.now), input);
        self.drain_client(node);
    }

    fn drain_client(&mut self, node: usize) {
        while let Some(effect) = self.nodes[node].client.poll_effect() {
            match effect {
                client::Effect::Connect => {
                    self.nodes[node].attempt += 1;
                    let at = self.now + (1 + self.rng.below(20)) * MS;
                    self.push(at, Event::Connect(node, self.nodes[node].attempt));
                }
                client::Effect::Transmit(bytes) => {
                    if let Some(connection) = self.nodes[node].connection {
                        self.send(connection, bytes, 0);
                    }
                }
                client::Effect::Disconnect => {
                    self.nodes[node].attempt += 1;
                    if let Some(connection) = self.nodes[node].connection.take()
                        && let Some(conn) = self.conns.get(&connection)
                        && !conn.blackhole
                    {
                        let at = conn.last[0].max(self.now);
                        self.push(at, Event::UpEnd(connection));
                    }
                }
                client::Effect::Observe(observation) => self.observe(node, observation),
            }
        }
    }

    fn observe(&mut self, node: usize, observation: Observation) {
        self.trace.update(format!("{} {node} {observation:?}\n", self.now));
        let key = self.nodes[node].key;
        match observation {
            Observation::Accepted { id, conversation, seq } => {
                self.oracle.accepted(&self.journal, key, id, (conversation, seq));
            }
            Observation::Rejected { id, .. } => self.oracle.rejected(key, id),
            Observation::Delivered { conversation, entry, .. } => {
                let log = self.journal.log(conversation);
                let got = self.nodes[node].delivered.entry(conversation).or_default();
                got.push(entry.seq);
                let owed = visible(log, key.user);
                assert_eq!(owed.get(got.len() - 1), Some(&entry.seq), "{key:?} {conversation:?} order");
                assert_eq!(log.get(entry.seq as usize - 1), Some(&entry), "delivered is what was committed");
                if self.options.consume_window.is_some() {
                    let slow = if self.healed { 0 } else { self.options.slow_ms * MS };
                    let event = Event::Consume(node, self.nodes[node].installation);
                    self.push(self.now + slow, event);
                }
            }
            Observation::Suppressed { redelivered, .. } => {
                self.nodes[node].suppressed_unflagged += u64::from(!redelivered);
            }
            Observation::ChainBroken { .. } => panic!("chain broken: {key:?} {observation:?}"),
            Observation::ReadConfirmed { conversation, up_to } => {
                let known = self.nodes[node].read_confirmed.insert(conversation, up_to).unwrap_or(0);
                let wanted = self.nodes[node].read.get(&conversation).copied().unwrap_or(0);
                assert!(up_to > known && up_to <= wanted, "read {up_to}, wanted {wanted}, known {known}");
            }
            Observation::Receipt { conversation, by, delivered, read } => {
                let known = self.nodes[node].receipts.insert((conversation, by), (delivered, read));
                let known = known.unwrap_or((0, 0));
                assert!(delivered >= known.0 && read >= known.1 && read <= delivered, "receipt fell");
                assert_ne!((delivered, read), known, "receipt without news");
            }
            Observation::SessionEnded { why: "takeover" } => self.nodes[node].closed = true,
            Observation::SessionEnded { why } => assert_ne!(why, "protocol", "{key:?}"),
            Observation::Page { conversation, entries, .. } => {
                self.pages += 1;
                let log = self.journal.log(conversation);
                let owed = visible(log, key.user);
                for (entry, seq) in entries.iter().zip(owed) {
                    assert_eq!((entry.seq, log.get(seq as usize - 1)), (seq, Some(entry)), "page");
                }
            }
            Observation::Indefinite { .. } => panic!("so few ids never leave the window"),
            Observation::Session { .. }
            | Observation::Retried { .. }
            | Observation::Acknowledged { .. }
            | Observation::Gap { .. } => {}
        }
    }

    fn server_input(&mut self, input: server::Input) {
        let Some(server) = &mut self.server else {
            return;
        };
        server.handle(Time(self.now), self.now / MS, input);
        while let Some(effect) = self.server.as_mut().and_then(Server::poll_effect) {
            match effect {
                server::Effect::Transmit(connection, bytes) => {
                    self.check_transmit(connection, &bytes);
                    self.send(connection, bytes, 1);
                    if let Some(server) = &mut self.server {
                        server.handle(Time(self.now), self.now / MS, server::Input::Taken(connection, 1));
                    }
                }
                server::Effect::Close(connection) => {
                    if let Some(conn) = self.conns.get(&connection) {
                        let at = conn.last[1].max(self.now);
                        self.push(at, Event::DownEnd(connection));
                    }
                }
                server::Effect::Propose(record) => {
                    if self.journal.pending() == 0 {
                        self.push(self.now + self.options.commit_ms * MS, Event::Commit(self.epoch));
                    }
                    self.journal.propose(record);
                }
                server::Effect::Load(load, query) => {
                    self.push(self.now + MS, Event::Loaded(self.epoch, load, query));
                }
            }
        }
    }

    /// The redelivered flag says exactly whether this process transmitted the entry to this installation before.
    fn check_transmit(&mut self, connection: ConnectionId, bytes: &Bytes) {
        let frame = codec::decode(bytes).expect("the server encodes what it can decode");
        let Some(conn) = self.conns.get_mut(&connection) else {
            return;
        };
        let key = self.nodes[conn.node].key;
        match frame {
            Frame::Welcome(welcome) => conn.key = Some((key, welcome.installation)),
            Frame::Deliver { conversation, redelivered, entry, .. } => {
                let who = conn.key.expect("logged in");
                let fresh = self.transmitted.insert((who, conversation, entry.seq));
                assert_eq!(redelivered, !fresh, "flag of {key:?} {conversation:?} {}", entry.seq);
                let leaves =
                    matches!(&entry.body, Body::Members { removed, .. } if removed.contains(&key.user));
                let log = self.journal.log(conversation);
                assert!(leaves || is_member(&log[..entry.seq as usize], key.user), "misdelivered");
            }
            Frame::Page(page) if page.request >> 63 == 0 => {
                let who = conn.key.expect("logged in");
                for (_, entry) in page.entries {
                    let fresh = self.transmitted.insert((who, page.conversation, entry.seq));
                    let flagged = entry.seq <= page.redelivered_up_to;
                    assert_eq!(flagged, !fresh, "page flag of {key:?} {:?} {}", page.conversation, entry.seq);
                }
            }
            _ => {}
        }
    }

    fn send(&mut self, connection: ConnectionId, bytes: Bytes, direction: usize) {
        let o = &self.options;
        let Some(conn) = self.conns.get_mut(&connection) else {
            return;
        };
        if !self.healed && self.rng.chance(o.half_open) {
            conn.blackhole = true;
        }
        if conn.blackhole {
            return;
        }
        if !self.healed && self.rng.chance(o.cut) {
            self.push(self.now, Event::UpEnd(connection));
            self.push(self.now, Event::DownEnd(connection));
            return;
        }
        if !self.healed && self.rng.chance(o.drop) {
            return;
        }
        let mut bytes = bytes;
        if !self.healed && self.rng.chance(o.corrupt) && !bytes.is_empty() {
            let mut damaged = bytes.to_vec();
            let bit = self.rng.below(damaged.len() as u64 * 8);
            damaged[(bit / 8) as usize] ^= 1 << (bit % 8);
            bytes = damaged.into();
        }
        let copies = if !self.healed && self.rng.chance(o.duplicate) { 2 } else { 1 };
        for _ in 0..copies {
            let o = &self.options;
            let delay = o.delay_ms.0 + self.rng.below(o.delay_ms.1 - o.delay_ms.0 + 1);
            let mut at = self.now + delay * MS;
            if let Some(conn) = self.conns.get_mut(&connection) {
                if o.fifo {
                    at = at.max(conn.last[direction]);
                }
                conn.last[direction] = at.max(conn.last[direction]);
            }
            let event = if direction == 0 {
                Event::Up(connection, bytes.clone())
            } else {
                Event::Down(connection, bytes.clone())
            };
            self.push(at, event);
        }
    }
}
