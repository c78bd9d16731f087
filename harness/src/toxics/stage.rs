//! One toxic on one connection: what waits in it, and when it leaves.
//!
//! When something leaves is asked of the front of the queue only, from what the toxic is now: so a changed toxic acts on what
//! already waits, without anything to be done again.

use std::collections::VecDeque;

use avouch_scenarios::keyed::{Draws, below, unit};

use super::{Kind, Passed, Toxic};

const NS_PER_MS: u64 = 1_000_000;
/// A slow bottleneck passes what this time allows in one piece.
const BANDWIDTH_STEP_MS: u64 = 100;

/// See the module's header.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) name: String,
    kind: Kind,
    applies: bool,
    /// Decides about this toxic on this connection; its parts are positions in the stream.
    draws: Draws,
    queue: VecDeque<Waiting>,
    /// In the queue.
    pub(super) queued_bytes: usize,
    /// Since when it is here.
    began_ns: u64,
    /// Bytes that came.
    received_bytes: u64,
    /// Bytes that left.
    passed_bytes: u64,
    /// Nothing leaves before this: what left last, or the bottleneck, or the gap between slices.
    free_ns: u64,
    /// It swallowed something.
    has_lost: bool,
    /// What makes it end the connection has come: since when.
    ends_from_ns: Option<u64>,
    /// It ended the connection: nothing passes any more.
    pub(super) has_ended: bool,
}

/// What waits.
#[derive(Debug)]
struct Waiting {
    what: Passed,
    arrived_ns: u64,
    /// Where in the stream it begins.
    position: u64,
}

impl Stage {
    /// `draws` are those of this toxic on this connection.
    pub(super) fn new(toxic: &Toxic, draws: Draws, now_ns: u64) -> Self {
        Self {
            name: toxic.name.clone(),
            kind: toxic.kind,
            applies: applies(toxic, draws),
            draws,
            queue: VecDeque::new(),
            queued_bytes: 0,
            began_ns: now_ns,
            received_bytes: 0,
            passed_bytes: 0,
            free_ns: now_ns,
            has_lost: false,
            ends_from_ns: None,
            has_ended: false,
        }
    }

    /// Whether it concerns this connection.
    pub(super) fn applies(&self) -> bool {
        self.applies
    }

    /// Other attributes, or another toxicity.
    pub(super) fn change(&mut self, toxic: &Toxic) {
        self.kind = toxic.kind;
        self.applies = applies(toxic, self.draws);
    }

    /// So many things wait.
    pub(super) fn queued(&self) -> usize {
        self.queue.len()
    }

    /// Something arrives.
    pub(super) fn receive(&mut self, at_ns: u64, what: Passed) {
        if self.has_ended {
            return;
        }
        let bytes = if let Passed::Bytes(bytes, _) = &what { bytes.len() } else { 0 };
        let swallows = self.applies
            && match self.kind {
                Kind::ResetPeer { .. } => {
                    self.ends_from_ns.get_or_insert(at_ns);
                    true
                }
                Kind::Timeout { .. } => bytes > 0,
                _ => false,
            };
        if swallows {
            self.has_lost = true;
            return;
        }
        let position = self.received_bytes;
        self.received_bytes += bytes as u64;
        self.queued_bytes += bytes;
        self.queue.push_back(Waiting { what, arrived_ns: at_ns, position });
    }

    /// When something leaves next, by what is known now.
    pub(super) fn due_ns(&self) -> Option<u64> {
        let front = self.queue.front().and_then(|front| self.leaves_ns(front));
        [front, self.ends_ns()].into_iter().flatten().min()
    }

    /// What leaves by now, and when it did.
    pub(super) fn pop(&mut self, now_ns: u64) -> Option<(u64, Passed)> {
        if let Some(ends_ns) = self.ends_ns().filter(|ends_ns| *ends_ns <= now_ns) {
            let is_reset = matches!(self.kind, Kind::ResetPeer { .. });
            return Some((ends_ns, self.end(if is_reset { Passed::Reset } else { Passed::Close })));
        }
        let front = self.queue.front()?;
        let leaves_ns = self.leaves_ns(front).filter(|leaves_ns| *leaves_ns <= now_ns)?;
        self.free_ns = leaves_ns;
        let is_bytes = matches!(front.what, Passed::Bytes(..));
        match (self.applies, self.kind) {
            (true, Kind::LimitData { limit_bytes }) if is_bytes => {
                if self.passed_bytes >= limit_bytes {
                    return Some((leaves_ns, self.end(Passed::Close)));
                }
                let what = self.take();
                self.ends_from_ns = (self.passed_bytes >= limit_bytes).then_some(leaves_ns);
                Some((leaves_ns, what))
            }
            (true, Kind::Slicer { delay_us, .. }) => {
                let what = self.take();
                self.free_ns = leaves_ns.saturating_add(delay_us.saturating_mul(1_000));
                Some((leaves_ns, what))
            }
            _ => Some((leaves_ns, self.take())),
        }
    }

