//! One run from beginning to end: a plan and a world become a run folder and a record.
//!
//! A run folder holds `history.jsonl` (written as it happens), `run.json`, `junit.xml`, `summary.md`,
//! `latency.hlog`, one `.hgrm` per stage and the plan. Everything but the history can be made again from it. The page for people
//! (`report.html`) is made from these files, by whoever wants one.

mod folder;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use avouch_reports::history::{
    Event, Header, HistoryError, HistoryReader, HistoryWriter, Phase, ReadOptions, What,
};
use avouch_reports::latency::{
    From as MeasuredFrom, LatencyGate, LatencyRecorder, RecorderOptions, Series, Stage, Window, write_hgrm,
};
use avouch_reports::run::{End, PlannedFault, Run, RunFacts};
use avouch_scenarios::plan::Plan;

use crate::check::{Judge, Options, explain};
use crate::conductor::{self, Ended};
use crate::recorder::{Owing, Recorder, Sink};

pub use folder::{Earlier, HISTORY, INTERVALS, PAGE, RECORD};

/// Time after a fault's end that still counts as inside its window. Nanoseconds.
const SETTLE_NS: u64 = 1_000_000_000;
/// Events between two flushes of the history, when nothing else asks for one.
const FLUSH_EVENTS: u64 = 4_096;

/// Why there is no record.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The run folder cannot be written.
    #[error("cannot write {path}: {cause}\nhint: choose another folder with --out, or make room")]
    Folder {
        /// Where.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// Another run is going on in the folder.
    #[error(
        "{path} belongs to a run that is going on\nhint: wait for it, or choose another folder with --out"
    )]
    InUse {
        /// The run folder.
        path: PathBuf,
    },
    /// The run was judged, but its folder is not complete.
    #[error(
        "cannot write {path}: {cause}\nhint: the verdict is told all the same; make room and run it again to have the files"
    )]
    Unwritten {
        /// What was judged.
        run: Box<Run>,
        /// The first file that is missing.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// The history cannot be written or read back.
    #[error("{path}: {cause}")]
    History {
        /// Where.
        path: PathBuf,
        /// Why.
        cause: HistoryError,
    },
}

/// What is run.
#[derive(Clone, Debug)]
pub struct Brief {
    /// What is to be done.
    pub plan: Rc<Plan>,
    /// Facts for the header.
    pub header: Header,
    /// How the target's promises are to be read.
    pub options: Options,
    /// The run folder.
    pub folder: PathBuf,
}

/// Consumes events and becomes the record.
pub struct Session {
    brief: Brief,
    earlier: Earlier,
    taps: Rc<RefCell<Taps>>,
}

/// Everything that listens to the events of a run: the history on disk, the checkers, the latency recorder.
pub struct Taps {
    writer: HistoryWriter<File>,
    since_flush: u64,
    judgement: Judging,
}

/// Everything that follows from a history alone.
pub struct Judging {
    judge: Judge,
    latency: LatencyRecorder,
    facts: RunFacts,
}

impl Judging {
    /// Before the first event. `planned`: the faults that must have taken effect.
    pub fn new(header: &Header, mut options: Options, planned: Vec<PlannedFault>) -> Self {
        options.planned_faults = planned.iter().map(|fault| fault.id).collect();
        Self {
            judge: Judge::new(&header.claims, &header.expected, options),
            latency: LatencyRecorder::new(RecorderOptions {
                settle_ns: SETTLE_NS,
                ..RecorderOptions::default()
            }),
            facts: RunFacts::new(planned),
        }
    }

    /// Latencies over time are told by intervals of that length. For whoever has seen nothing yet.
    #[must_use]
    pub fn by_intervals_of(mut self, interval_ns: u64) -> Self {
        self.latency = LatencyRecorder::new(RecorderOptions { settle_ns: SETTLE_NS, interval_ns });
        self
    }

    /// Takes the next event.
    pub fn observe(&mut self, event: &Event) {
        self.judge.observe(event);
        self.latency.observe(event);
        self.facts.observe(event);
    }

    /// The record, without evidence yet; and what the latency files are written from.
    pub fn conclude(self, header: Header, gates: &[LatencyGate]) -> (Run, LatencyRecorder) {
        let mut run = Run::new(header, self.facts);
        run.judgements = self.judge.finish();
        run.latency = self.latency.summary();
        run.gates = gates.iter().map(|gate| self.latency.judge(*gate)).collect();
        (run, self.latency)
    }
}

