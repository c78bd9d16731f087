//! How much the engines do per second of one processor: codec, both state machines and the journal in memory, nothing else.
//!
//! `cargo bench -p avouch-engine [-- MESSAGES]`. One thread, a plain loop; what counts is processor time, so that other
//! work on the machine disturbs little. A message counts when its sender knows that it is durable and every device has
//! it and the server knows so. The parts are measured by themselves on the same bytes and set against the whole.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark prints, and cannot go on after an error"
)]
#![allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::LazyLock;
use std::time::Instant;

use avouch_engine::client::{self, Client, Command, Observation};
use avouch_engine::codec::{Cause, Frame, decode, encode, encode_deliver};
use avouch_engine::ids::{ConversationId, DeviceId, DeviceKey, MessageId, Time, UserId};
use avouch_engine::journal::{Body, Entry, Memory, Recovered};
use avouch_engine::limits::MEMBERS_PER_CHANGE;
use avouch_engine::server::{self, Config, ConnectionId, Server};
use avouch_engine::{auth, chain};
use bytes::{Bytes, BytesMut};

const SECRET: &[u8] = b"the benchmark's secret";
const PAYLOAD_BYTES: usize = 100;
const MS: u64 = 1_000_000;
/// Messages that a sender hands in at once, and that are committed together.
const BATCH: u64 = 16;
/// Conversations that are busy at the same time.
const CONVERSATIONS: u64 = 20;
const GROUP: u64 = 10_000;

fn main() {
    let messages = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(200_000);
    for recipients in [2, 4] {
        let whole_ns = conversations(recipients, messages);
        parts(recipients, whole_ns);
    }
    group();
}

/// Busy conversations of one sender and so many recipients; answers nanoseconds per message.
fn conversations(recipients: u64, messages: u64) -> f64 {
    let mut world = World::new();
    let members = recipients + 1;
    for conversation in 0..CONVERSATIONS {
        let users: Vec<u64> = (0..members).map(|member| conversation * members + member + 1).collect();
        let first = world.devices.len();
        for user in &users {
            world.device(*user);
        }
        world.make(first, ConversationId(conversation + 1), &users);
    }
    let (mut sent, begin) = (0, cpu_ns());
    let delivered = world.delivered;
    let accepted = world.accepted;
    while sent < messages {
        for conversation in 0..CONVERSATIONS {
            let sender = (conversation * members) as usize;
            (0..BATCH).for_each(|_| world.send(sender, ConversationId(conversation + 1)));
            world.settle();
            sent += BATCH;
        }
        world.pass_ms(1);
    }
    let ns = (cpu_ns() - begin) as f64 / sent as f64;
    assert_eq!(world.accepted - accepted, sent);
    assert_eq!(world.delivered - delivered, sent * members);
    let stats = world.server.stats();
    assert_eq!((stats.delivered_retry, stats.dedup_hits), (0, 0));
    println!("## {recipients} recipients, {PAYLOAD_BYTES} bytes");
    println!("acked and delivered to all  {:>9.0} messages per CPU-second  ({ns:.0} ns each)", 1e9 / ns);
    println!("deliveries                  {:>9.0} per CPU-second", 1e9 / ns * members as f64);
    ns
}

/// One message to a group of 10,000, of whom some are online.
fn group() {
    println!("## a group of {GROUP}, {PAYLOAD_BYTES} bytes");
    for (online, messages) in [(0, 50_000), (100, 3_200), (1_000, 320)] {
        let mut world = World::new();
        world.device(1);
        (0..online).for_each(|user| world.device(user + 2));
        let users: Vec<u64> = (1..=GROUP).collect();
        for (step, some) in users.chunks(MEMBERS_PER_CHANGE).enumerate() {
            let added = some.iter().copied().map(UserId).collect();
            world.change(0, step as u64 + 1, ConversationId(1), added);
        }
        let begin = cpu_ns();
        for _ in 0..messages / BATCH as u32 {
            (0..BATCH).for_each(|_| world.send(0, ConversationId(1)));
            world.settle();
            world.pass_ms(1);
        }
        let us = (cpu_ns() - begin) as f64 / f64::from(messages) / 1e3;
        println!("{online:>5} others online: {us:>8.1} us per message");
    }
}

