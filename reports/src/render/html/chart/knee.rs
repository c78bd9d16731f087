//! Rate against latency: the steps of a search, and where it breaks.

use super::super::markup::Markup;
use super::super::words;
use super::axes::{Linear, Log, Plot, round_top, shown};
use super::lines::per_second;
use super::readout::Readout;
use crate::load::KneeStep;

const HEIGHT: f64 = 300.0;

/// One percentile of a step.
type Percentile = fn(&KneeStep) -> Option<u64>;

/// The lines: name, class, percentile.
const LINES: [(super::super::language::Words, &str, Percentile); 3] = [
    (words::P50, "p50", |step| step.p50_us),
    (words::P99, "p99", |step| step.p99_us),
    (words::P999, "pmax", |step| step.p999_us),
];

/// Draws the steps by rising rate; nothing if none has a latency.
pub(in super::super) fn knee(steps: &[KneeStep], markup: &mut Markup) {
    let mut steps: Vec<&KneeStep> = steps.iter().filter(|step| step.offered_per_s.is_finite()).collect();
    steps.sort_by(|a, b| a.offered_per_s.total_cmp(&b.offered_per_s));
    let values = || steps.iter().flat_map(|step| [step.p50_us, step.p99_us, step.p999_us]).flatten();
    let (Some(smallest), Some(greatest)) = (values().min(), values().max()) else { return };
    let plot = Plot::new(HEIGHT);
    let most = steps.iter().fold(0.0_f64, |most, step| most.max(step.offered_per_s));
    let across = Linear { from: 0.0, to: round_top(most), at: (plot.left, plot.right) };
    let up = Log::around(smallest, greatest, (plot.bottom, plot.top));
    plot.open(words::KNEE, markup);
    plot.latency_rows(up, markup);
    for value in across.ticks() {
        plot.column(across.place(value), &per_second(value), markup);
    }
    plot.caption(words::KNEE_AXIS, markup);
    let mut readout = Readout {
        places: steps.iter().map(|step| across.place(step.offered_per_s)).collect(),
        titles: steps.iter().map(|step| per_second(step.offered_per_s)).collect(),
        span: (plot.top, plot.bottom),
        ..Readout::default()
    };
    for (name, class, of) in LINES {
        let points = steps
            .iter()
            .filter_map(|step| Some((across.place(step.offered_per_s), up.place(of(step)? as f64))));
        markup.raw("<path class=\"line ").raw(class).raw("\" d=\"");
        for (number, (x, y)) in points.enumerate() {
            markup.raw(if number == 0 { "M" } else { "L" }).number(x).raw(" ").number(y);
        }
        markup.raw("\"/>");
        readout.line(name, steps.iter().map(|step| shown(of(step))).collect());
    }
    for step in &steps {
        let Some(p99_us) = step.p99_us.or(step.p999_us).or(step.p50_us) else { continue };
        markup
            .raw("<text text-anchor=\"middle\"")
            .attribute("class", if step.held { "point held" } else { "point lost" });
        markup.number_attribute("x", across.place(step.offered_per_s));
        markup.number_attribute("y", up.place(p99_us as f64) + 5.0).raw(">");
        markup.raw(if step.held { "●" } else { "✖" }).raw("</text>");
    }
    markup.raw("</svg>");
    readout.write(markup);
}
