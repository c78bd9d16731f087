//! A server under test as a real process: started, found ready, killed, paused, restarted, and never left behind.
//!
//! Each runs in a process group of its own, and every signal goes to the group, so that a wrapper script dies with
//! what it wraps. What the server may not outlive, it does not: dropping a [`Process`] kills the group (also while a
//! panic unwinds), and a watchdog kills it when this tool itself is gone, however it went. Its standard input is a
//! pipe that closes at the same moment, for servers that can watch it.
//!
//! What it is not: a supervisor. It restarts nothing by itself; a death that nobody asked for is reported with the
//! end of the log.

pub mod disk;
mod group;
mod log;
mod owner;
pub mod program;
#[cfg(test)]
mod tests;
mod watchdog;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::task::JoinHandle;
use tokio::time::timeout;

pub(in crate::world) use group::nobody_forks;
use group::{Running, program_within, spawn_watched};
pub use log::{LINE_BYTES_MAX, LOG_BYTES_MAX, TAIL_BYTES};
use log::{Log, Wanted};
pub use owner::{Owner, port_owner};

/// How long a signal may take to show its effect.
const SIGNAL_LIMIT: Duration = Duration::from_secs(2);
/// How often something is looked at that cannot be waited for.
const LOOK_EVERY: Duration = Duration::from_millis(2);
/// How often the owner of a port is looked for before it is somebody else.
const OWNER_LOOKS: u32 = 25;
/// How long the last words of a process that ended may take.
const LAST_WORDS_WITHIN: Duration = Duration::from_millis(500);

/// How to start a server.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// What is added to the environment.
    pub environment: Vec<(String, String)>,
    /// Where it runs; made if missing.
    pub directory: PathBuf,
    /// Gets what it writes to standard output and error, up to [`LOG_BYTES_MAX`].
    pub log: PathBuf,
    /// How it says that it is ready.
    pub ready: Ready,
    /// It must be ready within this.
    pub ready_within: Duration,
    /// The signal that asks it to stop.
    pub stop: Signal,
    /// It sees the files that this process sees, which has mounts of its own ([`disk::Disk`]); `None`: those that everybody sees.
    pub within: Option<u32>,
}

/// How a server says that it is ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ready {
    /// By a line of JSON on standard output: `{"ready":true,"address":"127.0.0.1:4321"}`; further members are kept.
    Line,
    /// By accepting connections at an address that is known before.
    Accepts(SocketAddr),
    /// By accepting connections at an address that is known before, and by a line of its log that has these words.
    Says(SocketAddr, String),
}

/// A server process.
#[derive(Debug)]
pub struct Process {
    launch: Launch,
    log: Log,
    address: Option<SocketAddr>,
    announced: serde_json::Value,
    running: Option<Running>,
    /// What takes its log while it runs.
    readers: Vec<JoinHandle<()>>,
}

/// How a stop ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// It went by itself when asked.
    ByItself,
    /// It had to be killed.
    Killed,
}

/// It ended and nobody had asked it to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the server died on its own ({status}); {}", end_of_log(tail))]
pub struct Death {
    /// How.
    pub status: ExitStatus,
    /// The end of its log.
    pub tail: String,
}

fn end_of_log(tail: &str) -> String {
    match tail.trim_end() {
        "" => "it wrote nothing".to_owned(),
        _ => format!("the end of its log:\n{tail}"),
    }
}

/// What can go wrong with a server process.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// It could not be started.
    #[error("cannot start {program}: {error}{}", if error.kind() == io::ErrorKind::NotFound { "; is it installed, and on the PATH?" } else { "" })]
    Start {
        /// What.
        program: String,
        /// Why.
        error: io::Error,
    },
    /// It ended before it was ready, or later on its own.
    #[error(transparent)]
    Died(#[from] Death),
    /// It did not become ready in time.
    #[error("the server was not ready within {limit:?}; {}", end_of_log(tail))]
    NotReady {
        /// How long it had.
        limit: Duration,
        /// The end of its log.
        tail: String,
    },
    /// Somebody else listens where our server should.
    #[error("port {port} belongs to a process that is not the server under test")]
    ForeignPort {
        /// The port.
        port: u16,
    },
    /// It is not running.
    #[error("the server is not running")]
    NotRunning,
    /// It is running already.
    #[error("the server is already running")]
    Running,
    /// A signal had no effect.
    #[error("signal {signal} had no effect: {why}")]
    Signal {
        /// Which.
        signal: &'static str,
        /// Why not.
        why: String,
    },
}

