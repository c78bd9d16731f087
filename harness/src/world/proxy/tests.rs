//! The proxy over loopback, and the same pump between streams in memory on a paused clock.

use std::io::ErrorKind;
use std::time::Duration;

use avouch_scenarios::plan::{
    CutHow, Delay, Direction, Edge, Fault, LinkFault, LinkShape, LinkVerb, Network, PlannedFault, When,
};
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout};
use tokio_tungstenite::tungstenite::Message;

use super::*;
use crate::link::Event;

const LIMIT: Duration = Duration::from_secs(5);

fn link(device: u32, delay_ns: u64, verbs: &[LinkVerb]) -> Settings {
    let shape = LinkShape { delay: Delay::Fixed { ns: delay_ns }, rate_bytes_per_s: None };
    let network = Network { profile: "custom".to_owned(), up: shape.clone(), down: shape };
    let faults = verbs.iter().zip(0_u32..).map(|(&verb, id)| {
        let (direction, devices) = (Direction::Both, vec![0, 1]);
        let fault =
            Fault::Link(LinkFault { devices, direction, kind: None, probability_ppm: 1_000_000, verb });
        PlannedFault { id, key: u64::from(id), when: When::At { ns: 0 }, for_ns: None, fault }
    });
    Settings { seed: 1, device, network, faults: faults.collect(), survives_frame_faults: true }
}

fn cut(how: CutHow) -> LinkVerb {
    LinkVerb::Cut { how, at_byte: None, edge: Edge::Before }
}

type Seen = Arc<Mutex<Vec<(u32, Happened)>>>;

fn recorder() -> (Sink, Seen) {
    let seen = Seen::default();
    let sink = Arc::clone(&seen);
    (
        Arc::new(move |device, happened| sink.lock().expect("no test panics here").push((device, happened))),
        seen,
    )
}

fn clock() -> Clock {
    let began = Instant::now();
    Arc::new(move || began.elapsed().as_nanos() as u64)
}

/// A proxy in front of an echo server.
async fn echo(framing: Framing, links: Vec<Settings>) -> (Proxy, Seen) {
    echo_by(framing, links, Leg::Sockets).await
}

async fn echo_by(framing: Framing, links: Vec<Settings>, leg: Leg) -> (Proxy, Seen) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let upstream = listener.local_addr().expect("it is bound");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            stream.set_nodelay(true).expect("it is connected");
            tokio::spawn(async move {
                let (mut read, mut write) = stream.into_split();
                let _over = tokio::io::copy(&mut read, &mut write).await;
            });
        }
    });
    let (sink, seen) = recorder();
    let proxy = Proxy::start(Config { upstream, framing, clock: clock(), sink }, links, leg)
        .await
        .expect("it starts");
    (proxy, seen)
}

async fn client(proxy: &Proxy, device: u32) -> TcpStream {
    let stream = TcpStream::connect(proxy.address(device).expect("the device is known")).await;
    let stream = stream.expect("the proxy accepts");
    stream.set_nodelay(true).expect("it is connected");
    stream
}

/// Sends and reads the echo, or says how the connection ended.
async fn echoes(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), text: &str) -> Result<(), ErrorKind> {
    let talk = async {
        stream.write_all(text.as_bytes()).await?;
        let mut back = vec![0; text.len()];
        stream.read_exact(&mut back).await?;
        assert_eq!(back, text.as_bytes());
        Ok(())
    };
    let result: std::io::Result<()> =
        timeout(Duration::from_millis(300), talk).await.unwrap_or(Err(ErrorKind::TimedOut.into()));
    result.map_err(|error| error.kind())
}

fn fired(seen: &Seen, fault: u32) -> usize {
    let seen = seen.lock().expect("no test panics here");
    let is_it = |happened: &Happened| matches!(happened, Happened::Fault(Event::Fired { fault: of, .. }) if *of == fault);
    seen.iter().filter(|(_, happened)| is_it(happened)).count()
}

async fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(LIMIT, wait).await.unwrap_or_else(|_| panic!("waited in vain until {what}"));
}

