//! Reading back: the engine's hot state after a start, and pages of the log.

use std::collections::BTreeMap;

use avouch_engine::ids::{Chain, ConversationId, DeviceId, DeviceKey, MessageId, UserId};
use avouch_engine::journal::{
    Body, Membership, RecentId, Record, Recovered, RecoveredConversation, RecoveredCursor, RecoveredDevice,
};
use avouch_engine::limits::DEDUP_IDS_PER_DEVICE;
use redb::{ReadOnlyTable, ReadTransaction, ReadableTable};

use super::overlay::{Logged, Overlay, Page};
use super::rows::{CURSORS, CursorKey, CursorRow, DEVICES, ENTRIES, MEMBERS, RECENT};
use super::runs::{decode_ids, entries, last_chain};
use super::{JournalError, from_store};

/// The state in the making: what the store has, then what the log has on top.
#[derive(Debug, Default)]
pub(super) struct State {
    conversations: BTreeMap<ConversationId, Conversation>,
    cursors: BTreeMap<CursorKey, CursorRow>,
    devices: BTreeMap<DeviceKey, Device>,
}

#[derive(Debug, Default)]
struct Conversation {
    head: u64,
    chain: Chain,
    /// (user, from) → until.
    members: BTreeMap<(UserId, u64), Option<u64>>,
}

#[derive(Debug, Default)]
struct Device {
    installation: u64,
    recent: BTreeMap<MessageId, RecentId>,
}

impl State {
    pub(super) fn read(transaction: &ReadTransaction) -> Result<Self, JournalError> {
        let mut state = Self {
            conversations: heads(&transaction.open_table(ENTRIES).map_err(from_store)?)?,
            ..Self::default()
        };
        for row in transaction.open_table(MEMBERS).map_err(from_store)?.iter().map_err(from_store)? {
            let (key, until) = row.map_err(from_store)?;
            let (conversation, user, from) = key.value();
            let until = Some(until.value()).filter(|until| *until != 0);
            let conversation = known(&mut state.conversations, ConversationId(conversation))?;
            conversation.members.insert((UserId(user), from), until);
        }
        for row in transaction.open_table(CURSORS).map_err(from_store)?.iter().map_err(from_store)? {
            let (key, value) = row.map_err(from_store)?;
            state.cursors.insert(key.value(), value.value());
        }
        for row in transaction.open_table(DEVICES).map_err(from_store)?.iter().map_err(from_store)? {
            let (key, installation) = row.map_err(from_store)?;
            let (user, device) = key.value();
            state.device(user, device).installation = installation.value();
        }
        for row in transaction.open_table(RECENT).map_err(from_store)?.iter().map_err(from_store)? {
            let (key, value) = row.map_err(from_store)?;
            let (user, device, _) = key.value();
            let ids = decode_ids(value.value()).ok_or_else(|| {
                JournalError::Corrupt(format!("recent ids of device {device} of user {user}"))
            })?;
            let recent = &mut state.device(user, device).recent;
            recent.extend(ids.into_iter().map(|recent| (recent.id, recent)));
        }
        Ok(state)
    }

    /// Goes on with what a generation of the log has.
    pub(super) fn apply(&mut self, overlay: &Overlay) -> Result<(), JournalError> {
        for (conversation, entries) in overlay.logs() {
            for logged in entries {
                self.append(conversation, logged)?;
            }
        }
        for record in overlay.rest() {
            match *record {
                Record::Entry { .. } => {}
                Record::Cursor { conversation, device, delivered, read, version } => {
                    let row = self.cursors.entry(cursor_key(conversation, device)).or_default();
                    *row = (delivered, read, version, row.3);
                }
                Record::ReceiptsConfirmed { conversation, device, version } => {
                    self.cursors.entry(cursor_key(conversation, device)).or_default().3 = version;
                }
                Record::Device { device, installation } => {
                    self.devices.entry(device).or_default().installation = installation;
                    let (user, device) = (device.user.0, device.device.0);
                    for (_, row) in self.cursors.range_mut((user, device, 0)..=(user, device, u64::MAX)) {
                        *row = (0, 0, row.2, 0);
                    }
                }
            }
        }
        Ok(())
    }

