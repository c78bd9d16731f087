//! The vocabulary's verbs: their names, which of them a link cannot mean, and what corrupting does.

use avouch_scenarios::keyed::below;
use avouch_scenarios::plan::{CutHow, Fault, LinkFault, LinkVerb, NodeVerb};
use bytes::Bytes;

use super::{Class, Piece, Way};

/// Why a fault means nothing on links of a protocol; `None` = it can be applied.
pub fn skip_reason(fault: &Fault, survives_frame_faults: bool) -> Option<&'static str> {
    match fault {
        Fault::Link(link) if !survives_frame_faults => match link.verb {
            LinkVerb::Duplicate { .. } => {
                Some("the transport never repeats a frame, and the protocol does not claim to survive it")
            }
            LinkVerb::Reorder { .. } => {
                Some("the transport never reorders frames, and the protocol does not claim to survive it")
            }
            LinkVerb::Corrupt => {
                Some("the transport never corrupts frames, and the protocol does not claim to survive it")
            }
            _ => None,
        },
        _ => None,
    }
}

/// A verb in one word, as scenario files and histories name it.
pub fn verb_name(verb: &LinkVerb) -> &'static str {
    match verb {
        LinkVerb::Delay { .. } => "delay",
        LinkVerb::Rate { .. } => "rate",
        LinkVerb::Stall => "stall",
        LinkVerb::HalfOpen => "half_open",
        LinkVerb::Partition => "partition",
        LinkVerb::Cut { .. } => "cut",
        LinkVerb::Slice { .. } => "slice",
        LinkVerb::Drop => "drop",
        LinkVerb::Duplicate { .. } => "duplicate",
        LinkVerb::Reorder { .. } => "reorder",
        LinkVerb::Corrupt => "corrupt",
    }
}

/// A way in words, for histories.
pub(super) fn words(way: Way) -> &'static str {
    match way {
        Way::Up => "on the way up",
        Way::Down => "on the way down",
    }
}

/// Whether a fault decides about frames of a class, one by one.
pub(super) fn fits_class(link: &LinkFault, class: Class) -> bool {
    match link.verb {
        LinkVerb::Drop | LinkVerb::Duplicate { .. } | LinkVerb::Reorder { .. } | LinkVerb::Corrupt => {
            class == Class::Data
        }
        LinkVerb::Cut { at_byte: None, .. } => link.kind.is_some() || class == Class::Data,
        LinkVerb::Slice { .. } => class != Class::Control,
        LinkVerb::Delay { .. } | LinkVerb::Rate { .. } => true,
        LinkVerb::Cut { .. } | LinkVerb::Stall | LinkVerb::HalfOpen | LinkVerb::Partition => false,
    }
}

/// Whether a node fault takes the process away from its connections, so that a frame can wait for it.
pub(super) fn interrupts(fault: &Fault) -> bool {
    matches!(
        fault,
        Fault::Node(node) if matches!(
            node.verb,
            NodeVerb::Kill { .. } | NodeVerb::Pause | NodeVerb::Restart { .. } | NodeVerb::PowerLoss { .. }
        )
    )
}

/// How a cut is named.
pub(super) fn cut_words(how: CutHow) -> &'static str {
    match how {
        CutHow::Fin => "ended (FIN)",
        CutHow::Rst => "reset (RST)",
    }
}

/// A copy with one bit of the payload flipped, and which bit.
pub(super) fn flip(piece: &Piece, number: u64) -> Option<(Bytes, u64)> {
    let payload_bits = piece.bytes.len().checked_sub(piece.head_bytes).filter(|&bytes| bytes > 0)? as u64 * 8;
    let bit = below(number, payload_bits);
    let mut copy = piece.bytes.to_vec();
    copy[piece.head_bytes + (bit / 8) as usize] ^= 1 << (bit % 8);
    Some((copy.into(), bit))
}
