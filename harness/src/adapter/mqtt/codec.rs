//! The packets of MQTT 3.1.1 and 5.0, as far as a client meets them: bytes in, packets out, and back.
//!
//! Its own page of code and no crate: those that are kept well either bring a whole client and its runtime, or twenty
//! crates of macros that double a cold build. It reads what a server may send, also what it should not; it never
//! panics and holds no more than [`PACKET_BYTES_MAX`]. Properties of 5.0 that do not matter here are skipped.

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// Largest packet that is read.
pub const PACKET_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Longest client id, topic or reason that is written.
pub const TEXT_BYTES_MAX: usize = 65_535;

/// Kinds of packets by their number, from 1.
pub const KINDS: [&str; 15] = [
    "CONNECT",
    "CONNACK",
    "PUBLISH",
    "PUBACK",
    "PUBREC",
    "PUBREL",
    "PUBCOMP",
    "SUBSCRIBE",
    "SUBACK",
    "UNSUBSCRIBE",
    "UNSUBACK",
    "PINGREQ",
    "PINGRESP",
    "DISCONNECT",
    "AUTH",
];

/// The kind of a packet, by its first byte.
pub fn kind_name(first: u8) -> Option<&'static str> {
    KINDS.get(usize::from(first >> 4).checked_sub(1)?).copied()
}

/// Which version is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// 3.1.1 (protocol level 4).
    V311,
    /// 5.0 (protocol level 5).
    V5,
}

/// How surely a message travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Qos {
    /// At most once.
    Zero,
    /// At least once.
    One,
    /// Exactly once.
    Two,
}

impl Qos {
    fn read(bits: u8) -> Result<Self, Malformed> {
        match bits {
            0 => Ok(Self::Zero),
            1 => Ok(Self::One),
            2 => Ok(Self::Two),
            _ => Err(Malformed("a quality of service of 3")),
        }
    }
}

/// Bytes that are no packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub &'static str);

/// The first packet of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connect<'a> {
    /// Who.
    pub client_id: &'a str,
    /// Forget what there was (3.1.1: and keep nothing).
    pub is_clean: bool,
    /// Longest silence. Seconds.
    pub keep_alive_s: u16,
    /// How long the session is kept after the connection (5.0 only). Seconds.
    pub session_expiry_s: u32,
    /// At most so many messages in flight to us (5.0 only).
    pub receive_maximum: Option<u16>,
    /// User name and password.
    pub login: Option<(&'a str, &'a str)>,
}

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publish {
    /// It may have been sent before.
    pub dup: bool,
    /// How surely it travels.
    pub qos: Qos,
    /// It was kept for new subscribers.
    pub retain: bool,
    /// Where.
    pub topic: Bytes,
    /// Names the handshake; 0 for [`Qos::Zero`].
    pub id: u16,
    /// What.
    pub payload: Bytes,
}

/// The packets of the handshakes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AckKind {
    /// Of a message with [`Qos::One`].
    PubAck = 4,
    /// Of a message with [`Qos::Two`]: it is owned now.
    PubRec = 5,
    /// It may be forgotten.
    PubRel = 6,
    /// It is forgotten.
    PubComp = 7,
}

/// What a server sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Packet {
    /// Answer to CONNECT.
    ConnAck {
        /// The server kept a session of this client.
        session_present: bool,
        /// 0: accepted.
        code: u8,
        /// At most so many messages in flight to the server.
        receive_maximum: u16,
        /// The server wants another keep-alive. Seconds.
        keep_alive_s: Option<u16>,
    },
    /// A message.
    Publish(Publish),
    /// A step of a handshake.
    Ack {
        /// Which.
        kind: AckKind,
        /// Of which message.
        id: u16,
        /// From 0x80 on a refusal (5.0).
        code: u8,
    },
    /// Answer to SUBSCRIBE.
    SubAck {
        /// Of which.
        id: u16,
        /// One per filter: what was granted, from 0x80 on a refusal.
        codes: Bytes,
    },
    /// Answer to PINGREQ.
    PingResp,
    /// The server ends the connection (5.0).
    Disconnect {
        /// Why.
        code: u8,
    },
    /// Anything else, by its first byte.
    Other(u8),
}

/// Where the first packet of some bytes ends; `None` if it is not whole yet. 5 bytes are enough to say.
pub fn packet_bytes(bytes: &[u8]) -> Result<Option<usize>, Malformed> {
    let Some(first) = bytes.first() else { return Ok(None) };
    if kind_name(*first).is_none() {
        return Err(Malformed("a packet of a kind that there is not"));
    }
    let mut length = 0_usize;
    for (at, byte) in bytes[1..].iter().take(4).enumerate() {
        length |= usize::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Ok(Some(2 + at + length));
        }
    }
    if bytes.len() >= 5 { Err(Malformed("a length of more than four bytes")) } else { Ok(None) }
}

