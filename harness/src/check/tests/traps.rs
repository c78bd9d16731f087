//! The known ways in which a black-box checker accuses a healthy server: each is an accepting history.

use avouch_reports::history::ReceiptKind::{Delivered, Read};
use avouch_reports::history::{Phase, Rung, What};
use avouch_reports::verdict::Verdict;

use super::history::{History, chat, history, reference};
use super::{check, judged, passes, verdict};
use crate::check::{CatchUp, Redelivery};

#[test]
fn trap_01_indeterminate_sends_may_arrive_or_not() {
    for arrives in [&[][..], &[2], &[2, 3]] {
        let h = arrives.iter().fold(chat().send(1, 1).unknown(1), |h, &d| h.del(d, 1, 1));
        passes(&h.talk(1, 2, 2, &[2, 3]).end(), &["no-loss", "no-phantoms"]);
    }
}

#[test]
fn trap_02_an_ack_of_a_low_rung_that_is_taken_back() {
    check(&chat().send(1, 1).acc_rung(1, 0, Rung::Accepted).rej(1).talk(1, 2, 0, &[2, 3]).end(), &[]);
    // Partly delivered before it was taken back.
    check(&chat().talk(1, 1, 0, &[2]).rej(1).talk(1, 2, 0, &[2, 3]).end(), &[]);
    check(&chat().send(1, 1).acc_rung(1, 0, Rung::Written).talk(1, 2, 0, &[2, 3]).end(), &[]);
}

#[test]
fn trap_03_lost_before_the_drain_is_over() {
    let h = chat().talk(1, 1, 1, &[2]).phase(Phase::Heal);
    // Redelivery after 28 s, and after a second reconnect.
    passes(&h.clone().fired(0, "cut", 3).wait(28_000).redel(3, 1, 1).end(), &["no-loss"]);
    passes(&h.clone().cut(3).resume(3).cut(3).resume(3).redel(3, 1, 1).end(), &["no-loss"]);
    verdict(&h.clone().wait(28_000).phase(Phase::Drain).drained(false), "no-loss", Verdict::Inconclusive);
    verdict(&h, "no-loss", Verdict::Inconclusive);
}

#[test]
fn trap_04_redelivery_is_not_duplication() {
    let h = chat().talk(1, 1, 0, &[2, 3]);
    // Never acknowledged; acknowledged, but the ack may have died with the link.
    check(&h.clone().cut(2).resume(2).redel(2, 1, 0).end(), &[]);
    check(&h.clone().ack_one(2, 1).cut(2).resume(2).redel(2, 1, 0).end(), &[]);
    // Recognised by the client.
    check(&h.ack_one(2, 1).cut(2).resume(2).sup(2, 1, 0, true).end(), &[]);
}

#[test]
fn trap_05_a_retransmission_within_an_open_handshake() {
    // The client recognises the id of the open handshake, in the same and in a resumed session.
    let h = chat().with(|o| o.redelivery = Redelivery::Never).talk(1, 1, 0, &[2, 3]);
    check(&h.clone().sup(2, 1, 0, true).end(), &[]);
    check(&h.cut(2).resume(2).sup(2, 1, 0, true).end(), &[]);
}

#[test]
fn trap_06_a_quality_of_service_that_was_lowered() {
    // At most once: the ack promises nothing. At least once in place of exactly once: marked copies.
    check(&chat().send(1, 1).acc_rung(1, 0, Rung::Written).talk(1, 2, 0, &[2, 3]).end(), &[]);
    check(&chat().talk(1, 1, 0, &[2, 3]).redel(2, 1, 0).end(), &[]);
}

