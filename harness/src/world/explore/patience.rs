//! Ends a run in which everybody is busy and nothing comes of it: a livelock, which would cost hours of processor time and
//! show nothing more.
//!
//! Gain is what the plan bounds: an operation gets its outcome, a device has a position that it had not. Sessions, copies,
//! receipts and pages are none, because a server or a client that repeats itself makes any number of them. So turns are
//! bounded between two gains, gains are bounded by the plan, and simulated time has a bound of its own: every run ends.
//!
//! What is allowed grows with the parties and with the time that passed: who sends a heartbeat or a retry leaves time between
//! them, who asks again as soon as the answer is there does not. Idle time costs nothing. A loop that the network's
//! round trips slow down below the rate is none here: it is cheap to watch, and the checkers see what does not arrive.

/// Turns between two gains, for each party: a burst of copies, retries and pages.
const BURST_TURNS_PER_PARTY: u64 = 20_000;
/// Besides, for each party and second of simulated time since the last gain. Turns.
const STEADY_TURNS_PER_PARTY_AND_S: u64 = 1_000;
/// Turns from one look to the next.
const LOOK_TURNS: u64 = 1_024;

/// See the module's header.
#[derive(Debug)]
pub(super) struct Patience {
    /// Devices and the server.
    parties: u64,
    /// Turns of the run.
    turns: u64,
    /// Of these, when there was gain the last time anybody looked.
    gained_turns: u64,
    gained_ns: u64,
    gained: u64,
}

impl Patience {
    pub(super) fn new(devices: usize) -> Self {
        Self { parties: devices as u64 + 1, turns: 0, gained_turns: 0, gained_ns: 0, gained: 0 }
    }

    /// Counts a turn, and looks from time to time. `Some` ends the run: so many turns, since when.
    pub(super) fn spent(&mut self, now_ns: u64, gained: impl FnOnce() -> u64) -> Option<(u64, u64)> {
        self.turns += 1;
        if !self.turns.is_multiple_of(LOOK_TURNS) {
            return None;
        }
        let gained = gained();
        if gained != self.gained {
            (self.gained, self.gained_turns, self.gained_ns) = (gained, self.turns, now_ns);
        }
        let turns = self.turns - self.gained_turns;
        (turns > self.allowed(now_ns - self.gained_ns)).then_some((turns, self.gained_ns))
    }

    fn allowed(&self, elapsed_ns: u64) -> u64 {
        let steady = u128::from(STEADY_TURNS_PER_PARTY_AND_S) * u128::from(elapsed_ns) / 1_000_000_000;
        self.parties
            .saturating_mul(BURST_TURNS_PER_PARTY.saturating_add(u64::try_from(steady).unwrap_or(u64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Turns until it is over, of a party that takes one every `every_ns` and gains something every `gain_turns`-th.
    fn ends_after(devices: usize, every_ns: u64, gain_turns: u64, turns_max: u64) -> Option<u64> {
        let mut patience = Patience::new(devices);
        (1..=turns_max).find(|turn| patience.spent(turn * every_ns, || turn / gain_turns).is_some())
    }

    #[test]
    fn who_repeats_himself_at_once_is_ended() {
        let least = BURST_TURNS_PER_PARTY * 3;
        let ended = ends_after(2, 0, u64::MAX, 2 * least).expect("at one instant");
        assert!((least..least + 2 * LOOK_TURNS).contains(&ended), "{ended}");
        let ended =
            ends_after(2, 10_000, u64::MAX, 2 * least).expect("100,000 turns a second are no heartbeat");
        assert!(ended > least, "{ended}");
        assert!(ends_after(9, 10_000, u64::MAX, 4 * least) > Some(ended), "more devices have more to say");
    }

    #[test]
    fn who_leaves_time_or_gets_anywhere_is_not() {
        let a_day = 24 * 3_600 * 1_000;
        assert_eq!(ends_after(2, 1_000_000, u64::MAX, a_day / 10), None, "1,000 turns a second");
        assert_eq!(ends_after(2, 0, 50_000, 2_000_000), None, "something is gained again and again");
    }
}
