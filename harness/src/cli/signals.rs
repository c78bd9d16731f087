//! Ctrl-C and SIGTERM while runs go on.
//!
//! A thread of its own waits for them from the moment this returns. What they mean is the caller's affair.

use std::io;
use std::thread;

use nix::sys::signal::Signal;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};

/// Calls `act` at every SIGINT and SIGTERM, until the process ends.
pub(super) fn listen(mut act: impl FnMut() + Send + 'static) -> io::Result<()> {
    let runtime: Runtime = Builder::new_current_thread().enable_all().build()?;
    let (mut interrupt, mut terminate) = runtime.block_on(async {
        // Caught and dropped: then a file over its limit (`ulimit -f`) is an error of the write, not a death.
        let _too_long = signal(SignalKind::from_raw(Signal::SIGXFSZ as i32))?;
        Ok::<_, io::Error>((signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?))
    })?;
    let wait = move || {
        runtime.block_on(async {
            loop {
                tokio::select! {
                    biased;
                    _ = interrupt.recv() => act(),
                    _ = terminate.recv() => act(),
                }
            }
        });
    };
    thread::Builder::new().name("signals".to_owned()).spawn(wait)?;
    Ok(())
}
