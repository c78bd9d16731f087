//! What is put to the test: a target in one of its modes, the protocol that it speaks there, and where it is.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use avouch_scenarios::plan::Plan;
use avouch_scenarios::target::{
    Claim, Client, Disclaimer, FilledPlaces, Mode, Program, Start, TARGETS, Target, fill, parse_target,
};

use crate::adapter::protocol::{self, Dialect, PROTOCOLS};
use crate::perform;
use crate::world::process::program::Invocation;

/// Client programs of one run, at most: each device has one.
pub const CLIENT_PROGRAMS_MAX: usize = 256;

/// The target that is part of this tool.
pub const REFERENCE: &str = "reference";

/// A target in one mode.
#[derive(Clone)]
pub struct Subject {
    /// The target's name.
    pub target: String,
    /// The mode, by which its claims and its protocol's options were chosen.
    pub mode: Arc<Mode>,
    /// Whether the target has other modes, so that the name needs the mode.
    pub has_modes: bool,
    /// How its protocol is spoken.
    pub dialect: Arc<dyn Dialect>,
    /// What it promises.
    pub claims: Arc<[Claim]>,
    /// What it says that it does not promise.
    pub disclaimers: Arc<[Disclaimer]>,
    /// Where it is.
    pub place: Place,
    /// The program that each device is, where devices are programs.
    pub client: Option<Invocation>,
}

/// Where a server comes from.
#[derive(Clone, Debug)]
pub enum Place {
    /// It is part of this tool.
    BuiltIn,
    /// It is a program that is started for the run.
    Program {
        /// How.
        program: Arc<Program>,
        /// The folder of the target file, where it has one.
        here: Option<String>,
    },
    /// It runs already, at `host:port`.
    Running(String),
    /// Only its client programs know.
    Elsewhere,
}

impl std::fmt::Debug for Subject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subject")
            .field("name", &self.name())
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}

impl Subject {
    /// A target in one of its modes. `place`: where it runs, if that is not as its file says.
    pub fn new(name: &str, target: &Target, mode: Mode, place: Option<Place>) -> Result<Self, String> {
        let known = || PROTOCOLS.iter().map(|protocol| protocol.name).collect::<Vec<_>>().join(", ");
        let protocol = protocol::find(&target.protocol).ok_or_else(|| {
            format!("target {name}: there is no protocol `{}`\nhint: there is {}", target.protocol, known())
        })?;
        let dialect = (protocol.configure)(&target.options(&mode))
            .map_err(|why| format!("target {name}, mode {}: {why}", mode.name))?;
        let client = match (&target.client, dialect.is_spoken_by_programs()) {
            (Some(client), true) => {
                Some(invocation(client, target, &mode).map_err(|why| format!("target {name}: {why}"))?)
            }
            (None, false) => None,
            (None, true) => {
                return Err(format!(
                    "target {name} names no client program\nhint: write [client] with command = [\"program\", …]"
                ));
            }
            (Some(_), false) => {
                return Err(format!(
                    "target {name}: avouch speaks {} by itself, without a client program\nhint: leave [client] out, or write protocol = \"exec\"",
                    target.protocol
                ));
            }
        };
        let place = match (place, &target.start) {
            (Some(place), _) => place,
            (None, Some(Start::Part(_))) => Place::BuiltIn,
            (None, Some(Start::Program(program))) => {
                Place::Program { program: Arc::new((**program).clone()), here: None }
            }
            (None, None) if client.is_some() => Place::Elsewhere,
            (None, None) => {
                return Err(format!(
                    "target {name} is not started by avouch\nhint: say where it runs: {}://host:port",
                    target.protocol
                ));
            }
        };
        Ok(Self {
            target: name.to_owned(),
            claims: target.claims(&mode).into(),
            disclaimers: target.disclaimers(&mode).into(),
            has_modes: !target.mode.is_empty(),
            mode: Arc::new(mode),
            dialect,
            place,
            client,
        })
    }

    /// The reference server.
    pub fn reference() -> Self {
        let mode = REFERENCE_TARGET.mode(None);
        let subject = mode
            .ok_or_else(|| "no mode".to_owned())
            .and_then(|mode| Self::new(REFERENCE, &REFERENCE_TARGET, mode, None));
        subject.expect("the reference server's target file is part of this tool")
    }

    /// As reports call it: the target, and the mode where there are several.
    pub fn name(&self) -> String {
        if self.has_modes { format!("{}/{}", self.target, self.mode.name) } else { self.target.clone() }
    }

    /// Whether it is our own server, which all worlds have.
    pub fn is_reference(&self) -> bool {
        matches!(self.place, Place::BuiltIn) && self.client.is_none()
    }

    /// Ids of what it promises in a run of a plan: some promises hold only while nothing worse happens.
    pub fn claims_in(&self, plan: &Plan) -> Vec<String> {
        let made = self.claims.iter().filter(|claim| claim.holds_in(plan));
        made.map(|claim| claim.guarantee.to_string()).collect()
    }

    /// Whether it has what a plan asks for.
    pub fn check_plan(&self, plan: &Plan) -> Result<(), String> {
        if self.is_reference() {
            return perform::check_plan(plan);
        }
        if plan.cluster.nodes != 1 {
            let nodes = plan.cluster.nodes;
            return Err(format!(
                "the scenario asks for {nodes} nodes\nhint: a target is started as one node; set nodes = 1"
            ));
        }
        if !plan.cluster.settings.is_empty() {
            return Err(
                "[cluster.settings] are settings of the reference server, which is not the target here\n\
                hint: leave them out; what another server is started with stands in its target file"
                    .to_owned(),
            );
        }
        if self.client.is_some() && plan.devices.len() > CLIENT_PROGRAMS_MAX {
            let devices = plan.devices.len();
            return Err(format!(
                "the scenario has {devices} devices, and each would be a client program\nhint: at most {CLIENT_PROGRAMS_MAX} are started; choose a smaller scenario"
            ));
        }
        protocol::check_plan(&*self.dialect, plan)
    }
}

/// A client's command with everything in its place.
fn invocation(client: &Client, target: &Target, mode: &Mode) -> Result<Invocation, String> {
    let of_start = match &target.start {
        Some(Start::Program(program)) => program.values.clone(),
        _ => BTreeMap::new(),
    };
    let places = FilledPlaces { named: of_start.into_iter().chain(mode.values.clone()).collect() };
    let filled = |text: &String| fill(text, &places).map_err(|unfilled| unfilled.to_string());
    let words = client.command.iter().map(filled).collect::<Result<_, _>>()?;
    let environment = client.environment.iter().map(|(name, value)| Ok((name.clone(), filled(value)?)));
    Ok(Invocation { words, environment: environment.collect::<Result<_, String>>()? })
}

/// The reference server's target file.
static REFERENCE_TARGET: LazyLock<Target> = LazyLock::new(|| {
    let entry = TARGETS.iter().find(|entry| entry.name == REFERENCE);
    let target = entry.map(|entry| parse_target(entry.name, entry.text));
    target.and_then(Result::ok).expect("a test reads every target file that is part of this tool")
});

/// What the reference server promises, whatever happens.
pub fn reference_claims() -> &'static [String] {
    &REFERENCE_CLAIMS
}

/// Every schedule of an exploration asks for them.
static REFERENCE_CLAIMS: LazyLock<Vec<String>> =
    LazyLock::new(|| REFERENCE_TARGET.claim.iter().map(|claim| claim.guarantee.to_string()).collect());
