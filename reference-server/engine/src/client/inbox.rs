//! Entries on their way in: each to the application once and in order; gaps closed by pulling pages.

use super::Observation;
use super::state::{Asked, Client, Offered, Timer};
use crate::chain;
use crate::codec::{Frame, Head, Page, Purpose};
use crate::defects::Defect;
use crate::ids::{ConversationId, Seq};
use crate::journal::{Body, Entry};
use crate::limits;

impl Client {
    pub(super) fn on_deliver(&mut self, conversation: ConversationId, offered: Offered) {
        let state = self.conversations.entry(conversation).or_default();
        state.head = state.head.max(offered.entry.seq);
        self.offer(conversation, offered);
        self.apply_held(conversation);
        self.look_for_gap(conversation);
    }

    /// Takes one entry: delivers it, recognises it as a copy, or holds it.
    fn offer(&mut self, conversation: ConversationId, offered: Offered) {
        let Some(state) = self.conversations.get_mut(&conversation) else {
            return;
        };
        let Offered { prev, entry, redelivered } = offered;
        let seq = entry.seq;
        if seq <= state.cursor {
            if seq == state.cursor && entry.chain != state.chain {
                self.chain_broken(conversation, seq);
            }
            self.stats.suppressed += 1;
            self.observe(if self.config.defects.has(Defect::CopiesShown) {
                Observation::Delivered { conversation, entry, redelivered }
            } else {
                Observation::Suppressed { conversation, entry, redelivered }
            });
            self.ack_soon(conversation);
        } else if prev == state.cursor || self.config.defects.has(Defect::GapAccepted) {
            if self.is_consumer_full() {
                // It waits here for the application instead of being asked for again.
                self.stats.deferred += 1;
                self.hold(conversation, Offered { prev, entry, redelivered });
                return;
            }
            let redelivered = self.flag_of_held(conversation, &entry).unwrap_or(redelivered);
            self.deliver(conversation, Offered { prev, entry, redelivered });
        } else if prev > state.cursor {
            if self.is_shown_early(&entry, redelivered) {
                let entry = entry.clone();
                self.observe(Observation::Delivered { conversation, entry, redelivered });
            }
            self.hold(conversation, Offered { prev, entry, redelivered });
        } else {
            self.stats.misfits += 1;
        }
    }

    /// The flag of the copy that came first and was held back: the application gets that one, whichever copy filled
    /// the gap before it.
    fn flag_of_held(&mut self, conversation: ConversationId, entry: &Entry) -> Option<bool> {
        let state = self.conversations.get_mut(&conversation)?;
        let held = state.held.get(&entry.seq).filter(|held| held.entry == *entry)?.redelivered;
        state.held.remove(&entry.seq);
        self.held_entries -= 1;
        self.held_bytes -= entry_bytes(entry);
        Some(held)
    }

    /// Whether an entry is shown although earlier ones are missing: never, unless planted.
    fn is_shown_early(&self, entry: &Entry, redelivered: bool) -> bool {
        let is_reply = matches!(entry.body, Body::Message { reply_to: Some(_), .. });
        redelivered && self.config.defects.has(Defect::RetransmissionReorders)
            || is_reply && self.config.defects.has(Defect::ReplyBeforeCause)
    }

    fn is_consumer_full(&self) -> bool {
        self.config.consume_window.is_some_and(|window| self.unconsumed.len() >= window.max(1))
    }

    fn deliver(&mut self, conversation: ConversationId, offered: Offered) {
        let Offered { prev, entry, redelivered } = offered;
        let Some(state) = self.conversations.get_mut(&conversation) else {
            return;
        };
        let seq = entry.seq;
        // Across a time without membership there is nothing to compare with; the entry is a new anchor.
        let holds = prev + 1 != seq || chain::next(&state.chain, conversation, &entry) == entry.chain;
        state.cursor = seq;
        state.chain = entry.chain;
        self.stats.delivered += 1;
        if !holds {
            self.chain_broken(conversation, seq);
        }
        self.observe(Observation::Delivered { conversation, entry, redelivered });
        self.delivered(conversation, seq);
    }

    fn chain_broken(&mut self, conversation: ConversationId, seq: Seq) {
        self.stats.chain_broken += 1;
        self.observe(Observation::ChainBroken { conversation, seq });
    }

    fn hold(&mut self, conversation: ConversationId, offered: Offered) {
        let bytes = entry_bytes(&offered.entry);
        let full =
            self.held_entries >= limits::HELD_ENTRIES_MAX || self.held_bytes + bytes > limits::HELD_BYTES_MAX;
        let Some(state) = self.conversations.get_mut(&conversation) else {
            return;
        };
        if full {
            self.stats.overflowed += 1;
        } else if let std::collections::btree_map::Entry::Vacant(slot) = state.held.entry(offered.entry.seq) {
            slot.insert(offered);
            self.held_entries += 1;
            self.held_bytes += bytes;
        } else {
            let Offered { entry, redelivered, .. } = offered;
            self.stats.suppressed += 1;
            self.observe(Observation::Suppressed { conversation, entry, redelivered });
        }
    }

