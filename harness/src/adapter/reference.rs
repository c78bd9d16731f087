//! The reference protocol (`reference-server/PROTOCOL.md`), over the client engine.
//!
//! Words: conversation = conversation; ack of a send = `accepted`, rung `stored` (the journal is synced
//! before it leaves); delivery = an entry that the engine hands to the application, once and in order;
//! redelivery = a copy that the engine recognised (`Suppressed`), with the server's own flag.
//!
//! User, device and conversation numbers of the plan are the protocol's ids, plus one; on a server that runs already, users and
//! conversations begin further up, so that no run meets what another left there.

use std::collections::BTreeMap;

use avouch_engine::client::{
    Client, Command, Config, Effect as EngineEffect, Input as EngineInput, Observation,
};
use avouch_engine::ids::{ConversationId, DeviceId, DeviceKey, MessageId, Time, UserId};
use avouch_engine::journal::{Body, Entry};
use avouch_reports::history::{
    Conversation, Device, Message, PageItem, ReceiptKind, Rung, SessionKind, User, What,
};
use bytes::Bytes;
use rustc_hash::FxHashMap;

use super::{Adapter, Change, Effect, Input, Outgoing, Wish};
use crate::payload;

/// The protocol's name of a device of the plan, where ids begin after `ids_after`.
pub fn device_key(user: u32, device: u32, ids_after: u64) -> DeviceKey {
    DeviceKey { user: UserId(ids_after + u64::from(user) + 1), device: DeviceId(device + 1) }
}

/// The protocol's words for its frames, for faults on frames.
pub fn frame_kinds() -> impl Iterator<Item = &'static str> {
    avouch_engine::codec::FRAME_KINDS.iter().map(|(name, _)| *name)
}

/// Everything that an adapter of this protocol needs to know of its device.
#[derive(Clone, Debug)]
pub struct Identity {
    /// User number.
    pub user: u32,
    /// Device number.
    pub device: u32,
    /// The server's proof that it is this device.
    pub token: Bytes,
    /// Salt of the run's payloads.
    pub salt: u32,
    /// Feeds jitter and the installation's number.
    pub seed: u64,
    /// Message ids of this installation come after this one: they rise per device, over all its installations.
    pub first_id: u64,
    /// Ids of users and conversations come after this one: 0 where the server is the run's own.
    pub ids_after: u64,
}

/// One device's side of the reference protocol.
pub struct Reference {
    identity: Identity,
    client: Client,
    next_id: u64,
    /// What is under way, by either name: for lookups only.
    messages: FxHashMap<MessageId, Message>,
    ids: FxHashMap<Message, MessageId>,
    receipts: BTreeMap<(ConversationId, DeviceKey), (u64, u64)>,
    /// Pages that were asked for: the engine's number of a request → the device's.
    pages: BTreeMap<u64, u64>,
    page_next: u64,
    pending: Option<Effect>,
    /// Somebody wished to connect. Before that a device is only a box, and what it is told waits in the engine.
    is_started: bool,
    /// The transport is connected: a wish to connect is fulfilled already.
    is_up: bool,
    /// The engine waits for the application before it acknowledges; else it need not hear of every delivery.
    waits_for_application: bool,
}

impl Reference {
    /// A fresh installation.
    pub fn new(identity: Identity, config: Config) -> Self {
        let key = device_key(identity.user, identity.device, identity.ids_after);
        let waits_for_application = config.consume_window.is_some();
        let client = Client::new(config, key, identity.token.clone(), identity.seed);
        Self {
            waits_for_application,
            client,
            next_id: identity.first_id,
            identity,
            messages: FxHashMap::default(),
            ids: FxHashMap::default(),
            receipts: BTreeMap::new(),
            pages: BTreeMap::new(),
            page_next: 0,
            pending: None,
            is_started: false,
            is_up: false,
        }
    }

    fn device(&self) -> Device {
        Device(self.identity.device)
    }

    fn user_id(&self, user: u32) -> UserId {
        UserId(self.identity.ids_after + u64::from(user) + 1)
    }

    fn conversation_id(&self, conversation: u32) -> ConversationId {
        ConversationId(self.identity.ids_after + u64::from(conversation) + 1)
    }

    fn number(&self, conversation: ConversationId) -> Conversation {
        Conversation(self.of_plan(conversation.0))
    }

