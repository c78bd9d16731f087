//! Scales, the frame of a chart, and its axes.

use super::super::language::Words;
use super::super::markup::Markup;
use crate::latency::show_us;

/// Width of every chart, in its own units.
const WIDTH: f64 = 960.0;
/// Room for the labels of the vertical axis.
const LEFT: f64 = 62.0;
const RIGHT: f64 = 14.0;
/// Room above, for names of faults.
const TOP: f64 = 18.0;
/// Room below, for the labels of the horizontal axis.
const BOTTOM: f64 = 38.0;
/// Most ticks of a linear axis.
const TICKS_MAX: f64 = 8.0;
/// Levels of labels of a logarithmic axis with few decades: 1, 2, 5.
const FEW_DECADES: f64 = 2.3;

/// Where a chart's values are drawn.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Plot {
    pub(in super::super) left: f64,
    pub(in super::super) right: f64,
    pub(in super::super) top: f64,
    pub(in super::super) bottom: f64,
    height: f64,
}

/// A linear scale.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Linear {
    pub(in super::super) from: f64,
    pub(in super::super) to: f64,
    pub(in super::super) at: (f64, f64),
}

/// A logarithmic scale over whole decades or parts of them. Values are at least 1.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Log {
    /// Exponents of ten.
    pub(in super::super) from: f64,
    pub(in super::super) to: f64,
    pub(in super::super) at: (f64, f64),
}

impl Plot {
    /// A chart of that height.
    pub(in super::super) fn new(height: f64) -> Self {
        Self { left: LEFT, right: WIDTH - RIGHT, top: TOP, bottom: height - BOTTOM, height }
    }

    /// Opens the drawing. `label` says what it shows, for who cannot see it.
    pub(in super::super) fn open(&self, label: Words, markup: &mut Markup) {
        markup.raw("<svg class=\"chart\" role=\"img\" viewBox=\"0 0 ").number(WIDTH).raw(" ");
        markup.number(self.height).raw("\"").say_attribute("aria-label", label).raw(">");
    }

    /// A horizontal line with its label.
    pub(in super::super) fn row(&self, at: f64, label: &str, markup: &mut Markup) {
        markup.raw("<path class=\"grid\" d=\"M").number(self.left).raw(" ").number(at).raw("H");
        markup.number(self.right).raw("\"/><text class=\"tick\" text-anchor=\"end\"");
        markup.number_attribute("x", self.left - 6.0).number_attribute("y", at + 4.0).raw(">");
        markup.text(label).raw("</text>");
    }

    /// A label below the horizontal axis, with a short line.
    pub(in super::super) fn column(&self, at: f64, label: &str, markup: &mut Markup) {
        markup.raw("<path class=\"grid\" d=\"M").number(at).raw(" ").number(self.top).raw("V");
        markup.number(self.bottom + 4.0).raw("\"/><text class=\"tick\" text-anchor=\"middle\"");
        markup.number_attribute("x", at).number_attribute("y", self.bottom + 17.0).raw(">");
        markup.text(label).raw("</text>");
    }

    /// What the horizontal axis is.
    pub(in super::super) fn caption(&self, words: Words, markup: &mut Markup) {
        markup.raw("<text class=\"axis\" text-anchor=\"end\"").number_attribute("x", self.right);
        markup.number_attribute("y", self.height - 4.0).raw(">").say_in_svg(words, &[]).raw("</text>");
    }

    /// Rows of a latency axis.
    pub(in super::super) fn latency_rows(&self, scale: Log, markup: &mut Markup) {
        for (value, is_labelled) in scale.ticks() {
            if is_labelled {
                self.row(scale.place(value), &tick_us(value), markup);
            }
        }
    }

    /// Columns of a time axis, in seconds.
    pub(in super::super) fn time_columns(&self, scale: Linear, markup: &mut Markup) {
        for value in scale.ticks() {
            self.column(scale.place(value), &seconds(value), markup);
        }
    }
}

impl Linear {
    /// Where a value is.
    pub(in super::super) fn place(self, value: f64) -> f64 {
        let span = (self.to - self.from).max(f64::MIN_POSITIVE);
        let part = ((value - self.from) / span).clamp(0.0, 1.0);
        self.at.0 + part * (self.at.1 - self.at.0)
    }

    /// Round values, a handful of them.
    pub(in super::super) fn ticks(self) -> Vec<f64> {
        let span = self.to - self.from;
        if span <= 0.0 || !span.is_finite() {
            return vec![self.from];
        }
        let step = round_step(span / TICKS_MAX);
        let first = (self.from / step).ceil() as i64;
        (first..first + 2 * TICKS_MAX as i64)
            .map(|number| number as f64 * step)
            .take_while(|value| *value <= self.to + step * 1e-6)
            .collect()
    }
}

