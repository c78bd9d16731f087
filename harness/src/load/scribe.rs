//! Keeps, judges and measures events on a thread of its own.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use avouch_reports::history::Event;
use avouch_reports::latency::{From, IntervalFigures, LatencyRecorder, Stage};
use avouch_reports::load::{Tally, Totals};

use super::{BOUNDS_S, Buckets, Closed};
use crate::recorder::{Owing, Recorder, Sink};
use crate::session::Taps;

/// Events that are handed over together.
const BATCH_EVENTS: usize = 512;
/// Batches that may wait for the scribe; past that the generator waits for it.
const BATCHES_MAX: usize = 2_048;
/// Time of the run after which live figures are told again. Nanoseconds.
const TELL_NS: u64 = 500_000_000;

/// What can be seen while a test goes on.
#[derive(Clone, Debug, Default)]
pub struct LiveFigures {
    /// Time of the last event, since the run began.
    pub now_ns: u64,
    /// When the workload began; `None` = it has not.
    pub begun_ns: Option<u64>,
    /// Sums so far.
    pub totals: Totals,
    /// Messages that reached an application of another device.
    pub delivered: u64,
    /// Messages without an outcome.
    pub outstanding: u64,
    /// The last second that is over and in which something ended.
    pub last: Option<IntervalFigures>,
    /// Kinds of the faults that are active.
    pub faults: Vec<String>,
    /// Latencies from the intended send, to acceptance and to delivery.
    pub buckets: [Buckets; 2],
}

/// Live figures, shared.
#[derive(Clone, Debug, Default)]
pub struct Live(Arc<Mutex<LiveFigures>>);

impl Live {
    /// As they are now.
    pub fn now(&self) -> LiveFigures {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The thread, and the generator's end of the channel to it.
pub(super) struct Scribe {
    desk: Rc<Desk>,
    thread: JoinHandle<(Taps, Tally)>,
}

/// Gathers events.
struct Desk {
    batch: RefCell<Vec<Event>>,
    sender: RefCell<Option<SyncSender<Vec<Event>>>>,
    failure: Failure,
}

/// Why nothing is kept any more; asked for at every event, so that a full disk ends a slow test at once, too.
#[derive(Clone, Default)]
struct Failure(Arc<(AtomicBool, Mutex<Option<String>>)>);

impl Failure {
    fn set(&self, why: String) {
        self.0.1.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(why);
        self.0.0.store(true, Ordering::Release);
    }

    fn get(&self) -> Option<String> {
        let is_set = self.0.0.load(Ordering::Acquire);
        is_set.then(|| self.0.1.lock().unwrap_or_else(PoisonError::into_inner).clone()).flatten()
    }
}

impl Scribe {
    pub(super) fn start(taps: Taps, tally: Tally, live: Live) -> Self {
        let (sender, receiver) = sync_channel(BATCHES_MAX);
        let failure = Failure::default();
        let tell = failure.clone();
        let thread = thread::spawn(move || write(taps, tally, (&receiver, &tell, &live)));
        let batch = RefCell::new(Vec::with_capacity(BATCH_EVENTS));
        Self { desk: Rc::new(Desk { batch, sender: RefCell::new(Some(sender)), failure }), thread }
    }

    /// A recorder whose events end up here.
    pub(super) fn recorder(&self, owing: Owing, closed: Option<Closed>) -> Recorder {
        let desk = self.desk.clone();
        let sink: Sink = Box::new(move |event| {
            if let Some(closed) = &closed {
                closed.observe(&event.what);
            }
            desk.put(event)
        });
        Recorder::new(sink).owing(owing)
    }

    /// Hands over what waits.
    pub(super) fn flusher(&self) -> Rc<dyn Fn()> {
        let desk = self.desk.clone();
        Rc::new(move || desk.flush())
    }

    /// Waits until everything is written.
    pub(super) fn finish(self) -> (Taps, Tally) {
        self.desk.flush();
        self.desk.sender.borrow_mut().take();
        match self.thread.join() {
            Ok(kept) => kept,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

impl Desk {
    fn put(&self, event: &Event) -> Result<(), String> {
        let mut batch = self.batch.borrow_mut();
        batch.push(event.clone());
        if batch.len() >= BATCH_EVENTS {
            drop(batch);
            self.flush();
        }
        self.failure.get().map_or(Ok(()), Err)
    }

    fn flush(&self) {
        let batch = std::mem::replace(&mut *self.batch.borrow_mut(), Vec::with_capacity(BATCH_EVENTS));
        if let (Some(sender), false) = (&*self.sender.borrow(), batch.is_empty())
            && sender.send(batch).is_err()
        {
            self.failure.set("the thread that records has ended".to_owned());
        }
    }
}

fn write(
    mut taps: Taps,
    mut tally: Tally,
    (receiver, failure, live): (&Receiver<Vec<Event>>, &Failure, &Live),
) -> (Taps, Tally) {
    let mut told_ns = 0;
    let mut is_kept = true;
    while let Ok(batch) = receiver.recv() {
        for event in &batch {
            tally.observe(event);
            if !is_kept {
                taps.hear(event);
            } else if let Err(why) = taps.take(event) {
                is_kept = false;
                failure.set(why);
            }
        }
        if let Some(last) = batch.last()
            && last.at_ns.saturating_sub(told_ns) >= TELL_NS
        {
            told_ns = last.at_ns;
            tell(live, &taps, &tally, last.at_ns);
        }
    }
    (taps, tally)
}

fn tell(live: &Live, taps: &Taps, tally: &Tally, now_ns: u64) {
    let latency = taps.latency();
    let figures = LiveFigures {
        now_ns,
        begun_ns: tally.begun_ns(),
        totals: tally.totals(),
        delivered: latency.deliveries(),
        outstanding: tally.outstanding(),
        last: latency.intervals().last().copied(),
        faults: tally.active_faults().map(str::to_owned).collect(),
        buckets: [Stage::Accepted, Stage::Delivered].map(|stage| buckets(latency, stage)),
    };
    *live.0.lock().unwrap_or_else(PoisonError::into_inner) = figures;
}

fn buckets(latency: &LatencyRecorder, stage: Stage) -> Buckets {
    let arrived = latency.whole(stage, From::Intended).arrived;
    Buckets {
        at_most: BOUNDS_S.map(|bound| arrived.count_between(0, (bound * 1e6) as u64)),
        count: arrived.len(),
        sum_s: arrived.mean() * arrived.len() as f64 / 1e6,
    }
}
