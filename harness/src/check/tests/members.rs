//! Who belonged when: changes and whose they are, stays, and what lies between them.

use avouch_reports::history::Phase;

use super::history::{History, chat, reference};
use super::{check, passes};

/// Removed, and something is said without them; added again with somebody new, and something is said to all; removed again.
fn comes_and_goes() -> History {
    let asked = reference().device(4, 4).anew(4).change(1, 11, &[], &[3]).send(1, 12);
    asked.change(1, 13, &[3, 4], &[]).send(1, 14).change(1, 15, &[], &[3])
}

/// What the newcomer sees of it.
fn newcomer(h: History) -> History {
    h.changed(4, 3, &[3, 4], &[]).del(4, 14, 4).changed(4, 5, &[], &[3])
}

/// What the others see of it. (They get to know of no change: only the acks tell of those.)
fn others(h: History) -> History {
    h.del(2, 12, 2).changed(2, 3, &[3, 4], &[]).del(2, 14, 4).changed(3, 3, &[3, 4], &[])
}

#[test]
fn two_operations_that_ask_for_the_same() {
    let acked = |h: History| h.acc(11, 1).acc(12, 2).acc(13, 3).acc(14, 4).acc(15, 5);
    // The second removal is seen before anything is known of the first one.
    passes(&others(acked(newcomer(comes_and_goes()))).del(3, 14, 4).end(), &["no-loss", "gap-visible"]);
    passes(&newcomer(others(acked(comes_and_goes()))).del(3, 14, 4).end(), &["no-loss", "gap-visible"]);
    // Who was added again is owed what came after that; who was removed is no member of what came before it.
    check(&others(acked(newcomer(comes_and_goes()))).end(), &["no-loss"]);
    let early = others(acked(newcomer(comes_and_goes()))).del(3, 12, 2).del(3, 14, 4);
    check(&early.end(), &["membership-boundary"]);
}

#[test]
fn two_operations_that_ask_for_the_same_and_one_is_never_answered() {
    // Which one it was that took effect is known of neither: of the other one everything is possible.
    let asked = || reference().change(1, 11, &[], &[3]).send(1, 12).change(1, 13, &[], &[3]).send(1, 14);
    let seen = asked().acc(12, 1).changed(2, 2, &[], &[3]).acc(14, 3).unknown(11).unknown(13);
    let seen = seen.del(2, 12, 1).del(2, 14, 3);
    check(&seen.clone().end(), &[]);
    check(&seen.del(3, 12, 1).end(), &[]);
    // One asked for it, and it was seen: that was it.
    let asked = reference().change(1, 11, &[], &[3]).send(1, 12);
    let seen = asked.acc(12, 1).changed(2, 2, &[], &[3]).unknown(11).del(2, 12, 1);
    passes(&seen.clone().del(3, 12, 1).end(), &["no-loss"]);
    check(&seen.end(), &["no-loss"]);
    // What was known before it was asked for is somebody else's.
    let before = reference().changed(2, 1, &[], &[3]).changed(2, 2, &[3], &[]).change(1, 11, &[], &[3]);
    check(&before.unknown(11).talk(1, 12, 3, &[2]).end(), &[]);
}

#[test]
fn acks_without_positions_name_changes_too() {
    let h = chat().change(1, 11, &[], &[3]).changed(2, 1, &[], &[3]).acc(11, 0).talk(1, 12, 2, &[2]);
    passes(&h.end(), &["no-loss"]);
}

#[test]
fn what_was_said_between_two_stays_is_nobody_elses_to_know() {
    // Only the first device is there at position 2. It goes, and its ack is never heard of.
    let alone = reference().change(1, 11, &[], &[2, 3]).acc(11, 1).changed(3, 1, &[], &[2, 3]).send(1, 12);
    let back = alone.change(1, 13, &[3], &[]).cut(1).changed(3, 3, &[3], &[]).unknown(12).unknown(13);
    let end = |h: History| h.phase(Phase::Heal).phase(Phase::Drain).quiet(3).drained(true);
    passes(&end(back.clone()), &["seq-sane"]);
    // A hole in a stay is one, whoever has gone.
    check(&end(back.talk(3, 14, 5, &[])), &["seq-sane"]);
}
