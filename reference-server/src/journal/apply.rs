//! One generation of the log as one transaction of the store.

use std::collections::BTreeMap;

use avouch_engine::chain;
use avouch_engine::ids::{ConversationId, DeviceKey};
use avouch_engine::journal::{Body, Entry, Record};
use avouch_engine::limits::DEDUP_IDS_PER_DEVICE;
use redb::{ReadableTable, StorageError, Table, TableError, WriteTransaction};
use rustc_hash::FxHashMap;

use super::overlay::Overlay;
use super::rows::{CURSORS, CursorKey, CursorRow, DEVICES, ENTRIES, MEMBERS, RECENT, encode_entry};

/// Rows of the dedup window that a device may have above the engine's limit before they are pruned, all at once.
const PRUNE_SLACK: usize = 256;

/// How many rows of the dedup window each device has in the store; learnt when a device first sends.
#[derive(Debug, Default)]
pub(super) struct RecentRows {
    by_device: FxHashMap<DeviceKey, usize>,
}

pub(super) fn apply(
    transaction: &WriteTransaction,
    recent: &mut RecentRows,
    overlay: &Overlay,
) -> Result<(), TableError> {
    apply_entries(transaction, overlay)?;
    recent.take_in(&mut transaction.open_table(RECENT)?, overlay)?;
    let mut cursors = Cursors { table: transaction.open_table(CURSORS)?, changed: BTreeMap::new() };
    for record in overlay.rest() {
        match *record {
            Record::Entry { .. } => {}
            Record::Cursor { conversation, device, delivered, read, version } => {
                let row = cursors.row(conversation, device)?;
                *row = (delivered, read, version, row.3);
            }
            Record::ReceiptsConfirmed { conversation, device, version } => {
                cursors.row(conversation, device)?.3 = version;
            }
            Record::Device { device, installation } => {
                let mut devices = transaction.open_table(DEVICES)?;
                devices.insert((device.user.0, device.device.0), installation)?;
                cursors.forget(device)?;
            }
        }
    }
    cursors.write()?;
    Ok(())
}

fn apply_entries(transaction: &WriteTransaction, overlay: &Overlay) -> Result<(), TableError> {
    let mut log = transaction.open_table(ENTRIES)?;
    let mut bytes = Vec::new();
    for (conversation, entry) in overlay.entries() {
        bytes.clear();
        encode_entry(entry, &mut bytes);
        log.insert((conversation.0, entry.seq), bytes.as_slice())?;
        if let Body::Members { added, removed } = &entry.body {
            let mut members = transaction.open_table(MEMBERS)?;
            for user in added {
                members.insert((conversation.0, user.0, entry.seq), 0)?;
            }
            for user in removed {
                let whole_stay = (conversation.0, user.0, 0)..=(conversation.0, user.0, u64::MAX);
                let last = members.range(whole_stay)?.next_back().transpose()?;
                let last = last.map(|(key, until)| (key.value(), until.value()));
                if let Some((key, 0)) = last {
                    members.insert(key, entry.seq)?;
                }
            }
        }
    }
    Ok(())
}

impl RecentRows {
    fn take_in(
        &mut self,
        window: &mut Table<'_, (u64, u32, u64), (u64, u64, u64)>,
        overlay: &Overlay,
    ) -> Result<(), StorageError> {
        let mut sent: BTreeMap<DeviceKey, Vec<(ConversationId, &Entry)>> = BTreeMap::new();
        for (conversation, entry) in overlay.entries() {
            sent.entry(entry.author).or_default().push((conversation, entry));
        }
        for (device, mut entries) in sent {
            entries.sort_by_key(|(_, entry)| entry.id);
            // Whatever is older than these would be pruned.
            let newest = entries.len().saturating_sub(DEDUP_IDS_PER_DEVICE);
            self.add(window, device, &entries[newest..])?;
        }
        Ok(())
    }

    fn add(
        &mut self,
        window: &mut Table<'_, (u64, u32, u64), (u64, u64, u64)>,
        author: DeviceKey,
        entries: &[(ConversationId, &Entry)],
    ) -> Result<(), StorageError> {
        let (user, device) = (author.user.0, author.device.0);
        let all = (user, device, 0)..=(user, device, u64::MAX);
        let rows = match self.by_device.entry(author) {
            std::collections::hash_map::Entry::Occupied(rows) => rows.into_mut(),
            std::collections::hash_map::Entry::Vacant(slot) => {
                slot.insert(window.range(all.clone())?.count())
            }
        };
        for (conversation, entry) in entries {
            let fingerprint = chain::fingerprint(&chain::content(*conversation, &entry.body));
            let row = (conversation.0, entry.seq, fingerprint);
            if window.insert((user, device, entry.id.0), row)?.is_none() {
                *rows += 1;
            }
        }
        if *rows > DEDUP_IDS_PER_DEVICE + PRUNE_SLACK {
            let surplus = *rows - DEDUP_IDS_PER_DEVICE;
            let newest_pruned =
                window.range(all.clone())?.nth(surplus - 1).transpose()?.map(|row| row.0.value());
            if let Some(newest_pruned) = newest_pruned {
                window.retain_in(*all.start()..=newest_pruned, |_, _| false)?;
            }
            *rows = DEDUP_IDS_PER_DEVICE;
        }
        Ok(())
    }
}

/// Cursors move many times in a batch and are written once.
struct Cursors<'txn> {
    table: Table<'txn, CursorKey, CursorRow>,
    changed: BTreeMap<CursorKey, CursorRow>,
}

impl Cursors<'_> {
    fn row(
        &mut self,
        conversation: ConversationId,
        device: DeviceKey,
    ) -> Result<&mut CursorRow, StorageError> {
        let key = (device.user.0, device.device.0, conversation.0);
        Ok(match self.changed.entry(key) {
            std::collections::btree_map::Entry::Occupied(row) => row.into_mut(),
            std::collections::btree_map::Entry::Vacant(slot) => {
                slot.insert(self.table.get(key)?.map(|row| row.value()).unwrap_or_default())
            }
        })
    }

    /// The device lost its state: what it had, it does not have. Versions stay.
    fn forget(&mut self, device: DeviceKey) -> Result<(), StorageError> {
        let all = (device.user.0, device.device.0, 0)..=(device.user.0, device.device.0, u64::MAX);
        for row in self.table.range(all.clone())? {
            let (key, row) = row?;
            self.changed.entry(key.value()).or_insert(row.value());
        }
        for (_, row) in self.changed.range_mut(all) {
            *row = (0, 0, row.2, 0);
        }
        Ok(())
    }

    fn write(mut self) -> Result<(), StorageError> {
        for (key, row) in &self.changed {
            self.table.insert(key, row)?;
        }
        Ok(())
    }
}
