//! What goes wrong, when, and to whom.

use super::dice::Dice;
use super::moments::{FRAMES, MOMENTS, Side};
use super::placing::{Absences, Found, LOGIN_ROUND_TRIPS, Needs, Place, is_down};
use super::returning::reconnection;
use super::swarm::{Feature, Swarm};
use super::swizzle::swizzle;
use super::traffic::Traffic;
use super::{Crowd, FAULTS_MAX, device_name, devices_of};
use crate::fault::FaultEntry;
use crate::units::{Parties, Party, Share, Time};
use crate::verbs::FAULT_KINDS;

/// A fault with a duration lasts at least this long: what comes and goes faster hides what only a lasting one shows.
pub(super) const LASTS_MS_MIN: u64 = 200;
/// And at most this long.
const LASTS_MS_MAX: u64 = 3_200;
/// Of a kind with so many frames, a share is worth hitting.
const MANY_FRAMES: usize = 8;

/// The faults of a schedule.
pub(super) fn faults(dice: Dice, swarm: &Swarm, crowd: Crowd, traffic: &Traffic) -> Vec<FaultEntry> {
    let mut absences = Absences::new(crowd.devices_total(), traffic.round_trip());
    let kinds: Vec<_> = (0..dice.of("explore-faults", &[]).between(0, FAULTS_MAX))
        .map(|index| (index, kind(dice, swarm, index)))
        .collect();
    let mut drawn: Vec<(u64, FaultEntry)> = Vec::new();
    let mut place = |(index, kind), absences: &mut Absences| {
        let placed = Fault { dice, index, crowd, swarm, traffic, absences }.draw(kind);
        for Placing { entry, devices, begins, hits } in placed {
            absences.note(&entry, &devices, begins);
            if let Some((device, at)) = hits {
                absences.need(device, at);
            }
            drawn.push((index, entry));
        }
    };
    // Nodes first: when one is away, everybody is.
    let (nodes, others): (Vec<_>, Vec<_>) = kinds.into_iter().partition(|(_, kind)| on(kind) == "node");
    for node in nodes {
        place(node, &mut absences);
    }
    let mut swizzled = if swarm.has(Feature::Swizzle) { swizzle(dice, swarm, crowd) } else { Vec::new() };
    // Who is away then is not stopped.
    swizzled.retain(|(entry, device)| {
        let is_there = |at| !traffic.is_away(*device as usize, at) && absences.is_there(*device, at);
        entry.at.is_some_and(is_there)
    });
    for (entry, device) in &swizzled {
        absences.note(entry, &[*device], entry.at);
        if let Some(at) = entry.at {
            absences.need(*device, at);
        }
    }
    for other in others {
        place(other, &mut absences);
    }
    drawn.sort_by_key(|(index, _)| *index);
    drawn.into_iter().map(|(_, entry)| entry).chain(swizzled.into_iter().map(|(entry, _)| entry)).collect()
}

/// What a kind of fault is done to.
fn on(kind: &str) -> &'static str {
    FAULT_KINDS.iter().find(|known| known.name == kind).map_or("link", |known| known.on)
}

/// What a fault at a time needs in order to take effect.
fn needs(kind: &str) -> Needs {
    match kind {
        "rate" | "slice" | "stall" | "half_open" | "partition" => Needs::Traffic,
        "slow_consumer" => Needs::Deliveries,
        _ => Needs::Connection,
    }
}

/// The kind of the n-th fault: the one of the highest rank among those that are on, so that switching one off moves only
/// the faults that were of it.
fn kind(dice: Dice, swarm: &Swarm, index: u64) -> &'static str {
    let ranked = (FAULT_KINDS.iter().enumerate()).filter(|(_, kind)| swarm.has_kind(kind.name));
    let best =
        ranked.max_by_key(|(number, _)| dice.of("explore-fault-kind", &[index, *number as u64]).rank());
    best.map_or("cut", |(_, kind)| kind.name)
}

/// One fault in the making.
#[derive(Clone, Copy)]
pub(super) struct Fault<'a> {
    dice: Dice,
    index: u64,
    pub(super) crowd: Crowd,
    pub(super) swarm: &'a Swarm,
    pub(super) traffic: &'a Traffic,
    absences: &'a Absences,
}

/// A fault that has its place.
struct Placing {
    entry: FaultEntry,
    /// Whom it is about.
    devices: Vec<u64>,
    /// About when.
    begins: Option<Time>,
    /// Whom it needs to be there, and about when.
    hits: Option<(u64, Time)>,
}

/// A fault, what has to happen first, and about when it begins.
type Drawn = (FaultEntry, Option<FaultEntry>, Option<Time>);

/// What a fault is placed by.
#[derive(Clone, Default)]
pub(super) struct Placed {
    pub(super) before: Option<String>,
    pub(super) after: Option<String>,
    pub(super) nth: Option<u64>,
}

