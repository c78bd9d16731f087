//! The live world: a real process of the reference server, real sockets, and the chaos proxy between.
//!
//! Everything of the tool runs on one thread, as in the simulated world; the server is a process of its own, in a
//! data directory of its own below the run folder. What cannot be done to a real process without owning its machine
//! (a loss of power, failing or slow syncs, a full disk, another wall clock) is answered with the reason.

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use avouch_reports::history::What;
use avouch_scenarios::plan::{Fault, NodeVerb, Plan};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::task::LocalSet;
use tokio::time::Instant;

use super::news::{self, News, REFERENCE_FRAMING};
use super::process::{Launch, Process, Ready, Stopped};
use super::proxy::{Clock as LinkClock, Config, Proxy};
use super::{LocalTask, NodeOrder, OrderError, Triggered, World};
use crate::client::{Carrier, Clock, Connector, Shell};
use crate::conductor::{Ended, conduct};
use crate::device::Device;
use crate::handle::Handle;
use crate::interrupt::Interrupt;
use crate::perform;
use crate::recorder::Recorder;
use crate::session::Session;

/// A server must be ready within this.
const READY_WITHIN: Duration = Duration::from_secs(20);
/// A server that was asked to stop must have stopped within this; then it is killed.
const STOP_WITHIN: Duration = Duration::from_secs(20);
/// How often the process is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);

const NO_POWER_LOSS: &str = "a loss of power of a real process needs its machine; the simulated world has it";
const NO_SYNCS: &str =
    "slow or failing syncs of a real process need its machine; the simulated world has them";
const NO_FULL_DISK: &str = "a full disk of a real process needs its machine; the simulated world has it";
const NO_CLOCK: &str = "another wall clock of a real process needs its machine; the simulated world has it";
const NO_OTHER_NODE: &str = "the reference server has one node, which no other can be cut off from";

/// Why this world cannot carry out a fault; `None` = it can.
pub fn lacks(fault: &Fault) -> Option<&'static str> {
    let Fault::Node(node) = fault else { return None };
    match node.verb {
        NodeVerb::Kill { .. } | NodeVerb::Pause | NodeVerb::Restart { .. } => None,
        NodeVerb::PowerLoss { .. } => Some(NO_POWER_LOSS),
        NodeVerb::SlowSync { .. } | NodeVerb::FailSync => Some(NO_SYNCS),
        NodeVerb::DiskFull => Some(NO_FULL_DISK),
        NodeVerb::ClockSkew { .. } => Some(NO_CLOCK),
        NodeVerb::Isolate { .. } => Some(NO_OTHER_NODE),
    }
}

/// The world, as the conductor sees it.
pub struct LiveWorld {
    started: Instant,
    launch: Launch,
    node: Mutex<Option<Process>>,
    proxy: Proxy,
    addresses: Vec<Option<SocketAddr>>,
    news: News,
    recorder: Recorder,
    casualty: RefCell<Option<String>>,
}

/// Carries a plan out on real processes and says how that ended.
pub fn perform(plan: &Rc<Plan>, session: &Session, interrupt: Interrupt) -> Ended {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Ended::NoSetUp(format!("no runtime: {error}")),
    };
    let local = LocalSet::new();
    let recorder = session.recorder();
    local.block_on(&runtime, async {
        let world = match LiveWorld::open(plan, session.folder(), recorder.clone()).await {
            Ok(world) => Rc::new(world),
            Err(why) => return Ended::TargetDied(why),
        };
        tokio::task::spawn_local(watch(world.clone()));
        let installer = perform::installer(plan.clone());
        let ended = conduct(plan.clone(), world.clone(), installer, recorder, Some(interrupt)).await;
        world.close().await;
        ended
    })
}

/// Notices when the server ends without being told to.
async fn watch(world: Rc<LiveWorld>) {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let Ok(mut node) = world.node.try_lock() else { continue };
        let death = node.as_mut().and_then(Process::death);
        drop(node);
        if let Some(death) = death {
            world.tell("died");
            world.casualty.borrow_mut().get_or_insert(format!("n1: {death}"));
        }
    }
}

