//! The whole run in one function: scenario + seed + world → history → verdicts.
//!
//! Phases: set up → chaos → heal → drain → judge. Safety is judged throughout, liveness after the heal;
//! so every planned fault is undone, also one whose injection failed, and every device gets its chance.

mod drain;
mod faults;
mod stage;
#[cfg(test)]
mod tests;

use std::rc::Rc;

use avouch_reports::history::{Conversation, Device, Phase, User, What};
use avouch_scenarios::plan::{Do, Plan};

use crate::adapter::Change;
use crate::device::{Install, Order};
use crate::handle::Letter;
use crate::interrupt::Interrupt;
use crate::recorder::Recorder;
use crate::world::{NodeOrder, World};

pub use faults::kind as fault_kind;
pub use stage::{Signal, Stage};

/// Users that one set-up change adds at most (the reference protocol's own limit).
const SETUP_MEMBERS_PER_CHANGE: usize = 1_000;
/// How often a waiting conductor looks again. Nanoseconds.
const LOOK_NS: u64 = 10_000_000;

/// How a run ended, before anything is judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// All phases were gone through.
    Whole,
    /// Somebody interrupted it; what was seen until then counts.
    Interrupted,
    /// The target could not be started, or ended on its own.
    TargetDied(String),
    /// Target and clients went on talking and got nowhere, until the world gave them up (`explore` only).
    Livelock(String),
    /// The set-up did not succeed in time.
    NoSetUp(String),
    /// The history could not be written.
    NotRecorded(String),
}

/// Makes the protocol side of a device of the plan: its installations, one after another.
pub type Installer = Rc<dyn Fn(u32) -> Install>;

/// What the devices do while the chaos lasts.
#[allow(async_fn_in_trait, reason = "worlds are single-threaded; no future of theirs has to be Send")]
pub trait Workload<W: World> {
    /// Everybody is there and idle; the chaos begins when this returns.
    async fn ready(&self, _stage: &Rc<Stage<W>>) {}
    /// From the first step to the last.
    async fn carry_out(&self, stage: &Rc<Stage<W>>);
    /// Whether everybody reads the history when all is over.
    fn reads_at_the_end(&self) -> bool {
        true
    }
}

/// The steps of the plan, one after another.
#[derive(Clone, Copy, Debug)]
pub struct AsPlanned;

impl<W: World + 'static> Workload<W> for AsPlanned {
    async fn carry_out(&self, stage: &Rc<Stage<W>>) {
        workload(stage).await;
    }
}

/// Carries a plan out in a world, unless it is interrupted before. Everything that was seen is in the recorder when it returns.
pub async fn conduct<W: World + 'static>(
    plan: Rc<Plan>,
    world: Rc<W>,
    installer: Installer,
    recorder: Recorder,
    interrupt: Option<Interrupt>,
) -> Ended {
    conduct_with(Stage::new(plan, world, installer, recorder), interrupt, &AsPlanned).await
}

/// The same with another workload than the plan's steps.
pub async fn conduct_with<W: World + 'static>(
    stage: Stage<W>,
    interrupt: Option<Interrupt>,
    workload: &impl Workload<W>,
) -> Ended {
    let stage = Rc::new(stage);
    if let Some(interrupt) = interrupt {
        heed(&stage, interrupt);
    }
    let ended = match play(&stage, workload).await {
        Ok(()) if stage.interrupt.is_set() => Ended::Interrupted,
        Ok(()) => Ended::Whole,
        Err(ended) => ended,
    };
    match (stage.world.casualty(), stage.recorder.failure()) {
        (_, Some(why)) => Ended::NotRecorded(why),
        (Some(why), None) if ended != Ended::Interrupted => Ended::TargetDied(why),
        _ => ended,
    }
}

/// Passes an interrupt on to the run, within one look of the world's clock.
fn heed<W: World + 'static>(stage: &Rc<Stage<W>>, interrupt: Interrupt) {
    let heeding = stage.clone();
    stage.world.spawn_here(Box::pin(async move {
        while !interrupt.is_set() {
            heeding.sleep_ns(LOOK_NS).await;
        }
        heeding.interrupt.set();
    }));
}

async fn play<W: World + 'static>(stage: &Rc<Stage<W>>, workload: &impl Workload<W>) -> Result<(), Ended> {
    stage.enter(Phase::SetUp);
    set_up(stage).await?;
    workload.ready(stage).await;

    stage.enter(Phase::Chaos);
    stage.mark_chaos();
    stage.world.arm_links();
    newcomers(stage);
    let faults = faults::start_all(stage);
    workload.carry_out(stage).await;

    stage.enter(Phase::Heal);
    abandon(stage);
    stage.heal.set();
    faults.all_undone().await;
    stage.world.heal_links();
    everybody_connects(stage);

    stage.enter(Phase::Drain);
    drain::drain(stage).await;

    stage.enter(Phase::Judge);
    if workload.reads_at_the_end() {
        drain::read_everything(stage).await;
    }
    Ok(())
}

