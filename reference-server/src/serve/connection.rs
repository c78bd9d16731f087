//! One connection: handshake, then frames both ways until either side ends it.

use std::future::poll_fn;
use std::mem::take;
use std::task::{Context as TaskContext, Poll, ready};

use avouch_engine::server::ConnectionId;
use bytes::Bytes;
use futures_util::FutureExt;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::accept_async_with_config;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tracing::debug;

use super::socket::Socket;
use super::{CLOSE_TIMEOUT, HANDSHAKE_TIMEOUT};

/// Frames that are written before the engine hears of it.
const FRAMES_PER_FLUSH: usize = 64;
/// Frames of a burst that there is room for before it grows,
const FRAMES_EXPECTED: usize = 32;
/// and of one that goes out: each message is answered and delivered.
pub(super) const FRAMES_OUT_EXPECTED: usize = 2 * FRAMES_EXPECTED;
/// Frames that arrived together and are told of together,
const FRAMES_PER_EVENT: usize = 64;
/// unless they have more bytes than this.
const EVENT_BYTES: usize = 64 << 10;

/// What connections tell the engine's task.
#[derive(Debug)]
pub(super) enum Event {
    /// The handshake is done.
    Opened(ConnectionId, Outbound),
    /// Frames arrived, in this order.
    Frames(ConnectionId, Vec<Bytes>),
    /// That many frames were handed to the socket.
    Taken(ConnectionId, usize),
    /// It is over, or never began. Always the last event of a connection.
    Ended(ConnectionId),
}

/// The engine's hold on a connection. Dropping it closes the connection, after what was sent so far.
#[derive(Debug)]
pub(super) struct Outbound {
    /// What leaves together is handed over together.
    pub(super) bursts: mpsc::Sender<Vec<Bytes>>,
    /// What the engine wants to send and the connection has not been handed yet.
    pub(super) gathered: Vec<Bytes>,
    /// Tells a connection that is stuck in a write that its time runs.
    _open: oneshot::Sender<()>,
}

/// What every connection needs.
#[derive(Clone)]
pub(super) struct Context {
    pub(super) events: mpsc::Sender<Event>,
    pub(super) tls: Option<TlsAcceptor>,
    /// Bursts in the channel to a connection, of one frame or more; the engine closes what exceeds as many frames.
    pub(super) untaken_max: usize,
}

pub(super) async fn run<S>(stream: S, id: ConnectionId, context: Context)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    // Boxed: the handshakes are large, and must not stay part of the memory of an idle connection.
    let outcome = match &context.tls {
        None => Box::pin(plain(stream, id, &context)).await,
        Some(tls) => Box::pin(encrypted(stream, id, &context, tls)).await,
    };
    if let Err(why) = outcome {
        debug!(connection = id.0, why, "connection ended");
    }
    // The engine's task is gone only when the server is.
    let _ = context.events.send(Event::Ended(id)).await;
}

async fn plain<S>(stream: S, id: ConnectionId, context: &Context) -> Result<(), &'static str>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    // The library does the handshake only; its buffers for what follows are not wanted.
    let unused = WebSocketConfig::default().read_buffer_size(1);
    let socket = timeout(HANDSHAKE_TIMEOUT, Box::pin(accept_async_with_config(stream, Some(unused))))
        .await
        .map_err(|_| "handshake timed out")?
        .map_err(|_| "no WebSocket handshake")?;
    // A peer that sends anything before the handshake is done was refused: nothing is lost that was read.
    converse(Socket::new(socket.into_inner()), id, context).await
}

async fn encrypted<S>(
    stream: S,
    id: ConnectionId,
    context: &Context,
    tls: &TlsAcceptor,
) -> Result<(), &'static str>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let stream = timeout(HANDSHAKE_TIMEOUT, Box::pin(tls.accept(stream)))
        .await
        .map_err(|_| "TLS handshake timed out")?
        .map_err(|_| "no TLS handshake")?;
    plain(stream, id, context).await
}

