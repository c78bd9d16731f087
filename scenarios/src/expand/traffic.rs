//! What the devices do: membership changes, messages, history reads, steps.

use std::collections::BTreeSet;

use super::{ACTIONS_MAX, Choices, PlanError, number};
use crate::keyed::{Purpose, again, below, draw, exponential, hits, jump};
use crate::plan::{Action, Conversation, Device, Do};
use crate::scenario::{Arrivals, Step, StepDoes};
use crate::units::{PerSecond, Sizes};

/// Largest group of candidates from which the choice is made by ranks, at a cost linear in the group.
const RANKED_MAX: usize = 256;
/// How often a device that is not there yet is replaced by another draw.
const REDRAWS_MAX: u64 = 64;

/// All actions, by rising time.
pub(super) fn actions(
    choices: &Choices<'_>,
    conversations: &[Conversation],
) -> Result<Vec<Action>, PlanError> {
    let mut actions = Vec::new();
    for (index, step) in choices.scenario.step.iter().enumerate() {
        step_actions(choices, step, index as u64, &mut actions);
        if actions.len() > ACTIONS_MAX {
            return Err(PlanError::TooManyActions);
        }
    }
    churn(choices, conversations, &mut actions);
    let mut changes: Vec<Action> =
        actions.iter().filter(|action| matches!(action.what, Do::ChangeMembers { .. })).cloned().collect();
    changes.sort_by_key(|action| action.at_ns);
    messages(choices, conversations, &changes, &mut actions);
    history_reads(choices, conversations, &mut actions);
    if actions.len() > ACTIONS_MAX {
        return Err(PlanError::TooManyActions);
    }
    Ok(number(actions))
}

/// Times of an open loop, from 0 to the end: the k-th gap is drawn by k, so that a longer run begins like a shorter.
fn arrivals(
    seed: u64,
    purpose: Purpose,
    rate: PerSecond,
    spread: Arrivals,
    end_ns: u64,
) -> impl Iterator<Item = (u64, u64)> {
    let mean = rate.mean_gap_ns();
    let mut time = 0.0;
    let mut index = 0;
    std::iter::from_fn(move || {
        time += match spread {
            Arrivals::Constant => mean,
            Arrivals::Poisson => exponential(draw(seed, purpose, &[index]), mean),
        };
        index += 1;
        let at_ns = time as u64;
        (at_ns < end_ns).then_some((index - 1, at_ns))
    })
}

fn messages(
    choices: &Choices<'_>,
    conversations: &[Conversation],
    changes: &[Action],
    actions: &mut Vec<Action>,
) {
    const ARRIVAL: Purpose = Purpose::named("arrival");
    const WHERE: Purpose = Purpose::named("message-conversation");
    const REPLY: Purpose = Purpose::named("message-reply");
    const SIZE: Purpose = Purpose::named("message-size");
    let (seed, workload) = (choices.seed, &choices.scenario.workload);
    let Some(rate) = workload.rate else { return };
    let mut membership = Membership::new(choices, conversations);
    let mut changes = changes.iter().peekable();
    for (index, at_ns) in arrivals(seed, ARRIVAL, rate, workload.arrivals, workload.duration.0) {
        while let Some(change) = changes.next_if(|change| change.at_ns <= at_ns) {
            membership.apply(change);
        }
        let conversation = jump(draw(seed, WHERE, &[index]), conversations.len() as u64) as u32;
        let Some(device) = membership.sender(choices, conversation, index, at_ns) else { continue };
        let what = Do::Send {
            conversation,
            message: 0,
            bytes: size(workload.payload, draw(seed, SIZE, &[index])),
            reply: hits(draw(seed, REPLY, &[index]), workload.replies.ppm),
        };
        actions.push(Action { at_ns, device, what });
        if actions.len() > ACTIONS_MAX {
            return;
        }
    }
}

