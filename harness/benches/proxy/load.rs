//! The load: as lean as it can be, because it shares the processors with what is measured.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token};

use super::Sample;

const MESSAGE_BYTES: usize = 128;
/// One MQTT PUBLISH of the bulk.
const BULK_MESSAGE_BYTES: usize = 64 * 1024;
/// Room of a read of the bulk.
const BULK_READ_BYTES: usize = 64 * 1024;
const PATIENCE: Duration = Duration::from_secs(10);

/// An MQTT PUBLISH: `QoS` 0, topic "t".
fn message() -> [u8; MESSAGE_BYTES] {
    let mut message = [b'x'; MESSAGE_BYTES];
    message[..5].copy_from_slice(&[0x30, MESSAGE_BYTES as u8 - 2, 0, 1, b't']);
    message
}

/// A connection on an event loop, and what it has of the message that is under way.
struct Peer {
    stream: mio::net::TcpStream,
    buffer: [u8; MESSAGE_BYTES],
    filled: usize,
}

impl Peer {
    fn new(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        stream.set_nonblocking(true).unwrap();
        Self { stream: mio::net::TcpStream::from_std(stream), buffer: [0; MESSAGE_BYTES], filled: 0 }
    }

    /// Reads; `Some(true)` when a whole message is there, `None` when the other end left.
    fn read(&mut self) -> Option<bool> {
        match self.stream.read(&mut self.buffer[self.filled..]) {
            Ok(0) => None,
            Ok(bytes) => {
                self.filled = (self.filled + bytes) % MESSAGE_BYTES;
                Some(self.filled == 0)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Some(false),
            Err(_) => None,
        }
    }

    /// A message always fits: one at a time is under way.
    fn write(&mut self, message: &[u8; MESSAGE_BYTES]) {
        let written = self.stream.write(message);
        assert!(written.as_ref().is_ok_and(|bytes| *bytes == MESSAGE_BYTES), "{written:?}");
    }
}

/// Answers every 128 bytes with the same, on a thread of its own, until the process ends.
pub(crate) fn echo_server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    listener.set_nonblocking(true).unwrap();
    thread::spawn(move || echo(mio::net::TcpListener::from_std(listener)));
    address
}

fn echo(mut listener: mio::net::TcpListener) {
    const LISTENER: Token = Token(usize::MAX);
    let (mut poll, mut events) = (Poll::new().unwrap(), Events::with_capacity(256));
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE).unwrap();
    let mut peers: Vec<Option<Peer>> = Vec::new();
    loop {
        poll.poll(&mut events, None).unwrap();
        for event in &events {
            if event.token() == LISTENER {
                while let Ok((stream, _)) = listener.accept() {
                    stream.set_nodelay(true).unwrap();
                    let mut peer = Peer { stream, buffer: [0; MESSAGE_BYTES], filled: 0 };
                    let place = peers.iter().position(Option::is_none).unwrap_or(peers.len());
                    poll.registry().register(&mut peer.stream, Token(place), Interest::READABLE).unwrap();
                    if place == peers.len() {
                        peers.push(None);
                    }
                    peers[place] = Some(peer);
                }
                continue;
            }
            let place = &mut peers[event.token().0];
            match place.as_mut().and_then(Peer::read) {
                Some(true) => {
                    let peer = place.as_mut().unwrap();
                    let message = peer.buffer;
                    // Whoever left does not read it.
                    let _gone = peer.stream.write(&message);
                }
                Some(false) => {}
                None => *place = None,
            }
        }
    }
}

