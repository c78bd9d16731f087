//! The guarantees' promises and the anomalies' names, in both languages. Ids stay as they are: they are what command lines
//! and scenario files have.

use super::language::Words;

const fn words(english: &'static str, chinese: &'static str) -> Words {
    Words { english, chinese }
}

/// By guarantee. The harness holds this against its registry.
const PROMISES: &[(&str, Words)] = &[
    (
        "no-loss",
        words(
            "Every acknowledged message reaches every eligible device.",
            "每条已确认的消息到达每个应收设备。",
        ),
    ),
    (
        "no-duplicates",
        words(
            "Each message reaches a device once; again only what it had not acknowledged, and marked.",
            "每条消息只到达设备一次；仅未确认者可再次到达，且须标记。",
        ),
    ),
    ("no-phantoms", words("Nothing is delivered that was not sent.", "不投递未曾发送的消息。")),
    ("intact", words("Payloads arrive unchanged.", "载荷原样到达。")),
    ("isolation", words("Messages reach members of their conversation only.", "消息只到达其会话的成员。")),
    ("errors-truthful", words("A definite refusal takes no effect.", "明确的拒绝不产生任何效果。")),
    ("idempotent-send", words("A send that is sent again takes effect once.", "重发的消息只生效一次。")),
    ("fifo-order", words("What one device sent arrives in its order.", "同一设备发送的消息按其顺序到达。")),
    ("causal-order", words("An answer arrives after what it answers.", "回复在其所回复的消息之后到达。")),
    (
        "total-order",
        words("All devices receive a conversation in one order.", "所有设备以同一顺序收到会话消息。"),
    ),
    (
        "real-time-order",
        words("What was acknowledged comes before what was sent afterwards.", "先确认的排在其后发送的之前。"),
    ),
    (
        "seq-sane",
        words(
            "Positions are given once, rise, have no holes where that is promised, and survive restarts.",
            "位置只分配一次、递增、在承诺处无空洞，并在重启后保持。",
        ),
    ),
    ("offline-complete", words("Nothing is missing for who was away.", "离线者不缺任何消息。")),
    (
        "inflight-redelivered",
        words("What was in flight when a link ended comes again.", "连接中断时在途的消息会再次到来。"),
    ),
    ("resume-truthful", words("\"Resumed\" means that nothing is missing.", "“已恢复”意味着没有缺失。")),
    ("receipts-truthful", words("A receipt says nothing that is not so.", "回执不说不实之言。")),
    ("receipts-complete", words("No receipt is lost for good.", "没有回执永久丢失。")),
    (
        "redelivery-flag-truthful",
        words(
            "A delivery is marked as a redelivery exactly when it is one.",
            "当且仅当是重投时才标记为重投。",
        ),
    ),
    (
        "gap-visible",
        words(
            "A device can know what it misses before it shows what comes later.",
            "设备在显示后续消息之前能得知自己缺了什么。",
        ),
    ),
    ("read-your-writes", words("History shows a reader what they wrote.", "历史向读者展示其所写。")),
    ("monotonic-reads", words("History never shows less than before.", "历史展示的内容从不减少。")),
    (
        "history-agrees",
        words(
            "Once quiet, all devices and nodes show one history.",
            "安静之后，所有设备与节点展示同一历史。",
        ),
    ),
    (
        "membership-boundary",
        words(
            "Who belongs when a message is committed gets it, nobody else does.",
            "消息提交时的成员收到它，其他人收不到。",
        ),
    ),
    (
        "durable-ack",
        words("An ack survives the death of the server process.", "确认在服务器进程死亡后依然有效。"),
    ),
    ("durable-ack-power", words("An ack survives the loss of power.", "确认在断电后依然有效。")),
    ("chain-valid", words("Nothing was rewritten or left out.", "没有内容被改写或遗漏。")),
    ("send-live", words("After the heal, every operation is answered.", "恢复之后，每个操作都得到应答。")),
    (
        "recovers-within",
        words("After the heal, everything owed arrives in time.", "恢复之后，应到的都及时到达。"),
    ),
];

/// By anomaly.
const ANOMALIES: &[(&str, Words)] = &[
    ("lost", words("lost", "丢失")),
    ("duplicate", words("duplicate", "重复")),
    ("phantom", words("phantom", "凭空出现")),
    ("aborted", words("aborted", "拒绝后生效")),
    ("reordered", words("reordered", "乱序")),
    ("gap", words("gap", "缺口")),
    ("unseen", words("unseen", "未见")),
    ("stale", words("stale", "陈旧")),
    ("misdelivered", words("misdelivered", "误投")),
    ("corrupted", words("corrupted", "损坏")),
    ("divergent", words("divergent", "分歧")),
    ("late", words("late", "迟到")),
    ("unanswered", words("unanswered", "无应答")),
];

/// What a guarantee promises, in English; `None` if pages have no words for it.
pub fn promise_in_english(guarantee: &str) -> Option<&'static str> {
    promise(guarantee).map(|words| words.english)
}

pub(super) fn promise(guarantee: &str) -> Option<Words> {
    PROMISES.iter().find(|(id, _)| *id == guarantee).map(|(_, words)| *words)
}

/// An anomaly's name; `None` if it is none of the field's.
pub(super) fn anomaly(name: &str) -> Option<Words> {
    ANOMALIES.iter().find(|(known, _)| *known == name).map(|(_, words)| *words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_lacks_a_language() {
        for (name, words) in PROMISES.iter().chain(ANOMALIES) {
            super::super::language::tests::check_whole(name, *words);
        }
    }
}
