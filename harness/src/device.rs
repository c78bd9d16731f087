//! The person behind a client: sends when told to, answers what they saw, reads after a while, takes
//! their time. Sans-IO, around any [`Adapter`], so that every protocol and every world has the same users.

use std::collections::{BTreeMap, VecDeque};

use avouch_reports::history::{Conversation, Device as DeviceNumber, Message, User, What};
use avouch_scenarios::plan::Do;
use bytes::Bytes;
use rustc_hash::FxHashSet;

use crate::adapter::{Adapter, Change, Effect, Input, Outgoing, Wish};
use crate::payload;

/// How a person behaves.
#[derive(Clone, Debug)]
pub struct Habits {
    /// Device number.
    pub number: u32,
    /// Salt of the run's payloads.
    pub salt: u32,
    /// Time per delivery; 0 = at once.
    pub consume_ns: u64,
    /// Marks as read after this long.
    pub reads_after_ns: Option<u64>,
    /// Gives a send up after this long.
    pub give_up_ns: Option<u64>,
}

/// What the conductor asks of a device.
#[derive(Clone, Debug)]
pub enum Order {
    /// A step of the plan, with the time that it was intended for.
    Do {
        /// When it should have happened.
        intended_ns: u64,
        /// What.
        what: Do,
    },
    /// Make a conversation or add to it before the history begins (not an operation of the run).
    SetUp(Change),
    /// Take this long per delivery from now on.
    Consume {
        /// Per delivery.
        consume_ns: u64,
    },
    /// Stop trying whatever is still unanswered: its outcome is unknown.
    GiveUpAll,
}

/// Makes the adapter of a fresh installation; the number says which one it is.
pub type Install = Box<dyn Fn(u32) -> Box<dyn Adapter>>;

/// One device.
pub struct Device {
    habits: Habits,
    install: Install,
    installation: u32,
    adapter: Box<dyn Adapter>,
    /// Operations without an outcome.
    outstanding: FxHashSet<Message>,
    /// When they are given up, if ever: by rising time, and stale once there is an outcome.
    deadlines: VecDeque<(u64, Message)>,
    setting_up: BTreeMap<Message, bool>,
    newest: BTreeMap<u32, (Option<Message>, u64)>,
    reads_due: VecDeque<(u64, u32, u64)>,
    unconsumed: usize,
    consume_due_ns: Option<u64>,
    reading: BTreeMap<u64, u32>,
    requests: u64,
    saw: VecDeque<What>,
    unsaw: VecDeque<Effect>,
}

impl Device {
    /// A device as it comes out of the box.
    pub fn new(habits: Habits, install: Install) -> Self {
        let adapter = install(0);
        Self {
            habits,
            install,
            installation: 0,
            adapter,
            outstanding: FxHashSet::default(),
            deadlines: VecDeque::new(),
            setting_up: BTreeMap::new(),
            newest: BTreeMap::new(),
            reads_due: VecDeque::new(),
            unconsumed: 0,
            consume_due_ns: None,
            reading: BTreeMap::new(),
            requests: 0,
            saw: VecDeque::new(),
            unsaw: VecDeque::new(),
        }
    }

    /// Its number.
    pub fn number(&self) -> DeviceNumber {
        DeviceNumber(self.habits.number)
    }

    /// Whether nothing is outstanding.
    pub fn is_idle(&self) -> bool {
        self.outstanding.is_empty()
            && self.reads_due.is_empty()
            && self.reading.is_empty()
            && self.unconsumed == 0
            && self.adapter.is_idle()
    }

    /// The transport is connected.
    pub fn connected(&mut self, now_ns: u64) {
        self.adapter.handle(now_ns, Input::Connected);
    }

    /// Something arrived.
    pub fn received(&mut self, now_ns: u64, bytes: Bytes) {
        self.adapter.handle(now_ns, Input::Received(bytes));
    }

    /// The transport ended.
    pub fn disconnected(&mut self, now_ns: u64) {
        self.adapter.handle(now_ns, Input::Disconnected);
    }

    /// The conductor wants something.
    pub fn order(&mut self, now_ns: u64, order: Order) {
        match order {
            Order::Do { intended_ns, what } => self.act(now_ns, intended_ns, what),
            Order::SetUp(change) => {
                self.setting_up.insert(change.message, true);
                self.wish(now_ns, Wish::ChangeMembers(change));
            }
            Order::Consume { consume_ns } => {
                self.habits.consume_ns = consume_ns;
                self.consume_due_ns = (self.unconsumed > 0).then_some(now_ns + consume_ns);
            }
            Order::GiveUpAll => {
                for message in self.take_outstanding() {
                    self.give_up(now_ns, message, "not answered by the end of the drain");
                }
            }
        }
    }

