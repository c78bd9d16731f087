//! Durations and delays.

use std::fmt;

use super::{Complaint, Unit, largest_unit, number_and_unit, scaled, unit};
use crate::plan::Delay;

/// Longest time that may be written: a day. Longer absences are expressed by the backlog, not by idle time.
pub(crate) const TIME_NS_MAX: u64 = 24 * 3_600 * 1_000_000_000;

const UNITS: [(&str, u64); 6] = [
    ("ns", 1),
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("min", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// A duration, in nanoseconds: "250ms", "1.5s", "2 min".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Time(pub u64);

impl Time {
    /// That many milliseconds.
    pub const fn ms(milliseconds: u64) -> Self {
        Self(milliseconds * 1_000_000)
    }
    /// That many seconds.
    pub const fn s(seconds: u64) -> Self {
        Self(seconds * 1_000_000_000)
    }
}

unit!(Time);
impl Unit for Time {
    const NAME: &'static str = "duration";
    const EXAMPLES: &'static str = "\"30s\", \"250ms\", \"1.5 min\"";
    const PATTERN: &'static str = r"^\s*[0-9][0-9_]*(\.[0-9_]+)?\s*(ns|us|µs|ms|s|m|min|h)\s*$";

    fn from_text(text: &str) -> Result<Self, Complaint> {
        let (number, name) = number_and_unit(text);
        let factor = match name {
            "" => return Err(no_unit::<Self>(text)),
            "µs" | "μs" => 1_000,
            "m" => 60_000_000_000,
            "d" | "day" | "days" => {
                let hint = format!(
                    "at most {}; for a long absence, say how much piles up meanwhile",
                    Self(TIME_NS_MAX)
                );
                return Err(Complaint::new("days cannot be waited for", hint));
            }
            name => {
                UNITS.iter().find(|(unit, _)| *unit == name).map(|(_, factor)| *factor).ok_or_else(|| {
                    let hint = "units of time are ns, us, ms, s, min, h";
                    Complaint::new(format!("`{name}` is not a unit of time"), hint)
                })?
            }
        };
        let ns = scaled(number, factor).map_err(|message| Complaint::new(message, ""))?;
        if ns > TIME_NS_MAX {
            let hint = format!("the longest time is {}", Self(TIME_NS_MAX));
            return Err(Complaint::new(format!("`{}` is too long", text.trim()), hint));
        }
        Ok(Self(ns))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return formatter.write_str("0s");
        }
        let (number, name) = largest_unit(self.0, &UNITS);
        write!(formatter, "{number}{name}")
    }
}

/// A jump, in nanoseconds: "+30s", "-2 min".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct SignedTime(pub i64);

unit!(SignedTime);
impl Unit for SignedTime {
    const NAME: &'static str = "signed-duration";
    const EXAMPLES: &'static str = "\"+30s\", \"-250ms\"";
    const PATTERN: &'static str = r"^\s*[+-]?\s*[0-9][0-9_]*(\.[0-9_]+)?\s*(ns|us|µs|ms|s|m|min|h)\s*$";

    fn from_text(text: &str) -> Result<Self, Complaint> {
        let trimmed = text.trim();
        let (sign, rest) = match trimmed.strip_prefix('-') {
            Some(rest) => (-1, rest),
            None => (1, trimmed.strip_prefix('+').unwrap_or(trimmed)),
        };
        // At most TIME_NS_MAX: fits.
        Time::from_text(rest).map(|time| Self(sign * time.0 as i64))
    }
}

impl fmt::Display for SignedTime {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "+" };
        write!(formatter, "{sign}{}", Time(self.0.unsigned_abs()))
    }
}

/// A delay or a distribution of delays: "40ms", "20ms..80ms", "normal(80ms, 20ms)", "pareto(20ms, 1.5, 2s)".
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DelaySpec(pub Delay);

unit!(DelaySpec);
impl Unit for DelaySpec {
    const NAME: &'static str = "delay";
    const EXAMPLES: &'static str =
        "\"40ms\", \"20..80ms\", \"normal(80ms, 20ms)\", \"pareto(20ms, 1.5, 2s)\"";
    const PATTERN: &'static str =
        r"^\s*([0-9][^.]*|[0-9].*\.\..*|normal\s*\(.+,.+\)|pareto\s*\(.+,.+,.+\)|[0-9]+\.[0-9].*)\s*$";

