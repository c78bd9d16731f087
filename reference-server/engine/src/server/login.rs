//! Connections: login, takeover, and the end of a connection.

use std::collections::VecDeque;

use super::state::{Connection, DeviceIx, Login, Server, Timer};
use super::{ConnectionId, Effect};
use crate::auth;
use crate::codec::{Cause, ErrorCode, Frame, GoodbyeCode, Hello, Position, VERSION, Welcome};
use crate::defects::Defect;
use crate::journal::Record;
use crate::limits;

impl Server {
    pub(super) fn on_connected(&mut self, connection: ConnectionId) {
        if self.connections.len() >= limits::CONNECTIONS_MAX {
            self.effects.push_back(Effect::Close(connection));
            return;
        }
        let now = self.now;
        let fresh = Connection {
            login: Login::Waiting,
            opened: now,
            heard: now,
            probed: now,
            timer_at: None,
            untaken: VecDeque::new(),
            untaken_bytes: 0,
            loads: 0,
        };
        self.connections.insert(connection, fresh);
        self.arm_connection(connection);
    }

    pub(super) fn on_taken(&mut self, connection: ConnectionId, frames: usize) {
        let Some(state) = self.connections.get_mut(&connection) else {
            return;
        };
        let was_clogged = state.is_clogged(&self.config);
        for _ in 0..frames {
            let Some(bytes) = state.untaken.pop_front() else {
                break;
            };
            state.untaken_bytes -= bytes as usize;
        }
        if let (true, Login::Done(device)) = (was_clogged, state.login) {
            self.pump(device, Cause::First);
        }
    }

    pub(super) fn on_hello(&mut self, connection: ConnectionId, hello: &Hello) {
        let Some(login) = self.connections.get(&connection).map(|state| state.login) else {
            return;
        };
        if hello.version != VERSION {
            return self.fail(connection, ErrorCode::Version);
        }
        if auth::verify(&self.config.secret, hello.key, &hello.token, self.wall_ms).is_err() {
            return self.fail(connection, ErrorCode::Unauthorized);
        }
        match login {
            Login::Done(device) if self.is_same(device, hello) => self.welcome(connection, device, true),
            Login::Committing { device, installation }
                if self.devices[device].key == hello.key && installation == hello.installation => {}
            Login::Done(_) | Login::Committing { .. } => self.fail(connection, ErrorCode::Unexpected),
            Login::Waiting => self.login(connection, hello),
        }
    }

    fn is_same(&self, device: DeviceIx, hello: &Hello) -> bool {
        let known = &self.devices[device];
        known.key == hello.key && known.installation == Some(hello.installation)
    }

    fn login(&mut self, connection: ConnectionId, hello: &Hello) {
        let known = self.user_index.get(&hello.key.user).map(|user| self.users[*user].devices.len());
        let is_new = !self.device_index.contains_key(&hello.key);
        if is_new && known.is_some_and(|count| count >= limits::DEVICES_PER_USER) {
            return self.fail(connection, ErrorCode::TooMany);
        }
        let device = self.device(hello.key);
        // Whoever said this has made a newer connection since, and is not here any more.
        if self.devices[device].newest.is_some_and(|newest| connection < newest) {
            self.stats.late_hellos += 1;
            return self.close(connection, GoodbyeCode::Takeover);
        }
        self.devices[device].newest = Some(connection);
        self.take_over(device);
        if self.devices[device].installation == Some(hello.installation) && !self.devices[device].resetting {
            self.attach(connection, device, true, &hello.positions);
            return;
        }
        // From here to the commit nobody may move the old installation's cursors.
        self.devices[device].resetting = true;
        let installation = hello.installation;
        if let Some(state) = self.connections.get_mut(&connection) {
            state.login = Login::Committing { device, installation };
        }
        let record = Record::Device { device: hello.key, installation };
        self.propose(device, 0, record);
    }

    pub(super) fn apply_installation(&mut self, device: DeviceIx, installation: u64) {
        self.stats.new_installations += 1;
        let is_last = !self
            .proposals
            .iter()
            .any(|later| later.device == device && matches!(later.record, Record::Device { .. }));
        self.devices[device].installation = Some(installation);
        self.devices[device].resetting = !is_last;
        let user = self.devices[device].user;
        for conversation in self.users[user].conversations.clone() {
            if let Some(progress) = self.conversations[conversation].progress.get_mut(&device) {
                let version = progress.version;
                *progress = super::state::Progress { version, ..Default::default() };
            }
        }
        let waiting = Login::Committing { device, installation };
        let mut connections: Vec<ConnectionId> =
            self.connections.iter().filter(|(_, state)| state.login == waiting).map(|(id, _)| *id).collect();
        connections.sort_unstable();
        if let (Some(newest), true) = (connections.pop(), is_last) {
            self.attach(newest, device, self.config.defects.has(Defect::ReinstallCalledResumed), &[]);
        }
    }

    /// The journal refused a new installation: the hello will come again.
    pub(super) fn withdraw_installation(&mut self, device: DeviceIx) {
        self.devices[device].resetting = false;
        for state in self.connections.values_mut() {
            if matches!(state.login, Login::Committing { device: waiting, .. } if waiting == device) {
                state.login = Login::Waiting;
            }
        }
    }

    /// Ends whatever other connection the device has.
    fn take_over(&mut self, device: DeviceIx) {
        if let Some(old) = self.devices[device].connection {
            self.stats.takeovers += 1;
            if self.config.defects.has(Defect::TakeoverDropsInFlight) {
                self.take_sent_for_acked(device);
            }
            self.close(old, GoodbyeCode::Takeover);
        }
    }

