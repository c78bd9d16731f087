//! Operations: once, in order, answered (PROTOCOL.md 4).

use avouch_engine::client::{Command, Input, Observation};
use avouch_engine::codec::{Frame, RejectCode};
use avouch_engine::ids::{ConversationId, MessageId, Seq};
use avouch_engine::limits::{
    DEDUP_IDS_PER_DEVICE, HELD_OPERATION_BYTES_PER_DEVICE, HELD_OPERATIONS_PER_DEVICE, OPERATIONS_IN_FLIGHT,
    OPERATIONS_QUEUED_MAX, PAYLOAD_BYTES_MAX, PENDING_PER_DEVICE, REFUSED_IDS_PER_DEVICE,
};
use bytes::Bytes;

use crate::rig::{
    A, B, Both, C, ClientRig, INSTALLATION, ROOM, ServerRig, accepts, change, hello, key, kinds, send,
    send_after, send_to, users,
};

fn reply(id: u64, to: Seq) -> Frame {
    let payload = Bytes::from_static(b"reply");
    Frame::Send { id: MessageId(id), after: MessageId(0), conversation: ROOM, reply_to: Some(to), payload }
}

/// To a position that there is not.
fn reply_after(id: u64, after: u64) -> Frame {
    let Frame::Send { id, conversation, reply_to, payload, .. } = reply(id, 99) else { unreachable!() };
    Frame::Send { id, after: MessageId(after), conversation, reply_to, payload }
}

fn rejected(code: RejectCode, id: u64) -> Frame {
    Frame::Rejected { id: MessageId(id), code }
}

/// AV-4-1: a client repeats an operation unchanged, with growing, jittered waits, until it is answered.
#[test]
fn a_client_repeats_until_it_is_answered() {
    let run = |seed: u64| {
        let mut rig = ClientRig::seeded(seed, |_| {});
        rig.log_in();
        rig.send(1);
        let first = rig.said_bytes();
        assert_eq!(first.len(), 1);
        let times = rig.times(30_000, |frame| frame.kind_name() == "send");
        rig.pass(10_000);
        assert_eq!(rig.said_bytes().last(), first.last(), "the same bytes");
        rig.hear(&Frame::Accepted { id: MessageId(1), conversation: ROOM, seq: 2 });
        assert_eq!(rig.times(60_000, |frame| frame.kind_name() == "send"), [] as [u64; 0]);
        assert!(rig.client.is_idle());
        times
    };
    let (one, two) = (run(1), run(2));
    assert_ne!(one, two, "jitter comes from the seed");
    let waits: Vec<u64> = one.iter().zip([0].iter().chain(&one)).map(|(at, before)| at - before).collect();
    for (wait, nominal) in waits.iter().zip([500, 1_000, 2_000, 4_000, 8_000, 10_000]) {
        assert!(*wait >= nominal * 3 / 4 && *wait <= nominal * 5 / 4 + 1, "{waits:?}");
    }
}

