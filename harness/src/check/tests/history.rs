//! A small language for histories. Every step is one event, one millisecond after the one before.

use avouch_reports::history::{
    Conversation, Device, Event, Message, PageItem, Phase, ReceiptKind, Rung, SessionKind, User, What,
};

use crate::check::Options;

/// One step's time.
pub(super) const STEP_NS: u64 = 1_000_000;

#[derive(Clone, Debug)]
pub(super) struct History {
    pub(super) options: Options,
    pub(super) events: Vec<Event>,
    now_ns: u64,
    devices: Vec<(Device, User)>,
    sender: std::collections::BTreeMap<u64, u32>,
    place: std::collections::BTreeMap<u64, u32>,
}

/// Nothing yet.
pub(super) fn history() -> History {
    History {
        options: Options::default(),
        events: Vec::new(),
        now_ns: 0,
        devices: Vec::new(),
        sender: std::collections::BTreeMap::new(),
        place: std::collections::BTreeMap::new(),
    }
}

/// Three users with one device each (same numbers), all connected, all in conversation 1.
pub(super) fn chat() -> History {
    let mut h = history();
    for d in 1..=3 {
        h = h.device(d, d);
    }
    h = h.conversation(1, &[1, 2, 3]);
    for d in 1..=3 {
        h = h.anew(d);
    }
    h.phase(Phase::Chaos)
}

/// The same, and the target is the reference server.
pub(super) fn reference() -> History {
    chat().with(|o| *o = Options::reference())
}

fn some(seq: u64) -> Option<u64> {
    (seq != 0).then_some(seq)
}

/// The digest of a message's payload.
pub(super) fn digest(m: u64) -> u64 {
    m + 1_000
}

