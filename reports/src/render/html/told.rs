//! What the rest of this tool says in English, in Chinese: by its form, with numbers and names in their places.
//!
//! Judging and its words belong to the checkers; what has no translation here is shown as they wrote it. That every word of a
//! checker has one is a test's business (`harness/tests/tidy`), since only that can see both.

mod others;
mod runs;

use super::language::fill_in;
use super::promises::anomaly;

/// Longest text that is looked at: what is longer is a log, or a target's.
const BYTES_MAX: usize = 1_024;
/// Words within words within words.
const DEPTH_MAX: usize = 6;

/// The translation, if this form is known; parts that are joined by `; `, and what stands behind in brackets, are translated by
/// themselves, and all of them have to be known.
pub(super) fn chinese(text: &str) -> Option<String> {
    (text.len() <= BYTES_MAX).then(|| translated(text, DEPTH_MAX)).flatten()
}

fn translated(text: &str, depth: usize) -> Option<String> {
    if depth == 0 || text.is_empty() {
        return None;
    }
    // A form may have a `; ` of its own, so the parts come first, and count only together.
    let known = joined(text, depth).or_else(|| form(text, depth)).or_else(|| counted(text, depth));
    known.or_else(|| {
        let inside = text.strip_suffix(')')?;
        inside.match_indices(" (").find_map(|(at, opening)| {
            let (said, observed) = (&inside[..at], &inside[at + opening.len()..]);
            Some(format!("{}（{}）", translated(said, depth - 1)?, translated(observed, depth - 1)?))
        })
    })
}

/// `one; another`, or `one, or another`.
fn joined(text: &str, depth: usize) -> Option<String> {
    [("; ", "；"), (", or ", "，或")].into_iter().find_map(|(separator, chinese)| {
        let parts: Vec<&str> = text.split(separator).collect();
        if parts.len() < 2 {
            return None;
        }
        let parts: Option<Vec<String>> = parts.into_iter().map(|part| translated(part, depth - 1)).collect();
        parts.map(|parts| parts.join(chinese))
    })
}

/// `3 × lost (what held)`.
fn counted(text: &str, depth: usize) -> Option<String> {
    let (count, rest) = text.split_once(" × ")?;
    let (anomalies, held) = match rest.split_once(" (") {
        Some((anomalies, held)) => (anomalies, Some(held.strip_suffix(')')?)),
        None => (rest, None),
    };
    let words: Vec<&str> =
        anomalies.split(", ").map(|it| anomaly(it).map_or(it, |words| words.chinese)).collect();
    let words = words.join("、");
    Some(match held {
        Some(held) => format!("{count} × {words}（{}）", translated(held, depth - 1)?),
        None => format!("{count} × {words}"),
    })
}

fn form(text: &str, depth: usize) -> Option<String> {
    all_forms()
        .filter_map(|(form, words)| Some((matched(form, text)?, words)))
        .map(|(arguments, words)| {
            let translate = |argument: &str| {
                let words = argument.contains(|c: char| c.is_ascii_alphabetic());
                let known = words.then(|| translated(argument, depth - 1)).flatten();
                known.unwrap_or_else(|| argument.to_owned())
            };
            let arguments: Vec<String> = arguments.into_iter().map(translate).collect();
            fill_in(words, &arguments.iter().map(String::as_str).collect::<Vec<_>>())
        })
        .next()
}

fn all_forms() -> impl Iterator<Item = &'static (&'static str, &'static str)> {
    runs::OF_RUNS.iter().chain(others::OF_LOADS).chain(others::OF_AUDITS).chain(others::OF_SWEEPS)
}

/// What stands in the places of a form, if a text has that form. An `@` takes as little as it can.
fn matched<'a>(form: &str, text: &'a str) -> Option<Vec<&'a str>> {
    let Some(at) = form.find(['#', '@']) else { return (form == text).then(Vec::new) };
    let rest = text.strip_prefix(&form[..at])?;
    let after = &form[at + 1..];
    let is_digit = |c: char| c.is_ascii_digit();
    if form[at..].starts_with('#') {
        let length = rest.find(|c| !is_digit(c)).unwrap_or(rest.len());
        let mut arguments = (length > 0).then(|| matched(after, &rest[length..])).flatten()?;
        arguments.insert(0, &rest[..length]);
        return Some(arguments);
    }
    let next = after.find(['#', '@']).map_or(after, |end| &after[..end]);
    if next.is_empty() && after.is_empty() {
        return Some(vec![rest]);
    }
    rest.match_indices(next).find_map(|(length, _)| {
        let mut arguments = matched(after, &rest[length..])?;
        arguments.insert(0, &rest[..length]);
        Some(arguments)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_translated_with_what_stands_in_them() {
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
        check(
            "m7 was acknowledged (stored), then power was lost, it was not seen again and never reached d2",
            Some("m7 已被确认（已存储），随后断电，此后未再出现，但从未到达 d2"),
        );
        check(
            "m3 reached d1 again: the copy was not marked as redelivered",
            Some("m3 再次到达 d1：副本未标记为重投"),
        );
        check(
            "nothing shows that fault 0 (kill) took effect (7 payloads compared)",
            Some("没有迹象表明故障 0（kill）生效（比较了 7 份载荷）"),
        );
        check(
            "passed: 11 sent, 10 accepted, 9 delivered, 1 missing; accepted p99 599.55 ms; delivered p99 never",
            Some("通过：发送 11，接受 10，投递 9，缺失 1；接受 p99 599.55 ms；投递 p99 从未"),
        );
        check(
            "the generator kept its schedule: 2 of 9 sends (0.29 %) began more than 1.00 ms after their intended time; \
             its thread ran for 47 % of the time and waited 3.00 ms for a processor",
            Some(
                "发生器保持了计划：9 次发送中有 2 次（0.29 %）比计划晚 1.00 ms 以上；其线程运行了 47 % 的时间，等待处理器 3.00 ms",
            ),
        );
        check(
            "delivered: 9 of 90 latencies gather around 40.00 ms: this looks like Nagle's algorithm waiting for a delayed \
             acknowledgement (40 ms on Linux); TCP_NODELAY at the server ends that",
            Some(
                "已投递：90 个延迟中有 9 个聚集在 40.00 ms 附近：看起来像：Nagle 算法在等待延迟确认（Linux 上为 40 ms）；在服务器上设置 TCP_NODELAY 即可消除",
            ),
        );
        check(
            "gate delivered_p99 is violated: p99 1.13 ms (limit 30 µs) of 1989 samples",
            Some("门限 delivered_p99 未达标：p99 1.13 ms（限值 30 µs），1989 个样本"),
        );
        check(
            "gate accepted_p99 is inconclusive: 988 samples; p99 needs 1000",
            Some("门限 accepted_p99 无法定论：988 个样本；p99 需要 1000 个"),
        );
        check("something else", None);
        check("seed 1, or something else", None);
        check(&"m".repeat(2_000), None);
    }

    #[test]
    fn every_form_uses_what_stands_in_it_and_is_reached() {
        let mut known: Vec<&str> = Vec::new();
        for (form, words) in all_forms() {
            let count = form.matches(['#', '@']).count();
            let used = (0..9).filter(|index| words.contains(&format!("{{{index}}}"))).count();
            assert_eq!(used, count, "{form}");
            assert!(!words.is_ascii(), "{form}: {words}");
            assert!(!known.contains(form), "{form} stands there twice");
            known.push(form);
        }
    }
}
