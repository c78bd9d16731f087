//! One simulated server node: the reference server's own shell, on a simulated disk.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use avouch_reports::history::What;
use avouch_scenarios::plan::Plan;
use avouch_server::journal::{Journal, JournalOptions};
use avouch_server::listener::Listener;
use avouch_server::pause::Gate;
use avouch_server::serve::{JournalMode, ServeOptions, serve};

use super::{NodeOrder, OrderError};
use crate::conductor::Signal;
use crate::perform;
use crate::recorder::Recorder;
use crate::world::machine::Machine;

/// Where every simulated server listens.
pub(super) const PORT: u16 = 7_400;
/// A start or a stop that takes longer has failed. Simulated time.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often a waiting order looks again.
const LOOK: Duration = Duration::from_millis(1);

/// A node, over all the lives of its process.
pub(super) struct Node {
    machine: Machine,
    config: avouch_engine::server::Config,
    recorder: Recorder,
    gate: RefCell<Arc<Gate>>,
    stop: RefCell<Signal>,
    state: Cell<State>,
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
        Rc::new(Self {
            machine: Machine::new(plan.seed, number),
            config: perform::server_config(plan),
            recorder: recorder.clone(),
            gate: RefCell::default(),
            stop: RefCell::default(),
            state: Cell::new(State::Down),
            failure: RefCell::default(),
        })
    }

    pub(super) fn name(&self) -> &str {
        self.machine.name()
    }

    /// A server that gave up without being told to.
    pub(super) fn casualty(&self) -> Option<String> {
        self.failure.borrow().as_ref().map(|why| format!("{} gave up: {why}", self.name()))
    }

    /// The process, from its start to its end. Called by the simulation for every life.
    pub(super) async fn run(self: Rc<Self>) -> turmoil::Result {
        let seed = self.machine.begin_life();
        self.state.set(State::Starting);
        *self.gate.borrow_mut() = Arc::default();
        *self.stop.borrow_mut() = Signal::default();
        self.tell("started");
        let served = self.serve(seed).await;
        if self.state.get() == State::Stopping && served.is_err() {
            // Somebody wanted it to end, and what its disk says at the end is no death of its own.
            self.tell("stopped");
        } else if let Err(why) = served {
            self.tell("died");
            *self.failure.borrow_mut() = Some(why);
        }
        self.state.set(State::Down);
        // A host whose software ends is never heard of again; the order that ended it takes it down.
        std::future::pending().await
    }

    async fn serve(&self, seed: u64) -> Result<(), String> {
        let options = JournalOptions { seed, defects: self.config.defects, ..JournalOptions::default() };
        let journal = Journal::open(self.machine.disk(), options);
        let journal = journal.map_err(|error| error.to_string())?;
        let listener = turmoil::net::TcpListener::bind((std::net::Ipv4Addr::UNSPECIFIED, PORT)).await;
        let listener = Simulated(listener.map_err(|error| error.to_string())?);
        let mut options = ServeOptions::new(self.config.clone(), journal);
        options.mode = JournalMode::Inline;
        options.spawn = |task| drop(tokio::task::spawn_local(task));
        options.seed = seed;
        options.gate = Some(self.gate.borrow().clone());
        let wall_clock = self.machine.wall_clock();
        options.wall_ms = Box::new(move || wall_clock(super::now_ns()));
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
        Ok(format!("{} is up, life {}", self.name(), self.machine.lives()))
    }

    /// Asks it to stop and waits until it did.
    pub(super) async fn stop(&self) -> Result<String, OrderError> {
        self.state.set(State::Stopping);
        self.stop.borrow().set();
        self.wait_for(|state| state == State::Down).await?;
        Ok(format!("{} stopped when asked to", self.name()))
    }

    async fn wait_for(&self, wanted: impl Fn(State) -> bool) -> Result<(), OrderError> {
        let waiting = async {
            while !wanted(self.state.get()) && self.failure.borrow().is_none() {
                tokio::time::sleep(LOOK).await;
            }
        };
        if tokio::time::timeout(PATIENCE, waiting).await.is_err() {
            return Err(OrderError::Failed(format!("{} took longer than {PATIENCE:?}", self.name())));
        }
        match self.failure.borrow().as_ref() {
            Some(why) => Err(OrderError::Failed(format!("{}: {why}", self.name()))),
            None => Ok(()),
        }
    }

    /// The process is gone already; the operating system kept what was written.
    pub(super) fn killed(&self) -> String {
        self.state.set(State::Down);
        let evidence = self.machine.kill();
        self.tell("killed");
        evidence
    }

    /// The process is gone already, and so is a part of what was not synced.
    pub(super) fn lost_power(&self) -> String {
        self.state.set(State::Down);
        let evidence = self.machine.lose_power();
        self.tell("power lost");
        evidence
    }

    /// Everything that leaves the process alive.
    pub(super) fn disturb(&self, order: NodeOrder) -> Result<String, OrderError> {
        match order {
            NodeOrder::Pause => {
                self.gate.borrow().close();
                self.tell("paused");
                Ok(format!("{} stands still", self.name()))
            }
            NodeOrder::Resume => {
                self.gate.borrow().open();
                self.tell("resumed");
                Ok(format!("{} goes on", self.name()))
            }
            other => self.machine.disturb(other),
        }
    }

    fn tell(&self, state: &str) {
        let node = self.name().to_owned();
        self.recorder.record(super::now_ns(), What::Node { node, state: state.to_owned() });
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
