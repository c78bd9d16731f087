//! Carries many tasks out, several at once, and hears of interrupts meanwhile.
//!
//! Everything that happens comes through one channel to the thread that was called: runs that begin and end, signals.
//! So what the user sees is told in one order, and the second interrupt can leave at once, whatever the runs do.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use avouch_reports::run::{End, Outcome};

use super::output::Output;
use super::progress::Progress;
use super::signals;
use crate::interrupt::Interrupt;
use crate::perform::{self, Performed, Task, World};
use crate::world::descriptors::Room;

/// How often the line that changes is written again when nothing happens.
const REDRAW: Duration = Duration::from_secs(1);

/// What came of many tasks.
#[derive(Debug)]
pub(super) struct CarriedOut {
    /// Those that were begun, with their places among the tasks, in that order.
    pub(super) performed: Vec<(usize, Performed)>,
    /// Those that were not, because what they put to the test had shown before that it is of no use.
    pub(super) pointless: Vec<usize>,
    /// How many were not, because of an interrupt.
    pub(super) not_begun: usize,
}

/// What is to be carried out.
struct Effort {
    tasks: Vec<Task>,
    /// What each task puts to the test; nothing where everything is tried.
    subjects: Vec<usize>,
    rest: Mutex<Rest>,
    /// Told when a task has ended.
    ended: Condvar,
    /// A run that shows nothing is carried out once more.
    tries_again: bool,
}

/// What has not begun yet.
struct Rest {
    /// Places of tasks, in the order in which they are to begin.
    waiting: Vec<usize>,
    room: Room,
    /// What turned out to be of no use.
    useless: BTreeSet<usize>,
}

