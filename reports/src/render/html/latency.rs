//! The latency section: charts per stage where there is an interval log, and the table of all figures.

use super::chart::{Curve, Scene, heat, percentiles, throughput};
use super::language::Words;
use super::markup::Markup;
use super::words;
use crate::latency::{From, OverTime, PERCENTILES_MILLI, Series, Stage, Window, show_us};
use crate::render::grouped;
use crate::run::Run;

/// The curves of a stage: start, window, name, class of the style sheet.
const CURVES: [(From, Window, Words, &str); 4] = [
    (From::Intended, Window::Outside, words::LINE_OUTSIDE, "c1"),
    (From::Intended, Window::Inside, words::LINE_INSIDE, "c2"),
    (From::Sent, Window::Outside, words::LINE_OUTSIDE_SENT, "c3"),
    (From::Sent, Window::Inside, words::LINE_INSIDE_SENT, "c4"),
];

pub(super) fn stage_words(stage: Stage) -> Words {
    match stage {
        Stage::Accepted => words::STAGE_ACCEPTED,
        Stage::Delivered => words::STAGE_DELIVERED,
        Stage::Receipt => words::STAGE_RECEIPT,
    }
}

/// Writes the section.
pub(super) fn section(run: &Run, over_time: Option<&OverTime>, has_rates: bool, markup: &mut Markup) {
    markup.raw("<section id=\"latency\" aria-labelledby=\"h-latency\"><h2 id=\"h-latency\">");
    markup.say(words::LATENCY, &[]).raw("</h2>");
    let over_time = over_time.filter(|over_time| !over_time.columns.is_empty());
    match over_time {
        Some(over_time) => {
            let scene = Scene { run, over_time };
            charts(&scene, markup);
            // A load test has its rates elsewhere, in more detail.
            if !has_rates {
                throughput_figure(&scene, markup);
            }
        }
        None if run.latency.rows.is_empty() => {
            markup.raw("<p class=\"note\">").say(words::NO_SAMPLES, &[]).raw("</p>");
        }
        None => {
            markup.raw("<p class=\"note\">").say(words::NO_SERIES, &[]).raw("</p>");
        }
    }
    table(run, markup);
    markup.raw("</section>");
}

fn charts(scene: &Scene<'_>, markup: &mut Markup) {
    let has = |stage: Stage| {
        scene.over_time.columns.values().any(|column| column.stages[stage as usize].count() > 0)
    };
    let stages: Vec<Stage> = Stage::ALL.into_iter().filter(|stage| has(*stage)).collect();
    markup.raw("<p class=\"note screen\">").say(words::READOUT, &[]).raw("</p><div class=\"tabs\">");
    for stage in stages {
        markup.raw("<div class=\"panel\"").attribute("id", &format!("stage-{}", stage.name()));
        markup.raw("><h3>").say(stage_words(stage), &[]).raw("</h3>");
        stage_charts(scene, stage, markup);
        markup.raw("</div>");
    }
    markup.raw("</div>");
}

fn throughput_figure(scene: &Scene<'_>, markup: &mut Markup) {
    figure(words::THROUGHPUT, markup, |markup| {
        legend(&[(words::ACCEPTED_PER_S, "accepted"), (words::DELIVERED_PER_S, "delivered")], markup);
        throughput(scene, markup);
    });
}

