//! Takes leave of a server that goes on running: what it keeps for the devices of a run would stay there when nobody comes back.
//!
//! Nothing of it is a part of the run, which is judged by then. A server that is gone, or does not want to hear it, is left alone.

use std::net::SocketAddr;
use std::time::Duration;

use avouch_scenarios::plan::Plan;
use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::LiveWorld;
use super::launch::Server;

/// For all devices together.
const WITHIN: Duration = Duration::from_secs(10);
/// What a server may answer to one; more is not read.
const ANSWER_BYTES_MAX: u64 = 64 * 1024;

/// Leaves nothing of a run's devices on a server that goes on running.
pub(super) async fn take(world: &LiveWorld, plan: &Plan) {
    if let Server::Running(address) = world.server {
        say(address, world.subject.dialect.farewells(plan, world.nonce)).await;
    }
}

/// Says each farewell on a connection of its own, one after another, and waits until the server has ended it.
async fn say(address: SocketAddr, farewells: Vec<Bytes>) {
    let all = async {
        for farewell in farewells {
            // It says goodbye to nobody who has gone.
            let _ = say_one(address, &farewell).await;
        }
    };
    let _in_time = timeout(WITHIN, all).await;
}

async fn say_one(address: SocketAddr, farewell: &[u8]) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(farewell).await?;
    // Closed before its answer was read, the connection would be reset, and what was said might never be looked at.
    tokio::io::copy(&mut stream.take(ANSWER_BYTES_MAX), &mut tokio::io::sink()).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn each_is_said_and_heard_to_its_end() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let hear = async {
            let mut heard = Vec::new();
            for _ in 0..2 {
                let (mut stream, _) = listener.accept().await.expect("a connection");
                stream.write_all(b"welcome").await.expect("it listens");
                let mut words = [0; 3];
                stream.read_exact(&mut words).await.expect("a farewell");
                heard.push(words);
            }
            heard
        };
        let farewells = vec![Bytes::from_static(b"one"), Bytes::from_static(b"two")];
        let ((), heard) = tokio::join!(say(address, farewells), hear);
        assert_eq!(heard, [*b"one", *b"two"]);
        drop(listener);
        say(address, vec![Bytes::from_static(b"three")]).await;
    }
}