    fn user_number(&self, user: UserId) -> User {
        User(self.of_plan(user.0))
    }

    /// The plan's number behind an id; what is none of the plan's has a number that nobody has.
    fn of_plan(&self, id: u64) -> u32 {
        u32::try_from(id.wrapping_sub(self.identity.ids_after + 1)).unwrap_or(u32::MAX)
    }

    fn name(&mut self, message: Message) -> MessageId {
        self.next_id += 1;
        let id = MessageId(self.next_id);
        self.messages.insert(id, message);
        self.ids.insert(message, id);
        id
    }

    fn forget(&mut self, id: MessageId) -> Option<Message> {
        let message = self.messages.remove(&id)?;
        self.ids.remove(&message);
        Some(message)
    }

    fn command(&mut self, wish: Wish) -> Option<Command> {
        Some(match wish {
            Wish::Connect => Command::Reconnect,
            Wish::Disconnect => Command::Close,
            Wish::Consumed(deliveries) => Command::Consumed { deliveries },
            Wish::GiveUp(message) => {
                let id = self.ids.remove(&message)?;
                self.messages.remove(&id);
                Command::Cancel { id }
            }
            Wish::MarkRead { conversation, up_to } => {
                Command::MarkRead { conversation: self.conversation_id(conversation), up_to }
            }
            Wish::Page { conversation, request, after } => {
                // A number of its own: a late copy of the page before must not pass for the answer to this request.
                self.page_next += 1;
                self.pages.insert(self.page_next, request);
                Command::ReadPage {
                    request: self.page_next,
                    conversation: self.conversation_id(conversation),
                    after,
                }
            }
            Wish::Send(Outgoing { conversation, message, payload, reply_to_seq }) => Command::Send {
                id: self.name(message),
                conversation: self.conversation_id(conversation),
                reply_to: reply_to_seq,
                payload,
            },
            Wish::ChangeMembers(Change { conversation, message, added, removed }) => Command::ChangeMembers {
                id: self.name(message),
                conversation: self.conversation_id(conversation),
                added: added.into_iter().map(|user| self.user_id(user)).collect(),
                removed: removed.into_iter().map(|user| self.user_id(user)).collect(),
            },
        })
    }

    fn saw(&mut self, observation: Observation) -> Option<What> {
        let device = self.device();
        Some(match observation {
            Observation::Session { resumed } => What::Session {
                device,
                session: if resumed { SessionKind::Resumed } else { SessionKind::New },
            },
            Observation::SessionEnded { why } => What::Disconnected { device, why: why.to_owned() },
            Observation::Retried { id, .. } => What::Retry { device, message: *self.messages.get(&id)? },
            Observation::Accepted { id, seq, .. } => {
                What::Accepted { device, message: self.forget(id)?, seq: Some(seq), rung: Rung::Stored }
            }
            Observation::Rejected { id, code } => {
                What::Rejected { device, message: self.forget(id)?, code: code.to_owned() }
            }
            Observation::Indefinite { id, code } => {
                What::Unknown { device, message: self.forget(id)?, why: code.to_owned() }
            }
            Observation::Delivered { conversation, entry, redelivered } => {
                self.delivered(conversation, &entry, redelivered)
            }
            Observation::Suppressed { conversation, entry, redelivered } => What::Suppressed {
                device,
                conversation: self.number(conversation),
                message: self.message_of(&entry),
                seq: Some(entry.seq),
                redelivered,
            },
            Observation::Acknowledged { conversation, up_to } => What::Acknowledged {
                device,
                conversation: self.number(conversation),
                up_to: Some(up_to),
                message: None,
            },
            Observation::Gap { conversation, after, before } => {
                What::Gap { device, conversation: self.number(conversation), after, before }
            }
            Observation::ChainBroken { conversation, seq } => {
                What::ChainBroken { device, conversation: self.number(conversation), seq }
            }
            Observation::ReadConfirmed { conversation, up_to } => {
                What::ReadConfirmed { device, conversation: self.number(conversation), up_to }
            }
            Observation::Receipt { conversation, by, delivered, read } => {
                self.receipt(conversation, by, (delivered, read))?
            }
            Observation::Page { request, conversation, entries, complete } => What::Page {
                device,
                conversation: self.number(conversation),
                request: self.pages.remove(&request)?,
                items: entries.iter().map(|entry| self.item(entry)).collect(),
                complete,
            },
        })
    }

