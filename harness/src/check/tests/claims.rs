//! Positions, pages, receipts, membership, liveness.

use avouch_reports::history::ReceiptKind::{Delivered, Read};
use avouch_reports::history::{Conversation, Device, Phase, Rung, What};
use avouch_reports::verdict::Verdict;

use super::history::{History, chat, reference};
use super::{check, judged, passes, verdict};
use crate::check::{JoinerSees, Judge};

#[test]
fn positions() {
    let h = reference().talk(1, 1, 1, &[2, 3]).talk(2, 2, 2, &[1, 3]);
    passes(&h.clone().end(), &["seq-sane", "gap-visible"]);
    // One position for two messages: acknowledged, delivered, on a page.
    check(&h.clone().send(1, 3).acc(3, 2).end(), &["seq-sane", "total-order", "no-loss"]);
    check(&h.clone().send(1, 3).del(2, 3, 2).unknown(3).end(), &["seq-sane", "total-order"]);
    check(
        &h.clone().ask(3, 1, 0).page(3, 1, &[(2, 1)], false).end(),
        &["seq-sane", "history-agrees", "idempotent-send"],
    );
    // A hole that nobody ever saw.
    let hole = h.talk(1, 4, 4, &[2, 3]).end();
    check(&hole, &["seq-sane"]);
    check(&hole.with(|o| o.contiguous = false), &[]);
    verdict(&chat().talk(1, 1, 0, &[2, 3]).end(), "seq-sane", Verdict::Skipped);
}

#[test]
fn a_changed_membership_is_no_hole() {
    let h = reference().talk(1, 1, 1, &[2, 3]).changed(2, 2, &[], &[]).talk(1, 3, 3, &[2, 3]);
    passes(&h.end(), &["seq-sane"]);
}

#[test]
fn gaps() {
    let h = chat().send(1, 1).send(1, 2).send(1, 3).acc(1, 1).acc(2, 2).acc(3, 3);
    let h = h.del(2, 1, 1).del(2, 2, 2).del(2, 3, 3).del(3, 1, 1);
    passes(&h.clone().del(3, 2, 2).del(3, 3, 3).end(), &["gap-visible"]);
    check(&h.clone().del(3, 3, 3).end(), &["no-loss", "gap-visible"]);
    check(&h.clone().gap(3, 1, 3).del(3, 3, 3).end(), &["no-loss"]);
    let late = h.clone().del(3, 3, 3).del(3, 2, 2).end();
    check(&late, &["gap-visible", "seq-sane", "total-order"]);
    // Its own message in between is no gap.
    let h = chat().talk(1, 1, 1, &[2, 3]).send(3, 2).send(1, 3).acc(3, 3).del(3, 3, 3).acc(2, 2).del(1, 2, 2);
    check(&h.del(2, 2, 2).del(2, 3, 3).end(), &[]);
}

#[test]
fn pages() {
    let h = reference().talk(1, 1, 1, &[2, 3]).talk(2, 2, 2, &[1, 3]).talk(1, 3, 3, &[2, 3]);
    let whole = [(1, 1), (2, 2), (3, 3)];
    let read =
        |d: u32, items: &[(u64, u64)], complete| h.clone().ask(d, 1, 0).page(d, 1, items, complete).end();
    passes(&read(1, &whole, true), &["read-your-writes", "monotonic-reads"]);
    passes(&read(2, &whole[..1], false), &["read-your-writes"]);
    // What the reader wrote, at the end and in between.
    check(&read(1, &whole[..2], true), &["read-your-writes"]);
    check(&read(2, &[(1, 1), (3, 3)], true), &["read-your-writes"]);
    // What it had received, at the end and in between.
    check(&read(2, &whole[..2], true), &["monotonic-reads"]);
    check(&read(3, &[(1, 1), (3, 3)], false), &["monotonic-reads"]);
    // Not yet acknowledged when it asked.
    check(
        &h.clone().send(1, 4).ask(1, 1, 0).acc(4, 4).page(1, 1, &whole, true).del(2, 4, 4).del(3, 4, 4).end(),
        &[],
    );
    // A later page shows less.
    let h = reference().talk(1, 1, 1, &[2]).ask(3, 1, 0).page(3, 1, &[(1, 1)], true).ask(3, 2, 0).page(
        3,
        2,
        &[],
        true,
    );
    check(&h.del(3, 1, 1).end(), &["monotonic-reads"]);
}

