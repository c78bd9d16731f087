//! Devices, and the people who use them.

use std::collections::BTreeMap;

use avouch_engine::auth;
use avouch_engine::client::{self, Client, Command, Observation};
use avouch_engine::ids::{ConversationId, DeviceKey, MessageId, Seq, Time, UserId};
use avouch_engine::journal::Body;
use avouch_engine::server::ConnectionId;
use bytes::Bytes;
use sha2::Digest;

use super::{Act, Event, MS, World};
use crate::simulation::oracle::{Oracle, is_member, visible};

pub(super) struct Node {
    pub(super) key: DeviceKey,
    pub(super) client: Client,
    pub(super) connection: Option<ConnectionId>,
    /// Rises with every installation; events of an older one are stale.
    pub(super) installation: u64,
    pub(super) attempt: u64,
    pub(super) closed: bool,
    pub(super) delivered: BTreeMap<ConversationId, Vec<Seq>>,
    pub(super) receipts: BTreeMap<(ConversationId, DeviceKey), (Seq, Seq)>,
    pub(super) read: BTreeMap<ConversationId, Seq>,
    pub(super) read_confirmed: BTreeMap<ConversationId, Seq>,
    pub(super) suppressed_unflagged: u64,
}

impl World {
    pub(super) fn new_client(&mut self, key: DeviceKey) -> Client {
        let token = auth::token(&self.options.server.secret, key, u64::MAX);
        let mut config = self.options.client.clone();
        config.consume_window = self.options.consume_window;
        Client::new(config, key, token, self.rng.next())
    }

    pub(super) fn act(&mut self, act: Act) {
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
            Act::Stranger => self.stranger(),
            Act::Stall => {
                if let Some(connection) = self.nodes[node].connection {
                    self.stall(connection);
                }
            }
            Act::Repeat => self.repeat(node),
            Act::Crash => self.crash(),
            Act::Reinstall => self.reinstall(node),
            Act::ReadHistory => {
                let request = self.rng.next() >> 1;
                self.command(node, Command::ReadPage { request, conversation, after: 0 });
            }
        }
    }

    /// An application that does not know what became of one of its oldest operations sends it again.
    fn repeat(&mut self, node: usize) {
        let oldest = self.oracle.oldest(self.nodes[node].key, 50);
        if oldest.is_empty() {
            return;
        }
        let (id, conversation, seq) = self.rng.one_of(&oldest);
        let body = self.journal.log(conversation)[seq as usize - 1].body.clone();
        self.command(
            node,
            match body {
                Body::Message { reply_to, payload } => Command::Send { id, conversation, reply_to, payload },
                Body::Members { added, removed } => {
                    Command::ChangeMembers { id, conversation, added, removed }
                }
            },
        );
    }

    pub(super) fn reinstall(&mut self, node: usize) {
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

    pub(super) fn next_id(&mut self) -> MessageId {
        self.id_next += 1;
        MessageId(self.id_next)
    }

    pub(super) fn command(&mut self, node: usize, command: Command) {
        self.client_input(node, client::Input::Command(command));
    }

    pub(super) fn client_input(&mut self, node: usize, input: client::Input) {
        self.nodes[node].client.handle(Time(self.now), input);
        self.drain_client(node);
    }

    pub(super) fn drain_client(&mut self, node: usize) {
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

    pub(super) fn observe(&mut self, node: usize, observation: Observation) {
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
            Observation::Indefinite { id, code } => {
                assert_eq!(code, "stale-id");
                self.stale += 1;
                Oracle::stale(&self.journal, self.options.conversations, key, id);
            }
            Observation::Session { .. }
            | Observation::Retried { .. }
            | Observation::Acknowledged { .. }
            | Observation::Gap { .. } => {}
        }
    }
}
