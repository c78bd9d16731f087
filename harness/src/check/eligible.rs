//! Who is owed what at the end of a run.
//!
//! A device is judged for what it misses only when the drain gave it every chance:
//! - it said that it was drained (`Quiet`): it owes an account of what was acknowledged until then. If the drain did
//!   not converge, it must also have been connected and have received nothing new for [`SETTLE_NS`];
//! - or the run is healed, it was connected to the end and received nothing for `Options::stall_ns`: what was
//!   acknowledged before that stretch is not just late.
//!
//! Otherwise what it misses is "late or lost" and nobody is accused. A device that never came back is not judged.

use super::index::Index;
use super::index::members::Belongs;
use super::index::state::{DeviceState, NEVER, flag};
use super::options::CatchUp;
use avouch_reports::history::Rung;

/// In a drain that did not converge, a drained device must have been undisturbed for this long. Two seconds.
const SETTLE_NS: u64 = 2_000_000_000;

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
            let settled = converged || still_ns.is_some_and(|still| still >= SETTLE_NS);
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
        self.options.catch_up == CatchUp::Log
            || (!device.sessions.is_empty() && message.sent_at_ns > device.epoch_from_ns())
    }
}
