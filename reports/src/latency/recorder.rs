//! Consumes a history and records latencies.
//!
//! Memory: one entry per message that somebody still waits for. An entry goes when the message was refused, or accepted
//! and delivered to every device that its conversation had when it was sent, and receipted by each (receipts are no
//! longer waited for once [`RECEIPTLESS_AFTER`] messages went without any: the target has none). Who is away keeps
//! entries alive; over [`MESSAGES_TRACKED_MAX`] the oldest is given up and counted as `forgotten`.

mod owed;
mod surroundings;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use hdrhistogram::Histogram;
use rustc_hash::FxHashMap;

use super::by_size::BySize;
use super::hlog::IntervalLog;
use super::segments::Segments;
use super::{
    FaultFigures, From, INTERVAL_NS, IntervalFigures, LATENCY_US_MAX, LATENCY_US_MIN, SIGNIFICANT_DIGITS,
    Series, Stage, Window,
};
use crate::history::{Conversation, Device, Event, Message, ReceiptKind, User, What};

/// Most messages that are waited for at a time.
pub const MESSAGES_TRACKED_MAX: usize = 500_000;
/// So many delivered messages without a single receipt, and receipts are no longer waited for.
const RECEIPTLESS_AFTER: u64 = 10_000;

/// The order of messages may hold this many more than twice those that are waited for.
const ORDER_SLACK: usize = 1_024;
/// Most pairs of (sender and conversation, recipient) whose receipts are followed. Over it, receipts are still measured for
/// the known pairs, and missing ones are no longer counted as infinite.
pub const RECEIPT_CURSORS_MAX: usize = 2_000_000;

/// How to record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecorderOptions {
    /// This long after a fault's end still counts as inside its window (time to reconnect and to work off a backlog).
    pub settle_ns: u64,
    /// Length of an interval of the log: whole milliseconds that a second is a multiple of.
    pub interval_ns: u64,
}

impl Default for RecorderOptions {
    fn default() -> Self {
        Self { settle_ns: 0, interval_ns: INTERVAL_NS }
    }
}

/// What is known of a message that somebody still waits for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waiting {
    sender: Device,
    conversation: Conversation,
    /// The place of its conversation's size.
    pub(super) size: usize,
    intended_ns: u64,
    sent_ns: u64,
    seq: Option<u64>,
    /// Devices that should get it: all of the members' but the sender.
    expected: u32,
    /// Devices whose receipts the sender should get: those of other users.
    receipts_expected: u32,
    delivered: u32,
    receipts: u32,
    accepted: bool,
}

/// A sender's own messages in a conversation, to find those that a cumulative receipt covers.
#[derive(Debug, Default)]
struct Own {
    by_seq: BTreeMap<u64, Message>,
    /// How far each device is known to have it.
    receipted: BTreeMap<Device, u64>,
}

#[derive(Debug, Default)]
struct Members {
    users: BTreeSet<User>,
    /// Devices of the members.
    devices: u32,
    /// Last membership change that was taken in.
    seq: u64,
}

/// Records the latencies of one run.
#[derive(Debug)]
pub struct LatencyRecorder {
    options: RecorderOptions,
    pub(super) totals: Vec<Histogram<u64>>,
    pub(super) log: IntervalLog,
    pub(super) sizes: BySize,
    segments: Segments,
    waiting: FxHashMap<Message, Waiting>,
    /// The same messages, oldest first; may hold some that are gone already.
    order: VecDeque<Message>,
    own: FxHashMap<(Device, Conversation), Own>,
    members: FxHashMap<Conversation, Members>,
    devices_of: FxHashMap<User, u32>,
    user_of: FxHashMap<Device, User>,
    faults_active: BTreeSet<u32>,
    /// Until when a fault was active, as far as is known.
    faulty_until_ns: Option<u64>,
    any_receipt: bool,
    done_without_receipt: u64,
    receipt_cursors: usize,
    forgotten: u64,
    now_ns: u64,
}

pub(super) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(LATENCY_US_MIN, LATENCY_US_MAX, SIGNIFICANT_DIGITS)
        .expect("the bounds are constants that the histogram allows")
}

impl Default for LatencyRecorder {
    fn default() -> Self {
        Self::new(RecorderOptions::default())
    }
}

impl LatencyRecorder {
    /// Nothing recorded yet.
    pub fn new(options: RecorderOptions) -> Self {
        Self {
            options,
            totals: (0..Series::COUNT).map(|_| histogram()).collect(),
            log: IntervalLog::new(options.interval_ns),
            sizes: BySize::default(),
            segments: Segments::default(),
            waiting: FxHashMap::default(),
            order: VecDeque::new(),
            own: FxHashMap::default(),
            members: FxHashMap::default(),
            devices_of: FxHashMap::default(),
            user_of: FxHashMap::default(),
            faults_active: BTreeSet::new(),
            faulty_until_ns: None,
            any_receipt: false,
            done_without_receipt: 0,
            receipt_cursors: 0,
            forgotten: 0,
            now_ns: 0,
        }
    }

