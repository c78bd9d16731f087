//! A plan: every random choice is made. The same scenario and seed give the same plan, the same in every world.
//!
//! Times are nanoseconds since the chaos phase began, unless a name says otherwise.

use std::collections::BTreeMap;

use serde::Serialize;

mod phases;

pub use phases::Phases;

/// Everything that a world needs to carry a run out.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Plan {
    /// The scenario's name: its path below the catalog, without the ending.
    pub scenario: String,
    /// The scenario's sentence.
    pub about: String,
    /// What every decision was made from.
    pub seed: u64,
    /// The servers.
    pub cluster: Cluster,
    /// Every device, in order; a device's index here is its number everywhere.
    pub devices: Vec<Device>,
    /// How many users there are; users are numbered from 0.
    pub users: u32,
    /// Every conversation, in order; its index is its number everywhere.
    pub conversations: Vec<Conversation>,
    /// What the devices do, by rising time (equal times: by position).
    pub actions: Vec<Action>,
    /// What goes wrong, by rising id.
    pub faults: Vec<PlannedFault>,
    /// What every link is like when nothing is wrong.
    pub network: Network,
    /// Devices that nobody heals, rising: when the chaos ends, nothing passes their links any more, and the others are to go on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub abandoned: Vec<u32>,
    /// Limits of the phases.
    pub phases: Phases,
    /// What is demanded.
    pub expect: Expect,
    /// Names of planted defects in the reference server and its clients; no scenario names any, whoever performs it may.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub defects: Vec<String>,
}

/// The servers.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Cluster {
    /// How many; named `n1`, `n2`, …
    pub nodes: u32,
    /// Settings of the reference server by name, as its configuration file has them.
    pub settings: BTreeMap<String, String>,
}

/// One client.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Device {
    /// `u3.d1`: second device of the fourth user.
    pub name: String,
    /// Whose.
    pub user: u32,
    /// When it first connects; `None` = in the set-up phase, before the chaos.
    pub connects_at_ns: Option<u64>,
    /// How long the application takes to consume one delivery (a slow reader); 0 = at once.
    pub consume_ns: u64,
    /// Whether it marks what it receives as read, and how long after.
    pub reads_after_ns: Option<u64>,
}

/// One conversation.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Conversation {
    /// `c0`, `c1`, …
    pub name: String,
    /// Users who belong to it when it is made, rising. The first one makes it.
    pub members: Vec<u32>,
}

/// One step of the workload.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Action {
    /// When it is intended.
    pub at_ns: u64,
    /// Which device does it.
    pub device: u32,
    /// What.
    pub what: Do,
}

/// What a device can do.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Do {
    /// Send one message.
    Send {
        /// Where.
        conversation: u32,
        /// The tool's id of this operation, unique in the plan, from 1.
        message: u64,
        /// Payload size; at least [`PAYLOAD_BYTES_MIN`].
        bytes: u32,
        /// Answer the newest message that this device has seen there (makes causality visible).
        reply: bool,
    },
    /// Ask for history from the beginning (of what this device may see), page by page, to the end.
    ReadHistory {
        /// Where.
        conversation: u32,
    },
    /// Change who belongs to a conversation.
    ChangeMembers {
        /// Where.
        conversation: u32,
        /// The tool's id of this operation, from the same numbers as messages.
        message: u64,
        /// Users to add.
        added: Vec<u32>,
        /// Users to remove.
        removed: Vec<u32>,
    },
    /// Go offline: close politely and stay away.
    Disconnect,
    /// Come back.
    Connect,
    /// The device loses its local state (reinstalled); it connects again as a new installation.
    Reinstall,
}

/// Smallest payload: it has to carry the tool's own id, salt and check.
pub const PAYLOAD_BYTES_MIN: u32 = 32;

/// What a link is like.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Network {
    /// Name of the profile, or `custom`.
    pub profile: String,
    /// Device to server.
    pub up: LinkShape,
    /// Server to device.
    pub down: LinkShape,
}

