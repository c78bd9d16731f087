//! Orders.

use avouch_reports::verdict::Verdict;

use super::history::{chat, reference};
use super::{check, judged, passes, verdict};
use crate::check::Fifo;

#[test]
fn one_sender() {
    let h = chat().send(1, 1).acc(1, 0).send(1, 2).acc(2, 0);
    passes(
        &h.clone().del(2, 1, 0).del(2, 2, 0).del(3, 1, 0).del(3, 2, 0).end(),
        &["fifo-order", "real-time-order"],
    );
    let h = h.del(2, 2, 0).del(2, 1, 0);
    check(&h.clone().del(3, 2, 0).del(3, 1, 0).end(), &["fifo-order", "real-time-order"]);
    check(&h.del(3, 1, 0).del(3, 2, 0).end(), &["fifo-order", "real-time-order", "total-order"]);
}

#[test]
fn one_sender_pipelined() {
    let h = chat()
        .send(1, 1)
        .send(1, 2)
        .acc(2, 0)
        .acc(1, 0)
        .del(2, 2, 0)
        .del(2, 1, 0)
        .del(3, 2, 0)
        .del(3, 1, 0)
        .end();
    check(&h, &[]);
    check(&h.with(|o| o.fifo = Fifo::Invoked), &["fifo-order"]);
}

#[test]
fn answers() {
    let h = chat().send(1, 1).acc(1, 0).del(2, 1, 0).reply(2, 2, 1).acc(2, 0).del(1, 2, 0);
    passes(&h.clone().del(3, 1, 0).del(3, 2, 0).end(), &["causal-order"]);
    check(&h.clone().del(3, 2, 0).del(3, 1, 0).end(), &["causal-order", "real-time-order"]);
    // Without an answer's mark, and with the first ack still on its way (so that no other order is promised).
    let h = chat().send(1, 1).del(2, 1, 0).send(2, 2).acc(2, 0).acc(1, 0).del(1, 2, 0);
    check(&h.clone().del(3, 2, 0).del(3, 1, 0).end(), &["causal-order"]);
    check(&h.del(3, 1, 0).del(3, 2, 0).end(), &[]);
}

#[test]
fn one_order_for_all() {
    let h = chat().send(1, 1).send(2, 2).acc(1, 1).acc(2, 2).del(1, 2, 2).del(2, 1, 1);
    passes(&h.clone().del(3, 1, 1).del(3, 2, 2).end(), &["total-order"]);
    let swapped = judged(&h.del(3, 2, 2).del(3, 1, 1).end());
    assert_eq!(swapped["total-order"].verdict, Verdict::Violated);
    // Without positions: three devices, three messages, no two of which all devices have in a contradictory order.
    let h = chat().send(1, 1).send(2, 2).send(3, 3).acc(1, 0).acc(2, 0).acc(3, 0);
    let cycle = h.clone().del(1, 2, 0).del(1, 3, 0).del(2, 3, 0).del(2, 1, 0).del(3, 1, 0).del(3, 2, 0).end();
    check(&cycle, &["total-order"]);
    let fits = h.del(1, 2, 0).del(1, 3, 0).del(2, 1, 0).del(2, 3, 0).del(3, 1, 0).del(3, 2, 0).end();
    passes(&fits, &["total-order"]);
}

#[test]
fn one_position_two_messages() {
    let h = reference().send(1, 1).send(2, 2).acc(1, 1).del(2, 1, 1).del(3, 1, 1);
    let judged = judged(&h.acc(2, 1).end());
    assert_eq!(judged["total-order"].verdict, Verdict::Violated);
    assert_eq!(judged["total-order"].findings[0].anomaly, "divergent");
}

#[test]
fn acknowledged_before_sent() {
    // The second is sent after the first was acknowledged, by another device, and stands before it.
    let h = chat()
        .send(1, 1)
        .acc(1, 5)
        .send(2, 2)
        .acc(2, 4)
        .del(1, 2, 4)
        .del(2, 1, 5)
        .del(3, 2, 4)
        .del(3, 1, 5)
        .end();
    check(&h, &["real-time-order"]);
    // At the same instant nothing is promised.
    let h = chat().send(1, 1).acc(1, 5).send(2, 2).tie().acc(2, 4);
    check(&h.del(1, 2, 4).del(2, 1, 5).del(3, 2, 4).del(3, 1, 5).end(), &[]);
    verdict(&chat().talk(1, 1, 1, &[2, 3]).end(), "real-time-order", Verdict::Skipped);
}
