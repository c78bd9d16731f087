//! Laws that hold for any plan and any order of calls.

use proptest::prelude::*;

use super::*;

fn any_delay() -> impl Strategy<Value = Delay> {
    prop_oneof![
        (0..20 * MS).prop_map(|ns| Delay::Fixed { ns }),
        (0..MS, MS..30 * MS).prop_map(|(min_ns, max_ns)| Delay::Uniform { min_ns, max_ns }),
        (0..9 * MS, 0..9 * MS).prop_map(|(mean_ns, deviation_ns)| Delay::Normal { mean_ns, deviation_ns }),
        (1..MS).prop_map(|scale_ns| Delay::Pareto { scale_ns, shape_milli: 1_200, max_ns: 50 * MS }),
    ]
}

/// Verbs that may make late but never lose.
fn harmless_verb() -> impl Strategy<Value = LinkVerb> {
    prop_oneof![
        any_delay().prop_map(|delay| LinkVerb::Delay { delay }),
        (100_u64..100_000).prop_map(|bytes_per_s| LinkVerb::Rate { bytes_per_s }),
        Just(LinkVerb::Stall),
        (1_u32..9).prop_map(|bytes| LinkVerb::Slice { bytes }),
    ]
}

fn any_verb() -> impl Strategy<Value = LinkVerb> {
    let how = prop_oneof![Just(CutHow::Fin), Just(CutHow::Rst)];
    let edge = prop_oneof![Just(Edge::Before), Just(Edge::After)];
    prop_oneof![
        harmless_verb(),
        Just(LinkVerb::Drop),
        Just(LinkVerb::Corrupt),
        Just(LinkVerb::HalfOpen),
        Just(LinkVerb::Partition),
        (1_u32..3).prop_map(|copies| LinkVerb::Duplicate { copies }),
        (1_u32..5, 0..40 * MS).prop_map(|(window, hold_ns_max)| LinkVerb::Reorder { window, hold_ns_max }),
        (how, proptest::option::of(0_u64..200), edge).prop_map(|(how, at_byte, edge)| LinkVerb::Cut {
            how,
            at_byte,
            edge
        }),
    ]
}

fn any_fault(verb: impl Strategy<Value = LinkVerb>) -> impl Strategy<Value = PlannedFault> {
    let direction = prop_oneof![Just(Direction::Up), Just(Direction::Down), Just(Direction::Both)];
    let kind = prop_oneof![Just(None), Just(Some("deliver".to_owned()))];
    let trigger = proptest::option::of((1_u64..20, any::<bool>()));
    (verb, direction, kind, 0_u32..=1_000_000, trigger, proptest::option::of(0..50 * MS)).prop_map(
        |(verb, direction, kind, probability_ppm, trigger, for_ns)| {
            let fault =
                Fault::Link(LinkFault { devices: vec![0, 1], direction, kind, probability_ppm, verb });
            let when = trigger.map_or(When::At { ns: 0 }, |(nth, before)| {
                let edge = if before { Edge::Before } else { Edge::After };
                When::OnFrame(FrameTrigger { devices: vec![0, 1], kind: "deliver".to_owned(), nth, edge })
            });
            PlannedFault { id: 0, key: 0, when, for_ns, fault }
        },
    )
}

fn plan(verb: impl Strategy<Value = LinkVerb>) -> impl Strategy<Value = Vec<PlannedFault>> {
    proptest::collection::vec(any_fault(verb), 0..5).prop_map(|mut faults| {
        (0_u32..).zip(&mut faults).for_each(|(id, fault)| (fault.id, fault.key) = (id, u64::from(id)));
        faults
    })
}

/// One call.
#[derive(Clone, Debug)]
enum Step {
    Wait(u64),
    Frame(Way, u8),
    Set(u32, bool),
    Connect,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (0..20 * MS).prop_map(Step::Wait),
        8 => (any::<bool>(), 1_u8..60).prop_map(|(up, size)| Step::Frame(if up { Way::Up } else { Way::Down }, size)),
        2 => (0_u32..5, any::<bool>()).prop_map(|(fault, active)| Step::Set(fault, active)),
        1 => Just(Step::Connect),
    ];
    proptest::collection::vec(step, 0..120)
}

