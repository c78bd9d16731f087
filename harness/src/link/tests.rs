//! What each verb does to a stream of numbered frames.

mod properties;

use avouch_scenarios::plan::{
    CutHow, Delay, Direction, Edge, Fault, FrameTrigger, LinkFault, LinkShape, LinkVerb, Network, NodeFault,
    NodeVerb, PlannedFault, When,
};
use bytes::Bytes;

use super::*;

const MS: u64 = 1_000_000;

fn shape(delay_ns: u64) -> LinkShape {
    LinkShape { delay: Delay::Fixed { ns: delay_ns }, rate_bytes_per_s: None }
}

fn network(delay_ns: u64) -> Network {
    Network { profile: "custom".to_owned(), up: shape(delay_ns), down: shape(delay_ns) }
}

/// A fault on device 0, downwards, on every frame.
fn down(verb: LinkVerb) -> LinkFault {
    LinkFault { devices: vec![0], direction: Direction::Down, kind: None, probability_ppm: 1_000_000, verb }
}

fn both(verb: LinkVerb) -> LinkFault {
    LinkFault { direction: Direction::Both, ..down(verb) }
}

fn at_once(fault: LinkFault) -> PlannedFault {
    PlannedFault { id: 0, key: 0, when: When::At { ns: 0 }, for_ns: None, fault: Fault::Link(fault) }
}

fn on_frame(kind: &str, nth: u64, edge: Edge, for_ns: Option<u64>, fault: Fault) -> PlannedFault {
    let trigger = FrameTrigger { devices: vec![0], kind: kind.to_owned(), nth, edge };
    PlannedFault { id: 0, key: 0, when: When::OnFrame(trigger), for_ns, fault }
}

fn cut(how: CutHow, edge: Edge) -> LinkVerb {
    LinkVerb::Cut { how, at_byte: None, edge }
}

/// A link under test, and all that it did.
struct Bench {
    link: Link,
    now_ns: u64,
    events: Vec<Event>,
}

impl Bench {
    fn new(delay_ns: u64, survives_frame_faults: bool, faults: Vec<PlannedFault>) -> Self {
        let faults = faults.into();
        let network = network(delay_ns);
        let mut link = Link::new(Settings { seed: 1, device: 0, network, faults, survives_frame_faults });
        link.arm();
        Self { link, now_ns: 0, events: Vec::new() }
    }

    fn connect(&mut self) -> ConnectionId {
        self.link.connect(self.now_ns).expect("no partition is active")
    }

    fn set(&mut self, active: bool) {
        self.link.set(self.now_ns, 0, active);
    }

    fn frame(&mut self, id: ConnectionId, way: Way, text: &str, kind: &'static str) {
        let bytes = Bytes::copy_from_slice(text.as_bytes());
        let piece = Piece { bytes, class: Class::Data, kind: Some(kind), head_bytes: 0 };
        self.link.receive(self.now_ns, id, way, piece);
    }

    fn down(&mut self, id: ConnectionId, texts: &[&str]) {
        for text in texts {
            self.frame(id, Way::Down, text, "deliver");
        }
    }

    fn at(&mut self, now_ns: u64) -> &mut Self {
        self.now_ns = now_ns;
        self.link.tick(now_ns);
        self
    }

    /// What left the link since the last call, in short: `a b | RST`.
    fn out(&mut self, id: ConnectionId) -> String {
        while let Some(event) = self.link.poll_event() {
            self.events.push(event);
        }
        let mut words = Vec::new();
        while let Some(effect) = self.link.poll_effect(id) {
            words.push(match effect {
                Effect::Forward { bytes, .. } => String::from_utf8_lossy(&bytes).into_owned(),
                Effect::End { way: Way::Up } => "end-up".to_owned(),
                Effect::End { way: Way::Down } => "end-down".to_owned(),
                Effect::Reset => "RST".to_owned(),
            });
        }
        if let Some(rests_until_ns) = self.link.rests_until_ns(self.now_ns) {
            let wanted_ns = self.link.next_timeout(self.now_ns, id);
            assert!(wanted_ns.is_none_or(|at_ns| at_ns >= rests_until_ns), "{wanted_ns:?}, {rests_until_ns}");
        }
        words.join(" ")
    }

