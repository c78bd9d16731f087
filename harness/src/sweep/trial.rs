//! One schedule: carried out, judged, and put into the few words that a sweep compares.

use std::cell::RefCell;
use std::rc::Rc;

use avouch_reports::verdict::Verdict;
use avouch_scenarios::Scenario;
use avouch_scenarios::plan::{Fault, NodeVerb, Plan, PlannedFault};
use nix::time::{ClockId, clock_gettime};

use super::states::{Reached, Watch};
use super::{Stop, on_fresh_thread};
use crate::conductor::{Ended, fault_kind};
use crate::perform;
use crate::world::explore::{ExploreOptions, Outcome, explore_run_watched};

/// Stands for a guarantee where an engine panicked.
pub const PANIC: &str = "panic";
/// Stands for a guarantee where the server ended on its own.
pub const DIED: &str = "target died";
/// Stands for a guarantee where server and clients are busy without end, and nothing comes of it.
pub const LIVELOCK: &str = "livelock";

/// A kind of break: two runs show the same when theirs are equal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Signature {
    /// Which guarantee, or [`PANIC`], [`DIED`] or [`LIVELOCK`].
    pub guarantee: String,
    /// How: the anomaly, or the place of the panic.
    pub anomaly: String,
}

/// A break.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Its kind.
    pub signature: Signature,
    /// What is demanded.
    pub expected: String,
    /// What happened.
    pub actual: String,
}

/// What one schedule came to.
#[derive(Clone, Debug, Default)]
pub struct Trial {
    /// Everything that is broken, in the registry's order.
    pub broken: Vec<Broken>,
    /// Why nothing follows from the run although nothing is broken.
    pub doubt: Option<String>,
    /// Somebody wanted no more before it was over: nothing follows from it.
    pub is_interrupted: bool,
    /// Rare states.
    pub reached: Reached,
    /// Processor time of this thread. Nanoseconds.
    pub cpu_ns: u64,
}

/// Carries a scenario out with its own seed. A scenario without a plan is a doubt.
pub fn try_scenario(scenario: &Scenario, defects: &[String]) -> Trial {
    try_until(scenario, defects, &|| false)
}

/// The same, until somebody wants no more.
pub fn try_until(scenario: &Scenario, defects: &[String], stop: Stop<'_>) -> Trial {
    let begun_ns = thread_cpu_ns();
    let mut trial = match plan_of(scenario, defects) {
        Ok(plan) => {
            let is_disk_bad = plan.faults.iter().any(spoils_disk);
            let mut trial = try_plan(plan, stop);
            if is_disk_bad && trial.broken.iter().any(|broken| broken.signature.guarantee == DIED) {
                // A server that starts, or comes back, on a disk that fails gives up, and is right to.
                trial.broken.clear();
                trial.doubt = Some("the server gave up on a disk that failed".to_owned());
            }
            trial
        }
        Err(why) => Trial { doubt: Some(format!("the schedule makes no sense: {why}")), ..Trial::default() },
    };
    trial.cpu_ns = thread_cpu_ns().saturating_sub(begun_ns);
    trial
}

/// The same; with defects planted also without them: a schedule in which the healthy server is accused, too, shows nothing
/// of a defect.
pub fn try_against_healthy(scenario: &Scenario, defects: &[String], stop: Stop<'_>) -> Trial {
    let mut trial = on_fresh_thread(|| try_until(scenario, defects, stop));
    if defects.is_empty() || trial.broken.is_empty() {
        return trial;
    }
    let healthy = on_fresh_thread(|| try_until(scenario, &[], stop));
    trial.cpu_ns += healthy.cpu_ns;
    trial.is_interrupted |= healthy.is_interrupted;
    if !healthy.broken.is_empty() {
        trial.broken.clear();
        trial.doubt = Some("the server is accused without the planted defect, too".to_owned());
    }
    trial
}

/// The plan of a schedule.
pub fn plan_of(scenario: &Scenario, defects: &[String]) -> Result<Plan, String> {
    let seed = scenario.seed.unwrap_or(1);
    let mut plan = scenario.plan("explore", seed).map_err(|error| error.to_string())?;
    plan.defects = defects.to_vec();
    perform::check_plan(&plan)?;
    Ok(plan)
}

fn spoils_disk(fault: &PlannedFault) -> bool {
    matches!(&fault.fault, Fault::Node(node) if matches!(node.verb, NodeVerb::FailSync | NodeVerb::DiskFull))
}

