//! How far many runs are: one line, for somebody who watches.

use std::collections::BTreeMap;
use std::time::Duration;

use avouch_reports::escape::shortened;

/// Narrower than any terminal: a line that wraps cannot be overwritten.
const LINE_BYTES_MAX: usize = 79;

/// What has happened so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Progress {
    /// Runs in all.
    pub(super) total: usize,
    /// Runs that are over.
    pub(super) done: usize,
    /// Of these: not passed.
    pub(super) failed: usize,
    /// Runs in progress, by their number: the scenarios.
    pub(super) running: BTreeMap<usize, String>,
}

impl Progress {
    /// `[12/45] 1 not passed, about 40 s left: crash/kill, links/cut`.
    pub(super) fn line(&self, elapsed: Duration) -> String {
        let mut facts = Vec::new();
        if self.failed > 0 {
            facts.push(format!("{} not passed", self.failed));
        }
        if self.done > 0 {
            let left = elapsed.as_secs_f64() / self.done as f64 * (self.total - self.done) as f64;
            facts.push(format!("about {} left", duration(left)));
        }
        let running = self.running.values().cloned().collect::<Vec<_>>().join(", ");
        let facts = facts.join(", ");
        let gap = if facts.is_empty() { "" } else { ": " };
        let line = format!("[{}/{}] {facts}{gap}{running}", self.done, self.total);
        shortened(&line, LINE_BYTES_MAX).into_owned()
    }
}

fn duration(seconds: f64) -> String {
    let seconds = seconds.ceil() as u64;
    if seconds < 120 { format!("{seconds} s") } else { format!("{} min", seconds.div_ceil(60)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_how_far_it_is() {
        let check = |done, failed, seconds, expected: &str| {
            let running = [(3, "crash/kill".to_owned()), (4, "links/cut".to_owned())].into();
            let progress = Progress { total: 45, done, failed, running };
            assert_eq!(progress.line(Duration::from_secs(seconds)), expected);
        };
        check(0, 0, 5, "[0/45] crash/kill, links/cut");
        check(15, 0, 20, "[15/45] about 40 s left: crash/kill, links/cut");
        check(1, 1, 10, "[1/45] 1 not passed, about 8 min left: crash/kill, links/cut");
    }

    #[test]
    fn it_never_wraps() {
        let running = (0..64).map(|number| (number, "a/long-name".to_owned())).collect();
        let line = Progress { total: 100, done: 0, failed: 0, running }.line(Duration::ZERO);
        assert!(line.len() <= LINE_BYTES_MAX && line.ends_with('…'), "{line}");
    }
}
