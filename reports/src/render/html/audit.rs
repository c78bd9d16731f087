//! The page of an audit: guarantee by mode, claimed against observed, each cell with a way to what was seen.

use std::io::{self, Write};

use super::findings::{self, Shown};
use super::language::{Language, Words};
use super::markup::Markup;
use super::page::Frame;
use super::verdict::{Head, outcome_words};
use super::{promises, setting, words};
use crate::audit::{Audit, AuditRow, ModeAudit, SeenUnder, Standing, VoidRun};
use crate::render::grouped;

/// Runs and cases of one kind that are named; the others are counted.
const VOID_MAX: usize = 100;

/// Writes the page of an audit. Run folders are linked as they lie beside it: `runs/NAME`.
pub fn write_audit_page(audit: &Audit, language: Language, out: &mut dyn Write) -> io::Result<()> {
    let (outcome, tone) = outcome_words(audit.outcome);
    let title =
        words::AUDIT_OF.filled_in(&[&audit.target])[usize::from(language == Language::Chinese)].clone();
    let mut body = Markup::default();
    let head = Head { outcome, tone, title: &title, setting: &audit.about };
    head.write(&mut body, |markup| sentence(audit, markup));
    weaknesses(audit, &mut body);
    matrix(audit, &mut body);
    evidence(audit, &mut body);
    details(audit, &mut body);
    body.raw("<section id=\"environment\" aria-labelledby=\"h-environment\"><h2 id=\"h-environment\">");
    body.say(words::ENVIRONMENT, &[]).raw("</h2>");
    setting::repeat(&audit.repeat, &mut body);
    let seeds: Vec<String> = audit.seeds.iter().map(u64::to_string).collect();
    body.raw("<dl class=\"facts\"><div><dt>").say(words::SEEDS, &[]).raw("</dt><dd>").text(&seeds.join(", "));
    body.raw("</dd></div></dl></section>");
    let sections = [
        ("verdict", words::SUMMARY),
        ("weaknesses", words::WEAKNESSES),
        ("modes", words::MODES),
        ("findings", words::FINDINGS),
        ("details", words::DETAILS),
        ("environment", words::ENVIRONMENT),
    ];
    let frame = Frame { language, tone, outcome, title: &title, sections: &sections, tool: "avouch" };
    frame.write(&body, out)
}

fn rows(audit: &Audit) -> impl Iterator<Item = (usize, &ModeAudit, &AuditRow)> {
    audit.modes.iter().enumerate().flat_map(|(at, mode)| mode.rows.iter().map(move |row| (at, mode, row)))
}

fn sentence(audit: &Audit, markup: &mut Markup) {
    let weaker = rows(audit).filter(|(_, _, row)| row.standing() == Standing::Weaker).count();
    let runs: u64 = audit.modes.iter().map(|mode| mode.runs).sum();
    markup.raw("<p class=\"sentence\">");
    match weaker {
        0 => markup.say(words::AUDIT_GOOD, &[]),
        many => markup.say(words::AUDIT_BAD, &[&grouped(many as u64)]),
    };
    markup.raw(" ").say(words::MODE_RUNS, &[&grouped(runs)]).raw("</p>");
}

/// Word, symbol and class of a standing.
fn standing_words(standing: Standing) -> (Words, &'static str, &'static str) {
    match standing {
        Standing::AsClaimed => (words::AS_CLAIMED, "✓", "good"),
        Standing::Stronger => (words::STRONGER, "✓", "good"),
        Standing::Unpromised => (words::UNPROMISED, "✗", "unsure"),
        Standing::Weaker => (words::WEAKER, "✗", "bad"),
        Standing::Untested => (words::UNTESTED, "–", "idle"),
    }
}

fn weaknesses(audit: &Audit, markup: &mut Markup) {
    markup.raw("<section id=\"weaknesses\" aria-labelledby=\"h-weaknesses\"><h2 id=\"h-weaknesses\">");
    markup.say(words::WEAKNESSES, &[]).raw("</h2>");
    let told = audit.weaknesses();
    if told.is_empty() {
        markup.raw("<p class=\"note\">").say(words::NO_WEAKNESS, &[]).raw("</p></section>");
        return;
    }
    markup.raw("<ul class=\"reasons\">");
    for words in &told {
        markup.raw("<li>").text(words).raw("</li>");
    }
    markup.raw("</ul></section>");
}

