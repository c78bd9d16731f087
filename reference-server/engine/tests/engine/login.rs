//! Login, and the end of a connection (PROTOCOL.md 3).

use avouch_engine::auth;
use avouch_engine::backoff::Backoff;
use avouch_engine::client::{Command, Input, Observation};
use avouch_engine::codec::{ErrorCode, Frame, GoodbyeCode, Head, Hello, VERSION, Welcome};
use avouch_engine::ids::{ConversationId, MessageId};
use avouch_engine::server;
use bytes::Bytes;

use crate::rig::{
    A, B, Both, ClientRig, INSTALLATION, ROOM, SECRET, ServerRig, catch_up, entries, hello, key, kinds, send,
    token, users, welcome,
};

fn welcomes(heard: &[Frame]) -> Vec<Welcome> {
    let welcome = |frame: &Frame| match frame {
        Frame::Welcome(welcome) => Some(*welcome),
        _ => None,
    };
    heard.iter().filter_map(welcome).collect()
}

/// AV-3-1: the server answers a repeated hello like the first, without any other effect.
#[test]
fn a_repeated_hello_is_answered_again() {
    let mut rig = ServerRig::new();
    let connection = rig.connect();
    let first = rig.ask(connection, &hello(A, INSTALLATION, &[]));
    let [first] = welcomes(&first)[..] else { panic!("{first:?}") };
    for _ in 0..3 {
        let again = rig.ask(connection, &hello(A, INSTALLATION, &[]));
        assert_eq!(kinds(&again), ["welcome"]);
        assert_eq!(welcomes(&again)[0].installation, first.installation);
    }
    assert_eq!((rig.stats().logins, rig.stats().new_installations, rig.stats().takeovers), (1, 1, 0));
}

/// AV-3-1: a client says hello first, and repeats it until a welcome names its own installation.
#[test]
fn a_client_says_hello_until_it_is_welcome() {
    let mut rig = ClientRig::new();
    rig.send(1);
    assert_eq!(rig.said(), [], "nothing before the connection");
    rig.input(Input::Connected);
    assert_eq!(kinds(&rig.said()), ["hello"]);
    rig.pass(1_000);
    let repeated = rig.said();
    assert!(
        !repeated.is_empty() && repeated.iter().all(|frame| frame.kind_name() == "hello"),
        "{repeated:?}"
    );
    rig.hear(&welcome(123_456));
    assert_eq!((rig.seen(), rig.said()), (vec![], vec![]), "somebody else's welcome");
    let Frame::Hello(hello) = &repeated[0] else { unreachable!() };
    rig.hear(&welcome(hello.installation));
    assert_eq!(kinds(&rig.said()), ["send"]);
    assert!(matches!(rig.seen()[..], [Observation::Session { .. }]));
}

/// AV-3-2: another version, a token that was made for another device or with another secret, and one that expired.
#[test]
fn who_may_not_log_in_is_told_why() {
    let check = |version: u16, token: Bytes, expected: ErrorCode| {
        let mut rig = ServerRig::new();
        let connection = rig.connect();
        let hello = Hello { version, key: A, installation: 1, resume: false, token, positions: Vec::new() };
        rig.say(connection, &Frame::Hello(hello));
        rig.expect_error(connection, expected);
        assert_eq!((rig.stats().logins, rig.stats().protocol_errors), (0, 1));
    };
    check(VERSION + 1, token(A), ErrorCode::Version);
    check(VERSION, token(B), ErrorCode::Unauthorized);
    check(VERSION, auth::token(b"another secret", A, u64::MAX), ErrorCode::Unauthorized);
    check(VERSION, Bytes::from_static(b"short"), ErrorCode::Unauthorized);
    // The rig's wall clock stands at 1,000 ms.
    check(VERSION, auth::token(SECRET, A, 1_000), ErrorCode::Unauthorized);
}

/// AV-3-2: a logged-in connection belongs to its device.
#[test]
fn a_connection_does_not_change_hands() {
    let mut rig = ServerRig::new();
    let connection = rig.login(A);
    rig.say(connection, &hello(B, INSTALLATION, &[]));
    rig.expect_error(connection, ErrorCode::Unexpected);
    // Nor while its installation waits for the commit, nor to another installation.
    let connection = rig.connect();
    rig.commits = false;
    rig.say(connection, &hello(A, 5, &[]));
    rig.say(connection, &hello(A, 6, &[]));
    rig.expect_error(connection, ErrorCode::Unexpected);
}

