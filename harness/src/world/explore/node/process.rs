//! One life of the server: `avouch_server::serve::core`, the very code that the tokio shell drives, with the journal on
//! the simulated disk of a simulated [`Machine`]. A sync takes simulated time; everything else takes none.

use std::collections::VecDeque;

use avouch_engine::ids::Time;
use avouch_engine::server::{Config, ConnectionId, Input};
use avouch_server::journal::{Journal, JournalOptions};
use avouch_server::serve::core::{Answer, Answered, Core, Effect};
use avouch_server::serve::{REOPEN_ATTEMPTS, REOPEN_PAUSE, STOP_TIMEOUT};
use bytes::Bytes;

use crate::link::{ConnectionId as Wire, Way};
use crate::world::explore::line::{Line, Sent};
use crate::world::machine::Machine;

const REOPEN_NS: u64 = REOPEN_PAUSE.as_nanos() as u64;
const STOP_NS: u64 = STOP_TIMEOUT.as_nanos() as u64;

/// One life.
pub(super) struct Process {
    core: Core,
    pub(super) journal: Journal,
    /// By connection, from 1: whose it is.
    peers: Vec<Peer>,
    pub(super) inbox: VecDeque<Arrived>,
    answers: VecDeque<Answer>,
    /// When the sync under way is over.
    durable_at_ns: Option<u64>,
    /// The outcome of a commit is unknown; how often the journal was opened again in vain, and when it is tried next.
    reopening: Option<(usize, u64)>,
    /// It was asked to stop, and does by then.
    stop_by_ns: Option<u64>,
    /// Connections whose sockets took frames in this turn.
    takers: Vec<ConnectionId>,
    /// Lines that have something to do.
    pub(super) touched: Vec<u32>,
}

struct Peer {
    device: u32,
    wire: Wire,
    is_open: bool,
    taken: usize,
}

/// What the network brought, waiting for the process's next step.
pub(super) enum Arrived {
    Shaken(u32, Wire),
    Frame(ConnectionId, Bytes),
    Taken(ConnectionId, usize),
    Ended(ConnectionId),
}

/// How a step ended.
pub(super) enum Step {
    Goes,
    Stopped,
    Died(String),
}

impl Process {
    pub(super) fn start(machine: &Machine, config: Config, seed: u64) -> Result<Self, String> {
        let options = JournalOptions { seed, defects: config.defects, ..JournalOptions::default() };
        let journal = Journal::open(machine.disk(), options);
        let mut journal = journal.map_err(|error| error.to_string())?;
        let recovered = journal.recover().map_err(|error| error.to_string())?;
        Ok(Self {
            core: Core::new(config, recovered, seed),
            journal,
            peers: Vec::new(),
            inbox: VecDeque::new(),
            answers: VecDeque::new(),
            durable_at_ns: None,
            reopening: None,
            stop_by_ns: None,
            takers: Vec::new(),
            touched: Vec::new(),
        })
    }

    pub(super) fn turn(&mut self, now_ns: u64, wall_ms: impl Fn(u64) -> u64, lines: &mut [Line]) -> Step {
        let now = (now_ns, wall_ms(now_ns));
        if self.durable_at_ns.is_some_and(|at_ns| at_ns <= now_ns) {
            self.durable_at_ns = None;
            self.settle();
        }
        loop {
            if let Some((attempts, at_ns)) = self.reopening {
                if at_ns > now_ns {
                    return Step::Goes;
                }
                if let Err(why) = self.reopen(now_ns, attempts) {
                    return Step::Died(why);
                }
                continue;
            }
            if let Some(answer) = self.answers.pop_front() {
                self.take_answer(now, answer, lines);
                continue;
            }
            while let Some(arrived) = self.inbox.pop_front() {
                self.take(now, arrived, lines);
            }
            if self.core.next_timeout().is_some_and(|at| at.0 <= now_ns) {
                self.core.handle(Time(now_ns), now.1, Input::Timeout);
            }
            self.carry_out(now, lines);
            if self.answers.is_empty() && self.takers.is_empty() {
                break;
            }
            self.report_taken(now);
        }
        self.step(now_ns, lines)
    }

    /// Asks it to stop: every client is told, and what was proposed is committed.
    pub(super) fn stop(&mut self, now_ns: u64, wall_ms: u64) {
        self.stop_by_ns = Some(now_ns + STOP_NS);
        self.core.handle(Time(now_ns), wall_ms, Input::Stop);
    }

    /// Whether it was asked to stop.
    pub(super) fn is_stopping(&self) -> bool {
        self.stop_by_ns.is_some()
    }

    fn step(&self, now_ns: u64, lines: &[Line]) -> Step {
        let Some(stop_by_ns) = self.stop_by_ns else { return Step::Goes };
        let is_quiet = self.core.is_settled() && !lines.iter().any(Line::has_server_ends);
        if is_quiet || now_ns >= stop_by_ns { Step::Stopped } else { Step::Goes }
    }

    pub(super) fn next_timeout_ns(&self) -> Option<u64> {
        if let Some((_, at_ns)) = self.reopening {
            return Some(at_ns);
        }
        let engine = self.core.next_timeout().map(|at| at.0);
        [engine, self.durable_at_ns, self.stop_by_ns].into_iter().flatten().min()
    }

