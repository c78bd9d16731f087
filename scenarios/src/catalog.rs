//! The scenarios that come with the tool, built into it: `avouch run` needs no files beside the binary.

/// One scenario of the catalog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CatalogEntry {
    /// Path below `catalog/`, without the ending: "crash/kill".
    pub name: &'static str,
    /// The file's text.
    pub text: &'static str,
}

macro_rules! catalog {
    ($($name:literal)*) => {
        &[$(CatalogEntry { name: $name, text: include_str!(concat!("../catalog/", $name, ".toml")) },)*]
    };
}

/// Every scenario of the catalog, by name.
pub const CATALOG: &[CatalogEntry] = catalog! {
    "clock/skew"
    "collaboration/ping-pong"
    "collaboration/shared-document"
    "crash/kill"
    "crash/kill-between-commit-and-ack"
    "crash/last-word"
    "crash/pause"
    "crash/power-loss"
    "crash/restart"
    "crash/torn-block"
    "devices/new-phone"
    "devices/reinstall"
    "devices/takeover"
    "devices/takeover-while-resuming"
    "devices/two-devices"
    "disk/failing-sync"
    "disk/full"
    "disk/full-for-a-moment"
    "disk/gathering"
    "disk/slow-sync"
    "groups/churn"
    "groups/group-1000"
    "groups/removed-and-back"
    "incident/incident-channel"
    "links/acks-lost-in-a-burst"
    "links/busy-line"
    "links/corrupt"
    "links/cut"
    "links/cut-at-byte"
    "links/delay"
    "links/drop"
    "links/duplicate"
    "links/everything-at-once"
    "links/half-open"
    "links/late-acks"
    "links/partition"
    "links/rate"
    "links/reorder"
    "links/reordered-retransmission"
    "links/sends-lost"
    "links/slice"
    "links/stall"
    "mobile/commuter-4g"
    "mobile/edge"
    "mobile/satellite"
    "offline/one-day"
    "offline/restart-while-away"
    "offline/written-offline"
    "ordering/many-senders"
    "ordering/trade-feed"
    "readers/slow-reader"
    "regression/added-twice-at-once"
    "regression/late-hello"
    "regression/late-page"
    "regression/nothing-left-to-pull"
    "regression/page-longer-than-patience"
    "regression/receipts-after-a-long-wait"
    "regression/refused-in-a-row"
    "regression/reinstalled-welcome-lost"
    "regression/removed-added-removed"
    "regression/said-alone"
    "regression/stopped-on-a-failing-disk"
    "silence/cut-in-flight"
    "silence/half-open-in-flight"
    "silence/heads-lost"
    "silence/last-deliver-lost"
    "silence/takeover-in-flight"
    "silence/window-full-when-cut"
    "smoke/steady"
    "storms/crash-and-storm"
    "storms/reconnect-storm"
};

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::parse_scenario;

    fn names_below(folder: &Path, prefix: &str, names: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap();
            if path.is_dir() {
                names_below(&path, &format!("{prefix}{name}/"), names);
            } else {
                names.push(format!("{prefix}{name}"));
            }
        }
    }

    #[test]
    fn every_file_is_built_in() {
        let mut names = Vec::new();
        names_below(&Path::new(env!("CARGO_MANIFEST_DIR")).join("catalog"), "", &mut names);
        names.sort();
        let built_in: Vec<&str> = CATALOG.iter().map(|entry| entry.name).collect();
        assert_eq!(built_in, names);
    }

    #[test]
    fn every_scenario_gives_plans() {
        for entry in CATALOG {
            let scenario =
                parse_scenario(entry.name, entry.text).unwrap_or_else(|refused| panic!("{refused}"));
            for seed in 0..4 {
                let plan =
                    scenario.plan(entry.name, seed).unwrap_or_else(|error| panic!("{}: {error}", entry.name));
                assert_eq!(plan, scenario.plan(entry.name, seed).unwrap(), "{}", entry.name);
            }
        }
    }

    /// Deliveries of one scenario: what keeps the whole catalog below a minute in the simulator.
    const DELIVERIES_MAX: u64 = 25_000;

    #[test]
    fn every_scenario_stays_small() {
        for entry in CATALOG {
            let plan = parse_scenario(entry.name, entry.text).unwrap().plan(entry.name, 1).unwrap();
            let devices = |user: u32| plan.devices.iter().filter(|device| device.user == user).count() as u64;
            let per_conversation: Vec<u64> = plan
                .conversations
                .iter()
                .map(|conversation| conversation.members.iter().map(|user| devices(*user)).sum())
                .collect();
            let deliveries: u64 = plan
                .actions
                .iter()
                .filter_map(|action| match action.what {
                    crate::plan::Do::Send { conversation, .. } => {
                        Some(per_conversation[conversation as usize])
                    }
                    _ => None,
                })
                .sum();
            assert!(deliveries <= DELIVERIES_MAX, "{}: {deliveries} deliveries", entry.name);
        }
    }

    #[test]
    fn the_catalog_covers_every_fault() {
        let used: std::collections::BTreeSet<&str> = CATALOG
            .iter()
            .flat_map(|entry| parse_scenario(entry.name, entry.text).unwrap().fault)
            .flat_map(|fault| fault.verbs().into_iter().map(|(name, _)| name).collect::<Vec<_>>())
            .collect();
        let all: std::collections::BTreeSet<&str> = crate::FAULT_KINDS.iter().map(|kind| kind.name).collect();
        assert_eq!(used, all);
    }

    #[test]
    fn the_catalog_covers_every_guarantee() {
        let scenarios: Vec<_> =
            CATALOG.iter().map(|entry| parse_scenario(entry.name, entry.text).unwrap()).collect();
        let named: std::collections::BTreeSet<&str> =
            scenarios.iter().flat_map(|scenario| scenario.expect.guarantees.iter().map(|id| id.0)).collect();
        let all: std::collections::BTreeSet<&str> =
            crate::guarantees::GUARANTEES.iter().map(|(id, _)| *id).collect();
        assert_eq!(named, all);
        assert!(scenarios.iter().all(|scenario| scenario.expect.recovers_within.is_some()));
    }

    #[test]
    fn every_scenario_says_in_one_sentence_what_it_proves() {
        for entry in CATALOG {
            let about = parse_scenario(entry.name, entry.text).unwrap().about;
            assert!(about.ends_with('.') && about.matches(". ").count() == 0, "{}: {about}", entry.name);
            assert!(about.chars().count() <= 160, "{}: {} characters", entry.name, about.chars().count());
        }
    }

    #[test]
    fn every_fault_is_seen_by_somebody() {
        for entry in CATALOG {
            let plan = parse_scenario(entry.name, entry.text).unwrap().plan(entry.name, 1).unwrap();
            for fault in &plan.faults {
                let devices = match &fault.fault {
                    crate::plan::Fault::Link(link) => &link.devices,
                    crate::plan::Fault::Client(client) => &client.devices,
                    crate::plan::Fault::Node(_) => continue,
                };
                assert!(!devices.is_empty(), "{}: fault {}", entry.name, fault.id);
            }
        }
    }
}
