//! How each kind of event changes the index.

use avouch_reports::history::{Conversation, Device, Message, Rung, SessionKind, What};

use super::changes::Asked;
use super::numbers::NONE;
use super::state::{ACKS_WAITING_MAX, CHANGE_SLOT, Fresh, MessageState, NEVER, Session, flag};
use super::{Index, Placed, Reception, Seen};

impl Index {
    pub(super) fn declare(&mut self, what: &What) -> Seen {
        match what {
            What::Device { device, user, name } => {
                self.names.add_device(*device, *user, name);
                let index = self.device(*device);
                let state = &mut self.devices[index as usize];
                (state.user, state.declared) = (*user, true);
                self.users.entry(*user).or_default().push(index);
            }
            What::Conversation { conversation, members, .. } => {
                let index = self.conversation(*conversation);
                let state = &mut self.conversations[index as usize];
                state.declared = true;
                state.members.start(members);
            }
            _ => {}
        }
        Seen::Plain
    }

    pub(super) fn begin_session(&mut self, at_ns: u64, device: Device, kind: SessionKind) -> Seen {
        let index = self.device(device);
        let fresh = self.devices[index as usize].fresh.take();
        // The first session that a new installation hears of can be called resumed: its first login succeeded, and the
        // answer was lost. It continues what this installation has, which is nothing. Where nothing could lose an
        // answer, there was none before.
        let is_doubtful = fresh.is_some_and(|it| it.gave_up || self.run.shaken_since(it.since_ns));
        let kind = if is_doubtful { SessionKind::New } else { kind };
        let state = &mut self.devices[index as usize];
        if let Some(last) = state.sessions.last_mut() {
            last.until_ns = last.until_ns.min(at_ns);
            if kind == SessionKind::New {
                state.epoch += 1;
            }
        }
        if fresh.is_some() || state.subscribed_from_ns.is_none() {
            state.subscribed_from_ns = Some(at_ns);
        }
        state.session_clock = state.clock;
        state.sessions.push(Session { from_ns: at_ns, kind, until_ns: NEVER });
        Seen::Began { device: index }
    }

    pub(super) fn reinstalled(&mut self, at_ns: u64, device: Device) -> Seen {
        let seen = self.end_session(at_ns, device);
        let index = self.device(device);
        self.devices[index as usize].fresh = Some(Fresh { since_ns: at_ns, gave_up: false });
        seen
    }

    pub(super) fn end_session(&mut self, at_ns: u64, device: Device) -> Seen {
        let index = self.device(device);
        let state = &mut self.devices[index as usize];
        if let Some(last) = state.sessions.last_mut() {
            last.until_ns = last.until_ns.min(at_ns);
        }
        // The end of the connection that the installation before had is told at the same instant.
        if let Some(fresh) = state.fresh.as_mut().filter(|fresh| at_ns > fresh.since_ns) {
            fresh.gave_up = true;
        }
        Seen::Ended
    }

    pub(super) fn disturb(&mut self, at_ns: u64, device: Device, kind: &str) -> Seen {
        let index = self.device(device);
        let state = &mut self.devices[index as usize];
        state.disturbed_at_ns = at_ns;
        if kind.contains("duplicate") {
            state.duplicated_at_ns = at_ns;
        }
        Seen::Plain
    }

    /// Makes the state of a new operation; `None` when the id was used before.
    fn operation(
        &mut self,
        at_ns: u64,
        (device, conversation): (Device, Conversation),
        message: Message,
    ) -> Option<u32> {
        if let Some(slot) = self.slot(message) {
            self.messages[slot].flags |= flag::REUSED;
            return None;
        }
        let lane = self.lane(device, conversation);
        let at = self.lanes[lane as usize].conversation as usize;
        let floor_seq = self.conversations[at].floor(at_ns, self.options.clock_error_ns);
        let state = &mut self.devices[self.lanes[lane as usize].device as usize];
        state.clock += 1;
        let slot = self.messages.push(MessageState {
            id: message.0,
            digest: 0,
            seq: 0,
            sent_at_ns: at_ns,
            acked_at_ns: NEVER,
            floor_seq,
            lane,
            ordinal: NONE,
            sent_clock: state.clock,
            acked_clock: 0,
            reply_to: NONE,
            after: self.lanes[lane as usize].last_slot,
            flags: 0,
            rung: Rung::Written,
        });
        self.slot_of.set(message.0, slot);
        self.run.outstanding += 1;
        Some(slot)
    }

