//! What is remembered of each message, device, conversation, and of each device in a conversation.

use std::collections::BTreeMap;

use avouch_reports::history::{Conversation, Device, Rung, SessionKind, User};

use super::bits::Bits;
use super::members::Members;
use super::numbers::{NONE, Numbers};
use super::track::Track;

/// "Has not happened."
pub(crate) const NEVER: u64 = u64::MAX;

/// Facts of a message that are yes or no.
pub(crate) mod flag {
    /// It is a membership change, not a message.
    pub(crate) const CHANGE: u16 = 1;
    /// Refused definitely.
    pub(crate) const REJECTED: u16 = 1 << 1;
    /// Given up.
    pub(crate) const UNKNOWN: u16 = 1 << 2;
    /// Sent again at least once.
    pub(crate) const RETRIED: u16 = 1 << 3;
    /// Refused after it had been acknowledged.
    pub(crate) const TAKEN_BACK: u16 = 1 << 4;
    /// The same id was sent twice: nothing can be said of it.
    pub(crate) const REUSED: u16 = 1 << 5;
    /// Seen after a node died that had acknowledged it before.
    pub(crate) const SURVIVED: u16 = 1 << 6;
    /// Seen on some device.
    pub(crate) const ARRIVED: u16 = 1 << 7;
}

/// One send. 80 bytes; with its entries in the tables below about 92, plus one bit per device that has it.
#[derive(Clone, Debug)]
pub(crate) struct MessageState {
    /// The id in the history.
    pub(crate) id: u64,
    /// Digest of the payload; 0 = the history does not say.
    pub(crate) digest: u64,
    /// Its position, once known; 0 = not known.
    pub(crate) seq: u64,
    /// When it was invoked.
    pub(crate) sent_at_ns: u64,
    /// When it was first acknowledged, or [`NEVER`].
    pub(crate) acked_at_ns: u64,
    /// Greatest position acknowledged in its conversation strictly before it was invoked; 0 = none.
    pub(crate) floor_seq: u64,
    /// The sending device in the conversation.
    pub(crate) lane: u32,
    /// Which send of its conversation it is, from 0; [`NONE`] for a membership change.
    pub(crate) ordinal: u32,
    /// The sender's own count of sends and acks when it was invoked.
    pub(crate) sent_clock: u32,
    /// The same when it was acknowledged; 0 = never.
    pub(crate) acked_clock: u32,
    /// Slot of the message that it answers, or [`NONE`].
    pub(crate) reply_to: u32,
    /// Slot of the last message that its sender had received there before, or [`NONE`].
    pub(crate) after: u32,
    /// See [`flag`].
    pub(crate) flags: u16,
    /// How far the ack says that it came.
    pub(crate) rung: Rung,
}

impl MessageState {
    pub(crate) fn is(&self, flag: u16) -> bool {
        self.flags & flag != 0
    }

    /// Acknowledged, not taken back, and identified.
    pub(crate) fn is_acked(&self) -> bool {
        self.acked_at_ns != NEVER && !self.is(flag::TAKEN_BACK | flag::REJECTED | flag::REUSED)
    }

    /// Whether it has an outcome.
    pub(crate) fn is_answered(&self) -> bool {
        self.acked_at_ns != NEVER || self.is(flag::REJECTED | flag::UNKNOWN)
    }
}

/// One session of a device.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Session {
    pub(crate) from_ns: u64,
    pub(crate) kind: SessionKind,
    /// When its connection ended, or [`NEVER`].
    pub(crate) until_ns: u64,
}

/// A new installation that has heard of no session.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fresh {
    /// When it was made.
    pub(crate) since_ns: u64,
    /// It ended an attempt to connect, whose answer may have been on its way.
    pub(crate) gave_up: bool,
}

