//! Clients that are stopped one by one and restored in another order.

use super::dice::Dice;
use super::mischief::LASTS_MS_MIN;
use super::swarm::Swarm;
use super::{Crowd, device_name};
use crate::fault::{ClientVerbEntry, FaultEntry, LinkHold, Partition, Way};
use crate::units::{Parties, Party, Time};

/// Some clients are stopped one by one, and restored one by one in another order (what `FoundationDB` calls swizzling):
/// the entries, each with its device.
pub(super) fn swizzle(dice: Dice, swarm: &Swarm, crowd: Crowd) -> Vec<(FaultEntry, u64)> {
    let kinds: Vec<&str> = ["offline", "partition", "half_open", "stall"]
        .into_iter()
        .filter(|kind| swarm.has_kind(kind))
        .collect();
    let mut chosen: Vec<u64> = (0..crowd.devices_total()).collect();
    chosen.sort_by_key(|device| dice.of("explore-swizzle-stop", &[*device]).rank());
    chosen.truncate(dice.of("explore-swizzle-count", &[]).between(2, crowd.devices_total()) as usize);
    if kinds.is_empty() {
        return Vec::new();
    }
    let mut restored = chosen.clone();
    restored.sort_by_key(|device| dice.of("explore-swizzle-restore", &[*device]).rank());
    let first = dice.of("explore-swizzle-at", &[]).ms_below(Time(crowd.duration.0 / 3));
    let step = dice.of("explore-swizzle-step", &[]).doubling_ms(20, 320);
    let held = dice.of("explore-swizzle-for", &[]).doubling_ms(LASTS_MS_MIN, 1_600);
    let kind = dice.of("explore-swizzle-kind", &[]).pick(&kinds);
    let count = chosen.len() as u64;
    let entry = |(place, device): (usize, &u64)| {
        let back = restored.iter().position(|other| other == device).unwrap_or(0) as u64;
        let at = Time(first.0 + step.0 * place as u64);
        let until = Time(first.0 + step.0 * (count + back) + held.0);
        let (user, own) = device_name(crowd.devices, *device);
        let one = Parties(vec![Party::Device(user, own)]);
        let link = LinkHold { link: one.clone(), direction: Way::Both, before: None, after: None, nth: None };
        let empty = FaultEntry { at: Some(at), lasts: Some(Time(until.0 - at.0)), ..FaultEntry::default() };
        let entry = match kind {
            "offline" => {
                let verb = ClientVerbEntry { client: one, after: None, nth: None };
                FaultEntry { offline: Some(verb), ..empty }
            }
            "partition" => {
                let direction = Way::Both;
                let partition =
                    Partition { nodes: None, from: None, link: Some(one), one_way: false, direction };
                FaultEntry { partition: Some(partition), ..empty }
            }
            "half_open" => FaultEntry { half_open: Some(link), ..empty },
            _ => FaultEntry { stall: Some(link), ..empty },
        };
        (entry, *device)
    };
    let entries = chosen.iter().enumerate().map(entry);
    entries.filter(|(entry, _)| entry.at.is_some_and(|at| at < crowd.duration)).collect()
}
