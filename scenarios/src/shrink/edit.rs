//! The parts of a fault entry that shrinking changes, whatever its verb is.

use crate::fault::FaultEntry;
use crate::units::{Parties, Share, Time};

/// The first of these fields that is there.
macro_rules! first {
    ($entry:ident: $($verb:ident.$field:ident)*) => {
        $(if let Some(verb) = $entry.$verb.as_mut() {
            return Some(&mut verb.$field);
        })*
    };
}

/// Whom it concerns: links or clients.
pub(super) fn parties(entry: &mut FaultEntry) -> Option<&mut Parties> {
    first!(entry: kill.link pause.link restart.link power_loss.link fail_sync.link disk_full.link delay.link rate.link
        stall.link half_open.link cut.link slice.link drop.link duplicate.link reorder.link corrupt.link
        offline.client takeover.client reconnect_storm.client slow_consumer.client);
    entry.partition.as_mut()?.link.as_mut()
}

/// Before which frame.
pub(super) fn before(entry: &mut FaultEntry) -> Option<&mut Option<String>> {
    first!(entry: kill.before pause.before restart.before power_loss.before fail_sync.before disk_full.before
        stall.before half_open.before cut.before);
    None
}

/// After which frame.
pub(super) fn after(entry: &mut FaultEntry) -> Option<&mut Option<String>> {
    first!(entry: kill.after pause.after restart.after power_loss.after fail_sync.after disk_full.after
        stall.after half_open.after cut.after offline.after takeover.after reconnect_storm.after slow_consumer.after);
    None
}

/// Which frame of its kind.
pub(super) fn nth(entry: &mut FaultEntry) -> Option<&mut Option<u64>> {
    first!(entry: kill.nth pause.nth restart.nth power_loss.nth fail_sync.nth disk_full.nth stall.nth half_open.nth
        cut.nth delay.nth drop.nth duplicate.nth reorder.nth corrupt.nth offline.nth takeover.nth
        reconnect_storm.nth slow_consumer.nth);
    None
}

/// Only frames of this kind.
pub(super) fn on(entry: &mut FaultEntry) -> Option<&mut Option<String>> {
    first!(entry: delay.on drop.on duplicate.on reorder.on corrupt.on);
    None
}

/// Share of the frames.
pub(super) fn probability(entry: &mut FaultEntry) -> Option<&mut Option<Share>> {
    first!(entry: delay.probability drop.probability duplicate.probability reorder.probability corrupt.probability
        cut.probability);
    None
}

/// How long a node stays away.
pub(super) fn restart_after(entry: &mut FaultEntry) -> Option<&mut Time> {
    first!(entry: kill.restart_after restart.restart_after power_loss.restart_after);
    None
}

/// Whether a frame starts it.
pub(super) fn waits_for_frame(entry: &FaultEntry) -> bool {
    entry.verbs().iter().any(|(_, verb)| verb.frame_starts())
}
