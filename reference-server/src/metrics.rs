//! What the server tells about itself, and its form as Prometheus text.
//!
//! Numbers are kept by the engine's task alone; whoever wants them asks it. So they are never half of two moments, and
//! an answer proves that the task is alive.

use std::fmt::Write;

use avouch_engine::server::Stats;
use tokio::sync::{mpsc, oneshot};

use crate::journal::JournalCounters;

/// Questions that may wait for an answer.
const QUESTIONS_MAX: usize = 16;

/// Upper bounds of the buckets of the batch size histogram, in records.
const BATCH_RECORDS: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1_024.0, 4_096.0];
/// Upper bounds of the buckets of the commit time histogram, in seconds.
const COMMIT_SECONDS: &[f64] =
    &[0.000_1, 0.000_2, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0];

/// A histogram with fixed buckets.
#[derive(Clone, Debug)]
pub struct Histogram {
    bounds: &'static [f64],
    counts: Vec<u64>,
    count: u64,
    sum: f64,
}

impl Histogram {
    fn new(bounds: &'static [f64]) -> Self {
        Self { bounds, counts: vec![0; bounds.len()], count: 0, sum: 0.0 }
    }

    pub(crate) fn record(&mut self, value: f64) {
        let bucket = self.bounds.partition_point(|bound| *bound < value);
        if let Some(count) = self.counts.get_mut(bucket) {
            *count += 1;
        }
        self.count += 1;
        self.sum += value;
    }

    /// How many values it holds.
    pub fn count(&self) -> u64 {
        self.count
    }
}

/// The shell's own numbers.
#[derive(Clone, Debug)]
pub struct Shell {
    /// Connections now, handshakes included.
    pub connections: u64,
    /// Connections accepted.
    pub connections_accepted: u64,
    /// Connections dropped at once because there were too many.
    pub connections_refused: u64,
    /// Failures to accept.
    pub accept_errors: u64,
    /// Frames for connections that had gone or were too far behind.
    pub frames_dropped: u64,
    /// Times that the journal had to be opened again.
    pub journal_reopened: u64,
    /// Records per batch.
    pub batch_records: Histogram,
    /// Seconds from handing a batch over until it was known to be durable.
    pub commit_seconds: Histogram,
}

impl Default for Shell {
    fn default() -> Self {
        Self {
            connections: 0,
            connections_accepted: 0,
            connections_refused: 0,
            accept_errors: 0,
            frames_dropped: 0,
            journal_reopened: 0,
            batch_records: Histogram::new(BATCH_RECORDS),
            commit_seconds: Histogram::new(COMMIT_SECONDS),
        }
    }
}

/// Everything, at one moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The engine.
    pub stats: Stats,
    /// The journal.
    pub journal: JournalCounters,
    /// The shell.
    pub shell: Shell,
}

/// Asks a running server.
#[derive(Clone, Debug)]
pub struct MetricsHandle {
    questions: mpsc::Sender<Question>,
}

/// The server's end.
#[derive(Debug)]
pub struct MetricsSource {
    questions: mpsc::Receiver<Question>,
}

/// One question.
#[derive(Debug)]
pub(crate) struct Question(oneshot::Sender<Snapshot>);

impl Question {
    pub(crate) fn answer(self, snapshot: Snapshot) {
        // Whoever asked may have lost patience.
        let _ = self.0.send(snapshot);
    }
}

/// Both ends of a new pair.
pub fn metrics() -> (MetricsHandle, MetricsSource) {
    let (sender, questions) = mpsc::channel(QUESTIONS_MAX);
    (MetricsHandle { questions: sender }, MetricsSource { questions })
}

impl MetricsHandle {
    /// The numbers now; `None` once the server has stopped.
    pub async fn snapshot(&self) -> Option<Snapshot> {
        let (sender, answer) = oneshot::channel();
        self.questions.send(Question(sender)).await.ok()?;
        answer.await.ok()
    }
}

impl MetricsSource {
    /// The next question; never, once all handles are gone.
    pub(crate) async fn next(&mut self) -> Question {
        match self.questions.recv().await {
            Some(question) => question,
            None => std::future::pending().await,
        }
    }
}

