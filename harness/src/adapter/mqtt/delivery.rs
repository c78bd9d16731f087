//! What a client gets from the server: taken by the application in order, acknowledged when it was.

use std::collections::{BTreeMap, VecDeque};

use avouch_reports::history::{Conversation, Device, Message, What};
use bytes::Bytes;

use super::codec::{self, AckKind, Publish, Qos};
use super::is_acknowledged;
use crate::payload;

/// A message that the application has not taken yet.
#[derive(Clone, Debug)]
struct Untaken {
    qos: Qos,
    id: u16,
    conversation: Conversation,
    message: Option<Message>,
    /// It came on the connection that there is now: only that one can be told.
    is_current: bool,
}

/// Everything that came from the server and is not finished.
#[derive(Debug)]
pub(super) struct Deliveries {
    device: Device,
    salt: u32,
    untaken: VecDeque<Untaken>,
    /// Open handshakes of `QoS` 2, and whether the application has taken the message.
    held: BTreeMap<u16, bool>,
}

impl Deliveries {
    pub(super) fn new(device: Device, salt: u32) -> Self {
        Self { device, salt, untaken: VecDeque::new(), held: BTreeMap::new() }
    }

    /// A message came: what to answer at once, and what the device saw.
    pub(super) fn arrived(
        &mut self,
        conversation: Conversation,
        publish: Publish,
    ) -> (Option<Bytes>, Vec<What>) {
        let Publish { dup, qos, id, payload, .. } = publish;
        let (device, message) = (self.device, payload::read(self.salt, &payload));
        if qos == Qos::Two {
            if let Some(is_taken) = self.held.get(&id).copied() {
                for untaken in self.untaken.iter_mut().filter(|it| it.qos == Qos::Two && it.id == id) {
                    untaken.is_current = true;
                }
                let answer = is_taken.then(|| codec::ack(AckKind::PubRec, id));
                let what = What::Suppressed { device, conversation, message, seq: None, redelivered: dup };
                let acknowledged = What::Acknowledged { device, conversation, up_to: None, message };
                let acknowledged = answer.is_some().then_some(acknowledged).filter(|_| message.is_some());
                return (answer, std::iter::once(what).chain(acknowledged).collect());
            }
            self.held.insert(id, false);
        }
        self.untaken.push_back(Untaken { qos, id, conversation, message, is_current: true });
        let digest = payload::digest(&payload);
        let what = What::Delivered { device, conversation, message, seq: None, digest, redelivered: dup };
        (None, vec![what])
    }

    /// The application took the oldest message: packets to send, and what the device did.
    pub(super) fn consumed(&mut self, is_up: bool) -> Option<(Option<Bytes>, Option<What>)> {
        let Untaken { qos, id, conversation, message, is_current } = self.untaken.pop_front()?;
        if qos == Qos::Two
            && let Some(is_taken) = self.held.get_mut(&id)
        {
            *is_taken = true;
        }
        if !is_acknowledged(qos) || !is_current || !is_up {
            return Some((None, None));
        }
        let kind = if qos == Qos::Two { AckKind::PubRec } else { AckKind::PubAck };
        let device = self.device;
        let acknowledged = What::Acknowledged { device, conversation, up_to: None, message };
        Some((Some(codec::ack(kind, id)), message.map(|_| acknowledged)))
    }

    /// The server has finished a handshake of `QoS` 2.
    pub(super) fn released(&mut self, id: u16) {
        self.held.remove(&id);
    }

    /// What came before can no longer be acknowledged.
    pub(super) fn connection_ended(&mut self) {
        self.untaken.iter_mut().for_each(|untaken| untaken.is_current = false);
    }

    /// The server kept nothing: its packet ids mean nothing any more.
    pub(super) fn session_lost(&mut self) {
        self.held.clear();
    }

    pub(super) fn is_idle(&self) -> bool {
        self.untaken.is_empty()
    }
}
