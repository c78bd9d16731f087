//! Throughput over time: what was accepted and what was delivered, per second, with the faults.

use super::super::markup::Markup;
use super::super::words;
use super::lines::{Columns, Line, lines, per_second};
use super::windows::Scene;
use crate::latency::Stage;

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
    let drawn = [
        Line { name: words::ACCEPTED_PER_S, class: "accepted", values: rates(Stage::Accepted) },
        Line { name: words::DELIVERED_PER_S, class: "delivered", values: rates(Stage::Delivered) },
    ];
    let columns = Columns { from_s: 0.0, length_s };
    lines((scene, words::THROUGHPUT), columns, &drawn, per_second, markup);
}
