//! Where faults are put so that they find something: at which time, and around which frame of which link.
//!
//! A fault that comes while its device is away, or its server down, hits nothing, and its run would be inconclusive. So
//! faults get out of each other's way: those that make a party absent leave word in [`Absences`], and later ones look there.

use super::dice::Dice;
use super::moments::{self, Moment, comes_on_return, needs_missing};
use super::traffic::Traffic;
use crate::fault::FaultEntry;
use crate::units::Time;

/// A party that was absent has this long until it counts as being there again: it has to be noticed, to wait, to connect.
const RETURN: Time = Time::ms(500);
/// How often another time is drawn for a fault that would find nobody.
const TRIES: u64 = 8;
/// A fault at a moment is put this close to what passes, before it.
const CLOSE_MS: u64 = 20;

/// Who is absent when, by faults and by the scenario's own steps.
#[derive(Clone, Debug)]
pub(super) struct Absences {
    by_device: Vec<Vec<(Time, Time)>>,
}

impl Absences {
    pub(super) fn new(devices: u64) -> Self {
        Self { by_device: vec![Vec::new(); devices as usize] }
    }

    /// Leaves word of an entry that was placed by time.
    pub(super) fn note(&mut self, entry: &FaultEntry, devices: &[u64]) {
        let (Some(at), Some((_, verb))) = (entry.at, entry.verbs().first().copied()) else { return };
        let lasts = entry.lasts.map_or(verb.takes_ns(), |lasts| lasts.0);
        let until = Time(at.0 + lasts + RETURN.0);
        let is_absence = entry.kill.is_some()
            || entry.restart.is_some()
            || entry.power_loss.is_some()
            || entry.pause.is_some()
            || entry.offline.is_some()
            || entry.partition.is_some()
            || entry.half_open.is_some();
        for device in devices.iter().filter(|_| is_absence) {
            self.by_device[*device as usize].push((at, until));
        }
    }

    fn is_there(&self, device: u64, at: Time) -> bool {
        !self.by_device[device as usize].iter().any(|(from, until)| *from <= at && at < *until)
    }
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

impl Place<'_> {
    /// A time before `end` at which the fault has what it needs, if a few draws find one.
    pub(super) fn time(self, needs: Needs, lasts: Option<Time>, end: Time) -> Time {
        let mut at = Time(0);
        for attempt in 0..TRIES {
            at = self.draw_time(needs, lasts, end, attempt);
            if self.is_good(needs, at, lasts) {
                break;
            }
        }
        at
    }

    fn draw_time(self, needs: Needs, lasts: Option<Time>, end: Time, attempt: u64) -> Time {
        let of = |name| self.dice.of(name, &[self.index, attempt]);
        let events = match needs {
            Needs::Deliveries => self.traffic.deliveries(self.devices),
            Needs::Connection | Needs::Traffic => self.traffic.times(self.devices),
        };
        let is_anywhere = needs == Needs::Connection && of("explore-fault-anywhere").percent(50);
        if events.is_empty() || is_anywhere {
            return of("explore-fault-at").ms_below(end);
        }
        let event = of("explore-fault-near").pick(&events);
        let early = lasts.map_or(Time::ms(CLOSE_MS), |lasts| Time(lasts.0 / 2));
        Time(event.0.saturating_sub(of("explore-fault-early").ms_below(early).0))
    }

    fn is_good(self, needs: Needs, at: Time, lasts: Option<Time>) -> bool {
        let is_there =
            |device: &u64| self.absences.is_there(*device, at) && !self.traffic.is_away(*device as usize, at);
        let there: Vec<u64> = self.devices.iter().copied().filter(is_there).collect();
        let until = lasts.map_or(at, |lasts| Time(at.0 + lasts.0));
        let passes = |times: Vec<Time>| times.is_empty() || times.iter().any(|t| at <= *t && *t < until);
        !there.is_empty()
            && match needs {
                Needs::Connection => true,
                Needs::Traffic => passes(self.traffic.times(&there)),
                Needs::Deliveries => passes(self.traffic.deliveries(&there)),
            }
    }

    /// The moment of the highest rank whose frame comes on one of these links: by itself, or because `back` makes a device
    /// come back, given whether it has to miss something meanwhile. And which frame of its kind.
    pub(super) fn moment(
        self,
        name: &'static str,
        all: &[Moment],
        back: impl Fn(bool) -> Option<FaultEntry>,
    ) -> Option<(Moment, u64, Option<FaultEntry>)> {
        let mut ranked: Vec<(u64, Moment)> =
            all.iter().copied().enumerate().map(|(n, m)| (n as u64, m)).collect();
        ranked.sort_by_key(|(number, _)| self.dice.of(name, &[self.index, *number]).rank());
        ranked.into_iter().find_map(|(_, moment)| {
            let frames = self.traffic.frames(self.devices, moment.frame) as u64;
            let nth = moments::nth(self.dice.of("explore-fault-nth", &[self.index]));
            if frames > 0 {
                return Some((moment, nth.min(frames), None));
            }
            let first = comes_on_return(moment.frame).then(|| back(needs_missing(moment.frame))).flatten();
            first.map(|first| (moment, 1, Some(first)))
        })
    }
}
