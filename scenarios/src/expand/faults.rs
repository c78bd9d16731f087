//! When which fault happens to whom.

use std::collections::BTreeMap;

use super::{Choices, FAULTS_MAX, PlanError};
use crate::fault::{FaultEntry, How, Partition, Way};
use crate::keyed::{Purpose, below, draw};
use crate::plan::{
    CLIENTS_BIT, ClientFault, ClientVerb, CutHow, Direction, Fault, FrameTrigger, LEADER, LinkFault,
    LinkVerb, NodeFault, NodeVerb, PlannedFault, When,
};
use crate::units::Parties;
use crate::verbs::Verb;

/// All faults, by rising id: in the order of the file, each with its occurrences by rising time.
pub(super) fn faults(choices: &Choices<'_>) -> Result<Vec<PlannedFault>, PlanError> {
    let mut faults = Vec::new();
    let mut ordinals: BTreeMap<&'static str, u64> = BTreeMap::new();
    for entry in &choices.scenario.fault {
        let Some((name, verb)) = entry.verbs().into_iter().next() else { continue };
        // Its key counts only its own kind: another fault elsewhere in the file leaves it.
        let ordinal = ordinals.entry(name).or_default();
        let source = key(name, *ordinal, 0);
        for (occurrence, when) in times(choices, entry, verb, source).into_iter().enumerate() {
            if faults.len() == FAULTS_MAX {
                return Err(PlanError::TooManyFaults);
            }
            faults.push(PlannedFault {
                id: faults.len() as u32,
                key: key(name, *ordinal, occurrence as u64),
                when,
                for_ns: entry.lasts.map(|time| time.0),
                fault: fault(choices, verb, source),
            });
        }
        *ordinal += 1;
    }
    Ok(faults)
}

/// A fault that is moved to the end of the workload begins so long before it.
const LAST_START_NS: u64 = 50_000_000;

/// Names a fault for its draws. Not drawn from the seed: [`crate::keyed::decisions`] takes both.
fn key(name: &str, ordinal: u64, occurrence: u64) -> u64 {
    // Selections elsewhere use small numbers and those above half the range (see `traffic`): the hash keeps clear of
    // them as of everything else.
    draw(0, Purpose::named(name), &[ordinal, occurrence])
}

fn times(choices: &Choices<'_>, entry: &FaultEntry, verb: Verb<'_>, source: u64) -> Vec<When> {
    const JITTER: Purpose = Purpose::named("fault-jitter");
    if verb.frame_starts() {
        return vec![When::OnFrame(trigger(choices, verb, source))];
    }
    let Some(every) = entry.every.map(|every| every.0).filter(|every| *every > 0) else {
        return vec![When::At { ns: entry.at.map_or(0, |at| at.0) }];
    };
    let end = choices.scenario.workload.duration.0;
    let first = entry.at.map_or(every, |at| at.0);
    let busy = entry.lasts.map_or(0, |lasts| lasts.0) + verb.takes_ns();
    // Two neighbours may move towards each other, and still must not overlap.
    let reach = (every / 4).min(every.saturating_sub(busy) / 2);
    let count = end.saturating_sub(first).div_ceil(every).min(FAULTS_MAX as u64 + 1);
    let time = |occurrence: u64| {
        let moved = below(draw(choices.seed, JITTER, &[source, occurrence]), 2 * reach + 1);
        let ns = (first + occurrence * every + moved).saturating_sub(reach);
        // A fault of the very last moment would race with the heal that undoes it, and often lose. No further than `reach`,
        // so that it does not come near its neighbour.
        When::At { ns: ns.min(end.saturating_sub(reach.clamp(1, LAST_START_NS))) }
    };
    (0..count).map(time).collect()
}

fn trigger(choices: &Choices<'_>, verb: Verb<'_>, source: u64) -> FrameTrigger {
    let frames = verb.frames();
    let link = verb.parties().map_or_else(Parties::clients, |(_, parties)| parties.clone());
    FrameTrigger {
        devices: choices.select(source, &link),
        kind: frames.kind().unwrap_or_default().to_owned(),
        nth: frames.nth.unwrap_or(1),
        edge: frames.edge(),
    }
}

