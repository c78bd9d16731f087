//! A simulated machine with a server on it, as both simulated worlds have it: its disk, its clock, its lives and
//! every order that is carried out on it without its software. What runs on it is the world's affair.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use avouch_scenarios::keyed::{self, Purpose};
use avouch_server::disk::SimDisk;

use super::{NodeOrder, OrderError};

/// What the simulated wall clock shows at the beginning, seconds since the Unix epoch.
pub(super) const EPOCH_S: u64 = 1_767_225_600;
/// What a sync takes on a simulated disk that nothing is wrong with. Without it there would be no moment between a
/// proposal and its commit, and a server that acknowledges too early could not be told from one that waits.
const SYNC: Duration = Duration::from_millis(2);

const SERVER: Purpose = Purpose::named("server");
const POWER: Purpose = Purpose::named("power loss");

/// A machine, over all the lives of its process.
pub(super) struct Machine {
    name: String,
    seed: u64,
    number: u32,
    disk: SimDisk,
    skew_ms: Arc<AtomicI64>,
    lives: Cell<u64>,
}

impl Machine {
    /// Switched off, with an empty disk.
    pub(super) fn new(seed: u64, number: u32) -> Self {
        let disk = SimDisk::new();
        disk.slow_sync(SYNC);
        let name = format!("n{}", number + 1);
        Self { name, seed, number, disk, skew_ms: Arc::default(), lives: Cell::new(0) }
    }

    /// `n1`, `n2`, …
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn disk(&self) -> &SimDisk {
        &self.disk
    }

    /// How often its process was started.
    pub(super) fn lives(&self) -> u64 {
        self.lives.get()
    }

    /// The process starts: a new life, and what its server's jitter is drawn from.
    pub(super) fn begin_life(&self) -> u64 {
        self.lives.set(self.lives.get() + 1);
        keyed::draw(self.seed, SERVER, &[u64::from(self.number), self.lives.get()])
    }

    /// Its wall clock, from a time of the run: milliseconds since the Unix epoch.
    pub(super) fn wall_clock(&self) -> impl Fn(u64) -> u64 + Send + use<> {
        let skew_ms = self.skew_ms.clone();
        move |now_ns| {
            let true_ms = (EPOCH_S * 1_000 + now_ns / 1_000_000) as i64;
            (true_ms + skew_ms.load(Ordering::Relaxed)).max(0) as u64
        }
    }

    /// The process is gone; the operating system kept what was written. The evidence, in words.
    pub(super) fn kill(&self) -> String {
        self.disk.kill();
        format!("{} was killed in life {}", self.name, self.lives())
    }

    /// The process is gone, and so is a part of what was not synced. The evidence, in words.
    pub(super) fn lose_power(&self) -> String {
        let before = self.disk.counters();
        self.disk.power_loss(keyed::draw(self.seed, POWER, &[u64::from(self.number), self.lives()]));
        let after = self.disk.counters();
        format!(
            "{} lost power in life {}: {} unsynced writes gone, {} sectors torn",
            self.name,
            self.lives(),
            after.writes_lost - before.writes_lost,
            after.sectors_torn - before.sectors_torn
        )
    }

    /// What is done to the disk and the clock. The evidence, in words.
    pub(super) fn disturb(&self, order: NodeOrder) -> Result<String, OrderError> {
        let counters = self.disk.counters();
        let evidence = match order {
            NodeOrder::SlowSync { delay_ns } => {
                self.disk.slow_sync(SYNC + Duration::from_nanos(delay_ns));
                format!("syncs take {delay_ns} ns longer from sync {} on", counters.syncs)
            }
            NodeOrder::FailSync(on) => {
                self.disk.fail_syncs(on);
                format!("{} syncs had failed", counters.syncs_failed)
            }
            NodeOrder::FullDisk(on) => {
                self.disk.full(on);
                format!("{} times there had been no space", counters.full_answers)
            }
            NodeOrder::SkewClock { by_ms } => {
                self.skew_ms.store(by_ms, Ordering::Relaxed);
                format!("the wall clock is {by_ms} ms off")
            }
            NodeOrder::Isolate(_) => {
                return Err(OrderError::NotHere(
                    "the reference server has one node, which no other can be cut off from".to_owned(),
                ));
            }
            NodeOrder::Kill
            | NodeOrder::LosePower
            | NodeOrder::Stop
            | NodeOrder::Start
            | NodeOrder::Pause
            | NodeOrder::Resume => {
                return Err(OrderError::Failed("the world itself switches its processes".to_owned()));
            }
        };
        Ok(format!("{} {evidence}", self.name))
    }
}