#[test]
fn final_reads() {
    let end = reference().talk(1, 1, 1, &[2, 3]).talk(2, 2, 2, &[1, 3]).end();
    let read = |items: &[(u64, u64)]| end.clone().ask(3, 1, 0).page(3, 1, items, true);
    passes(&read(&[(1, 1), (2, 2)]), &["history-agrees"]);
    check(&read(&[(1, 1)]), &["history-agrees", "monotonic-reads"]);
    check(&end.clone().ask(1, 1, 0).page(1, 1, &[(1, 1)], true), &["history-agrees", "monotonic-reads"]);
    // Without positions.
    let end = chat().talk(1, 1, 0, &[2, 3]).talk(2, 2, 0, &[1, 3]).end();
    let both = |a: &[(u64, u64)], b: &[(u64, u64)]| {
        end.clone().ask(1, 1, 0).page(1, 1, a, true).ask(2, 1, 0).page(2, 1, b, true)
    };
    passes(&both(&[(1, 0), (2, 0)], &[(2, 0), (1, 0)]), &["history-agrees"]);
    check(&both(&[(1, 0), (2, 0)], &[(1, 0)]), &["history-agrees"]);
    check(&both(&[(1, 0)], &[(2, 0)]), &["history-agrees"]);
}

#[test]
fn pages_that_do_not_go_on_where_the_page_before_ended() {
    let end = reference().talk(1, 1, 1, &[2, 3]).talk(2, 2, 2, &[1, 3]).talk(1, 3, 3, &[2, 3]).end();
    let first = end.clone().ask(3, 1, 0).page(3, 1, &[(1, 1)], false);
    let pages = |second: &[(u64, u64)]| first.clone().ask(3, 1, 1).page(3, 1, second, true);
    passes(&pages(&[(2, 2), (3, 3)]), &["history-agrees", "monotonic-reads"]);
    check(&pages(&[(1, 1), (2, 2), (3, 3)]), &["history-agrees"]);
    check(&pages(&[(2, 2), (2, 2), (3, 3)]), &["history-agrees"]);
    check(&pages(&[(3, 3)]), &["history-agrees", "monotonic-reads"]);
    // A page that goes on from no other may begin where there is something for its reader.
    check(&end.ask(3, 1, 1).page(3, 1, &[(3, 3)], true), &[]);
}

#[test]
fn receipts_that_are_true() {
    let h = reference().talk(1, 1, 1, &[2, 3]).ack(2, 1).receipt(1, 2, Delivered, 1);
    passes(&h.clone().end(), &["receipts-truthful"]);
    // Of something that it does not have.
    let more = h.clone().send(1, 2).acc(2, 2).del(3, 2, 2);
    check(&more.clone().receipt(1, 2, Delivered, 2).del(2, 2, 2).end(), &["receipts-truthful"]);
    check(&more.clone().receipt(1, 2, Delivered, 2).del(2, 2, 2).tie().end(), &[]);
    check(
        &more.clone().del(2, 2, 2).receipt(1, 2, Delivered, 2).receipt(1, 2, Delivered, 1).end(),
        &["receipts-truthful"],
    );
    // Its own messages count as known.
    check(&h.clone().send(2, 3).receipt(1, 2, Delivered, 2).acc(3, 2).del(1, 3, 2).del(3, 3, 2).end(), &[]);
    // It knows a later position, which is its own.
    let own = reference().send(1, 1).acc(1, 1).send(2, 2).acc(2, 2).del(3, 1, 1).del(3, 2, 2).del(1, 2, 2);
    check(&own.clone().receipt(1, 2, Delivered, 2).del(2, 1, 1).end(), &["receipts-truthful"]);
    check(&own.del(2, 1, 1).receipt(1, 2, Delivered, 2).end(), &[]);
    // Read, but nobody asked for that.
    check(&h.clone().receipt(1, 2, Read, 1).end(), &[]);
    check(&h.clone().receipt(1, 2, Read, 1).read(2, 1).end(), &["receipts-truthful"]);
    check(&h.clone().read(2, 1).receipt(1, 2, Read, 1).end(), &[]);
    // The user read it on another device.
    let phone = h.clone().device(22, 2).anew(22).del(22, 1, 1);
    check(&phone.clone().read(22, 1).receipt(1, 2, Read, 1).end(), &[]);
    // To somebody who never belonged.
    check(&h.device(9, 9).anew(9).receipt(9, 2, Delivered, 1).end(), &["receipts-truthful"]);
}

