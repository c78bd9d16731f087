//! What goes wrong, when, and to whom.

use super::dice::Dice;
use super::moments::{FRAMES, MOMENTS, Side};
use super::placing::{Absences, Needs, Place};
use super::swarm::{Feature, Swarm};
use super::swizzle::swizzle;
use super::traffic::Traffic;
use super::{Crowd, FAULTS_MAX, device_name, devices_of};
use crate::fault::{
    ClientVerbEntry, ClockSkew, Cut, Duplicate, FaultEntry, FrameFault, How, LinkDelay, LinkHold, LinkRate,
    NodeDown, NodeHold, Partition, Reorder, Slice, SlowConsumer, SlowSync, Way,
};
use crate::plan::{Delay, LEADER};
use crate::units::{ByteRate, DelaySpec, NodeName, Parties, Party, Share, SignedTime, Time};
use crate::verbs::FAULT_KINDS;

/// A fault with a duration lasts at least this long: what comes and goes faster hides what only a lasting one shows.
pub(super) const LASTS_MS_MIN: u64 = 200;
/// And at most this long.
const LASTS_MS_MAX: u64 = 3_200;
/// Of a kind with so many frames, a share is worth hitting.
const MANY_FRAMES: usize = 8;
/// A node is away at least this long, and at most eight times as long.
const AWAY_MS_MIN: u64 = 100;

/// The faults of a schedule.
pub(super) fn faults(dice: Dice, swarm: &Swarm, crowd: Crowd, traffic: &Traffic) -> Vec<FaultEntry> {
    let mut absences = Absences::new(crowd.devices_total());
    let swizzled = if swarm.has(Feature::Swizzle) { swizzle(dice, swarm, crowd) } else { Vec::new() };
    for (entry, device) in &swizzled {
        absences.note(entry, &[*device]);
    }
    let kinds: Vec<_> = (0..dice.of("explore-faults", &[]).between(0, FAULTS_MAX))
        .map(|index| (index, kind(dice, swarm, index)))
        .collect();
    let mut drawn: Vec<(u64, FaultEntry)> = Vec::new();
    let mut downs = 0;
    // Nodes first: when one is away, everybody is.
    let (nodes, others): (Vec<_>, Vec<_>) = kinds.into_iter().partition(|(_, kind)| on(kind) == "node");
    for (index, kind) in nodes.into_iter().chain(others) {
        // Nodes go down at different times: each has its part of the run.
        let part = matches!(kind, "kill" | "restart" | "power_loss").then(|| {
            downs += 1;
            downs - 1
        });
        let placed = Fault { dice, index, crowd, swarm, traffic, absences: &absences }.draw(kind, part);
        for (entry, devices) in placed {
            absences.note(&entry, &devices);
            drawn.push((index, entry));
        }
    }
    drawn.sort_by_key(|(index, _)| *index);
    drawn.into_iter().map(|(_, entry)| entry).chain(swizzled.into_iter().map(|(entry, _)| entry)).collect()
}

/// What a kind of fault is done to.
fn on(kind: &str) -> &'static str {
    FAULT_KINDS.iter().find(|known| known.name == kind).map_or("link", |known| known.on)
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
struct Fault<'a> {
    dice: Dice,
    index: u64,
    crowd: Crowd,
    swarm: &'a Swarm,
    traffic: &'a Traffic,
    absences: &'a Absences,
}

/// What a fault is placed by.
#[derive(Clone, Default)]
struct Placed {
    before: Option<String>,
    after: Option<String>,
    nth: Option<u64>,
}

