//! What an operator can set: flags over environment over file over defaults. One list of settings for all of them.

use std::fmt::Display;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::{Path, PathBuf};

use avouch_engine::defects::Defects;
use avouch_engine::limits::{CONNECTIONS_MAX, PAGE_ENTRIES_MAX, PAYLOAD_BYTES_MAX};
use avouch_engine::server::Config as EngineConfig;
use bytes::Bytes;
use clap::{Args, Command, ValueEnum};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::journal::{BATCH_RECORDS_MAX, CACHE_BYTES_DEFAULT};
use crate::serve::CONNECTIONS_MAX_DEFAULT;

/// Bytes of a configuration file, or of a secret.
const FILE_BYTES_MAX: u64 = 64 << 10;
/// Bytes of a secret at least.
pub const SECRET_BYTES_MIN: usize = 16;
/// How variables of the environment begin.
const ENVIRONMENT_PREFIX: &str = "AVOUCH_SERVER_";

/// Why the settings cannot be used. Exit code 2.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{path}: {1}", path = .0.display())]
    Unreadable(PathBuf, String),
    /// The file is not right; the text names line and key.
    #[error("{path}: {1}", path = .0.display())]
    Invalid(PathBuf, String),
    /// A variable that looks like ours and is none.
    #[error("unknown environment variable {0}; known are {1}")]
    UnknownVariable(String, String),
    /// A setting has a value that makes no sense.
    #[error("{0}: {1}")]
    Value(&'static str, String),
    /// A PEM file is not right.
    #[error("{path}: {1}", path = .0.display())]
    Tls(PathBuf, String),
}

/// The command line of a server.
#[derive(Args, Clone, Debug, Default)]
pub struct ServerArgs {
    /// Settings file (TOML; the keys are the names of the flags, with underscores)
    #[arg(long, env = "AVOUCH_SERVER_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print the settings that would be used, and stop
    #[arg(long)]
    pub print_config: bool,
    /// Everything that the file can hold as well.
    #[command(flatten)]
    pub settings: Settings,
}

