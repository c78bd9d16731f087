//! Everybody on the heap: devices, lines and the server, and how a turn of one becomes a turn of another.

use std::collections::VecDeque;
use std::rc::Rc;

use avouch_reports::history::{Device as DeviceNumber, What};
use avouch_scenarios::plan::Plan;
use tokio::sync::Notify;

use super::agenda::{Agenda, Turn};
use super::arrival::{Arrival, News};
use super::line::{Line, Sent};
use super::node::Node;
use super::seat::Seat;
use crate::adapter::Effect;
use crate::client::ABANDONED_MAX;
use crate::handle::Letter;
use crate::link::{Event, Way};
use crate::perform;
use crate::recorder::Recorder;
use crate::world::machine::Machine;
use crate::world::{Triggered, news};

/// Frames of slack that the server's shell has between the engine's limit and its own.
const UNTAKEN_SLACK: usize = 64;

/// See the module's header.
pub(super) struct Scene {
    pub(super) agenda: Agenda,
    pub(super) node: Node,
    seats: Vec<Seat>,
    lines: Vec<Line>,
    recorder: Recorder,
    /// Frames that triggered faults, for the conductor.
    triggered: VecDeque<Triggered>,
    bell: Rc<Notify>,
    arrivals: Vec<Arrival>,
    touched: Vec<u32>,
}

impl Scene {
    pub(super) fn new(plan: &Plan, recorder: &Recorder) -> Self {
        let config = perform::server_config(plan);
        let untaken_max = config.untaken_frames_max + UNTAKEN_SLACK;
        let lines = news::settings(plan, true).into_iter().map(|settings| Line::new(settings, untaken_max));
        Self {
            agenda: Agenda::default(),
            node: Node::new(Machine::new(plan.seed, 0), config, recorder.clone()),
            seats: Vec::new(),
            lines: lines.collect(),
            recorder: recorder.clone(),
            triggered: VecDeque::new(),
            bell: Rc::default(),
            arrivals: Vec::new(),
            touched: Vec::new(),
        }
    }

    /// A device takes its seat; seats are taken in the order of their numbers.
    pub(super) fn seat(&mut self, seat: Seat) {
        self.seats.push(seat);
    }

    /// The conductor says something to a device.
    pub(super) fn post(&mut self, device: u32, letter: Letter) {
        if let Some(seat) = self.seats.get_mut(device as usize) {
            seat.letters.push_back(letter);
            self.agenda.push(self.agenda.now_ns(), Turn::Seat(device));
        }
    }

    /// A frame that triggered a fault; else what will ring when there is one.
    pub(super) fn triggered(&mut self) -> Result<Triggered, Rc<Notify>> {
        self.triggered.pop_front().ok_or_else(|| self.bell.clone())
    }

    /// See [`crate::link::Link::arm`].
    pub(super) fn arm_links(&mut self) {
        self.lines.iter_mut().for_each(|line| line.link.arm());
    }

    /// See [`crate::link::Link::set`].
    pub(super) fn set_link_fault(&mut self, fault: u32, device: u32, active: bool) {
        if let Some(line) = self.lines.get_mut(device as usize) {
            line.link.set(self.agenda.now_ns(), fault, active);
            self.run_line(device);
        }
    }

    /// See [`crate::link::Link::heal`].
    pub(super) fn heal_links(&mut self) {
        for device in 0..self.lines.len() as u32 {
            self.lines[device as usize].link.heal(self.agenda.now_ns());
            self.run_line(device);
        }
    }

    /// See [`crate::link::Link::abandon`].
    pub(super) fn abandon_link(&mut self, device: u32) {
        if let Some(line) = self.lines.get_mut(device as usize) {
            line.link.abandon();
            self.run_line(device);
        }
    }

    /// Changes the server from outside; a process that is gone takes its sockets with it.
    pub(super) fn with_node<T>(&mut self, change: impl FnOnce(&mut Node, u64) -> T) -> T {
        let now_ns = self.agenda.now_ns();
        let was_running = self.node.is_running();
        let answer = change(&mut self.node, now_ns);
        if was_running && !self.node.is_running() {
            self.break_connections();
        }
        self.agenda.push(now_ns, Turn::Node);
        answer
    }

