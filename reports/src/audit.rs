//! The record of an audit: what a target claims, mode by mode, held against what many runs showed.
//!
//! It judges nothing: every verdict is of a run's checkers. It only says under which faults a guarantee held, under which it
//! was broken, and whether anybody had promised it.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::history::Names;
use crate::run::{End, Outcome, Run};
use crate::verdict::{Finding, Judgement, Verdict};

/// Version of the record that this tool writes.
pub const AUDIT_VERSION: u64 = 1;

/// Everything that a report tells of an audit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Audit {
    /// Version of this record, [`AUDIT_VERSION`].
    pub avouch_audit: u64,
    /// What was put to the test.
    pub target: String,
    /// What it is, in one sentence.
    pub about: String,
    /// Seeds of the runs.
    pub seeds: Vec<u64>,
    /// The worst of all runs.
    pub outcome: Outcome,
    /// Each mode by itself.
    pub modes: Vec<ModeAudit>,
    /// The command that repeats the audit.
    pub repeat: String,
}

/// One mode of a target.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModeAudit {
    /// Its name.
    pub mode: String,
    /// How it is spoken, in a few words.
    pub words: String,
    /// How many runs it was put through.
    pub runs: u64,
    /// Per guarantee that is claimed, disclaimed, or was put to the test.
    pub rows: Vec<AuditRow>,
    /// Runs that show nothing, and why.
    pub void: Vec<VoidRun>,
    /// Cases that could not be carried out here, and why.
    pub skipped: Vec<VoidRun>,
}

/// Faults from the mildest to the worst; whatever is not among them comes last.
const FAULTS: [&str; 7] = ["nothing", "disconnect", "pause", "restart", "kill", "power-loss", "machine"];

/// A run or a case of which nothing can be said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VoidRun {
    /// Which case.
    pub case: String,
    /// In words.
    pub why: String,
    /// Its run folder; empty if there is none.
    pub folder: String,
}

/// One guarantee in one mode.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AuditRow {
    /// Its id.
    pub guarantee: String,
    /// Who promises it where, if anybody does.
    pub claim: Option<ClaimWords>,
    /// Who says that it is not promised.
    pub disclaimer: Option<String>,
    /// What was seen, by the worst fault of the runs.
    pub seen: Vec<SeenUnder>,
}

/// A claim as a report shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClaimWords {
    /// Document and section.
    pub source: String,
    /// Faults under which it is made; empty = whatever happens.
    pub under: Vec<String>,
}

/// What was seen of a guarantee under one kind of fault.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SeenUnder {
    /// The worst fault of these runs: `nothing`, `disconnect`, `pause`, `restart`, `kill`, …
    pub fault: String,
    /// Whether the claim is made there.
    pub claimed: bool,
    /// Runs in which it held.
    pub held: u64,
    /// Runs in which it was broken.
    pub broken: u64,
    /// What was broken, in all these runs: anomaly → how often.
    pub anomalies: BTreeMap<String, u64>,
    /// Cases in which it was broken, each once.
    pub cases: Vec<String>,
    /// What was observed, in one line: of the run that is shown if it was broken, else of the first.
    pub observed: String,
    /// The run folder that shows it.
    pub folder: String,
    /// The smallest finding.
    pub finding: Option<Finding>,
    /// Names that the finding mentions.
    pub names: Names,
}

/// How a guarantee came out in a mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// Claimed, and nothing put it to the test.
    Untested,
    /// Claimed, and it held wherever it is claimed.
    AsClaimed,
    /// Not claimed, and it held.
    Stronger,
    /// Broken only where nobody promises it.
    Unpromised,
    /// Broken where it is claimed.
    Weaker,
}

impl Standing {
    /// In words, as reports have it.
    pub fn words(self) -> &'static str {
        match self {
            Self::Untested => "not put to the test",
            Self::AsClaimed => "as claimed",
            Self::Stronger => "held, not claimed",
            Self::Unpromised => "broken where not promised",
            Self::Weaker => "WEAKER than claimed",
        }
    }
}

impl AuditRow {
    /// How it came out.
    pub fn standing(&self) -> Standing {
        let broken = |claimed: bool| self.seen.iter().any(|seen| seen.broken > 0 && seen.claimed == claimed);
        let held = self.seen.iter().any(|seen| seen.held > 0);
        if broken(true) {
            Standing::Weaker
        } else if broken(false) {
            Standing::Unpromised
        } else if !held {
            Standing::Untested
        } else if self.claim.is_some() {
            Standing::AsClaimed
        } else {
            Standing::Stronger
        }
    }
}

