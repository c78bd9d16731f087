//! How many messages a CPU-second carries in the world `sim`, everything on: from the first event to the written record.
//!
//! `cargo bench -p avouch --bench sim [-- THOUSANDS ROUNDS]` (default: 80 thousand messages, 3 rounds, the best of
//! which is told). Four senders on four simulated hosts and the server on a fifth, 100 bytes per message, links of 1 ms
//! each way. The load is open: each sender has a fixed rate by which ten of its messages are under way, as
//! a closed window of ten would have; the last line tells how many there really were.
//! Speed is per CPU-second of the run's only thread (`/proc/thread-self/schedstat`), Linux only.
//!
//! What is on in a whole run: the server's own shell and journal on a simulated disk whose syncs take 2 ms, WebSocket,
//! the link pump, every checker, latency, and the history on disk. The lines after it leave something out, to tell what it costs.
#![allow(clippy::print_stdout, reason = "its output is its purpose")]
#![allow(clippy::unwrap_used, reason = "a benchmark may stop anywhere")]
#![allow(missing_docs, reason = "a benchmark has no interface")]

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;

use avouch::check::Options;
use avouch::conductor::{Ended, conduct};
use avouch::payload::Nonce;
use avouch::perform;
use avouch::recorder::Recorder;
use avouch::session::{Brief, Session};
use avouch::world::sim::{SimWorld, simulate_on};
use avouch_reports::history::{Header, What};
use avouch_reports::run::Outcome;
use avouch_scenarios::plan::{
    Action, Cluster, Conversation, Delay, Device, Do, Expect, LinkShape, Network, Phases, Plan,
};

/// Simulated hosts with one sender each; the server has a fifth.
const SENDERS: u32 = 4;
/// Messages of each sender that are to be under way.
const WINDOW: u64 = 10;
/// From send to ack under this load: two links of 1 ms, the ticks that they are rounded up to, and a sync or two.
const ROUND_TRIP_NS: u64 = 7_000_000;
const LINK_NS: u64 = 1_000_000;
const PAYLOAD_BYTES: u32 = 100;

fn main() {
    let arguments: Vec<u64> = std::env::args().filter_map(|arg| arg.parse().ok()).collect();
    let messages = arguments.first().copied().unwrap_or(80) * 1_000;
    let rounds = arguments.get(1).copied().unwrap_or(3);
    let tell = |what: &str, run: &dyn Fn() -> Measured| {
        let best = (0..rounds).map(|_| run()).min_by_key(|measured| measured.cpu_ns).unwrap();
        best.tell(what);
    };
    tell("pairs, everything on", &|| whole(plan(messages, 2)));
    tell("one group of four, everything on", &|| whole(plan(messages, SENDERS)));
    tell("pairs, without history, checkers and latency", &|| world_only(plan(messages, 2)));
    println!("{:.1} messages of each sender are under way on average", under_way(plan(messages, 2)));
}

/// What one run showed.
struct Measured {
    cpu_ns: u64,
    acked: u64,
    delivered: u64,
}

impl Measured {
    fn tell(&self, what: &str) {
        let per_second = |count: u64| count as f64 * 1e9 / self.cpu_ns as f64;
        println!(
            "{what:44} {:>7.0} messages acked and delivered, {:>7.0} deliveries per CPU-second ({} messages, {:.2} CPU-s)",
            per_second(self.acked),
            per_second(self.delivered),
            self.acked,
            self.cpu_ns as f64 / 1e9,
        );
    }
}

/// Everything that `avouch run` does.
fn whole(plan: Plan) -> Measured {
    let folder = std::env::temp_dir().join(format!("avouch-bench-sim-{}", std::process::id()));
    let messages = plan.actions.len() as u64;
    let header = Header { claims: perform::reference_claims().to_vec(), ..Header::default() };
    let plan = Rc::new(plan);
    let brief = Brief { plan: plan.clone(), header, options: Options::reference(), folder: folder.clone() };
    let from_ns = cpu_now_ns();
    let session = Session::open(brief).unwrap();
    let ended = play(&plan, &session.recorder());
    let run = session.close(&ended).unwrap();
    let cpu_ns = cpu_now_ns() - from_ns;
    std::fs::remove_dir_all(folder).unwrap();
    assert_eq!(run.outcome, Outcome::Passed, "{:?}", run.reasons);
    assert_eq!(run.counts.sends_accepted, messages, "a message counts when it is acknowledged");
    Measured { cpu_ns, acked: messages, delivered: run.counts.deliveries }
}

