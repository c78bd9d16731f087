//! A sweep: many schedules, each drawn from one number, carried out in the world `explore` and judged in memory.
//!
//! Run `i` of seed `s` is a function of (s, i) and of nothing else. So the result does not depend on the number of threads:
//! when a run shows something, the runs before it are still finished, and what is reported is the find with the lowest
//! number. Only a time limit or an interrupt can make two sweeps end at different places.
//!
//! What is found is shrunk and written by `found`; `scoreboard` sweeps once per planted defect; `states` says which rare
//! states were reached. Not here: how anything is printed (see `avouch_reports::render`).

pub mod found;
pub mod scoreboard;
pub mod states;
pub mod trial;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::thread;

use avouch_scenarios::Scenario;
use avouch_scenarios::schedule::{schedule, schedule_on, seed_of};

pub use crate::interrupt::Stop;
use states::State;
use trial::{Broken, Signature, Trial};

/// Stack of a run's thread. Bytes.
const STACK_BYTES: usize = 8 * 1024 * 1024;

/// What is swept.
#[derive(Clone, Debug)]
pub struct Options {
    /// What everything is drawn from.
    pub seed: u64,
    /// Schedules at most.
    pub runs: u64,
    /// Go on after something was found, until the runs or the time are used up.
    pub keep_going: bool,
    /// Threads.
    pub jobs: usize,
    /// Processor time that all runs together may take, about. Nanoseconds; `None` = any.
    pub cpu_ns_max: Option<u64>,
    /// Planted defects. What is found then is found with them and not without them.
    pub defects: Vec<String>,
    /// Workloads whose faults are drawn anew; run `i` takes the `i`-th, around. Empty = everything is drawn.
    pub bases: Vec<Scenario>,
}

/// What a sweep saw.
#[derive(Clone, Debug, Default)]
pub struct Swept {
    /// Runs that count: with `keep_going` off, those up to the find.
    pub runs: u64,
    /// Nothing broken, everything took effect.
    pub passed: u64,
    /// Nothing broken, too little seen, by reason.
    pub inconclusive: BTreeMap<String, u64>,
    /// Runs in which something was broken.
    pub broken: u64,
    /// Processor time of the runs. Nanoseconds.
    pub cpu_ns: u64,
    /// How many runs reached each state, in the catalogue's order.
    pub states: Vec<u64>,
    /// The first run that showed each kind of break, and how many did; by kind.
    pub finds: BTreeMap<Signature, Find>,
}

/// The first run that showed a kind of break.
#[derive(Clone, Debug)]
pub struct Find {
    /// Its number.
    pub run: u64,
    /// Runs that showed it.
    pub runs: u64,
    /// What it showed.
    pub broken: Broken,
}

/// Where a sweep is.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Runs that are done.
    pub done: u64,
    /// Runs that were asked for.
    pub runs: u64,
    /// Kinds of breaks so far.
    pub finds: usize,
}

/// The schedule of a run.
pub fn scenario_of(options: &Options, run: u64) -> Scenario {
    let seed = seed_of(options.seed, run);
    match options.bases.get((run % options.bases.len().max(1) as u64) as usize) {
        None => schedule(seed).scenario,
        Some(base) => schedule_on(seed, base).scenario,
    }
}

/// Sweeps. `stop` is asked before every run, and within those that take long, which do not count then. `tell` is called after every run, from any thread.
pub fn sweep(options: &Options, stop: Stop<'_>, tell: &(dyn Fn(Progress) + Sync)) -> Swept {
    let shared = Mutex::new(Shared::default());
    thread::scope(|scope| {
        for _ in 0..options.jobs.max(1) {
            scope.spawn(|| work(options, stop, &shared, tell));
        }
    });
    let shared = shared.into_inner().expect("no holder of this lock can panic");
    shared.conclude(options)
}

