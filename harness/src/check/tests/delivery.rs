//! Losses, duplicates, integrity.

use avouch_reports::history::{Message, Rung};
use avouch_reports::verdict::Verdict;

use super::history::{History, chat, history, reference};
use super::{check, judged, passes, verdict};
use crate::check::{CatchUp, Redelivery};

#[test]
fn nothing_lost() {
    let all = ["no-loss", "no-duplicates", "no-phantoms", "intact", "isolation", "fifo-order", "total-order"];
    passes(&chat().talk(1, 1, 1, &[2, 3]).talk(2, 2, 2, &[1, 3]).end(), &all);
    passes(&reference().talk(1, 1, 1, &[1, 2, 3]).talk(2, 2, 2, &[3, 2, 1]).end(), &all);
    // Without positions.
    passes(&chat().talk(1, 1, 0, &[2, 3]).talk(2, 2, 0, &[1, 3]).end(), &all);
}

#[test]
fn lost() {
    check(&chat().talk(1, 1, 1, &[2]).end(), &["no-loss"]);
    check(&chat().talk(1, 1, 0, &[2]).end(), &["no-loss"]);
    // Acknowledged, and no device of anybody has it.
    let h = chat().talk(1, 1, 1, &[]).talk(1, 2, 2, &[2, 3]).end();
    assert_eq!(judged(&h)["no-loss"].findings_total, 2);
}

#[test]
fn lost_after_a_drain_that_did_not_converge() {
    // The device was connected and still for long enough: not just late.
    let h = chat().talk(1, 1, 1, &[2]).phase(avouch_reports::history::Phase::Drain);
    check(&h.clone().quiet(2).quiet(3).wait(3_000).drained(false), &["no-loss"]);
    check(&h.clone().wait(61_000).drained(false), &["no-loss"]);
    // It was not.
    verdict(&h.clone().quiet(2).wait(3_000).drained(false), "no-loss", Verdict::Inconclusive);
    check(&h.drained(false), &[]);
}

#[test]
fn lost_while_away() {
    let away = |to: &[u32]| {
        let h = chat().cut(3).talk(1, 1, 1, &[2]).resume(3);
        to.iter().fold(h, |h, &d| h.del(d, 1, 1)).end()
    };
    passes(&away(&[3]), &["offline-complete", "resume-truthful"]);
    check(&away(&[]), &["no-loss", "offline-complete", "resume-truthful"]);
    // The server told that it kept nothing: not untruthful, but lost all the same where a log is promised.
    let h = chat().cut(3).talk(1, 1, 1, &[2]).anew(3).end();
    check(&h, &["no-loss", "offline-complete"]);
    check(&h.with(|o| o.catch_up = CatchUp::Session), &[]);
    // It arrives after the device was away, but nobody had promised that: nothing is put to the test.
    let h = chat().cut(3).send(1, 1).acc_rung(1, 1, Rung::Received).del(2, 1, 1).resume(3).del(3, 1, 1).end();
    verdict(&h, "offline-complete", Verdict::Skipped);
}

#[test]
fn in_flight() {
    let h = chat().talk(1, 1, 1, &[2]).cut(3).resume(3);
    passes(&h.clone().del(3, 1, 1).end(), &["inflight-redelivered", "resume-truthful"]);
    check(&h.end(), &["no-loss", "inflight-redelivered", "resume-truthful"]);
}

/// Devices do not tell from where to continue: the server must deliver again what was not acknowledged.
fn server_keeps_cursor(h: History) -> History {
    h.with(|o| o.client_keeps_cursor = false)
}

/// The server lost the session; what was sent while its state was made anew may have been taken before that.
#[test]
fn what_was_sent_before_a_session_state_is_no_part_of_it() {
    let subscribed = |h: History| h.with(|o| o.catch_up = CatchUp::Subscription);
    let lost = |h: History| h.acc(1, 0).del(2, 1, 0).cut(3).resume(3).end();
    check(&lost(subscribed(chat().cut(3).send(1, 1).anew(3))), &["no-loss"]);
    check(
        &lost(subscribed(chat().cut(3).anew(3).send(1, 1))),
        &["no-loss", "inflight-redelivered", "resume-truthful"],
    );
}

