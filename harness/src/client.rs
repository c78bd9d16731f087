//! The async shell around a [`Device`]: sockets, timers and the mailbox, and nothing else.
//!
//! Generic over the transport, so that the same shell runs on turmoil and on real sockets. One task per
//! device; reading and writing happen in one place, so nothing can overtake. Whatever has arrived is handed to the
//! device before it is asked what to do about it, so that one ack answers a burst of deliveries.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use avouch_reports::history::What;
use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::time::{Instant, Sleep, sleep};

use crate::adapter::Effect;
use crate::device::Device;
use crate::handle::{Handle, Letter, Status};
use crate::recorder::Recorder;
use socket::Socket;

pub use socket::Carrier;

mod socket;

/// Frames that wait for a slow transport; past it the connection counts as broken.
pub const OUTGOING_FRAMES_MAX: usize = 65_536;
/// Frames that are handed to the device before its effects are carried out.
pub const FRAMES_PER_TURN: usize = 32;
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
    /// What it connects to is of no use ([`Effect::Fail`]). Only connectors to what the tool started itself can hear that.
    fn failed(&self, _why: String) {}
}

/// Reads the run's clock. Nanoseconds since the run began.
pub type Clock = Rc<dyn Fn() -> u64>;

/// One device's task.
pub struct Shell<C: Connector> {
    device: Device,
    carrier: Carrier,
    connector: C,
    recorder: Recorder,
    clock: Clock,
    mailbox: mpsc::UnboundedReceiver<Letter>,
    status: Rc<Status>,
    wire: Wire<C::Stream>,
    arrived: Vec<Bytes>,
    outgoing: VecDeque<Bytes>,
    abandoned: VecDeque<Socket<C::Stream>>,
}

/// A connection in the making.
type Dial<S> = Pin<Box<dyn Future<Output = io::Result<Socket<S>>>>>;

/// The transport's state.
enum Wire<S> {
    Down,
    Connecting(Dial<S>),
    Up(Box<Socket<S>>),
}

enum Event {
    Letter(Option<Letter>),
    Up,
    /// Some frames have arrived.
    Frames,
    /// There is no connection, and why.
    Down(String),
    Abandoned,
    Timeout,
}

impl<C: Connector> Shell<C> {
    /// A shell that is not running yet.
    pub fn new(
        device: Device,
        (carrier, connector): (Carrier, C),
        recorder: Recorder,
        clock: Clock,
    ) -> (Self, Handle) {
        let (sender, mailbox) = mpsc::unbounded_channel();
        let status = Rc::new(Status::default());
        // The shell ends only with the run; a letter after that has no reader and needs none.
        let handle = Handle::new(move |letter| drop(sender.send(letter)), status.clone());
        let shell = Self {
            device,
            carrier,
            connector,
            recorder,
            clock,
            mailbox,
            status,
            wire: Wire::Down,
            arrived: Vec::new(),
            outgoing: VecDeque::new(),
            abandoned: VecDeque::new(),
        };
        (shell, handle)
    }

    /// Runs until the conductor drops the handle.
    pub async fn run(mut self) {
        let mut timer = pin!(sleep(Duration::ZERO));
        let mut now_ns = (self.clock)();
        loop {
            self.carry_out(now_ns);
            let event = self.next_event(now_ns, timer.as_mut()).await;
            now_ns = (self.clock)();
            match event {
                Event::Letter(None) => return,
                Event::Letter(Some(Letter::Order(order))) => self.device.order(now_ns, order),
                Event::Letter(Some(Letter::TakeOver)) => self.take_over(now_ns),
                Event::Up => self.device.connected(now_ns),
                Event::Frames => {
                    for frame in self.arrived.drain(..) {
                        self.device.received(now_ns, frame);
                    }
                }
                Event::Down(why) => {
                    self.status.note_end(&why);
                    self.hang_up();
                    self.device.disconnected(now_ns);
                }
                Event::Abandoned => self.status.note_takeover(),
                Event::Timeout => self.device.timeout(now_ns),
            }
        }
    }

