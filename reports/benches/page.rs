//! How fast the page of a large run is made from its folder, and how large it is. `cargo bench -p avouch-reports --bench page`.
//!
//! The run: a million messages to two recipients each, 1,000 a second, with a stall of a second every minute. Time is CPU time of the
//! only thread (`/proc/thread-self/schedstat`, Linux only), the best of several rounds.

#![allow(clippy::print_stdout, reason = "its output is its purpose")]

use std::hint::black_box;

use avouch_reports::history::{Conversation, Device, Event, Header, Message, Rung, User, What};
use avouch_reports::latency::{LatencyRecorder, OverTime};
use avouch_reports::render::{Language, write_run_page};
use avouch_reports::run::{Run, RunFacts};

const MESSAGES: u64 = 1_000_000;
const PER_S: u64 = 1_000;
const ROUNDS: usize = 5;
const C: Conversation = Conversation(0);

fn main() {
    let (mut recorder, mut facts) = (LatencyRecorder::default(), RunFacts::default());
    events(|event| {
        recorder.observe(event);
        facts.observe(event);
    });
    let mut run = Run::new(Header::default(), facts);
    run.latency = recorder.summary();
    run.conclude();
    let mut log = Vec::new();
    recorder.write_hlog(&mut log).expect("writing to memory does not fail");
    println!("{MESSAGES} messages in {} s; interval log of {} KiB", MESSAGES / PER_S, log.len() / 1_024);
    let mut over_time = OverTime::default();
    let read_s = best_s(|| over_time = OverTime::read(log.as_slice()).expect("the log is ours"));
    println!("read the interval log   {read_s:>8.3} CPU-s");
    let mut page = Vec::new();
    let rendered_s = best_s(|| {
        page.clear();
        write_run_page(&run, Some(&over_time), Language::English, &mut page).expect("as above");
        black_box(&page);
    });
    println!("write the page          {rendered_s:>8.3} CPU-s, {} KiB", page.len() / 1_024);
    println!("both                    {:>8.3} CPU-s", read_s + rendered_s);
    // For whoever wants to see how fast a browser opens it: a file to write it to.
    if let Some(path) = std::env::var_os("AVOUCH_PAGE") {
        std::fs::write(path, &page).expect("the page can be written");
    }
}

/// Sends, acknowledgements and deliveries, in time order, so that no more than a second of them is held.
fn events(mut take: impl FnMut(&Event)) {
    for index in 0..3 {
        let what = What::Device { device: Device(index), user: User(index), name: format!("d{index}") };
        take(&Event { at_ns: 0, what });
    }
    let members = (0..3).map(User).collect();
    take(&Event { at_ns: 0, what: What::Conversation { conversation: C, name: "c".to_owned(), members } });
    for second in 0..MESSAGES / PER_S {
        let mut of_second: Vec<Event> = (second * PER_S..(second + 1) * PER_S).flat_map(message).collect();
        of_second.sort_by_key(|event| event.at_ns);
        // What a stall pushes into the next second is told at the end of its own: the clock of a history never falls.
        let end_ns = (second + 1) * 1_000_000_000 - 1;
        for mut event in of_second {
            event.at_ns = event.at_ns.min(end_ns);
            take(&event);
        }
    }
}

fn message(number: u64) -> [Event; 4] {
    let (message, seq) = (Message(number), Some(number + 1));
    let sent_ns = number * 1_000_000_000 / PER_S;
    // Spread over two decades, as latencies are; and a stall now and then.
    let spread = (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 44) as f64 / f64::from(1 << 20);
    let stall_ns = if number / PER_S % 60 == 30 { 900_000_000 - number % PER_S * 900_000 } else { 0 };
    let took_ns = |base_us: f64| (base_us * 1e3 * 40_f64.powf(spread)) as u64 + stall_ns;
    let at = |after_ns: u64, what: What| Event { at_ns: sent_ns + after_ns, what };
    let delivered = |device: u32| What::Delivered {
        device: Device(device),
        conversation: C,
        message: Some(message),
        seq,
        digest: 0,
        redelivered: false,
    };
    let send = What::Send {
        device: Device(0),
        conversation: C,
        message,
        intended_ns: sent_ns,
        bytes: 128,
        digest: 0,
        reply_to: None,
    };
    [
        at(0, send),
        at(took_ns(150.0), What::Accepted { device: Device(0), message, seq, rung: Rung::Stored }),
        at(took_ns(190.0), delivered(1)),
        at(took_ns(230.0), delivered(2)),
    ]
}

fn best_s(mut work: impl FnMut()) -> f64 {
    let mut best_s = f64::INFINITY;
    for _ in 0..ROUNDS {
        let from_s = cpu_now_s();
        work();
        best_s = best_s.min(cpu_now_s() - from_s);
    }
    best_s
}

fn cpu_now_s() -> f64 {
    let text =
        std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux tells threads their CPU time");
    let ns: u64 =
        text.split(' ').next().and_then(|ns| ns.parse().ok()).expect("its first number is the CPU time");
    ns as f64 / 1e9
}
