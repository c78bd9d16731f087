//! The three retry mechanisms, each seen alone: the client's timed retry, the server's retry queue, the sweep.

use avouch_engine::backoff::Backoff;
use avouch_engine::client::{Command, Observation};
use avouch_engine::codec::{Cause, Frame};
use avouch_engine::ids::MessageId;

use crate::rig::{A, B, Both, ROOM, ServerRig, catch_up, send};

/// Waits that never end within a test: switches a mechanism off.
const NEVER: Backoff = Backoff { first_ms: 100_000_000, cap_ms: 100_000_000 };

/// AV-4-1, AV-4-3: the timed retry alone brings an operation through, whichever of its frames is lost.
#[test]
fn the_timed_retry_alone() {
    for lost in ["send", "accepted"] {
        let mut both =
            Both::new(&[A, B], |config| (config.redelivery, config.sweep_ms) = (NEVER, 100_000_000));
        let mut count = 3;
        both.lose(move |_, frame| {
            let loses = frame.kind_name() == lost && count > 0;
            count -= u32::from(loses);
            loses
        });
        both.send(0, 2);
        both.pass(20_000);
        let accepted = Observation::Accepted { id: MessageId(2), conversation: ROOM, seq: 2 };
        assert!(both.devices[0].seen.contains(&accepted), "{lost}");
        assert_eq!(both.devices[0].client.stats().operations_retried, 3);
        let stats = both.stats();
        assert_eq!(stats.dedup_hits, if lost == "send" { 0 } else { 3 });
        assert_eq!((stats.delivered_retry, stats.delivered_sweep, stats.delivered_pull), (0, 0, 0));
        assert!(both.is_idle());
    }
}

/// AV-6-4: the retry queue alone brings a delivery through, whether it or its ack is lost.
#[test]
fn the_retry_queue_alone() {
    for lost in ["deliver", "ack"] {
        let mut both = Both::new(&[A, B], |config| config.sweep_ms = 100_000_000);
        let mut count = 2;
        both.lose(move |device, frame| {
            let loses = device == 1 && frame.kind_name() == lost && count > 0;
            count -= u32::from(loses);
            loses
        });
        both.send(0, 2);
        // The client's own repetition of its ack would come, too: the entry has to come first.
        both.pass(if lost == "deliver" { 5_000 } else { 640 });
        let stats = both.stats();
        assert!(stats.delivered_retry >= if lost == "deliver" { 2 } else { 1 }, "{lost} {stats:?}");
        assert_eq!((stats.delivered_sweep, stats.sweeps_found, stats.delivered_pull), (0, 0, 0), "{lost}");
        assert_eq!(both.delivered(1, ROOM), [(1, false), (2, lost == "deliver")]);
        both.pass(5_000);
        assert!(both.is_idle());
        assert_eq!(both.devices[0].client.stats().operations_retried, 0);
    }
}

/// AV-6-6: the sweep alone: heads that were lost are told again as long as the device lacks something.
#[test]
fn the_sweep_alone() {
    let mut rig = ServerRig::with(|config| {
        (config.redelivery, config.tail_entries, config.window_entries) = (NEVER, 4, 2);
    });
    let [a, b] = rig.room([A, B]);
    for id in 2..=8 {
        rig.say(a, &send(id, "text"));
        rig.say(a, &Frame::Ack { conversation: ROOM, up_to: id });
    }
    // Two are in flight; the tail has moved on, so the next one cannot be pushed: heads, and these are lost.
    rig.say(b, &Frame::Ack { conversation: ROOM, up_to: 3 });
    rig.heard(b);
    let before = rig.stats();
    for round in 1..=3 {
        rig.say(b, &Frame::Alive { nonce: 0 });
        rig.say(a, &Frame::Alive { nonce: 0 });
        rig.pass(3_000);
        let heard = rig.heard(b);
        assert!(heard.iter().any(|frame| matches!(frame, Frame::Heads(_))), "{heard:?}");
        assert_eq!(rig.stats().sweeps_found - before.sweeps_found, round);
    }
    let stats = rig.stats();
    assert_eq!((stats.delivered_retry, stats.delivered_pull), (0, 0));
}

/// AV-6-6: and what is in the hot tail it sends itself, with its own cause: here the last page was lost, and with it all
/// that a device lacked.
#[test]
fn the_sweep_pushes_what_is_hot() {
    let mut rig = ServerRig::with(|config| (config.redelivery, config.window_entries) = (NEVER, 4));
    let [a, b] = rig.room([A, B]);
    rig.disconnect(b);
    for id in 2..=7 {
        rig.say(a, &send(id, "text"));
    }
    let b = rig.login(B);
    let lost = rig.ask(b, &catch_up(1, 1));
    assert!(matches!(&lost[..], [Frame::Page(page)] if page.complete && page.entries.len() == 6), "{lost:?}");
    rig.pass(3_000);
    let pushed: Vec<_> = rig
        .heard(b)
        .iter()
        .filter_map(|frame| match frame {
            Frame::Deliver { cause, redelivered, entry, .. } => Some((entry.seq, *cause, *redelivered)),
            _ => None,
        })
        .collect();
    let expected: Vec<_> = (2..=5).map(|seq| (seq, Cause::Sweep, true)).collect();
    assert_eq!(pushed, expected);
    let stats = rig.stats();
    assert_eq!((stats.delivered_sweep, stats.delivered_retry, stats.sweeps_found), (4, 0, 1));
    // What is in flight is left to the retry queue (switched off here).
    rig.say(b, &Frame::Alive { nonce: 0 });
    rig.pass(3_000);
    assert_eq!(rig.delivered(b), []);
}

/// AV-6-2: a pull alone closes a gap, at once: no timer is needed.
#[test]
fn a_pull_alone() {
    let mut both = Both::new(&[A, B], |config| (config.redelivery, config.sweep_ms) = (NEVER, 100_000_000));
    let mut first = true;
    both.lose(move |device, frame| {
        device == 1 && matches!(frame, Frame::Deliver { .. }) && std::mem::take(&mut first)
    });
    both.send(0, 2);
    assert_eq!(both.cursor(1), 1);
    both.send(0, 3);
    assert_eq!(both.delivered(1, ROOM), [(1, false), (2, true), (3, false)]);
    let gap = Observation::Gap { conversation: ROOM, after: 1, before: 3 };
    assert!(both.devices[1].seen.contains(&gap));
    let stats = both.stats();
    assert_eq!((stats.delivered_retry, stats.delivered_sweep), (0, 0));
    assert!(stats.delivered_pull > 0);
}

/// Everything at once, over restarts of the server: offline, new operations, read marks.
#[test]
fn restarts_are_survived() {
    let mut both = Both::new(&[A, B], |_| {});
    for id in 2..20 {
        both.send(id as usize % 2, id);
        both.command(1, Command::MarkRead { conversation: ROOM, up_to: id });
        if id % 5 == 0 {
            both.restart();
        }
    }
    both.pass(30_000);
    assert_eq!((both.cursor(0), both.cursor(1)), (19, 19));
    assert!(both.is_idle());
    for device in [0, 1] {
        let positions: Vec<_> = both.delivered(device, ROOM).iter().map(|(seq, _)| *seq).collect();
        assert_eq!(positions, (1..=19).collect::<Vec<_>>());
    }
}
