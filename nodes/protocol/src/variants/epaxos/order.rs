//! The order of execution: strongly connected components of the graph of dependencies, dependencies first.
//!
//! Source: R. Tarjan, "Depth-First Search and Linear Graph Algorithms" (1972), without recursion. An instance has an
//! edge to its predecessor in its row, and to the last instance of each other row that it depends on. Linear in the
//! instances visited and their edges, of which each has at most one a row.

use super::log::Log;
use super::message::Instance;

/// What a search finds.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// Components that can be executed one after the other, each in the order of its members' execution.
    pub(super) components: Vec<Vec<Instance>>,
    /// The first instance that was met and is not known to be decided: what depends on it has to wait.
    pub(super) lacks: Option<Instance>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Mark {
    #[default]
    New,
    /// On Tarjan's stack: when it was found, and the earliest one on the stack that it reaches.
    Open {
        found: u64,
        low: u64,
    },
    Done,
}

/// The search from one instance.
struct Search<'a> {
    log: &'a Log,
    /// By row and number above what is executed.
    marks: Vec<Vec<Mark>>,
    stack: Vec<Instance>,
    /// The path from the root, each with the next row to look at.
    path: Vec<(Instance, usize)>,
    found: u64,
    result: Found,
}

/// The components reachable from `root`, which is decided and not executed.
pub(super) fn components(log: &Log, root: Instance) -> Found {
    let mut search = Search {
        log,
        marks: vec![Vec::new(); log.rows()],
        stack: Vec::new(),
        path: Vec::new(),
        found: 0,
        result: Found::default(),
    };
    search.open(root);
    while let Some((instance, row)) = search.path.pop() {
        if row == log.rows() {
            search.close(instance);
        } else {
            search.path.push((instance, row + 1));
            if !search.follow(instance, row) {
                break;
            }
        }
    }
    search.result
}

impl Search<'_> {
    fn mark(&mut self, instance: Instance) -> &mut Mark {
        let above = instance.number - self.log.executed_in(instance.row()) - 1;
        let index = usize::try_from(above).expect("instances in memory are counted by usize");
        let marks = &mut self.marks[instance.row()];
        if index >= marks.len() {
            marks.resize(index + 1, Mark::New);
        }
        &mut marks[index]
    }

    fn open(&mut self, instance: Instance) {
        self.found += 1;
        *self.mark(instance) = Mark::Open { found: self.found, low: self.found };
        self.stack.push(instance);
        self.path.push((instance, 0));
    }

    fn lower(&mut self, instance: Instance, to: u64) {
        if let Mark::Open { low, .. } = self.mark(instance) {
            *low = to.min(*low);
        }
    }

    /// Follows the edge of `instance` to a row. False if it leads to an instance that is not decided.
    fn follow(&mut self, instance: Instance, row: usize) -> bool {
        let (_, deps) = self.log.decision(instance).expect("only decided instances are opened");
        let own = row == instance.row();
        let number = if own { instance.number - 1 } else { deps.of(row) };
        if number <= self.log.executed_in(row) {
            return true;
        }
        let other = Instance { row: u32::try_from(row).expect("rows are few"), number };
        let mark = *self.mark(other);
        match mark {
            Mark::Done => {}
            Mark::Open { found, .. } => self.lower(instance, found),
            Mark::New if self.log.decision(other).is_some() => self.open(other),
            Mark::New => {
                self.result.lacks = Some(other);
                return false;
            }
        }
        true
    }

    /// Every edge of `instance` was followed.
    fn close(&mut self, instance: Instance) {
        let Mark::Open { found, low } = *self.mark(instance) else {
            unreachable!("{instance} is on the path")
        };
        if let Some((parent, _)) = self.path.last() {
            let parent = *parent;
            self.lower(parent, low);
        }
        if found != low {
            return;
        }
        let mut component = Vec::new();
        while let Some(member) = self.stack.pop() {
            *self.mark(member) = Mark::Done;
            component.push(member);
            if member == instance {
                break;
            }
        }
        component.sort_unstable_by_key(|member| (member.number, member.row));
        self.result.components.push(component);
    }
}
