//! What the checkers say in English, in Chinese: by its form, with the numbers in their places.
//!
//! Judging and its words belong to the checkers; what has no translation here is shown as they wrote it.

use super::language::fill_in;
use super::promises::anomaly;

/// A form (`#` is a number) and its translation (`{0}` is the first number).
const FORMS: &[(&str, &str)] = &[
    ("# acknowledged, # deliveries of them to # recipients", "{0} 条已确认，向 {2} 个接收方投递 {1} 次"),
    ("# never came back and are not judged", "{0} 个设备未再上线，不作判定"),
    ("# gone with a process, of which the ack promised nothing", "{0} 条随进程消失，其确认并未承诺持久"),
    ("# deliveries were late or lost when the drain ended", "排空结束时有 {0} 次投递迟到或丢失"),
    (
        "no recipient was drained at the end, so nothing can be said of what is missing",
        "结束时没有接收方完成排空，无法判断缺失",
    ),
    ("no ack promised that a message arrives", "没有确认承诺消息会到达"),
    ("# arrived after their device had been away", "{0} 条在设备离线后到达"),
    ("nothing was acknowledged while a recipient was away", "接收方离线期间没有消息被确认"),
    ("# crossed the end of a link and arrived", "{0} 条跨越连接中断并到达"),
    ("nothing was in flight to a device when its link ended", "连接中断时没有在途的投递"),
    ("# sessions resumed without a gap", "{0} 次会话恢复，均无缺口"),
    ("no session was resumed", "没有会话被恢复"),
    ("# deaths of a process under load", "{0} 次负载下的进程死亡"),
    ("# losses of power under load", "{0} 次负载下的断电"),
    ("no process died while durable acks were at stake", "没有进程在持久确认面临考验时死亡"),
    ("no power was lost while durable acks were at stake", "没有在持久确认面临考验时断电"),
    (
        "# receptions, # allowed redeliveries, # copies recognised by clients",
        "收到 {0} 次，允许的重投 {1} 次，客户端识别的副本 {2} 个",
    ),
    ("# sends that were sent again took effect once each", "{0} 条重发的消息各只生效一次"),
    ("no send was sent again", "没有消息被重发"),
    ("# copies, each marked or excused", "{0} 个副本，均已标记或可豁免"),
    ("nothing was delivered a second time", "没有消息被第二次投递"),
    ("nothing was delivered", "没有任何投递"),
    ("# receptions, all sent before; # of other origin", "收到 {0} 次，均曾被发送；{1} 次来源不明"),
    ("# payloads compared", "比较了 {0} 份载荷"),
    ("the history has no digests of payloads to compare", "历史中没有可比较的载荷摘要"),
    ("# receptions, each in its conversation and by a member", "收到 {0} 次，均在所属会话且由成员收到"),
    ("nothing was refused", "没有消息被拒绝"),
    ("# refusals took no effect; # could not be judged", "{0} 次拒绝均未生效；{1} 次无法判定"),
    ("# first receptions in their senders' order", "{0} 次首次接收符合发送顺序"),
    ("# receptions of messages with a known cause", "{0} 次接收具有已知因果"),
    ("no message was sent after another had been received", "没有消息是在收到另一条之后发送的"),
    ("# messages sent after others had been acknowledged", "{0} 条消息在其他消息被确认之后发送"),
    ("no message was sent after another had been acknowledged", "没有消息是在另一条被确认之后发送的"),
    ("# first receptions in rising positions", "{0} 次首次接收位置递增"),
    (
        "# first receptions fit one order per conversation (# without a position)",
        "{0} 次首次接收符合每个会话的唯一顺序（{1} 次无位置）",
    ),
    ("# receptions at rising positions, without holes", "{0} 次接收位置递增且无空洞"),
    ("# receptions at rising positions", "{0} 次接收位置递增"),
    ("# gaps noticed by clients, none shown as complete", "客户端发现 {0} 个缺口，均未被当作完整显示"),
    ("the history names no positions", "历史中没有位置"),
    ("# receipts, none ahead of the truth, none taken back", "{0} 个回执，无一超前，无一收回"),
    ("# senders know how far their recipients are", "{0} 个发送方知道接收方的进度"),
    ("no receipt was owed", "没有应给的回执"),
    ("the history has no receipts", "历史中没有回执"),
    ("# pages show what their readers had written", "{0} 页历史显示了读者所写"),
    ("# pages show what their readers had seen", "{0} 页历史显示了读者所见"),
    (
        "# pages read after the drain agree with each other and with the acks",
        "排空后读取的 {0} 页彼此一致，且与确认一致",
    ),
    ("no history was read", "没有读取历史"),
    ("no history was read after the drain", "排空后没有读取历史"),
    ("pages without positions cannot show it", "没有位置的历史页无法体现"),
    (
        "# receptions by members of their time in # conversations; # too close to a change to tell",
        "{1} 个会话中由当时成员接收 {0} 次；{2} 次太接近变更而无法判定",
    ),
    ("no membership changed", "成员没有变更"),
    ("no client found a broken chain", "没有客户端发现断链"),
    ("the target has no hash chain", "目标没有哈希链"),
    ("nothing is answered here: messages are only written", "这里没有应答：消息只是被写出"),
    ("# operations, all answered", "{0} 个操作，全部得到应答"),
    ("nothing was sent", "没有发送任何消息"),
    (
        "# operations were still open, with no fair chance of an answer since a heal",
        "{0} 个操作仍未完成，恢复后没有得到应答的公平机会",
    ),
    (
        "# of # operations answered; the others had no chance after the heal",
        "{1} 个操作中 {0} 个得到应答；其余在恢复后没有机会",
    ),
    (
        "# deliveries were owed at the heal, the last came # ms after",
        "恢复时尚欠 {0} 次投递，最后一次在 {1} ms 后到达",
    ),
    ("no time to recover within is set", "没有设置恢复期限"),
    ("the history has no heal", "历史中没有恢复阶段"),
    ("a fault or a node was not undone", "有故障或节点未被复原"),
    ("no operation succeeded", "没有操作成功"),
    ("no send succeeded", "没有发送成功"),
    (
        "nothing that is promised under these faults was put to the test",
        "在这些故障下所承诺的内容都没有受到考验",
    ),
    ("the run was interrupted", "运行被中断"),
    ("the run has no drain", "运行没有排空阶段"),
    ("every planned fault was skipped", "所有计划的故障都被跳过"),
    ("no operation was in flight during any fault", "任何故障期间都没有在途操作"),
    ("every acknowledged message reaches every member's device", "每条已确认的消息到达每个成员的设备"),
    ("what came while a device was away reaches it", "设备离线期间的消息会到达它"),
    ("what was in flight at the end of a link comes again", "连接中断时在途的消息会再次到来"),
    ("a resumed session has no gap", "恢复的会话没有缺口"),
    ("an ack survives the death of the server", "确认在服务器死亡后依然有效"),
    ("m# was acknowledged (stored) and never reached d#", "m{0} 已被确认（已存储），但从未到达 d{1}"),
    (
        "m# was acknowledged (stored) while it was connected, the link ended, the session was resumed and never reached d#",
        "m{0} 在连接期间被确认（已存储），随后连接中断、会话恢复，但从未到达 d{1}",
    ),
    (
        "m# was acknowledged (stored) while it was away and never reached d#",
        "m{0} 在设备离线时被确认（已存储），但从未到达 d{1}",
    ),
    (
        "m# was acknowledged (stored), then a server process died, it was not seen again and never reached d#",
        "m{0} 已被确认（已存储），随后服务器进程死亡，此后未再出现，从未到达 d{1}",
    ),
    (
        "m# was acknowledged (stored), then power was lost, it was not seen again and never reached d#",
        "m{0} 已被确认（已存储），随后断电，此后未再出现，从未到达 d{1}",
    ),
    (
        "m# was acknowledged (stored), the server then said that it resumed the session and never reached d#",
        "m{0} 已被确认（已存储），服务器随后声称恢复了会话，但从未到达 d{1}",
    ),
    ("each message reaches the application of a device once", "每条消息只到达设备的应用一次"),
    (
        "m# reached d# again: here nothing is delivered a second time",
        "m{0} 再次到达 d{1}：此处不应有第二次投递",
    ),
    ("m# reached d# again: the copy was not marked as redelivered", "m{0} 再次到达 d{1}：副本未标记为重投"),
    ("one send takes effect once, however often it is sent again", "无论重发多少次，一次发送只生效一次"),
    ("m# was sent again and reached d# as two", "m{0} 被重发后以两条到达 d{1}"),
    ("m# is at position # and at position #", "m{0} 既在位置 {1} 又在位置 {2}"),
    ("m# came first", "m{0} 先到"),
    ("positions have no holes", "位置没有空洞"),
    ("nobody ever saw position #", "没有人见过位置 {0}"),
    ("a position is given once", "一个位置只分配一次"),
    ("the orders of all devices are parts of one order", "所有设备的顺序都是同一顺序的一部分"),
    ("everything owed arrives within # ms after the heal", "恢复后 {0} ms 内应到的全部到达"),
    ("an answer within # ms after the heal", "恢复后 {0} ms 内得到应答"),
    ("a definite refusal takes no effect", "明确的拒绝不产生效果"),
    ("only what was sent before is delivered", "只投递此前发送过的消息"),
    ("receipts never fall", "回执不回退"),
    ("what the device had received before is marked as redelivered", "设备此前收到过的会标记为重投"),
    ("a further copy of m# was not marked", "m{0} 的另一副本未标记"),
];

