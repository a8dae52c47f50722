//! The wire: how long a message takes, whether it arrives, how often, and which links are cut.
//!
//! A message may be lost, arrive twice, late and out of order, never altered: what the contract of
//! [`tribunal_protocol::core`] allows. Faults overlap: a link is cut as long as any fault cuts it.
//!
//! Node 0 stands for the clients.
//!
//! Beyond what one connection does: a message that is under way when its receiver restarts reaches the new process. The
//! contract allows it, so it is left in.

use crate::plan::{LinkPlan, US};
use crate::random::Random;
use std::collections::BTreeSet;

/// What happens to a message that is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// It never arrives.
    Lost,
    /// It waits until its link is healed.
    Held,
    /// It arrives at this time; a copy of it at the other, if there is one.
    Arrives(u64, Option<u64>),
}

/// What faults do to the links of one node.
#[derive(Clone, Copy, Debug, Default)]
struct Trouble {
    delay_ns: u64,
    loss_percent: u32,
    duplicate_percent: u32,
    reorder_ns: u64,
}

/// Every directed link.
#[derive(Debug)]
pub(crate) struct Network {
    plan: LinkPlan,
    random: Random,
    /// Nodes and the clients.
    ends: usize,
    /// By link, how many faults cut it.
    cuts: Vec<u32>,
    /// By link, how many of them do so by resets.
    resets: Vec<u32>,
    /// By link, when the last message arrives.
    last_ns: Vec<u64>,
    /// By node, what each fault does to its links.
    troubles: Vec<Vec<(u32, Trouble)>>,
}

impl Network {
    /// Whole links between `nodes` nodes.
    pub(crate) fn new(plan: LinkPlan, nodes: u32, random: Random) -> Self {
        let ends = nodes as usize + 1;
        Self {
            plan,
            random,
            ends,
            cuts: vec![0; ends * ends],
            resets: vec![0; ends * ends],
            last_ns: vec![0; ends * ends],
            troubles: vec![Vec::new(); ends],
        }
    }

    fn link(&self, from: u32, to: u32) -> usize {
        from as usize * self.ends + to as usize
    }

    /// Whether the link carries nothing.
    pub(crate) fn is_cut(&self, from: u32, to: u32) -> bool {
        self.cuts[self.link(from, to)] > 0
    }

    /// Whether the ends of a link that is cut are told so.
    pub(crate) fn is_reset(&self, from: u32, to: u32) -> bool {
        self.resets[self.link(from, to)] > 0
    }

    /// Whether a link that is cut now keeps what is sent until it is healed.
    pub(crate) fn holds(&self, from: u32, to: u32) -> bool {
        self.plan.cuts_hold && !self.is_reset(from, to)
    }

    /// Cuts links, by resets or silently.
    pub(crate) fn cut(&mut self, links: &BTreeSet<(u32, u32)>, reset: bool) {
        for &(from, to) in links {
            let link = self.link(from, to);
            self.cuts[link] += 1;
            self.resets[link] += u32::from(reset);
        }
    }

    /// Takes back what [`Network::cut`] did with the same links. Answers those that are whole again.
    pub(crate) fn heal(&mut self, links: &BTreeSet<(u32, u32)>, reset: bool) -> Vec<(u32, u32)> {
        let mut whole = Vec::new();
        for &(from, to) in links {
            let link = self.link(from, to);
            let left = self.cuts[link].checked_sub(1);
            self.cuts[link] = left.expect("a fault heals only what it has cut");
            self.resets[link] -= u32::from(reset);
            if self.cuts[link] == 0 {
                whole.push((from, to));
            }
        }
        whole
    }

    /// The fault `id` slows the links of `node`.
    pub(crate) fn slow(&mut self, id: u32, node: u32, delay_ns: u64) {
        self.trouble(id, node, Trouble { delay_ns, ..Trouble::default() });
    }

    /// The fault `id` loses messages on the links of `node`.
    pub(crate) fn lose(&mut self, id: u32, node: u32, loss_percent: u32) {
        self.trouble(id, node, Trouble { loss_percent, ..Trouble::default() });
    }

    /// The fault `id` doubles and reorders messages on the links of `node`.
    pub(crate) fn shake(&mut self, id: u32, node: u32, duplicate_percent: u32, reorder_ns: u64) {
        self.trouble(id, node, Trouble { duplicate_percent, reorder_ns, ..Trouble::default() });
    }

    fn trouble(&mut self, id: u32, node: u32, trouble: Trouble) {
        self.troubles[node as usize].push((id, trouble));
    }

