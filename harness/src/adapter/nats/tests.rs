//! The adapter against a server that a test plays, operation by operation.

use avouch_scenarios::scenario::Setting;
use proptest::prelude::*;

use super::*;
use crate::adapter::{Change, Outgoing};
use crate::payload;

const SALT: u32 = 7;
const RUN: u64 = 0xab;

struct Rig {
    adapter: Nats,
    now_ns: u64,
}

/// What the adapter did, in words.
fn words(effect: Effect) -> String {
    match effect {
        Effect::Connect => "connect".to_owned(),
        Effect::Disconnect => "disconnect".to_owned(),
        Effect::Fail(why) => why,
        Effect::Transmit(bytes) => {
            let operation = codec::take(&mut BytesMut::from(&bytes[..])).unwrap().unwrap();
            match operation {
                Operation::Publish(message) => {
                    let subject = String::from_utf8_lossy(&message.subject).into_owned();
                    let reply = message.reply.map(|it| format!(" → {}", String::from_utf8_lossy(&it)));
                    let verb = if message.headers.is_some() { "HPUB" } else { "PUB" };
                    format!("{verb} {subject}{}", reply.unwrap_or_default())
                }
                Operation::Subscribe { subject, .. } => format!("SUB {}", String::from_utf8_lossy(&subject)),
                Operation::Connect(_) => "CONNECT".to_owned(),
                other => format!("{other:?}").to_uppercase(),
            }
        }
        Effect::Saw(what) => {
            let message = match &what {
                What::Accepted { message, seq, .. } => {
                    format!(" m{}{}", message.0, seq.map_or_else(String::new, |seq| format!(" at {seq}")))
                }
                What::Retry { message, .. } | What::Unknown { message, .. } => format!(" m{}", message.0),
                What::Rejected { message, code, .. } => format!(" m{}: {code}", message.0),
                What::Delivered { message, seq, redelivered, .. }
                | What::Suppressed { message, seq, redelivered, .. } => {
                    let seq = seq.map_or_else(String::new, |seq| format!(" at {seq}"));
                    format!(
                        " m{}{seq}{}",
                        message.map_or(0, |it| it.0),
                        if *redelivered { " again" } else { "" }
                    )
                }
                What::Acknowledged { message, .. } => format!(" m{}", message.map_or(0, |it| it.0)),
                What::Session { session, .. } => format!(" {session:?}"),
                What::Note { text } => format!(" {text}"),
                _ => String::new(),
            };
            format!("{}{message}", what.kind())
        }
    }
}

fn text(text: &str) -> Setting {
    Setting::Text(text.to_owned())
}

const INFO: &str = "INFO {\"server_id\":\"S\",\"max_payload\":1024,\"headers\":true,\"jetstream\":true}\r\n";
const NOT_FOUND: &str =
    "{\"type\":\"t\",\"error\":{\"code\":404,\"err_code\":10059,\"description\":\"stream not found\"}}";
const NO_CONSUMER: &str =
    "{\"type\":\"t\",\"error\":{\"code\":404,\"err_code\":10014,\"description\":\"consumer not found\"}}";
const FINE: &str = "{\"type\":\"t\"}";
const NEXT: &str = "PUB $JS.API.CONSUMER.MSG.NEXT.avouch-00000000000000ab-c0.d0i0";

impl Rig {
    fn of(options: &[(&str, Setting)], device: u32, streams: &Rc<Streams>) -> Self {
        let options = options.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let identity = Identity {
            device,
            installation: 0,
            name: format!("d{device}"),
            run: RUN,
            salt: SALT,
            seed: 1,
            conversations: 2,
            subscribed: vec![0],
        };
        let adapter = Nats::new(Settings::read(&options).unwrap(), identity, streams.clone());
        Self { adapter, now_ns: 0 }
    }

    fn core() -> Self {
        Self::of(&[], 0, &Rc::default())
    }

    /// JetStream, with windows of one, so that little happens at a time.
    fn options(acks: &str) -> Vec<(&'static str, Setting)> {
        let layer = ("layer", text("jetstream"));
        vec![layer, ("acks", text(acks)), ("window", Setting::Count(1)), ("inflight", Setting::Count(2))]
    }

