//! What a pump needs of a stream: bytes both ways, and an end that is not polite.

use std::io;
use std::os::fd::AsFd;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};

/// A connected byte stream.
pub trait Transport: AsyncRead + AsyncWrite + Unpin {
    /// Small writes are to leave at once; without it a message sent in two writes takes 40 ms longer.
    fn set_no_delay(&self) -> io::Result<()> {
        Ok(())
    }

    /// Whether something is there to be read now, asked of the system; `false` where that cannot be asked.
    fn is_readable(&self) -> bool {
        false
    }

    /// Ends the stream with a reset, as far as it can: what was not read is lost.
    fn reset(self);
}

impl Transport for tokio::net::TcpStream {
    fn set_no_delay(&self) -> io::Result<()> {
        self.set_nodelay(true)
    }

    fn is_readable(&self) -> bool {
        // An error is for whoever reads.
        poll(&mut [PollFd::new(self.as_fd(), PollFlags::POLLIN)], PollTimeout::ZERO)
            .is_ok_and(|ready| ready > 0)
    }

    fn reset(self) {
        // An error means that the peer was faster: the connection is gone already.
        let _gone = self.set_zero_linger();
    }
}

/// Simulated: closing it resets if something was not read, as RFC 9293 §3.10.4 has it, and ends politely otherwise.
/// There is no linger option to force it.
impl Transport for turmoil::net::TcpStream {
    fn reset(self) {}
}

/// In memory: the other end reads an end of stream, and its writes fail.
impl Transport for DuplexStream {
    fn reset(self) {}
}
