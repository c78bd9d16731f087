//! How a link carries: from arrival through holding, bottleneck and delay to effects.

use avouch_scenarios::plan::{CutHow, Edge, LinkVerb};
use bytes::Bytes;

use super::lane::{Connection, Held, Passing, What};
use super::rules::Fate;
use super::{Class, ConnectionId, Effect, Event, Link, Piece, WAYS, Way, lane, verb_name};

impl Link {
    /// Whether a connection takes bytes that arrive; a partition takes note of what it swallows.
    pub(super) fn takes(&mut self, id: ConnectionId, way: Way) -> bool {
        let is_partitioned = self.is_partitioned(way);
        let Some(connection) = self.connections.get_mut(id.0) else { return false };
        let lane = connection.lane(way);
        if lane.swallows() {
            return false;
        }
        lane.has_lost |= is_partitioned;
        !is_partitioned
    }

    /// Counts the bytes that a connection took, and cuts a piece off where a cut at a byte falls into it.
    pub(super) fn clip(
        &mut self,
        id: ConnectionId,
        way: Way,
        piece: Piece,
    ) -> (Piece, Option<(usize, CutHow)>) {
        let bytes = piece.bytes.len() as u64;
        let lane = self.connections.get_mut(id.0).map(|connection| connection.lane(way));
        let Some(lane) = lane else { return (piece, None) };
        let read = lane.read_bytes;
        lane.read_bytes += bytes;
        match self.rules.cut_at_byte(way, read, bytes) {
            Some((rule, how, after)) => {
                let bytes = piece.bytes.slice(..after as usize);
                (Piece { bytes, ..piece }, Some((rule, how)))
            }
            None => (piece, None),
        }
    }

    /// A frame passes while no fault is active that could touch it.
    pub(super) fn pass_untouched(&mut self, passing: Passing, bytes: Bytes) {
        if let Some(connection) = self.connections.get_mut(passing.id.0) {
            connection.lane(passing.frame.way).read_bytes += bytes.len() as u64;
        }
        self.enqueue(passing, bytes, 0, None);
        self.overtake(passing);
    }

    /// A frame meets the active faults, and those that it triggers.
    pub(super) fn receive_under_rules(&mut self, passing: Passing, piece: Piece, triggers: &[usize]) {
        let Passing { now_ns, id, frame, .. } = passing;
        let way = frame.way;
        let mut this_frame_only = Vec::new();
        for &rule in triggers {
            self.trigger(passing, rule, Edge::Before, &mut this_frame_only);
        }
        let (piece, byte_cut) = self.clip(id, way, piece);
        let passing = Passing { is_clipped: byte_cut.is_some(), ..passing };
        let mut fate = if byte_cut.is_some() {
            Fate::default()
        } else {
            self.rules.decide(&frame, &piece, &this_frame_only)
        };
        for (rule, detail) in fate.fired.drain(..) {
            self.fired(rule, self.rules.ordinal(rule, &frame), detail);
        }
        self.pass(passing, piece, fate);
        if let Some((rule, how)) = byte_cut {
            self.queue_cut(now_ns, id, way, (rule, how, 0));
        }
        for &rule in triggers {
            self.trigger(passing, rule, Edge::After, &mut this_frame_only);
        }
    }

    /// A frame that triggers a rule enters.
    pub(super) fn trigger(
        &mut self,
        passing: Passing,
        rule: usize,
        edge: Edge,
        this_frame_only: &mut Vec<usize>,
    ) {
        let Passing { now_ns, id, frame, .. } = passing;
        let Some((nth, own_edge)) = self.rules.trigger(rule).map(|trigger| (trigger.nth, trigger.edge))
        else {
            return;
        };
        let for_ns = self.rules.planned(rule).for_ns;
        let verb = self.rules.on_link(rule).map(|link| link.verb);
        let is_per_frame = verb.is_some_and(|verb| {
            matches!(
                verb,
                LinkVerb::Delay { .. }
                    | LinkVerb::Drop
                    | LinkVerb::Duplicate { .. }
                    | LinkVerb::Reorder { .. }
                    | LinkVerb::Corrupt
            )
        });
        let starts_at_entry =
            is_per_frame || matches!(verb, Some(LinkVerb::Rate { .. } | LinkVerb::Slice { .. }));
        if is_per_frame && for_ns.is_none() {
            if edge == Edge::Before {
                this_frame_only.push(rule);
                self.events.push_back(Event::Triggered { fault: self.rules.id(rule), frame: nth });
            }
        } else if own_edge != edge {
            // Its turn comes on the other side of the frame.
        } else if starts_at_entry {
            self.events.push_back(Event::Triggered { fault: self.rules.id(rule), frame: nth });
            self.activate(now_ns, rule, for_ns.map(|for_ns| now_ns.saturating_add(for_ns)));
        } else {
            self.connection(id.0).lane(frame.way).push(now_ns, What::Start { rule, frame: nth, edge });
        }
    }

