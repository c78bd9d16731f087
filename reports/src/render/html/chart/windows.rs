//! Faults and phases over time: behind other charts, and as a chart of their own.

use super::super::markup::Markup;
use super::super::words;
use super::axes::{Linear, Plot};
use crate::escape::shortened;
use crate::history::Phase;
use crate::latency::OverTime;
use crate::run::{FaultRecord, FaultState, Run};

/// Faults that have a lane of their own; the others are counted.
const LANES_MAX: usize = 24;
/// Windows that are drawn behind a chart: more of them are a wall.
const WINDOWS_MAX: usize = 200;
/// Longest name of a fault in a lane, in bytes.
const NAME_BYTES_MAX: usize = 48;
/// Names of faults above a chart keep this distance.
const NAMES_APART: f64 = 20.0;
/// A phase that is drawn narrower has no name in it.
const PHASE_NAMED_FROM: f64 = 44.0;
const LANE_HEIGHT: f64 = 17.0;

/// What all charts over time share.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Scene<'a> {
    pub(in super::super) run: &'a Run,
    pub(in super::super) over_time: &'a OverTime,
}

impl Scene<'_> {
    /// The end of the time axis, in seconds.
    pub(in super::super) fn end_s(&self) -> f64 {
        let phases = self.run.phases.last().map_or(0, |phase| phase.to_ns);
        (phases.max(self.over_time.end_ns()) as f64 / 1e9).max(0.001)
    }

    /// The time axis of a chart.
    pub(in super::super) fn time(&self, plot: &Plot) -> Linear {
        Linear { from: 0.0, to: self.end_s(), at: (plot.left, plot.right) }
    }

    /// Windows of faults behind a chart, with their numbers above.
    pub(in super::super) fn fault_windows(&self, plot: &Plot, time: Linear, markup: &mut Markup) {
        let window = |(fault, from_s, to_s): (&FaultRecord, f64, f64)| Window {
            id: fault.id,
            label: fault.label(),
            from_s,
            to_s,
        };
        let windows: Vec<Window> = self.windows().take(WINDOWS_MAX).map(window).collect();
        draw_windows(&windows, plot, time, markup);
    }

    /// Faults that took effect, with when they began and ended, in seconds.
    fn windows(&self) -> impl Iterator<Item = (&FaultRecord, f64, f64)> {
        self.run.faults.iter().filter_map(move |fault| {
            let from_ns = fault.started_ns.filter(|_| fault.state != FaultState::Skipped)?;
            let to_ns = fault.ended_ns.unwrap_or(from_ns).max(from_ns);
            Some((fault, from_ns as f64 / 1e9, to_ns as f64 / 1e9))
        })
    }
}

/// A fault behind a chart.
#[derive(Clone, Debug)]
pub(in super::super) struct Window {
    pub(in super::super) id: u32,
    /// What it is, for the pointer.
    pub(in super::super) label: String,
    pub(in super::super) from_s: f64,
    pub(in super::super) to_s: f64,
}

/// Where a window is drawn: never so narrow that it cannot be seen.
fn span(time: Linear, from_s: f64, to_s: f64) -> (f64, f64) {
    let from = time.place(from_s);
    (from, time.place(to_s).max(from + 1.5))
}

/// Draws windows of faults over the height of a chart, with their numbers above.
pub(super) fn draw_windows(windows: &[Window], plot: &Plot, time: Linear, markup: &mut Markup) {
    let mut last_name = f64::NEG_INFINITY;
    for window in windows.iter().take(WINDOWS_MAX) {
        let (from, to) = span(time, window.from_s, window.to_s);
        markup.raw("<g><title>").text(&window.label).raw("</title><rect class=\"fault\"");
        markup.number_attribute("x", from).number_attribute("y", plot.top);
        markup.number_attribute("width", to - from).number_attribute("height", plot.bottom - plot.top);
        markup.raw("/><path class=\"faultedge\" d=\"M").number(from).raw(" ").number(plot.top).raw("V");
        markup.number(plot.bottom).raw("M").number(to).raw(" ").number(plot.top).raw("V");
        markup.number(plot.bottom).raw("\"/>");
        if from - last_name >= NAMES_APART {
            last_name = from;
            markup.raw("<text class=\"faultname\"").number_attribute("x", from);
            markup
                .number_attribute("y", plot.top - 5.0)
                .raw(">F")
                .number(f64::from(window.id))
                .raw("</text>");
        }
        markup.raw("</g>");
    }
}

/// A lane per fault, and the phases: what went wrong when.
pub(in super::super) fn fault_lanes(scene: &Scene<'_>, markup: &mut Markup) {
    let faults: Vec<_> = scene.run.faults.iter().take(LANES_MAX).collect();
    let plot = Plot::new(56.0 + LANE_HEIGHT * (faults.len() + 1) as f64);
    let time = scene.time(&plot);
    plot.open(words::FAULTS_OVER_TIME, markup);
    plot.time_columns(time, markup);
    plot.caption(words::TIME_AXIS, markup);
    for span in &scene.run.phases {
        let (from, to) = (time.place(span.from_ns as f64 / 1e9), time.place(span.to_ns as f64 / 1e9));
        markup.raw("<rect class=\"phase ").raw(span.phase.name()).raw("\"").number_attribute("x", from);
        markup.number_attribute("y", plot.top).number_attribute("width", (to - from).max(1.0));
        markup.number_attribute("height", LANE_HEIGHT - 4.0).raw("/>");
        if to - from >= PHASE_NAMED_FROM {
            markup.raw("<text class=\"phasename\" text-anchor=\"middle\"");
            markup.number_attribute("x", f64::midpoint(from, to)).number_attribute("y", plot.top + 10.0);
            markup.raw(">").say_in_svg(phase_words(span.phase), &[]).raw("</text>");
        }
    }
    for (number, fault) in (1..).zip(&faults) {
        let top = plot.top + LANE_HEIGHT * f64::from(number);
        markup.raw("<text class=\"tick\" text-anchor=\"end\"").number_attribute("x", plot.left - 6.0);
        markup.number_attribute("y", top + 10.0).raw(">F").number(f64::from(fault.id)).raw("</text>");
        let Some((_, from_s, to_s)) = scene.windows().find(|(it, ..)| it.id == fault.id) else { continue };
        let (from, to) = span(time, from_s, to_s);
        markup.raw("<rect class=\"faultbar\"").number_attribute("x", from).number_attribute("y", top);
        markup.number_attribute("width", to - from).number_attribute("height", LANE_HEIGHT - 4.0).raw("/>");
        let name = if fault.target.is_empty() {
            fault.kind.clone()
        } else {
            format!("{} ({})", fault.kind, fault.target)
        };
        let is_right = from > f64::midpoint(plot.left, plot.right);
        markup
            .raw("<text class=\"faultlabel\"")
            .attribute("text-anchor", if is_right { "end" } else { "start" });
        markup.number_attribute("x", if is_right { from - 5.0 } else { to + 5.0 });
        markup
            .number_attribute("y", top + 10.0)
            .raw(">")
            .text(&shortened(&name, NAME_BYTES_MAX))
            .raw("</text>");
    }
    markup.raw("</svg>");
}

pub(in super::super) fn phase_words(phase: Phase) -> super::super::language::Words {
    match phase {
        Phase::SetUp => words::SET_UP,
        Phase::Chaos => words::CHAOS,
        Phase::Heal => words::HEAL,
        Phase::Drain => words::DRAIN,
        Phase::Judge => words::JUDGE,
    }
}
