//! A source of records that an engine could propose, and the engine's own model of what a journal holds afterwards.

use std::collections::BTreeMap;

use avouch_engine::chain;
use avouch_engine::ids::{Chain, ConversationId, DeviceId, DeviceKey, MessageId, UserId};
use avouch_engine::journal::{Body, Entry, Memory, Record};
use bytes::Bytes;

/// Makes records from small numbers, in the order and shape that an engine would propose them.
#[derive(Debug, Default)]
pub(crate) struct Source {
    /// Everything proposed so far.
    pub(crate) proposed: Memory,
    ids: BTreeMap<DeviceKey, u64>,
    versions: BTreeMap<ConversationId, u64>,
}

impl Source {
    /// After a restart, proposals go on from what was recovered; ids and versions only ever rise.
    pub(crate) fn restart(&mut self, from: &Memory) {
        self.proposed = from.clone();
    }

    pub(crate) fn record(&mut self, choice: u64) -> Record {
        let record = self.choose(choice);
        self.proposed.propose(record.clone());
        self.proposed.commit(1);
        record
    }

    fn choose(&mut self, choice: u64) -> Record {
        let conversation = ConversationId(1 + choice / 8 % 3);
        let user = UserId(1 + choice / 24 % 4);
        let device = DeviceKey { user, device: DeviceId((choice / 96 % 2) as u32) };
        let size = (choice / 192 % 12) as usize;
        let log_len = self.proposed.log(conversation).len() as u64;
        match choice % 8 {
            _ if log_len == 0 && choice % 8 != 3 => {
                let added = vec![user, UserId(90 + size as u64)];
                self.entry(conversation, device, Body::Members { added, removed: Vec::new() })
            }
            0 if self.is_member(conversation, user) => {
                self.entry(conversation, device, Body::Members { added: Vec::new(), removed: vec![user] })
            }
            0 => self.entry(conversation, device, Body::Members { added: vec![user], removed: Vec::new() }),
            1 => {
                let version = self.versions.entry(conversation).or_default();
                *version += 1;
                let (delivered, read) = (log_len, log_len / 2);
                Record::Cursor { conversation, device, delivered, read, version: *version }
            }
            2 => {
                let version = self.versions.get(&conversation).copied().unwrap_or(0);
                Record::ReceiptsConfirmed { conversation, device, version }
            }
            3 => Record::Device { device, installation: choice | 1 },
            _ => {
                let payload = Bytes::from(vec![choice as u8; size * size * 40]);
                let reply_to = (choice % 8 == 4).then_some(log_len);
                self.entry(conversation, device, Body::Message { reply_to, payload })
            }
        }
    }

    fn is_member(&self, conversation: ConversationId, user: UserId) -> bool {
        self.proposed.log(conversation).iter().fold(false, |member, entry| match &entry.body {
            Body::Members { added, removed } => (member || added.contains(&user)) && !removed.contains(&user),
            Body::Message { .. } => member,
        })
    }

    fn entry(&mut self, conversation: ConversationId, author: DeviceKey, body: Body) -> Record {
        let id = self.ids.entry(author).or_default();
        *id += 1;
        let seq = self.proposed.log(conversation).len() as u64 + 1;
        let mut chain: Chain = [seq as u8; 32];
        chain[0] = *id as u8;
        let entry = Entry { seq, author, id: MessageId(*id), at_ms: seq * 7, chain, body };
        let fingerprint = chain::fingerprint(&chain::content(conversation, &entry.body));
        Record::Entry { conversation, fingerprint, entry }
    }
}
