//! File descriptors: how many a live run takes, and whether this process may have them.
//!
//! Every device has a port of its own at the chaos proxy, so that a fault on one link touches no other; where they are very
//! many, the leg between device and proxy is in memory. A run that gets too few would see connections refused that no fault
//! refused, so it waits until others have ended, and a run that is too large for this process is not begun.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// A run with more devices has no ports for them ([`super::proxy::Leg`]).
pub const DEVICES_WITH_PORTS_MAX: usize = 1_000;
/// Per device: the proxy's port; and two connections at once (a new one may come while an old one ends), each with an
/// end at the device, one at the proxy towards it, and one towards the server.
const PER_DEVICE: u64 = 1 + 2 * 3;
/// The same where no proxy stands between, or the leg to it is in memory: two connections.
const PER_DEVICE_DIRECT: u64 = 2;
/// Per run: the runtime, files, the pipes to the server and its watchdog.
const PER_RUN: u64 = 32;
/// For the process itself.
const PER_PROCESS: u64 = 32;

/// The limit of this process is too low for one of the runs, and may not be raised that far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a live run with {devices} devices: {needed} open files are needed, and this process may have {limit}\n\
     hint: raise the hard limit (`ulimit -Hn {needed}` as root, or `nofile` in limits.conf), or choose smaller scenarios"
)]
pub struct TooFew {
    devices: usize,
    needed: u64,
    limit: u64,
}

/// File descriptors that a live run with so many devices takes.
pub fn needed(devices: usize) -> u64 {
    let per_device = if devices > DEVICES_WITH_PORTS_MAX { PER_DEVICE_DIRECT } else { PER_DEVICE };
    per_device * devices as u64 + PER_RUN
}

/// What is left of the file descriptors of this process, and what each of the runs that are to share it takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Room {
    left: u64,
    of_runs: Vec<u64>,
}

impl Room {
    /// For runs that take none worth counting.
    pub fn unlimited() -> Self {
        Self { left: u64::MAX, of_runs: Vec::new() }
    }

    /// Takes what the run with that number needs, if there is as much.
    pub fn take(&mut self, run: usize) -> bool {
        let left = self.left.checked_sub(self.of_run(run));
        self.left = left.unwrap_or(self.left);
        left.is_some()
    }

    /// That run has ended.
    pub fn give_back(&mut self, run: usize) {
        self.left = self.left.saturating_add(self.of_run(run));
    }

    fn of_run(&self, run: usize) -> u64 {
        self.of_runs.get(run).copied().unwrap_or(0)
    }
}

/// Room for live runs with so many devices each, of which `at_once` may go on at one time: raises the soft limit as far as they
/// need it and the hard one allows. Servers that are started inherit it. Runs that do not find room beside others have to wait.
///
/// # Errors
/// One of them would not find room alone.
pub fn make_room(devices_of_runs: &[usize], at_once: usize) -> Result<Room, TooFew> {
    let of_runs: Vec<u64> = devices_of_runs.iter().map(|devices| needed(*devices)).collect();
    // A system that does not tell its limit will tell when it is reached.
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        return Ok(Room { left: u64::MAX, of_runs });
    };
    let mut largest = of_runs.clone();
    largest.sort_unstable_by(|one, other| other.cmp(one));
    let all = PER_PROCESS + largest.iter().take(at_once).sum::<u64>();
    let wanted = all.min(hard);
    let is_raised = soft < wanted && setrlimit(Resource::RLIMIT_NOFILE, wanted, hard).is_ok();
    let limit = if is_raised { wanted } else { soft };
    let left = limit.saturating_sub(PER_PROCESS);
    if largest.first().is_some_and(|needed| *needed > left) {
        let devices = devices_of_runs.iter().copied().max_by_key(|devices| needed(*devices)).unwrap_or(0);
        return Err(TooFew { devices, needed: needed(devices) + PER_PROCESS, limit });
    }
    Ok(Room { left, of_runs })
}

/// Room for one run in which no proxy stands between.
///
/// # Errors
/// It would not find room.
pub fn make_room_direct(devices: usize) -> Result<(), TooFew> {
    let needed = PER_DEVICE_DIRECT * devices as u64 + PER_RUN + PER_PROCESS;
    // A system that does not tell its limit will tell when it is reached.
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return Ok(()) };
    let wanted = needed.min(hard);
    let is_raised = soft < wanted && setrlimit(Resource::RLIMIT_NOFILE, wanted, hard).is_ok();
    let limit = if is_raised { wanted } else { soft };
    if limit < needed { Err(TooFew { devices, needed, limit }) } else { Ok(()) }
}

/// Raises the soft limit as far as it goes, for a process that does not know how many it will need.
pub fn raise() {
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        // What cannot be raised is felt when it is reached.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> (u64, u64) {
        getrlimit(Resource::RLIMIT_NOFILE).unwrap()
    }

    #[test]
    fn room_is_made_up_to_the_hard_limit() {
        let (soft, hard) = limits();
        assert!(make_room(&[1], 1).is_ok());
        assert!(limits().0 >= soft, "it is never lowered");
        if hard < 1_000_000_000_000 {
            let error = make_room(&[5, 1_000_000_000_000, 7], 1).unwrap_err();
            let words = format!("2000000000064 open files are needed, and this process may have {hard}");
            assert!(error.to_string().contains(&words), "{error}");
        }
    }

    #[test]
    fn without_a_proxy_a_device_takes_less() {
        let (.., hard) = limits();
        let many = (hard / PER_DEVICE_DIRECT) as usize;
        if hard < 1_000_000_000_000 {
            assert_eq!(make_room_direct(many - 100), Ok(()));
            assert!(needed(DEVICES_WITH_PORTS_MAX) > needed(DEVICES_WITH_PORTS_MAX + 1));
            assert_eq!(make_room_direct(many).unwrap_err().devices, many);
        }
    }

    #[test]
    fn runs_that_are_too_large_together_wait_for_each_other() {
        let (.., hard) = limits();
        if hard >= 1_000_000_000_000 {
            return;
        }
        let large = (hard / PER_DEVICE_DIRECT) as usize - 100;
        let mut room = make_room(&[large, 1, large], 2).unwrap();
        assert!(room.take(0), "one large run, whatever the others are like");
        assert!(room.take(1), "a small one beside it");
        assert!(!room.take(2));
        room.give_back(1);
        assert!(!room.take(2), "and nothing was taken by having asked");
        room.give_back(0);
        assert!(room.take(2));
    }

    #[test]
    fn whoever_takes_nothing_always_finds_room() {
        let mut room = Room::unlimited();
        assert!((0..1_000).all(|run| room.take(run)));
        room.give_back(3);
        assert!(room.take(3));
    }
}
