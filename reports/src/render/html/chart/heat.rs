//! Latency over time: how many samples where, as a heat map, with the percentiles of each column and the faults.

use super::super::markup::Markup;
use super::super::words;
use super::axes::{Log, Plot, seconds, shown};
use super::readout::Readout;
use super::windows::Scene;
use crate::latency::{Sparse, Stage};

/// Shades of the map; their colours are the style sheet's.
const SHADES: [&str; 7] = ["h1", "h2", "h3", "h4", "h5", "h6", "h7"];
/// Rows per decade, the most of these that keeps the map below [`ROWS_MAX`] rows.
const ROWS_PER_DECADE: [f64; 4] = [16.0, 10.0, 7.0, 5.0];
const ROWS_MAX: f64 = 48.0;
const HEIGHT: f64 = 320.0;
/// The lines: class, percentile in thousandths.
const LINES: [(&str, u32); 3] = [("p50", 50_000), ("p99", 99_000), ("pmax", 100_000)];

/// Draws one stage; nothing if it has no samples.
pub(in super::super) fn heat(scene: &Scene<'_>, stage: Stage, markup: &mut Markup) {
    let columns: Vec<(f64, f64, &Sparse)> = scene
        .over_time
        .columns
        .iter()
        .map(|(number, column)| {
            let length_s = scene.over_time.column_ns as f64 / 1e9;
            (*number as f64 * length_s, (*number + 1) as f64 * length_s, &column.stages[stage as usize])
        })
        .filter(|(_, _, counts)| counts.count() > 0)
        .collect();
    let smallest =
        columns.iter().filter_map(|(_, _, counts)| counts.pairs().first()).map(|pair| pair.0).min();
    let (Some(smallest), Some(greatest)) =
        (smallest, columns.iter().filter_map(|(_, _, counts)| counts.max_us()).max())
    else {
        return;
    };
    let plot = Plot::new(HEIGHT);
    let (time, up) = (scene.time(&plot), Log::around(smallest, greatest, (plot.bottom, plot.top)));
    plot.open(words::OVER_TIME, markup);
    let placed: Vec<(f64, f64, &Sparse)> =
        columns.iter().map(|(from, to, counts)| (time.place(*from), time.place(*to), *counts)).collect();
    let places: Vec<(f64, f64)> = placed.iter().map(|(from, to, _)| (*from, *to)).collect();
    cells(&placed, up, markup);
    scene.fault_windows(&plot, time, markup);
    plot.latency_rows(up, markup);
    plot.time_columns(time, markup);
    plot.caption(words::TIME_AXIS, markup);
    let mut readout = Readout {
        places: placed.iter().map(|(from, to, _)| f64::midpoint(*from, *to)).collect(),
        titles: columns
            .iter()
            .map(|(from, to, _)| format!("{} – {}", seconds(*from), seconds(*to)))
            .collect(),
        span: (plot.top, plot.bottom),
        ..Readout::default()
    };
    let names = [words::P50, words::P99, words::MAXIMUM];
    for ((class, milli), name) in LINES.into_iter().zip(names) {
        let values: Vec<Option<u64>> =
            placed.iter().map(|(_, _, counts)| counts.percentile_us(milli, 0)).collect();
        steps(class, &places, &values, up, markup);
        readout.line(name, values.iter().map(|value| shown(*value)).collect());
    }
    readout.line(words::SAMPLES, columns.iter().map(|(_, _, counts)| counts.count().to_string()).collect());
    markup.raw("</svg>");
    readout.write(markup);
}

/// How many samples in which row of a column.
type Rows = Vec<(u32, u64)>;

/// The cells of the map: one path per shade.
fn cells(columns: &[(f64, f64, &Sparse)], up: Log, markup: &mut Markup) {
    let decades = up.to - up.from;
    let per_decade =
        ROWS_PER_DECADE.into_iter().find(|rows| rows * decades <= ROWS_MAX).unwrap_or(ROWS_MAX / decades);
    let mut rows_of: Vec<(f64, f64, Rows)> = Vec::with_capacity(columns.len());
    for (from, to, counts) in columns {
        let mut rows = Rows::new();
        for (value, count) in counts.pairs() {
            let row = (((*value).max(1) as f64).log10() - up.from) * per_decade;
            let row = row.max(0.0) as u32;
            match rows.last_mut() {
                Some((last, sum)) if *last == row => *sum += count,
                _ => rows.push((row, *count)),
            }
        }
        rows_of.push((*from, *to, rows));
    }
    let most = rows_of.iter().flat_map(|(_, _, rows)| rows).map(|(_, count)| *count).max().unwrap_or(1);
    let shade = |count: u64| {
        let part = (1.0 + count as f64).ln() / (1.0 + most as f64).ln();
        ((part * SHADES.len() as f64).ceil() as usize).clamp(1, SHADES.len()) - 1
    };
    for (number, class) in SHADES.into_iter().enumerate() {
        let mut path = Markup::default();
        for (from, to, rows) in &rows_of {
            for (row, _) in rows.iter().filter(|(_, count)| shade(*count) == number) {
                let edge = |row: u32| up.place(10_f64.powf(up.from + f64::from(row) / per_decade));
                let (bottom, top) = (edge(*row), edge(row + 1));
                path.raw("M").number(*from).raw(" ").number(top).raw("H").number(*to).raw("V").number(bottom);
                path.raw("H").number(*from).raw("z");
            }
        }
        if path.len() > 0 {
            markup.raw("<path class=\"").raw(class).raw("\" d=\"").append(&path).raw("\"/>");
        }
    }
}

/// A line of steps, one per column; it is broken where a column is missing.
pub(super) fn steps(
    class: &'static str,
    columns: &[(f64, f64)],
    values: &[Option<u64>],
    up: Log,
    markup: &mut Markup,
) {
    markup.raw("<path class=\"line ").raw(class).raw("\" d=\"");
    let mut end = f64::NEG_INFINITY;
    for ((from, to), value) in columns.iter().zip(values) {
        let Some(value) = value else { continue };
        let y = up.place(*value as f64);
        if (from - end).abs() < 0.05 {
            markup.raw("V").number(y);
        } else {
            markup.raw("M").number(*from).raw(" ").number(y);
        }
        markup.raw("H").number(*to);
        end = *to;
    }
    markup.raw("\"/>");
}