#[test]
fn receipts_that_are_lost() {
    let h = reference().talk(1, 1, 1, &[2, 3]).ack(2, 1).ack(3, 1).receipt(1, 2, Delivered, 1);
    passes(&h.clone().receipt(1, 3, Delivered, 1).wait(3_000).end(), &["receipts-complete"]);
    check(&h.clone().wait(3_000).end(), &["receipts-complete"]);
    // It may still be on its way.
    check(&h.clone().end(), &[]);
    check(&h.clone().end().with(|o| o.settle_ns = 0), &["receipts-complete"]);
    check(&h.clone().wait(3_000).end().with(|o| o.receipt_members_max = 2), &[]);
    let h = h.receipt(1, 3, Delivered, 1).read(2, 1).read_ok(2, 1);
    check(&h.clone().wait(3_000).end(), &["receipts-complete"]);
    check(&h.receipt(1, 2, Read, 1).wait(3_000).end(), &[]);
    // None at all: broken where they are promised, and no matter where they are not.
    let none = chat().talk(1, 1, 1, &[2, 3]).ack(2, 1).wait(3_000).end();
    check(&none, &["receipts-complete"]);
    let mut judge = Judge::new(&[], &[], none.options.clone());
    none.events.iter().for_each(|e| judge.observe(e));
    let judgements = judge.finish();
    assert_eq!(
        judgements.iter().find(|j| j.guarantee == "receipts-complete").unwrap().verdict,
        Verdict::Skipped
    );
}

/// User 3 is removed at position 2.
fn removed(h: History) -> History {
    h.talk(1, 1, 1, &[2, 3]).change(1, 90, &[], &[3]).acc(90, 2).changed(2, 2, &[], &[3])
}

#[test]
fn removed_members() {
    let h = removed(reference());
    passes(&h.clone().talk(1, 3, 3, &[2]).end(), &["membership-boundary", "no-loss", "seq-sane"]);
    check(&h.clone().talk(1, 3, 3, &[2, 3]).end(), &["membership-boundary"]);
    // Without positions: sent after the removal was known.
    let h = chat().change(1, 90, &[], &[3]).acc(90, 0);
    check(&h.clone().talk(1, 3, 0, &[2, 3]).end(), &["membership-boundary"]);
    passes(&h.talk(1, 3, 0, &[2]).end(), &["membership-boundary"]);
    // Sent while the removal was on its way: nobody can tell.
    let h = chat().change(1, 90, &[], &[3]).send(1, 3).acc(90, 0).acc(3, 0).del(2, 3, 0);
    check(&h.clone().end(), &[]);
    check(&h.del(3, 3, 0).end(), &[]);
    // The removal was given up.
    let h = chat().change(1, 90, &[], &[3]).unknown(90).talk(1, 3, 3, &[2]);
    check(&h.clone().end(), &[]);
    check(&h.del(3, 3, 3).end(), &[]);
    // The removal was refused.
    check(&chat().change(1, 90, &[], &[3]).rej(90).talk(1, 3, 3, &[2]).end(), &["no-loss"]);
}

