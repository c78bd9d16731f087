//! A load test from beginning to end: a schedule and a target become a run folder with `load.json` in it.
//!
//! Two threads. One is the generator: the live world with all its sessions, on one event loop, and the pacer that says when
//! who sends. The other is the scribe: it takes every event in batches and keeps, judges and measures it with the very code of
//! every other run, so that a checker that has much to do delays no send. The channel between them is bounded; where the
//! scribe cannot follow, the generator waits, which shows as late starts and never as memory.
//!
//! Not here: what is sent when (`avouch_scenarios::load`), what of it is told (`avouch_reports::load`).

mod closed;
mod exposition;
mod merge;
mod pacer;
mod record;
mod scribe;
mod timer;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;

use avouch_reports::history::{Device, Header};
use avouch_reports::latency::{INTERVAL_NS, LatencyGate};
use avouch_reports::load::{LoadRecord, NoiseFloor, Tally};
use avouch_reports::run::Run;
use avouch_scenarios::load::{Schedule, Sender};
use avouch_scenarios::plan::Plan;

use crate::conductor::Ended;
use crate::interrupt::Interrupt;
use crate::recorder::Recorder;
use crate::session::{Brief, Earlier, Session, SessionError};
use crate::subject::Subject;
use crate::world::live::{Parts, Way, perform_with};

pub use closed::Closed;
pub use exposition::{BOUNDS_S, Buckets, exposition};
pub use merge::{merge, read_record};
pub use pacer::Pace;
pub use record::{Described, RECORD, write as write_record};
pub use scribe::{Live, LiveFigures};

/// A load test that can be begun.
#[derive(Clone, Debug)]
pub struct Order {
    /// Devices, conversations and faults; it has no steps.
    pub plan: Plan,
    /// What is sent when.
    pub schedule: Schedule,
    /// Messages that each sender has under way in a closed loop; `None` = an open loop.
    pub window: Option<u32>,
    /// What is put to the test.
    pub subject: Subject,
    /// What of it is said in the record.
    pub described: Described,
    /// Objectives over the whole run.
    pub objectives: Vec<Asked>,
    /// The run folder.
    pub folder: PathBuf,
    /// The command that repeats it.
    pub repeat: String,
    /// The common beginning with other shards. Milliseconds since the Unix epoch.
    pub start_unix_ms: Option<u64>,
    /// What the machine itself takes.
    pub noise_floor: Option<NoiseFloor>,
}

/// An objective over the whole run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// How it was asked for.
    pub words: String,
    /// The limit.
    pub gate: LatencyGate,
    /// In conversations of how many members only; `None` = in all.
    pub members: Option<u32>,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The record of the run.
    pub run: Run,
    /// The record of the load test.
    pub record: LoadRecord,
    /// The run folder.
    pub folder: PathBuf,
    /// What was in the run folder before.
    pub earlier: Earlier,
    /// What went wrong beside the run, in words.
    pub complaint: Option<String>,
}

/// How devices reach the server: past the proxy wherever no link is to be disturbed.
pub fn way(order: &Order) -> Way {
    way_of(&order.plan, &order.subject)
}

/// The same of a plan and a target.
pub fn way_of(plan: &Plan, subject: &Subject) -> Way {
    use avouch_scenarios::plan::{Delay, Fault, LinkShape};
    let on_links = |fault: &Fault| matches!(fault, Fault::Link(_));
    let triggered =
        |when: &avouch_scenarios::plan::When| matches!(when, avouch_scenarios::plan::When::OnFrame(_));
    let plain =
        |shape: &LinkShape| shape.rate_bytes_per_s.is_none() && matches!(shape.delay, Delay::Fixed { ns: 0 });
    let disturbed = plan.faults.iter().any(|fault| on_links(&fault.fault) || triggered(&fault.when));
    let is_far = !(plain(&plan.network.up) && plain(&plan.network.down));
    if disturbed || is_far || subject.client.is_some() { Way::Proxied } else { Way::Direct }
}

