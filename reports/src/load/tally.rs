//! What a history says of a load test beyond verdicts and latency: second by second, and how late sends began. Streaming;
//! memory grows with the length of the run in seconds, not with messages.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;

use super::{
    Bar, Connections, FaultWindow, Generator, LATE_US, RateColumn, RateColumns, SecondRow, StageLatency,
    Totals, WindowLatency,
};
use crate::history::{Device, Event, Phase, Rung, What};
use crate::latency::{
    FaultFigures, Figures, From, INTERVAL_NS, LATENCY_US_MAX, LATENCY_US_MIN, LatencyRecorder,
    SIGNIFICANT_DIGITS, SegmentFigures, Stage, Whole, samples_needed, show_us,
};

/// Seconds of a run that are told one by one; of later ones only the sums.
pub const SECONDS_MAX: usize = 100_000;

/// Columns shorter than a second that are kept: a run that goes on longer than that has its seconds only.
const COLUMNS_MAX: usize = 1_000;

/// Percentiles of a stage, in thousandths.
const STAGE_PERCENTILES_MILLI: [u32; 5] = [50_000, 90_000, 99_000, 99_900, 99_990];

/// Consumes events.
#[derive(Debug)]
pub struct Tally {
    begun_ns: Option<u64>,
    ended_ns: Option<u64>,
    now_ns: u64,
    totals: Totals,
    seconds: Vec<SecondRow>,
    /// Shorter than seconds, if at all.
    columns: Option<RateColumns>,
    lateness: Histogram<u64>,
    /// Of those accepted: nobody but the sender knows of them.
    written: u64,
    connected: Histogram<u64>,
    connects_intended: u64,
    /// When devices were to connect that do so while the workload goes on.
    connects: BTreeMap<Device, u64>,
    active: Vec<(u32, String)>,
}

impl Default for Tally {
    fn default() -> Self {
        Self::new(BTreeMap::new())
    }
}

impl Tally {
    /// Nothing seen yet. `connects`: devices that first connect this long after the workload's beginning (nanoseconds).
    pub fn new(connects: BTreeMap<Device, u64>) -> Self {
        let histogram = || {
            Histogram::new_with_bounds(LATENCY_US_MIN, LATENCY_US_MAX, SIGNIFICANT_DIGITS)
                .expect("the bounds are constants that the histogram allows")
        };
        Self {
            begun_ns: None,
            ended_ns: None,
            now_ns: 0,
            totals: Totals::default(),
            seconds: Vec::new(),
            columns: None,
            lateness: histogram(),
            written: 0,
            connected: histogram(),
            connects_intended: connects.len() as u64,
            connects,
            active: Vec::new(),
        }
    }

    /// Rates are told by columns of that length, too, where it is shorter than a second. For whoever has seen nothing yet.
    #[must_use]
    pub fn by_columns_of(mut self, length_ns: u64) -> Self {
        let is_short = (1..INTERVAL_NS).contains(&length_ns);
        self.columns = is_short.then(|| RateColumns { length_ns, rows: Vec::new() });
        self
    }

    /// Takes the next event.
    pub fn observe(&mut self, event: &Event) {
        self.now_ns = event.at_ns;
        match &event.what {
            What::Send { intended_ns, bytes, .. } => self.sent(*intended_ns, *bytes),
            What::Accepted { rung, .. } => {
                self.totals.accepted += 1;
                self.written += u64::from(*rung == Rung::Written);
            }
            What::Rejected { .. } => {
                self.totals.refused += 1;
                self.row(event.at_ns, |row| row.refused += 1);
            }
            What::Unknown { .. } => self.totals.unknown += 1,
            What::Session { device, .. } => self.session(*device),
            What::Disconnected { .. } if self.begun_ns.is_some() && self.ended_ns.is_none() => {
                self.totals.disconnects += 1;
            }
            What::Phase { phase: Phase::Chaos } => self.begun_ns = Some(event.at_ns),
            What::Phase { phase: Phase::Heal } => {
                self.ended_ns = Some(event.at_ns);
                self.active.clear();
            }
            What::FaultStarted { id, kind, .. } => self.active.push((*id, kind.clone())),
            What::FaultEnded { id, .. } => self.active.retain(|(active, _)| active != id),
            _ => return,
        }
        let outstanding = self.outstanding();
        self.row(event.at_ns, |row| row.outstanding = outstanding);
        self.column(event.at_ns, |column| column.outstanding = outstanding);
    }

    /// Sums so far.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// Messages that were sent and have no outcome.
    pub fn outstanding(&self) -> u64 {
        let Totals { sent, accepted, refused, unknown, .. } = self.totals;
        sent.saturating_sub(accepted + refused + unknown)
    }

    /// Whether every acceptance only says that the message was written.
    pub fn only_written(&self) -> bool {
        self.totals.accepted > 0 && self.written == self.totals.accepted
    }

