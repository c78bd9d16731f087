//! How sure a percentile is: a block bootstrap over stretches of time, or over whole runs.
//!
//! Seconds that follow each other are alike (a queue, a collection of garbage, another program), so they are joined to blocks until
//! neighbouring blocks no longer are; then blocks are drawn with replacement (Künsch 1989; Carlstein 1986, without overlap).
//! Few blocks make a bootstrap too sure of itself, which a factor and the t distribution undo.

use super::{IntervalCounts, RunIntervals};

/// Fewest blocks from which anything follows.
pub const BLOCKS_MIN: usize = 8;
/// Most blocks: more make nothing surer, and everything slower.
const BLOCKS_MAX: usize = 60;
/// Neighbouring blocks whose medians correlate more than this are joined.
const CORRELATION_MAX: f64 = 0.25;
/// So many runs on a side, and whole runs are drawn.
const RUNS_MIN: usize = 4;
/// Draws.
const DRAWS: usize = 200;
/// Quantile of the normal distribution: 99.5 %, since several percentiles of several stages are looked at together.
const Z: f64 = 2.807;

/// How far a percentile is spread: the deviation of its logarithm, and the degrees of freedom behind it.
pub(super) type Spread = (f64, f64);

/// The spreads of percentiles (in thousandths) of these runs together; `None` = too few blocks.
pub(super) fn spreads(runs: &[RunIntervals], millis: &[u32], seed: u64) -> Option<Vec<Spread>> {
    let blocks = blocks(runs)?;
    let count = blocks.len();
    let values = distinct(&blocks);
    // How many of a block are at most each value: so a percentile of a draw is a search, not a sum over all values.
    let up_to: Vec<Vec<u64>> = blocks.iter().map(|(block, _)| cumulated(block, &values)).collect();
    let mut draws = Draws(seed ^ 0x5eed);
    let mut logs = vec![Vec::with_capacity(DRAWS); millis.len()];
    let mut drawn = Vec::with_capacity(count);
    for _ in 0..DRAWS {
        drawn.clear();
        drawn.extend((0..count).map(|_| draws.below(count)));
        let never: u64 = drawn.iter().map(|block| blocks[*block].1).sum();
        let at_most = |place: usize| drawn.iter().map(|block| up_to[*block][place]).sum::<u64>();
        let all = never + values.len().checked_sub(1).map_or(0, &at_most);
        for (logs, milli) in logs.iter_mut().zip(millis) {
            let rank = (u128::from(all) * u128::from(*milli)).div_ceil(100_000).max(1) as u64;
            let (mut low, mut high) = (0, values.len());
            while low < high {
                let middle = usize::midpoint(low, high);
                if at_most(middle) < rank { low = middle + 1 } else { high = middle }
            }
            // A draw in which it never arrives is as slow as can be told.
            let us = values.get(low).copied().unwrap_or(crate::latency::LATENCY_US_MAX);
            logs.push((us.max(1) as f64).ln());
        }
    }
    let freedom = (count - 1) as f64;
    let spread = |logs: Vec<f64>| {
        let mean = logs.iter().sum::<f64>() / logs.len() as f64;
        let variance = logs.iter().map(|log| (log - mean).powi(2)).sum::<f64>() / (logs.len() - 1) as f64;
        ((variance * count as f64 / freedom).sqrt(), freedom)
    };
    Some(logs.into_iter().map(spread).collect())
}

/// How far the interval of the logarithm of one percentile reaches to either side.
pub(super) fn reach((deviation, freedom): Spread) -> f64 {
    t(freedom.max(1.0)) * deviation
}

/// Half the width of the interval of the logarithm of a ratio of two percentiles.
pub(super) fn half_width(one: Spread, other: Spread) -> f64 {
    let (first, second) = (one.0 * one.0, other.0 * other.0);
    let together = first + second;
    if together <= 0.0 {
        return 0.0;
    }
    // Welch and Satterthwaite.
    let freedom =
        together * together / (first * first / one.1 + second * second / other.1).max(f64::MIN_POSITIVE);
    t(freedom.max(1.0)) * together.sqrt()
}

