//! Rare moments: the frames around which a fault does most harm, and what has to happen first so that they come.

use super::dice::Draw;

/// Where around a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// It does not pass.
    Before,
    /// It has passed.
    After,
}

/// A moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment {
    /// Frame of the reference protocol.
    pub(super) frame: &'static str,
    /// Which side of it.
    pub(super) side: Side,
    /// It comes when a client comes back, and seldom otherwise.
    pub(super) on_return: bool,
}

const fn before(frame: &'static str) -> Moment {
    Moment { frame, side: Side::Before, on_return: false }
}
const fn after(frame: &'static str) -> Moment {
    Moment { frame, side: Side::After, on_return: false }
}
const fn returning(moment: Moment) -> Moment {
    Moment { on_return: true, ..moment }
}

/// For nodes and links. What stands twice is drawn twice as often.
pub(super) const MOMENTS: [Moment; 26] = [
    // Between commit and ack, and before the commit.
    before("accepted"),
    before("accepted"),
    before("accepted"),
    after("accepted"),
    after("send"),
    after("send"),
    before("send"),
    before("deliver"),
    after("deliver"),
    after("deliver"),
    // Delivered, not yet acknowledged; acknowledged, not yet known.
    before("ack"),
    after("ack"),
    before("cursor-confirmed"),
    before("receipts"),
    after("receipts"),
    before("receipt-ack"),
    after("members"),
    after("read"),
    before("rejected"),
    // While a device resumes.
    returning(after("hello")),
    returning(before("welcome")),
    returning(after("welcome")),
    returning(before("heads")),
    // While a page is on its way.
    returning(after("sync")),
    returning(before("page")),
    returning(after("page")),
];

/// For frames that are themselves lost, copied, late or damaged.
pub(super) const FRAMES: [&str; 24] = [
    "accepted",
    "accepted",
    "accepted",
    "deliver",
    "deliver",
    "deliver",
    "send",
    "send",
    "send",
    "ack",
    "ack",
    "receipts",
    "receipts",
    "receipt-ack",
    "cursor-confirmed",
    "read",
    "members",
    "page",
    "sync",
    "heads",
    "welcome",
    "hello",
    "pong",
    "ping",
];

/// Every frame that is spoken of, for whoever knows the protocol to check.
pub const MOMENT_FRAMES: [&str; 18] = [
    "accepted",
    "ack",
    "cursor-confirmed",
    "deliver",
    "heads",
    "hello",
    "members",
    "page",
    "ping",
    "pong",
    "read",
    "receipt-ack",
    "receipts",
    "rejected",
    "send",
    "sync",
    "welcome",
    "bye",
];

/// Frames that a client sends or gets when it comes back.
pub(super) fn comes_on_return(frame: &str) -> bool {
    matches!(frame, "hello" | "welcome" | "heads" | "sync" | "page")
}

/// Which frame of its kind: an early one mostly.
pub(super) fn nth(draw: Draw, on_return: bool) -> u64 {
    if on_return { draw.pick(&[1, 1, 1, 1, 1, 2]) } else { draw.pick(&[1, 1, 1, 1, 2, 2, 3, 5]) }
}