    /// Takes the next event.
    pub fn observe(&mut self, event: &Event) {
        self.now_ns = event.at_ns;
        self.log.advance(event.at_ns);
        match &event.what {
            What::Send { device, conversation, message, intended_ns, .. } => {
                self.send(*device, *conversation, *message, *intended_ns);
            }
            What::Accepted { message, seq, .. } => self.accepted(*message, *seq),
            What::Rejected { message, .. } => self.forget(*message),
            What::Delivered { device, message: Some(message), seq, .. } => {
                self.delivered(*device, *message, *seq);
            }
            What::Receipt { device, conversation, by, kind: ReceiptKind::Delivered, up_to } => {
                self.receipt(*device, *conversation, *by, *up_to);
            }
            What::Device { device, user, .. } => {
                self.user_of.insert(*device, *user);
                *self.devices_of.entry(*user).or_default() += 1;
                for members in self.members.values_mut().filter(|members| members.users.contains(user)) {
                    members.devices += 1;
                }
            }
            What::Conversation { conversation, members, .. } => self.join(*conversation, 0, members, &[]),
            What::MembersChanged { conversation, seq, added, removed, .. } => {
                self.join(*conversation, seq.unwrap_or(u64::MAX), added, removed);
            }
            what => self.fault(what),
        }
    }

    /// Deliveries that were measured so far.
    pub fn deliveries(&self) -> u64 {
        let of = |window| Series { stage: Stage::Delivered, from: From::Intended, window };
        Window::ALL.into_iter().map(|window| self.total(of(window)).len()).sum()
    }

    /// Seconds that are over, in short.
    pub fn intervals(&self) -> &[IntervalFigures] {
        self.log.closed()
    }

    /// Closes the open interval before its time: for the end of a run.
    pub fn close_interval(&mut self) {
        self.log.close();
    }

    /// What each fault did to latency, in the order of their beginnings.
    pub fn faults(&self) -> Vec<FaultFigures> {
        self.segments.figures()
    }

    /// Everything recorded of one kind, over the whole run, in microseconds.
    pub fn total(&self, series: Series) -> &Histogram<u64> {
        &self.totals[series.index()]
    }

    /// Writes the interval log (`.hlog`, format 1.2): per second and series, tagged, values in microseconds.
    /// The time stamps count from the beginning of the run, so equal runs give equal bytes.
    pub fn write_hlog(&mut self, out: &mut dyn std::io::Write) -> std::io::Result<()> {
        self.log.write(out)
    }

    /// How many messages are waited for.
    pub fn tracked(&self) -> usize {
        self.waiting.len()
    }

    fn send(&mut self, sender: Device, conversation: Conversation, message: Message, intended_ns: u64) {
        let user = self.user_of.get(&sender);
        let members = self.members.get(&conversation);
        let devices = members.map_or(0, |members| members.devices);
        // Who sends without being a member (a publisher) is not among those who get it.
        let is_member = members.is_none_or(|members| user.is_none_or(|user| members.users.contains(user)));
        let own_devices = user.and_then(|user| self.devices_of.get(user)).copied().unwrap_or(1);
        let taking_part = members.map_or(0, |members| members.users.len()) + usize::from(!is_member);
        let size = self.size_of(taking_part as u32);
        self.own.entry((sender, conversation)).or_default();
        let sent_ns = self.now_ns;
        let waiting = Waiting {
            sender,
            conversation,
            size,
            intended_ns: intended_ns.min(sent_ns),
            sent_ns,
            seq: None,
            expected: devices.saturating_sub(u32::from(is_member)),
            receipts_expected: devices.saturating_sub(if is_member { own_devices } else { 0 }),
            delivered: 0,
            receipts: 0,
            accepted: false,
        };
        if self.waiting.insert(message, waiting).is_none() {
            self.order.push_back(message);
        }
        self.bound();
    }

    fn accepted(&mut self, message: Message, seq: Option<u64>) {
        let Some(waiting) = self.waiting.get_mut(&message) else { return };
        if !std::mem::replace(&mut waiting.accepted, true) {
            let waiting = *waiting;
            self.record(Stage::Accepted, &waiting);
        }
        self.place(message, seq);
        self.settle(message);
    }

