//! What an event is in words, in both languages: the sentences of a finding's diagram. The terminal's sentences are
//! [`crate::timeline`]'s; these say the same.

use super::language::{Words, words};
use super::told;
use crate::history::{Event, Message, Names, PageItem, Phase, ReceiptKind, Rung, SessionKind, User, What};
use crate::latency::show_us;

words! {
    SENDS: "sends {0} to {1} ({2} B)", "向 {1} 发送 {0}（{2} B）";
    SENDS_LATE: "sends {0} to {1} ({2} B), {3} late", "向 {1} 发送 {0}（{2} B），晚了 {3}";
    SENDS_ANSWER: "sends {0} to {1} ({2} B), an answer to {3}", "向 {1} 发送 {0}（{2} B），回复 {3}";
    SENDS_AGAIN: "sends {0} again", "重发 {0}";
    IS_TOLD: "is told: {0} is {1}", "得知：{0} {1}";
    IS_TOLD_AT: "is told: {0} is {1} as #{2}", "得知：{0} {1}，位置 #{2}";
    IS_REFUSED: "is told: {0} is refused ({1})", "得知：{0} 被拒绝（{1}）";
    GIVES_UP: "gives {0} up ({1}); it may have happened", "放弃 {0}（{1}）；可能已生效";
    RECEIVES: "receives {0} in {1}", "在 {1} 收到 {0}";
    RECEIVES_AT: "receives {0} in {1} as #{2}", "在 {1} 收到 {0}，位置 #{2}";
    RECEIVES_AGAIN: "receives {0} in {1} as #{2}, flagged as sent before", "在 {1} 收到 {0}，位置 #{2}，标记为重投";
    DROPS: "drops a copy of {0}", "丢弃 {0} 的副本";
    ACKNOWLEDGES: "acknowledges {0}", "确认 {0}";
    ACKNOWLEDGES_UP_TO: "acknowledges up to #{0}", "确认至 #{0}";
    READS: "reads up to #{0}", "已读至 #{0}";
    READ_STORED: "is told: read up to #{0} is stored", "得知：已读至 #{0} 已存储";
    RECEIPT: "is told: {0} has #{1} ({2})", "得知：{0} 已到 #{1}（{2}）";
    MISSES: "misses what is between #{0} and #{1}", "缺少 #{0} 与 #{1} 之间的消息";
    CHAIN_BROKEN: "finds the chain broken at #{0}", "发现哈希链在 #{0} 处断裂";
    ASKS_FOR_HISTORY: "asks for history after #{0}", "请求 #{0} 之后的历史";
    GETS_PAGE: "gets a page: {0}; complete", "得到一页：{0}；完整";
    GETS_PAGE_MORE: "gets a page: {0}; more follows", "得到一页：{0}；后续还有";
    ASKS_CHANGE: "asks for a change of members, {0}: in {1}; out {2}", "请求变更成员，{0}：加入 {1}；移出 {2}";
    SEES_CHANGE: "sees a change of members: in {0}; out {1}", "看到成员变更：加入 {0}；移出 {1}";
    SESSION_NEW: "logs in: a new session", "登录：新会话";
    SESSION_RESUMED: "logs in: the session is resumed", "登录：会话恢复";
    DISCONNECTED: "is disconnected ({0})", "断开连接（{0}）";
    REINSTALLED: "is installed anew: it has nothing", "重新安装：本地为空";
    QUIET: "is quiet: it knows of nothing outstanding", "安静：它不知道有未完成的操作";
    IS_DEVICE: "is {0}, a device of u{1}", "是 {0}，u{1} 的设备";
    HAS_MEMBERS: "{0} has the members {1}", "{0} 的成员为 {1}";
    FAULT_BEGINS: "{0} begins ({1})", "{0} 开始（{1}）";
    FAULT_HITS: "{0} hits frame {1} of {2} ({3})", "{0} 命中 {2} 的第 {1} 帧（{3}）";
    FAULT_ENDS: "ends ({0})", "结束（{0}）";
    FAULT_SKIPPED: "{0} is skipped ({1})", "{0} 被跳过（{1}）";
    NODE_KILLED: "is killed", "被杀死";
    NODE_DIED: "died on its own", "自行退出";
    NODE_POWER: "loses power", "断电";
    NODE_PAUSED: "stands still", "暂停";
    NODE_RESUMED: "goes on", "继续运行";
    NODE_STOPPED: "is stopped", "已停止";
    NODE_STARTED: "is started", "已启动";
    NODE_READY: "is ready", "就绪";
    NODE_OTHER: "is {0}", "状态：{0}";
    PHASE_SET_UP: "phase: set-up", "阶段：准备";
    PHASE_CHAOS: "phase: chaos", "阶段：混沌";
    PHASE_HEAL: "phase: heal", "阶段：恢复";
    PHASE_DRAIN: "phase: drain", "阶段：排空";
    PHASE_JUDGE: "phase: judge", "阶段：判定";
    DRAINED: "drained: everybody caught up", "排空：全部追平";
    NOT_DRAINED: "drained without convergence ({0})", "排空未收敛（{0}）";
    NOTE: "note: {0}", "备注：{0}";
    NEVER_RECEIVES: "never receives {0}", "从未收到 {0}";
    LEFT_OUT: "{0} more events are left out here", "此处省略 {0} 个事件";
    RUNG_WRITTEN: "written to the socket", "已写入套接字";
    RUNG_RECEIVED: "received", "已被服务器收到";
    RUNG_ACCEPTED: "accepted", "已被接受";
    RUNG_STORED: "stored", "已存储";
    RUNG_REPLICATED: "replicated", "已复制";
    RUNG_HANDED: "handed to a recipient", "已交给接收方";
    RUNG_ACKNOWLEDGED: "acknowledged by a recipient", "已被接收方确认";
    RUNG_READ: "read", "已读";
    KIND_DELIVERED: "delivered", "已投递";
    KIND_READ: "read", "已读";
}

