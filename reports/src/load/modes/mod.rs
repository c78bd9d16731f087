//! What stands out in how latencies are spread, and what it looks like, in plain words.
//!
//! A *peak* is a group of latencies with clearly fewer on either side, told apart from chance. A server that takes its time has one
//! wide peak, and nothing is said of it. What is said has a cause that is known to be that long (a delayed acknowledgement, a
//! timer, the gap between two sends), and only where the peak is narrow; or it is a second group, of which only the place is
//! said. It is never more than "looks like": a histogram has no memory of what it waited for.
//!
//! Latencies count from the actual send here, so that this tool's own lateness is no peak, and outside of faults; only how long the
//! longest are is held against the faults themselves.

mod peaks;
#[cfg(test)]
mod tests;

use hdrhistogram::Histogram;

use super::FaultWindow;
use crate::latency::{From, LatencyRecorder, Series, Stage, Window, show_us};
use peaks::{Peak, Spread};

/// Nagle's algorithm holds a small write until all before it is acknowledged, and Linux delays an acknowledgement by 40 ms at
/// least (`TCP_DELACK_MIN`), up to the next tick of its clock (4 ms on most). What the answer takes otherwise comes on top: so such a
/// peak begins steeply at 40 ms, and is as wide as the latencies of those who did not wait.
const DELAYED_ACK_US: (f64, f64) = (39_000.0, 46_000.0);
/// The latency of those who did not wait counts up to this: with slower ones, 40 ms more is nothing that could be told apart.
const BESIDE_DELAY_US_MAX: f64 = 10_000.0;
/// Linux sends again after 200 ms at the earliest (`TCP_RTO_MIN`); other systems delay acknowledgements by that.
const RETRANSMISSION_US: (f64, f64) = (195_000.0, 216_000.0);
/// Ticks of timers: of systems at 100 and 250 interrupts a second, and of event loops that count in milliseconds.
const TICKS_US: [u64; 3] = [10_000, 4_000, 1_000];
/// A single tick's peak begins about at the tick and goes on for what else there was to do.
const TICK_FROM: f64 = 0.97;
const TICK_SLACK: f64 = 1.08;
/// A peak may be off the gap by this share.
const GAP_SLACK: f64 = 0.06;
/// A median may be off what the gap would make of it by this share.
const MEDIAN_SLACK: f64 = 0.15;
/// Acknowledgements that wait for the next send come so many times later than the deliveries, which do not.
const WAITED_FOR: u64 = 4;
/// The longest latencies may be off a fault's length by these shares.
const FAULT_SLACK: (f64, f64) = (0.93, 1.10);
/// So many must have taken half of the fault's time.
const FAULT_SAMPLES_MIN: u64 = 10;
/// Peaks without a cause that are told, per stage: the largest.
const NAMELESS_MAX: usize = 2;
/// A peak without a cause has this share of the samples at least.
const NAMELESS_SHARE_MIN: f64 = 0.005;

/// What is known of the sends.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Gap {
    /// Mean time between two sends of one sender.
    pub mean_us: f64,
    /// They are all equal; otherwise independent of each other.
    pub is_equal: bool,
}

/// Everything that stands out. `gap`: where the rate stays the same.
pub fn modes_seen(latency: &LatencyRecorder, gap: Option<Gap>, faults: &[FaultWindow]) -> Vec<String> {
    let outside = |stage| latency.total(Series { stage, from: From::Sent, window: Window::Outside });
    let mut told = Vec::new();
    for stage in Stage::ALL {
        told.extend(of_stage(stage.name(), outside(stage), gap));
    }
    let [accepted, delivered] = [Stage::Accepted, Stage::Delivered].map(outside);
    told.extend(gap.and_then(|gap| waits_for_the_next(accepted, delivered, gap)));
    told.extend(faults.iter().filter_map(|fault| as_long_as(fault, latency)));
    told
}

