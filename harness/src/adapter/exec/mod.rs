//! `exec`: a client program in any language, which speaks newline JSON on its standard input and output (`docs/exec.md`).
//!
//! Words: the byte stream of this adapter is the program's standard input and output, not its connection to the server. Conversations,
//! users and devices have names there. Ack of a send = `ack`, at the rung that it names; a definite `error` = refused, any other =
//! unknown. Delivery = `delivered`; redelivery = its `redelivered`. What the program says is taken for what happened, so the program
//! is put to the test together with the server behind it.
//!
//! A program that breaks the rules of the protocol, does not answer in time or ends is no finding about any server: the run ends
//! ([`Effect::Fail`]), and says why. A `ping` every [`PING_EVERY_NS`] tells a program that hangs from a server that is slow: a device
//! whose program owes an answer is not idle, so nobody is blamed for what it does not tell.

mod dialect;
mod greeting;
mod operations;
mod replies;
mod settings;
#[cfg(test)]
mod tests;
mod wire;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use avouch_reports::history::{Conversation, Device, Message, What};
use avouch_scenarios::keyed::{Purpose, draw};
use bytes::{Bytes, BytesMut};

use super::{Adapter, Effect, Input, Wish};
use operations::Waiting;
use wire::Request;

pub use dialect::{PROTOCOL, Spoken};
pub use greeting::{Identity, NamedConversation};
pub use settings::Settings;
pub use wire::{LINE_BYTES_MAX, VERSION};

/// Its name in target files and before programs on a command line.
pub const NAME: &str = "exec";
/// A program has to answer `init` within this: many interpreters that start at once take their time. Nanoseconds.
pub const START_NS_MAX: u64 = 25_000_000_000;
/// A program has to answer `ping` within this. Nanoseconds.
pub const ANSWER_NS_MAX: u64 = 10_000_000_000;
/// Between two pings; less than what a drain waits for stillness. Nanoseconds.
pub const PING_EVERY_NS: u64 = 200_000_000;
/// A ping that is unanswered for so long makes a device count as busy. Nanoseconds.
const LATE_NS: u64 = 50_000_000;
/// First and longest wait before `connect` is said again. Nanoseconds.
const RETRY_NS: [u64; 2] = [100_000_000, 1_000_000_000];
/// Notes of one program in one history.
const NOTES_MAX: usize = 64;
/// Longest text of a program that is kept. Characters.
const TEXT_CHARS_MAX: usize = 500;
const RETRY: Purpose = Purpose::named("exec-retry");

/// One device's side.
pub struct Exec {
    settings: Settings,
    identity: Identity,
    stage: Stage,
    /// Somebody wants it to be connected.
    is_wanted: bool,
    /// The program said that it reconnects by itself.
    reconnects: bool,
    next_id: u64,
    asked: BTreeMap<u64, Asked>,
    /// Lines that no answer is waited for any more: one that comes all the same is nobody's.
    given_up: BTreeSet<u64>,
    waiting: VecDeque<Waiting>,
    input: BytesMut,
    /// So much of `input` has no line feed.
    scanned: usize,
    /// `init` has to be answered, or `connect` is to be said again.
    due_ns: Option<u64>,
    attempts: u64,
    ping: Ping,
    effects: VecDeque<Effect>,
    notes: usize,
}

/// How far things are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// There is no program yet.
    None,
    /// It is being started.
    Starting,
    /// `init` is unanswered.
    Greeting,
    /// It has no session.
    Down,
    /// `connect` is unanswered.
    Connecting,
    /// It has a session.
    Up,
    /// `disconnect` is unanswered.
    Leaving,
    /// The program is gone, or of no use.
    Gone,
}

/// A line that wants an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Init,
    Connect,
    Disconnect,
    Ping,
    Operation(Message),
    Read { conversation: u32, up_to: u64 },
    Page { conversation: u32, request: u64, after: u64 },
}

#[derive(Clone, Copy, Debug, Default)]
struct Ping {
    next_ns: u64,
    /// Its id and when it was said.
    asked: Option<(u64, u64)>,
    is_late: bool,
}

