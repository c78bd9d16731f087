//! What is to come, by time: the event heap. Equal times are served in the order in which they were asked for.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use super::alarms::Alarms;

/// Somebody who has something to do at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    /// Tasks: each may wait for several times at once.
    tasks: BinaryHeap<Reverse<(u64, u64, u32)>>,
    /// Devices, lines and the server: each has one next turn.
    alarms: Alarms,
    /// Asked for at this very instant: behind everything that is due now because it was asked for before.
    now: VecDeque<Turn>,
    /// By party: it is in `now`.
    is_next: Vec<bool>,
}

impl Agenda {
    pub(super) fn now_ns(&self) -> u64 {
        self.now_ns
    }

    /// Asks for a turn. The past is now. A task is woken as often as it asked; everybody else has one next turn, at the
    /// earliest time that was asked for since the last one.
    pub(super) fn push(&mut self, at_ns: u64, turn: Turn) {
        if let Some(party) = party(turn) {
            self.set_alarm(at_ns, turn, party);
        } else if let Turn::Task(task) = turn
            && at_ns > self.now_ns
        {
            self.asked += 1;
            self.tasks.push(Reverse((at_ns, self.asked, task)));
        } else {
            self.now.push_back(turn);
        }
    }

    /// Moves the clock to the next turn and gives it.
    pub(super) fn next(&mut self) -> Option<Turn> {
        let task =
            self.tasks.peek().map_or((u64::MAX, u64::MAX), |Reverse((at_ns, asked, _))| (*at_ns, *asked));
        let alarm = self.alarms.first().unwrap_or((u64::MAX, u64::MAX));
        let (at_ns, _) = task.min(alarm);
        if at_ns > self.now_ns
            && let Some(turn) = self.now.pop_front()
        {
            if let Some(party) = party(turn) {
                self.is_next[party as usize] = false;
            }
            return Some(turn);
        }
        let turn = if task < alarm {
            self.tasks.pop().map(|Reverse((.., task))| Turn::Task(task))
        } else {
            self.alarms.pop().map(turn_of)
        };
        if at_ns > self.now_ns && turn.is_some() {
            self.now_ns = at_ns;
        }
        turn
    }

    fn set_alarm(&mut self, at_ns: u64, turn: Turn, party: u32) {
        if self.is_next.len() <= party as usize {
            self.is_next.resize(party as usize + 1, false);
        }
        let is_next = &mut self.is_next[party as usize];
        if *is_next || self.alarms.at_ns(party) <= at_ns.max(self.now_ns) {
            return;
        }
        if at_ns <= self.now_ns {
            *is_next = true;
            self.alarms.unset(party);
            self.now.push_back(turn);
        } else {
            self.asked += 1;
            self.alarms.set(party, (at_ns, self.asked));
        }
    }
}

/// The number under which somebody has an alarm; tasks have none.
fn party(turn: Turn) -> Option<u32> {
    match turn {
        Turn::Task(_) => None,
        Turn::Node => Some(0),
        Turn::Seat(device) => Some(2 * device + 1),
        Turn::Line(device) => Some(2 * device + 2),
    }
}

fn turn_of(party: u32) -> Turn {
    match party {
        0 => Turn::Node,
        seat if seat % 2 == 1 => Turn::Seat(seat / 2),
        line => Turn::Line(line / 2 - 1),
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
        agenda.push(10, Turn::Line(7));
        assert_eq!(agenda.next(), Some(Turn::Task(2)));
        assert_eq!(agenda.now_ns(), 10);
        agenda.push(10, Turn::Task(5)); // now: behind what was asked for before
        agenda.push(3, Turn::Task(6)); // the past is now
        agenda.push(20, Turn::Node);
        let rest: Vec<_> = std::iter::from_fn(|| agenda.next()).collect();
        let line = Turn::Line(7);
        assert_eq!(rest[..4], [Turn::Task(4), line, Turn::Task(5), Turn::Task(6)]);
        assert_eq!(rest[4..], [Turn::Task(1), Turn::Task(3), Turn::Node]);
        assert_eq!(agenda.now_ns(), 20);
    }

    #[test]
    fn everybody_but_a_task_has_one_next_turn_at_the_earliest_time_asked_for() {
        let mut agenda = Agenda::default();
        for (at_ns, turn) in [(30, Turn::Node), (10, Turn::Node), (20, Turn::Node), (15, Turn::Seat(0))] {
            agenda.push(at_ns, turn);
        }
        let mut taken = Vec::new();
        while let Some(turn) = agenda.next() {
            taken.push((agenda.now_ns(), turn));
            if taken.len() == 1 {
                agenda.push(40, Turn::Node);
                agenda.push(10, Turn::Seat(0)); // now, and not at 15 any more
                agenda.push(12, Turn::Seat(0));
            }
        }
        assert_eq!(taken, [(10, Turn::Node), (10, Turn::Seat(0)), (40, Turn::Node)]);
    }
}
