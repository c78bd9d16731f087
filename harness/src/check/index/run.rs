//! What the whole run was like: phases, faults and their evidence, deaths of nodes, the drain.
//!
//! From it follows whether a clean verdict means anything: a run in which nothing succeeded, a planned fault
//! never took effect or the drain did not converge proves nothing.

use std::collections::BTreeMap;

use avouch_reports::history::{Event, Phase, What};

use super::super::Options;

/// One fault as the history tells it.
#[derive(Clone, Debug, Default)]
pub(crate) struct FaultState {
    pub(crate) kind: String,
    target: String,
    started: bool,
    ended: bool,
    evident: bool,
    skipped: bool,
}

/// How a node died.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Death {
    /// The process is gone; what it wrote is not.
    Process,
    /// Unsynced writes may be gone, too.
    Power,
}

/// Memory: one entry per fault and per death.
#[derive(Clone, Debug, Default)]
pub(crate) struct Run {
    pub(crate) sends: u64,
    pub(crate) accepted: u64,
    /// Of these, at a rung that promises anything.
    pub(crate) promised: u64,
    /// Of these, at a rung that promises to survive the death of a process.
    pub(crate) durable: u64,
    /// Answers of the server: refusals, and acks of more than that a message was written.
    pub(crate) replies: u64,
    pub(crate) receptions: u64,
    /// Operations without an outcome.
    pub(crate) outstanding: u64,
    /// Operations given up.
    pub(crate) given_up: u64,
    pub(crate) last_ack_at_ns: u64,
    /// Some event named a position.
    pub(crate) positions: bool,
    /// Some device acknowledged something.
    pub(crate) acknowledgements: bool,
    /// Deaths, and whether they put acks to the test: something was in flight or just acknowledged at that moment, and some ack had
    /// promised to survive one.
    pub(crate) deaths: Vec<(u64, Death, bool)>,
    /// When a node last changed its state.
    pub(crate) last_node_ns: Option<u64>,
    /// When a fault last began, fired or ended.
    last_fault_ns: Option<u64>,
    pub(crate) phase: Option<Phase>,
    /// When the heal began.
    pub(crate) heal_at_ns: Option<u64>,
    /// End of the drain: when, converged, what is missing.
    pub(crate) drained: Option<(u64, bool, String)>,
    /// Some device said that it was drained.
    pub(crate) quiet: bool,
    pub(crate) end_ns: u64,
    faults: BTreeMap<u32, FaultState>,
    down: BTreeMap<String, bool>,
}

/// A message acknowledged this shortly before a death counts as load at the death. One second.
const JUST_NS: u64 = 1_000_000_000;

impl Run {
    pub(crate) fn apply(&mut self, event: &Event) {
        let at_ns = event.at_ns;
        self.end_ns = at_ns;
        if let What::FaultStarted { .. } | What::FaultFired { .. } | What::FaultEnded { .. } = event.what {
            self.last_fault_ns = Some(at_ns);
        }
        match &event.what {
            What::Phase { phase } => {
                self.phase = Some(*phase);
                if *phase == Phase::Heal {
                    self.heal_at_ns = Some(at_ns);
                }
            }
            What::FaultStarted { id, kind, target } => {
                let fault = self.faults.entry(*id).or_default();
                (fault.kind, fault.target, fault.started) = (kind.clone(), target.clone(), true);
            }
            What::FaultFired { id, kind, .. } => {
                let fault = self.faults.entry(*id).or_default();
                if !fault.evident {
                    fault.evident = true;
                    fault.kind.clone_from(kind);
                }
            }
            What::FaultEnded { id, evidence } => {
                let fault = self.faults.entry(*id).or_default();
                fault.ended = true;
                fault.evident |= !evidence.is_empty();
            }
            What::FaultSkipped { id, kind, .. } => {
                let fault = self.faults.entry(*id).or_default();
                (fault.kind, fault.skipped) = (kind.clone(), true);
            }
            What::Node { node, state } => self.node(at_ns, node, state),
            What::Quiet { .. } => self.quiet = true,
            What::Drained { converged, missing } => self.drained = Some((at_ns, *converged, missing.clone())),
            _ => {}
        }
    }

    fn node(&mut self, at_ns: u64, node: &str, state: &str) {
        self.last_node_ns = Some(at_ns);
        let loaded = self.outstanding > 0 || (self.accepted > 0 && at_ns - self.last_ack_at_ns < JUST_NS);
        let tests_acks = loaded && self.durable > 0;
        match state {
            "killed" | "died" => self.deaths.push((at_ns, Death::Process, tests_acks)),
            "power lost" => self.deaths.push((at_ns, Death::Power, tests_acks)),
            _ => {}
        }
        let down = !matches!(state, "started" | "ready" | "resumed");
        self.down.insert(node.to_owned(), down);
        if down {
            for fault in self.faults.values_mut().filter(|f| f.started && !f.ended && f.target == node) {
                fault.evident = true;
            }
        }
    }

    /// Whether any fault was active or happened since a time.
    pub(crate) fn disturbed_since(&self, since_ns: u64) -> bool {
        self.last_fault_ns.is_some_and(|at_ns| at_ns >= since_ns)
            || self.faults.values().any(|f| f.started && !f.ended)
    }

    /// Whether anything since a time can have kept an answer from a device: a fault, or a node that went or came.
    pub(crate) fn shaken_since(&self, since_ns: u64) -> bool {
        self.disturbed_since(since_ns) || self.last_node_ns.is_some_and(|at_ns| at_ns >= since_ns)
    }

    pub(crate) fn last_death_ns(&self) -> Option<u64> {
        self.deaths.last().map(|&(at_ns, ..)| at_ns)
    }

    /// Whether the history says that every fault is over and every node is up.
    pub(crate) fn healed(&self) -> bool {
        let over = self.phase >= Some(Phase::Drain) || self.faults.values().all(|f| f.ended || f.skipped);
        over && self.down.values().all(|down| !down)
    }

    /// Planned faults that never began, or of which nothing shows that they took effect.
    pub(crate) fn unfired(&self, options: &Options) -> Vec<u32> {
        let shown = |id: &u32| self.faults.get(id).is_some_and(|fault| fault.evident || fault.skipped);
        options.planned_faults.iter().filter(|id| !shown(id)).copied().collect()
    }

    /// Why a clean result of this run proves nothing; empty = it does prove something.
    pub(crate) fn invalid(&self, options: &Options) -> Vec<String> {
        let mut reasons = Vec::new();
        if self.accepted == 0 {
            reasons.push("no operation succeeded".to_owned());
        }
        match &self.drained {
            None => reasons.push("the history has no end of drain".to_owned()),
            Some((_, false, missing)) => reasons.push(format!("the drain did not converge: {missing}")),
            Some(_) => {}
        }
        let absent = options.planned_faults.iter().filter(|id| !self.faults.contains_key(id));
        reasons.extend(absent.map(|id| format!("planned fault {id} never began")));
        let idle = self.faults.iter().filter(|(_, f)| !f.evident && !f.skipped);
        reasons.extend(idle.map(|(id, f)| format!("nothing shows that fault {id} ({}) took effect", f.kind)));
        reasons
    }
}