fn stage_charts(scene: &Scene<'_>, stage: Stage, markup: &mut Markup) {
    let curves: Vec<Curve<'_>> = CURVES
        .into_iter()
        .filter_map(|(from, window, name, class)| {
            let series = Series { stage, from, window };
            let never = scene.run.latency.row(series).map_or(0, |row| row.never);
            Some(Curve { name, class, counts: scene.over_time.total(series)?, never, band: &[] })
        })
        .filter(|curve| curve.counts.count() > 0)
        .collect();
    figure(words::OVER_TIME, markup, |markup| {
        legend(&[(words::P50, "p50"), (words::P99, "p99"), (words::MAXIMUM, "pmax")], markup);
        heat(scene, stage, markup);
        let width = super::chart::seconds(scene.over_time.column_ns as f64 / 1e9);
        markup.raw("<p class=\"note\">").say(words::HEAT_NOTE, &[&width]);
        let never: u64 = curves.iter().take(2).map(|curve| curve.never).sum();
        if never > 0 {
            markup.raw(" <strong>").say(words::NEVER_NOTE, &[&grouped(never)]).raw("</strong>");
        }
        markup.raw("</p>");
    });
    figure(words::BY_PERCENTILE, markup, |markup| {
        let names: Vec<(Words, &'static str)> =
            curves.iter().map(|curve| (curve.name, curve.class)).collect();
        legend(&names, markup);
        percentiles(&curves, markup);
        markup.raw("<p class=\"note\">").say(words::PERCENTILE_NOTE, &[]).raw("</p>");
    });
}

/// A chart with its title, and the line in which values are read out.
pub(super) fn figure(title: Words, markup: &mut Markup, fill: impl FnOnce(&mut Markup)) {
    markup.raw("<figure><figcaption>").say(title, &[]).raw("</figcaption>");
    fill(markup);
    markup.raw("<output class=\"readout\" aria-live=\"polite\"></output></figure>");
}

/// Which line is which: each with a piece of itself.
pub(super) fn legend(lines: &[(Words, &'static str)], markup: &mut Markup) {
    markup.raw("<p class=\"legend\">");
    for (name, class) in lines {
        markup.raw(
            "<span><svg class=\"sample\" viewBox=\"0 0 34 10\" aria-hidden=\"true\"><path class=\"line ",
        );
        markup.raw(class).raw("\" d=\"M1 5H33\"/></svg> ").say(*name, &[]).raw("</span> ");
    }
    markup.raw("</p>");
}

fn table(run: &Run, markup: &mut Markup) {
    if run.latency.rows.is_empty() {
        return;
    }
    markup.raw("<details open><summary>").say(words::ALL_FIGURES, &[]).raw("</summary>");
    markup.raw("<div class=\"scroll\" tabindex=\"0\"><table class=\"figures\"><thead><tr>");
    for title in [words::STAGE, words::FROM, words::WINDOW] {
        markup.raw("<th scope=\"col\">").say(title, &[]).raw("</th>");
    }
    markup.raw("<th scope=\"col\">p50</th><th scope=\"col\">p90</th><th scope=\"col\">p99</th><th scope=\"col\">p99.9</th>");
    for title in [words::MAXIMUM, words::COUNT, words::NEVER] {
        markup.raw("<th scope=\"col\">").say(title, &[]).raw("</th>");
    }
    markup.raw("</tr></thead><tbody>");
    let mut has_few = false;
    for row in &run.latency.rows {
        let from = if row.from == From::Intended { words::FROM_INTENDED } else { words::FROM_SENT };
        let window = if row.window == Window::Outside { words::OUTSIDE } else { words::INSIDE };
        markup.raw("<tr><th scope=\"row\">").say(stage_words(row.stage), &[]).raw("</th><td>").say(from, &[]);
        markup.raw("</td><td>").say(window, &[]).raw("</td>");
        for (milli, value) in PERCENTILES_MILLI.into_iter().zip(row.percentiles_us()) {
            let is_few = row.too_few_for.contains(&milli);
            has_few |= is_few;
            markup.raw("<td class=\"n\">").raw(if is_few { "~" } else { "" });
            time(value, markup);
            markup.raw("</td>");
        }
        markup.raw("<td class=\"n\">");
        time(row.max_us, markup);
        markup.raw("</td><td class=\"n\">").text(&grouped(row.count)).raw("</td><td class=\"n\">");
        markup.text(&grouped(row.never)).raw("</td></tr>");
    }
    markup.raw("</tbody></table></div>");
    if has_few {
        markup.raw("<p class=\"note\">").say(words::TOO_FEW, &[]).raw("</p>");
    }
    if run.latency.forgotten > 0 {
        markup
            .raw("<p class=\"note\">")
            .say(words::FORGOTTEN, &[&grouped(run.latency.forgotten)])
            .raw("</p>");
    }
    markup.raw("</details>");
}

fn time(value_us: Option<u64>, markup: &mut Markup) {
    match value_us {
        Some(value) => markup.text(&show_us(value)),
        None => markup.say(words::NEVER_VALUE, &[]),
    };
}
