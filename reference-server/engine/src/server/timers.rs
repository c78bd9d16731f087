//! What happens as time passes: login limits, heartbeats, redelivery, the sweep.
//!
//! A timer never moves when work is done; it fires, looks at what is due, and is set again. So a
//! message costs no timer work.

use super::ConnectionId;
use super::state::{ConversationIx, DeviceIx, Login, Server, Timer};
use crate::backoff::after_ms;
use crate::codec::{Cause, ErrorCode, Frame, GoodbyeCode};
use crate::defects::Defect;
use crate::ids::Time;

impl Server {
    pub(super) fn on_timeout(&mut self) {
        while let Some((at, timer)) = self.timers.first().copied() {
            if at > self.now {
                return;
            }
            self.timers.pop_first();
            match timer {
                Timer::Connection(connection) => self.on_connection_timer(connection),
                Timer::Device(device) => self.on_device_timer(device),
            }
        }
    }

    /// Makes sure that a device's timer fires no later than this.
    pub(super) fn arm_device(&mut self, device: DeviceIx, due: Time) {
        let timer_at = &mut self.devices[device].timer_at;
        match *timer_at {
            Some(at) if at <= due => return,
            Some(at) => {
                self.timers.remove(&(at, Timer::Device(device)));
            }
            None => {}
        }
        *timer_at = Some(due);
        self.timers.insert((due, Timer::Device(device)));
    }

    /// Sets a connection's timer for what comes next.
    pub(super) fn arm_connection(&mut self, connection: ConnectionId) {
        let Some(state) = self.connections.get_mut(&connection) else {
            return;
        };
        let due = match state.login {
            Login::Waiting | Login::Committing { .. } => after_ms(state.opened, self.config.login_ms),
            Login::Done(_) => {
                let silent = after_ms(state.heard, u64::from(self.config.silent_ms));
                let last = state.heard.max(state.probed);
                silent.min(after_ms(last, u64::from(self.config.heartbeat_ms)))
            }
        };
        if let Some(at) = state.timer_at.replace(due) {
            self.timers.remove(&(at, Timer::Connection(connection)));
        }
        self.timers.insert((due, Timer::Connection(connection)));
    }

    fn on_connection_timer(&mut self, connection: ConnectionId) {
        let now = self.now;
        let Some(state) = self.connections.get_mut(&connection) else {
            return;
        };
        state.timer_at = None;
        let login = state.login;
        if !matches!(login, Login::Done(_)) {
            if now >= after_ms(state.opened, self.config.login_ms) {
                self.stats.login_timeouts += 1;
                return self.fail(connection, ErrorCode::LoginTimeout);
            }
        } else if now >= after_ms(state.heard, u64::from(self.config.silent_ms)) {
            self.stats.silent_closed += 1;
            if let (Login::Done(device), true) = (login, self.config.defects.has(Defect::HalfOpenForgets)) {
                self.take_sent_for_acked(device);
            }
            return self.close(connection, GoodbyeCode::Silent);
        } else if now >= after_ms(state.heard.max(state.probed), u64::from(self.config.heartbeat_ms)) {
            state.probed = now;
            self.transmit(connection, &Frame::Probe { nonce: now.0 });
        }
        self.arm_connection(connection);
    }

    fn on_device_timer(&mut self, device: DeviceIx) {
        let now = self.now;
        let owner = &mut self.devices[device];
        owner.timer_at = None;
        if owner.connection.is_none() {
            return;
        }
        let mut due = owner.sweep_at;
        if due <= now {
            due = after_ms(now, self.config.sweep_ms);
            owner.sweep_at = due;
            self.sweep(device);
        }
        for conversation in self.devices[device].active.clone() {
            let next = self.retry_due(conversation, device);
            due = due.min(next);
        }
        if self.devices[device].connection.is_some() {
            self.arm_device(device, due);
        }
    }

    /// Retries what is due in a conversation; answers when something is due next.
    fn retry_due(&mut self, conversation: ConversationIx, device: DeviceIx) -> Time {
        let never = Time(u64::MAX);
        let now = self.now;
        let due = |server: &Self| {
            let progress = server.conversations[conversation].progress.get(&device)?;
            let entries = (!progress.in_flight.is_empty()).then_some(progress.retry_at);
            let receipts = (progress.receipts_in_flight > 0).then_some(progress.receipts_retry_at);
            Some((entries.unwrap_or(never), receipts.unwrap_or(never)))
        };
        let Some((entries, receipts)) = due(self) else {
            return never;
        };
        if entries <= now {
            self.redeliver(conversation, device);
        }
        if receipts <= now && !self.send_receipts(conversation, device, true) {
            self.end_receipts(conversation, device);
        }
        due(self).map_or(never, |(entries, receipts)| entries.min(receipts)).max(Time(now.0 + 1))
    }

    /// Looks for whatever a device still lacks though nothing is under way: the net under all other mechanisms.
    fn sweep(&mut self, device: DeviceIx) {
        if self.config.defects.has(Defect::SweepDisabled) {
            return;
        }
        let user = self.devices[device].user;
        let mut behind = Vec::new();
        let mut found = false;
        for conversation in self.users[user].conversations.clone() {
            let state = &self.conversations[conversation];
            let Some(progress) = state.progress.get(&device) else {
                continue;
            };
            let lacks = progress.acked < state.last_visible(user);
            let unsettled = progress.acked > progress.delivered || progress.read_wanted > progress.read;
            let (pulling, idle) = (progress.pulling, progress.in_flight.is_empty() && !progress.queued);
            let quiet = progress.receipts_in_flight == 0;
            if unsettled {
                self.mark_cursor(conversation, device);
            }
            if quiet {
                self.mark_receipts(conversation, device);
            }
            if lacks && pulling {
                behind.push(conversation);
            } else if lacks && idle {
                found = true;
                self.sweep_push(conversation, device);
            }
        }
        found |= !behind.is_empty();
        self.stats.sweeps_found += u64::from(found);
        self.send_heads(device, &behind);
    }

    /// Everything after the cursor goes out again.
    fn sweep_push(&mut self, conversation: ConversationIx, device: DeviceIx) {
        if let Some(progress) = self.conversations[conversation].progress.get_mut(&device) {
            progress.pushed = 0;
            progress.queued = true;
        }
        self.devices[device].outbox.push_back(conversation);
        self.pump(device, Cause::Sweep);
    }
}