/// AV-3-2: a client that is turned away stays away until it is told to connect; any other error is tried again.
#[test]
fn a_client_that_is_turned_away_stays_away() {
    for code in ErrorCode::ALL.iter().copied() {
        let mut rig = ClientRig::new();
        rig.input(Input::Connected);
        rig.hear(&Frame::Error { code });
        let refused = matches!(code, ErrorCode::Version | ErrorCode::Unauthorized);
        assert_eq!(rig.disconnects, 1);
        rig.pass(200);
        assert_eq!(rig.connects, if refused { 1 } else { 2 }, "{code:?}");
        if refused {
            assert_eq!(rig.seen(), [Observation::SessionEnded { why: "refused" }]);
            rig.command(Command::Reconnect);
            assert_eq!(rig.connects, 2);
        }
    }
}

/// AV-3-3: who does not log in in time is closed; what comes before the login is ignored and counted.
#[test]
fn logins_have_a_time_limit() {
    let mut rig = ServerRig::new();
    let connection = rig.connect();
    assert_eq!(rig.ask(connection, &send(1, "early")), []);
    assert_eq!(rig.ask(connection, &Frame::Ping { nonce: 1 }), []);
    assert_eq!(rig.stats().frames_before_login, 2);
    rig.pass(9_999);
    assert!(!rig.is_closed(connection));
    rig.pass(1);
    rig.expect_error(connection, ErrorCode::LoginTimeout);
    assert_eq!(rig.stats().login_timeouts, 1);
}

/// AV-3-3: also for a hello whose commit does not come; the late commit then harms nobody.
#[test]
fn a_login_that_is_never_committed_times_out() {
    let mut rig = ServerRig::new();
    rig.commits = false;
    let connection = rig.connect();
    rig.say(connection, &hello(A, INSTALLATION, &[]));
    rig.pass(10_000);
    rig.expect_error(connection, ErrorCode::LoginTimeout);
    rig.commits = true;
    rig.commit();
    rig.login(A);
}

/// AV-3-4: a new installation is durable before the welcome, and begins anew; a known one goes on. Ids are remembered.
#[test]
fn an_installation_is_resumed_or_begins_anew() {
    let mut rig = ServerRig::new();
    let [a, b] = rig.room([A, B]);
    rig.expect_accepted(a, &send(2, "one"), 2);
    rig.say(b, &Frame::Read { conversation: ROOM, up_to: 2 });
    rig.disconnect(b);

    let b = rig.connect();
    let resumed = rig.ask(b, &hello(B, INSTALLATION, &[]));
    assert!(welcomes(&resumed)[0].resumed, "{resumed:?}");
    assert_eq!(rig.delivered(b), []);
    rig.disconnect(b);

    rig.commits = false;
    let b = rig.connect();
    assert_eq!(rig.ask(b, &hello(B, 88, &[])), [], "not before the commit");
    rig.commits = true;
    rig.commit();
    let anew = rig.heard(b);
    assert!(!welcomes(&anew)[0].resumed, "{anew:?}");
    assert_eq!(kinds(&anew)[1..].iter().filter(|kind| **kind == "deliver").count(), 2, "{anew:?}");
    rig.say(b, &Frame::Ack { conversation: ROOM, up_to: 1 });
    let confirmed = rig.heard(b);
    let confirms = |frame: &Frame| matches!(frame, Frame::CursorConfirmed { delivered: 1, read: 0, .. });
    assert!(confirmed.iter().any(confirms), "{confirmed:?}");

    // The same id after a reinstallation is still the same operation.
    rig.disconnect(a);
    let a = rig.connect();
    rig.say(a, &hello(A, 99, &[]));
    rig.expect_accepted(a, &send(2, "one"), 2);
    assert_eq!(rig.journal.log(ROOM).len(), 2);
}

