//! The server's engine, driven by anything: frames whole and damaged, connections that come and go, commits that are
//! late, refused or lost with the power. It must not panic, nothing may leave before its commit, and what is
//! delivered is what the journal holds, whose log has no gaps (the journal in memory asserts that).
#![no_main]

use std::collections::{BTreeMap, BTreeSet};

use arbitrary::Arbitrary;
use avouch_engine::auth;
use avouch_engine::codec::{Frame, HEADER_BYTES, Hello, Purpose, VERSION, decode, encode};
use avouch_engine::ids::{ConversationId, DeviceId, DeviceKey, MessageId, Seq, Time, UserId};
use avouch_engine::journal::{Memory, Query};
use avouch_engine::server::{Config, ConnectionId, Effect, Input, LoadFailed, LoadId, Server};
use bytes::{Bytes, BytesMut};
use libfuzzer_sys::fuzz_target;

const SECRET: &[u8] = b"a secret of sixteen bytes";
const WALL_MS: u64 = 1_000;
/// Connections at one time.
const CONNECTIONS_MAX: usize = 8;
/// Effects that one input may have at most; more is a loop.
const EFFECTS_MAX: usize = 100_000;

#[derive(Arbitrary, Debug)]
enum Step<'a> {
    Connect,
    Hang {
        connection: u8,
    },
    Login {
        connection: u8,
        user: u8,
        device: u8,
        installation: u8,
        resume: bool,
    },
    Send {
        connection: u8,
        id: u16,
        after: u16,
        conversation: u8,
        reply_to: Option<u8>,
        bytes: u8,
    },
    Members {
        connection: u8,
        id: u16,
        after: u16,
        conversation: u8,
        added: Vec<u8>,
        removed: Vec<u8>,
    },
    Ack {
        connection: u8,
        conversation: u8,
        up_to: u16,
    },
    Read {
        connection: u8,
        conversation: u8,
        up_to: u16,
    },
    Receipts {
        connection: u8,
        conversation: u8,
        version: u16,
    },
    Sync {
        connection: u8,
        conversation: u8,
        after: u16,
        limit: u16,
    },
    /// A frame whose checksum fits and whose rest is anything.
    Sealed {
        connection: u8,
        kind: u8,
        body: &'a [u8],
    },
    Raw {
        connection: u8,
        bytes: &'a [u8],
    },
    Take {
        connection: u8,
        frames: u8,
    },
    Wait {
        ms: u16,
    },
    Commit {
        records: u8,
    },
    Refuse,
    Load {
        fails: bool,
    },
    Restart,
}

struct World {
    server: Server,
    journal: Memory,
    now: Time,
    next_connection: u64,
    connections: BTreeSet<ConnectionId>,
    loads: Vec<(LoadId, Query)>,
    heads: BTreeMap<ConversationId, Seq>,
}

fuzz_target!(|steps: Vec<Step<'_>>| {
    let mut world = World::new();
    for step in steps {
        world.step(step);
        world.drain();
    }
});

fn config() -> Config {
    // Small, so that every limit is met.
    Config {
        secret: Bytes::from_static(SECRET),
        window_entries: 4,
        tail_entries: 4,
        pending_max: 16,
        ..Config::default()
    }
}

impl World {
    fn new() -> Self {
        let journal = Memory::default();
        Self {
            server: Server::new(config(), journal.recovered(), 1),
            journal,
            now: Time(0),
            next_connection: 0,
            connections: BTreeSet::new(),
            loads: Vec::new(),
            heads: BTreeMap::new(),
        }
    }

    fn handle(&mut self, input: Input) {
        self.server.handle(self.now, WALL_MS, input);
    }

    fn pick(&self, connection: u8) -> Option<ConnectionId> {
        let count = self.connections.len().max(1);
        self.connections.iter().nth(usize::from(connection) % count).copied()
    }

    fn frame(&mut self, connection: u8, frame: &Frame) {
        self.bytes(connection, encode(frame, &mut BytesMut::new()));
    }

    fn bytes(&mut self, connection: u8, bytes: Bytes) {
        if let Some(connection) = self.pick(connection) {
            self.handle(Input::Received(connection, bytes));
        }
    }

    fn step(&mut self, step: Step<'_>) {
        match step {
            Step::Connect if self.connections.len() < CONNECTIONS_MAX => {
                self.next_connection += 1;
                let connection = ConnectionId(self.next_connection);
                self.connections.insert(connection);
                self.handle(Input::Connected(connection));
            }
            Step::Connect => {}
            Step::Hang { connection } => {
                if let Some(connection) = self.pick(connection) {
                    self.connections.remove(&connection);
                    self.handle(Input::Disconnected(connection));
                }
            }
            Step::Take { connection, frames } => {
                if let Some(connection) = self.pick(connection) {
                    self.handle(Input::Taken(connection, usize::from(frames)));
                }
            }
            Step::Sealed { connection, kind, body } => self.bytes(connection, sealed(kind, body)),
            Step::Raw { connection, bytes } => self.bytes(connection, Bytes::copy_from_slice(bytes)),
            Step::Wait { ms } => {
                self.now.0 += u64::from(ms) * 1_000_000;
                self.handle(Input::Timeout);
            }
            Step::Commit { records } => {
                let count = self.journal.commit(usize::from(records));
                self.note_heads();
                self.handle(Input::Committed(count));
            }
            Step::Refuse => {
                let count = self.journal.lose_tail();
                self.handle(Input::Refused(count));
            }
            Step::Load { fails } => self.load(fails),
            Step::Restart => self.restart(),
            said => self.say(said),
        }
    }

