//! A device where its shell would be: mail, timers and the connection that it uses now.

use std::collections::VecDeque;
use std::rc::Rc;

use crate::device::Device;
use crate::handle::{Letter, Status};
use crate::link::ConnectionId;

/// One device.
pub(super) struct Seat {
    pub(super) device: Device,
    pub(super) status: Rc<Status>,
    /// What the conductor said, until the device's next turn.
    pub(super) letters: VecDeque<Letter>,
    /// The connection that it uses, or that is in the making.
    pub(super) wire: Option<ConnectionId>,
    /// Connections that it left open when it was seen elsewhere, oldest first.
    pub(super) abandoned: VecDeque<ConnectionId>,
    /// Its last attempt to connect was refused; it has to be told.
    pub(super) is_refused: bool,
}

impl Seat {
    pub(super) fn new(device: Device, status: Rc<Status>) -> Self {
        Self {
            device,
            status,
            letters: VecDeque::new(),
            wire: None,
            abandoned: VecDeque::new(),
            is_refused: false,
        }
    }
}