impl Fault<'_> {
    pub(super) fn of(self, name: &'static str) -> super::dice::Draw {
        self.dice.of(name, &[self.index])
    }

    /// The fault, and what has to happen first. Nothing, where there is no room for it.
    fn draw(self, kind: &'static str) -> Vec<Placing> {
        let all: Vec<u64> = (0..self.crowd.devices_total()).collect();
        let device = self.device();
        let parties = self.parties(device);
        let devices = if on(kind) == "node" { all } else { devices_of(self.crowd, &parties) };
        let place = self.place(&devices);
        let back = |misses| reconnection(self, device, misses);
        let drawn = if matches!(kind, "delay" | "drop" | "duplicate" | "reorder" | "corrupt") {
            self.frame(kind, parties, place, back)
        } else {
            let (placed, first, begins) = self.around(kind, place, back).unwrap_or_default();
            let entry = match on(kind) {
                "node" => self.node(kind, placed),
                "client" => self.client(kind, parties, placed),
                _ => self.link(kind, parties, placed),
            };
            Some((entry, first, begins))
        };
        let Some((mut entry, first, mut begins)) = drawn else { return Vec::new() };
        let mut hits = begins.zip(devices.first().copied()).map(|(at, device)| (device, at));
        if !entry.verbs().iter().any(|(_, verb)| verb.frame_starts()) && entry.at.is_none() {
            let Some(at) = self.at(kind, &entry, place) else { return Vec::new() };
            (entry.at, begins) = (Some(at), Some(at));
            hits = if on(kind) == "node" { None } else { place.hit(needs(kind), at, entry.lasts) };
        }
        let first = first.map(|entry| {
            let begins = entry.at;
            Placing { entry, devices: vec![device], begins, hits: begins.map(|at| (device, at)) }
        });
        first.into_iter().chain([Placing { entry, devices, begins, hits }]).collect()
    }

    /// One that has something to do.
    fn device(self) -> u64 {
        let draw = self.of("explore-fault-who");
        let busy = self.traffic.busy_devices();
        if busy.is_empty() { draw.below(self.crowd.devices_total()) } else { draw.pick(&busy) }
    }

    pub(super) fn place<'b>(self, devices: &'b [u64]) -> Place<'b>
    where
        Self: 'b,
    {
        let Self { dice, index, traffic, absences, .. } = self;
        Place { dice, index, traffic, absences, devices }
    }

    /// A rare moment to come at, for kinds that can wait for one.
    fn around(
        self,
        kind: &str,
        place: Place<'_>,
        back: impl Fn(bool) -> Option<FaultEntry>,
    ) -> Option<(Placed, Option<FaultEntry>, Option<Time>)> {
        let can_wait =
            !matches!(kind, "slow_sync" | "clock_skew" | "rate" | "slice" | "partition" | "slow_consumer");
        let is_around = self.swarm.has(Feature::RareMoments) && self.of("explore-fault-around").percent(60);
        if !can_wait || !is_around {
            return None;
        }
        let Found { moment, nth, first, at } = place.moment("explore-fault-moment", &MOMENTS, back)?;
        if at.is_some_and(|at| place.is_in_the_way(kind, at, Some(self.lasts()))) {
            return None;
        }
        let frame = Some(moment.frame.to_owned());
        let is_before = moment.side == Side::Before && on(kind) != "client";
        let (before, after) = if is_before { (frame, None) } else { (None, frame) };
        Some((Placed { before, after, nth: Some(nth) }, first, at))
    }

    /// A time, where there is one.
    fn at(self, kind: &str, entry: &FaultEntry, place: Place<'_>) -> Option<Time> {
        let end = Time(self.crowd.duration.0 * 8 / 10);
        if is_down(kind) {
            let takes_ns = entry.verbs().first().map_or(0, |(_, verb)| verb.takes_ns());
            return place.down(Time(takes_ns), end);
        }
        if on(kind) == "node" {
            return Some(self.of("explore-fault-at").ms_below(end));
        }
        // A device that comes back is seen to be back when it has logged in.
        let login = Time(LOGIN_ROUND_TRIPS * self.traffic.round_trip().0);
        let is_return = matches!(kind, "takeover" | "reconnect_storm");
        let end = if is_return { Time(end.0.checked_sub(login.0)?) } else { end };
        place.time((kind, needs(kind)), entry.lasts, end)
    }

    pub(super) fn lasts(self) -> Time {
        self.of("explore-fault-for").doubling_ms(LASTS_MS_MIN, LASTS_MS_MAX)
    }

    /// Mostly one device, sometimes all of a user, sometimes all.
    fn parties(self, device: u64) -> Parties {
        let (user, own) = device_name(self.crowd.devices, device);
        match self.of("explore-fault-whom").below(10) {
            0..=2 => Parties::clients(),
            3 => Parties(vec![Party::User(user)]),
            _ => Parties(vec![Party::Device(user, own)]),
        }
    }

    /// Faults on single frames: the n-th of a kind, or, where there are many of that kind, a share of them for a while.
    fn frame(
        self,
        kind: &'static str,
        link: Parties,
        place: Place<'_>,
        back: impl Fn(bool) -> Option<FaultEntry>,
    ) -> Option<Drawn> {
        let Found { moment, nth, first, at: begins } = place.moment("explore-fault-frame", &FRAMES, back)?;
        let (frame, frames) = (Some(moment.frame.to_owned()), place.frames(moment.frame).len());
        let is_share = frames >= MANY_FRAMES && self.of("explore-fault-one").percent(60);
        let probability =
            is_share.then(|| Share { ppm: self.of("explore-fault-share").pick(&[300_000, 600_000]) });
        let nth = (!is_share).then_some(nth);
        // From early on to the end: a share of what passes in a short while is often nothing.
        let lasts = is_share.then_some(self.crowd.duration);
        let at = is_share.then(|| self.of("explore-fault-at").ms_below(Time(self.crowd.duration.0 / 4)));
        let empty = FaultEntry { at, lasts, ..FaultEntry::default() };
        Some((self.frame_verb(kind, (link, frame), (nth, probability), empty), first, begins))
    }
}
