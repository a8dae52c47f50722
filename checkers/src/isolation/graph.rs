//! The graph of dependencies, as compact arrays, and its strongly connected components.
//!
//! Source: Tarjan, "Depth-First Search and Linear Graph Algorithms" (1972), without recursion.
//!
//! Nodes below `transactions` are transactions. Those above are *joints*: where everything of one set depends on everything of
//! another, a joint between them makes of the product a sum. The edge into a joint carries the kind of the dependency;
//! the edges out of it only continue it.

/// One wrote what the other wrote next.
pub(super) const WW: u8 = 1;
/// One read what the other wrote.
pub(super) const WR: u8 = 2;
/// One overwrote what the other read.
pub(super) const RW: u8 = 4;
/// One process ran both.
pub(super) const PROCESS: u8 = 8;
/// One had ended when the other began. An edge may carry this with another kind, which then rests on it.
pub(super) const REAL_TIME: u8 = 16;
/// Every kind.
pub(super) const ALL: u8 = WW | WR | RW | PROCESS | REAL_TIME;

/// A dependency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Edge {
    pub(super) from: u32,
    pub(super) to: u32,
    pub(super) kind: u8,
}

/// Edges by their source. 4 bytes a node, 5 an edge.
#[derive(Debug)]
pub(super) struct Graph {
    starts: Vec<u32>,
    targets: Vec<u32>,
    kinds: Vec<u8>,
    /// How many nodes are transactions; the others are joints.
    pub(super) transactions: u32,
}

impl Graph {
    /// Sorts the edges by their source: O(nodes + edges).
    pub(super) fn new(transactions: u32, nodes: u32, edges: &[Edge]) -> Self {
        let mut starts = vec![0_u32; nodes as usize + 2];
        for edge in edges {
            starts[edge.from as usize + 2] += 1;
        }
        for node in 2..starts.len() {
            starts[node] += starts[node - 1];
        }
        let (mut targets, mut kinds) = (vec![0; edges.len()], vec![0; edges.len()]);
        for edge in edges {
            let place = &mut starts[edge.from as usize + 1];
            targets[*place as usize] = edge.to;
            kinds[*place as usize] = edge.kind;
            *place += 1;
        }
        starts.pop();
        Self { starts, targets, kinds, transactions }
    }

    /// How many nodes.
    pub(super) fn nodes(&self) -> u32 {
        self.starts.len() as u32 - 1
    }

    /// Bytes kept.
    pub(super) fn bytes(&self) -> usize {
        self.starts.len() * 4 + self.targets.len() * 5
    }

    /// Targets and kinds of the edges that leave a node.
    pub(super) fn out(&self, node: u32) -> impl Iterator<Item = (u32, u8)> + '_ {
        let range = self.starts[node as usize] as usize..self.starts[node as usize + 1] as usize;
        range.map(|edge| (self.targets[edge], self.kinds[edge]))
    }

    /// Whether a node stands for no transaction.
    pub(super) fn joint(&self, node: u32) -> bool {
        node >= self.transactions
    }

    /// The strongly connected components of more than one node over the edges whose kinds all lie in `mask`.
    pub(super) fn components(&self, mask: u8) -> Vec<Vec<u32>> {
        let nodes = self.nodes();
        let mut search = Search {
            graph: self,
            mask,
            number: vec![0; nodes as usize],
            low: vec![0; nodes as usize],
            next: 1,
            stack: Vec::new(),
            calls: Vec::new(),
            found: Vec::new(),
        };
        for node in 0..nodes {
            if search.number[node as usize] == 0 {
                search.from(node);
            }
        }
        search.found
    }

    /// The part of the graph between these nodes, and for each new node its old one. Transactions stay before joints.
    /// `local` is scratch of one zero a node, and is left as it was.
    pub(super) fn induced(&self, mut nodes: Vec<u32>, local: &mut [u32]) -> (Self, Vec<u32>) {
        nodes.sort_unstable();
        for (place, node) in (1..).zip(&nodes) {
            local[*node as usize] = place;
        }
        let mut edges = Vec::new();
        for (from, node) in (0..).zip(&nodes) {
            for (target, kind) in self.out(*node) {
                if let Some(to) = local[target as usize].checked_sub(1) {
                    edges.push(Edge { from, to, kind });
                }
            }
        }
        for node in &nodes {
            local[*node as usize] = 0;
        }
        let transactions = nodes.partition_point(|node| !self.joint(*node));
        (Self::new(transactions as u32, nodes.len() as u32, &edges), nodes)
    }
}

/// The state of Tarjan's search.
struct Search<'a> {
    graph: &'a Graph,
    mask: u8,
    /// In the order of discovery, from 1; 0 is undiscovered, [`DONE`] is in a component.
    number: Vec<u32>,
    low: Vec<u32>,
    next: u32,
    stack: Vec<u32>,
    /// What recursion would hold: a node and its next edge.
    calls: Vec<(u32, u32)>,
    found: Vec<Vec<u32>>,
}

const DONE: u32 = u32::MAX;

impl Search<'_> {
    fn from(&mut self, root: u32) {
        self.discover(root);
        while let Some((node, edge)) = self.calls.last_mut() {
            let node = *node;
            if *edge == self.graph.starts[node as usize + 1] {
                self.calls.pop();
                self.leave(node);
                continue;
            }
            let (target, kind) =
                (self.graph.targets[*edge as usize], self.graph.kinds[*edge as usize]);
            *edge += 1;
            if kind & !self.mask != 0 {
                continue;
            }
            match self.number[target as usize] {
                0 => self.discover(target),
                DONE => {}
                number => {
                    let low = &mut self.low[node as usize];
                    *low = number.min(*low);
                }
            }
        }
    }

    fn discover(&mut self, node: u32) {
        self.number[node as usize] = self.next;
        self.low[node as usize] = self.next;
        self.next += 1;
        self.stack.push(node);
        self.calls.push((node, self.graph.starts[node as usize]));
    }

    fn leave(&mut self, node: u32) {
        let low = self.low[node as usize];
        if let Some((parent, _)) = self.calls.last() {
            let parent = &mut self.low[*parent as usize];
            *parent = low.min(*parent);
        }
        if low != self.number[node as usize] {
            return;
        }
        let start = self.stack.iter().rposition(|other| *other == node).unwrap_or(0);
        for member in &self.stack[start..] {
            self.number[*member as usize] = DONE;
        }
        if self.stack.len() - start > 1 {
            self.found.push(self.stack[start..].to_vec());
        }
        self.stack.truncate(start);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn components_depend_on_the_kinds_of_edges() {
        let edge = |from, to, kind| Edge { from, to, kind };
        let edges =
            [edge(0, 1, WW), edge(1, 0, RW), edge(1, 2, WW), edge(2, 3, WR), edge(3, 2, WW)];
        let graph = Graph::new(4, 4, &edges);
        let sorted = |mask| {
            let mut found = graph.components(mask);
            found.iter_mut().for_each(|component| component.sort_unstable());
            found.sort();
            found
        };
        assert_eq!(sorted(ALL), [vec![0, 1], vec![2, 3]]);
        assert_eq!(sorted(WW | WR), [vec![2, 3]]);
        assert!(sorted(WW).is_empty());
    }
}