/// AV-3-4: a new installation that the journal refuses is tried again by the repeated hello.
#[test]
fn a_refused_installation_is_tried_again() {
    let mut rig = ServerRig::new();
    rig.commits = false;
    let connection = rig.connect();
    rig.say(connection, &hello(A, INSTALLATION, &[]));
    rig.refuse();
    assert_eq!(rig.heard(connection), []);
    rig.commits = true;
    assert_eq!(kinds(&rig.ask(connection, &hello(A, INSTALLATION, &[]))), ["welcome"]);
}

/// AV-3-5: what a device lists as acknowledged is not sent again, what it lists as received comes marked.
#[test]
fn positions_in_hello_are_believed() {
    let mut rig = ServerRig::new();
    let [a, b] = rig.room([A, B]);
    for id in 2..=4 {
        rig.say(a, &send(id, "text"));
    }
    rig.disconnect(b);
    rig.restart();
    let b = rig.connect();
    let heard = rig.ask(b, &hello(B, INSTALLATION, &[(ROOM, 2, 3)]));
    let is_behind = |frame: &Frame| match frame {
        Frame::Heads(heads) => heads[..] == [Head { conversation: ROOM, first: 3, head: 4 }],
        _ => false,
    };
    assert!(heard.iter().any(is_behind), "{heard:?}");
    assert!(
        heard.iter().any(|frame| matches!(frame, Frame::CursorConfirmed { delivered: 2, .. })),
        "{heard:?}"
    );
    rig.say(b, &catch_up(1, 2));
    rig.load();
    let page = rig.heard(b);
    assert!(
        matches!(&page[..], [Frame::Page(page)] if page.redelivered_up_to == 3 && page.entries.len() == 2)
    );
}

/// AV-3-5: a client lists what the server did not confirm: acknowledged, and received.
#[test]
fn a_client_lists_what_was_not_confirmed() {
    let mut rig = ClientRig::with(|config| config.consume_window = Some(10));
    rig.log_in();
    for (entry, prev) in entries(3).iter().zip(0..) {
        rig.deliver(entry, prev, false);
    }
    rig.command(Command::Consumed { deliveries: 2 });
    rig.input(Input::Disconnected);
    rig.pass(1_000);
    let said = rig.log_in();
    let Some(Frame::Hello(hello)) = said.first() else { panic!("{said:?}") };
    assert!(hello.resume);
    let listed: Vec<_> = hello.positions.iter().map(|at| (at.conversation, at.acked, at.received)).collect();
    assert_eq!(listed, [(ROOM, 2, 3)]);
    // Confirmed: nothing to list any more.
    rig.command(Command::Consumed { deliveries: 1 });
    rig.hear(&Frame::CursorConfirmed { conversation: ROOM, delivered: 3, read: 0 });
    rig.input(Input::Disconnected);
    rig.pass(1_000);
    let said = rig.log_in();
    let Some(Frame::Hello(hello)) = said.first() else { panic!("{said:?}") };
    assert_eq!(hello.positions, []);
}

/// AV-3-6: the new connection takes the session over, with what was in flight.
#[test]
fn a_new_login_takes_over() {
    let mut rig = ServerRig::new();
    let [a, old] = rig.room([A, B]);
    rig.say(a, &send(2, "in flight"));
    assert_eq!(rig.delivered(old), [2]);
    let new = rig.connect();
    let heard = rig.ask(new, &hello(B, INSTALLATION, &[]));
    rig.expect_goodbye(old, GoodbyeCode::Takeover);
    let is_copy =
        |frame: &Frame| matches!(frame, Frame::Deliver { entry, redelivered: true, .. } if entry.seq == 2);
    assert!(heard.iter().any(is_copy), "{heard:?}");
    assert_eq!(rig.stats().takeovers, 1);
    // The old connection has nothing to say any more.
    rig.say(old, &Frame::Ack { conversation: ROOM, up_to: 2 });
    rig.disconnect(old);
    rig.say(a, &send(3, "to the new one"));
    assert_eq!(rig.delivered(new), [3]);
}