impl Exec {
    /// A fresh installation.
    pub fn new(settings: Settings, identity: Identity) -> Self {
        Self {
            settings,
            identity,
            stage: Stage::None,
            is_wanted: false,
            reconnects: false,
            next_id: 1,
            asked: BTreeMap::new(),
            given_up: BTreeSet::new(),
            waiting: VecDeque::new(),
            input: BytesMut::new(),
            scanned: 0,
            due_ns: None,
            attempts: 0,
            ping: Ping::default(),
            effects: VecDeque::new(),
            notes: 0,
        }
    }

    fn device(&self) -> Device {
        Device(self.identity.device)
    }

    fn saw(&mut self, what: What) {
        self.effects.push_back(Effect::Saw(what));
    }

    fn note(&mut self, text: &str) {
        if self.notes < NOTES_MAX {
            self.notes += 1;
            let name = &self.identity.devices[self.identity.device as usize];
            let text = format!("client program of {name}: {}", shortened(text));
            self.saw(What::Note { text });
        }
    }

    /// The program cannot go on, or must not.
    fn fail(&mut self, why: impl Into<String>) {
        if self.stage == Stage::Gone {
            return;
        }
        self.session_ended("its client program failed");
        self.stage = Stage::Gone;
        self.due_ns = None;
        self.asked.clear();
        self.effects.push_back(Effect::Fail(why.into()));
    }

    /// A session, if there is one, is over.
    fn session_ended(&mut self, why: &str) {
        if self.stage == Stage::Up {
            let device = self.device();
            self.saw(What::Disconnected { device, why: shortened(why) });
        }
    }

    fn ask(&mut self, request: Request<'_>, asked: Asked) -> u64 {
        let id = self.say(request);
        self.asked.insert(id, asked);
        id
    }

    /// Nobody waits for an answer of this kind any more.
    fn no_answer_to(&mut self, kind: Asked) {
        self.given_up.extend(self.asked.iter().filter(|(_, asked)| **asked == kind).map(|(id, _)| *id));
        self.asked.retain(|_, asked| *asked != kind);
    }

    fn say(&mut self, request: Request<'_>) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        self.effects.push_back(Effect::Transmit(wire::line(id, request)));
        id
    }

    fn connect(&mut self) {
        self.due_ns = None;
        self.stage = Stage::Connecting;
        self.ask(Request::Connect, Asked::Connect);
    }

    /// Not connected, although somebody wants it: `connect` is said again after a while.
    fn retry(&mut self, now_ns: u64) {
        self.stage = Stage::Down;
        let [first_ns, longest_ns] = RETRY_NS;
        let wait_ns = longest_ns.min(first_ns << self.attempts.min(8));
        self.attempts += 1;
        let jitter = draw(self.identity.seed, RETRY, &[self.attempts]) % (wait_ns / 2);
        self.due_ns = self.is_wanted.then_some(now_ns + wait_ns / 2 + jitter);
    }

    fn wish(&mut self, wish: Wish) {
        match wish {
            Wish::Connect => {
                self.is_wanted = true;
                match self.stage {
                    Stage::None => {
                        self.stage = Stage::Starting;
                        self.effects.push_back(Effect::Connect);
                    }
                    Stage::Down => {
                        self.attempts = 0;
                        self.connect();
                    }
                    _ => {}
                }
            }
            Wish::Disconnect => {
                self.is_wanted = false;
                if matches!(self.stage, Stage::Down) {
                    self.due_ns = None;
                }
                if matches!(self.stage, Stage::Up | Stage::Connecting) {
                    self.session_ended("asked to");
                    self.leave();
                }
            }
            wish => self.operation(wish),
        }
    }

    fn leave(&mut self) {
        self.no_answer_to(Asked::Connect);
        self.stage = Stage::Leaving;
        self.ask(Request::Disconnect, Asked::Disconnect);
    }