/// The place of a row's details.
fn anchor(mode: usize, guarantee: &str) -> String {
    format!("detail-{mode}-{guarantee}")
}

fn matrix(audit: &Audit, markup: &mut Markup) {
    let mut ids: Vec<&str> = Vec::new();
    for (_, _, row) in rows(audit) {
        if !ids.contains(&row.guarantee.as_str()) {
            ids.push(&row.guarantee);
        }
    }
    markup
        .raw("<section id=\"modes\" aria-labelledby=\"h-modes\"><h2 id=\"h-modes\">")
        .say(words::MODES, &[]);
    markup
        .raw("</h2><p class=\"note\">")
        .say(words::MODES_NOTE, &[])
        .raw("</p><div class=\"scroll\" tabindex=\"0\">");
    markup
        .raw("<table class=\"modes\"><thead><tr><th scope=\"col\">")
        .say(words::GUARANTEE, &[])
        .raw("</th>");
    for mode in &audit.modes {
        markup.raw("<th scope=\"col\">").text(&mode.mode).raw("</th>");
    }
    markup.raw("</tr></thead><tbody>");
    for id in ids {
        markup.raw("<tr><th scope=\"row\">").code(id);
        if let Some(promise) = promises::promise(id) {
            markup.raw("<small>").say(promise, &[]).raw("</small>");
        }
        markup.raw("</th>");
        for (at, mode) in audit.modes.iter().enumerate() {
            markup.raw("<td>");
            match mode.rows.iter().find(|row| row.guarantee == id) {
                Some(row) => cell(at, row, markup),
                None => {
                    markup.raw("·");
                }
            }
            markup.raw("</td>");
        }
        markup.raw("</tr>");
    }
    markup.raw("</tbody></table></div></section>");
}

fn cell(mode: usize, row: &AuditRow, markup: &mut Markup) {
    let (word, symbol, class) = standing_words(row.standing());
    markup.raw("<a class=\"cell\"").attribute("href", &format!("#{}", anchor(mode, &row.guarantee)));
    markup.raw("><span class=\"badge ").raw(class).raw("\">").raw(symbol).raw(" ").say(word, &[]);
    markup.raw("</span></a><small>").say(words::CLAIMED, &[]).raw(": ");
    markup.say(if row.claim.is_some() { words::YES } else { words::NO }, &[]);
    let faults: Vec<&str> =
        row.seen.iter().filter(|seen| seen.broken > 0).map(|seen| seen.fault.as_str()).collect();
    if !faults.is_empty() {
        markup.raw("; ✗ ").text(&faults.join(", "));
    }
    markup.raw("</small>");
}

/// The findings that the record keeps, what was claimed first.
fn evidence(audit: &Audit, markup: &mut Markup) {
    let mut shown: Vec<(bool, Shown<'_>)> = Vec::new();
    for (_, mode, row) in rows(audit) {
        for seen in &row.seen {
            let Some(finding) = &seen.finding else { continue };
            let one = Shown { guarantee: &row.guarantee, finding, names: &seen.names, origin: &mode.mode };
            shown.push((!seen.claimed, one));
        }
    }
    shown.sort_by_key(|(is_unclaimed, _)| *is_unclaimed);
    let shown: Vec<Shown<'_>> = shown.into_iter().map(|(_, one)| one).collect();
    findings::section(&shown, 0, markup);
}

fn details(audit: &Audit, markup: &mut Markup) {
    markup.raw("<section id=\"details\" aria-labelledby=\"h-details\"><h2 id=\"h-details\">");
    markup.say(words::DETAILS, &[]).raw("</h2>");
    for (at, mode) in audit.modes.iter().enumerate() {
        markup.raw("<h3>").text(&mode.mode).raw(" <small>").text(&mode.words).raw(", ");
        markup.say(words::MODE_RUNS, &[&grouped(mode.runs)]).raw("</small></h3>");
        mode.rows.iter().for_each(|row| detail(at, row, markup));
        void(words::VOID_RUNS, &mode.void, markup);
        void(words::SKIPPED_CASES, &mode.skipped, markup);
    }
    markup.raw("</section>");
}

fn detail(mode: usize, row: &AuditRow, markup: &mut Markup) {
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
