//! Moves the bytes of one connection between two streams, as its link says.
//!
//! Generic over the streams, so that simulated and real connections are carried by the same code. Everything is
//! polled in one fixed order; on a single-threaded runtime with a paused clock a run repeats exactly.
//!
//! The link is asked once for what a wake brings: after the bell rang, the timer came, or an end moved. That, one read and
//! one write are what a message costs.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::sync::futures::Notified;
use tokio::time::{Instant, Sleep, sleep};

use super::busy_wait::BusyWait;
use super::end::End;
use super::line::{Carriage, Happened, Line};
use super::splitter::Splitter;
use super::transport::Transport;
use crate::client::rearm;
use crate::link::{ConnectionId, Effect, WAYS, Way};
use crate::toxics::Passed;

/// How long a connection that a fault ended politely goes on swallowing what its ends still send.
pub const CLOSE_LINGER: Duration = Duration::from_secs(1);

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
    let client = End::new(client, up, Way::Up);
    let server = End::new(server, down, Way::Down);
    let mut pump = Pump {
        line,
        id,
        client,
        server,
        slices: Default::default(),
        turn: Turn::default(),
        lingers_until: None,
        busy_wait: line.busy_wait(),
    };
    let mut alarm = Alarm { bell: &bell, rings: pin!(bell.notified()), timer: pin!(sleep(Duration::ZERO)) };
    let is_reset = poll_fn(|cx| pump.poll(cx, &mut alarm)).await;
    let Pump { client, server, .. } = pump;
    let unparsed_bytes = client.splitter.unparsed_bytes() + server.splitter.unparsed_bytes();
    if is_reset {
        client.stream.reset();
        server.stream.reset();
    }
    unparsed_bytes
}

/// A connection on its way.
struct Pump<'a, C, S> {
    line: &'a Line,
    id: ConnectionId,
    client: End<C>,
    server: End<S>,
    slices: [Slices; 2],
    turn: Turn,
    lingers_until: Option<Instant>,
    busy_wait: Option<BusyWait>,
}

/// Tells slices from whole pieces, by what the link says of their ends.
#[derive(Default)]
struct Slices {
    is_within: bool,
}

impl Slices {
    /// Whether bytes are only a part of their piece.
    fn is_part(&mut self, is_last: bool) -> bool {
        std::mem::replace(&mut self.is_within, !is_last) || !is_last
    }
}

/// What the link wants until it is asked again.
#[derive(Default)]
struct Turn {
    was_asked: bool,
    is_reset: bool,
    is_over: bool,
    reads: [bool; 2],
    wait: Option<Duration>,
}

