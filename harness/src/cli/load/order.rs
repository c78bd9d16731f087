//! What the user said → what is to be done.

use std::fmt::{Display, Write as _};

use avouch_reports::latency::{LatencyGate, Stage};
use avouch_reports::load::{Arrival, ArrivalKind, Payload, Shape, Shard};
use avouch_scenarios::gates::Gate;
use avouch_scenarios::load::{Arrivals, Burst, Schedule, SizeMix, Stretch};
use avouch_scenarios::parse_scenario;
use avouch_scenarios::plan::{Conversation, Delay, LinkShape, Plan};
use avouch_scenarios::scenario::Arrivals as Spread;
use avouch_scenarios::units::{MemberMix, PerSecond, Time, Unit};

use super::Args;
use super::crowd::Crowd;
use crate::cli::run::quoted;
use crate::cli::targets;
use crate::load::{Asked, Described, Order};
use crate::subject::{CLIENT_PROGRAMS_MAX, Subject};
use crate::world::descriptors;
use crate::world::live;

/// Messages of one test, at most: what the checkers keep of each fits a small machine.
const MESSAGES_MAX: f64 = 50_000_000.0;
/// Sessions of one test.
const SESSIONS_MAX: u32 = 20_000;
/// The set-up must be done within this, and so much more for each session. Nanoseconds.
const SETUP_NS: u64 = 10_000_000_000;
const SETUP_NS_PER_SESSION: u64 = 10_000_000;
/// What is still owed when the last message was sent is waited for as long as messages were sent, within these. Nanoseconds.
const DRAIN_NS: (u64, u64) = (10_000_000_000, 60_000_000_000);
/// Parts of one test.
const SHARDS_MAX: u32 = 1_000;

pub(super) fn order(args: &Args) -> Result<Order, String> {
    let found = targets::find(&args.target)?.served_at(args.server.as_deref())?;
    let subject = found.in_mode(args.mode.as_deref())?;
    let duration = unit::<Time>("--duration", &args.duration)?;
    if duration.0 < 1_000_000_000 {
        return Err(format!(
            "--duration {}: shorter than a second says nothing\nhint: write 10s",
            args.duration
        ));
    }
    let shard = shard(args)?;
    let (arrivals, arrival) = arrivals(args, duration)?;
    let sizes = SizeMix::from_text(&args.payload).map_err(|complaint| told("--payload", &complaint))?;
    let mix = args.sizes.as_ref().map(|text| unit::<MemberMix>("--sizes", text)).transpose()?;
    let crowd = Crowd::new(args, mix.as_ref(), &subject)?;
    let plan = plan(args, &subject, &crowd, duration)?;
    let part = shard.map_or((0, 1), |shard| (u64::from(shard.number) - 1, u64::from(shard.of)));
    let (bytes_min, bytes_mean, bytes_max) = sizes.extent();
    let payload = Payload { words: sizes.to_string(), bytes_min, bytes_mean, bytes_max };
    let (senders, shares) = (crowd.senders.clone(), crowd.shares.clone());
    let schedule = Schedule { seed: args.seed, arrivals, senders, shares, sizes, shard: part };
    let asked = args.objectives.iter().map(|text| objective(text, &crowd.shape));
    let objectives = asked.collect::<Result<_, _>>()?;
    let described = Described {
        protocol: subject.dialect.words(),
        arrival,
        payload,
        shape: crowd.shape,
        faults: fault_words(args, &plan),
        shard,
    };
    Ok(Order {
        schedule,
        window: args.closed,
        described,
        objectives,
        folder: args.out.clone(),
        repeat: repeat(),
        start_unix_ms: args.start_at,
        noise_floor: None,
        plan,
        subject,
    })
}

fn told(flag: &str, complaint: &avouch_scenarios::units::Complaint) -> String {
    let hint = if complaint.hint.is_empty() { String::new() } else { format!("\nhint: {}", complaint.hint) };
    format!("{flag}: {}{hint}", complaint.message)
}

fn unit<U: Unit>(flag: &str, text: &str) -> Result<U, String> {
    U::from_text(text).map_err(|complaint| told(flag, &complaint))
}

