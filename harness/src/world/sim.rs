//! The simulated world: the real server and client shells on turmoil's hosts, network and clock.
//!
//! turmoil carries bytes from host to host one tick later and nothing else: its own loss and partition
//! wedge live TCP streams silently, so every network fault is [`crate::link`]'s, in a pump between the
//! device and its connection, as in the live world. Devices share few hosts, because a tick costs the
//! cube of their number.
//!
//! A kill takes the runtime away from the server; its simulated disk keeps what was written. A power
//! loss takes unsynced writes too. A pause is the server's own gate: nothing is read, nothing is
//! written, no timer fires.

mod connector;
mod node;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::rc::Rc;
use std::time::{Duration, UNIX_EPOCH};

use avouch_scenarios::plan::Plan;
use tokio::sync::{mpsc, oneshot};

use super::machine::EPOCH_S;
use super::{LocalTask, NodeOrder, OrderError, Triggered, World};
use crate::client::{Carrier, Clock, Shell};
use crate::device::Device;
use crate::handle::Handle;
use crate::panics;
use crate::recorder::Recorder;
use connector::Links;
use node::Node;

/// Step of the simulated clock.
const TICK: Duration = Duration::from_millis(1);
/// Devices per simulated host, as far as the number of hosts allows.
const DEVICES_PER_HOST: usize = 64;
/// Hosts for devices at most; the cost of a tick grows with the cube of all hosts.
const DEVICE_HOSTS_MAX: usize = 6;
/// Segments that a simulated connection or listener holds; turmoil panics where a real backlog would wait.
const TCP_SEGMENTS: usize = 65_536;
/// The simulated run ends at the latest then, on its own clock.
const SIMULATED_MAX: Duration = Duration::from_secs(24 * 3_600);

/// Why a simulation did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum SimError {
    /// turmoil gave up.
    #[error("the simulation failed: {0}")]
    Failed(String),
    /// A task panicked: a bug of the server or of this tool.
    #[error("a simulated task panicked: {0}")]
    Panicked(String),
}

/// The world, as the conductor sees it.
pub struct SimWorld {
    nodes: Vec<Rc<Node>>,
    links: Links,
    nurseries: Vec<mpsc::UnboundedSender<LocalTask>>,
    orders: Rc<Orders>,
}

