//! One generation of the log as one transaction of the store.

use std::collections::BTreeMap;

use avouch_engine::ids::{ConversationId, DeviceKey, Seq, UserId};
use avouch_engine::journal::{Body, RecentId, Record};
use avouch_engine::limits::DEDUP_IDS_PER_DEVICE;
use redb::{ReadableTable, StorageError, Table, TableError, WriteTransaction};
use rustc_hash::FxHashMap;

use super::overlay::{Logged, Overlay};
use super::rows::{
    CURSORS, CursorKey, CursorRow, DEVICES, ENTRIES, MEMBERS, RECENT, is_membership, operation_of,
};
use super::runs::{EntryRun, IDS_PER_RUN, decode_ids, encode_ids, ids_in};

/// Ids of the dedup window that a device may have in the store above the engine's limit before the oldest run goes: more
/// than a run has, so that what is left is never too little.
const PRUNE_SLACK: usize = IDS_PER_RUN;

/// How many ids of the dedup window each device has in the store; learnt when a device first sends.
#[derive(Debug, Default)]
pub(super) struct RecentIds {
    by_device: FxHashMap<DeviceKey, usize>,
}

pub(super) fn apply(
    transaction: &WriteTransaction,
    recent: &mut RecentIds,
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
    let mut run = EntryRun::default();
    for (conversation, entries) in overlay.logs() {
        let mut last = 0;
        for logged in entries {
            if run.is_full_for(logged.bytes) {
                put_run(&mut log, (conversation, last), &mut run)?;
            }
            run.push(logged.bytes);
            last = logged.seq;
            if is_membership(logged.bytes)
                && let Body::Members { added, removed } = logged.decode().body
            {
                apply_members(transaction, conversation, last, (&added, &removed))?;
            }
        }
        put_run(&mut log, (conversation, last), &mut run)?;
    }
    Ok(())
}

fn put_run(
    log: &mut Table<'_, (u64, u64), &'static [u8]>,
    (conversation, last): (ConversationId, Seq),
    run: &mut EntryRun,
) -> Result<(), StorageError> {
    if let Some(row) = run.row() {
        log.insert((conversation.0, last), row)?;
    }
    run.clear();
    Ok(())
}

fn apply_members(
    transaction: &WriteTransaction,
    conversation: ConversationId,
    seq: Seq,
    (added, removed): (&[UserId], &[UserId]),
) -> Result<(), TableError> {
    let mut members = transaction.open_table(MEMBERS)?;
    for user in added {
        members.insert((conversation.0, user.0, seq), 0)?;
    }
    for user in removed {
        let whole_stay = (conversation.0, user.0, 0)..=(conversation.0, user.0, u64::MAX);
        let last = members.range(whole_stay)?.next_back().transpose()?;
        let last = last.map(|(key, until)| (key.value(), until.value()));
        if let Some((key, 0)) = last {
            members.insert(key, seq)?;
        }
    }
    Ok(())
}

type RecentTable<'txn> = Table<'txn, (u64, u32, u64), &'static [u8]>;

impl RecentIds {
    fn take_in(&mut self, window: &mut RecentTable<'_>, overlay: &Overlay) -> Result<(), StorageError> {
        let mut sent: BTreeMap<DeviceKey, Vec<RecentId>> = BTreeMap::new();
        for (conversation, entries) in overlay.logs() {
            for Logged { seq, fingerprint, bytes } in entries {
                let Some((author, id)) = operation_of(bytes) else { continue };
                sent.entry(author).or_default().push(RecentId { id, conversation, seq, fingerprint });
            }
        }
        for (device, mut ids) in sent {
            ids.sort_by_key(|recent| recent.id);
            // Whatever is older than these would be pruned.
            ids.drain(..ids.len().saturating_sub(DEDUP_IDS_PER_DEVICE));
            self.add(window, device, ids)?;
        }
        Ok(())
    }

    /// Adds rising ids, and removes what has left the window.
    fn add(
        &mut self,
        window: &mut RecentTable<'_>,
        author: DeviceKey,
        mut ids: Vec<RecentId>,
    ) -> Result<(), StorageError> {
        let (user, device) = (author.user.0, author.device.0);
        let all = || (user, device, 0)..=(user, device, u64::MAX);
        let mut count = match self.by_device.get(&author) {
            Some(count) => *count,
            None => {
                window.range(all())?.map(|row| row.map(|row| ids_in(row.1.value()))).sum::<Result<_, _>>()?
            }
        };
        // What is not behind everything that is there, and the last run as long as it has room, is made anew.
        loop {
            let last = window.range(all())?.next_back().transpose()?;
            let Some((key, row)) = last.map(|(key, row)| (key.value(), decode_ids(row.value()))) else {
                break;
            };
            let row = row.ok_or_else(|| StorageError::Corrupted(format!("recent ids of {author:?}")))?;
            let is_behind = row.last().zip(ids.first()).is_some_and(|(last, first)| last.id < first.id);
            if is_behind && row.len() >= IDS_PER_RUN {
                break;
            }
            window.remove(key)?;
            count -= row.len();
            ids = merged(row, ids);
            if is_behind {
                break;
            }
        }
        for run in ids.chunks(IDS_PER_RUN) {
            window.insert((user, device, run[0].id.0), encode_ids(run).as_slice())?;
        }
        count += ids.len();
        while count > DEDUP_IDS_PER_DEVICE + PRUNE_SLACK {
            let first = window.range(all())?.next().transpose()?;
            let Some((key, ids)) = first.map(|(key, row)| (key.value(), ids_in(row.value()))) else { break };
            window.remove(key)?;
            count -= ids;
        }
        self.by_device.insert(author, count);
        Ok(())
    }
}

/// Both by rising id, each id once; what came later counts.
fn merged(earlier: Vec<RecentId>, later: Vec<RecentId>) -> Vec<RecentId> {
    let by_id: BTreeMap<_, _> = earlier.into_iter().chain(later).map(|recent| (recent.id, recent)).collect();
    by_id.into_values().collect()
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
