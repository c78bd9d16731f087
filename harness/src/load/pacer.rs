//! Says when who sends. It keeps its own schedule, whatever the server does; how well it does so is measured by what it pays
//! for: the kernel's account of its thread.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use avouch_scenarios::load::{Schedule, Send};
use avouch_scenarios::plan::Do;

use super::Closed;
use super::timer::Timer;
use crate::conductor::{Stage, Workload};
use crate::device::Order;
use crate::handle::Letter;
use crate::world::World;
use crate::world::live::effort::{self, Effort};

/// Sends that are due within this are handed over together: a wake-up per message would be most of what a message costs.
const TOGETHER_NS: u64 = 100_000;
/// Sends that are handed over before sockets get their turn.
const SENDS_PER_TURN: u32 = 64;
/// The workload begins at a whole second of the run.
const SECOND_NS: u64 = 1_000_000_000;
/// How often events are handed to the scribe at least.
const FLUSH_EVERY: Duration = Duration::from_millis(20);

/// Carries a schedule out.
pub struct Pace {
    schedule: Schedule,
    closed: Option<Closed>,
    start_unix_ms: Option<u64>,
    flush: Rc<dyn Fn()>,
    effort: RefCell<Option<Effort>>,
    began: Cell<Option<Effort>>,
}

impl Pace {
    /// `flush` hands over what was recorded.
    pub fn new(
        schedule: Schedule,
        closed: Option<Closed>,
        start_unix_ms: Option<u64>,
        flush: Rc<dyn Fn()>,
    ) -> Self {
        Self { schedule, closed, start_unix_ms, flush, effort: RefCell::default(), began: Cell::new(None) }
    }

    /// What the workload took; `None` = it did not end.
    pub fn effort(&self) -> Option<Effort> {
        *self.effort.borrow()
    }

    async fn open_loop<W: World>(&self, stage: &Rc<Stage<W>>, timer: &Timer) {
        let begun_ns = stage.chaos_begun_ns();
        let mut at_once = 0;
        for send in self.schedule.sends() {
            let intended_ns = begun_ns + send.at_ns;
            let now_ns = stage.now_ns();
            if intended_ns > now_ns {
                at_once = 0;
                if !wait(stage, timer, (intended_ns - now_ns).max(TOGETHER_NS)).await {
                    return;
                }
            }
            if stage.is_over() {
                return;
            }
            post(stage, intended_ns, &send);
            at_once += 1;
            if at_once == SENDS_PER_TURN {
                at_once = 0;
                tokio::task::yield_now().await;
            }
        }
    }

    async fn closed_loop<W: World>(&self, stage: &Rc<Stage<W>>, closed: &Closed) {
        let until_ns = stage.chaos_begun_ns() + stage.plan.phases.chaos_ns;
        let mut index = 0;
        while stage.now_ns() < until_ns && !stage.is_over() {
            let Some(sender) = closed.take() else {
                tokio::select! {
                    biased;
                    () = stage.interrupt.wait() => return,
                    () = closed.changed() => {}
                    () = stage.sleep_ns(until_ns.saturating_sub(stage.now_ns())) => return,
                }
                continue;
            };
            let now_ns = stage.now_ns();
            let send = self.schedule.send(index, now_ns - stage.chaos_begun_ns(), sender);
            index += 1;
            closed.sent(send.message, sender);
            post(stage, now_ns, &send);
            if index % u64::from(SENDS_PER_TURN) == 0 {
                tokio::task::yield_now().await;
            }
        }
    }
}

/// In any world whose clock is the machine's.
impl<W: World + 'static> Workload<W> for Pace {
    async fn ready(&self, stage: &Rc<Stage<W>>) {
        let (flush, flushing) = (self.flush.clone(), stage.clone());
        stage.world.spawn_here(Box::pin(async move {
            loop {
                flushing.sleep_ns(FLUSH_EVERY.as_nanos() as u64).await;
                flush();
            }
        }));
        let Ok(timer) = Timer::new() else { return };
        if let Some(start_unix_ms) = self.start_unix_ms {
            let ahead_ms = start_unix_ms.saturating_sub(effort::unix_ms());
            wait(stage, &timer, ahead_ms * 1_000_000).await;
        }
        let into_second_ns = stage.now_ns() % SECOND_NS;
        wait(stage, &timer, SECOND_NS - into_second_ns).await;
    }

    async fn carry_out(&self, stage: &Rc<Stage<W>>) {
        self.began.set(Some(effort::now()));
        match (&self.closed, Timer::new()) {
            (Some(closed), _) => self.closed_loop(stage, closed).await,
            (None, Ok(timer)) => self.open_loop(stage, &timer).await,
            (None, Err(error)) => {
                stage.recorder.fail(format!("the system has no timer for the schedule: {error}"));
            }
        }
        let ends_ns = stage.chaos_begun_ns() + stage.plan.phases.chaos_ns;
        if !stage.is_over() {
            stage.sleep_until_or(ends_ns, &stage.interrupt).await;
        }
        *self.effort.borrow_mut() = self.began.get().map(|began| effort::now().since(&began));
    }

    /// Pages of a history of millions would be a load test of their own.
    fn reads_at_the_end(&self) -> bool {
        false
    }
}

fn post<W: World>(stage: &Stage<W>, intended_ns: u64, send: &Send) {
    let conversation = send.sender.conversation;
    let what = Do::Send { conversation, message: send.message, bytes: send.bytes, reply: false };
    stage.post(send.sender.device, Letter::Order(Order::Do { intended_ns, what }));
}

/// Waits; false = the run was interrupted, or there is no timer any more.
async fn wait<W: World>(stage: &Stage<W>, timer: &Timer, ns: u64) -> bool {
    tokio::select! {
        biased;
        () = stage.interrupt.wait() => false,
        waited = timer.wait_ns(ns) => waited.is_ok(),
    }
}
