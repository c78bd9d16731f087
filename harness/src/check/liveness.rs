//! After the heal things go on: send-live, recovers-within, and the one-liner chain-valid.
//!
//! Definitions:
//! - send-live: every operation gets an answer. Violated when one was given up, or was still open at the end, although
//!   since the heal its device had been connected without interruption for `recovers_within_ns` (else `stall_ns`).
//! - recovers-within: every first reception of a message that was sent before the heal comes at most
//!   `recovers_within_ns` after the heal (after the device's session began, where that was later), and so does
//!   everything that is still missing when the drain ends.
//! - chain-valid: no client found that the hash chain of a conversation does not hold (`ChainBroken`).
//!
//! Liveness is judged only when the history says that the run was healed: all faults over, all nodes up. Otherwise
//! nobody is to blame for silence.
//!
//! Not seen: answers that came, but late, while faults were active. Memory: none per message.

use avouch_reports::history::{Event, Message, What};

use super::findings::{Findings, Outcome, Place, Ruling};
use super::index::state::{DeviceState, NEVER, flag};
use super::index::{Index, Seen};
use super::{Checker, interest};

/// See the module's header.
#[derive(Default)]
pub(crate) struct Liveness {
    silent: Findings,
    late: Findings,
    broken: Findings,
    /// Given up, but nobody is to blame.
    excused: u64,
    /// Slowest recovery of one message.
    slowest_ns: u64,
    recovered: u64,
}

impl Checker for Liveness {
    fn interest(&self) -> u16 {
        interest::GIVEN_UP | interest::RECEIVED | interest::AT
    }

    fn observe(&mut self, event: &Event, seen: &Seen, index: &Index) {
        match seen {
            Seen::GivenUp { slot } => self.unanswered(Some(event), event.at_ns, *slot, index),
            Seen::Received(reception) if reception.first => {
                let (Some(heal_ns), Some(slot)) = (index.run.heal_at_ns, reception.slot) else { return };
                if index.message(slot).sent_at_ns < heal_ns {
                    self.recovered(event, reception.lane, (heal_ns, slot), index);
                }
            }
            Seen::At { .. } => {
                if let What::ChainBroken { device, conversation, seq } = &event.what {
                    let place =
                        Place { conversation: Some(*conversation), device: Some(*device), message: None };
                    self.broken.add("divergent", place, Some(event), || {
                        (
                            "the chain holds at every position".to_owned(),
                            format!("it does not at position {seq}"),
                        )
                    });
                }
            }
            _ => {}
        }
    }

    fn finish(mut self: Box<Self>, index: &Index) -> Vec<Ruling> {
        let end_ns = index.run.drained.as_ref().map_or(index.run.end_ns, |drained| drained.0);
        let given_up = self.excused;
        for slot in 0..index.messages.len() as u32 {
            let message = index.message(slot);
            if !message.is_answered() && !message.is(flag::REUSED) {
                self.unanswered(None, end_ns, slot, index);
            }
        }
        let open = self.excused - given_up;
        self.missing(index, end_ns);
        let operations = index.messages.len();
        let live = match self.excused {
            0 if operations == 0 => Outcome::Idle("nothing was sent".to_owned()),
            0 if index.run.accepted > 0 && index.run.replies == 0 => {
                Outcome::Idle("nothing is answered here: messages are only written".to_owned())
            }
            0 => Outcome::Held(format!("{operations} operations, all answered")),
            _ if open > 0 => Outcome::Undecided(format!(
                "{open} operations were still open, with no fair chance of an answer since a heal"
            )),
            n => Outcome::Held(format!(
                "{} of {operations} operations answered; the others had no chance after the heal",
                operations as u64 - n
            )),
        };
        let recovers = match (index.options.recovers_within_ns, index.run.heal_at_ns) {
            (None, _) => Outcome::Blind("no time to recover within is set".to_owned()),
            (_, None) => Outcome::Blind("the history has no heal".to_owned()),
            _ if !index.run.healed() => Outcome::Undecided("a fault or a node was not undone".to_owned()),
            (Some(_), Some(_)) => Outcome::Held(format!(
                "{} deliveries were owed at the heal, the last came {} ms after",
                self.recovered,
                self.slowest_ns / 1_000_000
            )),
        };
        let chain = if index.claimed.contains("chain-valid") {
            Outcome::Held("no client found a broken chain".to_owned())
        } else {
            Outcome::Blind("the target has no hash chain".to_owned())
        };
        vec![
            self.silent.rule("send-live", live),
            self.late.rule("recovers-within", recovers),
            self.broken.rule("chain-valid", chain),
        ]
    }
}

