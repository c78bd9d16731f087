//! The hash chain of a conversation, and the fingerprint that tells a retry from a reused id.
//!
//! `content(n) = SHA-256(conversation || body)` and
//! `chain(n) = SHA-256(chain(n-1) || seq || user || device || id || at_ms || content(n))`, integers little
//! endian, `chain(0)` = 32 zero bytes. The payload is hashed once; the fingerprint is the head of `content`.

use sha2::{Digest, Sha256};

use crate::ids::{Chain, ConversationId, UserId};
use crate::journal::{Body, Entry};

/// The chain before the first entry.
pub const CHAIN_START: Chain = [0; 32];

/// SHA-256 over the conversation and the canonical body.
pub fn content(conversation: ConversationId, body: &Body) -> [u8; 32] {
    let mut hash = Sha256::new();
    let mut head = [0u8; 18];
    head[..8].copy_from_slice(&conversation.0.to_le_bytes());
    match body {
        Body::Message { reply_to, payload } => {
            head[8] = 1;
            head[9] = u8::from(reply_to.is_some());
            head[10..].copy_from_slice(&reply_to.unwrap_or(0).to_le_bytes());
            hash.update(head);
            hash.update(payload);
        }
        Body::Members { added, removed } => {
            head[8] = 2;
            head[10..].copy_from_slice(&(added.len() as u64).to_le_bytes());
            hash.update(head);
            let mut users = |list: &[UserId]| list.iter().for_each(|user| hash.update(user.0.to_le_bytes()));
            users(added);
            users(removed);
        }
    }
    hash.finalize().into()
}

/// First eight bytes of a content hash, little endian.
pub fn fingerprint(content: &[u8; 32]) -> u64 {
    content.first_chunk().map_or(0, |head| u64::from_le_bytes(*head))
}

/// The chain after an entry, from the chain before it and the entry's content hash.
pub fn link(before: &Chain, entry: &Entry, content: &[u8; 32]) -> Chain {
    let mut bytes = [0u8; 100];
    bytes[..32].copy_from_slice(before);
    bytes[32..40].copy_from_slice(&entry.seq.to_le_bytes());
    bytes[40..48].copy_from_slice(&entry.author.user.0.to_le_bytes());
    bytes[48..52].copy_from_slice(&entry.author.device.0.to_le_bytes());
    bytes[52..60].copy_from_slice(&entry.id.0.to_le_bytes());
    bytes[60..68].copy_from_slice(&entry.at_ms.to_le_bytes());
    bytes[68..].copy_from_slice(content);
    Sha256::digest(bytes).into()
}

/// The chain after an entry, from nothing but the chain before it.
pub fn next(before: &Chain, conversation: ConversationId, entry: &Entry) -> Chain {
    link(before, entry, &content(conversation, &entry.body))
}
