//! Nothing reaches a device twice: no-duplicates, idempotent-send, redelivery-flag-truthful.
//!
//! Definitions, per device d and message m, since d last began anew (`Session(New)` after another session):
//! - no-duplicates (Hadzilacos and Toueg: integrity, "delivers m at most once"; Jepsen: total-queue "duplicated"): a
//!   second `Delivered(d, m)` occurs only where the protocol allows redelivery, is marked where it has a mark, and only
//!   while the server cannot have known of d's `Acknowledged(m)`. An ack is known to be processed when a send that d
//!   invoked after it was answered in the same session (`Options::answers_prove_acks`); without that proof, or across a restart of a node, a marked copy
//!   is allowed (the ack may have died with the link). Where a retried send may count as a new one (not
//!   `Options::idempotent`), or a death makes a server forget (`Options::death_forgets`), a copy is allowed too. `Suppressed` copies never reached the application and do not count.
//! - idempotent-send (Matrix `txnId`; Jepsen kafka: "duplicate"): all events and pages show m at one position; without
//!   positions, no page shows m twice and no unmarked copy of a retried m reaches a device.
//! - redelivery-flag-truthful (MQTT-3.3.1-1): a copy is marked, and the first copy of an undisturbed device is not.
//!   Excused: copies after a duplicated frame, after the client fetched a page or a gap itself (a second channel), of a
//!   retried send, or after a node restarted; marks while any fault touched the run (the original may have been lost), and
//!   after the device noticed a gap or fetched a page since the send (a mark says "transmitted before", not "arrived
//!   before", and what became of that transmission is not to be seen).
//!
//! Not seen: a wrong mark on a disturbed device; a duplicate that the client hid without telling.
//! Memory: 8 bytes per device and message whose first copy was marked, at most [`OVERTAKEN_MAX`] of them; the index keeps one
//! bit per device and message, and watermarks of acks.

use avouch_reports::history::{Event, Message, What};
use rustc_hash::FxHashSet;

use super::Redelivery;
use super::findings::{Findings, Outcome, Place, Ruling};
use super::index::state::{Acks, DeviceState, Lane, MessageState, NEVER, flag};
use super::index::{Index, Placed, Reception, Seen};
use super::{Checker, interest};

/// Originals that may still arrive behind marked copies; with more of them, no unmarked copy is judged.
const OVERTAKEN_MAX: usize = 65_536;

/// See the module's header.
#[derive(Default)]
pub(crate) struct Duplicates {
    /// Device and message of which only marked copies came so far.
    overtaken: FxHashSet<(u32, u32)>,
    duplicate: Findings,
    twice: Findings,
    mark: Findings,
    redelivered: u64,
    suppressed: u64,
    retried: u64,
    copies: u64,
}

impl Checker for Duplicates {
    fn interest(&self) -> u16 {
        interest::RECEIVED | interest::ACKED | interest::AT
    }

    fn observe(&mut self, event: &Event, seen: &Seen, index: &Index) {
        match seen {
            Seen::Received(reception) => {
                let Some(slot) = reception.slot.filter(|_| !reception.astray) else { return };
                if !index.message(slot).is(flag::REUSED) {
                    self.received(event, reception, slot, index);
                }
            }
            Seen::Acked { slot, placed, seq, .. } => {
                self.retried += u64::from(index.message(*slot).is(flag::RETRIED));
                self.placed(event, index, *slot, (*placed, *seq));
            }
            Seen::At { .. } => self.page(event, index),
            _ => {}
        }
    }

    fn finish(self: Box<Self>, index: &Index) -> Vec<Ruling> {
        let none = index.run.receptions == 0;
        let held = format!(
            "{} receptions, {} allowed redeliveries, {} copies recognised by clients",
            index.run.receptions, self.redelivered, self.suppressed
        );
        let idle = |what: &str| Outcome::Idle(what.to_owned());
        let duplicates = if none { idle("nothing was delivered") } else { Outcome::Counted(held) };
        let idempotent = match self.retried {
            0 => idle("no send was sent again"),
            n => Outcome::Held(format!("{n} sends that were sent again took effect once each")),
        };
        let marks = match self.copies {
            0 => idle("nothing was delivered a second time"),
            n => Outcome::Held(format!("{n} copies, each marked or excused")),
        };
        vec![
            self.duplicate.rule("no-duplicates", duplicates),
            self.twice.rule("idempotent-send", idempotent),
            self.mark.rule("redelivery-flag-truthful", marks),
        ]
    }
}