    fn fired(&self) -> usize {
        self.events.iter().filter(|event| matches!(event, Event::Fired { .. })).count()
    }
}

/// Sends frames down through one active fault; what comes out at once, and after 1 s.
fn check(survives: bool, fault: LinkFault, frames: &[&str], expected: (&str, &str)) -> Bench {
    let mut bench = Bench::new(0, survives, vec![at_once(fault)]);
    let id = bench.connect();
    bench.set(true);
    bench.down(id, frames);
    let at_once = bench.out(id);
    let later = bench.at(1_000 * MS).out(id);
    assert_eq!((at_once.as_str(), later.as_str()), expected);
    bench
}

#[test]
fn without_faults_frames_pass_after_their_delay_in_order() {
    let mut bench = Bench::new(5 * MS, true, vec![]);
    let id = bench.connect();
    bench.down(id, &["a", "b"]);
    assert_eq!(bench.out(id), "");
    assert_eq!(bench.link.next_timeout(0, id), Some(5 * MS));
    assert_eq!(bench.at(5 * MS).out(id), "a b");
    assert_eq!(bench.link.next_timeout(5 * MS, id), None);
}

#[test]
fn per_frame_verbs_do_what_they_say() {
    assert_eq!(check(true, down(LinkVerb::Drop), &["a", "b"], ("", "")).fired(), 2);
    assert_eq!(
        check(true, down(LinkVerb::Duplicate { copies: 2 }), &["a", "b"], ("a a a b b b", "")).fired(),
        2
    );
    let slow = LinkVerb::Delay { delay: Delay::Fixed { ns: 900 * MS } };
    assert_eq!(check(true, down(slow), &["a", "b"], ("", "a b")).fired(), 1);
    check(true, down(LinkVerb::Rate { bytes_per_s: 4 }), &["abcd", "e"], ("", "abcd"));
    check(true, down(LinkVerb::Slice { bytes: 2 }), &["abcde"], ("ab cd e", ""));
}

#[test]
fn corruption_flips_one_bit_of_the_payload_and_spares_the_framing() {
    let mut bench = Bench::new(0, true, vec![at_once(down(LinkVerb::Corrupt))]);
    let id = bench.connect();
    bench.set(true);
    for _ in 0..200 {
        let bytes = Bytes::from_static(&[0; 5]);
        bench.link.receive(0, id, Way::Down, Piece { bytes, class: Class::Data, kind: None, head_bytes: 3 });
        let Some(Effect::Forward { bytes, .. }) = bench.link.poll_effect(id) else { panic!("it passes") };
        let (head, payload) = bytes.split_at(3);
        assert_eq!((head, payload.iter().map(|byte| byte.count_ones()).sum::<u32>()), (&[0; 3][..], 1));
    }
    let bytes = Bytes::from_static(&[0; 3]);
    bench.link.receive(0, id, Way::Down, Piece { bytes, class: Class::Data, kind: None, head_bytes: 3 });
    bench.out(id);
    assert_eq!(bench.fired(), 200, "there is nothing to flip in an empty payload");
}

#[test]
fn a_reordered_frame_waits_for_others_or_for_its_limit() {
    let hold = LinkVerb::Reorder { window: 1, hold_ns_max: 500 * MS };
    let fault = LinkFault { kind: Some("deliver".to_owned()), ..down(hold) };
    let mut bench = Bench::new(0, true, vec![at_once(fault)]);
    let id = bench.connect();
    bench.set(true);
    bench.down(id, &["a"]);
    bench.frame(id, Way::Down, "b", "other");
    assert_eq!(bench.out(id), "b a");
    bench.down(id, &["c"]);
    assert_eq!(bench.out(id), "");
    assert_eq!(bench.link.next_timeout(0, id), Some(500 * MS));
    assert_eq!(bench.at(500 * MS).out(id), "c");
}

#[test]
fn a_stream_protocol_loses_no_frame_in_a_live_connection() {
    let bench =
        check(false, LinkFault { probability_ppm: 1_000_000, ..down(LinkVerb::Drop) }, &["a"], ("RST", ""));
    assert!(format!("{:?}", bench.events).contains("does not survive"), "{:?}", bench.events);
    for verb in [
        LinkVerb::Duplicate { copies: 1 },
        LinkVerb::Reorder { window: 3, hold_ns_max: MS },
        LinkVerb::Corrupt,
    ] {
        assert_eq!(check(false, down(verb), &["a", "b"], ("a b", "")).fired(), 0);
        assert!(skip_reason(&Fault::Link(down(verb)), false).is_some());
        assert!(skip_reason(&Fault::Link(down(verb)), true).is_none());
    }
}

