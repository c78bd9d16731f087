//! Positions mean what they say: seq-sane, gap-visible.
//!
//! Definitions, for protocols whose events name positions:
//! - seq-sane (Jepsen kafka: inconsistent offsets): a position of a conversation names one message, in every ack, on every
//!   device and page, also after a restart (reuse, rollback); first receptions of a device rise strictly since it began
//!   anew; and, where positions are contiguous (`Options::contiguous`), every position between two that a drained member
//!   knows, and at which its user belonged, is known to somebody: there are no holes. (What others said between two stays
//!   is theirs to know, and they may never have come back.)
//! - gap-visible (Matrix `limited`, Centrifugo `recovered: false`): before d shows a position behind one that it misses,
//!   the client has said so (`Gap`), if that position holds a message that d is owed.
//!
//! Positions are compared as numbers. A protocol with epochs (Centrifugo) numbers them and puts the number above the
//! offset, so that a later epoch is greater.
//!
//! Not seen: a hole before the first or after the last position that anybody saw.
//! Memory: 40 bytes per jump that is not explained yet, at most [`JUMPS_MAX`]; 24 per `Gap`, at most as many.

use std::collections::{BTreeMap, BTreeSet};

use avouch_reports::history::{Event, Message, What};

use super::eligible::Standing;
use super::findings::{Findings, Outcome, Place, Ruling};
use super::index::members::Belongs;
use super::index::state::{CHANGE_SLOT, flag};
use super::index::{Index, Placed, Reception, Seen};
use super::{Checker, interest};

/// Jumps that wait for an explanation, and gaps that clients noticed; more are not judged.
const JUMPS_MAX: usize = 65_536;
/// Positions looked at per missing range, and holes counted per conversation.
const POSITIONS_MAX: u64 = 1_024;

/// A device showed a position and missed the range before it.
#[derive(Clone, Copy, Debug)]
struct Jump {
    lane: u32,
    from: u64,
    to: u64,
    at_ns: u64,
    /// What was shown.
    shown: u32,
}

/// See the module's header.
#[derive(Default)]
pub(crate) struct Sequence {
    sane: Findings,
    visible: Findings,
    jumps: Vec<Jump>,
    /// By lane: (after, before, when).
    noticed: BTreeMap<u32, Vec<(u64, u64, u64)>>,
    gaps: usize,
    placed: u64,
}

impl Checker for Sequence {
    fn interest(&self) -> u16 {
        interest::RECEIVED | interest::ACKED | interest::AT
    }

    fn observe(&mut self, event: &Event, seen: &Seen, index: &Index) {
        match seen {
            Seen::Received(reception) => {
                let Some(slot) = reception.slot.filter(|_| !reception.astray) else { return };
                self.taken(event, index, slot, reception.placed);
                if reception.first && reception.seq.is_some() {
                    self.received(event, reception, slot, index);
                }
            }
            Seen::Acked { slot, placed, .. } => self.taken(event, index, *slot, *placed),
            Seen::At { lane } => match &event.what {
                What::Gap { after, before, .. } if self.gaps < JUMPS_MAX => {
                    self.gaps += 1;
                    self.noticed.entry(*lane).or_default().push((*after, *before, event.at_ns));
                }
                What::Page { items, .. } => {
                    let conversation = index.lanes[*lane as usize].conversation;
                    for item in items {
                        let (Some(seq), Some(slot)) = (item.seq, item.message.and_then(|m| index.slot(m)))
                        else {
                            continue;
                        };
                        if let Some(other) =
                            index.at_position(conversation, seq).filter(|&other| other != slot)
                        {
                            self.taken(event, index, slot, Placed::Taken(other));
                        }
                    }
                }
                _ => {}
            },
            _ => {}
        }
    }

    fn finish(mut self: Box<Self>, index: &Index) -> Vec<Ruling> {
        if index.options.contiguous {
            for conversation in 0..index.conversations.len() as u32 {
                self.holes(index, conversation);
            }
        }
        for jump in std::mem::take(&mut self.jumps) {
            self.judge(index, jump);
        }
        let outcome = |held: String| {
            if index.run.positions {
                Outcome::Held(held)
            } else {
                Outcome::Blind("the history names no positions".to_owned())
            }
        };
        let without = if index.options.contiguous { ", without holes" } else { "" };
        let sane = outcome(format!("{} receptions at rising positions{without}", self.placed));
        let visible = outcome(format!("{} gaps noticed by clients, none shown as complete", self.gaps));
        vec![self.sane.rule("seq-sane", sane), self.visible.rule("gap-visible", visible)]
    }
}

impl Sequence {
    fn taken(&mut self, event: &Event, index: &Index, slot: u32, placed: Placed) {
        let Placed::Taken(other) = placed else { return };
        if index.message(slot).is(flag::REUSED) {
            return;
        }
        let id = index.message(slot).id;
        let what = if other == CHANGE_SLOT {
            "a membership change".to_owned()
        } else {
            format!("m{}", index.message(other).id)
        };
        self.sane.add("divergent", place(index, slot, None), Some(event), || {
            ("a position is given once".to_owned(), format!("m{id} has the position of {what}"))
        });
    }

