//! The head of a run's page: the verdict in words and its reasons, the figures, and the table of guarantees.

use super::language::Words;
use super::latency::stage_words;
use super::markup::Markup;
use super::page::Tone;
use super::{promises, told, words};
use crate::latency::{From, Series, Stage, Window, show_us};
use crate::render::{duration_s, grouped, reason_lines};
use crate::run::{FaultState, Outcome, Run};
use crate::verdict::{Judgement, Verdict};

/// Word, tone and symbol of an outcome.
pub(super) fn outcome_words(outcome: Outcome) -> (Words, Tone) {
    match outcome {
        Outcome::Passed => (words::PASSED, Tone::Good),
        Outcome::Violated => (words::VIOLATED, Tone::Bad),
        Outcome::Inconclusive => (words::INCONCLUSIVE, Tone::Unsure),
        Outcome::TargetFailed => (words::TARGET_FAILED, Tone::Unsure),
    }
}

/// What stands first on every page.
pub(super) struct Head<'a> {
    pub(super) outcome: Words,
    pub(super) tone: Tone,
    /// What it is about, in both languages.
    pub(super) title: [&'a str; 2],
    /// Where and how, in a few words; may be empty.
    pub(super) setting: &'a str,
}

impl Head<'_> {
    /// Opens it; `fill` adds sentences and reasons.
    pub(super) fn write(&self, markup: &mut Markup, fill: impl FnOnce(&mut Markup)) {
        markup
            .raw("<header id=\"verdict\" class=\"verdict ")
            .raw(self.tone.class())
            .raw("\"><div class=\"mark\" ");
        markup.raw("aria-hidden=\"true\">").raw(self.tone.symbol()).raw("</div><div><p class=\"word\">");
        markup.say(self.outcome, &[]).raw("</p><h1>").both_texts(self.title[0], self.title[1]).raw("</h1>");
        if !self.setting.is_empty() {
            markup.raw("<p class=\"setting\">");
            markup.both_texts(self.setting, &setting_in_chinese(self.setting)).raw("</p>");
        }
        fill(markup);
        markup.raw("</div></header>");
    }
}

/// The parts of a setting that have a translation in it, the others as they are.
fn setting_in_chinese(setting: &str) -> String {
    let separator = if setting.contains(" · ") { " · " } else { ", " };
    let part = |part: &str| told::chinese(part).unwrap_or_else(|| part.to_owned());
    setting.split(separator).map(part).collect::<Vec<_>>().join(separator)
}

/// Verdict and reasons of a run.
pub(super) fn head(run: &Run, markup: &mut Markup) {
    let (outcome, tone) = outcome_words(run.outcome());
    let (title, setting) = (crate::render::title(run), crate::render::setting(run));
    let head = Head { outcome, tone, title: [&title, &title], setting: &setting };
    head.write(markup, |markup| {
        markup.raw("<p class=\"sentence\">");
        sentence(run, markup);
        markup.raw("</p>");
        reasons(run, markup);
    });
}

fn sentence(run: &Run, markup: &mut Markup) {
    let of = |verdict| run.judgements.iter().filter(move |it| it.claimed && it.verdict == verdict).count();
    match run.outcome() {
        Outcome::Passed => {
            let (held, idle) = (grouped(of(Verdict::Pass) as u64), grouped(of(Verdict::Skipped) as u64));
            markup.say(words::ALL_HELD, &[&held, &idle])
        }
        Outcome::Violated => match of(Verdict::Violated) {
            0 => markup.say(words::GATE_BROKEN, &[]),
            1 => markup.say(words::ONE_BROKEN, &[]),
            many => markup.say(words::SOME_BROKEN, &[&grouped(many as u64)]),
        },
        Outcome::Inconclusive => markup.say(words::TOO_LITTLE, &[]),
        Outcome::TargetFailed => markup.say(words::TARGET_GONE, &[]),
    };
}

