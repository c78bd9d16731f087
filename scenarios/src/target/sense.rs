//! What a target file says beyond its shape: does it make sense?

use std::collections::BTreeSet;

use super::filled::{is_port, names};
use super::{Claim, Client, Disclaimer, Program, Start, Target};
use crate::diagnostic::Findings;
use crate::names::nearest_hint;
use crate::places::Part::{Item, Key};
use crate::places::{Part, Places};

/// Placeholders that the tool fills itself, beside ports.
const OWN_NAMES: [&str; 3] = ["data", "files", "here"];

pub(super) fn check(target: &Target, places: &Places<'_, '_>, findings: &mut Findings<'_>) {
    let mut sense = Sense { target, places, findings };
    if let Some(Start::Program(program)) = &target.start {
        sense.program(program);
    }
    if let Some(client) = &target.client {
        sense.client(client);
    }
    sense.promises(&[], &target.claim, &target.disclaimer);
    for (index, mode) in target.mode.iter().enumerate() {
        let around = [Key("mode"), Item(index)];
        sense.mode_name(index, &mode.name);
        sense.promises(&around, &mode.claim, &mode.disclaimer);
    }
}

struct Sense<'s, 'p, 'd, 'i, 'f> {
    target: &'s Target,
    places: &'p Places<'d, 'i>,
    findings: &'p mut Findings<'f>,
}

impl Sense<'_, '_, '_, '_, '_> {
    fn program(&mut self, program: &Program) {
        if program.command.is_empty() {
            let place = self.places.of(&[Key("start"), Key("command")]);
            self.findings.add(place, "no program is named", "write command = [\"program\", \"argument\"]");
        }
        let valued = program.values.keys().chain(self.target.mode.iter().flat_map(|mode| mode.values.keys()));
        let known: BTreeSet<&str> = valued.map(String::as_str).chain(OWN_NAMES).collect();
        let command = program.command.iter().enumerate();
        let command = command.map(|(index, text)| (vec![Key("start"), Key("command"), Item(index)], text));
        let tables =
            [("files", &program.files), ("environment", &program.environment), ("values", &program.values)];
        let tabled = tables.into_iter().flat_map(|(table, texts)| {
            texts.iter().map(move |(key, text)| (vec![Key("start"), Key(table), Key(key.as_str())], text))
        });
        let moded = self.target.mode.iter().enumerate().flat_map(|(index, mode)| {
            let path = move |key| vec![Key("mode"), Item(index), Key("values"), Key(key)];
            mode.values.iter().map(move |(key, text)| (path(key.as_str()), text))
        });
        let texts: Vec<(Vec<Part<'_>>, &String)> = command.chain(tabled).chain(moded).collect();
        for (path, text) in &texts {
            for name in names(text).into_iter().filter(|name| !is_port(name) && !known.contains(name)) {
                let all = "there is {port}, {data}, {files}, {here} and what [start.values] names";
                let hint = nearest_hint(name, known.iter().copied(), all);
                self.findings.add(self.places.of(path), format!("nothing stands for `{{{name}}}`"), hint);
            }
        }
        if !texts.iter().any(|(_, text)| names(text).contains(&"port")) {
            let hint = "write {port} where the command or a file says where to listen";
            let place = self.places.of(&[Key("start"), Key("command")]);
            self.findings.add(place, "nothing tells the server its port", hint);
        }
    }

    fn client(&mut self, client: &Client) {
        if client.command.is_empty() {
            let place = self.places.of(&[Key("client"), Key("command")]);
            self.findings.add(place, "no program is named", "write command = [\"program\", \"argument\"]");
        }
        let of_start = match &self.target.start {
            Some(Start::Program(program)) => Some(program.values.keys()),
            _ => None,
        };
        let moded = self.target.mode.iter().flat_map(|mode| mode.values.keys());
        let valued = of_start.into_iter().flatten().chain(moded);
        let known: BTreeSet<&str> = valued.map(String::as_str).chain(["here"]).collect();
        let command = client.command.iter().enumerate();
        let command = command.map(|(index, text)| (vec![Key("client"), Key("command"), Item(index)], text));
        let environment = client.environment.iter();
        let environment =
            environment.map(|(key, text)| (vec![Key("client"), Key("environment"), Key(key.as_str())], text));
        for (path, text) in command.chain(environment) {
            for name in names(text).into_iter().filter(|name| !known.contains(name)) {
                let all =
                    "there is {here} and what [start.values] names; where to connect to stands in `init`";
                let hint = nearest_hint(name, known.iter().copied(), all);
                self.findings.add(self.places.of(&path), format!("nothing stands for `{{{name}}}`"), hint);
            }
        }
    }

    fn mode_name(&mut self, index: usize, name: &str) {
        let place = self.places.of(&[Key("mode"), Item(index), Key("name")]);
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
        if name.is_empty() || !name.chars().all(is_plain) {
            let hint = "write lowercase letters, digits, `-` and `.`, as in \"durable-qos1\"";
            self.findings.add(place, "this is no name for a mode", hint);
        } else if self.target.mode[..index].iter().any(|earlier| earlier.name == name) {
            self.findings.add(place, format!("there are two modes `{name}`"), "give one another name");
        }
    }

    fn promises(&mut self, around: &[Part<'_>], claims: &[Claim], disclaimers: &[Disclaimer]) {
        for (index, claim) in claims.iter().enumerate() {
            if claim.source.trim().is_empty() {
                let place = self.place(around, "claim", index, "source");
                self.findings.add(place, "a claim without a source", "say where it is promised");
            }
            if claims[..index].iter().any(|earlier| earlier.guarantee == claim.guarantee) {
                let place = self.place(around, "claim", index, "guarantee");
                let words = format!("`{}` is claimed twice", claim.guarantee);
                self.findings.add(place, words, "keep one of the two");
            }
        }
        for (index, disclaimer) in disclaimers.iter().enumerate() {
            if disclaimer.source.trim().is_empty() {
                let place = self.place(around, "disclaimer", index, "source");
                self.findings.add(place, "a disclaimer without a source", "say where it is said");
            }
            let is_claimed =
                |claim: &&Claim| claim.guarantee == disclaimer.guarantee && claim.under.is_none();
            if claims.iter().any(|claim| is_claimed(&claim)) {
                let place = self.place(around, "disclaimer", index, "guarantee");
                let words = format!("`{}` is claimed and disclaimed", disclaimer.guarantee);
                self.findings.add(
                    place,
                    words,
                    "keep one of the two, or say `under` which faults it is claimed",
                );
            }
        }
    }

    fn place(&self, around: &[Part<'_>], list: &str, index: usize, key: &str) -> std::ops::Range<usize> {
        let inner = [Key(list), Item(index), Key(key)];
        let path: Vec<Part<'_>> = around.iter().copied().chain(inner).collect();
        self.places.of(&path)
    }
}
