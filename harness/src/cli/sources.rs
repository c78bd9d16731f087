//! Which scenarios a command is about: files, folders, or names of the catalog.
//!
//! The catalog is built into this program, so that it needs no files beside it. Files win: first what is there under the
//! path that was given, then the catalog of the checkout that the command is run in.

use std::fs;
use std::path::{Path, PathBuf};

use avouch_scenarios::catalog::{CATALOG, CatalogEntry};
use avouch_scenarios::{SCENARIO_BYTES_MAX, Scenario, nearest, parse_scenario};

use crate::perform;

/// Where a checkout has its catalog.
const CATALOG_FOLDER: &str = "scenarios/catalog";
/// Scenario files in one run at most.
const FILES_MAX: usize = 10_000;
/// How deep folders are searched.
const FOLDERS_DEEP_MAX: usize = 16;

/// A scenario that was read.
#[derive(Clone, Debug)]
pub(super) struct Loaded {
    /// Its name: the path below the catalog, or below wherever it was found, without the ending.
    pub(super) name: String,
    /// What names it on a command line: its path, or its name in the built-in catalog.
    pub(super) argument: String,
    /// What it says.
    pub(super) scenario: Scenario,
}

/// Where the scenarios come from that were not named by their paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// All were named by their paths.
    Paths,
    /// The checkout's catalog.
    Checkout,
    /// The catalog that is built in.
    BuiltIn,
}

impl Origin {
    /// In words, for somebody who should know; nothing where they said it themselves.
    pub(super) fn words(self) -> Option<&'static str> {
        match self {
            Self::Paths => None,
            Self::Checkout => Some("from the catalog in scenarios/catalog"),
            Self::BuiltIn => Some("from the built-in catalog"),
        }
    }
}

enum Source {
    File(PathBuf),
    BuiltIn(&'static CatalogEntry),
}

/// Reads what is meant by the arguments; without any, the whole catalog. Sorted; each once. All that is wrong with any
/// file is told at once.
pub(super) fn load(arguments: &[PathBuf]) -> Result<(Vec<Loaded>, Origin), String> {
    let has_files = Path::new(CATALOG_FOLDER).is_dir();
    let catalog = if has_files { Origin::Checkout } else { Origin::BuiltIn };
    let mut origin = Origin::Paths;
    let mut sources = Vec::new();
    if arguments.is_empty() {
        origin = catalog;
        match catalog {
            Origin::Checkout => files(Path::new(CATALOG_FOLDER), &mut sources)?,
            _ => sources.extend(CATALOG.iter().map(Source::BuiltIn)),
        }
    }
    for argument in arguments {
        if fs::metadata(argument).is_ok() {
            files(argument, &mut sources)?;
        } else {
            named(argument, catalog, &mut sources)?;
            origin = catalog;
        }
    }
    Ok((read(&sources)?, origin))
}

/// `1 scenario`, `45 scenarios`.
pub(super) fn counted(scenarios: usize) -> String {
    format!("{scenarios} {}", if scenarios == 1 { "scenario" } else { "scenarios" })
}

/// The names in the catalog that a command run here would use.
pub(super) fn catalog() -> Result<(Vec<Loaded>, Origin), String> {
    load(&[])
}

/// Scenario files at or below a path.
fn files(path: &Path, sources: &mut Vec<Source>) -> Result<(), String> {
    if !path.is_dir() {
        sources.push(Source::File(path.to_owned()));
        return Ok(());
    }
    let mut found = Vec::new();
    search(path, 0, &mut found)?;
    if found.is_empty() {
        return Err(format!(
            "no scenario file is in {}\nhint: scenario files end in .toml; `avouch list scenarios` shows those of the catalog",
            path.display()
        ));
    }
    sources.extend(found.into_iter().map(Source::File));
    Ok(())
}

fn search(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) -> Result<(), String> {
    let unreadable = |error| format!("cannot read {}: {error}", folder.display());
    if depth > FOLDERS_DEEP_MAX {
        return Err(format!("{} is more than {FOLDERS_DEEP_MAX} folders deep", folder.display()));
    }
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.is_dir() {
            search(&path, depth + 1, found)?;
        } else if path.extension().is_some_and(|ending| ending == "toml") {
            found.push(path);
        }
        if found.len() > FILES_MAX {
            return Err(format!("more than {FILES_MAX} scenario files; name fewer"));
        }
    }
    found.sort();
    Ok(())
}

