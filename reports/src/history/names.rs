//! Names of devices and conversations, as a history declares them.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::event::{Conversation, Device, Event, User, What};

/// Who is who. Built from a history's declarations; grows with devices and conversations, never with messages.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Names {
    devices: BTreeMap<u32, DeviceName>,
    conversations: BTreeMap<u32, String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct DeviceName {
    user: u32,
    name: String,
}

impl Names {
    /// Takes note of a declaration; other events pass.
    pub fn observe(&mut self, event: &Event) {
        match &event.what {
            What::Device { device, user, name } => self.add_device(*device, *user, name),
            What::Conversation { conversation, name, .. } => self.add_conversation(*conversation, name),
            _ => {}
        }
    }

    /// Names a device.
    pub fn add_device(&mut self, device: Device, user: User, name: &str) {
        self.devices.insert(device.0, DeviceName { user: user.0, name: name.to_owned() });
    }

    /// Names a conversation.
    pub fn add_conversation(&mut self, conversation: Conversation, name: &str) {
        self.conversations.insert(conversation.0, name.to_owned());
    }

    /// A device's name as declared (hostile text is the renderer's business), or its number.
    pub fn device(&self, device: Device) -> String {
        match self.devices.get(&device.0) {
            Some(known) if !known.name.is_empty() => known.name.clone(),
            _ => format!("device {}", device.0),
        }
    }

    /// A conversation's name as declared, or its number.
    pub fn conversation(&self, conversation: Conversation) -> String {
        match self.conversations.get(&conversation.0) {
            Some(name) if !name.is_empty() => name.clone(),
            _ => format!("conversation {}", conversation.0),
        }
    }

    /// Whose device it is, if it is declared.
    pub fn user(&self, device: Device) -> Option<User> {
        self.devices.get(&device.0).map(|known| User(known.user))
    }

    /// Every device with its user and name, by number.
    pub fn devices(&self) -> impl Iterator<Item = (Device, User, &str)> {
        self.devices.iter().map(|(device, known)| (Device(*device), User(known.user), known.name.as_str()))
    }

    /// Every conversation with its name, by number.
    pub fn conversations(&self) -> impl Iterator<Item = (Conversation, &str)> {
        self.conversations.iter().map(|(conversation, name)| (Conversation(*conversation), name.as_str()))
    }

    /// Only the given ones: what a report needs of a large history.
    #[must_use]
    pub fn only(&self, devices: &BTreeSet<Device>, conversations: &BTreeSet<Conversation>) -> Self {
        let mut kept = self.clone();
        kept.devices.retain(|device, _| devices.contains(&Device(*device)));
        kept.conversations.retain(|conversation, _| conversations.contains(&Conversation(*conversation)));
        kept
    }
}