    /// What the adapter does about an input.
    fn on(&mut self, input: Input) -> Vec<String> {
        self.adapter.handle(self.now_ns, input);
        std::iter::from_fn(|| self.adapter.poll()).map(words).collect()
    }

    fn wish(&mut self, wish: Wish) -> Vec<String> {
        self.on(Input::Wish(wish))
    }

    fn hears(&mut self, bytes: &str) -> Vec<String> {
        self.on(Input::Received(Bytes::copy_from_slice(bytes.as_bytes())))
    }

    /// A message by the server itself, to the inbox.
    fn told(&mut self, answer: &str, payload: &str) -> Vec<String> {
        let subject = format!("{}.{answer}", self.adapter.inbox);
        self.hears(&format!("MSG {subject} 1 {}\r\n{payload}\r\n", payload.len()))
    }

    fn status(&mut self, answer: &str, status: u16) -> Vec<String> {
        let subject = format!("{}.{answer}", self.adapter.inbox);
        self.hears(&format!("HMSG {subject} 1 16 16\r\nNATS/1.0 {status}\r\n\r\n\r\n"))
    }

    fn send_bytes(&mut self, message: u64, bytes: u32) -> Vec<String> {
        let payload = payload::make(SALT, Message(message), bytes);
        let outgoing = Outgoing { conversation: 0, message: Message(message), payload, reply_to_seq: None };
        self.wish(Wish::Send(outgoing))
    }

    fn send(&mut self, message: u64) -> Vec<String> {
        self.send_bytes(message, 32)
    }

    /// A message from the server.
    fn publish(&mut self, message: u64, reply: Option<&str>) -> Vec<String> {
        let message = codec::Message {
            subject: self.adapter.identity.subject(0).into(),
            reply: reply.map(|reply| reply.to_owned().into()),
            headers: None,
            payload: payload::make(SALT, Message(message), 32),
        };
        let sid = Bytes::from_static(b"1");
        self.on(Input::Received(codec::encode(&Operation::Message { sid, message })))
    }

    /// A message of a stream, at the position of its number.
    fn deliver(&mut self, message: u64, count: u64) -> Vec<String> {
        let reply =
            format!("$JS.ACK.avouch-00000000000000ab-c0.d0i0.{count}.{message}.9.1626818873482533000.0");
        self.publish(message, Some(&reply))
    }

    fn take(&mut self) -> Vec<String> {
        self.wish(Wish::Consumed(1))
    }

    /// At the moment that was asked for.
    fn at_timeout(&mut self) -> Vec<String> {
        self.now_ns = self.adapter.next_timeout_ns().expect("a timeout is wanted");
        self.on(Input::Timeout)
    }

    /// Up to the PONG of a connection.
    fn greet(&mut self) -> Vec<String> {
        self.on(Input::Connected);
        self.hears(INFO);
        self.hears("PONG\r\n")
    }

    /// Up to the first session.
    fn start(acks: &str) -> Self {
        let mut rig = Self::of(&Self::options(acks), 0, &Rc::default());
        rig.wish(Wish::Connect);
        rig.greet();
        rig.told("r.1", NOT_FOUND);
        rig.told("r.2", FINE);
        let first = format!("{NEXT} → _INBOX.d0.1.m.0");
        assert_eq!(rig.told("r.3", FINE), ["session New".to_owned(), first, "PING".to_owned()]);
        assert!(!rig.adapter.is_idle(), "who knows what the server has read");
        rig.hears("PONG\r\n");
        assert!(rig.adapter.is_idle());
        rig
    }

    /// The connection ends, and another is made in which the consumer is still there.
    fn again(&mut self) -> Vec<String> {
        assert_eq!(self.on(Input::Disconnected), ["disconnected"]);
        assert_eq!(self.at_timeout(), ["connect"]);
        let asked = self.greet();
        assert!(asked[0].starts_with("PUB $JS.API.CONSUMER.INFO."), "{asked:?}");
        let request = self.adapter.requests;
        let told = self.told(&format!("r.{request}"), FINE);
        self.hears("PONG\r\n");
        told
    }
}

