//! Delivery: windows, retransmission, gaps, pages, marks (PROTOCOL.md 6).

use avouch_engine::client::{Command, Input, Observation};
use avouch_engine::codec::{Cause, Frame, Head, Page, Purpose};
use avouch_engine::ids::{ConversationId, Seq};
use avouch_engine::limits::{
    HEADS_PER_FRAME, HELD_BYTES_MAX, HELD_ENTRIES_MAX, LOADS_MAX, LOADS_PER_CONNECTION, PAGE_BYTES_MAX,
    PAGE_ENTRIES_MAX, PAGE_REQUESTS_MAX, PAYLOAD_BYTES_MAX, PUSHES_PER_TURN, REDELIVERIES_PER_TIMEOUT,
    SYNCS_IN_FLIGHT,
};
use avouch_engine::{journal, server};
use bytes::Bytes;

use crate::rig::{
    A, B, Both, ClientRig, INSTALLATION, ROOM, ServerRig, catch_up, change, entries, entry_of, hello, key,
    send, send_to, sync, users,
};

fn ack(up_to: Seq) -> Frame {
    Frame::Ack { conversation: ROOM, up_to }
}

/// Position, predecessor, mark and cause of every delivery.
fn deliveries(heard: &[Frame]) -> Vec<(Seq, Seq, bool, Cause)> {
    let delivery = |frame: &Frame| match frame {
        Frame::Deliver { prev, redelivered, cause, entry, .. } => {
            Some((entry.seq, *prev, *redelivered, *cause))
        }
        _ => None,
    };
    heard.iter().filter_map(delivery).collect()
}

fn page_of(heard: &[Frame]) -> Page {
    let page = |frame: &Frame| match frame {
        Frame::Page(page) => Some(page.clone()),
        _ => None,
    };
    heard.iter().find_map(page).unwrap_or_else(|| panic!("no page in {heard:?}"))
}

fn heads_of(heard: &[Frame]) -> Vec<Head> {
    let heads = |frame: &Frame| match frame {
        Frame::Heads(heads) => Some(heads.clone()),
        _ => None,
    };
    heard.iter().filter_map(heads).flatten().collect()
}

fn page(request: u64, entries: &[journal::Entry], head: Seq) -> Frame {
    let last = entries.last().map_or(0, |entry| entry.seq);
    let entries = entries.iter().map(|entry| (entry.seq - 1, entry.clone())).collect();
    let (complete, redelivered_up_to) = (last >= head, 0);
    Frame::Page(Page { request, conversation: ROOM, complete, head, redelivered_up_to, entries })
}

fn asked(said: &[Frame]) -> Vec<(u64, ConversationId, Seq)> {
    let sync = |frame: &Frame| match frame {
        Frame::Sync { request, conversation, after, .. } => Some((*request, *conversation, *after)),
        _ => None,
    };
    said.iter().filter_map(sync).collect()
}

/// AV-6-1: every device of every member, the author's own included, until its cursor covers it.
#[test]
fn everybody_gets_everything() {
    let devices = [A, key(1, 1), B, key(2, 1)];
    let mut both = Both::new(&devices, |_| {});
    for (id, device) in (2..10).zip([0, 1, 2, 3].into_iter().cycle()) {
        both.send(device, id);
    }
    for device in 0..devices.len() {
        let expected: Vec<_> = (1..=9).map(|seq| (seq, false)).collect();
        assert_eq!(both.delivered(device, ROOM), expected);
    }
    assert!(both.is_idle());
    // Nothing that is acknowledged comes again.
    both.pass(60_000);
    let stats = both.stats();
    assert_eq!((stats.delivered_first, stats.delivered_retry, stats.delivered_sweep), (36, 0, 0));
}

/// AV-6-2: the next one is taken, a copy is told and acknowledged again, and what is further ahead waits for a pull.
#[test]
fn a_client_takes_what_follows_its_cursor() {
    let all = entries(5);
    let mut rig = ClientRig::logged_in();
    rig.deliver(&all[0], 0, false);
    rig.deliver(&all[1], 1, false);
    assert_eq!(rig.delivered(), [1, 2]);
    assert_eq!(rig.said(), [ack(1), ack(2)]);
    rig.deliver(&all[0], 0, true);
    assert_eq!(rig.said(), [ack(2)]);
    let copy = Observation::Suppressed { conversation: ROOM, entry: all[0].clone(), redelivered: true };
    assert!(rig.seen().contains(&copy));
    rig.deliver(&all[4], 4, false);
    assert!(rig.seen().contains(&Observation::Gap { conversation: ROOM, after: 2, before: 5 }));
    let said = rig.said();
    let [(request, ROOM, 2)] = asked(&said)[..] else { panic!("{said:?}") };
    // Only the gap is delivered from the page; what was held follows, each once.
    rig.hear(&page(request, &all[2..4], 5));
    assert_eq!(rig.delivered(), [3, 4, 5]);
    assert_eq!(rig.client.stats().gaps, 1);
    rig.hear(&Frame::CursorConfirmed { conversation: ROOM, delivered: 5, read: 0 });
    assert!(rig.client.is_idle());
}

