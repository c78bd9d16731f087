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
    "crash/kill"
    "links/cut"
    "ordering/trade-feed"
    "smoke/steady"
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
}
