//! The adapter against a server that a test plays, packet by packet.

use avouch_reports::history::Message;
use avouch_scenarios::scenario::Setting;
use proptest::prelude::*;

use super::*;
use crate::adapter::{Change, Outgoing};
use crate::payload;

const SALT: u32 = 7;
const TOPIC: &str = "avouch/c0";

struct Rig {
    adapter: Mqtt,
    now_ns: u64,
}

/// What the adapter did, in words.
fn words(effect: Effect) -> String {
    match effect {
        Effect::Connect => "connect".to_owned(),
        Effect::Disconnect => "disconnect".to_owned(),
        Effect::Fail(why) => why,
        Effect::Transmit(bytes) => {
            let kind = kind_name(bytes[0]).unwrap_or("?");
            match bytes[0] >> 4 {
                1 => format!("{kind} clean={}", bytes[9] >> 1 & 1),
                3 => format!("{kind} qos={} dup={}", bytes[0] >> 1 & 3, bytes[0] >> 3 & 1),
                4..=7 => format!("{kind} {}", u16::from_be_bytes([bytes[2], bytes[3]])),
                _ => kind.to_owned(),
            }
        }
        Effect::Saw(what) => {
            let message = match &what {
                What::Accepted { message, .. }
                | What::Retry { message, .. }
                | What::Unknown { message, .. } => {
                    format!(" m{}", message.0)
                }
                What::Delivered { message, redelivered, .. }
                | What::Suppressed { message, redelivered, .. } => {
                    format!(" m{}{}", message.map_or(0, |it| it.0), if *redelivered { " again" } else { "" })
                }
                What::Session { session, .. } => format!(" {session:?}"),
                What::Note { text } => format!(" {text}"),
                _ => String::new(),
            };
            format!("{}{message}", what.kind())
        }
    }
}

impl Rig {
    fn new(options: &[(&str, Setting)]) -> Self {
        let options = options.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let identity = Identity {
            device: 0,
            client_id: "d0".to_owned(),
            salt: SALT,
            seed: 1,
            topics: vec![TOPIC.to_owned(), "avouch/c1".to_owned()],
            subscribed: vec![0],
        };
        Self { adapter: Mqtt::new(Settings::read(&options).unwrap(), identity), now_ns: 0 }
    }

    /// What the adapter does about an input.
    fn on(&mut self, input: Input) -> Vec<String> {
        self.adapter.handle(self.now_ns, input);
        std::iter::from_fn(|| self.adapter.poll()).map(words).collect()
    }

    fn wish(&mut self, wish: Wish) -> Vec<String> {
        self.on(Input::Wish(wish))
    }

    fn hears(&mut self, bytes: &[u8]) -> Vec<String> {
        self.on(Input::Received(Bytes::copy_from_slice(bytes)))
    }

    fn send(&mut self, message: u64) -> Vec<String> {
        let payload = payload::make(SALT, Message(message), 32);
        let outgoing = Outgoing { conversation: 0, message: Message(message), payload, reply_to_seq: None };
        self.wish(Wish::Send(outgoing))
    }

    /// A message from the server.
    fn publish(&mut self, message: u64, qos: Qos, id: u16, dup: bool) -> Vec<String> {
        let payload = payload::make(SALT, Message(message), 32);
        let publish = codec::Publish { dup, qos, retain: false, topic: TOPIC.into(), id, payload };
        let bytes = codec::publish_packet(self.adapter.settings.version, &publish);
        self.on(Input::Received(bytes))
    }

    /// At the moment that was asked for.
    fn at_timeout(&mut self) -> Vec<String> {
        self.now_ns = self.adapter.next_timeout_ns().expect("a timeout is wanted");
        self.on(Input::Timeout)
    }

    /// Up to the first session.
    fn start(options: &[(&str, Setting)]) -> Self {
        let mut rig = Self::new(options);
        rig.wish(Wish::Connect);
        if rig.on(Input::Connected) == ["CONNECT clean=1"] && rig.adapter.settings.is_persistent {
            rig.hears(&CONNACK);
            rig.on(Input::Connected);
        }
        rig.hears(&CONNACK);
        assert_eq!(rig.hears(&SUBACK_2), ["session New"]);
        rig
    }

    /// The connection ends and another is made.
    fn again(&mut self, connack: &[u8]) -> Vec<String> {
        assert_eq!(self.on(Input::Disconnected), ["disconnected"]);
        assert_eq!(self.at_timeout(), ["connect"]);
        self.on(Input::Connected);
        self.hears(connack)
    }
}

