//! The connections of a link. There are one or two at a time, and every frame looks its own up: so a list, no tree.

use super::lane::Connection;

/// By rising number.
#[derive(Debug, Default)]
pub(super) struct Connections(Vec<(u64, Connection)>);

impl Connections {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The one at a place, with its number.
    pub(super) fn at(&self, place: usize) -> (u64, &Connection) {
        let (number, connection) = &self.0[place];
        (*number, connection)
    }

    pub(super) fn get(&self, number: u64) -> Option<&Connection> {
        self.0.iter().rev().find(|(of, _)| *of == number).map(|(_, connection)| connection)
    }

    pub(super) fn get_mut(&mut self, number: u64) -> Option<&mut Connection> {
        self.0.iter_mut().rev().find(|(of, _)| *of == number).map(|(_, connection)| connection)
    }

    /// Adds one whose number is above all others.
    pub(super) fn push(&mut self, number: u64, connection: Connection) {
        debug_assert!(self.0.last().is_none_or(|(last, _)| *last < number), "numbers are given in order");
        self.0.push((number, connection));
    }

    pub(super) fn remove(&mut self, number: u64) {
        self.0.retain(|(of, _)| *of != number);
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, &Connection)> {
        self.0.iter().map(|(number, connection)| (*number, connection))
    }

    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut Connection> {
        self.0.iter_mut().map(|(_, connection)| connection)
    }
}
