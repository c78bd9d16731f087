//! What passes on each link when nothing goes wrong, read off a scenario's steps: so that faults are put where there is
//! something to hit. A fault that hits nothing makes its run inconclusive.
//!
//! An estimate, and a low one: frames that gather are counted once, and what faults bring about themselves (retries,
//! reconnections) not at all. Frames are those of the reference protocol.

use std::collections::{BTreeMap, BTreeSet};

use super::{Crowd, device_name};
use crate::Scenario;
use crate::scenario::{Setting, Step, StepDoes};
use crate::units::{Parties, Party, Time};

/// What comes within this time of something else may travel with it, in one frame.
const GATHERS: Time = Time::ms(60);
/// The server's interval of heartbeats where a scenario sets none.
const HEARTBEAT_DEFAULT_MS: u64 = 5_000;
/// The server's window where a scenario sets none. Entries.
const WINDOW_DEFAULT: u64 = 256;
/// What the server has of each conversation in memory where a scenario sets none. Entries.
const TAIL_DEFAULT: u64 = 512;
/// Frames of a kind that an open-loop workload brings at least.
const STEADY_FRAMES: usize = 5;

/// Why something passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    Send,
    /// A send by somebody who is no member any more.
    Refused,
    /// Members are added or removed.
    Change,
    /// Somebody else's message comes.
    Delivery,
    /// History is read.
    Read,
    /// It connects, in the middle.
    Return,
    /// It connects, and lacks something.
    CatchUp,
}

/// Something that makes frames pass.
#[derive(Clone, Copy, Debug)]
struct Passing {
    at: Time,
    cause: Cause,
    /// The conversation that it is about; 0 where it is about none.
    room: u32,
}

/// What passes, by device.
#[derive(Clone, Debug)]
pub(super) struct Traffic {
    /// Rising.
    devices: Vec<Vec<Passing>>,
    /// From when to when a device is away by the scenario's own steps.
    away: Vec<Vec<(Time, Time)>>,
    duration: Time,
    round_trip: Time,
    heartbeat: Time,
    /// So many entries of a conversation are pushed to who comes back; of more, it is told the head and pulls.
    pushed_entries_max: usize,
    marks_read: bool,
    reads_history: bool,
    /// A workload with a rate, or with members that the seed draws: everybody has something to do all the time.
    is_steady: bool,
}

impl Traffic {
    /// Reads a scenario, whose faults do not matter.
    pub(super) fn of(scenario: &Scenario, crowd: Crowd) -> Self {
        let workload = &scenario.workload;
        let count = crowd.devices_total() as usize;
        let setting = |name: &str, default: u64| match scenario.cluster.settings.get(name) {
            Some(Setting::Count(count)) => u64::try_from(*count).unwrap_or(u64::MAX),
            _ => default,
        };
        let pushed = setting("window_entries", WINDOW_DEFAULT).min(setting("tail_entries", TAIL_DEFAULT));
        let mut traffic = Self {
            devices: vec![Vec::new(); count],
            away: vec![Vec::new(); count],
            duration: workload.duration,
            round_trip: Time(scenario.network.profile.map_or(0, |profile| profile.0.round_trip_us) * 1_000),
            heartbeat: Time::ms(setting("heartbeat_ms", HEARTBEAT_DEFAULT_MS)),
            pushed_entries_max: usize::try_from(pushed).unwrap_or(usize::MAX),
            marks_read: workload.read_marks.is_some(),
            reads_history: workload.history_reads.is_some(),
            is_steady: workload.rate.is_some() || scenario.conversation.is_empty(),
        };
        for entry in &scenario.device {
            if let (Some(at), Some(device)) = (entry.connects_at, only(&entry.which, crowd)) {
                traffic.away[device].push((Time(0), at));
            }
        }
        traffic.read_absences(&scenario.step, crowd);
        traffic.read_steps(scenario, crowd);
        traffic.find_returns(scenario, crowd);
        traffic.devices.iter_mut().for_each(|events| events.sort_by_key(|event| event.at));
        traffic
    }

    fn read_absences(&mut self, steps: &[Step], crowd: Crowd) {
        let mut left: Vec<Option<Time>> = vec![None; self.devices.len()];
        for step in steps {
            let Some(device) = only(&step.device, crowd) else { continue };
            match step.does {
                Some(StepDoes::Disconnect) => left[device] = left[device].or(Some(step.at)),
                Some(StepDoes::Connect) => {
                    let left = left[device].take();
                    self.away[device].extend(left.map(|left| (left, step.at)));
                }
                _ => {}
            }
        }
    }