    /// Kinds of faults that are active.
    pub fn active_faults(&self) -> impl Iterator<Item = &str> {
        self.active.iter().map(|(_, kind)| kind.as_str())
    }

    /// When the workload began.
    pub fn begun_ns(&self) -> Option<u64> {
        self.begun_ns
    }

    fn sent(&mut self, intended_ns: u64, bytes: u32) {
        let lateness_us = self.now_ns.saturating_sub(intended_ns) / 1_000;
        let is_late = lateness_us > LATE_US;
        self.lateness.saturating_record(lateness_us.max(LATENCY_US_MIN));
        self.totals.sent += 1;
        self.totals.intended += 1;
        self.totals.payload_bytes += u64::from(bytes);
        self.row(intended_ns, |row| {
            row.intended += 1;
            row.sent += 1;
            row.late_starts += u64::from(is_late);
        });
        self.column(intended_ns, |column| {
            column.intended += 1;
            column.sent += 1;
        });
    }

    fn session(&mut self, device: Device) {
        if let (Some(begun_ns), Some(after_ns)) = (self.begun_ns, self.connects.remove(&device)) {
            let took_us = self.now_ns.saturating_sub(begun_ns + after_ns) / 1_000;
            self.connected.saturating_record(took_us.max(LATENCY_US_MIN));
        }
    }

    fn row(&mut self, at_ns: u64, change: impl FnOnce(&mut SecondRow)) {
        let Some(begun_ns) = self.begun_ns else { return };
        let first = begun_ns / INTERVAL_NS;
        let Some(index) = (at_ns / INTERVAL_NS).checked_sub(first).map(|index| index as usize) else {
            return;
        };
        if index >= SECONDS_MAX {
            return;
        }
        while self.seconds.len() <= index {
            let second = first + self.seconds.len() as u64;
            // What nobody answered yet stays unanswered in seconds in which nothing happens.
            let outstanding = self.seconds.last().map_or(0, |row| row.outstanding);
            self.seconds.push(SecondRow { second, outstanding, ..SecondRow::default() });
        }
        change(&mut self.seconds[index]);
    }

    fn column(&mut self, at_ns: u64, change: impl FnOnce(&mut RateColumn)) {
        let (Some(begun_ns), Some(columns)) = (self.begun_ns, &mut self.columns) else { return };
        let first = begun_ns / columns.length_ns;
        let Some(index) = (at_ns / columns.length_ns).checked_sub(first).map(|index| index as usize) else {
            return;
        };
        if index >= COLUMNS_MAX {
            self.columns = None;
            return;
        }
        while columns.rows.len() <= index {
            let outstanding = columns.rows.last().map_or(0, |column| column.outstanding);
            columns.rows.push(RateColumn { outstanding, ..RateColumn::default() });
        }
        change(&mut columns.rows[index]);
    }

    /// Rates in columns shorter than a second, if they were asked for and the run was short enough.
    pub fn columns(&self) -> Option<RateColumns> {
        self.columns.clone()
    }

    /// Sums, with what only the latency recorder knows.
    pub fn totals_with(&self, latency: &LatencyRecorder) -> Totals {
        let delivered = latency.whole(Stage::Delivered, From::Intended);
        let unanswered = self.outstanding();
        Totals {
            unknown: self.totals.unknown + unanswered,
            delivered: delivered.arrived.len(),
            missing: delivered.never,
            ..self.totals
        }
    }

    /// Rows without gaps, with the latencies that ended in them. The recorder's last interval must be closed.
    pub fn seconds(&self, latency: &LatencyRecorder) -> Vec<SecondRow> {
        let mut rows = self.seconds.clone();
        let Some(first) = rows.first().map(|row| row.second) else { return rows };
        for interval in latency.intervals() {
            let Some(index) = interval.number.checked_sub(first).map(|index| index as usize) else {
                continue;
            };
            while rows.len() <= index && rows.len() < SECONDS_MAX {
                let last = rows.last().copied().unwrap_or_default();
                let (second, outstanding) = (first + rows.len() as u64, last.outstanding);
                rows.push(SecondRow { second, outstanding, ..SecondRow::default() });
            }
            let Some(row) = rows.get_mut(index) else { continue };
            let (accepted, delivered) = (interval.stage(Stage::Accepted), interval.stage(Stage::Delivered));
            row.accepted = accepted.count;
            row.delivered = delivered.count;
            (row.accepted_p50_us, row.accepted_p99_us, row.accepted_max_us) = parts(accepted);
            (row.delivered_p50_us, row.delivered_p99_us, row.delivered_max_us) = parts(delivered);
        }
        rows
    }