    fn say(&mut self, step: Step<'_>) {
        let conversation = |number: u8| ConversationId(u64::from(number % 4));
        let users = |numbers: Vec<u8>| numbers.into_iter().map(|user| UserId(u64::from(user % 8))).collect();
        let message = |id: u16| MessageId(u64::from(id));
        match step {
            Step::Login { connection, user, device, installation, resume } => {
                let key =
                    DeviceKey { user: UserId(u64::from(user % 8)), device: DeviceId(u32::from(device % 2)) };
                let token = auth::token(SECRET, key, WALL_MS + 1);
                let installation = u64::from(installation % 4);
                let hello =
                    Hello { version: VERSION, key, installation, resume, token, positions: Vec::new() };
                self.frame(connection, &Frame::Hello(hello));
            }
            Step::Send { connection, id, after, conversation: place, reply_to, bytes } => {
                let payload = Bytes::from(vec![bytes; usize::from(bytes)]);
                let (id, after, conversation) = (message(id), message(after), conversation(place));
                let reply_to = reply_to.map(Seq::from);
                self.frame(connection, &Frame::Send { id, after, conversation, reply_to, payload });
            }
            Step::Members { connection, id, after, conversation: place, added, removed } => {
                let (id, after, conversation) = (message(id), message(after), conversation(place));
                let (added, removed) = (users(added), users(removed));
                self.frame(connection, &Frame::Members { id, after, conversation, added, removed });
            }
            Step::Ack { connection, conversation: place, up_to } => {
                self.frame(
                    connection,
                    &Frame::Ack { conversation: conversation(place), up_to: up_to.into() },
                );
            }
            Step::Read { connection, conversation: place, up_to } => {
                self.frame(
                    connection,
                    &Frame::Read { conversation: conversation(place), up_to: up_to.into() },
                );
            }
            Step::Receipts { connection, conversation: place, version } => {
                let (conversation, version) = (conversation(place), version.into());
                self.frame(connection, &Frame::ReceiptAck { conversation, version });
            }
            Step::Sync { connection, conversation: place, after, limit } => {
                let (conversation, after, purpose) = (conversation(place), after.into(), Purpose::History);
                self.frame(connection, &Frame::Sync { request: 1, conversation, after, limit, purpose });
            }
            _ => {}
        }
    }

    fn load(&mut self, fails: bool) {
        if self.loads.is_empty() {
            return;
        }
        let (load, query) = self.loads.remove(0);
        let answer = if fails { Err(LoadFailed) } else { Ok(self.journal.query(&query)) };
        self.handle(Input::Loaded(load, answer));
    }

    /// Power is lost: what was not committed is gone, and so is every connection.
    fn restart(&mut self) {
        self.journal.lose_tail();
        self.connections.clear();
        self.loads.clear();
        self.server = Server::new(config(), self.journal.recovered(), 1);
    }

    fn note_heads(&mut self) {
        let heads = self.journal.recovered().conversations;
        self.heads = heads.iter().map(|conversation| (conversation.id, conversation.head)).collect();
    }

    fn drain(&mut self) {
        for _ in 0..EFFECTS_MAX {
            match self.server.poll_effect() {
                Some(Effect::Transmit(_, bytes)) => self.check_sent(&bytes),
                Some(Effect::Close(connection)) => {
                    self.connections.remove(&connection);
                    self.handle(Input::Disconnected(connection));
                }
                Some(Effect::Propose(record)) => self.journal.propose(record),
                Some(Effect::Load(load, query)) => self.loads.push((load, query)),
                None => return,
            }
        }
        panic!("one input has more than {EFFECTS_MAX} effects");
    }

    /// Nothing that depends on a record leaves before its commit.
    fn check_sent(&self, bytes: &Bytes) {
        let head = |conversation: &ConversationId| self.heads.get(conversation).copied().unwrap_or(0);
        match decode(bytes).expect("the server sends frames") {
            Frame::Accepted { conversation, seq, .. } => {
                assert!(seq <= head(&conversation), "acked before its commit")
            }
            Frame::Deliver { conversation, entry, .. } => {
                assert!(entry.seq <= head(&conversation), "delivered before its commit");
                let stored = &self.journal.log(conversation)[entry.seq as usize - 1];
                assert_eq!(stored, &entry, "delivered as stored");
            }
            _ => {}
        }
    }
}

fn sealed(kind: u8, body: &[u8]) -> Bytes {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&[kind]);
    hasher.update(body);
    let mut frame = Vec::with_capacity(HEADER_BYTES + body.len());
    frame.push(kind);
    frame.extend(hasher.finalize().to_le_bytes());
    frame.extend(body);
    frame.into()
}
