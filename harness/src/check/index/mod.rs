//! The one state that all checkers read: every message, device, conversation, and every device in a conversation.
//!
//! Each event is applied once; what is new about it is handed to the checkers as [`Seen`]. So 27 checkers cost one
//! lookup per event. Nothing here judges.

mod apply;
pub(crate) mod bits;
mod changes;
pub(crate) mod members;
pub(crate) mod numbers;
pub(crate) mod run;
pub(crate) mod state;
pub(crate) mod track;

use std::collections::BTreeSet;

use avouch_reports::history::{Conversation, Device, Event, Message, Names, User, What};
use rustc_hash::FxHashMap;

use self::bits::Bits;
use self::changes::Changes;
use self::members::Belongs;
use self::numbers::{NONE, Numbers, Pieces};
use self::run::Run;
use self::state::{ConversationState, DeviceState, DevicesOfUser, Lane, MessageState, NEVER, flag};
use super::Options;
use state::CHANGE_SLOT;

/// What became of a position that an event names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Placed {
    /// The event names none, or no message.
    Unplaced,
    /// The message had no position yet.
    New,
    /// As known.
    Same,
    /// The message has another position.
    Moved(u64),
    /// Another message (slot) is known at this position.
    Taken(u32),
}

/// A message (or a copy) that reached a device.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reception {
    pub(crate) lane: u32,
    /// Its slot; `None` when the history knows no such send so far.
    pub(crate) slot: Option<u32>,
    /// It reached the application for the first time since the device began anew.
    pub(crate) first: bool,
    /// It reached the application (false: the client recognised a copy).
    pub(crate) shown: bool,
    /// It was sent to another conversation.
    pub(crate) astray: bool,
    pub(crate) placed: Placed,
    pub(crate) seq: Option<u64>,
    /// Position of its last first reception before; 0 = none since it began anew.
    pub(crate) last_seq: u64,
    /// Slot of the same, or [`NONE`].
    pub(crate) last_slot: u32,
    pub(crate) redelivered: bool,
}

/// What is new about an event, after it was applied.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Seen {
    /// Nothing that the index follows.
    Plain,
    /// A new operation.
    Sent { slot: u32 },
    /// An outcome `ok`.
    Acked { slot: u32, placed: Placed, seq: Option<u64>, after_refusal: bool },
    /// An outcome `fail`.
    Refused { slot: u32 },
    /// An outcome `info`.
    GivenUp { slot: u32 },
    /// A message or a copy arrived.
    Received(Reception),
    /// A device in a conversation did or learnt something.
    At { lane: u32 },
    /// A session began. `anew`: the device had one before and the server kept nothing of it.
    Began { device: u32 },
    /// A connection ended.
    Ended,
}

/// The state. See [`state`] for what each part costs.
#[derive(Debug)]
pub(crate) struct Index {
    pub(crate) options: Options,
    /// Guarantees that the target claims or the scenario expects.
    pub(crate) claimed: BTreeSet<String>,
    pub(crate) devices: Vec<DeviceState>,
    pub(crate) conversations: Vec<ConversationState>,
    pub(crate) lanes: Vec<Lane>,
    pub(crate) messages: Pieces<MessageState>,
    /// Devices of each user.
    pub(crate) users: DevicesOfUser,
    /// Phases, faults, nodes: what the whole run was like.
    pub(crate) run: Run,
    device_of: Numbers,
    conversation_of: Numbers,
    slot_of: Numbers,
    lane_of: FxHashMap<u64, u32>,
    last_lane: (u64, u32),
    /// What devices are called, for the words of findings.
    names: Names,
    /// Membership operations, and the changes that nobody's operation is known to have made.
    changes: Changes,
}

impl Index {
    pub(crate) fn new(options: Options, claimed: BTreeSet<String>) -> Self {
        Self {
            options,
            claimed,
            devices: Vec::new(),
            conversations: Vec::new(),
            lanes: Vec::new(),
            messages: Pieces::default(),
            users: DevicesOfUser::new(),
            run: Run::default(),
            device_of: Numbers::default(),
            conversation_of: Numbers::default(),
            slot_of: Numbers::default(),
            lane_of: FxHashMap::default(),
            last_lane: (u64::MAX, 0),
            names: Names::default(),
            changes: Changes::default(),
        }
    }

