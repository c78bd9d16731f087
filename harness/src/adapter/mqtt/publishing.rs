//! What a client has on the way to the server: in the order of sending, at most a window of it in flight.

use std::collections::VecDeque;

use avouch_reports::history::{Device, Message, Rung, What};
use bytes::Bytes;

use super::codec::{self, AckKind, Publish, Qos, Version};
use super::is_acknowledged;

/// From here on a code is a refusal.
const REFUSALS_FROM: u8 = 0x80;
/// The server knows nothing of this packet id (5.0).
const NOT_FOUND: u8 = 0x92;

/// A message that waits for its turn.
#[derive(Clone, Debug)]
struct Waiting {
    topic: Bytes,
    /// `None` = given up: it is finished as the protocol wants, and nobody is told.
    message: Option<Message>,
    payload: Bytes,
}

/// A message in flight.
#[derive(Clone, Debug)]
struct Flight {
    id: u16,
    what: Waiting,
    /// PUBREC came, PUBREL is sent.
    is_released: bool,
}

/// Everything on the way to the server.
#[derive(Debug)]
pub(super) struct Publishing {
    version: Version,
    qos: Qos,
    device: Device,
    /// Messages in flight at most.
    pub(super) window: usize,
    waiting: VecDeque<Waiting>,
    flights: VecDeque<Flight>,
    last_id: u16,
}

/// Packets to send and what the device learnt.
pub(super) type Told = (Vec<Bytes>, Vec<What>);

impl Publishing {
    pub(super) fn new(version: Version, qos: Qos, device: Device) -> Self {
        Self {
            version,
            qos,
            device,
            window: 1,
            waiting: VecDeque::new(),
            flights: VecDeque::new(),
            last_id: 0,
        }
    }

    /// One more.
    pub(super) fn queue(&mut self, topic: Bytes, message: Message, payload: Bytes) {
        self.waiting.push_back(Waiting { topic, message: Some(message), payload });
    }

    /// Nobody waits for its outcome any more. What was never sent never will be.
    pub(super) fn give_up(&mut self, message: Message) {
        self.waiting.retain(|waiting| waiting.message != Some(message));
        let flight = self.flights.iter_mut().find(|flight| flight.what.message == Some(message));
        if let Some(flight) = flight {
            flight.what.message = None;
        }
    }

    /// The next one to send, if the window has room.
    pub(super) fn next(&mut self) -> Option<(Bytes, Option<What>)> {
        if self.flights.len() >= self.window && is_acknowledged(self.qos) {
            return None;
        }
        let what = self.waiting.pop_front()?;
        if !is_acknowledged(self.qos) {
            let written = what.message.map(|message| What::Accepted {
                device: self.device,
                message,
                seq: None,
                rung: Rung::Written,
            });
            return Some((self.packet(&what, 0, false), written));
        }
        let id = self.free_id();
        let packet = self.packet(&what, id, false);
        self.flights.push_back(Flight { id, what, is_released: false });
        Some((packet, None))
    }

    /// The server answered a step of a handshake.
    pub(super) fn acked(&mut self, kind: AckKind, id: u16, code: u8) -> Told {
        let Some(at) = self.flights.iter().position(|flight| flight.id == id) else {
            // Of a message that is finished here; PUBREL lets the server finish it too.
            let packets = if kind == AckKind::PubRec && code < REFUSALS_FROM {
                vec![codec::ack(AckKind::PubRel, id)]
            } else {
                Vec::new()
            };
            return (packets, Vec::new());
        };
        let is_refused = code >= REFUSALS_FROM;
        if kind == AckKind::PubRec && !is_refused {
            self.flights[at].is_released = true;
            return (vec![codec::ack(AckKind::PubRel, id)], Vec::new());
        }
        let Some(Flight { what: Waiting { message: Some(message), .. }, .. }) = self.flights.remove(at)
        else {
            return (Vec::new(), Vec::new());
        };
        let device = self.device;
        let what = if kind == AckKind::PubComp && code == NOT_FOUND {
            What::Unknown { device, message, why: "the server knows nothing of the handshake".to_owned() }
        } else if is_refused {
            What::Rejected { device, message, code: format!("0x{code:02x}") }
        } else {
            What::Accepted { device, message, seq: None, rung: Rung::Accepted }
        };
        (Vec::new(), vec![what])
    }

    /// A connection was made again. `keeps`: whether the server kept the session; `None` = nobody wanted it to.
    pub(super) fn again(&mut self, keeps: Option<bool>) -> Told {
        let (mut packets, mut told) = (Vec::new(), Vec::new());
        let mut kept = VecDeque::new();
        for flight in std::mem::take(&mut self.flights) {
            let message = flight.what.message;
            let is_new = keeps == Some(false);
            let is_lost = keeps.is_none() || (is_new && self.qos == Qos::Two);
            if is_lost {
                let why = if keeps.is_none() {
                    "the connection ended, and a clean session keeps nothing"
                } else {
                    "the server kept nothing of an open handshake"
                };
                let device = self.device;
                told.extend(message.map(|message| What::Unknown { device, message, why: why.to_owned() }));
                continue;
            }
            told.extend(message.map(|message| What::Retry { device: self.device, message }));
            packets.push(if flight.is_released {
                codec::ack(AckKind::PubRel, flight.id)
            } else {
                self.packet(&flight.what, flight.id, !is_new)
            });
            kept.push_back(flight);
        }
        self.flights = kept;
        (packets, told)
    }

    pub(super) fn is_idle(&self) -> bool {
        let is_awaited = |flight: &Flight| flight.what.message.is_some();
        self.waiting.is_empty() && !self.flights.iter().any(is_awaited)
    }

    fn packet(&self, what: &Waiting, id: u16, dup: bool) -> Bytes {
        let (topic, payload) = (what.topic.clone(), what.payload.clone());
        codec::publish_packet(
            self.version,
            &Publish { dup, qos: self.qos, retain: false, topic, id, payload },
        )
    }

    /// The next id that no message in flight has.
    fn free_id(&mut self) -> u16 {
        loop {
            self.last_id = self.last_id.checked_add(1).unwrap_or(1);
            if !self.flights.iter().any(|flight| flight.id == self.last_id) {
                return self.last_id;
            }
        }
    }
}
