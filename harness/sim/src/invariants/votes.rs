//! Who has accepted what in a slot, as their disks say: a bit a node, for each ballot and value.

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

impl Votes {
    /// `node` has accepted this value in this ballot. Answers how many nodes have.
    ///
    /// # Panics
    /// If the node's number is above 127.
    pub(super) fn add(&mut self, node: NodeId, ballot: u64, digest: u64) -> usize {
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
        vote.nodes.count_ones() as usize
    }

    fn all(&self) -> impl Iterator<Item = &Vote> {
        self.first.iter().chain(&self.others)
    }

    /// How many nodes accepted this value in the ballot in which most did.
    pub(super) fn most(&self, digest: u64) -> usize {
        let counts = self.all().filter(|vote| vote.digest == digest);
        counts.map(|vote| vote.nodes.count_ones() as usize).max().unwrap_or(0)
    }

    /// All of it, as the end of a sentence.
    pub(super) fn describe(&self) -> String {
        let votes = self.all().map(|vote| {
            let nodes = (0..u128::BITS).filter(|node| vote.nodes & (1 << node) != 0);
            let nodes: Vec<_> = nodes.map(|node| NodeId(node).to_string()).collect();
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
            .map(|(node, ballot, digest)| votes.add(NodeId(node), ballot, digest));
        assert_eq!(added, [1, 2, 2, 1, 1, 2]);
        assert_eq!([0xa, 0xb, 0xc].map(|digest| votes.most(digest)), [2, 1, 0]);
    }
}
