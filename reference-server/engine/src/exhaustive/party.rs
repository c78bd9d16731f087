//! One client of the exhaustive check, its connection, and what it was told.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use super::Scope;
use super::world::{SECRET, WAIT_MS};
use crate::auth;
use crate::backoff::Backoff;
use crate::client::{self, Client, Observation};
use crate::ids::{DeviceId, DeviceKey, MessageId, Seq, UserId};
use crate::server::ConnectionId;

/// One client and its connection.
#[derive(Clone)]
pub(super) struct Party {
    pub(super) client: Client,
    pub(super) key: DeviceKey,
    pub(super) connection: Option<ConnectionId>,
    pub(super) up: VecDeque<Bytes>,
    pub(super) down: VecDeque<Bytes>,
    /// Messages that it has not sent yet.
    pub(super) unsent: u8,
    pub(super) id_next: u64,
    /// What it was told of its messages.
    pub(super) accepted: BTreeMap<MessageId, Seq>,
    pub(super) refused: Vec<MessageId>,
    /// Who sent what it was shown, in order.
    pub(super) shown: Vec<(Seq, DeviceKey, MessageId)>,
    pub(super) chain_broken: bool,
}

impl Party {
    pub(super) fn new(number: usize, scope: &Scope) -> Self {
        let key = DeviceKey { user: UserId(number as u64 + 1), device: DeviceId(1) };
        let wait = Backoff { first_ms: WAIT_MS, cap_ms: WAIT_MS };
        let config = client::Config {
            reconnect: wait,
            retry: wait,
            connect_ms: u64::from(u32::MAX),
            defects: scope.defects,
            ..client::Config::default()
        };
        let token = auth::token(SECRET, key, u64::MAX);
        Self {
            client: Client::new(config, key, token, number as u64 + 1),
            key,
            connection: None,
            up: VecDeque::new(),
            down: VecDeque::new(),
            unsent: 0,
            id_next: 0,
            accepted: BTreeMap::new(),
            refused: Vec::new(),
            shown: Vec::new(),
            chain_broken: false,
        }
    }

    pub(super) fn learn(&mut self, observation: Observation) {
        match observation {
            Observation::Accepted { id, seq, .. } => drop(self.accepted.insert(id, seq)),
            Observation::Rejected { id, .. } | Observation::Indefinite { id, .. } => self.refused.push(id),
            Observation::Delivered { entry, .. } => self.shown.push((entry.seq, entry.author, entry.id)),
            Observation::ChainBroken { .. } => self.chain_broken = true,
            _ => {}
        }
    }

    pub(super) fn is_quiet(&self) -> bool {
        self.up.is_empty() && self.down.is_empty()
    }
}
