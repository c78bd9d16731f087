//! How fast histories are written, read and measured. `cargo bench -p avouch-reports`; prints one line per figure.
//!
//! Time is CPU time of the only thread (`/proc/thread-self/schedstat`, Linux only), the best of several rounds: what else
//! the machine does costs caches, but does not count.

#![allow(clippy::print_stdout, reason = "its output is its purpose")]

use std::hint::black_box;
use std::io::BufReader;

use avouch_reports::history::{
    Conversation, Device, Event, Header, HistoryReader, HistoryWriter, Message, ReadOptions, ReceiptKind,
    Rung, User, What, history_hash,
};
use avouch_reports::latency::LatencyRecorder;
use avouch_reports::run::RunFacts;

const MESSAGES: u64 = 100_000;
const ROUNDS: usize = 5;
const RECIPIENTS: u32 = 2;

fn main() {
    let events = events();
    let bytes = write(&events);
    let per_event = bytes.len() as f64 / events.len() as f64;
    println!("{} events, {} messages, {per_event:.1} bytes per event", events.len(), MESSAGES);
    let count = events.len() as f64;
    report("write (with hash)", count, "events", || {
        black_box(write(&events));
    });
    report("read and validate", count, "events", || {
        let reader = HistoryReader::open(BufReader::new(bytes.as_slice()), ReadOptions::default());
        let read =
            reader.expect("the history is valid").map(|event| black_box(event.expect("the event is valid")));
        assert_eq!(read.count(), events.len());
    });
    report("hash a stored history", count, "events", || {
        black_box(history_hash(bytes.as_slice()).expect("the history is valid"));
    });
    report("record latencies", MESSAGES as f64, "messages", || {
        let mut recorder = LatencyRecorder::default();
        for event in &events {
            recorder.observe(event);
        }
        black_box(recorder.summary());
    });
    report("gather facts", count, "events", || {
        let mut facts = RunFacts::default();
        for event in &events {
            facts.observe(event);
        }
        black_box(facts.counts().deliveries);
    });
}

fn report(what: &str, count: f64, unit: &str, mut work: impl FnMut()) {
    let mut best_s = f64::INFINITY;
    for _ in 0..ROUNDS {
        let from_s = cpu_now_s();
        work();
        best_s = best_s.min(cpu_now_s() - from_s);
    }
    println!(
        "{what:24} {:>8.2} M {unit} per CPU-second  {:>6.0} ns each",
        count / best_s / 1e6,
        best_s / count * 1e9
    );
}

fn cpu_now_s() -> f64 {
    let stat =
        std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux tells what a thread used");
    let ns: u64 =
        stat.split(' ').next().and_then(|ns| ns.parse().ok()).expect("the first number is that time");
    ns as f64 / 1e9
}

fn write(events: &[Event]) -> Vec<u8> {
    let mut writer =
        HistoryWriter::new(Vec::new(), &Header::default()).expect("the header is within its limits");
    for event in events {
        writer.append(event).expect("memory takes every event");
    }
    writer.finish().expect("memory takes every event").1
}

/// One sender, two recipients: a send, its acceptance, and for each recipient a delivery, an ack and a receipt.
fn events() -> Vec<Event> {
    let conversation = Conversation(0);
    let sender = Device(0);
    let mut events = Vec::new();
    let mut push = |at_ns: u64, what: What| events.push(Event { at_ns, what });
    for device in 0..=RECIPIENTS {
        push(0, What::Device { device: Device(device), user: User(device), name: format!("u{device}.d0") });
    }
    let members = (0..=RECIPIENTS).map(User).collect();
    push(0, What::Conversation { conversation, name: "general".to_owned(), members });
    for number in 1..=MESSAGES {
        let (at_ns, message, seq) = (number * 50_000, Message(number), Some(number));
        let digest = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let (intended_ns, bytes, reply_to) = (at_ns - 100, 100, None);
        push(
            at_ns,
            What::Send { device: sender, conversation, message, intended_ns, bytes, digest, reply_to },
        );
        push(at_ns + 10_000, What::Accepted { device: sender, message, seq, rung: Rung::Stored });
        for device in (1..=RECIPIENTS).map(Device) {
            let redelivered = false;
            let message = Some(message);
            push(at_ns + 20_000, What::Delivered { device, conversation, message, seq, digest, redelivered });
            push(at_ns + 20_000, What::Acknowledged { device, conversation, up_to: seq, message: None });
            let kind = ReceiptKind::Delivered;
            push(
                at_ns + 20_000,
                What::Receipt { device: sender, conversation, by: device, kind, up_to: number },
            );
        }
    }
    events
}
