//! A journal in memory: the reference model of what a journal does, for tests and simulations. Not
//! for production: it keeps every entry.

use std::collections::BTreeMap;

use super::{
    Body, Entry, Membership, Query, RecentId, Record, Recovered, RecoveredConversation, RecoveredCursor,
    RecoveredDevice,
};
use crate::chain;
use crate::ids::{ConversationId, DeviceKey, MessageId, Seq, UserId};
use crate::limits;

/// Tables, and the proposals that have not been committed.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    tables: Tables,
    pending: Vec<Record>,
}

#[derive(Clone, Debug, Default)]
struct Tables {
    conversations: BTreeMap<ConversationId, Log>,
    devices: BTreeMap<DeviceKey, Device>,
}

#[derive(Clone, Debug, Default)]
struct Log {
    entries: Vec<Entry>,
    version: u64,
    members: BTreeMap<UserId, Vec<Membership>>,
    cursors: BTreeMap<DeviceKey, RecoveredCursor>,
}

#[derive(Clone, Debug, Default)]
struct Device {
    installation: u64,
    /// Where the newest ids went. What else is remembered of them follows from the entry.
    recent: BTreeMap<MessageId, (ConversationId, Seq)>,
}

impl Memory {
    /// Takes a proposal.
    pub fn propose(&mut self, record: Record) {
        self.pending.push(record);
    }

    /// How many proposals wait.
    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    /// Makes the oldest `count` proposals durable; answers how many there were.
    pub fn commit(&mut self, count: usize) -> usize {
        let count = count.min(self.pending.len());
        for record in self.pending.drain(..count) {
            self.tables.apply(record);
        }
        count
    }

    /// Refuses all proposals that wait (or: loses them, as a crash does); answers how many there were.
    pub fn lose_tail(&mut self) -> usize {
        std::mem::take(&mut self.pending).len()
    }

    /// Reads committed entries.
    pub fn query(&self, query: &Query) -> Vec<Entry> {
        let Some(log) = self.tables.conversations.get(&query.conversation) else {
            return Vec::new();
        };
        let mut bytes = 0;
        let fits = |entry: &&Entry| {
            let own = match &entry.body {
                Body::Message { payload, .. } => payload.len(),
                Body::Members { added, removed } => (added.len() + removed.len()) * 8,
            };
            bytes += own;
            bytes <= query.payload_bytes_max || bytes == own
        };
        let after = usize::try_from(query.after).unwrap_or(usize::MAX);
        log.entries.iter().skip(after).take(query.entries_max).take_while(fits).cloned().collect()
    }

    /// Committed entries of a conversation, in order.
    pub fn log(&self, conversation: ConversationId) -> &[Entry] {
        self.tables.conversations.get(&conversation).map_or(&[], |log| &log.entries)
    }

    /// What a new server starts from.
    pub fn recovered(&self) -> Recovered {
        let conversations = self.tables.conversations.iter().map(|(id, log)| RecoveredConversation {
            id: *id,
            head: log.entries.len() as Seq,
            chain: log.entries.last().map_or(chain::CHAIN_START, |entry| entry.chain),
            version: log.version,
            members: log.members.values().flatten().copied().collect(),
            cursors: log.cursors.values().copied().collect(),
        });
        let devices = self.tables.devices.iter().map(|(key, device)| RecoveredDevice {
            key: *key,
            installation: device.installation,
            recent: device.recent.iter().map(|(id, at)| self.tables.recent_id(*id, *at)).collect(),
        });
        Recovered { conversations: conversations.collect(), devices: devices.collect() }
    }
}

impl Tables {
    fn apply(&mut self, record: Record) {
        match record {
            Record::Entry { conversation, entry, .. } => {
                self.append(conversation, entry);
            }
            Record::Cursor { conversation, device, delivered, read, version } => {
                let log = self.conversations.entry(conversation).or_default();
                log.version = version;
                let cursor = log.cursor(device);
                (cursor.delivered, cursor.read, cursor.version) = (delivered, read, version);
            }
            Record::ReceiptsConfirmed { conversation, device, version } => {
                self.conversations.entry(conversation).or_default().cursor(device).receipts_confirmed =
                    version;
            }
            Record::Device { device, installation } => {
                self.devices.entry(device).or_default().installation = installation;
                for log in self.conversations.values_mut() {
                    if let Some(cursor) = log.cursors.get_mut(&device) {
                        (cursor.delivered, cursor.read, cursor.receipts_confirmed) = (0, 0, 0);
                    }
                }
            }
        }
    }

    fn recent_id(&self, id: MessageId, (conversation, seq): (ConversationId, Seq)) -> RecentId {
        let entry = &self.conversations[&conversation].entries[seq as usize - 1];
        let fingerprint = chain::fingerprint(&chain::content(conversation, &entry.body));
        RecentId { id, conversation, seq, fingerprint }
    }

    fn append(&mut self, conversation: ConversationId, entry: Entry) {
        let author = self.devices.entry(entry.author).or_default();
        author.recent.insert(entry.id, (conversation, entry.seq));
        if author.recent.len() > limits::DEDUP_IDS_PER_DEVICE {
            author.recent.pop_first();
        }
        let log = self.conversations.entry(conversation).or_default();
        assert_eq!(entry.seq, log.entries.len() as Seq + 1, "the engine proposes without gaps");
        if let Body::Members { added, removed } = &entry.body {
            for user in added {
                let stay = Membership { user: *user, from: entry.seq, until: None };
                log.members.entry(*user).or_default().push(stay);
            }
            for user in removed {
                if let Some(stay) = log.members.get_mut(user).and_then(|stays| stays.last_mut()) {
                    stay.until = Some(entry.seq);
                }
            }
        }
        log.entries.push(entry);
    }
}

impl Log {
    fn cursor(&mut self, device: DeviceKey) -> &mut RecoveredCursor {
        self.cursors.entry(device).or_insert(RecoveredCursor {
            device,
            delivered: 0,
            read: 0,
            version: 0,
            receipts_confirmed: 0,
        })
    }
}