impl Duplicates {
    fn received(&mut self, event: &Event, reception: &Reception, slot: u32, index: &Index) {
        let (lane, message) = (&index.lanes[reception.lane as usize], index.message(slot));
        let device = &index.devices[lane.device as usize];
        let place = place(index, slot, Some(device));
        self.placed(event, index, slot, (reception.placed, reception.seq));
        if reception.first {
            if reception.redelivered && self.overtaken.len() < OVERTAKEN_MAX {
                self.overtaken.insert((lane.device, slot));
            }
            if reception.redelivered && !excuses_mark(event.at_ns, index, device, lane, message) {
                self.mark.add("duplicate", place, Some(event), || {
                    let expected =
                        "only what was sent to the device before is marked as redelivered".to_owned();
                    (
                        expected,
                        format!(
                            "the first copy of m{} was marked, on a link that nothing disturbed",
                            message.id
                        ),
                    )
                });
            }
            return;
        }
        let had = message.ordinal != u32::MAX && lane.delivered.contains(message.ordinal);
        self.suppressed += u64::from(!reception.shown);
        if !had {
            return;
        }
        self.copies += 1;
        let moved = matches!(reception.placed, Placed::Moved(_));
        let is_original = !reception.redelivered
            && (self.overtaken.remove(&(lane.device, slot)) || self.overtaken.len() >= OVERTAKEN_MAX);
        let unmarked = !reception.redelivered && !is_original && !excuses_copy(index, device, lane, message);
        if unmarked && !moved {
            self.mark.add("duplicate", place, Some(event), || {
                let expected = "what the device had received before is marked as redelivered".to_owned();
                (expected, format!("a further copy of m{} was not marked", message.id))
            });
        }
        if reception.shown {
            self.again(event, reception, slot, index);
        }
    }

    /// A second copy that reached the application.
    fn again(&mut self, event: &Event, reception: &Reception, slot: u32, index: &Index) {
        let (lane, message) = (&index.lanes[reception.lane as usize], index.message(slot));
        let device = &index.devices[lane.device as usize];
        let place = place(index, slot, Some(device));
        let restarted = index.run.last_death_ns().is_some_and(|death| death >= message.sent_at_ns);
        let why = match index.options.redelivery {
            _ if restarted && index.options.death_forgets => None,
            // A send that may be published again as a new message is delivered as one, without a mark.
            _ if message.is(flag::RETRIED) && !index.options.idempotent => None,
            Redelivery::Never => Some("here nothing is delivered a second time"),
            Redelivery::UntilAcknowledged { flagged: true }
                if !reception.redelivered && !pulled(lane, device) =>
            {
                Some("the copy was not marked as redelivered")
            }
            Redelivery::UntilAcknowledged { .. } => {
                let proven = index.options.answers_prove_acks
                    && lane.acks.as_ref().is_some_and(|acks| acks.is_proven(message, device.barrier));
                (proven && !restarted)
                    .then_some("the server had processed the device's acknowledgement of it")
            }
        };
        let Some(why) = why else {
            self.redelivered += 1;
            return;
        };
        self.duplicate.add("duplicate", place, Some(event), || {
            let expected = "each message reaches the application of a device once".to_owned();
            (expected, format!("m{} reached {} again: {why}", message.id, index.name(device.id)))
        });
        let unmarked = matches!(index.options.redelivery, Redelivery::UntilAcknowledged { flagged: true });
        if unmarked && !reception.redelivered && message.seq == 0 && message.is(flag::RETRIED) {
            self.twice(event, place, || {
                format!("m{} was sent again and reached {} as two", message.id, index.name(device.id))
            });
        }
    }

    fn placed(&mut self, event: &Event, index: &Index, slot: u32, (placed, seq): (Placed, Option<u64>)) {
        if let Placed::Moved(was) = placed
            && !index.message(slot).is(flag::REUSED)
        {
            let id = index.message(slot).id;
            self.twice(event, place(index, slot, None), || {
                format!("m{id} is at position {was} and at position {}", seq.unwrap_or(0))
            });
        }
    }