/// One direction of a link without faults.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LinkShape {
    /// One-way delay of every frame.
    pub delay: Delay,
    /// Bottleneck; `None` = unlimited.
    pub rate_bytes_per_s: Option<u64>,
}

/// A delay, drawn per frame.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Delay {
    /// Always the same.
    Fixed {
        /// The delay.
        ns: u64,
    },
    /// Anything between two bounds.
    Uniform {
        /// Lower bound.
        min_ns: u64,
        /// Upper bound.
        max_ns: u64,
    },
    /// Normal, cut off at 0 and at mean + 4 deviations.
    Normal {
        /// Mean.
        mean_ns: u64,
        /// Standard deviation.
        deviation_ns: u64,
    },
    /// Pareto: heavy tail, cut off at `max_ns`.
    Pareto {
        /// Smallest value.
        scale_ns: u64,
        /// Tail index times 1,000 (1,500 = 1.5); smaller is heavier.
        shape_milli: u32,
        /// Largest value.
        max_ns: u64,
    },
}

/// One fault.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PlannedFault {
    /// Its number in this plan, from 0: what people and histories call it.
    pub id: u32,
    /// What its keyed decisions are drawn from (see [`crate::keyed::decisions`]). Stays when other faults come or go.
    pub key: u64,
    /// When it begins.
    pub when: When,
    /// How long it lasts; `None` = momentary, or until the heal phase where the fault has a duration by nature.
    pub for_ns: Option<u64>,
    /// What it is.
    pub fault: Fault,
}

/// When a fault begins.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum When {
    /// At a time.
    At {
        /// When.
        ns: u64,
    },
    /// When a frame passes a link (link faults, and node and client faults that a frame triggers). A per-frame verb
    /// (drop, duplicate, reorder, corrupt, delay) without a duration then hits that frame and no other.
    OnFrame(FrameTrigger),
}

/// Picks one frame: for a link fault on each watched link by itself, for any other fault on the first that it passes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FrameTrigger {
    /// Client ends of the links that are watched (device numbers).
    pub devices: Vec<u32>,
    /// Frame kind, in the protocol's own word ("accepted", "deliver", "PUBACK"); its direction follows from it.
    pub kind: String,
    /// Which one, from 1, counted per link over the whole chaos phase.
    pub nth: u64,
    /// Whether the fault comes before the frame passes (it is then lost with the link) or after.
    pub edge: Edge,
}

/// Before or after.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Edge {
    /// The frame does not pass.
    Before,
    /// The frame passes, then the fault comes.
    After,
}

/// Which way, seen from the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// Device to server.
    Up,
    /// Server to device.
    Down,
    /// Both ways.
    Both,
}

/// What can go wrong. One vocabulary for all worlds.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// On links.
    Link(LinkFault),
    /// On a server node.
    Node(NodeFault),
    /// On a client.
    Client(ClientFault),
}

/// A fault on the links of some devices.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LinkFault {
    /// Client ends of the links (device numbers, rising).
    pub devices: Vec<u32>,
    /// Which way.
    pub direction: Direction,
    /// Only frames of this kind (per-frame verbs and `cut`); `None` = every frame.
    pub kind: Option<String>,
    /// Share of frames hit, in millionths (per-frame verbs and `cut`); 1,000,000 = each.
    pub probability_ppm: u32,
    /// The verb.
    pub verb: LinkVerb,
}

