//! The world of the exhaustive check: two clients, a server and its journal, and what may happen next.

use std::collections::VecDeque;
use std::fmt;
use std::hash::{Hash, Hasher};

use bytes::Bytes;

use super::Scope;
use super::party::Party;
use crate::backoff::Backoff;
use crate::client::{self, Command};
use crate::codec;
use crate::ids::{ConversationId, MessageId, Seq, Time};
use crate::journal::{Memory, Record};
use crate::server::{self, ConnectionId, Server};

/// Frames that are scheduled freely; all others pass at once.
const SCHEDULED: [&str; 3] = ["send", "accepted", "deliver"];
/// Every wait is shorter than this: retries, sweeps, reconnects.
pub(super) const WAIT_MS: u64 = 500;
const TICK_NS: u64 = 1_000_000_000;
/// Times that time may pass without any progress before the world counts as stuck.
const IDLE_TICKS_MAX: u8 = 4;
pub(super) const CONVERSATION: ConversationId = ConversationId(1);
pub(super) const SECRET: &[u8] = b"exhaustive";
/// The id of the operation that makes the conversation; messages follow.
const SET_UP: u64 = 1;

/// What may still go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Budget {
    pub(super) drops: u8,
    pub(super) copies: u8,
    pub(super) swaps: u8,
    pub(super) crashes: u8,
}

/// A queue of frames: of which client, and whether towards the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Queue {
    pub(super) client: usize,
    pub(super) up: bool,
}

/// What can happen next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Action {
    /// A client sends its next message.
    Send(usize),
    /// The first frame arrives.
    Pass(Queue),
    /// The first frame is lost.
    Drop(Queue),
    /// The first frame arrives, and a copy of it is on its way behind all others.
    Copy(Queue),
    /// The second frame overtakes the first.
    Swap(Queue),
    /// Everything that was proposed becomes durable.
    Commit,
    /// The server dies with everything that is not durable, and starts again.
    Crash,
    /// Time passes; every wait ends.
    Tick,
}

/// One state of the world.
#[derive(Clone)]
pub(super) struct State {
    now: Time,
    pub(super) server: Server,
    config: server::Config,
    pub(super) journal: Memory,
    /// Proposed and not durable.
    pub(super) tail: Vec<Record>,
    pub(super) parties: Vec<Party>,
    budget: Budget,
    connection_next: u64,
    idle_ticks: u8,
}

impl State {
    /// Both clients are logged in, and the conversation is made and settled.
    pub(super) fn set_up(scope: &Scope) -> Self {
        let never_ms = u32::MAX;
        let config = server::Config {
            secret: Bytes::from_static(SECRET),
            login_ms: u64::from(never_ms),
            heartbeat_ms: never_ms,
            silent_ms: never_ms,
            redelivery: Backoff { first_ms: WAIT_MS, cap_ms: WAIT_MS },
            sweep_ms: WAIT_MS,
            defects: scope.defects,
            ..server::Config::default()
        };
        let journal = Memory::default();
        let mut state = Self {
            now: Time(0),
            server: Server::new(config.clone(), journal.recovered(), 1),
            config,
            journal,
            tail: Vec::new(),
            parties: Vec::new(),
            budget: Budget { drops: 0, copies: 0, swaps: 0, crashes: 0 },
            connection_next: 0,
            idle_ticks: 0,
        };
        for number in 0..2 {
            state.parties.push(Party::new(number, scope));
            state.hear(number);
        }
        let added = state.parties.iter().map(|party| party.key.user).collect();
        let (id, conversation) = (MessageId(SET_UP), CONVERSATION);
        let make = Command::ChangeMembers { id, conversation, added, removed: Vec::new() };
        state.tell(0, client::Input::Command(make));
        while !state.is_at_rest() {
            let mut actions = Vec::new();
            state.actions(&mut actions);
            let first = *actions.first().expect("the set-up goes on until it is done");
            state.step(first);
        }
        for (party, unsent) in state.parties.iter_mut().zip(scope.messages) {
            (party.unsent, party.id_next) = (unsent, SET_UP + 1);
            party.accepted.clear();
        }
        state.budget = scope.budget;
        state
    }