impl Process {
    /// Starts a server and waits until it is ready.
    pub async fn start(launch: Launch) -> Result<Self, ProcessError> {
        let log = Log::create(&launch.log).map_err(|error| cannot_start(&launch, error))?;
        let announced = serde_json::Value::Null;
        let mut process = Self { launch, log, address: None, announced, running: None, readers: Vec::new() };
        process.start_again().await?;
        Ok(process)
    }

    /// Starts it again after it was killed or stopped, at the same address.
    pub async fn start_again(&mut self) -> Result<(), ProcessError> {
        if self.running.is_some() {
            return Err(ProcessError::Running);
        }
        let mut announcement = self.spawn().map_err(|error| cannot_start(&self.launch, error))?;
        let limit = self.launch.ready_within;
        let ready = self.launch.ready.clone();
        let readiness = async {
            match ready {
                Ready::Line => announcement.line().await,
                Ready::Accepts(address) => {
                    accepts(address).await;
                    (serde_json::Value::Null, address)
                }
                Ready::Says(address, _) => {
                    announcement.line().await;
                    accepts(address).await;
                    (serde_json::Value::Null, address)
                }
            }
        };
        let address = timeout(limit, self.alive_until(readiness)).await;
        match address {
            Ok(Ok((announced, address))) => {
                (self.announced, self.address) = (announced, Some(address));
            }
            Ok(Err(death)) => return Err(death.into()),
            Err(_elapsed) => {
                self.kill().await?;
                return Err(ProcessError::NotReady { limit, tail: self.log.tail() });
            }
        }
        self.check_owner().await
    }

    /// Where it listens.
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// What it said when it was ready.
    pub fn announced(&self) -> &serde_json::Value {
        &self.announced
    }

    /// Its process id, while it runs.
    pub fn id(&self) -> Option<u32> {
        self.running.as_ref().map(|running| running.group.as_raw() as u32)
    }

    /// The end of its log.
    pub fn log_tail(&self) -> String {
        self.log.tail()
    }

    /// Kills it at once (SIGKILL). What it wrote to the operating system survives.
    pub async fn kill(&mut self) -> Result<(), ProcessError> {
        let running = self.running.as_mut().ok_or(ProcessError::NotRunning)?;
        running.signal(Signal::SIGKILL)?;
        self.reap(SIGNAL_LIMIT, "SIGKILL").await.map(drop)
    }

    /// Makes it stand still (SIGSTOP) and waits until every thread of its group does.
    pub async fn pause(&mut self) -> Result<(), ProcessError> {
        self.switch(Signal::SIGSTOP, owner::all_stand_still).await
    }

    /// Lets it go on (SIGCONT).
    pub async fn resume(&mut self) -> Result<(), ProcessError> {
        self.switch(Signal::SIGCONT, owner::goes_on).await
    }

    /// From its next start on it sees the files that another process sees.
    pub fn see_within(&mut self, process: Option<u32>) {
        self.launch.within = process;
    }

    /// Asks it to stop, and kills it if it is not gone in time.
    pub async fn stop(&mut self, limit: Duration) -> Result<Stopped, ProcessError> {
        let signal = self.launch.stop;
        let running = self.running.as_mut().ok_or(ProcessError::NotRunning)?;
        running.signal(signal)?;
        // A paused process hears nothing before it goes on.
        running.signal(Signal::SIGCONT)?;
        if self.reap(limit, signal.as_str()).await.is_ok() {
            return Ok(Stopped::ByItself);
        }
        self.kill().await?;
        Ok(Stopped::Killed)
    }

    /// Closes its standard input, which tells a server that watches it to go. Its end then counts as its own.
    pub fn close_input(&mut self) {
        if let Some(running) = &mut self.running {
            running.input = None;
        }
    }

    /// Whether it died although nobody asked it to. Says so once; then it counts as not running.
    pub async fn death(&mut self) -> Option<Death> {
        let running = self.running.as_mut()?;
        let status = running.child.try_wait().ok()??;
        Some(self.bury(status).await)
    }

