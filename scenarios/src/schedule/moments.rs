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
}

const fn before(frame: &'static str) -> Moment {
    Moment { frame, side: Side::Before }
}
const fn after(frame: &'static str) -> Moment {
    Moment { frame, side: Side::After }
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
    after("hello"),
    before("welcome"),
    after("welcome"),
    before("heads"),
    // While a page is on its way.
    after("sync"),
    before("page"),
    after("page"),
];

/// For frames that are themselves lost, copied, late or damaged.
pub(super) const FRAMES: [Moment; 24] = [
    before("accepted"),
    before("accepted"),
    before("accepted"),
    before("deliver"),
    before("deliver"),
    before("deliver"),
    before("send"),
    before("send"),
    before("send"),
    before("ack"),
    before("ack"),
    before("receipts"),
    before("receipts"),
    before("receipt-ack"),
    before("cursor-confirmed"),
    before("read"),
    before("members"),
    before("page"),
    before("sync"),
    before("heads"),
    before("welcome"),
    before("hello"),
    before("pong"),
    before("ping"),
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
    matches!(frame, "hello" | "welcome") || needs_missing(frame)
}

/// Of these, the ones that come when it has missed something.
pub(super) fn needs_missing(frame: &str) -> bool {
    matches!(frame, "heads" | "sync" | "page")
}

/// Which frame of its kind: an early one mostly.
pub(super) fn nth(draw: Draw) -> u64 {
    draw.pick(&[1, 1, 1, 1, 2, 2, 3, 5])
}
