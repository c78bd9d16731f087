//! A server as a process: settings, log, listeners, signals, one line of readiness, an exit code.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::time::UNIX_EPOCH;

use serde::Serialize;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{error, info};
use tracing_subscriber::EnvFilter;

use crate::config::{Config, ConfigError, LogFormat, ServerArgs, check_environment};
use crate::disk::FileDisk;
use crate::journal::{Journal, JournalError, JournalOptions};
use crate::metrics::metrics;
use crate::serve::{JournalMode, ServeError, ServeOptions, serve};
use crate::{admin, tls};

/// How a server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It was asked to stop, and did.
    Stopped,
    /// The settings are wrong.
    BadConfig,
    /// It could not start or go on: an address or the data directory is in use, or the disk failed.
    Failed,
}

impl Exit {
    /// The process's exit code.
    pub fn code(self) -> u8 {
        match self {
            Self::Stopped => 0,
            Self::BadConfig => 2,
            Self::Failed => 4,
        }
    }
}

/// Why a server could not start or go on.
#[derive(Debug, Error)]
enum RunError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("cannot listen on {0}: {1}")]
    Listen(SocketAddr, io::Error),
    #[error("{0}: {1}")]
    Journal(String, JournalError),
    #[error("the system gives no random numbers")]
    Entropy,
    #[error("cannot handle signals: {0}")]
    Signals(io::Error),
    #[error(transparent)]
    Serve(#[from] ServeError),
}

/// One line on stdout, as soon as clients can connect.
#[derive(Debug, Serialize)]
struct Announcement {
    ready: bool,
    address: SocketAddr,
    metrics: Option<SocketAddr>,
    tls: bool,
    pid: u32,
}

/// Runs a server until it is asked to stop (SIGTERM, SIGINT) or fails. Errors go to stderr, the readiness to stdout.
pub async fn run(args: ServerArgs) -> Exit {
    match start(args).await {
        Ok(()) => Exit::Stopped,
        Err(why) => {
            // A closed stderr must not hide the exit code.
            let _ = writeln!(io::stderr(), "error: {why}");
            match why {
                RunError::Config(_) => Exit::BadConfig,
                _ => Exit::Failed,
            }
        }
    }
}

async fn start(args: ServerArgs) -> Result<(), RunError> {
    check_environment(std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()))?;
    let settings = args.merged()?;
    if args.print_config {
        settings.resolve()?;
        let _ = io::stdout().write_all(settings.to_toml().as_bytes());
        return Ok(());
    }
    let config = settings.resolve()?;
    let tls = config.tls.as_ref().map(|(chain, key)| tls::acceptor(chain, key)).transpose()?;
    start_log(&config)?;
    let stop = StopSignals::new().map_err(RunError::Signals)?;
    let listener = listen(config.listen).await?;
    let metrics_listener = match config.metrics_listen {
        Some(address) => Some(listen(address).await?),
        None => None,
    };
    let journal_options = JournalOptions {
        cache_bytes: config.cache_bytes,
        seed: entropy()?,
        defects: config.engine.defects,
        ..JournalOptions::default()
    };
    let journal = Journal::open(&FileDisk::new(&config.data), journal_options)
        .map_err(|error| RunError::Journal(config.data.display().to_string(), error))?;
    let (handle, source) = metrics();
    announce(&Announcement {
        ready: true,
        address: listener.local_addr().map_err(|error| RunError::Listen(config.listen, error))?,
        metrics: metrics_listener.as_ref().and_then(|listener| listener.local_addr().ok()),
        tls: tls.is_some(),
        pid: std::process::id(),
    });
    let admin = metrics_listener.map(|listener| tokio::spawn(admin::serve(listener, handle)));
    let options = ServeOptions {
        mode: JournalMode::Thread,
        wall_ms: Box::new(wall_ms),
        seed: entropy()?,
        connections_max: config.connections_max,
        batch_records_max: config.batch_records_max,
        tls,
        metrics: Some(source),
        ..ServeOptions::new(config.engine, journal)
    };
    let outcome = serve(listener, options, stop.wait()).await;
    if let Some(admin) = admin {
        admin.abort();
    }
    match outcome {
        Ok(stopped) => {
            info!(commits = stopped.journal.commits, records = stopped.journal.records, "stopped");
            Ok(())
        }
        Err(error) => {
            error!(%error, "the server gave up");
            Err(error.into())
        }
    }
}

async fn listen(address: SocketAddr) -> Result<TcpListener, RunError> {
    TcpListener::bind(address).await.map_err(|error| RunError::Listen(address, error))
}

/// SIGTERM and SIGINT, caught from the moment this exists.
struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    fn new() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn wait(mut self) {
        tokio::select! {
            biased;
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

fn announce(announcement: &Announcement) {
    let mut line = serde_json::to_string(announcement).unwrap_or_default();
    line.push('\n');
    // Nobody has to listen.
    let mut stdout = io::stdout().lock();
    let _ = stdout.write_all(line.as_bytes()).and_then(|()| stdout.flush());
}

fn start_log(config: &Config) -> Result<(), ConfigError> {
    let filter =
        EnvFilter::try_new(&config.log).map_err(|error| ConfigError::Value("log", error.to_string()))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    // A harness that runs the server in its own process has a log already.
    let _ = match config.log_format {
        LogFormat::Text => builder.with_ansi(false).try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    Ok(())
}

/// A number that nobody can guess.
fn entropy() -> Result<u64, RunError> {
    let mut bytes = [0; 8];
    let provider = rustls::crypto::ring::default_provider();
    provider.secure_random.fill(&mut bytes).map_err(|_| RunError::Entropy)?;
    Ok(u64::from_le_bytes(bytes))
}

#[allow(clippy::disallowed_methods, reason = "this is the shell: here the wall clock comes in")]
fn wall_ms() -> u64 {
    std::time::SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}
