//! When each party has its next turn: one time per party, moved in place.
//!
//! Not a queue of wishes: a party whose timer moves with every frame would leave a stale wish behind each time, and a
//! long run would sift more of those than of anything else.

/// A heap of parties by (time, order of asking), each at most once, that knows where everybody stands.
#[derive(Debug, Default)]
pub(super) struct Alarms {
    /// By party: its place in the heap, or [`NOWHERE`].
    places: Vec<u32>,
    /// The heap, the earliest first: when, which one that was asked for, and whose it is.
    heap: Vec<(Key, u32)>,
}

/// When, and which one that was asked for; the smallest comes first.
type Key = (u64, u64);

const NOWHERE: u32 = u32::MAX;

impl Alarms {
    /// The first of all: its key.
    pub(super) fn first(&self) -> Option<Key> {
        self.heap.first().map(|(key, _)| *key)
    }

    /// When a party's alarm rings; `u64::MAX` if it is not set.
    pub(super) fn at_ns(&self, party: u32) -> u64 {
        let place = self.places.get(party as usize).copied().unwrap_or(NOWHERE);
        self.heap.get(place as usize).map_or(u64::MAX, |((at_ns, _), _)| *at_ns)
    }

    /// Sets the alarm of a party, whether or not it was set before.
    pub(super) fn set(&mut self, party: u32, key: Key) {
        if self.places.len() <= party as usize {
            self.places.resize(party as usize + 1, NOWHERE);
        }
        let mut place = self.places[party as usize] as usize;
        if place == NOWHERE as usize {
            place = self.heap.len();
            self.heap.push((key, party));
        }
        self.settle(place, (key, party));
    }

    /// Takes the first of all.
    pub(super) fn pop(&mut self) -> Option<u32> {
        let (_, party) = *self.heap.first()?;
        self.unset(party);
        Some(party)
    }

    /// Forgets the alarm of a party.
    pub(super) fn unset(&mut self, party: u32) {
        let Some(place) = self.places.get_mut(party as usize) else { return };
        let place = std::mem::replace(place, NOWHERE) as usize;
        if place == NOWHERE as usize {
            return;
        }
        self.heap.swap_remove(place);
        if let Some(moved) = self.heap.get(place).copied() {
            self.settle(place, moved);
        }
    }

    /// Puts an alarm where it belongs, from a place that is free for it.
    fn settle(&mut self, mut at: usize, alarm: (Key, u32)) {
        while at > 0 && alarm.0 < self.heap[(at - 1) / 2].0 {
            self.put(at, self.heap[(at - 1) / 2]);
            at = (at - 1) / 2;
        }
        loop {
            let left = 2 * at + 1;
            let Some(mut child) = self.heap.get(left).copied() else { break };
            let mut below = left;
            if let Some(right) = self.heap.get(left + 1).filter(|right| right.0 < child.0) {
                (child, below) = (*right, left + 1);
            }
            if alarm.0 <= child.0 {
                break;
            }
            self.put(at, child);
            at = below;
        }
        self.put(at, alarm);
    }

    fn put(&mut self, place: usize, alarm: (Key, u32)) {
        self.heap[place] = alarm;
        self.places[alarm.1 as usize] = place as u32;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use avouch_scenarios::keyed::{Purpose, below, draw};

    use super::*;

    #[test]
    fn the_earliest_comes_first_whatever_was_set_moved_and_forgotten() {
        let number =
            |step: u64, what: u64, bound: u64| below(draw(1, Purpose::named("test"), &[step, what]), bound);
        let (mut alarms, mut expected) = (Alarms::default(), BTreeMap::new());
        for step in 0..20_000 {
            let party = number(step, 0, 40) as u32;
            match number(step, 1, 4) {
                0 => {
                    let first =
                        expected.iter().min_by_key(|(_, key)| **key).map(|(party, key)| (*party, *key));
                    assert_eq!(alarms.first(), first.map(|(_, key)| key));
                    assert_eq!(alarms.pop(), first.map(|(party, _)| party));
                    first.map(|(party, _)| expected.remove(&party));
                }
                1 => {
                    alarms.unset(party);
                    expected.remove(&party);
                }
                _ => {
                    let key = (number(step, 2, 1_000), step);
                    alarms.set(party, key);
                    expected.insert(party, key);
                }
            }
            assert_eq!(alarms.at_ns(party), expected.get(&party).map_or(u64::MAX, |key| key.0));
        }
    }
}
