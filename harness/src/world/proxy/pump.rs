//! Moves the bytes of one connection between two streams, as its link says.
//!
//! Generic over the streams, so that simulated and real connections are carried by the same code. Everything is
//! polled in one fixed order; on a single-threaded runtime with a paused clock a run repeats exactly.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::ReadBuf;
use tokio::sync::Notify;
use tokio::time::sleep;

use super::line::{Happened, Line};
use super::splitter::Splitter;
use super::transport::Transport;
use crate::client::rearm;
use crate::link::{ConnectionId, Effect, Piece, WAYS, Way};

/// Bytes that may wait to be written to one end before the other end is no longer read.
pub const OUTBOX_BYTES_MAX: usize = 256 * 1024;
/// How long a connection that a fault ended politely goes on swallowing what its ends still send.
pub const CLOSE_LINGER: Duration = Duration::from_secs(1);
/// Bytes taken by one read.
const READ_BYTES: usize = 16 * 1024;

/// Carries a new connection of a device: asks the link, connects to the server, pumps until both ends are done.
/// `connect` is not polled if the link refuses.
pub async fn carry<C: Transport, S: Transport>(
    line: &Line,
    client: C,
    connect: impl Future<Output = io::Result<S>>,
    splitters: [Box<dyn Splitter>; 2],
) {
    let Ok((id, bell)) = line.connect() else {
        client.reset();
        return;
    };
    let mut carried = Carried { line, id, unparsed_bytes: 0 };
    match connect.await {
        Ok(server) => carried.unparsed_bytes = pump(line, (id, bell), client, server, splitters).await,
        Err(error) => {
            line.tell(Happened::Unreachable { why: error.to_string() });
            client.reset();
        }
    }
}

/// Says that a connection is over, also when its task is stopped.
struct Carried<'a> {
    line: &'a Line,
    id: ConnectionId,
    unparsed_bytes: u64,
}

impl Drop for Carried<'_> {
    fn drop(&mut self) {
        self.line.forget(self.id, self.unparsed_bytes);
    }
}

/// Pumps one connection until both ends are done; gives the bytes that passed without being understood.
pub async fn pump<C: Transport, S: Transport>(
    line: &Line,
    (id, bell): (ConnectionId, Arc<Notify>),
    client: C,
    server: S,
    [up, down]: [Box<dyn Splitter>; 2],
) -> u64 {
    // A socket that cannot be told is gone, and reading will say so.
    let _gone = (client.set_no_delay(), server.set_no_delay());
    let mut client = End::new(client, up, Way::Up);
    let mut server = End::new(server, down, Way::Down);
    let mut scratch = vec![0; READ_BYTES];
    let mut timer = pin!(sleep(Duration::ZERO));
    let mut lingers_until: Option<tokio::time::Instant> = None;
    loop {
        let turn = line.with(|link, now_ns| {
            link.tick(now_ns);
            client.feed(link, now_ns, id);
            server.feed(link, now_ns, id);
            let mut is_reset = false;
            while let Some(effect) = link.poll_effect(id) {
                match effect {
                    Effect::Forward { way: Way::Up, bytes, .. } => server.outbox.push(bytes),
                    Effect::Forward { way: Way::Down, bytes, .. } => client.outbox.push(bytes),
                    Effect::End { way: Way::Up } => server.outbox.is_ending = true,
                    Effect::End { way: Way::Down } => client.outbox.is_ending = true,
                    Effect::Reset => is_reset = true,
                }
            }
            Turn {
                is_reset,
                is_over: link.is_over(id),
                reads: WAYS.map(|way| link.is_reading(now_ns, id, way)),
                wait: link
                    .next_timeout(now_ns, id)
                    .map(|at_ns| Duration::from_nanos(at_ns.saturating_sub(now_ns))),
            }
        });
        if turn.is_reset {
            let unparsed_bytes = client.splitter.unparsed_bytes() + server.splitter.unparsed_bytes();
            client.stream.reset();
            server.stream.reset();
            return unparsed_bytes;
        }
        if turn.is_over && client.is_written() && server.is_written() {
            let has_ended = client.outbox.is_ended && server.outbox.is_ended;
            if has_ended && lingers_until.is_none() {
                lingers_until = Some(tokio::time::Instant::now() + CLOSE_LINGER);
            }
            let is_patient = lingers_until.is_none_or(|until| tokio::time::Instant::now() < until);
            if (client.is_silent && server.is_silent) || !is_patient {
                return client.splitter.unparsed_bytes() + server.splitter.unparsed_bytes();
            }
        }
        let linger = lingers_until.map(|until| until - tokio::time::Instant::now());
        let wait = [turn.wait, linger].into_iter().flatten().min();
        if let Some(wait) = wait {
            rearm(timer.as_mut(), tokio::time::Instant::now() + wait);
        }
        tokio::select! {
            biased;
            () = bell.notified() => {}
            () = poll_fn(|cx| {
                let reads = [turn.reads[0] && server.has_room(), turn.reads[1] && client.has_room()];
                let client_moved = client.poll(cx, reads[0], &mut scratch);
                let server_moved = server.poll(cx, reads[1], &mut scratch);
                if client_moved || server_moved { Poll::Ready(()) } else { Poll::Pending }
            }) => {}
            () = timer.as_mut(), if wait.is_some() => {}
        }
    }
}

