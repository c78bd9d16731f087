//! What is still owed, as far as the events tell: what the drain has to wait for.
//!
//! A run that is judged before everything owed had its chance accuses a server of being slow. No length of silence tells
//! "it will never come" from "the next retry is due in ten seconds"; so the drain asks for what is missing, and waits for
//! that. These are the promises of the checkers `no-loss` and `receipts-complete`, in the few numbers that a run can keep.

use std::collections::{BTreeMap, VecDeque};

use avouch_reports::history::{ReceiptKind, What};

use super::{DeviceProgress, Progress};
use crate::check::Options;

/// Own positions remembered per device and conversation: for older ones no receipt is waited for.
const OWN_POSITIONS_MAX: usize = 64;
/// A conversation with more devices that were told or told of is not waited for: looking would take longer than a look.
const RECEIPT_DEVICES_MAX: usize = 512;

/// What a target owes beyond deliveries to present members.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Owing {
    /// Who was removed gets everything up to the removal.
    pub to_removed: bool,
    /// Senders learn how far their recipients are.
    pub receipts: bool,
    /// In conversations of at most this many members.
    pub receipt_members_max: u32,
    /// A sender's own messages do not come back to it.
    pub nothing_to_senders: bool,
}

impl Owing {
    /// What the checkers will ask for, if the target claims these guarantees and is to be read like that.
    pub fn of(claims: &[String], options: &Options) -> Self {
        let claimed = |guarantee: &str| claims.iter().any(|claim| claim == guarantee);
        Self {
            to_removed: options.removed_owed && claimed("no-loss"),
            receipts: claimed("receipts-complete"),
            receipt_members_max: options.receipt_members_max,
            nothing_to_senders: options.senders_left_out,
        }
    }
}

/// Receipts and what they are to say, by conversation and device.
#[derive(Clone, Debug, Default)]
pub(super) struct Receipts(BTreeMap<u32, BTreeMap<u32, Lane>>);

/// One device in a conversation.
#[derive(Clone, Debug, Default)]
struct Lane {
    /// Acknowledged positions of its own, the newest of them, rising.
    own: VecDeque<u64>,
    /// What it acknowledged and what was confirmed as read.
    reached: [u64; 2],
    /// What it was told of others, likewise.
    told: BTreeMap<u32, [u64; 2]>,
}

impl Receipts {
    fn lane(&mut self, conversation: u32, device: u32) -> &mut Lane {
        self.0.entry(conversation).or_default().entry(device).or_default()
    }

    /// A message of the device's is at that position.
    pub(super) fn sent(&mut self, conversation: u32, device: u32, seq: u64) {
        let own = &mut self.lane(conversation, device).own;
        let at = own.partition_point(|position| *position < seq);
        if own.get(at) != Some(&seq) {
            own.insert(at, seq);
        }
        if own.len() > OWN_POSITIONS_MAX {
            own.pop_front();
        }
    }

    pub(super) fn follow(&mut self, what: &What) {
        match what {
            What::Acknowledged { device, conversation, up_to: Some(up_to), .. } => {
                let reached =
                    &mut self.lane(conversation.0, device.0).reached[ReceiptKind::Delivered as usize];
                *reached = (*reached).max(*up_to);
            }
            What::ReadConfirmed { device, conversation, up_to } => {
                let reached = &mut self.lane(conversation.0, device.0).reached[ReceiptKind::Read as usize];
                *reached = (*reached).max(*up_to);
            }
            What::Receipt { device, conversation, by, kind, up_to } => {
                let told = self.lane(conversation.0, device.0).told.entry(by.0).or_default();
                told[*kind as usize] = told[*kind as usize].max(*up_to);
            }
            What::Reinstalled { device } => {
                for lanes in self.0.values_mut() {
                    lanes.entry(device.0).or_default().told.clear();
                }
            }
            _ => {}
        }
    }
}

impl Lane {
    /// The position that a receipt of another device should cover and does not.
    fn lacks(&self, by: u32, of: &Self) -> Option<u64> {
        let told = self.told.get(&by).copied().unwrap_or_default();
        (0..of.reached.len()).find_map(|kind| {
            let covered = self.own.partition_point(|position| *position <= of.reached[kind]).checked_sub(1);
            let covered = covered.and_then(|at| self.own.get(at)).copied();
            covered.filter(|own| *own > told[kind])
        })
    }
}

