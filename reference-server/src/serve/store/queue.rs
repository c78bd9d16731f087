//! Batches on their way to the journal's thread. What is handed over while one is being committed is put together, up to the
//! limits of a batch, so that the next is complete when that is over: the disk does not wait until the engine has a turn.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::journal::{BATCH_BYTES_MAX, Batch};

/// The engine's task pushes, the journal's thread pops.
#[derive(Debug)]
pub(super) struct Queue {
    batch_records_max: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    batches: VecDeque<Batch>,
    /// The thread was woken and has not found the queue empty since.
    is_watched: bool,
    /// From a failed commit until the engine has heard of it: what is handed over meanwhile fails with that.
    is_closed: bool,
}

impl Queue {
    pub(super) fn new(batch_records_max: usize) -> Self {
        Self { batch_records_max, state: Mutex::default() }
    }

    /// Whether the thread has to be woken.
    pub(super) fn push(&self, mut batch: Batch) -> bool {
        let mut state = self.state();
        if state.is_closed {
            return false;
        }
        let others = match state.batches.back_mut().filter(|last| self.has_room_for(last, &batch)) {
            Some(last) => {
                let room = self.batch_records_max - last.len();
                let others = (batch.len() > room).then(|| batch.split_off(room));
                last.append(batch);
                others
            }
            None => Some(batch),
        };
        state.batches.extend(others);
        !std::mem::replace(&mut state.is_watched, true)
    }

    /// The next batch. After a `None` the thread is woken when there is one.
    pub(super) fn pop(&self) -> Option<Batch> {
        let mut state = self.state();
        let batch = state.batches.pop_front();
        state.is_watched = batch.is_some();
        drop(state);
        batch.map(|mut batch| {
            batch.shrink();
            batch
        })
    }

    /// Drops what is there and what comes.
    pub(super) fn close(&self) {
        let mut state = self.state();
        state.batches.clear();
        state.is_closed = true;
    }

    pub(super) fn open(&self) {
        self.state().is_closed = false;
    }

    /// For some of it, at least.
    fn has_room_for(&self, last: &Batch, more: &Batch) -> bool {
        last.len() < self.batch_records_max
            && last.approximate_bytes() + more.approximate_bytes() <= BATCH_BYTES_MAX as u64
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use avouch_engine::ids::{DeviceId, DeviceKey, UserId};
    use avouch_engine::journal::Record;

    use super::*;

    fn records(count: u64) -> Vec<Record> {
        let device = DeviceKey { user: UserId(1), device: DeviceId(1) };
        (0..count).map(|installation| Record::Device { device, installation }).collect()
    }

    fn batch(count: u64) -> Batch {
        Batch::from(records(count))
    }

    #[test]
    fn what_gathers_is_put_together_up_to_the_limit() {
        let queue = Queue::new(5);
        assert!(queue.push(batch(2)), "nobody watches yet");
        assert!(!queue.push(batch(2)) && !queue.push(batch(4)));
        let together = Batch::from([&records(2)[..], &records(2)[..], &records(1)[..]].concat());
        assert_eq!(queue.pop(), Some(together));
        assert_eq!(queue.pop(), Some(Batch::from(&records(4)[1..])));
        assert!(!queue.push(batch(1)), "the thread will look again");
        assert_eq!(queue.pop(), Some(batch(1)));
        assert_eq!(queue.pop(), None);
        assert!(queue.push(batch(1)));
    }

    #[test]
    fn what_comes_before_a_failure_is_heard_of_has_no_effect() {
        let queue = Queue::new(5);
        queue.push(batch(2));
        queue.close();
        queue.push(batch(2));
        assert_eq!(queue.pop(), None);
        queue.open();
        assert!(queue.push(batch(1)));
        assert_eq!(queue.pop(), Some(batch(1)));
    }
}
