//! The async shell around a [`Device`]: sockets, timers and the mailbox, and nothing else.
//!
//! Generic over the transport, so that the same shell runs on turmoil and on real sockets. One task per
//! device; reading and writing happen in one place, so nothing can overtake.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Sink, Stream};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use crate::adapter::Effect;
use crate::device::Device;
use crate::handle::{Handle, Letter, Status};
use crate::recorder::Recorder;

/// Frames that wait for a slow transport; past it the connection counts as broken.
pub const OUTGOING_FRAMES_MAX: usize = 65_536;
/// A connection that is not up by then is given up. Nanoseconds.
pub const CONNECT_NS_MAX: u64 = 5_000_000_000;
/// Abandoned connections (takeover) kept open per device; the oldest is closed first.
pub const ABANDONED_MAX: usize = 8;
/// WebSocket read buffer. Bytes; the library's default of 128 KiB is zeroed at every read.
pub const READ_BUFFER_BYTES: usize = 4 * 1024;

/// Makes connections for one device.
pub trait Connector: 'static {
    /// What a connection is.
    type Stream: AsyncRead + AsyncWrite + Unpin + 'static;
    /// Makes one.
    fn connect(&self) -> Pin<Box<dyn Future<Output = io::Result<Self::Stream>>>>;
}

/// Reads the run's clock. Nanoseconds since the run began.
pub type Clock = Rc<dyn Fn() -> u64>;

/// One device's task.
pub struct Shell<C: Connector> {
    device: Device,
    connector: C,
    recorder: Recorder,
    clock: Clock,
    mailbox: mpsc::UnboundedReceiver<Letter>,
    status: Rc<Status>,
    wire: Wire<C::Stream>,
    outgoing: VecDeque<Bytes>,
    abandoned: VecDeque<WebSocketStream<C::Stream>>,
}

/// A connection in the making.
type Dial<S> = Pin<Box<dyn Future<Output = io::Result<WebSocketStream<S>>>>>;

/// The transport's state.
enum Wire<S> {
    Down,
    Connecting(Dial<S>),
    Up { socket: Box<WebSocketStream<S>>, dirty: bool },
}

enum Event {
    Letter(Option<Letter>),
    Up,
    Frame(Bytes),
    Down,
    Abandoned,
    Timeout,
}

impl<C: Connector> Shell<C> {
    /// A shell that is not running yet.
    pub fn new(device: Device, connector: C, recorder: Recorder, clock: Clock) -> (Self, Handle) {
        let (sender, mailbox) = mpsc::unbounded_channel();
        let status = Rc::new(Status::default());
        // The shell ends only with the run; a letter after that has no reader and needs none.
        let handle = Handle::new(move |letter| drop(sender.send(letter)), status.clone());
        let shell = Self {
            device,
            connector,
            recorder,
            clock,
            mailbox,
            status,
            wire: Wire::Down,
            outgoing: VecDeque::new(),
            abandoned: VecDeque::new(),
        };
        (shell, handle)
    }

    /// Runs until the conductor drops the handle.
    pub async fn run(mut self) {
        loop {
            self.carry_out();
            let event = self.next_event().await;
            let now_ns = (self.clock)();
            match event {
                Event::Letter(None) => return,
                Event::Letter(Some(Letter::Order(order))) => self.device.order(now_ns, order),
                Event::Letter(Some(Letter::TakeOver)) => self.take_over(now_ns),
                Event::Up => self.device.connected(now_ns),
                Event::Frame(frame) => self.device.received(now_ns, frame),
                Event::Down => {
                    self.hang_up();
                    self.device.disconnected(now_ns);
                }
                Event::Abandoned => self.status.note_takeover(),
                Event::Timeout => self.device.timeout(now_ns),
            }
        }
    }

    /// Does whatever the device asks for until it has nothing more to ask.
    fn carry_out(&mut self) {
        let now_ns = (self.clock)();
        while let Some(effect) = self.device.poll(now_ns) {
            match effect {
                Effect::Saw(what) => self.recorder.record(now_ns, what),
                Effect::Connect => self.wire = Wire::Connecting(self.dial()),
                Effect::Disconnect => self.close(),
                Effect::Transmit(frame) => {
                    if self.outgoing.len() < OUTGOING_FRAMES_MAX {
                        self.outgoing.push_back(frame);
                    } else {
                        self.hang_up();
                        self.device.disconnected(now_ns);
                    }
                }
            }
        }
        self.status.note(self.device.is_idle(), self.device.is_set_up_done());
    }

    fn dial(&self) -> Dial<C::Stream> {
        let stream = self.connector.connect();
        Box::pin(async move {
            let handshake = async {
                let stream = stream.await?;
                let config = WebSocketConfig::default().read_buffer_size(READ_BUFFER_BYTES);
                let upgraded =
                    tokio_tungstenite::client_async_with_config("ws://avouch/", stream, Some(config));
                upgraded.await.map(|(socket, _)| socket).map_err(io::Error::other)
            };
            tokio::time::timeout(Duration::from_nanos(CONNECT_NS_MAX), handshake)
                .await
                .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        })
    }

