//! What the active faults amount to on each way: worked out when one begins or ends, because every frame asks, often
//! more than once, and faults change rarely. The faults themselves are in [`super::rules`].

use avouch_scenarios::plan::{LinkFault, LinkVerb};

use super::{WAYS, Way};

/// Both ways, and the next change that comes by itself.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct InForce {
    ways: [OnWay; 2],
    /// When the next active fault ends by itself. Nanoseconds.
    pub(super) next_expiry_ns: Option<u64>,
}

/// One way.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct OnWay {
    /// Nothing passes.
    pub(super) is_partitioned: bool,
    /// Everything waits.
    pub(super) is_stalled: bool,
    /// Some cut waits for a byte.
    pub(super) has_byte_cuts: bool,
    /// The narrowest bottleneck.
    pub(super) rate_bytes_per_s: Option<u64>,
}

impl InForce {
    /// Of the active faults: when each ends by itself, and what it does to this link, if it does anything to it.
    pub(super) fn of<'a>(active: impl Iterator<Item = (Option<u64>, Option<&'a LinkFault>)>) -> Self {
        let mut all = Self::default();
        for (until_ns, link) in active {
            all.next_expiry_ns = [all.next_expiry_ns, until_ns].into_iter().flatten().min();
            let Some(link) = link else { continue };
            for way in WAYS.into_iter().filter(|way| way.is_in(link.direction)) {
                all.ways[way.index()].add(link.verb);
            }
        }
        all
    }

    /// One way.
    pub(super) fn on(&self, way: Way) -> &OnWay {
        &self.ways[way.index()]
    }
}

impl OnWay {
    fn add(&mut self, verb: LinkVerb) {
        match verb {
            LinkVerb::Partition => self.is_partitioned = true,
            LinkVerb::Stall => self.is_stalled = true,
            LinkVerb::Cut { at_byte: Some(_), .. } => self.has_byte_cuts = true,
            LinkVerb::Rate { bytes_per_s } => {
                let narrowest = self.rate_bytes_per_s.map_or(bytes_per_s, |other| other.min(bytes_per_s));
                self.rate_bytes_per_s = Some(narrowest);
            }
            _ => {}
        }
    }
}
