//! A whole schedule from one number: a small crowd, what it does, and what goes wrong, as a [`Scenario`] that a person can
//! read, edit, repeat and shrink.
//!
//! Nothing is left open: actions are single `[[step]]`s, members are named, faults have their time or their frame. So the
//! scenario is the schedule, and the seed decides nothing in it but delays, jitter and sizes.
//!
//! Every choice is keyed (see [`crate::keyed`]): what is switched off, how many messages, when the third fault comes. None
//! moves another. In particular the mask of the swarm is drawn by a purpose of its own: a fault kind that is switched off
//! takes its own faults away and leaves the times and places of all others (Groce et al., "Swarm testing", ISSTA 2012).
//!
//! Not here: carrying schedules out, judging them, shrinking them (see [`crate::shrink`]). Frames and settings are those of
//! the reference protocol.

mod budget;
mod crowd;
mod dice;
mod entries;
mod mischief;
mod moments;
mod placing;
mod returning;
mod swarm;
mod swizzle;
#[cfg(test)]
mod tests;
mod traffic;

use crate::Scenario;
use crate::fault::FaultEntry;
use crate::units::{Parties, Party, Time};
use dice::Dice;
use swarm::Swarm;
use traffic::Traffic;

pub use moments::MOMENT_FRAMES;
pub use swarm::Feature;

/// Faults of one schedule, at most, before those that belong together (a swizzle, a reconnection that a moment needs).
pub const FAULTS_MAX: u64 = 6;
/// Seeds that are drawn stay below this, so that a scenario file can hold them.
pub const SEED_BITS: u32 = 52;

/// A scenario that was drawn, and what was drawn, for people.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    /// The scenario; its `seed` is the one that it was drawn from.
    pub scenario: Scenario,
    /// Name and value of every option, in a fixed order.
    pub options: Vec<(&'static str, String)>,
}

/// Who there is to do harm to.
#[derive(Clone, Copy, Debug)]
struct Crowd {
    users: u32,
    devices: u32,
    duration: Time,
}

impl Crowd {
    fn devices_total(self) -> u64 {
        u64::from(self.users) * u64::from(self.devices)
    }
}

/// Draws a schedule.
pub fn schedule(seed: u64) -> Schedule {
    let dice = Dice::new(seed);
    let swarm = Swarm::draw(dice);
    let mut scenario = crowd::scenario(dice, &swarm);
    scenario.seed = Some(seed);
    finish(dice, &swarm, scenario)
}

/// Draws faults for a workload that somebody wrote; what the scenario had of faults is replaced.
pub fn schedule_on(seed: u64, base: &Scenario) -> Schedule {
    let dice = Dice::new(seed);
    let swarm = Swarm::draw(dice);
    let mut scenario = base.clone();
    scenario.seed = Some(seed);
    scenario.expect.latency.clear();
    budget::widen(&mut scenario);
    finish(dice, &swarm, scenario)
}

/// The seed of one schedule of many.
pub fn seed_of(sweep: u64, run: u64) -> u64 {
    const RUN: crate::keyed::Purpose = crate::keyed::Purpose::named("explore-run");
    crate::keyed::draw(sweep, RUN, &[run]) >> (u64::BITS - SEED_BITS)
}

fn finish(dice: Dice, swarm: &Swarm, mut scenario: Scenario) -> Schedule {
    let workload = &scenario.workload;
    let crowd =
        Crowd { users: workload.users_total(), devices: workload.devices, duration: workload.duration };
    scenario.fault = mischief::faults(dice, swarm, crowd, &Traffic::of(&scenario, crowd));
    let options = options(swarm, &scenario);
    Schedule { scenario, options }
}

fn options(swarm: &Swarm, scenario: &Scenario) -> Vec<(&'static str, String)> {
    let workload = &scenario.workload;
    let sends: u32 = scenario.step.iter().filter_map(|step| step.send.as_ref()).map(|send| send.count).sum();
    let list = |names: Vec<&str>| if names.is_empty() { "none".to_owned() } else { names.join(" ") };
    let settings = scenario.cluster.settings.iter().map(|(name, value)| match value {
        crate::scenario::Setting::Count(count) => format!("{name}={count}"),
        crate::scenario::Setting::Switch(is_on) => format!("{name}={is_on}"),
        crate::scenario::Setting::Text(text) => format!("{name}={text}"),
    });
    let kinds = |entry: &FaultEntry| entry.verbs().first().map_or("", |(name, _)| *name);
    vec![
        ("seed", scenario.seed.unwrap_or_default().to_string()),
        ("users", workload.users_total().to_string()),
        ("devices of each", workload.devices.to_string()),
        ("conversations", workload.conversations.to_string()),
        ("duration", workload.duration.to_string()),
        ("messages by steps", sends.to_string()),
        ("settings", settings.collect::<Vec<_>>().join(" ")),
        ("network", scenario.network.profile.map_or("lan", |profile| profile.0.name).to_owned()),
        ("features on", list(swarm.features().map(Feature::name).collect())),
        ("fault kinds on", list(swarm.kinds().to_vec())),
        ("faults", list(scenario.fault.iter().map(kinds).collect())),
    ]
}

/// The devices of a selection.
fn devices_of(crowd: Crowd, parties: &Parties) -> Vec<u64> {
    let is_meant = |device: &u64| {
        let (user, own) = device_name(crowd.devices, *device);
        parties.0.iter().any(|party| match party {
            Party::Device(named, number) => (*named, *number) == (user, own),
            Party::User(named) => *named == user,
            _ => true,
        })
    };
    (0..crowd.devices_total()).filter(is_meant).collect()
}

/// Device names as scenario files have them.
fn device_name(devices_of_each: u32, number: u64) -> (u32, u32) {
    let each = u64::from(devices_of_each.max(1));
    ((number / each) as u32, (number % each) as u32)
}