/// AV-3-10: a hello that was under way while its device made a newer connection changes nothing (regression: an earlier installation's
/// came after the reinstallation, took over, and had the cursors of the living one forgotten).
#[test]
fn a_hello_that_comes_late_changes_nothing() {
    let mut rig = ServerRig::new();
    let [a, _] = rig.room([A, B]);
    rig.expect_accepted(a, &send(2, "text"), 2);
    let (late, later, here) = (rig.connect(), rig.connect(), rig.connect());
    rig.say(here, &hello(B, INSTALLATION + 1, &[]));
    rig.say(here, &Frame::Ack { conversation: ROOM, up_to: 2 });
    rig.heard(here);
    let before = rig.stats();
    rig.say(late, &hello(B, INSTALLATION, &[]));
    rig.expect_goodbye(late, GoodbyeCode::Takeover);
    assert_eq!(rig.heard(here), []);
    rig.say(a, &send(3, "to the new one"));
    assert_eq!(rig.delivered(here), [3]);
    // Neither when the newer connection is over, nor from the same installation: whoever said it is not there any more.
    rig.disconnect(here);
    rig.say(later, &hello(B, INSTALLATION + 1, &[]));
    rig.expect_goodbye(later, GoodbyeCode::Takeover);
    let after = rig.stats();
    assert_eq!((after.late_hellos, after.takeovers), (2, before.takeovers));
    assert_eq!((after.new_installations, after.logins), (before.new_installations, before.logins));
    let back = rig.connect();
    assert!(welcomes(&rig.ask(back, &hello(B, INSTALLATION + 1, &[])))[0].resumed);
}

/// AV-3-10: it is late also while the newer connection's installation waits for its commit.
#[test]
fn a_hello_is_late_as_soon_as_a_newer_one_was_heard() {
    let mut rig = ServerRig::new();
    let (late, here) = (rig.connect(), rig.connect());
    rig.commits = false;
    rig.say(here, &hello(B, INSTALLATION + 1, &[]));
    rig.say(late, &hello(B, INSTALLATION, &[]));
    rig.expect_goodbye(late, GoodbyeCode::Takeover);
    rig.commit();
    assert_eq!(welcomes(&rig.heard(here)).len(), 1);
}

/// AV-3-6: a client that was taken over does not fight for the session.
#[test]
fn a_client_that_was_taken_over_stays_away() {
    let mut rig = ClientRig::logged_in();
    rig.seen();
    rig.hear(&Frame::Goodbye { code: GoodbyeCode::Takeover });
    assert_eq!(rig.seen(), [Observation::SessionEnded { why: "takeover" }]);
    rig.pass(600_000);
    assert_eq!(rig.connects, 1);
    rig.command(Command::Reconnect);
    assert_eq!(rig.connects, 2);
}

/// AV-3-7: the server probes what was silent for a heartbeat, and answers a ping at once.
#[test]
fn a_silent_client_is_probed() {
    let mut rig = ServerRig::new();
    let connection = rig.login(A);
    rig.pass(4_999);
    assert_eq!(rig.heard(connection), []);
    rig.pass(1);
    assert_eq!(kinds(&rig.heard(connection)), ["probe"]);
    assert_eq!(rig.ask(connection, &Frame::Ping { nonce: 4 }), [Frame::Pong { nonce: 4 }]);
}

/// AV-3-7: a client pings when it said nothing for a heartbeat, and answers a probe at once.
#[test]
fn a_client_pings_and_answers_probes() {
    let mut rig = ClientRig::new();
    rig.input(Input::Connected);
    let Some(Frame::Hello(hello)) = rig.said().pop() else { panic!("no hello") };
    let beat =
        Welcome { installation: hello.installation, resumed: false, heartbeat_ms: 300, silent_ms: 10_000 };
    rig.hear(&Frame::Welcome(beat));
    rig.said();
    let pings = rig.times(1_000, |frame| matches!(frame, Frame::Ping { .. }));
    assert_eq!(pings, [300, 600, 900]);
    rig.hear(&Frame::Probe { nonce: 9 });
    assert_eq!(rig.said(), [Frame::Alive { nonce: 9 }]);
}