impl Fault<'_> {
    fn of(self, name: &'static str) -> super::dice::Draw {
        self.dice.of(name, &[self.index])
    }

    /// The entry, and what has to happen first, each with the devices that it is about.
    fn draw(self, kind: &'static str, down: Option<u64>) -> Vec<(FaultEntry, Vec<u64>)> {
        let all: Vec<u64> = (0..self.crowd.devices_total()).collect();
        let device = self.device();
        let parties = self.parties(device);
        let devices = if on(kind) == "node" { all.clone() } else { devices_of(self.crowd, &parties) };
        let back = |misses| self.reconnection(device, misses);
        let (mut entry, first) = match on(kind) {
            _ if matches!(kind, "delay" | "drop" | "duplicate" | "reorder" | "corrupt") => {
                self.frame(kind, parties, self.place(&devices), back)
            }
            on => {
                let found = self.around(kind, self.place(&devices), back);
                let (placed, first) = found.unwrap_or_default();
                let entry = match on {
                    "node" => self.node(kind, placed),
                    "client" => self.client(kind, parties, placed),
                    _ => self.link(kind, parties, placed),
                };
                (entry, first)
            }
        };
        if !entry.verbs().iter().any(|(_, verb)| verb.frame_starts()) && entry.at.is_none() {
            entry.at = Some(self.at(kind, down, entry.lasts, self.place(&devices)));
        }
        first.map(|first| (first, vec![device])).into_iter().chain([(entry, devices)]).collect()
    }

    /// One that has something to do.
    fn device(self) -> u64 {
        let draw = self.of("explore-fault-who");
        let busy = self.traffic.busy_devices();
        if busy.is_empty() { draw.below(self.crowd.devices_total()) } else { draw.pick(&busy) }
    }

    fn place<'b>(self, devices: &'b [u64]) -> Place<'b>
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
    ) -> Option<(Placed, Option<FaultEntry>)> {
        let can_wait =
            !matches!(kind, "slow_sync" | "clock_skew" | "rate" | "slice" | "partition" | "slow_consumer");
        let is_around = self.swarm.has(Feature::RareMoments) && self.of("explore-fault-around").percent(60);
        if !can_wait || !is_around {
            return None;
        }
        let (moment, nth, first) = place.moment("explore-fault-moment", &MOMENTS, back)?;
        let frame = Some(moment.frame.to_owned());
        let is_before = moment.side == Side::Before && on(kind) != "client";
        let (before, after) = if is_before { (frame, None) } else { (None, frame) };
        Some((Placed { before, after, nth: Some(nth) }, first))
    }

    /// A time; faults that take a node down each have their part of the run.
    fn at(self, kind: &str, down: Option<u64>, lasts: Option<Time>, place: Place<'_>) -> Time {
        let end = Time(self.crowd.duration.0 * 8 / 10);
        if let Some(part) = down {
            let parts = FAULTS_MAX;
            let width = Time(end.0 / parts);
            let order = [0, 3, 1, 4, 2, 5];
            let within = self.of("explore-fault-at").ms_below(Time(width.0 / 4));
            return Time(width.0 * order[(part % parts) as usize] + within.0);
        }
        match kind {
            "rate" | "slice" | "stall" | "half_open" | "partition" => place.time(Needs::Traffic, lasts, end),
            "slow_consumer" => place.time(Needs::Deliveries, lasts, end),
            _ if on(kind) == "node" => self.of("explore-fault-at").ms_below(end),
            _ => place.time(Needs::Connection, lasts, end),
        }
    }

    fn lasts(self) -> Time {
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

    fn node(self, kind: &'static str, placed: Placed) -> FaultEntry {
        let Placed { before, after, nth } = placed;
        let node = NodeName(LEADER);
        let link = Parties::clients();
        // Not so long that the clock can tell it from the part of the run that it has for itself.
        let away = self
            .of("explore-fault-away")
            .doubling_ms(AWAY_MS_MIN, (self.crowd.duration.0 / 12_000_000).max(AWAY_MS_MIN));
        let down = NodeDown {
            restart_after: away,
            node,
            link: link.clone(),
            before: before.clone(),
            after: after.clone(),
            nth,
        };
        let hold = NodeHold { node, link, before, after, nth };
        let lasts = Some(self.lasts());
        let by = self.of("explore-fault-by");
        let empty = FaultEntry::default();
        match kind {
            "kill" => FaultEntry { kill: Some(down), ..empty },
            "restart" => FaultEntry { restart: Some(down), ..empty },
            "power_loss" => FaultEntry { power_loss: Some(down), ..empty },
            "pause" => FaultEntry { pause: Some(hold), lasts, ..empty },
            "fail_sync" => FaultEntry { fail_sync: Some(hold), lasts, ..empty },
            "disk_full" => FaultEntry { disk_full: Some(hold), lasts, ..empty },
            "slow_sync" => {
                FaultEntry { slow_sync: Some(SlowSync { by: by.doubling_ms(5, 320), node }), lasts, ..empty }
            }
            _ => {
                let ms = by.pick(&[-90_000_i64, -1_000, 1_000, 90_000]);
                FaultEntry {
                    clock_skew: Some(ClockSkew { by: SignedTime(ms * 1_000_000), node }),
                    lasts,
                    ..empty
                }
            }
        }
    }

    fn client(self, kind: &'static str, client: Parties, placed: Placed) -> FaultEntry {
        let Placed { after, nth, .. } = placed;
        let verb = ClientVerbEntry { client: client.clone(), after: after.clone(), nth };
        let empty = FaultEntry::default();
        match kind {
            "offline" => FaultEntry { offline: Some(verb), lasts: Some(self.lasts()), ..empty },
            "takeover" => FaultEntry { takeover: Some(verb), ..empty },
            "reconnect_storm" => {
                let client = if self.of("explore-storm").percent(50) { Parties::clients() } else { client };
                FaultEntry { reconnect_storm: Some(ClientVerbEntry { client, ..verb }), ..empty }
            }
            _ => {
                let consume = self.of("explore-fault-by").doubling_ms(5, 320);
                let slow = SlowConsumer { consume, client, after, nth };
                FaultEntry { slow_consumer: Some(slow), lasts: Some(self.lasts()), ..empty }
            }
        }
    }

    fn link(self, kind: &'static str, link: Parties, placed: Placed) -> FaultEntry {
        let Placed { before, after, nth } = placed;
        let waits = nth.is_some();
        // The kind of frame says the direction, where there is one.
        let way = if waits {
            Way::Both
        } else {
            self.of("explore-fault-way").pick(&[Way::Both, Way::Both, Way::Up, Way::Down])
        };
        let hold = LinkHold {
            link: link.clone(),
            direction: way,
            before: before.clone(),
            after: after.clone(),
            nth,
        };
        let lasts = Some(self.lasts());
        let by = self.of("explore-fault-by");
        let empty = FaultEntry::default();
        match kind {
            "stall" => FaultEntry { stall: Some(hold), lasts, ..empty },
            "half_open" => FaultEntry { half_open: Some(hold), lasts, ..empty },
            "partition" => {
                let partition =
                    Partition { nodes: None, from: None, link: Some(link), one_way: false, direction: way };
                FaultEntry { partition: Some(partition), lasts, ..empty }
            }
            "rate" => {
                let limit = ByteRate(by.pick(&[500, 2_000, 10_000, 100_000]));
                FaultEntry { rate: Some(LinkRate { limit, link, direction: way }), lasts, ..empty }
            }
            "slice" => {
                let bytes = by.pick(&[1, 2, 7, 64, 1_000]);
                FaultEntry { slice: Some(Slice { bytes, link, direction: way }), lasts, ..empty }
            }
            _ => {
                let how = self.of("explore-fault-how").pick(&[How::Rst, How::Fin]);
                let cut = Cut {
                    how,
                    at_byte: None,
                    link,
                    direction: Way::Both,
                    before,
                    after,
                    nth,
                    probability: None,
                };
                FaultEntry { cut: Some(cut), ..empty }
            }
        }
    }

    /// Faults on single frames: the n-th of a kind, or, where there are many of that kind, a share of them for a while.
    fn frame(
        self,
        kind: &'static str,
        link: Parties,
        place: Place<'_>,
        back: impl Fn(bool) -> Option<FaultEntry>,
    ) -> (FaultEntry, Option<FaultEntry>) {
        let found = place.moment("explore-fault-frame", &FRAMES, back);
        // Something passes everywhere; which frame it is only decides what is hit.
        let (frame, nth, first) =
            found.map_or((None, 1, None), |(moment, nth, first)| (Some(moment.frame.to_owned()), nth, first));
        let frames = frame.as_ref().map_or(0, |frame| place.traffic.frames(place.devices, frame));
        let is_share = frames >= MANY_FRAMES && self.of("explore-fault-one").percent(60);
        let probability =
            is_share.then(|| Share { ppm: self.of("explore-fault-share").pick(&[300_000, 600_000]) });
        let nth = (!is_share).then_some(nth);
        // From early on to the end: a share of what passes in a short while is often nothing.
        let lasts = is_share.then_some(self.crowd.duration);
        let at = is_share.then(|| self.of("explore-fault-at").ms_below(Time(self.crowd.duration.0 / 4)));
        let empty = FaultEntry { at, lasts, ..FaultEntry::default() };
        (self.frame_verb(kind, (link, frame), (nth, probability), empty), first)
    }

    fn frame_verb(
        self,
        kind: &'static str,
        (link, on): (Parties, Option<String>),
        (nth, probability): (Option<u64>, Option<Share>),
        empty: FaultEntry,
    ) -> FaultEntry {
        let direction = Way::Both;
        let by = self.of("explore-fault-by");
        match kind {
            "delay" => {
                let ns = by.doubling_ms(20, 1_280).0;
                let by = DelaySpec(Delay::Fixed { ns });
                FaultEntry { delay: Some(LinkDelay { by, link, direction, on, nth, probability }), ..empty }
            }
            "duplicate" => {
                let copies = by.pick(&[1, 1, 1, 2, 5]);
                FaultEntry {
                    duplicate: Some(Duplicate { copies, link, direction, on, nth, probability }),
                    ..empty
                }
            }
            "reorder" => {
                let (window, hold) = (by.pick(&[1, 1, 2, 3, 6]), Time::ms(500));
                FaultEntry {
                    reorder: Some(Reorder { window, hold, link, direction, on, nth, probability }),
                    ..empty
                }
            }
            "corrupt" => {
                FaultEntry { corrupt: Some(FrameFault { link, direction, on, nth, probability }), ..empty }
            }
            _ => FaultEntry { drop: Some(FrameFault { link, direction, on, nth, probability }), ..empty },
        }
    }

    /// Something that makes the device come back, of a kind that is on: if it has to miss something, while it is sent.
    fn reconnection(self, device: u64, misses: bool) -> Option<FaultEntry> {
        let (user, own) = device_name(self.crowd.devices, device);
        let one = Parties(vec![Party::Device(user, own)]);
        let returns: &[&str] = if misses { &["offline"] } else { &["cut", "offline", "takeover"] };
        let kinds: Vec<&str> = returns.iter().copied().filter(|kind| self.swarm.has_kind(kind)).collect();
        if kinds.is_empty() || (misses && self.traffic.deliveries(&[device]).is_empty()) {
            return None;
        }
        let needs = if misses { Needs::Deliveries } else { Needs::Connection };
        let end = Time(self.crowd.duration.0 / 2);
        let at = Some(self.place(&[device]).time(needs, misses.then(|| self.lasts()), end));
        let empty = FaultEntry { at, ..FaultEntry::default() };
        let verb = ClientVerbEntry { client: one.clone(), after: None, nth: None };
        Some(match self.of("explore-return").pick(&kinds) {
            "offline" => FaultEntry { offline: Some(verb), lasts: Some(self.lasts()), ..empty },
            "takeover" => FaultEntry { takeover: Some(verb), ..empty },
            _ => {
                let cut = Cut {
                    how: How::Rst,
                    at_byte: None,
                    link: one,
                    direction: Way::Both,
                    before: None,
                    after: None,
                    nth: None,
                    probability: None,
                };
                FaultEntry { cut: Some(cut), ..empty }
            }
        })
    }
}