/// A run of an audit, as it is added to the record.
#[derive(Clone, Copy, Debug)]
pub struct Audited<'a> {
    /// Which case of the battery.
    pub case: &'a str,
    /// The worst fault in it.
    pub fault: &'a str,
    /// Its run folder.
    pub folder: &'a str,
    /// What came of it.
    pub run: &'a Run,
}

impl ModeAudit {
    /// Adds a run.
    pub fn add(&mut self, audited: &Audited<'_>) {
        self.runs += 1;
        let run = audited.run;
        if run.shows_only_what_nobody_promises() && run.judges_anything() {
            // It is no part of the verdict, and no gap in it either.
        } else if let (Outcome::Inconclusive | Outcome::TargetFailed, why) = (run.outcome(), run.reasons()) {
            let doubts = run.doubts();
            let why = match &run.end {
                End::TargetFailed { why } | End::ToolFailed { why } => why.clone(),
                // Where there is a doubt about the whole run, every guarantee is inconclusive because of it.
                End::Complete | End::Interrupted if doubts.is_empty() => why.join("; "),
                End::Complete | End::Interrupted => doubts.join("; "),
            };
            let (case, folder) = (audited.case.to_owned(), audited.folder.to_owned());
            self.void.push(VoidRun { case, why, folder });
        }
        for judgement in &run.judgements {
            if let Some(row) = self.rows.iter_mut().find(|row| row.guarantee == judgement.guarantee) {
                row.add(audited, judgement);
            }
        }
    }

    /// Takes out what was neither promised, nor disclaimed, nor put to the test; orders what was seen by the worst fault.
    pub fn conclude(&mut self) {
        let rank = |fault: &str| FAULTS.iter().position(|known| *known == fault).unwrap_or(FAULTS.len());
        self.rows.iter_mut().for_each(|row| row.seen.sort_by_key(|seen| rank(&seen.fault)));
        self.rows.retain(|row| row.claim.is_some() || row.disclaimer.is_some() || !row.seen.is_empty());
    }
}

impl AuditRow {
    fn add(&mut self, audited: &Audited<'_>, judgement: &Judgement) {
        if !matches!(judgement.verdict, Verdict::Pass | Verdict::Violated) {
            return;
        }
        let at = self.seen.iter().position(|seen| seen.fault == audited.fault).unwrap_or_else(|| {
            self.seen.push(SeenUnder { fault: audited.fault.to_owned(), ..SeenUnder::default() });
            self.seen.len() - 1
        });
        self.seen[at].add(audited, judgement);
    }
}

impl SeenUnder {
    fn add(&mut self, audited: &Audited<'_>, judgement: &Judgement) {
        self.claimed |= judgement.claimed;
        if judgement.verdict == Verdict::Pass {
            self.held += 1;
            if self.broken == 0 && self.held == 1 {
                self.show(audited, judgement);
            }
            return;
        }
        self.broken += 1;
        if !self.cases.iter().any(|case| case == audited.case) {
            self.cases.push(audited.case.to_owned());
        }
        // Only the first findings are kept whole; what they do not name is counted with the first.
        let unnamed = judgement.findings_total.saturating_sub(judgement.findings.len() as u64);
        for (number, finding) in judgement.findings.iter().enumerate() {
            let more = if number == 0 { unnamed } else { 0 };
            *self.anomalies.entry(finding.anomaly.clone()).or_default() += 1 + more;
        }
        let smallest = judgement.findings.iter().min_by_key(|finding| finding.timeline.len());
        let is_smaller = match (&self.finding, smallest) {
            (Some(known), Some(found)) => found.timeline.len() < known.timeline.len(),
            (None, _) => true,
            (Some(_), None) => false,
        };
        if is_smaller {
            self.show(audited, judgement);
            self.finding = smallest.cloned();
            self.names = audited.run.names.clone();
        }
    }

    fn show(&mut self, audited: &Audited<'_>, judgement: &Judgement) {
        self.observed.clone_from(&judgement.observed);
        audited.folder.clone_into(&mut self.folder);
    }
}

