//! The connection: made, greeted, kept alive, given up, made again.

use super::state::{Client, Link, Timer};
use super::{Effect, Observation};
use crate::backoff::after_ms;
use crate::codec::{ErrorCode, Frame, GoodbyeCode, Hello, Position, VERSION, Welcome};
use crate::ids::Time;
use crate::limits;

impl Client {
    pub(super) fn is_connected(&self) -> bool {
        matches!(self.link, Link::Greeting | Link::LoggedIn)
    }

    pub(super) fn is_logged_in(&self) -> bool {
        self.link == Link::LoggedIn
    }

    pub(super) fn on_connected(&mut self) {
        if self.link != Link::Connecting {
            return;
        }
        self.link = Link::Greeting;
        self.hello_attempts = 0;
        self.heard = self.now;
        self.clear_timer(Timer::Connect);
        self.greet();
        self.set_heartbeat();
    }

    pub(super) fn on_disconnected(&mut self) {
        match self.link {
            Link::Closed | Link::Waiting => {}
            Link::Connecting => self.connect_later(),
            Link::Greeting | Link::LoggedIn => self.lose("reset", true),
        }
    }

    /// Ends the connection from this side.
    pub(super) fn end(&mut self, why: &'static str, again: bool) {
        self.effects.push_back(Effect::Disconnect);
        self.lose(why, again);
    }

    /// The connection is gone.
    fn lose(&mut self, why: &'static str, again: bool) {
        // An attempt that did not reach a session, and will be repeated, is nobody's business.
        if self.is_logged_in() || !again {
            self.observe(Observation::SessionEnded { why });
        }
        self.link = Link::Closed;
        self.clear_timer(Timer::Hello);
        self.clear_timer(Timer::Heartbeat);
        self.suspend_operations();
        if again {
            self.ask_for_less();
        }
        self.suspend_requests();
        self.suspend_marks();
        if again {
            self.connect_later();
        }
    }

    fn connect_later(&mut self) {
        self.link = Link::Waiting;
        self.clear_timer(Timer::Connect);
        let at = self.config.reconnect.at(self.now, self.connect_attempts, &mut self.random);
        self.connect_attempts = self.connect_attempts.saturating_add(1);
        self.timers.insert((at, Timer::Connect));
    }

    fn connect_now(&mut self) {
        self.link = Link::Connecting;
        self.limit_connecting();
        self.effects.push_back(Effect::Connect);
    }

    fn limit_connecting(&mut self) {
        self.clear_timer(Timer::Connect);
        self.timers.insert((after_ms(self.now, self.config.connect_ms), Timer::Connect));
    }

    pub(super) fn leave(&mut self) {
        if self.is_connected() {
            self.transmit(&Frame::Bye);
            self.end("closed", false);
        } else if self.link != Link::Closed {
            self.effects.push_back(Effect::Disconnect);
            self.clear_timer(Timer::Connect);
            self.link = Link::Closed;
        }
    }

    pub(super) fn reconnect(&mut self) {
        match self.link {
            Link::Greeting | Link::LoggedIn => self.end("closed", false),
            Link::Connecting => return,
            Link::Closed | Link::Waiting => {}
        }
        self.connect_attempts = 0;
        self.connect_now();
    }

    fn greet(&mut self) {
        let ahead = self.conversations.iter().filter(|(_, state)| state.cursor > state.confirmed);
        let positions = ahead.take(limits::HELLO_POSITIONS_MAX).map(|(conversation, state)| Position {
            conversation: *conversation,
            acked: state.acked,
            received: state.cursor,
        });
        let hello = Hello {
            version: VERSION,
            key: self.key,
            installation: self.installation,
            resume: self.was_welcome,
            token: self.token.clone(),
            positions: positions.collect(),
        };
        self.transmit(&Frame::Hello(hello));
        let at = self.config.retry.at(self.now, self.hello_attempts, &mut self.random);
        self.hello_attempts = self.hello_attempts.saturating_add(1);
        self.timers.insert((at, Timer::Hello));
    }

    pub(super) fn on_welcome(&mut self, welcome: Welcome) {
        if self.link != Link::Greeting || welcome.installation != self.installation {
            return;
        }
        self.link = Link::LoggedIn;
        self.was_welcome = true;
        self.connect_attempts = 0;
        self.heartbeat_ms = u64::from(welcome.heartbeat_ms.max(1));
        self.silent_ms = u64::from(welcome.silent_ms.max(1));
        self.stats.sessions += 1;
        self.clear_timer(Timer::Hello);
        self.set_heartbeat();
        self.observe(Observation::Session { resumed: welcome.resumed });
        self.resume_marks();
        self.resume_requests();
        self.resume_operations();
    }

    pub(super) fn on_goodbye(&mut self, code: GoodbyeCode) {
        let again = !matches!(code, GoodbyeCode::Takeover);
        let why = if code == GoodbyeCode::Slow { "reset" } else { code.as_str() };
        self.end(why, again);
    }

    pub(super) fn on_error(&mut self, code: ErrorCode) {
        match code {
            ErrorCode::Version | ErrorCode::Unauthorized => self.end("refused", false),
            ErrorCode::TooMany | ErrorCode::LoginTimeout => self.end("reset", true),
            ErrorCode::Malformed | ErrorCode::TooLarge | ErrorCode::Unexpected => self.end("protocol", true),
        }
    }

    pub(super) fn heard_now(&mut self) {
        self.heard = self.now;
    }

    fn set_heartbeat(&mut self) {
        self.clear_timer(Timer::Heartbeat);
        let silent = after_ms(self.heard, self.silent_ms);
        self.timers.insert((silent.min(self.pings_at()), Timer::Heartbeat));
    }

    /// A heartbeat without a word from here, so that the server knows of us; or without one from there: who only
    /// repeats what is not answered asks for nothing that a living server has to answer.
    fn pings_at(&self) -> Time {
        let asked = self.heard.max(self.pinged);
        after_ms(self.spoke.min(asked), self.heartbeat_ms)
    }

    pub(super) fn on_timeout(&mut self) {
        while let Some((at, timer)) = self.timers.first().copied() {
            if at > self.now {
                return;
            }
            self.timers.pop_first();
            match timer {
                Timer::Begin if self.link == Link::Connecting => self.limit_connecting(),
                Timer::Begin => {}
                Timer::Connect if self.link == Link::Connecting => {
                    self.effects.push_back(Effect::Disconnect);
                    self.connect_later();
                }
                Timer::Connect => self.connect_now(),
                Timer::Hello => self.greet(),
                Timer::Heartbeat => self.on_heartbeat(),
                Timer::Operation(id) => self.on_operation_timer(id),
                Timer::Marks(conversation) => self.on_marks_timer(conversation),
                Timer::Sync(conversation) => self.on_sync_timer(conversation),
                Timer::Page(request) => self.on_page_timer(request),
            }
        }
    }

    fn on_heartbeat(&mut self) {
        if self.now >= after_ms(self.heard, self.silent_ms) {
            self.stats.silent += 1;
            return self.end("silent", true);
        }
        if self.now >= self.pings_at() {
            self.pinged = self.now;
            let Time(nonce) = self.now;
            self.transmit(&Frame::Ping { nonce });
        }
        self.set_heartbeat();
    }
}