/// What hashing, checksums and the codec cost on the same bytes, as shares of the whole.
fn parts(recipients: u64, whole_ns: f64) {
    let entry = Entry {
        seq: 1_000,
        author: DeviceKey { user: UserId(1), device: DeviceId(0) },
        id: MessageId(1_000),
        at_ms: 1,
        chain: [7; 32],
        body: Body::Message { reply_to: None, payload: Bytes::from(vec![b'x'; PAYLOAD_BYTES]) },
    };
    let conversation = ConversationId(1);
    let Body::Message { payload, .. } = entry.body.clone() else { unreachable!() };
    let id = entry.id;
    let send = Frame::Send { id, after: id, conversation, reply_to: None, payload };
    let mut scratch = BytesMut::new();
    let sent = encode(&send, &mut scratch);
    let delivered = encode_deliver(conversation, (999, false, Cause::First), &entry, &mut scratch);
    let devices = recipients as f64 + 1.0;

    let hash = each(|| black_box(chain::next(black_box(&entry.chain), conversation, &entry)));
    let crc = |bytes: &Bytes| each(|| black_box(crc32fast::hash(black_box(bytes))));
    let (crc_sent, crc_delivered) = (crc(&sent), crc(&delivered));
    let mut scratch = BytesMut::new();
    let encode_send = each(|| black_box(encode(black_box(&send), &mut scratch)));
    let mut scratch = BytesMut::new();
    let how = (999, false, Cause::First);
    let encode_delivery =
        each(|| black_box(encode_deliver(conversation, how, black_box(&entry), &mut scratch)));
    let decode_send = each(|| black_box(decode(black_box(&sent)).unwrap()));
    let decode_delivery = each(|| black_box(decode(black_box(&delivered)).unwrap()));

    // The server hashes once and each device verifies; a frame is encoded once for all, and decoded by each.
    let hashes = hash * (1.0 + devices);
    let checksums = 2.0 * crc_sent + crc_delivered * (1.0 + devices);
    let codec = encode_send + decode_send + encode_delivery + decode_delivery * devices - checksums;
    let share = |ns: f64| 100.0 * ns / whole_ns;
    println!("  SHA-256 (chain)    {hashes:>6.0} ns  {:>4.0} %", share(hashes));
    println!("  CRC-32             {checksums:>6.0} ns  {:>4.0} %   send and deliver", share(checksums));
    println!("  codec without CRC  {codec:>6.0} ns  {:>4.0} %   send and deliver", share(codec));
    let rest = whole_ns - hashes - checksums - codec;
    println!(
        "  all else           {rest:>6.0} ns  {:>4.0} %   maps, queues, timers, small frames",
        share(rest)
    );
}

/// Nanoseconds of processor time of one call.
fn each<T>(mut call: impl FnMut() -> T) -> f64 {
    const CALLS: u32 = 200_000;
    for _ in 0..CALLS / 10 {
        call();
    }
    let begin = cpu_ns();
    for _ in 0..CALLS {
        call();
    }
    (cpu_ns() - begin) as f64 / f64::from(CALLS)
}

/// Processor time of this thread, nanoseconds; where the system does not tell, the time on the wall.
fn cpu_ns() -> u64 {
    static BEGIN: LazyLock<Instant> = LazyLock::new(Instant::now);
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let spent = told.and_then(|text| text.split(' ').next()?.parse().ok());
    spent.unwrap_or_else(|| BEGIN.elapsed().as_nanos() as u64)
}

struct World {
    server: Server,
    journal: Memory,
    now_ms: u64,
    devices: Vec<Client>,
    next_id: BTreeMap<usize, u64>,
    payload: Bytes,
    accepted: u64,
    delivered: u64,
}

