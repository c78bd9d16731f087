//! How long the phases of a run may last.

use serde::Serialize;

/// Limits of the phases.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Phases {
    /// Set-up must be done within this.
    pub setup_ns_max: u64,
    /// Workload and faults last this long.
    pub chaos_ns: u64,
    /// Everything owed must arrive within this after the heal.
    pub drain_ns_max: u64,
    /// A send that is not answered for this long (counted from its intended time) ends as unknown. `None` = at the end of the drain.
    pub give_up_ns: Option<u64>,
    /// In the drain all devices connect again until that brings nothing new, so often at most: for protocols in which a server
    /// sends again only then. No scenario says so, the protocol does.
    #[serde(skip_serializing_if = "is_zero")]
    pub reconnects_max: u32,
    /// In the drain, positions that a device lacks are lost and not late when nothing has moved for this long, all devices are connected,
    /// and none waits for anything: for protocols in which what is late comes by itself, and positions can be gone with a server's
    /// data. `None` = they are waited for to the limit. No scenario says so, the protocol does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lost_after_ns: Option<u64>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(count: &u32) -> bool {
    *count == 0
}
