//! Interval logs, format 1.2: one line per interval and series, a compressed histogram each. Any later report can be
//! recomputed from them, and logs of several workers merge without loss.
//!
//! Written by hand around the crate's V2 + DEFLATE serialisation: the crate's log writer borrows its output for as
//! long as it lives, and formats floating-point seconds.

use std::fmt::Write as _;
use std::io;

use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Serializer as _, V2DeflateSerializer};

use super::figures::{INTERVALS_MAX, IntervalFigures};
use super::recorder::histogram;
use super::{From, Series, Stage};

/// Length of an interval, unless somebody wants shorter ones; figures in short are always of this length.
pub const INTERVAL_NS: u64 = 1_000_000_000;
/// Largest interval log. Further intervals are left out, and a comment says so; totals are not affected.
pub const HLOG_BYTES_MAX: usize = 64 * 1_024 * 1_024;

/// Closed intervals as text, and the open one.
#[derive(Debug)]
pub(super) struct IntervalLog {
    text: String,
    left_out: u64,
    open: Vec<Histogram<u64>>,
    /// In short, what was closed.
    closed: Vec<IntervalFigures>,
    /// Length of an interval.
    interval_ns: u64,
    /// Number of the open interval.
    number: u64,
    any: bool,
    /// Where intervals are shorter than a second.
    second: Option<Second>,
    /// Conversations of several sizes; empty where all are of one.
    sizes: Vec<SizeOpen>,
}

/// The open interval of one size, from the intended send.
#[derive(Debug)]
struct SizeOpen {
    /// What its tags end with.
    tag: String,
    /// As the whole's.
    open: Vec<Histogram<u64>>,
}

/// The second that is under way: figures of shorter intervals cannot be added up.
#[derive(Debug)]
struct Second {
    number: u64,
    /// From the intended send, per stage.
    stages: [Histogram<u64>; Stage::ALL.len()],
}

impl IntervalLog {
    /// Nothing recorded yet.
    pub(super) fn new(interval_ns: u64) -> Self {
        let open = (0..Series::COUNT).map(|_| histogram()).collect();
        let second = (interval_ns != INTERVAL_NS)
            .then(|| Second { number: 0, stages: std::array::from_fn(|_| histogram()) });
        let (text, closed) = (String::new(), Vec::new());
        Self {
            text,
            left_out: 0,
            open,
            closed,
            interval_ns,
            number: 0,
            any: false,
            second,
            sizes: Vec::new(),
        }
    }

    /// From here on sizes are told apart. All so far was of the first, whose intervals stand there again under its own tags.
    pub(super) fn split(&mut self, tag: &str) {
        let whole = std::mem::take(&mut self.text);
        for line in whole.lines() {
            self.text.push_str(line);
            self.text.push('\n');
            let told = line.strip_prefix("Tag=").and_then(|line| line.split_once(','));
            let series = told.and_then(|(tag, rest)| Some((Series::from_tag(tag)?, rest)));
            if let Some((series, rest)) = series.filter(|(series, _)| series.from == From::Intended) {
                self.text.extend(["Tag=", &series.tag(), tag, ",", rest, "\n"]);
            }
        }
        self.sizes.push(SizeOpen { tag: tag.to_owned(), open: self.open.clone() });
    }

    /// Another size.
    pub(super) fn add_size(&mut self, tag: String) {
        let open = self.open.iter().map(|_| histogram()).collect();
        self.sizes.push(SizeOpen { tag, open });
    }

    /// Closes the open interval if its time is over.
    pub(super) fn advance(&mut self, now_ns: u64) {
        let number = now_ns / self.interval_ns;
        if number != self.number {
            self.close_interval();
            self.number = number;
        }
        let second = now_ns / INTERVAL_NS;
        if self.second.as_ref().is_some_and(|open| open.number != second) {
            self.close_second();
            self.second.iter_mut().for_each(|open| open.number = second);
        }
    }

    /// `size`: its place among the sizes that are told apart.
    pub(super) fn record(&mut self, series: Series, size: usize, latency_us: u64) {
        self.any = true;
        self.open[series.index()].saturating_record(latency_us);
        if let (Some(size), From::Intended) = (self.sizes.get_mut(size), series.from) {
            size.open[series.index()].saturating_record(latency_us);
        }
        if let (Some(second), From::Intended) = (&mut self.second, series.from) {
            second.stages[series.stage as usize].saturating_record(latency_us);
        }
    }

