//! Simpler values for the fields of a scenario, the simplest first.

use super::edit;
use crate::Scenario;
use crate::fault::{ClientVerbEntry, Cut, FaultEntry, FrameFault, How, LinkHold, NodeDown, Partition, Way};
use crate::scenario::{NetworkSection, PhasesSection};
use crate::units::{Parties, Party, Time};

/// Simpler faults: a verb's stand-ins, its frame or time, whom it concerns, how long it lasts.
pub(super) const FAULT: [fn(&Scenario, usize) -> Vec<Scenario>; 7] =
    [single_frames, simpler_verbs, frames_for_times, parties, nth, times, rest];
/// Simpler steps.
pub(super) const STEP: [fn(&Scenario, usize) -> Vec<Scenario>; 4] =
    [counts, plainer_sends, actors, step_times];
/// Times that are easy to read, rising. Milliseconds.
const PLAIN_MS: [u64; 9] = [0, 10, 50, 100, 200, 500, 1_000, 2_000, 5_000];
/// Frames that a fault can wait for instead of a time, with the side: before it passes, or after.
const FRAMES: [(&str, bool); 12] = [
    ("send", false),
    ("accepted", true),
    ("accepted", false),
    ("deliver", true),
    ("deliver", false),
    ("ack", false),
    ("welcome", false),
    ("hello", false),
    ("members", false),
    ("page", true),
    ("receipts", false),
    ("read", false),
];
/// Frame numbers that are tried in place of a time or a share.
const NUMBERS: std::ops::RangeInclusive<u64> = 1..=3;

fn with_fault(scenario: &Scenario, index: usize, change: impl FnOnce(&mut FaultEntry)) -> Scenario {
    let mut other = scenario.clone();
    if let Some(entry) = other.fault.get_mut(index) {
        change(entry);
    }
    other
}

/// Plain times below one.
fn plainer(time: Time) -> impl Iterator<Item = Time> {
    PLAIN_MS.into_iter().map(Time::ms).filter(move |plain| *plain < time)
}

/// One frame instead of a share of them.
fn single_frames(scenario: &Scenario, index: usize) -> Vec<Scenario> {
    let Some(mut entry) = scenario.fault.get(index).cloned() else { return Vec::new() };
    if edit::probability(&mut entry).is_none_or(|share| share.is_none()) {
        return Vec::new();
    }
    let one = |number: u64| {
        with_fault(scenario, index, |entry| {
            if let Some(share) = edit::probability(entry) {
                *share = None;
            }
            if let Some(nth) = edit::nth(entry) {
                *nth = Some(number);
            }
            (entry.at, entry.every, entry.lasts) = (None, None, None);
        })
    };
    (1..=6).map(one).collect()
}

