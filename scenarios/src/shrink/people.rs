//! Fewer users, devices, conversations and members; what was theirs goes with them.

use super::edit;
use crate::Scenario;
use crate::scenario::Step;
use crate::units::{Parties, Party, UserName};

/// Without one user; `None` if nobody would be left, or nobody to send. Users above move down by one.
pub(super) fn without_user(scenario: &Scenario, user: u32) -> Option<Scenario> {
    let users = scenario.workload.users_total();
    if users < 2 {
        return None;
    }
    let moved = |other: u32| match other {
        other if other == user => None,
        other => Some(if other > user { other - 1 } else { other }),
    };
    let mut less = scenario.clone();
    less.workload.users = Some(users - 1);
    less.workload.members = less.workload.members.min(users - 1);
    for entry in &mut less.conversation {
        entry.members = entry.members.iter().filter_map(|user| moved(user.0)).map(UserName).collect();
        if entry.members.is_empty() {
            return None;
        }
    }
    each_party(&mut less, &|party| match party {
        Party::User(user) => moved(user).map(Party::User),
        Party::Device(user, device) => moved(user).map(|user| Party::Device(user, device)),
        other => Some(other),
    });
    for change in less.step.iter_mut().filter_map(|step| step.members.as_mut()) {
        for list in [&mut change.add, &mut change.remove] {
            *list = list.iter().filter_map(|user| moved(user.0)).map(UserName).collect();
        }
    }
    less.step
        .retain(|step| step.members.as_ref().is_none_or(|it| !it.add.is_empty() || !it.remove.is_empty()));
    somebody_sends(&less).then_some(less)
}

/// Without one conversation; those above move down by one.
pub(super) fn without_conversation(scenario: &Scenario, conversation: u32) -> Option<Scenario> {
    if scenario.workload.conversations < 2 {
        return None;
    }
    let mut less = scenario.clone();
    less.workload.conversations -= 1;
    if (conversation as usize) < less.conversation.len() {
        less.conversation.remove(conversation as usize);
    }
    less.step.retain_mut(|step| {
        let place = match step {
            Step { send: Some(send), .. } => Some(&mut send.conversation),
            Step { members: Some(change), .. } => Some(&mut change.conversation),
            Step { read_history: Some(read), .. } => Some(read),
            _ => None,
        };
        let Some(place) = place else { return true };
        let is_elsewhere = place.0 != conversation;
        place.0 -= u32::from(place.0 > conversation);
        is_elsewhere
    });
    somebody_sends(&less).then_some(less)
}

/// One device of each user instead of several: those that are gone are forgotten, or the first device stands in.
pub(super) fn fewer_devices(scenario: &Scenario) -> Vec<Scenario> {
    let devices = scenario.workload.devices;
    if devices < 2 {
        return Vec::new();
    }
    let less = |stands_in: bool| {
        let mut less = scenario.clone();
        less.workload.devices = devices - 1;
        each_party(&mut less, &|party| match party {
            Party::Device(user, device) if device + 1 >= devices => {
                stands_in.then_some(Party::Device(user, 0))
            }
            other => Some(other),
        });
        less
    };
    [less(false), less(true)].into_iter().filter(somebody_sends).collect()
}

/// Without one member of a conversation from its beginning.
pub(super) fn without_member(scenario: &Scenario, entry: usize, member: usize) -> Option<Scenario> {
    let mut less = scenario.clone();
    let members = &mut less.conversation.get_mut(entry)?.members;
    if members.len() < 2 || member >= members.len() {
        return None;
    }
    members.remove(member);
    Some(less)
}

/// Changes every name of a client; what names nobody any more is left out.
fn each_party(scenario: &mut Scenario, change: &dyn Fn(Party) -> Option<Party>) {
    let changed = |parties: &mut Parties| {
        let mut list: Vec<Party> = Vec::new();
        for party in parties.0.iter().filter_map(|party| change(*party)) {
            if !list.contains(&party) {
                list.push(party);
            }
        }
        parties.0 = list;
        !parties.0.is_empty()
    };
    scenario.step.retain_mut(|step| changed(&mut step.device));
    scenario.device.retain_mut(|entry| changed(&mut entry.which));
    scenario.fault.retain_mut(|entry| edit::parties(entry).is_none_or(changed));
    if scenario.phases.abandoned.as_mut().is_some_and(|abandoned| !changed(abandoned)) {
        scenario.phases.abandoned = None;
    }
    if scenario.workload.senders.as_mut().is_some_and(|senders| !changed(senders)) {
        scenario.workload.senders = None;
    }
}

fn somebody_sends(scenario: &Scenario) -> bool {
    scenario.workload.rate.is_some() || scenario.step.iter().any(|step| step.send.is_some())
}