async fn converse<S>(socket: Socket<S>, id: ConnectionId, context: &Context) -> Result<(), &'static str>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (bursts_sender, bursts) = mpsc::channel(context.untaken_max);
    let (open, mut closed) = oneshot::channel();
    let outbound = Outbound { bursts: bursts_sender, gathered: Vec::new(), _open: open };
    if context.events.send(Event::Opened(id, outbound)).await.is_err() {
        return Err("server stopped");
    }
    let mut conversation = Conversation::new(socket, bursts, id, &context.events);
    loop {
        let step = poll_fn(|task| match conversation.poll(task) {
            Poll::Pending => closed.poll_unpin(task).map(|_| None),
            step @ Poll::Ready(_) => step.map(Some),
        });
        match step.await {
            Some(Ok(Step::WroteAll)) => break,
            Some(Ok(Step::ReadAll)) => return Ok(()),
            Some(Ok(Step::Tell(event))) => conversation.tell(event).await?,
            Some(Err(why)) => return Err(why),
            None => {
                let rest = timeout(CLOSE_TIMEOUT, conversation.write_rest()).await;
                rest.unwrap_or(Err("did not take its last frames"))?;
                break;
            }
        }
    }
    // The peer has what was sent to it; closing before it has read it could destroy it on its way.
    timeout(CLOSE_TIMEOUT, conversation.read_rest()).await.unwrap_or(Ok(()))
}

/// Both directions of a connection, driven by one task: they need no lock between them, and a peer that does not read
/// does not keep us from reading.
struct Conversation<'a, S> {
    socket: Socket<S>,
    id: ConnectionId,
    events: &'a mpsc::Sender<Event>,
    bursts: mpsc::Receiver<Vec<Bytes>>,
    /// What the socket has not been given of the burst that is being written.
    unwritten: std::vec::IntoIter<Bytes>,
    /// Frames that the socket was given since its last flush.
    unflushed: usize,
    /// Nothing more is read, and why.
    read_all: Option<Result<(), &'static str>>,
}

/// What happened on a connection.
enum Step {
    /// The engine is to hear of this.
    Tell(Event),
    /// The engine let go of the connection, and everything before that is written.
    WroteAll,
    /// The peer said goodbye, or is gone.
    ReadAll,
}

