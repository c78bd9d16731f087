//! Where the server of a run is: how it is started, with a fresh data directory and generated files below the run folder,
//! or the address at which somebody else runs it.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, ToSocketAddrs};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use avouch_scenarios::plan::{Fault, NodeVerb, Plan, PlannedFault};
use avouch_scenarios::target::{FilledPlaces, Program, StopSignal, fill, port_names};
use nix::sys::signal::Signal;
use tokio::sync::Mutex;

use crate::perform;
use crate::subject::{Place, Subject};
use crate::world::process::disk::{self, Disk};
use crate::world::process::{self, Launch, Ready};

/// Our own server must be ready, and must have stopped, within this.
const OWN_WITHIN: Duration = Duration::from_secs(20);

/// Where the server of a run is.
pub(super) enum Server {
    /// It is started.
    Program {
        /// How.
        launch: Box<Launch>,
        /// It must have stopped within this when asked to.
        stop_within: Duration,
        /// What its data are on, if the plan has a loss of power.
        disk: Option<Box<Mutex<Disk>>>,
    },
    /// Somebody else runs it.
    Running(SocketAddr),
    /// Only its clients know where it is.
    Elsewhere,
}

/// Prepares everything that a start needs. A run begins with an empty server, also when the run folder was used before.
pub(super) fn place(plan: &Plan, subject: &Subject, folder: &Path) -> Result<Server, String> {
    if let Place::Running(address) = &subject.place {
        let found = address.to_socket_addrs().map_err(|error| format!("{address}: {error}"))?;
        // Where a name has several addresses, the proxy's is tried first: it speaks IPv4.
        let mut found: Vec<SocketAddr> = found.collect();
        found.sort_by_key(|address| !address.is_ipv4());
        return found
            .first()
            .map(|first| Server::Running(*first))
            .ok_or_else(|| format!("{address}: nowhere"));
    }
    if matches!(subject.place, Place::Elsewhere) {
        return Ok(Server::Elsewhere);
    }
    let directory =
        std::path::absolute(folder.join("n1")).map_err(|error| format!("{}: {error}", folder.display()))?;
    for name in ["data", "files", "disk"] {
        remove(&directory.join(name))?;
    }
    let disk = disk(plan, &directory)?;
    let data = disk.as_ref().map_or_else(|| directory.join("data"), Disk::data);
    let (launch, stop_within) = match &subject.place {
        Place::Program { program, here } => {
            let filled = Filled::new(subject, program, here.as_deref(), (&directory, &data))?;
            if disk.is_none() {
                make(&data)?;
            }
            (filled.launch(program, &directory)?, Duration::from_nanos(program.stop_within.0))
        }
        Place::BuiltIn | Place::Running(_) | Place::Elsewhere => {
            (our_own(plan, &directory, &data)?, OWN_WITHIN)
        }
    };
    Ok(Server::Program {
        launch: Box::new(launch),
        stop_within,
        disk: disk.map(|disk| Box::new(Mutex::new(disk))),
    })
}

/// A disk that can lose its power, if the plan says that it does and this machine has what it takes.
fn disk(plan: &Plan, directory: &Path) -> Result<Option<Disk>, String> {
    let loses_power = |planned: &PlannedFault| matches!(&planned.fault, Fault::Node(node) if matches!(node.verb, NodeVerb::PowerLoss { .. }));
    if !plan.faults.iter().any(loses_power) || disk::why_not().is_some() {
        return Ok(None);
    }
    let made = Disk::new(directory, &directory.join("disk"));
    made.map(Some).map_err(|error| format!("{}: {error}", directory.display()))
}

/// This very program serves, with a data directory and a configuration in the run folder.
fn our_own(plan: &Plan, directory: &Path, data: &Path) -> Result<Launch, String> {
    let program =
        std::env::current_exe().map_err(|error| format!("cannot find this program's own file: {error}"))?;
    make(directory)?;
    let config = directory.join("server.toml");
    write(&config, &perform::server_settings_text(plan))?;
    let address = own_address()?.to_string();
    let arguments = ["serve", "--config", &text(&config), "--listen", &address, "--data", &text(data)];
    Ok(Launch {
        program,
        arguments: arguments.map(str::to_owned).to_vec(),
        environment: Vec::new(),
        log: directory.join("log.txt"),
        directory: directory.to_owned(),
        ready: Ready::Line,
        ready_within: OWN_WITHIN,
        stop: Signal::SIGTERM,
        within: None,
    })
}

/// The texts of a target file with everything in its place.
struct Filled<'a> {
    target: &'a str,
    places: FilledPlaces,
    address: SocketAddr,
}