fn try_plan(plan: Plan, stop: Stop<'_>) -> Trial {
    let watch = Rc::new(RefCell::new(Watch::default()));
    let observer = watch.clone();
    let plan = Rc::new(plan);
    let outcome = explore_run_watched(
        &plan,
        ExploreOptions { stop: Some(stop), ..ExploreOptions::default() },
        Box::new(move |event| observer.borrow_mut().observe(event)),
    );
    let reached = watch.borrow().reached();
    if outcome.ended == Ended::Interrupted {
        return Trial { is_interrupted: true, ..Trial::default() };
    }
    Trial { broken: broken(&outcome), doubt: doubt(&plan, &outcome), reached, ..Trial::default() }
}

fn broken(outcome: &Outcome) -> Vec<Broken> {
    if let Some(words) = &outcome.panic {
        return vec![panicked(words)];
    }
    if let Ended::TargetDied(why) = &outcome.ended {
        return vec![Broken {
            signature: Signature { guarantee: DIED.to_owned(), anomaly: "died".to_owned() },
            expected: "the server lives until it is told to end".to_owned(),
            actual: why.clone(),
        }];
    }
    let judgements = outcome.judgements.iter().filter(|it| it.claimed && it.verdict == Verdict::Violated);
    let findings = judgements.flat_map(|judgement| {
        judgement.findings.iter().map(|finding| Broken {
            signature: Signature { guarantee: judgement.guarantee.clone(), anomaly: finding.anomaly.clone() },
            expected: finding.expected.clone(),
            actual: finding.actual.clone(),
        })
    });
    let mut broken: Vec<Broken> = Vec::new();
    for found in findings {
        if broken.iter().all(|known| known.signature != found.signature) {
            broken.push(found);
        }
    }
    if let Ended::Livelock(why) = &outcome.ended {
        broken.push(Broken {
            signature: Signature { guarantee: LIVELOCK.to_owned(), anomaly: "busy".to_owned() },
            expected: "whoever waits for something leaves time before asking again".to_owned(),
            actual: why.clone(),
        });
    }
    broken
}

/// The place of a panic is its kind; its words may differ from run to run.
fn panicked(words: &str) -> Broken {
    let place = words.split_whitespace().find(|word| word.contains(".rs:")).unwrap_or("somewhere");
    let place = place.trim_end_matches([':', ',']);
    Broken {
        signature: Signature { guarantee: PANIC.to_owned(), anomaly: place.to_owned() },
        expected: "no engine panics, whatever its peers and its disk do".to_owned(),
        actual: words.lines().collect::<Vec<_>>().join(" "),
    }
}

/// Reasons are kinds of reasons: a sweep counts them.
fn doubt(plan: &Plan, outcome: &Outcome) -> Option<String> {
    match &outcome.ended {
        Ended::Whole | Ended::TargetDied(_) | Ended::Livelock(_) => {}
        Ended::NoSetUp(_) => return Some("the set-up did not succeed in time".to_owned()),
        other => return Some(format!("the run ended as {other:?}")),
    }
    if outcome.counts.accepted == 0 {
        return Some("no operation succeeded".to_owned());
    }
    if outcome.undrained.is_some() {
        return Some("the drain did not converge".to_owned());
    }
    let unfired = plan.faults.iter().find(|fault| outcome.unfired.contains(&fault.id))?;
    Some(format!("a planned fault never took effect ({})", fault_kind(&unfired.fault)))
}

/// Processor time of the calling thread. Nanoseconds; 0 where the system does not say.
pub fn thread_cpu_ns() -> u64 {
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID);
    time.map_or(0, |time| time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::explore::explore_run;

    /// What was seen until then is judged, too; what had not come yet is nobody's fault.
    #[test]
    fn a_livelock_is_a_find_of_its_own() {
        let scenario = avouch_scenarios::schedule::schedule(1).scenario;
        let plan = Rc::new(plan_of(&scenario, &[]).expect("it has a plan"));
        let whole = explore_run(&plan, ExploreOptions::default());
        let ended = Ended::Livelock("9 turns".to_owned());
        let found = broken(&Outcome { ended, ..whole });
        let kinds: Vec<&str> = found.iter().map(|broken| broken.signature.guarantee.as_str()).collect();
        assert_eq!((kinds, found[0].actual.as_str()), (vec![LIVELOCK], "9 turns"));
    }

    #[test]
    fn a_panic_is_named_by_its_place() {
        let words = "panicked at reference-server/engine/src/server/mod.rs:12:5:\nindex 3 out of bounds";
        let broken = panicked(words);
        assert_eq!(broken.signature.anomaly, "reference-server/engine/src/server/mod.rs:12:5");
        assert!(broken.actual.ends_with("index 3 out of bounds"));
    }
}
