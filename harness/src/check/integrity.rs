//! Only what was sent, unchanged, only to those it was for: no-phantoms, intact, isolation, errors-truthful.
//!
//! Definitions, per `Delivered(d, m)` (and per item of a page, where one names m):
//! - no-phantoms (Hadzilacos and Toueg: integrity; Jepsen: "unexpected"): `Send(m)` stands before it, or at the same
//!   instant. A payload that names no send is a phantom when the run has its conversations to itself.
//! - intact: its digest is the digest of `Send(m)`; 0 = not known.
//! - isolation: m was sent to this conversation, and d's user belonged to it at some time.
//! - errors-truthful (Jepsen: aborted read, G1a): there is no `Rejected(m)` without an earlier `Accepted(m)`. Where
//!   retries are not idempotent, a retried m is excused: the refusal was of the last try.
//!
//! Not seen: changes that keep the digest; what only devices outside the history received.
//! Memory: at most [`WAITING_MAX`] deliveries that wait for their send at the same instant.

use std::collections::BTreeMap;

use avouch_reports::history::{Conversation, Device, Event, Message, What};

use super::findings::{Findings, Outcome, Place, Ruling};
use super::index::state::flag;
use super::index::{Index, Reception, Seen};
use super::{Checker, interest};

/// Deliveries kept while their send may still come (time stamps may tie, and then lines may stand in any order).
const WAITING_MAX: usize = 1_024;
/// First deliveries outside the known members that are kept until all members are known.
const OUTSIDERS_MAX: usize = 1_024;

/// See the module's header.
#[derive(Default)]
pub(crate) struct Integrity {
    phantom: Findings,
    corrupted: Findings,
    astray: Findings,
    aborted: Findings,
    /// Deliveries of messages that nobody has sent yet.
    waiting: BTreeMap<Message, Event>,
    /// First delivery on each lane whose user is not known to belong.
    outsiders: BTreeMap<u32, Event>,
    compared: u64,
    foreign: u64,
    refused: u64,
    excused: u64,
}

impl Checker for Integrity {
    fn interest(&self) -> u16 {
        interest::SENT | interest::ACKED | interest::REFUSED | interest::RECEIVED | interest::AT
    }

    fn observe(&mut self, event: &Event, seen: &Seen, index: &Index) {
        match seen {
            Seen::Sent { slot } if !self.waiting.is_empty() => self.sent(event, index, *slot),
            Seen::Received(reception) => self.received(event, reception, index),
            Seen::Refused { slot } => {
                self.refused += 1;
                let message = index.message(*slot);
                if message.is(flag::ARRIVED) && !message.is(flag::TAKEN_BACK) {
                    self.abort(event, index, *slot, "was refused, but a device had received it");
                }
            }
            Seen::Acked { slot, after_refusal: true, .. } => {
                self.abort(event, index, *slot, "was refused, then acknowledged");
            }
            Seen::At { .. } => self.page(event, index),
            _ => {}
        }
    }

    fn finish(mut self: Box<Self>, index: &Index) -> Vec<Ruling> {
        for (message, event) in std::mem::take(&mut self.waiting) {
            self.phantom(&event, &format!("m{}, which nobody sent", message.0));
        }
        for (lane, event) in std::mem::take(&mut self.outsiders) {
            let device = index.device_of_lane(lane);
            let conversation = index.conversation_of_lane(lane);
            if !conversation.members.was_member(device.user) {
                self.stray(&event, &format!("user {} never belonged to the conversation", device.user.0));
            }
        }
        let receptions = index.run.receptions;
        let all = |held: String| match receptions {
            0 => Outcome::Idle("nothing was delivered".to_owned()),
            _ => Outcome::Held(held),
        };
        let phantoms =
            all(format!("{receptions} receptions, all sent before; {} of other origin", self.foreign));
        let intact = match self.compared {
            0 => Outcome::Blind("the history has no digests of payloads to compare".to_owned()),
            n => Outcome::Counted(format!("{n} payloads compared")),
        };
        let isolated = all(format!("{receptions} receptions, each in its conversation and by a member"));
        let refusals = match self.refused {
            0 => Outcome::Idle("nothing was refused".to_owned()),
            n => Outcome::Held(format!("{n} refusals took no effect; {} could not be judged", self.excused)),
        };
        vec![
            self.phantom.rule("no-phantoms", phantoms),
            self.corrupted.rule("intact", intact),
            self.astray.rule("isolation", isolated),
            self.aborted.rule("errors-truthful", refusals),
        ]
    }
}

