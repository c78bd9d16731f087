//! Orders.

use avouch_reports::history::Rung;
use avouch_reports::verdict::Verdict;

use super::history::{History, chat, reference};
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

#[test]
fn what_was_only_written() {
    let swapped = |h: History| h.del(2, 2, 0).del(2, 1, 0).del(3, 2, 0).del(3, 1, 0).end();
    let ack = |h: History, m: u64, rung: Rung| h.acc_rung(m, 0, rung);
    let second = |h: History, rung: Rung| swapped(ack(h.send(1, 2), 2, rung));
    for (rung, violated) in
        [(Rung::Written, &["fifo-order"][..]), (Rung::Received, &["fifo-order", "real-time-order"])]
    {
        // Over one connection; and over two, of which the server may read the older one later.
        let first = ack(chat().send(1, 1), 1, rung);
        check(&second(first.clone(), rung), violated);
        let across = if rung == Rung::Written { &[][..] } else { violated };
        check(&second(first.clone().cut(1).resume(1), rung), across);
        check(&second(first.cut(1).anew(1), rung), across);
        // By another device.
        let other = ack(ack(chat().send(1, 1), 1, rung).send(2, 2), 2, rung);
        check(&swapped(other), if rung == Rung::Written { &[] } else { &["real-time-order"] });
    }
    // In order nothing is to be seen of it either, unless an ack said more.
    let in_order = |rung: Rung| {
        let h = ack(ack(chat().send(1, 1), 1, rung).send(1, 2), 2, rung);
        h.del(2, 1, 0).del(2, 2, 0).del(3, 1, 0).del(3, 2, 0).end()
    };
    verdict(&in_order(Rung::Written), "real-time-order", Verdict::Skipped);
    passes(&in_order(Rung::Written), &["fifo-order"]);
    passes(&in_order(Rung::Accepted), &["fifo-order", "real-time-order"]);
    // First written, and accepted when the second was on its way: before nothing but what was sent after that.
    let late = ack(chat().send(1, 1), 1, Rung::Written).send(1, 2);
    check(&swapped(ack(ack(late, 1, Rung::Accepted), 2, Rung::Accepted)), &[]);
    let early = ack(ack(chat().send(1, 1), 1, Rung::Written), 1, Rung::Accepted);
    check(&second(early, Rung::Accepted), &["fifo-order", "real-time-order"]);
}
