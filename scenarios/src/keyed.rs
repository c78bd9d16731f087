//! Decisions as a keyed function: the same key gives the same draw, whatever else was drawn before.
//!
//! Not a shared random stream, on purpose: with a stream, one more client or one more fault shifts every
//! later decision. Here every decision names itself (seed, purpose, indices), so that a scenario can be
//! edited and the rest of its plan stays as it was. Not for secrets.
//!
//! The mixing is the finaliser of `SplitMix64` (Steele, Lea and Flood, "Fast splittable pseudorandom number
//! generators", OOPSLA 2014), applied once per part of the key.

/// Which stream of decisions; two purposes never share draws.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Purpose(u64);

impl Purpose {
    /// A purpose by name (FNV-1a of the name, so that order of declaration does not matter).
    pub const fn named(name: &str) -> Self {
        let bytes = name.as_bytes();
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        let mut index = 0;
        while index < bytes.len() {
            hash = (hash ^ bytes[index] as u64).wrapping_mul(0x0000_0100_0000_01b3);
            index += 1;
        }
        Self(hash)
    }
}

/// Step of `SplitMix64`: 2^64 divided by the golden ratio, odd.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// One draw: uniform over all 64-bit values, a pure function of its arguments.
pub fn draw(seed: u64, purpose: Purpose, key: &[u64]) -> u64 {
    Draws::of(seed, purpose, key).0
}

/// All draws whose keys begin alike: what they share is mixed once.
#[derive(Clone, Copy, Debug)]
pub struct Draws(u64);

impl Draws {
    /// The draws whose keys begin with these parts.
    pub fn of(seed: u64, purpose: Purpose, key: &[u64]) -> Self {
        let begin = Self(mix(seed ^ mix(purpose.0.wrapping_add(GOLDEN))));
        key.iter().fold(begin, |draws, part| Self(draws.draw(*part)))
    }

    /// The draw whose key has one more part, this one: the same as [`draw`] of the whole key.
    pub fn draw(self, part: u64) -> u64 {
        mix(self.0.wrapping_add(GOLDEN) ^ mix(part.wrapping_add(GOLDEN)))
    }
}

/// The decisions of a link fault about the frames of one direction of one device's link.
///
/// `fault` is [`crate::plan::PlannedFault::key`]; what is drawn from is the frame's ordinal on that link and direction over
/// the whole chaos phase, as the caller counts them. Compare with [`hits`].
pub fn decisions(seed: u64, fault: u64, device: u32, direction: crate::plan::Direction) -> Draws {
    const FRAME: Purpose = Purpose::named("link-frame");
    Draws::of(seed, FRAME, &[fault, u64::from(device), direction as u64])
}

/// Whether a draw falls into a share of `ppm` millionths: 0 never, 1,000,000 always.
pub fn hits(draw: u64, ppm: u32) -> bool {
    below(draw, 1_000_000) < u64::from(ppm)
}

/// Maps a draw onto `0..bound`; 0 for an empty range. The bias is below `bound` / 2^64.
pub fn below(draw: u64, bound: u64) -> u64 {
    ((u128::from(draw) * u128::from(bound)) >> 64) as u64
}

/// Maps a draw onto the open interval (0, 1].
pub fn unit(draw: u64) -> f64 {
    ((draw >> 11) + 1) as f64 / (1_u64 << 53) as f64
}

/// A finer draw from a draw, for decisions that need several numbers.
pub fn again(draw: u64, ordinal: u64) -> u64 {
    mix(draw.wrapping_add(GOLDEN.wrapping_mul(ordinal.wrapping_add(1))))
}

/// Picks one of `buckets`, so that adding a bucket at the end moves only what the new one takes (jump consistent
/// hash: Lamping and Veach, 2014). 0 for no buckets.
pub fn jump(draw: u64, buckets: u64) -> u64 {
    let mut key = draw;
    let mut chosen = 0_u64;
    let mut next = 0_u64;
    // Each round at least adds one to `next`, on average it doubles: about log2(buckets) rounds.
    while next < buckets {
        chosen = next;
        key = key.wrapping_mul(2_862_933_555_777_941_757).wrapping_add(1);
        let scale = (1_u64 << 31) as f64 / ((key >> 33) + 1) as f64;
        next = ((chosen + 1) as f64 * scale) as u64;
    }
    chosen
}

/// An exponentially distributed value with that mean.
pub fn exponential(draw: u64, mean: f64) -> f64 {
    -mean * ln(unit(draw))
}

