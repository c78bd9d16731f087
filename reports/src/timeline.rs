//! Turns a finding's events into lines that a person can read: when, who, what, and which faults were active.
//!
//! The structured form keeps names as they are; whoever shows them escapes them ([`Timeline::to_text`] does).

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::escape::{shortened, visible};
use crate::history::{Event, Message, Names, PageItem, User, What};
use crate::latency::show_us;
use crate::verdict::Finding;

/// Most rows that are shown of one finding; the middle is left out.
pub const TIMELINE_ROWS_MAX: usize = 40;
/// Longest text of one row, in bytes.
const ROW_BYTES_MAX: usize = 200;
/// Most elements that are shown of a list.
const LIST_SHOWN_MAX: usize = 6;

/// What a row is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowKind {
    /// What a client did or saw.
    Client,
    /// A fault, or the state of a node.
    Fault,
    /// The run itself.
    Run,
    /// What should have happened and did not.
    Missing,
    /// Rows that are left out here.
    LeftOut,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Nanoseconds since the run began; `None` where there is no time (what never happened).
    pub at_ns: Option<u64>,
    /// A device, a node, or a fault, by name.
    pub who: String,
    /// What happened.
    pub text: String,
    /// What it is about.
    pub kind: RowKind,
    /// Numbers of the faults that were active then, as far as the timeline shows.
    pub faults: Vec<u32>,
}

/// A finding's events, ready to be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeline {
    /// In time order.
    pub rows: Vec<Row>,
    /// Where the relative times begin: the first event that is no fault.
    pub origin_ns: u64,
}

impl Timeline {
    /// Of a finding.
    pub fn new(finding: &Finding, names: &Names) -> Self {
        let events = &finding.timeline;
        let first = events.iter().find(|event| kind(&event.what) == RowKind::Client).or(events.first());
        let mut active = BTreeSet::new();
        let mut rows: Vec<Row> = events.iter().map(|event| row(event, names, &mut active)).collect();
        if rows.len() > TIMELINE_ROWS_MAX {
            let half = TIMELINE_ROWS_MAX / 2;
            let text = format!("… {} more events …", rows.len() - 2 * half);
            let gap =
                Row { at_ns: None, who: String::new(), text, kind: RowKind::LeftOut, faults: Vec::new() };
            rows.splice(half..rows.len() - half, [gap]);
        }
        rows.extend(never(finding, names));
        Self { rows, origin_ns: first.map_or(0, |event| event.at_ns) }
    }

    /// Aligned lines, each ending with a line feed, safe for a terminal.
    pub fn to_text(&self) -> String {
        let when = |row: &Row| row.at_ns.map_or(String::new(), |at_ns| self.relative(at_ns));
        let cells: Vec<_> = self.rows.iter().map(|row| (when(row), visible(&row.who), row)).collect();
        let width = |text: &str| text.chars().count();
        let when_width = cells.iter().map(|cell| width(&cell.0)).max().unwrap_or(0);
        let who_width = cells.iter().map(|cell| width(&cell.1)).max().unwrap_or(0);
        let mut out = String::new();
        for (when, who, row) in cells {
            let text = visible(&row.text);
            let line = format!("{when:>when_width$}  {who:<who_width$}  {text}");
            out.push_str(line.trim_end());
            if !row.faults.is_empty() && row.kind != RowKind::Fault {
                let list: Vec<_> = row.faults.iter().map(u32::to_string).collect();
                write!(out, "  [during fault {}]", list.join(", ")).expect("writing to a string never fails");
            }
            out.push('\n');
        }
        out
    }

    fn relative(&self, at_ns: u64) -> String {
        let (sign, distance_ns) = if at_ns < self.origin_ns {
            ('-', self.origin_ns - at_ns)
        } else {
            ('+', at_ns - self.origin_ns)
        };
        format!("{sign}{:.3} ms", distance_ns as f64 / 1e6)
    }
}

fn kind(what: &What) -> RowKind {
    match what {
        What::FaultStarted { .. }
        | What::FaultFired { .. }
        | What::FaultEnded { .. }
        | What::FaultSkipped { .. }
        | What::Node { .. } => RowKind::Fault,
        What::Device { .. }
        | What::Conversation { .. }
        | What::Phase { .. }
        | What::Drained { .. }
        | What::Note { .. } => RowKind::Run,
        _ => RowKind::Client,
    }
}

fn row(event: &Event, names: &Names, active: &mut BTreeSet<u32>) -> Row {
    if let What::FaultStarted { id, .. } = event.what {
        active.insert(id);
    }
    let faults = active.iter().copied().collect();
    if let What::FaultEnded { id, .. } = event.what {
        active.remove(&id);
    }
    let who = match &event.what {
        What::Node { node, .. } => node.clone(),
        What::FaultStarted { id, .. }
        | What::FaultFired { id, .. }
        | What::FaultEnded { id, .. }
        | What::FaultSkipped { id, .. } => format!("fault {id}"),
        what => what.device().map_or_else(|| "run".to_owned(), |device| names.device(device)),
    };
    let text = shortened(&describe(event, names), ROW_BYTES_MAX).into_owned();
    Row { at_ns: Some(event.at_ns), who, text, kind: kind(&event.what), faults }
}

/// Who never got it, where the finding names a device and a message that the device has no delivery of.
fn never(finding: &Finding, names: &Names) -> Option<Row> {
    let (device, message) = (finding.device?, finding.message?);
    let lost = matches!(finding.anomaly.as_str(), "lost" | "unseen");
    let arrived = |event: &Event| {
        let arrival = matches!(event.what, What::Delivered { .. } | What::Suppressed { .. });
        arrival && event.what.device() == Some(device) && event.what.message() == Some(message)
    };
    let text = format!("never receives {}", named(message));
    (lost && !finding.timeline.iter().any(arrived)).then(|| Row {
        at_ns: None,
        who: names.device(device),
        text,
        kind: RowKind::Missing,
        faults: Vec::new(),
    })
}

