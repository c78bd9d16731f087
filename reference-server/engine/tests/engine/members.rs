//! Conversations and who belongs to them (PROTOCOL.md 5).

use avouch_engine::chain::{self, CHAIN_START};
use avouch_engine::client::Observation;
use avouch_engine::codec::{Frame, Purpose, RejectCode};
use avouch_engine::ids::{ConversationId, Seq};
use avouch_engine::limits::{
    CONVERSATIONS_PER_USER, MEMBERS_PER_CHANGE, MEMBERS_PER_CONVERSATION, STAYS_PER_MEMBER,
};

use crate::rig::{
    A, B, C, ClientRig, INSTALLATION, ROOM, ServerRig, change, entries, entry, hello, key, message, send,
    sync, users,
};

/// AV-5-1: a conversation begins with a change by somebody who joins, and nobody leaves in it.
#[test]
fn the_first_entry_makes_a_conversation() {
    let mut rig = ServerRig::new();
    let a = rig.login(A);
    rig.expect_rejected(a, &send(1, "text"), RejectCode::UnknownConversation);
    rig.expect_rejected(a, &change(2, ROOM, users([2, 3]), vec![]), RejectCode::BadMembers);
    rig.expect_rejected(a, &change(3, ROOM, users([1]), users([2])), RejectCode::BadMembers);
    rig.expect_accepted(a, &change(4, ROOM, users([1, 2]), vec![]), 1);
    let stranger = rig.login(C);
    rig.expect_rejected(stranger, &change(1, ROOM, users([3]), vec![]), RejectCode::NotMember);
    let b = rig.login(B);
    rig.expect_accepted(b, &change(1, ROOM, users([3]), vec![]), 2);
}

/// AV-5-1: a conversation that the journal refuses was never made; its slot serves another one.
#[test]
fn a_refused_conversation_was_never_made() {
    let mut rig = ServerRig::new();
    let a = rig.login(A);
    rig.commits = false;
    rig.say(a, &change(1, ROOM, users([1, 2]), vec![]));
    rig.say(a, &send(2, "text"));
    rig.refuse();
    rig.commits = true;
    rig.expect_rejected(a, &send(3, "text"), RejectCode::UnknownConversation);
    rig.make(a, 4, ConversationId(8), users([1, 2]));
    rig.make(a, 5, ROOM, users([1]));
}

/// AV-5-2: who may join and leave, and how many at once.
#[test]
fn changes_have_to_fit() {
    let mut rig = ServerRig::new();
    let [a, _] = rig.room([A, B]);
    let bad = [
        (vec![], vec![]),
        (users([3, 3]), vec![]),
        (users([3]), users([3])),
        (users([2]), vec![]),
        (vec![], users([3])),
        (vec![], users([2, 2])),
        (users(10..=10 + MEMBERS_PER_CHANGE as u64), vec![]),
    ];
    for (id, (added, removed)) in (2..).zip(bad) {
        rig.expect_rejected(a, &change(id, ROOM, added, removed), RejectCode::BadMembers);
    }
    rig.expect_accepted(a, &change(20, ROOM, users(10..10 + MEMBERS_PER_CHANGE as u64), vec![]), 2);
    rig.expect_accepted(a, &change(21, ROOM, users([3]), users([2])), 3);
}

/// AV-5-2: 64 stays of one user.
#[test]
fn stays_are_limited() {
    let mut rig = ServerRig::new();
    let [a, _] = rig.room([A, B]);
    let mut id = 1;
    for _ in 1..STAYS_PER_MEMBER {
        for (added, removed) in [(vec![], users([2])), (users([2]), vec![])] {
            id += 1;
            rig.expect_accepted(a, &change(id, ROOM, added, removed), id);
        }
    }
    rig.expect_accepted(a, &change(id + 1, ROOM, vec![], users([2])), id + 1);
    rig.expect_rejected(a, &change(id + 2, ROOM, users([2]), vec![]), RejectCode::BadMembers);
}