    fn take(&mut self, (now_ns, wall_ms): (u64, u64), arrived: Arrived, lines: &mut [Line]) {
        let input = match arrived {
            Arrived::Shaken(device, wire) => {
                let name = self.peers.len() as u64 + 1;
                if !lines[device as usize].answer(wire, name) {
                    return; // gone before it was seen
                }
                self.peers.push(Peer { device, wire, is_open: true, taken: 0 });
                self.touched.push(device);
                Input::Connected(ConnectionId(name))
            }
            Arrived::Frame(connection, frame) => {
                let Some(peer) = self.peer(connection) else { return };
                let (device, wire) = (peer.device, peer.wire);
                lines[device as usize].read(wire, Way::Up, frame.len());
                Input::Received(connection, frame)
            }
            Arrived::Taken(connection, frames) => Input::Taken(connection, frames),
            Arrived::Ended(connection) => {
                self.close(now_ns, connection, lines);
                Input::Disconnected(connection)
            }
        };
        self.core.handle(Time(now_ns), wall_ms, input);
    }

    fn take_answer(&mut self, (now_ns, wall_ms): (u64, u64), answer: Answer, lines: &mut [Line]) {
        if let Answered::StartOver(_) = self.core.answer(Time(now_ns), wall_ms, answer) {
            for connection in (1..=self.peers.len() as u64).map(ConnectionId) {
                self.close(now_ns, connection, lines);
            }
            self.answers.clear();
            self.takers.clear();
            self.durable_at_ns = None;
            self.reopening = Some((0, now_ns));
        } else {
            self.carry_out((now_ns, wall_ms), lines);
            self.report_taken((now_ns, wall_ms));
        }
    }

    fn carry_out(&mut self, (now_ns, wall_ms): (u64, u64), lines: &mut [Line]) {
        while let Some(effect) = self.core.poll() {
            match effect {
                Effect::Transmit(connection, frame) => {
                    if self.transmit(now_ns, connection, frame, lines) == Sent::Overflow {
                        self.close(now_ns, connection, lines);
                        self.core.handle(Time(now_ns), wall_ms, Input::Disconnected(connection));
                    }
                }
                Effect::Close(connection) => self.close(now_ns, connection, lines),
                Effect::Commit(batch) => match self.journal.begin(batch) {
                    Ok(delay) if delay.is_zero() => self.settle(),
                    Ok(delay) => self.durable_at_ns = Some(now_ns + delay.as_nanos() as u64),
                    Err(error) => self.answers.push_back(Err(error).into()),
                },
                Effect::Load(load, query) => {
                    let entries = self.journal.entries(&query);
                    let entries = entries.map_err(|_| avouch_engine::server::LoadFailed);
                    self.answers.push_back(Answer::Loaded(load, entries));
                }
            }
        }
    }

    fn transmit(&mut self, now_ns: u64, connection: ConnectionId, frame: Bytes, lines: &mut [Line]) -> Sent {
        let Some(peer) = self.peers.get_mut(connection.0 as usize - 1).filter(|peer| peer.is_open) else {
            return Sent::Nowhere;
        };
        if self.touched.last() != Some(&peer.device) {
            self.touched.push(peer.device);
        }
        let sent = lines[peer.device as usize].send(now_ns, peer.wire, Way::Down, frame);
        if sent == Sent::Taken {
            if peer.taken == 0 {
                self.takers.push(connection);
            }
            peer.taken += 1;
        }
        sent
    }

    fn report_taken(&mut self, (now_ns, wall_ms): (u64, u64)) {
        let mut takers = std::mem::take(&mut self.takers);
        for connection in takers.drain(..) {
            let Some(peer) = self.peers.get_mut(connection.0 as usize - 1) else { continue };
            let frames = std::mem::take(&mut peer.taken);
            self.core.handle(Time(now_ns), wall_ms, Input::Taken(connection, frames));
        }
        takers.append(&mut self.takers); // nothing: only the room is given back
        self.takers = takers;
    }

    /// The server is done with a connection: it ends after what was sent on it.
    fn close(&mut self, now_ns: u64, connection: ConnectionId, lines: &mut [Line]) {
        let Some(peer) = self.peers.get_mut(connection.0 as usize - 1).filter(|peer| peer.is_open) else {
            return;
        };
        peer.is_open = false;
        lines[peer.device as usize].leave(now_ns, peer.wire, Way::Down);
        self.touched.push(peer.device);
    }

    /// The sync under way is over. A checkpoint that is due then takes no simulated time; one that fails is due again.
    fn settle(&mut self) {
        let answer = Answer::from(self.journal.settle());
        if let (Answer::Committed(_), Some(work)) = (&answer, self.journal.checkpoint()) {
            let _failed = self.journal.checkpointed(work.run());
        }
        self.answers.push_back(answer);
    }

    fn reopen(&mut self, now_ns: u64, attempts: usize) -> Result<(), String> {
        let recovered = self.journal.reopen().and_then(|()| self.journal.recover());
        match recovered {
            Ok(recovered) => {
                self.reopening = None;
                self.core.start_over(recovered);
                Ok(())
            }
            Err(error) if attempts + 1 == REOPEN_ATTEMPTS => Err(format!(
                "the journal failed and could not be opened again in {REOPEN_ATTEMPTS} attempts: {error}"
            )),
            Err(_) => {
                self.reopening = Some((attempts + 1, now_ns + REOPEN_NS));
                Ok(())
            }
        }
    }

    fn peer(&self, connection: ConnectionId) -> Option<&Peer> {
        self.peers.get(connection.0 as usize - 1)
    }
}