fn named(message: Message) -> String {
    format!("m{}", message.0)
}

fn named_or(message: Option<Message>) -> String {
    message.map_or("an unknown message".to_owned(), named)
}

fn position(seq: Option<u64>) -> String {
    seq.map_or(String::new(), |seq| format!(" as #{seq}"))
}

fn flag(redelivered: bool) -> &'static str {
    if redelivered { ", flagged as sent before" } else { "" }
}

fn because(why: &str) -> String {
    if why.is_empty() { String::new() } else { format!(" ({why})") }
}

fn list<T>(elements: &[T], show: impl Fn(&T) -> String) -> String {
    let mut shown: Vec<_> = elements.iter().take(LIST_SHOWN_MAX).map(show).collect();
    if elements.len() > LIST_SHOWN_MAX {
        shown.push(format!("and {} more", elements.len() - LIST_SHOWN_MAX));
    }
    if shown.is_empty() { "nothing".to_owned() } else { shown.join(", ") }
}

fn users(users: &[User]) -> String {
    list(users, |user| format!("u{}", user.0))
}

fn change(added: &[User], removed: &[User]) -> String {
    match (added, removed) {
        (added, []) => format!("{} joined", users(added)),
        ([], removed) => format!("{} left", users(removed)),
        (added, removed) => format!("{} joined, {} left", users(added), users(removed)),
    }
}

fn item(item: &PageItem) -> String {
    let seq = item.seq.map_or(String::new(), |seq| format!("#{seq} "));
    format!("{seq}{}", named_or(item.message))
}

#[allow(clippy::too_many_lines, reason = "one flat table; the compiler sees that no kind is missing")]
fn describe(event: &Event, names: &Names) -> String {
    match &event.what {
        What::Device { name, user, .. } => format!("is {name}, a device of u{}", user.0),
        What::Conversation { name, members, .. } => format!("{name} has the members {}", users(members)),
        What::Phase { phase } => format!("phase: {}", phase.name()),
        What::Session { session, .. } => format!("session: {}", session.name()),
        What::Disconnected { why, .. } => format!("is disconnected{}", because(why)),
        What::Reinstalled { .. } => "is installed anew: it has nothing".to_owned(),
        What::Send { conversation, message, intended_ns, bytes, reply_to, .. } => {
            let late_us = event.at_ns.saturating_sub(*intended_ns) / 1_000;
            let late = if late_us == 0 { String::new() } else { format!(", {} late", show_us(late_us)) };
            let reply = reply_to.map_or(String::new(), |message| format!(", answers {}", named(message)));
            let to = names.conversation(*conversation);
            format!("sends {} to {to} ({bytes} B{late}{reply})", named(*message))
        }
        What::Retry { message, .. } => format!("sends {} again", named(*message)),
        What::Accepted { message, seq, rung, .. } => {
            format!("is told: {} is {}{}", named(*message), rung.name(), position(*seq))
        }
        What::Rejected { message, code, .. } => {
            format!("is told: {} is refused{}", named(*message), because(code))
        }
        What::Unknown { message, why, .. } => {
            format!("gives {} up{}; it may have happened", named(*message), because(why))
        }
        What::Delivered { conversation, message, seq, redelivered, .. } => {
            let place = names.conversation(*conversation);
            format!("receives {}{} in {place}{}", named_or(*message), position(*seq), flag(*redelivered))
        }
        What::Suppressed { message, seq, redelivered, .. } => {
            format!("drops a copy of {}{}{}", named_or(*message), position(*seq), flag(*redelivered))
        }
        What::Acknowledged { up_to: Some(up_to), .. } => format!("acknowledges up to #{up_to}"),
        What::Acknowledged { message, .. } => format!("acknowledges {}", named_or(*message)),
        What::Read { up_to, .. } => format!("reads up to #{up_to}"),
        What::ReadConfirmed { up_to, .. } => format!("is told: read up to #{up_to} is stored"),
        What::Receipt { by, kind, up_to, .. } => {
            format!("is told: {} has #{up_to} ({})", names.device(*by), kind.name())
        }
        What::Gap { after, before, .. } => format!("misses what is between #{after} and #{before}"),
        What::ChainBroken { seq, .. } => format!("finds the chain broken at #{seq}"),
        What::PageRequested { after, .. } => format!("asks for history after #{after}"),
        What::Page { items, complete, .. } => {
            let end = if *complete { ", complete" } else { ", more follows" };
            format!("gets a page: {}{end}", list(items, item))
        }
        What::MembersChange { message, added, removed, .. } => {
            format!("asks for a change of members, {}: {}", named(*message), change(added, removed))
        }
        What::MembersChanged { seq, added, removed, .. } => {
            format!("sees a change of members{}: {}", position(*seq), change(added, removed))
        }
        What::FaultStarted { kind, target, .. } => format!("{kind} begins{}", because(target)),
        What::FaultFired { kind, device, frame, detail, .. } => {
            format!("{kind} hits frame {frame} of {}{}", names.device(*device), because(detail))
        }
        What::FaultEnded { evidence, .. } => format!("ends{}", because(evidence)),
        What::FaultSkipped { kind, why, .. } => format!("{kind} is skipped{}", because(why)),
        What::Node { state, .. } => state.clone(),
        What::Quiet { .. } => "is quiet: it knows of nothing outstanding".to_owned(),
        What::Drained { converged: true, .. } => "drained: everybody caught up".to_owned(),
        What::Drained { missing, .. } => format!("drained without convergence{}", because(missing)),
        What::Note { text } => text.clone(),
    }
}