impl LiveWorld {
    async fn open(plan: &Plan, folder: &Path, recorder: Recorder) -> Result<Self, String> {
        let started = Instant::now();
        let clock: LinkClock = Arc::new(move || started.elapsed().as_nanos() as u64);
        let (sink, news) = News::new(clock.clone(), recorder.clone());
        let launch = launch(plan, folder)?;
        // The server is not up yet and says itself where it listens; until then nobody is behind the proxy.
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 9));
        let config = Config { upstream: nowhere, framing: REFERENCE_FRAMING, clock, sink };
        let proxy = Proxy::start(config, news::settings(plan)).await;
        let proxy = proxy.map_err(|error| format!("the proxy cannot listen: {error}"))?;
        let addresses = (0..plan.devices.len() as u32).map(|device| proxy.address(device)).collect();
        let node = Mutex::new(None);
        Ok(Self { started, launch, node, proxy, addresses, news, recorder, casualty: RefCell::default() })
    }

    /// Ends the server politely; whatever is left then is killed when the last handle goes.
    async fn close(&self) {
        if let Some(process) = self.node.lock().await.as_mut() {
            // It may be down already; then there is nothing to end.
            let _ = process.stop(STOP_WITHIN).await;
        }
    }

    fn tell(&self, state: &str) {
        let at_ns = self.started.elapsed().as_nanos() as u64;
        self.recorder.record(at_ns, What::Node { node: "n1".to_owned(), state: state.to_owned() });
    }

    async fn start(&self) -> Result<String, OrderError> {
        let mut node = self.node.lock().await;
        self.tell("started");
        match node.as_mut() {
            Some(process) => process.start_again().await.map_err(failed)?,
            None => *node = Some(Process::start(self.launch.clone()).await.map_err(failed)?),
        }
        let process = node.as_ref().and_then(|process| Some((process.address()?, process.id()?)));
        let Some((address, id)) = process else {
            return Err(OrderError::Failed("the server did not say where it listens".to_owned()));
        };
        self.proxy.set_upstream(address);
        self.tell("ready");
        Ok(format!("n1 is process {id}"))
    }

    async fn signal(&self, order: NodeOrder) -> Result<String, OrderError> {
        let mut node = self.node.lock().await;
        let Some(process) = node.as_mut() else {
            return Err(OrderError::Failed("the server was never started".to_owned()));
        };
        let id = process.id().map_or_else(|| "none".to_owned(), |id| id.to_string());
        let (state, did) = match order {
            NodeOrder::Kill => {
                process.kill().await.map_err(failed)?;
                ("killed", "was killed")
            }
            NodeOrder::Stop => match process.stop(STOP_WITHIN).await.map_err(failed)? {
                Stopped::ByItself => ("stopped", "stopped when asked to"),
                Stopped::Killed => {
                    return Err(OrderError::Failed(
                        "the server did not stop when asked to and was killed".to_owned(),
                    ));
                }
            },
            NodeOrder::Pause => {
                process.pause().await.map_err(failed)?;
                ("paused", "stands still")
            }
            _ => {
                process.resume().await.map_err(failed)?;
                ("resumed", "goes on")
            }
        };
        self.tell(state);
        Ok(format!("process {id} {did}"))
    }
}

fn failed(error: impl std::fmt::Display) -> OrderError {
    OrderError::Failed(error.to_string())
}