/// Settings as given: what is absent was not said.
#[derive(Args, Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Address for clients (WebSocket); port 0 takes a free one [default: 127.0.0.1:7700]
    #[arg(long, env = "AVOUCH_SERVER_LISTEN", value_name = "ADDRESS")]
    pub listen: Option<SocketAddr>,
    /// Address for /metrics and /healthz [default: none]
    #[arg(long, env = "AVOUCH_SERVER_METRICS_LISTEN", value_name = "ADDRESS")]
    pub metrics_listen: Option<SocketAddr>,
    /// Data directory [default: avouch-data]
    #[arg(long, env = "AVOUCH_SERVER_DATA", value_name = "DIRECTORY")]
    pub data: Option<PathBuf>,
    /// What login tokens are signed with, at least 16 bytes
    #[arg(long, env = "AVOUCH_SERVER_SECRET", hide_env_values = true, value_name = "TEXT")]
    pub secret: Option<String>,
    /// File that holds the secret (a line end at its end does not count)
    #[arg(long, env = "AVOUCH_SERVER_SECRET_FILE", value_name = "FILE")]
    pub secret_file: Option<PathBuf>,
    /// Certificate chain for TLS (PEM)
    #[arg(long, env = "AVOUCH_SERVER_TLS_CERTIFICATES", value_name = "FILE")]
    pub tls_certificates: Option<PathBuf>,
    /// Private key for TLS (PEM)
    #[arg(long, env = "AVOUCH_SERVER_TLS_KEY", value_name = "FILE")]
    pub tls_key: Option<PathBuf>,
    /// Connections at one time [default: 10000]
    #[arg(long, env = "AVOUCH_SERVER_CONNECTIONS_MAX", value_name = "N")]
    pub connections_max: Option<usize>,
    /// Page cache of the journal, MiB [default: 64]
    #[arg(long, env = "AVOUCH_SERVER_CACHE_MIB", value_name = "MIB")]
    pub cache_mib: Option<usize>,
    /// Messages and other changes that one sync of the journal covers at most [default: 8192]
    #[arg(long, env = "AVOUCH_SERVER_BATCH_RECORDS_MAX", value_name = "N")]
    pub batch_records_max: Option<usize>,
    /// A connection that has not logged in by then is closed, ms [default: 10000]
    #[arg(long, env = "AVOUCH_SERVER_LOGIN_MS", value_name = "MS")]
    pub login_ms: Option<u64>,
    /// Interval of heartbeats, ms [default: 5000]
    #[arg(long, env = "AVOUCH_SERVER_HEARTBEAT_MS", value_name = "MS")]
    pub heartbeat_ms: Option<u32>,
    /// A peer that is silent for this long is dead, ms [default: 15000]
    #[arg(long, env = "AVOUCH_SERVER_SILENT_MS", value_name = "MS")]
    pub silent_ms: Option<u32>,
    /// First wait before an unacknowledged entry is sent again, ms [default: 500]
    #[arg(long, env = "AVOUCH_SERVER_REDELIVERY_FIRST_MS", value_name = "MS")]
    pub redelivery_first_ms: Option<u64>,
    /// Longest such wait, ms [default: 10000]
    #[arg(long, env = "AVOUCH_SERVER_REDELIVERY_CAP_MS", value_name = "MS")]
    pub redelivery_cap_ms: Option<u64>,
    /// Interval of the sweep for what a device lacks, ms [default: 3000]
    #[arg(long, env = "AVOUCH_SERVER_SWEEP_MS", value_name = "MS")]
    pub sweep_ms: Option<u64>,
    /// Entries in flight per device [default: 256]
    #[arg(long, env = "AVOUCH_SERVER_WINDOW_ENTRIES", value_name = "N")]
    pub window_entries: Option<usize>,
    /// Entries in one page of history or catch-up, at most [default: 256]
    #[arg(long, env = "AVOUCH_SERVER_PAGE_ENTRIES", value_name = "N")]
    pub page_entries: Option<usize>,
    /// Newest entries kept in memory per conversation; older ones are read from the journal [default: 512]
    #[arg(long, env = "AVOUCH_SERVER_TAIL_ENTRIES", value_name = "N")]
    pub tail_entries: Option<usize>,
    /// Operations per device and second [default: unlimited]
    #[arg(long, env = "AVOUCH_SERVER_OPERATIONS_PER_S", value_name = "N")]
    pub operations_per_s: Option<u32>,
    /// Bytes of one payload [default: 65536]
    #[arg(long, env = "AVOUCH_SERVER_PAYLOAD_BYTES_MAX", value_name = "BYTES")]
    pub payload_bytes_max: Option<usize>,
    /// Form of the log on stderr [default: text]
    #[arg(long, env = "AVOUCH_SERVER_LOG_FORMAT", value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,
    /// What is logged: error, warn, info, debug, trace, or a filter such as `avouch_server=debug` [default: info]
    #[arg(long, env = "AVOUCH_SERVER_LOG", value_name = "FILTER")]
    pub log: Option<String>,
    /// Planted defect, by name; may be given more than once. Only a server that was built with them has any [default: none]
    #[arg(long, env = "AVOUCH_SERVER_DEFECT", value_name = "NAME", value_delimiter = ',', hide = !Defects::ARE_BUILT)]
    pub defect: Option<Vec<String>>,
}

/// Form of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// Settings with nothing left open.
#[derive(Clone, Debug)]
pub struct Config {
    /// Address for clients.
    pub listen: SocketAddr,
    /// Address for metrics and health.
    pub metrics_listen: Option<SocketAddr>,
    /// Data directory.
    pub data: PathBuf,
    /// Certificates and key.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// Connections at one time.
    pub connections_max: usize,
    /// Page cache of the journal, bytes.
    pub cache_bytes: usize,
    /// Records in one batch of the journal.
    pub batch_records_max: usize,
    /// Form of the log.
    pub log_format: LogFormat,
    /// What is logged.
    pub log: String,
    /// The engine's settings.
    pub engine: EngineConfig,
}

impl ServerArgs {
    /// Reads the file, if one was named, and merges: flags and environment win.
    pub fn merged(&self) -> Result<Settings, ConfigError> {
        let file = match &self.config {
            Some(path) => Settings::parse(path, &read_text(path)?)?,
            None => Settings::default(),
        };
        Ok(self.settings.clone().over(file))
    }
}

