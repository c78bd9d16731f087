//! What a load test adds to the page of its run: objectives, rates, the knee, what faults did, and whether the generator's own
//! figures let anything follow.

use super::chart::{Line, Scene, knee, lines, per_second, plain, seconds, shown};
use super::language::Words;
use super::latency::{figure, legend, stage_words};
use super::markup::Markup;
use super::rates::Rates;
use super::verdict::{Head, badge, outcome_words, reason, tile};
use super::words;
use crate::escape::visible;
use crate::latency::{From, OverTime, Stage, show_us};
use crate::load::{FaultWindow, Floor, LoadRecord, StageLatency, WindowLatency};
use crate::render::grouped;
use crate::run::Run;

/// Rows of any table here; the records themselves are bounded.
const ROWS_MAX: usize = 200;

/// Verdict and reasons.
pub(super) fn head(load: &LoadRecord, markup: &mut Markup) {
    let (outcome, tone) = outcome_words(load.outcome);
    let (title, setting) = (visible(&load.target), setting(load));
    Head { outcome, tone, title: [&title, &title], setting: &setting }.write(markup, |markup| {
        markup.raw("<p class=\"sentence\">").told(&load.verdict).raw("</p>");
        if load.arrival.closed_loop {
            markup.raw("<p><span class=\"badge unsure\">? ").say(words::CLOSED_LOOP, &[]).raw("</span></p>");
        }
        if load.reasons.is_empty() {
            return;
        }
        markup.raw("<ul class=\"reasons\">");
        for it in &load.reasons {
            reason(it, markup);
        }
        markup.raw("</ul>");
    });
}

fn setting(load: &LoadRecord) -> String {
    let seed = format!("seed {}", load.seed);
    let parts = [&load.protocol, &load.arrival.words, &load.shape.words, &load.payload.words, &seed];
    let parts: Vec<&str> = parts.into_iter().map(String::as_str).filter(|part| !part.is_empty()).collect();
    parts.join(" · ")
}

fn from_intended(load: &LoadRecord, stage: Stage) -> Option<&StageLatency> {
    load.latency.iter().find(|row| row.stage == stage && row.from == From::Intended)
}

/// The figures of a load test at a glance.
pub(super) fn tiles(load: &LoadRecord, markup: &mut Markup) {
    let totals = &load.totals;
    let length_s = load.duration_ns as f64 / 1e9;
    let rate = |count: u64| per_second(if length_s > 0.0 { count as f64 / length_s } else { 0.0 });
    markup.raw("<dl class=\"tiles\">");
    tile(words::OFFERED, &rate(totals.intended), markup, |markup| {
        markup.say(words::FOR_TIME, &[&grouped(totals.intended), &unbroken(&seconds(length_s))]);
    });
    tile(words::SENDS, &grouped(totals.accepted), markup, |markup| {
        let parts = [totals.sent, totals.refused, totals.unknown].map(grouped);
        markup.say(words::SENT_MORE, &[&parts[0], &parts[1], &parts[2]]);
    });
    tile(words::DELIVERIES, &grouped(totals.delivered), markup, |markup| {
        markup.say(words::MISSING_MORE, &[&grouped(totals.missing), &grouped(totals.repeated)]);
    });
    for stage in [Stage::Accepted, Stage::Delivered] {
        if let Some(row) = from_intended(load, stage) {
            let few = if row.too_few_for.contains(&99_000) { "~" } else { "" };
            let name = if stage == Stage::Accepted { words::P99_ACCEPTED } else { words::P99_DELIVERED };
            tile(name, &format!("{few}{}", shown(row.p99_us)), markup, |markup| {
                let [p50, max] = [row.p50_us, row.max_us].map(|us| unbroken(&shown(us)));
                markup.say(words::P50_AND_MAX, &[&p50, &max]);
            });
        }
    }
    tile(words::LATE_STARTS, &grouped(load.generator.late_starts), markup, |markup| {
        markup.say(words::LATE_MORE, &[]);
    });
    markup.raw("</dl>");
}

/// A figure and its unit stay on one line.
fn unbroken(text: &str) -> String {
    text.replace(' ', "\u{a0}")
}

fn open(id: &'static str, title: Words, markup: &mut Markup) {
    markup.raw("<section").attribute("id", id).attribute("aria-labelledby", &format!("h-{id}")).raw("><h2");
    markup.attribute("id", &format!("h-{id}")).raw(">").say(title, &[]).raw("</h2>");
}

