//! The hash chain of a conversation, and the fingerprint that tells a retry from a reused id.
//!
//! `content(n) = SHA-256(conversation || body)` and
//! `chain(n) = SHA-256(chain(n-1) || seq || user || device || id || at_ms || content(n))`, integers little
//! endian, `chain(0)` = 32 zero bytes. The payload is hashed once; the fingerprint is the head of `content`.

use sha2::block_api::compress256;
use sha2::{Digest, Sha256};

use crate::ids::{Chain, ConversationId, UserId};
use crate::journal::{Body, Entry};

/// The chain before the first entry.
pub const CHAIN_START: Chain = [0; 32];

/// Content up to this many bytes is hashed from one buffer, without an incremental hash around it: messages are mostly
/// short, and each is hashed by the server and by every device.
const SHORT_BYTES_MAX: usize = 3 * BLOCK_BYTES - PADDING_BYTES_MIN;
const BLOCK_BYTES: usize = 64;
/// A one bit and the length: FIPS 180-4, section 5.1.1.
const PADDING_BYTES_MIN: usize = 1 + 8;
/// FIPS 180-4, section 5.3.3.
const SHA_256_START: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

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
            if head.len() + payload.len() <= SHORT_BYTES_MAX {
                let mut bytes = [0; 3 * BLOCK_BYTES];
                bytes[..head.len()].copy_from_slice(&head);
                bytes[head.len()..][..payload.len()].copy_from_slice(payload);
                return short(&mut bytes, head.len() + payload.len());
            }
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
    let mut bytes = [0; 2 * BLOCK_BYTES];
    bytes[..32].copy_from_slice(before);
    bytes[32..40].copy_from_slice(&entry.seq.to_le_bytes());
    bytes[40..48].copy_from_slice(&entry.author.user.0.to_le_bytes());
    bytes[48..52].copy_from_slice(&entry.author.device.0.to_le_bytes());
    bytes[52..60].copy_from_slice(&entry.id.0.to_le_bytes());
    bytes[60..68].copy_from_slice(&entry.at_ms.to_le_bytes());
    bytes[68..100].copy_from_slice(content);
    short(&mut bytes, 100)
}

/// The chain after an entry, from nothing but the chain before it.
pub fn next(before: &Chain, conversation: ConversationId, entry: &Entry) -> Chain {
    link(before, entry, &content(conversation, &entry.body))
}

/// SHA-256 of the first `count` bytes; the rest are zero, and there is room for the padding.
fn short(bytes: &mut [u8], count: usize) -> [u8; 32] {
    let padded = (count + PADDING_BYTES_MIN).next_multiple_of(BLOCK_BYTES);
    bytes[count] = 0x80;
    bytes[padded - 8..padded].copy_from_slice(&(8 * count as u64).to_be_bytes());
    let mut state = SHA_256_START;
    compress256(&mut state, bytes[..padded].as_chunks().0);
    let mut hash = [0; 32];
    for (out, word) in hash.as_chunks_mut().0.iter_mut().zip(state) {
        *out = word.to_be_bytes();
    }
    hash
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::ids::{DeviceId, DeviceKey, MessageId};

    #[test]
    fn a_message_of_any_length_has_the_hash_of_its_bytes() {
        for length in 0..2 * SHORT_BYTES_MAX {
            let payload: Vec<_> = (0..length).map(|at| at as u8).collect();
            let head = [5, 0, 0, 0, 0, 0, 0, 0, 1, 1, 9, 0, 0, 0, 0, 0, 0, 0];
            let expected: [u8; 32] = Sha256::digest([&head, &payload[..]].concat()).into();
            let body = Body::Message { reply_to: Some(9), payload: Bytes::from(payload) };
            assert_eq!(content(ConversationId(5), &body), expected, "{length} bytes");
        }
    }

    #[test]
    fn a_link_is_the_hash_of_the_documented_bytes() {
        let author = DeviceKey { user: UserId(2), device: DeviceId(3) };
        let body = Body::Members { added: Vec::new(), removed: Vec::new() };
        let entry = Entry { seq: 1, author, id: MessageId(4), at_ms: 5, chain: CHAIN_START, body };
        let numbers = [&1u64.to_le_bytes()[..], &2u64.to_le_bytes(), &3u32.to_le_bytes()].concat();
        let more = [4u64.to_le_bytes(), 5u64.to_le_bytes()].concat();
        let bytes = [&[7; 32][..], &numbers, &more, &[8; 32]].concat();
        assert_eq!(link(&[7; 32], &entry, &[8; 32]), <[u8; 32]>::from(Sha256::digest(bytes)));
    }
}