#[derive(Default)]
struct Shared {
    /// The next run that nobody has.
    next: u64,
    done: BTreeMap<u64, Trial>,
    folded: Folded,
    /// The lowest run that showed something.
    lowest: Option<u64>,
    /// Of all runs that are done. Nanoseconds.
    cpu_ns: u64,
    kinds: BTreeSet<Signature>,
}

/// Runs that can be counted already: all before them are done, too.
#[derive(Default)]
struct Folded {
    until: u64,
    swept: Swept,
}

fn work(options: &Options, stop: Stop<'_>, shared: &Mutex<Shared>, tell: &(dyn Fn(Progress) + Sync)) {
    while !stop() {
        let run = {
            let mut shared = shared.lock().expect("no holder of this lock can panic");
            let end = shared.lowest.filter(|_| !options.keep_going).unwrap_or(options.runs);
            let is_spent = options.cpu_ns_max.is_some_and(|most| shared.cpu_ns >= most);
            if is_spent || shared.next >= end.min(options.runs) {
                return;
            }
            shared.next += 1;
            shared.next - 1
        };
        let trial = trial::try_against_healthy(&scenario_of(options, run), &options.defects, stop);
        if trial.is_interrupted {
            return;
        }
        let mut shared = shared.lock().expect("no holder of this lock can panic");
        shared.cpu_ns += trial.cpu_ns;
        if !trial.broken.is_empty() {
            shared.lowest = Some(shared.lowest.map_or(run, |lowest| lowest.min(run)));
            let kinds: Vec<Signature> = trial.broken.iter().map(|broken| broken.signature.clone()).collect();
            shared.kinds.extend(kinds);
        }
        shared.done.insert(run, trial);
        shared.fold(options);
        let done = shared.folded.until + shared.done.len() as u64;
        let finds = shared.kinds.len();
        drop(shared);
        tell(Progress { done, runs: options.runs, finds });
    }
}

/// Nothing that a thread remembers can leak from run to run.
pub(crate) fn on_fresh_thread<T: Send>(call: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| {
        let thread = thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, call);
        let thread = thread.expect("the system has a thread left for a run");
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

impl Shared {
    /// Counts what is done without a hole, so that memory does not grow with the sweep.
    fn fold(&mut self, options: &Options) {
        while let Some(trial) = self.done.remove(&self.folded.until) {
            let run = self.folded.until;
            self.folded.until += 1;
            if options.keep_going || self.lowest.is_none_or(|lowest| run <= lowest) {
                self.folded.swept.count(run, trial);
            }
        }
    }

    fn conclude(mut self, options: &Options) -> Swept {
        // After an interrupt there may be holes: what is behind them counts nevertheless.
        let rest = std::mem::take(&mut self.done);
        let end = self.lowest.filter(|_| !options.keep_going).unwrap_or(u64::MAX);
        for (run, trial) in rest.into_iter().filter(|(run, _)| *run <= end) {
            self.folded.swept.count(run, trial);
        }
        let mut swept = self.folded.swept;
        swept.states.resize(State::ALL.len(), 0);
        swept
    }
}

impl Swept {
    fn count(&mut self, run: u64, trial: Trial) {
        self.runs += 1;
        self.cpu_ns += trial.cpu_ns;
        self.states.resize(State::ALL.len(), 0);
        for state in trial.reached.states() {
            self.states[state as usize] += 1;
        }
        match (trial.broken.is_empty(), trial.doubt) {
            (false, _) => self.broken += 1,
            (true, None) => self.passed += 1,
            (true, Some(doubt)) => *self.inconclusive.entry(doubt).or_default() += 1,
        }
        for broken in trial.broken {
            let find = self.finds.entry(broken.signature.clone());
            find.and_modify(|find| find.runs += 1).or_insert(Find { run, runs: 1, broken });
        }
    }

    /// The find with the lowest run.
    pub fn first(&self) -> Option<&Find> {
        self.finds.values().min_by_key(|find| find.run)
    }
}

#[cfg(test)]
mod tests;
