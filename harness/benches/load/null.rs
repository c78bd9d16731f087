//! A world in memory, on the machine's clock: an MQTT 3.1.1 server that does nothing but acknowledge and pass on, without sockets and
//! without tasks. Whoever writes to it has its answers in the readers' buffers when the write returns.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::{Future, pending};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use avouch::client::{Carrier, Clock, Connector, Shell};
use avouch::device::Device;
use avouch::handle::Handle;
use avouch::recorder::Recorder;
use avouch::world::{LocalTask, NodeOrder, OrderError, Triggered, World};
use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The world.
pub(crate) struct NullWorld {
    started: Instant,
    broker: Rc<RefCell<Broker>>,
}

impl NullWorld {
    pub(crate) fn new() -> Self {
        Self { started: Instant::now(), broker: Rc::default() }
    }
}

impl World for NullWorld {
    fn clock(&self) -> Clock {
        let started = self.started;
        Rc::new(move || started.elapsed().as_nanos() as u64)
    }

    async fn sleep_ns(&self, ns: u64) {
        tokio::time::sleep(Duration::from_nanos(ns)).await;
    }

    fn start_device(&self, device: Device, recorder: &Recorder) -> Handle {
        let connector = NullConnector(self.broker.clone());
        let (shell, handle) = Shell::new(device, (Carrier::Bytes, connector), recorder.clone(), self.clock());
        tokio::task::spawn_local(shell.run());
        handle
    }

    fn spawn_here(&self, task: LocalTask) {
        tokio::task::spawn_local(task);
    }

    fn arm_links(&self) {}
    fn set_link_fault(&self, _fault: u32, _device: u32, _active: bool) {}
    fn heal_links(&self) {}
    fn abandon_link(&self, _device: u32) {}

    async fn order(&self, _node: u32, _order: NodeOrder) -> Result<String, OrderError> {
        Ok("it is always there".to_owned())
    }

    async fn triggered(&self) -> Triggered {
        pending().await
    }

    fn casualty(&self) -> Option<String> {
        None
    }
}

struct NullConnector(Rc<RefCell<Broker>>);

impl Connector for NullConnector {
    type Stream = NullStream;

    fn connect(&self) -> Pin<Box<dyn Future<Output = io::Result<NullStream>>>> {
        let number = self.0.borrow_mut().accept();
        Box::pin(std::future::ready(Ok(NullStream { number, broker: self.0.clone() })))
    }
}

struct NullStream {
    number: usize,
    broker: Rc<RefCell<Broker>>,
}

impl AsyncRead for NullStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut broker = self.broker.borrow_mut();
        let peer = &mut broker.peers[self.number];
        if peer.to_read.is_empty() && !peer.is_over {
            peer.waker = Some(context.waker().clone());
            return Poll::Pending;
        }
        let bytes = peer.to_read.len().min(into.remaining());
        into.put_slice(&peer.to_read[..bytes]);
        peer.to_read.advance(bytes);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for NullStream {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.broker.borrow_mut().take(self.number, &[bytes]);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let parts: Vec<&[u8]> = slices.iter().map(|slice| &**slice).collect();
        self.broker.borrow_mut().take(self.number, &parts);
        Poll::Ready(Ok(parts.iter().map(|part| part.len()).sum()))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut broker = self.broker.borrow_mut();
        broker.peers[self.number].is_over = true;
        broker.peers[self.number].wake();
        Poll::Ready(Ok(()))
    }
}

/// A connection.
#[derive(Default)]
struct Peer {
    written: BytesMut,
    to_read: BytesMut,
    waker: Option<Waker>,
    is_over: bool,
    packet_id: u16,
}

impl Peer {
    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn answer(&mut self, bytes: &[u8]) {
        self.to_read.extend_from_slice(bytes);
        self.wake();
    }
}

#[derive(Default)]
struct Broker {
    peers: Vec<Peer>,
    subscriber: BTreeMap<Vec<u8>, usize>,
}

impl Broker {
    fn accept(&mut self) -> usize {
        self.peers.push(Peer::default());
        self.peers.len() - 1
    }

    fn take(&mut self, from: usize, parts: &[&[u8]]) {
        let mut written = std::mem::take(&mut self.peers[from].written);
        for part in parts {
            written.extend_from_slice(part);
        }
        while let Some((head, length)) = length(&written) {
            if written.len() < head + length {
                break;
            }
            let mut packet = written.split_to(head + length);
            self.packet(from, &mut packet, head);
        }
        self.peers[from].written = written;
    }

    fn packet(&mut self, from: usize, packet: &mut BytesMut, head: usize) {
        let body = &packet[head..];
        match packet[0] >> 4 {
            1 => self.peers[from].answer(&[0x20, 2, 0, 0]),
            3 => {
                let topic_bytes = usize::from(u16::from_be_bytes([body[0], body[1]]));
                let id_at = 2 + topic_bytes;
                let ack = [0x40, 2, body[id_at], body[id_at + 1]];
                let to = self.subscriber.get(&body[2..id_at]).copied();
                self.peers[from].answer(&ack);
                if let Some(to) = to.map(|to| &mut self.peers[to]) {
                    to.packet_id = to.packet_id.checked_add(1).unwrap_or(1);
                    let id = to.packet_id.to_be_bytes();
                    packet[head + id_at..head + id_at + 2].copy_from_slice(&id);
                    to.answer(packet);
                }
            }
            8 => {
                let mut ack = vec![0x90, 2, body[0], body[1]];
                let mut rest = &body[2..];
                while rest.len() > 2 {
                    let topic_bytes = usize::from(u16::from_be_bytes([rest[0], rest[1]]));
                    self.subscriber.insert(rest[2..2 + topic_bytes].to_vec(), from);
                    rest = &rest[3 + topic_bytes..];
                    ack.push(1);
                    ack[1] += 1;
                }
                self.peers[from].answer(&ack);
            }
            12 => self.peers[from].answer(&[0xd0, 0]),
            _ => {}
        }
    }
}

/// Bytes of a packet's head, and of what follows; `None` = the head is not there yet.
fn length(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut length = 0;
    for place in 0..4 {
        let byte = *bytes.get(1 + place)?;
        length |= usize::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Some((2 + place, length));
        }
    }
    None
}
