//! Where events go, as they happen: to the history on disk, to the checkers and to the latency
//! recorder; and the few running facts that the conductor steers by.

mod owed;

use std::cell::{Ref, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use avouch_reports::history::{Event, Message, Rung, What};
use rustc_hash::{FxHashMap, FxHashSet};

use owed::Receipts;
pub use owed::{OwedReceipt, Owing};

/// Takes every event, in order. An error ends the run (a full disk, say).
pub type Sink = Box<dyn FnMut(&Event) -> Result<(), String>>;

/// A shared recorder. Single-threaded: every world runs its clients on one thread.
#[derive(Clone)]
pub struct Recorder(Rc<RefCell<Inner>>);

struct Inner {
    last_ns: u64,
    sink: Sink,
    progress: Progress,
    failed: Option<String>,
}

/// What the conductor needs to know at any time; follows from the events alone.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    /// Per device.
    pub devices: BTreeMap<u32, DeviceProgress>,
    /// Per conversation: the highest position that was acknowledged or seen.
    pub heads: BTreeMap<u32, u64>,
    /// Per conversation and user: the newest position that says whether they belong, and what it says.
    pub members: BTreeMap<u32, BTreeMap<u32, (u64, bool)>>,
    /// Where the operations without an outcome go, and whether they are messages.
    pending: FxHashMap<Message, (u32, bool)>,
    /// What the target promises beyond deliveries to members.
    owing: Owing,
    receipts: Receipts,
    /// What was told last about the target that is worth a line.
    pub note: Option<String>,
    /// Rises with every event.
    pub events: u64,
    /// Whose device it is.
    pub users: BTreeMap<u32, u32>,
    /// Per planned fault: how often it fired.
    pub fired: BTreeMap<u32, u64>,
    /// Operations invoked, accepted, rejected, unknown.
    pub outcomes: [u64; 4],
    /// Messages that reached an application.
    pub delivered: u64,
    /// Rises with every event that shows that something moves.
    pub moved: u64,
    /// Rises with every event of which the plan allows so many and no more: an operation begins or has its outcome, an
    /// application gets a position or a message that it had not.
    pub gained: u64,
    /// Per conversation, where the protocol has no positions: what was accepted.
    unplaced: BTreeMap<u32, FxHashSet<Message>>,
}

/// One device's.
#[derive(Clone, Debug, Default)]
pub struct DeviceProgress {
    /// It has a session.
    pub connected: bool,
    /// It had one.
    pub ever_connected: bool,
    /// Sessions so far.
    pub sessions: u64,
    /// Operations without an outcome.
    pub outstanding: u64,
    /// Per conversation: the highest position that its application has.
    pub has: BTreeMap<u32, u64>,
    /// Per conversation: positions of its own messages, where they do not come back to it.
    own: BTreeMap<u32, BTreeSet<u64>>,
    /// What its application has without a position.
    unplaced: FxHashSet<Message>,
}

impl DeviceProgress {
    /// How much its application has: positions, and messages without any.
    pub fn taken(&self) -> u64 {
        self.has.values().sum::<u64>() + self.unplaced.len() as u64
    }
}

impl Recorder {
    /// Writes to `sink`.
    pub fn new(sink: Sink) -> Self {
        Self(Rc::new(RefCell::new(Inner { last_ns: 0, sink, progress: Progress::default(), failed: None })))
    }

    /// The drain waits for this as well.
    #[must_use]
    pub fn owing(self, owing: Owing) -> Self {
        self.0.borrow_mut().progress.owing = owing;
        self
    }

    /// Takes an event. Hosts of a simulation may be a fraction of a tick apart; time never falls here.
    pub fn record(&self, at_ns: u64, what: What) {
        let inner = &mut *self.0.borrow_mut();
        inner.last_ns = inner.last_ns.max(at_ns);
        let event = Event { at_ns: inner.last_ns, what };
        inner.progress.follow(&event.what);
        if inner.failed.is_none()
            && let Err(why) = (inner.sink)(&event)
        {
            inner.failed = Some(why);
        }
    }

    /// The tool itself failed: nothing that comes after this can be judged.
    pub fn fail(&self, why: String) {
        self.0.borrow_mut().failed.get_or_insert(why);
    }

    /// Why recording stopped, if it did.
    pub fn failure(&self) -> Option<String> {
        self.0.borrow().failed.clone()
    }

    /// The running facts.
    pub fn progress(&self) -> Ref<'_, Progress> {
        Ref::map(self.0.borrow(), |inner| &inner.progress)
    }
}

impl Progress {
    fn device(&mut self, device: u32) -> &mut DeviceProgress {
        self.devices.entry(device).or_default()
    }

