//! From what was seen to `load.json`: every number that a reader needs, and the result in words.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use avouch_reports::latency::{
    From, GateResult, LatencyGate, LatencyRecorder, Stage, samples_needed, show_us,
};
use avouch_reports::load::{
    Arrival, Bar, FaultWindow, Gap, Generator, LATE_US, LOAD_VERSION, LoadRecord, NoiseFloor, Objective,
    Payload, Shape, Shard, SizeLatency, StageLatency, Tally, Totals, modes_seen,
};
use avouch_reports::run::{Outcome, Run};
use avouch_reports::verdict::Verdict;
use avouch_scenarios::load::Schedule;
use avouch_scenarios::scenario::Arrivals as Spread;

use super::{Asked, Order};
use crate::world::live::Way;
use crate::world::live::effort::Effort;

/// The record's file in a run folder.
pub const RECORD: &str = "load.json";
/// A generator of whose sends more than this share are late has not kept its schedule. The latency of the others stands.
const LATE_SHARE_MAX: f64 = 0.01;
/// The wall clock may differ from the monotonic one by this much in a run before it is worth a word. Milliseconds.
const CLOCK_JUMP_MS: i64 = 1_000;
/// Seconds without an answer, while messages were waiting for one, that are named one by one.
const SILENT_NAMED_MAX: usize = 3;

/// What a record says beside measurements.
#[derive(Clone, Debug)]
pub struct Described {
    /// How the target is spoken.
    pub protocol: String,
    /// The arrival model.
    pub arrival: Arrival,
    /// The sizes.
    pub payload: Payload,
    /// The conversations.
    pub shape: Shape,
    /// The faults as they were asked for, by their number in the plan.
    pub faults: Vec<String>,
    /// Which part of a larger test it is.
    pub shard: Option<Shard>,
}

/// What was seen.
#[derive(Clone, Copy)]
pub(super) struct Seen<'a> {
    pub(super) tally: &'a Tally,
    pub(super) latency: &'a LatencyRecorder,
    pub(super) effort: &'a Option<Effort>,
}

/// The record without its outcome; the run gets the objectives and the tool's own doubts.
pub(super) fn complete(run: &mut Run, order: &Order, way: Way, seen: Seen<'_>) -> LoadRecord {
    let Seen { tally, latency, effort } = seen;
    let generator = generator(tally, latency, effort.as_ref(), order.window.is_some());
    if !generator.kept_schedule {
        run.own_doubts.push(generator.words.clone());
    }
    let objectives: Vec<Objective> =
        order.objectives.iter().map(|asked| objective(asked, latency, order.noise_floor)).collect();
    run.gates.extend(objectives.iter().map(gate_of));
    let figures = latency.faults();
    let faults = (0..).zip(&order.described.faults).map(|(id, words)| {
        FaultWindow::new(id, words.clone(), figures.iter().find(|figures| figures.id == id))
    });
    let faults: Vec<FaultWindow> = faults.collect();
    let seconds = tally.seconds(latency);
    let mut remarks = Vec::new();
    if way == Way::Proxied {
        remarks.push(
            "everything went through the chaos proxy, which adds to every latency and takes processor time"
                .to_owned(),
        );
    }
    if order.window.is_some() {
        remarks.push("a closed loop: while the server stood still nobody sent, so its latencies say nothing of what users would have waited".to_owned());
    }
    remarks.extend(clock_jump(effort.as_ref()));
    remarks.extend(silence(&seconds, tally));
    if tally.only_written() {
        remarks.push("nobody acknowledges a message in this protocol, so `accepted` only says that it was written: look at `delivered`".to_owned());
    }
    LoadRecord {
        avouch_load: LOAD_VERSION,
        target: order.subject.name(),
        protocol: order.described.protocol.clone(),
        outcome: Outcome::Inconclusive,
        verdict: String::new(),
        reasons: Vec::new(),
        repeat: order.repeat.clone(),
        seed: order.plan.seed,
        shard: order.described.shard,
        merged_from: 1,
        arrival: order.described.arrival.clone(),
        begun_ns: tally.begun_ns().unwrap_or(0),
        duration_ns: order.plan.phases.chaos_ns,
        payload: order.described.payload.clone(),
        shape: order.described.shape.clone(),
        totals: Totals { repeated: repeated(run), ..tally.totals_with(latency) },
        latency: StageLatency::all(latency),
        by_size: SizeLatency::all(latency),
        bars: Bar::all(latency),
        connections: tally.connections(),
        seconds,
        columns: tally.columns(),
        generator,
        noise_floor: order.noise_floor,
        objectives,
        knee_steps: Vec::new(),
        knee: None,
        modes_seen: modes_seen(latency, gap(order), &faults),
        faults,
        remarks,
    }
}