    /// The time that was asked for has come.
    pub fn timeout(&mut self, now_ns: u64) {
        self.adapter.handle(now_ns, Input::Timeout);
        while let Some(&(due_ns, conversation, up_to)) = self.reads_due.front()
            && due_ns <= now_ns
        {
            self.reads_due.pop_front();
            self.mark_read(now_ns, conversation, up_to);
        }
        if self.consume_due_ns.is_some_and(|due| due <= now_ns) {
            self.consume_one(now_ns);
        }
        while let Some(&(deadline_ns, message)) = self.deadlines.front()
            && deadline_ns <= now_ns
        {
            self.deadlines.pop_front();
            if self.outstanding.remove(&message) {
                self.give_up(now_ns, message, "not answered in time");
            }
        }
    }

    /// When [`Device::timeout`] is wanted.
    pub fn next_timeout_ns(&self) -> Option<u64> {
        let read = self.reads_due.front().map_or(u64::MAX, |due| due.0);
        let deadline = self.deadlines.front().map_or(u64::MAX, |deadline| deadline.0);
        let adapter = self.adapter.next_timeout_ns().unwrap_or(u64::MAX);
        let next_ns = adapter.min(read).min(deadline).min(self.consume_due_ns.unwrap_or(u64::MAX));
        (next_ns < u64::MAX).then_some(next_ns)
    }

    /// The next thing to do outside, until `None`.
    pub fn poll(&mut self, now_ns: u64) -> Option<Effect> {
        loop {
            if let Some(what) = self.saw.pop_front() {
                return Some(Effect::Saw(what));
            }
            if let Some(effect) = self.unsaw.pop_front() {
                return Some(effect);
            }
            match self.adapter.poll()? {
                Effect::Saw(what) => {
                    if !self.is_set_up(&what) {
                        self.notice(now_ns, &what);
                        return Some(Effect::Saw(what));
                    }
                }
                other => return Some(other),
            }
        }
    }

    /// Whether every set-up operation was accepted; `Err` names a refusal.
    pub fn is_set_up_done(&self) -> bool {
        self.setting_up.is_empty()
    }

    fn act(&mut self, now_ns: u64, intended_ns: u64, what: Do) {
        match what {
            Do::Connect => self.wish(now_ns, Wish::Connect),
            Do::Disconnect => self.wish(now_ns, Wish::Disconnect),
            Do::Reinstall => self.reinstall(now_ns),
            Do::Send { conversation, message, bytes, reply } => {
                let sending = Sending { conversation, message: Message(message), bytes, reply };
                self.send(now_ns, intended_ns, &sending);
            }
            Do::ReadHistory { conversation } if self.adapter.has_history() => {
                self.page(now_ns, conversation, 0);
            }
            Do::ReadHistory { .. } => {}
            Do::ChangeMembers { conversation, message, added, removed } => {
                let message = Message(message);
                self.saw.push_back(What::MembersChange {
                    device: self.number(),
                    conversation: Conversation(conversation),
                    message,
                    added: added.iter().map(|user| User(*user)).collect(),
                    removed: removed.iter().map(|user| User(*user)).collect(),
                });
                self.await_outcome(intended_ns, message);
                self.wish(now_ns, Wish::ChangeMembers(Change { conversation, message, added, removed }));
            }
        }
    }

    fn send(&mut self, now_ns: u64, intended_ns: u64, sending: &Sending) {
        let Sending { conversation, message, bytes, reply } = *sending;
        let payload = payload::make(self.habits.salt, message, bytes);
        let newest = reply.then(|| self.newest.get(&conversation).copied()).flatten();
        self.saw.push_back(What::Send {
            device: self.number(),
            conversation: Conversation(conversation),
            message,
            intended_ns,
            bytes: payload.len() as u32,
            digest: payload::digest(&payload),
            reply_to: newest.and_then(|newest| newest.0),
        });
        self.await_outcome(intended_ns, message);
        let reply_to_seq = newest.map(|newest| newest.1).filter(|seq| *seq > 0);
        self.wish(now_ns, Wish::Send(Outgoing { conversation, message, payload, reply_to_seq }));
    }