fn fault(choices: &Choices<'_>, verb: Verb<'_>, source: u64) -> Fault {
    if let Some(verb) = node_verb(verb) {
        return Fault::Node(NodeFault { node: node(choices, verb.0), verb: verb.1 });
    }
    if let Some((parties, verb)) = client_verb(verb) {
        return Fault::Client(ClientFault { devices: choices.select(source, parties), verb });
    }
    if let Verb::Partition(partition) = verb
        && partition.nodes.is_some()
        && choices.scenario.cluster.nodes > 1
    {
        return isolate(partition, choices.scenario.cluster.nodes);
    }
    let frames = verb.frames();
    let link = verb.parties().map_or_else(Parties::clients, |(_, parties)| parties.clone());
    let direction = match frames.direction {
        Way::Up => Direction::Up,
        Way::Down => Direction::Down,
        Way::Both => Direction::Both,
    };
    Fault::Link(LinkFault {
        devices: choices.select(source, &link),
        direction,
        // A hold that starts at a frame holds every frame from then on.
        kind: frames
            .kind()
            .filter(|_| !matches!(verb, Verb::Stall(_) | Verb::HalfOpen(_)))
            .map(str::to_owned),
        probability_ppm: frames.probability.map_or(1_000_000, |share| share.ppm),
        verb: link_verb(verb),
    })
}

/// A node's number; the leader of one node is that node.
fn node(choices: &Choices<'_>, node: u32) -> u32 {
    if choices.scenario.cluster.nodes == 1 && node == LEADER { 0 } else { node }
}

fn node_verb(verb: Verb<'_>) -> Option<(u32, NodeVerb)> {
    let planned = match verb {
        Verb::Kill(it) => NodeVerb::Kill { restart_after_ns: it.restart_after.0 },
        Verb::Restart(it) => NodeVerb::Restart { restart_after_ns: it.restart_after.0 },
        Verb::PowerLoss(it) => NodeVerb::PowerLoss { restart_after_ns: it.restart_after.0 },
        Verb::Pause(_) => NodeVerb::Pause,
        Verb::FailSync(_) => NodeVerb::FailSync,
        Verb::DiskFull(_) => NodeVerb::DiskFull,
        Verb::SlowSync(it) => NodeVerb::SlowSync { delay_ns: it.by.0 },
        Verb::ClockSkew(it) => NodeVerb::ClockSkew { by_ms: it.by.0 / 1_000_000 },
        _ => return None,
    };
    verb.node().map(|node| (node, planned))
}

fn client_verb(verb: Verb<'_>) -> Option<(&Parties, ClientVerb)> {
    let planned = match verb {
        Verb::Offline(_) => ClientVerb::Offline,
        Verb::Takeover(_) => ClientVerb::Takeover,
        Verb::ReconnectStorm(_) => ClientVerb::ReconnectStorm,
        Verb::SlowConsumer(it) => ClientVerb::SlowConsumer { consume_ns: it.consume.0 },
        _ => return None,
    };
    verb.parties().map(|(_, parties)| (parties, planned))
}

fn link_verb(verb: Verb<'_>) -> LinkVerb {
    match verb {
        Verb::Delay(it) => LinkVerb::Delay { delay: it.by.0 },
        Verb::Rate(it) => LinkVerb::Rate { bytes_per_s: it.limit.0 },
        Verb::Stall(_) => LinkVerb::Stall,
        Verb::HalfOpen(_) => LinkVerb::HalfOpen,
        Verb::Cut(it) => LinkVerb::Cut {
            how: match it.how {
                How::Fin => CutHow::Fin,
                How::Rst => CutHow::Rst,
            },
            at_byte: it.at_byte,
            edge: verb.frames().edge(),
        },
        Verb::Slice(it) => LinkVerb::Slice { bytes: it.bytes },
        Verb::Drop(_) => LinkVerb::Drop,
        Verb::Duplicate(it) => LinkVerb::Duplicate { copies: it.copies },
        Verb::Reorder(it) => LinkVerb::Reorder { window: it.window, hold_ns_max: it.hold.0 },
        Verb::Corrupt(_) => LinkVerb::Corrupt,
        // A partition of links; verbs of nodes and clients were taken out before.
        _ => LinkVerb::Partition,
    }
}

fn isolate(partition: &Partition, nodes: u32) -> Fault {
    // At most 63 nodes by the schema, so that a set of them fits beside the clients' bit. Whoever leads when the
    // fault begins cannot be known here: the world puts the leader in place of an empty side.
    let bits = |names: &[crate::units::NodeName]| {
        names.iter().filter(|name| name.0 != LEADER).fold(0_u64, |bits, name| bits | 1 << name.0.min(62))
    };
    let side = partition.nodes.clone().unwrap_or_default();
    let near = bits(&side.nodes);
    let other = partition.from.clone();
    let rest = other.as_ref().is_none_or(|other| other.rest);
    let named = other.unwrap_or_default();
    let mut far = bits(&named.nodes);
    if rest {
        far |= !near & ((1 << nodes.min(63)) - 1);
    }
    if rest || named.clients {
        far |= CLIENTS_BIT;
    }
    let node = side.nodes.first().map_or(LEADER, |name| name.0);
    Fault::Node(NodeFault {
        node,
        verb: NodeVerb::Isolate { nodes: near, from: far, one_way: partition.one_way },
    })
}