fn size(sizes: Sizes, draw: u64) -> u32 {
    sizes.min + below(draw, u64::from(sizes.max - sizes.min) + 1) as u32
}

/// Who may send where, as the plan's own membership changes move it.
struct Membership<'a> {
    devices: &'a [Device],
    per_user: u32,
    /// Which devices send at all.
    sends: Vec<bool>,
    /// Members per conversation.
    members: Vec<BTreeSet<u32>>,
    /// Sending devices per conversation, rising: derived from the two above.
    candidates: Vec<Vec<u32>>,
}

impl<'a> Membership<'a> {
    fn new(choices: &Choices<'a>, conversations: &[Conversation]) -> Self {
        // The place that selects senders has a number that no fault or device entry can have.
        const SENDERS: u64 = u64::MAX;
        let mut sends = vec![choices.scenario.workload.senders.is_none(); choices.devices.len()];
        if let Some(senders) = &choices.scenario.workload.senders {
            choices.select(SENDERS, senders).into_iter().for_each(|device| sends[device as usize] = true);
        }
        let members = conversations.iter().map(|one| one.members.iter().copied().collect()).collect();
        let mut membership = Self {
            devices: choices.devices,
            per_user: choices.scenario.workload.devices,
            sends,
            members,
            candidates: Vec::new(),
        };
        membership.candidates =
            membership.members.iter().map(|members| membership.senders(members)).collect();
        membership
    }

    fn senders(&self, members: &BTreeSet<u32>) -> Vec<u32> {
        let devices = members
            .iter()
            .flat_map(|user| (0..self.per_user).map(move |device| user * self.per_user + device));
        devices.filter(|device| self.sends.get(*device as usize).is_some_and(|sends| *sends)).collect()
    }

    fn apply(&mut self, change: &Action) {
        let Do::ChangeMembers { conversation, added, removed, .. } = &change.what else { return };
        let Some(members) = self.members.get_mut(*conversation as usize) else { return };
        members.extend(added);
        members.retain(|user| !removed.contains(user));
        let senders = self.senders(&self.members[*conversation as usize]);
        self.candidates[*conversation as usize] = senders;
    }

    /// Which device sends the message: the one of the highest rank, so that one more member takes over its own part
    /// of the messages and moves no other.
    fn sender(&self, choices: &Choices<'_>, conversation: u32, index: u64, at_ns: u64) -> Option<u32> {
        const SENDER: Purpose = Purpose::named("message-sender");
        let candidates = self.candidates.get(conversation as usize)?;
        let is_there = |device: u32| {
            let connects = self.devices.get(device as usize).and_then(|device| device.connects_at_ns);
            connects.is_none_or(|connects| connects <= at_ns)
        };
        if candidates.len() <= RANKED_MAX {
            let there = candidates.iter().copied().filter(|device| is_there(*device));
            return there.max_by_key(|device| {
                let (user, device) = (device / self.per_user, device % self.per_user);
                draw(choices.seed, SENDER, &[index, u64::from(user), u64::from(device)])
            });
        }
        let first = draw(choices.seed, SENDER, &[index]);
        let draws = std::iter::once(first).chain((0..REDRAWS_MAX).map(|ordinal| again(first, ordinal)));
        let mut chosen = draws.map(|draw| candidates[jump(draw, candidates.len() as u64) as usize]);
        chosen
            .find(|device| is_there(*device))
            .or_else(|| candidates.iter().copied().find(|device| is_there(*device)))
    }
}