/// Natural logarithm of a positive, normal number. Our own, from the four basic operations that IEEE 754 defines
/// exactly: the platform's may differ in the last bit, and a plan must be the same everywhere.
pub fn ln(value: f64) -> f64 {
    const LN_2: f64 = std::f64::consts::LN_2;
    let bits = value.to_bits();
    let mut exponent = ((bits >> 52) & 0x7ff) as i64 - 1023;
    let mut mantissa = f64::from_bits((bits & ((1 << 52) - 1)) | (1023 << 52));
    if mantissa > std::f64::consts::SQRT_2 {
        mantissa /= 2.0;
        exponent += 1;
    }
    // ln m = 2 artanh((m - 1) / (m + 1)); |ratio| < 0.172, so that 12 terms leave less than 1e-19.
    let ratio = (mantissa - 1.0) / (mantissa + 1.0);
    let square = ratio * ratio;
    let mut sum = 0.0;
    for term in (0..12).rev() {
        sum = sum * square + 1.0 / f64::from(2 * term + 1);
    }
    exponent as f64 * LN_2 + 2.0 * ratio * sum
}

fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::plan::Direction;

    const TEST: Purpose = Purpose::named("test");

    /// A replay of a stored plan depends on these: changing them changes what every seed means.
    #[test]
    fn draws_are_pinned() {
        let drawn: Vec<u64> = (0..3).map(|index| draw(7, TEST, &[index])).collect();
        assert_eq!(drawn, PINNED);
    }

    const PINNED: [u64; 3] =
        [17_387_665_038_980_506_569, 11_319_863_682_564_332_708, 16_570_951_073_351_962_334];

    #[test]
    fn a_probability_is_met_within_three_deviations() {
        for (ppm, seed) in [(1_000, 1), (20_000, 2), (500_000, 3), (990_000, 4)] {
            let frames = 100_000_u64;
            let hit = (0..frames)
                .filter(|frame| hits(decisions(seed, 1, 0, Direction::Up).draw(*frame), ppm))
                .count() as f64;
            let share = f64::from(ppm) / 1e6;
            let deviation = (frames as f64 * share * (1.0 - share)).sqrt();
            assert!((hit - frames as f64 * share).abs() < 3.0 * deviation, "{ppm} ppm: {hit}");
        }
    }

    #[test]
    fn nothing_hits_a_share_of_nothing_and_everything_hits_the_whole() {
        for value in [0, 1, u64::MAX / 2, u64::MAX] {
            assert!(!hits(value, 0));
            assert!(hits(value, 1_000_000));
        }
    }

    #[test]
    fn neighbours_differ() {
        let base = decisions(9, 1, 2, Direction::Up).draw(3);
        for other in [
            decisions(8, 1, 2, Direction::Up).draw(3),
            decisions(9, 2, 2, Direction::Up).draw(3),
            decisions(9, 1, 3, Direction::Up).draw(3),
            decisions(9, 1, 2, Direction::Down).draw(3),
            decisions(9, 1, 2, Direction::Up).draw(4),
        ] {
            assert_ne!(base, other);
        }
    }

    #[test]
    fn the_mean_of_exponential_draws_is_the_mean() {
        let draws = 100_000_u64;
        let sum: f64 = (0..draws).map(|index| exponential(draw(5, TEST, &[index]), 2.0)).sum();
        // The deviation of the mean is 2 / sqrt(100,000) = 0.0063.
        assert!((sum / draws as f64 - 2.0).abs() < 0.02, "{}", sum / draws as f64);
    }

    proptest! {
        #[test]
        fn ln_is_the_logarithm(value in 1e-17_f64..1e17) {
            prop_assert!((ln(value) - value.ln()).abs() <= 1e-14 * value.ln().abs().max(1.0));
        }

        #[test]
        fn below_stays_below(value: u64, bound in 1_u64..) {
            prop_assert!(below(value, bound) < bound);
        }

        #[test]
        fn unit_is_positive_and_at_most_one(value: u64) {
            let mapped = unit(value);
            prop_assert!(mapped > 0.0 && mapped <= 1.0);
        }

        #[test]
        fn one_more_bucket_moves_only_what_it_takes(value: u64, buckets in 1_u64..5_000) {
            let before = jump(value, buckets);
            let after = jump(value, buckets + 1);
            prop_assert!(before < buckets);
            prop_assert!(after == before || after == buckets);
        }
    }
}