/// Words of the ack ladder: the forms above have the first.
const RUNGS: [(&str, &str); 4] =
    [("(stored)", "已存储"), ("(accepted)", "已接受"), ("(received)", "已收到"), ("(replicated)", "已复制")];

/// The translation, if this form is known; parts that are joined by `; ` or stand in brackets are translated by themselves.
pub(super) fn chinese(text: &str) -> Option<String> {
    let known = form(text).or_else(|| counted(text));
    known.or_else(|| {
        let parts: Option<Vec<String>> =
            text.split("; ").map(|part| form(part).or_else(|| counted(part))).collect();
        parts.filter(|parts| parts.len() > 1).map(|parts| parts.join("；"))
    })
}

/// `3 × lost (what held)`.
fn counted(text: &str) -> Option<String> {
    let (count, rest) = text.split_once(" × ")?;
    let (anomalies, held) = match rest.split_once(" (") {
        Some((anomalies, held)) => (anomalies, Some(held.strip_suffix(')')?)),
        None => (rest, None),
    };
    let words: Vec<&str> =
        anomalies.split(", ").map(|it| anomaly(it).map_or(it, |words| words.chinese)).collect();
    let words = words.join("、");
    Some(match held {
        Some(held) => format!("{count} × {words}（{}）", chinese(held)?),
        None => format!("{count} × {words}"),
    })
}