#[test]
fn in_flight_with_a_cursor_at_the_server() {
    let h = server_keeps_cursor(chat()).talk(1, 1, 0, &[2, 3]).talk(1, 2, 0, &[2, 3]).cut(3).resume(3);
    passes(&h.clone().redel(3, 1, 0).redel(3, 2, 0).end(), &["inflight-redelivered", "no-duplicates"]);
    passes(&h.clone().redel(3, 1, 0).ack_one(3, 2).end(), &["inflight-redelivered"]);
    check(&h.clone().redel(3, 1, 0).end(), &["inflight-redelivered"]);
    let swapped = h.redel(3, 2, 0).redel(3, 1, 0).end();
    check(&swapped, &["inflight-redelivered"]);
    // Each comes when its own time is over.
    check(&swapped.with(|o| o.copies_in_order = false), &[]);
}

#[test]
fn acks_that_survive_or_not() {
    for (state, id) in [("killed", "durable-ack"), ("power lost", "durable-ack-power")] {
        let h = chat().send(2, 2).talk(1, 1, 1, &[2]).crash(state);
        let rest = |h: History| h.acc(2, 2).del(1, 2, 2).del(3, 2, 2).end();
        passes(&rest(h.clone().del(3, 1, 1)), &[id, "no-loss"]);
        check(&rest(h.clone()), &["no-loss", "inflight-redelivered", "resume-truthful", id]);
        // Lost, but the server had it after the crash: not for want of durability.
        check(&rest(h.redel(2, 1, 1)), &["no-loss", "inflight-redelivered", "resume-truthful"]);
        // An ack that promises no storage.
        let h = chat().send(1, 1).acc_rung(1, 1, Rung::Accepted).crash(state).talk(1, 2, 2, &[2, 3]).end();
        check(&h, &[]);
        verdict(&h, id, Verdict::Skipped);
    }
}

#[test]
fn twice() {
    let h = reference().talk(1, 1, 1, &[2, 3]).ack(2, 1);
    check(&h.clone().redel(2, 1, 1).end(), &["no-duplicates"]);
    check(&h.clone().del(2, 1, 1).end(), &["no-duplicates", "redelivery-flag-truthful"]);
    check(&h.clone().sup(2, 1, 1, true).end(), &[]);
    // Since it began anew, everything comes again.
    check(&h.cut(2).anew(2).del(2, 1, 1).end(), &[]);
}

#[test]
fn twice_where_redelivery_is_allowed() {
    let h = chat().talk(1, 1, 1, &[2, 3]);
    check(&h.clone().redel(2, 1, 1).end(), &[]);
    check(&h.clone().ack(2, 1).cut(2).resume(2).redel(2, 1, 1).end(), &[]);
    // Unmarked.
    check(&h.clone().cut(2).resume(2).del(2, 1, 1).end(), &["no-duplicates", "redelivery-flag-truthful"]);
    let unmarked = h.clone().with(|o| o.redelivery = Redelivery::UntilAcknowledged { flagged: false });
    check(&unmarked.cut(2).resume(2).del(2, 1, 1).end(), &["redelivery-flag-truthful"]);
    // The server answered what the device sent after its ack, so it had processed the ack.
    for h in [h.clone().ack(2, 1), h.clone().ack_one(2, 1)] {
        let h = h.talk(2, 2, 2, &[1, 3]).cut(2).resume(2);
        check(&h.clone().redel(2, 1, 1).end(), &["no-duplicates"]);
        // Where acks have a queue of their own, the answer proves nothing.
        check(&h.clone().redel(2, 1, 1).end().with(|o| o.answers_prove_acks = false), &[]);
        check(&h.crash("killed").redel(2, 1, 1).end(), &[]);
    }
    // The answer came in a later session: no proof.
    let h = h.ack(2, 1).send(2, 2).cut(2).resume(2).retry(2).acc(2, 2).del(1, 2, 2).del(3, 2, 2);
    check(&h.redel(2, 1, 1).end(), &[]);
}

#[test]
fn one_send_two_positions() {
    let h = reference().send(1, 1).retry(1).acc(1, 1).del(2, 1, 1).del(3, 1, 1);
    passes(&h.clone().end(), &["idempotent-send"]);
    check(&h.clone().del(2, 1, 2).end(), &["idempotent-send", "no-duplicates"]);
    check(&h.clone().acc(1, 2).end(), &["idempotent-send"]);
    check(&h.ask(2, 1, 0).page(2, 1, &[(1, 1), (1, 2)], true).end(), &["idempotent-send"]);
    let h = chat().send(1, 1).retry(1).acc(1, 0).del(2, 1, 0).del(3, 1, 0);
    check(&h.del(2, 1, 0).end(), &["idempotent-send", "no-duplicates"]);
    verdict(&chat().talk(1, 1, 1, &[2, 3]).end(), "idempotent-send", Verdict::Skipped);
}

