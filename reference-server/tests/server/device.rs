//! A device on real sockets: the client's engine and nothing around it but a WebSocket.

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use avouch_engine::auth;
use avouch_engine::client::{Client, Command, Config, Effect, Input, Observation};
use avouch_engine::ids::{ConversationId, DeviceId, DeviceKey, MessageId, Seq, Time, UserId};
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_rustls::TlsConnector;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, client_async};

pub(crate) const SECRET: &[u8] = b"a secret of the tests";

/// How long a test waits for anything.
const PATIENCE: Duration = Duration::from_secs(20);

/// A TCP connection, or TLS on one.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

type Socket = WebSocketStream<Box<dyn Stream>>;

pub(crate) struct Device {
    client: Client,
    address: SocketAddr,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    socket: Option<Socket>,
    started: Instant,
    pub(crate) seen: Vec<Observation>,
}

impl Device {
    pub(crate) fn new(address: SocketAddr, user: u64, device: u32) -> Self {
        let key = DeviceKey { user: UserId(user), device: DeviceId(device) };
        let token = auth::token(SECRET, key, u64::MAX);
        let client = Client::new(Config::default(), key, token, user * 100 + u64::from(device));
        Self { client, address, tls: None, socket: None, started: Instant::now(), seen: Vec::new() }
    }

    /// Connects by TLS, and trusts whom the connector trusts.
    pub(crate) fn by_tls(mut self, connector: TlsConnector, name: ServerName<'static>) -> Self {
        self.tls = Some((connector, name));
        self
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The server came back elsewhere.
    pub(crate) fn moves_to(&mut self, address: SocketAddr) {
        self.address = address;
    }

    pub(crate) fn command(&mut self, command: Command) {
        self.handle(Input::Command(command));
    }

    pub(crate) fn send(&mut self, id: u64, conversation: u64, payload: impl Into<Bytes>) {
        let (id, conversation) = (MessageId(id), ConversationId(conversation));
        self.command(Command::Send { id, conversation, reply_to: None, payload: payload.into() });
    }

    pub(crate) fn invite(&mut self, id: u64, conversation: u64, users: &[u64]) {
        let added = users.iter().copied().map(UserId).collect();
        let (id, conversation) = (MessageId(id), ConversationId(conversation));
        self.command(Command::ChangeMembers { id, conversation, added, removed: Vec::new() });
    }

    /// Runs until something is true of what was observed.
    pub(crate) async fn until(&mut self, what: &str, is_true: impl Fn(&[Observation]) -> bool) {
        let outcome = timeout(PATIENCE, async {
            loop {
                self.carry_out().await;
                if is_true(&self.seen) {
                    return;
                }
                self.step().await;
            }
        });
        let outcome = outcome.await;
        assert!(outcome.is_ok(), "{what} did not come; seen: {:#?}", self.seen);
    }

    /// Runs beside something else.
    pub(crate) async fn beside<T>(&mut self, other: impl Future<Output = T>) -> T {
        tokio::pin!(other);
        loop {
            self.carry_out().await;
            tokio::select! {
                biased;
                value = &mut other => return value,
                () = self.step() => {}
            }
        }
    }

    pub(crate) async fn until_accepted(&mut self, id: u64) -> Seq {
        self.until(&format!("accepted {id}"), |seen| accepted(seen, id).is_some()).await;
        accepted(&self.seen, id).unwrap()
    }

    pub(crate) async fn until_delivered(&mut self, payload: &[u8]) {
        let what = format!("delivery of {:?}", String::from_utf8_lossy(payload));
        self.until(&what, |seen| delivered(seen, payload) > 0).await;
    }

    async fn step(&mut self) {
        let deadline = self.client.next_timeout().map(|at| self.started + Duration::from_nanos(at.0));
        let far = self.started + Duration::from_secs(86_400);
        let input = tokio::select! {
            biased;
            message = receive(&mut self.socket) => if let Some(bytes) = message {
                Input::Received(bytes)
            } else {
                self.socket = None;
                Input::Disconnected
            },
            () = sleep_until(deadline.unwrap_or(far)) => Input::Timeout,
        };
        self.handle(input);
    }

    async fn carry_out(&mut self) {
        while let Some(effect) = self.client.poll_effect() {
            match effect {
                Effect::Connect => {
                    self.socket = connect(self.address, self.tls.as_ref()).await;
                    let input = if self.socket.is_some() { Input::Connected } else { Input::Disconnected };
                    self.handle(input);
                }
                Effect::Transmit(bytes) => {
                    if let Some(socket) = &mut self.socket {
                        // A broken connection shows when it is read.
                        let _ = socket.send(Message::Binary(bytes)).await;
                    }
                }
                Effect::Disconnect => self.socket = None,
                Effect::Observe(observation) => self.seen.push(observation),
            }
        }
    }

    fn handle(&mut self, input: Input) {
        self.client.handle(Time(self.started.elapsed().as_nanos() as u64), input);
    }
}

pub(crate) fn accepted(seen: &[Observation], id: u64) -> Option<Seq> {
    seen.iter().find_map(|observation| match observation {
        Observation::Accepted { id: found, seq, .. } if found.0 == id => Some(*seq),
        _ => None,
    })
}

pub(crate) fn delivered(seen: &[Observation], expected: &[u8]) -> usize {
    use avouch_engine::journal::Body;
    let is_it = |observation: &&Observation| match observation {
        Observation::Delivered { entry, .. } => {
            matches!(&entry.body, Body::Message { payload, .. } if payload == expected)
        }
        _ => false,
    };
    seen.iter().filter(is_it).count()
}

async fn connect(address: SocketAddr, tls: Option<&(TlsConnector, ServerName<'static>)>) -> Option<Socket> {
    let stream = TcpStream::connect(address).await.ok()?;
    stream.set_nodelay(true).ok()?;
    let stream: Box<dyn Stream> = match tls {
        None => Box::new(stream),
        Some((connector, name)) => Box::new(connector.connect(name.clone(), stream).await.ok()?),
    };
    Some(client_async("ws://server/", stream).await.ok()?.0)
}

/// The next frame; `None` at the end of the connection; never without a connection.
async fn receive(socket: &mut Option<Socket>) -> Option<Bytes> {
    let Some(socket) = socket else { return std::future::pending().await };
    loop {
        match socket.next().await?.ok()? {
            Message::Binary(bytes) => return Some(bytes),
            Message::Close(_) => return None,
            _ => {}
        }
    }
}