    /// Takes back what the fault `id` did to links.
    pub(crate) fn calm(&mut self, id: u32) {
        // What was slowed is still under way; what comes now need not wait for it.
        self.last_ns.fill(0);
        for troubles in &mut self.troubles {
            troubles.retain(|(other, _)| *other != id);
        }
    }

    /// From now on links lose and double nothing by themselves.
    pub(crate) fn be_reliable(&mut self) {
        self.plan.loss_percent = 0;
        self.plan.duplicate_percent = 0;
    }

    /// A message between nodes leaves at `now_ns`.
    pub(crate) fn route(&mut self, now_ns: u64, from: u32, to: u32) -> Route {
        if self.is_cut(from, to) {
            return if self.holds(from, to) { Route::Held } else { Route::Lost };
        }
        let mut all = Trouble {
            loss_percent: self.plan.loss_percent,
            duplicate_percent: self.plan.duplicate_percent,
            ..Trouble::default()
        };
        for node in [from, to] {
            for (_, one) in &self.troubles[node as usize] {
                all.delay_ns += one.delay_ns;
                all.loss_percent = all.loss_percent.max(one.loss_percent);
                all.duplicate_percent = all.duplicate_percent.max(one.duplicate_percent);
                all.reorder_ns = all.reorder_ns.max(one.reorder_ns);
            }
        }
        if self.random.percent(all.loss_percent) {
            return Route::Lost;
        }
        let at_ns = self.arrival(now_ns, from, to, &all);
        let copy = self.random.percent(all.duplicate_percent);
        let copy_ns = copy.then(|| self.arrival(now_ns, from, to, &all));
        Route::Arrives(at_ns, copy_ns)
    }

    /// When something between a client and a node arrives: only cuts befall it, which the caller looks at.
    pub(crate) fn client_delay(&mut self) -> u64 {
        self.random.between(self.plan.delay_min_us, self.plan.delay_max_us) * US
    }

    fn arrival(&mut self, now_ns: u64, from: u32, to: u32, trouble: &Trouble) -> u64 {
        let LinkPlan { delay_min_us, delay_max_us, in_order, .. } = self.plan;
        let slowest = self.random.percent(1);
        let max_us = if slowest { delay_max_us * 10 } else { delay_max_us };
        let delay_ns = self.random.between(delay_min_us * US, max_us * US);
        let extra_ns = trouble.delay_ns + self.random.between(0, trouble.reorder_ns);
        let at_ns = now_ns + delay_ns + extra_ns;
        if !in_order || trouble.reorder_ns > 0 {
            return at_ns;
        }
        let link = self.link(from, to);
        self.last_ns[link] = self.last_ns[link].max(at_ns);
        self.last_ns[link]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> LinkPlan {
        LinkPlan {
            delay_min_us: 100,
            delay_max_us: 300,
            loss_percent: 0,
            duplicate_percent: 0,
            in_order: true,
            cuts_hold: false,
        }
    }

    #[test]
    fn a_link_is_cut_as_long_as_any_fault_cuts_it() {
        let mut network = Network::new(plan(), 3, Random::new(1, 0));
        let links = BTreeSet::from([(1, 2)]);
        network.cut(&links, false);
        network.cut(&links, true);
        assert!(network.is_reset(1, 2));
        assert_eq!(network.heal(&links, true), []);
        assert!(!network.is_reset(1, 2));
        assert_eq!(network.route(0, 1, 2), Route::Lost);
        assert!(matches!(network.route(0, 2, 1), Route::Arrives(..)), "one way");
        assert_eq!(network.heal(&links, false), [(1, 2)]);
        assert!(matches!(network.route(0, 1, 2), Route::Arrives(..)));
    }

    #[test]
    fn messages_of_one_connection_keep_their_order_unless_a_fault_shakes_it() {
        let mut network = Network::new(plan(), 2, Random::new(1, 0));
        let arrivals = |network: &mut Network| -> Vec<u64> {
            let arrives = |now| match network.route(now, 1, 2) {
                Route::Arrives(at, _) => at,
                other => panic!("{other:?}"),
            };
            (0..200).map(arrives).collect()
        };
        assert!(arrivals(&mut network).is_sorted());
        network.shake(7, 1, 100, 1_000_000);
        assert!(!arrivals(&mut network).is_sorted());
        network.calm(7);
        assert!(matches!(network.route(0, 1, 2), Route::Arrives(_, None)));
    }

    #[test]
    fn a_lossy_link_loses_about_as_much_as_it_should() {
        let mut network = Network::new(plan(), 2, Random::new(1, 0));
        network.lose(1, 2, 20);
        let lost = (0..10_000).filter(|_| network.route(0, 1, 2) == Route::Lost).count();
        assert!((1_800..2_200).contains(&lost), "{lost}");
    }
}