/// Joins and leaves. Whoever made a conversation stays and carries them out on their first device.
fn churn(choices: &Choices<'_>, conversations: &[Conversation], actions: &mut Vec<Action>) {
    const CHURN: Purpose = Purpose::named("membership-change");
    const WHAT: Purpose = Purpose::named("membership-change-what");
    let (seed, workload) = (choices.seed, &choices.scenario.workload);
    let Some(rate) = workload.membership_changes else { return };
    let users = workload.users_total();
    let mut members: Vec<BTreeSet<u32>> =
        conversations.iter().map(|one| one.members.iter().copied().collect()).collect();
    for (index, at_ns) in arrivals(seed, CHURN, rate, workload.arrivals, workload.duration.0) {
        let key = draw(seed, WHAT, &[index]);
        let number = jump(again(key, 0), conversations.len() as u64) as usize;
        let Some(&maker) = conversations[number].members.first() else { continue };
        let present = &mut members[number];
        let leavers: Vec<u32> = present.iter().copied().filter(|user| *user != maker).collect();
        let absent: Vec<u32> = (0..users).filter(|user| !present.contains(user)).collect();
        let joins = match (absent.is_empty(), leavers.len() < 2) {
            (true, true) => continue,
            (true, false) => false,
            (false, true) => true,
            (false, false) => hits(again(key, 1), 500_000),
        };
        let list = if joins { &absent } else { &leavers };
        let user = list[below(again(key, 2), list.len() as u64) as usize];
        let (added, removed) = if joins { (vec![user], vec![]) } else { (vec![], vec![user]) };
        if joins {
            present.insert(user)
        } else {
            present.remove(&user)
        };
        let what = Do::ChangeMembers { conversation: number as u32, message: 0, added, removed };
        actions.push(Action { at_ns, device: maker * workload.devices, what });
    }
}

fn history_reads(choices: &Choices<'_>, conversations: &[Conversation], actions: &mut Vec<Action>) {
    const READ: Purpose = Purpose::named("history-read");
    const WHAT: Purpose = Purpose::named("history-read-what");
    let (seed, workload) = (choices.seed, &choices.scenario.workload);
    let Some(rate) = workload.history_reads else { return };
    for (index, at_ns) in arrivals(seed, READ, rate, workload.arrivals, workload.duration.0) {
        let key = draw(seed, WHAT, &[index]);
        let conversation = jump(again(key, 0), conversations.len() as u64);
        let members = &conversations[conversation as usize].members;
        let Some(user) = members.get(below(again(key, 1), members.len() as u64) as usize) else { continue };
        let device = user * workload.devices + below(again(key, 2), u64::from(workload.devices)) as u32;
        let connects = choices.devices.get(device as usize).and_then(|device| device.connects_at_ns);
        if connects.is_none_or(|connects| connects <= at_ns) {
            actions.push(Action {
                at_ns,
                device,
                what: Do::ReadHistory { conversation: conversation as u32 },
            });
        }
    }
}

fn step_actions(choices: &Choices<'_>, step: &Step, index: u64, actions: &mut Vec<Action>) {
    const SIZE: Purpose = Purpose::named("step-size");
    // Steps select from the numbers after those of faults; see `faults`.
    let devices = choices.select(u64::MAX / 2 + index, &step.device);
    for device in devices {
        let mut push = |what| actions.push(Action { at_ns: step.at.0, device, what });
        if let Some(send) = &step.send {
            let sizes = send.payload.unwrap_or(choices.scenario.workload.payload);
            for ordinal in 0..u64::from(send.count) {
                let bytes = size(sizes, draw(choices.seed, SIZE, &[index, u64::from(device), ordinal]));
                push(Do::Send { conversation: send.conversation.0, message: 0, bytes, reply: send.reply });
            }
        }
        if let Some(conversation) = step.read_history {
            push(Do::ReadHistory { conversation: conversation.0 });
        }
        if let Some(change) = &step.members {
            push(Do::ChangeMembers {
                conversation: change.conversation.0,
                message: 0,
                added: change.add.iter().map(|user| user.0).collect(),
                removed: change.remove.iter().map(|user| user.0).collect(),
            });
        }
        match step.does {
            Some(StepDoes::Disconnect) => push(Do::Disconnect),
            Some(StepDoes::Connect) => push(Do::Connect),
            Some(StepDoes::Reinstall) => push(Do::Reinstall),
            None => {}
        }
    }
}