    /// Sends a frame into its fate.
    pub(super) fn pass(&mut self, passing: Passing, piece: Piece, fate: Fate) {
        let Passing { now_ns, id, frame, .. } = passing;
        if let Some((rule, how)) = fate.cut_before {
            self.queue_cut(now_ns, id, frame.way, (rule, how, self.rules.ordinal(rule, &frame)));
            return;
        }
        if fate.is_lost || piece.bytes.is_empty() {
            return;
        }
        let piece = Piece { bytes: fate.corrupted.unwrap_or(piece.bytes), ..piece };
        for _ in 0..fate.copies {
            self.enqueue(passing, piece.bytes.clone(), fate.added_ns, fate.slice_bytes);
        }
        if let Some((rule, overtakers_left, hold_ns)) = fate.hold
            && self.connection(id.0).lane(frame.way).can_hold()
        {
            let detail = format!("held until {overtakers_left} frames passed, at most {hold_ns} ns");
            self.fired(rule, self.rules.ordinal(rule, &frame), detail);
            let until_ns = now_ns.saturating_add(hold_ns);
            let lane = self.connection(id.0).lane(frame.way);
            lane.hold(Held { rule, until_ns, overtakers_left, frame, piece });
            return;
        }
        self.enqueue(passing, piece.bytes, fate.added_ns, fate.slice_bytes);
        self.overtake(passing);
        if let Some((rule, how)) = fate.cut_after {
            self.queue_cut(now_ns, id, frame.way, (rule, how, self.rules.ordinal(rule, &frame)));
        }
    }

    /// Puts the end of a connection behind what is on the way.
    pub(super) fn queue_cut(
        &mut self,
        now_ns: u64,
        id: ConnectionId,
        way: Way,
        (rule, how, frame): (usize, CutHow, u64),
    ) {
        self.flush_held(now_ns, id, way);
        let lane = self.connection(id.0).lane(way);
        lane.push(now_ns, What::Cut { rule, how, frame });
        lane.is_closing = true;
    }

    /// The end where the way begins is done. A frame that waits for a node fault is lost with its sender.
    pub(super) fn close_lane(&mut self, now_ns: u64, id: ConnectionId, way: Way, what: What) {
        self.flush_held(now_ns, id, way);
        let lane = self.connection(id.0).lane(way);
        if lane.node_hold.is_some() {
            lane.clear();
        }
        lane.push(now_ns, what);
        lane.is_closing = true;
    }

    /// Lets every held frame go.
    pub(super) fn flush_held(&mut self, now_ns: u64, id: ConnectionId, way: Way) {
        while self.release(now_ns, id, way, |_| true) {}
    }

    /// Hands out what is due, on all connections.
    #[inline]
    pub(super) fn run(&mut self, now_ns: u64) {
        if now_ns >= self.quiet_until_ns {
            self.hand_out(now_ns);
        }
    }

    fn hand_out(&mut self, now_ns: u64) {
        for place in 0..self.connections.len() {
            let (number, connection) = self.connections.at(place);
            if !connection.lanes.iter().any(|lane| lane.may_be_due(now_ns)) {
                continue;
            }
            let id = ConnectionId(number);
            // What leaves one way can end the other: until nothing is due.
            while WAYS.into_iter().any(|way| self.step(now_ns, id, way)) {}
        }
        let lanes = self.connections.iter().flat_map(|(_, connection)| &connection.lanes);
        self.quiet_until_ns = lanes.map(lane::Lane::next_due_ns).fold(u64::MAX, u64::min);
    }

    /// Tells that a rule decided something.
    pub(super) fn fired(&mut self, rule: usize, frame: u64, detail: String) {
        let kind = self.rules.on_link(rule).map_or("", |link| verb_name(&link.verb));
        self.events.push_back(Event::Fired { fault: self.rules.id(rule), kind, frame, detail });
    }

    /// A connection that the caller knows to exist, for a change.
    pub(super) fn connection(&mut self, id: u64) -> &mut Connection {
        self.quiet_until_ns = 0;
        self.connections
            .get_mut(id)
            .expect("only `forget` removes connections, and the caller just saw this one")
    }

