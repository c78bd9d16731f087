//! What was decided, one JSON line each: about which connection of which proxy, and nothing of when. So the same seed and the same
//! traffic give the same lines; only how the lines of different connections are mixed depends on the moment, and `sort`
//! makes files equal.

use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

use crate::link::Event as LinkEvent;
use crate::toxics::Event as ToxicEvent;
use crate::world::proxy::Happened;

/// Gets decisions.
pub struct Journal {
    out: Mutex<Box<dyn Write + Send>>,
}

/// One line.
#[derive(Serialize)]
struct Line<'a> {
    proxy: &'a str,
    connection: u64,
    #[serde(flatten)]
    what: What<'a>,
}

/// One decision, or what it led to.
#[derive(Serialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
enum What<'a> {
    Connected,
    Fault { fault: u32, kind: &'a str, frame: u64, detail: &'a str },
    Triggered { fault: u32, frame: u64 },
    Expired { fault: u32 },
    Refused { fault: u32 },
    Toxic { toxic: &'a str, applies: bool },
    Ended { toxic: &'a str, how: &'a str },
    Unreachable { why: &'a str },
    Unparsed { bytes: u64 },
    Failed { why: &'a str },
}

impl Journal {
    /// Writes to this.
    pub fn new(out: impl Write + Send + 'static) -> Self {
        Self { out: Mutex::new(Box::new(out)) }
    }

    /// One that nobody reads.
    pub fn nowhere() -> Self {
        Self::new(io::sink())
    }

    /// Everything that was told is where it belongs.
    pub fn flush(&self) -> io::Result<()> {
        self.out.lock().unwrap_or_else(PoisonError::into_inner).flush()
    }

    /// Takes down what happened on a connection.
    pub(super) fn tell(&self, proxy: &str, connection: u64, happened: &Happened) {
        let what = match happened {
            Happened::Connected(_) => What::Connected,
            Happened::Fault(LinkEvent::Fired { fault, kind, frame, detail }) => {
                What::Fault { fault: *fault, kind, frame: *frame, detail }
            }
            Happened::Fault(LinkEvent::Triggered { fault, frame }) => {
                What::Triggered { fault: *fault, frame: *frame }
            }
            Happened::Fault(LinkEvent::Expired { fault }) => What::Expired { fault: *fault },
            Happened::Refused(refused) => What::Refused { fault: refused.fault },
            Happened::Toxic(ToxicEvent::Decided { toxic, applies }) => {
                What::Toxic { toxic, applies: *applies }
            }
            Happened::Toxic(ToxicEvent::Ended { toxic, is_reset }) => {
                What::Ended { toxic, how: if *is_reset { "reset" } else { "closed" } }
            }
            Happened::Unreachable { why } => What::Unreachable { why },
            Happened::Closed { unparsed_bytes: 0, .. } => return,
            Happened::Closed { unparsed_bytes, .. } => What::Unparsed { bytes: *unparsed_bytes },
            Happened::Failed { why } => What::Failed { why },
        };
        let Ok(mut text) = serde_json::to_vec(&Line { proxy, connection, what }) else { return };
        text.push(b'\n');
        // A full disk or a closed pipe is told by `flush`, and ends no connection.
        let _ = self.out.lock().unwrap_or_else(PoisonError::into_inner).write_all(&text);
    }
}