    /// Everything that can happen now.
    pub(super) fn actions(&self, actions: &mut Vec<Action>) {
        let queues = (0..self.parties.len()).flat_map(|client| [true, false].map(|up| Queue { client, up }));
        for queue in queues.filter(|queue| !self.queue(*queue).is_empty()) {
            actions.push(Action::Pass(queue));
            actions.extend((self.budget.drops > 0).then_some(Action::Drop(queue)));
            actions.extend((self.budget.copies > 0).then_some(Action::Copy(queue)));
            let two = self.queue(queue).len() > 1;
            actions.extend((two && self.budget.swaps > 0).then_some(Action::Swap(queue)));
        }
        actions.extend((!self.tail.is_empty()).then_some(Action::Commit));
        let sends = (0..self.parties.len()).filter(|client| self.parties[*client].unsent > 0);
        actions.extend(sends.map(Action::Send));
        if actions.is_empty() && !self.is_at_rest() && self.idle_ticks < IDLE_TICKS_MAX {
            actions.push(Action::Tick);
        }
        actions.extend((self.budget.crashes > 0).then_some(Action::Crash));
    }

    /// Lets something happen, and then everything that happens at once.
    pub(super) fn step(&mut self, action: Action) {
        let before = self.progress();
        match action {
            Action::Send(client) => self.send(client),
            Action::Pass(queue) => self.pass(queue),
            Action::Drop(queue) => {
                self.budget.drops -= 1;
                self.queue_mut(queue).pop_front();
            }
            Action::Copy(queue) => {
                self.budget.copies -= 1;
                let frames = self.queue_mut(queue);
                let copy = frames.front().cloned();
                frames.extend(copy);
                self.pass(queue);
            }
            Action::Swap(queue) => {
                self.budget.swaps -= 1;
                self.queue_mut(queue).swap(0, 1);
            }
            Action::Commit => self.commit(),
            Action::Crash => self.crash(),
            Action::Tick => self.tick(),
        }
        self.settle();
        let idle = action == Action::Tick && self.progress() == before;
        self.idle_ticks = if idle { self.idle_ticks + 1 } else { 0 };
    }

    /// What nobody chooses the moment of: everything but messages, their acks and their commits.
    fn settle(&mut self) {
        loop {
            let all = (0..self.parties.len()).flat_map(|client| [true, false].map(|up| Queue { client, up }));
            let at_once = |queue: &Queue| {
                let first = self.queue(*queue).front();
                first.is_some_and(|frame| {
                    codec::kind_name_of(frame).is_none_or(|kind| !SCHEDULED.contains(&kind))
                })
            };
            let next = all.into_iter().find(at_once);
            let quiet = self.tail.iter().all(|record| !matches!(record, Record::Entry { .. }));
            match next {
                Some(queue) => self.pass(queue),
                None if quiet && !self.tail.is_empty() => self.commit(),
                None => return,
            }
        }
    }

    fn send(&mut self, number: usize) {
        let party = &mut self.parties[number];
        let id = MessageId(party.id_next);
        (party.id_next, party.unsent) = (party.id_next + 1, party.unsent - 1);
        let payload = Bytes::from(vec![number as u8, id.0 as u8]);
        let message = Command::Send { id, conversation: CONVERSATION, reply_to: None, payload };
        self.tell(number, client::Input::Command(message));
    }

    fn pass(&mut self, queue: Queue) {
        let Some(frame) = self.queue_mut(queue).pop_front() else { return };
        if !queue.up {
            return self.tell(queue.client, client::Input::Received(frame));
        }
        if let Some(connection) = self.parties[queue.client].connection {
            self.serve(server::Input::Received(connection, frame));
        }
    }

    fn commit(&mut self) {
        let records = std::mem::take(&mut self.tail);
        let count = records.len();
        for record in records {
            self.journal.propose(record);
        }
        self.journal.commit(count);
        self.serve(server::Input::Committed(count));
    }

    fn crash(&mut self) {
        self.budget.crashes -= 1;
        self.tail.clear();
        self.server = Server::new(self.config.clone(), self.journal.recovered(), 1);
        for number in 0..self.parties.len() {
            self.part(number);
            self.tell(number, client::Input::Disconnected);
        }
    }

    fn tick(&mut self) {
        self.now = Time(self.now.0 + TICK_NS);
        self.serve(server::Input::Timeout);
        for number in 0..self.parties.len() {
            self.tell(number, client::Input::Timeout);
        }
    }

