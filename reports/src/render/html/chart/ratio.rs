//! The interval of a ratio as a small bar: left of the middle faster, right of it slower; what counts as no change is shaded.

use super::super::markup::Markup;
use crate::compare::TOLERANCE;

const WIDTH: f64 = 180.0;
const HEIGHT: f64 = 16.0;
/// The bars of a table reach at least, and at most, from a ratio's inverse to this.
const REACH: (f64, f64) = (1.25, 3.0);

/// How far an axis has to reach to hold these: the ratio at its end.
pub(in super::super) fn ratio_reach(ratios: impl Iterator<Item = (f64, f64, f64)>) -> f64 {
    let ends = ratios.flat_map(|(_, low, high)| [high, 1.0 / low.max(f64::MIN_POSITIVE)]);
    ends.filter(|end| end.is_finite()).fold(REACH.0, f64::max).min(REACH.1)
}

/// Draws one; the numbers stand beside it.
pub(in super::super) fn ratio_bar((ratio, low, high): (f64, f64, f64), reach: f64, markup: &mut Markup) {
    let (middle, half) = (WIDTH / 2.0, WIDTH / 2.0 - 4.0);
    let place = |ratio: f64| {
        let share = ratio.max(f64::MIN_POSITIVE).ln() / reach.ln();
        middle + share.clamp(-1.0, 1.0) * half
    };
    let (from, to) = (place(1.0 / (1.0 + TOLERANCE)), place(1.0 + TOLERANCE));
    markup.raw("<svg class=\"ratio\" aria-hidden=\"true\" viewBox=\"0 0 ").number(WIDTH).raw(" ");
    markup.number(HEIGHT).raw("\"><rect class=\"same\" y=\"0\"").number_attribute("x", from);
    markup.number_attribute("width", to - from).number_attribute("height", HEIGHT).raw("/>");
    markup.raw("<path class=\"grid\" d=\"M").number(middle).raw(" 0V").number(HEIGHT).raw("\"/>");
    markup.raw("<path class=\"reach\" d=\"M").number(place(low)).raw(" 8H").number(place(high));
    markup.raw("M").number(place(low)).raw(" 4V12M").number(place(high)).raw(" 4V12\"/>");
    markup
        .raw("<circle class=\"at\" r=\"3.5\" cy=\"8\"")
        .number_attribute("cx", place(ratio))
        .raw("/></svg>");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_holds_its_bars_and_is_bounded() {
        let check = |ratios: &[(f64, f64, f64)], expected: f64| {
            assert!((ratio_reach(ratios.iter().copied()) - expected).abs() < 1e-9, "{ratios:?}");
        };
        check(&[], 1.25);
        check(&[(1.0, 0.5, 1.1)], 2.0);
        check(&[(1.0, 0.9, 3.5), (1.0, 0.0, f64::INFINITY)], 3.0);
    }
}
