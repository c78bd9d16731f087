//! Scenario and seed → plan: every random choice is made here, each by its own key (see [`crate::keyed`]).
//!
//! So a change to one part of a scenario leaves the choices of the others: another user, device, fault or a longer
//! duration moves no arrival, size, reply or fault time that it does not itself take part in.

mod faults;
mod members;
mod traffic;

use crate::keyed::{Purpose, draw, hits};
use crate::plan::{
    Action, Cluster, Device, Do, Expect, LatencyGate, LinkShape, Network, Phases, Plan, PlannedFault,
};
use crate::scenario::{LinkSection, Scenario, Setting};
use crate::units::{Parties, Party};

/// Most actions of a plan.
pub const ACTIONS_MAX: usize = 2_000_000;
/// Most faults of a plan.
pub const FAULTS_MAX: usize = 20_000;

/// Why a scenario and a seed give no plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// With this seed, no member of any conversation is a sender while the workload lasts.
    #[error(
        "with seed {seed} no message is ever sent: the senders belong to no conversation while they are there"
    )]
    NothingSent {
        /// The seed.
        seed: u64,
    },
    /// More actions than [`ACTIONS_MAX`].
    #[error("the plan has more than {ACTIONS_MAX} actions")]
    TooManyActions,
    /// More faults than [`FAULTS_MAX`].
    #[error("the plan has more than {FAULTS_MAX} faults")]
    TooManyFaults,
}

impl Scenario {
    /// Makes every random choice. `name` is the scenario's path below its catalog, without the ending.
    ///
    /// The same scenario and seed give the same plan on every machine. The scenario is one that
    /// [`crate::parse_scenario`] accepted; names that do not exist are passed over otherwise.
    pub fn plan(&self, name: &str, seed: u64) -> Result<Plan, PlanError> {
        let devices = self.devices(seed);
        let conversations = members::conversations(self, seed);
        let choices = Choices { scenario: self, seed, devices: &devices };
        let actions = traffic::actions(&choices, &conversations)?;
        if !actions.iter().any(|action| matches!(action.what, Do::Send { .. })) {
            return Err(PlanError::NothingSent { seed });
        }
        let faults: Vec<PlannedFault> = faults::faults(&choices)?;
        Ok(Plan {
            scenario: name.to_owned(),
            about: self.about.clone(),
            seed,
            cluster: self.cluster_plan(),
            users: self.workload.users_total(),
            conversations,
            actions,
            faults,
            network: self.network_plan(),
            abandoned: self.phases.abandoned.as_ref().map_or_else(Vec::new, |parties| {
                // The place that selects them has a number that no fault, step or entry can have.
                select(seed, u64::MAX - 1, parties, &devices, self.workload.devices)
            }),
            phases: Phases {
                setup_ns_max: self.phases.setup.0,
                chaos_ns: self.workload.duration.0,
                drain_ns_max: self.phases.drain.0,
                give_up_ns: self.phases.give_up.map(|time| time.0),
                reconnects_max: 0,
                lost_after_ns: None,
            },
            expect: self.expect_plan(),
            defects: Vec::new(),
            devices,
        })
    }

    fn devices(&self, seed: u64) -> Vec<Device> {
        let per_user = self.workload.devices;
        let numbers =
            (0..self.workload.users_total()).flat_map(|user| (0..per_user).map(move |device| (user, device)));
        let mut devices: Vec<Device> = numbers
            .map(|(user, device)| Device {
                name: format!("u{user}.d{}", device + 1),
                user,
                connects_at_ns: None,
                consume_ns: 0,
                reads_after_ns: self.workload.read_marks.map(|time| time.0),
            })
            .collect();
        for (index, entry) in self.device.iter().enumerate() {
            let chosen = select(seed, index as u64, &entry.which, &devices, per_user);
            for number in chosen {
                let Some(device) = devices.get_mut(number as usize) else { continue };
                device.connects_at_ns = entry.connects_at.map(|time| time.0).or(device.connects_at_ns);
                device.consume_ns = entry.consume.map_or(device.consume_ns, |time| time.0);
                device.reads_after_ns = entry.read_marks.map(|time| time.0).or(device.reads_after_ns);
            }
        }
        devices
    }

