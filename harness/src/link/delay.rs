//! Delays as planned: a distribution and a number give a time.

use avouch_scenarios::keyed::{Draws, Purpose, again, below, unit};
use avouch_scenarios::plan::Delay;

/// Delays that are worked out together.
const BLOCK: u64 = 8;

/// The delays of frames that are counted: drawn one by one, and worked out a few ahead. A logarithm and a cosine wait for their
/// own steps and little else, so that a processor does several of them in the time of one.
#[derive(Debug)]
pub(super) struct Ahead {
    draws: Draws,
    /// Which block was worked out; none yet.
    block: Option<u64>,
    delays_ns: [u64; BLOCK as usize],
}

impl Ahead {
    pub(super) fn of(seed: u64, purpose: Purpose, key: [u64; 3]) -> Self {
        Self { draws: Draws::of(seed, purpose, &key), block: None, delays_ns: [0; BLOCK as usize] }
    }

    /// The delay of a frame by its number, in nanoseconds: the same whenever it is asked for.
    pub(super) fn ns(&mut self, delay: Delay, serial: u64) -> u64 {
        let block = serial / BLOCK;
        // A frame that was held back comes after its block, and cheap delays need no help.
        if matches!(delay, Delay::Fixed { .. } | Delay::Uniform { .. }) || self.block > Some(block) {
            return ns(delay, self.draws.draw(serial));
        }
        if self.block != Some(block) {
            self.block = Some(block);
            for (slot, serial) in self.delays_ns.iter_mut().zip(block * BLOCK..) {
                *slot = ns(delay, self.draws.draw(serial));
            }
        }
        self.delays_ns[(serial % BLOCK) as usize]
    }
}

/// The delay, in nanoseconds, that a uniform number picks.
pub(super) fn ns(delay: Delay, number: u64) -> u64 {
    match delay {
        Delay::Fixed { ns } => ns,
        Delay::Uniform { min_ns, max_ns } => {
            min_ns.saturating_add(below(number, max_ns.saturating_sub(min_ns).saturating_add(1)))
        }
        Delay::Normal { mean_ns, deviation_ns } => {
            // Box and Muller 1958. `libm` and not the platform's library: same bits everywhere.
            let radius = libm::sqrt(-2.0 * libm::log(unit(number)));
            let angle = std::f64::consts::TAU * unit(again(number, 0));
            let deviations = (radius * libm::cos(angle)).min(4.0);
            (mean_ns as f64 + deviations * deviation_ns as f64).max(0.0) as u64
        }
        Delay::Pareto { scale_ns, shape_milli, max_ns } => {
            let shape = f64::from(shape_milli.max(1)) / 1_000.0;
            let value = scale_ns as f64 / libm::pow(unit(number), 1.0 / shape);
            value.min(max_ns as f64) as u64
        }
    }
}

#[cfg(test)]
mod tests {
    use avouch_scenarios::keyed::{Purpose, draw};

    use super::*;

    const TEST: Purpose = Purpose::named("test-delay");

    fn mean_ns(delay: Delay) -> f64 {
        let total: u64 = (0..20_000).map(|n| ns(delay, draw(7, TEST, &[n]))).sum();
        total as f64 / 20_000.0
    }

    #[test]
    fn delays_have_the_mean_that_their_formula_promises() {
        for (delay, expected) in [
            (Delay::Fixed { ns: 500 }, 500.0),
            (Delay::Uniform { min_ns: 1_000, max_ns: 3_000 }, 2_000.0),
            (Delay::Normal { mean_ns: 100_000, deviation_ns: 10_000 }, 100_000.0),
            // shape × scale / (shape - 1), the cut-off far away.
            (Delay::Pareto { scale_ns: 1_000, shape_milli: 3_000, max_ns: 10_000_000 }, 1_500.0),
        ] {
            let mean = mean_ns(delay);
            assert!((mean - expected).abs() < expected * 0.02, "{delay:?}: {mean} is not near {expected}");
        }
    }

    #[test]
    fn delays_are_those_of_their_frames_in_whatever_order_they_are_asked_for() {
        let normal = Delay::Normal { mean_ns: 1_000_000, deviation_ns: 100_000 };
        for delay in [normal, Delay::Uniform { min_ns: 5, max_ns: 500 }] {
            let mut ahead = Ahead::of(7, TEST, [1, 0, 2]);
            for serial in [1, 2, 3, 9, 4, 10, 8, 17, 40, 2, 41, 42, 47, 48] {
                assert_eq!(ahead.ns(delay, serial), ns(delay, draw(7, TEST, &[1, 0, 2, serial])), "{serial}");
            }
        }
    }

    #[test]
    fn delays_stay_inside_their_bounds() {
        for n in 0..20_000 {
            let number = draw(3, TEST, &[n]);
            let normal = ns(Delay::Normal { mean_ns: 1_000, deviation_ns: 1_000 }, number);
            assert!(normal <= 5_000, "{normal} is over mean + 4 deviations");
            let pareto = ns(Delay::Pareto { scale_ns: 10, shape_milli: 500, max_ns: 1_000 }, number);
            assert!((10..=1_000).contains(&pareto), "{pareto}");
            let uniform = ns(Delay::Uniform { min_ns: 5, max_ns: 6 }, number);
            assert!((5..=6).contains(&uniform), "{uniform}");
        }
    }
}