/// Broken promises with what was promised; then whatever else keeps the run from passing.
fn reasons(run: &Run, markup: &mut Markup) {
    let broken: Vec<&Judgement> =
        run.judgements.iter().filter(|it| it.claimed && it.verdict == Verdict::Violated).collect();
    let others = run.reasons().split_off(broken.len().min(run.reasons().len()));
    if broken.is_empty() && others.is_empty() {
        return;
    }
    markup.raw("<ul class=\"reasons\">");
    for judgement in broken {
        markup.raw("<li>").code(&judgement.guarantee).raw(" ");
        if let Some(promise) = promises::promise(&judgement.guarantee) {
            markup.raw("<q>").say(promise, &[]).raw("</q> ");
        }
        markup.raw("<strong>").told(&judgement.observed).raw("</strong></li>");
    }
    for it in &others {
        reason(it, markup);
    }
    markup.raw("</ul>");
}

/// One reason; the end of a log that follows stands as it is.
pub(super) fn reason(text: &str, markup: &mut Markup) {
    let lines = reason_lines(text);
    let Some((first, rest)) = lines.split_first() else { return };
    markup.raw("<li>").told(first);
    if !rest.is_empty() {
        markup.raw("<pre>");
        for line in rest {
            markup.text(line).raw("\n");
        }
        markup.raw("</pre>");
    }
    markup.raw("</li>");
}

/// The figures of a run at a glance.
pub(super) fn tiles(run: &Run, markup: &mut Markup) {
    let counts = &run.counts;
    markup.raw("<dl class=\"tiles\">");
    tile(words::SENDS, &grouped(counts.sends_accepted), markup, |markup| {
        markup.say(words::OF, &[&grouped(counts.sends)]).raw("; ");
        let parts = [counts.sends_rejected, counts.sends_unknown, counts.retries].map(grouped);
        markup.say(words::SENDS_MORE, &[&parts[0], &parts[1], &parts[2]]);
    });
    tile(words::DELIVERIES, &grouped(counts.deliveries), markup, |markup| {
        let parts = [counts.redeliveries, counts.duplicates_suppressed].map(grouped);
        markup.say(words::DELIVERIES_MORE, &[&parts[0], &parts[1]]);
    });
    tile(words::RECEIPTS, &grouped(counts.receipts), markup, |markup| {
        markup.say(words::DEVICES_IN, &[&grouped(counts.devices), &grouped(counts.conversations)]);
    });
    let fired = run.faults.iter().filter(|fault| fault.state == FaultState::Fired).count() as u64;
    tile(words::FAULTS_FIRED, &grouped(fired), markup, |markup| {
        markup.say(words::OF, &[&grouped(run.faults.len() as u64)]);
    });
    let outside = Series { stage: Stage::Accepted, from: From::Intended, window: Window::Outside };
    if let Some(row) = run.latency.row(outside) {
        let few = if row.too_few_for.contains(&99_000) { "~" } else { "" };
        let p99 = row.p99_us.map_or("∞".to_owned(), show_us);
        tile(words::P99_ACCEPTED, &format!("{few}{p99}"), markup, |markup| {
            markup.say(words::OUTSIDE_FAULTS, &[]);
        });
    }
    tile(words::DURATION, &super::chart::seconds(duration_s(run)), markup, |markup| {
        markup.say(words::SESSIONS_MORE, &[&grouped(counts.sessions), &grouped(counts.disconnects)]);
    });
    markup.raw("</dl>");
}

pub(super) fn tile(title: Words, value: &str, markup: &mut Markup, more: impl FnOnce(&mut Markup)) {
    markup.raw("<div><dt>").say(title, &[]).raw("</dt><dd><b>").text(value).raw("</b><small>");
    more(markup);
    markup.raw("</small></dd></div>");
}

/// Word, symbol and class of a verdict.
pub(super) fn verdict_words(verdict: Verdict) -> (Words, &'static str, &'static str) {
    match verdict {
        Verdict::Pass => (words::PASS, "✓", "good"),
        Verdict::Violated => (words::BROKEN, "✗", "bad"),
        Verdict::Inconclusive => (words::UNSURE, "?", "unsure"),
        Verdict::Skipped => (words::SKIPPED, "–", "idle"),
    }
}

