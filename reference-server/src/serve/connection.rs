//! One connection: handshake, then frames both ways until either side ends it.

use avouch_engine::limits::FRAME_BYTES_MAX;
use avouch_engine::server::ConnectionId;
use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, accept_async_with_config};
use tracing::debug;

use super::{CLOSE_TIMEOUT, HANDSHAKE_TIMEOUT};

/// Bytes that are read from a socket at once. The default of 128 KiB is cleared at each read and costs a multiple.
const READ_BUFFER_BYTES: usize = 4 << 10;
/// Bytes that are gathered before a socket is written to, unless there is nothing more to gather.
const WRITE_BUFFER_BYTES: usize = 16 << 10;
/// Frames that are written before the engine hears of it.
const FRAMES_PER_FLUSH: usize = 64;

/// What connections tell the engine's task.
#[derive(Debug)]
pub(super) enum Event {
    /// The handshake is done.
    Opened(ConnectionId, Outbound),
    /// A frame arrived.
    Frame(ConnectionId, Bytes),
    /// That many frames were handed to the socket.
    Taken(ConnectionId, usize),
    /// It is over, or never began. Always the last event of a connection.
    Ended(ConnectionId),
}

/// The engine's hold on a connection. Dropping it closes the connection, after what was sent so far.
#[derive(Debug)]
pub(super) struct Outbound {
    pub(super) frames: mpsc::Sender<Bytes>,
    /// Tells a connection that is stuck in a write that its time runs.
    _open: oneshot::Sender<()>,
}

/// What every connection needs.
#[derive(Clone)]
pub(super) struct Context {
    pub(super) events: mpsc::Sender<Event>,
    pub(super) tls: Option<TlsAcceptor>,
    /// Frames in the channel to a connection; the engine closes what exceeds it.
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
    let socket = timeout(HANDSHAKE_TIMEOUT, Box::pin(accept_async_with_config(stream, Some(limits()))))
        .await
        .map_err(|_| "handshake timed out")?
        .map_err(|_| "no WebSocket handshake")?;
    converse(socket, id, context).await
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

fn limits() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(WRITE_BUFFER_BYTES)
        .max_write_buffer_size(WRITE_BUFFER_BYTES + 2 * FRAME_BYTES_MAX)
        .max_message_size(Some(FRAME_BYTES_MAX))
        .max_frame_size(Some(FRAME_BYTES_MAX))
}

async fn converse<S>(
    socket: WebSocketStream<S>,
    id: ConnectionId,
    context: &Context,
) -> Result<(), &'static str>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (frames_sender, frames) = mpsc::channel(context.untaken_max);
    let (open, mut closed) = oneshot::channel();
    let (sink, stream) = socket.split();
    if context.events.send(Event::Opened(id, Outbound { frames: frames_sender, _open: open })).await.is_err()
    {
        return Err("server stopped");
    }
    let reading = read(stream, id, &context.events);
    let writing = write(sink, frames, id, &context.events);
    tokio::pin!(reading, writing);
    tokio::select! {
        biased;
        why = &mut writing => why,
        why = &mut reading => return why,
        _ = &mut closed => timeout(CLOSE_TIMEOUT, &mut writing).await.unwrap_or(Err("did not take its last frames")),
    }?;
    // The peer has what was sent to it; closing before it has read it could destroy it on its way.
    timeout(CLOSE_TIMEOUT, reading).await.unwrap_or(Ok(()))
}

async fn read<S>(
    mut stream: SplitStream<WebSocketStream<S>>,
    id: ConnectionId,
    events: &mpsc::Sender<Event>,
) -> Result<(), &'static str>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    while let Some(message) = stream.next().await {
        match message.map_err(|_| "broken WebSocket stream")? {
            Message::Binary(bytes) => {
                // The bytes are a part of the socket's buffer, and would keep all of it as long as the engine has them.
                let bytes = Bytes::copy_from_slice(&bytes);
                if events.send(Event::Frame(id, bytes)).await.is_err() {
                    return Err("server stopped");
                }
            }
            Message::Ping(_) | Message::Pong(_) => {}
            Message::Close(_) => return Ok(()),
            Message::Text(_) | Message::Frame(_) => return Err("a text message"),
        }
    }
    Ok(())
}

async fn write<S>(
    mut sink: SplitSink<WebSocketStream<S>, Message>,
    mut frames: mpsc::Receiver<Bytes>,
    id: ConnectionId,
    events: &mpsc::Sender<Event>,
) -> Result<(), &'static str>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    while let Some(frame) = frames.recv().await {
        let mut count = 1;
        let mut outcome = sink.feed(Message::Binary(frame)).await;
        // A frame is taken from the channel only where it will be written.
        while outcome.is_ok() && count < FRAMES_PER_FLUSH {
            let Ok(frame) = frames.try_recv() else { break };
            outcome = sink.feed(Message::Binary(frame)).await;
            count += 1;
        }
        if outcome.is_err() || sink.flush().await.is_err() {
            return Err("broken while writing");
        }
        if events.send(Event::Taken(id, count)).await.is_err() {
            return Err("server stopped");
        }
    }
    sink.close().await.map_err(|_| "broken while closing")
}

#[cfg(test)]
mod tests {
    use tokio_tungstenite::tungstenite::protocol::Role;

    use super::*;

    /// Regression: of a burst, the frame after each full flush was taken from the channel and not written. Every device
    /// missed the same entry, and pulled it.
    #[tokio::test]
    async fn every_frame_of_a_burst_is_written_and_counted() {
        let burst: u32 = 5 * FRAMES_PER_FLUSH as u32 + 3;
        let (near, far) = tokio::io::duplex(1 << 20);
        let sink = WebSocketStream::from_raw_socket(near, Role::Server, Some(limits())).await.split().0;
        let mut far = WebSocketStream::from_raw_socket(far, Role::Client, None).await;
        let (sender, frames) = mpsc::channel(burst as usize);
        for number in 0..burst {
            sender.try_send(Bytes::copy_from_slice(&number.to_le_bytes())).unwrap();
        }
        drop(sender);
        let (events, mut told) = mpsc::channel(burst as usize);
        // The far side is not asked to answer the closing handshake.
        let _ = write(sink, frames, ConnectionId(1), &events).await;
        drop(events);

        let mut written = Vec::new();
        while let Some(Ok(Message::Binary(bytes))) = far.next().await {
            written.push(u32::from_le_bytes(bytes.as_ref().try_into().unwrap()));
        }
        assert_eq!(written, (0..burst).collect::<Vec<_>>());
        let mut taken = 0;
        while let Some(Event::Taken(_, count)) = told.recv().await {
            taken += count;
        }
        assert_eq!(taken, burst as usize);
    }
}
