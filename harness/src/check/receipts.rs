//! What a sender is told of its recipients: receipts-truthful, receipts-complete.
//!
//! Definitions, for `Receipt(s, by, kind, up_to)` in a conversation c:
//! - receipts-truthful (XEP-0184, Matrix receipts, Tinode notes): when s learns it, `by` knows every position up to `up_to`
//!   that holds an acknowledged message of somebody else which `by` is owed; for `read`: some device of that user knows it,
//!   and (where the history has `Read`) some device of that user asked for a read mark of at least `up_to` before. Per
//!   (s, by, kind) `up_to` never falls, since s began anew. s belonged to c at some time.
//! - receipts-complete: s and `by` drained members at the end, of different users; m sent by s and acknowledged, and
//!   `by` acknowledged delivery (`Acknowledged`) or confirmed a read mark (`ReadConfirmed`) that covers m, `settle_ns`
//!   before the drain ended ⇒ s has a receipt of that kind from `by` that covers m. Conversations of more than
//!   `Options::receipt_members_max` members are not judged.
//!
//! Same instant: what `by` learns at the very time of the receipt counts as before it.
//! Not seen: receipts of protocols without positions; receipts in the last `settle_ns`.
//! Memory: 24 bytes per (device that is told, device told of), 176 bytes per device and conversation.

use avouch_reports::history::{Device, Event, Message, ReceiptKind, What};
use rustc_hash::FxHashMap;

use super::CatchUp;
use super::eligible::Standing;
use super::findings::{Findings, Outcome, Place, Ruling};
use super::index::members::Belongs;
use super::index::numbers::NONE;
use super::index::state::flag;
use super::index::{Index, Seen};
use super::{Checker, interest};

mod watermark;
use watermark::Watermark;

/// Receipts that ran ahead of what is known, kept for the end; more are not judged.
const AHEAD_MAX: usize = 16_384;
/// Positions looked at per receipt, and per missing receipt.
const POSITIONS_MAX: u64 = 4_096;

/// A receipt that the device it tells of did not bear out at that moment.
#[derive(Debug)]
struct Ahead {
    event: Event,
    by: u32,
    conversation: u32,
    /// Positions that it did not know.
    missing: Vec<(u64, u64)>,
    /// No read mark was asked for.
    unread: bool,
}

/// What a device was told of another one: (epoch of the device, delivered, read).
type Told = (u32, [u64; 2]);

/// See the module's header.
#[derive(Default)]
pub(crate) struct Receipts {
    truth: Findings,
    complete: Findings,
    told: FxHashMap<(u32, u32), Told>,
    ahead: Vec<Ahead>,
    /// By lane: what was acknowledged, and what was confirmed as read.
    marks: Vec<[Watermark; 2]>,
    counts: [u64; 2],
    reads: u64,
    owed: u64,
}

impl Checker for Receipts {
    fn interest(&self) -> u16 {
        interest::AT | interest::RECEIVED
    }

    fn observe(&mut self, event: &Event, seen: &Seen, index: &Index) {
        match seen {
            Seen::Received(reception) => self.tied(event, reception.lane, index),
            Seen::At { lane } => match &event.what {
                What::Receipt { by, kind, up_to, .. } => {
                    self.receipt(event, *lane, (*by, *kind, *up_to), index);
                }
                What::Acknowledged { up_to: Some(up_to), .. } => self.mark(event, *lane, (0, *up_to), index),
                What::ReadConfirmed { up_to, .. } => self.mark(event, *lane, (1, *up_to), index),
                What::Read { .. } => {
                    self.reads += 1;
                    self.tied(event, *lane, index);
                }
                What::MembersChanged { .. } => self.tied(event, *lane, index),
                _ => {}
            },
            _ => {}
        }
    }

