//! What a fault of a kind says in a scenario, once its place is known: how long, how much, which way.

use super::mischief::{Fault, Placed};
use crate::fault::{
    ClientVerbEntry, ClockSkew, Cut, Duplicate, FaultEntry, FrameFault, How, LinkDelay, LinkHold, LinkRate,
    NodeDown, NodeHold, Partition, Reorder, Slice, SlowConsumer, SlowSync, Way,
};
use crate::plan::{Delay, LEADER};
use crate::units::{ByteRate, DelaySpec, NodeName, Parties, Share, SignedTime, Time};

/// A node is away at least this long, and at most eight times as long.
const AWAY_MS_MIN: u64 = 100;

impl Fault<'_> {
    pub(super) fn node(self, kind: &'static str, placed: Placed) -> FaultEntry {
        let Placed { before, after, nth } = placed;
        let node = NodeName(LEADER);
        let link = Parties::clients();
        // Not so long that the clock can tell it from the part of the run that it has for itself.
        let away = self
            .of("explore-fault-away")
            .doubling_ms(AWAY_MS_MIN, (self.crowd.duration.0 / 12_000_000).max(AWAY_MS_MIN));
        let down = NodeDown {
            restart_after: away,
            node,
            link: link.clone(),
            before: before.clone(),
            after: after.clone(),
            nth,
        };
        let hold = NodeHold { node, link, before, after, nth };
        let lasts = Some(self.lasts());
        let by = self.of("explore-fault-by");
        let empty = FaultEntry::default();
        match kind {
            "kill" => FaultEntry { kill: Some(down), ..empty },
            "restart" => FaultEntry { restart: Some(down), ..empty },
            "power_loss" => FaultEntry { power_loss: Some(down), ..empty },
            "pause" => FaultEntry { pause: Some(hold), lasts, ..empty },
            "fail_sync" => FaultEntry { fail_sync: Some(hold), lasts, ..empty },
            "disk_full" => FaultEntry { disk_full: Some(hold), lasts, ..empty },
            "slow_sync" => {
                FaultEntry { slow_sync: Some(SlowSync { by: by.doubling_ms(5, 320), node }), lasts, ..empty }
            }
            _ => {
                let ms = by.pick(&[-90_000_i64, -1_000, 1_000, 90_000]);
                FaultEntry {
                    clock_skew: Some(ClockSkew { by: SignedTime(ms * 1_000_000), node }),
                    lasts,
                    ..empty
                }
            }
        }
    }

    pub(super) fn client(self, kind: &'static str, client: Parties, placed: Placed) -> FaultEntry {
        let Placed { after, nth, .. } = placed;
        let verb = ClientVerbEntry { client: client.clone(), after: after.clone(), nth };
        let empty = FaultEntry::default();
        match kind {
            "offline" => FaultEntry { offline: Some(verb), lasts: Some(self.lasts()), ..empty },
            "takeover" => FaultEntry { takeover: Some(verb), ..empty },
            "reconnect_storm" => {
                let client = if self.of("explore-storm").percent(50) { Parties::clients() } else { client };
                FaultEntry { reconnect_storm: Some(ClientVerbEntry { client, ..verb }), ..empty }
            }
            _ => {
                let consume = self.of("explore-fault-by").doubling_ms(5, 320);
                let slow = SlowConsumer { consume, client, after, nth };
                FaultEntry { slow_consumer: Some(slow), lasts: Some(self.lasts()), ..empty }
            }
        }
    }

    pub(super) fn link(self, kind: &'static str, link: Parties, placed: Placed) -> FaultEntry {
        let Placed { before, after, nth } = placed;
        let waits = nth.is_some();
        // The kind of frame says the direction, where there is one.
        let way = if waits {
            Way::Both
        } else {
            self.of("explore-fault-way").pick(&[Way::Both, Way::Both, Way::Up, Way::Down])
        };
        let hold = LinkHold {
            link: link.clone(),
            direction: way,
            before: before.clone(),
            after: after.clone(),
            nth,
        };
        let lasts = Some(self.lasts());
        let by = self.of("explore-fault-by");
        let empty = FaultEntry::default();
        match kind {
            "stall" => FaultEntry { stall: Some(hold), lasts, ..empty },
            "half_open" => FaultEntry { half_open: Some(hold), lasts, ..empty },
            "partition" => {
                let partition =
                    Partition { nodes: None, from: None, link: Some(link), one_way: false, direction: way };
                FaultEntry { partition: Some(partition), lasts, ..empty }
            }
            "rate" => {
                let limit = ByteRate(by.pick(&[500, 2_000, 10_000, 100_000]));
                FaultEntry { rate: Some(LinkRate { limit, link, direction: way }), lasts, ..empty }
            }
            "slice" => {
                let bytes = by.pick(&[1, 2, 7, 64, 1_000]);
                FaultEntry { slice: Some(Slice { bytes, link, direction: way }), lasts, ..empty }
            }
            _ => {
                let how = self.of("explore-fault-how").pick(&[How::Rst, How::Fin]);
                let cut = Cut {
                    how,
                    at_byte: None,
                    link,
                    direction: Way::Both,
                    before,
                    after,
                    nth,
                    probability: None,
                };
                FaultEntry { cut: Some(cut), ..empty }
            }
        }
    }

    pub(super) fn frame_verb(
        self,
        kind: &'static str,
        (link, on): (Parties, Option<String>),
        (nth, probability): (Option<u64>, Option<Share>),
        empty: FaultEntry,
    ) -> FaultEntry {
        let direction = Way::Both;
        let by = self.of("explore-fault-by");
        match kind {
            "delay" => {
                let ns = by.doubling_ms(20, 1_280).0;
                let by = DelaySpec(Delay::Fixed { ns });
                FaultEntry { delay: Some(LinkDelay { by, link, direction, on, nth, probability }), ..empty }
            }
            "duplicate" => {
                let copies = by.pick(&[1, 1, 1, 2, 5]);
                FaultEntry {
                    duplicate: Some(Duplicate { copies, link, direction, on, nth, probability }),
                    ..empty
                }
            }
            "reorder" => {
                let (window, hold) = (by.pick(&[1, 1, 2, 3, 6]), Time::ms(500));
                FaultEntry {
                    reorder: Some(Reorder { window, hold, link, direction, on, nth, probability }),
                    ..empty
                }
            }
            "corrupt" => {
                FaultEntry { corrupt: Some(FrameFault { link, direction, on, nth, probability }), ..empty }
            }
            _ => FaultEntry { drop: Some(FrameFault { link, direction, on, nth, probability }), ..empty },
        }
    }
}
