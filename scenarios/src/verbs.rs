//! The verbs of a fault entry, one by one, and the registry that `avouch list faults` prints.

use crate::fault::{
    ClientVerbEntry, ClockSkew, Cut, Duplicate, FaultEntry, FrameFault, LinkDelay, LinkHold, LinkRate,
    NodeDown, NodeHold, Partition, Reorder, Slice, SlowConsumer, SlowSync, Way,
};
use crate::plan::Edge;
use crate::units::{Parties, Share};

/// One kind of fault, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaultKind {
    /// The verb, as in scenario files.
    pub name: &'static str,
    /// Where it applies: `node`, `link` or `client`.
    pub on: &'static str,
    /// One sentence.
    pub about: &'static str,
    /// How it is written: the lines below `[[fault]]`.
    pub example: &'static str,
}

/// Every kind of fault.
pub const FAULT_KINDS: [FaultKind; 23] = [
    kind(
        "kill",
        "node",
        "The process is gone at once; written bytes survive.",
        "kill = { restart_after = \"1s\" }\nevery = \"4s\"",
    ),
    kind(
        "pause",
        "node",
        "The process stands still and then goes on.",
        "pause = {}\nat = \"2s\"\nfor = \"1500ms\"",
    ),
    kind(
        "restart",
        "node",
        "The server is asked to stop, and started again.",
        "restart = { restart_after = \"500ms\" }\nat = \"3s\"",
    ),
    kind(
        "power_loss",
        "node",
        "The machine loses power; writes that were not synced may be gone.",
        "power_loss = { restart_after = \"1s\" }\nat = \"3s\"",
    ),
    kind(
        "slow_sync",
        "node",
        "Every sync of the disk takes longer.",
        "slow_sync = { by = \"50ms\" }\nat = \"1s\"\nfor = \"3s\"",
    ),
    kind("fail_sync", "node", "Every sync of the disk fails.", "fail_sync = {}\nat = \"2s\"\nfor = \"1s\""),
    kind("disk_full", "node", "No space is left.", "disk_full = {}\nat = \"2s\"\nfor = \"2s\""),
    kind(
        "clock_skew",
        "node",
        "The wall clock jumps, and back at the end.",
        "clock_skew = { by = \"-90s\" }\nat = \"2s\"\nfor = \"4s\"",
    ),
    kind(
        "delay",
        "link",
        "Frames take longer; their order stays.",
        "delay = { by = \"pareto(20ms, 1.5, 2s)\" }",
    ),
    kind(
        "rate",
        "link",
        "Less bandwidth.",
        "rate = { link = \"u1\", limit = \"10 kB/s\" }\nat = \"2s\"\nfor = \"3s\"",
    ),
    kind(
        "stall",
        "link",
        "Nothing passes for a while; nothing is lost.",
        "stall = { link = \"30%\", direction = \"down\" }\nevery = \"4s\"\nfor = \"1s\"",
    ),
    kind(
        "half_open",
        "link",
        "What is sent is swallowed, and neither end is told.",
        "half_open = { link = \"u1\" }\nat = \"2s\"\nfor = \"5s\"",
    ),
    kind(
        "partition",
        "link",
        "Nothing passes between two sides, and no new connection succeeds.",
        "partition = { link = \"50%\" }\nat = \"2s\"\nfor = \"3s\"",
    ),
    kind(
        "cut",
        "link",
        "The connection ends, at a time, a byte, or before or after a frame.",
        "cut = { before = \"accepted\", probability = 0.02 }",
    ),
    kind("slice", "link", "Bytes arrive in small pieces.", "slice = { bytes = 7 }"),
    kind(
        "drop",
        "link",
        "A frame vanishes in a live connection.",
        "drop = { on = \"deliver\", probability = \"5%\" }",
    ),
    kind("duplicate", "link", "A frame arrives again.", "duplicate = { probability = 0.1, copies = 2 }"),
    kind(
        "reorder",
        "link",
        "A frame arrives after later ones.",
        "reorder = { direction = \"down\", probability = 0.1, window = 4 }",
    ),
    kind("corrupt", "link", "A bit of a frame is flipped.", "corrupt = { probability = 0.01 }"),
    kind(
        "offline",
        "client",
        "The client closes politely and stays away.",
        "offline = { client = \"u3\" }\nat = \"2s\"\nfor = \"10s\"",
    ),
    kind(
        "takeover",
        "client",
        "The same device connects again while its first connection lives.",
        "takeover = { client = \"u1.d1\" }\nevery = \"2s\"",
    ),
    kind(
        "reconnect_storm",
        "client",
        "All of them reconnect at once.",
        "reconnect_storm = { client = \"clients\" }\nat = \"3s\"",
    ),
    kind(
        "slow_consumer",
        "client",
        "The application takes its time with each delivery.",
        "slow_consumer = { client = \"u2\", consume = \"20ms\" }\nat = \"1s\"\nfor = \"4s\"",
    ),
];