    fn finish(mut self: Box<Self>, index: &Index) -> Vec<Ruling> {
        for ahead in std::mem::take(&mut self.ahead) {
            self.judge(index, &ahead);
        }
        let all: u64 = self.counts.iter().sum();
        let claimed = index.claimed.contains("receipts-complete");
        for kind in [ReceiptKind::Delivered, ReceiptKind::Read] {
            if self.counts[kind as usize] > 0 || claimed {
                (0..index.conversations.len() as u32).for_each(|at| self.conversation(index, at, kind));
            }
        }
        let truth = match all {
            0 => Outcome::Blind("the history has no receipts".to_owned()),
            n => Outcome::Held(format!("{n} receipts, none ahead of the truth, none taken back")),
        };
        let complete = match (all, self.owed) {
            (0, _) if !claimed => Outcome::Blind("the history has no receipts".to_owned()),
            (_, 0) => Outcome::Idle("no receipt was owed".to_owned()),
            (_, owed) => Outcome::Held(format!("{owed} senders know how far their recipients are")),
        };
        vec![self.truth.rule("receipts-truthful", truth), self.complete.rule("receipts-complete", complete)]
    }
}

impl Receipts {
    fn mark(&mut self, event: &Event, lane: u32, (kind, up_to): (usize, u64), index: &Index) {
        if lane as usize >= self.marks.len() {
            self.marks.resize(lane as usize + 1, Default::default());
        }
        self.marks[lane as usize][kind].raise(event.at_ns, up_to, index.options.settle_ns);
    }

    fn receipt(
        &mut self,
        event: &Event,
        lane: u32,
        (by, kind, up_to): (Device, ReceiptKind, u64),
        index: &Index,
    ) {
        self.counts[kind as usize] += 1;
        let (state, Some(by)) = (&index.lanes[lane as usize], index.device_index(by)) else { return };
        let told = self.told.entry((lane, by)).or_insert((state.epoch, [0; 2]));
        if told.0 != state.epoch {
            *told = (state.epoch, [0; 2]);
        }
        let was = told.1[kind as usize];
        told.1[kind as usize] = was.max(up_to);
        if up_to < was {
            self.truth.add("stale", place(event, index, by), Some(event), || {
                (
                    "receipts never fall".to_owned(),
                    format!("{kind:?} up to {up_to}, after {was}").to_lowercase(),
                )
            });
            return;
        }
        if self.ahead.len() >= AHEAD_MAX {
            return;
        }
        let conversation = state.conversation;
        let unread = kind == ReceiptKind::Read && !asked(index, conversation, by, up_to);
        let missing = unknown(index, conversation, (by, kind), up_to);
        let outside = index.conversations[conversation as usize].declared && !state.member_ever;
        if unread || !missing.is_empty() || outside {
            self.ahead.push(Ahead { event: event.clone(), by, conversation, missing, unread });
        }
    }

    /// Something was learnt at the very time of a receipt: it counts as before it.
    fn tied(&mut self, event: &Event, lane: u32, index: &Index) {
        let error_ns = index.options.clock_error_ns;
        let conversation = index.lanes[lane as usize].conversation;
        for ahead in
            self.ahead.iter_mut().rev().take_while(|a| a.event.at_ns.saturating_add(error_ns) >= event.at_ns)
        {
            let What::Receipt { kind, up_to, .. } = ahead.event.what else { continue };
            if ahead.conversation == conversation {
                ahead.unread &= !asked(index, conversation, ahead.by, up_to);
                ahead.missing = unknown(index, conversation, (ahead.by, kind), up_to);
            }
        }
    }