#[tokio::test]
async fn without_faults_bytes_pass_and_ends_pass() {
    let (proxy, seen) = echo(Framing::Raw, vec![link(0, 0, &[]), link(1, 0, &[])]).await;
    let mut first = client(&proxy, 0).await;
    let mut second = client(&proxy, 1).await;
    let long = "0123456789".repeat(50_000);
    assert_eq!((echoes(&mut first, &long).await, echoes(&mut second, "b").await), (Ok(()), Ok(())));
    assert_eq!(proxy.connections(), 2);
    first.shutdown().await.expect("it is connected");
    let mut rest = Vec::new();
    assert_eq!(timeout(LIMIT, first.read_to_end(&mut rest)).await.expect("the end comes").ok(), Some(0));
    drop(second);
    wait_until("both are over", || proxy.connections() == 0).await;
    assert!(
        seen.lock()
            .expect("no test panics here")
            .iter()
            .all(|(_, happened)| !matches!(happened, Happened::Fault(_)))
    );
}

#[tokio::test]
async fn a_message_in_two_writes_is_not_held_up_by_nagle() {
    let (proxy, _) = echo(Framing::Raw, vec![link(0, 0, &[])]).await;
    let mut stream = client(&proxy, 0).await;
    let mut worst = Duration::MAX;
    for _ in 0..10 {
        let began = Instant::now();
        stream.write_all(b"half ").await.expect("it is connected");
        tokio::time::sleep(Duration::from_millis(1)).await;
        echoes_after(&mut stream, b"whole", b"half whole").await;
        worst = worst.min(began.elapsed());
    }
    assert!(
        worst < Duration::from_millis(20),
        "the best of ten took {worst:?}: Nagle and delayed acks are at work"
    );
}

async fn echoes_after(stream: &mut TcpStream, send: &[u8], expected: &[u8]) {
    stream.write_all(send).await.expect("it is connected");
    let mut back = vec![0; expected.len()];
    timeout(LIMIT, stream.read_exact(&mut back)).await.expect("the echo comes").expect("it is connected");
    assert_eq!(back, expected);
}

#[tokio::test]
async fn cuts_are_real_resets_and_real_ends() {
    for (how, expected) in [(CutHow::Rst, Err(ErrorKind::ConnectionReset)), (CutHow::Fin, Ok(0))] {
        let (proxy, seen) = echo(Framing::Raw, vec![link(0, 0, &[cut(how)])]).await;
        let mut stream = client(&proxy, 0).await;
        assert_eq!(echoes(&mut stream, "before").await, Ok(()));
        proxy.set_fault(0, true);
        let read = timeout(LIMIT, stream.read(&mut [0; 8])).await.expect("the client is told");
        assert_eq!(read.map_err(|error| error.kind()), expected);
        assert_eq!(fired(&seen, 0), 1);
        drop(stream);
        wait_until("the server's side is over", || proxy.connections() == 0).await;
        assert_eq!(echoes(&mut client(&proxy, 0).await, "after").await, Ok(()));
    }
}

#[tokio::test]
async fn a_stall_closes_the_window_and_loses_nothing() {
    let (proxy, _) = echo(Framing::Raw, vec![link(0, 0, &[LinkVerb::Stall])]).await;
    let stream = client(&proxy, 0).await;
    wait_until("it is carried", || proxy.connections() == 1).await;
    proxy.set_fault(0, true);
    let (mut read, mut write) = stream.into_split();
    let bytes = vec![7; 64 * 1024 * 1024];
    let writing = tokio::spawn(async move { write.write_all(&bytes).await });
    tokio::time::sleep(Duration::from_millis(150)).await;
    assert!(!writing.is_finished(), "64 MiB fit into closed windows");
    assert_eq!(read.try_read(&mut [0; 8]).map_err(|error| error.kind()), Err(ErrorKind::WouldBlock));
    proxy.set_fault(0, false);
    let mut back = vec![0; 64 * 1024 * 1024];
    timeout(LIMIT, read.read_exact(&mut back)).await.expect("all of it comes").expect("it is connected");
    assert!(back.iter().all(|&byte| byte == 7));
}

#[tokio::test]
async fn half_open_is_silence_for_good_and_new_connections_work() {
    let (proxy, _) = echo(Framing::Raw, vec![link(0, 0, &[LinkVerb::HalfOpen])]).await;
    let mut stream = client(&proxy, 0).await;
    assert_eq!(echoes(&mut stream, "before").await, Ok(()));
    proxy.set_fault(0, true);
    assert_eq!(echoes(&mut stream, "swallowed").await, Err(ErrorKind::TimedOut));
    proxy.set_fault(0, false);
    assert_eq!(echoes(&mut stream, "still dead").await, Err(ErrorKind::TimedOut));
    assert_eq!(echoes(&mut client(&proxy, 0).await, "new").await, Ok(()));
    drop(stream);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(proxy.connections(), 1, "the server is not told that the dead connection's client left");
}

