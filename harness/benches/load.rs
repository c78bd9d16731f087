//! What the generator of load tests itself can do: against a target that costs next to nothing, in memory.
//!
//! `cargo bench -p avouch --bench load [-- ROUNDS] [PART…]`; a part is `generator` or `record`.
//!
//! - `generator`: `avouch load` as it is (schedule, pacer, sessions with their MQTT adapters, recorder; on a second thread history on disk,
//!   every checker, latency), `QoS` 1, 128 bytes, eight pairs; in place of sockets and server a table of subscribers. What counts: messages per
//!   second of processor time of the one thread that sends and receives (sent, acknowledged, delivered), how late sends began (wall time: only on
//!   a machine that does nothing else), and what the other thread took per message: that is keeping, judging and measuring it.
//! - `record`: latency alone, of a message that was sent, accepted and delivered: histograms, seconds, segments, tally.

#![allow(clippy::print_stdout, reason = "its output is its purpose")]
#![allow(clippy::unwrap_used, reason = "a benchmark may stop anywhere")]
#![allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
#![allow(missing_docs, reason = "a benchmark has no interface")]

#[path = "proxy/cpu.rs"]
#[allow(dead_code, reason = "shared with the proxy's benchmark, which looks at other processes")]
mod cpu;
#[path = "load/null.rs"]
mod null;

use std::cell::Cell;
use std::rc::Rc;

use avouch::conductor::{Stage, conduct_with};
use avouch::load::{Described, Live, Loaded, Order, perform_in};
use avouch::payload::Nonce;
use avouch::subject::{Place, Subject};
use avouch::world::live::effort;
use avouch_reports::history::{Conversation, Device, Event, Message, Phase, Rung, User, What};
use avouch_reports::latency::LatencyRecorder;
use avouch_reports::load::{Arrival, ArrivalKind, Payload, Shape, ShapeKind, Tally};
use avouch_scenarios::load::{Arrivals, Schedule, Sender, SizeMix};
use avouch_scenarios::parse_scenario;
use avouch_scenarios::plan::{Conversation as Planned, Delay, LinkShape, Plan};
use avouch_scenarios::scenario::Arrivals as Spread;
use avouch_scenarios::target::{TARGETS, parse_target};

const PAIRS: u32 = 8;
const SECONDS: u64 = 5;

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let rounds: u64 = arguments.iter().find_map(|argument| argument.parse().ok()).unwrap_or(3);
    let parts: Vec<_> = arguments.iter().filter(|argument| argument.parse::<u64>().is_err()).collect();
    let is_wanted = |name: &str| parts.is_empty() || parts.iter().any(|part| name == part.as_str());
    println!("{rounds} rounds, {} processors, {}", cpu::processors(), cpu::load_words());
    if is_wanted("record") {
        let best = (0..rounds).map(|_| record()).fold(f64::INFINITY, f64::min);
        println!("record: {best:.0} ns of CPU for the latency of a message: sent, accepted, delivered");
    }
    if is_wanted("generator") {
        for per_s in [20_000, 100_000, 150_000] {
            for _ in 0..rounds {
                generate(per_s);
            }
        }
    }
}

fn generate(per_s: u64) {
    let folder = std::env::temp_dir().join(format!("avouch-bench-load-{}", std::process::id()));
    let spent = Cell::new((0.0, 0.0));
    let loaded = loaded(per_s, folder.clone(), &spent);
    let (own_s, all_s) = spent.get();
    let (totals, generator) = (loaded.record.totals, &loaded.record.generator);
    assert_eq!((totals.missing, totals.unknown), (0, 0), "{:?}", loaded.record.reasons);
    let duration_s = loaded.record.duration_ns as f64 / 1e9;
    let late = |us: Option<u64>| us.map_or_else(|| "?".to_owned(), |us| format!("{:.2} ms", us as f64 / 1e3));
    println!(
        "generator: {per_s:>7}/s intended, {:>7.0}/s sent; {:>7.0} messages per CPU-second of its thread; late p50 {}, p99 {}, max {}; \
         the recording thread {:.2} µs of CPU per message; {}",
        totals.sent as f64 / duration_s,
        totals.sent as f64 / own_s,
        late(generator.lateness_p50_us),
        late(generator.lateness_p99_us),
        late(generator.lateness_max_us),
        (all_s - own_s) * 1e6 / totals.sent as f64,
        cpu::load_words(),
    );
    std::fs::remove_dir_all(folder).unwrap();
}

