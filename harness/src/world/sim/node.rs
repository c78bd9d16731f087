//! One simulated server node: the reference server's own shell, on a simulated disk.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use avouch_reports::history::What;
use avouch_scenarios::keyed::{self, Purpose};
use avouch_scenarios::plan::Plan;
use avouch_server::disk::SimDisk;
use avouch_server::journal::{Journal, JournalOptions};
use avouch_server::listener::Listener;
use avouch_server::pause::Gate;
use avouch_server::serve::{JournalMode, ServeOptions, serve};

use super::{EPOCH_S, NodeOrder, OrderError};
use crate::conductor::Signal;
use crate::perform;
use crate::recorder::Recorder;

/// Where every simulated server listens.
pub(super) const PORT: u16 = 7_400;
/// A start or a stop that takes longer has failed. Simulated time.
const PATIENCE: Duration = Duration::from_secs(30);
/// What a sync takes on a simulated disk that nothing is wrong with. Without it there would be no moment between a
/// proposal and its commit, and a server that acknowledges too early could not be told from one that waits.
const SYNC: Duration = Duration::from_millis(2);
/// How often a waiting order looks again.
const LOOK: Duration = Duration::from_millis(1);

const SERVER: Purpose = Purpose::named("server");
const POWER: Purpose = Purpose::named("power loss");

/// A node, over all the lives of its process.
pub(super) struct Node {
    name: String,
    seed: u64,
    number: u32,
    config: avouch_engine::server::Config,
    recorder: Recorder,
    disk: SimDisk,
    skew_ms: Arc<AtomicI64>,
    gate: RefCell<Arc<Gate>>,
    stop: RefCell<Signal>,
    state: Cell<State>,
    lives: Cell<u64>,
    failure: RefCell<Option<String>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Down,
    Starting,
    Up,
    Stopping,
}

