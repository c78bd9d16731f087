//! Lets a server stand still, as a stopped process does: no event is taken, no timer fires, nothing is
//! sent, until it goes on. For simulations; a real process is stopped by its operating system.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// Open at first. Shared between a server and whoever pauses it.
#[derive(Debug, Default)]
pub struct Gate {
    closed: AtomicBool,
    opened: Notify,
}

impl Gate {
    /// The server stands still from its next step on.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    /// It goes on.
    pub fn open(&self) {
        self.closed.store(false, Ordering::Release);
        self.opened.notify_waiters();
    }

    /// Waits while the gate is closed.
    pub async fn pass(&self) {
        while self.closed.load(Ordering::Acquire) {
            let opened = self.opened.notified();
            if self.closed.load(Ordering::Acquire) {
                opened.await;
            }
        }
    }
}
