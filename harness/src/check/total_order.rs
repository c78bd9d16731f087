//! All devices receive the messages of a conversation in one order: total-order.
//!
//! Definition (Hadzilacos and Toueg: total order), over first receptions since a device began anew:
//! - with positions: every device receives rising positions, and a position names the same message on every device (and in
//!   every ack);
//! - without: there is one order of all messages that every device's order is a part of; that is, the graph of
//!   "received directly after" over all devices has no cycle. Exact, linear in the receptions.
//!
//! Not seen: disagreement about messages that only one device received.
//! Memory: none with positions; 4 bytes per reception without.

use avouch_reports::history::{Event, Message};

use super::findings::{Findings, Outcome, Place, Ruling};
use super::index::numbers::NONE;
use super::index::state::flag;
use super::index::{Index, Placed, Seen};
use super::{Checker, interest};

/// See the module's header.
#[derive(Default)]
pub(crate) struct TotalOrder {
    findings: Findings,
    /// Without positions: ordinals by lane, in order of first reception, with [`NONE`] where the device began anew.
    received: Vec<(u32, Vec<u32>)>,
    placed: u64,
    unplaced: u64,
}

impl Checker for TotalOrder {
    fn interest(&self) -> u16 {
        interest::RECEIVED | interest::ACKED
    }

    fn observe(&mut self, event: &Event, seen: &Seen, index: &Index) {
        match seen {
            Seen::Received(reception) => {
                let Some(slot) = reception.slot.filter(|_| !reception.astray) else { return };
                if index.message(slot).is(flag::REUSED) {
                    return;
                }
                self.taken(event, index, slot, reception.placed);
                if !reception.first {
                    return;
                }
                let Some(seq) = reception.seq else {
                    self.unplaced(index, reception.lane, slot);
                    return;
                };
                self.placed += 1;
                if seq < reception.last_seq {
                    let early = if reception.last_slot == NONE { slot } else { reception.last_slot };
                    let (id, last, was) =
                        (index.message(slot).id, reception.last_seq, index.message(early).id);
                    let place = Place {
                        device: Some(index.device_of_lane(reception.lane).id),
                        ..place(index, early)
                    };
                    self.findings.add("reordered", place, Some(event), || {
                        let expected = format!("m{id} (position {seq}) before m{was} (position {last})");
                        (expected, format!("m{was} came first"))
                    });
                }
            }
            Seen::Acked { slot, placed, .. } => self.taken(event, index, *slot, *placed),
            _ => {}
        }
    }

    fn finish(mut self: Box<Self>, index: &Index) -> Vec<Ruling> {
        for conversation in 0..index.conversations.len() as u32 {
            self.conversation(index, conversation);
        }
        let outcome = match (self.placed, self.unplaced) {
            (0, 0) => Outcome::Idle("nothing was delivered".to_owned()),
            (placed, 0) => Outcome::Held(format!("{placed} first receptions in rising positions")),
            (placed, unplaced) => Outcome::Held(format!(
                "{} first receptions fit one order per conversation ({unplaced} without a position)",
                placed + unplaced
            )),
        };
        vec![self.findings.rule("total-order", outcome)]
    }
}

impl TotalOrder {
    fn taken(&mut self, event: &Event, index: &Index, slot: u32, placed: Placed) {
        let Placed::Taken(other) = placed else { return };
        let what = if other < super::index::state::CHANGE_SLOT {
            format!("m{}", index.message(other).id)
        } else {
            "a membership change".to_owned()
        };
        let id = index.message(slot).id;
        self.findings.add("divergent", place(index, slot), Some(event), || {
            ("a position names one message".to_owned(), format!("one position holds m{id} and {what}"))
        });
    }

    fn unplaced(&mut self, index: &Index, lane: u32, slot: u32) {
        self.unplaced += 1;
        if lane as usize >= self.received.len() {
            self.received.resize(lane as usize + 1, (0, Vec::new()));
        }
        let epoch = index.lanes[lane as usize].epoch;
        let (was, received) = &mut self.received[lane as usize];
        if *was != epoch {
            *was = epoch;
            received.push(NONE);
        }
        received.push(index.message(slot).ordinal);
    }

    /// Without positions: removes messages that nothing left precedes, until none is left or a cycle is.
    fn conversation(&mut self, index: &Index, at: u32) {
        let conversation = &index.conversations[at as usize];
        let lanes: Vec<&[u32]> = conversation
            .lanes
            .iter()
            .filter_map(|&lane| self.received.get(lane as usize))
            .flat_map(|(_, received)| received.split(|&ordinal| ordinal == NONE))
            .filter(|received| received.len() > 1)
            .collect();
        if lanes.len() < 2 {
            return;
        }
        let Some((first, second)) = cycle(&lanes, conversation.slots.len()) else { return };
        let (a, b) = (conversation.slots[first as usize], conversation.slots[second as usize]);
        let (a_id, b_id) = (index.message(a).id, index.message(b).id);
        self.findings.add("reordered", place(index, a), None, || {
            let expected = "the orders of all devices are parts of one order".to_owned();
            (
                expected,
                format!("some device received m{a_id} directly before m{b_id}, others contradict that"),
            )
        });
    }
}

/// An edge on a cycle of "directly after", if there is one.
fn cycle(lanes: &[&[u32]], count: usize) -> Option<(u32, u32)> {
    // Each lane's front may go when every lane that holds the message has it in front.
    let mut before = vec![0u32; count];
    for &m in lanes.iter().flat_map(|lane| &lane[1..]) {
        before[m as usize] += 1;
    }
    let mut after: Vec<Vec<(u32, u32)>> = vec![Vec::new(); count];
    for (l, lane) in lanes.iter().enumerate() {
        for (i, &m) in lane.iter().enumerate() {
            after[m as usize].push((l as u32, i as u32));
        }
    }
    let mut free: Vec<u32> = (0..count as u32).filter(|&m| before[m as usize] == 0).collect();
    while let Some(m) = free.pop() {
        for &(lane, i) in &after[m as usize] {
            if let Some(&next) = lanes[lane as usize].get(i as usize + 1) {
                before[next as usize] -= 1;
                if before[next as usize] == 0 {
                    free.push(next);
                }
            }
        }
    }
    // What is left is on a cycle or behind one: from any such message walk back until one repeats.
    let mut at = (0..count as u32).find(|&m| before[m as usize] > 0)?;
    let mut seen = vec![false; count];
    loop {
        let left = |&(lane, i): &(u32, u32)| {
            let prior = *lanes[lane as usize].get((i as usize).checked_sub(1)?)?;
            (before[prior as usize] > 0).then_some(prior)
        };
        let prior = after[at as usize].iter().find_map(left)?;
        if seen[prior as usize] {
            return Some((prior, at));
        }
        seen[prior as usize] = true;
        at = prior;
    }
}

fn place(index: &Index, slot: u32) -> Place {
    Place {
        conversation: Some(index.conversations[index.sender(slot).conversation as usize].id),
        device: None,
        message: Some(Message(index.message(slot).id)),
    }
}
