//! The server against the disk that it runs on: durable throughput, latency of one ack, memory of an idle connection.
//!
//! `cargo bench -p avouch-server --bench server [-- SECONDS] [PART…]`; a part is `latency`, `idle`, `throughput`, or one of
//! that with its limit (`throughput-256`, `throughput-default`). Everything is measured in one run on one machine, and the
//! figures that count are ratios: the server against a bare loop of append + fdatasync on the same file system. The server
//! is the real binary in a process of its own; clients and server share the processors, so the clients are as lean as
//! clients can be that look at everything they get.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark prints, and cannot go on after an error"
)]
#![allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

#[path = "server/client.rs"]
mod client;

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use client::Client;

const SECRET: &str = "the secret of the benchmark";
const CONNECTIONS: u64 = 64;
const WINDOW: u64 = 20;
const PAYLOAD_BYTES: usize = 100;
/// What one message of that size takes in a log.
const RECORD_BYTES: usize = 192;
const IDLE_CONNECTIONS: u64 = 2_000;
/// Times that server and bare loop alternate.
const TURNS: u32 = 10;

/// Records per sync that the server is limited to; `None` is its default.
const LIMITS: [Option<usize>; 5] = [None, Some(16), Some(64), Some(128), Some(256)];

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let seconds = arguments.iter().find_map(|argument| argument.parse().ok()).unwrap_or(5);
    let parts: Vec<_> = arguments.iter().filter(|argument| argument.parse::<u64>().is_err()).collect();
    let is_wanted = |name: &str| parts.is_empty() || parts.iter().any(|part| name.starts_with(part.as_str()));
    let time = Duration::from_secs(seconds);
    let directory = std::env::temp_dir().join(format!("avouch-bench-{}", std::process::id()));
    fs::create_dir_all(&directory).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();

    if is_wanted("latency") {
        println!("## one message at a time");
        latency(&runtime, &directory, time);
    }
    println!("## {CONNECTIONS} connections, window {WINDOW}, {PAYLOAD_BYTES} bytes");
    for limit in LIMITS {
        let name = limit.map_or("default".into(), |limit| limit.to_string());
        if is_wanted(&format!("throughput-{name}")) {
            throughput(&runtime, &directory, time, limit);
        }
    }
    if is_wanted("idle") {
        println!("## idle connections");
        idle(&runtime, &directory);
    }
    fs::remove_dir_all(&directory).unwrap();
}

/// Bare loop and server take turns, so that both see the same disk.
fn latency(runtime: &tokio::runtime::Runtime, directory: &Path, time: Duration) {
    let server = Server::start(directory, "latency", []);
    let (mut bare, mut acked) = (Vec::new(), Vec::new());
    let mut client = runtime.block_on(Client::login(server.address, 1));
    for _ in 0..TURNS {
        bare.extend(bare_loop(directory, 1, time / TURNS));
        let end = Instant::now() + time / TURNS;
        runtime.block_on(async {
            while Instant::now() < end {
                acked.push(client.one().await);
            }
        });
    }
    let (bare_p50, acked_p50) = (quantile(&mut bare, 0.5), quantile(&mut acked, 0.5));
    println!(
        "append + fdatasync   p50 {:>6.0} us  p99 {:>6.0} us",
        micros(bare_p50),
        micros(quantile(&mut bare, 0.99))
    );
    println!(
        "send → accepted      p50 {:>6.0} us  p99 {:>6.0} us",
        micros(acked_p50),
        micros(quantile(&mut acked, 0.99))
    );
    println!(
        "ratio of the medians {:.2} (goal: at most 2)",
        acked_p50.as_secs_f64() / bare_p50.as_secs_f64()
    );
}

