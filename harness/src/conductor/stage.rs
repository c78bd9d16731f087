//! What the phases of one run share.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use avouch_reports::history::{Message, Phase, What};
use avouch_scenarios::plan::{Do, Plan};

use super::Installer;
use crate::client::Clock;
use crate::device::{Device, Habits, Order};
use crate::handle::{Handle, Letter};
use crate::recorder::Recorder;
use crate::world::World;

/// Messages of the set-up are numbered from here, out of the way of the plan's.
const SETUP_MESSAGES_FROM: u64 = 1 << 62;
const SETUP_MESSAGES_PER_CONVERSATION: u64 = 1 << 16;

/// Something that happens at most once and that many may wait for.
///
/// The workload waits for it once per message, beside a clock that nearly always wins: so giving up costs nothing. Whoever
/// gave up stays on the list until it happens, once per task, and is woken for nothing then.
#[derive(Clone, Default)]
pub struct Signal(Rc<Happening>);

#[derive(Default)]
struct Happening {
    is_set: Cell<bool>,
    /// In the order in which they began to wait.
    waiting: RefCell<Vec<Waker>>,
}

impl Signal {
    /// It happens.
    pub fn set(&self) {
        self.0.is_set.set(true);
        self.0.waiting.take().into_iter().for_each(Waker::wake);
    }
    /// Whether it has happened.
    pub fn is_set(&self) -> bool {
        self.0.is_set.get()
    }
    /// Waits for it.
    pub async fn wait(&self) {
        let mut begins = true;
        poll_fn(|context| {
            if self.is_set() {
                return Poll::Ready(());
            }
            self.0.enlist(context, std::mem::take(&mut begins));
            Poll::Pending
        })
        .await;
    }
}

impl Happening {
    /// Puts a task on the list; one that begins to wait goes to the end of it.
    fn enlist(&self, context: &Context<'_>, begins: bool) {
        let mut waiting = self.waiting.borrow_mut();
        match waiting.iter().position(|waker| waker.will_wake(context.waker())) {
            Some(at) if begins => waiting[at..].rotate_left(1),
            Some(_) => {}
            None => waiting.push(context.waker().clone()),
        }
    }
}

/// The run's parts.
pub struct Stage<W: World> {
    /// What is to be done.
    pub plan: Rc<Plan>,
    /// Where.
    pub world: Rc<W>,
    /// Where events go.
    pub recorder: Recorder,
    /// The chaos is over.
    pub heal: Signal,
    /// Somebody wants the run to end.
    pub interrupt: Signal,
    clock: Clock,
    installer: Installer,
    devices: RefCell<Vec<Handle>>,
    chaos_begun_ns: Cell<u64>,
}

impl<W: World> Stage<W> {
    /// Puts the parts together.
    pub fn new(plan: Rc<Plan>, world: Rc<W>, installer: Installer, recorder: Recorder) -> Self {
        let clock = world.clock();
        Self {
            plan,
            world,
            recorder,
            heal: Signal::default(),
            interrupt: Signal::default(),
            clock,
            installer,
            devices: RefCell::default(),
            chaos_begun_ns: Cell::new(0),
        }
    }

    /// Nanoseconds since the run began.
    pub fn now_ns(&self) -> u64 {
        (self.clock)()
    }

    /// Records an event of now.
    pub fn record(&self, what: What) {
        self.recorder.record(self.now_ns(), what);
    }

    /// A phase begins.
    pub fn enter(&self, phase: Phase) {
        self.record(What::Phase { phase });
    }

    /// The plan's time 0 is now.
    pub fn mark_chaos(&self) {
        self.chaos_begun_ns.set(self.now_ns());
    }

    /// The plan's time 0 on the run's clock.
    pub fn chaos_begun_ns(&self) -> u64 {
        self.chaos_begun_ns.get()
    }

    /// Whether there is no point in going on with the workload.
    pub fn is_over(&self) -> bool {
        self.interrupt.is_set() || self.is_lost()
    }

    /// Whether there is no point in waiting for anything: the target is gone, or nothing can be recorded.
    pub fn is_lost(&self) -> bool {
        self.world.casualty().is_some() || self.recorder.failure().is_some()
    }

