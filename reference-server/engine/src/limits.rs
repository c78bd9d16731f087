//! Every bound of the protocol, with its unit. Over a limit means a defined answer to that peer,
//! never growth and never a crash. What an operator may want to change is in the two `Config`s.

/// Newest ids remembered per device. An older id is answered with `stale-id`, never accepted.
pub const DEDUP_IDS_PER_DEVICE: usize = 1_024;
/// Definitely refused ids remembered per device, so that a late copy cannot take effect after all.
pub const REFUSED_IDS_PER_DEVICE: usize = 1_024;
/// Operations that a client may have under way, counted from its oldest unanswered one. Half of the
/// dedup window, so that a retry never falls out of it.
pub const OPERATIONS_IN_FLIGHT: u64 = 512;
/// Operations that a client queues; more are refused at once with `queue-full`.
pub const OPERATIONS_QUEUED_MAX: usize = 65_536;
/// Operations that arrived before their predecessor and wait for it, per device.
pub const HELD_OPERATIONS_PER_DEVICE: usize = 256;
/// Payload bytes of operations that wait for a predecessor, per device.
pub const HELD_OPERATION_BYTES_PER_DEVICE: usize = 1 << 20;
/// Operations of one device that may wait for their commit.
pub const PENDING_PER_DEVICE: usize = 2_048;

/// Bytes of one whole frame.
pub const FRAME_BYTES_MAX: usize = 1 << 20;
/// Bytes of one message's payload.
pub const PAYLOAD_BYTES_MAX: usize = 64 << 10;
/// Bytes of a token.
pub const TOKEN_BYTES_MAX: usize = 256;
/// Users named in one membership change, added and removed together.
pub const MEMBERS_PER_CHANGE: usize = 1_000;
/// Members of a conversation at one time.
pub const MEMBERS_PER_CONVERSATION: usize = 10_000;
/// Stays of one user in one conversation (leaving and coming back makes one more).
pub const STAYS_PER_MEMBER: usize = 64;
/// Conversations that a user may ever have belonged to.
pub const CONVERSATIONS_PER_USER: usize = 10_000;
/// Conversations on one server.
pub const CONVERSATIONS_MAX: usize = 1_000_000;
/// Devices of a user.
pub const DEVICES_PER_USER: usize = 32;
/// Members of the largest conversation that still has receipts.
pub const RECEIPT_MEMBERS_MAX: usize = 256;
/// Devices told of in one receipts frame.
pub const RECEIPT_ITEMS_PER_FRAME: usize = 128;
/// Conversations named in one heads frame.
pub const HEADS_PER_FRAME: usize = 512;
/// Positions that a hello may carry.
pub const HELLO_POSITIONS_MAX: usize = 512;
/// Entries in one page.
pub const PAGE_ENTRIES_MAX: usize = 256;
/// Payload bytes in one page (one entry may exceed it on its own).
pub const PAGE_BYTES_MAX: usize = 256 << 10;
/// Bytes of one entry in a frame without its body.
pub const ENTRY_HEADER_BYTES: usize = 68;

/// Connections of one server.
pub const CONNECTIONS_MAX: usize = 100_000;
/// Reads of the log under way per connection; further requests are ignored, the client asks again.
pub const LOADS_PER_CONNECTION: usize = 8;
/// Reads of the log under way per server.
pub const LOADS_MAX: usize = 4_096;
/// Entries sent again at one expiry of a conversation's retry timer, per device.
pub const REDELIVERIES_PER_TIMEOUT: usize = 32;
/// Entries of one conversation pushed before another conversation of the same device has its turn.
pub const PUSHES_PER_TURN: usize = 32;

/// Entries that a client holds because earlier ones are missing, all conversations together.
pub const HELD_ENTRIES_MAX: usize = 1_024;
/// Bytes of such entries.
pub const HELD_BYTES_MAX: usize = 4 << 20;
/// Catch-up requests under way per client.
pub const SYNCS_IN_FLIGHT: usize = 4;
/// Pages that the application may have asked for.
pub const PAGE_REQUESTS_MAX: usize = 64;
