//! The page of a comparison of load tests: what follows, percentile by percentile; both sides drawn over each other; what
//! stood on each side.

use std::io::{self, Write};

use super::chart::{Curve, Window, overlaid, percentiles, ratio_bar, ratio_reach, shown};
use super::language::{Language, Words};
use super::latency::{figure, legend, stage_words};
use super::markup::Markup;
use super::page::{Frame, Tone};
use super::verdict::Head;
use super::{told, words};
use crate::compare::{Aspect, Change, Compared, Comparison, Obstacle, Overlay, Side, TOLERANCE};
use crate::escape::visible;
use crate::latency::name_of_percentile;
use crate::load::LoadRecord;
use crate::render::compare::percent;
use crate::render::grouped;

/// Runs of a side that are named; the others are counted.
const RUNS_MAX: usize = 40;
/// A ratio from here on is told as a multiple.
const MULTIPLE_FROM: f64 = 10.0;

/// Writes the page of a comparison.
pub fn write_comparison_page(
    comparison: &Comparison,
    language: Language,
    out: &mut dyn Write,
) -> io::Result<()> {
    let (outcome, tone) = change_words(comparison.change);
    let [one, other] = &comparison.sides;
    let title = format!("{} → {}", visible(&one.name), visible(&other.name));
    let mut body = Markup::default();
    let head = Head { outcome, tone, title: [&title, &title], setting: &setting(comparison) };
    head.write(&mut body, |markup| sentence(comparison, markup));
    compared(&comparison.compared, &mut body);
    overlays(comparison, &mut body);
    sides(comparison, &mut body);
    let sections = [
        ("verdict", words::SUMMARY),
        ("compared", words::PERCENTILES),
        ("latency", words::LATENCY),
        ("sides", words::SIDES),
    ];
    Frame { language, tone, outcome, title: &title, sections: &sections, tool: "avouch" }.write(&body, out)
}

fn change_words(change: Change) -> (Words, Tone) {
    match change {
        Change::Faster => (words::FASTER, Tone::Good),
        Change::NoDifferenceShown => (words::NO_DIFFERENCE, Tone::Good),
        Change::CannotBeCompared => (words::CANNOT_BE_COMPARED, Tone::Unsure),
        Change::Slower => (words::SLOWER, Tone::Bad),
    }
}

/// What is the same on both sides.
fn setting(comparison: &Comparison) -> String {
    let Some(run) = comparison.sides.iter().find_map(|side| side.runs.first()) else { return String::new() };
    if comparison.obstacle.is_some() {
        return String::new();
    }
    let record = &run.record;
    let parts = [&record.arrival.words, &record.shape.words, &record.payload.words];
    let parts: Vec<&str> = parts.into_iter().map(String::as_str).filter(|part| !part.is_empty()).collect();
    parts.join(" · ")
}

fn sentence(comparison: &Comparison, markup: &mut Markup) {
    let of = |change| comparison.compared.iter().filter(|it| it.change == change).count() as u64;
    let all = grouped(comparison.compared.len() as u64);
    markup.raw("<p class=\"sentence\">");
    match (&comparison.obstacle, comparison.change) {
        (Some(obstacle), _) => obstacle_words(obstacle, markup),
        (None, Change::Slower) => {
            markup.say(words::SLOWER_SENTENCE, &[&grouped(of(Change::Slower)), &all]);
        }
        (None, Change::Faster) => {
            markup.say(words::FASTER_SENTENCE, &[&grouped(of(Change::Faster)), &all]);
        }
        (None, Change::NoDifferenceShown) => {
            markup.say(words::NO_DIFFERENCE_SENTENCE, &[&format!("{:.0} %", TOLERANCE * 100.0)]);
        }
        (None, Change::CannotBeCompared) => {
            markup.say(words::TOO_LITTLE_TO_COMPARE, &[]);
        }
    }
    if let Some((_, faster)) = comparison.contrary() {
        markup.raw(" ").say(words::CONTRARY_PERCENTILES, &[&grouped(faster)]);
    }
    markup.raw("</p>");
    let missing: Vec<(&str, u64)> =
        ["A", "B"].into_iter().zip(comparison.sides.iter().map(Side::missing)).collect();
    if missing.iter().all(|(_, missing)| *missing == 0) {
        return;
    }
    markup.raw("<ul class=\"reasons\">");
    for (name, missing) in missing.into_iter().filter(|(_, missing)| *missing > 0) {
        markup.raw("<li>").say(words::MISSING_ON_SIDE, &[&grouped(missing), name]).raw("</li>");
    }
    markup.raw("</ul>");
}