    fn read_steps(&mut self, scenario: &Scenario, crowd: Crowd) {
        let mut members: Vec<BTreeSet<u32>> = scenario
            .conversation
            .iter()
            .map(|entry| entry.members.iter().map(|user| user.0).collect())
            .collect();
        for step in &scenario.step {
            let Some(device) = only(&step.device, crowd) else { continue };
            let user = device_name(crowd.devices, device as u64).0;
            if let Some(change) = &step.members {
                self.note(device, step.at, Cause::Change, change.conversation.0);
                if let Some(members) = members.get_mut(change.conversation.0 as usize) {
                    members.extend(change.add.iter().map(|user| user.0));
                    members.retain(|user| !change.remove.iter().any(|gone| gone.0 == *user));
                }
            }
            if let Some(send) = &step.send {
                let members = members.get(send.conversation.0 as usize);
                let is_member = members.is_none_or(|members| members.contains(&user));
                let cause = if is_member { Cause::Send } else { Cause::Refused };
                for _ in 0..send.count {
                    self.note(device, step.at, cause, send.conversation.0);
                    if let (Some(members), Cause::Send) = (members, cause) {
                        self.deliver((step.at, send.conversation.0), device, members, crowd);
                    }
                }
            }
            if let Some(room) = &step.read_history {
                self.note(device, step.at, Cause::Read, room.0);
            }
        }
    }

    fn note(&mut self, device: usize, at: Time, cause: Cause, room: u32) {
        self.devices[device].push(Passing { at, cause, room });
    }

    fn deliver(&mut self, (at, room): (Time, u32), from: usize, members: &BTreeSet<u32>, crowd: Crowd) {
        for device in (0..self.devices.len()).filter(|device| *device != from) {
            if members.contains(&device_name(crowd.devices, device as u64).0) && !self.is_away(device, at) {
                self.note(device, at, Cause::Delivery, room);
            }
        }
    }

    /// A return catches up when more was sent meanwhile than is pushed; an installation begins at the beginning.
    fn find_returns(&mut self, scenario: &Scenario, crowd: Crowd) {
        let steps = &scenario.step;
        let reinstalls = steps.iter().filter(|step| matches!(step.does, Some(StepDoes::Reinstall)));
        let reinstalls = reinstalls.filter_map(|step| Some((only(&step.device, crowd)?, (Time(0), step.at))));
        let absences = self.away.iter().enumerate();
        let absences = absences.flat_map(|(device, away)| away.iter().map(move |away| (device, *away)));
        let returns: Vec<_> = absences.chain(reinstalls).collect();
        for (device, (left, back)) in returns {
            let user = device_name(crowd.devices, device as u64).0;
            let missed = |room: u32| -> usize {
                let belongs = scenario.conversation[room as usize].members.iter().any(|it| it.0 == user);
                let sends = steps.iter().filter(|step| left <= step.at && step.at < back);
                let sends =
                    sends.filter_map(|step| step.send.as_ref()).filter(|send| send.conversation.0 == room);
                if belongs { sends.map(|send| send.count as usize).sum() } else { 0 }
            };
            let rooms = 0..scenario.conversation.len() as u32;
            let behind = rooms.clone().find(|room| missed(*room) > self.pushed_entries_max);
            self.note(device, back, Cause::Return, 0);
            if let Some(room) = behind {
                self.note(device, back, Cause::CatchUp, room);
            }
        }
    }

    /// Whether who is away then lacks so much that it has to pull when it is back.
    pub(super) fn is_too_much_to_push(&self, device: u64, from: Time, until: Time) -> bool {
        let mut missed: BTreeMap<u32, usize> = BTreeMap::new();
        for event in &self.devices[device as usize] {
            if event.cause == Cause::Delivery && from <= event.at && event.at < until {
                *missed.entry(event.room).or_default() += 1;
            }
        }
        missed.values().any(|count| *count > self.pushed_entries_max)
    }

    /// Whether the scenario's own steps have a device away at a time.
    pub(super) fn is_away(&self, device: usize, at: Time) -> bool {
        self.away[device].iter().any(|(left, back)| *left <= at && at < *back)
    }

    /// There and back, between a device and the server.
    pub(super) fn round_trip(&self) -> Time {
        self.round_trip
    }

    /// Devices on whose links anything passes.
    pub(super) fn busy_devices(&self) -> Vec<u64> {
        let all = 0..self.devices.len() as u64;
        all.filter(|device| self.is_steady || !self.devices[*device as usize].is_empty()).collect()
    }

    /// When something passes on a device's link; empty where nobody can say.
    pub(super) fn times(&self, device: u64) -> Vec<Time> {
        self.select(device, |cause| cause != Cause::Return && cause != Cause::CatchUp)
    }

    /// When something comes for a device; empty where nobody can say.
    pub(super) fn deliveries(&self, device: u64) -> Vec<Time> {
        let sent = self.select(device, |cause| cause == Cause::Delivery);
        sent.into_iter().map(|at| Time(at.0 + self.round_trip.0)).collect()
    }

    fn select(&self, device: u64, wanted: impl Fn(Cause) -> bool) -> Vec<Time> {
        let events = self.devices[device as usize].iter().filter(|event| wanted(event.cause));
        events.map(|event| event.at).collect()
    }

    /// When frames of a kind pass on a device's link, at least; those that come before the end.
    pub(super) fn frames(&self, device: u64, kind: &str) -> Vec<Time> {
        // A return is a handshake and a login before anything else comes.
        let round_trips = if matches!(kind, "hello" | "welcome" | "heads" | "sync" | "page") { 3 } else { 1 };
        let late = Time(self.round_trip.0 * round_trips);
        let mut frames = self.caused(device, kind);
        frames.retain(|at| at.0 + late.0 + GATHERS.0 < self.duration.0);
        frames
    }

