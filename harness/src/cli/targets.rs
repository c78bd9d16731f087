//! Which target a command is about: one that comes with the tool, a target file, or the address of a server that runs.

use std::path::Path;
use std::sync::Arc;

use avouch_scenarios::SCENARIO_BYTES_MAX;
use avouch_scenarios::target::{Start, TARGETS, Target, parse_target};

use crate::adapter::protocol::PROTOCOLS;
use crate::perform::read_bounded;
use crate::subject::{Place, Subject};

/// A target that was found.
pub(super) struct Found {
    /// Its name in reports.
    pub(super) name: String,
    /// What its file says.
    pub(super) target: Target,
    /// Where it is, if that is not as its file says.
    place: Option<Place>,
}

/// Finds a target by its name, the path of its file, or the address of a running server.
pub(super) fn find(argument: &str) -> Result<Found, String> {
    if let Some((scheme, address)) = argument.split_once("://") {
        return running(argument, scheme, address);
    }
    let path = Path::new(argument);
    if path.extension().is_some_and(|extension| extension == "toml") {
        return file(path);
    }
    let entry = TARGETS.iter().find(|entry| entry.name == argument).ok_or_else(|| {
        let known = TARGETS.iter().map(|target| target.name).collect::<Vec<_>>().join(", ");
        format!("there is no target `{argument}`\nhint: there is {known}; `avouch list targets` tells more")
    })?;
    let target = parse_target(entry.name, entry.text).map_err(|refused| refused.to_string())?;
    Ok(Found { name: entry.name.to_owned(), target, place: None })
}

impl Found {
    /// The target in one of its modes; without a name, in its first.
    pub(super) fn in_mode(&self, mode: Option<&str>) -> Result<Subject, String> {
        let chosen = self.target.mode(mode).ok_or_else(|| {
            let names = self.target.mode_names().join(", ");
            format!("{} has no mode `{}`\nhint: it has {names}", self.name, mode.unwrap_or_default())
        })?;
        Subject::new(&self.name, &self.target, chosen, self.place.clone())
    }
}

/// A file's target is called as the file.
fn file(path: &Path) -> Result<Found, String> {
    let shown = path.display().to_string();
    let text = read_bounded(path, SCENARIO_BYTES_MAX).map_err(|error| format!("{shown}: {error}"))?;
    let target = parse_target(&shown, &text).map_err(|refused| refused.to_string())?;
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let here = std::path::absolute(path).ok().and_then(|path| path.parent().map(Path::to_owned));
    let place = match &target.start {
        Some(Start::Program(program)) => Some(Place::Program {
            program: Arc::new((**program).clone()),
            here: here.map(|here| here.to_string_lossy().into_owned()),
        }),
        _ => None,
    };
    Ok(Found { name, target, place })
}

/// A server that runs claims what the documents of its protocol promise: the target that is called as the protocol.
fn running(argument: &str, scheme: &str, address: &str) -> Result<Found, String> {
    if !PROTOCOLS.iter().any(|protocol| protocol.name == scheme) {
        let known = PROTOCOLS.iter().map(|protocol| protocol.name).collect::<Vec<_>>().join(", ");
        return Err(format!("{argument}: there is no protocol `{scheme}`\nhint: there is {known}"));
    }
    let has_port = address
        .rsplit_once(':')
        .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0));
    if !has_port {
        return Err(format!("{argument}: no port is named\nhint: write {scheme}://host:port"));
    }
    let entry = TARGETS.iter().find(|entry| entry.name == scheme).ok_or_else(|| {
        format!("what a server of {scheme} promises is not known here\nhint: write a target file for it")
    })?;
    let target = parse_target(entry.name, entry.text).map_err(|refused| refused.to_string())?;
    Ok(Found { name: argument.to_owned(), target, place: Some(Place::Running(address.to_owned())) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_names_no_target_is_refused_with_a_hint() {
        for (argument, message) in [
            ("mosquito", "there is no target `mosquito`"),
            ("gopher://x:1", "there is no protocol `gopher`"),
            ("avouch://x", "no port is named"),
            ("avouch://:1883", "no port is named"),
            ("nowhere.toml", "nowhere.toml"),
        ] {
            let words = find(argument).err().unwrap();
            assert!(words.contains(message), "{words}");
        }
    }

    #[test]
    fn every_target_that_comes_with_the_tool_can_be_used_in_every_mode() {
        for entry in TARGETS {
            let found = find(entry.name).unwrap_or_else(|words| panic!("{words}"));
            for mode in found.target.mode_names() {
                let place = Some(Place::Running("127.0.0.1:1".to_owned()));
                let place = place.filter(|_| found.target.start.is_none());
                let found = Found { place, name: found.name.clone(), target: found.target.clone() };
                let subject = found.in_mode(Some(&mode));
                let subject = subject.unwrap_or_else(|words| panic!("{words}"));
                assert!(!subject.dialect.words().is_empty());
            }
            assert!(found.in_mode(Some("no-such-mode")).is_err());
        }
    }
}