fn obstacle_words(obstacle: &Obstacle, markup: &mut Markup) {
    match obstacle {
        Obstacle::NoRuns => markup.say(words::NO_RUNS_ON_SIDE, &[]),
        Obstacle::Generator { folder, words } => {
            markup.say(words::GENERATOR_OBSTACLE, &[&visible(folder)]).raw(" ").told(words)
        }
        Obstacle::SetUp { aspect, here: (here, what), there: (there, other) } => {
            let words = match aspect {
                Aspect::Arrivals => words::ARRIVALS_DIFFER,
                Aspect::Payload => words::PAYLOAD_DIFFERS,
                Aspect::Conversations => words::CONVERSATIONS_DIFFER,
            };
            markup.say(words, &[what, here, other, there])
        }
        Obstacle::Faults(here, there) => markup.say(words::FAULTS_DIFFER, &[here, there]),
        Obstacle::Machines(here, there) => markup.say(words::MACHINES_DIFFER, &[here, there]),
    };
}

fn compared(compared: &[Compared], markup: &mut Markup) {
    if compared.is_empty() {
        return;
    }
    markup.raw("<section id=\"compared\" aria-labelledby=\"h-compared\"><h2 id=\"h-compared\">");
    markup
        .say(words::PERCENTILES, &[])
        .raw("</h2><div class=\"scroll\" tabindex=\"0\"><table class=\"compared\">");
    markup.raw("<thead><tr>");
    for title in [words::STAGE, words::PERCENTILE, words::SIDE_A, words::SIDE_B, words::CHANGE] {
        markup.raw("<th scope=\"col\">").say(title, &[]).raw("</th>");
    }
    markup.raw("<th scope=\"col\">").say(words::INTERVAL, &[]).raw("</th><th scope=\"col\">");
    markup.say(words::VERDICT, &[]).raw("</th></tr></thead><tbody>");
    let reach = ratio_reach(compared.iter().filter_map(|it| it.ratio));
    for it in compared {
        let (word, symbol, class) = match it.change {
            Change::Faster => (words::FASTER, "✓", "good"),
            Change::NoDifferenceShown => (words::NO_DIFFERENCE, "=", "idle"),
            Change::CannotBeCompared => (words::CANNOT_BE_COMPARED, "?", "unsure"),
            Change::Slower => (words::SLOWER, "✗", "bad"),
        };
        markup.raw("<tr class=\"").raw(if it.change == Change::Slower { "is-bad" } else { "" });
        markup.raw("\"><th scope=\"row\">").say(stage_words(it.stage), &[]).raw("</th><td>");
        markup.text(&name_of_percentile(it.percentile_milli)).raw("</td>");
        for us in it.us {
            markup.raw("<td class=\"n\">").text(&shown(us)).raw("</td>");
        }
        match it.ratio {
            Some((ratio, low, high)) => {
                markup.raw("<td class=\"n\">").text(&signed(ratio)).raw("</td><td class=\"interval\">");
                ratio_bar((ratio, low, high), reach, markup);
                markup.raw(" <small>").text(&format!("{} … {}", signed(low), signed(high)));
                markup.raw("</small></td>");
            }
            None => {
                markup.raw("<td class=\"n\">–</td><td></td>");
            }
        }
        markup.raw("<td><span class=\"badge ").raw(class).raw("\">").raw(symbol).raw(" ").say(word, &[]);
        markup.raw("</span>");
        if !it.why.is_empty() {
            markup.raw(" <small>").told(&it.why).raw("</small>");
        }
        markup.raw("</td></tr>");
    }
    markup.raw("</tbody></table></div><p class=\"note\">");
    markup.say(words::COMPARED_NOTE, &[&format!("{:.0} %", TOLERANCE * 100.0)]).raw("</p></section>");
}

/// `+12.3 %`; a multiple where it is one, as where a stall is in one of few stretches of time.
fn signed(ratio: f64) -> String {
    if ratio >= MULTIPLE_FROM { format!("×{ratio:.0}") } else { format!("{:+.1} %", percent(ratio)) }
}

/// The curves of the two sides: median and slow ones.
const LINES: [(Words, &str); 4] =
    [(words::A_P50, "c1"), (words::A_P99, "c3"), (words::B_P50, "c2"), (words::B_P99, "c4")];

fn overlays(comparison: &Comparison, markup: &mut Markup) {
    if comparison.overlays.is_empty() {
        return;
    }
    markup.raw("<section id=\"latency\" aria-labelledby=\"h-latency\"><h2 id=\"h-latency\">");
    markup.say(words::LATENCY, &[]).raw("</h2><p class=\"note screen\">").say(words::READOUT, &[]);
    markup.raw("</p><div class=\"tabs\">");
    let windows = windows(comparison);
    for overlay in &comparison.overlays {
        markup.raw("<div class=\"panel\"").attribute("id", &format!("stage-{}", overlay.stage.name()));
        markup.raw("><h3>").say(stage_words(overlay.stage), &[]).raw("</h3>");
        stage_charts(overlay, &windows, markup);
        markup.raw("</div>");
    }
    markup.raw("</div></section>");
}