/// Something that is weaker than a reader would expect; as text it is one sentence.
#[derive(Clone, Copy, Debug)]
pub struct Weakness<'a> {
    /// In which mode.
    pub mode: &'a ModeAudit,
    /// Which guarantee, and who promises it.
    pub row: &'a AuditRow,
    /// Under which fault, and how often.
    pub seen: &'a SeenUnder,
}

impl Audit {
    /// Everything that is weaker than a reader would expect, what was claimed first.
    pub fn weaknesses(&self) -> Vec<Weakness<'_>> {
        [self.broken_promises(), self.broken_where_nobody_promises()].concat()
    }

    /// Everything that is weaker than claimed.
    pub fn broken_promises(&self) -> Vec<Weakness<'_>> {
        self.broken(true)
    }

    /// Everything that a reader would expect and nobody promises.
    pub fn broken_where_nobody_promises(&self) -> Vec<Weakness<'_>> {
        self.broken(false)
    }

    fn broken(&self, claimed: bool) -> Vec<Weakness<'_>> {
        let mut told = Vec::new();
        for mode in &self.modes {
            for row in &mode.rows {
                let broken = row.seen.iter().filter(|seen| seen.broken > 0 && seen.claimed == claimed);
                told.extend(broken.map(|seen| Weakness { mode, row, seen }));
            }
        }
        told
    }
}

impl Weakness<'_> {
    /// What does not hold.
    pub fn broken(&self) -> &str {
        broken_words(&self.row.guarantee)
    }

    /// When it does not.
    pub fn fault(&self) -> &str {
        fault_words(&self.seen.fault)
    }

    /// Runs that put it to the test.
    pub fn runs(&self) -> u64 {
        self.seen.broken + self.seen.held
    }

    /// Who promises it, or says that it is not promised.
    pub fn source(&self) -> String {
        match (&self.row.claim, &self.row.disclaimer) {
            (Some(claim), _) if self.seen.claimed => format!("promised by {}", claim.source),
            (Some(claim), _) if !claim.under.is_empty() => {
                format!("promised up to {} only", claim.under.last().map_or("", String::as_str))
            }
            (_, Some(source)) => format!("not promised: {source}"),
            _ => "nobody promises it".to_owned(),
        }
    }
}

impl fmt::Display for Weakness<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts: Vec<String> =
            self.seen.anomalies.iter().map(|(anomaly, count)| format!("{count} {anomaly}")).collect();
        let (mode, broken, fault, counts) = (&self.mode.mode, self.broken(), self.fault(), counts.join(", "));
        let (of, runs, cases) = (self.seen.broken, self.runs(), self.seen.cases.join(", "));
        write!(f, "{mode}: {broken} {fault} ({counts}, in {of} of {runs} runs: {cases}); {}", self.source())
    }
}

/// A guarantee that does not hold, in words.
fn broken_words(guarantee: &str) -> &str {
    match guarantee {
        "no-loss" => "acknowledged messages do not reach everybody",
        "no-duplicates" => "messages reach an application twice",
        "no-phantoms" => "messages are delivered that nobody sent",
        "intact" => "messages arrive changed",
        "isolation" => "messages reach others than the members",
        "errors-truthful" => "refused messages take effect",
        "idempotent-send" => "a message that is sent again takes effect twice",
        "fifo-order" => "messages of one sender arrive out of order",
        "causal-order" => "answers arrive before what they answer",
        "total-order" => "devices see different orders",
        "real-time-order" => "messages overtake what was acknowledged before",
        "seq-sane" => "positions are given twice, fall, or have holes",
        "receipts-truthful" => "senders are told of deliveries that did not happen",
        "receipts-complete" => "senders are not told of deliveries",
        "gap-visible" => "messages are missed without a sign of it",
        "read-your-writes" => "pages leave out what their reader had written",
        "monotonic-reads" => "pages leave out what their reader had seen",
        "history-agrees" => "pages of one conversation differ",
        "membership-boundary" => "messages reach others than the members of their time",
        "chain-valid" => "clients find the history rewritten",
        "recovers-within" => "what is owed does not arrive in time",
        "offline-complete" => "messages that were acknowledged while a device was away do not reach it",
        "inflight-redelivered" => {
            "what was in flight to a device when its connection ended does not come again"
        }
        "resume-truthful" => "a session is called resumed and has a gap",
        "redelivery-flag-truthful" => "redeliveries are marked wrongly",
        "durable-ack" => "messages that were acknowledged are gone with the process",
        "durable-ack-power" => "messages that were acknowledged are gone with the power",
        "send-live" => "sends stay without an answer",
        other => other,
    }
}