    fn delivered(&self, conversation: ConversationId, entry: &Entry, redelivered: bool) -> What {
        let (device, conversation) = (self.device(), self.number(conversation));
        match &entry.body {
            Body::Message { payload, .. } => What::Delivered {
                device,
                conversation,
                message: payload::read(self.identity.salt, payload),
                seq: Some(entry.seq),
                digest: payload::digest(payload),
                redelivered,
            },
            Body::Members { added, removed } => What::MembersChanged {
                device,
                conversation,
                seq: Some(entry.seq),
                added: added.iter().map(|user| self.user_number(*user)).collect(),
                removed: removed.iter().map(|user| self.user_number(*user)).collect(),
            },
        }
    }

    /// A receipt tells two marks at once; the history has one event each, so the second waits its turn.
    fn receipt(&mut self, conversation: ConversationId, by: DeviceKey, marks: (u64, u64)) -> Option<What> {
        let device = self.device();
        let known = self.receipts.insert((conversation, by), marks).unwrap_or_default();
        let event = |kind, up_to| What::Receipt {
            device,
            conversation: self.number(conversation),
            by: Device(by.device.0.wrapping_sub(1)),
            kind,
            up_to,
        };
        let delivered = (known.0 != marks.0).then(|| event(ReceiptKind::Delivered, marks.0));
        let read = (known.1 != marks.1).then(|| event(ReceiptKind::Read, marks.1));
        if delivered.is_some() {
            self.pending = read.map(Effect::Saw);
            return delivered;
        }
        read
    }

    fn item(&self, entry: &Entry) -> PageItem {
        match &entry.body {
            Body::Message { payload, .. } => PageItem {
                seq: Some(entry.seq),
                message: payload::read(self.identity.salt, payload),
                digest: payload::digest(payload),
            },
            Body::Members { .. } => PageItem { seq: Some(entry.seq), message: None, digest: 0 },
        }
    }

    fn message_of(&self, entry: &Entry) -> Option<Message> {
        match &entry.body {
            Body::Message { payload, .. } => payload::read(self.identity.salt, payload),
            Body::Members { .. } => None,
        }
    }
}

impl Adapter for Reference {
    fn handle(&mut self, now_ns: u64, input: Input) {
        if !self.is_started && matches!(input, Input::Wish(Wish::Connect)) {
            // The engine asks for its first connection by itself; it was held back until now.
            self.is_started = true;
            return;
        }
        match input {
            Input::Connected => self.is_up = true,
            Input::Disconnected | Input::Wish(Wish::Disconnect) => self.is_up = false,
            Input::Wish(Wish::Connect) if self.is_up => return,
            Input::Wish(Wish::Consumed(_)) if !self.waits_for_application => return,
            _ => {}
        }
        let input = match input {
            Input::Connected => EngineInput::Connected,
            Input::Received(bytes) => EngineInput::Received(bytes),
            Input::Disconnected => EngineInput::Disconnected,
            Input::Timeout => EngineInput::Timeout,
            Input::Wish(wish) => match self.command(wish) {
                Some(command) => EngineInput::Command(command),
                None => return,
            },
        };
        self.client.handle(Time(now_ns), input);
    }

    fn poll(&mut self) -> Option<Effect> {
        if self.pending.is_some() {
            return self.pending.take();
        }
        while self.is_started {
            match self.client.poll_effect()? {
                EngineEffect::Connect => return Some(Effect::Connect),
                EngineEffect::Transmit(bytes) => return Some(Effect::Transmit(bytes)),
                EngineEffect::Disconnect => {
                    self.is_up = false;
                    return Some(Effect::Disconnect);
                }
                EngineEffect::Observe(observation) => {
                    if let Some(what) = self.saw(observation) {
                        return Some(Effect::Saw(what));
                    }
                }
            }
        }
        None
    }

    fn next_timeout_ns(&self) -> Option<u64> {
        self.client.next_timeout().filter(|_| self.is_started).map(|time| time.0)
    }

    fn is_idle(&self) -> bool {
        self.pending.is_none() && self.client.is_idle()
    }
}
