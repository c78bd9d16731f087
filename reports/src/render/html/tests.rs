//! Pages as they must be: whole, harmless, bounded, in both languages. What a browser makes of them is for `.ci/run pages`.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::super::tests::{events, passing, violated};
use super::rates::Rates;
use super::*;
use crate::agreement::{Agreements, Contrary, Pair};
use crate::audit::{AUDIT_VERSION, Audit, AuditRow, ClaimWords, ModeAudit, SeenUnder, VoidRun};
use crate::compare::{
    Aspect, Change, Compared, Comparison, IntervalCounts, Obstacle, Overlay, RunIntervals, Side, SideRun,
    compare, overlay,
};
use crate::history::{Conversation, Device, Event, Message, User, What};
use crate::latency::{From, INTERVAL_NS, LatencyRecorder, Sparse, Stage};
use crate::load::{
    Arrival, ArrivalKind, Connections, FaultWindow, Floor, Generator, KneeStep, LoadRecord, NoiseFloor,
    Objective, Payload, RateColumn, RateColumns, SecondRow, Shape, ShapeKind, SizeLatency, StageLatency,
    Totals, WindowLatency,
};
use crate::run::{End, Outcome};
use crate::sweep::{Find, ScoreLine, Scoreboard, StateHits, Sweep};
use crate::verdict::Verdict;

/// Every way out of text that a target could try: elements, attributes, comments, scripts, controls, directions.
const HOSTILE: &str = "\"'><script>stolen=1</script><img src=x onerror=stolen=1>--><!-- ]]> \u{202e}\u{0}\u{1b}[31m{0}&lt;</style></svg>";

