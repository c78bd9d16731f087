//! What has to happen first: a device goes and comes back, so that the frames of a return pass.

use super::device_name;
use super::mischief::Fault;
use super::placing::Needs;
use crate::fault::{ClientVerbEntry, Cut, FaultEntry, How, Way};
use crate::units::{Parties, Party, Time};

/// Something that makes the device come back, of a kind that is on: if it has to miss something, while more is sent than is
/// pushed to it on its return.
pub(super) fn reconnection(fault: Fault<'_>, device: u64, misses: bool) -> Option<FaultEntry> {
    let (user, own) = device_name(fault.crowd.devices, device);
    let one = Parties(vec![Party::Device(user, own)]);
    let returns: &[&str] = if misses { &["offline"] } else { &["cut", "offline", "takeover"] };
    let kinds: Vec<&str> = returns.iter().copied().filter(|kind| fault.swarm.has_kind(kind)).collect();
    if kinds.is_empty() {
        return None;
    }
    let kind = fault.of("explore-return").pick(&kinds);
    let needs = if misses { Needs::Deliveries } else { Needs::Connection };
    let lasts = (kind == "offline").then(|| fault.lasts());
    let end = Time(fault.crowd.duration.0 / 2);
    let at = fault.place(&[device]).time((kind, needs), lasts, end)?;
    let back = Time(at.0 + lasts.unwrap_or_default().0);
    // It has to be back before the run is over, and time enough before to be spoken to.
    if back.0 > fault.crowd.duration.0 * 8 / 10 {
        return None;
    }
    if misses && !fault.traffic.is_too_much_to_push(device, at, back) {
        return None;
    }
    let empty = FaultEntry { at: Some(at), ..FaultEntry::default() };
    let verb = ClientVerbEntry { client: one.clone(), after: None, nth: None };
    Some(match kind {
        "offline" => FaultEntry { offline: Some(verb), lasts, ..empty },
        "takeover" => FaultEntry { takeover: Some(verb), ..empty },
        _ => {
            let cut = Cut {
                how: How::Rst,
                at_byte: None,
                link: one,
                direction: Way::Both,
                before: None,
                after: None,
                nth: None,
                probability: None,
            };
            FaultEntry { cut: Some(cut), ..empty }
        }
    })
}