/// Verbs on a link.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LinkVerb {
    /// More delay, order kept.
    Delay {
        /// Drawn per frame, added to the link's own.
        delay: Delay,
    },
    /// Less bandwidth.
    Rate {
        /// The bottleneck.
        bytes_per_s: u64,
    },
    /// Nothing passes; it passes late, after the heal. Nothing is lost.
    Stall,
    /// Silence: what is sent is swallowed, neither end is told. After the heal the connection stays dead.
    HalfOpen,
    /// No bytes pass and no new connection succeeds; what was on the way is lost with its connection.
    Partition,
    /// The connection ends.
    Cut {
        /// How.
        how: CutHow,
        /// After this many bytes of the direction in this connection; `None` = at the trigger.
        at_byte: Option<u64>,
        /// With a frame kind or a probability: before or after that frame.
        edge: Edge,
    },
    /// Bytes arrive in small pieces.
    Slice {
        /// Largest piece.
        bytes: u32,
    },
    /// A frame vanishes in a live connection.
    Drop,
    /// A frame arrives again.
    Duplicate {
        /// How many extra copies.
        copies: u32,
    },
    /// A frame arrives after later ones.
    Reorder {
        /// It is overtaken by at most this many frames,
        window: u32,
        /// and held no longer than this.
        hold_ns_max: u64,
    },
    /// A bit of a frame is flipped.
    Corrupt,
}

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CutHow {
    /// Politely: both ends read an end of stream.
    Fin,
    /// Reset: what is in flight is lost.
    Rst,
}

/// Stands for whichever node leads when the fault begins; node 0 where there is only one.
pub const LEADER: u32 = u32::MAX;
/// In a set of nodes (see [`NodeVerb::Isolate`]): the clients.
pub const CLIENTS_BIT: u64 = 1 << 63;

/// A fault on a node.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NodeFault {
    /// Node number, from 0, or [`LEADER`].
    pub node: u32,
    /// The verb.
    pub verb: NodeVerb,
}

/// Verbs on a node.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum NodeVerb {
    /// The process is gone at once; the operating system lives, so written bytes survive.
    Kill {
        /// It starts again after this.
        restart_after_ns: u64,
    },
    /// The process stands still for the fault's duration.
    Pause,
    /// It is asked to stop, and starts again.
    Restart {
        /// It starts again this long after it stopped.
        restart_after_ns: u64,
    },
    /// The machine loses power: writes that were not synced may be gone, whole or in part.
    PowerLoss {
        /// It starts again after this.
        restart_after_ns: u64,
    },
    /// Every sync takes longer.
    SlowSync {
        /// Added to each.
        delay_ns: u64,
    },
    /// Every sync fails.
    FailSync,
    /// No space is left.
    DiskFull,
    /// Nodes and clients are parted: nothing passes between the two sides. Needs more than one node; what parts
    /// the clients from an only node is a [`LinkVerb::Partition`]. [`NodeFault::node`] is the first of `nodes`.
    Isolate {
        /// One side: bit `i` = node `i`.
        nodes: u64,
        /// The other side: bit `i` = node `i`, and [`CLIENTS_BIT`].
        from: u64,
        /// Only what goes from `nodes` to `from` is stopped.
        one_way: bool,
    },
    /// The wall clock jumps.
    ClockSkew {
        /// By this much.
        by_ms: i64,
    },
}

/// A fault on clients.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClientFault {
    /// Device numbers, rising.
    pub devices: Vec<u32>,
    /// The verb.
    pub verb: ClientVerb,
}

/// Verbs on a client.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClientVerb {
    /// Away for the fault's duration.
    Offline,
    /// The same device connects a second time while the first connection lives (takeover).
    Takeover,
    /// All of them reconnect at once.
    ReconnectStorm,
    /// Takes its time with each delivery, for the fault's duration.
    SlowConsumer {
        /// Per delivery.
        consume_ns: u64,
    },
}

/// What is demanded.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Expect {
    /// Ids of guarantees that must hold; empty = everything that the target claims.
    pub guarantees: Vec<String>,
    /// After the heal, everything owed must have arrived within this.
    pub recovers_within_ns: Option<u64>,
    /// Latency gates, outside fault windows.
    pub latency: Vec<LatencyGate>,
}

/// One limit.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LatencyGate {
    /// `accepted`, `delivered` or `receipt`: measured from the intended send.
    pub stage: String,
    /// Percentile in thousandths: 50,000 = p50, 99,900 = p99.9, 100,000 = max.
    pub percentile_milli: u32,
    /// The limit.
    pub at_most_ns: u64,
}