#[test]
fn core_begins_when_its_subscriptions_are_read_and_accepts_what_is_written() {
    let mut rig = Rig::core();
    assert_eq!(rig.wish(Wish::Connect), ["connect"]);
    assert_eq!(rig.on(Input::Connected), [""; 0], "the server speaks first");
    assert_eq!(rig.hears(&INFO[..9]), [""; 0]);
    assert_eq!(rig.hears(&INFO[9..]), ["CONNECT", "SUB avouch.00000000000000ab.c0", "PING"]);
    assert!(!rig.adapter.is_idle());
    assert_eq!(rig.hears("PONG\r\n"), ["session New"]);
    assert!(rig.adapter.is_idle());
    assert_eq!(rig.send(1), ["PUB avouch.00000000000000ab.c0", "accepted m1"]);
    assert_eq!(rig.publish(1, None), ["delivered m1"]);
    assert_eq!(rig.take(), [""; 0], "nothing is acknowledged");
    let change = Change { conversation: 0, message: Message(9), added: vec![], removed: vec![] };
    assert_eq!(rig.wish(Wish::ChangeMembers(change)), ["accepted m9"]);
    rig.on(Input::Disconnected);
    assert_eq!(rig.send(2), [""; 0]);
    rig.at_timeout();
    assert_eq!(rig.greet(), ["session New", "PUB avouch.00000000000000ab.c0", "accepted m2"]);
}

#[test]
fn what_is_larger_than_the_server_takes_is_refused_here() {
    let mut rig = Rig::core();
    rig.wish(Wish::Connect);
    rig.greet();
    assert_eq!(rig.send_bytes(1, 1025), ["rejected m1: larger than the server's max_payload of 1024 bytes"]);
    assert_eq!(rig.send_bytes(2, 1024).len(), 2);
}

#[test]
fn a_stream_is_made_by_one_device_and_waited_for_by_the_others() {
    let streams = Rc::default();
    let mut first = Rig::of(&Rig::options("simple"), 0, &streams);
    let mut second = Rig::of(&Rig::options("simple"), 1, &streams);
    let change = Change { conversation: 0, message: Message(9), added: vec![], removed: vec![] };
    assert_eq!(second.wish(Wish::ChangeMembers(change)), [""; 0]);
    for rig in [&mut first, &mut second] {
        rig.wish(Wish::Connect);
        rig.on(Input::Connected);
        assert_eq!(rig.hears(INFO)[0], "CONNECT");
    }
    let stream = "avouch-00000000000000ab-c0";
    let wipe = format!("PUB $JS.API.STREAM.DELETE.{stream} → _INBOX.d0.1.r.1");
    assert_eq!(first.hears("PONG\r\n"), [wipe], "what an earlier run left goes first");
    assert_eq!(second.hears("PONG\r\n"), [""; 0]);
    assert_eq!(second.at_timeout(), [""; 0], "it is not made yet");
    let make = format!("PUB $JS.API.STREAM.CREATE.{stream} → _INBOX.d0.1.r.2");
    assert_eq!(first.told("r.1", FINE), [make]);
    let consume = format!("PUB $JS.API.CONSUMER.DURABLE.CREATE.{stream}.d0i0 → _INBOX.d0.1.r.3");
    assert_eq!(first.told("r.2", FINE), [consume]);
    let consume = format!("PUB $JS.API.CONSUMER.DURABLE.CREATE.{stream}.d1i0 → _INBOX.d1.1.r.1");
    assert_eq!(second.at_timeout(), [consume, "accepted m9".to_owned()]);
    assert_eq!(second.told("r.1", FINE)[0], "session New");
}

#[test]
fn who_cannot_go_on_with_a_stream_leaves_it_to_the_next() {
    let streams = Rc::default();
    let mut first = Rig::of(&Rig::options("simple"), 0, &streams);
    let mut second = Rig::of(&Rig::options("simple"), 1, &streams);
    for rig in [&mut first, &mut second] {
        rig.wish(Wish::Connect);
        rig.greet();
    }
    first.on(Input::Disconnected);
    assert!(second.at_timeout()[0].starts_with("PUB $JS.API.STREAM.DELETE."));
}

