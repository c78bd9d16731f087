//! Random runs of a correct server pass; one named corruption of the history, and exactly the right promises are broken.

use avouch_reports::history::{Conversation, Device, Event, Message, ReceiptKind, SessionKind, User, What};
use avouch_reports::verdict::Verdict;
use proptest::prelude::*;

use super::history::{History, digest};
use super::judged;
use super::model::{Choices, places, run};

/// A corruption: its name, what must be found, what else may be found with it, and how it is done (false: no occasion).
type Corruption = (
    &'static str,
    &'static [&'static str],
    &'static [&'static str],
    fn(&mut Vec<Event>, &mut Choices) -> bool,
);

const CORRUPTIONS: &[Corruption] = &[
    (
        "drop the delivery of an acknowledged message",
        &["no-loss"],
        &["gap-visible", "receipts-truthful", "offline-complete", "inflight-redelivered", "resume-truthful"],
        drop_delivery,
    ),
    ("deliver twice, marked", &["no-duplicates"], &[], |e, c| again(e, c, true)),
    ("deliver twice, not marked", &["no-duplicates"], &["redelivery-flag-truthful"], |e, c| {
        again(e, c, false)
    }),
    (
        "swap two deliveries",
        &["total-order", "seq-sane"],
        &["gap-visible", "fifo-order", "causal-order", "real-time-order", "receipts-truthful"],
        |e, c| swap(e, c),
    ),
    ("change a payload", &["intact"], &[], |e, c| change_payload(e, c)),
    ("deliver to an outsider", &["isolation"], &[], outsider),
    ("deliver in another conversation", &["isolation"], &[], astray),
    ("take a receipt back", &["receipts-truthful"], &[], regress),
    ("a receipt before the delivery", &["receipts-truthful"], &[], early_receipt),
    ("a read receipt that nobody asked for", &["receipts-truthful"], &[], unread),
    ("withhold all receipts of one device", &["receipts-complete"], &[], withhold),
    (
        "give a position twice",
        &["seq-sane", "total-order"],
        &["no-loss", "offline-complete", "inflight-redelivered", "resume-truthful"],
        reuse,
    ),
    ("skip a position", &["seq-sane"], &[], |e, c| skip(e, c)),
    (
        "deliver what was refused",
        &["errors-truthful"],
        &["fifo-order", "causal-order", "real-time-order"],
        refused,
    ),
    ("deliver what nobody sent", &["no-phantoms"], &[], phantom),
    ("acknowledge at another position", &["idempotent-send"], &[], moved),
    (
        "a final page leaves something out",
        &["history-agrees"],
        &["read-your-writes", "monotonic-reads"],
        |e, c| forget(e, c),
    ),
    ("the log rolls back what was acknowledged", &["real-time-order"], REORDERED, late_position),
];

/// What a message at a much earlier position than its send breaks besides.
const REORDERED: &[&str] = &[
    "seq-sane",
    "total-order",
    "fifo-order",
    "causal-order",
    "gap-visible",
    "no-loss",
    "offline-complete",
    "inflight-redelivered",
    "resume-truthful",
    "receipts-truthful",
    "receipts-complete",
    "read-your-writes",
    "monotonic-reads",
    "history-agrees",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn a_correct_server_is_never_accused(seed in any::<u64>(), steps in 0usize..600) {
        let judged = judged(&run(seed, steps));
        for judgement in judged.values() {
            prop_assert!(judgement.verdict != Verdict::Violated, "{judgement:#?}");
        }
        if steps > 300 {
            for id in ["no-loss", "total-order", "receipts-complete", "history-agrees", "seq-sane", "causal-order"] {
                prop_assert!(judged[id].verdict == Verdict::Pass, "{:?}", judged[id]);
            }
        }
    }

    #[test]
    fn each_corruption_is_found_and_nothing_else(seed in any::<u64>()) {
        let healthy = run(seed, 400);
        for (name, must, may, corrupt) in CORRUPTIONS {
            let mut history = healthy.clone();
            if !corrupt(&mut history.events, &mut Choices(seed)) {
                continue;
            }
            in_time_order(&mut history);
            let judged = judged(&history);
            for judgement in judged.values() {
                let id = judgement.guarantee.as_str();
                let violated = judgement.verdict == Verdict::Violated;
                prop_assert!(violated || !must.contains(&id), "{name}: {id} was not found: {}", judgement.observed);
                let wrong = violated && !must.contains(&id) && !may.contains(&id);
                prop_assert!(!wrong, "{name}: {id} was accused: {:#?}", judgement.findings);
            }
        }
    }
}

