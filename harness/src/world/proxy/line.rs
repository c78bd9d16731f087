//! A device's link, wired: shared by its pumps and by whoever sets faults.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::busy_wait::{BusyWait, EventLoop};
use crate::link::{ConnectionId, Event, Link, Refused, Way};
use crate::toxics::Toxics;

/// Nanoseconds since the run began.
pub type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// Gets what happens on the link of a device. Called without any lock held, so it may set faults.
pub type Sink = Arc<dyn Fn(u32, Happened) + Send + Sync>;

/// What happens on a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happened {
    /// A fault fired, was triggered, or ended by itself.
    Fault(Event),
    /// A toxic decided whom it concerns, or ended a connection.
    Toxic(crate::toxics::Event),
    /// A connection is carried.
    Connected(ConnectionId),
    /// A new connection was refused by a fault.
    Refused(Refused),
    /// The server could not be reached.
    Unreachable {
        /// The system's words.
        why: String,
    },
    /// A connection is over at both ends.
    Closed {
        /// Which.
        id: ConnectionId,
        /// Bytes that passed without being understood: frame faults could not see them.
        unparsed_bytes: u64,
    },
    /// The proxy itself failed. The run is void.
    Failed {
        /// What.
        why: String,
    },
}

/// Bytes that were read from one end and written to the other, by way.
#[derive(Debug, Default)]
pub struct Meter {
    received: [AtomicU64; 2],
    sent: [AtomicU64; 2],
}

impl Meter {
    /// Counts what was read from the end whose bytes go this way, and what was written to the other.
    pub(crate) fn add(&self, way: Way, received_bytes: u64, sent_bytes: u64) {
        for (counter, bytes) in [(&self.received, received_bytes), (&self.sent, sent_bytes)] {
            if bytes > 0 {
                counter[way as usize].fetch_add(bytes, Ordering::Relaxed);
            }
        }
    }

    /// Bytes that were received and sent, this way.
    pub fn read(&self, way: Way) -> (u64, u64) {
        let bytes = |counter: &[AtomicU64; 2]| counter[way as usize].load(Ordering::Relaxed);
        (bytes(&self.received), bytes(&self.sent))
    }
}

/// A device's link with its pumps.
pub struct Line {
    device: u32,
    clock: Clock,
    sink: Sink,
    meter: Meter,
    shared: Mutex<Shared>,
    /// Where its connections may wait busily.
    event_loop: Option<Arc<EventLoop>>,
}

/// What decides about a line's bytes: first the link, then the toxics, which only a proxy that stands alone has.
pub(super) struct Carriage {
    pub(super) link: Link,
    pub(super) toxics: Toxics,
}

struct Shared {
    carriage: Carriage,
    pumps: BTreeMap<ConnectionId, Arc<Notify>>,
}

impl Line {
    /// Wires a link. `clock` and the pumps' timers have to run at the same pace.
    pub fn new(device: u32, link: Link, clock: Clock, sink: Sink) -> Self {
        Self::with_toxics(device, (link, Toxics::default()), clock, sink)
    }

    /// A line that carries one connection, with toxics on it.
    pub fn with_toxics(device: u32, (link, toxics): (Link, Toxics), clock: Clock, sink: Sink) -> Self {
        let carriage = Carriage { link, toxics };
        let shared = Mutex::new(Shared { carriage, pumps: BTreeMap::new() });
        Self { device, clock, sink, meter: Meter::default(), shared, event_loop: None }
    }

    /// Its connections may wait busily on this event loop, on which connections are all that there is.
    #[must_use]
    pub fn waiting_busily_on(self, event_loop: Arc<EventLoop>) -> Self {
        Self { event_loop: Some(event_loop), ..self }
    }

    /// For a new pump.
    pub(super) fn busy_wait(&self) -> Option<BusyWait> {
        self.event_loop.as_ref().map(|event_loop| event_loop.join(Arc::clone(&self.clock)))
    }

    /// What passed.
    pub fn meter(&self) -> &Meter {
        &self.meter
    }

    /// Changes the toxics.
    pub fn change_toxics(&self, change: impl FnOnce(&mut Toxics, u64)) {
        self.with(|carriage, now_ns| change(&mut carriage.toxics, now_ns));
        self.wake();
    }

    /// See [`Link::arm`].
    pub fn arm(&self) {
        self.with(|carriage, _| carriage.link.arm());
    }

    /// See [`Link::set`].
    pub fn set(&self, fault: u32, active: bool) {
        self.with(|carriage, now_ns| carriage.link.set(now_ns, fault, active));
        self.wake();
    }

    /// See [`Link::heal`].
    pub fn heal(&self) {
        self.with(|carriage, now_ns| carriage.link.heal(now_ns));
        self.wake();
    }

    /// See [`Link::abandon`].
    pub fn abandon(&self) {
        self.with(|carriage, _| carriage.link.abandon());
        self.wake();
    }

    /// Connections that are carried now.
    pub fn connections(&self) -> usize {
        self.lock().pumps.len()
    }

    /// Makes a connection, and the bell that wakes its pump.
    pub(super) fn connect(&self) -> Result<(ConnectionId, Arc<Notify>), Refused> {
        let made = self.with(|carriage, now_ns| carriage.link.connect(now_ns));
        match made {
            Ok(id) => {
                let bell = Arc::new(Notify::new());
                self.lock().pumps.insert(id, Arc::clone(&bell));
                self.tell(Happened::Connected(id));
                // It may have pushed out the oldest.
                self.wake();
                Ok((id, bell))
            }
            Err(refused) => {
                self.tell(Happened::Refused(refused));
                Err(refused)
            }
        }
    }

    /// A pump is done.
    pub(super) fn forget(&self, id: ConnectionId, unparsed_bytes: u64) {
        let mut shared = self.lock();
        shared.pumps.remove(&id);
        shared.carriage.link.forget(id);
        drop(shared);
        self.tell(Happened::Closed { id, unparsed_bytes });
    }

    /// Calls what decides with the time, then tells what it said.
    pub(super) fn with<T>(&self, call: impl FnOnce(&mut Carriage, u64) -> T) -> T {
        let mut shared = self.lock();
        let now_ns = (self.clock)();
        let result = call(&mut shared.carriage, now_ns);
        let mut told = Vec::new();
        while let Some(event) = shared.carriage.link.poll_event() {
            told.push(Happened::Fault(event));
        }
        while let Some(event) = shared.carriage.toxics.poll_event() {
            told.push(Happened::Toxic(event));
        }
        drop(shared);
        for happened in told {
            self.tell(happened);
        }
        result
    }

    /// Says what happened.
    pub(super) fn tell(&self, happened: Happened) {
        (self.sink)(self.device, happened);
    }

    fn wake(&self) {
        self.lock().pumps.values().for_each(|bell| bell.notify_one());
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