#[test]
fn joined_members() {
    let h = reference().device(4, 4).anew(4).talk(1, 1, 1, &[2, 3]);
    let h = h.change(1, 90, &[4], &[]).acc(90, 2).changed(4, 2, &[4], &[]);
    passes(&h.clone().talk(1, 3, 3, &[2, 3, 4]).end(), &["membership-boundary", "no-loss"]);
    check(&h.clone().talk(1, 3, 3, &[2, 3]).end(), &["no-loss"]);
    let past = h.del(4, 1, 1).talk(1, 3, 3, &[2, 3, 4]).end();
    check(&past, &["membership-boundary"]);
    check(&past.with(|o| o.joiner_sees = JoinerSees::Anything), &[]);
    // The past on a page, asked for before or after it is known who belongs.
    let h = reference().device(4, 4).anew(4).talk(1, 1, 1, &[2, 3]);
    let early = h.clone().ask(4, 1, 0).page(4, 1, &[(1, 1)], true);
    let joined = |h: History| h.change(1, 90, &[4], &[]).acc(90, 2).changed(4, 2, &[4], &[]);
    check(&joined(early).end(), &["membership-boundary"]);
    let late = joined(h).talk(1, 3, 3, &[2, 3, 4]).ask(4, 1, 0);
    let read = |items: &[(u64, u64)]| late.clone().page(4, 1, items, true).end();
    check(&read(&[(1, 1), (3, 3)]), &["membership-boundary"]);
    check(&read(&[(1, 1), (3, 3)]).with(|o| o.joiner_sees = JoinerSees::Anything), &[]);
    passes(&read(&[(3, 3)]), &["membership-boundary"]);
}

#[test]
fn a_removal_that_is_seen_late() {
    // The device showed position 3 before anybody told of the removal at position 2.
    let h = reference()
        .talk(1, 1, 1, &[2, 3])
        .change(1, 90, &[], &[3])
        .send(1, 3)
        .acc(3, 3)
        .del(2, 3, 3)
        .del(3, 3, 3);
    check(&h.acc(90, 2).changed(2, 2, &[], &[3]).end(), &["membership-boundary"]);
}

#[test]
fn answers_after_the_heal() {
    let h = chat().talk(1, 1, 1, &[2, 3]).send(2, 2);
    passes(&h.clone().phase(Phase::Heal).acc(2, 2).del(1, 2, 2).del(3, 2, 2).end(), &["send-live"]);
    // Where nothing is answered, that all was written is no answer; one answer, or a refusal, is.
    let written = chat().send(1, 1).acc_rung(1, 0, Rung::Written).del(2, 1, 0).del(3, 1, 0);
    verdict(&written.clone().end(), "send-live", Verdict::Skipped);
    let received = written.clone().send(2, 2).acc_rung(2, 0, Rung::Received);
    passes(&received.end(), &["send-live"]);
    passes(&written.clone().send(2, 2).rej(2).end(), &["send-live"]);
    // What could not even be written, with a fair chance, and without.
    let open = written.send(2, 2).phase(Phase::Heal);
    check(&open.clone().wait(31_000).unknown(2).end(), &["send-live"]);
    check(&open.wait(3_000).unknown(2).end(), &[]);
    // A fair chance, and none.
    check(&h.clone().phase(Phase::Heal).wait(31_000).unknown(2).end(), &["send-live"]);
    check(&h.clone().phase(Phase::Heal).wait(3_000).unknown(2).end(), &[]);
    let limit = |o: &mut crate::check::Options| o.recovers_within_ns = Some(1_000_000_000);
    check(&h.clone().phase(Phase::Heal).wait(3_000).unknown(2).end().with(limit), &["send-live"]);
    check(
        &h.clone().phase(Phase::Heal).wait(3_000).phase(Phase::Drain).drained(false).with(limit),
        &["send-live"],
    );
    // The node was down, or the link: no honest limit.
    check(&h.clone().node("killed").phase(Phase::Heal).wait(31_000).unknown(2).end(), &[]);
    check(&h.clone().cut(2).phase(Phase::Heal).wait(31_000).unknown(2).end(), &[]);
    check(&h.clone().fault(1, "stall").phase(Phase::Heal).wait(31_000).unknown(2).fault_end(1, "x"), &[]);
    verdict(&h.end(), "send-live", Verdict::Inconclusive);
}

