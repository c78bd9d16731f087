//! Whatever the text is, the parser answers; whatever the scenario is, it survives being written and read.

use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;

use crate::catalog::CATALOG;
use crate::fault::{
    ClientVerbEntry, ClockSkew, Cut, Duplicate, FaultEntry, FrameFault, How, LinkDelay, LinkHold, LinkRate,
    NodeDown, Partition, Reorder, SlowConsumer, SlowSync, Way,
};
use crate::gates::{Gate, STAGES};
use crate::guarantees::{GUARANTEES, GuaranteeId};
use crate::plan::{Delay, LEADER};
use crate::profiles::{PROFILES, ProfileName};
use crate::scenario::{
    Arrivals, ConversationEntry, DeviceEntry, ExpectSection, LinkSection, NetworkSection, PhasesSection,
    Setting, Workload,
};
use crate::units::{
    ByteRate, DelaySpec, NodeName, NodeNames, Parties, Party, PerSecond, Share, SignedTime, Sizes, Time,
    Unit, UserName,
};
use crate::{Scenario, parse_scenario};

/// Texts that have something of a scenario: whole scenarios with a few bytes of nonsense in them.
fn mangled() -> impl Strategy<Value = String> {
    (
        0..CATALOG.len(),
        vec((any::<prop::sample::Index>(), "\\PC{0,4}|[\\[\\]{}=\"\n.]{1,3}", 0..3_usize), 1..6),
    )
        .prop_map(|(entry, edits)| {
            let mut text: Vec<char> = CATALOG[entry].text.chars().collect();
            for (at, insert, remove) in edits {
                let at = at.index(text.len());
                let end = (at + remove * 7).min(text.len());
                text.splice(at..end, insert.chars());
            }
            text.into_iter().collect()
        })
}

fn time() -> impl Strategy<Value = Time> {
    prop_oneof![
        (1_u64..100).prop_map(Time::s),
        (1_u64..100_000).prop_map(Time::ms),
        (1_u64..86_400_000_000_000).prop_map(Time)
    ]
}

fn share() -> impl Strategy<Value = Share> {
    (1_u32..=1_000_000).prop_map(|ppm| Share { ppm })
}

fn parties() -> impl Strategy<Value = Parties> {
    let party = prop_oneof![
        Just(Party::Clients),
        (0_u32..40).prop_map(Party::User),
        (0_u32..40, 0_u32..4).prop_map(|(user, device)| Party::Device(user, device)),
        share().prop_map(Party::Share),
    ];
    vec(party, 1..4).prop_map(Parties)
}

fn delay() -> impl Strategy<Value = DelaySpec> {
    let ns = 1_u64..10_000_000_000;
    let delay = prop_oneof![
        ns.clone().prop_map(|ns| Delay::Fixed { ns }),
        (ns.clone(), ns.clone()).prop_map(|(a, b)| Delay::Uniform { min_ns: a.min(b), max_ns: a.max(b) }),
        (ns.clone(), ns.clone()).prop_map(|(mean_ns, deviation_ns)| Delay::Normal { mean_ns, deviation_ns }),
        (ns.clone(), ns, 100_u32..=100_000).prop_map(|(a, b, shape_milli)| Delay::Pareto {
            scale_ns: a.min(b),
            shape_milli,
            max_ns: a.max(b),
        }),
    ];
    delay.prop_map(DelaySpec)
}

fn way() -> impl Strategy<Value = Way> {
    prop_oneof![Just(Way::Up), Just(Way::Down), Just(Way::Both)]
}

fn kind() -> impl Strategy<Value = Option<String>> {
    of("[a-z\"\\\\ é]{1,10}")
}

fn node() -> impl Strategy<Value = NodeName> {
    prop_oneof![Just(NodeName(LEADER)), (0_u32..63).prop_map(NodeName)]
}

