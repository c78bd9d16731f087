//! List reduction by delta debugging: ever smaller parts are left out as long as what is left still shows it.

/// Calls `keeps` with ever shorter lists; it answers whether the list is kept. What was kept last is the result.
pub(super) fn reduce<T: Clone>(list: &[T], mut keeps: impl FnMut(&[T]) -> bool) -> Vec<T> {
    let mut kept = list.to_vec();
    if kept.is_empty() || keeps(&[]) {
        return Vec::new();
    }
    let mut part = kept.len().div_ceil(2);
    loop {
        let mut at = 0;
        let mut is_less = false;
        while at < kept.len() {
            let end = (at + part).min(kept.len());
            let without = [&kept[..at], &kept[end..]].concat();
            // The empty list was tried at the very beginning.
            if !without.is_empty() && keeps(&without) {
                kept = without;
                is_less = true;
            } else {
                at = end;
            }
        }
        if part == 1 && !is_less {
            return kept;
        }
        part = if part == 1 { 1 } else { part.div_ceil(2) };
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::btree_set;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn finds_exactly_what_is_needed(needed in btree_set(0_u32..200, 0..6), more in 1_u32..200) {
            let list: Vec<u32> = (0..200.max(more)).collect();
            let mut tried = 0;
            let least = reduce(&list, |some| {
                tried += 1;
                needed.iter().all(|one| some.contains(one))
            });
            prop_assert_eq!(least, needed.iter().copied().collect::<Vec<_>>());
            prop_assert!(tried < 400, "{tried}");
        }

        #[test]
        fn any_answers_come_to_an_end(length in 0_usize..60, answers: u64) {
            let mut tried = 0_u32;
            reduce(&vec![0; length], |_| {
                tried += 1;
                answers >> (tried % 64) & 1 == 1
            });
            prop_assert!(tried < 10_000);
        }
    }
}
