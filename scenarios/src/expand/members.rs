//! Who belongs to which conversation when it is made.

use std::collections::{BTreeMap, BTreeSet};

use crate::keyed::{Purpose, below, draw};
use crate::plan::Conversation;
use crate::scenario::Scenario;
use crate::units::{Parties, Party};

/// Every conversation with its first members: those of its entry, if it has one, and nobody else. Otherwise:
///
/// Users who act in a conversation by a step belong to it; users whom a step adds do not, as far as there are enough
/// others. The rest is drawn: each user has a rank per conversation, and the lowest ranks belong to it. So one more
/// user changes a conversation by at most one member.
pub(super) fn conversations(scenario: &Scenario, seed: u64) -> Vec<Conversation> {
    const RANK: Purpose = Purpose::named("membership");
    let workload = &scenario.workload;
    let (users, members) = (workload.users_total(), workload.members);
    let named = Named::of(scenario);
    let senders = named_users(workload.senders.as_ref());
    let conversation = |number: u32| {
        let (pinned, late) = (named.acting.get(&number), named.added.get(&number));
        let holds = |set: Option<&BTreeSet<u32>>, user: u32| set.is_some_and(|set| set.contains(&user));
        let sender = sender_of(seed, number, &senders);
        let rank = |user: &u32| {
            let class = match user {
                user if holds(pinned, *user) => 0_u8,
                user if sender == Some(*user) => 1,
                user if holds(late, *user) => 3,
                _ => 2,
            };
            (class, draw(seed, RANK, &[u64::from(number), u64::from(*user)]), *user)
        };
        let mut chosen: Vec<u32> = (0..users).collect();
        if let Some(entry) = scenario.conversation.get(number as usize) {
            chosen = entry.members.iter().map(|user| user.0).filter(|user| *user < users).collect();
            chosen.sort_unstable();
        } else if members < users {
            chosen.sort_by_cached_key(rank);
            chosen.truncate(members as usize);
            chosen.sort_unstable();
        }
        Conversation { name: format!("c{number}"), members: chosen }
    };
    (0..workload.conversations).map(conversation).collect()
}

/// Where only some users send, each conversation has one of them, or nothing would ever be said there.
fn sender_of(seed: u64, conversation: u32, senders: &[u32]) -> Option<u32> {
    const SENDER: Purpose = Purpose::named("sender-of-conversation");
    let index = below(draw(seed, SENDER, &[u64::from(conversation)]), senders.len() as u64);
    senders.get(index as usize).copied()
}

fn named_users(parties: Option<&Parties>) -> Vec<u32> {
    let users = parties.into_iter().flat_map(|parties| &parties.0).filter_map(|party| match *party {
        Party::User(user) | Party::Device(user, _) => Some(user),
        Party::Clients | Party::Share(_) => None,
    });
    users.collect()
}

/// Who is named by the steps, per conversation.
#[derive(Default)]
struct Named {
    acting: BTreeMap<u32, BTreeSet<u32>>,
    added: BTreeMap<u32, BTreeSet<u32>>,
}

impl Named {
    fn of(scenario: &Scenario) -> Self {
        let mut named = Self::default();
        let mut steps: Vec<_> = scenario.step.iter().collect();
        steps.sort_by_key(|step| step.at);
        for step in steps {
            let mut acting = named_users(Some(&step.device));
            let conversation = match (&step.send, &step.members, step.read_history) {
                (Some(send), _, _) => send.conversation.0,
                (_, Some(change), _) => change.conversation.0,
                (_, _, Some(conversation)) => conversation.0,
                _ => continue,
            };
            if let Some(change) = &step.members {
                acting.extend(change.remove.iter().map(|user| user.0));
            }
            // Who was added before belongs to it by then, and need not from the start.
            let added = named.added.entry(conversation).or_default();
            acting.retain(|user| !added.contains(user));
            let members = named.acting.entry(conversation).or_default();
            members.extend(acting);
            if let Some(change) = &step.members {
                added.extend(change.add.iter().map(|user| user.0).filter(|user| !members.contains(user)));
            }
        }
        named
    }
}