impl<'a, S> Conversation<'a, S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    fn new(
        socket: Socket<S>,
        bursts: mpsc::Receiver<Vec<Bytes>>,
        id: ConnectionId,
        events: &'a mpsc::Sender<Event>,
    ) -> Self {
        let unwritten = Vec::new().into_iter();
        Self { socket, id, events, bursts, unwritten, unflushed: 0, read_all: None }
    }

    fn poll(&mut self, task: &mut TaskContext<'_>) -> Poll<Result<Step, &'static str>> {
        let wrote = self.poll_write(task);
        if wrote.is_pending() { self.poll_read(task) } else { wrote }
    }

    async fn tell(&mut self, event: Event) -> Result<(), &'static str> {
        self.events.send(event).await.map_err(|_| "server stopped")
    }

    async fn write_rest(&mut self) -> Result<(), &'static str> {
        while let Step::Tell(event) = poll_fn(|task| self.poll_write(task)).await? {
            self.tell(event).await?;
        }
        Ok(())
    }

    async fn read_rest(&mut self) -> Result<(), &'static str> {
        while let Step::Tell(event) = poll_fn(|task| self.poll_read(task)).await? {
            self.tell(event).await?;
        }
        Ok(())
    }

    fn poll_write(&mut self, task: &mut TaskContext<'_>) -> Poll<Result<Step, &'static str>> {
        let mut is_ended = false;
        while self.unflushed < FRAMES_PER_FLUSH && !is_ended {
            if self.unwritten.as_slice().is_empty() {
                match self.bursts.poll_recv(task) {
                    Poll::Ready(Some(burst)) => self.unwritten = burst.into_iter(),
                    Poll::Ready(None) => is_ended = true,
                    Poll::Pending => {
                        // Whoever is idle keeps nothing.
                        self.unwritten = Vec::new().into_iter();
                        break;
                    }
                }
            } else {
                // A frame is taken from its burst only where it will be written.
                if !self.socket.has_room() {
                    ready!(self.socket.poll_flush(task)).map_err(|_| "broken while writing")?;
                }
                if let Some(frame) = self.unwritten.next() {
                    self.socket.put(&frame);
                    self.unflushed += 1;
                }
            }
        }
        if self.unflushed > 0 {
            ready!(self.socket.poll_flush(task)).map_err(|_| "broken while writing")?;
            return Poll::Ready(Ok(Step::Tell(Event::Taken(self.id, take(&mut self.unflushed)))));
        }
        if !is_ended {
            return Poll::Pending;
        }
        ready!(self.socket.poll_close(task)).map_err(|_| "broken while closing")?;
        Poll::Ready(Ok(Step::WroteAll))
    }

    /// What has arrived already is told of together.
    fn poll_read(&mut self, task: &mut TaskContext<'_>) -> Poll<Result<Step, &'static str>> {
        let (mut frames, mut bytes) = (Vec::new(), 0);
        while self.read_all.is_none() && frames.len() < FRAMES_PER_EVENT && bytes < EVENT_BYTES {
            let Poll::Ready(message) = self.socket.poll_next(task) else { break };
            match message {
                Ok(Some(frame)) => {
                    if frames.is_empty() {
                        frames.reserve(FRAMES_EXPECTED);
                    }
                    bytes += frame.len();
                    frames.push(frame);
                }
                Ok(None) => self.read_all = Some(Ok(())),
                Err(why) => self.read_all = Some(Err(why)),
            }
        }
        match self.read_all {
            _ if !frames.is_empty() => Poll::Ready(Ok(Step::Tell(Event::Frames(self.id, frames)))),
            Some(why) => Poll::Ready(why.map(|()| Step::ReadAll)),
            None => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{SinkExt, StreamExt};
    use tokio_tungstenite::WebSocketStream;
    use tokio_tungstenite::tungstenite::Message;
    use tokio_tungstenite::tungstenite::protocol::Role;

    use super::*;

    /// Regression: of a burst, the frame after each full flush was taken from the channel and not written. Every device
    /// missed the same entry, and pulled it.
    #[tokio::test]
    async fn every_frame_of_a_burst_is_written_and_counted() {
        let count: u32 = 5 * FRAMES_PER_FLUSH as u32 + 3;
        let (near, far) = tokio::io::duplex(1 << 20);
        let near = Socket::new(near);
        let mut far = WebSocketStream::from_raw_socket(far, Role::Client, None).await;
        let (sender, bursts) = mpsc::channel(count as usize);
        let frames: Vec<_> = (0..count).map(|number| Bytes::copy_from_slice(&number.to_le_bytes())).collect();
        // Bursts end where a flush does, before it and behind it.
        for burst in [&frames[..2], &frames[2..FRAMES_PER_FLUSH], &frames[FRAMES_PER_FLUSH..]] {
            sender.try_send(burst.to_vec()).unwrap();
        }
        drop(sender);
        let (events, mut told) = mpsc::channel(count as usize);
        // The far side is not asked to answer the closing handshake.
        let _ = Conversation::new(near, bursts, ConnectionId(1), &events).write_rest().await;
        drop(events);

        let mut written = Vec::new();
        while let Some(Ok(Message::Binary(bytes))) = far.next().await {
            written.push(u32::from_le_bytes(bytes.as_ref().try_into().unwrap()));
        }
        assert_eq!(written, (0..count).collect::<Vec<_>>());
        let mut taken = 0;
        while let Some(Event::Taken(_, count)) = told.recv().await {
            taken += count;
        }
        assert_eq!(taken, count as usize);
    }

    #[tokio::test]
    async fn frames_before_a_bad_message_are_told_of() {
        let (near, far) = tokio::io::duplex(1 << 20);
        let near = Socket::new(near);
        let mut far = WebSocketStream::from_raw_socket(far, Role::Client, None).await;
        let sent: Vec<_> = (0..FRAMES_PER_EVENT as u8 + 2).map(|number| Bytes::from(vec![number])).collect();
        for frame in &sent {
            far.feed(Message::Binary(frame.clone())).await.unwrap();
        }
        far.send(Message::text("hello")).await.unwrap();
        let (events, mut told) = mpsc::channel(sent.len());
        let (_sender, bursts) = mpsc::channel(1);
        let outcome = Conversation::new(near, bursts, ConnectionId(1), &events).read_rest().await;
        assert_eq!(outcome, Err("a text message"));
        drop(events);

        let mut received = Vec::new();
        while let Some(event) = told.recv().await {
            let Event::Frames(_, frames) = event else { panic!("{event:?}") };
            assert!(frames.len() <= FRAMES_PER_EVENT);
            received.extend(frames);
        }
        assert_eq!(received, sent);
    }
}
