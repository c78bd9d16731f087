//! Sweeps and scoreboards, in the formats of the other reports.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::io::{self, Write};

use super::grouped;
use super::json::write_ascii_safe;
use super::junit::xml;
use super::markdown::markdown;
use super::table::{Side, align};
use crate::escape::visible;
use crate::sweep::{Find, ScoreLine, Scoreboard, Size, StateHits, Sweep, SweepOutcome};

/// In which format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SweepFormat {
    /// For a terminal.
    Text,
    /// For a program.
    Json,
    /// For a CI server's test view.
    Junit,
    /// For a CI summary.
    Markdown,
}

/// Writes a sweep.
pub fn write_sweep(sweep: &Sweep, format: SweepFormat, out: &mut dyn Write) -> io::Result<()> {
    match format {
        SweepFormat::Text => sweep_text(sweep, out),
        SweepFormat::Json => write_ascii_safe(sweep, out),
        SweepFormat::Junit => sweep_junit(sweep, out),
        SweepFormat::Markdown => sweep_markdown(sweep, out),
    }
}

/// Writes a scoreboard.
pub fn write_scoreboard(board: &Scoreboard, format: SweepFormat, out: &mut dyn Write) -> io::Result<()> {
    match format {
        SweepFormat::Text => board_text(board, out),
        SweepFormat::Json => write_ascii_safe(board, out),
        SweepFormat::Junit => board_junit(board, out),
        SweepFormat::Markdown => board_markdown(board, out),
    }
}

/// `3 clients, 5 messages, 2 faults`.
fn size(size: Size) -> String {
    let of = |count: u64, one: &str| format!("{} {one}{}", grouped(count), if count == 1 { "" } else { "s" });
    format!("{}, {}, {}", of(size.clients, "client"), of(size.messages, "message"), of(size.faults, "fault"))
}

/// Runs per processor second.
fn speed(sweep: &Sweep) -> String {
    let per_s = if sweep.cpu_s > 0.0 { sweep.runs as f64 / sweep.cpu_s } else { 0.0 };
    format!("{:.1} CPU-s, {per_s:.0} runs per CPU-s", sweep.cpu_s)
}

fn tally(sweep: &Sweep) -> String {
    let inconclusive: u64 = sweep.inconclusive.values().sum();
    let parts = [(sweep.broken, "broken"), (sweep.passed, "passed"), (inconclusive, "inconclusive")];
    let parts = parts.iter().filter(|(count, _)| *count > 0);
    parts.map(|(count, word)| format!("{} {word}", grouped(*count))).collect::<Vec<_>>().join(", ")
}

fn drawn_from(sweep: &Sweep) -> String {
    let bases =
        if sweep.bases.is_empty() { String::new() } else { format!(", on {}", sweep.bases.join(" ")) };
    let defects = if sweep.defects.is_empty() {
        String::new()
    } else {
        format!(", defect {}", sweep.defects.join(" "))
    };
    visible(&format!("seed {}{bases}{defects}", sweep.seed))
}

fn in_sim(find: &Find) -> Option<&'static str> {
    find.in_sim.map(|is| if is { "the world `sim` shows it too" } else { "the world `sim` does not show it" })
}

/// What has to be said of a find beside its sizes.
fn remarks(find: &Find) -> Vec<String> {
    let mut remarks: Vec<String> = find.remarks.clone();
    remarks.extend(in_sim(find).map(str::to_owned));
    remarks
}

fn sizes(find: &Find) -> String {
    match find.after {
        Some(after) => format!("{} → {} ({} tried)", size(find.before), size(after), grouped(find.tried)),
        None => size(find.before),
    }
}

