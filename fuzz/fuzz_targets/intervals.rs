//! Interval logs (`.hlog`): any bytes in any chunks give the same intervals and the same error, and a page's columns are bounded.
#![no_main]

use std::io::{BufReader, Read};

use avouch_reports::latency::{COLUMNS_MAX, Interval, IntervalReader, OverTime};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, &[u8])| {
    let (chunk_bytes, bytes) = input;
    let (intervals, error) = read(bytes);
    let chunk_bytes = usize::from(chunk_bytes).max(1);
    let (chunked, chunked_error) = read(BufReader::with_capacity(16, Chunks { rest: bytes, chunk_bytes }));
    assert_eq!(intervals, chunked, "chunks do not matter");
    assert_eq!(error, chunked_error, "chunks do not matter");
    for interval in &intervals {
        let counts = &interval.counts;
        assert!(counts.pairs().is_sorted_by(|one, next| one.0 < next.0), "each value once, rising");
        let samples = counts.pairs().iter().fold(0_u64, |sum, (_, count)| sum.saturating_add(*count));
        assert_eq!(samples, counts.count());
    }
    match OverTime::read(bytes) {
        Ok(over_time) => {
            assert!(error.is_none() && over_time.columns.len() as u64 <= COLUMNS_MAX);
            assert!(over_time.columns.keys().all(|number| *number < COLUMNS_MAX) && over_time.column_ns > 0);
        }
        Err(_) => assert!(error.is_some()),
    }
});

fn read(input: impl std::io::BufRead) -> (Vec<Interval>, Option<String>) {
    let mut intervals = Vec::new();
    for interval in IntervalReader::new(input) {
        match interval {
            Ok(interval) => intervals.push(interval),
            Err(error) => return (intervals, Some(error.to_string())),
        }
    }
    (intervals, None)
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
