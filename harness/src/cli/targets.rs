//! Which target a command is about: one that comes with the tool, a target file, the address of a server that runs, or a client
//! program.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use avouch_scenarios::SCENARIO_BYTES_MAX;
use avouch_scenarios::target::{Client, EXEC, Start, TARGETS, Target, parse_target};

use crate::adapter::exec;
use crate::adapter::protocol::{self, PROTOCOLS};
use crate::perform::read_bounded;
use crate::subject::{Place, REFERENCE, Subject};
use crate::world::process::program::Invocation;

/// A target that was found.
pub(super) struct Found {
    /// Its name in reports.
    pub(super) name: String,
    /// What its file says.
    pub(super) target: Target,
    /// Where it is, if that is not as its file says.
    place: Option<Place>,
    /// The client program, if it is not as its file says.
    client: Option<Invocation>,
    /// What our own server knows its clients by, where it runs already.
    secret: Option<Arc<str>>,
}

/// Where the secret of such a server is found: as it finds it itself.
const SECRET: &str = "AVOUCH_SERVER_SECRET";
const SECRET_FILE: &str = "AVOUCH_SERVER_SECRET_FILE";
/// Longest secret. Bytes.
const SECRET_BYTES_MAX: usize = 64 * 1024;

/// Finds a target by its name, the path of its file, the address of a running server, or a client program.
pub(super) fn find(argument: &str) -> Result<Found, String> {
    if let Some(command) = argument.strip_prefix(exec::NAME).and_then(|rest| rest.strip_prefix(':')) {
        return program(argument, command);
    }
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
    Ok(Found { name: entry.name.to_owned(), target, place: None, client: None, secret: None })
}

impl Found {
    /// The target in one of its modes; without a name, in its first.
    pub(super) fn in_mode(&self, mode: Option<&str>) -> Result<Subject, String> {
        let chosen = self.target.mode(mode).ok_or_else(|| {
            let names = self.target.mode_names().join(", ");
            format!("{} has no mode `{}`\nhint: it has {names}", self.name, mode.unwrap_or_default())
        })?;
        let mut subject = Subject::new(&self.name, &self.target, chosen, self.place.clone())?;
        if let Some(client) = &self.client {
            subject.client = Some(client.clone());
        }
        if self.secret.is_some() {
            subject.dialect = Arc::new(protocol::Reference { secret: self.secret.clone() });
        }
        Ok(subject)
    }

    /// The server runs already, at `HOST:PORT`, where the target does not say where it is.
    pub(super) fn served_at(mut self, server: Option<&str>) -> Result<Self, String> {
        let Some(server) = server else { return Ok(self) };
        if self.place.is_some() || self.target.start.is_some() || self.target.client.is_none() {
            let name = &self.name;
            return Err(format!(
                "{name} says itself where its server is\nhint: --server is for client programs, as in --target 'exec:python3 client.py'"
            ));
        }
        if !names_a_port(server) {
            return Err(format!("--server {server}: no port is named\nhint: write host:port"));
        }
        self.place = Some(Place::Running(server.to_owned()));
        Ok(self)
    }
}

/// Whatever speaks the protocol of `docs/exec.md`; it claims what it says.
fn program(argument: &str, command: &str) -> Result<Found, String> {
    let words = words(command).map_err(|why| format!("{argument}: {why}"))?;
    if words.is_empty() {
        return Err(format!(
            "{argument} names no program\nhint: write exec:PROGRAM, as in 'exec:python3 client.py'"
        ));
    }
    let mut target = parse_target(EXEC.name, EXEC.text).map_err(|refused| refused.to_string())?;
    target.client =
        Some(Client { command: Vec::new(), environment: BTreeMap::new(), options: BTreeMap::new() });
    let client = Some(Invocation { words, environment: Vec::new() });
    Ok(Found { name: argument.to_owned(), target, place: None, client, secret: None })
}

/// As a shell would cut a command into words: blanks between, quotes and backslashes keep them together. Nothing else is special.
fn words(command: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    let mut letters = command.chars();
    while let Some(letter) = letters.next() {
        match (letter, quote) {
            (_, Some(open)) if letter == open => quote = None,
            ('\'' | '"', None) => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            ('\\', None | Some('"')) => {
                let next = letters.next().ok_or("it ends with a backslash")?;
                word.get_or_insert_default().push(next);
            }
            (blank, None) if blank.is_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(letter),
        }
    }
    if let Some(open) = quote {
        return Err(format!("a quote {open} is not closed"));
    }
    words.extend(word);
    Ok(words)
}

fn names_a_port(address: &str) -> bool {
    let parts = address.rsplit_once(':');
    parts.is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0))
}

