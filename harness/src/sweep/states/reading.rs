//! What devices receive and read, and what that shows.

use avouch_reports::history::{Conversation, Device, Event, Message, ReceiptKind, User, What};

use super::{State, Watch};

impl Watch {
    /// What a device gets and reads.
    pub(super) fn observe_reading(&mut self, event: &Event) {
        match &event.what {
            What::Delivered { device, conversation, message, seq, redelivered, .. } => {
                if *redelivered {
                    self.reach(State::RedeliveryFlagged);
                }
                self.delivered(*device, *conversation, *message, *seq);
            }
            What::Suppressed { device, message, redelivered, .. } => {
                if *redelivered {
                    self.reach(State::RedeliveryFlagged);
                }
                self.suppressed(*device, *message);
            }
            What::Gap { device, conversation, after, .. } => {
                self.reach(State::GapNoticed);
                self.devices.entry(*device).or_default().gaps.insert((*conversation, after + 1));
            }
            What::PageRequested { device, conversation, request, .. } => {
                self.devices.entry(*device).or_default().pages.insert(*request, *conversation);
            }
            What::Page { device, request, complete, .. } => {
                if !complete {
                    self.reach(State::SeveralPages);
                }
                self.devices.entry(*device).or_default().pages.remove(request);
            }
            What::MembersChanged { conversation, seq, added, removed, .. } => {
                self.members_changed(*conversation, *seq, added, removed);
            }
            What::Read { device, conversation, .. } => {
                let seat = self.devices.entry(*device).or_default();
                seat.reads.insert(*conversation, seat.session);
            }
            What::ReadConfirmed { device, conversation, .. } => {
                let seat = self.devices.entry(*device).or_default();
                if seat.reads.remove(conversation).is_some_and(|session| session < seat.session) {
                    self.reach(State::ReadConfirmedAfterReconnect);
                }
            }
            What::Receipt { device, conversation, kind: ReceiptKind::Delivered, up_to, .. } => {
                self.receipt(*device, *conversation, *up_to);
            }
            _ => {}
        }
    }

    fn delivered(
        &mut self,
        device: Device,
        conversation: Conversation,
        message: Option<Message>,
        seq: Option<u64>,
    ) {
        let user = self.owners.get(&device).copied().unwrap_or_default();
        let Some(message) = message else { return };
        let is_down = self.down_at_ns.is_some();
        let chaos = self.is_chaos;
        let operation = self.operation(message);
        operation.is_committed = true;
        let (was_away, is_unknown) = (operation.away.contains(&device), operation.is_unknown);
        let is_unanswered = !operation.is_answered;
        let sent_ns = operation.sent_ns;
        if was_away {
            self.reach(State::DeliveredAfterAway);
        }
        if is_unknown {
            self.reach(State::Recovered);
        }
        // What arrives while the server is down was committed before it went down.
        if is_down && is_unanswered {
            self.reach(State::DiedBetweenCommitAndAck);
        }
        let seat = self.devices.entry(device).or_default();
        let (session, since_ns, late) = (seat.session, seat.since_ns, seat.joined_late);
        let earlier = seat.has.insert(message, session);
        let filled = seq.is_some_and(|seq| seat.gaps.remove(&(conversation, seq)));
        let crossed = seat.pages.values().any(|other| *other == conversation);
        if earlier.is_some_and(|earlier| earlier < session) {
            self.reach(State::DuplicateAcrossReconnect);
        }
        if filled {
            self.reach(State::GapFilled);
        }
        if crossed && chaos {
            self.reach(State::PageCrossed);
        }
        if late && sent_ns < since_ns {
            self.reach(State::NewDeviceCaughtUp);
        }
        if self.conversations.entry(conversation).or_default().joined.contains(&user) {
            self.reach(State::JoinedMidway);
        }
        self.compare(device, user, conversation, message);
    }

    /// Against the other devices.
    fn compare(&mut self, device: Device, user: User, conversation: Conversation, message: Message) {
        let members = self.conversations.get(&conversation).map(|room| &room.members);
        let mut reached = Vec::new();
        for (other, seat) in self.devices.iter().filter(|(other, _)| **other != device) {
            let owner = self.owners.get(other).copied().unwrap_or_default();
            if owner == user && seat.has.contains_key(&message) {
                reached.push(State::SeveralDevices);
            }
            if self.is_chaos
                && !seat.is_connected
                && seat.session > 0
                && members.is_some_and(|members| members.contains(&owner))
                && !seat.has.contains_key(&message)
            {
                reached.push(State::AckedByOneLostByOther);
            }
        }
        for state in reached {
            self.reach(state);
        }
    }

    fn suppressed(&mut self, device: Device, message: Option<Message>) {
        let Some(message) = message else { return };
        let seat = self.devices.entry(device).or_default();
        let earlier = seat.has.get(&message).copied();
        let state = match earlier {
            Some(earlier) if earlier < seat.session => State::DuplicateAcrossReconnect,
            _ => State::CopySuppressed,
        };
        self.reach(state);
    }

    fn members_changed(
        &mut self,
        conversation: Conversation,
        seq: Option<u64>,
        added: &[User],
        removed: &[User],
    ) {
        let room = self.conversations.entry(conversation).or_default();
        let mut came_back = false;
        for user in added {
            came_back |= room.removed.remove(user);
            if room.members.insert(*user) {
                room.joined.insert(*user);
            }
        }
        for user in removed {
            room.members.remove(user);
            room.removed.insert(*user);
        }
        let is_next = seq.is_some_and(|seq| {
            room.changes.insert(seq);
            room.messages.contains_key(&(seq + 1)) || room.messages.contains_key(&seq.saturating_sub(1))
        });
        if came_back {
            self.reach(State::RemovedAndBack);
        }
        if is_next {
            self.reach(State::NextToMembershipChange);
        }
    }

    fn receipt(&mut self, device: Device, conversation: Conversation, up_to: u64) {
        let session = self.devices.entry(device).or_default().session;
        let message = self.conversations.entry(conversation).or_default().messages.get(&up_to).copied();
        let operation = message.and_then(|message| self.operations.get(&message));
        if operation.is_some_and(|operation| operation.device == device && operation.session < session) {
            self.reach(State::ReceiptAfterReconnect);
        }
    }
}
