//! Pages: history for the application, and catch-up for devices that are behind.

use super::state::{ConversationIx, DeviceIx, Server};
use super::{ConnectionId, Effect, LoadFailed, LoadId};
use crate::codec::{Frame, Page, Purpose};
use crate::defects::Defect;
use crate::ids::{ConversationId, Seq};
use crate::journal::{Entry, Query};
use crate::limits;

/// What a sync asks for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    pub(super) request: u64,
    pub(super) after: Seq,
    pub(super) limit: u16,
    pub(super) purpose: Purpose,
}

/// A read of the log under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct PendingLoad {
    connection: ConnectionId,
    device: DeviceIx,
    conversation: ConversationIx,
    wanted: Wanted,
}

impl Server {
    pub(super) fn on_sync(
        &mut self,
        (connection, device): (ConnectionId, DeviceIx),
        conversation: ConversationId,
        wanted: Wanted,
    ) {
        let user = self.devices[device].user;
        let known = self.conversation_index.get(&conversation).copied();
        let after = self.page_after(known, user, wanted);
        let first = known.and_then(|ix| self.conversations[ix].next_visible(user, after));
        let leaks = self.config.defects.has(Defect::HistoryLeaks) && wanted.purpose == Purpose::History;
        let Some(first) = first.map(|first| if leaks { after + 1 } else { first }) else {
            let head = known.map_or(0, |ix| self.conversations[ix].last_visible(user));
            if let (Some(ix), Purpose::CatchUp) = (known, wanted.purpose) {
                self.resume_push(ix, device, head);
            }
            let page = Page {
                request: wanted.request,
                conversation,
                complete: true,
                head,
                redelivered_up_to: 0,
                entries: Vec::new(),
            };
            self.stats.pages += 1;
            self.transmit(connection, &Frame::Page(page));
            return;
        };
        let Some(ix) = known else {
            return;
        };
        let state = &self.conversations[ix];
        let stay = usize::try_from(state.stay_end(user, first) - first + 1).unwrap_or(usize::MAX);
        let entries_max = usize::from(wanted.limit).clamp(1, self.config.page_entries).min(stay);
        if let Some(at) = state.tail_position(first) {
            let mut bytes = 0;
            let fits = |item: &&super::state::TailEntry| {
                bytes += item.body_bytes;
                bytes <= limits::PAGE_BYTES_MAX || bytes == item.body_bytes
            };
            let entries = state.tail.range(at..).take(entries_max).take_while(fits);
            let entries: Vec<Entry> = entries.map(super::state::TailEntry::entry).collect();
            self.send_page((connection, device), ix, wanted, entries);
            return;
        }
        let loads = self.connections.get(&connection).map_or(usize::MAX, |state| state.loads);
        if loads >= limits::LOADS_PER_CONNECTION || self.loads.len() >= limits::LOADS_MAX {
            self.stats.pages_refused += 1;
            return;
        }
        self.load_next += 1;
        let load = LoadId(self.load_next);
        self.loads.insert(load, PendingLoad { connection, device, conversation: ix, wanted });
        if let Some(state) = self.connections.get_mut(&connection) {
            state.loads += 1;
        }
        let payload_bytes_max = limits::PAGE_BYTES_MAX;
        let query = Query { conversation, after: first - 1, entries_max, payload_bytes_max };
        self.effects.push_back(Effect::Load(load, query));
    }

    pub(super) fn on_loaded(&mut self, load: LoadId, result: Result<Vec<Entry>, LoadFailed>) {
        let Some(pending) = self.loads.remove(&load) else {
            return;
        };
        let PendingLoad { connection, device, conversation, wanted } = pending;
        let Some(state) = self.connections.get_mut(&connection) else {
            return;
        };
        state.loads = state.loads.saturating_sub(1);
        match result {
            Ok(mut entries) => {
                self.blank(&mut entries);
                self.send_page((connection, device), conversation, wanted, entries);
            }
            // The client asks again.
            Err(LoadFailed) => self.stats.pages_refused += 1,
        }
    }

    fn send_page(
        &mut self,
        (connection, device): (ConnectionId, DeviceIx),
        conversation: ConversationIx,
        wanted: Wanted,
        entries: Vec<Entry>,
    ) {
        let user = self.devices[device].user;
        let state = &mut self.conversations[conversation];
        let defects = self.config.defects;
        let leaks = defects.has(Defect::HistoryLeaks) && wanted.purpose == Purpose::History;
        let stale = defects.has(Defect::HistoryStale) && wanted.purpose == Purpose::History;
        let head = state.last_visible(user).saturating_sub(u64::from(stale));
        let mut entries: Vec<(Seq, Entry)> = entries
            .into_iter()
            .filter(|entry| leaks || state.visible_floor(user, entry.seq) == entry.seq)
            .filter(|entry| !stale || entry.seq <= head)
            .map(|entry| (state.prev_visible(user, entry.seq), entry))
            .collect();
        if defects.has(Defect::BacklogCut)
            && wanted.purpose == Purpose::CatchUp
            && let Some((prev, _)) = entries.first_mut()
        {
            *prev = wanted.after;
        }
        let last = entries.last().map_or(wanted.after, |(_, entry)| entry.seq);
        let progress = state.progress.entry(device).or_default();
        let redelivered_up_to = progress.transmitted;
        let complete = last >= head;
        let id = state.id;
        if wanted.purpose == Purpose::CatchUp {
            progress.transmitted = progress.transmitted.max(last);
            self.stats.delivered_pull += entries.len() as u64;
        }
        let page =
            Page { request: wanted.request, conversation: id, complete, head, redelivered_up_to, entries };
        self.stats.pages += 1;
        self.transmit(connection, &Frame::Page(page));
        if complete && wanted.purpose == Purpose::CatchUp {
            self.resume_push(conversation, device, last);
        }
    }

    /// A device that is to pull has all that it was told of, by a page or from an earlier connection: then it asks for
    /// nothing, and what came since would wait for the sweep.
    pub(super) fn end_pull(&mut self, conversation: ConversationIx, device: DeviceIx) {
        let progress = self.conversations[conversation].progress.get(&device);
        if let Some(acked) = progress.filter(|it| it.pulling && it.acked >= it.told).map(|it| it.acked) {
            self.resume_push(conversation, device, acked);
        }
    }

    /// The device has been paged everything up to here: what comes now is pushed again.
    fn resume_push(&mut self, conversation: ConversationIx, device: DeviceIx, last: Seq) {
        if let Some(progress) = self.conversations[conversation].progress.get_mut(&device) {
            progress.pushed = progress.pushed.max(last);
            progress.pulling = false;
        }
        self.offer(conversation, device);
    }
}
