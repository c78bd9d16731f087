//! Everything between one device and the server: its link, and the two ends of each of its connections.
//!
//! What a fault means is the [`Link`]'s affair. Here is what sockets do around it, as far as a protocol can tell:
//! a handshake that has to pass both ways, buffers that fill, the polite and the rude end of a connection.
//! There is no WebSocket: a piece on the link is one whole frame of the protocol, or the handshake.

use bytes::{Bytes, BytesMut};

use super::arrival::{Arrival, News};
use super::outbox::Outbox;
use crate::client::{CONNECT_NS_MAX, OUTGOING_FRAMES_MAX};
use crate::link::{Class, ConnectionId, Effect, Link, Piece, Refused, Settings, WAYS, Way};
use crate::world::proxy::OUTBOX_BYTES_MAX;

/// What the server gives a connection to complete its handshake, and to take its last frames. Nanoseconds.
const HANDSHAKE_NS_MAX: u64 = avouch_server::serve::HANDSHAKE_TIMEOUT.as_nanos() as u64;
const CLOSE_NS_MAX: u64 = avouch_server::serve::CLOSE_TIMEOUT.as_nanos() as u64;

/// The sizes of a WebSocket upgrade and its answer, for cuts at a byte and slow links.
const UPGRADE: Bytes = Bytes::from_static(&[b'?'; 150]);
const UPGRADED: Bytes = Bytes::from_static(&[b'!'; 129]);

/// One device's link with its connections.
pub(super) struct Line {
    pub(super) link: Link,
    wires: Vec<Wire>,
    untaken_max: usize,
    /// Something besides the link changed since the last turn, or waits for the link to read on.
    is_stirred: bool,
}

/// One connection.
struct Wire {
    id: ConnectionId,
    /// What the server's process calls it; 0 = it does not know it yet.
    peer: u64,
    /// The device's, the server's: by the way on which an end sends.
    ends: [End; 2],
}

/// One end of a connection.
#[derive(Default)]
struct End {
    state: State,
    /// Sent, not on the link yet.
    outbox: Outbox,
    /// Arrived, but not all of its frame.
    partial: BytesMut,
    /// Arrived and not read yet. Bytes.
    unread_bytes: usize,
    /// A handshake or a farewell takes no longer than this.
    until_ns: Option<u64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// The other end's part of the handshake has not arrived.
    #[default]
    Shaking,
    Open,
    /// It ends when everything it sent is on its way.
    Leaving,
    Gone,
}

/// What became of a frame that an end sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// The socket has it.
    Taken,
    /// It waits for room; [`News::Taken`] follows.
    Waits,
    /// Too many wait; the frame is lost, and the connection is not worth keeping.
    Overflow,
    /// There is no such connection any more.
    Nowhere,
}

impl Line {
    /// A line without connections. `untaken_max`: frames that may wait at the server's end.
    pub(super) fn new(settings: Settings, untaken_max: usize) -> Self {
        Self { link: Link::new(settings), wires: Vec::new(), untaken_max, is_stirred: false }
    }

    /// The device connects: its part of the handshake leaves.
    pub(super) fn dial(&mut self, now_ns: u64) -> Result<ConnectionId, Refused> {
        let id = self.link.connect(now_ns)?;
        let mut ends = [End::default(), End::default()];
        ends[0].until_ns = Some(now_ns + CONNECT_NS_MAX);
        ends[1].until_ns = Some(now_ns + HANDSHAKE_NS_MAX);
        ends[0].outbox.push(piece(UPGRADE, Class::Control));
        self.wires.push(Wire { id, peer: 0, ends });
        self.is_stirred = true;
        Ok(id)
    }

    /// The server answers the handshake, and calls the connection `peer` from now on; `false` if it is gone already.
    pub(super) fn answer(&mut self, wire: ConnectionId, peer: u64) -> bool {
        let Some(wire) = self.wire(wire).filter(|wire| wire.ends[1].state == State::Shaking) else {
            return false;
        };
        wire.peer = peer;
        wire.ends[1].open();
        wire.ends[1].outbox.push(piece(UPGRADED, Class::Control));
        self.is_stirred = true;
        true
    }

    /// Whether both ends may send.
    pub(super) fn is_open(&self, wire: ConnectionId, way: Way) -> bool {
        self.wires.iter().any(|of| of.id == wire && of.ends[way as usize].state == State::Open)
    }