impl Log {
    /// A scale that holds these values, in whole decades where there are several.
    pub(in super::super) fn around(smallest: u64, greatest: u64, at: (f64, f64)) -> Self {
        // A twentieth of a decade below, for the same reason; never below the shortest time that is told apart.
        let from = ((smallest.max(1) as f64).log10() * 10.0).floor() / 10.0 - 0.05;
        let from = from.max(0.0);
        let to = (greatest.max(1) as f64).log10();
        // A tenth of a decade above, so that the maximum is not drawn on the edge.
        let to = (to * 10.0).ceil() / 10.0 + 0.1;
        Self { from, to: to.max(from + 1.0), at }
    }

    /// Where a value is.
    pub(in super::super) fn place(self, value: f64) -> f64 {
        let exponent = value.max(f64::MIN_POSITIVE).log10();
        Linear { from: self.from, to: self.to, at: self.at }.place(exponent)
    }

    /// Values for lines, and whether they are labelled.
    fn ticks(self) -> Vec<(f64, bool)> {
        let (first, last) = (self.from.floor() as i32, self.to.ceil() as i32);
        let is_short = self.to - self.from <= FEW_DECADES;
        let mut ticks = Vec::new();
        for exponent in first..=last {
            for digit in [1.0, 2.0, 5.0] {
                let value = digit * 10_f64.powi(exponent);
                if (self.from - 1e-9..=self.to + 1e-9).contains(&value.log10()) {
                    ticks.push((value, digit < 1.5 || is_short));
                }
            }
        }
        ticks
    }
}

/// Where an axis that begins at zero ends: a little above the greatest value, at a round one.
pub(in super::super) fn round_top(greatest: f64) -> f64 {
    let step = round_step(greatest / TICKS_MAX);
    ((greatest / step).ceil() * step).max(step)
}

/// The next of 1, 2, 2.5, 5, 10, … that is not smaller.
fn round_step(value: f64) -> f64 {
    if value <= 0.0 || !value.is_finite() {
        return 1.0;
    }
    let magnitude = 10_f64.powf(value.log10().floor());
    let steps = [1.0, 2.0, 2.5, 5.0, 10.0];
    let step = steps.into_iter().find(|step| step * magnitude >= value * (1.0 - 1e-9)).unwrap_or(10.0);
    step * magnitude
}

/// `10 ms`: a round time in microseconds, without decimals that say nothing.
fn tick_us(value_us: f64) -> String {
    match value_us {
        us if us < 1e3 => format!("{us:.0} µs"),
        us if us < 1e6 => format!("{:.0} ms", us / 1e3),
        us => format!("{:.0} s", us / 1e6),
    }
}

/// `1.5 s`.
pub(in super::super) fn seconds(value_s: f64) -> String {
    let text = format!("{value_s:.3}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    format!("{text} s")
}

/// A time that may be infinite.
pub(in super::super) fn shown(value_us: Option<u64>) -> String {
    value_us.map_or("∞".to_owned(), show_us)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_few() {
        let check = |from, to, expected: &[f64]| {
            let found = Linear { from, to, at: (0.0, 1.0) }.ticks();
            assert_eq!(found, expected, "{from}..{to}");
        };
        check(0.0, 10.0, &[0.0, 2.0, 4.0, 6.0, 8.0, 10.0]);
        check(0.0, 14.3, &[0.0, 2.0, 4.0, 6.0, 8.0, 10.0, 12.0, 14.0]);
        check(0.0, 0.0, &[0.0]);
        for to in [0.001, 1.0, 7.0, 99.0, 12_345.0, 1e12] {
            let ticks = Linear { from: 0.0, to, at: (0.0, 1.0) }.ticks();
            assert!((2..=10).contains(&ticks.len()), "{to}: {ticks:?}");
        }
    }

    #[test]
    fn a_logarithmic_scale_holds_its_values() {
        for (smallest, greatest) in [(1, 1), (0, 0), (900, 1_100), (1, 3_600_000_000)] {
            let scale = Log::around(smallest, greatest, (100.0, 0.0));
            for value in [smallest.max(1), greatest.max(1)] {
                let place = scale.place(value as f64);
                assert!((0.0..=100.0).contains(&place), "{value}: {place}");
            }
            assert!(scale.ticks().iter().filter(|(_, is_labelled)| *is_labelled).count() >= 2);
        }
    }
}
