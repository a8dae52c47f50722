//! Who has accepted what in a slot, as their disks say: a bit a node, for each ballot and value.

use crate::facts::View;
use tribunal_protocol::NodeId;

/// The durable acceptances of one slot.
#[derive(Debug, Default)]
pub(super) struct Votes {
    /// Of the first proposal. Almost always the only one.
    first: Option<Vote>,
    others: Vec<Vote>,
}

/// Who has accepted a proposal.
#[derive(Clone, Copy, Debug)]
struct Vote {
    ballot: u64,
    digest: u64,
    /// One bit a node.
    nodes: u128,
}

/// A set of nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Voters(u128);

impl Voters {
    /// Each of them, in ascending order.
    pub(super) fn nodes(self) -> impl Iterator<Item = NodeId> {
        (0..u128::BITS).filter(move |node| self.0 & (1 << node) != 0).map(NodeId)
    }

    /// Whether they, having accepted one value in `slot` under `ballot`, decide it, as `node` knows the slot's members.
    pub(super) fn decide(self, node: NodeId, slot: u64, ballot: u64, view: &dyn View) -> bool {
        let mut nodes = [NodeId(0); u128::BITS as usize];
        let mut count = 0;
        for (place, node) in nodes.iter_mut().zip(self.nodes()) {
            *place = node;
            count += 1;
        }
        view.decides(node, slot, ballot, &nodes[..count])
    }
}

impl Votes {
    /// `node` has accepted this value in this ballot. Answers who has.
    ///
    /// # Panics
    /// If the node's number is above 127.
    pub(super) fn add(&mut self, node: NodeId, ballot: u64, digest: u64) -> Voters {
        assert!(node.0 < u128::BITS, "the simulator runs no cluster as large as {node}");
        let same = |known: &Vote| (known.ballot, known.digest) == (ballot, digest);
        let vote = Vote { ballot, digest, nodes: 0 };
        let first = self.first.get_or_insert(vote);
        let vote = if same(first) {
            first
        } else {
            let known = self.others.iter().position(same);
            let at = known.unwrap_or_else(|| {
                self.others.push(vote);
                self.others.len() - 1
            });
            &mut self.others[at]
        };
        vote.nodes |= 1 << node.0;
        Voters(vote.nodes)
    }

    fn all(&self) -> impl Iterator<Item = &Vote> {
        self.first.iter().chain(&self.others)
    }

    /// Each ballot in which somebody accepted this value, with who did.
    pub(super) fn of(&self, digest: u64) -> impl Iterator<Item = (u64, Voters)> {
        let votes = self.all().filter(move |vote| vote.digest == digest);
        votes.map(|vote| (vote.ballot, Voters(vote.nodes)))
    }

    /// All of it, as the end of a sentence.
    pub(super) fn describe(&self) -> String {
        let votes = self.all().map(|vote| {
            let nodes: Vec<_> = Voters(vote.nodes).nodes().map(|node| node.to_string()).collect();
            format!("{} accepted {:016x} in ballot {}", nodes.join(", "), vote.digest, vote.ballot)
        });
        let votes: Vec<_> = votes.collect();
        if votes.is_empty() { "no disk holds any".to_owned() } else { votes.join("; ") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_node_counts_once_for_each_ballot_and_value() {
        let mut votes = Votes::default();
        let added = [(1, 5, 0xa), (2, 5, 0xa), (1, 5, 0xa), (1, 7, 0xa), (3, 7, 0xb), (2, 7, 0xa)]
            .map(|(node, ballot, digest)| votes.add(NodeId(node), ballot, digest).nodes().count());
        assert_eq!(added, [1, 2, 2, 1, 1, 2]);
        let of = |digest| -> Vec<_> {
            votes.of(digest).map(|(ballot, voters)| (ballot, voters.nodes().count())).collect()
        };
        assert_eq!((of(0xa), of(0xb), of(0xc)), (vec![(5, 2), (7, 2)], vec![(7, 1)], vec![]));
    }
}
