//! The server over loopback, with devices that run the client's engine.

use std::net::SocketAddr;
use std::time::Duration;

use avouch_engine::client::{Command, Observation};
use avouch_engine::ids::ConversationId;
use avouch_engine::server::Config;
use avouch_server::disk::{Disk, SimDisk};
use avouch_server::journal::{Journal, JournalOptions};
use avouch_server::metrics::{MetricsHandle, metrics};
use avouch_server::serve::{JournalMode, ServeError, ServeOptions, Stopped, serve};
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tokio_tungstenite::tungstenite::Message;

use crate::device::{Device, SECRET, accepted, delivered};

pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) metrics: MetricsHandle,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<Stopped, ServeError>>,
}

impl Running {
    pub(crate) async fn start(disk: &dyn Disk, mode: JournalMode) -> Self {
        Self::with(disk, mode, |_| {}).await
    }

    async fn with(disk: &dyn Disk, mode: JournalMode, change: impl FnOnce(&mut ServeOptions)) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let journal =
            Journal::open(disk, JournalOptions { cache_bytes: 4 << 20, ..JournalOptions::default() })
                .unwrap();
        let config = Config { secret: Bytes::from_static(SECRET), ..Config::default() };
        let (handle, source) = metrics();
        let mut options = ServeOptions { mode, metrics: Some(source), ..ServeOptions::new(config, journal) };
        change(&mut options);
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(serve(listener, options, async move {
            let _ = stopped.await;
        }));
        Self { address, metrics: handle, stop, task }
    }

    pub(crate) async fn stop(self) -> Stopped {
        self.stop.send(()).unwrap();
        timeout(Duration::from_secs(20), self.task).await.unwrap().unwrap().unwrap()
    }
}

async fn login_send_deliver_restart_resume(mode: JournalMode) {
    let disk = SimDisk::new();
    disk.slow_sync(Duration::from_millis(3));
    let server = Running::start(&disk, mode).await;
    let (mut alice, mut bob) = (Device::new(server.address, 1, 1), Device::new(server.address, 2, 1));
    alice.invite(1, 7, &[1, 2]);
    alice.send(2, 7, "hello");
    assert_eq!(alice.until_accepted(2).await, 2);
    bob.until_delivered(b"hello").await;
    bob.command(Command::MarkRead { conversation: ConversationId(7), up_to: 2 });
    let is_read =
        |seen: &[Observation]| seen.iter().any(|seen| matches!(seen, Observation::Receipt { read: 2, .. }));
    alice
        .beside(bob.until("the read mark", |seen| {
            seen.iter().any(|seen| matches!(seen, Observation::ReadConfirmed { up_to: 2, .. }))
        }))
        .await;
    alice.until("the receipt", is_read).await;

    let stopped = bob.beside(alice.beside(server.stop())).await;
    assert!(stopped.journal.records >= 4, "{stopped:?}");
    let says_shutdown = |seen: &[Observation]| {
        seen.iter().any(|seen| matches!(seen, Observation::SessionEnded { why: "shutdown" }))
    };
    alice.until("the goodbye", says_shutdown).await;

    let server = Running::start(&disk, mode).await;
    alice.moves_to(server.address);
    bob.moves_to(server.address);
    alice.send(3, 7, "again");
    assert_eq!(alice.until_accepted(3).await, 3);
    bob.until_delivered(b"again").await;
    assert_eq!(delivered(&bob.seen, b"hello"), 1);
    assert!(bob.seen.contains(&Observation::Session { resumed: true }), "{:?}", bob.seen);
    server.stop().await;
}

#[tokio::test]
async fn works_inline() {
    login_send_deliver_restart_resume(JournalMode::Inline).await;
}

#[tokio::test]
async fn works_with_a_thread() {
    login_send_deliver_restart_resume(JournalMode::Thread).await;
}

#[tokio::test]
async fn a_failed_sync_acknowledges_nothing_and_loses_nothing() {
    for mode in [JournalMode::Inline, JournalMode::Thread] {
        let disk = SimDisk::new();
        let server = Running::start(&disk, mode).await;
        let mut alice = Device::new(server.address, 1, 1);
        alice.invite(1, 7, &[1]);
        alice.until_accepted(1).await;
        disk.fail_syncs(true);
        alice.send(2, 7, "doubtful");
        let (asked, healing) = (Instant::now(), disk.clone());
        let healed = tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(700)).await;
            healing.fail_syncs(false);
        });
        assert_eq!(alice.until_accepted(2).await, 2);
        assert!(asked.elapsed() >= Duration::from_millis(700), "nothing is acknowledged that is not durable");
        healed.await.unwrap();
        let stopped = alice.beside(server.stop()).await;
        assert!(stopped.reopened >= 1, "{stopped:?}");
        assert!(disk.counters().syncs_failed >= 1);
        disk.power_loss(3);
        let mut journal = Journal::open(&disk, JournalOptions::default()).unwrap();
        assert_eq!(journal.recover().unwrap().conversations[0].head, 2);
    }
}

