//! Performs one run of a target in the world that was asked for, and knows how the reference server is set up for it.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::thread;

use avouch_engine::auth;
use avouch_engine::client::Config;
use avouch_reports::history::Header;
use avouch_reports::run::{End, Run, RunFacts};
use avouch_scenarios::keyed::{self, Purpose};
use avouch_scenarios::plan::{ClientVerb, Fault, Plan, PlannedFault};
use avouch_server::config::Settings;

use crate::adapter::Adapter;
use crate::adapter::protocol;
use crate::adapter::reference::{self, Identity, Reference};
use crate::check::Options;
use crate::conductor::{Ended, Installer, conduct};
use crate::interrupt::Interrupt;
use crate::panics;
use crate::payload::Nonce;
use crate::session::{Brief, Earlier, Session, SessionError};
use crate::subject::Subject;
use crate::world::explore::{ExploreError, explore_until};
use crate::world::sim::simulate;

pub use crate::subject::reference_claims;

/// Stack of a run's thread. Bytes.
const STACK_BYTES: usize = 8 * 1024 * 1024;
/// What the reference server's tokens are made with in runs of this tool.
pub const SECRET: &str = "avouch run secret";
/// Tokens of a run never expire within it. Milliseconds since the Unix epoch.
pub const TOKEN_EXPIRY_MS: u64 = 4_102_444_800_000;

/// Deliveries that an application which takes its time has in hand at most.
const CONSUME_WINDOW: usize = 16;

/// Ids of an installation: more than it can ever use.
const INSTALLATION_BITS: u32 = 40;

const CLIENT: Purpose = Purpose::named("client");

/// Where a plan is carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum World {
    /// Simulated.
    Sim,
    /// The engines on an event heap.
    Explore,
    /// Real processes.
    Live,
}

impl World {
    /// Its word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sim => "sim",
            Self::Explore => "explore",
            Self::Live => "live",
        }
    }
}

/// One run to perform.
#[derive(Clone, Debug)]
pub struct Task {
    /// What is to be done.
    pub plan: Plan,
    /// Where.
    pub world: World,
    /// The run folder.
    pub folder: PathBuf,
    /// The command that repeats it.
    pub repeat: String,
    /// What is put to the test.
    pub subject: Subject,
}

/// Reads a whole text file of at most that many bytes.
pub fn read_bounded(path: &Path, bytes_max: usize) -> io::Result<String> {
    let mut text = String::new();
    let read = File::open(path)?.take(bytes_max as u64 + 1).read_to_string(&mut text);
    let read = read.map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData => io::Error::other("not valid UTF-8: this is no text file"),
        _ => error,
    })?;
    if read > bytes_max {
        return Err(io::Error::other(format!("longer than {bytes_max} bytes")));
    }
    Ok(text)
}

/// Why a plan makes no sense in a world: it has faults, and this world can carry out none of them.
pub fn why_not(plan: &Plan, world: World, subject: &Subject) -> Option<&'static str> {
    let lacking = |fault: &PlannedFault| match world {
        World::Sim | World::Explore => None,
        World::Live => crate::world::live::lacks(&fault.fault, subject),
    };
    let first = lacking(plan.faults.first()?)?;
    plan.faults.iter().all(|fault| lacking(fault).is_some()).then_some(first)
}

/// Whether this protocol has what the plan names.
pub fn check_plan(plan: &Plan) -> Result<(), String> {
    if plan.cluster.nodes != 1 {
        return Err(format!(
            "the scenario asks for {} nodes\nhint: the reference server runs as one node; set nodes = 1",
            plan.cluster.nodes
        ));
    }
    resolved(plan)?;
    protocol::check_plan(&protocol::Reference::default(), plan)
}

/// The reference server's configuration file for a plan: the plan's settings and the runs' secret.
pub fn server_settings_text(plan: &Plan) -> String {
    let mut text = format!("secret = {SECRET:?}\n");
    for (key, value) in &plan.cluster.settings {
        let is_plain = value.parse::<u64>().is_ok() || value == "true" || value == "false";
        let value = if is_plain { value.clone() } else { format!("{value:?}") };
        let _ = writeln!(text, "{key} = {value}");
    }
    if !plan.defects.is_empty() {
        let _ = writeln!(text, "defect = {:?}", plan.defects);
    }
    text
}

