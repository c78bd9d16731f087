//! The explored world: the engines on a bare event heap, with nothing of a runtime. Tens of thousands of short
//! schedules a minute; idle time is skipped.
//!
//! What is the same as in the other worlds: plan, conductor, devices and adapters, [`crate::link`], recorder, checkers,
//! the server's engine with its group commit (`avouch_server::serve::core`) and its journal on a simulated disk. What
//! is not there: tokio, sockets, WebSocket, TLS. So a frame is a piece on the link, a connection costs a handshake of
//! two pieces, and a byte of a cut counts bytes of frames without WebSocket's own.
//!
//! ```text
//!  conductor's tasks ── executor         seat ──┐                        ┌── node: core, journal, disk
//!        │ letters, orders, faults        device├── line: link, two ends ─┤
//!        ▼                               seat ──┘                        └──
//!      Scene ◀── one turn at a time ── agenda: the event heap and the clock
//! ```

mod agenda;
mod alarms;
mod arrival;
mod executor;
mod line;
mod node;
mod outbox;
mod patience;
mod run;
mod scene;
mod seat;
#[cfg(test)]
mod tests;

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::rc::Rc;
use std::task::Poll;

use avouch_scenarios::plan::Plan;

use super::{LocalTask, NodeOrder, OrderError, Triggered, World};
use crate::client::Clock;
use crate::conductor::Ended;
use crate::device::Device;
use crate::handle::{Handle, Status};
use crate::interrupt::Stop;
use crate::recorder::Recorder;
use agenda::Turn;
use executor::Executor;
use patience::Patience;
pub use run::{Counts, ExploreOptions, Observer, Outcome, explore_run, explore_run_watched};
use scene::Scene;
use seat::Seat;

/// The run ends at the latest then, on its own clock. Nanoseconds.
const SIMULATED_NS_MAX: u64 = 24 * 3_600 * 1_000_000_000;

/// Turns from one question whether somebody wants no more to the next. The usual run takes fewer and is never asked, so that it does not
/// depend on the answer; the longest ask many times a second.
const STOP_TURNS: u64 = 65_536;

/// Why an explored run did not come to its end: bugs of the server or of this tool.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExploreError {
    /// Something panicked.
    #[error("it panicked: {0}")]
    Panicked(String),
    /// Nobody has anything to do any more, and the conductor waits.
    #[error("everything stands still at {0} ns, and the run is not over")]
    StandsStill(u64),
    /// Everybody is busy, and nothing comes of it.
    #[error(
        "{turns} turns of devices, links and server since {:.3} ms, now {:.3} ms, and nobody got an answer or an entry that they had not: \
         somebody repeats themselves without end",
        *.since_ns as f64 / 1e6,
        *.now_ns as f64 / 1e6
    )]
    Livelock {
        /// Turns since the last gain.
        turns: u64,
        /// When that was. Nanoseconds.
        since_ns: u64,
        /// When the run was ended. Nanoseconds.
        now_ns: u64,
    },
    /// Somebody wanted no more.
    #[error("it was interrupted")]
    Interrupted,
    /// It would go on for ever.
    #[error("the run was not over after {} simulated hours", SIMULATED_NS_MAX / 3_600_000_000_000)]
    TooLong,
}

impl ExploreError {
    /// What that says of the run. A livelock is the target's or its clients': what is due later could still come, so nothing
    /// is late yet, but whoever repeats themselves at once, without end, keeps everybody busy for nothing, and on real
    /// machines for ever; a whole day of it is one, too, however slow: the conductor's phases are over long before. The rest stands for a death: nobody can say whose fault it is.
    pub fn into_ended(self) -> Ended {
        match self {
            Self::Livelock { .. } | Self::TooLong => Ended::Livelock(self.to_string()),
            Self::Interrupted => Ended::Interrupted,
            Self::Panicked(_) | Self::StandsStill(_) => Ended::TargetDied(self.to_string()),
        }
    }
}

/// The world, as the conductor sees it.
pub struct ExploreWorld {
    now_ns: Rc<Cell<u64>>,
    executor: Executor,
    scene: Rc<RefCell<Scene>>,
    recorder: Recorder,
    patience: RefCell<Patience>,
}

/// Builds the world of a plan, lets `conduct` play in it, and answers what that answers. Panics pass through.
pub fn explore<F, Fut, T>(plan: &Plan, recorder: &Recorder, conduct: F) -> Result<T, ExploreError>
where
    F: FnOnce(Rc<ExploreWorld>) -> Fut,
    Fut: Future<Output = T> + 'static,
    T: 'static,
{
    explore_until(plan, recorder, &|| false, conduct)
}

