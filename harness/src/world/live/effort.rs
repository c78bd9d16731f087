//! What this process and this thread took of the processor, as the kernel counts it, and the wall clock.

use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use avouch_scenarios::keyed::{Purpose, draw};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;

use crate::payload::Nonce;

const IDS: Purpose = Purpose::named("fresh-ids");
const NONCES: Purpose = Purpose::named("fresh-nonces");
/// Ids of one run: more than any has users or conversations.
const IDS_OF_RUN_BITS: u32 = 20;
/// Runs are told apart by so many bits.
const FRESH_BITS: u32 = 42;
static FRESH: AtomicU64 = AtomicU64::new(0);

/// Counts since some time.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    at: Instant,
    /// Wall time.
    pub wall_s: f64,
    /// Processor time of the whole process.
    pub process_cpu_s: f64,
    /// How long this thread ran; `None` = the system does not tell.
    pub thread_ran_ns: Option<u64>,
    /// How long this thread was ready to run and did not.
    pub thread_waited_ns: Option<u64>,
    /// The wall clock. Milliseconds since the Unix epoch; of a difference, how far it went on, which is less than nothing where
    /// it was set back.
    pub unix_ms: i64,
}

/// The counts of now. For the thread that calls it.
#[allow(clippy::disallowed_methods, reason = "what the tool itself takes is measured in the machine's time")]
pub fn now() -> Effort {
    let usage = getrusage(UsageWho::RUSAGE_SELF).ok();
    let seconds = |time: TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    let process_cpu_s = usage.map_or(0.0, |usage| seconds(usage.user_time()) + seconds(usage.system_time()));
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let mut counts = text.split_whitespace().map(|word| word.parse().ok());
    let (ran, waited) = (counts.next().flatten(), counts.next().flatten());
    Effort {
        at: Instant::now(),
        wall_s: 0.0,
        process_cpu_s,
        thread_ran_ns: ran,
        thread_waited_ns: waited,
        unix_ms: unix_ms() as i64,
    }
}

/// Milliseconds since the Unix epoch, by the wall clock.
#[allow(
    clippy::disallowed_methods,
    reason = "a common beginning of several machines is agreed on in wall time"
)]
pub fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

/// A number after which so many ids are free on a server that somebody else runs too, as nobody there has drawn it before: by the
/// time, by the process and by how often it was asked for.
pub fn fresh_ids() -> u64 {
    draw(0, IDS, &place()) >> (u64::BITS - FRESH_BITS) << IDS_OF_RUN_BITS
}

/// What tells a run from every other one, by the same.
pub fn fresh_nonce() -> Nonce {
    Nonce::of(draw(0, NONCES, &place()))
}

fn place() -> [u64; 3] {
    [unix_ms(), u64::from(std::process::id()), FRESH.fetch_add(1, Ordering::Relaxed)]
}

impl Effort {
    /// What was taken since then.
    #[must_use]
    pub fn since(&self, then: &Self) -> Self {
        let less = |now: Option<u64>, then: Option<u64>| Some(now?.saturating_sub(then?));
        Self {
            at: self.at,
            wall_s: self.at.duration_since(then.at).as_secs_f64(),
            process_cpu_s: self.process_cpu_s - then.process_cpu_s,
            thread_ran_ns: less(self.thread_ran_ns, then.thread_ran_ns),
            thread_waited_ns: less(self.thread_waited_ns, then.thread_waited_ns),
            unix_ms: self.unix_ms - then.unix_ms,
        }
    }

    /// By how much the wall clock jumped against the monotonic one. Milliseconds.
    pub fn clock_jump_ms(&self) -> i64 {
        self.unix_ms - (self.wall_s * 1e3) as i64
    }
}
