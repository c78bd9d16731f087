//! What is no frame, or none that may come (PROTOCOL.md 2). That nothing panics is in `codec`.

use avouch_engine::client::{Input, Observation};
use avouch_engine::codec::{ErrorCode, FRAME_KINDS, Frame, HEADER_BYTES, decode};
use avouch_engine::limits::FRAME_BYTES_MAX;
use bytes::Bytes;

use crate::codec::with_checksum;
use crate::rig::{A, ClientRig, ServerRig, encoded, send};

fn frame_of(kind: u8, body: &[u8]) -> Bytes {
    let mut bytes = vec![kind, 0, 0, 0, 0];
    bytes.extend_from_slice(body);
    with_checksum(bytes)
}

/// Right checksums over bodies that do not parse.
fn malformed() -> Vec<Bytes> {
    let ping = encoded(&Frame::Ping { nonce: 1 });
    let trailing: Vec<u8> = ping.iter().copied().chain([0]).collect();
    let mut flag = encoded(&send(1, "text")).to_vec();
    flag[HEADER_BYTES + 24] = 2;
    vec![
        frame_of(0, b""),
        frame_of(FRAME_KINDS.len() as u8 + 1, b""),
        frame_of(200, b"text"),
        frame_of(8, b"short"),
        with_checksum(trailing),
        with_checksum(flag),
        // An unknown purpose of a sync.
        frame_of(7, &[[0; 26].as_slice(), &[9]].concat()),
        // A list that is longer than the frame.
        frame_of(3, &[[0; 24].as_slice(), &u32::MAX.to_le_bytes()].concat()),
    ]
}

/// AV-2-1: what is damaged or cut short counts as lost, on both sides.
#[test]
fn damage_is_loss() {
    let good = encoded(&Frame::Ping { nonce: 5 });
    let mut flipped = good.to_vec();
    flipped[HEADER_BYTES] ^= 4;
    let damaged = [Bytes::new(), good.slice(..4), good.slice(..good.len() - 1), flipped.into()];
    let (mut server, mut client) = (ServerRig::new(), ClientRig::logged_in());
    let connection = server.login(A);
    client.said();
    for bytes in &damaged {
        server.say_bytes(connection, bytes.clone());
        client.hear_bytes(bytes.clone());
    }
    assert_eq!((server.heard(connection), server.stats().checksum_failures), (vec![], 4));
    assert_eq!((client.said(), client.client.stats().checksum_failures), (vec![], 4));
    assert!(!server.is_closed(connection) && client.disconnects == 0);
}

/// AV-2-2: a broken peer is told so and closed, logged in or not.
#[test]
fn a_malformed_frame_ends_the_connection() {
    for bytes in malformed() {
        let mut rig = ServerRig::new();
        let connections = [rig.login(A), rig.connect()];
        for connection in connections {
            rig.say_bytes(connection, bytes.clone());
            rig.expect_error(connection, ErrorCode::Malformed);
        }
        assert_eq!(rig.stats().protocol_errors, 2);
    }
}

/// AV-2-3: a frame of exactly the limit is looked at, a larger one is not.
#[test]
fn a_frame_that_is_too_large_ends_the_connection() {
    let mut rig = ServerRig::new();
    let connection = rig.login(A);
    rig.say_bytes(connection, Bytes::from(vec![0; FRAME_BYTES_MAX]));
    assert_eq!(rig.stats().checksum_failures, 1);
    rig.say_bytes(connection, Bytes::from(vec![0; FRAME_BYTES_MAX + 1]));
    rig.expect_error(connection, ErrorCode::TooLarge);
}

/// AV-2-4: a frame of the other direction ends a session; before the login it is ignored.
#[test]
fn a_frame_of_the_other_direction_is_unexpected() {
    let mut rig = ServerRig::new();
    let stranger = rig.connect();
    assert_eq!(rig.ask(stranger, &Frame::Pong { nonce: 1 }), []);
    assert!(!rig.is_closed(stranger));
    let connection = rig.login(A);
    rig.say(connection, &Frame::Pong { nonce: 1 });
    rig.expect_error(connection, ErrorCode::Unexpected);
}

/// AV-2-5: a client ends such a connection and makes another after a wait.
#[test]
fn a_client_leaves_a_broken_server() {
    let mut frames = malformed();
    frames.extend([Bytes::from(vec![0; FRAME_BYTES_MAX + 1]), encoded(&Frame::Ping { nonce: 1 })]);
    for bytes in frames {
        let mut rig = ClientRig::logged_in();
        rig.seen();
        rig.hear_bytes(bytes);
        assert_eq!(rig.seen(), [Observation::SessionEnded { why: "protocol" }]);
        assert_eq!((rig.disconnects, rig.connects), (1, 1), "not at once");
        rig.pass(1_000);
        assert_eq!(rig.connects, 2);
        rig.input(Input::Connected);
        assert_eq!(rig.said().last().map(Frame::kind_name), Some("hello"));
    }
}

/// AV-2-6: a count that promises more than the frame holds allocates nothing.
#[test]
fn hostile_counts_allocate_nothing() {
    // Hello's token and positions, members, heads, receipts, page: the count stands after so many zero bytes.
    for (kind, before) in [(1, 2 + 12 + 8 + 1), (3, 24), (12, 0), (17, 24), (19, 33), (2, 33), (16, 87)] {
        for count in [1u32, 1 << 20, u32::MAX] {
            let mut body = vec![0u8; before];
            if kind == 1 {
                body[0] = 1;
            }
            if kind == 16 {
                body[86 - 9] = 1;
            }
            body.extend_from_slice(&count.to_le_bytes());
            assert!(decode(&frame_of(kind, &body)).is_err(), "kind {kind}, count {count}");
        }
    }
}
