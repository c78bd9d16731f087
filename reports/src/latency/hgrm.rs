//! Percentile distributions as text (`.hgrm`), as the plotters of `HdrHistogram` read them. Values in milliseconds.
//!
//! The steps are computed here, as the implementations in Java and JavaScript do: the crate's iterator rounds a quantile up to the
//! next sample where it falls on one exactly (the 1,899th of 2,532 at 75 %).

use std::io::{self, Write};

use hdrhistogram::Histogram;

/// How many steps per halving of what is left to 100 %.
const TICKS_PER_HALF: f64 = 5.0;

/// Writes the distribution of a histogram of microseconds.
pub fn write_hgrm(histogram: &Histogram<u64>, out: &mut dyn Write) -> io::Result<()> {
    write!(out, "{:>12} {:>14} {:>10} {:>14}\n\n", "Value", "Percentile", "TotalCount", "1/(1-Percentile)")?;
    let (mut up_to, mut level, total) = (0_u64, 0.0_f64, histogram.len());
    for step in histogram.iter_recorded() {
        up_to += step.count_at_value();
        let value_us = histogram.highest_equivalent(step.value_iterated_to());
        while 100.0 * up_to as f64 / total as f64 >= level {
            line(value_us, level / 100.0, up_to, out)?;
            // All samples are below: what is left is the maximum at 100 %.
            if up_to == total {
                break;
            }
            let halvings = (100.0 / (100.0 - level)).log2().floor() + 1.0;
            level += 100.0 / (TICKS_PER_HALF * halvings.exp2());
        }
    }
    if total > 0 {
        line(histogram.max(), 1.0, total, out)?;
    }
    let (mean_ms, deviation_ms) = (histogram.mean() / 1e3, histogram.stdev() / 1e3);
    writeln!(out, "#[Mean    = {mean_ms:12.3}, StdDeviation   = {deviation_ms:12.3}]")?;
    let max_ms = histogram.max() as f64 / 1e3;
    writeln!(out, "#[Max     = {max_ms:12.3}, Total count    = {:12}]", histogram.len())?;
    let sub_buckets = 2 * 10_u64.pow(u32::from(histogram.sigfig()));
    writeln!(
        out,
        "#[Buckets = {:12}, SubBuckets     = {:12}]",
        histogram.buckets(),
        sub_buckets.next_power_of_two()
    )
}

fn line(value_us: u64, quantile: f64, up_to: u64, out: &mut dyn Write) -> io::Result<()> {
    let value_ms = value_us as f64 / 1e3;
    write!(out, "{value_ms:12.3} {quantile:14.12} {up_to:10}")?;
    if quantile < 1.0 {
        writeln!(out, " {:14.2}", 1.0 / (1.0 - quantile))
    } else {
        writeln!(out, " {:>14}", "inf")
    }
}
