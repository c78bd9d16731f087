//! Names of things in the protocol. Numbers, so that nothing hostile can hide in them.

/// A person or a service account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct UserId(pub u64);

/// One client installation of a user; unique per user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct DeviceId(pub u32);

/// A device, named across users.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct DeviceKey {
    /// Whose device it is.
    pub user: UserId,
    /// Which of the user's devices it is.
    pub device: DeviceId,
}

/// An ordered stream of entries with members.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ConversationId(pub u64);

/// Chosen by the sending device, rising per device; makes a retry idempotent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct MessageId(pub u64);

/// Position in a conversation, given by the server, from 1, no gaps. 0 means "before the first".
pub type Seq = u64;

/// The running SHA-256 over a conversation: `chain(n) = SHA-256(chain(n-1) || entry(n))`.
pub type Chain = [u8; 32];

/// Nanoseconds on the caller's monotonic clock, from an origin of the caller's choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Time(pub u64);
