//! A world that does nothing but remember what it was told, and devices whose every wish comes true at once.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::time::Duration;

use avouch_reports::history::{Message, Rung, SessionKind};
use avouch_scenarios::plan::{
    Action, Cluster, Conversation as PlannedConversation, Delay, Device as PlannedDevice, Expect, LinkShape,
    Network, Phases, PlannedFault,
};
use tokio::io::DuplexStream;
use tokio::task::LocalSet;
use tokio::time::{Instant, sleep};

use super::super::*;
use super::SECOND_NS;
use crate::adapter::{Adapter, Effect, Input, Outgoing, Wish};
use crate::client::{Carrier, Clock, Connector, Shell};
use crate::device::Device as PersonsDevice;
use crate::handle::Handle;
use crate::world::{LocalTask, OrderError, Triggered};

type Log = Rc<RefCell<Vec<String>>>;

/// Why the world refuses an order.
#[derive(Clone, Copy)]
pub(super) enum Refusal {
    NotHere,
    Failed,
}

/// One run to be played: two devices, a conversation of the first with itself, ten seconds of chaos with sends at 2, 4 and 8 seconds.
pub(super) struct Scene {
    faults: Vec<PlannedFault>,
    refused: BTreeMap<String, Refusal>,
    trigger: Option<(u32, u64)>,
    interrupt_after_ns: Option<u64>,
    die_after_ns: Option<u64>,
    full_at: Option<&'static str>,
    is_mute: bool,
    is_forgetful: bool,
    lost_after_ns: Option<u64>,
}

impl Scene {
    pub(super) fn new(faults: Vec<PlannedFault>) -> Self {
        Self {
            faults,
            refused: BTreeMap::new(),
            trigger: None,
            interrupt_after_ns: None,
            die_after_ns: None,
            full_at: None,
            is_mute: false,
            is_forgetful: false,
            lost_after_ns: None,
        }
    }

    /// Orders that look like this are not carried out.
    pub(super) fn refuse(&mut self, order: &str, refusal: Refusal) {
        self.refused.insert(order.to_owned(), refusal);
    }

    /// The frame that a fault waits for passes then.
    pub(super) fn trigger(&mut self, fault: u32, at_ns: u64) {
        self.trigger = Some((fault, at_ns));
    }

    pub(super) fn interrupt_after(&mut self, ns: u64) {
        self.interrupt_after_ns = Some(ns);
    }

    pub(super) fn die_after(&mut self, ns: u64) {
        self.die_after_ns = Some(ns);
    }

    /// The history cannot be written from this line on.
    pub(super) fn fill_disk_at(&mut self, line: &'static str) {
        self.full_at = Some(line);
    }

    /// No device ever gets a session.
    pub(super) fn mute(&mut self) {
        self.is_mute = true;
    }

    /// What was accepted is never delivered, and counts as lost after a while, if at all.
    pub(super) fn forget(&mut self, lost_after_ns: Option<u64>) {
        (self.is_forgetful, self.lost_after_ns) = (true, lost_after_ns);
    }

    /// How it ended, and everything that was recorded and ordered, in order.
    pub(super) fn play(self) -> (Ended, Vec<String>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        LocalSet::new().block_on(&runtime.expect("a runtime without input and output"), self.conducted())
    }

    async fn conducted(self) -> (Ended, Vec<String>) {
        let log = Log::default();
        let (written, full_at) = (log.clone(), self.full_at);
        let recorder = Recorder::new(Box::new(move |event| {
            let line = words(&event.what);
            let is_full = full_at.is_some_and(|at| line.starts_with(at));
            written.borrow_mut().push(line);
            if is_full { Err("no space is left".to_owned()) } else { Ok(()) }
        }));
        let interrupt = Interrupt::default();
        if let Some(after_ns) = self.interrupt_after_ns {
            let interrupt = interrupt.clone();
            tokio::task::spawn_local(async move {
                sleep(Duration::from_nanos(after_ns)).await;
                interrupt.set();
            });
        }
        let world = Rc::new(Puppet {
            began: Instant::now(),
            log: log.clone(),
            refused: self.refused,
            trigger: Cell::new(self.trigger),
            die_after_ns: self.die_after_ns,
        });
        let (is_mute, is_forgetful) = (self.is_mute, self.is_forgetful);
        let mut plan = plan(self.faults);
        plan.phases.lost_after_ns = self.lost_after_ns;
        let installer: Installer = Rc::new(move |device| {
            Box::new(move |_| -> Box<dyn Adapter> {
                Box::new(Wishful { device, is_mute, is_forgetful, ..Wishful::default() })
            })
        });
        let ended = conduct(Rc::new(plan), world, installer, recorder, Some(interrupt)).await;
        let log = log.borrow().clone();
        (ended, log)
    }
}

fn plan(faults: Vec<PlannedFault>) -> Plan {
    let device = |user| PlannedDevice {
        name: format!("u{user}.d0"),
        user,
        connects_at_ns: None,
        consume_ns: 0,
        reads_after_ns: None,
    };
    let action = |message, seconds| Action {
        at_ns: seconds * SECOND_NS,
        device: 0,
        what: Do::Send { conversation: 0, message, bytes: 32, reply: false },
    };
    let shape = || LinkShape { delay: Delay::Fixed { ns: 0 }, rate_bytes_per_s: None };
    Plan {
        scenario: "puppets".to_owned(),
        about: String::new(),
        seed: 1,
        cluster: Cluster { nodes: 1, settings: BTreeMap::new() },
        devices: vec![device(0), device(1)],
        users: 2,
        conversations: vec![PlannedConversation { name: "c0".to_owned(), members: vec![0] }],
        actions: vec![action(1, 2), action(2, 4), action(3, 8)],
        faults,
        network: Network { profile: "custom".to_owned(), up: shape(), down: shape() },
        abandoned: Vec::new(),
        phases: Phases {
            setup_ns_max: 10 * SECOND_NS,
            chaos_ns: 10 * SECOND_NS,
            drain_ns_max: 10 * SECOND_NS,
            give_up_ns: None,
            reconnects_max: 0,
            lost_after_ns: None,
        },
        expect: Expect::default(),
        defects: Vec::new(),
    }
}

