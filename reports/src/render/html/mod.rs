//! HTML: one self-contained page per run, per audit, per sweep, and an index of many runs.
//!
//! A page loads nothing and holds both languages. Charts and diagrams are drawn here, so it can be read and printed without
//! a script; the script (`assets/page.js`) adds switches, filters and values under the pointer. Like every renderer, it shows a record
//! and judges nothing.

mod audit;
mod chart;
mod diagram;
mod event_words;
mod findings;
mod index;
mod language;
mod latency;
mod markup;
mod page;
mod promises;
mod setting;
mod sweep;
#[cfg(test)]
mod tests;
mod told;
mod verdict;
mod words;

use std::io::{self, Write};

use crate::latency::OverTime;
use crate::render::Renderer;
use crate::run::Run;
use markup::Markup;
use page::Frame;

pub use audit::write_audit_page;
pub use index::{IndexEntry, write_index_page};
pub use language::Language;
pub use promises::promise_in_english;
pub use sweep::{write_scoreboard_page, write_sweep_page};

/// Pages of records alone, without charts over time: for standard output, and for runs that have no folder.
#[derive(Clone, Copy, Debug, Default)]
pub struct Html {
    /// What the page is written in when it is opened.
    pub language: Language,
}

impl Renderer for Html {
    fn render(&self, run: &Run, out: &mut dyn Write) -> io::Result<()> {
        write_run_page(run, None, self.language, out)
    }

    fn render_all(&self, runs: &[Run], out: &mut dyn Write) -> io::Result<()> {
        if let [run] = runs {
            return self.render(run, out);
        }
        let entries: Vec<IndexEntry<'_>> = runs.iter().map(|run| IndexEntry { run, link: None }).collect();
        write_index_page(&entries, self.language, out)
    }
}

/// Writes the page of one run. `over_time` is what its interval log says; without it there are no charts.
pub fn write_run_page(
    run: &Run,
    over_time: Option<&OverTime>,
    language: Language,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut body = Markup::default();
    verdict::head(run, &mut body);
    verdict::tiles(run, &mut body);
    verdict::guarantees(run, &mut body);
    let total = run.judgements.iter().map(|judgement| judgement.findings_total).sum();
    findings::section(&findings::of_run(&run.judgements, &run.names), total, &mut body);
    latency::section(run, over_time, &mut body);
    setting::faults(run, over_time, &mut body);
    setting::environment(run, &mut body);
    let (outcome, tone) = verdict::outcome_words(run.outcome());
    let frame = Frame {
        language,
        tone,
        outcome,
        title: &super::title(run),
        sections: &[
            ("verdict", words::SUMMARY),
            ("guarantees", words::GUARANTEES),
            ("findings", words::FINDINGS),
            ("latency", words::LATENCY),
            ("faults", words::FAULTS),
            ("environment", words::ENVIRONMENT),
        ],
        tool: &run.header.tool,
    };
    frame.write(&body, out)
}