impl<C: Transport, S: Transport> Pump<'_, C, S> {
    /// Ready when the connection is over; says whether it ends with a reset.
    fn poll(&mut self, cx: &mut Context<'_>, alarm: &mut Alarm<'_, '_>) -> Poll<bool> {
        if let Some(busy_wait) = &mut self.busy_wait {
            busy_wait.begin_turn();
        }
        let waits = self.turn.wait.is_some();
        let mut asks = alarm.has_come(cx, waits) || !self.turn.was_asked;
        loop {
            if asks {
                self.ask();
                if self.turn.is_reset || self.is_done() {
                    return Poll::Ready(self.turn.is_reset);
                }
                if let Some(wait) = self.wait() {
                    self.turn.wait = Some(wait);
                    rearm(alarm.timer.as_mut(), Instant::now() + wait);
                    if alarm.timer.as_mut().poll(cx).is_ready() {
                        continue;
                    }
                }
            }
            let reads =
                [self.turn.reads[0] && self.server.has_room(), self.turn.reads[1] && self.client.has_room()];
            let client_moved = self.client.poll(cx, reads[0]);
            let server_moved = self.server.poll(cx, reads[1]);
            self.count();
            if !client_moved && !server_moved {
                self.wait_busily(reads);
                return Poll::Pending;
            }
            asks = true;
        }
    }

    fn count(&mut self) {
        let (from_client, to_client) = self.client.take_counts();
        let (from_server, to_server) = self.server.take_counts();
        self.line.meter().add(Way::Up, from_client, to_server);
        self.line.meter().add(Way::Down, from_server, to_client);
        if let Some(busy_wait) = &mut self.busy_wait {
            busy_wait.has_read(Way::Up, from_client);
            busy_wait.has_read(Way::Down, from_server);
        }
    }

    /// Not while somebody takes nothing, something waits for its time, or the link does not read: then more bytes would not help.
    fn wait_busily(&mut self, reads: [bool; 2]) {
        let Self { busy_wait: Some(busy_wait), client, server, turn, .. } = self else { return };
        if turn.wait.is_none() && client.is_written() && server.is_written() {
            busy_wait.wait(|way| match way {
                Way::Up => !reads[0] || client.stream.is_readable(),
                Way::Down => !reads[1] || server.stream.is_readable(),
            });
        }
    }

    /// Hands the link what was read, and takes what it says.
    fn ask(&mut self) {
        let Self { line, id, client, server, slices, turn, .. } = self;
        let id = *id;
        *turn = line.with(|Carriage { link, toxics }, now_ns| {
            link.tick(now_ns);
            client.feed(link, now_ns, id);
            server.feed(link, now_ns, id);
            let mut is_reset = false;
            while let Some(effect) = link.poll_effect(id) {
                match effect {
                    Effect::Reset => is_reset = true,
                    Effect::Forward { way, bytes, is_last } => {
                        let is_slice = slices[way as usize].is_part(is_last);
                        toxics.receive(now_ns, way, Passed::Bytes(bytes, is_slice));
                    }
                    Effect::End { way } => toxics.receive(now_ns, way, Passed::End),
                }
            }
            while let Some((way, passed)) = toxics.poll(now_ns) {
                let (near, far) = match way {
                    Way::Up => (&mut client.outbox, &mut server.outbox),
                    Way::Down => (&mut server.outbox, &mut client.outbox),
                };
                match passed {
                    Passed::Bytes(bytes, is_slice) => far.push(bytes, is_slice),
                    Passed::End => far.is_ending = true,
                    Passed::Close => {
                        link.abandon();
                        (near.is_ending, far.is_ending) = (true, true);
                    }
                    Passed::Reset => is_reset = true,
                }
            }
            let next_ns = link.next_timeout(now_ns, id).into_iter().chain(toxics.next_timeout()).min();
            Turn {
                was_asked: true,
                is_reset,
                is_over: link.is_over(id) && toxics.is_empty(),
                reads: WAYS.map(|way| link.is_reading(now_ns, id, way) && toxics.is_reading(way)),
                wait: next_ns.map(|at_ns| Duration::from_nanos(at_ns.saturating_sub(now_ns))),
            }
        });
    }

    /// Whether nothing is left to be done. After a polite end by a fault, what the ends still send is swallowed for a while.
    fn is_done(&mut self) -> bool {
        if !(self.turn.is_over && self.client.is_written() && self.server.is_written()) {
            return false;
        }
        if self.client.outbox.is_ended && self.server.outbox.is_ended && self.lingers_until.is_none() {
            self.lingers_until = Some(Instant::now() + CLOSE_LINGER);
        }
        let is_patient = self.lingers_until.is_none_or(|until| Instant::now() < until);
        (self.client.is_silent && self.server.is_silent) || !is_patient
    }

    /// How long nothing is to be done unless something comes.
    fn wait(&self) -> Option<Duration> {
        let linger = self.lingers_until.map(|until| until - Instant::now());
        [self.turn.wait, linger].into_iter().flatten().min()
    }
}

/// What wakes a pump besides its streams.
struct Alarm<'pinned, 'bell> {
    bell: &'bell Notify,
    rings: Pin<&'pinned mut Notified<'bell>>,
    timer: Pin<&'pinned mut Sleep>,
}

impl Alarm<'_, '_> {
    /// Whether the bell rang or the time came since the link was asked.
    fn has_come(&mut self, cx: &mut Context<'_>, waits: bool) -> bool {
        let has_rung = self.poll_bell(cx).is_ready();
        let is_time = waits && self.timer.as_mut().poll(cx).is_ready();
        has_rung || is_time
    }

    fn poll_bell(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        ready!(self.rings.as_mut().poll(cx));
        self.rings.set(self.bell.notified());
        // Waits for the next ring from here on.
        if self.rings.as_mut().poll(cx).is_ready() {
            self.rings.set(self.bell.notified());
            cx.waker().wake_by_ref();
        }
        Poll::Ready(())
    }
}
