//! Reading back: the engine's hot state after a start, and pages of the log.

use std::collections::BTreeMap;

use avouch_engine::ids::{ConversationId, DeviceId, DeviceKey, MessageId, UserId};
use avouch_engine::journal::{
    Body, Entry, Membership, Query, RecentId, Recovered, RecoveredConversation, RecoveredCursor,
    RecoveredDevice,
};
use avouch_engine::limits::DEDUP_IDS_PER_DEVICE;
use redb::{ReadOnlyTable, ReadTransaction, ReadableTable};

use super::rows::{CURSORS, DEVICES, ENTRIES, MEMBERS, RECENT, chain_of, decode_entry};
use super::{JournalError, from_store};

pub(super) fn recover(transaction: &ReadTransaction) -> Result<Recovered, JournalError> {
    let mut conversations = heads(&transaction.open_table(ENTRIES).map_err(from_store)?)?;
    for row in transaction.open_table(MEMBERS).map_err(from_store)?.iter().map_err(from_store)? {
        let (key, until) = row.map_err(from_store)?;
        let (conversation, user, from) = key.value();
        let until = Some(until.value()).filter(|until| *until != 0);
        known(&mut conversations, conversation)?.members.push(Membership { user: UserId(user), from, until });
    }
    for row in transaction.open_table(CURSORS).map_err(from_store)?.iter().map_err(from_store)? {
        let (key, value) = row.map_err(from_store)?;
        let (user, device, conversation) = key.value();
        let (delivered, read, version, receipts_confirmed) = value.value();
        let device = DeviceKey { user: UserId(user), device: DeviceId(device) };
        let conversation = known(&mut conversations, conversation)?;
        conversation.version = conversation.version.max(version);
        conversation.cursors.push(RecoveredCursor { device, delivered, read, version, receipts_confirmed });
    }
    Ok(Recovered { conversations: conversations.into_values().collect(), devices: devices(transaction)? })
}

/// At most [`Query::entries_max`] entries in order.
pub(super) fn entries(transaction: &ReadTransaction, query: &Query) -> Result<Vec<Entry>, JournalError> {
    let log = transaction.open_table(ENTRIES).map_err(from_store)?;
    let conversation = query.conversation.0;
    let mut page = Vec::new();
    let mut payload_bytes = 0;
    let Some(first) = query.after.checked_add(1) else { return Ok(page) };
    for row in log.range((conversation, first)..=(conversation, u64::MAX)).map_err(from_store)? {
        let (key, value) = row.map_err(from_store)?;
        let seq = key.value().1;
        let entry = decode_entry(seq, value.value())
            .ok_or_else(|| JournalError::Corrupt(format!("entry {seq} of conversation {conversation}")))?;
        payload_bytes += match &entry.body {
            Body::Message { payload, .. } => payload.len(),
            Body::Members { added, removed } => 8 * (added.len() + removed.len()),
        };
        if page.len() >= query.entries_max || (payload_bytes > query.payload_bytes_max && !page.is_empty()) {
            break;
        }
        page.push(entry);
    }
    Ok(page)
}

/// Finds every conversation's last entry by hopping from one to the next: the log itself is not read.
fn heads(
    log: &ReadOnlyTable<(u64, u64), &'static [u8]>,
) -> Result<BTreeMap<u64, RecoveredConversation>, JournalError> {
    let mut heads = BTreeMap::new();
    let mut from = Some(0);
    while let Some(start) = from {
        let Some(first) = log.range((start, 0)..).map_err(from_store)?.next() else { break };
        let conversation = first.map_err(from_store)?.0.value().0;
        let all = (conversation, 0)..=(conversation, u64::MAX);
        if let Some(last) = log.range(all).map_err(from_store)?.next_back() {
            let (key, value) = last.map_err(from_store)?;
            let head = key.value().1;
            let chain = chain_of(value.value()).ok_or_else(|| {
                JournalError::Corrupt(format!("entry {head} of conversation {conversation}"))
            })?;
            let id = ConversationId(conversation);
            heads.insert(conversation, RecoveredConversation { id, head, chain, ..Default::default() });
        }
        from = conversation.checked_add(1);
    }
    Ok(heads)
}

fn known(
    conversations: &mut BTreeMap<u64, RecoveredConversation>,
    id: u64,
) -> Result<&mut RecoveredConversation, JournalError> {
    conversations.get_mut(&id).ok_or_else(|| JournalError::Corrupt(format!("conversation {id} has no log")))
}

fn devices(transaction: &ReadTransaction) -> Result<Vec<RecoveredDevice>, JournalError> {
    let mut devices = BTreeMap::new();
    for row in transaction.open_table(DEVICES).map_err(from_store)?.iter().map_err(from_store)? {
        let (key, installation) = row.map_err(from_store)?;
        let (user, device) = key.value();
        let key = DeviceKey { user: UserId(user), device: DeviceId(device) };
        devices.insert(key, RecoveredDevice { key, installation: installation.value(), recent: Vec::new() });
    }
    for row in transaction.open_table(RECENT).map_err(from_store)?.iter().map_err(from_store)? {
        let (key, value) = row.map_err(from_store)?;
        let (user, device, id) = key.value();
        let (conversation, seq, fingerprint) = value.value();
        let key = DeviceKey { user: UserId(user), device: DeviceId(device) };
        let device = devices.entry(key).or_insert_with(|| RecoveredDevice {
            key,
            installation: 0,
            recent: Vec::new(),
        });
        let id = MessageId(id);
        device.recent.push(RecentId { id, conversation: ConversationId(conversation), seq, fingerprint });
    }
    for device in devices.values_mut() {
        let surplus = device.recent.len().saturating_sub(DEDUP_IDS_PER_DEVICE);
        device.recent.drain(..surplus);
    }
    Ok(devices.into_values().collect())
}
