//! The shell between a puppet of an adapter and a WebSocket server in memory, on a paused clock.

use std::cell::RefCell;
use std::collections::VecDeque;

use futures_util::{SinkExt, StreamExt};
use tokio::io::DuplexStream;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::LocalSet;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, accept_async};

use super::*;
use crate::adapter::{Adapter, Input, Wish};
use crate::device::{Habits, Order};

/// What a connection of the puppets' server is.
type Served = WebSocketStream<DuplexStream>;

/// Does what the test says, and tells what it heard.
struct Puppet {
    heard: UnboundedSender<String>,
    says: Rc<RefCell<VecDeque<Effect>>>,
}

impl Adapter for Puppet {
    fn handle(&mut self, _now_ns: u64, input: Input) {
        let words = match input {
            Input::Connected => "connected".to_owned(),
            Input::Disconnected => "disconnected".to_owned(),
            Input::Received(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Input::Timeout => "timeout".to_owned(),
            Input::Wish(Wish::Connect) => "wish".to_owned(),
            Input::Wish(_) => return,
        };
        // The test may have seen enough.
        let _ = self.heard.send(words);
    }

    fn poll(&mut self) -> Option<Effect> {
        self.says.borrow_mut().pop_front()
    }

    fn next_timeout_ns(&self) -> Option<u64> {
        None
    }

    fn is_idle(&self) -> bool {
        true
    }
}

/// Hands the far end of each connection to the test; where nobody is, connecting takes for ever.
struct Dialled {
    far_ends: UnboundedSender<DuplexStream>,
    is_reachable: bool,
}

impl Connector for Dialled {
    type Stream = DuplexStream;

    fn connect(&self) -> Pin<Box<dyn Future<Output = io::Result<Self::Stream>>>> {
        if !self.is_reachable {
            return Box::pin(std::future::pending());
        }
        let (near, far) = tokio::io::duplex(1024);
        let handed = self.far_ends.send(far).map_err(io::Error::other);
        Box::pin(async move { handed.map(|()| near) })
    }
}

/// A running shell, and both of its neighbours.
struct Scene {
    handle: Handle,
    heard: UnboundedReceiver<String>,
    far_ends: UnboundedReceiver<DuplexStream>,
    says: Rc<RefCell<VecDeque<Effect>>>,
}

impl Scene {
    fn start(is_reachable: bool) -> Self {
        Self::start_on(Carrier::WebSocket, is_reachable)
    }

    fn start_on(carrier: Carrier, is_reachable: bool) -> Self {
        let ((heard_sender, heard), (far_sender, far_ends)) = (unbounded_channel(), unbounded_channel());
        let says = Rc::<RefCell<VecDeque<Effect>>>::default();
        let said = says.clone();
        let habits = Habits { number: 0, salt: 0, consume_ns: 0, reads_after_ns: None, give_up_ns: None };
        let install: crate::device::Install =
            Box::new(move |_| Box::new(Puppet { heard: heard_sender.clone(), says: said.clone() }));
        let began = Instant::now();
        let clock: Clock = Rc::new(move || began.elapsed().as_nanos() as u64);
        let connector = Dialled { far_ends: far_sender, is_reachable };
        let recorder = Recorder::new(Box::new(|_| Ok(())));
        let device = Device::new(habits, install);
        let (shell, handle) = Shell::new(device, (carrier, connector), recorder, clock);
        tokio::task::spawn_local(shell.run());
        Self { handle, heard, far_ends, says }
    }

    /// The adapter wants this done.
    fn say(&self, effects: impl IntoIterator<Item = Effect>) {
        self.says.borrow_mut().extend(effects);
        self.handle
            .post(Letter::Order(Order::Do { intended_ns: 0, what: avouch_scenarios::plan::Do::Connect }));
    }

    /// What the adapter hears next, apart from the wishes by which it is woken.
    async fn hears(&mut self) -> String {
        loop {
            let words = self.heard.recv().await.expect("the shell lives");
            if words != "wish" {
                return words;
            }
        }
    }

    /// The adapter connects; the server's end of it.
    async fn connect(&mut self) -> Served {
        self.say([Effect::Connect]);
        self.accept().await
    }

