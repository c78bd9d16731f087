//! From a schedule that shows something to the least schedule that still shows it: fewest faults, messages and clients,
//! then shorter times, earlier frames and simpler verbs.
//!
//! Own list reduction (delta debugging, Zeller and Hildebrandt 2002) over the structured [`Scenario`], followed by a
//! simplification of every field; not proptest's strategies. A strategy shrinks what it generated, by replaying its own
//! choices: it cannot take a scenario that a person wrote or that was edited, it removes list elements one at a time, and it
//! does not know that a user who leaves takes their devices, steps and faults along, that three frames of a kind
//! are said more simply than a share of them, or that a kill "before the ack" repeats in another world where a kill at
//! 1,204 ms does not.
//!
//! Nothing here runs a scenario: whether a candidate still shows it is the caller's answer.

mod candidates;
mod ddmin;
mod edit;
mod people;
mod resolve;
#[cfg(test)]
mod tests;

use crate::Scenario;
use crate::fault::FaultEntry;
use crate::scenario::Step;

pub use resolve::resolved;

/// What came of a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tried {
    /// It still shows the same.
    Same,
    /// It does not, or it shows something else.
    Other,
    /// Nobody wants to try more: time or runs are used up.
    Enough,
}

/// How large a scenario is, for people.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// Devices.
    pub clients: u64,
    /// Messages that its steps send.
    pub messages: u64,
    /// Faults.
    pub faults: u64,
}

/// The least scenario that was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Shrunk {
    /// It.
    pub scenario: Scenario,
    /// Candidates that were tried.
    pub tried: u64,
    /// Whether nothing simpler is known: shrinking came to its end by itself.
    pub is_complete: bool,
}

impl Size {
    /// Of a scenario.
    pub fn of(scenario: &Scenario) -> Self {
        let workload = &scenario.workload;
        let stepped = scenario.step.iter().filter_map(|step| Some((step, step.send.as_ref()?)));
        let stepped: u64 =
            stepped.map(|(step, send)| u64::from(send.count) * step.device.0.len() as u64).sum();
        Self {
            clients: u64::from(workload.users_total()) * u64::from(workload.devices),
            messages: stepped + workload.messages_expected() as u64,
            faults: scenario.fault.len() as u64,
        }
    }
}

/// Rounds over all passes, at most; each has to make the scenario smaller, so there are few.
const ROUNDS_MAX: u32 = 20;

/// Makes a scenario as small as it can while `same` says that it still shows the same. The scenario itself is not tried.
pub fn shrink(scenario: &Scenario, mut same: impl FnMut(&Scenario) -> Tried) -> Shrunk {
    let mut shrinking = Shrinking { best: scenario.clone(), tried: 0, is_over: false, same: &mut same };
    for _ in 0..ROUNDS_MAX {
        let before = shrinking.best.clone();
        shrinking.faults();
        shrinking.steps();
        shrinking.people();
        shrinking.fields();
        if shrinking.is_over || shrinking.best == before {
            break;
        }
    }
    let Shrinking { best, tried, is_over, .. } = shrinking;
    Shrunk { scenario: best, tried, is_complete: !is_over }
}

struct Shrinking<'a> {
    best: Scenario,
    tried: u64,
    is_over: bool,
    same: &'a mut dyn FnMut(&Scenario) -> Tried,
}

impl Shrinking<'_> {
    /// Tries a candidate and keeps it if it shows the same.
    fn keep(&mut self, candidate: Scenario) -> bool {
        if self.is_over || candidate == self.best {
            return false;
        }
        self.tried += 1;
        match (self.same)(&candidate) {
            Tried::Same => {
                self.best = candidate;
                true
            }
            Tried::Other => false,
            Tried::Enough => {
                self.is_over = true;
                false
            }
        }
    }

    fn faults(&mut self) {
        let all = self.best.fault.clone();
        ddmin::reduce(&all, |some: &[FaultEntry]| {
            let candidate = Scenario { fault: some.to_vec(), ..self.best.clone() };
            self.keep(candidate)
        });
    }

    fn steps(&mut self) {
        let all = self.best.step.clone();
        ddmin::reduce(&all, |some: &[Step]| {
            let sends = self.best.workload.rate.is_some() || some.iter().any(|step| step.send.is_some());
            sends && self.keep(Scenario { step: some.to_vec(), ..self.best.clone() })
        });
    }

    /// Users, devices, conversations and members, the last ones first: that leaves the others their numbers.
    fn people(&mut self) {
        let mut user = self.best.workload.users_total();
        while user > 0 {
            user -= 1;
            if let Some(candidate) = people::without_user(&self.best, user) {
                self.keep(candidate);
            }
        }
        let mut conversation = self.best.workload.conversations;
        while conversation > 0 {
            conversation -= 1;
            if let Some(candidate) = people::without_conversation(&self.best, conversation) {
                self.keep(candidate);
            }
        }
        for candidate in people::fewer_devices(&self.best) {
            self.keep(candidate);
        }
        let entries = self.best.conversation.len();
        for entry in 0..entries {
            let mut member = self.best.conversation[entry].members.len();
            while member > 0 {
                member -= 1;
                if let Some(candidate) = people::without_member(&self.best, entry, member) {
                    self.keep(candidate);
                }
            }
        }
    }

    /// Everything that is not the length of a list: each field is set to the simplest value that still shows it.
    fn fields(&mut self) {
        let count = |scenario: &Scenario| (scenario.fault.len(), scenario.step.len());
        let (faults, steps) = count(&self.best);
        for index in 0..faults {
            for simplify in candidates::FAULT {
                self.first_of(simplify(&self.best, index));
            }
        }
        for index in 0..steps {
            for simplify in candidates::STEP {
                self.first_of(simplify(&self.best, index));
            }
        }
        let mut field = 0;
        while let Some(candidates) = candidates::whole(&self.best, field) {
            self.first_of(candidates);
            field += 1;
        }
    }

    /// Candidates for one field, the simplest first: the first that shows the same is kept.
    fn first_of(&mut self, candidates: Vec<Scenario>) {
        let _ = candidates.into_iter().any(|candidate| self.keep(candidate));
    }
}
