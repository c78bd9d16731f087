//! Carries planned faults out: each is a task that waits for its moment, begins, lasts and is undone.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::rc::Rc;

use avouch_reports::history::What;
use avouch_scenarios::plan::{
    ClientFault, ClientVerb, Do, Fault, LEADER, LinkFault, LinkVerb, NodeFault, NodeVerb, PlannedFault, When,
};

use super::stage::{Signal, Stage};
use crate::device::Order;
use crate::handle::Letter;
use crate::link::verb_name;
use crate::world::{NodeOrder, OrderError, World};

/// All faults of a run.
pub(super) struct Faults {
    undone: Signal,
    count: usize,
}

impl Faults {
    /// Waits until the last fault is undone. Bounded: every fault ends at the heal.
    pub(super) async fn all_undone(&self) {
        if self.count > 0 {
            self.undone.wait().await;
        }
    }
}

/// Sets every planned fault in motion.
pub(super) fn start_all<W: World + 'static>(stage: &Rc<Stage<W>>) -> Faults {
    let faults = &stage.plan.faults;
    let undone = Signal::default();
    let left = Rc::new(Cell::new(faults.len()));
    let triggers: Rc<Vec<Signal>> = Rc::new(faults.iter().map(|_| Signal::default()).collect());
    let downs = Rc::new(Downs::default());
    for fault in faults.clone() {
        let (stage, undone, left, triggers) = (stage.clone(), undone.clone(), left.clone(), triggers.clone());
        let downs = downs.clone();
        let world = stage.world.clone();
        world.spawn_here(Box::pin(async move {
            live(&stage, &fault, &triggers, &downs).await;
            left.set(left.get() - 1);
            if left.get() == 0 {
                undone.set();
            }
        }));
    }
    listen(stage, triggers);
    Faults { undone, count: faults.len() }
}

/// Passes frame triggers on to the faults that wait for them; runs as long as the world does.
fn listen<W: World + 'static>(stage: &Rc<Stage<W>>, triggers: Rc<Vec<Signal>>) {
    let stage = stage.clone();
    let world = stage.world.clone();
    world.spawn_here(Box::pin(async move {
        loop {
            let triggered = stage.world.triggered().await;
            if let Some(signal) = triggers.get(triggered.fault as usize) {
                signal.set();
            }
        }
    }));
}

/// A fault from its first moment to its last.
async fn live<W: World>(stage: &Stage<W>, fault: &PlannedFault, triggers: &[Signal], downs: &Downs) {
    match &fault.when {
        When::At { ns } => stage.sleep_until_or(stage.chaos_begun_ns() + ns, &stage.heal).await,
        When::OnFrame(_) => tokio::select! {
            biased;
            () = stage.heal.wait() => {}
            () = triggers[fault.id as usize].wait() => {}
        },
    }
    if stage.heal.is_set() {
        return; // it never began, and the record of the run says so
    }
    if let Some(why) = stage.world.lacks(&fault.fault) {
        return skipped(stage, fault, why.to_owned());
    }
    match &fault.fault {
        Fault::Link(link) => self::link(stage, fault, link).await,
        Fault::Node(node) => self::node(stage, fault, node, downs).await,
        Fault::Client(client) => self::client(stage, fault, client).await,
    }
}

fn started<W: World>(stage: &Stage<W>, fault: &PlannedFault, target: String) {
    stage.record(What::FaultStarted { id: fault.id, kind: kind(&fault.fault).to_owned(), target });
}

fn skipped<W: World>(stage: &Stage<W>, fault: &PlannedFault, why: String) {
    stage.record(What::FaultSkipped { id: fault.id, kind: kind(&fault.fault).to_owned(), why });
}

fn ended<W: World>(stage: &Stage<W>, fault: &PlannedFault, evidence: String) {
    stage.record(What::FaultEnded { id: fault.id, evidence });
}

async fn last<W: World>(stage: &Stage<W>, for_ns: Option<u64>) {
    let until_ns = for_ns.map_or(u64::MAX, |ns| stage.now_ns().saturating_add(ns));
    if until_ns == u64::MAX {
        stage.heal.wait().await;
    } else {
        stage.sleep_until_or(until_ns, &stage.heal).await;
    }
}

async fn link<W: World>(stage: &Stage<W>, fault: &PlannedFault, link: &LinkFault) {
    started(stage, fault, names(stage, &link.devices));
    // A link that watches for the frame acts for itself, at once; the conductor starts the fault on the others.
    let acts_itself = |device: &u32| match &fault.when {
        When::OnFrame(trigger) => trigger.devices.contains(device),
        When::At { .. } => false,
    };
    let set = |active| {
        let others = link.devices.iter().filter(|device| !acts_itself(device));
        others.for_each(|device| stage.world.set_link_fault(fault.id, *device, active));
    };
    set(true);
    let is_momentary = matches!(link.verb, LinkVerb::Cut { at_byte: None, .. })
        && fault.for_ns.is_none()
        && link.kind.is_none()
        && link.probability_ppm >= EVERY_FRAME_PPM;
    last(stage, if is_momentary { Some(MOMENT_NS) } else { fault.for_ns }).await;
    set(false);
    let fired = stage.recorder.progress().fired.get(&fault.id).copied().unwrap_or(0);
    ended(stage, fault, evidence(fired, "times it decided a frame's or a connection's fate"));
}