#[test]
fn control_frames_and_handshakes_are_spared_by_frame_faults() {
    for verb in [
        LinkVerb::Drop,
        LinkVerb::Duplicate { copies: 1 },
        LinkVerb::Reorder { window: 3, hold_ns_max: MS },
        LinkVerb::Corrupt,
        LinkVerb::Slice { bytes: 1 },
    ] {
        let mut bench = Bench::new(0, true, vec![at_once(down(verb))]);
        let id = bench.connect();
        bench.set(true);
        let bytes = Bytes::from_static(b"ping");
        bench.link.receive(
            0,
            id,
            Way::Down,
            Piece { bytes, class: Class::Control, kind: None, head_bytes: 2 },
        );
        assert_eq!((bench.out(id).as_str(), bench.fired()), ("ping", 0), "{verb:?}");
    }
}

#[test]
fn a_stall_loses_nothing_and_closes_the_window() {
    let mut bench = Bench::new(MS, true, vec![at_once(down(LinkVerb::Stall))]);
    let id = bench.connect();
    bench.down(id, &["a"]);
    bench.set(true);
    assert!(!bench.link.is_reading(0, id, Way::Down));
    assert!(bench.link.is_reading(0, id, Way::Up), "the other direction is not stalled");
    bench.down(id, &["b"]);
    bench.link.end_of_stream(0, id, Way::Down);
    assert_eq!(bench.at(100 * MS).out(id), "");
    assert_eq!(bench.link.next_timeout(100 * MS, id), None);
    bench.set(false);
    assert_eq!(bench.out(id), "a b end-down");
}

#[test]
fn half_open_stays_dead_and_new_connections_live() {
    let mut bench = Bench::new(MS, true, vec![at_once(both(LinkVerb::HalfOpen))]);
    let old = bench.connect();
    bench.down(old, &["a"]);
    bench.set(true);
    let during = bench.connect();
    bench.down(during, &["b"]);
    bench.at(50 * MS).set(false);
    bench.down(old, &["c"]);
    bench.link.broken(bench.now_ns, old, Way::Up);
    bench.link.end_of_stream(bench.now_ns, during, Way::Down);
    let new = bench.connect();
    bench.down(new, &["d"]);
    bench.at(100 * MS);
    assert_eq!(
        (bench.out(old), bench.out(during), bench.out(new)),
        (String::new(), String::new(), "d".to_owned())
    );
    assert!(bench.link.is_reading(bench.now_ns, old, Way::Down), "what is sent is swallowed, not refused");
}

#[test]
fn a_partition_refuses_and_buries_only_who_lost_something() {
    let mut bench = Bench::new(MS, true, vec![at_once(both(LinkVerb::Partition))]);
    let (loser, idle) = (bench.connect(), bench.connect());
    bench.down(loser, &["a"]);
    bench.set(true);
    assert_eq!(bench.link.connect(0), Err(Refused { fault: 0 }));
    assert_eq!(bench.at(50 * MS).out(loser), "");
    bench.set(false);
    bench.down(idle, &["b"]);
    bench.at(100 * MS);
    assert_eq!((bench.out(loser).as_str(), bench.out(idle).as_str()), ("RST", "b"));
    assert!(bench.link.connect(100 * MS).is_ok());
}

#[test]
fn a_reset_loses_what_is_on_the_way_and_a_polite_end_does_not() {
    for (how, expected) in [(CutHow::Rst, "RST"), (CutHow::Fin, "up a end-up end-down")] {
        let mut bench = Bench::new(MS, true, vec![at_once(both(cut(how, Edge::Before)))]);
        let id = bench.connect();
        bench.frame(id, Way::Up, "up", "send");
        bench.down(id, &["a"]);
        bench.set(true);
        bench.down(id, &["too late"]);
        let mut out: Vec<String> = bench.at(MS).out(id).split(' ').map(str::to_owned).collect();
        out.sort_by_key(|word| word.starts_with("end"));
        assert_eq!(out.join(" "), expected);
        let next = bench.connect();
        bench.down(next, &["b"]);
        assert_eq!(bench.at(2 * MS).out(next), "b", "a cut is momentary");
    }
}