/// Takes the next whole packet from the front.
pub fn take(input: &mut BytesMut, version: Version) -> Result<Option<Packet>, Malformed> {
    let Some(bytes) = packet_bytes(input)? else { return Ok(None) };
    if bytes > PACKET_BYTES_MAX {
        return Err(Malformed("a packet that is larger than what is read"));
    }
    if input.len() < bytes {
        return Ok(None);
    }
    let first = input[0];
    let mut body = input.split_to(bytes).freeze();
    let head = 1 + body[1..].iter().take_while(|byte| **byte & 0x80 != 0).count() + 1;
    body.advance(head);
    decode(first, body, version).map(Some)
}

fn decode(first: u8, mut body: Bytes, version: Version) -> Result<Packet, Malformed> {
    let is_v5 = version == Version::V5;
    Ok(match first >> 4 {
        2 => connack(&mut body, is_v5)?,
        3 => Packet::Publish(publish(first, body, is_v5)?),
        number @ 4..=7 => {
            let kind = [AckKind::PubAck, AckKind::PubRec, AckKind::PubRel, AckKind::PubComp]
                [usize::from(number) - 4];
            let id = word(&mut body)?;
            // Without a code it is success: 5.0 leaves it out then.
            let code = if is_v5 && body.has_remaining() { body.get_u8() } else { 0 };
            Packet::Ack { kind, id, code }
        }
        9 => {
            let id = word(&mut body)?;
            if is_v5 {
                properties(&mut body)?;
            }
            Packet::SubAck { id, codes: body }
        }
        13 => Packet::PingResp,
        14 => Packet::Disconnect { code: if body.has_remaining() { body.get_u8() } else { 0 } },
        _ => Packet::Other(first),
    })
}

fn connack(body: &mut Bytes, is_v5: bool) -> Result<Packet, Malformed> {
    let flags = word(body)?;
    let (mut receive_maximum, mut keep_alive_s) = (u16::MAX, None);
    if is_v5 && body.has_remaining() {
        let mut properties = properties(body)?;
        while properties.has_remaining() {
            match properties.get_u8() {
                0x21 => receive_maximum = word(&mut properties)?.max(1),
                0x13 => keep_alive_s = Some(word(&mut properties)?),
                other => skip_property(other, &mut properties)?,
            }
        }
    }
    let code = flags as u8;
    Ok(Packet::ConnAck { session_present: flags & 0x0100 != 0, code, receive_maximum, keep_alive_s })
}

fn publish(first: u8, mut body: Bytes, is_v5: bool) -> Result<Publish, Malformed> {
    let qos = Qos::read(first >> 1 & 3)?;
    let topic = text(&mut body)?;
    let id = if qos == Qos::Zero { 0 } else { word(&mut body)? };
    if is_v5 {
        properties(&mut body)?;
    }
    Ok(Publish { dup: first & 8 != 0, qos, retain: first & 1 != 0, topic, id, payload: body })
}

/// Takes a block of properties.
fn properties(body: &mut Bytes) -> Result<Bytes, Malformed> {
    let mut length = 0_usize;
    for at in 0..4 {
        let byte = byte(body)?;
        length |= usize::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return part(body, length);
        }
    }
    Err(Malformed("a length of more than four bytes"))
}

/// MQTT 5.0, 2.2.2.2: how long a property is follows from its number.
fn skip_property(number: u8, body: &mut Bytes) -> Result<(), Malformed> {
    match number {
        0x01 | 0x17 | 0x19 | 0x24 | 0x25 | 0x28 | 0x29 | 0x2a => part(body, 1).map(drop),
        0x13 | 0x21 | 0x22 | 0x23 => part(body, 2).map(drop),
        0x02 | 0x11 | 0x18 | 0x27 => part(body, 4).map(drop),
        0x0b => {
            while byte(body)? & 0x80 != 0 {}
            Ok(())
        }
        0x03 | 0x08 | 0x09 | 0x12 | 0x15 | 0x16 | 0x1a | 0x1c | 0x1f => text(body).map(drop),
        0x26 => text(body).and_then(|_| text(body)).map(drop),
        _ => Err(Malformed("a property that there is not")),
    }
}

fn byte(body: &mut Bytes) -> Result<u8, Malformed> {
    part(body, 1).map(|part| part[0])
}

fn word(body: &mut Bytes) -> Result<u16, Malformed> {
    part(body, 2).map(|mut part| part.get_u16())
}

fn text(body: &mut Bytes) -> Result<Bytes, Malformed> {
    let length = word(body)?;
    part(body, usize::from(length))
}

