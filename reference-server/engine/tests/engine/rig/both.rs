use avouch_engine::client::{self, Client, Command, Observation};
use avouch_engine::codec::{Frame, decode};
use avouch_engine::ids::{ConversationId, DeviceKey, MessageId, Seq, Time, UserId};
use avouch_engine::journal::{Memory, Recovered};
use avouch_engine::server::{self, Config, ConnectionId, Server};
use bytes::Bytes;

use super::{MS, ROOM, SECRET, token};

/// Whether the network loses a frame of a device's connection.
type Drops = Box<dyn FnMut(usize, &Frame) -> bool>;

/// A server and clients whose network delivers at once, or drops what the test says.
pub(crate) struct Both {
    pub(crate) server: Server,
    pub(crate) journal: Memory,
    pub(crate) devices: Vec<Device>,
    pub(crate) now_ms: u64,
    /// The disk answers with "full".
    pub(crate) refuses: bool,
    config: Config,
    drops: Drops,
    connection_next: u64,
}

pub(crate) struct Device {
    pub(crate) client: Client,
    pub(crate) seen: Vec<Observation>,
    connection: Option<ConnectionId>,
    wants: bool,
}

impl Both {
    /// One client per key, all logged in; with [`ROOM`] for all their users if there are several.
    pub(crate) fn new(keys: &[DeviceKey], change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config { secret: Bytes::from_static(SECRET), ..Config::default() };
        change(&mut config);
        let device = |(seed, key): (u64, &DeviceKey)| Device {
            client: Client::new(client::Config::default(), *key, token(*key), seed),
            seen: Vec::new(),
            connection: None,
            wants: false,
        };
        let mut both = Self {
            server: Server::new(config.clone(), Recovered::default(), 9),
            journal: Memory::default(),
            devices: (1..).zip(keys).map(device).collect(),
            now_ms: 1_000,
            refuses: false,
            config,
            drops: Box::new(|_, _| false),
            connection_next: 0,
        };
        both.settle();
        let mut added: Vec<UserId> = keys.iter().map(|key| key.user).collect();
        added.sort_unstable();
        added.dedup();
        both.command(
            0,
            Command::ChangeMembers { id: MessageId(1), conversation: ROOM, added, removed: vec![] },
        );
        for device in &both.devices {
            assert_eq!(device.client.cursor(ROOM), 1);
        }
        both
    }

    /// From now on the network loses the frames (of a device's connection) for which this answers true.
    pub(crate) fn lose(&mut self, drops: impl FnMut(usize, &Frame) -> bool + 'static) {
        self.drops = Box::new(drops);
    }

    pub(crate) fn lose_nothing(&mut self) {
        self.drops = Box::new(|_, _| false);
    }

    pub(crate) fn send(&mut self, device: usize, id: u64) {
        let payload = Bytes::from_static(b"hello");
        self.command(
            device,
            Command::Send { id: MessageId(id), conversation: ROOM, reply_to: None, payload },
        );
    }

    pub(crate) fn command(&mut self, device: usize, command: Command) {
        self.client_input(device, client::Input::Command(command));
        self.settle();
    }

    pub(crate) fn cut(&mut self, device: usize) {
        if let Some(connection) = self.devices[device].connection.take() {
            self.server_input(server::Input::Disconnected(connection));
            self.client_input(device, client::Input::Disconnected);
        }
        self.settle();
    }

    /// The server's process dies, and another begins with what is durable.
    pub(crate) fn restart(&mut self) {
        self.journal.lose_tail();
        self.server = Server::new(self.config.clone(), self.journal.recovered(), 10);
        for device in 0..self.devices.len() {
            if self.devices[device].connection.take().is_some() {
                self.client_input(device, client::Input::Disconnected);
            }
        }
        self.settle();
    }

    /// Time goes by, with every timer at its time.
    pub(crate) fn pass(&mut self, ms: u64) {
        let end = self.now_ms + ms;
        loop {
            let clients = self.devices.iter().map(|device| device.client.next_timeout());
            let next = clients.chain([self.server.next_timeout()]).flatten().min();
            let Some(Time(at)) = next.filter(|at| at.0 <= end * MS) else { break };
            self.now_ms = self.now_ms.max(at.div_ceil(MS));
            self.server_input(server::Input::Timeout);
            for device in 0..self.devices.len() {
                self.client_input(device, client::Input::Timeout);
            }
            self.settle();
        }
        self.now_ms = end;
    }

