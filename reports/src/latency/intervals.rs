//! Reads interval logs (`.hlog`, format 1.2, V2 histograms with or without DEFLATE), of this tool and of others.
//!
//! Memory is bounded by one line: whatever a histogram's header claims, only the counts that are there are kept. It does
//! not build histograms: a reader mostly wants the few hundred values that an interval holds.

use std::io::{BufRead, Read};

use flate2::read::ZlibDecoder;

use super::{LATENCY_US_MAX, Sparse};

/// Longest line, in bytes.
const LINE_BYTES_MAX: usize = 1_024 * 1_024;
/// Longest histogram, inflated. Bytes.
const HISTOGRAM_BYTES_MAX: u64 = 4 * 1_024 * 1_024;
/// Longest tag, in bytes.
const TAG_BYTES_MAX: usize = 256;
/// Latest begin of an interval and its greatest length, in seconds: ten years.
const TIME_S_MAX: f64 = 315_360_000.0;
/// First bytes of a histogram, with and without DEFLATE; the low half of the last byte says how wide a count is.
const COOKIE_V2: u32 = 0x1c84_9303;
const COOKIE_V2_DEFLATE: u32 = 0x1c84_9304;
/// Length of a V2 histogram's head behind its cookie. Bytes.
const HEAD_BYTES: usize = 36;

/// One line of a log.
#[derive(Clone, Debug, PartialEq)]
pub struct Interval {
    /// Its tag; empty if it has none.
    pub tag: String,
    /// When it began, in nanoseconds since the log's base time.
    pub from_ns: u64,
    /// How long it was, in nanoseconds.
    pub length_ns: u64,
    /// What was recorded, in the log's unit (this tool's: microseconds).
    pub counts: Sparse,
}

/// A log could not be read.
#[derive(Debug, thiserror::Error)]
pub enum IntervalError {
    /// The input failed.
    #[error("line {line}: cannot be read: {cause}")]
    Read {
        /// Its number, from 1.
        line: u64,
        /// Why.
        cause: std::io::Error,
    },
    /// A line is none of a log.
    #[error("line {line}: {why}\nhint: an interval log (.hlog, version 1.2) of V2 histograms is needed")]
    Line {
        /// Its number, from 1.
        line: u64,
        /// Why, in words.
        why: &'static str,
    },
}

/// Reads intervals, one by one: an iterator that ends after the first error.
#[derive(Debug)]
pub struct IntervalReader<R> {
    input: R,
    line: Vec<u8>,
    number: u64,
    failed: bool,
}

impl<R: BufRead> IntervalReader<R> {
    /// Reads from the beginning of a log.
    pub fn new(input: R) -> Self {
        Self { input, line: Vec::new(), number: 0, failed: false }
    }

    fn next_interval(&mut self) -> Result<Option<Interval>, IntervalError> {
        loop {
            self.line.clear();
            self.number += 1;
            let line = self.number;
            let mut bounded = Read::take(&mut self.input, LINE_BYTES_MAX as u64 + 1);
            let read = bounded.read_until(b'\n', &mut self.line);
            read.map_err(|cause| IntervalError::Read { line, cause })?;
            if self.line.is_empty() {
                return Ok(None);
            }
            if self.line.len() > LINE_BYTES_MAX {
                return Err(IntervalError::Line { line, why: "it is too long" });
            }
            let text = std::str::from_utf8(&self.line)
                .map_err(|_| IntervalError::Line { line, why: "it is not text" })?
                .trim_end();
            // Comments, and the heading of the columns.
            if text.is_empty() || text.starts_with('#') || text.starts_with('"') {
                continue;
            }
            return interval(text).map(Some).map_err(|why| IntervalError::Line { line, why });
        }
    }
}

impl<R: BufRead> Iterator for IntervalReader<R> {
    type Item = Result<Interval, IntervalError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let next = self.next_interval();
        self.failed = next.is_err();
        next.transpose()
    }
}

fn interval(text: &str) -> Result<Interval, &'static str> {
    let (tag, rest) = match text.strip_prefix("Tag=") {
        Some(tagged) => tagged.split_once(',').ok_or("a tag is followed by nothing")?,
        None => ("", text),
    };
    if tag.len() > TAG_BYTES_MAX {
        return Err("its tag is too long");
    }
    let mut fields = rest.split(',');
    let mut field = || fields.next().ok_or("it has too few fields");
    let (from, length, _max, packed) = (field()?, field()?, field()?, field()?);
    let counts = histogram(&from_base64(packed).ok_or("its histogram is not base64")?)?;
    Ok(Interval { tag: tag.to_owned(), from_ns: nanoseconds(from)?, length_ns: nanoseconds(length)?, counts })
}