    /// Does whatever the device asks for until it has nothing more to ask.
    fn carry_out(&mut self, now_ns: u64) {
        while let Some(effect) = self.device.poll(now_ns) {
            match effect {
                Effect::Saw(what) => {
                    if let What::Note { text } = &what {
                        self.status.note_remark(text);
                    }
                    self.recorder.record(now_ns, what);
                }
                Effect::Connect => self.wire = Wire::Connecting(self.dial()),
                Effect::Disconnect => self.close(),
                Effect::Fail(why) => {
                    self.connector.failed(why);
                    self.hang_up();
                }
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
        let (carrier, stream) = (self.carrier, self.connector.connect());
        Box::pin(async move {
            let handshake = async { Socket::open(carrier, stream.await?).await };
            tokio::time::timeout(Duration::from_nanos(CONNECT_NS_MAX), handshake)
                .await
                .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        })
    }

    /// Closes after what is already on its way out.
    fn close(&mut self) {
        if let Wire::Up(socket) = std::mem::replace(&mut self.wire, Wire::Down) {
            let frames = std::mem::take(&mut self.outgoing);
            tokio::task::spawn_local(async move {
                let farewell = socket.say_goodbye(frames);
                // The device has left; whether the last words arrive is the protocol's affair.
                let _ = tokio::time::timeout(Duration::from_nanos(CONNECT_NS_MAX), farewell).await;
            });
        }
        self.hang_up();
    }

    fn hang_up(&mut self) {
        self.wire = Wire::Down;
        self.outgoing.clear();
    }

    /// The device was seen elsewhere: its connection stays open, and it makes a new one. What is still being made is that
    /// one.
    fn take_over(&mut self, now_ns: u64) {
        let socket = match std::mem::replace(&mut self.wire, Wire::Down) {
            Wire::Up(socket) => socket,
            other => return self.wire = other,
        };
        self.outgoing.clear();
        self.abandoned.push_back(*socket);
        if self.abandoned.len() > ABANDONED_MAX {
            self.abandoned.pop_front();
        }
        self.device.disconnected(now_ns);
    }

    async fn next_event(&mut self, now_ns: u64, mut timer: Pin<&mut Sleep>) -> Event {
        let timeout_ns = self.device.next_timeout_ns();
        if let Some(at_ns) = timeout_ns {
            rearm(timer.as_mut(), Instant::now() + Duration::from_nanos(at_ns.saturating_sub(now_ns)));
        }
        let (wire, arrived, outgoing) = (&mut self.wire, &mut self.arrived, &mut self.outgoing);
        let abandoned = &mut self.abandoned;
        let has_abandoned = !abandoned.is_empty();
        tokio::select! {
            biased;
            letter = self.mailbox.recv() => Event::Letter(letter),
            event = poll_fn(|context| poll_wire(wire, arrived, outgoing, context)) => event,
            () = poll_fn(|context| poll_abandoned(abandoned, context)), if has_abandoned => Event::Abandoned,
            () = timer, if timeout_ns.is_some() => Event::Timeout,
        }
    }
}

/// Sets a timer that would be late. One that is early only wakes for nothing, once, which costs less than to be set
/// again for every frame.
pub(crate) fn rearm(timer: Pin<&mut Sleep>, next: Instant) {
    if timer.is_elapsed() || next < timer.deadline() {
        timer.reset(next);
    }
}

fn poll_wire<S: AsyncRead + AsyncWrite + Unpin>(
    wire: &mut Wire<S>,
    arrived: &mut Vec<Bytes>,
    outgoing: &mut VecDeque<Bytes>,
    context: &mut Context<'_>,
) -> Poll<Event> {
    match wire {
        Wire::Down => Poll::Pending,
        Wire::Connecting(dial) => Poll::Ready(match ready!(dial.as_mut().poll(context)) {
            Ok(socket) => {
                *wire = Wire::Up(Box::new(socket));
                Event::Up
            }
            Err(error) => Event::Down(format!("no connection could be made: {error}")),
        }),
        Wire::Up(socket) => {
            if let Err(error) = socket.poll_write(outgoing, context) {
                return Poll::Ready(Event::Down(format!("a connection ended: {error}")));
            }
            socket.read(arrived, context);
            match (arrived.is_empty(), socket.is_over) {
                (false, _) => Poll::Ready(Event::Frames),
                (true, true) => Poll::Ready(Event::Down("the server ended the connection".to_owned())),
                (true, false) => Poll::Pending,
            }
        }
    }
}

/// Reads abandoned connections to their end; ready when one of them was ended by the server.
fn poll_abandoned<S: AsyncRead + AsyncWrite + Unpin>(
    abandoned: &mut VecDeque<Socket<S>>,
    context: &mut Context<'_>,
) -> Poll<()> {
    for index in 0..abandoned.len() {
        if abandoned[index].poll_end(context).is_ready() {
            abandoned.remove(index);
            return Poll::Ready(());
        }
    }
    Poll::Pending
}

#[cfg(test)]
mod tests;
