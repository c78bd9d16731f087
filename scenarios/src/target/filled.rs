//! Placeholders of target files: `{port}`, `{data}`, `{NAME}`. Braces around anything else are just braces, so that
//! configuration files with blocks of their own can stand as they are.

use std::collections::{BTreeMap, BTreeSet};

/// What placeholders stand for in one run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places {
    /// Name → text.
    pub named: BTreeMap<String, String>,
}

/// Nothing stands for this placeholder.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("nothing is known that `{{{name}}}` stands for")]
pub struct Unfilled {
    /// Its name.
    pub name: String,
}

/// Values may hold placeholders themselves, this deep.
const DEPTH_MAX: usize = 4;

/// Puts everything in its place. What a value stands for is looked through again.
pub fn fill(text: &str, places: &Places) -> Result<String, Unfilled> {
    filled(text, places, DEPTH_MAX)
}

fn filled(text: &str, places: &Places, depth: usize) -> Result<String, Unfilled> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, name, after)) = next(rest) {
        out += before;
        let value = places.named.get(name).filter(|_| depth > 0);
        let value = value.ok_or_else(|| Unfilled { name: name.to_owned() })?;
        out += &filled(value, places, depth - 1)?;
        rest = after;
    }
    Ok(out + rest)
}

/// Every `{port…}` that texts ask for.
pub fn port_names<'a>(texts: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
    let ports = texts.into_iter().flat_map(names).filter(|name| is_port(name));
    ports.map(str::to_owned).collect()
}

/// Whether a name asks for a free port.
pub(super) fn is_port(name: &str) -> bool {
    name == "port" || name.starts_with("port_")
}

/// Every placeholder in a text.
pub(super) fn names(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((_, name, after)) = next(rest) {
        found.push(name);
        rest = after;
    }
    found
}

/// The first placeholder: what stands before it, its name, what stands after it.
fn next(text: &str) -> Option<(&str, &str, &str)> {
    let mut from = 0;
    loop {
        let open = from + text.get(from..)?.find('{')?;
        let name = &text[open + 1..];
        let end = name.find(|c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'));
        match end {
            Some(end) if end > 0 && name[end..].starts_with('}') => {
                return Some((&text[..open], &name[..end], &name[end + 1..]));
            }
            _ => from = open + 1,
        }
    }
}