fn sweep_text(sweep: &Sweep, out: &mut dyn Write) -> io::Result<()> {
    let outcome = sweep.outcome();
    let runs = grouped(sweep.runs);
    writeln!(
        out,
        "{}: {runs} schedules ({}; {})",
        outcome.name().to_uppercase(),
        tally(sweep),
        drawn_from(sweep)
    )?;
    for reason in if outcome == SweepOutcome::Violated { Vec::new() } else { sweep.reasons() } {
        writeln!(out, "  - {}", visible(&reason))?;
    }
    writeln!(out, "  {}", speed(sweep))?;
    for line in inconclusive(sweep) {
        writeln!(out, "  inconclusive: {}", visible(&line))?;
    }
    for find in &sweep.finds {
        writeln!(out, "\n  {}: {}", visible(&find.guarantee), visible(&find.anomaly))?;
        writeln!(out, "    expected: {}", visible(&find.expected))?;
        writeln!(out, "    actual:   {}", visible(&find.actual))?;
        writeln!(out, "    first in run {} (of {} that show it)", grouped(find.run), grouped(find.runs))?;
        writeln!(out, "    size:     {}", sizes(find))?;
        for remark in remarks(find) {
            writeln!(out, "    note:     {}", visible(&remark))?;
        }
        writeln!(out, "    file:     {}", visible(&find.file))?;
        writeln!(out, "    repeat:   {}", visible(&find.repeat))?;
    }
    rare_states(sweep, out)
}

/// Why schedules show nothing, a line per reason. What a reason names in brackets is counted within its line, the most frequent
/// first.
fn inconclusive(sweep: &Sweep) -> Vec<String> {
    let mut reasons: BTreeMap<&str, Vec<(u64, &str)>> = BTreeMap::new();
    for (reason, count) in &sweep.inconclusive {
        let named = reason.strip_suffix(')').and_then(|it| it.rsplit_once(" ("));
        let (reason, name) = named.unwrap_or((reason, ""));
        reasons.entry(reason).or_default().push((*count, name));
    }
    let line = |(reason, mut names): (&str, Vec<(u64, &str)>)| {
        names.sort_by_key(|&(count, name)| (Reverse(count), name));
        let total = grouped(names.iter().map(|(count, _)| count).sum());
        let names = names.iter().filter(|(_, name)| !name.is_empty());
        let names: Vec<_> = names.map(|(count, name)| format!("{} {name}", grouped(*count))).collect();
        if names.is_empty() {
            format!("{total} because {reason}")
        } else {
            format!("{total} because {reason} ({})", names.join(", "))
        }
    };
    reasons.into_iter().map(line).collect()
}

/// How often each rare state was reached. A sweep that stopped early owes none of them: there the others are only counted.
fn rare_states(sweep: &Sweep, out: &mut dyn Write) -> io::Result<()> {
    let is_told = |hits: &&StateHits| sweep.states_demanded || hits.runs > 0;
    let mut states: Vec<_> = sweep.states.iter().filter(is_told).collect();
    states.sort_by_key(|hits| hits.runs);
    let (reached, all) = (sweep.states.iter().filter(|hits| hits.runs > 0).count(), sweep.states.len());
    writeln!(out, "\n  rare states that were reached, {reached} of {all}, and in how many runs:")?;
    let rows: Vec<Vec<String>> =
        states.iter().map(|hits| vec![grouped(hits.runs), visible(&hits.state)]).collect();
    for line in align(&rows, &[Side::Right, Side::Left]) {
        writeln!(out, "    {line}")?;
    }
    Ok(())
}

fn sweep_markdown(sweep: &Sweep, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "## {}: {} schedules\n", sweep.outcome().name(), grouped(sweep.runs))?;
    writeln!(out, "{}; {}; {}\n", tally(sweep), markdown(&drawn_from(sweep)), speed(sweep))?;
    for reason in sweep.reasons() {
        writeln!(out, "- {}", markdown(&reason))?;
    }
    if !sweep.finds.is_empty() {
        writeln!(out, "\n| broken | how | what happened | size | file |\n|---|---|---|---|---|")?;
    }
    for find in &sweep.finds {
        let actual = [vec![find.actual.clone()], remarks(find)].concat().join("; ");
        let cells =
            [&find.guarantee, &find.anomaly, &actual, &sizes(find), &find.file].map(|cell| markdown(cell));
        writeln!(out, "| {} |", cells.join(" | "))?;
    }
    writeln!(out, "\n| rare state | runs |\n|---|---|")?;
    for hits in &sweep.states {
        writeln!(out, "| {} | {} |", markdown(&hits.state), grouped(hits.runs))?;
    }
    Ok(())
}

