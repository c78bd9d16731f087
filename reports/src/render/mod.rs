//! Reports. One file per format, one trait; a renderer shows a record and judges nothing.
//!
//! Text from a target is hostile: each renderer escapes it for its own format, on top of [`crate::escape`].

mod audit;
mod compare;
#[cfg(test)]
mod expected;
mod html;
mod json;
mod junit;
mod load;
mod markdown;
mod sweep;
mod table;
#[cfg(test)]
mod tests;
mod text;

use std::borrow::Cow;
use std::io::{self, Write};

pub use audit::{write_audit_json, write_audit_junit, write_audit_markdown, write_audit_text};
pub use compare::write_comparison_text;
pub use html::{
    Html, IndexEntry, Language, promise_in_english, write_agreement_page, write_audit_page,
    write_comparison_page, write_index_page, write_load_page, write_run_page, write_scoreboard_page,
    write_sweep_page,
};
pub use json::Json;
pub use junit::Junit;
pub use load::write_load_text;
pub use markdown::Markdown;
pub use sweep::{SweepFormat, write_scoreboard, write_sweep};
pub use text::Text;

use crate::escape::visible;
use crate::latency::{From, LatencyRow, PERCENTILES_MILLI, show_us};
use crate::run::doubt::observed_in_doubt;
use crate::run::{FaultState, Outcome, Run, TARGET_FAILED, TOOL_FAILED};
use crate::timeline::Timeline;
use crate::verdict::{Finding, Judgement};

/// Writes reports in one format.
pub trait Renderer {
    /// The report of one run.
    fn render(&self, run: &Run, out: &mut dyn Write) -> io::Result<()>;

    /// The report of several: the worst outcome first, and who needs a look.
    fn render_all(&self, runs: &[Run], out: &mut dyn Write) -> io::Result<()>;
}

/// `4120` → `4,120`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

fn plural(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", grouped(number), if number == 1 { one } else { many })
}

/// The scenario, or something to call the run by.
fn title(run: &Run) -> String {
    if run.header.scenario.is_empty() { "run".to_owned() } else { visible(&run.header.scenario) }
}

/// Lines that are shown of a reason beside its first: the end of a log.
const REASON_LINES_MAX: usize = 12;

/// A run's reason: one line, and where the target failed the end of its log, where this tool did the hint.
fn reason_lines(reason: &str) -> Vec<String> {
    let has_more = [TARGET_FAILED, TOOL_FAILED].iter().any(|begin| reason.starts_with(begin));
    if has_more { log_lines(reason) } else { vec![visible(reason)] }
}

/// The first line, and the end of the rest.
fn log_lines(words: &str) -> Vec<String> {
    let lines: Vec<&str> = words.trim_end().lines().collect();
    let Some((first, rest)) = lines.split_first() else { return Vec::new() };
    let last = &rest[rest.len().saturating_sub(REASON_LINES_MAX)..];
    std::iter::once(first).chain(last).map(|line| visible(line)).collect()
}

/// Target, world and seed, as far as they are known.
fn setting(run: &Run) -> String {
    let seed = run.header.seed.map(|seed| format!("seed {seed}"));
    let parts = [Some(run.header.target.clone()), Some(run.header.world.clone()), seed];
    let parts: Vec<_> = parts.into_iter().flatten().filter(|part| !part.is_empty()).collect();
    visible(&parts.join(", "))
}

/// What was sent and seen, in one line.
fn ledger(run: &Run) -> String {
    let counts = &run.counts;
    let mut parts = vec![format!(
        "{}: {} accepted",
        plural(counts.sends, "send", "sends"),
        grouped(counts.sends_accepted)
    )];
    let optional =
        [(counts.sends_rejected, "refused"), (counts.sends_unknown, "unknown"), (counts.retries, "retried")];
    parts.extend(optional.iter().filter(|(n, _)| *n > 0).map(|(n, word)| format!("{} {word}", grouped(*n))));
    let mut seen = vec![plural(counts.deliveries, "delivery", "deliveries")];
    if counts.duplicates_suppressed > 0 {
        seen.push(plural(counts.duplicates_suppressed, "copy suppressed", "copies suppressed"));
    }
    if counts.receipts > 0 {
        seen.push(plural(counts.receipts, "receipt", "receipts"));
    }
    format!("{}; {}", parts.join(", "), seen.join(", "))
}

