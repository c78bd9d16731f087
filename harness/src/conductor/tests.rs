//! The conductor in a world of puppets: no server, no network, a paused clock. What is put to the test is the order of
//! the phases, that every fault is undone, and how a run ends that does not go as planned.

mod puppets;

use avouch_scenarios::plan::{
    CutHow, Direction, Edge, Fault, FrameTrigger, LinkFault, LinkVerb, NodeFault, NodeVerb, PlannedFault,
    When,
};

use super::*;
use puppets::{Refusal, Scene};

const SECOND_NS: u64 = 1_000_000_000;

fn at(id: u32, seconds: u64, fault: Fault) -> PlannedFault {
    let when = When::At { ns: seconds * SECOND_NS };
    PlannedFault { id, key: u64::from(id), when, for_ns: None, fault }
}

fn on_node(verb: NodeVerb) -> Fault {
    Fault::Node(NodeFault { node: 0, verb })
}

fn on_link(devices: &[u32], verb: LinkVerb) -> Fault {
    Fault::Link(LinkFault {
        devices: devices.to_vec(),
        direction: Direction::Both,
        kind: None,
        probability_ppm: 1_000_000,
        verb,
    })
}

/// Where in the log the first line is that begins so.
fn place(log: &[String], line: &str) -> usize {
    let found = log.iter().position(|one| one.starts_with(line));
    found.unwrap_or_else(|| panic!("`{line}` is not in the log:\n{}", log.join("\n")))
}

#[test]
fn the_phases_come_in_order_and_each_does_its_part() {
    let (ended, log) = Scene::new(Vec::new()).play();
    assert_eq!(ended, Ended::Whole);
    let phases: Vec<&str> = log.iter().filter_map(|line| line.strip_prefix("phase ")).collect();
    assert_eq!(phases, ["set-up", "chaos", "heal", "drain", "judge"]);
    let in_order = [
        "phase set-up",
        "device 0",
        "conversation 0",
        "order Start",
        "session 0",
        "phase chaos",
        "arm links",
        "send 1",
        "send 3",
        "phase heal",
        "heal links",
        "phase drain",
        "quiet 0",
        "drained true",
        "phase judge",
        "page-requested 0",
    ];
    let places = in_order.map(|line| place(&log, line));
    assert!(places.is_sorted(), "{places:?} of {in_order:?} in:\n{}", log.join("\n"));
}

#[test]
fn a_fault_lasts_as_planned_and_is_undone_by_itself() {
    let mut pause = at(0, 1, on_node(NodeVerb::Pause));
    pause.for_ns = Some(SECOND_NS);
    let (ended, log) = Scene::new(vec![pause]).play();
    assert_eq!(ended, Ended::Whole);
    let lines = ["order Pause", "order Resume", "fault-ended 0", "phase heal"].map(|line| place(&log, line));
    assert!(lines.is_sorted(), "{}", log.join("\n"));
}

#[test]
fn the_heal_undoes_a_fault_whose_injection_failed() {
    let mut scene = Scene::new(vec![at(0, 1, on_node(NodeVerb::FailSync))]);
    scene.refuse("FailSync(true)", Refusal::Failed);
    let (ended, log) = scene.play();
    assert_eq!(ended, Ended::Whole);
    let lines =
        ["fault-started 0", "note fault 0: on purpose", "phase heal", "order FailSync(false)", "drained"];
    assert!(lines.map(|line| place(&log, line)).is_sorted(), "{}", log.join("\n"));
}

#[test]
fn a_fault_that_cannot_be_undone_is_noted_and_stops_nobody() {
    let mut scene =
        Scene::new(vec![at(0, 1, on_node(NodeVerb::Pause)), at(1, 1, on_node(NodeVerb::DiskFull))]);
    scene.refuse("Resume", Refusal::Failed);
    let (ended, log) = scene.play();
    assert_eq!(ended, Ended::Whole);
    place(&log, "note fault 0 could not be undone");
    assert!(place(&log, "order FullDisk(false)") < place(&log, "phase drain"));
}

#[test]
fn what_the_world_cannot_do_is_skipped_with_the_reason_and_not_undone() {
    let mut scene = Scene::new(vec![at(0, 1, on_node(NodeVerb::DiskFull))]);
    scene.refuse("FullDisk(true)", Refusal::NotHere);
    let (ended, log) = scene.play();
    assert_eq!(ended, Ended::Whole);
    place(&log, "fault-skipped 0 on purpose");
    assert!(!log.iter().any(|line| line == "order FullDisk(false)"), "{}", log.join("\n"));
}

