//! What must hold in every state of the exhaustive check.

use super::party::Party;
use super::world::{CONVERSATION, State};
use crate::ids::{DeviceKey, MessageId, Seq};
use crate::journal::Record;

impl State {
    pub(super) fn nothing_acked_is_lost(&self) -> bool {
        let log = self.journal.log(CONVERSATION);
        let is_there = |party: &Party, id: MessageId, seq: Seq| {
            let durable =
                log.get(seq as usize - 1).is_some_and(|entry| (entry.author, entry.id) == (party.key, id));
            let waits = |record: &Record| match record {
                Record::Entry { entry, .. } => (entry.author, entry.id, entry.seq) == (party.key, id, seq),
                _ => false,
            };
            durable || self.tail.iter().any(waits)
        };
        self.parties.iter().all(|party| party.accepted.iter().all(|(id, seq)| is_there(party, *id, *seq)))
    }

    pub(super) fn nothing_is_twice(&self) -> bool {
        let mut names: Vec<_> =
            self.journal.log(CONVERSATION).iter().map(|entry| (entry.author, entry.id)).collect();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        names.len() == all
    }

    pub(super) fn everybody_sees_the_log(&self) -> bool {
        let log = self.journal.log(CONVERSATION);
        let same = |(at, (seq, author, id)): (usize, &(Seq, DeviceKey, MessageId))| {
            *seq == at as Seq + 1
                && log.get(at).is_some_and(|entry| (entry.author, entry.id) == (*author, *id))
        };
        self.parties.iter().all(|party| !party.chain_broken && party.shown.iter().enumerate().all(same))
    }

    pub(super) fn is_all_delivered(&self) -> bool {
        let sent = |party: &Party| party.unsent == 0 && party.refused.is_empty();
        self.parties.iter().all(sent) && self.is_at_rest()
    }
}