impl Effort {
    fn rest(&self) -> MutexGuard<'_, Rest> {
        self.rest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next task that finds room beside those in progress, and whether there is any point in it. Waits for room.
    fn next(&self, interrupt: &Interrupt) -> Option<(usize, bool)> {
        let mut rest = self.rest();
        loop {
            if interrupt.is_set() || rest.waiting.is_empty() {
                return None;
            }
            let Rest { waiting, room, .. } = &mut *rest;
            if let Some(place) = waiting.iter().position(|number| room.take(*number)) {
                let number = waiting.remove(place);
                let is_pointless =
                    self.subjects.get(number).is_some_and(|subject| rest.useless.contains(subject));
                return Some((number, !is_pointless));
            }
            // Each finds room alone, so somebody is at work, and tells when that has ended.
            rest = self.ended.wait(rest).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// A server that failed before it took a single message will not do better in the next case.
    fn learn(&self, number: usize, performed: &Performed) {
        let has_failed = matches!(performed.run.end, End::TargetFailed { .. });
        if let Some(subject) = self.subjects.get(number)
            && has_failed
            && performed.run.counts.sends_accepted == 0
        {
            self.rest().useless.insert(*subject);
        }
    }

    fn end(&self, number: usize) {
        self.rest().room.give_back(number);
        self.ended.notify_all();
    }
}

enum News {
    Began(usize),
    Ended(usize, Box<Performed>),
    /// It showed nothing, for these reasons, and is carried out once more.
    Again(usize, Vec<String>),
    Pointless(usize),
    /// A worker has nothing left to do.
    Left,
    Signal,
}

/// Tells that a worker is gone, however it goes.
struct Leaves(Sender<News>);

impl Drop for Leaves {
    fn drop(&mut self) {
        // Whoever would hear it may have left at the second interrupt.
        let _ = self.0.send(News::Left);
    }
}

/// Performs all tasks, each on a thread of its own, at most `jobs` at once. The first interrupt ends the runs in progress
/// and lets no other begin. `None`: there was a second one, and nothing more may be waited for. `subjects`: what each task puts to
/// the test, if one that turned out to be of no use is not to be tried again; then a run that shows nothing is carried out once more, as
/// it mostly was the moment that kept it from that: a fault that never came about on a busy machine, a drain that was cut off.
/// `room`: what the tasks share; whatever finds none beside the others waits.
pub(super) fn carry_out(
    tasks: Vec<Task>,
    subjects: Vec<usize>,
    room: Room,
    jobs: usize,
    output: Output,
) -> Option<CarriedOut> {
    let tries_again = !subjects.is_empty();
    let (sender, news) = mpsc::channel();
    let interrupt = Interrupt::default();
    let to_signal = sender.clone();
    let heard = signals::listen(move || {
        let _ = to_signal.send(News::Signal);
    });
    if let Err(error) = heard {
        output.say(format!("note: an interrupt will end this at once: {error}"));
    }
    let workers = jobs.clamp(1, tasks.len().max(1));
    let rest = Mutex::new(Rest { waiting: order(&tasks, &subjects), room, useless: BTreeSet::new() });
    let effort = Arc::new(Effort { tasks, subjects, rest, ended: Condvar::new(), tries_again });
    for _ in 0..workers {
        let leaves = Leaves(sender.clone());
        let (effort, interrupt) = (effort.clone(), interrupt.clone());
        thread::spawn(move || work(&effort, &interrupt, &leaves.0));
    }
    follow(&Following { tasks: &effort.tasks, news: &news, interrupt: &interrupt, output }, workers)
}

/// In real time the longest begin first: a long one that began last would go on alone. Before them, one for each subject, which
/// may show that there is no point in the others. Otherwise as they were given.
fn order(tasks: &[Task], subjects: &[usize]) -> Vec<usize> {
    let waits_ns = |task: &Task| if task.world == World::Live { task.plan.phases.chaos_ns } else { 0 };
    let mut seen = BTreeSet::new();
    let is_first: Vec<bool> = subjects.iter().map(|subject| seen.insert(*subject)).collect();
    let mut order: Vec<usize> = (0..tasks.len()).collect();
    order.sort_by_key(|&number| Reverse((is_first.get(number).copied(), waits_ns(&tasks[number]))));
    order
}

fn work(effort: &Effort, interrupt: &Interrupt, tell: &Sender<News>) {
    while let Some((number, has_a_point)) = effort.next(interrupt) {
        if has_a_point {
            let _ = tell.send(News::Began(number));
            let performed = perform(effort, number, (interrupt, tell));
            effort.learn(number, &performed);
            let _ = tell.send(News::Ended(number, Box::new(performed)));
        } else {
            let _ = tell.send(News::Pointless(number));
        }
        effort.end(number);
    }
}

fn perform(effort: &Effort, number: usize, (interrupt, tell): (&Interrupt, &Sender<News>)) -> Performed {
    let task = &effort.tasks[number];
    let performed = perform::on_own_thread(task.clone(), interrupt.clone());
    if !effort.tries_again || interrupt.is_set() || !performed.run.shows_nothing() {
        return performed;
    }
    let _ = tell.send(News::Again(number, performed.run.reasons()));
    perform::on_own_thread(task.clone(), interrupt.clone())
}

struct Following<'a> {
    tasks: &'a [Task],
    news: &'a Receiver<News>,
    interrupt: &'a Interrupt,
    output: Output,
}

#[allow(clippy::disallowed_methods, reason = "how long the user waits is told in the user's time")]
fn follow(following: &Following<'_>, mut workers: usize) -> Option<CarriedOut> {
    let Following { tasks, news, interrupt, output } = *following;
    let began = Instant::now();
    let mut progress = Progress { total: tasks.len(), ..Progress::default() };
    let mut performed = BTreeMap::new();
    let mut pointless = Vec::new();
    while workers > 0 {
        match news.recv_timeout(REDRAW) {
            Ok(News::Began(number)) => {
                progress.running.insert(number, tasks[number].plan.scenario.clone());
            }
            Ok(News::Ended(number, result)) => {
                progress.running.remove(&number);
                progress.done += 1;
                progress.failed += usize::from(result.run.outcome != Outcome::Passed);
                tell(&progress, &tasks[number], &result, output);
                performed.insert(number, *result);
            }
            Ok(News::Again(number, reasons)) => {
                output.clear_progress();
                let (scenario, seed) = (&tasks[number].plan.scenario, tasks[number].plan.seed);
                let why = reasons.first().map_or("nothing was seen", String::as_str);
                output.say(format!("once more: {scenario} (seed {seed}) showed nothing: {why}"));
            }
            Ok(News::Pointless(number)) => {
                progress.done += 1;
                pointless.push(number);
            }
            Ok(News::Left) => workers -= 1,
            Ok(News::Signal) if interrupt.is_set() => return None,
            Ok(News::Signal) => {
                interrupt.set();
                output.clear_progress();
                output.say("interrupted: what goes on is ended and judged; once more to stop at once");
            }
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
        }
        output.progress(progress.line(began.elapsed()));
    }
    output.clear_progress();
    let performed: Vec<(usize, Performed)> = performed.into_iter().collect();
    let not_begun = tasks.len() - performed.len() - pointless.len();
    pointless.sort_unstable();
    Some(CarriedOut { performed, pointless, not_begun })
}

/// One line per finished run; for somebody who watches the line that changes, only what did not pass.
fn tell(progress: &Progress, task: &Task, performed: &Performed, output: Output) {
    let outcome = performed.run.outcome;
    if output.is_watched() && outcome == Outcome::Passed {
        return;
    }
    output.clear_progress();
    let (done, total) = (progress.done, progress.total);
    let word = if matches!(performed.run.end, End::ToolFailed { .. }) { "failed" } else { outcome.name() };
    let (scenario, seed) = (&task.plan.scenario, task.plan.seed);
    output.say(format!("[{done:>3}/{total}] {word:<13} {scenario} (seed {seed})"));
}
