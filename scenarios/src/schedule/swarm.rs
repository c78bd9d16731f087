//! Which fault kinds and which habits a schedule has at all.

use super::dice::Dice;
use crate::verbs::FAULT_KINDS;

/// What a crowd may do, or may have to live with, beside sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Feature {
    /// Messages answer others.
    Replies,
    /// Devices mark what they receive as read.
    ReadMarks,
    /// History is read page by page.
    HistoryReads,
    /// Users join and leave.
    MembershipChanges,
    /// A device connects for the first time in the middle.
    NewDevices,
    /// A device loses its local state.
    Reinstalls,
    /// Devices leave, write meanwhile, and come back.
    Away,
    /// Two devices of each user.
    SeveralDevices,
    /// More than one conversation.
    SeveralConversations,
    /// Many messages at one moment.
    Bursts,
    /// Payloads of sizes at which buffers end.
    OddSizes,
    /// Windows and pages of the server so small that few messages reach their ends.
    SmallSettings,
    /// The server's timers at their defaults instead of short ones.
    SlowTimers,
    /// A mobile network instead of a local one.
    SlowNetwork,
    /// Sends are given up after a while.
    GiveUp,
    /// After the chaos, somebody is not healed, and the others have to go on.
    Abandoned,
    /// Some clients are stopped one by one and restored in another order.
    Swizzle,
    /// Faults come around rare moments: a certain frame, a resumption, a takeover.
    RareMoments,
}

impl Feature {
    /// All of them.
    pub const ALL: [Self; 18] = [
        Self::Replies,
        Self::ReadMarks,
        Self::HistoryReads,
        Self::MembershipChanges,
        Self::NewDevices,
        Self::Reinstalls,
        Self::Away,
        Self::SeveralDevices,
        Self::SeveralConversations,
        Self::Bursts,
        Self::OddSizes,
        Self::SmallSettings,
        Self::SlowTimers,
        Self::SlowNetwork,
        Self::GiveUp,
        Self::Abandoned,
        Self::Swizzle,
        Self::RareMoments,
    ];

    /// In a word or two, for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Replies => "replies",
            Self::ReadMarks => "read-marks",
            Self::HistoryReads => "history-reads",
            Self::MembershipChanges => "membership-changes",
            Self::NewDevices => "new-devices",
            Self::Reinstalls => "reinstalls",
            Self::Away => "away",
            Self::SeveralDevices => "several-devices",
            Self::SeveralConversations => "several-conversations",
            Self::Bursts => "bursts",
            Self::OddSizes => "odd-sizes",
            Self::SmallSettings => "small-settings",
            Self::SlowTimers => "slow-timers",
            Self::SlowNetwork => "slow-network",
            Self::GiveUp => "give-up",
            Self::Abandoned => "abandoned",
            Self::Swizzle => "swizzle",
            Self::RareMoments => "rare-moments",
        }
    }

    /// In how many schedules out of a hundred it is on.
    fn percent(self) -> u32 {
        match self {
            Self::RareMoments => 70,
            Self::SmallSettings | Self::ReadMarks => 50,
            Self::SlowTimers | Self::SlowNetwork | Self::GiveUp | Self::Abandoned | Self::Swizzle => 15,
            _ => 35,
        }
    }
}

/// How many fault kinds out of a hundred are on; one of these is drawn for each schedule, so that there are schedules
/// with nearly all kinds, and schedules in which one or two kinds have the time to themselves.
const KINDS_ON_PERCENT: [u32; 4] = [8, 20, 40, 80];

/// What is on.
#[derive(Clone, Debug)]
pub(super) struct Swarm {
    features: Vec<Feature>,
    kinds: Vec<&'static str>,
}

impl Swarm {
    /// Draws the mask.
    pub(super) fn draw(dice: Dice) -> Self {
        let feature = |feature: &Feature| {
            dice.of("explore-mask-feature", &[*feature as u64]).percent(feature.percent())
        };
        let percent = dice.of("explore-mask-density", &[]).pick(&KINDS_ON_PERCENT);
        let mut kinds: Vec<&'static str> = (FAULT_KINDS.iter().enumerate())
            .filter(|(index, _)| dice.of("explore-mask-kind", &[*index as u64]).percent(percent))
            .map(|(_, kind)| kind.name)
            .collect();
        if kinds.is_empty() {
            kinds.push(dice.of("explore-mask-only-kind", &[]).pick(&FAULT_KINDS).name);
        }
        Self { features: Feature::ALL.into_iter().filter(feature).collect(), kinds }
    }

    /// Whether a feature is on.
    pub(super) fn has(&self, feature: Feature) -> bool {
        self.features.contains(&feature)
    }

    /// Features that are on.
    pub(super) fn features(&self) -> impl Iterator<Item = Feature> + '_ {
        self.features.iter().copied()
    }

    /// Fault kinds that are on, never none.
    pub(super) fn kinds(&self) -> &[&'static str] {
        &self.kinds
    }

    /// Whether a fault kind is on.
    pub(super) fn has_kind(&self, kind: &str) -> bool {
        self.kinds.contains(&kind)
    }

    /// As it is, but for one kind and for the swizzle.
    #[cfg(test)]
    pub(super) fn without_swizzle(&self, kind: Option<&str>) -> Self {
        let mut less = self.clone();
        less.kinds.retain(|other| Some(*other) != kind);
        less.features.retain(|feature| *feature != Feature::Swizzle);
        less
    }
}