/// Seconds as text, with whatever fraction.
fn nanoseconds(text: &str) -> Result<u64, &'static str> {
    let seconds: f64 = text.trim().parse().map_err(|_| "a time is no number")?;
    if !(0.0..=TIME_S_MAX).contains(&seconds) {
        return Err("a time is out of range");
    }
    Ok((seconds * 1e9).round() as u64)
}

/// RFC 4648, padded or not.
fn from_base64(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut held) = (0_u32, 0);
    for digit in text.trim_end_matches('=').bytes() {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held) as u8);
        }
    }
    Some(bytes)
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn histogram(bytes: &[u8]) -> Result<Sparse, &'static str> {
    const TRUNCATED: &str = "its histogram is cut off";
    // The width of a count is no concern of a variable-length code.
    let is = |cookie: u32, wanted: u32| cookie & !0xf0 == wanted;
    let cookie = number(bytes, 0).ok_or(TRUNCATED)?;
    if is(cookie, COOKIE_V2) {
        return counts(&bytes[4..]);
    }
    if !is(cookie, COOKIE_V2_DEFLATE) {
        return Err("its histogram is of no known version");
    }
    let packed = bytes.get(8..).ok_or(TRUNCATED)?;
    let mut inflated = Vec::new();
    let read = ZlibDecoder::new(packed).take(HISTOGRAM_BYTES_MAX + 1).read_to_end(&mut inflated);
    read.map_err(|_| "its histogram cannot be inflated")?;
    if inflated.len() as u64 > HISTOGRAM_BYTES_MAX {
        return Err("its histogram is too long");
    }
    let inner = number(&inflated, 0).ok_or(TRUNCATED)?;
    if is(inner, COOKIE_V2) { counts(&inflated[4..]) } else { Err("its histogram is of no known version") }
}

/// The counts of a V2 histogram, from behind its cookie.
fn counts(bytes: &[u8]) -> Result<Sparse, &'static str> {
    const TRUNCATED: &str = "its histogram is cut off";
    let length = number(bytes, 0).ok_or(TRUNCATED)? as usize;
    let digits = number(bytes, 8).ok_or(TRUNCATED)?;
    let low = bytes.get(12..20).and_then(|low| low.try_into().ok()).map(u64::from_be_bytes);
    let scale = Scale::new(low.ok_or(TRUNCATED)?, digits).ok_or("its histogram has absurd bounds")?;
    if number(bytes, 4) != Some(0) {
        return Err("its histogram is shifted, which is not supported");
    }
    let mut rest = bytes.get(HEAD_BYTES..HEAD_BYTES.saturating_add(length)).ok_or(TRUNCATED)?;
    let mut found = Sparse::default();
    let mut index = 0_u64;
    while !rest.is_empty() {
        let signed = signed(&mut rest).ok_or(TRUNCATED)?;
        if signed < 0 {
            index = index.saturating_add(signed.unsigned_abs());
        } else {
            let value = scale.value(index).ok_or("its histogram has a value beyond all bounds")?;
            found.add(value.min(LATENCY_US_MAX), signed.unsigned_abs());
            index += 1;
        }
    }
    found.settle();
    Ok(found)
}

/// A number in LEB128 of at most nine bytes, zigzag: negative ones are runs of zeros.
fn signed(rest: &mut &[u8]) -> Option<i64> {
    let mut value = 0_u64;
    for place in 0..9 {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        let bits = if place == 8 { *byte } else { *byte & 0x7f };
        value |= u64::from(bits) << (7 * place);
        if *byte & 0x80 == 0 || place == 8 {
            break;
        }
    }
    Some((value >> 1) as i64 ^ -((value & 1) as i64))
}

/// Which value stands at which index: as `HdrHistogram` lays out its buckets.
struct Scale {
    half_magnitude: u32,
    unit_magnitude: u32,
}

impl Scale {
    fn new(low: u64, digits: u32) -> Option<Self> {
        if low == 0 || !(1..=5).contains(&digits) {
            return None;
        }
        let largest_exact = 2 * 10_u64.pow(digits);
        let half_magnitude = largest_exact.next_power_of_two().trailing_zeros() - 1;
        Some(Self { half_magnitude, unit_magnitude: low.ilog2() })
    }

    /// The lowest value of a bucket; `None` beyond 64 bits.
    fn value(&self, index: u64) -> Option<u64> {
        let half = 1_u64 << self.half_magnitude;
        let (bucket, place) = match (index >> self.half_magnitude).checked_sub(1) {
            None => (0, index),
            Some(bucket) => (bucket, (index & (half - 1)) + half),
        };
        let shift = u32::try_from(bucket).ok()?.checked_add(self.unit_magnitude)?;
        let value = place.checked_shl(shift)?;
        (shift < 64 && value >> shift == place).then_some(value)
    }
}

