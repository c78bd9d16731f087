//! Histories as proptest makes them, for every test of this crate.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use crate::history::*;

/// Any text within the limits, hostile characters included.
pub(crate) fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z ]{0,12}",
        vec(any::<char>(), 0..8).prop_map(String::from_iter),
        Just("\u{1b}[2J<script>\u{202e}\"\\".to_owned())
    ]
}

const DEVICES: u32 = 4;
const CONVERSATIONS: u32 = 3;

fn device() -> impl Strategy<Value = Device> {
    (0..DEVICES).prop_map(Device)
}
fn conversation() -> impl Strategy<Value = Conversation> {
    (0..CONVERSATIONS).prop_map(Conversation)
}
fn message() -> impl Strategy<Value = Message> {
    any::<u64>().prop_map(Message)
}
fn users() -> impl Strategy<Value = Vec<User>> {
    vec(any::<u32>().prop_map(User), 0..4)
}
fn item() -> impl Strategy<Value = PageItem> {
    let parts = (option::of(any::<u64>()), option::of(message()), any::<u64>());
    parts.prop_map(|(seq, message, digest)| PageItem { seq, message, digest })
}

/// Any event but a declaration, on declared devices and conversations.
pub(crate) fn what() -> impl Strategy<Value = What> {
    prop_oneof![operations(), deliveries(), pages(), run()]
}

fn operations() -> impl Strategy<Value = What> {
    let sender = (device(), message());
    let send = (device(), conversation(), message(), any::<u64>(), any::<u32>(), any::<u64>());
    prop_oneof![
        (send, option::of(message())).prop_map(
            |((device, conversation, message, at, bytes, digest), reply_to)| {
                What::Send { device, conversation, message, intended_ns: at, bytes, digest, reply_to }
            }
        ),
        (device(), message()).prop_map(|(device, message)| What::Retry { device, message }),
        (sender, option::of(any::<u64>()), 0..8_usize).prop_map(|((device, message), seq, rung)| {
            What::Accepted { device, message, seq, rung: Rung::ALL[rung] }
        }),
        (device(), message(), text()).prop_map(|(device, message, code)| What::Rejected {
            device,
            message,
            code
        }),
        (device(), message(), text()).prop_map(|(device, message, why)| What::Unknown {
            device,
            message,
            why
        }),
        (device(), conversation(), message(), users(), users()).prop_map(
            |(device, conversation, message, added, removed)| {
                What::MembersChange { device, conversation, message, added, removed }
            }
        ),
        (device(), conversation(), option::of(any::<u64>()), users(), users()).prop_map(
            |(device, conversation, seq, added, removed)| {
                What::MembersChanged { device, conversation, seq, added, removed }
            }
        ),
    ]
}

fn deliveries() -> impl Strategy<Value = What> {
    let place = (device(), conversation());
    let entry = (option::of(message()), option::of(any::<u64>()), any::<u64>(), any::<bool>());
    let up_to = (device(), conversation(), any::<u64>());
    prop_oneof![
        (place, entry, any::<bool>()).prop_map(|((device, conversation), entry, suppressed)| {
            let (message, seq, digest, redelivered) = entry;
            if suppressed {
                What::Suppressed { device, conversation, message, seq, redelivered }
            } else {
                What::Delivered { device, conversation, message, seq, digest, redelivered }
            }
        }),
        (device(), conversation(), option::of(any::<u64>()), option::of(message())).prop_map(
            |(device, conversation, up_to, message)| {
                What::Acknowledged { device, conversation, up_to, message }
            }
        ),
        (up_to, any::<bool>()).prop_map(|((device, conversation, up_to), confirmed)| if confirmed {
            What::ReadConfirmed { device, conversation, up_to }
        } else {
            What::Read { device, conversation, up_to }
        }),
        (device(), conversation(), device(), any::<bool>(), any::<u64>()).prop_map(
            |(device, conversation, by, read, up_to)| {
                let kind = if read { ReceiptKind::Read } else { ReceiptKind::Delivered };
                What::Receipt { device, conversation, by, kind, up_to }
            }
        ),
    ]
}

fn pages() -> impl Strategy<Value = What> {
    let place = (device(), conversation());
    prop_oneof![
        (device(), conversation(), any::<u64>(), any::<u64>()).prop_map(
            |(device, conversation, after, before)| What::Gap { device, conversation, after, before }
        ),
        (device(), conversation(), any::<u64>())
            .prop_map(|(device, conversation, seq)| { What::ChainBroken { device, conversation, seq } }),
        (device(), conversation(), any::<u64>(), any::<u64>()).prop_map(
            |(device, conversation, request, after)| {
                What::PageRequested { device, conversation, request, after }
            }
        ),
        (place, any::<u64>(), vec(item(), 0..4), any::<bool>()).prop_map(
            |((device, conversation), request, items, complete)| {
                What::Page { device, conversation, request, items, complete }
            }
        ),
    ]
}

fn run() -> impl Strategy<Value = What> {
    prop_oneof![
        (0..5_usize).prop_map(|phase| What::Phase { phase: Phase::ALL[phase] }),
        (device(), any::<bool>()).prop_map(|(device, new)| {
            What::Session { device, session: if new { SessionKind::New } else { SessionKind::Resumed } }
        }),
        (device(), text()).prop_map(|(device, why)| What::Disconnected { device, why }),
        (any::<u32>(), text(), text()).prop_map(|(id, kind, target)| What::FaultStarted { id, kind, target }),
        (any::<u32>(), text(), device(), any::<u64>(), text()).prop_map(
            |(id, kind, device, frame, detail)| { What::FaultFired { id, kind, device, frame, detail } }
        ),
        (any::<u32>(), text()).prop_map(|(id, evidence)| What::FaultEnded { id, evidence }),
        (any::<u32>(), text(), text()).prop_map(|(id, kind, why)| What::FaultSkipped { id, kind, why }),
        (text(), text()).prop_map(|(node, state)| What::Node { node, state }),
        device().prop_map(|device| What::Quiet { device }),
        device().prop_map(|device| What::Reinstalled { device }),
        (any::<bool>(), text()).prop_map(|(converged, missing)| What::Drained { converged, missing }),
        text().prop_map(|text| What::Note { text }),
    ]
}

/// A valid history.
pub(crate) fn history() -> impl Strategy<Value = (Header, Vec<Event>)> {
    let header = (text(), option::of(any::<u64>()), vec(text(), 0..3)).prop_map(|(target, seed, claims)| {
        Header { target, seed, claims, tool: "avouch test".to_owned(), ..Header::default() }
    });
    let events = vec((0..1_000_000_u64, what()), 0..20);
    (header, text(), events).prop_map(|(header, name, events)| {
        let mut all = declarations(&name);
        let mut at_ns = 0;
        all.extend(events.into_iter().map(|(step_ns, what)| {
            at_ns += step_ns;
            Event { at_ns, what }
        }));
        (header, all)
    })
}

fn declarations(name: &str) -> Vec<Event> {
    let devices = (0..DEVICES).map(|index| What::Device {
        device: Device(index),
        user: User(index / 2),
        name: format!("{name}{index}"),
    });
    let conversations = (0..CONVERSATIONS).map(|index| What::Conversation {
        conversation: Conversation(index),
        name: name.to_owned(),
        members: vec![User(0), User(1)],
    });
    devices.chain(conversations).map(|what| Event { at_ns: 0, what }).collect()
}
