//! Carries many tasks out, several at once, and hears of interrupts meanwhile.
//!
//! Everything that happens comes through one channel to the thread that was called: runs that begin and end, signals.
//! So what the user sees is told in one order, and the second interrupt can leave at once, whatever the runs do.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use avouch_reports::run::{End, Outcome};

use super::output::Output;
use super::progress::Progress;
use super::signals;
use crate::interrupt::Interrupt;
use crate::perform::{self, Performed, Task};

/// How often the line that changes is written again when nothing happens.
const REDRAW: Duration = Duration::from_secs(1);

/// What came of many tasks.
#[derive(Debug)]
pub(super) struct CarriedOut {
    /// Those that were begun, in the tasks' order.
    pub(super) performed: Vec<Performed>,
    /// How many were not, because of an interrupt.
    pub(super) not_begun: usize,
}

enum News {
    Began(usize),
    Ended(usize, Box<Performed>),
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
/// and lets no other begin. `None`: there was a second one, and nothing more may be waited for.
pub(super) fn carry_out(tasks: Vec<Task>, jobs: usize, output: Output) -> Option<CarriedOut> {
    let (sender, news) = mpsc::channel();
    let interrupt = Interrupt::default();
    let to_signal = sender.clone();
    let heard = signals::listen(move || {
        let _ = to_signal.send(News::Signal);
    });
    if let Err(error) = heard {
        output.say(format!("note: an interrupt will end this at once: {error}"));
    }
    let tasks = Arc::new(tasks);
    let next = Arc::new(AtomicUsize::new(0));
    let workers = jobs.clamp(1, tasks.len().max(1));
    for _ in 0..workers {
        let leaves = Leaves(sender.clone());
        let (tasks, next, interrupt) = (tasks.clone(), next.clone(), interrupt.clone());
        thread::spawn(move || work(&tasks, &next, &interrupt, &leaves.0));
    }
    follow(&Following { tasks: &tasks, news: &news, interrupt: &interrupt, output }, workers)
}

fn work(tasks: &[Task], next: &AtomicUsize, interrupt: &Interrupt, tell: &Sender<News>) {
    while !interrupt.is_set() {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let Some(task) = tasks.get(number) else { return };
        let _ = tell.send(News::Began(number));
        let performed = perform::on_own_thread(task.clone(), interrupt.clone());
        let _ = tell.send(News::Ended(number, Box::new(performed)));
    }
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
    let mut performed: Vec<Option<Performed>> = tasks.iter().map(|_| None).collect();
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
                performed[number] = Some(*result);
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
    let performed: Vec<Performed> = performed.into_iter().flatten().collect();
    let not_begun = tasks.len() - performed.len();
    Some(CarriedOut { performed, not_begun })
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
