//! Where faults are put so that they find something: at which time, and around which frame of which link.
//!
//! A fault that comes while its device is away, or its server down, hits nothing, and its run would be inconclusive. So
//! faults get out of each other's way: those that make a party absent leave word in [`Absences`], and later ones look there.

use super::dice::Dice;
use super::moments::{self, Moment, comes_on_return, needs_missing};
use super::traffic::Traffic;
use crate::fault::FaultEntry;
use crate::units::Time;

/// A party that was absent has this long until it counts as being there again, besides the round trips of a login: it has to
/// be noticed, and to wait.
const RETURN: Time = Time::ms(500);
/// A connection is made and a session begun within so many round trips.
pub(super) const LOGIN_ROUND_TRIPS: u64 = 4;
/// How often another time is drawn for a fault that would find nobody.
const TRIES: u64 = 8;
/// From the arrival of a message until it is durable, on a disk of usual speed, takes about as long. Microseconds.
const COMMIT_US: u64 = 2_500;
/// A fault at a moment is put this close to what passes, before it.
const CLOSE_MS: u64 = 20;

/// Who is absent when, by faults; and who is needed when, by faults that were placed before.
#[derive(Clone, Debug)]
pub(super) struct Absences {
    by_device: Vec<Vec<(Time, Time)>>,
    /// About when something is to happen to each device.
    needed: Vec<Vec<Time>>,
    /// When the server is down.
    downs: Vec<(Time, Time)>,
    /// How long a return takes.
    returns: Time,
}

impl Absences {
    pub(super) fn new(devices: u64, round_trip: Time) -> Self {
        let devices = devices as usize;
        let returns = Time(RETURN.0 + LOGIN_ROUND_TRIPS * round_trip.0);
        let (by_device, needed) = (vec![Vec::new(); devices], vec![Vec::new(); devices]);
        Self { by_device, needed, downs: Vec::new(), returns }
    }

    /// Leaves word of an entry that begins then, to the best of what is known.
    pub(super) fn note(&mut self, entry: &FaultEntry, devices: &[u64], begins: Option<Time>) {
        let (Some(at), Some((name, verb))) = (begins, entry.verbs().first().copied()) else { return };
        // Nothing is committed on a bad disk, so nothing comes: as good as absent for most of what could be done.
        let is_absence =
            takes_away(name) || is_down(name) || matches!(name, "pause" | "fail_sync" | "disk_full");
        // Whoever lost its connection comes back by itself.
        let is_moment = matches!(name, "cut" | "takeover" | "reconnect_storm");
        let lasts = if is_moment { 0 } else { entry.lasts.map_or(verb.takes_ns(), |lasts| lasts.0) };
        let until = Time(at.0 + lasts + self.returns.0);
        self.downs.extend(is_down(name).then_some((at, until)));
        for device in devices.iter().filter(|_| is_absence || is_moment) {
            self.by_device[*device as usize].push((at, until));
        }
    }

    /// Leaves word that something is to happen to a device then.
    pub(super) fn need(&mut self, device: u64, at: Time) {
        self.needed[device as usize].push(at);
    }

    pub(super) fn is_there(&self, device: u64, at: Time) -> bool {
        !self.by_device[device as usize].iter().any(|(from, until)| *from <= at && at < *until)
    }

    fn is_needed(&self, device: u64, from: Time, until: Time) -> bool {
        self.needed[device as usize].iter().any(|at| from <= *at && *at < until)
    }
}

/// Faults that take the server down: what is down already cannot be killed.
pub(super) fn is_down(kind: &str) -> bool {
    matches!(kind, "kill" | "restart" | "power_loss")
}

/// Faults of clients and links that make a device absent while they last.
fn takes_away(kind: &str) -> bool {
    matches!(kind, "offline" | "partition" | "half_open" | "stall")
}

/// What a fault needs in order to take effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Needs {
    /// A connection.
    Connection,
    /// Something that passes while it lasts.
    Traffic,
    /// Something that comes for the device while it lasts.
    Deliveries,
}

/// Where a fault is to be placed.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) dice: Dice,
    /// The fault's number.
    pub(super) index: u64,
    pub(super) traffic: &'a Traffic,
    pub(super) absences: &'a Absences,
    /// The devices that it is about.
    pub(super) devices: &'a [u64],
}

/// A moment that comes.
pub(super) struct Found {
    pub(super) moment: Moment,
    /// Which frame of its kind.
    pub(super) nth: u64,
    /// What has to happen first.
    pub(super) first: Option<FaultEntry>,
    /// About when.
    pub(super) at: Option<Time>,
}

