//! A history: every event that clients saw, and every fault that was applied, in time order.
//!
//! On disk: JSON Lines. The first line is a [`Header`], each further line one [`Event`]; the format is
//! described for other tools in `docs/history-format.md`. [`HistoryWriter`] writes as it happens,
//! [`HistoryReader`] reads line by line in bounded memory and refuses what is not a history with a
//! line number and a hint. Nothing here judges: whether a history is good is the checkers' business.

#[cfg(test)]
pub(crate) mod arbitrary;
mod continuity;
mod decode;
#[cfg(test)]
mod docs_test;
mod encode;
mod error;
mod event;
mod header;
mod json;
mod keys;
pub mod limits;
mod names;
mod parts;
mod read;
mod reading;
mod scan;
#[cfg(test)]
mod tests;
mod write;

pub use decode::event_from_line;
pub use encode::event_to_line;
pub use error::{HistoryError, Problem};
pub use event::{
    Conversation, Device, Event, Message, PageItem, Phase, ReceiptKind, Rung, SessionKind, User, What,
};
pub use header::{FORMAT_VERSION, Header};
pub use names::Names;
pub use read::{HistoryReader, ReadOptions, Torn, history_hash};
pub use reading::{CatchUp, Fifo, JoinerSees, Reading, Redelivery};
pub use write::{HistorySummary, HistoryWriter};
