//! A device that speaks the protocol with as little work as possible: it checks what it gets (checksums, and that every
//! answer and every entry is the next one), and keeps nothing.
//!
//! The handshake is a library's. The frames after it are read and written here, many with one call to the system: a
//! library that takes them one by one costs more than all the rest, on the processors that the server is measured on.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use avouch_engine::auth;
use avouch_engine::codec::{Frame, Hello, VERSION, decode, encode};
use avouch_engine::ids::{ConversationId, DeviceId, DeviceKey, MessageId, Seq, UserId};
use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::client_async;

use super::{PAYLOAD_BYTES, SECRET, WINDOW};

/// Deliveries per cumulative ack.
const DELIVERIES_PER_ACK: u64 = 16;
const READ_BYTES: usize = 16 << 10;
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// First byte of a WebSocket frame: the only one of its message, binary.
const FINAL_BINARY: u8 = 0x82;
const IS_MASKED: u8 = 0x80;
const TWO_LENGTH_BYTES: u8 = 126;
const EIGHT_LENGTH_BYTES: u8 = 127;

pub(super) struct Client {
    stream: TcpStream,
    input: BytesMut,
    output: Vec<u8>,
    scratch: BytesMut,
    mask: u32,
    conversation: ConversationId,
    next_id: u64,
    unanswered: u64,
    deliveries: u64,
    /// The newest entry that was delivered.
    delivered: Seq,
    payload: Bytes,
}

impl Client {
    /// Logs in and makes a conversation of its own.
    pub(super) async fn login(address: SocketAddr, user: u64) -> Self {
        let mut client = Self::login_only(address, user).await;
        let (id, after, conversation) = (MessageId(1), MessageId(0), client.conversation);
        let added = vec![UserId(user)];
        client.put(&Frame::Members { id, after, conversation, added, removed: Vec::new() });
        client.next_id = 2;
        client.unanswered = 1;
        client.flush().await;
        client.receive_answers().await;
        client
    }

