//! The meaning of every network fault: pure, seeded, without a clock and without a socket.
//!
//! One [`Link`] is everything between one device and its server over a whole run: its connections, one after
//! the other or (during a takeover) side by side. It takes pieces of the byte stream as they arrive and says
//! when which bytes are to be written on the other side. The simulated world, the live proxy and the
//! explorer all drive this one state machine, so a fault means the same in each.
//!
//! What it is not: it does not parse (a splitter does), does not wait (the caller asks [`Link::next_timeout`]
//! and calls [`Link::tick`]), and does not decide when a timed fault begins (the conductor calls [`Link::set`]).
//!
//! ```text
//!  receive ─ count ─ triggers ─ drop/duplicate/corrupt ─ reorder (hold) ─ rate ─ delay ─ queue ─┬─ Forward
//!                                                                     stall and node holds gate ┘
//! ```
//!
//! The exact meanings:
//!
//! - Every decision is a function of (seed, fault, device, direction, ordinal of the frame), ordinals counted
//!   from 1 since the chaos began, over all connections of the device. If the fault names a kind, frames of that kind are counted.
//! - *stall*: reading stops, so the sender feels a closed window; nothing is lost.
//! - *half-open*: what is on the way and what is sent is swallowed; a connection that lived through any part of
//!   it stays silent for ever in those directions, and its ends have to find out. New connections work after.
//! - *partition*: swallows too, refuses new connections, and at its end resets the connections that lost something.
//! - *cut*: `rst` loses what is on the way in both directions; `fin` lets it arrive, then ends both directions.
//! - *drop* where the protocol does not survive a lost frame is a `rst` cut before that frame.
//! - A trigger starts stall, half-open, partition, cut and node faults when the frame leaves the link (or, before
//!   it, in its place), and per-frame verbs when it enters. A per-frame verb with a trigger and no duration hits
//!   that very frame only. If the frame is lost before it leaves, the next of its kind triggers instead. A watched link among the fault's own acts for itself; [`Event::Triggered`] tells the
//!   conductor to do the rest.
//! - Healing leaves nothing behind: held frames and frames late because of a fault leave at once.

mod carry;
mod connections;
mod deciding;
mod delay;
mod faults;
mod in_force;
mod lane;
mod ordinals;
mod rules;
mod seam;
#[cfg(test)]
mod tests;
mod verbs;

use std::collections::VecDeque;

use avouch_scenarios::plan::{LinkShape, LinkVerb};

use connections::Connections;
use lane::{Connection, Passing, What};
use ordinals::Ordinals;
use rules::Rules;
pub use seam::{Class, ConnectionId, Effect, Event, Piece, Refused, Settings, WAYS, Way};
use verbs::words;
pub use verbs::{skip_reason, verb_name};

/// Bytes that one direction of one connection may have on the way before it stops reading.
pub const LANE_BYTES_MAX: usize = 1024 * 1024;
/// Frames that one direction of one connection may have on the way before it stops reading.
pub const LANE_FRAMES_MAX: usize = 8_192;
/// Frames that one direction of one connection may hold back to reorder; more are passed on.
pub const HELD_FRAMES_MAX: usize = 256;
/// How far a bottleneck may lag behind before reading stops, in nanoseconds: the depth of its buffer.
pub const BACKLOG_NS_MAX: u64 = 500_000_000;
/// How long a frame waits for the node fault that it triggered, in nanoseconds; then it passes.
pub const NODE_HOLD_NS_MAX: u64 = 5_000_000_000;
/// Connections of one device that are carried at once; one more resets the oldest.
pub const CONNECTIONS_MAX: usize = 64;

/// Everything between one device and its server. See the module's header for the meanings.
#[derive(Debug)]
pub struct Link {
    rules: Rules,
    ordinals: Ordinals,
    roads: [lane::Road; 2],
    connections: Connections,
    connections_made: u64,
    is_abandoned: bool,
    /// Nothing leaves before this, so that a call in between need not look. Early is harmless, late is not.
    quiet_until_ns: u64,
    events: VecDeque<Event>,
}

