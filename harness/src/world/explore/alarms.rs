//! When each party has its next turn: one time per party, moved in place.
//!
//! Not a queue of wishes: a party whose timer moves with every frame would leave a stale wish behind each time, and a
//! long run would sift more of those than of anything else.

/// A heap of parties by (time, order of asking), each at most once, that knows where everybody stands.
#[derive(Debug, Default)]
pub(super) struct Alarms {
    /// By party.
    alarms: Vec<Alarm>,
    /// The heap: parties, the earliest first.
    heap: Vec<u32>,
}

#[derive(Clone, Copy, Debug)]
struct Alarm {
    /// When, and which one that was asked for; the smallest comes first.
    key: (u64, u64),
    /// Its place in the heap.
    place: Option<u32>,
}

const UNSET: Alarm = Alarm { key: (u64::MAX, u64::MAX), place: None };

impl Alarms {
    /// The first of all: its key.
    pub(super) fn first(&self) -> Option<(u64, u64)> {
        self.heap.first().map(|party| self.alarms[*party as usize].key)
    }

    /// When a party's alarm rings; `u64::MAX` if it is not set.
    pub(super) fn at_ns(&self, party: u32) -> u64 {
        self.alarms.get(party as usize).map_or(u64::MAX, |alarm| alarm.key.0)
    }

    /// Sets the alarm of a party, whether or not it was set before.
    pub(super) fn set(&mut self, party: u32, key: (u64, u64)) {
        if self.alarms.len() <= party as usize {
            self.alarms.resize(party as usize + 1, UNSET);
        }
        let alarm = &mut self.alarms[party as usize];
        alarm.key = key;
        let place = alarm.place.unwrap_or_else(|| {
            self.heap.push(party);
            self.heap.len() as u32 - 1
        });
        self.settle(place as usize);
    }

    /// Takes the first of all.
    pub(super) fn pop(&mut self) -> Option<u32> {
        let party = *self.heap.first()?;
        self.unset(party);
        Some(party)
    }

    /// Forgets the alarm of a party.
    pub(super) fn unset(&mut self, party: u32) {
        let Some(alarm) = self.alarms.get_mut(party as usize) else { return };
        let Some(place) = std::mem::replace(alarm, UNSET).place else { return };
        self.heap.swap_remove(place as usize);
        if (place as usize) < self.heap.len() {
            self.settle(place as usize);
        }
    }

    /// Moves the party at a place to where it belongs.
    fn settle(&mut self, mut at: usize) {
        let party = self.heap[at];
        let key = self.alarms[party as usize].key;
        while at > 0 && key < self.key((at - 1) / 2) {
            self.put(at, self.heap[(at - 1) / 2]);
            at = (at - 1) / 2;
        }
        loop {
            let left = 2 * at + 1;
            if left >= self.heap.len() {
                break;
            }
            let right = left + 1;
            let child =
                if right < self.heap.len() && self.key(right) < self.key(left) { right } else { left };
            if key <= self.key(child) {
                break;
            }
            self.put(at, self.heap[child]);
            at = child;
        }
        self.put(at, party);
    }

    fn key(&self, place: usize) -> (u64, u64) {
        self.alarms[self.heap[place] as usize].key
    }

    fn put(&mut self, place: usize, party: u32) {
        self.heap[place] = party;
        self.alarms[party as usize].place = Some(place as u32);
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