fn page(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> String {
    let mut out = Vec::new();
    write(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn of(run: &Run) -> String {
    page(|out| write_run_page(run, Some(&over_time()), Language::English, out))
}

fn over_time() -> OverTime {
    let mut recorder = LatencyRecorder::default();
    for event in &events() {
        recorder.observe(event);
    }
    let mut log = Vec::new();
    recorder.write_hlog(&mut log).unwrap();
    OverTime::read(log.as_slice()).unwrap()
}

/// Elements without an end.
const VOID: [&str; 6] = ["meta", "link", "input", "img", "br", "hr"];

/// Reads a page as a strict parser would, and gives back how often each element occurs. Every attribute is quoted, every element
/// is ended in order, and what stands between is no markup.
fn elements(page: &str) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    let mut open: Vec<String> = Vec::new();
    let mut rest = page.strip_prefix("<!doctype html>").expect("it begins with its type");
    while let Some(at) = rest.find('<') {
        assert!(!rest[..at].contains('>'), "a bracket in text: {}", &rest[..at]);
        rest = &rest[at + 1..];
        let end = end_of_tag(rest);
        let (tag, after) = (&rest[..end], &rest[end + 1..]);
        rest = after;
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop().as_deref(), Some(name), "ended out of order");
            continue;
        }
        let name: String = tag.chars().take_while(char::is_ascii_alphanumeric).collect();
        assert!(!name.is_empty(), "no element: <{tag}>");
        *counts.entry(name.clone()).or_default() += 1;
        if matches!(name.as_str(), "script" | "style") {
            rest = &rest[rest.find(&format!("</{name}>")).expect("it is ended")..];
        }
        if !tag.ends_with('/') && !VOID.contains(&name.as_str()) {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "not ended: {open:?}");
    counts
}

/// Where a tag ends; on the way its attributes are looked at.
fn end_of_tag(text: &str) -> usize {
    let mut quoted = false;
    let mut name = String::new();
    for (at, character) in text.char_indices() {
        match character {
            '"' => {
                quoted = !quoted;
                if quoted {
                    let name = name.trim_end_matches('=').to_owned();
                    assert!(!name.starts_with("on") && name != "style" && name != "src", "attribute {name}");
                }
                name.clear();
            }
            '>' if !quoted => return at,
            '<' | '\'' if !quoted => panic!("in a tag: {}", &text[..at]),
            ' ' if !quoted => name.clear(),
            _ if !quoted => name.push(character),
            _ => {}
        }
    }
    panic!("a tag without an end")
}

fn audit(text: &str) -> Audit {
    let run = violated();
    let seen = SeenUnder {
        fault: "kill".to_owned(),
        claimed: true,
        held: 3,
        broken: 1,
        anomalies: BTreeMap::from([(text.to_owned(), 4)]),
        cases: vec![text.to_owned()],
        observed: text.to_owned(),
        folder: format!("out/runs/{text}"),
        finding: run.judgements[0].findings.first().cloned(),
        names: run.names,
    };
    let void = VoidRun { case: text.to_owned(), why: text.to_owned(), folder: String::new() };
    let claim = Some(ClaimWords { source: text.to_owned(), under: vec![text.to_owned()] });
    let row = AuditRow { guarantee: "no-loss".to_owned(), claim, disclaimer: None, seen: vec![seen] };
    let other = AuditRow {
        guarantee: text.to_owned(),
        claim: None,
        disclaimer: Some(text.to_owned()),
        seen: Vec::new(),
    };
    let mode = ModeAudit {
        mode: text.to_owned(),
        words: text.to_owned(),
        runs: 4,
        rows: vec![row, other],
        void: vec![void.clone()],
        skipped: vec![void],
    };
    Audit {
        avouch_audit: AUDIT_VERSION,
        target: text.to_owned(),
        about: text.to_owned(),
        seeds: vec![1, 2],
        outcome: Outcome::Violated,
        modes: vec![mode],
        repeat: text.to_owned(),
    }
}

fn sweep(text: &str) -> Sweep {
    let find = Find {
        guarantee: "no-loss".to_owned(),
        anomaly: text.to_owned(),
        run: 17,
        seed: 4,
        runs: 2,
        expected: text.to_owned(),
        actual: text.to_owned(),
        before: crate::sweep::Size { clients: 9, messages: 70, faults: 6 },
        after: Some(crate::sweep::Size { clients: 2, messages: 1, faults: 1 }),
        tried: 120,
        remarks: vec![text.to_owned()],
        file: format!("out/{text}.toml"),
        repeat: text.to_owned(),
        in_sim: Some(true),
    };
    Sweep {
        runs: 100,
        runs_asked: 100,
        passed: 90,
        broken: 2,
        inconclusive: BTreeMap::from([(text.to_owned(), 8)]),
        cpu_s: 0.5,
        bases: vec![text.to_owned()],
        defects: vec![text.to_owned()],
        finds: vec![find],
        states: vec![StateHits { state: text.to_owned(), runs: 0 }],
        ..Sweep::default()
    }
}

fn scoreboard(text: &str) -> Scoreboard {
    let line = ScoreLine {
        defect: text.to_owned(),
        breaks: text.to_owned(),
        world: text.to_owned(),
        found: 1,
        by: BTreeMap::from([(text.to_owned(), 1)]),
        ..ScoreLine::default()
    };
    Scoreboard { seeds: 2, lines: vec![line], ..Scoreboard::default() }
}

/// A load test in which every text is that one.
#[allow(clippy::too_many_lines, reason = "one value with every field")]
fn load(text: &str) -> LoadRecord {
    let own = || text.to_owned();
    let row = StageLatency {
        stage: Stage::Accepted,
        from: From::Intended,
        count: 900,
        never: 1,
        min_us: Some(80),
        p50_us: Some(100),
        p90_us: Some(150),
        p99_us: Some(900),
        p999_us: None,
        p9999_us: None,
        max_us: None,
        too_few_for: vec![99_900, 99_990],
    };
    let size = |members: Option<u32>, row: &StageLatency| SizeLatency {
        members,
        sent: 900,
        latency: vec![row.clone()],
        to_last: Some(row.clone()),
    };
    let second = |second: u64| SecondRow {
        second,
        intended: 100,
        sent: 99,
        accepted: 98,
        outstanding: second,
        ..SecondRow::default()
    };
    let step = |offered_per_s: f64, held: bool| KneeStep {
        offered_per_s,
        achieved_per_s: offered_per_s * 0.9,
        p50_us: Some(100),
        p99_us: Some((offered_per_s * 3.0) as u64),
        kept_schedule: true,
        held,
        why: own(),
        ..KneeStep::default()
    };
    let fault = FaultWindow {
        id: 0,
        words: own(),
        from_ns: Some(1),
        to_ns: Some(2),
        before: WindowLatency { accepted: 5, accepted_p50_us: Some(90), ..WindowLatency::default() },
        during: WindowLatency::default(),
        after: WindowLatency::default(),
        recovered_after_ns: Some(750_000_000),
        recovery: own(),
    };
    let objective = Objective {
        words: own(),
        stage: Stage::Accepted,
        members: Some(16),
        percentile_milli: 99_000,
        at_most_us: 500,
        measured_us: Some(900),
        samples: 901,
        samples_needed: 1_000,
        verdict: Verdict::Inconclusive,
        observed: own(),
    };
    LoadRecord {
        avouch_load: crate::load::LOAD_VERSION,
        target: own(),
        protocol: own(),
        outcome: Outcome::Inconclusive,
        verdict: own(),
        reasons: vec![own()],
        repeat: own(),
        seed: 3,
        shard: None,
        merged_from: 1,
        arrival: Arrival {
            kind: ArrivalKind::Closed,
            closed_loop: true,
            rates_per_s: Vec::new(),
            burst_messages: 0,
            burst_every_ns: 0,
            window: 1,
            words: own(),
        },
        begun_ns: 0,
        duration_ns: 10_000_000_000,
        payload: Payload { words: own(), bytes_min: 1, bytes_mean: 2.0, bytes_max: 3 },
        shape: Shape {
            kind: ShapeKind::OneToOne,
            conversations: 1,
            members: 2,
            sizes: Vec::new(),
            sessions: 2,
            idle_sessions: 0,
            words: own(),
        },
        totals: Totals { intended: 1_000, sent: 990, accepted: 980, ..Totals::default() },
        by_size: vec![size(Some(2), &row), size(None, &row)],
        latency: vec![row],
        bars: Vec::new(),
        connections: Some(Connections { intended: 2, made: 2, ..Connections::default() }),
        // More seconds than there are columns.
        seconds: (0..1_000).map(second).collect(),
        columns: None,
        faults: vec![fault],
        generator: Generator { words: own(), lateness_p50_us: Some(9), ..Generator::default() },
        noise_floor: Some(NoiseFloor {
            ping_pong: Floor { samples: 5, p50_us: Some(60), ..Floor::default() },
            ..NoiseFloor::default()
        }),
        objectives: vec![objective],
        knee_steps: vec![step(2_000.0, false), step(500.0, true), step(1_000.0, true)],
        knee: Some(own()),
        modes_seen: vec![own()],
        remarks: vec![own()],
    }
}

/// What a second side is against the first that is slower by that factor.
fn measured(slowed_by: u64) -> (Vec<Compared>, Overlay) {
    let interval = |second: u64, factor: u64| {
        let mut counts = Sparse::default();
        (0..100).for_each(|place| counts.add((900 + (place * 37 + second * 11) % 200) * factor, 1));
        counts.settle();
        IntervalCounts { from_ns: second * INTERVAL_NS, counts }
    };
    let run = |factor| RunIntervals {
        intervals: (0..60).map(|second| interval(second, factor)).collect(),
        never: 0,
    };
    let runs = [[run(1)], [run(slowed_by)]];
    let of = [&runs[0][..], &runs[1][..]];
    (compare(Stage::Delivered, of, 0, 1), overlay(Stage::Delivered, of, 1).unwrap())
}

/// One side that is as fast as the other, and one that is twice as slow: they take a while.
static SAME: LazyLock<(Vec<Compared>, Overlay)> = LazyLock::new(|| measured(1));
static SLOWER: LazyLock<(Vec<Compared>, Overlay)> = LazyLock::new(|| measured(2));

/// Two load tests in which every text is that one.
fn comparison(text: &str, (compared, overlay): &(Vec<Compared>, Overlay)) -> Comparison {
    let side = || {
        let mut record = load(text);
        record.generator.kept_schedule = true;
        record.totals.missing = 3;
        let run = SideRun { folder: text.to_owned(), record, machine: [None, None] };
        Side { name: text.to_owned(), runs: vec![run] }
    };
    Comparison {
        change: Comparison::change_of(compared),
        obstacle: None,
        sides: [side(), side()],
        compared: compared.clone(),
        overlays: vec![overlay.clone()],
    }
}

/// Sides that cannot be held against each other, in every way.
fn obstacles(text: &str) -> Vec<Comparison> {
    let own = || text.to_owned();
    let both = || (own(), own());
    let set_up = |aspect| Obstacle::SetUp { aspect, here: both(), there: both() };
    let all = [
        Obstacle::NoRuns,
        Obstacle::Generator { folder: own(), words: own() },
        set_up(Aspect::Arrivals),
        set_up(Aspect::Payload),
        set_up(Aspect::Conversations),
        Obstacle::Faults(own(), own()),
        Obstacle::Machines(own(), own()),
    ];
    let of = |obstacle| Comparison {
        change: Change::CannotBeCompared,
        obstacle: Some(obstacle),
        compared: Vec::new(),
        ..comparison(text, &SAME)
    };
    all.map(of).to_vec()
}

#[test]
fn a_comparison_has_its_verdict_first_and_both_sides_over_each_other() {
    let of = |comparison: &Comparison| page(|out| write_comparison_page(comparison, Language::English, out));
    let slower = of(&comparison("plain", &SLOWER));
    let parts = [
        "<title>Slower: plain → plain – Avouch</title>",
        "B is slower than A: 3 of 4 percentiles show it.",
        "3 deliveries are missing on side A",
        "id=\"compared\"",
        "+100.0 %",
        "class=\"ratio\"",
        "6000 samples, it needs 50000",
        "id=\"latency\"",
        "class=\"band c1\"",
        "class=\"band c2\"",
        "class=\"faultname\"",
        "id=\"sides\"",
    ];
    let places: Vec<usize> =
        parts.iter().map(|part| slower.find(part).unwrap_or_else(|| panic!("{part} is missing"))).collect();
    assert!(places.is_sorted(), "{places:?}");
    let drawn = |class: &str| slower.matches(&format!("<path class=\"line {class}\" d=\"M1 5H33\"")).count();
    for class in ["c1", "c2", "c3", "c4"] {
        let all = slower.matches(&format!("<path class=\"line {class}\"")).count();
        assert_eq!(all, 2 * drawn(class), "{class}: each line of a legend is drawn");
    }
    assert!(!slower.contains("NaN") && !slower.contains("inf "), "no number that is none");

    let same = of(&comparison("plain", &SAME));
    assert!(same.contains("Nothing shows that the two sides differ by more than 5 %."));
    for comparison in obstacles("plain") {
        let page = of(&comparison);
        assert!(
            page.contains(">Cannot be compared<") && page.contains("class=\"line c2\""),
            "drawn all the same"
        );
        assert!(!page.contains("id=\"compared\"") && !page.contains("class=\"faultname\""));
    }
}

#[test]
fn a_band_holds_its_curve_and_ends_where_samples_are_few() {
    let overlay = comparison("plain", &SLOWER).overlays.remove(0);
    for side in &overlay.sides {
        let last = side.band.last().unwrap().percentile_milli;
        assert!((98_000..=99_200).contains(&last), "50 of 6,000 samples lie beyond the last: {last}");
        for bound in &side.band {
            let us = side.counts.percentile_us(bound.percentile_milli, 0).unwrap();
            assert!(bound.low_us <= us && us <= bound.high_us, "{bound:?}: {us}");
        }
        assert_eq!(side.columns.len(), 60);
    }
}

#[test]
fn the_end_of_a_dead_servers_log_stands_as_it_is_below_its_reason() {
    let why = "the target failed: n1: the server died on its own (signal: 9 (SIGKILL)); the end of its log:\nfirst\n<b>second";
    let failed = LoadRecord { reasons: vec![why.to_owned()], ..load("plain") };
    let page = page(|out| write_load_page(&failed, &passing(), None, Language::English, out));
    assert!(page.contains("<pre>first\n&lt;b&gt;second\n</pre>"));
    assert!(page.contains("目标失败：n1：服务器自行退出（signal: 9 (SIGKILL)）；其日志的末尾："));
    assert!(!page.contains("class=\"untold\">the target failed"));
}

#[test]
fn a_load_test_shows_its_rates_its_knee_and_what_to_believe() {
    let of_one_size = LoadRecord { by_size: Vec::new(), ..load("plain") };
    let of_one_size = page(|out| write_load_page(&of_one_size, &passing(), None, Language::English, out));
    assert!(!of_one_size.contains("id=\"sizes\""), "nothing is told apart where all are of one size");
    let page =
        page(|out| write_load_page(&load("plain"), &passing(), Some(&over_time()), Language::English, out));
    let parts = [
        ">Inconclusive<",
        "Closed loop: these latencies leave out",
        "id=\"objectives\"",
        "id=\"rates\"",
        "id=\"knee\"",
        "id=\"latency\"",
        "id=\"overall\"",
        "id=\"sizes\"",
        "<th scope=\"rowgroup\" class=\"n\" rowspan=\"2\">2</th>",
        ">Send → last recipient<",
        ">others<",
        "id=\"recovery\"",
        "<strong>750.00 ms</strong>",
        "id=\"credibility\"",
        "schedule not kept",
        "60 µs / ∞ / ∞",
        "id=\"guarantees\"",
    ];
    let places: Vec<usize> =
        parts.iter().map(|part| page.find(part).unwrap_or_else(|| panic!("{part} is missing"))).collect();
    assert!(places.is_sorted(), "{places:?}");
    let drawn = |class: &str| page.matches(&format!("text-anchor=\"middle\" class=\"{class}\"")).count();
    assert_eq!((drawn("point held"), drawn("point lost")), (2, 1), "steps that held, and the one that broke");
    assert!(page.contains("~∞"), "a percentile that never arrives and has too few samples");
}

/// A run in which every text is that one.
fn told_by_a_target(text: &str) -> Run {
    let mut run = violated();
    let own = || text.to_owned();
    let header = &mut run.header;
    (header.scenario, header.target, header.world, header.repeat, header.tool) =
        (own(), own(), own(), own(), own());
    (header.started, header.notes) = (Some(own()), vec![own()]);
    run.history_hash = Some(own());
    run.environment = BTreeMap::from([(own(), own())]);
    run.end = End::TargetFailed { why: own() };
    for fault in &mut run.faults {
        (fault.kind, fault.target, fault.evidence) = (own(), own(), own());
    }
    for judgement in &mut run.judgements {
        (judgement.guarantee, judgement.observed) = (own(), own());
        for finding in &mut judgement.findings {
            (finding.anomaly, finding.expected, finding.actual) = (own(), own(), own());
            let (device, message) = (Device(2), Message(1));
            let more = [
                What::Rejected { device, message, code: own() },
                What::Unknown { device, message, why: own() },
                What::Disconnected { device, why: own() },
                What::Node { node: own(), state: own() },
                What::FaultStarted { id: 1, kind: own(), target: own() },
                What::FaultFired { id: 1, kind: own(), device, frame: 1, detail: own() },
                What::FaultSkipped { id: 2, kind: own(), why: own() },
                What::FaultEnded { id: 1, evidence: own() },
                What::Drained { converged: false, missing: own() },
                What::Note { text: own() },
                What::Device { device, user: User(2), name: own() },
                What::Conversation { conversation: Conversation(0), name: own(), members: vec![User(1)] },
            ];
            finding.timeline.extend(more.map(|what| Event { at_ns: 999_000_000, what }));
        }
    }
    run.gates.iter_mut().for_each(|gate| gate.observed = own());
    for device in 0..3 {
        run.names.add_device(Device(device), User(device), text);
    }
    run.names.add_conversation(Conversation(0), text);
    run
}

/// A comparison of verdicts with one that is contrary.
fn agreed(text: &str) -> Agreements {
    let own = || text.to_owned();
    let pair = Pair { guarantee: own(), said: [(Verdict::Pass, own()), (Verdict::Violated, own())] };
    let contrary = Contrary { scenario: own(), seed: Some(3), worlds: [own(), own()], pair };
    Agreements { names: [own(), own()], runs: 1, same: 4, contrary: vec![contrary], ..Agreements::default() }
}

#[test]
fn a_comparison_of_verdicts_names_what_is_contrary_and_counts_the_rest() {
    let of = |agreed: &Agreements| page(|out| write_agreement_page(agreed, Language::English, out));
    let contrary = of(&agreed("plain"));
    assert!(contrary.contains(">Contrary<") && contrary.contains("id=\"contrary\""), "{contrary}");
    let nothing = of(&Agreements { contrary: Vec::new(), same: 0, ..agreed("plain") });
    assert!(nothing.contains("This is no agreement.") && !nothing.contains("id=\"contrary\""));
    let same = of(&Agreements { contrary: Vec::new(), ..agreed("plain") });
    assert!(same.contains(">Agreed<"), "{same}");
}

#[test]
fn rates_of_a_short_test_have_the_columns_of_its_log() {
    let over_time = over_time();
    let drawn = |columns: Option<RateColumns>| {
        let record = LoadRecord { columns, ..load("plain") };
        let rates = Rates::of(&record, &over_time).unwrap();
        let [intended, .., delivered] = &rates.per_s;
        (rates.at.length_s, rates.outstanding.len(), intended[0], delivered.iter().sum::<f64>())
    };
    // A thousand seconds in five at a time.
    let (length_s, count, intended, _) = drawn(None);
    assert_eq!((length_s, count, intended.round()), (5.0, 200, 100.0));
    let row = RateColumn { intended: 50, sent: 50, outstanding: 7 };
    let columns = |length_ns| Some(RateColumns { length_ns, rows: vec![row] });
    let last = over_time.columns.last_key_value().map_or(0, |(last, _)| *last as usize);
    let (length_s, count, intended, delivered) = drawn(columns(over_time.column_ns));
    let in_s = over_time.column_ns as f64 / 1e9;
    assert_eq!((length_s, count, intended), (in_s, last + 1, 50.0 / in_s));
    assert!(delivered > 0.0, "what is in the log is drawn");
    // A log whose columns had to be made wider says nothing of these.
    assert_eq!(drawn(columns(over_time.column_ns + 1)).1, 200);
}

/// All kinds of pages, with one text in every place that a target or a scenario can fill.
fn all_pages(text: &str) -> Vec<(&'static str, String)> {
    let run = told_by_a_target(text);
    let link = format!("{text}/report.html");
    let entries = [IndexEntry { run: &run, link: Some(&link) }, IndexEntry { run: &run, link: None }];
    let english = Language::English;
    let mut pages = vec![
        ("run", of(&run)),
        ("load", page(|out| write_load_page(&load(text), &run, Some(&over_time()), english, out))),
        ("index", page(|out| write_index_page(&entries, english, out))),
        ("audit", page(|out| write_audit_page(&audit(text), english, out))),
        ("sweep", page(|out| write_sweep_page(&sweep(text), english, out))),
        ("scoreboard", page(|out| write_scoreboard_page(&scoreboard(text), english, out))),
        ("comparison", page(|out| write_comparison_page(&comparison(text, &SLOWER), english, out))),
        ("agreement", page(|out| write_agreement_page(&agreed(text), english, out))),
    ];
    let obstacles = obstacles(text);
    let of = |comparison| ("obstacle", page(|out| write_comparison_page(comparison, english, out)));
    pages.extend(obstacles.iter().map(of));
    pages
}

#[test]
fn whatever_a_target_says_stays_text() {
    for ((kind, hostile), (_, harmless)) in all_pages(HOSTILE).iter().zip(all_pages("plain")) {
        assert_eq!(elements(hostile), elements(&harmless), "{kind}: other elements than with plain text");
        assert!(!hostile.contains("<script>stolen") && !hostile.contains("<img"), "{kind}");
        assert!(!hostile.contains(['\u{202e}', '\0', '\u{1b}']), "{kind}: characters that act");
        assert!(hostile.contains("&lt;script&gt;stolen"), "{kind}: it is shown");
    }
}

#[test]
fn a_link_of_an_index_cannot_leave_its_folder_for_another_scheme() {
    let run = passing();
    let of = |link: &str| {
        page(|out| write_index_page(&[IndexEntry { run: &run, link: Some(link) }], Language::English, out))
    };
    assert!(of("crash-kill-sim-1/report.html").contains("<a href=\"./crash-kill-sim-1/report.html\">"));
    assert!(of("javascript:stolen=1").contains("<a href=\"./javascript%3Astolen%3D1\">"));
}

#[test]
fn a_page_loads_nothing_and_runs_only_its_own_script() {
    for (kind, page) in all_pages("plain") {
        let page = page.replace("http://www.w3.org/2000/svg", "");
        for word in [
            "http:",
            "https:",
            "//cdn",
            "@import",
            "url(",
            " src=",
            "fetch(",
            "XMLHttp",
            "innerHTML",
            "eval(",
        ] {
            assert!(!page.contains(word), "{kind}: {word}");
        }
        assert!(page.contains("default-src &#39;none&#39;; style-src &#39;sha256-"), "{kind}: no policy");
        let scripts = page.matches("<script>").count();
        assert_eq!(scripts, 1, "{kind}: scripts that could run");
    }
}

#[test]
fn the_verdict_stands_first_in_words() {
    let (passed, violated) = (of(&passing()), of(&violated()));
    let order = |page: &str, parts: &[&str]| {
        let places: Vec<usize> =
            parts.iter().map(|part| page.find(part).unwrap_or_else(|| panic!("{part} is missing"))).collect();
        assert!(places.is_sorted(), "{parts:?} stand at {places:?}");
    };
    order(
        &passed,
        &[
            ">Passed<",
            "Everything that was claimed or expected held: 1 put to the test, 1 not.",
            "id=\"guarantees\"",
            "id=\"latency\"",
            "id=\"faults\"",
            "id=\"environment\"",
            "avouch run groups/kill --seed 42",
        ],
    );
    order(
        &violated,
        &[
            ">Violated<",
            "One promise is broken.",
            "3 of 4,120 acked messages are lost",
            "id=\"guarantees\"",
            "id=\"findings\"",
        ],
    );
    assert!(!passed.contains("id=\"findings\""), "there are none");
    assert!(violated.contains("2 more findings are not shown"));
    assert!(violated.contains("Broken promises that nobody made are shown, not punished."));
}

#[test]
fn a_diagram_shows_the_path_of_a_message_and_where_it_ends() {
    let page = of(&violated());
    let begin = page.find("<div class=\"diagram").expect("there is one");
    let diagram = &page[begin..begin + page[begin..].find("</details>").unwrap()];
    let names: Vec<&str> = diagram
        .split("class=\"lanename\"")
        .skip(1)
        .map(|part| part.split(['<', '>']).nth(1).unwrap())
        .collect();
    assert_eq!(names, ["u0.d0", "n1", "u1.d0", "u2.d0"], "sender, server, recipients");
    let said: Vec<String> = diagram
        .split("class=\"said\">")
        .skip(1)
        .map(|row| {
            let row = &row[..row.find("</div>").unwrap()];
            let name = row.split(['<', '>']).nth(2).unwrap();
            let english = row.split("lang=\"en\">").nth(1).map_or("", |text| text.split('<').next().unwrap());
            format!("{name} {english}")
        })
        .collect();
    assert_eq!(
        said,
        [
            "u0.d0 sends m7 to general (64 B), 1.00 ms late",
            "F0 kill begins (n1)",
            "n1 is killed",
            "u0.d0 is told: m7 is stored as #12",
            "u1.d0 receives m7 in general as #12",
            "F0 ends (pid 7 is gone)",
            "u2.d0 never receives m7",
        ]
    );
    assert_eq!(diagram.matches("class=\"arrow\"").count(), 3, "sent, acknowledged, delivered");
    assert_eq!(diagram.matches("class=\"arrow lost\"").count(), 1, "never delivered");
    assert_eq!(diagram.matches("in-fault").count(), 5, "rows from the fault's begin to its end");
    assert_eq!(diagram.matches("life down").count(), 4, "the server is down after its death");
}

#[test]
fn both_languages_stand_in_every_page_and_the_first_is_chosen() {
    for (kind, page) in all_pages("plain") {
        let english =
            page.matches("<span lang=\"en\">").count() + page.matches("<tspan lang=\"en\">").count();
        let chinese =
            page.matches("<span lang=\"zh\">").count() + page.matches("<tspan lang=\"zh\">").count();
        assert_eq!(english, chinese, "{kind}");
        assert!(english > 10, "{kind}: {english}");
    }
    let of = |language| page(|out| write_run_page(&passing(), None, language, out));
    assert!(of(Language::English).contains("<html lang=\"en\" data-lang=\"en\">"));
    let chinese = of(Language::Chinese);
    assert!(
        chinese.contains("<html lang=\"zh\" data-lang=\"zh\">")
            && chinese.contains("<title>通过: groups/kill")
    );
}

#[test]
fn charts_are_drawn_from_the_interval_log() {
    let with = of(&passing());
    for part in [
        "class=\"line p99\"",
        "class=\"h7\"",
        "class=\"faultname\"",
        "class=\"line c2\"",
        "class=\"line accepted\"",
        "class=\"faultbar\"",
    ] {
        assert!(with.contains(part), "{part}");
    }
    let without = page(|out| write_run_page(&passing(), None, Language::English, out));
    assert!(without.contains("There is no interval log") && !without.contains("class=\"line p99\""));
    assert!(without.contains("class=\"figures\""), "the table of the record is there");
    for page in [&with, &without] {
        assert!(!page.contains("NaN") && !page.contains("inf "), "no number that is none");
    }
}

#[test]
fn a_page_is_bounded_however_much_was_found() {
    const BYTES_MAX: usize = 1_024 * 1_024;
    let mut run = violated();
    let mut judgement = run.judgements[0].clone();
    let mut finding = judgement.findings[0].clone();
    let events = finding.timeline.clone();
    finding.timeline = (0..50).flat_map(|_| events.clone()).collect();
    judgement.findings = vec![finding; crate::verdict::FINDINGS_KEPT];
    judgement.findings_total = 12_345;
    run.judgements = (0..28)
        .map(|number| crate::verdict::Judgement { guarantee: format!("g{number}"), ..judgement.clone() })
        .collect();
    let fault = run.faults[0].clone();
    run.faults = (0..5_000).map(|id| crate::run::FaultRecord { id, ..fault.clone() }).collect();
    let page = of(&run);
    assert!(page.len() < BYTES_MAX, "{} bytes", page.len());
    let shown = page.matches("<details class=\"finding\"").count();
    assert!((5..=60).contains(&shown), "{shown} findings are shown");
    let hidden = super::super::grouped(28 * 12_345 - shown as u64);
    assert!(page.contains(&format!("{hidden} more findings are not shown")), "{hidden}");
    elements(&page);

    let link = "a/report.html";
    let many: Vec<IndexEntry<'_>> = (0..68).map(|_| IndexEntry { run: &run, link: Some(link) }).collect();
    let index = self::page(|out| write_index_page(&many, Language::English, out));
    assert!(index.len() < BYTES_MAX, "{} bytes", index.len());
    assert_eq!(index.matches("href=\"./a/report.html\"").count(), 68);
}

#[test]
fn the_same_record_gives_the_same_page() {
    assert_eq!(of(&violated()), of(&violated()));
}

#[test]
fn no_run_is_no_pass() {
    let index = page(|out| write_index_page(&[], Language::English, out));
    assert!(index.contains(">Inconclusive<") && index.contains("No run was carried out"));
    elements(&index);
    let mut run = Run::new(crate::history::Header::default(), crate::run::RunFacts::new([]));
    run.conclude();
    elements(&of(&run));
}
