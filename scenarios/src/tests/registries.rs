//! What `avouch list` prints is what the parser takes.

use std::collections::BTreeSet;

use crate::plan::{Delay, Fault};
use crate::profiles::PROFILES;
use crate::{FAULT_KINDS, parse_scenario};

#[test]
fn every_example_of_a_fault_is_one() {
    for kind in FAULT_KINDS {
        let head = "about = \"x\"\n[workload]\nmembers = 4\nrate = \"50/s\"\nduration = \"30s\"\n[[fault]]";
        let scenario = parse_scenario(kind.name, &format!("{head}\n{}", kind.example));
        let scenario = scenario.unwrap_or_else(|refused| panic!("{refused}"));
        let names: Vec<&str> = scenario.fault[0].verbs().iter().map(|(name, _)| *name).collect();
        assert_eq!(names, [kind.name]);
        for planned in scenario.plan("x", 1).unwrap().faults {
            let on = match planned.fault {
                Fault::Link(_) => "link",
                Fault::Node(_) => "node",
                Fault::Client(_) => "client",
            };
            assert_eq!(on, kind.on, "{}", kind.name);
        }
    }
}

#[test]
fn every_verb_of_the_schema_is_in_the_registry() {
    let schema = crate::schema();
    let properties = schema["$defs"]["FaultEntry"]["properties"].as_object().unwrap();
    let verbs: BTreeSet<&str> =
        properties.keys().map(String::as_str).filter(|key| !["at", "every", "for"].contains(key)).collect();
    assert_eq!(verbs, FAULT_KINDS.iter().map(|kind| kind.name).collect());
}

#[test]
fn profiles_keep_their_published_figures() {
    for profile in PROFILES {
        let network = profile.network();
        let means: Vec<u64> = [network.up.delay, network.down.delay]
            .into_iter()
            .map(|delay| match delay {
                Delay::Normal { mean_ns, .. } => mean_ns,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(means.iter().sum::<u64>(), profile.round_trip_us * 1_000);
        assert_eq!(network.down.rate_bytes_per_s, Some(profile.down_kbit_per_s * 1_000 / 8));
    }
}

/// The scenario of the design, word for word.
#[test]
fn the_example_of_the_design_is_read() {
    let text = r#"
about = "The leader dies again and again while a group chat goes on."
[cluster]
nodes = 3
[workload]
conversations = 20
members = 5
rate = "200/s"              # open loop, Poisson arrivals
duration = "30s"
payload = "64..512 B"
[network]
profile = "4g"
[[fault]]
kill = { node = "leader", restart_after = "1s" }
every = "4s"
[[fault]]
cut = { link = "clients", before = "accepted", probability = 0.02 }
[[fault]]
partition = { nodes = ["n1"], from = "rest" }
at = "12s"
for = "3s"
[expect]
guarantees = ["no-loss", "no-duplicates", "total-order", "receipts-truthful"]
recovers_within = "3s"
[expect.latency]            # outside fault windows
accepted_p99 = "250ms"
"#;
    let scenario = parse_scenario("x", text).unwrap_or_else(|refused| panic!("{refused}"));
    let plan = scenario.plan("x", 1).unwrap();
    let faults: Vec<String> = plan.faults.iter().map(|fault| format!("{:?}", fault.fault)).collect();
    assert_eq!(faults.len(), 7 + 1 + 1);
    assert!(faults[0].contains("Kill { restart_after_ns: 1000000000 }"), "{}", faults[0]);
    assert!(faults[7].contains("probability_ppm: 20000") && faults[7].contains("Before"), "{}", faults[7]);
    let from = (0b110_u64 | crate::plan::CLIENTS_BIT).to_string();
    assert!(
        faults[8].contains(&format!("Isolate {{ nodes: 1, from: {from}, one_way: false }}")),
        "{}",
        faults[8]
    );
}
