//! What a message carries: the tool's own id, a salt of the run, and filler that follows from both.
//!
//! The server never needs to know. A recipient's payload names the send that it came from without any
//! help of the protocol, and the digest tells whether it came unchanged.
//!
//! Salt and names ([`Nonce::mark`]) are of this one run and of no other, also of the same scenario and seed: what an earlier run left behind on a server,
//! or what a server that was taken for another delivers, can neither be met nor be mistaken.
//!
//! Layout, little endian: `"AVCH"`, 4 bytes of salt, 8 bytes of message id, 8 bytes of check, filler.

use std::cell::RefCell;

use avouch_reports::history::Message;
use avouch_scenarios::plan::PAYLOAD_BYTES_MIN;
use bytes::Bytes;

const MAGIC: [u8; 4] = *b"AVCH";
const HEAD_BYTES: usize = 24;
const _: () = assert!(HEAD_BYTES <= PAYLOAD_BYTES_MIN as usize, "the head fits the smallest payload");

/// Tells a run from every other one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nonce(u64);

impl Nonce {
    /// Of a world that holds nothing but its run: there the same seed gives the same bytes.
    pub const NONE: Self = Self(0);

    /// For worlds in which other runs can be met: of a number that no other run was given.
    pub fn of(number: u64) -> Self {
        Self(number)
    }

    /// What names on a server carry: a function of the run's seed, its scenario, how the protocol is spoken, and this.
    pub fn mark(self, (seed, scenario): (u64, &str), spoken: &str) -> u64 {
        digest(format!("{seed} {scenario} {spoken} {:x}", self.0).as_bytes())
    }

    /// The salt of the run's payloads.
    pub fn salt(self, seed: u64) -> u32 {
        mix(seed ^ self.0 ^ 0x5a17) as u32
    }
}

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

/// Payloads that a thread remembers with their digests: one for each last byte of the number of the message that they name.
const KNOWN: usize = 256;
/// Larger ones are not remembered. Bytes.
const KNOWN_BYTES_MAX: usize = 1_024;

thread_local! {
    static DIGESTS: RefCell<Vec<(Vec<u8>, u64)>> = const { RefCell::new(Vec::new()) };
}

/// A 64-bit digest of a payload: equal payloads have equal digests; it resists accidents, not attacks.
///
/// Every recipient of a message and every page that shows it asks again, and each word waits for the one before it: comparing with the payload
/// that was digested last for that message is a fraction of the work, and the answer is the same.
pub fn digest(payload: &[u8]) -> u64 {
    let Some(name) = payload.get(8..16).filter(|_| payload.len() <= KNOWN_BYTES_MAX) else {
        return digested(payload);
    };
    DIGESTS.with_borrow_mut(|known| {
        if known.is_empty() {
            known.resize_with(KNOWN, Default::default);
        }
        let (bytes, digest) = &mut known[usize::from(name[0])];
        if bytes != payload {
            bytes.clear();
            bytes.extend_from_slice(payload);
            *digest = digested(payload);
        }
        *digest
    })
}

fn digested(payload: &[u8]) -> u64 {
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
    fn runs_of_one_seed_know_nothing_of_each_other() {
        let (one, other) = (Nonce::of(1), Nonce::of(2));
        let mark = |nonce: Nonce| nonce.mark((3, "links/delay"), "MQTT");
        assert!(mark(one) != mark(other) && mark(one) == mark(one) && mark(Nonce::NONE) != mark(one));
        assert_eq!(read(other.salt(3), &make(one.salt(3), Message(42), 64)), None);
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

    #[test]
    fn what_is_remembered_is_what_would_be_worked_out() {
        for round in 0..3 {
            for message in 0..600 {
                let payload = make(7, Message(message), (message as u32 + round) * 2);
                assert_eq!(digest(&payload), digested(&payload), "{message}");
                assert_eq!(digest(&payload[..15]), digested(&payload[..15]));
            }
        }
    }
}