fn resolved(plan: &Plan) -> Result<avouch_server::config::Config, String> {
    let wrong =
        |why: &dyn std::fmt::Display| format!("[cluster] has a setting that the server refuses: {why}");
    let settings = if plan.cluster.settings.is_empty() && plan.defects.is_empty() {
        // The usual case, for every schedule of an exploration: no text to write and to read back.
        Settings { secret: Some(SECRET.to_owned()), ..Settings::default() }
    } else {
        toml::from_str(&server_settings_text(plan)).map_err(|error| wrong(&error))?
    };
    settings.resolve().map_err(|error| wrong(&error))
}

/// The engine's part of the reference server's configuration, for a plan that was checked.
pub fn server_config(plan: &Plan) -> avouch_engine::server::Config {
    resolved(plan).expect("`check_plan` refused plans with such settings").engine
}

/// What came of a task.
#[derive(Clone, Debug)]
pub struct Performed {
    /// The record. Where nothing could be carried out, it says so: no task disappears from a summary.
    pub run: Run,
    /// What was in the run folder before.
    pub earlier: Earlier,
    /// The run folder, if this run made one.
    pub folder: Option<PathBuf>,
    /// What went wrong beside the run, in words.
    pub complaint: Option<String>,
}

/// Performs a task on a fresh thread: nothing that a thread remembers can leak from run to run.
pub fn on_own_thread(task: Task, interrupt: Interrupt) -> Performed {
    let thread = thread::Builder::new().stack_size(STACK_BYTES).name(task.plan.scenario.clone());
    let own = task.clone();
    let running = thread.spawn(move || perform(own, interrupt));
    match running.map(thread::JoinHandle::join) {
        Ok(Ok(performed)) => performed,
        Ok(Err(_panic)) => not_performed(task, "the tool panicked; this is a bug of avouch"),
        Err(error) => not_performed(task, &format!("no thread could be started: {error}")),
    }
}

fn perform(task: Task, interrupt: Interrupt) -> Performed {
    let (world, subject) = (task.world, task.subject.clone());
    let brief = brief(task.clone());
    let plan = brief.plan.clone();
    let session = match Session::open(brief) {
        Ok(session) => session,
        Err(error) => return not_performed(task, &error.to_string()),
    };
    let earlier = session.earlier().clone();
    let folder = Some(session.folder().to_owned());
    let ended = match world {
        World::Sim => in_simulation(&plan, &session, interrupt),
        World::Explore => explored(&plan, &session, interrupt),
        World::Live => crate::world::live::perform(&plan, &subject, &session, interrupt),
    };
    match session.close(&ended) {
        Ok(run) => Performed { run, earlier, folder, complaint: None },
        Err(error) => {
            let words = error.to_string();
            match error {
                SessionError::Unwritten { run, .. } => {
                    let complaint = Some(format!("{}: {words}", plan.scenario));
                    Performed { run: *run, earlier, folder, complaint }
                }
                _ => Performed { earlier, folder, ..not_performed(task, &words) },
            }
        }
    }
}

/// The record of a run that could not be carried out.
fn not_performed(task: Task, why: &str) -> Performed {
    let complaint = Some(format!("{}: {why}", task.plan.scenario));
    let mut run = Run::new(brief(task).header, RunFacts::new([]));
    run.end = End::ToolFailed { why: why.lines().next().unwrap_or_default().to_owned() };
    run.conclude();
    Performed { run, earlier: Earlier::Nothing, folder: None, complaint }
}

fn in_simulation(plan: &Rc<Plan>, session: &Session, interrupt: Interrupt) -> Ended {
    let recorder = session.recorder();
    let (conducted_plan, conducted_recorder) = (plan.clone(), recorder.clone());
    let ended = simulate(plan, &recorder, move |world| {
        let installer = installer(conducted_plan.clone(), Nonce::NONE);
        conduct(conducted_plan, world, installer, conducted_recorder, Some(interrupt))
    });
    ended.unwrap_or_else(|error| Ended::TargetDied(error.to_string()))
}

