//! What pages of history show: read-your-writes, monotonic-reads, history-agrees.
//!
//! Definitions, for a `Page` of device d, asked for at t (`PageRequested`), that covers the positions from its first item
//! to its last, and to the end where it is `complete`; p is a covered position that the page does not show, and m the
//! acknowledged message there, which d is owed:
//! - read-your-writes (session guarantee, Terry et al.): m was sent by d and `Accepted(m)` came before t;
//! - monotonic-reads (the same): d had received m, or seen it on a page, before it asked;
//! - history-agrees (Jepsen: "unseen", "divergent"): after `Drained`, `Accepted(m)` came before t; and always: no two pages or
//!   deliveries show different messages at one position, and a page shows each position once, and none at or before the one
//!   that it was asked to come after. Without positions: complete pages that devices of uninterrupted
//!   members asked for from the start, after `Drained`, show the same set.
//!
//! Not seen: what a page leaves out before its first item (it may begin where its reader joined), unless it goes on where the
//! page before it ended. Memory: 16 bytes per device and conversation that read; 48 bytes per open request, 24 per device and conversation. Work: one look per position that a page skips, at most
//! [`SKIPPED_MAX`] per page.

use std::collections::BTreeMap;

use avouch_reports::history::{Event, Message, PageItem, What};
use rustc_hash::FxHashMap;

use super::findings::{Findings, Outcome, Place, Ruling};
use super::index::members::Belongs;
use super::index::state::CHANGE_SLOT;
use super::index::{Index, Seen};
use super::{Checker, interest};

/// Requests that may be open at a time; further ones are not judged.
const OPEN_MAX: usize = 65_536;
/// Skipped positions looked at per page.
const SKIPPED_MAX: usize = 4_096;

/// A page that was asked for.
#[derive(Clone, Copy, Debug)]
struct Request {
    after: u64,
    at_ns: u64,
    /// Greatest position that the device had seen by then.
    seen: u64,
    /// The drain was over.
    settled: bool,
}

/// See the module's header.
#[derive(Default)]
pub(crate) struct Reads {
    own: Findings,
    monotonic: Findings,
    agrees: Findings,
    open: FxHashMap<(u32, u64), Request>,
    /// By lane: the last position of its last page.
    ended: FxHashMap<u32, u64>,
    /// By lane: greatest position delivered or seen on a page.
    seen: Vec<u64>,
    /// Without positions, by conversation: the first whole history seen after the drain.
    whole: BTreeMap<u32, (usize, u64)>,
    pages: u64,
    settled: u64,
    unplaced: u64,
}

impl Checker for Reads {
    fn interest(&self) -> u16 {
        interest::RECEIVED | interest::AT
    }

    fn observe(&mut self, event: &Event, seen: &Seen, index: &Index) {
        match (seen, &event.what) {
            (Seen::Received(reception), _) if !reception.astray => {
                if let (Some(seq), true) = (reception.seq, reception.shown) {
                    self.raise(reception.lane, seq);
                }
            }
            (Seen::At { lane }, What::PageRequested { request, after, .. }) if self.open.len() < OPEN_MAX => {
                let seen = self.seen.get(*lane as usize).copied().unwrap_or(0);
                let settled = index.run.drained.is_some();
                self.open
                    .insert((*lane, *request), Request { after: *after, at_ns: event.at_ns, seen, settled });
            }
            (Seen::At { lane }, What::Page { request, items, complete, .. }) => {
                self.pages += 1;
                self.conflicts(event, index, *lane, items);
                if let Some(asked) = self.open.remove(&(*lane, *request)) {
                    self.page(event, (*lane, asked), (items, *complete), index);
                }
                if let Some(last) = items.iter().filter_map(|i| i.seq).max() {
                    self.raise(*lane, last);
                }
            }
            _ => {}
        }
    }

    fn finish(self: Box<Self>, _index: &Index) -> Vec<Ruling> {
        let (pages, settled) = (self.pages, self.settled);
        let outcome = |held: String, n: u64, idle: &str| match n {
            _ if pages == 0 => Outcome::Idle("no history was read".to_owned()),
            _ if self.unplaced == pages => {
                Outcome::Blind("pages without positions cannot show it".to_owned())
            }
            0 => Outcome::Idle(idle.to_owned()),
            _ => Outcome::Held(held),
        };
        let own = outcome(format!("{pages} pages show what their readers had written"), pages, "");
        let monotonic = outcome(format!("{pages} pages show what their readers had seen"), pages, "");
        let agrees = match (pages, settled) {
            (0, _) => Outcome::Idle("no history was read".to_owned()),
            (_, 0) => Outcome::Idle("no history was read after the drain".to_owned()),
            _ => Outcome::Held(format!(
                "{settled} pages read after the drain agree with each other and with the acks"
            )),
        };
        vec![
            self.own.rule("read-your-writes", own),
            self.monotonic.rule("monotonic-reads", monotonic),
            self.agrees.rule("history-agrees", agrees),
        ]
    }
}

impl Reads {
    fn raise(&mut self, lane: u32, seq: u64) {
        if lane as usize >= self.seen.len() {
            self.seen.resize(lane as usize + 1, 0);
        }
        let seen = &mut self.seen[lane as usize];
        *seen = seq.max(*seen);
    }