    fn twice(&mut self, event: &Event, place: Place, actual: impl FnOnce() -> String) {
        self.twice.add("duplicate", place, Some(event), || {
            ("one send takes effect once, however often it is sent again".to_owned(), actual())
        });
    }

    fn page(&mut self, event: &Event, index: &Index) {
        let What::Page { items, .. } = &event.what else { return };
        let mut slots: Vec<u32> = Vec::with_capacity(items.len());
        for item in items {
            let Some(slot) = item.message.and_then(|m| index.slot(m)) else { continue };
            let message = index.message(slot);
            if message.is(flag::REUSED) {
                continue;
            }
            slots.push(slot);
            if let Some(seq) = item.seq.filter(|&seq| message.seq != 0 && seq != message.seq) {
                self.placed(event, index, slot, (Placed::Moved(message.seq), Some(seq)));
            }
        }
        slots.sort_unstable();
        for pair in slots.windows(2).filter(|pair| pair[0] == pair[1] && index.message(pair[0]).seq == 0) {
            let id = index.message(pair[0]).id;
            self.twice(event, place(index, pair[0], None), || format!("one page shows m{id} twice"));
        }
    }
}

fn place(index: &Index, slot: u32, device: Option<&DeviceState>) -> Place {
    Place {
        conversation: Some(index.conversations[index.sender(slot).conversation as usize].id),
        device: device.map(|d| d.id),
        message: Some(Message(index.message(slot).id)),
    }
}

/// The client fetched something itself in this session.
fn pulled(lane: &Lane, device: &DeviceState) -> bool {
    lane.pulled_at_ns != NEVER && device.online().is_none_or(|s| lane.pulled_at_ns >= s.from_ns)
}

/// Something explains why a copy came without the server's knowing that it is one.
fn excuses_copy(index: &Index, device: &DeviceState, lane: &Lane, message: &MessageState) -> bool {
    let sender = &index.devices[index.lanes[message.lane as usize].device as usize];
    let duplicated =
        |d: &DeviceState| d.duplicated_at_ns != NEVER && d.duplicated_at_ns >= message.sent_at_ns;
    duplicated(device)
        || duplicated(sender)
        || pulled(lane, device)
        || message.is(flag::RETRIED)
        || index.run.last_node_ns.is_some_and(|at_ns| at_ns >= message.sent_at_ns)
}

/// Something explains why a mark came without the device's having had the message.
fn excuses_mark(
    at_ns: u64,
    index: &Index,
    device: &DeviceState,
    lane: &Lane,
    message: &MessageState,
) -> bool {
    let since = message.sent_at_ns;
    let one_session = device.session_at(at_ns).is_some_and(|s| s.from_ns < since);
    let earlier = lane.earlier.as_ref().is_some_and(|earlier| earlier.contains(message.ordinal));
    // What a pull brought was asked for because something was missing. A mark says that the server transmitted the message
    // before, not that it arrived (PROTOCOL.md 6): a server that lost a frame below its bookkeeping marks truthfully, and
    // where a page counts as a transmission, what it brought is marked at the push. Neither is a false mark.
    let fetched = lane.pulled_at_ns != NEVER && lane.pulled_at_ns >= since;
    !one_session
        || earlier
        || fetched
        || (device.disturbed_at_ns != NEVER && device.disturbed_at_ns >= since)
        || index.run.disturbed_since(since)
        || index.run.last_node_ns.is_some_and(|at_ns| at_ns >= since)
}

impl Acks {
    /// Whether the server must have processed the ack of a message.
    fn is_proven(&self, message: &MessageState, barrier: u32) -> bool {
        let waiting = |&(up_to, clock): &(u64, u32)| message.seq <= up_to && clock < barrier;
        (message.seq != 0 && (message.seq <= self.proven_to || self.waiting.as_ref().is_some_and(waiting)))
            || self.proven.contains(message.ordinal)
            || self.single.iter().any(|&(ordinal, clock)| ordinal == message.ordinal && clock < barrier)
    }
}
