//! Login tokens: `expiry || HMAC-SHA256(secret, user || device || expiry)`, integers little endian.
//! Whoever holds the secret can make one; nothing about it is stored.

use bytes::{BufMut, Bytes, BytesMut};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::ids::DeviceKey;

const EXPIRY_BYTES: usize = 8;
const TAG_BYTES: usize = 32;

/// Why a token does not open the door.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not the shape of a token.
    #[error("token has {0} bytes, not 40")]
    Malformed(usize),
    /// Not made with this secret for this device.
    #[error("token was not made for this device with this secret")]
    Wrong,
    /// Its time is over.
    #[error("token expired")]
    Expired,
}

/// Makes a token for one device, valid while the server's wall clock is below `expiry_ms`
/// (milliseconds since the Unix epoch).
pub fn token(secret: &[u8], key: DeviceKey, expiry_ms: u64) -> Bytes {
    let mut out = BytesMut::with_capacity(EXPIRY_BYTES + TAG_BYTES);
    out.put_u64_le(expiry_ms);
    out.put_slice(&mac(secret, key, expiry_ms).finalize().into_bytes());
    out.freeze()
}

/// Checks a token for a device. The comparison takes the same time whatever the bytes are.
pub fn verify(secret: &[u8], key: DeviceKey, token: &[u8], wall_ms: u64) -> Result<(), TokenError> {
    let malformed = TokenError::Malformed(token.len());
    if token.len() != EXPIRY_BYTES + TAG_BYTES {
        return Err(malformed);
    }
    let (expiry, tag) = token.split_first_chunk::<EXPIRY_BYTES>().ok_or(malformed)?;
    let expiry_ms = u64::from_le_bytes(*expiry);
    mac(secret, key, expiry_ms).verify_slice(tag).map_err(|_| TokenError::Wrong)?;
    if wall_ms < expiry_ms { Ok(()) } else { Err(TokenError::Expired) }
}

fn mac(secret: &[u8], key: DeviceKey, expiry_ms: u64) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes keys of any length");
    mac.update(&key.user.0.to_le_bytes());
    mac.update(&key.device.0.to_le_bytes());
    mac.update(&expiry_ms.to_le_bytes());
    mac
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{DeviceId, UserId};

    const KEY: DeviceKey = DeviceKey { user: UserId(7), device: DeviceId(2) };

    fn check(token: &[u8], key: DeviceKey, wall_ms: u64, expected: Result<(), TokenError>) {
        assert_eq!(verify(b"secret", key, token, wall_ms), expected);
    }

    #[test]
    fn only_the_right_device_secret_and_time_pass() {
        let good = token(b"secret", KEY, 1_000);
        check(&good, KEY, 999, Ok(()));
        check(&good, KEY, 1_000, Err(TokenError::Expired));
        check(&good, DeviceKey { device: DeviceId(3), ..KEY }, 0, Err(TokenError::Wrong));
        check(&token(b"other", KEY, 1_000), KEY, 0, Err(TokenError::Wrong));
        check(b"", KEY, 0, Err(TokenError::Malformed(0)));
        let mut later = good.to_vec();
        later[0] ^= 1;
        check(&later, KEY, 0, Err(TokenError::Wrong));
    }
}
