//! From bytes to pieces: where does a frame begin and end, and what kind is it?

use bytes::BytesMut;

use super::websocket::WebSocket;
use crate::link::{Class, Piece};

/// Names a frame's kind, in the protocol's own word, by the first bytes of its payload.
pub type Classify = fn(&[u8]) -> Option<&'static str>;

/// Splits one direction of one connection.
pub trait Splitter: Send {
    /// Takes whole pieces from the front of `input`; a piece that is not whole stays. No byte is changed, lost or moved.
    fn split(&mut self, input: &mut BytesMut, pieces: &mut Vec<Piece>);

    /// Nothing follows: takes what is left.
    fn finish(&mut self, input: &mut BytesMut, pieces: &mut Vec<Piece>) {
        push_rest(input, Class::Control, pieces);
    }

    /// Bytes that were passed on without being understood.
    fn unparsed_bytes(&self) -> u64;
}

/// How a protocol's frames are found.
#[derive(Clone, Copy, Debug)]
pub enum Framing {
    /// WebSocket messages, named by their payload.
    WebSocket {
        /// What devices send.
        up: Classify,
        /// What the server sends.
        down: Classify,
    },
    /// As a protocol's own splitters find them: up, down.
    Own(fn() -> [Box<dyn Splitter>; 2]),
    /// No frames: bytes.
    Raw,
}

impl Framing {
    /// Splitters for one connection: up, down.
    pub fn splitters(self) -> [Box<dyn Splitter>; 2] {
        match self {
            Self::WebSocket { up, down } => [Box::new(WebSocket::new(up)), Box::new(WebSocket::new(down))],
            Self::Own(splitters) => splitters(),
            Self::Raw => [Box::new(Raw), Box::new(Raw)],
        }
    }
}

/// No frames at all.
#[derive(Clone, Copy, Debug)]
pub struct Raw;

impl Splitter for Raw {
    fn split(&mut self, input: &mut BytesMut, pieces: &mut Vec<Piece>) {
        push_rest(input, Class::Raw, pieces);
    }

    fn unparsed_bytes(&self) -> u64 {
        0
    }
}

/// Takes everything as one piece.
pub(super) fn push_rest(input: &mut BytesMut, class: Class, pieces: &mut Vec<Piece>) {
    if !input.is_empty() {
        pieces.push(Piece { bytes: input.split().freeze(), class, kind: None, head_bytes: 0 });
    }
}
