//! The conductor's end of a device, the same in every world: letters go in, and a few facts can be asked for.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use crate::device::Order;

/// What the conductor says to a device's shell.
#[derive(Clone, Debug)]
pub enum Letter {
    /// For the device.
    Order(Order),
    /// Leave the connection open but stop using it, and make a new one (the device was seen elsewhere).
    TakeOver,
}

/// The conductor's end.
#[derive(Clone)]
pub struct Handle {
    post: Rc<dyn Fn(Letter)>,
    status: Rc<Status>,
}

/// What can be asked of a device at any time; the world that runs it keeps it true.
#[derive(Debug)]
pub struct Status {
    idle: Cell<bool>,
    set_up: Cell<bool>,
    takeovers: Cell<u32>,
    trouble: RefCell<Trouble>,
}

/// What stood between a device and its session.
#[derive(Debug, Default)]
struct Trouble {
    /// What its protocol said about the server.
    said: Option<String>,
    /// What became of its connections.
    ended: Option<String>,
}

impl Default for Status {
    /// Of a device that nobody has asked for anything.
    fn default() -> Self {
        Self {
            idle: Cell::new(false),
            set_up: Cell::new(true),
            takeovers: Cell::new(0),
            trouble: RefCell::default(),
        }
    }
}

impl Status {
    /// What became of the device after a step.
    pub fn note(&self, idle: bool, set_up: bool) {
        self.idle.set(idle);
        self.set_up.set(set_up);
    }

    /// The server ended a connection of the device because a newer one took over.
    pub fn note_takeover(&self) {
        self.takeovers.set(self.takeovers.get() + 1);
    }
}

impl Status {
    /// Something about the server that its protocol noticed.
    pub fn note_remark(&self, remark: &str) {
        self.trouble.borrow_mut().said = Some(remark.to_owned());
    }

    /// Why there is no connection any more, or none yet.
    pub fn note_end(&self, why: &str) {
        self.trouble.borrow_mut().ended = Some(why.to_owned());
    }
}

impl Handle {
    /// A handle whose letters go to `post`.
    pub fn new(post: impl Fn(Letter) + 'static, status: Rc<Status>) -> Self {
        Self { post: Rc::new(post), status }
    }

    /// Hands over a letter; a device whose world has ended ignores it.
    pub fn post(&self, letter: Letter) {
        (self.post)(letter);
    }

    /// Whether nothing is outstanding on this device.
    pub fn is_idle(&self) -> bool {
        self.status.idle.get()
    }

    /// Whether its set-up operations are through.
    pub fn is_set_up(&self) -> bool {
        self.status.set_up.get()
    }

    /// Why the device has no session, where it has none.
    pub fn trouble(&self) -> String {
        let trouble = self.status.trouble.borrow();
        let known = trouble.said.as_ref().or(trouble.ended.as_ref());
        known.cloned().unwrap_or_else(|| "the server does not answer".to_owned())
    }

    /// Connections of this device that the server ended because a newer one took over.
    pub fn takeovers(&self) -> u32 {
        self.status.takeovers.get()
    }
}
