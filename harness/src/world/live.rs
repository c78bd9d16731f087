//! The live world: a real server, real sockets, and the chaos proxy between.
//!
//! Everything of the tool runs on one thread, as in the simulated world; a server that is started is a process of its own,
//! in a data directory of its own below the run folder; where the plan has a loss of power, on a disk of its own
//! ([`super::process::disk`]). What cannot be done to a real process without owning its machine (failing or slow syncs, a full
//! disk, another wall clock), or to a server that somebody else runs, is answered with the reason.

mod client;
pub mod effort;
mod farewell;
pub mod floor;
mod launch;
mod orders;
mod power;
mod run;

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use avouch_reports::history::What;
use avouch_scenarios::plan::{Fault, NodeVerb};
use tokio::io::DuplexStream;
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::news::{self, News};
use super::process::{Process, disk};
use super::proxy::{Clock as LinkClock, Config, Door, Entrance, Leg, Proxy};
use super::{LocalTask, NodeOrder, OrderError, Triggered, World, descriptors};
use crate::client::{Carrier, Clock, Connector, Shell};
use crate::device::Device;
use crate::handle::Handle;
use crate::payload::Nonce;
use crate::recorder::Recorder;
use crate::subject::{Place, Subject};
use client::Clients;
use launch::{Server, place};

pub use run::{Parts, Way, perform, perform_with};

/// Where the proxy leads while the server is down: nobody listens at the port of the old discard service. Whoever takes the
/// server's own port meanwhile is no business of its clients.
const NOWHERE: ([u8; 4], u16) = ([127, 0, 0, 1], 9);
/// How often the process is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);

const NO_SYNCS: &str =
    "slow or failing syncs of a real process need its machine; the simulated world has them";
const NO_FULL_DISK: &str = "a full disk of a real process needs its machine; the simulated world has it";
const NO_CLOCK: &str = "another wall clock of a real process needs its machine; the simulated world has it";
const NO_OTHER_NODE: &str = "the server has one node, which no other can be cut off from";
const ELSEWHERE: &str = "only the client programs know where the server is, so that nothing can stand between, and it cannot be reached";
const NOT_OURS: &str = "the server was not started by avouch, so that only its connections can be disturbed";

/// Why this world cannot carry out a fault on a target; `None` = it can.
pub fn lacks(fault: &Fault, subject: &Subject) -> Option<&'static str> {
    if !subject.dialect.survives_frame_faults()
        && let Some(why) = crate::link::skip_reason(fault, false)
    {
        return Some(why);
    }
    if let Some(why) = subject.dialect.lacks(fault) {
        return Some(why);
    }
    if matches!(subject.place, Place::Elsewhere) && !matches!(fault, Fault::Client(_)) {
        return Some(ELSEWHERE);
    }
    let Fault::Node(node) = fault else { return None };
    if matches!(subject.place, Place::Running(_)) {
        return Some(NOT_OURS);
    }
    match node.verb {
        NodeVerb::Kill { .. } | NodeVerb::Pause | NodeVerb::Restart { .. } => None,
        NodeVerb::PowerLoss { .. } => disk::why_not(),
        NodeVerb::SlowSync { .. } | NodeVerb::FailSync => Some(NO_SYNCS),
        NodeVerb::DiskFull => Some(NO_FULL_DISK),
        NodeVerb::ClockSkew { .. } => Some(NO_CLOCK),
        NodeVerb::Isolate { .. } => Some(NO_OTHER_NODE),
    }
}

/// The world, as the conductor sees it.
pub struct LiveWorld {
    started: Instant,
    nonce: Nonce,
    server: Server,
    carrier: Carrier,
    node: Mutex<Option<Process>>,
    proxy: Proxy,
    addresses: Vec<Option<SocketAddr>>,
    way: Way,
    news: News,
    recorder: Recorder,
    casualty: Rc<RefCell<Option<String>>>,
    clients: Option<Clients>,
    subject: Subject,
}

/// Notices when the server ends without being told to.
async fn watch(world: Rc<LiveWorld>) {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let Ok(mut node) = world.node.try_lock() else { continue };
        let death = match node.as_mut() {
            Some(process) => process.death().await,
            None => None,
        };
        drop(node);
        if let Some(death) = death {
            world.proxy.set_upstream(NOWHERE.into());
            world.tell("died");
            world.casualty.borrow_mut().get_or_insert(format!("n1: {death}"));
        }
    }
}

impl LiveWorld {
    async fn open(parts: &Parts<'_>, recorder: Recorder) -> Result<Self, String> {
        let Parts { plan, subject, folder, way } = *parts;
        let started = Instant::now();
        let clock: LinkClock = Arc::new(move || started.elapsed().as_nanos() as u64);
        let (sink, news) = News::new(clock.clone(), recorder.clone());
        let server = place(plan, subject, folder)?;
        let dialect = &subject.dialect;
        // The server is not up yet and says itself where it listens.
        let config = Config { upstream: NOWHERE.into(), framing: dialect.framing(), clock, sink };
        let links = match way {
            Way::Proxied => news::settings(plan, dialect.survives_frame_faults()),
            Way::Direct => Vec::new(),
        };
        let is_crowd = plan.devices.len() > descriptors::DEVICES_WITH_PORTS_MAX;
        let leg = if is_crowd && subject.client.is_none() { Leg::Memory } else { Leg::Sockets };
        let proxy = Proxy::start(config, links, leg).await;
        let proxy = proxy.map_err(|error| format!("the proxy cannot listen: {error}"))?;
        let addresses = (0..plan.devices.len() as u32).map(|device| proxy.address(device)).collect();
        let node = Mutex::new(None);
        let carrier = dialect.carrier();
        let casualty = Rc::default();
        let clients = subject.client.as_ref().map(|invocation| {
            let names = plan.devices.iter().map(|device| device.name.clone()).collect();
            Clients::new(invocation.clone(), names, folder.join("clients"))
        });
        let subject = subject.clone();
        Ok(Self {
            started,
            nonce: effort::fresh_nonce(),
            server,
            carrier,
            node,
            proxy,
            addresses,
            way,
            news,
            recorder,
            casualty,
            clients,
            subject,
        })
    }

