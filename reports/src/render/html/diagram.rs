//! The sequence diagram of a finding: sender, servers and recipients as lanes, and a row per event with what it was in words.
//!
//! A history holds what clients saw. So an arrow stands at the time at which a client sent or received, and says nothing of
//! how long it was on its way.

use std::collections::BTreeSet;

use super::event_words::{LEFT_OUT, NEVER_RECEIVES, Sentence, named, sentence};
use super::markup::Markup;
use super::words;
use crate::escape::shortened;
use crate::history::{Device, Event, Names, What};
use crate::timeline::TIMELINE_ROWS_MAX;
use crate::verdict::Finding;

/// Most lanes; who has none still has rows.
pub(super) const LANES_MAX: usize = 10;
/// Widths by count of lanes are classes of the style sheet, `w1` to `w10`: a page has no inline styles.
const WIDTH_CLASSES: [&str; LANES_MAX] = ["w1", "w2", "w3", "w4", "w5", "w6", "w7", "w8", "w9", "w10"];
const LANE_WIDTH: f64 = 86.0;
/// Rows are drawn this much higher than they are, so that lines meet where text makes a row higher.
const OVERHANG: f64 = 60.0;
const ROW_HEIGHT: f64 = 28.0;
const MIDDLE: f64 = ROW_HEIGHT / 2.0;
/// Longest name at a lane, in bytes.
const NAME_BYTES_MAX: usize = 14;
/// The server's lane where the evidence names no node.
const SERVER: &str = "server";

#[derive(Clone, Debug, PartialEq, Eq)]
enum Who {
    Device(Device),
    Node(String),
}

struct Lane {
    who: Who,
    is_sender: bool,
    /// Connected, or running.
    is_up: bool,
}

/// What a row draws.
enum Mark {
    Arrow { from: usize, to: usize, label: String, is_missing: bool },
    Point { lane: usize, symbol: &'static str },
    Nothing,
}

/// Lanes and their states while the rows go by.
struct Diagram<'a> {
    names: &'a Names,
    lanes: Vec<Lane>,
    faults: BTreeSet<u32>,
}

/// Draws a finding.
pub(super) fn diagram(finding: &Finding, names: &Names, markup: &mut Markup) {
    let events = &finding.timeline;
    let mut diagram = Diagram { names, lanes: lanes(finding), faults: BTreeSet::new() };
    let origin_ns = events
        .iter()
        .find(|event| matches!(event.what, What::Send { .. }))
        .or(events.first())
        .map_or(0, |event| event.at_ns);
    markup.raw("<div class=\"diagram ").raw(WIDTH_CLASSES[diagram.lanes.len().clamp(1, LANES_MAX) - 1]);
    markup.raw("\" role=\"table\"><div class=\"row head\" role=\"row\">");
    markup.raw("<div role=\"columnheader\">").say(words::TIME, &[]).raw("</div>");
    markup.raw("<div role=\"columnheader\" class=\"lanes\">");
    diagram.heads(markup);
    markup.raw("</div><div role=\"columnheader\">").say(words::WHAT, &[]).raw("</div></div>");
    let half = TIMELINE_ROWS_MAX / 2;
    let left_out = events.len().saturating_sub(TIMELINE_ROWS_MAX);
    for (number, event) in events.iter().enumerate() {
        let is_left_out = left_out > 0 && (half..half + left_out).contains(&number);
        if is_left_out {
            diagram.pass(event);
            if number == half {
                let said = Sentence::new(LEFT_OUT, &[&left_out.to_string()]);
                diagram
                    .row(&Row { when: None, class: "row gap", said, mark: Mark::Nothing, of: None }, markup);
            }
        } else {
            diagram.event(event, origin_ns, markup);
        }
    }
    diagram.missing(finding, markup);
    markup.raw("</div>");
}

