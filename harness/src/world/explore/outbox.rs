//! What an end of a connection has sent and its link has not read yet: what the socket took of it, and what waits for room.

use std::collections::VecDeque;

use crate::link::Piece;

/// Bytes that an end's socket takes while the link does not read.
const SOCKET_BYTES: usize = 64 * 1024;

/// What an end has sent and the link has not read.
#[derive(Default)]
pub(super) struct Outbox {
    pub(super) pieces: VecDeque<Piece>,
    /// How many of them the socket has taken, and their bytes.
    pub(super) taken: usize,
    taken_bytes: usize,
}

impl Outbox {
    /// Puts a piece behind the others; how many the socket took of it.
    pub(super) fn push(&mut self, piece: Piece) -> usize {
        self.pieces.push_back(piece);
        self.take()
    }

    /// The first piece, and how many more the socket takes in its place.
    pub(super) fn pop(&mut self) -> Option<(Piece, usize)> {
        let piece = self.pieces.pop_front()?;
        self.taken = self.taken.saturating_sub(1);
        self.taken_bytes = self.taken_bytes.saturating_sub(piece.bytes.len());
        let taken = self.take();
        Some((piece, taken))
    }

    fn take(&mut self) -> usize {
        let before = self.taken;
        while let Some(next) = self.pieces.get(self.taken)
            && (self.taken_bytes == 0 || self.taken_bytes + next.bytes.len() <= SOCKET_BYTES)
        {
            self.taken_bytes += next.bytes.len();
            self.taken += 1;
        }
        self.taken - before
    }
}