    pub(super) fn send(&mut self, at_ns: u64, what: &What) -> Seen {
        let What::Send { device, conversation, message, digest, reply_to, .. } = what else {
            return Seen::Plain;
        };
        let Some(slot) = self.operation(at_ns, (*device, *conversation), *message) else {
            return Seen::Plain;
        };
        let reply_to = reply_to.and_then(|to| self.slot(to)).unwrap_or(NONE);
        let lane = &mut self.lanes[self.messages[slot].lane as usize];
        let at = &mut self.conversations[lane.conversation as usize];
        if lane.sender == NONE {
            lane.sender = at.senders;
            at.senders += 1;
        }
        let state = &mut self.messages[slot];
        state.ordinal = at.slots.len() as u32;
        state.digest = *digest;
        state.reply_to = reply_to;
        at.slots.push(slot);
        self.run.sends += 1;
        Seen::Sent { slot }
    }

    pub(super) fn change_members(&mut self, at_ns: u64, what: &What) -> Seen {
        match what {
            What::MembersChange { device, conversation, message, added, removed } => {
                let Some(slot) = self.operation(at_ns, (*device, *conversation), *message) else {
                    return Seen::Plain;
                };
                self.messages[slot].flags |= flag::CHANGE;
                self.changes.ask(slot, Asked { added: added.clone(), removed: removed.clone() });
                Seen::Sent { slot }
            }
            What::MembersChanged { device, conversation, seq, added, removed } => {
                let lane = self.lane(*device, *conversation);
                if let Some(seq) = *seq {
                    self.lanes[lane as usize].known.insert(seq);
                }
                let change = Asked { added: added.clone(), removed: removed.clone() };
                self.changed(at_ns, self.lanes[lane as usize].conversation, *seq, &change);
                Seen::At { lane }
            }
            _ => Seen::Plain,
        }
    }

    pub(super) fn mark(&mut self, message: Message, flag: u16) -> Seen {
        if let Some(slot) = self.slot(message) {
            self.messages[slot].flags |= flag;
        }
        Seen::Plain
    }

    pub(super) fn accept(
        &mut self,
        at_ns: u64,
        device: Device,
        message: Message,
        ack: (Option<u64>, Rung),
    ) -> Seen {
        let Some(slot) = self.slot(message) else { return Seen::Plain };
        let (seq, rung) = ack;
        let index = self.device(device);
        let lane = self.messages[slot].lane;
        self.renewed(lane);
        let first = !self.messages[slot].is_answered();
        self.run.outstanding -= u64::from(first);
        let placed = self.place(slot, seq);
        let state = &mut self.messages[slot];
        let after_refusal = state.is(flag::REJECTED);
        if state.acked_at_ns == NEVER {
            self.run.accepted += 1;
            self.run.last_ack_at_ns = at_ns;
            let device = &mut self.devices[index as usize];
            device.clock += 1;
            if state.sent_clock > device.session_clock {
                device.barrier = device.barrier.max(state.sent_clock);
            }
            state.acked_at_ns = at_ns;
            state.acked_clock = device.clock;
            let conversation = self.lanes[lane as usize].conversation as usize;
            if state.ordinal != NONE {
                self.conversations[conversation].acked.insert(state.ordinal);
            }
            if state.seq != 0 {
                self.lanes[lane as usize].known.insert(state.seq);
                self.conversations[conversation].push_ack(at_ns, state.seq);
            }
        } else if state.rung == Rung::Written && rung > Rung::Written {
            // Only now does the server say that it has it.
            let device = &mut self.devices[index as usize];
            device.clock += 1;
            (state.acked_at_ns, state.acked_clock) = (at_ns, device.clock);
        }
        self.run.replies += u64::from(rung > Rung::Written);
        let promised = state.rung <= Rung::Received && rung > Rung::Received;
        self.run.promised += u64::from(promised);
        let least = self.options.durable_rung;
        self.run.durable += u64::from(state.rung < least && rung >= least);
        state.rung = state.rung.max(rung);
        if state.is(flag::CHANGE) {
            self.change_accepted(at_ns, slot, seq);
        }
        Seen::Acked { slot, placed, seq, after_refusal }
    }

    pub(super) fn refuse(&mut self, message: Message) -> Seen {
        let Some(slot) = self.slot(message) else { return Seen::Plain };
        self.run.outstanding -= u64::from(!self.messages[slot].is_answered());
        self.run.replies += 1;
        let state = &mut self.messages[slot];
        let late = state.acked_at_ns != NEVER;
        state.flags |= if late { flag::TAKEN_BACK } else { flag::REJECTED };
        Seen::Refused { slot }
    }

    pub(super) fn give_up(&mut self, message: Message) -> Seen {
        let Some(slot) = self.slot(message) else { return Seen::Plain };
        self.run.outstanding -= u64::from(!self.messages[slot].is_answered());
        self.messages[slot].flags |= flag::UNKNOWN;
        self.run.given_up += 1;
        Seen::GivenUp { slot }
    }

