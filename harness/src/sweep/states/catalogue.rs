//! The catalogue of rare states, and a set of them.

/// Declares the catalogue: a state, its name for people.
macro_rules! states {
    ($($state:ident: $name:literal,)*) => {
        /// A rare state.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum State { $(#[doc = $name] $state,)* }

        impl State {
            /// All of them, in the order of the catalogue.
            pub const ALL: &'static [Self] = &[$(Self::$state,)*];

            /// What it is, in words.
            pub fn name(self) -> &'static str {
                match self { $(Self::$state => $name,)* }
            }
        }
    };
}

states! {
    Resent: "an operation was sent again",
    AckLostThenResent: "a committed message whose ack was lost was sent again",
    RetryAnsweredFromDedup: "a retry of a committed message was answered with its old position",
    DuplicateAcrossReconnect: "a device got a message again in a later session",
    RedeliveryFlagged: "a delivery was marked as sent before",
    CopySuppressed: "a client recognised a copy in the same session",
    HalfOpenFound: "a silent connection was found by its heartbeat",
    DiedUnanswered: "the server was killed with an operation unanswered",
    DiedBetweenCommitAndAck: "the server died between commit and ack",
    PowerLostUnanswered: "power was lost with an operation unanswered",
    StoppedUnanswered: "the server was stopped politely with an operation unanswered",
    SyncFailedUnanswered: "syncs failed while an operation was unanswered",
    TakenOver: "a session was taken over",
    TakeoverDuringResume: "a takeover came while the device was resuming",
    TakeoverInFlight: "a session was taken over with an operation unanswered",
    Resumed: "a session was resumed",
    ResumedAfterCrash: "a session was resumed at a server that had died",
    Reinstalled: "a device came back as a new installation",
    NewDeviceCaughtUp: "a device that came late got what was sent before",
    DeliveredAfterAway: "a device got what was accepted while it was away",
    EverybodyAway: "a message was accepted while no other member was there",
    FanOutDuringReconnect: "a message was accepted while a member was reconnecting",
    GapNoticed: "a client noticed a gap",
    GapFilled: "a gap was filled",
    PageCrossed: "a page was crossed by a new message",
    SeveralPages: "a history was read in several pages",
    ReadInterrupted: "the link ended while a page was on its way",
    Rejected: "an operation was definitely refused",
    Unknown: "the outcome of an operation was unknown",
    Recovered: "an operation of unknown outcome took effect",
    NextToMembershipChange: "a message got the position next to a membership change",
    RemovedAndBack: "a user was removed and came back",
    JoinedMidway: "a user joined in the middle and got the next message",
    ReceiptAfterReconnect: "a receipt came in a later session than its message was sent in",
    ReadConfirmedAfterReconnect: "a read mark was confirmed in a later session",
    TwoSessionsLost: "a device lost its connection twice within a second",
    SeveralDevices: "two devices of one user got the same message",
    ReplyAcrossSessions: "an answer was sent in a later session than what it answers arrived in",
    AckedByOneLostByOther: "one device had a message while another was cut off from it",
}

/// Which states one run reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reached(u64);

impl Reached {
    /// Whether a state was reached.
    pub fn has(self, state: State) -> bool {
        self.0 >> (state as u64) & 1 == 1
    }
    /// The states that were reached.
    pub fn states(self) -> impl Iterator<Item = State> {
        State::ALL.iter().copied().filter(move |state| self.has(*state))
    }
    pub(super) fn reach(&mut self, state: State) {
        self.0 |= 1 << (state as u64);
    }
}
