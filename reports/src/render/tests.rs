//! Each format against a whole expected text, and against hostile text.

use super::expected::*;
use super::*;
use crate::history::{Conversation, Device, Event, Header, Message, Phase, Rung, User, What};
use crate::latency::{LatencyGate, LatencyRecorder, Stage};
use crate::run::{PlannedFault, RunFacts};
use crate::verdict::{Finding, Judgement, Verdict};

const MS: u64 = 1_000_000;

fn header() -> Header {
    Header {
        tool: "avouch test".to_owned(),
        scenario: "groups/kill".to_owned(),
        seed: Some(42),
        world: "sim".to_owned(),
        target: "reference".to_owned(),
        repeat: "avouch run groups/kill --seed 42".to_owned(),
        ..Header::default()
    }
}

pub(super) fn events() -> Vec<Event> {
    let (sender, receiver, conversation, message) = (Device(0), Device(1), Conversation(0), Message(7));
    let at = |at_ns: u64, what: What| Event { at_ns: at_ns * MS, what };
    let device =
        |device: Device, name: &str| What::Device { device, user: User(device.0), name: name.to_owned() };
    let delivered = |device| What::Delivered {
        device,
        conversation,
        message: Some(message),
        seq: Some(12),
        digest: 1,
        redelivered: false,
    };
    let send = What::Send {
        device: sender,
        conversation,
        message,
        intended_ns: 99 * MS,
        bytes: 64,
        digest: 1,
        reply_to: None,
    };
    vec![
        at(0, What::Phase { phase: Phase::SetUp }),
        at(0, device(sender, "u0.d0")),
        at(0, device(receiver, "u1.d0")),
        at(0, device(Device(2), "u2.d0")),
        at(
            0,
            What::Conversation {
                conversation,
                name: "general".to_owned(),
                members: vec![User(0), User(1), User(2)],
            },
        ),
        at(90, What::Phase { phase: Phase::Chaos }),
        at(100, send),
        at(101, What::FaultStarted { id: 0, kind: "kill".to_owned(), target: "n1".to_owned() }),
        at(101, What::Node { node: "n1".to_owned(), state: "killed".to_owned() }),
        at(103, What::Accepted { device: sender, message, seq: Some(12), rung: Rung::Stored }),
        at(104, delivered(receiver)),
        at(150, What::FaultEnded { id: 0, evidence: "pid 7 is gone".to_owned() }),
        at(160, What::Phase { phase: Phase::Drain }),
        at(250, What::Drained { converged: true, missing: String::new() }),
    ]
}

fn judgement(guarantee: &str, verdict: Verdict, observed: &str) -> Judgement {
    let (guarantee, observed) = (guarantee.to_owned(), observed.to_owned());
    Judgement { guarantee, claimed: true, verdict, observed, findings_total: 0, findings: Vec::new() }
}

pub(super) fn passing() -> Run {
    let mut facts = RunFacts::new([PlannedFault { id: 0, kind: "kill".to_owned(), target: "n1".to_owned() }]);
    let mut latency = LatencyRecorder::default();
    for event in events() {
        facts.observe(&event);
        latency.observe(&event);
    }
    let mut run = Run::new(header(), facts);
    run.latency = latency.summary();
    run.judgements.push(judgement("no-loss", Verdict::Pass, "1 acked, delivered to 2 devices"));
    run.judgements.push(judgement("chain-valid", Verdict::Skipped, "the protocol has no chain"));
    let unclaimed = judgement("total-order", Verdict::Violated, "1 pair in two orders");
    run.judgements.push(Judgement { claimed: false, ..unclaimed });
    run.conclude();
    run
}

pub(super) fn violated() -> Run {
    let mut facts = RunFacts::new([]);
    let (mut run, names) = (passing(), {
        for event in &events() {
            facts.observe(event);
        }
        facts.names().clone()
    });
    let shown = |event: &&Event| (100..=150).contains(&(event.at_ns / MS));
    run.names = names;
    run.judgements[0] = Judgement {
        findings_total: 3,
        findings: vec![Finding {
            anomaly: "lost".to_owned(),
            expected: "m7 reaches u2.d0: it was acked as stored".to_owned(),
            actual: "it never arrived".to_owned(),
            conversation: Some(Conversation(0)),
            device: Some(Device(2)),
            message: Some(Message(7)),
            timeline: events().iter().filter(shown).cloned().collect(),
        }],
        ..judgement("no-loss", Verdict::Violated, "3 of 4,120 acked messages are lost")
    };
    let gate = LatencyGate { stage: Stage::Accepted, percentile_milli: 99_000, at_most_us: 250_000 };
    run.gates.push(LatencyRecorder::default().judge(gate));
    run.conclude();
    run
}

fn show(renderer: &dyn Renderer, runs: &[Run]) -> String {
    let mut out = Vec::new();
    match runs {
        [run] => renderer.render(run, &mut out).unwrap(),
        runs => renderer.render_all(runs, &mut out).unwrap(),
    }
    String::from_utf8(out).unwrap()
}

fn check(renderer: &dyn Renderer, runs: &[Run], expected: &str) {
    let found = show(renderer, runs);
    assert!(found == expected, "found:\n{found}\nexpected:\n{expected}");
}

#[test]
fn text_puts_the_verdict_first_and_fits_a_screen() {
    check(&Text::default(), &[passing()], PASSED_TEXT);
    check(&Text::default(), &[violated()], VIOLATED_TEXT);
    let both = [BOTH_TEXT, VIOLATED_TEXT].join("\n");
    check(&Text::default(), &[passing(), violated()], &both);
    assert!(PASSED_TEXT.lines().count() <= 24 && PASSED_TEXT.lines().all(|line| line.len() <= 100));
}

