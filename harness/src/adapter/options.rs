//! Reading a protocol's options, as a mode of a target file has them; every refusal says what an option may be.

use avouch_scenarios::scenario::Setting;

use super::protocol::ProtocolOptions;

/// Options of one protocol: what was written, and what may be.
pub(super) struct Reader<'a> {
    written: &'a ProtocolOptions,
    known: &'static [(&'static str, &'static str)],
}

impl<'a> Reader<'a> {
    /// Refuses a name that there is not. `known`: names, with what each may be; `protocol`: as people call it.
    pub(super) fn new(
        protocol: &str,
        known: &'static [(&'static str, &'static str)],
        written: &'a ProtocolOptions,
    ) -> Result<Self, String> {
        if let Some(unknown) = written.keys().find(|key| !known.iter().any(|(name, _)| name == key)) {
            let names = known.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
            return Err(format!("there is no option `{unknown}` of {protocol}\nhint: there is {names}"));
        }
        Ok(Self { written, known })
    }

    /// The first of these that was written.
    pub(super) fn first_of(&self, names: &[&'static str]) -> Option<&'static str> {
        names.iter().copied().find(|name| self.written.contains_key(*name))
    }

    pub(super) fn text(&self, name: &str) -> Result<Option<String>, String> {
        match self.written.get(name) {
            None => Ok(None),
            Some(Setting::Text(text)) => Ok(Some(text.clone())),
            Some(_) => Err(self.wrong(name)),
        }
    }

    pub(super) fn count(&self, name: &str, min: i64, max: i64) -> Result<Option<i64>, String> {
        match self.written.get(name) {
            None => Ok(None),
            Some(Setting::Count(count)) if (min..=max).contains(count) => Ok(Some(*count)),
            Some(_) => Err(self.wrong(name)),
        }
    }

    /// User name and password: neither, a name alone, or both.
    pub(super) fn login(&self) -> Result<Option<(String, String)>, String> {
        match (self.text("user")?, self.text("password")?) {
            (Some(user), password) => Ok(Some((user, password.unwrap_or_default()))),
            (None, Some(_)) => Err("a password without a user\nhint: write user = \"…\" too".to_owned()),
            (None, None) => Ok(None),
        }
    }

    /// What is wrong with an option, in words.
    pub(super) fn wrong(&self, name: &str) -> String {
        let known = self.known.iter().find(|(option, _)| *option == name);
        let may_be = known.map_or("something else", |(_, may_be)| may_be);
        format!("option `{name}` is wrong\nhint: it may be {may_be}")
    }
}