/// What only the simulation's owner can do, between two ticks.
#[derive(Default)]
struct Orders {
    waiting: RefCell<VecDeque<(Power, u32, oneshot::Sender<()>)>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Power {
    Off,
    On,
}

impl Orders {
    async fn place(&self, power: Power, node: u32) {
        let (done, carried_out) = oneshot::channel();
        self.waiting.borrow_mut().push_back((power, node, done));
        // The owner answers every order; it is gone only when the whole simulation is.
        let _ = carried_out.await;
    }
}

/// Builds the world of a plan, lets `conduct` play in it, and answers what that answers.
pub fn simulate<F, Fut, T>(plan: &Rc<Plan>, recorder: &Recorder, conduct: F) -> Result<T, SimError>
where
    F: FnOnce(Rc<SimWorld>) -> Fut,
    Fut: Future<Output = T> + 'static,
    T: 'static,
{
    let hosts = plan.devices.len().div_ceil(DEVICES_PER_HOST).clamp(1, DEVICE_HOSTS_MAX);
    simulate_on(hosts, plan, recorder, conduct)
}

/// As [`simulate`], with the devices on that many hosts.
pub fn simulate_on<F, Fut, T>(
    hosts: usize,
    plan: &Rc<Plan>,
    recorder: &Recorder,
    conduct: F,
) -> Result<T, SimError>
where
    F: FnOnce(Rc<SimWorld>) -> Fut,
    Fut: Future<Output = T> + 'static,
    T: 'static,
{
    panics::watch();
    panics::take();
    let mut sim = turmoil::Builder::new()
        .tick_duration(TICK)
        .simulation_duration(SIMULATED_MAX)
        .min_message_latency(Duration::ZERO)
        .max_message_latency(Duration::ZERO)
        .tcp_capacity(TCP_SEGMENTS)
        .rng_seed(plan.seed)
        .epoch(UNIX_EPOCH + Duration::from_secs(EPOCH_S))
        .build();
    let nodes = (0..plan.cluster.nodes).map(|number| Node::new(plan, number, recorder)).collect::<Vec<_>>();
    for node in &nodes {
        let software = node.clone();
        sim.host(node.name(), move || software.clone().run());
        sim.crash(node.name());
    }
    let nurseries = (0..hosts).map(|host| nursery(&mut sim, host)).collect();
    let orders = Rc::new(Orders::default());
    let links = Links::new(plan, recorder);
    let world = Rc::new(SimWorld { nodes, links, nurseries, orders: orders.clone() });

    let answer = Rc::new(Cell::new(None));
    let conducted = conduct(world.clone());
    let slot = answer.clone();
    sim.client("conductor", async move {
        slot.set(Some(conducted.await));
        Ok(())
    });
    let ran = drive(&mut sim, &world, &orders);
    if let Some(panic) = panics::take().into_iter().next() {
        return Err(SimError::Panicked(panic));
    }
    ran?;
    answer.take().ok_or_else(|| SimError::Failed("the conductor gave no answer".to_owned()))
}

/// Simulated nanoseconds since the run began; 0 outside of a host.
fn now_ns() -> u64 {
    turmoil::sim_elapsed().map_or(0, |elapsed| elapsed.as_nanos() as u64)
}

/// A host whose only task is to run what it is given.
fn nursery(sim: &mut turmoil::Sim<'_>, host: usize) -> mpsc::UnboundedSender<LocalTask> {
    let (sender, receiver) = mpsc::unbounded_channel::<LocalTask>();
    let receiver = Rc::new(RefCell::new(Some(receiver)));
    sim.host(format!("devices-{host}"), move || {
        let receiver = receiver.borrow_mut().take();
        async move {
            if let Some(mut tasks) = receiver {
                while let Some(task) = tasks.recv().await {
                    tokio::task::spawn_local(task);
                }
            }
            std::future::pending().await
        }
    });
    sender
}

/// Steps until the conductor is done, and switches nodes between steps.
fn drive(sim: &mut turmoil::Sim<'_>, world: &SimWorld, orders: &Orders) -> Result<(), SimError> {
    loop {
        let is_done = sim.step().map_err(|error| SimError::Failed(error.to_string()))?;
        if is_done || panics::first().is_some() {
            return Ok(());
        }
        while let Some((power, number, done)) = orders.waiting.borrow_mut().pop_front() {
            let name = world.nodes[number as usize].name();
            match power {
                Power::Off => sim.crash(name),
                Power::On => sim.bounce(name),
            }
            // Whoever ordered it may have been taken down with it.
            let _ = done.send(());
        }
    }
}

impl World for SimWorld {
    fn clock(&self) -> Clock {
        Rc::new(now_ns)
    }

    async fn sleep_ns(&self, ns: u64) {
        tokio::time::sleep(Duration::from_nanos(ns)).await;
    }

    fn start_device(&self, device: Device, recorder: &Recorder) -> Handle {
        let number = device.number().0;
        let connector = self.links.connector(number, self.nodes[0].name());
        let (shell, handle) =
            Shell::new(device, (Carrier::WebSocket, connector), recorder.clone(), self.clock());
        let nursery = &self.nurseries[number as usize % self.nurseries.len()];
        // Nurseries live as long as the simulation.
        let _ = nursery.send(Box::pin(shell.run()));
        handle
    }

    fn spawn_here(&self, task: LocalTask) {
        tokio::task::spawn_local(task);
    }

    fn arm_links(&self) {
        self.links.arm();
    }

    fn set_link_fault(&self, fault: u32, device: u32, active: bool) {
        self.links.set(fault, device, active);
    }

    fn heal_links(&self) {
        self.links.heal();
    }

    fn abandon_link(&self, device: u32) {
        self.links.abandon(device);
    }

    async fn order(&self, number: u32, order: NodeOrder) -> Result<String, OrderError> {
        let Some(node) = self.nodes.get(number as usize) else {
            return Err(OrderError::Failed(format!("there is no node n{}", number + 1)));
        };
        match order {
            NodeOrder::Start => {
                self.orders.place(Power::On, number).await;
                node.ready().await
            }
            NodeOrder::Kill => {
                self.orders.place(Power::Off, number).await;
                Ok(node.killed())
            }
            NodeOrder::LosePower => {
                self.orders.place(Power::Off, number).await;
                Ok(node.lost_power())
            }
            NodeOrder::Stop => {
                let stopped = node.stop().await?;
                self.orders.place(Power::Off, number).await;
                Ok(stopped)
            }
            other => node.disturb(other),
        }
    }

    async fn triggered(&self) -> Triggered {
        self.links.triggered().await
    }

    fn casualty(&self) -> Option<String> {
        panics::first().or_else(|| self.nodes.iter().find_map(|node| node.casualty()))
    }
}
