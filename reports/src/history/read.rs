//! Reads a history line by line. Memory is bounded by the longest allowed line and the declarations, whatever
//! the input is.

use std::io::{BufRead, Read};

use sha2::{Digest as _, Sha256};

use super::continuity::Continuity;
use super::decode::decode;
use super::error::{HistoryError, Problem};
use super::event::Event;
use super::header::Header;
use super::limits::LINE_BYTES_MAX;
use super::scan::Fields;
use super::write::hex;

/// How to read.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReadOptions {
    /// Whether a torn last line ends the history (see [`HistoryReader::torn`]) instead of being an error.
    pub accept_torn: bool,
}

/// A last line without its end: the writer was stopped. Everything before it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Torn {
    /// Its number, from 1.
    pub line: u64,
    /// How much of it there is.
    pub bytes: usize,
}

/// Reads events, one by one: an iterator that ends after the first error.
///
/// Give it a buffered input; any chunking of the bytes gives the same events.
#[derive(Debug)]
pub struct HistoryReader<R> {
    lines: Lines<R>,
    header: Header,
    fields: Fields,
    continuity: Continuity,
    failed: bool,
}

impl<R: BufRead> HistoryReader<R> {
    /// Reads the header.
    pub fn open(input: R, options: ReadOptions) -> Result<Self, HistoryError> {
        let mut lines = Lines { input, line: Vec::new(), number: 0, options, torn: None };
        let found = lines.next_line()?;
        // A torn header leaves nothing to be read, so it is an error with either option.
        let header = match (found, lines.torn) {
            (true, _) => Header::from_line(&lines.line),
            (false, Some(torn)) => Err(Problem::Torn { bytes: torn.bytes }),
            (false, None) => Err(Problem::Empty),
        };
        let header = header.map_err(|problem| lines.bad(problem))?;
        Ok(Self {
            lines,
            header,
            fields: Fields::default(),
            continuity: Continuity::default(),
            failed: false,
        })
    }

    /// What was run.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The torn last line, once the end is reached.
    pub fn torn(&self) -> Option<Torn> {
        self.lines.torn
    }

    /// Number of the last line that was read; the header is line 1.
    pub fn line(&self) -> u64 {
        self.lines.number
    }

    /// The next event; `None` at the end.
    pub fn next_event(&mut self) -> Result<Option<Event>, HistoryError> {
        if !self.lines.next_line()? {
            return Ok(None);
        }
        let event = decode(&mut self.fields, &self.lines.line).map_err(|problem| self.lines.bad(problem))?;
        self.continuity.accept(&event).map_err(|problem| self.lines.bad(problem))?;
        Ok(Some(event))
    }
}

impl<R: BufRead> Iterator for HistoryReader<R> {
    type Item = Result<Event, HistoryError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let next = self.next_event();
        self.failed = next.is_err();
        next.transpose()
    }
}

/// SHA-256 over the event lines, as hexadecimal digits: equal for equal runs. The header, blank lines and a torn
/// last line do not count. The same as [`super::HistorySummary::hash`] of the writer.
pub fn history_hash<R: BufRead>(input: R) -> Result<String, HistoryError> {
    let mut lines = HistoryReader::open(input, ReadOptions { accept_torn: true })?.lines;
    let mut hash = Sha256::new();
    while lines.next_line()? {
        hash.update(&lines.line);
        hash.update(b"\n");
    }
    Ok(hex(&hash.finalize()))
}

#[derive(Debug)]
struct Lines<R> {
    input: R,
    line: Vec<u8>,
    number: u64,
    options: ReadOptions,
    torn: Option<Torn>,
}

impl<R: BufRead> Lines<R> {
    /// Whether there is a further line that is not blank; it is then in `line`, without its line feed.
    fn next_line(&mut self) -> Result<bool, HistoryError> {
        loop {
            self.line.clear();
            // Room for the longest line, its line feed, and one byte to see that it is too long.
            let mut bounded = Read::take(&mut self.input, LINE_BYTES_MAX as u64 + 2);
            let number = self.number;
            let read = bounded.read_until(b'\n', &mut self.line);
            read.map_err(|source| HistoryError::Read { line: number, source })?;
            if self.line.is_empty() {
                return Ok(false);
            }
            self.number += 1;
            let ended = self.line.last() == Some(&b'\n');
            self.line.truncate(self.line.len() - usize::from(ended));
            if self.line.len() > LINE_BYTES_MAX {
                return Err(self.bad(Problem::LineTooLong));
            }
            if !ended && !self.is_whole() {
                return self.torn_end().map(|()| false);
            }
            if !self.line.iter().all(u8::is_ascii_whitespace) {
                return Ok(true);
            }
        }
    }

    /// Whether a line without line feed is there in full: no part of a JSON object is itself valid JSON.
    fn is_whole(&self) -> bool {
        serde_json::from_slice::<serde::de::IgnoredAny>(&self.line).is_ok()
    }

    fn torn_end(&mut self) -> Result<(), HistoryError> {
        let bytes = self.line.len();
        self.torn = Some(Torn { line: self.number, bytes });
        if self.options.accept_torn { Ok(()) } else { Err(self.bad(Problem::Torn { bytes })) }
    }

    fn bad(&self, problem: Problem) -> HistoryError {
        HistoryError::Line { line: self.number.max(1), problem }
    }
}
