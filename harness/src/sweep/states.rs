//! Rare states that a sweep has to reach: a schedule generator that never brings a crash between commit and ack about proves
//! nothing of such crashes, however many schedules it draws ("sometimes" assertions, after Antithesis).
//!
//! Computed from the events of one run alone, as they come; so they hold for every world, and for stored histories too.
//! What can only be seen inside an engine is told by its counters. Nothing is judged here.
//!
//! Memory: one entry per operation, device and conversation of the run.

use std::collections::{BTreeMap, BTreeSet};

use avouch_reports::history::{Conversation, Device, Event, Message, Phase, SessionKind, User, What};
use rustc_hash::FxHashMap;

pub use catalogue::{Reached, State};

mod catalogue;
mod reading;
#[cfg(test)]
mod tests;

/// What happens within this time of each other happens at the same moment. Nanoseconds.
const MOMENT_NS: u64 = 30_000_000;

/// Follows one run.
#[derive(Default)]
pub struct Watch {
    reached: Reached,
    is_chaos: bool,
    /// Looked up, and asked whether any is like this or that: no order shows.
    operations: FxHashMap<Message, Operation>,
    devices: BTreeMap<Device, Seat>,
    owners: BTreeMap<Device, User>,
    conversations: BTreeMap<Conversation, Room>,
    /// When the server went down; `None` = it is up.
    down_at_ns: Option<u64>,
    deaths: u64,
    /// Takeovers that are watched for their effect, by fault.
    takeovers: BTreeSet<u32>,
}

#[derive(Default)]
struct Operation {
    device: Device,
    conversation: Conversation,
    /// Session of the sender in which it was sent first.
    session: u64,
    sent_ns: u64,
    is_answered: bool,
    is_unknown: bool,
    is_resent_committed: bool,
    /// Some device has it.
    is_committed: bool,
    /// Accepted while these devices were away.
    away: Vec<Device>,
}

#[derive(Default)]
struct Seat {
    is_connected: bool,
    session: u64,
    since_ns: u64,
    lost_ns: Option<u64>,
    joined_late: bool,
    /// Message → the session in which it arrived first.
    has: FxHashMap<Message, u64>,
    /// Requests of pages under way, with the conversation.
    pages: BTreeMap<u64, Conversation>,
    /// Gaps that were noticed: conversation, first missing position.
    gaps: BTreeSet<(Conversation, u64)>,
    /// Read marks that are not confirmed: the session in which the mark was set.
    reads: BTreeMap<Conversation, u64>,
    deaths_seen: u64,
}

#[derive(Default)]
struct Room {
    members: BTreeSet<User>,
    removed: BTreeSet<User>,
    joined: BTreeSet<User>,
    changes: BTreeSet<u64>,
    messages: BTreeMap<u64, Message>,
}

impl Watch {
    /// What was reached.
    pub fn reached(&self) -> Reached {
        self.reached
    }

    /// Takes the next event.
    pub fn observe(&mut self, event: &Event) {
        let at_ns = event.at_ns;
        match &event.what {
            What::Phase { phase } => self.is_chaos = *phase == Phase::Chaos,
            What::Device { device, user, .. } => {
                self.owners.insert(*device, *user);
                self.devices.entry(*device).or_default();
            }
            What::Conversation { conversation, members, .. } => {
                self.conversations.entry(*conversation).or_default().members.extend(members);
            }
            What::Session { device, session } => self.session(*device, *session, at_ns),
            What::Disconnected { device, why } => self.disconnected(*device, why, at_ns),
            What::Reinstalled { device } => {
                let seat = self.devices.entry(*device).or_default();
                seat.is_connected = false;
                seat.has.clear();
            }
            What::Send { device, conversation, message, reply_to, .. } => {
                self.sent(*device, *conversation, *message, at_ns);
                self.replies(*device, *reply_to);
            }
            What::MembersChange { device, conversation, message, .. } => {
                self.sent(*device, *conversation, *message, at_ns);
            }
            What::Retry { message, .. } => self.resent(*message),
            What::Accepted { message, seq, .. } => self.accepted(*message, *seq, at_ns),
            What::Rejected { message, .. } => {
                self.reach(State::Rejected);
                self.operation(*message).is_answered = true;
            }
            What::Unknown { message, .. } => {
                self.reach(State::Unknown);
                let operation = self.operation(*message);
                (operation.is_answered, operation.is_unknown) = (true, true);
            }
            What::Node { state, .. } => self.node(state, at_ns),
            What::FaultStarted { id, kind, .. } => self.fault_started(*id, kind),
            What::FaultEnded { id, evidence } => {
                if self.takeovers.remove(id) && !evidence.is_empty() {
                    self.reach(State::TakenOver);
                }
            }
            _ => self.observe_reading(event),
        }
    }

    fn reach(&mut self, state: State) {
        self.reached.reach(state);
    }

    fn operation(&mut self, message: Message) -> &mut Operation {
        self.operations.entry(message).or_default()
    }

    fn unanswered(&self) -> impl Iterator<Item = &Operation> {
        self.operations.values().filter(|operation| !operation.is_answered)
    }

