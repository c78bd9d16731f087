//! HTML: one self-contained page per run, per audit, per sweep, per comparison, and an index of many runs.
//!
//! A page loads nothing and holds both languages. Charts and diagrams are drawn here, so it can be read and printed without
//! a script; the script (`assets/page.js`) adds switches, filters and values under the pointer. Like every renderer, it shows a record
//! and judges nothing.

mod agreement;
mod audit;
mod chart;
mod compare;
mod diagram;
mod event_words;
mod findings;
mod index;
mod language;
mod latency;
mod load;
mod markup;
mod modes;
mod page;
mod promises;
mod rates;
mod setting;
mod sweep;
#[cfg(test)]
mod tests;
mod told;
mod verdict;
mod words;

use std::io::{self, Write};

use crate::latency::OverTime;
use crate::load::LoadRecord;
use crate::render::Renderer;
use crate::run::Run;
use markup::Markup;
use page::Frame;

pub use agreement::write_agreement_page;
pub use audit::write_audit_page;
pub use compare::write_comparison_page;
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
    write_page_of(run, over_time, None, language, out)
}

/// Writes the page of a load test: that of its run, and what its own record adds.
pub fn write_load_page(
    load: &LoadRecord,
    run: &Run,
    over_time: Option<&OverTime>,
    language: Language,
    out: &mut dyn Write,
) -> io::Result<()> {
    write_page_of(run, over_time, Some(load), language, out)
}

/// Sections of the page of a run or a load test.
const SECTIONS: [(&str, language::Words); 13] = [
    ("verdict", words::SUMMARY),
    ("objectives", words::OBJECTIVES),
    ("guarantees", words::GUARANTEES),
    ("findings", words::FINDINGS),
    ("rates", words::RATES),
    ("knee", words::KNEE),
    ("latency", words::LATENCY),
    ("overall", words::OVERALL_SHORT),
    ("sizes", words::BY_SIZE),
    ("recovery", words::RECOVERY_SHORT),
    ("faults", words::FAULTS),
    ("credibility", words::CREDIBILITY_SHORT),
    ("environment", words::ENVIRONMENT),
];

fn write_page_of(
    run: &Run,
    over_time: Option<&OverTime>,
    load: Option<&LoadRecord>,
    language: Language,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut body = Markup::default();
    if let Some(load) = load {
        load::head(load, &mut body);
        load::tiles(load, &mut body);
        load::objectives(load, &mut body);
        load::rates(load, run, over_time, &mut body);
    } else {
        verdict::head(run, &mut body);
        verdict::tiles(run, &mut body);
        verdict::guarantees(run, &mut body);
        findings(run, &mut body);
    }
    latency::section(run, over_time, load.is_some(), &mut body);
    if let Some(load) = load {
        load::overall(load, &mut body);
        load::by_size(load, &mut body);
        load::recovery(load, &mut body);
        load::credibility(load, &mut body);
        verdict::guarantees(run, &mut body);
        findings(run, &mut body);
    }
    setting::faults(run, over_time, &mut body);
    setting::environment(run, &mut body);
    let (outcome, tone) = verdict::outcome_words(load.map_or_else(|| run.outcome(), |load| load.outcome));
    let title = load.map_or_else(|| super::title(run), |load| load.target.clone());
    let tool = &run.header.tool;
    Frame { language, tone, outcome, title: &title, sections: &SECTIONS, tool }.write(&body, out)
}

fn findings(run: &Run, markup: &mut Markup) {
    let total = run.judgements.iter().map(|judgement| judgement.findings_total).sum();
    findings::section(&findings::of_run(&run.judgements, &run.names), total, markup);
}
