//! From a connection to a session: CONNECT, CONNACK, SUBSCRIBE, SUBACK; and back, when a connection ends or is of no use.

use avouch_reports::history::{SessionKind, What};
use avouch_scenarios::keyed::{Purpose, below, draw};
use bytes::Bytes;

use super::codec::{self, Connect, Version};
use super::{ANSWER_NS_MAX, Mqtt, Stage};
use crate::adapter::Effect;

/// First pause before a connection is tried again; doubled each time. Nanoseconds.
const RETRY_NS_MIN: u64 = 20_000_000;
/// Longest such pause. Nanoseconds.
const RETRY_NS_MAX: u64 = 500_000_000;
/// Filters in one SUBSCRIBE.
const FILTERS_PER_PACKET: usize = 64;
/// What a server may answer CONNECT with.
const FIRST_PACKETS: [&str; 3] = ["CONNACK", "DISCONNECT", "AUTH"];
/// So much is shown of what is not MQTT.
const FIRST_BYTES_SHOWN: usize = 40;
const JITTER: Purpose = Purpose::named("mqtt-retry");

impl Mqtt {
    pub(super) fn connected(&mut self, now_ns: u64) {
        let (settings, is_v5) = (self.settings.clone(), self.settings.version == Version::V5);
        let wipes = self.is_fresh && settings.is_persistent && !is_v5;
        let connect = Connect {
            client_id: &self.identity.client_id,
            is_clean: wipes || !settings.is_persistent || (is_v5 && self.is_fresh),
            keep_alive_s: settings.keep_alive_s,
            session_expiry_s: if settings.is_persistent { settings.session_expiry_s } else { 0 },
            receive_maximum: settings.receive_maximum,
            login: settings.login.as_ref().map(|(user, password)| (user.as_str(), password.as_str())),
        };
        let packet = codec::connect(settings.version, &connect);
        self.stage = Stage::Greeting { wipes };
        self.due_ns = Some(now_ns + ANSWER_NS_MAX);
        self.send(now_ns, packet);
    }

    /// The connection is over, or useless.
    pub(super) fn down(&mut self, why: &str) {
        if self.stage == Stage::Up {
            self.saw(What::Disconnected { device: self.device(), why: why.to_owned() });
        }
        self.stage = Stage::Down;
        self.is_pinged = false;
        self.input.clear();
        self.deliveries.connection_ended();
    }

    /// A server's first packet is a CONNACK [MQTT-3.2.0-1]; whoever begins otherwise speaks something else.
    pub(super) fn is_foreign(&mut self) -> bool {
        let is_greeting = matches!(self.stage, Stage::Greeting { .. });
        let is_known = |first: u8| FIRST_PACKETS.contains(&codec::kind_name(first).unwrap_or_default());
        if !is_greeting || self.input.first().is_none_or(|first| is_known(*first)) {
            return false;
        }
        let begins = self.input[..self.input.len().min(FIRST_BYTES_SHOWN)].escape_ascii().to_string();
        self.note(format!("what answers does not speak MQTT, it begins with \"{begins}\""));
        true
    }

    /// Ends a connection that is of no use, and makes another one after a while.
    pub(super) fn fail(&mut self, now_ns: u64, why: &str) {
        if matches!(self.stage, Stage::Greeting { .. } | Stage::Subscribing { .. }) && self.told.is_empty() {
            self.note(format!("no session came about: {why}"));
        }
        self.effects.push_back(Effect::Disconnect);
        self.down(why);
        self.retry(now_ns);
    }

    pub(super) fn retry(&mut self, now_ns: u64) {
        if !self.is_wanted {
            return;
        }
        let pause = RETRY_NS_MIN.saturating_mul(1 << self.attempts.min(10)).min(RETRY_NS_MAX);
        let jitter = below(draw(self.identity.seed, JITTER, &[self.attempts]), pause / 2 + 1);
        self.attempts += 1;
        self.due_ns = Some(now_ns + pause / 2 + jitter);
    }

    pub(super) fn greeted(&mut self, now_ns: u64, (session_present, code): (bool, u8), wipes: bool) {
        if code != 0 {
            let words = refusal(code).map_or_else(String::new, |words| format!(": {words}"));
            self.note(format!("the server refused the connection, code {code}{words}"));
            return self.fail(now_ns, "the server refused the connection");
        }
        self.is_fresh = false;
        if wipes {
            self.send(now_ns, codec::DISCONNECT);
            self.effects.push_back(Effect::Disconnect);
            self.down("wiped");
            return self.dial();
        }
        self.due_ns = None;
        if session_present && self.has_subscribed {
            return self.established(now_ns, SessionKind::Resumed);
        }
        // Whoever never subscribed has nothing to resume, whatever the server says; it subscribes, or nobody would owe it anything.
        if session_present && !self.was_welcomed {
            self.note(
                "the server says that it has a session which its client had wiped [MQTT-3.1.2-6]".to_owned(),
            );
        }
        self.was_welcomed = true;
        self.deliveries.session_lost();
        let topics = self.identity.subscribed.iter().map(|number| &self.identity.topics[*number as usize]);
        let topics: Vec<&str> = topics.map(String::as_str).collect();
        let (version, qos) = (self.settings.version, self.settings.qos);
        let packets = topics.chunks(FILTERS_PER_PACKET).enumerate();
        let packets: Vec<Bytes> = packets
            .map(|(number, topics)| codec::subscribe(version, number as u16 + 1, topics.iter().copied(), qos))
            .collect();
        if packets.is_empty() {
            return self.established(now_ns, SessionKind::New);
        }
        self.stage = Stage::Subscribing { unanswered: packets.len() };
        self.due_ns = Some(now_ns + ANSWER_NS_MAX);
        self.send_all(now_ns, packets);
    }

    pub(super) fn subscribed(&mut self, now_ns: u64, codes: &[u8], unanswered: usize) {
        if let Some(code) = codes.iter().find(|code| **code >= 0x80) {
            self.note(format!("the server refused a subscription, code 0x{code:02x}"));
            return self.fail(now_ns, "the server refused a subscription");
        }
        if let Some(granted) = codes.iter().find(|code| **code < self.settings.qos as u8) {
            let wanted = self.settings.qos as u8;
            self.note(format!("the server granted QoS {granted} where QoS {wanted} was asked for"));
        }
        if unanswered <= 1 {
            self.established(now_ns, SessionKind::New);
        } else {
            self.stage = Stage::Subscribing { unanswered: unanswered - 1 };
        }
    }

    fn established(&mut self, now_ns: u64, session: SessionKind) {
        self.stage = Stage::Up;
        self.has_subscribed = true;
        self.due_ns = None;
        self.attempts = 0;
        self.saw(What::Session { device: self.device(), session });
        let keeps = self.settings.is_persistent.then_some(session == SessionKind::Resumed);
        let (packets, what) = self.publishing.again(keeps);
        self.saw_all(what);
        self.send_all(now_ns, packets);
        self.publish(now_ns);
    }
}

/// What the specifications call a code of CONNACK (3.1.1, table 3.1; 5.0, table 3-1); the common ones.
fn refusal(code: u8) -> Option<&'static str> {
    Some(match code {
        1 | 0x84 => "unacceptable protocol version",
        2 | 0x85 => "client identifier not valid",
        3 | 0x88 => "server unavailable",
        4 | 0x86 => "bad user name or password",
        5 | 0x87 => "not authorized",
        0x8A => "banned",
        0x95 => "packet too large",
        0x97 => "quota exceeded",
        0x9F => "connection rate exceeded",
        _ => return None,
    })
}