    fn session(&mut self, device: Device, kind: SessionKind, at_ns: u64) {
        let (is_chaos, deaths) = (self.is_chaos, self.deaths);
        let seat = self.devices.entry(device).or_default();
        let (is_first, died) = (seat.session == 0, seat.deaths_seen < deaths);
        seat.joined_late |= is_first && is_chaos;
        seat.session += 1;
        (seat.is_connected, seat.since_ns, seat.deaths_seen) = (true, at_ns, deaths);
        match kind {
            SessionKind::Resumed => {
                self.reach(State::Resumed);
                if died {
                    self.reach(State::ResumedAfterCrash);
                }
            }
            SessionKind::New if !is_first => self.reach(State::Reinstalled),
            SessionKind::New => {}
        }
    }

    fn disconnected(&mut self, device: Device, why: &str, at_ns: u64) {
        let seat = self.devices.entry(device).or_default();
        let lost_twice = seat.lost_ns.is_some_and(|lost_ns| at_ns - lost_ns < 1_000_000_000);
        let is_young = seat.is_connected && at_ns - seat.since_ns <= MOMENT_NS;
        (seat.is_connected, seat.lost_ns) = (false, Some(at_ns));
        let reads = !std::mem::take(&mut seat.pages).is_empty();
        if self.is_chaos && lost_twice {
            self.reach(State::TwoSessionsLost);
        }
        if reads {
            self.reach(State::ReadInterrupted);
        }
        if why.contains("silent") {
            self.reach(State::HalfOpenFound);
        }
        if why.contains("takeover") {
            self.reach(State::TakenOver);
            if is_young {
                self.reach(State::TakeoverDuringResume);
            }
        }
    }

    fn sent(&mut self, device: Device, conversation: Conversation, message: Message, at_ns: u64) {
        let session = self.devices.entry(device).or_default().session;
        let operation = self.operation(message);
        (operation.device, operation.conversation) = (device, conversation);
        (operation.session, operation.sent_ns) = (session, at_ns);
    }

    fn replies(&mut self, device: Device, reply_to: Option<Message>) {
        let Some(answered) = reply_to else { return };
        let seat = self.devices.entry(device).or_default();
        if seat.has.get(&answered).is_some_and(|session| *session < seat.session) {
            self.reach(State::ReplyAcrossSessions);
        }
    }

    fn resent(&mut self, message: Message) {
        self.reach(State::Resent);
        let operation = self.operation(message);
        if operation.is_committed && !operation.is_answered {
            operation.is_resent_committed = true;
            self.reach(State::AckLostThenResent);
        }
    }

    fn accepted(&mut self, message: Message, seq: Option<u64>, at_ns: u64) {
        let operation = self.operation(message);
        operation.is_answered = true;
        let (sender, conversation) = (operation.device, operation.conversation);
        if operation.is_resent_committed {
            self.reach(State::RetryAnsweredFromDedup);
        }
        let room = self.conversations.entry(conversation).or_default();
        if let Some(seq) = seq {
            room.messages.insert(seq, message);
            if room.changes.contains(&(seq + 1)) || room.changes.contains(&seq.saturating_sub(1)) {
                self.reached.reach(State::NextToMembershipChange);
            }
        }
        let owners = &self.owners;
        let others = self.devices.iter().filter(|(device, _)| {
            **device != sender && owners.get(device).is_some_and(|user| room.members.contains(user))
        });
        let (mut away, mut is_anybody_there, mut is_recent) = (Vec::new(), false, false);
        for (device, seat) in others {
            if seat.is_connected {
                is_anybody_there = true;
            } else {
                away.push(*device);
                is_recent |= seat.lost_ns.is_some_and(|lost_ns| at_ns - lost_ns <= 1_000_000_000);
            }
        }
        if !away.is_empty() && !is_anybody_there {
            self.reach(State::EverybodyAway);
        }
        if is_recent {
            self.reach(State::FanOutDuringReconnect);
        }
        self.operation(message).away = away;
    }

    fn node(&mut self, state: &str, at_ns: u64) {
        let died = match state {
            "killed" => Some(State::DiedUnanswered),
            "power lost" => Some(State::PowerLostUnanswered),
            "stopped" => Some(State::StoppedUnanswered),
            "started" | "ready" => {
                self.down_at_ns = None;
                None
            }
            _ => None,
        };
        let Some(state) = died else { return };
        self.down_at_ns = Some(at_ns);
        self.deaths += 1;
        if self.is_chaos && self.unanswered().next().is_some() {
            self.reach(state);
        }
        if self.unanswered().any(|operation| operation.is_committed) {
            self.reach(State::DiedBetweenCommitAndAck);
        }
    }

    fn fault_started(&mut self, id: u32, kind: &str) {
        let is_unanswered = self.unanswered().next().is_some();
        if kind == "fail_sync" && is_unanswered {
            self.reach(State::SyncFailedUnanswered);
        }
        if kind == "takeover" {
            self.takeovers.insert(id);
            if is_unanswered {
                self.reach(State::TakeoverInFlight);
            }
            let resuming = self.devices.values().any(|seat| !seat.is_connected && seat.session > 0);
            if resuming {
                self.reach(State::TakeoverDuringResume);
            }
        }
    }
}
