//! Cursors and receipts (PROTOCOL.md 7).

use avouch_engine::client::{Command, Input, Observation};
use avouch_engine::codec::{Frame, ReceiptItem};
use avouch_engine::ids::{DeviceKey, Seq};
use avouch_engine::limits::{DEVICES_PER_USER, RECEIPT_ITEMS_PER_FRAME, RECEIPT_MEMBERS_MAX};

use crate::rig::{
    A, B, Both, C, ClientRig, INSTALLATION, ROOM, ServerRig, change, entries, hello, key, send, users,
};

fn ack(up_to: Seq) -> Frame {
    Frame::Ack { conversation: ROOM, up_to }
}

fn read(up_to: Seq) -> Frame {
    Frame::Read { conversation: ROOM, up_to }
}

fn item(by: DeviceKey, delivered: Seq, read: Seq) -> ReceiptItem {
    ReceiptItem { by, delivered, read }
}

/// Versions and items of every batch.
fn batches(heard: &[Frame]) -> Vec<(u64, u64, Vec<ReceiptItem>)> {
    let batch = |frame: &Frame| match frame {
        Frame::Receipts { from, to, items, .. } => Some((*from, *to, items.clone())),
        _ => None,
    };
    heard.iter().filter_map(batch).collect()
}

fn confirm(version: u64) -> Frame {
    Frame::ReceiptAck { conversation: ROOM, version }
}

/// AV-7-1: one proposal at a time per device, later acks gathered; versions rise; neither value falls, and read is at
/// most delivered.
#[test]
fn cursor_changes_are_gathered() {
    let mut rig = ServerRig::new();
    let [a, b] = rig.room([A, B]);
    for id in 2..=6 {
        rig.say(a, &send(id, "text"));
    }
    rig.heard(b);
    rig.commits = false;
    rig.say(b, &ack(2));
    for up_to in [3, 4, 3] {
        rig.say(b, &ack(up_to));
    }
    rig.say(b, &read(5));
    assert_eq!(rig.journal.pending(), 1);
    rig.commit();
    rig.commits = true;
    let confirmed: Vec<(Seq, Seq)> = rig
        .heard(b)
        .iter()
        .filter_map(|frame| match frame {
            Frame::CursorConfirmed { delivered, read, .. } => Some((*delivered, *read)),
            _ => None,
        })
        .collect();
    assert_eq!(confirmed, [(2, 0), (5, 5)]);
    let cursors = &rig.journal.recovered().conversations[0].cursors;
    let [of_a, of_b] = &cursors[..] else { panic!("{cursors:?}") };
    assert_eq!((of_b.delivered, of_b.read), (5, 5));
    assert!(of_b.version > of_a.version);
    // Falling marks change nothing.
    rig.say(b, &read(2));
    assert_eq!(rig.journal.recovered().conversations[0].cursors[1], *of_b);
}

/// AV-7-2: nothing is confirmed and nobody is told before the commit.
#[test]
fn a_cursor_is_told_when_it_is_durable() {
    let mut rig = ServerRig::new();
    let [a, b] = rig.room([A, B]);
    rig.say(a, &send(2, "text"));
    rig.say(a, &ack(2));
    rig.settle_receipts(b);
    rig.heard(a);
    rig.commits = false;
    assert_eq!(rig.ask(b, &ack(2)), []);
    assert_eq!(rig.heard(a), []);
    rig.commit();
    assert_eq!(rig.heard(b).len(), 1);
    assert_eq!(batches(&rig.heard(a))[0].2, [item(B, 2, 0)]);
}