    async fn accept(&mut self) -> Served {
        let far = self.far_ends.recv().await.expect("the shell dials");
        let served = accept_async(far).await.expect("the shell speaks WebSocket");
        assert_eq!(self.hears().await, "connected");
        served
    }
}

fn play<F: Future<Output = ()>>(scene: impl FnOnce() -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    LocalSet::new().block_on(&runtime.expect("a runtime without input and output"), async { scene().await });
}

fn frame(text: &str) -> Effect {
    Effect::Transmit(Bytes::copy_from_slice(text.as_bytes()))
}

async fn next_text(served: &mut Served) -> Option<String> {
    match served.next().await? {
        Ok(Message::Binary(bytes)) => Some(String::from_utf8_lossy(&bytes).into_owned()),
        Ok(Message::Close(_)) => Some("close".to_owned()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn frames_pass_both_ways_in_order() {
    play(|| async {
        let mut scene = Scene::start(true);
        let mut served = scene.connect().await;
        scene.say(["one", "two", "three"].map(frame));
        for text in ["one", "two", "three"] {
            assert_eq!(next_text(&mut served).await.as_deref(), Some(text));
        }
        for text in ["four", "five"] {
            served.send(Message::binary(text)).await.expect("the shell reads");
        }
        assert_eq!([scene.hears().await, scene.hears().await], ["four", "five"]);
    });
}

#[test]
fn more_than_the_transport_takes_at_once_waits_and_arrives_in_order() {
    play(|| async {
        let mut scene = Scene::start(true);
        let mut served = scene.connect().await;
        let texts: Vec<String> = (0..500).map(|number| format!("frame {number}")).collect();
        scene.say(texts.iter().map(|text| frame(text)));
        for text in &texts {
            assert_eq!(next_text(&mut served).await.as_ref(), Some(text));
        }
    });
}

#[test]
fn a_transport_that_takes_nothing_counts_as_broken_at_the_limit() {
    play(|| async {
        let mut scene = Scene::start(true);
        let _served = scene.connect().await;
        // One more than may wait, none of which fits into the stream's buffer.
        scene.say((0..=OUTGOING_FRAMES_MAX).map(|_| frame("x")));
        assert_eq!(scene.hears().await, "disconnected");
    });
}

#[test]
fn an_end_of_the_connection_is_heard() {
    play(|| async {
        let mut scene = Scene::start(true);
        let served = scene.connect().await;
        drop(served);
        assert_eq!(scene.hears().await, "disconnected");
        let mut served = scene.connect().await;
        served.close(None).await.expect("the shell reads");
        assert_eq!(scene.hears().await, "disconnected");
    });
}

#[test]
fn a_connection_that_does_not_come_up_is_given_up_in_time() {
    play(|| async {
        let began = Instant::now();
        let mut scene = Scene::start(false);
        scene.say([Effect::Connect]);
        assert_eq!(scene.hears().await, "disconnected");
        assert_eq!(began.elapsed(), Duration::from_nanos(CONNECT_NS_MAX));

        let mut scene = Scene::start(true);
        scene.say([Effect::Connect]);
        let _silent = scene.far_ends.recv().await.expect("the shell dials");
        assert_eq!(scene.hears().await, "disconnected", "a handshake has to come up in time, too");
    });
}

#[test]
fn who_leaves_politely_sends_the_last_words_first() {
    play(|| async {
        let mut scene = Scene::start(true);
        let mut served = scene.connect().await;
        scene.say([frame("last"), frame("words"), Effect::Disconnect]);
        for text in ["last", "words", "close"] {
            assert_eq!(next_text(&mut served).await.as_deref(), Some(text));
        }
    });
}

#[test]
fn a_takeover_leaves_the_old_connection_open_and_counts_its_end_by_the_server() {
    play(|| async {
        let mut scene = Scene::start(true);
        let mut old = scene.connect().await;
        scene.handle.post(Letter::TakeOver);
        assert_eq!(scene.hears().await, "disconnected");
        let mut new = scene.connect().await;
        assert_eq!(scene.handle.takeovers(), 0);
        scene.say([frame("hello")]);
        assert_eq!(next_text(&mut new).await.as_deref(), Some("hello"));
        old.send(Message::binary("nobody listens")).await.expect("it is still open");
        old.close(None).await.expect("it is still open");
        new.send(Message::binary("later")).await.expect("the shell reads");
        assert_eq!(scene.hears().await, "later", "what the old connection says is nobody's");
        assert_eq!(scene.handle.takeovers(), 1);
    });
}

#[test]
fn a_takeover_while_the_connection_is_being_made_changes_nothing() {
    play(|| async {
        let mut scene = Scene::start(true);
        scene.say([Effect::Connect]);
        let far_end = scene.far_ends.recv().await.expect("the shell dials");
        scene.handle.post(Letter::TakeOver);
        tokio::task::yield_now().await;
        let _served = accept_async(far_end).await.expect("the shell shakes hands");
        assert_eq!(
            scene.hears().await,
            "connected",
            "else the device would wait for its own patience to end"
        );
    });
}

#[test]
fn a_shell_without_a_conductor_ends() {
    play(|| async {
        let mut scene = Scene::start(true);
        let mut served = scene.connect().await;
        let Scene { handle, .. } = scene;
        drop(handle);
        assert!(matches!(served.next().await, None | Some(Err(_))), "its connection went with it");
    });
}

#[test]
fn bytes_pass_both_ways_in_order_however_they_are_cut() {
    play(|| async {
        let mut scene = Scene::start_on(Carrier::Bytes, true);
        scene.say([Effect::Connect]);
        let mut served = scene.far_ends.recv().await.expect("the shell dials");
        assert_eq!(scene.hears().await, "connected");
        let texts: Vec<String> = (0..500).map(|number| format!("frame {number};")).collect();
        scene.say(texts.iter().map(|text| frame(text)));
        let wanted = texts.concat();
        let mut got = vec![0; wanted.len()];
        served.read_exact(&mut got).await.expect("the shell writes");
        assert_eq!(String::from_utf8_lossy(&got), wanted);

        let sent = "x".repeat(5_000);
        served.write_all(sent.as_bytes()).await.expect("the shell reads");
        let mut heard = String::new();
        while heard.len() < sent.len() {
            heard += &scene.hears().await;
        }
        assert_eq!(heard, sent);
        drop(served);
        assert_eq!(scene.hears().await, "disconnected");
    });
}

#[test]
fn who_leaves_a_byte_stream_sends_the_last_words_first_and_then_its_end() {
    play(|| async {
        let mut scene = Scene::start_on(Carrier::Bytes, true);
        scene.say([Effect::Connect]);
        let mut served = scene.far_ends.recv().await.expect("the shell dials");
        assert_eq!(scene.hears().await, "connected");
        served.write_all(b"on the way").await.expect("it is open");
        scene.say([frame("last"), frame("words"), Effect::Disconnect]);
        let mut got = String::new();
        served.read_to_string(&mut got).await.expect("it ends politely");
        assert_eq!(got, "lastwords");
    });
}