/// What a person would try first to show the same.
fn simpler_verbs(scenario: &Scenario, index: usize) -> Vec<Scenario> {
    let Some(entry) = scenario.fault.get(index) else { return Vec::new() };
    let FaultEntry { at, lasts, .. } = entry.clone();
    let momentary = FaultEntry { at, ..FaultEntry::default() };
    let lasting = FaultEntry { at, lasts, ..FaultEntry::default() };
    let cut = |link: &Parties, before: &Option<String>, after: &Option<String>, nth: Option<u64>| Cut {
        how: How::Rst,
        at_byte: None,
        link: link.clone(),
        direction: Way::Both,
        before: before.clone(),
        after: after.clone(),
        nth,
        probability: None,
    };
    let offline = |client: &Parties| ClientVerbEntry { client: client.clone(), after: None, nth: None };
    let holds = |it: &LinkHold| {
        let cut = cut(&it.link, &it.before, &it.after, it.nth);
        let partition = Partition {
            nodes: None,
            from: None,
            link: Some(it.link.clone()),
            one_way: false,
            direction: it.direction,
        };
        let mut simpler = vec![FaultEntry { cut: Some(cut), ..momentary.clone() }];
        if it.nth.is_none() {
            simpler.push(FaultEntry { offline: Some(offline(&it.link)), ..lasting.clone() });
            simpler.push(FaultEntry { partition: Some(partition), ..lasting.clone() });
        }
        simpler
    };
    let down = |it: &NodeDown| FaultEntry { kill: Some(it.clone()), ..momentary.clone() };
    let frames = |it: &FrameFault| FaultEntry { drop: Some(it.clone()), ..lasting.clone() };
    let simpler = match entry {
        FaultEntry { power_loss: Some(it), .. } | FaultEntry { restart: Some(it), .. } => vec![down(it)],
        FaultEntry { half_open: Some(it), .. } | FaultEntry { stall: Some(it), .. } => holds(it),
        FaultEntry { partition: Some(Partition { link: Some(link), .. }), .. } => vec![
            FaultEntry { cut: Some(cut(link, &None, &None, None)), ..momentary.clone() },
            FaultEntry { offline: Some(offline(link)), ..lasting.clone() },
        ],
        FaultEntry { reconnect_storm: Some(it), .. }
        | FaultEntry { takeover: Some(it), .. }
        | FaultEntry { offline: Some(it), .. } => {
            vec![FaultEntry { cut: Some(cut(&it.client, &None, &it.after, it.nth)), ..momentary.clone() }]
        }
        FaultEntry { corrupt: Some(it), .. } => vec![frames(it)],
        _ => Vec::new(),
    };
    simpler.into_iter().map(|simpler| with_fault(scenario, index, |entry| *entry = simpler)).collect()
}

/// A frame says when, where a time did: that repeats in other worlds.
fn frames_for_times(scenario: &Scenario, index: usize) -> Vec<Scenario> {
    let Some(entry) = scenario.fault.get(index) else { return Vec::new() };
    if edit::waits_for_frame(entry) || edit::on(&mut entry.clone()).is_some() {
        return Vec::new();
    }
    let mut candidates = Vec::new();
    for number in NUMBERS {
        for (frame, is_before) in FRAMES {
            let mut one = entry.clone();
            (one.at, one.every) = (None, None);
            let place = if is_before { edit::before(&mut one) } else { edit::after(&mut one) };
            let Some(place) = place else { continue };
            *place = Some(frame.to_owned());
            let Some(nth) = edit::nth(&mut one) else { continue };
            *nth = Some(number);
            candidates.push(with_fault(scenario, index, |entry| *entry = one));
        }
    }
    candidates
}

/// One client instead of several.
fn parties(scenario: &Scenario, index: usize) -> Vec<Scenario> {
    let Some(mut entry) = scenario.fault.get(index).cloned() else { return Vec::new() };
    let is_node = entry.verbs().iter().any(|(_, verb)| verb.node().is_some());
    let Some(named) = edit::parties(&mut entry).map(|parties| parties.0.clone()) else { return Vec::new() };
    if is_node && !edit::waits_for_frame(&entry) {
        return Vec::new();
    }
    // Of single clients, those before this one are simpler.
    let is_simpler =
        |party: &Party| !matches!(named.as_slice(), [one @ Party::Device(..)] if !comes_before(party, one));
    let one = |party| {
        with_fault(scenario, index, |entry| {
            if let Some(parties) = edit::parties(entry) {
                parties.0 = vec![party];
            }
        })
    };
    devices(scenario).filter(is_simpler).map(one).collect()
}

/// The first devices, at most sixteen users'.
fn devices(scenario: &Scenario) -> impl Iterator<Item = Party> {
    let (users, each) = (scenario.workload.users_total().min(16), scenario.workload.devices);
    (0..users).flat_map(move |user| (0..each).map(move |device| Party::Device(user, device)))
}

fn comes_before(one: &Party, other: &Party) -> bool {
    let place = |party: &Party| match *party {
        Party::Device(user, device) => (user, device),
        _ => (u32::MAX, u32::MAX),
    };
    place(one) < place(other)
}

