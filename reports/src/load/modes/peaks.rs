//! Peaks of a histogram, and combs: what is told apart from chance. No word of what they mean.

use hdrhistogram::Histogram;

/// Samples below which nothing is said.
pub(super) const SAMPLES_MIN: u64 = 200;
/// Places per octave: each is 2.9 % wider than the one before it.
const PER_OCTAVE: f64 = 24.0;
/// Nothing below is looked at: every cause that is known is longer, and places would be narrower than a microsecond.
const FROM_US: f64 = 500.0;
/// Places: up to the longest latency that is told apart.
const PLACES: usize = 24 * 23;
/// Samples in the three places of a peak, at least.
const COUNT_MIN: f64 = 30.0;
/// So many times more than in the valley between it and a higher one.
const OVER_VALLEY: f64 = 3.0;
/// Standard deviations by which a peak must be over that.
const DEVIATIONS: f64 = 4.0;
/// A narrow peak falls to a quarter within so many places (26 %) on both sides.
const NARROW_PLACES: usize = 8;
const NARROW_FALLS_TO: f64 = 0.25;
/// What waits for a time and then takes as long as it takes otherwise begins steeply, within so many places (19 %), and ends within so many
/// (59 %): both down to a quarter of what stands out of the valley on that side.
const STEEP_PLACES: usize = 6;
const TAIL_PLACES: usize = 16;
/// Teeth of a comb, at least; each has this share of what was looked at, and its samples.
const TEETH_MIN: usize = 3;
const TOOTH_SHARE_MIN: f64 = 0.05;
const TOOTH_SAMPLES_MIN: u64 = 30;
/// How wide a tooth may be, and how much of everything must lie in the teeth.
const TOOTH_WIDTH: f64 = 0.15;
const IN_TEETH_MIN: f64 = 0.6;
/// Places of a phase.
const PHASES: usize = 100;
/// Teeth that are looked at; past them a histogram's own grain would show.
const TEETH_MAX: u64 = 60;

/// A group of latencies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Peak {
    /// Mean of what lies in it.
    pub(super) at_us: f64,
    /// Samples in it, as far as it is no wider than a narrow one.
    pub(super) count: u64,
    /// It falls steeply on both sides.
    pub(super) is_narrow: bool,
    /// It begins steeply, and may end slowly.
    pub(super) is_steep: bool,
    /// No other is higher; also true where most latencies are too short to be looked at and this is not one of many.
    pub(super) is_highest: bool,
}

/// Counts over places that grow by the same factor.
#[derive(Debug)]
pub(super) struct Spread {
    counts: Vec<f64>,
    sums_us: Vec<f64>,
    samples: u64,
    /// Samples that are too short to be looked at.
    shorter: u64,
}

impl Spread {
    pub(super) fn of(histogram: &Histogram<u64>) -> Self {
        let mut spread = Self {
            counts: vec![0.0; PLACES],
            sums_us: vec![0.0; PLACES],
            samples: histogram.len(),
            shorter: 0,
        };
        for step in histogram.iter_recorded() {
            let (value_us, count) = (step.value_iterated_to() as f64, step.count_at_value());
            if value_us < FROM_US {
                spread.shorter += count;
                continue;
            }
            let place = (((value_us / FROM_US).log2() * PER_OCTAVE) as usize).min(PLACES - 1);
            spread.counts[place] += count as f64;
            spread.sums_us[place] += value_us * count as f64;
        }
        spread
    }

    /// All peaks, from the shortest latency.
    pub(super) fn peaks(&self) -> Vec<Peak> {
        if self.samples < SAMPLES_MIN {
            return Vec::new();
        }
        let smooth: Vec<f64> = (0..PLACES).map(|place| around(&self.counts, place, 1)).collect();
        let highest = smooth.iter().copied().fold(0.0, f64::max);
        let found =
            (0..PLACES).filter_map(|place| Some((place, stands_out(&smooth, place, self.shorter > 0)?)));
        found.map(|(place, valleys)| self.peak(&smooth, place, valleys, smooth[place] >= highest)).collect()
    }

