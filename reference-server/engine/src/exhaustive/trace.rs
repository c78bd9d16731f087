//! A way through the states, in words.

use std::fmt::Write as _;

use super::Scope;
use super::world::{Action, Queue, State};
use crate::codec::{Frame, decode};
use crate::ids::{DeviceKey, MessageId};
use crate::journal::Record;

const NAMES: [&str; 2] = ["alice", "bob"];

/// One line per event, with what the two are told because of it, up to the first state of which `is_end` says that it is
/// the end.
pub(super) fn words_until(scope: &Scope, actions: &[Action], is_end: impl Fn(&State) -> bool) -> String {
    let mut state = State::set_up(scope);
    let mut text = String::new();
    for action in actions {
        let before = state.clone();
        state.step(*action);
        let _ = writeln!(text, "{}{}", happened(&before, *action), told(&before, &state));
        if is_end(&state) {
            break;
        }
    }
    text
}

fn happened(state: &State, action: Action) -> String {
    match action {
        Action::Send(client) => {
            format!("{} sends her next message", NAMES[client]).replace("bob sends her", "bob sends his")
        }
        Action::Pass(queue) => format!("{} arrives", frame(state, queue, 0)),
        Action::Drop(queue) => format!("{} is lost", frame(state, queue, 0)),
        Action::Copy(queue) => {
            format!("{} arrives, and a copy of it is still on its way", frame(state, queue, 0))
        }
        Action::Swap(queue) => {
            format!("{} is overtaken by {}", frame(state, queue, 0), frame(state, queue, 1))
        }
        Action::Commit => format!("durable: {}", tail(state)),
        Action::Crash if state.tail.is_empty() => "the server crashes and starts again".to_owned(),
        Action::Crash => format!("the server crashes and starts again; gone: {}", tail(state)),
        Action::Tick => "time passes, and who waits tries again".to_owned(),
    }
}

fn tail(state: &State) -> String {
    let entries = state.tail.iter().filter_map(|record| match record {
        Record::Entry { entry, .. } => Some(format!("{} at {}", message(entry.author, entry.id), entry.seq)),
        _ => None,
    });
    entries.collect::<Vec<_>>().join(" and ")
}

fn frame(state: &State, queue: Queue, at: usize) -> String {
    let name = NAMES[queue.client];
    let Some(Ok(frame)) = state.queue(queue).get(at).map(decode) else { return "nothing".to_owned() };
    let own = |id: MessageId| label(queue.client, id);
    match frame {
        Frame::Send { id, .. } => format!("send {}", own(id)),
        Frame::Accepted { id, seq, .. } => format!("accepted {} at {seq}", own(id)),
        Frame::Deliver { entry, .. } => {
            format!("deliver {} at {} to {name}", message(entry.author, entry.id), entry.seq)
        }
        other => format!("{other:?}"),
    }
}

fn message(author: DeviceKey, id: MessageId) -> String {
    label(author.user.0 as usize - 1, id)
}

/// `a1` is the first message of alice; the id before it made the conversation.
fn label(client: usize, id: MessageId) -> String {
    format!("{}{}", &NAMES[client][..1], id.0.saturating_sub(1))
}

fn told(before: &State, after: &State) -> String {
    let mut text = String::new();
    for (client, (was, is)) in before.parties.iter().zip(&after.parties).enumerate() {
        let name = NAMES[client];
        for (id, seq) in is.accepted.iter().filter(|(id, _)| !was.accepted.contains_key(id)) {
            let _ = write!(text, "; {name} knows {} accepted at {seq}", label(client, *id));
        }
        for id in is.refused.iter().skip(was.refused.len()) {
            let _ = write!(text, "; {name} knows {} refused", label(client, *id));
        }
        for (seq, author, id) in is.shown.iter().skip(was.shown.len()) {
            let _ = write!(text, "; {name} is shown {} at {seq}", message(*author, *id));
        }
    }
    text
}
