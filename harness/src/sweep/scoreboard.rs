//! The scoreboard: one sweep per planted defect and seed, until it is found or the runs are used up. What is found with the
//! first seed is shrunk, to see how small.

use avouch_engine::defects::{DEFECTS, Planted};
use avouch_reports::sweep::{SWEEP_VERSION, ScoreLine, Scoreboard};
use avouch_scenarios::shrink::Size;

use super::found::{Budget, recorded, shrunk};
use super::{Options, Swept, scenario_of, sweep};

/// What stands in the registry for the latency gates, which this world does not judge.
const GATES: &str = "latency";

/// Scores every defect. `tell` is called before each.
pub fn score(
    options: &Options,
    seeds: u64,
    budget: Budget<'_>,
    tell: &(dyn Fn(&str, usize, usize) + Sync),
) -> Scoreboard {
    let mut board = Scoreboard {
        avouch_scoreboard: SWEEP_VERSION,
        seed: options.seed,
        seeds,
        runs_max: options.runs,
        ..Scoreboard::default()
    };
    for (index, planted) in DEFECTS.iter().enumerate() {
        if (budget.stop)() {
            board.interrupted = true;
            break;
        }
        tell(planted.name, index, DEFECTS.len());
        board.lines.push(line(planted, options, seeds, budget));
    }
    board
}

fn line(planted: &Planted, options: &Options, seeds: u64, budget: Budget<'_>) -> ScoreLine {
    let mut line = ScoreLine {
        defect: planted.name.to_owned(),
        breaks: planted.breaks.to_owned(),
        ..ScoreLine::default()
    };
    if planted.breaks == GATES {
        "only the gates of `avouch load` and `avouch run` see it".clone_into(&mut line.skipped);
        return line;
    }
    let mut costs: Vec<(u64, u64)> = Vec::new();
    for seed in options.seed..options.seed.saturating_add(seeds) {
        let mine =
            Options { seed, keep_going: false, defects: vec![planted.name.to_owned()], ..options.clone() };
        let swept = sweep(&mine, budget.stop, &|_| {});
        let Some(guarantee) = first_broken(&swept) else { continue };
        line.found += 1;
        *line.by.entry(guarantee).or_default() += 1;
        costs.push((swept.runs, swept.cpu_ns));
        if line.after.is_none() {
            sizes(&mut line, &mine, &swept, budget);
        }
    }
    line.runs = median(costs.iter().map(|cost| cost.0));
    line.cpu_s = median(costs.iter().map(|cost| cost.1)).map(|cpu_ns| cpu_ns as f64 / 1e9);
    line
}

/// What gave it away: the first thing that was broken in the first run that broke anything.
fn first_broken(swept: &Swept) -> Option<String> {
    swept.first().map(|find| find.broken.signature.guarantee.clone())
}

fn sizes(line: &mut ScoreLine, options: &Options, swept: &Swept, budget: Budget<'_>) {
    let Some(find) = swept.first() else { return };
    let scenario = scenario_of(options, find.run);
    line.before = Some(recorded(Size::of(&scenario)));
    let least = shrunk(&scenario, &find.broken.signature, &options.defects, budget);
    line.after = least.ok().map(|shrunk| recorded(Size::of(&shrunk.scenario)));
}

fn median(values: impl Iterator<Item = u64>) -> Option<u64> {
    let mut values: Vec<u64> = values.collect();
    values.sort_unstable();
    values.get(values.len() / 2).copied()
}