/// AV-3-7: a client that says much and hears nothing asks whether anybody is there (regression: it said so much that it never
/// pinged, and gave up a server that was alive and only slow to answer).
#[test]
fn a_client_that_is_not_answered_pings() {
    let mut rig = ClientRig::with(|config| config.retry = Backoff { first_ms: 100, cap_ms: 200 });
    rig.input(Input::Connected);
    let Some(Frame::Hello(hello)) = rig.said().pop() else { panic!("no hello") };
    let beat =
        Welcome { installation: hello.installation, resumed: false, heartbeat_ms: 1_000, silent_ms: 5_000 };
    rig.hear(&Frame::Welcome(beat));
    rig.send(1);
    let pings = rig.times(2_500, |frame| matches!(frame, Frame::Ping { .. }));
    assert_eq!(pings, [1_000, 2_000]);
    rig.hear(&Frame::Pong { nonce: 0 });
    let pings = rig.times(1_400, |frame| matches!(frame, Frame::Ping { .. }));
    assert_eq!(pings, [1_000]);
    assert_eq!(rig.client.stats().silent, 0);
}

/// AV-3-8: a peer that says nothing is dead to the server, and one that says anything is not.
#[test]
fn the_server_gives_up_the_dead() {
    let mut rig = ServerRig::new();
    let (dead, alive) = (rig.login(A), rig.login(B));
    for _ in 0..3 {
        rig.say(alive, &Frame::Alive { nonce: 0 });
        rig.pass(5_000);
    }
    rig.expect_goodbye(dead, GoodbyeCode::Silent);
    assert!(!rig.is_closed(alive));
    assert_eq!(rig.stats().silent_closed, 1);
}

/// AV-3-8: a client gives a dead server up and connects again, with growing, jittered waits.
#[test]
fn a_client_gives_up_the_dead_and_backs_off() {
    let mut rig = ClientRig::new();
    rig.input(Input::Connected);
    let Some(Frame::Hello(hello)) = rig.said().pop() else { panic!("no hello") };
    let beat =
        Welcome { installation: hello.installation, resumed: false, heartbeat_ms: 300, silent_ms: 900 };
    rig.hear(&Frame::Welcome(beat));
    rig.seen();
    rig.pass(900);
    assert_eq!(rig.seen(), [Observation::SessionEnded { why: "silent" }]);
    assert_eq!((rig.disconnects, rig.client.stats().silent), (1, 1));

    let waits = |seed: u64| -> Vec<u64> {
        let mut rig = ClientRig::seeded(seed, |_| {});
        let mut waits = Vec::new();
        for _ in 0..9 {
            rig.input(Input::Disconnected);
            let (begin, before) = (rig.now_ms, rig.connects);
            while rig.connects == before {
                rig.pass(1);
            }
            waits.push(rig.now_ms - begin);
        }
        waits
    };
    let (one, two) = (waits(1), waits(2));
    assert_ne!(one, two, "jitter comes from the seed");
    for (wait, nominal) in one.iter().zip([100, 200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000]) {
        assert!(*wait >= nominal * 3 / 4 && *wait <= nominal * 5 / 4 + 1, "{one:?}");
    }
}

/// AV-3-8: a half-open connection is found out on both sides, and the session goes on in a new one.
#[test]
fn a_half_open_connection_is_survived() {
    let mut both = Both::new(&[A, B], |_| {});
    both.lose(|device, _| device == 1);
    both.send(0, 2);
    both.pass(16_000);
    assert_eq!(both.cursor(1), 1);
    assert_eq!(both.stats().silent_closed, 1);
    both.lose_nothing();
    both.pass(30_000);
    assert_eq!(both.cursor(1), 2);
    assert!(both.is_idle());
}

/// AV-3-9: a server that stops says so to everybody; their clients come again later.
#[test]
fn a_server_that_stops_says_goodbye() {
    let mut rig = ServerRig::new();
    let connections = [rig.login(A), rig.login(B), rig.connect()];
    rig.input(server::Input::Stop);
    for connection in connections {
        rig.expect_goodbye(connection, GoodbyeCode::Shutdown);
    }
    let mut rig = ClientRig::logged_in();
    rig.hear(&Frame::Goodbye { code: GoodbyeCode::Shutdown });
    rig.pass(1_000);
    assert_eq!(rig.connects, 2);
}

