//! An audit as a table: guarantee × mode, claimed, observed, evidence; then every weakness in one sentence.

use std::io::{self, Write};

use super::log_lines;
use super::table::{Side, align};
use crate::audit::{Audit, AuditRow, ModeAudit, SeenUnder, Standing};
use crate::escape::visible;
use crate::run::Outcome;
use crate::timeline::Timeline;

/// Timelines that are shown in full; each weakness names its run folder anyhow.
const TIMELINES_MAX: usize = 3;
/// Reasons why runs show nothing are told up to here.
const VOID_MAX: usize = 12;
/// Cases that are named with each.
const CASES_NAMED_MAX: usize = 6;

/// For a person.
pub fn write_audit_text(audit: &Audit, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}: audit of {}", audit.outcome.name().to_uppercase(), visible(&audit.target))?;
    writeln!(out, "{}", visible(&audit.about))?;
    for mode in &audit.modes {
        writeln!(out, "\n{}: {} ({} runs)\n", visible(&mode.mode), visible(&mode.words), mode.runs)?;
        let head = ["guarantee", "claimed", "observed", "where", "runs"].map(str::to_owned).to_vec();
        let rows: Vec<Vec<String>> = std::iter::once(head).chain(mode.rows.iter().flat_map(cells)).collect();
        let sides = [Side::Left, Side::Left, Side::Left, Side::Left, Side::Left];
        for line in align(&rows, &sides) {
            writeln!(out, "  {line}")?;
        }
        write_void(mode, out)?;
    }
    write_weaknesses(audit, out)?;
    write_timelines(audit, out)?;
    writeln!(out, "\nrepeat: {}", visible(&audit.repeat))
}

/// For a CI summary or a comment.
pub fn write_audit_markdown(audit: &Audit, out: &mut dyn Write) -> io::Result<()> {
    let cell = |text: &str| visible(text).replace('|', "\\|").replace('<', "&lt;");
    writeln!(out, "# {}: audit of {}\n\n{}", audit.outcome.name(), cell(&audit.target), cell(&audit.about))?;
    for mode in &audit.modes {
        writeln!(out, "\n## {}: {} ({} runs)\n", cell(&mode.mode), cell(&mode.words), mode.runs)?;
        writeln!(out, "| guarantee | claimed | observed | where | runs |\n|---|---|---|---|---|")?;
        for row in mode.rows.iter().flat_map(cells) {
            writeln!(out, "| {} |", row.iter().map(|text| cell(text)).collect::<Vec<_>>().join(" | "))?;
        }
    }
    writeln!(out)?;
    audit.weaknesses().iter().try_for_each(|it| writeln!(out, "- {}", cell(&it.to_string())))?;
    writeln!(out, "\nRepeat: `{}`", cell(&audit.repeat))
}

/// For a program.
pub fn write_audit_json(audit: &Audit, out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, audit)?;
    writeln!(out)
}