fn form(text: &str) -> Option<String> {
    let (mut shape, mut numbers) = (String::new(), Vec::new());
    let mut rest = text;
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        let length = rest[start..].find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len() - start);
        shape.extend([&rest[..start], "#"]);
        numbers.push(&rest[start..start + length]);
        rest = &rest[start + length..];
    }
    shape.push_str(rest);
    let (usual, usual_words) = RUNGS[0];
    let (rung, rung_words) = RUNGS.into_iter().find(|(rung, _)| shape.contains(rung)).unwrap_or(RUNGS[0]);
    let shape = shape.replace(rung, usual);
    let found = FORMS.iter().find(|(known, _)| *known == shape);
    found.map(|(_, words)| fill_in(&words.replace(usual_words, rung_words), &numbers))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_translated_with_their_numbers() {
        let check =
            |text: &str, expected: Option<&str>| assert_eq!(chinese(text).as_deref(), expected, "{text}");
        check("1137 payloads compared", Some("比较了 1137 份载荷"));
        check(
            "3 of 4 operations answered; the others had no chance after the heal",
            Some("4 个操作中 3 个得到应答；其余在恢复后没有机会"),
        );
        check("2 × lost, duplicate (7 payloads compared)", Some("2 × 丢失、重复（比较了 7 份载荷）"));
        check(
            "5 acknowledged, 6 deliveries of them to 7 recipients; 1 never came back and are not judged",
            Some("5 条已确认，向 7 个接收方投递 6 次；1 个设备未再上线，不作判定"),
        );
        check(
            "m7 was acknowledged (accepted) and never reached d2",
            Some("m7 已被确认（已接受），但从未到达 d2"),
        );
        check("something else", None);
    }

    #[test]
    fn every_form_uses_the_numbers_that_it_has() {
        for (form, words) in FORMS {
            let count = form.matches('#').count();
            let used = (0..9).filter(|index| words.contains(&format!("{{{index}}}"))).count();
            assert_eq!(used, count, "{form}");
        }
    }
}
