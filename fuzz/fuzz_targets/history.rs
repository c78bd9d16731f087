//! Histories: any bytes in any chunks give the same events and the same error, and events survive being written.
#![no_main]

use std::io::{BufReader, Read};

use avouch_reports::history::{
    Event, HistoryError, HistoryReader, ReadOptions, event_from_line, event_to_line,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, bool, &[u8])| {
    let (chunk_bytes, accept_torn, bytes) = input;
    let options = ReadOptions { accept_torn };
    let (events, error) = read(bytes, usize::MAX, options);
    let (chunked, chunked_error) = read(bytes, usize::from(chunk_bytes).max(1), options);
    assert_eq!(events, chunked, "chunks do not matter");
    let words = |error: Option<HistoryError>| error.map(|error| error.to_string());
    let error = words(error);
    assert!(!error.as_ref().is_some_and(|words| words.contains('\u{1b}')), "hostile text is shown escaped");
    assert_eq!(error, words(chunked_error), "chunks do not matter");
    for event in &events {
        let mut line = Vec::new();
        event_to_line(event, &mut line).expect("what was read can be written");
        assert_eq!(&event_from_line(&line).expect("what was written can be read"), event);
    }
});

fn read(bytes: &[u8], chunk_bytes: usize, options: ReadOptions) -> (Vec<Event>, Option<HistoryError>) {
    let input = BufReader::with_capacity(16, Chunks { rest: bytes, chunk_bytes });
    let mut reader = match HistoryReader::open(input, options) {
        Ok(reader) => reader,
        Err(error) => return (Vec::new(), Some(error)),
    };
    let mut events = Vec::new();
    loop {
        match reader.next_event() {
            Ok(Some(event)) => events.push(event),
            Ok(None) => return (events, None),
            Err(error) => return (events, Some(error)),
        }
    }
}

/// Gives at most so many bytes at a time.
struct Chunks<'a> {
    rest: &'a [u8],
    chunk_bytes: usize,
}

impl Read for Chunks<'_> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let count = self.rest.len().min(out.len()).min(self.chunk_bytes);
        let (now, later) = self.rest.split_at(count);
        out[..count].copy_from_slice(now);
        self.rest = later;
        Ok(count)
    }
}