#[test]
fn trap_07_order_has_a_scope() {
    // Two senders without positions; two conversations; copies do not count.
    let h = chat().send(1, 1).send(2, 2).acc(1, 0).acc(2, 0).del(1, 2, 0).del(2, 1, 0);
    check(&h.del(3, 2, 0).del(3, 1, 0).end(), &[]);
    let h = chat().conversation(2, &[1, 2]).talk(1, 1, 1, &[3]).send_in(2, 1, 2, None).acc(2, 1).del(2, 2, 1);
    check(&h.del(2, 1, 1).end(), &[]);
    let h = chat().talk(1, 1, 0, &[2, 3]).talk(1, 2, 0, &[2, 3]);
    check(&h.cut(2).resume(2).redel(2, 1, 0).redel(2, 2, 0).end(), &[]);
}

#[test]
fn trap_08_one_to_one_chats_have_no_total_order() {
    let h = chat().device(11, 1).anew(11).device(22, 2).anew(22).send(1, 1).send(2, 2).acc(1, 0).acc(2, 0);
    let h = h.del(3, 1, 0).del(3, 2, 0).del(2, 1, 0).del(1, 2, 0);
    let h = h.del(11, 1, 0).del(11, 2, 0).del(22, 2, 0).del(22, 1, 0).end();
    // Seen, but a promise that nobody made is not punished.
    check(&h, &["total-order"]);
    let mut judge = super::Judge::new(&["no-loss".to_owned()], &[], h.options.clone());
    h.events.iter().for_each(|e| judge.observe(e));
    assert!(judge.finish().iter().all(|j| j.verdict != Verdict::Violated || !j.claimed));
}

#[test]
fn trap_09_the_session_really_ended() {
    let h = chat().with(|o| o.catch_up = CatchUp::Session).cut(3).talk(1, 1, 0, &[2]).anew(3);
    check(&h.talk(1, 2, 0, &[2, 3]).end(), &[]);
    // Where the server then delivers everything again, that is no duplicate.
    check(&chat().talk(1, 1, 1, &[2, 3]).ack(3, 1).cut(3).anew(3).del(3, 1, 1).end(), &[]);
}

#[test]
fn trap_10_bounds_that_are_signalled() {
    check(
        &chat()
            .talk(1, 1, 1, &[2, 3])
            .send(1, 2)
            .rej(2)
            .send(1, 3)
            .wait(9_000)
            .acc(3, 2)
            .del(2, 3, 2)
            .del(3, 3, 2)
            .end(),
        &[],
    );
}

#[test]
fn trap_11_pages_are_limited() {
    let h = (1..=9).fold(chat(), |h, n| h.talk(1, n, n, &[2, 3]));
    let page = |from: u64, to: u64| (from..=to).map(|n| (n, n)).collect::<Vec<_>>();
    let h = h.ask(2, 1, 0).page(2, 1, &page(1, 3), false).ask(2, 2, 3).page(2, 2, &page(4, 6), false);
    check(&h.clone().end(), &[]);
    // The newest only.
    check(&h.ask(3, 1, 0).page(3, 1, &page(7, 9), true).end(), &[]);
}

#[test]
fn trap_12_ids_that_come_back() {
    // One id for two sends: nothing can be said of either.
    let h = chat().send(1, 1).acc(1, 1).send(1, 1).acc(1, 1).delivered(2, 1, 1, (5, false)).del(3, 1, 1);
    check(&h.end(), &[]);
    // What an earlier run left behind names no send of this one.
    let h = chat().with(|o| o.exclusive = false).del_in(1, 2, None, (1, 9, false)).talk(1, 1, 2, &[2, 3]);
    check(&h.end(), &[]);
}

#[test]
fn trap_13_subscribed_too_late() {
    let h = history()
        .with(|o| o.catch_up = CatchUp::Session)
        .device(1, 1)
        .device(2, 2)
        .conversation(1, &[1, 2])
        .anew(1);
    check(&h.send(1, 1).acc(1, 0).anew(2).talk(1, 2, 0, &[2]).end(), &[]);
    // Membership is as of the server's order.
    let h = chat().device(4, 4).anew(4).change(1, 90, &[4], &[]).talk(2, 1, 1, &[1, 3]).acc(90, 2);
    check(&h.changed(4, 2, &[4], &[]).talk(2, 2, 3, &[1, 3, 4]).end(), &[]);
}