/// Who takes part: senders, then servers, then everybody else, each in the order of appearance.
fn lanes(finding: &Finding) -> Vec<Lane> {
    let (mut senders, mut nodes, mut others): (Vec<Who>, Vec<Who>, Vec<Who>) = Default::default();
    let mut add = |list: u8, who: Who| {
        let list = match list {
            0 => &mut senders,
            1 => &mut nodes,
            _ => &mut others,
        };
        if !list.contains(&who) {
            list.push(who);
        }
    };
    for event in &finding.timeline {
        match &event.what {
            What::Send { device, .. } | What::Retry { device, .. } => add(0, Who::Device(*device)),
            What::Node { node, .. } => add(1, Who::Node(node.clone())),
            What::Device { .. } => {}
            what => what.device().into_iter().for_each(|device| add(2, Who::Device(device))),
        }
    }
    finding.device.into_iter().for_each(|device| add(2, Who::Device(device)));
    if nodes.is_empty() {
        nodes.push(Who::Node(SERVER.to_owned()));
    }
    others.retain(|who| !senders.contains(who));
    let lane = |is_sender| move |who| Lane { who, is_sender, is_up: true };
    let mut lanes: Vec<Lane> = senders.into_iter().map(lane(true)).collect();
    lanes.truncate(LANES_MAX - 2);
    lanes.extend(nodes.into_iter().map(lane(false)));
    lanes.truncate(LANES_MAX - 1);
    lanes.extend(others.into_iter().map(lane(false)));
    lanes.truncate(LANES_MAX);
    lanes
}

struct Row<'a> {
    /// Relative to the finding's first send, and since the run began.
    when: Option<(i64, u64)>,
    class: &'static str,
    said: Sentence,
    mark: Mark,
    /// The device that a filter finds.
    of: Option<&'a Who>,
}