pub(super) fn badge(verdict: Verdict, is_claimed: bool, markup: &mut Markup) {
    let (word, symbol, class) = verdict_words(verdict);
    // What nobody promised is no failure.
    let class = if is_claimed || class != "bad" { class } else { "unsure" };
    markup
        .raw("<span class=\"badge ")
        .raw(class)
        .raw("\">")
        .raw(symbol)
        .raw(" ")
        .say(word, &[])
        .raw("</span>");
}

/// Every guarantee, claimed and observed; then the gates.
pub(super) fn guarantees(run: &Run, markup: &mut Markup) {
    if run.judgements.is_empty() && run.gates.is_empty() {
        return;
    }
    markup.raw("<section id=\"guarantees\" aria-labelledby=\"h-guarantees\"><h2 id=\"h-guarantees\">");
    markup.say(words::GUARANTEES, &[]).raw("</h2><form class=\"filters\"><label><input type=\"checkbox\" ");
    markup.raw("class=\"hide\" data-hide=\"idle\"> ").say(words::HIDE_SKIPPED, &[]).raw("</label></form>");
    markup.raw("<div class=\"scroll\" tabindex=\"0\"><table class=\"guarantees\"><thead><tr>");
    for title in [words::GUARANTEE, words::CLAIMED, words::VERDICT, words::OBSERVED] {
        markup.raw("<th scope=\"col\">").say(title, &[]).raw("</th>");
    }
    markup.raw("</tr></thead><tbody>");
    let mut has_unclaimed = false;
    for judgement in &run.judgements {
        let (_, _, class) = verdict_words(judgement.verdict);
        has_unclaimed |= !judgement.claimed && judgement.verdict == Verdict::Violated;
        markup.raw("<tr class=\"is-").raw(class).raw("\"><th scope=\"row\">").code(&judgement.guarantee);
        if let Some(promise) = promises::promise(&judgement.guarantee) {
            markup.raw("<small>").say(promise, &[]).raw("</small>");
        }
        markup
            .raw("</th><td>")
            .say(if judgement.claimed { words::YES } else { words::NO }, &[])
            .raw("</td><td>");
        badge(judgement.verdict, judgement.claimed, markup);
        markup.raw("</td><td>").told(&judgement.observed);
        if judgement.findings_total > 0 {
            let count = grouped(judgement.findings_total);
            let words =
                if judgement.findings_total == 1 { words::FINDING_COUNT_ONE } else { words::FINDING_COUNT };
            markup
                .raw(" <a href=\"#findings\" class=\"evidence\"")
                .attribute("data-guarantee", &judgement.guarantee);
            markup.raw(">").say(words, &[&count]).raw("</a>");
        }
        markup.raw("</td></tr>");
    }
    for gate in &run.gates {
        let (_, _, class) = verdict_words(gate.verdict);
        markup
            .raw("<tr class=\"is-")
            .raw(class)
            .raw("\"><th scope=\"row\">")
            .code(&gate.name())
            .raw("<small>");
        let limit = show_us(gate.at_most_us);
        let [english, chinese] = stage_words(gate.stage).filled_in(&[]);
        let percentile = crate::latency::percentile_name(gate.percentile_milli);
        let both = [format!("{english}, {percentile}"), format!("{chinese}，{percentile}")];
        markup.both_texts(
            &words::LATENCY_GATE.filled_in(&[&both[0], &limit])[0],
            &words::LATENCY_GATE.filled_in(&[&both[1], &limit])[1],
        );
        markup.raw("</small></th><td>").say(words::GATE, &[]).raw("</td><td>");
        badge(gate.verdict, true, markup);
        markup.raw("</td><td>").told(&gate.observed).raw("</td></tr>");
    }
    markup.raw("</tbody></table></div>");
    if has_unclaimed {
        markup.raw("<p class=\"note\">").say(words::UNCLAIMED_NOTE, &[]).raw("</p>");
    }
    markup.raw("</section>");
}
