//! Throughput over time: what was accepted and what was delivered, per second, with the faults.

use super::super::markup::Markup;
use super::super::words;
use super::axes::{Linear, Plot, round_top, seconds};
use super::readout::Readout;
use super::windows::Scene;
use crate::latency::Stage;

const HEIGHT: f64 = 220.0;

/// Draws it; nothing if nothing was recorded.
pub(in super::super) fn throughput(scene: &Scene<'_>, markup: &mut Markup) {
    let over_time = scene.over_time;
    let length_s = over_time.column_ns as f64 / 1e9;
    let Some((last, _)) = over_time.columns.last_key_value() else { return };
    // Columns in which nothing ended count as zero here: silence is what throughput is about.
    let rates = |stage: Stage| -> Vec<f64> {
        let of =
            |number| over_time.columns.get(&number).map_or(0, |column| column.stages[stage as usize].count());
        (0..=*last).map(|number| of(number) as f64 / length_s).collect()
    };
    let lines = [
        (words::ACCEPTED_PER_S, "accepted", rates(Stage::Accepted)),
        (words::DELIVERED_PER_S, "delivered", rates(Stage::Delivered)),
    ];
    let most = lines.iter().flat_map(|(_, _, rates)| rates).fold(0.0_f64, |most, rate| most.max(*rate));
    let plot = Plot::new(HEIGHT);
    let time = scene.time(&plot);
    let up = Linear { from: 0.0, to: round_top(most), at: (plot.bottom, plot.top) };
    plot.open(words::THROUGHPUT, markup);
    scene.fault_windows(&plot, time, markup);
    for value in up.ticks() {
        plot.row(up.place(value), &per_second(value), markup);
    }
    plot.time_columns(time, markup);
    plot.caption(words::TIME_AXIS, markup);
    let edges: Vec<(f64, f64)> =
        (0..=*last).map(|number| (number as f64 * length_s, (number + 1) as f64 * length_s)).collect();
    let mut readout = Readout {
        places: edges.iter().map(|(from, to)| time.place(f64::midpoint(*from, *to))).collect(),
        titles: edges.iter().map(|(from, to)| format!("{} – {}", seconds(*from), seconds(*to))).collect(),
        span: (plot.top, plot.bottom),
        ..Readout::default()
    };
    for (name, class, rates) in lines {
        markup.raw("<path class=\"line ").raw(class).raw("\" d=\"M").number(plot.left).raw(" ");
        markup.number(plot.bottom);
        for ((_, to), rate) in edges.iter().zip(&rates) {
            markup.raw("V").number(up.place(*rate)).raw("H").number(time.place(*to));
        }
        markup.raw("\"/>");
        readout.line(name, rates.iter().map(|rate| per_second(*rate)).collect());
    }
    markup.raw("</svg>");
    readout.write(markup);
}

fn per_second(rate: f64) -> String {
    match rate {
        rate if rate >= 100_000.0 => format!("{:.0}k/s", rate / 1e3),
        rate if rate >= 10.0 || rate.fract() == 0.0 => format!("{rate:.0}/s"),
        rate => format!("{rate:.1}/s"),
    }
}
