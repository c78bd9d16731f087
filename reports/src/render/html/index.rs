//! The index of many runs: one page for the whole, with a link to the page of each and an excerpt of what is broken.

use std::fmt::Write as _;
use std::io::{self, Write};

use super::findings::{self, Shown};
use super::language::Language;
use super::markup::Markup;
use super::page::Frame;
use super::verdict::{Head, outcome_words, verdict_words};
use super::{promises, words};
use crate::render::{grouped, ledger, setting, title};
use crate::run::{Outcome, Run};
use crate::verdict::Verdict;

/// Runs with a row of their own; the others are counted.
const RUNS_MAX: usize = 2_000;
/// Findings that are shown of each run.
const FINDINGS_PER_RUN_MAX: usize = 2;

/// A run of many.
#[derive(Clone, Copy, Debug)]
pub struct IndexEntry<'a> {
    /// What was recorded.
    pub run: &'a Run,
    /// Where its page is, relative to the index, if it has one.
    pub link: Option<&'a str>,
}

/// Writes the index of runs.
pub fn write_index_page(
    entries: &[IndexEntry<'_>],
    language: Language,
    out: &mut dyn Write,
) -> io::Result<()> {
    // In whatever order they were carried out or found again: the same runs are the same page.
    let mut entries = entries.to_vec();
    entries.sort_by_key(|entry| (&entry.run.header.scenario, entry.run.header.seed, entry.link));
    let entries = &entries[..];
    let outcome = entries.iter().map(|entry| entry.run.outcome()).max().unwrap_or(Outcome::Inconclusive);
    let (word, tone) = outcome_words(outcome);
    let count = grouped(entries.len() as u64);
    let called = if entries.len() == 1 { words::RUN_COUNT_ONE } else { words::RUN_COUNT };
    let titles = called.filled_in(&[&count]);
    let title = titles[usize::from(language == Language::Chinese)].as_str();
    let mut body = Markup::default();
    let head =
        Head { outcome: word, tone, title: [&titles[0], &titles[1]], setting: &shared_setting(entries) };
    head.write(&mut body, |markup| tally(entries, markup));
    runs(entries, &mut body);
    excerpts(entries, &mut body);
    matrix(entries, &mut body);
    let frame = Frame {
        language,
        tone,
        outcome: word,
        title,
        sections: &[
            ("verdict", words::SUMMARY),
            ("runs", words::RUNS),
            ("findings", words::FINDINGS),
            ("matrix", words::GUARANTEES),
        ],
        tool: entries.first().map_or("avouch", |entry| &entry.run.header.tool),
    };
    frame.write(&body, out)
}

/// Target and world, where all runs have the same.
fn shared_setting(entries: &[IndexEntry<'_>]) -> String {
    let Some(first) = entries.first() else { return String::new() };
    let same = |of: fn(&Run) -> &str| {
        let is_same = entries.iter().all(|entry| of(entry.run) == of(first.run));
        is_same.then(|| of(first.run).to_owned()).filter(|text| !text.is_empty())
    };
    let parts = [same(|run| &run.header.target), same(|run| &run.header.world)];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn tally(entries: &[IndexEntry<'_>], markup: &mut Markup) {
    let of = |outcome| entries.iter().filter(|entry| entry.run.outcome() == outcome).count() as u64;
    markup.raw("<p class=\"sentence\">");
    if entries.is_empty() {
        markup.say(words::NO_RUN, &[]);
    } else if of(Outcome::Passed) == entries.len() as u64 {
        markup.say(words::ALL_PASSED, &[]);
    } else {
        let counts = [Outcome::Violated, Outcome::TargetFailed, Outcome::Inconclusive, Outcome::Passed];
        let counts = counts.map(|outcome| grouped(of(outcome)));
        markup.say(words::TALLY, &[&counts[0], &counts[1], &counts[2], &counts[3]]);
    }
    markup.raw("</p>");
}

fn runs(entries: &[IndexEntry<'_>], markup: &mut Markup) {
    markup.raw("<section id=\"runs\" aria-labelledby=\"h-runs\"><h2 id=\"h-runs\">").say(words::RUNS, &[]);
    markup.raw("</h2><form class=\"filters\" id=\"run-filters\"><label>").say(words::SEARCH, &[]);
    markup.raw(" <input type=\"search\" name=\"words\"></label><label>").say(words::SHOW, &[]);
    markup.raw(" <select name=\"outcome\"><option value=\"\"").say_attribute("label", words::EVERY_OUTCOME);
    markup.raw("></option><option value=\"not-good\"").say_attribute("label", words::NOT_PASSED);
    markup.raw("></option></select></label></form><div class=\"scroll\" tabindex=\"0\"><table class=\"runs\"><thead><tr>");
    for title in [words::OUTCOME, words::SCENARIO, words::ENVIRONMENT, words::OBSERVED] {
        markup.raw("<th scope=\"col\">").say(title, &[]).raw("</th>");
    }
    markup.raw("</tr></thead><tbody>");
    // The worst first.
    let mut sorted: Vec<&IndexEntry<'_>> = entries.iter().collect();
    sorted.sort_by_key(|entry| std::cmp::Reverse(entry.run.outcome()));
    for entry in sorted.iter().take(RUNS_MAX) {
        row(entry, markup);
    }
    markup.raw("</tbody></table></div><p class=\"note\" id=\"no-run-matches\" hidden>");
    markup.say(words::NO_RUN_MATCHES, &[]).raw("</p>");
    let more = entries.len().saturating_sub(RUNS_MAX) as u64;
    if more > 0 {
        markup.raw("<p class=\"note\">").say(words::RUNS_LEFT_OUT, &[&grouped(more)]).raw("</p>");
    }
    markup.raw("</section>");
}

fn row(entry: &IndexEntry<'_>, markup: &mut Markup) {
    let run = entry.run;
    let (word, tone) = outcome_words(run.outcome());
    markup.raw("<tr class=\"is-").raw(tone.class()).raw("\"><td><span class=\"badge ").raw(tone.class());
    markup.raw("\">").raw(tone.symbol()).raw(" ").say(word, &[]).raw("</span></td><th scope=\"row\">");
    match entry.link {
        Some(link) => {
            markup.raw("<a").attribute("href", &address(link)).raw(">").text(&title(run)).raw("</a>")
        }
        None => markup.text(&title(run)),
    };
    markup.raw("</th><td>").text(&setting(run)).raw("</td><td>");
    match run.reasons().first() {
        Some(reason) => markup.told(reason),
        None => markup.text(&ledger(run)),
    };
    markup.raw("</td></tr>");
}

/// A relative path as an address: whatever could make it another kind of address is encoded.
pub(super) fn address(path: &str) -> String {
    let mut out = String::from("./");
    for byte in path.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' => {
                out.push(char::from(byte));
            }
            other => write!(out, "%{other:02X}").expect("writing to a string never fails"),
        }
    }
    out
}

fn excerpts(entries: &[IndexEntry<'_>], markup: &mut Markup) {
    let titles: Vec<String> = entries.iter().map(|entry| title(entry.run)).collect();
    let mut shown: Vec<Shown<'_>> = Vec::new();
    let mut total = 0;
    for (entry, title) in entries.iter().zip(&titles) {
        total += entry.run.judgements.iter().map(|judgement| judgement.findings_total).sum::<u64>();
        let of_run = findings::of_run(&entry.run.judgements, &entry.run.names);
        shown.extend(of_run.into_iter().take(FINDINGS_PER_RUN_MAX).map(|one| Shown { origin: title, ..one }));
    }
    findings::section(&shown, total, markup);
}

/// How many runs came to which verdict, guarantee by guarantee.
fn matrix(entries: &[IndexEntry<'_>], markup: &mut Markup) {
    let mut ids: Vec<&str> = Vec::new();
    for judgement in entries.iter().flat_map(|entry| &entry.run.judgements) {
        if !ids.contains(&judgement.guarantee.as_str()) {
            ids.push(&judgement.guarantee);
        }
    }
    if ids.is_empty() {
        return;
    }
    markup
        .raw("<section id=\"matrix\" aria-labelledby=\"h-matrix\"><h2 id=\"h-matrix\">")
        .say(words::MATRIX, &[]);
    markup
        .raw("</h2><p class=\"note\">")
        .say(words::MATRIX_NOTE, &[])
        .raw("</p><div class=\"scroll\" tabindex=\"0\">");
    markup
        .raw("<table class=\"matrix\"><thead><tr><th scope=\"col\">")
        .say(words::GUARANTEE, &[])
        .raw("</th>");
    let verdicts = [Verdict::Pass, Verdict::Violated, Verdict::Inconclusive, Verdict::Skipped];
    for verdict in verdicts {
        let (word, symbol, class) = verdict_words(verdict);
        markup.raw("<th scope=\"col\"><span class=\"badge ").raw(class).raw("\">").raw(symbol).raw(" ");
        markup.say(word, &[]).raw("</span></th>");
    }
    markup.raw("</tr></thead><tbody>");
    for id in ids {
        markup.raw("<tr><th scope=\"row\">").code(id);
        if let Some(promise) = promises::promise(id) {
            markup.raw("<small>").say(promise, &[]).raw("</small>");
        }
        markup.raw("</th>");
        for verdict in verdicts {
            let judgements = entries.iter().flat_map(|entry| &entry.run.judgements);
            let count = judgements.filter(|it| it.guarantee == id && it.verdict == verdict).count();
            markup.raw("<td class=\"n\">").text(&if count == 0 {
                "·".to_owned()
            } else {
                grouped(count as u64)
            });
            markup.raw("</td>");
        }
        markup.raw("</tr>");
    }
    markup.raw("</tbody></table></div></section>");
}
