//! When each party has its next turn: one time per party, moved in place.
//!
//! Not a queue of wishes: a party whose timer moves with every frame would leave a stale wish behind each time, and a
//! long run would sift more of those than of anything else. And no heap: parties are few and their alarms move with every
//! turn, so each has a place of its own, and for each group of places the first is known. Only when that one moves back or goes
//! is its group looked at.

/// Bits of a key that say whose alarm it is, and those above that say in which order it was asked for; time is above both.
const PARTY_BITS: u32 = 24;
const ASKED_BITS: u32 = 40;
/// Of a party without an alarm: after every other.
const UNSET: u128 = u128::MAX;
/// Places of which the first is known; with more parties, as many groups make a group again.
const GROUP: usize = 16;

/// The parties' alarms, by (time, order of asking), each party at most one.
#[derive(Debug)]
pub(super) struct Alarms {
    /// The parties' keys; then the smallest of each group of them; and so on, until there is one.
    levels: Vec<Vec<u128>>,
}

impl Default for Alarms {
    fn default() -> Self {
        Self { levels: vec![Vec::new(), vec![UNSET]] }
    }
}

impl Alarms {
    /// The first of all: when, and which one that was asked for.
    pub(super) fn first(&self) -> Option<(u64, u64)> {
        let first = self.least();
        (first != UNSET).then(|| (at_ns(first), (first as u64) >> PARTY_BITS))
    }

    /// When a party's alarm rings; `u64::MAX` if it is not set.
    pub(super) fn at_ns(&self, party: u32) -> u64 {
        self.levels[0].get(party as usize).map_or(u64::MAX, |key| at_ns(*key))
    }

    /// Sets the alarm of a party, whether or not it was set before. No two are asked for as the same.
    pub(super) fn set(&mut self, party: u32, (at_ns, asked): (u64, u64)) {
        assert!(party >> PARTY_BITS == 0 && asked >> ASKED_BITS == 0, "no run has so many parties or turns");
        if self.levels[0].len() <= party as usize {
            self.grow(party as usize + 1);
        }
        self.put(party, u128::from(at_ns) << 64 | u128::from(asked) << PARTY_BITS | u128::from(party));
    }

    /// Takes the first of all.
    pub(super) fn pop(&mut self) -> Option<u32> {
        let first = self.least();
        let party = first as u32 & ((1 << PARTY_BITS) - 1);
        (first != UNSET).then(|| {
            self.put(party, UNSET);
            party
        })
    }

    /// Forgets the alarm of a party.
    pub(super) fn unset(&mut self, party: u32) {
        if (party as usize) < self.levels[0].len() {
            self.put(party, UNSET);
        }
    }

    fn least(&self) -> u128 {
        self.levels.last().map_or(UNSET, |top| top[0])
    }

    /// A party has another key, and so may its group, and theirs.
    fn put(&mut self, party: u32, mut key: u128) {
        let mut place = party as usize;
        for level in 0..self.levels.len() - 1 {
            let old = std::mem::replace(&mut self.levels[level][place], key);
            place /= GROUP;
            let known = self.levels[level + 1][place];
            if key > known {
                if old != known {
                    return;
                }
                let group = self.levels[level][place * GROUP..].iter().take(GROUP);
                key = group.fold(UNSET, |least, key| least.min(*key));
            }
        }
        if let Some(top) = self.levels.last_mut() {
            top[0] = key;
        }
    }

    fn grow(&mut self, parties: usize) {
        self.levels[0].resize(parties, UNSET);
        self.levels.truncate(1);
        while let Some(below) = self.levels.last().filter(|below| self.levels.len() == 1 || below.len() > 1) {
            let least = |group: &[u128]| group.iter().copied().fold(UNSET, u128::min);
            let groups = below.chunks(GROUP).map(least).collect();
            self.levels.push(groups);
        }
    }
}

fn at_ns(key: u128) -> u64 {
    (key >> 64) as u64
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
            let party = number(step, 0, 600) as u32;
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