async fn set_up<W: World + 'static>(stage: &Rc<Stage<W>>) -> Result<(), Ended> {
    declare(stage);
    for node in 0..stage.plan.cluster.nodes {
        let started = tokio::select! {
            biased;
            () = stage.interrupt.wait() => return Err(Ended::Interrupted),
            started = stage.world.order(node, NodeOrder::Start) => started,
        };
        started.map_err(|why| Ended::TargetDied(why.to_string()))?;
    }
    stage.start_devices();
    for (number, device) in stage.plan.devices.iter().enumerate() {
        if device.connects_at_ns.is_none() {
            stage.order_do(number as u32, Do::Connect);
        }
    }
    for number in 0..stage.plan.conversations.len() as u32 {
        make_conversation(stage, number);
    }
    let limit_ns = stage.now_ns() + stage.plan.phases.setup_ns_max;
    while let Some(missing) = stage.missing_in_set_up() {
        if stage.interrupt.is_set() {
            return Err(Ended::Interrupted);
        }
        if stage.now_ns() >= limit_ns {
            let note = stage.recorder.progress().note.clone();
            // Most often it is what the first device without a session says, too.
            let heard = note
                .filter(|note| !missing.contains(note))
                .map(|note| format!("; the last that was heard: {note}"));
            return Err(Ended::NoSetUp(missing + &heard.unwrap_or_default()));
        }
        if let Some(why) = stage.world.casualty() {
            return Err(Ended::TargetDied(why));
        }
        stage.sleep_ns(LOOK_NS).await;
    }
    Ok(())
}

fn declare<W: World>(stage: &Stage<W>) {
    for (number, device) in stage.plan.devices.iter().enumerate() {
        stage.record(What::Device {
            device: Device(number as u32),
            user: User(device.user),
            name: device.name.clone(),
        });
    }
    for (number, conversation) in stage.plan.conversations.iter().enumerate() {
        stage.record(What::Conversation {
            conversation: Conversation(number as u32),
            name: conversation.name.clone(),
            members: conversation.members.iter().map(|user| User(*user)).collect(),
        });
    }
}

/// The first member's first device that is there makes the conversation, in as many steps as it takes.
fn make_conversation<W: World + 'static>(stage: &Stage<W>, number: u32) {
    let members = &stage.plan.conversations[number as usize].members;
    let Some(maker) = stage.maker(members) else { return };
    for (step, added) in members.chunks(SETUP_MEMBERS_PER_CHANGE).enumerate() {
        let change = Change {
            conversation: number,
            message: stage.set_up_message(number, step as u64),
            added: added.to_vec(),
            removed: Vec::new(),
        };
        stage.post(maker, Letter::Order(Order::SetUp(change)));
    }
}

/// Devices that first connect while the workload goes on.
fn newcomers<W: World + 'static>(stage: &Rc<Stage<W>>) {
    for (number, device) in stage.plan.devices.iter().enumerate() {
        let Some(at_ns) = device.connects_at_ns else { continue };
        let newcomer = stage.clone();
        stage.world.spawn_here(Box::pin(async move {
            newcomer.sleep_until_or(newcomer.chaos_begun_ns() + at_ns, &newcomer.heal).await;
            newcomer.order_do(number as u32, Do::Connect);
        }));
    }
}

async fn workload<W: World + 'static>(stage: &Rc<Stage<W>>) {
    let begun_ns = stage.chaos_begun_ns();
    for action in &stage.plan.actions {
        let intended_ns = begun_ns + action.at_ns;
        stage.sleep_until_or(intended_ns, &stage.interrupt).await;
        if stage.is_over() {
            return;
        }
        let order = Order::Do { intended_ns, what: action.what.clone() };
        stage.post(action.device, Letter::Order(order));
    }
    stage.sleep_until_or(begun_ns + stage.plan.phases.chaos_ns, &stage.interrupt).await;
}

/// Some are never healed: nothing reaches them or comes from them any more. They leave by themselves, so that the history
/// says that they are away and nobody is blamed for what they miss; the server has to find out.
fn abandon<W: World + 'static>(stage: &Stage<W>) {
    for &device in &stage.plan.abandoned {
        stage.world.abandon_link(device);
        stage.post(device, Letter::Order(Order::GiveUpAll));
        stage.order_do(device, Do::Disconnect);
    }
}

/// Whoever is away comes back; who is there ignores it.
fn everybody_connects<W: World + 'static>(stage: &Stage<W>) {
    (0..stage.plan.devices.len() as u32)
        .filter(|number| stage.is_healed(*number))
        .for_each(|number| stage.order_do(number, Do::Connect));
}