/// An event in short.
fn words(what: &What) -> String {
    match what {
        What::Phase { phase } => format!("phase {}", phase.name()),
        What::Send { message, .. } => format!("send {}", message.0),
        What::FaultStarted { id, .. } | What::FaultEnded { id, .. } => format!("{} {id}", what.kind()),
        What::FaultSkipped { id, why, .. } => format!("fault-skipped {id} {why}"),
        What::Drained { converged, .. } => format!("drained {converged}"),
        What::Note { text } => format!("note {text}"),
        What::Conversation { conversation, .. } => format!("conversation {}", conversation.0),
        other => format!("{} {}", other.kind(), other.device().map_or(0, |device| device.0)),
    }
}

struct Puppet {
    began: Instant,
    log: Log,
    refused: BTreeMap<String, Refusal>,
    trigger: Cell<Option<(u32, u64)>>,
    die_after_ns: Option<u64>,
}

impl Puppet {
    fn note(&self, line: String) {
        self.log.borrow_mut().push(line);
    }
}

impl World for Puppet {
    fn clock(&self) -> Clock {
        let began = self.began;
        Rc::new(move || began.elapsed().as_nanos() as u64)
    }

    async fn sleep_ns(&self, ns: u64) {
        sleep(Duration::from_nanos(ns)).await;
    }

    fn start_device(&self, device: PersonsDevice, recorder: &Recorder) -> Handle {
        let (shell, handle) =
            Shell::new(device, (Carrier::WebSocket, Nowhere), recorder.clone(), self.clock());
        tokio::task::spawn_local(shell.run());
        handle
    }

    fn spawn_here(&self, task: LocalTask) {
        tokio::task::spawn_local(task);
    }

    fn arm_links(&self) {
        self.note("arm links".to_owned());
    }

    fn set_link_fault(&self, fault: u32, device: u32, active: bool) {
        self.note(format!("link {fault} of {device} {}", if active { "on" } else { "off" }));
    }

    fn heal_links(&self) {
        self.note("heal links".to_owned());
    }

    fn abandon_link(&self, device: u32) {
        self.note(format!("abandon link of {device}"));
    }

    async fn order(&self, _node: u32, order: NodeOrder) -> Result<String, OrderError> {
        let name = format!("{order:?}");
        self.note(format!("order {name}"));
        match self.refused.get(&name) {
            Some(Refusal::NotHere) => Err(OrderError::NotHere("on purpose".to_owned())),
            Some(Refusal::Failed) => Err(OrderError::Failed("on purpose".to_owned())),
            None => Ok(name),
        }
    }

    async fn triggered(&self) -> Triggered {
        let Some((fault, at_ns)) = self.trigger.take() else { return std::future::pending().await };
        sleep(Duration::from_nanos(at_ns)).await;
        self.note(format!("trigger {fault}"));
        Triggered { fault }
    }

    fn casualty(&self) -> Option<String> {
        let at_ns = self.die_after_ns?;
        (self.began.elapsed().as_nanos() as u64 >= at_ns).then(|| "it is gone".to_owned())
    }
}

/// Puppets need no transport.
struct Nowhere;

impl Connector for Nowhere {
    type Stream = DuplexStream;

    fn connect(&self) -> Pin<Box<dyn Future<Output = io::Result<Self::Stream>>>> {
        Box::pin(async { Err(io::ErrorKind::Unsupported.into()) })
    }
}

/// A protocol in which every wish comes true at once.
#[derive(Default)]
struct Wishful {
    device: u32,
    is_mute: bool,
    is_forgetful: bool,
    seq: u64,
    effects: VecDeque<What>,
}

impl Wishful {
    fn accept(&mut self, message: Message) {
        self.seq += 1;
        let (device, seq) = (Device(self.device), Some(self.seq));
        self.effects.push_back(What::Accepted { device, message, seq, rung: Rung::Stored });
    }
}

impl Adapter for Wishful {
    fn handle(&mut self, _now_ns: u64, input: Input) {
        let (Input::Wish(wish), false) = (input, self.is_mute) else { return };
        let device = Device(self.device);
        match wish {
            Wish::Connect => self.effects.push_back(What::Session { device, session: SessionKind::New }),
            Wish::Send(Outgoing { conversation, message, .. }) => {
                self.accept(message);
                if self.is_forgetful {
                    return;
                }
                self.effects.push_back(What::Delivered {
                    device,
                    conversation: Conversation(conversation),
                    message: Some(message),
                    seq: Some(self.seq),
                    digest: 0,
                    redelivered: false,
                });
            }
            Wish::ChangeMembers(change) => self.accept(change.message),
            Wish::Page { conversation, request, .. } => self.effects.push_back(What::Page {
                device,
                conversation: Conversation(conversation),
                request,
                items: Vec::new(),
                complete: true,
            }),
            Wish::Disconnect | Wish::GiveUp(_) | Wish::MarkRead { .. } | Wish::Consumed(_) => {}
        }
    }

    fn poll(&mut self) -> Option<Effect> {
        self.effects.pop_front().map(Effect::Saw)
    }

    fn next_timeout_ns(&self) -> Option<u64> {
        None
    }

    fn is_idle(&self) -> bool {
        true
    }
}
