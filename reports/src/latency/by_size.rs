//! Latencies by how many take part in a conversation: its members, and who sends there without being one (a publisher).
//!
//! While all messages are said in conversations of one size, nothing is kept beside the totals but what the last recipient waited for.
//! When a second size is seen, everything so far was of the first, which gets a copy of it. So the sums over all sizes are exactly the
//! whole, whenever a size turns up.

#[cfg(test)]
mod tests;

use hdrhistogram::Histogram;

use super::recorder::histogram;
use super::{From, LatencyRecorder, Series, Stage, Whole};

/// Sizes that are told apart; messages of all further ones are told together.
pub const SIZES_MAX: usize = 8;

/// What the conversations of one size did.
#[derive(Clone, Debug)]
pub struct OfSize {
    /// How many take part in each; `None` = all further sizes.
    pub members: Option<u32>,
    /// Messages that were sent there.
    pub sent: u64,
    wholes: Vec<Whole>,
    /// From the intended send until the last of all recipients had it; what one of them never got, never.
    pub to_last: Whole,
}

/// All sizes of a run.
#[derive(Debug, Default)]
pub(super) struct BySize {
    classes: Vec<Class>,
}

#[derive(Debug)]
struct Class {
    members: Option<u32>,
    sent: u64,
    /// Per stage and start; nothing while there is one size only.
    wholes: Vec<Histogram<u64>>,
    to_last: Histogram<u64>,
}

impl BySize {
    /// A message is sent. Gives the place of its size, and whether that size was not seen before.
    pub(super) fn sent(&mut self, members: u32) -> (usize, bool) {
        let known = self.classes.iter().position(|class| class.members == Some(members));
        let place = known.unwrap_or(self.classes.len().min(SIZES_MAX));
        let is_new = place == self.classes.len();
        if is_new {
            let members = (place < SIZES_MAX).then_some(members);
            self.classes.push(Class { members, sent: 0, wholes: Vec::new(), to_last: histogram() });
        }
        self.classes[place].sent += 1;
        (place, is_new)
    }

    /// How many sizes there are.
    pub(super) fn count(&self) -> usize {
        self.classes.len()
    }

    /// Whose size a place is.
    pub(super) fn members(&self, place: usize) -> Option<u32> {
        self.classes[place].members
    }

    /// From here on sizes are kept apart; `so_far` is all of the first.
    pub(super) fn split(&mut self, so_far: Vec<Histogram<u64>>) {
        self.classes[0].wholes = so_far;
    }

    pub(super) fn record(&mut self, place: usize, (stage, from): (Stage, From), latency_us: u64) {
        if self.classes.len() < 2 {
            return;
        }
        let wholes = &mut self.classes[place].wholes;
        if wholes.is_empty() {
            wholes.extend(pairs().map(|_| histogram()));
        }
        wholes[index(stage, from)].saturating_record(latency_us);
    }

    pub(super) fn record_last(&mut self, place: usize, latency_us: u64) {
        self.classes[place].to_last.saturating_record(latency_us);
    }
}

impl OfSize {
    /// A stage over the whole run.
    pub fn whole(&self, stage: Stage, from: From) -> &Whole {
        &self.wholes[index(stage, from)]
    }
}

fn pairs() -> impl Iterator<Item = (Stage, From)> {
    Stage::ALL.into_iter().flat_map(|stage| From::ALL.map(|from| (stage, from)))
}

/// The place of a pair in the order of [`pairs`].
fn index(stage: Stage, from: From) -> usize {
    stage as usize * From::ALL.len() + from as usize
}

impl LatencyRecorder {
    /// A stage over the whole run, in conversations of one size; where all are of one, in all.
    pub fn whole_of_size(&self, stage: Stage, from: From, members: u32) -> Whole {
        let sizes = self.by_size();
        if sizes.is_empty() {
            return self.whole(stage, from);
        }
        let of_size = sizes.iter().find(|size| size.members == Some(members));
        of_size
            .map_or_else(|| Whole { arrived: histogram(), never: 0 }, |size| size.whole(stage, from).clone())
    }

    /// Sizes of conversations kept apart, the smallest first; empty where all are of one size. For the end of a run: what never arrived is
    /// infinite.
    pub fn by_size(&self) -> Vec<OfSize> {
        let classes = &self.sizes.classes;
        if classes.len() < 2 {
            return Vec::new();
        }
        let mut never = vec![([0; Stage::ALL.len()], 0); classes.len()];
        self.owed(|waiting, stage, missing| {
            let (stages, to_last) = &mut never[waiting.size];
            stages[stage as usize] += missing;
            *to_last += u64::from(stage == Stage::Delivered && missing > 0);
        });
        let of = |(class, (never, to_last)): (&Class, ([u64; 3], u64))| OfSize {
            members: class.members,
            sent: class.sent,
            wholes: pairs()
                .map(|(stage, from)| Whole {
                    arrived: class.wholes.get(index(stage, from)).cloned().unwrap_or_else(histogram),
                    never: never[stage as usize],
                })
                .collect(),
            to_last: Whole { arrived: class.to_last.clone(), never: to_last },
        };
        let mut sizes: Vec<OfSize> = classes.iter().zip(never).map(of).collect();
        sizes.sort_by_key(|size| size.members.unwrap_or(u32::MAX));
        sizes
    }

    /// Notes the size of a conversation in which something is sent.
    pub(super) fn size_of(&mut self, members: u32) -> usize {
        let (place, is_new) = self.sizes.sent(members);
        if is_new && self.sizes.count() == 2 {
            let so_far = pairs().map(|(stage, from)| self.whole(stage, from).arrived).collect();
            self.sizes.split(so_far);
            self.log.split(&of_size(self.sizes.members(0)));
        }
        if is_new && self.sizes.count() >= 2 {
            self.log.add_size(of_size(self.sizes.members(place)));
        }
        place
    }
}

/// What a tag of the interval log ends with.
fn of_size(members: Option<u32>) -> String {
    members.map_or_else(|| "-members-others".to_owned(), |members| format!("-members-{members}"))
}

impl Series {
    /// `delivered-intended-outside-members-16`: the tag of the same in conversations of one size only.
    pub fn tag_of_size(self, members: Option<u32>) -> String {
        self.tag() + &of_size(members)
    }
}