fn fault_words(fault: &str) -> &str {
    match fault {
        "nothing" => "with nothing going wrong",
        "disconnect" => "when clients leave, are slow, or their connections end",
        "pause" => "when the server stands still",
        "restart" => "when the server is restarted",
        "kill" => "when the server is killed",
        "power-loss" => "when power is lost",
        "machine" => "when its machine fails it",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Header;
    use crate::run::{Drain, RunFacts};

    /// A run in which one guarantee came out like this.
    fn run(guarantee: &str, claimed: bool, broken: u64) -> Run {
        let mut run = Run::new(Header::default(), RunFacts::new([]));
        run.drain = Some(Drain { converged: true, missing: String::new() });
        let finding = Finding {
            anomaly: "lost".to_owned(),
            expected: "it arrives".to_owned(),
            actual: "it does not".to_owned(),
            conversation: None,
            device: None,
            message: None,
            timeline: Vec::new(),
        };
        run.judgements.push(Judgement {
            guarantee: guarantee.to_owned(),
            claimed,
            verdict: if broken > 0 { Verdict::Violated } else { Verdict::Pass },
            observed: format!("{broken} broken"),
            findings_total: broken,
            findings: if broken > 0 { vec![finding] } else { Vec::new() },
        });
        run
    }

    fn mode(claim: bool) -> ModeAudit {
        let claim =
            claim.then(|| ClaimWords { source: "page 1".to_owned(), under: vec!["restart".to_owned()] });
        let row = |guarantee: &str, claim| AuditRow {
            guarantee: guarantee.to_owned(),
            claim,
            disclaimer: None,
            seen: Vec::new(),
        };
        ModeAudit {
            mode: "m".to_owned(),
            words: "words".to_owned(),
            runs: 0,
            rows: vec![row("no-loss", claim), row("intact", None)],
            void: Vec::new(),
            skipped: Vec::new(),
        }
    }

    fn add(mode: &mut ModeAudit, fault: &str, run: &Run) {
        mode.add(&Audited { case: "c", fault, folder: "runs/c", run });
    }

    #[test]
    fn what_holds_where_it_is_claimed_and_breaks_elsewhere_is_no_breach() {
        let mut mode = mode(true);
        add(&mut mode, "restart", &run("no-loss", true, 0));
        assert_eq!(mode.rows[0].standing(), Standing::AsClaimed);
        add(&mut mode, "kill", &run("no-loss", false, 7));
        assert_eq!(mode.rows[0].standing(), Standing::Unpromised);
        add(&mut mode, "restart", &run("no-loss", true, 2));
        assert_eq!(mode.rows[0].standing(), Standing::Weaker);
        mode.conclude();
        assert_eq!(mode.rows.len(), 1, "what nobody claims and nothing tested is left out");
        let audit = Audit {
            avouch_audit: AUDIT_VERSION,
            target: "t".to_owned(),
            about: String::new(),
            seeds: vec![1],
            outcome: Outcome::Violated,
            modes: vec![mode],
            repeat: String::new(),
        };
        assert_eq!(
            audit.weaknesses().iter().map(Weakness::to_string).collect::<Vec<_>>(),
            [
                "m: acknowledged messages do not reach everybody when the server is restarted (2 lost, in 1 of 2 runs: c); \
             promised by page 1",
                "m: acknowledged messages do not reach everybody when the server is killed (7 lost, in 1 of 1 runs: c); \
             promised up to restart only",
            ]
        );
        let mut text = Vec::new();
        crate::render::write_audit_text(&audit, &mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        assert!(text.contains("WEAKER: 2 lost") && text.contains("broken: 7 lost"), "{text}");
        let mut xml = Vec::new();
        crate::render::write_audit_junit(&audit, &mut xml).unwrap();
        assert!(String::from_utf8(xml).unwrap().contains("failures=\"1\""));
    }

    #[test]
    fn what_nobody_claims_and_holds_is_stronger() {
        let mut mode = mode(false);
        add(&mut mode, "nothing", &run("no-loss", false, 0));
        assert_eq!(mode.rows[0].standing(), Standing::Stronger);
        assert_eq!(mode.rows[1].standing(), Standing::Untested);
    }
}