#[test]
fn every_corruption_has_an_occasion() {
    for (name, .., corrupt) in CORRUPTIONS {
        let occasions =
            (0..20).filter(|&seed| corrupt(&mut run(seed, 400).events, &mut Choices(seed))).count();
        assert!(occasions >= 4, "{name}: {occasions} of 20");
    }
}

/// Inserted events take the time of the one before.
fn in_time_order(history: &mut History) {
    let mut last = 0;
    for event in &mut history.events {
        event.at_ns = event.at_ns.max(last);
        last = event.at_ns;
    }
}

fn pick(places: &[usize], choices: &mut Choices) -> Option<usize> {
    (!places.is_empty()).then(|| places[choices.below(places.len())])
}

fn insert(events: &mut Vec<Event>, at: usize, what: What) {
    let at_ns = events[at.saturating_sub(1)].at_ns;
    events.insert(at, Event { at_ns, what });
}

fn delivery(events: &[Event], choices: &mut Choices) -> Option<usize> {
    pick(&places(events, |w| matches!(w, What::Delivered { .. })), choices)
}

fn parts(event: &Event) -> (Device, Message, u64) {
    match event.what {
        What::Delivered { device, message: Some(message), seq: Some(seq), .. } => (device, message, seq),
        _ => unreachable!("a delivery of the model"),
    }
}

fn accepted(events: &[Event], of: Message) -> bool {
    events.iter().any(|e| matches!(e.what, What::Accepted { message, .. } if message == of))
}

fn sender(events: &[Event], of: Message) -> Device {
    let sent = events.iter().find_map(|e| match e.what {
        What::Send { device, message, .. } if message == of => Some(device),
        _ => None,
    });
    sent.unwrap()
}

fn drop_delivery(events: &mut Vec<Event>, choices: &mut Choices) -> bool {
    let all = places(events, |w| matches!(w, What::Delivered { .. }));
    let acked: Vec<usize> = all
        .into_iter()
        .filter(|&at| {
            let (device, message, _) = parts(&events[at]);
            accepted(events, message) && sender(events, message) != device
        })
        .collect();
    pick(&acked, choices).map(|at| events.remove(at)).is_some()
}

fn again(events: &mut Vec<Event>, choices: &mut Choices, mark: bool) -> bool {
    let Some(at) = delivery(events, choices) else { return false };
    let mut what = events[at].what.clone();
    if let What::Delivered { redelivered, .. } = &mut what {
        *redelivered = mark;
    }
    insert(events, at + 1, what);
    true
}

fn swap(events: &mut [Event], choices: &mut Choices) -> bool {
    let Some(at) = delivery(events, choices) else { return false };
    let (device, ..) = parts(&events[at]);
    let next = events[at + 1..]
        .iter()
        .position(|e| matches!(e.what, What::Delivered { device: d, .. } if d == device));
    let Some(next) = next.map(|n| at + 1 + n) else { return false };
    // The later one must have been sent by then; else it would be a phantom.
    let (_, later, _) = parts(&events[next]);
    if !events[..at].iter().any(|e| matches!(e.what, What::Send { message, .. } if message == later)) {
        return false;
    }
    let what = events[at].what.clone();
    events[at].what = std::mem::replace(&mut events[next].what, what);
    true
}

fn change_payload(events: &mut [Event], choices: &mut Choices) -> bool {
    let Some(at) = delivery(events, choices) else { return false };
    if let What::Delivered { digest, .. } = &mut events[at].what {
        *digest ^= 0xFF00;
    }
    true
}

fn outsider(events: &mut Vec<Event>, choices: &mut Choices) -> bool {
    let Some(at) = delivery(events, choices) else { return false };
    let mut what = events[at].what.clone();
    if let What::Delivered { device, .. } = &mut what {
        *device = Device(99);
    }
    insert(events, at + 1, what);
    insert(events, 1, What::Session { device: Device(99), session: SessionKind::New });
    insert(events, 1, What::Device { device: Device(99), user: User(99), name: "u99.d1".to_owned() });
    true
}

