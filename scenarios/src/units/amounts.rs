//! Rates, sizes and shares.

use std::fmt;

use super::{Complaint, Unit, largest_unit, number_and_unit, scaled, unit};
use crate::plan::PAYLOAD_BYTES_MIN;

/// Fastest rate of events that may be written, per second.
pub(crate) const RATE_PER_S_MAX: u64 = 1_000_000;
/// Largest payload that may be written.
pub(crate) const PAYLOAD_BYTES_MAX: u32 = 16 * 1024 * 1024;

const SIZES: [(&str, u64); 5] =
    [("B", 1), ("kB", 1_000), ("KiB", 1_024), ("MB", 1_000_000), ("MiB", 1_048_576)];

const BYTE_RATES: [(&str, u64); 3] = [("B/s", 1), ("kB/s", 1_000), ("MB/s", 1_000_000)];

const BIT_RATES: [(&str, u64); 3] = [("kbit/s", 125), ("Mbit/s", 125_000), ("Gbit/s", 125_000_000)];

/// Events per second, in millionths: "200/s", "0.5/s", "90/min".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PerSecond {
    /// Millionths of an event per second.
    pub micro: u64,
}

impl PerSecond {
    /// Mean time between two events, in nanoseconds.
    pub fn mean_gap_ns(self) -> f64 {
        1e15 / self.micro as f64
    }
    /// Events to be expected within a time.
    pub fn expected_in(self, ns: u64) -> f64 {
        ns as f64 / self.mean_gap_ns()
    }
}

unit!(PerSecond);
impl Unit for PerSecond {
    const NAME: &'static str = "rate";
    const EXAMPLES: &'static str = "\"200/s\", \"0.5/s\", \"90/min\"";
    const PATTERN: &'static str = r"^\s*[0-9][0-9_]*(\.[0-9_]+)?\s*/\s*(s|min)\s*$";

    fn from_text(text: &str) -> Result<Self, Complaint> {
        let (number, per) = text.split_once('/').ok_or_else(|| {
            let hint = format!("write {}", Self::EXAMPLES);
            Complaint::new(format!("`{}` does not say per what", text.trim()), hint)
        })?;
        let complain = |message| Complaint::new(message, format!("write {}", Self::EXAMPLES));
        let micro = scaled(number.trim(), 1_000_000).map_err(complain)?;
        let micro = match per.trim() {
            "s" => micro,
            "min" | "m" => micro / 60,
            other => return Err(complain(format!("`{other}` is not a unit of time here"))),
        };
        match micro {
            0 => Err(Complaint::new(
                "a rate of 0",
                "write more than 0; in a scenario, leave the key out where nothing is to happen",
            )),
            micro if micro > RATE_PER_S_MAX * 1_000_000 => Err(Complaint::new(
                format!("`{}` is too fast", text.trim()),
                format!("at most {RATE_PER_S_MAX}/s"),
            )),
            micro => Ok(Self { micro }),
        }
    }
}

impl fmt::Display for PerSecond {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.micro / 1_000_000, self.micro % 1_000_000);
        if rest == 0 {
            return write!(formatter, "{whole}/s");
        }
        write!(formatter, "{whole}.{}/s", format!("{rest:06}").trim_end_matches('0'))
    }
}

/// A size or a range of sizes, in bytes: "100 B", "64..512 B", "1 KiB..4 KiB".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Smallest.
    pub min: u32,
    /// Largest.
    pub max: u32,
}

unit!(Sizes);
impl Unit for Sizes {
    const NAME: &'static str = "sizes";
    const EXAMPLES: &'static str = "\"100 B\", \"64..512 B\", \"1..4 kB\"";
    const PATTERN: &'static str =
        r"^\s*[0-9][0-9_.]*\s*(B|kB|KiB|MB|MiB)?\s*(\.\.\s*[0-9][0-9_.]*\s*(B|kB|KiB|MB|MiB))?\s*$";

    fn from_text(text: &str) -> Result<Self, Complaint> {
        let trimmed = text.trim();
        let (low, high) = match trimmed.split_once("..") {
            Some((low, high)) => (Some(low.trim()), high.trim()),
            None => (None, trimmed),
        };
        let max = size(high)?;
        let min = match low {
            None => max,
            Some(low) if number_and_unit(low).1.is_empty() => {
                size(&format!("{low} {}", number_and_unit(high).1))?
            }
            Some(low) => size(low)?,
        };
        if min > max {
            return Err(Complaint::new(format!("`{trimmed}` is empty"), "the smaller size stands first"));
        }
        Ok(Self { min, max })
    }
}

impl fmt::Display for Sizes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.min == self.max {
            write!(formatter, "{} B", self.min)
        } else {
            write!(formatter, "{}..{} B", self.min, self.max)
        }
    }
}

