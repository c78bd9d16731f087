//! Read-diffusion delivery: one log per conversation, one cursor per device in it.
//!
//! A device's *outbox* is the list of conversations that have something for it; `pump` moves entries
//! from hot tails into the device's window. What is no longer in the tail is not pushed: the device is
//! told of the head and pulls pages. Everything in flight is sent again by `redeliver` until the
//! device's cumulative ack covers it.

use bytes::Bytes;

use super::state::{Conversation, ConversationIx, DeviceIx, Server};
use super::{ConnectionId, Effect};
use crate::codec::{Cause, Frame, Head, encode, encode_deliver};
use crate::defects::Defect;
use crate::ids::Seq;
use crate::limits;

/// What became of an attempt to push the next entry of a conversation to a device.
enum Pushed {
    Yes,
    /// The device has been sent everything.
    Nothing,
    /// The window, or the connection, is full.
    Full,
    /// The entry is no longer in memory.
    Cold,
}

impl Server {
    /// Offers the newest entry to every online member.
    pub(super) fn fan_out(&mut self, conversation: ConversationIx) {
        let slow_closed = self.stats.slow_closed;
        let mut online = std::mem::take(&mut self.conversations[conversation].online);
        for device in &online {
            self.offer(conversation, *device);
        }
        // Offering can end a connection (a slow peer).
        if self.stats.slow_closed != slow_closed {
            online.retain(|device| self.devices[*device].connection.is_some());
        }
        self.conversations[conversation].online = online;
    }

    /// Something new may be there for a device.
    pub(super) fn offer(&mut self, conversation: ConversationIx, device: DeviceIx) {
        let progress = self.conversations[conversation].progress.entry(device).or_default();
        if progress.pulling || progress.queued {
            return;
        }
        progress.queued = true;
        self.devices[device].outbox.push_back(conversation);
        self.pump(device, Cause::First);
    }

    /// Pushes from the outbox while there is room.
    pub(super) fn pump(&mut self, device: DeviceIx, cause: Cause) {
        while let Some(conversation) = self.devices[device].outbox.pop_front() {
            let mut pushed = 0;
            let outcome = loop {
                if pushed == limits::PUSHES_PER_TURN {
                    break Pushed::Yes;
                }
                match self.push_next(conversation, device, cause) {
                    Pushed::Yes => pushed += 1,
                    other => break other,
                }
            };
            match outcome {
                Pushed::Yes => self.devices[device].outbox.push_back(conversation),
                Pushed::Full => {
                    // Whoever had a turn waits for the next one: else a busy conversation would keep the room for itself.
                    let outbox = &mut self.devices[device].outbox;
                    if pushed > 0 {
                        outbox.push_back(conversation);
                    } else {
                        outbox.push_front(conversation);
                    }
                    return;
                }
                Pushed::Nothing => self.unqueue(conversation, device),
                Pushed::Cold => {
                    self.unqueue(conversation, device);
                    self.let_pull(conversation, device);
                }
            }
        }
    }

    fn unqueue(&mut self, conversation: ConversationIx, device: DeviceIx) {
        if let Some(progress) = self.conversations[conversation].progress.get_mut(&device) {
            progress.queued = false;
        }
    }