#[tokio::test]
async fn a_partition_refuses_and_resets_who_lost_bytes_when_it_ends() {
    let (proxy, seen) = echo(Framing::Raw, vec![link(0, 0, &[LinkVerb::Partition]), link(1, 0, &[])]).await;
    let (mut stream, mut other) = (client(&proxy, 0).await, client(&proxy, 1).await);
    assert_eq!(echoes(&mut stream, "before").await, Ok(()));
    proxy.set_fault(0, true);
    assert_eq!(echoes(&mut stream, "lost").await, Err(ErrorKind::TimedOut));
    let refused = echoes(&mut client(&proxy, 0).await, "refused").await;
    assert!(matches!(refused, Err(ErrorKind::ConnectionReset | ErrorKind::BrokenPipe)), "{refused:?}");
    assert_eq!(echoes(&mut other, "another device's link").await, Ok(()));
    proxy.set_fault(0, false);
    assert_eq!(echoes(&mut stream, "reset").await, Err(ErrorKind::ConnectionReset));
    assert_eq!(echoes(&mut client(&proxy, 0).await, "new").await, Ok(()));
    assert!(fired(&seen, 0) >= 3, "interrupted, refused, reset");
}

#[tokio::test]
async fn an_unreachable_server_resets_the_client_and_is_told() {
    let (sink, seen) = recorder();
    let free = TcpListener::bind("127.0.0.1:0").await.and_then(|listener| listener.local_addr());
    let upstream = free.expect("a port is free");
    let config = Config { upstream, framing: Framing::Raw, clock: clock(), sink };
    let proxy = Proxy::start(config, vec![link(0, 0, &[])], Leg::Sockets).await.expect("it starts");
    let result = echoes(&mut client(&proxy, 0).await, "anybody?").await;
    assert!(matches!(result, Err(ErrorKind::ConnectionReset | ErrorKind::BrokenPipe)), "{result:?}");
    wait_until("it is told", || {
        let seen = seen.lock().expect("no test panics here");
        seen.iter().any(|(_, happened)| matches!(happened, Happened::Unreachable { .. }))
    })
    .await;
}

#[tokio::test]
async fn a_shutdown_releases_ports_and_connections() {
    let (proxy, _) = echo(Framing::Raw, vec![link(0, 0, &[])]).await;
    let mut stream = client(&proxy, 0).await;
    assert_eq!(echoes(&mut stream, "before").await, Ok(()));
    let address = proxy.address(0).expect("the device is known");
    proxy.shutdown().await;
    assert!(echoes(&mut stream, "after").await.is_err());
    assert!(TcpStream::connect(address).await.is_err());
}

fn by_first_letter(payload: &[u8]) -> Option<&'static str> {
    (payload.first() == Some(&b'd')).then_some("deliver")
}

#[tokio::test]
async fn websocket_frames_are_dropped_whole_and_control_frames_pass() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let upstream = listener.local_addr().expect("it is bound");
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.expect("the proxy connects");
        let mut socket = tokio_tungstenite::accept_async(stream).await.expect("the upgrade passes");
        while let Some(Ok(message)) = socket.next().await {
            if message.is_binary() {
                socket.send(message).await.expect("it is connected");
            }
        }
    });
    let mut settings = link(0, 1_000_000, &[LinkVerb::Drop]);
    let mut faults = settings.faults.to_vec();
    let Fault::Link(fault) = &mut faults[0].fault else { panic!("it is one") };
    fault.kind = Some("deliver".to_owned());
    settings.faults = faults.into();
    let (sink, seen) = recorder();
    let framing = Framing::WebSocket { up: by_first_letter, down: by_first_letter };
    let config = Config { upstream, framing, clock: clock(), sink };
    let proxy = Proxy::start(config, vec![settings], Leg::Sockets).await.expect("it starts");
    let url = format!("ws://{}/", proxy.address(0).expect("the device is known"));
    let stream = client(&proxy, 0).await;
    let (mut socket, _) = tokio_tungstenite::client_async(url, stream).await.expect("the upgrade passes");
    proxy.set_fault(0, true);
    for text in ["d1", "x2", "d3", "x4"] {
        socket.send(Message::binary(text.as_bytes())).await.expect("it is connected");
    }
    socket.send(Message::Ping("d?".into())).await.expect("it is connected");
    let mut got = Vec::new();
    while got.len() < 3 {
        let message =
            timeout(LIMIT, socket.next()).await.expect("it comes").expect("more").expect("whole frames");
        got.push(String::from_utf8_lossy(&message.into_data()).into_owned());
    }
    got.sort();
    assert_eq!((got, fired(&seen, 0)), (vec!["d?".to_owned(), "x2".to_owned(), "x4".to_owned()], 2));
    socket.close(None).await.expect("it is connected");
    while timeout(LIMIT, socket.next()).await.expect("the close passes").is_some() {}
    drop(socket);
    wait_until("it is over", || proxy.connections() == 0).await;
    let closed = seen.lock().expect("no test panics here").last().cloned();
    assert!(matches!(closed, Some((0, Happened::Closed { unparsed_bytes: 0, .. }))), "{closed:?}");
}