    fn attach(&mut self, connection: ConnectionId, device: DeviceIx, resumed: bool, positions: &[Position]) {
        self.take_over(device);
        let Some(state) = self.connections.get_mut(&connection) else {
            return;
        };
        state.login = Login::Done(device);
        self.stats.logins += 1;
        let now = self.now;
        if self.config.defects.has(Defect::ResumeFromLastSent) {
            self.take_sent_for_acked(device);
        }
        let owner = &mut self.devices[device];
        if self.config.defects.has(Defect::DedupByConnection) {
            owner.dedup = super::dedup::Dedup::default();
        }
        owner.connection = Some(connection);
        owner.sweep_at = crate::backoff::after_ms(now, self.config.sweep_ms);
        let (user, sweep_at) = (owner.user, owner.sweep_at);
        self.welcome(connection, device, resumed);
        if self.config.defects.has(Defect::StuckAfterTwoPartitions) && self.stats.silent_closed >= 2 {
            return;
        }
        for position in positions {
            self.take_position(device, *position);
        }
        let mut behind = Vec::new();
        for conversation in self.users[user].conversations.clone() {
            let state = &mut self.conversations[conversation];
            if state.is_member(user) {
                state.online.insert(device);
            }
            let last = state.last_visible(user);
            let progress = state.progress.entry(device).or_default();
            if self.config.defects.has(Defect::FanOutSkipsOffline) {
                progress.acked = last;
            }
            if self.config.defects.has(Defect::ResumeOffByOne) && progress.acked < last {
                progress.acked += 1;
            }
            if self.config.defects.has(Defect::ReceiptLostAtReconnect) {
                progress.receipts_acked = state.version;
            }
            let acked = progress.acked;
            if let Some(first) = state.next_visible(user, acked) {
                let few = last - first < self.config.window_entries as u64;
                if few && state.tail_position(first).is_some() {
                    self.offer(conversation, device);
                } else {
                    state.progress.entry(device).or_default().pulling = true;
                    behind.push(conversation);
                }
            }
            self.mark_receipts(conversation, device);
        }
        self.send_heads(device, &behind);
        self.arm_device(device, sweep_at);
        self.arm_connection(connection);
    }

    /// What the device says it has, at login: acknowledged, and received (which makes a copy a redelivery).
    fn take_position(&mut self, device: DeviceIx, position: Position) {
        let Some(conversation) = self.known_position(device, position.conversation, position.received) else {
            return;
        };
        let progress = self.conversations[conversation].progress.entry(device).or_default();
        progress.transmitted = progress.transmitted.max(position.received);
        if position.acked > 0 && position.acked <= position.received {
            self.take_ack(device, conversation, position.acked);
        }
    }

    fn welcome(&mut self, connection: ConnectionId, device: DeviceIx, resumed: bool) {
        let welcome = Welcome {
            installation: self.devices[device].installation.unwrap_or(0),
            resumed,
            heartbeat_ms: self.config.heartbeat_ms,
            silent_ms: self.config.silent_ms,
        };
        self.transmit(connection, &Frame::Welcome(welcome));
    }

    /// Ends a connection in good order.
    pub(super) fn close(&mut self, connection: ConnectionId, code: GoodbyeCode) {
        self.transmit(connection, &Frame::Goodbye { code });
        self.drop_connection(connection);
    }

    /// Ends a connection because of what the peer did.
    pub(super) fn fail(&mut self, connection: ConnectionId, code: ErrorCode) {
        self.stats.protocol_errors += 1;
        self.transmit(connection, &Frame::Error { code });
        self.drop_connection(connection);
    }

    pub(super) fn drop_connection(&mut self, connection: ConnectionId) {
        if self.connections.contains_key(&connection) {
            self.effects.push_back(Effect::Close(connection));
            self.forget_connection(connection);
        }
    }

    pub(super) fn on_stop(&mut self) {
        let mut all: Vec<ConnectionId> = self.connections.keys().copied().collect();
        all.sort_unstable();
        for connection in all {
            self.close(connection, GoodbyeCode::Shutdown);
        }
    }

    /// A connection is gone: everything that belonged to it goes too; cursors stay.
    pub(super) fn forget_connection(&mut self, connection: ConnectionId) {
        let Some(state) = self.connections.remove(&connection) else {
            return;
        };
        if let Some(at) = state.timer_at {
            self.timers.remove(&(at, Timer::Connection(connection)));
        }
        let Login::Done(device) = state.login else {
            return;
        };
        let owner = &mut self.devices[device];
        if owner.connection != Some(connection) {
            return;
        }
        owner.connection = None;
        owner.held.clear();
        owner.held_bytes = 0;
        owner.outbox.clear();
        owner.active.clear();
        owner.in_flight_entries = 0;
        owner.in_flight_bytes = 0;
        if let Some(at) = owner.timer_at.take() {
            self.timers.remove(&(at, Timer::Device(device)));
        }
        for conversation in &self.users[owner.user].conversations {
            let state = &mut self.conversations[*conversation];
            state.online.remove(&device);
            if let Some(progress) = state.progress.get_mut(&device) {
                progress.in_flight = VecDeque::new();
                progress.pushed = 0;
                progress.queued &= self.config.defects.has(Defect::WindowNeverReopens);
                progress.pulling = false;
                progress.told = 0;
                progress.receipts_in_flight = 0;
                progress.attempts = 0;
            }
        }
    }
}
