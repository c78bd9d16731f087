//! What the journal costs a simulation: a new one on an empty simulated disk, a small commit, a restart.
//!
//! `cargo bench -p avouch-server --bench journal`. Figures are processor time, so a busy machine does not matter.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark prints, and cannot go on after an error"
)]

use std::fs;
use std::hint::black_box;

use avouch_engine::ids::{ConversationId, DeviceId, DeviceKey, MessageId, UserId};
use avouch_engine::journal::{Body, Entry, Record};
use avouch_server::disk::SimDisk;
use avouch_server::journal::{Journal, JournalOptions};
use bytes::Bytes;

/// Enough for the system's clock, which counts hundredths of a second.
const ROUNDS: u64 = 50_000;
const COMMITS_PER_LIFE: u64 = 20;
const PAYLOAD_BYTES: usize = 100;

fn main() {
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
    Record::Entry { conversation: ConversationId(1), entry }
}

/// Processor time of this process so far.
fn cpu_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<_> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
    ticks / 100.0
}