/// One device. 24 bytes per session.
#[derive(Clone, Debug)]
pub(crate) struct DeviceState {
    pub(crate) id: Device,
    pub(crate) user: User,
    /// False when the history used it without declaring it: nothing is judged by its membership.
    pub(crate) declared: bool,
    /// How often it began anew (the server kept nothing, or it was reinstalled).
    pub(crate) epoch: u32,
    pub(crate) sessions: Vec<Session>,
    /// When its first session began, or the first since it was reinstalled.
    pub(crate) subscribed_from_ns: Option<u64>,
    /// It lost its local state, and has had no session since.
    pub(crate) fresh: Option<Fresh>,
    /// Its own count of sends and acks.
    pub(crate) clock: u32,
    /// Its `clock` when it invoked the newest send that was answered within the session of its invocation.
    pub(crate) barrier: u32,
    /// Its `clock` when the current session began.
    pub(crate) session_clock: u32,
    /// When it last said that it was drained, or [`NEVER`].
    pub(crate) quiet_at_ns: u64,
    /// When it last received something.
    pub(crate) received_at_ns: u64,
    /// When the link last duplicated a frame of it (or did anything else to one), or [`NEVER`].
    pub(crate) duplicated_at_ns: u64,
    /// When any fault last touched its link, or [`NEVER`].
    pub(crate) disturbed_at_ns: u64,
    /// Lanes of this device.
    pub(crate) lanes: Vec<u32>,
}

impl DeviceState {
    pub(crate) fn new(id: Device, user: User, declared: bool) -> Self {
        Self {
            id,
            user,
            declared,
            epoch: 0,
            sessions: Vec::new(),
            subscribed_from_ns: None,
            fresh: None,
            clock: 0,
            barrier: 0,
            session_clock: 0,
            quiet_at_ns: NEVER,
            received_at_ns: 0,
            duplicated_at_ns: NEVER,
            disturbed_at_ns: NEVER,
            lanes: Vec::new(),
        }
    }

    /// The session that lives now.
    pub(crate) fn online(&self) -> Option<&Session> {
        self.sessions.last().filter(|s| s.until_ns == NEVER)
    }

    /// The session that lived at a time.
    pub(crate) fn session_at(&self, at_ns: u64) -> Option<&Session> {
        let after = self.sessions.partition_point(|s| s.from_ns <= at_ns);
        self.sessions[..after].last().filter(|s| s.until_ns > at_ns)
    }

    /// The first session that began after a time.
    pub(crate) fn session_after(&self, at_ns: u64) -> Option<&Session> {
        self.sessions.get(self.sessions.partition_point(|s| s.from_ns <= at_ns))
    }

    /// When its present session state began (its last session that was not resumed).
    pub(crate) fn epoch_from_ns(&self) -> u64 {
        self.state_from_ns(NEVER)
    }

    /// When the session state of a time began; 0 if it had none then.
    pub(crate) fn state_from_ns(&self, at_ns: u64) -> u64 {
        let until = self.sessions.partition_point(|s| s.from_ns <= at_ns);
        let begun = self.sessions[..until].iter().rev().find(|s| s.kind == SessionKind::New);
        begun.map_or(0, |s| s.from_ns)
    }
}

/// One conversation. 4 bytes per message in each of `slots` and `positions`.
#[derive(Clone, Debug)]
pub(crate) struct ConversationState {
    pub(crate) id: Conversation,
    /// False when the history used it without declaring it: its members are not known.
    pub(crate) declared: bool,
    pub(crate) members: Members,
    /// Slot by ordinal.
    pub(crate) slots: Vec<u32>,
    /// Slot by position, or [`CHANGE_SLOT`].
    pub(crate) positions: Numbers,
    /// Acknowledged messages, by ordinal.
    pub(crate) acked: Bits,
    /// Lanes of this conversation.
    pub(crate) lanes: Vec<u32>,
    /// How many devices sent here.
    pub(crate) senders: u32,
    /// Greatest position seen anywhere; 0 = none.
    pub(crate) head: u64,
    /// Acks of the newest instants: (when, position); and the greatest position of those before.
    pub(crate) recent_acks: std::collections::VecDeque<(u64, u64)>,
    pub(crate) settled_head: u64,
}

/// In `positions`: a membership change that nobody of this run is known to have asked for.
pub(crate) const CHANGE_SLOT: u32 = NONE - 1;