#[test]
fn what_was_only_written_puts_nothing_to_the_test() {
    for arrives in [true, false] {
        let and_then = |h: History| if arrives { h.del(3, 1, 0) } else { h };
        let written = |h: History| h.send(1, 1).acc_rung(1, 0, Rung::Written).del(2, 1, 0);
        let stored = |h: History| h.send(1, 1).acc_rung(1, 0, Rung::Stored).del(2, 1, 0);
        // Away when it was written.
        let away = |h: History| and_then(h.resume(3)).end();
        let h = away(written(chat().cut(3)));
        check(&h, &[]);
        for id in ["no-loss", "offline-complete", "inflight-redelivered", "resume-truthful"] {
            verdict(&h, id, Verdict::Skipped);
        }
        let kept = away(stored(chat().cut(3)));
        if arrives {
            passes(&kept, &["no-loss", "offline-complete", "resume-truthful"]);
        } else {
            check(&kept, &["no-loss", "offline-complete", "resume-truthful"]);
        }
        // In flight when the link ended.
        let cut = |h: History| and_then(h.cut(3).resume(3)).end();
        let h = cut(written(chat()));
        check(&h, &[]);
        verdict(&h, "inflight-redelivered", Verdict::Skipped);
        let kept = cut(stored(chat()));
        if arrives {
            passes(&kept, &["inflight-redelivered", "resume-truthful"]);
        } else {
            check(&kept, &["no-loss", "inflight-redelivered", "resume-truthful"]);
        }
        // Written, and the server dies with another message on its way.
        for state in ["killed", "power lost"] {
            let died = |h: History| and_then(h.crash(state)).acc_rung(2, 0, Rung::Written).end();
            let h = died(written(chat().send(2, 2)));
            check(&h, &[]);
            for id in ["no-loss", "durable-ack", "durable-ack-power"] {
                verdict(&h, id, Verdict::Skipped);
            }
        }
    }
}

#[test]
fn back_in_time() {
    let h = chat()
        .with(|o| o.recovers_within_ns = Some(1_000_000_000))
        .cut(3)
        .talk(1, 1, 1, &[2])
        .phase(Phase::Heal);
    passes(&h.clone().resume(3).del(3, 1, 1).end(), &["recovers-within"]);
    passes(&h.clone().wait(5_000).resume(3).del(3, 1, 1).end(), &["recovers-within"]);
    check(&h.clone().resume(3).wait(5_000).del(3, 1, 1).end(), &["recovers-within"]);
    // Never, and the drain gave up.
    let drained = h.clone().resume(3).phase(Phase::Drain).wait(5_000).drained(false);
    check(&drained, &["recovers-within"]);
    check(&h.phase(Phase::Drain).wait(5_000).drained(false), &[]);
    verdict(&chat().talk(1, 1, 1, &[2, 3]).end(), "recovers-within", Verdict::Skipped);
}

#[test]
fn chains() {
    let h = reference().talk(1, 1, 1, &[2, 3]);
    passes(&h.clone().end(), &["chain-valid"]);
    for seq in [1, 2] {
        let broken = What::ChainBroken { device: Device(2), conversation: Conversation(1), seq };
        check(&h.clone().say(broken).end(), &["chain-valid"]);
    }
}

#[test]
fn verdicts_without_occasion() {
    let quiet = reference().talk(1, 1, 1, &[2, 3]).end();
    let mut judge = Judge::new(&[], &["durable-ack".to_owned(), "no-such".to_owned()], quiet.options.clone());
    quiet.events.iter().for_each(|e| judge.observe(e));
    let judgements = judge.finish();
    let of = |id: &str| judgements.iter().find(|j| j.guarantee == id).unwrap();
    assert_eq!((of("durable-ack").verdict, of("durable-ack").claimed), (Verdict::Inconclusive, true));
    assert_eq!((of("durable-ack-power").verdict, of("durable-ack-power").claimed), (Verdict::Skipped, false));
    assert_eq!(of("no-such").verdict, Verdict::Inconclusive);
    assert_eq!(judged(&quiet)["durable-ack"].verdict, Verdict::Skipped);
}
