//! Where a part of a scenario stands in its file.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

/// One step into a document.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Part<'a> {
    /// A key of a table.
    Key(&'a str),
    /// An item of a list.
    Item(usize),
}

/// Finds places in a parsed document.
#[derive(Debug)]
pub(crate) struct Places<'d, 'i> {
    document: &'d DeTable<'i>,
}

impl<'d, 'i> Places<'d, 'i> {
    pub(crate) fn new(document: &'d DeTable<'i>) -> Self {
        Self { document }
    }

    /// Place of the key that stands last in a path; of the nearest part around it if it is not written.
    pub(crate) fn of_key(&self, path: &[Part<'_>]) -> Range<usize> {
        let Some((Part::Key(key), around)) = path.split_last() else { return self.of(path) };
        let Some(table) = self.table(around) else { return self.of(path) };
        table.get_key_value(*key).map_or_else(|| self.of(path), |(key, _)| key.span())
    }

    fn table(&self, path: &[Part<'_>]) -> Option<&'d DeTable<'i>> {
        let [Part::Key(key), rest @ ..] = path else { return Some(self.document) };
        let mut value = self.document.get(*key)?.get_ref();
        for step in rest {
            value = match *step {
                Part::Key(key) => value.as_table()?.get(key)?.get_ref(),
                Part::Item(index) => value.as_array()?.get(index)?.get_ref(),
            };
        }
        value.as_table()
    }

    /// Place of the value at a path; if it is not written, of the nearest part around it that is.
    pub(crate) fn of(&self, path: &[Part<'_>]) -> Range<usize> {
        let mut place = 0..0;
        let mut table = Some(self.document);
        let mut list = None;
        for step in path {
            let next = match *step {
                Part::Key(key) => table.and_then(|table| table.get(key)),
                Part::Item(index) => list.and_then(|list: &toml::de::DeArray<'_>| list.get(index)),
            };
            let Some(value) = next else { break };
            place = value.span();
            (table, list) = match value.get_ref() {
                DeValue::Table(inner) => (Some(inner), None),
                DeValue::Array(inner) => (None, Some(inner)),
                _ => (None, None),
            };
        }
        place
    }
}
