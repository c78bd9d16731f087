//! Writes a history as it happens.

use std::fmt::Write as _;
use std::io::Write;

use sha2::{Digest as _, Sha256};

use super::continuity::Continuity;
use super::encode::event_to_line;
use super::error::HistoryError;
use super::event::Event;
use super::header::Header;
use super::limits::WRITE_BUFFER_BYTES;

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistorySummary {
    /// How many events.
    pub events: u64,
    /// How many bytes, with the header.
    pub bytes: u64,
    /// SHA-256 over the event lines, as hexadecimal digits: equal for equal runs. The header does not count.
    pub hash: String,
}

/// Appends events as lines, through a buffer of whole lines.
///
/// Call [`Self::flush`] whenever what happened so far must survive the tool (at the end of a phase, a few times per
/// second), and [`Self::finish`] at the end: what is still in the buffer when the writer is dropped is lost.
/// A failed write is reported once; the file is then valid up to its last whole line.
#[derive(Debug)]
pub struct HistoryWriter<W> {
    out: W,
    buffer: Vec<u8>,
    hash: Sha256,
    continuity: Continuity,
    events: u64,
    events_safe: u64,
    bytes: u64,
    stopped: bool,
}

impl<W: Write> HistoryWriter<W> {
    /// Begins a history; the header is in the buffer then.
    pub fn new(out: W, header: &Header) -> Result<Self, HistoryError> {
        let mut buffer = Vec::with_capacity(WRITE_BUFFER_BYTES);
        header.to_line(&mut buffer).map_err(|problem| HistoryError::Line { line: 1, problem })?;
        buffer.push(b'\n');
        Ok(Self {
            out,
            buffer,
            hash: Sha256::new(),
            continuity: Continuity::default(),
            events: 0,
            events_safe: 0,
            bytes: 0,
            stopped: false,
        })
    }

    /// Appends an event. One that would make the history invalid (time falls, an undeclared device) is refused
    /// and leaves no trace; the writer goes on.
    pub fn append(&mut self, event: &Event) -> Result<(), HistoryError> {
        if self.stopped {
            return Err(HistoryError::Stopped);
        }
        let start = self.buffer.len();
        let refused = |problem| HistoryError::Event { event: self.events + 1, problem };
        event_to_line(event, &mut self.buffer).map_err(refused)?;
        if let Err(problem) = self.continuity.accept(event) {
            self.buffer.truncate(start);
            return Err(refused(problem));
        }
        self.buffer.push(b'\n');
        self.hash.update(&self.buffer[start..]);
        self.events += 1;
        if self.buffer.len() >= WRITE_BUFFER_BYTES { self.drain() } else { Ok(()) }
    }

    /// How many events were appended.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// Hands everything on to the output and flushes that.
    pub fn flush(&mut self) -> Result<(), HistoryError> {
        if self.stopped {
            return Err(HistoryError::Stopped);
        }
        self.drain()?;
        let flushed = self.out.flush();
        self.check(flushed)
    }

    /// Flushes, and tells what was written.
    pub fn finish(mut self) -> Result<(HistorySummary, W), HistoryError> {
        self.flush()?;
        let hash = hex(&self.hash.finalize());
        Ok((HistorySummary { events: self.events, bytes: self.bytes, hash }, self.out))
    }

    fn drain(&mut self) -> Result<(), HistoryError> {
        let written = self.out.write_all(&self.buffer);
        self.check(written)?;
        self.bytes += self.buffer.len() as u64;
        self.events_safe = self.events;
        self.buffer.clear();
        Ok(())
    }

    fn check(&mut self, result: std::io::Result<()>) -> Result<(), HistoryError> {
        result.map_err(|source| {
            self.stopped = true;
            self.buffer = Vec::new();
            HistoryError::Write { events_safe: self.events_safe, source }
        })
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a string never fails");
        text
    })
}