fn part(body: &mut Bytes, bytes: usize) -> Result<Bytes, Malformed> {
    if body.len() < bytes {
        return Err(Malformed("a packet that ends too early"));
    }
    Ok(body.split_to(bytes))
}

/// CONNECT.
pub fn connect(version: Version, connect: &Connect<'_>) -> Bytes {
    let mut body = BytesMut::with_capacity(64);
    put_text(&mut body, "MQTT");
    body.put_u8(if version == Version::V5 { 5 } else { 4 });
    let login = if connect.login.is_some() { 0xc0 } else { 0 };
    body.put_u8(u8::from(connect.is_clean) << 1 | login);
    body.put_u16(connect.keep_alive_s);
    if version == Version::V5 {
        let mut properties = BytesMut::new();
        properties.put_u8(0x11);
        properties.put_u32(connect.session_expiry_s);
        if let Some(maximum) = connect.receive_maximum {
            properties.put_u8(0x21);
            properties.put_u16(maximum);
        }
        put_length(&mut body, properties.len());
        body.extend_from_slice(&properties);
    }
    put_text(&mut body, connect.client_id);
    if let Some((user, password)) = connect.login {
        put_text(&mut body, user);
        put_text(&mut body, password);
    }
    framed(0x10, &body)
}

/// SUBSCRIBE to these filters, all alike.
pub fn subscribe<'a>(version: Version, id: u16, filters: impl Iterator<Item = &'a str>, qos: Qos) -> Bytes {
    let mut body = BytesMut::with_capacity(64);
    body.put_u16(id);
    if version == Version::V5 {
        body.put_u8(0);
    }
    for filter in filters {
        put_text(&mut body, filter);
        body.put_u8(qos as u8);
    }
    framed(0x82, &body)
}

/// PUBLISH.
pub fn publish_packet(version: Version, publish: &Publish) -> Bytes {
    let has_id = publish.qos != Qos::Zero;
    let properties = usize::from(version == Version::V5);
    let length = 2 + publish.topic.len() + 2 * usize::from(has_id) + properties + publish.payload.len();
    let mut out = BytesMut::with_capacity(5 + length);
    out.put_u8(0x30 | u8::from(publish.dup) << 3 | (publish.qos as u8) << 1 | u8::from(publish.retain));
    put_length(&mut out, length);
    out.put_u16(publish.topic.len() as u16);
    out.extend_from_slice(&publish.topic);
    if has_id {
        out.put_u16(publish.id);
    }
    if version == Version::V5 {
        out.put_u8(0);
    }
    out.extend_from_slice(&publish.payload);
    out.freeze()
}

/// PUBACK, PUBREC, PUBREL or PUBCOMP that says yes.
pub fn ack(kind: AckKind, id: u16) -> Bytes {
    let flags = if kind == AckKind::PubRel { 2 } else { 0 };
    let [high, low] = id.to_be_bytes();
    Bytes::copy_from_slice(&[(kind as u8) << 4 | flags, 2, high, low])
}

/// PINGREQ.
pub const PINGREQ: Bytes = Bytes::from_static(&[0xc0, 0]);
/// DISCONNECT without a reason: all is well.
pub const DISCONNECT: Bytes = Bytes::from_static(&[0xe0, 0]);

fn framed(first: u8, body: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(5 + body.len());
    out.put_u8(first);
    put_length(&mut out, body.len());
    out.extend_from_slice(body);
    out.freeze()
}

fn put_length(out: &mut BytesMut, mut length: usize) {
    loop {
        let more = if length > 0x7f { 0x80 } else { 0 };
        out.put_u8((length & 0x7f) as u8 | more);
        length >>= 7;
        if length == 0 {
            return;
        }
    }
}

