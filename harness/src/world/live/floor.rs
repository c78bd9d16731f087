//! What the machine itself takes: nothing that is measured below it says anything about a server.
//!
//! On a virtual machine an idle processor has to be woken, which alone can cost more than a server does; so the floor is measured
//! before every run, under whatever else the machine is doing then.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use avouch_reports::load::{Floor, NoiseFloor};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

/// Bytes of a ping, and of a record that is synced.
const BYTES: usize = 128;
/// Longest time for one of the floors.
const LASTS: Duration = Duration::from_millis(400);
/// Samples of one floor, at most.
const SAMPLES_MAX: usize = 4_000;
/// Samples of timers, which each take a millisecond.
const TIMERS: usize = 100;
/// A ping that is not answered within this ends the measurement.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);

/// Measures all floors; takes about a second. What cannot be measured has no samples.
pub fn measure(folder: &Path) -> NoiseFloor {
    NoiseFloor {
        ping_pong: ping_pong().unwrap_or_default(),
        fdatasync: fdatasync(folder).unwrap_or_default(),
        timer: timer().unwrap_or_default(),
    }
}

fn ping_pong() -> io::Result<Floor> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let mut near = TcpStream::connect(listener.local_addr()?)?;
    let (mut far, _) = listener.accept()?;
    for end in [&near, &far] {
        end.set_nodelay(true)?;
        end.set_read_timeout(Some(ANSWER_WITHIN))?;
    }
    let echo = thread::spawn(move || {
        let mut bytes = [0; BYTES];
        // It ends when the other end is closed.
        while far.read_exact(&mut bytes).and_then(|()| far.write_all(&bytes)).is_ok() {}
    });
    let mut bytes = [0; BYTES];
    let floor = repeat(SAMPLES_MAX, || {
        near.write_all(&bytes)?;
        near.read_exact(&mut bytes)
    });
    drop(near);
    // Nothing is left of it but its end.
    let _ = echo.join();
    floor
}

fn fdatasync(folder: &Path) -> io::Result<Floor> {
    fs::create_dir_all(folder)?;
    let path = folder.join("floor.tmp");
    let mut file = OpenOptions::new().append(true).create(true).open(&path)?;
    let floor = repeat(SAMPLES_MAX, || {
        file.write_all(&[0; BYTES])?;
        file.sync_data()
    });
    fs::remove_file(&path)?;
    floor
}

/// How much later than asked for.
fn timer() -> io::Result<Floor> {
    let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_CLOEXEC)?;
    let floor = repeat(TIMERS, || {
        let after = TimeSpec::from_duration(Duration::from_millis(1));
        timer.set(Expiration::OneShot(after), TimerSetTimeFlags::empty())?;
        timer.wait().map_err(Into::into)
    })?;
    let later = |us: Option<u64>| us.map(|us| us.saturating_sub(1_000));
    Ok(Floor {
        p50_us: later(floor.p50_us),
        p99_us: later(floor.p99_us),
        max_us: later(floor.max_us),
        ..floor
    })
}

#[allow(clippy::disallowed_methods, reason = "the machine's own speed is measured in its own time")]
fn repeat(samples_max: usize, mut once: impl FnMut() -> io::Result<()>) -> io::Result<Floor> {
    let began = Instant::now();
    let mut took_us = Vec::new();
    while took_us.len() < samples_max && began.elapsed() < LASTS {
        let before = Instant::now();
        once()?;
        took_us.push(before.elapsed().as_micros() as u64);
    }
    took_us.sort_unstable();
    let at = |percent: usize| took_us.get((took_us.len() * percent).div_ceil(100).saturating_sub(1)).copied();
    Ok(Floor { samples: took_us.len() as u64, p50_us: at(50), p99_us: at(99), max_us: at(100) })
}