/// AV-7-3: every device of a current member is told of every other device, also of one that has left and of the user's
/// own others; repeated until it is confirmed.
#[test]
fn receipts_reach_every_device_of_a_member() {
    let tablet = key(1, 1);
    let mut rig = ServerRig::with(|config| config.sweep_ms = 1_000_000);
    let [a, other, b, c] = rig.room([A, tablet, B, C]);
    rig.say(a, &send(2, "text"));
    for connection in [a, other, b, c] {
        rig.settle_receipts(connection);
    }
    rig.say(b, &read(2));
    for connection in [a, other, c] {
        let told = batches(&rig.heard(connection));
        let [(from, to, items)] = &told[..] else { panic!("{told:?}") };
        assert!(to > from);
        assert_eq!(items[..], [item(B, 2, 2)]);
    }
    assert_eq!(batches(&rig.heard(b)), [], "nobody is told of itself");
    // One batch in flight; it comes again until it is confirmed.
    rig.say(c, &ack(2));
    assert_eq!(batches(&rig.heard(a)), []);
    rig.pass(700);
    let again = batches(&rig.heard(a));
    let [(_, to, items)] = &again[..] else { panic!("{again:?}") };
    assert_eq!(items[..], [item(B, 2, 2), item(C, 2, 0)], "with what is new");
    assert_eq!(rig.stats().receipts_retried, 4, "B is told of C");
    rig.say(a, &confirm(*to));
    rig.pass(700);
    assert_eq!(batches(&rig.heard(a)), []);
    // A member who leaves is told no more, and the others still know of it.
    rig.say(a, &change(3, ROOM, vec![], users([3])));
    rig.heard(c);
    rig.settle_receipts(b);
    rig.say(b, &ack(3));
    assert_eq!(batches(&rig.heard(c)), []);
    let fresh = rig.connect();
    let heard = rig.ask(fresh, &hello(key(2, 1), INSTALLATION, &[]));
    let known: Vec<DeviceKey> =
        batches(&heard).iter().flat_map(|(_, _, items)| items.iter().map(|item| item.by)).collect();
    assert!(known.contains(&C) && known.contains(&A) && known.contains(&B), "{known:?}");
}

/// AV-7-3: a batch is repeated with growing, jittered waits.
#[test]
fn receipts_are_repeated_with_growing_waits() {
    let mut rig = ServerRig::with(|config| (config.sweep_ms, config.silent_ms) = (1_000_000, 1_000_000));
    let [a, b] = rig.room([A, B]);
    rig.say(a, &send(2, "text"));
    rig.say(a, &ack(2));
    rig.settle_receipts(b);
    rig.heard(a);
    rig.say(b, &ack(2));
    assert_eq!(batches(&rig.heard(a)).len(), 1);
    let (mut waits, mut last) = (Vec::new(), rig.now_ms);
    while waits.len() < 6 {
        rig.pass(1);
        if !batches(&rig.heard(a)).is_empty() {
            waits.push(rig.now_ms - last);
            last = rig.now_ms;
        }
    }
    for (wait, nominal) in waits.iter().zip([500, 1_000, 2_000, 4_000, 8_000, 10_000]) {
        assert!(*wait >= nominal * 3 / 4 && *wait <= nominal * 5 / 4 + 1, "{waits:?}");
    }
}

/// AV-7-3: a conversation of 257 has none; when one leaves, they come.
#[test]
fn large_conversations_have_no_receipts() {
    let mut rig = ServerRig::new();
    let [a, b] = rig.room([A, B]);
    rig.expect_accepted(a, &change(2, ROOM, users(1_000..1_000 + RECEIPT_MEMBERS_MAX as u64 - 1), vec![]), 2);
    rig.settle_receipts(a);
    rig.say(b, &ack(2));
    assert_eq!(batches(&rig.heard(a)), []);
    rig.expect_accepted(a, &change(3, ROOM, vec![], users([1_000])), 3);
    rig.pass(3_000);
    let told = batches(&rig.heard(a));
    assert!(told.iter().any(|(_, _, items)| items.contains(&item(B, 2, 0))), "{told:?}");
}

