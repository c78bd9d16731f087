//! Which positions of a conversation a device knows: first, last, and the ranges in between that it does not.
//!
//! In order it is two numbers. Only what is out of order costs memory.

/// Ranges kept per device and conversation; beyond that the oldest is forgotten and counts as known
/// (so that a forgotten range can only excuse).
const MISSING_MAX: usize = 65_536;

/// Memory: 16 bytes per range that is missing, at most [`MISSING_MAX`] of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Track {
    /// First position seen; 0 = none yet.
    pub(crate) first: u64,
    /// Last position seen.
    pub(crate) last: u64,
    /// Inclusive ranges between them that were not seen, rising.
    missing: Vec<(u64, u64)>,
}

impl Track {
    /// Takes a position; whether it was new.
    pub(crate) fn insert(&mut self, at: u64) -> bool {
        if self.first == 0 {
            (self.first, self.last) = (at, at);
            return true;
        }
        if at > self.last {
            if at > self.last + 1 {
                self.push(self.last + 1, at - 1);
            }
            self.last = at;
            return true;
        }
        if at < self.first {
            if at + 1 < self.first {
                self.missing.insert(0, (at + 1, self.first - 1));
            }
            self.first = at;
            return true;
        }
        let Some(range) = self.range_of(at) else { return false };
        let (from, to) = self.missing[range];
        match (from == at, to == at) {
            (true, true) => {
                self.missing.remove(range);
            }
            (true, false) => self.missing[range].0 = at + 1,
            (false, true) => self.missing[range].1 = at - 1,
            (false, false) => {
                self.missing[range].1 = at - 1;
                self.missing.insert(range + 1, (at + 1, to));
            }
        }
        true
    }

    /// Whether a position was seen.
    pub(crate) fn contains(&self, at: u64) -> bool {
        self.first != 0 && at >= self.first && at <= self.last && self.range_of(at).is_none()
    }

    /// The ranges that were not seen, rising.
    pub(crate) fn missing(&self) -> &[(u64, u64)] {
        &self.missing
    }

    fn range_of(&self, at: u64) -> Option<usize> {
        let after = self.missing.partition_point(|&(from, _)| from <= at);
        (after > 0 && self.missing[after - 1].1 >= at).then(|| after - 1)
    }

    fn push(&mut self, from: u64, to: u64) {
        if self.missing.len() == MISSING_MAX {
            self.missing.remove(0);
        }
        self.missing.push((from, to));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn agrees_with_a_plain_set(positions in prop::collection::vec(1u64..200, 1..150)) {
            let (mut track, mut plain) = (Track::default(), BTreeSet::new());
            for at in positions {
                prop_assert_eq!(track.insert(at), plain.insert(at));
            }
            let (first, last) = (*plain.first().unwrap(), *plain.last().unwrap());
            prop_assert_eq!((track.first, track.last), (first, last));
            for at in 1..200 {
                prop_assert_eq!(track.contains(at), plain.contains(&at));
                let listed = track.missing().iter().any(|&(from, to)| (from..=to).contains(&at));
                prop_assert_eq!(listed, at > first && at < last && !plain.contains(&at));
            }
        }
    }
}
