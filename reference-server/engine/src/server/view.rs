//! What decides how a server goes on: all of its state but time, jitter, counters and buffers. Two servers with the same
//! view do the same from here on, as long as every wait that is under way ends before the next one begins, which is how
//! the exhaustive check lets time pass.

use std::hash::{Hash, Hasher};

use super::Server;
use super::state::{Conversation, Device, Progress};

impl Server {
    /// Feeds the view to a hasher.
    pub(crate) fn view(&self, into: &mut impl Hasher) {
        assert!(
            self.effects.is_empty() && self.loads.is_empty(),
            "a server is looked at when it waits for input"
        );
        self.devices.iter().for_each(|device| device.view(into));
        self.conversations.iter().for_each(|conversation| conversation.view(into));
        let mut connections: Vec<_> = self.connections.iter().map(|(id, state)| (*id, state.login)).collect();
        connections.sort_unstable_by_key(|(id, _)| *id);
        connections.hash(into);
        for proposal in &self.proposals {
            (proposal.device, proposal.conversation).hash(into);
        }
        (self.entries_pending, &self.cursors_dirty, &self.receipts_dirty).hash(into);
    }
}

impl Device {
    fn view(&self, into: &mut impl Hasher) {
        (self.installation, self.resetting, self.pending, self.connection, self.newest).hash(into);
        (&self.outbox, &self.active, self.in_flight_entries, self.timer_at.is_some()).hash(into);
        self.dedup.view(into);
        self.held.keys().for_each(|id| id.hash(into));
    }
}

impl Conversation {
    fn view(&self, into: &mut impl Hasher) {
        (self.head, self.chain, self.tentative_head, self.tentative_chain).hash(into);
        (self.version, self.version_next, &self.by_version, &self.online, self.tail.len()).hash(into);
        let mut members: Vec<_> = self.members.iter().collect();
        members.sort_unstable_by_key(|(user, _)| **user);
        members.hash(into);
        let mut progress: Vec<_> = self.progress.iter().collect();
        progress.sort_unstable_by_key(|(device, _)| **device);
        for (device, progress) in progress {
            device.hash(into);
            progress.view(into);
        }
    }
}

impl Progress {
    fn view(&self, into: &mut impl Hasher) {
        (self.delivered, self.read, self.version, self.receipts_confirmed).hash(into);
        (self.acked, self.read_wanted, self.receipts_acked, self.transmitted, self.pushed).hash(into);
        (self.cursor_pending, self.receipts_pending, self.cursor_dirty, self.receipts_dirty).hash(into);
        (&self.in_flight, self.queued, self.pulling, self.told, self.receipts_in_flight).hash(into);
    }
}
