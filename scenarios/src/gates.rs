//! Names of latency gates: a stage and a percentile, as in `accepted_p99`.

use std::fmt;

use crate::names::nearest_hint;
use crate::units::{Complaint, Unit, unit};

/// What is measured, each from the intended send.
pub const STAGES: [&str; 3] = ["accepted", "delivered", "receipt"];

/// Which latency is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Gate {
    /// One of [`STAGES`].
    pub stage: &'static str,
    /// In thousandths: 99,900 = p99.9; 100,000 = max.
    pub percentile_milli: u32,
}

impl Gate {
    /// Fewest samples that let this percentile be told: ten beyond it (one for the maximum).
    pub fn samples_min(self) -> u64 {
        match 100_000_u64.saturating_sub(u64::from(self.percentile_milli)) {
            0 => 1,
            beyond => 10 * 100_000 / beyond,
        }
    }
}

unit!(Gate);
impl Unit for Gate {
    const NAME: &'static str = "gate";
    const EXAMPLES: &'static str = "accepted_p99, delivered_p50, receipt_p99_9, accepted_max";
    const PATTERN: &'static str = r"^(accepted|delivered|receipt)_(max|p[0-9]{1,2}(_[0-9]{1,3})?)$";

    fn from_text(text: &str) -> Result<Self, Complaint> {
        let complaint = |message: String, hint: String| Complaint::new(message, hint);
        let Some((stage, percentile)) = text.split_once('_') else {
            return Err(complaint(format!("`{text}` names no latency"), format!("write {}", Self::EXAMPLES)));
        };
        let Some(stage) = STAGES.into_iter().find(|known| *known == stage) else {
            let hint = nearest_hint(stage, STAGES, "stages are accepted, delivered, receipt");
            return Err(complaint(format!("`{stage}` is not a stage of a message"), hint));
        };
        percentile_milli(percentile).map(|percentile_milli| Self { stage, percentile_milli }).ok_or_else(
            || {
                let hint = "percentiles are p50, p90, p99, p99_9 (for 99.9), … and max".to_owned();
                complaint(format!("`{percentile}` is not a percentile"), hint)
            },
        )
    }
}

fn percentile_milli(text: &str) -> Option<u32> {
    if text == "max" {
        return Some(100_000);
    }
    let (whole, fraction) = match text.strip_prefix('p')?.split_once('_') {
        Some((whole, fraction)) => (whole, fraction),
        None => (text.strip_prefix('p')?, "0"),
    };
    let digits = |text: &str, most: usize| {
        (1..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    if !digits(whole, 2) || !digits(fraction, 3) {
        return None;
    }
    let fraction: u32 = format!("{fraction:0<3}").parse().ok()?;
    let milli = whole.parse::<u32>().ok()? * 1_000 + fraction;
    (milli > 0).then_some(milli)
}

impl fmt::Display for Gate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, fraction) = (self.percentile_milli / 1_000, self.percentile_milli % 1_000);
        match (whole, fraction) {
            (100, _) => write!(formatter, "{}_max", self.stage),
            (whole, 0) => write!(formatter, "{}_p{whole}", self.stage),
            (whole, fraction) => {
                let fraction = format!("{fraction:03}");
                write!(formatter, "{}_p{whole}_{}", self.stage, fraction.trim_end_matches('0'))
            }
        }
    }
}