/// AV-6-2: an entry whose predecessor this client has never had, below its cursor, fits nowhere.
#[test]
fn an_entry_that_fits_nowhere_is_ignored() {
    let all = entries(5);
    let mut rig = ClientRig::logged_in();
    rig.deliver(&all[0], 0, false);
    rig.deliver(&all[1], 1, false);
    rig.deliver(&all[3], 2, false);
    rig.seen();
    assert_eq!(rig.client.cursor(ROOM), 4, "a hole between stays is no gap");
    rig.deliver(&all[4], 2, false);
    assert_eq!((rig.delivered(), rig.client.stats().misfits), (vec![], 1));
}

/// AV-6-2: what is held is bounded by count; the rest is pulled later.
#[test]
fn held_entries_are_bounded() {
    let all = entries(HELD_ENTRIES_MAX as u64 + 3);
    let mut rig = ClientRig::logged_in();
    for entry in &all[1..] {
        rig.deliver(entry, entry.seq - 1, false);
    }
    assert_eq!(rig.client.stats().overflowed, 2);
    let said = rig.said();
    let [(request, ..)] = asked(&said)[..] else { panic!("{said:?}") };
    rig.hear(&page(request, &all[..1], all.len() as u64));
    assert_eq!(rig.client.cursor(ROOM), HELD_ENTRIES_MAX as u64 + 1);
    let said = rig.said();
    assert!(
        matches!(asked(&said)[..], [(_, ROOM, after)] if after == HELD_ENTRIES_MAX as u64 + 1),
        "{said:?}"
    );
}

/// AV-6-2: and by bytes.
#[test]
fn held_bytes_are_bounded() {
    let mut rig = ClientRig::logged_in();
    let fitting = HELD_BYTES_MAX / (PAYLOAD_BYTES_MAX + avouch_engine::limits::ENTRY_HEADER_BYTES);
    for seq in 2..=fitting as u64 + 2 {
        let body =
            journal::Body::Message { reply_to: None, payload: Bytes::from(vec![0; PAYLOAD_BYTES_MAX]) };
        rig.deliver(&entry_of(ROOM, seq, &[0; 32], (B, body)), seq - 1, false);
    }
    assert_eq!(rig.client.stats().overflowed, 1);
}

/// AV-6-3: with a consume window only what was consumed is acknowledged; more waits, and is not asked for again.
#[test]
fn only_what_was_consumed_is_acknowledged() {
    let all = entries(4);
    let mut rig = ClientRig::with(|config| config.consume_window = Some(2));
    rig.log_in();
    for entry in &all {
        rig.deliver(entry, entry.seq - 1, false);
    }
    assert_eq!(rig.delivered(), [1, 2]);
    assert_eq!((rig.said(), rig.client.stats().deferred), (vec![], 1));
    rig.command(Command::Consumed { deliveries: 1 });
    assert_eq!((rig.delivered(), rig.said()), (vec![3], vec![ack(1)]));
    rig.command(Command::Consumed { deliveries: 3 });
    assert_eq!((rig.delivered(), rig.said()), (vec![4], vec![ack(3)]));
    assert_eq!(rig.client.stats().pulls, 0);
}