impl Liveness {
    fn unanswered(&mut self, event: Option<&Event>, now_ns: u64, slot: u32, index: &Index) {
        let message = index.message(slot);
        let device = &index.devices[index.sender(slot).device as usize];
        let limit_ns = index.options.recovers_within_ns.unwrap_or(index.options.stall_ns);
        let chance_ns = chance(index, device, now_ns).map(|since| now_ns - since.max(message.sent_at_ns));
        let Some(chance_ns) = chance_ns.filter(|&chance| chance >= limit_ns) else {
            self.excused += 1;
            return;
        };
        let place = Place {
            conversation: Some(index.conversations[index.sender(slot).conversation as usize].id),
            device: Some(device.id),
            message: Some(Message(message.id)),
        };
        self.silent.add("unanswered", place, event, || {
            let expected = format!("an answer within {} ms after the heal", limit_ns / 1_000_000);
            (
                expected,
                format!("m{} had none after {} ms on a living connection", message.id, chance_ns / 1_000_000),
            )
        });
    }

    fn recovered(&mut self, event: &Event, lane: u32, (heal_ns, slot): (u64, u32), index: &Index) {
        let device = index.device_of_lane(lane);
        let since = device.online().map_or(heal_ns, |s| s.from_ns.max(heal_ns));
        let took_ns = event.at_ns.saturating_sub(since);
        self.recovered += 1;
        self.slowest_ns = self.slowest_ns.max(took_ns);
        let Some(budget_ns) = index.options.recovers_within_ns.filter(|&budget| took_ns > budget) else {
            return;
        };
        let place = Place {
            conversation: Some(index.conversation_of_lane(lane).id),
            device: Some(device.id),
            message: Some(Message(index.message(slot).id)),
        };
        self.late.add("late", place, Some(event), || {
            let expected =
                format!("everything owed arrives within {} ms after the heal", budget_ns / 1_000_000);
            (expected, format!("m{} took {} ms", index.message(slot).id, took_ns / 1_000_000))
        });
    }

    /// What had not arrived at the end of a drain that did not converge.
    fn missing(&mut self, index: &Index, end_ns: u64) {
        let Some(budget_ns) = index.options.recovers_within_ns else { return };
        if index.run.drained.as_ref().is_none_or(|drained| drained.1) {
            return;
        }
        for at in 0..index.conversations.len() as u32 {
            for device_at in index.recipients(at) {
                let device = &index.devices[device_at as usize];
                let Some(took_ns) = chance(index, device, end_ns).map(|since| end_ns - since) else {
                    continue;
                };
                if took_ns <= budget_ns {
                    continue;
                }
                let until_ns = end_ns - budget_ns;
                let conversation = index.conversations[at as usize].id;
                index.for_missing(at, device_at, |slot| {
                    if !index.owed(device, slot, until_ns) {
                        return;
                    }
                    let id = index.message(slot).id;
                    let place = Place {
                        conversation: Some(conversation),
                        device: Some(device.id),
                        message: Some(Message(id)),
                    };
                    self.late.add("late", place, None, || {
                        let expected = format!(
                            "everything owed arrives within {} ms after the heal",
                            budget_ns / 1_000_000
                        );
                        (expected, format!("m{id} had not arrived after {} ms", took_ns / 1_000_000))
                    });
                });
            }
        }
    }
}

/// Since when a device could talk to a healed server; `None` = it could not.
fn chance(index: &Index, device: &DeviceState, now_ns: u64) -> Option<u64> {
    let heal_ns = index.run.heal_at_ns?;
    let session = device.sessions.iter().rfind(|s| s.from_ns <= now_ns)?;
    let alive = session.until_ns == NEVER || session.until_ns >= now_ns;
    (index.run.healed() && alive && heal_ns <= now_ns).then(|| session.from_ns.max(heal_ns))
}