fn astray(events: &mut Vec<Event>, choices: &mut Choices) -> bool {
    let Some(at) = delivery(events, choices) else { return false };
    let mut what = events[at].what.clone();
    if let What::Delivered { conversation, .. } = &mut what {
        *conversation = Conversation(2);
    }
    insert(events, at + 1, what);
    let members = (1..=3).map(User).collect();
    insert(events, 1, What::Conversation { conversation: Conversation(2), name: "c2".to_owned(), members });
    true
}

fn regress(events: &mut Vec<Event>, choices: &mut Choices) -> bool {
    let high = places(events, |w| matches!(w, What::Receipt { up_to: 2.., .. }));
    let Some(at) = pick(&high, choices) else { return false };
    let mut what = events[at].what.clone();
    if let What::Receipt { up_to, .. } = &mut what {
        *up_to -= 1;
    }
    insert(events, at + 1, what);
    true
}

fn early_receipt(events: &mut Vec<Event>, choices: &mut Choices) -> bool {
    let all = places(events, |w| matches!(w, What::Delivered { .. }));
    let others: Vec<usize> = all
        .into_iter()
        .filter(|&at| {
            let (device, message, _) = parts(&events[at]);
            let user = |d: Device| d.0 % 10;
            accepted(events, message) && user(sender(events, message)) != user(device)
        })
        .collect();
    let Some(at) = pick(&others, choices) else { return false };
    let (by, _, up_to) = parts(&events[at]);
    let device = Device(if by.0 == 3 { 1 } else { 3 });
    let kind = ReceiptKind::Delivered;
    insert(events, at, What::Receipt { device, conversation: Conversation(1), by, kind, up_to });
    true
}

fn unread(events: &mut Vec<Event>, choices: &mut Choices) -> bool {
    let Some(at) = pick(&places(events, |w| matches!(w, What::Read { .. })), choices) else { return false };
    let What::Read { device: by, conversation, up_to } = events[at].what else { return false };
    let device = Device(if by.0 == 3 { 1 } else { 3 });
    insert(events, at, What::Receipt { device, conversation, by, kind: ReceiptKind::Read, up_to });
    // Other devices of the user may have read as far.
    !events[..at].iter().any(
        |e| matches!(e.what, What::Read { device: d, up_to: u, .. } if d.0 % 10 == by.0 % 10 && u >= up_to),
    )
}

fn withhold(events: &mut Vec<Event>, choices: &mut Choices) -> bool {
    let own = places(events, |w| matches!(w, What::Accepted { .. }));
    let Some(at) = pick(&own, choices) else { return false };
    let What::Accepted { device, .. } = events[at].what else { return false };
    let from = Device(if device.0 == 3 { 1 } else { 3 });
    events.retain(|e| !matches!(e.what, What::Receipt { device: d, by, .. } if d == device && by == from));
    device.0 % 10 != from.0 % 10
}

fn reuse(events: &mut Vec<Event>, choices: &mut Choices) -> bool {
    let Some(at) = pick(&places(events, |w| matches!(w, What::Accepted { .. })), choices) else {
        return false;
    };
    let What::Accepted { seq: Some(seq), rung, .. } = events[at].what else { return false };
    let m = 100_000;
    let (device, message) = (Device(1), Message(m));
    insert(events, at + 1, What::Accepted { device, message, seq: Some(seq), rung });
    let send = What::Send {
        device,
        conversation: Conversation(1),
        message,
        intended_ns: 0,
        bytes: 1,
        digest: digest(m),
        reply_to: None,
    };
    insert(events, at, send);
    true
}

/// Every position from some one on is one greater, everywhere.
fn skip(events: &mut [Event], choices: &mut Choices) -> bool {
    let Some(at) = delivery(events, choices) else { return false };
    let (.., from) = parts(&events[at]);
    let shift = |seq: &mut u64| *seq += u64::from(*seq >= from);
    for event in events.iter_mut() {
        match &mut event.what {
            What::Accepted { seq: Some(seq), .. }
            | What::Delivered { seq: Some(seq), .. }
            | What::Suppressed { seq: Some(seq), .. } => shift(seq),
            What::Acknowledged { up_to: Some(up_to), .. }
            | What::Read { up_to, .. }
            | What::ReadConfirmed { up_to, .. }
            | What::Receipt { up_to, .. }
            | What::PageRequested { after: up_to, .. } => shift(up_to),
            What::Page { items, .. } => items.iter_mut().filter_map(|i| i.seq.as_mut()).for_each(shift),
            _ => {}
        }
    }
    // Somebody must have seen what is before it.
    from > 1
}

