//! CPU time of processes, and of everybody else, from `/proc` (Linux).

use std::fs;
use std::time::Instant;

pub(crate) fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

pub(crate) fn load_words() -> String {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let figures: Vec<&str> = load.split(' ').take(3).collect();
    format!("load {}", figures.join(" "))
}

/// A look at the clocks.
pub(crate) struct Machine {
    at: Instant,
    peer_s: f64,
    own_s: f64,
    busy_s: f64,
}

/// What was spent between two looks.
pub(crate) struct Spent {
    /// CPU seconds of the peer.
    pub(crate) peer_s: f64,
    /// Processors that others kept busy.
    pub(crate) foreign: f64,
}

impl Machine {
    /// `peer`: its processes.
    pub(crate) fn look(peer: Vec<u32>) -> Self {
        let peer_s = peer.into_iter().map(process_s).sum();
        Self { at: Instant::now(), peer_s, own_s: process_s(std::process::id()), busy_s: busy_s() }
    }

    pub(crate) fn until_now(&self, peer: Vec<u32>) -> Spent {
        let now = Self::look(peer);
        let (peer_s, own_s) = (now.peer_s - self.peer_s, now.own_s - self.own_s);
        let foreign_s = (now.busy_s - self.busy_s - peer_s - own_s).max(0.0);
        Spent { peer_s, foreign: foreign_s / (now.at - self.at).as_secs_f64() }
    }
}

/// CPU seconds of a process, all its threads, to the nanosecond where the kernel counts that.
fn process_s(id: u32) -> f64 {
    let Ok(threads) = fs::read_dir(format!("/proc/{id}/task")) else { return 0.0 };
    let mut threads: Vec<_> = threads.flatten().map(|thread| thread.path().join("schedstat")).collect();
    threads.sort();
    let spent_ns = |path| {
        let text = fs::read_to_string(path).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    };
    threads.iter().filter_map(spent_ns).sum::<u64>() as f64 / 1e9
}

/// CPU seconds of everybody.
fn busy_s() -> f64 {
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    let ticks: Vec<f64> =
        text.lines().next().unwrap_or_default().split_whitespace().skip(1).flat_map(str::parse).collect();
    // user, nice, system; interrupts. Idle and waiting are not busy.
    [0, 1, 2, 5, 6].iter().filter_map(|at| ticks.get(*at)).sum::<f64>() / 100.0
}

/// A process and those that it forked.
pub(crate) fn family(id: u32) -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else { return vec![id] };
    let mut ids: Vec<u32> =
        entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    ids.sort_unstable();
    let parent = |id: &u32| {
        let text = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        text.rsplit_once(") ")?.1.split(' ').nth(1)?.parse::<u32>().ok()
    };
    let children = ids.iter().filter(|child| parent(child) == Some(id)).copied();
    std::iter::once(id).chain(children).collect()
}