    fn received(&mut self, event: &Event, reception: &Reception, slot: u32, index: &Index) {
        self.placed += 1;
        let (seq, last) = (reception.seq.unwrap_or(0), reception.last_seq);
        if seq == last + 1 || last == 0 {
            return;
        }
        if seq <= last {
            let id = index.message(slot).id;
            self.sane.add("reordered", place(index, slot, Some(reception.lane)), Some(event), || {
                (
                    format!("positions rise: after {last} comes a greater one"),
                    format!("m{id} at position {seq}"),
                )
            });
            return;
        }
        let missing = index.lanes[reception.lane as usize].known.missing();
        let first = missing.partition_point(|&(_, to)| to <= last);
        for &(from, to) in missing[first..].iter().take_while(|&&(from, _)| from < seq) {
            let jump = Jump {
                lane: reception.lane,
                from: from.max(last + 1),
                to: to.min(seq - 1),
                at_ns: event.at_ns,
                shown: slot,
            };
            if self.jumps.len() >= JUMPS_MAX {
                self.jumps.retain(|jump| !explained(index, jump));
            }
            if self.jumps.len() < JUMPS_MAX && !explained(index, &jump) {
                self.jumps.push(jump);
            }
        }
    }

    fn judge(&mut self, index: &Index, jump: Jump) {
        let noticed = self.noticed.get(&jump.lane).is_some_and(|gaps| {
            gaps.iter()
                .any(|&(after, before, at_ns)| after < jump.from && before > jump.to && at_ns <= jump.at_ns)
        });
        if noticed {
            return;
        }
        let lane = &index.lanes[jump.lane as usize];
        let device = &index.devices[lane.device as usize];
        let owed = (jump.from..=jump.to).take(POSITIONS_MAX as usize).find_map(|seq| {
            let slot = index.message_at(lane.conversation, seq)?;
            let sender = index.sender(slot).device;
            let sibling = index.devices[sender as usize].user == device.user;
            let message = index.message(slot);
            let counts =
                sender != lane.device && (!sibling || index.options.siblings_owed) && message.is_acked();
            (counts && index.belongs(device, slot) == Belongs::Yes).then_some((seq, slot))
        });
        let Some((seq, slot)) = owed else { return };
        let (missed, shown) = (index.message(slot).id, index.message(jump.shown));
        let (shown_id, shown_seq) = (shown.id, shown.seq);
        self.visible.add("gap", place(index, slot, Some(jump.lane)), None, || {
            let expected =
                format!("position {seq} (m{missed}) before position {shown_seq}, or word of a gap");
            (expected, format!("m{shown_id} was shown, and nothing said that m{missed} was missing"))
        });
    }

    /// Positions that a drained member misses, who belonged there, and that nobody knows.
    fn holes(&mut self, index: &Index, at: u32) {
        let conversation = &index.conversations[at as usize];
        let mut holes = BTreeSet::new();
        for &lane in &conversation.lanes {
            let state = &index.lanes[lane as usize];
            let device = &index.devices[state.device as usize];
            let judged = matches!(index.standing(device), Standing::Judged { .. });
            if !judged || !conversation.members.is_member_now(device.user) || state.epoch != device.epoch {
                continue;
            }
            for seq in
                state.known.missing().iter().flat_map(|&(from, to)| (from..=to).take(POSITIONS_MAX as usize))
            {
                let known = |&other: &u32| index.lanes[other as usize].known.contains(seq);
                if holes.len() as u64 >= POSITIONS_MAX
                    || conversation.positions.get(seq).is_some()
                    || holes.contains(&seq)
                    || conversation.members.at_position(device.user, seq) != Belongs::Yes
                {
                    continue;
                }
                if !conversation.lanes.iter().any(known) {
                    holes.insert(seq);
                }
            }
        }
        for seq in holes {
            let next =
                (seq..=conversation.head).take(POSITIONS_MAX as usize).find_map(|p| index.message_at(at, p));
            let message = next.map(|slot| Message(index.message(slot).id));
            let place = Place { conversation: Some(conversation.id), device: None, message };
            self.sane.add("gap", place, None, || {
                ("positions have no holes".to_owned(), format!("nobody ever saw position {seq}"))
            });
        }
    }
}

/// Everything that was jumped over is the device's own.
fn explained(index: &Index, jump: &Jump) -> bool {
    let lane = &index.lanes[jump.lane as usize];
    jump.to - jump.from < 8
        && (jump.from..=jump.to).all(|seq| match index.at_position(lane.conversation, seq) {
            Some(slot) if slot != CHANGE_SLOT => index.sender(slot).device == lane.device,
            _ => false,
        })
}

fn place(index: &Index, slot: u32, lane: Option<u32>) -> Place {
    Place {
        conversation: Some(index.conversations[index.sender(slot).conversation as usize].id),
        device: lane.map(|lane| index.device_of_lane(lane).id),
        message: Some(Message(index.message(slot).id)),
    }
}