fn size(text: &str) -> Result<u32, Complaint> {
    let (number, name) = number_and_unit(text);
    let hint = "units of size are B, kB (1,000 B), KiB (1,024 B), MB, MiB";
    let (_, factor) = SIZES.iter().find(|(unit, _)| *unit == name).ok_or_else(|| {
        let message = if name.is_empty() {
            format!("`{text}` has no unit")
        } else {
            format!("`{name}` is not a unit of size")
        };
        Complaint::new(message, hint)
    })?;
    let bytes = scaled(number, *factor).map_err(|message| Complaint::new(message, hint))?;
    if bytes < u64::from(PAYLOAD_BYTES_MIN) {
        let why = "a payload carries the tool's own id and check";
        return Err(Complaint::new(
            format!("{bytes} B is too small"),
            format!("at least {PAYLOAD_BYTES_MIN} B: {why}"),
        ));
    }
    if bytes > u64::from(PAYLOAD_BYTES_MAX) {
        return Err(Complaint::new(
            format!("{bytes} B is too large"),
            format!("at most {PAYLOAD_BYTES_MAX} B"),
        ));
    }
    Ok(bytes as u32)
}

/// Bytes per second: "10 kB/s", "9 Mbit/s".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteRate(pub u64);

unit!(ByteRate);
impl Unit for ByteRate {
    const NAME: &'static str = "byte-rate";
    const EXAMPLES: &'static str = "\"10 kB/s\", \"1.5 MB/s\", \"9 Mbit/s\"";
    const PATTERN: &'static str = r"^\s*[0-9][0-9_]*(\.[0-9_]+)?\s*(B|kB|MB|kbit|Mbit|Gbit)/s\s*$";

    fn from_text(text: &str) -> Result<Self, Complaint> {
        let (number, name) = number_and_unit(text);
        let hint = "units are B/s, kB/s, MB/s, kbit/s, Mbit/s, Gbit/s";
        let (_, factor) =
            BYTE_RATES.iter().chain(&BIT_RATES).find(|(unit, _)| *unit == name).ok_or_else(|| {
                let message = if name.is_empty() {
                    format!("`{}` has no unit", text.trim())
                } else {
                    format!("`{name}` is not a unit of bandwidth")
                };
                Complaint::new(message, hint)
            })?;
        match scaled(number, *factor).map_err(|message| Complaint::new(message, hint))? {
            0 => Err(Complaint::new("a bandwidth of 0", "`stall` is the fault that lets nothing pass")),
            rate => Ok(Self(rate)),
        }
    }
}

impl fmt::Display for ByteRate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (number, name) = largest_unit(self.0, &BYTE_RATES);
        write!(formatter, "{number} {name}")
    }
}

/// A share of a whole, in millionths: "30%", 0.02.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Share {
    /// Millionths, at most 1,000,000.
    pub ppm: u32,
}

impl Share {
    /// Everything.
    pub const ALL: Self = Self { ppm: 1_000_000 };
}

unit!(Share);
impl Unit for Share {
    const NAME: &'static str = "share";
    const EXAMPLES: &'static str = "0.02, \"2%\"";
    const PATTERN: &'static str = r"^\s*[0-9][0-9_]*(\.[0-9_]+)?\s*%\s*$";
    const NUMBERS: bool = true;

    fn from_text(text: &str) -> Result<Self, Complaint> {
        let number = text.trim().strip_suffix('%').ok_or_else(|| {
            Complaint::new(format!("`{}` is not a share", text.trim()), format!("write {}", Self::EXAMPLES))
        })?;
        let ppm = scaled(number.trim(), 10_000).map_err(|message| Complaint::new(message, ""))?;
        match u32::try_from(ppm) {
            Ok(ppm) if ppm <= 1_000_000 => Ok(Self { ppm }),
            _ => Err(Complaint::new(
                format!("{} is more than the whole", text.trim()),
                "a share is at most 100%",
            )),
        }
    }

    fn from_number(number: f64) -> Result<Self, Complaint> {
        if number.is_nan() || number < 0.0 {
            return Err(Complaint::new(format!("{number} is not a share"), "it lies between 0 and 1"));
        }
        if number > 1.0 {
            let hint = format!("it lies between 0 and 1; for percent write \"{number}%\"");
            return Err(Complaint::new(format!("{number} is more than the whole"), hint));
        }
        Ok(Self { ppm: (number * 1e6).round() as u32 })
    }
}

impl fmt::Display for Share {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.ppm / 10_000, self.ppm % 10_000);
        if rest == 0 {
            return write!(formatter, "{whole}%");
        }
        write!(formatter, "{whole}.{}%", format!("{rest:04}").trim_end_matches('0'))
    }
}
