//! Operations whose effect somebody may have observed, for models of one value.

use rustc_hash::{FxHashMap, FxHashSet};
use std::hash::Hash;

/// For each doubtful operation, whether the value that it `left` is among those `found`, or found by a doubtful one that
/// matters itself. Linear.
pub(super) fn matter<'a, Op, V: Eq + Hash>(
    found: FxHashSet<&'a V>,
    doubtful: &[&'a Op],
    left: impl Fn(&'a Op) -> Option<&'a V>,
    finds: impl Fn(&'a Op) -> Option<&'a V>,
) -> Vec<bool> {
    let mut by_left: FxHashMap<&V, Vec<usize>> = FxHashMap::default();
    for (nth, op) in doubtful.iter().enumerate() {
        if let Some(value) = left(op) {
            by_left.entry(value).or_default().push(nth);
        }
    }
    let mut matters = vec![false; doubtful.len()];
    let mut work: Vec<&V> = found.into_iter().collect();
    // Each value's operations are taken out once.
    while let Some(value) = work.pop() {
        for nth in by_left.remove(value).unwrap_or_default() {
            matters[nth] = true;
            work.extend(finds(doubtful[nth]));
        }
    }
    matters
}