fn table(titles: &[Words], markup: &mut Markup) {
    markup.raw("<div class=\"scroll\" tabindex=\"0\"><table><thead><tr>");
    for title in titles {
        markup.raw("<th scope=\"col\">").say(*title, &[]).raw("</th>");
    }
    markup.raw("</tr></thead><tbody>");
}

fn cell(text: &str, markup: &mut Markup) {
    markup.raw("<td class=\"n\">").text(text).raw("</td>");
}

/// Objectives, and what became of them.
pub(super) fn objectives(load: &LoadRecord, markup: &mut Markup) {
    if load.objectives.is_empty() {
        return;
    }
    open("objectives", words::OBJECTIVES, markup);
    table(
        &[words::OBJECTIVE, words::VERDICT, words::MEASURED, words::SAMPLES_TITLE, words::OBSERVED],
        markup,
    );
    for objective in load.objectives.iter().take(ROWS_MAX) {
        markup.raw("<tr><th scope=\"row\">").code(&objective.words).raw("</th><td>");
        badge(objective.verdict, true, markup);
        markup.raw("</td>");
        cell(&shown(objective.measured_us), markup);
        cell(&format!("{} / {}", grouped(objective.samples), grouped(objective.samples_needed)), markup);
        markup.raw("<td>").told(&objective.observed).raw("</td></tr>");
    }
    markup.raw("</tbody></table></div></section>");
}

/// Rates over time, what is outstanding, and rate against latency.
pub(super) fn rates(load: &LoadRecord, run: &Run, over_time: Option<&OverTime>, markup: &mut Markup) {
    open("rates", words::RATES, markup);
    let empty = OverTime::default();
    let scene = Scene { run, over_time: over_time.unwrap_or(&empty) };
    if let Some(rates) = Rates::of(load, scene.over_time) {
        let Rates { at, per_s: [intended, sent, accepted, delivered], outstanding } = rates;
        let drawn = [
            Line { name: words::INTENDED_PER_S, class: "pmax", values: intended },
            Line { name: words::SENT_PER_S, class: "p99", values: sent },
            Line { name: words::ACCEPTED_PER_S, class: "accepted", values: accepted },
            Line { name: words::DELIVERED_PER_S, class: "delivered", values: delivered },
        ];
        figure(words::RATES, markup, |markup| {
            legend(&drawn.each_ref().map(|line| (line.name, line.class)), markup);
            lines((&scene, words::RATES), at, &drawn, per_second, markup);
        });
        let outstanding = [Line { name: words::OUTSTANDING, class: "p50", values: outstanding }];
        figure(words::OUTSTANDING, markup, |markup| {
            lines((&scene, words::OUTSTANDING), at, &outstanding, plain, markup);
        });
    }
    markup.raw("</section>");
    knee_section(load, markup);
}

fn knee_section(load: &LoadRecord, markup: &mut Markup) {
    if load.knee_steps.is_empty() {
        return;
    }
    open("knee", words::KNEE, markup);
    if let Some(knee) = &load.knee {
        markup.raw("<p><strong>").told(knee).raw("</strong></p>");
    }
    figure(words::KNEE, markup, |markup| {
        legend(&[(words::P50, "p50"), (words::P99, "p99"), (words::P999, "pmax")], markup);
        knee(&load.knee_steps, markup);
    });
    let titles = [
        words::OFFERED,
        words::ACHIEVED,
        words::P50,
        words::P99,
        words::P999,
        words::LOST,
        words::VERDICT,
        words::WHY,
    ];
    table(&titles, markup);
    for step in load.knee_steps.iter().take(ROWS_MAX) {
        markup.raw("<tr>");
        cell(&per_second(step.offered_per_s), markup);
        cell(&per_second(step.achieved_per_s), markup);
        for value in [step.p50_us, step.p99_us, step.p999_us] {
            cell(&shown(value), markup);
        }
        cell(&grouped(step.lost), markup);
        let (word, symbol, class) = match (step.kept_schedule, step.held) {
            (false, _) => (words::NOT_KEPT, "?", "unsure"),
            (true, true) => (words::HELD, "✓", "good"),
            (true, false) => (words::BROKE, "✗", "bad"),
        };
        markup.raw("<td><span class=\"badge ").raw(class).raw("\">").raw(symbol).raw(" ").say(word, &[]);
        markup.raw("</span></td><td>").told(&step.why).raw("</td></tr>");
    }
    markup.raw("</tbody></table></div></section>");
}