/// Refuses variables that begin like ours but are none: they are typing errors.
pub fn check_environment(names: impl Iterator<Item = String>) -> Result<(), ConfigError> {
    let command = ServerArgs::augment_args(Command::new("server"));
    let known: Vec<_> = command
        .get_arguments()
        .filter_map(|argument| argument.get_env()?.to_str().map(str::to_owned))
        .collect();
    for name in names.filter(|name| name.starts_with(ENVIRONMENT_PREFIX)) {
        if !known.contains(&name) {
            return Err(ConfigError::UnknownVariable(visible(&name), known.join(" ")));
        }
    }
    Ok(())
}

impl Settings {
    /// Reads a settings file. `path` is how errors call it. Never panics, whatever the text is.
    pub fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        toml::from_str(text)
            .map_err(|error| ConfigError::Invalid(path.to_owned(), visible(&error.to_string())))
    }

    /// What is absent here is taken from `other`.
    #[must_use]
    pub fn over(self, other: Self) -> Self {
        Self {
            listen: self.listen.or(other.listen),
            metrics_listen: self.metrics_listen.or(other.metrics_listen),
            data: self.data.or(other.data),
            // One secret: a flag for either form sets the other form of the file aside.
            secret_file: self.secret_file.clone().or(other.secret_file.filter(|_| self.secret.is_none())),
            secret: self.secret.or(other.secret.filter(|_| self.secret_file.is_none())),
            tls_certificates: self.tls_certificates.or(other.tls_certificates),
            tls_key: self.tls_key.or(other.tls_key),
            connections_max: self.connections_max.or(other.connections_max),
            cache_mib: self.cache_mib.or(other.cache_mib),
            batch_records_max: self.batch_records_max.or(other.batch_records_max),
            login_ms: self.login_ms.or(other.login_ms),
            heartbeat_ms: self.heartbeat_ms.or(other.heartbeat_ms),
            silent_ms: self.silent_ms.or(other.silent_ms),
            redelivery_first_ms: self.redelivery_first_ms.or(other.redelivery_first_ms),
            redelivery_cap_ms: self.redelivery_cap_ms.or(other.redelivery_cap_ms),
            sweep_ms: self.sweep_ms.or(other.sweep_ms),
            window_entries: self.window_entries.or(other.window_entries),
            page_entries: self.page_entries.or(other.page_entries),
            tail_entries: self.tail_entries.or(other.tail_entries),
            operations_per_s: self.operations_per_s.or(other.operations_per_s),
            payload_bytes_max: self.payload_bytes_max.or(other.payload_bytes_max),
            log_format: self.log_format.or(other.log_format),
            log: self.log.or(other.log),
            defect: self.defect.or(other.defect),
        }
    }

    /// Fills in defaults and checks every value.
    pub fn resolve(&self) -> Result<Config, ConfigError> {
        let tls = match (&self.tls_certificates, &self.tls_key) {
            (Some(certificates), Some(key)) => Some((certificates.clone(), key.clone())),
            (None, None) => None,
            (Some(_), None) => {
                return Err(ConfigError::Value("tls_certificates", "needs tls_key too".into()));
            }
            (None, Some(_)) => {
                return Err(ConfigError::Value("tls_key", "needs tls_certificates too".into()));
            }
        };
        let default_listen = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 7_700));
        let cache_mib = self.cache_mib.unwrap_or(CACHE_BYTES_DEFAULT >> 20);
        Ok(Config {
            listen: self.listen.unwrap_or(default_listen),
            metrics_listen: self.metrics_listen,
            data: self.data.clone().unwrap_or_else(|| PathBuf::from("avouch-data")),
            tls,
            connections_max: within(
                "connections_max",
                self.connections_max.unwrap_or(CONNECTIONS_MAX_DEFAULT),
                1,
                CONNECTIONS_MAX,
            )?,
            cache_bytes: within("cache_mib", cache_mib, 1, 1 << 20)? << 20,
            batch_records_max: within(
                "batch_records_max",
                self.batch_records_max.unwrap_or(BATCH_RECORDS_MAX),
                1,
                BATCH_RECORDS_MAX,
            )?,
            log_format: self.log_format.unwrap_or_default(),
            log: self.log.clone().unwrap_or_else(|| "info".into()),
            engine: self.engine()?,
        })
    }

    fn engine(&self) -> Result<EngineConfig, ConfigError> {
        let mut engine = EngineConfig { secret: self.secret()?, ..EngineConfig::default() };
        let day_ms = 86_400_000;
        if let Some(value) = self.login_ms {
            engine.login_ms = within("login_ms", value, 10, u64::from(day_ms))?;
        }
        if let Some(value) = self.heartbeat_ms {
            engine.heartbeat_ms = within("heartbeat_ms", value, 10, day_ms)?;
        }
        if let Some(value) = self.silent_ms {
            engine.silent_ms = within("silent_ms", value, 10, day_ms)?;
        }
        if engine.silent_ms <= engine.heartbeat_ms {
            return Err(ConfigError::Value("silent_ms", "must be above heartbeat_ms".into()));
        }
        if let Some(value) = self.redelivery_first_ms {
            engine.redelivery.first_ms = within("redelivery_first_ms", value, 1, u64::from(day_ms))?;
        }
        if let Some(value) = self.redelivery_cap_ms {
            engine.redelivery.cap_ms = within("redelivery_cap_ms", value, 1, u64::from(day_ms))?;
        }
        if let Some(value) = self.sweep_ms {
            engine.sweep_ms = within("sweep_ms", value, 10, u64::from(day_ms))?;
        }
        if let Some(value) = self.window_entries {
            engine.window_entries = within("window_entries", value, 1, 65_536)?;
        }
        if let Some(value) = self.page_entries {
            engine.page_entries = within("page_entries", value, 1, PAGE_ENTRIES_MAX)?;
        }
        if let Some(value) = self.tail_entries {
            engine.tail_entries = within("tail_entries", value, 1, 65_536)?;
        }
        if let Some(value) = self.operations_per_s {
            engine.operations_per_s = Some(within("operations_per_s", value, 1, u32::MAX)?);
        }
        if let Some(value) = self.payload_bytes_max {
            engine.payload_bytes_max = within("payload_bytes_max", value, 1, PAYLOAD_BYTES_MAX)?;
        }
        let names = self.defect.iter().flatten().map(String::as_str);
        engine.defects =
            Defects::named(names).map_err(|error| ConfigError::Value("defect", error.to_string()))?;
        Ok(engine)
    }

    fn secret(&self) -> Result<Bytes, ConfigError> {
        let secret = match (&self.secret, &self.secret_file) {
            (Some(secret), None) => secret.clone(),
            (None, Some(path)) => read_text(path)?.trim_end_matches(['\r', '\n']).to_owned(),
            (Some(_), Some(_)) => {
                return Err(ConfigError::Value("secret", "and secret_file exclude each other".into()));
            }
            (None, None) => {
                return Err(ConfigError::Value("secret", "is missing: set secret or secret_file".into()));
            }
        };
        if secret.len() < SECRET_BYTES_MIN {
            let why = format!("has {} bytes, at least {SECRET_BYTES_MIN} are needed", secret.len());
            return Err(ConfigError::Value("secret", why));
        }
        Ok(Bytes::from(secret))
    }

    /// As a settings file that says the same, without the secret.
    pub fn to_toml(&self) -> String {
        let shown = Self { secret: self.secret.as_ref().map(|_| "(not shown)".into()), ..self.clone() };
        toml::to_string(&shown).unwrap_or_else(|error| format!("# {error}\n"))
    }
}

fn within<T: PartialOrd + Display + Copy>(
    name: &'static str,
    value: T,
    least: T,
    most: T,
) -> Result<T, ConfigError> {
    if value < least || value > most {
        return Err(ConfigError::Value(name, format!("is {value}, but must be from {least} to {most}")));
    }
    Ok(value)
}

/// Control characters of a file would reach the terminal of whoever reads the error; lines stay.
fn visible(text: &str) -> String {
    let shown = |character: char| match character {
        '\n' => "\n".to_owned(),
        control if control.is_control() => control.escape_default().to_string(),
        plain => plain.to_string(),
    };
    text.chars().map(shown).collect()
}

fn read_text(path: &Path) -> Result<String, ConfigError> {
    let unreadable = |why: String| ConfigError::Unreadable(path.to_owned(), why);
    let length = fs::metadata(path).map_err(|error| unreadable(error.to_string()))?.len();
    if length > FILE_BYTES_MAX {
        return Err(unreadable(format!("has {length} bytes, at most {FILE_BYTES_MAX} are read")));
    }
    fs::read_to_string(path).map_err(|error| unreadable(error.to_string()))
}