impl History {
    pub(super) fn with(mut self, change: impl FnOnce(&mut Options)) -> Self {
        change(&mut self.options);
        self
    }
    pub(super) fn say(mut self, what: What) -> Self {
        self.now_ns += STEP_NS;
        self.events.push(Event { at_ns: self.now_ns, what });
        self
    }
    /// The last event happened at the instant of the one before.
    pub(super) fn tie(mut self) -> Self {
        let n = self.events.len();
        self.now_ns = self.events[n - 2].at_ns;
        self.events[n - 1].at_ns = self.now_ns;
        self
    }
    pub(super) fn wait(mut self, ms: u64) -> Self {
        self.now_ns += ms * STEP_NS;
        self
    }
    pub(super) fn device(mut self, d: u32, u: u32) -> Self {
        self.devices.push((Device(d), User(u)));
        self.say(What::Device { device: Device(d), user: User(u), name: format!("u{u}.d{d}") })
    }
    pub(super) fn conversation(self, c: u32, users: &[u32]) -> Self {
        let members = users.iter().map(|&u| User(u)).collect();
        self.say(What::Conversation { conversation: Conversation(c), name: format!("c{c}"), members })
    }
    pub(super) fn phase(self, phase: Phase) -> Self {
        self.say(What::Phase { phase })
    }
    pub(super) fn anew(self, d: u32) -> Self {
        self.say(What::Session { device: Device(d), session: SessionKind::New })
    }
    pub(super) fn resume(self, d: u32) -> Self {
        self.say(What::Session { device: Device(d), session: SessionKind::Resumed })
    }
    pub(super) fn cut(self, d: u32) -> Self {
        self.say(What::Disconnected { device: Device(d), why: "reset".to_owned() })
    }
    pub(super) fn send(self, d: u32, m: u64) -> Self {
        self.send_in(1, d, m, None)
    }
    pub(super) fn reply(self, d: u32, m: u64, to: u64) -> Self {
        self.send_in(1, d, m, Some(Message(to)))
    }
    pub(super) fn send_in(mut self, c: u32, d: u32, m: u64, reply_to: Option<Message>) -> Self {
        self.sender.insert(m, d);
        self.place.insert(m, c);
        let intended_ns = self.now_ns;
        self.say(What::Send {
            device: Device(d),
            conversation: Conversation(c),
            message: Message(m),
            intended_ns,
            bytes: 64,
            digest: digest(m),
            reply_to,
        })
    }
    fn by(&self, m: u64) -> Device {
        Device(self.sender.get(&m).copied().unwrap_or(1))
    }
    fn at(&self, m: u64) -> Conversation {
        Conversation(self.place.get(&m).copied().unwrap_or(1))
    }
    pub(super) fn retry(self, m: u64) -> Self {
        let device = self.by(m);
        self.say(What::Retry { device, message: Message(m) })
    }
    pub(super) fn acc(self, m: u64, seq: u64) -> Self {
        self.acc_rung(m, seq, Rung::Stored)
    }
    pub(super) fn acc_rung(self, m: u64, seq: u64, rung: Rung) -> Self {
        let device = self.by(m);
        self.say(What::Accepted { device, message: Message(m), seq: some(seq), rung })
    }
    pub(super) fn rej(self, m: u64) -> Self {
        let device = self.by(m);
        self.say(What::Rejected { device, message: Message(m), code: "refused".to_owned() })
    }
    pub(super) fn unknown(self, m: u64) -> Self {
        let device = self.by(m);
        self.say(What::Unknown { device, message: Message(m), why: "timeout".to_owned() })
    }
    /// Sent, acknowledged, received by some.
    pub(super) fn talk(mut self, d: u32, m: u64, seq: u64, to: &[u32]) -> Self {
        self = self.send(d, m).acc(m, seq);
        to.iter().fold(self, |h, &d| h.del(d, m, seq))
    }
    pub(super) fn del(self, d: u32, m: u64, seq: u64) -> Self {
        self.delivered(d, m, seq, (digest(m), false))
    }
    /// Delivered and marked as redelivered.
    pub(super) fn redel(self, d: u32, m: u64, seq: u64) -> Self {
        self.delivered(d, m, seq, (digest(m), true))
    }
    pub(super) fn delivered(self, d: u32, m: u64, seq: u64, (digest, redelivered): (u64, bool)) -> Self {
        let conversation = self.at(m);
        self.del_in(conversation.0, d, Some(Message(m)), (seq, digest, redelivered))
    }
    pub(super) fn del_in(
        self,
        c: u32,
        d: u32,
        m: Option<Message>,
        (seq, digest, redelivered): (u64, u64, bool),
    ) -> Self {
        self.say(What::Delivered {
            device: Device(d),
            conversation: Conversation(c),
            message: m,
            seq: some(seq),
            digest,
            redelivered,
        })
    }
    pub(super) fn sup(self, d: u32, m: u64, seq: u64, redelivered: bool) -> Self {
        let conversation = self.at(m);
        let message = Some(Message(m));
        self.say(What::Suppressed { device: Device(d), conversation, message, seq: some(seq), redelivered })
    }
    pub(super) fn ack(self, d: u32, up_to: u64) -> Self {
        self.say(What::Acknowledged {
            device: Device(d),
            conversation: Conversation(1),
            up_to: Some(up_to),
            message: None,
        })
    }
    pub(super) fn ack_one(self, d: u32, m: u64) -> Self {
        let conversation = self.at(m);
        self.say(What::Acknowledged {
            device: Device(d),
            conversation,
            up_to: None,
            message: Some(Message(m)),
        })
    }
    pub(super) fn read(self, d: u32, up_to: u64) -> Self {
        self.say(What::Read { device: Device(d), conversation: Conversation(1), up_to })
    }
    pub(super) fn read_ok(self, d: u32, up_to: u64) -> Self {
        self.say(What::ReadConfirmed { device: Device(d), conversation: Conversation(1), up_to })
    }
    /// `d` learns that `by` has (or read) everything up to there.
    pub(super) fn receipt(self, d: u32, by: u32, kind: ReceiptKind, up_to: u64) -> Self {
        self.say(What::Receipt {
            device: Device(d),
            conversation: Conversation(1),
            by: Device(by),
            kind,
            up_to,
        })
    }
    pub(super) fn gap(self, d: u32, after: u64, before: u64) -> Self {
        self.say(What::Gap { device: Device(d), conversation: Conversation(1), after, before })
    }
    pub(super) fn ask(self, d: u32, request: u64, after: u64) -> Self {
        self.say(What::PageRequested { device: Device(d), conversation: Conversation(1), request, after })
    }
    /// A page of (message, position).
    pub(super) fn page(self, d: u32, request: u64, items: &[(u64, u64)], complete: bool) -> Self {
        let item = |&(m, seq): &(u64, u64)| PageItem {
            seq: some(seq),
            message: Some(Message(m)),
            digest: digest(m),
        };
        let items = items.iter().map(item).collect();
        self.say(What::Page { device: Device(d), conversation: Conversation(1), request, items, complete })
    }
    pub(super) fn change(mut self, d: u32, m: u64, added: &[u32], removed: &[u32]) -> Self {
        self.sender.insert(m, d);
        let users = |users: &[u32]| users.iter().map(|&u| User(u)).collect();
        self.say(What::MembersChange {
            device: Device(d),
            conversation: Conversation(1),
            message: Message(m),
            added: users(added),
            removed: users(removed),
        })
    }
    pub(super) fn changed(self, d: u32, seq: u64, added: &[u32], removed: &[u32]) -> Self {
        let users = |users: &[u32]| users.iter().map(|&u| User(u)).collect();
        self.say(What::MembersChanged {
            device: Device(d),
            conversation: Conversation(1),
            seq: some(seq),
            added: users(added),
            removed: users(removed),
        })
    }
    pub(super) fn fault(self, id: u32, kind: &str) -> Self {
        self.say(What::FaultStarted { id, kind: kind.to_owned(), target: "n1".to_owned() })
    }
    pub(super) fn fired(self, id: u32, kind: &str, d: u32) -> Self {
        self.say(What::FaultFired {
            id,
            kind: kind.to_owned(),
            device: Device(d),
            frame: 1,
            detail: String::new(),
        })
    }
    pub(super) fn fault_end(self, id: u32, evidence: &str) -> Self {
        self.say(What::FaultEnded { id, evidence: evidence.to_owned() })
    }
    pub(super) fn node(self, state: &str) -> Self {
        self.say(What::Node { node: "n1".to_owned(), state: state.to_owned() })
    }
    /// The process dies and comes back, all devices with it.
    pub(super) fn crash(mut self, state: &str) -> Self {
        self = self.node(state);
        let devices = self.devices.clone();
        self = devices.iter().fold(self, |h, (d, _)| h.cut(d.0));
        self = self.node("ready");
        devices.iter().fold(self, |h, (d, _)| h.resume(d.0))
    }
    pub(super) fn quiet(self, d: u32) -> Self {
        self.say(What::Quiet { device: Device(d) })
    }
    pub(super) fn drained(self, converged: bool) -> Self {
        let missing = if converged { "" } else { "something" };
        self.say(What::Drained { converged, missing: missing.to_owned() })
    }
    /// Heal, every device drained, end.
    pub(super) fn end(mut self) -> Self {
        self = self.phase(Phase::Heal).phase(Phase::Drain);
        let devices = self.devices.clone();
        self = devices.iter().fold(self, |h, (d, _)| h.quiet(d.0));
        self.drained(true).phase(Phase::Judge)
    }
}