    fn from_text(text: &str) -> Result<Self, Complaint> {
        let trimmed = text.trim();
        if let Some((name, rest)) = trimmed.split_once('(') {
            let arguments = rest.strip_suffix(')').ok_or_else(|| {
                Complaint::new(
                    format!("`{trimmed}` lacks its closing bracket"),
                    format!("write {}", Self::EXAMPLES),
                )
            })?;
            let arguments: Vec<&str> = arguments.split(',').map(str::trim).collect();
            return distribution(name.trim(), &arguments).map(Self);
        }
        let Some((low, high)) = trimmed.split_once("..") else {
            return Time::from_text(trimmed).map(|time| Self(Delay::Fixed { ns: time.0 }));
        };
        let high = high.trim();
        let (_, unit) = number_and_unit(high);
        let (_, own) = number_and_unit(low);
        let max = Time::from_text(high)?;
        let min =
            if own.is_empty() { Time::from_text(&format!("{low}{unit}"))? } else { Time::from_text(low)? };
        if min > max {
            return Err(Complaint::new(format!("`{trimmed}` is empty"), "the smaller bound stands first"));
        }
        Ok(Self(Delay::Uniform { min_ns: min.0, max_ns: max.0 }))
    }
}

impl fmt::Display for DelaySpec {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Delay::Fixed { ns } => Time(ns).fmt(formatter),
            Delay::Uniform { min_ns, max_ns } => write!(formatter, "{}..{}", Time(min_ns), Time(max_ns)),
            Delay::Normal { mean_ns, deviation_ns } => {
                write!(formatter, "normal({}, {})", Time(mean_ns), Time(deviation_ns))
            }
            Delay::Pareto { scale_ns, shape_milli, max_ns } => {
                let (whole, rest) = (shape_milli / 1_000, shape_milli % 1_000);
                write!(formatter, "pareto({}, {whole}.{rest:03}, {})", Time(scale_ns), Time(max_ns))
            }
        }
    }
}

fn distribution(name: &str, arguments: &[&str]) -> Result<Delay, Complaint> {
    match (name, arguments) {
        ("normal", [mean, deviation]) => Ok(Delay::Normal {
            mean_ns: Time::from_text(mean)?.0,
            deviation_ns: Time::from_text(deviation)?.0,
        }),
        ("pareto", [scale, shape, max]) => pareto(scale, shape, max),
        ("normal", _) => Err(Complaint::new(
            "`normal` takes two values",
            "mean and standard deviation: \"normal(80ms, 20ms)\"",
        )),
        ("pareto", _) => Err(Complaint::new(
            "`pareto` takes three values",
            "smallest, tail index and largest: \"pareto(20ms, 1.5, 2s)\"",
        )),
        (name, _) => {
            let hint = format!("write {}", DelaySpec::EXAMPLES);
            Err(Complaint::new(format!("`{name}` is not a distribution of delays"), hint))
        }
    }
}

fn pareto(scale: &str, shape: &str, max: &str) -> Result<Delay, Complaint> {
    let (scale, max) = (Time::from_text(scale)?, Time::from_text(max)?);
    let shape_milli = scaled(shape, 1_000).map_err(|message| Complaint::new(message, ""))?;
    let shape_milli =
        u32::try_from(shape_milli).ok().filter(|shape| (100..=100_000).contains(shape)).ok_or_else(|| {
            Complaint::new(format!("tail index `{shape}` is out of range"), "it lies between 0.1 and 100")
        })?;
    if scale.0 == 0 || scale > max {
        let hint = "the smallest value stands first and is greater than 0, the largest stands last";
        return Err(Complaint::new("this pareto distribution is empty", hint));
    }
    Ok(Delay::Pareto { scale_ns: scale.0, shape_milli, max_ns: max.0 })
}

fn no_unit<U: Unit>(text: &str) -> Complaint {
    let trimmed = text.trim();
    if trimmed.is_empty() {
        return Complaint::new("the text is empty", format!("write {}", U::EXAMPLES));
    }
    Complaint::new(format!("`{trimmed}` has no unit"), format!("write {}", U::EXAMPLES))
}