    fn push_next(&mut self, conversation: ConversationIx, device: DeviceIx, cause: Cause) -> Pushed {
        let state = &mut self.conversations[conversation];
        let recipient = &mut self.devices[device];
        let Some(connection) = recipient.connection else {
            return Pushed::Nothing;
        };
        let Some(from) = state.progress.get(&device).map(|progress| progress.pushed.max(progress.acked))
        else {
            return Pushed::Nothing;
        };
        if from >= state.head {
            return Pushed::Nothing; // the usual end of a push: nobody's stay reaches beyond the head
        }
        let Some(seq) = state.next_visible(recipient.user, from) else {
            return Pushed::Nothing;
        };
        let Some(at) = state.tail_position(seq) else {
            return Pushed::Cold;
        };
        let bytes = state.tail[at].frame.len();
        let full = recipient.in_flight_entries >= self.config.window_entries
            || (recipient.in_flight_entries > 0
                && recipient.in_flight_bytes + bytes > self.config.window_bytes);
        if full || self.connections.get(&connection).is_none_or(|state| state.is_clogged(&self.config)) {
            return Pushed::Full;
        }
        let prev = state.prev_visible(recipient.user, seq);
        let Some(progress) = state.progress.get_mut(&device) else {
            return Pushed::Nothing;
        };
        let flag = seq <= progress.transmitted || self.config.defects.has(Defect::RedeliveryFlagAlways);
        let redelivered = flag && !self.config.defects.has(Defect::RedeliveryFlagNever);
        if self.config.defects.has(Defect::CursorAdvancedOnSend) {
            progress.acked = seq;
        }
        progress.pushed = seq;
        progress.transmitted = progress.transmitted.max(seq);
        if progress.in_flight.is_empty() {
            progress.attempts = 0;
            progress.retry_at = self.config.redelivery.at(self.now, 0, &mut self.random);
            recipient.active.insert(conversation);
        }
        let due = progress.retry_at;
        progress.in_flight.push_back((seq, bytes as u32));
        recipient.in_flight_entries += 1;
        recipient.in_flight_bytes += bytes;
        let cause = if redelivered && cause == Cause::First { Cause::Retry } else { cause };
        let id = state.id;
        let item = &state.tail[at];
        let frame = if prev + 1 == seq && !redelivered && cause == Cause::First {
            item.frame.clone()
        } else {
            encode_deliver(id, (prev, redelivered, cause), &item.entry(), &mut self.scratch)
        };
        self.count_delivery(cause);
        self.transmit_bytes(connection, frame);
        self.arm_device(device, due);
        Pushed::Yes
    }

    fn count_delivery(&mut self, cause: Cause) {
        match cause {
            Cause::First => self.stats.delivered_first += 1,
            Cause::Retry => self.stats.delivered_retry += 1,
            Cause::Sweep => self.stats.delivered_sweep += 1,
            Cause::Pull => self.stats.delivered_pull += 1,
        }
    }

    /// Sends again what a device has not acknowledged in time, oldest first.
    pub(super) fn redeliver(&mut self, conversation: ConversationIx, device: DeviceIx) {
        let state = &mut self.conversations[conversation];
        let recipient = &self.devices[device];
        let (Some(connection), Some(progress)) = (recipient.connection, state.progress.get_mut(&device))
        else {
            return;
        };
        progress.attempts += 1;
        progress.retry_at = self.config.redelivery.at(self.now, progress.attempts, &mut self.random);
        if self.config.defects.has(Defect::RetransmissionNever) {
            return;
        }
        let overdue: Vec<Seq> =
            progress.in_flight.iter().take(limits::REDELIVERIES_PER_TIMEOUT).map(|(seq, _)| *seq).collect();
        for seq in overdue {
            let state = &self.conversations[conversation];
            if self.connections.get(&connection).is_none_or(|state| state.is_clogged(&self.config)) {
                return;
            }
            let Some(at) = state.tail_position(seq) else {
                self.let_pull(conversation, device);
                return;
            };
            let prev = state.prev_visible(self.devices[device].user, seq);
            let how = (prev, !self.config.defects.has(Defect::RedeliveryFlagNever), Cause::Retry);
            let frame = encode_deliver(state.id, how, &state.tail[at].entry(), &mut self.scratch);
            self.count_delivery(Cause::Retry);
            self.transmit_bytes(connection, frame);
        }
    }

    /// Stops pushing a conversation at a device and tells it to pull.
    pub(super) fn let_pull(&mut self, conversation: ConversationIx, device: DeviceIx) {
        self.clear_in_flight(conversation, device);
        if let Some(progress) = self.conversations[conversation].progress.get_mut(&device) {
            progress.pulling = true;
        }
        self.send_heads(device, &[conversation]);
    }

