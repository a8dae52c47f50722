//! Delta debugging: the fewest elements that still fail.
//!
//! The algorithm *ddmin* of Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input" (IEEE Transactions
//! on Software Engineering, 2002), figure 5. What it gives is *1-minimal* as far as the test is deterministic: no
//! single element can be left out. It is not always the smallest set. O(n^2) tests in the worst case, O(log n) if one
//! element is to blame.
//!
//! One departure: the empty set is tried first. The paper takes for granted that it passes; here a bug may need no
//! fault at all.

/// The elements of `all` that are left, in their order, when nothing more can be left out. `fails` says whether a subset
/// still fails; that `all` does is taken for granted.
pub fn ddmin<T: Clone>(all: &[T], mut fails: impl FnMut(&[T]) -> bool) -> Vec<T> {
    let mut kept = all.to_vec();
    if kept.is_empty() || fails(&[]) {
        return Vec::new();
    }
    let mut parts = 2;
    while kept.len() > 1 {
        let size = kept.len().div_ceil(parts);
        let count = kept.len().div_ceil(size);
        if let Some(part) = (0..count).map(|nth| part(&kept, nth, size)).find(|part| fails(part)) {
            kept = part;
            parts = 2;
        } else if count > 2
            && let Some(rest) =
                (0..count).map(|nth| rest(&kept, nth, size)).find(|rest| fails(rest))
        {
            // With two parts, what is left of one is the other, which was tried.
            kept = rest;
            parts = (count - 1).max(2);
        } else if size == 1 {
            break;
        } else {
            parts = (2 * count).min(kept.len());
        }
    }
    kept
}

/// The `nth` part of `size` elements.
fn part<T: Clone>(all: &[T], nth: usize, size: usize) -> Vec<T> {
    all.iter().skip(nth * size).take(size).cloned().collect()
}

/// All but the `nth` part.
fn rest<T: Clone>(all: &[T], nth: usize, size: usize) -> Vec<T> {
    let outside = |(place, _): &(usize, &T)| place / size != nth;
    all.iter().enumerate().filter(outside).map(|(_, element)| element.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    /// What is left of `0..count` if exactly the sets that hold all of `needed` fail, and the number of tests.
    fn minimal(count: u32, needed: &[u32]) -> (Vec<u32>, usize) {
        let mut tests = 0;
        let kept = ddmin(&(0..count).collect::<Vec<_>>(), |set| {
            tests += 1;
            needed.iter().all(|element| set.contains(element))
        });
        (kept, tests)
    }

    #[test]
    fn exactly_what_is_needed_is_left() {
        assert_eq!(minimal(0, &[]).0, [0; 0]);
        assert_eq!(minimal(9, &[]).0, [0; 0]);
        assert_eq!(minimal(1, &[0]).0, [0]);
        assert_eq!(minimal(8, &[0, 6]).0, [0, 6]);
        assert_eq!(minimal(7, &[1, 3, 5]).0, [1, 3, 5]);
        let all: Vec<u32> = (0..5).collect();
        assert_eq!(minimal(5, &all).0, all);
    }

    #[test]
    fn any_needed_set_of_any_list_is_found() {
        let mut random = Random::new(7, 0);
        for _ in 0..500 {
            let count = random.between(1, 40);
            let one = |element: u64| random.percent(15).then_some(element as u32);
            let needed: Vec<u32> = (0..count).filter_map(one).collect();
            assert_eq!(minimal(count as u32, &needed).0, needed, "of {count}");
        }
    }

    #[test]
    fn one_of_a_thousand_is_found_in_about_twice_the_logarithm() {
        let (kept, tests) = minimal(1_000, &[617]);
        assert_eq!(kept, [617]);
        assert!(tests <= 24, "{tests}");
    }

    #[test]
    fn where_several_sets_fail_what_is_left_is_1_minimal() {
        // Any two even numbers, or 3 and 5.
        let fails = |set: &[u32]| {
            set.iter().filter(|element| **element % 2 == 0).count() >= 2
                || (set.contains(&3) && set.contains(&5))
        };
        let kept = ddmin(&(0..20).collect::<Vec<_>>(), fails);
        assert!(fails(&kept));
        for left_out in &kept {
            let fewer: Vec<u32> =
                kept.iter().copied().filter(|element| element != left_out).collect();
            assert!(!fails(&fewer), "{left_out} of {kept:?} is not needed");
        }
    }
}
