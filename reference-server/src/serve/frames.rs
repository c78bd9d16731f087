//! WebSocket frames as a server reads and writes them (RFC 6455, section 5): from bytes, and to bytes.
//!
//! The handshake is a library's. What follows it is done here, because a library that takes and gives messages one by one
//! cost the server a sixth of its processor time: bytes are read into one buffer, a message is unmasked where it will
//! stay, and a burst is written from one buffer. There is no socket in here, there are no extensions, and no text.

use std::mem::take;

use avouch_engine::limits::FRAME_BYTES_MAX;
use bytes::{Bytes, BytesMut};

/// Bytes that there is room for when a socket is read, and that an idle connection keeps.
const READ_BYTES: usize = 4 << 10;
/// With less room than this, the buffer grows first.
const ROOM_BYTES_MIN: usize = 1 << 10;
/// Messages up to this size, in bytes, share an allocation
const SHARING_BYTES_MAX: usize = 256;
/// of this many bytes, which lives as long as one of them does: the engine and the journal keep messages.
const SHARED_BYTES: usize = 1 << 10;

/// Bytes before the payload of a frame of ours, which has no mask.
pub(super) const HEAD_BYTES_MAX: usize = 10;
/// Bytes of payload in a ping, a pong or a goodbye.
const CONTROL_BYTES_MAX: usize = 125;

const IS_FINAL: u8 = 0x80;
const RESERVED_BITS: u8 = 0x70;
const IS_MASKED: u8 = 0x80;
const TWO_LENGTH_BYTES: u8 = 126;
const EIGHT_LENGTH_BYTES: u8 = 127;
/// RFC 6455, section 7.4.1: protocol error.
const CLOSE_PROTOCOL_ERROR: u16 = 1002;

/// RFC 6455, section 5.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opcode {
    Continuation = 0x0,
    Binary = 0x2,
    Close = 0x8,
    Ping = 0x9,
    Pong = 0xA,
}

/// What the peer sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Incoming {
    /// A whole binary message.
    Message(Bytes),
    /// To be answered with a pong that has the same bytes.
    Ping(Bytes),
    Pong,
    /// To be answered with the same, and this code if there is one. Nothing comes after it.
    Close(Option<u16>),
}

/// Why a connection cannot go on.
pub(super) type Violation = &'static str;

/// Finds messages in what a peer sends. What it holds is at most one frame, one message in fragments, and one buffer.
#[derive(Debug, Default)]
pub(super) struct Reader {
    input: Vec<u8>,
    /// So many bytes of it are done with.
    taken: usize,
    /// A message whose last fragment has not come.
    fragments: Option<BytesMut>,
    /// Room for small messages.
    shared: BytesMut,
}

impl Reader {
    /// Where the next bytes from the peer are to be appended.
    pub(super) fn room(&mut self) -> &mut Vec<u8> {
        self.input.drain(..take(&mut self.taken));
        if self.input.is_empty() && self.input.capacity() > READ_BYTES {
            self.input = Vec::new();
        }
        // It grows with what has come, whatever the peer says about the size of a frame.
        if self.input.capacity() - self.input.len() < ROOM_BYTES_MIN {
            self.input.reserve(READ_BYTES);
        }
        &mut self.input
    }

    /// The next thing that has arrived whole.
    pub(super) fn next(&mut self) -> Result<Option<Incoming>, Violation> {
        loop {
            let Some(head) = Head::read(&self.input[self.taken..])? else { return Ok(None) };
            self.check(&head)?;
            let from = self.taken + head.bytes;
            let Some(masked) = self.input.get(from..from + head.payload_bytes) else { return Ok(None) };
            self.taken = from + head.payload_bytes;
            if !head.is_whole_message() {
                let mut fragments = self.fragments.take().unwrap_or_default();
                unmask_onto(&mut fragments, masked, head.key);
                if head.is_final {
                    return Ok(Some(Incoming::Message(fragments.freeze())));
                }
                self.fragments = Some(fragments);
                continue;
            }
            let payload = unmasked(&mut self.shared, masked, head.key);
            return match head.opcode {
                Opcode::Continuation | Opcode::Binary => Ok(Some(Incoming::Message(payload))),
                Opcode::Ping => Ok(Some(Incoming::Ping(payload))),
                Opcode::Pong => Ok(Some(Incoming::Pong)),
                Opcode::Close => close_code(&payload).map(|code| Some(Incoming::Close(code))),
            };
        }
    }

    /// Whether a frame may come now; asked before its payload is here.
    fn check(&self, head: &Head) -> Result<(), Violation> {
        let fragments_bytes = match (head.opcode, &self.fragments) {
            (Opcode::Continuation, None) => return Err("a fragment of nothing"),
            (Opcode::Continuation, Some(fragments)) => fragments.len(),
            (Opcode::Binary, Some(_)) => return Err("a message inside another"),
            (Opcode::Binary, None) => 0,
            _ if !head.is_final => return Err("a control frame in fragments"),
            _ if head.payload_bytes > CONTROL_BYTES_MAX => return Err("a large control frame"),
            _ => 0,
        };
        // Both are far from the end of the numbers.
        if fragments_bytes + head.payload_bytes > FRAME_BYTES_MAX { Err("a large message") } else { Ok(()) }
    }
}

