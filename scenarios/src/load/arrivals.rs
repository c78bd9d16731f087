//! When messages are to be sent: a rate over time, spread evenly or at random, and bursts.
//!
//! The `i`-th message of a stretch is due when the rate, summed up over time, reaches `i` (evenly: `i + 1/2`; at random: a sum
//! of exponential steps of mean 1). So a rate that changes needs no other rule than one that stays.

use crate::keyed::{Purpose, draw, exponential};
use crate::scenario::Arrivals as Spread;

const ARRIVAL: Purpose = Purpose::named("load-arrival");

/// A stretch of time in which the rate changes steadily or stays.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stretch {
    /// Its length.
    pub lasts_ns: u64,
    /// Messages per second when it begins.
    pub from_per_s: f64,
    /// Messages per second when it ends.
    pub to_per_s: f64,
}

/// Messages that are all due at once, again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Burst {
    /// How many.
    pub messages: u64,
    /// How often; the first comes after this time.
    pub every_ns: u64,
}

/// When messages are to be sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Arrivals {
    /// Evenly, or independent of each other.
    pub spread: Spread,
    /// One after another.
    pub stretches: Vec<Stretch>,
    /// Beside them.
    pub burst: Option<Burst>,
}

impl Arrivals {
    /// The rate stays the same.
    pub fn constant(spread: Spread, per_s: f64, lasts_ns: u64) -> Self {
        let stretches = vec![Stretch { lasts_ns, from_per_s: per_s, to_per_s: per_s }];
        Self { spread, stretches, burst: None }
    }

    /// How long it all lasts.
    pub fn lasts_ns(&self) -> u64 {
        self.stretches.iter().map(|stretch| stretch.lasts_ns).sum()
    }

    /// Messages to be expected.
    pub fn expected(&self) -> f64 {
        let steady: f64 = self.stretches.iter().map(|stretch| stretch.sum_to(stretch.lasts_ns as f64)).sum();
        let bursts = self.burst.map_or(0, |burst| {
            self.lasts_ns().saturating_sub(1).checked_div(burst.every_ns).unwrap_or(0) * burst.messages
        });
        steady + bursts as f64
    }

    /// All times, rising, in nanoseconds since the beginning.
    pub fn times(&self, seed: u64) -> Times<'_> {
        let mut times = Times {
            arrivals: self,
            seed,
            stretch: 0,
            stretch_began_ns: 0,
            index: 0,
            sum: 0.0,
            steady_ns: None,
            burst_ns: None,
            burst_left: 0,
        };
        times.steady_ns = times.next_steady();
        if let Some(burst) = self.burst.filter(|burst| burst.every_ns > 0 && burst.messages > 0) {
            times.burst_ns = Some(burst.every_ns);
            times.burst_left = burst.messages;
        }
        times
    }
}

impl Stretch {
    /// Messages that are due by then.
    fn sum_to(&self, ns: f64) -> f64 {
        let (seconds, lasts_s) = (ns / 1e9, self.lasts_ns as f64 / 1e9);
        if lasts_s <= 0.0 {
            return 0.0;
        }
        self.from_per_s * seconds + (self.to_per_s - self.from_per_s) * seconds * seconds / (2.0 * lasts_s)
    }

    /// When the sum reaches that; `None` = not in this stretch.
    fn reaches(&self, sum: f64) -> Option<u64> {
        if sum > self.sum_to(self.lasts_ns as f64) {
            return None;
        }
        let lasts_s = self.lasts_ns as f64 / 1e9;
        let slope = (self.to_per_s - self.from_per_s) / lasts_s;
        // The root of from * t + slope / 2 * t^2 = sum, in the form that needs no division by the slope.
        let root = (self.from_per_s * self.from_per_s + 2.0 * slope * sum).max(0.0).sqrt();
        let seconds = if self.from_per_s + root > 0.0 { 2.0 * sum / (self.from_per_s + root) } else { 0.0 };
        Some(((seconds * 1e9) as u64).min(self.lasts_ns.saturating_sub(1)))
    }
}

/// The times of arrivals.
#[derive(Clone, Debug)]
pub struct Times<'a> {
    arrivals: &'a Arrivals,
    seed: u64,
    stretch: usize,
    stretch_began_ns: u64,
    /// Of the steady ones, over all stretches.
    index: u64,
    /// Of the rate since the stretch began.
    sum: f64,
    steady_ns: Option<u64>,
    burst_ns: Option<u64>,
    burst_left: u64,
}

impl Times<'_> {
    fn next_steady(&mut self) -> Option<u64> {
        let step = match self.arrivals.spread {
            Spread::Constant => 1.0,
            Spread::Poisson => exponential(draw(self.seed, ARRIVAL, &[self.index]), 1.0),
        };
        // Evenly: the first is due in the middle of its gap, so that a stretch has as many before as behind it.
        let half = if self.index == 0 && self.arrivals.spread == Spread::Constant { 0.5 } else { 1.0 };
        self.index += 1;
        self.sum += step * half;
        loop {
            let stretch = self.arrivals.stretches.get(self.stretch)?;
            if let Some(ns) = stretch.reaches(self.sum) {
                return Some(self.stretch_began_ns + ns);
            }
            // What is left of the gap goes on at the next stretch's rate.
            self.sum -= stretch.sum_to(stretch.lasts_ns as f64);
            self.stretch_began_ns += stretch.lasts_ns;
            self.stretch += 1;
        }
    }

    fn next_burst(&mut self) {
        self.burst_left -= 1;
        if let (0, Some(burst), Some(now_ns)) = (self.burst_left, self.arrivals.burst, self.burst_ns) {
            self.burst_left = burst.messages;
            self.burst_ns = Some(now_ns.saturating_add(burst.every_ns));
        }
    }
}

impl Iterator for Times<'_> {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        let end_ns = self.arrivals.lasts_ns();
        let burst_ns = self.burst_ns.filter(|ns| *ns < end_ns);
        match (self.steady_ns, burst_ns) {
            (steady, Some(burst_ns)) if steady.is_none_or(|ns| burst_ns <= ns) => {
                self.next_burst();
                Some(burst_ns)
            }
            (Some(steady_ns), _) => {
                self.steady_ns = self.next_steady();
                Some(steady_ns)
            }
            (None, _) => None,
        }
    }
}
