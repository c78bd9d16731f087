//! Sense of one fault entry.

use super::Sense;
use crate::fault::{FaultEntry, Partition};
use crate::names::nearest_hint;
use crate::places::Part::{Item, Key};
use crate::plan::LEADER;
use crate::units::Time;
use crate::verbs::{FAULT_KINDS, Frames, Verb};

/// Longest name of a kind of frame.
const FRAME_KIND_CHARS_MAX: usize = 64;
/// Most occurrences of one repeated fault.
pub(crate) const OCCURRENCES_MAX: u64 = 10_000;

pub(super) fn check(sense: &mut Sense<'_, '_, '_, '_, '_, '_>, fault: &FaultEntry, index: usize) {
    let entry = [Key("fault"), Item(index)];
    let verbs = fault.verbs();
    let (name, verb) = match verbs.as_slice() {
        [one] => *one,
        [] => {
            let names: Vec<&str> = FAULT_KINDS.iter().map(|kind| kind.name).collect();
            return sense.wrong(
                &entry,
                "this fault does nothing",
                format!("give it one of {}", names.join(", ")),
            );
        }
        [_, (name, _), ..] => {
            let path = [Key("fault"), Item(index), Key(name)];
            return sense.wrong_key(&path, "two faults in one entry", "give each its own [[fault]]");
        }
    };
    Entry { sense, fault, index, name, verb }.check();
}

struct Entry<'e, 'a, 's, 'p, 'd, 'i, 'f, 't> {
    sense: &'e mut Sense<'s, 'p, 'd, 'i, 'f, 't>,
    fault: &'a FaultEntry,
    index: usize,
    name: &'static str,
    verb: Verb<'a>,
}

impl Entry<'_, '_, '_, '_, '_, '_, '_, '_> {
    fn check(&mut self) {
        self.times();
        self.frames();
        if let Some((key, parties)) = self.verb.parties() {
            self.sense.parties(parties, &[Key("fault"), Item(self.index), Key(self.name), Key(key)]);
        }
        if let Some(node) = self.verb.node() {
            self.node(node, "node");
        }
        if let Verb::Partition(partition) = self.verb {
            self.partition(partition);
        }
        if let Verb::Cut(cut) = self.verb
            && cut.at_byte.is_some()
        {
            if self.verb.frames().kind().is_some() || cut.nth.is_some() || cut.probability.is_some() {
                self.inside("at_byte", "a cut is either at a byte or at a frame", "keep one of the two");
            } else if cut.direction == crate::fault::Way::Both {
                let hint = "bytes are counted per direction: add direction = \"up\" or \"down\"";
                self.inside("at_byte", "it is not said which direction's bytes count", hint);
            }
        }
    }

    fn wrong(&mut self, key: &str, message: impl Into<String>, hint: impl Into<String>) {
        let path = [Key("fault"), Item(self.index), Key(key)];
        if key == self.name {
            return self.sense.wrong_key(&path, message, hint);
        }
        self.sense.wrong(&path, message, hint);
    }

    fn inside(&mut self, key: &str, message: impl Into<String>, hint: impl Into<String>) {
        self.sense.wrong(&[Key("fault"), Item(self.index), Key(self.name), Key(key)], message, hint);
    }

    fn times(&mut self) {
        let (at, every, lasts) = (self.fault.at, self.fault.every, self.fault.lasts);
        let end = self.sense.scenario.workload.duration;
        let name = self.name;
        if at.is_some_and(|at| at >= end) {
            self.wrong("at", "the fault comes after the end", format!("the workload ends at {end}"));
        }
        if every.is_some_and(|every| every.0 == 0) {
            self.wrong("every", "every moment is too often", "write a duration greater than 0");
        } else if every.is_some_and(|every| every >= end && at.is_none()) {
            let hint = format!("the workload ends at {end}; `at` sets the first time");
            self.wrong("every", "the fault comes for the first time after the end", hint);
        } else if every.is_some_and(|every| end.0 / every.0 > OCCURRENCES_MAX) {
            self.wrong("every", "the fault comes too often", format!("at most {OCCURRENCES_MAX} times"));
        }
        if lasts == Some(Time(0)) {
            self.wrong(
                "for",
                "a fault of no duration",
                "write a duration greater than 0, or leave `for` out",
            );
        }
        if lasts.is_some() && self.verb.is_momentary() {
            self.wrong("for", format!("`{name}` happens at one moment"), "leave `for` out");
        }
        if self.verb.frame_starts() {
            for (key, given) in [("at", at), ("every", every)] {
                if given.is_some() {
                    let hint = format!("leave `{key}` out");
                    self.wrong(key, "a frame says when this fault comes", hint);
                }
            }
        } else if at.is_none() && every.is_none() && self.verb.is_momentary() && !self.at_each_frame() {
            self.wrong(name, format!("it is not said when `{name}` happens"), "add `at` or `every`");
        }
        let Some(every) = every.filter(|every| every.0 > 0) else { return };
        if lasts.is_none() && !self.verb.is_momentary() {
            self.wrong("every", "it never ends, so it cannot come again", "say how long each lasts: `for`");
        }
        let busy = Time(lasts.unwrap_or_default().0 + self.verb.takes_ns());
        if busy >= every {
            let message = format!("it comes again every {every}, but takes {busy}");
            self.wrong("every", message, "make the time between two longer than each one lasts");
        }
    }