impl World {
    fn new() -> Self {
        let config = Config { secret: Bytes::from_static(SECRET), ..Config::default() };
        Self {
            server: Server::new(config, Recovered::default(), 1),
            journal: Memory::default(),
            now_ms: 1,
            devices: Vec::new(),
            next_id: BTreeMap::new(),
            payload: Bytes::from(vec![b'x'; PAYLOAD_BYTES]),
            accepted: 0,
            delivered: 0,
        }
    }

    fn device(&mut self, user: u64) {
        let key = DeviceKey { user: UserId(user), device: DeviceId(0) };
        let token = auth::token(SECRET, key, u64::MAX);
        self.devices.push(Client::new(client::Config::default(), key, token, user));
        self.settle();
    }

    fn make(&mut self, device: usize, conversation: ConversationId, users: &[u64]) {
        self.change(device, 1, conversation, users.iter().copied().map(UserId).collect());
    }

    fn change(&mut self, device: usize, id: u64, conversation: ConversationId, added: Vec<UserId>) {
        self.next_id.insert(device, id + 1);
        let command = Command::ChangeMembers { id: MessageId(id), conversation, added, removed: Vec::new() };
        self.devices[device].handle(Time(self.now_ms * MS), client::Input::Command(command));
        self.settle();
    }

    fn send(&mut self, device: usize, conversation: ConversationId) {
        let id = self.next_id.entry(device).or_insert(1);
        let (number, payload) = (MessageId(*id), self.payload.clone());
        *id += 1;
        let command = Command::Send { id: number, conversation, reply_to: None, payload };
        self.devices[device].handle(Time(self.now_ms * MS), client::Input::Command(command));
    }

    fn pass_ms(&mut self, ms: u64) {
        self.now_ms += ms;
        let now = Time(self.now_ms * MS);
        if self.server.next_timeout().is_some_and(|at| at <= now) {
            self.server.handle(now, self.now_ms, server::Input::Timeout);
        }
        for device in &mut self.devices {
            if device.next_timeout().is_some_and(|at| at <= now) {
                device.handle(now, client::Input::Timeout);
            }
        }
        self.settle();
    }

    /// Carries frames and commits until nothing moves. A device's connection has its number.
    fn settle(&mut self) {
        let now = Time(self.now_ms * MS);
        loop {
            let mut moved = false;
            for (number, device) in self.devices.iter_mut().enumerate() {
                let connection = ConnectionId(number as u64);
                while let Some(effect) = device.poll_effect() {
                    moved = true;
                    let input = match effect {
                        client::Effect::Connect => {
                            device.handle(now, client::Input::Connected);
                            server::Input::Connected(connection)
                        }
                        client::Effect::Transmit(bytes) => server::Input::Received(connection, bytes),
                        client::Effect::Disconnect => server::Input::Disconnected(connection),
                        client::Effect::Observe(seen) => {
                            self.accepted += u64::from(matches!(seen, Observation::Accepted { .. }));
                            self.delivered += u64::from(matches!(seen, Observation::Delivered { .. }));
                            continue;
                        }
                    };
                    self.server.handle(now, self.now_ms, input);
                }
            }
            while let Some(effect) = self.server.poll_effect() {
                moved = true;
                match effect {
                    server::Effect::Transmit(connection, bytes) => {
                        self.server.handle(now, self.now_ms, server::Input::Taken(connection, 1));
                        self.devices[connection.0 as usize].handle(now, client::Input::Received(bytes));
                    }
                    server::Effect::Close(_) => unreachable!("nobody is closed here"),
                    server::Effect::Propose(record) => self.journal.propose(record),
                    server::Effect::Load(load, query) => {
                        let entries = self.journal.query(&query);
                        self.server.handle(now, self.now_ms, server::Input::Loaded(load, Ok(entries)));
                    }
                }
            }
            let committed = self.journal.commit(usize::MAX);
            if committed > 0 {
                self.server.handle(now, self.now_ms, server::Input::Committed(committed));
            } else if !moved {
                return;
            }
        }
    }
}