const CONNACK: [u8; 4] = [0x20, 2, 0, 0];
const CONNACK_PRESENT: [u8; 4] = [0x20, 2, 1, 0];
const SUBACK_2: [u8; 5] = [0x90, 3, 0, 1, 2];

fn qos(qos: i64) -> (&'static str, Setting) {
    ("qos", Setting::Count(qos))
}

#[test]
fn a_session_begins_when_its_subscriptions_are_confirmed() {
    let mut rig = Rig::new(&[]);
    assert_eq!(rig.wish(Wish::Connect), ["connect"]);
    assert_eq!(rig.on(Input::Connected), ["CONNECT clean=1"], "what an earlier run left goes first");
    assert_eq!(rig.hears(&CONNACK), ["DISCONNECT", "disconnect", "connect"]);
    assert_eq!(rig.on(Input::Connected), ["CONNECT clean=0"]);
    assert_eq!(rig.hears(&CONNACK), ["SUBSCRIBE"]);
    assert!(!rig.adapter.is_idle());
    assert_eq!(rig.hears(&SUBACK_2[..2]), [""; 0]);
    assert_eq!(rig.hears(&SUBACK_2[2..]), ["session New"]);
    assert!(rig.adapter.is_idle());
    assert_eq!(rig.again(&CONNACK_PRESENT), ["session Resumed"], "the server knows the subscriptions");
    let change = Change { conversation: 0, message: Message(1), added: vec![], removed: vec![] };
    assert_eq!(rig.wish(Wish::ChangeMembers(change)), ["accepted m1"]);
}

#[test]
fn who_never_subscribed_does_so_whatever_the_server_says() {
    let mut rig = Rig::new(&[]);
    rig.wish(Wish::Connect);
    rig.on(Input::Connected);
    rig.hears(&CONNACK);
    rig.on(Input::Connected);
    let told = rig.hears(&CONNACK_PRESENT);
    assert!(
        told[0].starts_with("note the server says that it has a session which its client had wiped"),
        "{told:?}"
    );
    assert_eq!(told[1..], ["SUBSCRIBE"]);
    // The connection ends before the answer: nobody knows whether the subscription was made.
    rig.on(Input::Disconnected);
    assert_eq!(rig.at_timeout(), ["connect"]);
    rig.on(Input::Connected);
    assert_eq!(rig.hears(&CONNACK_PRESENT), ["SUBSCRIBE"]);
    assert_eq!(rig.hears(&SUBACK_2), ["session New"]);
    assert_eq!(rig.again(&CONNACK_PRESENT), ["session Resumed"]);
}

#[test]
fn a_session_of_version_5_begins_clean_at_once() {
    let mut rig = Rig::new(&[("version", Setting::Text("5.0".to_owned()))]);
    rig.wish(Wish::Connect);
    assert_eq!(rig.on(Input::Connected), ["CONNECT clean=1"]);
    assert_eq!(rig.hears(&[0x20, 6, 0, 0, 3, 0x21, 0, 1]), ["SUBSCRIBE"]);
    assert_eq!(rig.hears(&[0x90, 4, 0, 1, 0, 1]), ["session New"]);
    assert_eq!(rig.send(1), ["PUBLISH qos=1 dup=0"]);
    assert_eq!(rig.send(2), [""; 0], "the server takes one at a time");
    assert_eq!(rig.hears(&[0x40, 2, 0, 1]), ["accepted m1", "PUBLISH qos=1 dup=0"]);
    assert_eq!(rig.hears(&[0x40, 3, 0, 2, 0x97]), ["rejected"]);
    assert_eq!(rig.again(&[0x20, 3, 1, 0, 0]), ["session Resumed"]);
}

#[test]
fn qos_0_is_accepted_when_it_is_written() {
    let mut rig = Rig::start(&[qos(0)]);
    assert_eq!(rig.send(1), ["PUBLISH qos=0 dup=0", "accepted m1"]);
    rig.on(Input::Disconnected);
    assert_eq!(rig.send(2), [""; 0]);
    rig.at_timeout();
    rig.on(Input::Connected);
    assert_eq!(rig.hears(&CONNACK_PRESENT), ["session Resumed", "PUBLISH qos=0 dup=0", "accepted m2"]);
}

