//! The scoreboard: one sweep per planted defect and seed, until it is found, or the runs or the processor time are used up.
//! What is found with the first seed is shrunk, to see how small.
//!
//! Found means: accused with the defect, and not without it, in the same schedule. The drawing of schedules knows nothing of
//! defects; run `i` of seed `s` is the same schedule for each of them. Defects that break nothing but latency are looked for
//! where latency is judged: in the world `sim`, with the scenarios of the catalog that have gates.

use std::fs;
use std::path::Path;

use avouch_engine::defects::{DEFECTS, Planted};
use avouch_reports::run::{Outcome, Run};
use avouch_reports::sweep::{SWEEP_VERSION, ScoreLine, Scoreboard};
use avouch_reports::verdict::Verdict;
use avouch_scenarios::catalog::CATALOG;
use avouch_scenarios::schedule::seed_of;
use avouch_scenarios::shrink::Size;
use avouch_scenarios::{Scenario, parse_scenario};
use nix::time::{ClockId, clock_gettime};

use super::found::{Budget, recorded, shrunk};
use super::trial::Broken;
use super::{Options, Swept, scenario_of, sweep};
use crate::interrupt::Interrupt;
use crate::perform::{self, Task, World};
use crate::subject::Subject;

/// What stands in the registry for the latency gates, which the world `explore` does not judge.
const GATES: &str = "latency";
/// Runs in the world `sim` at most, for each seed: they are carried out in more than a hundred times the time.
const SIM_RUNS_MAX: u64 = 50;

/// Scores every defect. `tell` is called before each; run folders go below `out`, for as long as they are needed.
pub fn score(
    options: &Options,
    seeds: u64,
    budget: Budget<'_>,
    out: &Path,
    tell: &(dyn Fn(&str, usize, usize) + Sync),
) -> Scoreboard {
    let mut board = Scoreboard {
        avouch_scoreboard: SWEEP_VERSION,
        seed: options.seed,
        seeds,
        runs_max: options.runs,
        cpu_s_max: options.cpu_ns_max.map(|cpu_ns| cpu_ns as f64 / 1e9),
        ..Scoreboard::default()
    };
    for (index, planted) in DEFECTS.iter().enumerate() {
        if (budget.stop)() {
            board.interrupted = true;
            break;
        }
        tell(planted.name, index, DEFECTS.len());
        board.lines.push(line(planted, options, seeds, budget, out));
    }
    board
}

/// What it cost to find a defect.
struct Cost {
    by: String,
    runs: u64,
    cpu_ns: u64,
}

fn line(planted: &Planted, options: &Options, seeds: u64, budget: Budget<'_>, out: &Path) -> ScoreLine {
    let is_swept = planted.breaks != GATES;
    let world = if is_swept { World::Explore } else { World::Sim };
    let mut line = ScoreLine {
        defect: planted.name.to_owned(),
        breaks: planted.breaks.to_owned(),
        world: world.name().to_owned(),
        ..ScoreLine::default()
    };
    let mut costs: Vec<Cost> = Vec::new();
    for seed in options.seed..options.seed.saturating_add(seeds) {
        let mine =
            Options { seed, keep_going: false, defects: vec![planted.name.to_owned()], ..options.clone() };
        let cost = if is_swept {
            swept(planted, &mine, budget, &mut line)
        } else {
            simulated(planted, &mine, budget, &out.join("scoreboard"))
        };
        costs.extend(cost);
    }
    line.found = costs.len() as u64;
    for cost in &costs {
        *line.by.entry(cost.by.clone()).or_default() += 1;
    }
    line.runs = median(costs.iter().map(|cost| cost.runs));
    line.cpu_s = median(costs.iter().map(|cost| cost.cpu_ns)).map(|cpu_ns| cpu_ns as f64 / 1e9);
    line
}

fn swept(planted: &Planted, options: &Options, budget: Budget<'_>, line: &mut ScoreLine) -> Option<Cost> {
    let swept = sweep(options, budget.stop, &|_| {});
    let (run, broken) = first_broken(&swept, planted.breaks)?;
    if line.after.is_none() {
        let scenario = scenario_of(options, run);
        line.before = Some(recorded(Size::of(&scenario)));
        let least = shrunk(&scenario, &broken.signature, &options.defects, budget);
        line.after = least.ok().map(|shrunk| recorded(Size::of(&shrunk.scenario)));
    }
    Some(Cost { by: broken.signature.guarantee.clone(), runs: swept.runs, cpu_ns: swept.cpu_ns })
}

/// What gave it away: of what the first run broke, the guarantee that the registry names, or else the first of all.
fn first_broken<'a>(swept: &'a Swept, breaks: &str) -> Option<(u64, &'a Broken)> {
    let run = swept.first()?.run;
    let mut shown = swept.finds.values().filter(|find| find.run == run).map(|find| &find.broken);
    let named = shown.clone().find(|broken| broken.signature.guarantee == breaks);
    named.or_else(|| shown.next()).map(|broken| (run, broken))
}

/// Carries the scenarios with gates out, in turn and each with a seed of its own, until a gate fails that holds without
/// the defect.
fn simulated(planted: &Planted, options: &Options, budget: Budget<'_>, out: &Path) -> Option<Cost> {
    let gated =
        CATALOG.iter().filter_map(|entry| Some((entry.name, parse_scenario(entry.name, entry.text).ok()?)));
    let gated: Vec<_> = gated.filter(|(_, scenario)| !scenario.expect.latency.is_empty()).collect();
    let begun_ns = process_cpu_ns();
    for run in 0..options.runs.min(SIM_RUNS_MAX) {
        let spent_ns = process_cpu_ns().saturating_sub(begun_ns);
        if (budget.stop)() || options.cpu_ns_max.is_some_and(|most| spent_ns >= most) {
            break;
        }
        let (name, scenario) = gated.get((run % gated.len().max(1) as u64) as usize)?;
        let seed = seed_of(options.seed, run);
        let gate_fails = |run: &Run| run.gates.iter().any(|gate| gate.verdict == Verdict::Violated);
        let with = perform_gated(name, scenario, seed, &options.defects, out)?;
        if gate_fails(&with) && perform_gated(name, scenario, seed, &[], out)?.outcome == Outcome::Passed {
            let cpu_ns = process_cpu_ns().saturating_sub(begun_ns);
            return Some(Cost { by: planted.breaks.to_owned(), runs: run + 1, cpu_ns });
        }
    }
    None
}

fn perform_gated(name: &str, scenario: &Scenario, seed: u64, defects: &[String], out: &Path) -> Option<Run> {
    let mut plan = scenario.plan(name, seed).ok()?;
    plan.defects = defects.to_vec();
    perform::check_plan(&plan).ok()?;
    let folder = out.join(name.replace('/', "-"));
    let subject = Subject::reference();
    let task = Task { plan, world: World::Sim, folder: folder.clone(), repeat: String::new(), subject };
    let performed = perform::on_own_thread(task, Interrupt::default());
    let _ = fs::remove_dir_all(folder); // what it says is in the scoreboard
    performed.complaint.is_none().then_some(performed.run)
}

/// Processor time of all threads. Nanoseconds; 0 where the system does not say.
fn process_cpu_ns() -> u64 {
    let time = clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID);
    time.map_or(0, |time| time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64)
}

fn median(values: impl Iterator<Item = u64>) -> Option<u64> {
    let mut values: Vec<u64> = values.collect();
    values.sort_unstable();
    values.get(values.len() / 2).copied()
}