/// Latency before, during and after each fault, and the time to recover.
pub(super) fn recovery(load: &LoadRecord, markup: &mut Markup) {
    if load.faults.is_empty() {
        return;
    }
    open("recovery", words::RECOVERY, markup);
    table(
        &[
            words::FAULTS,
            words::WINDOW,
            words::ACCEPTED_P50,
            words::ACCEPTED_P99,
            words::DELIVERED_P50,
            words::DELIVERED_P99,
            words::RECOVERED,
        ],
        markup,
    );
    load.faults.iter().take(ROWS_MAX).for_each(|fault| fault_rows(fault, markup));
    markup.raw("</tbody></table></div></section>");
}

fn fault_rows(fault: &FaultWindow, markup: &mut Markup) {
    let windows =
        [(words::BEFORE, &fault.before), (words::MEANWHILE, &fault.during), (words::AFTER, &fault.after)];
    for (number, (name, window)) in windows.into_iter().enumerate() {
        markup.raw("<tr>");
        if number == 0 {
            markup.raw("<th scope=\"rowgroup\" rowspan=\"3\">F").number(f64::from(fault.id)).raw(" ");
            markup.text(&fault.words).raw("</th>");
        }
        markup.raw("<td>").say(name, &[]).raw("</td>");
        let WindowLatency { accepted, delivered, .. } = *window;
        let of = |count: u64, value: Option<u64>| if count == 0 { "–".to_owned() } else { shown(value) };
        cell(&of(accepted, window.accepted_p50_us), markup);
        cell(&of(accepted, window.accepted_p99_us), markup);
        cell(&of(delivered, window.delivered_p50_us), markup);
        cell(&of(delivered, window.delivered_p99_us), markup);
        if number == 0 {
            markup.raw("<td rowspan=\"3\">");
            if let Some(after_ns) = fault.recovered_after_ns {
                markup.raw("<strong>").text(&show_us(after_ns / 1_000)).raw("</strong> ");
            }
            markup.raw("<small>").told(&fault.recovery).raw("</small></td>");
        }
        markup.raw("</tr>");
    }
}

/// Every stage over the whole run, down to p99.99.
pub(super) fn overall(load: &LoadRecord, markup: &mut Markup) {
    if load.latency.is_empty() {
        return;
    }
    open("overall", words::OVERALL, markup);
    figures_head(&[words::STAGE, words::FROM, words::MINIMUM], markup);
    for row in load.latency.iter().take(ROWS_MAX) {
        let from = if row.from == From::Intended { words::FROM_INTENDED } else { words::FROM_SENT };
        markup.raw("<tr><th scope=\"row\">").say(stage_words(row.stage), &[]).raw("</th><td>").say(from, &[]);
        markup.raw("</td>");
        cell(&shown(row.min_us), markup);
        figures(row, markup);
    }
    markup.raw("</tbody></table></div><p class=\"note\">").say(words::TOO_FEW, &[]).raw("</p></section>");
}

/// The same by how many take part in a conversation, where that differs.
pub(super) fn by_size(load: &LoadRecord, markup: &mut Markup) {
    if load.by_size.is_empty() {
        return;
    }
    open("sizes", words::BY_SIZE, markup);
    figures_head(&[words::MEMBERS, words::MESSAGES, words::STAGE], markup);
    for size in load.by_size.iter().take(ROWS_MAX) {
        let stages = size.latency.iter().map(|row| (stage_words(row.stage), row));
        let mut rows: Vec<(Words, &StageLatency)> = stages.collect();
        if let Some(to_last) = &size.to_last {
            let behind = rows.iter().rposition(|(_, row)| row.stage <= Stage::Delivered);
            rows.insert(behind.map_or(0, |place| place + 1), (words::STAGE_TO_LAST, to_last));
        }
        for (number, (stage, row)) in rows.iter().enumerate() {
            markup.raw("<tr>");
            if number == 0 {
                let span = rows.len().to_string();
                markup.raw("<th scope=\"rowgroup\" class=\"n\"").attribute("rowspan", &span).raw(">");
                match size.members {
                    Some(members) => markup.text(&grouped(u64::from(members))),
                    None => markup.say(words::OTHER_SIZES, &[]),
                };
                markup.raw("</th><td class=\"n\"").attribute("rowspan", &span).raw(">");
                markup.text(&grouped(size.sent)).raw("</td>");
            }
            markup.raw("<th scope=\"row\">").say(*stage, &[]).raw("</th>");
            figures(row, markup);
        }
    }
    markup.raw("</tbody></table></div><p class=\"note\">").say(words::BY_SIZE_NOTE, &[]).raw(" ");
    markup.say(words::TOO_FEW, &[]).raw("</p></section>");
}

