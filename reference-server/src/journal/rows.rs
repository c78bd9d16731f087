//! The layout of the store: tables, and the bytes of a log entry (`runs` has those of a row). All integers little endian.
//!
//! Changing anything here changes [`super::FORMAT_VERSION`].

use avouch_engine::ids::{Chain, DeviceId, DeviceKey, MessageId, Seq, UserId};
use avouch_engine::journal::{Body, Entry, Record};
use bytes::Bytes;
use redb::{Database, ReadableDatabase, TableDefinition, TableError, WriteTransaction};

use super::log::Position;
use super::{FORMAT_VERSION, JournalError, from_store};

/// What this store is, and how far it has come: a few rows.
const STAMP: TableDefinition<&str, u64> = TableDefinition::new("avouch");
const VERSION: &str = "journal format version";
const JOURNAL: &str = "journal";
const GENERATION: &str = "generations of the log";
const NEXT_BLOCK: &str = "blocks of the log";
const CHECKSUM: &str = "checksum of the last block";

/// (conversation, seq of the last) → a run of entries.
pub(super) const ENTRIES: TableDefinition<(u64, u64), &[u8]> = TableDefinition::new("entries");
/// (user, device, id of the first) → a run of ids.
pub(super) const RECENT: TableDefinition<(u64, u32, u64), &[u8]> = TableDefinition::new("recent");
/// (conversation, user, from) → until, 0 while it lasts.
pub(super) const MEMBERS: TableDefinition<(u64, u64, u64), u64> = TableDefinition::new("members");
/// User, device, conversation: a device that starts anew finds all of its cursors together.
pub(super) type CursorKey = (u64, u32, u64);
/// Delivered, read, version, receipts confirmed.
pub(super) type CursorRow = (u64, u64, u64, u64);
pub(super) const CURSORS: TableDefinition<CursorKey, CursorRow> = TableDefinition::new("cursors");
/// (user, device) → installation.
pub(super) const DEVICES: TableDefinition<(u64, u32), u64> = TableDefinition::new("devices");

const MESSAGE: u8 = 0;
const REPLY: u8 = 1;
const MEMBERSHIP: u8 = 2;

/// Author, id, time and chain.
const HEADER_BYTES: usize = 8 + 4 + 8 + 8 + 32;

/// What a store says of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Stamp {
    /// Which journal it belongs to.
    pub(super) journal: u64,
    /// Everything of the log up to here is in the store.
    pub(super) position: Position,
}

impl Stamp {
    /// Writes it, and makes every table, so that readers find them.
    pub(super) fn write(&self, transaction: &WriteTransaction) -> Result<(), TableError> {
        let mut table = transaction.open_table(STAMP)?;
        for (key, value) in [
            (VERSION, u64::from(FORMAT_VERSION)),
            (JOURNAL, self.journal),
            (GENERATION, self.position.generation),
            (NEXT_BLOCK, self.position.next_block),
            (CHECKSUM, u64::from(self.position.checksum)),
        ] {
            table.insert(key, value)?;
        }
        transaction.open_table(ENTRIES)?;
        transaction.open_table(RECENT)?;
        transaction.open_table(MEMBERS)?;
        transaction.open_table(CURSORS)?;
        transaction.open_table(DEVICES)?;
        Ok(())
    }

    pub(super) fn read(database: &Database) -> Result<Self, JournalError> {
        let transaction = database.begin_read().map_err(from_store)?;
        let table = transaction.open_table(STAMP).map_err(|error| match error {
            TableError::TableDoesNotExist(_) => JournalError::Foreign("a store of another program".into()),
            TableError::TableTypeMismatch { .. } => {
                JournalError::Foreign("a store of a version that was never released".into())
            }
            other => from_store(other),
        })?;
        let value = |key| table.get(key).map_err(from_store).map(|row| row.map(|row| row.value()));
        match value(VERSION)? {
            Some(found) if found == u64::from(FORMAT_VERSION) => {}
            Some(found) if found > u64::from(FORMAT_VERSION) => return Err(JournalError::Future { found }),
            Some(found) => {
                return Err(JournalError::Foreign(format!("format version {found} was never released")));
            }
            None => return Err(JournalError::Foreign("a store without a version".into())),
        }
        let sure = |key| value(key)?.ok_or_else(|| JournalError::Corrupt(format!("the store has no {key}")));
        let checksum = u32::try_from(sure(CHECKSUM)?)
            .map_err(|_| JournalError::Corrupt(format!("the store's {CHECKSUM}")))?;
        let position = Position { generation: sure(GENERATION)?, next_block: sure(NEXT_BLOCK)?, checksum };
        Ok(Self { journal: sure(JOURNAL)?, position })
    }
}

/// What a record adds to the log, and later to the store without its own bookkeeping.
pub(crate) fn approximate_bytes(record: &Record) -> usize {
    let body = match record {
        Record::Entry { entry, .. } => match &entry.body {
            Body::Message { payload, .. } => payload.len(),
            Body::Members { added, removed } => (added.len() + removed.len()) * 40,
        },
        _ => 0,
    };
    body + 128
}

