//! Each state is told from its neighbours.

use std::collections::BTreeSet;

use avouch_reports::history::Rung;

use super::*;

const SENDER: Device = Device(0);
const READER: Device = Device(1);
const ROOM: Conversation = Conversation(0);
const M: Message = Message(1);

fn watch(events: &[(u64, What)]) -> Reached {
    let mut watch = Watch::default();
    let declared = [
        What::Device { device: SENDER, user: User(0), name: "u0.d1".into() },
        What::Device { device: READER, user: User(1), name: "u1.d1".into() },
        What::Conversation { conversation: ROOM, name: "c0".into(), members: vec![User(0), User(1)] },
        What::Session { device: SENDER, session: SessionKind::New },
        What::Session { device: READER, session: SessionKind::New },
        What::Phase { phase: Phase::Chaos },
    ];
    let declared = declared.into_iter().map(|what| (0, what));
    for (at_ms, what) in declared.chain(events.iter().cloned()) {
        watch.observe(&Event { at_ns: at_ms * 1_000_000, what });
    }
    watch.reached()
}

#[track_caller]
fn check(events: &[(u64, What)], expected: &[State]) {
    let reached: BTreeSet<State> = watch(events).states().collect();
    let expected: BTreeSet<State> = expected.iter().copied().collect();
    assert_eq!(reached, expected);
}

fn send() -> What {
    let (intended_ns, bytes, digest, reply_to) = (0, 64, 0, None);
    What::Send { device: SENDER, conversation: ROOM, message: M, intended_ns, bytes, digest, reply_to }
}
fn retry() -> What {
    What::Retry { device: SENDER, message: M }
}
fn accepted() -> What {
    What::Accepted { device: SENDER, message: M, seq: Some(2), rung: Rung::Stored }
}
fn delivered() -> What {
    let (message, seq, digest) = (Some(M), Some(2), 0);
    What::Delivered { device: READER, conversation: ROOM, message, seq, digest, redelivered: false }
}
fn node(state: &str) -> What {
    What::Node { node: "n1".into(), state: state.into() }
}
fn lost(device: Device, why: &str) -> What {
    What::Disconnected { device, why: why.into() }
}
fn resumed(device: Device) -> What {
    What::Session { device, session: SessionKind::Resumed }
}

#[test]
fn a_run_without_trouble_reaches_nothing() {
    check(&[(1, send()), (2, accepted()), (3, delivered())], &[]);
}

#[test]
fn a_lost_ack_is_told_from_a_lost_message() {
    check(&[(1, send()), (5, retry()), (6, accepted()), (7, delivered())], &[State::Resent]);
    check(
        &[(1, send()), (3, delivered()), (5, retry()), (6, accepted())],
        &[State::Resent, State::AckLostThenResent, State::RetryAnsweredFromDedup],
    );
}

#[test]
fn a_death_between_commit_and_ack_is_seen_by_who_has_the_message() {
    check(&[(1, send()), (2, node("killed")), (9, node("started"))], &[State::DiedUnanswered]);
    let both = [State::DiedUnanswered, State::DiedBetweenCommitAndAck];
    check(&[(1, send()), (2, delivered()), (3, node("killed"))], &both);
    check(&[(1, send()), (2, node("killed")), (3, delivered())], &both);
}

#[test]
fn takeovers_are_told_apart_by_what_they_interrupt() {
    check(&[(100, lost(READER, "takeover"))], &[State::TakenOver]);
    let begins = What::FaultStarted { id: 3, kind: "takeover".into(), target: "u0.d1".into() };
    let ends = |evidence: &str| What::FaultEnded { id: 3, evidence: evidence.into() };
    check(&[(100, send()), (101, begins.clone()), (900, ends(""))], &[State::TakeoverInFlight]);
    let ended = ends("1 older connections were ended by the server");
    check(&[(101, begins), (900, ended)], &[State::TakenOver]);
    let events = [(100, lost(READER, "reset")), (200, resumed(READER)), (210, lost(READER, "takeover"))];
    let reached = [State::Resumed, State::TakenOver, State::TakeoverDuringResume, State::TwoSessionsLost];
    check(&events, &reached);
}

#[test]
fn who_was_away_is_remembered_until_they_have_it() {
    let events = [
        (1, lost(READER, "reset")),
        (2, send()),
        (3, accepted()),
        (90, resumed(READER)),
        (95, delivered()),
        (
            96,
            What::Suppressed {
                device: READER,
                conversation: ROOM,
                message: Some(M),
                seq: Some(2),
                redelivered: true,
            },
        ),
    ];
    let reached = [
        State::EverybodyAway,
        State::FanOutDuringReconnect,
        State::Resumed,
        State::DeliveredAfterAway,
        State::CopySuppressed,
        State::RedeliveryFlagged,
    ];
    check(&events, &reached);
}

#[test]
fn names_are_different_and_there_are_enough_and_they_fit() {
    let names: BTreeSet<&str> = State::ALL.iter().map(|state| state.name()).collect();
    assert_eq!(names.len(), State::ALL.len());
    assert!((20..=64).contains(&names.len()), "{}", names.len());
}
