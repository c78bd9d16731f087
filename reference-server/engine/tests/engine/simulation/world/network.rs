//! Links: connections that lose, copy, damage, delay and cut, and transports that stand still.

use avouch_engine::client;
use avouch_engine::ids::DeviceKey;
use avouch_engine::server::{self, ConnectionId};
use bytes::Bytes;

use super::{Event, MS, World};
use crate::simulation::options::STALL_MS_MAX;

pub(super) struct Conn {
    /// `None`: somebody who never says anything.
    pub(super) node: Option<usize>,
    pub(super) blackhole: bool,
    /// Frames that the transport does not take at the moment.
    pub(super) backlog: Option<Vec<Bytes>>,
    pub(super) last: [u64; 2],
    pub(super) key: Option<(DeviceKey, u64)>,
}

impl Conn {
    fn new(node: Option<usize>) -> Self {
        Self { node, blackhole: false, backlog: None, last: [0, 0], key: None }
    }
}

impl World {
    /// Somebody connects and says nothing.
    pub(super) fn stranger(&mut self) {
        if self.server.is_some() {
            self.conn_next += 1;
            let connection = ConnectionId(self.conn_next);
            self.conns.insert(connection, Conn::new(None));
            self.server_input(server::Input::Connected(connection));
        }
    }

    /// The transport of a connection takes nothing for a while.
    pub(super) fn stall(&mut self, connection: ConnectionId) {
        if let Some(conn) = self.conns.get_mut(&connection)
            && conn.backlog.is_none()
        {
            conn.backlog = Some(Vec::new());
            let ms = self.rng.below(STALL_MS_MAX);
            self.push(self.now + ms * MS, Event::Flow(connection));
        }
    }

    pub(super) fn flow(&mut self, connection: ConnectionId) {
        let backlog =
            self.conns.get_mut(&connection).and_then(|conn| conn.backlog.take()).unwrap_or_default();
        let count = backlog.len();
        for bytes in backlog {
            self.send(connection, bytes, 1);
        }
        self.server_input(server::Input::Taken(connection, count));
    }

    /// Hands a frame of the server to the transport; answers whether that took it.
    pub(super) fn hand_over(&mut self, connection: ConnectionId, bytes: Bytes) -> bool {
        if let Some(backlog) = self.conns.get_mut(&connection).and_then(|conn| conn.backlog.as_mut()) {
            backlog.push(bytes);
            return false;
        }
        self.send(connection, bytes, 1);
        true
    }

    pub(super) fn node_of(&self, connection: ConnectionId) -> Option<usize> {
        let node = self.conns.get(&connection)?.node?;
        (self.nodes[node].connection == Some(connection)).then_some(node)
    }

    pub(super) fn cut(&mut self, connection: ConnectionId) {
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

    pub(super) fn connect(&mut self, node: usize, attempt: u64) {
        if self.nodes[node].attempt != attempt {
            return;
        }
        if self.server.is_none() {
            self.client_input(node, client::Input::Disconnected);
            return;
        }
        self.conn_next += 1;
        let connection = ConnectionId(self.conn_next);
        self.conns.insert(connection, Conn::new(Some(node)));
        self.nodes[node].connection = Some(connection);
        self.server_input(server::Input::Connected(connection));
        self.client_input(node, client::Input::Connected);
    }

    pub(super) fn send(&mut self, connection: ConnectionId, bytes: Bytes, direction: usize) {
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
