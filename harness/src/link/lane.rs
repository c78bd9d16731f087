//! What is on the way: one queue per connection and direction, and the road that they share.

use std::collections::VecDeque;

use avouch_scenarios::keyed::Purpose;
use avouch_scenarios::plan::{CutHow, Edge, LinkShape};
use bytes::Bytes;

use super::delay::Ahead;
use super::ordinals::Frame;
use super::{Class, ConnectionId, Effect, HELD_FRAMES_MAX, LANE_BYTES_MAX, LANE_FRAMES_MAX, Piece, Way};

/// A frame that passes, on a connection, at a time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Passing {
    pub(super) now_ns: u64,
    pub(super) id: ConnectionId,
    pub(super) frame: Frame,
    /// The rest of it was cut off.
    pub(super) is_clipped: bool,
}

/// One connection.
#[derive(Debug)]
pub(super) struct Connection {
    /// Up, down.
    pub(super) lanes: [Lane; 2],
    /// To be done, in order.
    pub(super) effects: VecDeque<Effect>,
    /// It was reset; nothing follows.
    pub(super) is_reset: bool,
    /// A fault ended it.
    pub(super) is_cut: bool,
}

impl Connection {
    pub(super) fn new(now_ns: u64) -> Self {
        let lane = || Lane { last_due_ns: now_ns, ..Lane::default() };
        Self { lanes: [lane(), lane()], effects: VecDeque::new(), is_reset: false, is_cut: false }
    }

    pub(super) fn lane(&mut self, way: Way) -> &mut Lane {
        &mut self.lanes[way.index()]
    }

    /// Loses what is on the way and resets both ends.
    pub(super) fn reset(&mut self) {
        if !self.is_reset {
            self.is_reset = true;
            self.lanes.iter_mut().for_each(Lane::kill);
            self.effects.push_back(Effect::Reset);
        }
    }
}

/// One direction of a connection.
#[derive(Debug, Default)]
pub(super) struct Lane {
    /// On the way, by rising due time.
    pub(super) queue: VecDeque<Item>,
    /// Held back to be overtaken, by rising ordinal.
    pub(super) held: Vec<Held>,
    /// Bytes in both.
    pub(super) queued_bytes: usize,
    /// Nothing leaves before this, so that order is kept.
    pub(super) last_due_ns: u64,
    /// Bytes taken so far.
    pub(super) read_bytes: u64,
    /// Everything is swallowed, for ever.
    pub(super) is_dead: bool,
    /// A partition swallowed something.
    pub(super) has_lost: bool,
    /// The end of the stream is queued: nothing more is taken.
    pub(super) is_closing: bool,
    /// The frame in front waits for a node fault.
    pub(super) node_hold: Option<NodeHold>,
    /// Rules whose fault was to start at a frame that was lost on the way.
    pub(super) lost_starts: Vec<usize>,
}

/// A frame waits for a node fault to be carried out.
#[derive(Clone, Copy, Debug)]
pub(super) struct NodeHold {
    /// The planned fault.
    pub(super) fault: u32,
    /// It waits no longer than this.
    pub(super) until_ns: u64,
}

/// Something on the way.
#[derive(Debug)]
pub(super) struct Item {
    /// When it leaves.
    pub(super) due_ns: u64,
    /// When it would leave if no fault delayed it.
    pub(super) due_without_faults_ns: u64,
    /// What it is.
    pub(super) what: What,
}

/// What can be on the way.
#[derive(Debug)]
pub(super) enum What {
    /// Bytes, in one write each; and whether their piece ends with them.
    Bytes(Bytes, bool),
    /// The sender will send no more.
    End,
    /// The sender is gone.
    Reset,
    /// The connection ends here, because of a rule, at a frame.
    Cut { rule: usize, how: CutHow, frame: u64 },
    /// A triggered fault starts here, at a frame of this ordinal.
    Start { rule: usize, frame: u64, edge: Edge },
}

/// A frame that is held back.
#[derive(Debug)]
pub(super) struct Held {
    /// The rule that holds it.
    pub(super) rule: usize,
    /// No longer than this.
    pub(super) until_ns: u64,
    /// So many frames may still overtake it.
    pub(super) overtakers_left: u32,
    /// Its place in the run.
    pub(super) frame: Frame,
    /// The frame.
    pub(super) piece: Piece,
}

impl Lane {
    /// Loses what is on the way and all that follows.
    pub(super) fn kill(&mut self) {
        self.is_dead = true;
        self.clear();
    }

    /// Loses what is on the way; says whether there was anything.
    pub(super) fn clear(&mut self) -> bool {
        let had_any = !self.queue.is_empty() || !self.held.is_empty();
        let starts = self.queue.drain(..).filter_map(|item| match item.what {
            What::Start { rule, .. } => Some(rule),
            _ => None,
        });
        self.lost_starts.extend(starts);
        self.held.clear();
        self.queued_bytes = 0;
        self.node_hold = None;
        had_any
    }

    /// Whether what arrives is thrown away.
    pub(super) fn swallows(&self) -> bool {
        self.is_dead || self.is_closing
    }

    /// Whether what is due has to wait. `stalls`: a stall is in force on this way.
    pub(super) fn is_gated(&self, now_ns: u64, stalls: bool) -> bool {
        self.node_hold.is_some_and(|hold| hold.until_ns > now_ns) || (stalls && !self.is_dead)
    }

    /// Whether the sender has to wait.
    pub(super) fn is_full(&self) -> bool {
        self.queued_bytes >= LANE_BYTES_MAX || self.queue.len() >= LANE_FRAMES_MAX
    }