    /// Takes one event.
    pub(crate) fn apply(&mut self, event: &Event) -> Seen {
        self.run.apply(event);
        let at_ns = event.at_ns;
        match &event.what {
            What::Device { .. } | What::Conversation { .. } => self.declare(&event.what),
            What::Session { device, session } => self.begin_session(at_ns, *device, *session),
            What::Disconnected { device, .. } => self.end_session(at_ns, *device),
            What::Reinstalled { device } => self.reinstalled(at_ns, *device),
            What::Send { .. } => self.send(at_ns, &event.what),
            What::MembersChange { .. } | What::MembersChanged { .. } => {
                self.change_members(at_ns, &event.what)
            }
            What::Retry { message, .. } => self.mark(*message, flag::RETRIED),
            What::Accepted { device, message, seq, rung } => {
                self.accept(at_ns, *device, *message, (*seq, *rung))
            }
            What::Rejected { message, .. } => self.refuse(*message),
            What::Unknown { message, .. } => self.give_up(*message),
            What::Delivered { .. } | What::Suppressed { .. } => self.receive(at_ns, &event.what),
            What::Acknowledged { device, conversation, up_to, message } => {
                self.acknowledge((*device, *conversation), *up_to, *message)
            }
            What::Read { device, conversation, up_to } => {
                let lane = self.lane(*device, *conversation);
                let state = &mut self.lanes[lane as usize];
                state.read_asked = state.read_asked.max(*up_to);
                Seen::At { lane }
            }
            What::ReadConfirmed { device, conversation, up_to } => {
                let lane = self.lane(*device, *conversation);
                let state = &mut self.lanes[lane as usize];
                state.read_to = state.read_to.max(*up_to);
                Seen::At { lane }
            }
            What::Gap { device, conversation, .. } | What::PageRequested { device, conversation, .. } => {
                let lane = self.lane(*device, *conversation);
                self.lanes[lane as usize].pulled_at_ns = at_ns;
                Seen::At { lane }
            }
            What::Receipt { device, conversation, .. }
            | What::ChainBroken { device, conversation, .. }
            | What::Page { device, conversation, .. } => Seen::At { lane: self.lane(*device, *conversation) },
            What::FaultFired { device, kind, .. } => self.disturb(at_ns, *device, kind),
            What::Quiet { device } => {
                let device = self.device(*device);
                self.devices[device as usize].quiet_at_ns = at_ns;
                Seen::Plain
            }
            _ => Seen::Plain,
        }
    }

    /// Slot of a message.
    pub(crate) fn slot(&self, message: Message) -> Option<u32> {
        self.slot_of.get(message.0)
    }

    /// Index of a device.
    pub(crate) fn device_index(&self, device: Device) -> Option<u32> {
        self.device_of.get(device.0.into())
    }

    /// What a device is called.
    pub(crate) fn name(&self, device: Device) -> String {
        self.names.device(device)
    }

    /// A message.
    pub(crate) fn message(&self, slot: u32) -> &MessageState {
        &self.messages[slot]
    }

    /// The sending device of a message, in its conversation.
    pub(crate) fn sender(&self, slot: u32) -> &Lane {
        &self.lanes[self.messages[slot].lane as usize]
    }

    /// The device of a lane.
    pub(crate) fn device_of_lane(&self, lane: u32) -> &DeviceState {
        &self.devices[self.lanes[lane as usize].device as usize]
    }

    /// The conversation of a lane.
    pub(crate) fn conversation_of_lane(&self, lane: u32) -> &ConversationState {
        &self.conversations[self.lanes[lane as usize].conversation as usize]
    }

    /// What is known at a position: a message, a change, or nothing.
    pub(crate) fn at_position(&self, conversation: u32, seq: u64) -> Option<u32> {
        self.conversations[conversation as usize].positions.get(seq)
    }

