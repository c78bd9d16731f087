//! The plan's faults as seen by one device: which are active, and what they decide about a frame.

use std::sync::Arc;

use avouch_scenarios::keyed::{Purpose, below, decisions, draw};
use avouch_scenarios::plan::{
    CutHow, Direction, Edge, Fault, FrameTrigger, LinkFault, LinkVerb, PlannedFault, When,
};
use bytes::Bytes;

use super::deciding::{Decider, Deciding};
use super::delay;
use super::in_force::InForce;
use super::ordinals::Frame;
use super::seam::CLASSES;
use super::verbs::{fits_class, flip};
use super::{Piece, Settings, WAYS, Way, verb_name};

/// The delay that a fault adds.
const ADDED_DELAY: Purpose = Purpose::named("link-added-delay");
/// By how many frames a held frame is overtaken.
const OVERTAKEN: Purpose = Purpose::named("link-overtaken");
/// Which bit is flipped.
const BIT: Purpose = Purpose::named("link-bit");

/// Extra copies of one frame, however many a plan asks for.
const COPIES_MAX: u32 = 16;

/// The faults that concern one device.
#[derive(Debug)]
pub(super) struct Rules {
    seed: u64,
    device: u32,
    survives_frame_faults: bool,
    faults: Arc<[PlannedFault]>,
    /// Rising by fault id.
    own: Vec<Rule>,
    /// Rising by rule.
    active: Vec<Active>,
    pub(super) in_force: InForce,
    deciding: Deciding,
    is_armed: bool,
}

/// One of the plan's faults. A rule is named by its index among the device's rules.
#[derive(Debug)]
struct Rule {
    /// Index in the plan.
    at: usize,
    /// The fault acts on this link.
    is_on_link: bool,
    /// Its trigger watches this link.
    is_watching: bool,
    /// Frames seen by the trigger.
    seen: u64,
    /// Which frames it is about, of those that it concerns: up, down.
    deciders: [Decider; 2],
    /// Whether its verb and direction concern frames: up, down, by class.
    concerns: [[bool; 3]; 2],
    is_active: bool,
}

#[derive(Debug)]
struct Active {
    rule: usize,
    until_ns: Option<u64>,
    was_told: bool,
}

/// What the active faults decide about a frame.
#[derive(Debug, Default)]
pub(super) struct Fate {
    /// The connection ends in its place.
    pub(super) cut_before: Option<(usize, CutHow)>,
    /// The connection ends behind it.
    pub(super) cut_after: Option<(usize, CutHow)>,
    /// It vanishes.
    pub(super) is_lost: bool,
    /// It looks like this instead.
    pub(super) corrupted: Option<Bytes>,
    /// So many copies follow it.
    pub(super) copies: u32,
    /// A rule holds it until so many frames overtook it, at most for so many nanoseconds.
    pub(super) hold: Option<(usize, u32, u64)>,
    /// So much later.
    pub(super) added_ns: u64,
    /// In pieces no larger than this.
    pub(super) slice_bytes: Option<u32>,
    /// What is to be told.
    pub(super) fired: Vec<(usize, String)>,
}

impl Rules {
    /// Picks the faults that concern the device.
    pub(super) fn new(settings: Settings) -> Self {
        let Settings { seed, device, faults, survives_frame_faults, .. } = settings;
        let own = faults.iter().enumerate().filter_map(|(at, planned)| {
            let link = match &planned.fault {
                Fault::Link(link) if link.devices.contains(&device) => Some(link),
                _ => None,
            };
            let is_watching =
                matches!(&planned.when, When::OnFrame(trigger) if trigger.devices.contains(&device));
            let concerns = |way: Way, class| {
                link.is_some_and(|link| way.is_in(link.direction) && fits_class(link, class))
            };
            let decisions = |direction| decisions(seed, planned.key, device, direction);
            (link.is_some() || is_watching).then(|| Rule {
                at,
                is_on_link: link.is_some(),
                is_watching,
                seen: 0,
                deciders: [Direction::Up, Direction::Down].map(|way| Decider::of(link, decisions(way))),
                concerns: WAYS.map(|way| CLASSES.map(|class| concerns(way, class))),
                is_active: false,
            })
        });
        let own = own.collect();
        Self {
            seed,
            device,
            survives_frame_faults,
            own,
            faults,
            active: Vec::new(),
            in_force: InForce::default(),
            deciding: Deciding::default(),
            is_armed: false,
        }
    }

