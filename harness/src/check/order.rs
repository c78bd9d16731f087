//! First receptions come in the order of the sends: fifo-order, causal-order, real-time-order.
//!
//! Definitions, for messages a, b of one conversation and a device d with first receptions of both since it began anew:
//! - fifo-order (Hadzilacos and Toueg: FIFO order; RFC 6120 §10.1; MQTT 4.6): one device sent both and a was
//!   acknowledged before b was invoked (by that device's own order of events; with `Fifo::Invoked`: a was invoked before
//!   b) ⇒ d receives a before b.
//! - causal-order (Hadzilacos and Toueg: causal order; Jepsen: writes follow reads): b answers a (`reply_to`), or a was
//!   the last message that b's sender had received there when it invoked b ⇒ no d receives b before a.
//! - real-time-order: `Accepted(a)` strictly before `Send(b)` by more than the clock error ⇒ d receives a before b, and
//!   seq(a) < seq(b) where there are positions. (Herlihy and Wing: precedence.)
//!
//! An ack that only says "written" does not say that the server has the message. So it puts a before nothing in real time, and
//! before b of the same sender only if both went over one connection: what an older one still carries may be read later.
//!
//! Not seen: causes older than the last reception, unless an answer names them or positions show them (total-order);
//! causes across conversations; an a that never arrives (that is a loss).
//! Memory: per device and conversation 16 bytes and 8 per sender; 12 bytes per answer that overtook and waits, at most
//! [`OVERTAKEN_MAX`].

use avouch_reports::history::{Event, Message, Rung};
use rustc_hash::FxHashMap;

use super::Fifo;
use super::findings::{Findings, Outcome, Place, Ruling};
use super::index::numbers::NONE;
use super::index::state::{MessageState, NEVER, flag};
use super::index::{Index, Placed, Reception, Seen};
use super::{Checker, interest};

/// Messages that were overtaken and have not arrived; more are not followed (and not accused).
const OVERTAKEN_MAX: usize = 1_000_000;

#[derive(Clone, Default)]
struct Sequence {
    epoch: u32,
    /// Latest invocation among the received, and its slot.
    latest: (u64, u32),
    /// The same by sender, in the sender's own clock.
    by_sender: Vec<(u32, u32)>,
}

/// See the module's header.
#[derive(Default)]
pub(crate) struct Order {
    lanes: Vec<Sequence>,
    /// (lane, a) → b, where b was received there and a was not.
    overtaken: FxHashMap<(u32, u32), u32>,
    fifo: Findings,
    causal: Findings,
    real_time: Findings,
    first: u64,
    answers: u64,
    ordered: u64,
    /// When the first ack came that says more than "written", by conversation.
    first_ack_ns: Vec<u64>,
}

impl Checker for Order {
    fn interest(&self) -> u16 {
        interest::RECEIVED | interest::ACKED
    }

    fn observe(&mut self, event: &Event, seen: &Seen, index: &Index) {
        match seen {
            Seen::Received(reception) => {
                let Some(slot) = reception.slot.filter(|_| !reception.astray) else { return };
                if reception.placed == Placed::New {
                    self.position(event, index, slot);
                }
                if reception.first && !index.message(slot).is(flag::REUSED) {
                    self.received(event, reception, slot, index);
                }
            }
            Seen::Acked { slot, placed, .. } => {
                self.acked(event, index, *slot);
                if *placed == Placed::New {
                    self.position(event, index, *slot);
                }
            }
            _ => {}
        }
    }

    fn finish(self: Box<Self>, _index: &Index) -> Vec<Ruling> {
        let held = |n: u64, what: &str, idle: &str| match n {
            0 => Outcome::Idle(idle.to_owned()),
            n => Outcome::Held(format!("{n} {what}")),
        };
        vec![
            self.fifo.rule(
                "fifo-order",
                held(self.first, "first receptions in their senders' order", "nothing was delivered"),
            ),
            self.causal.rule(
                "causal-order",
                held(
                    self.answers,
                    "receptions of messages with a known cause",
                    "no message was sent after another had been received",
                ),
            ),
            self.real_time.rule(
                "real-time-order",
                held(
                    self.ordered,
                    "messages sent after others had been acknowledged",
                    "no message was sent after another had been acknowledged",
                ),
            ),
        ]
    }
}

impl Order {
    fn acked(&mut self, event: &Event, index: &Index, slot: u32) {
        let conversation = index.sender(slot).conversation as usize;
        if conversation >= self.first_ack_ns.len() {
            self.first_ack_ns.resize(conversation + 1, NEVER);
        }
        if index.message(slot).rung > Rung::Written {
            self.first_ack_ns[conversation] = self.first_ack_ns[conversation].min(event.at_ns);
        }
    }

    /// A message's position became known.
    fn position(&mut self, event: &Event, index: &Index, slot: u32) {
        let message = index.message(slot);
        if message.floor_seq == 0 || message.is(flag::REUSED) {
            return;
        }
        self.ordered += 1;
        if message.seq <= message.floor_seq {
            let earlier = index.message_at(index.sender(slot).conversation, message.floor_seq);
            let place = place(index, earlier.unwrap_or(slot), None);
            let (id, seq, floor) = (message.id, message.seq, message.floor_seq);
            self.real_time.add("reordered", place, Some(event), || {
                let expected = format!(
                    "m{id} was sent after position {floor} had been acknowledged, so it comes after it"
                );
                (expected, format!("it is at position {seq}"))
            });
        }
    }