impl Node {
    pub(super) fn new(plan: &Plan, number: u32, recorder: &Recorder) -> Rc<Self> {
        let disk = SimDisk::new();
        disk.slow_sync(SYNC);
        Rc::new(Self {
            name: format!("n{}", number + 1),
            seed: plan.seed,
            number,
            config: perform::server_config(plan),
            recorder: recorder.clone(),
            disk,
            skew_ms: Arc::default(),
            gate: RefCell::default(),
            stop: RefCell::default(),
            state: Cell::new(State::Down),
            lives: Cell::new(0),
            failure: RefCell::default(),
        })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// A server that gave up without being told to.
    pub(super) fn casualty(&self) -> Option<String> {
        self.failure.borrow().as_ref().map(|why| format!("{} gave up: {why}", self.name))
    }

    /// The process, from its start to its end. Called by the simulation for every life.
    pub(super) async fn run(self: Rc<Self>) -> turmoil::Result {
        self.lives.set(self.lives.get() + 1);
        self.state.set(State::Starting);
        *self.gate.borrow_mut() = Arc::default();
        *self.stop.borrow_mut() = Signal::default();
        self.tell("started");
        if let Err(why) = self.serve().await {
            self.tell("died");
            *self.failure.borrow_mut() = Some(why);
        }
        self.state.set(State::Down);
        // A host whose software ends is never heard of again; the order that ended it takes it down.
        std::future::pending().await
    }

    async fn serve(&self) -> Result<(), String> {
        let journal =
            Journal::open(&self.disk, JournalOptions::default()).map_err(|error| error.to_string())?;
        let listener = turmoil::net::TcpListener::bind((std::net::Ipv4Addr::UNSPECIFIED, PORT)).await;
        let listener = Simulated(listener.map_err(|error| error.to_string())?);
        let mut options = ServeOptions::new(self.config.clone(), journal);
        options.mode = JournalMode::Inline;
        options.spawn = |task| drop(tokio::task::spawn_local(task));
        options.seed = keyed::draw(self.seed, SERVER, &[u64::from(self.number), self.lives.get()]);
        options.gate = Some(self.gate.borrow().clone());
        let skew_ms = self.skew_ms.clone();
        options.wall_ms = Box::new(move || {
            let elapsed_ms = turmoil::sim_elapsed().map_or(0, |elapsed| elapsed.as_millis() as i64);
            (EPOCH_S as i64 * 1_000 + elapsed_ms + skew_ms.load(Ordering::Relaxed)).max(0) as u64
        });
        let stop = self.stop.borrow().clone();
        self.state.set(State::Up);
        self.tell("ready");
        serve(listener, options, async move { stop.wait().await })
            .await
            .map_err(|error| error.to_string())?;
        self.tell("stopped");
        Ok(())
    }

    /// Waits until it serves.
    pub(super) async fn ready(&self) -> Result<String, OrderError> {
        self.wait_for(|state| state == State::Up).await?;
        Ok(format!("{} is up, life {}", self.name, self.lives.get()))
    }

    /// Asks it to stop and waits until it did.
    pub(super) async fn stop(&self) -> Result<String, OrderError> {
        self.state.set(State::Stopping);
        self.stop.borrow().set();
        self.wait_for(|state| state == State::Down).await?;
        Ok(format!("{} stopped when asked to", self.name))
    }

    async fn wait_for(&self, wanted: impl Fn(State) -> bool) -> Result<(), OrderError> {
        let waiting = async {
            while !wanted(self.state.get()) && self.failure.borrow().is_none() {
                tokio::time::sleep(LOOK).await;
            }
        };
        if tokio::time::timeout(PATIENCE, waiting).await.is_err() {
            return Err(OrderError::Failed(format!("{} took longer than {PATIENCE:?}", self.name)));
        }
        match self.failure.borrow().as_ref() {
            Some(why) => Err(OrderError::Failed(format!("{}: {why}", self.name))),
            None => Ok(()),
        }
    }

    /// The process is gone already; the operating system kept what was written.
    pub(super) fn killed(&self) -> String {
        self.state.set(State::Down);
        self.disk.kill();
        self.tell("killed");
        format!("{} was killed in life {}", self.name, self.lives.get())
    }

    /// The process is gone already, and so is a part of what was not synced.
    pub(super) fn lost_power(&self) -> String {
        self.state.set(State::Down);
        let before = self.disk.counters();
        self.disk.power_loss(keyed::draw(self.seed, POWER, &[u64::from(self.number), self.lives.get()]));
        let after = self.disk.counters();
        self.tell("power lost");
        format!(
            "{} lost power in life {}: {} unsynced writes gone, {} sectors torn",
            self.name,
            self.lives.get(),
            after.writes_lost - before.writes_lost,
            after.sectors_torn - before.sectors_torn
        )
    }

    /// Everything that leaves the process alive.
    pub(super) fn disturb(&self, order: NodeOrder) -> Result<String, OrderError> {
        let counters = self.disk.counters();
        let evidence = match order {
            NodeOrder::Pause => {
                self.gate.borrow().close();
                self.tell("paused");
                "stands still".to_owned()
            }
            NodeOrder::Resume => {
                self.gate.borrow().open();
                self.tell("resumed");
                "goes on".to_owned()
            }
            NodeOrder::SlowSync { delay_ns } => {
                self.disk.slow_sync(SYNC + Duration::from_nanos(delay_ns));
                format!("syncs take {delay_ns} ns longer from sync {} on", counters.syncs)
            }
            NodeOrder::FailSync(on) => {
                self.disk.fail_syncs(on);
                format!("{} syncs had failed", counters.syncs_failed)
            }
            NodeOrder::FullDisk(on) => {
                self.disk.full(on);
                format!("{} times there had been no space", counters.full_answers)
            }
            NodeOrder::SkewClock { by_ms } => {
                self.skew_ms.store(by_ms, Ordering::Relaxed);
                format!("the wall clock is {by_ms} ms off")
            }
            NodeOrder::Isolate(_) => {
                return Err(OrderError::NotHere(
                    "the reference server has one node, which no other can be cut off from".to_owned(),
                ));
            }
            NodeOrder::Kill | NodeOrder::LosePower | NodeOrder::Stop | NodeOrder::Start => {
                return Err(OrderError::Failed("the simulation itself switches nodes".to_owned()));
            }
        };
        Ok(format!("{} {evidence}", self.name))
    }

    fn tell(&self, state: &str) {
        let now_ns = turmoil::sim_elapsed().map_or(0, |elapsed| elapsed.as_nanos() as u64);
        self.recorder.record(now_ns, What::Node { node: self.name.clone(), state: state.to_owned() });
    }
}

/// turmoil's listener behind the server's transport seam.
struct Simulated(turmoil::net::TcpListener);

impl Listener for Simulated {
    type Stream = turmoil::net::TcpStream;

    async fn accept(&mut self) -> std::io::Result<Self::Stream> {
        self.0.accept().await.map(|(stream, _)| stream)
    }
}
