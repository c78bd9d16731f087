//! One connection of a device, as the protocol wants it carried: WebSocket messages, or bytes as they come.
//!
//! What differs between the two is here and nowhere else; the shell above sees frames (or bytes) and ends.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use futures_util::{Sink, SinkExt, Stream};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use super::{FRAMES_PER_TURN, READ_BUFFER_BYTES};

/// Bytes taken by one read of a byte stream.
const STREAM_READ_BYTES: usize = 16 * 1024;
/// Frames that one write of a byte stream takes together.
const SLICES_PER_WRITE: usize = 32;

/// How a protocol's frames travel between a device and its server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// One frame per binary WebSocket message: [`crate::adapter::Input::Received`] is one whole frame.
    WebSocket,
    /// A byte stream: [`crate::adapter::Input::Received`] is some bytes, cut anywhere.
    Bytes,
}

/// A connection that is up.
pub(super) struct Socket<S> {
    line: Line<S>,
    /// Something was written and not flushed.
    is_dirty: bool,
    /// The end of the stream was read.
    pub(super) is_over: bool,
}

enum Line<S> {
    WebSocket(Box<WebSocketStream<S>>),
    Bytes(S),
}

impl<S: AsyncRead + AsyncWrite + Unpin> Socket<S> {
    /// Does what has to be done on a fresh stream before the protocol's first frame.
    pub(super) async fn open(carrier: Carrier, stream: S) -> io::Result<Self> {
        let line = match carrier {
            Carrier::Bytes => Line::Bytes(stream),
            Carrier::WebSocket => {
                let config = WebSocketConfig::default().read_buffer_size(READ_BUFFER_BYTES);
                let upgraded =
                    tokio_tungstenite::client_async_with_config("ws://avouch/", stream, Some(config));
                let (socket, _) = upgraded.await.map_err(io::Error::other)?;
                Line::WebSocket(Box::new(socket))
            }
        };
        Ok(Self { line, is_dirty: false, is_over: false })
    }

    /// Takes what is there.
    pub(super) fn read(&mut self, arrived: &mut Vec<Bytes>, context: &mut Context<'_>) {
        while !self.is_over && arrived.len() < FRAMES_PER_TURN {
            match self.poll_next(context) {
                Poll::Pending => return,
                Poll::Ready(Some(frame)) if frame.is_empty() => {}
                Poll::Ready(Some(frame)) => arrived.push(frame),
                Poll::Ready(None) => self.is_over = true,
            }
        }
    }

    /// Writes what fits.
    pub(super) fn poll_write(
        &mut self,
        outgoing: &mut VecDeque<Bytes>,
        context: &mut Context<'_>,
    ) -> io::Result<()> {
        match &mut self.line {
            Line::WebSocket(stream) => poll_feed(stream, outgoing, &mut self.is_dirty, context)?,
            Line::Bytes(stream) => poll_copy(stream, outgoing, &mut self.is_dirty, context)?,
        }
        if self.is_dirty {
            let flushed = match &mut self.line {
                Line::WebSocket(stream) => {
                    Pin::new(&mut **stream).poll_flush(context).map_err(io::Error::other)
                }
                Line::Bytes(stream) => Pin::new(stream).poll_flush(context),
            };
            match flushed {
                Poll::Ready(Ok(())) => self.is_dirty = false,
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => {}
            }
        }
        Ok(())
    }

    /// Reads on and forgets what it reads; ready when the stream was ended.
    pub(super) fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            match self.poll_next(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(_)) => {}
                Poll::Ready(None) => return Poll::Ready(()),
            }
        }
    }

    /// Writes what is still to be written and ends the stream politely.
    pub(super) async fn say_goodbye(self, frames: VecDeque<Bytes>) -> io::Result<()> {
        match self.line {
            Line::WebSocket(mut socket) => {
                for frame in frames {
                    socket.feed(Message::Binary(frame)).await.map_err(io::Error::other)?;
                }
                socket.close(None).await.map_err(io::Error::other)
            }
            Line::Bytes(mut stream) => {
                for frame in frames {
                    stream.write_all(&frame).await?;
                }
                stream.shutdown().await?;
                // Closing with bytes unread would be a reset, which may overtake the last words.
                tokio::io::copy(&mut stream, &mut tokio::io::sink()).await.map(drop)
            }
        }
    }

    /// The next frame (empty: nothing for the protocol), or `None` at the end, whatever ended it.
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        match &mut self.line {
            Line::WebSocket(stream) => Pin::new(&mut **stream).poll_next(context).map(|next| match next {
                Some(Ok(Message::Binary(frame))) => Some(frame),
                Some(Ok(Message::Close(_)) | Err(_)) | None => None,
                Some(Ok(_)) => Some(Bytes::new()),
            }),
            Line::Bytes(stream) => poll_some(stream, context),
        }
    }
}

fn poll_feed<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut WebSocketStream<S>,
    outgoing: &mut VecDeque<Bytes>,
    is_dirty: &mut bool,
    context: &mut Context<'_>,
) -> io::Result<()> {
    let mut stream = Pin::new(stream);
    while !outgoing.is_empty() {
        match stream.as_mut().poll_ready(context) {
            Poll::Pending => return Ok(()),
            Poll::Ready(Err(error)) => return Err(io::Error::other(error)),
            Poll::Ready(Ok(())) => {}
        }
        if let Some(frame) = outgoing.pop_front() {
            stream.as_mut().start_send(Message::Binary(frame)).map_err(io::Error::other)?;
            *is_dirty = true;
        }
    }
    Ok(())
}

/// Frames that leave at the same time leave in one write.
fn poll_copy<S: AsyncWrite + Unpin>(
    stream: &mut S,
    outgoing: &mut VecDeque<Bytes>,
    is_dirty: &mut bool,
    context: &mut Context<'_>,
) -> io::Result<()> {
    while !outgoing.is_empty() {
        let mut slices = [IoSlice::new(&[]); SLICES_PER_WRITE];
        for (slice, frame) in slices.iter_mut().zip(outgoing.iter()) {
            *slice = IoSlice::new(frame);
        }
        let count = outgoing.len().min(SLICES_PER_WRITE);
        match Pin::new(&mut *stream).poll_write_vectored(context, &slices[..count]) {
            Poll::Pending => return Ok(()),
            Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
            Poll::Ready(Ok(written)) => {
                *is_dirty = true;
                take(outgoing, written);
            }
            Poll::Ready(Err(error)) => return Err(error),
        }
    }
    Ok(())
}

/// So many bytes are written.
fn take(outgoing: &mut VecDeque<Bytes>, mut written: usize) {
    while let Some(front) = outgoing.front_mut() {
        let of_front = front.len().min(written);
        front.advance(of_front);
        written -= of_front;
        if !front.is_empty() {
            return;
        }
        outgoing.pop_front();
    }
}

/// Reads into a buffer that all sockets share, and takes as much as came: most messages are far shorter than what a read may bring,
/// and a fresh buffer costs more than they do.
fn poll_some<S: AsyncRead + Unpin>(stream: &mut S, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
    thread_local! {
        static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; STREAM_READ_BYTES]);
    }
    BUFFER.with_borrow_mut(|bytes| {
        let mut buffer = ReadBuf::new(bytes);
        match Pin::new(stream).poll_read(context, &mut buffer) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Err(_)) => Poll::Ready(None),
            Poll::Ready(Ok(())) if buffer.filled().is_empty() => Poll::Ready(None),
            Poll::Ready(Ok(())) => Poll::Ready(Some(Bytes::copy_from_slice(buffer.filled()))),
        }
    })
}