/// AV-6-3: an ack is repeated until it is confirmed, with growing, jittered waits.
#[test]
fn an_ack_is_repeated_until_it_is_confirmed() {
    let run = |seed: u64| {
        let mut rig = ClientRig::seeded(seed, |_| {});
        rig.log_in();
        rig.deliver(&entries(1)[0], 0, false);
        assert_eq!(rig.said(), [ack(1)]);
        let times = rig.times(10_000, |frame| *frame == ack(1));
        rig.hear(&Frame::CursorConfirmed { conversation: ROOM, delivered: 1, read: 0 });
        rig.pass(60_000);
        assert_eq!(rig.said(), []);
        times
    };
    let (one, two) = (run(1), run(2));
    assert_ne!(one, two);
    let waits: Vec<u64> = one.iter().zip([0].iter().chain(&one)).map(|(at, before)| at - before).collect();
    for (wait, nominal) in waits.iter().zip([500, 1_000, 2_000, 4_000]) {
        assert!(*wait >= nominal * 3 / 4 && *wait <= nominal * 5 / 4 + 1, "{waits:?}");
    }
    // A confirmation beyond what was said is not believed.
    let mut rig = ClientRig::logged_in();
    let all = entries(2);
    rig.deliver(&all[0], 0, false);
    rig.hear(&Frame::CursorConfirmed { conversation: ROOM, delivered: 50, read: 50 });
    rig.deliver(&all[1], 1, false);
    rig.said();
    rig.pass(1_000);
    assert!(rig.said().contains(&ack(2)));
}

/// AV-6-3: a server ignores acks of what does not exist, or is nobody's business; an old one changes nothing.
#[test]
fn acks_of_nothing_are_ignored() {
    let mut rig = ServerRig::new();
    let [a, b] = rig.room([A, B]);
    let stranger = rig.login(key(9, 0));
    for (connection, up_to) in [(b, 0), (b, 2), (b, u64::MAX), (stranger, 1)] {
        assert_eq!(rig.ask(connection, &ack(up_to)), []);
    }
    let nowhere = Frame::Ack { conversation: ConversationId(99), up_to: 1 };
    assert_eq!(rig.ask(b, &nowhere), []);
    assert_eq!(rig.stats().acks_beyond_head, 5);
    rig.say(a, &send(2, "text"));
    rig.say(a, &send(3, "text"));
    rig.say(b, &ack(3));
    // The confirmation may have been lost: an ack that says nothing new is answered with what is durable.
    let heard = rig.ask(b, &ack(2));
    assert_eq!(heard, [Frame::CursorConfirmed { conversation: ROOM, delivered: 3, read: 0 }]);
}

/// AV-6-4: so many entries, over all conversations; an ack makes room.
#[test]
fn a_window_of_entries() {
    let mut rig = ServerRig::with(|config| config.window_entries = 3);
    let [a, b] = rig.room([A, B]);
    let other = ConversationId(8);
    rig.make(a, 2, other, users([1, 2]));
    for id in 3..=6 {
        rig.say(a, &send(id, "text"));
        rig.say(a, &Frame::Ack { conversation: ROOM, up_to: id - 1 });
    }
    // The change of the other conversation takes a place.
    assert_eq!(deliveries(&rig.heard(b)).len(), 3);
    rig.say(b, &ack(2));
    assert_eq!(rig.delivered(b), [4]);
    rig.say(b, &Frame::Ack { conversation: other, up_to: 1 });
    assert_eq!(rig.delivered(b), [5]);
    rig.say(b, &ack(5));
    assert_eq!(rig.delivered(b), [] as [Seq; 0]);
}

/// AV-6-4: so many bytes; one entry that is larger goes alone.
#[test]
fn a_window_of_bytes() {
    let mut rig = ServerRig::with(|config| config.window_bytes = 500);
    let [a, b] = rig.room([A, B]);
    for (id, bytes) in [(2, 2_000), (3, 100), (4, 100), (5, 2_000)] {
        rig.say(a, &send_to(ROOM, id, vec![0; bytes]));
        rig.say(a, &ack(id));
    }
    assert_eq!(rig.delivered(b), [2]);
    rig.say(b, &ack(2));
    assert_eq!(rig.delivered(b), [3, 4]);
    rig.say(b, &ack(3));
    assert_eq!(rig.delivered(b), [] as [Seq; 0]);
    rig.say(b, &ack(4));
    assert_eq!(rig.delivered(b), [5]);
}

