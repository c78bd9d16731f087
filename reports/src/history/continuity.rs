//! What must hold from line to line: time never falls, and devices and conversations are declared once, before use.
//!
//! The writer and the reader share it, so that what was written can be read. Message ids are not tracked here:
//! that would cost memory per message, and a delivery that names no known send is a finding (a phantom), not a
//! damaged history.

use rustc_hash::FxHashSet;

use super::error::Problem;
use super::event::{Event, What};
use super::limits::{CONVERSATIONS_MAX, DEVICES_MAX};

#[derive(Debug, Default)]
pub(super) struct Continuity {
    last_ns: u64,
    devices: FxHashSet<u32>,
    conversations: FxHashSet<u32>,
}

impl Continuity {
    /// Takes the next event; an event that was refused leaves no trace.
    pub(super) fn accept(&mut self, event: &Event) -> Result<(), Problem> {
        if event.at_ns < self.last_ns {
            return Err(Problem::Backwards { previous_ns: self.last_ns, at_ns: event.at_ns });
        }
        match &event.what {
            What::Device { device, .. } => declare(&mut self.devices, device.0, "device", DEVICES_MAX)?,
            What::Conversation { conversation, .. } => {
                declare(&mut self.conversations, conversation.0, "conversation", CONVERSATIONS_MAX)?;
            }
            what => self.uses(what)?,
        }
        self.last_ns = event.at_ns;
        Ok(())
    }

    fn uses(&self, what: &What) -> Result<(), Problem> {
        let by = if let What::Receipt { by, .. } = what { Some(*by) } else { None };
        for device in what.device().into_iter().chain(by) {
            if !self.devices.contains(&device.0) {
                return Err(Problem::Undeclared { what: "device", id: device.0 });
            }
        }
        match what.conversation() {
            Some(conversation) if !self.conversations.contains(&conversation.0) => {
                Err(Problem::Undeclared { what: "conversation", id: conversation.0 })
            }
            _ => Ok(()),
        }
    }
}

fn declare(declared: &mut FxHashSet<u32>, id: u32, what: &'static str, max: usize) -> Result<(), Problem> {
    if declared.len() == max && !declared.contains(&id) {
        return Err(Problem::TooManyDeclared { what, max });
    }
    if declared.insert(id) { Ok(()) } else { Err(Problem::DeclaredTwice { what, id }) }
}