/// Time between two sends of one sender; `None` = it changes, or answers decide.
fn gap(order: &Order) -> Option<Gap> {
    let Schedule { arrivals, senders, shares, .. } = &order.schedule;
    let [stretch] = arrivals.stretches[..] else { return None };
    // Not all send as often: there is no one gap.
    if shares.len() > 1 {
        return None;
    }
    let is_steady = stretch.from_per_s.to_bits() == stretch.to_per_s.to_bits() && stretch.from_per_s > 0.0;
    (is_steady && arrivals.burst.is_none() && order.window.is_none()).then(|| Gap {
        mean_us: senders.len() as f64 * 1e6 / stretch.from_per_s,
        is_equal: arrivals.spread == Spread::Constant,
    })
}

pub(super) fn repeated(run: &Run) -> u64 {
    run.counts.redeliveries + run.counts.duplicates_suppressed
}

/// The record with the run's outcome.
pub(super) fn conclude(mut record: LoadRecord, run: &Run) -> LoadRecord {
    record.outcome = run.outcome();
    record.reasons = run.reasons();
    record.verdict = verdict(&record);
    record
}

/// Writes the record into the run folder. An error is in words.
pub fn write(folder: &Path, record: &LoadRecord) -> Result<(), String> {
    let path = folder.join(RECORD);
    let text = serde_json::to_vec_pretty(record).expect("a record has no map keys but strings");
    fs::write(&path, text).map_err(|cause| {
        format!(
            "cannot write {}: {cause}\nhint: the verdict is told all the same; make room and run it again",
            path.display()
        )
    })
}

fn verdict(record: &LoadRecord) -> String {
    let totals = record.totals;
    let mut words = format!(
        "{}: {} sent, {} accepted, {} delivered",
        record.outcome.name(),
        totals.sent,
        totals.accepted,
        totals.delivered
    );
    for (count, what) in
        [(totals.missing, "missing"), (totals.refused, "refused"), (totals.unknown, "unanswered")]
    {
        if count > 0 {
            let _ = write!(words, ", {count} {what}");
        }
    }
    for stage in [Stage::Accepted, Stage::Delivered] {
        let row = record.latency.iter().find(|row| row.stage == stage && row.from == From::Intended);
        if let Some(row) = row {
            let p99 = row.p99_us.map_or_else(|| "never".to_owned(), show_us);
            let _ = write!(words, "; {} p99 {p99}", stage.name());
            if row.too_few_for.contains(&99_000) {
                let _ = write!(words, " (of {} samples, too few to say)", row.count + row.never);
            }
        }
    }
    words
}

fn objective(asked: &Asked, latency: &LatencyRecorder, floor: Option<NoiseFloor>) -> Objective {
    let (words, gate, members) = (&asked.words, asked.gate, asked.members);
    let GateResult { measured_us, samples, mut verdict, mut observed, .. } =
        judge(latency, gate, members, From::Intended);
    let service = judge(latency, gate, members, From::Sent);
    let floor_us = floor.and_then(|floor| floor.ping_pong.p50_us).unwrap_or(0);
    if verdict == Verdict::Violated && service.verdict == Verdict::Pass {
        // From the send on it held: what broke it is how late this tool sent.
        verdict = Verdict::Inconclusive;
        observed += "; it held from the actual send on, so the generator's own lateness broke it";
    } else if verdict == Verdict::Violated && gate.at_most_us < floor_us {
        verdict = Verdict::Inconclusive;
        let floor = show_us(floor_us);
        let _ = write!(observed, "; the limit is below this machine's noise floor of {floor}");
    }
    Objective {
        words: words.clone(),
        stage: gate.stage,
        members,
        percentile_milli: gate.percentile_milli,
        at_most_us: gate.at_most_us,
        measured_us,
        samples,
        samples_needed: samples_needed(gate.percentile_milli),
        verdict,
        observed,
    }
}

/// Judges a limit over the whole run, in all conversations or in those of one size.
pub(super) fn judge(
    latency: &LatencyRecorder,
    gate: LatencyGate,
    members: Option<u32>,
    from: From,
) -> GateResult {
    let Some(members) = members else { return latency.whole(gate.stage, from).judge(gate) };
    let mut judged = latency.whole_of_size(gate.stage, from, members).judge(gate);
    let _ = write!(judged.observed, ", in conversations of {members}");
    judged
}