    /// Kinds whose frames are to be counted apart.
    pub(super) fn kinds(&self) -> Vec<String> {
        let on_link = self.own.iter().filter(|rule| rule.is_on_link);
        let mut kinds: Vec<String> = on_link
            .filter_map(|rule| match &self.faults[rule.at].fault {
                Fault::Link(link) => link.kind.clone(),
                Fault::Node(_) | Fault::Client(_) => None,
            })
            .collect();
        kinds.sort();
        kinds.dedup();
        kinds
    }

    /// Triggers count from now on, or not at all.
    pub(super) fn arm(&mut self, is_armed: bool) {
        self.is_armed = is_armed;
        self.own.iter_mut().for_each(|rule| rule.seen = 0);
    }

    /// A node fault is done; it comes once, so this link no longer watches for its frame.
    pub(super) fn retire(&mut self, fault: u32) {
        let faults = &self.faults;
        let rules = self.own.iter_mut().filter(|rule| faults[rule.at].id == fault && !rule.is_on_link);
        rules.for_each(|rule| rule.is_watching = false);
    }

    /// The frame that triggered a rule was lost before it left: the next of its kind is to do it.
    pub(super) fn give_back(&mut self, rule: usize) {
        let nth = self.trigger(rule).map_or(0, |trigger| trigger.nth);
        self.own[rule].seen = nth.saturating_sub(1);
    }

    /// Whether the rule's trigger still watches this link.
    pub(super) fn is_watching(&self, rule: usize) -> bool {
        self.own[rule].is_watching
    }

    /// A rule's fault.
    pub(super) fn planned(&self, rule: usize) -> &PlannedFault {
        &self.faults[self.own[rule].at]
    }

    /// The number of a rule's fault.
    pub(super) fn id(&self, rule: usize) -> u32 {
        self.planned(rule).id
    }

    /// A rule's fault, if it acts on this link.
    pub(super) fn on_link(&self, rule: usize) -> Option<&LinkFault> {
        match &self.planned(rule).fault {
            Fault::Link(link) if self.own[rule].is_on_link => Some(link),
            _ => None,
        }
    }

    /// The rule of a fault that acts on this link.
    pub(super) fn find_on_link(&self, fault: u32) -> Option<usize> {
        (0..self.own.len()).find(|&rule| self.own[rule].is_on_link && self.id(rule) == fault)
    }

    /// A rule's trigger.
    pub(super) fn trigger(&self, rule: usize) -> Option<&FrameTrigger> {
        match &self.planned(rule).when {
            When::OnFrame(trigger) => Some(trigger),
            When::At { .. } => None,
        }
    }

    /// Counts a frame that enters; the rules whose frame it is.
    pub(super) fn count_triggers(&mut self, way: Way, kind: Option<&str>) -> Vec<usize> {
        let mut reached = Vec::new();
        let (true, Some(kind)) = (self.is_armed, kind) else { return reached };
        for (index, rule) in self.own.iter_mut().enumerate().filter(|(_, rule)| rule.is_watching) {
            let planned = &self.faults[rule.at];
            let When::OnFrame(trigger) = &planned.when else { continue };
            let is_this_way = match &planned.fault {
                Fault::Link(link) => way.is_in(link.direction),
                Fault::Node(_) | Fault::Client(_) => true,
            };
            if trigger.kind == kind && is_this_way {
                rule.seen += 1;
                if rule.seen == trigger.nth {
                    reached.push(index);
                }
            }
        }
        reached
    }