impl ConversationState {
    pub(crate) fn new(id: Conversation, declared: bool) -> Self {
        Self {
            id,
            declared,
            members: Members::default(),
            slots: Vec::new(),
            positions: Numbers::default(),
            acked: Bits::default(),
            lanes: Vec::new(),
            senders: 0,
            head: 0,
            recent_acks: std::collections::VecDeque::new(),
            settled_head: 0,
        }
    }

    /// Records an ack for later floors.
    pub(crate) fn push_ack(&mut self, at_ns: u64, seq: u64) {
        match self.recent_acks.back_mut() {
            Some(last) if last.0 == at_ns => last.1 = last.1.max(seq),
            _ => self.recent_acks.push_back((at_ns, seq)),
        }
    }

    /// Greatest position acknowledged surely before `now_ns`.
    pub(crate) fn floor(&mut self, now_ns: u64, clock_error_ns: u64) -> u64 {
        while let Some(&(at_ns, seq)) = self.recent_acks.front() {
            if at_ns.saturating_add(clock_error_ns) >= now_ns {
                break;
            }
            self.settled_head = self.settled_head.max(seq);
            self.recent_acks.pop_front();
        }
        self.settled_head
    }
}

/// One device in one conversation.
#[derive(Clone, Debug)]
pub(crate) struct Lane {
    /// Index of the device.
    pub(crate) device: u32,
    /// Index of the conversation.
    pub(crate) conversation: u32,
    /// The device's epoch that `delivered`, `known` and `last_seq` belong to.
    pub(crate) epoch: u32,
    /// Its number among those that sent here, or [`NONE`].
    pub(crate) sender: u32,
    /// Ordinals that reached the application in this epoch.
    pub(crate) delivered: Bits,
    /// Ordinals that reached it in earlier epochs.
    pub(crate) earlier: Option<Box<Bits>>,
    /// How many messages reached the application first here, over all epochs.
    pub(crate) count: u64,
    /// Positions that the device knows of: received, changed, or its own and acknowledged.
    pub(crate) known: Track,
    /// Greatest position that it knew in earlier epochs.
    pub(crate) known_ever: u64,
    /// Position of the last first reception.
    pub(crate) last_seq: u64,
    /// Slot of the last first reception, or [`NONE`].
    pub(crate) last_slot: u32,
    /// The device acknowledged everything up to here.
    pub(crate) acked_to: u64,
    /// Confirmed read mark.
    pub(crate) read_to: u64,
    /// Greatest read mark that was asked for.
    pub(crate) read_asked: u64,
    /// Its user belonged to the conversation at some time (as of `members_version`).
    pub(crate) member_ever: bool,
    pub(crate) members_version: u32,
    /// Acks whose processing the server proved by answering something later, and those that wait for that.
    pub(crate) acks: Option<Box<Acks>>,
    /// When the device last noticed a gap or asked for a page here, or [`NEVER`].
    pub(crate) pulled_at_ns: u64,
}

/// What the server must have processed of a device's acknowledgements.
///
/// An ack may die with its link. It is *proven* when a send that the device invoked after it was answered in the same
/// session.
#[derive(Clone, Debug, Default)]
pub(crate) struct Acks {
    /// Everything up to here is proven.
    pub(crate) proven_to: u64,
    /// A watermark that waits, with the device's clock at the ack.
    pub(crate) waiting: Option<(u64, u32)>,
    /// The newest watermark, with the same.
    pub(crate) newest: (u64, u32),
    /// Proven single acks, by ordinal.
    pub(crate) proven: Bits,
    /// Single acks that wait: (ordinal, clock), at most [`ACKS_WAITING_MAX`].
    pub(crate) single: std::collections::VecDeque<(u32, u32)>,
}

/// Single acks remembered per lane until they are proven; the oldest beyond that are never proven.
pub(crate) const ACKS_WAITING_MAX: usize = 4_096;

/// Users, each with their devices.
pub(crate) type DevicesOfUser = BTreeMap<User, Vec<u32>>;
