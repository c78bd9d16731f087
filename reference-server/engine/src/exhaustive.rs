//! Exhaustive where small: the real engines, two senders, up to four messages, and every order of events with at most one
//! lost, one copied and one overtaken frame, and one crash that loses the unsynced tail (stateright, breadth first).
//!
//! What is left out, so that "every" is possible (the schedule is canonical, so this is a smaller world than the real one,
//! never a larger one):
//! - only what carries messages is scheduled freely and hit by faults: `send`, `accepted`, `deliver`, the commits of
//!   entries, and the crash. Acks, confirmations, receipts, logins and the commits that they cause happen at once.
//! - time passes only when nothing else is left to do but faults, and then far enough for every wait to end.
//! - connections are made at once and end only by the crash; the set-up is over.
//!
//! With all four faults at once there is room for two messages, with three messages for one or two faults at a time, and
//! four messages go through every order without any: half a million states take minutes, not seconds.
//!
//! Two states are one when the engines' views are the same (`server/view.rs`): everything but time, jitter, counters.

mod party;
mod promises;
mod trace;
mod world;

use stateright::{Checker, HasDiscoveries, Model, Property};

use crate::defects::{Defect, Defects};
use world::{Action, State};

/// Beside those of the tests themselves.
const THREADS: usize = 2;

const NOT_LOST: &str = "nothing acknowledged is lost";
const NOT_TWICE: &str = "no message is in the log twice";
const NO_GAP: &str = "everybody sees the log from its beginning, in its order, without gaps";
const ALL_DELIVERED: &str = "in the end everything is acknowledged and delivered";

/// What is explored.
#[derive(Clone, Copy, Debug)]
struct Scope {
    /// Messages of the two senders.
    messages: [u8; 2],
    /// Frames that may be lost, copied, overtaken; crashes.
    budget: world::Budget,
    defects: Defects,
}

impl Model for Scope {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State::set_up(self)]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        state.actions(actions);
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut next = state.clone();
        next.step(action);
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(NOT_LOST, |_: &Self, state: &State| state.nothing_acked_is_lost()),
            Property::always(NOT_TWICE, |_: &Self, state: &State| state.nothing_is_twice()),
            Property::always(NO_GAP, |_: &Self, state: &State| state.everybody_sees_the_log()),
            Property::eventually(ALL_DELIVERED, |_: &Self, state: &State| state.is_all_delivered()),
        ]
    }
}

/// Explores everything and answers how many states there were.
fn holds(scope: Scope) -> usize {
    let checker = scope.checker().threads(THREADS).spawn_bfs().join();
    if let Some((name, path)) = checker.discoveries().into_iter().next() {
        panic!("{name} does not hold:\n{}", trace::words_until(&scope, &path.into_actions(), |_| false));
    }
    checker.unique_state_count()
}

/// A short way to break a property that must always hold, in words, up to the moment at which it is broken.
fn breaks(scope: Scope, name: &'static str) -> String {
    let checker = scope.checker().finish_when(HasDiscoveries::AllOf([name].into())).spawn_bfs().join();
    let Some(path) = checker.discovery(name) else { panic!("{name}: not broken") };
    let property = scope.property(name);
    trace::words_until(&scope, &path.into_actions(), |state| !(property.condition)(&scope, state))
}

fn scope(messages: [u8; 2], budget: [u8; 4], defect: Option<Defect>) -> Scope {
    let [drops, copies, swaps, crashes] = budget;
    let planted = defect.map(|defect| Defects::default().with(defect).expect("tests can plant"));
    Scope {
        messages,
        budget: world::Budget { drops, copies, swaps, crashes },
        defects: planted.unwrap_or_default(),
    }
}

/// What may go wrong when nothing else is said: one of each.
const ONE_OF_EACH: [u8; 4] = [1, 1, 1, 1];

#[test]
fn two_messages_with_one_fault_of_each_kind() {
    let states = holds(scope([1, 1], ONE_OF_EACH, None));
    assert!(states > 50_000, "only {states} states: something is not explored");
}

#[test]
fn three_messages_with_a_lost_frame_and_a_crash_or_one_copied_or_one_overtaken() {
    let budgets = [[1, 0, 0, 1], [0, 1, 0, 0], [0, 0, 1, 0]];
    let states: usize = budgets.map(|budget| holds(scope([2, 1], budget, None))).iter().sum();
    assert!(states > 50_000, "only {states} states: something is not explored");
}

#[test]
fn four_messages_in_every_order() {
    let states = holds(scope([2, 2], [0, 0, 0, 0], None));
    assert!(states > 50_000, "only {states} states: something is not explored");
}

#[test]
fn ack_before_sync_is_found() {
    let scope = scope([1, 0], [0, 0, 0, 1], Some(Defect::AckBeforeCommit));
    let way = "alice sends her next message
send a1 arrives
accepted a1 at 2 arrives; alice knows a1 accepted at 2
the server crashes and starts again; gone: a1 at 2
";
    assert_eq!(breaks(scope, NOT_LOST), way);
}

#[test]
fn dedup_by_the_last_id_only_is_found() {
    let scope = scope([2, 0], [1, 0, 0, 0], Some(Defect::DedupByLastIdOnly));
    let way = "alice sends her next message
send a1 arrives
alice sends her next message
send a2 arrives
durable: a1 at 2 and a2 at 3
accepted a1 at 2 is lost
deliver a1 at 2 to alice arrives; alice is shown a1 at 2
accepted a2 at 3 arrives; alice knows a2 accepted at 3
deliver a2 at 3 to alice arrives; alice is shown a2 at 3
deliver a1 at 2 to bob arrives; bob is shown a1 at 2
deliver a2 at 3 to bob arrives; bob is shown a2 at 3
time passes, and who waits tries again
send a1 arrives
durable: a1 at 4
";
    assert_eq!(breaks(scope, NOT_TWICE), way);
}

#[test]
fn a_gap_that_is_accepted_is_found() {
    let scope = scope([2, 0], [1, 0, 0, 0], Some(Defect::GapAccepted));
    let way = "alice sends her next message
send a1 arrives
alice sends her next message
send a2 arrives
durable: a1 at 2 and a2 at 3
accepted a1 at 2 arrives; alice knows a1 accepted at 2
deliver a1 at 2 to bob is lost
deliver a2 at 3 to bob arrives; bob is shown a2 at 3
";
    assert_eq!(breaks(scope, NO_GAP), way);
}
