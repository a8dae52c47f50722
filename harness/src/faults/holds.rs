//! Who holds what, where faults overlap. Pure bookkeeping: what follows from it is done by the faults.

use crate::cluster::CutMode;
use std::collections::{BTreeMap, BTreeSet};

/// How many faults hold each link, node and process.
#[derive(Debug, Default)]
pub(super) struct Holds {
    /// By directed link, how many partitions cut it silently and how many by resets.
    cuts: BTreeMap<(u32, u32), [u32; 2]>,
    /// By node, how many kills keep it down.
    kills: BTreeMap<u32, u32>,
    /// By node and incarnation, how many pauses stop that process.
    pauses: BTreeMap<(u32, u32), u32>,
    /// Nodes that are not started again.
    dead: BTreeSet<u32>,
}

impl Holds {
    /// Cuts a link. Answers the state that it is to have.
    pub(super) fn cut(&mut self, link: (u32, u32), mode: CutMode) -> Option<CutMode> {
        self.cuts.entry(link).or_default()[place(mode)] += 1;
        self.state(link)
    }

    /// Takes one cut back. Answers the state that the link is to have.
    pub(super) fn uncut(&mut self, link: (u32, u32), mode: CutMode) -> Option<CutMode> {
        if let Some(counts) = self.cuts.get_mut(&link) {
            counts[place(mode)] = counts[place(mode)].saturating_sub(1);
        }
        self.state(link)
    }

    fn state(&self, link: (u32, u32)) -> Option<CutMode> {
        match self.cuts.get(&link).copied().unwrap_or_default() {
            [0, 0] => None,
            [_, 0] => Some(CutMode::Silent),
            [_, _] => Some(CutMode::Reset),
        }
    }

    /// Keeps a node down. Answers whether it is the first kill that does.
    pub(super) fn keep_down(&mut self, node: u32) -> bool {
        add(&mut self.kills, node) == 1
    }

    /// Takes one kill back. Answers whether the node is to start again.
    pub(super) fn let_up(&mut self, node: u32) -> bool {
        take(&mut self.kills, node) == Some(0) && !self.dead.contains(&node)
    }

    /// Keeps a node down for good.
    pub(super) fn bury(&mut self, node: u32) {
        self.dead.insert(node);
    }

    /// Whether the node is down for good.
    pub(super) fn is_dead(&self, node: u32) -> bool {
        self.dead.contains(&node)
    }

    /// The nodes that are down for good.
    pub(super) fn dead(&self) -> impl Iterator<Item = u32> + '_ {
        self.dead.iter().copied()
    }

    /// Keeps a process stopped.
    pub(super) fn keep_stopped(&mut self, node: u32, incarnation: u32) {
        add(&mut self.pauses, (node, incarnation));
    }

    /// Takes one pause back. Answers whether the process is to go on.
    pub(super) fn let_go_on(&mut self, node: u32, incarnation: u32) -> bool {
        take(&mut self.pauses, (node, incarnation)) == Some(0)
    }
}

fn place(mode: CutMode) -> usize {
    match mode {
        CutMode::Silent => 0,
        CutMode::Reset => 1,
    }
}

fn add<K: Ord>(counts: &mut BTreeMap<K, u32>, key: K) -> u32 {
    let count = counts.entry(key).or_default();
    *count += 1;
    *count
}

/// Takes one hold back and answers how many are left; `None` if there was none.
fn take<K: Ord>(counts: &mut BTreeMap<K, u32>, key: K) -> Option<u32> {
    let count = counts.get_mut(&key)?;
    *count -= 1;
    let left = *count;
    if left == 0 {
        counts.remove(&key);
    }
    Some(left)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_heals_with_its_last_cut_and_a_reset_outranks_silence() {
        let mut holds = Holds::default();
        assert_eq!(holds.cut((1, 2), CutMode::Silent), Some(CutMode::Silent));
        assert_eq!(holds.cut((1, 2), CutMode::Reset), Some(CutMode::Reset));
        assert_eq!(holds.cut((1, 2), CutMode::Silent), Some(CutMode::Reset));
        assert_eq!(holds.uncut((1, 2), CutMode::Reset), Some(CutMode::Silent));
        assert_eq!(holds.uncut((1, 2), CutMode::Silent), Some(CutMode::Silent));
        assert_eq!(holds.uncut((1, 2), CutMode::Silent), None);
    }

    #[test]
    fn a_node_starts_again_with_the_end_of_the_last_kill() {
        let mut holds = Holds::default();
        assert!(holds.keep_down(1) && !holds.keep_down(1));
        assert!(!holds.let_up(1) && holds.let_up(1));
        assert!(!holds.let_up(1), "there was no kill left to end");
    }

    #[test]
    fn a_buried_node_stays_down() {
        let mut holds = Holds::default();
        holds.keep_down(1);
        holds.bury(1);
        assert!(!holds.let_up(1) && holds.is_dead(1));
    }

    #[test]
    fn a_pause_belongs_to_a_process() {
        let mut holds = Holds::default();
        holds.keep_stopped(1, 1);
        holds.keep_stopped(1, 2);
        assert!(holds.let_go_on(1, 2) && holds.let_go_on(1, 1));
    }
}