/// The head of a table of latencies; `titles` stand before them.
fn figures_head(titles: &[Words], markup: &mut Markup) {
    markup.raw("<div class=\"scroll\" tabindex=\"0\"><table class=\"figures\"><thead><tr>");
    for title in titles {
        markup.raw("<th scope=\"col\">").say(*title, &[]).raw("</th>");
    }
    for percentile in ["p50", "p90", "p99", "p99.9", "p99.99"] {
        markup.raw("<th scope=\"col\">").raw(percentile).raw("</th>");
    }
    for title in [words::MAXIMUM, words::COUNT, words::NEVER] {
        markup.raw("<th scope=\"col\">").say(title, &[]).raw("</th>");
    }
    markup.raw("</tr></thead><tbody>");
}

/// The latencies of a row, and its end.
fn figures(row: &StageLatency, markup: &mut Markup) {
    let percentiles = [
        (50_000, row.p50_us),
        (90_000, row.p90_us),
        (99_000, row.p99_us),
        (99_900, row.p999_us),
        (99_990, row.p9999_us),
    ];
    for (milli, value) in percentiles {
        let few = if row.too_few_for.contains(&milli) { "~" } else { "" };
        cell(&format!("{few}{}", shown(value)), markup);
    }
    cell(&shown(row.max_us), markup);
    cell(&grouped(row.count), markup);
    cell(&grouped(row.never), markup);
    markup.raw("</tr>");
}

/// How well the generator kept its schedule, what the machine itself takes, and what stands out.
pub(super) fn credibility(load: &LoadRecord, markup: &mut Markup) {
    open("credibility", words::CREDIBILITY, markup);
    let generator = &load.generator;
    let (word, symbol, class) = if generator.kept_schedule {
        (words::KEPT_SCHEDULE, "✓", "good")
    } else {
        (words::NOT_KEPT, "?", "unsure")
    };
    markup
        .raw("<p><span class=\"badge ")
        .raw(class)
        .raw("\">")
        .raw(symbol)
        .raw(" ")
        .say(word, &[])
        .raw("</span> ");
    markup.told(&generator.words).raw("</p><dl class=\"facts\">");
    let mut fact = |name: Words, value: Option<String>| {
        if let Some(value) = value {
            markup.raw("<div><dt>").say(name, &[]).raw("</dt><dd>").text(&value).raw("</dd></div>");
        }
    };
    let lateness = [
        generator.lateness_p50_us,
        generator.lateness_p99_us,
        generator.lateness_p999_us,
        generator.lateness_max_us,
    ];
    fact(words::LATENESS, lateness[0].map(|_| lateness.map(shown).join(" / ")));
    fact(words::THREADS, (generator.threads > 0).then(|| generator.threads.to_string()));
    fact(words::CPU_TIME, Some(format!("{:.2} s", generator.cpu_s)));
    fact(words::PER_CPU, generator.messages_per_cpu_s.map(|rate| grouped(rate as u64)));
    fact(words::BUSY, generator.busy_share.map(|share| format!("{:.0} %", share * 100.0)));
    fact(words::RUN_DELAY, generator.run_delay_us.map(show_us));
    if let Some(connections) = load.connections {
        fact(
            words::CONNECTIONS,
            Some(format!("{} / {}", grouped(connections.made), grouped(connections.intended))),
        );
        let times = [connections.p50_us, connections.p99_us, connections.max_us].map(shown);
        fact(words::CONNECT_TIME, Some(times.join(" / ")));
    }
    if let Some(floor) = load.noise_floor {
        fact(words::FLOOR_PING, floor_words(floor.ping_pong));
        fact(words::FLOOR_SYNC, floor_words(floor.fdatasync));
        fact(words::FLOOR_TIMER, floor_words(floor.timer));
    }
    markup.raw("</dl>");
    let told: Vec<&String> = load.modes_seen.iter().chain(&load.remarks).take(ROWS_MAX).collect();
    if !told.is_empty() {
        markup.raw("<h3>").say(words::STANDS_OUT, &[]).raw("</h3><ul class=\"reasons\">");
        for words in told {
            markup.raw("<li>").told(words).raw("</li>");
        }
        markup.raw("</ul>");
    }
    markup.raw("</section>");
}

fn floor_words(floor: Floor) -> Option<String> {
    (floor.samples > 0).then(|| [floor.p50_us, floor.p99_us, floor.max_us].map(shown).join(" / "))
}