    fn judge(&mut self, index: &Index, ahead: &Ahead) {
        let What::Receipt { device, kind, up_to, .. } = ahead.event.what else { return };
        let by = &index.devices[ahead.by as usize];
        let conversation = &index.conversations[ahead.conversation as usize];
        let teller = index.device_index(device).map(|d| &index.devices[d as usize]);
        if teller
            .is_some_and(|d| d.declared && conversation.declared && !conversation.members.was_member(d.user))
        {
            self.truth.add("misdelivered", place(&ahead.event, index, ahead.by), Some(&ahead.event), || {
                (
                    "receipts reach members only".to_owned(),
                    format!("{} was told, who never belonged", index.name(device)),
                )
            });
            return;
        }
        if ahead.unread && self.reads > 0 {
            self.truth.add("phantom", place(&ahead.event, index, ahead.by), Some(&ahead.event), || {
                (
                    "a read receipt follows a read".to_owned(),
                    format!("nobody had read up to {up_to} on behalf of {}", index.name(by.id)),
                )
            });
            return;
        }
        let positions =
            ahead.missing.iter().flat_map(|&(from, to)| (from..=to).rev().take(POSITIONS_MAX as usize));
        let false_at = positions.into_iter().find_map(|seq| {
            let slot = index.message_at(ahead.conversation, seq)?;
            let message = index.message(slot);
            let other = index.devices[index.sender(slot).device as usize].user != by.user;
            let counts = other && message.is_acked() && !message.is(flag::REUSED);
            (counts && index.belongs(by, slot) == Belongs::Yes).then_some(slot)
        });
        let Some(slot) = false_at else { return };
        let (id, seq) = (index.message(slot).id, index.message(slot).seq);
        let place = Place { message: Some(Message(id)), ..place(&ahead.event, index, ahead.by) };
        self.truth.add("phantom", place, Some(&ahead.event), || {
            let expected =
                format!("{} has position {seq} (m{id}) before anybody is told so", index.name(by.id));
            (
                expected,
                format!(
                    "{} was told {} up to {up_to}; {} did not have it",
                    index.name(device),
                    kind.name(),
                    index.name(by.id)
                ),
            )
        });
    }

    fn conversation(&mut self, index: &Index, at: u32, kind: ReceiptKind) {
        let conversation = &index.conversations[at as usize];
        let Some((drained_ns, ..)) = index.run.drained else { return };
        if !conversation.declared
            || conversation.members.now > index.options.receipt_members_max
            || conversation.head == 0
        {
            return;
        }
        let drained: Vec<u32> = conversation
            .lanes
            .iter()
            .copied()
            .filter(|&lane| {
                let device = index.device_of_lane(lane);
                matches!(index.standing(device), Standing::Judged { .. })
                    && conversation.members.is_member_now(device.user)
            })
            .collect();
        let own = newest_own(index, conversation, &drained);
        let before_ns = drained_ns.saturating_sub(index.options.settle_ns);
        for (&sender, &newest) in drained.iter().zip(&own) {
            let device = index.device_of_lane(sender);
            let since = device.session_at(drained_ns).map_or(0, |s| s.from_ns);
            if newest == 0 || since > before_ns || index.lanes[sender as usize].sender == NONE {
                continue;
            }
            for &by in drained.iter().filter(|&&by| index.device_of_lane(by).user != device.user) {
                let marks = self.marks.get(by as usize);
                let reached = marks.map_or(0, |marks| marks[kind as usize].at(before_ns));
                self.pair(index, (sender, by, kind), newest.min(reached), reached);
            }
        }
    }

    /// One sender and one recipient. `top`: nothing of the sender's above this is covered by what the recipient reached.
    fn pair(&mut self, index: &Index, (sender, by, kind): (u32, u32, ReceiptKind), top: u64, reached: u64) {
        let (from, to) = (&index.lanes[sender as usize], &index.lanes[by as usize]);
        let told = self.told.get(&(sender, to.device)).filter(|told| told.0 == from.epoch);
        let told = told.map_or(0, |told| told.1[kind as usize]);
        if top == 0 || from.epoch != index.devices[from.device as usize].epoch {
            return;
        }
        // Covered at once in the usual case; else look for the newest message of the sender's that is not.
        let positions = (told + 1..=top).rev().take(POSITIONS_MAX as usize);
        let missing = positions.into_iter().find_map(|seq| {
            let slot = index.message_at(from.conversation, seq)?;
            let message = index.message(slot);
            let counts = message.lane == sender && message.is_acked();
            let device = &index.devices[to.device as usize];
            (counts && index.belongs(device, slot) == Belongs::Yes).then_some(slot)
        });
        self.owed += 1;
        let Some(slot) = missing else { return };
        let message = index.message(slot);
        let place = Place {
            conversation: Some(index.conversations[from.conversation as usize].id),
            device: Some(index.devices[from.device as usize].id),
            message: Some(Message(message.id)),
        };
        let by = index.name(index.devices[to.device as usize].id);
        self.complete.add("lost", place, None, || {
            let expected = format!(
                "a receipt ({}) by {by} that covers m{} (position {})",
                kind.name(),
                message.id,
                message.seq
            );
            (expected, format!("{by} reached position {reached}, the last receipt says {told}"))
        });
    }
}

