//! The worlds agree: what is judged of a scenario on the event heap is judged of it in the simulation too, guarantee by
//! guarantee. Here one scenario of each folder of the catalog; `.ci/run` compares all of them, in all three worlds.

use std::collections::BTreeMap;

use avouch::perform::World;
use avouch_reports::agreement::{Agreement, pairs};
use avouch_reports::run::Run;
use avouch_scenarios::catalog::CATALOG;

use crate::{folder, perform, plan};

const SEED: u64 = 1;

/// Too large for a build without optimisation: continuous integration has them.
const LARGE: [&str; 3] = ["groups", "offline", "incident"];

#[test]
fn explore_and_sim_come_to_the_same_verdicts() {
    let mut of_each_folder = BTreeMap::new();
    for entry in CATALOG {
        of_each_folder.entry(entry.name.split('/').next().unwrap_or_default()).or_insert(entry);
    }
    of_each_folder.retain(|folder, _| !LARGE.contains(folder));
    assert!(of_each_folder.len() > 10, "{of_each_folder:?}");
    let (mut same, mut told) = (0, Vec::new());
    for entry in of_each_folder.values() {
        let in_world = |world: World| -> Run {
            let name = format!("agreement-{}-{}", entry.name.replace('/', "-"), world.name());
            perform(plan(entry.name, entry.text, SEED), world, folder(&name))
        };
        let (explored, simulated) = (in_world(World::Explore), in_world(World::Sim));
        assert!(simulated.counts.sends_accepted > 0, "{}: nothing happened", entry.name);
        for pair in pairs(&explored, &simulated) {
            match pair.agreement() {
                Agreement::Same => same += 1,
                Agreement::Untested => {}
                Agreement::Undecided | Agreement::Contrary => told.push(format!("{}: {pair}", entry.name)),
            }
        }
    }
    assert!(told.is_empty(), "explore and sim disagree:\n{}", told.join("\n"));
    assert!(same > 10 * of_each_folder.len(), "only {same} verdicts say something in both");
}
