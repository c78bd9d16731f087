//! `JUnit` XML, as CI systems read it: one suite per scenario; one case per guarantee and gate, and one for the run
//! itself. Violated = failure, inconclusive = error, so that neither is green.

use std::io::{self, Write};

use super::{Renderer, claimed, duration_s, finding_text, setting, title};
use crate::escape::{push_visible, visible};
use crate::run::{End, Outcome, Run};
use crate::verdict::{Judgement, Verdict};

/// One document.
#[derive(Clone, Copy, Debug, Default)]
pub struct Junit;

struct Case {
    name: String,
    result: CaseResult,
}

enum CaseResult {
    Pass { output: String },
    Failure { kind: &'static str, message: String, text: String },
    Error { kind: &'static str, message: String },
    Skipped { message: String },
}

#[derive(Default)]
struct Totals {
    tests: usize,
    failures: usize,
    errors: usize,
    skipped: usize,
}

impl Renderer for Junit {
    fn render(&self, run: &Run, out: &mut dyn Write) -> io::Result<()> {
        self.render_all(std::slice::from_ref(run), out)
    }

    fn render_all(&self, runs: &[Run], out: &mut dyn Write) -> io::Result<()> {
        let suites: Vec<(&Run, Vec<Case>)> = runs.iter().map(|run| (run, cases(run))).collect();
        let totals = Totals::of(suites.iter().flat_map(|(_, cases)| cases));
        let time_s: f64 = runs.iter().map(duration_s).sum();
        writeln!(out, r#"<?xml version="1.0" encoding="UTF-8"?>"#)?;
        writeln!(out, r#"<testsuites name="avouch" {} time="{time_s:.3}">"#, totals.attributes())?;
        for (run, cases) in &suites {
            suite(run, cases, out)?;
        }
        writeln!(out, "</testsuites>")
    }
}

impl Totals {
    fn of<'a>(cases: impl Iterator<Item = &'a Case>) -> Self {
        let mut totals = Self::default();
        for case in cases {
            totals.tests += 1;
            match case.result {
                CaseResult::Pass { .. } => {}
                CaseResult::Failure { .. } => totals.failures += 1,
                CaseResult::Error { .. } => totals.errors += 1,
                CaseResult::Skipped { .. } => totals.skipped += 1,
            }
        }
        totals
    }

    fn attributes(&self) -> String {
        let Self { tests, failures, errors, skipped } = self;
        format!(r#"tests="{tests}" failures="{failures}" errors="{errors}" skipped="{skipped}""#)
    }
}

fn suite(run: &Run, cases: &[Case], out: &mut dyn Write) -> io::Result<()> {
    let (name, time_s) = (xml(&title(run)), duration_s(run));
    let totals = Totals::of(cases.iter());
    writeln!(out, r#"  <testsuite name="{name}" {} time="{time_s:.3}">"#, totals.attributes())?;
    let properties = [("setting", setting(run)), ("repeat", run.header.repeat.clone())];
    writeln!(out, "    <properties>")?;
    for (key, value) in properties {
        writeln!(out, r#"      <property name="{key}" value="{}"/>"#, xml(&value))?;
    }
    writeln!(out, "    </properties>")?;
    for case in cases {
        write!(out, r#"    <testcase classname="{name}" name="{}""#, xml(&case.name))?;
        match &case.result {
            CaseResult::Pass { output } if output.is_empty() => writeln!(out, "/>")?,
            CaseResult::Pass { output } => {
                writeln!(out, ">\n      <system-out>{}</system-out>\n    </testcase>", xml(output))?;
            }
            CaseResult::Failure { kind, message, text } => {
                write!(out, ">\n      <failure type=\"{kind}\" message=\"{}\">", xml(message))?;
                writeln!(out, "{}</failure>\n    </testcase>", xml_lines(text))?;
            }
            CaseResult::Error { kind, message } => {
                write!(out, ">\n      <error type=\"{kind}\" message=\"{}\"/>", xml(message))?;
                writeln!(out, "\n    </testcase>")?;
            }
            CaseResult::Skipped { message } => {
                writeln!(out, ">\n      <skipped message=\"{}\"/>\n    </testcase>", xml(message))?;
            }
        }
    }
    writeln!(out, "  </testsuite>")
}

fn cases(run: &Run) -> Vec<Case> {
    let mut cases = vec![Case { name: "run".to_owned(), result: whole(run) }];
    cases
        .extend(run.judgements.iter().map(|it| Case { name: it.guarantee.clone(), result: judged(it, run) }));
    cases.extend(run.gates.iter().map(|gate| {
        let message = gate.observed.clone();
        let result = match gate.verdict {
            Verdict::Pass => CaseResult::Pass { output: message },
            Verdict::Violated => CaseResult::Failure { kind: "violated", message, text: String::new() },
            Verdict::Inconclusive => CaseResult::Error { kind: "inconclusive", message },
            Verdict::Skipped => CaseResult::Skipped { message },
        };
        Case { name: format!("latency {}", gate.name()), result }
    }));
    cases
}

/// What concerns the run as a whole; violations have cases of their own.
fn whole(run: &Run) -> CaseResult {
    let one_line = |reason: &String| super::reason_lines(reason).join(" | ");
    let reasons = || run.reasons().iter().map(one_line).collect::<Vec<_>>().join("; ");
    match (run.outcome(), &run.end) {
        (Outcome::Inconclusive, _) => CaseResult::Error { kind: "inconclusive", message: reasons() },
        (Outcome::TargetFailed, _) | (_, End::TargetFailed { .. }) => {
            CaseResult::Error { kind: "target-failed", message: reasons() }
        }
        (Outcome::Passed | Outcome::Violated, _) => CaseResult::Pass { output: String::new() },
    }
}

fn judged(judgement: &Judgement, run: &Run) -> CaseResult {
    let message = judgement.observed.clone();
    match judgement.verdict {
        Verdict::Pass => CaseResult::Pass { output: message },
        Verdict::Skipped => CaseResult::Skipped { message },
        verdict if !judgement.claimed => {
            let output = format!("{} (claimed: {}): {message}", verdict.name(), claimed(judgement));
            CaseResult::Pass { output }
        }
        Verdict::Inconclusive => CaseResult::Error { kind: "inconclusive", message },
        Verdict::Violated => {
            let mut text = String::from("\n");
            for finding in &judgement.findings {
                text += &finding_text(finding, run);
            }
            text.extend(super::more_findings(judgement).map(|more| more + "\n"));
            if !run.header.repeat.is_empty() {
                text = format!("{text}repeat: {}\n", visible(&run.header.repeat));
            }
            CaseResult::Failure { kind: "violated", message, text }
        }
    }
}

/// One line, for elements and attributes.
pub(super) fn xml(text: &str) -> String {
    xml_lines(&visible(text))
}

/// Text for elements; line feeds stay. XML 1.0 has no way to write most control characters, so hostile ones stand as
/// `\u{1b}`.
fn xml_lines(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            '\n' => out.push('\n'),
            other => push_visible(other, &mut out),
        }
    }
    out
}
