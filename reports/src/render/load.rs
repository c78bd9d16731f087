//! A load test for a person: one screen with the result first, latency by percentile, a small histogram, what the faults did,
//! and what the machine and this tool themselves took.

use std::io::{self, Write};

use super::reason_lines;
use crate::escape::visible;
use crate::latency::{From, Stage, show_us};
use crate::load::{FaultWindow, Floor, LoadRecord, StageLatency};
use crate::run::{Outcome, Run};
use crate::verdict::Verdict;

/// Letters of the longest bar.
const BAR_LETTERS: u64 = 40;
/// Bars that are shown; the longest tail is the most interesting, so the first are left out.
const BARS_MAX: usize = 14;
/// Guarantees that are named as broken.
const BROKEN_MAX: usize = 6;

/// Writes the summary that fits one screen.
pub fn write_load_text(record: &LoadRecord, run: &Run, out: &mut dyn Write) -> io::Result<()> {
    let words = match record.outcome {
        Outcome::Passed => "PASSED",
        Outcome::Inconclusive => "INCONCLUSIVE",
        Outcome::TargetFailed => "TARGET FAILED",
        Outcome::Violated => "VIOLATED",
    };
    writeln!(out, "{words}: {} over {}", visible(&record.target), visible(&record.protocol))?;
    let closed = if record.arrival.closed_loop { " (CLOSED LOOP)" } else { "" };
    writeln!(
        out,
        "  {}, {} for {}, {}, seed {}{closed}",
        visible(&record.shape.words),
        visible(&record.arrival.words),
        show_us(record.duration_ns / 1_000),
        visible(&record.payload.words),
        record.seed
    )?;
    for reason in &record.reasons {
        for (number, line) in reason_lines(reason).into_iter().enumerate() {
            writeln!(out, "  {}{line}", if number == 0 { "because " } else { "        " })?;
        }
    }
    integrity(record, run, out)?;
    writeln!(out)?;
    latency(record, out)?;
    by_size(record, out)?;
    bars(record, out)?;
    for window in &record.faults {
        fault(window, out)?;
    }
    for objective in &record.objectives {
        let verdict = objective.verdict.name();
        writeln!(
            out,
            "  objective {:<12} {}: {}",
            verdict,
            visible(&objective.words),
            visible(&objective.observed)
        )?;
    }
    for step in &record.knee_steps {
        let held = if step.held { "held " } else { "broke" };
        writeln!(
            out,
            "  {:>9.0}/s {held} {:>9.0}/s accepted, p50 {}, p99 {}: {}",
            step.offered_per_s,
            step.achieved_per_s,
            show(step.p50_us),
            show(step.p99_us),
            visible(&step.why)
        )?;
    }
    if let Some(knee) = &record.knee {
        writeln!(out, "  {}", visible(knee))?;
    }
    foot(record, out)
}

fn integrity(record: &LoadRecord, run: &Run, out: &mut dyn Write) -> io::Result<()> {
    let totals = record.totals;
    writeln!(
        out,
        "  {} intended, {} sent, {} accepted, {} refused, {} unanswered; {} delivered, {} missing; {} disconnects",
        totals.intended,
        totals.sent,
        totals.accepted,
        totals.refused,
        totals.unknown,
        totals.delivered,
        totals.missing,
        totals.disconnects
    )?;
    let with = |verdict| run.judgements.iter().filter(move |it| it.claimed && it.verdict == verdict);
    let (held, open) = (with(Verdict::Pass).count(), with(Verdict::Inconclusive).count());
    let untested = with(Verdict::Skipped).count();
    let broken: Vec<&str> = with(Verdict::Violated).map(|it| it.guarantee.as_str()).collect();
    let named = broken.iter().take(BROKEN_MAX).copied().collect::<Vec<_>>().join(", ");
    let broken_words = if broken.is_empty() { "none broken".to_owned() } else { format!("BROKEN: {named}") };
    writeln!(
        out,
        "  guarantees that are claimed: {held} held, {broken_words}, {open} open, {untested} not put to the test"
    )
}

fn latency(record: &LoadRecord, out: &mut dyn Write) -> io::Result<()> {
    if record.latency.is_empty() {
        return writeln!(out, "  nothing was measured");
    }
    writeln!(
        out,
        "  {:<26}{:>9}{:>11}{:>11}{:>11}{:>11}{:>11}",
        "latency", "samples", "p50", "p90", "p99", "p99.9", "max"
    )?;
    for row in &record.latency {
        let name = match row.from {
            From::Intended => format!("intended send → {}", row.stage.name()),
            From::Sent => format!("    actual send → {}", row.stage.name()),
        };
        write!(out, "  {name:<26}{:>9}", row.count + row.never)?;
        for (milli, value) in percentiles(row) {
            let mark = if row.too_few_for.contains(&milli) { "?" } else { "" };
            write!(out, "{:>11}", show(value) + mark)?;
        }
        writeln!(out)?;
    }
    let unsure = record.latency.iter().any(|row| !row.too_few_for.is_empty());
    if unsure {
        writeln!(out, "  ? = too few samples to say")?;
    }
    Ok(())
}

