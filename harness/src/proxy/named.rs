//! One named proxy: where it listens, where it leads, its toxics, and the connections that it carries.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream, lookup_host};
use tokio::task::JoinSet;

use super::Common;
use crate::link::{Link, WAYS, Way};
use crate::toxics::{Toxic, Toxics};
use crate::world::proxy::{Happened, Line, Meter, RECEIVE_BUFFER_BYTES, Sink, carry};

/// Connections of one proxy at once; one more is reset.
const CONNECTIONS_MAX: usize = 10_000;
/// Connections that wait to be accepted.
const BACKLOG: u32 = 1_024;
/// After an accept failed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// See the module's header.
pub(super) struct NamedProxy {
    pub(super) name: String,
    /// As it was asked for, and as it is once it listens.
    pub(super) listen: String,
    pub(super) upstream: String,
    live: Arc<Live>,
    /// Accepts and carries, while the proxy is enabled.
    tasks: Option<JoinSet<()>>,
}

/// What the accepting task and the API share.
struct Live {
    name: String,
    /// What its decisions are made from.
    seed: u64,
    common: Common,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    toxics: Vec<Toxic>,
    /// Rules that a time made active.
    active: BTreeSet<u32>,
    /// Connections that were ever made: also the ordinal of the last.
    made: u32,
    lines: BTreeMap<u32, Arc<Line>>,
    /// What passed on connections that are over.
    passed: Meter,
}

impl NamedProxy {
    /// A proxy that does not listen yet. `active`: the rules that are at work by now.
    pub(super) fn new(
        name: &str,
        (listen, upstream): (&str, &str),
        common: Common,
        active: BTreeSet<u32>,
    ) -> Self {
        let state = Mutex::new(State { active, ..State::default() });
        let seed = common.seed_of(name);
        let live = Arc::new(Live { name: name.to_owned(), seed, common, state });
        let (name, listen, upstream) = (name.to_owned(), listen.to_owned(), upstream.to_owned());
        Self { name, listen, upstream, live, tasks: None }
    }

    pub(super) fn is_enabled(&self) -> bool {
        self.tasks.is_some()
    }

    /// Listens; nothing to do if it does already.
    pub(super) async fn start(&mut self) -> io::Result<()> {
        if self.is_enabled() {
            return Ok(());
        }
        let listener = listen(&self.listen).await?;
        self.listen = listener.local_addr()?.to_string();
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, Arc::clone(&self.live), self.upstream.clone()));
        self.tasks = Some(tasks);
        Ok(())
    }

    /// Closes the port and every connection.
    pub(super) async fn stop(&mut self) {
        if let Some(mut tasks) = self.tasks.take() {
            tasks.shutdown().await;
        }
    }

    /// Its toxics: those upstream first, as the original lists them, else in the order in which they came.
    pub(super) fn toxics(&self) -> Vec<Toxic> {
        let mut toxics = self.live.lock().toxics.clone();
        toxics.sort_by_key(|toxic| toxic.way);
        toxics
    }

    /// Adds a toxic, on every connection.
    pub(super) fn add(&self, toxic: &Toxic) {
        let mut state = self.live.lock();
        state.toxics.push(toxic.clone());
        state.change(|toxics, now_ns| toxics.add(toxic, now_ns));
    }

    /// Puts another toxic in the place of the one of its name.
    pub(super) fn change(&self, toxic: &Toxic) {
        let mut state = self.live.lock();
        if let Some(place) = state.toxics.iter_mut().find(|other| other.name == toxic.name) {
            *place = toxic.clone();
        }
        state.change(|toxics, _| toxics.change(toxic));
    }

    /// Takes a toxic away; `false` if there is none of that name.
    pub(super) fn remove(&self, name: &str) -> bool {
        let mut state = self.live.lock();
        let before = state.toxics.len();
        state.toxics.retain(|toxic| toxic.name != name);
        state.change(|toxics, now_ns| toxics.remove(name, now_ns));
        state.toxics.len() < before
    }

    /// Bytes that were received and sent one way, on all its connections.
    pub(super) fn passed(&self, way: Way) -> (u64, u64) {
        let state = self.live.lock();
        let meters = state.lines.values().map(|line| line.meter()).chain([&state.passed]);
        meters.map(|meter| meter.read(way)).fold((0, 0), |(received, sent), (more_received, more_sent)| {
            (received + more_received, sent + more_sent)
        })
    }

    /// A rule begins or ends.
    pub(super) fn set_fault(&self, fault: u32, active: bool) {
        let mut state = self.live.lock();
        if active {
            state.active.insert(fault);
        } else {
            state.active.remove(&fault);
        }
        state.lines.values().for_each(|line| line.set(fault, active));
    }
}

