//! Conversations of several sizes: how large, how many of each, and which part of the messages is said there.

use std::fmt;

use super::{Complaint, Share, Unit, scaled, unit};

/// All shares of a mix, in millionths.
const ALL_PPM: u64 = 1_000_000;
/// Sizes of one mix, at most.
pub const MIXED_SIZES_MAX: usize = 8;
/// Members of one conversation, at most; conversations of one size, too.
const COUNT_MAX: u64 = 10_000;

/// Conversations of one size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MixedSize {
    /// Members of each.
    pub members: u32,
    /// How many; `None` = as many of all as the share says.
    pub conversations: Option<u32>,
    /// Of all messages, in millionths.
    pub ppm: u32,
}

/// A mix of conversation sizes: "2 80%, 16 15%, 100 5%", or with how many there are of each: "1000x2 80%, 20x16 20%".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberMix(Vec<MixedSize>);

impl MemberMix {
    /// Its sizes, in the order in which they were written.
    pub fn sizes(&self) -> &[MixedSize] {
        &self.0
    }

    /// How many conversations there are, if it says so itself.
    pub fn counted(&self) -> Option<u32> {
        self.0.iter().map(|size| size.conversations).sum()
    }

    /// How many conversations of each size there are. Where the mix does not say it, `all` of them are shared out like the messages, so
    /// that about as much is said in each; but there is at least one of each.
    pub fn conversations(&self, all: u32) -> Vec<u32> {
        if self.counted().is_some() {
            return self.0.iter().filter_map(|size| size.conversations).collect();
        }
        let exact = |size: &MixedSize| u64::from(all) * u64::from(size.ppm);
        let mut counts: Vec<u32> =
            self.0.iter().map(|size| ((exact(size) / ALL_PPM) as u32).max(1)).collect();
        // What rounding left over goes to those that it took most from; of equal ones to the first.
        let mut by_rest: Vec<usize> = (0..counts.len()).collect();
        by_rest.sort_by_key(|place| std::cmp::Reverse(exact(&self.0[*place]) % ALL_PPM));
        let left = all.saturating_sub(counts.iter().sum()) as usize;
        for place in by_rest.into_iter().cycle().take(left) {
            counts[place] += 1;
        }
        counts
    }

    /// The same mix with the counts that came of it.
    #[must_use]
    pub fn with_counts(&self, counts: &[u32]) -> Self {
        let with = |(size, count): (&MixedSize, &u32)| MixedSize { conversations: Some(*count), ..*size };
        Self(self.0.iter().zip(counts).map(with).collect())
    }

    fn checked(sizes: Vec<MixedSize>, text: &str) -> Result<Self, Complaint> {
        let sum: u64 = sizes.iter().map(|size| u64::from(size.ppm)).sum();
        let counted = sizes.iter().filter(|size| size.conversations.is_some()).count();
        let twice = sizes
            .iter()
            .enumerate()
            .find(|(place, size)| sizes[..*place].iter().any(|earlier| earlier.members == size.members));
        if sizes.len() > MIXED_SIZES_MAX {
            let message = format!("`{text}` has {} sizes", sizes.len());
            return Err(Complaint::new(message, format!("at most {MIXED_SIZES_MAX} are told apart")));
        }
        if let Some((_, size)) = twice {
            let message = format!("conversations of {} stand there twice", size.members);
            return Err(Complaint::new(message, "give each size once, with the sum of its shares"));
        }
        if sum != ALL_PPM {
            let message = format!("the shares of `{text}` add up to {} %", sum as f64 / 1e4);
            return Err(Complaint::new(
                message,
                "shares of messages that add up to 100 %: 2 80%, 16 15%, 100 5%",
            ));
        }
        if counted != 0 && counted != sizes.len() {
            let message = format!("`{text}` says of some sizes how many there are, and of others not");
            return Err(Complaint::new(message, "say it of all or of none: 16x2 80%, 3x16 15%, 1x100 5%"));
        }
        Ok(Self(sizes))
    }
}

unit!(MemberMix);
impl Unit for MemberMix {
    const NAME: &'static str = "conversation-sizes";
    const EXAMPLES: &'static str = "\"2 80%, 16 15%, 100 5%\", \"1000x2 80%, 20x16 20%\"";
    const PATTERN: &'static str =
        r"^\s*([0-9]+\s*x\s*)?[0-9]+\s+[0-9.]+\s*%(\s*,\s*([0-9]+\s*x\s*)?[0-9]+\s+[0-9.]+\s*%)*\s*$";

    fn from_text(text: &str) -> Result<Self, Complaint> {
        let sizes = text.split(',').map(|part| size(part.trim())).collect::<Result<Vec<_>, _>>()?;
        Self::checked(sizes, text.trim())
    }
}

