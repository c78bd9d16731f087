//! What passes on each link when nothing goes wrong, read off a scenario's steps: so that faults are put where there is
//! something to hit. A fault that hits nothing makes its run inconclusive.
//!
//! An estimate, and a low one: frames that gather are counted once, and what faults bring about themselves (retries,
//! reconnections) not at all. Frames are those of the reference protocol.

use std::collections::BTreeSet;

use super::{Crowd, device_name};
use crate::Scenario;
use crate::scenario::{Setting, Step, StepDoes};
use crate::units::{Parties, Party, Time};

/// What comes within this time of something else may travel with it, in one frame.
const GATHERS: Time = Time::ms(60);
/// The server's interval of heartbeats where a scenario sets none.
const HEARTBEAT_DEFAULT: Time = Time::s(5);
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

/// What passes, by device.
#[derive(Clone, Debug)]
pub(super) struct Traffic {
    /// Rising.
    devices: Vec<Vec<(Time, Cause)>>,
    /// From when to when a device is away by the scenario's own steps.
    away: Vec<Vec<(Time, Time)>>,
    duration: Time,
    heartbeat: Time,
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
        let heartbeat = match scenario.cluster.settings.get("heartbeat_ms") {
            Some(Setting::Count(ms)) => Time::ms(u64::try_from(*ms).unwrap_or(u64::MAX)),
            _ => HEARTBEAT_DEFAULT,
        };
        let mut traffic = Self {
            devices: vec![Vec::new(); count],
            away: vec![Vec::new(); count],
            duration: workload.duration,
            heartbeat,
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
        traffic.find_returns(&scenario.step, crowd);
        traffic.devices.iter_mut().for_each(|events| events.sort_by_key(|(at, _)| *at));
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
                self.devices[device].push((step.at, Cause::Change));
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
                    self.devices[device].push((step.at, cause));
                    if let (Some(members), Cause::Send) = (members, cause) {
                        self.deliver(step.at, device, members, crowd);
                    }
                }
            }
            if step.read_history.is_some() {
                self.devices[device].push((step.at, Cause::Read));
            }
        }
    }

    fn deliver(&mut self, at: Time, from: usize, members: &BTreeSet<u32>, crowd: Crowd) {
        for device in (0..self.devices.len()).filter(|device| *device != from) {
            if members.contains(&device_name(crowd.devices, device as u64).0) && !self.is_away(device, at) {
                self.devices[device].push((at, Cause::Delivery));
            }
        }
    }

    /// A return catches up when something was sent meanwhile, by anybody: an installation begins at the beginning.
    fn find_returns(&mut self, steps: &[Step], crowd: Crowd) {
        let sends: Vec<Time> = steps.iter().filter(|step| step.send.is_some()).map(|step| step.at).collect();
        let reinstalls = steps.iter().filter(|step| matches!(step.does, Some(StepDoes::Reinstall)));
        let reinstalls = reinstalls.filter_map(|step| Some((only(&step.device, crowd)?, (Time(0), step.at))));
        let absences = self.away.iter().enumerate();
        let absences = absences.flat_map(|(device, away)| away.iter().map(move |away| (device, *away)));
        let returns: Vec<_> = absences.chain(reinstalls).collect();
        for (device, (left, back)) in returns {
            let is_behind = sends.iter().any(|at| left <= *at && *at < back);
            self.devices[device].push((back, Cause::Return));
            if is_behind {
                self.devices[device].push((back, Cause::CatchUp));
            }
        }
    }

    /// Whether the scenario's own steps have a device away at a time.
    pub(super) fn is_away(&self, device: usize, at: Time) -> bool {
        self.away[device].iter().any(|(left, back)| *left <= at && at < *back)
    }

    /// Devices on whose links anything passes.
    pub(super) fn busy_devices(&self) -> Vec<u64> {
        let all = 0..self.devices.len() as u64;
        all.filter(|device| self.is_steady || !self.devices[*device as usize].is_empty()).collect()
    }

    /// When something passes on one of these links; empty where nobody can say.
    pub(super) fn times(&self, devices: &[u64]) -> Vec<Time> {
        self.select(devices, |cause| cause != Cause::Return && cause != Cause::CatchUp)
    }

    /// When something comes for one of these devices; empty where nobody can say.
    pub(super) fn deliveries(&self, devices: &[u64]) -> Vec<Time> {
        self.select(devices, |cause| cause == Cause::Delivery)
    }

    fn select(&self, devices: &[u64], wanted: impl Fn(Cause) -> bool) -> Vec<Time> {
        let events = devices.iter().flat_map(|device| &self.devices[*device as usize]);
        let mut times: Vec<Time> = events.filter(|(_, cause)| wanted(*cause)).map(|(at, _)| *at).collect();
        times.sort_unstable();
        times
    }

    /// How many frames of a kind pass on the one of these links that has most of them.
    pub(super) fn frames(&self, devices: &[u64], kind: &str) -> usize {
        devices.iter().map(|device| self.frames_of(*device as usize, kind)).max().unwrap_or(0)
    }

    fn frames_of(&self, device: usize, kind: &str) -> usize {
        let of = |causes: &[Cause]| self.select(&[device as u64], |cause| causes.contains(&cause));
        let steady = if self.is_steady { STEADY_FRAMES } else { 0 };
        match kind {
            "send" => of(&[Cause::Send, Cause::Refused]).len().max(steady),
            "accepted" => of(&[Cause::Send, Cause::Change]).len().max(steady),
            "rejected" => of(&[Cause::Refused]).len(),
            "members" => of(&[Cause::Change]).len(),
            "deliver" => of(&[Cause::Delivery]).len().max(steady),
            "ack" | "cursor-confirmed" => gathered(&of(&[Cause::Delivery])).max(steady),
            "read" if self.marks_read => gathered(&of(&[Cause::Delivery])).max(steady),
            "receipts" | "receipt-ack" => gathered(&of(&[Cause::Send])).max(steady),
            "hello" | "welcome" => of(&[Cause::Return]).len(),
            "heads" => of(&[Cause::CatchUp]).len(),
            "sync" | "page" => of(&[Cause::CatchUp, Cause::Read]).len().max(usize::from(self.reads_history)),
            "ping" | "pong" => self.silences(&of(&[Cause::Send, Cause::Refused, Cause::Delivery])),
            _ => 0,
        }
    }

    /// How often a client has nothing to say for as long as a heartbeat takes.
    fn silences(&self, spoken: &[Time]) -> usize {
        if self.is_steady {
            return 0;
        }
        let ends = spoken.iter().copied().chain([self.duration]);
        let begins = [Time(0)].into_iter().chain(spoken.iter().copied());
        let silent = begins.zip(ends).map(|(begin, end)| end.0.saturating_sub(begin.0));
        silent.map(|ns| (ns / (self.heartbeat.0 + GATHERS.0).max(1)) as usize).sum()
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

/// How many frames these times make at least, when what is close together travels together.
fn gathered(times: &[Time]) -> usize {
    let mut last: Option<Time> = None;
    let mut count = 0;
    for at in times {
        if last.is_none_or(|last| at.0 - last.0 > GATHERS.0) {
            count += 1;
            last = Some(*at);
        }
    }
    count
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
            settings = { heartbeat_ms = 500 }
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
            send = { conversation = "c0" }
            [[step]]
            at = "3s"
            device = "u1.d1"
            does = "connect"
        "#;
        let scenario = parse_scenario("x", text).unwrap_or_else(|refused| panic!("{refused}"));
        let traffic = Traffic::of(&scenario, Crowd { users: 3, devices: 1, duration: Time::s(4) });
        let frames = |device, kind| traffic.frames(&[device], kind);
        assert_eq!((frames(0, "send"), frames(0, "accepted"), frames(0, "receipts")), (3, 3, 2));
        assert_eq!((frames(1, "deliver"), frames(1, "ack"), frames(1, "read")), (2, 1, 0));
        assert_eq!((frames(1, "welcome"), frames(1, "page"), frames(0, "welcome")), (1, 1, 0));
        assert_eq!(traffic.busy_devices(), [0, 1], "nobody writes to the third");
        assert!(traffic.is_away(1, Time::s(2)) && !traffic.is_away(1, Time::s(3)));
        assert!(frames(0, "ping") >= 4, "two long silences");
    }
}
