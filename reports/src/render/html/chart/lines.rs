//! Lines of steps over time that share a linear axis: rates of a load test, what is outstanding.

use super::super::language::Words;
use super::super::markup::Markup;
use super::super::words;
use super::axes::{Linear, Plot, round_top, seconds};
use super::readout::Readout;
use super::windows::Scene;

const HEIGHT: f64 = 220.0;

/// One line.
pub(in super::super) struct Line {
    pub(in super::super) name: Words,
    pub(in super::super) class: &'static str,
    /// One value per column.
    pub(in super::super) values: Vec<f64>,
}

/// Columns of equal length, one after the other.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Columns {
    /// Where the first begins, in seconds since the run began.
    pub(in super::super) from_s: f64,
    /// How long each is, in seconds.
    pub(in super::super) length_s: f64,
}

/// Draws lines; nothing if there are no values. `show` makes text of a value.
pub(in super::super) fn lines(
    (scene, label): (&Scene<'_>, Words),
    columns: Columns,
    lines: &[Line],
    show: fn(f64) -> String,
    markup: &mut Markup,
) {
    let count = lines.iter().map(|line| line.values.len()).max().unwrap_or(0);
    if count == 0 {
        return;
    }
    let most = lines.iter().flat_map(|line| &line.values).fold(0.0_f64, |most, value| most.max(*value));
    let plot = Plot::new(HEIGHT);
    let time = scene.time(&plot);
    let up = Linear { from: 0.0, to: round_top(most), at: (plot.bottom, plot.top) };
    plot.open(label, markup);
    scene.fault_windows(&plot, time, markup);
    for value in up.ticks() {
        plot.row(up.place(value), &show(value), markup);
    }
    plot.time_columns(time, markup);
    plot.caption(words::TIME_AXIS, markup);
    let edge = |number: usize| columns.from_s + number as f64 * columns.length_s;
    let edges: Vec<(f64, f64)> = (0..count).map(|number| (edge(number), edge(number + 1))).collect();
    let mut readout = Readout {
        places: edges.iter().map(|(from, to)| time.place(f64::midpoint(*from, *to))).collect(),
        titles: edges.iter().map(|(from, to)| format!("{} – {}", seconds(*from), seconds(*to))).collect(),
        span: (plot.top, plot.bottom),
        ..Readout::default()
    };
    for line in lines {
        markup.raw("<path class=\"line ").raw(line.class).raw("\" d=\"M").number(time.place(columns.from_s));
        markup.raw(" ").number(plot.bottom);
        for ((_, to), value) in edges.iter().zip(&line.values) {
            markup.raw("V").number(up.place(*value)).raw("H").number(time.place(*to));
        }
        markup.raw("\"/>");
        readout.line(line.name, line.values.iter().map(|value| show(*value)).collect());
    }
    markup.raw("</svg>");
    readout.write(markup);
}

/// `1,200/s`.
pub(in super::super) fn per_second(rate: f64) -> String {
    match rate {
        rate if rate >= 100_000.0 => format!("{:.0}k/s", rate / 1e3),
        rate if rate >= 10.0 || rate.fract() == 0.0 => format!("{rate:.0}/s"),
        rate => format!("{rate:.1}/s"),
    }
}

/// A whole number.
pub(in super::super) fn plain(value: f64) -> String {
    format!("{value:.0}")
}