pub(super) fn gate_of(objective: &Objective) -> GateResult {
    GateResult {
        stage: objective.stage,
        percentile_milli: objective.percentile_milli,
        at_most_us: objective.at_most_us,
        measured_us: objective.measured_us,
        samples: objective.samples,
        verdict: objective.verdict,
        observed: objective.observed.clone(),
    }
}

fn generator(
    tally: &Tally,
    latency: &LatencyRecorder,
    effort: Option<&Effort>,
    is_closed: bool,
) -> Generator {
    let sent = tally.totals().sent;
    let mut generator = Generator { threads: 1, ..tally.lateness() };
    if let Some(effort) = effort {
        generator.cpu_s = effort.process_cpu_s;
        let moved = tally.totals().accepted + latency.deliveries();
        generator.messages_per_cpu_s =
            (effort.process_cpu_s >= 0.01).then(|| (moved as f64 / effort.process_cpu_s).round());
        let share =
            |ns: Option<u64>| ns.filter(|_| effort.wall_s > 0.0).map(|ns| ns as f64 / 1e9 / effort.wall_s);
        generator.busy_share = share(effort.thread_ran_ns).map(|share| (share.min(1.0) * 1e4).round() / 1e4);
        generator.run_delay_us = effort.thread_waited_ns.map(|ns| ns / 1_000);
    }
    let late_share = generator.late_starts as f64 / sent.max(1) as f64;
    generator.kept_schedule = is_closed || late_share <= LATE_SHARE_MAX;
    let of_cpu = generator
        .busy_share
        .map_or_else(String::new, |share| format!("; its thread ran for {:.0} % of the time", share * 100.0));
    let waited = generator
        .run_delay_us
        .map_or_else(String::new, |us| format!(" and waited {} for a processor", show_us(us)));
    let late = format!(
        "{} of {sent} sends ({:.2} %) began more than {} after their intended time",
        generator.late_starts,
        late_share * 100.0,
        show_us(LATE_US)
    );
    generator.words = if sent == 0 {
        "nothing was sent, so nothing shows how well the generator kept its schedule".to_owned()
    } else if generator.kept_schedule {
        format!("the generator kept its schedule: {late}{of_cpu}{waited}")
    } else {
        format!(
            "the generator did not keep its schedule: {late}{of_cpu}{waited}; the latencies are partly this tool's. \
             Lower the rate, give it a processor of its own, or spread the test with --shard"
        )
    };
    generator
}

fn clock_jump(effort: Option<&Effort>) -> Option<String> {
    let jump_ms = effort?.clock_jump_ms();
    (jump_ms.abs() >= CLOCK_JUMP_MS).then(|| {
        format!("the machine's wall clock jumped by {jump_ms} ms during the run; every time here is of the monotonic clock")
    })
}

fn silence(seconds: &[avouch_reports::load::SecondRow], tally: &Tally) -> Option<String> {
    if tally.totals().sent > 0 && tally.totals().accepted == 0 {
        return Some("the target answered nothing".to_owned());
    }
    let silent: Vec<u64> = seconds
        .windows(2)
        .filter(|pair| pair[0].outstanding > 0 && pair[1].accepted + pair[1].delivered + pair[1].refused == 0)
        .map(|pair| pair[1].second)
        .collect();
    let named: Vec<String> = silent.iter().take(SILENT_NAMED_MAX).map(u64::to_string).collect();
    let more = if silent.len() > SILENT_NAMED_MAX { ", …" } else { "" };
    (!silent.is_empty()).then(|| {
        format!(
            "{} seconds without any answer while messages waited for one (second {}{more})",
            silent.len(),
            named.join(", ")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::live::effort;

    #[test]
    fn a_wall_clock_that_jumps_is_a_remark_and_moves_no_time() {
        let began = effort::now();
        let jumped = |ms: i64| {
            let mut effort = effort::now().since(&began);
            effort.unix_ms = (effort.wall_s * 1e3) as i64 + ms;
            clock_jump(Some(&effort))
        };
        assert_eq!((jumped(0), jumped(900)), (None, None));
        let words = jumped(3_600_000).expect("an hour is a jump");
        assert!(words.contains("jumped by 3600000 ms") && words.contains("monotonic"), "{words}");
        assert_eq!(clock_jump(None), None);
    }

    /// The clock was set back to before the run began.
    #[test]
    fn a_wall_clock_that_is_set_back_is_seen_too() {
        let mut began = effort::now();
        began.unix_ms += 5_000;
        let words = clock_jump(Some(&effort::now().since(&began))).expect("five seconds are a jump");
        assert!(words.contains("jumped by -"), "{words}");
    }
}
