//! The chaos proxy: a server's address for each device, with a [`crate::link::Link`] behind it.
//!
//! One listening port per device, so that a link is known by its port and no client has to say who it is.
//! What a fault means is decided in [`crate::link`]; what a frame is, in a [`Splitter`]; this module only moves bytes.
//! The simulated world uses the same [`pump`] between simulated streams. In a run of very many devices of this very process the
//! leg between device and proxy is in memory ([`Leg`]), so that there are descriptors enough; the server sees no difference.
//!
//! ```text
//! client ── Transport ── Splitter ── Link ── Transport ── server       one pump() per connection,
//!                                     │                                one Line per device
//!                                   Line: set a fault, wake the pumps, tell what happened
//! ```
//!
//! Closed windows are real: while a link does not read, neither does the pump, and the socket's own buffer
//! ([`RECEIVE_BUFFER_BYTES`]) is all that a sender can still fill.

mod busy_wait;
mod end;
mod line;
mod mqtt;
mod nats;
mod pump;
mod splitter;
mod stream;
#[cfg(test)]
mod tests;
mod transport;
mod websocket;

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::DuplexStream;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::link::{Link, Settings};
pub use busy_wait::EventLoop;
pub use end::OUTBOX_BYTES_MAX;
pub use line::{Clock, Happened, Line, Meter, Sink};
pub use mqtt::MQTT_FRAMING;
pub use nats::NATS_FRAMING;
pub use pump::{CLOSE_LINGER, carry, pump};
pub use splitter::{Classify, Framing, Raw, Splitter};
pub use stream::STREAM_FRAME_BYTES_MAX;
pub use transport::Transport;
pub use websocket::{FRAME_BYTES_MAX, HANDSHAKE_BYTES_MAX, KIND_BYTES_MAX, WebSocket};

/// What the operating system may buffer of a connection before its sender feels that nobody reads (the kernel doubles it).
pub const RECEIVE_BUFFER_BYTES: u32 = 256 * 1024;
/// The same of a connection in memory.
const MEMORY_BUFFER_BYTES: usize = 64 * 1024;
/// Connections that wait to be accepted, per device.
const BACKLOG: u32 = 1_024;

/// What a proxy is made of.
#[derive(Clone)]
pub struct Config {
    /// Where the server listens.
    pub upstream: SocketAddr,
    /// How the protocol's frames are found.
    pub framing: Framing,
    /// Nanoseconds since the run began.
    pub clock: Clock,
    /// Gets everything that happens on the links.
    pub sink: Sink,
}

/// What devices and proxy are connected by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leg {
    /// Sockets: three descriptors for each connection, and one for each device's port.
    Sockets,
    /// Memory: one descriptor for each connection, the server's. A reset is an end of stream there.
    Memory,
}

/// Where a device gets in.
#[derive(Clone, Debug)]
pub enum Door {
    /// It connects to this.
    Port(SocketAddr),
    /// It is in the same process.
    Memory(Entrance),
}

/// Takes connections of a device of the same process.
#[derive(Clone, Debug)]
pub struct Entrance(mpsc::UnboundedSender<DuplexStream>);

impl Entrance {
    /// A new connection; an error if the proxy is gone.
    pub fn connect(&self) -> io::Result<DuplexStream> {
        let (near, far) = tokio::io::duplex(MEMORY_BUFFER_BYTES);
        self.0.send(far).map_err(|_gone| io::ErrorKind::ConnectionRefused)?;
        Ok(near)
    }
}

/// A running proxy. Dropping it closes every connection and every port.
pub struct Proxy {
    lines: BTreeMap<u32, (Door, Arc<Line>)>,
    upstream: Arc<Mutex<SocketAddr>>,
    tasks: JoinSet<()>,
}

impl Proxy {
    /// Opens one door per link, all faults inactive.
    pub async fn start(config: Config, links: Vec<Settings>, leg: Leg) -> io::Result<Self> {
        let upstream = Arc::new(Mutex::new(config.upstream));
        let mut proxy = Self { lines: BTreeMap::new(), upstream, tasks: JoinSet::new() };
        for settings in links {
            let device = settings.device;
            let line = Arc::new(Line::new(
                device,
                Link::new(settings),
                Arc::clone(&config.clock),
                Arc::clone(&config.sink),
            ));
            let upstream = Arc::clone(&proxy.upstream);
            let pumps =
                Pumps { line: Arc::clone(&line), upstream, framing: config.framing, tasks: JoinSet::new() };
            let door = match leg {
                Leg::Sockets => {
                    let listener = listen()?;
                    let door = Door::Port(listener.local_addr()?);
                    proxy.tasks.spawn(accept(listener, pumps));
                    door
                }
                Leg::Memory => {
                    let (entrance, arrivals) = mpsc::unbounded_channel();
                    proxy.tasks.spawn(let_in(arrivals, pumps));
                    Door::Memory(Entrance(entrance))
                }
            };
            proxy.lines.insert(device, (door, line));
        }
        // Lets the accepting tasks reach their sockets before the first client does.
        tokio::task::yield_now().await;
        Ok(proxy)
    }