#[test]
fn a_message_is_accepted_at_its_position_and_repeated_with_the_same_id() {
    let mut rig = Rig::start("simple");
    let publish = |number: u64, connection: u64| {
        format!("HPUB avouch.00000000000000ab.c0 → _INBOX.d0.{connection}.p.{number}")
    };
    assert_eq!(rig.send(1), [publish(1, 1)]);
    assert_eq!(rig.send(2), [publish(2, 1)]);
    assert_eq!(rig.send(3), [""; 0], "two are in flight");
    let answered = rig.told("p.2", "{\"stream\":\"s\", \"seq\":2}");
    assert_eq!(answered, ["accepted m2 at 2".to_owned(), publish(3, 1)]);
    let repeated = rig.again();
    assert_eq!(repeated[..3], ["session Resumed", "retry m1", "retry m3"]);
    assert_eq!(repeated[3..5], [publish(1, 2), publish(3, 2)]);
    assert_eq!(rig.told("p.1", "{\"stream\":\"s\", \"seq\":1,\"duplicate\": true}"), ["accepted m1 at 1"]);
    assert_eq!(rig.told("p.1", "{\"stream\":\"s\", \"seq\":1}"), [""; 0], "nobody asks any more");
    // Nobody answers, and then somebody who cannot now.
    rig.now_ns += 2_000_000_000;
    assert!(rig.on(Input::Timeout).contains(&publish(3, 2)));
    let busy = "{\"error\":{\"code\":503,\"err_code\":10008,\"description\":\"unavailable\"},\"stream\":\"s\",\"seq\":0}";
    assert_eq!(rig.told("p.3", busy), ["note the server could not store a message: unavailable (10008)"]);
    assert!(!rig.adapter.is_idle());
    let full =
        "{\"error\":{\"code\":400,\"err_code\":10077,\"description\":\"full\"},\"stream\":\"s\",\"seq\":0}";
    assert_eq!(rig.told("p.3", full), ["rejected m3: 10077 full"]);
    rig.send(4);
    rig.wish(Wish::GiveUp(Message(4)));
    assert_eq!(rig.told("p.4", "{\"stream\":\"s\", \"seq\":4}"), [""; 0]);
    rig.hears("PONG\r\n");
    assert!(rig.adapter.is_idle());
}

#[test]
fn a_message_is_acknowledged_when_the_application_took_it_and_then_the_next_is_asked_for() {
    let mut rig = Rig::start("simple");
    assert_eq!(rig.deliver(1, 1), ["delivered m1 at 1"]);
    assert!(!rig.adapter.is_idle());
    let taken = rig.take();
    assert!(taken[0].starts_with("PUB $JS.ACK.") && !taken[0].contains('→'), "{taken:?}");
    assert_eq!(taken[1..], ["acknowledged m1".to_owned(), format!("{NEXT} → _INBOX.d0.1.m.0")]);
    assert!(rig.adapter.is_idle());
    // Taken while nobody is there: it has to come again.
    rig.deliver(2, 1);
    rig.on(Input::Disconnected);
    assert_eq!(rig.take(), [""; 0]);
    rig.at_timeout();
    rig.greet();
    let request = rig.adapter.requests;
    rig.told(&format!("r.{request}"), FINE);
    rig.hears("PONG\r\n");
    assert!(!rig.adapter.is_idle(), "it waits for the copy");
    assert_eq!(rig.deliver(2, 2), ["delivered m2 at 2 again"]);
    assert_eq!(rig.take()[1], "acknowledged m2");
    assert!(rig.adapter.is_idle());
}

#[test]
fn a_count_that_is_less_than_what_was_seen_is_no_mark() {
    let mut rig = Rig::start("simple");
    assert_eq!(rig.deliver(1, 1), ["delivered m1 at 1"]);
    assert_eq!(rig.deliver(1, 2), ["delivered m1 at 1 again"]);
    assert_eq!(rig.deliver(1, 2), ["delivered m1 at 1"], "the third, counted as the second");
    assert_eq!(rig.deliver(2, 2), ["delivered m2 at 2 again"], "the first may have been lost");
    assert_eq!(rig.deliver(3, 1), ["delivered m3 at 3"]);
    assert_eq!(rig.deliver(3, 1), ["delivered m3 at 3"]);
}