fn per_s(rate: PerSecond) -> f64 {
    rate.micro as f64 / 1e6
}

fn arrivals(args: &Args, duration: Time) -> Result<(Arrivals, Arrival), String> {
    let spread = match args.arrivals {
        super::Arrivals::Poisson => Spread::Poisson,
        super::Arrivals::Constant => Spread::Constant,
    };
    let rates = args.rate.iter().map(|text| unit::<PerSecond>("--rate", text));
    let mut rates = rates.collect::<Result<Vec<_>, _>>()?;
    let mut kind = match (rates.len(), spread) {
        (2.., _) => ArrivalKind::Steps,
        (_, Spread::Poisson) => ArrivalKind::Poisson,
        (_, Spread::Constant) => ArrivalKind::Constant,
    };
    let mut stretches = Vec::new();
    if let Some(text) = &args.ramp_to {
        let [from] = rates[..] else { return Err("--ramp-to goes with one --rate".to_owned()) };
        let to = unit::<PerSecond>("--ramp-to", text)?;
        kind = ArrivalKind::Ramp;
        stretches.push(Stretch { lasts_ns: duration.0, from_per_s: per_s(from), to_per_s: per_s(to) });
        rates.push(to);
    } else {
        let lasts_ns = duration.0 / rates.len() as u64;
        stretches.extend(rates.iter().map(|rate| {
            let per_s = per_s(*rate);
            Stretch { lasts_ns, from_per_s: per_s, to_per_s: per_s }
        }));
    }
    let every = unit::<Time>("--burst-every", &args.burst_every)?;
    let burst = args.burst.map(|messages| Burst { messages, every_ns: every.0 });
    if burst.is_some_and(|burst| burst.every_ns < 1_000_000) {
        return Err(
            "--burst-every: bursts come at most every millisecond\nhint: raise --rate instead".to_owned()
        );
    }
    let arrivals = Arrivals { spread, stretches, burst };
    if arrivals.expected() > MESSAGES_MAX {
        return Err(format!(
            "{:.0} messages are more than one test can check\nhint: at most {MESSAGES_MAX:.0}: lower --rate or --duration",
            arrivals.expected()
        ));
    }
    let window = args.closed.unwrap_or(0);
    let kind = match (window, burst) {
        (1.., _) => ArrivalKind::Closed,
        (0, Some(_)) => ArrivalKind::Burst,
        (0, None) => kind,
    };
    let words = words_of_arrivals(kind, &rates, burst, window);
    let arrival = Arrival {
        kind,
        closed_loop: window > 0,
        rates_per_s: if window > 0 { Vec::new() } else { rates.iter().map(|rate| per_s(*rate)).collect() },
        burst_messages: burst.map_or(0, |burst| burst.messages),
        burst_every_ns: burst.map_or(0, |burst| burst.every_ns),
        window,
        words,
    };
    Ok((arrivals, arrival))
}

fn words_of_arrivals(kind: ArrivalKind, rates: &[PerSecond], burst: Option<Burst>, window: u32) -> String {
    let all = |between: &str| rates.iter().map(PerSecond::to_string).collect::<Vec<_>>().join(between);
    match (kind, burst) {
        (ArrivalKind::Closed, _) => format!("closed loop, {window} under way per sender"),
        (ArrivalKind::Ramp, _) => format!("ramp from {}", all(" to ")),
        (ArrivalKind::Steps, _) => format!("steps of {}", all(", ")),
        (ArrivalKind::Burst, Some(burst)) => {
            format!("{} and bursts of {} every {}", all(", "), burst.messages, Time(burst.every_ns))
        }
        (ArrivalKind::Constant, _) => format!("constant {}", all(", ")),
        _ => format!("Poisson {}", all(", ")),
    }
}

/// Whether one process holds so many.
pub(super) fn sessions_fit(sessions: u64) -> Result<(), String> {
    if sessions > u64::from(SESSIONS_MAX) {
        return Err(format!(
            "{sessions} sessions are more than one process holds\nhint: at most {SESSIONS_MAX}; spread the test with --shard"
        ));
    }
    Ok(())
}