impl Link {
    /// A link without connections; no fault is active and no trigger armed.
    pub fn new(settings: Settings) -> Self {
        let Settings { seed, device, network, .. } = &settings;
        let road = |way, shape: &LinkShape| lane::Road::new(*seed, *device, way, shape.clone());
        let roads = [road(Way::Up, &network.up), road(Way::Down, &network.down)];
        let rules = Rules::new(settings);
        Self {
            ordinals: Ordinals::new(rules.kinds()),
            rules,
            roads,
            connections: Connections::default(),
            connections_made: 0,
            is_abandoned: false,
            quiet_until_ns: 0,
            events: VecDeque::new(),
        }
    }

    /// The chaos phase begins: triggers and the ordinals of faults count from here.
    pub fn arm(&mut self) {
        self.rules.arm(true);
        self.ordinals.arm();
    }

    /// Every fault ends, no trigger fires any more, and nothing stays held.
    pub fn heal(&mut self, now_ns: u64) {
        self.rules.arm(false);
        while let Some(rule) = self.rules.any_active() {
            self.deactivate(now_ns, rule);
        }
        for connection in self.connections.values_mut() {
            for lane in &mut connection.lanes {
                lane.queue.retain(|item| !matches!(item.what, What::Start { .. }));
                lane.node_hold = None;
            }
        }
        self.quiet_until_ns = 0;
        self.run(now_ns);
    }

    /// From now on nothing passes, neither on this device's connections nor on new ones, and nobody is told: a party that
    /// is never healed. No fault of the plan, so no healing ends it.
    pub fn abandon(&mut self) {
        self.is_abandoned = true;
        self.connections.values_mut().flat_map(|connection| &mut connection.lanes).for_each(lane::Lane::kill);
    }

    /// A fault begins or ends. Faults that do not concern this link are ignored; a node fault that ends (or is done)
    /// releases the frame that waits for it.
    pub fn set(&mut self, now_ns: u64, fault: u32, active: bool) {
        self.tick(now_ns);
        if !active {
            self.rules.retire(fault);
            for connection in self.connections.values_mut() {
                for lane in &mut connection.lanes {
                    lane.node_hold = lane.node_hold.filter(|hold| hold.fault != fault);
                }
            }
        }
        if let Some(rule) = self.rules.find_on_link(fault) {
            if active {
                self.activate(now_ns, rule, None);
            } else {
                self.deactivate(now_ns, rule);
            }
        }
        self.quiet_until_ns = 0;
        self.run(now_ns);
    }

    /// The device makes a connection.
    pub fn connect(&mut self, now_ns: u64) -> Result<ConnectionId, Refused> {
        self.tick(now_ns);
        self.give_back_starts();
        if let Some(rule) = self.rules.active_verb(|fault| matches!(fault.verb, LinkVerb::Partition)) {
            self.fired(rule, 0, "a new connection was refused".to_owned());
            return Err(Refused { fault: self.rules.id(rule) });
        }
        if self.connections.len() >= CONNECTIONS_MAX
            && let Some(oldest) = self.connections.values_mut().find(|connection| !connection.is_reset)
        {
            oldest.reset();
        }
        let id = self.connections_made;
        self.connections_made += 1;
        self.connections.push(id, Connection::new(now_ns));
        if self.is_abandoned {
            self.abandon();
        }
        for way in WAYS {
            if let Some(rule) = self.rules.active_on(way, |verb| matches!(verb, LinkVerb::HalfOpen)) {
                self.connection(id).lane(way).kill();
                self.fired(rule, 0, format!("a new connection hears nothing {}", words(way)));
            }
            if let Some(rule) = self.rules.active_on(way, |verb| matches!(verb, LinkVerb::Stall)) {
                self.fired(rule, 0, format!("a new connection stands still {}", words(way)));
            }
        }
        Ok(ConnectionId(id))
    }

    /// A piece of the stream arrived from the end where the way begins.
    pub fn receive(&mut self, now_ns: u64, id: ConnectionId, way: Way, piece: Piece) {
        self.tick(now_ns);
        if piece.bytes.is_empty() || !self.takes(id, way) {
            return;
        }
        let frame = self.ordinals.count(way, &piece);
        let triggers = self.rules.count_triggers(way, piece.kind);
        let passing = Passing { now_ns, id, frame, is_clipped: false };
        if triggers.is_empty() && !self.rules.touch(&frame) {
            self.pass_untouched(passing, piece.bytes);
        } else {
            self.receive_under_rules(passing, piece, &triggers);
        }
        self.run(now_ns);
    }

