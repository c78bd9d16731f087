use std::collections::{BTreeMap, BTreeSet};

use avouch_engine::codec::{ErrorCode, Frame, GoodbyeCode, RejectCode, decode};
use avouch_engine::ids::{ConversationId, DeviceKey, MessageId, Seq, Time, UserId};
use avouch_engine::journal::{Memory, Query, Recovered};
use avouch_engine::server::{Config, ConnectionId, Effect, Input, LoadFailed, LoadId, Server, Stats};
use bytes::Bytes;

use super::{INSTALLATION, MS, ROOM, SECRET, change, encoded, hello};

/// A server whose peers are the test.
pub(crate) struct ServerRig {
    pub(crate) server: Server,
    pub(crate) journal: Memory,
    pub(crate) now_ms: u64,
    pub(crate) loads: Vec<(LoadId, Query)>,
    /// Whether proposals are committed as they come.
    pub(crate) commits: bool,
    /// Whether transports take frames as they come.
    pub(crate) takes: bool,
    config: Config,
    connection_next: u64,
    heard: BTreeMap<ConnectionId, Vec<Frame>>,
    closed: BTreeSet<ConnectionId>,
}

impl ServerRig {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config { secret: Bytes::from_static(SECRET), ..Config::default() };
        change(&mut config);
        Self {
            server: Server::new(config.clone(), Recovered::default(), 1),
            journal: Memory::default(),
            now_ms: 1_000,
            loads: Vec::new(),
            commits: true,
            takes: true,
            config,
            connection_next: 0,
            heard: BTreeMap::new(),
            closed: BTreeSet::new(),
        }
    }

    pub(crate) fn connect(&mut self) -> ConnectionId {
        self.connection_next += 1;
        let connection = ConnectionId(self.connection_next);
        self.input(Input::Connected(connection));
        connection
    }

    /// A device's connection, logged in; the welcome and what it brought are heard already.
    pub(crate) fn login(&mut self, key: DeviceKey) -> ConnectionId {
        let connection = self.connect();
        self.say(connection, &hello(key, INSTALLATION, &[]));
        let heard = self.heard(connection);
        assert!(matches!(heard.first(), Some(Frame::Welcome(_))), "{heard:?}");
        connection
    }

    /// Logs devices in, and the first one's user makes [`ROOM`] with all their users. Everything of that is heard and
    /// acknowledged: position 1 is over.
    pub(crate) fn room<const N: usize>(&mut self, keys: [DeviceKey; N]) -> [ConnectionId; N] {
        let connections = keys.map(|key| self.login(key));
        let mut members: Vec<UserId> = keys.iter().map(|key| key.user).collect();
        members.sort_unstable();
        members.dedup();
        self.say(connections[0], &change(1, ROOM, members, vec![]));
        for connection in connections {
            self.say(connection, &Frame::Ack { conversation: ROOM, up_to: 1 });
        }
        for connection in connections {
            self.settle_receipts(connection);
        }
        connections.map(|connection| {
            self.heard(connection);
            connection
        })
    }

    /// Confirms every receipt so far.
    pub(crate) fn settle_receipts(&mut self, connection: ConnectionId) {
        loop {
            let heard = self.heard(connection);
            let Some(version) = heard.iter().rev().find_map(|frame| match frame {
                Frame::Receipts { to, .. } => Some(*to),
                _ => None,
            }) else {
                return;
            };
            self.say(connection, &Frame::ReceiptAck { conversation: ROOM, version });
        }
    }

    pub(crate) fn say(&mut self, connection: ConnectionId, frame: &Frame) {
        self.say_bytes(connection, encoded(frame));
    }

    pub(crate) fn say_bytes(&mut self, connection: ConnectionId, bytes: Bytes) {
        self.input(Input::Received(connection, bytes));
    }

    /// Says something, and answers what the same connection hears of it.
    pub(crate) fn ask(&mut self, connection: ConnectionId, frame: &Frame) -> Vec<Frame> {
        self.heard(connection);
        self.say(connection, frame);
        self.heard(connection)
    }

    /// What a connection heard since the last question.
    pub(crate) fn heard(&mut self, connection: ConnectionId) -> Vec<Frame> {
        self.heard.remove(&connection).unwrap_or_default()
    }

    /// Positions of [`ROOM`] that a connection was delivered since the last question.
    pub(crate) fn delivered(&mut self, connection: ConnectionId) -> Vec<Seq> {
        let position = |frame: &Frame| match frame {
            Frame::Deliver { entry, .. } => Some(entry.seq),
            _ => None,
        };
        self.heard(connection).iter().filter_map(position).collect()
    }

    pub(crate) fn is_closed(&self, connection: ConnectionId) -> bool {
        self.closed.contains(&connection)
    }

    /// The connection heard just this error, and was closed.
    pub(crate) fn expect_error(&mut self, connection: ConnectionId, code: ErrorCode) {
        assert_eq!(self.heard(connection), [Frame::Error { code }]);
        assert!(self.is_closed(connection));
    }

    /// The last that the connection heard is this goodbye, and it was closed.
    pub(crate) fn expect_goodbye(&mut self, connection: ConnectionId, code: GoodbyeCode) {
        assert_eq!(self.heard(connection).last(), Some(&Frame::Goodbye { code }));
        assert!(self.is_closed(connection));
    }

    pub(crate) fn expect_accepted(&mut self, connection: ConnectionId, frame: &Frame, seq: Seq) {
        let heard = self.ask(connection, frame);
        assert!(accepts(&heard, id_of(frame), seq), "{heard:?}");
    }

    pub(crate) fn expect_rejected(&mut self, connection: ConnectionId, frame: &Frame, code: RejectCode) {
        let before = self.journal.log(ROOM).len();
        let heard = self.ask(connection, frame);
        assert_eq!(heard, [Frame::Rejected { id: id_of(frame), code }]);
        assert_eq!(self.journal.log(ROOM).len(), before);
    }

    pub(crate) fn disconnect(&mut self, connection: ConnectionId) {
        self.input(Input::Disconnected(connection));
    }

    /// Everything that is proposed becomes durable.
    pub(crate) fn commit(&mut self) {
        loop {
            let count = self.journal.commit(usize::MAX);
            if count == 0 {
                return;
            }
            self.input(Input::Committed(count));
        }
    }

    /// The disk is full.
    pub(crate) fn refuse(&mut self) {
        let count = self.journal.lose_tail();
        self.input(Input::Refused(count));
    }

    /// Answers the reads that wait.
    pub(crate) fn load(&mut self) {
        for (load, query) in std::mem::take(&mut self.loads) {
            let entries = self.journal.query(&query);
            self.input(Input::Loaded(load, Ok(entries)));
        }
    }

    pub(crate) fn fail_loads(&mut self) {
        for (load, _) in std::mem::take(&mut self.loads) {
            self.input(Input::Loaded(load, Err(LoadFailed)));
        }
    }

    /// Time goes by, with every timer at its time.
    pub(crate) fn pass(&mut self, ms: u64) {
        let end = self.now_ms + ms;
        while let Some(Time(at)) = self.server.next_timeout().filter(|at| at.0 <= end * MS) {
            self.now_ms = self.now_ms.max(at.div_ceil(MS));
            self.input(Input::Timeout);
        }
        self.now_ms = end;
    }

    /// The same, while the peers of these connections are alive.
    pub(crate) fn pass_alive(&mut self, ms: u64, connections: &[ConnectionId]) {
        for _ in 0..ms.div_ceil(1_000) {
            for connection in connections {
                self.say(*connection, &Frame::Alive { nonce: 0 });
            }
            self.pass(ms.min(1_000));
        }
    }

    /// The process dies; what is durable comes back in a new one.
    pub(crate) fn restart(&mut self) {
        self.journal.lose_tail();
        self.server = Server::new(self.config.clone(), self.journal.recovered(), 2);
        self.loads.clear();
        self.heard.clear();
    }

    pub(crate) fn stats(&self) -> Stats {
        *self.server.stats()
    }

    pub(crate) fn input(&mut self, input: Input) {
        self.server.handle(Time(self.now_ms * MS), self.now_ms, input);
        while let Some(effect) = self.server.poll_effect() {
            match effect {
                Effect::Transmit(connection, bytes) => {
                    let frame = decode(&bytes).expect("the server's own frame");
                    self.heard.entry(connection).or_default().push(frame);
                    if self.takes {
                        let taken = Input::Taken(connection, 1);
                        self.server.handle(Time(self.now_ms * MS), self.now_ms, taken);
                    }
                }
                Effect::Close(connection) => {
                    self.closed.insert(connection);
                }
                Effect::Propose(record) => self.journal.propose(record),
                Effect::Load(load, query) => self.loads.push((load, query)),
            }
        }
        if self.commits && self.journal.pending() > 0 {
            self.commit();
        }
    }
}

pub(crate) fn accepts(heard: &[Frame], id: MessageId, seq: Seq) -> bool {
    heard
        .iter()
        .any(|frame| matches!(frame, Frame::Accepted { id: of, seq: at, .. } if (*of, *at) == (id, seq)))
}

fn id_of(frame: &Frame) -> MessageId {
    match frame {
        Frame::Send { id, .. } | Frame::Members { id, .. } => *id,
        other => panic!("{other:?} is no operation"),
    }
}

impl ServerRig {
    /// A conversation with these users.
    pub(crate) fn make(
        &mut self,
        connection: ConnectionId,
        id: u64,
        at: ConversationId,
        members: Vec<UserId>,
    ) {
        let heard = self.ask(connection, &change(id, at, members, vec![]));
        assert!(accepts(&heard, MessageId(id), 1), "{heard:?}");
    }
}