    /// A cut at every frame of a kind; refused with its own words in [`Self::frames`].
    fn at_each_frame(&self) -> bool {
        matches!(self.verb, Verb::Cut(_)) && self.verb.frames().kind().is_some()
    }

    fn frames(&mut self) {
        let Frames { before, after, on, nth, probability, .. } = self.verb.frames();
        if before.is_some() && after.is_some() {
            self.inside("after", "both before and after a frame", "keep one of the two");
        }
        for (key, kind) in [("before", before), ("after", after), ("on", on)] {
            let Some(kind) = kind else { continue };
            if kind.is_empty() || kind.chars().count() > FRAME_KIND_CHARS_MAX {
                let hint = nearest_hint(
                    kind,
                    ["accepted", "deliver"],
                    "write the protocol's own word: \"accepted\"",
                );
                self.inside(key, "this names no kind of frame", hint);
            }
        }
        let kind = before.or(after).or(on);
        if nth.is_some() && kind.is_none() {
            let key = if matches!(
                self.verb,
                Verb::Drop(_) | Verb::Duplicate(_) | Verb::Reorder(_) | Verb::Corrupt(_) | Verb::Delay(_)
            ) {
                "`on`"
            } else if FAULT_KINDS.iter().any(|kind| kind.name == self.name && kind.on == "client") {
                "`after`"
            } else {
                "`before` or `after`"
            };
            self.inside("nth", "it is not said the n-th of what", format!("name the kind of frame: {key}"));
        }
        if nth.is_some() && probability.is_some() {
            self.inside("probability", "either the n-th frame or a share of them", "keep one of the two");
        }
        if probability.is_some_and(|share| share.ppm == 0) {
            self.inside("probability", "this never happens", "write a share greater than 0");
        }
        let every_frame = nth.is_none() && probability.is_none();
        if self.at_each_frame() && every_frame {
            let kind = kind.unwrap_or_default();
            let message = format!("a cut at every `{kind}` leaves no connection");
            self.wrong(self.name, message, "add `nth` or `probability`");
        }
        if matches!(self.verb, Verb::Drop(_) | Verb::Corrupt(_))
            && every_frame
            && on.is_none()
            && self.fault.lasts.is_none()
        {
            let message = format!("`{}` would hit every frame until the end", self.name);
            self.wrong(self.name, message, "add `probability`, `nth`, `on` or `for`");
        }
    }

    fn node(&mut self, node: u32, key: &str) {
        let nodes = self.sense.scenario.cluster.nodes;
        if node == LEADER || node < nodes {
            return;
        }
        let hint = match nodes {
            1 => "the cluster has one node, n1; raise `nodes` in [cluster]".to_owned(),
            nodes => format!("the nodes are n1 to n{nodes}"),
        };
        self.inside(key, format!("there is no node `n{}`", node + 1), hint);
    }

    fn partition(&mut self, partition: &Partition) {
        let nodes = self.sense.scenario.cluster.nodes;
        match (&partition.nodes, &partition.link) {
            (None, None) if partition.from.is_some() => {
                self.inside("from", "only one side is named", "name the other: nodes = [\"n1\"]");
            }
            (None, None) => {
                let hint = "name the `link` of some clients, or `nodes`";
                self.wrong(self.name, "it is not said who is parted", hint);
            }
            (Some(_), Some(_)) => self.inside("link", "both nodes and links", "give each its own [[fault]]"),
            (None, Some(_)) if partition.from.is_some() || partition.one_way => {
                let key = if partition.one_way { "one_way" } else { "from" };
                let hint = "links of clients lead to the servers; for one direction write `direction`";
                self.inside(key, format!("`{key}` says nothing about links"), hint);
            }
            (None, Some(_)) => {}
            (Some(side), None) => {
                if partition.direction != crate::fault::Way::Both {
                    self.inside("direction", "nodes have no up and down", "write one_way = true");
                }
                let other = partition.from.clone().unwrap_or_default();
                for (key, list) in [("nodes", side), ("from", &other)] {
                    list.nodes.iter().for_each(|node| self.node(node.0, key));
                }
                if side.rest || side.clients || side.nodes.is_empty() {
                    self.inside(
                        "nodes",
                        "this side holds more than nodes",
                        "write \"rest\" and \"clients\" in `from`",
                    );
                }
                if side.nodes.iter().any(|node| other.nodes.contains(node)) {
                    self.inside("from", "a node is on both sides", "name each node once");
                }
                if nodes == 1 && partition.from.is_some() && !other.clients && !other.rest {
                    self.inside(
                        "from",
                        "an only node can be parted from the clients only",
                        "write from = \"clients\"",
                    );
                }
                if partition.one_way && nodes == 1 {
                    let hint = "write link = \"clients\" and direction = \"up\" or \"down\"";
                    self.inside("one_way", "an only node has no node to be silent to", hint);
                }
            }
        }
    }
}