    fn caused(&self, device: u64, kind: &str) -> Vec<Time> {
        let of = |causes: &[Cause]| self.select(device, |cause| causes.contains(&cause));
        let rare = match kind {
            "rejected" => of(&[Cause::Refused]),
            "members" => of(&[Cause::Change]),
            "hello" | "welcome" => of(&[Cause::Return]),
            "heads" => of(&[Cause::CatchUp]),
            "sync" | "page" if self.reads_history => self.spread(1),
            "sync" | "page" => of(&[Cause::CatchUp, Cause::Read]),
            "ping" | "pong" => self.silences(&of(&[Cause::Send, Cause::Refused, Cause::Delivery])),
            _ => Vec::new(),
        };
        let usual = match kind {
            "send" => of(&[Cause::Send, Cause::Refused]),
            "accepted" => of(&[Cause::Send, Cause::Change]),
            "deliver" => of(&[Cause::Delivery]),
            "ack" | "cursor-confirmed" => gathered(&of(&[Cause::Delivery])),
            // For as long as a person takes to read, marks gather, too.
            "read" if self.marks_read => of(&[Cause::Delivery]).into_iter().take(1).collect(),
            "receipts" | "receipt-ack" => gathered(&of(&[Cause::Send])),
            _ => return rare,
        };
        if self.is_steady && usual.len() < STEADY_FRAMES { self.spread(STEADY_FRAMES) } else { usual }
    }

    /// So many times, evenly over the run.
    fn spread(&self, count: usize) -> Vec<Time> {
        (1..=count as u64).map(|part| Time(self.duration.0 * part / (count as u64 + 1))).collect()
    }

    /// When a client has had nothing to say for as long as a heartbeat takes.
    fn silences(&self, spoken: &[Time]) -> Vec<Time> {
        if self.is_steady {
            return Vec::new();
        }
        let wait = self.heartbeat.0.saturating_add(GATHERS.0).max(1);
        let ends = spoken.iter().copied().chain([self.duration]);
        let begins = [Time(0)].into_iter().chain(spoken.iter().copied());
        let pings = begins.zip(ends).flat_map(|(begin, end)| {
            (1..=end.0.saturating_sub(begin.0) / wait).map(move |ping| Time(begin.0 + ping * wait))
        });
        pings.collect()
    }
}

/// The device of a selection of one.
fn only(parties: &Parties, crowd: Crowd) -> Option<usize> {
    match parties.0[..] {
        [Party::Device(user, own)] => Some((user * crowd.devices + own) as usize),
        _ => None,
    }
    .filter(|device| (*device as u64) < crowd.devices_total())
}

/// The frames that these times make at least, when what is close together travels together.
fn gathered(times: &[Time]) -> Vec<Time> {
    let mut frames: Vec<Time> = Vec::new();
    for at in times {
        if frames.last().is_none_or(|last| at.0 - last.0 > GATHERS.0) {
            frames.push(*at);
        }
    }
    frames
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse_scenario;

    #[test]
    fn what_passes_is_read_off_the_steps() {
        let text = r#"
            about = "x"
            [cluster]
            settings = { heartbeat_ms = 500, window_entries = 1 }
            [workload]
            conversations = 1
            users = 3
            duration = "4s"
            [[conversation]]
            members = ["u0", "u1"]
            [[step]]
            at = "0s"
            device = "u0.d1"
            send = { conversation = "c0", count = 2 }
            [[step]]
            at = "1s"
            device = "u1.d1"
            does = "disconnect"
            [[step]]
            at = "2s"
            device = "u0.d1"
            send = { conversation = "c0", count = 2 }
            [[step]]
            at = "3s"
            device = "u1.d1"
            does = "connect"
        "#;
        let scenario = parse_scenario("x", text).unwrap_or_else(|refused| panic!("{refused}"));
        let traffic = Traffic::of(&scenario, Crowd { users: 3, devices: 1, duration: Time::s(4) });
        let frames = |device, kind| traffic.frames(device, kind).len();
        assert_eq!((frames(0, "send"), frames(0, "accepted"), frames(0, "receipts")), (4, 4, 2));
        assert_eq!((frames(1, "deliver"), frames(1, "ack"), frames(1, "read")), (2, 1, 0));
        assert_eq!((frames(1, "welcome"), frames(1, "page"), frames(0, "welcome")), (1, 1, 0));
        assert_eq!(traffic.busy_devices(), [0, 1], "nobody writes to the third");
        assert!(traffic.is_away(1, Time::s(2)) && !traffic.is_away(1, Time::s(3)));
        assert!(frames(0, "ping") >= 4, "two long silences");
        assert!(traffic.is_too_much_to_push(1, Time(0), Time::s(1)), "two, and the window holds one");
        assert!(
            !traffic.is_too_much_to_push(1, Time::ms(1), Time::s(4)),
            "what it was away for is another's count"
        );
    }
}
