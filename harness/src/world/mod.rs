//! The seam to a world: where nodes, links and clocks are. The conductor knows no more of it than this.

pub mod descriptors;
pub mod explore;
pub mod live;
mod machine;
pub mod news;
pub mod process;
pub mod proxy;
pub mod sim;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::pin::Pin;

use avouch_scenarios::plan::Fault;

use crate::client::Clock;
use crate::device::Device;
use crate::handle::Handle;
use crate::payload::Nonce;
use crate::recorder::Recorder;

/// A task that stays on the thread of its world.
pub type LocalTask = Pin<Box<dyn Future<Output = ()>>>;

/// What can be done to a node.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum NodeOrder {
    /// End the process at once; the operating system lives.
    Kill,
    /// End the machine at once: unsynced writes may be gone.
    LosePower,
    /// Ask it to stop, and wait until it did.
    Stop,
    /// Start it, and wait until it is ready.
    Start,
    /// Let it stand still.
    Pause,
    /// Let it go on.
    Resume,
    /// Every sync takes that much longer; 0 = as before.
    SlowSync {
        /// Added to each sync.
        delay_ns: u64,
    },
    /// Syncs fail, or do not.
    FailSync(bool),
    /// No space is left, or there is again.
    FullDisk(bool),
    /// Cut it off from other nodes, or join it again.
    Isolate(bool),
    /// The wall clock is that far off; 0 = right again.
    SkewClock {
        /// Milliseconds.
        by_ms: i64,
    },
}

/// Why an order was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// This world has no such thing; the reason is for the report.
    #[error("{0}")]
    NotHere(String),
    /// It should have worked and did not.
    #[error("{0}")]
    Failed(String),
}

/// What a link tells the conductor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Triggered {
    /// The planned fault whose frame passed.
    pub fault: u32,
}

/// A place to carry a plan out.
#[allow(async_fn_in_trait, reason = "worlds are single-threaded; no future of theirs has to be Send")]
pub trait World {
    /// What tells the run from others that could be met in this world.
    fn nonce(&self) -> Nonce {
        Nonce::NONE
    }
    /// Nanoseconds since the run began.
    fn clock(&self) -> Clock;
    /// Waits that long on this world's clock.
    async fn sleep_ns(&self, ns: u64);
    /// Runs a device where it lives, until the run ends. It does nothing before its first letter.
    fn start_device(&self, device: Device, recorder: &Recorder) -> Handle;
    /// Runs a task of the conductor.
    fn spawn_here(&self, task: LocalTask);
    /// The chaos begins: links watch for the frames that trigger faults.
    fn arm_links(&self);
    /// Starts or ends a planned fault on the link of a device.
    fn set_link_fault(&self, fault: u32, device: u32, active: bool);
    /// Ends every link fault, also one that nobody ended.
    fn heal_links(&self);
    /// Parts a device from the server for good: see [`crate::link::Link::abandon`].
    fn abandon_link(&self, device: u32);
    /// Carries out an order on a node; the answer is the evidence, in words.
    async fn order(&self, node: u32, order: NodeOrder) -> Result<String, OrderError>;
    /// Why this world cannot carry out a planned fault on its target; `None` = it can.
    fn lacks(&self, _fault: &Fault) -> Option<&'static str> {
        None
    }
    /// The next frame trigger of a planned node fault.
    async fn triggered(&self) -> Triggered;
    /// A node that ended without being told to, and the tail of its log, if there is one.
    fn casualty(&self) -> Option<String>;
}