    fn received(&mut self, now_ns: u64, bytes: &Bytes) {
        self.input.extend_from_slice(bytes);
        while self.stage != Stage::Gone {
            let Some(at) = self.input[self.scanned..].iter().position(|byte| *byte == b'\n') else {
                self.scanned = self.input.len();
                if self.scanned > LINE_BYTES_MAX {
                    self.fail(format!("said a line of more than {LINE_BYTES_MAX} bytes"));
                }
                return;
            };
            let line = self.input.split_to(self.scanned + at + 1).freeze();
            self.scanned = 0;
            let line = line.trim_ascii();
            if line.len() > LINE_BYTES_MAX {
                return self.fail(format!("said a line of more than {LINE_BYTES_MAX} bytes"));
            }
            if !line.is_empty()
                && let Err(why) = self.line(now_ns, line)
            {
                let shown = shortened(&String::from_utf8_lossy(line));
                self.fail(format!("broke the protocol of docs/exec.md: {why}; it said: {shown}"));
            }
        }
    }

    fn timeout(&mut self, now_ns: u64) {
        if self.due_ns.is_some_and(|due_ns| due_ns <= now_ns) {
            self.due_ns = None;
            match self.stage {
                Stage::Greeting => {
                    let seconds = START_NS_MAX / 1_000_000_000;
                    return self.fail(format!("did not answer `init` within {seconds} s"));
                }
                Stage::Down if self.is_wanted => self.connect(),
                _ => {}
            }
        }
        if !self.is_greeted() {
            return;
        }
        if let Some((_, asked_ns)) = self.ping.asked {
            let silent_ns = now_ns - asked_ns;
            self.ping.is_late = silent_ns >= LATE_NS;
            if silent_ns >= ANSWER_NS_MAX {
                let seconds = ANSWER_NS_MAX / 1_000_000_000;
                self.fail(format!("hangs: it did not answer `ping` within {seconds} s"));
            }
        } else if self.ping.next_ns <= now_ns {
            let id = self.ask(Request::Ping, Asked::Ping);
            self.ping.asked = Some((id, now_ns));
        }
    }

    /// It answered `init`, and lives.
    fn is_greeted(&self) -> bool {
        matches!(self.stage, Stage::Down | Stage::Connecting | Stage::Up | Stage::Leaving)
    }

    fn conversation(&self, name: &str) -> Result<Conversation, String> {
        let found = self.identity.conversations.iter().position(|it| it.name == name);
        let found = found.ok_or_else(|| format!("`init` named no conversation {name:?}"))?;
        Ok(Conversation(found as u32))
    }
}

impl Adapter for Exec {
    fn handle(&mut self, now_ns: u64, input: Input) {
        match input {
            Input::Connected => {
                if self.stage == Stage::Starting {
                    self.greet(now_ns);
                }
            }
            Input::Received(bytes) => {
                if !matches!(self.stage, Stage::None | Stage::Starting | Stage::Gone) {
                    self.received(now_ns, &bytes);
                }
            }
            Input::Disconnected => match self.stage {
                Stage::None | Stage::Gone => {}
                Stage::Starting => self.fail("could not be started"),
                _ => self.fail("closed its standard output, or does not read its standard input"),
            },
            Input::Wish(wish) => self.wish(wish),
            Input::Timeout => self.timeout(now_ns),
        }
    }

    fn poll(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    fn next_timeout_ns(&self) -> Option<u64> {
        let ping_ns = match self.ping.asked {
            Some((_, asked_ns)) if self.ping.is_late => asked_ns + ANSWER_NS_MAX,
            Some((_, asked_ns)) => asked_ns + LATE_NS,
            None => self.ping.next_ns,
        };
        let ping_ns = self.is_greeted().then_some(ping_ns);
        [self.due_ns, ping_ns].into_iter().flatten().min()
    }

    fn is_idle(&self) -> bool {
        self.stage == Stage::Up
            && self.effects.is_empty()
            && self.waiting.is_empty()
            && self.asked.values().all(|asked| *asked == Asked::Ping)
            && !self.ping.is_late
    }

    fn has_history(&self) -> bool {
        self.settings.history
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(TEXT_CHARS_MAX) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}