fn refused(events: &mut Vec<Event>, choices: &mut Choices) -> bool {
    let Some(at) = pick(&places(events, |w| matches!(w, What::Rejected { .. })), choices) else {
        return false;
    };
    let What::Rejected { message, device, .. } = events[at].what else { return false };
    let to = Device(if device.0 == 3 { 1 } else { 3 });
    let (conversation, digest) = (Conversation(1), digest(message.0));
    let what = What::Delivered {
        device: to,
        conversation,
        message: Some(message),
        seq: None,
        digest,
        redelivered: false,
    };
    insert(events, at + 1, what);
    true
}

fn phantom(events: &mut Vec<Event>, choices: &mut Choices) -> bool {
    let Some(at) = delivery(events, choices) else { return false };
    let (device, conversation) = (Device(2), Conversation(1));
    let message = Some(Message(1 << 50));
    insert(
        events,
        at,
        What::Delivered { device, conversation, message, seq: None, digest: 1, redelivered: false },
    );
    true
}

fn moved(events: &mut Vec<Event>, choices: &mut Choices) -> bool {
    let Some(at) = pick(&places(events, |w| matches!(w, What::Accepted { .. })), choices) else {
        return false;
    };
    let mut what = events[at].what.clone();
    if let What::Accepted { seq: Some(seq), .. } = &mut what {
        *seq += 100_000;
    }
    insert(events, at + 1, what);
    true
}

fn forget(events: &mut [Event], choices: &mut Choices) -> bool {
    let drained = places(events, |w| matches!(w, What::Drained { .. }))[0];
    let pages: Vec<usize> =
        places(events, |w| matches!(w, What::Page { .. })).into_iter().filter(|&at| at > drained).collect();
    let Some(at) = pick(&pages, choices) else { return false };
    let acked: Vec<Message> = events
        .iter()
        .filter_map(|e| match e.what {
            What::Accepted { message, .. } => Some(message),
            _ => None,
        })
        .collect();
    let What::Page { items, .. } = &mut events[at].what else { return false };
    let owed: Vec<usize> =
        (1..items.len()).filter(|&i| items[i].message.is_some_and(|m| acked.contains(&m))).collect();
    pick(&owed, choices).map(|i| items.remove(i)).is_some()
}

/// A new message takes a position below what had been acknowledged before it was sent; only its sender is told.
fn late_position(events: &mut Vec<Event>, choices: &mut Choices) -> bool {
    let acks = places(events, |w| matches!(w, What::Accepted { seq: Some(5..), .. }));
    let Some(at) = pick(&acks, choices) else { return false };
    let m = 100_000;
    let (device, message) = (Device(1), Message(m));
    // The first position is taken away from its message everywhere, so that it is free.
    let first = events.iter().find_map(|e| match e.what {
        What::Accepted { message, seq: Some(1), .. } => Some(message),
        _ => None,
    });
    let Some(first) = first else { return false };
    let rung = avouch_reports::history::Rung::Stored;
    let mut at = at + 1;
    insert(events, at, What::Accepted { device, message, seq: Some(1), rung });
    let (conversation, digest) = (Conversation(1), digest(m));
    insert(
        events,
        at,
        What::Send { device, conversation, message, intended_ns: 0, bytes: 1, digest, reply_to: None },
    );
    // Strictly later than the ack.
    events[at].at_ns += 1;
    at = 0;
    while at < events.len() {
        match &mut events[at].what {
            What::Send { message, .. } if *message == first => {}
            What::Delivered { message: Some(message), .. }
            | What::Suppressed { message: Some(message), .. }
                if *message == first =>
            {
                events.remove(at);
                continue;
            }
            What::Accepted { message, .. } | What::Retry { message, .. } if *message == first => {
                events.remove(at);
                continue;
            }
            What::Page { items, .. } => items.retain(|i| i.message != Some(first)),
            _ => {}
        }
        at += 1;
    }
    true
}
