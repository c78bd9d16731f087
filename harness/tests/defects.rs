//! Every planted defect is found, in simulation, by the guarantee that the registry names; and the same scenarios pass
//! when nothing is planted, or finding it would prove nothing.
#![allow(missing_docs, reason = "a test binary has no readers of its documentation")]

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use avouch::interrupt::Interrupt;
use avouch::perform::{self, Task, World};
use avouch::subject::Subject;
use avouch_engine::defects::{DEFECTS, Defect};
use avouch_reports::run::{Outcome, Run};
use avouch_reports::verdict::Verdict;

/// Where each defect shows: a scenario of the catalog, and a seed.
const CASES: &[(Defect, &str, u64)] = &[
    (Defect::AckBeforeCommit, "disk/slow-sync", 1),
    (Defect::DeliverBeforeCommit, "disk/slow-sync", 1),
    (Defect::AckAfterRefusal, "disk/full", 1),
    (Defect::RefusedIdStaysTaken, "disk/full-for-a-moment", 1),
    (Defect::RejectOfCommitted, "links/duplicate", 1),
    (Defect::RefusalTakesEffect, "groups/churn", 1),
    (Defect::SeqGapAfterReject, "groups/churn", 1),
    (Defect::PayloadCut, "readers/slow-reader", 1),
    (Defect::WrongConversation, "links/delay", 1),
    (Defect::IdsForgottenAtRestart, "crash/kill-between-commit-and-ack", 1),
    (Defect::DedupByConnection, "links/cut", 1),
    (Defect::DedupByUser, "devices/two-devices", 1),
    (Defect::DedupByLastIdOnly, "links/acks-lost-in-a-burst", 1),
    (Defect::DedupWindowTooSmall, "links/acks-lost-in-a-burst", 1),
    (Defect::DedupEvictsNewest, "links/acks-lost-in-a-burst", 1),
    (Defect::RetryUnanswered, "links/drop", 1),
    (Defect::RetryWithNewId, "links/acks-lost-in-a-burst", 1),
    (Defect::BackoffOverflows, "links/sends-lost", 1),
    (Defect::SeqReusedAfterCrash, "crash/kill", 1),
    (Defect::ChainBrokenAtRestart, "crash/restart", 1),
    (Defect::CursorAdvancedOnSend, "silence/cut-in-flight", 1),
    (Defect::CursorRegresses, "links/late-acks", 1),
    (Defect::FanOutSkipsOffline, "crash/last-word", 1),
    (Defect::FanOutSkipsJoining, "groups/removed-and-back", 1),
    (Defect::DeliveryToRemoved, "groups/removed-and-back", 1),
    (Defect::JoinerSeesOneMore, "groups/removed-and-back", 1),
    (Defect::RetransmissionNever, "silence/last-deliver-lost", 1),
    (Defect::SweepDisabled, "silence/heads-lost", 1),
    (Defect::RedeliveryFlagNever, "links/stall", 1),
    (Defect::RedeliveryFlagAlways, "links/busy-line", 1),
    (Defect::WindowNeverReopens, "silence/window-full-when-cut", 1),
    (Defect::GapAccepted, "links/drop", 1),
    (Defect::CopiesShown, "links/duplicate", 1),
    (Defect::RetransmissionReorders, "links/reordered-retransmission", 1),
    (Defect::ReplyBeforeCause, "collaboration/shared-document", 1),
    (Defect::TornTailAccepted, "crash/torn-block", 2),
    (Defect::SyncErrorIgnored, "disk/failing-sync", 1),
    (Defect::LostWakeUp, "disk/gathering", 2),
    (Defect::ResumeFromLastSent, "silence/cut-in-flight", 1),
    (Defect::ResumeOffByOne, "crash/last-word", 1),
    (Defect::ResumedThoughLost, "crash/last-word", 1),
    (Defect::ReinstallCalledResumed, "devices/reinstall", 1),
    (Defect::TakeoverDropsInFlight, "silence/takeover-in-flight", 1),
    (Defect::HalfOpenForgets, "silence/half-open-in-flight", 1),
    (Defect::StuckAfterTwoPartitions, "silence/half-open-in-flight", 1),
    (Defect::HeartbeatKillsBusy, "links/busy-line", 1),
    (Defect::ReceiptBeforeDelivery, "devices/two-devices", 1),
    (Defect::ReceiptLostAtReconnect, "devices/two-devices", 1),
    (Defect::ReadReceiptOfWrongMessage, "devices/two-devices", 1),
    (Defect::PageSkipsOne, "devices/new-phone", 1),
    (Defect::PageShowsOneTwice, "devices/new-phone", 1),
    (Defect::PageShiftedByArrival, "devices/new-phone", 1),
    (Defect::HistoryStale, "devices/two-devices", 1),
    (Defect::HistoryLeaks, "groups/removed-and-back", 1),
    (Defect::BacklogCut, "silence/heads-lost", 1),
    (Defect::PageBlank, "offline/restart-while-away", 1),
];