/// The Prometheus text format, version 0.0.4.
pub fn prometheus(snapshot: &Snapshot) -> String {
    let mut text = Text(String::with_capacity(8 << 10));
    let Snapshot { shell, journal, .. } = snapshot;
    text.value("connections", "gauge", "Connections now, handshakes included.", shell.connections);
    text.counter("connections_accepted", "Connections accepted.", shell.connections_accepted);
    text.counter(
        "connections_refused",
        "Connections dropped because of the limit.",
        shell.connections_refused,
    );
    text.counter("accept_errors", "Failures to accept a connection.", shell.accept_errors);
    text.counter("frames_dropped", "Frames for connections that had gone.", shell.frames_dropped);
    text.counter("journal_reopened", "Times that the journal was opened again.", shell.journal_reopened);
    text.counter("journal_commits", "Batches made durable.", journal.commits);
    text.counter("journal_records", "Records made durable.", journal.records);
    text.counter("journal_refused", "Batches refused, without effect.", journal.refused);
    text.counter("journal_poisoned", "Commits with an unknown outcome.", journal.poisoned);
    text.counter(
        "journal_checkpoints",
        "Generations of the log brought into the store.",
        journal.checkpoints,
    );
    text.counter("journal_checkpoints_failed", "Failed attempts at that.", journal.checkpoints_failed);
    text.histogram("journal_batch_records", "Records per batch.", &shell.batch_records);
    text.histogram("journal_commit_seconds", "Time until a batch was durable.", &shell.commit_seconds);
    engine(&mut text, &snapshot.stats);
    text.0
}

fn engine(text: &mut Text, stats: &Stats) {
    let counters = [
        ("frames_received", "Frames that arrived.", stats.frames_received),
        ("frames_transmitted", "Frames handed to connections.", stats.frames_transmitted),
        ("checksum_failures", "Frames ignored because of their checksum.", stats.checksum_failures),
        ("frames_before_login", "Frames ignored because there was no login.", stats.frames_before_login),
        ("protocol_errors", "Connections closed with an error.", stats.protocol_errors),
        ("logins", "Successful logins.", stats.logins),
        ("new_installations", "Logins of a new installation.", stats.new_installations),
        ("takeovers", "Logins that ended another connection.", stats.takeovers),
        ("late_hellos", "Connections whose hello came after a newer one's.", stats.late_hellos),
        ("silent_closed", "Connections closed because the peer was silent.", stats.silent_closed),
        ("login_timeouts", "Connections closed because they did not log in.", stats.login_timeouts),
        ("slow_closed", "Connections closed because they took too little.", stats.slow_closed),
        ("entries_committed", "Entries committed.", stats.entries_committed),
        ("dedup_hits", "Operations answered from the dedup window.", stats.dedup_hits),
        ("rejected", "Operations refused for good.", stats.rejected),
        ("retry_later", "Operations told to retry later.", stats.retry_later),
        ("held", "Operations that waited for their predecessor.", stats.held),
        ("held_overflow", "Operations dropped because too many waited.", stats.held_overflow),
        ("proposals_refused", "Proposals refused by the journal.", stats.proposals_refused),
        ("delivered_first", "Entries transmitted for the first time.", stats.delivered_first),
        ("delivered_retry", "Entries transmitted again from the retry queue.", stats.delivered_retry),
        ("delivered_sweep", "Entries transmitted again by the sweep.", stats.delivered_sweep),
        ("delivered_pull", "Entries transmitted in pages.", stats.delivered_pull),
        ("sweeps_found", "Sweeps that found something undelivered.", stats.sweeps_found),
        ("heads", "Heads frames transmitted.", stats.heads),
        ("pages", "Pages transmitted.", stats.pages),
        ("pages_refused", "Page requests ignored.", stats.pages_refused),
        ("acks_beyond_head", "Acks beyond the log's end, ignored.", stats.acks_beyond_head),
        ("receipts", "Receipt batches transmitted.", stats.receipts),
        ("receipts_retried", "Receipt batches transmitted again.", stats.receipts_retried),
    ];
    for (name, help, value) in counters {
        text.counter(name, help, value);
    }
}

/// Text in the making. Writing to a string cannot fail.
struct Text(String);

impl Text {
    fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.value(&format!("{name}_total"), "counter", help, value);
    }

    fn value(&mut self, name: &str, kind: &str, help: &str, value: u64) {
        self.head(name, kind, help);
        let _ = writeln!(self.0, "avouch_server_{name} {value}");
    }

    fn head(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP avouch_server_{name} {help}\n# TYPE avouch_server_{name} {kind}");
    }

    fn histogram(&mut self, name: &str, help: &str, histogram: &Histogram) {
        self.head(name, "histogram", help);
        let mut cumulative = 0;
        for (bound, count) in histogram.bounds.iter().zip(&histogram.counts) {
            cumulative += count;
            let _ = writeln!(self.0, "avouch_server_{name}_bucket{{le=\"{bound}\"}} {cumulative}");
        }
        let _ = writeln!(self.0, "avouch_server_{name}_bucket{{le=\"+Inf\"}} {}", histogram.count);
        let _ = writeln!(self.0, "avouch_server_{name}_sum {}", histogram.sum);
        let _ = writeln!(self.0, "avouch_server_{name}_count {}", histogram.count);
    }
}
