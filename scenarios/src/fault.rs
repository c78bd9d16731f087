//! What can go wrong, as a person writes it: one table per verb of the vocabulary in [`crate::plan`].

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::plan::LEADER;
use crate::scenario::is_default;
use crate::units::{ByteRate, DelaySpec, NodeName, NodeNames, Parties, Share, SignedTime, Time};

/// One fault: exactly one verb, and when.
///
/// `at` is when it begins (default: with the workload), `every` repeats it until the workload ends, `for` is how long
/// it lasts (default: momentary, or until the heal phase where it has a duration by nature).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FaultEntry {
    /// When it begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Time>,
    /// It comes again and again, on average this often. Each time moves by up to a quarter of it either way,
    /// drawn from the seed, so that it does not beat in time with anything else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub every: Option<Time>,
    /// How long it lasts.
    #[serde(rename = "for", skip_serializing_if = "Option::is_none")]
    pub lasts: Option<Time>,

    /// Node: the process is gone at once; written bytes survive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kill: Option<NodeDown>,
    /// Node: the process stands still.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pause: Option<NodeHold>,
    /// Node: asked to stop, then started again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restart: Option<NodeDown>,
    /// Node: the machine loses power; writes that were not synced may be gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub power_loss: Option<NodeDown>,
    /// Node: every sync takes longer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slow_sync: Option<SlowSync>,
    /// Node: every sync fails.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fail_sync: Option<NodeHold>,
    /// Node: no space is left.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk_full: Option<NodeHold>,
    /// Node: the wall clock jumps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock_skew: Option<ClockSkew>,

    /// Link: frames take longer, order kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delay: Option<LinkDelay>,
    /// Link: less bandwidth.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<LinkRate>,
    /// Link: nothing passes for a while, nothing is lost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stall: Option<LinkHold>,
    /// Link: what is sent is swallowed and neither end is told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub half_open: Option<LinkHold>,
    /// Link or nodes: nothing passes between two sides and no new connection succeeds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partition: Option<Partition>,
    /// Link: the connection ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cut: Option<Cut>,
    /// Link: bytes arrive in small pieces.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slice: Option<Slice>,
    /// Link: a frame vanishes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drop: Option<FrameFault>,
    /// Link: a frame arrives again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duplicate: Option<Duplicate>,
    /// Link: a frame arrives after later ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reorder: Option<Reorder>,
    /// Link: a bit of a frame is flipped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub corrupt: Option<FrameFault>,

    /// Client: away for the fault's duration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offline: Option<ClientVerbEntry>,
    /// Client: the same device connects a second time while the first connection lives.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub takeover: Option<ClientVerbEntry>,
    /// Client: all of them reconnect at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reconnect_storm: Option<ClientVerbEntry>,
    /// Client: takes its time with each delivery.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slow_consumer: Option<SlowConsumer>,
}

/// Which direction, seen from the device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// Device to server.
    Up,
    /// Server to device.
    Down,
    /// Both.
    #[default]
    Both,
}

/// How a connection ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// Politely: both ends read an end of stream.
    Fin,
    /// Reset: what is in flight is lost.
    #[default]
    Rst,
}