    /// The toxic is taken away: everything that waits, at once, and how the connection ends if it lost something.
    pub(super) fn dissolve(mut self) -> Vec<Passed> {
        let mut rest: Vec<Passed> = self.queue.drain(..).map(|waiting| waiting.what).collect();
        if self.has_lost && !self.has_ended {
            let is_reset = matches!(self.kind, Kind::ResetPeer { .. });
            rest.push(if is_reset { Passed::Reset } else { Passed::Close });
        }
        rest
    }

    /// When the toxic ends the connection by itself.
    fn ends_ns(&self) -> Option<u64> {
        if !self.applies || self.has_ended {
            return None;
        }
        let (from_ns, after_ms) = match self.kind {
            Kind::Timeout { timeout_ms } if timeout_ms > 0 => (self.began_ns, timeout_ms),
            Kind::ResetPeer { timeout_ms } => (self.ends_from_ns?, timeout_ms),
            Kind::LimitData { .. } => (self.ends_from_ns?, 0),
            _ => return None,
        };
        Some(from_ns.saturating_add(after_ms.saturating_mul(NS_PER_MS)))
    }

    fn end(&mut self, how: Passed) -> Passed {
        self.has_ended = true;
        self.queue.clear();
        self.queued_bytes = 0;
        how
    }

    /// When something leaves that is in front; `None`: not while things are as they are.
    fn leaves_ns(&self, front: &Waiting) -> Option<u64> {
        let bytes = self.next_bytes(front);
        let after = |from_ns: u64, ms: u64| from_ns.saturating_add(ms.saturating_mul(NS_PER_MS));
        let arrived_ns = front.arrived_ns;
        let leaves_ns = match (self.applies, self.kind) {
            (true, Kind::Latency { latency_ms, jitter_ms }) if bytes > 0 => {
                let span = jitter_ms.saturating_mul(2 * NS_PER_MS);
                let jitter_ns = below(self.draws.draw(front.position), span.saturating_add(1));
                after(arrived_ns, latency_ms).saturating_add(jitter_ns).saturating_sub(span / 2)
            }
            (true, Kind::Bandwidth { rate_kb_per_s: 0 }) => return None,
            (true, Kind::Bandwidth { rate_kb_per_s }) => {
                let takes_ns = (bytes as u64).saturating_mul(NS_PER_MS) / rate_kb_per_s;
                self.free_ns.max(arrived_ns).saturating_add(takes_ns)
            }
            (true, Kind::SlowClose { delay_ms }) if bytes == 0 => after(arrived_ns, delay_ms),
            _ => arrived_ns,
        };
        Some(leaves_ns.max(self.free_ns).max(arrived_ns))
    }

    /// How much of what is in front leaves in one piece.
    fn next_bytes(&self, front: &Waiting) -> usize {
        let Passed::Bytes(bytes, _) = &front.what else { return 0 };
        let most = match (self.applies, self.kind) {
            (true, Kind::Bandwidth { rate_kb_per_s }) if rate_kb_per_s > 0 => {
                rate_kb_per_s.saturating_mul(BANDWIDTH_STEP_MS)
            }
            (true, Kind::Slicer { average_bytes, variation_bytes, .. }) => {
                let least = average_bytes.saturating_sub(variation_bytes).max(1);
                let most = average_bytes.saturating_add(variation_bytes).max(least);
                let number = self.draws.draw(self.passed_bytes);
                u64::from(least) + below(number, u64::from(most - least) + 1)
            }
            (true, Kind::LimitData { limit_bytes }) => limit_bytes.saturating_sub(self.passed_bytes),
            _ => u64::MAX,
        };
        usize::try_from(most).unwrap_or(usize::MAX).min(bytes.len())
    }

    /// Takes what leaves of what is in front.
    fn take(&mut self) -> Passed {
        let slices = self.applies && matches!(self.kind, Kind::Slicer { .. });
        let most = self.queue.front().map_or(0, |front| self.next_bytes(front));
        self.passed_bytes += most as u64;
        self.queued_bytes -= most;
        if let Some(Waiting { what: Passed::Bytes(bytes, is_slice), position, .. }) = self.queue.front_mut()
            && most < bytes.len()
        {
            *position += most as u64;
            return Passed::Bytes(bytes.split_to(most), *is_slice || slices);
        }
        match self.queue.pop_front().map(|waiting| waiting.what) {
            Some(Passed::Bytes(bytes, is_slice)) => Passed::Bytes(bytes, is_slice || slices),
            Some(other) => other,
            None => Passed::End,
        }
    }
}

/// Whether a toxic concerns the connection that the draws are about. A larger toxicity never spares whom a smaller one hits.
fn applies(toxic: &Toxic, draws: Draws) -> bool {
    unit(draws.draw(u64::MAX)) <= f64::from(toxic.toxicity)
}
