//! One record of a test that several processes shared: their histories in one order, judged and measured again.
//!
//! Each part has its own clock; they are laid so that all workloads begin at once. A latency lies within one part, so the sums of
//! the histograms are exact. Guarantees are judged twice and the worse verdict counts: of each part, with all that is known of its
//! target; and of all together, with the options that excuse, for what only the whole shows (a message of one part
//! that surfaces in another).

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use avouch_reports::history::{Event, HistoryReader, Phase, ReadOptions, What};
use avouch_reports::latency::{From, LatencyGate, LatencyRecorder};
use avouch_reports::load::{
    Bar, FaultWindow, LOAD_BYTES_MAX, LoadRecord, Objective, SizeLatency, StageLatency, Tally,
};
use avouch_reports::run::{End, RUN_BYTES_MAX, Run};
use avouch_reports::verdict::Judgement;

use super::RECORD;
use super::record::conclude;
use crate::perform::read_bounded;
use crate::session::{self, HISTORY, Judging};

/// One part.
struct Part {
    folder: PathBuf,
    record: LoadRecord,
    run: Run,
}

/// Reads a run folder's record of a load test.
pub fn read_record(folder: &Path) -> Result<LoadRecord, String> {
    let path = folder.join(RECORD);
    let text = read_bounded(&path, LOAD_BYTES_MAX).map_err(|error| format!("{}: {error}", path.display()))?;
    LoadRecord::from_json(text.as_bytes()).map_err(|error| format!("{}: {error}", path.display()))
}

fn read(folder: &Path) -> Result<Part, String> {
    let path = folder.join(session::RECORD);
    let text = read_bounded(&path, RUN_BYTES_MAX).map_err(|error| format!("{}: {error}", path.display()))?;
    let run = Run::from_json(text.as_bytes()).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(Part { folder: folder.to_owned(), record: read_record(folder)?, run })
}

/// Merges the run folders of all parts of a test.
pub fn merge(folders: &[PathBuf]) -> Result<(Run, LoadRecord), String> {
    let mut parts = folders.iter().map(|folder| read(folder)).collect::<Result<Vec<_>, _>>()?;
    parts.sort_by_key(|part| part.record.shard.map(|shard| shard.number));
    belong_together(&parts)?;
    let mut header = parts[0].run.header.clone();
    header.notes.push(format!("merged from {} parts", parts.len()));
    let judging = Judging::new(&header, header.reading(), Vec::new());
    let interval_ns = super::interval_ns(parts[0].record.duration_ns);
    let mut judging = judging.by_intervals_of(interval_ns);
    let mut tally = Tally::default().by_columns_of(interval_ns);
    for event in Together::open(&parts)? {
        let event = event?;
        judging.observe(&event);
        tally.observe(&event);
    }
    let (mut run, mut latency) = judging.conclude(header, &[]);
    latency.close_interval();
    complete(&mut run, &parts);
    let mut record = record(&parts, &tally, &latency);
    record.totals.repeated = super::record::repeated(&run);
    run.gates.extend(record.objectives.iter().map(super::record::gate_of));
    run.conclude();
    let record = conclude(record, &run);
    Ok((run, record))
}

fn belong_together(parts: &[Part]) -> Result<(), String> {
    let hint = "hint: give all run folders of one test that was spread with --shard, and no others";
    let Some(first) = parts.first() else { return Err(format!("there is nothing to merge\n{hint}")) };
    let mut numbers = Vec::new();
    for part in parts {
        let name = part.folder.display();
        let Some(shard) = part.record.shard else {
            return Err(format!(
                "{name} is no part of a larger test\n{hint}; `avouch compare` holds two tests against each other"
            ));
        };
        let of_first = first.record.shard.map(|shard| (shard.of, shard.start_unix_ms));
        let is_same = Some((shard.of, shard.start_unix_ms)) == of_first
            && part.record.seed == first.record.seed
            && part.record.arrival == first.record.arrival
            && part.record.shape.sizes == first.record.shape.sizes
            && part.record.protocol == first.record.protocol;
        if !is_same {
            return Err(format!(
                "{name} and {} are parts of different tests\n{hint}",
                first.folder.display()
            ));
        }
        if numbers.contains(&shard.number) {
            return Err(format!("part {} of {} is there twice\n{hint}", shard.number, shard.of));
        }
        numbers.push(shard.number);
    }
    Ok(())
}

