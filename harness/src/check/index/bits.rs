//! An exact set of small numbers that costs about one bit per number, and next to nothing where it is full.
//!
//! Which messages of a conversation a device has is mostly "all of them, in order", for every one of
//! many devices. Chunks that are full, or full but for a few, are folded once the set has moved on.

/// Numbers per chunk.
const CHUNK: u32 = 4_096;
/// A chunk with at most this many absent numbers is kept as the list of those (2 bytes each).
const ABSENT_MAX: usize = 128;

#[derive(Clone, Debug)]
enum Chunk {
    /// One bit per number, grown as needed.
    Raw(Vec<u64>),
    /// Everything but these, rising.
    AllBut(Vec<u16>),
}

/// The set. Memory: at most one bit per number below the greatest, plus 24 bytes per 4,096.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bits {
    chunks: Vec<Chunk>,
}

impl Bits {
    /// Adds a number; whether it was new.
    pub(crate) fn insert(&mut self, number: u32) -> bool {
        let (chunk, bit) = ((number / CHUNK) as usize, number % CHUNK);
        if chunk >= self.chunks.len() {
            self.chunks.resize(chunk + 1, Chunk::Raw(Vec::new()));
            if chunk >= 2 {
                self.fold(chunk - 2);
            }
        }
        match &mut self.chunks[chunk] {
            Chunk::Raw(words) => {
                let (word, mask) = ((bit / 64) as usize, 1u64 << (bit % 64));
                if word >= words.len() {
                    words.resize(word + 1, 0);
                }
                let new = words[word] & mask == 0;
                words[word] |= mask;
                new
            }
            Chunk::AllBut(absent) => match absent.binary_search(&(bit as u16)) {
                Ok(at) => {
                    absent.remove(at);
                    true
                }
                Err(_) => false,
            },
        }
    }

    /// Whether a number is in the set.
    pub(crate) fn contains(&self, number: u32) -> bool {
        self.word(number / 64) & (1 << (number % 64)) != 0
    }

    /// The 64 numbers from `64 * word` on, as bits.
    pub(crate) fn word(&self, word: u32) -> u64 {
        let within = word % (CHUNK / 64);
        match self.chunks.get((word / (CHUNK / 64)) as usize) {
            None => 0,
            Some(Chunk::Raw(words)) => words.get(within as usize).copied().unwrap_or(0),
            Some(Chunk::AllBut(absent)) => {
                let from = absent.partition_point(|&n| u32::from(n) < within * 64);
                let mut word = u64::MAX;
                for &n in absent[from..].iter().take_while(|&&n| u32::from(n) < within * 64 + 64) {
                    word &= !(1 << (n % 64));
                }
                word
            }
        }
    }

    /// Adds everything that another set has.
    pub(crate) fn extend(&mut self, other: &Bits) {
        for word in 0..other.chunks.len() as u32 * (CHUNK / 64) {
            let mut bits = other.word(word);
            while bits != 0 {
                self.insert(word * 64 + bits.trailing_zeros());
                bits &= bits - 1;
            }
        }
    }

    fn fold(&mut self, chunk: usize) {
        let Chunk::Raw(words) = &mut self.chunks[chunk] else { return };
        let ones: u32 = words.iter().map(|w| w.count_ones()).sum();
        if (CHUNK - ones) as usize > ABSENT_MAX {
            words.shrink_to_fit();
            return;
        }
        let absent = (0..CHUNK)
            .filter(|n| words.get((n / 64) as usize).is_none_or(|w| w & (1 << (n % 64)) == 0))
            .map(|n| n as u16)
            .collect();
        self.chunks[chunk] = Chunk::AllBut(absent);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn agrees_with_a_plain_set(holes in prop::collection::vec(0u32..40_000, 0..300), late in any::<bool>()) {
            let holes: BTreeSet<u32> = holes.into_iter().collect();
            let (mut bits, mut plain) = (Bits::default(), BTreeSet::new());
            for n in (0..40_000).filter(|n| !holes.contains(n)) {
                prop_assert!(bits.insert(n) == plain.insert(n));
            }
            if late {
                for &n in holes.iter().step_by(2) {
                    prop_assert!(bits.insert(n) && plain.insert(n) && !bits.insert(n));
                }
            }
            for n in 0..41_000 {
                prop_assert_eq!(bits.contains(n), plain.contains(&n));
            }
            let mut copy = Bits::default();
            copy.extend(&bits);
            prop_assert!((0..41_000).all(|n| copy.contains(n) == plain.contains(&n)));
        }
    }
}