    /// One end sends a frame.
    pub(super) fn send(&mut self, now_ns: u64, wire: ConnectionId, way: Way, frame: Bytes) -> Sent {
        let limit = if way == Way::Up { OUTGOING_FRAMES_MAX } else { self.untaken_max };
        let Some(at) = self.wires.iter().position(|of| of.id == wire) else { return Sent::Nowhere };
        let end = &mut self.wires[at].ends[way as usize];
        if matches!(end.state, State::Leaving | State::Gone) {
            return Sent::Nowhere;
        }
        if end.outbox.pieces.is_empty()
            && self.wires[at].has_room(way)
            && self.link.is_reading(now_ns, wire, way)
        {
            self.link.receive(now_ns, wire, way, piece(frame, Class::Data));
            return Sent::Taken;
        }
        let outbox = &mut self.wires[at].ends[way as usize].outbox;
        if outbox.pieces.len() - outbox.taken >= limit {
            return Sent::Overflow;
        }
        let taken = outbox.push(piece(frame, Class::Data));
        self.is_stirred = true;
        if taken > 0 { Sent::Taken } else { Sent::Waits }
    }

    /// An end read what had arrived.
    pub(super) fn read(&mut self, wire: ConnectionId, way: Way, bytes: usize) {
        if let Some(wire) = self.wire(wire) {
            let end = &mut wire.ends[way.opposite() as usize];
            end.unread_bytes = end.unread_bytes.saturating_sub(bytes);
        }
    }

    /// An end leaves after what it sent.
    pub(super) fn leave(&mut self, now_ns: u64, wire: ConnectionId, way: Way) {
        let patience_ns = if way == Way::Up { CONNECT_NS_MAX } else { CLOSE_NS_MAX };
        self.is_stirred = true;
        if let Some(wire) = self.wire(wire) {
            let end = &mut wire.ends[way as usize];
            if matches!(end.state, State::Shaking | State::Open) {
                end.state = State::Leaving;
                end.until_ns = Some(now_ns + patience_ns);
            }
        }
    }

    /// An end drops its socket: what the socket has not taken is lost, what it has taken still leaves.
    pub(super) fn drop_end(&mut self, now_ns: u64, wire: ConnectionId, way: Way) {
        self.forget_untaken(wire, way);
        self.leave(now_ns, wire, way);
    }

    /// An end stops sending what its socket has not taken.
    pub(super) fn forget_untaken(&mut self, wire: ConnectionId, way: Way) {
        self.is_stirred = true;
        if let Some(wire) = self.wire(wire) {
            let outbox = &mut wire.ends[way as usize].outbox;
            outbox.pieces.truncate(outbox.taken);
        }
    }

    /// The server's process is gone with all its sockets.
    pub(super) fn break_server(&mut self, now_ns: u64) {
        self.is_stirred = true;
        for wire in &mut self.wires {
            if wire.ends[1].state != State::Gone {
                wire.ends[1].go();
                self.link.broken(now_ns, wire.id, Way::Down);
            }
        }
    }

    /// Whether the server still has a socket here.
    pub(super) fn has_server_ends(&self) -> bool {
        self.wires.iter().any(|wire| wire.ends[1].state != State::Gone)
    }

    /// Does what is due until nothing moves, and says what arrived. Call again after acting on it.
    pub(super) fn turn(&mut self, now_ns: u64, arrivals: &mut Vec<Arrival>) {
        self.link.tick(now_ns);
        if self.is_stirred || self.is_late(now_ns) || !self.only_frames_arrive(arrivals) {
            self.turn_over(now_ns, arrivals);
        }
    }

    /// Nearly always: no end has anything to do, and the link hands frames out. `false` at the first thing that may be more.
    fn only_frames_arrive(&mut self, arrivals: &mut Vec<Arrival>) -> bool {
        for wire in &mut self.wires {
            while let Some(effect) = self.link.poll_effect(wire.id) {
                let is_frame = matches!(effect, Effect::Forward { .. });
                wire.take(effect, arrivals);
                if !is_frame {
                    return false;
                }
            }
        }
        true
    }

    fn turn_over(&mut self, now_ns: u64, arrivals: &mut Vec<Arrival>) {
        loop {
            let mut moved = false;
            for wire in &mut self.wires {
                for way in WAYS {
                    moved |= wire.feed(now_ns, way, &mut self.link, arrivals);
                }
                // What arrives gives the link nothing to do: only what is fed to it does.
                while let Some(effect) = self.link.poll_effect(wire.id) {
                    wire.take(effect, arrivals);
                }
            }
            if !moved {
                break;
            }
        }
        let link = &mut self.link;
        self.wires.retain(|wire| {
            let is_over = wire.ends.iter().all(|end| end.state == State::Gone);
            if is_over {
                link.forget(wire.id);
            }
            !is_over
        });
        self.is_stirred = self.wires.iter().flat_map(|wire| &wire.ends).any(End::has_plans);
    }

    /// Until when there is nothing to do here, `u64::MAX` = until somebody does something; `None`: [`Line::turn`] has to look.
    /// So whoever sent a frame on a link that took it need not turn the whole line over.
    pub(super) fn rests_until_ns(&self, now_ns: u64) -> Option<u64> {
        if self.is_stirred || self.is_late(now_ns) {
            return None;
        }
        self.link.rests_until_ns(now_ns)
    }