    /// How late sends began. The rest of the record is for whoever measured the processor.
    pub fn lateness(&self) -> Generator {
        let at =
            |quantile: f64| (!self.lateness.is_empty()).then(|| self.lateness.value_at_quantile(quantile));
        Generator {
            late_starts: self.lateness.len() - self.lateness.count_between(0, LATE_US),
            lateness_p50_us: at(0.5),
            lateness_p99_us: at(0.99),
            lateness_p999_us: at(0.999),
            lateness_max_us: at(1.0),
            ..Generator::default()
        }
    }

    /// Sessions of the workload; `None` = it had none to make.
    pub fn connections(&self) -> Option<Connections> {
        let at =
            |quantile: f64| (!self.connected.is_empty()).then(|| self.connected.value_at_quantile(quantile));
        (self.connects_intended > 0).then(|| Connections {
            intended: self.connects_intended,
            made: self.connected.len(),
            p50_us: at(0.5),
            p99_us: at(0.99),
            max_us: at(1.0),
        })
    }
}

fn parts(figures: Figures) -> (Option<u64>, Option<u64>, Option<u64>) {
    (figures.p50_us, figures.p99_us, figures.max_us)
}

impl StageLatency {
    /// Every stage that has samples, from the intended send and from the send.
    pub fn all(latency: &LatencyRecorder) -> Vec<Self> {
        let pairs = Stage::ALL.into_iter().flat_map(|stage| From::ALL.map(|from| (stage, from)));
        pairs.filter_map(|(stage, from)| Self::of(latency, stage, from)).collect()
    }

    fn of(latency: &LatencyRecorder, stage: Stage, from: From) -> Option<Self> {
        Self::of_whole(&latency.whole(stage, from), stage, from)
    }

    pub(super) fn of_whole(whole: &Whole, stage: Stage, from: From) -> Option<Self> {
        let samples = whole.samples();
        let at = |milli| whole.percentile_us(milli);
        (samples > 0).then(|| Self {
            stage,
            from,
            count: whole.arrived.len(),
            never: whole.never,
            min_us: (!whole.arrived.is_empty()).then(|| whole.arrived.min()),
            p50_us: at(50_000),
            p90_us: at(90_000),
            p99_us: at(99_000),
            p999_us: at(99_900),
            p9999_us: at(99_990),
            max_us: at(100_000),
            too_few_for: STAGE_PERCENTILES_MILLI
                .into_iter()
                .filter(|milli| samples < samples_needed(*milli))
                .collect(),
        })
    }
}

impl Bar {
    /// How the latencies of a stage are spread, without empty bars at either end.
    pub fn all(latency: &LatencyRecorder) -> Vec<Self> {
        let whole = |stage| latency.whole(stage, From::Intended).arrived;
        let deliveries = whole(Stage::Delivered);
        let arrived = if deliveries.is_empty() { whole(Stage::Accepted) } else { deliveries };
        let mut bars: Vec<Self> = Vec::new();
        for step in arrived.iter_recorded() {
            let from_us = 1_u64 << step.value_iterated_to().max(1).ilog2();
            while let Some(last) = bars.last()
                && last.from_us * 2 < from_us
            {
                bars.push(Self { from_us: last.from_us * 2, count: 0 });
            }
            match bars.last_mut() {
                Some(last) if last.from_us == from_us => last.count += step.count_at_value(),
                _ => bars.push(Self { from_us, count: step.count_at_value() }),
            }
        }
        bars
    }
}

impl FaultWindow {
    /// A fault that was planned, and what it did; `None` = it never began.
    pub fn new(id: u32, words: String, figures: Option<&FaultFigures>) -> Self {
        let Some(figures) = figures else {
            return Self {
                id,
                words,
                from_ns: None,
                to_ns: None,
                before: WindowLatency::default(),
                during: WindowLatency::default(),
                after: WindowLatency::default(),
                recovered_after_ns: None,
                recovery: "it never began".to_owned(),
            };
        };
        let recovery = match figures.recovered_after_ns {
            Some(0) => "latency was as before at once".to_owned(),
            Some(ns) => format!("latency was as before {} after its end", show_us(ns / 1_000)),
            None => figures.unknown.to_owned(),
        };
        Self {
            id,
            words,
            from_ns: Some(figures.from_ns),
            to_ns: figures.to_ns,
            before: figures.before.into(),
            during: figures.during.into(),
            after: figures.after.into(),
            recovered_after_ns: figures.recovered_after_ns,
            recovery,
        }
    }
}

impl std::convert::From<SegmentFigures> for WindowLatency {
    fn from(figures: SegmentFigures) -> Self {
        let SegmentFigures { accepted, delivered } = figures;
        let (accepted_p50_us, accepted_p99_us, accepted_max_us) = parts(accepted);
        let (delivered_p50_us, delivered_p99_us, delivered_max_us) = parts(delivered);
        Self {
            accepted: accepted.count,
            accepted_p50_us,
            accepted_p99_us,
            accepted_max_us,
            delivered: delivered.count,
            delivered_p50_us,
            delivered_p99_us,
            delivered_max_us,
        }
    }
}