/// AV-7-3: a batch tells of at most 128 devices; the next one goes on from there.
#[test]
fn batches_are_bounded() {
    let mut rig = ServerRig::new();
    let per_user = DEVICES_PER_USER as u32;
    let members = 5;
    let [a] = rig.room([A]);
    rig.expect_accepted(a, &change(2, ROOM, users(2..=members), vec![]), 2);
    rig.disconnect(a);
    for user in 2..=members {
        for device in 0..per_user {
            let connection = rig.login(key(user, device));
            rig.say(connection, &ack(2));
            rig.disconnect(connection);
        }
    }
    // One more is too many.
    let connection = rig.connect();
    rig.say(connection, &hello(key(2, per_user), INSTALLATION, &[]));
    rig.expect_error(connection, avouch_engine::codec::ErrorCode::TooMany);

    let a = rig.connect();
    let mut heard = rig.ask(a, &hello(A, INSTALLATION, &[]));
    let (mut at, mut sizes) = (None, Vec::new());
    while let Some((from, to, items)) = batches(&heard).first().cloned() {
        assert!(at.is_none_or(|at| at == from) && to > from);
        at = Some(to);
        sizes.push(items.len());
        heard = rig.ask(a, &confirm(to));
    }
    // User 2's devices are 32 of 128; A itself is not told of.
    let devices = per_user as usize * (members as usize - 1);
    assert_eq!(sizes.iter().sum::<usize>(), devices);
    assert!(sizes.iter().all(|size| *size <= RECEIPT_ITEMS_PER_FRAME), "{sizes:?}");
    rig.disconnect(a);
    let more = rig.login(key(1, 1));
    rig.say(more, &ack(2));
    rig.disconnect(more);
    let other = rig.connect();
    let heard = rig.ask(other, &hello(key(1, 2), INSTALLATION, &[]));
    assert_eq!(batches(&heard)[0].2.len(), RECEIPT_ITEMS_PER_FRAME);
}

/// AV-7-4: a client applies what follows its version, and answers every batch with the version that it has.
#[test]
fn a_client_applies_what_follows_its_version() {
    let batch =
        |from: u64, to: u64, items: Vec<ReceiptItem>| Frame::Receipts { conversation: ROOM, from, to, items };
    let told = |seen: &[Observation]| -> Vec<(Seq, Seq)> {
        seen.iter()
            .filter_map(|seen| match seen {
                Observation::Receipt { delivered, read, .. } => Some((*delivered, *read)),
                _ => None,
            })
            .collect()
    };
    let mut rig = ClientRig::logged_in();
    rig.seen();
    for (frame, version, news) in [
        (batch(0, 4, vec![item(B, 3, 1)]), 4, vec![(3, 1)]),
        // A copy, one that does not follow, and one that goes back.
        (batch(0, 4, vec![item(B, 3, 1)]), 4, vec![]),
        (batch(6, 9, vec![item(B, 9, 9)]), 4, vec![]),
        (batch(4, 4, vec![item(B, 9, 9)]), 4, vec![]),
        (batch(4, 6, vec![item(B, 3, 1)]), 6, vec![]),
        (batch(6, 7, vec![item(B, 3, 3)]), 7, vec![(3, 3)]),
    ] {
        rig.hear(&frame);
        assert_eq!(rig.said(), [confirm(version)], "{frame:?}");
        assert_eq!(told(&rig.seen()), news, "{frame:?}");
    }
}

