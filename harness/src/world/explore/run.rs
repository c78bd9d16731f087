//! One schedule, carried out and judged in memory: the fast path of exploration. No history file, no latency.

use std::cell::RefCell;
use std::hash::{Hash, Hasher};
use std::rc::Rc;

use avouch_reports::history::{Event, What};
use avouch_reports::verdict::{Judgement, Verdict};
use avouch_scenarios::plan::Plan;
use rustc_hash::FxHasher;

use super::explore_until;
use crate::check::{Judge, explain};
use crate::conductor::{Ended, conduct};
use crate::interrupt::Stop;
use crate::panics;
use crate::payload::Nonce;
use crate::perform;
use crate::recorder::{Owing, Recorder, Sink};

/// What is wanted besides the judgements.
#[derive(Clone, Copy, Default)]
pub struct ExploreOptions<'a> {
    /// Keep every event, and let each finding have its timeline. For the repetition of a violation: it costs memory
    /// and time, and changes nothing of the run.
    pub explained: bool,
    /// Ends the run early, as [`Ended::Interrupted`].
    pub stop: Option<Stop<'a>>,
}

/// What a schedule came to.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// How it ended, before anything was judged.
    pub ended: Ended,
    /// One per guarantee, in the order of the registry. Empty if the checkers themselves panicked.
    pub judgements: Vec<Judgement>,
    /// Planned faults of which nothing shows that they took effect: the run proves nothing then.
    pub unfired: Vec<u32>,
    /// What was missing when the drain was given up; `None` if nothing was, or if there was no drain.
    pub undrained: Option<String>,
    /// A fingerprint of the whole event stream: the same plan gives the same one, in every process of one build.
    pub hash: u64,
    /// How much happened.
    pub counts: Counts,
    /// The words of a panic of an engine or of this tool: a finding, with this schedule.
    pub panic: Option<String>,
    /// The history, if it was asked for.
    pub events: Vec<Event>,
}

/// How much happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Events of the history.
    pub events: u64,
    /// Operations that were begun.
    pub invoked: u64,
    /// Operations that were accepted.
    pub accepted: u64,
    /// Operations that were definitely refused.
    pub rejected: u64,
    /// Operations whose outcome is unknown.
    pub unknown: u64,
    /// Messages that reached an application: one per message and device.
    pub delivered: u64,
    /// How long the run took on its own clock. Nanoseconds.
    pub simulated_ns: u64,
}

impl Outcome {
    /// Whether something is wrong with the target (or with this tool): a broken guarantee, or a panic.
    pub fn is_violated(&self) -> bool {
        self.panic.is_some() || self.violated().next().is_some()
    }

    /// The guarantees that were broken.
    pub fn violated(&self) -> impl Iterator<Item = &Judgement> {
        self.judgements.iter().filter(|judgement| judgement.verdict == Verdict::Violated)
    }
}

/// Carries a plan out and judges it, on this thread. The same plan gives the same outcome, however often and wherever
/// it is called. A panic in an engine is in the outcome. The plan must have passed [`perform::check_plan`].
pub fn explore_run(plan: &Rc<Plan>, options: ExploreOptions<'_>) -> Outcome {
    explore_run_watched(plan, options, Box::new(|_| {}))
}

/// Sees every event as it happens.
pub type Observer = Box<dyn FnMut(&Event)>;

/// As [`explore_run`]; `observe` sees every event.
pub fn explore_run_watched(plan: &Rc<Plan>, options: ExploreOptions<'_>, mut observe: Observer) -> Outcome {
    let tap = Rc::new(RefCell::new(Tap::new(plan, options)));
    let sink: Sink = {
        let tap = tap.clone();
        Box::new(move |event| {
            tap.borrow_mut().take(event);
            observe(event);
            Ok(())
        })
    };
    let played = panics::caught(|| {
        let recorder =
            Recorder::new(sink).owing(Owing::of(perform::reference_claims(), &perform::check_options(plan)));
        let (of_conductor, plan) = (recorder.clone(), plan.clone());
        let stop = options.stop.unwrap_or(&|| false);
        let ended = explore_until(&plan.clone(), &recorder, stop, move |world| {
            let installer = perform::installer(plan.clone(), Nonce::NONE);
            conduct(plan, world, installer, of_conductor, None)
        });
        let [invoked, accepted, rejected, unknown] = recorder.progress().outcomes;
        let delivered = recorder.progress().delivered;
        (ended, Counts { invoked, accepted, rejected, unknown, delivered, ..Counts::default() })
    });
    let Ok(tap) = Rc::try_unwrap(tap).map(RefCell::into_inner) else {
        unreachable!("the run is over: its recorder, which shared this, is gone with its tasks")
    };
    let (ended, counts, panic) = match played {
        Ok((Ok(ended), counts)) => (ended, counts, None),
        Ok((Err(error), counts)) => (error.into_ended(), counts, None),
        Err(panic) => (Ended::TargetDied(panic.clone()), Counts::default(), Some(panic)),
    };
    tap.conclude(ended, counts, panic)
}

/// Everything that listens to the events of a run.
struct Tap {
    judge: Judge,
    hasher: FxHasher,
    events: u64,
    last_ns: u64,
    undrained: Option<String>,
    kept: Option<Vec<Event>>,
}

impl Tap {
    fn new(plan: &Plan, options: ExploreOptions<'_>) -> Self {
        let judge =
            Judge::new(perform::reference_claims(), &plan.expect.guarantees, perform::check_options(plan));
        let kept = options.explained.then(Vec::new);
        Self { judge, hasher: FxHasher::default(), events: 0, last_ns: 0, undrained: None, kept }
    }

    fn take(&mut self, event: &Event) {
        self.judge.observe(event);
        event.hash(&mut self.hasher);
        self.events += 1;
        self.last_ns = event.at_ns;
        if let What::Drained { converged: false, missing } = &event.what {
            self.undrained = Some(missing.clone());
        }
        if let Some(kept) = &mut self.kept {
            kept.push(event.clone());
        }
    }

    fn conclude(self, ended: Ended, counts: Counts, panic: Option<String>) -> Outcome {
        let Self { judge, hasher, events, last_ns, undrained, kept } = self;
        let kept = kept.unwrap_or_default();
        let unfired = judge.unfired();
        let judged = panics::caught(|| {
            let mut judgements = judge.finish();
            if !kept.is_empty() {
                explain(&mut judgements, &mut kept.iter().cloned());
            }
            judgements
        });
        let (judgements, broken) = match judged {
            Ok(judgements) => (judgements, None),
            Err(panic) => (Vec::new(), Some(panic)),
        };
        Outcome {
            ended,
            judgements,
            unfired,
            undrained,
            hash: hasher.finish(),
            counts: Counts { events, simulated_ns: last_ns, ..counts },
            panic: panic.or(broken),
            events: kept,
        }
    }
}
