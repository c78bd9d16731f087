//! One record in the log: a kind, then its fields. All integers little endian.
//!
//! Changing anything here changes [`super::FORMAT_VERSION`].

use avouch_engine::chain;
use avouch_engine::ids::{ConversationId, DeviceId, DeviceKey, UserId};
use avouch_engine::journal::Record;

use crate::journal::rows::{decode_entry, encode_entry, entry_bytes, take_u32, take_u64};

const ENTRY: u8 = 0;
const CURSOR: u8 = 1;
const RECEIPTS_CONFIRMED: u8 = 2;
const DEVICE: u8 = 3;

/// Where in the record of an entry the entry begins: behind the kind, the conversation, the position and the length.
pub(in crate::journal) const ENTRY_AT: usize = 1 + 8 + 8 + 4;
const DEVICE_BYTES: usize = 8 + 4;
const PLACE_BYTES: usize = 8 + DEVICE_BYTES;

/// How many bytes [`encode_record`] appends.
pub fn encoded_bytes(record: &Record) -> usize {
    match record {
        Record::Entry { entry, .. } => ENTRY_AT + entry_bytes(entry),
        Record::Cursor { .. } => 1 + PLACE_BYTES + 3 * 8,
        Record::ReceiptsConfirmed { .. } => 1 + PLACE_BYTES + 8,
        Record::Device { .. } => 1 + DEVICE_BYTES + 8,
    }
}

/// Appends a record.
pub fn encode_record(record: &Record, bytes: &mut Vec<u8>) {
    match record {
        Record::Entry { conversation, entry, .. } => {
            bytes.push(ENTRY);
            bytes.extend_from_slice(&conversation.0.to_le_bytes());
            bytes.extend_from_slice(&entry.seq.to_le_bytes());
            let length_at = bytes.len();
            bytes.extend_from_slice(&[0; 4]);
            encode_entry(entry, bytes);
            let length = (bytes.len() - length_at - 4) as u32;
            bytes[length_at..length_at + 4].copy_from_slice(&length.to_le_bytes());
        }
        Record::Cursor { conversation, device, delivered, read, version } => {
            bytes.push(CURSOR);
            put_place(*conversation, *device, bytes);
            for value in [delivered, read, version] {
                bytes.extend_from_slice(&value.to_le_bytes());
            }
        }
        Record::ReceiptsConfirmed { conversation, device, version } => {
            bytes.push(RECEIPTS_CONFIRMED);
            put_place(*conversation, *device, bytes);
            bytes.extend_from_slice(&version.to_le_bytes());
        }
        Record::Device { device, installation } => {
            bytes.push(DEVICE);
            put_device(*device, bytes);
            bytes.extend_from_slice(&installation.to_le_bytes());
        }
    }
}

/// Takes the next record off; `None` if the bytes do not begin with one.
pub fn decode_record(bytes: &mut &[u8]) -> Option<Record> {
    let (&kind, rest) = bytes.split_first()?;
    *bytes = rest;
    Some(match kind {
        ENTRY => {
            let (conversation, seq) = (ConversationId(take_u64(bytes)?), take_u64(bytes)?);
            let length = take_u32(bytes)? as usize;
            let (entry, rest) = bytes.split_at_checked(length)?;
            *bytes = rest;
            let entry = decode_entry(seq, entry)?;
            let fingerprint = chain::fingerprint(&chain::content(conversation, &entry.body));
            Record::Entry { conversation, fingerprint, entry }
        }
        CURSOR => {
            let (conversation, device) = (ConversationId(take_u64(bytes)?), take_device(bytes)?);
            let (delivered, read, version) = (take_u64(bytes)?, take_u64(bytes)?, take_u64(bytes)?);
            Record::Cursor { conversation, device, delivered, read, version }
        }
        RECEIPTS_CONFIRMED => {
            let (conversation, device) = (ConversationId(take_u64(bytes)?), take_device(bytes)?);
            Record::ReceiptsConfirmed { conversation, device, version: take_u64(bytes)? }
        }
        DEVICE => Record::Device { device: take_device(bytes)?, installation: take_u64(bytes)? },
        _ => return None,
    })
}

fn put_place(conversation: ConversationId, device: DeviceKey, bytes: &mut Vec<u8>) {
    bytes.extend_from_slice(&conversation.0.to_le_bytes());
    put_device(device, bytes);
}

fn put_device(device: DeviceKey, bytes: &mut Vec<u8>) {
    bytes.extend_from_slice(&device.user.0.to_le_bytes());
    bytes.extend_from_slice(&device.device.0.to_le_bytes());
}

fn take_device(bytes: &mut &[u8]) -> Option<DeviceKey> {
    Some(DeviceKey { user: UserId(take_u64(bytes)?), device: DeviceId(take_u32(bytes)?) })
}
