//! Who is there and what they do.

use std::collections::BTreeSet;

use super::budget;
use super::dice::Dice;
use super::swarm::{Feature, Swarm};
use super::{Crowd, device_name};
use crate::Scenario;
use crate::profiles::{PROFILES, ProfileName};
use crate::scenario::{
    ClusterSection, ConversationEntry, DeviceEntry, NetworkSection, PhasesSection, Setting, Step, StepDoes,
    StepMembers, StepSend, Workload,
};
use crate::units::{ConversationName, Parties, Party, Sizes, Time, UserName};

/// Messages of a schedule: few mostly, so that many schedules can be tried.
const MESSAGES: [u64; 8] = [3, 5, 8, 12, 20, 30, 50, 100];
/// Sizes at which buffers, lengths and frames end.
const ODD_SIZES: [u32; 10] = [32, 63, 64, 127, 128, 255, 256, 1_023, 1_024, 4_096];
/// How many messages out of a hundred have such a size, where any has: one of these for each schedule.
const ODD_PERCENT: [u32; 3] = [20, 50, 100];
/// What is sent nearly at the moment of something else is sent this much before or after it at most.
const NEAR_MS: u64 = 8;

/// A scenario without faults.
pub(super) fn scenario(dice: Dice, swarm: &Swarm) -> Scenario {
    let count = |name, most: u64| dice.of(name, &[]).between(1, most) as u32;
    let users = 1 + count("explore-users", 3);
    let devices = if swarm.has(Feature::SeveralDevices) { 2 } else { 1 };
    let conversations =
        if swarm.has(Feature::SeveralConversations) { 1 + count("explore-conversations", 2) } else { 1 };
    let duration = dice.of("explore-duration", &[]).doubling_ms(1_000, 6_000);
    let mut scenario = Scenario {
        version: None,
        about: "A schedule that was drawn from one number.".to_owned(),
        seed: None,
        cluster: ClusterSection { nodes: 1, settings: settings(dice, swarm).into_iter().collect() },
        workload: workload(dice, swarm, (users, devices, conversations), duration),
        network: network(dice, swarm),
        conversation: (0..conversations).map(|number| members(dice, swarm, users, number)).collect(),
        device: Vec::new(),
        fault: Vec::new(),
        step: Vec::new(),
        expect: crate::scenario::ExpectSection::default(),
        phases: phases(dice, swarm),
    };
    let crowd = Crowd { users, devices, duration };
    if swarm.has(Feature::Abandoned) {
        let number = dice.of("explore-abandoned", &[]).below(crowd.devices_total());
        scenario.phases.abandoned = Some(one(crowd, number));
    }
    if swarm.has(Feature::NewDevices) {
        scenario.device.push(newcomer(dice, crowd));
    }
    let mut steps = Vec::new();
    let near = membership(dice, swarm, &scenario, &mut steps);
    away(dice, swarm, crowd, &mut steps);
    sends(dice, swarm, (crowd, &scenario.conversation), &near, &mut steps);
    reads(dice, swarm, crowd, conversations, &mut steps);
    steps.sort_by_key(|step| step.at);
    scenario.step = steps;
    budget::set(&mut scenario);
    scenario
}

fn phases(dice: Dice, swarm: &Swarm) -> PhasesSection {
    let after = || Time::ms(dice.of("explore-give-up", &[]).between(1_000, 4_000));
    PhasesSection { give_up: swarm.has(Feature::GiveUp).then(after), ..PhasesSection::default() }
}

fn workload(
    dice: Dice,
    swarm: &Swarm,
    (users, devices, conversations): (u32, u32, u32),
    duration: Time,
) -> Workload {
    let read_marks =
        swarm.has(Feature::ReadMarks).then(|| dice.of("explore-read-marks", &[]).doubling_ms(1, 256));
    Workload {
        conversations,
        members: 2,
        users: Some(users),
        devices,
        senders: None,
        rate: None,
        arrivals: crate::scenario::Arrivals::default(),
        duration,
        payload: Sizes { min: 64, max: 64 },
        replies: crate::units::Share::default(),
        read_marks,
        history_reads: None,
        membership_changes: None,
    }
}

