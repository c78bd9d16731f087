//! What can be wrong with a history, in words, with the line and a hint.

use std::io;

use super::limits;

/// A history could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// A line is not what it should be.
    #[error("history line {line}: {problem}\nhint: {}", .problem.hint())]
    Line {
        /// From 1; the header is line 1.
        line: u64,
        /// What is wrong with it.
        problem: Problem,
    },
    /// The input could not be read.
    #[error("cannot read the history behind line {line}: {source}")]
    Read {
        /// Last line that was read whole; 0 = none.
        line: u64,
        /// Why.
        source: io::Error,
    },
    /// The output could not be written. Said once: later calls answer [`HistoryError::Stopped`].
    #[error("cannot write the history behind event {events_safe}: {source}\nhint: {}", write_hint(.source))]
    Write {
        /// Events that were handed over whole before this.
        events_safe: u64,
        /// Why.
        source: io::Error,
    },
    /// The writer failed before and writes no more.
    #[error("the history is no longer written: an earlier write failed")]
    Stopped,
    /// An event cannot be written: it would make the history invalid. Nothing was written.
    #[error("event {event} cannot be written: {problem}\nhint: {}", .problem.hint())]
    Event {
        /// Its number, from 1.
        event: u64,
        /// What is wrong with it.
        problem: Problem,
    },
}

/// What is wrong with one line or event. Text from the line is quoted with escapes, and shortened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// There is no line at all.
    #[error("it is empty")]
    Empty,
    /// The first line is something else.
    #[error("this is not a history: the first line is no header")]
    NotAHistory,
    /// A newer tool wrote it.
    #[error("format version {found} is newer than this tool, which knows {known}")]
    Future {
        /// Version in the header.
        found: u64,
        /// Newest version that this tool reads.
        known: u64,
    },
    /// The header is one, but wrong.
    #[error("wrong header: {0}")]
    Header(String),
    /// The last line has no end.
    #[error("the last line is torn after {bytes} bytes")]
    Torn {
        /// How much of it there is.
        bytes: usize,
    },
    /// Over [`limits::LINE_BYTES_MAX`].
    #[error("longer than {} bytes", limits::LINE_BYTES_MAX)]
    LineTooLong,
    /// Not UTF-8.
    #[error("not valid UTF-8 at byte {0}")]
    NotUtf8(usize),
    /// Not one flat JSON object.
    #[error("malformed at column {column}: expected {expected}")]
    Malformed {
        /// From 1, in bytes.
        column: usize,
        /// What should stand there.
        expected: &'static str,
    },
    /// No event is called so.
    #[error("unknown kind of event {0:?}")]
    UnknownKind(String),
    /// No event has such a key.
    #[error("unknown field {0:?}")]
    UnknownField(String),
    /// This kind of event has no such key.
    #[error("field {key:?} does not belong into a {kind:?} event")]
    Extra {
        /// Kind of event.
        kind: &'static str,
        /// The key.
        key: &'static str,
    },
    /// This kind of event needs the key.
    #[error("field {key:?} is missing")]
    Missing {
        /// The key.
        key: &'static str,
    },
    /// A key stands twice.
    #[error("field {key:?} stands twice")]
    Twice {
        /// The key.
        key: &'static str,
    },
    /// The value has the wrong type, or is out of range.
    #[error("field {key:?} must be {wanted}")]
    Value {
        /// The key.
        key: &'static str,
        /// What it must be.
        wanted: &'static str,
    },
    /// A text or list is over its limit.
    #[error("field {key:?} is over its limit of {max}")]
    TooMuch {
        /// The key.
        key: &'static str,
        /// Bytes or entries.
        max: usize,
    },
    /// Time runs backwards.
    #[error("time falls from {previous_ns} to {at_ns} ns")]
    Backwards {
        /// Time of the line before.
        previous_ns: u64,
        /// Time of this line.
        at_ns: u64,
    },
    /// No line above declares it.
    #[error("{what} {id} is not declared")]
    Undeclared {
        /// `device` or `conversation`.
        what: &'static str,
        /// The number.
        id: u32,
    },
    /// A line above declares it.
    #[error("{what} {id} is declared twice")]
    DeclaredTwice {
        /// `device` or `conversation`.
        what: &'static str,
        /// The number.
        id: u32,
    },
    /// Over [`limits::DEVICES_MAX`] or [`limits::CONVERSATIONS_MAX`].
    #[error("more than {max} {what}s are declared")]
    TooManyDeclared {
        /// `device` or `conversation`.
        what: &'static str,
        /// The limit.
        max: usize,
    },
}

impl Problem {
    /// What to do about it, in one line.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Empty | Self::NotAHistory => {
                "a history begins with a line like {\"avouch_history\":1,\"run\":{…}}; see docs/history-format.md"
            }
            Self::Future { .. } => "read it with the version of avouch that wrote it, or a newer one",
            Self::Header(_) => "the fields of the header are listed in docs/history-format.md",
            Self::Torn { .. } => {
                "the writer was stopped in mid-line; accept a torn end to use all whole lines"
            }
            Self::LineTooLong | Self::TooMuch { .. } | Self::TooManyDeclared { .. } => {
                "the limits of the format are listed in docs/history-format.md"
            }
            Self::NotUtf8(_) | Self::Malformed { .. } => "each line must be one JSON object in UTF-8",
            Self::UnknownKind(_) | Self::UnknownField(_) | Self::Extra { .. } | Self::Missing { .. } => {
                "each kind of event and its fields are listed in docs/history-format.md"
            }
            Self::Twice { .. } | Self::Value { .. } => "see this event in docs/history-format.md",
            Self::Backwards { .. } => "lines must stand in time order, on one monotonic clock",
            Self::Undeclared { .. } => "a `device` or `conversation` line must stand above its first use",
            Self::DeclaredTwice { .. } => "use one number for one thing in the whole history",
        }
    }

    /// Text from a line, cut so that an error stays readable.
    pub(super) fn quote(text: &[u8]) -> String {
        const QUOTED_CHARS_MAX: usize = 40;
        String::from_utf8_lossy(text).chars().take(QUOTED_CHARS_MAX).collect()
    }
}

fn write_hint(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "no space is left; the file is valid up to its last whole line"
        }
        _ => "the file is valid up to its last whole line",
    }
}