    /// Another message stands where this page shows one.
    fn conflicts(&mut self, event: &Event, index: &Index, lane: u32, items: &[PageItem]) {
        let conversation = index.lanes[lane as usize].conversation;
        self.unplaced += u64::from(items.iter().all(|i| i.seq.is_none()));
        for item in items {
            let (Some(seq), Some(id)) = (item.seq, item.message) else { continue };
            let (Some(slot), Some(other)) = (index.slot(id), index.at_position(conversation, seq)) else {
                continue;
            };
            if other != slot && other != CHANGE_SLOT {
                let other = index.message(other).id;
                self.agrees.add("divergent", place(event, Some(id)), Some(event), || {
                    (
                        format!("m{other} at position {seq}, as elsewhere"),
                        format!("the page shows m{} there", id.0),
                    )
                });
            }
        }
    }

    fn page(
        &mut self,
        event: &Event,
        (lane, asked): (u32, Request),
        (items, complete): (&[PageItem], bool),
        index: &Index,
    ) {
        self.settled += u64::from(asked.settled);
        let state = &index.lanes[lane as usize];
        let conversation = &index.conversations[state.conversation as usize];
        let mut shown: Vec<u64> = items.iter().filter_map(|i| i.seq).collect();
        if shown.is_empty() && !items.is_empty() || conversation.head == 0 {
            if complete && asked.settled && asked.after == 0 {
                self.whole(event, lane, items, index);
            }
            return;
        }
        shown.sort_unstable();
        let goes_on = asked.after > 0 && self.ended.get(&lane) == Some(&asked.after);
        self.ended.extend(shown.last().map(|last| (lane, *last)));
        let twice = shown.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0]);
        if let Some(seq) = twice.or(shown.first().copied().filter(|first| *first <= asked.after)) {
            self.agrees.add("duplicate", place(event, None), Some(event), || {
                let expected = format!("each position after {} once", asked.after);
                (expected, format!("the page shows position {seq} again"))
            });
        }
        let mut looked = 0;
        let begin = shown.first().map(|first| first - 1).filter(|_| !goes_on);
        let mut before = begin.unwrap_or(asked.after);
        let end = if complete { conversation.head + 1 } else { 0 };
        for &next in shown.iter().chain((end > 0).then_some(&end)) {
            for seq in before + 1..next {
                looked += 1;
                if looked > SKIPPED_MAX {
                    return;
                }
                if let Some(slot) = index.message_at(state.conversation, seq) {
                    self.skipped(event, (lane, asked), (seq, slot), index);
                }
            }
            before = next.max(before);
        }
    }

    /// The page left out a message.
    fn skipped(
        &mut self,
        event: &Event,
        (lane, asked): (u32, Request),
        (seq, slot): (u64, u32),
        index: &Index,
    ) {
        let (state, message) = (&index.lanes[lane as usize], index.message(slot));
        let device = &index.devices[state.device as usize];
        if !message.is_acked()
            || message.acked_at_ns.saturating_add(index.options.clock_error_ns) >= asked.at_ns
        {
            return;
        }
        let conversation = &index.conversations[state.conversation as usize];
        if index.belongs(device, slot) != Belongs::Yes || !conversation.members.is_member_now(device.user) {
            return;
        }
        let id = message.id;
        let place = place(event, Some(Message(id)));
        let words =
            |why: &str| (format!("position {seq} (m{id}), {why}"), "the page does not show it".to_owned());
        if message.lane == lane {
            self.own.add("stale", place, Some(event), || words("which the reader had written"));
        }
        if seq <= asked.seen && state.delivered.contains(message.ordinal) {
            self.monotonic.add("stale", place, Some(event), || words("which the reader had received"));
        } else if seq <= asked.seen && message.lane != lane && state.known.last < seq {
            self.monotonic
                .add("stale", place, Some(event), || words("up to which the reader had read before"));
        }
        if asked.settled {
            self.agrees.add("unseen", place, Some(event), || words("which was acknowledged"));
        }
    }

    /// Without positions: the whole history must be the same for all who always belonged.
    fn whole(&mut self, event: &Event, lane: u32, items: &[PageItem], index: &Index) {
        let state = &index.lanes[lane as usize];
        let members = &index.conversations[state.conversation as usize].members;
        if !members.always(index.devices[state.device as usize].user) {
            return;
        }
        let ids = items.iter().filter_map(|i| i.message);
        let sum = ids
            .clone()
            .fold(0u64, |sum, id| sum.wrapping_add((id.0 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15)));
        let mine = (ids.count(), sum);
        let first = *self.whole.entry(state.conversation).or_insert(mine);
        if first != mine {
            self.agrees.add("divergent", place(event, None), Some(event), || {
                let expected = format!("the same history for all: {} messages", first.0);
                (expected, format!("{} messages, not the same ones", mine.0))
            });
        }
    }
}

fn place(event: &Event, message: Option<Message>) -> Place {
    match &event.what {
        What::Page { device, conversation, .. } => {
            Place { conversation: Some(*conversation), device: Some(*device), message }
        }
        _ => Place { message, ..Place::default() },
    }
}