/// Devices, conversations and faults: the scenario language reads the faults, so that they mean what they mean elsewhere.
fn plan(args: &Args, subject: &Subject, crowd: &Crowd, duration: Time) -> Result<Plan, String> {
    sessions_fit(u64::from(crowd.users))?;
    let mut text = String::from("about = \"A load test.\"\n");
    let faults = args.faults.iter().map(|fault| fault_text(fault)).collect::<Result<Vec<_>, _>>()?;
    if !faults.is_empty() {
        let _ = writeln!(text, "fault = [\n  {},\n]", faults.join(",\n  "));
    }
    let users = crowd.users.max(2);
    let _ = writeln!(
        text,
        "[workload]\nusers = {users}\nconversations = 1\nmembers = 2\nrate = \"10/s\"\narrivals = \"constant\"\nduration = \"{duration}\""
    );
    let scenario = parse_scenario("--fault", &text).map_err(|refused| refused.to_string())?;
    let shard =
        args.shard.as_ref().map_or_else(String::new, |shard| format!("-{}", shard.replace('/', "of")));
    let mut plan = scenario.plan(&format!("load{shard}"), args.seed).map_err(|error| error.to_string())?;
    plan.actions.clear();
    plan.devices.truncate(crowd.users as usize);
    plan.users = crowd.users;
    let conversations = crowd.conversations.iter().enumerate();
    plan.conversations = conversations
        .map(|(number, members)| Conversation { name: format!("c{number}"), members: members.clone() })
        .collect();
    // Nothing between but what is there: a network's delays are a fault that has to be asked for.
    for shape in [&mut plan.network.up, &mut plan.network.down] {
        *shape = LinkShape { delay: Delay::Fixed { ns: 0 }, rate_bytes_per_s: None };
    }
    "none".clone_into(&mut plan.network.profile);
    plan.phases.setup_ns_max = SETUP_NS + SETUP_NS_PER_SESSION * u64::from(crowd.users);
    // A backlog may take as long as it took to grow; a server that is silent is not waited for much longer than it was asked.
    plan.phases.drain_ns_max = duration.0.clamp(DRAIN_NS.0, DRAIN_NS.1);
    storm(args, crowd, &mut plan)?;
    subject.check_plan(&plan)?;
    if let Some(why) = plan.faults.iter().find_map(|planned| live::lacks(&planned.fault, subject)) {
        return Err(format!("--fault: {why}"));
    }
    if subject.client.is_some() && plan.devices.len() > CLIENT_PROGRAMS_MAX {
        return Err(format!(
            "each of {} sessions would be a client program\nhint: at most {CLIENT_PROGRAMS_MAX}",
            plan.devices.len()
        ));
    }
    let devices = plan.devices.len();
    let room = match crate::load::way_of(&plan, subject) {
        live::Way::Direct => descriptors::make_room_direct(devices),
        live::Way::Proxied => descriptors::make_room(&[devices], 1).map(drop),
    };
    room.map_err(|error| error.to_string())?;
    Ok(plan)
}

fn storm(args: &Args, crowd: &Crowd, plan: &mut Plan) -> Result<(), String> {
    let first = (crowd.silent_from + args.idle) as usize;
    let rate = args.storm_rate.as_ref().map(|text| unit::<PerSecond>("--storm-rate", text)).transpose()?;
    if rate.is_some() && args.storm == 0 {
        return Err("--storm-rate goes with --storm".to_owned());
    }
    let half_ns = plan.phases.chaos_ns / 2;
    for (number, device) in plan.devices.iter_mut().skip(first).enumerate() {
        let after_ns = rate.map_or(half_ns, |rate| (number as f64 * rate.mean_gap_ns()) as u64);
        if after_ns >= plan.phases.chaos_ns {
            return Err(format!(
                "{} sessions at --storm-rate take longer than --duration\nhint: raise either, or take fewer",
                args.storm
            ));
        }
        device.connects_at_ns = Some(after_ns);
    }
    Ok(())
}