/// Newest acknowledged position of each lane's own messages.
fn newest_own(
    index: &Index,
    conversation: &super::index::state::ConversationState,
    lanes: &[u32],
) -> Vec<u64> {
    let mut newest: FxHashMap<u32, u64> = lanes.iter().map(|&lane| (lane, 0)).collect();
    for &slot in &conversation.slots {
        let message = index.message(slot);
        if let Some(newest) = newest.get_mut(&message.lane).filter(|_| message.is_acked()) {
            *newest = message.seq.max(*newest);
        }
    }
    lanes.iter().map(|lane| newest[lane]).collect()
}

/// Some device of the user asked for a read mark that covers a position.
fn asked(index: &Index, conversation: u32, by: u32, up_to: u64) -> bool {
    lanes_of_user(index, conversation, by).any(|lane| index.lanes[lane as usize].read_asked >= up_to)
}

fn lanes_of_user(index: &Index, conversation: u32, by: u32) -> impl Iterator<Item = u32> {
    let user = index.devices[by as usize].user;
    let devices = index.users.get(&user).into_iter().flatten();
    devices.filter_map(move |&device| index.lane_at(device, conversation))
}

/// Positions up to `up_to` that a device (for `read`: all devices of its user) did not know.
fn unknown(index: &Index, conversation: u32, (by, kind): (u32, ReceiptKind), up_to: u64) -> Vec<(u64, u64)> {
    let own = match index.lane_at(by, conversation) {
        Some(lane) => unknown_to(index, lane, up_to),
        None => vec![(1, up_to)],
    };
    if own.is_empty() || kind == ReceiptKind::Delivered {
        return own;
    }
    let others: Vec<u32> = lanes_of_user(index, conversation, by).collect();
    if others.iter().any(|&lane| unknown_to(index, lane, up_to).is_empty()) {
        return Vec::new();
    }
    let positions = own.iter().flat_map(|&(from, to)| (from..=to).rev().take(POSITIONS_MAX as usize));
    let nowhere = |seq: &u64| !others.iter().any(|&lane| index.lanes[lane as usize].known.contains(*seq));
    positions.filter(nowhere).map(|seq| (seq, seq)).collect()
}

fn unknown_to(index: &Index, lane: u32, up_to: u64) -> Vec<(u64, u64)> {
    let (state, top) = (&index.lanes[lane as usize], known(index, lane));
    let mut missing = Vec::new();
    if up_to > top {
        missing.push((top + 1, up_to));
    }
    if index.devices[state.device as usize].epoch == 0 {
        // What lies before the first position that it knows (its own ack may be that) was owed to it, too.
        if index.options.catch_up == CatchUp::Log && state.known.first > 1 {
            missing.push((1, up_to.min(state.known.first - 1)));
        }
        let ranges = state.known.missing().iter().take_while(|&&(from, _)| from <= up_to);
        missing.extend(ranges.map(|&(from, to)| (from, to.min(up_to))));
    }
    missing
}

fn known(index: &Index, lane: u32) -> u64 {
    let state = &index.lanes[lane as usize];
    state.known.last.max(state.known_ever)
}

fn place(event: &Event, index: &Index, by: u32) -> Place {
    let conversation = match &event.what {
        What::Receipt { conversation, .. } => Some(*conversation),
        _ => None,
    };
    Place { conversation, device: Some(index.devices[by as usize].id), message: None }
}
