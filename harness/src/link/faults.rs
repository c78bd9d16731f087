//! What starting and ending a fault changes on a link.

use avouch_scenarios::plan::{CutHow, Edge, LinkVerb};

use super::lane::{NodeHold, What};
use super::verbs::{cut_words, interrupts, words};
use super::{ConnectionId, Event, Link, NODE_HOLD_NS_MAX, WAYS, Way};

impl Link {
    /// Makes a fault active on this link.
    pub(super) fn activate(&mut self, now_ns: u64, rule: usize, until_ns: Option<u64>) {
        let Some((verb, direction, every)) = self.rules.on_link(rule).map(|link| {
            (link.verb, link.direction, link.kind.is_none() && link.probability_ppm >= 1_000_000)
        }) else {
            return;
        };
        let ids: Vec<ConnectionId> = self.alive();
        if let LinkVerb::Cut { how, at_byte: None, .. } = verb
            && every
        {
            for id in ids {
                self.cut_now(now_ns, id, (rule, how, 0));
            }
            return;
        }
        if !self.rules.begin(rule, until_ns) {
            return;
        }
        for id in ids {
            for way in WAYS.into_iter().filter(|way| way.is_in(direction)) {
                let lane = self.connection(id.0).lane(way);
                let detail = match verb {
                    LinkVerb::HalfOpen => {
                        lane.kill();
                        "the connection hears nothing any more"
                    }
                    LinkVerb::Partition => {
                        lane.has_lost |= lane.clear();
                        "the connection is interrupted"
                    }
                    LinkVerb::Stall => "the connection stands still",
                    _ => continue,
                };
                self.fired(rule, 0, format!("{detail} {}", words(way)));
            }
        }
    }

    /// Ends a fault on this link, and undoes what it did.
    pub(super) fn deactivate(&mut self, now_ns: u64, rule: usize) {
        self.rules.end(rule);
        let Some(verb) = self.rules.on_link(rule).map(|link| link.verb) else { return };
        let still_slow = self
            .rules
            .active_verb(|link| matches!(link.verb, LinkVerb::Delay { .. } | LinkVerb::Rate { .. }));
        match verb {
            LinkVerb::Partition => self.bury_interrupted(rule),
            LinkVerb::Delay { .. } | LinkVerb::Rate { .. } if still_slow.is_none() => {
                self.roads.iter_mut().for_each(super::lane::Road::hurry);
                let lanes = self.connections.values_mut().flat_map(|connection| &mut connection.lanes);
                lanes.for_each(|lane| lane.hurry(now_ns));
            }
            LinkVerb::Reorder { .. } => {
                for id in self.alive() {
                    for way in WAYS {
                        while self.release(now_ns, id, way, |held| held.rule == rule) {}
                    }
                }
            }
            LinkVerb::Cut { .. } | LinkVerb::Drop => {
                let lanes = self.connections.values_mut().flat_map(|connection| &mut connection.lanes);
                lanes.for_each(|lane| lane.hurry_cut(now_ns, rule));
            }
            _ => {}
        }
    }

    /// Starts a fault whose frame leaves the link.
    pub(super) fn start(
        &mut self,
        now_ns: u64,
        id: ConnectionId,
        way: Way,
        (rule, frame, edge): (usize, u64, Edge),
    ) {
        let connection = self.connection(id.0);
        if connection.is_reset || connection.is_cut {
            // What ended the connection came first.
            connection.lane(way).lost_starts.push(rule);
            return;
        }
        let fault = self.rules.id(rule);
        self.events.push_back(Event::Triggered { fault, frame });
        let planned = self.rules.planned(rule);
        let until_ns = planned.for_ns.map(|for_ns| now_ns.saturating_add(for_ns));
        let waits = edge == Edge::Before && interrupts(&planned.fault);
        match self.rules.on_link(rule).map(|link| link.verb) {
            Some(LinkVerb::Cut { how, at_byte: None, .. }) => {
                self.connection(id.0).lane(way).clear();
                self.cut_now(now_ns, id, (rule, how, frame));
            }
            Some(_) => self.activate(now_ns, rule, until_ns),
            None if waits && self.rules.is_watching(rule) => {
                let until_ns = now_ns.saturating_add(NODE_HOLD_NS_MAX);
                self.connection(id.0).lane(way).node_hold = Some(NodeHold { fault, until_ns });
            }
            None => {}
        }
    }

    /// A fault that was to start at a frame that was lost on the way starts at the next of its kind: the ends of connections that
    /// come first take nothing from a plan.
    pub(super) fn give_back_starts(&mut self) {
        let lanes = self.connections.values_mut().flat_map(|connection| &mut connection.lanes);
        let lost: Vec<usize> = lanes.flat_map(|lane| lane.lost_starts.drain(..)).collect();
        for rule in lost {
            self.rules.give_back(rule);
        }
    }

    /// Ends a connection: reset, or politely after what is on the way.
    pub(super) fn cut_now(
        &mut self,
        now_ns: u64,
        id: ConnectionId,
        (rule, how, frame): (usize, CutHow, u64),
    ) {
        let connection = self.connection(id.0);
        if connection.is_reset || connection.is_cut {
            return;
        }
        connection.is_cut = true;
        let is_drop = self.rules.on_link(rule).is_some_and(|link| matches!(link.verb, LinkVerb::Drop));
        let why = if is_drop { "this protocol does not survive a lost frame: " } else { "" };
        self.fired(rule, frame, format!("{why}the connection was {}", cut_words(how)));
        match how {
            CutHow::Rst => self.connection(id.0).reset(),
            CutHow::Fin => {
                for way in WAYS {
                    self.flush_held(now_ns, id, way);
                    let lane = self.connection(id.0).lane(way);
                    let is_ending =
                        lane.queue.iter().any(|item| matches!(item.what, What::End | What::Reset));
                    if !lane.is_dead && !is_ending {
                        lane.push(now_ns, What::End);
                        lane.is_closing = true;
                    }
                }
            }
        }
    }

    /// Resets the connections that lost something in a partition that is over.
    fn bury_interrupted(&mut self, rule: usize) {
        let partitioned = WAYS.map(|way| self.is_partitioned(way));
        for id in self.alive() {
            let connection = self.connection(id.0);
            let has_lost =
                WAYS.iter().any(|way| connection.lanes[way.index()].has_lost && !partitioned[way.index()]);
            if has_lost {
                connection.reset();
                self.fired(rule, 0, "the connection had lost bytes and was reset".to_owned());
            }
        }
    }
}