/// `pause at 4s for 1s` as the scenario language has it; what has an `=` is in that language already.
fn fault_text(text: &str) -> Result<String, String> {
    if text.contains('=') {
        let text = text.trim().trim_start_matches('{').trim_end_matches('}');
        return Ok(format!("{{ {} }}", text.trim()));
    }
    let wrong = |why: &dyn Display| {
        Err(format!(
            "--fault {text}: {why}\nhint: write \"pause at 4s for 1s\", or as in a scenario: 'pause = {{}}, at = \"4s\", for = \"1s\"'"
        ))
    };
    let words: Vec<&str> = text.split_whitespace().collect();
    let Some((verb, rest)) = words.split_first() else { return wrong(&"it names no fault") };
    let mut fields = Vec::new();
    let mut inner = String::new();
    for pair in rest.chunks(2) {
        let [key @ ("at" | "for" | "every"), value] = pair else {
            return wrong(&format!("`{}` is not understood", pair.join(" ")));
        };
        // What is killed comes back after a while; it does not last.
        if *key == "for" && matches!(*verb, "kill" | "restart" | "power_loss") {
            inner = format!(" restart_after = {value:?} ");
        } else {
            fields.push(format!("{key} = {value:?}"));
        }
    }
    if matches!(*verb, "stall" | "partition" | "half_open" | "cut" | "delay") {
        " link = \"clients\" ".clone_into(&mut inner);
    }
    if matches!(*verb, "offline" | "takeover" | "reconnect_storm" | "slow_consumer") {
        " client = \"clients\" ".clone_into(&mut inner);
    }
    fields.insert(0, format!("{verb} = {{{inner}}}"));
    Ok(format!("{{ {} }}", fields.join(", ")))
}

/// What the user wrote, for each fault of the plan: one that comes again stands there more than once.
fn fault_words(args: &Args, plan: &Plan) -> Vec<String> {
    plan.faults
        .iter()
        .map(|planned| {
            let kind = crate::conductor::fault_kind(&planned.fault);
            let written: Vec<&String> = args.faults.iter().filter(|text| text.contains(kind)).collect();
            match written[..] {
                [only] => only.clone(),
                _ => kind.to_owned(),
            }
        })
        .collect()
}

/// `accepted p99 < 50ms`, also with `<=`, `p99.9` as people write it, and `@size 16` for conversations of 16 alone.
fn objective(text: &str, shape: &Shape) -> Result<Asked, String> {
    let wrong = |why: &str, hint: &str| Err(format!("--slo {text}: {why}\nhint: {hint}"));
    let example = "write \"accepted p99 < 50ms\", \"delivered p99.9 < 1s\", \"receipt max < 5s\", \"delivered p99 < 1s @size 100\"";
    let (limited, size) = match text.split_once('@') {
        Some((limited, size)) => (limited, Some(size)),
        None => (text, None),
    };
    let members = match size.map(|size| size.trim().strip_prefix("size").map(str::trim).map(str::parse)) {
        None => None,
        Some(Some(Ok(members))) => Some(members),
        Some(_) => return wrong("after `@` stands `size` and how many take part", example),
    };
    let sizes: Vec<u32> = match &shape.sizes[..] {
        [] => vec![shape.members as u32],
        sizes => sizes.iter().map(|size| size.members).collect(),
    };
    if members.is_some_and(|members| !sizes.contains(&members)) {
        let sizes: Vec<String> = sizes.iter().map(u32::to_string).collect();
        return wrong("there are no conversations of that size", &format!("sizes are {}", sizes.join(", ")));
    }
    let Some((left, limit)) = limited.split_once('<') else { return wrong("it has no limit", example) };
    let name = left.split_whitespace().collect::<Vec<_>>().join("_").replace('.', "_");
    let gate = match Gate::from_text(&name) {
        Ok(gate) => gate,
        Err(complaint) => return wrong(&complaint.message, example),
    };
    let limit = match Time::from_text(limit.trim_start_matches('=').trim()) {
        Ok(limit) if limit.0 >= 1_000 => limit,
        Ok(_) => return wrong("a limit below a microsecond cannot be measured", example),
        Err(complaint) => return wrong(&complaint.message, &complaint.hint),
    };
    let stage = Stage::from_name(gate.stage).ok_or("a stage of a gate is a stage of a message")?;
    let (percentile_milli, at_most_us) = (gate.percentile_milli, limit.0 / 1_000);
    Ok(Asked {
        words: text.trim().to_owned(),
        gate: LatencyGate { stage, percentile_milli, at_most_us },
        members,
    })
}