#[test]
fn trap_14_own_messages_may_come_back_or_not() {
    check(&chat().talk(1, 1, 1, &[1, 2, 3]).talk(1, 2, 2, &[2, 3]).end(), &[]);
    check(&chat().with(|o| o.siblings_owed = false).device(11, 1).anew(11).talk(1, 1, 1, &[2, 3]).end(), &[]);
    check(&chat().send(1, 1).del(1, 1, 1).acc(1, 1).del(2, 1, 1).del(3, 1, 1).sup(1, 1, 1, true).end(), &[]);
}

#[test]
fn trap_15_two_channels_for_one_message() {
    let h = chat().talk(1, 1, 1, &[2]).cut(3).resume(3).ask(3, 1, 0).page(3, 1, &[(1, 1)], true).del(3, 1, 1);
    check(&h.clone().sup(3, 1, 1, false).end(), &[]);
    check(&h.del(3, 1, 1).end(), &[]);
}

#[test]
fn trap_16_clocks_order_nothing() {
    // The ack and the next send of another device at one instant, and within the error of the clocks.
    let h = |h: History| h.del(1, 2, 1).del(2, 1, 2).del(3, 2, 1).del(3, 1, 2).end();
    check(&h(chat().send(1, 1).acc(1, 2).send(2, 2).tie().acc(2, 1)), &[]);
    check(&h(chat().with(|o| o.clock_error_ns = 5_000_000).send(1, 1).acc(1, 2).send(2, 2).acc(2, 1)), &[]);
    // Two sends of one device at once.
    let h =
        chat().send(1, 1).send(1, 2).acc(1, 2).acc(2, 1).del(2, 2, 1).del(2, 1, 2).del(3, 2, 1).del(3, 1, 2);
    check(&h.end(), &[]);
}

#[test]
fn trap_17_retained_messages() {
    // A copy of what was sent before the device came, marked; and one of an earlier run.
    let h = chat().with(|o| o.exclusive = false).talk(1, 1, 0, &[2, 3]).device(4, 3);
    check(&h.anew(4).redel(4, 1, 0).del_in(1, 4, None, (0, 3, true)).end(), &[]);
}

#[test]
fn trap_18_a_fault_that_was_not_applied() {
    let h = chat().fault(7, "kill").talk(1, 1, 1, &[2, 3]).fault_end(7, "");
    verdict(&h.clone().end(), "no-loss", Verdict::Inconclusive);
    assert!(judged(&h.end())["no-loss"].observed.contains("fault 7 (kill)"));
    // A death with nothing in flight proves nothing of acks.
    let idle = reference().talk(1, 1, 1, &[2, 3]).wait(5_000).crash("killed").end();
    verdict(&idle, "durable-ack", Verdict::Skipped);
    check(&idle, &[]);
}

#[test]
fn trap_19_socket_buffers_outlive_a_process() {
    // Received after the death of the process that sent it.
    check(&chat().talk(1, 1, 1, &[2]).node("killed").del(3, 1, 1).cut(3).node("ready").resume(3).end(), &[]);
}

#[test]
fn trap_20_a_kill_keeps_the_page_cache() {
    // A kill is no evidence about power.
    let h =
        chat().send(2, 2).talk(1, 1, 1, &[2, 3]).crash("killed").acc(2, 2).del(1, 2, 2).del(3, 2, 2).end();
    passes(&h, &["durable-ack"]);
    verdict(&h, "durable-ack-power", Verdict::Skipped);
}

#[test]
fn trap_21_a_dependency_restarts() {
    // Connections that fail at once, many times.
    let h = (0..20).fold(chat().talk(1, 1, 1, &[2]), |h, _| h.cut(3).resume(3));
    check(&h.del(3, 1, 1).end(), &[]);
}