/// The server's settings: short timers, so that a run needs seconds, and sometimes small windows.
fn settings(dice: Dice, swarm: &Swarm) -> Vec<(String, Setting)> {
    let mut settings = Vec::new();
    let mut set = |name: &'static str, values: &[i64]| {
        // Its own name is its key: one more setting moves no other.
        let key = name.bytes().fold(0_u64, |key, byte| key << 5 ^ u64::from(byte));
        settings.push((name.to_owned(), Setting::Count(dice.of("explore-setting", &[key]).pick(values))));
    };
    if !swarm.has(Feature::SlowTimers) {
        set("heartbeat_ms", &[300, 500, 1_000]);
        set("silent_ms", &[1_200, 2_000, 3_000]);
        set("redelivery_first_ms", &[50, 100, 300]);
        set("redelivery_cap_ms", &[500, 1_000, 2_000]);
        set("sweep_ms", &[300, 700, 3_000]);
    }
    if swarm.has(Feature::SmallSettings) {
        set("window_entries", &[1, 2, 4, 256]);
        set("page_entries", &[1, 2, 3, 8, 256]);
        set("tail_entries", &[1, 2, 8, 512]);
    }
    settings
}

fn network(dice: Dice, swarm: &Swarm) -> NetworkSection {
    let profile = swarm.has(Feature::SlowNetwork).then(|| {
        let index = dice.of("explore-profile", &[]).below(PROFILES.len() as u64);
        ProfileName(&PROFILES[index as usize])
    });
    NetworkSection { profile, ..NetworkSection::default() }
}

/// Two members at least; and somebody who can join, where members change.
fn members(dice: Dice, swarm: &Swarm, users: u32, number: u32) -> ConversationEntry {
    let mut ranked: Vec<u32> = (0..users).collect();
    ranked.sort_by_key(|user| dice.of("explore-member-rank", &[u64::from(number), u64::from(*user)]).rank());
    let most = if swarm.has(Feature::MembershipChanges) && users > 2 { users - 1 } else { users };
    let draw = dice.of("explore-members", &[u64::from(number)]);
    let few = if draw.percent(60) { u64::from(most) } else { draw.between(2, u64::from(most)) };
    ranked.truncate(few as usize);
    ranked.sort_unstable();
    ConversationEntry { members: ranked.into_iter().map(UserName).collect() }
}

/// Not the device that makes a conversation: that one is there from the start.
fn newcomer(dice: Dice, crowd: Crowd) -> DeviceEntry {
    let number = dice.of("explore-newcomer", &[]).between(1, crowd.devices_total() - 1);
    let at = dice.of("explore-newcomer-at", &[]).ms_below(Time(crowd.duration.0 * 8 / 10));
    DeviceEntry { which: one(crowd, number), connects_at: Some(at), consume: None, read_marks: None }
}

/// Joins and leaves; the times of them.
fn membership(dice: Dice, swarm: &Swarm, scenario: &Scenario, steps: &mut Vec<Step>) -> Vec<(u32, Time)> {
    let mut near = Vec::new();
    if !swarm.has(Feature::MembershipChanges) {
        return near;
    }
    let users = scenario.workload.users_total();
    let mut present: Vec<BTreeSet<u32>> =
        scenario.conversation.iter().map(|entry| entry.members.iter().map(|user| user.0).collect()).collect();
    let count = dice.of("explore-changes", &[]).between(1, 4);
    let end = Time(scenario.workload.duration.0 * 8 / 10);
    let mut times: Vec<Time> =
        (0..count).map(|at| dice.of("explore-change-at", &[at]).ms_below(end)).collect();
    times.sort_unstable();
    for (index, at) in times.into_iter().enumerate() {
        let key = index as u64;
        let conversation = dice.of("explore-change-where", &[key]).below(present.len() as u64) as usize;
        let maker = scenario.conversation[conversation].members[0].0;
        let others: Vec<u32> = (0..users).filter(|user| *user != maker).collect();
        if others.is_empty() {
            continue;
        }
        let user = dice.of("explore-change-who", &[key]).pick(&others);
        let joins = present[conversation].insert(user);
        if !joins {
            present[conversation].remove(&user);
        }
        let (add, remove) =
            if joins { (vec![UserName(user)], vec![]) } else { (vec![], vec![UserName(user)]) };
        let change = StepMembers { conversation: ConversationName(conversation as u32), add, remove };
        let device = Parties(vec![Party::Device(maker, 0)]);
        steps.push(Step { members: Some(change), ..step(at, device) });
        near.push((conversation as u32, at));
    }
    near
}