    /// Delivers what was held for as long as it fits.
    fn apply_held(&mut self, conversation: ConversationId) {
        while !self.is_consumer_full() {
            let Some(state) = self.conversations.get_mut(&conversation) else {
                return;
            };
            let cursor = state.cursor;
            match state.held.first_key_value() {
                Some((_, first)) if first.prev <= cursor => {}
                _ => return,
            }
            if let Some((seq, offered)) = state.held.pop_first() {
                self.held_entries -= 1;
                self.held_bytes -= entry_bytes(&offered.entry);
                // A copy of it came by page meanwhile: nothing to tell, it was never handed on.
                if seq > cursor {
                    self.offer(conversation, offered);
                }
            }
        }
    }

    /// Whether something is missing now; if so, asks for it.
    fn look_for_gap(&mut self, conversation: ConversationId) {
        let Some(state) = self.conversations.get_mut(&conversation) else {
            return;
        };
        let after = state.cursor;
        // What only waits for the application is no gap.
        let held = state.held.first_key_value().filter(|(_, first)| first.prev > after).map(|(seq, _)| *seq);
        match held {
            Some(before) if !state.gap => {
                state.gap = true;
                self.stats.gaps += 1;
                self.observe(Observation::Gap { conversation, after, before });
            }
            None => state.gap = false,
            Some(_) => {}
        }
        self.want(conversation);
    }

    /// Notes that a conversation has more than we have.
    fn want(&mut self, conversation: ConversationId) {
        let Some(state) = self.conversations.get(&conversation) else {
            return;
        };
        if state.head > state.cursor {
            if !self.syncs.contains_key(&conversation) {
                self.behind.insert(conversation);
            }
        } else {
            self.behind.remove(&conversation);
        }
        self.catch_up();
    }

    pub(super) fn on_heads(&mut self, heads: &[Head]) {
        for Head { conversation, head, .. } in heads {
            let state = self.conversations.entry(*conversation).or_default();
            state.head = state.head.max(*head);
            self.want(*conversation);
        }
    }

    /// Starts as many catch-ups as may be under way.
    pub(super) fn catch_up(&mut self) {
        while self.is_logged_in() && self.syncs.len() < limits::SYNCS_IN_FLIGHT && !self.is_consumer_full() {
            let Some(conversation) = self.behind.pop_first() else {
                return;
            };
            self.apply_held(conversation);
            let is_behind =
                self.conversations.get(&conversation).is_some_and(|state| state.head > state.cursor);
            if is_behind && self.is_consumer_full() {
                self.behind.insert(conversation);
                return;
            }
            if !is_behind {
                continue;
            }
            let after = self.cursor(conversation);
            self.request_next += 1;
            let request = self.request_next;
            self.syncs
                .insert(conversation, Asked { request, conversation, after, attempts: 0, retry_at: None });
            self.transmit_sync(conversation);
        }
    }

    fn transmit_sync(&mut self, conversation: ConversationId) {
        let after = self.cursor(conversation);
        let Some(asked) = self.syncs.get_mut(&conversation) else {
            return;
        };
        asked.after = after;
        let at = self.config.retry.at(self.now, asked.attempts, &mut self.random);
        asked.attempts = asked.attempts.saturating_add(1);
        let old = asked.retry_at.replace(at);
        let request = asked.request;
        self.set_timer(Timer::Sync(conversation), old, Some(at));
        self.stats.pulls += 1;
        let limit = self.page_limit;
        self.transmit(&Frame::Sync { request, conversation, after, limit, purpose: Purpose::CatchUp });
    }

    pub(super) fn on_sync_timer(&mut self, conversation: ConversationId) {
        if let Some(asked) = self.syncs.get_mut(&conversation) {
            asked.retry_at = None;
            self.transmit_sync(conversation);
        }
    }

    pub(super) fn on_page(&mut self, page: Page) {
        let conversation = page.conversation;
        if let Some(asked) = self.page_requests.get(&page.request)
            && asked.conversation == conversation
        {
            self.finish_page(page);
            return;
        }
        if page.request & PAGE_REQUEST != 0 {
            return;
        }
        let request = page.request;
        // A second answer to the same request can hold more than the first; to the server it is transmitted.
        if let Some(state) = self.conversations.get_mut(&conversation) {
            state.head = state.head.max(page.head);
        }
        for (prev, entry) in page.entries {
            let redelivered = entry.seq <= page.redelivered_up_to;
            self.offer(conversation, Offered { prev, entry, redelivered });
        }
        self.apply_held(conversation);
        self.settle_sync(conversation, request);
        self.look_for_gap(conversation);
        self.catch_up();
    }