fn put_text(out: &mut BytesMut, text: &str) {
    debug_assert!(text.len() <= TEXT_BYTES_MAX, "names of this tool are short");
    out.put_u16(text.len() as u16);
    out.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Reads everything, cut into chunks.
    fn read(bytes: &[u8], chunk: usize, version: Version) -> Result<Vec<Packet>, Malformed> {
        let (mut input, mut packets) = (BytesMut::new(), Vec::new());
        for part in bytes.chunks(chunk) {
            input.extend_from_slice(part);
            while let Some(packet) = take(&mut input, version)? {
                packets.push(packet);
            }
        }
        Ok(packets)
    }

    #[test]
    fn packets_are_as_the_specification_prints_them() {
        let connect_packet = Connect {
            client_id: "a",
            is_clean: true,
            keep_alive_s: 10,
            session_expiry_s: 7,
            receive_maximum: Some(3),
            login: None,
        };
        assert_eq!(connect(Version::V311, &connect_packet)[..], *b"\x10\x0d\0\x04MQTT\x04\x02\0\x0a\0\x01a");
        assert_eq!(
            connect(Version::V5, &connect_packet)[..],
            *b"\x10\x16\0\x04MQTT\x05\x02\0\x0a\x08\x11\0\0\0\x07\x21\0\x03\0\x01a"
        );
        let filters = || ["a/b", "c"].into_iter();
        assert_eq!(
            subscribe(Version::V311, 10, filters(), Qos::One)[..],
            *b"\x82\x0c\0\x0a\0\x03a/b\x01\0\x01c\x01"
        );
        assert_eq!(
            subscribe(Version::V5, 10, filters(), Qos::Two)[..],
            *b"\x82\x0d\0\x0a\0\0\x03a/b\x02\0\x01c\x02"
        );
        assert_eq!(ack(AckKind::PubRel, 258)[..], [0x62, 2, 1, 2]);
        assert_eq!(ack(AckKind::PubAck, 1)[..], [0x40, 2, 0, 1]);
    }

    #[test]
    fn what_a_server_sends_is_read_however_it_is_cut() {
        let v311: &[u8] = b"\x20\x02\x01\0\x90\x03\0\x0a\x80\x62\x02\0\x05\xd0\0\x3d\x08\0\x03a/b\0\x07x";
        let v5: &[u8] =
            b"\x20\x0b\0\0\x08\x21\0\x14\x12\0\x02id\xe0\x01\x8e\x40\x03\0\x07\x97\x32\x09\0\x03a/b\0\x07\0x";
        for chunk in 1..=v5.len() {
            let packets = read(v311, chunk, Version::V311).unwrap();
            let publish = Publish {
                dup: true,
                qos: Qos::Two,
                retain: true,
                topic: Bytes::from_static(b"a/b"),
                id: 7,
                payload: Bytes::from_static(b"x"),
            };
            assert_eq!(
                packets,
                [
                    Packet::ConnAck {
                        session_present: true,
                        code: 0,
                        receive_maximum: u16::MAX,
                        keep_alive_s: None
                    },
                    Packet::SubAck { id: 10, codes: Bytes::from_static(&[0x80]) },
                    Packet::Ack { kind: AckKind::PubRel, id: 5, code: 0 },
                    Packet::PingResp,
                    Packet::Publish(publish.clone()),
                ]
            );
            let packets = read(v5, chunk, Version::V5).unwrap();
            assert_eq!(
                packets,
                [
                    Packet::ConnAck {
                        session_present: false,
                        code: 0,
                        receive_maximum: 20,
                        keep_alive_s: None
                    },
                    Packet::Disconnect { code: 0x8e },
                    Packet::Ack { kind: AckKind::PubAck, id: 7, code: 0x97 },
                    Packet::Publish(Publish { dup: false, qos: Qos::One, retain: false, ..publish }),
                ]
            );
        }
    }

    #[test]
    fn what_is_no_packet_is_an_error_in_words() {
        for (bytes, words) in [
            (&b"\x00\x00"[..], "kind that there is not"),
            (b"\x30\xff\xff\xff\xff\x01", "more than four bytes"),
            (b"\x30\xff\xff\xff\x7f", "larger than what is read"),
            (b"\x36\x00", "a quality of service of 3"),
            (b"\x30\x03\0\x05a", "ends too early"),
            (b"\x40\x01\0", "ends too early"),
        ] {
            let error = read(bytes, 1, Version::V311).unwrap_err();
            assert!(error.to_string().contains(words), "{error}");
        }
        let error = read(b"\x20\x05\0\0\x02\x7e\0", 9, Version::V5).unwrap_err();
        assert!(error.to_string().contains("property that there is not"), "{error}");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..300), chunk in 1_usize..40, is_v5: bool,
        ) {
            let version = if is_v5 { Version::V5 } else { Version::V311 };
            let _ = read(&bytes, chunk, version);
        }

        #[test]
        fn what_is_written_is_read_alike(
            payload in proptest::collection::vec(any::<u8>(), 0..20_000), topic in "[a-z/]{0,200}",
            id in 1_u16.., qos in 0_u8..3, dup: bool, is_v5: bool, chunk in 1_usize..5_000,
        ) {
            let version = if is_v5 { Version::V5 } else { Version::V311 };
            let qos = Qos::read(qos).unwrap();
            let id = if qos == Qos::Zero { 0 } else { id };
            let publish =
                Publish { dup, qos, retain: false, topic: topic.into(), id, payload: payload.into() };
            let packets = read(&publish_packet(version, &publish), chunk, version).unwrap();
            prop_assert_eq!(packets, [Packet::Publish(publish)]);
        }
    }
}