/// How many bytes [`encode_entry`] appends.
pub(super) fn entry_bytes(entry: &Entry) -> usize {
    let body = match &entry.body {
        Body::Message { reply_to: None, payload } => payload.len(),
        Body::Message { reply_to: Some(_), payload } => 8 + payload.len(),
        Body::Members { added, removed } => 8 + 8 * (added.len() + removed.len()),
    };
    HEADER_BYTES + 1 + body
}

/// Appends an entry without its seq.
pub(super) fn encode_entry(entry: &Entry, bytes: &mut Vec<u8>) {
    bytes.extend_from_slice(&entry.author.user.0.to_le_bytes());
    bytes.extend_from_slice(&entry.author.device.0.to_le_bytes());
    bytes.extend_from_slice(&entry.id.0.to_le_bytes());
    bytes.extend_from_slice(&entry.at_ms.to_le_bytes());
    bytes.extend_from_slice(&entry.chain);
    match &entry.body {
        Body::Message { reply_to: None, payload } => {
            bytes.push(MESSAGE);
            bytes.extend_from_slice(payload);
        }
        Body::Message { reply_to: Some(seq), payload } => {
            bytes.push(REPLY);
            bytes.extend_from_slice(&seq.to_le_bytes());
            bytes.extend_from_slice(payload);
        }
        Body::Members { added, removed } => {
            bytes.push(MEMBERSHIP);
            bytes.extend_from_slice(&(added.len() as u64).to_le_bytes());
            for user in added.iter().chain(removed) {
                bytes.extend_from_slice(&user.0.to_le_bytes());
            }
        }
    }
}

/// The chain in an encoded entry; `None` if it is cut short.
pub(super) fn chain_of(bytes: &[u8]) -> Option<Chain> {
    bytes.get(HEADER_BYTES - 32..HEADER_BYTES)?.try_into().ok()
}

/// The author and the id in an encoded entry; `None` if it is cut short.
pub(super) fn operation_of(mut bytes: &[u8]) -> Option<(DeviceKey, MessageId)> {
    let author = DeviceKey { user: UserId(take_u64(&mut bytes)?), device: DeviceId(take_u32(&mut bytes)?) };
    Some((author, MessageId(take_u64(&mut bytes)?)))
}

/// Whether an encoded entry changes the members.
pub(super) fn is_membership(bytes: &[u8]) -> bool {
    bytes.get(HEADER_BYTES) == Some(&MEMBERSHIP)
}

/// The bytes of payload, or of members, in an encoded entry.
pub(super) fn body_bytes_of(bytes: &[u8]) -> usize {
    let of_message = bytes.get(HEADER_BYTES) == Some(&MESSAGE);
    bytes.len().saturating_sub(HEADER_BYTES + if of_message { 1 } else { 1 + 8 })
}

/// Reads an entry back; `None` if the bytes are not one.
pub(super) fn decode_entry(seq: Seq, bytes: &[u8]) -> Option<Entry> {
    let mut rest = bytes;
    let author = DeviceKey { user: UserId(take_u64(&mut rest)?), device: DeviceId(take_u32(&mut rest)?) };
    let id = MessageId(take_u64(&mut rest)?);
    let at_ms = take_u64(&mut rest)?;
    let chain = *rest.split_first_chunk::<32>()?.0;
    rest = &rest[32..];
    let (&kind, mut rest) = rest.split_first()?;
    let body = match kind {
        MESSAGE => Body::Message { reply_to: None, payload: Bytes::copy_from_slice(rest) },
        REPLY => {
            let reply_to = Some(take_u64(&mut rest)?);
            Body::Message { reply_to, payload: Bytes::copy_from_slice(rest) }
        }
        MEMBERSHIP => {
            let added_count = usize::try_from(take_u64(&mut rest)?).ok()?;
            let (users, odd) = rest.as_chunks::<8>();
            if !odd.is_empty() || added_count > users.len() {
                return None;
            }
            let read = |part: &[[u8; 8]]| part.iter().map(|user| UserId(u64::from_le_bytes(*user))).collect();
            Body::Members { added: read(&users[..added_count]), removed: read(&users[added_count..]) }
        }
        _ => return None,
    };
    Some(Entry { seq, author, id, at_ms, chain, body })
}

pub(super) fn take_u64(rest: &mut &[u8]) -> Option<u64> {
    let (head, tail) = rest.split_first_chunk::<8>()?;
    *rest = tail;
    Some(u64::from_le_bytes(*head))
}

pub(super) fn take_u32(rest: &mut &[u8]) -> Option<u32> {
    let (head, tail) = rest.split_first_chunk::<4>()?;
    *rest = tail;
    Some(u32::from_le_bytes(*head))
}