/// Most elements that are named of a list.
const LIST_SHOWN_MAX: usize = 6;

/// Words with what stands in their places; an argument is itself a pair.
pub(super) struct Sentence {
    words: Words,
    arguments: Vec<[String; 2]>,
}

impl Sentence {
    pub(super) fn new(words: Words, arguments: &[&str]) -> Self {
        let arguments = arguments.iter().map(|it| [(*it).to_owned(), (*it).to_owned()]).collect();
        Self { words, arguments }
    }

    /// With a last argument that some part of this tool may have said.
    fn told(words: Words, arguments: &[&str], last: &str) -> Self {
        let mut sentence = Self::new(words, arguments);
        let chinese = told::chinese(last).unwrap_or_else(|| last.to_owned());
        sentence.arguments.push([last.to_owned(), chinese]);
        sentence
    }

    /// Adds an argument that is words itself.
    fn with(mut self, words: Words) -> Self {
        self.arguments.push([words.english.to_owned(), words.chinese.to_owned()]);
        self
    }

    /// In English and in Chinese.
    pub(super) fn in_both(&self) -> [String; 2] {
        [0, 1].map(|language| {
            let arguments: Vec<&str> = self.arguments.iter().map(|it| it[language].as_str()).collect();
            self.words.filled_in(&arguments)[language].clone()
        })
    }
}

pub(super) fn named(message: Message) -> String {
    format!("m{}", message.0)
}

fn named_or(message: Option<Message>) -> String {
    message.map_or("?".to_owned(), named)
}

fn or_dash(text: &str) -> &str {
    if text.is_empty() { "–" } else { text }
}

fn list<T>(elements: &[T], show: impl Fn(&T) -> String) -> String {
    let mut shown: Vec<_> = elements.iter().take(LIST_SHOWN_MAX).map(show).collect();
    if elements.len() > LIST_SHOWN_MAX {
        shown.push(format!("… +{}", elements.len() - LIST_SHOWN_MAX));
    }
    if shown.is_empty() { "–".to_owned() } else { shown.join(", ") }
}

fn users(users: &[User]) -> String {
    list(users, |user| format!("u{}", user.0))
}

fn item(item: &PageItem) -> String {
    let seq = item.seq.map_or(String::new(), |seq| format!("#{seq} "));
    format!("{seq}{}", named_or(item.message))
}

fn rung(rung: Rung) -> Words {
    match rung {
        Rung::Written => RUNG_WRITTEN,
        Rung::Received => RUNG_RECEIVED,
        Rung::Accepted => RUNG_ACCEPTED,
        Rung::Stored => RUNG_STORED,
        Rung::Replicated => RUNG_REPLICATED,
        Rung::Handed => RUNG_HANDED,
        Rung::Acknowledged => RUNG_ACKNOWLEDGED,
        Rung::Read => RUNG_READ,
    }
}

/// A node's state, as the worlds name it.
fn node(state: &str) -> Sentence {
    let words = match state {
        "killed" => NODE_KILLED,
        "died" => NODE_DIED,
        "power lost" => NODE_POWER,
        "paused" => NODE_PAUSED,
        "resumed" => NODE_RESUMED,
        "stopped" => NODE_STOPPED,
        "started" => NODE_STARTED,
        "ready" => NODE_READY,
        other => return Sentence::new(NODE_OTHER, &[other]),
    };
    Sentence::new(words, &[])
}

fn phase(phase: Phase) -> Words {
    match phase {
        Phase::SetUp => PHASE_SET_UP,
        Phase::Chaos => PHASE_CHAOS,
        Phase::Heal => PHASE_HEAL,
        Phase::Drain => PHASE_DRAIN,
        Phase::Judge => PHASE_JUDGE,
    }
}

