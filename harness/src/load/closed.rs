//! A closed loop: a sender sends again when one of its messages has an outcome. Only when asked for: while the server stands
//! still nobody sends, so what users would have waited for is left out of its latencies.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use avouch_reports::history::What;
use avouch_scenarios::load::{Schedule, Sender};
use rustc_hash::FxHashMap;
use tokio::sync::Notify;

/// Who may send.
#[derive(Clone, Debug)]
pub struct Closed(Rc<Inner>);

#[derive(Debug)]
struct Inner {
    may_send: RefCell<VecDeque<Sender>>,
    /// Whose message is under way; by its id.
    under_way: RefCell<FxHashMap<u64, Sender>>,
    changed: Notify,
}

impl Closed {
    /// Everybody may send as many as the window says.
    pub fn new(window: u32, schedule: &Schedule) -> Self {
        let all = super::senders(schedule);
        let may_send = (0..window).flat_map(|_| all.iter().copied()).collect();
        Self(Rc::new(Inner {
            may_send: RefCell::new(may_send),
            under_way: RefCell::default(),
            changed: Notify::new(),
        }))
    }

    /// Takes an event: an outcome lets its sender send again.
    pub fn observe(&self, what: &What) {
        let (What::Accepted { message, .. } | What::Rejected { message, .. } | What::Unknown { message, .. }) =
            what
        else {
            return;
        };
        if let Some(sender) = self.0.under_way.borrow_mut().remove(&message.0) {
            self.0.may_send.borrow_mut().push_back(sender);
            self.0.changed.notify_one();
        }
    }

    /// The next who may send.
    pub(super) fn take(&self) -> Option<Sender> {
        self.0.may_send.borrow_mut().pop_front()
    }

    /// A message is under way.
    pub(super) fn sent(&self, message: u64, sender: Sender) {
        self.0.under_way.borrow_mut().insert(message, sender);
    }

    /// Waits until somebody may send.
    pub(super) async fn changed(&self) {
        self.0.changed.notified().await;
    }
}
