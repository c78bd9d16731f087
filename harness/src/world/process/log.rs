//! What a server writes: into a file of limited size, its end kept at hand, the line that says "ready" picked out.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{ChildStderr, ChildStdout};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A log is cut off after this.
pub const LOG_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// So much of its end is kept for error texts.
pub const TAIL_BYTES: usize = 4 * 1024;
/// Longest line that is looked at for readiness.
pub const LINE_BYTES_MAX: usize = 64 * 1024;

/// One server's log over all its lives.
#[derive(Clone, Debug)]
pub(super) struct Log {
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug)]
struct Shared {
    file: File,
    written_bytes: u64,
    tail: VecDeque<u8>,
}

/// The line that says "ready".
#[derive(Clone, Debug)]
pub(super) enum Wanted {
    /// JSON on standard output that names the address.
    Announcement,
    /// Any line, on either stream, that has these words; the address is known.
    Words(String, SocketAddr),
}

/// Looks for that line; whichever stream has it first tells.
#[derive(Clone, Debug)]
struct Watch {
    wanted: Wanted,
    sender: Arc<Mutex<Option<ReadySender>>>,
}

/// Resolves when the server says that it is ready.
#[derive(Debug)]
pub(super) struct Announcement(Option<oneshot::Receiver<(serde_json::Value, SocketAddr)>>);

impl Log {
    /// A new, empty log.
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let file = OpenOptions::new().create(true).write(true).truncate(true).open(path)?;
        let shared = Shared { file, written_bytes: 0, tail: VecDeque::new() };
        Ok(Self { shared: Arc::new(Mutex::new(shared)) })
    }

    /// Takes what a new process writes, until it closes both streams; then the tasks end.
    pub(super) fn follow(
        &self,
        output: Option<ChildStdout>,
        errors: Option<ChildStderr>,
        wanted: Wanted,
    ) -> (Announcement, Vec<JoinHandle<()>>) {
        let (sender, receiver) = oneshot::channel();
        let on_errors = matches!(wanted, Wanted::Words(..));
        let watch = Watch { wanted, sender: Arc::new(Mutex::new(Some(sender))) };
        let errors = errors.map(|it| tokio::spawn(copy(self.clone(), it, on_errors.then(|| watch.clone()))));
        let output = output.map(|it| tokio::spawn(copy(self.clone(), it, Some(watch))));
        (Announcement(Some(receiver)), errors.into_iter().chain(output).collect())
    }

    /// Takes what a new process writes to standard error, until it closes that.
    pub(super) fn follow_errors(&self, errors: ChildStderr) -> JoinHandle<()> {
        tokio::spawn(copy(self.clone(), errors, None))
    }

    /// The end of what was written.
    pub(super) fn tail(&self) -> String {
        let mut shared = self.lock();
        String::from_utf8_lossy(shared.tail.make_contiguous()).into_owned()
    }

    fn append(&self, bytes: &[u8]) {
        let mut shared = self.lock();
        let room = LOG_BYTES_MAX.saturating_sub(shared.written_bytes);
        let kept = &bytes[..bytes.len().min(room as usize)];
        // A full disk must not end a run that can go on without this log; the tail is still kept.
        let _lost = shared.file.write_all(kept);
        if kept.len() < bytes.len() && room > 0 {
            let _lost = shared.file.write_all(b"\n[the log is cut off here]\n");
        }
        shared.written_bytes += kept.len() as u64;
        shared.tail.extend(bytes);
        let excess = shared.tail.len().saturating_sub(TAIL_BYTES);
        shared.tail.drain(..excess);
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Announcement {
    /// Waits for the line; for ever if the server closes its output without one.
    pub(super) async fn line(&mut self) -> (serde_json::Value, SocketAddr) {
        if let Some(receiver) = self.0.as_mut()
            && let Ok(announced) = receiver.await
        {
            self.0 = None;
            return announced;
        }
        std::future::pending().await
    }
}

type ReadySender = oneshot::Sender<(serde_json::Value, SocketAddr)>;

async fn copy(log: Log, mut from: impl AsyncRead + Unpin, watch: Option<Watch>) {
    let mut buffer = vec![0; 8 * 1024];
    let mut line = Vec::new();
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        let bytes = &buffer[..read];
        log.append(bytes);
        if let Some(watch) = watch.as_ref().filter(|watch| watch.is_waiting()) {
            for byte in bytes {
                watch.look(*byte, &mut line);
            }
        }
    }
}

impl Watch {
    fn is_waiting(&self) -> bool {
        self.sender.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Takes one more byte of a line; at its end, says so if it is the one.
    fn look(&self, byte: u8, line: &mut Vec<u8>) {
        if byte != b'\n' {
            // Too long to be it; what follows the limit is not kept.
            if line.len() < LINE_BYTES_MAX {
                line.push(byte);
            }
            return;
        }
        if let Some(announced) = self.parse(line)
            && let Some(sender) = self.sender.lock().unwrap_or_else(PoisonError::into_inner).take()
        {
            // An error means that nobody waits any more: the start was given up.
            let _late = sender.send(announced);
        }
        line.clear();
    }

    /// Reads a line that may say "ready".
    fn parse(&self, line: &[u8]) -> Option<(serde_json::Value, SocketAddr)> {
        match &self.wanted {
            Wanted::Announcement => parse(line),
            Wanted::Words(words, address) => {
                let has = String::from_utf8_lossy(line).contains(words.as_str());
                has.then_some((serde_json::Value::Null, *address))
            }
        }
    }
}

/// Reads a line that says "ready".
fn parse(line: &[u8]) -> Option<(serde_json::Value, SocketAddr)> {
    let value: serde_json::Value = serde_json::from_slice(line).ok()?;
    let is_ready = value.get("ready")?.as_bool()?;
    let address = value.get("address")?.as_str()?.parse().ok()?;
    is_ready.then_some((value, address))
}