impl<'a> Filled<'a> {
    fn new(
        subject: &'a Subject,
        program: &Program,
        here: Option<&str>,
        (directory, data): (&Path, &Path),
    ) -> Result<Self, String> {
        let mut named: BTreeMap<String, String> = program.values.clone();
        named.extend(subject.mode.values.clone());
        named.insert("data".to_owned(), text(data));
        named.insert("files".to_owned(), text(&directory.join("files")));
        named.extend(here.map(|here| ("here".to_owned(), here.to_owned())));
        let texts = program.command.iter().chain(program.files.values());
        let texts = texts.chain(program.environment.values()).chain(named.values());
        let names = port_names(texts.map(String::as_str));
        let mut address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        for (name, port) in free_ports(names.into_iter().collect())? {
            if name == "port" {
                address.set_port(port);
            }
            named.insert(name, port.to_string());
        }
        Ok(Self { target: &subject.target, places: FilledPlaces { named }, address })
    }

    fn fill(&self, text: &str) -> Result<String, String> {
        fill(text, &self.places).map_err(|unfilled| format!("target {}: {unfilled}", self.target))
    }

    fn launch(&self, program: &Program, directory: &Path) -> Result<Launch, String> {
        make(&directory.join("files"))?;
        for (name, content) in &program.files {
            let path = directory.join("files").join(name);
            if name.contains("..") || !path.starts_with(directory) {
                return Err(format!("target {}: a file cannot be called {name:?}", self.target));
            }
            path.parent().map_or(Ok(()), make)?;
            write(&path, &self.fill(content)?)?;
        }
        let mut words =
            program.command.iter().map(|word| self.fill(word)).collect::<Result<Vec<_>, _>>()?.into_iter();
        let environment = program.environment.iter();
        let environment = environment
            .map(|(name, value)| Ok((name.clone(), self.fill(value)?)))
            .collect::<Result<_, String>>()?;
        Ok(Launch {
            program: words.next().unwrap_or_default().into(),
            arguments: words.collect(),
            environment,
            directory: directory.to_owned(),
            log: directory.join("log.txt"),
            ready: match &program.ready.log {
                Some(words) => Ready::Says(self.address, words.clone()),
                None => Ready::Accepts(self.address),
            },
            ready_within: Duration::from_nanos(program.ready_within.0),
            stop: match program.stop {
                StopSignal::Term => Signal::SIGTERM,
                StopSignal::Int => Signal::SIGINT,
                StopSignal::Quit => Signal::SIGQUIT,
                StopSignal::Usr2 => Signal::SIGUSR2,
            },
            within: None,
        })
    }
}

/// Where our own server listens, over all the lives of its process.
fn own_address() -> Result<SocketAddr, String> {
    let ports = free_ports(vec!["port".to_owned()])?;
    let port = ports.first().map(|(_, port)| *port).ok_or("no port is free")?;
    Ok((Ipv4Addr::LOCALHOST, port).into())
}

/// Ports for servers begin here, below those that operating systems give to whoever does not care: between the moment when a
/// port is found free and the server's start, and while a server is down, no connection and no proxy of another run may get it. A
/// client that comes back would talk to that run's server, and what it saw there would be held against its own.
const PORTS_FROM: u32 = 12_000;
/// So many are tried in turn.
const PORTS: u32 = 18_000;
/// Every run of this process takes the next ones.
static PORT_NEXT: AtomicU32 = AtomicU32::new(0);

/// One free port for each name. Somebody else may still take one before the server does, which the check of the port's owner
/// notices.
fn free_ports(names: Vec<String>) -> Result<Vec<(String, u16)>, String> {
    let first = std::process::id().wrapping_mul(97);
    let free = |_| {
        let port = PORTS_FROM + first.wrapping_add(PORT_NEXT.fetch_add(1, Ordering::Relaxed)) % PORTS;
        let port = port as u16;
        let _alone = process::nobody_forks();
        TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok().then_some(port)
    };
    let named = |name: String| {
        let port = (0..PORTS).find_map(free).ok_or("no port is free")?;
        Ok((name, port))
    };
    names.into_iter().map(named).collect()
}

fn make(folder: &Path) -> Result<(), String> {
    std::fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))
}

fn remove(folder: &Path) -> Result<(), String> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(format!("cannot empty {}: {error}", folder.display()))
        }
        _ => Ok(()),
    }
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_server_of_ours_gets_a_port_that_is_given_to_whoever_does_not_care() {
        let ports: Vec<u32> =
            (0..3).map(|_| u32::from(own_address().expect("ports are free").port())).collect();
        assert!(ports.iter().all(|port| (PORTS_FROM..PORTS_FROM + PORTS).contains(port)), "{ports:?}");
        const { assert!(PORTS_FROM + PORTS < 32_768, "Linux gives ports from 32768 on, others from 49152 on") };
        assert!(ports[0] != ports[1] && ports[1] != ports[2], "two runs of a process share none: {ports:?}");
    }
}