    /// Carries out a turn of the agenda that is no task's.
    pub(super) fn take(&mut self, turn: Turn) {
        match turn {
            Turn::Seat(device) => self.run_seat(device),
            Turn::Line(device) => self.run_line(device),
            Turn::Node => self.run_node(),
            Turn::Task(_) => {} // the executor's
        }
    }

    fn run_node(&mut self) {
        let now_ns = self.agenda.now_ns();
        let was_running = self.node.is_running();
        let mut touched = std::mem::take(&mut self.touched);
        self.node.turn(now_ns, &mut self.lines, &mut touched);
        if was_running && !self.node.is_running() {
            self.break_connections();
        }
        for device in touched.drain(..) {
            self.settle_line(device);
        }
        self.touched = touched;
        if let Some(at_ns) = self.node.next_timeout_ns() {
            self.agenda.push(at_ns, Turn::Node);
        }
    }

    fn break_connections(&mut self) {
        for device in 0..self.lines.len() as u32 {
            self.lines[device as usize].break_server(self.agenda.now_ns());
            self.run_line(device);
        }
    }

    /// After somebody used a line: mostly its link took a frame, and nothing is to be done before that is due.
    fn settle_line(&mut self, device: u32) {
        let now_ns = self.agenda.now_ns();
        match self.lines[device as usize].rests_until_ns(now_ns) {
            Some(at_ns) if !self.node.is_stopping() => {
                if at_ns < u64::MAX {
                    self.agenda.push(at_ns, Turn::Line(device));
                }
            }
            _ => self.run_line(device),
        }
    }

    fn run_line(&mut self, device: u32) {
        let now_ns = self.agenda.now_ns();
        let mut arrivals = std::mem::take(&mut self.arrivals);
        loop {
            let line = &mut self.lines[device as usize];
            line.turn(now_ns, &mut arrivals);
            self.tell_events(device);
            let mut is_changed = false;
            for arrival in arrivals.drain(..) {
                is_changed |= match arrival.way {
                    Way::Up => self.at_server(device, arrival),
                    Way::Down => self.at_device(device, arrival),
                };
            }
            if !is_changed {
                break;
            }
        }
        self.arrivals = arrivals;
        if let Some(at_ns) = self.lines[device as usize].next_timeout_ns(now_ns) {
            self.agenda.push(at_ns, Turn::Line(device));
        }
        if self.node.is_stopping() {
            self.agenda.push(now_ns, Turn::Node);
        }
    }

    /// What the link of a device has to say.
    fn tell_events(&mut self, device: u32) {
        while let Some(event) = self.lines[device as usize].link.poll_event() {
            match event {
                Event::Fired { fault, kind, frame, detail } => {
                    let (kind, device) = (kind.to_owned(), DeviceNumber(device));
                    let fired = What::FaultFired { id: fault, kind, device, frame, detail };
                    self.recorder.record(self.agenda.now_ns(), fired);
                }
                Event::Triggered { fault, .. } => {
                    self.triggered.push_back(Triggered { fault });
                    self.bell.notify_one();
                }
                Event::Expired { .. } => {}
            }
        }
    }

    /// Something arrives at the server; `true` if that leaves the line with something to do.
    fn at_server(&mut self, device: u32, Arrival { wire, peer, news, .. }: Arrival) -> bool {
        let now_ns = self.agenda.now_ns();
        let is_over = news == News::End;
        if is_over {
            self.lines[device as usize].leave(now_ns, wire, Way::Down);
        }
        match news {
            News::Shaken => self.node.shaken(device, wire),
            News::Frame(frame) => self.node.received(peer, frame),
            News::End | News::Reset if peer != 0 => self.node.ended(peer),
            // A device's socket takes what it is given, and nobody counts; or gone before the process had seen it.
            News::Taken(_) | News::Late | News::End | News::Reset => return is_over,
        }
        self.agenda.push(now_ns, Turn::Node);
        is_over
    }

