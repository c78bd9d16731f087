//! Payload sizes as a distribution: one range, or several with their shares.

use std::fmt;

use crate::keyed::{Purpose, again, below, draw};
use crate::plan::PAYLOAD_BYTES_MIN;
use crate::units::{Complaint, Share, Sizes, Unit};

const SIZE: Purpose = Purpose::named("load-size");
/// All shares of a mix, in millionths.
const ALL_PPM: u64 = 1_000_000;
/// Ranges of one mix.
const PARTS_MAX: usize = 16;

/// A part of a mix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SizePart {
    /// Uniform within.
    pub sizes: Sizes,
    /// Of all messages, in millionths.
    pub ppm: u32,
}

/// Sizes of payloads: `128 B`, `64..512 B`, `128 B 90%, 4 KiB 10%`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SizeMix(Vec<SizePart>);

impl SizeMix {
    /// One range.
    pub fn one(sizes: Sizes) -> Self {
        Self(vec![SizePart { sizes, ppm: ALL_PPM as u32 }])
    }

    /// Reads what a person writes.
    pub fn from_text(text: &str) -> Result<Self, Complaint> {
        let texts: Vec<&str> = text.split(',').map(str::trim).collect();
        if let [only] = texts[..]
            && !only.ends_with('%')
        {
            return Ok(Self::one(Sizes::from_text(only)?));
        }
        let parts = texts.iter().map(|text| part(text)).collect::<Result<Vec<_>, _>>()?;
        let sum: u64 = parts.iter().map(|part| u64::from(part.ppm)).sum();
        if sum != ALL_PPM || parts.len() > PARTS_MAX {
            let message = format!("the shares of `{text}` add up to {} %", sum as f64 / 1e4);
            return Err(Complaint::new(
                message,
                "at most 16 shares that add up to 100 %: 128 B 90%, 4 KiB 10%",
            ));
        }
        Ok(Self(parts))
    }

    /// The size of a message.
    pub fn of(&self, seed: u64, message: u64) -> u32 {
        let drawn = draw(seed, SIZE, &[message]);
        let mut left = below(drawn, ALL_PPM);
        for part in &self.0 {
            if left < u64::from(part.ppm) {
                let Sizes { min, max } = part.sizes;
                let more = below(again(drawn, 0), u64::from(max - min) + 1) as u32;
                return (min + more).max(PAYLOAD_BYTES_MIN);
            }
            left -= u64::from(part.ppm);
        }
        PAYLOAD_BYTES_MIN
    }

    /// The smallest, the mean and the largest. Bytes.
    pub fn extent(&self) -> (u64, f64, u64) {
        let min = self.0.iter().map(|part| part.sizes.min).min().unwrap_or(0);
        let max = self.0.iter().map(|part| part.sizes.max).max().unwrap_or(0);
        let means = self.0.iter().map(|part| {
            f64::from(part.sizes.min + (part.sizes.max - part.sizes.min) / 2) * f64::from(part.ppm)
                / ALL_PPM as f64
        });
        (u64::from(min), means.sum(), u64::from(max))
    }
}

impl fmt::Display for SizeMix {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [only] = &self.0[..] {
            return write!(formatter, "{}", only.sizes);
        }
        for (number, part) in self.0.iter().enumerate() {
            let comma = if number > 0 { ", " } else { "" };
            write!(formatter, "{comma}{} {}", part.sizes, Share { ppm: part.ppm })?;
        }
        Ok(())
    }
}

fn part(text: &str) -> Result<SizePart, Complaint> {
    let (sizes, share) =
        text.rsplit_once(' ').filter(|(_, share)| share.ends_with('%')).ok_or_else(|| {
            Complaint::new(
                format!("`{text}` has no share"),
                "write a size and its share: 128 B 90%, 4 KiB 10%",
            )
        })?;
    Ok(SizePart { sizes: Sizes::from_text(sizes)?, ppm: Share::from_text(share)?.ppm })
}