    /// Closes after what is already on its way out.
    fn close(&mut self) {
        if let Wire::Up { socket, .. } = std::mem::replace(&mut self.wire, Wire::Down) {
            let frames = std::mem::take(&mut self.outgoing);
            tokio::task::spawn_local(say_goodbye(*socket, frames));
        }
        self.hang_up();
    }

    fn hang_up(&mut self) {
        self.wire = Wire::Down;
        self.outgoing.clear();
    }

    fn take_over(&mut self, now_ns: u64) {
        if let Wire::Up { socket, .. } = std::mem::replace(&mut self.wire, Wire::Down) {
            self.outgoing.clear();
            self.abandoned.push_back(*socket);
            if self.abandoned.len() > ABANDONED_MAX {
                self.abandoned.pop_front();
            }
            self.device.disconnected(now_ns);
        }
    }

    async fn next_event(&mut self) -> Event {
        let timeout_ns = self.device.next_timeout_ns();
        let wait = timeout_ns.map(|at_ns| Duration::from_nanos(at_ns.saturating_sub((self.clock)())));
        let (wire, outgoing, abandoned) = (&mut self.wire, &mut self.outgoing, &mut self.abandoned);
        tokio::select! {
            biased;
            letter = self.mailbox.recv() => Event::Letter(letter),
            event = poll_fn(|context| poll_wire(wire, outgoing, context)) => event,
            () = poll_fn(|context| poll_abandoned(abandoned, context)) => Event::Abandoned,
            () = sleep(wait) => Event::Timeout,
        }
    }
}

async fn sleep(wait: Option<Duration>) {
    match wait {
        Some(wait) => tokio::time::sleep(wait).await,
        None => std::future::pending().await,
    }
}

async fn say_goodbye<S: AsyncRead + AsyncWrite + Unpin>(
    mut socket: WebSocketStream<S>,
    frames: VecDeque<Bytes>,
) {
    use futures_util::SinkExt;
    let farewell = async {
        for frame in frames {
            socket.feed(Message::Binary(frame)).await?;
        }
        socket.close(None).await
    };
    // The device has left; whether the last words arrive is the protocol's affair.
    let _ = tokio::time::timeout(Duration::from_nanos(CONNECT_NS_MAX), farewell).await;
}

fn poll_wire<S: AsyncRead + AsyncWrite + Unpin>(
    wire: &mut Wire<S>,
    outgoing: &mut VecDeque<Bytes>,
    context: &mut Context<'_>,
) -> Poll<Event> {
    match wire {
        Wire::Down => Poll::Pending,
        Wire::Connecting(dial) => Poll::Ready(match ready!(dial.as_mut().poll(context)) {
            Ok(socket) => {
                *wire = Wire::Up { socket: Box::new(socket), dirty: false };
                Event::Up
            }
            Err(_) => Event::Down,
        }),
        Wire::Up { socket, dirty } => {
            if poll_write(socket, dirty, outgoing, context).is_err() {
                return Poll::Ready(Event::Down);
            }
            loop {
                return Poll::Ready(match ready!(Pin::new(&mut **socket).poll_next(context)) {
                    Some(Ok(Message::Binary(frame))) => Event::Frame(frame),
                    Some(Ok(Message::Close(_)) | Err(_)) | None => Event::Down,
                    Some(Ok(_)) => continue,
                });
            }
        }
    }
}

fn poll_write<S: AsyncRead + AsyncWrite + Unpin>(
    socket: &mut WebSocketStream<S>,
    dirty: &mut bool,
    outgoing: &mut VecDeque<Bytes>,
    context: &mut Context<'_>,
) -> Result<(), ()> {
    let mut socket = Pin::new(socket);
    while !outgoing.is_empty() {
        match socket.as_mut().poll_ready(context) {
            Poll::Pending => return Ok(()),
            Poll::Ready(Err(_)) => return Err(()),
            Poll::Ready(Ok(())) => {}
        }
        if let Some(frame) = outgoing.pop_front() {
            socket.as_mut().start_send(Message::Binary(frame)).map_err(|_| ())?;
            *dirty = true;
        }
    }
    if *dirty {
        match socket.as_mut().poll_flush(context) {
            Poll::Ready(Ok(())) => *dirty = false,
            Poll::Ready(Err(_)) => return Err(()),
            Poll::Pending => {}
        }
    }
    Ok(())
}

/// Reads abandoned connections to their end; ready when one of them was ended by the server.
fn poll_abandoned<S: AsyncRead + AsyncWrite + Unpin>(
    abandoned: &mut VecDeque<WebSocketStream<S>>,
    context: &mut Context<'_>,
) -> Poll<()> {
    for index in 0..abandoned.len() {
        loop {
            match Pin::new(&mut abandoned[index]).poll_next(context) {
                Poll::Pending => break,
                Poll::Ready(Some(Ok(message))) if !message.is_close() => {}
                Poll::Ready(_) => {
                    abandoned.remove(index);
                    return Poll::Ready(());
                }
            }
        }
    }
    Poll::Pending
}