fn of_stage(name: &str, histogram: &Histogram<u64>, gap: Option<Gap>) -> Vec<String> {
    let peaks = Spread::of(histogram).peaks();
    let samples = histogram.len();
    let beside_us = undelayed_us(histogram).min(BESIDE_DELAY_US_MAX);
    // A wide peak is lower than a narrow one that holds less; where half of all lie around is no group apart.
    let median_us = histogram.value_at_quantile(0.5) as f64;
    let is_bulk = |peak: &Peak| (0.5..2.0).contains(&(peak.at_us / median_us));
    let comb = TICKS_US.into_iter().find(|tick_us| peaks::is_comb(histogram, *tick_us));
    let ticks: Vec<u64> = comb.into_iter().chain(peaks.iter().filter_map(tick)).collect();
    let mut told = Vec::new();
    let mut nameless: Vec<&Peak> = Vec::new();
    for peak in &peaks {
        // Where there is a comb, the next tooth's begin is no tail of this one.
        let alone = Peak { is_steep: peak.is_steep && comb.is_none(), ..*peak };
        let mut causes = causes(&alone, gap, beside_us);
        // Of a comb its teeth are not told one by one.
        causes.extend(tick(peak).filter(|_| comb.is_none()).map(words_of_tick));
        if !causes.is_empty() {
            told.push(format!("{}: this looks like {}", gather(name, peak, samples), causes.join(", or ")));
        } else if !peak.is_highest
            && !is_bulk(peak)
            && peak.count as f64 >= samples as f64 * NAMELESS_SHARE_MIN
            && !ticks.iter().any(|tick_us| is_multiple(peak, *tick_us))
        {
            nameless.push(peak);
        }
    }
    told.extend(comb.map(|tick_us| words_of_comb(name, tick_us, gap)));
    nameless.sort_by_key(|peak| std::cmp::Reverse(peak.count));
    let words =
        |peak: &&Peak| format!("{}, apart from the rest; no cause is known", gather(name, peak, samples));
    told.extend(nameless.iter().take(NAMELESS_MAX).map(words));
    told
}

/// `accepted: 120 of 5000 latencies gather around 41.2 ms`.
fn gather(name: &str, peak: &Peak, samples: u64) -> String {
    format!("{name}: {} of {samples} latencies gather around {}", peak.count, show_us(peak.at_us as u64))
}

/// The median of those who cannot have waited for a delayed acknowledgement; 0 = there are none.
fn undelayed_us(histogram: &Histogram<u64>) -> f64 {
    let below_us = DELAYED_ACK_US.0 as u64;
    let half = histogram.count_between(0, below_us).div_ceil(2);
    let mut seen = 0;
    let median =
        histogram.iter_recorded().take_while(|step| step.value_iterated_to() < below_us).find(|step| {
            seen += step.count_at_value();
            seen >= half
        });
    median.map_or(0.0, |step| step.value_iterated_to() as f64)
}

/// What is known to be as long as a peak; `beside_us`: what those took who did not wait.
fn causes(peak: &Peak, gap: Option<Gap>, beside_us: f64) -> Vec<String> {
    let mut causes = Vec::new();
    let within = |(from, to): (f64, f64)| (from..=to).contains(&peak.at_us);
    let as_gap =
        |gap: &Gap| peak.is_narrow && gap.is_equal && (peak.at_us / gap.mean_us - 1.0).abs() <= GAP_SLACK;
    if let Some(gap) = gap.filter(as_gap) {
        causes.push(format!(
            "an answer that waits for its sender's next message, which comes after {}",
            show_us(gap.mean_us as u64)
        ));
    }
    let (from_us, to_us) = DELAYED_ACK_US;
    if within(DELAYED_ACK_US) && peak.is_narrow || within((from_us, to_us + beside_us)) && peak.is_steep {
        causes.push(
            "Nagle's algorithm waiting for a delayed acknowledgement (40 ms on Linux); TCP_NODELAY at the server ends that"
                .to_owned(),
        );
    }
    if within(RETRANSMISSION_US) && peak.is_narrow {
        causes.push("something that was lost and sent again (after 200 ms on Linux), or an acknowledgement delayed by 200 ms".to_owned());
    }
    causes
}

