//! Every bound of the history format, with its unit. A reader refuses what is over a bound; the writer
//! shortens words and refuses the rest, so that it never writes what a reader refuses.

/// Longest line, in bytes without its line feed. A full page or member list fits.
pub const LINE_BYTES_MAX: usize = 4 * 1_024 * 1_024;
/// Longest name of a device, a conversation, a node, a fault kind or a code, in bytes of UTF-8.
pub const NAME_BYTES_MAX: usize = 256;
/// Longest free text (why, detail, evidence, missing, note), in bytes of UTF-8.
pub const TEXT_BYTES_MAX: usize = 16 * 1_024;
/// Most devices that one history may declare.
pub const DEVICES_MAX: usize = 1_000_000;
/// Most conversations that one history may declare.
pub const CONVERSATIONS_MAX: usize = 1_000_000;
/// Most users in one list (members, added, removed).
pub const USERS_PER_LIST_MAX: usize = 100_000;
/// Most entries in one page event.
pub const PAGE_ITEMS_MAX: usize = 10_000;
/// Most entries in each list of the header (claims, expected, notes).
pub const HEADER_LIST_MAX: usize = 1_000;
/// The writer hands its buffer on when it holds this many bytes; it never holds more than this and one line.
pub const WRITE_BUFFER_BYTES: usize = 64 * 1_024;
