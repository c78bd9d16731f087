//! Nearest match: "did you mean `probability`?".

/// A hint that names the nearest known word, or else `otherwise`.
pub(crate) fn nearest_hint<'a>(
    word: &str,
    known: impl IntoIterator<Item = &'a str>,
    otherwise: &str,
) -> String {
    nearest(word, known).map_or_else(|| otherwise.to_owned(), |near| format!("did you mean `{near}`?"))
}

/// Longest word that is compared; nobody mistypes a longer one.
const WORD_CHARS_MAX: usize = 64;

/// The known word with the fewest slips (insert, delete, replace, swap neighbours), if they are few.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let letters: Vec<char> = word.chars().take(WORD_CHARS_MAX + 1).collect();
    if letters.len() > WORD_CHARS_MAX {
        return None;
    }
    let slips_max = (letters.len() / 3).max(1);
    let candidates = known.into_iter().map(|name| (slips(&letters, &name.chars().collect::<Vec<_>>()), name));
    candidates.filter(|(slips, _)| *slips <= slips_max).min_by_key(|(slips, _)| *slips).map(|(_, name)| name)
}

/// Optimal string alignment distance.
fn slips(left: &[char], right: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut previous: Vec<usize> = (0..=right.len()).collect();
    for (i, &a) in left.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, &b) in right.iter().enumerate() {
            // `-` and `_` are mistaken for each other all the time: no slip.
            let same = a.eq_ignore_ascii_case(&b) || (matches!(a, '-' | '_') && matches!(b, '-' | '_'));
            let replaced = previous[j] + usize::from(!same);
            let mut least = replaced.min(previous[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && a == right[j - 1] && left[i - 1] == b {
                least = least.min(before[j - 1] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut previous, row);
    }
    previous[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(word: &str, expected: Option<&str>) {
        let known = ["probability", "restart_after", "kill", "no-loss", "rate"];
        assert_eq!(nearest(word, known), expected, "{word}");
    }

    #[test]
    fn finds_what_was_meant() {
        check("probabilty", Some("probability"));
        check("porbability", Some("probability"));
        check("restart-after", Some("restart_after"));
        check("kil", Some("kill"));
        check("Rate", Some("rate"));
        check("no_los", Some("no-loss"));
    }

    #[test]
    fn keeps_silent_when_nothing_is_near() {
        check("zebra", None);
        check("", None);
        check(&"p".repeat(1_000_000), None);
    }
}
