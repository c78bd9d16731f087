//! The modes of an audit, each by itself: how many runs, every fault model against every guarantee, what is weaker in words, and
//! per guarantee who claims it where and what was seen.

use super::audit::{anchor, list, standing_words};
use super::language::Words;
use super::markup::Markup;
use super::{promises, words};
use crate::audit::{Audit, AuditRow, ModeAudit, SeenUnder, VoidRun};
use crate::render::grouped;
use crate::verdict::Finding;

/// Runs and cases of one kind that are named; the others are counted.
const VOID_MAX: usize = 100;
/// Fault models, the mildest first, with what each is.
const FAULTS: [(&str, Words); 7] = [
    ("nothing", words::FAULT_NOTHING),
    ("disconnect", words::FAULT_DISCONNECT),
    ("pause", words::FAULT_PAUSE),
    ("restart", words::FAULT_RESTART),
    ("kill", words::FAULT_KILL),
    ("power-loss", words::FAULT_POWER_LOSS),
    ("machine", words::FAULT_MACHINE),
];

/// Writes the section. `findings` are those that the page shows, in their order.
pub(super) fn section(audit: &Audit, findings: &[&Finding], markup: &mut Markup) {
    markup.raw("<section id=\"details\" aria-labelledby=\"h-details\"><h2 id=\"h-details\">");
    markup.say(words::DETAILS, &[]).raw("</h2>");
    for (at, mode) in audit.modes.iter().enumerate() {
        markup.raw("<article class=\"mode\"><h3>").text(&mode.mode).raw(" <small>").told(&mode.words);
        markup.raw("</small></h3><p>").say(words::MODE_RUNS, &[&grouped(mode.runs)]).raw("; ");
        let counts = [mode.void.len(), mode.skipped.len()].map(|count| grouped(count as u64));
        markup.say(words::MODE_COUNTS, &[&counts[0], &counts[1]]).raw("</p>");
        let of_mode: Vec<_> =
            audit.weaknesses().into_iter().filter(|it| std::ptr::eq(it.mode, mode)).collect();
        // With one mode they stand above already.
        if !of_mode.is_empty() && audit.modes.len() > 1 {
            list(&of_mode, markup);
        }
        models(at, mode, markup);
        mode.rows.iter().for_each(|row| detail(at, row, findings, markup));
        void(words::VOID_RUNS, &mode.void, markup);
        void(words::SKIPPED_CASES, &mode.skipped, markup);
        markup.raw("</article>");
    }
    markup.raw("</section>");
}

/// The fault models of a mode, the mildest first; those of which this page has no words come last.
fn faults_of(mode: &ModeAudit) -> Vec<(&str, Option<Words>)> {
    let seen = |fault: &str| mode.rows.iter().flat_map(|row| &row.seen).any(|seen| seen.fault == fault);
    let mut faults: Vec<(&str, Option<Words>)> = FAULTS
        .into_iter()
        .filter(|(fault, _)| seen(fault))
        .map(|(fault, words)| (fault, Some(words)))
        .collect();
    for seen in mode.rows.iter().flat_map(|row| &row.seen) {
        if !faults.iter().any(|(fault, _)| *fault == seen.fault) {
            faults.push((&seen.fault, None));
        }
    }
    faults
}

/// Guarantee by fault model: where it is claimed, and in how many runs it held or was broken.
fn models(at: usize, mode: &ModeAudit, markup: &mut Markup) {
    let faults = faults_of(mode);
    if faults.is_empty() {
        return;
    }
    markup.raw("<div class=\"scroll\" tabindex=\"0\"><table class=\"models\"><thead><tr><th scope=\"col\">");
    markup.say(words::GUARANTEE, &[]).raw("</th><th scope=\"col\">").say(words::CLAIMED, &[]).raw("</th>");
    for (fault, name) in &faults {
        markup.raw("<th scope=\"col\">").code(fault);
        if let Some(name) = name {
            markup.raw("<br><small>").say(*name, &[]).raw("</small>");
        }
        markup.raw("</th>");
    }
    markup.raw("</tr></thead><tbody>");
    for row in &mode.rows {
        markup.raw("<tr><th scope=\"row\"><a").attribute("href", &format!("#{}", anchor(at, &row.guarantee)));
        markup.raw(">").code(&row.guarantee).raw("</a></th><td>");
        claim(row, markup);
        markup.raw("</td>");
        for (fault, _) in &faults {
            match row.seen.iter().find(|seen| seen.fault == *fault) {
                Some(seen) => model(seen, markup),
                None => {
                    markup.raw("<td class=\"n\">·</td>");
                }
            }
        }
        markup.raw("</tr>");
    }
    markup.raw("</tbody></table></div><p class=\"note\">").say(words::MODELS_NOTE, &[]).raw("</p>");
}

fn claim(row: &AuditRow, markup: &mut Markup) {
    match (&row.claim, &row.disclaimer) {
        (Some(claim), _) => {
            match claim.under.last() {
                Some(last) => markup.say(words::UP_TO, &[last]),
                None => markup.say(words::WHATEVER_HAPPENS, &[]),
            };
            markup.raw(" <small>").text(&claim.source).raw("</small>");
        }
        (None, Some(source)) => {
            markup.say(words::DISCLAIMED, &[]).raw(" <small>").text(source).raw("</small>");
        }
        (None, None) => {
            markup.say(words::NO, &[]);
        }
    }
}

