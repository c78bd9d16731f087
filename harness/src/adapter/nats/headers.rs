//! The blocks of headers of NATS' messages, as far as this tool writes and reads them. Source: ADR-4.

use bytes::{Bytes, BytesMut};

use super::clean;

const HEADER_VERSION: &[u8] = b"NATS/1.0";

/// One header, as a block.
pub(super) fn header(name: &str, value: &str) -> Bytes {
    let mut out = BytesMut::with_capacity(HEADER_VERSION.len() + name.len() + value.len() + 8);
    out.extend_from_slice(HEADER_VERSION);
    for part in ["\r\n", name, ": ", value, "\r\n\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
    out.freeze()
}

/// The status in the version line of a block of headers: it is not a message but the server's word on one.
pub(super) fn status(headers: &[u8]) -> Option<u16> {
    let rest = headers.strip_prefix(HEADER_VERSION)?.strip_prefix(b" ")?;
    let digits = rest.get(..3).filter(|digits| digits.iter().all(u8::is_ascii_digit))?;
    Some(digits.iter().fold(0, |value, digit| value * 10 + u16::from(digit - b'0')))
}

/// The status line of a block of headers without its version: "408 Request Timeout".
pub(super) fn status_words(headers: &[u8]) -> String {
    let line = headers.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let words = String::from_utf8_lossy(line);
    clean(words.split_once(' ').map_or("no status", |(_, words)| words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_told_from_headers() {
        assert_eq!(status(b"NATS/1.0 408 Request Timeout\r\n\r\n"), Some(408));
        assert_eq!(status(b"NATS/1.0 503\r\n\r\n"), Some(503));
        assert_eq!(status(&header("Nats-Msg-Id", "7")), None);
        assert_eq!(header("A", "b"), &b"NATS/1.0\r\nA: b\r\n\r\n"[..]);
        for not in [&b"NATS/1.0"[..], b"NATS/1.0 4", b"HTTP/1.1 200", b"NATS/1.0 4x8"] {
            assert_eq!(status(not), None);
        }
        assert_eq!(status_words(b"NATS/1.0 408 Request\x1b Timeout\r\nA: b\r\n\r\n"), "408 Request  Timeout");
    }
}
