//! How long to wait before trying again: exponential, capped, with jitter from the caller's generator.

use crate::ids::Time;
use crate::random::Random;

/// Nanoseconds per millisecond.
pub const NS_PER_MS: u64 = 1_000_000;

/// A schedule of growing waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The first wait, milliseconds.
    pub first_ms: u64,
    /// No wait is longer than this (before jitter), milliseconds.
    pub cap_ms: u64,
}

impl Backoff {
    /// When to try again after `attempts` failed attempts (0 = the first wait). Jitter spreads the
    /// wait evenly over 75 % to 125 %.
    pub fn at(self, now: Time, attempts: u32, random: &mut Random) -> Time {
        let doubled = self.first_ms.saturating_mul(1u64 << attempts.min(32));
        let wait_ns = doubled.min(self.cap_ms).saturating_mul(NS_PER_MS);
        let jittered = wait_ns - wait_ns / 4 + random.below(wait_ns / 2 + 1);
        Time(now.0.saturating_add(jittered))
    }
}

/// A time some milliseconds later.
pub fn after_ms(now: Time, ms: u64) -> Time {
    Time(now.0.saturating_add(ms.saturating_mul(NS_PER_MS)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_cap_and_keep_within_the_jitter() {
        let backoff = Backoff { first_ms: 100, cap_ms: 1_000 };
        let mut random = Random::new(1);
        for (attempts, nominal_ms) in [(0, 100), (1, 200), (2, 400), (3, 800), (4, 1_000), (90, 1_000)] {
            for _ in 0..100 {
                let wait = backoff.at(Time(0), attempts, &mut random).0;
                let nominal = nominal_ms * NS_PER_MS;
                assert!(wait >= nominal * 3 / 4 && wait <= nominal * 5 / 4, "{attempts}: {wait}");
            }
        }
    }
}