impl Integrity {
    fn sent(&mut self, event: &Event, index: &Index, slot: u32) {
        let id = Message(index.message(slot).id);
        let Some(early) = self.waiting.remove(&id) else { return };
        let by_ns = event.at_ns - early.at_ns;
        if by_ns > index.options.clock_error_ns {
            self.phantom(&early, &format!("m{} {by_ns} ns before it was sent", id.0));
        }
    }

    fn received(&mut self, event: &Event, reception: &Reception, index: &Index) {
        let What::Delivered { message, digest, .. } = &event.what else { return };
        let lane = &index.lanes[reception.lane as usize];
        let conversation = &index.conversations[lane.conversation as usize];
        let judged = conversation.declared && index.devices[lane.device as usize].declared;
        if judged && !lane.member_ever && self.outsiders.len() < OUTSIDERS_MAX {
            self.outsiders.entry(reception.lane).or_insert_with(|| event.clone());
        }
        let Some(slot) = reception.slot else {
            match message {
                None if !index.options.exclusive => self.foreign += 1,
                None => self.phantom(event, "a message that names no send"),
                Some(id) if self.waiting.len() < WAITING_MAX => {
                    self.waiting.entry(*id).or_insert_with(|| event.clone());
                }
                Some(id) => self.phantom(event, &format!("m{}, which nobody had sent", id.0)),
            }
            return;
        };
        if reception.astray {
            let home = index.conversations[index.sender(slot).conversation as usize].id;
            self.stray(event, &format!("m{} was sent to c{}", index.message(slot).id, home.0));
        }
        self.compare(event, index, slot, *digest);
        self.refusal(event, index, slot, "was refused, and was delivered");
    }

    fn compare(&mut self, event: &Event, index: &Index, slot: u32, digest: u64) {
        let message = index.message(slot);
        if digest == 0 || message.digest == 0 || message.is(flag::REUSED) {
            return;
        }
        self.compared += 1;
        if digest != message.digest {
            let (id, sent) = (message.id, message.digest);
            self.corrupted.add("corrupted", place(event), Some(event), || {
                (
                    format!("the payload of m{id} as sent (digest {sent:016x})"),
                    format!("digest {digest:016x}"),
                )
            });
        }
    }

    fn refusal(&mut self, event: &Event, index: &Index, slot: u32, how: &str) {
        let message = index.message(slot);
        if message.is(flag::REJECTED) && !message.is(flag::REUSED) {
            self.abort(event, index, slot, how);
        }
    }

    fn abort(&mut self, event: &Event, index: &Index, slot: u32, how: &str) {
        let message = index.message(slot);
        if message.is(flag::RETRIED) && !index.options.idempotent {
            self.excused += 1;
            return;
        }
        let at = Place { message: Some(Message(message.id)), ..place(event) };
        self.aborted.add("aborted", at, Some(event), || {
            ("a definite refusal takes no effect".to_owned(), format!("m{} {how}", message.id))
        });
    }

    fn page(&mut self, event: &Event, index: &Index) {
        let What::Page { items, .. } = &event.what else { return };
        let lane_at = place(event).conversation;
        for item in items {
            let Some(id) = item.message else { continue };
            let Some(slot) = index.slot(id) else {
                self.phantom(event, &format!("m{} on a page, which nobody had sent", id.0));
                continue;
            };
            let home = index.conversations[index.sender(slot).conversation as usize].id;
            if Some(home) != lane_at {
                self.stray(event, &format!("m{} on a page was sent to c{}", id.0, home.0));
            }
            self.compare(event, index, slot, item.digest);
            self.refusal(event, index, slot, "was refused, and stands on a page");
        }
    }

    fn phantom(&mut self, event: &Event, what: &str) {
        self.phantom.add("phantom", place(event), Some(event), || {
            ("only what was sent before is delivered".to_owned(), what.to_owned())
        });
    }

    fn stray(&mut self, event: &Event, why: &str) {
        self.astray.add("misdelivered", place(event), Some(event), || {
            ("a message reaches members of its conversation only".to_owned(), why.to_owned())
        });
    }
}

/// Where an event is.
fn place(event: &Event) -> Place {
    let (device, conversation, message): (Device, Option<Conversation>, Option<Message>) = match &event.what {
        What::Delivered { device, conversation, message, .. } => (*device, Some(*conversation), *message),
        What::Page { device, conversation, .. } => (*device, Some(*conversation), None),
        What::Accepted { device, message, .. } | What::Rejected { device, message, .. } => {
            (*device, None, Some(*message))
        }
        _ => return Place::default(),
    };
    Place { conversation, device: Some(device), message }
}
