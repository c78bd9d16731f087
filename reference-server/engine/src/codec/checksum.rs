//! The checksum of a frame: CRC-32 (the one of IEEE 802.3) of its kind byte and its body. The checksum itself stands
//! between them.

/// Of a frame of this kind with this body.
pub(super) fn checksum(kind: u8, body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(OF_BYTE[usize::from(kind)]);
    hasher.update(body);
    hasher.finalize()
}

/// Of each byte by itself, so that a kind costs no call of its own.
static OF_BYTE: [u32; 256] = {
    let mut all = [0; 256];
    let mut byte = 0;
    while byte < all.len() {
        let mut crc = !0 ^ byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ POLYNOMIAL } else { crc >> 1 };
            bit += 1;
        }
        all[byte] = !crc;
        byte += 1;
    }
    all
};

/// The polynomial of IEEE 802.3, its bits reversed.
const POLYNOMIAL: u32 = 0xEDB8_8320;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_checksum_of_kind_and_body_in_one() {
        for kind in 0..=u8::MAX {
            for body in [&b""[..], b"a", &[kind; 300]] {
                assert_eq!(checksum(kind, body), crc32fast::hash(&[&[kind], body].concat()), "{kind}");
            }
        }
    }
}