#[tokio::test(start_paused = true)]
async fn the_same_pump_in_memory_keeps_exact_time() {
    let (sink, seen) = recorder();
    let stall = [LinkVerb::Stall, cut(CutHow::Rst)];
    let line = Arc::new(Line::new(0, Link::new(link(0, 5_000_000, &stall)), clock(), sink));
    let (mut client, client_far) = tokio::io::duplex(1_024);
    let (mut server, server_far) = tokio::io::duplex(1_024);
    let pumping = {
        let line = Arc::clone(&line);
        tokio::spawn(async move {
            carry(&line, client_far, async { Ok(server_far) }, Framing::Raw.splitters()).await;
        })
    };
    let began = Instant::now();
    let mut buffer = [0; 4];
    client.write_all(b"ping").await.expect("it is connected");
    server.read_exact(&mut buffer).await.expect("it is connected");
    assert_eq!(began.elapsed(), Duration::from_millis(5));
    line.set(0, true);
    server.write_all(b"pong").await.expect("it is connected");
    assert!(timeout(Duration::from_secs(9), client.read_exact(&mut buffer)).await.is_err());
    line.set(0, false);
    client.read_exact(&mut buffer).await.expect("it is connected");
    assert_eq!(&buffer, b"pong");
    line.set(1, true);
    assert_eq!(client.read(&mut buffer).await.ok(), Some(0));
    pumping.await.expect("the pump ends");
    assert_eq!((fired(&seen, 0), fired(&seen, 1), line.connections()), (2, 1, 0), "one stall each way");
}

#[tokio::test]
async fn devices_of_the_same_process_get_in_without_a_socket_and_meet_the_same_faults() {
    let stall = LinkVerb::Stall;
    let links = (0..2).map(|device| link(device, 0, &[cut(CutHow::Rst), stall])).collect();
    let (proxy, seen) = echo_by(Framing::Raw, links, Leg::Memory).await;
    let Some(Door::Memory(entrance)) = proxy.door(0).cloned() else { panic!("there is a door, and no port") };
    assert_eq!(proxy.address(0), None);
    let mut stream = entrance.connect().expect("the proxy is there");
    echoes(&mut stream, "hello").await.expect("nothing is wrong yet");
    assert_eq!(proxy.connections(), 1);
    proxy.set_fault_on(1, 0, true);
    stream.write_all(b"held").await.expect("it is taken, up to a limit");
    let mut held = [0; 4];
    let nothing = timeout(Duration::from_millis(50), stream.read_exact(&mut held)).await;
    assert!(nothing.is_err(), "nothing passes");
    proxy.set_fault_on(1, 0, false);
    let came = timeout(LIMIT, stream.read_exact(&mut held)).await.expect("a stall that is over heals");
    came.expect("it is whole");
    proxy.set_fault_on(0, 0, true);
    let end = timeout(LIMIT, stream.read(&mut held)).await.expect("it ends");
    assert_eq!(end.expect("an end of stream"), 0);
    let cuts = |seen: &Seen| {
        let seen = seen.lock().expect("no test panics here");
        seen.iter()
            .filter(|(_, happened)| matches!(happened, Happened::Fault(Event::Fired { fault: 0, .. })))
            .count()
    };
    assert_eq!(cuts(&seen), 1);
    proxy.shutdown().await;
    assert!(entrance.connect().is_err(), "nobody is behind the door");
}
