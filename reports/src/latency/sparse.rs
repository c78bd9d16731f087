//! Counts of values, a few hundred distinct ones most often: what an interval log holds, added up without loss.
//!
//! Not a histogram of fixed width: an interval touches a few hundred of a histogram's 23,000 buckets.

use super::summary::rank;

/// Pairs that may wait until they are put in order.
const UNSORTED_MAX: usize = 4_096;

/// How often which value was seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sparse {
    /// In order of the values up to `sorted`, each value once.
    pairs: Vec<(u64, u64)>,
    sorted: usize,
    count: u64,
}

impl Sparse {
    /// Adds a value that was seen so often.
    pub fn add(&mut self, value_us: u64, count: u64) {
        if count == 0 {
            return;
        }
        self.count = self.count.saturating_add(count);
        self.pairs.push((value_us, count));
        if self.pairs.len() - self.sorted > UNSORTED_MAX.max(self.sorted) {
            self.settle();
        }
    }

    /// Adds everything that another has.
    pub fn merge(&mut self, other: &Self) {
        other.pairs.iter().for_each(|(value_us, count)| self.add(*value_us, *count));
    }

    /// Puts the values in order; whoever reads calls it first.
    pub fn settle(&mut self) {
        self.pairs.sort_unstable_by_key(|(value, _)| *value);
        self.pairs.dedup_by(|next, kept| {
            let is_same = next.0 == kept.0;
            if is_same {
                kept.1 = kept.1.saturating_add(next.1);
            }
            is_same
        });
        self.sorted = self.pairs.len();
    }

    /// Values, rising, with how often each was seen. Settled values only.
    pub fn pairs(&self) -> &[(u64, u64)] {
        &self.pairs[..self.sorted]
    }

    /// How many values.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The greatest value.
    pub fn max_us(&self) -> Option<u64> {
        self.pairs().last().map(|(value, _)| *value)
    }

    /// The smallest value that so many (in thousandths of a per cent) of all samples do not exceed, `never` of them without
    /// end; `None` if that sample never arrived, or there is none.
    pub fn percentile_us(&self, percentile_milli: u32, never: u64) -> Option<u64> {
        let wanted = rank(self.count.saturating_add(never), percentile_milli);
        let mut seen = 0_u64;
        self.pairs().iter().find_map(|(value, count)| {
            seen = seen.saturating_add(*count);
            (seen >= wanted).then_some(*value)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_ranks_and_what_never_arrives_has_no_value() {
        let mut sparse = Sparse::default();
        for value in (1..=100).rev() {
            sparse.add(value, 1);
        }
        sparse.add(100, 0);
        sparse.settle();
        let check = |milli, never, expected| assert_eq!(sparse.percentile_us(milli, never), expected);
        check(50_000, 0, Some(50));
        check(99_000, 0, Some(99));
        check(100_000, 0, Some(100));
        check(100_000, 1, None);
        check(50_000, 100, Some(100));
        check(50_001, 100, None);
        assert_eq!(Sparse::default().percentile_us(50_000, 0), None);
    }

    #[test]
    fn what_is_added_in_any_order_is_the_same() {
        let (mut one, mut other) = (Sparse::default(), Sparse::default());
        for number in 0..20_000_u64 {
            one.add(number * 7 % 101, 1);
            other.add((19_999 - number) * 7 % 101, 1);
        }
        one.settle();
        other.settle();
        assert_eq!(one, other);
        assert_eq!(one.pairs().len(), 101);
        assert_eq!(one.count(), 20_000);
    }
}