/// One line per size.
fn by_size(record: &LoadRecord, out: &mut dyn Write) -> io::Result<()> {
    if record.by_size.is_empty() {
        return Ok(());
    }
    let stages = ["accepted", "delivered", "last recipient", "receipt"];
    writeln!(out, "  by how many take part in a conversation, p50/p99 from the intended send:")?;
    write!(out, "  {:<8}{:>10}", "members", "messages")?;
    stages.iter().try_for_each(|stage| write!(out, "{stage:>21}"))?;
    writeln!(out)?;
    for size in &record.by_size {
        write!(out, "  {:<8}{:>10}", size.name(), size.sent)?;
        let [accepted, delivered, receipt] = Stage::ALL.map(|stage| size.stage(stage));
        for row in [accepted, delivered, size.to_last.as_ref(), receipt] {
            let mark = |row: &StageLatency, milli| if row.too_few_for.contains(&milli) { "?" } else { "" };
            let shown = row.map_or_else(
                || "–".to_owned(),
                |row| {
                    let [p50, p99] = [(50_000, row.p50_us), (99_000, row.p99_us)]
                        .map(|(milli, value)| show(value) + mark(row, milli));
                    format!("{p50}/{p99}")
                },
            );
            write!(out, "{shown:>21}")?;
        }
        writeln!(out)?;
    }
    Ok(())
}

fn percentiles(row: &StageLatency) -> [(u32, Option<u64>); 5] {
    [
        (50_000, row.p50_us),
        (90_000, row.p90_us),
        (99_000, row.p99_us),
        (99_900, row.p999_us),
        (100_000, row.max_us),
    ]
}

fn show(us: Option<u64>) -> String {
    us.map_or_else(|| "never".to_owned(), show_us)
}

fn bars(record: &LoadRecord, out: &mut dyn Write) -> io::Result<()> {
    let longest = record.bars.iter().map(|bar| bar.count).max().unwrap_or(0);
    if longest == 0 {
        return Ok(());
    }
    writeln!(out)?;
    for bar in &record.bars[record.bars.len().saturating_sub(BARS_MAX)..] {
        // What is there at all is seen.
        let letters = (bar.count * BAR_LETTERS).div_ceil(longest) as usize;
        writeln!(out, "  {:>10} {:<40} {}", show_us(bar.from_us), "#".repeat(letters), bar.count)?;
    }
    Ok(())
}

fn fault(window: &FaultWindow, out: &mut dyn Write) -> io::Result<()> {
    let show = |us: Option<u64>| us.map_or_else(|| "–".to_owned(), show_us);
    let (before, during, after) = (&window.before, &window.during, &window.after);
    writeln!(
        out,
        "  fault {}: delivered p50/p99 {}/{} before, {}/{} during, {}/{} after; {}",
        visible(&window.words),
        show(before.delivered_p50_us),
        show(before.delivered_p99_us),
        show(during.delivered_p50_us),
        show(during.delivered_p99_us),
        show(after.delivered_p50_us),
        show(after.delivered_p99_us),
        visible(&window.recovery)
    )
}

fn foot(record: &LoadRecord, out: &mut dyn Write) -> io::Result<()> {
    if let Some(connections) = &record.connections {
        writeln!(
            out,
            "  {} of {} sessions made while it went on: p50 {}, p99 {}, longest {}",
            connections.made,
            connections.intended,
            show(connections.p50_us),
            show(connections.p99_us),
            show(connections.max_us)
        )?;
    }
    if let Some(floor) = &record.noise_floor {
        let show = |floor: &Floor| {
            let value = |us: Option<u64>| us.map_or_else(|| "?".to_owned(), show_us);
            format!("{} (p99 {})", value(floor.p50_us), value(floor.p99_us))
        };
        writeln!(
            out,
            "  noise floor: loopback ping-pong {}, fdatasync {}, timer late by {}",
            show(&floor.ping_pong),
            show(&floor.fdatasync),
            show(&floor.timer)
        )?;
    }
    let generator = &record.generator;
    let speed = generator.messages_per_cpu_s.map_or_else(String::new, |speed| {
        format!("; {speed:.0} acceptances and deliveries per CPU-second, all checks included")
    });
    // Where it is a reason for the result, it was said above.
    let is_said = record.reasons.contains(&generator.words);
    let words = if is_said { "the generator: see above".to_owned() } else { visible(&generator.words) };
    writeln!(out, "  {words}{speed}")?;
    for words in record.modes_seen.iter().chain(&record.remarks) {
        writeln!(out, "  note: {}", visible(words))?;
    }
    writeln!(out, "  repeat: {}", visible(&record.repeat))
}