#[test]
fn qos_1_is_sent_again_only_in_the_next_connection_and_marked() {
    let mut rig = Rig::start(&[qos(1)]);
    assert_eq!(rig.send(1), ["PUBLISH qos=1 dup=0"]);
    assert_eq!(rig.send(2), ["PUBLISH qos=1 dup=0"]);
    assert_eq!(rig.hears(&[0x40, 2, 0, 2]), ["accepted m2"]);
    assert!(!rig.adapter.is_idle());
    assert_eq!(rig.again(&CONNACK_PRESENT), ["session Resumed", "retry m1", "PUBLISH qos=1 dup=1"]);
    assert_eq!(rig.hears(&[0x40, 2, 0, 1]), ["accepted m1"]);
    assert!(rig.adapter.is_idle());
    rig.send(3);
    rig.wish(Wish::GiveUp(Message(3)));
    assert!(rig.adapter.is_idle(), "nobody waits for it");
    assert_eq!(rig.hears(&[0x40, 2, 0, 3]), [""; 0]);
}

#[test]
fn a_lost_session_publishes_qos_1_anew_and_leaves_qos_2_unknown() {
    let mut rig = Rig::start(&[qos(1)]);
    rig.send(1);
    assert_eq!(rig.again(&CONNACK), ["SUBSCRIBE"]);
    assert_eq!(rig.hears(&SUBACK_2), ["session New", "retry m1", "PUBLISH qos=1 dup=0"]);
    let mut rig = Rig::start(&[qos(2)]);
    rig.send(1);
    rig.again(&CONNACK);
    assert_eq!(rig.hears(&SUBACK_2), ["session New", "unknown m1"]);
}

#[test]
fn a_clean_session_keeps_nothing_in_flight() {
    let mut rig = Rig::start(&[qos(1), ("session", Setting::Text("clean".to_owned()))]);
    rig.send(1);
    assert_eq!(rig.again(&CONNACK), ["SUBSCRIBE"]);
    assert_eq!(rig.hears(&SUBACK_2), ["session New", "unknown m1"]);
}

#[test]
fn qos_2_goes_on_where_it_was() {
    let mut rig = Rig::start(&[qos(2)]);
    assert_eq!(rig.send(1), ["PUBLISH qos=2 dup=0"]);
    assert_eq!(rig.send(2), ["PUBLISH qos=2 dup=0"]);
    assert_eq!(rig.hears(&[0x50, 2, 0, 1]), ["PUBREL 1"]);
    let again = rig.again(&CONNACK_PRESENT);
    assert_eq!(again, ["session Resumed", "retry m1", "retry m2", "PUBREL 1", "PUBLISH qos=2 dup=1"]);
    assert_eq!(rig.hears(&[0x70, 2, 0, 1]), ["accepted m1"]);
    assert_eq!(rig.hears(&[0x50, 2, 0, 9]), ["PUBREL 9"], "of something long finished");
}

#[test]
fn a_message_is_acknowledged_when_the_application_took_it() {
    let mut rig = Rig::start(&[qos(1)]);
    assert_eq!(rig.publish(1, Qos::One, 5, false), ["delivered m1"]);
    assert!(!rig.adapter.is_idle());
    assert_eq!(rig.wish(Wish::Consumed(1)), ["PUBACK 5", "acknowledged"]);
    assert_eq!(rig.publish(2, Qos::One, 6, false), ["delivered m2"]);
    rig.again(&CONNACK_PRESENT);
    assert_eq!(rig.wish(Wish::Consumed(1)), [""; 0], "its connection is over");
    assert_eq!(rig.publish(2, Qos::One, 6, true), ["delivered m2 again"]);
    assert_eq!(rig.wish(Wish::Consumed(1)), ["PUBACK 6", "acknowledged"]);
    assert_eq!(rig.publish(3, Qos::Zero, 0, false), ["delivered m3"]);
    assert_eq!(rig.wish(Wish::Consumed(1)), [""; 0]);
}

#[test]
fn an_open_handshake_of_qos_2_is_recognised_until_it_is_released() {
    let mut rig = Rig::start(&[qos(2)]);
    assert_eq!(rig.publish(1, Qos::Two, 5, false), ["delivered m1"]);
    assert_eq!(rig.wish(Wish::Consumed(1)), ["PUBREC 5", "acknowledged"]);
    rig.again(&CONNACK_PRESENT);
    assert_eq!(rig.publish(1, Qos::Two, 5, true), ["PUBREC 5", "suppressed m1 again", "acknowledged"]);
    assert_eq!(rig.hears(&[0x62, 2, 0, 5]), ["PUBCOMP 5"]);
    assert_eq!(rig.publish(2, Qos::Two, 5, false), ["delivered m2"], "the packet id is free again");
    // The application takes its time, and the copy overtakes it: one PUBREC, in the connection that there is.
    rig.again(&CONNACK_PRESENT);
    assert_eq!(rig.publish(2, Qos::Two, 5, true), ["suppressed m2 again"]);
    assert_eq!(rig.wish(Wish::Consumed(1)), ["PUBREC 5", "acknowledged"]);
}

