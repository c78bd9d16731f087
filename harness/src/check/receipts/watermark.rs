//! A rising number, and what it was a while ago.

/// Steps kept; together they span the time that matters.
const STEPS: usize = 5;

/// What a mark was `settle_ns` before the end, without keeping its whole past: the newest steps exactly, those of
/// before as one. In between it errs on the low side, which only excuses.
#[derive(Clone, Debug, Default)]
pub(super) struct Watermark {
    /// (last raised, value), rising.
    steps: [(u64, u64); STEPS],
    used: usize,
}

impl Watermark {
    pub(super) fn raise(&mut self, at_ns: u64, value: u64, settle_ns: u64) {
        let step_ns = settle_ns / (STEPS as u64 - 2);
        if self.used > 0 && value <= self.steps[self.used - 1].1 {
            return;
        }
        // A step belongs to one stretch of time, and is known by its last moment.
        let same = |a: u64, b: u64| step_ns > 0 && a / step_ns == b / step_ns;
        if self.used > 0 && (same(self.steps[self.used - 1].0, at_ns) || self.steps[self.used - 1].0 == at_ns)
        {
            self.steps[self.used - 1] = (at_ns, value);
        } else if self.used < STEPS {
            self.steps[self.used] = (at_ns, value);
            self.used += 1;
        } else {
            self.steps.rotate_left(1);
            self.steps[STEPS - 1] = (at_ns, value);
        }
    }

    /// A value that it had reached at a time.
    pub(super) fn at(&self, at_ns: u64) -> u64 {
        self.steps[..self.used].iter().rev().find(|step| step.0 <= at_ns).map_or(0, |step| step.1)
    }
}

#[cfg(test)]
mod tests {
    use super::Watermark;

    #[test]
    fn remembers_a_while() {
        let mut mark = Watermark::default();
        (0..1_000u64).for_each(|n| mark.raise(n, n, 30));
        assert!((960..=970).contains(&mark.at(970)), "{mark:?}");
        assert_eq!(mark.at(999), 999);
        let mut mark = Watermark::default();
        for (at, value) in [(5, 1), (5, 2), (6, 3), (7, 3)] {
            mark.raise(at, value, 0);
        }
        assert_eq!((mark.at(4), mark.at(5), mark.at(6), mark.at(100)), (0, 2, 3, 3));
    }
}