/// AV-6-4: what is not acknowledged comes again, oldest first, marked, with growing, jittered waits.
#[test]
fn what_is_in_flight_is_sent_again() {
    let mut rig = ServerRig::with(|config| config.sweep_ms = 1_000_000);
    let [a, b] = rig.room([A, B]);
    rig.say(a, &send(2, "text"));
    rig.say(a, &send(3, "text"));
    rig.say(a, &ack(3));
    rig.heard(b);
    let mut times = Vec::new();
    let begin = rig.now_ms;
    for _ in 0..30_000 {
        rig.pass(1);
        if rig.now_ms.is_multiple_of(1_000) {
            rig.say(b, &Frame::Alive { nonce: 0 });
            rig.say(a, &Frame::Alive { nonce: 0 });
        }
        let heard = deliveries(&rig.heard(b));
        if !heard.is_empty() {
            assert_eq!(heard, [(2, 1, true, Cause::Retry), (3, 2, true, Cause::Retry)]);
            times.push(rig.now_ms - begin);
        }
    }
    let waits: Vec<u64> =
        times.iter().zip([0].iter().chain(&times)).map(|(at, before)| at - before).collect();
    assert!(waits.len() >= 5, "{waits:?}");
    for (wait, nominal) in waits.iter().zip([500, 1_000, 2_000, 4_000, 8_000]) {
        assert!(*wait >= nominal * 3 / 4 && *wait <= nominal * 5 / 4 + 1, "{waits:?}");
    }
    // An ack of the first begins the waits of the second anew.
    rig.say(b, &ack(2));
    rig.pass(700);
    assert_eq!(deliveries(&rig.heard(b)), [(3, 2, true, Cause::Retry)]);
}

/// AV-6-4: at most 32 at one expiry.
#[test]
fn redelivery_is_paced() {
    let mut rig = ServerRig::with(|config| config.sweep_ms = 1_000_000);
    let [a, b] = rig.room([A, B]);
    let count = REDELIVERIES_PER_TIMEOUT as u64 + 8;
    for id in 2..2 + count {
        rig.say(a, &send(id, "text"));
    }
    rig.say(a, &ack(1 + count));
    assert_eq!(rig.delivered(b).len() as u64, count);
    rig.pass(700);
    let expected: Vec<Seq> = (2..2 + REDELIVERIES_PER_TIMEOUT as u64).collect();
    assert_eq!(rig.delivered(b), expected);
}

/// AV-6-4: a conversation with much to push lets others have their turn, also while the window or the
/// transport is full again and again (regression: the first in the outbox kept its place until it had nothing left).
#[test]
fn conversations_take_turns() {
    let mut rig = ServerRig::with(|config| config.untaken_frames = 8);
    let [a, b] = rig.room([A, B]);
    let other = ConversationId(8);
    rig.make(a, 2, other, users([1, 2]));
    rig.say(b, &Frame::Ack { conversation: other, up_to: 1 });
    rig.settle_receipts(b);
    // While the transport takes nothing, both have something to push; then it takes everything at once.
    rig.takes = false;
    for nonce in 0..8 {
        rig.say(b, &Frame::Ping { nonce });
    }
    let count = PUSHES_PER_TURN as u64 + 10;
    for id in 3..3 + count {
        rig.say(a, &send(id, "text"));
        rig.input(server::Input::Taken(a, 100));
    }
    rig.say(a, &send_to(other, 100, "text"));
    assert_eq!(rig.delivered(b), [] as [Seq; 0]);
    rig.takes = true;
    let mut order = Vec::new();
    for _ in 0..20 {
        rig.input(server::Input::Taken(b, 8));
        order.extend(rig.heard(b).iter().filter_map(|frame| match frame {
            Frame::Deliver { conversation, .. } => Some(*conversation),
            _ => None,
        }));
    }
    assert_eq!(order.len() as u64, count + 1);
    let at = order.iter().position(|conversation| *conversation == other).expect("pushed");
    assert!(at < count as usize, "{at}: before the end of the other's");
}

/// AV-6-5: what is too much for the window at login, or no longer in memory, is told by its head, and pushed again only
/// after a complete page.
#[test]
fn who_is_far_behind_pulls() {
    let mut rig = ServerRig::with(|config| (config.window_entries, config.tail_entries) = (4, 8));
    let [a, b] = rig.room([A, B]);
    rig.disconnect(b);
    for id in 2..=6 {
        rig.say(a, &send(id, "text"));
        rig.say(a, &ack(id));
    }
    let b = rig.connect();
    let heard = rig.ask(b, &hello(B, INSTALLATION, &[]));
    let head = |first: Seq, head: Seq| Head { conversation: ROOM, first, head };
    assert_eq!((heads_of(&heard), deliveries(&heard)), (vec![head(2, 6)], vec![]));
    // No push while it is pulling; the sweep says so again.
    rig.say(a, &send(7, "text"));
    rig.say(a, &ack(7));
    assert_eq!(rig.heard(b), []);
    rig.pass(3_000);
    assert_eq!(heads_of(&rig.heard(b)), [head(2, 7)]);
    let first = page_of(&rig.ask(b, &sync(1, 1, 3, Purpose::CatchUp)));
    assert_eq!((first.entries.len(), first.complete, first.head), (3, false, 7));
    rig.say(a, &send(8, "text"));
    assert_eq!(rig.delivered(b), [] as [Seq; 0]);
    let second = page_of(&rig.ask(b, &sync(2, 4, 100, Purpose::CatchUp)));
    assert_eq!((second.entries.len(), second.complete, second.head), (4, true, 8));
    rig.say(a, &send(9, "text"));
    assert_eq!(rig.delivered(b), [9]);
}