#[test]
fn a_confirmed_ack_is_given_until_it_is_confirmed() {
    let mut rig = Rig::start("confirmed");
    rig.deliver(1, 1);
    let taken = rig.take();
    assert!(taken[0].ends_with(" → _INBOX.d0.1.a.0.1"), "{taken:?}");
    assert!(!rig.adapter.is_idle());
    let copy = rig.deliver(1, 2);
    assert!(
        copy[0].starts_with("PUB $JS.ACK.") && copy[0].contains(".d0i0.2.1."),
        "the newest one: {copy:?}"
    );
    assert_eq!(copy[1..3], ["suppressed m1 at 1 again", "acknowledged m1"]);
    let again = rig.again();
    assert_eq!(again[0], "session Resumed");
    assert!(again[1].ends_with(" → _INBOX.d0.2.a.0.1"), "{again:?}");
    assert_eq!(rig.told("a.0.1", ""), [""; 0]);
    assert!(rig.adapter.is_idle());
    assert_eq!(rig.deliver(1, 3), ["delivered m1 at 1 again"], "which should not have happened");
}

#[test]
fn a_hole_is_waited_for_but_not_for_ever() {
    let mut rig = Rig::start("simple");
    rig.deliver(1, 1);
    rig.take();
    rig.deliver(3, 1);
    rig.take();
    assert!(!rig.adapter.is_idle(), "the second was sent to a connection that is over");
    rig.deliver(2, 2);
    rig.take();
    assert!(rig.adapter.is_idle());
    rig.deliver(5, 1);
    rig.take();
    rig.now_ns += 9_999_999_999;
    rig.hears("PONG\r\n");
    assert!(!rig.adapter.is_idle());
    rig.now_ns += 1;
    rig.hears("PONG\r\n");
    assert!(rig.adapter.is_idle(), "it never comes, and the checkers will say so");
}

#[test]
fn a_consumer_that_is_gone_is_a_new_session() {
    let mut rig = Rig::start("confirmed");
    rig.deliver(1, 1);
    rig.on(Input::Disconnected);
    rig.at_timeout();
    rig.greet();
    assert!(rig.told("r.4", NO_CONSUMER)[0].starts_with("PUB $JS.API.CONSUMER.DURABLE.CREATE."));
    assert_eq!(rig.told("r.5", FINE)[0], "session New");
    assert_eq!(rig.take().len(), 1, "its delivery is none of the new consumer's: only the next is asked for");
    assert_eq!(rig.deliver(1, 1), ["delivered m1 at 1"]);
    // The whole stream is gone.
    rig.on(Input::Disconnected);
    rig.at_timeout();
    rig.greet();
    assert!(rig.told("r.6", NOT_FOUND)[0].starts_with("PUB $JS.API.STREAM.CREATE."));
}

#[test]
fn a_request_that_lapses_is_made_again_and_one_that_is_refused_after_a_while() {
    let mut rig = Rig::start("simple");
    let next = format!("{NEXT} → _INBOX.d0.1.m.0");
    assert_eq!(rig.status("m.0", 408), std::slice::from_ref(&next));
    let refused = rig.status("m.0", 409);
    assert_eq!(refused, ["note the server refused a request for a message: 409"]);
    assert_eq!(rig.at_timeout(), std::slice::from_ref(&next));
    assert_eq!(rig.now_ns, 200_000_000);
    // Not even a status: the request is made again when it must have lapsed.
    let mut did = Vec::new();
    while !did.contains(&next) {
        did = rig.at_timeout();
        rig.hears("PONG\r\n");
        assert!(rig.now_ns < 10_000_000_000);
    }
    let gone = rig.status("m.0", 503);
    assert_eq!(gone.last().map(String::as_str), Some("disconnected"), "{gone:?}");
}

