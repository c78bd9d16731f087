//! How long a drawn schedule may take to recover.
//!
//! A healthy server may be as slow as its settings and its network make it: with one entry per page or window each entry
//! costs a round trip, and a hundred of them over a satellite a minute. What is allowed follows from the schedule; a
//! budget that does not would accuse the network.

use crate::Scenario;
use crate::scenario::Setting;
use crate::units::Time;

/// For everything that is no matter of round trips: backoffs, sweeps, silence that has to be noticed.
const BASE_MS: u64 = 45_000;
/// The server gives this many entries at a time unless it is told otherwise.
const ENTRIES_AT_A_TIME: u64 = 256;
/// An entry may have to come twice: what was pushed before the heal is not known to have arrived.
const TRANSMISSIONS: u64 = 2;
/// The drain goes on for this much longer, so that what comes late is seen to come.
const DRAIN_SLACK_MS: u64 = 15_000;

/// Sets the time that the promise allows, and the end of the drain behind it.
pub(super) fn set(scenario: &mut Scenario) {
    let recovers = needed(scenario);
    scenario.expect.recovers_within = Some(recovers);
    scenario.phases.drain = after(recovers);
}

/// What somebody promised for faults of their own is not promised for others: a connection that is half open, say, is
/// found out after the server's `silent_ms` only. A promise that is made is widened, and none is added.
pub(super) fn widen(scenario: &mut Scenario) {
    let needed = needed(scenario);
    if let Some(recovers) = &mut scenario.expect.recovers_within {
        *recovers = needed.max(*recovers);
        scenario.phases.drain = scenario.phases.drain.max(after(*recovers));
    }
}

fn needed(scenario: &Scenario) -> Time {
    let round_trips = entries(scenario) * TRANSMISSIONS / entries_at_a_time(scenario);
    let round_trip_us = scenario.network.profile.map_or(0, |profile| profile.0.round_trip_us);
    Time::ms(BASE_MS + round_trips * round_trip_us / 1_000)
}

fn after(recovers: Time) -> Time {
    Time(recovers.0 + Time::ms(DRAIN_SLACK_MS).0)
}

/// Messages and membership changes of all conversations: a device gets one after the other.
fn entries(scenario: &Scenario) -> u64 {
    let of_step = |step: &crate::scenario::Step| match (&step.send, &step.members) {
        (Some(send), _) => u64::from(send.count),
        (None, Some(_)) => 1,
        (None, None) => 0,
    };
    let stepped: u64 = scenario.step.iter().map(of_step).sum();
    scenario.conversation.len() as u64 + stepped + scenario.workload.messages_expected() as u64
}

fn entries_at_a_time(scenario: &Scenario) -> u64 {
    let setting = |name: &str| match scenario.cluster.settings.get(name) {
        Some(Setting::Count(count)) => u64::try_from(*count).unwrap_or(1),
        _ => ENTRIES_AT_A_TIME,
    };
    setting("window_entries").min(setting("page_entries")).max(1)
}
