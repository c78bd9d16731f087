//! What makes many guarantees of a run inconclusive at once, so that a reader is told it once and not with each of them.

use super::Run;
use crate::verdict::{Judgement, Verdict};

/// As many guarantees have to share a doubt before it is told apart from them.
const SHARED_MIN: usize = 3;

impl Run {
    /// The words that the inconclusive guarantees of a run begin with, where most of them are so for one and the same reason.
    /// What each of them had observed all the same stands behind it, in brackets.
    pub(crate) fn shared_doubt(&self) -> Option<&str> {
        let inconclusive = self.judgements.iter().filter(|it| it.verdict == Verdict::Inconclusive);
        let mut observed: Vec<&str> = inconclusive.map(|it| it.observed.as_str()).collect();
        observed.sort_unstable();
        let candidates = observed.windows(2).filter_map(|pair| common_reason(pair[0], pair[1]));
        let sharing = |reason: &str| observed.iter().filter(|it| rest(it, reason).is_some()).count();
        candidates.max_by_key(|reason| sharing(reason)).filter(|reason| sharing(reason) >= SHARED_MIN)
    }
}

/// What a guarantee had observed, if it is inconclusive for that reason.
pub(crate) fn observed_in_doubt<'a>(judgement: &'a Judgement, shared: Option<&str>) -> Option<&'a str> {
    (judgement.verdict == Verdict::Inconclusive).then_some(())?;
    rest(&judgement.observed, shared?)
}

fn rest<'a>(observed: &'a str, reason: &str) -> Option<&'a str> {
    observed.strip_prefix(reason)?.strip_prefix(" (")?.strip_suffix(')')
}

/// The longest common beginning of two texts that ends before a bracket.
fn common_reason<'a>(one: &'a str, other: &str) -> Option<&'a str> {
    let same = one.char_indices().zip(other.chars()).take_while(|((_, a), b)| a == b);
    let end = same.last().map_or(0, |((at, letter), _)| at + letter.len_utf8());
    one[..end].rfind(" (").map(|at| &one[..at])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Header;
    use crate::run::RunFacts;

    fn run(observed: &[&str]) -> Run {
        let mut run = Run::new(Header::default(), RunFacts::new([]));
        let judgement = |observed: &&str| Judgement {
            guarantee: "intact".to_owned(),
            claimed: true,
            verdict: Verdict::Inconclusive,
            observed: (*observed).to_owned(),
            findings_total: 0,
            findings: Vec::new(),
        };
        run.judgements = observed.iter().map(judgement).collect();
        run
    }

    #[test]
    fn a_reason_that_most_share_is_told_once() {
        let run = run(&[
            "fault 0 (cut) (3 seen)",
            "too few",
            "fault 0 (cut) (3 sent (2 again))",
            "fault 0 (cut) (none)",
        ]);
        assert_eq!(run.shared_doubt(), Some("fault 0 (cut)"));
        let observed = |at: usize| observed_in_doubt(&run.judgements[at], run.shared_doubt());
        assert_eq!([0, 1, 2].map(observed), [Some("3 seen"), None, Some("3 sent (2 again)")]);
        let reasons = run.reasons();
        assert!(reasons.contains(&"3 guarantees are inconclusive because of that".to_owned()), "{reasons:?}");
        assert!(reasons.contains(&"intact is inconclusive: too few".to_owned()), "{reasons:?}");
    }

    #[test]
    fn two_that_agree_by_chance_are_told_each() {
        let run = run(&["éa (1)", "éb (2)", "é (3)", "é (4)"]);
        assert_eq!(run.shared_doubt(), None);
        assert!(!run.reasons().iter().any(|reason| reason.contains("inconclusive because of")));
    }
}
