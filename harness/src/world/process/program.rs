//! A program whose standard input and output are a conversation with one device: a client of its own (`docs/exec.md`).
//!
//! It runs in a process group of its own and cannot outlive this tool, like a server ([`super::Process`]): the group is killed
//! when the last end of the conversation is dropped, and by the watchdog when this tool is gone. What it writes to standard
//! error goes to a log of limited size. It runs where this tool runs, so that a command is taken as a shell would take it.

use std::cell::RefCell;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::process::ExitStatus;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::process::{ChildStdin, ChildStdout, Command};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::group::{Running, spawn_watched};
use super::log::Log;

/// How long an end that shows itself by a closed output may take to be one of the process.
const END_WITHIN: Duration = Duration::from_millis(500);

/// How to start a program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Invocation {
    /// The program and its arguments.
    pub words: Vec<String>,
    /// What is added to the environment.
    pub environment: Vec<(String, String)>,
}

/// Starts the programs of one device, one after another.
pub struct Host {
    invocation: Invocation,
    log: Log,
    current: RefCell<Option<Rc<Program>>>,
    refusal: RefCell<Option<io::Error>>,
}

/// One process.
struct Program {
    running: RefCell<Running>,
    errors: RefCell<Option<JoinHandle<()>>>,
}

/// Its standard input and output.
pub struct Conversation {
    input: Option<ChildStdin>,
    output: ChildStdout,
    /// The process lives as long as somebody talks to it.
    program: Rc<Program>,
}

impl Drop for Conversation {
    /// A program goes when its input closes; so that nobody takes that for an end of its own, it stays open until the process is
    /// given up.
    fn drop(&mut self) {
        self.program.running.borrow_mut().input = self.input.take();
    }
}

impl Host {
    /// Nothing is started yet. `log` gets what the programs write to standard error.
    pub fn new(invocation: Invocation, log: &Path) -> io::Result<Self> {
        let log = Log::create(log)?;
        Ok(Self { invocation, log, current: RefCell::default(), refusal: RefCell::default() })
    }

    /// Starts a program.
    pub fn start(&self) -> io::Result<Conversation> {
        self.spawn().inspect_err(|error| {
            let shown = io::Error::new(error.kind(), error.to_string());
            self.refusal.borrow_mut().get_or_insert(shown);
        })
    }

    fn spawn(&self) -> io::Result<Conversation> {
        let (program, arguments) =
            self.invocation.words.split_first().ok_or_else(|| io::Error::other("no program is named"))?;
        let mut command = Command::new(program);
        command.args(arguments).envs(self.invocation.environment.iter().map(|(name, value)| (name, value)));
        let mut running = spawn_watched(&mut command)?;
        let (input, output) = (running.input.take(), running.child.stdout.take());
        let errors = running.child.stderr.take().map(|errors| self.log.follow_errors(errors));
        let program = Rc::new(Program { running: RefCell::new(running), errors: RefCell::new(errors) });
        *self.current.borrow_mut() = Some(program.clone());
        let output = output.ok_or_else(|| io::Error::other("no pipe"))?;
        Ok(Conversation { input, output, program })
    }

    /// What became of the program, whose conversation is of no use because of `why`. It does not outlive this.
    pub async fn epitaph(&self, why: &str) -> String {
        let command = self.invocation.words.join(" ");
        if let Some(error) = self.refusal.borrow_mut().take() {
            return format!("`{command}` could not be started: {error}");
        }
        let program = self.current.borrow_mut().take();
        let status = match &program {
            Some(program) => program.end().await,
            None => None,
        };
        let tail = self.log.tail();
        let said = match tail.trim_end() {
            "" => "it wrote nothing to standard error".to_owned(),
            tail => format!("the end of what it wrote to standard error:\n{tail}"),
        };
        let ended = status.map_or_else(String::new, |status| format!("; it ended by itself ({status})"));
        format!("`{command}` {why}{ended}; {said}")
    }
}

impl Program {
    /// How it ended, if it did so by itself just now.
    async fn end(&self) -> Option<ExitStatus> {
        let looks = END_WITHIN.as_millis() / super::LOOK_EVERY.as_millis();
        for _ in 0..looks {
            let status = self.running.borrow_mut().child.try_wait();
            if let Ok(Some(status)) = status {
                let errors = self.errors.borrow_mut().take();
                if let Some(errors) = errors {
                    // A child of its own may hold the other end for longer.
                    let _in_time = timeout(super::LAST_WORDS_WITHIN, errors).await;
                }
                return Some(status);
            }
            tokio::time::sleep(super::LOOK_EVERY).await;
        }
        None
    }
}

impl AsyncRead for Conversation {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.output).poll_read(context, buffer)
    }
}

impl AsyncWrite for Conversation {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.input {
            Some(input) => Pin::new(input).poll_write(context, bytes),
            None => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.input.as_mut().map_or(Poll::Ready(Ok(())), |input| Pin::new(input).poll_flush(context))
    }

    /// Closes its standard input.
    fn poll_shutdown(mut self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.input = None;
        Poll::Ready(Ok(()))
    }
}
