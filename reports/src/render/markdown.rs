//! Markdown for a CI summary or a comment: GitHub's flavour, which others read as well.

use std::io::{self, Write};

use super::{
    Renderer, TOO_FEW, claimed, faults, finding_text, grouped, latency_cells, latency_rows, ledger,
    more_findings, observed, plural, reason_lines, setting, skipped, tally, title,
};
use crate::escape::visible;
use crate::run::{Outcome, Run};
use crate::verdict::Verdict;

/// A summary with tables; findings are folded.
#[derive(Clone, Copy, Debug, Default)]
pub struct Markdown;

impl Renderer for Markdown {
    fn render(&self, run: &Run, out: &mut dyn Write) -> io::Result<()> {
        let outcome = run.outcome();
        writeln!(out, "## {} {}: {}\n", mark(outcome), outcome.name(), markdown(&title(run)))?;
        writeln!(out, "{}\n", markdown(&setting(run)))?;
        for reason in run.reasons() {
            let lines: Vec<String> = reason_lines(&reason).iter().map(|line| markdown(line)).collect();
            writeln!(out, "- {}", lines.join("<br>"))?;
        }
        if outcome != Outcome::Passed {
            writeln!(out)?;
        }
        writeln!(out, "{}\n", markdown(&ledger(run)))?;
        for line in faults(run).into_iter().chain(skipped(run)) {
            writeln!(out, "{}\n", markdown(&line))?;
        }
        guarantees(run, out)?;
        latency(run, out)?;
        findings(run, out)?;
        if !run.header.repeat.is_empty() {
            writeln!(out, "Repeat: <code>{}</code>", markdown(&run.header.repeat))?;
        }
        Ok(())
    }

    fn render_all(&self, runs: &[Run], out: &mut dyn Write) -> io::Result<()> {
        if let [run] = runs {
            return self.render(run, out);
        }
        let outcome = Outcome::of_all(runs);
        let total = plural(runs.len() as u64, "run", "runs");
        writeln!(out, "# {} {}: {total} ({})\n", mark(outcome), outcome.name(), tally(runs))?;
        writeln!(out, "| outcome | scenario | setting | why |\n|---|---|---|---|")?;
        for run in runs {
            let first = |reason: &String| reason_lines(reason).into_iter().next();
            let reason = run.reasons().first().and_then(first).unwrap_or_else(|| ledger(run));
            let (title, setting, reason) =
                (markdown(&title(run)), markdown(&setting(run)), markdown(&reason));
            writeln!(
                out,
                "| {} {} | {title} | {setting} | {reason} |",
                mark(run.outcome()),
                run.outcome().name()
            )?;
        }
        for run in runs.iter().filter(|run| run.outcome() != Outcome::Passed) {
            writeln!(out)?;
            self.render(run, out)?;
        }
        Ok(())
    }
}

fn mark(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Passed => "✅",
        Outcome::Violated => "❌",
        Outcome::Inconclusive | Outcome::TargetFailed => "⚠️",
    }
}

fn guarantees(run: &Run, out: &mut dyn Write) -> io::Result<()> {
    if run.judgements.is_empty() && run.gates.is_empty() {
        return Ok(());
    }
    let bold = |verdict: Verdict, punished: bool| match verdict {
        Verdict::Violated if punished => format!("**{}**", verdict.name()),
        _ => verdict.name().to_owned(),
    };
    writeln!(out, "| guarantee | claimed | verdict | observed |\n|---|---|---|---|")?;
    let shared = run.shared_doubt();
    for it in &run.judgements {
        let (name, observed) = (markdown(&it.guarantee), markdown(&observed(it, shared)));
        writeln!(out, "| {name} | {} | {} | {observed} |", claimed(it), bold(it.verdict, it.claimed))?;
    }
    for gate in &run.gates {
        let (name, observed) = (markdown(&gate.name()), markdown(&gate.observed));
        writeln!(out, "| latency {name} | gate | {} | {observed} |", bold(gate.verdict, true))?;
    }
    writeln!(out)
}

fn latency(run: &Run, out: &mut dyn Write) -> io::Result<()> {
    let rows: Vec<_> = latency_rows(run).collect();
    if rows.is_empty() {
        return Ok(());
    }
    writeln!(out, "| latency | faults | p50 | p90 | p99 | p99.9 | max | count | never |")?;
    writeln!(out, "|---|---|--:|--:|--:|--:|--:|--:|--:|")?;
    let mut few = false;
    for row in rows {
        let cells = latency_cells(row);
        few |= !row.too_few_for.is_empty();
        let cells = cells.map(|cell| markdown(&cell)).join(" | ");
        let (stage, window) = (row.stage.name(), row.window.name());
        writeln!(out, "| {stage} | {window} | {cells} | {} | {} |", grouped(row.count), grouped(row.never))?;
    }
    writeln!(out, "{}", if few { format!("\n{}\n", markdown(TOO_FEW)) } else { String::new() })
}

fn findings(run: &Run, out: &mut dyn Write) -> io::Result<()> {
    for judgement in run.judgements.iter().filter(|it| !it.findings.is_empty()) {
        let total = plural(judgement.findings_total, "finding", "findings");
        writeln!(out, "<details><summary>{}: {total}</summary>\n", html(&judgement.guarantee))?;
        for finding in &judgement.findings {
            writeln!(out, "<pre>\n{}</pre>\n", html_lines(&finding_text(finding, run)))?;
        }
        if let Some(more) = more_findings(judgement) {
            writeln!(out, "{}\n", markdown(&more))?;
        }
        writeln!(out, "</details>\n")?;
    }
    Ok(())
}

/// An at sign that mentions nobody: a word joiner follows it. (An entity would be decoded before mentions are looked for.)
const AT: &str = "@\u{2060}";

/// One line of text that means nothing in Markdown: no markup, no HTML, no link, no mention.
pub(super) fn markdown(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in visible(text).chars() {
        match character {
            '\\' | '`' | '*' | '_' | '{' | '}' | '[' | ']' | '|' | '~' | '#' | '!' | '$' => {
                out.push('\\');
                out.push(character);
            }
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '@' => out.push_str(AT),
            plain => out.push(plain),
        }
    }
    without_links(&out)
}

fn html(text: &str) -> String {
    without_links(&html_lines(&visible(text)).replace('@', AT))
}

/// Keeps line feeds; the text is visible already.
fn html_lines(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Bare addresses become links by themselves.
fn without_links(text: &str) -> String {
    text.replace("://", ":&#47;&#47;").replace("www.", "www&#46;").replace("WWW.", "WWW&#46;")
}
