//! The server of a run, over all the lives of its process: what can be done to it from outside.

mod process;

use avouch_engine::server::{Config, ConnectionId};
use avouch_reports::history::What;
use bytes::Bytes;

use self::process::{Arrived, Process, Step};
use super::line::Line;
use crate::conductor::Signal;
use crate::link::ConnectionId as Wire;
use crate::recorder::Recorder;
use crate::world::OrderError;
use crate::world::machine::Machine;

/// The server of the run, over all its lives.
pub(super) struct Node {
    pub(super) machine: Machine,
    config: Config,
    recorder: Recorder,
    wall_ms: Box<dyn Fn(u64) -> u64>,
    process: Option<Process>,
    is_paused: bool,
    failure: Option<String>,
    stopped: Signal,
}

impl Node {
    pub(super) fn new(machine: Machine, config: Config, recorder: Recorder) -> Self {
        Self {
            wall_ms: Box::new(machine.wall_clock()),
            machine,
            config,
            recorder,
            process: None,
            is_paused: false,
            failure: None,
            stopped: Signal::default(),
        }
    }

    /// Whether it accepts connections (a process that stands still has a backlog).
    pub(super) fn is_listening(&self) -> bool {
        self.process.as_ref().is_some_and(|process| !process.is_stopping())
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.process.as_ref().is_some_and(Process::is_stopping)
    }

    /// Set when a stop that was asked for is over.
    pub(super) fn stopped(&self) -> Signal {
        self.stopped.clone()
    }

    /// A server that gave up without being told to.
    pub(super) fn casualty(&self) -> Option<String> {
        self.failure.as_ref().map(|why| format!("{} gave up: {why}", self.machine.name()))
    }

    pub(super) fn start(&mut self, now_ns: u64) -> Result<String, OrderError> {
        if self.is_running() {
            return Ok(format!("{} was up already", self.machine.name()));
        }
        let seed = self.machine.begin_life();
        self.is_paused = false;
        self.stopped = Signal::default();
        self.tell(now_ns, "started");
        match Process::start(&self.machine, self.config.clone(), seed) {
            Ok(process) => {
                self.process = Some(process);
                self.tell(now_ns, "ready");
                Ok(format!("{} is up, life {}", self.machine.name(), self.machine.lives()))
            }
            Err(why) => {
                let failed = OrderError::Failed(format!("{}: {why}", self.machine.name()));
                self.die(now_ns, why);
                Err(failed)
            }
        }
    }

    pub(super) fn kill(&mut self, now_ns: u64) -> String {
        let evidence = self.machine.kill();
        self.end(now_ns, "killed");
        evidence
    }

    pub(super) fn lose_power(&mut self, now_ns: u64) -> String {
        let evidence = self.machine.lose_power();
        self.end(now_ns, "power lost");
        evidence
    }

    pub(super) fn pause(&mut self, now_ns: u64) -> String {
        self.is_paused = true;
        self.tell(now_ns, "paused");
        format!("{} stands still", self.machine.name())
    }

    pub(super) fn resume(&mut self, now_ns: u64) -> String {
        self.is_paused = false;
        self.tell(now_ns, "resumed");
        format!("{} goes on", self.machine.name())
    }

    /// Asks it to stop; [`Node::stopped`] tells when it did.
    pub(super) fn stop(&mut self, now_ns: u64) {
        let wall_ms = (self.wall_ms)(now_ns);
        match &mut self.process {
            Some(process) => process.stop(now_ns, wall_ms),
            None => self.stopped.set(),
        }
    }

    /// A connection was made.
    pub(super) fn shaken(&mut self, device: u32, wire: Wire) {
        self.arrived(Arrived::Shaken(device, wire));
    }

    pub(super) fn received(&mut self, peer: u64, frame: Bytes) {
        self.arrived(Arrived::Frame(ConnectionId(peer), frame));
    }

    pub(super) fn taken(&mut self, peer: u64, frames: usize) {
        self.arrived(Arrived::Taken(ConnectionId(peer), frames));
    }

    pub(super) fn ended(&mut self, peer: u64) {
        self.arrived(Arrived::Ended(ConnectionId(peer)));
    }

    pub(super) fn is_running(&self) -> bool {
        self.process.is_some()
    }

    /// Does what is due. The lines that it touched are in `touched` afterwards, each once, rising.
    pub(super) fn turn(&mut self, now_ns: u64, lines: &mut [Line], touched: &mut Vec<u32>) {
        if self.is_paused {
            return;
        }
        let Some(process) = &mut self.process else { return };
        let outcome = process.turn(now_ns, &self.wall_ms, lines);
        touched.append(&mut process.touched);
        touched.sort_unstable();
        touched.dedup();
        match outcome {
            Step::Goes => {}
            Step::Stopped => self.finish(now_ns),
            Step::Died(why) => self.die(now_ns, why),
        }
    }

    /// When [`Node::turn`] is wanted.
    pub(super) fn next_timeout_ns(&self) -> Option<u64> {
        self.process.as_ref().filter(|_| !self.is_paused).and_then(Process::next_timeout_ns)
    }

    fn finish(&mut self, now_ns: u64) {
        // It was asked to: a disk that fails at the end is no death of its own.
        if let Some(process) = self.process.take() {
            let _ = process.journal.close();
        }
        self.tell(now_ns, "stopped");
        self.stopped.set();
    }

    fn die(&mut self, now_ns: u64, why: String) {
        if self.is_stopping() {
            // Somebody wanted it to end, and what its disk says at the end is no death of its own.
            return self.end(now_ns, "stopped");
        }
        self.failure = Some(why);
        self.end(now_ns, "died");
    }

    fn end(&mut self, now_ns: u64, state: &str) {
        self.process = None;
        self.is_paused = false;
        self.tell(now_ns, state);
        self.stopped.set(); // also for whoever had asked it to stop before it died
    }

    fn arrived(&mut self, arrived: Arrived) {
        if let Some(process) = &mut self.process {
            process.inbox.push_back(arrived);
        }
    }

    fn tell(&self, now_ns: u64, state: &str) {
        let node = self.machine.name().to_owned();
        self.recorder.record(now_ns, What::Node { node, state: state.to_owned() });
    }
}