#[allow(clippy::too_many_lines, reason = "a list with one entry per verb")]
fn fault() -> impl Strategy<Value = FaultEntry> {
    let empty = FaultEntry::default;
    let verb = prop_oneof![
        (node(), parties(), kind(), kind(), of(1_u64..9), time()).prop_map(
            move |(node, link, before, after, nth, restart_after)| {
                FaultEntry {
                    kill: Some(NodeDown { restart_after, node, link, before, after, nth }),
                    ..empty()
                }
            }
        ),
        (node(), time())
            .prop_map(move |(node, by)| FaultEntry { slow_sync: Some(SlowSync { by, node }), ..empty() }),
        (node(), any::<i32>()).prop_map(move |(node, by)| FaultEntry {
            clock_skew: Some(ClockSkew { by: SignedTime(i64::from(by)), node }),
            ..empty()
        }),
        (parties(), way(), kind(), of(1_u64..9), of(share()), delay()).prop_map(
            move |(link, direction, on, nth, probability, by)| FaultEntry {
                delay: Some(LinkDelay { by, link, direction, on, nth, probability }),
                ..empty()
            }
        ),
        (parties(), way(), 1_u64..1_000_000_000).prop_map(move |(link, direction, limit)| FaultEntry {
            rate: Some(LinkRate { limit: ByteRate(limit), link, direction }),
            ..empty()
        }),
        (parties(), way(), kind()).prop_map(move |(link, direction, after)| FaultEntry {
            stall: Some(LinkHold { link, direction, before: None, after, nth: None }),
            ..empty()
        }),
        (vec(node(), 1..4), any::<(bool, bool, bool)>()).prop_map(
            move |(mut nodes, (clients, rest, one_way))| {
                nodes.sort_unstable();
                nodes.dedup();
                let side = NodeNames { nodes, clients, rest };
                FaultEntry {
                    partition: Some(Partition {
                        nodes: Some(side.clone()),
                        from: Some(side),
                        link: None,
                        one_way,
                        direction: Way::Both,
                    }),
                    ..empty()
                }
            }
        ),
        (parties(), kind(), of(share()), of(any::<u32>())).prop_map(
            move |(link, before, probability, at_byte)| {
                FaultEntry {
                    cut: Some(Cut {
                        how: How::Fin,
                        at_byte: at_byte.map(u64::from),
                        link,
                        direction: Way::Up,
                        before,
                        after: None,
                        nth: None,
                        probability,
                    }),
                    ..empty()
                }
            }
        ),
        (parties(), kind(), share(), 1_u32..9).prop_map(move |(link, on, probability, number)| FaultEntry {
            duplicate: Some(Duplicate {
                copies: number,
                link: link.clone(),
                direction: Way::Both,
                on: on.clone(),
                nth: None,
                probability: Some(probability),
            }),
            reorder: Some(Reorder {
                window: number,
                hold: Time::ms(3),
                link: link.clone(),
                direction: Way::Down,
                on: on.clone(),
                nth: None,
                probability: None,
            }),
            drop: Some(FrameFault { link, direction: Way::Both, on, nth: Some(3), probability: None }),
            ..empty()
        }),
        (parties(), time(), kind(), of(1_u64..9)).prop_map(move |(client, consume, after, nth)| FaultEntry {
            offline: Some(ClientVerbEntry { client: client.clone(), after: after.clone(), nth }),
            slow_consumer: Some(SlowConsumer { client, consume, after, nth: None }),
            ..empty()
        }),
    ];
    (of(time()), of(time()), of(time()), verb).prop_map(|(at, every, lasts, verb)| FaultEntry {
        at,
        every,
        lasts,
        ..verb
    })
}

fn workload() -> impl Strategy<Value = Workload> {
    let counts = (1_u32..100, 1_u32..50, of(1_u32..100), 1_u32..4);
    let rates = (of(1_u64..1_000_000_000), of(1_u64..1_000_000_000), of(1_u64..1_000_000_000));
    let rest = (of(parties()), any::<bool>(), time(), 32_u32..10_000, 0_u32..10_000, of(share()), of(time()));
    (counts, rates, rest).prop_map(|(counts, rates, rest)| {
        let (conversations, members, users, devices) = counts;
        let (senders, constant, duration, min, more, replies, read_marks) = rest;
        let rate = |micro: Option<u64>| micro.map(|micro| PerSecond { micro });
        Workload {
            conversations,
            members,
            users,
            devices,
            senders,
            rate: rate(rates.0),
            arrivals: if constant { Arrivals::Constant } else { Arrivals::Poisson },
            duration,
            payload: Sizes { min, max: min + more },
            replies: replies.unwrap_or_default(),
            read_marks,
            history_reads: rate(rates.1),
            membership_changes: rate(rates.2),
        }
    })
}

