//! A comparison of load tests for a person: what follows, then percentile by percentile.

use std::io::{self, Write};

use crate::compare::{Compared, Comparison, Side};
use crate::escape::visible;
use crate::latency::{name_of_percentile, show_us};

/// For a person.
pub fn write_comparison_text(comparison: &Comparison, out: &mut dyn Write) -> io::Result<()> {
    if let Some(obstacle) = &comparison.obstacle {
        return writeln!(out, "CANNOT BE COMPARED: {}", visible(&obstacle.to_string()));
    }
    let [one, other] = &comparison.sides;
    writeln!(
        out,
        "{}: {} against {}",
        comparison.change.words().to_uppercase(),
        side_words(other),
        side_words(one)
    )?;
    comparison.compared.iter().try_for_each(|it| writeln!(out, "{}", line(it)))?;
    if let Some((slower, faster)) = comparison.contrary() {
        let (slower, faster) = (percentiles(slower), percentiles(faster));
        writeln!(out, "  contrary: {slower} slower and {faster} faster; the worst counts")?;
    }
    for (name, side) in [("first", one), ("second", other)] {
        let missing = side.missing();
        if missing > 0 {
            writeln!(
                out,
                "  {missing} deliveries are missing on the {name} side: a fast server that loses is not fast"
            )?;
        }
    }
    Ok(())
}

fn percentiles(count: u64) -> String {
    super::plural(count, "percentile is", "percentiles are")
}

fn side_words(side: &Side) -> String {
    let target = side.runs.first().map(|run| visible(&run.record.target)).unwrap_or_default();
    format!("{target} ({})", super::plural(side.runs.len() as u64, "run", "runs"))
}

fn line(it: &Compared) -> String {
    let show = |us: Option<u64>| us.map_or_else(|| "never".to_owned(), show_us);
    let name = format!("{} {}", it.stage.name(), name_of_percentile(it.percentile_milli));
    let values = format!("  {name:<16}{:>11} → {:<11}", show(it.us[0]), show(it.us[1]));
    let ratio = it.ratio.map_or_else(String::new, |(ratio, low, high)| {
        format!("{:+.1} % (99 %: {:+.1} to {:+.1} %)  ", percent(ratio), percent(low), percent(high))
    });
    let why = if it.why.is_empty() { String::new() } else { format!(": {}", it.why) };
    format!("{values}{ratio}{}{why}", it.change.words())
}

/// How much more than nothing a ratio is.
pub(super) fn percent(ratio: f64) -> f64 {
    (ratio - 1.0) * 100.0
}
