//! Messages over a byte stream, after the WebSocket handshake. Pings and the peer's goodbye are answered in here.

use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};

use super::frames::{self, Incoming, Opcode, Reader, Violation};

/// Bytes that wait for the stream before it has to take some; one message may exceed this.
const OUTPUT_BYTES: usize = 16 << 10;

/// One end of a connection: the server's.
#[derive(Debug)]
pub(super) struct Socket<S> {
    stream: S,
    reader: Reader,
    output: Vec<u8>,
    /// So many bytes of it the stream has taken.
    written: usize,
    /// Whether something was put since the stream was last flushed.
    is_dirty: bool,
    /// A ping that there was no room to answer; the newest counts.
    unanswered: Option<Bytes>,
    /// Our goodbye was put, and nothing comes after it.
    is_closing: bool,
}

impl<S> Socket<S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    /// Around a stream on which the handshake is done.
    pub(super) fn new(stream: S) -> Self {
        let (reader, output) = (Reader::default(), Vec::new());
        Self { stream, reader, output, written: 0, is_dirty: false, unanswered: None, is_closing: false }
    }

    /// Whether a message should be put before [`Self::poll_flush`] is done.
    pub(super) fn has_room(&self) -> bool {
        self.output.len() < OUTPUT_BYTES
    }

    /// Takes a message that the next flush will write. After a goodbye there is nobody to write to.
    pub(super) fn put(&mut self, message: &[u8]) {
        self.put_frame(Opcode::Binary, message);
    }

    fn put_frame(&mut self, opcode: Opcode, payload: &[u8]) {
        if !self.is_closing {
            frames::write(&mut self.output, opcode, payload);
            self.is_dirty = true;
            self.is_closing = opcode == Opcode::Close;
        }
    }

    /// Writes what was put.
    pub(super) fn poll_flush(&mut self, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.output.len() {
            let rest = &self.output[self.written..];
            let count = ready!(Pin::new(&mut self.stream).poll_write(task, rest))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written += count;
            if self.written == self.output.len() {
                self.written = 0;
                self.output.clear();
                self.output.shrink_to(2 * OUTPUT_BYTES);
                if let Some(ping) = self.unanswered.take() {
                    self.put_frame(Opcode::Pong, &ping);
                }
            }
        }
        if self.is_dirty {
            ready!(Pin::new(&mut self.stream).poll_flush(task))?;
            self.is_dirty = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Says goodbye after what was put, and writes all of it.
    pub(super) fn poll_close(&mut self, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.put_frame(Opcode::Close, &[]);
        self.poll_flush(task)
    }

    /// The next message; `None` is the peer's goodbye.
    pub(super) fn poll_next(&mut self, task: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Violation>> {
        loop {
            match self.reader.next()? {
                Some(Incoming::Message(message)) => return Poll::Ready(Ok(Some(message))),
                Some(Incoming::Ping(ping)) if self.has_room() => self.put_frame(Opcode::Pong, &ping),
                Some(Incoming::Ping(ping)) => self.unanswered = Some(ping),
                Some(Incoming::Pong) => {}
                Some(Incoming::Close(code)) => {
                    let code = code.map(u16::to_be_bytes);
                    self.put_frame(Opcode::Close, code.as_ref().map_or(&[], |code| &code[..]));
                    // The answer is a courtesy: nobody waits until it can be written.
                    let _ = self.poll_flush(task);
                    return Poll::Ready(Ok(None));
                }
                None => {
                    if self.is_dirty {
                        // An answer. If it fails, so does reading.
                        let _ = self.poll_flush(task);
                    }
                    let read = pin!(self.stream.read_buf(self.reader.room())).poll(task);
                    if ready!(read).map_err(|_| "broken while reading")? == 0 {
                        return Poll::Ready(Err("ended without a goodbye"));
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use futures_util::{SinkExt, StreamExt};
    use tokio::io::DuplexStream;
    use tokio_tungstenite::WebSocketStream;
    use tokio_tungstenite::tungstenite::Message;
    use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
    use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role};

    use super::*;

    async fn pair(bytes: usize) -> (Socket<DuplexStream>, WebSocketStream<DuplexStream>) {
        let (near, far) = tokio::io::duplex(bytes);
        (Socket::new(near), WebSocketStream::from_raw_socket(far, Role::Client, None).await)
    }

    fn ping(bytes: &'static str) -> Message {
        Message::Ping(Bytes::from_static(bytes.as_bytes()))
    }

    fn pong(bytes: &'static str) -> Message {
        Message::Pong(Bytes::from_static(bytes.as_bytes()))
    }

    #[tokio::test]
    async fn pings_and_a_goodbye_are_answered() {
        let (mut near, mut far) = pair(1 << 16).await;
        let goodbye = CloseFrame { code: CloseCode::Away, reason: "home".into() };
        far.send(ping("there?")).await.unwrap();
        far.send(Message::binary("message")).await.unwrap();
        far.close(Some(goodbye)).await.unwrap();
        let next = poll_fn(|task| near.poll_next(task)).await;
        assert_eq!(next, Ok(Some(Bytes::from_static(b"message"))));
        assert_eq!(poll_fn(|task| near.poll_next(task)).await, Ok(None));
        near.put(b"too late");
        poll_fn(|task| near.poll_flush(task)).await.unwrap();
        drop(near);

        assert_eq!(far.next().await.unwrap().unwrap(), pong("there?"));
        let answer = CloseFrame { code: CloseCode::Away, reason: "".into() };
        assert_eq!(far.next().await.unwrap().unwrap(), Message::Close(Some(answer)));
        assert!(far.next().await.is_none(), "nothing comes after a goodbye");
    }

    #[tokio::test]
    async fn pings_of_a_peer_that_does_not_read_take_no_memory() {
        let (mut near, mut far) = pair(64).await;
        near.put(&[7; OUTPUT_BYTES]);
        for _ in 0..100 {
            far.send(ping("first")).await.unwrap();
            far.send(ping("last")).await.unwrap();
            assert!(poll_fn(|task| Poll::Ready(near.poll_next(task).is_pending())).await);
        }
        assert!(near.output.len() < OUTPUT_BYTES + 64);
        let flush = poll_fn(|task| near.poll_flush(task));
        let (flushed, message) = tokio::join!(flush, far.next());
        flushed.unwrap();
        assert_eq!(message.unwrap().unwrap().into_data().len(), OUTPUT_BYTES);
        assert_eq!(far.next().await.unwrap().unwrap(), pong("last"));
        drop(near);
        assert!(far.next().await.unwrap().is_err(), "only the newest is answered");
    }
}
