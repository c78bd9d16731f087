//! What is to come, by time: the event heap. Equal times are served in the order in which they were asked for.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

/// Somebody who has something to do at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Turn {
    /// A task of the conductor wakes up.
    Task(u32),
    /// A device.
    Seat(u32),
    /// The line between a device and the server.
    Line(u32),
    /// The server.
    Node,
}

/// The clock and what it will come to. Time passes only in [`Agenda::next`].
#[derive(Debug, Default)]
pub(super) struct Agenda {
    now_ns: u64,
    asked: u64,
    later: BinaryHeap<Reverse<(u64, u64, Turn)>>,
    /// Asked for at this very instant: behind everything in `later` that is due now, because that was asked for before.
    now: VecDeque<Turn>,
    /// Turns since the clock last moved.
    turns_here: u64,
}

impl Agenda {
    pub(super) fn now_ns(&self) -> u64 {
        self.now_ns
    }

    /// Turns that were served at this very instant: a run whose clock does not move any more has a bug in it.
    pub(super) fn turns_here(&self) -> u64 {
        self.turns_here
    }

    /// Asks for a turn. The past is now.
    pub(super) fn push(&mut self, at_ns: u64, turn: Turn) {
        if at_ns <= self.now_ns {
            self.now.push_back(turn);
        } else {
            self.asked += 1;
            self.later.push(Reverse((at_ns, self.asked, turn)));
        }
    }

    /// Moves the clock to the next turn and gives it.
    pub(super) fn next(&mut self) -> Option<Turn> {
        self.turns_here += 1;
        let is_due = self.later.peek().is_some_and(|Reverse(first)| first.0 <= self.now_ns);
        if !is_due && let Some(turn) = self.now.pop_front() {
            return Some(turn);
        }
        let Reverse((at_ns, _, turn)) = self.later.pop()?;
        if at_ns > self.now_ns {
            self.now_ns = at_ns;
            self.turns_here = 0;
        }
        Some(turn)
    }
}

/// When somebody has their next turn: asks the agenda only when that becomes earlier, and tells stale turns apart.
#[derive(Clone, Copy, Debug)]
pub(super) struct Alarm {
    at_ns: u64,
}

impl Default for Alarm {
    fn default() -> Self {
        Self { at_ns: u64::MAX }
    }
}

impl Alarm {
    /// The next turn is wanted then at the latest.
    pub(super) fn set(&mut self, agenda: &mut Agenda, at_ns: u64, turn: Turn) {
        let at_ns = at_ns.max(agenda.now_ns());
        if at_ns < self.at_ns {
            self.at_ns = at_ns;
            agenda.push(at_ns, turn);
        }
    }

    /// A turn came. `false`: it was overtaken by an earlier one, and whatever is still to come was asked for anew.
    pub(super) fn rings(&mut self, now_ns: u64) -> bool {
        let rings = self.at_ns <= now_ns;
        if rings {
            self.at_ns = u64::MAX;
        }
        rings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_come_by_time_then_in_the_order_of_asking() {
        let mut agenda = Agenda::default();
        for (at_ns, task) in [(20, 1), (10, 2), (20, 3), (10, 4)] {
            agenda.push(at_ns, Turn::Task(task));
        }
        assert_eq!(agenda.next(), Some(Turn::Task(2)));
        assert_eq!(agenda.now_ns(), 10);
        agenda.push(10, Turn::Task(5)); // now: behind what was asked for before
        agenda.push(3, Turn::Task(6)); // the past is now
        let rest: Vec<_> = std::iter::from_fn(|| agenda.next()).collect();
        assert_eq!(rest, [4, 5, 6, 1, 3].map(Turn::Task));
        assert_eq!(agenda.now_ns(), 20);
    }

    #[test]
    fn an_alarm_rings_once_and_at_the_earliest_time_asked_for() {
        let (mut agenda, mut alarm) = (Agenda::default(), Alarm::default());
        for at_ns in [30, 10, 20] {
            alarm.set(&mut agenda, at_ns, Turn::Node);
        }
        let mut rang = Vec::new();
        while agenda.next().is_some() {
            if alarm.rings(agenda.now_ns()) {
                rang.push(agenda.now_ns());
            }
        }
        assert_eq!(rang, [10]);
    }
}