    pub(super) fn send_heads(&mut self, device: DeviceIx, conversations: &[ConversationIx]) {
        let recipient = &self.devices[device];
        let (Some(connection), user) = (recipient.connection, recipient.user) else {
            return;
        };
        for chunk in conversations.chunks(limits::HEADS_PER_FRAME) {
            let heads = chunk.iter().map(|ix| {
                let state = &mut self.conversations[*ix];
                let head = state.last_visible(user);
                let progress = state.progress.entry(device).or_default();
                progress.told = head;
                let acked = progress.acked;
                let first = state.next_visible(user, acked).unwrap_or(head);
                Head { conversation: state.id, first, head }
            });
            let frame = Frame::Heads(heads.collect());
            self.stats.heads += 1;
            self.transmit(connection, &frame);
        }
    }

    /// Forgets what is in flight for a device in a conversation (acknowledged otherwise, or to be pulled).
    pub(super) fn clear_in_flight(&mut self, conversation: ConversationIx, device: DeviceIx) {
        self.settle_in_flight(conversation, device, Seq::MAX);
    }

    /// Everything up to a position is on the device: room in the window.
    pub(super) fn settle_in_flight(&mut self, conversation: ConversationIx, device: DeviceIx, up_to: Seq) {
        let Some(progress) = self.conversations[conversation].progress.get_mut(&device) else {
            return;
        };
        let recipient = &mut self.devices[device];
        let mut moved = false;
        let mut due = None;
        while let Some((_, bytes)) = progress.in_flight.front().filter(|(seq, _)| *seq <= up_to) {
            recipient.in_flight_entries -= 1;
            recipient.in_flight_bytes -= *bytes as usize;
            progress.in_flight.pop_front();
            moved = true;
        }
        if moved && !progress.in_flight.is_empty() {
            progress.attempts = 0;
            progress.retry_at = self.config.redelivery.at(self.now, 0, &mut self.random);
            due = Some(progress.retry_at);
        }
        if progress.in_flight.is_empty() && progress.receipts_in_flight == 0 {
            recipient.active.remove(&conversation);
        }
        // After long waits the timer stands far behind the new, short one.
        if let Some(due) = due {
            self.arm_device(device, due);
        }
    }

    /// A frame for a device, if it is connected.
    pub(super) fn tell(&mut self, device: DeviceIx, frame: &Frame) {
        if let Some(connection) = self.devices[device].connection {
            self.transmit(connection, frame);
        }
    }

    pub(super) fn transmit(&mut self, connection: ConnectionId, frame: &Frame) {
        let bytes = encode(frame, &mut self.scratch);
        self.transmit_bytes(connection, bytes);
    }

    pub(super) fn transmit_bytes(&mut self, connection: ConnectionId, bytes: Bytes) {
        let Some(state) = self.connections.get_mut(&connection) else {
            return;
        };
        state.untaken.push_back(bytes.len() as u32);
        state.untaken_bytes += bytes.len();
        let over = state.untaken.len() > self.config.untaken_frames_max
            || state.untaken_bytes > self.config.untaken_bytes_max;
        self.stats.frames_transmitted += 1;
        self.effects.push_back(Effect::Transmit(connection, bytes));
        if over {
            self.stats.slow_closed += 1;
            self.drop_connection(connection);
        }
    }
}

impl Conversation {
    /// Where in the hot tail an entry stands.
    pub(super) fn tail_position(&self, seq: Seq) -> Option<usize> {
        let first = self.tail.front()?.seq;
        let at = usize::try_from(seq.checked_sub(first)?).ok()?;
        (at < self.tail.len()).then_some(at)
    }
}

impl super::state::Connection {
    /// Whether so much waits for the transport that entries should not be pushed.
    pub(super) fn is_clogged(&self, config: &super::Config) -> bool {
        self.untaken.len() >= config.untaken_frames || self.untaken_bytes >= config.untaken_bytes
    }
}
