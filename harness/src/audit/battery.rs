//! The cases of an audit, as scenario files.
//!
//! In each, u0 sends to a conversation of three; u1 (and sometimes u2) is the recipient to whom something happens. The same few
//! seconds for every protocol: what differs is which frames its handshakes have. What happens again and again happens for the last
//! time well before the end (400 ms and more), because the heal that follows waits for nothing, and a busy machine is late.

use std::fmt::Write as _;

use crate::adapter::protocol::{Dialect, Party, Step};
use crate::link::Way;

/// How much is put to the test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// What tells most in half a minute.
    Quick,
    /// Everything that fits.
    Full,
}

/// One case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// Its name: "cut-before-puback-to-sender".
    pub name: String,
    /// The scenario file.
    pub text: String,
}

/// Messages of a backlog that is larger than what servers queue by default.
const LARGE_BACKLOG: u32 = 1_500;

/// All cases for a protocol as it is spoken in one mode.
pub fn cases(dialect: &dyn Dialect, depth: Depth) -> Vec<Case> {
    let mut cases = vec![steady()];
    cases.extend(cuts(&dialect.steps(), depth));
    cases.extend(clients());
    if depth == Depth::Full {
        cases.extend(more_clients());
    }
    cases.extend(nodes(depth));
    cases
}

/// A scenario's head and its workload.
struct Draft {
    name: String,
    text: String,
}

impl Draft {
    fn new(name: &str, about: &str, workload: &str) -> Self {
        let text = format!(
            "about = \"{about}\"\n\n[workload]\nmembers = 3\nsenders = [\"u0\"]\npayload = \"64..256 B\"\n{workload}\n"
        );
        Self { name: name.to_owned(), text }
    }

    fn fault(mut self, lines: &str) -> Self {
        // Writing to a string never fails.
        let _ = write!(self.text, "\n[[fault]]\n{lines}\n");
        self
    }

    fn step(mut self, lines: &str) -> Self {
        let _ = write!(self.text, "\n[[step]]\n{lines}\n");
        self
    }

    fn done(mut self) -> Case {
        self.text += "\n[phases]\nsetup = \"15s\"\ndrain = \"15s\"\n";
        Case { name: self.name, text: self.text }
    }
}

fn steady() -> Case {
    let about = "Nothing goes wrong: what is sent arrives, once and in order.";
    Draft::new("steady", about, "rate = \"100/s\"\nduration = \"1500ms\"").done()
}

/// The connection is cut before and after every frame of every handshake, several times in a run.
fn cuts(steps: &[Step], depth: Depth) -> Vec<Case> {
    let workload = "rate = \"60/s\"\nduration = \"2500ms\"";
    let edges = ["before", "after"];
    if depth == Depth::Quick {
        // All steps of one party in one run, each cut by another message.
        return [Party::Sender, Party::Recipient]
            .into_iter()
            .filter(|party| steps.iter().any(|step| step.party == *party))
            .map(|party| {
                let about = "The connection of one party ends before and after every step of its handshakes.";
                let mut draft = Draft::new(&format!("cuts-{}", word(party)), about, workload);
                let mine = steps.iter().filter(|step| step.party == party);
                for (number, (step, edge)) in mine.flat_map(|step| edges.map(|edge| (step, edge))).enumerate()
                {
                    draft = draft.fault(&cut(step, edge, 3 + 7 * number, "rst"));
                }
                draft.done()
            })
            .collect();
    }
    let mut cases = Vec::new();
    for step in steps {
        for edge in edges {
            let kind = step.kind.to_lowercase();
            let name = format!("cut-{edge}-{kind}-{}", word(step.party));
            let about = format!("The connection of the {} ends {edge} {}.", word(step.party), step.kind);
            let draft = Draft::new(&name, &about, workload).fault(&cut(step, edge, 4, "rst"));
            cases.push(draft.fault(&cut(step, edge, 19, "fin")).fault(&cut(step, edge, 41, "rst")).done());
        }
    }
    cases
}

fn cut(step: &Step, edge: &str, nth: usize, how: &str) -> String {
    let link = if step.party == Party::Sender { "u0" } else { "u1" };
    let way = if step.way == Way::Up { "up" } else { "down" };
    let kind = step.kind;
    format!(
        "cut = {{ {edge} = \"{kind}\", link = \"{link}\", direction = \"{way}\", nth = {nth}, how = \"{how}\" }}"
    )
}

fn word(party: Party) -> &'static str {
    match party {
        Party::Sender => "sender",
        Party::Recipient => "recipient",
    }
}

/// Messages that flow while something happens to a client.
const FLOWING: &str = "rate = \"60/s\"\nduration = \"3s\"";

