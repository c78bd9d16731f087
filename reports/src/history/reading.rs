//! How the guarantees are to be read for a target, where protocols differ: what it states about itself.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::event::Rung;

/// What a device is owed when it comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CatchUp {
    /// Everything that was sent while its user was a member, also from before its first session (read-diffusion).
    Log,
    /// Only what was sent since its current session state began: the server keeps a queue per session (write-diffusion).
    Session,
    /// Everything that was sent since its first session: the server promises to keep what it has of the device, so what
    /// it says when a session began anew takes nothing from what it owes.
    Subscription,
}

/// How often one message may reach the application of one device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Copies", into = "Copies")]
pub enum Redelivery {
    /// Once: the client recognises copies.
    Never,
    /// Again while the server cannot know of the device's acknowledgement.
    UntilAcknowledged {
        /// The protocol marks a redelivery as such, so an unmarked one is a duplicate.
        flagged: bool,
    },
}

/// How often one message may reach the application of one device, in one word.
#[derive(Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Copies {
    /// Once.
    Never,
    /// Again until it is acknowledged, and marked then.
    Flagged,
    /// Again until it is acknowledged.
    Allowed,
}

impl From<Copies> for Redelivery {
    fn from(copies: Copies) -> Self {
        match copies {
            Copies::Never => Self::Never,
            Copies::Flagged => Self::UntilAcknowledged { flagged: true },
            Copies::Allowed => Self::UntilAcknowledged { flagged: false },
        }
    }
}

impl From<Redelivery> for Copies {
    fn from(redelivery: Redelivery) -> Self {
        match redelivery {
            Redelivery::Never => Self::Never,
            Redelivery::UntilAcknowledged { flagged: true } => Self::Flagged,
            Redelivery::UntilAcknowledged { flagged: false } => Self::Allowed,
        }
    }
}

/// When one send precedes another of the same device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Fifo {
    /// When it was acknowledged before the other was invoked.
    Acknowledged,
    /// When it was invoked before the other (one connection, pipelined).
    Invoked,
}

/// What a joiner sees of the time before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum JoinerSees {
    /// Nothing is promised either way.
    Anything,
    /// Nothing from before the change that added them.
    FromJoin,
}

/// How the guarantees are to be read for one target. The default is what most promise; a target that promises less or more says
/// so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Reading {
    /// What a device is owed when it comes back.
    pub catch_up: CatchUp,
    /// How often a message may reach one device.
    #[schemars(with = "Copies")]
    pub redelivery: Redelivery,
    /// Which sends of one device are ordered.
    pub fifo: Fifo,
    /// What a joiner sees.
    pub joiner_sees: JoinerSees,
    /// A retry has the same id, and the server promises to know it.
    pub idempotent: bool,
    /// The sending device gets its own message, too.
    pub own_echo: bool,
    /// The sending device never gets its own message: the drain does not wait for it to.
    pub senders_left_out: bool,
    /// The sender's other devices get the message, too.
    pub siblings_owed: bool,
    /// A user who was removed is still owed what was committed before.
    pub removed_owed: bool,
    /// Positions have no holes: `seq` rises by one per message or membership change that members can see.
    pub contiguous: bool,
    /// The client tells the server from where to continue; acknowledgements only free the server's memory.
    pub client_keeps_cursor: bool,
    /// What comes again after a resumption comes in the order of the originals.
    pub copies_in_order: bool,
    /// Acknowledgements and sends of one device are processed in their order, so that the answer to a send proves that the
    /// acknowledgements before it were processed.
    pub answers_prove_acks: bool,
    /// Nobody but this run sends to its conversations, so a message without an id of this run was made up.
    pub exclusive: bool,
    /// Receipts are promised only in conversations of at most this many members.
    pub receipt_members_max: u32,
    /// How far time stamps of different devices can be wrong against each other, in nanoseconds.
    pub clock_error_ns: u64,
    /// A device that received nothing for this long, connected and after the heal, is not just late. In nanoseconds.
    pub stall_ns: u64,
    /// What happened this shortly before the drain ended may still be on its way (receipts; deliveries when the drain did
    /// not converge). In nanoseconds.
    pub settle_ns: u64,
    /// Everything owed must have arrived this long after the heal. `None` = no promise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recovers_within_ns: Option<u64>,
    /// The least rung at which an ack is held against the death of a process; below it, what is gone with a process was not
    /// promised. A target whose documents promise nothing of the kind is judged all the same, and not punished.
    #[serde(with = "number_of_rung")]
    #[schemars(with = "u8")]
    pub durable_rung: Rung,
    /// What a server knew of deliveries may be gone when its process dies: nothing that comes twice across a death is a
    /// duplicate.
    pub death_forgets: bool,
    /// Ids of the faults in the plan: each must have taken effect, or have been skipped with a reason. No part of a header: a
    /// history says itself which faults there were.
    #[serde(skip)]
    pub planned_faults: Vec<u32>,
}

/// A rung is its number in a header, as it is in events.
mod number_of_rung {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    use super::Rung;

    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
    pub(super) fn serialize<S: Serializer>(rung: &Rung, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(*rung as u8)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Rung, D::Error> {
        let number = usize::from(u8::deserialize(deserializer)?);
        let rung = Rung::ALL.get(number).copied();
        rung.ok_or_else(|| D::Error::custom("a rung is a number from 0 to 7"))
    }
}

impl Default for Reading {
    fn default() -> Self {
        Self {
            catch_up: CatchUp::Log,
            redelivery: Redelivery::UntilAcknowledged { flagged: true },
            fifo: Fifo::Acknowledged,
            joiner_sees: JoinerSees::Anything,
            idempotent: true,
            own_echo: false,
            senders_left_out: false,
            siblings_owed: true,
            removed_owed: false,
            contiguous: false,
            client_keeps_cursor: true,
            copies_in_order: true,
            answers_prove_acks: true,
            exclusive: true,
            receipt_members_max: u32::MAX,
            clock_error_ns: 0,
            stall_ns: 30_000_000_000,
            settle_ns: 2_000_000_000,
            recovers_within_ns: None,
            durable_rung: Rung::Stored,
            death_forgets: false,
            planned_faults: Vec::new(),
        }
    }
}

impl Reading {
    /// Of a target, by its name in a history: our own server promises more than others, also where it runs already.
    pub fn of_target(name: &str) -> Self {
        if name == "reference" || name.starts_with("avouch://") { Self::reference() } else { Self::default() }
    }

    /// Without what concerns only one run: as a header has it.
    #[must_use]
    pub fn of_target_alone(&self) -> Self {
        Self { planned_faults: Vec::new(), ..self.clone() }
    }

    /// What the reference server promises.
    pub fn reference() -> Self {
        Self {
            redelivery: Redelivery::Never,
            joiner_sees: JoinerSees::FromJoin,
            removed_owed: true,
            contiguous: true,
            ..Self::default()
        }
    }
}