/// AV-6-5: a device that had all it is told to pull asks for nothing. Its ack ends the pull (regression: pushes waited for
/// the next sweep, because after a restart the tail is empty, and what it had was not acknowledged yet).
#[test]
fn who_has_what_it_is_to_pull_is_pushed_to_again() {
    let mut rig = ServerRig::new();
    let [a, _] = rig.room([A, B]);
    rig.say(a, &send(2, "text"));
    rig.restart();
    let (a, b) = (rig.login(A), rig.connect());
    let heard = rig.ask(b, &hello(B, INSTALLATION, &[(ROOM, 1, 2)]));
    assert_eq!(heads_of(&heard), [Head { conversation: ROOM, first: 2, head: 2 }]);
    rig.say(a, &send(3, "while it thinks about the one before"));
    assert_eq!(rig.delivered(b), [] as [Seq; 0]);
    rig.say(b, &ack(2));
    assert_eq!(rig.delivered(b), [3]);
    rig.say(a, &send(4, "text"));
    assert_eq!(rig.delivered(b), [4]);
}

/// AV-6-5: the tail moves on under a slow reader; what it was sent stays marked.
#[test]
fn a_slow_reader_is_overtaken_by_the_tail() {
    let mut rig = ServerRig::with(|config| (config.window_entries, config.tail_entries) = (2, 3));
    let [a, b] = rig.room([A, B]);
    for id in 2..=8 {
        rig.say(a, &send(id, "text"));
        rig.say(a, &ack(id));
    }
    assert_eq!(rig.delivered(b), [2, 3]);
    rig.say(b, &ack(2));
    assert_eq!(heads_of(&rig.heard(b)), [Head { conversation: ROOM, first: 3, head: 8 }]);
    rig.say(b, &catch_up(1, 2));
    rig.load();
    let page = page_of(&rig.heard(b));
    assert_eq!((page.redelivered_up_to, page.entries.len(), page.complete), (3, 6, true));
    rig.say(b, &ack(8));
    rig.say(a, &send(9, "text"));
    assert_eq!(rig.delivered(b), [9]);
}

/// AV-6-5: an entry that is committed while the last page is on its way is pushed after it, once (also when the page was
/// read from the store before the commit).
#[test]
fn a_commit_while_a_page_is_on_its_way() {
    for cold in [false, true] {
        let mut rig = ServerRig::with(|config| config.tail_entries = if cold { 1 } else { 100 });
        let [a, b] = rig.room([A, B]);
        rig.disconnect(b);
        for id in 2..=300 {
            rig.say(a, &send(id, "text"));
            rig.say(a, &ack(id));
        }
        let b = rig.login(B);
        let mut seen: Vec<Seq> = vec![1];
        let mut request = 0;
        let mut id = 300;
        loop {
            request += 1;
            rig.say(b, &catch_up(request, *seen.last().expect("one")));
            // Committed before the read is answered, and after it.
            for _ in 0..2 {
                id += 1;
                rig.say(a, &send(id, "text"));
                rig.say(a, &ack(id));
                rig.load();
            }
            let heard = rig.heard(b);
            for frame in &heard {
                match frame {
                    Frame::Page(page) => seen.extend(page.entries.iter().map(|(_, entry)| entry.seq)),
                    Frame::Deliver { entry, redelivered, .. } => {
                        assert!(!redelivered, "{frame:?}");
                        seen.push(entry.seq);
                    }
                    _ => {}
                }
            }
            if id > 330 {
                break;
            }
        }
        seen.dedup();
        let expected: Vec<Seq> = (1..=*seen.last().expect("one")).collect();
        assert_eq!(seen, expected, "cold {cold}");
        assert!(seen.len() > 320, "cold {cold}: {}", seen.len());
    }
}

/// AV-6-5: more conversations than fit in one frame of heads.
#[test]
fn heads_come_in_several_frames() {
    let mut rig = ServerRig::new();
    let a = rig.login(A);
    let count = HEADS_PER_FRAME as u64 + 5;
    for id in 1..=count {
        rig.say(a, &change(id, ConversationId(id), users([1, 2]), vec![]));
    }
    rig.restart();
    let b = rig.connect();
    let heard = rig.ask(b, &hello(B, INSTALLATION, &[]));
    let sizes: Vec<usize> = heard
        .iter()
        .filter_map(|frame| match frame {
            Frame::Heads(heads) => Some(heads.len()),
            _ => None,
        })
        .collect();
    assert_eq!(sizes, [HEADS_PER_FRAME, 5]);
}