fn model(seen: &SeenUnder, markup: &mut Markup) {
    let (class, symbol) = match (seen.broken, seen.claimed) {
        (0, true) => ("good", "✓"),
        (0, false) => ("idle", "✓"),
        (_, true) => ("bad", "✗"),
        (_, false) => ("unsure", "✗"),
    };
    markup.raw("<td class=\"n\"><span class=\"badge ").raw(class).raw("\">").raw(symbol).raw(" ");
    if seen.broken > 0 {
        let counts = [seen.broken, seen.broken + seen.held].map(grouped);
        markup.say(words::OF_RUNS, &[&counts[0], &counts[1]]);
    } else {
        markup.text(&grouped(seen.held));
    }
    markup.raw("</span>");
    if seen.broken > 0 {
        let of = |anomaly: &String, count: u64, markup: &mut Markup| {
            markup.raw("<br><small>").text(&grouped(count)).raw(" × ");
            match promises::anomaly(anomaly) {
                Some(words) => markup.say(words, &[]),
                None => markup.text(anomaly),
            };
            markup.raw("</small>");
        };
        seen.anomalies.iter().for_each(|(anomaly, count)| of(anomaly, *count, markup));
    }
    markup.raw("</td>");
}

/// Which of the findings on the page this one is.
fn number_of(seen: &SeenUnder, findings: &[&Finding]) -> Option<usize> {
    let finding = seen.finding.as_ref()?;
    findings.iter().position(|shown| std::ptr::eq(*shown, finding))
}

fn detail(mode: usize, row: &AuditRow, findings: &[&Finding], markup: &mut Markup) {
    let (word, symbol, class) = standing_words(row.standing());
    markup.raw("<details class=\"finding\"").attribute("id", &anchor(mode, &row.guarantee)).raw("><summary>");
    markup
        .raw("<span class=\"badge ")
        .raw(class)
        .raw("\">")
        .raw(symbol)
        .raw(" ")
        .say(word, &[])
        .raw("</span> ");
    markup.code(&row.guarantee).raw("</summary><p class=\"note\">");
    match (&row.claim, &row.disclaimer) {
        (Some(claim), _) => {
            markup.say(words::CLAIMED_BY, &[&claim.source]).raw("; ");
            if claim.under.is_empty() {
                markup.say(words::WHATEVER_HAPPENS, &[]);
            } else {
                markup.say(words::CLAIMED_UNDER, &[&claim.under.join(", ")]);
            }
        }
        (None, Some(source)) => {
            markup.say(words::DISCLAIMED_BY, &[source]);
        }
        (None, None) => {
            markup.say(words::NOBODY_CLAIMS, &[]);
        }
    }
    if let Some(number) = row.seen.iter().find_map(|seen| number_of(seen, findings)) {
        markup.raw(" <a").attribute("href", &format!("#finding-{}", number + 1)).raw(">");
        markup.say(words::SHOWN_AS_DIAGRAM, &[]).raw("</a>");
    }
    markup.raw("</p>");
    if !row.seen.is_empty() {
        markup.raw("<div class=\"scroll\" tabindex=\"0\"><table><thead><tr>");
        let titles = [
            words::UNDER_FAULT,
            words::CLAIMED,
            words::HELD,
            words::BROKE,
            words::OBSERVED,
            words::CASES,
            words::EVIDENCE,
        ];
        for title in titles {
            markup.raw("<th scope=\"col\">").say(title, &[]).raw("</th>");
        }
        markup.raw("</tr></thead><tbody>");
        row.seen.iter().for_each(|seen| seen_row(seen, markup));
        markup.raw("</tbody></table></div>");
    }
    markup.raw("</details>");
}

fn seen_row(seen: &SeenUnder, markup: &mut Markup) {
    let class = if seen.broken == 0 {
        ""
    } else if seen.claimed {
        "is-bad"
    } else {
        "is-unsure"
    };
    markup.raw("<tr class=\"").raw(class).raw("\"><th scope=\"row\">").code(&seen.fault).raw("</th><td>");
    markup.say(if seen.claimed { words::YES } else { words::NO }, &[]).raw("</td><td class=\"n\">");
    markup
        .text(&grouped(seen.held))
        .raw("</td><td class=\"n\">")
        .text(&grouped(seen.broken))
        .raw("</td><td>");
    markup.told(&seen.observed).raw("</td><td>").text(&seen.cases.join(", ")).raw("</td><td>");
    link(&seen.folder, markup);
    markup.raw("</td></tr>");
}

/// To the page of a run of this audit.
fn link(folder: &str, markup: &mut Markup) {
    let name = folder.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    if name.is_empty() {
        return;
    }
    let address = super::index::address(&format!("runs/{name}/report.html"));
    markup.raw("<a").attribute("href", &address).raw(">").say(words::RUN_PAGE, &[]).raw("</a>");
}

fn void(title: Words, runs: &[VoidRun], markup: &mut Markup) {
    if runs.is_empty() {
        return;
    }
    markup.raw("<details><summary>").say(title, &[]).raw(" (").text(&grouped(runs.len() as u64));
    markup
        .raw(")</summary><table><thead><tr><th scope=\"col\">")
        .say(words::CASE, &[])
        .raw("</th><th scope=\"col\">");
    markup.say(words::WHY, &[]).raw("</th><th></th></tr></thead><tbody>");
    for run in runs.iter().take(VOID_MAX) {
        markup.raw("<tr><th scope=\"row\">").code(&run.case).raw("</th><td>").told(&run.why).raw("</td><td>");
        link(&run.folder, markup);
        markup.raw("</td></tr>");
    }
    markup.raw("</tbody></table></details>");
}