/// What only the parts' own records say.
fn complete(run: &mut Run, parts: &[Part]) {
    run.environment = parts[0].run.environment.clone();
    let mut ends = parts.iter().map(|part| &part.run.end);
    run.end = ends.find(|end| **end != End::Complete).cloned().unwrap_or_default();
    for part in parts {
        let number = part.record.shard.map_or(0, |shard| shard.number);
        run.own_doubts.extend(part.run.own_doubts.iter().map(|doubt| format!("part {number}: {doubt}")));
        for judgement in &part.run.judgements {
            worse(&mut run.judgements, judgement);
        }
    }
    let of = parts[0].record.shard.map_or(0, |shard| shard.of as usize);
    if parts.len() < of {
        run.own_doubts.push(format!("{} of {of} parts are missing", of - parts.len()));
    }
}

fn worse(judgements: &mut [Judgement], other: &Judgement) {
    if let Some(mine) = judgements.iter_mut().find(|mine| mine.guarantee == other.guarantee)
        && other.verdict > mine.verdict
    {
        *mine = other.clone();
        // Its timeline speaks of one part's devices, by numbers that mean others here.
        mine.observed += " (in one part; its own run folder shows it)";
        mine.findings.clear();
    }
}

fn record(parts: &[Part], tally: &Tally, latency: &LatencyRecorder) -> LoadRecord {
    let first = &parts[0].record;
    let sum = |of: fn(&LoadRecord) -> u64| parts.iter().map(|part| of(&part.record)).sum::<u64>();
    let mut shape = first.shape.clone();
    shape.conversations = sum(|record| record.shape.conversations);
    shape.sessions = sum(|record| record.shape.sessions);
    shape.idle_sessions = sum(|record| record.shape.idle_sessions);
    shape.words = format!("{} parts of {}", parts.len(), first.shape.words);
    let mut generator = tally.lateness();
    generator.threads = parts.iter().map(|part| part.record.generator.threads).sum();
    generator.cpu_s = parts.iter().map(|part| part.record.generator.cpu_s).sum();
    generator.kept_schedule = parts.iter().all(|part| part.record.generator.kept_schedule);
    let totals = tally.totals_with(latency);
    let moved = (totals.accepted + totals.delivered) as f64;
    generator.messages_per_cpu_s = (generator.cpu_s >= 0.01).then(|| (moved / generator.cpu_s).round());
    generator.words =
        parts.iter().map(|part| part.record.generator.words.as_str()).collect::<Vec<_>>().join("; ");
    let figures = latency.faults();
    let of_first = first.faults.iter().map(|window| {
        FaultWindow::new(window.id, window.words.clone(), figures.iter().find(|it| it.id == window.id))
    });
    LoadRecord {
        shard: None,
        merged_from: parts.len() as u64,
        begun_ns: tally.begun_ns().unwrap_or(0),
        shape,
        totals,
        latency: StageLatency::all(latency),
        by_size: SizeLatency::all(latency),
        bars: Bar::all(latency),
        seconds: tally.seconds(latency),
        columns: tally.columns(),
        faults: of_first.collect(),
        generator,
        objectives: first.objectives.iter().map(|objective| again(objective, latency)).collect(),
        modes_seen: of_parts(parts, |record| &record.modes_seen),
        remarks: of_parts(parts, |record| &record.remarks),
        connections: None,
        ..first.clone()
    }
}

/// What was told of the parts; of which, where there are several.
fn of_parts(parts: &[Part], of: fn(&LoadRecord) -> &[String]) -> Vec<String> {
    let named = parts.iter().flat_map(|part| {
        let number = part.record.shard.map_or(0, |shard| shard.number);
        of(&part.record).iter().map(move |words| format!("part {number}: {words}"))
    });
    named.collect()
}

fn again(objective: &Objective, latency: &LatencyRecorder) -> Objective {
    let Objective { stage, members, percentile_milli, at_most_us, .. } = *objective;
    let gate = LatencyGate { stage, percentile_milli, at_most_us };
    let judged = super::record::judge(latency, gate, members, From::Intended);
    Objective {
        measured_us: judged.measured_us,
        samples: judged.samples,
        verdict: judged.verdict,
        observed: judged.observed,
        ..objective.clone()
    }
}

/// The events of all parts, in one order.
struct Together {
    sources: Vec<Source>,
    /// How many parts have entered each phase.
    entered: [usize; Phase::ALL.len()],
    drained: Vec<(bool, String)>,
    last_ns: u64,
}

struct Source {
    reader: HistoryReader<BufReader<File>>,
    next: Option<Event>,
    shift_ns: u64,
    /// Numbers of devices, users, conversations and faults begin here.
    from: [u32; 4],
    name: String,
}

