//! A live run of thousands of devices behind the chaos proxy: does one process have what it takes, and what does it take?
//!
//! `cargo bench -p avouch --bench crowd [-- DEVICES]` (default 5,000). Devices, proxy and checkers are one process, the reference
//! server is another; while messages flow, one device in fifty loses its connection, and the server is killed and comes back. What is told:
//! the verdict, the most open files of both processes, and CPU seconds. Linux only.
#![allow(clippy::print_stdout, reason = "its output is its purpose")]
#![allow(clippy::unwrap_used, reason = "a benchmark may stop anywhere")]
#![allow(missing_docs, reason = "a benchmark has no interface")]

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::Duration;

const LOOK_EVERY: Duration = Duration::from_millis(200);

fn main() {
    let devices: u32 = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(5_000);
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("crowd");
    let _none_yet = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    let scenario = folder.join("crowd.toml");
    fs::write(&scenario, text(devices)).unwrap();
    let mut run = Command::new(env!("CARGO_BIN_EXE_avouch"))
        .args(["run", "--world", "live", "--no-gates", "--seed", "1"])
        .arg(&scenario)
        .arg("--out")
        .arg(folder.join("runs"))
        .spawn()
        .unwrap();
    let (own, server) = most_files(&mut run);
    let code = run.wait().unwrap().code();
    let spent = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_CHILDREN).unwrap();
    println!("\n{devices} devices: exit code {code:?}");
    println!("open files at most: {own} of avouch, {server} of the server (what was open before among them)");
    println!(
        "CPU: {}.{:03} s user, {}.{:03} s system, both processes",
        spent.user_time().tv_sec(),
        spent.user_time().tv_usec() / 1_000,
        spent.system_time().tv_sec(),
        spent.system_time().tv_usec() / 1_000
    );
}

fn text(devices: u32) -> String {
    let conversations = (devices / 50).max(1);
    format!(
        r#"about = "Thousands of devices at once."

[workload]
users = {devices}
conversations = {conversations}
members = 50
rate = "20/s"
duration = "10s"

[phases]
setup = "120s"
drain = "120s"

[[fault]]
cut = {{ link = "2%" }}
at = "2s"

[[fault]]
kill = {{ restart_after = "500ms" }}
at = "5s"
"#
    )
}

/// While it runs: the most open files of a process, and of its largest child.
fn most_files(run: &mut Child) -> (usize, usize) {
    let (mut own, mut children) = (0, 0);
    while run.try_wait().unwrap().is_none() {
        own = own.max(files(run.id()));
        children = family(run.id()).into_iter().map(files).max().unwrap_or(0).max(children);
        std::thread::park_timeout(LOOK_EVERY);
    }
    (own, children)
}

fn files(process: u32) -> usize {
    fs::read_dir(format!("/proc/{process}/fd")).map_or(0, Iterator::count)
}

/// The children of a process.
fn family(parent: u32) -> Vec<u32> {
    let of_task = |task: fs::DirEntry| fs::read_to_string(task.path().join("children")).unwrap_or_default();
    let tasks = fs::read_dir(format!("/proc/{parent}/task")).into_iter().flatten().flatten();
    let mut children: Vec<u32> = tasks
        .flat_map(|task| of_task(task).split_whitespace().flat_map(str::parse).collect::<Vec<u32>>())
        .collect();
    children.sort_unstable();
    children
}
