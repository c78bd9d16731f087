//! What many kinds of events have in common, so that nobody has to know all kinds to ask.

use super::event::{Conversation, Device, Message, Phase, ReceiptKind, Rung, SessionKind, What};

impl What {
    /// The kind, as it stands on the line.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Device { .. } => "device",
            Self::Conversation { .. } => "conversation",
            Self::Phase { .. } => "phase",
            Self::Session { .. } => "session",
            Self::Disconnected { .. } => "disconnected",
            Self::Reinstalled { .. } => "reinstalled",
            Self::Send { .. } => "send",
            Self::Retry { .. } => "retry",
            Self::Accepted { .. } => "accepted",
            Self::Rejected { .. } => "rejected",
            Self::Unknown { .. } => "unknown",
            Self::Delivered { .. } => "delivered",
            Self::Suppressed { .. } => "suppressed",
            Self::Acknowledged { .. } => "acknowledged",
            Self::Read { .. } => "read",
            Self::ReadConfirmed { .. } => "read-confirmed",
            Self::Receipt { .. } => "receipt",
            Self::Gap { .. } => "gap",
            Self::ChainBroken { .. } => "chain-broken",
            Self::PageRequested { .. } => "page-requested",
            Self::Page { .. } => "page",
            Self::MembersChange { .. } => "members-change",
            Self::MembersChanged { .. } => "members-changed",
            Self::FaultStarted { .. } => "fault-started",
            Self::FaultFired { .. } => "fault-fired",
            Self::FaultEnded { .. } => "fault-ended",
            Self::FaultSkipped { .. } => "fault-skipped",
            Self::Node { .. } => "node",
            Self::Quiet { .. } => "quiet",
            Self::Drained { .. } => "drained",
            Self::Note { .. } => "note",
        }
    }

    /// The device that it happened on (for a receipt: the one that learnt it).
    pub fn device(&self) -> Option<Device> {
        match self {
            Self::Device { device, .. }
            | Self::Session { device, .. }
            | Self::Disconnected { device, .. }
            | Self::Reinstalled { device }
            | Self::Send { device, .. }
            | Self::Retry { device, .. }
            | Self::Accepted { device, .. }
            | Self::Rejected { device, .. }
            | Self::Unknown { device, .. }
            | Self::Delivered { device, .. }
            | Self::Suppressed { device, .. }
            | Self::Acknowledged { device, .. }
            | Self::Read { device, .. }
            | Self::ReadConfirmed { device, .. }
            | Self::Receipt { device, .. }
            | Self::Gap { device, .. }
            | Self::ChainBroken { device, .. }
            | Self::PageRequested { device, .. }
            | Self::Page { device, .. }
            | Self::MembersChange { device, .. }
            | Self::MembersChanged { device, .. }
            | Self::FaultFired { device, .. }
            | Self::Quiet { device } => Some(*device),
            _ => None,
        }
    }

    /// The conversation that it concerns.
    pub fn conversation(&self) -> Option<Conversation> {
        match self {
            Self::Conversation { conversation, .. }
            | Self::Send { conversation, .. }
            | Self::Delivered { conversation, .. }
            | Self::Suppressed { conversation, .. }
            | Self::Acknowledged { conversation, .. }
            | Self::Read { conversation, .. }
            | Self::ReadConfirmed { conversation, .. }
            | Self::Receipt { conversation, .. }
            | Self::Gap { conversation, .. }
            | Self::ChainBroken { conversation, .. }
            | Self::PageRequested { conversation, .. }
            | Self::Page { conversation, .. }
            | Self::MembersChange { conversation, .. }
            | Self::MembersChanged { conversation, .. } => Some(*conversation),
            _ => None,
        }
    }

    /// The operation that it names.
    pub fn message(&self) -> Option<Message> {
        match self {
            Self::Send { message, .. }
            | Self::Retry { message, .. }
            | Self::Accepted { message, .. }
            | Self::Rejected { message, .. }
            | Self::Unknown { message, .. }
            | Self::MembersChange { message, .. } => Some(*message),
            Self::Delivered { message, .. }
            | Self::Suppressed { message, .. }
            | Self::Acknowledged { message, .. } => *message,
            _ => None,
        }
    }
}

impl Rung {
    /// Every rung, from the lowest; its index is its number.
    pub const ALL: [Self; 8] = [
        Self::Written,
        Self::Received,
        Self::Accepted,
        Self::Stored,
        Self::Replicated,
        Self::Handed,
        Self::Acknowledged,
        Self::Read,
    ];

    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Written => "written to the socket",
            Self::Received => "received",
            Self::Accepted => "accepted",
            Self::Stored => "stored",
            Self::Replicated => "replicated",
            Self::Handed => "handed to a recipient",
            Self::Acknowledged => "acknowledged by a recipient",
            Self::Read => "read",
        }
    }
}

impl Phase {
    /// Every phase, in order.
    pub const ALL: [Self; 5] = [Self::SetUp, Self::Chaos, Self::Heal, Self::Drain, Self::Judge];

    /// As it stands in a history.
    pub fn name(self) -> &'static str {
        match self {
            Self::SetUp => "set-up",
            Self::Chaos => "chaos",
            Self::Heal => "heal",
            Self::Drain => "drain",
            Self::Judge => "judge",
        }
    }
}

impl ReceiptKind {
    /// As it stands in a history.
    pub fn name(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Read => "read",
        }
    }
}

impl SessionKind {
    /// As it stands in a history.
    pub fn name(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Resumed => "resumed",
        }
    }
}