    fn received(&mut self, event: &Event, reception: &Reception, slot: u32, index: &Index) {
        let (lane, message) = (&index.lanes[reception.lane as usize], index.message(slot));
        if reception.lane as usize >= self.lanes.len() {
            self.lanes.resize(reception.lane as usize + 1, Sequence::default());
        }
        self.first += 1;
        let sequence = &mut self.lanes[reception.lane as usize];
        if sequence.epoch != lane.epoch {
            *sequence = Sequence { epoch: lane.epoch, ..Sequence::default() };
        }
        let device = Some(reception.lane);
        // Real time: something received before was invoked after this one was acknowledged.
        let (latest, overtaker) = sequence.latest;
        if message.acked_at_ns != NEVER
            && message.rung > Rung::Written
            && message.acked_at_ns.saturating_add(index.options.clock_error_ns) < latest
        {
            report(&mut self.real_time, (event, index), (slot, overtaker, device), "was acknowledged before");
        }
        if message.sent_at_ns > latest {
            sequence.latest = (message.sent_at_ns, slot);
        }
        let first_ack_ns = self.first_ack_ns.get(lane.conversation as usize).copied().unwrap_or(NEVER);
        let is_ordered = first_ack_ns.saturating_add(index.options.clock_error_ns) < message.sent_at_ns;
        self.ordered += u64::from(is_ordered);
        // FIFO: the same within one sender, by its own clock.
        let sender = index.lanes[message.lane as usize].sender as usize;
        if sender >= sequence.by_sender.len() {
            sequence.by_sender.resize(sender + 1, (0, NONE));
        }
        let (latest, overtaker) = sequence.by_sender[sender];
        let (from, how) = match index.options.fifo {
            Fifo::Acknowledged => (message.acked_clock, "was acknowledged to its sender before that sent"),
            Fifo::Invoked => (message.sent_clock, "was sent by the same device before"),
        };
        if from != 0 && from < latest && !is_between_connections(index, slot, overtaker) {
            report(&mut self.fifo, (event, index), (slot, overtaker, device), how);
        }
        if message.sent_clock > latest {
            sequence.by_sender[sender] = (message.sent_clock, slot);
        }
        self.causes(event, reception.lane, slot, index);
    }

    fn causes(&mut self, event: &Event, lane: u32, slot: u32, index: &Index) {
        let (state, message) = (&index.lanes[lane as usize], index.message(slot));
        if !self.overtaken.is_empty()
            && let Some(answer) = self.overtaken.remove(&(lane, slot))
        {
            report(
                &mut self.causal,
                (event, index),
                (slot, answer, Some(lane)),
                "was received by the sender of",
            );
        }
        let known = message.reply_to != NONE || message.after != NONE;
        self.answers += u64::from(known);
        for cause in [message.reply_to, message.after] {
            if cause == NONE || cause == slot || self.overtaken.len() >= OVERTAKEN_MAX {
                continue;
            }
            if !has(index, state, index.message(cause)) {
                self.overtaken.insert((lane, cause), slot);
            }
        }
    }
}

/// Whether one message was only written, as far as its sender was told, and its sender had another connection when it sent the other.
fn is_between_connections(index: &Index, late: u32, early: u32) -> bool {
    let (late, early) = (index.message(late), index.message(early));
    let device = index.device_of_lane(late.lane);
    let since = |at_ns| device.session_at(at_ns).map(|session| session.from_ns);
    late.acked_at_ns != NEVER
        && late.rung == Rung::Written
        && since(late.sent_at_ns) != since(early.sent_at_ns)
}

/// Whether a device has a message, or wrote it, or cannot get it in this conversation.
fn has(index: &Index, lane: &super::index::state::Lane, message: &MessageState) -> bool {
    let from = &index.lanes[message.lane as usize];
    from.conversation != lane.conversation
        || from.device == lane.device
        || message.ordinal == NONE
        || lane.delivered.contains(message.ordinal)
}

/// `late` was received after `early`, which it should precede.
fn report(
    findings: &mut Findings,
    (event, index): (&Event, &Index),
    (late, early, lane): (u32, u32, Option<u32>),
    how: &str,
) {
    let (late_id, early_id) = (index.message(late).id, index.message(early).id);
    findings.add("reordered", place(index, early, lane), Some(event), || {
        let expected = format!("m{late_id} before m{early_id}: m{late_id} {how} m{early_id}");
        (expected, format!("m{early_id} came first"))
    });
}

fn place(index: &Index, slot: u32, lane: Option<u32>) -> Place {
    Place {
        conversation: Some(index.conversations[index.sender(slot).conversation as usize].id),
        device: lane.map(|lane| index.device_of_lane(lane).id),
        message: Some(Message(index.message(slot).id)),
    }
}
