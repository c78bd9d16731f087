//! The highest rate that holds: doubled until something breaks, then halved into between. Where the generator itself was late, a rate is
//! tried once more.
//!
//! A rate holds when every objective passed, nothing that was accepted is missing, no guarantee is broken, and what was
//! offered was also accepted. Each rate is a run of its own, with a fresh server where the target says how one is started.

use avouch_reports::latency::{From, Stage};
use avouch_reports::load::{KneeStep, LoadRecord};
use avouch_reports::run::Outcome;
use avouch_scenarios::load::Arrivals;

use crate::cli::output::Output;
use crate::load::{Loaded, Order};
use crate::session::SessionError;

/// Doublings, at most.
const DOUBLINGS_MAX: usize = 16;
/// Rates that are tried between the last that held and the first that broke.
const HALVINGS: usize = 4;
/// What is accepted may be this much less than what was offered: the last messages of a step are still under way.
const ACHIEVED_SHARE_MIN: f64 = 0.97;

/// What the search ended with.
pub(super) struct Found {
    /// The highest rate that held, or the only one that was tried.
    pub(super) best: Loaded,
    /// All of them, in the order in which they were tried.
    pub(super) steps: Vec<KneeStep>,
    /// In words.
    pub(super) words: String,
}

/// Searches from the order's rate upwards; `None` = interrupted twice.
pub(super) fn find(
    order: &Order,
    output: Output,
    mut carry_out: impl FnMut(Order) -> Option<Result<Loaded, SessionError>>,
) -> Option<Result<Found, SessionError>> {
    let mut steps: Vec<KneeStep> = Vec::new();
    let mut best: Option<(f64, Loaded)> = None;
    let mut broke: Option<(f64, Loaded)> = None;
    let arrivals = &order.schedule.arrivals;
    let mut next = Some(arrivals.expected() / (arrivals.lasts_ns() as f64 / 1e9));
    while let Some(per_s) = next {
        let is_again = steps.last().is_some_and(|step| is_rate(step, per_s));
        let loaded = match carry_out(at_rate(order, per_s, is_again))? {
            Ok(loaded) => loaded,
            Err(error) => return Some(Err(error)),
        };
        let step = step(&loaded.record, per_s);
        let held = if step.held { "held" } else { "broke" };
        output.say(format!("{per_s:.0}/s {held}: {}", step.why));
        let is_interrupted = loaded.run.end == avouch_reports::run::End::Interrupted;
        *if step.held { &mut best } else { &mut broke } = Some((per_s, loaded));
        steps.push(step);
        next = if is_interrupted { None } else { next_rate(&steps) };
    }
    let words = words(&steps);
    let best = best.or(broke).map(|(_, loaded)| loaded)?;
    Some(Ok(Found { best, steps, words }))
}

/// The rate to try next; `None` when the search is over. A generator that was late may have been held up by something else: that rate is
/// tried once more before it counts.
fn next_rate(steps: &[KneeStep]) -> Option<f64> {
    let last = steps.last()?;
    let was_tried_before = steps.iter().rev().nth(1).is_some_and(|step| is_rate(step, last.offered_per_s));
    if !last.kept_schedule && !was_tried_before {
        return Some(last.offered_per_s);
    }
    let rates = outcomes(steps);
    let Some(first_broken) = rates.iter().position(|step| !step.held) else {
        return (rates.len() < DOUBLINGS_MAX).then_some(last.offered_per_s * 2.0);
    };
    let (held, broke) = knee(&rates);
    let between = f64::midpoint(held?, broke?).round();
    let is_new = !rates.iter().any(|step| is_rate(step, between));
    (is_new && rates.len() - first_broken <= HALVINGS).then_some(between)
}

/// What each rate came to in the end.
fn outcomes(steps: &[KneeStep]) -> Vec<&KneeStep> {
    steps.chunk_by(|one, other| is_rate(one, other.offered_per_s)).filter_map(<[KneeStep]>::last).collect()
}

fn is_rate(step: &KneeStep, per_s: f64) -> bool {
    step.offered_per_s.to_bits() == per_s.to_bits()
}

/// The highest rate that held and the lowest that did not.
fn knee(rates: &[&KneeStep]) -> (Option<f64>, Option<f64>) {
    let of = |held| rates.iter().filter(move |step| step.held == held).map(|step| step.offered_per_s);
    (of(true).reduce(f64::max), of(false).reduce(f64::min))
}

fn at_rate(order: &Order, per_s: f64, is_again: bool) -> Order {
    let arrivals = &order.schedule.arrivals;
    let mut order = order.clone();
    order.schedule.arrivals = Arrivals::constant(arrivals.spread, per_s, arrivals.lasts_ns());
    order.described.arrival.rates_per_s = vec![per_s];
    order.described.arrival.words = format!("{per_s:.0}/s, one of the rates of a search");
    let again = if is_again { "-again" } else { "" };
    order.folder = order.folder.join(format!("{per_s:.0}-per-s{again}"));
    order
}