/// A receipt that has not come yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwedReceipt {
    /// Whom it is owed.
    pub device: u32,
    /// Of whom.
    pub by: u32,
    /// Where.
    pub conversation: u32,
    /// What it should cover.
    pub position: u64,
}

impl Progress {
    /// The position up to which a device is owed a conversation, its user being in it or having been.
    pub fn owed_to(&self, user: u32, conversation: u32) -> u64 {
        let newest = self.members.get(&conversation).and_then(|members| members.get(&user));
        match newest {
            Some((_, true)) => self.heads.get(&conversation).copied().unwrap_or(0),
            // A removal without a position says nothing of what came before it.
            Some((removed_at, false)) if self.owing.to_removed && *removed_at != u64::MAX => *removed_at,
            _ => 0,
        }
    }

    /// A receipt that one of these devices is still owed of another one of them.
    pub fn receipt_owed(&self, counts: impl Fn(u32) -> bool) -> Option<OwedReceipt> {
        let belongs = |device: &u32, members: &BTreeMap<u32, (u64, bool)>| {
            let user = self.users.get(device)?;
            members.get(user).is_some_and(|newest| newest.1).then_some(*user)
        };
        for (conversation, lanes) in &self.receipts.0 {
            let Some(members) = self.members.get(conversation) else { continue };
            let present = members.values().filter(|newest| newest.1).count();
            if present > self.owing.receipt_members_max as usize || lanes.len() > RECEIPT_DEVICES_MAX {
                continue;
            }
            let lanes: Vec<(u32, u32, &Lane)> = lanes
                .iter()
                .filter(|(device, _)| counts(**device))
                .filter_map(|(device, lane)| Some((*device, belongs(device, members)?, lane)))
                .collect();
            for (device, user, lane) in lanes.iter().filter(|(.., lane)| !lane.own.is_empty()) {
                let mut others = lanes.iter().filter(|(_, other, _)| other != user);
                let lacking = others.find_map(|(by, _, of)| Some((*by, lane.lacks(*by, of)?)));
                if let Some((by, position)) = lacking {
                    let (device, conversation) = (*device, *conversation);
                    return Some(OwedReceipt { device, by, conversation, position });
                }
            }
        }
        None
    }
}

impl DeviceProgress {
    /// Greatest position of a conversation that its application has.
    pub fn position(&self, conversation: u32) -> u64 {
        self.has.get(&conversation).copied().unwrap_or(0)
    }

