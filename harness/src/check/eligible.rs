//! Who is owed what at the end of a run.
//!
//! A device is judged for what it misses only when the drain gave it every chance:
//! - it said that it was drained (`Quiet`): it owes an account of what was acknowledged until then. If the drain did
//!   not converge, it must also have been connected and have received nothing new for `Options::settle_ns`;
//! - or the run is healed, it was connected to the end and received nothing for `Options::stall_ns`: what was
//!   acknowledged before that stretch is not just late.
//!
//! Otherwise what it misses is "late or lost" and nobody is accused. A device that never came back is not judged.

use super::CatchUp;
use super::index::Index;
use super::index::members::Belongs;
use super::index::state::{DeviceState, NEVER, flag};
use avouch_reports::history::Rung;

/// How a device stands at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It must have what was acknowledged until then.
    Judged { until_ns: u64 },
    /// It was connected, but not (surely) drained.
    Late,
    /// It was away at the end.
    Away,
    /// It never had a session, or the drain never ended.
    Never,
}

impl Index {
    /// How a device stands at the end.
    pub(crate) fn standing(&self, device: &DeviceState) -> Standing {
        let Some((drained_at_ns, converged, _)) = self.run.drained else { return Standing::Never };
        if device.sessions.is_empty() {
            // A history without any sessions says nothing of connections; a converged drain then speaks for all.
            let none_at_all = self.devices.iter().all(|d| d.sessions.is_empty());
            let judged = none_at_all && converged;
            return if judged { Standing::Judged { until_ns: drained_at_ns } } else { Standing::Never };
        }
        let session = device.session_at(drained_at_ns);
        let still_ns = session.map(|s| drained_at_ns.saturating_sub(s.from_ns.max(device.received_at_ns)));
        if device.quiet_at_ns != NEVER {
            let settled = converged || still_ns.is_some_and(|still| still >= self.options.settle_ns);
            return if settled { Standing::Judged { until_ns: device.quiet_at_ns } } else { Standing::Late };
        }
        match still_ns {
            None => Standing::Away,
            Some(_) if converged && !self.run.quiet => Standing::Judged { until_ns: drained_at_ns },
            Some(still) if self.run.healed() && still >= self.options.stall_ns => {
                Standing::Judged { until_ns: drained_at_ns - self.options.stall_ns }
            }
            Some(_) => Standing::Late,
        }
    }

    /// Whether a device was owed a message, given until when it is judged.
    pub(crate) fn owed(&self, device: &DeviceState, slot: u32, until_ns: u64) -> bool {
        let message = self.message(slot);
        let sender = &self.devices[self.sender(slot).device as usize];
        let own = sender.id == device.id;
        let sibling = !own && sender.user == device.user && sender.declared;
        if !message.is_acked()
            || message.is(flag::CHANGE)
            || message.acked_at_ns > until_ns
            || message.rung <= Rung::Received
            || (own && !self.options.own_echo)
            || (sibling && !self.options.siblings_owed)
        {
            return false;
        }
        if self.belongs(device, slot) != Belongs::Yes {
            return false;
        }
        let members = &self.conversations[self.sender(slot).conversation as usize].members;
        if !self.options.removed_owed && !members.is_member_now(device.user) {
            return false;
        }
        match self.options.catch_up {
            CatchUp::Log => true,
            CatchUp::Session => !device.sessions.is_empty() && message.sent_at_ns > device.epoch_from_ns(),
            CatchUp::Subscription => device.subscribed_from_ns.is_some_and(|from| message.sent_at_ns > from),
        }
    }
    /// Every device of everybody who ever belonged to a conversation.
    pub(crate) fn recipients(&self, conversation: u32) -> impl Iterator<Item = u32> {
        let users = self.conversations[conversation as usize].members.ever();
        users.flat_map(|user| self.users.get(&user).into_iter().flatten().copied())
    }

    /// Calls `each` with every acknowledged message that never reached a device; how many did.
    pub(crate) fn for_missing(&self, conversation: u32, device: u32, mut each: impl FnMut(u32)) -> u64 {
        let state = &self.conversations[conversation as usize];
        let lane = self.lane_at(device, conversation).map(|lane| &self.lanes[lane as usize]);
        let mut arrived = 0;
        for word in 0..(state.slots.len() as u32).div_ceil(64) {
            let acked = state.acked.word(word);
            let has = lane.map_or(0, |lane| {
                lane.delivered.word(word) | lane.earlier.as_ref().map_or(0, |earlier| earlier.word(word))
            });
            arrived += u64::from((acked & has).count_ones());
            let mut missing = acked & !has;
            while missing != 0 {
                each(state.slots[(word * 64 + missing.trailing_zeros()) as usize]);
                missing &= missing - 1;
            }
        }
        arrived
    }
}