/// What stands before a payload.
#[derive(Debug)]
struct Head {
    is_final: bool,
    opcode: Opcode,
    key: [u8; 4],
    bytes: usize,
    /// At most [`FRAME_BYTES_MAX`].
    payload_bytes: usize,
}

impl Head {
    /// `None`: not all of it is here.
    fn read(input: &[u8]) -> Result<Option<Self>, Violation> {
        let &[first, second, ref rest @ ..] = input else { return Ok(None) };
        if first & RESERVED_BITS != 0 {
            return Err("reserved bits");
        }
        let opcode = match first & 0x0F {
            0x0 => Opcode::Continuation,
            0x1 => return Err("a text message"),
            0x2 => Opcode::Binary,
            0x8 => Opcode::Close,
            0x9 => Opcode::Ping,
            0xA => Opcode::Pong,
            _ => return Err("an unknown kind of WebSocket frame"),
        };
        if second & IS_MASKED == 0 {
            return Err("a frame without a mask");
        }
        let (length_bytes, length) = match second & !IS_MASKED {
            TWO_LENGTH_BYTES => {
                let Some(length) = rest.first_chunk() else { return Ok(None) };
                (2, u64::from(u16::from_be_bytes(*length)))
            }
            EIGHT_LENGTH_BYTES => {
                let Some(length) = rest.first_chunk() else { return Ok(None) };
                (8, u64::from_be_bytes(*length))
            }
            length => (0, u64::from(length)),
        };
        if length > FRAME_BYTES_MAX as u64 {
            return Err("a large message");
        }
        let Some(key) = rest.get(length_bytes..).and_then(<[u8]>::first_chunk) else { return Ok(None) };
        let (bytes, payload_bytes) = (2 + length_bytes + key.len(), length as usize);
        Ok(Some(Self { is_final: first & IS_FINAL != 0, opcode, key: *key, bytes, payload_bytes }))
    }

    /// Whether the frame has nothing to do with fragments.
    fn is_whole_message(&self) -> bool {
        self.opcode != Opcode::Continuation && self.is_final
    }
}

/// A payload as bytes of its own, or next to others of its size.
fn unmasked(shared: &mut BytesMut, masked: &[u8], key: [u8; 4]) -> Bytes {
    if masked.len() > SHARING_BYTES_MAX {
        let mut own = BytesMut::with_capacity(masked.len());
        unmask_onto(&mut own, masked, key);
        return own.freeze();
    }
    if shared.capacity() < masked.len() {
        *shared = BytesMut::with_capacity(SHARED_BYTES);
    }
    unmask_onto(shared, masked, key);
    shared.split().freeze()
}

fn unmask_onto(out: &mut BytesMut, masked: &[u8], key: [u8; 4]) {
    let from = out.len();
    out.extend_from_slice(masked);
    let (words, rest) = out[from..].as_chunks_mut::<4>();
    let mask = u32::from_ne_bytes(key);
    for word in words {
        *word = (u32::from_ne_bytes(*word) ^ mask).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(key) {
        *byte ^= key;
    }
}

/// The code to answer a goodbye with.
fn close_code(payload: &[u8]) -> Result<Option<u16>, Violation> {
    let Some((code, reason)) = payload.split_first_chunk() else {
        return if payload.is_empty() { Ok(None) } else { Err("half a code in a goodbye") };
    };
    if std::str::from_utf8(reason).is_err() {
        return Err("a goodbye whose reason is no text");
    }
    let code = u16::from_be_bytes(*code);
    // Those in between are for nobody to send, or for nobody yet.
    let is_allowed = matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999);
    Ok(Some(if is_allowed { code } else { CLOSE_PROTOCOL_ERROR }))
}

/// Appends a whole message.
pub(super) fn write(output: &mut Vec<u8>, opcode: Opcode, payload: &[u8]) {
    output.reserve(HEAD_BYTES_MAX + payload.len());
    output.push(IS_FINAL | opcode as u8);
    if payload.len() < usize::from(TWO_LENGTH_BYTES) {
        output.push(payload.len() as u8);
    } else if let Ok(length) = u16::try_from(payload.len()) {
        output.push(TWO_LENGTH_BYTES);
        output.extend_from_slice(&length.to_be_bytes());
    } else {
        output.push(EIGHT_LENGTH_BYTES);
        output.extend_from_slice(&(payload.len() as u64).to_be_bytes());
    }
    output.extend_from_slice(payload);
}

#[cfg(test)]
mod tests;
