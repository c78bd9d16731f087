//! What a message carries: the tool's own id, a salt of the run, and filler that follows from both.
//!
//! The server never needs to know. A recipient's payload names the send that it came from without any
//! help of the protocol, and the digest tells whether it came unchanged.
//!
//! Layout, little endian: `"AVCH"`, 4 bytes of salt, 8 bytes of message id, 8 bytes of check, filler.

use avouch_reports::history::Message;
use avouch_scenarios::plan::PAYLOAD_BYTES_MIN;
use bytes::Bytes;

const MAGIC: [u8; 4] = *b"AVCH";
const HEAD_BYTES: usize = 24;
const _: () = assert!(HEAD_BYTES <= PAYLOAD_BYTES_MIN as usize, "the head fits the smallest payload");

/// The payload of a message of this run.
pub fn make(salt: u32, message: Message, bytes: u32) -> Bytes {
    let length = (bytes as usize).max(HEAD_BYTES);
    let mut out = vec![0; length];
    let (head, filler) = out.split_at_mut(HEAD_BYTES);
    head[..4].copy_from_slice(&MAGIC);
    head[4..8].copy_from_slice(&salt.to_le_bytes());
    head[8..16].copy_from_slice(&message.0.to_le_bytes());
    head[16..].copy_from_slice(&check(salt, message).to_le_bytes());
    let mut word = check(salt, message);
    let (words, rest) = filler.as_chunks_mut::<8>();
    for chunk in words {
        word = mix(word);
        *chunk = word.to_le_bytes();
    }
    rest.copy_from_slice(&mix(word).to_le_bytes()[..rest.len()]);
    out.into()
}

/// Which send a payload comes from; `None` if it names none of this run.
pub fn read(salt: u32, payload: &[u8]) -> Option<Message> {
    let head = payload.get(..HEAD_BYTES)?;
    let message = Message(u64::from_le_bytes(head[8..16].try_into().ok()?));
    let fits = head[..4] == MAGIC
        && head[4..8] == salt.to_le_bytes()
        && head[16..24] == check(salt, message).to_le_bytes();
    fits.then_some(message)
}

/// A 64-bit digest of a payload: equal payloads have equal digests; it resists accidents, not attacks.
pub fn digest(payload: &[u8]) -> u64 {
    let mut state = mix(payload.len() as u64);
    let (words, rest) = payload.as_chunks::<8>();
    for word in words {
        state = mix(state ^ u64::from_le_bytes(*word));
    }
    if !rest.is_empty() {
        let mut word = [0; 8];
        word[..rest.len()].copy_from_slice(rest);
        state = mix(state ^ u64::from_le_bytes(word));
    }
    state
}

/// The salt of a run: old messages of another run on the same server are recognised as foreign.
pub fn salt(seed: u64) -> u32 {
    mix(seed ^ 0x5a17) as u32
}

fn check(salt: u32, message: Message) -> u64 {
    mix(u64::from(salt) << 32 ^ message.0)
}

fn mix(word: u64) -> u64 {
    let mut z = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_names_its_send_and_no_other_runs() {
        for bytes in [0, 24, 32, 33, 500] {
            let payload = make(7, Message(42), bytes);
            assert_eq!(payload.len(), (bytes as usize).max(HEAD_BYTES));
            assert_eq!(read(7, &payload), Some(Message(42)));
            assert_eq!(read(8, &payload), None);
        }
        assert_eq!(read(7, b"AVCH"), None);
        assert_eq!(read(7, &[0; 64]), None);
    }

    #[test]
    fn any_changed_bit_changes_the_digest() {
        let payload = make(7, Message(42), 77);
        let whole = digest(&payload);
        for bit in 0..payload.len() * 8 {
            let mut changed = payload.to_vec();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(digest(&changed), whole, "bit {bit}");
        }
        assert_ne!(digest(&payload[..76]), whole);
    }
}