/// A file's target is called as the file.
fn file(path: &Path) -> Result<Found, String> {
    let shown = path.display().to_string();
    let text = read_bounded(path, SCENARIO_BYTES_MAX).map_err(|error| format!("{shown}: {error}"))?;
    let mut target = parse_target(&shown, &text).map_err(|refused| refused.to_string())?;
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let here = std::path::absolute(path).ok().and_then(|path| path.parent().map(Path::to_owned));
    if let (Some(client), Some(here)) = (&mut target.client, &here) {
        let texts = client.command.iter_mut().chain(client.environment.values_mut());
        texts.for_each(|text| *text = text.replace("{here}", &here.to_string_lossy()));
    }
    let place = match &target.start {
        Some(Start::Program(program)) => Some(Place::Program {
            program: Arc::new((**program).clone()),
            here: here.map(|here| here.to_string_lossy().into_owned()),
        }),
        _ => None,
    };
    Ok(Found { name, target, place, client: None, secret: None })
}

/// A server that runs claims what the documents of its protocol promise: the target that is called as the protocol.
fn running(argument: &str, scheme: &str, address: &str) -> Result<Found, String> {
    if !PROTOCOLS.iter().any(|protocol| protocol.name == scheme) {
        let known = PROTOCOLS.iter().map(|protocol| protocol.name).collect::<Vec<_>>().join(", ");
        return Err(format!("{argument}: there is no protocol `{scheme}`\nhint: there is {known}"));
    }
    if !names_a_port(address) {
        return Err(format!("{argument}: no port is named\nhint: write {scheme}://host:port"));
    }
    let is_ours = scheme == "avouch";
    let name = if is_ours { REFERENCE } else { scheme };
    let entry = TARGETS.iter().find(|entry| entry.name == name).ok_or_else(|| {
        format!("what a server of {scheme} promises is not known here\nhint: write a target file for it")
    })?;
    let target = parse_target(entry.name, entry.text).map_err(|refused| refused.to_string())?;
    let place = Some(Place::Running(address.to_owned()));
    let secret = if is_ours { Some(secret(argument)?) } else { None };
    Ok(Found { name: argument.to_owned(), target, place, client: None, secret })
}

/// What the server at that address was started with.
fn secret(argument: &str) -> Result<Arc<str>, String> {
    let told = |name| std::env::var(name).ok();
    let secret = match (told(SECRET), told(SECRET_FILE)) {
        (Some(secret), _) => secret,
        (None, Some(path)) => {
            let text = read_bounded(Path::new(&path), SECRET_BYTES_MAX);
            text.map_err(|error| format!("{SECRET_FILE}: {path}: {error}"))?
        }
        (None, None) => {
            return Err(format!(
                "{argument}: it lets in only who knows its secret\nhint: set {SECRET_FILE}=FILE or {SECRET}=TEXT to what it was started with"
            ));
        }
    };
    Ok(secret.trim_end_matches(['\r', '\n']).into())
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
            ("avouch://127.0.0.1:7700", "only who knows its secret"),
            ("nowhere.toml", "nowhere.toml"),
            ("exec:", "names no program"),
            ("exec:'a", "a quote ' is not closed"),
        ] {
            let words = find(argument).err().unwrap();
            assert!(words.contains(message), "{words}");
        }
    }

    #[test]
    fn a_command_is_cut_into_words_as_a_shell_would() {
        let check = |command: &str, expected: &[&str]| assert_eq!(words(command).unwrap(), expected);
        check(" python3  a.py ", &["python3", "a.py"]);
        check(r#"a 'b "c' "d 'e \" f" g\ h '' i'j'k"#, &["a", "b \"c", "d 'e \" f", "g h", "", "ijk"]);
        check("a {port} $HOME *", &["a", "{port}", "$HOME", "*"]);
    }

    #[test]
    fn a_client_program_may_be_told_where_its_server_is() {
        let found = || find("exec:cat -").unwrap();
        let subject = found().in_mode(None).unwrap();
        assert!(matches!(subject.place, Place::Elsewhere) && !subject.is_reference());
        assert_eq!(subject.client.unwrap().words, ["cat", "-"]);
        let subject = found().served_at(Some("localhost:1883")).unwrap().in_mode(None).unwrap();
        assert!(matches!(subject.place, Place::Running(address) if address == "localhost:1883"));
        let refused = |found: Found, server| found.served_at(Some(server)).err().unwrap();
        assert!(refused(found(), "localhost").contains("no port is named"));
        assert!(refused(find("reference").unwrap(), "localhost:1").contains("says itself"));
    }

    #[test]
    fn every_target_that_comes_with_the_tool_can_be_used_in_every_mode() {
        for entry in TARGETS {
            let found = find(entry.name).unwrap_or_else(|words| panic!("{words}"));
            for mode in found.target.mode_names() {
                let place = Some(Place::Running("127.0.0.1:1".to_owned()));
                let place = place.filter(|_| found.target.start.is_none());
                let (name, target) = (found.name.clone(), found.target.clone());
                let found = Found { place, name, target, client: None, secret: None };
                let subject = found.in_mode(Some(&mode));
                let subject = subject.unwrap_or_else(|words| panic!("{words}"));
                assert!(!subject.dialect.words().is_empty());
            }
            assert!(found.in_mode(Some("no-such-mode")).is_err());
        }
    }
}