    /// Whether an end has waited for as long as it may.
    fn is_late(&self, now_ns: u64) -> bool {
        let mut ends = self.wires.iter().flat_map(|wire| &wire.ends);
        ends.any(|end| end.until_ns.is_some_and(|until_ns| until_ns <= now_ns))
    }

    /// When [`Line::turn`] is wanted.
    pub(super) fn next_timeout_ns(&self, now_ns: u64) -> Option<u64> {
        let of_wire = |wire: &Wire| {
            let link = self.link.next_timeout(now_ns, wire.id);
            link.into_iter().chain(wire.ends.iter().filter_map(|end| end.until_ns)).min()
        };
        self.wires.iter().filter_map(of_wire).min()
    }

    fn wire(&mut self, wire: ConnectionId) -> Option<&mut Wire> {
        self.wires.iter_mut().find(|of| of.id == wire)
    }
}

impl Wire {
    /// Whether the end where the way arrives can take more.
    fn has_room(&self, way: Way) -> bool {
        self.ends[way.opposite() as usize].unread_bytes < OUTBOX_BYTES_MAX
    }

    /// Hands the link what an end has sent; `true` if something moved.
    fn feed(&mut self, now_ns: u64, way: Way, link: &mut Link, arrivals: &mut Vec<Arrival>) -> bool {
        let has_room = self.has_room(way);
        let end = &mut self.ends[way as usize];
        if end.state == State::Open && end.until_ns.is_none() && end.outbox.pieces.is_empty() {
            return false; // nearly always: it has sent what it had
        }
        let mut moved = false;
        if end.until_ns.is_some_and(|until_ns| until_ns <= now_ns) {
            end.until_ns = None;
            moved = true;
            if end.state == State::Shaking {
                // The end gives up: it is told, and its socket goes.
                arrivals.push(Arrival::of(self.id, self.peer, way.opposite(), News::Late));
                end.outbox = Outbox::default();
                end.state = State::Leaving;
            } else if end.state == State::Leaving {
                end.go();
                link.broken(now_ns, self.id, way);
            }
        }
        let mut taken = 0;
        while has_room && !end.outbox.pieces.is_empty() && link.is_reading(now_ns, self.id, way) {
            if let Some((piece, newly_taken)) = end.outbox.pop() {
                moved = true;
                taken += newly_taken;
                link.receive(now_ns, self.id, way, piece);
            }
        }
        if taken > 0 {
            arrivals.push(Arrival::of(self.id, self.peer, way, News::Taken(taken)));
        }
        if end.state == State::Leaving && end.outbox.pieces.is_empty() {
            end.go();
            moved = true;
            link.end_of_stream(now_ns, self.id, way);
        }
        moved
    }

    /// Something reaches an end, or both.
    fn take(&mut self, effect: Effect, arrivals: &mut Vec<Arrival>) {
        match effect {
            Effect::Forward { way, bytes, is_last } => {
                let end = &mut self.ends[way.opposite() as usize];
                if let Some(frame) = end.assemble(bytes, is_last) {
                    end.unread_bytes += if way == Way::Up { frame.len() } else { 0 };
                    let news = match end.state {
                        State::Shaking => News::Shaken,
                        State::Open => News::Frame(frame),
                        State::Leaving | State::Gone => return,
                    };
                    if way == Way::Down && news == News::Shaken {
                        end.open();
                    }
                    arrivals.push(Arrival::of(self.id, self.peer, way, news));
                }
            }
            Effect::End { way } => self.tell(way, News::End, arrivals),
            Effect::Reset => {
                for way in WAYS {
                    self.tell(way, News::Reset, arrivals);
                    self.ends[way.opposite() as usize].go();
                }
            }
        }
    }

    fn tell(&self, way: Way, news: News, arrivals: &mut Vec<Arrival>) {
        if self.ends[way.opposite() as usize].state != State::Gone {
            arrivals.push(Arrival::of(self.id, self.peer, way, news));
        }
    }
}

impl End {
    fn open(&mut self) {
        self.state = State::Open;
        self.until_ns = None;
    }

    fn go(&mut self) {
        *self = Self { state: State::Gone, ..Self::default() };
    }

    /// Whether it has something to send or an end to make, and only waits for the link.
    fn has_plans(&self) -> bool {
        self.state == State::Leaving || !self.outbox.pieces.is_empty()
    }

    /// A frame is there when its last bytes are.
    fn assemble(&mut self, bytes: Bytes, is_last: bool) -> Option<Bytes> {
        if is_last && self.partial.is_empty() {
            return Some(bytes);
        }
        self.partial.extend_from_slice(&bytes);
        is_last.then(|| self.partial.split().freeze())
    }
}

fn piece(bytes: Bytes, class: Class) -> Piece {
    let kind = (class == Class::Data).then(|| avouch_engine::codec::kind_name_of(&bytes)).flatten();
    Piece { bytes, class, kind, head_bytes: 0 }
}