    pub(super) async fn login_only(address: SocketAddr, user: u64) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (socket, _) = client_async("ws://server/", stream).await.unwrap();
        let mut client = Self {
            // The server speaks when it is spoken to: nothing was read that is not part of the handshake.
            stream: socket.into_inner(),
            input: BytesMut::new(),
            output: Vec::new(),
            scratch: BytesMut::new(),
            mask: user as u32,
            conversation: ConversationId(user),
            next_id: 1,
            unanswered: 0,
            deliveries: 0,
            delivered: 0,
            payload: Bytes::from(vec![7; PAYLOAD_BYTES]),
        };
        let key = DeviceKey { user: UserId(user), device: DeviceId(1) };
        let token = auth::token(SECRET.as_bytes(), key, u64::MAX);
        let (installation, positions) = (user, Vec::new());
        let hello = Hello { version: VERSION, key, installation, resume: false, token, positions };
        client.put(&Frame::Hello(hello));
        client.flush().await;
        loop {
            client.read().await;
            if let Some(frame) = client.next_frame() {
                assert!(matches!(frame, Frame::Welcome(_)), "{frame:?}");
                return client;
            }
        }
    }

    /// One message; how long its ack took.
    pub(super) async fn one(&mut self) -> Duration {
        let started = Instant::now();
        self.put_message();
        self.flush().await;
        self.receive_answers().await;
        let took = started.elapsed();
        self.put_ack_if_due();
        took
    }

    /// Keeps the window full for a while; how many were acked.
    pub(super) async fn flood(&mut self, time: Duration) -> u64 {
        let end = Instant::now() + time;
        let first = self.next_id;
        let mut is_open = true;
        while is_open || self.unanswered > 0 {
            is_open = Instant::now() < end;
            while is_open && self.unanswered < WINDOW {
                self.put_message();
            }
            self.put_ack_if_due();
            self.flush().await;
            self.receive().await;
        }
        self.next_id - first
    }

    async fn receive_answers(&mut self) {
        while self.unanswered > 0 {
            self.receive().await;
        }
    }

    /// Waits, then takes everything that has arrived.
    async fn receive(&mut self) {
        self.read().await;
        while let Some(frame) = self.next_frame() {
            self.take(&frame);
        }
    }

    fn take(&mut self, frame: &Frame) {
        match frame {
            Frame::Accepted { id, conversation, seq } => {
                // Its conversation has one entry per id.
                let expected = self.next_id - self.unanswered;
                assert_eq!((id.0, *conversation, *seq), (expected, self.conversation, expected));
                self.unanswered -= 1;
            }
            // The disk was slow, and the ack of this entry still is.
            Frame::Deliver { redelivered: true, entry, .. } => assert!(entry.seq <= self.delivered),
            Frame::Deliver { conversation, prev, entry, .. } => {
                let expected = (self.conversation, self.delivered, self.delivered + 1);
                assert_eq!((*conversation, *prev, entry.seq), expected);
                self.delivered += 1;
                self.deliveries += 1;
            }
            Frame::CursorConfirmed { delivered, .. } => assert!(*delivered <= self.delivered),
            _ => panic!("{frame:?}"),
        }
    }

    fn put_message(&mut self) {
        let id = MessageId(self.next_id);
        let after = MessageId(if self.unanswered > 0 { self.next_id - 1 } else { 0 });
        let (conversation, payload) = (self.conversation, self.payload.clone());
        self.put(&Frame::Send { id, after, conversation, reply_to: None, payload });
        self.next_id += 1;
        self.unanswered += 1;
    }

    fn put_ack_if_due(&mut self) {
        if self.deliveries >= DELIVERIES_PER_ACK {
            self.deliveries = 0;
            self.put(&Frame::Ack { conversation: self.conversation, up_to: self.delivered });
        }
    }

    /// Appends a frame, masked as every client must.
    fn put(&mut self, frame: &Frame) {
        let bytes = encode(frame, &mut self.scratch);
        // Another key for every frame; that nobody can guess it matters where proxies are attacked.
        self.mask = self.mask.wrapping_mul(0x9E37_79B1).wrapping_add(1);
        let key = self.mask.to_le_bytes();
        self.output.push(FINAL_BINARY);
        match u16::try_from(bytes.len()).unwrap() {
            length if length < u16::from(TWO_LENGTH_BYTES) => self.output.push(IS_MASKED | length as u8),
            length => {
                self.output.push(IS_MASKED | TWO_LENGTH_BYTES);
                self.output.extend_from_slice(&length.to_be_bytes());
            }
        }
        self.output.extend_from_slice(&key);
        let from = self.output.len();
        self.output.extend_from_slice(&bytes);
        let (words, rest) = self.output[from..].as_chunks_mut::<4>();
        for word in words {
            *word = (u32::from_le_bytes(*word) ^ self.mask).to_le_bytes();
        }
        for (byte, key) in rest.iter_mut().zip(key) {
            *byte ^= key;
        }
    }

    async fn flush(&mut self) {
        if !self.output.is_empty() {
            self.stream.write_all(&self.output).await.unwrap();
            self.output.clear();
        }
    }

    async fn read(&mut self) {
        self.input.reserve(READ_BYTES);
        let read = self.stream.read_buf(&mut self.input);
        let count = timeout(SILENCE_MAX, read).await.expect("the server is silent").unwrap();
        assert!(count > 0, "the server closed a connection");
    }

    /// The next whole frame that was read.
    fn next_frame(&mut self) -> Option<Frame> {
        let &[first, length, ref rest @ ..] = &self.input[..] else { return None };
        let (length_bytes, length) = match length {
            TWO_LENGTH_BYTES => (2, usize::from(u16::from_be_bytes(*rest.first_chunk()?))),
            EIGHT_LENGTH_BYTES => (8, u64::from_be_bytes(*rest.first_chunk()?) as usize),
            length => (0, usize::from(length)),
        };
        assert_eq!(first, FINAL_BINARY, "one whole binary message");
        if rest.len() < length_bytes + length {
            return None;
        }
        self.input.advance(2 + length_bytes);
        let bytes = self.input.split_to(length).freeze();
        Some(decode(&bytes).unwrap())
    }
}