#[tokio::test]
async fn checkpoints_lose_nothing_and_hold_nothing_up() {
    for mode in [JournalMode::Inline, JournalMode::Thread] {
        let disk = SimDisk::new();
        let small = JournalOptions { segment_bytes: 4 << 10, ..JournalOptions::default() };
        let server = Running::with(&SimDisk::new(), mode, |options| {
            options.journal = Journal::open(&disk, small).unwrap();
            options.batch_records_max = 3;
        })
        .await;
        let mut alice = Device::new(server.address, 1, 1);
        alice.invite(1, 7, &[1]);
        for id in 2..=200 {
            alice.send(id, 7, format!("message {id}"));
        }
        assert_eq!(alice.until_accepted(200).await, 200);
        let stopped = alice.beside(server.stop()).await;
        assert!(stopped.journal.checkpoints >= 3, "{stopped:?}");
        assert!(stopped.journal.records <= 3 * stopped.journal.commits, "{stopped:?}");
        disk.power_loss(1);
        let mut journal = Journal::open(&disk, small).unwrap();
        assert_eq!(journal.recover().unwrap().conversations[0].head, 200);
    }
}

#[tokio::test]
async fn a_full_disk_is_told_and_passes() {
    let disk = SimDisk::new();
    let server = Running::start(&disk, JournalMode::Thread).await;
    let mut alice = Device::new(server.address, 1, 1);
    alice.invite(1, 7, &[1]);
    alice.until_accepted(1).await;
    disk.full(true);
    alice.send(2, 7, "no room");
    alice.beside(tokio::time::sleep(Duration::from_millis(300))).await;
    assert_eq!(accepted(&alice.seen, 2), None);
    disk.full(false);
    assert_eq!(alice.until_accepted(2).await, 2);
    let stopped = alice.beside(server.stop()).await;
    assert!(stopped.journal.refused >= 1, "{stopped:?}");
    assert_eq!(stopped.reopened, 0);
}

#[tokio::test]
async fn garbage_hurts_nobody() {
    let server = Running::start(&SimDisk::new(), JournalMode::Thread).await;
    let mut alice = Device::new(server.address, 1, 1);
    alice.invite(1, 7, &[1]);
    alice.until_accepted(1).await;
    for garbage in [&b"\x00\xff\x13garbage"[..], b"GET / HTTP/1.1\r\n\r\n", &vec![b'a'; 100_000]] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let _ = stream.write_all(garbage).await;
        let _ = stream.shutdown().await;
        let mut answer = Vec::new();
        // An error answer, an end or a reset: but an end.
        let _ = timeout(Duration::from_secs(5), stream.read_to_end(&mut answer)).await.unwrap();
    }
    for message in [Message::Text("hello".into()), Message::Binary(Bytes::from_static(b"\x09\0\0\0\0zzz"))] {
        let stream = TcpStream::connect(server.address).await.unwrap();
        let (mut socket, _) = tokio_tungstenite::client_async("ws://server/", stream).await.unwrap();
        socket.send(message).await.unwrap();
        let _ = timeout(Duration::from_millis(300), socket.next()).await;
    }
    alice.send(2, 7, "still here");
    alice.until_accepted(2).await;
    alice.beside(server.stop()).await;
}

#[tokio::test]
async fn a_connection_too_many_is_dropped() {
    let server =
        Running::with(&SimDisk::new(), JournalMode::Thread, |options| options.connections_max = 1).await;
    let mut alice = Device::new(server.address, 1, 1);
    alice.invite(1, 7, &[1]);
    alice.until_accepted(1).await;
    let mut second = TcpStream::connect(server.address).await.unwrap();
    let end = timeout(Duration::from_secs(5), second.read(&mut [0; 16])).await.unwrap();
    assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");
    assert_eq!(server.metrics.snapshot().await.unwrap().shell.connections_refused, 1);
    alice.beside(server.stop()).await;
}

#[tokio::test]
async fn metrics_and_health_are_told() {
    let server = Running::start(&SimDisk::new(), JournalMode::Thread).await;
    let mut alice = Device::new(server.address, 1, 1);
    alice.invite(1, 7, &[1]);
    alice.until_accepted(1).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let admin = tokio::spawn(avouch_server::admin::serve(listener, server.metrics.clone()));
    let check = async |request: &[u8], expected: &[&str]| {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request).await.unwrap();
        let mut answer = String::new();
        let _ = timeout(Duration::from_secs(5), stream.read_to_string(&mut answer)).await.unwrap();
        for expected in expected {
            assert!(answer.contains(expected), "{expected:?} is not in {answer}");
        }
    };
    check(b"GET /healthz HTTP/1.1\r\n\r\n", &["200 OK", "\r\n\r\nok\n"]).await;
    let numbers = [
        "avouch_server_connections 1\n",
        "avouch_server_logins_total 1\n",
        "_batch_records_bucket{le=\"1\"}",
    ];
    check(b"GET /metrics?x=y HTTP/1.1\r\nhost: x\r\n\r\n", &numbers).await;
    check(b"GET /other HTTP/1.1\r\n\r\n", &["404"]).await;
    check(b"POST /metrics HTTP/1.1\r\n\r\n", &["405"]).await;
    check(&[b'x'; 8 << 10], &["431"]).await;
    alice.beside(server.stop()).await;
    check(b"GET /healthz HTTP/1.1\r\n\r\n", &["503"]).await;
    admin.abort();
}