    fn delivered(&mut self, device: Device, message: Message, seq: Option<u64>) {
        let Some(waiting) = self.waiting.get_mut(&message) else { return };
        if device != waiting.sender {
            // A copy beyond the expected ones is a duplicate, or a member that joined: it still took its time.
            waiting.delivered += 1;
            let waiting = *waiting;
            let latency_us = self.record(Stage::Delivered, &waiting);
            if waiting.delivered == waiting.expected {
                self.sizes.record_last(waiting.size, latency_us);
            }
        }
        self.place(message, seq);
        self.settle(message);
    }

    /// Notes the position, and what receipts that came before say about it.
    fn place(&mut self, message: Message, seq: Option<u64>) {
        let Some(waiting) = self.waiting.get_mut(&message) else { return };
        let Some(seq) = seq.filter(|_| waiting.seq.is_none()) else { return };
        waiting.seq = Some(seq);
        let own = self.own.entry((waiting.sender, waiting.conversation)).or_default();
        own.by_seq.insert(seq, message);
        let early = own.receipted.values().filter(|up_to| **up_to >= seq).count() as u32;
        waiting.receipts += early;
        let waiting = *waiting;
        for _ in 0..early {
            self.record(Stage::Receipt, &waiting);
        }
    }

    fn receipt(&mut self, device: Device, conversation: Conversation, by: Device, up_to: u64) {
        self.any_receipt = true;
        if self.user_of.get(&device) == self.user_of.get(&by) {
            return;
        }
        // Who sent nothing here learns of nothing that is measured.
        let Some(own) = self.own.get_mut(&(device, conversation)) else { return };
        if !own.receipted.contains_key(&by) {
            if self.receipt_cursors == RECEIPT_CURSORS_MAX {
                return;
            }
            self.receipt_cursors += 1;
        }
        let known = own.receipted.entry(by).or_default();
        if up_to <= *known {
            return;
        }
        let covered: Vec<Message> =
            own.by_seq.range(*known + 1..=up_to).map(|(_, message)| *message).collect();
        *known = up_to;
        for message in covered {
            if let Some(waiting) = self.waiting.get_mut(&message) {
                waiting.receipts += 1;
                let waiting = *waiting;
                self.record(Stage::Receipt, &waiting);
                self.settle(message);
            }
        }
    }

    /// Gives the latency from the intended send.
    fn record(&mut self, stage: Stage, waiting: &Waiting) -> u64 {
        for (from, start_ns) in waiting.starts() {
            let series = Series { stage, from, window: self.window(start_ns) };
            let latency_us = self.latency_us(start_ns);
            self.totals[series.index()].saturating_record(latency_us);
            self.log.record(series, waiting.size, latency_us);
            self.segments.record((stage, from), start_ns, latency_us);
            self.sizes.record(waiting.size, (stage, from), latency_us);
        }
        self.latency_us(waiting.intended_ns)
    }

    fn latency_us(&self, start_ns: u64) -> u64 {
        (self.now_ns - start_ns).div_ceil(1_000).clamp(LATENCY_US_MIN, LATENCY_US_MAX)
    }

    fn window(&self, start_ns: u64) -> Window {
        let was = self.faulty_until_ns.is_some_and(|until_ns| until_ns >= start_ns);
        if was || !self.faults_active.is_empty() { Window::Inside } else { Window::Outside }
    }

    /// Lets go of a message that nobody waits for any more.
    fn settle(&mut self, message: Message) {
        let Some(waiting) = self.waiting.get(&message) else { return };
        if !waiting.accepted || waiting.delivered < waiting.expected {
            return;
        }
        let receipts = self.any_receipt || self.done_without_receipt < RECEIPTLESS_AFTER;
        if receipts && waiting.receipts < waiting.receipts_expected {
            self.done_without_receipt += u64::from(!self.any_receipt);
            return;
        }
        self.forget(message);
    }

    fn forget(&mut self, message: Message) {
        let Some(waiting) = self.waiting.remove(&message) else { return };
        let own = self.own.get_mut(&(waiting.sender, waiting.conversation));
        if let (Some(own), Some(seq)) = (own, waiting.seq) {
            own.by_seq.remove(&seq);
        }
    }

    fn bound(&mut self) {
        while self.waiting.len() > MESSAGES_TRACKED_MAX {
            let Some(oldest) = self.order.pop_front() else { return };
            self.forgotten += u64::from(self.waiting.contains_key(&oldest));
            self.forget(oldest);
        }
        if self.order.len() > 2 * self.waiting.len() + ORDER_SLACK {
            let waiting = &self.waiting;
            self.order.retain(|message| waiting.contains_key(message));
        }
    }
}

impl Waiting {
    fn starts(&self) -> [(From, u64); 2] {
        [(From::Intended, self.intended_ns), (From::Sent, self.sent_ns)]
    }
}
