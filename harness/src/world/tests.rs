//! The simulated worlds agree: the same plan gives the same verdict in each.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::thread;

use avouch_reports::verdict::{Judgement, Verdict};
use avouch_scenarios::parse_scenario;
use avouch_scenarios::plan::Plan;

use super::explore::{ExploreOptions, explore_run};
use super::sim::simulate;
use crate::check::Judge;
use crate::conductor::{Ended, conduct};
use crate::payload::Nonce;
use crate::perform;
use crate::recorder::{Owing, Recorder};

/// By which the continuous integration judges the whole catalog, too: every scenario is put to the test by it.
const SEED: u64 = 1;
/// Deliveries that a scenario may lead to here, roughly; `.ci/run explore` has the others, and other seeds.
const DELIVERIES_MAX: usize = 3_000;

fn catalog() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios/catalog");
    let entries = |folder: &Path| -> Vec<PathBuf> {
        let entries = std::fs::read_dir(folder).expect("the catalog is part of the repository");
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("a readable entry").path()).collect();
        paths.sort();
        paths
    };
    let folders = entries(&root).into_iter().filter(|path| path.is_dir());
    let files = folders.flat_map(|folder| entries(&folder));
    files.filter(|path| path.extension().is_some_and(|extension| extension == "toml")).collect()
}

fn plan(path: &Path) -> Plan {
    let text = std::fs::read_to_string(path).expect("a readable scenario");
    let scenario = parse_scenario("catalog", &text).expect("the catalog is sound");
    let plan = scenario.plan("catalog", SEED).expect("the catalog has plans");
    perform::check_plan(&plan).expect("the catalog asks for what the reference protocol has");
    plan
}

fn simulated(plan: &Rc<Plan>) -> (Ended, Vec<Judgement>) {
    let claims = perform::reference_claims();
    let judge = Judge::new(claims, &plan.expect.guarantees, perform::check_options(plan));
    let judge = Rc::new(RefCell::new(judge));
    let ended = {
        let judge = judge.clone();
        let recorder = Recorder::new(Box::new(move |event| {
            judge.borrow_mut().observe(event);
            Ok(())
        }));
        let recorder = recorder.owing(Owing::of(perform::reference_claims(), &perform::check_options(plan)));
        let (of_conductor, conducted) = (recorder.clone(), plan.clone());
        let ended = simulate(plan, &recorder, move |world| {
            let installer = perform::installer(conducted.clone(), Nonce::NONE);
            conduct(conducted, world, installer, of_conductor, None)
        });
        ended.expect("the simulation comes to its end")
    };
    let judge = Rc::try_unwrap(judge).expect("the run is over").into_inner();
    (ended, judge.finish())
}

/// What became of each guarantee that the scenario expects (of all, if it names none).
fn verdicts(plan: &Plan, judgements: &[Judgement]) -> BTreeMap<String, Verdict> {
    let expected = |judgement: &&Judgement| {
        plan.expect.guarantees.is_empty() || plan.expect.guarantees.contains(&judgement.guarantee)
    };
    let one = |judgement: &Judgement| (judgement.guarantee.clone(), judgement.verdict);
    judgements.iter().filter(expected).map(one).collect()
}

/// Where the two worlds differ, or something is not as the catalog promises.
fn disagreement(path: &Path) -> Option<String> {
    let plan = Rc::new(plan(path));
    let explored = explore_run(&plan, ExploreOptions::default());
    let (ended, judgements) = simulated(&plan);
    let (in_sim, in_explore) = (verdicts(&plan, &judgements), verdicts(&plan, &explored.judgements));
    let is_sound = !in_sim.is_empty()
        && in_sim.values().all(|verdict| matches!(verdict, Verdict::Pass | Verdict::Skipped));
    let agree = (ended, &in_sim) == (explored.ended.clone(), &in_explore);
    (!agree || !is_sound || !explored.unfired.is_empty()).then(|| {
        let differ = in_sim.iter().filter(|(id, verdict)| in_explore.get(*id) != Some(*verdict));
        let differ: Vec<_> = differ.map(|(id, verdict)| (id, verdict, in_explore.get(id))).collect();
        format!(
            "{}: sim against explore {differ:?}, explore: {:?}, {:?}",
            path.display(),
            explored.ended,
            explored.unfired
        )
    })
}

#[test]
fn explore_and_sim_agree_on_the_catalog() {
    let is_short = |path: &PathBuf| {
        let plan = plan(path);
        plan.actions.len() * plan.devices.len() <= DELIVERIES_MAX
    };
    let files: Vec<PathBuf> = catalog().into_iter().filter(is_short).collect();
    assert!(files.len() >= 15, "the catalog was found: {files:?}");
    let jobs = thread::available_parallelism().map_or(1, usize::from);
    let found: Vec<String> = thread::scope(|scope| {
        let workers: Vec<_> = (0..jobs)
            .map(|worker| {
                let mine = files.iter().skip(worker).step_by(jobs);
                scope.spawn(move || mine.filter_map(|path| disagreement(path)).collect::<Vec<_>>())
            })
            .collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("no world panics")).collect()
    });
    assert!(found.is_empty(), "{}", found.join("\n"));
}