/// What went in and came out of one connection, per way.
#[derive(Clone, Debug, Default, PartialEq)]
struct Flow {
    sent: [Vec<u8>; 2],
    got: [Vec<u8>; 2],
}

#[derive(Debug, Default, PartialEq)]
struct Outcome {
    flows: Vec<Flow>,
    events: Vec<Event>,
    times: Vec<u64>,
}

/// Carries the steps out, obeying every timeout; in the end heals and waits.
fn run(settings: Settings, steps: &[Step]) -> Outcome {
    let mut link = Link::new(settings);
    link.arm();
    let mut now_ns = 0;
    let mut outcome = Outcome::default();
    let mut ids = Vec::new();
    let mut number = 0_u8;
    for step in steps.iter().chain([&Step::Wait(0)]) {
        match *step {
            Step::Wait(ns) => wait(&mut link, &ids, &mut now_ns, ns, &mut outcome),
            Step::Set(fault, active) => link.set(now_ns, fault, active),
            Step::Connect => {
                if let Ok(id) = link.connect(now_ns) {
                    ids.push(id);
                    outcome.flows.push(Flow::default());
                }
            }
            Step::Frame(way, size) => {
                let Some(&id) = ids.last() else { continue };
                number = number.wrapping_add(1);
                let bytes = vec![number; size as usize];
                outcome.flows[ids.len() - 1].sent[way.index()].extend(&bytes);
                let piece =
                    Piece { bytes: bytes.into(), class: Class::Data, kind: Some("deliver"), head_bytes: 0 };
                link.receive(now_ns, id, way, piece);
            }
        }
        drain(&mut link, &ids, now_ns, &mut outcome);
    }
    link.heal(now_ns);
    drain(&mut link, &ids, now_ns, &mut outcome);
    wait(&mut link, &ids, &mut now_ns, 1_000 * MS, &mut outcome);
    for &id in &ids {
        assert_eq!(link.next_timeout(now_ns, id), None, "something is still held a second after the heal");
    }
    outcome
}

fn wait(link: &mut Link, ids: &[ConnectionId], now_ns: &mut u64, ns: u64, outcome: &mut Outcome) {
    let end_ns = *now_ns + ns;
    loop {
        let next = ids.iter().filter_map(|&id| link.next_timeout(*now_ns, id)).min();
        let Some(next_ns) = next.filter(|&next_ns| next_ns <= end_ns) else { break };
        *now_ns = next_ns.max(*now_ns);
        link.tick(*now_ns);
        drain(link, ids, *now_ns, outcome);
        let stuck = ids.iter().filter_map(|&id| link.next_timeout(*now_ns, id)).any(|again| again <= *now_ns);
        assert!(!stuck, "a timeout that was served is not wanted again at once");
    }
    *now_ns = end_ns;
    link.tick(end_ns);
    drain(link, ids, end_ns, outcome);
}

fn drain(link: &mut Link, ids: &[ConnectionId], now_ns: u64, outcome: &mut Outcome) {
    while let Some(event) = link.poll_event() {
        outcome.events.push(event);
    }
    for (at, &id) in ids.iter().enumerate() {
        while let Some(effect) = link.poll_effect(id) {
            if let Effect::Forward { way, bytes, .. } = effect {
                outcome.flows[at].got[way.index()].extend(&bytes);
                outcome.times.push(now_ns);
            }
        }
    }
}