    /// Waits.
    pub async fn sleep_ns(&self, ns: u64) {
        self.world.sleep_ns(ns).await;
    }

    /// Waits until a time or a signal, whichever comes first.
    pub async fn sleep_until_or(&self, at_ns: u64, signal: &Signal) {
        let now_ns = self.now_ns();
        if at_ns <= now_ns {
            return;
        }
        tokio::select! {
            biased;
            () = signal.wait() => {}
            () = self.sleep_ns(at_ns - now_ns) => {}
        }
    }

    /// Starts all devices; none connects yet.
    pub fn start_devices(&self) {
        for (number, planned) in self.plan.devices.iter().enumerate() {
            let number = number as u32;
            let habits = Habits {
                number,
                salt: self.world.nonce().salt(self.plan.seed),
                consume_ns: planned.consume_ns,
                reads_after_ns: planned.reads_after_ns,
                give_up_ns: self.plan.phases.give_up_ns,
            };
            let device = Device::new(habits, (self.installer)(number));
            let handle = self.world.start_device(device, &self.recorder);
            self.devices.borrow_mut().push(handle);
        }
    }

    /// Whether a device is among those that the heal helps.
    pub fn is_healed(&self, device: u32) -> bool {
        self.plan.abandoned.binary_search(&device).is_err()
    }

    /// Hands a letter to a device.
    pub fn post(&self, device: u32, letter: Letter) {
        if let Some(handle) = self.devices.borrow().get(device as usize) {
            handle.post(letter);
        }
    }

    /// A device does something now.
    pub fn order_do(&self, device: u32, what: Do) {
        let intended_ns = self.now_ns();
        self.post(device, Letter::Order(Order::Do { intended_ns, what }));
    }

    /// Asks every device's handle.
    pub fn devices_where(&self, question: impl Fn(u32, &Handle) -> bool) -> Vec<u32> {
        let devices = self.devices.borrow();
        let numbered = devices.iter().enumerate().map(|(number, handle)| (number as u32, handle));
        numbered.filter(|(number, handle)| question(*number, handle)).map(|(number, _)| number).collect()
    }

    /// Connections of these devices that the server ended because of a newer one.
    pub fn takeovers(&self, devices: &[u32]) -> u32 {
        let handles = self.devices.borrow();
        devices.iter().filter_map(|device| handles.get(*device as usize)).map(Handle::takeovers).sum()
    }

    /// The device that makes a conversation: of the first member who has one that is there from the start.
    pub fn maker(&self, members: &[u32]) -> Option<u32> {
        let there = |user: u32| {
            self.plan.devices.iter().position(|device| device.user == user && device.connects_at_ns.is_none())
        };
        members.iter().find_map(|user| there(*user)).map(|device| device as u32)
    }

    /// The tool's id of a set-up operation.
    pub fn set_up_message(&self, conversation: u32, step: u64) -> Message {
        Message(SETUP_MESSAGES_FROM + u64::from(conversation) * SETUP_MESSAGES_PER_CONVERSATION + step)
    }

    /// What the set-up still waits for, in words.
    pub fn missing_in_set_up(&self) -> Option<String> {
        let progress = self.recorder.progress();
        let expected = |number: u32| self.plan.devices[number as usize].connects_at_ns.is_none();
        let away = self.devices_where(|number, _| {
            expected(number) && !progress.devices.get(&number).is_some_and(|device| device.connected)
        });
        if let Some(first) = away.first() {
            let name = &self.plan.devices[*first as usize].name;
            let why = self.devices.borrow().get(*first as usize).map_or_else(String::new, Handle::trouble);
            return Some(format!(
                "{} of {} devices have no session ({name}: {why})",
                away.len(),
                self.plan.devices.len()
            ));
        }
        let busy = self
            .devices_where(|number, handle| expected(number) && !(handle.is_set_up() && handle.is_idle()));
        busy.first().map(|first| {
            let name = &self.plan.devices[*first as usize].name;
            format!("{} devices have not settled after the conversations were made ({name}, …)", busy.len())
        })
    }
}