/// AV-5-2: 10,000 conversations of one user.
#[test]
fn conversations_of_a_user_are_limited() {
    let mut rig = ServerRig::new();
    let (a, b) = (rig.login(A), rig.login(B));
    for id in 1..=CONVERSATIONS_PER_USER as u64 {
        rig.say(a, &change(id, ConversationId(1_000 + id), users([1]), vec![]));
    }
    assert_eq!(rig.stats().entries_committed, CONVERSATIONS_PER_USER as u64);
    let id = CONVERSATIONS_PER_USER as u64 + 1;
    rig.expect_rejected(a, &change(id, ROOM, users([1]), vec![]), RejectCode::BadMembers);
    rig.expect_rejected(b, &change(1, ROOM, users([2, 1]), vec![]), RejectCode::BadMembers);
    rig.expect_accepted(b, &change(2, ROOM, users([2]), vec![]), 1);
    rig.expect_rejected(b, &change(3, ROOM, users([1]), vec![]), RejectCode::BadMembers);
}

/// AV-5-2: 10,000 members; each message reaches those who are there, and only changes what it must.
#[test]
fn a_group_of_ten_thousand() {
    let mut rig = ServerRig::new();
    let a = rig.login(A);
    let steps = (MEMBERS_PER_CONVERSATION / MEMBERS_PER_CHANGE) as u64;
    for step in 0..steps {
        let from = 1 + step * MEMBERS_PER_CHANGE as u64;
        let added = users(from..from + MEMBERS_PER_CHANGE as u64);
        rig.expect_accepted(a, &change(step + 1, ROOM, added, vec![]), step + 1);
    }
    let more = change(50, ROOM, users([20_000]), vec![]);
    rig.expect_rejected(a, &more, RejectCode::BadMembers);
    let swap = change(51, ROOM, users([20_000]), users([2]));
    rig.expect_accepted(a, &swap, steps + 1);
    // Messages flow while members come and go: the last one of 300 devices, and somebody who has left.
    let there: Vec<_> = (3..303).map(|user| rig.login(key(user, 0))).collect();
    let gone = rig.login(B);
    for connection in there.iter().copied() {
        assert!(rig.delivered(connection).is_empty(), "all of it is heard at login");
        rig.say(connection, &Frame::Ack { conversation: ROOM, up_to: steps + 1 });
        rig.heard(connection);
    }
    let before = rig.stats();
    rig.expect_accepted(a, &send(52, "to all"), steps + 2);
    rig.expect_accepted(a, &change(53, ROOM, vec![], users([302])), steps + 3);
    rig.expect_accepted(a, &send(54, "to all but one"), steps + 4);
    for (user, connection) in (3..).zip(there) {
        let expected: Vec<Seq> = (steps + 2..=if user == 302 { steps + 3 } else { steps + 4 }).collect();
        assert_eq!(rig.delivered(connection), expected, "user {user}");
    }
    assert_eq!(rig.delivered(gone), [] as [Seq; 0]);
    let after = rig.stats();
    assert_eq!(after.entries_committed - before.entries_committed, 3);
    assert_eq!(after.receipts, before.receipts, "too large for receipts");
    // One place is free, and after that none; also after a restart.
    let join = |id: u64, added: Vec<u64>| change(id, ROOM, users(added), vec![]);
    rig.expect_rejected(a, &join(55, vec![20_001, 20_002]), RejectCode::BadMembers);
    rig.expect_accepted(a, &join(56, vec![20_001]), steps + 5);
    rig.expect_rejected(a, &join(57, vec![20_002]), RejectCode::BadMembers);
    rig.restart();
    let a = rig.login(A);
    rig.expect_rejected(a, &join(58, vec![20_002]), RejectCode::BadMembers);
    rig.expect_accepted(a, &send(59, "again"), steps + 6);
}