    fn await_outcome(&mut self, intended_ns: u64, message: Message) {
        self.outstanding.insert(message);
        if let Some(after_ns) = self.habits.give_up_ns {
            let deadline_ns = intended_ns + after_ns;
            let at = self.deadlines.partition_point(|deadline| deadline.0 <= deadline_ns);
            self.deadlines.insert(at, (deadline_ns, message));
        }
    }

    /// They have an outcome now, oldest first.
    fn take_outstanding(&mut self) -> Vec<Message> {
        let mut all: Vec<Message> = self.outstanding.drain().collect();
        all.sort_unstable();
        all
    }

    fn reinstall(&mut self, now_ns: u64) {
        self.adapter.handle(now_ns, Input::Wish(Wish::Disconnect));
        for message in self.take_outstanding() {
            self.unknown(message, "the device was reinstalled");
        }
        while let Some(effect) = self.adapter.poll() {
            if !matches!(effect, Effect::Connect) {
                self.unsaw.push_back(effect);
            }
        }
        self.unsaw.push_back(Effect::Disconnect);
        self.installation += 1;
        self.adapter = (self.install)(self.installation);
        self.newest.clear();
        self.reads_due.clear();
        self.reading.clear();
        self.unconsumed = 0;
        self.consume_due_ns = None;
        self.saw.push_back(What::Reinstalled { device: self.number() });
        self.wish(now_ns, Wish::Connect);
    }

    fn wish(&mut self, now_ns: u64, wish: Wish) {
        self.adapter.handle(now_ns, Input::Wish(wish));
    }

    fn give_up(&mut self, now_ns: u64, message: Message, why: &str) {
        self.wish(now_ns, Wish::GiveUp(message));
        self.unknown(message, why);
    }

    fn unknown(&mut self, message: Message, why: &str) {
        self.saw.push_back(What::Unknown { device: self.number(), message, why: why.to_owned() });
    }

    /// Outcomes of set-up operations are no events of the run.
    fn is_set_up(&mut self, what: &What) -> bool {
        match what {
            What::Accepted { message, .. } => self.setting_up.remove(message).is_some(),
            What::Retry { message, .. } | What::Rejected { message, .. } | What::Unknown { message, .. } => {
                self.setting_up.contains_key(message)
            }
            _ => false,
        }
    }

    fn notice(&mut self, now_ns: u64, what: &What) {
        match what {
            What::Accepted { message, .. }
            | What::Rejected { message, .. }
            | What::Unknown { message, .. } => {
                self.outstanding.remove(message);
                while let Some((_, first)) = self.deadlines.front()
                    && !self.outstanding.contains(first)
                {
                    self.deadlines.pop_front();
                }
            }
            What::Delivered { conversation, message, seq, .. } => {
                let seq = seq.unwrap_or(0);
                self.newest.insert(conversation.0, (*message, seq));
                self.consume(now_ns);
                if let Some(after_ns) = self.habits.reads_after_ns.filter(|_| seq > 0) {
                    self.reads_due.push_back((now_ns + after_ns, conversation.0, seq));
                }
            }
            What::MembersChanged { .. } => self.consume(now_ns),
            What::Page { conversation, request, items, complete, .. } => {
                let last = items.iter().filter_map(|item| item.seq).max();
                if self.reading.remove(request).is_some()
                    && let Some(after) = last.filter(|_| !complete)
                {
                    self.page(now_ns, conversation.0, after);
                }
            }
            _ => {}
        }
    }

    /// Every page is a request of its own: a late second answer to an earlier one must not be taken for this one's.
    fn page(&mut self, now_ns: u64, conversation: u32, after: u64) {
        self.requests += 1;
        let request = self.requests;
        self.reading.insert(request, conversation);
        self.unsaw.push_back(Effect::Saw(What::PageRequested {
            device: self.number(),
            conversation: Conversation(conversation),
            request,
            after,
        }));
        self.wish(now_ns, Wish::Page { conversation, request, after });
    }

    fn mark_read(&mut self, now_ns: u64, conversation: u32, up_to: u64) {
        self.saw.push_back(What::Read {
            device: self.number(),
            conversation: Conversation(conversation),
            up_to,
        });
        self.wish(now_ns, Wish::MarkRead { conversation, up_to });
    }

    fn consume(&mut self, now_ns: u64) {
        self.unconsumed += 1;
        if self.habits.consume_ns == 0 {
            // Also what was left when a slow application became quick.
            let taken = std::mem::take(&mut self.unconsumed);
            self.consume_due_ns = None;
            self.wish(now_ns, Wish::Consumed(taken));
        } else if self.consume_due_ns.is_none() {
            self.consume_due_ns = Some(now_ns + self.habits.consume_ns);
        }
    }

