//! Who belongs gets it, who does not does not: membership-boundary.
//!
//! Definition, for `Delivered(d, m)` in a conversation whose members changed: d's user belonged to it at m's position
//! (where changes and m have positions), else at some time between `Send(m)` and `Accepted(m)`. Violated after a removal
//! always, before the joining only where joiners see nothing of the past (`Options::joiner_sees`). A change whose outcome
//! is unknown, and the time in which one may have taken effect, excuse. The other half (members at commit time get it)
//! is no-loss; somebody who never belonged is a matter of isolation.
//!
//! A page of history counts as a reception where joiners see nothing of the past and m came before the joining.
//!
//! Not seen: what a removed user fetches as a page.
//! Memory: 8 bytes per message that a page showed to somebody who did not surely belong, at most [`PAGED_MAX`] of them.
//! Work at the end: one look per reception in conversations that changed.

use std::collections::BTreeSet;

use avouch_reports::history::{Event, Message, What};

use super::JoinerSees;
use super::findings::{Findings, Outcome, Place, Ruling};
use super::index::members::Belongs;
use super::index::{Index, Seen};
use super::{Checker, interest};

/// Messages on pages of people who did not surely belong; more are not judged.
const PAGED_MAX: usize = 65_536;

/// See the module's header.
#[derive(Default)]
pub(crate) struct Membership {
    findings: Findings,
    judged: u64,
    unsure: u64,
    /// (lane, slot) of messages that a page showed, until it is known who belonged.
    paged: BTreeSet<(u32, u32)>,
}

impl Checker for Membership {
    fn interest(&self) -> u16 {
        interest::AT
    }

    fn observe(&mut self, event: &Event, seen: &Seen, index: &Index) {
        let (Seen::At { lane }, What::Page { items, .. }) = (seen, &event.what) else { return };
        let device = index.device_of_lane(*lane);
        for slot in items.iter().filter_map(|item| index.slot(item.message?)) {
            if self.paged.len() < PAGED_MAX && index.belongs(device, slot) != Belongs::Yes {
                self.paged.insert((*lane, slot));
            }
        }
    }

    fn finish(mut self: Box<Self>, index: &Index) -> Vec<Ruling> {
        let mut changed = 0u64;
        for conversation in index.conversations.iter().filter(|c| c.members.changed) {
            changed += 1;
            for &lane in &conversation.lanes {
                self.lane(index, lane, &conversation.slots);
            }
        }
        let outcome = match changed {
            0 => Outcome::Idle("no membership changed".to_owned()),
            _ => Outcome::Held(format!(
                "{} receptions by members of their time in {changed} conversations; {} too close to a change to tell",
                self.judged, self.unsure
            )),
        };
        vec![self.findings.rule("membership-boundary", outcome)]
    }
}

impl Membership {
    fn lane(&mut self, index: &Index, lane_at: u32, slots: &[u32]) {
        let lane = &index.lanes[lane_at as usize];
        let device = &index.devices[lane.device as usize];
        for (ordinal, &slot) in slots.iter().enumerate() {
            let ordinal = ordinal as u32;
            let has = lane.delivered.contains(ordinal)
                || lane.earlier.as_ref().is_some_and(|e| e.contains(ordinal));
            let paged = !has && self.paged.contains(&(lane_at, slot));
            if !(has || paged) || index.sender(slot).device == lane.device || !lane.member_ever {
                continue;
            }
            let when = match index.belongs(device, slot) {
                Belongs::NoLonger if has => "was no longer a member",
                Belongs::NotYet if index.options.joiner_sees == JoinerSees::FromJoin => {
                    "was not yet a member"
                }
                Belongs::Unsure => {
                    self.unsure += 1;
                    continue;
                }
                _ => {
                    self.judged += 1;
                    continue;
                }
            };
            let message = index.message(slot);
            let place = Place {
                conversation: Some(index.conversations[lane.conversation as usize].id),
                device: Some(device.id),
                message: Some(Message(message.id)),
            };
            self.findings.add("misdelivered", place, None, || {
                let expected = "a message reaches those who belong when it is committed".to_owned();
                let (id, name) = (message.id, index.name(device.id));
                let actual = if has {
                    format!("m{id} reached {name}, whose user {when}")
                } else {
                    format!("m{id} stood on a page of {name}, whose user {when}")
                };
                (expected, actual)
            });
        }
    }
}