#[test]
fn marks() {
    let h = reference().talk(1, 1, 1, &[2]);
    check(&h.clone().redel(3, 1, 1).end(), &["redelivery-flag-truthful"]);
    check(&h.clone().cut(3).resume(3).redel(3, 1, 1).end(), &[]);
    check(&h.clone().fired(0, "drop", 3).redel(3, 1, 1).end(), &[]);
    // Fetched: its first transmission was lost where no fault shows it, or was a page.
    check(&h.clone().gap(3, 0, 2).redel(3, 1, 1).end(), &[]);
    check(&h.clone().ask(3, 1, 0).page(3, 1, &[(1, 1)], true).redel(3, 1, 1).end(), &[]);
    // That excuses nothing that was sent later.
    check(
        &h.clone().del(3, 1, 1).gap(3, 1, 3).talk(1, 2, 2, &[2]).redel(3, 2, 2).end(),
        &["redelivery-flag-truthful"],
    );
    // The original, overtaken by a marked copy: once.
    let overtaken = h.clone().cut(3).resume(3).redel(3, 1, 1).sup(3, 1, 1, true).sup(3, 1, 1, false);
    passes(&overtaken.clone().end(), &["redelivery-flag-truthful"]);
    check(&overtaken.sup(3, 1, 1, false).end(), &["redelivery-flag-truthful"]);
    let h = h.del(3, 1, 1);
    passes(&h.clone().sup(3, 1, 1, true).end(), &["redelivery-flag-truthful"]);
    check(&h.clone().sup(3, 1, 1, false).end(), &["redelivery-flag-truthful"]);
    check(&h.clone().fired(0, "duplicate", 3).sup(3, 1, 1, false).end(), &[]);
    check(&h.gap(3, 1, 3).sup(3, 1, 1, false).end(), &[]);
}

#[test]
fn only_what_was_sent() {
    let h = chat().talk(1, 1, 1, &[2, 3]);
    check(&h.clone().del(2, 77, 2).end(), &["no-phantoms"]);
    check(&h.clone().del_in(1, 2, None, (2, 5, false)).end(), &["no-phantoms"]);
    check(&h.clone().with(|o| o.exclusive = false).del_in(1, 2, None, (2, 5, false)).end(), &[]);
    check(&h.clone().ask(2, 1, 0).page(2, 1, &[(1, 1), (9, 2)], true).end(), &["no-phantoms"]);
    // Before it was sent; at the same instant the order of lines means nothing.
    check(&h.clone().del(2, 2, 2).send(1, 2).acc(2, 2).del(3, 2, 2).end(), &["no-loss", "no-phantoms"]);
    verdict(&h.del(2, 2, 2).send(1, 2).tie().acc(2, 2).end(), "no-phantoms", Verdict::Pass);
}

#[test]
fn unchanged() {
    let h = chat().send(1, 1).acc(1, 1).del(3, 1, 1);
    check(&h.clone().delivered(2, 1, 1, (7, false)).end(), &["intact"]);
    check(
        &h.clone().del(2, 1, 1).talk(1, 2, 2, &[2]).delivered(3, 2, 2, (digest_of(1), false)).end(),
        &["intact"],
    );
    check(&h.delivered(2, 1, 1, (0, false)).end(), &[]);
}

fn digest_of(m: u64) -> u64 {
    super::history::digest(m)
}

#[test]
fn only_to_members() {
    let h = chat().device(4, 4).anew(4).conversation(2, &[1, 4]).talk(1, 1, 1, &[2, 3]);
    check(&h.clone().del(4, 1, 1).end(), &["isolation"]);
    let h = h.send_in(2, 1, 2, None).acc(2, 1);
    check(&h.clone().del(4, 2, 1).end(), &[]);
    check(&h.del(4, 2, 1).del_in(1, 2, Some(Message(2)), (2, digest_of(2), false)).end(), &["isolation"]);
}

