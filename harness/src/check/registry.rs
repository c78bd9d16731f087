//! Every guarantee: its name, its promise, its definition in one line, who makes it. The tables in the documents and
//! `avouch list guarantees` are printed from here.

use super::Checker;
use super::duplicates::Duplicates;
use super::integrity::Integrity;
use super::liveness::Liveness;
use super::loss::Loss;
use super::membership::Membership;
use super::order::Order;
use super::reads::Reads;
use super::receipts::Receipts;
use super::sequence::Sequence;
use super::total_order::TotalOrder;

/// One guarantee.
#[derive(Clone, Copy, Debug)]
pub struct Guarantee {
    /// Its name everywhere.
    pub id: &'static str,
    /// The promise, in one sentence.
    pub promise: &'static str,
    /// The definition, over events of the history; the header of the checker has the whole of it.
    pub definition: &'static str,
    /// Who typically makes it.
    pub claimed_by: &'static str,
}

const fn guarantee(
    id: &'static str,
    promise: &'static str,
    definition: &'static str,
    claimed_by: &'static str,
) -> Guarantee {
    Guarantee { id, promise, definition, claimed_by }
}

/// The guarantee of a name.
pub fn find(id: &str) -> Option<&'static Guarantee> {
    GUARANTEES.iter().find(|g| g.id == id)
}

/// One instance of each family.
pub(super) fn checkers() -> Vec<Box<dyn Checker>> {
    vec![
        Box::<Loss>::default(),
        Box::<Duplicates>::default(),
        Box::<Integrity>::default(),
        Box::<Order>::default(),
        Box::<TotalOrder>::default(),
        Box::<Sequence>::default(),
        Box::<Receipts>::default(),
        Box::<Reads>::default(),
        Box::<Membership>::default(),
        Box::<Liveness>::default(),
    ]
}

