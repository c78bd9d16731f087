//! After the heal: everything owed must arrive; then everybody reads the history once more.

use avouch_reports::history::{Device, What};
use avouch_scenarios::plan::Do;

use super::LOOK_NS;
use super::stage::Stage;
use crate::device::Order;
use crate::handle::Letter;
use crate::recorder::OwedReceipt;
use crate::world::World;

/// Nothing must have moved for this long before a drain counts as over. Nanoseconds.
const SETTLED_NS: u64 = 300_000_000;
/// Between leaving and coming back, and before it is asked how everybody is. Nanoseconds.
const AGAIN_NS: u64 = 50_000_000;
/// Rounds of coming back in which what is missing counts as late.
const LATE_ROUNDS: u32 = 3;
/// How long is waited between them. Nanoseconds.
const LATE_NS: u64 = 1_000_000_000;
/// Whoever interrupts a run does not wait for long; what was under way has this long to arrive. Nanoseconds.
const INTERRUPTED_NS: u64 = 2_000_000_000;
/// Pages of history are read by at most this many devices per conversation at the end.
const READERS_PER_CONVERSATION_MAX: usize = 4;
/// Final reads in all.
const FINAL_READS_MAX: usize = 64;
/// The final reads are given up after this. Nanoseconds.
const FINAL_READS_NS_MAX: u64 = 20_000_000_000;

/// Waits until every device has caught up and nothing moves any more, or the limit: counted from the heal; where some
/// are never healed, from the last gain, because how long the server is busy with them is not in the plan. A gain is what the
/// plan bounds: a client that logs in again and again moves, gains nothing, and must not go on for ever.
pub(super) async fn drain<W: World + 'static>(stage: &Stage<W>) {
    let mut missing = settled(stage, stage.plan.phases.drain_ns_max).await;
    for round in 0..stage.plan.phases.reconnects_max {
        if stage.is_over() {
            break;
        }
        let (before, gained) = of_progress(stage);
        everybody_connects_again(stage).await;
        missing = settled(stage, stage.plan.phases.drain_ns_max).await;
        let (after, gained_since) = of_progress(stage);
        let is_new = after > before;
        // What is missing may only be late: it gets two more chances.
        let is_late = stage.recorder.progress().lacks_unplaced() && round + 1 < LATE_ROUNDS;
        // All came back, waited to the limit, and nobody got anything, not even an answer: it is of no use to come once more.
        let is_useless = missing.is_some() && gained_since == gained;
        if is_useless || !is_new && !is_late && missing.is_none() {
            break;
        }
        if is_late {
            stage.sleep_ns(LATE_NS).await;
        }
    }
    if missing.is_some() {
        for device in 0..stage.plan.devices.len() as u32 {
            stage.post(device, Letter::Order(Order::GiveUpAll));
        }
        stage.sleep_ns(LOOK_NS).await;
    }
    // Where the drain was broken off, what is missing may have been on its way.
    for device in if stage.is_over() { Vec::new() } else { quiet(stage) } {
        stage.record(What::Quiet { device: Device(device) });
    }
    let words = missing.map(|missing| missing.words(stage));
    stage.record(What::Drained { converged: missing.is_none(), missing: words.unwrap_or_default() });
}

/// What is still owed, as far as anybody knows. It is looked for many times, and told once.
#[derive(Clone, Copy)]
enum Missing {
    /// A device's session.
    Session(u32),
    /// So many answers to a device.
    Answers(u32, u64),
    /// A device has so many positions of a conversation, of so many.
    Positions { device: u32, conversation: u32, has: u64, owed: u64 },
    /// So many devices have something to do, this one first.
    Idleness(usize, u32),
    /// A receipt.
    Receipt(OwedReceipt),
    /// Nothing, but something moved.
    Stillness,
}

impl Missing {
    fn words<W: World>(self, stage: &Stage<W>) -> String {
        let name = |device: u32| &stage.plan.devices[device as usize].name;
        let room = |conversation: u32| &stage.plan.conversations[conversation as usize].name;
        match self {
            Self::Session(device) => format!("{} has no session", name(device)),
            Self::Answers(device, answers) => format!("{} waits for {answers} answers", name(device)),
            Self::Positions { device, conversation, has, owed } => {
                format!("{} has {has} of {owed} positions of {}", name(device), room(conversation))
            }
            Self::Idleness(devices, first) => format!("{devices} devices are not idle ({}, …)", name(first)),
            Self::Receipt(OwedReceipt { device, by, conversation, position }) => format!(
                "{} has no receipt by {} for position {position} of {}",
                name(device),
                name(by),
                room(conversation)
            ),
            Self::Stillness => "it was still moving".to_owned(),
        }
    }
}

/// What was delivered, and what anybody gained at all.
fn of_progress<W: World>(stage: &Stage<W>) -> (u64, u64) {
    let progress = stage.recorder.progress();
    (progress.delivered, progress.gained)
}

