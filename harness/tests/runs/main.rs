//! Whole runs, from a scenario file to a verdict: repeated byte for byte in the simulated world, against real processes
//! in the live one, and those that must not pass. What the whole catalog comes to is `.ci/run`'s business.

mod agreement;
mod bad;
mod determinism;
mod exec;
mod live;
mod load;
mod void;

use std::path::{Path, PathBuf};

use avouch::interrupt::Interrupt;
use avouch::perform::{self, Task, World};
use avouch::subject::Subject;
use avouch_reports::run::Run;
use avouch_scenarios::parse_scenario;
use avouch_scenarios::plan::Plan;

/// The plan that a scenario's text and a seed give.
fn plan(name: &str, text: &str, seed: u64) -> Plan {
    let scenario = parse_scenario(name, text).unwrap_or_else(|refused| panic!("{refused}"));
    let plan = scenario.plan(name, seed).expect("the scenario can be expanded");
    perform::check_plan(&plan).expect("the reference server has what the plan names");
    plan
}

/// The text of a scenario of the catalog.
fn catalog(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../scenarios/catalog/{name}.toml"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A folder of this test's own, empty.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    if folder.exists() {
        std::fs::remove_dir_all(&folder).expect("what an earlier test left can be removed");
    }
    folder
}

/// Carries a plan out in simulation, on a fresh thread.
fn simulate(plan: Plan, folder: PathBuf) -> Run {
    perform(plan, World::Sim, folder)
}

/// Carries a plan out in a world, on a fresh thread.
fn perform(plan: Plan, world: World, folder: PathBuf) -> Run {
    let subject = Subject::reference();
    let task = Task { plan, world, folder, repeat: String::new(), subject };
    let performed = perform::on_own_thread(task, Interrupt::default());
    assert_eq!(performed.complaint, None);
    performed.run
}
