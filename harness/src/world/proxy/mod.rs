//! The chaos proxy: a server's address for each device, with a [`crate::link::Link`] behind it.
//!
//! One listening port per device, so that a link is known by its port and no client has to say who it is.
//! What a fault means is decided in [`crate::link`]; what a frame is, in a [`Splitter`]; this module only moves bytes.
//! The simulated world uses the same [`pump`] between simulated streams.
//!
//! ```text
//! client ── Transport ── Splitter ── Link ── Transport ── server       one pump() per connection,
//!                                     │                                one Line per device
//!                                   Line: set a fault, wake the pumps, tell what happened
//! ```
//!
//! Closed windows are real: while a link does not read, neither does the pump, and the socket's own buffer
//! ([`RECEIVE_BUFFER_BYTES`]) is all that a sender can still fill.

mod end;
mod line;
mod mqtt;
mod nats;
mod pump;
mod splitter;
#[cfg(test)]
mod tests;
mod transport;
mod websocket;

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;

use crate::link::{Link, Settings};
pub use end::OUTBOX_BYTES_MAX;
pub use line::{Clock, Happened, Line, Sink};
pub use mqtt::{MQTT_FRAMING, MQTT_PACKET_BYTES_MAX};
pub use nats::{NATS_FRAME_BYTES_MAX, NATS_FRAMING};
pub use pump::{CLOSE_LINGER, carry, pump};
pub use splitter::{Classify, Framing, Raw, Splitter};
pub use transport::Transport;
pub use websocket::{FRAME_BYTES_MAX, HANDSHAKE_BYTES_MAX, KIND_BYTES_MAX, WebSocket};

/// What the operating system may buffer of a connection before its sender feels that nobody reads (the kernel doubles it).
pub const RECEIVE_BUFFER_BYTES: u32 = 256 * 1024;
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

/// A running proxy. Dropping it closes every connection and every port.
pub struct Proxy {
    lines: BTreeMap<u32, (SocketAddr, Arc<Line>)>,
    upstream: Arc<Mutex<SocketAddr>>,
    tasks: JoinSet<()>,
}

impl Proxy {
    /// Opens one port per link, all faults inactive.
    pub async fn start(config: Config, links: Vec<Settings>) -> io::Result<Self> {
        let upstream = Arc::new(Mutex::new(config.upstream));
        let mut proxy = Self { lines: BTreeMap::new(), upstream, tasks: JoinSet::new() };
        for settings in links {
            let listener = listen()?;
            let device = settings.device;
            let line = Arc::new(Line::new(
                device,
                Link::new(settings),
                Arc::clone(&config.clock),
                Arc::clone(&config.sink),
            ));
            proxy.lines.insert(device, (listener.local_addr()?, Arc::clone(&line)));
            let upstream = Arc::clone(&proxy.upstream);
            proxy.tasks.spawn(accept(listener, line, upstream, config.framing));
        }
        // Lets the accepting tasks reach their sockets before the first client does.
        tokio::task::yield_now().await;
        Ok(proxy)
    }

    /// Where a device has to connect.
    pub fn address(&self, device: u32) -> Option<SocketAddr> {
        self.lines.get(&device).map(|(address, _)| *address)
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

/// Takes the connections of one device; the pumps live and die with this task.
async fn accept(listener: TcpListener, line: Arc<Line>, upstream: Arc<Mutex<SocketAddr>>, framing: Framing) {
    let mut pumps = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            Some(done) = pumps.join_next(), if !pumps.is_empty() => {
                if let Err(error) = done {
                    line.tell(Happened::Failed { why: format!("a pump of the proxy broke: {error}") });
                }
            }
            accepted = listener.accept() => match accepted {
                Ok((client, _)) => {
                    let address = *upstream.lock().unwrap_or_else(PoisonError::into_inner);
                    let line = Arc::clone(&line);
                    pumps.spawn(async move {
                        carry(&line, client, connect(address), framing.splitters()).await;
                    });
                }
                Err(error) => {
                    // Out of descriptors, most likely: it passes when a connection ends.
                    line.tell(Happened::Failed { why: format!("cannot accept: {error}") });
                    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                }
            },
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