/// Waits until nothing is missing and nothing moves, or the limit; what is missing then.
async fn settled<W: World>(stage: &Stage<W>, limit_ns: u64) -> Option<Missing> {
    let limit_ns = stage.now_ns() + limit_ns;
    let mut moved = u64::MAX;
    let mut still_since_ns = stage.now_ns();
    let (mut gained, mut gained_ns) = (u64::MAX, stage.now_ns());
    let mut receipts = (u64::MAX, None);
    let mut interrupted_ns = None;
    loop {
        let now_ns = stage.now_ns();
        if stage.interrupt.is_set() {
            interrupted_ns.get_or_insert(now_ns);
        }
        let (moves, gains, events) = {
            let progress = stage.recorder.progress();
            (progress.moved, progress.gained, progress.events)
        };
        if moves != moved {
            moved = moves;
            still_since_ns = now_ns;
        }
        if gains != gained {
            (gained, gained_ns) = (gains, now_ns);
        }
        let lost_after_ns = stage.plan.phases.lost_after_ns;
        let may_be_late = lost_after_ns.is_none_or(|after_ns| now_ns - still_since_ns < after_ns);
        let missing = missing(stage, may_be_late).or_else(|| {
            // Looking at every pair of devices is worth it only when something happened.
            if receipts.0 != events {
                let debt = stage.recorder.progress().receipt_owed(|device| stage.is_healed(device));
                receipts = (events, debt.map(Missing::Receipt));
            }
            receipts.1
        });
        if missing.is_none() && now_ns - still_since_ns >= SETTLED_NS {
            return None;
        }
        let limit_ns = if stage.plan.abandoned.is_empty() {
            limit_ns
        } else {
            gained_ns + stage.plan.phases.drain_ns_max
        };
        let is_enough = interrupted_ns.is_some_and(|since_ns| now_ns >= since_ns + INTERRUPTED_NS);
        if now_ns >= limit_ns || is_enough || stage.is_lost() {
            return missing.or(Some(Missing::Stillness));
        }
        stage.sleep_ns(LOOK_NS).await;
    }
}

/// All devices leave politely and come back, so that a server that sends again only then has to.
async fn everybody_connects_again<W: World>(stage: &Stage<W>) {
    for what in [Do::Disconnect, Do::Connect] {
        for device in (0..stage.plan.devices.len() as u32).filter(|device| stage.is_healed(*device)) {
            stage.order_do(device, what.clone());
        }
        stage.sleep_ns(AGAIN_NS).await;
    }
}

/// What is still owed; `None` = nothing that anybody knows of. Positions that cannot be late any more are lost, which is for the
/// checkers to say.
fn missing<W: World>(stage: &Stage<W>, may_be_late: bool) -> Option<Missing> {
    let progress = stage.recorder.progress();
    for (number, device) in progress.devices.iter().filter(|(number, _)| stage.is_healed(**number)) {
        if !device.connected {
            return Some(Missing::Session(*number));
        }
        if device.outstanding > 0 {
            return Some(Missing::Answers(*number, device.outstanding));
        }
        let user = progress.users.get(number).copied().unwrap_or_default();
        for conversation in progress.members.keys().filter(|_| may_be_late) {
            let owed = device.last_from_others(*conversation, progress.owed_to(user, *conversation));
            let has = device.position(*conversation);
            if has < owed {
                let (device, conversation) = (*number, *conversation);
                return Some(Missing::Positions { device, conversation, has, owed });
            }
        }
    }
    let busy = stage.devices_where(|number, handle| stage.is_healed(number) && !handle.is_idle());
    busy.first().map(|first| Missing::Idleness(busy.len(), *first))
}

fn quiet<W: World>(stage: &Stage<W>) -> Vec<u32> {
    let progress = stage.recorder.progress();
    stage.devices_where(|number, handle| {
        handle.is_idle() && progress.devices.get(&number).is_some_and(|device| device.connected)
    })
}

/// A few devices of each conversation read all that they may see, so that views can be compared.
pub(super) async fn read_everything<W: World + 'static>(stage: &Stage<W>) {
    let mut reads = 0;
    for (number, conversation) in stage.plan.conversations.iter().enumerate() {
        let members = conversation.members.iter();
        let devices = members.flat_map(|user| {
            let mine = stage.plan.devices.iter().enumerate();
            mine.filter(move |(_, device)| device.user == *user).map(|(device, _)| device as u32)
        });
        for device in devices.take(READERS_PER_CONVERSATION_MAX) {
            if reads < FINAL_READS_MAX && stage.is_healed(device) {
                reads += 1;
                stage.order_do(device, Do::ReadHistory { conversation: number as u32 });
            }
        }
    }
    let limit_ns = stage.now_ns() + FINAL_READS_NS_MAX;
    loop {
        stage.sleep_ns(LOOK_NS).await;
        let busy = stage.devices_where(|number, handle| stage.is_healed(number) && !handle.is_idle());
        if busy.is_empty() || stage.now_ns() >= limit_ns || stage.is_over() {
            return;
        }
    }
}