#[test]
fn colour_is_only_where_it_is_wanted() {
    let coloured = show(&Text { colour: true }, &[violated()]);
    assert!(coloured.starts_with("\x1b[31mVIOLATED\x1b[0m: groups/kill"));
    let plain = coloured.replace("\x1b[31m", "").replace("\x1b[33m", "").replace("\x1b[0m", "");
    assert_eq!(plain, VIOLATED_TEXT);
}

#[test]
fn markdown_is_for_summaries() {
    check(&Markdown, &[passing()], PASSED_MARKDOWN);
    check(&Markdown, &[violated()], VIOLATED_MARKDOWN);
    let both = [BOTH_MARKDOWN, VIOLATED_MARKDOWN].join("\n");
    check(&Markdown, &[passing(), violated()], &both);
}

#[test]
fn junit_has_a_suite_per_run_and_a_case_per_guarantee() {
    check(&Junit, &[passing(), violated()], BOTH_JUNIT);
}

#[test]
fn json_is_the_record() {
    let text = show(&Json, &[violated()]);
    assert_eq!(Run::from_json(text.as_bytes()).unwrap(), violated());
    let head =
        "{\n  \"avouch_run\": 1,\n  \"outcome\": \"violated\",\n  \"reasons\": [\n    \"no-loss is violated";
    assert!(text.starts_with(head), "{text}");
    let both: serde_json::Value = serde_json::from_str(&show(&Json, &[passing(), violated()])).unwrap();
    let facts = [&both["avouch_runs"], &both["outcome"], &both["exit_code"], &both["runs"][0]["outcome"]];
    assert_eq!(facts.map(ToString::to_string), ["1", "\"violated\"", "1", "\"passed\""]);
}

#[test]
fn no_run_is_not_a_passed_run() {
    let found = show(&Text::default(), &[]);
    assert_eq!(found, "INCONCLUSIVE: 0 runs (no run)\n\n");
}

/// Puts the text wherever a target or a foreign history could.
fn poisoned(text: &str) -> Run {
    let mut run = violated();
    let mut names = crate::history::Names::default();
    for device in 0..3 {
        names.add_device(Device(device), User(device), text);
    }
    names.add_conversation(Conversation(0), text);
    run.names = names;
    let header = &mut run.header;
    for field in [&mut header.scenario, &mut header.target, &mut header.world, &mut header.repeat] {
        text.clone_into(field);
    }
    for judgement in &mut run.judgements {
        text.clone_into(&mut judgement.guarantee);
        text.clone_into(&mut judgement.observed);
    }
    let finding = &mut run.judgements[0].findings[0];
    for field in [&mut finding.anomaly, &mut finding.expected, &mut finding.actual] {
        text.clone_into(field);
    }
    for what in
        [What::Note { text: text.to_owned() }, What::Node { node: text.to_owned(), state: text.to_owned() }]
    {
        finding.timeline.push(Event { at_ns: 200 * MS, what });
    }
    text.clone_into(&mut run.faults[0].target);
    run.faults[0].state = crate::run::FaultState::Skipped;
    text.clone_into(&mut run.faults[0].evidence);
    run
}

fn occurrences(text: &str, part: &str) -> usize {
    text.matches(part).count()
}

/// Against the same report with harmless text: same lines, same markup, and nothing hostile gets through.
fn check_hostile(text: &str) {
    let (run, harmless) = (poisoned(text), poisoned("x"));
    for renderer in [&Text::default() as &dyn Renderer, &Json, &Junit, &Markdown] {
        for runs in [1, 2] {
            let found = show(renderer, &vec![run.clone(); runs]);
            let expected = show(renderer, &vec![harmless.clone(); runs]);
            let hostile = |character: char| character != '\n' && crate::escape::is_hostile(character);
            assert!(!found.contains(hostile), "{text:?} in {found}");
            assert_eq!(occurrences(&found, "\n"), occurrences(&expected, "\n"), "{text:?} in {found}");
        }
    }
    // Within `<pre>` an address or a mention is plain text, so Markdown is looked at without it.
    let outside = |text: &str| {
        let parts = text.split("<pre>").filter_map(|part| part.rsplit("</pre>").next());
        parts.collect::<String>().replace("@\u{2060}", "")
    };
    let formats: [(&dyn Renderer, &[&str]); 2] =
        [(&Junit, &["<", ">", "\"", "'"]), (&Markdown, &["<", ">", "@", "://", "www."])];
    for (renderer, markups) in formats {
        let [found, expected] = [&run, &harmless].map(|run| show(renderer, std::slice::from_ref(run)));
        assert_eq!(occurrences(&found, "<"), occurrences(&expected, "<"), "{text:?} in {found}");
        for markup in markups {
            let [found, expected] = [&found, &expected].map(|text| occurrences(&outside(text), markup));
            assert_eq!(found, expected, "{markup} of {text:?}");
        }
    }
    let back = Run::from_json(show(&Json, std::slice::from_ref(&run)).as_bytes()).unwrap();
    assert_eq!(back.header, run.header);
}

#[test]
fn hostile_text_stays_text() {
    for text in [
        "\u{1b}[2J\u{1b}]0;title\u{7}",
        "</pre></details><script>alert(1)</script>",
        "]]>&amp;<!--\"'",
        "line\r\nbreak\u{2028}\u{85}",
        "\u{202e}reversed\u{2066}",
        "| a | b |\n|---|---|",
        "```\n# title\n@everyone https://evil.example www.evil.example ![x](y)",
        "\u{ffff}\u{fffe}\0",
    ] {
        check_hostile(text);
    }
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(32))]

    #[test]
    fn any_text_stays_text(text in crate::history::arbitrary::text()) {
        check_hostile(&format!("x{text}"));
    }
}