    fn reached(&mut self, device: u32, conversation: u32, seq: Option<u64>) {
        let seq = seq.unwrap_or(0);
        let head = self.heads.entry(conversation).or_default();
        *head = seq.max(*head);
        let has = self.device(device).has.entry(conversation).or_default();
        let is_new = seq > *has;
        *has = seq.max(*has);
        self.gained += u64::from(is_new);
        self.moved += 1;
    }

    fn invoked(&mut self, device: u32, message: Message, (conversation, is_message): (u32, bool)) {
        self.device(device).outstanding += 1;
        self.outcomes[0] += 1;
        self.gained += 1;
        self.pending.insert(message, (conversation, is_message));
    }

    /// Whether a connected member lacks something that was accepted, where the protocol has no positions by which to tell.
    pub fn lacks_unplaced(&self) -> bool {
        let lacks = |(conversation, accepted): (&u32, &FxHashSet<Message>)| {
            let members = self.members.get(conversation);
            let belongs = |device: &u32| {
                let user = self.users.get(device);
                user.zip(members).is_some_and(|(user, members)| members.get(user).is_some_and(|it| it.1))
            };
            let members = self.devices.iter().filter(|(number, device)| device.connected && belongs(number));
            members.into_iter().any(|(_, device)| !accepted.is_subset(&device.unplaced))
        };
        self.unplaced.iter().any(lacks)
    }

    fn outcome(&mut self, device: u32, message: Message, which: usize, seq: Option<u64>) {
        let Some((conversation, is_message)) = self.pending.remove(&message) else { return };
        if let (true, true, Some(seq)) = (is_message, self.owing.receipts, seq) {
            self.receipts.sent(conversation, device, seq);
        }
        let head = self.heads.entry(conversation).or_default();
        *head = seq.unwrap_or(0).max(*head);
        let is_own = is_message && self.owing.nothing_to_senders;
        let device = self.device(device);
        if let Some(seq) = seq.filter(|_| is_own) {
            device.own.entry(conversation).or_default().insert(seq);
        }
        device.outstanding = device.outstanding.saturating_sub(1);
        self.outcomes[which] += 1;
        self.moved += 1;
        self.gained += 1;
    }

    fn follow(&mut self, what: &What) {
        self.events += 1;
        if self.owing.receipts {
            self.receipts.follow(what);
        }
        match what {
            What::Device { device, user, .. } => {
                self.users.insert(device.0, user.0);
                self.device(device.0);
            }
            What::Conversation { conversation, members, .. } => {
                let known = self.members.entry(conversation.0).or_default();
                known.extend(members.iter().map(|user| (user.0, (0, true))));
            }
            What::Session { device, .. } => {
                let device = self.device(device.0);
                device.connected = true;
                device.ever_connected = true;
                device.sessions += 1;
                self.moved += 1;
            }
            What::Disconnected { device, .. } => self.device(device.0).connected = false,
            What::Reinstalled { device } => {
                let device = self.device(device.0);
                device.connected = false;
                device.has.clear();
            }
            What::Send { device, conversation, message, .. } => {
                self.invoked(device.0, *message, (conversation.0, true));
            }
            What::MembersChange { device, conversation, message, .. } => {
                self.invoked(device.0, *message, (conversation.0, false));
            }
            What::Accepted { device, message, seq, rung } => {
                if seq.is_none()
                    && *rung >= Rung::Accepted
                    && let Some(&(conversation, _)) = self.pending.get(message)
                {
                    self.unplaced.entry(conversation).or_default().insert(*message);
                }
                self.outcome(device.0, *message, 1, *seq);
            }
            What::Rejected { device, message, .. } => self.outcome(device.0, *message, 2, None),
            What::Unknown { device, message, .. } => self.outcome(device.0, *message, 3, None),
            What::Delivered { device, conversation, message, seq, .. } => {
                self.delivered += 1;
                if seq.is_none()
                    && let Some(message) = *message
                    && self.device(device.0).unplaced.insert(message)
                {
                    self.gained += 1;
                }
                self.reached(device.0, conversation.0, *seq);
            }
            What::MembersChanged { device, conversation, seq, added, removed } => {
                let known = self.members.entry(conversation.0).or_default();
                let at = seq.unwrap_or(u64::MAX);
                let changes = added.iter().map(|user| (user.0, true));
                for (user, belongs) in changes.chain(removed.iter().map(|user| (user.0, false))) {
                    let newest = known.entry(user).or_default();
                    *newest = (at, belongs).max(*newest);
                }
                self.reached(device.0, conversation.0, *seq);
            }
            What::Note { text } => self.note = Some(text.clone()),
            What::FaultFired { id, .. } => *self.fired.entry(*id).or_default() += 1,
            What::Receipt { .. } | What::ReadConfirmed { .. } | What::Page { .. } => self.moved += 1,
            _ => {}
        }
    }
}
