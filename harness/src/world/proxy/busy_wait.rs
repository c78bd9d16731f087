//! Looking again for a moment before an event loop falls asleep over a stream of bulk.
//!
//! On one machine the next bytes of such a stream are tens of microseconds away, and falling asleep and being woken takes as long
//! again: writer, proxy and reader then take turns in place of working at once (docs/benchmarks.md, "What bounds bulk"). So a
//! pump asks the system for more until it comes or [`BUSY_WAIT_MAX_NS`] is over, and only then waits.
//!
//! Nobody else pays for it: only a pump that read much twice within [`STREAM_GAP_MAX_NS`] does it, and only while no other connection
//! had a turn on its event loop between two of its own. It decides nothing: what is read, and what becomes of it, stays the same.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::line::Clock;
use crate::link::Way;

/// It looks for so long. Nanoseconds.
const BUSY_WAIT_MAX_NS: u64 = 50_000;
/// A read of so many bytes is bulk.
const BULK_BYTES_MIN: u64 = 16 * 1024;
/// Reads of bulk that are further apart than this are no stream. Nanoseconds.
const STREAM_GAP_MAX_NS: u64 = 250_000;

/// An event loop whose connections may wait busily: who had the last turn on it.
#[derive(Debug, Default)]
pub struct EventLoop {
    joined: AtomicU64,
    last: AtomicU64,
}

impl EventLoop {
    /// For one more connection.
    pub(super) fn join(self: &Arc<Self>, clock: Clock) -> BusyWait {
        let number = self.joined.fetch_add(1, Ordering::Relaxed) + 1;
        BusyWait {
            event_loop: Arc::clone(self),
            clock,
            number,
            is_alone: false,
            bulk: None,
            is_stream: false,
        }
    }
}

/// One connection's busy waiting.
pub(super) struct BusyWait {
    event_loop: Arc<EventLoop>,
    clock: Clock,
    number: u64,
    /// Nobody else had a turn since its last one.
    is_alone: bool,
    /// The last bulk: which way it goes, and when it was read, in nanoseconds.
    bulk: Option<(Way, u64)>,
    /// It followed another one closely, and nothing was waited for since.
    is_stream: bool,
}

impl BusyWait {
    /// The connection has a turn.
    pub(super) fn begin_turn(&mut self) {
        self.is_alone = self.event_loop.last.swap(self.number, Ordering::Relaxed) == self.number;
    }

    /// So much was read, of what goes that way.
    pub(super) fn has_read(&mut self, way: Way, bytes: u64) {
        if bytes < BULK_BYTES_MIN {
            return;
        }
        let now_ns = (self.clock)();
        let follows = |(of, at_ns)| of == way && now_ns - at_ns <= STREAM_GAP_MAX_NS;
        self.is_stream = self.bulk.is_some_and(follows);
        self.bulk = Some((way, now_ns));
    }

    /// Waits, if that is worth it, until more can be read of what goes that way. The event loop finds it, or whatever else there
    /// is, right after.
    pub(super) fn wait(&mut self, is_readable: impl Fn(Way) -> bool) {
        let is_stream = std::mem::take(&mut self.is_stream);
        let (true, Some((way, read_ns))) = (is_stream && self.is_alone, self.bulk) else { return };
        let now_ns = (self.clock)();
        if now_ns - read_ns > STREAM_GAP_MAX_NS {
            return; // what was read could only be written now
        }
        let until_ns = now_ns + BUSY_WAIT_MAX_NS;
        while !is_readable(way) && (self.clock)() < until_ns {
            std::hint::spin_loop();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    const BULK: u64 = BULK_BYTES_MIN;

    /// A connection, and the clock that it looks at.
    fn joined(event_loop: &Arc<EventLoop>) -> (BusyWait, Arc<AtomicU64>) {
        let now_ns = Arc::new(AtomicU64::new(1_000_000));
        let clock = Arc::clone(&now_ns);
        (event_loop.join(Arc::new(move || clock.load(Ordering::Relaxed))), now_ns)
    }

    /// A turn after some nanoseconds, with a read; how often it looked for more, each look taking a microsecond, when that comes with
    /// the last of so many looks.
    fn turn(
        (wait, now_ns): &mut (BusyWait, Arc<AtomicU64>),
        after_ns: u64,
        bytes: u64,
        comes_at: u64,
    ) -> u64 {
        now_ns.fetch_add(after_ns, Ordering::Relaxed);
        wait.begin_turn();
        wait.has_read(Way::Up, bytes);
        let looks = Cell::new(0);
        wait.wait(|way| {
            assert_eq!(way, Way::Up);
            now_ns.fetch_add(1_000, Ordering::Relaxed);
            looks.set(looks.get() + 1);
            looks.get() >= comes_at
        });
        looks.get()
    }

    #[test]
    fn a_stream_of_bulk_is_waited_for_and_nothing_else() {
        let event_loop = Arc::new(EventLoop::default());
        let mut one = joined(&event_loop);
        assert_eq!(turn(&mut one, 0, BULK, 9), 0, "a single one is no stream");
        assert_eq!(turn(&mut one, 0, BULK, 9), 9, "until more comes");
        assert_eq!(turn(&mut one, STREAM_GAP_MAX_NS - 9_000, BULK, u64::MAX), 50, "no longer than it may");
        assert_eq!(turn(&mut one, 0, 0, 9), 0, "nothing came since");
        assert_eq!(turn(&mut one, 0, BULK - 1, 9), 0, "little is no bulk");
        assert_eq!(turn(&mut one, STREAM_GAP_MAX_NS, BULK, 9), 0, "too long ago");
        assert_eq!(turn(&mut one, 0, BULK, 9), 9, "and so on again");
    }

    #[test]
    fn what_takes_long_to_be_written_is_no_stream() {
        let mut one = joined(&Arc::new(EventLoop::default()));
        assert_eq!(turn(&mut one, 0, BULK, 9), 0);
        one.0.has_read(Way::Up, BULK);
        assert_eq!(turn(&mut one, 100_000, 0, 9), 9, "it was written in a later turn");
        one.0.has_read(Way::Up, BULK);
        assert_eq!(turn(&mut one, STREAM_GAP_MAX_NS + 1, 0, 9), 0);
    }

    #[test]
    fn nobody_else_on_the_event_loop_is_kept_waiting() {
        let event_loop = Arc::new(EventLoop::default());
        let (mut one, mut other) = (joined(&event_loop), joined(&event_loop));
        assert_eq!((turn(&mut one, 0, BULK, 9), turn(&mut one, 0, BULK, 9)), (0, 9));
        assert_eq!(turn(&mut other, 0, 1, 9), 0);
        assert_eq!(turn(&mut one, 0, BULK, 9), 0, "another had a turn");
        assert_eq!(turn(&mut one, 0, BULK, 9), 9, "it is alone again");
    }
}