/// How long a momentary fault is watched for its effect. Nanoseconds.
const MOMENT_NS: u64 = 50_000_000;
/// Probability of a fault that hits every frame, in millionths.
const EVERY_FRAME_PPM: u32 = 1_000_000;

/// How many faults hold each node down: it comes back when the last of them ends.
#[derive(Default)]
struct Downs(RefCell<BTreeMap<u32, u32>>);

impl Downs {
    /// One more; whether it was down already.
    fn more(&self, node: u32) -> bool {
        let mut downs = self.0.borrow_mut();
        let count = downs.entry(node).or_default();
        *count += 1;
        *count > 1
    }
    /// One less; whether it is down still.
    fn less(&self, node: u32) -> bool {
        let mut downs = self.0.borrow_mut();
        let count = downs.entry(node).or_default();
        *count = count.saturating_sub(1);
        *count > 0
    }
}

async fn node<W: World>(stage: &Stage<W>, fault: &PlannedFault, node: &NodeFault, downs: &Downs) {
    let number = if node.node == LEADER { 0 } else { node.node };
    let (begin, lasts_ns, undo) = orders(node.verb, fault.for_ns);
    started(stage, fault, format!("n{}", number + 1));
    let takes_down = matches!(begin, NodeOrder::Kill | NodeOrder::LosePower | NodeOrder::Stop);
    let was_down = takes_down && downs.more(number);
    // What is down cannot be killed or stopped (no evidence, then), but its machine can still lose power.
    let begun = if was_down && begin != NodeOrder::LosePower {
        Ok(String::new())
    } else {
        stage.world.order(number, begin).await
    };
    match &begun {
        Err(OrderError::NotHere(why)) => {
            skipped(stage, fault, why.clone());
            if takes_down {
                downs.less(number);
            }
            return;
        }
        Err(OrderError::Failed(why)) => {
            stage.record(What::Note { text: format!("fault {}: {why}", fault.id) });
        }
        Ok(_) => {}
    }
    last(stage, lasts_ns).await;
    // Undone also when it failed to begin: half an injection must not stay.
    let is_down = takes_down && downs.less(number);
    let undone = if is_down { Ok(String::new()) } else { stage.world.order(number, undo).await };
    if let Err(why) = &undone {
        stage.record(What::Note { text: format!("fault {} could not be undone: {why}", fault.id) });
    }
    for device in 0..stage.plan.devices.len() as u32 {
        stage.world.set_link_fault(fault.id, device, false); // a frame that waited for this node may pass
    }
    ended(stage, fault, evidence_of([begun, undone]));
}

/// What the orders say of themselves.
fn evidence_of(answers: [Result<String, OrderError>; 2]) -> String {
    let said = answers.into_iter().flatten().filter(|said| !said.is_empty());
    said.collect::<Vec<_>>().join("; ")
}

/// How a verb begins, how long it lasts, and how it is undone.
fn orders(verb: NodeVerb, for_ns: Option<u64>) -> (NodeOrder, Option<u64>, NodeOrder) {
    match verb {
        NodeVerb::Kill { restart_after_ns } => (NodeOrder::Kill, Some(restart_after_ns), NodeOrder::Start),
        NodeVerb::PowerLoss { restart_after_ns } => {
            (NodeOrder::LosePower, Some(restart_after_ns), NodeOrder::Start)
        }
        NodeVerb::Restart { restart_after_ns } => (NodeOrder::Stop, Some(restart_after_ns), NodeOrder::Start),
        NodeVerb::Pause => (NodeOrder::Pause, for_ns, NodeOrder::Resume),
        NodeVerb::SlowSync { delay_ns } => {
            (NodeOrder::SlowSync { delay_ns }, for_ns, NodeOrder::SlowSync { delay_ns: 0 })
        }
        NodeVerb::FailSync => (NodeOrder::FailSync(true), for_ns, NodeOrder::FailSync(false)),
        NodeVerb::DiskFull => (NodeOrder::FullDisk(true), for_ns, NodeOrder::FullDisk(false)),
        NodeVerb::Isolate { .. } => (NodeOrder::Isolate(true), for_ns, NodeOrder::Isolate(false)),
        NodeVerb::ClockSkew { by_ms } => {
            (NodeOrder::SkewClock { by_ms }, for_ns, NodeOrder::SkewClock { by_ms: 0 })
        }
    }
}

