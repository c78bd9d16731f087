//! What a journal should hold, by the plainest means; and a source of records that an engine could propose.

use std::collections::{BTreeMap, VecDeque};

use avouch_engine::ids::{Chain, ConversationId, DeviceId, DeviceKey, MessageId, UserId};
use avouch_engine::journal::{
    Body, Entry, Membership, RecentId, Record, Recovered, RecoveredConversation, RecoveredCursor,
    RecoveredDevice, fingerprint,
};
use avouch_engine::limits::DEDUP_IDS_PER_DEVICE;
use bytes::Bytes;

/// The state after some records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Model {
    pub(crate) logs: BTreeMap<ConversationId, Vec<Entry>>,
    cursors: BTreeMap<(ConversationId, DeviceKey), RecoveredCursor>,
    installations: BTreeMap<DeviceKey, u64>,
    recent: BTreeMap<DeviceKey, VecDeque<RecentId>>,
}

impl Model {
    pub(crate) fn apply(&mut self, record: &Record) {
        match record {
            Record::Entry { conversation, entry } => {
                self.logs.entry(*conversation).or_default().push(entry.clone());
                let recent = self.recent.entry(entry.author).or_default();
                let fingerprint = fingerprint(*conversation, &entry.body);
                recent.push_back(RecentId {
                    id: entry.id,
                    conversation: *conversation,
                    seq: entry.seq,
                    fingerprint,
                });
                if recent.len() > DEDUP_IDS_PER_DEVICE {
                    recent.pop_front();
                }
            }
            Record::Cursor { conversation, device, delivered, read, version } => {
                let cursor = self.cursor(*conversation, *device);
                (cursor.delivered, cursor.read, cursor.version) = (*delivered, *read, *version);
            }
            Record::ReceiptsConfirmed { conversation, device, version } => {
                self.cursor(*conversation, *device).receipts_confirmed = *version;
            }
            Record::Device { device, installation } => {
                self.installations.insert(*device, *installation);
            }
        }
    }

    pub(crate) fn recovered(&self) -> Recovered {
        let conversations = self.logs.iter().map(|(id, log)| self.conversation(*id, log)).collect();
        let mut devices: BTreeMap<DeviceKey, RecoveredDevice> = BTreeMap::new();
        for (key, installation) in &self.installations {
            devices.entry(*key).or_default().installation = *installation;
        }
        for (key, recent) in &self.recent {
            devices.entry(*key).or_default().recent = recent.iter().copied().collect();
        }
        let devices = devices.into_iter().map(|(key, device)| RecoveredDevice { key, ..device }).collect();
        Recovered { conversations, devices }
    }

    fn conversation(&self, id: ConversationId, log: &[Entry]) -> RecoveredConversation {
        let last = log.last().expect("a log starts with an entry");
        let cursors: Vec<_> =
            self.cursors.iter().filter(|((place, _), _)| *place == id).map(|(_, cursor)| *cursor).collect();
        let version = cursors.iter().map(|cursor| cursor.version).max().unwrap_or(0);
        let mut members: Vec<Membership> = Vec::new();
        for entry in log {
            if let Body::Members { added, removed } = &entry.body {
                members.extend(added.iter().map(|user| Membership {
                    user: *user,
                    from: entry.seq,
                    until: None,
                }));
                for stay in &mut members {
                    if removed.contains(&stay.user) && stay.until.is_none() {
                        stay.until = Some(entry.seq);
                    }
                }
            }
        }
        members.sort();
        RecoveredConversation { id, head: last.seq, chain: last.chain, version, members, cursors }
    }

    fn cursor(&mut self, conversation: ConversationId, device: DeviceKey) -> &mut RecoveredCursor {
        self.cursors.entry((conversation, device)).or_insert(RecoveredCursor {
            device,
            delivered: 0,
            read: 0,
            version: 0,
            receipts_confirmed: 0,
        })
    }

    fn is_member(&self, conversation: ConversationId, user: UserId) -> bool {
        let mut member = false;
        for entry in self.logs.get(&conversation).into_iter().flatten() {
            if let Body::Members { added, removed } = &entry.body {
                member = (member || added.contains(&user)) && !removed.contains(&user);
            }
        }
        member
    }
}

/// Makes records from small numbers, in the order and shape that an engine would propose them.
#[derive(Debug, Default)]
pub(crate) struct Source {
    /// Everything proposed so far.
    pub(crate) proposed: Model,
    ids: BTreeMap<DeviceKey, u64>,
    versions: BTreeMap<ConversationId, u64>,
}

impl Source {
    /// After a restart, proposals go on from what was recovered; ids and versions only ever rise.
    pub(crate) fn restart(&mut self, from: &Model) {
        self.proposed = from.clone();
    }

    pub(crate) fn record(&mut self, choice: u64) -> Record {
        let record = self.choose(choice);
        self.proposed.apply(&record);
        record
    }

    fn choose(&mut self, choice: u64) -> Record {
        let conversation = ConversationId(1 + choice / 8 % 3);
        let user = UserId(1 + choice / 24 % 4);
        let device = DeviceKey { user, device: DeviceId((choice / 96 % 2) as u32) };
        let size = (choice / 192 % 12) as usize;
        let log_len = self.proposed.logs.get(&conversation).map_or(0, Vec::len) as u64;
        match choice % 8 {
            _ if log_len == 0 => {
                let added = vec![user, UserId(90 + size as u64)];
                self.entry(conversation, device, Body::Members { added, removed: Vec::new() })
            }
            0 if self.proposed.is_member(conversation, user) => {
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

    fn entry(&mut self, conversation: ConversationId, author: DeviceKey, body: Body) -> Record {
        let id = self.ids.entry(author).or_default();
        *id += 1;
        let seq = self.proposed.logs.get(&conversation).map_or(0, Vec::len) as u64 + 1;
        let mut chain: Chain = [seq as u8; 32];
        chain[0] = *id as u8;
        let entry = Entry { seq, author, id: MessageId(*id), at_ms: seq * 7, chain, body };
        Record::Entry { conversation, entry }
    }
}