fn explored(plan: &Rc<Plan>, session: &Session, interrupt: Interrupt) -> Ended {
    let recorder = session.recorder();
    let ended = panics::caught(|| {
        let (plan, recorder, asked) = (plan.clone(), recorder, interrupt.clone());
        explore_until(&plan.clone(), &recorder.clone(), &|| asked.is_set(), move |world| {
            let installer = installer(plan.clone(), Nonce::NONE);
            conduct(plan, world, installer, recorder, Some(interrupt))
        })
    });
    match ended {
        Ok(ended) => ended.unwrap_or_else(ExploreError::into_ended),
        Err(panic) => Ended::TargetDied(format!("it panicked: {panic}")),
    }
}

/// How the reference server's promises are to be read in a run of a plan.
pub fn check_options(plan: &Plan) -> Options {
    Options {
        recovers_within_ns: plan.expect.recovers_within_ns,
        receipt_members_max: avouch_engine::limits::RECEIPT_MEMBERS_MAX as u32,
        planned_faults: plan.faults.iter().map(|fault| fault.id).collect(),
        ..Options::reference()
    }
}

fn brief(mut task: Task) -> Brief {
    let subject = task.subject;
    let claims = subject.claims_in(&task.plan);
    subject.dialect.prepare(&mut task.plan);
    let options = subject.dialect.check_options(&task.plan);
    let header = Header {
        tool: concat!("avouch ", env!("CARGO_PKG_VERSION")).to_owned(),
        scenario: task.plan.scenario.clone(),
        seed: Some(task.plan.seed),
        world: task.world.name().to_owned(),
        target: subject.name(),
        claims,
        expected: task.plan.expect.guarantees.clone(),
        reading: Some(options.of_target_alone()),
        repeat: task.repeat,
        started: None,
        notes: task.plan.defects.iter().map(|name| format!("planted defect: {name}")).collect(),
    };
    Brief { plan: Rc::new(task.plan), header, options, folder: task.folder }
}

/// Whether a device ever takes its time with deliveries.
fn takes_time(plan: &Plan, device: u32) -> bool {
    let slowed = plan.faults.iter().any(|fault| match &fault.fault {
        Fault::Client(client) => {
            matches!(client.verb, ClientVerb::SlowConsumer { .. }) && client.devices.contains(&device)
        }
        Fault::Link(_) | Fault::Node(_) => false,
    });
    slowed || plan.devices[device as usize].consume_ns > 0
}

/// Devices that speak the reference protocol.
pub fn installer(plan: Rc<Plan>, nonce: Nonce) -> Installer {
    installer_at((plan, nonce), SECRET.into(), 0)
}

/// The same at a server that runs already: with its secret, and ids after one that leaves nobody's out.
pub fn installer_at((plan, nonce): (Rc<Plan>, Nonce), secret: Arc<str>, ids_after: u64) -> Installer {
    let defects = server_config(&plan).defects;
    Rc::new(move |device| {
        let (plan, secret) = (plan.clone(), secret.clone());
        Box::new(move |installation| -> Box<dyn Adapter> {
            let planned = &plan.devices[device as usize];
            let key = reference::device_key(planned.user, device, ids_after);
            let token = auth::token(secret.as_bytes(), key, TOKEN_EXPIRY_MS);
            let seed = keyed::draw(plan.seed, CLIENT, &[u64::from(device), u64::from(installation)]);
            let salt = nonce.salt(plan.seed);
            let first_id = u64::from(installation) << INSTALLATION_BITS;
            let identity = Identity { user: planned.user, device, token, salt, seed, first_id, ids_after };
            let consume_window = takes_time(&plan, device).then_some(CONSUME_WINDOW);
            Box::new(Reference::new(identity, Config { consume_window, defects, ..Config::default() }))
        })
    })
}
