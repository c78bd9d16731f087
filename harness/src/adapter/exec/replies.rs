//! What a program says, held against what it was asked. An error names the rule that it broke.

use avouch_reports::history::{
    Conversation, Device, Message, PageItem, ReceiptKind, Rung, SessionKind, User, What,
};

use super::operations::Waiting;
use super::wire::{self, Said, SaidItem, SaidReceipt, VERSION};
use super::{Asked, Exec, PING_EVERY_NS, Stage};
use crate::payload;

/// The ack ladder, by number.
const RUNGS: [Rung; 8] = [
    Rung::Written,
    Rung::Received,
    Rung::Accepted,
    Rung::Stored,
    Rung::Replicated,
    Rung::Handed,
    Rung::Acknowledged,
    Rung::Read,
];

impl Exec {
    /// Takes one line.
    pub(super) fn line(&mut self, now_ns: u64, line: &[u8]) -> Result<(), String> {
        let (in_reply_to, said) = wire::parse(line)?;
        if let Said::Log { text } = said {
            self.note(&text);
            return Ok(());
        }
        if self.stage == Stage::Greeting && !matches!(said, Said::InitOk { .. } | Said::Error { .. }) {
            return Err("it has to answer `init` with `init_ok` before it says anything else".to_owned());
        }
        match said {
            Said::Session { resumed } => self.session(in_reply_to, resumed),
            Said::Disconnected { why } => self.disconnected(now_ns, in_reply_to, why.as_deref()),
            said => match in_reply_to {
                Some(id) => self.answer(now_ns, id, said),
                None => self.tell(said),
            },
        }
    }

    fn answer(&mut self, now_ns: u64, id: u64, said: Said) -> Result<(), String> {
        if self.given_up.contains(&id) {
            return Ok(()); // too late
        }
        let Some(asked) = self.asked.get(&id).copied() else {
            let why = if id < self.next_id && id > 0 { "was answered before" } else { "was never asked" };
            return Err(format!("`in_reply_to` {id}: that {why}"));
        };
        let device = self.device();
        match (asked, said) {
            (Asked::Operation(message), Said::Retry {}) => {
                self.saw(What::Retry { device, message });
                return Ok(());
            }
            (Asked::Init, Said::InitOk { version, reconnects }) => {
                self.greeted(now_ns, version, reconnects)?;
            }
            (Asked::Init, Said::Error { code, text, .. }) => {
                return Err(format!("it refused `init`: {}", wire::error(code, text.as_deref(), None).1));
            }
            (Asked::Connect, Said::Error { code, text, .. }) => {
                self.note(&format!("connect: {}", wire::error(code, text.as_deref(), None).1));
                self.retry(now_ns);
            }
            (Asked::Disconnect, Said::Error { .. }) => self.left(now_ns),
            (Asked::Operation(message), Said::Ack { rung, seq }) => {
                let rung = RUNGS.get(usize::from(rung.unwrap_or(2)));
                let rung = *rung.ok_or("the rungs of an ack are 0 to 7")?;
                self.saw(What::Accepted { device, message, seq: position(seq)?, rung });
            }
            (Asked::Operation(message), Said::Error { code, text, definite }) => {
                let (is_definite, words) = wire::error(code, text.as_deref(), definite);
                let words = super::shortened(&words);
                self.saw(if is_definite {
                    What::Rejected { device, message, code: words }
                } else {
                    What::Unknown { device, message, why: words }
                });
            }
            (Asked::Ping, Said::Pong {}) => {
                self.ping.asked = None;
                self.ping.is_late = false;
                self.ping.next_ns = now_ns + PING_EVERY_NS;
            }
            (Asked::Read { conversation, up_to }, Said::ReadOk {}) => {
                let conversation = Conversation(conversation);
                self.saw(What::ReadConfirmed { device, conversation, up_to });
            }
            (Asked::Read { .. }, Said::Error { .. }) => {}
            (Asked::Page { conversation, request, .. }, Said::PageOk { items, complete }) => {
                let conversation = Conversation(conversation);
                let items = items.iter().map(|item| self.item(item)).collect::<Result<_, String>>()?;
                self.saw(What::Page { device, conversation, request, items, complete });
            }
            (Asked::Page { conversation, request, after }, Said::Error { code, text, definite }) => {
                match wire::error(code, text.as_deref(), definite) {
                    (true, words) => return Err(format!("it said that it has history; page: {words}")),
                    (false, _) => self.waiting.push_back(Waiting::Page { conversation, request, after }),
                }
            }
            (asked, _) => return Err(format!("that is no answer to {}", asked.name())),
        }
        self.asked.remove(&id);
        self.go_on();
        Ok(())
    }

    fn greeted(&mut self, now_ns: u64, version: u32, reconnects: bool) -> Result<(), String> {
        if version != VERSION {
            return Err(format!("it speaks version {version}, and this tool {VERSION}"));
        }
        self.reconnects = reconnects;
        self.stage = Stage::Down;
        self.due_ns = None;
        self.ping.next_ns = now_ns + PING_EVERY_NS;
        if self.is_wanted {
            self.connect();
        }
        Ok(())
    }

