//! Two sides over time, one over the other: median and slowest percent of each, on one logarithmic axis.

use std::collections::BTreeSet;

use super::super::language::Words;
use super::super::markup::Markup;
use super::super::words;
use super::axes::{Linear, Log, Plot, seconds, shown};
use super::heat::steps;
use super::readout::Readout;
use super::windows::{Window, draw_windows};
use crate::compare::Overlay;

const HEIGHT: f64 = 300.0;
/// The lines: side, percentile in thousandths.
const OF: [(usize, u32); 4] = [(0, 50_000), (0, 99_000), (1, 50_000), (1, 99_000)];

/// Draws both sides; nothing if there are no samples. `lines`: names and classes of [`OF`].
pub(in super::super) fn overlaid(
    overlay: &Overlay,
    lines: &[(Words, &'static str); OF.len()],
    windows: &[Window],
    markup: &mut Markup,
) {
    let numbers: BTreeSet<u64> = overlay.sides.iter().flat_map(|side| side.columns.keys().copied()).collect();
    let smallest = overlay.sides.iter().filter_map(|side| side.counts.pairs().first()).map(|pair| pair.0);
    let greatest = overlay.sides.iter().filter_map(|side| side.counts.max_us());
    let (Some(last), Some(smallest), Some(greatest)) = (numbers.last(), smallest.min(), greatest.max())
    else {
        return;
    };
    let length_s = overlay.column_ns as f64 / 1e9;
    let plot = Plot::new(HEIGHT);
    let time = Linear { from: 0.0, to: (last + 1) as f64 * length_s, at: (plot.left, plot.right) };
    let up = Log::around(smallest, greatest, (plot.bottom, plot.top));
    plot.open(words::OVER_TIME, markup);
    draw_windows(windows, &plot, time, markup);
    plot.latency_rows(up, markup);
    plot.time_columns(time, markup);
    plot.caption(words::WORKLOAD_TIME_AXIS, markup);
    let edges: Vec<(f64, f64)> =
        numbers.iter().map(|number| (*number as f64 * length_s, (number + 1) as f64 * length_s)).collect();
    let places: Vec<(f64, f64)> =
        edges.iter().map(|(from, to)| (time.place(*from), time.place(*to))).collect();
    let mut readout = Readout {
        places: places.iter().map(|(from, to)| f64::midpoint(*from, *to)).collect(),
        titles: edges.iter().map(|(from, to)| format!("{} – {}", seconds(*from), seconds(*to))).collect(),
        span: (plot.top, plot.bottom),
        ..Readout::default()
    };
    for ((name, class), (side, milli)) in lines.iter().zip(OF) {
        let columns = &overlay.sides[side].columns;
        let values: Vec<Option<u64>> = numbers
            .iter()
            .map(|number| columns.get(number).and_then(|counts| counts.percentile_us(milli, 0)))
            .collect();
        steps(class, &places, &values, up, markup);
        let text = |value: &Option<u64>| value.map_or("–".to_owned(), |value| shown(Some(value)));
        readout.line(*name, values.iter().map(text).collect());
    }
    markup.raw("</svg>");
    readout.write(markup);
}