    pub(crate) fn cursor(&self, device: usize) -> Seq {
        self.devices[device].client.cursor(ROOM)
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.devices.iter().all(|device| device.client.is_idle())
    }

    /// Positions of a conversation that the device's application got, each with its mark.
    pub(crate) fn delivered(&self, device: usize, at: ConversationId) -> Vec<(Seq, bool)> {
        let position = |seen: &Observation| match seen {
            Observation::Delivered { conversation, entry, redelivered } if *conversation == at => {
                Some((entry.seq, *redelivered))
            }
            _ => None,
        };
        self.devices[device].seen.iter().filter_map(position).collect()
    }

    pub(crate) fn stats(&self) -> server::Stats {
        *self.server.stats()
    }

    fn client_input(&mut self, device: usize, input: client::Input) {
        self.devices[device].client.handle(Time(self.now_ms * MS), input);
    }

    fn server_input(&mut self, input: server::Input) {
        self.server.handle(Time(self.now_ms * MS), self.now_ms, input);
    }

    /// Carries out effects until there are none.
    fn settle(&mut self) {
        loop {
            let mut worked = false;
            for device in 0..self.devices.len() {
                while let Some(effect) = self.devices[device].client.poll_effect() {
                    worked = true;
                    self.client_effect(device, effect);
                }
                if std::mem::take(&mut self.devices[device].wants) {
                    worked = true;
                    self.connect(device);
                }
            }
            while let Some(effect) = self.server.poll_effect() {
                worked = true;
                self.server_effect(effect);
            }
            if self.refuses {
                let count = self.journal.lose_tail();
                if count > 0 {
                    self.server_input(server::Input::Refused(count));
                    worked = true;
                }
            } else {
                let count = self.journal.commit(usize::MAX);
                if count > 0 {
                    self.server_input(server::Input::Committed(count));
                    worked = true;
                }
            }
            if !worked {
                return;
            }
        }
    }

    fn connect(&mut self, device: usize) {
        self.connection_next += 1;
        let connection = ConnectionId(self.connection_next);
        self.devices[device].connection = Some(connection);
        self.server_input(server::Input::Connected(connection));
        self.client_input(device, client::Input::Connected);
    }

    fn client_effect(&mut self, device: usize, effect: client::Effect) {
        match effect {
            client::Effect::Connect => self.devices[device].wants = true,
            client::Effect::Disconnect => {
                if let Some(connection) = self.devices[device].connection.take() {
                    self.server_input(server::Input::Disconnected(connection));
                }
            }
            client::Effect::Transmit(bytes) => {
                let frame = decode(&bytes).expect("the client's own frame");
                if let (false, Some(connection)) =
                    ((self.drops)(device, &frame), self.devices[device].connection)
                {
                    self.server_input(server::Input::Received(connection, bytes));
                }
            }
            client::Effect::Observe(seen) => self.devices[device].seen.push(seen),
        }
    }

    fn server_effect(&mut self, effect: server::Effect) {
        let find = |devices: &[Device], connection| {
            devices.iter().position(|device| device.connection == Some(connection))
        };
        match effect {
            server::Effect::Transmit(connection, bytes) => {
                self.server_input(server::Input::Taken(connection, 1));
                let frame = decode(&bytes).expect("the server's own frame");
                if let Some(device) = find(&self.devices, connection)
                    && !(self.drops)(device, &frame)
                {
                    self.client_input(device, client::Input::Received(bytes));
                }
            }
            server::Effect::Close(connection) => {
                if let Some(device) = find(&self.devices, connection) {
                    self.devices[device].connection = None;
                    self.client_input(device, client::Input::Disconnected);
                }
            }
            server::Effect::Propose(record) => self.journal.propose(record),
            server::Effect::Load(load, query) => {
                let entries = self.journal.query(&query);
                self.server_input(server::Input::Loaded(load, Ok(entries)));
            }
        }
    }
}