/// What a client did or saw, what a fault or a node did, or the run itself.
pub(super) fn sentence(event: &Event, names: &Names) -> Sentence {
    let say = Sentence::new;
    match &event.what {
        What::Send { .. } | What::Accepted { .. } | What::Delivered { .. } => message(event, names),
        What::Retry { message, .. } => say(SENDS_AGAIN, &[&named(*message)]),
        What::Rejected { message, code, .. } => {
            Sentence::told(IS_REFUSED, &[&named(*message)], or_dash(code))
        }
        What::Unknown { message, why, .. } => Sentence::told(GIVES_UP, &[&named(*message)], or_dash(why)),
        What::Suppressed { message, .. } => say(DROPS, &[&named_or(*message)]),
        What::Acknowledged { up_to: Some(up_to), .. } => say(ACKNOWLEDGES_UP_TO, &[&up_to.to_string()]),
        What::Acknowledged { message, .. } => say(ACKNOWLEDGES, &[&named_or(*message)]),
        What::Read { up_to, .. } => say(READS, &[&up_to.to_string()]),
        What::ReadConfirmed { up_to, .. } => say(READ_STORED, &[&up_to.to_string()]),
        What::Receipt { by, kind, up_to, .. } => {
            let kind = if *kind == ReceiptKind::Read { KIND_READ } else { KIND_DELIVERED };
            say(RECEIPT, &[&names.device(*by), &up_to.to_string()]).with(kind)
        }
        What::Gap { after, before, .. } => say(MISSES, &[&after.to_string(), &before.to_string()]),
        What::ChainBroken { seq, .. } => say(CHAIN_BROKEN, &[&seq.to_string()]),
        What::PageRequested { after, .. } => say(ASKS_FOR_HISTORY, &[&after.to_string()]),
        What::Page { items, complete, .. } => {
            say(if *complete { GETS_PAGE } else { GETS_PAGE_MORE }, &[&list(items, item)])
        }
        What::MembersChange { message, added, removed, .. } => {
            say(ASKS_CHANGE, &[&named(*message), &users(added), &users(removed)])
        }
        What::MembersChanged { added, removed, .. } => say(SEES_CHANGE, &[&users(added), &users(removed)]),
        What::Session { session: SessionKind::New, .. } => say(SESSION_NEW, &[]),
        What::Session { session: SessionKind::Resumed, .. } => say(SESSION_RESUMED, &[]),
        What::Disconnected { why, .. } => Sentence::told(DISCONNECTED, &[], or_dash(why)),
        What::Reinstalled { .. } => say(REINSTALLED, &[]),
        What::Quiet { .. } => say(QUIET, &[]),
        What::Device { name, user, .. } => say(IS_DEVICE, &[name, &user.0.to_string()]),
        What::Conversation { name, members, .. } => say(HAS_MEMBERS, &[name, &users(members)]),
        what => around(what, names),
    }
}

/// The stations of a message.
fn message(event: &Event, names: &Names) -> Sentence {
    match &event.what {
        What::Send { conversation, message, intended_ns, bytes, reply_to, .. } => {
            let (message, to, bytes) =
                (named(*message), names.conversation(*conversation), bytes.to_string());
            let late_us = event.at_ns.saturating_sub(*intended_ns) / 1_000;
            match reply_to {
                Some(answered) => Sentence::new(SENDS_ANSWER, &[&message, &to, &bytes, &named(*answered)]),
                None if late_us > 0 => Sentence::new(SENDS_LATE, &[&message, &to, &bytes, &show_us(late_us)]),
                None => Sentence::new(SENDS, &[&message, &to, &bytes]),
            }
        }
        What::Accepted { message, seq, rung: reached, .. } => {
            let words = if seq.is_some() { IS_TOLD_AT } else { IS_TOLD };
            let mut told = Sentence::new(words, &[&named(*message)]).with(rung(*reached));
            told.arguments.extend(seq.map(|seq| [seq.to_string(), seq.to_string()]));
            told
        }
        What::Delivered { conversation, message, seq, redelivered, .. } => {
            let (message, place) = (named_or(*message), names.conversation(*conversation));
            let words = match (seq, redelivered) {
                (_, true) => RECEIVES_AGAIN,
                (Some(_), false) => RECEIVES_AT,
                (None, false) => RECEIVES,
            };
            let seq = seq.map_or("–".to_owned(), |seq| seq.to_string());
            Sentence::new(words, &[&message, &place, &seq])
        }
        other => around(other, names),
    }
}

/// Faults, nodes, and the run itself.
fn around(what: &What, names: &Names) -> Sentence {
    let say = Sentence::new;
    match what {
        What::FaultStarted { kind, target, .. } => say(FAULT_BEGINS, &[kind, or_dash(target)]),
        What::FaultFired { kind, device, frame, detail, .. } => {
            say(FAULT_HITS, &[kind, &frame.to_string(), &names.device(*device), or_dash(detail)])
        }
        What::FaultEnded { evidence, .. } => Sentence::told(FAULT_ENDS, &[], or_dash(evidence)),
        What::FaultSkipped { kind, why, .. } => Sentence::told(FAULT_SKIPPED, &[kind], or_dash(why)),
        What::Node { state, .. } => node(state),
        What::Phase { phase: entered } => say(phase(*entered), &[]),
        What::Drained { converged: true, .. } => say(DRAINED, &[]),
        What::Drained { missing, .. } => Sentence::told(NOT_DRAINED, &[], or_dash(missing)),
        What::Note { text } => Sentence::told(NOTE, &[], text),
        other => say(NOTE, &[other.kind()]),
    }
}