#[test]
fn refusals() {
    let h = chat().talk(1, 1, 1, &[2, 3]).send(1, 2);
    passes(&h.clone().rej(2).end(), &["errors-truthful"]);
    check(&h.clone().rej(2).del(2, 2, 2).end(), &["errors-truthful"]);
    check(&h.clone().del(2, 2, 2).rej(2).end(), &["errors-truthful"]);
    check(&h.clone().rej(2).ask(2, 1, 0).page(2, 1, &[(1, 1), (2, 2)], true).end(), &["errors-truthful"]);
    check(&h.clone().rej(2).acc(2, 2).end(), &["errors-truthful"]);
    let retried = h.retry(2).rej(2).del(2, 2, 2).del(3, 2, 2).end();
    check(&retried, &["errors-truthful"]);
    check(&retried.with(|o| o.idempotent = false), &[]);
}

#[test]
fn runs_that_prove_nothing() {
    let clean = chat().talk(1, 1, 1, &[2, 3]);
    for h in [
        clean.clone(),
        clean.clone().drained(false),
        chat().send(1, 1).unknown(1).end(),
        clean.clone().with(|o| o.planned_faults = vec![0]).end(),
        clean.clone().fault(0, "cut").fault_end(0, "").end(),
        history(),
    ] {
        verdict(&h, "no-loss", Verdict::Inconclusive);
        assert!(judged(&h).values().all(|j| j.verdict != Verdict::Pass && j.verdict != Verdict::Violated));
    }
    let fired =
        clean.with(|o| o.planned_faults = vec![0, 1]).fault(0, "cut").fired(0, "cut", 1).fault_end(0, "");
    let skipped =
        avouch_reports::history::What::FaultSkipped { id: 1, kind: "kill".into(), why: "remote".into() };
    verdict(&fired.say(skipped).end(), "no-loss", Verdict::Pass);
}

#[test]
fn evidence_is_told() {
    let h = chat()
        .fault(3, "delay")
        .cut(3)
        .send(1, 1)
        .retry(1)
        .acc(1, 1)
        .del(2, 1, 1)
        .fault_end(3, "9 frames")
        .resume(3);
    let judged = judged(&h.talk(1, 2, 2, &[2, 3]).end());
    let timeline: Vec<String> =
        judged["no-loss"].findings[0].timeline.iter().map(|e| format!("{:?}", e.what)).collect();
    let starts: Vec<&str> = timeline.iter().map(|t| t.split([' ', '{']).next().unwrap()).collect();
    let expected = [
        "Phase",
        "FaultStarted",
        "Disconnected",
        "Send",
        "Retry",
        "Accepted",
        "Delivered",
        "FaultEnded",
        "Session",
        "Phase",
        "Phase",
        "Quiet",
        "Drained",
        "Phase",
    ];
    assert_eq!(starts, expected);
}

#[test]
fn a_new_installation_whose_first_login_was_not_answered_is_told_that_it_resumes() {
    use avouch_reports::history::{Device, What};
    let h = reference().talk(1, 1, 1, &[2, 3]).ack(2, 1);
    let reinstalled = |h: History| h.say(What::Reinstalled { device: Device(2) }).cut(2).tie();
    let installed = reinstalled(h.clone());
    // Its first login may have succeeded, and the answer was lost: with a fault that goes on or comes, with its node, by
    // its own doing. It has nothing, so what it gets is new to it, and not marked.
    let faulty = reinstalled(h.clone().fault(0, "drop")).resume(2);
    check(&faulty.clone().del(2, 1, 1).fault_end(0, "1 frame").end(), &[]);
    check(&installed.clone().fired(0, "drop", 2).resume(2).del(2, 1, 1).end(), &[]);
    check(&installed.clone().node("killed").node("ready").resume(2).del(2, 1, 1).end(), &[]);
    check(&installed.clone().cut(2).resume(2).del(2, 1, 1).end(), &[]);
    let twice = &["no-duplicates", "redelivery-flag-truthful"];
    check(&faulty.del(2, 1, 1).del(2, 1, 1).fault_end(0, "1 frame").end(), twice);
    // Where nothing can have lost an answer, there was none before, and a session that goes on is somebody else's.
    check(&installed.clone().resume(2).del(2, 1, 1).end(), twice);
    check(
        &reinstalled(h.clone().fault(0, "drop").fault_end(0, "1 frame")).resume(2).del(2, 1, 1).end(),
        twice,
    );
    check(&installed.anew(2).del(2, 1, 1).end(), &[]);
    let h = h.cut(2);
    // Without a new installation the same is a duplicate.
    check(&h.resume(2).del(2, 1, 1).end(), &["no-duplicates", "redelivery-flag-truthful"]);
}