    /// Something arrives at a device; `true` if that leaves the line with something to do.
    fn at_device(&mut self, device: u32, Arrival { wire, peer, news, .. }: Arrival) -> bool {
        let now_ns = self.agenda.now_ns();
        if let News::Taken(frames) = news {
            if peer != 0 {
                self.node.taken(peer, frames);
                self.agenda.push(now_ns, Turn::Node);
            }
            return false;
        }
        let seat = &mut self.seats[device as usize];
        let is_over = matches!(news, News::End | News::Reset | News::Late);
        if seat.wire == Some(wire) {
            match news {
                News::Shaken => seat.device.connected(now_ns),
                News::Frame(frame) => seat.device.received(now_ns, frame),
                _ => {
                    seat.wire = None;
                    seat.device.disconnected(now_ns);
                }
            }
            self.agenda.push(now_ns, Turn::Seat(device));
        } else if is_over && let Some(at) = seat.abandoned.iter().position(|of| *of == wire) {
            seat.abandoned.remove(at);
            seat.status.note_takeover();
        }
        if is_over {
            self.lines[device as usize].drop_end(now_ns, wire, Way::Up);
        }
        is_over
    }

    fn run_seat(&mut self, device: u32) {
        let now_ns = self.agenda.now_ns();
        let seat = &mut self.seats[device as usize];
        if std::mem::take(&mut seat.is_refused) {
            seat.device.disconnected(now_ns);
        }
        let mut uses_line = false;
        while let Some(letter) = self.seats[device as usize].letters.pop_front() {
            match letter {
                Letter::Order(order) => self.seats[device as usize].device.order(now_ns, order),
                Letter::TakeOver => {
                    self.take_over(device);
                    uses_line = true;
                }
            }
        }
        let seat = &mut self.seats[device as usize];
        if seat.device.next_timeout_ns().is_some_and(|at_ns| at_ns <= now_ns) {
            seat.device.timeout(now_ns);
        }
        uses_line |= self.carry_out(device);
        let seat = &mut self.seats[device as usize];
        seat.status.note(seat.device.is_idle(), seat.device.is_set_up_done());
        if let Some(at_ns) = seat.device.next_timeout_ns() {
            self.agenda.push(at_ns, Turn::Seat(device));
        }
        if uses_line {
            self.settle_line(device);
        }
    }

    /// Does what a device asks for; `true` if that was something on its line.
    fn carry_out(&mut self, device: u32) -> bool {
        let now_ns = self.agenda.now_ns();
        let mut uses_line = false;
        let (seat, line) = (&mut self.seats[device as usize], &mut self.lines[device as usize]);
        while let Some(effect) = seat.device.poll(now_ns) {
            uses_line |= !matches!(effect, Effect::Saw(_));
            match effect {
                Effect::Saw(what) => self.recorder.record(now_ns, what),
                Effect::Fail(why) => self.recorder.fail(why),
                Effect::Connect => {
                    if let Some(old) = seat.wire.take() {
                        line.drop_end(now_ns, old, Way::Up);
                    }
                    // Nobody listens: refused at once, as by the operating system of the server.
                    seat.wire = self.node.is_listening().then(|| line.dial(now_ns).ok()).flatten();
                    if seat.wire.is_none() {
                        seat.is_refused = true;
                        self.agenda.push(now_ns, Turn::Seat(device));
                    }
                }
                Effect::Disconnect => {
                    if let Some(wire) = seat.wire.take() {
                        line.leave(now_ns, wire, Way::Up);
                    }
                }
                Effect::Transmit(frame) => {
                    let Some(wire) = seat.wire else { continue };
                    if line.send(now_ns, wire, Way::Up, frame) == Sent::Overflow {
                        seat.wire = None;
                        line.drop_end(now_ns, wire, Way::Up);
                        seat.device.disconnected(now_ns);
                    }
                }
            }
        }
        uses_line
    }

    /// The device was seen elsewhere: its connection stays open, and it makes a new one.
    fn take_over(&mut self, device: u32) {
        let now_ns = self.agenda.now_ns();
        let (seat, line) = (&mut self.seats[device as usize], &mut self.lines[device as usize]);
        let Some(wire) = seat.wire.take_if(|wire| line.is_open(*wire, Way::Up)) else { return };
        line.forget_untaken(wire, Way::Up);
        seat.abandoned.push_back(wire);
        if seat.abandoned.len() > ABANDONED_MAX
            && let Some(oldest) = seat.abandoned.pop_front()
        {
            line.drop_end(now_ns, oldest, Way::Up);
        }
        seat.device.disconnected(now_ns);
    }
}
