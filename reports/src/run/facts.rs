//! What a history says about the run as a whole: phases, counts, faults, drain, names. Streaming; memory grows with
//! devices, conversations, faults and operations in flight, never with the length of the history.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::history::{Event, Message, Names, Phase, What};

/// A phase in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PhaseSpan {
    /// Which.
    pub phase: Phase,
    /// When it began, since the run began.
    pub from_ns: u64,
    /// When the next one began, or the last event.
    pub to_ns: u64,
}

/// How much happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Counts {
    /// All events.
    pub events: u64,
    /// Devices.
    pub devices: u64,
    /// Conversations.
    pub conversations: u64,
    /// Invoked sends.
    pub sends: u64,
    /// Outcome `ok`.
    pub sends_accepted: u64,
    /// Outcome `fail`: definite refusals.
    pub sends_rejected: u64,
    /// Outcome `info`: nobody knows.
    pub sends_unknown: u64,
    /// Further attempts of the same sends.
    pub retries: u64,
    /// Messages that reached an application, per device.
    pub deliveries: u64,
    /// Of these, flagged as sent before.
    pub redeliveries: u64,
    /// Copies that the client recognised and kept from the application.
    pub duplicates_suppressed: u64,
    /// Receipts learnt.
    pub receipts: u64,
    /// Gaps noticed.
    pub gaps: u64,
    /// Pages of history received.
    pub pages: u64,
    /// Sessions established.
    pub sessions: u64,
    /// Connections that ended.
    pub disconnects: u64,
    /// Membership changes invoked.
    pub member_changes: u64,
}

/// A fault as the plan has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedFault {
    /// Its number in the plan.
    pub id: u32,
    /// The verb.
    pub kind: String,
    /// What it hits, in words.
    pub target: String,
}

/// What became of a fault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FaultRecord {
    /// Its number in the plan.
    pub id: u32,
    /// The verb.
    pub kind: String,
    /// What it hits, in words.
    pub target: String,
    /// What became of it.
    pub state: FaultState,
    /// When it began (its first beginning), since the run began.
    pub started_ns: Option<u64>,
    /// When it ended (its last end).
    pub ended_ns: Option<u64>,
    /// How many frames it decided on.
    pub frames: u64,
    /// Operations in flight when it began, and sent until it ended.
    pub operations: u64,
    /// What shows that it took effect, or why it was skipped.
    pub evidence: String,
}

/// What became of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FaultState {
    /// It was planned and did not come.
    NeverFired,
    /// It was begun and ended, and nothing shows that it took effect.
    NoEffectSeen,
    /// It took effect.
    Fired,
    /// This world cannot do it.
    Skipped,
}

/// How the drain ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Drain {
    /// Whether everybody caught up.
    pub converged: bool,
    /// What is missing, in words.
    pub missing: String,
}

impl FaultRecord {
    fn planned(fault: PlannedFault) -> Self {
        Self {
            id: fault.id,
            kind: fault.kind,
            target: fault.target,
            state: FaultState::NeverFired,
            started_ns: None,
            ended_ns: None,
            frames: 0,
            operations: 0,
            evidence: String::new(),
        }
    }

    /// Number and verb, and target where there is one.
    pub fn label(&self) -> String {
        let on = if self.target.is_empty() { "" } else { " on " };
        format!("fault {} ({}{on}{})", self.id, self.kind, self.target)
    }
}

/// Consumes events, one by one.
#[derive(Clone, Debug, Default)]
pub struct RunFacts {
    phases: Vec<PhaseSpan>,
    counts: Counts,
    faults: Vec<FaultRecord>,
    /// Numbers of the faults that are going on.
    active: Vec<u32>,
    drain: Option<Drain>,
    names: Names,
    last_ns: u64,
    in_flight: u64,
    /// Membership changes in flight: their outcomes are not those of sends.
    changes: BTreeSet<Message>,
}

impl RunFacts {
    /// Before the first event. Without a plan (a foreign history) the faults are those that the events name.
    pub fn new(planned: impl IntoIterator<Item = PlannedFault>) -> Self {
        Self { faults: planned.into_iter().map(FaultRecord::planned).collect(), ..Self::default() }
    }

    /// Takes the next event.
    pub fn observe(&mut self, event: &Event) {
        self.counts.events += 1;
        self.last_ns = event.at_ns;
        self.names.observe(event);
        self.count(&event.what);
        match &event.what {
            What::Phase { phase } => self.enter(*phase, event.at_ns),
            What::Drained { converged, missing } => {
                self.drain = Some(Drain { converged: *converged, missing: missing.clone() });
            }
            what => self.fault(what, event.at_ns),
        }
    }

    /// How much happened so far.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// The names so far.
    pub fn names(&self) -> &Names {
        &self.names
    }