    fn cluster_plan(&self) -> Cluster {
        let text = |setting: &Setting| match setting {
            Setting::Switch(on) => on.to_string(),
            Setting::Count(count) => count.to_string(),
            Setting::Text(text) => text.clone(),
        };
        let settings = self.cluster.settings.iter().map(|(name, setting)| (name.clone(), text(setting)));
        Cluster { nodes: self.cluster.nodes, settings: settings.collect() }
    }

    fn network_plan(&self) -> Network {
        let profile = self.network.profile.map_or(&crate::profiles::PROFILES[0], |profile| profile.0);
        let mut network = profile.network();
        for (shape, section) in [(&mut network.up, &self.network.up), (&mut network.down, &self.network.down)]
        {
            let LinkSection { delay, rate } = section;
            if delay.is_some() || rate.is_some() {
                "custom".clone_into(&mut network.profile);
            }
            *shape = LinkShape {
                delay: delay.map_or(shape.delay, |delay| delay.0),
                rate_bytes_per_s: rate.map(|rate| rate.0).or(shape.rate_bytes_per_s),
            };
        }
        network
    }

    fn expect_plan(&self) -> Expect {
        let gates = self.expect.latency.iter().map(|(gate, limit)| LatencyGate {
            stage: gate.stage.to_owned(),
            percentile_milli: gate.percentile_milli,
            at_most_ns: limit.0,
        });
        Expect {
            guarantees: self.expect.guarantees.iter().map(|id| id.0.to_owned()).collect(),
            recovers_within_ns: self.expect.recovers_within.map(|time| time.0),
            latency: gates.collect(),
        }
    }
}

/// What the parts of an expansion share.
struct Choices<'a> {
    scenario: &'a Scenario,
    seed: u64,
    devices: &'a [Device],
}

impl Choices<'_> {
    /// Device numbers of a selection, rising. `key` names the place that selects.
    fn select(&self, key: u64, parties: &Parties) -> Vec<u32> {
        select(self.seed, key, parties, self.devices, self.scenario.workload.devices)
    }
}

fn select(seed: u64, key: u64, parties: &Parties, devices: &[Device], per_user: u32) -> Vec<u32> {
    const SHARE: Purpose = Purpose::named("share-of-clients");
    let mut chosen = vec![false; devices.len()];
    let mut choose = |number: u64| {
        if let Some(is) = usize::try_from(number).ok().and_then(|number| chosen.get_mut(number)) {
            *is = true;
        }
    };
    for party in &parties.0 {
        match *party {
            Party::Clients => (0..devices.len() as u64).for_each(&mut choose),
            Party::User(user) => {
                (0..u64::from(per_user))
                    .for_each(|device| choose(u64::from(user) * u64::from(per_user) + device));
            }
            Party::Device(user, device) => choose(u64::from(user) * u64::from(per_user) + u64::from(device)),
            Party::Share(share) => {
                let of = |number: u64| {
                    let (user, device) = (number / u64::from(per_user), number % u64::from(per_user));
                    draw(seed, SHARE, &[key, user, device])
                };
                let numbers = 0..devices.len() as u64;
                numbers.clone().filter(|number| hits(of(*number), share.ppm)).for_each(&mut choose);
                // At least one, or the fault would never be seen: the one that is nearest to being hit.
                numbers.min_by_key(|number| of(*number)).into_iter().for_each(&mut choose);
            }
        }
    }
    let numbers = chosen.iter().enumerate().filter(|(_, chosen)| **chosen);
    numbers.map(|(number, _)| number as u32).collect()
}

/// Sorts by time (equal times stay in order) and gives operations their numbers.
fn number(mut actions: Vec<Action>) -> Vec<Action> {
    actions.sort_by_key(|action| action.at_ns);
    let mut next = 1;
    for action in &mut actions {
        if let Do::Send { message, .. } | Do::ChangeMembers { message, .. } = &mut action.what {
            *message = next;
            next += 1;
        }
    }
    actions
}