/// AV-6-6: the sweep sends what was forgotten by all else: an entry that is neither in flight nor acknowledged (here
/// dropped with the tail by a device that pulls and never asks), a cursor that the journal refused, receipts.
#[test]
fn the_sweep_finds_what_is_owed() {
    let mut rig = ServerRig::new();
    let [a, b] = rig.room([A, B]);
    rig.say(a, &send(2, "text"));
    rig.heard(b);
    rig.commits = false;
    rig.say(b, &ack(2));
    rig.refuse();
    assert_eq!(rig.heard(b), []);
    rig.commits = true;
    rig.pass(3_000);
    let confirmed = Frame::CursorConfirmed { conversation: ROOM, delivered: 2, read: 0 };
    assert!(rig.heard(b).contains(&confirmed));
    let receipts = |frame: &Frame| matches!(frame, Frame::Receipts { .. });
    assert!(rig.heard(a).iter().any(receipts));
}

/// AV-6-7: at most what was asked for, 256, and 256 KiB; each with its predecessor, none left out; complete iff it
/// reaches the head.
#[test]
fn pages_are_bounded_and_whole() {
    let mut rig = ServerRig::with(|config| config.tail_entries = 100);
    let [a, b] = rig.room([A, B]);
    for id in 2..=400 {
        rig.say(a, &send(id, "text"));
        rig.say(a, &ack(id));
        rig.say(b, &ack(id));
    }
    let ask = |rig: &mut ServerRig, after: Seq, limit: u16| {
        rig.heard(b);
        rig.say(b, &sync(9, after, limit, Purpose::History));
        rig.load();
        let page = page_of(&rig.heard(b));
        let positions: Vec<Seq> = page.entries.iter().map(|(_, entry)| entry.seq).collect();
        let expected: Vec<Seq> = (after + 1..).take(positions.len()).collect();
        assert_eq!(positions, expected);
        assert!(page.entries.iter().all(|(prev, entry)| prev + 1 == entry.seq));
        assert_eq!((page.request, page.head, page.complete), (9, 400, after + positions.len() as u64 == 400));
        positions.len()
    };
    // From the store and from the tail; 0 asks for one.
    for (after, limit, expected) in [
        (0, 10, 10),
        (0, u16::MAX, PAGE_ENTRIES_MAX),
        (0, 0, 1),
        (144, 256, 256),
        (200, 300, 200),
        (350, 20, 20),
        (350, 49, 49),
        (350, 256, 50),
        (399, 256, 1),
        (400, 256, 0),
        (999, 1, 0),
    ] {
        if after == 999 {
            rig.say(b, &sync(9, after, limit, Purpose::History));
            assert_eq!(page_of(&rig.heard(b)).entries.len(), expected);
        } else {
            assert_eq!(ask(&mut rig, after, limit), expected, "after {after}, limit {limit}");
        }
    }
}

/// AV-6-7: bytes bound a page, from the tail and from the store; a single entry always fits.
#[test]
fn pages_are_bounded_by_bytes() {
    for tail_entries in [1, 100] {
        let mut rig = ServerRig::with(|config| config.tail_entries = tail_entries);
        let [a, b] = rig.room([A, B]);
        for id in 2..=9 {
            rig.say(a, &send_to(ROOM, id, vec![0; PAYLOAD_BYTES_MAX]));
        }
        rig.heard(b);
        rig.say(b, &sync(1, 1, 100, Purpose::History));
        rig.load();
        let page = page_of(&rig.heard(b));
        assert_eq!(page.entries.len(), PAGE_BYTES_MAX / PAYLOAD_BYTES_MAX);
        assert!(!page.complete);
    }
}

/// AV-6-7: somebody who never belonged gets an empty, complete page; also of what nobody made.
#[test]
fn strangers_get_empty_pages() {
    let mut rig = ServerRig::new();
    rig.room([A, B]);
    let stranger = rig.login(key(9, 0));
    for conversation in [ROOM, ConversationId(99)] {
        for purpose in [Purpose::History, Purpose::CatchUp] {
            let frame = Frame::Sync { request: 3, conversation, after: 0, limit: 10, purpose };
            let page = page_of(&rig.ask(stranger, &frame));
            assert_eq!((page.entries.len(), page.complete, page.head), (0, true, 0));
        }
    }
}

