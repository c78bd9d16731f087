//! The toxics of one connection: a chain per direction.

use std::collections::VecDeque;

use avouch_scenarios::keyed::{Draws, Purpose};

use super::stage::Stage;
use super::{Event, Passed, Toxic};
use crate::link::{WAYS, Way};

/// Bytes that the toxics of one direction of one connection may hold before it is no longer read.
pub const TOXIC_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Pieces that they may hold before it is no longer read.
const TOXIC_PIECES_MAX: usize = 16_384;

/// What the decisions about toxics are drawn from.
const TOXIC: Purpose = Purpose::named("toxic");

/// The toxics of one connection. See the module's header.
#[derive(Debug, Default)]
pub struct Toxics {
    seed: u64,
    connection: u64,
    /// Up, down.
    chains: [Vec<Stage>; 2],
    /// What has passed: up, down.
    passed: [VecDeque<Passed>; 2],
    events: VecDeque<Event>,
}

impl Toxics {
    /// Those of a proxy, whose seed this is, on its n-th connection.
    pub fn new(seed: u64, connection: u64, toxics: &[Toxic], now_ns: u64) -> Self {
        let mut made = Self { seed, connection, ..Self::default() };
        for toxic in toxics {
            made.add(toxic, now_ns);
        }
        made
    }

    /// Adds one behind the others of its direction.
    pub fn add(&mut self, toxic: &Toxic, now_ns: u64) {
        let draws = Draws::of(self.seed, TOXIC, &[self.connection, hash(&toxic.name)]);
        let stage = Stage::new(toxic, draws, now_ns);
        self.events.push_back(Event::Decided { toxic: toxic.name.clone(), applies: stage.applies() });
        self.chains[toxic.way as usize].push(stage);
    }

    /// Changes one, which is known by its name.
    pub fn change(&mut self, toxic: &Toxic) {
        let stages = &mut self.chains[toxic.way as usize];
        let Some(stage) = stages.iter_mut().find(|stage| stage.name == toxic.name) else { return };
        let applied = stage.applies();
        stage.change(toxic);
        if stage.applies() != applied {
            self.events.push_back(Event::Decided { toxic: toxic.name.clone(), applies: stage.applies() });
        }
    }

    /// Takes one away: what it held back passes at once.
    pub fn remove(&mut self, name: &str, now_ns: u64) {
        for way in WAYS {
            let stages = &mut self.chains[way as usize];
            let Some(at) = stages.iter().position(|stage| stage.name == name) else { continue };
            let stage = stages.remove(at);
            for what in stage.dissolve() {
                if let Passed::Close | Passed::Reset = what {
                    let is_reset = what == Passed::Reset;
                    self.events.push_back(Event::Ended { toxic: name.to_owned(), is_reset });
                }
                self.enter(now_ns, way, at, what);
            }
        }
    }

    /// Something comes from where the way begins.
    pub fn receive(&mut self, now_ns: u64, way: Way, what: Passed) {
        self.enter(now_ns, way, 0, what);
    }

    /// What passes by now, until `None`.
    pub fn poll(&mut self, now_ns: u64) -> Option<(Way, Passed)> {
        WAYS.into_iter().find_map(|way| {
            if !self.chains[way as usize].is_empty() {
                self.advance(now_ns, way);
            }
            self.passed[way as usize].pop_front().map(|what| (way, what))
        })
    }

    /// What is to be told, until `None`.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When [`Toxics::poll`] is wanted next.
    pub fn next_timeout(&self) -> Option<u64> {
        self.chains.iter().flatten().filter_map(Stage::due_ns).min()
    }

    /// Whether more is to be taken from where the way begins.
    pub fn is_reading(&self, way: Way) -> bool {
        let stages = &self.chains[way as usize];
        stages.iter().map(|stage| stage.queued_bytes).sum::<usize>() < TOXIC_BYTES_MAX
            && stages.iter().map(Stage::queued).sum::<usize>() < TOXIC_PIECES_MAX
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.chains.iter().flatten().all(|stage| stage.queued() == 0)
    }

    fn enter(&mut self, at_ns: u64, way: Way, stage: usize, what: Passed) {
        match self.chains[way as usize].get_mut(stage) {
            Some(stage) => stage.receive(at_ns, what),
            None => self.passed[way as usize].push_back(what),
        }
    }

    /// Moves everything one way as far as it gets. What leaves one toxic enters the next when it was due, and not later, so
    /// that a late timer adds nothing.
    fn advance(&mut self, now_ns: u64, way: Way) {
        for at in 0..self.chains[way as usize].len() {
            while let Some((left_ns, what)) = self.chains[way as usize][at].pop(now_ns) {
                let stage = &self.chains[way as usize][at];
                if stage.has_ended {
                    let is_reset = what == Passed::Reset;
                    self.events.push_back(Event::Ended { toxic: stage.name.clone(), is_reset });
                }
                self.enter(left_ns, way, at + 1, what);
            }
        }
    }
}

/// A name as a part of a key: FNV-1a (Fowler, Noll and Vo), 64 bits. Not for tables.
pub(crate) fn hash(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