fn nth(scenario: &Scenario, index: usize) -> Vec<Scenario> {
    let Some(mut entry) = scenario.fault.get(index).cloned() else { return Vec::new() };
    let Some(number) = edit::nth(&mut entry).and_then(|nth| *nth) else { return Vec::new() };
    let earlier = |number: u64| {
        with_fault(scenario, index, |entry| {
            if let Some(nth) = edit::nth(entry) {
                *nth = Some(number);
            }
        })
    };
    (1..number).map(earlier).take(12).collect()
}

fn times(scenario: &Scenario, index: usize) -> Vec<Scenario> {
    let Some(entry) = scenario.fault.get(index) else { return Vec::new() };
    let mut candidates = Vec::new();
    if let Some(at) = entry.at {
        candidates.extend(plainer(at).map(|at| with_fault(scenario, index, |entry| entry.at = Some(at))));
    }
    candidates
}

/// Durations and details.
fn rest(scenario: &Scenario, index: usize) -> Vec<Scenario> {
    let Some(mut entry) = scenario.fault.get(index).cloned() else { return Vec::new() };
    let mut candidates = Vec::new();
    if let Some(lasts) = entry.lasts {
        let shorter = plainer(lasts).filter(|time| time.0 > 0);
        candidates.extend(shorter.map(|time| with_fault(scenario, index, |entry| entry.lasts = Some(time))));
    }
    if let Some(after) = edit::restart_after(&mut entry).copied() {
        candidates.extend(plainer(after).filter(|time| time.0 > 0).map(|time| {
            with_fault(scenario, index, |entry| {
                if let Some(after) = edit::restart_after(entry) {
                    *after = time;
                }
            })
        }));
    }
    for change in [least_copies, least_window, plain_cut, both_ways] {
        candidates.push(with_fault(scenario, index, change));
    }
    candidates
}

fn least_copies(entry: &mut FaultEntry) {
    if let Some(duplicate) = &mut entry.duplicate {
        duplicate.copies = 1;
    }
}

fn least_window(entry: &mut FaultEntry) {
    if let Some(reorder) = &mut entry.reorder {
        reorder.window = 1;
    }
}

fn plain_cut(entry: &mut FaultEntry) {
    if let Some(cut) = &mut entry.cut {
        cut.how = How::Rst;
    }
}

fn both_ways(entry: &mut FaultEntry) {
    let holds =
        [&mut entry.stall, &mut entry.half_open].into_iter().flatten().map(|hold| &mut hold.direction);
    holds.chain(entry.partition.as_mut().map(|it| &mut it.direction)).for_each(|way| *way = Way::Both);
}

fn with_step(scenario: &Scenario, index: usize, change: impl FnOnce(&mut crate::scenario::Step)) -> Scenario {
    let mut other = scenario.clone();
    if let Some(step) = other.step.get_mut(index) {
        change(step);
    }
    other
}

fn counts(scenario: &Scenario, index: usize) -> Vec<Scenario> {
    let send = scenario.step.get(index).and_then(|step| step.send.as_ref());
    let Some(count) = send.map(|send| send.count).filter(|count| *count > 1) else { return Vec::new() };
    let fewer = [1, 2, 3, count / 2, count - 1].into_iter().filter(|fewer| (1..count).contains(fewer));
    let fewer = fewer.map(|fewer| {
        with_step(scenario, index, |step| {
            if let Some(send) = &mut step.send {
                send.count = fewer;
            }
        })
    });
    fewer.collect()
}

fn plainer_sends(scenario: &Scenario, index: usize) -> Vec<Scenario> {
    let plain = with_step(scenario, index, |step| {
        if let Some(send) = &mut step.send {
            (send.payload, send.reply) = (None, false);
        }
    });
    let only_payload = with_step(scenario, index, |step| {
        if let Some(send) = &mut step.send {
            send.payload = None;
        }
    });
    vec![plain, only_payload]
}

/// Somebody with a lower number does it.
fn actors(scenario: &Scenario, index: usize) -> Vec<Scenario> {
    let Some([own @ Party::Device(..)]) = scenario.step.get(index).map(|step| &step.device.0[..]) else {
        return Vec::new();
    };
    let before = devices(scenario).filter(|other| comes_before(other, own));
    before.map(|party| with_step(scenario, index, |step| step.device.0 = vec![party])).collect()
}

