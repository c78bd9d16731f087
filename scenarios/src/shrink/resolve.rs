//! A scenario with its open loop written out: every message, read and change as a single step, every repeated fault as
//! single ones, every share of the clients by name. Only lists can be reduced.

use super::edit;
use crate::Scenario;
use crate::plan::{Do, Fault, Plan, When};
use crate::scenario::{ConversationEntry, DeviceEntry, Step, StepDoes, StepMembers, StepSend};
use crate::units::{ConversationName, Parties, Sizes, Time, Unit, UserName};

/// Steps that a written-out scenario has at most: more do not fit a file, and nobody could read them.
const STEPS_MAX: usize = 2_000;

/// Writes a scenario out as that seed would have it; `None` where it has no plan, or is too long to be written.
pub fn resolved(scenario: &Scenario, seed: u64) -> Option<Scenario> {
    let plan = scenario.plan("resolved", seed).ok()?;
    if plan.actions.len() > STEPS_MAX || plan.faults.len() > STEPS_MAX {
        return None;
    }
    let mut out = scenario.clone();
    out.seed = Some(seed);
    out.workload.rate = None;
    out.workload.history_reads = None;
    out.workload.membership_changes = None;
    out.workload.senders = None;
    if let Some(abandoned) = &mut out.phases.abandoned {
        abandoned.0 = plan.abandoned.iter().flat_map(|device| named(&plan, *device).0).collect();
    }
    out.workload.replies = crate::units::Share::default();
    out.workload.users = Some(plan.users);
    let members =
        |members: &Vec<u32>| ConversationEntry { members: members.iter().copied().map(UserName).collect() };
    out.conversation = plan.conversations.iter().map(|one| members(&one.members)).collect();
    out.step =
        plan.actions.iter().map(|action| step(&plan, action.device, action.at_ns, &action.what)).collect();
    out.device = devices(scenario, &plan);
    out.fault = faults(scenario, &plan);
    Some(out)
}

fn named(plan: &Plan, device: u32) -> Parties {
    let name = plan.devices.get(device as usize).map_or("", |device| &device.name);
    Parties::from_text(name).unwrap_or_else(|_| Parties::clients())
}

fn step(plan: &Plan, device: u32, at_ns: u64, what: &Do) -> Step {
    let mut step = Step {
        at: Time(at_ns),
        device: named(plan, device),
        send: None,
        read_history: None,
        members: None,
        does: None,
    };
    let users = |users: &[u32]| users.iter().copied().map(UserName).collect();
    match what {
        Do::Send { conversation, bytes, reply, .. } => {
            step.send = Some(StepSend {
                conversation: ConversationName(*conversation),
                count: 1,
                payload: Some(Sizes { min: *bytes, max: *bytes }),
                reply: *reply,
            });
        }
        Do::ReadHistory { conversation } => step.read_history = Some(ConversationName(*conversation)),
        Do::ChangeMembers { conversation, added, removed, .. } => {
            step.members = Some(StepMembers {
                conversation: ConversationName(*conversation),
                add: users(added),
                remove: users(removed),
            });
        }
        Do::Disconnect => step.does = Some(StepDoes::Disconnect),
        Do::Connect => step.does = Some(StepDoes::Connect),
        Do::Reinstall => step.does = Some(StepDoes::Reinstall),
    }
    step
}

/// Devices that differ from what the workload says of all.
fn devices(scenario: &Scenario, plan: &Plan) -> Vec<DeviceEntry> {
    let usual = scenario.workload.read_marks.map(|time| time.0);
    let differs = |device: &crate::plan::Device| {
        device.connects_at_ns.is_some() || device.consume_ns > 0 || device.reads_after_ns != usual
    };
    let entry = |(number, device): (usize, &crate::plan::Device)| DeviceEntry {
        which: named(plan, number as u32),
        connects_at: device.connects_at_ns.map(Time),
        consume: (device.consume_ns > 0).then_some(Time(device.consume_ns)),
        read_marks: device.reads_after_ns.filter(|_| device.reads_after_ns != usual).map(Time),
    };
    plan.devices.iter().enumerate().filter(|(_, device)| differs(device)).map(entry).collect()
}

fn faults(scenario: &Scenario, plan: &Plan) -> Vec<crate::fault::FaultEntry> {
    let mut out = Vec::new();
    let mut planned = plan.faults.iter();
    for entry in &scenario.fault {
        let occurrences = if entry.every.is_some() {
            let end = scenario.workload.duration.0;
            occurrences(entry, end)
        } else {
            1
        };
        for fault in planned.by_ref().take(occurrences) {
            let mut one = entry.clone();
            if let When::At { ns } = fault.when {
                one.every = None;
                one.at = (entry.at.is_some() || entry.every.is_some()).then_some(Time(ns));
            }
            let devices = match (&fault.fault, &fault.when) {
                (Fault::Link(link), _) => Some(&link.devices),
                (Fault::Client(client), _) => Some(&client.devices),
                (Fault::Node(_), When::OnFrame(trigger)) => Some(&trigger.devices),
                (Fault::Node(_), When::At { .. }) => None,
            };
            if let (Some(devices), Some(parties)) = (devices, edit::parties(&mut one))
                && devices.len() < plan.devices.len()
            {
                parties.0 = devices.iter().flat_map(|device| named(plan, *device).0).collect();
            }
            out.push(one);
        }
    }
    out
}

/// How often a repeated fault comes, as the expansion counts it.
fn occurrences(entry: &crate::fault::FaultEntry, end_ns: u64) -> usize {
    let every = entry.every.map_or(1, |every| every.0.max(1));
    let first = entry.at.map_or(every, |at| at.0);
    end_ns.saturating_sub(first).div_ceil(every) as usize
}