/// AV-3-9: a transport that takes nothing is not pushed at any more; when far too much waits, it is closed.
#[test]
fn a_slow_peer_is_spared_then_closed() {
    let mut rig = ServerRig::with(|config| {
        (config.untaken_frames, config.untaken_frames_max) = (4, 16);
    });
    let [a, b] = rig.room([A, B]);
    rig.takes = false;
    for id in 2..=11 {
        rig.say(a, &send(id, "text"));
        rig.input(server::Input::Taken(a, 100));
    }
    assert_eq!(rig.delivered(b), [2, 3, 4, 5], "no pushes beyond the limit");
    // Taken again: the rest follows.
    rig.input(server::Input::Taken(b, 4));
    assert_eq!(rig.delivered(b), [6, 7, 8, 9]);
    // Answers go on and on; nobody takes them.
    for nonce in 0..13 {
        rig.say(b, &Frame::Ping { nonce });
    }
    assert!(rig.is_closed(b));
    assert_eq!(rig.stats().slow_closed, 1);
    assert!(!rig.is_closed(a));
    // The same by bytes.
    let mut rig = ServerRig::with(|config| {
        (config.untaken_bytes, config.untaken_bytes_max) = (200, 1_000);
    });
    let [a, b] = rig.room([A, B]);
    rig.takes = false;
    for id in 2..=6 {
        rig.say(a, &send(id, "text"));
        rig.input(server::Input::Taken(a, 100));
    }
    assert_eq!(rig.delivered(b), [2, 3]);
    for nonce in 0..100 {
        rig.say(b, &Frame::Ping { nonce });
    }
    assert!(rig.is_closed(b));
}

/// A connection is given up when it is not established in time.
#[test]
fn a_connection_that_is_never_made_is_given_up() {
    let mut rig = ClientRig::new();
    rig.pass(10_000);
    assert_eq!((rig.connects, rig.disconnects), (1, 1));
    rig.pass(200);
    assert_eq!(rig.connects, 2);
    rig.command(Command::Close);
    rig.pass(100_000);
    assert_eq!(rig.connects, 2);
}

/// Several devices of one user: each gets everything, from a cursor of its own, the author's other one included.
#[test]
fn devices_of_one_user_are_apart() {
    let tablet = key(1, 1);
    let mut both = Both::new(&[A, tablet, B], |_| {});
    both.send(2, 2);
    both.send(0, 2);
    assert_eq!([0, 1, 2].map(|device| both.cursor(device)), [3, 3, 3]);
    both.lose(|device, _| device == 1);
    both.send(0, 3);
    both.lose_nothing();
    both.pass(2_000);
    assert_eq!(
        [0, 1, 2].map(|device| both.delivered(device, ROOM).last().copied()),
        [Some((4, false)), Some((4, true)), Some((4, false)),]
    );
    assert_eq!(both.stats().delivered_retry, 1);
}

/// A session whose entries, acks and operations were under way goes on after a cut.
#[test]
fn a_session_is_resumed_after_a_cut() {
    let mut both = Both::new(&[A, B], |_| {});
    both.lose(|_, frame| matches!(frame, Frame::Accepted { .. } | Frame::Deliver { .. }));
    both.send(0, 2);
    both.lose_nothing();
    both.cut(0);
    both.cut(1);
    both.pass(300);
    assert_eq!((both.cursor(0), both.cursor(1)), (2, 2));
    let resumed = |seen: &Observation| matches!(seen, Observation::Session { resumed: true });
    assert!(both.devices.iter().all(|device| device.seen.iter().any(resumed)));
    let accepted = Observation::Accepted { id: MessageId(2), conversation: ROOM, seq: 2 };
    assert!(both.devices[0].seen.contains(&accepted));
    assert_eq!(both.stats().dedup_hits, 1);
}

/// A device that was never there before is sent everything that its user may see, each once.
#[test]
fn a_new_device_is_told_of_everything() {
    let mut rig = ServerRig::new();
    let a = rig.login(A);
    for room in 1..=3 {
        rig.make(a, room, ConversationId(room), users([1, 2]));
    }
    let b = rig.connect();
    let heard = rig.ask(b, &hello(B, INSTALLATION, &[]));
    let told: Vec<_> = heard
        .iter()
        .filter_map(|frame| match frame {
            Frame::Deliver { conversation, redelivered, entry, .. } => {
                Some((conversation.0, entry.seq, *redelivered))
            }
            _ => None,
        })
        .collect();
    assert_eq!(told, [(1, 1, false), (2, 1, false), (3, 1, false)]);
}