fn perform(scenario: &str, seed: u64, defect: Option<Defect>) -> Run {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let path = root.join("scenarios/catalog").join(scenario).with_extension("toml");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let parsed = avouch_scenarios::parse_scenario(scenario, &text).unwrap_or_else(|error| panic!("{error}"));
    let mut plan = parsed.plan(scenario, seed).unwrap_or_else(|error| panic!("{scenario}: {error}"));
    let names: Vec<String> = defect.iter().map(|defect| defect.entry().name.to_owned()).collect();
    let word = names.first().map_or("none", String::as_str);
    let folder = format!("defects/{}-{seed}-{word}", scenario.replace('/', "-"));
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(folder);
    plan.defects = names;
    // What an earlier run of this test left.
    let _ = std::fs::remove_dir_all(&folder);
    perform::check_plan(&plan).unwrap_or_else(|why| panic!("{scenario}: {why}"));
    let subject = Subject::reference();
    let task = Task { plan, world: World::Sim, folder, repeat: String::new(), subject };
    let performed = perform::on_own_thread(task, Interrupt::default());
    assert_eq!(performed.complaint, None, "{scenario}");
    performed.run
}

/// What a run accuses, by name; `latency` stands for the gates.
fn violated(run: &Run) -> BTreeSet<&str> {
    let judged = run.judgements.iter().filter(|judgement| judgement.verdict == Verdict::Violated);
    let gates = run.gates.iter().filter(|gate| gate.verdict == Verdict::Violated).map(|_| "latency");
    judged.map(|judgement| judgement.guarantee.as_str()).chain(gates).collect()
}

/// Does the same with each, as many at once as there are processors. Answers what went wrong.
fn all<T: Sync>(items: &[T], check: impl Fn(&T) -> Option<String> + Sync) -> Vec<String> {
    let (next, wrong) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let found = check(item);
                    wrong.lock().unwrap_or_else(PoisonError::into_inner).extend(found);
                }
            });
        }
    });
    let mut wrong = wrong.into_inner().unwrap_or_else(PoisonError::into_inner);
    wrong.sort();
    wrong
}

#[test]
fn the_table_has_every_defect() {
    let tried: BTreeSet<Defect> = CASES.iter().map(|(defect, ..)| *defect).collect();
    let missing: Vec<_> =
        DEFECTS.iter().filter(|known| !tried.contains(&known.defect)).map(|known| known.name).collect();
    assert!(missing.is_empty(), "nothing shows that these are found: {missing:?}");
}

#[test]
fn every_defect_is_found_by_the_guarantee_that_the_registry_names() {
    let wrong = all(CASES, |(defect, scenario, seed)| {
        let (run, known) = (perform(scenario, *seed, Some(*defect)), defect.entry());
        let accused = violated(&run);
        (!accused.contains(known.breaks)).then(|| {
            format!(
                "{} in {scenario} (seed {seed}): {} expected, {accused:?} found",
                known.name, known.breaks
            )
        })
    });
    assert!(wrong.is_empty(), "not found as the registry says:\n{}", wrong.join("\n"));
}

#[test]
fn without_a_defect_the_same_scenarios_pass() {
    let scenarios: BTreeSet<_> = CASES.iter().map(|(_, scenario, seed)| (*scenario, *seed)).collect();
    let wrong = all(&scenarios.into_iter().collect::<Vec<_>>(), |(scenario, seed)| {
        let run = perform(scenario, *seed, None);
        let passed = run.outcome == Outcome::Passed;
        (!passed).then(|| format!("{scenario} (seed {seed}): {:?} {:?}", run.outcome, violated(&run)))
    });
    assert!(wrong.is_empty(), "something is wrong with nothing planted:\n{}", wrong.join("\n"));
}

/// In live nobody can slow syncs down: on a fast disk what is acknowledged too early is durable a moment later. So the disk gets
/// about as much as it takes, and the power fails often; a dozen messages at least were lost in each of eleven tries.
const POWER: &str = r#"
about = "The power fails again and again under load."

[workload]
conversations = 2
members = 3
rate = "5000/s"
payload = "4 KiB"
duration = "5s"

[[fault]]
power_loss = { restart_after = "50ms" }
every = "400ms"

[phases]
drain = "20s"

[expect]
guarantees = ["durable-ack-power", "no-loss"]
"#;

#[test]
fn a_real_loss_of_power_finds_what_is_acknowledged_before_it_is_on_the_disk() {
    if let Some(why) = avouch::world::process::disk::why_not() {
        assert!(why.starts_with("a loss of power takes a disk of the server's own"), "{why}");
        return;
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("defects/power");
    // What an earlier run of this test left.
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("the folder can be made");
    let path = folder.join("power.toml");
    std::fs::write(&path, POWER).expect("the folder can be written");
    for (planted, expected) in [(&[][..], Some(0)), (&["--defect", "ack-before-commit"][..], Some(1))] {
        let ran = std::process::Command::new(env!("CARGO_BIN_EXE_avouch"))
            .args(["run", "--world", "live", "--no-gates", "--format", "json", "--out"])
            .arg(folder.join("out"))
            .arg(&path)
            .args(planted)
            .output()
            .expect("our own binary can be started");
        let run = Run::from_json(&ran.stdout).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(ran.status.code(), expected, "{planted:?}: {:?}", run.reasons);
        assert_eq!(violated(&run).contains("durable-ack-power"), expected == Some(1), "{:?}", run.reasons);
    }
}
