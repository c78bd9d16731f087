//! What goes wrong, when, and to whom.

use super::dice::Dice;
use super::moments::{self, FRAMES, MOMENTS, Moment, Side};
use super::swarm::{Feature, Swarm};
use super::{Crowd, FAULTS_MAX, device_name};
use crate::fault::{
    ClientVerbEntry, ClockSkew, Cut, Duplicate, FaultEntry, FrameFault, How, LinkDelay, LinkHold, LinkRate,
    NodeDown, NodeHold, Partition, Reorder, Slice, SlowConsumer, SlowSync, Way,
};
use crate::plan::{Delay, LEADER};
use crate::units::{ByteRate, DelaySpec, NodeName, Parties, Party, Share, SignedTime, Time};
use crate::verbs::FAULT_KINDS;

/// A fault with a duration lasts at least this long: what comes and goes faster hides what only a lasting one shows.
const LASTS_MS_MIN: u64 = 200;
/// And at most this long.
const LASTS_MS_MAX: u64 = 3_200;
/// A node is away at least this long, and at most eight times as long.
const AWAY_MS_MIN: u64 = 100;

/// The faults of a schedule.
pub(super) fn faults(dice: Dice, swarm: &Swarm, crowd: Crowd) -> Vec<FaultEntry> {
    let mut faults = Vec::new();
    let mut downs = 0;
    for index in 0..dice.of("explore-faults", &[]).between(0, FAULTS_MAX) {
        let kind = kind(dice, swarm, index);
        let fault = Fault { dice, index, crowd, swarm };
        // Nodes go down at different times: each has its part of the run.
        let part = matches!(kind, "kill" | "restart" | "power_loss").then(|| {
            downs += 1;
            downs - 1
        });
        faults.extend(fault.draw(kind, part));
    }
    if swarm.has(Feature::Swizzle) {
        faults.extend(swizzle(dice, swarm, crowd));
    }
    faults
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

    /// The entry, and what has to happen first.
    fn draw(self, kind: &'static str, down: Option<u64>) -> Vec<FaultEntry> {
        let on = FAULT_KINDS.iter().find(|known| known.name == kind).map_or("link", |known| known.on);
        let device = self.of("explore-fault-who").below(self.crowd.devices_total());
        let is_around = self.swarm.has(Feature::RareMoments) && self.of("explore-fault-around").percent(60);
        let moment = self.of("explore-fault-moment").pick(&MOMENTS);
        let can_wait = !matches!(kind, "slow_sync" | "clock_skew" | "rate" | "slice" | "partition");
        let is_frame_verb = matches!(kind, "delay" | "drop" | "duplicate" | "reorder" | "corrupt");
        let waits = is_around && can_wait && !is_frame_verb;
        let mut entry = match on {
            "node" => self.node(kind, self.placed(waits, moment)),
            "client" => self.client(kind, device, self.placed(waits, Moment { side: Side::After, ..moment })),
            _ if is_frame_verb => self.frame(kind, device),
            _ => self.link(kind, device, self.placed(waits, moment)),
        };
        let first = if is_frame_verb {
            is_on_return(&entry).then(|| self.reconnection(device))
        } else {
            (waits && moment.on_return).then(|| self.reconnection(device))
        };
        if !entry.verbs().iter().any(|(_, verb)| verb.frame_starts()) {
            entry.at = Some(self.at(down));
        }
        first.flatten().into_iter().chain([entry]).collect()
    }

    fn placed(self, waits: bool, moment: Moment) -> Placed {
        if !waits {
            return Placed::default();
        }
        let frame = Some(moment.frame.to_owned());
        let nth = Some(moments::nth(self.of("explore-fault-nth"), moment.on_return));
        match moment.side {
            Side::Before => Placed { before: frame, after: None, nth },
            Side::After => Placed { before: None, after: frame, nth },
        }
    }

    /// A time; faults that take a node down each have their part of the run.
    fn at(self, down: Option<u64>) -> Time {
        let end = Time(self.crowd.duration.0 * 8 / 10);
        let draw = self.of("explore-fault-at");
        let Some(part) = down else { return draw.ms_below(end) };
        let parts = FAULTS_MAX;
        let width = Time(end.0 / parts);
        let order = [0, 3, 1, 4, 2, 5];
        Time(width.0 * order[(part % parts) as usize] + draw.ms_below(Time(width.0 / 4)).0)
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

    fn client(self, kind: &'static str, device: u64, placed: Placed) -> FaultEntry {
        let client = self.parties(device);
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

    fn link(self, kind: &'static str, device: u64, placed: Placed) -> FaultEntry {
        let link = self.parties(device);
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

    /// Faults on single frames: the n-th of a kind, or a share of a kind for a while.
    fn frame(self, kind: &'static str, device: u64) -> FaultEntry {
        let link = self.parties(device);
        let frame = self.of("explore-fault-frame").pick(&FRAMES);
        let is_one = self.of("explore-fault-one").percent(65);
        let nth = is_one.then(|| moments::nth(self.of("explore-fault-nth"), moments::comes_on_return(frame)));
        let probability = (!is_one)
            .then(|| Share { ppm: self.of("explore-fault-share").pick(&[100_000, 300_000, 600_000]) });
        let lasts = if is_one { None } else { Some(self.lasts()) };
        let on = Some(frame.to_owned());
        let direction = Way::Both;
        let by = self.of("explore-fault-by");
        let empty = FaultEntry { lasts, ..FaultEntry::default() };
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

    /// Something that makes the device come back, of a kind that is on.
    fn reconnection(self, device: u64) -> Option<FaultEntry> {
        let (user, own) = device_name(self.crowd.devices, device);
        let one = Parties(vec![Party::Device(user, own)]);
        let kinds: Vec<&str> =
            ["cut", "offline", "takeover"].into_iter().filter(|kind| self.swarm.has_kind(kind)).collect();
        if kinds.is_empty() {
            return None;
        }
        let at = Some(self.of("explore-return-at").ms_below(Time(self.crowd.duration.0 / 2)));
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

/// Whether an entry's frame comes when a client comes back.
fn is_on_return(entry: &FaultEntry) -> bool {
    let kind = entry.verbs().first().and_then(|(_, verb)| verb.frames().kind());
    kind.is_some_and(moments::comes_on_return)
}

/// Some clients are stopped one by one, and restored one by one in another order (what `FoundationDB` calls swizzling).
fn swizzle(dice: Dice, swarm: &Swarm, crowd: Crowd) -> Vec<FaultEntry> {
    let kinds: Vec<&str> = ["offline", "partition", "half_open", "stall"]
        .into_iter()
        .filter(|kind| swarm.has_kind(kind))
        .collect();
    let mut chosen: Vec<u64> = (0..crowd.devices_total()).collect();
    chosen.sort_by_key(|device| dice.of("explore-swizzle-stop", &[*device]).rank());
    chosen.truncate(dice.of("explore-swizzle-count", &[]).between(2, crowd.devices_total()) as usize);
    if kinds.is_empty() {
        return Vec::new();
    }
    let mut restored = chosen.clone();
    restored.sort_by_key(|device| dice.of("explore-swizzle-restore", &[*device]).rank());
    let first = dice.of("explore-swizzle-at", &[]).ms_below(Time(crowd.duration.0 / 3));
    let step = dice.of("explore-swizzle-step", &[]).doubling_ms(20, 320);
    let held = dice.of("explore-swizzle-for", &[]).doubling_ms(LASTS_MS_MIN, 1_600);
    let kind = dice.of("explore-swizzle-kind", &[]).pick(&kinds);
    let count = chosen.len() as u64;
    let entry = |(place, device): (usize, &u64)| {
        let back = restored.iter().position(|other| other == device).unwrap_or(0) as u64;
        let at = Time(first.0 + step.0 * place as u64);
        let until = Time(first.0 + step.0 * (count + back) + held.0);
        let (user, own) = device_name(crowd.devices, *device);
        let one = Parties(vec![Party::Device(user, own)]);
        let link = LinkHold { link: one.clone(), direction: Way::Both, before: None, after: None, nth: None };
        let empty = FaultEntry { at: Some(at), lasts: Some(Time(until.0 - at.0)), ..FaultEntry::default() };
        match kind {
            "offline" => {
                let verb = ClientVerbEntry { client: one, after: None, nth: None };
                FaultEntry { offline: Some(verb), ..empty }
            }
            "partition" => {
                let direction = Way::Both;
                let partition =
                    Partition { nodes: None, from: None, link: Some(one), one_way: false, direction };
                FaultEntry { partition: Some(partition), ..empty }
            }
            "half_open" => FaultEntry { half_open: Some(link), ..empty },
            _ => FaultEntry { stall: Some(link), ..empty },
        }
    };
    let entries = chosen.iter().enumerate().map(entry);
    entries.filter(|entry| entry.at.is_some_and(|at| at < crowd.duration)).collect()
}
