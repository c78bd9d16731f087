//! Who a device is to the server, and what its conversations are called there.

use avouch_scenarios::keyed::{Purpose, draw};
use avouch_scenarios::plan::Plan;

use super::Settings;
use crate::payload::Nonce;

const CLIENT: Purpose = Purpose::named("nats-client");

/// Everything that an adapter needs to know of its device.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Device number.
    pub device: u32,
    /// Which installation of it.
    pub installation: u32,
    /// Its name to the server: letters and digits.
    pub name: String,
    /// Marks everything of this run on a server.
    pub run: u64,
    /// Salt of the run's payloads.
    pub salt: u32,
    /// Feeds jitter.
    pub seed: u64,
    /// How many conversations there are.
    pub conversations: u32,
    /// Conversations that it belongs to.
    pub subscribed: Vec<u32>,
}

impl Identity {
    /// Names carry the run's mark, so that no other run's streams and subjects are met on a server that both use, also at the
    /// same time.
    pub fn new(plan: &Plan, (settings, nonce): (&Settings, Nonce), device: u32, installation: u32) -> Self {
        let run = nonce.mark((plan.seed, &plan.scenario), &settings.words());
        let user = plan.devices[device as usize].user;
        let conversations = plan.conversations.iter().zip(0_u32..);
        let subscribed = conversations.filter(|(it, _)| it.members.contains(&user));
        Self {
            device,
            installation,
            name: format!("av{run:016x}d{device}i{installation}"),
            run,
            salt: nonce.salt(plan.seed),
            seed: draw(plan.seed, CLIENT, &[u64::from(device), u64::from(installation)]),
            conversations: plan.conversations.len() as u32,
            subscribed: subscribed.map(|(_, number)| number).collect(),
        }
    }

    pub(super) fn subject(&self, conversation: u32) -> String {
        format!("avouch.{:016x}.c{conversation}", self.run)
    }

    pub(super) fn stream(&self, conversation: u32) -> String {
        format!("avouch-{:016x}-c{conversation}", self.run)
    }

    pub(super) fn durable(&self) -> String {
        format!("d{}i{}", self.device, self.installation)
    }
}