/// AV-6-7: a request that cannot be served is ignored; the client asks again.
#[test]
fn reads_are_bounded() {
    let mut rig = ServerRig::with(|config| config.tail_entries = 1);
    let [a, b] = rig.room([A, B]);
    rig.say(a, &send(2, "text"));
    for request in 0..=LOADS_PER_CONNECTION as u64 {
        rig.say(b, &sync(request, 0, 10, Purpose::History));
    }
    assert_eq!((rig.loads.len(), rig.stats().pages_refused), (LOADS_PER_CONNECTION, 1));
    rig.heard(b);
    rig.fail_loads();
    assert_eq!((rig.heard(b), rig.stats().pages_refused), (vec![], 1 + LOADS_PER_CONNECTION as u64));
    rig.say(b, &sync(1, 0, 10, Purpose::History));
    rig.load();
    assert_eq!(page_of(&rig.heard(b)).entries.len(), 2);
    // All connections together.
    let last = 100 + (LOADS_MAX / LOADS_PER_CONNECTION) as u64;
    rig.expect_accepted(a, &change(50, ROOM, users(100..=last), vec![]), 3);
    rig.expect_accepted(a, &send(51, "text"), 4);
    for user in 100..=last {
        let connection = rig.login(key(user, 0));
        for request in 0..LOADS_PER_CONNECTION as u64 {
            rig.say(connection, &sync(request, 0, 10, Purpose::History));
        }
    }
    assert_eq!(rig.loads.len(), LOADS_MAX);
    // An answer for somebody who has left is dropped.
    rig.load();
    assert_eq!(rig.loads.len(), 0);
}

/// AV-6-8: a page that does not bring what is missing is no answer (regression: client and server exchanged request and
/// page without end, as fast as the network let them).
#[test]
fn a_client_leaves_time_before_it_asks_again_in_vain() {
    let all = entries(5);
    let mut rig = ClientRig::logged_in();
    rig.deliver(&all[0], 0, false);
    rig.deliver(&all[4], 4, false);
    let said = rig.said();
    let [(request, ROOM, 1)] = asked(&said)[..] else { panic!("{said:?}") };
    for (entries, what) in [(&all[..1], "what it has"), (&all[2..4], "what is further on"), (&[], "nothing")]
    {
        rig.hear(&page(request, entries, 5));
        assert_eq!(asked(&rig.said()), [], "{what}");
    }
    rig.pass(700);
    let again = rig.said();
    assert!(matches!(asked(&again)[..], [(_, ROOM, 1)]), "{again:?}");
    // What brings it on is followed up at once.
    rig.hear(&page(asked(&again)[0].0, &all[1..2], 5));
    assert_eq!(rig.client.cursor(ROOM), 5, "what came too early was held");
    rig.deliver(&entries(9)[8], 8, false);
    let said = rig.said();
    let [(request, ROOM, 5)] = asked(&said)[..] else { panic!("{said:?}") };
    rig.hear(&page(request, &entries(9)[5..6], 9));
    assert!(matches!(asked(&rig.said())[..], [(_, ROOM, 6)]), "at once");
}

/// AV-6-9: a page that does not come before the connection is lost is asked for in parts (regression: on a slow network it took
/// longer than the client waits for a word, on every connection anew).
#[test]
fn a_client_asks_for_less_when_a_page_does_not_come() {
    fn limits(said: &[Frame]) -> Vec<u16> {
        let of = |frame: &Frame| match frame {
            Frame::Sync { limit, .. } => Some(*limit),
            _ => None,
        };
        said.iter().filter_map(of).collect()
    }
    let mut rig = ClientRig::logged_in();
    rig.hear(&Frame::Heads(vec![Head { conversation: ROOM, first: 1, head: 40 }]));
    assert_eq!(limits(&rig.said()), [128]);
    for fewer in [10, 2, 1, 1] {
        rig.input(Input::Disconnected);
        rig.pass(1_000);
        rig.log_in();
        assert_eq!(limits(&rig.said()), [fewer], "of 40");
    }
    // What arrives makes the next one longer; an application's page, too.
    let all = entries(40);
    rig.command(Command::ReadPage { request: 1, conversation: ROOM, after: 0 });
    let request = asked(&rig.said())[0].0;
    rig.hear(&page(request, &all[..1], 40));
    rig.pass(700);
    let said = rig.said();
    assert_eq!(limits(&said), [2]);
    rig.hear(&page(asked(&said)[0].0, &all[..2], 40));
    assert_eq!(limits(&rig.said()), [3]);
    // Who leaves loses nothing on the way.
    rig.command(Command::Close);
    rig.command(Command::Reconnect);
    rig.log_in();
    assert_eq!(limits(&rig.said()), [3]);
}