/// Devices that leave and come back, and devices that are installed anew.
fn away(dice: Dice, swarm: &Swarm, crowd: Crowd, steps: &mut Vec<Step>) {
    let end = crowd.duration;
    if swarm.has(Feature::Away) {
        for index in 0..dice.of("explore-away", &[]).between(1, 2) {
            let device = one(crowd, dice.of("explore-away-who", &[index]).below(crowd.devices_total()));
            let leaves = dice.of("explore-away-at", &[index]).ms_below(Time(end.0 / 2));
            let returns =
                Time(leaves.0 + dice.of("explore-away-for", &[index]).doubling_ms(100, 2_000).0).min(end);
            steps.push(Step { does: Some(StepDoes::Disconnect), ..step(leaves, device.clone()) });
            steps.push(Step { does: Some(StepDoes::Connect), ..step(returns, device) });
        }
    }
    if swarm.has(Feature::Reinstalls) {
        let device = one(crowd, dice.of("explore-reinstall-who", &[]).below(crowd.devices_total()));
        let at = dice.of("explore-reinstall-at", &[]).ms_below(Time(end.0 * 9 / 10));
        steps.push(Step { does: Some(StepDoes::Reinstall), ..step(at, device) });
    }
}

fn sends(
    dice: Dice,
    swarm: &Swarm,
    (crowd, conversations): (Crowd, &[ConversationEntry]),
    near: &[(u32, Time)],
    steps: &mut Vec<Step>,
) {
    let end = Time(crowd.duration.0 * 9 / 10);
    let odd_percent = dice.of("explore-odd-percent", &[]).pick(&ODD_PERCENT);
    let mut left = dice.of("explore-messages", &[]).pick(&MESSAGES);
    let mut index = 0;
    while left > 0 {
        let key = [index];
        index += 1;
        let burst = swarm.has(Feature::Bursts) && dice.of("explore-burst", &key).percent(20);
        let count = if burst { dice.of("explore-burst-count", &key).between(2, 12).min(left) } else { 1 };
        left -= count;
        let mut conversation = dice.of("explore-send-where", &key).below(conversations.len() as u64) as u32;
        let mut at = dice.of("explore-send-at", &key).ms_below(end);
        if !near.is_empty() && dice.of("explore-send-near", &key).percent(40) {
            let (changed, changed_at) = dice.of("explore-send-near-which", &key).pick(near);
            conversation = changed;
            let early = Time::ms(dice.of("explore-send-near-at", &key).below(2 * NEAR_MS + 1));
            at = Time((changed_at.0 + early.0).saturating_sub(Time::ms(NEAR_MS).0)).min(end);
        }
        let members = &conversations[conversation as usize].members;
        let user = dice.of("explore-send-who", &key).pick(members);
        let device = dice.of("explore-send-device", &key).below(u64::from(crowd.devices)) as u32;
        let odd = swarm.has(Feature::OddSizes) && dice.of("explore-send-odd", &key).percent(odd_percent);
        let bytes = dice.of("explore-send-bytes", &key).pick(&ODD_SIZES);
        let send = StepSend {
            conversation: ConversationName(conversation),
            count: count as u32,
            payload: odd.then_some(Sizes { min: bytes, max: bytes }),
            reply: swarm.has(Feature::Replies) && dice.of("explore-send-reply", &key).percent(40),
        };
        steps.push(Step { send: Some(send), ..step(at, Parties(vec![Party::Device(user.0, device)])) });
    }
}

fn reads(dice: Dice, swarm: &Swarm, crowd: Crowd, conversations: u32, steps: &mut Vec<Step>) {
    if !swarm.has(Feature::HistoryReads) {
        return;
    }
    for index in 0..dice.of("explore-reads", &[]).between(1, 4) {
        let device = one(crowd, dice.of("explore-read-who", &[index]).below(crowd.devices_total()));
        let conversation = dice.of("explore-read-where", &[index]).below(u64::from(conversations)) as u32;
        let at = dice.of("explore-read-at", &[index]).ms_below(crowd.duration);
        steps.push(Step { read_history: Some(ConversationName(conversation)), ..step(at, device) });
    }
}

fn step(at: Time, device: Parties) -> Step {
    Step { at, device, send: None, read_history: None, members: None, does: None }
}

fn one(crowd: Crowd, number: u64) -> Parties {
    let (user, device) = device_name(crowd.devices, number);
    Parties(vec![Party::Device(user, device)])
}
