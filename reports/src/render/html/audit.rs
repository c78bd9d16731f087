//! The page of an audit: guarantee by mode, claimed against observed, each cell with a way to what was seen; then each mode by
//! itself (`modes`), and the smallest findings as sequence diagrams.

use std::io::{self, Write};

use super::findings::{self, Shown};
use super::language::{Language, Words};
use super::markup::Markup;
use super::page::Frame;
use super::verdict::{Head, outcome_words};
use super::{modes, promises, setting, told, words};
use crate::audit::{Audit, AuditRow, ModeAudit, Standing, Weakness};
use crate::render::grouped;
use crate::verdict::Finding;

/// Writes the page of an audit. Run folders are linked as they lie beside it: `runs/NAME`.
pub fn write_audit_page(audit: &Audit, language: Language, out: &mut dyn Write) -> io::Result<()> {
    let (outcome, tone) = outcome_words(audit.outcome);
    let titles = words::AUDIT_OF.filled_in(&[&audit.target]);
    let title = titles[usize::from(language == Language::Chinese)].as_str();
    let mut body = Markup::default();
    let head = Head { outcome, tone, title: [&titles[0], &titles[1]], setting: "" };
    head.write(&mut body, |markup| {
        own_words(audit, markup);
        sentence(audit, markup);
    });
    weaknesses(audit, &mut body);
    matrix(audit, &mut body);
    let findings = evidence(audit, &mut body);
    modes::section(audit, &findings, &mut body);
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
    let frame = Frame { language, tone, outcome, title, sections: &sections, tool: "avouch" };
    frame.write(&body, out)
}

fn rows(audit: &Audit) -> impl Iterator<Item = (usize, &ModeAudit, &AuditRow)> {
    audit.modes.iter().enumerate().flat_map(|(at, mode)| mode.rows.iter().map(move |row| (at, mode, row)))
}

/// What the target's file says of it, in whatever language that was written.
fn own_words(audit: &Audit, markup: &mut Markup) {
    if !audit.about.is_empty() {
        markup.raw("<p class=\"setting\">").say(words::FILE_SAYS, &[]).raw(" <q>").text(&audit.about);
        markup.raw("</q></p>");
    }
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
pub(super) fn standing_words(standing: Standing) -> (Words, &'static str, &'static str) {
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
    list(&told, markup);
    markup.raw("</section>");
}

/// Sentences, in both languages.
pub(super) fn list(weaknesses: &[Weakness<'_>], markup: &mut Markup) {
    markup.raw("<ul class=\"reasons\">");
    for weakness in weaknesses {
        markup.raw("<li>").both_texts(&weakness.to_string(), &chinese(weakness)).raw("</li>");
    }
    markup.raw("</ul>");
}

fn chinese(weakness: &Weakness<'_>) -> String {
    let known = |words: &str| told::chinese(words).unwrap_or_else(|| words.to_owned());
    let count = |(anomaly, count): (&String, &u64)| {
        let name = promises::anomaly(anomaly).map_or(anomaly.as_str(), |words| words.chinese);
        format!("{name} {count}")
    };
    let counts: Vec<String> = weakness.seen.anomalies.iter().map(count).collect();
    let [_, chinese] = words::WEAKNESS.filled_in(&[
        &weakness.mode.mode,
        &known(weakness.broken()),
        &known(weakness.fault()),
        &counts.join("、"),
        &grouped(weakness.seen.broken),
        &grouped(weakness.runs()),
        &weakness.seen.cases.join(", "),
        &known(&weakness.source()),
    ]);
    chinese
}

/// The place of a row's details.
pub(super) fn anchor(mode: usize, guarantee: &str) -> String {
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

/// The findings that the record keeps, what was claimed first; gives back those that are on the page.
fn evidence<'a>(audit: &'a Audit, markup: &mut Markup) -> Vec<&'a Finding> {
    let mut shown: Vec<(bool, Shown<'a>)> = Vec::new();
    for (_, mode, row) in rows(audit) {
        for seen in &row.seen {
            let Some(finding) = &seen.finding else { continue };
            let one = Shown { guarantee: &row.guarantee, finding, names: &seen.names, origin: &mode.mode };
            shown.push((!seen.claimed, one));
        }
    }
    shown.sort_by_key(|(is_unclaimed, _)| *is_unclaimed);
    let shown: Vec<Shown<'a>> = shown.into_iter().map(|(_, one)| one).collect();
    let count = findings::section(&shown, 0, markup);
    shown[..count].iter().map(|one| one.finding).collect()
}