    /// Makes a rule active; `false` if it already was (its end is then moved).
    pub(super) fn begin(&mut self, rule: usize, until_ns: Option<u64>) -> bool {
        let place = self.active.binary_search_by_key(&rule, |active| active.rule);
        match place {
            Ok(at) => self.active[at].until_ns = until_ns,
            Err(at) => self.active.insert(at, Active { rule, until_ns, was_told: false }),
        }
        self.sum_up();
        place.is_err()
    }

    /// Makes a rule inactive.
    pub(super) fn end(&mut self, rule: usize) {
        self.active.retain(|active| active.rule != rule);
        self.sum_up();
    }

    /// After a change of what is active.
    fn sum_up(&mut self) {
        self.deciding.forget();
        for (rule, own) in self.own.iter_mut().enumerate() {
            own.is_active = self.active.iter().any(|active| active.rule == rule);
            if own.is_active {
                self.deciding.add(rule, own.concerns, &own.deciders);
            }
        }
        let active = self.active.iter().map(|active| (active.until_ns, self.on_link(active.rule)));
        self.in_force = InForce::of(active);
    }

    /// Any active rule.
    pub(super) fn any_active(&self) -> Option<usize> {
        self.active.first().map(|active| active.rule)
    }

    /// Whether anything active decides about a frame.
    pub(super) fn touch(&self, frame: &Frame) -> bool {
        let mut deciders = self.deciding.on(frame).iter();
        self.in_force.on(frame.way).has_byte_cuts
            || deciders.any(|(rule, it)| it.hits(frame) && (!it.names_kind || self.names(*rule, frame)))
    }

    /// An active rule whose time is over.
    pub(super) fn expired(&self, now_ns: u64) -> Option<usize> {
        if self.in_force.next_expiry_ns.is_none_or(|at_ns| at_ns > now_ns) {
            return None;
        }
        let is_over = |active: &&Active| active.until_ns.is_some_and(|until_ns| until_ns <= now_ns);
        self.active.iter().find(is_over).map(|active| active.rule)
    }

    /// The first active link fault that fits.
    pub(super) fn active_verb(&self, fits: impl Fn(&LinkFault) -> bool) -> Option<usize> {
        self.active_links().find(|(_, link)| fits(link)).map(|(rule, _)| rule)
    }

    /// The first active link fault on a way whose verb fits.
    pub(super) fn active_on(&self, way: Way, fits: impl Fn(&LinkVerb) -> bool) -> Option<usize> {
        self.active_verb(|link| way.is_in(link.direction) && fits(&link.verb))
    }

    /// The active cut that falls first into the next bytes of a connection, and after how many of them.
    pub(super) fn cut_at_byte(&self, way: Way, read: u64, more: u64) -> Option<(usize, CutHow, u64)> {
        if !self.in_force.on(way).has_byte_cuts {
            return None;
        }
        let on_way = self.active_links().filter(|(_, link)| way.is_in(link.direction));
        on_way
            .filter_map(|(rule, link)| match link.verb {
                LinkVerb::Cut { how, at_byte: Some(at), .. } => {
                    let is_here = (at > read || (at == 0 && read == 0)) && at <= read + more;
                    is_here.then(|| (rule, how, at - read))
                }
                _ => None,
            })
            .min_by_key(|(_, _, after)| *after)
    }

    /// The ordinal by which a rule names a frame.
    pub(super) fn ordinal(&self, rule: usize, frame: &Frame) -> u64 {
        frame.named_by(self.own[rule].deciders[0].names_kind)
    }

    /// What happens to a frame. `forced` rules hit it whatever their probability.
    pub(super) fn decide(&mut self, frame: &Frame, piece: &Piece, forced: &[usize]) -> Fate {
        let mut fate = Fate::default();
        for rule in 0..self.own.len() {
            let is_forced = forced.contains(&rule);
            if (is_forced || self.own[rule].is_active)
                && self.applies(rule, frame, is_forced)
                && self.apply(rule, frame, piece, &mut fate)
            {
                break;
            }
        }
        fate
    }

    fn active_links(&self) -> impl Iterator<Item = (usize, &LinkFault)> {
        self.active.iter().filter_map(|active| Some((active.rule, self.on_link(active.rule)?)))
    }