#[cfg(test)]
mod tests {
    use hdrhistogram::Histogram;
    use hdrhistogram::serialization::{Serializer as _, V2DeflateSerializer, V2Serializer};

    use super::*;

    fn read(text: &str) -> Result<Vec<Interval>, String> {
        IntervalReader::new(text.as_bytes()).collect::<Result<_, _>>().map_err(|error| error.to_string())
    }

    fn base64(bytes: &[u8]) -> String {
        let mut text = String::new();
        super::super::hlog::base64(bytes, &mut text);
        text
    }

    #[test]
    fn every_value_comes_back_as_the_lowest_of_its_bucket() {
        let bounds = [(1, LATENCY_US_MAX, 3), (1, 100_000, 1), (1_000, LATENCY_US_MAX, 5), (7, 1 << 40, 2)];
        for (low, high, digits) in bounds {
            let mut histogram = Histogram::<u64>::new_with_bounds(low, high, digits).unwrap();
            let mut value = low;
            while value < high.min(LATENCY_US_MAX) {
                histogram.record_n(value, value % 1_000 + 1).unwrap();
                value = value + value / 3 + 1;
            }
            let expected: Vec<(u64, u64)> = histogram
                .iter_recorded()
                .map(|step| (histogram.lowest_equivalent(step.value_iterated_to()), step.count_at_value()))
                .collect();
            let (mut plain, mut packed) = (Vec::new(), Vec::new());
            V2Serializer::new().serialize(&histogram, &mut plain).unwrap();
            V2DeflateSerializer::new().serialize(&histogram, &mut packed).unwrap();
            for bytes in [plain, packed] {
                let line = format!("Tag=a,1.500,0.250,3.0,{}", base64(&bytes));
                let read = read(&line).unwrap();
                assert_eq!(read[0].counts.pairs(), expected, "{low} {digits}");
                assert_eq!((read[0].from_ns, read[0].length_ns), (1_500_000_000, 250_000_000));
                assert_eq!(read[0].counts.count(), histogram.len());
            }
        }
    }

    #[test]
    fn whatever_is_no_log_is_refused_in_words() {
        let check = |text: &str, expected: &str| {
            let error = read(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        };
        check("hello", "line 1: it has too few fields");
        check("#[a]\n\nTag=b", "line 3: a tag is followed by nothing");
        check("0,1,2,!!!", "not base64");
        check("0,1,2,AAAA", "cut off");
        check("0,1,2,AAAAAAAAAAAA", "no known version");
        check("x,1,2,HISTEwAAAAA", "its histogram is cut off");
        let mut histogram = Histogram::<u64>::new_with_bounds(1, 1_000, 2).unwrap();
        histogram.record(5).unwrap();
        let mut bytes = Vec::new();
        V2Serializer::new().serialize(&histogram, &mut bytes).unwrap();
        check(&format!("NaN,1,2,{}", base64(&bytes)), "a time is out of range");
        check(&format!("-1,1,2,{}", base64(&bytes)), "a time is out of range");
        check(&format!("0,1e300,2,{}", base64(&bytes)), "a time is out of range");
        for cut in 4..bytes.len() {
            assert!(read(&format!("0,1,2,{}", base64(&bytes[..cut]))).is_err(), "{cut} bytes");
        }
        bytes[15] = 9;
        check(&format!("0,1,2,{}", base64(&bytes)), "absurd bounds");
    }

    #[test]
    fn a_bomb_is_refused() {
        use std::io::Write as _;
        let mut deflated = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
        deflated.write_all(&COOKIE_V2.to_be_bytes()).unwrap();
        deflated.write_all(&vec![0; HISTOGRAM_BYTES_MAX as usize]).unwrap();
        let mut bytes = COOKIE_V2_DEFLATE.to_be_bytes().to_vec();
        bytes.extend([0; 4]);
        bytes.extend(deflated.finish().unwrap());
        let error = read(&format!("0,1,2,{}", base64(&bytes))).unwrap_err();
        assert!(error.contains("too long"), "{error}");
        let error = read(&"x".repeat(LINE_BYTES_MAX + 1)).unwrap_err();
        assert!(error.contains("too long"), "{error}");
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..400)) {
            let _ = histogram(&bytes);
            let _ = counts(&bytes);
            let _ = read(&format!("Tag=a,0,1,2,{}", base64(&bytes)));
            let _ = IntervalReader::new(bytes.as_slice()).count();
        }
    }
}