    /// The end where the way begins will send no more. It passes like a frame.
    pub fn end_of_stream(&mut self, now_ns: u64, id: ConnectionId, way: Way) {
        self.tick(now_ns);
        if self.takes(id, way) {
            self.close_lane(now_ns, id, way, What::End);
        }
        self.run(now_ns);
    }

    /// The end where the way begins is gone: reset, or writing to it failed. The other end is reset after what is on the way.
    pub fn broken(&mut self, now_ns: u64, id: ConnectionId, way: Way) {
        self.tick(now_ns);
        if self.takes(id, way) {
            self.close_lane(now_ns, id, way, What::Reset);
        }
        if let Some(connection) = self.connections.get_mut(id.0) {
            connection.lane(way.opposite()).kill();
        }
        self.run(now_ns);
    }

    /// The caller is done with a connection.
    pub fn forget(&mut self, id: ConnectionId) {
        self.give_back_starts();
        self.connections.remove(id.0);
    }

    /// Whether more is to be read from the end where the way begins; else let the sender feel the closed window.
    pub fn is_reading(&self, now_ns: u64, id: ConnectionId, way: Way) -> bool {
        let Some(connection) = self.connections.get(id.0) else { return false };
        let lane = &connection.lanes[way.index()];
        if connection.is_reset || lane.swallows() {
            return !connection.is_reset;
        }
        // A frame that waits for its node does not stop the reading: the node's end has to be noticed.
        !self.rules.in_force.on(way).is_stalled
            && !lane.is_full()
            && self.roads[way.index()].congested_until_ns() <= now_ns
    }

    /// Whether nothing passes on a connection any more, either way.
    pub fn is_over(&self, id: ConnectionId) -> bool {
        self.connections.get(id.0).is_none_or(|connection| connection.lanes.iter().all(|lane| lane.is_dead))
    }

    /// Does what is due.
    pub fn tick(&mut self, now_ns: u64) {
        while let Some(rule) = self.rules.expired(now_ns) {
            self.events.push_back(Event::Expired { fault: self.rules.id(rule) });
            self.deactivate(now_ns, rule);
            self.quiet_until_ns = 0;
        }
        self.run(now_ns);
    }

    /// When [`Link::tick`] is wanted for this connection; never in the past of the last call.
    pub fn next_timeout(&self, now_ns: u64, id: ConnectionId) -> Option<u64> {
        let connection = self.connections.get(id.0)?;
        let mut next = self.rules.in_force.next_expiry_ns;
        let mut wanted = |at_ns: u64| next = Some(next.map_or(at_ns, |other: u64| other.min(at_ns)));
        for way in WAYS {
            let lane = &connection.lanes[way.index()];
            lane.held.iter().for_each(|held| wanted(held.until_ns));
            let congested_until_ns = self.roads[way.index()].congested_until_ns();
            if congested_until_ns > now_ns {
                wanted(congested_until_ns);
            }
            if let Some(hold) = lane.node_hold.filter(|hold| hold.until_ns > now_ns) {
                wanted(hold.until_ns);
            } else if !lane.is_gated(now_ns, self.rules.in_force.on(way).is_stalled)
                && let Some(item) = lane.queue.front()
            {
                wanted(item.due_ns);
            }
        }
        next
    }

    /// Until when nothing leaves and nothing changes by itself, `u64::MAX` = for good; `None`: it may be more than that, and
    /// [`Link::tick`] and [`Link::next_timeout`] know.
    pub fn rests_until_ns(&self, now_ns: u64) -> Option<u64> {
        let is_calm = |connection: &Connection| {
            connection.effects.is_empty() && connection.lanes.iter().all(|lane| lane.node_hold.is_none())
        };
        let may_pass = |way: Way| {
            !self.rules.in_force.on(way).is_stalled && self.roads[way.index()].congested_until_ns() <= now_ns
        };
        let rests = self.events.is_empty()
            && self.quiet_until_ns > now_ns
            && self.rules.in_force.next_expiry_ns.is_none()
            && WAYS.into_iter().all(may_pass)
            && self.connections.iter().all(|(_, connection)| is_calm(connection));
        rests.then_some(self.quiet_until_ns)
    }

    /// What is to be done on a connection next, until `None`.
    pub fn poll_effect(&mut self, id: ConnectionId) -> Option<Effect> {
        self.connections.get_mut(id.0)?.effects.pop_front()
    }

    /// What is to be told next, until `None`. Poll after every call: it is bounded by what one call can cause.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }
}
