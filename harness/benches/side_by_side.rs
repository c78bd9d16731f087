//! `avouch load` beside tsung and mqttv5-cli: what each takes of the processor for a delivered `QoS` 1 message, against one and the same
//! mosquitto, by turns, each run with a fresh one (2.0.11 has died after sessions of MQTT 5.0 had ended).
//!
//! `cargo bench -p avouch --bench side_by_side [-- ROUNDS RATE]` (default: 3 rounds, 4,000 messages per second). It needs mosquitto and
//! `mosquitto_sub`; tsung (Debian has it) and mqttv5 (`cargo install mqttv5-cli`; or where `MQTTV5` says) are left out where they
//! are missing, and it is said.
//!
//! Everybody has 40 publishers and one subscriber, `QoS` 1, 128 bytes, the same rate (tsung: by think times of its users, which wait for their
//! acknowledgements; the rate that came of it is told). Processor time is that of the whole process with its children, as the kernel
//! hands it to whoever waits for them. How much was delivered is what the broker counts (`$SYS`), not what a tool says of
//! itself. Each tool runs short and long in each round: *each* is the whole long run's time per message, *more* is the
//! difference of both runs, so that starting (a virtual machine, a measured noise floor) does not count. What `avouch load` does beside: it
//! records every message to disk, checks it, and writes a report.

#![allow(clippy::print_stdout, reason = "its output is its purpose")]
#![allow(clippy::unwrap_used, reason = "a benchmark may stop anywhere")]
#![allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
#![allow(missing_docs, reason = "a benchmark has no interface")]

#[path = "side_by_side/broker.rs"]
mod broker;
#[path = "proxy/cpu.rs"]
#[allow(dead_code, reason = "shared with the proxy's benchmark")]
mod cpu;
#[path = "side_by_side/tools.rs"]
mod tools;

use std::time::Instant;

use broker::Broker;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;
use tools::Tool;

const PUBLISHERS: u64 = 40;
const PAYLOAD_BYTES: usize = 128;
const SHORT_S: u64 = 4;
const LONG_S: u64 = 14;

/// What everybody has to do.
#[derive(Clone, Copy)]
struct Task {
    port: u16,
    per_s: u64,
    seconds: u64,
}

/// One run of a tool.
#[derive(Clone, Copy)]
struct Sample {
    delivered: f64,
    tool_s: f64,
    broker_s: f64,
    wall_s: f64,
    foreign: f64,
}

fn main() {
    let numbers: Vec<u64> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    let rounds = numbers.first().copied().unwrap_or(3);
    let per_s = numbers.get(1).copied().unwrap_or(4_000);
    println!("{rounds} rounds, {per_s}/s, {} processors, {}", cpu::processors(), cpu::load_words());
    let tools = Tool::all();
    let mut samples: Vec<Vec<[Sample; 2]>> = tools.iter().map(|_| Vec::new()).collect();
    for _ in 0..rounds {
        for (tool, samples) in tools.iter().zip(&mut samples) {
            let of = |seconds| sample(tool, per_s, seconds);
            samples.push([of(SHORT_S), of(LONG_S)]);
        }
    }
    println!("CPU µs per delivered message, medians; foreign = processors that others kept busy");
    println!(
        "{:<14} {:>12} {:>11} {:>9} {:>9} {:>16} {:>13} {:>8}",
        "", "delivered/s", "of asked", "each", "more", "of avouch's more", "the broker's", "foreign"
    );
    let more = |samples: &[[Sample; 2]]| {
        median(
            samples
                .iter()
                .map(|[short, long]| (long.tool_s - short.tool_s) * 1e6 / (long.delivered - short.delivered)),
        )
    };
    for (tool, of_tool) in tools.iter().zip(&samples) {
        let long = |value: &dyn Fn(&Sample) -> f64| median(of_tool.iter().map(|[_, long]| value(long)));
        println!(
            "{:<14} {:>12.0} {:>10.0}% {:>9.1} {:>9.1} {:>16.2} {:>13.1} {:>8.2}",
            tool.name,
            median(
                of_tool.iter().map(|[short, long]| {
                    (long.delivered - short.delivered) / (long.wall_s - short.wall_s)
                })
            ),
            long(&|it| it.delivered) * 100.0 / (per_s * LONG_S) as f64,
            long(&|it| it.tool_s * 1e6 / it.delivered),
            more(of_tool),
            more(of_tool) / more(&samples[0]),
            long(&|it| it.broker_s * 1e6 / it.delivered),
            long(&|it| it.foreign),
        );
    }
    println!("{}", cpu::load_words());
    println!("below 95 % of what was asked a figure says little: the machine had other things to do");
}

fn sample(tool: &Tool, per_s: u64, seconds: u64) -> Sample {
    let broker = Broker::start();
    let task = Task { port: broker.port, per_s, seconds };
    let (delivered, began, children_s) = (broker.delivered(), Instant::now(), children_s());
    let machine = cpu::Machine::look(vec![broker.id()]);
    tool.run(task);
    let (wall_s, tool_s) = (began.elapsed().as_secs_f64(), self::children_s() - children_s);
    let spent = machine.until_now(vec![broker.id()]);
    // The tool's own share is among the others': it has ended, so only whoever waited for it knows.
    let foreign = spent.foreign - tool_s / wall_s;
    let delivered = broker.delivered() - delivered;
    assert!(delivered > 0.0, "{}: nothing was delivered", tool.name);
    println!("{}: {} s asked, {delivered} delivered, {tool_s:.2} CPU-s", tool.name, task.seconds);
    Sample { delivered, tool_s, broker_s: spent.peer_s, wall_s, foreign: foreign.max(0.0) }
}

/// CPU seconds of all children that have ended, with theirs.
fn children_s() -> f64 {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).unwrap();
    let seconds = |time: TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    seconds(usage.user_time()) + seconds(usage.system_time())
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