/// Earlier, or together with the step before it; the order of the steps stays.
fn step_times(scenario: &Scenario, index: usize) -> Vec<Scenario> {
    let Some(at) = scenario.step.get(index).map(|step| step.at) else { return Vec::new() };
    let before = index.checked_sub(1).and_then(|before| scenario.step.get(before)).map(|step| step.at);
    let least = before.unwrap_or_default();
    let mut earlier: Vec<Time> = plainer(at).filter(|time| *time >= least).collect();
    earlier.extend(before.filter(|before| *before < at));
    earlier.into_iter().map(|at| with_step(scenario, index, |step| step.at = at)).collect()
}

/// The scenario as a whole: candidates for the n-th field, as the scenario is now; `None` behind the last.
pub(super) fn whole(scenario: &Scenario, field: usize) -> Option<Vec<Scenario>> {
    sections(scenario).into_iter().chain(durations(scenario)).nth(field)
}

/// Settings, the network, entries of devices, habits: each left out.
fn sections(scenario: &Scenario) -> Vec<Vec<Scenario>> {
    let with = |change: &dyn Fn(&mut Scenario)| {
        let mut other = scenario.clone();
        change(&mut other);
        vec![other]
    };
    let mut groups = vec![
        with(&|it| it.cluster.settings.clear()),
        with(&|it| it.network = NetworkSection::default()),
        with(&|it| it.phases = default_phases(it)),
        with(&|it| it.phases.abandoned = None),
        with(&|it| it.device.clear()),
        with(&|it| it.workload.read_marks = None),
        with(&|it| it.workload.payload = crate::units::Sizes { min: 64, max: 256 }),
        with(&|it| it.workload.history_reads = None),
        with(&|it| it.workload.membership_changes = None),
        with(&|it| it.workload.replies = crate::units::Share::default()),
        with(&|it| it.expect = crate::scenario::ExpectSection::default()),
        with(&|it| it.seed = Some(1)),
    ];
    for name in scenario.cluster.settings.keys() {
        groups.push(with(&|it| {
            it.cluster.settings.remove(name);
        }));
    }
    for index in 0..scenario.device.len() {
        groups.push(with(&|it| {
            it.device.remove(index);
        }));
    }
    if let Some(after) = scenario.workload.read_marks {
        groups.push(
            plainer(after).flat_map(|after| with(&|it| it.workload.read_marks = Some(after))).collect(),
        );
    }
    groups
}

/// The usual phases; the drain as long as it is where the promised time needs more than the usual one.
fn default_phases(scenario: &Scenario) -> PhasesSection {
    let usual = PhasesSection::default();
    let is_long = scenario.expect.recovers_within.is_some_and(|within| within > usual.drain);
    PhasesSection { drain: if is_long { scenario.phases.drain } else { usual.drain }, ..usual }
}

/// A shorter run: no shorter than its last step and fault.
fn durations(scenario: &Scenario) -> Vec<Vec<Scenario>> {
    let steps = scenario.step.iter().map(|step| step.at);
    let faults = scenario.fault.iter().filter_map(|entry| entry.at).map(|at| Time(at.0 + 1));
    let devices = scenario.device.iter().filter_map(|entry| entry.connects_at).map(|at| Time(at.0 + 1));
    let least = steps.chain(faults).chain(devices).max().unwrap_or_default();
    let now = scenario.workload.duration;
    let shorter = plainer(now).filter(|time| time.0 > 0 && *time >= least);
    let shorter = shorter.map(|time| {
        let mut other = scenario.clone();
        other.workload.duration = time;
        other
    });
    let slower = scenario.workload.rate.into_iter().filter(|rate| rate.micro >= 2_000_000).map(|rate| {
        let mut other = scenario.clone();
        other.workload.rate = Some(crate::units::PerSecond { micro: rate.micro / 2 });
        other
    });
    vec![shorter.collect(), slower.collect()]
}
