//! Rules for connections, in the words in which scenario files tell faults of links: `drop = { on = "PUBLISH", probability = "1%" }`.
//!
//! A connection is to a rule what a device's link is to a scenario: frames are counted on it from its beginning. Times (`at`,
//! `every`) count from when the proxy began, for all connections alike.

use avouch_scenarios::parse_scenario;
use avouch_scenarios::plan::{Delay, Fault, LinkShape, LinkVerb, Network, Plan, PlannedFault, When};

use crate::adapter::protocol::{Dialect, check_plan};
use crate::link::{Settings, skip_reason};

/// How long `every` goes on, counted from the beginning.
pub const REPEATS_FOR_S: u64 = 600;
/// Connections that the rules' plan pretends to: enough to notice a rule for some of them.
const PRETENDED: usize = 20;

/// What goes wrong on every connection.
#[derive(Clone, Debug)]
pub struct Rules {
    faults: Vec<PlannedFault>,
    network: Network,
    survives_frame_faults: bool,
    moments: Vec<Moment>,
}

/// A rule begins or ends at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    /// When, since the proxy began.
    pub at_ns: u64,
    /// Which.
    pub fault: u32,
    /// It begins.
    pub active: bool,
}

impl Default for Rules {
    fn default() -> Self {
        let shape = LinkShape { delay: Delay::Fixed { ns: 0 }, rate_bytes_per_s: None };
        let network = Network { profile: "none".to_owned(), up: shape.clone(), down: shape };
        Self { faults: Vec::new(), network, survives_frame_faults: false, moments: Vec::new() }
    }
}

impl Rules {
    /// Reads rules. Without a dialect nothing is known of frames. Errors are for a person.
    pub fn parse(words: &[String], seed: u64, dialect: Option<&dyn Dialect>) -> Result<Self, String> {
        let survives_frame_faults = dialect.is_some_and(Dialect::survives_frame_faults);
        let mut rules = Self { survives_frame_faults, ..Self::default() };
        for (number, words) in (1..).zip(words) {
            // Each is read alone, so that an error shows its place in what was typed.
            let plan = plan(&[words], seed, &format!("--fault {number}"))?;
            check(&plan, dialect).map_err(|why| format!("--fault '{words}': {why}"))?;
        }
        if !words.is_empty() {
            let words: Vec<&String> = words.iter().collect();
            rules.faults = plan(&words, seed, "--fault")?.faults;
        }
        rules.moments = rules.faults.iter().flat_map(moments).collect();
        rules.moments.sort_unstable();
        Ok(rules)
    }

    /// What is at work from the beginning.
    pub(super) fn at_once(&self) -> impl Iterator<Item = u32> {
        self.moments.iter().filter(|moment| moment.at_ns == 0 && moment.active).map(|moment| moment.fault)
    }

    /// What begins and ends later, by rising time.
    pub fn later(&self) -> impl Iterator<Item = Moment> {
        self.moments.iter().filter(|moment| moment.at_ns > 0).copied()
    }

    /// The link of the connection with an ordinal.
    pub(super) fn settings(&self, seed: u64, ordinal: u32) -> Settings {
        let concerned = |planned: &PlannedFault| {
            let mut planned = planned.clone();
            if let When::OnFrame(trigger) = &mut planned.when {
                trigger.devices = vec![ordinal];
            }
            if let Fault::Link(link) = &mut planned.fault {
                link.devices = vec![ordinal];
            }
            planned
        };
        Settings {
            seed,
            device: ordinal,
            network: self.network.clone(),
            faults: self.faults.iter().map(concerned).collect(),
            survives_frame_faults: self.survives_frame_faults,
        }
    }
}

/// What rules mean: a scenario of nothing but its faults.
fn plan<W: AsRef<str>>(words: &[W], seed: u64, name: &str) -> Result<Plan, String> {
    let faults: Vec<String> = words.iter().map(|words| format!("{{ {} }}", words.as_ref())).collect();
    let text = format!(
        "fault = [{}]\nabout = \"rules\"\nworkload = {{ members = {PRETENDED}, rate = \"0.01/s\", duration = \"{REPEATS_FOR_S}s\" }}\n",
        faults.join(", ")
    );
    let scenario = parse_scenario(name, &text).map_err(|refused| refused.to_string())?;
    scenario.plan(name, seed).map_err(|error| format!("{name}: {error}"))
}

/// Whether rules can be carried out by a proxy that knows this much.
fn check(plan: &Plan, dialect: Option<&dyn Dialect>) -> Result<(), String> {
    for planned in &plan.faults {
        let Fault::Link(link) = &planned.fault else {
            return Err("a proxy has connections only, neither servers nor clients\nhint: `avouch list faults` tells which faults are on links".to_owned());
        };
        if link.devices.len() < plan.devices.len() {
            return Err("connections have no names here\nhint: leave `link` out; `probability` spares some frames, a toxic's `toxicity` some connections".to_owned());
        }
        let is_about_frames = link.kind.is_some()
            || matches!(planned.when, When::OnFrame(_))
            || matches!(
                link.verb,
                LinkVerb::Drop | LinkVerb::Duplicate { .. } | LinkVerb::Reorder { .. } | LinkVerb::Corrupt
            )
            || matches!(link.verb, LinkVerb::Cut { .. }) && link.probability_ppm < 1_000_000;
        let survives = dialect.is_some_and(Dialect::survives_frame_faults);
        if is_about_frames && dialect.is_none() {
            return Err("without a protocol there are bytes here and no frames\nhint: name the protocol, as in --protocol mqtt".to_owned());
        }
        if let Some(why) = skip_reason(&planned.fault, survives) {
            return Err(why.to_owned());
        }
    }
    dialect.map_or(Ok(()), |dialect| check_plan(dialect, plan))
}

fn moments(planned: &PlannedFault) -> Vec<Moment> {
    let When::At { ns } = planned.when else { return Vec::new() };
    let fault = planned.id;
    let mut moments = vec![Moment { at_ns: ns, fault, active: true }];
    moments.extend(planned.for_ns.map(|for_ns| Moment {
        at_ns: ns.saturating_add(for_ns),
        fault,
        active: false,
    }));
    moments
}