/// What became of the faults, in one line; `None` when none were planned.
fn faults(run: &Run) -> Option<String> {
    let of = |state| run.faults.iter().filter(|fault| fault.state == state).count() as u64;
    let states = [
        (FaultState::Fired, "took effect"),
        (FaultState::NoEffectSeen, "without visible effect"),
        (FaultState::NeverFired, "never fired"),
        (FaultState::Skipped, "skipped"),
    ];
    let parts = states.iter().map(|(state, word)| (of(*state), word)).filter(|(count, _)| *count > 0);
    let parts: Vec<_> = parts.map(|(count, word)| format!("{} {word}", grouped(count))).collect();
    let total = plural(run.faults.len() as u64, "fault", "faults");
    (!run.faults.is_empty()).then(|| format!("{total}: {}", parts.join(", ")))
}

/// Faults that could not be applied, each with its reason.
fn skipped(run: &Run) -> impl Iterator<Item = String> {
    let skipped = run.faults.iter().filter(|fault| fault.state == FaultState::Skipped);
    skipped.map(|fault| visible(&format!("{} skipped: {}", fault.label(), fault.evidence)))
}

fn claimed(judgement: &Judgement) -> &'static str {
    if judgement.claimed { "yes" } else { "no" }
}

/// What was observed of a guarantee. A doubt that it shares with others stands among the run's reasons.
fn observed<'a>(judgement: &'a Judgement, shared_doubt: Option<&str>) -> Cow<'a, str> {
    observed_in_doubt(judgement, shared_doubt).map_or(Cow::Borrowed(&judgement.observed), |observed| {
        Cow::Owned(format!("in doubt as above; {observed}"))
    })
}

/// The rows of the latency table: from the intended send.
fn latency_rows(run: &Run) -> impl Iterator<Item = &LatencyRow> {
    run.latency.rows.iter().filter(|row| row.from == From::Intended)
}

/// p50, p90, p99, p99.9 and max; `~` marks what too few samples say nothing about.
fn latency_cells(row: &LatencyRow) -> [String; 5] {
    let show = |value: Option<u64>| value.map_or("never".to_owned(), show_us);
    let [p50, p90, p99, p999] = row.percentiles_us();
    let mark = |index: usize, value| {
        let few = row.too_few_for.contains(&PERCENTILES_MILLI[index]);
        format!("{}{}", if few { "~" } else { "" }, show(value))
    };
    [mark(0, p50), mark(1, p90), mark(2, p99), mark(3, p999), show(row.max_us)]
}

const TOO_FEW: &str = "~ too few samples: fewer than 10 lie beyond it";

/// A finding as plain lines: what was expected, and what happened.
fn finding_words(finding: &Finding) -> String {
    let (anomaly, expected, actual) =
        (visible(&finding.anomaly), visible(&finding.expected), visible(&finding.actual));
    format!("{anomaly}\n  expected: {expected}\n  actual:   {actual}\n")
}

/// The same of one whose events all stand in the timeline of another.
fn finding_text_without_timeline(finding: &Finding, shown_with: &str) -> String {
    format!(
        "{}    its events stand in the timeline of {} above\n",
        finding_words(finding),
        visible(shown_with)
    )
}

/// The same, and the timeline.
fn finding_text(finding: &Finding, run: &Run) -> String {
    let timeline = Timeline::new(finding, &run.names).to_text();
    let mut text = finding_words(finding);
    for line in timeline.lines() {
        text.extend(["    ", line, "\n"]);
    }
    text
}

fn more_findings(judgement: &Judgement) -> Option<String> {
    let hidden = judgement.findings_total.saturating_sub(judgement.findings.len() as u64);
    (hidden > 0).then(|| format!("and {} more of {}", grouped(hidden), visible(&judgement.guarantee)))
}

/// How long the run was, in seconds of its own clock.
fn duration_s(run: &Run) -> f64 {
    run.phases.last().map_or(0.0, |phase| phase.to_ns as f64 / 1e9)
}

/// `2 violated, 23 passed`, the worst first.
fn tally(runs: &[Run]) -> String {
    let outcomes = [Outcome::Violated, Outcome::TargetFailed, Outcome::Inconclusive, Outcome::Passed];
    let count = |outcome| runs.iter().filter(|run| run.outcome() == outcome).count() as u64;
    let parts = outcomes.into_iter().map(|outcome| (count(outcome), outcome)).filter(|(count, _)| *count > 0);
    let parts: Vec<_> =
        parts.map(|(count, outcome)| format!("{} {}", grouped(count), outcome.name())).collect();
    if parts.is_empty() { "no run".to_owned() } else { parts.join(", ") }
}