    /// Where a device gets in.
    pub fn door(&self, device: u32) -> Option<&Door> {
        self.lines.get(&device).map(|(door, _)| door)
    }

    /// Where a device has to connect, if it has a port.
    pub fn address(&self, device: u32) -> Option<SocketAddr> {
        match self.door(device)? {
            Door::Port(address) => Some(*address),
            Door::Memory(_) => None,
        }
    }

    /// The server moved; connections made from now on go there.
    pub fn set_upstream(&self, upstream: SocketAddr) {
        *self.upstream.lock().unwrap_or_else(PoisonError::into_inner) = upstream;
    }

    /// Where the server is, as far as is known.
    pub fn upstream(&self) -> Option<SocketAddr> {
        Some(*self.upstream.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The chaos begins: triggers count from here.
    pub fn arm(&self) {
        self.lines().for_each(|line| line.arm());
    }

    /// A fault begins or ends, on every link that it concerns.
    pub fn set_fault(&self, fault: u32, active: bool) {
        self.lines().for_each(|line| line.set(fault, active));
    }

    /// A fault begins or ends on the link of one device.
    pub fn set_fault_on(&self, fault: u32, device: u32, active: bool) {
        if let Some((_, line)) = self.lines.get(&device) {
            line.set(fault, active);
        }
    }

    /// Nothing passes on the link of one device any more.
    pub fn abandon(&self, device: u32) {
        if let Some((_, line)) = self.lines.get(&device) {
            line.abandon();
        }
    }

    /// Every fault ends.
    pub fn heal(&self) {
        self.lines().for_each(|line| line.heal());
    }

    /// Connections that are carried now.
    pub fn connections(&self) -> usize {
        self.lines().map(|line| line.connections()).sum()
    }

    /// Ends everything and waits until it is released.
    pub async fn shutdown(mut self) {
        self.tasks.shutdown().await;
    }

    fn lines(&self) -> impl Iterator<Item = &Arc<Line>> {
        self.lines.values().map(|(_, line)| line)
    }
}

/// The pumps of one device; they live and die with this.
struct Pumps {
    line: Arc<Line>,
    upstream: Arc<Mutex<SocketAddr>>,
    framing: Framing,
    tasks: JoinSet<()>,
}

impl Pumps {
    /// Carries a new connection.
    fn carry(&mut self, client: impl Transport + Send + 'static) {
        let address = *self.upstream.lock().unwrap_or_else(PoisonError::into_inner);
        let (line, splitters) = (Arc::clone(&self.line), self.framing.splitters());
        self.tasks.spawn(async move { carry(&line, client, connect(address), splitters).await });
    }

    /// Waits until a connection is over; for ever if there is none.
    async fn is_one_over(&mut self) {
        match self.tasks.join_next().await {
            Some(Ok(())) => {}
            Some(Err(error)) => {
                self.line.tell(Happened::Failed { why: format!("a pump of the proxy broke: {error}") });
            }
            None => std::future::pending().await,
        }
    }
}

/// Takes the connections that come to a device's port.
async fn accept(listener: TcpListener, mut pumps: Pumps) {
    loop {
        tokio::select! {
            biased;
            () = pumps.is_one_over() => {}
            accepted = listener.accept() => match accepted {
                Ok((client, _)) => pumps.carry(client),
                Err(error) => {
                    // Out of descriptors, most likely: it passes when a connection ends.
                    pumps.line.tell(Happened::Failed { why: format!("cannot accept: {error}") });
                    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                }
            },
        }
    }
}

/// Takes the connections of a device of the same process.
async fn let_in(mut arrivals: mpsc::UnboundedReceiver<DuplexStream>, mut pumps: Pumps) {
    loop {
        tokio::select! {
            biased;
            () = pumps.is_one_over() => {}
            Some(client) = arrivals.recv() => pumps.carry(client),
        }
    }
}

fn listen() -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES)?;
    socket.bind((Ipv4Addr::LOCALHOST, 0).into())?;
    socket.listen(BACKLOG)
}

async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES)?;
    socket.connect(address).await
}