/// Each connection has one message under way.
pub(crate) fn ping(address: SocketAddr, connections: usize, time: Duration) -> Sample {
    let (mut poll, mut events) = (Poll::new().unwrap(), Events::with_capacity(256));
    let message = message();
    let mut peers: Vec<Peer> = (0..connections)
        .map(|place| {
            let mut peer = Peer::new(TcpStream::connect(address).unwrap());
            poll.registry().register(&mut peer.stream, Token(place), Interest::READABLE).unwrap();
            peer
        })
        .collect();
    for peer in &mut peers {
        peer.write(&message);
    }
    let began = Instant::now();
    let mut done = 0;
    while began.elapsed() < time {
        poll.poll(&mut events, Some(PATIENCE)).unwrap();
        assert!(!events.is_empty(), "no answer within {PATIENCE:?}");
        for event in &events {
            let peer = &mut peers[event.token().0];
            let answered = peer.read().expect("the connection was ended; the figures are worth nothing");
            if answered {
                assert_eq!(peer.buffer, message);
                peer.write(&message);
                done += 1;
            }
        }
    }
    Sample {
        done: f64::from(done),
        seconds: began.elapsed().as_secs_f64(),
        median_ms: None,
        held: Box::new(peers),
    }
}

/// Reads whatever comes, counting the bytes, until the process ends.
pub(crate) fn sink() -> (SocketAddr, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let received = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&received);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, counted) = (stream.unwrap(), Arc::clone(&counted));
            thread::spawn(move || swallow(stream, &counted));
        }
    });
    (address, received)
}

/// One connection on an event loop, until it ends.
fn swallow(stream: TcpStream, counted: &AtomicU64) {
    let (mut stream, mut poll, mut events) = alone(stream, Interest::READABLE);
    let mut buffer = vec![0; BULK_READ_BYTES];
    loop {
        match stream.read(&mut buffer) {
            Ok(bytes @ 1..) => {
                counted.fetch_add(bytes as u64, Ordering::Relaxed);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => poll.poll(&mut events, None).unwrap(),
            Ok(0) | Err(_) => return,
        }
    }
}

/// A connection that has an event loop to itself.
fn alone(stream: TcpStream, interest: Interest) -> (mio::net::TcpStream, Poll, Events) {
    stream.set_nodelay(true).unwrap();
    stream.set_nonblocking(true).unwrap();
    let (mut stream, poll) = (mio::net::TcpStream::from_std(stream), Poll::new().unwrap());
    poll.registry().register(&mut stream, Token(0), interest).unwrap();
    (stream, poll, Events::with_capacity(4))
}

/// Writes so many messages of 64 KiB at a time; counts what arrives, in MB.
pub(crate) fn bulk(address: SocketAddr, received: &AtomicU64, (messages, time): (usize, Duration)) -> Sample {
    let (mut stream, mut poll, mut events) = alone(TcpStream::connect(address).unwrap(), Interest::WRITABLE);
    let mut message = vec![b'x'; BULK_MESSAGE_BYTES];
    message[..7].copy_from_slice(&[0x30, 0xfc, 0xff, 0x03, 0, 1, b't']);
    let block = message.repeat(messages);
    let (before, began) = (received.load(Ordering::Relaxed), Instant::now());
    let mut place = 0;
    while began.elapsed() < time {
        match stream.write(&block[place..]) {
            Ok(bytes) => place = (place + bytes) % block.len(),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}");
                poll.poll(&mut events, Some(PATIENCE)).unwrap();
            }
        }
    }
    let bytes = received.load(Ordering::Relaxed) - before;
    Sample {
        done: bytes as f64 / 1e6,
        seconds: began.elapsed().as_secs_f64(),
        median_ms: None,
        held: Box::new(stream),
    }
}

/// A message in two writes, half a millisecond apart, answered when it is whole.
pub(crate) fn split(address: SocketAddr, messages: usize) -> Sample {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let (message, mut answer) = (message(), [0; MESSAGE_BYTES]);
    let (first, second) = message.split_at(MESSAGE_BYTES / 2);
    let began = Instant::now();
    let mut times_ms: Vec<f64> = (0..messages)
        .map(|_| {
            let began = Instant::now();
            stream.write_all(first).unwrap();
            while began.elapsed() < Duration::from_micros(500) {
                std::hint::spin_loop();
            }
            stream.write_all(second).unwrap();
            stream.read_exact(&mut answer).unwrap();
            began.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    let seconds = began.elapsed().as_secs_f64();
    times_ms.sort_by(f64::total_cmp);
    Sample { done: messages as f64, seconds, median_ms: Some(times_ms[messages / 2]), held: Box::new(stream) }
}