    fn peak(&self, smooth: &[f64], place: usize, (left, right): (f64, f64), is_higher: bool) -> Peak {
        let half = NARROW_PLACES / 2;
        let count = around(&self.counts, place, half);
        let falls = |at: Option<usize>| {
            at.and_then(|at| smooth.get(at)).is_none_or(|there| *there <= smooth[place] * NARROW_FALLS_TO)
        };
        let has_fallen = |at: Option<usize>, valley: f64| {
            let there = at.and_then(|at| smooth.get(at)).copied().unwrap_or(0.0);
            there <= valley + (smooth[place] - valley) * NARROW_FALLS_TO
        };
        let before = place.checked_sub(STEEP_PLACES);
        // Below the first place there are others that are only not counted.
        let below = place.checked_sub(NARROW_PLACES);
        Peak {
            at_us: around(&self.sums_us, place, half) / count,
            count: count as u64,
            is_narrow: below.is_some() && falls(below) && falls(Some(place + NARROW_PLACES)),
            is_steep: before.is_some()
                && has_fallen(before, left)
                && has_fallen(Some(place + TAIL_PLACES), right),
            is_highest: is_higher && (self.shorter as f64) < self.samples as f64 / 2.0,
        }
    }
}

/// The sum around a place.
fn around(values: &[f64], place: usize, reach: usize) -> f64 {
    values[place.saturating_sub(reach)..(place + reach + 1).min(PLACES)].iter().sum()
}

/// Whether a place is a peak: the highest, or with a valley between it and any that is higher; then how deep those on both sides
/// are. Where shorter latencies are left out, the first places may be the slope of a peak that is not looked at.
fn stands_out(smooth: &[f64], place: usize, is_slope: bool) -> Option<(f64, f64)> {
    let here = smooth[place];
    if here < COUNT_MIN {
        return None;
    }
    // Of equal ones the first is the peak.
    let valley_before =
        |side: &mut dyn Iterator<Item = f64>, is_higher: fn(f64, f64) -> bool, is_slope: bool| {
            let mut lowest = here;
            for there in side {
                if is_higher(there, here) {
                    return lowest;
                }
                lowest = lowest.min(there);
            }
            if is_slope { lowest } else { 0.0 }
        };
    let left =
        valley_before(&mut smooth[..place].iter().rev().copied(), |there, here| there >= here, is_slope);
    let right = valley_before(&mut smooth[place + 1..].iter().copied(), |there, here| there > here, false);
    let valley = left.max(right);
    let over = here - OVER_VALLEY * valley;
    let is_peak = over > 0.0 && over >= DEVIATIONS * (here + OVER_VALLEY * OVER_VALLEY * valley).sqrt();
    is_peak.then_some((left, right))
}

/// Whether latencies gather at several multiples of a tick.
pub(super) fn is_comb(histogram: &Histogram<u64>, tick_us: u64) -> bool {
    let mut phases = [0_u64; PHASES];
    let mut teeth = vec![0_u64; TEETH_MAX as usize + 1];
    let first_us = tick_us * 9 / 10;
    for step in histogram.iter_recorded() {
        let value_us = step.value_iterated_to();
        if (first_us..tick_us * TEETH_MAX).contains(&value_us) {
            phases[(value_us % tick_us * PHASES as u64 / tick_us) as usize] += step.count_at_value();
            teeth[((value_us + tick_us / 10) / tick_us) as usize] += step.count_at_value();
        }
    }
    let all: u64 = phases.iter().sum();
    let width = (TOOTH_WIDTH * PHASES as f64) as usize;
    let in_teeth = |from: usize| (from..from + width).map(|phase| phases[phase % PHASES]).sum::<u64>();
    let most = (0..PHASES).map(in_teeth).max().unwrap_or(0);
    let is_tooth =
        |count: &&u64| **count >= TOOTH_SAMPLES_MIN && **count as f64 >= all as f64 * TOOTH_SHARE_MIN;
    all >= SAMPLES_MIN
        && most as f64 >= all as f64 * IN_TEETH_MIN
        && teeth.iter().filter(is_tooth).count() >= TEETH_MIN
}