impl Diagram<'_> {
    fn width(&self) -> f64 {
        LANE_WIDTH * self.lanes.len() as f64
    }

    fn place(lane: usize) -> f64 {
        LANE_WIDTH * (lane as f64 + 0.5)
    }

    fn heads(&self, markup: &mut Markup) {
        markup.raw("<svg aria-hidden=\"true\" viewBox=\"0 0 ").number(self.width()).raw(" 34\">");
        for (number, lane) in self.lanes.iter().enumerate() {
            let name = self.name(&lane.who);
            let (class, role) = match (&lane.who, lane.is_sender) {
                (Who::Node(_), _) => ("lane node", words::SERVER),
                (Who::Device(_), true) => ("lane sender", words::SENDER),
                (Who::Device(_), false) => ("lane recipient", words::RECIPIENT),
            };
            let x = Self::place(number);
            markup.raw("<g><title>").text(&name).raw("</title><rect rx=\"5\"").attribute("class", class);
            markup
                .number_attribute("x", x - LANE_WIDTH / 2.0 + 3.0)
                .number_attribute("width", LANE_WIDTH - 6.0);
            markup.raw(" y=\"1\" height=\"32\"/><text class=\"lanename\" text-anchor=\"middle\" y=\"15\"");
            markup.number_attribute("x", x).raw(">").text(&shortened(&name, NAME_BYTES_MAX)).raw("</text>");
            markup.raw("<text class=\"lanerole\" text-anchor=\"middle\" y=\"27\"").number_attribute("x", x);
            markup.raw(">").say_in_svg(role, &[]).raw("</text></g>");
        }
        markup.raw("</svg>");
    }

    fn name(&self, who: &Who) -> String {
        match who {
            Who::Device(device) => self.names.device(*device),
            Who::Node(node) => node.clone(),
        }
    }

    fn lane(&self, who: &Who) -> Option<usize> {
        self.lanes.iter().position(|lane| lane.who == *who)
    }

    /// The lane of the server that a message passes: the first.
    fn server(&self) -> Option<usize> {
        self.lanes.iter().position(|lane| matches!(lane.who, Who::Node(_)))
    }

    fn event(&mut self, event: &Event, origin_ns: u64, markup: &mut Markup) {
        let is_fault = matches!(
            event.what,
            What::FaultStarted { .. }
                | What::FaultFired { .. }
                | What::FaultEnded { .. }
                | What::FaultSkipped { .. }
                | What::Node { .. }
        );
        // A fault's first row is within it already, its last one still is.
        if matches!(event.what, What::FaultStarted { .. }) {
            self.pass(event);
        }
        let who = event.what.device().map(Who::Device);
        let relative_ns = event.at_ns as i64 - origin_ns as i64;
        let row = Row {
            when: Some((relative_ns, event.at_ns)),
            class: if is_fault { "row of-fault" } else { "row" },
            said: sentence(event, self.names),
            mark: self.mark(event),
            of: who.as_ref(),
        };
        self.row_with_name(&row, &event.what, markup);
        self.pass(event);
    }

    /// Takes note of what an event changes.
    fn pass(&mut self, event: &Event) {
        match &event.what {
            What::FaultStarted { id, .. } => {
                self.faults.insert(*id);
            }
            What::FaultEnded { id, .. } => {
                self.faults.remove(id);
            }
            What::Session { device, .. } => self.set(&Who::Device(*device), true),
            What::Disconnected { device, .. } => self.set(&Who::Device(*device), false),
            What::Node { node, state } => {
                let is_up = matches!(state.as_str(), "started" | "ready" | "resumed");
                self.set(&Who::Node(node.clone()), is_up);
            }
            _ => {}
        }
    }

    fn set(&mut self, who: &Who, is_up: bool) {
        if let Some(lane) = self.lane(who) {
            self.lanes[lane].is_up = is_up;
        }
    }

    fn mark(&self, event: &Event) -> Mark {
        let (what, server) = (&event.what, self.server());
        if let What::Node { node, state } = what {
            let symbol =
                if matches!(state.as_str(), "started" | "ready" | "resumed") { "●" } else { "✖" };
            let lane = self.lane(&Who::Node(node.clone()));
            return lane.map_or(Mark::Nothing, |lane| Mark::Point { lane, symbol });
        }
        let lane = what.device().and_then(|device| self.lane(&Who::Device(device)));
        let (Some(lane), Some(server)) = (lane, server) else { return Mark::Nothing };
        let label = what.message().map_or(String::new(), named);
        let arrow = |from, to, label| Mark::Arrow { from, to, label, is_missing: false };
        match what {
            What::Send { .. }
            | What::Retry { .. }
            | What::Acknowledged { .. }
            | What::Read { .. }
            | What::PageRequested { .. }
            | What::MembersChange { .. } => arrow(lane, server, label),
            What::Accepted { .. }
            | What::Rejected { .. }
            | What::Delivered { .. }
            | What::Suppressed { .. }
            | What::ReadConfirmed { .. }
            | What::Receipt { .. }
            | What::Page { .. }
            | What::MembersChanged { .. } => arrow(server, lane, label),
            What::Unknown { .. } | What::Gap { .. } => Mark::Point { lane, symbol: "?" },
            What::Disconnected { .. } | What::ChainBroken { .. } => Mark::Point { lane, symbol: "✖" },
            What::FaultFired { .. } => Mark::Point { lane, symbol: "⚡" },
            _ => Mark::Point { lane, symbol: "●" },
        }
    }

    /// What should have come and did not.
    fn missing(&self, finding: &Finding, markup: &mut Markup) {
        let (Some(device), Some(message)) = (finding.device, finding.message) else { return };
        let has_arrived = finding.timeline.iter().any(|event| {
            let is_arrival = matches!(event.what, What::Delivered { .. } | What::Suppressed { .. });
            is_arrival && event.what.device() == Some(device) && event.what.message() == Some(message)
        });
        if has_arrived || !matches!(finding.anomaly.as_str(), "lost" | "unseen") {
            return;
        }
        let who = Who::Device(device);
        let mark = match (self.server(), self.lane(&who)) {
            (Some(from), Some(to)) => Mark::Arrow { from, to, label: named(message), is_missing: true },
            _ => Mark::Nothing,
        };
        let said = Sentence::new(NEVER_RECEIVES, &[&named(message)]);
        let row = Row { when: None, class: "row missing", said, mark, of: Some(&who) };
        self.named_row(&row, &self.name(&who), markup);
    }

    fn row_with_name(&self, row: &Row<'_>, what: &What, markup: &mut Markup) {
        let name = match (what, row.of) {
            (What::Node { node, .. }, _) => node.clone(),
            (
                What::FaultStarted { id, .. }
                | What::FaultFired { id, .. }
                | What::FaultEnded { id, .. }
                | What::FaultSkipped { id, .. },
                _,
            ) => format!("F{id}"),
            (_, Some(who)) => self.name(who),
            _ => String::new(),
        };
        self.named_row(row, &name, markup);
    }

    fn row(&self, row: &Row<'_>, markup: &mut Markup) {
        self.named_row(row, "", markup);
    }

    fn named_row(&self, row: &Row<'_>, name: &str, markup: &mut Markup) {
        markup.raw("<div role=\"row\" class=\"").raw(row.class);
        if !self.faults.is_empty() {
            markup.raw(" in-fault");
        }
        markup.raw("\"");
        if let Some(Who::Device(device)) = row.of {
            markup.attribute("data-device", &device.0.to_string());
        }
        markup.raw("><div role=\"cell\" class=\"when\"");
        if let Some((relative_ns, at_ns)) = row.when {
            markup.attribute("title", &format!("{:.6} s", at_ns as f64 / 1e9)).raw(">");
            markup.text(&format!("{:+.3} ms", relative_ns as f64 / 1e6));
        } else {
            markup.raw(">");
        }
        markup.raw("</div><div role=\"cell\" class=\"lanes\">");
        self.drawing(&row.mark, markup);
        markup.raw("</div><div role=\"cell\" class=\"said\">");
        if !name.is_empty() {
            markup.raw("<b>").text(&shortened(name, 64)).raw("</b> ");
        }
        let [english, chinese] = row.said.in_both().map(|text| shortened(&text, SAID_BYTES_MAX).into_owned());
        markup.both_texts(&english, &chinese);
        if !self.faults.is_empty() && row.class == "row" {
            let list: Vec<String> = self.faults.iter().map(|id| format!("F{id}")).collect();
            let list = list.join(", ");
            markup
                .raw(" <small class=\"chip\" aria-hidden=\"true\">")
                .text(&list)
                .raw("</small><span class=\"hidden\">");
            markup.say(words::DURING, &[&list]).raw("</span>");
        }
        markup.raw("</div></div>");
    }

    fn drawing(&self, mark: &Mark, markup: &mut Markup) {
        markup.raw("<svg aria-hidden=\"true\" viewBox=\"0 ").number(-OVERHANG).raw(" ").number(self.width());
        markup.raw(" ").number(ROW_HEIGHT + 2.0 * OVERHANG).raw("\">");
        for (is_up, class) in [(true, "life"), (false, "life down")] {
            let lanes: Vec<usize> =
                (0..self.lanes.len()).filter(|lane| self.lanes[*lane].is_up == is_up).collect();
            if lanes.is_empty() {
                continue;
            }
            markup.raw("<path").attribute("class", class).raw(" d=\"");
            for lane in lanes {
                markup.raw("M").number(Self::place(lane)).raw(" ").number(-OVERHANG);
                markup.raw("V").number(ROW_HEIGHT + OVERHANG);
            }
            markup.raw("\"/>");
        }
        match mark {
            Mark::Arrow { from, to, label, is_missing } => arrow(*from, *to, label, *is_missing, markup),
            Mark::Point { lane, symbol } => {
                markup.raw("<text class=\"point\" text-anchor=\"middle\"");
                markup.number_attribute("x", Self::place(*lane)).number_attribute("y", MIDDLE + 5.0).raw(">");
                markup.raw(symbol).raw("</text>");
            }
            Mark::Nothing => {}
        }
        markup.raw("</svg>");
    }
}

