//! Which streams of a run are made, and by whom: what an earlier run left of the same name is deleted once, before anybody uses it.
//!
//! Shared by the devices of a run, which live on one thread; no device that belongs to a conversation is ready before its stream is made.

use std::cell::RefCell;
use std::collections::BTreeMap;

/// The streams of a run.
#[derive(Debug, Default)]
pub struct Streams(RefCell<BTreeMap<u32, Progress>>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    MadeBy(u32),
    Made,
}

/// What a device has to do about a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Claim {
    /// Make it.
    Mine,
    /// Wait for another device that makes it.
    Others,
    /// Nothing.
    Made,
}

impl Streams {
    /// Whoever asks first makes it.
    pub(super) fn claim(&self, conversation: u32, device: u32) -> Claim {
        match *self.0.borrow_mut().entry(conversation).or_insert(Progress::MadeBy(device)) {
            Progress::MadeBy(maker) if maker == device => Claim::Mine,
            Progress::MadeBy(_) => Claim::Others,
            Progress::Made => Claim::Made,
        }
    }

    pub(super) fn made(&self, conversation: u32) {
        self.0.borrow_mut().insert(conversation, Progress::Made);
    }

    pub(super) fn is_made(&self, conversation: u32) -> bool {
        self.0.borrow().get(&conversation) == Some(&Progress::Made)
    }

    /// A device cannot go on: whoever asks next takes over.
    pub(super) fn release(&self, device: u32) {
        self.0.borrow_mut().retain(|_, progress| *progress != Progress::MadeBy(device));
    }
}
