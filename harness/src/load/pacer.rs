//! Says when who sends. It keeps its own schedule, whatever the server does; how well it does so is measured by what it pays
//! for: the kernel's account of its thread.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
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

/// Sends that are due this soon after the first of them leave together, when the last of them is due: where nothing else runs, a
/// wake-up per message, here and at the server, is most of what a message costs. It is the most that this adds to a latency from the
/// intended send; nothing leaves before its time.
const TOGETHER_NS: u64 = 500_000;
/// More do not: at 20,000 per second as many have come after 0.4 ms, at 100,000 after 0.08 ms.
const TOGETHER_MAX: usize = 8;
/// Only where as many come within this is it worth that, from some 8,000 per second on.
const BUSY_NS: u64 = 1_000_000;
/// At lower rates only those leave together that are nearly at one time, and at 1,000 per second nearly each at its own.
const TOGETHER_RARE_NS: u64 = 100_000;
/// Sends that are handed over before sockets get their turn.
const SENDS_PER_TURN: usize = 64;
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
        let mut sends = self.schedule.sends();
        let mut ahead = VecDeque::with_capacity(TOGETHER_MAX);
        loop {
            ahead.extend(sends.by_ref().take(TOGETHER_MAX - ahead.len()));
            let Some(leave_ns) = leave_ns(&ahead) else { return };
            let due_ns = begun_ns + leave_ns;
            let now_ns = stage.now_ns();
            if due_ns <= now_ns {
                // Also where everything is late, sockets get their turn.
                tokio::task::yield_now().await;
            } else if !wait(stage, timer, due_ns - now_ns).await {
                return;
            }
            if stage.is_over() {
                return;
            }
            let now_ns = stage.now_ns().max(due_ns);
            let is_due = |send: &Send| begun_ns + send.at_ns <= now_ns;
            for _ in 0..SENDS_PER_TURN {
                let Some(send) = ahead.front().copied().filter(is_due) else { break };
                ahead.pop_front();
                ahead.extend(sends.next());
                post(stage, begun_ns + send.at_ns, &send);
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
            if index.is_multiple_of(SENDS_PER_TURN as u64) {
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

/// When the next sends leave, by the schedule's time; `None` = there are none. `ahead`: as many as may leave together, or the last.
fn leave_ns(ahead: &VecDeque<Send>) -> Option<u64> {
    let first_ns = ahead.front()?.at_ns;
    let is_within = |send: &&Send, ns: u64| send.at_ns - first_ns <= ns;
    let is_busy = ahead.iter().filter(|send| is_within(send, BUSY_NS)).count() >= TOGETHER_MAX;
    let together_ns = if is_busy { TOGETHER_NS } else { TOGETHER_RARE_NS };
    let together = ahead.iter().take_while(|send| is_within(send, together_ns));
    Some(together.last().map_or(first_ns, |send| send.at_ns))
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

#[cfg(test)]
mod tests {
    use avouch_scenarios::load::Sender;

    use super::*;

    fn check(at_us: &[u64], leave_us: Option<u64>) {
        let sender = Sender { device: 0, conversation: 0 };
        let send = |at_us: &u64| Send { at_ns: at_us * 1_000, message: 1, sender, bytes: 1 };
        let ahead: VecDeque<Send> = at_us.iter().map(send).collect();
        assert_eq!(leave_ns(&ahead), leave_us.map(|us| us * 1_000), "{at_us:?}");
    }

    #[test]
    fn a_few_leave_nearly_each_at_its_own_time_and_many_together_when_the_last_is_due() {
        check(&[], None);
        check(&[7], Some(7));
        check(&[7, 107, 108, 109], Some(107));
        check(&[7, 108], Some(7));
        check(&[7, 100, 200, 300, 507, 508, 900, 1_007], Some(507));
        check(&[7, 100, 200, 300, 507, 508, 900, 1_008], Some(100));
        check(&[0, 10, 20, 30, 40, 50, 60, 70], Some(70));
        check(&[5; 8], Some(5));
    }
}