/// What the link wants until it is asked again.
struct Turn {
    is_reset: bool,
    is_over: bool,
    reads: [bool; 2],
    wait: Option<Duration>,
}

/// One end of the connection.
struct End<T> {
    stream: T,
    splitter: Box<dyn Splitter>,
    /// Where what it sends goes.
    way: Way,
    /// Read, not yet split.
    inbox: BytesMut,
    pieces: Vec<Piece>,
    outbox: Outbox,
    /// It sends no more: it ended its stream, or is gone.
    is_silent: bool,
    /// It takes nothing more. What it had sent before can still be read.
    is_deaf: bool,
    /// It is gone.
    is_broken: bool,
    /// The link was told of its silence.
    was_told: bool,
}

/// What is to be written to an end.
#[derive(Default)]
struct Outbox {
    queue: VecDeque<Bytes>,
    bytes: usize,
    /// The stream is to be ended after it.
    is_ending: bool,
    /// The stream was ended.
    is_ended: bool,
}

impl Outbox {
    fn push(&mut self, bytes: Bytes) {
        self.bytes += bytes.len();
        self.queue.push_back(bytes);
    }

    /// Nobody takes it.
    fn clear(&mut self) {
        self.queue.clear();
        self.bytes = 0;
    }
}

impl<T: Transport> End<T> {
    fn new(stream: T, splitter: Box<dyn Splitter>, way: Way) -> Self {
        Self {
            stream,
            splitter,
            way,
            inbox: BytesMut::new(),
            pieces: Vec::new(),
            outbox: Outbox::default(),
            is_silent: false,
            is_deaf: false,
            is_broken: false,
            was_told: false,
        }
    }

    /// Hands the link what was read.
    fn feed(&mut self, link: &mut crate::link::Link, now_ns: u64, id: ConnectionId) {
        if self.is_silent {
            self.splitter.finish(&mut self.inbox, &mut self.pieces);
        } else if !self.inbox.is_empty() {
            self.splitter.split(&mut self.inbox, &mut self.pieces);
        }
        for piece in self.pieces.drain(..) {
            link.receive(now_ns, id, self.way, piece);
        }
        if self.is_broken && !self.was_told {
            self.was_told = true;
            link.broken(now_ns, id, self.way);
        } else if self.is_silent && !self.was_told {
            link.end_of_stream(now_ns, id, self.way);
            self.was_told = true;
        }
    }

    /// Whether everything that is to be written was written, or never can be.
    fn is_written(&self) -> bool {
        self.is_broken || (self.outbox.queue.is_empty() && (self.outbox.is_ended || !self.outbox.is_ending))
    }

    fn has_room(&self) -> bool {
        self.outbox.bytes < OUTBOX_BYTES_MAX
    }

    /// Writes and reads what it can; `true` if the link has to look.
    fn poll(&mut self, cx: &mut Context<'_>, reads: bool, scratch: &mut [u8]) -> bool {
        if self.is_broken {
            return false;
        }
        let was_written = self.is_written();
        let had_room = self.has_room();
        if self.is_deaf {
            self.outbox.clear();
        } else if let Poll::Ready(Err(_)) = self.poll_write(cx) {
            self.is_deaf = true;
            self.outbox.clear();
        }
        let mut has_moved = (self.is_written() && !was_written) || (self.has_room() && !had_room);
        if reads && !self.is_silent {
            let mut buffer = ReadBuf::new(scratch);
            match Pin::new(&mut self.stream).poll_read(cx, &mut buffer) {
                Poll::Pending => {}
                Poll::Ready(Err(_)) => return self.breaks(),
                Poll::Ready(Ok(())) => {
                    self.is_silent = buffer.filled().is_empty();
                    if self.is_silent && self.is_deaf {
                        return self.breaks();
                    }
                    self.inbox.extend_from_slice(buffer.filled());
                    has_moved = true;
                }
            }
        }
        has_moved
    }

    fn breaks(&mut self) -> bool {
        self.is_broken = true;
        self.is_silent = true;
        self.was_told = false;
        self.outbox.clear();
        true
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { stream, outbox, .. } = self;
        let mut stream = Pin::new(stream);
        let mut has_written = false;
        while let Some(front) = outbox.queue.front_mut() {
            let written = match stream.as_mut().poll_write(cx, front) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(written)) => written,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            };
            has_written = true;
            front.advance(written);
            outbox.bytes -= written;
            if front.is_empty() {
                outbox.queue.pop_front();
            }
        }
        if has_written {
            std::task::ready!(stream.as_mut().poll_flush(cx))?;
        }
        if outbox.is_ending && !outbox.is_ended {
            std::task::ready!(stream.poll_shutdown(cx))?;
            outbox.is_ended = true;
        }
        Poll::Ready(Ok(()))
    }
}