fn stage_charts(overlay: &Overlay, windows: &[Window], markup: &mut Markup) {
    figure(words::BY_PERCENTILE, markup, |markup| {
        let sides = [(words::SIDE_A, "c1"), (words::SIDE_B, "c2")];
        legend(&sides, markup);
        let curves: Vec<Curve<'_>> = sides
            .into_iter()
            .zip(&overlay.sides)
            .map(|((name, class), side)| Curve {
                name,
                class,
                counts: &side.counts,
                never: side.never,
                band: &side.band,
            })
            .collect();
        percentiles(&curves, markup);
        markup.raw("<p class=\"note\">").say(words::PERCENTILE_NOTE, &[]).raw(" ");
        markup.say(words::BAND_NOTE, &[]).raw("</p>");
    });
    figure(words::OVER_TIME, markup, |markup| {
        legend(&LINES, markup);
        overlaid(overlay, &LINES, windows, markup);
        let width = super::chart::seconds(overlay.column_ns as f64 / 1e9);
        markup.raw("<p class=\"note\">").say(words::OVERLAID_NOTE, &[&width]).raw("</p>");
    });
}

/// The faults of the first run: those of all runs, or the sides cannot be compared.
fn windows(comparison: &Comparison) -> Vec<Window> {
    let run = comparison.sides[0].runs.first().filter(|_| comparison.obstacle.is_none());
    let Some(run) = run else { return Vec::new() };
    let since_s = |at_ns: u64| at_ns.saturating_sub(run.record.begun_ns) as f64 / 1e9;
    let faults = run.record.faults.iter().filter_map(|fault| {
        let from_ns = fault.from_ns?;
        let to_ns = fault.to_ns.unwrap_or(from_ns).max(from_ns);
        Some(Window {
            id: fault.id,
            label: fault.words.clone(),
            from_s: since_s(from_ns),
            to_s: since_s(to_ns),
        })
    });
    faults.collect()
}

fn sides(comparison: &Comparison, markup: &mut Markup) {
    markup.raw("<section id=\"sides\" aria-labelledby=\"h-sides\"><h2 id=\"h-sides\">");
    markup
        .say(words::SIDES, &[])
        .raw("</h2><div class=\"scroll\" tabindex=\"0\"><table><thead><tr><th></th>");
    for title in [words::SIDE_A, words::SIDE_B] {
        markup.raw("<th scope=\"col\">").say(title, &[]).raw("</th>");
    }
    markup.raw("</tr></thead><tbody>");
    let mut row = |name: Words, of: &dyn Fn(&Side) -> String| {
        let cells = comparison.sides.each_ref().map(of);
        if cells.iter().all(String::is_empty) {
            return;
        }
        markup.raw("<tr><th scope=\"row\">").say(name, &[]).raw("</th>");
        for cell in cells {
            let chinese = told::chinese(&cell).unwrap_or_else(|| cell.clone());
            markup.raw("<td>").both_texts(&cell, &chinese).raw("</td>");
        }
        markup.raw("</tr>");
    };
    row(words::FOLDER, &|side| side.name.clone());
    row(words::TARGET, &|side| each(side, |record| record.target.clone()));
    row(words::PROTOCOL, &|side| each(side, |record| record.protocol.clone()));
    row(words::ARRIVALS, &|side| each(side, |record| record.arrival.words.clone()));
    row(words::CONVERSATIONS, &|side| each(side, |record| record.shape.words.clone()));
    row(words::PAYLOAD, &|side| each(side, |record| record.payload.words.clone()));
    row(words::FAULTS, &|side| each(side, faults));
    row(words::SEEDS, &|side| each(side, |record| record.seed.to_string()));
    row(words::RUNS, &|side| runs(side));
    row(words::SENDS, &|side| sum(side, |record| record.totals.accepted));
    row(words::DELIVERIES, &|side| sum(side, |record| record.totals.delivered));
    row(words::LOST, &|side| grouped(side.missing()));
    row(words::LATE_STARTS, &|side| sum(side, |record| record.generator.late_starts));
    row(words::FLOOR_PING, &|side| each(side, floor));
    markup.raw("</tbody></table></div></section>");
}

/// What all runs of a side have, each text once.
fn each(side: &Side, of: impl Fn(&LoadRecord) -> String) -> String {
    let mut texts: Vec<String> = Vec::new();
    for run in &side.runs {
        let text = of(&run.record);
        if !text.is_empty() && !texts.contains(&text) && texts.len() < RUNS_MAX {
            texts.push(text);
        }
    }
    texts.join("; ")
}

fn sum(side: &Side, of: impl Fn(&LoadRecord) -> u64) -> String {
    grouped(side.runs.iter().map(|run| of(&run.record)).sum())
}

fn faults(record: &LoadRecord) -> String {
    record.faults.iter().map(|fault| fault.words.as_str()).collect::<Vec<_>>().join(", ")
}

fn floor(record: &LoadRecord) -> String {
    let Some(floor) = record.noise_floor.filter(|floor| floor.ping_pong.samples > 0) else {
        return String::new();
    };
    let floor = floor.ping_pong;
    [floor.p50_us, floor.p99_us, floor.max_us].map(shown).join(" / ")
}

fn runs(side: &Side) -> String {
    let mut names: Vec<&str> = side.runs.iter().take(RUNS_MAX).map(|run| run.folder.as_str()).collect();
    if side.runs.len() > RUNS_MAX {
        names.push("…");
    }
    format!("{}: {}", grouped(side.runs.len() as u64), names.join(", "))
}