#[test]
fn trap_22_the_harness_takes_a_session_over() {
    // A second session without the end of the first, and the end of the first after that.
    let h = chat().talk(1, 1, 1, &[2]).resume(3).del(3, 1, 1).talk(1, 2, 2, &[2, 3]);
    check(&h.end(), &[]);
}

#[test]
fn trap_23_holes_that_are_legal() {
    let h = chat().talk(1, 1, 10, &[2, 3]).talk(1, 2, 20, &[2, 3]).talk(1, 3, 1 << 40, &[2, 3]);
    passes(&h.end(), &["seq-sane", "gap-visible", "no-loss"]);
    // A system message that takes a position.
    check(&reference().talk(1, 1, 1, &[2, 3]).changed(2, 2, &[], &[]).talk(1, 3, 3, &[2, 3]).end(), &[]);
}

#[test]
fn trap_24_an_epoch_begins_anew() {
    let epoch = 1 << 48;
    let h = chat()
        .with(|o| o.catch_up = CatchUp::Session)
        .talk(1, 1, 7, &[2, 3])
        .crash("killed")
        .cut(2)
        .anew(2)
        .cut(3)
        .anew(3);
    check(&h.talk(1, 2, epoch + 1, &[2, 3]).end(), &[]);
    // A device that begins anew sees small positions again.
    check(&chat().talk(1, 1, 7, &[2, 3]).cut(2).anew(2).del(2, 1, 7).end(), &[]);
}

#[test]
fn trap_25_receipts_are_optional_batched_and_early() {
    let h = chat().talk(1, 1, 1, &[2, 3]).talk(1, 2, 2, &[2, 3]).ack(2, 2);
    // None for the first; one for both; from several devices; before the sender's own ack.
    check(
        &h.clone().receipt(1, 2, Delivered, 2).receipt(1, 3, Delivered, 1).receipt(1, 2, Delivered, 2).end(),
        &[],
    );
    let h = h.send(1, 3).del(2, 3, 3).receipt(1, 2, Delivered, 3).acc(3, 3).del(3, 3, 3);
    check(&h.clone().read(2, 3).receipt(1, 2, Read, 3).end(), &[]);
    check(&h.end(), &[]);
}

#[test]
fn trap_26_no_session_for_pure_publishers() {
    // The server says "new" each time and still knows what was sent.
    let h = chat().send(1, 1).cut(1).anew(1).retry(1).acc(1, 1).del(2, 1, 1).del(3, 1, 1);
    passes(&h.end(), &["idempotent-send", "no-loss"]);
}

#[test]
fn histories_that_lack_things() {
    // No sessions, no positions, no digests, no receipts, no acknowledgements, everything at one instant.
    let mut h = history().device(1, 1).device(2, 2).conversation(1, &[1, 2]);
    h = h.send(1, 1).acc(1, 0).delivered(2, 1, 0, (0, false)).send(2, 2).acc(2, 0).delivered(
        1,
        2,
        0,
        (0, false),
    );
    h = h.drained(true);
    for event in &mut h.events {
        event.at_ns = 5;
        if let What::Send { digest, .. } = &mut event.what {
            *digest = 0;
        }
    }
    passes(&h, &["no-loss", "no-duplicates", "no-phantoms", "fifo-order"]);
    let judged = judged(&h);
    let skipped =
        ["intact", "seq-sane", "gap-visible", "receipts-truthful", "offline-complete", "read-your-writes"];
    for id in skipped.iter().chain(&["resume-truthful", "membership-boundary", "redelivery-flag-truthful"]) {
        assert_eq!(judged[*id].verdict, Verdict::Skipped, "{id}: {}", judged[*id].observed);
    }
    // Nothing is declared.
    check(&history().talk(1, 1, 1, &[2]).del(7, 1, 1).drained(true), &[]);
}