#[test]
fn a_cut_at_a_byte_falls_inside_a_frame() {
    let verb = LinkVerb::Cut { how: CutHow::Rst, at_byte: Some(5), edge: Edge::Before };
    check(true, down(verb), &["abc", "defg", "h"], ("abc de RST", ""));
}

#[test]
fn a_cut_on_frames_of_a_kind_comes_before_or_after_the_frame() {
    for (edge, expected) in [(Edge::Before, "x RST"), (Edge::After, "x a RST")] {
        let fault = LinkFault { kind: Some("accepted".to_owned()), ..down(cut(CutHow::Rst, edge)) };
        let mut bench = Bench::new(MS, false, vec![at_once(fault)]);
        let id = bench.connect();
        bench.set(true);
        bench.frame(id, Way::Down, "x", "deliver");
        bench.frame(id, Way::Down, "a", "accepted");
        bench.frame(id, Way::Down, "y", "deliver");
        assert_eq!(bench.at(MS).out(id), expected);
    }
}

#[test]
fn the_nth_frame_triggers_over_reconnects() {
    for (edge, expected) in [(Edge::Before, "3 RST"), (Edge::After, "3 4 RST")] {
        let fault = on_frame("deliver", 4, edge, None, Fault::Link(down(cut(CutHow::Rst, Edge::Before))));
        let mut bench = Bench::new(0, false, vec![fault]);
        let first = bench.connect();
        bench.down(first, &["1", "2"]);
        bench.frame(first, Way::Up, "not this way", "deliver");
        let second = bench.connect();
        bench.down(second, &["3", "4", "5"]);
        assert_eq!(bench.out(second), expected);
        assert_eq!(bench.events[0], Event::Triggered { fault: 0, frame: 4 });
        let third = bench.connect();
        bench.down(third, &["6", "7", "8", "9"]);
        assert_eq!(bench.out(third), "6 7 8 9", "it happens once");
    }
}

#[test]
fn a_trigger_whose_frame_another_cut_loses_waits_for_the_next() {
    for how in [CutHow::Rst, CutHow::Fin] {
        let nth = |id, nth| {
            let fault = Fault::Link(down(cut(how, Edge::Before)));
            PlannedFault { id, key: u64::from(id), ..on_frame("deliver", nth, Edge::Before, None, fault) }
        };
        let mut bench = Bench::new(MS, false, vec![nth(0, 2), nth(1, 3)]);
        let id = bench.connect();
        // All of them are on the way when the first cut comes.
        bench.down(id, &["a", "b", "c", "d"]);
        bench.at(2 * MS).out(id);
        assert_eq!(bench.fired(), 1, "{how:?}");
        bench.link.forget(id);
        let id = bench.connect();
        bench.down(id, &["e", "f"]);
        bench.at(4 * MS).out(id);
        let triggered: Vec<u32> = bench
            .events
            .iter()
            .filter_map(|event| match event {
                Event::Triggered { fault, .. } => Some(*fault),
                _ => None,
            })
            .collect();
        assert_eq!((bench.fired(), triggered), (2, vec![0, 1]), "{how:?}");
    }
}

#[test]
fn a_triggered_frame_fault_hits_that_very_frame() {
    let fault = on_frame("deliver", 2, Edge::Before, None, Fault::Link(down(LinkVerb::Drop)));
    let mut bench = Bench::new(0, true, vec![fault]);
    let id = bench.connect();
    bench.down(id, &["1", "2", "3"]);
    assert_eq!(bench.out(id), "1 3");
}

#[test]
fn a_triggered_stall_ends_by_itself() {
    for (edge, expected) in [(Edge::Before, "1"), (Edge::After, "1 2")] {
        let fault = on_frame("deliver", 2, edge, Some(10 * MS), Fault::Link(down(LinkVerb::Stall)));
        let mut bench = Bench::new(0, true, vec![fault]);
        let id = bench.connect();
        bench.down(id, &["1", "2", "3"]);
        assert_eq!(bench.out(id), expected);
        assert_eq!(bench.link.next_timeout(0, id), Some(10 * MS));
        let rest = bench.at(10 * MS).out(id);
        assert_eq!(format!("{expected} {rest}"), "1 2 3");
        assert!(bench.events.contains(&Event::Expired { fault: 0 }));
    }
}