impl State {
    fn change(&self, change: impl Fn(&mut Toxics, u64)) {
        self.lines.values().for_each(|line| line.change_toxics(&change));
    }
}

impl Live {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The line of a new connection; `None` if there are too many.
    fn open(self: &Arc<Self>) -> Option<Opened> {
        let mut state = self.lock();
        if state.lines.len() >= CONNECTIONS_MAX {
            return None;
        }
        state.made = state.made.wrapping_add(1);
        let ordinal = state.made;
        let now_ns = (self.common.clock)();
        let mut link = Link::new(self.common.rules.settings(self.seed, ordinal));
        link.arm();
        state.active.iter().for_each(|fault| link.set(now_ns, *fault, true));
        let toxics = Toxics::new(self.seed, u64::from(ordinal), &state.toxics, now_ns);
        let (journal, name) = (Arc::clone(&self.common.journal), self.name.clone());
        let sink: Sink =
            Arc::new(move |ordinal, happened| journal.tell(&name, u64::from(ordinal), &happened));
        let line = Line::with_toxics(ordinal, (link, toxics), Arc::clone(&self.common.clock), sink);
        let line = Arc::new(match self.common.workers.event_loop(ordinal) {
            Some(event_loop) => line.waiting_busily_on(event_loop),
            None => line,
        });
        state.lines.insert(ordinal, Arc::clone(&line));
        Some(Opened { live: Arc::clone(self), ordinal, line })
    }
}

/// A connection that is carried. Dropping it takes it off the list.
struct Opened {
    live: Arc<Live>,
    ordinal: u32,
    line: Arc<Line>,
}

impl Drop for Opened {
    fn drop(&mut self) {
        let mut state = self.live.lock();
        state.lines.remove(&self.ordinal);
        for way in WAYS {
            let (received_bytes, sent_bytes) = self.line.meter().read(way);
            state.passed.add(way, received_bytes, sent_bytes);
        }
    }
}

/// Takes connections; the pumps live and die with this task.
async fn accept(listener: TcpListener, live: Arc<Live>, upstream: String) {
    let upstream: Arc<str> = upstream.into();
    let mut pumps = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            Some(done) = pumps.join_next(), if !pumps.is_empty() => {
                if let Err(error) = done {
                    live.common.journal.tell(&live.name, 0, &Happened::Failed { why: error.to_string() });
                }
            }
            accepted = listener.accept() => match accepted {
                Ok((client, _)) => match live.open() {
                    Some(opened) => {
                        let ordinal = opened.ordinal;
                        let (framing, upstream) = (live.common.framing, Arc::clone(&upstream));
                        let carried = move |client| async move {
                            carry(&opened.line, client, connect(&upstream), framing.splitters()).await;
                        };
                        live.common.workers.spawn(&mut pumps, (ordinal, client), carried);
                    }
                    None => { let _reset = client.set_zero_linger(); }
                },
                Err(error) => {
                    // Out of descriptors, most likely: it passes when a connection ends.
                    let why = format!("cannot accept: {error}");
                    live.common.journal.tell(&live.name, 0, &Happened::Failed { why });
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
}

/// Listens on the first address of that name that can be listened on.
async fn listen(address: &str) -> io::Result<TcpListener> {
    let mut last = io::Error::new(io::ErrorKind::InvalidInput, "it has no address");
    for address in resolve(address).await? {
        let listening = socket(address).and_then(|socket| {
            socket.set_reuseaddr(true)?;
            socket.bind(address)?;
            socket.listen(BACKLOG)
        });
        match listening {
            Ok(listener) => return Ok(listener),
            Err(error) => last = error,
        }
    }
    Err(last)
}

async fn connect(address: &str) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::InvalidInput, "it has no address");
    for address in resolve(address).await? {
        match socket(address)?.connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// A socket whose closed window can be felt.
fn socket(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES)?;
    Ok(socket)
}

/// The addresses of `host:port`; without a host, all of this machine's.
pub(super) async fn resolve(address: &str) -> io::Result<Vec<SocketAddr>> {
    if let Ok(address) = address.parse() {
        return Ok(vec![address]);
    }
    let named = if address.starts_with(':') { format!("0.0.0.0{address}") } else { address.to_owned() };
    Ok(lookup_host(named).await?.collect())
}