/// AV-7-4: a server goes on from the version that it learns of, once and for all: the confirmation is durable.
#[test]
fn confirmations_are_durable() {
    let mut rig = ServerRig::new();
    let [a, b] = rig.room([A, B]);
    rig.say(a, &send(2, "text"));
    rig.say(b, &ack(2));
    let told = batches(&rig.heard(a));
    let (_, to, _) = told[0];
    // Beyond everything that was given out: not believed.
    rig.say(a, &confirm(to + 100));
    rig.say(a, &confirm(to));
    let confirmed = rig.journal.recovered().conversations[0].cursors[0].receipts_confirmed;
    assert_eq!(confirmed, to);
    rig.restart();
    let a = rig.connect();
    let heard = rig.ask(a, &hello(A, INSTALLATION, &[]));
    assert_eq!(batches(&heard), []);
    // Not durable (the crash came first): told again from what is.
    rig.commits = false;
    let b = rig.login(B);
    rig.say(b, &read(2));
    rig.commit();
    let (from, to, _) = batches(&rig.heard(a))[0].clone();
    rig.say(a, &confirm(to));
    rig.restart();
    rig.commits = true;
    let a = rig.connect();
    let heard = rig.ask(a, &hello(A, INSTALLATION, &[]));
    assert_eq!(batches(&heard)[0].0, from);
}

/// AV-7-5: what a client reported never falls, also when the other device begins anew.
#[test]
fn receipts_never_fall() {
    let mut rig = ClientRig::logged_in();
    let batch = |from: u64, items: Vec<ReceiptItem>| Frame::Receipts {
        conversation: ROOM,
        from,
        to: from + 1,
        items,
    };
    rig.hear(&batch(0, vec![item(B, 5, 4)]));
    rig.seen();
    rig.hear(&batch(1, vec![item(B, 1, 0)]));
    assert_eq!(rig.seen(), []);
    rig.hear(&batch(2, vec![item(B, 6, 0)]));
    let expected = Observation::Receipt { conversation: ROOM, by: B, delivered: 6, read: 4 };
    assert_eq!(rig.seen(), [expected]);
}

/// AV-7-1: a read mark is repeated until it is confirmed, and reported once; beyond the cursor it is cut.
#[test]
fn a_read_mark_is_repeated_until_it_is_confirmed() {
    let mut rig = ClientRig::logged_in();
    for entry in &entries(3) {
        rig.deliver(entry, entry.seq - 1, false);
    }
    rig.hear(&Frame::CursorConfirmed { conversation: ROOM, delivered: 3, read: 0 });
    rig.said();
    rig.command(Command::MarkRead { conversation: ROOM, up_to: 99 });
    assert_eq!(rig.said(), [read(3)]);
    rig.pass(2_500);
    assert_eq!(rig.said(), [read(3), read(3)]);
    rig.input(Input::Disconnected);
    rig.pass(1_000);
    rig.log_in();
    assert_eq!(rig.said(), [read(3)]);
    rig.seen();
    let confirmed = Frame::CursorConfirmed { conversation: ROOM, delivered: 3, read: 3 };
    rig.hear(&confirmed);
    rig.hear(&confirmed);
    assert_eq!(rig.seen(), [Observation::ReadConfirmed { conversation: ROOM, up_to: 3 }]);
    rig.pass(60_000);
    assert_eq!(rig.said(), []);
    assert_eq!(rig.client.stats().marks_retried, 3);
}

/// Both ways: delivered and read reach the author, and its confirmation the server, though each frame of it is lost once.
#[test]
fn receipts_survive_losses() {
    for lost in ["ack", "read", "cursor-confirmed", "receipts", "receipt-ack"] {
        let mut both = Both::new(&[A, B], |_| {});
        both.pass(1_000);
        let mut first = true;
        both.lose(move |_, frame| frame.kind_name() == lost && std::mem::take(&mut first));
        both.send(0, 2);
        both.command(1, Command::MarkRead { conversation: ROOM, up_to: 2 });
        both.pass(20_000);
        let told = Observation::Receipt { conversation: ROOM, by: B, delivered: 2, read: 2 };
        assert!(both.devices[0].seen.contains(&told), "{lost}");
        assert!(both.is_idle(), "{lost}");
        let cursors = both.journal.recovered().conversations[0].cursors.clone();
        let version = both.journal.recovered().conversations[0].version;
        assert!(
            cursors.iter().all(|cursor| cursor.receipts_confirmed == version || cursor.version == version),
            "{lost}: {cursors:?}"
        );
    }
}
