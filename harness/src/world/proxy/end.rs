//! One end of a connection: what is read from its stream, and what waits to be written to it.
//!
//! It reads into the buffer that the splitter cuts, and writes what the link forwards: bytes that nobody changes are never
//! copied.

use std::collections::VecDeque;
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::AsyncReadExt;

use super::splitter::Splitter;
use super::transport::Transport;
use crate::link::{ConnectionId, Link, Piece, Way};

/// Bytes that may wait to be written to one end before the other end is no longer read.
pub const OUTBOX_BYTES_MAX: usize = 256 * 1024;
/// Room for one read, at least: a quiet connection takes no more.
const READ_BYTES_MIN: usize = 4 * 1024;
/// Room for one read, at most: reads grow while they fill their room.
const READ_BYTES_MAX: usize = 256 * 1024;
/// Pieces in one write.
const WRITE_PIECES_MAX: usize = 16;

/// One end of the connection.
pub(super) struct End<T> {
    pub(super) stream: T,
    pub(super) splitter: Box<dyn Splitter>,
    /// Where what it sends goes.
    way: Way,
    /// Read, not yet split.
    inbox: BytesMut,
    /// Room for the next read.
    read_bytes: usize,
    pieces: Vec<Piece>,
    pub(super) outbox: Outbox,
    /// It sends no more: it ended its stream, or is gone.
    pub(super) is_silent: bool,
    /// It takes nothing more. What it had sent before can still be read.
    is_deaf: bool,
    /// It is gone.
    is_broken: bool,
    /// The link was told of its silence.
    was_told: bool,
    received_bytes: u64,
}

impl<T: Transport> End<T> {
    pub(super) fn new(stream: T, splitter: Box<dyn Splitter>, way: Way) -> Self {
        Self {
            stream,
            splitter,
            way,
            inbox: BytesMut::new(),
            read_bytes: READ_BYTES_MIN,
            pieces: Vec::new(),
            outbox: Outbox::default(),
            is_silent: false,
            is_deaf: false,
            is_broken: false,
            was_told: false,
            received_bytes: 0,
        }
    }

    /// Bytes that were read and written since it was last asked.
    pub(super) fn take_counts(&mut self) -> (u64, u64) {
        (std::mem::take(&mut self.received_bytes), std::mem::take(&mut self.outbox.sent_bytes))
    }

    /// Hands the link what was read.
    pub(super) fn feed(&mut self, link: &mut Link, now_ns: u64, id: ConnectionId) {
        if self.is_silent {
            self.splitter.finish(&mut self.inbox, &mut self.pieces);
        } else if !self.inbox.is_empty() {
            self.splitter.split(&mut self.inbox, &mut self.pieces);
        }
        for piece in self.pieces.drain(..) {
            link.receive(now_ns, id, self.way, piece);
        }
        if self.is_broken && !self.was_told {
            self.was_told = true;
            link.broken(now_ns, id, self.way);
        } else if self.is_silent && !self.was_told {
            link.end_of_stream(now_ns, id, self.way);
            self.was_told = true;
        }
    }

    /// Whether everything that is to be written was written, or never can be.
    pub(super) fn is_written(&self) -> bool {
        self.is_broken || self.outbox.is_done()
    }

    pub(super) fn has_room(&self) -> bool {
        self.outbox.bytes < OUTBOX_BYTES_MAX
    }

    /// Writes and reads what it can; `true` if the link has to look.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, reads: bool) -> bool {
        if self.is_broken {
            return false;
        }
        let was_written = self.is_written();
        let had_room = self.has_room();
        if self.is_deaf {
            self.outbox.clear();
        } else if let Poll::Ready(Err(_)) = self.outbox.poll_write(&mut self.stream, cx) {
            self.is_deaf = true;
            self.outbox.clear();
        }
        // While it still sends and is to be sent more, that all was written changes nothing for the link.
        let is_ending = self.outbox.is_ending || self.is_silent || self.is_deaf || !reads;
        let mut has_moved =
            (self.is_written() && !was_written && is_ending) || (self.has_room() && !had_room);
        if reads && !self.is_silent {
            match self.poll_read(cx) {
                Poll::Pending => {}
                Poll::Ready(Err(_)) => return self.breaks(),
                Poll::Ready(Ok(bytes)) => {
                    self.is_silent = bytes == 0;
                    if self.is_silent && self.is_deaf {
                        return self.breaks();
                    }
                    has_moved = true;
                }
            }
        }
        has_moved
    }

    /// Reads once. The room for it follows what comes.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let room = self.inbox.capacity() - self.inbox.len();
        if room < READ_BYTES_MIN / 2 || room < self.read_bytes / 2 {
            // What was forwarded and written is free again, so that this mostly finds the same memory.
            self.inbox.reserve(self.read_bytes);
        }
        let room = self.inbox.capacity() - self.inbox.len();
        let bytes = ready!(pin!(self.stream.read_buf(&mut self.inbox)).poll(cx))?;
        self.received_bytes += bytes as u64;
        if bytes == room {
            self.read_bytes = (self.read_bytes * 2).min(READ_BYTES_MAX);
        } else if bytes < self.read_bytes / 8 {
            self.read_bytes = (self.read_bytes / 2).max(READ_BYTES_MIN);
        }
        Poll::Ready(Ok(bytes))
    }

    fn breaks(&mut self) -> bool {
        self.is_broken = true;
        self.is_silent = true;
        self.was_told = false;
        self.outbox.clear();
        true
    }
}

