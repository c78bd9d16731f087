//! File descriptors: how many a live run takes, and whether this process may have them.
//!
//! Every device has a port of its own at the chaos proxy, so that a fault on one link touches no other. A run that gets
//! too few would see connections refused that no fault refused, so it is not begun.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Per device: the proxy's port; and two connections at once (a new one may come while an old one ends), each with an
/// end at the device, one at the proxy towards it, and one towards the server.
const PER_DEVICE: u64 = 1 + 2 * 3;
/// Per run: the runtime, files, the pipes to the server and its watchdog.
const PER_RUN: u64 = 32;
/// For the process itself.
const PER_PROCESS: u64 = 32;

/// The limit of this process is too low, and may not be raised that far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{} with {devices} devices: {needed} open files are needed, and this process may have {hard}\n\
     hint: raise the hard limit (`ulimit -Hn {needed}` as root, or `nofile` in limits.conf), or choose smaller scenarios or --jobs 1",
    if *.runs == 1 { "one live run".to_owned() } else { format!("{} live runs at once", .runs) }
)]
pub struct TooFew {
    devices: usize,
    runs: usize,
    needed: u64,
    hard: u64,
}

/// File descriptors that so many live runs at once take, with so many devices in all.
pub fn needed(devices: usize, runs: usize) -> u64 {
    PER_DEVICE * devices as u64 + PER_RUN * runs as u64 + PER_PROCESS
}

/// Sees to it that any `at_once` of the live runs with so many devices can go on at one time: raises the soft limit where
/// it is too low and the hard one allows it. Servers that are started inherit it.
pub fn make_room(mut devices_of_runs: Vec<usize>, at_once: usize) -> Result<(), TooFew> {
    devices_of_runs.sort_unstable_by(|one, other| other.cmp(one));
    let largest = &devices_of_runs[..at_once.min(devices_of_runs.len())];
    let (devices, runs) = (largest.iter().sum(), largest.len());
    let needed = needed(devices, runs);
    // A system that does not tell its limit will tell when it is reached.
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return Ok(()) };
    if soft >= needed {
        return Ok(());
    }
    let raised = hard >= needed && setrlimit(Resource::RLIMIT_NOFILE, needed, hard).is_ok();
    if raised { Ok(()) } else { Err(TooFew { devices, runs, needed, hard }) }
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

    #[test]
    fn room_is_made_up_to_the_hard_limit() {
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        assert_eq!(make_room(vec![1], 1), Ok(()));
        assert!(getrlimit(Resource::RLIMIT_NOFILE).unwrap().0 >= soft, "it is never lowered");
        if hard < 1_000_000_000_000 {
            let error = make_room(vec![5, 1_000_000_000_000, 7], 1).unwrap_err();
            assert!(
                error.to_string().contains(&format!(
                    "7000000000064 open files are needed, and this process may have {hard}"
                )),
                "{error}"
            );
        }
    }

    #[test]
    fn only_the_largest_runs_that_can_meet_are_counted() {
        let (.., hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        let too_many = (hard / PER_DEVICE) as usize;
        let largest = too_many.saturating_sub(100);
        if hard < 1_000_000_000_000 {
            assert!(make_room(vec![1, largest, 1], 2).is_ok(), "one large run, whatever the others are like");
            let error = make_room(vec![largest, 1, largest], 2).unwrap_err();
            assert_eq!((error.devices, error.runs), (2 * largest, 2));
        }
    }
}