/// This very program serves, with a data directory and a configuration in the run folder.
fn launch(plan: &Plan, folder: &Path) -> Result<Launch, String> {
    let program =
        std::env::current_exe().map_err(|error| format!("cannot find this program's own file: {error}"))?;
    let directory = absolute(&folder.join("n1")).map_err(|error| error.to_string())?;
    let data = directory.join("data");
    // A run begins with an empty server, also when the run folder was used before.
    match std::fs::remove_dir_all(&data) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(format!("cannot empty {}: {error}", data.display()));
        }
        _ => {}
    }
    std::fs::create_dir_all(&directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    let config = directory.join("server.toml");
    let settings = perform::server_settings_text(plan);
    std::fs::write(&config, settings).map_err(|error| format!("{}: {error}", config.display()))?;
    let argument = |path: &Path| path.to_string_lossy().into_owned();
    let arguments = vec![
        "serve".to_owned(),
        "--config".to_owned(),
        argument(&config),
        "--listen".to_owned(),
        super::process::ADDRESS.to_owned(),
        "--data".to_owned(),
        argument(&data),
    ];
    Ok(Launch {
        program,
        arguments,
        environment: Vec::new(),
        log: directory.join("log.txt"),
        directory,
        ready: Ready::Line,
        ready_within: READY_WITHIN,
    })
}

fn absolute(path: &Path) -> io::Result<PathBuf> {
    std::path::absolute(path)
}

impl World for LiveWorld {
    fn clock(&self) -> Clock {
        let started = self.started;
        Rc::new(move || started.elapsed().as_nanos() as u64)
    }

    async fn sleep_ns(&self, ns: u64) {
        tokio::time::sleep(Duration::from_nanos(ns)).await;
    }

    fn start_device(&self, device: Device, recorder: &Recorder) -> Handle {
        let address = self.addresses.get(device.number().0 as usize).copied().flatten();
        let (shell, handle) = Shell::new(device, (Carrier::WebSocket, LiveConnector { address }), recorder.clone(), self.clock());
        tokio::task::spawn_local(shell.run());
        handle
    }

    fn spawn_here(&self, task: LocalTask) {
        tokio::task::spawn_local(task);
    }

    fn arm_links(&self) {
        self.proxy.arm();
    }

    fn set_link_fault(&self, fault: u32, device: u32, active: bool) {
        self.proxy.set_fault_on(fault, device, active);
    }

    fn heal_links(&self) {
        self.proxy.heal();
    }

    fn abandon_link(&self, device: u32) {
        self.proxy.abandon(device);
    }

    async fn order(&self, node: u32, order: NodeOrder) -> Result<String, OrderError> {
        if node != 0 {
            return Err(OrderError::NotHere(format!("there is no n{} in this world", node + 1)));
        }
        match order {
            NodeOrder::Start => self.start().await,
            NodeOrder::Kill | NodeOrder::Stop | NodeOrder::Pause | NodeOrder::Resume => {
                self.signal(order).await
            }
            NodeOrder::LosePower => Err(OrderError::NotHere(NO_POWER_LOSS.to_owned())),
            NodeOrder::SlowSync { .. } | NodeOrder::FailSync(_) => {
                Err(OrderError::NotHere(NO_SYNCS.to_owned()))
            }
            NodeOrder::FullDisk(_) => Err(OrderError::NotHere(NO_FULL_DISK.to_owned())),
            NodeOrder::SkewClock { .. } => Err(OrderError::NotHere(NO_CLOCK.to_owned())),
            NodeOrder::Isolate(_) => Err(OrderError::NotHere(NO_OTHER_NODE.to_owned())),
        }
    }

    async fn triggered(&self) -> Triggered {
        self.news.triggered().await
    }

    fn casualty(&self) -> Option<String> {
        self.casualty.borrow().clone()
    }
}

/// Connects to the proxy's port of one device.
pub struct LiveConnector {
    address: Option<SocketAddr>,
}

impl Connector for LiveConnector {
    type Stream = TcpStream;

    fn connect(&self) -> Pin<Box<dyn Future<Output = io::Result<TcpStream>>>> {
        let address = self.address;
        Box::pin(async move {
            let address = address.ok_or(io::ErrorKind::AddrNotAvailable)?;
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            Ok(stream)
        })
    }
}