    /// Waits for it to die on its own; for ever if it does not run. Can be dropped and called again.
    pub async fn dies(&mut self) -> Death {
        let Some(running) = self.running.as_mut() else { return std::future::pending().await };
        match running.child.wait().await {
            Ok(status) => self.bury(status).await,
            Err(_cannot_wait) => std::future::pending().await,
        }
    }

    fn spawn(&mut self) -> io::Result<log::Announcement> {
        let launch = &self.launch;
        std::fs::create_dir_all(&launch.directory)?;
        let mut command = program_within(launch);
        command.args(&launch.arguments);
        command.envs(launch.environment.iter().map(|(name, value)| (name, value)));
        let mut running = spawn_watched(&mut command)?;
        let wanted = match &launch.ready {
            Ready::Says(address, words) => Wanted::Words(words.clone(), *address),
            Ready::Line | Ready::Accepts(_) => Wanted::Announcement,
        };
        let (output, errors) = (running.child.stdout.take(), running.child.stderr.take());
        let (announcement, readers) = self.log.follow(output, errors, wanted);
        self.readers = readers;
        self.running = Some(running);
        Ok(announcement)
    }

    /// Waits for something, unless the server dies before.
    async fn alive_until<T>(&mut self, ready: impl Future<Output = T>) -> Result<T, Death> {
        tokio::select! {
            biased;
            ready = ready => Ok(ready),
            death = self.dies() => Err(death),
        }
    }

    /// A stale server from elsewhere must not be taken for ours.
    async fn check_owner(&mut self) -> Result<(), ProcessError> {
        let (Some(address), Some(running)) = (self.address, &self.running) else { return Ok(()) };
        let group = running.group.as_raw();
        for _ in 0..OWNER_LOOKS {
            if port_owner(group, address.port()) != Owner::Other {
                return Ok(());
            }
            // One that is just about to die gives up its sockets before it is gone.
            if let Some(death) = self.death().await {
                return Err(death.into());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        self.kill().await?;
        Err(ProcessError::ForeignPort { port: address.port() })
    }

    /// Waits for the end that a signal brings.
    async fn reap(&mut self, limit: Duration, signal: &'static str) -> Result<ExitStatus, ProcessError> {
        let running = self.running.as_mut().ok_or(ProcessError::NotRunning)?;
        match timeout(limit, running.child.wait()).await {
            Ok(Ok(status)) => {
                self.forget();
                Ok(status)
            }
            Ok(Err(error)) => Err(ProcessError::Signal { signal, why: error.to_string() }),
            Err(_elapsed) => {
                Err(ProcessError::Signal { signal, why: format!("it is still there after {limit:?}") })
            }
        }
    }

    async fn switch(&mut self, signal: Signal, switched: fn(i32) -> bool) -> Result<(), ProcessError> {
        let running = self.running.as_mut().ok_or(ProcessError::NotRunning)?;
        running.signal(signal)?;
        let group = running.group.as_raw();
        let switched = async {
            while !switched(group) {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        timeout(SIGNAL_LIMIT, switched).await.map_err(|_elapsed| ProcessError::Signal {
            signal: signal.as_str(),
            why: format!("the process did not change within {SIGNAL_LIMIT:?}"),
        })
    }

    /// Its last words may still be on their way.
    async fn bury(&mut self, status: ExitStatus) -> Death {
        let end = async {
            while let Some(reader) = self.readers.last_mut() {
                let _read = reader.await;
                self.readers.pop();
            }
        };
        // What else is in its group may hold the pipes open for longer.
        let _in_time = timeout(LAST_WORDS_WITHIN, end).await;
        self.forget();
        Death { status, tail: self.log.tail() }
    }

    /// The leader is gone; what else is in its group goes too.
    fn forget(&mut self) {
        self.running = None;
        self.readers.clear();
    }
}

fn cannot_start(launch: &Launch, error: io::Error) -> ProcessError {
    ProcessError::Start { program: launch.program.display().to_string(), error }
}

async fn accepts(address: SocketAddr) {
    while tokio::net::TcpStream::connect(address).await.is_err() {
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