fn scenario() -> impl Strategy<Value = Scenario> {
    let expect =
        (vec(0..GUARANTEES.len(), 0..4), of(time()), vec((0_usize..3, 1_u32..=100_000, time()), 0..4));
    let network = (of(0..PROFILES.len()), of(delay()), of(1_u64..1_000_000));
    let device = (parties(), of(time()), of(time()));
    let top = (".*", of(0_u64..1 << 53), vec(vec((0_u32..40).prop_map(UserName), 0..4), 0..3));
    (top, workload(), network, vec(device, 0..3), vec(fault(), 0..5), expect).prop_map(
        |(top, workload, (profile, delay, rate), devices, fault, (guarantees, recovers_within, gates))| {
            let (about, seed, conversations) = top;
            Scenario {
                version: Some(1),
                about,
                seed,
                cluster: crate::scenario::ClusterSection {
                    nodes: 3,
                    settings: [
                        ("a b".to_owned(), Setting::Switch(true)),
                        ("b".to_owned(), Setting::Count(-5)),
                        ("c".to_owned(), Setting::Text("x".to_owned())),
                    ]
                    .into(),
                },
                workload,
                network: NetworkSection {
                    profile: profile.map(|index| ProfileName(&PROFILES[index])),
                    up: LinkSection { delay, rate: rate.map(ByteRate) },
                    down: LinkSection::default(),
                },
                conversation: conversations
                    .into_iter()
                    .map(|members| ConversationEntry { members })
                    .collect(),
                device: devices
                    .into_iter()
                    .map(|(which, connects_at, consume)| DeviceEntry {
                        which,
                        connects_at,
                        consume,
                        read_marks: None,
                    })
                    .collect(),
                fault,
                step: Vec::new(),
                expect: ExpectSection {
                    guarantees: guarantees
                        .into_iter()
                        .map(|index| GuaranteeId(GUARANTEES[index].0))
                        .collect(),
                    recovers_within,
                    latency: gates
                        .into_iter()
                        .map(|(stage, percentile_milli, limit)| {
                            (Gate { stage: STAGES[stage], percentile_milli }, limit)
                        })
                        .collect(),
                },
                phases: PhasesSection::default(),
            }
        },
    )
}

#[track_caller]
fn reads_back<U: Unit + PartialEq + std::fmt::Debug>(unit: &U) {
    let text = unit.to_string();
    let pattern = regex::Regex::new(U::PATTERN).unwrap();
    assert!(pattern.is_match(&text), "{text} is not what editors take for a {}", U::NAME);
    assert_eq!(U::from_text(&text).as_ref(), Ok(unit), "{text}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_text_is_answered(text in "\\PC*") {
        let _ = parse_scenario("x", &text);
    }

    #[test]
    fn any_bytes_are_answered(bytes in vec(any::<u8>(), 0..400)) {
        let _ = parse_scenario("x", &String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn a_mangled_scenario_is_answered_and_an_accepted_one_gives_a_plan(text in mangled()) {
        match parse_scenario("x", &text) {
            Ok(scenario) => { let _ = scenario.plan("x", 1); }
            Err(refused) => {
                prop_assert!(!refused.diagnostics.is_empty());
                let shown = refused.to_string();
                prop_assert!(shown.chars().all(|c| c == '\n' || !c.is_control()), "{shown:?}");
            }
        }
    }

    #[test]
    fn any_scenario_survives_writing_and_reading(scenario in scenario()) {
        let text = toml::to_string(&scenario).unwrap();
        let back: Scenario = toml::from_str(&text).unwrap();
        prop_assert_eq!(&back, &scenario, "{}", text);
    }

    #[test]
    fn what_is_written_for_people_reads_back(scenario in scenario()) {
        let text = scenario.to_toml();
        let back: Scenario = toml::from_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        prop_assert_eq!(&back, &scenario, "{}", text);
    }

    #[test]
    fn any_scenario_has_the_shape_of_the_schema(scenario in scenario()) {
        let text = toml::to_string(&scenario).unwrap();
        if let Err(refused) = parse_scenario("x", &text) {
            // It may make no sense, but nothing in it is unknown or of the wrong type.
            for diagnostic in refused.diagnostics {
                prop_assert!(!diagnostic.message.contains("unknown key"), "{diagnostic}");
                prop_assert!(!diagnostic.message.contains("stands where"), "{diagnostic}");
            }
        }
    }

    #[test]
    fn units_read_what_they_print(
        time in time(), share in share(), delay in delay(), rate in 1_u64..1_000_000_000_000, bytes in 1_u64..u64::MAX,
        skew in any::<i32>(), node in node(), size in (32_u32..1_000_000, 0_u32..1_000_000),
    ) {
        reads_back(&time);
        reads_back(&share);
        reads_back(&delay);
        reads_back(&PerSecond { micro: rate });
        reads_back(&ByteRate(bytes));
        reads_back(&SignedTime(i64::from(skew)));
        reads_back(&node);
        reads_back(&Sizes { min: size.0, max: size.0 + size.1 });
    }
}

#[test]
fn a_file_over_the_limit_is_refused_unread() {
    let text = "#".repeat(crate::SCENARIO_BYTES_MAX + 1);
    let refused = parse_scenario("x", &text).unwrap_err();
    assert!(refused.diagnostics[0].message.contains("too large"), "{refused}");
    assert!(refused.to_string().len() < 1_000);
}

#[test]
fn deep_nesting_is_refused() {
    for (open, close) in [("[", "]"), ("{a=", "}")] {
        let text = format!("about = {}{}", open.repeat(50_000), close.repeat(50_000));
        assert!(parse_scenario("x", &text).is_err());
    }
    assert!(parse_scenario("x", &format!("a{} = 1", ".a".repeat(100_000))).is_err());
    assert!(parse_scenario("x", &"[[fault]]\n".repeat(20_000)).is_err());
}
