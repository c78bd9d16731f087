//! What a latency depends on beside its message: who is a member, and which faults are active.

use super::LatencyRecorder;
use crate::history::{Conversation, Phase, User, What};

impl LatencyRecorder {
    pub(super) fn join(&mut self, conversation: Conversation, seq: u64, added: &[User], removed: &[User]) {
        let members = self.members.entry(conversation).or_default();
        // Every device reports the same change; a position tells old from new, and without one the set does.
        if seq != u64::MAX && seq != 0 && seq <= members.seq {
            return;
        }
        if seq != u64::MAX {
            members.seq = seq;
        }
        let devices = |user| self.devices_of.get(user).copied().unwrap_or(0);
        for user in removed {
            if members.users.remove(user) {
                members.devices -= devices(user).min(members.devices);
            }
        }
        for user in added {
            if members.users.insert(*user) {
                members.devices += devices(user);
            }
        }
    }

    pub(super) fn fault(&mut self, what: &What) {
        match what {
            // Every planned fault is undone here; a momentary one has no end of its own.
            What::Phase { phase: Phase::Heal } if !self.faults_active.is_empty() => {
                for id in std::mem::take(&mut self.faults_active) {
                    self.segments.ended(id, self.now_ns);
                }
                self.until_now();
            }
            What::FaultStarted { id, .. } => {
                self.faults_active.insert(*id);
                self.segments.began(*id, self.now_ns);
            }
            What::FaultFired { .. } => self.until_now(),
            What::FaultEnded { id, .. } if self.faults_active.remove(id) => {
                self.segments.ended(*id, self.now_ns);
                self.until_now();
            }
            _ => {}
        }
    }

    fn until_now(&mut self) {
        self.faulty_until_ns = Some(self.now_ns.saturating_add(self.options.settle_ns));
    }
}
