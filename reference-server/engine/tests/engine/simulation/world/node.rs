//! The server's process and its disk: commits, refusals, reads that fail, crashes.

use avouch_engine::server::{self, ConnectionId, Server};
use avouch_engine::{client, ids::Time};

use super::{Event, MS, World};

impl World {
    pub(super) fn server_input(&mut self, input: server::Input) {
        let Some(server) = &mut self.server else {
            return;
        };
        server.handle(Time(self.now), self.now / MS, input);
        while let Some(effect) = self.server.as_mut().and_then(Server::poll_effect) {
            match effect {
                server::Effect::Transmit(connection, bytes) => {
                    self.check_transmit(connection, &bytes);
                    let taken = self.hand_over(connection, bytes);
                    if let (true, Some(server)) = (taken, &mut self.server) {
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

    pub(super) fn commit(&mut self, epoch: u64) {
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

    pub(super) fn crash(&mut self) {
        let Some(server) = self.server.take() else {
            return;
        };
        self.stats.push(*server.stats());
        // What was written may have become durable without anybody being told.
        let survives = self.rng.below(self.journal.pending() as u64 + 1) as usize;
        self.journal.commit(survives);
        self.journal.lose_tail();
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

    pub(super) fn restart(&mut self) {
        let seed = self.rng.next();
        self.server = Some(Server::new(self.options.server.clone(), self.journal.recovered(), seed));
        self.conns.clear();
        for node in 0..self.nodes.len() {
            if self.nodes[node].connection.take().is_some() {
                self.client_input(node, client::Input::Disconnected);
            }
        }
    }
}
