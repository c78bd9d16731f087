//! Live figures in Prometheus's text format (version 0.0.4). Names and units by its conventions: base units, `_total` for counters.

use std::fmt::Write as _;

use super::LiveFigures;

/// Upper bounds of the classic histogram's buckets. Seconds.
pub const BOUNDS_S: [f64; 14] =
    [0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

/// One stage's latencies so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Buckets {
    /// How many were at most each of [`BOUNDS_S`].
    pub at_most: [u64; BOUNDS_S.len()],
    /// How many there are.
    pub count: u64,
    /// Their sum. Seconds.
    pub sum_s: f64,
}

/// All figures as text.
pub fn exposition(figures: &LiveFigures) -> String {
    let mut text = String::new();
    let totals = figures.totals;
    for (name, help, value) in [
        ("messages_sent_total", "Messages that were sent.", totals.sent),
        ("messages_accepted_total", "Messages that were acknowledged to their sender.", totals.accepted),
        ("messages_refused_total", "Messages that were definitely refused.", totals.refused),
        ("messages_unknown_total", "Messages whose outcome nobody knows.", totals.unknown),
        ("deliveries_total", "Messages that reached an application, per recipient.", figures.delivered),
        ("payload_bytes_total", "Bytes of payload that were sent.", totals.payload_bytes),
        ("disconnects_total", "Connections that ended without being asked to.", totals.disconnects),
    ] {
        let _ = write!(
            text,
            "# HELP avouch_load_{name} {help}\n# TYPE avouch_load_{name} counter\navouch_load_{name} {value}\n"
        );
    }
    let name = "avouch_load_messages_outstanding";
    let _ = write!(
        text,
        "# HELP {name} Messages without an outcome.\n# TYPE {name} gauge\n{name} {}\n",
        figures.outstanding
    );
    let name = "avouch_load_faults_active";
    let _ = write!(
        text,
        "# HELP {name} Faults that are active.\n# TYPE {name} gauge\n{name} {}\n",
        figures.faults.len()
    );
    let name = "avouch_load_latency_seconds";
    let _ = write!(text, "# HELP {name} Latency from the intended send.\n# TYPE {name} histogram\n");
    for (stage, buckets) in ["accepted", "delivered"].into_iter().zip(&figures.buckets) {
        for (bound, count) in BOUNDS_S.into_iter().zip(buckets.at_most) {
            let _ = writeln!(text, "{name}_bucket{{stage=\"{stage}\",le=\"{bound}\"}} {count}");
        }
        let Buckets { count, sum_s, .. } = buckets;
        let _ = writeln!(text, "{name}_bucket{{stage=\"{stage}\",le=\"+Inf\"}} {count}");
        let _ = write!(
            text,
            "{name}_sum{{stage=\"{stage}\"}} {sum_s}\n{name}_count{{stage=\"{stage}\"}} {count}\n"
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sample_has_a_name_a_type_and_a_number() {
        let buckets = Buckets { at_most: [3; BOUNDS_S.len()], count: 4, sum_s: 1.5 };
        let figures =
            LiveFigures { delivered: 7, buckets: [buckets, Buckets::default()], ..LiveFigures::default() };
        let text = exposition(&figures);
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let (name, value) = line.rsplit_once(' ').unwrap();
            let bare = name.split('{').next().unwrap();
            let family = ["_bucket", "_sum", "_count"]
                .iter()
                .fold(bare, |bare, end| bare.strip_suffix(end).unwrap_or(bare));
            assert!(text.contains(&format!("# TYPE {family} ")), "{line}");
            assert!(value.parse::<f64>().unwrap().is_finite(), "{line}");
        }
        assert!(text.contains("avouch_load_deliveries_total 7\n"));
        assert!(text.contains("avouch_load_latency_seconds_bucket{stage=\"accepted\",le=\"0.00025\"} 3\n"));
        assert!(text.contains("avouch_load_latency_seconds_bucket{stage=\"accepted\",le=\"+Inf\"} 4\n"));
    }
}