    pub(super) fn into_parts(mut self) -> (Vec<PhaseSpan>, Counts, Vec<FaultRecord>, Option<Drain>, Names) {
        self.close_phase(self.last_ns);
        (self.phases, self.counts, self.faults, self.drain, self.names)
    }

    fn enter(&mut self, phase: Phase, at_ns: u64) {
        self.close_phase(at_ns);
        self.phases.push(PhaseSpan { phase, from_ns: at_ns, to_ns: at_ns });
    }

    fn close_phase(&mut self, at_ns: u64) {
        if let Some(open) = self.phases.last_mut() {
            open.to_ns = at_ns;
        }
    }

    fn count(&mut self, what: &What) {
        if let What::MembersChange { message, .. } = what {
            self.changes.insert(*message);
        }
        let outcome = matches!(what, What::Accepted { .. } | What::Rejected { .. } | What::Unknown { .. });
        if outcome && what.message().is_some_and(|message| self.changes.remove(&message)) {
            self.in_flight = self.in_flight.saturating_sub(1);
            return;
        }
        let counts = &mut self.counts;
        let counter = match what {
            What::Device { .. } => &mut counts.devices,
            What::Conversation { .. } => &mut counts.conversations,
            What::Send { .. } => &mut counts.sends,
            What::Retry { .. } => &mut counts.retries,
            What::Accepted { .. } => &mut counts.sends_accepted,
            What::Rejected { .. } => &mut counts.sends_rejected,
            What::Unknown { .. } => &mut counts.sends_unknown,
            What::Delivered { redelivered, .. } => {
                counts.redeliveries += u64::from(*redelivered);
                &mut counts.deliveries
            }
            What::Suppressed { .. } => &mut counts.duplicates_suppressed,
            What::Receipt { .. } => &mut counts.receipts,
            What::Gap { .. } => &mut counts.gaps,
            What::Page { .. } => &mut counts.pages,
            What::Session { .. } => &mut counts.sessions,
            What::Disconnected { .. } => &mut counts.disconnects,
            What::MembersChange { .. } => &mut counts.member_changes,
            _ => return,
        };
        *counter += 1;
        match what {
            What::Send { .. } | What::MembersChange { .. } => {
                self.in_flight += 1;
                for id in &self.active {
                    if let Some(fault) = self.faults.iter_mut().find(|fault| fault.id == *id) {
                        fault.operations += 1;
                    }
                }
            }
            What::Accepted { .. } | What::Rejected { .. } | What::Unknown { .. } => {
                self.in_flight = self.in_flight.saturating_sub(1);
            }
            _ => {}
        }
    }

    fn fault(&mut self, what: &What, at_ns: u64) {
        let in_flight = self.in_flight;
        match what {
            What::FaultStarted { id, kind, target } => {
                let fault = self.record(*id, kind);
                if fault.target.is_empty() {
                    fault.target.clone_from(target);
                }
                fault.begin(at_ns, in_flight);
                if !self.active.contains(id) {
                    self.active.push(*id);
                }
            }
            What::FaultFired { id, kind, .. } => {
                let active = self.active.contains(id);
                let fault = self.record(*id, kind);
                fault.frames += 1;
                fault.begin(at_ns, if active { 0 } else { in_flight });
                fault.state = FaultState::Fired;
            }
            What::FaultEnded { id, evidence } => {
                self.active.retain(|active| active != id);
                let fault = self.record(*id, "");
                fault.ended_ns = Some(at_ns);
                fault.end(evidence);
            }
            What::FaultSkipped { id, kind, why } => {
                let fault = self.record(*id, kind);
                fault.state = FaultState::Skipped;
                fault.evidence.clone_from(why);
            }
            _ => {}
        }
    }

    fn record(&mut self, id: u32, kind: &str) -> &mut FaultRecord {
        let known = self.faults.iter().position(|fault| fault.id == id);
        let index = known.unwrap_or_else(|| {
            let fault = PlannedFault { id, kind: kind.to_owned(), target: String::new() };
            self.faults.push(FaultRecord::planned(fault));
            self.faults.len() - 1
        });
        &mut self.faults[index]
    }
}

impl FaultRecord {
    fn begin(&mut self, at_ns: u64, in_flight: u64) {
        if self.started_ns.is_none() {
            self.started_ns = Some(at_ns);
        }
        self.operations += in_flight;
        // A momentary fault has no end; it counts once it happened.
        if self.state == FaultState::NeverFired {
            self.state = FaultState::Fired;
        }
    }

    fn end(&mut self, evidence: &str) {
        if !evidence.is_empty() {
            evidence.clone_into(&mut self.evidence);
        }
        // The heal phase undoes every planned fault, also one that never began.
        if self.state == FaultState::Fired && self.frames == 0 && self.evidence.is_empty() {
            self.state = FaultState::NoEffectSeen;
        }
    }
}