/// AV-5-3: of each stay, from the entry that adds to the one that removes; pushed, paged and as predecessors.
#[test]
fn members_see_their_stays() {
    let mut rig = ServerRig::new();
    let [a, b, c] = rig.room([A, B, C]);
    rig.say(a, &send(2, "before"));
    rig.say(a, &change(3, ROOM, vec![], users([2])));
    rig.say(a, &send(4, "without"));
    rig.say(a, &change(5, ROOM, users([2]), vec![]));
    rig.say(a, &send(6, "after"));
    let seen: Vec<(Seq, Seq)> = rig
        .heard(b)
        .iter()
        .filter_map(|frame| match frame {
            Frame::Deliver { prev, entry, .. } => Some((*prev, entry.seq)),
            _ => None,
        })
        .collect();
    assert_eq!(seen, [(1, 2), (2, 3), (3, 5), (5, 6)]);
    assert_eq!(rig.delivered(c), [2, 3, 4, 5, 6]);
    // The first page ends with the stay; the second goes on behind the hole.
    let mut pages = Vec::new();
    for (request, after) in [(1, 0), (2, 3)] {
        let heard = rig.ask(b, &sync(request, after, 100, Purpose::History));
        let [Frame::Page(page)] = &heard[..] else { panic!("{heard:?}") };
        let positions: Vec<(Seq, Seq)> =
            page.entries.iter().map(|(prev, entry)| (*prev, entry.seq)).collect();
        pages.push((positions, page.complete, page.head));
    }
    assert_eq!(pages, [(vec![(0, 1), (1, 2), (2, 3)], false, 6), (vec![(3, 5), (5, 6)], true, 6),]);
    // Who is out cannot speak, nor acknowledge what others see.
    rig.say(a, &change(7, ROOM, vec![], users([2])));
    rig.say(a, &send(8, "without again"));
    rig.expect_rejected(b, &send(2, "text"), RejectCode::NotMember);
    let before = rig.stats().acks_beyond_head;
    rig.say(b, &Frame::Ack { conversation: ROOM, up_to: 8 });
    assert_eq!(rig.stats().acks_beyond_head, before + 1);
}

/// AV-5-3: somebody who comes, goes and comes back before the first of it is committed belongs from then on (regression:
/// the user's conversations did not list this one, so that no login of theirs got anything of it).
#[test]
fn coming_twice_in_one_commit_is_belonging() {
    let mut rig = ServerRig::new();
    let [a, _] = rig.room([A, B]);
    rig.commits = false;
    rig.say(a, &change(2, ROOM, users([3]), vec![]));
    rig.say(a, &change(3, ROOM, vec![], users([3])));
    rig.say(a, &change(4, ROOM, users([3]), vec![]));
    rig.commits = true;
    rig.commit();
    rig.expect_accepted(a, &send(5, "text"), 5);
    let c = rig.connect();
    rig.say(c, &hello(C, INSTALLATION, &[]));
    assert_eq!(rig.delivered(c), [2, 3, 4, 5]);
}

/// AV-5-3: what is only proposed makes nobody a member, and takes nothing from anybody.
#[test]
fn a_change_counts_when_it_is_committed() {
    let mut rig = ServerRig::new();
    let [a, b] = rig.room([A, B]);
    let c = rig.login(C);
    rig.commits = false;
    rig.say(a, &change(2, ROOM, users([3]), users([2])));
    rig.say(a, &send(3, "text"));
    assert_eq!(rig.ask(c, &sync(1, 0, 10, Purpose::History)).len(), 1);
    assert_eq!((rig.delivered(b), rig.delivered(c)), (vec![], vec![]));
    rig.refuse();
    rig.commits = true;
    rig.expect_accepted(a, &send(3, "text"), 2);
    assert_eq!((rig.delivered(b), rig.delivered(c)), (vec![2], vec![]));
}

