//! Every bound of the protocol, with its unit.

/// Newest ids remembered per device. An older id is answered with `stale-id`, never accepted.
pub const DEDUP_IDS_PER_DEVICE: usize = 1_024;