/// Carries a load test out.
pub fn perform(order: Order, interrupt: Interrupt, live: &Live) -> Result<Loaded, SessionError> {
    perform_in(order, live, |parts, recorder, pace| perform_with(parts, recorder, interrupt, pace))
}

/// The same, in whatever world `carry_out` has: a null target needs no socket.
pub fn perform_in(
    order: Order,
    live: &Live,
    carry_out: impl FnOnce(&Parts<'_>, &Recorder, &Pace) -> Ended,
) -> Result<Loaded, SessionError> {
    let brief = brief(&order);
    let (plan, way) = (brief.plan.clone(), way(&order));
    let (apart, taps) = Session::open(brief)?.apart();
    let interval_ns = interval_ns(plan.phases.chaos_ns);
    let taps = taps.by_intervals_of(interval_ns);
    let connects: BTreeMap<Device, u64> = (0..)
        .zip(&plan.devices)
        .filter_map(|(number, device)| Some((Device(number), device.connects_at_ns?)))
        .collect();
    let tally = Tally::new(connects).by_columns_of(interval_ns);
    let scribe = scribe::Scribe::start(taps, tally, live.clone());
    let closed = order.window.map(|window| Closed::new(window, &order.schedule));
    let recorder = scribe.recorder(apart.owing(), closed.clone());
    let pace = Pace::new(order.schedule.clone(), closed, order.start_unix_ms, scribe.flusher());
    let parts = Parts { plan: &plan, subject: &order.subject, folder: &order.folder, way };
    let ended = carry_out(&parts, &recorder, &pace);
    drop(recorder);
    let effort = pace.effort();
    let (taps, tally) = scribe.finish();
    let session = Session::listening_again(apart, taps);
    let earlier = session.earlier().clone();
    let mut measured = None;
    let closed = session.close_with(&ended, |run, latency| {
        latency.close_interval();
        let seen = record::Seen { tally: &tally, latency, effort: &effort };
        measured = Some(record::complete(run, &order, way, seen));
    });
    let (run, mut complaint) = match closed {
        Ok(run) => (run, None),
        Err(SessionError::Unwritten { run, path, cause }) => (
            *run,
            Some(format!("cannot write {}: {cause}\nhint: the verdict is told all the same", path.display())),
        ),
        Err(error) => return Err(error),
    };
    let record = record::conclude(measured.expect("a session that closes completes its run"), &run);
    if let Err(words) = record::write(&order.folder, &record) {
        complaint.get_or_insert(words);
    }
    Ok(Loaded { run, record, folder: order.folder, earlier, complaint })
}

fn brief(order: &Order) -> Brief {
    let mut plan = order.plan.clone();
    let subject = &order.subject;
    let claims = subject.claims_in(&plan);
    subject.dialect.prepare(&mut plan);
    let options = subject.dialect.check_options(&plan);
    let header = Header {
        tool: concat!("avouch ", env!("CARGO_PKG_VERSION")).to_owned(),
        scenario: plan.scenario.clone(),
        seed: Some(plan.seed),
        world: "live".to_owned(),
        target: subject.name(),
        claims,
        expected: plan.expect.guarantees.clone(),
        reading: Some(options.of_target_alone()),
        repeat: order.repeat.clone(),
        started: None,
        notes: Vec::new(),
    };
    Brief { plan: Rc::new(plan), header, options, folder: order.folder.clone() }
}

/// How long a column of latencies over time is: a test of a few seconds has more to show than a few columns. Shorter ones cost
/// processor time, which a long test has better use for.
pub fn interval_ns(duration_ns: u64) -> u64 {
    let finest = [(5_000_000_000, 100_000_000), (20_000_000_000, 250_000_000)];
    let fits = finest.into_iter().find(|(up_to_ns, _)| duration_ns <= *up_to_ns);
    fits.map_or(INTERVAL_NS, |(_, interval_ns)| interval_ns)
}

/// Those who send in a closed loop, each once.
fn senders(schedule: &Schedule) -> Vec<Sender> {
    schedule.senders.clone()
}