/// The simulation and its devices alone: what they see is thrown away.
fn world_only(plan: Plan) -> Measured {
    let plan = Rc::new(plan);
    let recorder = Recorder::new(Box::new(|_| Ok(())));
    let from_ns = cpu_now_ns();
    assert_eq!(play(&plan, &recorder), Ended::Whole);
    let cpu_ns = cpu_now_ns() - from_ns;
    let progress = recorder.progress();
    Measured { cpu_ns, acked: progress.outcomes[1], delivered: progress.delivered }
}

/// Messages per sender between send and ack, on average over the chaos: the same seed gives the same run.
fn under_way(plan: Plan) -> f64 {
    let plan = Rc::new(plan);
    let waited_ns = Rc::new(Cell::new(0.0));
    let sum = waited_ns.clone();
    let recorder = Recorder::new(Box::new(move |event| {
        match event.what {
            What::Send { .. } => sum.set(sum.get() - event.at_ns as f64),
            What::Accepted { .. } => sum.set(sum.get() + event.at_ns as f64),
            _ => {}
        }
        Ok(())
    }));
    assert_eq!(play(&plan, &recorder), Ended::Whole);
    waited_ns.get() / plan.phases.chaos_ns as f64 / f64::from(SENDERS)
}

fn play(plan: &Rc<Plan>, recorder: &Recorder) -> Ended {
    let (conducted, recorded) = (plan.clone(), recorder.clone());
    let played = simulate_on(SENDERS as usize, plan, recorder, move |world: Rc<SimWorld>| {
        conduct(conducted.clone(), world, perform::installer(conducted, Nonce::NONE), recorded, None)
    });
    played.unwrap()
}

/// Conversations of that many members each; everybody sends at a fixed rate, one after the other.
fn plan(messages: u64, members: u32) -> Plan {
    let device = |user| Device {
        name: format!("u{user}.d0"),
        user,
        connects_at_ns: None,
        consume_ns: 0,
        reads_after_ns: None,
    };
    let conversation = |number: u32| Conversation {
        name: format!("c{number}"),
        members: (number * members..(number + 1) * members).collect(),
    };
    let every_ns = ROUND_TRIP_NS / WINDOW / u64::from(SENDERS);
    let action = |number: u64| {
        let device = (number % u64::from(SENDERS)) as u32;
        let (conversation, message) = (device / members, number + 1);
        let what = Do::Send { conversation, message, bytes: PAYLOAD_BYTES, reply: false };
        Action { at_ns: number * every_ns, device, what }
    };
    let shape = || LinkShape { delay: Delay::Fixed { ns: LINK_NS }, rate_bytes_per_s: None };
    Plan {
        scenario: "benchmark".to_owned(),
        about: "How fast is the simulation?".to_owned(),
        seed: 1,
        cluster: Cluster { nodes: 1, settings: BTreeMap::new() },
        devices: (0..SENDERS).map(device).collect(),
        users: SENDERS,
        conversations: (0..SENDERS / members).map(conversation).collect(),
        actions: (0..messages).map(action).collect(),
        faults: Vec::new(),
        network: Network { profile: "custom".to_owned(), up: shape(), down: shape() },
        abandoned: Vec::new(),
        phases: Phases {
            setup_ns_max: 10_000_000_000,
            chaos_ns: messages * every_ns,
            drain_ns_max: 10_000_000_000,
            give_up_ns: None,
            reconnects_max: 0,
            lost_after_ns: None,
        },
        expect: Expect::default(),
        defects: Vec::new(),
    }
}

fn cpu_now_ns() -> u64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    stat.split(' ').next().unwrap().parse().unwrap()
}
