//! Frames that follow each other on a byte stream, found by their heads and never changed. What cannot be one passes as raw bytes
//! and is counted.

use std::fmt;
use std::marker::PhantomData;

use bytes::BytesMut;

use super::splitter::{Splitter, push_rest};
use crate::link::{Class, Piece};

/// Largest frame that is taken as a whole; a longer one passes in parts, untouched.
pub const STREAM_FRAME_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The head of a frame: what says how long it is and of what kind.
pub(super) trait Head: Sized {
    /// Reads the head of the first frame; `None` if more is needed for it.
    fn read(bytes: &[u8]) -> Result<Option<Self>, NoFrame>;
    /// Bytes of the frame, its head among them.
    fn frame_bytes(&self) -> usize;
    /// Bytes of the head.
    fn head_bytes(&self) -> usize;
    /// What the protocol calls a whole frame.
    fn kind(&self, frame: &[u8]) -> Option<&'static str>;
}

/// What is there cannot become a frame, whatever follows.
#[derive(Clone, Copy, Debug)]
pub(super) struct NoFrame;

/// Splits one direction.
pub(super) struct Stream<H> {
    /// Bytes of an oversized frame that are still to come.
    oversized_bytes_left: usize,
    is_raw: bool,
    unparsed_bytes: u64,
    head: PhantomData<fn() -> H>,
}

impl<H> Default for Stream<H> {
    fn default() -> Self {
        Self { oversized_bytes_left: 0, is_raw: false, unparsed_bytes: 0, head: PhantomData }
    }
}

impl<H> fmt::Debug for Stream<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").field("is_raw", &self.is_raw).finish_non_exhaustive()
    }
}

impl<H: Head> Stream<H> {
    /// Takes the next piece; `false` if there is no whole one.
    fn next(&mut self, input: &mut BytesMut, pieces: &mut Vec<Piece>) -> bool {
        if input.is_empty() {
            return false;
        }
        if self.is_raw {
            self.unparsed_bytes += input.len() as u64;
            push_rest(input, Class::Raw, pieces);
            return false;
        }
        if self.oversized_bytes_left > 0 {
            let bytes = input.len().min(self.oversized_bytes_left);
            self.oversized_bytes_left -= bytes;
            self.unparsed_bytes += bytes as u64;
            push_rest(&mut input.split_to(bytes), Class::Control, pieces);
            return true;
        }
        match H::read(input) {
            Err(NoFrame) => self.is_raw = true,
            Ok(None) => return false,
            Ok(Some(head)) if head.frame_bytes() > STREAM_FRAME_BYTES_MAX => {
                self.oversized_bytes_left = head.frame_bytes();
            }
            Ok(Some(head)) if input.len() < head.frame_bytes() => return false,
            Ok(Some(head)) => {
                let bytes = input.split_to(head.frame_bytes()).freeze();
                let (kind, head_bytes) = (head.kind(&bytes), head.head_bytes());
                pieces.push(Piece { bytes, class: Class::Data, kind, head_bytes });
            }
        }
        true
    }
}

impl<H: Head> Splitter for Stream<H> {
    fn split(&mut self, input: &mut BytesMut, pieces: &mut Vec<Piece>) {
        while self.next(input, pieces) {}
    }

    fn unparsed_bytes(&self) -> u64 {
        self.unparsed_bytes
    }
}

/// What becomes of a stream that comes in chunks: its pieces, and the bytes that were not understood.
#[cfg(test)]
pub(super) fn split_in_chunks<H: Head>(stream: &[u8], chunk: usize) -> (Vec<Piece>, u64) {
    let (mut splitter, mut input, mut pieces) = (Stream::<H>::default(), BytesMut::new(), Vec::new());
    for part in stream.chunks(chunk) {
        input.extend_from_slice(part);
        splitter.split(&mut input, &mut pieces);
    }
    splitter.finish(&mut input, &mut pieces);
    (pieces, splitter.unparsed_bytes())
}

/// An oversized frame is not gathered: of its beginning, nothing waits.
#[cfg(test)]
pub(super) fn check_not_gathered<H: Head>(beginning: &[u8]) {
    let mut splitter = Stream::<H>::default();
    let (mut input, mut pieces) = (BytesMut::from(beginning), Vec::new());
    splitter.split(&mut input, &mut pieces);
    assert!(input.is_empty(), "its bytes go on at once");
    assert_eq!((pieces.len(), splitter.unparsed_bytes()), (1, beginning.len() as u64));
}
