//! One-byte codes in frames: closed sets, each with its name in words.

/// Declares a closed set of one-byte codes with names.
macro_rules! codes {
    ($(#[$doc:meta])* $name:ident { $($(#[$item_doc:meta])* $item:ident = $byte:literal $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $($(#[$item_doc])* $item,)* }
        impl $name {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$item,)*];
            /// Its name in words.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$item => $text,)* }
            }
            pub(super) fn to_byte(self) -> u8 {
                match self { $(Self::$item => $byte,)* }
            }
            pub(super) fn from_byte(byte: u8) -> Option<Self> {
                match byte { $($byte => Some(Self::$item),)* _ => None }
            }
        }
    };
}

codes! {
    /// What a page is wanted for.
    Purpose {
        /// The application reads history; cursors are not concerned.
        History = 0 "history",
        /// The client closes a gap behind its cursor.
        CatchUp = 1 "catch-up",
    }
}
codes! {
    /// Which mechanism sent a `Deliver`.
    Cause {
        /// The entry's first transmission to this device.
        First = 0 "first",
        /// The device's outbox: not acknowledged in time, or in flight when the connection ended.
        Retry = 1 "retry",
        /// The periodic sweep found it undelivered.
        Sweep = 2 "sweep",
        /// The client asked (pages only; never in a `Deliver`).
        Pull = 3 "pull",
    }
}
codes! {
    /// Why an operation was refused. All but `StaleId` are definite: the operation has no effect, and no
    /// copy of it will have one.
    RejectCode {
        /// The author does not belong to the conversation.
        NotMember = 1 "not-member",
        /// The payload is larger than allowed.
        TooLarge = 2 "too-large",
        /// Nobody made this conversation.
        UnknownConversation = 3 "unknown-conversation",
        /// The id stands for other content already (that other content is not affected).
        IdConflict = 4 "id-conflict",
        /// Members who cannot be added or removed, or too many.
        BadMembers = 5 "bad-members",
        /// A limit of the server forbids it.
        Forbidden = 6 "forbidden",
        /// It answers an entry that does not exist.
        BadReply = 7 "bad-reply",
        /// A newer operation of the device in this conversation was taken; order would break.
        Superseded = 8 "superseded",
        /// NOT definite: the id is older than the dedup window; it may have been accepted long ago.
        StaleId = 9 "stale-id",
    }
}
codes! {
    /// Why the server ends a connection in good order.
    GoodbyeCode {
        /// The same device logged in elsewhere.
        Takeover = 1 "takeover",
        /// The server stops.
        Shutdown = 2 "shutdown",
        /// The client said `Bye`.
        Closed = 3 "closed",
        /// The client was silent for too long.
        Silent = 4 "silent",
        /// The client does not read what it is sent.
        Slow = 5 "slow",
    }
}
codes! {
    /// What is wrong with the peer.
    ErrorCode {
        /// Another protocol version.
        Version = 1 "version",
        /// The token does not open the door.
        Unauthorized = 2 "unauthorized",
        /// A frame with a right checksum that does not parse.
        Malformed = 3 "malformed",
        /// A frame over the size limit.
        TooLarge = 4 "too-large",
        /// A frame that has no place here (before login, or of the wrong direction).
        Unexpected = 5 "unexpected",
        /// No login in time.
        LoginTimeout = 6 "login-timeout",
        /// Too many connections, or devices of this user.
        TooMany = 7 "too-many",
    }
}