    /// Where programs are told to connect to.
    fn told_addresses(&self) -> Vec<Option<SocketAddr>> {
        match self.server {
            Server::Elsewhere => vec![None; self.addresses.len()],
            Server::Program { .. } | Server::Running(_) => self.addresses.clone(),
        }
    }

    /// Ends the server politely; whatever is left then is killed when the last handle goes.
    async fn close(&self) {
        if let (Some(process), Server::Program { stop_within, .. }) =
            (self.node.lock().await.as_mut(), &self.server)
        {
            // It may be down already; then there is nothing to end.
            let _ = process.stop(*stop_within).await;
        }
    }

    /// The end of the server's log, for the words that say why nothing came of it.
    async fn last_words(&self) -> String {
        let tail = self.node.lock().await.as_ref().map(Process::log_tail).unwrap_or_default();
        match tail.trim_end() {
            "" => String::new(),
            tail => format!("; the end of the server's log:\n{tail}"),
        }
    }

    fn start_shell(&self, device: Device, connector: impl Connector, recorder: &Recorder) -> Handle {
        let (shell, handle) = Shell::new(device, (self.carrier, connector), recorder.clone(), self.clock());
        tokio::task::spawn_local(shell.run());
        handle
    }

    fn tell(&self, state: &str) {
        let at_ns = self.started.elapsed().as_nanos() as u64;
        self.recorder.record(at_ns, What::Node { node: "n1".to_owned(), state: state.to_owned() });
    }
}

impl World for LiveWorld {
    fn nonce(&self) -> Nonce {
        self.nonce
    }

    fn clock(&self) -> Clock {
        let started = self.started;
        Rc::new(move || started.elapsed().as_nanos() as u64)
    }

    async fn sleep_ns(&self, ns: u64) {
        tokio::time::sleep(Duration::from_nanos(ns)).await;
    }

    fn start_device(&self, device: Device, recorder: &Recorder) -> Handle {
        let number = device.number().0;
        if let Some(clients) = &self.clients {
            return self.start_shell(device, clients.connector(number, self.casualty.clone()), recorder);
        }
        let address = match (self.way, self.proxy.door(number)) {
            (Way::Proxied, Some(Door::Memory(entrance))) => {
                return self.start_shell(device, entrance.clone(), recorder);
            }
            (Way::Proxied, Some(Door::Port(address))) => Some(*address),
            (Way::Proxied, None) => None,
            (Way::Direct, _) => self.proxy.upstream(),
        };
        self.start_shell(device, LiveConnector { address }, recorder)
    }

    fn spawn_here(&self, task: LocalTask) {
        tokio::task::spawn_local(task);
    }

    fn arm_links(&self) {
        self.proxy.arm();
    }

    fn set_link_fault(&self, fault: u32, device: u32, active: bool) {
        self.proxy.set_fault_on(fault, device, active);
    }

    fn heal_links(&self) {
        self.proxy.heal();
    }

    fn abandon_link(&self, device: u32) {
        self.proxy.abandon(device);
    }

    async fn order(&self, node: u32, order: NodeOrder) -> Result<String, OrderError> {
        if node != 0 {
            return Err(OrderError::NotHere(format!("there is no n{} in this world", node + 1)));
        }
        if !matches!(self.server, Server::Program { .. }) && order != NodeOrder::Start {
            return Err(OrderError::NotHere(NOT_OURS.to_owned()));
        }
        match order {
            NodeOrder::Start => self.start().await,
            NodeOrder::Kill | NodeOrder::Stop | NodeOrder::Pause | NodeOrder::Resume => {
                self.signal(order).await
            }
            NodeOrder::LosePower => self.lose_power().await,
            NodeOrder::SlowSync { .. } | NodeOrder::FailSync(_) => {
                Err(OrderError::NotHere(NO_SYNCS.to_owned()))
            }
            NodeOrder::FullDisk(_) => Err(OrderError::NotHere(NO_FULL_DISK.to_owned())),
            NodeOrder::SkewClock { .. } => Err(OrderError::NotHere(NO_CLOCK.to_owned())),
            NodeOrder::Isolate(_) => Err(OrderError::NotHere(NO_OTHER_NODE.to_owned())),
        }
    }

    fn lacks(&self, fault: &Fault) -> Option<&'static str> {
        lacks(fault, &self.subject)
    }

    async fn triggered(&self) -> Triggered {
        self.news.triggered().await
    }

    fn casualty(&self) -> Option<String> {
        self.casualty.borrow().clone()
    }
}

/// Connects to the proxy's port of one device.
pub struct LiveConnector {
    address: Option<SocketAddr>,
}

impl Connector for LiveConnector {
    type Stream = TcpStream;

    fn connect(&self) -> Pin<Box<dyn Future<Output = io::Result<TcpStream>>>> {
        let address = self.address;
        Box::pin(async move {
            let address = address.ok_or(io::ErrorKind::AddrNotAvailable)?;
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            Ok(stream)
        })
    }
}

impl Connector for Entrance {
    type Stream = DuplexStream;

    fn connect(&self) -> Pin<Box<dyn Future<Output = io::Result<DuplexStream>>>> {
        Box::pin(std::future::ready(Self::connect(self)))
    }
}