/// Defines a verb's table: documentation, derives and the fields that several verbs share, in one place.
macro_rules! verb {
    ($(#[$meta:meta])* $name:ident { $($(#[$field_meta:meta])* $field:ident: $type:ty,)* } $($shared:ident)*) => {
        verb!(@ [$(#[$meta])*] $name [$($(#[$field_meta])* pub $field: $type,)*] $($shared)*);
    };
    (@ [$($meta:tt)*] $name:ident [$($fields:tt)*] node $($shared:ident)*) => {
        verb!(@ [$($meta)*] $name [$($fields)*
            /// Which node. Default: the leader (the only one, where there is one).
            #[serde(default = "leader", skip_serializing_if = "is_leader")]
            pub node: NodeName,
        ] $($shared)*);
    };
    (@ [$($meta:tt)*] $name:ident [$($fields:tt)*] link $($shared:ident)*) => {
        verb!(@ [$($meta)*] $name [$($fields)*
            /// Links of which clients. Default: all.
            #[serde(default = "Parties::clients", skip_serializing_if = "is_clients")]
            pub link: Parties,
        ] $($shared)*);
    };
    (@ [$($meta:tt)*] $name:ident [$($fields:tt)*] direction $($shared:ident)*) => {
        verb!(@ [$($meta)*] $name [$($fields)*
            /// Which direction, seen from the device.
            #[serde(default, skip_serializing_if = "is_default")]
            pub direction: Way,
        ] $($shared)*);
    };
    (@ [$($meta:tt)*] $name:ident [$($fields:tt)*] edge $($shared:ident)*) => {
        verb!(@ [$($meta)*] $name [$($fields)*
            /// Just before a frame of this kind passes, which then does not.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub before: Option<String>,
            /// Just after a frame of this kind has passed.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub after: Option<String>,
        ] $($shared)*);
    };
    (@ [$($meta:tt)*] $name:ident [$($fields:tt)*] client $($shared:ident)*) => {
        verb!(@ [$($meta)*] $name [$($fields)*
            /// Which clients.
            #[serde(default = "Parties::clients", skip_serializing_if = "is_clients")]
            pub client: Parties,
        ] $($shared)*);
    };
    (@ [$($meta:tt)*] $name:ident [$($fields:tt)*] after $($shared:ident)*) => {
        verb!(@ [$($meta)*] $name [$($fields)*
            /// Just after a frame of this kind has passed the link of one of them.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub after: Option<String>,
        ] $($shared)*);
    };
    (@ [$($meta:tt)*] $name:ident [$($fields:tt)*] on $($shared:ident)*) => {
        verb!(@ [$($meta)*] $name [$($fields)*
            /// Only frames of this kind. Default: every frame.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub on: Option<String>,
        ] $($shared)*);
    };
    (@ [$($meta:tt)*] $name:ident [$($fields:tt)*] nth $($shared:ident)*) => {
        verb!(@ [$($meta)*] $name [$($fields)*
            /// At the n-th frame of the kind, counted per link from 1.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[schemars(range(min = 1))]
            pub nth: Option<u64>,
        ] $($shared)*);
    };
    (@ [$($meta:tt)*] $name:ident [$($fields:tt)*] probability $($shared:ident)*) => {
        verb!(@ [$($meta)*] $name [$($fields)*
            /// Share of the frames that are hit.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub probability: Option<Share>,
        ] $($shared)*);
    };
    (@ [$($meta:tt)*] $name:ident [$($fields:tt)*]) => {
        $($meta)*
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct $name { $($fields)* }
    };
}

verb! {
    /// A node that goes away and comes back.
    NodeDown {
        /// It starts again after this.
        #[serde(default = "one_second")]
        restart_after: Time,
    } node link edge nth
}
verb! {
    /// A node in a bad state for the fault's duration.
    NodeHold {} node link edge nth
}
verb! {
    /// A slow disk.
    SlowSync {
        /// Added to each sync.
        by: Time,
    } node
}
verb! {
    /// A jump of the wall clock; at the end of the fault it jumps back.
    ClockSkew {
        /// By this much.
        by: SignedTime,
    } node
}
verb! {
    /// More delay.
    LinkDelay {
        /// Drawn per frame, added to the link's own.
        by: DelaySpec,
    } link direction on nth probability
}
verb! {
    /// Less bandwidth.
    LinkRate {
        /// The bottleneck.
        limit: ByteRate,
    } link direction
}
verb! {
    /// A link in a bad state for the fault's duration.
    LinkHold {} link direction edge nth
}
verb! {
    /// Two sides that do not reach each other: either the `link` of some clients, or `nodes` `from` others.
    Partition {
        /// One side.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        nodes: Option<NodeNames>,
        /// The other side. Default: the rest.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<NodeNames>,
        /// Links of which clients.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        link: Option<Parties>,
        /// With nodes: only what goes from `nodes` to `from` is stopped.
        #[serde(default, skip_serializing_if = "is_default")]
        one_way: bool,
    } direction
}
verb! {
    /// The end of a connection.
    Cut {
        /// How.
        #[serde(default, skip_serializing_if = "is_default")]
        how: How,
        /// After this many bytes of the direction in this connection.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at_byte: Option<u64>,
    } link direction edge nth probability
}
verb! {
    /// Small pieces.
    Slice {
        /// Bytes in the largest piece.
        #[schemars(range(min = 1, max = 65_536))]
        bytes: u32,
    } link direction
}
verb! {
    /// A fault on single frames.
    FrameFault {} link direction on nth probability
}
verb! {
    /// Copies of frames.
    Duplicate {
        /// How many extra copies.
        #[serde(default = "one")]
        #[schemars(range(min = 1, max = 100))]
        copies: u32,
    } link direction on nth probability
}
verb! {
    /// Frames that are overtaken.
    Reorder {
        /// By at most this many frames,
        #[serde(default = "three")]
        #[schemars(range(min = 1, max = 1_000))]
        window: u32,
        /// and held no longer than this.
        #[serde(default = "half_second")]
        hold: Time,
    } link direction on nth probability
}
verb! {
    /// Something that clients do.
    ClientVerbEntry {} client after nth
}
verb! {
    /// A slow reader.
    SlowConsumer {
        /// How long each delivery takes.
        consume: Time,
    } client after nth
}

fn leader() -> NodeName {
    NodeName(LEADER)
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_leader(node: &NodeName) -> bool {
    node.0 == LEADER
}

fn is_clients(parties: &Parties) -> bool {
    *parties == Parties::clients()
}

fn one_second() -> Time {
    Time::s(1)
}

fn half_second() -> Time {
    Time::ms(500)
}

fn one() -> u32 {
    1
}

fn three() -> u32 {
    3
}