    /// Whether one more frame can be held back.
    pub(super) fn can_hold(&self) -> bool {
        self.held.len() < HELD_FRAMES_MAX
    }

    /// Queues something that takes no time of its own behind everything else.
    pub(super) fn push(&mut self, now_ns: u64, what: What) {
        self.push_at(now_ns, now_ns, what);
    }

    /// Queues something, behind everything else.
    pub(super) fn push_at(&mut self, due_ns: u64, due_without_faults_ns: u64, what: What) {
        if let What::Bytes(bytes, _) = &what {
            self.queued_bytes += bytes.len();
        }
        let due_ns = due_ns.max(self.last_due_ns);
        self.last_due_ns = due_ns;
        self.queue.push_back(Item { due_ns, due_without_faults_ns: due_without_faults_ns.min(due_ns), what });
    }

    /// When something can leave next, unless it is gated; `u64::MAX` if there is nothing.
    pub(super) fn next_due_ns(&self) -> u64 {
        let first_ns = self.queue.front().map_or(u64::MAX, |item| item.due_ns);
        self.held.iter().map(|held| held.until_ns).fold(first_ns, u64::min)
    }

    /// Whether anything can leave by now, unless it is gated.
    pub(super) fn may_be_due(&self, now_ns: u64) -> bool {
        self.next_due_ns() <= now_ns
    }

    /// Takes what is due.
    pub(super) fn pop(&mut self, now_ns: u64) -> Option<What> {
        if self.queue.front()?.due_ns > now_ns {
            return None;
        }
        let item = self.queue.pop_front()?;
        if let What::Bytes(bytes, _) = &item.what {
            self.queued_bytes -= bytes.len();
        }
        Some(item.what)
    }

    /// Holds a frame back.
    pub(super) fn hold(&mut self, held: Held) {
        self.queued_bytes += held.piece.bytes.len();
        self.held.push(held);
    }

    /// Takes the first held frame that a condition picks.
    pub(super) fn release(&mut self, condition: impl Fn(&Held) -> bool) -> Option<Held> {
        let at = self.held.iter().position(condition)?;
        let held = self.held.remove(at);
        self.queued_bytes -= held.piece.bytes.len();
        Some(held)
    }

    /// Faults delay no more: everything leaves when it would have left without them.
    pub(super) fn hurry(&mut self, now_ns: u64) {
        let mut last_ns = now_ns;
        for item in &mut self.queue {
            item.due_ns = item.due_ns.min(item.due_without_faults_ns.max(last_ns));
            last_ns = item.due_ns;
        }
        self.last_due_ns = last_ns;
    }

    /// Everything up to the last cut of a rule leaves now.
    pub(super) fn hurry_cut(&mut self, now_ns: u64, rule: usize) {
        let is_cut = |item: &Item| matches!(item.what, What::Cut { rule: of, .. } if of == rule);
        if let Some(last) = self.queue.iter().rposition(is_cut) {
            self.queue.iter_mut().take(last + 1).for_each(|item| item.due_ns = item.due_ns.min(now_ns));
        }
    }
}

/// The link's own delay of a frame.
const BASE_DELAY: Purpose = Purpose::named("link-base-delay");

/// One direction of the device's access line, shared by its connections: delay and bottleneck.
#[derive(Debug)]
pub(super) struct Road {
    /// What it is like without faults.
    shape: LinkShape,
    /// Its delays: of data, control and raw bytes.
    delays: [Ahead; 3],
    free_ns: u64,
    free_without_faults_ns: u64,
}

impl Road {
    pub(super) fn new(seed: u64, device: u32, way: Way, shape: LinkShape) -> Self {
        let delays = [Class::Data, Class::Control, Class::Raw]
            .map(|class| Ahead::of(seed, BASE_DELAY, [u64::from(device), way as u64, class as u64]));
        Self { shape, delays, free_ns: 0, free_without_faults_ns: 0 }
    }

    /// How long it holds a frame without faults, apart from the bottleneck.
    pub(super) fn delay_ns(&mut self, frame: &Frame) -> u64 {
        self.delays[frame.class as usize].ns(self.shape.delay, frame.serial)
    }

    /// When so many bytes have passed the bottleneck: under a fault's limit, and without it.
    pub(super) fn pass(&mut self, now_ns: u64, bytes: usize, limit_bytes_per_s: Option<u64>) -> (u64, u64) {
        let own = self.shape.rate_bytes_per_s;
        let own_ns = takes_ns(bytes, own);
        let limited_ns = match limit_bytes_per_s {
            Some(limit) if own.is_none_or(|own| limit < own) => takes_ns(bytes, Some(limit)),
            _ => own_ns,
        };
        self.free_ns = self.free_ns.max(now_ns).saturating_add(limited_ns);
        self.free_without_faults_ns = self.free_without_faults_ns.max(now_ns).saturating_add(own_ns);
        (self.free_ns, self.free_without_faults_ns)
    }

    /// Until when the bottleneck's buffer is full.
    pub(super) fn congested_until_ns(&self) -> u64 {
        self.free_ns.saturating_sub(super::BACKLOG_NS_MAX)
    }

    /// A fault's limit is gone.
    pub(super) fn hurry(&mut self) {
        self.free_ns = self.free_ns.min(self.free_without_faults_ns);
    }
}

fn takes_ns(bytes: usize, bytes_per_s: Option<u64>) -> u64 {
    bytes_per_s.map_or(0, |rate| (bytes as u64).saturating_mul(1_000_000_000) / rate.max(1))
}