/// AV-4-1: also after each login, oldest first; and no more when the application cancels it.
#[test]
fn a_client_repeats_after_login_until_it_is_cancelled() {
    let mut rig = ClientRig::logged_in();
    rig.send(1);
    rig.send(2);
    rig.input(Input::Disconnected);
    rig.command(Command::Cancel { id: MessageId(1) });
    rig.send(3);
    rig.pass(1_000);
    let said = rig.log_in();
    assert_eq!(kinds(&said), ["hello"]);
    let ids: Vec<_> = rig
        .said()
        .iter()
        .map(|frame| match frame {
            Frame::Send { id, after, .. } => (id.0, after.0),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(ids, [(2, 0), (3, 2)]);
    let retried = |seen: &Observation| matches!(seen, Observation::Retried { id: MessageId(2), attempt: 1 });
    assert!(rig.seen().iter().any(retried));
}

/// AV-4-2: nothing is accepted before it is durable, and then it is, if the device is connected.
#[test]
fn accepted_means_durable() {
    let mut rig = ServerRig::new();
    let [a, b] = rig.room([A, B]);
    rig.commits = false;
    assert_eq!(rig.ask(a, &send(2, "text")), []);
    assert_eq!((rig.heard(b), rig.journal.pending()), (vec![], 1));
    rig.commit();
    assert!(accepts(&rig.heard(a), MessageId(2), 2));
    assert_eq!(rig.delivered(b), [2]);
    // The answer to a device that comes back before the commit.
    rig.say(a, &send(3, "text"));
    rig.disconnect(a);
    let a = rig.connect();
    rig.say(a, &hello(A, INSTALLATION, &[(ROOM, 2, 2)]));
    rig.commit();
    assert!(accepts(&rig.heard(a), MessageId(3), 3));
}

/// AV-4-3: one id, one effect: while it waits, afterwards, over another connection and after a restart.
#[test]
fn an_id_takes_effect_once() {
    let mut rig = ServerRig::new();
    let [a, _] = rig.room([A, B]);
    rig.commits = false;
    for _ in 0..3 {
        assert_eq!(rig.ask(a, &send(2, "text")), []);
    }
    assert_eq!((rig.journal.pending(), rig.stats().dedup_hits), (1, 2));
    rig.commits = true;
    rig.commit();
    assert!(accepts(&rig.heard(a), MessageId(2), 2));
    rig.expect_accepted(a, &send(2, "text"), 2);
    rig.disconnect(a);
    let a = rig.login(A);
    rig.expect_accepted(a, &send(2, "text"), 2);
    rig.restart();
    let a = rig.login(A);
    rig.expect_accepted(a, &send(2, "text"), 2);
    assert_eq!(rig.journal.log(ROOM).len(), 2);
    // Another device's ids are its own.
    let b = rig.login(B);
    rig.expect_accepted(b, &send(2, "text"), 3);
}

/// AV-4-3: other content, another conversation, or another kind of operation under the same id.
#[test]
fn a_reused_id_is_a_conflict() {
    let mut rig = ServerRig::new();
    let [a, _] = rig.room([A, B]);
    let other = ConversationId(8);
    rig.make(a, 2, other, users([1, 2]));
    let conflicts =
        [send(3, "other"), send_to(other, 3, "text"), reply(3, 1), change(3, ROOM, users([3]), vec![])];
    // While the first content waits for its commit, and afterwards.
    rig.commits = false;
    rig.say(a, &send(3, "text"));
    for frame in &conflicts {
        assert_eq!(rig.ask(a, frame), [rejected(RejectCode::IdConflict, 3)]);
    }
    rig.commits = true;
    rig.commit();
    for frame in &conflicts {
        rig.expect_rejected(a, frame, RejectCode::IdConflict);
    }
    rig.expect_accepted(a, &send(3, "text"), 2);
}

/// AV-4-4: the window holds the 1,024 highest accepted ids, also after a restart; below it nobody knows.
#[test]
fn ids_below_the_window_are_stale() {
    let mut rig = ServerRig::new();
    let [a, _] = rig.room([A, B]);
    // Id 1 made the conversation: with the last of these, it is the one that leaves the window.
    let last = DEDUP_IDS_PER_DEVICE as u64 + 1;
    for id in 2..last {
        rig.say(a, &send(id, "text"));
    }
    let made = change(1, ROOM, users([1, 2]), vec![]);
    rig.expect_accepted(a, &made, 1);
    rig.expect_accepted(a, &send(last, "text"), last);
    for _ in 0..2 {
        rig.expect_rejected(a, &made, RejectCode::StaleId);
        rig.expect_accepted(a, &send(2, "text"), 2);
    }
    rig.restart();
    let a = rig.login(A);
    rig.expect_rejected(a, &made, RejectCode::StaleId);
    rig.expect_accepted(a, &send(2, "text"), 2);
    assert_eq!(rig.journal.log(ROOM).len() as u64, last);
}

/// AV-4-4: what waits for its commit does not push anything out of the window.
#[test]
fn the_window_moves_with_commits() {
    let mut rig = ServerRig::new();
    let [a, _] = rig.room([A, B]);
    for id in 2..=DEDUP_IDS_PER_DEVICE as u64 {
        rig.say(a, &send(id, "text"));
    }
    rig.commits = false;
    for id in 5_000..5_100 {
        rig.say(a, &send(id, "text"));
    }
    rig.refuse();
    rig.commits = true;
    rig.expect_accepted(a, &change(1, ROOM, users([1, 2]), vec![]), 1);
}

/// AV-4-4: `stale-id` is reported as indefinite, every other code as a refusal.
#[test]
fn a_client_knows_what_is_definite() {
    for code in RejectCode::ALL.iter().copied() {
        let mut rig = ClientRig::logged_in();
        rig.send(1);
        rig.seen();
        rig.hear(&rejected(code, 1));
        let (id, code_name) = (MessageId(1), code.as_str());
        let expected = if code == RejectCode::StaleId {
            Observation::Indefinite { id, code: code_name }
        } else {
            Observation::Rejected { id, code: code_name }
        };
        assert_eq!(rig.seen(), [expected]);
        assert!(rig.client.is_idle());
    }
}

/// AV-4-4: a client has at most 512 operations under way, counted from the oldest unanswered one.
#[test]
fn a_client_limits_what_is_under_way() {
    let mut rig = ClientRig::logged_in();
    for id in 1..=2 * OPERATIONS_IN_FLIGHT {
        rig.send(id);
    }
    assert_eq!(rig.said().len() as u64, OPERATIONS_IN_FLIGHT);
    let accept = |rig: &mut ClientRig, id: u64| {
        rig.hear(&Frame::Accepted { id: MessageId(id), conversation: ROOM, seq: id });
        rig.said().len()
    };
    assert_eq!(accept(&mut rig, 2), 0, "the oldest is not answered");
    assert_eq!(accept(&mut rig, 4), 0);
    assert_eq!(accept(&mut rig, 1), 2);
    assert_eq!(accept(&mut rig, 3), 2);
    assert_eq!(accept(&mut rig, 5), 1);
    // A cancelled one does not stand in the way.
    rig.command(Command::Cancel { id: MessageId(6) });
    assert_eq!(rig.said().len(), 1);
}

/// Regression (simulation, repeated ids): an operation whose id is lower than those under way was never started.
#[test]
fn an_operation_that_waits_for_room_is_started_whatever_its_id() {
    let mut rig = ClientRig::logged_in();
    for id in 1_000..1_000 + OPERATIONS_IN_FLIGHT {
        rig.send(id);
    }
    rig.send(5);
    rig.said();
    rig.hear(&Frame::Accepted { id: MessageId(1_000), conversation: ROOM, seq: 1 });
    let said = rig.said();
    assert!(matches!(said[..], [Frame::Send { id: MessageId(5), .. }]), "{said:?}");
}

/// A full queue refuses at once, and says so.
#[test]
fn a_client_bounds_its_queue() {
    let mut rig = ClientRig::new();
    for id in 1..=OPERATIONS_QUEUED_MAX as u64 {
        rig.send(id);
    }
    assert_eq!(rig.seen(), []);
    let id = OPERATIONS_QUEUED_MAX as u64 + 1;
    rig.send(id);
    assert_eq!(rig.seen(), [Observation::Rejected { id: MessageId(id), code: "queue-full" }]);
}

/// AV-4-5: what was refused stays refused, though it would fit now.
#[test]
fn a_refusal_is_for_good() {
    let mut rig = ServerRig::new();
    let [a, _, c] = rig.room([A, B, C]);
    let early = reply(5, 3);
    rig.expect_rejected(a, &early, RejectCode::BadReply);
    rig.expect_accepted(c, &send(2, "text"), 2);
    rig.expect_accepted(c, &send(3, "text"), 3);
    rig.expect_rejected(a, &early, RejectCode::BadReply);
    // Whoever was no member when it came is none for that operation, over another connection, too.
    let d = rig.login(key(4, 0));
    rig.expect_rejected(d, &send(1, "text"), RejectCode::NotMember);
    rig.expect_accepted(a, &change(6, ROOM, users([4]), vec![]), 4);
    rig.disconnect(d);
    let d = rig.login(key(4, 0));
    rig.expect_rejected(d, &send(1, "text"), RejectCode::NotMember);
    rig.expect_accepted(d, &send(2, "text"), 5);
}

/// AV-4-5: a refusal that depended on a proposal stands when the journal takes that proposal back (regression).
#[test]
fn a_refusal_outlives_what_it_depended_on() {
    let mut rig = ServerRig::new();
    let [a, _] = rig.room([A, B]);
    rig.commits = false;
    rig.say(a, &send(8, "text"));
    assert_eq!(rig.ask(a, &send(7, "text")), [rejected(RejectCode::Superseded, 7)]);
    assert_eq!(rig.ask(a, &send(8, "other")), [rejected(RejectCode::IdConflict, 8)]);
    rig.refuse();
    rig.commits = true;
    rig.heard(a);
    // Late copies of what was refused; then the retry of what was only put off.
    rig.expect_rejected(a, &send(7, "text"), RejectCode::Superseded);
    rig.expect_rejected(a, &send(8, "other"), RejectCode::IdConflict);
    rig.expect_accepted(a, &send(8, "text"), 2);
}

/// AV-4-5: 1,024 refused ids are remembered, the highest ones.
#[test]
fn refused_ids_are_remembered_within_the_limit() {
    let mut rig = ServerRig::new();
    let [a, _] = rig.room([A, B]);
    let count = REFUSED_IDS_PER_DEVICE as u64;
    for id in 2..=count + 2 {
        rig.expect_rejected(a, &reply(id, 2), RejectCode::BadReply);
    }
    let b = rig.login(B);
    rig.expect_accepted(b, &send(1, "text"), 2);
    rig.expect_rejected(a, &reply(3, 2), RejectCode::BadReply);
    rig.expect_accepted(a, &reply(2, 2), 3);
}

/// AV-4-6: an operation waits for the one before it, however the network turns them around.
#[test]
fn operations_of_a_device_keep_their_order() {
    let mut rig = ServerRig::new();
    let [a, _] = rig.room([A, B]);
    assert_eq!(rig.ask(a, &send_after(4, 3)), []);
    assert_eq!(rig.ask(a, &send_after(3, 2)), []);
    assert_eq!((rig.stats().held, rig.journal.log(ROOM).len()), (2, 1));
    let heard = rig.ask(a, &send(2, "text"));
    for (id, seq) in [(2, 2), (3, 3), (4, 4)] {
        assert!(accepts(&heard, MessageId(id), seq), "{heard:?}");
    }
    // A predecessor that is in already, or that has left the window, holds nobody up.
    rig.expect_accepted(a, &send_after(5, 2), 5);
    // What came too late can no longer be put in its place.
    rig.expect_accepted(a, &send(9, "text"), 6);
    rig.expect_rejected(a, &send(8, "text"), RejectCode::Superseded);
    // In another conversation it can.
    let other = ConversationId(8);
    rig.make(a, 7, other, users([1]));
}

/// AV-4-6: a refusal holds nobody up who waits for it (regression: each cost a round trip, so that a device that had been removed
/// while it was away waited for its answers for as long as a minute).
#[test]
fn a_refusal_lets_the_next_ones_go() {
    let mut rig = ServerRig::new();
    let [a, _] = rig.room([A, B]);
    assert_eq!(rig.ask(a, &send_after(5, 4)), []);
    assert_eq!(rig.ask(a, &reply_after(4, 3)), []);
    assert_eq!(rig.ask(a, &reply_after(3, 2)), []);
    let heard = rig.ask(a, &reply_after(2, 0));
    let refused = [2, 3, 4].map(|id| rejected(RejectCode::BadReply, id));
    assert_eq!(heard[..3], refused);
    assert!(accepts(&heard, MessageId(5), 2), "{heard:?}");
    // Whoever comes later waits for nothing either.
    rig.expect_rejected(a, &reply_after(7, 5), RejectCode::BadReply);
    rig.expect_rejected(a, &reply_after(8, 7), RejectCode::BadReply);
    rig.expect_accepted(a, &send_after(9, 8), 3);
}

/// AV-4-6: what the refused one waited for must be in still; and a conflict is no refusal of the id.
#[test]
fn a_refusal_lets_nobody_past_what_is_not_in() {
    let mut rig = ServerRig::new();
    let [a, _] = rig.room([A, B]);
    rig.commits = false;
    rig.say(a, &send(2, "text"));
    assert_eq!(rig.ask(a, &reply_after(3, 2)), [rejected(RejectCode::BadReply, 3)]);
    rig.refuse();
    rig.commits = true;
    rig.heard(a);
    assert_eq!(rig.ask(a, &send_after(4, 3)), [], "2 is not in any more");
    let heard = rig.ask(a, &send(2, "text"));
    assert!(accepts(&heard, MessageId(2), 2) && accepts(&heard, MessageId(4), 3), "{heard:?}");

    rig.commits = false;
    rig.say(a, &send(5, "text"));
    assert_eq!(rig.ask(a, &send(5, "other")), [rejected(RejectCode::IdConflict, 5)]);
    rig.refuse();
    rig.commits = true;
    rig.heard(a);
    assert_eq!(rig.ask(a, &send_after(6, 5)), []);
    let heard = rig.ask(a, &send(5, "text"));
    assert!(accepts(&heard, MessageId(5), 4) && accepts(&heard, MessageId(6), 5), "{heard:?}");
    // Whoever names a later one, or itself, has to wait, and nobody with them.
    assert_eq!(rig.ask(a, &send_after(8, 8)), []);
    rig.expect_accepted(a, &send_after(9, 6), 6);
}

/// AV-4-6: what is held is bounded by count and by bytes; the rest is dropped, and comes again.
#[test]
fn held_operations_are_bounded() {
    let mut rig = ServerRig::new();
    let [a, _] = rig.room([A, B]);
    let count = HELD_OPERATIONS_PER_DEVICE as u64;
    for id in 3..=3 + count {
        assert_eq!(rig.ask(a, &send_after(id, id - 1)), []);
    }
    assert_eq!((rig.stats().held, rig.stats().held_overflow), (count, 1));
    rig.say(a, &send(2, "text"));
    assert_eq!(rig.journal.log(ROOM).len() as u64, 2 + count);
    rig.expect_accepted(a, &send_after(3 + count, 2 + count), 3 + count);

    let mut rig = ServerRig::new();
    let [a, _] = rig.room([A, B]);
    let fitting = (HELD_OPERATION_BYTES_PER_DEVICE / PAYLOAD_BYTES_MAX) as u64;
    for id in 3..=3 + fitting {
        let Frame::Send { id, conversation, reply_to, .. } = send(id, "") else { unreachable!() };
        let payload = Bytes::from(vec![0; PAYLOAD_BYTES_MAX]);
        rig.say(a, &Frame::Send { id, after: MessageId(id.0 - 1), conversation, reply_to, payload });
    }
    assert_eq!((rig.stats().held, rig.stats().held_overflow), (fitting, 1));
}

/// AV-4-6: a client names the newest unanswered operation before, and sends the next one again after a refusal.
#[test]
fn a_client_names_its_predecessors() {
    let mut rig = ClientRig::logged_in();
    rig.send(1);
    rig.send(2);
    let payload = Bytes::new();
    rig.command(Command::Send { id: MessageId(3), conversation: ConversationId(8), reply_to: None, payload });
    rig.send(4);
    let named = |rig: &mut ClientRig| -> Vec<(u64, u64)> {
        rig.said()
            .iter()
            .map(|frame| match frame {
                Frame::Send { id, after, .. } => (id.0, after.0),
                other => panic!("{other:?}"),
            })
            .collect()
    };
    assert_eq!(named(&mut rig), [(1, 0), (2, 1), (3, 0), (4, 2)]);
    rig.hear(&rejected(RejectCode::BadReply, 2));
    assert_eq!(named(&mut rig), [(4, 1)]);
    rig.hear(&Frame::Accepted { id: MessageId(1), conversation: ROOM, seq: 2 });
    assert_eq!(named(&mut rig), []);
    rig.send(5);
    assert_eq!(named(&mut rig), [(5, 4)]);
}

/// AV-4-7: too many proposals wait, on the server or for one device; neither has an effect on the log.
#[test]
fn too_many_proposals_are_put_off() {
    let later = |id: u64| Frame::RetryLater { id: MessageId(id), after_ms: 200 };
    let mut rig = ServerRig::with(|config| config.pending_max = 3);
    let [a, b] = rig.room([A, B]);
    rig.commits = false;
    for id in 2..=3 {
        rig.say(a, &send(id, "text"));
    }
    rig.say(b, &send(2, "text"));
    assert_eq!(rig.ask(a, &send(4, "text")), [later(4)]);
    assert_eq!(rig.ask(b, &send(3, "text")), [later(3)]);
    rig.commits = true;
    rig.commit();
    rig.expect_accepted(a, &send(4, "text"), 5);

    let mut rig = ServerRig::new();
    let [a, b] = rig.room([A, B]);
    rig.commits = false;
    let last = PENDING_PER_DEVICE as u64 + 2;
    for id in 2..last {
        rig.say(a, &send(id, "text"));
    }
    assert_eq!(rig.journal.pending(), PENDING_PER_DEVICE);
    assert_eq!(rig.ask(a, &send(last, "text")), [later(last)]);
    assert_eq!(rig.ask(b, &send(2, "text")), [], "somebody else's turn");
    assert_eq!(rig.stats().retry_later, 1);
}

/// AV-4-7: a device over its rate is put off; the rate is a burst and then so many per second.
#[test]
fn a_rate_is_kept() {
    let mut rig = ServerRig::with(|config| config.operations_per_s = Some(4));
    let [a, b] = rig.room([A, B]);
    let mut id = 1;
    let mut taken = |rig: &mut ServerRig| {
        (0..10)
            .filter(|_| {
                id += 1;
                let heard = rig.ask(a, &send(id, "text"));
                heard.iter().any(|frame| matches!(frame, Frame::Accepted { .. }))
            })
            .count()
    };
    // Making the room took one.
    assert_eq!(taken(&mut rig), 3);
    rig.pass(250);
    assert_eq!(taken(&mut rig), 1);
    rig.pass_alive(60_000, &[a, b]);
    assert_eq!(taken(&mut rig), 4);
}

/// AV-4-7: a journal that refuses leaves no trace, and everybody who waited is told to come again.
#[test]
fn a_full_disk_puts_everybody_off() {
    let mut both = Both::new(&[A, B], |_| {});
    both.refuses = true;
    both.send(0, 2);
    both.send(1, 2);
    both.pass(2_000);
    assert!(both.stats().retry_later >= 4, "{:?}", both.stats());
    assert_eq!((both.cursor(0), both.cursor(1)), (1, 1));
    both.refuses = false;
    both.pass(2_000);
    assert_eq!((both.cursor(0), both.cursor(1)), (3, 3));
    assert!(both.is_idle());
}

/// AV-4-7: a client waits as long as it is told, at least, and half as long again at most.
#[test]
fn a_client_waits_when_it_is_put_off() {
    let mut rig = ClientRig::logged_in();
    rig.send(1);
    rig.hear(&Frame::RetryLater { id: MessageId(1), after_ms: 3_000 });
    rig.said();
    let times = rig.times(4_501, |frame| frame.kind_name() == "send");
    assert!(matches!(times[..], [at] if (3_000..=4_501).contains(&at)), "{times:?}");
    // Of an operation that is over.
    rig.hear(&Frame::Accepted { id: MessageId(1), conversation: ROOM, seq: 1 });
    rig.hear(&Frame::RetryLater { id: MessageId(1), after_ms: 1 });
    rig.pass(60_000);
    assert_eq!(rig.said(), []);
}

/// AV-4-8: a reply names a position that exists, counting what is proposed.
#[test]
fn replies_name_a_position() {
    let mut rig = ServerRig::new();
    let [a, _] = rig.room([A, B]);
    rig.expect_accepted(a, &reply(2, 1), 2);
    rig.expect_rejected(a, &reply(3, 0), RejectCode::BadReply);
    rig.expect_rejected(a, &reply(4, 3), RejectCode::BadReply);
    rig.expect_accepted(a, &reply(5, 2), 3);
    rig.commits = false;
    rig.say(a, &send(6, "text"));
    assert_eq!(rig.ask(a, &reply(7, 4)), []);
    assert_eq!(rig.journal.pending(), 2);
}

/// AV-4-5: every other reason to refuse; each is answered once, definitely.
#[test]
fn reasons_to_refuse() {
    let mut rig = ServerRig::with(|config| config.payload_bytes_max = 10);
    let [a, _] = rig.room([A, B]);
    rig.expect_rejected(a, &send(0, "text"), RejectCode::Forbidden);
    rig.expect_accepted(a, &send(2, "0123456789"), 2);
    rig.expect_rejected(a, &send(3, "0123456789a"), RejectCode::TooLarge);
    rig.expect_rejected(a, &send_to(ConversationId(99), 4, "text"), RejectCode::UnknownConversation);
    // A configuration cannot allow more than the protocol does.
    let mut rig = ServerRig::with(|config| config.payload_bytes_max = usize::MAX);
    let [a, _] = rig.room([A, B]);
    let large = |id: u64, bytes: usize| send_to(ROOM, id, vec![0; bytes]);
    rig.expect_accepted(a, &large(2, PAYLOAD_BYTES_MAX), 2);
    rig.expect_rejected(a, &large(3, PAYLOAD_BYTES_MAX + 1), RejectCode::TooLarge);
}