#[test]
fn a_link_fault_begins_and_ends_on_its_devices_before_the_links_are_healed() {
    let (ended, log) = Scene::new(vec![at(0, 1, on_link(&[1], LinkVerb::Stall))]).play();
    assert_eq!(ended, Ended::Whole);
    let lines =
        ["link 0 of 1 on", "phase heal", "link 0 of 1 off", "fault-ended 0", "heal links", "phase drain"];
    assert!(lines.map(|line| place(&log, line)).is_sorted(), "{}", log.join("\n"));
    assert!(!log.iter().any(|line| line.starts_with("link 0 of 0")), "{}", log.join("\n"));
}

#[test]
fn a_fault_waits_for_its_frame_and_never_begins_without_it() {
    let cut = LinkVerb::Cut { how: CutHow::Rst, at_byte: None, edge: Edge::Before };
    let trigger = |kind: &str| {
        let kind = kind.to_owned();
        When::OnFrame(FrameTrigger { devices: vec![0], kind, nth: 1, edge: Edge::Before })
    };
    let kill = on_node(NodeVerb::Kill { restart_after_ns: SECOND_NS });
    let mut scene = Scene::new(vec![
        PlannedFault { when: trigger("accepted"), ..at(0, 0, kill) },
        PlannedFault { when: trigger("never"), ..at(1, 0, on_link(&[0], cut)) },
    ]);
    scene.trigger(0, 2 * SECOND_NS);
    let (ended, log) = scene.play();
    assert_eq!(ended, Ended::Whole);
    let lines = ["phase chaos", "trigger 0", "fault-started 0", "order Kill", "fault-ended 0", "phase heal"];
    assert!(lines.map(|line| place(&log, line)).is_sorted(), "{}", log.join("\n"));
    assert!(!log.iter().any(|line| line.starts_with("fault-started 1")), "{}", log.join("\n"));
}

#[test]
fn an_interrupt_ends_the_workload_and_still_heals_and_drains() {
    let mut scene =
        Scene::new(vec![at(0, 1, on_node(NodeVerb::Pause)), at(1, 9, on_node(NodeVerb::DiskFull))]);
    scene.interrupt_after(3 * SECOND_NS);
    let (ended, log) = scene.play();
    assert_eq!(ended, Ended::Interrupted);
    let lines =
        ["order Pause", "send 1", "phase heal", "order Resume", "heal links", "phase drain", "drained true"];
    assert!(lines.map(|line| place(&log, line)).is_sorted(), "{}", log.join("\n"));
    for line in ["send 3", "fault-started 1"] {
        assert!(!log.iter().any(|one| one.starts_with(line)), "`{line}` came after the interrupt");
    }
}

#[test]
fn a_set_up_that_nobody_answers_ends_the_run_and_says_whom_it_waits_for() {
    let mut scene = Scene::new(Vec::new());
    scene.mute();
    let (ended, log) = scene.play();
    let Ended::NoSetUp(why) = ended else { panic!("it ended as {ended:?}") };
    assert_eq!(why, "2 of 2 devices have no session (u0.d0: the server does not answer)");
    assert!(!log.iter().any(|line| line == "phase chaos"), "{}", log.join("\n"));
}

#[test]
fn positions_that_never_come_are_waited_for_to_the_limit_or_until_they_cannot_be_late() {
    for (lost_after_ns, converged) in
        [(None, false), (Some(12 * SECOND_NS), false), (Some(5 * SECOND_NS), true)]
    {
        let mut scene = Scene::new(Vec::new());
        scene.forget(lost_after_ns);
        let (ended, log) = scene.play();
        assert_eq!(ended, Ended::Whole);
        place(&log, &format!("drained {converged}"));
    }
}

#[test]
fn a_target_that_does_not_start_or_dies_ends_the_run() {
    let mut scene = Scene::new(Vec::new());
    scene.refuse("Start", Refusal::Failed);
    assert_eq!(scene.play().0, Ended::TargetDied("on purpose".to_owned()));

    let mut scene = Scene::new(Vec::new());
    scene.die_after(3 * SECOND_NS);
    let (ended, log) = scene.play();
    assert_eq!(ended, Ended::TargetDied("it is gone".to_owned()));
    assert!(!log.iter().any(|line| line.starts_with("send 3")), "{}", log.join("\n"));
}

#[test]
fn a_history_that_cannot_be_written_outranks_every_other_end() {
    let mut scene = Scene::new(Vec::new());
    scene.fill_disk_at("send 1");
    scene.die_after(3 * SECOND_NS);
    assert_eq!(scene.play().0, Ended::NotRecorded("no space is left".to_owned()));
}