impl Session {
    /// Makes the run folder and the history in it.
    pub fn open(brief: Brief) -> Result<Self, SessionError> {
        let folder = &brief.folder;
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |cause| SessionError::Folder { path, cause }
        };
        let (file, earlier) = folder::claim(folder)?;
        let plan = serde_json::to_vec_pretty(&*brief.plan).expect("a plan has no map keys but strings");
        let path = folder.join("plan.json");
        fs::write(&path, plan).map_err(failed(&path))?;
        let path = folder.join(HISTORY);
        let writer = HistoryWriter::new(file, &brief.header)
            .map_err(|cause| SessionError::History { path: path.clone(), cause })?;
        let judgement = Judging::new(&brief.header, brief.options.clone(), planned(&brief.plan));
        let taps = Rc::new(RefCell::new(Taps { writer, since_flush: 0, judgement }));
        Ok(Self { brief, earlier, taps })
    }

    /// The run folder.
    pub fn folder(&self) -> &Path {
        &self.brief.folder
    }

    /// What was in the run folder before.
    pub fn earlier(&self) -> &Earlier {
        &self.earlier
    }

    /// A recorder whose events end up here.
    pub fn recorder(&self) -> Recorder {
        let taps = self.taps.clone();
        let sink: Sink = Box::new(move |event| taps.borrow_mut().take(event));
        Recorder::new(sink).owing(Owing::of(&self.brief.header.claims, &self.brief.options))
    }

    /// What listens, so that another thread can feed it; [`Session::listening_again`] takes it back.
    pub fn apart(self) -> (Apart, Taps) {
        let Self { brief, earlier, taps } = self;
        let Ok(taps) = Rc::try_unwrap(taps).map(RefCell::into_inner) else {
            unreachable!("nobody has asked for a recorder, which would share this")
        };
        (Apart { brief, earlier }, taps)
    }

    /// The session as it was before [`Session::apart`], with all that was heard meanwhile.
    pub fn listening_again(apart: Apart, taps: Taps) -> Self {
        Self { brief: apart.brief, earlier: apart.earlier, taps: Rc::new(RefCell::new(taps)) }
    }

    /// Judges what was seen, collects the evidence, and writes the run folder.
    pub fn close(self, ended: &Ended) -> Result<Run, SessionError> {
        self.close_with(ended, |_, _| {})
    }

    /// The same. `complete` sees the record before its outcome is computed.
    pub fn close_with(
        self,
        ended: &Ended,
        complete: impl FnOnce(&mut Run, &mut LatencyRecorder),
    ) -> Result<Run, SessionError> {
        let Ok(taps) = Rc::try_unwrap(self.taps).map(RefCell::into_inner) else {
            unreachable!("the run is over: its recorder, which shared this, is gone with its tasks")
        };
        let gates: Vec<LatencyGate> = self.brief.plan.expect.latency.iter().filter_map(gate).collect();
        let (mut run, mut latency) = taps.judgement.conclude(self.brief.header.clone(), &gates);
        run.end = end(ended);
        match taps.writer.finish() {
            Ok((summary, _)) => run.history_hash = Some(summary.hash),
            Err(_) if matches!(ended, Ended::NotRecorded(_)) => {}
            // What was not kept cannot be judged again, by nobody.
            Err(cause) => run.end = End::ToolFailed { why: cause.to_string() },
        }
        run.environment = environment();
        if run.judgements.iter().any(|judgement| !judgement.findings.is_empty()) {
            // Where the history cannot be read back, a finding stands without its timeline.
            let events = stored_events(&self.brief.folder.join(HISTORY)).into_iter().flatten();
            explain(&mut run.judgements, &mut events.map_while(Result::ok));
        }
        complete(&mut run, &mut latency);
        run.conclude();
        match write_folder(&self.brief.folder, &run, &mut latency) {
            Ok(()) => Ok(run),
            Err((path, cause)) => Err(SessionError::Unwritten { run: Box::new(run), path, cause }),
        }
    }
}

/// A session whose listeners are elsewhere.
pub struct Apart {
    brief: Brief,
    earlier: Earlier,
}