    fn session(&mut self, in_reply_to: Option<u64>, resumed: bool) -> Result<(), String> {
        if let Some(id) = in_reply_to {
            match self.asked.get(&id) {
                Some(Asked::Connect) => {}
                Some(other) => return Err(format!("that is no answer to {}", other.name())),
                // The answer to a `connect` that a `disconnect` overtook, or to one that it came to by itself.
                None if id < self.next_id => {}
                None => return Err(format!("`in_reply_to` {id}: that was never asked")),
            }
        }
        self.no_answer_to(Asked::Connect);
        match self.stage {
            // It is on its way out, or was told to be.
            Stage::Leaving => return Ok(()),
            Stage::Down if !self.is_wanted => {
                self.leave();
                return Ok(());
            }
            _ => {}
        }
        self.session_ended("another session began");
        (self.stage, self.attempts, self.due_ns) = (Stage::Up, 0, None);
        let session = if resumed { SessionKind::Resumed } else { SessionKind::New };
        self.saw(What::Session { device: self.device(), session });
        self.go_on();
        Ok(())
    }

    fn disconnected(
        &mut self,
        now_ns: u64,
        in_reply_to: Option<u64>,
        why: Option<&str>,
    ) -> Result<(), String> {
        if let Some(id) = in_reply_to {
            match self.asked.get(&id) {
                Some(Asked::Disconnect) => {}
                Some(other) => return Err(format!("that is no answer to {}", other.name())),
                None if id < self.next_id => return Ok(()), // said already, without a number
                None => return Err(format!("`in_reply_to` {id}: that was never asked")),
            }
        }
        match self.stage {
            Stage::Leaving => self.left(now_ns),
            Stage::Up => {
                self.session_ended(why.unwrap_or("the program says that it is not connected"));
                self.stage = Stage::Down;
                if !self.reconnects {
                    self.attempts = 0;
                    self.retry(now_ns);
                }
            }
            // Whoever is not connected may say so.
            _ => {}
        }
        Ok(())
    }

    /// It is not connected any more, as it was asked to.
    fn left(&mut self, now_ns: u64) {
        self.no_answer_to(Asked::Disconnect);
        self.stage = Stage::Down;
        if self.is_wanted {
            self.attempts = 0;
            self.retry(now_ns);
        }
    }

    /// What nobody asked for.
    fn tell(&mut self, said: Said) -> Result<(), String> {
        let device = self.device();
        let what = match said {
            Said::Delivered { conversation, payload, seq, redelivered } => {
                let conversation = self.conversation(&conversation)?;
                let (message, digest) = self.message(&payload)?;
                What::Delivered { device, conversation, message, seq: position(seq)?, digest, redelivered }
            }
            Said::Suppressed { conversation, payload, seq, redelivered } => {
                let conversation = self.conversation(&conversation)?;
                let (message, _) = self.message(&payload)?;
                What::Suppressed { device, conversation, message, seq: position(seq)?, redelivered }
            }
            Said::Acked { conversation, up_to, payload } => {
                let conversation = self.conversation(&conversation)?;
                let message = payload.map(|payload| self.message(&payload)).transpose()?;
                let message = message.and_then(|(message, _)| message);
                if message.is_none() && up_to.is_none() {
                    return Err("`acked` needs `up_to`, or the `payload` of a message of this run".to_owned());
                }
                What::Acknowledged { device, conversation, up_to, message }
            }
            Said::Receipt { conversation, by, kind, up_to } => {
                let by = self.identity.devices.iter().position(|name| *name == by);
                let by = Device(by.ok_or("`by` is no device of this run")? as u32);
                let kind = match kind {
                    SaidReceipt::Delivered => ReceiptKind::Delivered,
                    SaidReceipt::Read => ReceiptKind::Read,
                };
                What::Receipt { device, conversation: self.conversation(&conversation)?, by, kind, up_to }
            }
            Said::MembersChanged { conversation, seq, added, removed } => {
                let conversation = self.conversation(&conversation)?;
                let (added, removed) = (self.users(&added)?, self.users(&removed)?);
                What::MembersChanged { device, conversation, seq: position(seq)?, added, removed }
            }
            Said::Gap { conversation, after, before } => {
                What::Gap { device, conversation: self.conversation(&conversation)?, after, before }
            }
            _ => return Err("that is an answer, and needs `in_reply_to`".to_owned()),
        };
        self.saw(what);
        Ok(())
    }

    fn users(&self, names: &[String]) -> Result<Vec<User>, String> {
        let user = |name: &String| {
            let found = self.identity.users.iter().position(|user| user == name);
            Ok(User(found.ok_or_else(|| format!("{name:?} is no user of this run"))? as u32))
        };
        names.iter().map(user).collect()
    }

    /// Which send a payload comes from, and its digest.
    fn message(&self, encoded: &str) -> Result<(Option<Message>, u64), String> {
        let bytes = wire::decoded(encoded)?;
        Ok((payload::read(self.identity.salt, &bytes), payload::digest(&bytes)))
    }

    fn item(&self, item: &SaidItem) -> Result<PageItem, String> {
        let (message, digest) = self.message(&item.payload)?;
        Ok(PageItem { seq: position(item.seq)?, message, digest })
    }
}

/// Positions count from 1.
fn position(seq: Option<u64>) -> Result<Option<u64>, String> {
    if seq == Some(0) { Err("positions (`seq`) count from 1".to_owned()) } else { Ok(seq) }
}

impl Asked {
    fn name(self) -> &'static str {
        match self {
            Self::Init => "`init`",
            Self::Connect => "`connect`",
            Self::Disconnect => "`disconnect`",
            Self::Ping => "`ping`",
            Self::Operation(_) => "`send` or `members`",
            Self::Read { .. } => "`read`",
            Self::Page { .. } => "`page`",
        }
    }
}