/// AV-5-4: positions have no gaps: not after refusals, not after proposals that the journal refused.
#[test]
fn positions_have_no_gaps() {
    let mut rig = ServerRig::new();
    let [a, b] = rig.room([A, B]);
    rig.expect_accepted(a, &send(2, "text"), 2);
    rig.expect_rejected(a, &change(3, ROOM, vec![], users([9])), RejectCode::BadMembers);
    rig.commits = false;
    rig.say(a, &send(4, "lost"));
    rig.say(a, &change(5, ROOM, vec![], users([2])));
    rig.refuse();
    assert_eq!(rig.stats().proposals_refused, 2);
    rig.commits = true;
    // The positions go to others, and the removed member never left.
    rig.expect_accepted(b, &send(2, "instead"), 3);
    rig.expect_accepted(a, &send(4, "lost"), 4);
    let log = rig.journal.log(ROOM);
    assert_eq!(log.iter().map(|entry| entry.seq).collect::<Vec<_>>(), [1, 2, 3, 4]);
    let mut before = CHAIN_START;
    for entry in log {
        before = chain::next(&before, ROOM, entry);
        assert_eq!(before, entry.chain, "the chain goes on from what is durable");
    }
    // A batch of which only the beginning is durable, and a crash.
    rig.commits = false;
    rig.say(a, &send(6, "durable"));
    rig.say(a, &send(7, "not"));
    rig.journal.commit(1);
    rig.restart();
    rig.commits = true;
    let a = rig.login(A);
    rig.expect_accepted(a, &send(6, "durable"), 5);
    rig.expect_accepted(a, &send(7, "not"), 6);
}

/// AV-5-5: the chain is what PROTOCOL.md says, computed here by hand for one entry of each kind.
#[test]
fn the_chain_commits_to_everything() {
    let mut rig = ServerRig::new();
    let [a, _] = rig.room([A, B]);
    rig.say(a, &send(2, "text"));
    let log = rig.journal.log(ROOM).to_vec();
    let hash = |parts: &[&[u8]]| -> [u8; 32] {
        use sha2::Digest;
        sha2::Sha256::digest(parts.concat()).into()
    };
    let le = |value: u64| value.to_le_bytes();
    let content_1 = hash(&[&le(7), &[2, 0], &le(2), &le(1), &le(2)]);
    let content_2 = hash(&[&le(7), &[1, 0], &le(0), b"text"]);
    let mut before = CHAIN_START;
    for (entry, content) in log.iter().zip([content_1, content_2]) {
        assert_eq!(chain::content(ROOM, &entry.body), content);
        let (device, at) = (0u32.to_le_bytes(), le(entry.at_ms));
        before = hash(&[&before, &le(entry.seq), &le(1), &device, &le(entry.id.0), &at, &content]);
        assert_eq!(entry.chain, before);
    }
}

/// AV-5-5: a client verifies what follows its cursor, and reports what does not fit; also at a copy of the last one.
#[test]
fn a_client_verifies_the_chain() {
    let good = entries(4);
    let mut rig = ClientRig::logged_in();
    rig.deliver(&good[0], 0, false);
    rig.deliver(&good[1], 1, false);
    let mut other = good[1].clone();
    other.chain[3] ^= 1;
    rig.seen();
    rig.deliver(&other, 1, true);
    let broken = Observation::ChainBroken { conversation: ROOM, seq: 2 };
    assert!(rig.seen().contains(&broken));
    // Rewritten: the text is another, the chain is the old one.
    let mut rewritten = good[2].clone();
    rewritten.body = message("other text");
    rig.deliver(&rewritten, 2, false);
    assert!(rig.seen().contains(&Observation::ChainBroken { conversation: ROOM, seq: 3 }));
    assert_eq!(rig.client.stats().chain_broken, 2);
    rig.deliver(&good[3], 3, false);
    assert_eq!(rig.client.stats().chain_broken, 2, "after that it fits again");
    // Across a time without membership there is nothing to compare with.
    rig.deliver(&entry(9, &[9; 32], B, message("back")), 4, false);
    assert_eq!(rig.client.stats().chain_broken, 2);
    assert_eq!(rig.client.cursor(ROOM), 9);
}
