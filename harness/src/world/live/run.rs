//! One run in this world, from its runtime to its end.

use std::path::Path;
use std::rc::Rc;

use avouch_scenarios::plan::Plan;
use tokio::task::LocalSet;

use super::{LiveWorld, farewell, watch};
use crate::conductor::{AsPlanned, Ended, Stage, Workload, conduct_with};
use crate::interrupt::Interrupt;
use crate::recorder::Recorder;
use crate::session::Session;
use crate::subject::Subject;

/// What stands between devices and server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// The chaos proxy.
    Proxied,
    /// Nothing: no link can be disturbed, and nothing adds to a latency.
    Direct,
}

/// Carries a plan out on real processes and says how that ended.
pub fn perform(plan: &Rc<Plan>, subject: &Subject, session: &Session, interrupt: Interrupt) -> Ended {
    let parts = Parts { plan, subject, folder: session.folder(), way: Way::Proxied };
    perform_with(&parts, &session.recorder(), interrupt, &AsPlanned)
}

/// What a run in this world is made of.
#[derive(Clone, Copy, Debug)]
pub struct Parts<'a> {
    /// What is to be done.
    pub plan: &'a Rc<Plan>,
    /// What is put to the test.
    pub subject: &'a Subject,
    /// The run folder.
    pub folder: &'a Path,
    /// How devices reach the server.
    pub way: Way,
}

/// The same with another workload than the plan's steps.
pub fn perform_with(
    parts: &Parts<'_>,
    recorder: &Recorder,
    interrupt: Interrupt,
    workload: &impl Workload<LiveWorld>,
) -> Ended {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Ended::NoSetUp(format!("no runtime: {error}")),
    };
    let local = LocalSet::new();
    local.block_on(&runtime, async {
        let world = match LiveWorld::open(parts, recorder.clone()).await {
            Ok(world) => Rc::new(world),
            Err(why) => return Ended::TargetDied(why),
        };
        tokio::task::spawn_local(watch(world.clone()));
        let plan = parts.plan;
        let told = world.told_addresses();
        let installer = parts.subject.dialect.installer_at(plan.clone(), world.nonce, told);
        let stage = Stage::new(plan.clone(), world.clone(), installer, recorder.clone());
        let ended = conduct_with(stage, Some(interrupt), workload).await;
        let ended = match ended {
            Ended::NoSetUp(why) => Ended::NoSetUp(why + &world.last_words().await),
            ended => ended,
        };
        farewell::take(&world, plan).await;
        world.close().await;
        ended
    })
}