const fn kind(name: &'static str, on: &'static str, about: &'static str, example: &'static str) -> FaultKind {
    FaultKind { name, on, about, example }
}

/// One verb of an entry.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Verb<'a> {
    Kill(&'a NodeDown),
    Pause(&'a NodeHold),
    Restart(&'a NodeDown),
    PowerLoss(&'a NodeDown),
    SlowSync(&'a SlowSync),
    FailSync(&'a NodeHold),
    DiskFull(&'a NodeHold),
    ClockSkew(&'a ClockSkew),
    Delay(&'a LinkDelay),
    Rate(&'a LinkRate),
    Stall(&'a LinkHold),
    HalfOpen(&'a LinkHold),
    Partition(&'a Partition),
    Cut(&'a Cut),
    Slice(&'a Slice),
    Drop(&'a FrameFault),
    Duplicate(&'a Duplicate),
    Reorder(&'a Reorder),
    Corrupt(&'a FrameFault),
    Offline(&'a ClientVerbEntry),
    Takeover(&'a ClientVerbEntry),
    ReconnectStorm(&'a ClientVerbEntry),
    SlowConsumer(&'a SlowConsumer),
}

/// Which frames a verb speaks of.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Frames<'a> {
    pub(crate) before: Option<&'a str>,
    pub(crate) after: Option<&'a str>,
    pub(crate) on: Option<&'a str>,
    pub(crate) nth: Option<u64>,
    pub(crate) probability: Option<Share>,
    pub(crate) direction: Way,
}

impl<'a> Frames<'a> {
    /// The kind of frame, if one is named.
    pub(crate) fn kind(&self) -> Option<&'a str> {
        self.before.or(self.after).or(self.on)
    }
    /// Before or after it.
    pub(crate) fn edge(&self) -> Edge {
        if self.after.is_some() { Edge::After } else { Edge::Before }
    }
}

impl FaultEntry {
    /// The verbs that are written in this entry, each with its name (a valid entry has one).
    pub(crate) fn verbs(&self) -> Vec<(&'static str, Verb<'_>)> {
        let all = [
            ("kill", self.kill.as_ref().map(Verb::Kill)),
            ("pause", self.pause.as_ref().map(Verb::Pause)),
            ("restart", self.restart.as_ref().map(Verb::Restart)),
            ("power_loss", self.power_loss.as_ref().map(Verb::PowerLoss)),
            ("slow_sync", self.slow_sync.as_ref().map(Verb::SlowSync)),
            ("fail_sync", self.fail_sync.as_ref().map(Verb::FailSync)),
            ("disk_full", self.disk_full.as_ref().map(Verb::DiskFull)),
            ("clock_skew", self.clock_skew.as_ref().map(Verb::ClockSkew)),
            ("delay", self.delay.as_ref().map(Verb::Delay)),
            ("rate", self.rate.as_ref().map(Verb::Rate)),
            ("stall", self.stall.as_ref().map(Verb::Stall)),
            ("half_open", self.half_open.as_ref().map(Verb::HalfOpen)),
            ("partition", self.partition.as_ref().map(Verb::Partition)),
            ("cut", self.cut.as_ref().map(Verb::Cut)),
            ("slice", self.slice.as_ref().map(Verb::Slice)),
            ("drop", self.drop.as_ref().map(Verb::Drop)),
            ("duplicate", self.duplicate.as_ref().map(Verb::Duplicate)),
            ("reorder", self.reorder.as_ref().map(Verb::Reorder)),
            ("corrupt", self.corrupt.as_ref().map(Verb::Corrupt)),
            ("offline", self.offline.as_ref().map(Verb::Offline)),
            ("takeover", self.takeover.as_ref().map(Verb::Takeover)),
            ("reconnect_storm", self.reconnect_storm.as_ref().map(Verb::ReconnectStorm)),
            ("slow_consumer", self.slow_consumer.as_ref().map(Verb::SlowConsumer)),
        ];
        all.into_iter().filter_map(|(name, verb)| Some((name, verb?))).collect()
    }
}

impl<'a> Verb<'a> {
    /// Which frames it speaks of.
    pub(crate) fn frames(self) -> Frames<'a> {
        let edges = |before: &'a Option<String>, after: &'a Option<String>, nth| Frames {
            before: before.as_deref(),
            after: after.as_deref(),
            nth,
            ..Frames::default()
        };
        let each = |on: &'a Option<String>, nth, probability, direction| Frames {
            on: on.as_deref(),
            nth,
            probability,
            direction,
            ..Frames::default()
        };
        match self {
            Self::Kill(it) | Self::Restart(it) | Self::PowerLoss(it) => edges(&it.before, &it.after, it.nth),
            Self::Pause(it) | Self::FailSync(it) | Self::DiskFull(it) => edges(&it.before, &it.after, it.nth),
            Self::Stall(it) | Self::HalfOpen(it) => {
                Frames { direction: it.direction, ..edges(&it.before, &it.after, it.nth) }
            }
            Self::Cut(it) => Frames {
                probability: it.probability,
                direction: it.direction,
                ..edges(&it.before, &it.after, it.nth)
            },
            Self::Delay(it) => each(&it.on, it.nth, it.probability, it.direction),
            Self::Drop(it) | Self::Corrupt(it) => each(&it.on, it.nth, it.probability, it.direction),
            Self::Duplicate(it) => each(&it.on, it.nth, it.probability, it.direction),
            Self::Reorder(it) => each(&it.on, it.nth, it.probability, it.direction),
            Self::Offline(it) | Self::Takeover(it) | Self::ReconnectStorm(it) => {
                edges(&None, &it.after, it.nth)
            }
            Self::SlowConsumer(it) => edges(&None, &it.after, it.nth),
            Self::Rate(it) => Frames { direction: it.direction, ..Frames::default() },
            Self::Slice(it) => Frames { direction: it.direction, ..Frames::default() },
            Self::Partition(it) => Frames { direction: it.direction, ..Frames::default() },
            _ => Frames::default(),
        }
    }

    /// Whether one frame starts it: then neither `at` nor `every` does.
    pub(crate) fn frame_starts(self) -> bool {
        let frames = self.frames();
        match self {
            Self::Cut(_) => frames.kind().is_some() && frames.nth.is_some(),
            _ => frames.before.or(frames.after).is_some() || frames.nth.is_some(),
        }
    }

    /// Whether it happens at one moment (and so takes no `for`).
    pub(crate) fn is_momentary(self) -> bool {
        match self {
            Self::Kill(_)
            | Self::Restart(_)
            | Self::PowerLoss(_)
            | Self::Takeover(_)
            | Self::ReconnectStorm(_) => true,
            Self::Cut(it) => it.nth.is_some() || (it.probability.is_none() && it.at_byte.is_none()),
            Self::Drop(_) | Self::Duplicate(_) | Self::Corrupt(_) => self.frames().nth.is_some(),
            Self::Reorder(it) => it.nth.is_some(),
            Self::Delay(it) => it.nth.is_some(),
            _ => false,
        }
    }

    /// The selection of clients or of links that it names, with the key it stands under.
    pub(crate) fn parties(self) -> Option<(&'static str, &'a Parties)> {
        match self {
            Self::Kill(it) | Self::Restart(it) | Self::PowerLoss(it) => Some(("link", &it.link)),
            Self::Pause(it) | Self::FailSync(it) | Self::DiskFull(it) => Some(("link", &it.link)),
            Self::Delay(it) => Some(("link", &it.link)),
            Self::Rate(it) => Some(("link", &it.link)),
            Self::Stall(it) | Self::HalfOpen(it) => Some(("link", &it.link)),
            Self::Partition(it) => it.link.as_ref().map(|link| ("link", link)),
            Self::Cut(it) => Some(("link", &it.link)),
            Self::Slice(it) => Some(("link", &it.link)),
            Self::Drop(it) | Self::Corrupt(it) => Some(("link", &it.link)),
            Self::Duplicate(it) => Some(("link", &it.link)),
            Self::Reorder(it) => Some(("link", &it.link)),
            Self::Offline(it) | Self::Takeover(it) | Self::ReconnectStorm(it) => Some(("client", &it.client)),
            Self::SlowConsumer(it) => Some(("client", &it.client)),
            Self::SlowSync(_) | Self::ClockSkew(_) => None,
        }
    }

    /// The node that it names.
    pub(crate) fn node(self) -> Option<u32> {
        match self {
            Self::Kill(it) | Self::Restart(it) | Self::PowerLoss(it) => Some(it.node.0),
            Self::Pause(it) | Self::FailSync(it) | Self::DiskFull(it) => Some(it.node.0),
            Self::SlowSync(it) => Some(it.node.0),
            Self::ClockSkew(it) => Some(it.node.0),
            _ => None,
        }
    }

    /// How long it takes by itself, beside `for`: until the node is back.
    pub(crate) fn takes_ns(self) -> u64 {
        match self {
            Self::Kill(it) | Self::Restart(it) | Self::PowerLoss(it) => it.restart_after.0,
            _ => 0,
        }
    }
}