    pub(super) fn write(&mut self, out: &mut dyn io::Write) -> io::Result<()> {
        self.close();
        out.write_all(b"#[Histogram log format version 1.2]\n")?;
        out.write_all(b"#[Values are microseconds; Interval_Max is in milliseconds]\n")?;
        out.write_all(b"#[StartTime: 0.000 (seconds since the run began)]\n#[BaseTime: 0.000 (seconds since the run began)]\n")?;
        if self.left_out > 0 {
            writeln!(out, "#[{} histograms left out: the log is over its limit]", self.left_out)?;
        }
        out.write_all(
            b"\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"Interval_Compressed_Histogram\"\n",
        )?;
        out.write_all(self.text.as_bytes())
    }

    /// Every interval that is over and in which something ended, in short.
    pub(super) fn closed(&self) -> &[IntervalFigures] {
        &self.closed
    }

    /// Closes the open interval, whether its time is over or not: for the end of a run.
    pub(super) fn close(&mut self) {
        self.close_interval();
        self.close_second();
    }

    fn close_second(&mut self) {
        let Some(second) = self.second.as_mut().filter(|it| it.stages.iter().any(|it| !it.is_empty())) else {
            return;
        };
        if self.closed.len() < INTERVALS_MAX {
            let stages = second.stages.each_ref().map(std::iter::once);
            self.closed.push(IntervalFigures::new(second.number, stages));
        }
        second.stages.iter_mut().for_each(Histogram::reset);
    }

    fn close_interval(&mut self) {
        if !std::mem::take(&mut self.any) {
            return;
        }
        if self.second.is_none() && self.closed.len() < INTERVALS_MAX {
            let from_intended = |stage| {
                let all = Series::all().filter(move |it| it.stage == stage && it.from == From::Intended);
                all.map(|series| &self.open[series.index()])
            };
            self.closed.push(IntervalFigures::new(self.number, Stage::ALL.map(|stage| from_intended(stage))));
        }
        for series in Series::all() {
            let tag = series.tag();
            let histogram = &mut self.open[series.index()];
            let seconds = (self.number * self.interval_ns, self.interval_ns);
            line(&mut self.text, &mut self.left_out, seconds, (&tag, histogram));
        }
        for size in &mut self.sizes {
            for series in Series::all().filter(|series| series.from == From::Intended) {
                let tag = series.tag() + &size.tag;
                let histogram = &mut size.open[series.index()];
                let seconds = (self.number * self.interval_ns, self.interval_ns);
                line(&mut self.text, &mut self.left_out, seconds, (&tag, histogram));
            }
        }
    }
}

/// Writes what an interval (its begin and its length, in nanoseconds) has recorded, and begins it anew.
fn line(
    text: &mut String,
    left_out: &mut u64,
    (start_ns, length_ns): (u64, u64),
    (tag, histogram): (&str, &mut Histogram<u64>),
) {
    if histogram.is_empty() {
        return;
    }
    if text.len() >= HLOG_BYTES_MAX {
        *left_out += 1;
        histogram.reset();
        return;
    }
    let mut compressed = Vec::new();
    V2DeflateSerializer::new()
        .serialize(histogram, &mut compressed)
        .expect("a histogram of bounded values fits into memory");
    let seconds = |ns: u64| format!("{}.{:03}", ns / 1_000_000_000, ns / 1_000_000 % 1_000);
    let max_ms = histogram.max() as f64 / 1e3;
    write!(text, "Tag={tag},{},{},{max_ms:.3},", seconds(start_ns), seconds(length_ns))
        .expect("writing to a string never fails");
    base64(&compressed, text);
    text.push('\n');
    histogram.reset();
}

/// RFC 4648, with padding.
pub(crate) fn base64(bytes: &[u8], out: &mut String) {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for group in bytes.chunks(3) {
        let bits =
            group.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        for index in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * index) & 63) as usize];
            out.push(if index <= group.len() { char::from(digit) } else { '=' });
        }
    }
}