fn settings(seed: u64, device: u32, delay: Delay, faults: Vec<PlannedFault>) -> Settings {
    let shape = LinkShape { delay, rate_bytes_per_s: Some(1_000_000) };
    let network = Network { profile: "custom".to_owned(), up: shape.clone(), down: shape };
    Settings { seed, device, network, faults: faults.into(), survives_frame_faults: true }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn nothing_is_lost_or_reordered_without_a_fault_that_does_so(
        faults in plan(harmless_verb()), delay in any_delay(), seed: u64, steps in steps(),
    ) {
        let outcome = run(settings(seed, 0, delay, faults), &steps);
        for flow in outcome.flows {
            prop_assert_eq!(flow.sent, flow.got);
        }
    }

    #[test]
    fn the_same_seed_decides_the_same_and_the_heal_leaves_nothing(
        faults in plan(any_verb()), delay in any_delay(), seed: u64, steps in steps(),
    ) {
        let first = run(settings(seed, 0, delay, faults.clone()), &steps);
        let second = run(settings(seed, 0, delay, faults), &steps);
        prop_assert_eq!(first, second);
    }

    #[test]
    fn a_held_frame_leaves_within_its_limit_and_is_overtaken_no_more_than_allowed(
        seed: u64, window in 1_u32..6, hold_ms in 0_u64..50, gaps in proptest::collection::vec(0_u64..20, 1..80),
    ) {
        let verb = LinkVerb::Reorder { window, hold_ns_max: hold_ms * MS };
        let mut bench = Bench::new(0, true, vec![]);
        let fault = at_once(LinkFault { probability_ppm: 300_000, ..down(verb) });
        bench.link = Link::new(settings(seed, 0, Delay::Fixed { ns: 0 }, vec![fault]));
        let id = bench.connect();
        bench.set(true);
        let (mut sent, mut got) = (Vec::new(), Vec::new());
        let collect = |bench: &mut Bench, got: &mut Vec<(usize, u64)>| {
            for word in bench.out(id).split_whitespace() {
                got.push((word.parse().expect("frames are numbers"), bench.now_ns));
            }
        };
        let last = gaps.len();
        for (number, gap) in gaps.iter().chain([&51]).enumerate() {
            let end_ns = bench.now_ns + gap * MS;
            while let Some(next_ns) = bench.link.next_timeout(bench.now_ns, id).filter(|&next_ns| next_ns <= end_ns) {
                bench.at(next_ns);
                collect(&mut bench, &mut got);
            }
            bench.at(end_ns);
            if number < last {
                sent.push(end_ns);
                bench.frame(id, Way::Down, &number.to_string(), "deliver");
            }
            collect(&mut bench, &mut got);
        }
        prop_assert_eq!(got.len(), sent.len());
        for (place, &(number, at_ns)) in got.iter().enumerate() {
            // The link's own bottleneck costs a few microseconds per frame.
            prop_assert!(at_ns <= sent[number] + hold_ms * MS + MS, "{number} was held too long");
            let overtakers = got[..place].iter().filter(|(other, _)| *other > number).count();
            prop_assert!(overtakers <= window as usize, "{number} was overtaken by {overtakers}");
        }
    }
}

/// Ordinals of the frames that a fault with probability 0.1 drops for a device, out of 20,000.
fn dropped(seed: u64, device: u32, devices: &[u32]) -> Vec<u64> {
    let fault = LinkFault { devices: devices.to_vec(), probability_ppm: 100_000, ..down(LinkVerb::Drop) };
    let mut link = Link::new(settings(seed, device, Delay::Fixed { ns: 0 }, vec![at_once(fault)]));
    link.set(0, 0, true);
    let id = link.connect(0).expect("no partition");
    let mut ordinals = Vec::new();
    for at in 0..20_000 {
        let piece = Piece { bytes: Bytes::from_static(b"x"), class: Class::Data, kind: None, head_bytes: 0 };
        link.receive(at * MS, id, Way::Down, piece);
        while link.poll_effect(id).is_some() {}
        while let Some(event) = link.poll_event() {
            if let Event::Fired { frame, .. } = event {
                ordinals.push(frame);
            }
        }
    }
    ordinals
}

#[test]
fn an_added_device_moves_no_other_decision_and_another_seed_moves_all() {
    let alone = dropped(5, 0, &[0]);
    assert_eq!(alone, dropped(5, 0, &[0, 1, 2]));
    assert_ne!(alone, dropped(5, 1, &[0, 1, 2]));
    assert_ne!(alone, dropped(6, 0, &[0]));
}

#[test]
fn a_probability_is_met_within_three_sigma() {
    let (mean, sigma) = (2_000.0, (20_000.0_f64 * 0.1 * 0.9).sqrt());
    for seed in 0..4 {
        let count = dropped(seed, 0, &[0]).len() as f64;
        assert!((count - mean).abs() <= 3.0 * sigma, "seed {seed}: {count} of 20,000 at 10 %");
    }
}