    fn consume_one(&mut self, now_ns: u64) {
        let taken = if self.habits.consume_ns == 0 { self.unconsumed } else { self.unconsumed.min(1) };
        self.unconsumed -= taken;
        self.consume_due_ns = (self.unconsumed > 0).then_some(now_ns + self.habits.consume_ns);
        self.wish(now_ns, Wish::Consumed(taken));
    }
}

#[derive(Clone, Copy)]
struct Sending {
    conversation: u32,
    message: Message,
    bytes: u32,
    reply: bool,
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use avouch_reports::history::Rung;

    use super::*;

    /// Remembers what it was asked, and says what the test puts into its mouth.
    #[derive(Default)]
    struct Puppet {
        asked: Rc<RefCell<Vec<String>>>,
        says: Rc<RefCell<VecDeque<Effect>>>,
    }

    impl Adapter for Puppet {
        fn handle(&mut self, now_ns: u64, input: Input) {
            if let Input::Wish(wish) = input {
                let name = format!("{wish:?}");
                let word = name.split([' ', '(', '{']).next().unwrap_or_default().to_owned();
                self.asked.borrow_mut().push(format!("{now_ns} {word}"));
            }
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

    struct Scene {
        device: Device,
        asked: Rc<RefCell<Vec<String>>>,
        says: Rc<RefCell<VecDeque<Effect>>>,
    }

    fn scene(habits: Habits) -> Scene {
        let (asked, says) = (Rc::default(), Rc::<RefCell<VecDeque<Effect>>>::default());
        let install: Install = {
            let (asked, says): (Rc<RefCell<Vec<String>>>, _) = (Rc::clone(&asked), says.clone());
            Box::new(move |_| Box::new(Puppet { asked: asked.clone(), says: says.clone() }))
        };
        Scene { device: Device::new(habits, install), asked, says }
    }

    fn habits() -> Habits {
        Habits { number: 0, salt: 1, consume_ns: 0, reads_after_ns: None, give_up_ns: None }
    }

    fn delivered(seq: u64) -> What {
        What::Delivered {
            device: DeviceNumber(0),
            conversation: Conversation(0),
            message: Some(Message(seq)),
            seq: Some(seq),
            digest: 0,
            redelivered: false,
        }
    }

    impl Scene {
        fn hears(&mut self, now_ns: u64, what: What) -> Vec<What> {
            self.says.borrow_mut().push_back(Effect::Saw(what));
            self.events(now_ns)
        }
        fn events(&mut self, now_ns: u64) -> Vec<What> {
            let mut events = Vec::new();
            while let Some(effect) = self.device.poll(now_ns) {
                if let Effect::Saw(what) = effect {
                    events.push(what);
                }
            }
            events
        }
        fn asked(&self) -> Vec<String> {
            self.asked.borrow_mut().drain(..).collect()
        }
        fn act(&mut self, now_ns: u64, what: Do) {
            self.device.order(now_ns, Order::Do { intended_ns: now_ns, what });
        }
    }

    fn send(message: u64, reply: bool) -> Do {
        Do::Send { conversation: 0, message, bytes: 40, reply }
    }

    #[test]
    fn a_reply_names_the_newest_message_that_was_seen() {
        let mut scene = scene(habits());
        scene.hears(1, delivered(7));
        scene.act(2, send(9, true));
        let events = scene.events(2);
        assert!(
            matches!(events[..], [What::Send { reply_to: Some(Message(7)), message: Message(9), .. }]),
            "{events:?}"
        );
    }

    #[test]
    fn a_send_without_an_answer_is_given_up_in_time_and_counts_as_unknown() {
        let mut scene = scene(Habits { give_up_ns: Some(100), ..habits() });
        scene.act(5, send(1, false));
        scene.events(5);
        assert!(!scene.device.is_idle());
        assert_eq!(scene.device.next_timeout_ns(), Some(105));
        scene.device.timeout(104);
        assert!(scene.events(104).is_empty());
        scene.device.timeout(105);
        assert!(matches!(scene.events(105)[..], [What::Unknown { message: Message(1), .. }]));
        assert_eq!(scene.asked(), ["5 Send", "105 GiveUp"]);
        assert!(scene.device.is_idle());
    }

    #[test]
    fn an_answer_in_time_ends_the_operation() {
        let mut scene = scene(Habits { give_up_ns: Some(100), ..habits() });
        scene.act(5, send(1, false));
        let accepted =
            What::Accepted { device: DeviceNumber(0), message: Message(1), seq: Some(1), rung: Rung::Stored };
        scene.hears(6, accepted);
        assert_eq!(scene.device.next_timeout_ns(), None);
        assert!(scene.device.is_idle());
    }

    #[test]
    fn a_slow_reader_takes_one_delivery_at_a_time() {
        let mut scene = scene(Habits { consume_ns: 10, ..habits() });
        scene.hears(100, delivered(1));
        scene.hears(101, delivered(2));
        assert_eq!(scene.device.next_timeout_ns(), Some(110));
        scene.device.timeout(110);
        assert_eq!(scene.asked(), ["110 Consumed"]);
        assert_eq!(scene.device.next_timeout_ns(), Some(120));
        scene.device.order(112, Order::Consume { consume_ns: 0 });
        scene.device.timeout(112);
        assert_eq!(scene.asked(), ["112 Consumed"]);
        assert!(scene.device.is_idle());
    }

    #[test]
    fn read_marks_follow_deliveries_after_a_while() {
        let mut scene = scene(Habits { reads_after_ns: Some(50), ..habits() });
        scene.hears(10, delivered(3));
        assert_eq!(scene.device.next_timeout_ns(), Some(60));
        scene.device.timeout(60);
        assert!(matches!(scene.events(60)[..], [What::Read { up_to: 3, .. }]));
        assert_eq!(scene.asked(), ["10 Consumed", "60 MarkRead"]);
    }

    #[test]
    fn reading_history_goes_on_page_by_page_to_the_end() {
        let mut scene = scene(habits());
        scene.act(1, Do::ReadHistory { conversation: 0 });
        scene.events(1);
        let page = |request, last: u64, complete| What::Page {
            device: DeviceNumber(0),
            conversation: Conversation(0),
            request,
            items: vec![avouch_reports::history::PageItem { seq: Some(last), message: None, digest: 0 }],
            complete,
        };
        let events = scene.hears(2, page(1, 5, false));
        assert!(
            matches!(events[..], [What::Page { .. }, What::PageRequested { after: 5, request: 2, .. }]),
            "{events:?}"
        );
        assert!(!scene.device.is_idle());
        scene.hears(3, page(2, 6, true));
        assert!(scene.device.is_idle());
        assert_eq!(scene.asked(), ["1 Page", "2 Page"]);
    }

    #[test]
    fn a_second_answer_to_an_earlier_page_asks_for_nothing() {
        let mut scene = scene(habits());
        scene.act(1, Do::ReadHistory { conversation: 0 });
        let page = |request, seq, complete| What::Page {
            device: DeviceNumber(0),
            conversation: Conversation(0),
            request,
            items: vec![avouch_reports::history::PageItem { seq: Some(seq), message: None, digest: 0 }],
            complete,
        };
        scene.hears(2, page(1, 5, false));
        assert!(matches!(scene.hears(3, page(1, 5, false))[..], [What::Page { .. }]));
        scene.hears(4, page(2, 6, true));
        assert!(scene.device.is_idle());
        assert_eq!(scene.asked(), ["1 Page", "2 Page"]);
    }

    #[test]
    fn a_reinstalled_device_forgets_and_says_so() {
        let mut scene = scene(habits());
        scene.hears(1, delivered(7));
        scene.act(2, send(9, false));
        scene.act(3, Do::Reinstall);
        let events = scene.events(3);
        assert!(
            matches!(
                events[..],
                [What::Send { .. }, What::Unknown { message: Message(9), .. }, What::Reinstalled { .. }]
            ),
            "{events:?}"
        );
        scene.act(4, send(10, true));
        assert!(matches!(scene.events(4)[..], [What::Send { reply_to: None, .. }]));
    }

    #[test]
    fn set_up_is_no_part_of_the_history() {
        let mut scene = scene(habits());
        let change = Change { conversation: 0, message: Message(1 << 62), added: vec![0], removed: vec![] };
        scene.device.order(1, Order::SetUp(change));
        assert!(!scene.device.is_set_up_done());
        let accepted = What::Accepted {
            device: DeviceNumber(0),
            message: Message(1 << 62),
            seq: Some(1),
            rung: Rung::Stored,
        };
        assert!(scene.hears(2, accepted).is_empty());
        assert!(scene.device.is_set_up_done());
    }
}
