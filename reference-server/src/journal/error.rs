//! What can go wrong with a journal.

use std::io;

use thiserror::Error;

use super::FORMAT_VERSION;

/// Why a journal could not be opened or read.
#[derive(Debug, Error)]
pub enum JournalError {
    /// Somebody else has it.
    #[error("the data directory is in use by another process")]
    InUse,
    /// Written by a newer version of this software.
    #[error(
        "the journal has format version {found}, and this program reads version {FORMAT_VERSION}: it was written by a newer release"
    )]
    Future {
        /// What the journal says.
        found: u64,
    },
    /// Not a journal of ours.
    #[error("the data directory holds something that is not an avouch journal: {0}")]
    Foreign(String),
    /// A journal of ours that is damaged beyond what a crash does.
    #[error("the journal is damaged: {0}")]
    Corrupt(String),
    /// The disk said no.
    #[error("the disk failed: {0}")]
    Io(#[source] io::Error),
}

/// Why a batch was not committed.
#[derive(Debug, Error)]
pub enum CommitError {
    /// Definitely without effect: there was no room. The journal goes on.
    #[error("no room for the batch: {0}")]
    Refused(String),
    /// Whether it took effect is not known. Nothing may be acknowledged; the journal must be reopened.
    #[error("the outcome of the commit is unknown: {0}")]
    Poisoned(String),
}

impl From<io::Error> for JournalError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ResourceBusy => Self::InUse,
            _ => Self::Io(error),
        }
    }
}

pub(super) fn from_store(error: impl Into<redb::Error>) -> JournalError {
    use redb::Error::{
        Corrupted, DatabaseAlreadyOpen, Io, RepairAborted, TableDoesNotExist, TableTypeMismatch,
        TypeDefinitionChanged, UpgradeRequired,
    };
    match error.into() {
        DatabaseAlreadyOpen => JournalError::InUse,
        // What the store says of a file without its magic number.
        Io(error) if error.kind() == io::ErrorKind::InvalidData => JournalError::Foreign(error.to_string()),
        Io(error) => JournalError::Io(error),
        Corrupted(what) => JournalError::Corrupt(what),
        error @ (RepairAborted | UpgradeRequired(_)) => JournalError::Corrupt(error.to_string()),
        error @ (TableDoesNotExist(_) | TableTypeMismatch { .. } | TypeDefinitionChanged { .. }) => {
            JournalError::Foreign(error.to_string())
        }
        other => JournalError::Io(io::Error::other(other.to_string())),
    }
}