/// The same, until somebody wants no more.
pub fn explore_until<F, Fut, T>(
    plan: &Plan,
    recorder: &Recorder,
    stop: Stop<'_>,
    conduct: F,
) -> Result<T, ExploreError>
where
    F: FnOnce(Rc<ExploreWorld>) -> Fut,
    Fut: Future<Output = T> + 'static,
    T: 'static,
{
    let world = Rc::new(ExploreWorld {
        now_ns: Rc::default(),
        executor: Executor::default(),
        scene: Rc::new(RefCell::new(Scene::new(plan, recorder))),
        recorder: recorder.clone(),
        patience: RefCell::new(Patience::new(plan.devices.len())),
    });
    // Tasks hold the world that holds them: whatever happens, they have to go before this returns.
    let _ends = Ends(world.clone());
    let answer = Rc::new(Cell::new(None));
    let (conducted, slot) = (conduct(world.clone()), answer.clone());
    world.executor.spawn(Box::pin(async move { slot.set(Some(conducted.await)) }));
    for turns in 1_u64.. {
        if turns.is_multiple_of(STOP_TURNS) && stop() {
            return Err(ExploreError::Interrupted);
        }
        if world.executor.run()
            && let Some(answer) = answer.take()
        {
            return Ok(answer);
        }
        let turn = world.next_turn()?;
        match turn {
            Turn::Task(task) => world.executor.wake(task),
            turn => world.scene.borrow_mut().take(turn),
        }
    }
    unreachable!("nobody lives for 2^64 turns")
}

struct Ends(Rc<ExploreWorld>);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.executor.clear();
    }
}

impl ExploreWorld {
    fn next_turn(&self) -> Result<Turn, ExploreError> {
        let agenda = &mut self.scene.borrow_mut().agenda;
        let turn = agenda.next();
        let now_ns = agenda.now_ns();
        self.now_ns.set(now_ns);
        let spent = self.patience.borrow_mut().spent(now_ns, || self.recorder.progress().gained);
        match (turn, spent) {
            (None, _) => Err(ExploreError::StandsStill(now_ns)),
            (Some(_), _) if now_ns > SIMULATED_NS_MAX => Err(ExploreError::TooLong),
            (Some(_), Some((turns, since_ns))) => Err(ExploreError::Livelock { turns, since_ns, now_ns }),
            (Some(turn), None) => Ok(turn),
        }
    }
}

impl World for ExploreWorld {
    fn clock(&self) -> Clock {
        let now_ns = self.now_ns.clone();
        Rc::new(move || now_ns.get())
    }

    async fn sleep_ns(&self, ns: u64) {
        let at_ns = self.now_ns.get().saturating_add(ns);
        let mut is_asked = false;
        poll_fn(|_| {
            if self.now_ns.get() >= at_ns {
                return Poll::Ready(());
            }
            if !is_asked {
                // Woken by number: this future never leaves the task in which it was polled first.
                is_asked = true;
                let task = Turn::Task(self.executor.current());
                self.scene.borrow_mut().agenda.push(at_ns, task);
            }
            Poll::Pending
        })
        .await;
    }

    fn start_device(&self, device: Device, _recorder: &Recorder) -> Handle {
        let number = device.number().0;
        let status = Rc::new(Status::default());
        self.scene.borrow_mut().seat(Seat::new(device, status.clone()));
        let scene = self.scene.clone();
        Handle::new(move |letter| scene.borrow_mut().post(number, letter), status)
    }

    fn spawn_here(&self, task: LocalTask) {
        self.executor.spawn(task);
    }

    fn arm_links(&self) {
        self.scene.borrow_mut().arm_links();
    }

    fn set_link_fault(&self, fault: u32, device: u32, active: bool) {
        self.scene.borrow_mut().set_link_fault(fault, device, active);
    }

    fn heal_links(&self) {
        self.scene.borrow_mut().heal_links();
    }

    fn abandon_link(&self, device: u32) {
        self.scene.borrow_mut().abandon_link(device);
    }

    async fn order(&self, number: u32, order: NodeOrder) -> Result<String, OrderError> {
        if number != 0 {
            return Err(OrderError::Failed(format!("there is no node n{}", number + 1)));
        }
        if order == NodeOrder::Stop {
            let stopped = self.scene.borrow_mut().with_node(|node, now_ns| {
                node.stop(now_ns);
                node.stopped()
            });
            stopped.wait().await;
        }
        self.scene.borrow_mut().with_node(|node, now_ns| match order {
            NodeOrder::Start => node.start(now_ns),
            NodeOrder::Kill => Ok(node.kill(now_ns)),
            NodeOrder::LosePower => Ok(node.lose_power(now_ns)),
            NodeOrder::Pause => Ok(node.pause(now_ns)),
            NodeOrder::Resume => Ok(node.resume(now_ns)),
            NodeOrder::Stop => match node.casualty() {
                None => Ok(format!("{} stopped when asked to", node.machine.name())),
                Some(why) => Err(OrderError::Failed(why)),
            },
            other => node.machine.disturb(other),
        })
    }

    async fn triggered(&self) -> Triggered {
        loop {
            let bell = match self.scene.borrow_mut().triggered() {
                Ok(triggered) => return triggered,
                Err(bell) => bell,
            };
            bell.notified().await;
        }
    }

    fn casualty(&self) -> Option<String> {
        self.scene.borrow().node.casualty()
    }
}
