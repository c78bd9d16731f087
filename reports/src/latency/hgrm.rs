//! Percentile distributions as text (`.hgrm`), as the plotters of `HdrHistogram` read them. Values in milliseconds.

use std::io::{self, Write};

use hdrhistogram::Histogram;

/// How many steps per halving of what is left to 100 %.
const TICKS_PER_HALF: u32 = 5;

/// Writes the distribution of a histogram of microseconds.
pub fn write_hgrm(histogram: &Histogram<u64>, out: &mut dyn Write) -> io::Result<()> {
    write!(out, "{:>12} {:>14} {:>10} {:>14}\n\n", "Value", "Percentile", "TotalCount", "1/(1-Percentile)")?;
    let mut total = 0;
    for step in histogram.iter_quantiles(TICKS_PER_HALF) {
        total += step.count_since_last_iteration();
        let value_ms = step.value_iterated_to() as f64 / 1e3;
        let quantile = step.quantile_iterated_to();
        write!(out, "{value_ms:12.3} {quantile:14.12} {total:10}")?;
        if quantile < 1.0 {
            writeln!(out, " {:14.2}", 1.0 / (1.0 - quantile))?;
        } else {
            writeln!(out, " {:>14}", "inf")?;
        }
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