/// AV-6-7: what a client asks for at a time is bounded; unanswered, it asks again.
#[test]
fn a_client_bounds_its_requests() {
    let mut rig = ClientRig::logged_in();
    let heads = (1..=6).map(|id| Head { conversation: ConversationId(id), first: 1, head: 1 }).collect();
    rig.hear(&Frame::Heads(heads));
    let said = rig.said();
    assert_eq!(asked(&said).len(), SYNCS_IN_FLIGHT, "{said:?}");
    // One answer, one more question.
    let (request, conversation, _) = asked(&said)[0];
    let created = journal::Body::Members { added: vec![A.user], removed: vec![] };
    let entry = entry_of(conversation, 1, &[0; 32], (B, created));
    let one = vec![(0, entry)];
    rig.hear(&Frame::Page(Page {
        request,
        conversation,
        complete: true,
        head: 1,
        redelivered_up_to: 0,
        entries: one,
    }));
    assert_eq!(asked(&rig.said()).len(), 1);
    rig.pass(700);
    assert_eq!(asked(&rig.said()).len(), SYNCS_IN_FLIGHT, "again");
    // History for the application.
    let mut rig = ClientRig::logged_in();
    for request in 0..=PAGE_REQUESTS_MAX as u64 {
        rig.command(Command::ReadPage { request, conversation: ROOM, after: 0 });
    }
    let said = rig.said();
    assert_eq!(asked(&said).len(), PAGE_REQUESTS_MAX);
    rig.pass(700);
    assert_eq!(asked(&rig.said()).len(), PAGE_REQUESTS_MAX, "again");
    rig.hear(&page(asked(&said)[0].0, &entries(2), 2));
    let pages = rig.seen();
    assert!(
        matches!(&pages[..], [.., Observation::Page { request: 0, complete: true, entries, .. }] if entries.len() == 2)
    );
    assert_eq!(rig.client.cursor(ROOM), 0, "history moves no cursor");
}

/// The mark says exactly whether this process transmitted the entry to this installation before: by a push, by a
/// catch-up page, not by a history page.
#[test]
fn marks_are_exact() {
    let mut rig = ServerRig::new();
    let [a, b] = rig.room([A, B]);
    rig.commits = false;
    rig.say(a, &send(2, "text"));
    rig.commits = true;
    rig.commit();
    assert_eq!(deliveries(&rig.heard(b)), [(2, 1, false, Cause::First)]);
    rig.disconnect(b);
    rig.say(a, &send(3, "text"));
    let b = rig.login(B);
    rig.disconnect(b);
    let b = rig.connect();
    let heard = rig.ask(b, &hello(B, INSTALLATION, &[]));
    assert_eq!(deliveries(&heard), [(2, 1, true, Cause::Retry), (3, 2, true, Cause::Retry)]);
    // Paged as history, then pushed for the first time.
    rig.disconnect(b);
    rig.say(a, &send(4, "text"));
    let page = page_of(&rig.ask(a, &sync(1, 0, 10, Purpose::History)));
    assert_eq!(page.redelivered_up_to, 4, "of what was pushed to that device");
    let b = rig.connect();
    let heard = rig.ask(b, &hello(B, INSTALLATION, &[]));
    assert_eq!(deliveries(&heard).last(), Some(&(4, 3, false, Cause::First)));
    // Another installation knows nothing.
    rig.disconnect(b);
    let b = rig.connect();
    let heard = rig.ask(b, &hello(B, 123, &[]));
    assert!(deliveries(&heard).iter().all(|(_, _, redelivered, _)| !redelivered), "{heard:?}");
    assert_eq!(deliveries(&heard).len(), 4);
}

/// What is held when a connection ends belonged to it.
#[test]
fn what_is_held_ends_with_the_connection() {
    let all = entries(3);
    let mut rig = ClientRig::logged_in();
    rig.deliver(&all[2], 2, false);
    rig.input(Input::Disconnected);
    rig.pass(1_000);
    rig.log_in();
    rig.seen();
    let said = rig.said();
    let [(request, ..)] = asked(&said)[..] else { panic!("{said:?}") };
    rig.hear(&page(request, &all, 3));
    assert_eq!(rig.delivered(), [1, 2, 3]);
}
