//! What every frame is held against: as much of the active rules as it takes to say that none of them is about this frame.
//! Gathered when a fault begins or ends. What a rule does to a frame that it is about is in [`super::rules`].

use avouch_scenarios::keyed::{Draws, hits};
use avouch_scenarios::plan::LinkFault;

use super::ordinals::Frame;

/// The active rules that decide about single frames: up, down, by class.
#[derive(Debug, Default)]
pub(super) struct Deciding([[Vec<(usize, Decider)>; 3]; 2]);

/// What one of them is about, on a way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Decider {
    /// Which frames its share includes.
    decisions: Draws,
    /// It is about one kind of frames, and counts those.
    pub(super) names_kind: bool,
    probability_ppm: u32,
}

impl Deciding {
    pub(super) fn forget(&mut self) {
        self.0.iter_mut().flatten().for_each(Vec::clear);
    }

    /// A rule, which concerns these frames: up, down, by class.
    pub(super) fn add(&mut self, rule: usize, concerns: [[bool; 3]; 2], deciders: &[Decider; 2]) {
        for ((by_class, concerns), decider) in self.0.iter_mut().zip(concerns).zip(deciders) {
            let concerned = by_class.iter_mut().zip(concerns).filter(|(_, is_concerned)| *is_concerned);
            concerned.for_each(|(those, _)| those.push((rule, *decider)));
        }
    }

    /// Those that may be about a frame.
    pub(super) fn on(&self, frame: &Frame) -> &[(usize, Decider)] {
        &self.0[frame.way.index()][frame.class as usize]
    }
}

impl Decider {
    /// Of a fault, or of nothing that acts on this link.
    pub(super) fn of(link: Option<&LinkFault>, decisions: Draws) -> Self {
        let names_kind = link.is_some_and(|link| link.kind.is_some());
        Self { decisions, names_kind, probability_ppm: link.map_or(0, |link| link.probability_ppm) }
    }

    /// Whether its share includes a frame, if it is about such frames.
    pub(super) fn hits(&self, frame: &Frame) -> bool {
        hits(self.decisions.draw(frame.place(self.names_kind)), self.probability_ppm)
    }
}