impl Place<'_> {
    /// A time before `end` at which a fault of that kind has what it needs; `None` if a few draws find none: a fault that hits
    /// nothing would only make its run inconclusive.
    pub(super) fn time(self, (kind, needs): (&str, Needs), lasts: Option<Time>, end: Time) -> Option<Time> {
        (0..TRIES)
            .map(|attempt| self.draw_time(needs, lasts, end, attempt))
            .find(|at| !self.is_in_the_way(kind, *at, lasts) && self.hit(needs, *at, lasts).is_some())
    }

    /// Whether a fault of that kind, which begins then, takes somebody away whom another fault needs.
    pub(super) fn is_in_the_way(self, kind: &str, at: Time, lasts: Option<Time>) -> bool {
        let until = Time(at.0 + lasts.unwrap_or_default().0 + self.absences.returns.0);
        takes_away(kind) && self.devices.iter().any(|device| self.absences.is_needed(*device, at, until))
    }

    /// Which device a fault hits that begins then, and about when, first.
    pub(super) fn hit(self, needs: Needs, at: Time, lasts: Option<Time>) -> Option<(u64, Time)> {
        let until = lasts.map_or(at, |lasts| Time(at.0 + lasts.0));
        let first = |device: u64| {
            let passing = self.passing(needs, device);
            if needs == Needs::Connection || passing.is_empty() {
                return self.is_there(device, at).then_some((device, at));
            }
            let hit = passing.into_iter().find(|t| at <= *t && *t < until && self.is_there(device, *t));
            hit.map(|t| (device, t))
        };
        self.devices.iter().find_map(|device| first(*device))
    }

    fn draw_time(self, needs: Needs, lasts: Option<Time>, end: Time, attempt: u64) -> Time {
        let of = |name| self.dice.of(name, &[self.index, attempt]);
        let events: Vec<Time> = self.devices.iter().flat_map(|device| self.passing(needs, *device)).collect();
        let is_anywhere = needs == Needs::Connection && of("explore-fault-anywhere").percent(50);
        if events.is_empty() || is_anywhere {
            return of("explore-fault-at").ms_below(end);
        }
        let event = of("explore-fault-near").pick(&events);
        let early = lasts.map_or(Time::ms(CLOSE_MS), |lasts| Time(lasts.0 / 2));
        Time(event.0.saturating_sub(of("explore-fault-early").ms_below(early).0)).min(end)
    }

    /// A time at which the server is up, and goes down for so long; in half of the cases while what somebody just sent is on
    /// its way to the disk.
    pub(super) fn down(self, takes: Time, end: Time) -> Option<Time> {
        let draw = |attempt| {
            let of = |name| self.dice.of(name, &[self.index, attempt]);
            let anywhere = of("explore-fault-at").ms_below(end);
            if of("explore-fault-committing").percent(50) {
                self.committing(attempt, end).unwrap_or(anywhere)
            } else {
                anywhere
            }
        };
        let is_up = |at: &Time| {
            let until = Time(at.0 + takes.0 + self.absences.returns.0);
            !self.absences.downs.iter().any(|(from, to)| *from < until && *at < *to)
        };
        (0..TRIES).map(draw).find(is_up)
    }

    fn committing(self, attempt: u64, end: Time) -> Option<Time> {
        let all = self.devices.iter().flat_map(|device| self.traffic.times(*device));
        let sent: Vec<Time> = all.filter(|at| *at < end).collect();
        let of = |name| self.dice.of(name, &[self.index, attempt]);
        let event = (!sent.is_empty()).then(|| of("explore-fault-near").pick(&sent))?;
        let after_us = of("explore-fault-commit").below(COMMIT_US);
        Some(Time(event.0 + self.traffic.round_trip().0 / 2 + after_us * 1_000))
    }

    fn passing(self, needs: Needs, device: u64) -> Vec<Time> {
        match needs {
            Needs::Deliveries => self.traffic.deliveries(device),
            Needs::Connection | Needs::Traffic => self.traffic.times(device),
        }
    }

    fn is_there(self, device: u64, at: Time) -> bool {
        // Who connects by itself is there after a login.
        let before = Time(at.0.saturating_sub(LOGIN_ROUND_TRIPS * self.traffic.round_trip().0));
        self.absences.is_there(device, at)
            && !self.traffic.is_away(device as usize, at)
            && !self.traffic.is_away(device as usize, before)
    }

    /// The moment of the highest rank whose frame comes on one of these links: by itself, or because `back` makes a device
    /// come back, given whether it has to miss something meanwhile.
    pub(super) fn moment(
        self,
        name: &'static str,
        all: &[Moment],
        back: impl Fn(bool) -> Option<FaultEntry>,
    ) -> Option<Found> {
        let mut ranked: Vec<(u64, Moment)> =
            all.iter().copied().enumerate().map(|(n, m)| (n as u64, m)).collect();
        ranked.sort_by_key(|(number, _)| self.dice.of(name, &[self.index, *number]).rank());
        ranked.into_iter().find_map(|(_, moment)| {
            let frames = self.frames(moment.frame);
            let nth = moments::nth(self.dice.of("explore-fault-nth", &[self.index]));
            if !frames.is_empty() {
                let nth = nth.min(frames.len() as u64);
                let at = frames.get(nth as usize - 1).copied();
                return Some(Found { moment, nth, first: None, at });
            }
            let first = comes_on_return(moment.frame).then(|| back(needs_missing(moment.frame))).flatten()?;
            let at = first.at.map(|at| Time(at.0 + first.lasts.unwrap_or_default().0));
            Some(Found { moment, nth: 1, first: Some(first), at })
        })
    }

    /// When frames of a kind pass while their device is there, on the link that has most of them.
    pub(super) fn frames(self, kind: &str) -> Vec<Time> {
        let of = |device: &u64| {
            let mut times = self.traffic.frames(*device, kind);
            times.retain(|at| self.is_there(*device, *at));
            times
        };
        self.devices.iter().map(of).max_by_key(Vec::len).unwrap_or_default()
    }
}