/// All guarantees, in the order of reports.
pub const GUARANTEES: &[Guarantee] = &[
    guarantee(
        "no-loss",
        "Every acknowledged message reaches every eligible device.",
        "Accepted(m) at rung ≥ 2, no later Rejected(m), d eligible ⇒ Delivered(d, m)",
        "all, at their rung and fault model",
    ),
    guarantee(
        "no-duplicates",
        "Each message reaches a device once; again only what it had not acknowledged, and marked.",
        "second Delivered(d, m) ⇒ marked, and d's ack cannot have been processed",
        "MQTT QoS 2, XEP-0198 sessions, Matrix, sequence-based systems",
    ),
    guarantee(
        "no-phantoms",
        "Nothing is delivered that was not sent.",
        "Delivered(d, m) ⇒ Send(m) before it",
        "all",
    ),
    guarantee("intact", "Payloads arrive unchanged.", "Delivered(d, m) ⇒ digest = digest of Send(m)", "all"),
    guarantee(
        "isolation",
        "Messages reach members of their conversation only.",
        "Delivered(d, m) in c ⇒ Send(m) to c, and d's user was a member of c at some time",
        "all",
    ),
    guarantee(
        "errors-truthful",
        "A definite refusal takes no effect.",
        "Rejected(m) without Accepted(m) before ⇒ no Delivered(·, m), no page with m",
        "XMPP error stanzas, HTTP 4xx, MQTT 5 reason codes",
    ),
    guarantee(
        "idempotent-send",
        "A send that is sent again takes effect once.",
        "all events that place m name one position",
        "Matrix txnId, WuKongIM, JetStream Nats-Msg-Id; not XMPP, Tinode, Socket.IO",
    ),
    guarantee(
        "fifo-order",
        "What one device sent arrives in its order.",
        "same sender, Accepted(a) before Send(b) ⇒ every d receives a before b",
        "RFC 6120 §10.1, MQTT 4.6, RocketMQ, all sequence-based systems",
    ),
    guarantee(
        "causal-order",
        "An answer arrives after what it answers.",
        "b's sender received a before Send(b) ⇒ no d receives b before a",
        "Lanying IM; implied by a total order",
    ),
    guarantee(
        "total-order",
        "All devices receive a conversation in one order.",
        "first receptions of all devices are parts of one order (the positions, where there are any)",
        "MUC, Matrix per homeserver, Tinode, OpenIM, WuKongIM, Centrifugo; not XMPP 1:1",
    ),
    guarantee(
        "real-time-order",
        "What was acknowledged comes before what was sent afterwards.",
        "Accepted(a) before Send(b) ⇒ seq(a) < seq(b), and every d receives a before b",
        "single-leader logs: Tinode, OpenIM, WuKongIM, JetStream",
    ),
    guarantee(
        "seq-sane",
        "Positions are given once, rise, have no holes where that is promised, and survive restarts.",
        "(c, seq) names one m everywhere; first receptions rise per d; contiguous ⇒ every position is known to somebody",
        "Tinode, OpenIM, WuKongIM, JetStream, Centrifugo (per epoch)",
    ),
    guarantee(
        "offline-complete",
        "Nothing is missing for who was away.",
        "no-loss for messages acknowledged while d had no connection",
        "XEP-0160, MQTT persistent sessions, all sequence-based systems",
    ),
    guarantee(
        "inflight-redelivered",
        "What was in flight when a link ended comes again.",
        "acknowledged or delivered without d's ack, link ended, Session(Resumed) ⇒ delivered (again), in order",
        "MQTT 4.4.0-1, AMQP, XEP-0198, JetStream",
    ),
    guarantee(
        "resume-truthful",
        "\"Resumed\" means that nothing is missing.",
        "first session of d after Accepted(m) is Resumed ⇒ Delivered(d, m)",
        "MQTT session present, XEP-0198, Socket.IO, Centrifugo recovered",
    ),
    guarantee(
        "receipts-truthful",
        "A receipt says nothing that is not so.",
        "Receipt(s, by, up_to) ⇒ by has everything up to there (read: and asked for it); per (s, by) never falls",
        "XEP-0184, Matrix, Tinode, WuKongIM, Lanying IM",
    ),
    guarantee(
        "receipts-complete",
        "No receipt is lost for good.",
        "at the end: by's acks or read marks cover m of s ⇒ s has a receipt from by that covers m",
        "systems that confirm receipts both ways; not XEP-0184",
    ),
    guarantee(
        "redelivery-flag-truthful",
        "A delivery is marked as a redelivery exactly when it is one.",
        "marked ⇔ d received m before; disturbed links and second channels are excused",
        "MQTT DUP, AMQP redelivered, XEP-0203 delay",
    ),
    guarantee(
        "gap-visible",
        "A device can know what it misses before it shows what comes later.",
        "d shows a position behind an owed one that it misses ⇒ Gap(d) before",
        "Matrix limited, Centrifugo recovered, OpenIM, Tinode",
    ),
    guarantee(
        "read-your-writes",
        "History shows a reader what they wrote.",
        "Accepted(m of d) before PageRequested(d) ⇒ the page that covers m shows it",
        "session guarantee; Matrix, MAM, sequence-based systems",
    ),
    guarantee(
        "monotonic-reads",
        "History never shows less than before.",
        "d received m before PageRequested(d) ⇒ the page that covers m shows it",
        "session guarantee; Matrix, MAM, sequence-based systems",
    ),
    guarantee(
        "history-agrees",
        "Once quiet, all devices and nodes show one history.",
        "after Drained: pages show every acknowledged m that they cover, and one m per position",
        "XEP-0313 with XEP-0280, Matrix, sequence-based systems",
    ),
    guarantee(
        "membership-boundary",
        "Who belongs when a message is committed gets it, nobody else does.",
        "Delivered(d, m) ⇒ d's user belonged at m's position (or at some time of its commit)",
        "groups: MUC, Matrix, Tinode, WuKongIM",
    ),
    guarantee(
        "durable-ack",
        "An ack survives the death of the server process.",
        "no-loss for Accepted(m) at rung ≥ 3 before a process died, m not seen again",
        "servers that write before they acknowledge",
    ),
    guarantee(
        "durable-ack-power",
        "An ack survives the loss of power.",
        "no-loss for Accepted(m) at rung ≥ 3 before power was lost, m not seen again",
        "servers that sync before they acknowledge",
    ),
    guarantee(
        "chain-valid",
        "Nothing was rewritten or left out.",
        "no ChainBroken",
        "the reference protocol; hash-chained logs",
    ),
    guarantee(
        "send-live",
        "After the heal, every operation is answered.",
        "d connected since the heal for long enough ⇒ an outcome",
        "all",
    ),
    guarantee(
        "recovers-within",
        "After the heal, everything owed arrives in time.",
        "m sent before the heal ⇒ Delivered(d, m) within the budget after the heal, or after d's return",
        "all, with their budget",
    ),
];