    fn tell(&mut self, number: usize, input: client::Input) {
        self.parties[number].client.handle(self.now, input);
        self.hear(number);
    }

    /// Carries out what a client wants.
    fn hear(&mut self, number: usize) {
        while let Some(effect) = self.parties[number].client.poll_effect() {
            match effect {
                client::Effect::Connect => {
                    self.connection_next += 1;
                    let connection = ConnectionId(self.connection_next);
                    self.parties[number].connection = Some(connection);
                    self.serve(server::Input::Connected(connection));
                    self.parties[number].client.handle(self.now, client::Input::Connected);
                }
                client::Effect::Transmit(frame) => self.parties[number].up.push_back(frame),
                client::Effect::Disconnect => {
                    if let Some(connection) = self.part(number) {
                        self.serve(server::Input::Disconnected(connection));
                    }
                }
                client::Effect::Observe(observation) => self.parties[number].learn(observation),
            }
        }
    }

    fn serve(&mut self, input: server::Input) {
        self.server.handle(self.now, 0, input);
        while let Some(effect) = self.server.poll_effect() {
            match effect {
                server::Effect::Transmit(connection, frame) => {
                    // The transport takes every frame at once.
                    self.server.handle(self.now, 0, server::Input::Taken(connection, 1));
                    let party = self.parties.iter_mut().find(|party| party.connection == Some(connection));
                    if let Some(party) = party {
                        party.down.push_back(frame);
                    }
                }
                server::Effect::Close(connection) => {
                    let number = self.parties.iter().position(|party| party.connection == Some(connection));
                    if let Some(number) = number {
                        self.part(number);
                        self.tell(number, client::Input::Disconnected);
                    }
                }
                server::Effect::Propose(record) => self.tail.push(record),
                server::Effect::Load(load, query) => {
                    let entries = self.journal.query(&query);
                    self.server.handle(self.now, 0, server::Input::Loaded(load, Ok(entries)));
                }
            }
        }
    }

    /// A connection is gone, with whatever was on its way.
    fn part(&mut self, number: usize) -> Option<ConnectionId> {
        let party = &mut self.parties[number];
        party.up.clear();
        party.down.clear();
        party.connection.take()
    }

    pub(super) fn queue(&self, queue: Queue) -> &VecDeque<Bytes> {
        let party = &self.parties[queue.client];
        if queue.up { &party.up } else { &party.down }
    }

    fn queue_mut(&mut self, queue: Queue) -> &mut VecDeque<Bytes> {
        let party = &mut self.parties[queue.client];
        if queue.up { &mut party.up } else { &mut party.down }
    }

    fn progress(&self) -> (usize, usize, Seq) {
        let answered = self.parties.iter().map(|party| party.accepted.len() + party.refused.len()).sum();
        let shown = self.parties.iter().map(|party| party.shown.len()).sum();
        (answered, shown, self.journal.log(CONVERSATION).len() as Seq)
    }

    /// Nothing is owed to anybody, and nobody owes anything.
    pub(super) fn is_at_rest(&self) -> bool {
        let head = self.journal.log(CONVERSATION).len() as Seq;
        let settled = |party: &Party| {
            party.client.is_idle() && party.client.cursor(CONVERSATION) == head && party.is_quiet()
        };
        self.tail.is_empty() && self.parties.iter().all(settled)
    }
}

impl Hash for State {
    fn hash<H: Hasher>(&self, into: &mut H) {
        self.server.view(into);
        (self.journal.log(CONVERSATION), &self.tail, self.budget, self.idle_ticks).hash(into);
        for party in &self.parties {
            party.client.view(into);
            (party.connection, &party.up, &party.down, party.unsent, party.chain_broken).hash(into);
            (&party.accepted, &party.refused, &party.shown).hash(into);
        }
    }
}

/// States are told apart by their hashes everywhere; so here, too.
impl PartialEq for State {
    fn eq(&self, other: &Self) -> bool {
        let digest = |state: &Self| {
            let mut hasher = rustc_hash::FxHasher::default();
            state.hash(&mut hasher);
            hasher.finish()
        };
        digest(self) == digest(other)
    }
}

impl fmt::Debug for State {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("State").field("budget", &self.budget).finish_non_exhaustive()
    }
}