#[test]
fn a_frame_waits_for_the_node_fault_that_it_triggers() {
    let kill = NodeFault { node: 0, verb: NodeVerb::Kill { restart_after_ns: MS } };
    let planned = |edge| on_frame("accepted", 1, edge, None, Fault::Node(kill.clone()));
    // The node dies: the frame never left it.
    let mut bench = Bench::new(0, false, vec![planned(Edge::Before)]);
    let id = bench.connect();
    bench.frame(id, Way::Down, "a", "accepted");
    assert_eq!(bench.out(id), "");
    assert_eq!(bench.events, [Event::Triggered { fault: 0, frame: 1 }]);
    bench.link.broken(0, id, Way::Down);
    bench.set(false);
    assert_eq!(bench.out(id), "RST");
    // It is reported and does not die: the frame passes when the conductor says so, or after the limit.
    let mut bench = Bench::new(0, false, vec![planned(Edge::Before)]);
    let id = bench.connect();
    bench.frame(id, Way::Down, "a", "accepted");
    bench.set(false);
    assert_eq!(bench.out(id), "a");
    let mut bench = Bench::new(0, false, vec![planned(Edge::After)]);
    let id = bench.connect();
    bench.frame(id, Way::Down, "a", "accepted");
    assert_eq!(bench.out(id), "a");
    assert_eq!(bench.events, [Event::Triggered { fault: 0, frame: 1 }]);
}

#[test]
fn a_node_fault_that_is_done_holds_no_later_frame() {
    let kill = NodeFault { node: 0, verb: NodeVerb::Kill { restart_after_ns: MS } };
    let fault = on_frame("accepted", 2, Edge::Before, None, Fault::Node(kill));
    let mut bench = Bench::new(0, false, vec![fault]);
    let id = bench.connect();
    bench.frame(id, Way::Down, "a", "accepted");
    bench.set(false); // another link saw its second frame first, and the node is back
    bench.frame(id, Way::Down, "b", "accepted");
    assert_eq!(bench.out(id), "a b");
    assert_eq!(bench.events, []);
}

#[test]
fn triggers_rest_until_they_are_armed_and_after_the_heal() {
    let fault = on_frame("deliver", 1, Edge::Before, None, Fault::Link(down(cut(CutHow::Rst, Edge::Before))));
    let mut bench = Bench::new(0, true, vec![fault]);
    bench.link.arm();
    bench.link.heal(0);
    let id = bench.connect();
    bench.down(id, &["1", "2"]);
    assert_eq!(bench.out(id), "1 2");
}

#[test]
fn a_heal_leaves_nothing_held_and_nothing_late() {
    let slow = LinkVerb::Delay { delay: Delay::Fixed { ns: 60_000 * MS } };
    let hold = LinkVerb::Reorder { window: 9, hold_ns_max: 60_000 * MS };
    for verb in [slow, hold, LinkVerb::Rate { bytes_per_s: 1 }, LinkVerb::Stall] {
        let mut bench = Bench::new(MS, true, vec![at_once(down(verb))]);
        let id = bench.connect();
        bench.set(true);
        bench.down(id, &["a", "b", "c"]);
        bench.at(10 * MS);
        assert_eq!(bench.out(id), "", "{verb:?}");
        bench.link.heal(10 * MS);
        assert_eq!(bench.at(11 * MS).out(id), "a b c", "{verb:?}");
    }
}

#[test]
fn a_bottleneck_backs_up_to_the_sender() {
    let mut bench = Bench::new(0, true, vec![at_once(down(LinkVerb::Rate { bytes_per_s: 1_000 }))]);
    let id = bench.connect();
    bench.set(true);
    let text = "x".repeat(600);
    bench.down(id, &[&text]);
    assert!(!bench.link.is_reading(0, id, Way::Down), "600 ms of backlog is more than the buffer holds");
    let again_ns = bench.link.next_timeout(0, id).expect("it reads again");
    assert_eq!(again_ns, 100 * MS);
    bench.at(again_ns);
    assert!(bench.link.is_reading(again_ns, id, Way::Down));
}
