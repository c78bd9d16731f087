//! Nothing that was acknowledged is missing: no-loss, and the same read against what happened to the device or the
//! server in between (offline-complete, inflight-redelivered, resume-truthful, durable-ack, durable-ack-power).
//!
//! Definition, for a message m with `Accepted` at a rung of at least 2 and no later `Rejected`, and each device d that
//! is eligible (`eligible`): there is `Delivered(d, m)`. (Hadzilacos and Toueg: validity and agreement; Jepsen:
//! total-queue "lost", kafka "unseen".) A missing (m, d) also breaks
//! - offline-complete, when d had no connection at the ack (XEP-0160, MQTT 3.1.2.4);
//! - inflight-redelivered, when d had one at the ack, it ended, and the next session was `Resumed` (MQTT-4.4.0-1). For
//!   protocols in which the server keeps the cursor also: `Delivered`, no `Acknowledged`, `Disconnected`,
//!   `Session(Resumed)` ⇒ a copy, or an `Acknowledged`, follows, and copies come in their first order (`copies_in_order`);
//! - resume-truthful, when the first session of d after the ack was `Resumed` (XEP-0198 §5, MQTT 3.2.2.2); these two only if
//!   m was sent after the state of that session was made, unless the server catches up from a log;
//! - durable-ack, when a process died after the ack (rung ≥ 3) and no device ever saw m after that; durable-ack-power,
//!   when power was lost.
//!
//! An ack below `Options::durable_rung` (by default one of rung 2, "accepted") promises nothing across the death of a process: such
//! a loss is not counted.
//!
//! Put to the test are these only by what an ack promised: of a message that was only written or received, that it arrives says nothing.
//!
//! Not seen: what a device began anew missed of what it had before; loss of a message whose ack was lost too.
//! Memory: nothing per message; for server-kept cursors 4 bytes per delivery that is not acknowledged.

use std::fmt::Write as _;

use avouch_reports::history::{Event, Message, Rung, SessionKind, What};

use super::eligible::Standing;
use super::findings::{Findings, Outcome, Place, Ruling};
use super::index::run::Death;
use super::index::state::{ConversationState, DeviceState, NEVER, flag};
use super::index::{Index, Seen};
use super::{CatchUp, Checker, interest};

mod owed_again;
use owed_again::OwedAgain;

/// The scan. See the module's header.
#[derive(Default)]
pub(crate) struct Loss {
    /// First receptions of what had been acknowledged while the device was away.
    came_late: u64,
    /// First receptions, in a later session, of what had been acknowledged in an earlier one.
    came_over: u64,
    resumed: u64,
    again: OwedAgain,
}

/// What the final scan counts.
#[derive(Default)]
struct Scan {
    loss: Findings,
    offline: Findings,
    inflight: Findings,
    resume: Findings,
    kill: Findings,
    power: Findings,
    arrived: u64,
    devices_judged: u64,
    devices_away: u64,
    /// Missing on devices that were connected but not drained.
    late: u64,
    /// Lost, but nothing was promised of them across the death of a process.
    unpromised: u64,
}

impl Checker for Loss {
    fn interest(&self) -> u16 {
        interest::RECEIVED | interest::BEGAN | interest::ENDED | interest::AT
    }

    fn observe(&mut self, event: &Event, seen: &Seen, index: &Index) {
        match seen {
            Seen::Received(reception) => {
                if let Some(slot) = reception.slot.filter(|_| reception.first) {
                    let (message, device) = (index.message(slot), index.device_of_lane(reception.lane));
                    let since_ns = device.online().map_or(0, |s| s.from_ns);
                    let promised = message.rung > Rung::Received;
                    if promised && message.acked_at_ns < since_ns {
                        let over = device.session_at(message.acked_at_ns).is_some();
                        self.came_over += u64::from(over);
                        self.came_late += u64::from(!over);
                    }
                }
            }
            Seen::Began { .. } => {
                let is_resumed = matches!(event.what, What::Session { session: SessionKind::Resumed, .. });
                self.resumed += u64::from(is_resumed && index.run.promised > 0);
            }
            _ => {}
        }
        if !index.options.client_keeps_cursor {
            self.again.observe(event, seen, index);
        }
    }

    fn finish(mut self: Box<Self>, index: &Index) -> Vec<Ruling> {
        let mut scan = Scan::default();
        for conversation in 0..index.conversations.len() as u32 {
            scan.conversation(index, conversation);
        }
        self.again.finish(index, &mut scan.inflight);
        self.rule(index, scan)
    }
}

impl Scan {
    fn conversation(&mut self, index: &Index, at: u32) {
        let conversation = &index.conversations[at as usize];
        for device_at in index.recipients(at) {
            let device = &index.devices[device_at as usize];
            let arrived = match index.standing(device) {
                Standing::Judged { until_ns } => {
                    self.devices_judged += 1;
                    index.for_missing(at, device_at, |slot| {
                        if index.owed(device, slot, until_ns) {
                            self.missing(index, conversation, device, slot);
                        }
                    })
                }
                Standing::Late => index.for_missing(at, device_at, |slot| {
                    self.late += u64::from(index.owed(device, slot, NEVER));
                }),
                Standing::Away => {
                    self.devices_away += 1;
                    0
                }
                Standing::Never => 0,
            };
            self.arrived += arrived;
        }
    }