fn shard(args: &Args) -> Result<Option<Shard>, String> {
    let Some(text) = &args.shard else { return Ok(None) };
    let parsed = text.split_once('/').and_then(|(number, of)| Some((number.parse().ok()?, of.parse().ok()?)));
    match (parsed, args.start_at) {
        (Some((number, of)), Some(start_unix_ms)) if number >= 1 && number <= of && of <= SHARDS_MAX => {
            Ok(Some(Shard { number, of, start_unix_ms }))
        }
        (Some(_), None) => Err("--shard goes with --start-at, the same for all parts\nhint: --start-at $(( $(date +%s) + 10 ))000".to_owned()),
        _ => Err(format!("--shard {text} names no part\nhint: write 1/3, 2/3 and 3/3; at most {SHARDS_MAX} parts")),
    }
}

/// The command itself, as it was given.
fn repeat() -> String {
    let words = std::env::args().skip(1).map(|word| quoted(&word));
    std::iter::once("avouch".to_owned()).chain(words).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use avouch_reports::load::ShapeKind;
    use clap::Parser;

    use super::*;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn ordered(words: &str) -> Result<Order, String> {
        let words = words.split('|').filter(|word| !word.is_empty());
        let line = Line::try_parse_from(std::iter::once("load").chain(words));
        order(&line.map_err(|error| error.to_string())?.args)
    }

    fn refused(words: &str, expected: &str) {
        let told = ordered(words).err().unwrap_or_else(|| panic!("{words} was accepted"));
        assert!(told.contains(expected), "{words}: {told}");
    }

    #[test]
    fn what_makes_no_sense_is_refused_in_words() {
        refused("reference|--rate|0/s", "a rate of 0\nhint: write more than 0");
        refused("reference|--idle|20000|--storm|5000", "25016 sessions are more than one process holds");
        refused("reference|--rate|5000000/s", "too fast");
        refused("reference|--rate|many", "does not say per what");
        refused("reference|--rate|-5/s", "unexpected argument");
        refused("reference|--rate|1000000/s|--duration|1h", "more than one test can check");
        refused("reference|--duration|0s", "shorter than a second");
        refused("reference|--payload|0 B", "too small");
        refused("reference|--slo|accepted p99", "it has no limit");
        refused("reference|--slo|arrived p99 < 5ms", "not a stage");
        refused("reference|--slo|accepted p101 < 5ms", "not a percentile");
        refused("reference|--slo|accepted p99 < 1ns", "cannot be measured");
        refused("reference|--slo|accepted p99 < 5ms @16", "after `@` stands `size`");
        refused(
            "reference|--slo|accepted p99 < 5ms @size 16",
            "no conversations of that size\nhint: sizes are 2",
        );
        refused("reference|--sizes|2 80%, 16", "--sizes: `16` has no share\nhint: write members");
        refused("reference|--sizes|2 80%, 16 10%", "add up to 90 %");
        refused("reference|--sizes|8x2 100%|--conversations|9", "says itself how many");
        refused("reference|--sizes|2 100%|--shape|groups", "cannot be used with");
        refused("reference|--sizes|2 100%|--members|3", "cannot be used with");
        refused("reference|--sizes|2 100%|--closed|3", "cannot be used with");
        refused("reference|--sizes|10000x10000 100%", "100000000 sessions are more than one process holds");
        refused("reference|--fault|pause when it rains", "not understood");
        refused("reference|--fault|jump at 4s", "jump");
        refused("reference|--fault|disk_full at 4s for 1s", "machine");
        refused("mqtt://127.0.0.1:1883|--fault|pause at 4s for 1s", "not started by avouch");
        refused("reference|--shard|1/2", "--start-at");
        refused("reference|--shard|3/2|--start-at|1", "names no part");
        refused("reference|--storm-rate|5/s", "goes with --storm");
        refused("reference|--storm|100|--storm-rate|5/s", "take longer than --duration");
        refused("nobody", "there is no target `nobody`");
        refused("reference|--closed|4|--rate|5/s", "cannot be used with");
    }

    #[test]
    fn pairs_need_no_copy_for_the_sender_where_there_are_publishers() {
        let order = ordered("mqtt://127.0.0.1:1883|--conversations|2").unwrap();
        let members: Vec<_> = order.plan.conversations.iter().map(|it| it.members.clone()).collect();
        assert_eq!(members, [vec![1], vec![3]]);
        let senders: Vec<u32> = order.schedule.senders.iter().map(|sender| sender.device).collect();
        assert_eq!((senders, order.plan.devices.len()), (vec![0, 2], 4));
        let order = ordered("reference|--conversations|2").unwrap();
        assert_eq!(order.plan.conversations[1].members, [2, 3]);
    }

    #[test]
    fn shapes_crowds_and_faults_are_what_was_asked_for() {
        let words = "reference|--shape|groups|--conversations|3|--members|4|--idle|5|--storm|10|--fault|pause at 4s for 1s\
            |--fault|cut = { link = \"30%\" }, at = \"5s\"|--slo|delivered p99.9 <= 1.5s|--rate|100/s,200/s";
        let order = ordered(words).unwrap();
        assert_eq!((order.plan.devices.len(), order.schedule.senders.len()), (27, 12));
        assert_eq!(
            order.plan.devices.iter().filter(|it| it.connects_at_ns == Some(5_000_000_000)).count(),
            10
        );
        assert_eq!(order.described.faults, ["pause at 4s for 1s", "cut = { link = \"30%\" }, at = \"5s\""]);
        assert_eq!(order.described.shape.kind, ShapeKind::ConnectionStorm);
        assert_eq!(order.described.arrival.words, "steps of 100/s, 200/s");
        let gate = order.objectives[0].gate;
        assert_eq!(
            (gate.stage, gate.percentile_milli, gate.at_most_us),
            (Stage::Delivered, 99_900, 1_500_000)
        );
        assert_eq!(crate::load::way(&order), live::Way::Proxied, "a link is disturbed");
        assert_eq!(
            crate::load::way(&ordered("reference|--fault|pause at 4s for 1s").unwrap()),
            live::Way::Direct
        );
        let mixed =
            "reference|--sizes|2 80%, 16 15%, 100 5%|--slo|delivered p99 < 1s @size 100|--arrivals|constant";
        let mixed = ordered(mixed).unwrap();
        let members: Vec<usize> = mixed.plan.conversations.iter().map(|it| it.members.len()).collect();
        assert_eq!(members, [vec![2; 16], vec![16; 3], vec![100]].concat());
        assert_eq!((mixed.plan.devices.len(), mixed.schedule.senders.len()), (180, 164));
        assert_eq!(mixed.described.shape.words, "pairs and groups 16x2 80%, 3x16 15%, 1x100 5%");
        assert_eq!(mixed.objectives[0].members, Some(100));
        let said = |conversations: std::ops::Range<u32>| {
            let said =
                mixed.schedule.sends().filter(|send| conversations.contains(&send.sender.conversation));
            said.count() as f64 / 5_000.0
        };
        let shares = [said(0..16), said(16..19), said(19..20)];
        let is_near = |(share, expected): (f64, f64)| (share - expected).abs() < 0.02;
        assert!(shares.into_iter().zip([0.8, 0.15, 0.05]).all(is_near), "{shares:?}");
        let mixed = ordered("mqtt://127.0.0.1:1883|--sizes|3x2 50%, 1x4 50%").unwrap();
        let members: Vec<_> = mixed.plan.conversations.iter().map(|it| it.members.clone()).collect();
        assert_eq!(members, [vec![1], vec![3], vec![5], vec![6, 7, 8, 9]]);
        let fan_in = ordered("reference|--shape|fan-in|--conversations|3").unwrap();
        assert_eq!(fan_in.plan.conversations[2].members, [0, 3]);
    }
}
