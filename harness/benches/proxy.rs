//! The chaos proxy against haproxy (`mode tcp`) and socat (`nodelay`), in one run, by turns.
//!
//! `cargo bench -p avouch --bench proxy [-- ROUNDS] [PART…]`; a part is `ping`, `bulk`, `bulk-256k` or `split`. Peers that are not
//! installed are left out, and it is said. What is on: `avouch proxy` as a process of its own, without rules, once with MQTT's frames and once with
//! a rule that decides about each of them; as many threads as haproxy has. What is not: TLS, toxics, a journal, other machines.
//! Everything is on loopback, and the load's two threads share the processors with the proxy: the figures that count are ratios
//! within a run, and CPU time.
//!
//! - `ping`: 64 connections, each with one message of 128 bytes under way, an echo server; one thread for each side.
//! - `bulk`: one connection, writes of 64 KiB (one MQTT message) into a reader that takes as much at a time, each on an event loop
//!   of its own. The kernel hands each write over as one buffer, for which the reader is woken, and which it takes whole: on an idle
//!   machine this measures those turns, too.
//! - `bulk-256k`: the same with writes of 256 KiB. With nothing between twice as much passes as with anything: what stands between is what
//!   is measured.
//! - `split`: a message of 128 bytes in two writes, 0.5 ms apart; Nagle's algorithm makes 40 ms of it.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark prints, and cannot go on after an error"
)]
#![allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

#[path = "proxy/cpu.rs"]
mod cpu;
#[path = "proxy/load.rs"]
mod load;
#[path = "proxy/peers.rs"]
mod peers;

use std::net::SocketAddr;
use std::time::Duration;

use cpu::Machine;
use peers::Peer;

const CONNECTIONS: usize = 64;
const SAMPLE: Duration = Duration::from_secs(1);
const SPLIT_MESSAGES: usize = 60;

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let rounds: usize = arguments.iter().find_map(|argument| argument.parse().ok()).unwrap_or(5);
    let parts: Vec<_> = arguments.iter().filter(|argument| argument.parse::<u64>().is_err()).collect();
    let is_wanted = |name: &str| parts.is_empty() || parts.iter().any(|part| name == part.as_str());

    println!("{rounds} rounds, {} processors, {}", cpu::processors(), cpu::load_words());
    if is_wanted("ping") {
        let unit = "round trips/s";
        part("ping", unit, rounds, load::echo_server(), |address| load::ping(address, CONNECTIONS, SAMPLE));
    }
    for (name, messages_per_write) in [("bulk", 1), ("bulk-256k", 4)] {
        if is_wanted(name) {
            let (address, received) = load::sink();
            part(name, "MB/s", rounds, address, |address| {
                load::bulk(address, &received, (messages_per_write, SAMPLE))
            });
        }
    }
    if is_wanted("split") {
        part("split", "messages/s", rounds, load::echo_server(), |address| {
            load::split(address, SPLIT_MESSAGES)
        });
    }
    println!("{}", cpu::load_words());
}

/// What one sample gave.
struct Sample {
    /// Things done.
    done: f64,
    /// In so many seconds.
    seconds: f64,
    /// Median time of one, where that is what counts.
    median_ms: Option<f64>,
    /// The connections: with them, processes that serve one each would be gone before they are looked at.
    held: Box<dyn std::any::Any>,
}

/// A peer's samples.
#[derive(Default)]
struct Figures {
    rates: Vec<f64>,
    cpu_us: Vec<f64>,
    medians_ms: Vec<f64>,
    foreign: Vec<f64>,
}

fn part(name: &str, unit: &str, rounds: usize, server: SocketAddr, sample: impl Fn(SocketAddr) -> Sample) {
    let peers = Peer::all(server);
    let mut figures: Vec<Figures> = peers.iter().map(|_| Figures::default()).collect();
    for _ in 0..rounds {
        for (peer, figures) in peers.iter().zip(&mut figures) {
            let machine = Machine::look(peer.processes());
            let sample = sample(peer.address);
            let spent = machine.until_now(peer.processes());
            drop(sample.held);
            figures.rates.push(sample.done / sample.seconds);
            figures.cpu_us.push(spent.peer_s * 1e6 / sample.done);
            figures.medians_ms.extend(sample.median_ms);
            figures.foreign.push(spent.foreign);
        }
    }
    print(name, unit, &peers, &mut figures);
}

fn print(name: &str, unit: &str, peers: &[Peer], figures: &mut [Figures]) {
    let haproxy = peers.iter().position(|peer| peer.name == "haproxy");
    let reference = haproxy.map(|at| (best(&figures[at].rates), median(&figures[at].rates)));
    let cpu_unit = if unit == "MB/s" { "CPU µs/MB" } else { "CPU µs each" };
    println!("\n## {name}: {unit}");
    println!(
        "{:<20} {:>10} {:>10} {:>22} {:>12} {:>9} {:>10} {:>8}",
        "", "best", "median", "of haproxy's (best, med)", cpu_unit, "median", "ms median", "foreign"
    );
    for (peer, figures) in peers.iter().zip(figures) {
        let (best_rate, median_rate) = (best(&figures.rates), median(&figures.rates));
        let ratios = reference.map_or_else(String::new, |(best, median)| {
            format!("{:.2}, {:.2}", best_rate / best, median_rate / median)
        });
        let least_us = figures.cpu_us.iter().copied().fold(f64::INFINITY, f64::min);
        let ms = if figures.medians_ms.is_empty() {
            String::new()
        } else {
            format!("{:.3}", median(&figures.medians_ms))
        };
        println!(
            "{:<20} {best_rate:>10.0} {median_rate:>10.0} {ratios:>24} {least_us:>12.1} {:>9.1} {ms:>10} {:>8.2}",
            peer.name,
            median(&figures.cpu_us),
            median(&figures.foreign),
        );
    }
}

fn best(values: &[f64]) -> f64 {
    values.iter().copied().fold(0.0, f64::max)
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}
