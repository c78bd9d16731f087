//! The highest rate that holds: doubled until something breaks, then halved into between.
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
const DOUBLINGS_MAX: u32 = 16;
/// Rates that are tried between the last that held and the first that broke.
const HALVINGS: u32 = 4;
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
    let mut per_s = order.schedule.arrivals.expected() / (order.schedule.arrivals.lasts_ns() as f64 / 1e9);
    for round in 0..DOUBLINGS_MAX + HALVINGS {
        let loaded = match carry_out(at_rate(order, per_s))? {
            Ok(loaded) => loaded,
            Err(error) => return Some(Err(error)),
        };
        let step = step(&loaded.record, per_s);
        let held = if step.held { "held" } else { "broke" };
        output.say(format!("{per_s:.0}/s {held}: {}", step.why));
        let is_over = !step.kept_schedule || loaded.run.outcome == Outcome::TargetFailed;
        let is_interrupted = loaded.run.end == avouch_reports::run::End::Interrupted;
        let held = step.held;
        steps.push(step);
        *if held { &mut best } else { &mut broke } = Some((per_s, loaded));
        let bisecting = steps.iter().filter(|step| !step.held).count() > 0;
        let halved =
            steps.len() as u32 - steps.iter().position(|step| !step.held).unwrap_or(steps.len()) as u32;
        if is_interrupted || halved > HALVINGS || (round == 0 && !held) || (is_over && !bisecting) {
            break;
        }
        per_s = match (&best, &broke) {
            (Some((held, _)), Some((broke, _))) => f64::midpoint(*held, *broke).round(),
            _ => per_s * 2.0,
        };
    }
    let words = words(best.as_ref().map(|best| best.0), broke.as_ref().map(|broke| broke.0), &steps);
    let best = best.or(broke).map(|(_, loaded)| loaded)?;
    Some(Ok(Found { best, steps, words }))
}

fn at_rate(order: &Order, per_s: f64) -> Order {
    let arrivals = &order.schedule.arrivals;
    let mut order = order.clone();
    order.schedule.arrivals = Arrivals::constant(arrivals.spread, per_s, arrivals.lasts_ns());
    order.described.arrival.rates_per_s = vec![per_s];
    order.described.arrival.words = format!("{per_s:.0}/s, one of the rates of a search");
    order.folder = order.folder.join(format!("{per_s:.0}-per-s"));
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

fn words(held: Option<f64>, broke: Option<f64>, steps: &[KneeStep]) -> String {
    let limited = steps.iter().any(|step| !step.kept_schedule);
    match (held, broke) {
        (Some(held), Some(broke)) if limited && steps.iter().all(|step| step.held || !step.kept_schedule) => {
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
        let check = |held, broke, rates: &[(f64, bool, bool)], expected: &str| {
            let words = words(held, broke, &tried(rates));
            assert!(words.contains(expected), "{words}");
        };
        check(Some(2.0), Some(4.0), &[(2.0, true, true), (4.0, false, true)], "the knee is between 2/s");
        check(Some(2.0), Some(4.0), &[(2.0, true, true), (4.0, false, false)], "the generator itself");
        check(None, Some(4.0), &[(4.0, false, true)], "begin with a lower --rate");
        check(None, Some(4.0), &[(4.0, false, false)], "nothing is known of the target");
        check(Some(4.0), None, &[(4.0, true, true)], "was not found");
    }
}