    /// Notes the position of a message, unless something else is known there.
    pub(super) fn place(&mut self, slot: u32, seq: Option<u64>) -> Placed {
        let Some(seq) = seq.filter(|&seq| seq != 0) else { return Placed::Unplaced };
        let state = &mut self.messages[slot];
        if state.seq == seq {
            return Placed::Same;
        }
        let conversation = &mut self.conversations[self.lanes[state.lane as usize].conversation as usize];
        conversation.head = conversation.head.max(seq);
        self.run.positions = true;
        if state.seq != 0 {
            return Placed::Moved(state.seq);
        }
        match conversation.positions.get(seq) {
            Some(CHANGE_SLOT) if state.is(flag::CHANGE) => {}
            Some(other) => return Placed::Taken(other),
            None => conversation.positions.set(seq, slot),
        }
        state.seq = seq;
        Placed::New
    }

    pub(super) fn receive(&mut self, at_ns: u64, what: &What) -> Seen {
        let (device, conversation, message, seq, redelivered, shown) = match what {
            What::Delivered { device, conversation, message, seq, redelivered, .. } => {
                (*device, *conversation, *message, *seq, *redelivered, true)
            }
            What::Suppressed { device, conversation, message, seq, redelivered } => {
                (*device, *conversation, *message, *seq, *redelivered, false)
            }
            _ => return Seen::Plain,
        };
        let lane = self.lane(device, conversation);
        let slot = message.and_then(|message| self.slot(message));
        let at = &self.lanes[lane as usize];
        let astray = slot.is_some_and(|slot| self.sender(slot).conversation != at.conversation);
        let mut seen = Reception {
            lane,
            slot,
            first: false,
            shown,
            astray,
            placed: Placed::Unplaced,
            seq: seq.filter(|&seq| seq != 0),
            last_seq: at.last_seq,
            last_slot: at.last_slot,
            redelivered,
        };
        self.devices[at.device as usize].received_at_ns = at_ns;
        self.run.receptions += 1;
        if let Some(slot) = slot.filter(|_| !astray) {
            self.arrived(slot, &mut seen);
        } else if let (Some(seq), false) = (seen.seq, astray) {
            self.lanes[lane as usize].known.insert(seq);
        }
        Seen::Received(seen)
    }

    fn arrived(&mut self, slot: u32, seen: &mut Reception) {
        seen.placed = self.place(slot, seen.seq);
        let last_death_ns = self.run.last_death_ns();
        let message = &mut self.messages[slot];
        message.flags |= flag::ARRIVED;
        if last_death_ns.is_some_and(|death| message.acked_at_ns < death) {
            message.flags |= flag::SURVIVED;
        }
        let lane = &mut self.lanes[seen.lane as usize];
        if let Some(seq) = seen.seq {
            lane.known.insert(seq);
        }
        if seen.shown && message.ordinal != NONE {
            seen.first = lane.delivered.insert(message.ordinal);
            if seen.first {
                lane.count += 1;
                lane.last_seq = seen.seq.unwrap_or(lane.last_seq);
                lane.last_slot = slot;
            }
        }
    }

    pub(super) fn acknowledge(
        &mut self,
        (device, conversation): (Device, Conversation),
        up_to: Option<u64>,
        message: Option<Message>,
    ) -> Seen {
        let lane = self.lane(device, conversation);
        let ordinal = message.and_then(|m| self.slot(m)).map(|slot| self.messages[slot].ordinal);
        let state = &mut self.lanes[lane as usize];
        let device = &self.devices[state.device as usize];
        self.run.acknowledgements = true;
        if let Some(up_to) = up_to {
            state.acked_to = state.acked_to.max(up_to);
        }
        if self.options.redelivery == crate::check::Redelivery::Never {
            return Seen::At { lane };
        }
        let acks = state.acks.get_or_insert_default();
        acks.settle(device.barrier);
        if let Some(up_to) = up_to {
            acks.newest = (up_to, device.clock);
            acks.waiting.get_or_insert(acks.newest);
        }
        if let Some(ordinal) = ordinal.filter(|&ordinal| ordinal != NONE) {
            if acks.single.len() == ACKS_WAITING_MAX {
                acks.single.pop_front();
            }
            acks.single.push_back((ordinal, device.clock));
        }
        Seen::At { lane }
    }
}

impl super::state::Acks {
    /// Everything that waits for an answer to a send up to `barrier` is proven.
    pub(crate) fn settle(&mut self, barrier: u32) {
        if let Some((up_to, clock)) = self.waiting
            && clock < barrier
        {
            self.proven_to = self.proven_to.max(up_to);
            self.waiting = (self.newest.0 > up_to).then_some(self.newest);
        }
        while let Some(&(ordinal, clock)) = self.single.front() {
            if clock >= barrier {
                break;
            }
            self.proven.insert(ordinal);
            self.single.pop_front();
        }
    }
}