impl fmt::Display for MemberMix {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, size) in self.0.iter().enumerate() {
            let comma = if number > 0 { ", " } else { "" };
            let count = size.conversations.map_or_else(String::new, |count| format!("{count}x"));
            write!(formatter, "{comma}{count}{} {}", size.members, Share { ppm: size.ppm })?;
        }
        Ok(())
    }
}

fn size(text: &str) -> Result<MixedSize, Complaint> {
    let hint = "write members and a share of the messages: 2 80%, 16 15%, 100 5%; before it how many there are: 20x16 15%";
    let (left, share) = text
        .rsplit_once(char::is_whitespace)
        .filter(|(_, share)| share.ends_with('%'))
        .ok_or_else(|| Complaint::new(format!("`{text}` has no share"), hint))?;
    let (conversations, members) = match left.split_once('x') {
        Some((conversations, members)) => (Some(conversations), members),
        None => (None, left),
    };
    let count = |text: &str, least: u64, what: &str| match scaled(text.trim(), 1) {
        Ok(count) if (least..=COUNT_MAX).contains(&count) => Ok(count as u32),
        Ok(count) => {
            let message = format!("{count} {what}");
            Err(Complaint::new(message, format!("from {least} to {COUNT_MAX} {what}")))
        }
        Err(message) => Err(Complaint::new(message, hint)),
    };
    let conversations = conversations.map(|text| count(text, 1, "conversations of one size")).transpose()?;
    let members = count(members, 2, "members of a conversation")?;
    let of_text = Share::from_text(share).map_err(|complaint| {
        let hint = if complaint.hint.is_empty() { hint.to_owned() } else { complaint.hint };
        Complaint { hint, ..complaint }
    });
    match of_text?.ppm {
        0 => Err(Complaint::new(
            format!("a share of 0 for conversations of {members}"),
            "leave out the size where nothing is to be said",
        )),
        ppm => Ok(MixedSize { members, conversations, ppm }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(text: &str, expected: &str) {
        let complaint = MemberMix::from_text(text).expect_err("it makes no sense");
        assert!(complaint.message.contains(expected), "{complaint:?}");
        assert!(!complaint.hint.is_empty(), "{complaint:?}");
    }

    #[test]
    fn what_is_written_is_read_back_and_what_makes_no_sense_is_refused() {
        for text in ["2 80%, 16 15%, 100 5%", "1000x2 99.5%, 1x500 0.5%", "16 100%"] {
            assert_eq!(MemberMix::from_text(text).expect("it is a mix").to_string(), text);
        }
        let spaced = MemberMix::from_text(" 8 x 2  50% ,4x 16 50% ").expect("spaces mean nothing");
        assert_eq!(spaced.to_string(), "8x2 50%, 4x16 50%");
        refused("", "`` has no share");
        refused("2", "`2` has no share");
        refused("2 80%, 16", "`16` has no share");
        refused("2 80%, 16 15%", "add up to 95 %");
        refused("2 80%, 16 80%", "add up to 160 %");
        refused("2 50%, 2 50%", "conversations of 2 stand there twice");
        refused("1 100%", "1 members of a conversation");
        refused("2.5 100%", "finer than what can be represented");
        refused("two 100%", "`two` is not a number");
        refused("-2 100%", "`-2` is not a number");
        refused("20000 100%", "20000 members of a conversation");
        refused("0x2 100%", "0 conversations of one size");
        refused("8x2 50%, 16 50%", "says of some sizes how many");
        refused("2 100%, 16 0%", "a share of 0 for conversations of 16");
        refused("2 120%", "more than the whole");
        refused("2 x%", "`x` is not a number");
        refused("2 20%, 3 10%, 4 10%, 5 10%, 6 10%, 7 10%, 8 10%, 9 10%, 10 10%", "has 9 sizes");
    }

    #[test]
    fn conversations_are_shared_out_like_messages_and_none_is_left_out() {
        let check = |text: &str, all: u32, expected: &[u32]| {
            let mix = MemberMix::from_text(text).expect("it is a mix");
            assert_eq!(mix.conversations(all), expected, "{text}");
        };
        check("2 80%, 16 15%, 100 5%", 20, &[16, 3, 1]);
        check("2 80%, 16 15%, 100 5%", 8, &[6, 1, 1]);
        check("2 80%, 16 15%, 100 5%", 1, &[1, 1, 1]);
        check("2 50%, 16 50%", 5, &[3, 2]);
        check("2 33%, 3 33%, 4 34%", 10, &[3, 3, 4]);
        check("7x2 1%, 2x16 99%", 20, &[7, 2]);
    }
}
