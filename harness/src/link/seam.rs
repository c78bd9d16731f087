//! What goes into a link and what comes out of it.

use std::sync::Arc;

use avouch_scenarios::plan::{Direction, Network, PlannedFault};
use bytes::Bytes;

/// One way through a link, seen from the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// Device to server.
    Up,
    /// Server to device.
    Down,
}

/// Both ways, in the order in which they are served.
pub const WAYS: [Way; 2] = [Way::Up, Way::Down];

impl Way {
    /// The other one.
    #[must_use]
    pub fn opposite(self) -> Self {
        match self {
            Self::Up => Self::Down,
            Self::Down => Self::Up,
        }
    }

    /// Whether a fault's direction includes this way.
    pub fn is_in(self, direction: Direction) -> bool {
        match direction {
            Direction::Up => self == Self::Up,
            Direction::Down => self == Self::Down,
            Direction::Both => true,
        }
    }

    pub(super) fn index(self) -> usize {
        self as usize
    }
}

/// One connection of the link's device, counted from 0; never reused in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConnectionId(pub u64);

/// What a piece of the stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// One whole data frame: every verb applies.
    Data,
    /// Handshake, control frame or part of a fragmented message: it is never lost, copied, changed or overtaken alone.
    Control,
    /// Bytes without known frames; cut into pieces anyhow.
    Raw,
}

/// All classes, in their order.
pub(super) const CLASSES: [Class; 3] = [Class::Data, Class::Control, Class::Raw];

/// A piece of the byte stream, as a splitter made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The bytes, exactly as they came.
    pub bytes: Bytes,
    /// What it is.
    pub class: Class,
    /// Frame kind in the protocol's own word, where known.
    pub kind: Option<&'static str>,
    /// So many bytes at the front are framing, which corruption spares.
    pub head_bytes: usize,
}

/// What is to be done on a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Write this towards the end that the way leads to. In order.
    Forward {
        /// Which way.
        way: Way,
        /// What, in one write.
        bytes: Bytes,
        /// Whether the piece that it belongs to ends with it: it was not sliced, or this is the last slice. A piece that
        /// was cut off has no last slice.
        is_last: bool,
    },
    /// Tell the end that the way leads to that the stream is over, after what was forwarded.
    End {
        /// Which way.
        way: Way,
    },
    /// Reset both ends at once. Nothing follows.
    Reset,
}

/// What the history and the conductor want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A fault decided the fate of a frame, or of a connection (`frame` is 0 then). Delay, rate and slice tell of the first frame only.
    Fired {
        /// The planned fault.
        fault: u32,
        /// Its verb.
        kind: &'static str,
        /// Ordinal of the frame: in its kind if the fault names a kind, else among data frames of its direction.
        frame: u64,
        /// In words.
        detail: String,
    },
    /// The frame that a fault waits for came. The conductor starts whatever is not on this link.
    Triggered {
        /// The planned fault.
        fault: u32,
        /// Which frame of its kind.
        frame: u64,
    },
    /// A fault that a frame had started on this link is over.
    Expired {
        /// The planned fault.
        fault: u32,
    },
}

/// A new connection cannot be made now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("connection refused by planned fault {fault}")]
pub struct Refused {
    /// The fault that refuses it.
    pub fault: u32,
}

/// What a link is made of.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The plan's seed.
    pub seed: u64,
    /// Number of the device at the client end.
    pub device: u32,
    /// What the link is like without faults.
    pub network: Network,
    /// All faults of the plan, by rising id; the link picks those that concern it.
    pub faults: Arc<[PlannedFault]>,
    /// Whether the protocol declares that it survives lost, repeated, reordered and corrupted frames in a live connection.
    pub survives_frame_faults: bool,
}