impl Together {
    fn open(parts: &[Part]) -> Result<Self, String> {
        let latest_ns = parts.iter().map(|part| part.record.begun_ns).max().unwrap_or(0);
        let (mut from, mut sources) = ([0; 4], Vec::new());
        for part in parts {
            let path = part.folder.join(HISTORY);
            let told = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
            let file = File::open(&path).map_err(|error| told(&error))?;
            let reader = HistoryReader::open(BufReader::new(file), ReadOptions { accept_torn: true });
            let reader = reader.map_err(|error| told(&error))?;
            let name = part.record.shard.map_or_else(String::new, |shard| format!("s{}.", shard.number));
            let shift_ns = latest_ns - part.record.begun_ns;
            let mut source = Source { reader, next: None, shift_ns, from, name };
            source.advance()?;
            sources.push(source);
            let sessions = part.record.shape.sessions as u32;
            // Each device has a user of its own.
            let faults = part.record.faults.len() as u32;
            let conversations = part.record.shape.conversations as u32;
            from = [from[0] + sessions, from[1] + sessions, from[2] + conversations, from[3] + faults];
        }
        Ok(Self { sources, entered: [0; Phase::ALL.len()], drained: Vec::new(), last_ns: 0 })
    }

    /// Whether an event of a part is one of the whole.
    fn passes(&mut self, what: &mut What) -> bool {
        let parts = self.sources.len();
        match what {
            What::Phase { phase } => {
                let entered = &mut self.entered[*phase as usize];
                *entered += 1;
                // Set-up and workload begin with the first part, everything after with the last.
                let at = if matches!(phase, Phase::SetUp | Phase::Chaos) { 1 } else { parts };
                *entered == at
            }
            What::Drained { converged, missing } => {
                self.drained.push((*converged, missing.clone()));
                *converged = self.drained.iter().all(|(converged, _)| *converged);
                let worst = self.drained.iter().find(|(converged, _)| !converged);
                *missing = worst.map(|(_, missing)| missing.clone()).unwrap_or_default();
                self.drained.len() == parts
            }
            _ => true,
        }
    }
}

impl Iterator for Together {
    type Item = Result<Event, String>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let due = |source: &Source| source.next.as_ref().map(|event| event.at_ns + source.shift_ns);
            let waiting =
                self.sources.iter().enumerate().filter_map(|(number, source)| Some((due(source)?, number)));
            let (at_ns, number) = waiting.min()?;
            let source = &mut self.sources[number];
            let mut event = source.next.take()?;
            source.renumber(&mut event.what);
            if let Err(words) = source.advance() {
                return Some(Err(words));
            }
            event.at_ns = at_ns.max(self.last_ns);
            self.last_ns = event.at_ns;
            if self.passes(&mut event.what) {
                return Some(Ok(event));
            }
        }
    }
}

impl Source {
    fn advance(&mut self) -> Result<(), String> {
        self.next = self.reader.next_event().map_err(|error| error.to_string())?;
        Ok(())
    }

    /// Devices, users, conversations and faults of this part get numbers of their own; messages have them already.
    fn renumber(&self, what: &mut What) {
        let [devices, users, conversations, faults] = self.from;
        match what {
            What::Device { device, user, name } => {
                device.0 += devices;
                user.0 += users;
                *name = format!("{}{name}", self.name);
            }
            What::Conversation { conversation, name, members } => {
                conversation.0 += conversations;
                for user in members {
                    user.0 += users;
                }
                *name = format!("{}{name}", self.name);
            }
            What::Send { device, conversation, intended_ns, .. } => {
                device.0 += devices;
                conversation.0 += conversations;
                *intended_ns += self.shift_ns;
            }
            What::Session { device, .. }
            | What::Disconnected { device, .. }
            | What::Reinstalled { device }
            | What::Retry { device, .. }
            | What::Accepted { device, .. }
            | What::Rejected { device, .. }
            | What::Unknown { device, .. }
            | What::Quiet { device } => device.0 += devices,
            What::Delivered { device, conversation, .. }
            | What::Suppressed { device, conversation, .. }
            | What::Acknowledged { device, conversation, .. }
            | What::Read { device, conversation, .. }
            | What::ReadConfirmed { device, conversation, .. }
            | What::Gap { device, conversation, .. }
            | What::ChainBroken { device, conversation, .. }
            | What::PageRequested { device, conversation, .. }
            | What::Page { device, conversation, .. } => {
                device.0 += devices;
                conversation.0 += conversations;
            }
            What::Receipt { device, conversation, by, .. } => {
                device.0 += devices;
                by.0 += devices;
                conversation.0 += conversations;
            }
            What::MembersChange { device, conversation, added, removed, .. }
            | What::MembersChanged { device, conversation, added, removed, .. } => {
                device.0 += devices;
                conversation.0 += conversations;
                for user in added.iter_mut().chain(removed) {
                    user.0 += users;
                }
            }
            What::FaultStarted { id, .. } | What::FaultEnded { id, .. } | What::FaultSkipped { id, .. } => {
                *id += faults;
            }
            What::FaultFired { id, device, .. } => {
                *id += faults;
                device.0 += devices;
            }
            _ => {}
        }
    }
}