/// One case per find, one per rare state, and one for the sweep itself.
fn sweep_junit(sweep: &Sweep, out: &mut dyn Write) -> io::Result<()> {
    let mut cases = vec![(
        "the sweep".to_owned(),
        match sweep.outcome() {
            SweepOutcome::Inconclusive => Some(("error", sweep.reasons().join("; "))),
            SweepOutcome::Passed | SweepOutcome::Violated => None,
        },
    )];
    cases.extend(sweep.finds.iter().map(|find| {
        let text = format!("{}; expected {}; repeat: {}", find.actual, find.expected, find.repeat);
        (format!("{} ({})", find.guarantee, find.anomaly), Some(("failure", text)))
    }));
    cases.extend(sweep.states.iter().map(|hits| {
        let missed = sweep.states_demanded && hits.runs == 0;
        (format!("state: {}", hits.state), missed.then(|| ("error", "no run reached it".to_owned())))
    }));
    junit(&format!("explore, {}", drawn_from(sweep)), sweep.cpu_s, &cases, out)
}

fn junit(
    name: &str,
    time_s: f64,
    cases: &[(String, Option<(&'static str, String)>)],
    out: &mut dyn Write,
) -> io::Result<()> {
    let count =
        |kind: &str| cases.iter().filter(|(_, it)| it.as_ref().is_some_and(|it| it.0 == kind)).count();
    let (tests, failures, errors) = (cases.len(), count("failure"), count("error"));
    let totals =
        format!(r#"tests="{tests}" failures="{failures}" errors="{errors}" skipped="0" time="{time_s:.3}""#);
    writeln!(out, r#"<?xml version="1.0" encoding="UTF-8"?>"#)?;
    writeln!(out, r#"<testsuites name="avouch" {totals}>"#)?;
    writeln!(out, r#"  <testsuite name="{}" {totals}>"#, xml(name))?;
    for (case, result) in cases {
        write!(out, r#"    <testcase classname="{}" name="{}""#, xml(name), xml(case))?;
        match result {
            None => writeln!(out, "/>")?,
            Some((kind, message)) => {
                writeln!(out, ">\n      <{kind} message=\"{}\"/>\n    </testcase>", xml(message))?;
            }
        }
    }
    writeln!(out, "  </testsuite>\n</testsuites>")
}

/// Sizes are clients, messages and faults.
const BOARD_HEAD: [&str; 9] = [
    "defect",
    "found",
    "world",
    "by",
    "runs",
    "CPU-s",
    "drawn (c/m/f)",
    "shrunk (c/m/f)",
    "registered to break",
];

fn board_row(board: &Scoreboard, line: &ScoreLine) -> Vec<String> {
    let short = |size: Option<Size>| {
        size.map_or(String::new(), |size| format!("{}/{}/{}", size.clients, size.messages, size.faults))
    };
    let mut by: Vec<_> = line.by.iter().collect();
    by.sort_by_key(|(_, seeds)| std::cmp::Reverse(**seeds));
    let by = by.first().map_or(String::new(), |(guarantee, _)| (*guarantee).clone());
    vec![
        line.defect.clone(),
        format!("{}/{}", line.found, board.seeds),
        line.world.clone(),
        by,
        line.runs.map_or(String::new(), grouped),
        line.cpu_s.map_or(String::new(), |cpu_s| format!("{cpu_s:.2}")),
        short(line.before),
        short(line.after),
        line.breaks.clone(),
    ]
}

fn board_summary(board: &Scoreboard) -> String {
    let tried = board.lines.len();
    let missed = board.missed().count();
    let runs_most = board.lines.iter().filter_map(|line| line.runs).max().unwrap_or(0);
    let cpu_s: f64 = board.lines.iter().filter_map(|line| line.cpu_s).sum();
    let median = |of: &dyn Fn(Size) -> u64| {
        let mut sizes: Vec<u64> = board.lines.iter().filter_map(|line| line.after).map(of).collect();
        sizes.sort_unstable();
        sizes.get(sizes.len() / 2).map_or_else(|| "?".to_owned(), u64::to_string)
    };
    format!(
        "{} of {tried} defects found with every one of {} seeds; {cpu_s:.1} CPU-s for one seed of each, {} runs for the \
         one that takes most (medians); shrunk median {} clients, {} messages, {} faults",
        tried - missed,
        board.seeds,
        grouped(runs_most),
        median(&|size| size.clients),
        median(&|size| size.messages),
        median(&|size| size.faults),
    )
}

fn board_text(board: &Scoreboard, out: &mut dyn Write) -> io::Result<()> {
    let mut rows = vec![BOARD_HEAD.map(str::to_owned).to_vec()];
    rows.extend(board.lines.iter().map(|line| board_row(board, line)));
    let [left, right] = [Side::Left, Side::Right];
    for line in align(&rows, &[left, right, left, left, right, right, right, right, left]) {
        writeln!(out, "{line}")?;
    }
    writeln!(out, "\n{}", board_summary(board))?;
    for line in board.missed() {
        let within = board.cpu_s_max.map_or(String::new(), |cpu_s| format!(" or {cpu_s:.0} CPU-s"));
        let (seeds, runs) = (board.seeds - line.found, grouped(board.runs_max));
        writeln!(
            out,
            "NOT FOUND: {} with {seeds} of {} seeds, within {runs} runs{within}",
            line.defect, board.seeds
        )?;
    }
    if board.interrupted {
        writeln!(out, "interrupted: this is what was found so far")?;
    }
    Ok(())
}

fn board_markdown(board: &Scoreboard, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "| {} |\n|{}", BOARD_HEAD.join(" | "), "---|".repeat(BOARD_HEAD.len()))?;
    for line in &board.lines {
        let cells: Vec<String> = board_row(board, line).iter().map(|cell| markdown(cell)).collect();
        writeln!(out, "| {} |", cells.join(" | "))?;
    }
    writeln!(out, "\n{}", board_summary(board))
}

fn board_junit(board: &Scoreboard, out: &mut dyn Write) -> io::Result<()> {
    let cases: Vec<_> = board
        .lines
        .iter()
        .map(|line| {
            let is_missed = line.found < board.seeds;
            let why = format!("found with {} of {} seeds", line.found, board.seeds);
            (line.defect.clone(), is_missed.then_some(("failure", why)))
        })
        .collect();
    junit("planted defects", board.lines.iter().filter_map(|line| line.cpu_s).sum(), &cases, out)
}

#[cfg(test)]
mod tests {
    use crate::sweep::StateHits;

    use super::*;

    fn sweep() -> Sweep {
        let find = Find {
            guarantee: "no-loss".into(),
            anomaly: "lost".into(),
            run: 17,
            seed: 99,
            runs: 3,
            expected: "m4 reaches u1.d1".into(),
            actual: "it never does \u{1b}[31m".into(),
            before: Size { clients: 4, messages: 30, faults: 5 },
            after: Some(Size { clients: 2, messages: 1, faults: 1 }),
            tried: 210,
            remarks: vec!["Nothing could be left out.".into()],
            file: "out/no-loss-lost-run17.toml".into(),
            repeat: "avouch run out/no-loss-lost-run17.toml --world explore".into(),
            in_sim: Some(true),
        };
        Sweep {
            seed: 7,
            runs_asked: 100,
            runs: 18,
            passed: 14,
            inconclusive: [("cut", 1), ("kill", 2)]
                .map(|(verb, runs)| (format!("a planned fault never took effect ({verb})"), runs))
                .into(),
            broken: 1,
            cpu_s: 0.5,
            finds: vec![find],
            states: vec![
                StateHits { state: "a gap was filled".into(), runs: 12 },
                StateHits { state: "an ack was lost".into(), runs: 0 },
            ],
            ..Sweep::default()
        }
    }

    fn written(write: impl Fn(&mut dyn Write) -> io::Result<()>) -> String {
        let mut out = Vec::new();
        write(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_find_is_told_in_words_with_its_sizes_its_file_and_its_command() {
        let text = written(|out| write_sweep(&sweep(), SweepFormat::Text, out));
        assert_eq!(
            text,
            "VIOLATED: 18 schedules (1 broken, 14 passed, 3 inconclusive; seed 7)
  0.5 CPU-s, 36 runs per CPU-s
  inconclusive: 3 because a planned fault never took effect (2 kill, 1 cut)

  no-loss: lost
    expected: m4 reaches u1.d1
    actual:   it never does \\u{1b}[31m
    first in run 17 (of 3 that show it)
    size:     4 clients, 30 messages, 5 faults → 2 clients, 1 message, 1 fault (210 tried)
    note:     Nothing could be left out.
    note:     the world `sim` shows it too
    file:     out/no-loss-lost-run17.toml
    repeat:   avouch run out/no-loss-lost-run17.toml --world explore

  rare states that were reached, 1 of 2, and in how many runs:
    12  a gap was filled
"
        );
    }

    #[test]
    fn no_format_lets_hostile_text_through() {
        for format in [SweepFormat::Text, SweepFormat::Json, SweepFormat::Junit, SweepFormat::Markdown] {
            let text = written(|out| write_sweep(&sweep(), format, out));
            assert!(text.contains("no-loss") && !text.contains('\u{1b}'), "{format:?}: {text}");
        }
    }

    #[test]
    fn what_is_missed_is_red_in_a_ci_view() {
        let mut sweep = Sweep { broken: 0, finds: Vec::new(), states_demanded: true, ..sweep() };
        let text = written(|out| write_sweep(&sweep, SweepFormat::Junit, out));
        assert!(text.contains(r#"tests="3" failures="0" errors="2""#), "{text}");
        sweep.states.pop();
        let text = written(|out| write_sweep(&sweep, SweepFormat::Junit, out));
        assert!(text.contains(r#"tests="2" failures="0" errors="0""#), "{text}");
    }

    #[test]
    fn a_scoreboard_has_a_line_per_defect_and_a_summary() {
        let found = ScoreLine {
            defect: "ack-before-commit".into(),
            breaks: "durable-ack".into(),
            found: 10,
            by: [("durable-ack".to_owned(), 9), ("no-loss".to_owned(), 1)].into(),
            runs: Some(1_200),
            cpu_s: Some(1.25),
            before: Some(Size { clients: 4, messages: 30, faults: 5 }),
            after: Some(Size { clients: 2, messages: 1, faults: 1 }),
            world: "explore".into(),
        };
        let missed = ScoreLine { defect: "sweep-disabled".into(), found: 3, ..ScoreLine::default() };
        let board = Scoreboard { seeds: 10, lines: vec![found, missed], ..Scoreboard::default() };
        let text = written(|out| write_scoreboard(&board, SweepFormat::Text, out));
        assert!(
            text.contains("ack-before-commit  10/10  explore  durable-ack  1,200   1.25         4/30/5"),
            "{text}"
        );
        assert!(text.contains("1 of 2 defects found with every one of 10 seeds; 1.2 CPU-s"), "{text}");
        assert!(text.contains("NOT FOUND: sweep-disabled with 7 of 10 seeds, within 0 runs"), "{text}");
        let text = written(|out| write_scoreboard(&board, SweepFormat::Junit, out));
        assert!(text.contains(r#"tests="2" failures="1""#), "{text}");
        let text = written(|out| write_scoreboard(&board, SweepFormat::Markdown, out));
        assert!(text.contains("| sweep-disabled | 3/10 |"), "{text}");
    }
}