#[test]
fn a_silent_server_is_asked_and_then_left() {
    let mut rig = Rig::start(&[]);
    assert_eq!(rig.at_timeout(), ["PINGREQ"]);
    assert_eq!(rig.hears(&[0xd0, 0]), [""; 0]);
    assert_eq!(rig.at_timeout(), ["PINGREQ"]);
    let asked_ns = rig.now_ns;
    let mut did = Vec::new();
    while did.is_empty() || did == ["PINGREQ"] {
        did = rig.at_timeout();
    }
    assert_eq!(did, ["disconnect", "disconnected"]);
    assert!(rig.now_ns - asked_ns <= ANSWER_NS_MAX);
    assert_eq!(rig.at_timeout(), ["connect"]);
}

#[test]
fn who_leaves_stays_away() {
    let mut rig = Rig::start(&[]);
    assert_eq!(rig.wish(Wish::Disconnect), ["DISCONNECT", "disconnect", "disconnected"]);
    assert_eq!(rig.adapter.next_timeout_ns(), None);
    assert_eq!(rig.wish(Wish::Connect), ["connect"]);
    assert_eq!(rig.wish(Wish::Connect), [""; 0]);
}

#[test]
fn refusals_and_nonsense_are_told_once_and_tried_again_later() {
    let mut rig = Rig::new(&[]);
    rig.wish(Wish::Connect);
    rig.on(Input::Connected);
    let refused = rig.hears(&[0x20, 2, 0, 5]);
    assert_eq!(refused, ["note the server refused the connection, code 5: not authorized", "disconnect"]);
    assert_eq!(rig.at_timeout(), ["connect"]);
    rig.on(Input::Connected);
    assert_eq!(rig.hears(&[0x20, 2, 0, 5]), ["disconnect"]);
    let mut rig = Rig::start(&[]);
    let told = rig.hears(b"\x06\x00 is no kind of packet");
    assert_eq!(told.last().map(String::as_str), Some("disconnected"), "{told:?}");
    assert!(told[0].starts_with("note the server sent what is not MQTT"), "{told:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn whatever_a_server_sends_the_adapter_answers_and_goes_on(
        noise in proptest::collection::vec(any::<u8>(), 0..200), chunk in 1_usize..30, level in 0_i64..3, is_v5: bool,
    ) {
        let version = Setting::Text(if is_v5 { "5.0" } else { "3.1.1" }.to_owned());
        let mut rig = Rig::new(&[qos(level), ("version", version)]);
        rig.wish(Wish::Connect);
        rig.send(1);
        rig.on(Input::Connected);
        let mut effects = 0;
        for part in noise.chunks(chunk) {
            effects += rig.hears(part).len();
            effects += rig.wish(Wish::Consumed(1)).len();
        }
        prop_assert!(effects <= 4 * noise.len() + 4);
        rig.on(Input::Disconnected);
        prop_assert!(rig.adapter.next_timeout_ns().is_some(), "it comes back");
    }
}

/// The packets that take leave of a server after a run with two devices, one of which is installed anew.
fn farewells(options: &[(&str, Setting)]) -> Vec<Bytes> {
    let options = options.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    let dialect = (dialect::PROTOCOL.configure)(&options).unwrap();
    let text = "about = \"A test.\"\n[workload]\nmembers = 2\nusers = 2\nrate = \"1/s\"\nduration = \"2s\"\n\
                [[step]]\nat = \"1s\"\ndevice = \"u1.d1\"\ndoes = \"reinstall\"\n";
    let plan = avouch_scenarios::parse_scenario("test.toml", text).unwrap().plan("test", 1).unwrap();
    dialect.farewells(&plan, payload::Nonce::NONE)
}

#[test]
fn a_server_that_goes_on_running_is_left_without_sessions() {
    for version in ["3.1.1", "5.0"] {
        let version = ("version", Setting::Text(version.to_owned()));
        let all = farewells(&[qos(1), version]);
        let mut names = std::collections::BTreeSet::new();
        for packets in &all {
            // CONNECT with a clean session, and DISCONNECT.
            assert_eq!((packets[0], packets[9] & 2), (0x10, 2));
            let disconnect = 2 + usize::from(packets[1]);
            assert_eq!(packets[disconnect..], codec::DISCONNECT);
            names.insert(packets[2..disconnect].escape_ascii().to_string());
        }
        // Each of the two devices, and the second installation of one.
        assert_eq!((all.len(), names.len()), (3, 3));
        assert_eq!(names.iter().filter(|name| name.ends_with("i1")).count(), 1);
    }
    assert!(farewells(&[qos(1), ("session", Setting::Text("clean".to_owned()))]).is_empty());
}
