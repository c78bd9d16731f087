//! What the server counts. Every field only grows; the unit is occurrences.

/// Counters of one server process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Frames that arrived.
    pub frames_received: u64,
    /// Frames handed to connections.
    pub frames_transmitted: u64,
    /// Frames ignored because their checksum did not fit.
    pub checksum_failures: u64,
    /// Frames ignored because their connection had not logged in.
    pub frames_before_login: u64,
    /// Connections closed with an error.
    pub protocol_errors: u64,
    /// Successful logins.
    pub logins: u64,
    /// Logins of a device's new installation.
    pub new_installations: u64,
    /// Logins that ended another connection of the same device.
    pub takeovers: u64,
    /// Connections closed because their hello came after that of a newer connection of the same device.
    pub late_hellos: u64,
    /// Connections closed because the peer was silent (half-open, found by heartbeat).
    pub silent_closed: u64,
    /// Connections closed because they did not log in.
    pub login_timeouts: u64,
    /// Connections closed because they did not take what they were sent.
    pub slow_closed: u64,
    /// Entries committed.
    pub entries_committed: u64,
    /// Operations answered from the dedup window (client's timed retry or a copied frame).
    pub dedup_hits: u64,
    /// Operations refused for good.
    pub rejected: u64,
    /// Operations told to retry later.
    pub retry_later: u64,
    /// Operations that waited for their predecessor.
    pub held: u64,
    /// Operations dropped because too many waited already.
    pub held_overflow: u64,
    /// Proposals refused by the journal.
    pub proposals_refused: u64,
    /// Entries transmitted for the first time.
    pub delivered_first: u64,
    /// Entries transmitted again from the retry queue.
    pub delivered_retry: u64,
    /// Entries transmitted again by the sweep.
    pub delivered_sweep: u64,
    /// Entries transmitted in pages for catch-up.
    pub delivered_pull: u64,
    /// Sweeps that found something undelivered.
    pub sweeps_found: u64,
    /// Heads frames transmitted.
    pub heads: u64,
    /// Pages transmitted.
    pub pages: u64,
    /// Page requests ignored because too many reads were under way, or because the store failed.
    pub pages_refused: u64,
    /// Acks and read marks beyond the log's end, ignored.
    pub acks_beyond_head: u64,
    /// Receipt batches transmitted.
    pub receipts: u64,
    /// Receipt batches transmitted again.
    pub receipts_retried: u64,
}
