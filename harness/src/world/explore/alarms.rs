//! When each party has its next turn: one time per party, moved in place.
//!
//! Not a queue of wishes: a party whose timer moves with every frame would leave a stale wish behind each time, and a
//! long run would sift more of those than of anything else. And no heap: parties are few and their alarms move with every
//! turn, so each has a place of its own in a tournament: each pair is known by the earlier of the two, and the pairs
//! make pairs again. An alarm that moves is compared with its neighbours on the way up, until one of them is earlier anyway.

/// Bits of a key that say whose alarm it is, and those above that say in which order it was asked for; time is above both.
const PARTY_BITS: u32 = 24;
const ASKED_BITS: u32 = 40;
/// Of a party without an alarm: after every other.
const UNSET: u128 = u128::MAX;

/// The parties' alarms, by (time, order of asking), each party at most one.
#[derive(Debug)]
pub(super) struct Alarms {
    /// From 1: the earlier of the pair at `2 * place` and `2 * place + 1`, the earliest of all first. The second half has
    /// the parties' own keys. A power of two of them.
    tournament: Vec<u128>,
}

impl Default for Alarms {
    fn default() -> Self {
        Self { tournament: vec![UNSET; 2] }
    }
}

impl Alarms {
    /// The first of all: when, and which one that was asked for.
    pub(super) fn first(&self) -> Option<(u64, u64)> {
        let first = self.tournament[1];
        (first != UNSET).then(|| (at_ns(first), (first as u64) >> PARTY_BITS))
    }

    /// When a party's alarm rings; `u64::MAX` if it is not set.
    pub(super) fn at_ns(&self, party: u32) -> u64 {
        self.tournament.get(self.places() + party as usize).map_or(u64::MAX, |key| at_ns(*key))
    }

    /// Sets the alarm of a party, whether or not it was set before. No two are asked for as the same.
    pub(super) fn set(&mut self, party: u32, (at_ns, asked): (u64, u64)) {
        assert!(party >> PARTY_BITS == 0 && asked >> ASKED_BITS == 0, "no run has so many parties or turns");
        if party as usize >= self.places() {
            self.grow(party as usize + 1);
        }
        self.put(party, u128::from(at_ns) << 64 | u128::from(asked) << PARTY_BITS | u128::from(party));
    }

    /// Takes the first of all.
    pub(super) fn pop(&mut self) -> Option<u32> {
        let first = self.tournament[1];
        let party = first as u32 & ((1 << PARTY_BITS) - 1);
        (first != UNSET).then(|| {
            self.put(party, UNSET);
            party
        })
    }

    /// Forgets the alarm of a party.
    pub(super) fn unset(&mut self, party: u32) {
        if self.at_ns(party) < u64::MAX {
            self.put(party, UNSET);
        }
    }

    /// For how many parties there is room.
    fn places(&self) -> usize {
        self.tournament.len() / 2
    }

    /// A party has another key, and so may the pairs above it.
    fn put(&mut self, party: u32, key: u128) {
        let mut place = self.places() + party as usize;
        let mut earlier = key;
        loop {
            self.tournament[place] = earlier;
            if place == 1 {
                return;
            }
            earlier = earlier.min(self.tournament[place ^ 1]);
            place /= 2;
            if self.tournament[place] == earlier {
                return;
            }
        }
    }

    fn grow(&mut self, parties: usize) {
        let places = parties.next_power_of_two();
        let mut tournament = vec![UNSET; places];
        tournament.extend_from_slice(&self.tournament[self.places()..]);
        tournament.resize(2 * places, UNSET);
        for place in (1..places).rev() {
            tournament[place] = tournament[2 * place].min(tournament[2 * place + 1]);
        }
        self.tournament = tournament;
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