/// The tick that a narrow peak is as long as.
fn tick(peak: &Peak) -> Option<u64> {
    let is_of = |tick: &u64| {
        let ticks = peak.at_us / *tick as f64;
        (TICK_FROM..=TICK_SLACK).contains(&ticks)
    };
    TICKS_US.into_iter().find(is_of).filter(|_| peak.is_narrow)
}

/// Whether a peak is where several ticks are over.
fn is_multiple(peak: &Peak, tick_us: u64) -> bool {
    let ticks = peak.at_us / tick_us as f64;
    ticks > 0.5 && (ticks - ticks.round()).abs() <= TICK_SLACK - 1.0
}

/// A scheduler hands a busy processor on at its own ticks.
fn words_of_tick(tick_us: u64) -> String {
    format!(
        "ticks of {}: of a timer, or of a system whose processors have more to do than they can",
        show_us(tick_us)
    )
}

/// Several peaks at the multiples of a tick.
fn words_of_comb(name: &str, tick_us: u64, gap: Option<Gap>) -> String {
    let own = if gap.is_some_and(|gap| gap.is_equal) {
        "; sends come at equal gaps, which can do the same"
    } else {
        ""
    };
    let tick = show_us(tick_us);
    format!(
        "{name}: latencies gather at multiples of {tick}: this looks like {}{own}",
        words_of_tick(tick_us)
    )
}

/// Acknowledgements that leave the server with the answer to something later; as far as the gaps let it be seen.
fn waits_for_the_next(accepted: &Histogram<u64>, delivered: &Histogram<u64>, gap: Gap) -> Option<String> {
    if gap.is_equal || accepted.len() < peaks::SAMPLES_MIN || delivered.len() < peaks::SAMPLES_MIN {
        return None;
    }
    let [accepted_us, delivered_us] = [accepted, delivered].map(|it| it.value_at_quantile(0.5));
    // Gaps that are independent of each other are exponential.
    let expected_us = gap.mean_us * std::f64::consts::LN_2;
    let fits = (accepted_us as f64 / expected_us - 1.0).abs() <= MEDIAN_SLACK;
    (fits && accepted_us >= WAITED_FOR * delivered_us.max(1)).then(|| {
        format!(
            "accepted: half of the senders wait {} although half of the deliveries took {}: this looks like acknowledgements that \
             wait for their sender's next message, which comes after {} on average",
            show_us(accepted_us),
            show_us(delivered_us),
            show_us(gap.mean_us as u64)
        )
    })
}

/// Whether the longest latencies end where waiting for the end of a fault would.
fn as_long_as(fault: &FaultWindow, latency: &LatencyRecorder) -> Option<String> {
    let length_us = fault.to_ns?.checked_sub(fault.from_ns?)? / 1_000;
    let stage = Stage::ALL.into_iter().find(|stage| {
        let all = Window::ALL.map(|window| latency.total(Series { stage: *stage, from: From::Sent, window }));
        let longest_us = all.iter().map(|it| it.max()).max().unwrap_or(0);
        let waited: u64 =
            all.iter().map(|it| it.count_between(length_us / 2, longest_us.max(length_us / 2))).sum();
        let share = longest_us as f64 / length_us.max(1) as f64;
        waited >= FAULT_SAMPLES_MIN && (FAULT_SLACK.0..=FAULT_SLACK.1).contains(&share)
    })?;
    let all = Window::ALL.map(|window| latency.total(Series { stage, from: From::Sent, window }).max());
    let longest_us = all.into_iter().max().unwrap_or(0);
    Some(format!(
        "{}: the longest latency, {}, is about as long as the fault `{}` ({}): this looks like messages that waited for its end",
        stage.name(),
        show_us(longest_us),
        fault.words,
        show_us(length_us)
    ))
}
