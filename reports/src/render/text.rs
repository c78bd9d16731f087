//! For a terminal: the verdict first, in words; a passing run fits a screen.

use std::io::{self, Write};

use super::table::{Side, align};
use super::{
    Renderer, TOO_FEW, claimed, faults, finding_text, finding_text_without_timeline, latency_cells,
    latency_rows, ledger, more_findings, observed, plural, reason_lines, setting, skipped, tally, title,
};
use crate::escape::visible;
use crate::run::{Outcome, Run};
use crate::verdict::{Finding, Verdict};

/// Plain text, with colour if wanted. Whether colour is wanted (a terminal, `NO_COLOR`) is the caller's question.
#[derive(Clone, Copy, Debug, Default)]
pub struct Text {
    /// Paint verdicts.
    pub colour: bool,
}

impl Renderer for Text {
    fn render(&self, run: &Run, out: &mut dyn Write) -> io::Result<()> {
        self.headline(run, out)?;
        for reason in run.reasons() {
            for (number, line) in reason_lines(&reason).into_iter().enumerate() {
                writeln!(out, "  {}{line}", if number == 0 { "- " } else { "      " })?;
            }
        }
        writeln!(out, "\n  {}", ledger(run))?;
        if let Some(faults) = faults(run) {
            writeln!(out, "  {faults}")?;
        }
        for line in skipped(run) {
            writeln!(out, "  {line}")?;
        }
        self.guarantees(run, out)?;
        Self::latency(run, out)?;
        findings(run, out)?;
        if !run.header.repeat.is_empty() {
            writeln!(out, "\n  repeat: {}", visible(&run.header.repeat))?;
        }
        Ok(())
    }

    fn render_all(&self, runs: &[Run], out: &mut dyn Write) -> io::Result<()> {
        if let [run] = runs {
            return self.render(run, out);
        }
        let outcome = Outcome::of_all(runs);
        let word = self.outcome(outcome);
        writeln!(out, "{word}: {} ({})\n", plural(runs.len() as u64, "run", "runs"), tally(runs))?;
        let row = |run: &Run| {
            let first = |reason: &String| reason_lines(reason).into_iter().next();
            let reason = run.reasons().first().and_then(first).unwrap_or_else(|| ledger(run));
            vec![run.outcome().name().to_owned(), title(run), setting(run), reason]
        };
        let rows: Vec<_> = runs.iter().map(row).collect();
        for (line, run) in align(&rows, &[Side::Left; 4]).iter().zip(runs) {
            writeln!(out, "  {}", self.paint(colour_of(run.outcome()), line))?;
        }
        for run in runs.iter().filter(|run| run.outcome() != Outcome::Passed) {
            writeln!(out)?;
            self.render(run, out)?;
        }
        Ok(())
    }
}

const GREEN: u8 = 32;
const RED: u8 = 31;
const YELLOW: u8 = 33;

fn colour_of(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Passed => GREEN,
        Outcome::Violated => RED,
        Outcome::Inconclusive | Outcome::TargetFailed => YELLOW,
    }
}

impl Text {
    fn paint(self, colour: u8, text: &str) -> String {
        if self.colour { format!("\x1b[{colour}m{text}\x1b[0m") } else { text.to_owned() }
    }

    fn outcome(self, outcome: Outcome) -> String {
        self.paint(colour_of(outcome), &outcome.name().to_uppercase())
    }

    fn headline(self, run: &Run, out: &mut dyn Write) -> io::Result<()> {
        let setting = setting(run);
        let setting = if setting.is_empty() { setting } else { format!(" ({setting})") };
        writeln!(out, "{}: {}{setting}", self.outcome(run.outcome()), title(run))
    }

    fn guarantees(self, run: &Run, out: &mut dyn Write) -> io::Result<()> {
        if run.judgements.is_empty() && run.gates.is_empty() {
            return Ok(());
        }
        let mut rows = vec![["guarantee", "claimed", "verdict", "observed"].map(str::to_owned).to_vec()];
        let mut verdicts = vec![None];
        let shared = run.shared_doubt();
        for it in &run.judgements {
            rows.push(vec![
                visible(&it.guarantee),
                claimed(it).into(),
                it.verdict.name().into(),
                visible(&observed(it, shared)),
            ]);
            verdicts.push(Some((it.verdict, it.claimed)));
        }
        for gate in &run.gates {
            let name = format!("latency {}", gate.name());
            rows.push(vec![name, "gate".into(), gate.verdict.name().into(), visible(&gate.observed)]);
            verdicts.push(Some((gate.verdict, true)));
        }
        writeln!(out)?;
        for (line, verdict) in align(&rows, &[Side::Left; 4]).iter().zip(verdicts) {
            let line = match verdict {
                Some((Verdict::Violated, true)) => self.paint(RED, line),
                Some((Verdict::Violated, false) | (Verdict::Inconclusive, _)) => self.paint(YELLOW, line),
                _ => line.clone(),
            };
            writeln!(out, "  {line}")?;
        }
        Ok(())
    }

    fn latency(run: &Run, out: &mut dyn Write) -> io::Result<()> {
        let titles = ["latency", "faults", "p50", "p90", "p99", "p99.9", "max", "count", "never"];
        let mut rows = vec![titles.map(str::to_owned).to_vec()];
        for row in latency_rows(run) {
            let mut cells = vec![row.stage.name().to_owned(), row.window.name().to_owned()];
            cells.extend(latency_cells(row));
            cells.extend([super::grouped(row.count), super::grouped(row.never)]);
            rows.push(cells);
        }
        if rows.len() == 1 {
            return Ok(());
        }
        let mut sides = vec![Side::Right; titles.len()];
        sides[..2].fill(Side::Left);
        writeln!(out)?;
        let lines = align(&rows, &sides);
        for line in &lines {
            writeln!(out, "  {line}")?;
        }
        if lines.iter().any(|line| line.contains('~')) {
            writeln!(out, "  {TOO_FEW}")?;
        }
        Ok(())
    }
}

fn findings(run: &Run, out: &mut dyn Write) -> io::Result<()> {
    let mut told: Vec<(&str, &Finding)> = Vec::new();
    for judgement in run.judgements.iter().filter(|it| !it.findings.is_empty()) {
        for finding in &judgement.findings {
            let holds_it = |(_, known): &&(&str, &Finding)| {
                !finding.timeline.is_empty() && finding.timeline.iter().all(|it| known.timeline.contains(it))
            };
            let text = if let Some((guarantee, _)) = told.iter().find(holds_it) {
                finding_text_without_timeline(finding, guarantee)
            } else {
                told.push((&judgement.guarantee, finding));
                finding_text(finding, run)
            };
            writeln!(out)?;
            for (index, line) in text.lines().enumerate() {
                let head =
                    if index == 0 { format!("{}: ", visible(&judgement.guarantee)) } else { String::new() };
                writeln!(out, "  {head}{line}")?;
            }
        }
        if let Some(more) = more_findings(judgement) {
            writeln!(out, "  {more}")?;
        }
    }
    Ok(())
}