    /// Connections that were not reset.
    pub(super) fn alive(&self) -> Vec<ConnectionId> {
        let alive = self.connections.iter().filter(|(_, connection)| !connection.is_reset);
        alive.map(|(id, _)| ConnectionId(id)).collect()
    }

    pub(super) fn is_partitioned(&self, way: Way) -> bool {
        self.rules.in_force.on(way).is_partitioned
    }

    /// Sends bytes over the road and into the queue.
    fn enqueue(&mut self, passing: Passing, bytes: Bytes, added_ns: u64, slice_bytes: Option<u32>) {
        let Passing { now_ns, id, frame, .. } = passing;
        let limit = self.rules.in_force.on(frame.way).rate_bytes_per_s;
        let road = &mut self.roads[frame.way.index()];
        let delay_ns = road.delay_ns(&frame);
        let (finished_ns, finished_without_faults_ns) = road.pass(now_ns, bytes.len(), limit);
        let due_ns = finished_ns.saturating_add(delay_ns).saturating_add(added_ns);
        let due_without_faults_ns = finished_without_faults_ns.saturating_add(delay_ns);
        let Some(connection) = self.connections.get_mut(id.0) else { return };
        let lane = connection.lane(frame.way);
        let mut rest = bytes;
        if let Some(slice_bytes) = slice_bytes.map(|most| most.max(1) as usize) {
            while rest.len() > slice_bytes {
                let slice = What::Bytes(rest.split_to(slice_bytes), false);
                lane.push_at(due_ns, due_without_faults_ns, slice);
            }
        }
        lane.push_at(due_ns, due_without_faults_ns, What::Bytes(rest, !passing.is_clipped));
        self.quiet_until_ns = self.quiet_until_ns.min(lane.last_due_ns);
    }

    /// A frame passed: held frames before it were overtaken once more, and those that were often enough follow (and overtake in turn).
    fn overtake(&mut self, passing: Passing) {
        let Passing { now_ns, id, frame, .. } = passing;
        let Some(connection) = self.connections.get_mut(id.0) else { return };
        let lane = connection.lane(frame.way);
        if frame.class != Class::Data || lane.held.is_empty() {
            return;
        }
        for held in lane.held.iter_mut().filter(|held| held.frame.serial < frame.serial) {
            held.overtakers_left = held.overtakers_left.saturating_sub(1);
        }
        while self.release(now_ns, id, frame.way, |held| held.overtakers_left == 0) {}
    }

    /// Lets the first held frame go that a condition picks; `false` if there is none.
    pub(super) fn release(
        &mut self,
        now_ns: u64,
        id: ConnectionId,
        way: Way,
        picks: impl Fn(&Held) -> bool,
    ) -> bool {
        let lane = self.connections.get_mut(id.0).map(|connection| connection.lane(way));
        let Some(held) = lane.and_then(|lane| lane.release(picks)) else { return false };
        let passing = Passing { now_ns, id, frame: held.frame, is_clipped: false };
        self.enqueue(passing, held.piece.bytes, 0, None);
        self.overtake(passing);
        true
    }

    /// Passes on what is due one way, up to the first thing that is more than bytes: `true` then, for that may concern the other way.
    fn step(&mut self, now_ns: u64, id: ConnectionId, way: Way) -> bool {
        let stalls = self.rules.in_force.on(way).is_stalled;
        let Some(connection) = self.connections.get_mut(id.0) else { return false };
        if !connection.lane(way).held.is_empty() {
            while self.release(now_ns, id, way, |held| held.until_ns <= now_ns) {}
        }
        let Some(Connection { lanes, effects, .. }) = self.connections.get_mut(id.0) else { return false };
        let lane = &mut lanes[way.index()];
        if lane.is_gated(now_ns, stalls) {
            return false;
        }
        while let Some(what) = lane.pop(now_ns) {
            let What::Bytes(bytes, is_last) = what else {
                self.perform(now_ns, id, way, what);
                return true;
            };
            effects.push_back(Effect::Forward { way, bytes, is_last });
        }
        false
    }

    fn perform(&mut self, now_ns: u64, id: ConnectionId, way: Way, what: What) {
        let connection = self.connection(id.0);
        match what {
            What::Bytes(bytes, is_last) => {
                connection.effects.push_back(Effect::Forward { way, bytes, is_last });
            }
            What::End => {
                connection.lane(way).kill();
                connection.effects.push_back(Effect::End { way });
            }
            What::Reset => connection.reset(),
            What::Cut { rule, how, frame } => {
                connection.lane(way).clear();
                self.cut_now(now_ns, id, (rule, how, frame));
            }
            What::Start { rule, frame, edge } => self.start(now_ns, id, way, (rule, frame, edge)),
        }
    }
}