/// What clients and their networks do.
fn clients() -> Vec<Case> {
    let flowing = FLOWING;
    vec![
        Draft::new(
            "return-to-backlog",
            "A recipient comes back to what was sent while the sender goes on.",
            flowing,
        )
        .fault("offline = { client = \"u1\" }\nat = \"500ms\"\nfor = \"1200ms\"")
        .done(),
        Draft::new("takeover", "Sender and recipient connect again while their connections live.", flowing)
            .fault("takeover = { client = \"u1\" }\nevery = \"800ms\"")
            .fault("takeover = { client = \"u0\" }\nat = \"1300ms\"")
            .done(),
        Draft::new(
            "backlog-1500",
            "A recipient is away while more is sent than servers queue by default.",
            "duration = \"4s\"",
        )
        .fault("offline = { client = \"u1\" }\nat = \"100ms\"\nfor = \"3500ms\"")
        .step(&format!(
            "at = \"500ms\"\ndevice = \"u0\"\nsend = {{ conversation = \"c0\", count = {LARGE_BACKLOG} }}"
        ))
        .done(),
    ]
}

/// More of it.
fn more_clients() -> Vec<Case> {
    let flowing = FLOWING;
    vec![
        Draft::new(
            "backlog-300",
            "A recipient is away while a few hundred messages are sent.",
            "duration = \"3s\"",
        )
        .fault("offline = { client = \"u1\" }\nat = \"100ms\"\nfor = \"2500ms\"")
        .step("at = \"500ms\"\ndevice = \"u0\"\nsend = { conversation = \"c0\", count = 300 }")
        .done(),
        Draft::new(
            "half-open-recipient",
            "A recipient's connection dies in silence.",
            "rate = \"40/s\"\nduration = \"6s\"",
        )
        .fault("half_open = { link = \"u1\" }\nat = \"800ms\"\nfor = \"4s\"")
        .done(),
        Draft::new(
            "half-open-sender",
            "The sender's connection dies in silence.",
            "rate = \"40/s\"\nduration = \"6s\"",
        )
        .fault("half_open = { link = \"u0\" }\nat = \"800ms\"\nfor = \"4s\"")
        .done(),
        Draft::new("stall", "Nothing passes to a recipient for a while, and then everything.", flowing)
            .fault("stall = { link = \"u1\", direction = \"down\" }\nat = \"700ms\"\nfor = \"1s\"")
            .done(),
        Draft::new(
            "slow-consumer",
            "A recipient takes its time, and its connection ends meanwhile.",
            flowing,
        )
        .fault("slow_consumer = { client = \"u1\", consume = \"25ms\" }\nat = \"300ms\"\nfor = \"2200ms\"")
        .fault("cut = { link = \"u1\" }\nat = \"1500ms\"")
        .done(),
        Draft::new("storm", "Everybody connects again at once, while messages flow.", flowing)
            .fault("reconnect_storm = { client = \"clients\" }\nat = \"800ms\"")
            .fault("reconnect_storm = { client = \"clients\" }\nat = \"1900ms\"")
            .done(),
        Draft::new(
            "cuts-at-random",
            "Connections end whenever, of everybody.",
            "rate = \"100/s\"\nduration = \"5500ms\"",
        )
        // Some clients wait for a second before they come back, and for longer where the machine is busy.
        .fault("cut = { link = \"u0\" }\nat = \"600ms\"\nevery = \"1900ms\"")
        .fault("cut = { link = \"u1\" }\nat = \"900ms\"\nevery = \"1900ms\"")
        .fault("cut = { link = \"u2\", how = \"fin\" }\nat = \"1200ms\"\nevery = \"1900ms\"")
        .done(),
    ]
}

/// A recipient that is away when something happens to the server is owed something.
const AWAY: &str = "offline = { client = \"u2\" }\nat = \"400ms\"\nfor = \"2200ms\"";
/// The same, for cases that take longer.
const AWAY_LONG: &str = "offline = { client = \"u2\" }\nat = \"100ms\"\nfor = \"4500ms\"";

/// What happens to the server under load.
fn nodes(depth: Depth) -> Vec<Case> {
    let flowing = "rate = \"80/s\"\nduration = \"3s\"";
    let mut cases = vec![
        Draft::new("restart", "The server is asked to stop and started again, under load.", flowing)
            .fault(AWAY)
            .fault("restart = { restart_after = \"200ms\" }\nat = \"1200ms\"")
            .done(),
        Draft::new("kill", "The server is killed under load.", flowing)
            .fault(AWAY)
            .fault("kill = { restart_after = \"200ms\" }\nat = \"1200ms\"")
            .done(),
        Draft::new("pause", "The server stands still for a while.", flowing)
            .fault("pause = {}\nat = \"800ms\"\nfor = \"1s\"")
            .done(),
        settled("kill", "The server is killed when nothing has happened for seconds."),
        Draft::new("power-loss", "The machine of the server loses power under load.", flowing)
            .fault(AWAY)
            .fault("power_loss = { restart_after = \"200ms\" }\nat = \"1200ms\"")
            .done(),
    ];
    if depth == Depth::Full {
        cases.extend(more_nodes());
    }
    cases
}