    fn applies(&self, rule: usize, frame: &Frame, is_forced: bool) -> bool {
        let own = &self.own[rule];
        if is_forced {
            return self.on_link(rule).is_some_and(|link| fits_class(link, frame.class));
        }
        let decider = &own.deciders[frame.way.index()];
        own.concerns[frame.way.index()][frame.class as usize]
            && (!decider.names_kind || self.names(rule, frame))
            && decider.hits(frame)
    }

    /// Whether the rule names the frame's kind.
    fn names(&self, rule: usize, frame: &Frame) -> bool {
        self.on_link(rule).is_some_and(|link| link.kind.as_deref() == frame.kind)
    }

    /// A number for a detail of a decision.
    fn number(&self, rule: usize, frame: &Frame, purpose: Purpose) -> u64 {
        let way = (frame.way as u64) | (frame.class as u64) << 8;
        let place = frame.place(self.own[rule].deciders[0].names_kind);
        let key = [self.planned(rule).key, u64::from(self.device), way, place];
        draw(self.seed, purpose, &key)
    }

    /// Carries one rule into the fate; `true` if nothing else matters then.
    fn apply(&mut self, rule: usize, frame: &Frame, piece: &Piece, fate: &mut Fate) -> bool {
        let Some(verb) = self.on_link(rule).map(|link| link.verb) else { return false };
        let what = frame.kind.unwrap_or("frame");
        let bytes = piece.bytes.len();
        match verb {
            LinkVerb::Delay { delay } => {
                fate.added_ns += delay::ns(delay, self.number(rule, frame, ADDED_DELAY));
                self.tell_once(rule, fate);
            }
            LinkVerb::Rate { .. } => self.tell_once(rule, fate),
            LinkVerb::Slice { bytes } => {
                fate.slice_bytes = Some(fate.slice_bytes.map_or(bytes, |other| other.min(bytes)));
                self.tell_once(rule, fate);
            }
            LinkVerb::Cut { how, edge: Edge::Before, .. } => fate.cut_before = Some((rule, how)),
            LinkVerb::Cut { how, edge: Edge::After, .. } => fate.cut_after = Some((rule, how)),
            LinkVerb::Drop if self.survives_frame_faults => {
                fate.is_lost = true;
                fate.fired.push((rule, format!("{what} of {bytes} bytes vanished")));
            }
            LinkVerb::Drop => fate.cut_before = Some((rule, CutHow::Rst)),
            LinkVerb::Duplicate { copies } if self.survives_frame_faults => {
                fate.copies = copies.min(COPIES_MAX);
                fate.fired.push((rule, format!("{what} of {bytes} bytes passed {} times", 1 + fate.copies)));
            }
            LinkVerb::Reorder { window, hold_ns_max } if self.survives_frame_faults => {
                let overtakers =
                    1 + below(self.number(rule, frame, OVERTAKEN), u64::from(window.max(1))) as u32;
                fate.hold = Some((rule, overtakers, hold_ns_max));
            }
            LinkVerb::Corrupt if self.survives_frame_faults => {
                if let Some((bytes, bit)) = flip(piece, self.number(rule, frame, BIT)) {
                    fate.corrupted = Some(bytes);
                    fate.fired.push((rule, format!("bit {bit} of the payload of a {what} was flipped")));
                }
            }
            _ => {}
        }
        fate.is_lost || fate.cut_before.is_some() || fate.cut_after.is_some() || fate.hold.is_some()
    }

    /// Delay, rate and slice touch every frame: telling of the first is evidence enough.
    fn tell_once(&mut self, rule: usize, fate: &mut Fate) {
        let name = self.on_link(rule).map_or("", |link| verb_name(&link.verb));
        let active = self.active.iter_mut().find(|active| active.rule == rule);
        if active.is_none_or(|active| !std::mem::replace(&mut active.was_told, true)) {
            fate.fired.push((rule, format!("{name} touches this frame first")));
        }
    }
}