    /// A catch-up is answered, unless its page left the client where it was, short of the head: asked again at once, a
    /// server that answers so would answer so again, without end. Then its timer goes on, as if nothing had come.
    fn settle_sync(&mut self, conversation: ConversationId, request: u64) {
        let Some(asked) = self.syncs.get(&conversation).filter(|asked| asked.request == request) else {
            return;
        };
        let (after, retry_at) = (asked.after, asked.retry_at);
        let state = self.conversations.get(&conversation);
        let is_stuck = state.is_some_and(|state| state.cursor == after && state.cursor < state.head);
        if is_stuck && !self.is_consumer_full() {
            return;
        }
        self.syncs.remove(&conversation);
        self.set_timer(Timer::Sync(conversation), retry_at, None);
        self.ask_for_more();
    }

    /// A page for the application.
    fn finish_page(&mut self, page: Page) {
        if let Some(asked) = self.page_requests.remove(&page.request) {
            self.set_timer(Timer::Page(asked.request), asked.retry_at, None);
            self.ask_for_more();
        }
        self.observe(Observation::Page {
            request: page.request & !PAGE_REQUEST,
            conversation: page.conversation,
            entries: page.entries.into_iter().map(|(_, entry)| entry).collect(),
            complete: page.complete,
        });
    }

    pub(super) fn read_page(&mut self, request: u64, conversation: ConversationId, after: Seq) {
        let request = request | PAGE_REQUEST;
        if self.page_requests.len() >= limits::PAGE_REQUESTS_MAX || self.page_requests.contains_key(&request)
        {
            return;
        }
        let asked = Asked { request, conversation, after, attempts: 0, retry_at: None };
        self.page_requests.insert(request, asked);
        if self.is_logged_in() {
            self.transmit_page_request(request);
        }
    }

    fn transmit_page_request(&mut self, request: u64) {
        let Some(asked) = self.page_requests.get_mut(&request) else {
            return;
        };
        let at = self.config.retry.at(self.now, asked.attempts, &mut self.random);
        asked.attempts = asked.attempts.saturating_add(1);
        let old = asked.retry_at.replace(at);
        let (conversation, after) = (asked.conversation, asked.after);
        self.set_timer(Timer::Page(request), old, Some(at));
        let limit = self.page_limit;
        self.transmit(&Frame::Sync { request, conversation, after, limit, purpose: Purpose::History });
    }

    pub(super) fn on_page_timer(&mut self, request: u64) {
        if let Some(asked) = self.page_requests.get_mut(&request) {
            asked.retry_at = None;
            self.transmit_page_request(request);
        }
    }

    /// A page arrived: the next one may be a little longer.
    fn ask_for_more(&mut self) {
        self.page_limit = self.page_limit.saturating_add(1).min(self.config.page_entries);
    }

    /// The connection was lost while pages were awaited. On a slow network a page can take longer than a connection lives on
    /// which nothing else is heard; asked for again as it was, it would never arrive.
    pub(super) fn ask_for_less(&mut self) {
        let asked = self.syncs.values().chain(self.page_requests.values()).filter(|asked| asked.attempts > 0);
        let lacking = asked.map(|asked| {
            let head = self.conversations.get(&asked.conversation).map_or(0, |state| state.head);
            head.saturating_sub(asked.after)
        });
        if let Some(lacking) = lacking.max() {
            let most = u16::try_from(lacking).unwrap_or(u16::MAX).min(self.page_limit);
            self.page_limit = (most / PAGE_SHRINKS_BY).max(1);
        }
    }

    /// The connection is gone: what was held belongs to it, what was asked is asked again later.
    pub(super) fn suspend_requests(&mut self) {
        for (conversation, asked) in std::mem::take(&mut self.syncs) {
            self.set_timer(Timer::Sync(conversation), asked.retry_at, None);
            self.behind.insert(conversation);
        }
        let requests: Vec<u64> = self.page_requests.keys().copied().collect();
        for request in requests {
            if let Some(asked) = self.page_requests.get_mut(&request) {
                let old = asked.retry_at.take();
                asked.attempts = 0;
                self.set_timer(Timer::Page(request), old, None);
            }
        }
        for state in self.conversations.values_mut() {
            state.held.clear();
            state.gap = false;
        }
        self.held_entries = 0;
        self.held_bytes = 0;
    }

    pub(super) fn resume_requests(&mut self) {
        let requests: Vec<u64> = self.page_requests.keys().copied().collect();
        for request in requests {
            self.transmit_page_request(request);
        }
        self.catch_up();
    }
}

/// A page that was awaited when its connection was lost is asked for with this part of its entries.
const PAGE_SHRINKS_BY: u16 = 4;
/// Marks the application's own request numbers on the wire, so that they never meet the engine's.
const PAGE_REQUEST: u64 = 1 << 63;

fn entry_bytes(entry: &Entry) -> usize {
    let body = match &entry.body {
        Body::Message { payload, .. } => payload.len(),
        Body::Members { added, removed } => (added.len() + removed.len()) * 8,
    };
    body + limits::ENTRY_HEADER_BYTES
}
