//! Who a program is, and the first line that tells it.

use std::net::SocketAddr;

use super::wire::{Init, InitConversation, Request, VERSION};
use super::{Asked, Exec, START_NS_MAX, Stage};

/// Everything that an adapter needs to know of its device.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Device number.
    pub device: u32,
    /// Which installation.
    pub installation: u32,
    /// User number.
    pub user: u32,
    /// Where its server is; `None` = only the program knows.
    pub address: Option<SocketAddr>,
    /// Salt of the run's payloads.
    pub salt: u32,
    /// Feeds jitter.
    pub seed: u64,
    /// Names of the users, by number.
    pub users: Vec<String>,
    /// Names of the devices, by number.
    pub devices: Vec<String>,
    /// The conversations, by number.
    pub conversations: Vec<NamedConversation>,
}

/// A conversation, as the program knows it.
#[derive(Clone, Debug)]
pub struct NamedConversation {
    /// Its name.
    pub name: String,
    /// User numbers.
    pub members: Vec<u32>,
    /// This device's user is one of them.
    pub is_member: bool,
}

impl Exec {
    pub(super) fn greet(&mut self, now_ns: u64) {
        let identity = self.identity.clone();
        let names =
            |users: &[u32]| users.iter().map(|user| identity.users[*user as usize].as_str()).collect();
        let conversation = |it: &'_ NamedConversation| (names(&it.members), it.is_member);
        let conversations = identity.conversations.iter().map(|it| {
            let (members, member): (Vec<&str>, bool) = conversation(it);
            InitConversation { name: &it.name, members, member }
        });
        let init = Init {
            version: VERSION,
            device: &identity.devices[identity.device as usize],
            user: &identity.users[identity.user as usize],
            installation: identity.installation,
            run: &format!("{:08x}", identity.salt),
            address: identity.address,
            host: identity.address.map(|address| address.ip().to_string()),
            port: identity.address.map(|address| address.port()),
            conversations: conversations.collect(),
            history: self.settings.history,
            membership: self.settings.membership,
            read_marks: self.settings.read_marks,
            manual_acks: self.settings.manual_acks,
        };
        self.ask(Request::Init(init), Asked::Init);
        self.stage = Stage::Greeting;
        self.due_ns = Some(now_ns + START_NS_MAX);
    }
}