/// What is to be written to an end.
#[derive(Default)]
pub(super) struct Outbox {
    queue: VecDeque<Waiting>,
    bytes: usize,
    sent_bytes: u64,
    /// The stream is to be ended after it.
    pub(super) is_ending: bool,
    /// The stream was ended.
    pub(super) is_ended: bool,
}

/// Bytes that wait.
struct Waiting {
    bytes: Bytes,
    /// They are a slice, and go in a write of their own.
    is_slice: bool,
}

impl Outbox {
    pub(super) fn push(&mut self, bytes: Bytes, is_slice: bool) {
        self.bytes += bytes.len();
        self.queue.push_back(Waiting { bytes, is_slice });
    }

    /// Nobody takes it.
    fn clear(&mut self) {
        self.queue.clear();
        self.bytes = 0;
    }

    fn is_done(&self) -> bool {
        self.queue.is_empty() && (self.is_ended || !self.is_ending)
    }

    fn poll_write<T: Transport>(&mut self, stream: &mut T, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut stream = Pin::new(stream);
        let mut has_written = false;
        while let Some(front) = self.queue.front() {
            let can_join = !front.is_slice && self.queue.get(1).is_some_and(|next| !next.is_slice);
            let written = if can_join {
                let mut slices = [IoSlice::new(&[]); WRITE_PIECES_MAX];
                let pieces = self.queue.iter().take_while(|waiting| !waiting.is_slice);
                let count = slices
                    .iter_mut()
                    .zip(pieces)
                    .map(|(slice, waiting)| *slice = IoSlice::new(&waiting.bytes))
                    .count();
                ready!(stream.as_mut().poll_write_vectored(cx, &slices[..count]))?
            } else {
                ready!(stream.as_mut().poll_write(cx, &front.bytes))?
            };
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            has_written = true;
            self.wrote(written);
        }
        if has_written {
            ready!(stream.as_mut().poll_flush(cx))?;
        }
        if self.is_ending && !self.is_ended {
            ready!(stream.poll_shutdown(cx))?;
            self.is_ended = true;
        }
        Poll::Ready(Ok(()))
    }

    fn wrote(&mut self, mut written: usize) {
        self.bytes -= written;
        self.sent_bytes += written as u64;
        while let Some(front) = self.queue.front_mut() {
            if front.bytes.len() > written {
                front.bytes.advance(written);
                return;
            }
            written -= front.bytes.len();
            self.queue.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

    use super::*;

    /// Takes note of every write, and takes only so many bytes of each.
    struct Notes {
        writes: Vec<String>,
        most_bytes: usize,
    }

    impl Notes {
        fn take(&mut self, slices: &[IoSlice<'_>]) -> usize {
            let bytes: Vec<u8> =
                slices.iter().flat_map(|slice| slice.iter()).copied().take(self.most_bytes).collect();
            self.writes.push(String::from_utf8_lossy(&bytes).into_owned());
            bytes.len()
        }
    }

    impl AsyncRead for Notes {
        fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            Poll::Pending
        }
    }

    impl AsyncWrite for Notes {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(self.get_mut().take(&[IoSlice::new(bytes)])))
        }

        fn poll_write_vectored(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            slices: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(self.get_mut().take(slices)))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.get_mut().writes.push("END".to_owned());
            Poll::Ready(Ok(()))
        }
    }

    impl Transport for Notes {
        fn reset(self) {}
    }

    /// What is written of pieces; slices end in `|`.
    fn writes(pieces: &[&'static str], most_bytes: usize) -> Vec<String> {
        let mut outbox = Outbox { is_ending: true, ..Outbox::default() };
        for piece in pieces {
            let bytes = piece.trim_end_matches('|');
            outbox.push(Bytes::from_static(bytes.as_bytes()), bytes != *piece);
        }
        let mut notes = Notes { writes: Vec::new(), most_bytes };
        let written = outbox.poll_write(&mut notes, &mut Context::from_waker(Waker::noop()));
        assert!(written.is_ready() && outbox.is_done() && outbox.bytes == 0);
        notes.writes
    }

    #[test]
    fn whole_pieces_share_a_write_and_slices_do_not() {
        let check = |pieces: &[&'static str], expected: &[&str]| assert_eq!(writes(pieces, 1_000), expected);
        check(&[], &["END"]);
        check(&["ab", "cd", "ef"], &["abcdef", "END"]);
        check(&["ab|", "c|", "de", "fg"], &["ab", "c", "defg", "END"]);
        check(&["ab", "cd|", "ef"], &["ab", "cd", "ef", "END"]);
        check(&["x"; 17], &["xxxxxxxxxxxxxxxx", "x", "END"]);
    }

    #[test]
    fn a_write_that_was_taken_in_part_goes_on_where_it_ended() {
        for most_bytes in 1..8 {
            let mut written = writes(&["abc", "d", "ef|", "ghi"], most_bytes);
            assert_eq!((written.pop().as_deref(), written.concat().as_str()), (Some("END"), "abcdefghi"));
        }
    }
}
