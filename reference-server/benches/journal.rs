//! What the journal costs by itself: in a simulation, and on files against a bare loop of append + fdatasync.
//!
//! `cargo bench -p avouch-server --bench journal`. In simulation, figures are processor time. On files, journal and bare loop
//! take turns with every batch, so that both see the same disk at the same load; what counts is the ratio.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark prints, and cannot go on after an error"
)]
#![allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

use std::fs::{self, File};
use std::hint::black_box;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use avouch_engine::ids::{ConversationId, DeviceId, DeviceKey, MessageId, UserId};
use avouch_engine::journal::{Body, Entry, Record};
use avouch_server::disk::{FileDisk, SimDisk};
use avouch_server::journal::{Journal, JournalOptions};
use bytes::Bytes;

/// Enough for the system's clock, which counts hundredths of a second.
const ROUNDS: u64 = 50_000;
const COMMITS_PER_LIFE: u64 = 20;
const PAYLOAD_BYTES: usize = 100;
/// What one message of that size takes in a log.
const RECORD_BYTES: usize = 192;
const TIME_PER_SIZE: Duration = Duration::from_secs(4);

fn main() {
    println!("## on a simulated disk");
    simulated();
    println!("## on files, against append + fdatasync of as many bytes");
    let directory = std::env::temp_dir().join(format!("avouch-bench-{}", std::process::id()));
    for records_per_sync in [1, 16, 256] {
        fs::create_dir_all(&directory).unwrap();
        on_files(&directory, records_per_sync);
        fs::remove_dir_all(&directory).unwrap();
    }
}

fn on_files(directory: &Path, records_per_sync: u64) {
    let mut journal = Journal::open(&FileDisk::new(directory), JournalOptions::default()).unwrap();
    let mut bare = File::create(directory.join("bare")).unwrap();
    let bare_batch = vec![7; records_per_sync as usize * RECORD_BYTES];
    let (mut commits, mut appends, mut checkpoints) = (Vec::new(), Vec::new(), Duration::ZERO);
    let end = Instant::now() + TIME_PER_SIZE;
    let mut next = 1;
    while Instant::now() < end {
        let batch: Vec<_> = (next..next + records_per_sync).map(record).collect();
        next += records_per_sync;
        let started = Instant::now();
        journal.commit(&batch).unwrap();
        commits.push(started.elapsed());
        // A server does these on another thread.
        let started = Instant::now();
        if let Some(work) = journal.checkpoint() {
            journal.checkpointed(work.run()).unwrap();
            checkpoints += started.elapsed();
        }
        let started = Instant::now();
        bare.write_all(&bare_batch).unwrap();
        bare.sync_data().unwrap();
        appends.push(started.elapsed());
    }
    let total = |laps: &[Duration]| laps.iter().sum::<Duration>().as_secs_f64();
    let rate = |laps: &[Duration]| (laps.len() as u64 * records_per_sync) as f64 / total(laps);
    let (commit_rate, append_rate) = (rate(&commits), rate(&appends));
    let (commit_p50, append_p50) = (median(&mut commits), median(&mut appends));
    println!(
        "{records_per_sync:>4} per sync   commit p50 {:>6} us, bare {:>6} us, ratio {:.2}   {commit_rate:>8.0}/s, bare {append_rate:>8.0}/s, ratio {:.2}   checkpoints {:.1} us per record",
        commit_p50.as_micros(),
        append_p50.as_micros(),
        commit_p50.as_secs_f64() / append_p50.as_secs_f64(),
        commit_rate / append_rate,
        checkpoints.as_secs_f64() * 1e6 / journal.counters().records as f64
    );
}

fn median(laps: &mut [Duration]) -> Duration {
    laps.sort_unstable();
    laps[laps.len() / 2]
}

fn simulated() {
    let options = JournalOptions::default();
    measure("open on an empty disk", ROUNDS, || {
        black_box(Journal::open(&SimDisk::new(), options).unwrap());
    });
    let life = |disk: &SimDisk| {
        let mut journal = Journal::open(disk, options).unwrap();
        for seq in 1..=COMMITS_PER_LIFE {
            journal.commit(&[record(seq)]).unwrap();
        }
    };
    measure(&format!("the same and {COMMITS_PER_LIFE} commits"), ROUNDS, || life(&SimDisk::new()));
    let disk = SimDisk::new();
    life(&disk);
    measure(&format!("power loss and restart with {COMMITS_PER_LIFE} messages"), ROUNDS, || {
        disk.power_loss(1);
        black_box(Journal::open(&disk, options).unwrap().recover().unwrap());
    });
}

fn measure(what: &str, rounds: u64, mut work: impl FnMut()) {
    let before = cpu_seconds();
    for _ in 0..rounds {
        work();
    }
    println!("{what:<50} {:>6.1} us of cpu", (cpu_seconds() - before) * 1e6 / rounds as f64);
}

fn record(seq: u64) -> Record {
    let author = DeviceKey { user: UserId(1), device: DeviceId(1) };
    let body = if seq == 1 {
        Body::Members { added: vec![UserId(1)], removed: Vec::new() }
    } else {
        Body::Message { reply_to: None, payload: Bytes::from_static(&[7; PAYLOAD_BYTES]) }
    };
    let entry = Entry { seq, author, id: MessageId(seq), at_ms: 0, chain: [0; 32], body };
    Record::Entry { conversation: ConversationId(1), fingerprint: seq, entry }
}

/// Processor time of this process so far.
fn cpu_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<_> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
    ticks / 100.0
}