    /// The greatest position up to another one that has to come from outside: its own newest ones do not.
    pub fn last_from_others(&self, conversation: u32, up_to: u64) -> u64 {
        let own = self.own.get(&conversation);
        let is_own = |position: &u64| own.is_some_and(|own| own.contains(position));
        (0..=up_to).rev().find(|position| !is_own(position)).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use avouch_reports::history::{Conversation, Device, Message, Rung, User};

    use super::*;

    const C: Conversation = Conversation(0);

    /// Three users with a device each (same numbers), all in one conversation.
    fn chat(receipt_members_max: u32) -> Progress {
        let owing =
            Owing { to_removed: true, receipts: true, receipt_members_max, nothing_to_senders: false };
        let mut progress = Progress { owing, ..Progress::default() };
        for number in 0..3 {
            let (device, user) = (Device(number), User(number));
            progress.follow(&What::Device { device, user, name: format!("d{number}") });
        }
        let members = (0..3).map(User).collect();
        progress.follow(&What::Conversation { conversation: C, name: "c0".to_owned(), members });
        progress
    }

    fn sent(progress: &mut Progress, device: u32, seq: u64) {
        let (device, message) = (Device(device), Message(seq));
        progress.follow(&What::Send {
            device,
            conversation: C,
            message,
            intended_ns: 0,
            bytes: 1,
            digest: 1,
            reply_to: None,
        });
        progress.follow(&What::Accepted { device, message, seq: Some(seq), rung: Rung::Stored });
    }

    fn acked(progress: &mut Progress, device: u32, up_to: u64) {
        let device = Device(device);
        progress.follow(&What::Acknowledged { device, conversation: C, up_to: Some(up_to), message: None });
    }

    fn told(progress: &mut Progress, (device, by): (u32, u32), kind: ReceiptKind, up_to: u64) {
        let (device, by) = (Device(device), Device(by));
        progress.follow(&What::Receipt { device, conversation: C, by, kind, up_to });
    }

    /// The receipt that is owed: to whom, of whom, for what.
    fn owed(progress: &Progress) -> Option<(u32, u32, u64)> {
        progress.receipt_owed(|_| true).map(|owed| (owed.device, owed.by, owed.position))
    }

    #[test]
    fn a_sender_waits_for_receipts_of_what_others_have_of_its_own() {
        let mut progress = chat(256);
        acked(&mut progress, 1, 1);
        assert_eq!(owed(&progress), None, "nobody said anything");
        sent(&mut progress, 0, 2);
        assert_eq!(owed(&progress), None, "nobody has it");
        acked(&mut progress, 1, 3);
        acked(&mut progress, 0, 3);
        assert_eq!(owed(&progress), Some((0, 1, 2)));
        assert_eq!(progress.receipt_owed(|device| device != 1), None, "who is abandoned does not count");
        told(&mut progress, (0, 1), ReceiptKind::Delivered, 2);
        assert_eq!(owed(&progress), None);
        progress.follow(&What::ReadConfirmed { device: Device(1), conversation: C, up_to: 3 });
        assert_eq!(owed(&progress), Some((0, 1, 2)));
        told(&mut progress, (0, 1), ReceiptKind::Read, 3);
        assert_eq!(owed(&progress), None);
        // What it was told before it lost everything has to come again.
        progress.follow(&What::Reinstalled { device: Device(0) });
        assert_eq!(owed(&progress), Some((0, 1, 2)));
        let removed = vec![User(1)];
        let device = Device(2);
        progress.follow(&What::MembersChanged {
            device,
            conversation: C,
            seq: Some(4),
            added: vec![],
            removed,
        });
        assert_eq!(owed(&progress), None, "who has left is not told of");
    }

    #[test]
    fn receipts_that_nobody_promised_are_not_waited_for() {
        let mut progress = chat(2);
        sent(&mut progress, 0, 2);
        acked(&mut progress, 1, 2);
        assert_eq!(owed(&progress), None, "too many members");
        let mut progress = chat(256);
        progress.owing.receipts = false;
        sent(&mut progress, 0, 2);
        acked(&mut progress, 1, 2);
        assert_eq!(owed(&progress), None);
    }

    #[test]
    fn who_was_removed_is_owed_what_came_before() {
        let mut progress = chat(256);
        sent(&mut progress, 0, 7);
        assert_eq!(progress.owed_to(1, 0), 7);
        let (device, removed) = (Device(0), vec![User(1)]);
        progress.follow(&What::MembersChanged {
            device,
            conversation: C,
            seq: Some(8),
            added: vec![],
            removed,
        });
        sent(&mut progress, 0, 9);
        assert_eq!((progress.owed_to(0, 0), progress.owed_to(1, 0), progress.owed_to(5, 0)), (9, 8, 0));
        progress.owing.to_removed = false;
        assert_eq!(progress.owed_to(1, 0), 0);
    }

    #[test]
    fn what_does_not_come_back_to_its_sender_is_not_waited_for() {
        let mut progress = chat(256);
        progress.owing.nothing_to_senders = true;
        for (device, seq) in [(1, 1), (0, 2), (1, 3), (0, 4), (0, 5)] {
            sent(&mut progress, device, seq);
        }
        let last = |device: u32| progress.devices[&device].last_from_others(0, progress.owed_to(device, 0));
        assert_eq!([last(0), last(1), last(2)], [3, 5, 5]);
    }

    #[test]
    fn only_the_newest_own_positions_are_remembered() {
        let mut progress = chat(256);
        (1..=1_000).for_each(|seq| sent(&mut progress, 0, seq));
        acked(&mut progress, 1, 1_000 - OWN_POSITIONS_MAX as u64);
        assert_eq!(owed(&progress), None);
        acked(&mut progress, 1, 1_001 - OWN_POSITIONS_MAX as u64);
        assert_eq!(owed(&progress), Some((0, 1, 1_001 - OWN_POSITIONS_MAX as u64)));
    }
}
