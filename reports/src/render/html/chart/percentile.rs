//! Latency by percentile, on `HdrHistogram`'s axis: every nine has the same width.

use super::super::language::Words;
use super::super::markup::Markup;
use super::super::words;
use super::axes::{Linear, Log, Plot, shown};
use super::readout::Readout;
use crate::compare::Bound;
use crate::latency::Sparse;

/// Places at which a curve is drawn.
const PLACES: u32 = 160;
/// Widest axis, in nines.
const NINES_MAX: f64 = 6.0;
const HEIGHT: f64 = 300.0;
/// Room that half a label takes beyond the margin.
const LABEL_ROOM: f64 = 10.0;

/// One distribution.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Curve<'a> {
    pub(in super::super) name: Words,
    pub(in super::super) class: &'static str,
    pub(in super::super) counts: &'a Sparse,
    /// Samples that never arrived.
    pub(in super::super) never: u64,
    /// Between what its percentiles lie; empty = nobody knows.
    pub(in super::super) band: &'a [Bound],
}

impl Curve<'_> {
    fn samples(&self) -> u64 {
        self.counts.count().saturating_add(self.never)
    }

    /// Values at rising quantiles, `None` where there is none: infinite, or past the last sample.
    fn values(&self, quantiles: &[f64]) -> Vec<Value> {
        let samples = self.samples();
        let (mut at, mut seen) = (0, 0_u64);
        let pairs = self.counts.pairs();
        let mut one = |quantile: f64| {
            let rank = ((samples as f64 * quantile).ceil() as u64).max(1);
            while seen < rank && at < pairs.len() {
                seen += pairs[at].1;
                at += 1;
            }
            // Beyond one sample in all of them a percentile is the maximum and says nothing more.
            let is_past = (1.0 - quantile) * (samples as f64) < 0.5;
            match at.checked_sub(1).and_then(|last| pairs.get(last)) {
                Some((value, _)) if seen >= rank && !is_past => Value::Finite(*value),
                _ if is_past => Value::Past,
                _ => Value::Infinite,
            }
        };
        quantiles.iter().map(|quantile| one(*quantile)).collect()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Value {
    Finite(u64),
    Infinite,
    Past,
}

/// Draws the curves of one stage; nothing if none has samples.
pub(in super::super) fn percentiles(curves: &[Curve<'_>], markup: &mut Markup) {
    let curves: Vec<&Curve<'_>> = curves.iter().filter(|curve| curve.counts.count() > 0).collect();
    let most = curves.iter().map(|curve| curve.samples()).max().unwrap_or(0);
    if most == 0 {
        return;
    }
    let plot = Plot::new(HEIGHT);
    let nines = ((most as f64).log10() + 0.3).clamp(1.0, NINES_MAX);
    let across = Linear { from: 0.0, to: nines, at: (plot.left, plot.right) };
    let smallest = curves.iter().filter_map(|curve| curve.counts.pairs().first()).map(|(value, _)| *value);
    let greatest = curves.iter().filter_map(|curve| curve.counts.max_us()).max().unwrap_or(1);
    let up = Log::around(smallest.min().unwrap_or(1), greatest, (plot.bottom, plot.top));
    plot.open(words::BY_PERCENTILE, markup);
    plot.latency_rows(up, markup);
    for (label, quantile) in [
        ("p0", 0.0),
        ("p50", 0.5),
        ("p90", 0.9),
        ("p99", 0.99),
        ("p99.9", 0.999),
        ("p99.99", 0.9999),
        ("p99.999", 0.99999),
    ] {
        // Not where a label would be cut off.
        let place = across.place(nines_of(quantile));
        if nines_of(quantile) <= nines && place <= plot.right - LABEL_ROOM {
            plot.column(place, label, markup);
        }
    }
    plot.caption(words::PERCENTILE_AXIS, markup);
    let places: Vec<f64> = (0..=PLACES).map(|place| f64::from(place) / f64::from(PLACES) * nines).collect();
    let quantiles: Vec<f64> = places.iter().map(|place| 1.0 - 10_f64.powf(-place)).collect();
    let mut readout = Readout {
        places: places.iter().map(|place| across.place(*place)).collect(),
        titles: quantiles.iter().map(|quantile| percent(*quantile)).collect(),
        span: (plot.top, plot.bottom),
        ..Readout::default()
    };
    for curve in &curves {
        band(curve, nines, (across, up), markup);
    }
    for curve in curves {
        let values = curve.values(&quantiles);
        line(curve.class, &values, (&places, across, up), markup);
        let text = |value: &Value| match value {
            Value::Finite(value) => shown(Some(*value)),
            Value::Infinite => shown(None),
            Value::Past => "–".to_owned(),
        };
        readout.line(curve.name, values.iter().map(text).collect());
    }
    markup.raw("</svg>");
    readout.write(markup);
}

/// How sure a curve is, behind it.
fn band(curve: &Curve<'_>, nines: f64, (across, up): (Linear, Log), markup: &mut Markup) {
    let place = |bound: &Bound| nines_of(f64::from(bound.percentile_milli) / 1e5);
    let bounds: Vec<&Bound> = curve.band.iter().filter(|bound| place(bound) <= nines).collect();
    if bounds.len() < 2 {
        return;
    }
    markup.raw("<path class=\"band ").raw(curve.class).raw("\" d=\"");
    let upper = bounds.iter().map(|bound| (place(bound), bound.high_us));
    let lower = bounds.iter().rev().map(|bound| (place(bound), bound.low_us));
    for (number, (at, us)) in upper.chain(lower).enumerate() {
        markup.raw(if number == 0 { "M" } else { "L" }).number(across.place(at)).raw(" ");
        markup.number(up.place(us as f64));
    }
    markup.raw("z\"/>");
}

fn line(
    class: &'static str,
    values: &[Value],
    (places, across, up): (&[f64], Linear, Log),
    markup: &mut Markup,
) {
    let finite: Vec<(f64, f64)> = places
        .iter()
        .zip(values)
        .map_while(|(place, value)| match value {
            Value::Finite(value) => Some((across.place(*place), up.place(*value as f64))),
            Value::Infinite | Value::Past => None,
        })
        .collect();
    markup.raw("<path class=\"line ").raw(class).raw("\" d=\"");
    for (number, (x, y)) in finite.iter().enumerate() {
        markup.raw(if number == 0 { "M" } else { "L" }).number(*x).raw(" ").number(*y);
    }
    markup.raw("\"/>");
    // What never arrives: the line goes up and away.
    if let (Some((x, y)), Some(Value::Infinite)) = (finite.last(), values.get(finite.len())) {
        markup
            .raw("<path class=\"line away ")
            .raw(class)
            .raw("\" d=\"M")
            .number(*x)
            .raw(" ")
            .number(*y)
            .raw("V");
        markup.number(up.at.1).raw("\"/><text class=\"tick\"").number_attribute("x", x + 4.0);
        markup.number_attribute("y", up.at.1 + 10.0).raw(">∞</text>");
    }
}

/// Where a quantile stands on the axis: in nines.
fn nines_of(quantile: f64) -> f64 {
    -(1.0 - quantile).log10()
}

/// `p99.93`, with as many digits as tell it from its neighbours.
fn percent(quantile: f64) -> String {
    let digits = (nines_of(quantile).floor() as usize).max(1);
    format!("p{:.digits$}", quantile * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_ends_where_samples_never_arrive_or_run_out() {
        let mut counts = Sparse::default();
        (1..=90).for_each(|value| counts.add(value, 1));
        counts.settle();
        let curve = Curve { name: words::OUTSIDE, class: "a", counts: &counts, never: 10, band: &[] };
        let values = curve.values(&[0.0, 0.5, 0.9, 0.95, 0.9999]);
        assert_eq!(
            values,
            [Value::Finite(1), Value::Finite(50), Value::Finite(90), Value::Infinite, Value::Past]
        );
    }
}