/// Longest sentence of a row, in bytes.
const SAID_BYTES_MAX: usize = 300;

fn arrow(from: usize, to: usize, label: &str, is_missing: bool, markup: &mut Markup) {
    let (from, to) = (Diagram::place(from), Diagram::place(to));
    let towards = if to > from { 1.0 } else { -1.0 };
    let end = if is_missing { to - towards * 22.0 } else { to };
    markup.raw(if is_missing { "<path class=\"arrow lost\" d=\"M" } else { "<path class=\"arrow\" d=\"M" });
    markup.number(from).raw(" ").number(MIDDLE).raw("H").number(end - towards * 3.0).raw("\"/>");
    if is_missing {
        markup
            .raw("<text class=\"point lost\" text-anchor=\"middle\"")
            .number_attribute("x", end + towards * 5.0);
        markup.number_attribute("y", MIDDLE + 5.0).raw(">✖</text>");
    } else {
        markup.raw("<path class=\"arrowhead\" d=\"M").number(end).raw(" ").number(MIDDLE).raw("l");
        markup.number(-towards * 8.0).raw(" -4v8z\"/>");
    }
    if !label.is_empty() {
        markup.raw("<text class=\"arrowlabel\" text-anchor=\"middle\"");
        markup.number_attribute("x", f64::midpoint(from, to)).number_attribute("y", MIDDLE - 4.0).raw(">");
        markup.text(&shortened(label, NAME_BYTES_MAX)).raw("</text>");
    }
}