#[test]
fn a_silent_server_is_asked_and_then_left() {
    let mut rig = Rig::core();
    rig.wish(Wish::Connect);
    rig.greet();
    assert_eq!(rig.hears("PING\r\n"), ["PONG"]);
    assert_eq!(rig.at_timeout(), ["PING"]);
    assert_eq!(rig.hears("PONG\r\n"), [""; 0]);
    assert_eq!(rig.at_timeout(), ["PING"]);
    let asked_ns = rig.now_ns;
    let mut did = Vec::new();
    while did.is_empty() || did == ["PING"] {
        did = rig.at_timeout();
    }
    assert_eq!(did, ["disconnect", "disconnected"]);
    assert!(rig.now_ns - asked_ns <= ANSWER_NS_MAX);
    assert_eq!(rig.at_timeout(), ["connect"]);
}

#[test]
fn who_leaves_stays_away() {
    let mut rig = Rig::core();
    rig.wish(Wish::Connect);
    rig.greet();
    assert_eq!(rig.wish(Wish::Disconnect), ["disconnect", "disconnected"]);
    assert_eq!(rig.adapter.next_timeout_ns(), None);
    assert_eq!(rig.wish(Wish::Connect), ["connect"]);
    assert_eq!(rig.wish(Wish::Connect), [""; 0]);
}

#[test]
fn what_the_server_lacks_or_refuses_is_told_once_and_tried_again_later() {
    for (info, words) in [
        ("INFO {\"max_payload\":9,\"headers\":true}\r\n", "note the server has no JetStream"),
        ("INFO {\"tls_required\":true}\r\n", "note the server wants TLS"),
        ("INFO nonsense\r\n", "note the server's INFO is no JSON"),
        ("HTTP/1.1 400 Bad Request\r\n", "note the server sent what is not NATS"),
    ] {
        let mut rig = Rig::of(&Rig::options("simple"), 0, &Rc::default());
        rig.wish(Wish::Connect);
        rig.on(Input::Connected);
        let told = rig.hears(info);
        assert!(told[0].starts_with(words) && told[1] == "disconnect", "{told:?}");
        assert_eq!(rig.at_timeout(), ["connect"]);
        rig.on(Input::Connected);
        assert_eq!(rig.hears(info), ["disconnect"]);
    }
    let mut rig = Rig::core();
    rig.wish(Wish::Connect);
    rig.on(Input::Connected);
    rig.hears(INFO);
    let told = rig.hears("-ERR 'Authorization\u{1b}[31m Violation'\r\n");
    assert_eq!(told, ["note the server said -ERR 'Authorization [31m Violation'"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn whatever_a_server_sends_the_adapter_answers_and_goes_on(
        noise in proptest::collection::vec(any::<u8>(), 0..200), lines in proptest::collection::vec(0_usize..10, 0..30),
        chunk in 1_usize..30, layer in 0_usize..3,
    ) {
        let options = [vec![], Rig::options("simple"), Rig::options("confirmed")];
        let mut rig = Rig::of(&options[layer], 0, &Rc::default());
        rig.wish(Wish::Connect);
        rig.send(1);
        rig.on(Input::Connected);
        let said = [
            INFO, "PONG\r\n", "PING\r\n", "+OK\r\n", "MSG _INBOX.d0.1.r.1 1 2\r\n{}\r\n", "MSG _INBOX.d0.1.r.2 1 2\r\n{}\r\n",
            "MSG _INBOX.d0.1.p.1 1 9\r\n{\"seq\":1}\r\n", "MSG _INBOX.d0.1.a.0.1 1 0\r\n\r\n",
            "MSG avouch.00000000000000ab.c0 1 $JS.ACK.avouch-00000000000000ab-c0.d0i0.1.1.1.1.1 1\r\nx\r\n",
            "HMSG _INBOX.d0.1.m.0 1 16 16\r\nNATS/1.0 408\r\n\r\n\r\n",
        ];
        let mut stream: Vec<u8> = lines.iter().flat_map(|line| said[*line].bytes()).collect();
        stream.extend(&noise);
        let mut effects = 0;
        for part in stream.chunks(chunk) {
            effects += rig.on(Input::Received(Bytes::copy_from_slice(part))).len();
            effects += rig.take().len();
        }
        prop_assert!(effects <= 4 * stream.len() + 4);
        rig.on(Input::Disconnected);
        prop_assert!(rig.adapter.next_timeout_ns().is_some(), "it comes back");
    }
}