/// Quantile of the t distribution at the same level as [`Z`] (Cornish and Fisher's expansion; good from 5 degrees on).
fn t(freedom: f64) -> f64 {
    let (cube, fifth) = (Z.powi(3), Z.powi(5));
    Z + (cube + Z) / (4.0 * freedom) + (5.0 * fifth + 16.0 * cube + 3.0 * Z) / (96.0 * freedom * freedom)
}

/// Counted values, and how many never arrived.
type Block = (Vec<(u64, u64)>, u64);

fn blocks(runs: &[RunIntervals]) -> Option<Vec<Block>> {
    if runs.len() >= RUNS_MIN {
        let whole = |run: &RunIntervals| (joined(run.intervals.iter().map(IntervalCounts::pairs)), run.never);
        return Some(runs.iter().map(whole).collect());
    }
    let seconds: usize = runs.iter().map(|run| run.intervals.len()).sum();
    let mut length = seconds.div_ceil(BLOCKS_MAX).max(1);
    loop {
        let blocks = of_length(runs, length);
        if blocks.len() < BLOCKS_MIN {
            return None;
        }
        let medians: Vec<f64> = blocks.iter().filter_map(median_log).collect();
        let next = length * 2;
        if correlation(&medians) <= CORRELATION_MAX || of_length(runs, next).len() < BLOCKS_MIN {
            return Some(blocks);
        }
        length = next;
    }
}

fn of_length(runs: &[RunIntervals], length: usize) -> Vec<Block> {
    let mut blocks = Vec::new();
    for run in runs {
        // A last piece that is shorter counts with the others of its length or not at all.
        let pieces = run.intervals.chunks(length).filter(|piece| piece.len() * 2 > length);
        let before = blocks.len();
        blocks.extend(pieces.map(|piece| (joined(piece.iter().map(IntervalCounts::pairs)), 0)));
        if let Some(last) = blocks[before..].last_mut() {
            last.1 = run.never;
        }
    }
    blocks
}

fn joined<'a>(parts: impl Iterator<Item = &'a [(u64, u64)]>) -> Vec<(u64, u64)> {
    let mut all: Vec<(u64, u64)> = parts.flatten().copied().collect();
    all.sort_unstable();
    all.dedup_by(|next, kept| {
        let is_same = next.0 == kept.0;
        kept.1 += if is_same { next.1 } else { 0 };
        is_same
    });
    all
}

fn distinct(blocks: &[Block]) -> Vec<u64> {
    let mut values: Vec<u64> = blocks.iter().flat_map(|(block, _)| block.iter().map(|pair| pair.0)).collect();
    values.sort_unstable();
    values.dedup();
    values
}

fn cumulated(block: &[(u64, u64)], values: &[u64]) -> Vec<u64> {
    let (mut counts, mut sum) = (Vec::with_capacity(values.len()), 0);
    let mut left = block.iter().peekable();
    for value in values {
        while let Some((_, count)) = left.next_if(|pair| pair.0 <= *value) {
            sum += count;
        }
        counts.push(sum);
    }
    counts
}

/// Of counted values, by rising value, and so many beyond all of them.
pub(super) fn percentile(pairs: &[(u64, u64)], never: u64, milli: u32) -> Option<u64> {
    let arrived: u64 = pairs.iter().map(|pair| pair.1).sum();
    let all = u128::from(arrived + never);
    let rank = (all * u128::from(milli)).div_ceil(100_000).max(1) as u64;
    let mut seen = 0;
    pairs
        .iter()
        .find(|(_, count)| {
            seen += count;
            seen >= rank
        })
        .map(|pair| pair.0)
}

fn median_log(block: &Block) -> Option<f64> {
    percentile(&block.0, 0, 50_000).map(|us| (us.max(1) as f64).ln())
}

/// Of neighbours; 0 where nothing varies.
fn correlation(values: &[f64]) -> f64 {
    let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
    let variance: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    if variance <= f64::EPSILON {
        return 0.0;
    }
    values.windows(2).map(|pair| (pair[0] - mean) * (pair[1] - mean)).sum::<f64>() / variance
}

/// `SplitMix64`: which blocks are drawn depends on the seed and on nothing else.
struct Draws(u64);

impl Draws {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        ((u128::from(z) * bound as u128) >> 64) as usize
    }
}