/// `spent`: CPU seconds of the thread that sends and receives, and of all, from the first session to the last delivery.
fn loaded(per_s: u64, folder: std::path::PathBuf, spent: &Cell<(f64, f64)>) -> Loaded {
    let entry = TARGETS.iter().find(|entry| entry.name == "mqtt").unwrap();
    let target = parse_target(entry.name, entry.text).unwrap();
    let place = Some(Place::Running("null:1".to_owned()));
    let subject = Subject::new("null", &target, target.mode(Some("qos1")).unwrap(), place).unwrap();
    let senders = (0..PAIRS).map(|pair| Sender { device: 2 * pair, conversation: pair }).collect();
    let sizes = SizeMix::from_text("128 B").unwrap();
    let arrivals = Arrivals::constant(Spread::Poisson, per_s as f64, SECONDS * 1_000_000_000);
    let order = Order {
        plan: plan(),
        schedule: Schedule { seed: 1, arrivals, senders, shares: Vec::new(), sizes, shard: (0, 1) },
        window: None,
        described: described(&subject),
        subject,
        objectives: Vec::new(),
        folder,
        repeat: String::new(),
        start_unix_ms: None,
        noise_floor: None,
    };
    perform_in(order, &Live::default(), |parts, recorder, pace| {
        let began = (thread_ns(), effort::now());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let ended = tokio::task::LocalSet::new().block_on(&runtime, async {
            let installer = parts.subject.dialect.installer(parts.plan.clone(), Nonce::NONE);
            let world = Rc::new(null::NullWorld::new());
            let stage = Stage::new(parts.plan.clone(), world, installer, recorder.clone());
            conduct_with(stage, None, pace).await
        });
        let own_s = (thread_ns() - began.0) as f64 / 1e9;
        spent.set((own_s, effort::now().since(&began.1).process_cpu_s));
        ended
    })
    .unwrap()
}

fn plan() -> Plan {
    let text = format!(
        "about = \"A load test.\"\n[workload]\nusers = {}\nconversations = 1\nmembers = 2\nrate = \"10/s\"\nduration = \"{SECONDS}s\"\n",
        2 * PAIRS
    );
    let mut plan = parse_scenario("load", &text).unwrap().plan("load", 1).unwrap();
    plan.actions.clear();
    let members = |pair: u32| Planned { name: format!("c{pair}"), members: vec![2 * pair + 1] };
    plan.conversations = (0..PAIRS).map(members).collect();
    for shape in [&mut plan.network.up, &mut plan.network.down] {
        *shape = LinkShape { delay: Delay::Fixed { ns: 0 }, rate_bytes_per_s: None };
    }
    plan
}

fn described(subject: &Subject) -> Described {
    Described {
        protocol: subject.dialect.words(),
        arrival: Arrival {
            kind: ArrivalKind::Poisson,
            closed_loop: false,
            rates_per_s: Vec::new(),
            burst_messages: 0,
            burst_every_ns: 0,
            window: 0,
            words: String::new(),
        },
        payload: Payload { words: "128 B".to_owned(), bytes_min: 128, bytes_mean: 128.0, bytes_max: 128 },
        shape: Shape {
            kind: ShapeKind::OneToOne,
            conversations: u64::from(PAIRS),
            members: 2,
            sizes: Vec::new(),
            sessions: u64::from(2 * PAIRS),
            idle_sessions: 0,
            words: String::new(),
        },
        faults: Vec::new(),
        shard: None,
    }
}

/// CPU nanoseconds of this thread.
fn thread_ns() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split(' ').next().unwrap().parse().unwrap()
}

/// CPU nanoseconds per message.
fn record() -> f64 {
    const MESSAGES: u64 = 500_000;
    const GAP_NS: u64 = 40_000;
    let (mut latency, mut tally) = (LatencyRecorder::default(), Tally::default());
    let begun_ns = 1_000_000_000;
    let mut events = vec![Event { at_ns: begun_ns, what: What::Phase { phase: Phase::Chaos } }];
    for number in 0..2 * PAIRS {
        let what = What::Device { device: Device(number), user: User(number), name: String::new() };
        events.push(Event { at_ns: 0, what });
    }
    for number in 0..PAIRS {
        let members = vec![User(2 * number + 1)];
        let what = What::Conversation { conversation: Conversation(number), name: String::new(), members };
        events.push(Event { at_ns: 0, what });
    }
    for number in 0..MESSAGES {
        let pair = (number % u64::from(PAIRS)) as u32;
        let (device, conversation, message) = (Device(2 * pair), Conversation(pair), Message(number + 1));
        let sent_ns = begun_ns + number * GAP_NS;
        let (intended_ns, bytes, digest, reply_to) = (sent_ns - 3_000, 128, number, None);
        let mut at = |after_ns, what| events.push(Event { at_ns: sent_ns + after_ns, what });
        at(0, What::Send { device, conversation, message, intended_ns, bytes, digest, reply_to });
        at(90_000 + number % 7_000, What::Accepted { device, message, seq: None, rung: Rung::Accepted });
        let (device, message, redelivered) = (Device(2 * pair + 1), Some(message), false);
        let seq = None;
        at(
            120_000 + number % 9_000,
            What::Delivered { device, conversation, message, seq, digest, redelivered },
        );
    }
    events.sort_by_key(|event| event.at_ns);
    let before_ns = thread_ns();
    for event in &events {
        latency.observe(event);
        tally.observe(event);
    }
    let spent_ns = thread_ns() - before_ns;
    assert_eq!(latency.deliveries(), MESSAGES);
    spent_ns as f64 / MESSAGES as f64
}
