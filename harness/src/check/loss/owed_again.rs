//! Server-kept cursors: what a device had not acknowledged when its link ended comes again, in its first order
//! where that is promised (`Options::copies_in_order`).

use std::collections::{BTreeMap, VecDeque};

use avouch_reports::history::{Event, Message, SessionKind, What};
use avouch_reports::verdict::FINDINGS_KEPT;

use super::super::eligible::Standing;
use super::super::findings::{Findings, Place};
use super::super::index::{Index, Seen};

/// Deliveries without an ack that are remembered per device; the oldest beyond that are forgotten (which only excuses).
const OPEN_MAX: usize = 65_536;

#[derive(Default)]
struct Open {
    /// Slots that reached the device and that it did not acknowledge, in order of arrival.
    now: VecDeque<u32>,
    /// The same, when its last link ended; each must come again or be acknowledged.
    again: VecDeque<u32>,
}

/// Memory: 4 bytes per delivery that is not acknowledged.
#[derive(Default)]
pub(super) struct OwedAgain {
    devices: BTreeMap<u32, Open>,
    reordered: Findings,
    /// Copies that came again as they should.
    pub(super) copies: u64,
}

impl OwedAgain {
    pub(super) fn observe(&mut self, event: &Event, seen: &Seen, index: &Index) {
        match (seen, &event.what) {
            (Seen::Received(reception), _) => {
                let Some(slot) = reception.slot.filter(|_| !reception.astray) else { return };
                let device = index.lanes[reception.lane as usize].device;
                let open = self.devices.entry(device).or_default();
                let mut new = reception.first;
                if let Some(at) = open.again.iter().position(|&s| s == slot) {
                    // What stands before it in the same conversation should have come before it.
                    let lane = index.message(slot).lane;
                    let before = open.again.iter().take(if index.options.copies_in_order { at } else { 0 });
                    let overtaken = before.copied().find(|&s| index.message(s).lane == lane);
                    if let Some(overtaken) = overtaken {
                        let place = place(index, device, overtaken);
                        self.reordered.add("reordered", place, Some(event), || {
                            let expected = "copies come in the order of the originals".to_owned();
                            (
                                expected,
                                format!(
                                    "m{} came again before m{}",
                                    index.message(slot).id,
                                    index.message(overtaken).id
                                ),
                            )
                        });
                    }
                    open.again.remove(at);
                    self.copies += 1;
                    new = true;
                }
                if new {
                    open.now.push_back(slot);
                }
                if open.now.len() > OPEN_MAX {
                    open.now.pop_front();
                }
            }
            (Seen::At { lane }, What::Acknowledged { up_to, message, .. }) => {
                let at = &index.lanes[*lane as usize];
                let slot = message.and_then(|m| index.slot(m));
                let covered = |s: &u32| {
                    let state = index.message(*s);
                    let here = index.lanes[state.lane as usize].conversation == at.conversation;
                    Some(*s) == slot
                        || (here && state.seq != 0 && up_to.is_some_and(|up_to| state.seq <= up_to))
                };
                if let Some(open) = self.devices.get_mut(&at.device) {
                    open.now.retain(|s| !covered(s));
                    open.again.retain(|s| !covered(s));
                }
            }
            (Seen::Began { device }, What::Session { session, .. }) => {
                let Some(open) = self.devices.get_mut(device) else { return };
                let now = std::mem::take(&mut open.now);
                match session {
                    SessionKind::Resumed => open.again.extend(now),
                    SessionKind::New => open.again.clear(),
                }
            }
            _ => {}
        }
    }

    pub(super) fn finish(&mut self, index: &Index, findings: &mut Findings) {
        let reordered = std::mem::take(&mut self.reordered);
        findings.total += reordered.total;
        findings.kept.extend(reordered.kept);
        findings.kept.truncate(FINDINGS_KEPT);
        for (&device, open) in &self.devices {
            if !matches!(index.standing(&index.devices[device as usize]), Standing::Judged { .. }) {
                continue;
            }
            for &slot in &open.again {
                findings.add("lost", place(index, device, slot), None, || {
                    let expected =
                        "what a device had not acknowledged comes again after a resumption".to_owned();
                    (
                        expected,
                        format!("m{} did not come again and was never acknowledged", index.message(slot).id),
                    )
                });
            }
        }
    }
}

fn place(index: &Index, device: u32, slot: u32) -> Place {
    Place {
        conversation: Some(index.conversations[index.sender(slot).conversation as usize].id),
        device: Some(index.devices[device as usize].id),
        message: Some(Message(index.message(slot).id)),
    }
}