impl Apart {
    /// How the target's promises are read, and what they are.
    pub fn owing(&self) -> Owing {
        Owing::of(&self.brief.header.claims, &self.brief.options)
    }
}

impl Taps {
    /// Latencies over time are told by intervals of that length. For whoever has heard nothing yet.
    #[must_use]
    pub fn by_intervals_of(mut self, interval_ns: u64) -> Self {
        self.judgement = self.judgement.by_intervals_of(interval_ns);
        self
    }

    /// The latencies so far.
    pub fn latency(&self) -> &LatencyRecorder {
        &self.judgement.latency
    }

    /// Takes the next event and judges it, without keeping it.
    pub fn hear(&mut self, event: &Event) {
        self.judgement.observe(event);
    }

    /// Takes the next event. An error says why it could not be kept; it was judged all the same.
    pub fn take(&mut self, event: &Event) -> Result<(), String> {
        self.judgement.observe(event);
        self.writer.append(event).map_err(|error| error.to_string())?;
        self.since_flush += 1;
        let is_mark = matches!(event.what, What::Phase { phase } if phase != Phase::SetUp)
            || matches!(
                event.what,
                What::FaultStarted { .. } | What::FaultEnded { .. } | What::Drained { .. }
            );
        if is_mark || self.since_flush >= FLUSH_EVENTS {
            self.since_flush = 0;
            self.writer.flush().map_err(|error| error.to_string())?;
        }
        Ok(())
    }
}

fn stored_events(path: &Path) -> Option<HistoryReader<BufReader<File>>> {
    let file = File::open(path).ok()?;
    HistoryReader::open(BufReader::new(file), ReadOptions { accept_torn: true }).ok()
}

/// Writes everything that follows from the history. An error names the file that could not be written.
fn write_folder(folder: &Path, run: &Run, latency: &mut LatencyRecorder) -> Result<(), (PathBuf, io::Error)> {
    use avouch_reports::render::{Json, Junit, Markdown, Renderer};
    let write = |name: &str, fill: &mut dyn FnMut(&mut dyn io::Write) -> io::Result<()>| {
        let path = folder.join(name);
        let filled = File::create(&path).and_then(|file| {
            let mut out = BufWriter::new(file);
            fill(&mut out)?;
            io::Write::flush(&mut out)
        });
        filled.map_err(|cause| (path, cause))
    };
    write(RECORD, &mut |out| Json.render(run, out))?;
    write("junit.xml", &mut |out| Junit.render(run, out))?;
    write("summary.md", &mut |out| Markdown.render(run, out))?;
    write(INTERVALS, &mut |out| latency.write_hlog(out))?;
    for stage in Stage::ALL {
        let series = Series { stage, from: MeasuredFrom::Intended, window: Window::Outside };
        if latency.total(series).is_empty() {
            continue;
        }
        let name = format!("{}.hgrm", stage.name());
        write(&name, &mut |out| write_hgrm(latency.total(series), out))?;
    }
    Ok(())
}

fn planned(plan: &Plan) -> Vec<PlannedFault> {
    let one = |fault: &avouch_scenarios::plan::PlannedFault| PlannedFault {
        id: fault.id,
        kind: conductor::fault_kind(&fault.fault).to_owned(),
        target: String::new(),
    };
    plan.faults.iter().map(one).collect()
}

fn gate(gate: &avouch_scenarios::plan::LatencyGate) -> Option<LatencyGate> {
    Some(LatencyGate {
        stage: Stage::from_name(&gate.stage)?,
        percentile_milli: gate.percentile_milli,
        at_most_us: gate.at_most_ns / 1_000,
    })
}

fn end(ended: &Ended) -> End {
    match ended {
        Ended::Whole => End::Complete,
        Ended::Interrupted => End::Interrupted,
        Ended::TargetDied(why) | Ended::Livelock(why) => End::TargetFailed { why: why.clone() },
        Ended::NoSetUp(why) => {
            End::TargetFailed { why: format!("the set-up did not succeed in time: {why}") }
        }
        Ended::NotRecorded(why) => End::ToolFailed { why: why.clone() },
    }
}

fn environment() -> std::collections::BTreeMap<String, String> {
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    [
        ("avouch".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
        ("kernel".to_owned(), kernel.trim().to_owned()),
        ("processors".to_owned(), cores.to_string()),
    ]
    .into()
}
