//! Foreign ids to dense slots: an array where the ids are dense, a hash map where they are not.

use rustc_hash::FxHashMap;

/// No slot.
pub(crate) const NONE: u32 = u32::MAX;
/// Ids below this are always kept in the array.
const DENSE_MIN: u64 = 65_536;
/// The array may be this many times as long as there are ids (at 4 bytes each).
const SPARSE_FACTOR: u64 = 8;

/// Memory: 4 bytes per id where ids are dense; at most 32 where not, or about 16 in the map.
#[derive(Clone, Debug, Default)]
pub(crate) struct Numbers {
    dense: Vec<u32>,
    sparse: FxHashMap<u64, u32>,
    count: u64,
}

impl Numbers {
    /// The slot of an id.
    pub(crate) fn get(&self, id: u64) -> Option<u32> {
        match self.dense.get(id as usize) {
            Some(&slot) if slot != NONE => Some(slot),
            _ if self.sparse.is_empty() => None,
            _ => self.sparse.get(&id).copied(),
        }
    }

    /// Gives an id a slot, in place of the one it may have had.
    pub(crate) fn set(&mut self, id: u64, slot: u32) {
        self.count += 1;
        if id >= DENSE_MIN + SPARSE_FACTOR * self.count || self.sparse.contains_key(&id) {
            self.sparse.insert(id, slot);
            return;
        }
        if id as usize >= self.dense.len() {
            self.dense.resize(id as usize + 1, NONE);
        }
        self.dense[id as usize] = slot;
    }
}

/// A growing array in pieces: never copied, so that memory follows the number of elements.
#[derive(Clone, Debug)]
pub(crate) struct Pieces<T> {
    pieces: Vec<Vec<T>>,
}

/// Elements per piece.
const PIECE: usize = 8_192;

impl<T> Default for Pieces<T> {
    fn default() -> Self {
        Self { pieces: Vec::new() }
    }
}

impl<T> Pieces<T> {
    /// How many elements there are.
    pub(crate) fn len(&self) -> usize {
        self.pieces.last().map_or(0, |last| (self.pieces.len() - 1) * PIECE + last.len())
    }

    /// Appends one; its place.
    pub(crate) fn push(&mut self, element: T) -> u32 {
        let at = self.len();
        if at.is_multiple_of(PIECE) {
            // The first piece grows by doubling, so that a small history stays small.
            self.pieces.push(if at == 0 { Vec::new() } else { Vec::with_capacity(PIECE) });
        }
        self.pieces[at / PIECE].push(element);
        at as u32
    }
}

impl<T> std::ops::Index<u32> for Pieces<T> {
    type Output = T;
    fn index(&self, at: u32) -> &T {
        &self.pieces[at as usize / PIECE][at as usize % PIECE]
    }
}

impl<T> std::ops::IndexMut<u32> for Pieces<T> {
    fn index_mut(&mut self, at: u32) -> &mut T {
        &mut self.pieces[at as usize / PIECE][at as usize % PIECE]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dense_and_sparse_ids_are_found() {
        let mut numbers = Numbers::default();
        let ids = [1, 2, 3, 65_000, 1 << 20, u64::MAX, 70_000, 1 << 40];
        for (slot, id) in ids.into_iter().enumerate() {
            assert_eq!(numbers.get(id), None);
            numbers.set(id, slot as u32);
        }
        for (slot, id) in ids.into_iter().enumerate() {
            assert_eq!(numbers.get(id), Some(slot as u32));
        }
        assert!(numbers.dense.len() < 200_000);
    }

    #[test]
    fn an_id_that_was_sparse_stays_where_it_is() {
        let mut numbers = Numbers::default();
        numbers.set(100_000, 1);
        (0..90_000).for_each(|id| numbers.set(id, 7));
        numbers.set(100_000, 2);
        assert_eq!(numbers.get(100_000), Some(2));
    }

    #[test]
    fn pieces_keep_their_order() {
        let mut pieces = Pieces::default();
        (0..20_000u32).for_each(|n| assert_eq!(pieces.push(n), n));
        assert_eq!(pieces.len(), 20_000);
        assert!((0..20_000).all(|n| pieces[n] == n));
    }
}
