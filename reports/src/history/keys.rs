//! The keys of an event line and the shape of each value. One key means one thing in every kind of event.

/// What a value looks like on the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// A whole number, 0 to 2^64 - 1.
    Number,
    /// A string.
    Text,
    /// A string of 16 hexadecimal digits.
    Digest,
    /// `true` or `false`.
    Flag,
    /// An array of user numbers.
    Users,
    /// An array of page items.
    Items,
}

macro_rules! keys {
    ($($key:ident $name:literal $shape:ident,)*) => {
        /// A key of an event line.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub(super) enum Key { $($key,)* }

        impl Key {
            pub(super) const ALL: [Key; [$($name),*].len()] = [$(Key::$key),*];

            pub(super) fn name(self) -> &'static str {
                match self { $(Key::$key => $name,)* }
            }

            pub(super) fn shape(self) -> Shape {
                match self { $(Key::$key => Shape::$shape,)* }
            }

            /// The frequent keys are one letter long: for those, one look into a table.
            pub(super) fn from_name(name: &[u8]) -> Option<Self> {
                match name {
                    [letter] => Self::ONE_LETTER[*letter as usize],
                    name => Self::ALL.into_iter().find(|key| key.name().as_bytes() == name),
                }
            }

            const ONE_LETTER: [Option<Key>; 256] = {
                let mut keys = [None; 256];
                $(if let [letter] = $name.as_bytes() {
                    keys[*letter as usize] = Some(Key::$key);
                })*
                keys
            };
        }
    };
}

keys! {
    Time "t" Number,
    Kind "e" Text,
    Device "d" Number,
    Conversation "c" Number,
    Message "m" Number,
    Seq "s" Number,
    Digest "h" Digest,
    Redelivered "x" Flag,
    UpTo "to" Number,
    By "by" Number,
    Word "k" Text,
    Intended "it" Number,
    Bytes "b" Number,
    ReplyTo "re" Number,
    Rung "r" Number,
    User "u" Number,
    Name "n" Text,
    Members "us" Users,
    Why "w" Text,
    After "after" Number,
    Before "before" Number,
    Request "q" Number,
    Items "i" Items,
    Complete "all" Flag,
    Added "add" Users,
    Removed "rem" Users,
    Fault "f" Number,
    Target "target" Text,
    Frame "frame" Number,
    Detail "detail" Text,
    Evidence "evidence" Text,
    State "state" Text,
    Converged "ok" Flag,
    Missing "missing" Text,
    Text "text" Text,
    Code "code" Text,
}
