//! Draws by name: the same seed, name and indices give the same value, whatever else is drawn.

use crate::keyed::{Purpose, again, below, draw, hits};
use crate::units::Time;

/// Draws of one schedule.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dice {
    seed: u64,
}

/// One draw.
#[derive(Clone, Copy, Debug)]
pub(super) struct Draw(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// The draw of that name and those indices.
    pub(super) fn of(self, name: &'static str, key: &[u64]) -> Draw {
        Draw(draw(self.seed, Purpose::named(name), key))
    }
}

impl Draw {
    /// The number itself, to rank by.
    pub(super) fn rank(self) -> u64 {
        self.0
    }

    /// A number below the bound; 0 for 0.
    pub(super) fn below(self, bound: u64) -> u64 {
        below(self.0, bound)
    }

    /// A number within both bounds.
    pub(super) fn between(self, least: u64, most: u64) -> u64 {
        least + below(self.0, most.saturating_sub(least) + 1)
    }

    /// True so many times out of a hundred.
    pub(super) fn percent(self, percent: u32) -> bool {
        hits(self.0, percent * 10_000)
    }

    /// One of the list, which is not empty.
    pub(super) fn pick<T: Copy>(self, list: &[T]) -> T {
        list[below(self.0, list.len() as u64) as usize]
    }

    /// A time between two numbers of milliseconds, as likely within each doubling: short ones often, long ones too.
    pub(super) fn doubling_ms(self, least: u64, most: u64) -> Time {
        let doublings = u64::from((most / least.max(1)).max(1).ilog2());
        let low = least << below(self.0, doublings + 1);
        Time::ms(low + below(again(self.0, 1), low.min(most.saturating_sub(low)) + 1))
    }

    /// A whole millisecond below a time.
    pub(super) fn ms_below(self, end: Time) -> Time {
        Time::ms(below(self.0, (end.0 / 1_000_000).max(1)))
    }
}