/// What a name of the catalog stands for: a scenario, or a folder of them.
fn named(argument: &Path, catalog: Origin, sources: &mut Vec<Source>) -> Result<(), String> {
    let text = argument.to_string_lossy();
    let name = text.trim_end_matches('/').trim_end_matches(".toml");
    if catalog == Origin::Checkout {
        let below = Path::new(CATALOG_FOLDER).join(name);
        let file = Path::new(CATALOG_FOLDER).join(format!("{name}.toml"));
        let is_below = !argument.is_absolute() && !name.is_empty() && !name.contains("..");
        if is_below && (file.is_file() || below.is_dir()) {
            return files(if file.is_file() { &file } else { &below }, sources);
        }
    } else {
        let folder = format!("{name}/");
        let is_meant = |entry: &&CatalogEntry| entry.name == name || entry.name.starts_with(&folder);
        let before = sources.len();
        sources.extend(CATALOG.iter().filter(is_meant).map(Source::BuiltIn));
        if sources.len() > before {
            return Ok(());
        }
    }
    let hint = match near(name) {
        Some(near) => format!("did you mean `{near}`?"),
        None => {
            "`avouch list scenarios` shows the catalog; a file of your own is named by its path".to_owned()
        }
    };
    Err(format!("there is no scenario file, folder or name {}\nhint: {hint}", argument.display()))
}

/// The name in the catalog that was probably meant: by its whole name, its last part, or its folder.
fn near(name: &str) -> Option<&'static str> {
    let name = name.trim_start_matches("./").trim_start_matches(CATALOG_FOLDER).trim_start_matches('/');
    let last = |entry: &'static CatalogEntry| entry.name.rsplit('/').next().unwrap_or(entry.name);
    let folder = |entry: &'static CatalogEntry| entry.name.split('/').next().unwrap_or(entry.name);
    let by_last = |wanted: &str| CATALOG.iter().find(|entry| last(entry) == wanted).map(|entry| entry.name);
    nearest(name, CATALOG.iter().map(|entry| entry.name))
        .or_else(|| nearest(name, CATALOG.iter().map(last)).and_then(by_last))
        .or_else(|| nearest(name, CATALOG.iter().map(folder)))
}

fn read(sources: &[Source]) -> Result<Vec<Loaded>, String> {
    let mut wrong = Vec::new();
    let mut loaded: Vec<Loaded> = Vec::new();
    for source in sources {
        let (name, argument, text) = match source {
            Source::BuiltIn(entry) => {
                (entry.name.to_owned(), entry.name.to_owned(), Ok(entry.text.to_owned()))
            }
            Source::File(path) => {
                (name_of(path), path.display().to_string(), perform::read_bounded(path, SCENARIO_BYTES_MAX))
            }
        };
        let parsed = text
            .map_err(|error| format!("{argument}: {error}"))
            .and_then(|text| parse_scenario(&argument, &text).map_err(|refused| refused.to_string()));
        match parsed {
            Ok(scenario) => loaded.push(Loaded { name, argument, scenario }),
            Err(words) => wrong.push(words),
        }
    }
    if !wrong.is_empty() {
        return Err(wrong.join("\n\n"));
    }
    loaded.sort_by(|a, b| a.argument.cmp(&b.argument));
    loaded.dedup_by(|a, b| a.argument == b.argument);
    Ok(loaded)
}

/// Its path below the catalog, without the ending; for a file of somebody's own, its name.
fn name_of(path: &Path) -> String {
    let parts: Vec<String> = path.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    let last = parts.len().saturating_sub(1);
    let below = parts.iter().rposition(|part| part == "catalog").map_or(last, |at| at + 1);
    let name = parts[below.min(last)..].join("/");
    name.strip_suffix(".toml").unwrap_or(&name).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_again() {
        let check = |typed: &str, expected: Option<&str>| assert_eq!(near(typed), expected, "{typed}");
        check("crash/kil", Some("crash/kill"));
        check("kill", Some("crash/kill"));
        check("stedy", Some("smoke/steady"));
        check("ordring", Some("ordering"));
        check("scenarios/catalog/links/dropp", Some("links/drop"));
        check("nothing like it", None);
    }

    #[test]
    fn names_are_paths_below_the_catalog() {
        let check = |path: &str, expected: &str| assert_eq!(name_of(Path::new(path)), expected);
        check("scenarios/catalog/crash/kill.toml", "crash/kill");
        check("my/own.toml", "own");
        check("own", "own");
        check("catalog", "catalog");
    }
}