async fn client<W: World>(stage: &Stage<W>, fault: &PlannedFault, client: &ClientFault) {
    let devices = &client.devices;
    started(stage, fault, names(stage, devices));
    let (connected, sessions) = there(stage, devices);
    let evidence = match client.verb {
        ClientVerb::Offline => {
            for device in devices {
                stage.order_do(*device, Do::Disconnect);
            }
            // Who was in the middle of a login has a session for an instant, and leaves, too.
            let leaving_ns = fault.for_ns.map_or(LEAVING_NS, |ns| ns.min(LEAVING_NS));
            last(stage, Some(leaving_ns)).await;
            let logged_in = there(stage, devices).1 - sessions;
            last(stage, fault.for_ns.map(|ns| ns - leaving_ns)).await;
            for device in devices {
                stage.order_do(*device, Do::Connect);
            }
            evidence(connected + logged_in, "devices were connected and left")
        }
        ClientVerb::Takeover => {
            let before = stage.takeovers(devices);
            for device in devices {
                stage.post(*device, Letter::TakeOver);
            }
            last(stage, fault.for_ns.or(Some(TAKEOVER_NS))).await;
            evidence(
                u64::from(stage.takeovers(devices) - before),
                "older connections were ended by the server",
            )
        }
        ClientVerb::ReconnectStorm => {
            for device in devices {
                stage.order_do(*device, Do::Disconnect);
            }
            for device in devices {
                stage.order_do(*device, Do::Connect);
            }
            last(stage, fault.for_ns.or(Some(STORM_NS))).await;
            evidence(there(stage, devices).1 - sessions, "new sessions")
        }
        ClientVerb::SlowConsumer { consume_ns } => {
            let set = |consume_ns: &dyn Fn(usize) -> u64| {
                for device in devices {
                    let consume_ns = consume_ns(*device as usize);
                    stage.post(*device, Letter::Order(Order::Consume { consume_ns }));
                }
            };
            let before = delivered(stage, devices);
            set(&|_| consume_ns);
            last(stage, fault.for_ns).await;
            set(&|device| stage.plan.devices[device].consume_ns);
            evidence(delivered(stage, devices).abs_diff(before), "positions were taken slowly")
        }
    };
    ended(stage, fault, evidence);
}

/// Within this time a device that is told to leave has left. Nanoseconds.
const LEAVING_NS: u64 = 1_000_000;
/// How long a takeover is watched for the server's reaction. Nanoseconds.
const TAKEOVER_NS: u64 = 2_000_000_000;
/// How long a storm is watched for new sessions. Nanoseconds.
const STORM_NS: u64 = 2_000_000_000;

fn evidence(count: u64, what: &str) -> String {
    if count == 0 { String::new() } else { format!("{count} {what}") }
}

/// How many of the devices are connected, and how many sessions they have had.
fn there<W: World>(stage: &Stage<W>, devices: &[u32]) -> (u64, u64) {
    let progress = stage.recorder.progress();
    let known = devices.iter().filter_map(|device| progress.devices.get(device));
    known.fold((0, 0), |sum, device| (sum.0 + u64::from(device.connected), sum.1 + device.sessions))
}

fn delivered<W: World>(stage: &Stage<W>, devices: &[u32]) -> u64 {
    let progress = stage.recorder.progress();
    let known = devices.iter().filter_map(|device| progress.devices.get(device));
    known.map(crate::recorder::DeviceProgress::taken).sum()
}

fn names<W: World>(stage: &Stage<W>, devices: &[u32]) -> String {
    if devices.len() == stage.plan.devices.len() {
        return "all clients".to_owned();
    }
    let named = devices.iter().take(4).map(|device| stage.plan.devices[*device as usize].name.as_str());
    let mut text = named.collect::<Vec<_>>().join(", ");
    if devices.len() > 4 {
        let _ = write!(text, " and {} more", devices.len() - 4);
    }
    text
}

/// The verb's name, as scenario files have it.
pub fn kind(fault: &Fault) -> &'static str {
    match fault {
        Fault::Link(link) => verb_name(&link.verb),
        Fault::Node(node) => match node.verb {
            NodeVerb::Kill { .. } => "kill",
            NodeVerb::Pause => "pause",
            NodeVerb::Restart { .. } => "restart",
            NodeVerb::PowerLoss { .. } => "power_loss",
            NodeVerb::SlowSync { .. } => "slow_sync",
            NodeVerb::FailSync => "fail_sync",
            NodeVerb::DiskFull => "disk_full",
            NodeVerb::Isolate { .. } => "partition",
            NodeVerb::ClockSkew { .. } => "clock_skew",
        },
        Fault::Client(client) => match client.verb {
            ClientVerb::Offline => "offline",
            ClientVerb::Takeover => "takeover",
            ClientVerb::ReconnectStorm => "reconnect_storm",
            ClientVerb::SlowConsumer { .. } => "slow_consumer",
        },
    }
}