/// More of it.
fn more_nodes() -> Vec<Case> {
    vec![
        settled("restart", "The server is restarted when nothing has happened for seconds."),
        settled("power_loss", "The machine loses power when nothing has happened for seconds."),
        again("restart", "1500ms", "The server is restarted again and again."),
        again("kill", "1500ms", "The server is killed again and again."),
        again("power_loss", "1700ms", "The machine loses power again and again."),
        Draft::new(
            "pause-long",
            "The server stands still for longer than clients wait.",
            "rate = \"40/s\"\nduration = \"6s\"",
        )
        .fault("pause = {}\nat = \"500ms\"\nfor = \"4500ms\"")
        .done(),
    ]
}

/// A node fault long after the last message.
fn settled(verb: &str, about: &str) -> Case {
    let messages = "at = \"300ms\"\ndevice = \"u0\"\nsend = { conversation = \"c0\", count = 60 }";
    let fault = format!("{verb} = {{ restart_after = \"200ms\" }}\nat = \"3800ms\"");
    let draft = Draft::new(&format!("{}-settled", verb.replace('_', "-")), about, "duration = \"5s\"");
    draft.step(messages).fault(AWAY_LONG).fault(&fault).done()
}

/// A node fault again and again, under load.
fn again(verb: &str, every: &str, about: &str) -> Case {
    let workload = "rate = \"60/s\"\nduration = \"5s\"";
    let fault = format!("{verb} = {{ restart_after = \"150ms\" }}\nat = \"600ms\"\nevery = \"{every}\"");
    let draft = Draft::new(&format!("{}-loop", verb.replace('_', "-")), about, workload);
    draft.fault(AWAY_LONG).fault(&fault).done()
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use avouch_scenarios::parse_scenario;
    use avouch_scenarios::scenario::Setting;

    use super::*;
    use crate::adapter::protocol::{PROTOCOLS, check_plan};

    #[test]
    fn every_case_is_a_scenario_that_its_protocol_can_be_asked_for() {
        for protocol in PROTOCOLS {
            for depth in [Depth::Quick, Depth::Full] {
                let dialect = (protocol.configure)(&BTreeMap::new()).unwrap();
                let cases = cases(&*dialect, depth);
                let names: BTreeSet<&str> = cases.iter().map(|case| case.name.as_str()).collect();
                assert_eq!(names.len(), cases.len(), "{}: names are used once", protocol.name);
                for case in &cases {
                    let scenario = parse_scenario(&case.name, &case.text);
                    let scenario = scenario.unwrap_or_else(|refused| panic!("{refused}\n{}", case.text));
                    let plan = scenario.plan(&case.name, 1).unwrap();
                    check_plan(&*dialect, &plan).unwrap();
                    assert!(case.name == "steady" || !plan.faults.is_empty(), "{}", case.name);
                }
            }
        }
    }

    #[test]
    fn a_full_battery_cuts_before_and_after_every_step() {
        let check = |protocol: &str, options: &[(&str, Setting)], steps: usize| {
            let options = options.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
            let protocol = PROTOCOLS.iter().find(|it| it.name == protocol).unwrap();
            let dialect = (protocol.configure)(&options).unwrap();
            let cuts = cases(&*dialect, Depth::Full).into_iter().filter(|case| case.name.starts_with("cut-"));
            let cuts: Vec<Case> = cuts.collect();
            assert_eq!((cuts.len(), dialect.steps().len()), (2 * steps, steps));
            for case in cuts {
                let plan = parse_scenario(&case.name, &case.text).unwrap().plan(&case.name, 1).unwrap();
                check_plan(&*dialect, &plan).unwrap();
            }
        };
        for (qos, steps) in [(0, 2), (1, 4), (2, 8)] {
            check("mqtt", &[("qos", Setting::Count(qos))], steps);
        }
        let text = |text: &str| Setting::Text(text.to_owned());
        check("nats", &[], 2);
        check("nats", &[("layer", text("jetstream"))], 5);
        check("nats", &[("layer", text("jetstream")), ("acks", text("confirmed"))], 6);
    }
}