/// Server and bare loop take turns, so that both see the same disk.
fn throughput(runtime: &tokio::runtime::Runtime, directory: &Path, time: Duration, cap: Option<usize>) {
    let cap_flags = cap.map(|cap| ["--batch-records-max".to_owned(), cap.to_string()]);
    let server = Server::start(directory, "throughput", cap_flags.iter().flatten());
    let logins = (1..=CONNECTIONS).map(|user| Client::login(server.address, user));
    let mut clients = runtime.block_on(futures_util::future::join_all(logins));
    let (mut taken, mut bare_taken) = (Duration::ZERO, Duration::ZERO);
    let (mut acked, mut bare_records, mut syncs) = (0, 0, 0);
    let before = server.commits();
    let (mut server_cpu, mut client_cpu) = (0.0, 0.0);
    for _ in 0..TURNS {
        let (server_before, client_before) =
            (cpu_seconds(server.child.id()), cpu_seconds(std::process::id()));
        let (commits_before, _) = server.commits();
        let started = Instant::now();
        let turn = runtime.block_on(async {
            let floods = clients.drain(..).map(|mut client| async move {
                let acked = client.flood(time / TURNS).await;
                (client, acked)
            });
            futures_util::future::join_all(floods.map(|flood| tokio::spawn(flood))).await
        });
        taken += started.elapsed();
        let mut acked_now = 0;
        for (client, acked) in turn.into_iter().map(Result::unwrap) {
            clients.push(client);
            acked_now += acked;
        }
        acked += acked_now;
        server_cpu += cpu_seconds(server.child.id()) - server_before;
        client_cpu += cpu_seconds(std::process::id()) - client_before;
        let per_sync = (acked_now / (server.commits().0 - commits_before).max(1)).max(1) as usize;
        let laps = bare_loop(directory, per_sync, time / TURNS / 2);
        syncs += laps.len();
        bare_records += laps.len() * per_sync;
        bare_taken += laps.iter().sum::<Duration>();
    }
    let (commits, records) = server.commits();
    let (commits, records) = (commits - before.0, records - before.1);
    let rate = acked as f64 / taken.as_secs_f64();
    let bare = bare_records as f64 / bare_taken.as_secs_f64();
    let per_message = |cpu: f64| cpu * 1e6 / acked as f64;
    println!(
        "at most {} records per commit",
        cap.map_or("8192 (the default)".to_owned(), |cap| cap.to_string())
    );
    println!(
        "  server             {rate:>9.0} acked/s  {:.0} messages and {:.0} records per commit",
        acked as f64 / commits as f64,
        records as f64 / commits as f64
    );
    println!(
        "  append + fdatasync {bare:>9.0} records/s at {:.0} per sync",
        bare_records as f64 / syncs as f64
    );
    println!(
        "  cpu per message    {:>9.1} us in the server, {:.1} us in the clients; {:.2} processors were at work",
        per_message(server_cpu),
        per_message(client_cpu),
        (server_cpu + client_cpu) / taken.as_secs_f64()
    );
    println!("  ratio              {:>9.2} (goals: at least 0.5, and at least 40000 acked/s)", rate / bare);
}

fn idle(runtime: &tokio::runtime::Runtime, directory: &Path) {
    let server = Server::start(directory, "idle", []);
    let mut clients = Vec::new();
    let mut rss = Vec::new();
    for round in 0..3 {
        rss.push(server.rss_kib());
        runtime.block_on(async {
            for user in 0..IDLE_CONNECTIONS / 2 {
                clients.push(Client::login_only(server.address, 1 + round * IDLE_CONNECTIONS + user).await);
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
        });
    }
    // The first round fills caches and pools.
    let grown = server.rss_kib().saturating_sub(rss[1]);
    println!(
        "logged in and idle   {:.1} KiB per connection (goal: at most 20)",
        grown as f64 / IDLE_CONNECTIONS as f64
    );
}

/// Appends and syncs for a while; how long each took.
fn bare_loop(directory: &Path, records_per_sync: usize, time: Duration) -> Vec<Duration> {
    let path = directory.join("bare");
    let mut file = File::create(&path).unwrap();
    let batch = vec![7; records_per_sync * RECORD_BYTES];
    let end = Instant::now() + time;
    let mut laps = Vec::new();
    while Instant::now() < end {
        let started = Instant::now();
        file.write_all(&batch).unwrap();
        file.sync_data().unwrap();
        laps.push(started.elapsed());
    }
    fs::remove_file(path).unwrap();
    laps
}

struct Server {
    child: Child,
    address: SocketAddr,
    metrics: SocketAddr,
    data: PathBuf,
}

impl Server {
    fn start<'a>(directory: &Path, name: &str, flags: impl IntoIterator<Item = &'a String>) -> Self {
        let data = directory.join(name);
        let mut child = Command::new(env!("CARGO_BIN_EXE_avouch-server"))
            .args([
                "--listen",
                "127.0.0.1:0",
                "--metrics-listen",
                "127.0.0.1:0",
                "--secret",
                SECRET,
                "--log",
                "warn",
            ])
            // Clients here do not answer probes while others have their turn.
            .args(["--silent-ms", "3600000", "--heartbeat-ms", "1800000", "--data"])
            .arg(&data)
            .args(flags)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready: serde_json::Value = serde_json::from_str(&line).unwrap();
        let address = |key: &str| ready[key].as_str().unwrap().parse().unwrap();
        Self { child, address: address("address"), metrics: address("metrics"), data }
    }

    /// Commits and records so far.
    fn commits(&self) -> (u64, u64) {
        let mut stream = std::net::TcpStream::connect(self.metrics).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\n\r\n").unwrap();
        let text = std::io::read_to_string(stream).unwrap();
        let value = |name: &str| {
            let line = text.lines().find(|line| line.starts_with(name)).unwrap();
            line.rsplit(' ').next().unwrap().parse().unwrap()
        };
        (value("avouch_server_journal_commits_total "), value("avouch_server_journal_records_total "))
    }

    fn rss_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

/// Processor time that a process has taken so far, in user and in system mode.
fn cpu_seconds(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<_> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
    ticks / 100.0
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.data);
    }
}

fn quantile(laps: &mut [Duration], at: f64) -> Duration {
    laps.sort_unstable();
    laps[((laps.len() - 1) as f64 * at) as usize]
}

fn micros(lap: Duration) -> f64 {
    lap.as_secs_f64() * 1e6
}