    pub(super) fn finish(self) -> Result<Recovered, JournalError> {
        let mut conversations: BTreeMap<_, _> =
            self.conversations.into_iter().map(|(id, conversation)| (id, conversation.finish(id))).collect();
        for ((user, device, conversation), (delivered, read, version, receipts_confirmed)) in self.cursors {
            let device = DeviceKey { user: UserId(user), device: DeviceId(device) };
            let conversation = known(&mut conversations, ConversationId(conversation))?;
            conversation.version = conversation.version.max(version);
            conversation.cursors.push(RecoveredCursor {
                device,
                delivered,
                read,
                version,
                receipts_confirmed,
            });
        }
        let devices = self.devices.into_iter().map(|(key, device)| {
            let surplus = device.recent.len().saturating_sub(DEDUP_IDS_PER_DEVICE);
            let recent = device.recent.into_values().skip(surplus).collect();
            RecoveredDevice { key, installation: device.installation, recent }
        });
        Ok(Recovered { devices: devices.collect(), conversations: conversations.into_values().collect() })
    }

    fn device(&mut self, user: u64, device: u32) -> &mut Device {
        self.devices.entry(DeviceKey { user: UserId(user), device: DeviceId(device) }).or_default()
    }

    fn append(&mut self, conversation: ConversationId, logged: Logged<'_>) -> Result<(), JournalError> {
        let (fingerprint, entry) = (logged.fingerprint, logged.decode());
        let recent = &mut self.devices.entry(entry.author).or_default().recent;
        recent.insert(entry.id, RecentId { id: entry.id, conversation, seq: entry.seq, fingerprint });
        if recent.len() > DEDUP_IDS_PER_DEVICE {
            recent.pop_first();
        }
        let known = self.conversations.entry(conversation).or_default();
        if known.head.checked_add(1) != Some(entry.seq) {
            return Err(JournalError::Corrupt(format!(
                "conversation {} goes from entry {} to entry {}",
                conversation.0, known.head, entry.seq
            )));
        }
        (known.head, known.chain) = (entry.seq, entry.chain);
        if let Body::Members { added, removed } = &entry.body {
            for user in added {
                known.members.insert((*user, entry.seq), None);
            }
            for user in removed {
                let whole_stay = (*user, 0)..=(*user, u64::MAX);
                if let Some((_, until @ None)) = known.members.range_mut(whole_stay).next_back() {
                    *until = Some(entry.seq);
                }
            }
        }
        Ok(())
    }
}

impl Conversation {
    fn finish(self, id: ConversationId) -> RecoveredConversation {
        let members =
            self.members.into_iter().map(|((user, from), until)| Membership { user, from, until }).collect();
        RecoveredConversation { id, head: self.head, chain: self.chain, members, ..Default::default() }
    }
}

/// Goes on with what the store has.
pub(super) fn fill(page: &mut Page, transaction: &ReadTransaction) -> Result<(), JournalError> {
    let Some(first) = page.next() else { return Ok(()) };
    let log = transaction.open_table(ENTRIES).map_err(from_store)?;
    let conversation = page.conversation().0;
    for row in log.range((conversation, first)..=(conversation, u64::MAX)).map_err(from_store)? {
        let (key, value) = row.map_err(from_store)?;
        let last = key.value().1;
        for entry in entries(last, value.value(), first) {
            page.push(entry.ok_or_else(|| damaged(conversation, last))?);
            if page.next().is_none() {
                return Ok(());
            }
        }
    }
    Ok(())
}

fn damaged(conversation: u64, last: u64) -> JournalError {
    JournalError::Corrupt(format!("the entries of conversation {conversation} up to {last}"))
}

/// Finds every conversation's last entry by hopping from one to the next: the log itself is not read.
fn heads(
    log: &ReadOnlyTable<(u64, u64), &'static [u8]>,
) -> Result<BTreeMap<ConversationId, Conversation>, JournalError> {
    let mut heads = BTreeMap::new();
    let mut from = Some(0);
    while let Some(start) = from {
        let Some(first) = log.range((start, 0)..).map_err(from_store)?.next() else { break };
        let conversation = first.map_err(from_store)?.0.value().0;
        let all = (conversation, 0)..=(conversation, u64::MAX);
        if let Some(last) = log.range(all).map_err(from_store)?.next_back() {
            let (key, value) = last.map_err(from_store)?;
            let head = key.value().1;
            let chain = last_chain(head, value.value()).ok_or_else(|| damaged(conversation, head))?;
            heads.insert(ConversationId(conversation), Conversation { head, chain, ..Default::default() });
        }
        from = conversation.checked_add(1);
    }
    Ok(heads)
}

fn known<T>(
    conversations: &mut BTreeMap<ConversationId, T>,
    id: ConversationId,
) -> Result<&mut T, JournalError> {
    conversations
        .get_mut(&id)
        .ok_or_else(|| JournalError::Corrupt(format!("conversation {} has no log", id.0)))
}

fn cursor_key(conversation: ConversationId, device: DeviceKey) -> CursorKey {
    (device.user.0, device.device.0, conversation.0)
}
