//! Limits that no other test reaches: each is reached, and answered as PROTOCOL.md says (10).

use avouch_engine::codec::{ErrorCode, Frame, GoodbyeCode, Hello, VERSION};
use avouch_engine::ids::{ConversationId, DeviceKey, MessageId};
use avouch_engine::journal::Body;
use avouch_engine::limits::{
    CONNECTIONS_MAX, DEVICES_PER_USER, ENTRY_HEADER_BYTES, FRAME_BYTES_MAX, HELLO_POSITIONS_MAX,
    MEMBERS_PER_CHANGE, PAGE_BYTES_MAX, PAGE_ENTRIES_MAX, PAYLOAD_BYTES_MAX, TOKEN_BYTES_MAX,
};
use bytes::Bytes;

use crate::rig::{
    A, B, ClientRig, INSTALLATION, ROOM, ServerRig, encoded, entry, entry_of, hello, key, message, token,
};

fn hello_with(token: Bytes, positions: u64) -> Frame {
    let Frame::Hello(with) = hello(A, INSTALLATION, &[]) else { unreachable!() };
    let position =
        |id: u64| avouch_engine::codec::Position { conversation: ConversationId(id), acked: 0, received: 1 };
    Frame::Hello(Hello { version: VERSION, token, positions: (0..positions).map(position).collect(), ..with })
}

/// AV-3-5: 512 positions and a token of 256 bytes fit into a hello, one more does not.
#[test]
fn a_hello_is_bounded() {
    let check = |frame: Frame, expected: Option<ErrorCode>| {
        let mut rig = ServerRig::new();
        let connection = rig.connect();
        rig.say(connection, &frame);
        match expected {
            None => assert!(!rig.is_closed(connection)),
            Some(code) => rig.expect_error(connection, code),
        }
    };
    let positions = HELLO_POSITIONS_MAX as u64;
    check(hello_with(token(A), positions), None);
    check(hello_with(token(A), positions + 1), Some(ErrorCode::Malformed));
    let long = |bytes: usize| hello_with(Bytes::from(vec![0; bytes]), 0);
    check(long(TOKEN_BYTES_MAX), Some(ErrorCode::Unauthorized));
    check(long(TOKEN_BYTES_MAX + 1), Some(ErrorCode::Malformed));
}

/// AV-3-5: a client that is ahead in more conversations lists 512.
#[test]
fn a_client_lists_at_most_so_many_positions() {
    let mut rig = ClientRig::logged_in();
    for id in 1..=HELLO_POSITIONS_MAX as u64 + 1 {
        let conversation = ConversationId(id);
        let created = Body::Members { added: vec![A.user], removed: vec![] };
        let entry = entry_of(conversation, 1, &[0; 32], (B, created));
        let cause = avouch_engine::codec::Cause::First;
        rig.hear(&Frame::Deliver { conversation, prev: 0, redelivered: false, cause, entry });
    }
    rig.input(avouch_engine::client::Input::Disconnected);
    rig.pass(1_000);
    let said = rig.log_in();
    let Some(Frame::Hello(hello)) = said.first() else { panic!("{said:?}") };
    assert_eq!(hello.positions.len(), HELLO_POSITIONS_MAX);
}

#[test]
fn devices_of_a_user_are_limited() {
    let mut rig = ServerRig::new();
    for device in 0..DEVICES_PER_USER as u32 {
        rig.login(key(1, device));
    }
    let connection = rig.connect();
    let more: DeviceKey = key(1, DEVICES_PER_USER as u32);
    rig.say(connection, &hello(more, INSTALLATION, &[]));
    rig.expect_error(connection, ErrorCode::TooMany);
    // The known ones, and other users, come and go.
    rig.login(key(1, 3));
    rig.login(key(2, 3));
}

#[test]
fn connections_of_a_server_are_limited() {
    let mut rig = ServerRig::new();
    let first = rig.connect();
    for _ in 1..CONNECTIONS_MAX {
        rig.connect();
    }
    let more = rig.connect();
    assert!(rig.is_closed(more) && rig.heard(more).is_empty());
    rig.say(first, &Frame::Bye);
    rig.expect_goodbye(first, GoodbyeCode::Closed);
    let next = rig.connect();
    assert!(!rig.is_closed(next));
}

/// What the limits allow fits into a frame: the fullest page, and the largest change of members.
#[test]
fn the_largest_frames_fit() {
    let empty = encoded(&Frame::Deliver {
        conversation: ROOM,
        prev: 0,
        redelivered: false,
        cause: avouch_engine::codec::Cause::First,
        entry: entry(1, &[0; 32], A, message("")),
    });
    // Header, conversation, predecessor, mark and cause; then the entry, and what its body says beside the payload.
    assert_eq!(empty.len(), 5 + 8 + 8 + 2 + ENTRY_HEADER_BYTES + 1 + 1 + 8 + 4);
    let per_entry = 8 + ENTRY_HEADER_BYTES + 14;
    assert!(PAGE_ENTRIES_MAX * per_entry + PAGE_BYTES_MAX + PAYLOAD_BYTES_MAX < FRAME_BYTES_MAX);
    let added = (0..MEMBERS_PER_CHANGE as u64).map(avouch_engine::ids::UserId).collect();
    let change =
        Frame::Members { id: MessageId(1), after: MessageId(0), conversation: ROOM, added, removed: vec![] };
    assert!(encoded(&change).len() < FRAME_BYTES_MAX);
}