    /// The message at a position, if it is one and is known.
    pub(crate) fn message_at(&self, conversation: u32, seq: u64) -> Option<u32> {
        self.at_position(conversation, seq)
            .filter(|&slot| slot != CHANGE_SLOT && !self.messages[slot].is(flag::CHANGE))
    }

    /// The lane of a device in a conversation, if there is one.
    pub(crate) fn lane_at(&self, device: u32, conversation: u32) -> Option<u32> {
        self.lane_of.get(&pair(device, conversation)).copied()
    }

    /// Whether a device's user belonged when a message was committed.
    pub(crate) fn belongs(&self, device: &DeviceState, slot: u32) -> Belongs {
        let message = &self.messages[slot];
        let conversation = &self.conversations[self.lanes[message.lane as usize].conversation as usize];
        if !device.declared || !conversation.declared {
            return Belongs::Unsure;
        }
        conversation.members.at(device.user, message)
    }

    fn device(&mut self, device: Device) -> u32 {
        if let Some(index) = self.device_of.get(device.0.into()) {
            return index;
        }
        let index = self.devices.len() as u32;
        self.device_of.set(device.0.into(), index);
        self.devices.push(DeviceState::new(device, User(u32::MAX), false));
        index
    }

    fn conversation(&mut self, conversation: Conversation) -> u32 {
        if let Some(index) = self.conversation_of.get(conversation.0.into()) {
            return index;
        }
        let index = self.conversations.len() as u32;
        self.conversation_of.set(conversation.0.into(), index);
        self.conversations.push(ConversationState::new(conversation, false));
        index
    }

    fn lane(&mut self, device: Device, conversation: Conversation) -> u32 {
        // By the history's own numbers: the same pair comes again and again.
        let named = pair(device.0, conversation.0);
        if self.last_lane.0 == named && named != u64::MAX {
            return self.renewed(self.last_lane.1);
        }
        let (device, conversation) = (self.device(device), self.conversation(conversation));
        let key = pair(device, conversation);
        let lane =
            if let Some(&lane) = self.lane_of.get(&key) { lane } else { self.new_lane(device, conversation) };
        self.last_lane = (named, lane);
        self.renewed(lane)
    }

    fn new_lane(&mut self, device: u32, conversation: u32) -> u32 {
        let lane = self.lanes.len() as u32;
        self.lane_of.insert(pair(device, conversation), lane);
        self.devices[device as usize].lanes.push(lane);
        self.conversations[conversation as usize].lanes.push(lane);
        self.lanes.push(Lane {
            device,
            conversation,
            epoch: self.devices[device as usize].epoch,
            sender: NONE,
            delivered: Bits::default(),
            earlier: None,
            count: 0,
            known: track::Track::default(),
            known_ever: 0,
            last_seq: 0,
            last_slot: NONE,
            acked_to: 0,
            read_to: 0,
            read_asked: 0,
            member_ever: false,
            members_version: NONE,
            acks: None,
            pulled_at_ns: NEVER,
        });
        lane
    }

    /// Forgets what a device forgot when it began anew.
    fn renewed(&mut self, lane: u32) -> u32 {
        let state = &mut self.lanes[lane as usize];
        let device = &self.devices[state.device as usize];
        if state.epoch != device.epoch {
            state.epoch = device.epoch;
            state.known_ever = state.known_ever.max(state.known.last);
            let delivered = std::mem::take(&mut state.delivered);
            match &mut state.earlier {
                Some(earlier) => earlier.extend(&delivered),
                None => state.earlier = Some(Box::new(delivered)),
            }
            (state.known, state.last_seq, state.last_slot) = (track::Track::default(), 0, NONE);
            state.acks = None;
        }
        let members = &self.conversations[state.conversation as usize].members;
        if state.members_version != members.version {
            state.members_version = members.version;
            state.member_ever = members.was_member(device.user);
        }
        lane
    }
}

fn pair(a: u32, b: u32) -> u64 {
    u64::from(a) << 32 | u64::from(b)
}