/// For a CI server's test view: one case per mode and guarantee.
pub fn write_audit_junit(audit: &Audit, out: &mut dyn Write) -> io::Result<()> {
    let xml = |text: &str| {
        visible(text).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
    };
    let rows = || audit.modes.iter().flat_map(|mode| mode.rows.iter().map(move |row| (mode, row)));
    let count = |wanted| rows().filter(|(_, row)| row.standing() == wanted).count();
    writeln!(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>")?;
    writeln!(
        out,
        "<testsuite name=\"audit of {}\" tests=\"{}\" failures=\"{}\" errors=\"0\" skipped=\"{}\">",
        xml(&audit.target),
        rows().count(),
        count(Standing::Weaker),
        count(Standing::Untested),
    )?;
    for (mode, row) in rows() {
        let standing = row.standing();
        write!(out, "  <testcase classname=\"{}\" name=\"{}\">", xml(&mode.mode), xml(&row.guarantee))?;
        match standing {
            Standing::Weaker => {
                let seen = row.seen.iter().filter(|seen| seen.broken > 0 && seen.claimed);
                let words: Vec<String> =
                    seen.map(|seen| format!("{}: {}", seen.fault, seen.observed)).collect();
                write!(out, "<failure message=\"{}\"/>", xml(&words.join("; ")))?;
            }
            Standing::Untested => write!(out, "<skipped message=\"{}\"/>", standing.words())?,
            _ => write!(out, "<system-out>{}</system-out>", standing.words())?,
        }
        writeln!(out, "</testcase>")?;
    }
    writeln!(out, "</testsuite>")
}

/// The lines of one guarantee: what held together, then what was broken, each fault by itself.
fn cells(row: &AuditRow) -> Vec<Vec<String>> {
    let claimed = match (&row.claim, &row.disclaimer) {
        (Some(claim), _) if claim.under.is_empty() => "yes".to_owned(),
        (Some(claim), _) => format!("up to {}", claim.under.last().map_or("", String::as_str)),
        (None, Some(_)) => "disclaimed".to_owned(),
        (None, None) => "no".to_owned(),
    };
    let mut lines = Vec::new();
    let (broken, held): (Vec<&SeenUnder>, Vec<&SeenUnder>) =
        row.seen.iter().partition(|seen| seen.broken > 0);
    if !held.is_empty() {
        let faults: Vec<&str> = held.iter().map(|seen| seen.fault.as_str()).collect();
        let runs: u64 = held.iter().map(|seen| seen.held).sum();
        lines.push(["held".to_owned(), faults.join(", "), runs.to_string()]);
    }
    for seen in broken {
        let counts: Vec<String> =
            seen.anomalies.iter().map(|(name, count)| format!("{count} {name}")).collect();
        let words = if seen.claimed { "WEAKER: " } else { "broken: " };
        let runs = format!("{} of {}, see {}", seen.broken, seen.broken + seen.held, visible(&seen.folder));
        lines.push([format!("{words}{}", counts.join(", ")), seen.fault.clone(), runs]);
    }
    if lines.is_empty() {
        lines.push([Standing::Untested.words().to_owned(), String::new(), String::new()]);
    }
    let named = |(number, line): (usize, [String; 3])| {
        let first = number == 0;
        let name = if first { row.guarantee.clone() } else { String::new() };
        let claimed = if first { claimed.clone() } else { String::new() };
        [name, claimed].into_iter().chain(line).collect()
    };
    lines.into_iter().enumerate().map(named).collect()
}

/// Runs that show nothing, those with one reason together.
fn write_void(mode: &ModeAudit, out: &mut dyn Write) -> io::Result<()> {
    for (word, list) in [("showed nothing", &mode.void), ("skipped", &mode.skipped)] {
        let mut by_reason: Vec<(&str, Vec<&str>)> = Vec::new();
        for it in list {
            match by_reason.iter_mut().find(|(why, _)| *why == it.why) {
                Some((_, cases)) => cases.push(&it.case),
                None => by_reason.push((&it.why, vec![&it.case])),
            }
        }
        for (why, cases) in by_reason.iter().take(VOID_MAX) {
            let mut named = cases.iter().take(CASES_NAMED_MAX).map(|case| visible(case)).collect::<Vec<_>>();
            if cases.len() > CASES_NAMED_MAX {
                named.push(format!("{} more", cases.len() - CASES_NAMED_MAX));
            }
            writeln!(out, "  {word}: {}", named.join(", "))?;
            // The end of a log, where the server did not start.
            for line in log_lines(why) {
                writeln!(out, "      {line}")?;
            }
        }
        if by_reason.len() > VOID_MAX {
            writeln!(
                out,
                "  {word}: {} more",
                by_reason[VOID_MAX..].iter().map(|(_, it)| it.len()).sum::<usize>()
            )?;
        }
    }
    Ok(())
}

fn write_weaknesses(audit: &Audit, out: &mut dyn Write) -> io::Result<()> {
    if audit.weaknesses().is_empty() {
        let words = match audit.outcome {
            Outcome::Passed => "nothing is weaker than claimed",
            _ if saw_nothing(audit) => {
                "nothing can be said of what it promises: no run could put it to the test"
            }
            _ => "nothing was found to be weaker than claimed, but not everything could be seen",
        };
        return writeln!(out, "\n{words}");
    }
    let unpromised = audit.broken_where_nobody_promises();
    for (title, told) in
        [("weaker than claimed:", audit.broken_promises()), ("broken where nobody promises it:", unpromised)]
    {
        if !told.is_empty() {
            writeln!(out, "\n{title}")?;
        }
        told.iter().try_for_each(|it| writeln!(out, "  - {}", visible(&it.to_string())))?;
    }
    Ok(())
}

fn saw_nothing(audit: &Audit) -> bool {
    audit.modes.iter().flat_map(|mode| &mode.rows).all(|row| row.seen.is_empty())
}

/// What was claimed first, then the smallest.
fn write_timelines(audit: &Audit, out: &mut dyn Write) -> io::Result<()> {
    let of_mode = |mode| move |row| (mode, row);
    let rows = audit.modes.iter().flat_map(|mode: &ModeAudit| mode.rows.iter().map(of_mode(mode)));
    let mut shown: Vec<(&ModeAudit, &AuditRow, &SeenUnder)> = rows
        .flat_map(|(mode, row)| row.seen.iter().map(move |seen| (mode, row, seen)))
        .filter(|(_, _, seen)| seen.finding.is_some())
        .collect();
    shown.sort_by_key(|(_, _, seen)| {
        (!seen.claimed, seen.finding.as_ref().map_or(0, |finding| finding.timeline.len()))
    });
    for (mode, row, seen) in shown.into_iter().take(TIMELINES_MAX) {
        let Some(finding) = &seen.finding else { continue };
        writeln!(out, "\n{} in {} ({})", row.guarantee, visible(&mode.mode), visible(&seen.folder))?;
        writeln!(
            out,
            "    expected: {}\n    actual:   {}",
            visible(&finding.expected),
            visible(&finding.actual)
        )?;
        for line in Timeline::new(finding, &seen.names).to_text().lines() {
            writeln!(out, "    {line}")?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::AUDIT_VERSION;

    #[test]
    fn where_nothing_was_seen_nothing_good_is_said() {
        let told = |outcome| {
            let (target, about, repeat) = ("one".to_owned(), String::new(), String::new());
            let (seeds, modes) = (vec![1], Vec::new());
            let audit = Audit { avouch_audit: AUDIT_VERSION, target, about, seeds, outcome, modes, repeat };
            let mut text = Vec::new();
            write_weaknesses(&audit, &mut text).unwrap();
            String::from_utf8(text).unwrap()
        };
        let nothing = "\nnothing can be said of what it promises: no run could put it to the test\n";
        assert_eq!(told(Outcome::TargetFailed), nothing);
        assert_eq!(told(Outcome::Passed), "\nnothing is weaker than claimed\n");
    }
}
