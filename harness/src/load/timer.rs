//! A timer that fires when it should: tokio's own has a grain of a millisecond, which would be most of a latency.

use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::time::Duration;

use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

struct Handle(TimerFd);

impl AsRawFd for Handle {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

/// A timer of the system, on the monotonic clock.
pub(super) struct Timer(AsyncFd<Handle>);

impl Timer {
    /// Not armed yet.
    #[allow(
        deprecated,
        reason = "the safe way in: the handle owns its descriptor and never gives another one"
    )]
    pub(super) fn new() -> io::Result<Self> {
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags)?;
        Ok(Self(AsyncFd::with_interest(Handle(timer), Interest::READABLE)?))
    }

    /// Waits that long.
    pub(super) async fn wait_ns(&self, ns: u64) -> io::Result<()> {
        let after = TimeSpec::from_duration(Duration::from_nanos(ns.max(1)));
        // What it told of an earlier time is over.
        self.0.get_ref().0.set(Expiration::OneShot(after), TimerSetTimeFlags::empty())?;
        self.0.readable().await?.clear_ready();
        Ok(())
    }
}
