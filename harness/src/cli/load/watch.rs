//! What somebody sees while a load test goes on: a line that changes on a terminal, a plain line every few seconds elsewhere.

use std::fmt::Write as _;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use avouch_reports::escape::shortened;
use avouch_reports::latency::{Stage, show_us};

use crate::cli::output::Output;
use crate::cli::signals;
use crate::interrupt::Interrupt;
use crate::load::{Live, LiveFigures};

/// How often the line that changes is written again.
const REDRAW: Duration = Duration::from_millis(500);
/// Redraws between two plain lines.
const PLAIN_EVERY: u32 = 10;
/// Narrower than most terminals: a line that wraps cannot be overwritten.
const LINE_BYTES_MAX: usize = 110;
/// The test runs with as much stack as any other run.
const STACK_BYTES: usize = 8 * 1024 * 1024;

/// Watches one test.
pub(super) struct Watch {
    pub(super) live: Live,
    pub(super) interrupt: Interrupt,
    pub(super) duration: Duration,
    pub(super) output: Output,
}

enum News<T> {
    Done(T),
    Signal,
}

impl Watch {
    /// Runs it on a thread of its own and tells what can be seen meanwhile; `None` = interrupted twice, nothing is waited for.
    pub(super) fn until_done<T: Send + 'static>(
        &self,
        test: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let output = self.output;
        let (sender, news) = mpsc::channel();
        let to_signal = sender.clone();
        let heard = signals::listen(move || drop(to_signal.send(News::Signal)));
        if let Err(error) = heard {
            output.say(format!("note: an interrupt will end this at once: {error}"));
        }
        let thread = thread::Builder::new().name("generator".to_owned()).stack_size(STACK_BYTES);
        let running = thread.spawn(move || drop(sender.send(News::Done(test()))));
        let running =
            running.map_err(|error| output.error(format!("no thread could be started: {error}"))).ok()?;
        let mut redraws = 0;
        loop {
            match news.recv_timeout(REDRAW) {
                Ok(News::Done(done)) => {
                    output.clear_progress();
                    return Some(done);
                }
                Ok(News::Signal) if self.interrupt.is_set() => return None,
                Ok(News::Signal) => {
                    self.interrupt.set();
                    output.clear_progress();
                    output.say("interrupted: what was sent is drained and judged; once more to stop at once");
                }
                Err(RecvTimeoutError::Timeout) => {}
                // It panicked, and the panic was told.
                Err(RecvTimeoutError::Disconnected) => return None,
            }
            if running.is_finished() && !self.interrupt.is_set() {
                continue;
            }
            redraws += 1;
            let line = line(&self.live.now(), self.duration);
            if output.is_watched() {
                output.progress(shortened(&line, LINE_BYTES_MAX));
            } else if redraws % PLAIN_EVERY == 0 {
                output.say(line);
            }
        }
    }
}

/// `12 s of 30 s: 5,000 sent, 4,990 accepted (498/s), 4,985 delivered, 10 outstanding; p50/p99 0.3/1.2 ms; pause`.
fn line(figures: &LiveFigures, duration: Duration) -> String {
    let Some(begun_ns) = figures.begun_ns else { return "set-up: sessions connect".to_owned() };
    let elapsed_ns = figures.now_ns.saturating_sub(begun_ns);
    let (elapsed_s, duration_s) = (elapsed_ns as f64 / 1e9, duration.as_secs_f64());
    let totals = figures.totals;
    let when = if elapsed_s > duration_s {
        "drain".to_owned()
    } else {
        format!("{elapsed_s:.0} s of {duration_s:.0} s, {:.0} s left", (duration_s - elapsed_s).max(0.0))
    };
    let mut line = format!(
        "{when}: {} sent, {} accepted, {} delivered, {} outstanding",
        totals.sent, totals.accepted, figures.delivered, figures.outstanding
    );
    if let Some(last) = figures.last {
        for stage in [Stage::Accepted, Stage::Delivered] {
            let of = last.stage(stage);
            if let (Some(p50), Some(p99)) = (of.p50_us, of.p99_us) {
                let (p50, p99) = (show_us(p50), show_us(p99));
                let _ = write!(line, "; {} {}/s p50 {p50} p99 {p99}", stage.name(), of.count);
            }
        }
    }
    for fault in &figures.faults {
        let _ = write!(line, " [{fault}]");
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_how_far_it_is_and_what_is_wrong_on_purpose() {
        let mut figures = LiveFigures::default();
        assert_eq!(line(&figures, Duration::from_secs(10)), "set-up: sessions connect");
        figures.begun_ns = Some(1_000_000_000);
        figures.now_ns = 5_000_000_000;
        figures.faults = vec!["pause".to_owned()];
        let words = line(&figures, Duration::from_secs(10));
        assert_eq!(words, "4 s of 10 s, 6 s left: 0 sent, 0 accepted, 0 delivered, 0 outstanding [pause]");
        figures.now_ns = 12_000_000_000;
        assert!(line(&figures, Duration::from_secs(10)).starts_with("drain: "));
    }
}