    fn missing(&mut self, index: &Index, conversation: &ConversationState, device: &DeviceState, slot: u32) {
        let message = index.message(slot);
        let death = index.run.deaths.iter().find(|(at_ns, ..)| *at_ns >= message.acked_at_ns);
        if death.is_some() && message.rung < index.options.durable_rung {
            self.unpromised += 1;
            return;
        }
        let place = Place {
            conversation: Some(conversation.id),
            device: Some(device.id),
            message: Some(Message(message.id)),
        };
        let acked = format!("m{} was acknowledged ({:?})", message.id, message.rung).to_lowercase();
        let words = |expected: &str, how: &str, after: &str| {
            let name = index.name(device.id);
            (expected.to_owned(), format!("{acked}{how} and never reached {name}{after}"))
        };
        self.loss.add("lost", place, None, || {
            words("every acknowledged message reaches every member's device", "", "")
        });
        let (at_ack, next) =
            (device.session_at(message.acked_at_ns), device.session_after(message.acked_at_ns));
        // Sent before the session's state was made, it may have been taken before, too, and is no part of what is resumed.
        let in_state = index.options.catch_up == CatchUp::Log
            || message.sent_at_ns > device.state_from_ns(message.acked_at_ns);
        let resumed = in_state && next.is_some_and(|s| s.kind == SessionKind::Resumed);
        if at_ack.is_none() {
            self.offline.add("lost", place, None, || {
                words("what came while a device was away reaches it", " while it was away", "")
            });
        } else if resumed {
            let after = ", which was connected then; its link ended, and its session was resumed";
            self.inflight.add("lost", place, None, || {
                words("what was in flight at the end of a link comes again", "", after)
            });
        }
        if resumed {
            let after = ", though the server then said that it resumed the session";
            self.resume.add("gap", place, None, || words("a resumed session has no gap", "", after));
        }
        if !message.is(flag::SURVIVED) {
            let (findings, what) = match death {
                Some((_, Death::Process, _)) => {
                    (&mut self.kill, ", then a server process died, it was not seen again")
                }
                Some((_, Death::Power, _)) => {
                    (&mut self.power, ", then power was lost, it was not seen again")
                }
                None => return,
            };
            findings.add("lost", place, None, || words("an ack survives the death of the server", what, ""));
        }
    }
}

impl Loss {
    fn rule(self, index: &Index, scan: Scan) -> Vec<Ruling> {
        let mut held = format!(
            "{} acknowledged, {} deliveries of them to {} recipients",
            index.run.accepted, scan.arrived, scan.devices_judged
        );
        if scan.devices_away > 0 {
            let _ = write!(held, "; {} never came back and are not judged", scan.devices_away);
        }
        if scan.unpromised > 0 {
            let _ =
                write!(held, "; {} gone with a process, of which the ack promised nothing", scan.unpromised);
        }
        let undecided = if scan.late > 0 {
            Some(format!("{} deliveries were late or lost when the drain ended", scan.late))
        } else if scan.devices_judged == 0 {
            Some("no recipient was drained at the end, so nothing can be said of what is missing".to_owned())
        } else {
            None
        };
        let or_idle = |seen: u64, held: String, idle: &str| match &undecided {
            Some(why) => Outcome::Undecided(why.clone()),
            None if seen == 0 => Outcome::Idle(idle.to_owned()),
            None => Outcome::Held(held),
        };
        // Where nothing was acknowledged at all, the whole run says so.
        let promised = if index.run.accepted == 0 { 1 } else { index.run.promised };
        let kill = deaths(index, Death::Process);
        let power = deaths(index, Death::Power);
        vec![
            scan.loss
                .rule("no-loss", or_idle(promised, held, "no ack promised that a message arrives").counted()),
            scan.offline.rule(
                "offline-complete",
                or_idle(
                    self.came_late,
                    format!("{} arrived after their device had been away", self.came_late),
                    "nothing was acknowledged while a recipient was away",
                ),
            ),
            scan.inflight.rule(
                "inflight-redelivered",
                or_idle(
                    self.came_over + self.again.copies,
                    format!("{} crossed the end of a link and arrived", self.came_over + self.again.copies),
                    "nothing was in flight to a device when its link ended",
                ),
            ),
            scan.resume.rule(
                "resume-truthful",
                or_idle(
                    self.resumed,
                    format!("{} sessions resumed without a gap", self.resumed),
                    "no session was resumed after an ack had promised that a message arrives",
                ),
            ),
            scan.kill.rule(
                "durable-ack",
                or_idle(
                    kill,
                    format!("{kill} deaths of a process under load"),
                    "no process died while durable acks were at stake",
                ),
            ),
            scan.power.rule(
                "durable-ack-power",
                or_idle(
                    power,
                    format!("{power} losses of power under load"),
                    "no power was lost while durable acks were at stake",
                ),
            ),
        ]
    }
}

fn deaths(index: &Index, kind: Death) -> u64 {
    index.run.deaths.iter().filter(|(_, death, loaded)| *death == kind && *loaded).count() as u64
}
