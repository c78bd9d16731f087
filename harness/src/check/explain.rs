//! The second pass: finds, in the stored history, the few events that show a finding.
//!
//! The first pass keeps no events. A finding names a conversation, a device and a message, and its timeline may hold the
//! event that showed it; from these follows what belongs to the story: how the messages were sent and answered, where
//! they arrived, the sessions of the device around it, the faults and nodes around it, and the end of the drain.

use std::collections::{BTreeMap, BTreeSet};

use avouch_reports::history::{Device, Event, Message, What};
use avouch_reports::verdict::{Finding, Judgement};

/// Events per timeline.
pub const TIMELINE_EVENTS_MAX: usize = 40;
/// Of these: arrivals on devices that the finding is not about.
const ELSEWHERE_MAX: usize = 6;
/// Of these: sessions and connections.
const SESSIONS_MAX: usize = 10;
/// Of these: faults and nodes.
const FAULTS_MAX: usize = 10;

/// What one finding collects.
struct Story {
    messages: BTreeSet<Message>,
    device: Option<Device>,
    /// The event that showed it: nothing later belongs to the story.
    trigger: Option<Event>,
    timeline: Vec<Event>,
    begun: bool,
    elsewhere: usize,
    sessions: usize,
    faults: usize,
}

/// Fills the timelines of all findings, from the same history that was judged. Memory: at most
/// [`TIMELINE_EVENTS_MAX`] events per finding, and the faults that are active.
pub fn explain(judgements: &mut [Judgement], events: &mut dyn Iterator<Item = Event>) {
    let mut stories: Vec<Story> = judgements.iter().flat_map(|j| &j.findings).map(Story::of).collect();
    if stories.is_empty() {
        return;
    }
    let mut background = Background::default();
    for event in events {
        for story in &mut stories {
            story.observe(&event, &background);
        }
        background.observe(&event);
    }
    let findings = judgements.iter_mut().flat_map(|j| &mut j.findings);
    for (finding, story) in findings.zip(stories) {
        finding.timeline = story.finish();
    }
}

/// What was the case before a story begins: the last session event of each device, active faults, state of nodes, the phase.
#[derive(Default)]
struct Background {
    sessions: BTreeMap<Device, Event>,
    faults: BTreeMap<u32, Event>,
    nodes: BTreeMap<String, Event>,
    /// The beginning of the phase: a scenario's times count from that of the workload.
    phase: Option<Event>,
}

impl Background {
    fn observe(&mut self, event: &Event) {
        match &event.what {
            What::Session { device, .. } | What::Disconnected { device, .. } => {
                self.sessions.insert(*device, event.clone());
            }
            What::FaultStarted { id, .. } => {
                self.faults.insert(*id, event.clone());
            }
            What::FaultEnded { id, .. } => {
                self.faults.remove(id);
            }
            What::Node { node, state }
                if matches!(state.as_str(), "killed" | "paused" | "stopped" | "power lost" | "died") =>
            {
                self.nodes.insert(node.clone(), event.clone());
            }
            What::Node { node, .. } => {
                self.nodes.remove(node);
            }
            What::Phase { .. } => self.phase = Some(event.clone()),
            _ => {}
        }
    }
}

impl Story {
    fn of(finding: &Finding) -> Self {
        let mut messages: BTreeSet<Message> = finding.message.into_iter().collect();
        messages.extend(finding.timeline.first().and_then(named));
        Self {
            messages,
            device: finding.device,
            trigger: finding.timeline.first().cloned(),
            timeline: Vec::new(),
            begun: false,
            elsewhere: 0,
            sessions: 0,
            faults: 0,
        }
    }

    fn observe(&mut self, event: &Event, background: &Background) {
        // Every finding with a message begins with it; one without begins with the event that showed it.
        let late = self.trigger.as_ref().is_some_and(|trigger| event.at_ns > trigger.at_ns);
        if late || self.timeline.len() >= TIMELINE_EVENTS_MAX {
            return;
        }
        let related = named(event).is_some_and(|m| self.messages.contains(&m));
        let showed = self.trigger.as_ref() == Some(event);
        if !self.begun && !related && !showed {
            return;
        }
        if !self.begun {
            self.begun = true;
            self.timeline.extend(self.device.and_then(|d| background.sessions.get(&d)).cloned());
            self.timeline.extend(background.faults.values().take(FAULTS_MAX).cloned());
            self.timeline.extend(background.phase.clone());
            self.timeline.extend(background.nodes.values().take(FAULTS_MAX).cloned());
            self.timeline.sort_by_key(|e| e.at_ns);
        }
        let device = who(event);
        let here = device.is_some() && device == self.device;
        let take = match &event.what {
            _ if showed => true,
            What::Delivered { .. } | What::Suppressed { .. } if related && !here && self.device.is_some() => {
                self.elsewhere += 1;
                self.elsewhere <= ELSEWHERE_MAX
            }
            What::Page { .. } => false,
            _ if related => true,
            What::Session { .. } | What::Disconnected { .. } | What::Gap { .. } | What::Quiet { .. }
                if here =>
            {
                self.sessions += 1;
                self.sessions <= SESSIONS_MAX
            }
            What::FaultFired { .. } if !here => false,
            What::FaultStarted { .. }
            | What::FaultEnded { .. }
            | What::FaultFired { .. }
            | What::Node { .. } => {
                self.faults += 1;
                self.faults <= FAULTS_MAX
            }
            What::Drained { .. } | What::Phase { .. } => self.trigger.is_none(),
            _ => false,
        };
        if take {
            self.timeline.push(event.clone());
        }
    }

    fn finish(mut self) -> Vec<Event> {
        if let Some(trigger) = self.trigger
            && !self.timeline.contains(&trigger)
        {
            self.timeline.truncate(TIMELINE_EVENTS_MAX - 1);
            self.timeline.push(trigger);
        }
        // A fault that begins because of a frame is recorded when it has hit that frame.
        self.timeline.sort_by_key(|event| (event.at_ns, !matches!(event.what, What::FaultStarted { .. })));
        self.timeline
    }
}

/// The message that an event is about.
fn named(event: &Event) -> Option<Message> {
    match &event.what {
        What::Send { message, .. }
        | What::Retry { message, .. }
        | What::Accepted { message, .. }
        | What::Rejected { message, .. }
        | What::Unknown { message, .. }
        | What::MembersChange { message, .. } => Some(*message),
        What::Delivered { message, .. }
        | What::Suppressed { message, .. }
        | What::Acknowledged { message, .. } => *message,
        _ => None,
    }
}

/// The device that an event happened on.
fn who(event: &Event) -> Option<Device> {
    match &event.what {
        What::Session { device, .. }
        | What::Disconnected { device, .. }
        | What::Delivered { device, .. }
        | What::Suppressed { device, .. }
        | What::Gap { device, .. }
        | What::Quiet { device }
        | What::FaultFired { device, .. } => Some(*device),
        _ => None,
    }
}
