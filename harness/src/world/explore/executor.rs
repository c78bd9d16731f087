//! Runs the conductor's few tasks: one queue, in the order in which they were woken. No runtime.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Wake, Waker};

use crate::world::LocalTask;

/// All tasks of one run. Everything happens on one thread; the lock is only what the type of a waker asks for.
#[derive(Default)]
pub(super) struct Executor {
    tasks: RefCell<Vec<Slot>>,
    ready: Arc<Ready>,
    current: Cell<u32>,
}

/// Tasks that were woken.
#[derive(Default)]
struct Ready {
    queue: Mutex<VecDeque<u32>>,
    /// How many there are, as of the last change: asked after every turn, and nearly always none.
    count: AtomicUsize,
}

struct Slot {
    /// `None` while it is polled, and once it is done.
    task: Option<(LocalTask, Waker)>,
    bell: Arc<Bell>,
}

/// Wakes one task.
struct Bell {
    task: u32,
    is_queued: AtomicBool,
    ready: Arc<Ready>,
}

impl Ready {
    fn lock(&self) -> MutexGuard<'_, VecDeque<u32>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, task: u32) {
        let mut queue = self.lock();
        queue.push_back(task);
        self.count.store(queue.len(), Ordering::Relaxed);
    }

    fn pop(&self) -> Option<u32> {
        if self.count.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let mut queue = self.lock();
        let task = queue.pop_front();
        self.count.store(queue.len(), Ordering::Relaxed);
        task
    }

    fn clear(&self) {
        self.lock().clear();
        self.count.store(0, Ordering::Relaxed);
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.is_queued.swap(true, Ordering::Relaxed) {
            self.ready.push(self.task);
        }
    }
}

impl Executor {
    /// A task, behind those that are ready already.
    pub(super) fn spawn(&self, task: LocalTask) {
        let mut tasks = self.tasks.borrow_mut();
        let number = tasks.len() as u32;
        let bell =
            Arc::new(Bell { task: number, is_queued: AtomicBool::new(false), ready: self.ready.clone() });
        bell.wake_by_ref();
        tasks.push(Slot { task: Some((task, bell.clone().into())), bell });
    }

    /// The number of the task that is polled now.
    pub(super) fn current(&self) -> u32 {
        self.current.get()
    }

    /// Wakes a task by its number; one that is done ignores it.
    pub(super) fn wake(&self, task: u32) {
        if let Some(slot) = self.tasks.borrow().get(task as usize) {
            slot.bell.wake_by_ref();
        }
    }

    /// Polls until no task is ready; whether any was.
    pub(super) fn run(&self) -> bool {
        let mut was_ready = false;
        loop {
            let Some(number) = self.ready.pop() else { return was_ready };
            was_ready = true;
            let task = {
                let mut tasks = self.tasks.borrow_mut();
                let slot = &mut tasks[number as usize];
                slot.bell.is_queued.store(false, Ordering::Relaxed);
                slot.task.take()
            };
            let Some((mut task, waker)) = task else { continue };
            self.current.set(number);
            if task.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
                self.tasks.borrow_mut()[number as usize].task = Some((task, waker));
            }
        }
    }

    /// Drops all tasks: they hold what holds this executor.
    pub(super) fn clear(&self) {
        let tasks: Vec<Slot> = self.tasks.borrow_mut().drain(..).collect();
        self.ready.clear();
        drop(tasks);
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use crate::conductor::Signal;

    use super::*;

    #[test]
    fn tasks_run_in_the_order_in_which_they_were_woken() {
        let executor = Executor::default();
        let order = Rc::new(RefCell::new(Vec::new()));
        let signals: Vec<Signal> = (0..3).map(|_| Signal::default()).collect();
        for (name, signal) in signals.iter().cloned().enumerate() {
            let order = order.clone();
            executor.spawn(Box::pin(async move {
                signal.wait().await;
                order.borrow_mut().push(name);
            }));
        }
        executor.run();
        assert!(order.borrow().is_empty());
        for name in [2, 0, 1] {
            signals[name].set();
        }
        executor.wake(7); // nobody's number
        executor.run();
        assert_eq!(*order.borrow(), [2, 0, 1]);
        executor.clear();
        assert_eq!(Rc::strong_count(&order), 1);
    }
}