fn step(record: &LoadRecord, offered_per_s: f64) -> KneeStep {
    let stage = record.objectives.first().map_or(Stage::Delivered, |objective| objective.stage);
    let row = record.latency.iter().find(|row| row.stage == stage && row.from == From::Intended);
    let duration_s = record.duration_ns as f64 / 1e9;
    let within =
        record.seconds.iter().filter(|row| row.second * 1_000_000_000 < record.begun_ns + record.duration_ns);
    let achieved_per_s = within.map(|row| row.accepted).sum::<u64>() as f64 / duration_s;
    let totals = record.totals;
    // Poisson arrivals offer a little more or less than their rate.
    let sent_per_s = totals.sent as f64 / duration_s;
    let broken = record
        .objectives
        .iter()
        .find(|objective| objective.verdict != avouch_reports::verdict::Verdict::Pass);
    let why = if !record.generator.kept_schedule {
        Some(record.generator.words.clone())
    } else if totals.missing > 0 || totals.unknown > 0 {
        Some(format!("{} missing, {} unanswered", totals.missing, totals.unknown))
    } else if let Some(objective) = broken {
        Some(format!("{}: {}", objective.words, objective.observed))
    } else if achieved_per_s < sent_per_s * ACHIEVED_SHARE_MIN {
        Some(format!("only {achieved_per_s:.0}/s were accepted while it lasted"))
    } else if matches!(record.outcome, Outcome::Violated | Outcome::TargetFailed) {
        record.reasons.first().cloned().or_else(|| Some(record.outcome.name().to_owned()))
    } else {
        None
    };
    KneeStep {
        offered_per_s,
        achieved_per_s,
        p50_us: row.and_then(|row| row.p50_us),
        p99_us: row.and_then(|row| row.p99_us),
        p999_us: row.and_then(|row| row.p999_us),
        lost: totals.missing,
        kept_schedule: record.generator.kept_schedule,
        held: why.is_none(),
        why: why.unwrap_or_else(|| "everything held".to_owned()),
    }
}

fn words(steps: &[KneeStep]) -> String {
    let rates = outcomes(steps);
    let (held, broke) = knee(&rates);
    let limited = rates.iter().any(|step| !step.kept_schedule);
    match (held, broke) {
        (Some(held), Some(broke)) if limited && rates.iter().all(|step| step.held || !step.kept_schedule) => {
            format!(
                "held at {held:.0}/s; at {broke:.0}/s the generator itself did not keep up, so the target's own limit was not found"
            )
        }
        (Some(held), Some(broke)) => {
            format!("the knee is between {held:.0}/s, which held, and {broke:.0}/s, which did not")
        }
        (Some(held), None) => format!("every rate up to {held:.0}/s held; the knee was not found"),
        (None, Some(broke)) if limited => {
            format!(
                "already at {broke:.0}/s the generator itself did not keep up: nothing is known of the target"
            )
        }
        (None, Some(broke)) => format!("already {broke:.0}/s did not hold; begin with a lower --rate"),
        (None, None) => "no rate was tried".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tried(rates: &[(f64, bool, bool)]) -> Vec<KneeStep> {
        let step = |(offered_per_s, held, kept_schedule): &(f64, bool, bool)| KneeStep {
            offered_per_s: *offered_per_s,
            held: *held,
            kept_schedule: *kept_schedule,
            ..KneeStep::default()
        };
        rates.iter().map(step).collect()
    }

    #[test]
    fn a_search_ends_in_words_that_do_not_blame_the_target_for_the_tool() {
        let check = |rates: &[(f64, bool, bool)], expected: &str| {
            let words = words(&tried(rates));
            assert!(words.contains(expected), "{words}");
        };
        check(&[(2.0, true, true), (4.0, false, true)], "the knee is between 2/s");
        check(&[(2.0, true, true), (4.0, false, false)], "the generator itself");
        check(&[(4.0, false, true)], "begin with a lower --rate");
        check(&[(4.0, false, false)], "nothing is known of the target");
        check(&[(4.0, true, true)], "was not found");
        check(&[(2.0, false, false), (2.0, true, true), (4.0, false, true)], "the knee is between 2/s");
    }

    /// The rates that a search tries, of a target that holds up to one and a generator that is late at some of the tries.
    fn searched(from: f64, holds_to: f64, late_tries: &[usize]) -> Vec<f64> {
        let (mut steps, mut next) = (Vec::new(), Some(from));
        while let Some(rate) = next {
            assert!(steps.len() < 50, "it does not end");
            let kept = !late_tries.contains(&steps.len());
            steps.extend(tried(&[(rate, kept && rate <= holds_to, kept)]));
            next = next_rate(&steps);
        }
        steps.iter().map(|step| step.offered_per_s).collect()
    }

    #[test]
    fn a_search_doubles_and_then_halves() {
        assert_eq!(searched(100.0, 270.0, &[]), [100.0, 200.0, 400.0, 300.0, 250.0, 275.0, 263.0]);
        assert_eq!(searched(100.0, 50.0, &[]), [100.0], "the first must hold");
        assert_eq!(searched(1.0, 1.0, &[]), [1.0, 2.0], "nothing is between");
        assert_eq!(searched(1.0, f64::INFINITY, &[]).len(), DOUBLINGS_MAX);
    }

    #[test]
    fn a_generator_that_was_late_once_ends_no_search() {
        let expected = [100.0, 100.0, 200.0, 400.0, 300.0, 300.0, 250.0, 275.0, 263.0];
        assert_eq!(searched(100.0, 270.0, &[0, 4]), expected);
        assert_eq!(searched(100.0, 270.0, &[0, 1]), [100.0, 100.0], "late twice");
        assert_eq!(searched(1.0, f64::INFINITY, &(0..50).collect::<Vec<_>>()), [1.0, 1.0]);
    }
}
